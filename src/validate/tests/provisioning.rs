//! Flavors, DPUSets, DPU clusters.

use crate::validate::testing::site;

fn object(kind: &str, name: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: provisioning.dpu.nvidia.com/v1alpha1\nkind: {kind}\nmetadata: {{name: {name}, namespace: prov}}\nspec: {{{spec}}}\n"
    )
}

fn set(spec: &str) -> String {
    object("DPUSet", "s", &format!("{spec}dpuTemplate: {{spec: {{bfb: {{name: b}}}}}}"))
}

#[test]
fn flavors() {
    let of = |spec: &str| site(&object("DPUFlavor", "f", spec)).found();
    assert_eq!(of("systemReservedResources: {cpu: 1}"), ["flavor-resources 5"]);
    assert_eq!(
        of("dpuResources: {cpu: 4, memory: 1Gi}, systemReservedResources: {cpu: 5, memory: 512Mi}"),
        ["flavor-resources 5"]
    );
    assert!(
        of("dpuResources: {cpu: 4, memory: 1Gi}, systemReservedResources: {cpu: 4000m, memory: 1024Mi}").is_empty()
    );
    assert_eq!(of("nvconfig: [{device: \"*\"}, {device: \"*\"}]"), ["flavor-nvconfig 5"]);
    assert_eq!(of("nvconfig: [{device: \"0000:03:00.0\"}]"), ["flavor-nvconfig 5"]);
    assert!(of("nvconfig: [{device: \"*\"}]").is_empty());
}

#[test]
fn dpusets_as_the_webhook() {
    let of = |spec: &str| site(&set(spec)).found();
    let rolling = |value: &str| of(&format!("strategy: {{type: RollingUpdate, rollingUpdate: {{{value}}}}}, "));
    for bad in ["maxUnavailable: 0", "maxUnavailable: 0%", "maxUnavailable: 101%", "maxUnavailable: many", ""] {
        assert_eq!(rolling(bad), ["dpuset-max-unavailable 5"], "{bad}");
    }
    assert!(rolling("maxUnavailable: 50%").is_empty() && rolling("maxUnavailable: 2").is_empty());
    let template = |template: &str| site(&object("DPUSet", "s", &format!("dpuTemplate: {{{template}}}"))).found();
    assert_eq!(template("spec: {bfb: {name: b}, nodeEffect: {noEffect: true, drain: {}}}"), ["dpuset-node-effect 5"]);
    assert!(template("spec: {bfb: {name: b}, nodeEffect: {noEffect: false, drain: {}}}").is_empty());
    let annotation = |value: &str| {
        template(&format!(
            "annotations: {{provisioning.dpu.nvidia.com/host-power-cycle-required: \"{value}\"}}, spec: {{bfb: {{name: b}}}}"
        ))
    };
    assert_eq!(annotation("maybe"), ["dpuset-power-cycle 5"]);
    assert!(annotation("T").is_empty());
    let reboot = |rest: &str| template(&format!("spec: {{bfb: {{name: b}}, {rest}}}"));
    assert_eq!(reboot("automaticNodeReboot: false"), ["dpuset-reboot-lost 5?"]);
    assert_eq!(reboot("nodeEffect: {drain: {automaticNodeReboot: false}}"), ["dpuset-reboot-lost 5?"]);
    assert!(reboot("automaticNodeReboot: true").is_empty());
    assert_eq!(template("spec: {}"), ["dpuset-template-missing 5"]);
    assert_eq!(site(&object("DPUSet", "s", "")).found(), ["dpuset-template-missing 4"]);
    assert_eq!(of("dpuSelector: {pciAddr: \"0000:0e:00.0\"}, "), ["dpu-selector-key 5"]);
    assert!(of("dpuSelector: {feature.node.kubernetes.io/dpu-0-pci-address: 0000-90-00}, ").is_empty());
}

#[test]
fn images_of_a_dpuset_are_there() {
    let of = |bfb: &str, flavor: &str| {
        let spec = format!("dpuTemplate: {{spec: {{bfb: {{name: {bfb}}}, dpuFlavor: {flavor}}}}}");
        site(&(object("DPUSet", "s", &spec) + &object("DPUFlavor", "f", "")))
    };
    assert_eq!(of("b", "f").found(), Vec::<String>::new());
    assert_eq!(of("b2", "g").found(), ["bfb-missing 5", "flavor-missing 5"]);
    assert_eq!(of("b2", "f").parity().found(), ["bfb-missing 5?"]);
    assert!(of("b", "g").text("flavor-missing").contains("did you mean `f`?"));
    // The operator brings its own, and makes it itself where it runs.
    assert_eq!(of("b", "dpf-provisioning-hbn-ovn").found(), ["flavor-missing 5"]);
    assert!(of("b", "dpf-provisioning-hbn-ovn").parity().found().is_empty());
}

