//! What breaks, and heals.

use std::time::Duration;

use super::{Lab, chain, physical, vf};

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

#[test]
fn killed_at_any_point_it_ends_in_the_same_switch() {
    let lab = Lab::start(&["br-sfc"]);
    let ports: Vec<_> = (0..12).map(vf).collect();
    let long: Vec<String> = (0..12).map(|number| format!("vf{number}")).collect();
    let long: Vec<&str> = long.iter().map(String::as_str).collect();
    let few = || {
        lab.put("ports", &ports[..4]);
        lab.put("chain", &[chain("c", &[&["vf0", "vf1", "vf2"]])]);
    };
    let many = || {
        lab.put("ports", &ports);
        lab.put("chain", &[chain("c", &[&long[..6], &long[6..8]]), chain("d", &[&long[8..10]])]);
    };
    many();
    let agent = lab.agent();
    lab.until_condition("Ready", "True/Success");
    drop(agent);
    let (flows, in_the_end) = (lab.flows(), lab.ports("br-sfc"));
    for round in 0..24_u64 {
        if round % 2 == 0 {
            few()
        } else {
            many()
        }
        let agent = lab.agent();
        // From before it is connected to after it is done.
        std::thread::sleep(Duration::from_millis(round * 2));
        drop(agent);
    }
    many();
    let _agent = lab.agent();
    lab.until("the same ports", || lab.ports("br-sfc") == in_the_end);
    lab.until("the same flows", || lab.flows() == flows);
}
