//! The Applications that have Argo CD call this program. PURE.
//!
//! In: a site, the folders it is made of, the objects of its destinations. Out: one Application per destination. They carry
//! no finalizer: whoever deletes one stops Argo CD from syncing and loses nothing.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::paths;
use crate::node::{self, Node};
use crate::render::object::{Destination, ObjectId};
use crate::site::Site;
use crate::source::Origin;
use crate::yaml::write;

/// `apiVersion` of Argo CD's kinds.
pub const API: &str = "argoproj.io/v1alpha1";
/// Group of Argo CD's kinds.
pub const GROUP: &str = "argoproj.io";
/// Annotation that orders a sync.
pub(super) const SYNC_WAVE: &str = "argocd.argoproj.io/sync-wave";
/// Label of Applications of ours: the name of the site.
pub const SITE_LABEL: &str = "dpu-render.dev/site";
/// What the API server takes of all annotations of an object together, in bytes.
const MAX_ANNOTATIONS: usize = 262_144;

/// What the objects of a destination need of their sync.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Needs {
    /// Server-side apply: a null in Helm values would be taken for "delete this key", or the object does not fit into the
    /// annotation that client-side apply keeps it in.
    pub server_side: bool,
}

impl Needs {
    /// What these objects need, as they are written to a cluster.
    pub fn of<'n>(objects: impl IntoIterator<Item = &'n Node>) -> Self {
        let mut text = String::new();
        let needs = |node: &Node| {
            if node.has_null() {
                return true;
            }
            // JSON takes less than eight times this, and annotations count twice.
            if bulk(node, MAX_ANNOTATIONS / 16) <= MAX_ANNOTATIONS / 16 {
                return false;
            }
            text.clear();
            write::json(node, &mut text);
            let other = node.fields(&["metadata", "annotations"]).iter();
            let other = other.map(|entry| entry.key.text.len() + entry.value.as_str().map_or(0, str::len));
            text.len() + other.sum::<usize>() > MAX_ANNOTATIONS
        };
        Self { server_side: objects.into_iter().any(needs) }
    }

    /// Those of both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self { server_side: self.server_side || other.server_side }
    }

    /// `syncPolicy.syncOptions`.
    #[must_use]
    pub fn options(self) -> Value {
        let server_side = self.server_side.then_some("ServerSideApply=true");
        // What a controller writes, `ignoreDifferences` leaves to it.
        json!(["RespectIgnoreDifferences=true"].into_iter().chain(server_side).collect::<Vec<_>>())
    }
}

/// How much text an object holds, roughly, counted little further than `most`.
fn bulk(node: &Node, most: usize) -> usize {
    let add = |sum: usize, key: usize, child: &Node| {
        if sum > most { sum } else { sum + key + bulk(child, most - sum) }
    };
    match node.value() {
        node::Value::Str(text) => 8 + text.len(),
        node::Value::List(items) => items.iter().fold(8, |sum, item| add(sum, 0, item)),
        node::Value::Map(map) => map.iter().fold(8, |sum, (key, child)| add(sum, key.len(), child)),
        _ => 8,
    }
}

/// Name of the Application of a DPU cluster.
#[must_use]
pub fn name_of(site: &Site, cluster: &str) -> String {
    format!("{}-{cluster}", site.name)
}

/// `spec.syncPolicy` of Applications of ours.
#[must_use]
pub fn sync_policy(site: &Site, needs: Needs) -> Value {
    json!({
        "automated": {"prune": true, "selfHeal": true},
        "retry": site.argocd.version.retry(),
        "syncOptions": needs.options(),
    })
}

/// `spec.source.plugin`.
#[must_use]
pub fn plugin(site: &Site, destination: &Destination) -> Value {
    let parameter = json!({"name": "destination", "string": destination.to_string()});
    json!({"name": site.argocd.plugin, "parameters": [parameter]})
}

