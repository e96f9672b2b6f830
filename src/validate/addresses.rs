//! Address pools: what the webhook of `DPUServiceIPAM` refuses, and what it should. PURE.
//!
//! Mirrors `internal/dpuservice/webhooks/dpuserviceipam_webhook.go` of DPF v24.10 (I1 to I11 of the fact sheet) and adds P-18 and
//! P-20. A pool whose range differs from cluster to cluster is checked in each.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;

use super::Context;
use super::selector::known;
use super::view::{IPAM_NAMESPACE, NV_IPAM, SVC, did_you_mean, place};
use crate::diagnostic::Diagnostic;
use crate::node::Node;
use crate::render::object::ObjectId;
use crate::source::Origin;

/// A pool as one cluster, or every cluster, has it.
pub(super) struct Pool<'a> {
    id: &'a ObjectId,
    place: Origin,
    /// Nothing where it is the same in all.
    cluster: Option<usize>,
    /// `ipv4Network` or `ipv4Subnet`; `spec` of a pool that the user wrote for a cluster.
    spec: Node,
    mode: Mode,
    /// Key of the range in `spec`.
    field: &'static str,
    range: Option<IpNet>,
    nodes: bool,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Mode {
    /// A subnet per node.
    Network,
    /// One subnet, a block per node.
    Subnet,
    /// An IPPool or CIDRPool of the user, checked by nv-ipam itself.
    Written,
}

impl<'a> Context<'a> {
    fn pools(&self) -> &[Pool<'a>] {
        self.pools.get_or_init(|| {
            let mut pools = Vec::new();
            for (id, node) in self.objects(SVC, "DPUServiceIPAM") {
                for (cluster, variant) in self.per_cluster(node) {
                    for (key, field, mode) in
                        [("ipv4Network", "network", Mode::Network), ("ipv4Subnet", "subnet", Mode::Subnet)]
                    {
                        let Some(spec) = variant.at(&["spec", key]).filter(|spec| !spec.is_null()) else { continue };
                        pools.push(Pool {
                            id,
                            place: place(node),
                            cluster,
                            range: range(spec, field),
                            spec: spec.clone(),
                            mode,
                            field,
                            nodes: variant.at(&["spec", "nodeSelector"]).is_none(),
                        });
                    }
                }
            }
            for cluster in 0..self.input.clusters.len() {
                for (kind, field) in [("IPPool", "subnet"), ("CIDRPool", "cidr")] {
                    for (id, node) in self.in_cluster(cluster, NV_IPAM, kind) {
                        let Some(spec) = node.get("spec") else { continue };
                        pools.push(Pool {
                            id,
                            place: place(node),
                            cluster: Some(cluster),
                            range: range(spec, field),
                            spec: spec.clone(),
                            mode: Mode::Written,
                            field,
                            nodes: false,
                        });
                    }
                }
            }
            pools
        })
    }
}

fn range(spec: &Node, field: &str) -> Option<IpNet> {
    spec.get(field).and_then(known)?.parse().ok()
}

/// Addresses of a range, or as many as fit.
fn size(net: &IpNet) -> u128 {
    1u128.checked_shl(u32::from(net.max_prefix_len() - net.prefix_len())).unwrap_or(u128::MAX)
}

impl Pool<'_> {
    fn origin(&self, key: &str) -> Origin {
        self.spec.get(key).map_or(self.place, Node::origin)
    }

    fn text(&self, key: &str) -> &str {
        self.spec.get(key).and_then(Node::as_str).unwrap_or_default()
    }

    fn fault(&self, context: &Context<'_>, code: &'static str, origin: Origin, message: String) -> Diagnostic {
        let fault = Diagnostic::error(code, origin, message);
        match self.cluster {
            Some(cluster) => fault.note(format!("so it is in DPU cluster `{}`", context.cluster_name(cluster))),
            None => fault,
        }
    }
}

