//! Pools.

use crate::validate::testing::{Case, site};

fn ipam(name: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: svc.dpu.nvidia.com/v1alpha1\nkind: DPUServiceIPAM\nmetadata:\n  name: {name}\n  namespace: dpf-operator-system\nspec:\n  {spec}\n"
    )
}

fn network(network: &str, rest: &str) -> Case {
    site(&ipam("p", &format!("ipv4Network:\n    network: {network}\n    {}", rest.replace('\n', "\n    "))))
}

fn subnet(rest: &str) -> Case {
    site(&ipam("p", &format!("ipv4Subnet:\n    subnet: 192.168.0.0/20\n    {}", rest.replace('\n', "\n    "))))
}

#[test]
fn a_good_pool_has_no_faults() {
    let good = network(
        "192.168.0.0/20",
        "prefixSize: 24\ngatewayIndex: 1\nexclusions: [192.168.1.1]\nallocations: {n: 192.168.1.0/24}\nroutes: [{dst: 10.0.0.0/8}]",
    );
    assert_eq!(good.found(), Vec::<String>::new());
    assert_eq!(subnet("gateway: 192.168.0.1\nperNodeIPCount: 50").found(), Vec::<String>::new());
}

#[test]
fn ipam_namespace_and_mode() {
    assert_eq!(
        site(&ipam("p", "{}").replace("dpf-operator-system", "apps")).found(),
        ["ipam-mode 5", "ipam-namespace 6"]
    );
    let both = site(&ipam(
        "p",
        "ipv4Network: {network: 10.0.0.0/8, prefixSize: 24}\n  ipv4Subnet: {subnet: 11.0.0.0/8, gateway: 11.0.0.1, perNodeIPCount: 9}",
    ));
    assert_eq!(both.of("ipam-mode"), ["9"]);
    assert_eq!(both.parity().of("ipam-mode"), ["9"]);
}

#[test]
fn ipam_cidr() {
    assert_eq!(network("192.168.0.0", "prefixSize: 24").of("ipam-cidr"), ["9"]);
    let bits = network("192.168.0.1/20", "prefixSize: 24");
    assert!(bits.text("ipam-cidr").contains("write `192.168.0.0/20`"));
    assert_eq!(bits.parity().of("ipam-cidr"), ["9?"]);
    assert_eq!(network("2001:db8::/64", "prefixSize: 80").of("ipam-cidr"), ["9"]);
}

#[test]
fn ipam_prefix() {
    assert_eq!(network("192.168.0.0/20", "prefixSize: 18").of("ipam-prefix"), ["10"]);
    let over = network("192.168.0.0/20", "prefixSize: 33");
    assert_eq!(over.of("ipam-prefix"), ["10"]);
    assert_eq!(over.parity().of("ipam-prefix"), ["10?"]);
}

#[test]
fn ipam_exclusion_and_allocation() {
    let found = network("192.168.0.0/20", "prefixSize: 24\nexclusions: [192.169.0.1, x, 192.168.1.0/24, 192.168.1.1]");
    assert_eq!(found.faults().iter().filter(|fault| fault.code == "ipam-exclusion").count(), 3);
    let of = |allocations: &str| network("192.168.0.0/20", &format!("prefixSize: 24\nallocations: {{{allocations}}}"));
    for bad in ["192.169.1.0/24", "192.168.1.0/25", "x"] {
        assert_eq!(of(&format!("n: {bad}")).of("ipam-allocation"), ["11"], "{bad}");
    }
    let twice = of("n: 192.168.1.0/24, m: 192.168.1.0/24");
    assert_eq!(twice.of("ipam-allocation"), ["11"]);
    assert_eq!(twice.parity().of("ipam-allocation"), ["11?"]);
    let stranger = of("w2-0000-90-00: 192.168.1.0/24").host("w1", &[], &[]);
    assert!(stranger.text("ipam-allocation").contains("did you mean `w1-0000-90-00`?"));
}

#[test]
fn ipam_gateway() {
    assert_eq!(subnet("gateway: 192.169.0.1\nperNodeIPCount: 5").of("ipam-gateway"), ["10"]);
    assert_eq!(subnet("gateway: x\nperNodeIPCount: 5").parity().of("ipam-gateway"), ["10"]);
    for (prefix, index) in [(24, 256), (24, -1), (24, 255), (31, 1), (32, 0)] {
        let case = network("192.168.0.0/20", &format!("prefixSize: {prefix}\ngatewayIndex: {index}"));
        assert_eq!(case.of("ipam-gateway"), ["11"], "{prefix} {index}");
    }
    assert!(network("192.168.0.0/20", "prefixSize: 24\ngatewayIndex: 254").of("ipam-gateway").is_empty());
    // As many addresses as there are: nothing overflows.
    assert!(network("\"::/0\"", "prefixSize: 1\ngatewayIndex: 1").of("ipam-gateway").is_empty());
    assert_eq!(network("\"::/0\"", "prefixSize: 0\ngatewayIndex: -1").of("ipam-gateway"), ["11"]);
}

#[test]
fn ipam_routes() {
    let of =
        |dst: &str| network("192.168.0.0/20", &format!("prefixSize: 24\ndefaultGateway: true\nroutes:\n- dst: {dst}"));
    assert_eq!(of("10.0.0.1").of("ipam-route"), ["13"]);
    assert_eq!(of("2001:db8::/64").of("ipam-route"), ["13"]);
    assert_eq!(of("0.0.0.0/0").of("ipam-default-route"), ["13"]);
    assert!(of("10.0.0.0/8").found().is_empty());
}

#[test]
fn ipam_block_and_size() {
    assert_eq!(subnet("gateway: 192.168.0.1\nperNodeIPCount: 0").of("ipam-block"), ["11"]);
    assert_eq!(subnet("gateway: 192.168.0.1\nperNodeIPCount: 4095").of("ipam-block"), ["11"]);
    let small = || network("192.168.0.0/24", "prefixSize: 24").host("w1", &[], &[]);
    assert!(small().of("ipam-too-small").is_empty());
    assert_eq!(small().host("w2", &[], &[]).of("ipam-too-small"), ["9?"]);
}

#[test]
fn ipam_overlap() {
    let pool = |name: &str, net: &str| ipam(name, &format!("ipv4Network: {{network: {net}, prefixSize: 28}}"));
    let found = site(&(pool("a", "10.0.0.0/16") + &pool("b", "10.0.3.0/24") + &pool("c", "10.1.0.0/16")));
    assert_eq!(found.of("ipam-overlap"), ["16?"]);
}

#[test]
fn ipam_same_range() {
    let fixed = || network("10.0.0.0/16", "prefixSize: 24");
    assert!(fixed().of("ipam-same-range").is_empty());
    assert_eq!(fixed().cluster("far", "tenants").of("ipam-same-range"), ["9?"]);
    let own = network("\"10.${{ n }}.0.0/16\"", "prefixSize: 24").cluster("far", "tenants");
    assert_eq!(own.found(), ["cluster-object-missing -"]);
    let same = network("\"10.0.${{ n }}.0/15\"", "prefixSize: 24").cluster("far", "tenants");
    assert_eq!(same.of("ipam-same-range"), ["9?"]);
    assert_eq!(same.of("ipam-cidr"), ["9"]);
}
