//! `spec.agent`: what brings `dpu-agent` to the cards.

use std::fs;

use serde_json::Value;
use tempfile::TempDir;

use crate::program::run;

const SITE: &str = "apiVersion: dpu-render.dev/v1alpha1
kind: Site
metadata: {name: lab}
spec:
  dpf: v24.10
  mode: standalone
  clusters: [{name: dpu-a, namespace: dpu-a}, {name: dpu-b, namespace: dpu-b}]
  external:
    - {group: provisioning.dpu.nvidia.com, kind: DPUCluster, namespace: dpu-a, name: dpu-a}
    - {group: provisioning.dpu.nvidia.com, kind: DPUCluster, namespace: dpu-b, name: dpu-b}
    - {kind: Secret, namespace: dpf-operator-system, name: dpu-a-dpu-a, destination: management}
    - {kind: Secret, namespace: dpf-operator-system, name: dpu-b-dpu-b, destination: management}
  agent: {image: 'registry.example.net/dpu/dpu-agent:v0.1.0', namespace: agents}
";

const CONFIG: &str = "apiVersion: operator.dpu.nvidia.com/v1alpha1
kind: DPFOperatorConfig
metadata: {name: dpfoperatorconfig, namespace: dpf-operator-system}
spec:
  provisioningController: {bfbPVCName: bfb-pvc}
  dpuServiceController: {disable: true}
  serviceSetController: {disable: true}
  sfcController: {disable: true}
  multus: {disable: true}
  sriovDevicePlugin: {disable: true}
  flannel: {disable: true}
  nvipam: {disable: true}
  ovsCNI: {disable: true}
  ovsHelper: {disable: true}
";

/// The objects of `dpu-a`.
fn rendered(files: &[(&str, &str)]) -> Vec<Value> {
    let there = TempDir::new().unwrap();
    fs::create_dir_all(there.path().join("sites/lab")).unwrap();
    for (path, text) in files {
        fs::write(there.path().join("sites/lab").join(path), text).unwrap();
    }
    let said = run(there.path(), &["--quiet", "--format=json", "sites/lab"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    let lines = said.out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let (mut first, mut second) = (Vec::new(), Vec::new());
    for mut line in lines {
        match line["destination"].as_str() {
            Some("dpu-a") => first.push(line["object"].take()),
            Some("dpu-b") => second.push(line["object"].take()),
            _ => {}
        }
    }
    assert_eq!(first, second, "every cluster has the same");
    first
}

fn names(objects: &[Value]) -> Vec<String> {
    let name = |object: &Value| format!("{} {}", object["kind"], object["metadata"]["name"]).replace('"', "");
    let mut names: Vec<String> = objects.iter().map(name).collect();
    names.sort();
    names
}

#[test]
fn a_site_with_an_agent_brings_it_to_every_cluster() {
    let objects = rendered(&[("site.yaml", SITE)]);
    let expected = [
        "ClusterRole dpu-agent",
        "ClusterRoleBinding dpu-agent",
        "CustomResourceDefinition dpunodenetworkstatuses.dpu-render.dev",
        "CustomResourceDefinition servicechains.svc.dpu.nvidia.com",
        "CustomResourceDefinition serviceinterfaces.svc.dpu.nvidia.com",
        "DaemonSet dpu-agent",
        "Namespace agents",
        "ServiceAccount dpu-agent",
    ];
    assert_eq!(names(&objects), expected);
    let pod = |object: &Value| object.pointer("/spec/template/spec").cloned();
    let pod = objects.iter().find_map(pod).unwrap();
    assert_eq!(pod["containers"][0]["image"], "registry.example.net/dpu/dpu-agent:v0.1.0");
    assert_eq!(pod["containers"][0]["securityContext"]["capabilities"]["drop"][0], "ALL");
    // Probes reach the agent where it listens: on loopback, which it shares with the kubelet.
    assert_eq!(pod["hostNetwork"], true);
    let environment = pod["containers"][0]["env"].as_array().unwrap();
    let listen = environment.iter().find(|one| one["name"] == "DPU_AGENT_LISTEN").unwrap()["value"].as_str().unwrap();
    for (probe, path) in [("startup", "/healthz"), ("liveness", "/healthz"), ("readiness", "/readyz")] {
        let get = &pod["containers"][0][format!("{probe}Probe")]["httpGet"];
        let at = format!("{}:{}", get["host"].as_str().unwrap(), get["port"]);
        assert_eq!((&*at, &get["path"]), (listen, &Value::from(path)), "{probe}");
    }
}

/// With the chart of the set controller come its kinds; DPF's own sfc-controller is not there, as the agent is.
#[test]
fn kinds_that_a_chart_brings_are_left_to_it() {
    let service = "apiVersion: svc.dpu.nvidia.com/v1alpha1
kind: DPUService
metadata: {name: s, namespace: dpf-operator-system}
spec: {helmChart: {source: {repoURL: 'https://charts.example.net', chart: s, version: 1.0.0}}}
";
    let files = [("site.yaml", SITE), ("config.yaml", CONFIG), ("service.yaml", service)];
    let of_kind: Vec<String> =
        names(&rendered(&files)).into_iter().filter(|name| name.starts_with("CustomResource")).collect();
    assert_eq!(of_kind, ["CustomResourceDefinition dpunodenetworkstatuses.dpu-render.dev"]);
}