/// The Application whose objects are those of `destination`; nothing where the site does not say its repository.
#[must_use]
pub fn application(site: &Site, folders: &[String], destination: &Destination, needs: Needs) -> Option<Value> {
    let argocd = &site.argocd;
    let (name, cluster) = match destination {
        Destination::Management => (site.name.clone(), argocd.management_cluster.as_str()),
        Destination::Cluster(cluster) => (name_of(site, cluster), &**cluster),
    };
    let paths = paths::annotation(&site.folder, folders.iter().map(String::as_str));
    Some(json!({
        "apiVersion": API,
        "kind": "Application",
        "metadata": {
            "name": name,
            "namespace": argocd.namespace,
            "labels": {SITE_LABEL: site.name},
            "annotations": {paths::ANNOTATION: paths},
        },
        "spec": {
            "project": argocd.project,
            "source": {
                "repoURL": argocd.repo_url.as_deref()?,
                "targetRevision": argocd.revision(),
                "path": site.folder,
                "plugin": plugin(site, destination),
            },
            "destination": {"name": cluster},
            "syncPolicy": sync_policy(site, needs),
        },
    }))
}

/// The Applications of the DPU clusters that get objects: part of the management cluster's.
#[must_use]
pub fn of_clusters(
    site: &Site,
    folders: &[String],
    management: &BTreeMap<ObjectId, Node>,
    clusters: &[BTreeMap<ObjectId, Node>],
    as_written: impl Fn(&Node) -> Node,
) -> Vec<Node> {
    let origin = site.argocd.origin;
    let mut made = Vec::new();
    for (cluster, objects) in site.clusters.iter().zip(clusters).filter(|(_, objects)| !objects.is_empty()) {
        let objects: Vec<Node> = objects.values().map(&as_written).collect();
        let destination = Destination::Cluster(cluster.name.as_str().into());
        let Some(object) = application(site, folders, &destination, Needs::of(&objects)) else { return made };
        let object = Node::from_json(&object, origin);
        made.push(match wave(&cluster.name, &cluster.namespace, management) {
            0 => object,
            wave => object.with_at(&["metadata", "annotations", SYNC_WAVE], Node::str(wave.to_string(), origin)),
        });
    }
    made
}

/// The wave of a DPU cluster's Application: that of the first chart there. It brings the namespaces that charts need, and they
/// bring the CRDs that it needs: in two waves, the first would wait for the second for ever. Where no Application installs
/// charts there, it follows the DPUCluster, and comes no earlier than the services whose charts DPF's controllers install.
fn wave(name: &str, namespace: &str, management: &BTreeMap<ObjectId, Node>) -> i64 {
    let wave = |node: &Node| -> i64 {
        let wave = node.text(&["metadata", "annotations", SYNC_WAVE]);
        wave.and_then(|wave| wave.trim().parse().ok()).unwrap_or_default()
    };
    let charts = management.iter().filter(|(id, _)| id.is(GROUP, "Application"));
    let charts = charts.filter(|(_, node)| node.text(&["spec", "destination", "name"]) == Some(name));
    if let Some(first) = charts.map(|(_, node)| wave(node)).min() {
        return first;
    }
    let cluster = ObjectId::new("provisioning.dpu.nvidia.com", "DPUCluster", namespace, name);
    management.get(&cluster).map_or(0, |node| wave(node) + 1).max(0)
}

/// A value of ours as a node.
#[must_use]
pub fn node(value: &Value) -> Node {
    Node::from_json(value, Origin::NONE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needs(object: &Value) -> bool {
        Needs::of([&node(object)]).server_side
    }

    #[test]
    fn what_does_not_fit_into_an_annotation_is_applied_by_the_server() {
        let map = |data: String| json!({"kind": "ConfigMap", "data": {"a": data}});
        let own = map(String::new()).to_string().len();
        assert!(!needs(&map("x".repeat(MAX_ANNOTATIONS - own))));
        assert!(needs(&map("x".repeat(MAX_ANNOTATIONS - own + 1))));
        // Six bytes each in JSON.
        assert!(needs(&map("\u{1}".repeat(MAX_ANNOTATIONS / 6))));
        assert!(!needs(&map("\u{1}".repeat(MAX_ANNOTATIONS / 7))));
        // An annotation of its own counts, and so does its copy.
        let annotated =
            |less: usize| json!({"metadata": {"annotations": {"a": "x".repeat(MAX_ANNOTATIONS / 2 - less)}}});
        assert!(needs(&annotated(10)) && !needs(&annotated(30)));
        assert!(needs(&json!({"spec": [{"values": {"off": null}}]})));
    }
}
