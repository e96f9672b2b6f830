//! Address pools that shrink, move or exclude what is in use. PURE.
//!
//! In: a [`Case`] of a DPUServiceIPAM or of a pool in a DPU cluster. Out: a [`Verdict`] where the row is not enough. Sources: the
//! webhook of DPUServiceIPAM in v24.10 (a range may grow and nothing else; its form may not change), which does not look at
//! pools that are written for a cluster; nv-ipam's controllers, which take a node's allocation away when it no longer fits.

use std::net::IpAddr;

use ipnet::IpNet;

use super::cards::{Cards, of_destination, of_terms};
use super::case::{Case, Verdict};
use super::class::Class;
use crate::node::Node;

const INSTEAD: &str = "Make a pool of another name, move the chains to it, and delete this one when no pod uses it.";

/// A DPUServiceIPAM.
pub(super) fn source(case: &Case<'_>) -> Option<Verdict> {
    let refused =
        |rule, why: String| Some(Verdict::new(Class::Refused, rule, format!("{why} {INSTEAD}"), Cards::default()));
    for (form, other, field) in [("ipv4Network", "ipv4Subnet", "network"), ("ipv4Subnet", "ipv4Network", "subnet")] {
        let (before, after) = case.both(&["spec", form]);
        if before.is_some() && after.is_none() {
            let why = format!("The webhook does not let `{form}` become `{other}`.");
            return refused("ipam-form", why);
        }
        let range = |node: Option<&Node>| node.and_then(|node| network(node.get(field)));
        if let (Some(before), Some(after)) = (range(before), range(after))
            && !covers(after, before)
        {
            let why = format!("The webhook only lets the range grow: {after} does not hold all of {before}.");
            return refused("ipam-shrinks", why);
        }
    }
    let (before, after) = case.both(&["spec", "ipv4Network"]);
    let shape = ["prefixSize", "gatewayIndex"];
    let subnet = case.both(&["spec", "ipv4Subnet"]);
    if differs((before, after), &shape) || differs(subnet, &["perNodeIPCount"]) {
        return Some(moved(of_destination(case)));
    }
    excluded(before, after, "allocations")
}

/// An IPPool or CIDRPool of a DPU cluster.
pub(super) fn pool(case: &Case<'_>) -> Option<Verdict> {
    let (before, after) = case.both(&["spec"]);
    let range = |node: Option<&Node>| node.and_then(|node| network(node.get("cidr").or_else(|| node.get("subnet"))));
    let fits = range(before).zip(range(after)).is_none_or(|(before, after)| covers(after, before));
    if !fits {
        let why = "The range is no longer the one that pods have addresses of: nodes lose their allocation, and pods that run \
                   keep addresses that the pool does not have. Restart them.";
        return Some(Verdict::new(Class::LeftBehind, "pool-shrinks", why, of_terms(case)));
    }
    if differs((before, after), &["perNodeBlockSize", "perNodeNetworkPrefix", "gateway", "gatewayIndex"]) {
        return Some(moved(of_terms(case)));
    }
    excluded(before, after, "staticAllocations")
}

/// Every node gets another part of the range.
fn moved(cards: Cards) -> Verdict {
    let why = "Nodes get other parts of the range: pods that run keep their addresses and gateway, which others may get now. \
               Restart them.";
    Verdict::new(Class::LeftBehind, "pool-moves", why, cards)
}

/// Allocations of nodes that change, or that are excluded now.
fn excluded(before: Option<&Node>, after: Option<&Node>, field: &str) -> Option<Verdict> {
    let (before, after) = (before?, after?);
    let (old, new) = (allocations(before.get(field)), allocations(after.get(field)));
    let lost: Vec<&str> = old.iter().filter(|one| !new.contains(one)).map(|(node, _)| node.as_str()).collect();
    let mut exclusions = ranges(after.get("exclusions"));
    exclusions.sort();
    let earlier = ranges(before.get("exclusions"));
    let taken: Vec<&str> = old
        .iter()
        .filter(|(_, range)| {
            let hit = |(from, to): &(IpAddr, IpAddr)| *from <= range.broadcast() && range.network() <= *to;
            exclusions.iter().any(|one| hit(one) && !earlier.contains(one))
        })
        .map(|(node, _)| node.as_str())
        .collect();
    let names = Cards::named(lost.iter().chain(&taken).copied());
    if names.names.is_empty() {
        return None;
    }
    let why =
        "Addresses that these nodes have are given away or excluded: pods that run keep theirs until they restart.";
    Some(Verdict::new(Class::LeftBehind, "allocation-lost", why, names))
}

/// Node and range: of a map, or of a list with `nodeName` and `prefix`.
fn allocations(node: Option<&Node>) -> Vec<(String, IpNet)> {
    let Some(node) = node else { return Vec::new() };
    let of_map = node.fields(&[]).iter().map(|entry| (Some(&*entry.key.text), Some(&entry.value)));
    let of_list = node.items(&[]).iter().map(|item| (item.text(&["nodeName"]), item.get("prefix")));
    let all = of_map.chain(of_list).filter_map(|(name, range)| Some((name?.to_owned(), network(range)?)));
    all.collect()
}

/// Ranges of addresses: single ones, or with both ends.
fn ranges(node: Option<&Node>) -> Vec<(IpAddr, IpAddr)> {
    let items = node.map(|node| node.items(&[])).unwrap_or_default();
    let parse = |node: Option<&Node>| node.and_then(Node::as_str).and_then(|text| text.parse().ok());
    items
        .iter()
        .filter_map(|item| match item.as_str() {
            Some(_) => parse(Some(item)).map(|one| (one, one)),
            None => Some((parse(item.get("startIP"))?, parse(item.get("endIP"))?)),
        })
        .collect()
}

fn network(node: Option<&Node>) -> Option<IpNet> {
    let net: IpNet = node?.as_str()?.parse().ok()?;
    Some(net.trunc())
}

/// Whether a range may take the place of another: it holds its first address, and its mask is not longer.
fn covers(after: IpNet, before: IpNet) -> bool {
    after.contains(&before.network()) && after.prefix_len() <= before.prefix_len()
}

fn differs((before, after): (Option<&Node>, Option<&Node>), fields: &[&str]) -> bool {
    match (before, after) {
        (Some(before), Some(after)) => fields.iter().any(|field| before.get(field) != after.get(field)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(text: &str) -> IpNet {
        text.parse::<IpNet>().unwrap().trunc()
    }

    /// The verdicts of the webhook itself.
    #[test]
    fn a_range_may_grow_and_nothing_else() {
        let old = net("192.168.0.0/20");
        assert!(covers(net("192.168.0.0/20"), old));
        assert!(covers(net("192.168.0.0/19"), old));
        assert!(!covers(net("192.168.0.128/25"), old));
        assert!(!covers(net("192.169.0.0/20"), old));
    }
}
