//! Watches against an API server that comes and goes.

use std::time::Duration;

use dpu_render::agent::sources::Given;
use dpu_render::agent::sources::cluster::{Watched, run};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::server::Server;
use super::{names, until};

pub(crate) fn interface(name: &str, node: &str) -> Value {
    json!({
        "apiVersion": "svc.dpu.nvidia.com/v1alpha1", "kind": "ServiceInterface",
        "metadata": {"namespace": "ns", "name": name, "uid": format!("uid-{name}"), "generation": 1},
        "spec": {"node": node, "interfaceType": "physical", "physical": {"interfaceName": name}},
    })
}

fn watched(server: &Server, sets: bool) -> watch::Receiver<Given> {
    let (sender, receiver) = watch::channel(Given::default());
    let watched = Watched { first_wait: Duration::from_millis(5), ..Watched::new("w", sets) };
    tokio::spawn(run(server.client(), watched, sender));
    receiver
}

fn unserved(server: &Server, plurals: &[&str]) {
    server.state().unserved.extend(plurals.iter().map(|plural| (*plural).to_owned()));
}

#[tokio::test]
async fn what_is_of_this_node_comes_changes_and_goes() {
    let server = Server::start().await;
    unserved(&server, &["nodeserviceinterfaces"]);
    for number in 0..200 {
        server.put("serviceinterfaces", interface(&format!("other-{number}"), "other"));
    }
    server.put("serviceinterfaces", interface("p0", "w"));
    server.put("pods", json!({"metadata": {"namespace": "ns", "name": "a"}, "spec": {"nodeName": "w"}}));
    server.put("pods", json!({"metadata": {"namespace": "ns", "name": "b"}, "spec": {"nodeName": "other"}}));
    let mut given = watched(&server, false);
    until(&mut given, "listed", |given| given.complete && names(given) == ["p0"]).await;
    assert_eq!(given.borrow().problems, std::collections::BTreeMap::new());
    assert_eq!(given.borrow().snapshot.pods.len(), 1);
    assert!(server.asked("serviceinterfaces?&limit=32") >= 7, "pages: {:?}", server.state().requests);

    server.put("serviceinterfaces", interface("p1", "w"));
    until(&mut given, "came", |given| names(given) == ["p0", "p1"]).await;
    server.put("serviceinterfaces", interface("p0", "other"));
    until(&mut given, "moved to another node", |given| names(given) == ["p1"]).await;
    server.remove("serviceinterfaces", "ns", "p1");
    until(&mut given, "went", |given| names(given).is_empty()).await;
}

#[tokio::test]
async fn a_status_of_ours_wakes_nobody() {
    let server = Server::start().await;
    server.put("serviceinterfaces", interface("p0", "w"));
    let mut given = watched(&server, false);
    until(&mut given, "listed", |given| given.complete).await;
    given.mark_unchanged();
    let mut object = interface("p0", "w");
    object["status"] = json!({"conditions": []});
    server.put("serviceinterfaces", object);
    // The next change comes after it in the same watch.
    server.put("serviceinterfaces", interface("p1", "w"));
    given.changed().await.unwrap();
    assert_eq!(names(&given.borrow()), ["p0", "p1"], "the first thing that is said is the second change");
}

#[tokio::test]
async fn an_expired_watch_lists_again() {
    let server = Server::start().await;
    server.put("serviceinterfaces", interface("p0", "w"));
    let mut given = watched(&server, false);
    until(&mut given, "listed", |given| given.complete && names(given) == ["p0"]).await;
    // Gone and come while nobody watched, and no longer told by a watch.
    server.state().objects.clear();
    server.put("serviceinterfaces", interface("p9", "w"));
    server.compact();
    until(&mut given, "listed again", |given| names(given) == ["p9"] && given.problems.is_empty()).await;
}

#[tokio::test]
async fn what_an_api_server_said_counts_while_it_is_away() {
    let server = Server::start().await;
    server.put("serviceinterfaces", interface("p0", "w"));
    let mut given = watched(&server, false);
    until(&mut given, "listed", |given| given.complete).await;
    server.away(true);
    until(&mut given, "away", |given| given.problems.len() == 4).await;
    assert_eq!((names(&given.borrow()), given.borrow().complete), (vec!["p0"], true));
    server.away(false);
    until(&mut given, "back, though nothing changed", |given| given.problems.is_empty()).await;
    server.put("serviceinterfaces", interface("p1", "w"));
    until(&mut given, "watched on", |given| names(given) == ["p0", "p1"]).await;
}