/// I1: only one namespace works, whatever the operator's.
pub(super) fn ipam_namespace(context: &Context<'_>, faults: &mut Vec<Diagnostic>) {
    for (id, node) in context.objects(SVC, "DPUServiceIPAM") {
        if &*id.namespace == IPAM_NAMESPACE || id.namespace.contains(crate::node::EXPRESSION) || id.namespace.is_empty()
        {
            continue;
        }
        faults.push(
            Diagnostic::error(
                "ipam-namespace",
                node.at(&["metadata", "namespace"]).map_or(place(node), Node::origin),
                format!("{id} is in namespace `{}`, and pools work only in `{IPAM_NAMESPACE}`", id.namespace),
            )
            .help(format!(
                "write `namespace: {IPAM_NAMESPACE}`; chains of every namespace find it there by its labels"
            )),
        );
    }
}

/// I2, I3: one of two modes.
pub(super) fn ipam_mode(context: &Context<'_>, faults: &mut Vec<Diagnostic>) {
    for (id, node) in context.objects(SVC, "DPUServiceIPAM") {
        let set = |key: &str| node.at(&["spec", key]).filter(|spec| !spec.is_null());
        match (set("ipv4Network"), set("ipv4Subnet")) {
            (None, None) => {
                let spec = node.get("spec").unwrap_or(node);
                let keys = spec
                    .fields(&[])
                    .iter()
                    .find_map(|entry| did_you_mean(&entry.key.text, ["ipv4Network", "ipv4Subnet"]));
                faults.push(
                    Diagnostic::error(
                        "ipam-mode",
                        place(node),
                        format!("{id} has neither `ipv4Network` nor `ipv4Subnet`"),
                    )
                    .help_if(keys)
                    .help("`ipv4Network` gives each node a subnet, `ipv4Subnet` a block of one shared subnet"),
                );
            }
            (Some(_), Some(_)) => {
                let key = |key| node.get("spec").map_or(place(node), |spec| spec.key_origin(key));
                faults.push(
                    Diagnostic::error(
                        "ipam-mode",
                        key("ipv4Subnet"),
                        format!("{id} has both `ipv4Network` and `ipv4Subnet`"),
                    )
                    .note_at("`ipv4Network` is here", key("ipv4Network"))
                    .help("keep one of them, or write a second DPUServiceIPAM"),
                );
            }
            _ => {}
        }
    }
}

/// I5, P-20: the range of the pool.
pub(super) fn ipam_cidr(context: &Context<'_>, faults: &mut Vec<Diagnostic>) {
    const CODE: &str = "ipam-cidr";
    for pool in context.pools() {
        let Some(text) = pool.spec.get(pool.field).and_then(known) else { continue };
        let origin = pool.origin(pool.field);
        let Some(net) = pool.range else {
            let help = match text.parse::<IpAddr>() {
                Ok(_) => format!("write the length of the prefix too, as `{text}/24`"),
                Err(_) => "write a network as `192.168.0.0/20`".to_owned(),
            };
            let message = format!("`{}` of {} is `{text}`, which is not a network", pool.field, pool.id);
            faults.push(pool.fault(context, CODE, origin, message).help(help));
            continue;
        };
        if matches!(net, IpNet::V6(_)) && pool.mode != Mode::Written {
            let message = format!("`{}` of {} is `{text}`, which is not IPv4", pool.field, pool.id);
            faults.push(
                context.accepted_upstream(
                    pool.fault(context, CODE, origin, message)
                        .note("DPF's pools are IPv4; the webhook does not say so")
                        .help("write a network as `192.168.0.0/20`"),
                ),
            );
        } else if net.addr() != net.network() {
            let message = format!("`{}` of {} is `{text}`, which is an address in a network", pool.field, pool.id);
            faults.push(context.accepted_upstream(
                pool.fault(context, CODE, origin, message).help(format!("write `{}`", net.trunc())),
            ));
        }
    }
}

