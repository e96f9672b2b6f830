//! What differs between two sides of a site, as values: a [`Change`] per object, an [`Edit`] per place in it. PURE.
//!
//! In: made by `pair` and `walk`. Out: read by `impact`, `collapse` and `report`. A change holds the objects as they are,
//! secrets included: nothing of it is printed before `secret` has looked at it.

use std::fmt;
use std::sync::Arc;

use super::impact::Impact;
use crate::node::{Name, Node, Value};
use crate::render::RenderedSite;
use crate::render::object::{Destination, ObjectId};

/// One object of one destination that is not the same on both sides.
#[derive(Clone, Debug)]
pub struct Change {
    /// What happened to it.
    pub kind: ChangeKind,
    /// The object: the head's identity, the base's where it is removed.
    pub id: Arc<ObjectId>,
    /// The base's identity where the object has another name or namespace now.
    pub was: Option<Arc<ObjectId>>,
    /// The base's object; absent where it is added.
    pub before: Option<Node>,
    /// The head's object; absent where it is removed.
    pub after: Option<Node>,
    /// What differs, in order of path; empty where the object is added or removed as a whole.
    pub edits: Vec<Edit>,
}

/// What happened to an object, in order of harm.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum ChangeKind {
    /// It is in the base only.
    Removed,
    /// Its name or namespace is another; the API server sees a removal and an addition.
    Renamed,
    /// It is on both sides and differs.
    Changed,
    /// It is in the head only.
    Added,
}

impl ChangeKind {
    /// One word for people and for JSON.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Removed => "removed",
            Self::Renamed => "renamed",
            Self::Changed => "changed",
            Self::Added => "added",
        }
    }
}

/// One place in an object that differs. Applying every edit of a change to `before` gives `after`.
#[derive(Clone, Debug)]
pub struct Edit {
    /// Where, from the object's top; inside an opened text, from the top of its document.
    pub path: Path,
    /// What was there; absent where it is added.
    pub before: Option<Node>,
    /// What is there; absent where it is removed.
    pub after: Option<Node>,
    /// What differs inside, where both are texts that hold documents or lines.
    pub inside: Option<Inside>,
    /// Both are lists of items that have keys, which stand in another order.
    pub reordered: bool,
    /// Whether a value here may be a secret: that it changed is shown, and nothing else of it.
    pub secret: bool,
    /// Why it need not be read, where that is so.
    pub noise: Option<Noise>,
}

/// The inside of two texts.
#[derive(Clone, Debug)]
pub struct Inside {
    /// How they were read.
    pub form: Form,
    /// What differs between the documents.
    pub edits: Vec<Edit>,
}

/// How an embedded text is read.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Form {
    /// One JSON document.
    Json,
    /// One YAML document.
    Yaml,
    /// Lines, as a list of strings; each with its line feed, so that joining them gives the text.
    Lines,
}

/// Why an edit is counted and not shown.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Noise {
    /// A digest of content that is compared itself.
    Digest,
    /// A version label or selector that follows from a name.
    Version,
    /// The same number in another form.
    NumberForm,
    /// The same embedded document, written otherwise.
    Layout,
    /// Where in a list an item was put that has a key.
    Position,
}

impl Noise {
    /// What is said of those that were not shown.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Digest => "content digests",
            Self::Version => "version labels",
            Self::NumberForm => "numbers in another form",
            Self::Layout => "texts of the same content",
            Self::Position => "places in lists",
        }
    }
}

/// A place in an object.
#[derive(Clone, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Path(pub Vec<Step>);

/// One step of a [`Path`].
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Step {
    /// A key of a map.
    Key(Name),
    /// The item of a list that has this value below its merge key.
    Item {
        /// The merge key.
        key: &'static str,
        /// Its value, as text.
        value: Box<str>,
    },
    /// An item of a list without a merge key: its index in the base where it is removed, else in the head.
    Index(usize),
    /// Into the document that the text holds.
    Inside(Form),
}

