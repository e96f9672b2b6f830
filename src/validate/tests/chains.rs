//! Chains, their ports and pools.

use crate::validate::testing::{Case, site};

const DEPLOYMENT: &str = "apiVersion: svc.dpu.nvidia.com/v1alpha1
kind: DPUDeployment
metadata: {name: d, namespace: net}
spec:
  dpus: {bfb: b, flavor: f, dpuSets: [{nameSuffix: a}]}
  services:
    hbn: {serviceTemplate: hbn, serviceConfiguration: hbn}
  serviceChains:
  - ports:
    - serviceInterface: {matchLabels: {uplink: p0}}
    - service: {name: hbn, interface: p0_if}
---
apiVersion: svc.dpu.nvidia.com/v1alpha1
kind: DPUServiceConfiguration
metadata: {name: hbn, namespace: net}
spec:
  deploymentServiceName: hbn
  interfaces:
  - {name: p0_if, network: dpf-operator-system/mybrhbn}
---
";

fn interface(name: &str, labels: &str, extra: &str) -> String {
    format!(
        "---
apiVersion: svc.dpu.nvidia.com/v1alpha1
kind: DPUServiceInterface
metadata: {{name: {name}, namespace: net}}
spec: {{template: {{spec: {{{extra} template: {{metadata: {{labels: {{{labels}}}}}, spec: {{interfaceType: physical, physical: {{interfaceName: p0}}}}}}}}}}}}
"
    )
}

fn chain(name: &str, extra: &str, ports: &[&str]) -> String {
    let ports: String = ports.iter().map(|port| format!("\n            - serviceInterface: {{{port}}}")).collect();
    format!(
        "---
apiVersion: svc.dpu.nvidia.com/v1alpha1
kind: DPUServiceChain
metadata: {{name: {name}, namespace: net}}
spec:
  template:
    spec:
      {extra}
      template:
        spec:
          switches:
          - ports:{ports}
"
    )
}

const P0: &str = "matchLabels: {uplink: p0}";
const P1: &str = "matchLabels: {uplink: p1}";

fn p0() -> String {
    interface("p0", "uplink: p0", "")
}

fn pair() -> String {
    p0() + &interface("p1", "uplink: p1", "")
}

fn case(parts: &[&str]) -> Case {
    site(&parts.concat())
}

#[test]
fn chain_port_unmatched() {
    assert!(case(&[DEPLOYMENT, &p0()]).of("chain-port-unmatched").is_empty());
    // D11: a service that is not there; D12: an interface that is not; D17: labels that nothing has.
    let d11 = DEPLOYMENT.replace("{name: hbn, interface", "{name: hbm, interface");
    let found = case(&[&d11, &p0()]);
    assert_eq!(found.of("chain-port-unmatched"), ["11"]);
    assert!(found.text("chain-port-unmatched").contains("did you mean `hbn`?"));
    let d12 = DEPLOYMENT.replace("interface: p0_if", "interface: p1_if");
    let text = case(&[&d12, &p0()]).text("chain-port-unmatched");
    assert!(text.contains("did you mean `p0_if`?") && text.contains("objects.yaml:15:"), "{text}");
    let d17 = case(&[DEPLOYMENT, &interface("p1", "uplink: p1", "")]);
    assert_eq!(d17.of("chain-port-unmatched"), ["10"]);
    assert!(d17.text("chain-port-unmatched").contains("did you mean `uplink: p1`?"));
    assert_eq!(d17.parity().of("chain-port-unmatched"), ["10?"]);
}

#[test]
fn a_port_finds_what_is_on_its_nodes_and_in_its_namespace() {
    let on = |rack: &str| format!("nodeSelector: {{matchLabels: {{rack: {rack}}}}},");
    let apart = case(&[
        &interface("p0", "uplink: p0", &on("a")),
        &interface("p1", "uplink: p1", ""),
        &chain("c", "nodeSelector: {matchLabels: {rack: b}}", &[P0, P1]),
    ]);
    assert!(apart.text("chain-port-unmatched").contains("but no node that the chain selects"));
    let elsewhere = p0().replace("namespace: net", "namespace: other");
    let text = case(&[&elsewhere, &chain("c", "", &[P0])]).text("chain-port-unmatched");
    assert!(text.contains("in another namespace"), "{text}");
    // One that waits for a cluster may be it.
    let waiting = interface("p0", "uplink: \"${{ cluster.name }}\"", "");
    assert!(case(&[&waiting, &chain("c", "", &[P0])]).of("chain-port-unmatched").is_empty());
    // A set that the user wrote for the cluster counts there.
    let set = "apiVersion: svc.dpu.nvidia.com/v1alpha1
kind: ServiceInterfaceSet
metadata: {name: p0, namespace: net}
spec: {template: {metadata: {labels: {uplink: p0}}, spec: {interfaceType: ovn}}}
";
    let two = || case(&[&chain("c", "", &[P0])]).cluster("far", "tenants").written(0, set);
    assert_eq!(two().of("chain-port-unmatched"), ["13"]);
    assert!(two().written(1, set).of("chain-port-unmatched").is_empty());
}

