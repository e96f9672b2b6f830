//! What chains give to the networks of a service's pods: pools to take addresses from. PURE.
//!
//! In: chains, interfaces and pools as they are in a DPU cluster. Out: `cni-args` per interface of a service. Mirrors
//! `internal/podipaminjector/controllers/podipam_controller.go`, release v24.10.0-rc.6, which patches pods at run time; here
//! the arguments are in the annotation from the start, so no injector is needed. On purpose different: no pool, or several
//! that match, are faults, where upstream waits or takes the first.

use serde_json::{Value as Json, json};

use super::context::{Context, given, name, of_kind};
use super::names::{NV_IPAM, SVC};
use super::network::CniArgs;
use super::parts::Parts;
use super::selector::{Labels, match_labels};
use crate::diagnostic::{Diagnostic, nearest};
use crate::node::Node;
use crate::source::Origin;

/// The pools that are generated for each cluster.
pub(super) type Pools = [Vec<Node>];

/// Whether every cluster has the same chains, interfaces and pools, so that one answer serves all.
pub(super) fn uniform(cx: &Context<'_>, parts: &Parts, ipams: &[&Node]) -> bool {
    let user = |group: &str, kind: &str| cx.input.clusters.iter().any(|objects| of_kind(objects, group, kind).next().is_some());
    !parts.chains.values().chain(parts.interfaces.values()).any(|part| part.node.has_expression())
        && !ipams.iter().any(|ipam| ipam.has_expression())
        && !user(SVC, "ServiceChainSet")
        && !user(SVC, "ServiceInterfaceSet")
        && !user(NV_IPAM, "IPPool")
        && !user(NV_IPAM, "CIDRPool")
}

/// The arguments of the interfaces of the service with `id` in a namespace.
pub(super) fn of_service(
    cx: &mut Context<'_>,
    parts: &Parts,
    pools: &Pools,
    (namespace, id): (&str, &str),
    cluster: usize,
) -> CniArgs {
    let ports = ports(cx, parts, namespace, cluster);
    let mut found: std::collections::BTreeMap<String, (Json, Origin)> = std::collections::BTreeMap::new();
    if ports.is_empty() {
        return CniArgs::new();
    }
    for (set, template) in templates(cx, parts, namespace, cluster, "interfaces") {
        let spec = cx.in_cluster(&part_of(&template, &["interfaceType", "service"], "spec"), cluster);
        if spec.text(&["interfaceType"]) != Some("service") || spec.text(&["service", "serviceID"]) != Some(id) {
            continue;
        }
        let Some(interface) = spec.text(&["service", "interfaceName"]) else { continue };
        let labels = labels(cx, &set, namespace, id, &template, cluster);
        for port in ports.iter().filter(|port| match_labels(port.get("matchLabels"), &labels)) {
            let Some(ipam) = given(port, &["ipam"]) else { continue };
            let Some(args) = resolve(cx, pools, ipam, cluster) else { continue };
            match found.get(interface) {
                Some((other, origin)) if *other != args => {
                    cx.report(
                        Diagnostic::error(
                            "ipam-conflict",
                            ipam.origin(),
                            format!("interface `{interface}` of service `{id}` gets addresses from two chain ports that differ"),
                        )
                        .note_at("the other port", *origin)
                        .help("all pods of a service share one annotation: give both ports the same `ipam`"),
                    );
                }
                _ => {
                    found.insert(interface.to_owned(), (args, ipam.origin()));
                }
            }
        }
    }
    found.into_iter().map(|(interface, (args, _))| (interface, args)).collect()
}

/// The ports with `ipam` of the chains of a namespace.
fn ports(cx: &Context<'_>, parts: &Parts, namespace: &str, cluster: usize) -> Vec<Node> {
    let mut ports = Vec::new();
    for (_, template) in templates(cx, parts, namespace, cluster, "chains") {
        for switch in template.items(&["spec", "switches"]) {
            for port in switch.items(&["ports"]) {
                let Some(interface) = given(port, &["serviceInterface"]) else { continue };
                if given(interface, &["ipam"]).is_some() && !interface.fields(&["matchLabels"]).is_empty() {
                    ports.push(cx.in_cluster(interface, cluster));
                }
            }
        }
    }
    ports
}

/// Name of each Set of a namespace, and the template of what it makes per node: generated, then those of the user.
fn templates(cx: &Context<'_>, parts: &Parts, namespace: &str, cluster: usize, what: &str) -> Vec<(String, Node)> {
    let (parts, kind) =
        if what == "chains" { (&parts.chains, "ServiceChainSet") } else { (&parts.interfaces, "ServiceInterfaceSet") };
    let generated = parts.iter().filter(|((own, _), _)| own == namespace).filter_map(|((_, name), part)| {
        Some((name.clone(), part.node.at(&["spec", "template", "spec", "template"])?.clone()))
    });
    let written = cx.input.clusters.get(cluster).into_iter().flat_map(|objects| {
        of_kind(objects, SVC, kind)
            .filter(|(id, _)| &*id.namespace == namespace)
            .filter_map(|(id, set)| Some((id.name.to_string(), set.at(&["spec", "template"])?.clone())))
    });
    generated.chain(written).collect()
}

