//! What the diagnostics say.

use std::collections::BTreeMap;

use crate::diagnostic::{Severity, render};
use crate::site::Release;
use crate::source::SourceTree;
use crate::yaml::read;

/// The text of every diagnostic about one object.
fn say(text: &str, release: Release, parity: bool) -> String {
    let files = BTreeMap::from([("f.yaml".to_owned(), text.to_owned())]);
    let tree = SourceTree::new(&files);
    let (id, source) = tree.load("f.yaml").unwrap();
    let mut out = Vec::new();
    for node in read::documents(&source, id, &mut out) {
        crate::schema::check(&node, release, parity, &mut out);
    }
    out.iter().map(|fault| render(fault, &tree, false)).collect()
}

/// A chain whose only switch is `switch`, in the newest release that has all we ask for.
fn chain(switch: &str) -> String {
    format!(
        "apiVersion: svc.dpu.nvidia.com/v1alpha1\nkind: ServiceChain\nmetadata: {{name: blue, namespace: ns}}\nspec:\n  node: n1\n  switches:\n    - {switch}\n"
    )
}

/// The first line of each diagnostic.
fn heads(text: &str) -> Vec<String> {
    let said = say(text, Release::V24_10, false);
    said.lines().filter(|line| line.starts_with("error") || line.starts_with("warning")).map(str::to_owned).collect()
}

#[test]
fn a_misspelt_field() {
    let text = chain("{prots: [], ports: [{serviceInterface: {matchLabels: {uplink: p0}}}]}");
    assert_eq!(
        say(&text, Release::V24_10, false),
        "error[unknown-field]: ServiceChain `ns/blue` has no field `spec.switches[0].prots` in v24.10\n \
         --> f.yaml:7:8\n  |\n7 |     - {prots: [], ports: [{serviceInterface: {matchLabels: {uplink: p0}}}]}\n  \
         |        ^^^^^ unknown field\n  = help: did you mean `ports`?\n"
    );
    let parity = say(&text, Release::V24_10, true);
    assert!(parity.starts_with("warning[unknown-field]"), "{parity}");
}

#[test]
fn a_field_of_another_release() {
    let text = chain("{serviceMTU: 1500, ports: [{serviceInterface: {matchLabels: {uplink: p0}}}]}");
    let said = say(&text, Release::V24_10, false);
    assert!(said.contains("has no field `spec.switches[0].serviceMTU` in v24.10"), "{said}");
    assert!(said.contains("= note: it is a field from v25.7 on"), "{said}");
    assert!(said.contains("= help: fields that are known here: `ports`"), "{said}");
    assert_eq!(say(&text, Release::V25_7, false), "");
}

#[test]
fn a_field_of_an_older_release() {
    let text = "apiVersion: provisioning.dpu.nvidia.com/v1alpha1\nkind: DPUSet\nmetadata: {name: s}\nspec:\n  \
                nodeSelector: {}\n  strategy: {type: OnDelete}\n  dpuTemplate: {spec: {dpuFlavor: f, bfb: {name: b}}}\n";
    let said = say(text, Release::V25_7, false);
    assert!(said.contains("it is a field until v25.4") && said.contains("did you mean `dpuNodeSelector`?"), "{said}");
}

#[test]
fn types() {
    let text = "apiVersion: svc.dpu.nvidia.com/v1alpha1\nkind: DPUServiceTemplate\nmetadata:\n  name: t\n  labels: {a: true}\n  \
                annotations: {b: 7}\nspec:\n  deploymentServiceName: 12\n  helmChart: {source: {repoURL: https://r/c, version: 1.5}}\n  \
                resourceRequirements: {memory: 2Gi, cpu: 2}\n";
    assert_eq!(
        heads(text),
        [
            "error[wrong-type]: `metadata.annotations.b` of DPUServiceTemplate `t` must be a string, this is an integer",
            "error[wrong-type]: `metadata.labels.a` of DPUServiceTemplate `t` must be a string, this is a boolean",
            "error[wrong-type]: `spec.deploymentServiceName` of DPUServiceTemplate `t` must be a string, this is an integer",
            "error[wrong-type]: `spec.helmChart.source.version` of DPUServiceTemplate `t` must be a string, this is a number",
        ]
    );
    let said = say(text, Release::V24_10, true);
    assert!(said.contains("= help: put quotes around it") && !said.contains("warning"), "{said}");
    let text = chain("ports");
    assert_eq!(
        heads(&text),
        ["error[wrong-type]: `spec.switches[0]` of ServiceChain `ns/blue` must be a map, this is a string"]
    );
}

