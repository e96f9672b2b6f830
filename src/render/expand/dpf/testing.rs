//! A small site for unit tests.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use crate::node::Node;
use crate::render::expand::{Evaluate, Expanded, Input, Scope};
use crate::render::object::ObjectId;
use crate::site::{ArgoCd, Cluster, Inventory, Mode, Release, Site, SystemComponents};
use crate::source::Origin;

/// Evaluates nothing.
pub(super) struct Nothing;

impl Evaluate for Nothing {
    fn evaluate(&self, node: &Node, _: Scope) -> Node {
        node.clone()
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

/// Expands without an inventory and without expressions.
pub(super) fn run(objects: &BTreeMap<ObjectId, Node>, site: &Site) -> Expanded {
    let inventory = Inventory::default();
    let clusters = vec![BTreeMap::new(); site.clusters.len()];
    let input = Input { site, inventory: &inventory, management: objects, clusters: &clusters, evaluate: &Nothing };
    super::expand(&input)
}
