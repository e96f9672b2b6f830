//! Numbers of ports.

use super::{Lab, chain, physical, vf};

/// D2: a new port that asks for a number takes it from a port that was given it unasked, as the CNI's ports do.
#[test]
fn d02_numbers_of_our_ports_are_not_taken() {
    let lab = Lab::start(&["br-sfc"]);
    lab.put("all", &[physical("p0"), vf(1), chain("c", &[&["p0", "vf1"]])]);
    let _agent = lab.agent();
    lab.until_condition("Ready", "True/Success");
    let (p0, vf1) = (lab.ofport("p0"), lab.ofport("pf0vf1"));
    for number in [&p0, &vf1] {
        assert!(number.parse::<u16>().unwrap() > 255, "{number} is one that the CNI may hash to");
    }
    // As a port of an earlier time is: its number was given to it.
    lab.switch.vsctl(&["clear", "interface", "p0", "ofport_request"]);
    lab.until("it asks for the number that it has", || lab.get("interface", "p0", "ofport_request") == p0);
    for (thief, number) in [("thief0", &p0), ("thief1", &vf1)] {
        lab.add_port_of_cni("br-sfc", thief, &[&format!("ofport_request={number}")]);
    }
    // A number changes hands when the switch looks at its ports the next time.
    lab.switch.add_ports("br-sfc", &["other0"]);
    assert_eq!((lab.ofport("p0"), lab.ofport("pf0vf1")), (p0, vf1));
    assert!(lab.are_connected("p0", "pf0vf1"));
}

/// D2, of a port that is not ours to write to: its number can be taken.
#[test]
fn d02_a_number_that_was_taken_is_in_no_flow() {
    let lab = Lab::start(&["br-sfc"]);
    lab.switch.add_ports("br-sfc", &["p0"]);
    lab.put("all", &[physical("p0"), vf(1), chain("c", &[&["p0", "vf1"]])]);
    let _agent = lab.agent();
    lab.until_condition("Ready", "True/Success");
    let number = lab.ofport("p0");
    lab.add_port_of_cni("br-sfc", "pen3f0pf0sf12brsfc", &[&format!("ofport_request={number}")]);
    lab.switch.add_ports("br-sfc", &["other0"]);
    assert_eq!(lab.ofport("pen3f0pf0sf12brsfc"), number);
    lab.until_flows_are_of(&["p0", "pf0vf1"]);
    assert!(lab.are_connected("p0", "pf0vf1"));
    lab.until_condition("Ready", "True/Success");
}

/// D3: flows of ports that left a chain, or have another number, stay.
#[test]
fn d03_flows_are_of_the_ports_of_now_alone() {
    let lab = Lab::start(&["br-sfc"]);
    let ports: Vec<_> = (0..5).map(vf).collect();
    let with = |switches: &[&[&str]]| lab.put("chain", &[chain("c", switches)]);
    lab.put("ports", &ports);
    with(&[&["vf0", "vf1", "vf2"], &["vf3", "vf4"]]);
    let agent = lab.agent();
    lab.until_flows_are_of(&["pf0vf0", "pf0vf1", "pf0vf2", "pf0vf3", "pf0vf4"]);
    // A port leaves its switch, ports change places, a switch goes.
    with(&[&["vf0", "vf1"], &["vf3", "vf4"]]);
    lab.until_flows_are_of(&["pf0vf0", "pf0vf1", "pf0vf3", "pf0vf4"]);
    with(&[&["vf0", "vf3"], &["vf1", "vf4"]]);
    lab.until("they are crossed", || lab.are_connected("pf0vf0", "pf0vf3") && lab.are_connected("pf0vf1", "pf0vf4"));
    with(&[&["vf1", "vf4"]]);
    lab.until_flows_are_of(&["pf0vf1", "pf0vf4"]);
    // A number changes.
    let before = lab.ofport("pf0vf1");
    lab.switch.vsctl(&["set", "interface", "pf0vf1", "ofport_request=77"]);
    lab.until("the number is another", || lab.ofport("pf0vf1") == "77");
    lab.until_flows_are_of(&["pf0vf1", "pf0vf4"]);
    assert!(!lab.numbers_in_flows().contains(&before));
    // What changed while nobody looked.
    drop(agent);
    with(&[&["vf2", "vf0"]]);
    lab.switch.vsctl(&["set", "interface", "pf0vf2", "ofport_request=78"]);
    let _agent = lab.agent();
    lab.until_flows_are_of(&["pf0vf2", "pf0vf0"]);
    // An interface goes that the chain still names.
    lab.put("ports", &ports[..2]);
    lab.until_flows(0);
}

