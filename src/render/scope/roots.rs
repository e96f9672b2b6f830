//! What expressions see beside `vars`: `site`, `cluster`, `clusters`, `hosts`, `dpus`, `host`, `dpu`. PURE.

use std::collections::BTreeMap;

use super::{Level, Scopes, cluster_level, merge_vars};
use crate::node::Node;
use crate::render::expand::Scope;
use crate::source::Origin;

impl Scopes<'_> {
    /// A map of variables of a cluster, host or card alone, evaluated at its level.
    fn own_vars(&self, vars: &Node, level: Level) -> Node {
        self.evaluate_at(vars, level).unwrap_or_else(|| vars.clone())
    }

    /// A root name other than `vars`; `None` where the level has none.
    pub(super) fn root(&self, root: &'static str, level: Level) -> Option<Node> {
        // What does not depend on the level is made once.
        let level = match (root, level) {
            ("site" | "clusters", _) => Level::Site,
            ("cluster" | "hosts" | "dpus", level) => {
                level.cluster(self).map_or(Level::Site, |cluster| Level::In(Scope::Cluster(cluster)))
            }
            ("host", Level::In(Scope::Dpu(host, _))) => Level::In(Scope::Host(host)),
            (_, level) => level,
        };
        if let Some(known) = self.roots.borrow().get(&(level, root)) {
            return known.clone();
        }
        let node = self.make_root(root, level);
        self.roots.borrow_mut().insert((level, root), node.clone());
        node
    }

    fn make_root(&self, root: &str, level: Level) -> Option<Node> {
        let origin = self.site.node.origin();
        let text = |text: &str| Some(Node::str(text, origin));
        match (root, level) {
            ("site", _) => {
                let argocd = &self.site.argocd;
                let optional = |value: &Option<String>| value.as_deref().and_then(text);
                Some(Node::map(
                    [
                        ("name", text(&self.site.name)),
                        ("dpf", text(self.site.dpf.name())),
                        (
                            "argocd",
                            Some(Node::map(
                                [
                                    ("namespace", text(&argocd.namespace)),
                                    ("managementCluster", text(&argocd.management_cluster)),
                                    ("project", text(&argocd.project)),
                                    ("repoURL", optional(&argocd.repo_url)),
                                    ("targetRevision", optional(&argocd.target_revision)),
                                    ("plugin", text(&argocd.plugin)),
                                    ("version", text(&argocd.version.to_string())),
                                ],
                                origin,
                            )),
                        ),
                    ],
                    origin,
                ))
            }
            ("cluster", Level::In(Scope::Cluster(index))) => {
                let cluster = self.site.clusters.get(index)?;
                let member = |text: &str| Some(Node::str(text, cluster.origin));
                let vars = self.own_vars(&cluster.vars, level);
                Some(Node::map(
                    [("name", member(&cluster.name)), ("namespace", member(&cluster.namespace)), ("vars", Some(vars))],
                    cluster.origin,
                ))
            }
            ("clusters", _) => {
                let all = (0..self.site.clusters.len()).filter_map(|index| self.root("cluster", cluster_level(index)));
                Some(Node::list(all.collect(), origin))
            }
            ("host", Level::In(Scope::Host(index))) => self.host_node(index),
            ("hosts", level) => {
                let all = (0..self.inventory.hosts.len()).filter(|&host| self.host_in(host, level));
                Some(Node::list(
                    all.filter_map(|host| self.root("host", Level::In(Scope::Host(host)))).collect(),
                    origin,
                ))
            }
            ("dpu", Level::In(Scope::Dpu(host, dpu))) => self.dpu_node(host, dpu),
            ("dpus", level) => {
                let all = self
                    .inventory
                    .hosts
                    .iter()
                    .enumerate()
                    .flat_map(|(host, entry)| (0..entry.dpus.len()).map(move |dpu| (host, dpu)));
                let own = all.filter(|&(host, dpu)| match level.cluster(self) {
                    Some(cluster) => self.cluster_of(host, dpu) == Some(cluster),
                    None => true,
                });
                let nodes = own.filter_map(|(host, dpu)| self.root("dpu", Level::In(Scope::Dpu(host, dpu))));
                Some(Node::list(nodes.collect(), origin))
            }
            _ => None,
        }
    }

    /// Whether a host has a card in the level's cluster.
    fn host_in(&self, host: usize, level: Level) -> bool {
        let Some(cluster) = level.cluster(self) else { return true };
        let cards = self.host(host).map_or(0, |host| host.dpus.len());
        (0..cards).any(|dpu| self.cluster_of(host, dpu) == Some(cluster))
    }

    fn host_node(&self, index: usize) -> Option<Node> {
        let host = self.host(index)?;
        let vars = self.own_vars(&host.vars, Level::In(Scope::Host(index)));
        Some(Node::map(
            [
                ("name", Some(Node::str(host.name.as_str(), host.origin))),
                ("labels", Some(labels_node(&host.labels, host.origin))),
                ("vars", Some(vars)),
            ],
            host.origin,
        ))
    }

    fn dpu_node(&self, host: usize, dpu: usize) -> Option<Node> {
        let (entry, card) = (self.host(host)?, self.dpu(host, dpu)?);
        let member = |text: &str| Some(Node::str(text, card.origin));
        // What is said of the host holds for its cards, unless they say otherwise.
        let vars = self.own_vars(&merge_vars(&entry.vars, &card.vars), Level::In(Scope::Dpu(host, dpu)));
        Some(Node::map(
            [
                ("nodeName", member(&card.node_name)),
                ("pci", card.pci.as_deref().and_then(member)),
                ("cluster", member(&card.cluster)),
                ("serial", card.serial.as_deref().and_then(member)),
                ("host", member(&entry.name)),
                ("labels", Some(labels_node(&card.labels, card.origin))),
                ("vars", Some(vars)),
            ],
            card.origin,
        ))
    }
}

fn labels_node(labels: &BTreeMap<String, String>, origin: Origin) -> Node {
    Node::map_of(labels.iter().map(|(key, value)| (key.as_str().into(), Node::str(value.as_str(), origin))), origin)
}