/// I6, P-20: the size of a node's subnet.
pub(super) fn ipam_prefix(context: &Context<'_>, faults: &mut Vec<Diagnostic>) {
    const CODE: &str = "ipam-prefix";
    for pool in context.pools().iter().filter(|pool| pool.mode == Mode::Network) {
        let (Some(net), Some(prefix)) = (pool.range, pool.spec.get("prefixSize").and_then(Node::as_i64)) else {
            continue;
        };
        let origin = pool.origin("prefixSize");
        let longest = i64::from(net.max_prefix_len());
        if prefix < i64::from(net.prefix_len()) {
            let message = format!("`prefixSize` of {} is {prefix}, larger than the network `{net}` itself", pool.id);
            faults.push(
                pool.fault(context, CODE, origin, message)
                    .note_at("the network", pool.origin("network"))
                    .help(format!("write a length from {} to {longest}", net.prefix_len())),
            );
        } else if prefix > longest {
            let message = format!("`prefixSize` of {} is {prefix}, and an address has {longest} bits", pool.id);
            faults.push(
                context.accepted_upstream(
                    pool.fault(context, CODE, origin, message)
                        .help(format!("write a length from {} to {longest}", net.prefix_len())),
                ),
            );
        }
    }
}

/// Whether the webhook looks no further: the range itself is refused.
fn is_refused(pool: &Pool<'_>) -> bool {
    let Some(net) = pool.range else { return true };
    let prefix = pool.spec.get("prefixSize").and_then(Node::as_i64);
    pool.mode == Mode::Network && prefix.is_some_and(|prefix| prefix < i64::from(net.prefix_len()))
}

/// I7: addresses that are kept back.
pub(super) fn ipam_exclusion(context: &Context<'_>, faults: &mut Vec<Diagnostic>) {
    for pool in context.pools().iter().filter(|pool| pool.mode == Mode::Network && !is_refused(pool)) {
        let Some(net) = pool.range else { continue };
        for item in pool.spec.items(&["exclusions"]) {
            let Some(text) = known(item) else { continue };
            let message = match text.parse::<IpAddr>() {
                Ok(address) if net.contains(&address) => continue,
                Ok(_) => format!("exclusion `{text}` of {} is not in its network `{net}`", pool.id),
                Err(_) => format!("exclusion `{text}` of {} is not an address", pool.id),
            };
            let fault = pool.fault(context, "ipam-exclusion", item.origin(), message);
            faults.push(if text.parse::<IpNet>().is_ok() {
                fault.help("exclusions are single addresses: list each one")
            } else {
                fault.note_at("the network", pool.origin("network")).help(format!(
                    "write an address from `{}` to `{}`, or leave it out",
                    net.network(),
                    net.broadcast()
                ))
            });
        }
    }
}

/// I8, P-20: subnets that belong to nodes.
pub(super) fn ipam_allocation(context: &Context<'_>, faults: &mut Vec<Diagnostic>) {
    const CODE: &str = "ipam-allocation";
    let nodes: BTreeSet<&str> =
        context.input.inventory.hosts.iter().flat_map(|host| &host.dpus).map(|dpu| dpu.node_name.as_str()).collect();
    for pool in context.pools().iter().filter(|pool| pool.mode == Mode::Network && !is_refused(pool)) {
        let Some(net) = pool.range else { continue };
        let prefix = pool.spec.get("prefixSize").and_then(Node::as_i64);
        let mut taken: Vec<(IpNet, &str, Origin)> = Vec::new();
        for entry in pool.spec.fields(&["allocations"]) {
            let (node, origin) = (&*entry.key.text, entry.value.origin());
            if context.input.inventory.present && !nodes.contains(node) {
                let message =
                    format!("{} has an allocation for node `{node}`, which the inventory does not have", pool.id);
                let mut fault = pool.fault(context, CODE, entry.key.origin, message);
                fault.severity = crate::diagnostic::Severity::Warning;
                faults.push(fault.help_if(did_you_mean(node, nodes.iter().copied())));
            }
            let Some(text) = known(&entry.value) else { continue };
            let at = match text.parse::<IpNet>() {
                Ok(given) if net.contains(&given.addr()) => ("the size of a node's subnet", pool.origin("prefixSize")),
                _ => ("the network", pool.origin("network")),
            };
            let message = match text.parse::<IpNet>() {
                Err(_) => format!("allocation `{text}` of node `{node}` in {} is not a network", pool.id),
                Ok(given) if !net.contains(&given.addr()) => {
                    format!("allocation `{text}` of node `{node}` is not in the network `{net}` of {}", pool.id)
                }
                Ok(given) if prefix.is_some_and(|prefix| prefix != i64::from(given.prefix_len())) => format!(
                    "allocation `{text}` of node `{node}` is a /{}, and `prefixSize` of {} is {}",
                    given.prefix_len(),
                    pool.id,
                    prefix.unwrap_or_default()
                ),
                Ok(given) => {
                    taken.push((given.trunc(), node, origin));
                    continue;
                }
            };
            let length = prefix.map_or_else(|| "subnet".to_owned(), |prefix| format!("/{prefix}"));
            faults.push(
                pool.fault(context, CODE, origin, message)
                    .note_at(at.0, at.1)
                    .help(format!("write a {length} of `{}`", net.trunc())),
            );
        }
        // All are of one length, so that those which overlap are equal.
        taken.sort_by_key(|(net, _, _)| *net);
        for pair in taken.windows(2) {
            let [(first, a, at), (second, b, origin)] = pair else { continue };
            if first == second {
                let message = format!("nodes `{a}` and `{b}` have the same allocation `{first}` in {}", pool.id);
                faults.push(
                    context.accepted_upstream(
                        pool.fault(context, CODE, *origin, message)
                            .note_at(format!("that of `{a}`"), *at)
                            .help("give each node its own"),
                    ),
                );
            }
        }
    }
}

