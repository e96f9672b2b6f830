//! What every stage of the expansion reads and adds to. PURE.
//!
//! In: the [`Input`] and the release's defaults. Out: [`Expanded`], collected. Generated objects are built here, so that
//! what they inherit (the sync wave of their parent) is decided in one place.

use std::collections::{BTreeMap, BTreeSet};

use super::names::{SYNC_OPTIONS, SYNC_WAVE};
use super::operator_config::ReleaseDefaults;
use crate::diagnostic::{Diagnostic, Severity, nearest};
use crate::node::{Entry, Map, Name, Node, Value};
use crate::render::expand::{Expanded, Input, Scope};
use crate::render::object::ObjectId;
use crate::site::Mode;
use crate::source::Origin;

/// The state of one expansion.
pub(super) struct Context<'a> {
    pub(super) input: &'a Input<'a>,
    /// As upstream has it: with parity, and where DPF's controllers expand and this is the preview.
    pub(super) parity: bool,
    pub(super) defaults: Option<&'a ReleaseDefaults>,
    pub(super) out: Expanded,
    /// What makes one DPUService twice: its interfaces collide too, for the same reason.
    pub(super) collided: BTreeSet<(String, String)>,
}

impl<'a> Context<'a> {
    pub(super) fn new(input: &'a Input<'a>, defaults: Option<&'a ReleaseDefaults>) -> Self {
        let none = || vec![Vec::new(); input.site.clusters.len()];
        let out = Expanded { clusters: none(), cluster_intermediate: none(), ..Expanded::default() };
        let parity = input.site.parity || input.site.mode == Mode::Operator;
        Self { input, parity, defaults, out, collided: BTreeSet::new() }
    }

    /// Adds a fault.
    pub(super) fn report(&mut self, diagnostic: Diagnostic) {
        self.out.diagnostics.push(diagnostic);
    }

    /// Adds a fault that upstream accepts: with parity it is a warning.
    pub(super) fn refuse(&mut self, mut diagnostic: Diagnostic) {
        if self.input.site.parity {
            diagnostic.severity = Severity::Warning;
        }
        self.report(diagnostic);
    }

    /// The user's objects of a kind in the management cluster, by namespace and name.
    pub(super) fn of_kind(&self, group: &str, kind: &str) -> impl Iterator<Item = (&'a ObjectId, &'a Node)> + use<'a> {
        of_kind(self.input.management, group, kind)
    }

    /// One object of the user in the management cluster.
    pub(super) fn object(&self, group: &str, kind: &str, namespace: &str, name: &str) -> Option<&'a Node> {
        self.input.management.get(&ObjectId::new(group, kind, namespace, name))
    }

    /// `did you mean …`, among the objects of a kind in a namespace.
    pub(super) fn near_miss(&self, group: &str, kind: &str, namespace: &str, name: &str) -> Option<String> {
        let names: Vec<&str> =
            self.of_kind(group, kind).filter(|(id, _)| &*id.namespace == namespace).map(|(id, _)| &*id.name).collect();
        if let Some(near) = nearest(name, names.iter().copied()) {
            return Some(format!("did you mean `{near}`?"));
        }
        let elsewhere = self.of_kind(group, kind).find(|(id, _)| &*id.name == name);
        if let Some((id, _)) = elsewhere {
            return Some(format!("there is one in namespace `{}`, but it must be in `{namespace}`", id.namespace));
        }
        match names.as_slice() {
            [] => Some(format!("namespace `{namespace}` has no {kind}")),
            names => Some(format!("namespace `{namespace}` has {}", list(names))),
        }
    }

    /// `node` as it is in a DPU cluster; the same node where nothing in it waits.
    pub(super) fn in_cluster(&self, node: &Node, cluster: usize) -> Node {
        if node.has_expression() { self.input.evaluate.evaluate(node, Scope::Cluster(cluster)) } else { node.clone() }
    }

    /// `node` as it is on a card.
    pub(super) fn on_card(&self, node: &Node, host: usize, dpu: usize) -> Node {
        if node.has_expression() { self.input.evaluate.evaluate(node, Scope::Dpu(host, dpu)) } else { node.clone() }
    }

    /// Whether DPF's controllers are left out, so that what they would make must come from somewhere else.
    pub(super) fn standalone(&self) -> bool {
        self.input.site.mode == Mode::Standalone
    }

    /// Indexes of the DPU clusters.
    pub(super) fn clusters(&self) -> std::ops::Range<usize> {
        0..self.input.site.clusters.len()
    }

    /// Name of a DPU cluster.
    pub(super) fn cluster_name(&self, index: usize) -> &'a str {
        &self.input.site.clusters[index].name
    }

    /// The sync wave that what comes of `parent` inherits. With parity nothing of ours is added.
    pub(super) fn wave(&self, parent: &Node) -> Option<Node> {
        if self.parity { None } else { parent.at(&["metadata", "annotations", SYNC_WAVE]).cloned() }
    }
}

