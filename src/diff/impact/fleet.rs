//! The cards of one side of a site: who selects them, and the labels of their Nodes. PURE.
//!
//! In: a rendered site with its inventory. Out: [`Fleet`]. A site without an inventory has no cards that could be named.

use std::collections::BTreeSet;

use crate::node::Node;
use crate::render::expand::dpf;
use crate::render::expand::dpf::selector::{Labels, label_selector, node_selector};
use crate::render::object::{Destination, ObjectId};
use crate::render::{RenderedObject, RenderedSite};
use crate::site::{Dpu, Host, Release};
use crate::source::Origin;

pub(super) const SVC: &str = "svc.dpu.nvidia.com";
pub(super) const PROVISIONING: &str = "provisioning.dpu.nvidia.com";
pub(super) const OPERATOR: &str = "operator.dpu.nvidia.com";
const OWNER_LABEL: &str = "svc.dpu.nvidia.com/owned-by-dpudeployment";

/// One side of a site.
pub(super) struct Fleet<'a> {
    pub(super) site: &'a RenderedSite,
    /// Every card, in the order of the inventory.
    cards: Vec<Card<'a>>,
}

/// A card of the inventory.
pub(super) struct Card<'a> {
    pub(super) host: &'a Host,
    pub(super) dpu: &'a Dpu,
    /// Of its Node in the DPU cluster.
    pub(super) labels: Labels,
}

/// A DPUSet, or what a DPUDeployment says of one.
pub(super) struct Set<'a> {
    /// The namespace of the object.
    pub(super) namespace: &'a str,
    /// In the form of a DPUSet: `spec.nodeSelector`, `spec.dpuSelector`, `spec.dpuTemplate`.
    pub(super) node: Node,
}

impl<'a> Fleet<'a> {
    pub(super) fn new(site: &'a RenderedSite) -> Self {
        let mut fleet = Self { site, cards: Vec::new() };
        let sets = fleet.sets();
        let of_host = |host: &'a Host| host.dpus.iter().map(move |dpu| (host, dpu));
        let all = site.inventory.hosts.iter().flat_map(of_host);
        let card = |(host, dpu)| {
            let mine = sets.iter().map(|set| &set.node).filter(|set| fleet.set_selects(set, host, dpu));
            Card { host, dpu, labels: dpf::node_labels(mine, |set| fleet.bfb_version(set), host, dpu) }
        };
        let cards = all.map(card).collect();
        fleet.cards = cards;
        fleet
    }

    /// Whether there is an inventory to name cards from.
    pub(super) fn is_known(&self) -> bool {
        self.site.inventory.present
    }

