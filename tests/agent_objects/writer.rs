//! Status and finalizers in an API server, whatever its CRDs keep.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use dpu_render::agent::api::Key;
use dpu_render::agent::sources::store::Kind;
use dpu_render::agent::writer::cluster::{Writer, run};
use dpu_render::agent::writer::documents::{Document, Target};
use dpu_render::agent::writer::events::{Events, Happening};
use dpu_render::agent::writer::finalizers::{INTERFACE, Step};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::cluster::interface;
use super::server::{Schema, Server};

fn node(ready: &str) -> Document {
    let status = json!({"conditions": [{"type": "Ready", "status": ready}], "summary": {"interfaces": "1/1"}});
    Document { target: Target::Node, key: Key::new("", "w"), uid: String::new(), status: status.to_string() }
}

fn of_interface(name: &str, ready: &str) -> Document {
    let status = json!({
        "conditions": [{"type": "Ready", "status": ready}], "observedGeneration": 1, "port": {"name": name}, "error": "x",
    });
    let (target, status) = (Target::Object(Kind::Interface), status.to_string());
    Document { target, key: Key::new("ns", name), uid: format!("u-{name}"), status }
}

fn none() -> BTreeMap<String, String> {
    BTreeMap::new()
}

#[tokio::test]
async fn the_status_of_the_node_is_made_and_then_written_on_change_only() {
    let server = Server::start().await;
    server.put("nodes", json!({"metadata": {"name": "w", "uid": "node-uid"}}));
    let mut writer = Writer::new(server.client(), "w");
    assert_eq!(writer.before().await, Ok(None));
    assert_eq!(writer.write(&[node("True")]).await, none());
    let object = server.get("dpunodenetworkstatuses", "", "w");
    assert_eq!(object["status"]["summary"]["interfaces"], "1/1");
    assert_eq!(object["metadata"]["ownerReferences"][0]["uid"], "node-uid", "it goes with its node");
    let written = server.asked("PATCH");
    assert_eq!(writer.write(&[node("True")]).await, none());
    assert_eq!(server.asked("PATCH"), written);
    assert_eq!(writer.write(&[node("False")]).await, none());
    assert_eq!(server.asked("PATCH"), written + 1);
    assert!(
        server.asked("fieldManager=dpu-agent") > 0 && server.asked("force=true") > 0,
        "{:?}",
        server.state().requests
    );
    // Somebody takes it away: it is there again with the next look.
    server.remove("dpunodenetworkstatuses", "", "w");
    writer.look_again().await;
    assert_eq!(writer.write(&[node("False")]).await, none());
    assert_eq!(server.get("dpunodenetworkstatuses", "", "w")["status"]["conditions"][0]["status"], "False");
    assert_eq!(writer.write(&[node("True")]).await, none());
    assert_eq!(server.get("dpunodenetworkstatuses", "", "w")["status"]["conditions"][0]["status"], "True");
}

/// What each schema leaves there, and how often it is tried for three objects, twice.
#[tokio::test]
async fn what_is_not_kept_is_not_sent_again() {
    let full = ["conditions", "error", "observedGeneration", "port"];
    let less = ["conditions", "observedGeneration"];
    for (schema, kept, first, then) in [
        (Schema::Keeps, &full[..], 3, 3),
        (Schema::KeepsConditions, &less[..], 3, 3),
        (Schema::Refuses, &less[..], 4, 3),
        (Schema::PrunesAll, &[][..], 1, 0),
    ] {
        let server = Server::start().await;
        server.state().schemas.insert("serviceinterfaces".to_owned(), schema);
        for name in ["a", "b", "c"] {
            server.put("serviceinterfaces", interface(name, "w"));
        }
        let mut writer = Writer::new(server.client(), "w");
        let documents = |ready: &str| ["a", "b", "c"].map(|name| of_interface(name, ready));
        assert_eq!(writer.write(&documents("True")).await, none());
        assert_eq!(server.asked("PATCH"), first, "{schema:?}");
        assert_eq!(writer.write(&documents("False")).await, none());
        assert_eq!(server.asked("PATCH"), first + then, "{schema:?}");
        let there = server.get("serviceinterfaces", "ns", "c")["status"].clone();
        let keys: Vec<&String> = there.as_object().into_iter().flatten().map(|(key, _)| key).collect();
        assert_eq!(keys, kept, "{schema:?}");
    }
}

