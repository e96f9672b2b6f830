//! Which cards a change reaches. PURE.
//!
//! In: a [`Case`]. Out: [`Cards`], by name where the site has an inventory, else in words.

use std::collections::BTreeSet;

use super::case::Case;
use super::fleet::{Fleet, PROVISIONING, SVC, deployment_sets};
use crate::node::Node;
use crate::render::expand::dpf::selector::match_labels;
use crate::render::object::{Destination, ObjectId};

/// Finds the cards of a case.
pub(super) type Reach = fn(&Case<'_>) -> Cards;

/// Cards that something happens to.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Cards {
    /// By name, sorted.
    pub(super) names: Vec<String>,
    /// Which ones, where there is no inventory to name them from.
    pub(super) of: Option<String>,
}

impl Cards {
    /// These.
    pub(super) fn named<'s>(names: impl IntoIterator<Item = &'s str>) -> Self {
        let names: BTreeSet<&str> = names.into_iter().collect();
        Self { names: names.into_iter().map(str::to_owned).collect(), of: None }
    }

    /// Those that `find` finds in a side, or what they are called where it has no inventory.
    fn find<'a>(fleet: Option<&Fleet<'a>>, what: String, find: impl FnOnce(&Fleet<'a>) -> BTreeSet<&'a str>) -> Self {
        match fleet {
            Some(fleet) if fleet.is_known() => Self::named(find(fleet)),
            _ => Self { names: Vec::new(), of: Some(what) },
        }
    }

    /// These and those.
    pub(super) fn and(self, other: Self) -> Self {
        let names = self.names.iter().chain(&other.names).map(String::as_str);
        Self { names: Self::named(names).names, of: self.of.or(other.of) }
    }

    /// Whether it is known that there is none.
    pub(super) fn is_none(&self) -> bool {
        self.names.is_empty() && self.of.is_none()
    }
}

/// No card.
pub(super) fn nobody(_: &Case<'_>) -> Cards {
    Cards::default()
}

/// Every card of the site.
pub(super) fn every(case: &Case<'_>) -> Cards {
    Cards::find(case.fleet(), "every card of the site".to_owned(), |fleet| fleet.names(|_| true))
}

/// The name of the DPU cluster that the object goes to.
fn cluster<'a>(case: &Case<'a>) -> Option<&'a str> {
    match case.destination {
        Destination::Management => None,
        Destination::Cluster(name) => Some(name),
    }
}

/// Every card of the DPU cluster that the object goes to; every card of the site where it goes to the management cluster.
pub(super) fn of_destination(case: &Case<'_>) -> Cards {
    let Some(cluster) = cluster(case) else { return every(case) };
    Cards::find(case.fleet(), format!("every card of {cluster}"), |fleet| fleet.by_labels(Some(cluster), None))
}

/// The cards of the DPU cluster, where it goes to one: what runs on the management cluster runs on no card.
pub(super) fn of_cluster_only(case: &Case<'_>) -> Cards {
    if cluster(case).is_some() { of_destination(case) } else { Cards::default() }
}

/// The cards of a DPUSet.
pub(super) fn of_set(case: &Case<'_>) -> Cards {
    let Some(node) = case.object() else { return Cards::default() };
    Cards::find(case.fleet(), format!("the cards that {} selects", case.id), |fleet| fleet.of_set(node))
}

/// The cards of a DPUDeployment.
pub(super) fn of_deployment(case: &Case<'_>) -> Cards {
    let Some(node) = case.object() else { return Cards::default() };
    deployment_cards(case.fleet(), case.id, node)
}

fn deployment_cards(fleet: Option<&Fleet<'_>>, id: &ObjectId, node: &Node) -> Cards {
    Cards::find(fleet, format!("the cards that {id} selects"), |fleet| {
        deployment_sets(id, node).iter().flat_map(|set| fleet.of_set(set)).collect()
    })
}

/// The card whose Node the object names.
pub(super) fn of_node(case: &Case<'_>) -> Cards {
    let node = case.object().and_then(|object| object.text(&["spec", "node"]));
    node.map_or_else(|| of_destination(case), |node| Cards::named([node]))
}

/// The cards that `spec.nodeSelector`, a label selector, selects in the DPU cluster.
pub(super) fn of_labels(case: &Case<'_>) -> Cards {
    by_labels(case, &["spec", "nodeSelector"])
}

/// The cards that the template of a chain or interface selects in every DPU cluster.
pub(super) fn of_template_labels(case: &Case<'_>) -> Cards {
    by_labels(case, &["spec", "template", "spec", "nodeSelector"])
}

fn by_labels(case: &Case<'_>, path: &[&str]) -> Cards {
    let selector = case.object().and_then(|object| object.at(path)).filter(|node| !node.is_null());
    let what = format!("the cards that {} selects", case.id);
    Cards::find(case.fleet(), what, |fleet| fleet.by_labels(cluster(case), selector))
}

/// The cards that `spec.nodeSelector`, a node selector, selects in the DPU cluster.
pub(super) fn of_terms(case: &Case<'_>) -> Cards {
    by_terms(case, cluster(case), &["spec", "nodeSelector"])
}

/// The cards that a DPUService runs on.
pub(super) fn of_service(case: &Case<'_>) -> Cards {
    let in_cluster = case.object().and_then(|object| object.at(&["spec", "deployInCluster"])).and_then(Node::as_bool);
    if in_cluster == Some(true) {
        return Cards::default();
    }
    by_terms(case, cluster(case), &["spec", "serviceDaemonSet", "nodeSelector"])
}

