//! Frames.

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

use super::{Lab, chain, frame, object, physical, vf};

const ONE: &str = "00:00:00:00:00:01";
const OTHER: &str = "00:00:00:00:00:02";

impl Lab {
    /// Waits until the switch has forgotten what it decided before its flows changed.
    fn decide_anew(&self) {
        self.switch.appctl(&["revalidator/wait"]);
    }

    /// Flows that were learned.
    fn learned(&self) -> usize {
        self.flows().iter().filter(|flow| flow.contains(", idle_timeout=")).count()
    }

    fn until_frames(&self, port: &str, count: usize) {
        self.until(&format!("{count} frames out of {port}"), || self.frames(port).len() >= count);
        assert_eq!(self.frames(port).len(), count, "out of {port}");
    }
}

/// D6: what one sends to another is sent to a third, too, as long as the answers match what was learned.
#[test]
fn d06_a_third_port_sees_nothing_of_what_two_say() {
    let lab = Lab::start(&["br-sfc"]);
    lab.put("all", &[physical("p0"), vf(1), vf(2), chain("c", &[&["p0", "vf1", "vf2"]])]);
    let _agent = lab.agent();
    lab.until_condition("Ready", "True/Success");
    lab.note_frames(&["p0", "pf0vf1", "pf0vf2"]);
    lab.receive("p0", &frame(ONE, OTHER));
    lab.until_frames("pf0vf1", 1);
    lab.until_frames("pf0vf2", 1);
    lab.until("one is known", || lab.learned() == 1);
    lab.decide_anew();
    lab.receive("pf0vf1", &frame(OTHER, ONE));
    lab.until_frames("p0", 1);
    lab.until("the other is known, from its first answer", || lab.learned() == 2);
    lab.decide_anew();
    for _ in 0..20 {
        lab.receive("p0", &frame(ONE, OTHER));
        lab.receive("pf0vf1", &frame(OTHER, ONE));
    }
    lab.until_frames("p0", 21);
    lab.until_frames("pf0vf1", 21);
    lab.until_frames("pf0vf2", 1);
    // What is for all still goes to all.
    lab.receive("p0", &frame(ONE, "ff:ff:ff:ff:ff:ff"));
    lab.until_frames("pf0vf1", 22);
    lab.until_frames("pf0vf2", 2);
}

/// D22: an interface of type `vlan` is accepted, and nothing comes of it.
#[test]
fn d22_a_vlan_of_a_port_is_a_port() {
    let lab = Lab::start(&["br-sfc"]);
    let vlan = json!({"interfaceType": "vlan", "vlan": {"parentInterfaceRef": "p0", "vlanID": 100}});
    let tagged = object("ServiceInterface", "tagged", vlan);
    let switches: &[&[&str]] = &[&["tagged", "vf1"], &["p0", "vf2"]];
    lab.put("all", &[physical("p0"), tagged, vf(1), vf(2), chain("c", switches)]);
    let _agent = lab.agent();
    lab.until_condition("Ready", "True/Success");
    lab.note_frames(&["p0", "pf0vf1", "pf0vf2"]);
    let plain = frame(ONE, OTHER);
    let with_tag = |id: u16| {
        format!("in_port(1),eth(src={ONE},dst={OTHER}),eth_type(0x8100),vlan(vid={id},pcp=0),encap(eth_type(0x1234))")
    };
    let after_addresses = |port: &str, at: usize| lab.frames(port)[at][12..].to_vec();
    lab.receive("p0", &with_tag(100));
    lab.until_frames("pf0vf1", 1);
    assert_eq!(after_addresses("pf0vf1", 0), [0x12, 0x34], "its tag is off");
    lab.receive("p0", &plain);
    lab.until_frames("pf0vf2", 1);
    assert_eq!(after_addresses("pf0vf2", 0), [0x12, 0x34]);
    lab.receive("pf0vf1", &plain);
    lab.until_frames("p0", 1);
    assert_eq!(after_addresses("p0", 0), [0x81, 0x00, 0, 100, 0x12, 0x34], "its tag is on");
    lab.receive("pf0vf2", &plain);
    lab.until_frames("p0", 2);
    assert_eq!(after_addresses("p0", 1), [0x12, 0x34]);
    // Another tag is not ours to take off.
    lab.receive("p0", &with_tag(200));
    lab.until_frames("pf0vf2", 2);
    assert_eq!(after_addresses("pf0vf2", 1), [0x81, 0x00, 0, 200, 0x12, 0x34]);
    lab.until_frames("pf0vf1", 1);
}

/// D22: a VLAN that cannot be had is said to be there.
#[test]
fn d22_a_vlan_of_nothing_is_no_success() {
    let lab = Lab::start(&["br-sfc"]);
    let vlan = json!({"interfaceType": "vlan", "vlan": {"parentInterfaceRef": "gone", "vlanID": 100}});
    lab.put("all", &[vf(1), object("ServiceInterface", "tagged", vlan), chain("c", &[&["tagged", "vf1"]])]);
    let _agent = lab.agent();
    lab.until_condition_of("interfaces", "tagged", "Ready", "False/ParentNotFound");
    lab.until_condition_of("chains", "c", "PortsResolved", "False/ParentNotFound");
    assert_eq!(lab.flows(), [""; 0]);
}

