//! Final objects to ordered, printed ones. PURE.
//!
//! In: the objects of each destination. Out: [`RenderedDestination`]s in the fixed order sync wave, kind, namespace, name.
//! A node is printed once however many clusters have it; what every site shares is printed once per run.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::object::{Destination, ObjectId};
use super::{RenderedDestination, RenderedObject, ValuesFile};
use crate::node::{Node, Value};
use crate::yaml::write;

const SYNC_WAVE: &str = "argocd.argoproj.io/sync-wave";
/// Annotations of ours that speak to the renderer alone.
const OURS: [&str; 2] = ["dpu-render.dev/without", "dpu-render.dev/release"];

/// An object ready to be put anywhere.
#[derive(Clone)]
struct Printed {
    wave: i32,
    object: RenderedObject,
}

/// Texts of objects that live as long as the run.
#[derive(Default)]
pub(super) struct SharedTexts(Mutex<BTreeMap<usize, Printed>>);

/// Prints the objects of one site.
pub(super) struct Printer<'s> {
    shared: &'s SharedTexts,
    /// Whether the texts are wanted.
    written: bool,
    /// By address of nodes that live as long as this printer's site; the node is held so that no address is used twice.
    own: BTreeMap<usize, (Node, Printed)>,
    /// Texts of subtrees that many objects of the site have.
    grafted: write::Texts,
    /// Where texts are made, so that they grow in one place.
    scratch: String,
}

impl<'s> Printer<'s> {
    pub(super) fn new(shared: &'s SharedTexts, written: bool) -> Self {
        Self { shared, written, own: BTreeMap::new(), grafted: write::Texts::default(), scratch: String::new() }
    }

    fn printed(&mut self, id: &ObjectId, node: &Node, lasting: bool) -> Printed {
        // A node that is nowhere else is not asked for again.
        let alone = !lasting && node.owners() == 1;
        if alone {
            return self.print(id, node);
        }
        if let Some((_, known)) = self.own.get(&node.address()) {
            return known.clone();
        }
        let lock = || self.shared.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = if lasting { lock().get(&node.address()).cloned() } else { None };
        let printed = known.unwrap_or_else(|| self.print(id, node));
        if lasting {
            lock().insert(node.address(), printed.clone());
        }
        self.own.insert(node.address(), (node.clone(), printed.clone()));
        printed
    }

    fn print(&mut self, id: &ObjectId, node: &Node) -> Printed {
        let node = finished(node);
        self.scratch.clear();
        if self.written {
            write::yaml_grafted(&node, &mut self.scratch, &mut self.grafted);
        }
        let wave = node.text(&["metadata", "annotations", SYNC_WAVE]).and_then(|wave| wave.parse().ok());
        let object = RenderedObject { id: Arc::new(id.clone()), node, text: self.scratch.as_str().into() };
        Printed { wave: wave.unwrap_or_default(), object }
    }

    /// The objects of a destination in order. `lasting` says whether a node lives as long as the run.
    pub(super) fn destination(
        &mut self,
        destination: Destination,
        objects: &BTreeMap<ObjectId, Node>,
        lasting: impl Fn(&Node) -> bool,
        mut values: Vec<ValuesFile>,
    ) -> RenderedDestination {
        let mut printed: Vec<Printed> =
            objects.iter().map(|(id, node)| self.printed(id, node, lasting(node))).collect();
        // The map is in order of group, kind, namespace, name already; the sort is stable.
        printed.sort_by(|a, b| {
            let (one, two) = (&a.object.id, &b.object.id);
            a.wave
                .cmp(&b.wave)
                .then_with(|| (&one.kind, &one.namespace, &one.name).cmp(&(&two.kind, &two.namespace, &two.name)))
        });
        values.sort_by(|a, b| a.name.cmp(&b.name));
        RenderedDestination {
            destination,
            objects: printed.into_iter().map(|printed| printed.object).collect(),
            values,
        }
    }
}

/// Helm values as a file.
pub(super) fn values_file(name: &str, application: &ObjectId, values: &Node) -> ValuesFile {
    let mut text = String::new();
    write::yaml(values, &mut text);
    ValuesFile { name: name.to_owned(), application: application.clone(), text: text.into() }
}

/// The object as a cluster gets it: without our annotations, and without nulls where they mean nothing.
fn finished(node: &Node) -> Node {
    let mut node = without_nulls(node);
    if let Some(annotations) = node.at(&["metadata", "annotations"])
        && OURS.iter().any(|key| annotations.get(key).is_some())
    {
        let rest = OURS.iter().fold(annotations.clone(), |annotations, key| annotations.without(key));
        let metadata = node.get("metadata").cloned().unwrap_or_else(|| node.clone());
        let metadata = if rest.fields(&[]).is_empty() {
            metadata.without("annotations")
        } else {
            metadata.with("annotations", rest)
        };
        node = node.with("metadata", metadata);
    }
    node
}

/// A null outside Helm values is an absent key to the API server, and an error to server-side apply.
pub(super) fn without_nulls(node: &Node) -> Node {
    if !node.has_null() {
        return node.clone();
    }
    match node.value() {
        Value::Map(map) => {
            let entries = map.entries().iter().filter(|entry| !entry.value.is_null()).cloned().map(|mut entry| {
                if !super::merge::is_free_form(&entry.key.text) {
                    entry.value = without_nulls(&entry.value);
                }
                entry
            });
            node.with_value(Value::Map(crate::node::Map::new(entries.collect())))
        }
        Value::List(items) => node.with_value(Value::List(items.iter().map(without_nulls).collect())),
        _ => node.clone(),
    }
}
