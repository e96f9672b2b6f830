//! The CRDs of DPF's releases, one over the other in one API server while the agent runs.

use serde_json::{Value, json};

use super::audit::requests;
use super::card::{Card, Chains, NAMESPACE, NODE, chain, crds_of, is_of_chains, physical, vf};
use crate::wait;

fn status(card: &Card, plural: &str, name: &str) -> Vec<String> {
    let status = card.get(plural, name)["status"].clone();
    status.as_object().into_iter().flatten().map(|(key, _)| key.clone()).collect()
}

/// Nothing is written while nothing changes.
fn rests(card: &Card) {
    let patches = || requests(card).iter().filter(|one| one.verb == "patch" && !one.uri.contains("dpunode")).count();
    // Two looks at what changed, and what follows of them.
    let mut before = (card.versions(), patches());
    card.until("it is at rest", || {
        std::thread::sleep(std::time::Duration::from_secs(3));
        let now = (card.versions(), patches());
        let same = now == before;
        before = now;
        if same { Ok(()) } else { Err(format!("{before:?}")) }
    });
    wait::stays("at rest", 3, || match (card.versions(), patches()) {
        now if now == before => Ok(()),
        now => Err(format!("{before:?} became {now:?}")),
    });
}

#[test]
#[ignore = "needs the programs and the network of the lab: make e2e"]
fn what_a_crd_keeps_is_noticed_while_the_agent_runs() {
    let Some(_) = crds_of("dpf-v24.10") else { return };
    let card = Card::start("releases", 9110, Chains::Of("dpf-v24.10"));
    card.kubectl().apply(&[physical("p0"), vf(1), chain("c", &["p0", "vf1"])]);
    card.start_agent(&["--audit=1"]);
    card.until_flows(2);
    card.until_ready();
    let objects = [("servicechains", "c"), ("serviceinterfaces", "p0"), ("serviceinterfaces", "vf1")];

    // v24.10 keeps nothing: the node's object has everything, and nobody writes in vain.
    let node = card.node();
    assert_eq!(node["chains"][0]["flows"]["installed"], 2, "{node}");
    assert_eq!(node["interfaces"][1]["port"]["name"], "pf0vf1", "{node}");
    rests(&card);
    for (plural, name) in objects {
        assert_eq!(status(&card, plural, name), [""; 0], "{name}");
    }

    // v25.10 keeps conditions, and refuses what it does not know.
    let kept = ["conditions", "observedGeneration"].map(str::to_owned).to_vec();
    let all_have = |what: &str, holds: &dyn Fn(&[String]) -> bool| {
        for (plural, name) in objects {
            card.until(&format!("{what}: status of {name}"), || match status(&card, plural, name) {
                keys if holds(&keys) => Ok(()),
                keys => Err(format!("{keys:?}")),
            });
        }
    };
    card.kubectl().apply_crds(&crds_of("dpf-v25.10").unwrap());
    all_have("v25.10", &|keys| keys == kept);
    rests(&card);
    let answers = |code: u64| requests(&card).iter().filter(|one| one.code == code).count();
    let refused = answers(500);
    assert!(refused > 0, "it asked");
    card.kubectl().apply(&[vf(2)]);
    card.until_is("vf2", &"True/Success".to_owned(), || card.condition("serviceinterfaces", "vf2", "Ready"));
    assert_eq!(answers(500), refused, "it knows, and asks no more");

    // v26.8 has one kind more, which no agent was told of.
    card.kubectl().apply_crds(&crds_of("dpf-v26.8-nightly").unwrap());
    let entry = json!({"name": "agents_set", "interfaceType": "vf", "vf": {"pfID": 0, "vfID": 9}});
    card.kubectl().apply(&[json!({
        "apiVersion": "svc.dpu.nvidia.com/v1alpha1", "kind": "NodeServiceInterfaces",
        "metadata": {"namespace": NAMESPACE, "name": "card1-sfc"}, "spec": {"node": NODE, "type": "sfc", "interfaces": [entry]},
    })]);
    card.until("the entry is told", || {
        let status = card.get("nodeserviceinterfaces", "card1-sfc")["status"].clone();
        match status["interfaceStatuses"][0]["conditions"].as_array() {
            Some(_) => Ok(()),
            None => Err(status.to_string()),
        }
    });
    all_have("v26.8", &|keys| keys == kept);
    rests(&card);

    // Ours keep everything.
    let ours: Vec<Value> = card.brought.iter().filter(|one| is_of_chains(one)).cloned().collect();
    card.kubectl().apply(&ours);
    all_have("ours", &|keys| keys.len() > 2 && keys.contains(&kept[0]));
    rests(&card);
    card.until_ready();
    assert_eq!(card.flows().len(), 2);
}