#[tokio::test]
async fn a_kind_of_a_later_release_is_found_when_it_appears() {
    let server = Server::start().await;
    unserved(&server, &["nodeserviceinterfaces", "servicechains"]);
    let mut given = watched(&server, false);
    let missing = "the cluster has no ServiceChain: is its CRD installed?";
    until(&mut given, "the chains are missed", |given| {
        given.problems.get("ServiceChain").is_some_and(|said| said == missing)
    })
    .await;
    assert!(!given.borrow().problems.contains_key("NodeServiceInterfaces"));
    assert!(!given.borrow().complete, "nobody knows which chains there are");
    server.state().unserved.clear();
    server.put("nodeserviceinterfaces", json!({
        "metadata": {"namespace": "c", "name": "w-sfc"},
        "spec": {"node": "w", "interfaces": [{"name": "ns_p0", "interfaceType": "physical", "physical": {"interfaceName": "p0"}}]},
    }));
    until(&mut given, "found", |given| given.complete && names(given) == ["ns_p0"] && given.problems.is_empty()).await;
}

#[tokio::test]
async fn without_the_kinds_of_sets_there_is_none_and_everything_else_counts() {
    let server = Server::start().await;
    unserved(&server, &["serviceinterfacesets", "servicechainsets"]);
    server.put("serviceinterfaces", interface("p0", "w"));
    server.put("nodes", json!({"metadata": {"name": "w"}}));
    let mut given = watched(&server, true);
    let missing = "the cluster has no ServiceChainSet: is its CRD installed?";
    until(&mut given, "told, and the rest", |given| {
        given.complete
            && names(given) == ["p0"]
            && given.problems.len() == 2
            && given.problems.get("ServiceChainSet").is_some_and(|said| said == missing)
    })
    .await;
    server.state().unserved.clear();
    server.put(
        "serviceinterfacesets",
        json!({
            "metadata": {"namespace": "ns", "name": "up"},
            "spec": {"template": {"spec": {"interfaceType": "physical", "physical": {"interfaceName": "p1"}}}},
        }),
    );
    until(&mut given, "found", |given| names(given) == ["p0", "up-w"] && given.problems.is_empty()).await;
}

#[tokio::test]
async fn a_refusal_names_the_role() {
    let server = Server::start().await;
    server.state().refused.insert("pods".to_owned(), 403);
    let mut given = watched(&server, false);
    let said = "the agent may not read pods: its ClusterRole lacks list and watch";
    until(&mut given, "refused", |given| given.problems.get("Pod").is_some_and(|problem| problem == said)).await;
    assert!(!given.borrow().complete);
    server.state().refused.clear();
    until(&mut given, "granted", |given| given.complete && given.problems.is_empty()).await;
}

#[tokio::test]
async fn odd_objects_do_not_end_the_watch() {
    let server = Server::start().await;
    for (name, spec) in [
        ("a", json!(null)),
        ("b", json!([1])),
        ("c", json!({"node": 7})),
        ("d", json!({"node": "w", "interfaceType": {}})),
    ] {
        server.put("serviceinterfaces", json!({"metadata": {"namespace": "ns", "name": name}, "spec": spec}));
    }
    server.put(
        "servicechains",
        json!({"metadata": {"namespace": "ns", "name": "c"}, "spec": {"node": "w", "switches": "x"}}),
    );
    let mut given = watched(&server, false);
    until(&mut given, "listed", |given| given.complete && names(given) == ["d"]).await;
    let snapshot = given.borrow().snapshot.clone();
    assert!(snapshot.interfaces[0].kind.is_err() && snapshot.chains[0].switches.is_err());
    server
        .put("serviceinterfaces", json!({"metadata": {"namespace": "ns", "name": "e"}, "spec": {"node": {"a": "w"}}}));
    server.put("serviceinterfaces", interface("p0", "w"));
    until(&mut given, "watched on", |given| names(given) == ["d", "p0"]).await;
}

#[tokio::test]
async fn sets_make_objects_where_the_node_is_selected() {
    let server = Server::start().await;
    let set = json!({
        "metadata": {"namespace": "ns", "name": "up"},
        "spec": {
            "nodeSelector": {"matchExpressions": [{"key": "rack", "operator": "In", "values": ["r1"]}]},
            "template": {"spec": {"interfaceType": "physical", "physical": {"interfaceName": "p0"}}},
        },
    });
    server.put("serviceinterfacesets", set);
    server.put("nodes", json!({"metadata": {"name": "w", "labels": {"rack": "r2"}}}));
    server.put("nodes", json!({"metadata": {"name": "other", "labels": {"rack": "r1"}}}));
    let mut given = watched(&server, true);
    until(&mut given, "listed", |given| given.complete && names(given).is_empty()).await;
    server.put("nodes", json!({"metadata": {"name": "w", "labels": {"rack": "r1"}}}));
    until(&mut given, "selected", |given| names(given) == ["up-w"]).await;
    let uid = given.borrow().snapshot.interfaces[0].meta.uid.clone();
    assert_eq!(uid, "", "there is no such object to write a status to");
}
