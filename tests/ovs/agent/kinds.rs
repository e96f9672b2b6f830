//! What each kind of interface is on the switch: rows, flows, status, and nothing when it is gone.

use std::collections::{BTreeMap, BTreeSet};
use std::thread::sleep;
use std::time::Duration;

use serde_json::{Value, json};

use super::{Lab, chain, object, pf, physical, vf, vlan};

/// Values of a row, by column.
type Columns = BTreeMap<String, String>;

/// A value of the database, as people read it.
fn text(value: &Value) -> String {
    let list = |values: &Value| values.as_array().unwrap().iter().map(text).collect::<Vec<_>>();
    match value.as_array().map(Vec::as_slice) {
        Some([kind, pairs]) if kind == "map" => {
            let pairs = pairs.as_array().unwrap().iter().map(|pair| list(pair).join("="));
            format!("{{{}}}", pairs.collect::<Vec<_>>().join(", "))
        }
        Some([kind, values]) if kind == "set" => format!("[{}]", list(values).join(", ")),
        Some([_, uuid]) => text(uuid),
        _ => value.as_str().map_or_else(|| value.to_string(), str::to_owned),
    }
}

impl Lab {
    /// The rows of a table, by `_uuid`: columns by name.
    fn table(answer: &Value) -> BTreeMap<String, Columns> {
        let texts = |values: &Value| values.as_array().unwrap().iter().map(text).collect::<Vec<_>>();
        let headings = texts(&answer["headings"]);
        let row = |row: &Value| {
            let columns: Columns = headings.iter().cloned().zip(texts(row)).collect();
            (columns["_uuid"].clone(), columns)
        };
        answer["data"].as_array().unwrap().iter().map(row).collect()
    }

    /// Every port of every bridge with its interface, as they are at one moment.
    fn ports_now(&self) -> Vec<(String, Columns, Columns)> {
        let said = self.switch.vsctl(&[
            "--format=json",
            "--",
            "--columns=_uuid,name,ports",
            "list",
            "bridge",
            "--",
            "--columns=_uuid,name,interfaces,external_ids,tag",
            "list",
            "port",
            "--",
            "--columns=_uuid,name,type,external_ids,options,mtu_request,ofport",
            "list",
            "interface",
        ]);
        let answers: Vec<Value> =
            serde_json::Deserializer::from_str(&said).into_iter::<Value>().map(Result::unwrap).collect();
        let [bridges, ports, interfaces] = [0, 1, 2].map(|index| Self::table(&answers[index]));
        let mut found = Vec::new();
        for bridge in bridges.values() {
            for uuid in bridge["ports"].trim_matches(['[', ']']).split(", ").filter(|uuid| !uuid.is_empty()) {
                let port = ports[uuid].clone();
                let interface = interfaces[&port["interfaces"]].clone();
                // A bridge's own port.
                if port["name"] != bridge["name"] {
                    found.push((bridge["name"].clone(), port, interface));
                }
            }
        }
        found
    }

    /// Every port of every bridge: its bridge, what its interface is, and what is written on it.
    pub(super) fn rows(&self) -> BTreeSet<String> {
        let row = |(bridge, port, interface): (String, Columns, Columns)| {
            let of_interface =
                ["type", "external_ids", "options", "mtu_request"].map(|column| interface[column].as_str());
            let of_port = ["external_ids", "tag"].map(|column| port[column].as_str());
            format!("{bridge} {}: {} in {}", port["name"], of_interface.join(" "), of_port.join(" "))
        };
        self.ports_now().into_iter().map(row).collect()
    }

    /// The flows with names of ports, without their cookies.
    pub(super) fn named_flows(&self) -> BTreeSet<String> {
        let ports = self.ports_now().into_iter().filter(|(bridge, ..)| bridge == "br-sfc");
        let names: BTreeMap<String, String> =
            ports.map(|(_, port, interface)| (interface["ofport"].clone(), port["name"].clone())).collect();
        let named = |flow: &String| {
            let mut flow = flow.split_once(", ").unwrap().1.to_owned();
            for before in ["in_port=", "output:"] {
                let mut parts = flow.split(before);
                let mut whole = parts.next().unwrap().to_owned();
                for part in parts {
                    let (number, rest) = part.split_at(part.find([',', ' ']).unwrap_or(part.len()));
                    whole.extend([before, names.get(number).map_or(number, String::as_str), rest]);
                }
                flow = whole;
            }
            flow
        };
        self.flows().iter().map(named).collect()
    }