/// Some members of a map below `key`: what waits for a card in the others must not be evaluated here.
fn part_of(node: &Node, members: &[&str], key: &str) -> Node {
    let entries = members.iter().map(|member| (*member, node.at(&[key, member]).cloned()));
    Node::map(entries, node.origin())
}

/// The labels that a ServiceInterface will have, its node's name aside.
fn labels(cx: &Context<'_>, set: &str, namespace: &str, id: &str, template: &Node, cluster: usize) -> Labels {
    let mut labels = Labels::from([
        ("svc.dpu.nvidia.com/serviceinterfaceset-name".to_owned(), set.to_owned()),
        ("svc.dpu.nvidia.com/serviceinterfaceset-namespace".to_owned(), namespace.to_owned()),
        ("svc.dpu.nvidia.com/service-id".to_owned(), id.to_owned()),
    ]);
    if let Some(written) = template.at(&["metadata", "labels"]) {
        let written = cx.in_cluster(written, cluster);
        for label in written.fields(&[]) {
            labels.insert(label.key.text.to_string(), label.value.as_str().unwrap_or_default().to_owned());
        }
    }
    labels
}

/// The pool that an `ipam` means: IPPools first, then CIDRPools, by label.
fn resolve(cx: &mut Context<'_>, pools: &Pools, ipam: &Node, cluster: usize) -> Option<Json> {
    let wanted = ipam.get("matchLabels");
    let all: Vec<&Node> = {
        let generated = pools.get(cluster).map(Vec::as_slice).unwrap_or_default().iter();
        let written = cx.input.clusters.get(cluster).into_iter().flat_map(|objects| {
            ["IPPool", "CIDRPool"].into_iter().flat_map(|kind| of_kind(objects, NV_IPAM, kind).map(|(_, node)| node))
        });
        generated.chain(written).collect()
    };
    let labels_of = |pool: &Node| -> Labels {
        let labels = pool.fields(&["metadata", "labels"]).iter();
        labels.map(|label| (label.key.text.to_string(), label.value.as_str().unwrap_or_default().to_owned())).collect()
    };
    for (kind, word) in [("IPPool", "ippool"), ("CIDRPool", "cidrpool")] {
        let matching: Vec<&&Node> = all
            .iter()
            .filter(|pool| pool.text(&["kind"]) == Some(kind) && match_labels(wanted, &labels_of(pool)))
            .collect();
        match matching.as_slice() {
            [] => {}
            [pool] => {
                let gateway = given(ipam, &["defaultGateway"]).and_then(Node::as_bool).unwrap_or_default();
                return Some(json!({"allocateDefaultGateway": gateway, "poolNames": [name(pool)], "poolType": word}));
            }
            [first, second, ..] => {
                let message =
                    format!("the labels of this `ipam` select {kind}s `{}` and `{}`", name(first), name(second));
                let diagnostic = Diagnostic::error("ipam-pool-ambiguous", ipam.key_origin("matchLabels"), message)
                    .note_at(format!("`{}`", name(first)), first.origin())
                    .note_at(format!("`{}`", name(second)), second.origin())
                    .help("exactly one pool must match: give each pool a label of its own");
                cx.report(diagnostic);
                return None;
            }
        }
    }
    let show = |entries: &[crate::node::Entry]| {
        let pairs = entries.iter().map(|entry| format!("{}={}", entry.key.text, entry.value.as_str().unwrap_or_default()));
        pairs.collect::<Vec<_>>().join(",")
    };
    let asked = show(wanted.map(|wanted| wanted.fields(&[])).unwrap_or_default());
    let message = format!("no pool carries `{asked}`, so nothing gives this port addresses");
    let mut diagnostic = Diagnostic::error("ipam-pool-missing", ipam.key_origin("matchLabels"), message);
    // The labels of a pool that its owner chose; the controller's own say nothing new.
    let chosen = |pool: &Node| {
        let labels = pool.fields(&["metadata", "labels"]).iter();
        let own = labels.filter(|label| !label.key.text.starts_with("dpu.nvidia.com/dpuserviceipam-")).cloned();
        show(&own.collect::<Vec<_>>())
    };
    let carried: Vec<String> = all.iter().map(|pool| chosen(pool)).collect();
    if let Some(near) = nearest(&asked, carried.iter().map(String::as_str)) {
        diagnostic = diagnostic.help(format!("did you mean `{near}`?"));
    }
    for pool in all.iter().take(4) {
        diagnostic = diagnostic.note_at(format!("pool `{}` carries `{}`", name(pool), chosen(pool)), pool.origin());
    }
    if all.is_empty() {
        diagnostic = diagnostic.help("add a DPUServiceIPAM whose `spec.metadata.labels` have these labels");
    }
    cx.report(diagnostic);
    None
}
