//! A small site for unit tests.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use crate::argocd::version::Version;
use crate::node::Node;
use crate::render::expand::{Evaluate, Expanded, Input, Scope};
use crate::render::object::ObjectId;
use crate::site::{ArgoCd, Cluster, Inventory, Mode, Release, Site, SystemComponents};
use crate::source::Origin;

/// Knows two expressions: `${{ cluster }}`, the index of the cluster, and `${{ dpu }}`, the indexes of host and card.
pub(super) struct Indexes;

impl Evaluate for Indexes {
    fn evaluate(&self, node: &Node, scope: Scope) -> Node {
        let (from, to) = match scope {
            Scope::Cluster(index) => ("${{ cluster }}", index.to_string()),
            Scope::Dpu(host, dpu) => ("${{ dpu }}", format!("{host}-{dpu}")),
            Scope::Host(_) => return node.clone(),
        };
        let json = serde_json::from_str(&node.to_json().to_string().replace(from, &to)).unwrap();
        Node::from_json(&json, node.origin())
    }
}

/// Objects by identity, and a site without clusters, with parity, whose operator makes the system components.
pub(super) fn management(objects: &[Json]) -> (BTreeMap<ObjectId, Node>, Site) {
    let nodes = objects.iter().map(|json| Node::from_json(json, Origin::NONE));
    let empty = || Node::from_json(&json!({}), Origin::NONE);
    let site = Site {
        name: "lab".to_owned(),
        folder: "sites/lab".to_owned(),
        dpf: Release::V24_10,
        mode: Mode::Standalone,
        parity: true,
        system_components: SystemComponents::Operator,
        layers: Vec::new(),
        vars: empty(),
        clusters: Vec::new(),
        inventory: None,
        external: Vec::new(),
        argocd: ArgoCd {
            namespace: "argocd".to_owned(),
            management_cluster: "in-cluster".to_owned(),
            project: "default".to_owned(),
            repo_url: None,
            target_revision: None,
            plugin: "dpu-render".to_owned(),
            version: Version::of_release(Release::V24_10),
            present: false,
            origin: Origin::NONE,
        },
        agent: None,
        node: empty(),
    };
    (nodes.map(|node| (ObjectId::of(&node), node)).collect(), site)
}

/// A cluster of the site whose namespace has its name.
pub(super) fn cluster(name: &str) -> Cluster {
    let vars = Node::from_json(&json!({}), Origin::NONE);
    Cluster { name: name.to_owned(), namespace: name.to_owned(), vars, origin: Origin::NONE }
}

/// Expands without an inventory.
pub(super) fn run(objects: &BTreeMap<ObjectId, Node>, site: &Site) -> Expanded {
    run_with(objects, site, &Inventory::default())
}

/// Expands with an inventory.
pub(super) fn run_with(objects: &BTreeMap<ObjectId, Node>, site: &Site, inventory: &Inventory) -> Expanded {
    let clusters = vec![BTreeMap::new(); site.clusters.len()];
    super::expand(&Input { site, inventory, management: objects, clusters: &clusters, evaluate: &Indexes })
}

/// Objects of a site without parity that has the clusters `c0` and `c1`, and its DPUClusters and operator configuration.
pub(super) fn standalone(objects: &[Json]) -> (BTreeMap<ObjectId, Node>, Site) {
    let of_cluster = |name| object("provisioning.dpu.nvidia.com/v1alpha1", "DPUCluster", (name, name), json!({}));
    let config =
        object("operator.dpu.nvidia.com/v1alpha1", "DPFOperatorConfig", ("opns", "dpfoperatorconfig"), json!({}));
    let (mut all, mut site) = management(&[of_cluster("c0"), of_cluster("c1"), config]);
    all.extend(management(objects).0);
    site.parity = false;
    site.clusters = vec![cluster("c0"), cluster("c1")];
    (all, site)
}

/// An object by namespace and name.
pub(super) fn object(api: &str, kind: &str, (namespace, name): (&str, &str), spec: Json) -> Json {
    json!({"apiVersion": api, "kind": kind, "metadata": {"namespace": namespace, "name": name}, "spec": spec})
}

/// An object of the service kinds, in namespace `n`.
pub(super) fn svc(kind: &str, name: &str, spec: Json) -> Json {
    object("svc.dpu.nvidia.com/v1alpha1", kind, ("n", name), spec)
}

/// A deployment `d` of one service `s` with an interface `up_0`, in sync wave -3, and what it refers to.
pub(super) fn deployment() -> Vec<Json> {
    let provisioning = |kind, name, spec| object("provisioning.dpu.nvidia.com/v1alpha1", kind, ("n", name), spec);
    let mut deployment = svc(
        "DPUDeployment",
        "d",
        json!({
            "dpus": {"bfb": "b", "flavor": "f", "dpuSets": [{"nameSuffix": "all", "nodeSelector": {}}]},
            "services": {"s": {"serviceTemplate": "s", "serviceConfiguration": "s"}},
            "serviceChains": [{"ports": [
                {"serviceInterface": {"matchLabels": {"uplink": "p0"}}},
                {"service": {"name": "s", "interface": "up_0", "ipam": {"matchLabels": {"pool": "a"}, "defaultGateway": true}}},
            ]}],
        }),
    );
    deployment["metadata"]["annotations"] = json!({"argocd.argoproj.io/sync-wave": "-3"});
    let source = json!({"repoURL": "oci://example.com/charts", "chart": "s", "version": "1.0.0"});
    vec![
        provisioning("BFB", "b", json!({"url": "https://example.com/bf-1.bfb"})),
        provisioning("DPUFlavor", "f", json!({})),
        svc("DPUServiceTemplate", "s", json!({"deploymentServiceName": "s", "helmChart": {"source": source}})),
        svc(
            "DPUServiceConfiguration",
            "s",
            json!({"deploymentServiceName": "s", "interfaces": [{"name": "up_0", "network": "mybrsfc"}]}),
        ),
        svc(
            "DPUServiceIPAM",
            "pool-a",
            json!({"metadata": {"labels": {"pool": "a"}}, "ipv4Network": {"network": "10.0.0.0/16", "prefixSize": 24}}),
        ),
        deployment,
    ]
}

/// The first of some objects with this kind and name.
pub(super) fn find<'n>(nodes: &'n [Node], kind: &str, name: &str) -> Option<&'n Node> {
    nodes.iter().find(|node| node.text(&["kind"]) == Some(kind) && node.text(&["metadata", "name"]) == Some(name))
}

/// The codes of the faults, in order.
pub(super) fn codes(expanded: &Expanded) -> Vec<&'static str> {
    expanded.diagnostics.iter().map(|diagnostic| diagnostic.code).collect()
}