    /// What the datapath does with a packet that comes in by a port, with names of ports.
    pub(super) fn traced(&self, port: &str, packet: &str) -> String {
        let packet = format!("in_port={},{packet}", self.ofport(port));
        let text = self.switch.appctl(&["ofproto/trace", "br-sfc", &packet]);
        let actions = text.lines().find_map(|line| line.strip_prefix("Datapath actions: ")).unwrap().to_owned();
        // `    p0 19414/1: (dummy)`: the datapath has numbers of its own.
        let shown = self.switch.appctl(&["dpif/show"]);
        let names: BTreeMap<&str, &str> = shown
            .lines()
            .filter_map(|line| {
                let (name, numbers) = line.trim().split_once(' ')?;
                Some((numbers.split_once('/')?.1.split_once(':')?.0, name))
            })
            .collect();
        let named = |part: &str| names.get(part).map_or(part, |name| *name).to_owned();
        actions.split(',').map(named).collect::<Vec<_>>().join(",")
    }
}

fn of(kind: &str, block: Value) -> Value {
    object("ServiceInterface", "x", json!({"interfaceType": kind, (kind): block}))
}

fn set(rows: &[&str]) -> BTreeSet<String> {
    rows.iter().map(|row| (*row).to_owned()).collect()
}

#[test]
fn each_kind_has_its_rows_and_its_flows_and_leaves_none() {
    let lab = Lab::start(&["br-sfc", "br-ovn", "br-ex"]);
    lab.put("anchor", &[vf(9)]);
    let _agent = lab.agent();
    lab.until_condition("Ready", "True/Success");
    let (rows, flows) = (lab.rows(), lab.named_flows());
    assert_eq!(rows, set(&["br-sfc pf0vf9: dummy {dpf-id=ns/vf9, dpu-agent=ns/vf9} {} [] in {dpu-agent=ns/vf9} []"]));
    let vf_with_parent = json!({"pfID": 1, "vfID": 255, "parentInterfaceRef": "p1"});
    let patch_ids =
        json!({"peerBridge": "br-ex", "peerPatchName": "to-sfc", "peerExternalIDs": {"a": "b", "c": "d e"}});
    // The object, its port on the bridge of the chains, and its rows.
    let cases: [(Value, &str, &[&str]); 7] = [
        (
            of("pf", json!({"pfID": 1})),
            "pf1hpf",
            &["br-sfc pf1hpf: dummy {dpf-id=ns/x, dpu-agent=ns/x} {} [] in {dpu-agent=ns/x} []"],
        ),
        (
            of("vf", vf_with_parent),
            "pf1vf255",
            &["br-sfc pf1vf255: dummy {dpf-id=ns/x, dpu-agent=ns/x} {} [] in {dpu-agent=ns/x} []"],
        ),
        (
            of("ovn", json!(null)),
            "puplinkbrsfc",
            &[
                "br-ovn puplinkbrovn: patch {dpu-agent=ns/x} {peer=puplinkbrsfc} [] in {dpu-agent=ns/x} []",
                "br-sfc puplinkbrsfc: patch {dpf-id=ns/x, dpu-agent=ns/x} {peer=puplinkbrovn} [] in {dpu-agent=ns/x} []",
            ],
        ),
        (
            of("ovn", json!({"externalBridge": "br-ex"})),
            "puplinkbrsfctobrex",
            &[
                "br-ex puplinkbrextobrsfc: patch {dpu-agent=ns/x} {peer=puplinkbrsfctobrex} [] in {dpu-agent=ns/x} []",
                "br-sfc puplinkbrsfctobrex: patch {dpf-id=ns/x, dpu-agent=ns/x} {peer=puplinkbrextobrsfc} [] in {dpu-agent=ns/x} []",
            ],
        ),
        (
            of("patch", json!({"peerBridge": "br-ex"})),
            "p_brsfc_to_brex_ae210ce9",
            &[
                "br-ex p_brex_to_brsfc_ae210ce9: patch {dpf-id=ns/x, dpu-agent=ns/x} {peer=p_brsfc_to_brex_ae210ce9} [] in {dpu-agent=ns/x} []",
                "br-sfc p_brsfc_to_brex_ae210ce9: patch {dpf-id=ns/x, dpu-agent=ns/x} {peer=p_brex_to_brsfc_ae210ce9} [] in {dpu-agent=ns/x} []",
            ],
        ),
        (
            of("patch", patch_ids),
            "p_brsfc_to_to-sfc",
            &[
                "br-ex to-sfc: patch {a=b, c=d e, dpf-id=ns/x, dpu-agent=ns/x} {peer=p_brsfc_to_to-sfc} [] in {dpu-agent=ns/x} []",
                "br-sfc p_brsfc_to_to-sfc: patch {dpf-id=ns/x, dpu-agent=ns/x} {peer=to-sfc} [] in {dpu-agent=ns/x} []",
            ],
        ),
        // Last: an uplink stays.
        (
            of("physical", json!({"interfaceName": "p7"})),
            "p7",
            &[
                "br-sfc p7: dummy {dpf-id=ns/x, dpf-type=physical, dpu-agent=ns/x} {} [] in {dpf-type=physical, dpu-agent=ns/x} []",
            ],
        ),
    ];
    for (object, port, own) in cases {
        let kind = object["spec"]["interfaceType"].clone();
        lab.put("x", std::slice::from_ref(&object));
        lab.put("chain", &[chain("c", &[&["x", "vf9"]])]);
        lab.until("the flows are there", || {
            let between = |one: &str, other: &str| format!("priority=40,in_port={one} actions=output:{other}");
            lab.named_flows() == [between(port, "pf0vf9"), between("pf0vf9", port)].into()
        });
        lab.until_condition("Ready", "True/Success");
        let own = set(own);
        assert_eq!(lab.rows().difference(&rows).cloned().collect::<BTreeSet<_>>(), own, "{object}");
        let entry = lab.node()["status"]["interfaces"][1].clone();
        assert_eq!((&entry["name"], &entry["type"], &entry["port"]["name"]), (&json!("x"), &kind, &json!(port)));
        assert_eq!((&entry["port"]["bridge"], &entry["chains"]), (&json!("br-sfc"), &json!(["c"])));
        assert_eq!(entry["port"]["ofport"].to_string(), lab.ofport(port));
        for kind in ["Ready", "ServiceInterfaceReconciled", "PortUp"] {
            assert_eq!(lab.condition_of("interfaces", "x", kind), "True/Success", "{object}");
        }
        lab.remove("chain");
        lab.remove("x");
        lab.until("nothing is left of it", || {
            lab.rows().difference(&rows).all(|row| kind == "physical" && own.contains(row))
                && lab.named_flows() == flows
        });
        assert!(lab.rows().is_superset(&rows));
        lab.until("nor of its status", || !lab.status.path().join("serviceinterface-ns-x.json").exists());
        assert!(!lab.status.path().join("servicechain-ns-c.json").exists());
    }
}