#[tokio::test]
async fn a_crd_that_keeps_more_is_noticed() {
    let names = ["a", "b", "c"];
    let full = ["conditions", "error", "observedGeneration", "port"];
    for (before, after, asked) in [
        // Kept by nobody: one that asks. Then all of them.
        (Schema::PrunesAll, Schema::Keeps, 3),
        (Schema::KeepsConditions, Schema::Keeps, 3),
        // One that asks and is refused, and is told less with the others.
        (Schema::PrunesAll, Schema::Refuses, 4),
        (Schema::Refuses, Schema::Keeps, 3),
        // Nothing is news but to the one that asks.
        (Schema::PrunesAll, Schema::PrunesAll, 1),
        (Schema::Refuses, Schema::Refuses, 1),
    ] {
        let server = Server::start().await;
        let schema = |schema| {
            server.state().schemas.insert("serviceinterfaces".to_owned(), schema);
        };
        schema(before);
        for name in names {
            server.put("serviceinterfaces", interface(name, "w"));
        }
        let mut writer = Writer::new(server.client(), "w");
        let documents = names.map(|name| of_interface(name, "True"));
        let look = async |writer: &mut Writer, index: Option<&str>| {
            let sent = server.asked("PATCH");
            server.state().index = index.map(str::to_owned);
            writer.look_again().await;
            assert_eq!(writer.write(&documents).await, none());
            server.asked("PATCH") - sent
        };
        writer.write(&documents).await;
        // The first index is news, and may be ahead of what is served.
        look(&mut writer, Some("1")).await;
        look(&mut writer, Some("1")).await;
        assert_eq!(look(&mut writer, Some("1")).await, 0, "{before:?}: at rest nothing is asked");
        schema(after);
        assert_eq!(look(&mut writer, Some("1")).await, 0, "{before:?}: nobody says that it changed");
        assert_eq!(look(&mut writer, Some("2")).await, asked, "{before:?} to {after:?}");
        for name in names {
            let there = server.get("serviceinterfaces", "ns", name)["status"].clone();
            let keys: Vec<&String> = there.as_object().into_iter().flatten().map(|(key, _)| key).collect();
            let expected = match after {
                Schema::Keeps => &full[..],
                Schema::PrunesAll => &[],
                Schema::KeepsConditions | Schema::Refuses => &["conditions", "observedGeneration"],
            };
            assert_eq!(keys, expected, "{before:?} to {after:?}: {name}");
        }
        if after != Schema::Keeps {
            assert_eq!(look(&mut writer, None).await, 1, "where nobody tells, it is asked each time");
        }
    }
}

#[tokio::test]
async fn the_next_of_the_same_name_is_told_too() {
    let server = Server::start().await;
    server.put("serviceinterfaces", interface("a", "w"));
    let mut writer = Writer::new(server.client(), "w");
    let mut document = of_interface("a", "True");
    writer.write(std::slice::from_ref(&document)).await;
    server.put("serviceinterfaces", interface("a", "w"));
    document.uid = "u-next".to_owned();
    writer.write(std::slice::from_ref(&document)).await;
    assert_eq!(server.get("serviceinterfaces", "ns", "a")["status"]["conditions"][0]["status"], "True");
}

#[tokio::test]
async fn what_is_refused_is_said_and_tried_again() {
    let server = Server::start().await;
    server.put("serviceinterfaces", interface("a", "w"));
    server.state().refused.insert("dpunodenetworkstatuses".to_owned(), 403);
    let mut writer = Writer::new(server.client(), "w");
    let said = writer.write(&[node("True"), of_interface("a", "True"), of_interface("gone", "True")]).await;
    let expected = "the agent may not write dpunodenetworkstatuses: its ClusterRole lacks patch of dpunodenetworkstatuses and dpunodenetworkstatuses/status";
    assert_eq!(
        said,
        [("DPUNodeNetworkStatus w".to_owned(), expected.to_owned())].into(),
        "an object that is gone is no problem"
    );
    assert_ne!(server.get("serviceinterfaces", "ns", "a")["status"], Value::Null);
    server.state().refused.insert("dpunodenetworkstatuses".to_owned(), 404);
    let said = writer.write(&[node("True")]).await;
    assert_eq!(said["DPUNodeNetworkStatus w"], "the cluster has no DPUNodeNetworkStatus: is its CRD installed?");
    server.state().refused.clear();
    assert_eq!(writer.write(&[node("True")]).await, none());
    assert_ne!(server.get("dpunodenetworkstatuses", "", "w"), Value::Null);
    server.away(true);
    let said = writer.write(&[node("False")]).await;
    assert_eq!(said.len(), 1, "{said:?}");
}

