//! The plan on a model of the switch: what a transaction and a bundle make of it, no more.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::agent::api::{Chain, Interface, Invalid, Pod, SERVICE_LABEL};
use crate::agent::desired::{DPF_ID, PortKind, Snapshot, desired};
use crate::agent::flow::{Action, Match};
use crate::agent::{hash, observed};

fn settings() -> Settings {
    Settings {
        node: "w".to_owned(),
        bridge: "br-sfc".to_owned(),
        port_type: "dpdk".to_owned(),
        mtu: None,
        remove_uplinks: false,
    }
}

fn interface(name: &str, mut spec: Value) -> Interface {
    spec["node"] = json!("w");
    let metadata = json!({"namespace": "ns", "name": name, "labels": {"port": name}});
    Interface::of(&json!({"metadata": metadata, "spec": spec})).unwrap()
}

fn physical(name: &str) -> Interface {
    interface(name, json!({"interfaceType": "physical", "physical": {"interfaceName": name}}))
}

fn vf(number: u16) -> Interface {
    interface(&format!("vf{number}"), json!({"interfaceType": "vf", "vf": {"pfID": 0, "vfID": number}}))
}

fn vlan(name: &str, parent: &str, id: u16) -> Interface {
    interface(name, json!({"interfaceType": "vlan", "vlan": {"parentInterfaceRef": parent, "vlanID": id}}))
}

fn patch(name: &str) -> Interface {
    interface(name, json!({"interfaceType": "patch", "patch": {"peerBridge": "br-x"}}))
}

fn chain(name: &str, switches: &[&[&str]]) -> Chain {
    let port = |label: &&str| json!({"serviceInterface": {"matchLabels": {"port": label}}});
    let ports = |ports: &&[&str]| json!({"ports": ports.iter().map(port).collect::<Vec<_>>()});
    let switches: Vec<Value> = switches.iter().map(ports).collect();
    Chain::of(&json!({"metadata": {"namespace": "ns", "name": name}, "spec": {"node": "w", "switches": switches}}))
        .unwrap()
}

/// A switch with these bridges.
fn switch(bridges: &[&str]) -> Observed {
    let bridge = |name: &&str| ((*name).to_owned(), observed::Bridge::default());
    let flows = bridges.iter().map(|name| ((*name).to_owned(), Some(Vec::new()))).collect();
    Observed { bridges: bridges.iter().map(bridge).collect(), flows, ..Observed::default() }
}

/// A port that somebody else made.
fn foreign(there: &mut Observed, bridge: &str, name: &str, number: i32) {
    let interface = observed::Interface { ofport: Some(number), port: name.to_owned(), ..Default::default() };
    there.interfaces.insert(name.to_owned(), interface);
    there.ports.insert(name.to_owned(), observed::Port { bridge: bridge.to_owned(), ..Default::default() });
}

