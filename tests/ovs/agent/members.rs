//! Objects that come as parts of others: members of Sets, and entries of a `NodeServiceInterfaces`.

use serde_json::{Value, json};

use super::{Lab, chain, condition, object, pod, vf};

/// A Set whose members are like this object, on nodes with a label.
fn set(mut object: Value, rack: &str) -> Value {
    let kind = format!("{}Set", object["kind"].as_str().unwrap());
    object["spec"].as_object_mut().unwrap().remove("node");
    json!({
        "apiVersion": "svc.dpu.nvidia.com/v1alpha1", "kind": kind,
        "metadata": {"namespace": "ns", "name": object["metadata"]["name"]},
        "spec": {
            "nodeSelector": {"matchLabels": {"rack": rack}},
            "template": {"metadata": {"labels": object["metadata"]["labels"]}, "spec": object["spec"]},
        },
    })
}

fn node(rack: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "w", "labels": {"rack": rack}}})
}

#[test]
fn members_of_sets_come_and_go_with_the_labels_of_the_node() {
    let lab = Lab::start(&["br-sfc", "br-ovn"]);
    let (before, none) = (lab.rows(), lab.named_flows());
    let vlan = object(
        "ServiceInterface",
        "v7",
        json!({"interfaceType": "vlan", "vlan": {"parentInterfaceRef": "vf3", "vlanID": 7}}),
    );
    let ovn = object("ServiceInterface", "ovn", json!({"interfaceType": "ovn"}));
    let sets = [set(vf(1), "r1"), set(vf(2), "r2"), set(vf(3), "r1"), set(vlan, "r1"), set(ovn, "r1")];
    lab.put("interfaces", &sets);
    lab.put(
        "chains",
        &[set(chain("c", &[&["vf1", "v7"], &["ovn", "vf3"]]), "r1"), set(chain("d", &[&["vf2", "vf1"]]), "r2")],
    );
    lab.put(
        "other",
        &[json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "x", "labels": {"rack": "r1"}}})],
    );
    let agent = lab.agent_with(&["--sets"]);
    lab.until_condition("Ready", "True/Success");
    assert_eq!(lab.rows(), before, "the node is not known, so no Set selects it");
    lab.put("node", &[node("r1")]);
    lab.until_flows(4);
    lab.until_condition("Ready", "True/Success");
    let flows = [
        "priority=40,in_port=pf0vf1 actions=push_vlan:0x8100,set_field:4103->vlan_vid,output:pf0vf3",
        "priority=40,in_port=pf0vf3 actions=output:puplinkbrsfc",
        "priority=40,in_port=puplinkbrsfc actions=output:pf0vf3",
        "priority=41,in_port=pf0vf3,dl_vlan=7 actions=pop_vlan,output:pf0vf1",
    ];
    assert_eq!(lab.named_flows(), flows.map(str::to_owned).into());
    assert_eq!(lab.node()["status"]["summary"], json!({"interfaces": "4/4", "chains": "1/1"}));
    assert_eq!(
        lab.switch.vsctl(&["get", "interface", "pf0vf1", "external_ids"]).trim(),
        "{dpf-id=\"ns/vf1-w\", dpu-agent=\"ns/vf1-w\"}"
    );
    lab.until_condition_of("chains", "c-w", "Ready", "True/Success");
    // Another rack: one member goes, others come, and one of each chain is not there.
    lab.put("node", &[node("r2")]);
    lab.until("the members of the other rack are there", || lab.ports("br-sfc") == ["pf0vf2"]);
    lab.until_condition_of("chains", "d-w", "PortsResolved", "False/InterfaceNotFound");
    lab.until_flows(0);
    assert_eq!(lab.ports("br-ovn"), [""; 0]);
    lab.put("node", &[node("r3")]);
    lab.until("nothing is left", || lab.rows() == before && lab.named_flows() == none);
    lab.until_condition("Ready", "True/Success");
    // Without being asked it reads no Set.
    lab.put("node", &[node("r1")]);
    lab.until_flows(4);
    drop(agent);
    let _agent = lab.agent();
    lab.until("nothing is left", || lab.rows() == before && lab.named_flows() == none);
}

fn entries(list: &[Value]) -> Value {
    let mut one = object("NodeServiceInterfaces", "w-sfc", json!({"type": "sfc", "interfaces": list}));
    one["metadata"]["namespace"] = json!("central");
    one
}

