//! What belongs together on two sides: destinations, and objects within one. PURE.
//!
//! In: two rendered sites. Out: pairs, one half absent where there is nothing to pair with. Objects are paired by identity;
//! of those left over, objects of one kind that are equal but for their name, or nearly so, are taken for renamed, and so are
//! clusters that hold mostly the same objects.

use std::collections::{BTreeMap, BTreeSet};

use crate::node::{Node, Value};
use crate::render::object::{Destination, ObjectId};
use crate::render::{RenderedDestination, RenderedObject, RenderedSite};

/// Both halves, of which at least one is there.
pub(super) type Pair<'a, T> = (Option<&'a T>, Option<&'a T>);

/// Of every 100 places, so many must be equal in two objects that are taken for one.
const ALIKE: usize = 75;
/// More pairs of one kind than this are not compared.
const MOST_PAIRS: usize = 2_500;

/// The destinations of two sides of a site.
pub(super) fn destinations<'a>(base: &'a RenderedSite, head: &'a RenderedSite) -> Vec<Pair<'a, RenderedDestination>> {
    let find = |site: &'a RenderedSite, wanted: &Destination| {
        site.destinations.iter().find(|destination| destination.destination == *wanted)
    };
    let mut pairs = Vec::new();
    let mut gone = Vec::new();
    for before in &base.destinations {
        match find(head, &before.destination) {
            Some(after) => pairs.push((Some(before), Some(after))),
            None => gone.push(before),
        }
    }
    let come: Vec<_> = head.destinations.iter().filter(|after| find(base, &after.destination).is_none()).collect();
    let mut likely = Vec::new();
    for before in &gone {
        for after in &come {
            let same = shared(before, after);
            if same > 0 && same * 2 >= before.objects.len().max(after.objects.len()) {
                let (old, new) = (before.destination.to_string(), after.destination.to_string());
                let namespace = namespace(base, &old).is_some_and(|old| Some(old) == namespace(head, &new));
                likely.push(((namespace, same, same_letters(&old, &new)), *before, *after));
            }
        }
    }
    // The surest first; of equals, by name.
    let names = |pair: &(_, &RenderedDestination, &RenderedDestination)| {
        (pair.1.destination.clone(), pair.2.destination.clone())
    };
    likely.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| names(a).cmp(&names(b))));
    let mut taken: BTreeSet<&Destination> = BTreeSet::new();
    for (_, before, after) in likely {
        if !taken.contains(&before.destination) && !taken.contains(&after.destination) {
            taken.extend([&before.destination, &after.destination]);
            pairs.push((Some(before), Some(after)));
        }
    }
    let left = |one: &&RenderedDestination| !taken.contains(&one.destination);
    pairs.extend(gone.into_iter().filter(left).map(|before| (Some(before), None)));
    pairs.extend(come.into_iter().filter(left).map(|after| (None, Some(after))));
    pairs
}

/// The namespace of a `DPUCluster`.
fn namespace<'s>(site: &'s RenderedSite, cluster: &str) -> Option<&'s str> {
    site.site.clusters.iter().find(|one| one.name == cluster).map(|one| one.namespace.as_str())
}

/// How many objects of the one are equal to their like in the other.
pub(super) fn shared(before: &RenderedDestination, after: &RenderedDestination) -> usize {
    let known: BTreeMap<&ObjectId, &Node> = after.objects.iter().map(|object| (&*object.id, &object.node)).collect();
    let equal = |object: &&RenderedObject| known.get(&*object.id).is_some_and(|node| **node == object.node);
    before.objects.iter().filter(equal).count()
}

/// The objects of two sides of a destination.
pub(super) fn objects<'a>(base: &'a [RenderedObject], head: &'a [RenderedObject]) -> Vec<Pair<'a, RenderedObject>> {
    // Both are in the same order, and nearly always the same.
    let start = base.iter().zip(head).take_while(|(before, after)| before.id == after.id).count();
    let mut pairs: Vec<Pair<'a, RenderedObject>> =
        base.iter().zip(head).take(start).map(|(before, after)| (Some(before), Some(after))).collect();
    let mut come: BTreeMap<&ObjectId, &RenderedObject> =
        head[start..].iter().map(|object| (&*object.id, object)).collect();
    let mut gone = Vec::new();
    for before in &base[start..] {
        match come.remove(&*before.id) {
            Some(after) => pairs.push((Some(before), Some(after))),
            None => gone.push(before),
        }
    }
    if !gone.is_empty() && !come.is_empty() {
        for (before, after) in renamed(&gone, &come) {
            gone.retain(|object| object.id != before.id);
            come.remove(&*after.id);
            pairs.push((Some(before), Some(after)));
        }
    }
    pairs.extend(gone.into_iter().map(|before| (Some(before), None)));
    pairs.extend(come.into_values().map(|after| (None, Some(after))));
    pairs
}

