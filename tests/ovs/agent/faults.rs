//! What breaks, and heals.

use std::time::Instant;

use super::{Lab, chain, physical, vf};

fn one_chain(bridges: &[&str]) -> Lab {
    let lab = Lab::start(bridges);
    lab.put("all", &[physical("p0"), vf(1), chain("c", &[&["p0", "vf1"]])]);
    lab
}

#[test]
fn flows_are_back_when_the_switch_is() {
    let mut lab = one_chain(&["br-sfc"]);
    let _agent = lab.agent();
    lab.until_condition("Ready", "True/Success");
    let flows = lab.flows();
    lab.switch.kill_vswitchd();
    lab.until_condition("SwitchConnected", "False/SwitchAway");
    lab.switch.start_vswitchd("br-sfc");
    let begin = Instant::now();
    lab.until("the flows are back", || lab.flows() == flows);
    println!("ovs-vswitchd is back: flows after {} ms", begin.elapsed().as_millis());
    lab.until_condition("Ready", "True/Success");
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
fn numbers_of_ports_may_change() {
    let lab = one_chain(&["br-sfc"]);
    let _agent = lab.agent();
    lab.until_condition("Ready", "True/Success");
    lab.switch.vsctl(&["set", "interface", "p0", "ofport_request=77"]);
    lab.until("the flows have the other number", || {
        let flows = lab.flows();
        flows.len() == 2 && flows.iter().any(|flow| flow.contains("in_port=77 "))
    });
    lab.until_condition("Ready", "True/Success");
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
fn a_device_may_come_later() {
    let lab = one_chain(&["br-sfc"]);
    // The made-up devices of this switch cannot be missing; one of an unknown type can.
    let agent = lab.agent_with(&["--port-type", "dpdk"]);
    lab.until_condition_of("interfaces", "p0", "PortUp", "False/DeviceError");
    lab.until_condition_of("chains", "c", "PortsResolved", "False/DeviceError");
    assert_eq!(lab.flows().len(), 0);
    drop(agent);
    let _agent = lab.agent();
    lab.until_condition("Ready", "True/Success");
    assert_eq!(lab.flows().len(), 2);
}

#[test]
fn links_go_down_and_up() {
    let lab = one_chain(&["br-sfc"]);
    let _agent = lab.agent();
    lab.until_condition("Ready", "True/Success");
    lab.switch.appctl(&["netdev-dummy/set-admin-state", "p0", "down"]);
    lab.until_condition_of("interfaces", "p0", "PortUp", "False/LinkDown");
    lab.until_condition("Ready", "False/InterfaceNotReady");
    assert_eq!(lab.flows().len(), 2, "flows stay");
    lab.switch.appctl(&["netdev-dummy/set-admin-state", "p0", "up"]);
    lab.until_condition("Ready", "True/Success");
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

#[test]
fn told_to_end_it_ends_and_leaves_the_flows() {
    let lab = one_chain(&["br-sfc"]);
    let mut agent = lab.agent();
    lab.until_condition("Ready", "True/Success");
    agent.signal("TERM");
    assert_eq!(agent.0.wait().unwrap().code(), Some(0));
    assert_eq!((lab.flows().len(), lab.ports("br-sfc").len()), (2, 2));
}
