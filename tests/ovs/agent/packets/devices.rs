//! Devices that are missing, go, come back, go down, or refuse.

use std::time::Instant;

use serde_json::Value;

use super::super::{chain, physical, vf};
use super::Real;

impl Real {
    fn mtu(&self, device: &str) -> Value {
        self.room.link(device)["mtu"].clone()
    }

    fn until_up(&self, interface: &str, wanted: &str) {
        self.until_condition_of("interfaces", interface, "PortUp", wanted);
    }
}

#[test]
fn a_device_that_is_missing_may_come_and_go_and_come_back() {
    let Some(lab) = Real::start(&["br-sfc"]) else { return };
    let far = lab.host("p0", "10.0.0.1");
    lab.put("all", &[physical("p0"), vf(3), chain("c", &[&["p0", "vf3"]])]);
    let agent = lab.agent();
    lab.until_up("vf3", "False/DeviceMissing");
    lab.until_condition_of("interfaces", "p0", "Ready", "True/Success");
    lab.until_condition_of("chains", "c", "PortsResolved", "False/DeviceMissing");
    lab.until_condition("Ready", "False/InterfaceNotReady");
    let near = lab.host("pf0vf3", "10.0.0.2");
    lab.until_ready();
    assert!(far.reaches(&near));
    for _ in 0..2 {
        let mut pings = far.pinging(&["-q", "-i", "0.01", "-c", "1000000"], &near.address);
        lab.room.ip(&["link", "del", "pf0vf3"]);
        let gone = ["False/LinkDown", "False/DeviceMissing", "False/DeviceError"];
        lab.until("the port is known to be down", || gone.contains(&&*lab.condition_of("interfaces", "vf3", "PortUp")));
        assert!(pings.goes_on());
        lab.until_condition("Ready", "False/InterfaceNotReady");
        lab.plug(&near);
        lab.until_ready();
        assert!(far.reaches(&near));
        far.sends_by_tcp(&near, 1 << 20);
    }
    // All of it while no agent is there.
    drop(agent);
    lab.room.ip(&["link", "del", "pf0vf3"]);
    lab.plug(&near);
    assert!(far.reaches_none(&[&near]), "the switch alone does not find it");
    let _agent = lab.agent();
    assert!(far.reaches(&near));
    lab.until_ready();
}

#[test]
fn packets_go_on_when_the_switch_is_back() {
    let Some(mut lab) = Real::start(&["br-sfc"]) else { return };
    let (far, near) = (lab.host("p0", "10.0.0.1"), lab.host("pf0vf3", "10.0.0.2"));
    lab.put("all", &[physical("p0"), vf(3), chain("c", &[&["p0", "vf3"]])]);
    let _agent = lab.agent();
    lab.until_ready();
    let (rows, flows) = (lab.rows(), lab.flows());
    for _ in 0..3 {
        lab.lab.switch.kill_vswitchd();
        assert!(far.reaches_none(&[&near]));
        lab.lab.switch.start_vswitchd("br-sfc");
        assert!(far.reaches(&near) && near.reaches(&far));
        lab.until_ready();
        assert_eq!((lab.rows(), lab.flows()), (rows.clone(), flows.clone()));
    }
}

#[test]
fn links_go_down_and_up_and_that_is_seen_at_once() {
    let Some(lab) = Real::start(&["br-sfc"]) else { return };
    let (far, near) = (lab.host("p0", "10.0.0.1"), lab.host("pf0vf3", "10.0.0.2"));
    lab.put("all", &[physical("p0"), vf(3), chain("c", &[&["p0", "vf3"]])]);
    // Nothing is looked at without a reason within the test.
    let _agent = lab.agent_with(&["--audit", "86400"]);
    lab.until_ready();
    let mut times = Vec::new();
    for _ in 0..5 {
        // The switch's end of the cable, and the host's.
        for (room, device) in [(&lab.room, "pf0vf3"), (&near.room, "eth0")] {
            for (state, wanted) in [("down", "False/LinkDown"), ("up", "True/Success")] {
                room.ip(&["link", "set", device, state]);
                let begin = Instant::now();
                lab.until_up("vf3", wanted);
                times.push(begin.elapsed());
            }
        }
    }
    times.sort();
    println!("link changed → PortUp changed: median {:?}, most {:?}", times[times.len() / 2], times[times.len() - 1]);
    assert!(far.reaches(&near));
    lab.until_ready();
}

#[test]
fn an_mtu_is_applied_or_said_to_be_refused() {
    let Some(lab) = Real::start(&["br-sfc"]) else { return };
    let (far, near) = (lab.host("p0", "10.0.0.1"), lab.host("pf0vf3", "10.0.0.2"));
    for host in [&far, &near] {
        host.room.ip(&["link", "set", "eth0", "mtu", "9000"]);
    }
    // A device whose driver takes no more than the device below it, less its own header.
    lab.room.ip(&["link", "add", "pf0vf4", "type", "vxlan", "id", "7", "dev", "p0", "dstport", "4789"]);
    lab.room.ip(&["link", "set", "pf0vf4", "up"]);
    lab.put("all", &[physical("p0"), vf(3), chain("c", &[&["p0", "vf3"]])]);
    let large = ["-M", "do", "-s", "8900", "-c", "1", "-w", "1"];
    let agent = lab.agent();
    lab.until_ready();
    assert!(
        far.pinging(&large, &near.address).answered().is_empty(),
        "without being asked the MTU is the device's own"
    );
    assert_eq!(lab.condition_of("interfaces", "p0", "MTUApplied"), "");
    drop(agent);
    lab.put("more", &[vf(4)]);
    let agent = lab.agent_with(&["--mtu", "9000"]);
    for name in ["p0", "vf3"] {
        lab.until_condition_of("interfaces", name, "MTUApplied", "True/Success");
    }
    assert_eq!([lab.mtu("p0"), lab.mtu("pf0vf3")], [9000, 9000]);
    assert_eq!(far.pinging(&["-M", "do", "-s", "8900", "-c", "1", "-w", "10"], &near.address).answered().len(), 1);
    lab.until_condition_of("interfaces", "vf4", "MTUApplied", "False/MTURefused");
    lab.until_condition_of("interfaces", "vf4", "Ready", "False/MTURefused");
    assert_ne!(lab.mtu("pf0vf4"), 9000);
    let entries = lab.node()["status"]["interfaces"].clone();
    let refused = entries.as_array().unwrap().iter().find(|one| one["name"] == "vf4").unwrap();
    assert_eq!(refused["mtu"]["requested"], 9000);
    assert_eq!(refused["mtu"]["actual"], lab.mtu("pf0vf4"));
    // Nobody asks any more.
    drop(agent);
    let _agent = lab.agent();
    lab.until_ready();
    assert_eq!(lab.condition_of("interfaces", "vf4", "MTUApplied"), "");
    assert_eq!(lab.switch.vsctl(&["get", "interface", "pf0vf4", "mtu_request"]).trim(), "[]");
}