#[test]
fn what_kubernetes_keeps_as_text() {
    let object = |kind: &str, rest: &str| format!("apiVersion: v1\nkind: {kind}\nmetadata: {{name: x}}\n{rest}\n");
    for rest in ["data: {asn: 65101}", "data: {a: true}", "dta: {a: b}"] {
        assert_eq!(heads(&object("ConfigMap", rest)).len(), 1, "{rest}");
    }
    assert_eq!(heads(&object("Secret", "stringData: {port: 6443}")).len(), 1);
    for rest in ["data:", "data: {a: \"1\"}\nimmutable: true", "binaryData: {a: AAAA}"] {
        assert_eq!(heads(&object("ConfigMap", rest)), [""; 0], "{rest}");
    }
}

#[test]
fn a_value_of_another_release() {
    let text = "apiVersion: svc.dpu.nvidia.com/v1alpha1\nkind: DPUDeployment\nmetadata: {name: d}\nspec:\n  dpus: {bfb: b, flavor: f}\n  \
                services: {}\n  serviceChains:\n    - ports: [{service: {name: a, interface: b}}]\n";
    assert_eq!(say(text, Release::V24_10, false), "");
    let said = say(text, Release::V25_4, false);
    assert!(
        said.starts_with("error[wrong-type]: `spec.serviceChains` of DPUDeployment `d` must be a map, this is a list"),
        "{said}"
    );
    assert!(said.contains("= note: it is a list until v25.1"), "{said}");
    let text = "apiVersion: svc.dpu.nvidia.com/v1alpha1\nkind: ServiceInterface\nmetadata: {name: p0}\nspec:\n  \
                node: n1\n  interfaceType: patch\n";
    let said = say(text, Release::V24_10, false);
    assert!(
        said.contains("cannot be `patch` in v24.10") && said.contains("note: it is a value from v26.4 on"),
        "{said}"
    );
}

#[test]
fn nulls() {
    let text = chain("{ports: [{serviceInterface: {matchLabels: {a: }, ipam: }}]}");
    assert_eq!(
        heads(&text),
        [
            "error[null-value]: `spec.switches[0].ports[0].serviceInterface.ipam` of ServiceChain `ns/blue` is null, it must be a map",
            "error[null-value]: `spec.switches[0].ports[0].serviceInterface.matchLabels.a` of ServiceChain `ns/blue` is null, it must be a string",
        ]
    );
    let parity = say(&text, Release::V24_10, true);
    // The API server drops the null of an optional field, and refuses that of a map's entry.
    assert!(parity.starts_with("warning[null-value]: `spec.switches[0].ports[0].serviceInterface.ipam`"), "{parity}");
    assert!(
        parity.contains("error[null-value]: `spec.switches[0].ports[0].serviceInterface.matchLabels.a`"),
        "{parity}"
    );
    assert!(parity.contains("leave the key out: server-side apply refuses `ipam: null`"), "{parity}");
}

#[test]
fn a_missing_field() {
    let said = say(&chain("{ports: [{serviceInterface: {}}]}"), Release::V24_10, false);
    let field = "spec.switches[0].ports[0].serviceInterface.matchLabels";
    let head = format!("error[missing-field]: ServiceChain `ns/blue` has no `{field}`, which is required in v24.10\n");
    assert!(said.starts_with(&head), "{said}");
    assert!(said.contains("help: add `matchLabels`: a map"), "{said}");
    let head = "error[missing-field]: ConfigMap has no `metadata.name`, which is required";
    assert_eq!(heads("apiVersion: v1\nkind: ConfigMap\nmetadata: {generateName: x-}\n"), [head]);
    assert_eq!(heads("a: 1\n").len(), 3);
}

#[test]
fn unknown_kinds() {
    let kind = |api: &str, kind: &str, release| {
        say(&format!("apiVersion: {api}\nkind: {kind}\nmetadata: {{name: x}}\n"), release, false)
    };
    let said = kind("svc.dpu.nvidia.com/v1alpha1", "DPUServices", Release::V24_10);
    assert!(
        said.starts_with("error[unknown-kind]: v24.10 has no kind `DPUServices` in `svc.dpu.nvidia.com/v1alpha1`"),
        "{said}"
    );
    assert!(said.contains("did you mean `DPUService`?"), "{said}");
    let said = kind("svc.dpu.nvidia.com/v1alpha1", "DPUServiceNAD", Release::V25_1);
    assert!(said.contains("it is a kind of DPF from v25.4 on"), "{said}");
    let said = kind("svc.dpu.nvidia.com/v1", "BFB", Release::V24_10);
    assert!(said.contains("help: write `apiVersion: provisioning.dpu.nvidia.com/v1alpha1`"), "{said}");
    let said = kind("scv.dpu.nvidia.com/v1alpha1", "Zebra", Release::V24_10);
    assert!(said.contains("groups of DPF: `operator.dpu.nvidia.com`, `provisioning"), "{said}");
    assert_eq!(kind("example.com/v1", "Zebra", Release::V24_10), "");
    assert_eq!(kind("v1", "Pod", Release::V24_10), "");
}

