//! Chains, and what their ports are.

use std::fs;

use serde_json::json;

use super::{Lab, chain, condition, created, physical, pod, service, vf};

/// D4: one port that cannot be had stops every switch of the chain, and nobody says which.
#[test]
fn d04_what_can_be_wired_is_and_what_cannot_is_named() {
    let lab = Lab::start(&["br-sfc"]);
    let ports = [physical("p0"), vf(1), vf(2), vf(3), vf(4), service("app")];
    lab.put("ports", &ports);
    let switches: &[&[&str]] = &[&["p0", "app"], &["vf1", "vf2"], &["vf3", "vf4", "gone"]];
    lab.put("chain", &[chain("c", switches)]);
    let _agent = lab.agent();
    lab.until("the others are wired", || {
        lab.are_connected("pf0vf1", "pf0vf2") && lab.are_connected("pf0vf3", "pf0vf4")
    });
    lab.until_condition_of("chains", "c", "PortsResolved", "False/PodNotFound");
    let switches = lab.node()["status"]["chains"][0]["switches"].clone();
    let reason = |switch: usize, port: usize| switches[switch]["ports"][port]["reason"].clone();
    assert_eq!((reason(0, 0), reason(0, 1)), (json!(null), json!("PodNotFound")));
    assert_eq!((reason(1, 0), reason(2, 1), reason(2, 2)), (json!(null), json!(null), json!("InterfaceNotFound")));
    // The pod comes; its port a little later.
    lab.put("pod", &[pod("app-1", "app", "Running", true)]);
    lab.until_condition_of("chains", "c", "PortsResolved", "False/PortNotReady");
    lab.add_port_of_cni("br-sfc", "en3f0pf0sf1", &["external_ids:dpf-id=ns/app-1/app_sf"]);
    lab.until("the port is wired", || lab.are_connected("p0", "en3f0pf0sf1"));
}

/// D11: a chain's name goes into a label, which holds 63 characters of its 253; without it there are no flows.
#[test]
fn d11_names_may_be_as_long_as_names_may_be() {
    let lab = Lab::start(&["br-sfc"]);
    let long = |end: &str| format!("{}{end}", "n".repeat(253 - end.len()));
    let (one, other) = (long("1"), long("2"));
    let mut port = vf(1);
    port["metadata"]["name"] = json!(long("p"));
    lab.put(
        "all",
        &[physical("p0"), port, vf(2), vf(3), chain(&one, &[&["p0", "vf1"]]), chain(&other, &[&["vf2", "vf3"]])],
    );
    let _agent = lab.agent();
    lab.until_condition("Ready", "True/Success");
    assert!(lab.are_connected("p0", "pf0vf1") && lab.are_connected("pf0vf2", "pf0vf3"));
    assert_eq!(lab.get("interface", "pf0vf1", "external_ids:dpf-id"), format!("\"ns/{}\"", long("p")));
    // Each says so itself.
    let mut said = Vec::new();
    for entry in fs::read_dir(lab.status.path()).unwrap() {
        let object: serde_json::Value = serde_json::from_slice(&fs::read(entry.unwrap().path()).unwrap()).unwrap();
        if object["kind"] == "ServiceChain" {
            said.push((object["metadata"]["name"].clone(), condition(&object["status"]["conditions"], "Ready")));
        }
    }
    said.sort_by_key(|(name, _)| name.to_string());
    assert_eq!(said, [one, other].map(|name| (json!(name), "True/Success".to_owned())));
    assert_eq!(lab.node()["status"]["problems"], json!(null));
}

