//! `spec.expect`: the least number of objects per destination and kind, so that a site that lost some fails instead of having
//! Argo CD prune what is gone. PURE.
//!
//! In: the document of a site and its final objects. Out: [`Expectation`]s, faults where there are too few objects, and
//! [`counted`], what today's objects would have the site expect.

use std::collections::{BTreeMap, BTreeSet};

use crate::diagnostic::{Diagnostic, nearest};
use crate::node::{Node, Value};
use crate::render::object::ObjectId;
use crate::site::Site;
use crate::source::Origin;

/// One line of `spec.expect`.
#[derive(Clone, Debug)]
pub struct Expectation {
    /// `management`, or a DPU cluster's name.
    pub destination: String,
    /// `Kind`, of any group, or `Kind.group`.
    pub kind: String,
    /// So many at least.
    pub least: usize,
    /// Where the number is.
    pub origin: Origin,
}

fn if_meant(site: &Site) -> String {
    format!("where that is meant, `dpu-render argocd --expect {}` writes what there is now", site.folder)
}

/// What a site expects. A number that is none, or a destination that there is not, is a fault.
#[must_use]
pub fn wanted(site: &Site, faults: &mut Vec<Diagnostic>) -> Vec<Expectation> {
    let Some(expect) = site.node.at(&["spec", "expect"]).filter(|expect| !expect.is_null()) else { return Vec::new() };
    let mut found = Vec::new();
    let wrong = |what: &str, wanted: &str, node: &Node| {
        Diagnostic::error("wrong-type", node.origin(), format!("{what} must be {wanted}, this is {}", node.kind()))
    };
    let Some(destinations) = expect.as_map() else {
        faults.push(wrong("`expect`", "a map of destinations", expect));
        return found;
    };
    for entry in destinations.entries() {
        let destination = &*entry.key.text;
        if !names(site).any(|name| name == destination) {
            faults.push(unknown(site, destination, entry.key.origin));
            continue;
        }
        let Some(kinds) = entry.value.as_map() else {
            faults.push(wrong(&format!("what `expect` says of `{destination}`"), "a map of kinds", &entry.value));
            continue;
        };
        for entry in kinds.entries() {
            let (kind, number) = (&*entry.key.text, &entry.value);
            match number.as_i64() {
                Some(least) if least > 0 => found.push(Expectation {
                    destination: destination.to_owned(),
                    kind: kind.to_owned(),
                    least: usize::try_from(least).unwrap_or(usize::MAX),
                    origin: number.origin(),
                }),
                None if !matches!(number.value(), Value::Number(_)) => {
                    faults.push(wrong(&format!("the least number of `{kind}` in `{destination}`"), "a number", number));
                }
                _ => {
                    let message = format!("the least number of `{kind}` in `{destination}` must be 1 or more");
                    let fault = Diagnostic::error("value-range", number.origin(), message);
                    faults.push(fault.help("leave the line out where there may be none"));
                }
            }
        }
    }
    found
}

fn names(site: &Site) -> impl Iterator<Item = &str> {
    ["management"].into_iter().chain(site.clusters.iter().map(|cluster| cluster.name.as_str()))
}

fn unknown(site: &Site, destination: &str, origin: Origin) -> Diagnostic {
    let message = format!("`expect` names the destination `{destination}`, which is no cluster of this site");
    let fault = Diagnostic::error("unknown-destination", origin, message);
    match nearest(destination, names(site)) {
        Some(near) => fault.help(format!("did you mean `{near}`?")),
        None => fault.help(if_meant(site)),
    }
}

/// Too few objects, by the objects of each destination, management first.
#[must_use]
pub fn check(site: &Site, wanted: &[Expectation], objects: &[&BTreeMap<ObjectId, Node>]) -> Vec<Diagnostic> {
    let mut faults = Vec::new();
    for (destination, objects) in names(site).zip(objects) {
        for one in wanted.iter().filter(|one| one.destination == destination) {
            let count = objects.keys().filter(|id| is_of(id, &one.kind)).count();
            if count >= one.least {
                continue;
            }
            let (kind, least) = (&one.kind, one.least);
            let there = if count == 0 { "no".to_owned() } else { count.to_string() };
            let message = format!("`{destination}` has {there} {kind}, the site expects at least {least}");
            let fault = Diagnostic::error("expect", one.origin, message);
            let kinds: BTreeSet<&str> = objects.keys().map(|id| &*id.kind).collect();
            let near = nearest(kind.split('.').next().unwrap_or_default(), kinds.iter().copied());
            faults.push(match near.filter(|near| count == 0 && !kinds.contains(&**kind) && *near != &**kind) {
                Some(near) => fault.help(format!("did you mean `{near}`? {}", if_meant(site))),
                None => fault.help(if_meant(site)),
            });
        }
    }
    faults
}

fn is_of(id: &ObjectId, kind: &str) -> bool {
    match kind.split_once('.') {
        Some((kind, group)) => id.is(group, kind),
        None => &*id.kind == kind,
    }
}

/// `spec.expect` that says what there is: by destination, the kinds and how many objects there are of each. A kind of two
/// groups comes with its group.
#[must_use]
pub fn counted<'o>(destinations: impl IntoIterator<Item = (String, Vec<&'o ObjectId>)>) -> Node {
    let count = |ids: Vec<&ObjectId>| {
        let mut groups: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for id in &ids {
            groups.entry(&id.kind).or_default().insert(&id.group);
        }
        let mut counts: BTreeMap<String, i64> = BTreeMap::new();
        for id in ids {
            let alone = groups.get(&*id.kind).is_none_or(|groups| groups.len() == 1);
            // Without a group it stands for all of them; the core has no name.
            let name =
                if alone || id.group.is_empty() { id.kind.to_string() } else { format!("{}.{}", id.kind, id.group) };
            *counts.entry(name).or_default() += 1;
        }
        let counts = counts.into_iter().map(|(kind, count)| (kind.as_str().into(), Node::int(count, Origin::NONE)));
        Node::map_of(counts, Origin::NONE)
    };
    let destinations = destinations.into_iter().filter(|(_, ids)| !ids.is_empty());
    Node::map_of(destinations.map(|(name, ids)| (name.as_str().into(), count(ids))), Origin::NONE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_of_two_groups_is_counted_by_group() {
        let ids = [
            ObjectId::new("", "Service", "a", "x"),
            ObjectId::new("serving.example.com", "Service", "a", "x"),
            ObjectId::new("apps", "Deployment", "a", "x"),
            ObjectId::new("apps", "Deployment", "a", "y"),
        ];
        let counted = counted([("management".to_owned(), ids.iter().collect()), ("empty".to_owned(), Vec::new())]);
        let expected =
            serde_json::json!({"management": {"Deployment": 2, "Service": 1, "Service.serving.example.com": 1}});
        assert_eq!(counted.to_json(), expected);
        // What is written holds.
        for entry in counted.fields(&["management"]) {
            let there = ids.iter().filter(|id| is_of(id, &entry.key.text)).count();
            assert!(i64::try_from(there).unwrap() >= entry.value.as_i64().unwrap());
        }
    }
}
