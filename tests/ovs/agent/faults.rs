//! What breaks, and heals.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use super::{Agent, Lab, chain, physical, vf};

fn one_chain(bridges: &[&str]) -> Lab {
    let lab = Lab::start(bridges);
    lab.put("all", &[physical("p0"), vf(1), chain("c", &[&["p0", "vf1"]])]);
    lab
}

#[test]
fn the_database_may_restart_while_objects_change() {
    let mut lab = one_chain(&["br-sfc"]);
    let _agent = lab.agent();
    lab.until_condition("Ready", "True/Success");
    // Without its database ovs-vswitchd goes on forwarding, and answers nobody.
    lab.switch.kill_database();
    lab.put("all", &[physical("p0"), vf(1), vf(2), chain("c", &[&["p0", "vf2"]])]);
    lab.until_condition("SwitchConnected", "False/SwitchAway");
    lab.switch.start_database();
    lab.until_condition("Ready", "True/Success");
    let vf2 = lab.ofport("pf0vf2");
    lab.until("the flows lead to the other port", || {
        lab.flows().iter().any(|flow| flow.ends_with(&format!("output:{vf2}")))
    });
    assert_eq!(lab.flows().len(), 2);
}

#[test]
fn a_bridge_may_come_later_and_come_again() {
    let lab = one_chain(&[]);
    let _agent = lab.agent();
    lab.until_condition("SwitchConnected", "False/BridgeMissing");
    lab.until_condition_of("interfaces", "p0", "ServiceInterfaceReconciled", "False/BridgeMissing");
    for _ in 0..2 {
        lab.switch.add_bridge("br-sfc");
        lab.until_condition("Ready", "True/Success");
        assert_eq!(lab.flows().len(), 2);
        lab.switch.vsctl(&["del-br", "br-sfc"]);
        lab.until_condition("SwitchConnected", "False/BridgeMissing");
    }
}

#[test]
fn drift_is_repaired_and_told() {
    let lab = one_chain(&["br-sfc"]);
    let _agent = lab.agent_with(&["--audit", "1"]);
    lab.until_condition("Ready", "True/Success");
    let flows = lab.flows();
    let log = || std::fs::read_to_string(lab.switch.path("agent.log")).unwrap();
    assert!(!log().contains("DriftRepaired"), "{}", log());
    lab.switch.vsctl(&["del-port", "br-sfc", "pf0vf1"]);
    lab.until("the port is back", || lab.ports("br-sfc").len() == 2);
    lab.until("and told", || {
        log().contains("DriftRepaired: ports that somebody else had changed are as they must be again: pf0vf1")
    });
    lab.until("the flows are right", || lab.flows() == flows);
    lab.until_condition("Ready", "True/Success");
    lab.switch.ofctl("del-flows", "br-sfc", &[]);
    lab.until("the flows are back", || lab.flows() == flows);
    lab.until("and told", || log().contains("DriftRepaired: 2 flows"));
}

/// Long before the flows are read without a reason.
#[test]
fn flows_that_others_change_are_put_right_at_once() {
    let lab = one_chain(&["br-sfc"]);
    let _agent = lab.agent();
    lab.until_condition("Ready", "True/Success");
    let flows = lab.flows();
    let number = lab.ofport("pf0vf1");
    for (verb, what) in [
        ("del-flows", String::new()),
        ("mod-flows", format!("in_port={number},actions=drop")),
        ("add-flow", format!("cookie=0xd9a6000000000007,in_port={number},priority=9,actions=drop")),
        ("add-flow", format!("cookie={},in_port={number},priority=40,actions=drop", cookie_of(&flows[0]))),
    ] {
        let arguments: Vec<&str> = [what.as_str()].into_iter().filter(|what| !what.is_empty()).collect();
        lab.switch.ofctl(verb, "br-sfc", &arguments);
        lab.until(&format!("{verb} {what} is undone"), || lab.flows() == flows);
    }
    lab.until_condition("Ready", "True/Success");
    let log = std::fs::read_to_string(lab.switch.path("agent.log")).unwrap();
    assert!(log.contains("DriftRepaired: 2 flows"), "{log}");
}

