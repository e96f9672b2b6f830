//! Names, labels, selectors, namespaces.

use crate::validate::testing::site;

fn object(kind: &str, name: &str, rest: &str) -> String {
    format!(
        "apiVersion: svc.dpu.nvidia.com/v1alpha1\nkind: {kind}\nmetadata:\n  name: {name}\n  namespace: net\n{rest}\n"
    )
}

fn deployment(name: &str, key: &str, interface: &str, sets: &str) -> String {
    object(
        "DPUDeployment",
        name,
        &format!("spec:\n  dpus:\n    dpuSets: [{sets}]\n  services:\n    {key}: {{serviceConfiguration: c}}"),
    ) + "---\n"
        + &object(
            "DPUServiceConfiguration",
            "c",
            &format!("spec:\n  interfaces:\n  - {{name: {interface}, network: x}}"),
        )
}

#[test]
fn name_invalid() {
    let one = site(&object("DPUService", "My_Service", "spec: {}"));
    assert_eq!(one.of("name-invalid"), ["4"]);
    assert!(one.text("name-invalid").contains("write `my-service`"));
    assert_eq!(one.parity().of("name-invalid"), ["4"]);
    assert!(site(&object("DPUService", "my.service-1", "")).of("name-invalid").is_empty());
    assert_eq!(site(&object("DPUService", "a", "").replace("net", "a.b")).of("name-invalid"), ["5"]);
    assert_eq!(site(&deployment("d", "my_svc", "a", "")).of("name-invalid"), ["10"]);
    assert_eq!(site(&deployment("d", "svc", "a", "{nameSuffix: A}")).of("name-invalid"), ["8"]);
    assert!(site(&object("DPUService", "\"${{ cluster.name }}\"", "")).of("name-invalid").is_empty());
    assert_eq!(site("").host("W1", &[], &[]).of("name-invalid"), ["-"]);
}

#[test]
fn name_too_long() {
    let long = |count: usize| "x".repeat(count);
    assert_eq!(site(&object("DPUService", &long(64), "")).of("name-too-long"), ["4"]);
    assert!(site(&object("DPUService", &long(63), "")).of("name-too-long").is_empty());
    // <namespace>_<name> is a label value.
    assert_eq!(site(&deployment(&long(60), "a", "a", "")).of("name-too-long")[..1], ["10"]);
    assert!(site(&deployment(&long(60), "a", "a", "")).text("name-too-long").contains("net_xxx"));
    // A key of 45 and an id of 64: nobody upstream notices.
    let key = site(&deployment("d", &long(45), "a", ""));
    assert!(key.text("name-too-long").contains("dpuservice-xxx"));
    assert_eq!(key.parity().of("name-too-long"), ["10?"]);
    assert!(site(&deployment("d", &long(44), "a", "")).of("name-too-long").is_empty());
    assert_eq!(site(&deployment("dd", "a", &long(60), "")).of("name-too-long"), ["19"]);
    assert_eq!(site(&deployment("dd", "a", "a", &format!("{{nameSuffix: {}}}", long(61)))).of("name-too-long"), ["8"]);
    // <chain>-<node> only where nodes are known.
    let chain = object("DPUServiceChain", &long(50), "");
    assert!(site(&chain).of("name-too-long").is_empty());
    assert_eq!(site(&chain).host("worker1", &[], &[]).of("name-too-long"), ["4"]);
    let cluster = "apiVersion: provisioning.dpu.nvidia.com/v1alpha1\nkind: DPUCluster\nmetadata:\n  name: edge\n  namespace: tenants-";
    assert_eq!(site(&format!("{cluster}{}\n", long(51))).of("name-too-long"), ["4"]);
    assert!(site(&format!("{cluster}{}\n", long(50))).of("name-too-long").is_empty());
}

#[test]
fn release_name_too_long() {
    let chart = |extra: &str| format!("spec: {{helmChart: {{source: {{chart: c{extra}}}}}}}");
    let long = "s".repeat(50);
    assert_eq!(site(&object("DPUService", &long, &chart(""))).of("release-name-too-long"), ["4?"]);
    assert!(site(&object("DPUService", &long, &chart(", releaseName: r"))).of("release-name-too-long").is_empty());
    assert!(site(&object("DPUService", "short", &chart(""))).of("release-name-too-long").is_empty());
}

#[test]
fn name_suffix_twice() {
    let sets = |a: &str, b: &str| deployment("d", "s", "a", &format!("{{nameSuffix: {a}}}, {{nameSuffix: {b}}}"));
    assert_eq!(site(&sets("a", "a")).of("name-suffix-twice"), ["8"]);
    assert!(site(&sets("a", "b")).of("name-suffix-twice").is_empty());
}

#[test]
fn namespace_missing() {
    let text = "apiVersion: svc.dpu.nvidia.com/v1alpha1\nkind: DPUService\nmetadata: {name: a}\n---\n\
                apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namepsace: b}\n---\n\
                apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n";
    assert_eq!(site(text).of("namespace-missing"), ["3", "7?"]);
    assert!(site(text).of("name-invalid").is_empty());
}

#[test]
fn labels() {
    let text = object("DPUService", "a", "  labels: {ok: ok, b ad: x, c: not a label!}\n  annotations: {a/b/c: any thing}\nspec:\n  serviceID: no label!\n  serviceDaemonSet:\n    labels:\n      d: ".to_owned().as_str()) + &"x".repeat(64) + "\n";
    let text = text.replace("\nxxx", "xxx").replace("d: \n", "d: ");
    let found = site(&text);
    assert_eq!(found.of("label-key-invalid"), ["6"]);
    assert_eq!(found.of("label-value-invalid"), ["6", "9"]);
    assert_eq!(found.of("annotation-key-invalid"), ["7"]);
    assert_eq!(found.of("label-value-too-long"), ["12"]);
    // A service id that is no label goes through upstream; a label of an object does not.
    assert_eq!(found.parity().of("label-value-invalid"), ["6", "9?"]);
    let node = site("").host("w", &[("a b", "c")], &[("rack", "no label!")]);
    assert_eq!(
        (node.of("label-key-invalid"), node.of("label-value-invalid")),
        (vec!["-".to_owned()], vec!["-".to_owned()])
    );
}

#[test]
fn every_label_field_is_found_by_its_kind() {
    let set = "apiVersion: provisioning.dpu.nvidia.com/v1alpha1
kind: DPUSet
metadata: {name: a, namespace: b}
spec:
  nodeSelector: {matchLabels: {x: no label!}}
  dpuTemplate:
    annotations: {a/b/c: x}
    spec:
      cluster: {nodeLabels: {y: no label!}}
";
    assert_eq!(site(set).of("label-value-invalid"), ["5", "9"]);
    assert_eq!(site(set).of("annotation-key-invalid"), ["7"]);
}

#[test]
fn selector_invalid() {
    let chain = |operator: &str| {
        object(
            "DPUServiceChain",
            "c",
            &format!(
                "spec: {{template: {{spec: {{nodeSelector: {{matchExpressions: [{{key: a, operator: {operator}, values: [b]}}]}}}}}}}}"
            ),
        )
    };
    assert_eq!(site(&chain("Matches")).of("selector-invalid"), ["6"]);
    assert_eq!(site(&chain("Exists")).of("selector-invalid"), ["6"]);
    assert!(site(&chain("in")).text("selector-invalid").contains("did you mean `In`?"));
    assert!(site(&chain("In")).of("selector-invalid").is_empty());
}
