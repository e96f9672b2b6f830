//! Ports, and the bridges they are on.

use std::process::Command;

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::super::ownership::rows;
use super::{Lab, chain, object, physical, vf};

/// D8: a port of that name on another bridge is taken for the port that is asked for.
#[test]
fn d08_a_port_on_another_bridge_stays_there_and_is_a_conflict() {
    let lab = Lab::start(&["br-sfc", "br-ovn"]);
    lab.switch.add_ports("br-ovn", &["pf0hpf"]);
    let before = rows(&lab.switch, &["pf0hpf"]);
    let pf = object("ServiceInterface", "pf0", json!({"interfaceType": "pf", "pf": {"pfID": 0}}));
    lab.put("all", &[pf, vf(1), vf(2), chain("c", &[&["pf0", "vf1"], &["vf1", "vf2"]])]);
    let _agent = lab.agent();
    lab.until_condition_of("interfaces", "pf0", "ServiceInterfaceReconciled", "False/PortOnOtherBridge");
    lab.until_condition_of("chains", "c", "PortsResolved", "False/PortOnOtherBridge");
    let conflicts = lab.node()["status"]["conflicts"].to_string();
    assert!(conflicts.contains("br-ovn") && conflicts.contains("br-sfc"), "{conflicts}");
    assert_eq!(rows(&lab.switch, &["pf0hpf"]), before);
    lab.switch.vsctl(&["del-port", "br-ovn", "pf0hpf"]);
    lab.until_condition_of("interfaces", "pf0", "Ready", "True/Success");
}

/// D9: without the bridge a port is made that nothing refers to, is gone at once, and counts as done.
#[test]
fn d09_without_the_bridge_nothing_is_made_and_nothing_is_done() {
    let lab = Lab::start(&[]);
    lab.put("all", &[physical("p0"), vf(1), chain("c", &[&["p0", "vf1"]])]);
    let _agent = lab.agent();
    lab.until_condition("SwitchConnected", "False/BridgeMissing");
    lab.until_condition_of("interfaces", "p0", "ServiceInterfaceReconciled", "False/BridgeMissing");
    lab.until_condition_of("chains", "c", "ServiceChainReconciled", "False/BridgeMissing");
    assert_eq!(lab.node()["status"]["summary"], json!({"interfaces": "0/2", "chains": "0/1"}));
    assert_eq!(lab.get("open_vswitch", ".", "next_cfg"), "0", "nothing was asked for");
    // A bridge that goes while its ports are being made.
    for _ in 0..5 {
        lab.switch.add_bridge("br-sfc");
        lab.switch.vsctl(&["--no-wait", "del-br", "br-sfc"]);
    }
    lab.until_condition("SwitchConnected", "False/BridgeMissing");
    lab.until_condition_of("interfaces", "p0", "Ready", "False/BridgeMissing");
    lab.switch.add_bridge("br-sfc");
    lab.until_condition("Ready", "True/Success");
    assert!(lab.are_connected("p0", "pf0vf1"));
}

/// D10: the identifier of a port is never written again, so that the object that comes after has no port.
#[test]
fn d10_a_port_that_outlives_its_object_is_that_of_the_next() {
    let lab = Lab::start(&["br-sfc"]);
    let named = |name: &str| {
        object("ServiceInterface", name, json!({"interfaceType": "physical", "physical": {"interfaceName": "p0"}}))
    };
    lab.put("ports", &[named("old"), vf(1)]);
    lab.put("chain", &[chain("c", &[&["old", "vf1"]])]);
    let _agent = lab.agent();
    lab.until_condition("Ready", "True/Success");
    lab.remove("ports");
    lab.until_flows(0);
    lab.until("the uplink alone is left", || lab.ports("br-sfc") == ["p0"]);
    lab.put("ports", &[named("new"), vf(1)]);
    lab.put("chain", &[chain("c", &[&["new", "vf1"]])]);
    lab.until_condition_of("chains", "c", "Ready", "True/Success");
    assert!(lab.are_connected("p0", "pf0vf1"));
    assert_eq!(lab.get("interface", "p0", "external_ids:dpf-id"), "\"ns/new\"");
    assert_eq!(lab.get("port", "p0", "external_ids:dpu-agent"), "\"ns/new\"");
}

