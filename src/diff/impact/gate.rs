//! Changes that must be acknowledged: `--fail-on`, and the note in the site that lets them pass. PURE.
//!
//! In: what differs in a site, and the site on both sides. Out: what is held, with the line to write; and lines that
//! acknowledge nothing.
//!
//! The note is the annotation `dpu-render.dev/acknowledge` of `site.yaml`, a line for each word and kind:
//! `reprovision DPUSet 2 9c41d07a`, then what people want to say. The count and the digest are of all changes of that word and
//! kind in the site, so that another change needs another line. A line that the base has already has been used, and counts no
//! more. The digest covers site, word and kind; of each change the destination, the object's name, what happened, class, rule
//! and cards; of an object that is on both sides each place that differs with its values, as a report shows them. In place of
//! what may be a secret it covers that something is there; noise it does not cover, digests of content with it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use super::Class;
use crate::diff::SiteDiff;
use crate::diff::change::{ChangeKind, Edit, Judged, Whole};
use crate::diff::secret;
use crate::node::Node;
use crate::render::RenderedSite;

/// The annotation of `site.yaml`.
pub const ANNOTATION: &str = "dpu-render.dev/acknowledge";

/// What is held unless it is acknowledged.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Gate {
    /// A change of this class or a worse one.
    Class(Class),
    /// An object that is there no more.
    Lost,
    /// A DPU cluster or site that is there no more, or has no object left.
    Emptied,
}

impl Gate {
    /// The gates that a word of `--fail-on` sets. `destructive` is cards that are installed anew, clusters that are emptied and
    /// objects that are lost.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Vec<Self>> {
        match word {
            "destructive" => Some(vec![Self::Class(Class::Reprovisioned), Self::Emptied, Self::Lost]),
            "emptied" => Some(vec![Self::Emptied]),
            "lost" => Some(vec![Self::Lost]),
            _ => Class::of_word(word).map(|class| vec![Self::Class(class)]),
        }
    }

    /// Every word of `--fail-on`.
    pub fn words() -> impl Iterator<Item = &'static str> {
        ["destructive", "emptied", "lost"].into_iter().chain(Class::ALL.map(Class::word))
    }

    /// The word under which this gate holds a change.
    fn holds(self, judged: &Judged) -> Option<&'static str> {
        let gone = matches!(judged.change.kind, ChangeKind::Removed | ChangeKind::Renamed);
        let class = judged.impact.as_ref().map_or(Class::Unknown, |impact| impact.class);
        match self {
            Self::Class(least) => (class <= least).then(|| class.word()),
            Self::Lost => (gone && judged.whole == Whole::Object).then_some("lost"),
            Self::Emptied => (gone && judged.whole != Whole::Object).then_some("emptied"),
        }
    }
}

/// Changes of one word and kind that nobody acknowledged.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Held {
    /// Name of the site.
    pub site: String,
    /// Under which word.
    pub word: &'static str,
    /// Of which kind.
    pub kind: String,
    /// The objects, with their destination.
    pub objects: Vec<String>,
    /// The cards, sorted.
    pub dpus: Vec<String>,
    /// The line that acknowledges it.
    pub line: String,
    /// Where that is written: the site as a whole is gone, so that the base must have it.
    pub in_base: bool,
}

/// What the gates say of a site.
#[derive(Clone, Debug, Default)]
pub struct Gated {
    /// What is held, the worst first.
    pub held: Vec<Held>,
    /// Lines of the note that acknowledge nothing in this change and are not of the base.
    pub idle: Vec<String>,
}

