//! A card from its first object to its last, where the renderer brings the kinds.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::audit::{granted, requests, used};
use super::card::{Card, Chains, NAMESPACE, NODE, chain, condition, crds_of, physical, vf};
use crate::wait;

const FINALIZER: &str = "svc.dpu.nvidia.com/ServiceInterface-finalizer";
const CHAIN_FINALIZER: &str = "svc.dpu.nvidia.com/ServiceChain-finalizer";

/// Head and row of an object in a table of `kubectl get`. No column of ours has a blank in it.
fn columns(card: &Card, kind: &str, name: &str) -> Vec<(String, String)> {
    let table = card.kubectl().run(&["get", kind, name, "--namespace", NAMESPACE]);
    let words =
        |line: usize| table.lines().nth(line).unwrap().split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let (head, row) = (words(0), words(1));
    assert_eq!(head.len(), row.len(), "{table}");
    head.into_iter().zip(row).collect()
}

/// All columns but the age.
fn reads(card: &Card, kind: &str, name: &str, expected: &[(&str, &str)]) {
    let expected: Vec<(String, String)> =
        expected.iter().map(|(head, cell)| ((*head).to_owned(), (*cell).to_owned())).collect();
    card.until_is(&format!("the row of {name}"), &expected, || {
        let mut columns = columns(card, kind, name);
        assert_eq!(columns.pop().unwrap().0, "AGE");
        columns
    });
}

fn events(card: &Card) -> Vec<Value> {
    ["default", NAMESPACE].iter().flat_map(|namespace| card.kubectl().list("events.events.k8s.io", namespace)).collect()
}

/// Everything that the agent may do happens here, and nothing that it may not.
#[test]
#[ignore = "needs the programs and the network of the lab: make e2e"]
fn a_card_programs_itself_and_says_so() {
    let Some(crds) = crds_of("dpf-v26.8-nightly") else { return };
    let card = Card::start("life", 9100, Chains::Ours);
    // The kind that the renderer does not bring.
    let entries: Vec<_> =
        crds.into_iter().filter(|file| file.ends_with("svc.dpu.nvidia.com_nodeserviceinterfaces.yaml")).collect();
    card.kubectl().apply_crds(&entries);
    card.kubectl().apply(&[physical("p0"), vf(1), chain("c", &["p0", "vf1"])]);
    // It looks again at what it wrote while it is watched below.
    card.start_agent(&["--audit=2"]);
    card.until_flows(2);
    card.until_ready();

    says_how_it_stands(&card);
    rests(&card);
    follows_edits(&card);
    repairs(&card);
    releases_an_entry(&card);
    lets_go(&card);

    // What it asked for is what it may, each right is of use, and none was missing.
    let requests = requests(&card);
    let refused: Vec<_> = requests.iter().filter(|one| matches!(one.code, 401 | 403)).collect();
    assert!(refused.is_empty(), "{refused:#?}");
    let (granted, used) = (granted(&card), used(&requests));
    let unused: BTreeSet<_> = granted.difference(&used).collect();
    assert!(unused.is_empty(), "rights that nothing needs: {unused:#?}");
    let said = card.said();
    assert!(!said.contains("forbidden") && !said.contains("may not"), "{said}");
}

/// Conditions, details and columns.
fn says_how_it_stands(card: &Card) {
    for (plural, name) in [("servicechains", "c"), ("serviceinterfaces", "vf1")] {
        card.until_is("it is ready", &"True/Success".to_owned(), || card.condition(plural, name, "Ready"));
        let object = card.get(plural, name);
        assert_eq!(object["status"]["observedGeneration"], object["metadata"]["generation"]);
        let conditions = object["status"]["conditions"].as_array().unwrap();
        assert!(conditions.iter().all(|one| one["observedGeneration"] == object["metadata"]["generation"]));
    }
    assert_eq!(card.get("serviceinterfaces", "vf1")["status"]["port"]["name"], "pf0vf1");
    assert_eq!(card.get("servicechains", "c")["status"]["flows"]["installed"], 2);
    let ready = [("READY", "True"), ("REASON", "Success")];
    let row =
        |more: &[(&'static str, &'static str)], rest: &[(&'static str, &'static str)]| [more, &ready, rest].concat();
    reads(card, "servicechains", "c", &row(&[("NAME", "c"), ("NODE", NODE)], &[]));
    let vf1 = [("NAME", "vf1"), ("IFTYPE", "vf"), ("NODE", NODE), ("PORT", "pf0vf1")];
    reads(card, "serviceinterfaces", "vf1", &row(&vf1, &[]));
    let node = [("INTERFACES", "2/2"), ("CHAINS", "1/1"), ("BRIDGE", "br-sfc")];
    reads(card, "dpunodenetworkstatuses", NODE, &row(&[("NAME", NODE)], &node));
    let owner = card.kubectl().get("dpunodenetworkstatuses", "default", NODE).unwrap();
    assert_eq!(owner["metadata"]["ownerReferences"][0]["kind"], "Node", "it goes with its node");
}

/// Nothing that it writes becomes another while nothing else does, whatever it looks at again meanwhile.
fn rests(card: &Card) {
    let before = card.versions();
    let asked = || {
        requests(card).iter().filter(|one| one.uri.contains("dpunodenetworkstatuses") && one.verb == "patch").count()
    };
    let audits = asked();
    wait::stays("at rest", 6, || match card.versions() {
        now if now == before => Ok(()),
        now => Err(format!("{before:?} became {now:?}")),
    });
    assert!(asked() > audits, "it looked again meanwhile");
    let chain = card.kubectl().run(&[
        "get",
        "servicechains",
        "c",
        "--namespace",
        NAMESPACE,
        "--show-managed-fields",
        "--output=json",
    ]);
    let chain: Value = serde_json::from_str(&chain).unwrap();
    let entries = chain["metadata"]["managedFields"].as_array().unwrap();
    let ours: Vec<&Value> = entries.iter().filter(|entry| entry["manager"] == "dpu-agent").collect();
    assert_eq!(ours.len(), 1, "{ours:?}");
    assert_eq!((&ours[0]["operation"], &ours[0]["subresource"]), (&json!("Apply"), &json!("status")));
}