fn entry(name: &str, label: &str, kind: &str, block: Value) -> Value {
    json!({"name": format!("ns_{name}"), "labels": {"port": label}, "interfaceType": kind, (kind): block})
}

/// A condition of an entry, as its owner reads it.
fn told(lab: &Lab, name: &str, kind: &str) -> String {
    let text = std::fs::read_to_string(lab.status.path().join("nodeserviceinterfaces-central-w-sfc.json"));
    let object: Value = serde_json::from_str(&text.unwrap_or_default()).unwrap_or_default();
    let list = object["status"]["interfaceStatuses"].as_array().cloned().unwrap_or_default();
    let one = list.into_iter().find(|one| one["name"] == name).unwrap_or_default();
    condition(&one["conditions"], kind)
}

#[test]
fn an_entry_is_released_before_its_owner_drops_it() {
    let lab = Lab::start(&["br-sfc", "br-ex"]);
    let (before, none) = (lab.rows(), lab.named_flows());
    let patch = json!({"peerBridge": "br-ex"});
    let service = json!({"serviceID": "app", "network": "mybrsfc", "interfaceName": "net1"});
    let mut list = vec![
        entry("vf1", "vf1", "vf", json!({"pfID": 0, "vfID": 1})),
        entry("out", "out", "patch", patch),
        entry("app", "app", "service", service),
    ];
    lab.put("entries", &[entries(&list)]);
    // A ServiceInterface with the labels of an entry: the entry counts.
    let mut other = vf(5);
    other["metadata"]["labels"] = json!({"port": "vf1"});
    lab.put("other", &[other]);
    lab.put("chain", &[chain("c", &[&["vf1", "out", "app"]])]);
    lab.put("pods", &[pod("app-1", "app", true)]);
    let _agent = lab.agent();
    lab.until("a pod's port is missed", || told(&lab, "ns_app", "Ready") == "False/PortNotReady");
    lab.cni_adds("br-sfc", "en3f0pf0sf1", "ns/app-1/net1");
    lab.until_flows(9);
    lab.until_condition("Ready", "True/Success");
    for name in ["ns_vf1", "ns_out", "ns_app"] {
        lab.until(&format!("{name} is ready"), || told(&lab, name, "Ready") == "True/Success");
    }
    let rows = lab.rows();
    assert!(
        rows.contains("br-sfc pf0vf1: dummy {dpf-id=ns_vf1, dpu-agent=ns_vf1} {} [] in {dpu-agent=ns_vf1} []"),
        "{rows:?}"
    );
    assert!(lab.named_flows().iter().all(|flow| !flow.contains("pf0vf5")));
    let near = lab.ports("br-sfc").into_iter().find(|port| port.starts_with("p_brsfc_to_brex_")).unwrap();
    // One goes: its ports are gone before it is said to be released.
    list[1]["terminating"] = json!(true);
    lab.put("entries", &[entries(&list)]);
    lab.until("it is released", || told(&lab, "ns_out", "ResourceReleased") == "True/Success");
    assert!(!lab.ports("br-sfc").contains(&near) && lab.ports("br-ex").is_empty());
    lab.until_flows(2);
    lab.until("the others are ready", || told(&lab, "ns_vf1", "Ready") == "True/Success");
    list.remove(1);
    lab.put("entries", &[entries(&list)]);
    lab.until("it is not told any more", || told(&lab, "ns_out", "ResourceReleased").is_empty());
    // All go; where the port is the CNI's there is nothing to wait for.
    for one in &mut list {
        one["terminating"] = json!(true);
    }
    lab.put("entries", &[entries(&list)]);
    for name in ["ns_vf1", "ns_app"] {
        lab.until("it is released", || told(&lab, name, "ResourceReleased") == "True/Success");
    }
    assert!(!lab.ports("br-sfc").contains(&"pf0vf1".to_owned()));
    // The ServiceInterface with the same labels is what the chain takes now.
    lab.until("the chain waits for its other ports", || {
        lab.condition_of("chains", "c", "PortsResolved") == "False/InterfaceNotFound"
    });
    for name in ["entries", "other", "chain", "pods"] {
        lab.remove(name);
    }
    lab.switch.vsctl(&["del-port", "br-sfc", "en3f0pf0sf1"]);
    lab.until("nothing is left", || lab.rows() == before && lab.named_flows() == none);
}
