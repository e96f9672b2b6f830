//! What the objects ask for.

use serde_json::{Value, json};

use super::*;

fn settings() -> Settings {
    Settings {
        node: "w".to_owned(),
        bridge: "br-sfc".to_owned(),
        port_type: "dpdk".to_owned(),
        mtu: None,
        remove_uplinks: false,
    }
}

fn interface(name: &str, label: &str, mut spec: Value) -> Interface {
    if spec.get("node").is_none() {
        spec["node"] = json!("w");
    }
    let created = format!("2026-01-01T00:00:{:02}Z", name.len());
    let metadata = json!({"namespace": "ns", "name": name, "labels": {"port": label}, "creationTimestamp": created});
    Interface::of(&json!({"metadata": metadata, "spec": spec})).unwrap()
}

fn chain(name: &str, created: &str, switches: &[&[&str]]) -> Chain {
    let port = |label: &&str| json!({"serviceInterface": {"matchLabels": {"port": label}}});
    let switches: Vec<Value> =
        switches.iter().map(|ports| json!({"ports": ports.iter().map(port).collect::<Vec<_>>()})).collect();
    let metadata = json!({"namespace": "ns", "name": name, "creationTimestamp": created});
    Chain::of(&json!({"metadata": metadata, "spec": {"node": "w", "switches": switches}})).unwrap()
}

fn pod(name: &str, service: &str, phase: &str, ready: bool) -> Pod {
    let status =
        json!({"phase": phase, "conditions": [{"type": "Ready", "status": if ready { "True" } else { "False" }}]});
    let metadata = json!({"namespace": "ns", "name": name, "labels": {SERVICE_LABEL: service}});
    Pod::of(&json!({"metadata": metadata, "spec": {"nodeName": "w"}, "status": status})).unwrap()
}

fn physical(name: &str) -> Value {
    json!({"interfaceType": "physical", "physical": {"interfaceName": name}})
}

/// The place of each interface, or the reason why it has none.
fn places(interfaces: &[Interface], pods: &[Pod]) -> Vec<String> {
    let snapshot = Snapshot { interfaces: interfaces.to_vec(), pods: pods.to_vec(), ..Snapshot::default() };
    let said = |one: &Placed| match &one.place {
        Ok(place) => format!("{place:?}"),
        Err(problem) => problem.reason.to_owned(),
    };
    desired(&snapshot, &settings()).interfaces.iter().map(said).collect()
}

#[test]
fn names_of_ports_are_those_of_dpf() {
    let interfaces = [
        interface("a", "", physical("p0")),
        interface("bb", "", json!({"interfaceType": "pf", "pf": {"pfID": 1}})),
        interface("ccc", "", json!({"interfaceType": "vf", "vf": {"pfID": 0, "vfID": 3}})),
        interface("dddd", "", json!({"interfaceType": "ovn"})),
        interface("eeeee", "", json!({"interfaceType": "ovn", "ovn": {"externalBridge": "br-x"}})),
    ];
    let snapshot = Snapshot { interfaces: interfaces.to_vec(), ..Snapshot::default() };
    let desired = desired(&snapshot, &settings());
    let names: Vec<(&str, &str)> =
        desired.ports.iter().map(|(name, port)| (name.as_str(), port.bridge.as_str())).collect();
    assert_eq!(
        names,
        [
            ("p0", "br-sfc"),
            ("pf0vf3", "br-sfc"),
            ("pf1hpf", "br-sfc"),
            ("puplinkbrovn", "br-ovn"),
            ("puplinkbrsfc", "br-sfc"),
            ("puplinkbrsfctobrx", "br-sfc"),
            ("puplinkbrxtobrsfc", "br-x"),
        ]
    );
    // OVN-Kubernetes' end carries no identifier of DPF.
    assert!(desired.ports["puplinkbrovn"].external_ids.is_empty());
    assert_eq!(desired.ports["puplinkbrsfc"].external_ids[DPF_ID], "ns/dddd");
}

#[test]
fn a_patch_is_named_by_the_hash_of_its_interface() {
    let mut patch = interface(
        "patch1",
        "",
        json!({"interfaceType": "patch", "patch": {"peerBridge": "br-y", "peerExternalIDs": {"k": "v"}}}),
    );
    patch.id = "dpf-operator-system/patch1".to_owned();
    let snapshot = Snapshot { interfaces: vec![patch], ..Snapshot::default() };
    let ports = desired(&snapshot, &settings()).ports;
    let far = &ports["p_bry_to_brsfc_4845e2ea"];
    assert_eq!(far.kind, PortKind::Patch { peer: "p_brsfc_to_bry_4845e2ea".to_owned() });
    assert_eq!(
        far.external_ids,
        [("dpf-id", "dpf-operator-system/patch1"), ("k", "v")].map(|(k, v)| (k.to_owned(), v.to_owned())).into()
    );
    assert_eq!(ports["p_brsfc_to_bry_4845e2ea"].bridge, "br-sfc");
}