/// D23: no MTU is asked for, and one that a device refuses is never heard of.
#[test]
fn d23_the_mtu_is_asked_for_and_a_refusal_is_told() {
    let lab = Lab::start(&["br-sfc"]);
    // The script of the card made it, with an MTU that this device does not take.
    lab.switch.add_ports("br-sfc", &["p0"]);
    lab.switch.vsctl(&["set", "interface", "p0", "mtu_request=70000"]);
    lab.put("all", &[physical("p0"), vf(1), chain("c", &[&["p0", "vf1"]])]);
    let _agent = lab.agent_with(&["--mtu", "9000"]);
    lab.until_condition_of("interfaces", "vf1", "MTUApplied", "True/Success");
    assert_eq!(
        (lab.get("interface", "pf0vf1", "mtu"), lab.get("interface", "pf0vf1", "mtu_request")),
        ("9000".into(), "9000".into())
    );
    lab.until_condition_of("interfaces", "p0", "MTUApplied", "False/MTURefused");
    lab.until_condition_of("interfaces", "p0", "Ready", "False/MTURefused");
    lab.until_message_of("interfaces", "p0", "MTUApplied", &["1500", "70000"]);
    assert_eq!(lab.get("interface", "p0", "error"), "[]", "the switch says nothing of it");
    lab.until_condition_of("chains", "c", "ServiceChainReconciled", "True/Success");
    lab.switch.vsctl(&["set", "interface", "p0", "mtu_request=9000"]);
    lab.until_condition("Ready", "True/Success");
}

/// D24: a missing bridge is made on some systems and is not spoken of on others.
#[test]
fn d24_a_missing_bridge_is_told_on_every_system() {
    let lab = Lab::start(&[]);
    lab.put("all", &[physical("p0")]);
    for system in ["", "ubuntu", "debian"] {
        match system {
            "" => drop(lab.switch.vsctl(&["clear", "open_vswitch", ".", "system_type"])),
            name => drop(lab.switch.vsctl(&["set", "open_vswitch", ".", &format!("system_type={name}")])),
        }
        let agent = lab.agent();
        lab.until_condition("SwitchConnected", "False/BridgeMissing");
        lab.until_condition_of("interfaces", "p0", "Ready", "False/BridgeMissing");
        lab.until_message_of("interfaces", "p0", "Ready", &["br-sfc"]);
        assert_eq!(lab.switch.vsctl(&["list-br"]), "", "it is not the agent's to make");
        drop(agent);
        std::fs::remove_file(lab.status.path().join("node-w.json")).unwrap();
    }
}

/// Transactions of the database so far, oldest first, with everything they changed.
fn transactions(lab: &Lab) -> Vec<String> {
    let output = Command::new("ovsdb-tool").args(["-mm", "show-log"]).arg(lab.switch.path("conf.db")).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.split("\nrecord ").map(str::to_owned).collect()
}

/// D25: taking away a device holds the switch up for some 17 ms, and hundreds at once for seconds, during which nothing else is done.
#[test]
fn d25_many_ports_go_a_few_at_a_time_and_flows_do_not_wait() {
    let lab = Lab::start(&["br-sfc"]);
    let ports: Vec<_> = (0..303).map(vf).collect();
    lab.put("all", &[&ports[..], &[chain("c", &[&["vf0", "vf1"]])]].concat());
    let _agent = lab.agent();
    lab.until_condition("Ready", "True/Success");
    let before = transactions(&lab).len();
    // In one step: the ports go, and the chain becomes another.
    lab.put("all", &[&ports[..3], &[chain("c", &[&["vf1", "vf2"]])]].concat());
    lab.until("the ports are gone", || lab.ports("br-sfc").len() == 3);
    lab.until_condition("Ready", "True/Success");
    assert!(lab.are_connected("pf0vf1", "pf0vf2"));
    let number = |text: &str, column: &str| -> Option<u32> {
        text.lines().find_map(|line| line.trim().strip_prefix(column)?.strip_prefix('=')?.parse().ok())
    };
    let (mut asked, mut acted, mut removals) = (0, 0, Vec::new());
    for text in &transactions(&lab)[before..] {
        let gone = text.matches("table Port ").count();
        if gone > 0 {
            assert!(gone <= 20, "{gone} at once");
            assert!(acted >= asked, "the next are taken away while the switch is busy with those before");
            removals.push(gone);
        }
        asked = number(text, "next_cfg").unwrap_or(asked);
        acted = number(text, "cur_cfg").unwrap_or(acted);
    }
    assert_eq!(removals.iter().sum::<usize>(), 300, "{removals:?}");
    let first = transactions(&lab)[before..].iter().find(|text| text.contains("table Port ")).map(|text| made_at(text));
    let (flow, first) = (flow_made_at(&lab, "pf0vf1"), first.unwrap());
    assert!(flow < first, "the flows of {flow} waited for the ports, the first of which went at {first}");
}

