//! Two nodes to the places in which they differ. PURE.
//!
//! In: an object on both sides. Out: [`Edit`]s in order of path; applying them to the one gives the other. The same node on
//! both sides is not looked into. Items of lists are paired by the key that merging knows, or by a key that all of them
//! have, else along the longest common subsequence; texts that hold documents are opened.

use std::collections::{BTreeMap, BTreeSet};

use similar::{Algorithm, DiffOp, capture_diff_slices};

use super::change::{Edit, Inside, Noise, Path, Step, item_value};
use super::{embedded, noise, secret};
use crate::node::{Map, Node, Value};
use crate::render::merge;
use crate::render::object::ObjectId;

/// Keys that tell items apart where no merge key is known.
const USUAL_KEYS: [&str; 8] = ["name", "nameSuffix", "nodeName", "device", "path", "key", "port", "id"];
/// Lists whose order decides what happens first.
const IN_ORDER: [&str; 2] = ["initContainers", "serviceChains"];
/// More pairs of items than this are not searched for what they have in common.
const MOST_PAIRS: usize = 4_000_000;
/// Texts in texts are opened so deep.
const MOST_OPENED: usize = 4;

/// The places in which two objects of one identity differ.
#[must_use]
pub fn edits(before: &Node, after: &Node, id: &ObjectId) -> Vec<Edit> {
    let mut walk = Walk { id, steps: Vec::new(), opened: 0, edits: Vec::new() };
    walk.node(before, after);
    noise::mark(&mut walk.edits, id);
    walk.edits
}

/// Where a comparison stands.
struct Walk<'a> {
    id: &'a ObjectId,
    steps: Vec<Step>,
    /// Texts that were opened on the way here.
    opened: usize,
    edits: Vec<Edit>,
}

impl Walk<'_> {
    fn node(&mut self, before: &Node, after: &Node) {
        if before.same(after) {
            return;
        }
        match (before.value(), after.value()) {
            (Value::Map(old), Value::Map(new)) => self.maps(old, new),
            (Value::List(old), Value::List(new)) => self.lists(before, after, old, new),
            (Value::Str(old), Value::Str(new)) if old != new => self.texts(before, after, old, new),
            (old, new) if old == new => {}
            (Value::Number(old), Value::Number(new)) if old.as_f64() == new.as_f64() && exact(old) && exact(new) => {
                let noise = Some(Noise::NumberForm);
                self.edits.push(Edit { noise, ..self.edit(Some(before), Some(after)) });
            }
            _ => self.changed(Some(before), Some(after)),
        }
    }

    fn maps(&mut self, old: &Map, new: &Map) {
        let keys: BTreeSet<&str> = old.iter().chain(new.iter()).map(|(key, _)| key).collect();
        for key in keys {
            let (before, after) = (old.entry(key), new.entry(key));
            let Some(entry) = after.or(before) else { continue };
            let (before, after) = (before.map(|entry| &entry.value), after.map(|entry| &entry.value));
            if let (Some(before), Some(after)) = (before, after)
                && before.same(after)
            {
                continue;
            }
            let hidden = secret::field(self.id, &self.steps, key, &[old, new]);
            self.steps.push(Step::Key(entry.key.text.clone()));
            self.member(before, after, hidden);
            self.steps.pop();
        }
    }

    /// A place that one of the two may not have.
    fn member(&mut self, before: Option<&Node>, after: Option<&Node>, hidden: bool) {
        match (before, after) {
            (Some(before), Some(after)) if hidden && before == after => {}
            (Some(before), Some(after)) if !hidden => self.node(before, after),
            _ if hidden => {
                let secret = true;
                self.edits.push(Edit { secret, ..self.edit(before, after) });
            }
            _ => self.changed(before, after),
        }
    }

    fn lists(&mut self, before: &Node, after: &Node, old: &[Node], new: &[Node]) {
        if old == new {
            return;
        }
        match self.key(old, new) {
            Some((key, old, new)) => self.keyed(before, after, key, &old, &new),
            None => self.sequences(old, new),
        }
    }

    /// The key that tells the items of both lists apart, and the lists by it.
    fn key<'n>(&self, old: &'n [Node], new: &'n [Node]) -> Option<(&'static str, Keyed<'n>, Keyed<'n>)> {
        if old.iter().chain(new).any(|item| item.as_map().is_none()) {
            return None;
        }
        let path: Vec<&str> = self.keys().collect();
        let known = merge::list_key(&self.id.group, &self.id.kind, &path);
        known.into_iter().chain(USUAL_KEYS).find_map(|key| Some((key, Keyed::by(old, key)?, Keyed::by(new, key)?)))
    }

    fn keys(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.steps.iter().filter_map(|step| if let Step::Key(key) = step { Some(&**key) } else { None })
    }

    fn keyed(&mut self, before: &Node, after: &Node, key: &'static str, old: &Keyed<'_>, new: &Keyed<'_>) {
        let (old_at, new_at) = (old.places(), new.places());
        for value in old.keys.iter().filter(|value| !new_at.contains_key(&***value)).chain(&new.keys) {
            let (before, after) = (old_at.get(&**value), new_at.get(&**value));
            self.steps.push(Step::Item { key, value: value.clone() });
            self.member(before.map(|at| &old.items[*at]), after.map(|at| &new.items[*at]), false);
            self.steps.pop();
        }
        // What stays, in its order, and then what is added: is that the head's order?
        let kept: Vec<_> = old.keys.iter().filter(|value| new_at.contains_key(&***value)).collect();
        let added = new.keys.iter().filter(|value| !old_at.contains_key(&***value));
        if kept.iter().copied().chain(added).eq(&new.keys) {
            return;
        }
        let same_order = kept.iter().copied().eq(new.keys.iter().filter(|value| old_at.contains_key(&***value)));
        let matters = self.keys().next_back().is_some_and(|list| IN_ORDER.contains(&list));
        let noise = (same_order && !matters).then_some(Noise::Position);
        self.edits.push(Edit { reordered: true, noise, ..self.edit(Some(before), Some(after)) });
    }

    /// Lists whose items have nothing that tells them apart but themselves.
    fn sequences(&mut self, old: &[Node], new: &[Node]) {
        for operation in operations(old, new) {
            match operation {
                DiffOp::Equal { .. } => {}
                DiffOp::Replace { old_index, old_len, new_index, new_len } if old_len == new_len => {
                    for at in 0..old_len {
                        self.item(Some(&old[old_index + at]), Some(&new[new_index + at]), new_index + at, new);
                    }
                }
                DiffOp::Delete { old_index, old_len, .. } => {
                    (old_index..old_index + old_len).for_each(|at| self.item(Some(&old[at]), None, at, old));
                }
                DiffOp::Insert { new_index, new_len, .. } => {
                    (new_index..new_index + new_len).for_each(|at| self.item(None, Some(&new[at]), at, new));
                }
                DiffOp::Replace { old_index, old_len, new_index, new_len } => {
                    (old_index..old_index + old_len).for_each(|at| self.item(Some(&old[at]), None, at, old));
                    (new_index..new_index + new_len).for_each(|at| self.item(None, Some(&new[at]), at, new));
                }
            }
        }
    }

    fn item(&mut self, before: Option<&Node>, after: Option<&Node>, at: usize, list: &[Node]) {
        let hidden = secret::item(list, at);
        self.steps.push(Step::Index(at));
        self.member(before, after, hidden);
        self.steps.pop();
    }

    fn texts(&mut self, before: &Node, after: &Node, old: &str, new: &str) {
        if secret::looks(old) || secret::looks(new) {
            return self.hidden(before, after);
        }
        let opened = if self.opened < MOST_OPENED { embedded::open(before, after, old, new) } else { None };
        let Some((form, old, new)) = opened else {
            let hidden = secret::text(old) || secret::text(new);
            return if hidden { self.hidden(before, after) } else { self.changed(Some(before), Some(after)) };
        };
        let steps = [&*self.steps, &[Step::Inside(form)]].concat();
        let mut inside = Walk { id: self.id, steps, opened: self.opened + 1, edits: Vec::new() };
        inside.node(&old, &new);
        let mut edits = inside.edits;
        for edit in &mut edits {
            edit.path.0.drain(..=self.steps.len());
        }
        let noise = edits.is_empty().then_some(Noise::Layout);
        self.edits.push(Edit { inside: Some(Inside { form, edits }), noise, ..self.edit(Some(before), Some(after)) });
    }

    fn hidden(&mut self, before: &Node, after: &Node) {
        self.edits.push(Edit { secret: true, ..self.edit(Some(before), Some(after)) });
    }

    fn changed(&mut self, before: Option<&Node>, after: Option<&Node>) {
        self.edits.push(self.edit(before, after));
    }

    fn edit(&self, before: Option<&Node>, after: Option<&Node>) -> Edit {
        Edit {
            path: Path(self.steps.clone()),
            before: before.cloned(),
            after: after.cloned(),
            inside: None,
            reordered: false,
            secret: false,
            noise: None,
        }
    }
}