#[test]
fn what_cannot_be_had_says_why() {
    let other =
        interface("a", "", json!({"interfaceType": "physical", "physical": {"interfaceName": "p0"}, "node": "other"}));
    let taken = interface("ccc", "", physical("p0"));
    let vlan = |parent: &str| json!({"interfaceType": "vlan", "vlan": {"vlanID": 7, "parentInterfaceRef": parent}});
    let found = places(
        &[
            other,
            interface("bb", "", physical("p0")),
            taken,
            interface("dddd", "", vlan("bb")),
            interface("eeeee", "", vlan("gone")),
            interface("ffffff", "", vlan("bb")),
            interface("ggggggg", "", json!({"interfaceType": "pf", "pf": {"pfID": 0, "virtualNetwork": "x"}})),
            interface("hhhhhhhh", "", json!({"interfaceType": "pf"})),
            interface("iiiiiiiii", "", json!({"interfaceType": "patch", "patch": {"peerBridge": "br-sfc"}})),
        ],
        &[],
    );
    let expected = [
        r#"Port("p0")"#,
        "NameConflict",
        r#"Vlan("p0", 7)"#,
        "ParentNotFound",
        "NameConflict",
        "ManagedByOther",
        "InvalidSpec",
        "InvalidSpec",
    ];
    assert_eq!(found, expected);
}

#[test]
fn the_pod_that_serves_counts() {
    let service =
        json!({"interfaceType": "service", "service": {"serviceID": "s", "network": "n", "interfaceName": "app_sf"}});
    let place = |pods: &[Pod]| places(&[interface("i", "", service.clone())], pods).remove(0);
    let serving = r#"Pod("ns/b/app_sf")"#;
    assert_eq!(place(&[]), "PodNotFound");
    assert_eq!(place(&[pod("b", "other", "Running", true)]), "PodNotFound");
    assert_eq!(place(&[pod("b", "s", "Pending", false)]), serving);
    assert_eq!(place(&[pod("a", "s", "Succeeded", false), pod("b", "s", "Running", false)]), serving);
    assert_eq!(place(&[pod("a", "s", "Running", false), pod("b", "s", "Running", true)]), serving);
    assert_eq!(place(&[pod("a", "s", "Running", true), pod("b", "s", "Running", true)]), "PodAmbiguous");
}

#[test]
fn a_port_belongs_to_one_switch_the_older_chains() {
    let interfaces = [
        interface("a", "p0", physical("p0")),
        interface("bb", "p1", physical("p1")),
        interface("ccc", "p2", physical("p2")),
    ];
    let chains = [
        chain("new", "2026-02-01T00:00:00Z", &[&["p0", "p2"]]),
        chain("old", "2026-01-01T00:00:00Z", &[&["p0", "p1"], &["p1", "p1", "p9"]]),
    ];
    let snapshot = Snapshot { interfaces: interfaces.to_vec(), chains: chains.to_vec(), ..Snapshot::default() };
    let desired = desired(&snapshot, &settings());
    let said: Vec<(String, Vec<Vec<String>>)> = desired
        .chains
        .iter()
        .map(|chain| {
            let port = |port: &DesiredPort| match &port.place {
                Ok(Place::Port(name)) => name.clone(),
                other => other.as_ref().map_or_else(|problem| problem.reason.to_owned(), |place| format!("{place:?}")),
            };
            let switches = chain.switches.as_ref().unwrap().iter();
            (chain.meta.key.name.clone(), switches.map(|switch| switch.ports.iter().map(port).collect()).collect())
        })
        .collect();
    let twice = "PortInTwoSwitches".to_owned();
    let text = str::to_owned;
    let expected = [
        (
            text("old"),
            vec![vec![text("p0"), text("p1")], vec![twice.clone(), twice.clone(), text("InterfaceNotFound")]],
        ),
        (text("new"), vec![vec![twice, text("p2")]]),
    ];
    assert_eq!(said, expected);
}

#[test]
fn what_is_being_deleted_is_gone() {
    let mut going = interface("a", "p0", physical("p0"));
    going.meta.deleting = true;
    let snapshot = Snapshot { interfaces: vec![going], ..Snapshot::default() };
    assert_eq!(desired(&snapshot, &settings()), Desired::default());
}
