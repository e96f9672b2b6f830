//! With `parity: true` nothing is refused that upstream takes: the cases of `tests/invalid` again, and what is said of one
//! mistake where expansion and a rule both see it.

use std::fs;
use std::path::Path;

use dpu_render::validate::{RULES, Upstream};
use tempfile::TempDir;

use crate::golden::{arguments, tree};
use crate::program::run;

/// A copy of the case of `rule`, with parity.
fn with_parity(rule: &str) -> Option<TempDir> {
    let case = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/invalid").join(rule);
    if !case.is_dir() {
        // `each_rule_has_a_case` says so.
        return None;
    }
    let copy = TempDir::new().unwrap();
    for (path, mut text) in tree(&case) {
        if path.ends_with("site.yaml") {
            if text.contains("dpf: v24.10, mode: operator}") {
                text = text.replace("mode: operator}", "mode: operator, parity: true}");
            } else {
                text = text.replace("  dpf: v24.10\n", "  dpf: v24.10\n  parity: true\n");
            }
            // Parity is of v24.10.
            if !text.contains("parity: true") {
                return None;
            }
        }
        let path = copy.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    Some(copy)
}

#[test]
fn what_upstream_accepts_is_a_warning() {
    let (mut wrong, mut tried) = (Vec::new(), 0);
    for rule in RULES {
        let Some(copy) = with_parity(rule.code) else { continue };
        tried += 1;
        let arguments = arguments(copy.path());
        let said = run(copy.path(), &arguments.iter().map(String::as_str).collect::<Vec<_>>());
        let (error, warning) = (format!("error[{}]", rule.code), format!("warning[{}]", rule.code));
        let right = match rule.upstream {
            Upstream::Accepts => !said.err.contains("error[") && said.code == Some(0),
            Upstream::Refuses => said.err.contains(&error) && said.code == Some(1),
            Upstream::Partly => said.err.contains(&error) || said.err.contains(&warning),
        };
        if !right {
            wrong.push(format!("{} ({:?}): exit {:?}\n{}", rule.code, rule.upstream, said.code, said.err));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(tried > RULES.len() / 2, "only {tried} cases could be given parity");
}

const SITE: &str = "apiVersion: dpu-render.dev/v1alpha1
kind: Site
metadata: {name: lab}
spec:
  dpf: v24.10
  mode: standalone
  clusters: [{name: edge, namespace: tenants}]
  external:
    - {group: provisioning.dpu.nvidia.com, kind: DPUCluster, namespace: tenants, name: edge}
    - {group: provisioning.dpu.nvidia.com, kind: BFB, namespace: net, name: bfb}
    - {group: provisioning.dpu.nvidia.com, kind: DPUFlavor, namespace: net, name: flavor}
    - {kind: Secret, namespace: dpf-operator-system, name: tenants-edge}
";

const OBJECTS: &str = "apiVersion: operator.dpu.nvidia.com/v1alpha1
kind: DPFOperatorConfig
metadata: {name: dpfoperatorconfig, namespace: dpf-operator-system}
spec:
  provisioningController: {bfbPVCName: bfb-pvc}
  dpuServiceController: {disable: true}
  sfcController: {disable: true}
  serviceSetController: {disable: true}
  multus: {disable: true}
  sriovDevicePlugin: {disable: true}
  flannel: {disable: true}
  nvipam: {disable: true}
  ovsCNI: {disable: true}
  ovsHelper: {disable: true}
---
apiVersion: svc.dpu.nvidia.com/v1alpha1
kind: DPUDeployment
metadata: {name: hbn, namespace: net}
spec:
  dpus:
    bfb: bfb
    flavor: flavor
    dpuSets: [{nameSuffix: a, nodeSelector: {matchLabels: {row: a}}}, {nameSuffix: b, nodeSelector: {matchLabels: {row: b}}}]
  services:
    hbn: {serviceTemplate: hbn, serviceConfiguration: hbn}
  serviceChains:
  - ports:
    - serviceInterface: {matchLabels: {uplink: p0}}
    - service: {name: hbn, interface: p0_if, ipam: {matchLabels: {pool: one}}}
  - ports:
    - serviceInterface: {matchLabels: {uplink: p1}}
    - service: {name: hbn, interface: p1_if}
---
apiVersion: svc.dpu.nvidia.com/v1alpha1
kind: DPUServiceTemplate
metadata: {name: hbn, namespace: net}
spec:
  deploymentServiceName: hbn
  helmChart:
    source: {repoURL: https://charts.example.com, chart: hbn, version: 1.0.0}
---
apiVersion: svc.dpu.nvidia.com/v1alpha1
kind: DPUServiceConfiguration
metadata: {name: hbn, namespace: net}
spec:
  deploymentServiceName: hbn
  serviceConfiguration: {deployInCluster: false}
  interfaces:
  - {name: p0_if, network: dpf-operator-system/mybrhbn}
  - {name: p1_if, network: dpf-operator-system/mybrhbn}
---
apiVersion: svc.dpu.nvidia.com/v1alpha1
kind: DPUServiceInterface
metadata: {name: p0, namespace: net}
spec:
  template:
    spec:
      template:
        metadata: {labels: {uplink: p0}}
        spec: {interfaceType: physical, physical: {interfaceName: p0}}
---
apiVersion: svc.dpu.nvidia.com/v1alpha1
kind: DPUServiceInterface
metadata: {name: p1, namespace: net}
spec:
  template:
    spec:
      template:
        metadata: {labels: {uplink: p1}}
        spec: {interfaceType: physical, physical: {interfaceName: p1}}
---
apiVersion: svc.dpu.nvidia.com/v1alpha1
kind: DPUServiceIPAM
metadata: {name: one, namespace: dpf-operator-system}
spec:
  metadata: {labels: {pool: one}}
  ipv4Network: {network: 10.0.0.0/20, prefixSize: 24}
---
apiVersion: svc.dpu.nvidia.com/v1alpha1
kind: DPUServiceIPAM
metadata: {name: two, namespace: dpf-operator-system}
spec:
  metadata: {labels: {pool: two}}
  ipv4Network: {network: 10.1.0.0/20, prefixSize: 24}
";

/// `error[…]` and `warning[…]` of everything that is said, once each.
fn codes(err: &str) -> Vec<&str> {
    let told = |line: &'_ &str| line.starts_with("error[") || line.starts_with("warning[");
    err.lines().filter(told).filter_map(|line| line.split_once("]: ")).map(|(code, _)| code).collect()
}

#[test]
fn one_mistake_is_told_once() {
    let long = "a-service-of-the-second-building-left";
    let cases: &[(&str, &str, &[&str])] = &[
        ("", "", &[]),
        ("name: hbn, interface: p1_if", "name: hbm, interface: p1_if", &["error[chain-port-unmatched"]),
        ("name: hbn, interface: p1_if", "name: hbn, interface: p2_if", &["error[chain-port-unmatched"]),
        ("ipam: {matchLabels: {pool: one}}", "ipam: {matchLabels: {pool: three}}", &["error[ipam-pool-unmatched"]),
        ("labels: {pool: two}", "labels: {pool: one}", &["error[ipam-pool-ambiguous"]),
        ("network: 10.1.0.0/20", "network: 10.1.0.0/33", &["error[ipam-cidr"]),
        ("nameSuffix: b", "nameSuffix: a", &["error[name-collision"]),
        ("bfb: bfb", "bfb: bfc", &["error[bfb-missing"]),
        ("serviceTemplate: hbn", "serviceTemplate: hbm", &["error[template-missing"]),
        ("serviceConfiguration: hbn}", "serviceConfiguration: hbm}", &["error[configuration-missing"]),
        ("deploymentServiceName: hbn", "deploymentServiceName: hbm", &["error[service-name-mismatch"; 2]),
        ("deployInCluster: false", "deployInCluster: true", &["error[interfaces-in-management"]),
        ("mybrhbn}", "mybrhbn/a}", &["error[network-malformed"; 2]),
        (
            "repoURL: https://charts.example.com, chart: hbn",
            "repoURL: https://charts.example.com",
            &["error[service-without-chart"],
        ),
    ];
    for (from, to, expected) in cases {
        let objects = OBJECTS.replace(from, to);
        let folder = crate::program::folder(&[("sites/lab/site.yaml", SITE), ("sites/lab/a.yaml", &objects)]);
        let said = run(folder.path(), &["sites/lab"]);
        assert_eq!(codes(&said.err), *expected, "{to}\n{}", said.err);
    }
    // A name that breaks five labels.
    let objects = OBJECTS
        .replace("    hbn: {", &format!("    {long}: {{"))
        .replace("ServiceName: hbn", &format!("ServiceName: {long}"))
        .replace("service: {name: hbn", &format!("service: {{name: {long}"))
        .replace(
            "{name: hbn, namespace: net}\nspec:\n  dpus",
            "{name: hbn-of-that-row, namespace: net}\nspec:\n  dpus",
        );
    let folder = crate::program::folder(&[("sites/lab/site.yaml", SITE), ("sites/lab/a.yaml", &objects)]);
    let said = run(folder.path(), &["sites/lab"]);
    assert_eq!(codes(&said.err), ["error[name-too-long"], "{}", said.err);
}
