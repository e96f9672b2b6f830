//! `DPUServiceIPAM` → `IPPool` or `CIDRPool`, in every DPU cluster. PURE.
//!
//! In: an IPAM object as it is in a cluster. Out: its pool. Mirrors
//! `internal/dpuservicechain/controllers/dpuserviceipam_controller.go`, release v24.10.0-rc.6. Addresses pass as written;
//! `staticAllocations` are sorted by node, which upstream leaves to chance (P-21).

use super::context::{Context, Object, given, name, namespace, tidy};
use super::names::NV_IPAM_V1;
use crate::node::Node;

/// The pool of an IPAM object. `ipv4Subnet` decides, as upstream; both or neither is for the schema to refuse.
pub(super) fn pool(cx: &Context<'_>, ipam: &Node) -> Node {
    let origin = ipam.origin();
    let from = |path: &[&str]| given(ipam, path).map(|node| tidy(node, cx.parity));
    let (kind, range, members) = match given(ipam, &["spec", "ipv4Subnet"]) {
        Some(subnet) => {
            let members = [("subnet", "subnet"), ("perNodeBlockSize", "perNodeIPCount"), ("gateway", "gateway")];
            ("IPPool", Some(subnet), members)
        }
        None => {
            let members =
                [("cidr", "network"), ("perNodeNetworkPrefix", "prefixSize"), ("gatewayIndex", "gatewayIndex")];
            ("CIDRPool", given(ipam, &["spec", "ipv4Network"]), members)
        }
    };
    let range = range.cloned().unwrap_or_else(|| Node::map([], origin));
    let is_network = kind == "CIDRPool";
    let renamed = members.into_iter().map(|(target, source)| (target, given(&range, &[source]).cloned()));
    let exclusions = is_network.then(|| exclusions(&range)).flatten();
    let allocations = is_network.then(|| allocations(&range)).flatten();
    let default_gateway = given(&range, &["defaultGateway"]).filter(|node| node.as_bool() == Some(true)).cloned();
    let routes = given(&range, &["routes"]).filter(|node| !node.items(&[]).is_empty());
    let rest = [
        ("exclusions", exclusions),
        ("staticAllocations", allocations),
        ("defaultGateway", default_gateway),
        ("routes", routes.map(|routes| tidy(routes, cx.parity))),
        ("nodeSelector", from(&["spec", "nodeSelector"])),
    ];
    let spec = Node::map(renamed.chain(rest), range.origin());
    Object::new(NV_IPAM_V1, kind, namespace(ipam), name(ipam), origin)
        .template(given(ipam, &["spec", "metadata"]))
        .label("dpu.nvidia.com/dpuserviceipam-name", name(ipam))
        .label("dpu.nvidia.com/dpuserviceipam-namespace", namespace(ipam))
        .wave(cx.wave(ipam))
        .of_chart(cx)
        .with([("spec", Some(spec))])
}

/// Single addresses as ranges of one.
fn exclusions(range: &Node) -> Option<Node> {
    let list = given(range, &["exclusions"])?;
    let items: Vec<Node> = list
        .items(&[])
        .iter()
        .map(|address| {
            Node::map([("startIP", Some(address.clone())), ("endIP", Some(address.clone()))], address.origin())
        })
        .collect();
    (!items.is_empty()).then(|| Node::list(items, list.origin()))
}

/// The map of node and prefix as a list, by node: a map here is sorted.
fn allocations(range: &Node) -> Option<Node> {
    let map = given(range, &["allocations"])?;
    let items: Vec<Node> = map
        .fields(&[])
        .iter()
        .filter(|entry| !entry.value.is_null())
        .map(|entry| {
            let node = Node::str(&*entry.key.text, entry.key.origin);
            Node::map([("nodeName", Some(node)), ("prefix", Some(entry.value.clone()))], entry.key.origin)
        })
        .collect();
    (!items.is_empty()).then(|| Node::list(items, map.origin()))
}

#[cfg(test)]
mod tests {
    use crate::render::expand::dpf::testing::{find, run, standalone, svc};
    use serde_json::json;

    #[test]
    fn allocations_are_sorted_and_what_is_empty_is_left_out() {
        let network = json!({"network": "10.0.0.0/16", "prefixSize": 24, "gatewayIndex": 0, "exclusions": ["10.0.0.9"],
            "allocations": {"w2": "10.0.2.0/24", "w1": "10.0.1.0/24"}, "routes": [], "defaultGateway": false});
        let (objects, site) =
            standalone(&[svc("DPUServiceIPAM", "p", json!({"ipv4Network": network, "nodeSelector": null}))]);
        let expanded = run(&objects, &site);
        let pool = find(&expanded.clusters[0], "CIDRPool", "p").unwrap();
        assert_eq!(
            pool.at(&["spec"]).unwrap().to_json(),
            json!({"cidr": "10.0.0.0/16", "perNodeNetworkPrefix": 24, "gatewayIndex": 0,
                "exclusions": [{"startIP": "10.0.0.9", "endIP": "10.0.0.9"}],
                "staticAllocations": [{"nodeName": "w1", "prefix": "10.0.1.0/24"}, {"nodeName": "w2", "prefix": "10.0.2.0/24"}]})
        );
        assert!(pool.same(find(&expanded.clusters[1], "CIDRPool", "p").unwrap()));
    }
}
