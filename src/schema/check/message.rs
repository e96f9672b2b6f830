//! The words of the schema's diagnostics: paths, types, lists of names, releases. PURE.

use std::fmt;

use crate::node::{Node, Value};
use crate::schema::table::Type;
use crate::site::Release;

/// A step down into an object.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step<'p> {
    /// A key of a map.
    Field(&'p str),
    /// An index of a list.
    Item(usize),
}

/// A path into an object, on the stack: nothing is allocated unless it is printed.
#[derive(Clone, Copy)]
pub(super) struct Path<'p>(Option<(&'p Path<'p>, Step<'p>)>);

impl<'p> Path<'p> {
    /// The object itself.
    pub(super) const ROOT: Path<'static> = Path(None);

    pub(super) fn field(&'p self, name: &'p str) -> Self {
        Self(Some((self, Step::Field(name))))
    }

    pub(super) fn item(&'p self, index: usize) -> Self {
        Self(Some((self, Step::Item(index))))
    }

    pub(super) fn is_root(&self) -> bool {
        self.0.is_none()
    }

    /// From the object down.
    pub(super) fn steps(&self) -> Vec<Step<'p>> {
        let mut steps = Vec::new();
        let mut here = self.0;
        while let Some((above, step)) = here {
            steps.push(step);
            here = above.0;
        }
        steps.reverse();
        steps
    }

    /// The last key.
    pub(super) fn name(&self) -> String {
        match self.0 {
            Some((_, Step::Field(name))) => name.to_owned(),
            _ => self.to_string(),
        }
    }
}

/// `spec.switches[0].labels["a.b/c"]`.
impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, step) in self.steps().into_iter().enumerate() {
            match step {
                Step::Item(item) => write!(f, "[{item}]")?,
                Step::Field(name) if name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)) => {
                    write!(f, "{}{name}", if index == 0 { "" } else { "." })?;
                }
                Step::Field(name) => write!(f, "[\"{name}\"]")?,
            }
        }
        Ok(())
    }
}

/// ``DPUService `apps/web` ``.
pub(super) fn subject(object: &Node, kind: &str) -> String {
    let kind = if kind.is_empty() { "an object" } else { kind };
    match (object.text(&["metadata", "namespace"]), object.text(&["metadata", "name"])) {
        (Some(namespace), Some(name)) => format!("{kind} `{namespace}/{name}`"),
        (None, Some(name)) => format!("{kind} `{name}`"),
        _ => kind.to_owned(),
    }
}

/// What a type is called.
pub(super) fn noun(kind: Type) -> &'static str {
    match kind {
        Type::Any => "a value",
        Type::Object => "a map",
        Type::Array => "a list",
        Type::String => "a string",
        Type::Integer => "an integer",
        Type::Number => "a number",
        Type::Boolean => "`true` or `false`",
        Type::IntOrString => "an integer or a string",
    }
}

/// A scalar without quotes; lists and maps as JSON.
pub(super) fn scalar(node: &Node) -> String {
    match node.value() {
        Value::Str(text) => text.to_string(),
        _ => node.to_json().to_string(),
    }
}

/// `` `a`, `b` ``.
pub(super) fn ticked(names: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    names.into_iter().map(|name| format!("`{}`", name.as_ref())).collect::<Vec<_>>().join(", ")
}

/// The beginning of a long text.
pub(super) fn excerpt(text: &str) -> String {
    const MOST: usize = 60;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// `from v25.7 on`, `until v25.1`, `of v25.4, v25.7`.
pub(super) fn releases(having: impl Fn(&Release) -> bool) -> String {
    let found: Vec<Release> = Release::ALL.into_iter().filter(|release| having(release)).collect();
    if let [first, .., last] = found[..] {
        let unbroken = Release::ALL.iter().filter(|release| (first..=last).contains(release)).count() == found.len();
        match Release::ALL {
            [.., newest] if unbroken && last == newest => return format!("from {first} on"),
            [oldest, ..] if unbroken && first == oldest => return format!("until {last}"),
            _ => {}
        }
    }
    format!("of {}", found.iter().map(|release| release.name()).collect::<Vec<_>>().join(", "))
}