/// I9, P-20: the gateway, or its index in each node's subnet.
pub(super) fn ipam_gateway(context: &Context<'_>, faults: &mut Vec<Diagnostic>) {
    const CODE: &str = "ipam-gateway";
    for pool in context.pools().iter().filter(|pool| !is_refused(pool)) {
        let Some(net) = pool.range else { continue };
        match pool.mode {
            Mode::Subnet => {
                let Some(text) = pool.spec.get("gateway").and_then(known) else { continue };
                let message = match text.parse::<IpAddr>() {
                    Ok(address) if net.contains(&address) => continue,
                    Ok(_) => format!("gateway `{text}` of {} is not in its subnet `{net}`", pool.id),
                    Err(_) => format!("gateway `{text}` of {} is not an address", pool.id),
                };
                faults.push(
                    pool.fault(context, CODE, pool.origin("gateway"), message)
                        .note_at("the subnet", pool.origin("subnet"))
                        .help(format!("write an address of `{}`", net.trunc())),
                );
            }
            Mode::Network => {
                let index = pool.spec.get("gatewayIndex").and_then(Node::as_i64);
                let prefix = pool.spec.get("prefixSize").and_then(Node::as_i64);
                let (Some(index), Some(prefix)) = (index, prefix) else { continue };
                let bits = i64::from(net.max_prefix_len()) - prefix;
                let Ok(bits @ 0..) = u32::try_from(bits) else { continue };
                let last = 1u128.checked_shl(bits).map_or(u128::MAX, |count| count - 1);
                let why = if bits < 2 {
                    format!("a /{prefix} has no address to spare for a gateway")
                } else if u128::try_from(index).map_or(true, |index| index > last) {
                    format!("a /{prefix} has the indexes 0 to {last}")
                } else if u128::try_from(index) == Ok(last) {
                    format!("index {last} of a /{prefix} is its broadcast address")
                } else {
                    continue;
                };
                let message =
                    format!("`gatewayIndex` of {} is {index}, which no node's subnet has for a gateway", pool.id);
                faults.push(
                    context.accepted_upstream(
                        pool.fault(context, CODE, pool.origin("gatewayIndex"), message)
                            .label(why)
                            .note_at("the size of a node's subnet", pool.origin("prefixSize")),
                    ),
                );
            }
            Mode::Written => {}
        }
    }
}

/// The routes of a pool, with their text.
fn routes<'p>(pool: &'p Pool<'_>) -> impl Iterator<Item = (&'p str, Origin)> {
    pool.spec.items(&["routes"]).iter().filter_map(|route| {
        let dst = route.get("dst")?;
        Some((known(dst)?, dst.origin()))
    })
}