/// The objects of a kind in a set of objects.
pub(super) fn of_kind<'o>(
    objects: &'o BTreeMap<ObjectId, Node>,
    group: &str,
    kind: &str,
) -> impl Iterator<Item = (&'o ObjectId, &'o Node)> + use<'o> {
    let first = ObjectId::new(group, kind, "", "");
    let (group, kind) = (first.group.clone(), first.kind.clone());
    objects.range(first..).take_while(move |(id, _)| id.is(&group, &kind))
}

/// What a generated object is, before it is a node.
pub(super) struct Object<'a> {
    pub(super) api: &'a str,
    pub(super) kind: &'a str,
    pub(super) namespace: &'a str,
    pub(super) name: &'a str,
    pub(super) labels: Vec<(Name, Node)>,
    pub(super) annotations: Vec<(Name, Node)>,
    pub(super) wave: Option<Node>,
    pub(super) origin: Origin,
}

impl<'a> Object<'a> {
    pub(super) fn new(api: &'a str, kind: &'a str, namespace: &'a str, name: &'a str, origin: Origin) -> Self {
        Self { api, kind, namespace, name, labels: Vec::new(), annotations: Vec::new(), wave: None, origin }
    }

    /// Adds a label.
    pub(super) fn label(mut self, key: &'static str, value: impl Into<Box<str>>) -> Self {
        self.labels.push((Name::Constant(key), Node::str(value, self.origin)));
        self
    }

    /// Adds an annotation.
    pub(super) fn annotation(mut self, key: &'static str, value: impl Into<Box<str>>) -> Self {
        self.annotations.push((Name::Constant(key), Node::str(value, self.origin)));
        self
    }

    /// Adds the labels and annotations of a user's template metadata; what was added before them gives way.
    pub(super) fn template(mut self, metadata: Option<&'a Node>) -> Self {
        let entries = |key| metadata.map(|node| node.fields(&[key])).unwrap_or_default();
        let pairs = |entries: &'a [Entry]| {
            entries
                .iter()
                .filter(|entry| !entry.value.is_null())
                .map(|entry| (entry.key.text.clone(), entry.value.clone()))
        };
        self.labels.extend(pairs(entries("labels")));
        self.annotations.extend(pairs(entries("annotations")));
        self
    }

    /// Has the object applied in a wave, unless its annotations say when.
    pub(super) fn wave(mut self, wave: Option<Node>) -> Self {
        self.wave = wave;
        self
    }

    /// Has Argo CD apply the rest of a cluster before there is the CRD of this object: a chart that it installs brings it.
    /// Argo CD before 3.1 takes that per object only, and else applies nothing at all, the charts' namespaces included.
    pub(super) fn of_chart(self, cx: &Context<'_>) -> Self {
        let said = self.annotations.iter().any(|(key, _)| **key == *SYNC_OPTIONS);
        if cx.parity || said { self } else { self.annotation(SYNC_OPTIONS, "SkipDryRunOnMissingResource=true") }
    }

    /// The object with these members beside its metadata.
    pub(super) fn with(mut self, members: impl IntoIterator<Item = (&'static str, Option<Node>)>) -> Node {
        let origin = self.origin;
        if let Some(wave) = self.wave
            && self.annotations.iter().all(|(key, _)| **key != *SYNC_WAVE)
        {
            self.annotations.push((Name::Constant(SYNC_WAVE), wave));
        }
        let namespace = (!self.namespace.is_empty()).then(|| Node::str(self.namespace, origin));
        let metadata = Node::map(
            [
                ("name", Some(Node::str(self.name, origin))),
                ("namespace", namespace),
                ("labels", strings(self.labels, origin)),
                ("annotations", strings(self.annotations, origin)),
            ],
            origin,
        );
        let head = [
            ("apiVersion", Some(Node::str(self.api, origin))),
            ("kind", Some(Node::str(self.kind, origin))),
            ("metadata", Some(metadata)),
        ];
        Node::map(head.into_iter().chain(members), origin)
    }
}