#[tokio::test]
async fn what_flaps_is_written_now_and_then() {
    let server = Server::start().await;
    let (documents, latest) = watch::channel(Arc::new(Vec::new()));
    let (problems, mut refused) = watch::channel(none());
    server.state().refused.insert("dpunodenetworkstatuses".to_owned(), 403);
    tokio::spawn(run(Writer::new(server.client(), "w"), latest, problems, Duration::from_secs(300)));
    documents.send_replace(Arc::new(vec![node("True")]));
    refused.wait_for(|refused| refused.contains_key("DPUNodeNetworkStatus w")).await.unwrap();
    server.state().refused.clear();
    // All of this is said while it waits for its next try.
    for number in 0..100 {
        documents.send_replace(Arc::new(vec![node(if number % 2 == 0 { "True" } else { "False" })]));
        tokio::task::yield_now().await;
    }
    refused.wait_for(BTreeMap::is_empty).await.unwrap();
    assert_eq!(server.get("dpunodenetworkstatuses", "", "w")["status"]["conditions"][0]["status"], "False");
    // Refused once; then not there, made, and written.
    assert_eq!(server.asked("PATCH"), 4, "{:?}", server.state().requests);
}

#[tokio::test]
async fn finalizers_of_others_stay() {
    let server = Server::start().await;
    let mut object = interface("a", "w");
    object["metadata"]["finalizers"] = json!(["example.net/other"]);
    server.put("serviceinterfaces", object);
    let writer = Writer::new(server.client(), "w");
    let key = Key::new("ns", "a");
    let finalizers = || server.get("serviceinterfaces", "ns", "a")["metadata"]["finalizers"].clone();
    writer.take(&Step::Hold(key.clone())).await.unwrap();
    assert_eq!(finalizers(), json!(["example.net/other", INTERFACE]));
    let patches = server.asked("PATCH");
    writer.take(&Step::Hold(key.clone())).await.unwrap();
    assert_eq!(server.asked("PATCH"), patches);
    writer.take(&Step::LetGo(Kind::Interface, key.clone())).await.unwrap();
    assert_eq!(finalizers(), json!(["example.net/other"]));
    let mut going = server.get("serviceinterfaces", "ns", "a");
    going["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    server.put("serviceinterfaces", going);
    assert_eq!(writer.take(&Step::Hold(key)).await, Err("ns/a is being deleted".to_owned()));
    writer.take(&Step::LetGo(Kind::Interface, Key::new("ns", "gone"))).await.unwrap();
}

#[tokio::test]
async fn the_same_event_is_said_once() {
    let server = Server::start().await;
    let mut events = Events::new(server.client(), "w");
    let happening = |note: &str| Happening {
        target: Target::Object(Kind::Chain),
        key: Key::new("ns", "c"),
        uid: "u".to_owned(),
        reason: "DriftRepaired",
        note: note.to_owned(),
        warning: false,
    };
    assert_eq!(events.say(&happening("2 flows were missing")).await, Ok(true));
    assert_eq!(events.say(&happening("2 flows were missing")).await, Ok(false));
    assert_eq!(events.say(&happening("1 flow was missing")).await, Ok(true));
    // The second counts up the first.
    let asked =
        ["POST", "PATCH"].map(|method| server.asked(&format!("{method} /apis/events.k8s.io/v1/namespaces/ns/events")));
    assert_eq!(asked, [1, 1]);
    let event = server.state().objects.iter().find(|(key, _)| key.0 == "events").unwrap().1.clone();
    assert_eq!((&event["reason"], &event["regarding"]["kind"]), (&json!("DriftRepaired"), &json!("ServiceChain")));
}