#[test]
fn a_patch_is_named_as_dpf_names_it() {
    let lab = Lab::start(&["br-sfc", "br-ex"]);
    let mut one = of("patch", json!({"peerBridge": "br-ex"}));
    one["metadata"]["namespace"] = json!("dpf-operator-system");
    one["metadata"]["name"] = json!("patch1");
    let mut refused = of("patch", json!({"peerBridge": "br-ex", "peerExternalIDs": {"dpf-id": "mine"}}));
    refused["metadata"]["name"] = json!("refused");
    lab.put("all", &[one, refused]);
    let _agent = lab.agent();
    lab.until_condition_of("interfaces", "patch1", "Ready", "True/Success");
    assert_eq!([lab.ports("br-sfc"), lab.ports("br-ex")], [["p_brsfc_to_brex_4845e2ea"], ["p_brex_to_brsfc_4845e2ea"]]);
    lab.until_condition_of("interfaces", "refused", "Ready", "False/InvalidSpec");
}

#[test]
fn a_change_of_kind_or_of_device_takes_the_old_rows_away() {
    let lab = Lab::start(&["br-sfc", "br-ovn", "br-ex"]);
    lab.put("chain", &[chain("c", &[&["x", "vf9"]])]);
    lab.put("anchor", &[vf(9)]);
    let specs = [
        ("pf", json!({"pfID": 1}), "pf1hpf"),
        ("pf", json!({"pfID": 2}), "pf2hpf"),
        ("patch", json!({"peerBridge": "br-ex", "peerPatchName": "a"}), "p_brsfc_to_a"),
        ("patch", json!({"peerBridge": "br-ovn", "peerPatchName": "a"}), "p_brsfc_to_a"),
        ("ovn", json!({"externalBridge": "br-ovn"}), "puplinkbrsfctobrovn"),
        ("vf", json!({"pfID": 0, "vfID": 1}), "pf0vf1"),
    ];
    let agent = lab.agent();
    for (kind, block, port) in specs {
        let far =
            ["peerBridge", "externalBridge"].iter().find_map(|key| block[key].as_str()).unwrap_or_default().to_owned();
        lab.put("x", &[of(kind, block)]);
        let flow = format!("priority=40,in_port={port} actions=output:pf0vf9");
        lab.until("the flows lead to it", || lab.flows().len() == 2 && lab.named_flows().contains(&flow));
        lab.until("its rows are the only ones", || {
            let on = |bridge: &str| (bridge.to_owned(), lab.ports(bridge).len());
            let there = |bridge: &str| (bridge.to_owned(), usize::from(far == bridge));
            lab.ports("br-sfc").len() == 2 && ["br-ex", "br-ovn"].map(on) == ["br-ex", "br-ovn"].map(there)
        });
        lab.until_condition("Ready", "True/Success");
    }
    // As a fresh start would have it.
    let (rows, flows) = (lab.rows(), lab.named_flows());
    drop(agent);
    for port in lab.ports("br-sfc") {
        lab.switch.vsctl(&["del-port", "br-sfc", &port]);
    }
    lab.switch.ofctl("del-flows", "br-sfc", &[]);
    let _agent = lab.agent();
    lab.until("the same switch", || lab.rows() == rows && lab.named_flows() == flows);
}

