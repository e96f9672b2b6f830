//! Flows: all of them read, what became of them known, and those of others left alone.

use std::fmt::Write as _;
use std::fs;
use std::time::Instant;

use super::super::ownership::rows;
use super::{Lab, chain, physical, vf};

fn one_chain(lab: &Lab) {
    lab.put("all", &[physical("p0"), vf(1), chain("c", &[&["p0", "vf1"]])]);
}

/// D14: of the flows of the switch the first answer alone is read, some 60 KiB: what comes later is never found.
#[test]
fn d14_thousands_of_flows_are_read_to_the_end() {
    let lab = Lab::start(&["br-sfc"]);
    let mut flows = String::new();
    // Those of others come before, and those that a chain of ours left behind last.
    for number in 0..5000_u32 {
        writeln!(flows, "cookie=0x7,table=0,priority=9,in_port={number},actions=drop").unwrap();
    }
    for number in 0..2000_u32 {
        writeln!(flows, "cookie=0xd9a6000000000001,table=9,priority=9,in_port={number},actions=drop").unwrap();
    }
    let file = lab.switch.path("flows");
    fs::write(&file, flows).unwrap();
    lab.switch.ofctl("add-flows", "br-sfc", &[file.to_str().unwrap()]);
    one_chain(&lab);
    let _agent = lab.agent();
    lab.until_condition("Ready", "True/Success");
    assert!(lab.are_connected("p0", "pf0vf1"), "{:?}", lab.flows().last());
    let (ours, others): (Vec<String>, _) = lab.flows().into_iter().partition(|flow| flow.contains("cookie=0xd9a6"));
    assert_eq!((ours.len(), others.len()), (2, 5000));
    assert_eq!(lab.node()["status"]["chains"][0]["flows"]["installed"], 2);
}

/// D15: nobody asks what became of a change of flows.
#[test]
fn d15_what_the_switch_refuses_is_told_and_asked_for_again() {
    let lab = Lab::start(&["br-sfc"]);
    lab.put("ports", &[physical("p0"), vf(1), vf(2), vf(3)]);
    lab.put("one", &[chain("c", &[&["p0", "vf1"]])]);
    let _agent = lab.agent_with(&["--audit", "1"]);
    lab.until_condition("Ready", "True/Success");
    // A table that takes no more.
    let full = "flow_tables:0=@full";
    lab.switch.vsctl(&[
        "--id=@full",
        "create",
        "Flow_Table",
        "flow_limit=2",
        "overflow_policy=refuse",
        "--",
        "set",
        "bridge",
        "br-sfc",
        full,
    ]);
    lab.put("other", &[chain("d", &[&["vf2", "vf3"]])]);
    lab.until_condition_of("chains", "d", "ServiceChainReconciled", "False/BundleRejected");
    lab.until_message_of("chains", "d", "ServiceChainReconciled", &["TABLE_FULL"]);
    lab.until_condition_of("chains", "c", "Ready", "True/Success");
    assert_eq!(lab.flows().len(), 2);
    // Nothing else changes, so that nobody says so.
    lab.switch.vsctl(&["--no-wait", "clear", "bridge", "br-sfc", "flow_tables"]);
    lab.until_condition("Ready", "True/Success");
    assert!(lab.are_connected("p0", "pf0vf1") && lab.are_connected("pf0vf2", "pf0vf3"));
}

/// D15: a flow that is not there although nothing was refused is taken to be there.
#[test]
fn d15_what_is_said_to_be_there_was_read_back() {
    let lab = Lab::start(&["br-sfc"]);
    one_chain(&lab);
    let agent = lab.agent();
    lab.until_condition("Ready", "True/Success");
    drop(agent);
    // In the place of a flow of ours stands another's, which nobody may replace.
    let port = lab.ofport("p0");
    lab.switch.ofctl("del-flows", "br-sfc", &[&format!("in_port={port}")]);
    lab.switch.ofctl("add-flow", "br-sfc", &[&format!("cookie=0x7,priority=40,in_port={port},actions=drop")]);
    let _agent = lab.agent_with(&["--audit", "1"]);
    lab.until_condition_of("chains", "c", "ServiceChainReconciled", "False/FlowsMissing");
    let flows = || lab.node()["status"]["chains"][0]["flows"].clone();
    assert_eq!((flows()["desired"].as_i64(), flows()["installed"].as_i64()), (Some(2), Some(1)));
    // It goes, which nobody says: it is found at the next reading.
    lab.switch.ofctl("del-flows", "br-sfc", &["cookie=0x7/-1"]);
    lab.until_condition_of("chains", "c", "Ready", "True/Success");
    assert_eq!(flows()["installed"], 2);
    assert!(lab.are_connected("p0", "pf0vf1"));
}

/// D17: every port and every flow that is not known is taken away, once a minute.
#[test]
fn d17_ports_and_flows_of_others_stay_as_they_are() {
    let lab = Lab::start(&["br-sfc", "br-other"]);
    lab.switch.add_ports("br-sfc", &["foreign0", "foreign1", "p0"]);
    lab.switch.add_ports("br-other", &["elsewhere"]);
    lab.switch.vsctl(&["set", "port", "foreign0", "tag=7", "external_ids:owner=ovs-cni.network.kubevirt.io"]);
    // As DPF marks the ports of its own objects, and numbers the flows of chains that are not known here.
    lab.switch.vsctl(&["set", "interface", "foreign1", "external_ids:dpf-id=ns/gone"]);
    let foreign = [
        "cookie=0x7,table=0,priority=5,in_port=1,actions=output:2",
        "cookie=0x62096e3f0185953b,table=0,priority=20,in_port=2,actions=output:1",
        "cookie=0x0,table=3,priority=0,actions=drop",
    ];
    for flow in foreign {
        lab.switch.ofctl("add-flow", "br-sfc", &[flow]);
    }
    let ports = ["foreign0", "foreign1", "p0", "elsewhere"];
    let (before_rows, before_flows) = (rows(&lab.switch, &ports), lab.flows());
    lab.put("all", &[physical("p0"), vf(1), vf(2), chain("c", &[&["p0", "vf1", "vf2"]])]);
    let _agent = lab.agent_with(&["--audit", "1"]);
    lab.until_condition("Ready", "True/Success");
    assert!(lab.flows().len() > before_flows.len());
    lab.remove("all");
    lab.until("ours are gone", || lab.ports("br-sfc").len() == 3);
    lab.until_flows(before_flows.len());
    assert_eq!(lab.flows(), before_flows);
    assert_eq!(rows(&lab.switch, &ports), before_rows);
}

/// D28: that ovs-vswitchd has restarted is seen by a file with a process number, or at the next poll.
#[test]
fn d28_flows_are_back_when_the_switch_is() {
    let mut lab = Lab::start(&["br-sfc"]);
    one_chain(&lab);
    // Nothing here writes a process number, and no audit is due: it is the connection that ends.
    let _agent = lab.agent();
    lab.until_condition("Ready", "True/Success");
    let flows = lab.flows();
    for _ in 0..3 {
        lab.switch.kill_vswitchd();
        lab.until_condition("SwitchConnected", "False/SwitchAway");
        lab.switch.start_vswitchd("br-sfc");
        let begin = Instant::now();
        lab.until("the flows are back", || lab.flows() == flows);
        println!("ovs-vswitchd is back: flows after {} ms", begin.elapsed().as_millis());
        lab.until_condition("Ready", "True/Success");
    }
    // So short that nobody could have polled.
    lab.switch.kill_vswitchd();
    lab.switch.start_vswitchd("br-sfc");
    lab.until("the flows are back", || lab.flows() == flows);
}
