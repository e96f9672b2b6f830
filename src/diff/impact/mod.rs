//! What a change does to cards, nodes, traffic and pods. PURE.
//!
//! ```text
//! Change ─▶ refused (the release's CRDs and webhooks)
//!   ─ prune (what Argo CD leaves behind) ─ table (kind, path → rule; rows/) ─ the rows' closer looks ─▶ the worst verdict
//!   ─ cards, fleet (the inventory) ─▶ Impact: class, rule, why, DPUs by name, how many at a time
//! ```
//!
//! In: a [`Change`] where it happened, with both sides of its site. Out: [`Impact`]. Of several edits the most harmful decides.
//! A kind that the table does not have is `unknown`, and so is a change of one whose controller is not public.

mod cards;
mod case;
mod class;
mod fleet;

pub mod gate;
mod ipam;
mod prune;
mod refused;
mod revision;
mod rows;
mod selection;
mod table;
#[cfg(test)]
mod tests;

use super::change::{Change, ChangeKind, Edit, Noise, Occurrence, Path, Step};
use crate::node::Node;
use crate::render::RenderedSite;
use crate::render::object::{Destination, ObjectId};
use cards::Cards;
use case::{Case, Verdict};
pub use class::Class;
use fleet::Fleet;
use table::{Kind, Row};

/// What a change does.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Impact {
    /// How much harm it does.
    pub class: Class,
    /// Name of the rule that decided.
    pub rule: &'static str,
    /// Why, in a sentence or two; what to do instead or by hand where there is something.
    pub why: String,
    /// Names of the DPUs that it touches, sorted; empty where none is or where they are not known.
    pub dpus: Vec<String>,
    /// Which DPUs in words, where no inventory names them.
    pub of: Option<String>,
    /// How many of them at a time, as the object says it.
    pub at_a_time: Option<String>,
    /// The place that decided, where the object is not added or removed as a whole.
    pub path: Option<Path>,
}

/// Judges the changes of one site; what it learns of the cards it keeps.
pub struct Judge<'a> {
    base: Option<Fleet<'a>>,
    head: Option<Fleet<'a>>,
}

/// What the change does.
#[must_use]
pub fn decide(occurrence: &Occurrence<'_>) -> Option<Impact> {
    Some(Judge::new(occurrence.base, occurrence.head).judge(occurrence.destination, occurrence.change))
}

/// Whether the table knows a kind; what happens to others is `unknown`.
#[must_use]
pub fn is_known(group: &str, kind: &str) -> bool {
    table::of_kind(group, kind).is_some()
}

impl<'a> Judge<'a> {
    /// Of the two sides of a site.
    #[must_use]
    pub fn new(base: Option<&'a RenderedSite>, head: Option<&'a RenderedSite>) -> Self {
        Self { base: base.map(Fleet::new), head: head.map(Fleet::new) }
    }

    /// What a change of an object of `destination` does.
    #[must_use]
    pub fn judge(&self, destination: &Destination, change: &Change) -> Impact {
        let (base, head) = (self.base.as_ref(), self.head.as_ref());
        let case = |id, before, after| Case { base, head, destination, id, before, after, edit: None };
        let (before, after) = (change.before.as_ref(), change.after.as_ref());
        let found: Vec<(Verdict, Option<Path>)> = match change.kind {
            ChangeKind::Added => vec![(whole(&case(&change.id, None, after)), None)],
            ChangeKind::Removed => vec![(whole(&case(&change.id, before, None)), None)],
            // To the API server it is another object.
            ChangeKind::Renamed => {
                let was = change.was.as_ref().unwrap_or(&change.id);
                let gone = whole(&case(was, before, None));
                vec![(gone, None), (whole(&case(&change.id, None, after)), None)]
            }
            ChangeKind::Changed => edits(&case(&change.id, before, after), &change.edits),
        };
        let worst = found.into_iter().reduce(|worst, next| if next.0.class < worst.0.class { next } else { worst });
        match worst {
            Some((verdict, path)) => impact(verdict, path),
            None => impact(Verdict::new(Class::Nothing, "same", "Nothing differs.", Cards::default()), None),
        }
    }
}

fn impact(verdict: Verdict, path: Option<Path>) -> Impact {
    let Verdict { class, rule, why, cards: Cards { names, of }, at_a_time } = verdict;
    Impact { class, rule, why, dpus: names, of, at_a_time, path }
}

/// An object that comes or goes.
fn whole(case: &Case<'_>) -> Verdict {
    let Some(kind) = table::of_kind(&case.id.group, &case.id.kind) else { return unknown(case.id) };
    if case.after.is_some() {
        return said(&kind.created, case);
    }
    prune::kept(case).unwrap_or_else(|| said(&kind.deleted, case))
}

/// The verdicts of an object that is on both sides, by edit. One place that is refused has the API server refuse them all.
fn edits<'a>(case: &Case<'a>, edits: &'a [Edit]) -> Vec<(Verdict, Option<Path>)> {
    let (Some(before), Some(after)) = (case.before, case.after) else { return Vec::new() };
    let refusals = refused::refusals(case.id, before, after, case.release());
    if let Some(first) = refusals.first() {
        let place = edits.iter().find(|edit| refused::speaks_of(first, &edit.path)).map(|edit| edit.path.clone());
        return vec![(refused::verdict(case, first), place)];
    }
    let kind = table::of_kind(&case.id.group, &case.id.kind);
    // A number in another form is the same number. Of the other noise, a digest in a pod template has the pods replaced, and a
    // text of another layout is another text to a chart.
    let says_something = |edit: &&Edit| edit.noise != Some(Noise::NumberForm);
    edits
        .iter()
        .filter(says_something)
        .flat_map(|edit| {
            let case = Case { edit: Some(edit), ..*case };
            match kind {
                Some(kind) => of_edit(&case, kind, edit),
                None => vec![unknown(case.id)],
            }
            .into_iter()
            .map(|verdict| (verdict, Some(edit.path.clone())))
        })
        .collect()
}

fn of_edit(case: &Case<'_>, kind: &'static Kind, edit: &Edit) -> Vec<Verdict> {
    // What is inside a text counts as a change of the text.
    let keys: Vec<&str> =
        edit.path.0.iter().take_while(|step| !matches!(step, Step::Inside(_))).filter_map(key).collect();
    let values: Vec<&Node> = match edit.kind() {
        ChangeKind::Changed => Vec::new(),
        _ => edit.before.iter().chain(&edit.after).collect(),
    };
    kind.of_edit(&keys, edit.kind(), &values).into_iter().map(|row| said(row, case)).collect()
}

fn key(step: &Step) -> Option<&str> {
    match step {
        Step::Key(name) => Some(name),
        _ => None,
    }
}

fn said(row: &Row, case: &Case<'_>) -> Verdict {
    let closer = row.closer.and_then(|closer| closer(case));
    closer.unwrap_or_else(|| {
        let rate = (row.rule.class == Class::Restarted).then(|| selection::pod_rate(case)).flatten();
        Verdict::of(row.rule, (row.reach)(case)).at_a_time(rate)
    })
}

fn unknown(id: &ObjectId) -> Verdict {
    let group = if id.group.is_empty() { "the core group" } else { &id.group };
    let why = format!("Unknown: no rule speaks of {} of {group}.", id.kind);
    Verdict::new(Class::Unknown, "unknown-kind", why, Cards::default())
}