/// ovs-vswitchd says of a patch that it leads nowhere where the other end went away and came back while it was writing that down,
/// and says nothing of one that leads nowhere once it has acted on something else.
#[test]
fn a_patch_is_ready_when_it_leads_somewhere() {
    let lab = Lab::start(&["br-sfc", "br-ex"]);
    lab.switch.ofctl("add-flow", "br-ex", &["actions=LOCAL"]);
    let patch = of("patch", json!({"peerBridge": "br-ex", "peerPatchName": "a"}));
    let with = |more: &[Value]| lab.put("all", &[&[vf(9), chain("c", &[&["x", "vf9"]])], more].concat());
    with(std::slice::from_ref(&patch));
    let _agent = lab.agent();
    lab.until_condition("Ready", "True/Success");
    let looked_up = |of: &[&str]| lab.switch.vsctl(&[&["--no-wait", "get"], of].concat()).trim().to_owned();
    let error = || looked_up(&["interface", "p_brsfc_to_a", "error"]);
    let rows = lab.rows();
    for _ in 0..5 {
        lab.switch.vsctl(&["--no-wait", "set", "interface", "p_brsfc_to_a", "error=missing"]);
        lab.until("it is taken back", || error() == "[]");
        lab.until_condition("Ready", "True/Success");
        lab.until("it leads there", || lab.traced("pf0vf9", "") == "br-ex");
        assert_eq!(lab.rows(), rows);
    }
    // A patch leads to bridges of its own datapath only.
    with(&[]);
    lab.until("the patch is gone", || lab.ports("br-ex").is_empty());
    lab.switch.vsctl(&["set", "bridge", "br-ex", "datapath_type=netdev"]);
    with(&[patch]);
    let (is, why) = ("False/PeerMissing", "is on `br-ex` of the datapath `netdev`");
    let says_why = || lab.node()["status"]["interfaces"].to_string().contains(why);
    lab.until_condition_of("interfaces", "x", "Ready", is);
    lab.until_condition_of("chains", "c", "Ready", is);
    lab.until("it says why", says_why);
    lab.switch.vsctl(&["set", "bridge", "br-ex", "external_ids:some=thing"]);
    let asked = || looked_up(&["open_vswitch", ".", "next_cfg"]);
    let before = asked();
    sleep(Duration::from_secs(1));
    assert_eq!((lab.condition_of("interfaces", "x", "Ready"), says_why()), (is.to_owned(), true));
    assert_eq!(asked(), before, "nothing can be done about it");
}