/// What the switch is after the plan was carried out.
fn apply(plan: &Plan, there: &mut Observed) {
    for change in &plan.ports {
        match change {
            PortChange::Create { name, port, number } => {
                assert!(!there.ports.contains_key(name), "{name} is made twice");
                let row =
                    observed::Port { bridge: port.bridge.clone(), external_ids: port.marks(), ..Default::default() };
                let mut interface = observed::Interface {
                    port: name.clone(),
                    external_ids: port.interface_ids(),
                    ofport: i32::try_from(*number).ok(),
                    ofport_request: i32::try_from(*number).ok(),
                    mtu_request: port.mtu.map(i64::from),
                    ..Default::default()
                };
                match &port.kind {
                    PortKind::Device { port_type, .. } => interface.kind.clone_from(port_type),
                    PortKind::Patch { peer } => {
                        interface.kind = "patch".to_owned();
                        interface.options.insert("peer".to_owned(), peer.clone());
                    }
                }
                there.ports.insert(name.clone(), row);
                there.interfaces.insert(name.clone(), interface);
            }
            PortChange::Update { name, columns } => {
                assert!(owner(there, name).is_some(), "{name} is not ours");
                let row = there.ports.get_mut(name).unwrap();
                row.external_ids.extend(columns.marks.clone());
                let interface = there.interfaces.get_mut(name).unwrap();
                interface.external_ids.extend(columns.external_ids.clone());
                if let Some(kind) = &columns.port_type {
                    interface.kind.clone_from(kind);
                }
                if let Some(peer) = &columns.peer {
                    interface.options.insert("peer".to_owned(), peer.clone());
                }
                if let Some(mtu) = columns.mtu {
                    interface.mtu_request = mtu.map(i64::from);
                }
                if let Some(number) = columns.number {
                    interface.ofport_request = i32::try_from(number).ok();
                }
            }
            PortChange::Remove { name, bridge } => {
                assert!(owner(there, name).is_some(), "{name} is not ours");
                let row = there.ports.remove(name).unwrap();
                assert_eq!(row.bridge, *bridge, "{name}");
                there.interfaces.remove(name);
            }
        }
    }
    let Some(Some(flows)) = there.flows.get_mut("br-sfc") else { return };
    for change in &plan.flows {
        let same = |one: &Flow, other: &Flow| {
            (one.table, one.priority, &one.matches) == (other.table, other.priority, &other.matches)
        };
        match change {
            FlowChange::Add(flow) => {
                assert!(flows.iter().all(|one| !same(one, flow) || is_ours_flow(one)), "in the place of another's");
                flows.retain(|one| !same(one, flow));
                flows.push(flow.clone());
            }
            FlowChange::Remove(flow) => {
                assert!(is_ours_flow(flow));
                flows.retain(|one| !same(one, flow) || one.cookie != flow.cookie);
            }
            FlowChange::RemoveCookie(cookie) => flows.retain(|one| one.cookie != *cookie),
        }
    }
    flows.sort();
}

/// Plans and carries out until there is nothing to do.
fn converge(snapshot: &Snapshot, there: &mut Observed) -> Plan {
    for _ in 0..20 {
        let plan = plan(&desired(snapshot, &settings()), there, &settings());
        if plan.is_empty() {
            return plan;
        }
        apply(&plan, there);
    }
    panic!("there is always something to do");
}

fn flows_of(there: &Observed) -> Vec<String> {
    there.flows["br-sfc"].iter().flatten().map(ToString::to_string).collect()
}