#[test]
fn limits_and_enums() {
    let text = "apiVersion: provisioning.dpu.nvidia.com/v1alpha1\nkind: DPUCluster\nmetadata: {name: c}\nspec:\n  type: other\n  \
                maxNodes: 1001\n  version: v1\n  clusterEndpoint: {keepalived: {interface: '', vip: x, virtualRouterID: 256}}\n";
    let said = heads(text).join("\n");
    for part in [
        "[value-range]: `spec.maxNodes` of DPUCluster `c` is 1001, the greatest is 1000",
        "[value-range]: `spec.clusterEndpoint.keepalived.virtualRouterID` of DPUCluster `c` is 256, the greatest is 255",
        "[value-length]: `spec.clusterEndpoint.keepalived.interface` of DPUCluster `c` is empty, it must have at least 1 character",
        "[value-pattern]: `spec.type` of DPUCluster `c` is `other`, which is not of the form required",
    ] {
        assert!(said.contains(part), "{part} is not in:\n{said}");
    }
    let text = "apiVersion: svc.dpu.nvidia.com/v1alpha1\nkind: DPUServiceCredentialRequest\nmetadata: {name: c}\n\
                spec: {type: tokenfile, serviceAccount: {name: a, namespace: b}, secret: {name: a, namespace: b}}\n";
    let said = say(text, Release::V24_10, false);
    assert!(
        said.starts_with(
            "error[value-not-allowed]: `spec.type` of DPUServiceCredentialRequest `c` cannot be `tokenfile`"
        ),
        "{said}"
    );
    assert!(
        said.contains("allowed: `kubeconfig`, `tokenFile`") && said.contains("did you mean `tokenFile`?"),
        "{said}"
    );
    assert_eq!(
        heads(&chain("{ports: []}")),
        [
            "error[too-few-items]: `spec.switches[0].ports` of ServiceChain `ns/blue` has 0 items, it must have at least 1 item"
        ]
    );
}

#[test]
fn rules_over_several_fields() {
    let text = "apiVersion: svc.dpu.nvidia.com/v1alpha1\nkind: ServiceInterface\nmetadata: {name: p0}\nspec:\n  \
                node: n1\n  interfaceType: physical\n";
    let said = say(text, Release::V24_10, false);
    assert!(
        said.starts_with("error[schema-rule]: `spec` of ServiceInterface `p0` breaks a rule of its kind in v24.10\n"),
        "{said}"
    );
    assert_eq!(say(&text.replace(": physical", ": '${{ x }}'"), Release::V24_10, false), "");
    assert_eq!(say(&text.replace(": physical", ": ovn"), Release::V24_10, false), "");
    // A field that is wrong in itself is said once.
    assert_eq!(heads(&text.replace(": physical", ": phys")).len(), 1);
    let long = "a".repeat(64);
    let text = format!(
        "apiVersion: svc.dpu.nvidia.com/v1alpha1\nkind: DPUService\nmetadata: {{name: {long}}}\n\
         spec: {{helmChart: {{source: {{chart: a, repoURL: oci://r, version: v1}}}}}}\n"
    );
    assert_eq!(say(&text, Release::V25_4, false), "");
    assert!(say(&text, Release::V25_7, false).contains("self.metadata.name.size() <= 63"));
}

#[test]
fn what_waits_passes() {
    let text = chain("{ports: '${{ dpu.vars.ports }}'}");
    assert_eq!(heads(&text), Vec::<String>::new());
    let text = chain("{'${{ dpu.vars.key }}': 1}");
    assert_eq!(heads(&text), Vec::<String>::new());
}

#[test]
fn severities() {
    let files = BTreeMap::new();
    let tree = SourceTree::new(&files);
    let (id, source) = tree.add("f", chain("{ports: [], more: 1}")).clone();
    let mut out = Vec::new();
    let node = read::documents(&source, id, &mut out).remove(0);
    crate::schema::check(&node, Release::V24_10, true, &mut out);
    let found: Vec<_> = out.iter().map(|fault| (fault.code, fault.severity)).collect();
    assert_eq!(found, [("unknown-field", Severity::Warning), ("too-few-items", Severity::Error)]);
}