/// Somebody else moves the other end in one go: ovs-vswitchd leads the patch to where it was, and says at its next change that
/// there is no other end.
#[test]
fn a_patch_that_the_switch_has_lost_is_linked_anew() {
    let lab = Lab::start(&["br-sfc", "br-ex", "br-ovn"]);
    for bridge in ["br-ex", "br-ovn"] {
        lab.switch.ofctl("add-flow", bridge, &["actions=LOCAL"]);
    }
    lab.put("all", &[vf(9), chain("c", &[&["x", "vf9"]])]);
    let move_to = |bridge: &str| lab.put("x", &[of("patch", json!({"peerBridge": bridge, "peerPatchName": "a"}))]);
    move_to("br-ex");
    let agent = lab.agent();
    lab.until_condition("Ready", "True/Success");
    drop(agent);
    lab.switch.signal_vswitchd("STOP");
    let marks = "external_ids:dpu-agent=ns/x";
    let id = "external_ids:dpf-id=ns/x";
    lab.switch.vsctl(&["--no-wait", "del-port", "br-ex", "a"]);
    let interface = ["set", "interface", "a", "type=patch", "options:peer=p_brsfc_to_a", marks, id];
    lab.switch.vsctl(
        &[&["--no-wait", "add-port", "br-ovn", "a", "--", "set", "port", "a", marks, "--"][..], &interface].concat(),
    );
    lab.switch.signal_vswitchd("CONT");
    let leads_to = |port: &str| lab.traced("pf0vf9", "") == port;
    lab.until("it leads to where it was", || leads_to("br-ex"));
    lab.switch.vsctl(&["set", "bridge", "br-ex", "external_ids:some=thing"]);
    lab.until("it leads nowhere", || leads_to("drop"));
    move_to("br-ovn");
    let _agent = lab.agent();
    lab.until("it leads to where it is", || leads_to("br-ovn"));
    lab.until_condition("Ready", "True/Success");
}