fn reasons(plan: &Plan) -> BTreeMap<&str, &str> {
    let problem = |(id, found): (&'_ String, &Result<Found, Problem>)| Some((id.clone(), found.as_ref().err()?.reason));
    let found: BTreeMap<String, &str> = plan.interfaces.iter().filter_map(problem).collect();
    found.into_iter().map(|(id, reason)| (&*id.leak(), reason)).collect()
}

#[test]
fn two_ports_are_connected_both_ways() {
    let snapshot = Snapshot {
        interfaces: vec![physical("p0"), vf(3)],
        chains: vec![chain("c", &[&["p0", "vf3"]])],
        ..Snapshot::default()
    };
    let mut there = switch(&["br-sfc"]);
    foreign(&mut there, "br-sfc", "p0", 1);
    let plan = converge(&snapshot, &mut there);
    let number = there.interfaces["pf0vf3"].ofport.unwrap();
    assert!((0x4000..0x8000).contains(&number));
    let flows = there.flows["br-sfc"].as_ref().unwrap();
    assert_eq!(flows.len(), 2);
    let to = u32::try_from(number).unwrap();
    assert_eq!((flows[0].matches.clone(), &flows[0].actions[..]), (Match::in_port(1), &[Action::Output(to)][..]));
    assert_eq!((flows[1].matches.clone(), &flows[1].actions[..]), (Match::in_port(to), &[Action::Output(1)][..]));
    assert!(plan.interfaces.values().all(Result::is_ok));
    // The uplink was there before us: it is used and not marked.
    assert!(!plan.interfaces["ns/p0"].as_ref().unwrap().ours);
    assert_eq!(there.ports["p0"].external_ids.len(), 0);
}

#[test]
fn a_vlan_is_a_port_of_its_own() {
    let snapshot = Snapshot {
        interfaces: vec![physical("p0"), vlan("v100", "p0", 100), vf(3), vf(4)],
        chains: vec![chain("c", &[&["v100", "vf3"], &["p0", "vf4"]])],
        ..Snapshot::default()
    };
    let mut there = switch(&["br-sfc"]);
    foreign(&mut there, "br-sfc", "p0", 1);
    converge(&snapshot, &mut there);
    let flows = there.flows["br-sfc"].as_ref().unwrap();
    let tagged = flows.iter().find(|flow| flow.matches.vlan.is_some()).unwrap();
    let plain = flows.iter().find(|flow| flow.matches == Match::in_port(1)).unwrap();
    assert!(tagged.priority > plain.priority);
    assert_eq!(tagged.actions[0], Action::PopVlan);
    let back = flows.iter().find(|flow| flow.actions.ends_with(&[Action::SetVlan(100), Action::Output(1)])).unwrap();
    assert_eq!(back.actions[0], Action::PushVlan);
}

#[test]
fn three_ports_learn_and_what_was_learned_stays_while_it_may() {
    let snapshot = |ports: &[&str]| Snapshot {
        interfaces: vec![vf(1), vf(2), vf(3)],
        chains: vec![chain("c", &[ports])],
        ..Snapshot::default()
    };
    let mut there = switch(&["br-sfc"]);
    converge(&snapshot(&["vf1", "vf2", "vf3"]), &mut there);
    assert_eq!(flows_of(&there).len(), 9);
    let flows = there.flows.get_mut("br-sfc").unwrap().as_mut().unwrap();
    let learners = flows::learners(flows);
    let (port, learn) = learners[0];
    let number = flows.iter().find_map(|flow| flow.matches.registers.get(&0)).copied().unwrap();
    let learned = Flow {
        table: learn.table,
        priority: learn.priority,
        cookie: learn.cookie,
        idle_timeout: learn.idle_timeout,
        matches: Match {
            eth_dst: Some(crate::agent::flow::EthMatch::exact(crate::agent::flow::Mac([2, 0, 0, 0, 0, 1]))),
            registers: BTreeMap::from([(0, number)]),
            ..Match::default()
        },
        actions: vec![Action::Output(port)],
        ..Flow::default()
    };
    assert!(flows::is_learned(&learned, &learners));
    flows.push(learned.clone());
    let wanted = snapshot(&["vf1", "vf2", "vf3"]);
    assert!(plan(&desired(&wanted, &settings()), &there, &settings()).is_empty(), "it may have been learned");
    // A port that leaves takes with it what leads to it.
    let name = there.interfaces.iter().find(|(_, one)| one.ofport == i32::try_from(port).ok()).unwrap().0.clone();
    let rest: Vec<String> =
        ["vf1", "vf2", "vf3"].iter().filter(|vf| format!("pf0{vf}") != name).map(|vf| (*vf).to_owned()).collect();
    let rest: Vec<&str> = rest.iter().map(String::as_str).collect();
    converge(&snapshot(&rest), &mut there);
    assert_eq!(flows_of(&there).len(), 2, "{:#?}", flows_of(&there));
}

#[test]
fn what_cannot_be_made_says_why_and_hurts_nothing_else() {
    let snapshot = Snapshot {
        interfaces: vec![
            vf(1),
            vf(2),
            patch("far"),
            interface("pf", json!({"interfaceType": "pf", "pf": {"pfID": 0}})),
        ],
        chains: vec![chain("c", &[&["vf1", "vf2"], &["far", "pf"]])],
        ..Snapshot::default()
    };
    // Another bridge has the port; the bridge at the other end of the patch is not there.
    let mut there = switch(&["br-sfc", "br-ovn"]);
    foreign(&mut there, "br-ovn", "pf0hpf", 7);
    let plan = converge(&snapshot, &mut there);
    assert_eq!(reasons(&plan), BTreeMap::from([("ns/far", "PeerBridgeMissing"), ("ns/pf", "PortOnOtherBridge")]));
    assert_eq!(flows_of(&there).len(), 2);
    assert_eq!(there.ports["pf0hpf"].bridge, "br-ovn");
    assert_eq!(there.ports.len(), 3);
}

#[test]
fn a_device_that_cannot_be_opened_is_no_port_of_a_switch() {
    let snapshot = Snapshot {
        interfaces: vec![vf(1), vf(2)],
        chains: vec![chain("c", &[&["vf1", "vf2"]])],
        ..Snapshot::default()
    };
    let mut there = switch(&["br-sfc"]);
    converge(&snapshot, &mut there);
    let interface = there.interfaces.get_mut("pf0vf1").unwrap();
    interface.ofport = Some(-1);
    interface.error = Some("could not open network device pf0vf1 (No such device)".to_owned());
    let plan = converge(&snapshot, &mut there);
    assert_eq!(reasons(&plan), BTreeMap::from([("ns/vf1", "DeviceMissing")]));
    assert_eq!(flows_of(&there), Vec::<String>::new());
}

#[test]
fn a_number_that_changes_moves_the_flows() {
    let snapshot = Snapshot {
        interfaces: vec![physical("p0"), vf(1)],
        chains: vec![chain("c", &[&["p0", "vf1"]])],
        ..Snapshot::default()
    };
    let mut there = switch(&["br-sfc"]);
    foreign(&mut there, "br-sfc", "p0", 1);
    converge(&snapshot, &mut there);
    there.interfaces.get_mut("p0").unwrap().ofport = Some(9);
    converge(&snapshot, &mut there);
    let ports: BTreeSet<u32> = there.flows["br-sfc"].iter().flatten().filter_map(|flow| flow.matches.in_port).collect();
    assert!(ports.contains(&9) && !ports.contains(&1));
}

#[test]
fn a_pods_port_is_found_on_either_bridge() {
    let service =
        json!({"interfaceType": "service", "service": {"serviceID": "s", "network": "n", "interfaceName": "app_sf"}});
    let pod = json!({"metadata": {"namespace": "ns", "name": "b", "labels": {SERVICE_LABEL: "s"}}, "spec": {"nodeName": "w"}});
    let snapshot = Snapshot {
        interfaces: vec![physical("p0"), interface("app", service)],
        chains: vec![chain("c", &[&["p0", "app"]])],
        pods: vec![Pod::of(&pod).unwrap()],
        ..Snapshot::default()
    };
    let mut there = switch(&["br-sfc", "br-hbn"]);
    foreign(&mut there, "br-sfc", "p0", 1);
    assert_eq!(reasons(&converge(&snapshot, &mut there)), BTreeMap::from([("ns/app", "PortNotReady")]));
    foreign(&mut there, "br-hbn", "en3f0pf0sf1", 5);
    there.interfaces.get_mut("en3f0pf0sf1").unwrap().external_ids.insert(DPF_ID.to_owned(), "ns/b/app_sf".to_owned());
    foreign(&mut there, "br-sfc", "pen3f0pf0sf1brsfc", 6);
    let plan = converge(&snapshot, &mut there);
    assert_eq!(plan.interfaces["ns/app"].as_ref().unwrap().member.ofport, 6);
    there.ports.get_mut("en3f0pf0sf1").unwrap().bridge = "br-sfc".to_owned();
    let plan = converge(&snapshot, &mut there);
    assert_eq!(plan.interfaces["ns/app"].as_ref().unwrap().member.ofport, 5);
}

#[test]
fn messages_of_clocks_go_to_the_service_that_keeps_the_time_alone() {
    let labels = json!({SERVICE_LABEL: "time", "svc.dpu.nvidia.com/custom-flows": "firefly"});
    let pod = json!({"metadata": {"namespace": "ns", "name": "pod", "labels": labels}, "spec": {"nodeName": "w"}});
    let service =
        json!({"interfaceType": "service", "service": {"serviceID": "time", "network": "n", "interfaceName": "if"}});
    let mut snapshot = Snapshot {
        interfaces: vec![physical("p0"), vf(1), interface("time", service)],
        chains: vec![chain("c", &[&["p0", "vf1", "time"]])],
        pods: vec![Pod::of(&pod).unwrap()],
        ..Snapshot::default()
    };
    let mut there = switch(&["br-sfc"]);
    foreign(&mut there, "br-sfc", "rep", 9);
    let ids = &mut there.interfaces.get_mut("rep").unwrap().external_ids;
    ids.insert(DPF_ID.to_owned(), "ns/pod/if".to_owned());
    converge(&snapshot, &mut there);
    let p0 = there.interfaces["p0"].ofport.unwrap();
    let clocks = |there: &Observed| -> Vec<String> {
        flows_of(there).into_iter().filter(|flow| flow.contains("01:80:c2:00:00:0e")).collect()
    };
    let found = clocks(&there);
    let ways = [(p0, 9), (9, p0)].map(|(from, to)| (format!("in_port={from},"), format!("actions=output:{to}")));
    assert_eq!(found.len(), 2, "{found:?}");
    for (from, to) in ways {
        assert!(found.iter().any(|flow| flow.contains(&from) && flow.ends_with(&to)), "{from} {to} in {found:?}");
    }
    // Any other service has what is for many as everybody else.
    snapshot.pods[0].meta.labels.remove("svc.dpu.nvidia.com/custom-flows");
    converge(&snapshot, &mut there);
    assert_eq!(clocks(&there), [""; 0]);
}

#[test]
fn dpfs_own_flows_of_a_chain_give_way_and_others_do_not() {
    let snapshot = Snapshot {
        interfaces: vec![physical("p0"), physical("p1")],
        chains: vec![chain("c", &[&["p0", "p1"]])],
        ..Snapshot::default()
    };
    let mut there = switch(&["br-sfc"]);
    foreign(&mut there, "br-sfc", "p0", 1);
    foreign(&mut there, "br-sfc", "p1", 2);
    let dpf = |chain: &str| Flow {
        priority: 20,
        cookie: hash::dpf_cookie(&Key::new("ns", chain)),
        matches: Match::in_port(1),
        ..Flow::default()
    };
    // In the very place that ours would have.
    let other = Flow { priority: 40, cookie: 7, matches: Match::in_port(2), ..Flow::default() };
    there.flows.insert("br-sfc".to_owned(), Some(vec![dpf("c"), dpf("gone"), other.clone()]));
    let plan = converge(&snapshot, &mut there);
    let left = there.flows["br-sfc"].as_ref().unwrap();
    assert!(!left.contains(&dpf("c")) && left.contains(&dpf("gone")) && left.contains(&other));
    assert_eq!(plan.conflicts.values().collect::<Vec<_>>(), [&other]);
    assert_eq!(left.len(), 3);
}

#[test]
fn dpfs_own_flows_stay_until_every_port_of_the_chain_is_found() {
    let mut snapshot = Snapshot {
        interfaces: vec![physical("p0")],
        chains: vec![chain("c", &[&["p0", "p1"]])],
        ..Snapshot::default()
    };
    let mut there = switch(&["br-sfc"]);
    let dpf = Flow { priority: 20, cookie: hash::dpf_cookie(&Key::new("ns", "c")), ..Flow::default() };
    there.flows.insert("br-sfc".to_owned(), Some(vec![dpf.clone()]));
    converge(&snapshot, &mut there);
    assert_eq!(there.flows["br-sfc"].as_deref(), Some(&[dpf][..]));
    snapshot.interfaces.push(physical("p1"));
    converge(&snapshot, &mut there);
    assert!(there.flows["br-sfc"].iter().flatten().all(is_ours_flow));
}

#[test]
fn what_nobody_can_read_any_more_keeps_what_it_has() {
    let good = Snapshot {
        interfaces: vec![vf(1), vf(2), vf(3)],
        chains: vec![chain("c", &[&["vf1", "vf2", "vf3"]])],
        ..Snapshot::default()
    };
    let mut there = switch(&["br-sfc"]);
    converge(&good, &mut there);
    // As an agent finds it that has just begun.
    let unread = |mut snapshot: Snapshot| {
        snapshot.interfaces[0].kind = Err(Invalid { path: "spec".to_owned(), reason: String::new() });
        snapshot.chains[0].switches = Err(Invalid { path: "spec".to_owned(), reason: String::new() });
        snapshot
    };
    let bad = unread(good);
    let before = there.clone();
    assert!(converge(&bad, &mut there).is_empty());
    assert_eq!(there, before);
    // A port that is gone leaves no flow that names it.
    let number = there.interfaces.remove("pf0vf2").unwrap().ofport.and_then(|number| u32::try_from(number).ok());
    there.ports.remove("pf0vf2");
    let without = Snapshot { interfaces: vec![bad.interfaces[0].clone(), bad.interfaces[2].clone()], ..bad };
    converge(&without, &mut there);
    let left = there.flows["br-sfc"].iter().flatten();
    assert!(left.clone().count() > 0);
    assert!(left.clone().flat_map(Flow::ports).all(|port| Some(port) != number));
}

#[test]
fn a_patch_is_judged_by_its_rows() {
    let snapshot = Snapshot { interfaces: vec![patch("far")], ..Snapshot::default() };
    let mut there = switch(&["br-sfc", "br-x"]);
    let plan = converge(&snapshot, &mut there);
    let near = plan.interfaces["ns/far"].as_ref().unwrap().port.clone();
    let far = there.interfaces[&near].options["peer"].clone();
    let said = |change: &dyn Fn(&mut Observed)| {
        let mut there = there.clone();
        there.interfaces.get_mut(&near).unwrap().error = Some("No usable peer".to_owned());
        change(&mut there);
        let plan = super::plan(&desired(&snapshot, &settings()), &there, &settings());
        (broken(&there, &near).map(|why| why.replace(&far, "FAR")), plan.relink.len())
    };
    let broken = |why: &str| (Some(why.to_owned()), 0);
    let of_far = |there: &mut Observed| there.interfaces.get_mut(&far).unwrap().clone();
    let set = |there: &mut Observed, one: observed::Interface| drop(there.interfaces.insert(far.clone(), one));
    assert_eq!(said(&|_| ()), (None, 1));
    assert_eq!(said(&|there| there.interfaces.get_mut(&near).unwrap().error = None), (None, 0));
    assert_eq!(said(&|there| there.interfaces.get_mut(&near).unwrap().error = Some(String::new())), (None, 0));
    assert_eq!(said(&|there| there.interfaces.get_mut(&near).unwrap().ofport = None), (None, 0));
    assert_eq!(
        said(&|there| drop(there.interfaces.remove(&far))),
        broken("there is no port `FAR`, which is its other end")
    );
    let kind = |there: &mut Observed| {
        let one = of_far(there);
        set(there, observed::Interface { kind: "dpdk".to_owned(), ..one });
    };
    assert_eq!(said(&kind), broken("`FAR`, which is its other end, is no patch"));
    let back = |there: &mut Observed| {
        let one = of_far(there);
        set(there, observed::Interface { options: [("peer".to_owned(), "y".to_owned())].into(), ..one });
    };
    assert_eq!(said(&back), broken("`FAR`, which is its other end, leads to `y`"));
    let number = |there: &mut Observed| {
        let one = of_far(there);
        set(there, observed::Interface { ofport: Some(-1), ..one });
    };
    assert_eq!(said(&number), broken("the switch cannot make `FAR`, which is its other end"));
    let datapath = |there: &mut Observed| there.bridges.get_mut("br-x").unwrap().datapath_type = "netdev".to_owned();
    let why = "`FAR`, which is its other end, is on `br-x` of the datapath `netdev`, and `br-sfc` is of `system`";
    assert_eq!(said(&datapath), broken(why));
    // Somebody else's is theirs to mend.
    let foreign = |there: &mut Observed| {
        there.interfaces.get_mut(&near).unwrap().external_ids.clear();
        there.ports.get_mut(&near).unwrap().external_ids.clear();
    };
    assert_eq!(said(&foreign), (None, 0));
    assert_eq!(super::broken(&there, "br-sfc"), None);
}

#[test]
fn uplinks_of_ours_stay_unless_told() {
    let snapshot = Snapshot { interfaces: vec![physical("p1"), vf(1)], ..Snapshot::default() };
    let mut there = switch(&["br-sfc"]);
    converge(&snapshot, &mut there);
    let plan = converge(&Snapshot::default(), &mut there);
    assert_eq!((plan.kept.iter().map(String::as_str).collect::<Vec<_>>(), there.ports.len()), (vec!["p1"], 1));
    let told = Settings { remove_uplinks: true, ..settings() };
    let last = super::plan(&Desired::default(), &there, &told);
    assert_eq!(last.ports, [PortChange::Remove { name: "p1".to_owned(), bridge: "br-sfc".to_owned() }]);
}

#[test]
fn a_transaction_takes_few_ports_away() {
    let all = Snapshot { interfaces: (0..45).map(vf).collect(), ..Snapshot::default() };
    let mut there = switch(&["br-sfc"]);
    converge(&all, &mut there);
    let mut rounds = Vec::new();
    loop {
        let plan = plan(&Desired::default(), &there, &settings());
        if plan.is_empty() {
            break;
        }
        rounds.push(plan.ports.len());
        apply(&plan, &mut there);
    }
    assert_eq!(rounds, [20, 20, 5]);
}

/// What a person may change: which interfaces there are, and how chains connect them.
#[derive(Clone, Debug)]
struct World {
    vfs: BTreeSet<u16>,
    vlans: BTreeSet<u16>,
    patched: bool,
    chains: Vec<Vec<Vec<u16>>>,
}

impl World {
    fn snapshot(&self) -> Snapshot {
        let name = |port: &u16| match port {
            0 => "p0".to_owned(),
            port @ 1..=9 => format!("vf{port}"),
            10 => "far".to_owned(),
            port => format!("v{port}"),
        };
        let mut interfaces = vec![physical("p0")];
        interfaces.extend(self.vfs.iter().copied().map(vf));
        interfaces.extend(self.vlans.iter().map(|id| vlan(&format!("v{id}"), "p0", *id)));
        interfaces.extend(self.patched.then(|| patch("far")));
        let chains = self.chains.iter().zip(0..).map(|(switches, index)| {
            let switches: Vec<Vec<String>> = switches.iter().map(|ports| ports.iter().map(name).collect()).collect();
            let switches: Vec<Vec<&str>> =
                switches.iter().map(|ports| ports.iter().map(String::as_str).collect()).collect();
            let switches: Vec<&[&str]> = switches.iter().map(Vec::as_slice).collect();
            chain(&format!("c{index}"), &switches)
        });
        Snapshot { interfaces, chains: chains.collect(), ..Snapshot::default() }
    }
}

fn worlds() -> impl Strategy<Value = World> {
    let ports = prop::collection::vec(0..14u16, 0..5);
    let chains = prop::collection::vec(prop::collection::vec(ports, 0..4), 0..4);
    let (vfs, vlans) = (prop::collection::btree_set(1..10u16, 0..8), prop::collection::btree_set(11..14u16, 0..3));
    (vfs, vlans, any::<bool>(), chains).prop_map(|(vfs, vlans, patched, chains)| World { vfs, vlans, patched, chains })
}

/// A switch with others' ports and flows on it.
fn lived_in() -> Observed {
    let mut there = switch(&["br-sfc", "br-x"]);
    foreign(&mut there, "br-sfc", "p0", 1);
    foreign(&mut there, "br-sfc", "others", 0x4123);
    foreign(&mut there, "br-x", "pf0vf9", 3);
    let flow = |priority, port| Flow { priority, cookie: 7, matches: Match::in_port(port), ..Flow::default() };
    there.flows.insert("br-sfc".to_owned(), Some(vec![flow(40, 2), flow(100, 1)]));
    there
}

/// What is not ours.
fn of_others(there: &Observed) -> (Vec<(String, observed::Port, observed::Interface)>, Vec<Flow>) {
    let port = |(name, port): (&String, &observed::Port)| {
        owner(there, name).is_none().then(|| (name.clone(), port.clone(), there.interfaces[name].clone()))
    };
    let flows = there.flows.values().flatten().flatten().filter(|flow| !is_ours_flow(flow)).cloned();
    (there.ports.iter().filter_map(port).collect(), flows.collect())
}

#[test]
fn a_port_is_opened_anew_for_a_device_that_was_made_again() {
    let settings = Settings { port_type: String::new(), ..settings() };
    let snapshot = Snapshot { interfaces: vec![vf(1)], ..Snapshot::default() };
    let desired = desired(&snapshot, &settings);
    let mut there = switch(&["br-sfc"]);
    let mut next = |index: i64| {
        if let Some(interface) = there.interfaces.get_mut("pf0vf1") {
            interface.ifindex = Some(index);
        }
        let plan = plan(&desired, &there, &settings);
        apply(&plan, &mut there);
        let number = there.interfaces["pf0vf1"].ofport_request;
        (plan.ports, number)
    };
    let (_, first) = next(0);
    let (noted, number) = next(7);
    assert!(matches!(&noted[..], [PortChange::Update { columns, .. }] if columns.is_note()), "{noted:?}");
    assert_eq!((number, next(7).0), (first, vec![]));
    assert_eq!(next(0).0, [], "there is no device");
    let (opened, number) = next(9);
    assert!(matches!(&opened[..], [PortChange::Update { columns, .. }] if !columns.is_note()), "{opened:?}");
    assert_ne!(number, first);
    assert_eq!(next(9).0, []);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_history_ends_where_a_fresh_start_does(history in prop::collection::vec(worlds(), 1..5)) {
        let mut there = lived_in();
        let before = of_others(&there);
        for world in &history {
            converge(&world.snapshot(), &mut there);
        }
        let mut fresh = lived_in();
        let last = history.last().unwrap().snapshot();
        let plan = converge(&last, &mut fresh);
        prop_assert_eq!(&there, &fresh);
        prop_assert_eq!(of_others(&there), before);
        // A port is in one switch, and every flow leads to a port of its own chain.
        let mut members = BTreeSet::new();
        for found in plan.chains.values().flatten().flatten().flatten() {
            prop_assert!(members.insert(found.member), "{:?} twice", found);
        }
    }

    #[test]
    fn a_crash_at_any_change_heals(before in worlds(), after in worlds(), ports in 0..12usize, flows in 0..12usize) {
        let mut there = lived_in();
        converge(&before.snapshot(), &mut there);
        let mut begun = plan(&desired(&after.snapshot(), &settings()), &there, &settings());
        begun.ports.truncate(ports);
        begun.flows.truncate(flows);
        apply(&begun, &mut there);
        converge(&after.snapshot(), &mut there);
        let mut fresh = lived_in();
        converge(&after.snapshot(), &mut fresh);
        prop_assert_eq!(there, fresh);
    }
}