/// What is changed is answered with its generation; what cannot be is counted and told.
fn follows_edits(card: &Card) {
    card.kubectl().apply(&[vf(2), chain("c", &["p0", "vf1", "vf2"])]);
    card.until("the flows of three ports", || {
        let there = card.flows().len();
        if there > 2 { Ok(()) } else { Err(there.to_string()) }
    });
    card.until_is("the second generation is ready", &(json!(2), "True/Success".to_owned()), || {
        let chain = card.get("servicechains", "c");
        (chain["status"]["observedGeneration"].clone(), condition(&chain["status"]["conditions"], "Ready"))
    });
    card.kubectl().apply(&[chain("half", &["vf3", "nothing"]), vf(3)]);
    let node = [
        ("NAME", NODE),
        ("READY", "False"),
        ("REASON", "ChainNotReady"),
        ("INTERFACES", "4/4"),
        ("CHAINS", "1/2"),
        ("BRIDGE", "br-sfc"),
    ];
    reads(card, "dpunodenetworkstatuses", NODE, &node);
    let half = [("NAME", "half"), ("NODE", NODE), ("READY", "False"), ("REASON", "InterfaceNotFound")];
    reads(card, "servicechains", "half", &half);
    // What comes in the place of something that was deleted, of the same name, is told too, although it is told the same; the agent
    // sees both at once.
    for _ in 0..2 {
        card.signal_agent("STOP");
        card.delete("servicechains", "c");
        card.kubectl().apply(&[chain("c", &["p0", "vf1", "vf2"])]);
        card.signal_agent("CONT");
        card.until_is("the next one is ready", &"True/Success".to_owned(), || {
            card.condition("servicechains", "c", "Ready")
        });
    }
    card.kubectl().apply(&[chain("c", &["p0", "vf1"])]);
    card.until_flows(2);
    card.delete("servicechains", "half");
    card.delete("serviceinterfaces", "vf2");
    card.delete("serviceinterfaces", "vf3");
    card.until_flows(2);
    card.until_ready();
}

/// Somebody takes ports away: they come back, and Events tell; the same again counts up what was told.
fn repairs(card: &Card) {
    for times in 1..=2 {
        // Twice other words, of the same reason.
        let ports: &[&str] = if times == 1 { &["pf0vf1"] } else { &["p0", "pf0vf1"] };
        for port in ports {
            card.switch.vsctl(&["del-port", port]);
        }
        card.until("the ports come back", || match (card.ports().len(), card.flows().len()) {
            (2, 2) => Ok(()),
            other => Err(format!("{other:?}")),
        });
    }
    card.until("an Event", || {
        let events = events(card);
        let drift = events.iter().any(|event| event["reason"] == "DriftRepaired");
        if drift { Ok(()) } else { Err(format!("{events:?}")) }
    });
    card.until_ready();
}

/// An entry of a `NodeServiceInterfaces` is told, and goes in two phases: its owner says so, its port goes, its owner takes it out.
fn releases_an_entry(card: &Card) {
    let entry = |terminating: bool| {
        json!({
            "name": "agents_set", "interfaceType": "vf", "vf": {"pfID": 0, "vfID": 9}, "terminating": terminating,
        })
    };
    let object = |entries: Value| {
        json!({
            "apiVersion": "svc.dpu.nvidia.com/v1alpha1", "kind": "NodeServiceInterfaces",
            "metadata": {"namespace": NAMESPACE, "name": "card1-sfc"}, "spec": {"node": NODE, "type": "sfc", "interfaces": entries},
        })
    };
    let said = |kind: &str| {
        let status = card.get("nodeserviceinterfaces", "card1-sfc")["status"].clone();
        assert!(status.is_null() || status["interfaceStatuses"][0]["name"] == "agents_set", "{status}");
        condition(&status["interfaceStatuses"][0]["conditions"], kind)
    };
    card.kubectl().apply(&[object(json!([entry(false)]))]);
    card.until_is("the entry is ready", &"True/Success".to_owned(), || said("Ready"));
    assert!(card.ports().contains(&"pf0vf9".to_owned()));
    assert_eq!(said("ResourceReleased"), "");
    card.kubectl().apply(&[object(json!([entry(true)]))]);
    card.until_is("the entry is released", &"True/Success".to_owned(), || said("ResourceReleased"));
    assert!(!card.ports().contains(&"pf0vf9".to_owned()));
    let before = card.versions();
    wait::stays(
        "released",
        3,
        || if card.versions() == before { Ok(()) } else { Err(format!("{:?}", card.versions())) },
    );
    card.kubectl().apply(&[object(json!([]))]);
    card.until_ready();
}

/// What is deleted goes from the switch, and then from the API server.
fn lets_go(card: &Card) {
    assert_eq!(card.get("serviceinterfaces", "vf1")["metadata"]["finalizers"], json!([FINALIZER]));
    // As DPF's later controllers leave a chain behind.
    card.kubectl().patch("servicechains", NAMESPACE, "c", &json!({"metadata": {"finalizers": [CHAIN_FINALIZER]}}));
    card.delete("servicechains", "c");
    card.until_flows(0);
    card.delete("serviceinterfaces", "vf1");
    card.until_is("nothing but the uplink", &vec!["p0".to_owned()], || card.ports());
    card.delete("serviceinterfaces", "p0");
}
