//! Interfaces and networks.

use crate::validate::testing::site;

fn interface(spec: &str, labels: &str) -> String {
    format!(
        "apiVersion: svc.dpu.nvidia.com/v1alpha1
kind: DPUServiceInterface
metadata:
  name: i
  namespace: net
spec:
  template:
    spec:
      template:
        metadata: {{{labels}}}
        spec: {{{spec}}}
"
    )
}

fn configuration(rest: &str) -> String {
    format!(
        "apiVersion: svc.dpu.nvidia.com/v1alpha1\nkind: DPUServiceConfiguration\nmetadata: {{name: c, namespace: net}}\nspec:\n{rest}\n---\n"
    )
}

const DEPLOYMENT: &str = "apiVersion: svc.dpu.nvidia.com/v1alpha1
kind: DPUDeployment
metadata: {name: d, namespace: net}
spec: {services: {s: {serviceConfiguration: c}}}
";

#[test]
fn interface_name_invalid() {
    let named = |name: &str| {
        interface(
            &format!(
                "interfaceType: service, service: {{serviceID: s, network: dpf-operator-system/mybrsfc, interfaceName: {name}}}"
            ),
            "",
        )
    };
    assert!(site(&named("exactly15chars_")).found().is_empty());
    assert_eq!(site(&named("sixteen_chars_ab")).of("interface-name-invalid"), ["11"]);
    assert_eq!(site(&named("a/b")).parity().of("interface-name-invalid"), ["11?"]);
}

#[test]
fn interface_name_twice() {
    let of = |a: &str, b: &str| {
        configuration(&format!("  interfaces:\n  - {{name: {a}, network: n}}\n  - {{name: {b}, network: n}}"))
    };
    assert_eq!(site(&of("a", "a")).of("interface-name-twice"), ["7"]);
    assert!(site(&of("a_b", "a-b")).text("interface-name-twice").contains("`_` becomes `-`"));
    assert!(site(&of("a", "b")).of("interface-name-twice").is_empty());
    let service = "---\napiVersion: svc.dpu.nvidia.com/v1alpha1\nkind: DPUService\nmetadata: {name: s, namespace: net}\nspec: {serviceID: s, interfaces: [i, j]}\n";
    let one = interface("interfaceType: service, service: {serviceID: s, network: n, interfaceName: e0}", "");
    let two = format!("{one}---\n{}{service}", one.replace("name: i\n", "name: j\n"));
    assert_eq!(site(&two).of("interface-name-twice"), ["28"]);
}

#[test]
fn interface_parent_empty() {
    assert_eq!(
        site(&interface("interfaceType: vf, vf: {vfID: 1, pfID: 0, parentInterfaceRef: \"\"}", ""))
            .of("interface-parent-empty"),
        ["11"]
    );
    assert!(
        site(&interface("interfaceType: vf, vf: {vfID: 1, pfID: 0, parentInterfaceRef: p0}", "")).found().is_empty()
    );
}

#[test]
fn reserved_labels_and_dropped_annotations() {
    let found = site(&interface(
        "interfaceType: ovn",
        "labels: {svc.dpu.nvidia.com/nodeName: x, uplink: p0}, annotations: {a: b}",
    ));
    assert_eq!(found.found(), ["annotations-dropped 10?", "reserved-label 10"]);
}

#[test]
fn network_unknown() {
    let of = |network: &str| {
        interface(
            &format!("interfaceType: service, service: {{serviceID: s, network: {network}, interfaceName: e0}}"),
            "",
        )
    };
    assert!(site(&of("dpf-operator-system/mybrsfc")).of("network-unknown").is_empty());
    assert!(site(&of("mybrsfc")).text("network-unknown").contains("write `dpf-operator-system/mybrsfc`"));
    let own = site(&of("mine"));
    assert_eq!(own.of("network-unknown"), ["11?"]);
    assert!(own.external("NetworkAttachmentDefinition", "net", "mine", None).of("network-unknown").is_empty());
}