#[test]
fn chain_port_ambiguous() {
    let twin = |extra: &str| interface("p0b", "uplink: p0", extra);
    assert_eq!(case(&[&p0(), &twin(""), &chain("c", "", &[P0, P0])]).of("chain-port-ambiguous"), ["23", "24"]);
    // Without nodes in sight two different selectors may meet; with them it is known.
    let [a, b] = ["rack: a", "row: b"].map(|labels| format!("nodeSelector: {{matchLabels: {{{labels}}}}},"));
    let perhaps = || case(&[&interface("p0", "uplink: p0", &a), &twin(&b), &chain("c", "", &[P0])]);
    assert_eq!(perhaps().of("chain-port-ambiguous"), ["23?"]);
    assert!(perhaps().host("w1", &[], &[("rack", "a")]).of("chain-port-ambiguous").is_empty());
    let both = perhaps().host("w1", &[], &[("rack", "a"), ("row", "b")]);
    assert_eq!(both.of("chain-port-ambiguous"), ["23"]);
    assert_eq!(both.parity().of("chain-port-ambiguous"), ["23?"]);
    let other = twin("nodeSelector: {matchLabels: {rack: b}},");
    assert!(
        case(&[&interface("p0", "uplink: p0", &a), &other, &chain("c", "", &[P0])])
            .of("chain-port-ambiguous")
            .is_empty()
    );
}

#[test]
fn chain_port_in_cluster() {
    let text = DEPLOYMENT.replace(
        "  interfaces:\n  - {name: p0_if, network: dpf-operator-system/mybrhbn}",
        "  serviceConfiguration: {deployInCluster: true}",
    );
    let case = case(&[&text, &p0()]);
    assert_eq!(case.of("chain-port-in-cluster"), ["11"]);
    assert!(case.of("chain-port-unmatched").is_empty());
    assert!(super::super::testing::site(DEPLOYMENT).of("chain-port-in-cluster").is_empty());
}

#[test]
fn chain_interface_twice() {
    assert_eq!(case(&[&p0(), &chain("c", "", &[P0, P0])]).of("chain-interface-twice"), ["19"]);
    assert_eq!(
        case(&[&pair(), &chain("c", "", &[P0, P1]), &chain("d", "", &[P0, P1])]).of("chain-interface-twice"),
        ["37", "38"]
    );
    let on = |rack: &str| format!("nodeSelector: {{matchLabels: {{rack: {rack}}}}}");
    let apart = case(&[&pair(), &chain("c", &on("a"), &[P0, P1]), &chain("d", &on("b"), &[P0, P1])]);
    assert!(apart.of("chain-interface-twice").is_empty());
    // No inventory says whether a node has both labels.
    let disk = "nodeSelector: {matchLabels: {disk: large}}";
    let perhaps = case(&[&pair(), &chain("c", &on("a"), &[P0, P1]), &chain("d", disk, &[P0, P1])]);
    assert_eq!(perhaps.of("chain-interface-twice"), ["37?", "38?"]);
}

#[test]
fn chain_single_port_and_vlan() {
    let one = case(&[&p0(), &chain("c", "", &[P0])]);
    assert_eq!(one.of("chain-single-port"), ["17?"]);
    let vlan = p0().replace(
        "interfaceType: physical, physical: {interfaceName: p0}",
        "interfaceType: vlan, vlan: {vlanID: 5, parentInterfaceRef: p0}",
    );
    assert_eq!(case(&[&vlan, &chain("c", "", &[P0])]).of("chain-vlan"), ["18?"]);
    assert!(one.of("chain-vlan").is_empty());
    assert!(case(&[&pair(), &chain("c", "", &[P0, P1])]).of("chain-single-port").is_empty());
}