/// A map of nodes; of two with one key the later stays; nothing where there is none.
pub(super) fn strings(entries: Vec<(Name, Node)>, origin: Origin) -> Option<Node> {
    (!entries.is_empty()).then(|| Node::map_of(entries, origin))
}

/// `node` without what server-side apply refuses or admission drops: nulls, and empty label and annotation maps. Only for
/// members with a schema; free-form values keep their nulls. The same node where there is nothing to drop.
pub(super) fn tidy(node: &Node, parity: bool) -> Node {
    let drop = |entry: &Entry| {
        let empty = entry.value.as_map().is_some_and(Map::is_empty);
        entry.value.is_null()
            || empty && matches!(&*entry.key.text, "metadata" | "labels" | "annotations")
            || empty && !parity && &*entry.key.text == "nodeSelector"
    };
    match node.value() {
        Value::Map(map) => {
            let entries: Vec<Entry> = map
                .entries()
                .iter()
                .filter(|entry| !drop(entry))
                .map(|entry| Entry { key: entry.key.clone(), value: tidy(&entry.value, parity) })
                // What was a map of nulls may be empty now.
                .filter(|entry| !drop(entry))
                .collect();
            let same = entries.len() == map.len()
                && entries.iter().zip(map.entries()).all(|(new, old)| new.value.same(&old.value));
            if same { node.clone() } else { node.with_value(Value::Map(Map::new(entries))) }
        }
        Value::List(items) => {
            let tidied: Vec<Node> = items.iter().map(|item| tidy(item, parity)).collect();
            let same = tidied.iter().zip(items).all(|(new, old)| new.same(old));
            if same { node.clone() } else { node.with_value(Value::List(tidied)) }
        }
        _ => node.clone(),
    }
}

/// The value of a key that is there and not null.
pub(super) fn given<'n>(node: &'n Node, path: &[&str]) -> Option<&'n Node> {
    node.at(path).filter(|value| !value.is_null())
}

/// The value of a map that is there and has an entry.
pub(super) fn filled(node: &Node, path: &[&str], parity: bool) -> Option<Node> {
    let map = tidy(given(node, path)?, parity);
    (!map.as_map().is_some_and(Map::is_empty)).then_some(map)
}

/// Namespace of an object.
pub(super) fn namespace(node: &Node) -> &str {
    node.text(&["metadata", "namespace"]).unwrap_or_default()
}

/// Name of an object.
pub(super) fn name(node: &Node) -> &str {
    node.text(&["metadata", "name"]).unwrap_or_default()
}

/// Where an object is named, for messages about the whole of it.
pub(super) fn place(node: &Node) -> Origin {
    node.at(&["metadata", "name"]).map_or(node.origin(), Node::origin)
}

/// Names for a message: `` `a`, `b` ``, cut where it grows long.
pub(super) fn list(names: &[&str]) -> String {
    const SHOWN: usize = 8;
    let mut text = names.iter().take(SHOWN).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    if names.len() > SHOWN {
        text.push_str(&format!(" and {} more", names.len() - SHOWN));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn tidying_drops_nulls_and_shares_the_rest() {
        let node = Node::from_json(
            &json!({"a": {"b": 1}, "labels": {"x": null}, "n": null, "l": [{"m": null}]}),
            Origin::NONE,
        );
        let tidied = tidy(&node, false);
        assert_eq!(tidied, Node::from_json(&json!({"a": {"b": 1}, "l": [{}]}), Origin::NONE));
        assert!(tidied.get("a").unwrap().same(node.get("a").unwrap()));
        assert!(tidy(&tidied, false).same(&tidied));
    }
}