#[test]
fn sf_count() {
    let of = |count: usize| {
        configuration(&format!(
            "  serviceConfiguration:\n    helmChart:\n      values: {{resources: {{nvidia.com/bf_sf: {count}}}}}\n  interfaces:\n  - {{name: a, network: dpf-operator-system/mybrhbn}}\n  - {{name: b, network: dpf-operator-system/iprequest}}"
        )) + DEPLOYMENT
    };
    assert_eq!(site(&of(2)).of("sf-count"), ["7?"]);
    assert!(site(&of(1)).of("sf-count").is_empty());
}

#[test]
fn references() {
    let service = |source: &str| {
        format!(
            "apiVersion: svc.dpu.nvidia.com/v1alpha1\nkind: DPUService\nmetadata: {{name: s, namespace: net}}\nspec:\n  helmChart:\n    source: {{{source}}}\n"
        )
    };
    assert_eq!(site(&service("repoURL: https://x/c")).of("service-without-chart"), ["6"]);
    assert_eq!(site(&service("repoURL: oci://x, path: c")).of("service-without-chart"), ["6"]);
    assert!(site(&service("repoURL: oci://x, chart: c")).found().is_empty());
    let deployment = "apiVersion: svc.dpu.nvidia.com/v1alpha1\nkind: DPUDeployment\nmetadata: {name: d, namespace: net}\nspec:\n  dpus: {bfb: b, flavor: f}\n";
    assert_eq!(site(deployment).found(), ["deployment-without-dpusets 5?"]);
}

#[test]
fn credential_requests() {
    let request = |rest: &str| {
        format!(
            "apiVersion: svc.dpu.nvidia.com/v1alpha1\nkind: DPUServiceCredentialRequest\nmetadata: {{name: r, namespace: net}}\nspec:\n  type: kubeconfig\n  serviceAccount: {{name: a, namespace: net}}\n  secret: {{name: a, namespace: net}}\n{rest}\n"
        )
    };
    assert!(site(&request("  targetCluster: {name: edge, namespace: tenants}\n  duration: 24h")).found().is_empty());
    assert_eq!(site(&request("").replace("a, namespace: net", "a")).of("credential-namespace"), ["6?", "7?"]);
    assert_eq!(site(&request("  duration: 300s")).of("credential-duration"), ["8"]);
    let missing = site(&request("  targetCluster: {name: edge, namespace: net}"));
    assert!(missing.text("credential-cluster-missing").contains("write `namespace: tenants`"));
}

#[test]
fn values_node_selector() {
    let values = "serviceDaemonSet: {nodeSelector: {rack: r1}}";
    let service = |typed: &str| {
        format!(
            "apiVersion: svc.dpu.nvidia.com/v1alpha1\nkind: DPUService\nmetadata: {{name: s, namespace: net}}\nspec:\n  {typed}\n  helmChart: {{source: {{chart: c}}, values: {{{values}}}}}\n"
        )
    };
    assert_eq!(site(&service("serviceDaemonSet: {nodeSelector: {}}")).of("values-node-selector"), ["6?"]);
    assert!(site(&service("serviceDaemonSet: {labels: {}}")).of("values-node-selector").is_empty());
    let deployment = |more: &str| {
        format!(
            "apiVersion: svc.dpu.nvidia.com/v1alpha1\nkind: DPUDeployment\nmetadata: {{name: d, namespace: net}}\nspec: {{services: {{hbn: {{serviceTemplate: t, serviceConfiguration: c}}}}}}\n---\n\
             apiVersion: svc.dpu.nvidia.com/v1alpha1\nkind: DPUServiceConfiguration\nmetadata: {{name: c, namespace: net}}\nspec: {{serviceConfiguration: {{{more}helmChart: {{values: {{{values}}}}}}}}}\n"
        )
    };
    assert_eq!(site(&deployment("")).of("values-node-selector"), ["9?"]);
    assert!(site(&deployment("deployInCluster: true, ")).of("values-node-selector").is_empty());
}