#[test]
fn cluster_selector_ignored() {
    let chain = chain("c", "", &[P0]).replace(
        "spec:\n  template:\n    spec:\n      \n",
        "spec:\n  clusterSelector: {matchLabels: {a: b}}\n  template:\n    spec:\n",
    );
    let found = case(&[&chain, &p0()]);
    assert_eq!(found.of("cluster-selector-ignored"), ["6?"]);
    assert!(found.with(|site| site.dpf = crate::site::Release::V26_4).of("cluster-selector-ignored").is_empty());
}

#[test]
fn node_selector_unsatisfied() {
    let set = "---
apiVersion: provisioning.dpu.nvidia.com/v1alpha1
kind: DPUSet
metadata: {name: s, namespace: net}
spec: {dpuTemplate: {spec: {bfb: {name: b}, cluster: {nodeLabels: {role: edge}}}}}
";
    let select = |labels: &str| interface("p0", "uplink: p0", &format!("nodeSelector: {{matchLabels: {{{labels}}}}},"));
    assert!(case(&[&select("role: edge"), set]).of("node-selector-unsatisfied").is_empty());
    assert!(case(&[&select("kubernetes.io/arch: arm64"), set]).of("node-selector-unsatisfied").is_empty());
    assert_eq!(case(&[&select("role: core"), set]).of("node-selector-unsatisfied"), ["5?"]);
    assert!(case(&[&select("rolle: edge"), set]).text("node-selector-unsatisfied").contains("did you mean `role`?"));
    let owner = "svc.dpu.nvidia.com/owned-by-dpudeployment";
    assert!(case(&[DEPLOYMENT, &select(&format!("{owner}: net_d"))]).of("node-selector-unsatisfied").is_empty());
    assert_eq!(case(&[DEPLOYMENT, &select(&format!("{owner}: net-d"))]).of("node-selector-unsatisfied"), ["25?"]);
}

const POOL: &str = "---
apiVersion: svc.dpu.nvidia.com/v1alpha1
kind: DPUServiceIPAM
metadata: {name: pool1, namespace: dpf-operator-system}
spec: {metadata: {labels: {pool: one}}, ipv4Network: {network: 10.0.0.0/20, prefixSize: 24}}
";

#[test]
fn ipam_pools() {
    let with = |ipam: &str| DEPLOYMENT.replace("interface: p0_if}", &format!("interface: p0_if, ipam: {{{ipam}}}}}"));
    let one = with("matchLabels: {pool: one}");
    assert!(case(&[&one, &p0(), POOL]).of("ipam-pool-unmatched").is_empty());
    assert_eq!(case(&[&one, &p0()]).of("ipam-pool-unmatched"), ["11"]);
    assert!(
        case(&[&with("matchLabels: {pool: ones}"), &p0(), POOL])
            .text("ipam-pool-unmatched")
            .contains("did you mean `pool: one`?")
    );
    let second = POOL.replace("pool1", "pool2").replace("10.0.0.0", "10.1.0.0");
    assert_eq!(case(&[&one, &p0(), POOL, &second]).of("ipam-pool-ambiguous"), ["11?"]);
    assert!(case(&[&one, &p0(), POOL]).of("ipam-pool-ambiguous").is_empty());
    let pool = "apiVersion: nv-ipam.nvidia.com/v1alpha1
kind: CIDRPool
metadata: {name: pool1, namespace: dpf-operator-system, labels: {pool: one}}
spec: {cidr: 10.0.0.0/20, perNodeNetworkPrefix: 24}
";
    let two = case(&[&one, &p0()]).cluster("far", "tenants").written(0, pool);
    assert!(two.text("ipam-pool-unmatched").contains("DPU cluster `far`"));
    let route = with("matchLabels: {pool: one}, setDefaultRoute: true");
    assert_eq!(case(&[&route, &p0(), POOL]).of("ipam-default-route-unread"), ["11?"]);
    assert!(case(&[&one, &p0(), POOL]).of("ipam-default-route-unread").is_empty());
    let physical = DEPLOYMENT.replace("{uplink: p0}}", "{uplink: p0}, ipam: {matchLabels: {pool: one}}}");
    assert_eq!(case(&[&physical, &p0(), POOL]).of("ipam-interface-type"), ["10?"]);
    assert!(case(&[&one, &p0(), POOL]).of("ipam-interface-type").is_empty());
}
