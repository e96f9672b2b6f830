//! What is not ours.

use super::{Lab, chain, physical, vf};
use crate::switch::Switch;

pub(super) fn rows(switch: &Switch, ports: &[&str]) -> String {
    let interface = "name,type,external_ids,options,ofport,ofport_request,mtu_request";
    let row = |table: &str, columns: &str, name: &&str| {
        switch.vsctl(&[&format!("--columns={columns}"), "list", table, *name])
    };
    ports
        .iter()
        .map(|name| row("port", "name,tag,external_ids,vlan_mode", name) + &row("interface", interface, name))
        .collect()
}

#[test]
fn a_flow_of_another_in_the_place_of_ours_stays() {
    let lab = Lab::start(&["br-sfc"]);
    lab.put(
        "all",
        &[physical("p0"), vf(1), vf(2), vf(3), chain("c", &[&["p0", "vf1"]]), chain("d", &[&["vf2", "vf3"]])],
    );
    let agent = lab.agent();
    lab.until_condition("Ready", "True/Success");
    drop(agent);
    let port = lab.ofport("p0");
    lab.switch.ofctl("del-flows", "br-sfc", &[&format!("in_port={port}")]);
    let foreign = format!("cookie=0x7,table=0,priority=40,in_port={port},actions=drop");
    lab.switch.ofctl("add-flow", "br-sfc", &[&foreign]);
    let _agent = lab.agent();
    lab.until_condition_of("chains", "c", "ServiceChainReconciled", "False/FlowsMissing");
    lab.until_condition_of("chains", "d", "Ready", "True/Success");
    assert!(lab.flows().iter().any(|flow| flow.starts_with("cookie=0x7,")), "{:?}", lab.flows());
}

#[test]
fn a_second_agent_waits_for_the_lock() {
    let lab = Lab::start(&["br-sfc"]);
    lab.put("all", &[physical("p0"), vf(1), chain("c", &[&["p0", "vf1"]])]);
    let first = lab.agent();
    lab.until_condition("Ready", "True/Success");
    let other = Lab::with(lab.switch, lab.database);
    let _second = other.agent();
    other.until_condition("SwitchConnected", "False/Locked");
    assert_eq!(other.flows().len(), 2, "it does nothing while it waits");
    drop(first);
    // Its folder is empty: what the first one made goes, but for the uplink.
    other.until_condition("Ready", "True/Success");
    other.until_flows(0);
    other.until("its ports are gone", || other.ports("br-sfc") == ["p0"]);
}