/// I10: routes are networks of the pool's family.
pub(super) fn ipam_route(context: &Context<'_>, faults: &mut Vec<Diagnostic>) {
    for pool in context.pools().iter().filter(|pool| pool.mode != Mode::Written && !is_refused(pool)) {
        let Some(net) = pool.range else { continue };
        for (text, origin) in routes(pool) {
            let (message, help) = match text.parse::<IpNet>() {
                Ok(route) if route.max_prefix_len() == net.max_prefix_len() => continue,
                Ok(_) => (format!("route `{text}` of {} is not of the address family of `{net}`", pool.id), None),
                Err(_) => (
                    format!("route `{text}` of {} is not a network", pool.id),
                    text.parse::<IpAddr>().is_ok().then(|| format!("for a single address write `{text}/32`")),
                ),
            };
            faults.push(pool.fault(context, "ipam-route", origin, message).help_if(help));
        }
    }
}

/// I11: two default routes.
pub(super) fn ipam_default_route(context: &Context<'_>, faults: &mut Vec<Diagnostic>) {
    for pool in context.pools().iter().filter(|pool| pool.mode != Mode::Written && !is_refused(pool)) {
        if pool.spec.get("defaultGateway").and_then(Node::as_bool) != Some(true) {
            continue;
        }
        for (text, origin) in routes(pool) {
            if text.parse::<IpNet>().is_ok_and(|route| route.prefix_len() == 0) {
                let message = format!("{} has a route `{text}` beside `defaultGateway: true`", pool.id);
                faults.push(
                    pool.fault(context, "ipam-default-route", origin, message)
                        .note_at("`defaultGateway` is set here", pool.origin("defaultGateway"))
                        .help("keep one of them"),
                );
            }
        }
    }
}

/// P-20: addresses per node of a shared subnet.
pub(super) fn ipam_block(context: &Context<'_>, faults: &mut Vec<Diagnostic>) {
    for pool in context.pools().iter().filter(|pool| pool.mode == Mode::Subnet) {
        let (Some(net), Some(count)) = (pool.range, pool.spec.get("perNodeIPCount").and_then(Node::as_i64)) else {
            continue;
        };
        let usable = size(&net).saturating_sub(2);
        if count < 1 || u128::try_from(count).is_ok_and(|count| count > usable) {
            let message =
                format!("`perNodeIPCount` of {} is {count}, and its subnet `{net}` has {usable} addresses", pool.id);
            faults.push(
                pool.fault(context, "ipam-block", pool.origin("perNodeIPCount"), message)
                    .note_at("the subnet", pool.origin("subnet"))
                    .help("write how many each card takes; the subnet has to do for all of them"),
            );
        }
    }
}

/// More cards in the inventory than the pool has parts.
pub(super) fn ipam_too_small(context: &Context<'_>, faults: &mut Vec<Diagnostic>) {
    let mut cards: BTreeMap<&str, usize> = BTreeMap::new();
    for dpu in context.input.inventory.hosts.iter().flat_map(|host| &host.dpus) {
        *cards.entry(&dpu.cluster).or_default() += 1;
    }
    let most = cards.values().copied().max().unwrap_or_default();
    for pool in context.pools().iter().filter(|pool| pool.nodes && !is_refused(pool)) {
        let Some(net) = pool.range else { continue };
        let (parts, key) = match pool.mode {
            Mode::Network => {
                let Some(prefix) = pool.spec.get("prefixSize").and_then(Node::as_i64) else { continue };
                let bits = u32::try_from(prefix - i64::from(net.prefix_len())).unwrap_or_default();
                (1u128.checked_shl(bits).unwrap_or(u128::MAX), "prefixSize")
            }
            Mode::Subnet => {
                let count =
                    pool.spec.get("perNodeIPCount").and_then(Node::as_i64).and_then(|count| u128::try_from(count).ok());
                let Some(count @ 1..) = count else { continue };
                (size(&net).saturating_sub(2) / count, "perNodeIPCount")
            }
            Mode::Written => continue,
        };
        let own = |cluster| cards.get(context.cluster_name(cluster)).copied().unwrap_or_default();
        let cards = pool.cluster.map_or(most, own);
        if parts < cards as u128 {
            let message =
                format!("{} has room for {parts} cards, and the inventory has {cards} in one cluster", pool.id);
            let mut fault = pool.fault(context, "ipam-too-small", pool.origin(pool.field), message);
            fault.severity = crate::diagnostic::Severity::Warning;
            faults.push(
                fault
                    .note_at("what each card takes", pool.origin(key))
                    .help("give it a larger range, or each card less"),
            );
        }
    }
}