/// D13: two chains with a port in common write the same flow, by turns.
#[test]
fn d13_a_port_is_in_one_switch_and_the_older_chain_has_it() {
    let lab = Lab::start(&["br-sfc"]);
    let old = created(chain("z", &[&["p0", "vf1"], &["p0", "vf3"]]), "2026-01-01T00:00:00Z");
    let young = created(chain("a", &[&["p0", "vf2"]]), "2026-01-02T00:00:00Z");
    lab.put("ports", &[physical("p0"), vf(1), vf(2), vf(3)]);
    lab.put("young", std::slice::from_ref(&young));
    let agent = lab.agent();
    lab.until_condition_of("chains", "a", "Ready", "True/Success");
    // It was there first, by a little; what counts is who is older.
    lab.put("old", &[old]);
    lab.until_condition_of("chains", "a", "PortsResolved", "False/PortInTwoSwitches");
    lab.until_condition_of("chains", "z", "PortsResolved", "False/PortInTwoSwitches");
    lab.until_flows_are_of(&["p0", "pf0vf1"]);
    lab.until_message_of("chains", "a", "PortsResolved", &["ns/z"]);
    // Nobody takes turns: an agent that starts again, and one that looks again, find it as it is.
    drop(agent);
    let flows = lab.flows();
    let _agent = lab.agent_with(&["--audit", "1"]);
    let mut again = young;
    again["metadata"]["generation"] = json!(2);
    lab.put("young", &[again]);
    lab.until("the generation is seen", || lab.node()["status"]["chains"][0]["observedGeneration"] == 2);
    assert_eq!(lab.flows(), flows);
    lab.remove("old");
    lab.until_condition_of("chains", "a", "Ready", "True/Success");
    assert!(lab.are_connected("p0", "pf0vf2"));
}

/// D16: the CNI takes away the ports of another pod whose interface has the same name, and may leave two with one identifier.
#[test]
fn d16_ports_that_are_gone_or_there_twice_are_named() {
    let lab = Lab::start(&["br-sfc"]);
    let id = "external_ids:dpf-id=ns/app-1/app_sf";
    lab.add_port_of_cni("br-sfc", "en3f0pf0sf1", &[id]);
    lab.put(
        "all",
        &[physical("p0"), service("app"), pod("app-1", "app", "Running", true), chain("c", &[&["p0", "app"]])],
    );
    let _agent = lab.agent();
    lab.until_condition("Ready", "True/Success");
    lab.add_port_of_cni("br-sfc", "en3f0pf0sf2", &[id]);
    lab.until_condition_of("chains", "c", "PortsResolved", "False/InterfaceAmbiguous");
    lab.until_condition_of("interfaces", "app", "Ready", "False/InterfaceAmbiguous");
    lab.until_message_of("interfaces", "app", "Ready", &["en3f0pf0sf1", "en3f0pf0sf2"]);
    // Nothing goes to either.
    lab.until_flows(0);
    lab.switch.vsctl(&["del-port", "en3f0pf0sf1"]);
    lab.until("the one is wired", || lab.are_connected("p0", "en3f0pf0sf2"));
    // The other pod's clean-up.
    lab.switch.vsctl(&["del-port", "en3f0pf0sf2"]);
    lab.until_condition_of("chains", "c", "PortsResolved", "False/PortNotReady");
    lab.until_message_of("chains", "c", "PortsResolved", &["ns/app-1/app_sf"]);
    lab.until_flows(0);
}

/// D16, of pods whose port is on the bridge of HBN: a pair of patches leads from there.
#[test]
fn d16_pods_on_the_bridge_of_hbn_are_told_apart() {
    let lab = Lab::start(&["br-sfc", "br-hbn"]);
    let make = |port: &str, pod: &str| {
        let (far, near) = (format!("p{port}brhbn"), format!("p{port}brsfc"));
        lab.add_port_of_cni("br-hbn", port, &[&format!("external_ids:dpf-id=ns/{pod}/app_sf")]);
        let ids = ["external_ids:hbn_netdev=app_sf", &format!("external_ids:hbn_rep_ofport={port}")];
        for (bridge, here, there, ids) in
            [("br-hbn", &far, &near, &ids[..]), ("br-sfc", &near, &far, &["external_ids:dpf-id=app_sf"])]
        {
            let peer = format!("options:peer={there}");
            let mut arguments = vec!["add-port", bridge, here, "--", "set", "interface", here, "type=patch", &peer];
            arguments.extend(ids);
            lab.switch.vsctl(&arguments);
        }
    };
    make("sf1", "app-1");
    let chains = [chain("c", &[&["p0", "app"]]), chain("d", &[&["p1", "web"]])];
    let pods = [pod("app-1", "app", "Running", true), pod("web-1", "web", "Running", true)];
    let ports = [physical("p0"), physical("p1"), service("app"), service("web")];
    lab.put("all", &[&ports[..], &chains, &pods].concat());
    let _agent = lab.agent();
    lab.until_condition_of("chains", "c", "Ready", "True/Success");
    assert!(lab.are_connected("p0", "psf1brsfc"));
    lab.until_condition_of("chains", "d", "PortsResolved", "False/PortNotReady");
    // A pod of another service comes, whose interface has the same name.
    make("sf2", "web-1");
    lab.until("both are wired", || lab.are_connected("p0", "psf1brsfc") && lab.are_connected("p1", "psf2brsfc"));
    let conflicts = || lab.node()["status"]["conflicts"].to_string();
    lab.until("that is told", || conflicts().contains("psf1brhbn, psf2brhbn"));
    // The clean-up.
    for port in ["sf1", "psf1brhbn", "psf1brsfc"] {
        lab.switch.vsctl(&["del-port", port]);
    }
    lab.until_condition_of("chains", "c", "PortsResolved", "False/PortNotReady");
    lab.until("nothing is told of them any more", || conflicts() == "null");
    lab.until_flows_are_of(&["p1", "psf2brsfc"]);
}

