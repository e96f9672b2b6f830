//! The DPU clusters: the list of the site, the `DPUCluster` objects and the inventory agree. PURE.

use std::collections::{BTreeMap, BTreeSet};

use super::Context;
use super::selector::known;
use super::view::{PROVISIONING, did_you_mean, listed, place};
use crate::diagnostic::{Diagnostic, Severity, nearest};
use crate::node::Node;
use crate::render::object::ObjectId;
use crate::site::{Cluster, Dpu, Host};

/// P-36: the pattern of the CRD is not anchored.
pub(super) fn cluster_type(context: &Context<'_>, faults: &mut Vec<Diagnostic>) {
    for (id, node) in context.objects(PROVISIONING, "DPUCluster") {
        let Some((text, node)) = node.at(&["spec", "type"]).and_then(|node| Some((known(node)?, node))) else {
            continue;
        };
        let vendor = text.split_once('/').is_some_and(|(domain, name)| !domain.is_empty() && !name.is_empty());
        // What the pattern refuses, the field table has refused.
        let slips = text.contains("kamaji") || text.contains("static") || text.chars().skip(1).any(|c| c == '/');
        if text == "kamaji" || text == "static" || vendor || !slips {
            continue;
        }
        faults.push(
            Diagnostic::error(
                "cluster-type",
                node.origin(),
                format!("{id} is of type `{text}`, which no cluster manager serves"),
            )
            .help_if(did_you_mean(text, ["kamaji", "static"]))
            .help("write `kamaji`, `static` or `<domain>/<name>` of another manager"),
        );
    }
}

/// P-40: Applications are named after the cluster's name alone.
pub(super) fn cluster_name_twice(context: &Context<'_>, faults: &mut Vec<Diagnostic>) {
    const CODE: &str = "cluster-name-twice";
    let mut seen = BTreeMap::new();
    for (id, node) in context.objects(PROVISIONING, "DPUCluster") {
        if let Some((first, origin)) = seen.insert(&id.name, (id, place(node))) {
            faults.push(
                Diagnostic::error(CODE, place(node), format!("{first} and {id} have one name"))
                    .note_at("the first", origin)
                    .help("their Applications and Argo CD destinations would be the same: rename one"),
            );
        }
    }
}

/// P-40: names that mean something else already.
pub(super) fn cluster_name_reserved(context: &Context<'_>, faults: &mut Vec<Diagnostic>) {
    for cluster in &context.site.clusters {
        let why = match cluster.name.as_str() {
            "in-cluster" => "is Argo CD's name of the management cluster",
            "management" => "is the destination of the management cluster's objects",
            "clusters" => "is the destination of every DPU cluster's objects",
            _ => continue,
        };
        faults.push(
            Diagnostic::error(
                "cluster-name-reserved",
                context.cluster_origin(cluster, "name"),
                format!("a DPU cluster cannot be named `{}`: that {why}", cluster.name),
            )
            .help("rename its DPUCluster, and the entry here"),
        );
    }
}

/// Names and namespaces of the clusters that somebody else makes.
fn externals<'a>(context: &Context<'a>) -> BTreeSet<(&'a str, &'a str)> {
    let entries = context.site.external.iter().filter(|entry| entry.kind == "DPUCluster");
    entries.map(|entry| (entry.name.as_str(), entry.namespace.as_str())).collect()
}

fn is_external(externals: &BTreeSet<(&str, &str)>, cluster: &Cluster) -> bool {
    ["", &cluster.namespace].iter().any(|namespace| externals.contains(&(cluster.name.as_str(), namespace)))
}

/// The `DPUCluster` that a misspelt name of the list may mean: one that the list does not have.
fn meant<'a>(context: &Context<'a>, name: &str) -> Option<(&'a ObjectId, &'a Node)> {
    let unlisted = |name: &str| context.site.clusters.iter().all(|cluster| cluster.name != name);
    let objects = || context.objects(PROVISIONING, "DPUCluster").filter(|(id, _)| unlisted(&id.name));
    let near = nearest(name, objects().map(|(id, _)| &*id.name))?;
    objects().find(|(id, _)| &*id.name == near)
}

/// A cluster of the site that nobody makes.
pub(super) fn cluster_object_missing(context: &Context<'_>, faults: &mut Vec<Diagnostic>) {
    let externals = externals(context);
    for cluster in &context.site.clusters {
        if context.object(PROVISIONING, "DPUCluster", &cluster.namespace, &cluster.name).is_some()
            || is_external(&externals, cluster)
        {
            continue;
        }
        let fault = Diagnostic::error(
            "cluster-object-missing",
            context.cluster_origin(cluster, "name"),
            format!(
                "the site lists cluster `{}/{}`, and there is no DPUCluster of this name",
                cluster.namespace, cluster.name
            ),
        );
        let mut objects = context.objects(PROVISIONING, "DPUCluster");
        let other = objects.find(|(id, _)| *id.name == *cluster.name);
        faults.push(match (other, meant(context, &cluster.name)) {
            (Some((id, node)), _) => fault
                .note_at(format!("its DPUCluster is in namespace `{}`", id.namespace), place(node))
                .help(format!("write `namespace: {}`", id.namespace)),
            (None, Some((id, node))) => {
                fault.note_at(format!("the list has no {id}"), place(node)).help(format!("did you mean `{}`?", id.name))
            }
            (None, None) => fault.help(format!(
                "write the DPUCluster, or name it under `external`: {{group: {PROVISIONING}, kind: DPUCluster, namespace: {}, name: {}}}",
                cluster.namespace, cluster.name
            )),
        });
    }
}