/// The cards that the service of an Application runs on; none for what it installs on the management cluster.
pub(super) fn of_application(case: &Case<'_>) -> Cards {
    let Some(object) = case.object() else { return Cards::default() };
    let Some(cluster) = target(case.fleet(), object) else { return Cards::default() };
    by_terms(case, Some(cluster), SERVICE_NODES)
}

/// Where the Helm values of a DPU service say on which nodes it runs.
pub(super) const SERVICE_NODES: &[&str] =
    &["spec", "source", "helm", "valuesObject", "serviceDaemonSet", "nodeSelector"];

/// The DPU cluster that an Application installs to.
pub(super) fn target<'a>(fleet: Option<&Fleet<'a>>, application: &Node) -> Option<&'a str> {
    let name = application.text(&["spec", "destination", "name"])?;
    fleet?.site.site.clusters.iter().map(|cluster| cluster.name.as_str()).find(|cluster| *cluster == name)
}

fn by_terms(case: &Case<'_>, cluster: Option<&str>, path: &[&str]) -> Cards {
    let selector = case.object().and_then(|object| object.at(path));
    let what = match cluster {
        Some(cluster) => format!("the cards of {cluster} that {} selects", case.id),
        None => format!("the cards that {} selects", case.id),
    };
    Cards::find(case.fleet(), what, |fleet| fleet.by_terms(cluster, selector))
}

/// The cards of the DPUDeployments that use a template or a configuration.
pub(super) fn of_users(case: &Case<'_>) -> Cards {
    let field = if &*case.id.kind == "DPUServiceTemplate" { "serviceTemplate" } else { "serviceConfiguration" };
    let Some(fleet) = case.fleet() else { return Cards::default() };
    let users = fleet.of_kind(SVC, "DPUDeployment").filter(|one| one.id.namespace == case.id.namespace).filter(|one| {
        let mut services = one.node.fields(&["spec", "services"]).iter();
        services.any(|service| service.value.text(&[field]) == Some(&*case.id.name))
    });
    users.map(|one| deployment_cards(Some(fleet), &one.id, &one.node)).fold(Cards::default(), Cards::and)
}

/// The cards whose DPUSet names the object as its BFB or flavor.
pub(super) fn of_image(case: &Case<'_>) -> Cards {
    let Some(fleet) = case.fleet() else { return Cards::default() };
    let template = ["spec", "dpuTemplate", "spec"];
    let path = match &*case.id.kind {
        "BFB" => [&template[..], &["bfb", "name"]].concat(),
        _ => [&template[..], &["dpuFlavor"]].concat(),
    };
    let sets: Vec<_> = fleet.sets();
    let mine =
        sets.iter().filter(|set| set.namespace == &*case.id.namespace && set.node.text(&path) == Some(&*case.id.name));
    Cards::find(Some(fleet), format!("the cards that are installed with {}", case.id), |fleet| {
        mine.flat_map(|set| fleet.of_set(&set.node)).collect()
    })
}

/// The cards of the DPU cluster that the object, a DPUCluster, is.
pub(super) fn of_dpu_cluster(case: &Case<'_>) -> Cards {
    let name = &*case.id.name;
    Cards::find(case.fleet(), format!("every card of {name}"), |fleet| fleet.by_labels(Some(name), None))
}

/// The cards of the hosts that `spec.nodeSelector`, a map of labels, selects.
pub(super) fn of_hosts(case: &Case<'_>) -> Cards {
    let selector = case.object().and_then(|object| object.at(&["spec", "nodeSelector"]));
    Cards::find(case.fleet(), format!("the cards of the hosts that {} selects", case.id), |fleet| {
        fleet.names(|card| match_labels(selector, &card.host.labels))
    })
}

/// How many cards of a set go at a time, as its strategy says it.
pub(super) fn rate(set: &Node, total: usize) -> Option<String> {
    let value = set.at(&["spec", "strategy", "rollingUpdate", "maxUnavailable"])?;
    Some(match value.as_str().and_then(|text| text.strip_suffix('%')?.parse::<usize>().ok()) {
        // Percentages are rounded up, and at least one card goes.
        Some(percent) if total > 0 => {
            format!("{percent}% ({} of {total})", (total * percent).div_ceil(100).clamp(1, total))
        }
        Some(percent) => format!("{percent}%"),
        None => value.as_str().map_or_else(|| value.to_json().to_string(), str::to_owned),
    })
}

/// The DPUSets and DPUDeployments of a side that name a BFB or flavor; of a BFB in any namespace.
pub(super) fn users_of(fleet: &Fleet<'_>, id: &ObjectId) -> Vec<String> {
    let (of_set, of_deployment): (&[&str], &[&str]) = match &*id.kind {
        "BFB" => (&["spec", "dpuTemplate", "spec", "bfb", "name"], &["spec", "dpus", "bfb"]),
        _ => (&["spec", "dpuTemplate", "spec", "dpuFlavor"], &["spec", "dpus", "flavor"]),
    };
    let anywhere = &*id.kind == "BFB";
    let sets = fleet.of_kind(PROVISIONING, "DPUSet").map(|set| (set, of_set));
    let deployments = fleet.of_kind(SVC, "DPUDeployment").map(|deployment| (deployment, of_deployment));
    let named = sets.chain(deployments).filter(|(user, path)| {
        (anywhere || user.id.namespace == id.namespace) && user.node.text(path) == Some(&*id.name)
    });
    named.map(|(user, _)| user.id.to_string()).collect()
}