#[test]
fn tags_come_off_on_the_way_in_and_on_on_the_way_out() {
    let lab = Lab::start(&["br-sfc"]);
    let ports = [physical("p0"), vlan("v100", "p0", 100), vlan("v200", "p0", 200), vf(1), vf(2), vf(3), pf(0)];
    lab.put("ports", &ports);
    let chains = [chain("a", &[&["v100", "vf1"]]), chain("b", &[&["v200", "vf2", "vf3"]])];
    lab.put("chains", &chains);
    let _agent = lab.agent();
    lab.until_condition("Ready", "True/Success");
    let entry = lab.node()["status"]["interfaces"][2].clone();
    assert_eq!(
        (&entry["name"], &entry["port"]["name"], &entry["port"]["vlan"]),
        (&json!("v100"), &json!("p0"), &json!(100))
    );
    assert_eq!(lab.rows().len(), 5, "a VLAN has no row of its own: {:?}", lab.rows());
    let two = [
        "priority=41,in_port=p0,dl_vlan=100 actions=pop_vlan,output:pf0vf1",
        "priority=40,in_port=pf0vf1 actions=push_vlan:0x8100,set_field:4196->vlan_vid,output:p0",
    ];
    let flows = lab.named_flows();
    assert!(two.iter().all(|flow| flows.contains(*flow)), "{flows:?}");
    let (one, other) = ("dl_src=02:00:00:00:00:01", "dl_dst=02:00:00:00:00:02");
    let out = |port: &str, more: &str| lab.traced(port, &format!("{one},{other}{more}"));
    assert_eq!(out("p0", ",dl_vlan=100"), "pop_vlan,pf0vf1");
    assert_eq!(out("pf0vf1", ""), "push_vlan(vid=100,pcp=0),p0");
    assert_eq!(out("p0", ",dl_vlan=200"), "pop_vlan,pf0vf2,pf0vf3");
    assert_eq!(out("pf0vf2", ""), "pf0vf3,push_vlan(vid=200,pcp=0),p0");
    // Nobody asked for these.
    for more in ["", ",dl_vlan=300", ",dl_vlan=0"] {
        assert_eq!(out("p0", more), "drop", "{more}");
    }
    assert_eq!(out("pf0hpf", ""), "drop");
    // A tag of the packet's own is not ours to read on a port without VLANs: it goes through, below ours.
    assert_eq!(out("pf0vf1", ",dl_vlan=7"), "push_vlan(vid=100,pcp=0),p0");
    // What is learned of a VLAN is sent back into it.
    let tagged = "in_port(p0),eth(src=02:00:00:00:00:02,dst=02:00:00:00:00:01),eth_type(0x8100),vlan(vid=200,pcp=0),encap(eth_type(0x1234))";
    lab.switch.appctl(&["netdev-dummy/receive", "p0", &tagged.replace("in_port(p0)", "in_port(1)")]);
    lab.until("it is learned", || lab.flows().iter().any(|flow| flow.contains("dl_dst=02:00:00:00:00:02")));
    assert_eq!(out("pf0vf3", ""), "push_vlan(vid=200,pcp=0),p0");
    // The parent's own traffic, beside the tags.
    lab.put("plain", &[chain("c", &[&["p0", "pf0"]])]);
    lab.until("the parent is wired", || out("p0", "") == "pf0hpf");
    assert_eq!((out("pf0hpf", ""), out("p0", ",dl_vlan=100")), ("p0".to_owned(), "pop_vlan,pf0vf1".to_owned()));
    lab.remove("plain");
    lab.remove("chains");
    lab.until_flows(0);
    lab.put("ports", &[vlan("v100", "p0", 100)]);
    lab.until_condition_of("interfaces", "v100", "Ready", "False/ParentNotFound");
}

#[test]
fn a_patch_that_moves_to_another_bridge_leads_there() {
    let lab = Lab::start(&["br-sfc", "br-ovn", "br-ex"]);
    for (bridge, port) in [("br-ovn", "inner"), ("br-ex", "outer")] {
        lab.switch.add_ports(bridge, &[port]);
        lab.switch.ofctl("add-flow", bridge, &["actions=NORMAL"]);
    }
    lab.put("all", &[vf(9), chain("c", &[&["x", "vf9"]])]);
    let move_to = |bridge: &str| lab.put("x", &[of("patch", json!({"peerBridge": bridge, "peerPatchName": "far"}))]);
    move_to("br-ex");
    let agent = lab.agent();
    let mut agents = vec![agent];
    let leads_to = |port: &str| {
        lab.until_condition("Ready", "True/Success");
        lab.until(&format!("it leads to {port}"), || lab.traced("pf0vf9", "").split(',').any(|to| to == port));
    };
    leads_to("outer");
    for (bridge, port, before) in [("br-ovn", "inner", "br-ex"), ("br-ex", "outer", "br-ovn")].repeat(3) {
        // ovs-vswitchd is busy: it could see at once what is asked for one after the other.
        lab.switch.signal_vswitchd("STOP");
        move_to(bridge);
        lab.until("it is gone from there", || !lab.ports(before).contains(&"far".to_owned()));
        // And the agent that asked for the first is not that which asks for the second.
        drop(agents.pop());
        agents.push(lab.agent());
        for _ in 0..30 {
            sleep(Duration::from_millis(10));
            if lab.ports(bridge).contains(&"far".to_owned()) {
                break;
            }
        }
        lab.switch.signal_vswitchd("CONT");
        lab.until("it is made here", || lab.ports(bridge).contains(&"far".to_owned()));
        leads_to(port);
    }
}