    /// The objects of the management cluster.
    pub(super) fn management(&self) -> &'a [RenderedObject] {
        let destination = self.site.destinations.iter().find(|one| one.destination == Destination::Management);
        destination.map(|one| &one.objects[..]).unwrap_or_default()
    }

    /// The objects of a kind on the management cluster.
    pub(super) fn of_kind(&self, group: &'static str, kind: &'static str) -> impl Iterator<Item = &'a RenderedObject> {
        self.management().iter().filter(move |object| object.id.is(group, kind))
    }

    /// Every DPUSet: those that are written or rendered, and those that DPF makes of a DPUDeployment.
    pub(super) fn sets(&self) -> Vec<Set<'a>> {
        let rendered = self.of_kind(PROVISIONING, "DPUSet");
        let mut sets: Vec<Set<'a>> =
            rendered.map(|set| Set { namespace: &set.id.namespace, node: set.node.clone() }).collect();
        for deployment in self.of_kind(SVC, "DPUDeployment") {
            let made = deployment_sets(&deployment.id, &deployment.node);
            sets.extend(made.into_iter().map(|node| Set { namespace: &deployment.id.namespace, node }));
        }
        sets
    }

    /// What the Nodes of a set's cards are labelled with after the installation: the file name of the BFB's URL without its
    /// extension.
    fn bfb_version(&self, set: &Node) -> Option<String> {
        let name = set.text(&["spec", "dpuTemplate", "spec", "bfb", "name"])?;
        let bfb = self.of_kind(PROVISIONING, "BFB").find(|bfb| &*bfb.id.name == name)?;
        let file = bfb.node.text(&["spec", "url"])?.rsplit('/').next()?;
        Some(file.rsplit_once('.').map_or(file, |(stem, _)| stem).to_owned())
    }

    /// The names of the cards for which something holds, sorted.
    pub(super) fn names(&self, holds: impl Fn(&Card<'a>) -> bool) -> BTreeSet<&'a str> {
        self.cards.iter().filter(|card| holds(card)).map(|card| card.dpu.node_name.as_str()).collect()
    }

    /// The names of the cards that a DPUSet selects.
    pub(super) fn of_set(&self, set: &Node) -> BTreeSet<&'a str> {
        self.names(|card| self.set_selects(set, card.host, card.dpu))
    }

    /// The cards of a DPU cluster that a label selector selects.
    pub(super) fn by_labels(&self, cluster: Option<&str>, selector: Option<&Node>) -> BTreeSet<&'a str> {
        self.names(|card| in_cluster(card, cluster) && label_selector(selector, &card.labels))
    }

    /// The cards of a DPU cluster that a node selector selects.
    pub(super) fn by_terms(&self, cluster: Option<&str>, selector: Option<&Node>) -> BTreeSet<&'a str> {
        self.names(|card| in_cluster(card, cluster) && node_selector(selector, &card.dpu.node_name, &card.labels))
    }

    /// From v25.7 on hosts may have several cards, which are selected by labels of the DPUNode and of the card itself; those of
    /// the card are not in Git, so that every card of the host counts.
    fn set_selects(&self, set: &Node, host: &Host, dpu: &Dpu) -> bool {
        if self.site.site.dpf < Release::V25_7 {
            return dpf::selects(set, host, dpu);
        }
        let selector = set.at(&["spec", "dpuNodeSelector"]).or_else(|| set.at(&["spec", "nodeSelector"]));
        let by_index = !set.fields(&["spec", "dpuSelector"]).is_empty() && dpu.pci.is_some();
        label_selector(selector.filter(|node| !node.is_null()), &host.labels)
            && (!by_index || dpf::selects(set, host, dpu))
    }
}

fn in_cluster(card: &Card<'_>, cluster: Option<&str>) -> bool {
    cluster.is_none_or(|cluster| card.dpu.cluster == cluster)
}

/// What DPF makes of each entry of a DPUDeployment's `dpuSets`, as far as cards and labels go.
pub(super) fn deployment_sets(id: &ObjectId, deployment: &Node) -> Vec<Node> {
    let owner = format!("{}_{}", id.namespace, id.name);
    let service = |name: &str| format!("svc.dpu.nvidia.com/dpuservice-{name}-version");
    let text = |text: &str| Node::str(text, Origin::NONE);
    let services = deployment.fields(&["spec", "services"]).iter().map(|entry| &*entry.key.text);
    let labels = services
        .map(|name| (service(name).into(), text("")))
        .chain([(OWNER_LABEL.into(), text(&owner)), ("svc.dpu.nvidia.com/dpuservicechain-version".into(), text(""))]);
    let labels = Node::map_of(labels, Origin::NONE);
    let entries = deployment.items(&["spec", "dpus", "dpuSets"]);
    entries
        .iter()
        .map(|entry| {
            let spec = Node::map(
                ["nodeSelector", "dpuNodeSelector", "dpuSelector"].map(|key| (key, entry.get(key).cloned())),
                Origin::NONE,
            );
            let spec = spec.with_at(&["dpuTemplate", "spec", "cluster", "nodeLabels"], labels.clone());
            let bfb = deployment.at(&["spec", "dpus", "bfb"]).cloned();
            let flavor = deployment.at(&["spec", "dpus", "flavor"]).cloned();
            let spec = bfb.map_or(spec.clone(), |bfb| spec.with_at(&["dpuTemplate", "spec", "bfb", "name"], bfb));
            let spec =
                flavor.map_or(spec.clone(), |flavor| spec.with_at(&["dpuTemplate", "spec", "dpuFlavor"], flavor));
            Node::map([("spec", Some(spec))], Origin::NONE)
        })
        .collect()
}
