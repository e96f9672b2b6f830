//! Texts that hold documents, opened. PURE.
//!
//! In: two texts at one place. Out: what both hold, read the same way: JSON, YAML (HBN's start-up file with its `{{ }}`
//! included), or their lines. A text of one line that is no document stays a text.

use std::collections::BTreeMap;

use super::change::Form;
use crate::diagnostic::Severity;
use crate::node::{Entry, Key, Map, Node, Value};
use crate::source::{Origin, SourceTree};
use crate::yaml::read;

/// Stand for the braces of a template that is filled in on the card; nobody writes them.
const BRACES: [(&str, &str); 2] = [("{{", "\u{f0001}"), ("}}", "\u{f0002}")];
/// A longer text is compared by lines.
const MOST_BYTES: usize = 1 << 20;

/// What both texts hold. What is read lies where the texts do.
pub(super) fn open(before: &Node, after: &Node, old: &str, new: &str) -> Option<(Form, Node, Node)> {
    let places = (before.origin(), after.origin());
    let both = |read: fn(&str, Origin) -> Option<Node>| Some((read(old, places.0)?, read(new, places.1)?));
    let short = old.len().max(new.len()) <= MOST_BYTES;
    if short && let Some((old, new)) = both(json) {
        return Some((Form::Json, old, new));
    }
    if short && let Some((old, new)) = both(yaml) {
        return Some((Form::Yaml, old, new));
    }
    (several(old) || several(new)).then(|| (Form::Lines, lines(old, places.0), lines(new, places.1)))
}

/// What a text holds that is a document, however it is written.
pub(super) fn document(text: &str) -> Option<Node> {
    if text.len() > MOST_BYTES { None } else { json(text, Origin::NONE).or_else(|| yaml(text, Origin::NONE)) }
}

fn json(text: &str, origin: Origin) -> Option<Node> {
    if !text.trim_start().starts_with(['{', '[']) {
        return None;
    }
    let value: serde_json::Value = serde_json::from_str(text).ok()?;
    Some(Node::from_json(&value, origin))
}

fn yaml(text: &str, origin: Origin) -> Option<Node> {
    // A template's statements decide what there is: no reader knows it before they ran.
    if !several(text) || text.contains("{%") {
        return None;
    }
    let shielded = shielded(text);
    let files: BTreeMap<String, String> = BTreeMap::new();
    let tree = SourceTree::new(&files);
    let (file, source) = tree.add("", shielded);
    let mut faults = Vec::new();
    let mut documents = read::documents(&source, file, &mut faults);
    let read = !faults.iter().any(|fault| fault.severity == Severity::Error);
    let one = documents.pop().filter(|_| read && documents.is_empty())?;
    matches!(one.value(), Value::Map(_) | Value::List(_)).then(|| placed(&one, origin))
}

/// Whether a text has more than one line.
fn several(text: &str) -> bool {
    text.trim_end_matches('\n').contains('\n')
}

/// The text with the braces of `{{ … }}` replaced; those of maps in maps stay.
fn shielded(text: &str) -> String {
    let [(open, opens), (close, closes)] = BRACES;
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(start) = rest.find(open) {
        let inside = &rest[start + open.len()..];
        let end = inside.find(['{', '}', '\n']).filter(|end| inside[*end..].starts_with(close));
        out.push_str(&rest[..start]);
        match end {
            Some(end) => {
                out.extend([opens, &inside[..end], closes]);
                rest = &inside[end + close.len()..];
            }
            None => {
                out.push('{');
                rest = &rest[start + 1..];
            }
        }
    }
    out.push_str(rest);
    out
}

/// The node with the braces back, all of it at `origin`.
fn placed(node: &Node, origin: Origin) -> Node {
    let restored = |text: &str| BRACES.iter().fold(text.to_owned(), |text, (brace, to)| text.replace(to, brace));
    let value = match node.value() {
        Value::Str(text) => Value::Str(restored(text).into()),
        Value::List(items) => Value::List(items.iter().map(|item| placed(item, origin)).collect()),
        Value::Map(map) => {
            let entry = |entry: &Entry| Entry {
                key: Key { text: restored(&entry.key.text).into(), origin },
                value: placed(&entry.value, origin),
            };
            Value::Map(Map::new(map.entries().iter().map(entry).collect()))
        }
        other => other.clone(),
    };
    Node::new(value, origin)
}

fn lines(text: &str, origin: Origin) -> Node {
    Node::list(text.split_inclusive('\n').map(|line| Node::str(line, origin)).collect(), origin)
}
