//! `DPFOperatorConfig`.

use crate::site::{Mode, SystemComponents};
use crate::validate::testing::site;

fn config(rest: &str) -> String {
    format!(
        "apiVersion: operator.dpu.nvidia.com/v1alpha1\nkind: DPFOperatorConfig\nmetadata:\n  name: dpfoperatorconfig\n  namespace: dpf-operator-system\nspec:\n  provisioningController: {{bfbPVCName: pvc}}\n{rest}\n"
    )
}

#[test]
fn operator_config_name() {
    let wrong = site(&config("").replace("name: dpfop", "name: dpf-op")).parity();
    assert_eq!(wrong.of("operator-config-name"), ["4"]);
    let elsewhere = site(&config("").replace("dpf-operator-system", "dpf")).parity();
    assert_eq!(elsewhere.of("operator-config-name"), ["5?"]);
    assert!(site(&config("")).parity().of("operator-config-name").is_empty());
}

#[test]
fn operator_runs_replaced() {
    let none = site(&config("  multus: {image: a:b}\n  flannel: {disable: true}"));
    assert_eq!(none.of("operator-runs-replaced"), ["4"]);
    let text = none.text("operator-runs-replaced");
    assert!(text.contains("  dpuServiceController: {disable: true}"), "{text}");
    assert!(text.contains("            multus:\n              disable: true") && !text.contains("flannel"), "{text}");
    assert!(none.parity().found().is_empty());
    let all: String = [
        "dpuServiceController",
        "sfcController",
        "serviceSetController",
        "multus",
        "sriovDevicePlugin",
        "flannel",
        "nvipam",
        "ovsCNI",
        "ovsHelper",
    ]
    .map(|stanza| format!("  {stanza}: {{disable: true}}\n"))
    .concat();
    assert!(site(&config(&all)).found().is_empty());
    assert!(site(&config("")).with(|site| site.mode = Mode::Operator).found().is_empty());
    // The operator's own components need its service controller.
    let by_operator = |text: &str| site(&config(text)).with(|site| site.system_components = SystemComponents::Operator);
    assert!(by_operator("").found().is_empty());
    assert_eq!(by_operator("  dpuServiceController: {disable: true}").of("operator-runs-replaced"), ["8"]);
    assert_eq!(by_operator("").agent().of("operator-runs-replaced"), ["4"]);
}

#[test]
fn operator_references() {
    let text =
        config("  multus: {image: registry.example.com/multus}").replace("bfbPVCName: pvc", "bfbPVCName: \"  \"");
    let found = site(&text).parity();
    assert_eq!(found.found(), ["operator-image 8", "operator-pvc-blank 7"]);
}

#[test]
fn operator_chart() {
    let of = |chart: &str| site(&config(&format!("  multus: {{helmChart: \"{chart}\"}}"))).parity().found();
    assert_eq!(of("oci://registry.example.com/multus:v1"), ["operator-chart 8?"]);
    assert!(of("oci://registry.example.com/charts/dpu-networking:v1").is_empty());
    assert!(of("oci://registry.example.com:5000/dpu-networking:v1").is_empty());
}

#[test]
fn static_cluster_manager() {
    let cluster = "---\napiVersion: provisioning.dpu.nvidia.com/v1alpha1\nkind: DPUCluster\nmetadata: {name: edge, namespace: tenants}\nspec: {type: static, version: v1, kubeconfig: k}\n";
    let of = |rest: &str| site(&(config(rest) + cluster)).parity().of("static-cluster-manager");
    assert_eq!(of(""), ["4?"]);
    assert!(of("  staticClusterManager: {}").is_empty());
    assert_eq!(of("  staticClusterManager: {disable: true}"), ["8?"]);
}
