//! A report: what two sides differ in, ready to be printed. PURE.
//!
//! Holds texts and JSON only, secrets masked; `text`, `markdown` and `json` print it.

pub mod json;
pub mod markdown;
pub mod text;
mod words;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;

use super::change::{ChangeKind, Form, Noise, Whole};
use super::impact::Class;
use super::impact::gate::Held;

/// What two sides differ in.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// What the base is called: a revision, a folder.
    pub base: String,
    /// What the head is called.
    pub head: String,
    /// Sites that were compared.
    pub sites: usize,
    /// Sites of both sides that were not compared, as no file that they read differs.
    pub unaffected: usize,
    /// What differs, the most harm first.
    pub entries: Vec<Entry>,
    /// Names that sites and clusters had in the base and have now.
    pub renamed: Vec<Renamed>,
    /// How many places are not shown, by reason.
    pub hidden: BTreeMap<Noise, usize>,
    /// Sites of which there is no comparison.
    pub without_answer: Vec<Unanswered>,
    /// How the head comes to the clusters: what it is of, and a line per stage.
    pub rollouts: Vec<(String, Vec<String>)>,
    /// What nobody has acknowledged.
    pub held: Vec<Held>,
}

/// A site or cluster that has another name now.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Renamed {
    /// The site.
    pub site: String,
    /// The name in the base.
    pub was: String,
    /// The DPU cluster's name now; absent where it is the site that is renamed.
    pub cluster: Option<String>,
}

/// A site that does not render on one side.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Unanswered {
    /// Folder of the site.
    pub site: String,
    /// Which side: `base` or `head`.
    pub side: Side,
    /// How many errors it has there.
    pub errors: usize,
}

/// One of the two.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Side {
    /// What was.
    Base,
    /// What is.
    Head,
}

impl Side {
    /// `base` or `head`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Base => "base",
            Self::Head => "head",
        }
    }
}

/// Changes that are the same but for where they are, and perhaps for values.
#[derive(Clone, Debug)]
pub struct Entry {
    /// What happened.
    pub kind: ChangeKind,
    /// To what: an object, or all of a cluster or site.
    pub whole: Whole,
    /// API group of the objects; empty for the core, and where they are of several kinds.
    pub group: String,
    /// Kind of the objects; empty where they are of several kinds.
    pub object: String,
    /// Kinds and how many objects there are of each.
    pub kinds: BTreeMap<String, usize>,
    /// What it does; absent where no rule speaks of it.
    pub impact: Option<ShownImpact>,
    /// The same places with these values, the most frequent first.
    pub variants: Vec<Variant>,
}

/// What an entry does, over all places where it happens.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct ShownImpact {
    /// How much harm.
    pub class: Class,
    /// The rule that decided.
    pub rule: String,
    /// Why.
    pub why: String,
    /// Cards by site: two sites may have some of the same names.
    pub dpus: BTreeMap<String, BTreeSet<String>>,
    /// Which cards in words, where no inventory names them.
    pub of: BTreeSet<String>,
    /// How many at a time, as the objects say it.
    pub at_a_time: BTreeSet<String>,
}

/// One set of values of an entry.
#[derive(Clone, Debug)]
pub struct Variant {
    /// Names of the objects, `namespace/name`; `<cluster>` and the like stand in one that is other in each.
    pub names: BTreeSet<String>,
    /// What they were called, where they are renamed.
    pub was: BTreeSet<String>,
    /// What differs; empty where objects are added or removed.
    pub edits: Vec<ShownEdit>,
    /// An added or removed object as YAML; absent where there are several.
    pub yaml: Option<String>,
    /// Where it happens: destinations by site.
    pub places: BTreeMap<String, BTreeSet<String>>,
    /// How many objects.
    pub objects: usize,
    /// Lines that caused it, `path:line`; some, where there are many.
    pub at: Vec<String>,
    /// How many more lines there are.
    pub more_at: usize,
}

/// One place in an object.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ShownEdit {
    /// Where, as people write it.
    pub path: String,
    /// What happened there.
    pub kind: ChangeKind,
    /// What was there.
    pub before: Option<Shown>,
    /// What is there.
    pub after: Option<Shown>,
    /// It is the order of a list.
    pub reordered: bool,
    /// It lies in a text that was read like this.
    pub form: Option<Form>,
    /// It is noise: JSON has its place, the other forms count it.
    pub noise: Option<Noise>,
}

/// A value as it may be shown.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Shown {
    /// It may be a secret, or is noise.
    Hidden,
    /// The value, secrets in it hidden.
    Value(Json),
}

/// How many there are of everything.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Totals {
    /// Objects, by what happened: removed, renamed, changed, added.
    pub objects: [usize; 4],
    /// Sites in which something differs.
    pub sites: usize,
    /// DPU clusters in which, or in whose Applications, something differs.
    pub destinations: usize,
}

impl Report {
    /// Whether nothing differs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.renamed.is_empty()
    }

    /// How many there are of everything.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        let mut places: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for entry in &self.entries {
            for variant in &entry.variants {
                totals.objects[entry.kind as usize] += variant.objects;
                for (site, destinations) in &variant.places {
                    places.entry(site).or_default().extend(destinations.iter().map(String::as_str));
                }
            }
        }
        totals.sites = places.len();
        totals.destinations = places.values().map(BTreeSet::len).sum();
        totals
    }
}

impl Entry {
    /// How many objects.
    #[must_use]
    pub fn objects(&self) -> usize {
        self.variants.iter().map(|variant| variant.objects).sum()
    }

    /// Whether nothing of it is to be read: every place is noise.
    #[must_use]
    pub fn is_noise(&self) -> bool {
        let noise =
            |variant: &Variant| !variant.edits.is_empty() && variant.edits.iter().all(|edit| edit.noise.is_some());
        self.variants.iter().all(noise)
    }
}