fn cookie_of(flow: &str) -> &str {
    flow.strip_prefix("cookie=").and_then(|flow| flow.split(',').next()).unwrap()
}

#[test]
fn told_to_end_it_ends_and_leaves_the_flows() {
    let lab = one_chain(&["br-sfc"]);
    let mut agent = lab.agent();
    lab.until_condition("Ready", "True/Success");
    agent.signal("TERM");
    assert_eq!(agent.0.wait().unwrap().code(), Some(0));
    assert_eq!((lab.flows().len(), lab.ports("br-sfc").len()), (2, 2));
}

#[test]
fn a_number_that_the_switch_does_not_have_for_the_port_gets_no_flows() {
    let lab = Lab::start(&["br-sfc"]);
    lab.put("all", &[physical("p0"), vf(1), vf(2), chain("c", &[&["p0", "vf1"]])]);
    let _agent = lab.agent();
    lab.until_condition("Ready", "True/Success");
    let (right, others) = (lab.ofport("pf0vf1"), lab.ofport("pf0vf2"));
    // As a database says that is behind the switch.
    for wrong in [&*others, "4711"] {
        lab.switch.vsctl(&["--no-wait", "set", "interface", "pf0vf1", &format!("ofport={wrong}")]);
        lab.until_condition_of("chains", "c", "PortsResolved", "False/PortNotReady");
        lab.until_flows(0);
    }
    lab.switch.vsctl(&["--no-wait", "set", "interface", "pf0vf1", &format!("ofport={right}")]);
    lab.until_condition("Ready", "True/Success");
    lab.until_flows(2);
}

/// The library that lies about the time of day.
fn other_time() -> PathBuf {
    let folders = std::fs::read_dir("/usr/lib").unwrap().flatten();
    let mut found = folders.map(|folder| folder.path().join("faketime/libfaketime.so.1")).filter(|path| path.exists());
    found.next().unwrap_or_else(|| panic!("libfaketime is missing; run: apt-get install faketime"))
}

#[test]
fn the_time_of_day_may_jump() {
    let lab = one_chain(&["br-sfc"]);
    let clock = lab.switch.path("clock");
    let jump = |to: &str| {
        std::fs::write(lab.switch.path(".clock"), to).unwrap();
        std::fs::rename(lab.switch.path(".clock"), &clock).unwrap();
    };
    jump("+0\n");
    let mut command = lab.command("run", Some(lab.status.path()));
    command.env("LD_PRELOAD", other_time()).env("FAKETIME_TIMESTAMP_FILE", &clock);
    // Durations are of another clock, which does not jump.
    command.env("FAKETIME_NO_CACHE", "1").env("DONT_FAKE_MONOTONIC", "1");
    let log = std::fs::File::create(lab.switch.path("agent.log")).unwrap();
    let agent = Agent(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap());
    lab.until_condition("Ready", "True/Success");
    let changed = || {
        let node = lab.node();
        let ready = node["status"]["conditions"].as_array().unwrap().iter().find(|one| one["type"] == "Ready").cloned();
        ready.unwrap()["lastTransitionTime"].as_str().unwrap().to_owned()
    };
    let today = changed();
    for to in ["-20y\n", "+30y\n"] {
        jump(to);
        lab.switch.appctl(&["netdev-dummy/set-admin-state", "p0", "down"]);
        lab.until_condition("Ready", "False/InterfaceNotReady");
        let then = changed();
        assert_ne!(then[..4], today[..4], "{to}");
        lab.put("all", &[physical("p0"), vf(1), vf(2), chain("c", &[&["p0", "vf1", "vf2"]])]);
        lab.until_flows(9);
        lab.put("all", &[physical("p0"), vf(1), chain("c", &[&["p0", "vf1"]])]);
        lab.until_flows(2);
        lab.switch.appctl(&["netdev-dummy/set-admin-state", "p0", "up"]);
        lab.until_condition("Ready", "True/Success");
    }
    let ticks = agent.ticks();
    std::thread::sleep(Duration::from_millis(500));
    assert!(agent.ticks() <= ticks + 2, "it goes round and round");
}
