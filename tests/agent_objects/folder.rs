//! A folder in the place of an API server.

use std::fs;
use std::path::Path;

use dpu_render::agent::api::Key;
use dpu_render::agent::sources::Given;
use dpu_render::agent::sources::folder::run;
use dpu_render::agent::sources::store::Kind;
use dpu_render::agent::writer::documents::{Document, Target};
use dpu_render::agent::writer::folder::Folder;
use serde_json::json;
use tokio::sync::watch;

use super::cluster::interface;
use super::{names, until};

fn watched(folder: &Path) -> watch::Receiver<Given> {
    let (sender, receiver) = watch::channel(Given::default());
    let folder = folder.to_owned();
    tokio::spawn(async move { run(folder, "w", false, sender).await.unwrap() });
    receiver
}

#[tokio::test]
async fn files_come_change_and_go() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    fs::write(path.join("a.json"), interface("p0", "w").to_string()).unwrap();
    let mut given = watched(path);
    until(&mut given, "read", |given| given.complete && names(given) == ["p0"]).await;
    // As an editor does it.
    fs::write(path.join(".b.swp"), interface("p1", "w").to_string()).unwrap();
    fs::rename(path.join(".b.swp"), path.join("b.yaml")).unwrap();
    until(&mut given, "came", |given| names(given) == ["p0", "p1"]).await;
    fs::create_dir(path.join("more")).unwrap();
    fs::write(path.join("more/c.yml"), interface("p2", "w").to_string()).unwrap();
    until(&mut given, "came in a folder", |given| names(given) == ["p0", "p1", "p2"]).await;
    let half = interface("p3", "w").to_string();
    fs::write(path.join("a.json"), &half[..half.len() / 2]).unwrap();
    until(&mut given, "half written", |given| given.problems.contains_key("a.json")).await;
    assert_eq!(names(&given.borrow()), ["p0", "p1", "p2"]);
    fs::write(path.join("a.json"), half).unwrap();
    until(&mut given, "whole", |given| given.problems.is_empty() && names(given) == ["p1", "p2", "p3"]).await;
    fs::remove_file(path.join("b.yaml")).unwrap();
    until(&mut given, "went", |given| names(given) == ["p2", "p3"]).await;
}

#[tokio::test]
async fn a_folder_that_is_away_is_missed_and_found_again() {
    let above = tempfile::tempdir().unwrap();
    let path = above.path().join("objects");
    let mut given = watched(&path);
    until(&mut given, "missed", |given| given.problems.contains_key(".")).await;
    assert!(!given.borrow().complete);
    fs::create_dir(&path).unwrap();
    fs::write(path.join("a.json"), interface("p0", "w").to_string()).unwrap();
    until(&mut given, "found", |given| given.complete && names(given) == ["p0"]).await;
    fs::remove_dir_all(&path).unwrap();
    until(&mut given, "away", |given| given.problems.contains_key(".")).await;
    fs::create_dir(&path).unwrap();
    fs::write(path.join("b.json"), interface("p1", "w").to_string()).unwrap();
    until(&mut given, "back", |given| names(given) == ["p1"] && given.problems.is_empty()).await;
    fs::write(path.join("c.json"), interface("p2", "w").to_string()).unwrap();
    until(&mut given, "watched again", |given| names(given) == ["p1", "p2"]).await;
}

#[test]
fn status_is_written_whole_and_only_on_change() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("status");
    let document = |name: &str, ready: &str| Document {
        target: Target::Object(Kind::Chain),
        key: Key::new("ns", name),
        uid: String::new(),
        status: json!({"conditions": [{"type": "Ready", "status": ready}]}).to_string(),
    };
    let node = Document { target: Target::Node, key: Key::new("", "w"), uid: String::new(), status: "{}".to_owned() };
    let mut out = Folder::open(&path).unwrap();
    fs::write(path.join("mine.txt"), "mine").unwrap();
    assert_eq!(out.write(&[node.clone(), document("a", "True"), document("../x", "True")]).unwrap(), 3);
    assert_eq!(out.write(&[node.clone(), document("a", "True"), document("../x", "True")]).unwrap(), 0);
    let listed = || {
        let mut names: Vec<String> =
            fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    assert_eq!(listed(), ["mine.txt", "node-w.json", "servicechain-ns-.._x.json", "servicechain-ns-a.json"]);
    assert_eq!(out.write(&[node.clone(), document("a", "False")]).unwrap(), 2);
    assert_eq!(listed(), ["mine.txt", "node-w.json", "servicechain-ns-a.json"]);
    let text = fs::read_to_string(path.join("servicechain-ns-a.json")).unwrap();
    let object: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (&object["kind"], &object["status"]["conditions"][0]["status"]),
        (&json!("ServiceChain"), &json!("False"))
    );
    // A program that starts again finds its files.
    assert_eq!(Folder::open(&path).unwrap().write(&[node, document("a", "False")]).unwrap(), 0);
}

#[test]
fn status_of_what_went_while_no_agent_was_there_goes() {
    let folder = tempfile::tempdir().unwrap();
    let document = |name: &str| Document {
        target: Target::Object(Kind::Chain),
        key: Key::new("ns", name),
        uid: String::new(),
        status: json!({"conditions": []}).to_string(),
    };
    let chains = json!([{"namespace": "ns", "name": "a"}, {"namespace": "ns", "name": "b"}]);
    let node = |chains| Document {
        target: Target::Node,
        key: Key::new("", "w"),
        uid: String::new(),
        status: json!({"chains": chains}).to_string(),
    };
    let mut out = Folder::open(folder.path()).unwrap();
    assert!(out.before("w").is_none());
    assert_eq!(out.write(&[node(chains), document("a"), document("b")]).unwrap(), 3);
    // That of another node's agent.
    fs::write(folder.path().join("servicechain-ns-c.json"), "{}").unwrap();
    let mut out = Folder::open(folder.path()).unwrap();
    assert_eq!(out.before("w").unwrap().chains.len(), 2);
    assert_eq!(out.write(&[node(json!([{"namespace": "ns", "name": "a"}])), document("a")]).unwrap(), 2);
    let there = ["a", "b", "c"].map(|name| folder.path().join(format!("servicechain-ns-{name}.json")).exists());
    assert_eq!(there, [true, false, true]);
}
