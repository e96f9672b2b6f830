//! Services: pods between two ports of a chain.

use serde_json::{Value, json};

use super::super::{chain, physical, pod, service, vf};
use super::{Host, Real};

#[test]
fn a_pod_is_reached_and_the_next_one_when_it_is_replaced() {
    let Some(lab) = Real::start(&["br-sfc"]) else { return };
    let far = lab.host("p0", "10.0.0.1");
    let old = lab.host("en3f0pf0sf1", "10.0.0.2");
    lab.cni_adds("br-sfc", "en3f0pf0sf1", "ns/app-1/net1");
    let objects = |pods: &[Value]| {
        lab.put("all", &[physical("p0"), service("app", "app", "net1"), chain("c", &[&["p0", "app"]])]);
        lab.put("pods", pods);
    };
    objects(&[pod("app-1", "app", true)]);
    let _agent = lab.agent();
    lab.until_ready();
    assert!(far.reaches(&old) && old.reaches(&far));
    far.sends_by_tcp(&old, 1 << 20);
    // The next pod comes up beside it, and has the same address.
    let new = lab.host("en3f0pf0sf2", "10.0.0.2");
    lab.cni_adds("br-sfc", "en3f0pf0sf2", "ns/app-2/net1");
    objects(&[pod("app-1", "app", true), pod("app-2", "app", false)]);
    lab.until_ready();
    assert!(far.reaches(&old) && new.reaches_none(&[&far]));
    // It is ready, and the old one goes.
    let mut going = pod("app-1", "app", true);
    going["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    objects(&[going, pod("app-2", "app", true)]);
    let port = lab.ofport("en3f0pf0sf2");
    lab.until("the chain leads to the new pod", || lab.flows().iter().any(|flow| flow.ends_with(&format!(":{port}"))));
    assert!(new.reaches(&far) && far.reaches(&new) && old.reaches_none(&[&far]));
}

/// A pod that forwards between its two interfaces.
fn router(lab: &Real, devices: [(&str, &str, &str); 2]) -> Host {
    let [(port, _, address), second] = devices;
    let host = lab.host(port, address);
    lab.cable(second.0, &host.room, second.1);
    host.room.ip(&["address", "add", &format!("{}/24", second.2), "dev", second.1]);
    host.room.run("sh", &["-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"]);
    host
}

#[test]
fn a_service_on_its_own_bridge_joins_two_switches_of_a_chain() {
    let Some(lab) = Real::start(&["br-sfc"]) else { return };
    // The service's own program forwards on its bridge.
    lab.add_plain_bridge("br-hbn");
    lab.switch.ofctl("del-flows", "br-hbn", &[]);
    let (far, near) = (lab.host("p0", "10.0.1.1"), lab.host("pf0vf3", "10.0.2.1"));
    let pod_host = router(&lab, [("en3f0pf0sf1", "eth0", "10.0.1.254"), ("en3f0pf0sf2", "eth1", "10.0.2.254")]);
    for (port, interface) in [("en3f0pf0sf1", "p0_if"), ("en3f0pf0sf2", "pf0vf3_if")] {
        lab.cni_adds("br-hbn", port, &format!("ns/hbn-1/{interface}"));
        lab.cni_joins(port, interface);
        let patch = format!("p{port}brhbn");
        for (from, to) in [(port, &*patch), (&*patch, port)] {
            let flow = format!("in_port={},actions=output:{}", lab.ofport(from), lab.ofport(to));
            lab.switch.ofctl("add-flow", "br-hbn", &[&flow]);
        }
    }
    for (host, router) in [(&far, "10.0.1.254"), (&near, "10.0.2.254")] {
        host.room.ip(&["route", "add", "default", "via", router]);
    }
    lab.put("all", &[physical("p0"), vf(3), service("up", "hbn", "p0_if"), service("down", "hbn", "pf0vf3_if")]);
    lab.put("pods", &[pod("hbn-1", "hbn", true)]);
    lab.put("chain", &[chain("c", &[&["p0", "up"], &["down", "vf3"]])]);
    let _agent = lab.agent();
    lab.until_ready();
    let ports = lab.node()["status"]["chains"][0]["switches"][0]["ports"].clone();
    assert_eq!((&ports[1]["port"], &ports[1]["pod"]), (&json!("pen3f0pf0sf1brsfc"), &json!("ns/hbn-1")));
    assert!(far.reaches(&pod_host) && far.reaches(&near) && near.reaches(&far));
    far.sends_by_tcp(&near, 4 << 20);
    // Nothing goes around the service.
    lab.put("pods", &[]);
    lab.until_flows(0);
    assert!(far.reaches_none(&[&near, &pod_host]));
    lab.put("pods", &[pod("hbn-1", "hbn", true)]);
    lab.until_ready();
    assert!(near.reaches(&far));
}
