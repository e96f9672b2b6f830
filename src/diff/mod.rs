//! What a change of the configuration does: two rendered sides to a report. PURE.
//!
//! ```text
//! two RenderedSites ─ pair (what belongs together) ─ walk (what differs, path by path; embedded, secret, noise)
//!   ─ impact (what that does) ─▶ SiteDiff ─ collapse (what is equal everywhere is one entry) ─▶ report::Report
//! ```

mod cause;
pub mod change;
pub mod collapse;
mod embedded;
pub mod impact;
mod neutral;
mod noise;
pub mod pair;
pub mod ranges;
pub mod report;
pub mod rollout;
pub mod secret;
#[cfg(test)]
mod tests;
pub mod walk;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::node::Node;
use crate::render::object::Destination;
use crate::render::{RenderedDestination, RenderedObject, RenderedSite};
use change::{Change, ChangeKind, Judged, Whole};
use impact::Judge;

/// What is known of pairs of nodes that many destinations have; for all sites of a run.
#[derive(Default)]
pub struct Memo(Mutex<BTreeMap<(usize, usize), Known>>);

/// Both nodes, held so that no address is used twice, and what differs between them.
type Known = (Node, Node, Option<Arc<Change>>);

/// What differs between the two sides of a site.
#[derive(Debug)]
pub struct SiteDiff {
    /// Its name: the head's, the base's where it is removed.
    pub site: Arc<str>,
    /// Its name in the base where that is another.
    pub was: Option<String>,
    /// DPU clusters that have another name now: the base's and the head's.
    pub renamed: Vec<(String, String)>,
    /// Its variables that differ.
    variables: cause::Variables,
    /// What names of its clusters and nodes stand for, for `neutral`.
    names: neutral::Names,
    /// Every change, by destination.
    pub changes: Vec<Judged>,
}

/// Compares the two sides of a site, of which at least one is there.
#[must_use]
pub fn site(base: Option<&RenderedSite>, head: Option<&RenderedSite>, memo: &Memo) -> SiteDiff {
    let name = |site: Option<&RenderedSite>| site.map(|site| site.name.clone());
    let site: Arc<str> = name(head).or_else(|| name(base)).unwrap_or_default().into();
    let was = name(base).filter(|was| **was != *site && head.is_some());
    let names = neutral::Names::of(&site, [base, head].into_iter().flatten());
    let variables = base.zip(head).map(|(base, head)| cause::Variables::of(base, head)).unwrap_or_default();
    let mut diff = SiteDiff { site, was, renamed: Vec::new(), variables, names, changes: Vec::new() };
    let judge = Judge::new(base, head);
    match (base, head) {
        (Some(before), Some(after)) => {
            for (before, after) in pair::destinations(before, after) {
                if let (Some(before), Some(after)) = (before, after)
                    && before.destination != after.destination
                {
                    diff.renamed.push((before.destination.to_string(), after.destination.to_string()));
                }
                let whole = if before.is_some() && after.is_some() { Whole::Object } else { Whole::Cluster };
                diff.destination(&judge, before, after, whole, memo);
            }
        }
        _ => {
            for before in base.iter().flat_map(|site| &site.destinations) {
                diff.destination(&judge, Some(before), None, Whole::Site, memo);
            }
            for after in head.iter().flat_map(|site| &site.destinations) {
                diff.destination(&judge, None, Some(after), Whole::Site, memo);
            }
        }
    }
    diff
}

impl SiteDiff {
    fn destination(
        &mut self,
        judge: &Judge<'_>,
        before: Option<&RenderedDestination>,
        after: Option<&RenderedDestination>,
        whole: Whole,
        memo: &Memo,
    ) {
        let Some(destination) = after.or(before).map(|one| &one.destination) else { return };
        let before = before.map_or(&[][..], |side| &side.objects);
        let after = after.map_or(&[][..], |side| &side.objects);
        for (before, after) in pair::objects(before, after) {
            if let Some(change) = memo.change(before, after) {
                self.judge(judge, destination, whole, change);
            }
        }
    }

    fn judge(&mut self, judge: &Judge<'_>, destination: &Destination, whole: Whole, change: Arc<Change>) {
        let impact = Some(judge.judge(destination, &change));
        let site = Arc::clone(&self.site);
        self.changes.push(Judged { site, destination: destination.clone(), change, whole, impact });
    }
}

impl Memo {
    /// What differs between the two halves of a pair; nothing where they are equal.
    fn change(&self, before: Option<&RenderedObject>, after: Option<&RenderedObject>) -> Option<Arc<Change>> {
        if let (Some(before), Some(after)) = (before, after)
            && before.id == after.id
            && before.node.same(&after.node)
        {
            return None;
        }
        let nodes = before.map(|object| &object.node).zip(after.map(|object| &object.node));
        // A pair of which one half is nowhere else is not asked for again.
        let often = nodes.filter(|(before, after)| before.owners() > 1 && after.owners() > 1);
        let Some((old, new)) = often else { return change(before, after).map(Arc::new) };
        let key = (old.address(), new.address());
        let lock = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((.., known)) = lock().get(&key) {
            return known.clone();
        }
        let found = change(before, after).map(Arc::new);
        let mut known = lock();
        known.entry(key).or_insert_with(|| (old.clone(), new.clone(), found)).2.clone()
    }
}

fn change(before: Option<&RenderedObject>, after: Option<&RenderedObject>) -> Option<Change> {
    let id = &after.or(before)?.id;
    let (kind, edits) = match (before, after) {
        (None, _) => (ChangeKind::Added, Vec::new()),
        (_, None) => (ChangeKind::Removed, Vec::new()),
        (Some(before), Some(after)) => {
            let kind = if before.id == after.id { ChangeKind::Changed } else { ChangeKind::Renamed };
            (kind, walk::edits(&before.node, &after.node, id))
        }
    };
    if kind == ChangeKind::Changed && edits.is_empty() {
        return None;
    }
    let was = before.filter(|_| kind == ChangeKind::Renamed).map(|object| Arc::clone(&object.id));
    let node = |object: Option<&RenderedObject>| object.map(|object| object.node.clone());
    Some(Change { kind, id: Arc::clone(id), was, before: node(before), after: node(after), edits })
}