/// D26: whoever sends from many addresses fills the table.
#[test]
fn d26_a_chain_learns_so_many_addresses_and_no_more() {
    let lab = Lab::start(&["br-sfc"]);
    let ports: Vec<_> = (0..8).map(vf).collect();
    let switches =
        [chain("c", &[&["vf0", "vf1", "vf2"]]), chain("d", &[&["vf3", "vf4", "vf5"]]), chain("e", &[&["vf6", "vf7"]])];
    lab.put("all", &[&ports[..], &switches].concat());
    let _agent = lab.agent();
    lab.until_condition("Ready", "True/Success");
    let before = lab.flows().len();
    let mut address = 0_u32;
    // No more frames than a hundred wait at a device.
    let mut scan = |port: &str| {
        let mut from_another = || {
            address += 1;
            let [a, b, c, d] = address.to_be_bytes();
            frame(&format!("02:00:{a:02x}:{b:02x}:{c:02x}:{d:02x}"), OTHER)
        };
        let frames: Vec<String> = (0..90).map(|_| from_another()).collect();
        lab.switch.receive(port, &frames);
    };
    // Where addresses are learned the chain has six flows beside them.
    let most = 4096 - 6;
    let begin = Instant::now();
    // They are forgotten after ten seconds by the clock of ovs-vswitchd.
    lab.switch.appctl(&["time/stop"]);
    while lab.learned() < most {
        assert!(begin.elapsed() < Duration::from_secs(30), "{} addresses", lab.learned());
        for _ in 0..5 {
            scan("pf0vf0");
        }
    }
    for _ in 0..20 {
        scan("pf0vf0");
    }
    lab.decide_anew();
    assert!(lab.learned() <= most, "{} addresses", lab.learned());
    // Another chain has room of its own, and one of two ports needs none.
    lab.receive("pf0vf3", &frame(ONE, OTHER));
    lab.until("an address is learned", || lab.flows().iter().any(|flow| flow.contains(&format!("dl_dst={ONE} "))));
    lab.note_frames(&["pf0vf7"]);
    for round in 1..=3 {
        scan("pf0vf6");
        lab.until_frames("pf0vf7", round * 90);
    }
    assert!(lab.flows().len() <= before + most + 1);
}

/// D27: when a chain changes its flows are deleted, and then made.
#[test]
fn d27_a_chain_that_changes_is_never_without_its_flows() {
    let lab = Lab::start(&["br-sfc"]);
    let ports: Vec<_> = (0..5).map(vf).collect();
    lab.put("ports", &ports);
    let lead_to = |port: &str| lab.put("chain", &[chain("c", &[&["vf0", port], &["vf3", "vf4"]])]);
    lead_to("vf1");
    let _agent = lab.agent();
    lab.until_condition("Ready", "True/Success");
    lab.note_frames(&["pf0vf1", "pf0vf2"]);
    let seen = lab.switch.path("seen");
    let socket = format!("unix:{}", lab.switch.path("br-sfc.mgmt").display());
    let mut watch = Command::new("setpriv");
    watch
        .args(["--pdeathsig", "KILL", "ovs-ofctl", "monitor", &socket, "watch:"])
        .env("OVS_RUNDIR", lab.switch.path(""));
    let out = fs::File::create(&seen).unwrap();
    // What is there goes to the one, what happens to the other.
    let mut watch = watch.stdout(out.try_clone().unwrap()).stderr(out).stdin(Stdio::null()).spawn().unwrap();
    let seen = || fs::read_to_string(&seen).unwrap();
    lab.until("somebody watches", || seen().contains("in_port"));
    let count = 200;
    std::thread::scope(|scope| {
        let sender = scope.spawn(|| {
            for _ in 0..count {
                lab.receive("pf0vf0", &frame(ONE, OTHER));
            }
        });
        let mut to = ["vf2", "vf1"].into_iter().cycle();
        while !sender.is_finished() {
            let port = to.next().unwrap();
            lead_to(port);
            lab.until("the flows lead there", || lab.are_connected("pf0vf0", &format!("pf0{port}")));
        }
    });
    lab.until("every frame came out", || lab.frames("pf0vf1").len() + lab.frames("pf0vf2").len() >= count);
    assert!(!lab.frames("pf0vf1").is_empty() && !lab.frames("pf0vf2").is_empty());
    let of = |port: &str| -> Vec<String> {
        let port = format!(" in_port={} ", lab.ofport(port));
        let seen = seen();
        let words = seen.lines().filter(|line| line.contains(&port)).filter_map(|line| line.split_whitespace().next());
        words.map(str::to_owned).collect()
    };
    // A flow that is put in the place of another is added; the first time is what was there.
    lab.until("the changes are seen", || of("pf0vf0").len() > 2);
    assert!(of("pf0vf0").iter().all(|event| event == "event=ADDED"), "{}", seen());
    for port in ["pf0vf3", "pf0vf4"] {
        assert_eq!(of(port), ["event=ADDED"], "the other switch is as it was: {}", seen());
    }
    watch.kill().unwrap();
    watch.wait().unwrap();
}