/// A `DPUCluster` for which nothing would be rendered.
pub(super) fn cluster_unlisted(context: &Context<'_>, faults: &mut Vec<Diagnostic>) {
    let list = context.site.node.at(&["spec", "clusters"]).map_or(context.site.node.origin(), Node::origin);
    let names: BTreeSet<&str> = context.site.clusters.iter().map(|cluster| cluster.name.as_str()).collect();
    // What a name of the list that has no object may mean is said there.
    let externals = externals(context);
    let made: BTreeSet<&str> = context.objects(PROVISIONING, "DPUCluster").map(|(id, _)| &*id.name).collect();
    let lost = context
        .site
        .clusters
        .iter()
        .filter(|cluster| !made.contains(cluster.name.as_str()) && !is_external(&externals, cluster));
    let told: BTreeSet<&str> = lost.filter_map(|cluster| Some(&*meant(context, &cluster.name)?.0.name)).collect();
    for (id, node) in context.objects(PROVISIONING, "DPUCluster") {
        if id.name.contains(crate::node::EXPRESSION) {
            continue;
        }
        // One in another namespace is said where the site lists it.
        if names.contains(&*id.name) || told.contains(&*id.name) {
            continue;
        }
        faults.push(
            Diagnostic::error("cluster-unlisted", place(node), format!("{id} is not in the site's `clusters`"))
                .note_at("the list", list)
                .help(format!("add `- {{name: {}, namespace: {}}}` to `spec.clusters`", id.name, id.namespace)),
        );
    }
}

/// P-48: one cluster without a kubeconfig stops the services of every cluster.
pub(super) fn cluster_kubeconfig_missing(context: &Context<'_>, faults: &mut Vec<Diagnostic>) {
    for (id, node) in context.objects(PROVISIONING, "DPUCluster") {
        let Some((kind, node)) = node.at(&["spec", "type"]).and_then(|kind| Some((known(kind)?, node))) else {
            continue;
        };
        let given = node.at(&["spec", "kubeconfig"]);
        // Managers other than `static` set it themselves.
        if kind != "static" || given.is_some_and(|given| given.as_str().is_none_or(|text| !text.is_empty())) {
            continue;
        }
        let mut fault = Diagnostic::error(
            "cluster-kubeconfig-missing",
            place(node),
            format!("{id} is of type `static` and names no `kubeconfig`"),
        )
        .note("DPF then makes no Application for any cluster")
        .help("write `spec.kubeconfig` with the name of a Secret in its namespace, key `admin.conf`");
        if context.is_standalone() {
            fault.severity = Severity::Warning;
        }
        faults.push(fault);
    }
}

/// A card that joins no cluster of the site.
pub(super) fn inventory_cluster_unknown(context: &Context<'_>, faults: &mut Vec<Diagnostic>) {
    let names: BTreeSet<&str> = context.site.clusters.iter().map(|cluster| cluster.name.as_str()).collect();
    // A DPUCluster that the list lacks has been told of.
    let made: BTreeSet<&str> = context.objects(PROVISIONING, "DPUCluster").map(|(id, _)| &*id.name).collect();
    let known = |name: &str| names.contains(name) || made.contains(name);
    // One mistake, told at the first card.
    let mut lost: BTreeMap<&str, (&Host, &Dpu, usize)> = BTreeMap::new();
    for host in &context.input.inventory.hosts {
        for dpu in host.dpus.iter().filter(|dpu| !known(&dpu.cluster)) {
            lost.entry(&dpu.cluster).or_insert((host, dpu, 0)).2 += 1;
        }
    }
    for (cluster, (host, dpu, count)) in lost {
        let card = format!("card `{}` of host `{}`", dpu.node_name, host.name);
        let (cards, join) = match count {
            1 => (card, "joins"),
            _ => (format!("{card} and {} more", count - 1), "join"),
        };
        faults.push(
            Diagnostic::error(
                "inventory-cluster-unknown",
                dpu.cluster_origin,
                format!("{cards} {join} cluster `{cluster}`, which the site does not list"),
            )
            .note(format!("the clusters are {}", listed(names.iter().copied())))
            .help_if(did_you_mean(cluster, names.iter().copied())),
        );
    }
}
