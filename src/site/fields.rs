//! Reads the fields of our own kinds: types checked, unknown names refused. PURE.

use crate::diagnostic::{Diagnostic, nearest};
use crate::node::{Entry, Node, Value};
use crate::source::Origin;

/// A map being read, and where its faults go.
pub(super) struct Fields<'n, 'd> {
    node: &'n Node,
    /// What it is, for messages: `spec of Site lab1`.
    what: String,
    pub(super) diagnostics: &'d mut Vec<Diagnostic>,
}

impl<'n, 'd> Fields<'n, 'd> {
    /// Begins to read `node`, which may have the fields `known` and no others.
    pub(super) fn new(
        node: &'n Node,
        what: impl Into<String>,
        known: &[&str],
        diagnostics: &'d mut Vec<Diagnostic>,
    ) -> Self {
        let what = what.into();
        match node.as_map() {
            Some(map) => {
                for entry in map.entries() {
                    let name = &*entry.key.text;
                    if !known.contains(&name) {
                        let message = format!("{what} has no field `{name}`");
                        diagnostics.push(Diagnostic::error("unknown-field", entry.key.origin, message).help(
                            match nearest(name, known.iter().copied()) {
                                Some(near) => format!("did you mean `{near}`?"),
                                None => format!("it has `{}`", known.join("`, `")),
                            },
                        ));
                    }
                }
            }
            None => diagnostics.push(wrong_type(&what, "a map", node)),
        }
        Self { node, what, diagnostics }
    }

    /// The value of a field, null as if it were not there.
    pub(super) fn get(&self, name: &str) -> Option<&'n Node> {
        self.node.get(name).filter(|value| !value.is_null())
    }

    /// The place of a field, or of the map.
    pub(super) fn origin(&self, name: &str) -> Origin {
        self.get(name).map_or(self.node.origin(), Node::origin)
    }

    fn typed<T>(&mut self, name: &str, expected: &str, read: impl Fn(&'n Node) -> Option<T>) -> Option<T> {
        let value = self.get(name)?;
        let read = read(value);
        if read.is_none() {
            self.diagnostics.push(wrong_type(&format!("`{name}` of {}", self.what), expected, value));
        }
        read
    }

    pub(super) fn string(&mut self, name: &str) -> Option<String> {
        self.typed(name, "a string", |node| node.as_str().map(str::to_owned))
    }

    pub(super) fn bool(&mut self, name: &str) -> Option<bool> {
        self.typed(name, "a boolean", Node::as_bool)
    }

    pub(super) fn number(&mut self, name: &str) -> Option<f64> {
        self.typed(name, "a number", |node| match node.value() {
            Value::Number(number) => number.as_f64(),
            _ => None,
        })
    }

    pub(super) fn list(&mut self, name: &str) -> &'n [Node] {
        self.typed(name, "a list", Node::as_list).unwrap_or_default()
    }

    /// A map; empty where it is absent.
    pub(super) fn map(&mut self, name: &str) -> Node {
        self.typed(name, "a map", |node| node.as_map().map(|_| node.clone()))
            .unwrap_or_else(|| Node::map([], self.node.origin()))
    }

    pub(super) fn entries(&mut self, name: &str) -> &'n [Entry] {
        self.typed(name, "a map", |node| node.as_map().map(crate::node::Map::entries)).unwrap_or_default()
    }

    /// A string that must be there.
    pub(super) fn required(&mut self, name: &str) -> Option<String> {
        if self.get(name).is_none() {
            let message = format!("{} needs `{name}`", self.what);
            self.diagnostics.push(Diagnostic::error("missing-field", self.node.origin(), message));
        }
        self.string(name)
    }

    /// A string that must be one of `choices`.
    pub(super) fn choice<T: Copy>(&mut self, name: &str, choices: &[(&str, T)]) -> Option<T> {
        let text = self.string(name)?;
        let found = choices.iter().find(|(choice, _)| *choice == text).map(|(_, value)| *value);
        if found.is_none() {
            let names: Vec<&str> = choices.iter().map(|(choice, _)| *choice).collect();
            let message = format!("`{name}` of {} cannot be `{text}`", self.what);
            self.diagnostics.push(Diagnostic::error("value-not-allowed", self.origin(name), message).help(
                match nearest(&text, names.iter().copied()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("allowed: `{}`", names.join("`, `")),
                },
            ));
        }
        found
    }

    /// A map of strings to strings.
    pub(super) fn strings(&mut self, name: &str) -> std::collections::BTreeMap<String, String> {
        let entries = self.entries(name);
        let mut strings = std::collections::BTreeMap::new();
        for entry in entries {
            match entry.value.as_str() {
                Some(text) => {
                    strings.insert(entry.key.text.to_string(), text.to_owned());
                }
                None => {
                    let what = format!("`{}` of `{name}` of {}", entry.key.text, self.what);
                    let fault = wrong_type(&what, "a string", &entry.value);
                    self.diagnostics.push(match entry.value.value() {
                        Value::List(_) | Value::Map(_) | Value::Null => fault,
                        _ => fault.help("put it in quotes"),
                    });
                }
            }
        }
        strings
    }
}

fn wrong_type(what: &str, expected: &str, found: &Node) -> Diagnostic {
    Diagnostic::error("wrong-type", found.origin(), format!("{what} must be {expected}, this is {}", found.kind()))
}