/// An object's change where it happened.
#[derive(Clone, Copy)]
pub struct Occurrence<'a> {
    /// The base of the site; absent where the site is added.
    pub base: Option<&'a RenderedSite>,
    /// The head of the site; absent where the site is removed.
    pub head: Option<&'a RenderedSite>,
    /// Where the object goes; the base's name where the object or its cluster is removed.
    pub destination: &'a Destination,
    /// What differs.
    pub change: &'a Change,
}

/// A change, where it happened, and what that does.
#[derive(Clone, Debug)]
pub struct Judged {
    /// Name of the site: the head's, the base's where it is removed.
    pub site: Arc<str>,
    /// Where the object goes.
    pub destination: Destination,
    /// What differs; one value for all destinations in which the same differs.
    pub change: Arc<Change>,
    /// What it is part of.
    pub whole: Whole,
    /// What it does, where a rule says so.
    pub impact: Option<Impact>,
}

/// What is added or removed with all that it holds.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Whole {
    /// A site.
    Site,
    /// A DPU cluster of a site.
    Cluster,
    /// The object alone.
    Object,
}

impl Edit {
    /// The places that differ with nothing opened below them: this edit, or those inside it, their paths from the object's top.
    #[must_use]
    pub fn leaves(&self) -> Vec<(Path, &Self)> {
        match &self.inside {
            None => vec![(self.path.clone(), self)],
            Some(inside) => {
                let top = self.path.with(Step::Inside(inside.form));
                let below = |(path, edit): (Path, _)| (Path([&*top.0, &path.0].concat()), edit);
                inside.edits.iter().flat_map(Self::leaves).map(below).collect()
            }
        }
    }

    /// `added`, `removed` or `changed`, as of the object.
    #[must_use]
    pub fn kind(&self) -> ChangeKind {
        match (&self.before, &self.after) {
            (None, _) => ChangeKind::Added,
            (_, None) => ChangeKind::Removed,
            _ => ChangeKind::Changed,
        }
    }
}

impl Path {
    /// One step further down.
    #[must_use]
    pub fn with(&self, step: Step) -> Self {
        let mut steps = Vec::with_capacity(self.0.len() + 1);
        steps.extend_from_slice(&self.0);
        steps.push(step);
        Self(steps)
    }

    /// The keys on the way, without what tells items of lists apart and without what opens texts.
    pub fn keys(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.iter().filter_map(|step| match step {
            Step::Key(key) => Some(&**key),
            _ => None,
        })
    }

    /// Whether the keys on the way begin with these; `*` stands for any one key.
    #[must_use]
    pub fn starts_with(&self, keys: &[&str]) -> bool {
        let mut own = self.keys();
        keys.iter().all(|key| own.next().is_some_and(|own| *key == "*" || own == *key))
    }
}

/// `spec.template.spec.containers[name=ovn].image`, keys that are no plain word in quotes; `»` leads into a text.
impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain =
            |text: &str| !text.is_empty() && !text.contains(|c: char| !(c.is_alphanumeric() || "_-/".contains(c)));
        let mut dot = "";
        let mut lines = false;
        for step in &self.0 {
            match step {
                Step::Index(index) if lines => write!(f, "line {}", index + 1)?,
                Step::Key(key) if plain(key) => write!(f, "{dot}{}", &**key)?,
                Step::Key(key) => write!(f, "{dot}{}", serde_json::Value::from(&**key))?,
                Step::Item { key, value } => write!(f, "[{key}={value}]")?,
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::Inside(_) => f.write_str(" » ")?,
            }
            lines = matches!(step, Step::Inside(Form::Lines));
            dot = if matches!(step, Step::Inside(_)) { "" } else { "." };
        }
        Ok(())
    }
}

/// What the value of a merge key is called in a [`Step::Item`].
#[must_use]
pub fn item_value(node: &Node) -> Box<str> {
    match node.value() {
        Value::Str(text) => text.clone(),
        _ => node.to_json().to_string().into(),
    }
}
