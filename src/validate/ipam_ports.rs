//! The `ipam` of chain ports: which pool the pods of a service take their addresses from. PURE.
//!
//! Upstream the pod IPAM injector reads it when a pod starts: IPPools of the whole cluster first, then CIDRPools, the first
//! that matches; a port whose labels match none stops the pod (P-23).

use super::Context;
use super::view::listed;
use crate::diagnostic::{Diagnostic, nearest};
use crate::node::Node;

/// The part of a port that holds `ipam`.
fn holder(port: &Node) -> &Node {
    port.get("serviceInterface").or_else(|| port.get("service")).unwrap_or(port)
}

fn place(ipam: &Node) -> crate::source::Origin {
    ipam.key_origin("matchLabels")
}

/// Labels that no pool has.
pub(super) fn ipam_pool_unmatched(context: &Context<'_>, faults: &mut Vec<Diagnostic>) {
    let resolution = context.resolution();
    for port in &resolution.ports {
        let (Some(ipam), Some(cluster)) = (port.ipam, port.no_pool_in) else { continue };
        if context.is_told(place(ipam)) {
            continue;
        }
        let chain = &resolution.chains[port.chain];
        let wanted: Vec<String> = ipam
            .fields(&["matchLabels"])
            .iter()
            .filter_map(|entry| Some(format!("{}={}", entry.key.text, entry.value.as_str()?)))
            .collect();
        let in_use: Vec<String> = resolution
            .pools
            .iter()
            .flat_map(|pool| pool.labels.iter().filter(|(key, _)| !key.starts_with("dpu.nvidia.com/")))
            .map(|(key, value)| format!("{key}={value}"))
            .take(200)
            .collect();
        let near = wanted.iter().find_map(|word| nearest(word, in_use.iter().map(String::as_str)));
        let message = match cluster {
            Some(index) => format!(
                "{} takes addresses from a pool with {}, which DPU cluster `{}` does not have",
                chain.name,
                listed(wanted.iter().map(String::as_str)),
                context.cluster_name(index)
            ),
            None => format!(
                "{} takes addresses from a pool with {}, which does not exist",
                chain.name,
                listed(wanted.iter().map(String::as_str))
            ),
        };
        faults.push(
            Diagnostic::error("ipam-pool-unmatched", place(ipam), message)
                .label(match resolution.pools.len() {
                    0 => "there is no pool".to_owned(),
                    1 => "does not match the only pool".to_owned(),
                    count => format!("matches none of {count} pools"),
                })
                .help(match near {
                    Some(near) => format!("did you mean `{}`?", near.replacen('=', ": ", 1)),
                    None if in_use.is_empty() => {
                        "write a DPUServiceIPAM whose `spec.metadata.labels` has these labels".to_owned()
                    }
                    None => format!("labels of pools: {}", listed(in_use.iter().map(String::as_str))),
                }),
        );
    }
}

/// Labels that two pools of a cluster have.
pub(super) fn ipam_pool_ambiguous(context: &Context<'_>, faults: &mut Vec<Diagnostic>) {
    let resolution = context.resolution();
    for port in resolution.ports.iter().filter(|port| port.pools.len() > 1) {
        let Some(ipam) = port.ipam.filter(|ipam| !context.is_told(place(ipam))) else { continue };
        let pools: Vec<_> = port.pools.iter().map(|&at| &resolution.pools[at]).collect();
        let Some((a, b)) = pools.iter().enumerate().find_map(|(at, a)| {
            let meets = |b: &&&super::resolution::Candidate<'_>| {
                a.cluster.is_none() || b.cluster.is_none() || a.cluster == b.cluster
            };
            Some((*a, *pools[at + 1..].iter().take(64).find(meets)?))
        }) else {
            continue;
        };
        faults.push(
            Diagnostic::warning(
                "ipam-pool-ambiguous",
                place(ipam),
                format!("{} takes addresses by labels that two pools have", resolution.chains[port.chain].name),
            )
            .note_at(format!("one is {}", a.name), a.origin)
            .note_at(format!("the other is {}", b.name), b.origin)
            .help("IPPools come before CIDRPools, then the first by namespace and name is taken; name a label that one of them has"),
        );
    }
}

/// `setDefaultRoute` is in the schema and read by nobody.
pub(super) fn ipam_default_route_unread(context: &Context<'_>, faults: &mut Vec<Diagnostic>) {
    let resolution = context.resolution();
    for port in &resolution.ports {
        let Some(ipam) = port.ipam.filter(|ipam| ipam.get("setDefaultRoute").is_some_and(|node| !node.is_null()))
        else {
            continue;
        };
        faults.push(
            Diagnostic::warning(
                "ipam-default-route-unread",
                ipam.key_origin("setDefaultRoute"),
                format!("{} sets `setDefaultRoute`, which nothing reads", resolution.chains[port.chain].name),
            )
            .help("for a default route through the pool's gateway write `defaultGateway: true`"),
        );
    }
}

/// Only pods of services get addresses.
pub(super) fn ipam_interface_type(context: &Context<'_>, faults: &mut Vec<Diagnostic>) {
    let resolution = context.resolution();
    for port in &resolution.ports {
        if port.ipam.is_none() {
            continue;
        }
        let Some(other) = port
            .matches
            .iter()
            .map(|&at| &resolution.interfaces[at])
            .find(|found| !found.kind.is_empty() && found.kind != "service")
        else {
            continue;
        };
        faults.push(
            Diagnostic::warning(
                "ipam-interface-type",
                holder(port.node).key_origin("ipam"),
                format!("{} has `ipam` on a port of type `{}`", resolution.chains[port.chain].name, other.kind),
            )
            .note_at(format!("the port is {}", other.name), other.origin)
            .note("only the pods of a service get addresses")
            .help("take `ipam` away: it has no effect here"),
        );
    }
}
