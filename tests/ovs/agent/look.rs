//! What a person on the card is shown.

use std::process::Output;

use serde_json::{Value, json};

use super::{Lab, chain, object, physical, vf, vlan};

impl Lab {
    fn status(&self, arguments: &[&str]) -> Output {
        self.command("status", None).args(arguments).output().unwrap()
    }

    fn trace(&self, arguments: &[&str]) -> Output {
        let mut command = self.command("trace", None);
        command.arg("--control").arg(self.switch.path("v.ctl")).args(arguments).output().unwrap()
    }
}

fn out(said: &Output) -> (Option<i32>, String) {
    (said.status.code(), String::from_utf8(said.stdout.clone()).unwrap())
}

#[test]
fn the_status_counts_what_went_through_and_says_what_is_wrong() {
    let lab = Lab::start(&["br-sfc"]);
    lab.put("all", &[physical("p0"), vf(1), chain("c", &[&["p0", "vf1"]])]);
    let _agent = lab.agent();
    lab.until_condition("Ready", "True/Success");
    let packet = "in_port(1),eth(src=00:00:00:00:00:01,dst=00:00:00:00:00:02),eth_type(0x1234)";
    for _ in 0..3 {
        lab.switch.appctl(&["netdev-dummy/receive", "p0", packet]);
    }
    let shown = || serde_json::from_str::<Value>(&out(&lab.status(&["--json"])).1).unwrap();
    lab.until("packets are counted", || shown()["chains"][0]["packets"] == 3);
    let (code, text) = out(&lab.status(&[]));
    let row = |name: &str| -> Vec<String> {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("no {name} in\n{text}"));
        line.split_whitespace().map(str::to_owned).collect()
    };
    assert_eq!(code, Some(0), "{text}");
    assert_eq!(row("ns/c")[..4], ["ns/c", "p0-pf0vf1", "2", "3"]);
    assert_eq!(row("ns/p0").last().unwrap(), "ok");
    lab.switch.appctl(&["netdev-dummy/set-admin-state", "p0", "down"]);
    lab.until("the link is seen to be down", || {
        let (code, text) = out(&lab.status(&[]));
        code == Some(1) && text.ends_with("interface ns/p0: LinkDown: the link of its port is down\n")
    });
    lab.switch.appctl(&["netdev-dummy/set-admin-state", "p0", "up"]);
    // An interface that cannot be had.
    let ovn = object("ServiceInterface", "ovn", json!({"interfaceType": "ovn"}));
    lab.put("ovn", &[ovn]);
    let (code, text) = out(&lab.status(&[]));
    assert_eq!(code, Some(1));
    assert!(text.ends_with("interface ns/ovn: PeerBridgeMissing: there is no bridge `br-ovn`\n"), "{text}");
}

#[test]
fn a_trace_is_compared_with_what_the_chain_means() {
    let lab = Lab::start(&["br-sfc"]);
    let objects = [physical("p0"), vlan("v100", "p0", 100), vf(1), vf(2), chain("c", &[&["v100", "vf1", "vf2"]])];
    lab.put("all", &objects);
    let agent = lab.agent();
    lab.until_condition("Ready", "True/Success");
    let (code, text) = out(&lab.trace(&["c", "--from", "pf0vf1"]));
    assert_eq!(text, "c, switch 0: in by pf0vf1, for 02:00:00:00:00:ff\n  out by p0 VLAN 100\n  out by pf0vf2\n");
    assert_eq!(code, Some(0));
    let (code, text) = out(&lab.trace(&["ns/c", "--from", "v100", "--json"]));
    let report: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((code, &report["goes"], &report["asMeant"]), (Some(0), &json!(["pf0vf1", "pf0vf2"]), &json!(true)));

    // Somebody else's flow takes the packets away; the agent is gone, so nothing is repaired.
    drop(agent);
    let other = format!("priority=100,in_port={},actions=output:{}", lab.ofport("pf0vf1"), lab.ofport("pf0vf2"));
    lab.switch.ofctl("add-flow", "br-sfc", &[&other]);
    let (code, text) = out(&lab.trace(&["c", "--from", "vf1"]));
    assert_eq!((code, text.contains("  NOT OUT BY p0 VLAN 100\n")), (Some(1), true), "{text}");

    let nobody = lab.trace(&["c", "--from", "p9"]);
    let said = String::from_utf8_lossy(&nobody.stderr).into_owned();
    assert_eq!((nobody.status.code(), said.contains("there are p0, pf0vf1, pf0vf2")), (Some(2), true), "{said}");
}