/// Ranges in order, with the pool they are of.
fn ranges<'p, 'a>(pools: impl Iterator<Item = &'p Pool<'a>>) -> Vec<(IpNet, &'p Pool<'a>)>
where
    'a: 'p,
{
    let mut ranges: Vec<_> = pools.filter_map(|pool| Some((pool.range?.trunc(), pool))).collect();
    ranges.sort_by(|(a, p), (b, q)| (a, p.id, p.cluster).cmp(&(b, q.id, q.cluster)));
    ranges
}

/// P-20: two pools of a cluster that hand out the same addresses.
pub(super) fn ipam_overlap(context: &Context<'_>, faults: &mut Vec<Diagnostic>) {
    let mut by_cluster: BTreeMap<Option<usize>, Vec<&Pool<'_>>> = BTreeMap::new();
    for pool in context.pools() {
        by_cluster.entry(pool.cluster).or_default().push(pool);
    }
    let shared = by_cluster.get(&None).cloned().unwrap_or_default();
    for (cluster, own) in &by_cluster {
        let extra: &[&Pool<'_>] = if cluster.is_some() { &shared } else { &[] };
        let ranges = ranges(own.iter().chain(extra).copied());
        // CIDR ranges nest or are apart: the enclosing ones are a stack.
        let mut open: Vec<(IpNet, &Pool<'_>)> = Vec::new();
        for (net, pool) in ranges {
            while open.last().is_some_and(|(outer, _)| !outer.contains(&net)) {
                open.pop();
            }
            if let Some((outer, other)) = open.last()
                && other.id != pool.id
                && (pool.cluster.is_some() || other.cluster.is_some() || cluster.is_none())
            {
                let message = format!("{} and {} overlap: `{net}` is in `{outer}`", other.id, pool.id);
                let mut fault = pool.fault(context, "ipam-overlap", pool.origin(pool.field), message);
                fault.severity = crate::diagnostic::Severity::Warning;
                faults.push(
                    fault
                        .note_at(format!("the range of {}", other.id), other.origin(other.field))
                        .note("each pool hands out its addresses without looking at the other"),
                );
            }
            open.push((net, pool));
        }
    }
}

/// P-18: the same addresses in two DPU clusters.
pub(super) fn ipam_same_range(context: &Context<'_>, faults: &mut Vec<Diagnostic>) {
    const CODE: &str = "ipam-same-range";
    let clusters = context.site.clusters.len();
    if clusters > 1 {
        for pool in context.pools().iter().filter(|pool| pool.cluster.is_none() && pool.range.is_some()) {
            let fault = Diagnostic::warning(
                CODE,
                pool.origin(pool.field),
                format!("{} has the range `{}` in each of {clusters} DPU clusters", pool.id, pool.text(pool.field)),
            )
            .note("each cluster hands out its addresses from the beginning: cards of two clusters get the same ones");
            faults.push(if context.is_standalone() && !context.site.parity {
                fault.help(format!("give each cluster its own: `{}: ${{{{ cluster.vars.… }}}}`", pool.field))
            } else {
                fault.help("DPF cannot give each cluster its own range; let the networks of the clusters not meet")
            });
        }
    }
    let own = ranges(context.pools().iter().filter(|pool| pool.cluster.is_some()));
    let mut open: Vec<(IpNet, &Pool<'_>)> = Vec::new();
    for (net, pool) in own {
        while open.last().is_some_and(|(outer, _)| !outer.contains(&net)) {
            open.pop();
        }
        if let Some((outer, other)) = open.last()
            && other.cluster != pool.cluster
            && let (Some(first), Some(second)) = (other.cluster, pool.cluster)
        {
            let message = format!(
                "`{net}` of {} in DPU cluster `{}` is in `{outer}` of {} in `{}`",
                pool.id,
                context.cluster_name(second),
                other.id,
                context.cluster_name(first)
            );
            faults.push(
                Diagnostic::warning(CODE, pool.origin(pool.field), message)
                    .note_at("the other range", other.origin(other.field)),
            );
        }
        open.push((net, pool));
    }
}