#[test]
fn references_of_a_deployment_where_expansion_does_not_look() {
    let deployment = "---
apiVersion: svc.dpu.nvidia.com/v1alpha1
kind: DPUDeployment
metadata: {name: d, namespace: prov}
spec:
  dpus: {bfb: b2, flavor: f2, dpuSets: [{nameSuffix: a}]}
  services:
    hbn: {serviceTemplate: t, serviceConfiguration: c}
    dts: {serviceTemplate: dts, serviceConfiguration: c}
---
apiVersion: svc.dpu.nvidia.com/v1alpha1
kind: DPUServiceConfiguration
metadata: {name: c, namespace: prov}
spec: {deploymentServiceName: hbn}
";
    let all = site(deployment);
    assert!(all.of("bfb-missing").is_empty() && all.of("template-missing").is_empty());
    let later = all.with(|site| site.dpf = crate::site::Release::V25_10);
    assert_eq!((later.of("bfb-missing"), later.of("flavor-missing")), (vec!["6".to_owned()], vec!["6".to_owned()]));
    assert_eq!(later.of("template-missing"), ["8", "9"]);
    assert!(later.of("configuration-missing").is_empty());
    assert_eq!(later.of("service-name-mismatch"), ["9"]);
}

#[test]
fn dpuset_same_card() {
    let other = |selector: &str| set(selector).replace("name: s,", "name: t,");
    assert_eq!(site(&(set("") + &other(""))).of("dpuset-same-card"), ["9"]);
    let racks = set("nodeSelector: {matchLabels: {rack: a}}, ") + &other("nodeSelector: {matchLabels: {row: b}}, ");
    assert!(site(&racks).of("dpuset-same-card").is_empty());
    let host = |labels| site(&racks).host("w1", labels, &[]);
    let both = host(&[("rack", "a"), ("row", "b")]);
    assert!(both.text("dpuset-same-card").contains("card 0 of host `w1`"));
    let one = host(&[("rack", "a")]);
    assert!(one.of("dpuset-same-card").is_empty());
    assert_eq!(one.of("dpuset-selects-nothing"), ["10?"]);
}

#[test]
fn cluster_types_and_names() {
    let cluster = |name: &str, spec: &str| object("DPUCluster", name, spec);
    let of = |kind: &str| site(&cluster("edge", &format!("type: {kind}, kubeconfig: k"))).of("cluster-type");
    assert_eq!(of("my-static-thing"), ["5"]);
    assert_eq!(of("a/"), ["5"]);
    assert!(of("kamaji").is_empty() && of("static").is_empty() && of("example.com/x").is_empty());
    let unlisted = site(&cluster("edga", "type: kamaji"));
    assert_eq!(unlisted.of("cluster-unlisted"), ["4"]);
    assert!(unlisted.text("cluster-unlisted").contains("add `- {name: edga, namespace: prov}`"));
    // A misspelt name is told of once, where the list has it.
    let mut misspelt = site(&cluster("edga", "type: kamaji"));
    misspelt.site.external.clear();
    assert_eq!(misspelt.found(), ["cluster-object-missing -"]);
    assert!(misspelt.text("cluster-object-missing").contains("did you mean `edga`?"));
    let two = cluster("edge", "type: kamaji")
        + &cluster("edge", "type: kamaji").replace("prov,", "w,").replace("namespace: prov", "namespace: west");
    assert_eq!(site(&two).of("cluster-name-twice"), ["9"]);
    assert_eq!(site("").cluster("in-cluster", "x").of("cluster-name-reserved"), ["-"]);
    assert_eq!(site("").cluster("far", "x").of("cluster-object-missing"), ["-"]);
    assert!(site("").found().is_empty());
    assert_eq!(site(&cluster("edge", "type: static")).of("cluster-kubeconfig-missing"), ["4?"]);
    assert!(site(&cluster("edge", "type: kamaji")).of("cluster-kubeconfig-missing").is_empty());
    let mut lost = site("").host("w1", &[], &[]);
    lost.inventory.hosts[0].dpus[0].cluster = "egde".into();
    assert!(lost.text("inventory-cluster-unknown").contains("did you mean `edge`?"));
    let mut two = site("").host("w1", &[], &[]).host("w2", &[], &[]);
    two.inventory.hosts.iter_mut().for_each(|host| host.dpus[0].cluster = "egde".into());
    assert!(two.text("inventory-cluster-unknown").contains("host `w1` and 1 more join cluster `egde`"));
}