/// When a transaction was made.
fn made_at(transaction: &str) -> Timestamp {
    let words: Vec<&str> = transaction.split_whitespace().take(3).collect();
    format!("{}T{}Z", words[1], words[2]).parse().unwrap()
}

/// When the flow of what comes in by a port was made, or a little before.
fn flow_made_at(lab: &Lab, port: &str) -> Timestamp {
    let number = lab.ofport(port);
    let now = Timestamp::now();
    let flows = lab.switch.ofctl("dump-flows", "br-sfc", &[&format!("in_port={number}")]);
    let age = flows.split("duration=").nth(1).unwrap().split("s,").next().unwrap();
    now - SignedDuration::from_secs_f64(age.parse().unwrap())
}

/// A port is made anew by DPF's ovs-helper: type, number and identifiers of the interface are as before, and nothing else.
fn make_anew(lab: &Lab, port: &str) {
    let row = lab.switch.vsctl(&["--format=json", "--columns=type,external_ids", "list", "interface", port]);
    let row: Value = serde_json::from_str(&row).unwrap();
    let mut columns = vec![format!("type={}", row["data"][0][0].as_str().unwrap())];
    for pair in row["data"][0][1][1].as_array().unwrap() {
        columns.push(format!("external_ids:{}=\"{}\"", pair[0].as_str().unwrap(), pair[1].as_str().unwrap()));
    }
    columns.push(format!("ofport_request={}", lab.ofport(port)));
    // In one step, so that nobody sees it gone.
    let mut arguments = vec!["del-port", port, "--", "add-port", "br-sfc", port, "--", "set", "interface", port];
    arguments.extend(columns.iter().map(String::as_str));
    lab.switch.vsctl(&arguments);
}

/// D29: ovs-helper makes ports anew without their MTU, their options, their VLAN and what marks the port.
#[test]
fn d29_a_port_that_was_made_anew_is_as_it_must_be_again() {
    let lab = Lab::start(&["br-sfc"]);
    lab.put("ports", &[physical("p0"), vf(1)]);
    lab.put("chain", &[chain("c", &[&["p0", "vf1"]])]);
    let agent = lab.agent_with(&["--mtu", "9000"]);
    lab.until_condition("Ready", "True/Success");
    let before = rows(&lab.switch, &["p0", "pf0vf1"]);
    for port in ["p0", "pf0vf1"] {
        make_anew(&lab, port);
    }
    let log = || std::fs::read_to_string(lab.switch.path("agent.log")).unwrap();
    lab.until("they are as before", || rows(&lab.switch, &["p0", "pf0vf1"]) == before);
    lab.until("it is told", || log().contains("DriftRepaired") && log().contains("pf0vf1"));
    lab.until_condition("Ready", "True/Success");
    assert!(lab.are_connected("p0", "pf0vf1"));
    assert_eq!(
        (lab.get("interface", "p0", "mtu"), lab.get("interface", "pf0vf1", "mtu")),
        ("9000".into(), "9000".into())
    );
    // It happens while nobody looks, and nothing asks for the ports any more: they are still known for what they are.
    drop(agent);
    for port in ["p0", "pf0vf1"] {
        make_anew(&lab, port);
    }
    lab.remove("ports");
    let _agent = lab.agent_with(&["--mtu", "9000"]);
    lab.until("the uplink alone is left", || lab.ports("br-sfc") == ["p0"]);
    lab.until_condition("InterfacesReady", "True/Success");
    assert_eq!(lab.ports("br-sfc"), ["p0"]);
}
