//! The entries of a `NodeServiceInterfaces`, with the kinds of the release that has them.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use serde_json::{Value, json};

use super::audit::requests;
use super::card::{Card, Chains, NAMESPACE, NODE, chain, condition, crds_of};

fn entry(number: u32, terminating: bool) -> Value {
    let mut entry = json!({
        "name": format!("agents_vf{number}"), "labels": {"port": format!("vf{number}")},
        "interfaceType": "vf", "vf": {"pfID": 0, "vfID": number},
    });
    if terminating {
        entry["terminating"] = json!(true);
    }
    entry
}

fn entries(list: &[Value]) -> Value {
    json!({
        "apiVersion": "svc.dpu.nvidia.com/v1alpha1", "kind": "NodeServiceInterfaces",
        "metadata": {"namespace": NAMESPACE, "name": "card1-sfc"},
        "spec": {"node": NODE, "type": "sfc", "interfaces": list},
    })
}

fn status(card: &Card) -> Value {
    card.get("nodeserviceinterfaces", "card1-sfc")["status"].take()
}

/// `<status>/<reason>` of a condition of an entry.
fn told(card: &Card, number: u32, kind: &str) -> String {
    let name = format!("agents_vf{number}");
    let status = status(card);
    let entries = status["interfaceStatuses"].as_array();
    let one = entries.into_iter().flatten().find(|one| one["name"] == *name);
    one.map_or_else(String::new, |one| condition(&one["conditions"], kind))
}

fn until_told(card: &Card, number: u32, kind: &str, expected: &str) {
    card.until_is(&format!("{kind} of entry {number}"), &expected.to_owned(), || told(card, number, kind));
}

/// Another controller says something of the first entry, beside what the agent says.
fn another_says(card: &Card) {
    let time = "2026-01-01T00:00:00Z";
    let other = json!({"type": "Other", "status": "True", "reason": "Fine", "message": "", "lastTransitionTime": time});
    let mut object = entries(&[]);
    object.as_object_mut().unwrap().remove("spec");
    object["status"] = json!({"interfaceStatuses": [{"name": "agents_vf1", "conditions": [other]}]});
    let file = card.places.scratch.join("other.json");
    fs::write(&file, object.to_string()).unwrap();
    let file = format!("--filename={}", file.display());
    card.kubectl().run(&["apply", "--server-side", "--subresource=status", "--field-manager=other", &file]);
}

/// What the CRD keeps of what the agent says is what it meant to say: it does not say it again and again.
fn rests(card: &Card) {
    let patches = || requests(card).iter().filter(|one| one.verb == "patch" && !one.uri.contains("dpunode")).count();
    let look = || (card.versions(), patches());
    let mut before = look();
    card.until("it is at rest", || {
        // Longer than it waits between two looks at what the CRDs keep.
        std::thread::sleep(Duration::from_secs(3));
        let now = look();
        let same = now == before;
        before = now;
        if same { Ok(()) } else { Err(format!("{before:?}")) }
    });
}

/// The flows without those of these ports.
fn without(flows: &BTreeSet<String>, port: &str) -> BTreeSet<String> {
    flows.iter().filter(|flow| !flow.contains(port)).cloned().collect()
}

#[test]
#[ignore = "needs the programs and the network of the lab: make e2e"]
fn entries_of_a_node_are_wired_told_and_released() {
    let Some(_) = crds_of("dpf-v26.8-nightly") else { return };
    let card = Card::start("entries", 9170, Chains::Of("dpf-v26.8-nightly"));
    card.kubectl().apply(&[entries(&[1, 2, 3, 4].map(|number| entry(number, false)))]);
    card.kubectl().apply(&[chain("a", &["vf1", "vf2"]), chain("b", &["vf3", "vf4"])]);
    card.start_agent(&["--audit=1"]);
    card.until_flows(4);
    for number in 1..=4 {
        until_told(&card, number, "Ready", "True/Success");
    }
    card.until_ready();
    let flows = card.named_flows();
    for name in ["a", "b"] {
        card.until_is("the chain", &"True/Success".to_owned(), || card.condition("servicechains", name, "Ready"));
    }
    // The agent says of an entry what the CRD keeps, and every entry once.
    let names: Vec<Value> =
        status(&card)["interfaceStatuses"].as_array().unwrap().iter().map(|one| one["name"].clone()).collect();
    assert_eq!(names, [1, 2, 3, 4].map(|number| json!(format!("agents_vf{number}"))));

    another_says(&card);
    card.until_is("the condition of the other is kept", &"True/Fine".to_owned(), || told(&card, 1, "Other"));
    rests(&card);

    // It goes in two phases: as long as it is marked its chain is without it, its port is away, and its owner is told so.
    let mut list = [entry(1, false), entry(2, true), entry(3, false), entry(4, false)].to_vec();
    card.kubectl().apply(&[entries(&list)]);
    until_told(&card, 2, "ResourceReleased", "True/Success");
    card.until_is("the ports without it", &["pf0vf1", "pf0vf3", "pf0vf4"].map(str::to_owned).into(), || card.ports());
    let rest = without(&without(&flows, "pf0vf1"), "pf0vf2");
    assert_eq!(rest.len(), 2);
    card.until_is("the flows of the other chain", &rest, || card.named_flows());
    card.until("its chain is not ready", || match card.condition("servicechains", "a", "Ready") {
        said if said.starts_with("False/") => Ok(()),
        said => Err(said),
    });
    for number in [1, 3, 4] {
        until_told(&card, number, "Ready", "True/Success");
        assert_eq!(told(&card, number, "ResourceReleased"), "");
    }
    assert_eq!(told(&card, 1, "Other"), "True/Fine");
    // Its owner takes it out, and has one of that name again later.
    list.remove(1);
    card.kubectl().apply(&[entries(&list)]);
    until_told(&card, 2, "ResourceReleased", "");
    list.push(entry(2, false));
    card.kubectl().apply(&[entries(&list)]);
    card.until_is("all flows", &flows, || card.named_flows());
    until_told(&card, 2, "Ready", "True/Success");
    assert_eq!(told(&card, 2, "ResourceReleased"), "");
    card.until_ready();
}
