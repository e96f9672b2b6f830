//! `dpu-agent` on a real API server, as the account that the renderer gives it, and on a real switch.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::lab::{Lab, lab};
use crate::plugin::rendered;
use crate::process::{command, start, tails};
use crate::shared::shared;
use crate::switch::Switch;
use crate::wait;

const NODE: &str = "card1";
const NAMESPACE: &str = "agents";

/// What the renderer brings to a DPU cluster for the agent; the kinds of chains are there already.
fn brought(lab: &Lab) -> Vec<Value> {
    let repository = lab.repository("agent");
    let site = json!({
        "apiVersion": "dpu-render.dev/v1alpha1", "kind": "Site", "metadata": {"name": "lab"},
        "spec": {
            "dpf": "v24.10", "mode": "standalone", "clusters": [{"name": "dpu-a", "namespace": "dpu-a"}],
            "external": [
                {"group": "provisioning.dpu.nvidia.com", "kind": "DPUCluster", "namespace": "dpu-a", "name": "dpu-a"},
                {"kind": "Secret", "namespace": "dpf-operator-system", "name": "dpu-a-dpu-a", "destination": "management"},
            ],
            "agent": {"image": "registry.example.net/dpu/dpu-agent:v0.1.0", "namespace": NAMESPACE},
        },
    });
    repository.write("sites/lab/site.yaml", &site.to_string());
    let objects = rendered(repository.path(), "sites/lab", "dpu-a");
    let objects = objects.iter().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let of_chains = |object: &Value| object["metadata"]["name"].as_str().unwrap().ends_with(".svc.dpu.nvidia.com");
    // A namespace comes before what is in it.
    let mut objects: Vec<Value> = objects.filter(|object| !of_chains(object)).collect();
    objects.sort_by_key(|object| object["kind"] != "Namespace");
    objects
}

/// A kubeconfig of the agent's account, and of nobody else.
fn kubeconfig(lab: &Lab) -> std::path::PathBuf {
    let token = lab.dpu.kubectl.run(&["create", "token", "dpu-agent", "--namespace", NAMESPACE]);
    let mut config: Value = serde_json::from_slice(&fs::read(&lab.dpu.kubectl.kubeconfig).unwrap()).unwrap();
    config["users"][0]["user"] = json!({"token": token.trim()});
    let path = lab.places.folder("agent").join("kubeconfig");
    fs::write(&path, config.to_string()).unwrap();
    path
}

fn object(kind: &str, name: &str, spec: &Value) -> Value {
    let mut spec = spec.clone();
    spec["node"] = json!(NODE);
    let metadata = json!({"namespace": NAMESPACE, "name": name, "labels": {"port": name}});
    json!({"apiVersion": "svc.dpu.nvidia.com/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec})
}

fn flows(switch: &Switch) -> usize {
    let text = switch.ofctl("dump-flows", "br-sfc", &[]);
    text.lines().filter(|line| line.contains("actions=")).count()
}

#[test]
#[ignore = "make e2e"]
fn a_card_programs_itself_and_says_so() {
    if shared("crds").is_none() {
        return;
    }
    let lab = lab();
    let kubectl = &lab.dpu.kubectl;
    let (namespace, rest): (Vec<Value>, Vec<Value>) =
        brought(lab).into_iter().partition(|object| object["kind"] == "Namespace");
    kubectl.apply(&namespace);
    kubectl.apply(&rest);
    kubectl.apply(&[json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE}})]);
    let switch = Switch::start(&["br-sfc"]);
    let log = lab.places.log("dpu-agent");
    let mut agent = command(Path::new(env!("CARGO_BIN_EXE_dpu-agent")), &lab.places.home());
    agent.env("KUBECONFIG", kubeconfig(lab)).args(["run", "--node", NODE, "--port-type=dummy", "--listen=127.0.0.1:0"]);
    agent.args(["--ovsdb", &switch.endpoint()]).arg("--ovs-rundir").arg(switch.path(""));
    start(&mut agent, &log);
    let until = |what: &str, look: &dyn Fn() -> Result<(), String>| {
        wait::until(what, 60, || tails(std::slice::from_ref(&log)), look);
    };

    let port = |name: &str| json!({"serviceInterface": {"matchLabels": {"port": name}}});
    let physical = json!({"interfaceType": "physical", "physical": {"interfaceName": "p0"}});
    let vf = json!({"interfaceType": "vf", "vf": {"pfID": 0, "vfID": 1, "parentInterfaceRef": "p0"}});
    let switches = json!({"switches": [{"ports": [port("p0"), port("vf1")]}]});
    kubectl.apply(&[
        object("ServiceInterface", "p0", &physical),
        object("ServiceInterface", "vf1", &vf),
        object("ServiceChain", "c", &switches),
    ]);
    until("two flows", &|| match flows(&switch) {
        2 => Ok(()),
        other => Err(format!("{other} flows")),
    });

    // Its status, in the object that keeps it whatever DPF's kinds do.
    let status = || kubectl.get("dpunodenetworkstatuses", "default", NODE).unwrap_or_default()["status"].take();
    let ready = |status: &Value| {
        let all = status["conditions"].as_array().cloned().unwrap_or_default();
        let ready = all.iter().any(|one| one["type"] == "Ready" && one["status"] == "True");
        ready && status["chains"][0]["flows"]["installed"] == 2
    };
    until("the card is ready", &|| if ready(&status()) { Ok(()) } else { Err(status().to_string()) });
    let table = kubectl.run(&["get", "dpunodenetworkstatuses"]);
    let row: Vec<&str> = table.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(row[..6], [NODE, "True", "Success", "2/2", "1/1", "br-sfc"], "{table}");

    // Somebody takes the port away: it comes back, and an Event tells.
    switch.vsctl(&["del-port", "pf0vf1"]);
    until("the port to come back", &|| {
        let ports = switch.vsctl(&["list-ports", "br-sfc"]);
        if ports.contains("pf0vf1") && flows(&switch) == 2 { Ok(()) } else { Err(ports) }
    });
    until("an Event", &|| {
        let events: Vec<Value> = ["default", NAMESPACE].iter().flat_map(|ns| kubectl.list("events", ns)).collect();
        let drift = events.iter().any(|event| event["reason"].as_str().is_some_and(|reason| reason.contains("Drift")));
        if drift { Ok(()) } else { Err(format!("{events:?}")) }
    });

    // What is deleted goes from the switch, and then from the API server.
    kubectl.run(&["delete", "servicechains", "c", "--namespace", NAMESPACE, "--timeout=30s"]);
    kubectl.run(&["delete", "serviceinterfaces", "vf1", "--namespace", NAMESPACE, "--timeout=30s"]);
    until("nothing but the uplink", &|| {
        let ports = switch.vsctl(&["list-ports", "br-sfc"]);
        if ports.trim() == "p0" && flows(&switch) == 0 { Ok(()) } else { Err(ports) }
    });
    kubectl.run(&["delete", "serviceinterfaces", "p0", "--namespace", NAMESPACE, "--timeout=30s"]);
    let said = fs::read_to_string(&log).unwrap();
    assert!(!said.contains("forbidden") && !said.contains("may not"), "{said}");
}