/// What is held of a site's changes.
#[must_use]
pub fn site(diff: &SiteDiff, base: Option<&RenderedSite>, head: Option<&RenderedSite>, gates: &[Gate]) -> Gated {
    let mut groups: BTreeMap<(&'static str, &str), Vec<&Judged>> = BTreeMap::new();
    for judged in &diff.changes {
        let words: BTreeSet<&str> = gates.iter().filter_map(|gate| gate.holds(judged)).collect();
        // One word is enough: that of the class says most, but for a cluster that goes.
        let word = words.iter().find(|word| **word == "emptied").or_else(|| words.iter().find(|word| **word != "lost"));
        if let Some(word) = word.or_else(|| words.first()) {
            groups.entry((static_word(word), &judged.change.id.kind)).or_default().push(judged);
        }
    }
    let (old, new) = (lines(base), lines(head));
    let in_base = head.is_none();
    let counts: BTreeSet<String> = if in_base { old } else { new.difference(&old).cloned().collect() };
    let mut used: BTreeSet<&String> = BTreeSet::new();
    let mut held = Vec::new();
    for ((word, kind), members) in groups {
        let line = line(&diff.site, word, kind, &members);
        let own = counts.iter().filter(|counted| acknowledges(counted, &line)).collect::<Vec<_>>();
        if own.is_empty() {
            let objects = members.iter().map(|one| format!("{} in {}", one.change.id, one.destination)).collect();
            let dpus: BTreeSet<String> =
                members.iter().filter_map(|one| one.impact.as_ref()).flat_map(|impact| impact.dpus.clone()).collect();
            let (site, kind, dpus) = (diff.site.to_string(), kind.to_owned(), dpus.into_iter().collect());
            held.push(Held { site, word, kind, objects, dpus, line, in_base });
        }
        used.extend(own);
    }
    // Clusters that go, then by class, then what is only lost.
    let rank = |word: &str| (word == "lost", word != "emptied", Class::of_word(word));
    held.sort_by_key(|one| (rank(one.word), one.kind.clone()));
    let idle = counts.iter().filter(|line| !in_base && !used.contains(line)).cloned().collect();
    Gated { held, idle }
}

fn static_word(word: &str) -> &'static str {
    Gate::words().find(|known| *known == word).unwrap_or("lost")
}

/// The lines of a site's note.
fn lines(site: Option<&RenderedSite>) -> BTreeSet<String> {
    let note = site.and_then(|site| site.site.node.text(&["metadata", "annotations", ANNOTATION])).unwrap_or_default();
    note.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

/// Whether a line of the note begins with the words of another.
fn acknowledges(note: &str, line: &str) -> bool {
    let mut words = note.split_whitespace();
    line.split_whitespace().all(|word| words.next() == Some(word))
}

fn line(site: &str, word: &str, kind: &str, members: &[&Judged]) -> String {
    let mut told: Vec<String> = members.iter().map(|judged| told(judged)).collect();
    told.sort();
    let mut hash = Sha256::new();
    hash.update(format!("{site}\n{word}\n{kind}\n"));
    for member in told {
        hash.update(member);
    }
    let digest = hash.finalize().iter().take(4).fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    });
    format!("{word} {kind} {} {digest}", members.len())
}

/// A change as the digest sees it.
fn told(judged: &Judged) -> String {
    let change = &judged.change;
    let mut out = format!("{} {} {} {}", judged.destination, change.kind.word(), change.id.group, change.id);
    if let Some(was) = &change.was {
        let _ = write!(out, " was {was}");
    }
    if let Some(impact) = &judged.impact {
        let _ = write!(out, " {} {} {:?}", impact.class.word(), impact.rule, impact.dpus);
    }
    out.push('\n');
    // Noise follows from what is told; a digest of content would tell of secrets in it.
    let told = change.edits.iter().filter(|edit| edit.noise.is_none());
    for (path, edit) in told.flat_map(Edit::leaves).filter(|(_, edit)| edit.noise.is_none()) {
        let value = |node: &Option<Node>| match node {
            None => "absent".to_owned(),
            Some(_) if edit.secret => "hidden".to_owned(),
            Some(node) => secret::masked(node, &change.id, &mut path.0.clone()).to_json().to_string(),
        };
        let _ = writeln!(out, "{path} {} {}", value(&edit.before), value(&edit.after));
    }
    out
}