/// Those of what is gone and what has come that are the same object under another name, the likest first.
fn renamed<'a>(
    gone: &[&'a RenderedObject],
    come: &BTreeMap<&ObjectId, &'a RenderedObject>,
) -> Vec<(&'a RenderedObject, &'a RenderedObject)> {
    type Kind<'a> = (&'a str, &'a str);
    let mut kinds: BTreeMap<Kind<'_>, (Vec<&'a RenderedObject>, Vec<&'a RenderedObject>)> = BTreeMap::new();
    for object in gone {
        kinds.entry((&object.id.group, &object.id.kind)).or_default().0.push(object);
    }
    for object in come.values() {
        kinds.entry((&object.id.group, &object.id.kind)).or_default().1.push(object);
    }
    let mut found = Vec::new();
    for (gone, come) in kinds.into_values().filter(|(gone, come)| gone.len() * come.len() <= MOST_PAIRS) {
        let mut likely = Vec::new();
        for before in &gone {
            for after in &come {
                let (equal, all) = likeness(&before.node, &after.node);
                if equal > 0 && equal * 100 >= all * ALIKE {
                    likely.push((
                        equal * 1000 / all.max(1),
                        same_letters(&before.id.name, &after.id.name),
                        *before,
                        *after,
                    ));
                }
            }
        }
        likely.sort_by(|a, b| (b.0, b.1).cmp(&(a.0, a.1)).then_with(|| (&a.2.id, &a.3.id).cmp(&(&b.2.id, &b.3.id))));
        let mut taken: BTreeSet<&ObjectId> = BTreeSet::new();
        for (.., before, after) in likely {
            if !taken.contains(&*before.id) && !taken.contains(&*after.id) {
                taken.extend([&*before.id, &*after.id]);
                found.push((before, after));
            }
        }
    }
    found
}

/// How many places are equal in two objects, of how many on average; what names an object does not count.
fn likeness(before: &Node, after: &Node) -> (usize, usize) {
    let content = |node: &Node| {
        let metadata = node.get("metadata").map(|metadata| metadata.without("name").without("namespace"));
        let node = metadata.map_or_else(|| node.clone(), |metadata| node.with("metadata", metadata));
        node.without("apiVersion").without("kind")
    };
    let (before, after) = (content(before), content(after));
    let equal = equal_places(&before, &after);
    (equal, (places(&before) + places(&after)).div_ceil(2))
}

fn places(node: &Node) -> usize {
    match node.value() {
        Value::Map(map) => map.iter().map(|(_, value)| places(value)).sum(),
        Value::List(items) => items.iter().map(places).sum(),
        _ => 1,
    }
}

fn equal_places(before: &Node, after: &Node) -> usize {
    match (before.value(), after.value()) {
        (Value::Map(old), Value::Map(new)) => {
            old.iter().filter_map(|(key, value)| Some(equal_places(value, new.get(key)?))).sum()
        }
        (Value::List(old), Value::List(new)) => old.iter().zip(new).map(|(old, new)| equal_places(old, new)).sum(),
        (old, new) => usize::from(old == new),
    }
}

/// How many letters two names have in common at their ends.
fn same_letters(one: &str, two: &str) -> usize {
    let start = one.bytes().zip(two.bytes()).take_while(|(a, b)| a == b).count();
    let end = one.bytes().rev().zip(two.bytes().rev()).take_while(|(a, b)| a == b).count();
    (start + end).min(one.len().min(two.len()))
}

/// The two sides of a site, one of which may be absent.
pub type SitePair = (Option<RenderedSite>, Option<RenderedSite>);

/// Sites that one side lacks, paired where they are the same under another folder or name.
#[must_use]
pub fn sites(mut gone: Vec<RenderedSite>, come: Vec<RenderedSite>) -> Vec<SitePair> {
    let mut pairs = Vec::new();
    for after in come {
        let same_name = gone.iter().position(|before| before.name == after.name);
        let alike = || gone.iter().position(|before| mostly_shared(before, &after));
        let found = same_name.or_else(alike).map(|at| gone.remove(at));
        pairs.push((found, Some(after)));
    }
    pairs.extend(gone.into_iter().map(|before| (Some(before), None)));
    pairs
}

/// Whether at least half of the objects of two sites are the same.
fn mostly_shared(before: &RenderedSite, after: &RenderedSite) -> bool {
    let count = |site: &RenderedSite| site.destinations.iter().map(|one| one.objects.len()).sum::<usize>();
    let same: usize =
        destinations(before, after).into_iter().filter_map(|(before, after)| Some(shared(before?, after?))).sum();
    same > 0 && same * 2 >= count(before).max(count(after))
}