/// The items of a list and what tells them apart.
struct Keyed<'a> {
    items: &'a [Node],
    keys: Vec<Box<str>>,
}

impl<'a> Keyed<'a> {
    /// The items by the values of `key`, if every item has one of its own.
    fn by(items: &'a [Node], key: &str) -> Option<Self> {
        let scalar = |node: &&Node| !matches!(node.value(), Value::List(_) | Value::Map(_) | Value::Null);
        let keys: Vec<Box<str>> =
            items.iter().map(|item| item.get(key).filter(scalar).map(item_value)).collect::<Option<_>>()?;
        let distinct: BTreeSet<&str> = keys.iter().map(|value| &**value).collect();
        (distinct.len() == keys.len()).then_some(Self { items, keys })
    }

    fn places(&self) -> BTreeMap<&str, usize> {
        self.keys.iter().enumerate().map(|(at, value)| (&**value, at)).collect()
    }
}

/// The shortest way from one list to the other, or the plain one where the search would be long.
fn operations(old: &[Node], new: &[Node]) -> Vec<DiffOp> {
    let start = old.iter().zip(new).take_while(|(old, new)| old == new).count();
    let end = old[start..].iter().rev().zip(new[start..].iter().rev()).take_while(|(old, new)| old == new).count();
    let (old_len, new_len) = (old.len() - start - end, new.len() - start - end);
    if old_len.saturating_mul(new_len) > MOST_PAIRS {
        return vec![DiffOp::Replace { old_index: start, old_len, new_index: start, new_len }];
    }
    let mut numbers: BTreeMap<String, usize> = BTreeMap::new();
    let mut number = |node: &Node| {
        let next = numbers.len();
        *numbers.entry(node.to_json().to_string()).or_insert(next)
    };
    let old: Vec<usize> = old.iter().map(&mut number).collect();
    let new: Vec<usize> = new.iter().map(&mut number).collect();
    capture_diff_slices(Algorithm::Myers, &old, &new)
}

/// Whether a double holds every digit of it.
fn exact(number: &serde_json::Number) -> bool {
    const MOST: f64 = 9_007_199_254_740_992.0;
    number.as_f64().is_some_and(|value| value.abs() < MOST)
}