/// D7: a port that the switch cannot open has the number -1, which is no number.
#[test]
fn d07_a_port_that_cannot_be_opened_is_named_and_in_no_flow() {
    let lab = Lab::start(&["br-sfc"]);
    lab.put("all", &[physical("p0"), vf(1), chain("c", &[&["p0", "vf1"]])]);
    // The made-up devices of this switch cannot be missing; one of an unknown type can.
    let agent = lab.agent_with(&["--port-type", "dpdk"]);
    lab.until_condition_of("interfaces", "p0", "PortUp", "False/DeviceError");
    lab.until_condition_of("chains", "c", "PortsResolved", "False/DeviceError");
    assert_eq!(lab.ofport("p0"), "-1");
    lab.until_message_of("interfaces", "p0", "PortUp", &["p0"]);
    lab.until_flows(0);
    drop(agent);
    let _agent = lab.agent();
    lab.until_condition("Ready", "True/Success");
    assert!(lab.are_connected("p0", "pf0vf1"));
}

/// D7: a link that is down carries nothing, and nobody says so.
#[test]
fn d07_a_link_that_is_down_is_named() {
    let lab = Lab::start(&["br-sfc"]);
    lab.put("all", &[physical("p0"), vf(1), chain("c", &[&["p0", "vf1"]])]);
    let _agent = lab.agent();
    lab.until_condition("Ready", "True/Success");
    let flows = lab.flows();
    lab.switch.appctl(&["netdev-dummy/set-admin-state", "p0", "down"]);
    lab.until_condition_of("interfaces", "p0", "PortUp", "False/LinkDown");
    lab.until_condition_of("chains", "c", "PortsUp", "False/LinkDown");
    lab.until_condition("Ready", "False/InterfaceNotReady");
    assert_eq!(lab.flows(), flows, "flows stay");
    lab.switch.appctl(&["netdev-dummy/set-admin-state", "p0", "up"]);
    lab.until_condition("Ready", "True/Success");
}

/// D7: a number that is in use is good, whoever uses it.
#[test]
fn d07_a_number_that_belongs_to_another_port_is_not_used() {
    let lab = Lab::start(&["br-sfc"]);
    let ports: Vec<_> = (0..4).map(vf).collect();
    lab.put("ports", &ports);
    lab.put("chains", &[chain("c", &[&["vf0", "vf1"]]), chain("d", &[&["vf2", "vf3"]])]);
    let _agent = lab.agent();
    lab.until_condition("Ready", "True/Success");
    // Two ports of two chains change their numbers.
    let (one, other) = (lab.ofport("pf0vf1"), lab.ofport("pf0vf2"));
    for (port, number) in [("pf0vf1", "90"), ("pf0vf2", &*one), ("pf0vf1", &*other)] {
        lab.switch.vsctl(&["set", "interface", port, &format!("ofport_request={number}")]);
        lab.until("the number is another", || lab.ofport(port) == number);
    }
    lab.until("each goes where it belongs", || {
        lab.are_connected("pf0vf0", "pf0vf1") && lab.are_connected("pf0vf2", "pf0vf3")
    });
    // A port that is gone leaves a number that anybody may get.
    lab.put("ports", &ports[..3]);
    lab.until_flows_are_of(&["pf0vf0", "pf0vf1"]);
    lab.until_condition_of("chains", "d", "PortsResolved", "False/InterfaceNotFound");
}