/// D18: what objects of other nodes ask for is wanted here too, so that nothing goes when an object moves.
#[test]
fn d18_objects_of_other_nodes_ask_for_nothing_here() {
    let lab = Lab::start(&["br-sfc"]);
    let on = |node: &str| {
        let mut objects = [vf(1), vf(2), chain("c", &[&["vf1", "vf2"]])];
        for one in &mut objects {
            one["spec"]["node"] = json!(node);
        }
        objects
    };
    let mut nowhere = vf(3);
    nowhere["spec"].as_object_mut().unwrap().remove("node");
    lab.put("here", &[vf(7), vf(8), chain("d", &[&["vf7", "vf8"]]), nowhere]);
    lab.put("moves", &on("x"));
    let _agent = lab.agent();
    lab.until_condition("Ready", "True/Success");
    assert_eq!(lab.ports("br-sfc"), ["pf0vf7", "pf0vf8"]);
    assert_eq!(lab.node()["status"]["summary"], json!({"interfaces": "2/2", "chains": "1/1"}));
    lab.put("moves", &on("w"));
    lab.until_flows_are_of(&["pf0vf1", "pf0vf2", "pf0vf7", "pf0vf8"]);
    lab.put("moves", &on("x"));
    lab.until_flows_are_of(&["pf0vf7", "pf0vf8"]);
    lab.until("its ports are gone", || lab.ports("br-sfc") == ["pf0vf7", "pf0vf8"]);
}

/// D20: two pods of a service, as during a rolling update, are an error.
#[test]
fn d20_a_pod_may_be_replaced_by_another() {
    let lab = Lab::start(&["br-sfc"]);
    lab.put("objects", &[physical("p0"), service("app"), chain("c", &[&["p0", "app"]])]);
    lab.add_port_of_cni("br-sfc", "sf1", &["external_ids:dpf-id=ns/app-1/app_sf"]);
    lab.put("pods", &[pod("app-0", "app", "Failed", false), pod("app-1", "app", "Running", true)]);
    let _agent = lab.agent();
    lab.until_condition("Ready", "True/Success");
    assert!(lab.are_connected("p0", "sf1"));
    let flows = lab.flows();
    // The next one starts, and gets its port: the one that serves counts.
    lab.add_port_of_cni("br-sfc", "sf2", &["external_ids:dpf-id=ns/app-2/app_sf"]);
    lab.put("pods", &[pod("app-1", "app", "Running", true), pod("app-2", "app", "Running", false)]);
    let shown = || lab.node()["status"]["chains"][0]["switches"][0]["ports"][1]["pod"].clone();
    let mut seen = chain("c", &[&["p0", "app"]]);
    seen["metadata"]["generation"] = json!(2);
    lab.put("objects", &[physical("p0"), service("app"), seen]);
    lab.until("the pods are seen", || lab.node()["status"]["chains"][0]["observedGeneration"] == 2);
    assert_eq!((lab.flows(), shown()), (flows, json!("ns/app-1")));
    // It serves; the old one ends.
    let mut ending = pod("app-1", "app", "Running", true);
    ending["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    lab.put("pods", &[ending, pod("app-2", "app", "Running", true)]);
    lab.until("the new one is wired", || lab.are_connected("p0", "sf2"));
    lab.until("the status names it", || shown() == "ns/app-2");
    lab.until_condition("Ready", "True/Success");
    // Two that both serve are not for the agent to choose from.
    lab.put("pods", &[pod("app-2", "app", "Running", true), pod("app-3", "app", "Running", true)]);
    lab.until_condition_of("chains", "c", "PortsResolved", "False/PodAmbiguous");
    lab.until_message_of("chains", "c", "PortsResolved", &["app-2, app-3"]);
}
