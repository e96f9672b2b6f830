//! What an API server sees.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::super::cluster::{FINALIZER, agent, finalizers, serve, with_uid};
use super::{Lab, chain, condition, frame, object, physical, vf};
use crate::server::Server;

fn put(server: &Server, objects: &[Value]) {
    for one in objects {
        let plural = if one["kind"] == "ServiceChain" { "servicechains" } else { "serviceinterfaces" };
        server.put(plural, with_uid(one.clone()));
    }
}

/// Somebody deletes an interface; it is there until nobody holds it.
fn delete(server: &Server, name: &str) {
    let mut going = server.get("serviceinterfaces", "ns", name);
    going["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    server.put("serviceinterfaces", going);
}

fn is_held(server: &Server, name: &str) -> bool {
    finalizers(server, name) == json!([FINALIZER])
}

/// Method and path of each request that is to change something.
fn writes(server: &Server) -> Vec<String> {
    server.state().requests.iter().filter(|request| !request.starts_with("GET ")).cloned().collect()
}

fn ready(server: &Server, plural: &str, name: &str) -> String {
    let namespace = if plural == "dpunodenetworkstatuses" { "" } else { "ns" };
    condition(&server.get(plural, namespace, name)["status"]["conditions"], "Ready")
}

/// D1: an interface of type `ovn` can never be deleted: its far end is asked of the wrong bridge.
#[test]
fn d01_an_ovn_interface_can_be_deleted() {
    let lab = Lab::start(&["br-sfc", "br-ovn"]);
    let server = serve();
    let ovn = object("ServiceInterface", "ovn", json!({"interfaceType": "ovn"}));
    put(&server, &[physical("p0"), ovn, chain("c", &[&["p0", "ovn"]])]);
    let _agent = agent(&lab, &server, &[]);
    lab.until("it is wired", || ready(&server, "serviceinterfaces", "ovn") == "True/Success");
    assert!(lab.are_connected("p0", "puplinkbrsfc") && is_held(&server, "ovn"));
    assert_eq!(lab.ports("br-ovn"), ["puplinkbrovn"]);
    delete(&server, "ovn");
    lab.until("it is let go", || !is_held(&server, "ovn"));
    assert_eq!((lab.ports("br-sfc"), lab.ports("br-ovn")), (vec!["p0".to_owned()], vec![]));
    assert_eq!(lab.switch.vsctl(&["--bare", "--columns=name", "find", "interface", "type=patch"]), "");
    lab.until_flows(0);
}

/// D5: nothing says how things are on a card, and the sets say that they are well.
#[test]
fn d05_what_is_wrong_is_in_status_and_events() {
    let lab = Lab::start(&["br-sfc", "br-ovn"]);
    let server = serve();
    lab.switch.add_ports("br-ovn", &["pf0vf2"]);
    put(&server, &[physical("p0"), vf(1), vf(2), chain("c", &[&["p0", "vf1"]]), chain("d", &[&["vf2", "gone"]])]);
    let _agent = agent(&lab, &server, &[]);
    lab.until("the status is there", || {
        ready(&server, "serviceinterfaces", "p0") == "True/Success"
            && ready(&server, "serviceinterfaces", "vf2") == "False/PortOnOtherBridge"
            && ready(&server, "servicechains", "c") == "True/Success"
            && ready(&server, "servicechains", "d") == "False/PortOnOtherBridge"
            && ready(&server, "dpunodenetworkstatuses", "w") == "False/InterfaceNotReady"
    });
    let events = || -> Vec<Value> {
        let state = server.state();
        state.objects.iter().filter(|(key, _)| key.0 == "events").map(|(_, event)| event.clone()).collect()
    };
    let told = |reason: &str, word: &str| {
        events()
            .iter()
            .any(|event| event["reason"] == reason && event["note"].as_str().unwrap_or_default().contains(word))
    };
    lab.until("the conflict is told", || told("Conflict", "br-ovn"));
    lab.switch.vsctl(&["del-port", "p0"]);
    lab.until("the drift is told", || told("DriftRepaired", "p0"));
}

/// D11: the chain's name is written as a label of its interfaces, each time, and is refused where it is too long.
#[test]
fn d11_an_object_of_any_name_is_wired_and_keeps_its_labels() {
    let lab = Lab::start(&["br-sfc"]);
    let server = serve();
    let long = "n".repeat(253);
    put(&server, &[physical("p0"), vf(1), chain(&long, &[&["p0", "vf1"]])]);
    let labels = server.get("serviceinterfaces", "ns", "p0")["metadata"]["labels"].clone();
    let _agent = agent(&lab, &server, &[]);
    lab.until("the chain is wired", || ready(&server, "servicechains", &long) == "True/Success");
    assert!(lab.are_connected("p0", "pf0vf1"));
    assert_eq!(server.get("serviceinterfaces", "ns", "p0")["metadata"]["labels"], labels);
    lab.until("the interface tells its chain", || {
        server.get("serviceinterfaces", "ns", "p0")["status"]["chains"] == json!([long])
    });
}

/// D12: every few seconds every object is written, whether or not something is another.
#[test]
fn d12_what_has_not_changed_is_not_written() {
    let lab = Lab::start(&["br-sfc"]);
    let server = serve();
    put(&server, &[physical("p0"), vf(1), vf(2), chain("c", &[&["p0", "vf1", "vf2"]])]);
    let _agent = agent(&lab, &server, &["--audit", "1"]);
    lab.until("all is told", || {
        ready(&server, "servicechains", "c") == "True/Success"
            && ready(&server, "dpunodenetworkstatuses", "w") == "True/Success"
            && ["p0", "vf1", "vf2"].iter().all(|name| ready(&server, "serviceinterfaces", name) == "True/Success")
    });
    let list_again = || {
        let lists = || {
            server
                .state()
                .requests
                .iter()
                .filter(|one| one.contains("/servicechains?") && !one.contains("watch=true"))
                .count()
        };
        let before = lists();
        server.compact();
        lab.until("all is listed again", || lists() > before);
    };
    list_again();
    let before = writes(&server).len();
    let news = || writes(&server)[before..].to_vec();
    // Frames go through, and addresses are learned.
    for _ in 0..5 {
        lab.receive("p0", &frame("00:00:00:00:00:01", "00:00:00:00:00:02"));
    }
    // Another's ports come and go, and other nodes' objects.
    for round in 0..5 {
        lab.add_port_of_cni("br-sfc", "sf1", &["external_ids:dpf-id=ns/x/y"]);
        lab.switch.vsctl(&["del-port", "sf1"]);
        let mut other = with_uid(vf(50 + round));
        other["spec"]["node"] = json!("x");
        server.put("serviceinterfaces", other);
    }
    // The same objects, said again, listed again, and after a while without an API server.
    for _ in 0..3 {
        for name in ["p0", "vf1", "vf2"] {
            server.put("serviceinterfaces", server.get("serviceinterfaces", "ns", name));
        }
        server.put("servicechains", server.get("servicechains", "ns", "c"));
        list_again();
    }
    let apart = || -> (Vec<String>, Vec<String>) {
        news().into_iter().partition(|one| one.contains("/dpunodenetworkstatuses/w/status"))
    };
    // That an API server forgot its history is said of the node, and taken back. More than one audit follows.
    let (told, begin) = (apart().0.len(), Instant::now());
    std::thread::sleep(Duration::from_secs(3));
    let (of_node, of_others) = apart();
    assert_eq!(of_others, [""; 0]);
    // That of the node is said again with an audit, as anybody may have written it: five minutes unless told otherwise.
    let audits = usize::try_from(begin.elapsed().as_secs()).unwrap() + 1;
    assert!(of_node.len() - told <= audits + 1, "{} in {audits} audits", of_node.len() - told);
    // What changes is written where it changed.
    let mut other = server.get("servicechains", "ns", "c");
    other["metadata"]["generation"] = json!(2);
    server.put("servicechains", other);
    lab.until("the generation is seen", || {
        server.get("servicechains", "ns", "c")["status"]["observedGeneration"] == 2
            && server.get("dpunodenetworkstatuses", "", "w")["status"]["chains"][0]["observedGeneration"] == 2
    });
    let (_, of_others) = apart();
    assert!(of_others.len() == 1 && of_others[0].contains("/servicechains/c/status"), "{of_others:?}");
}

/// D19: the finalizer comes after the port, so that a port can be left behind by an object that is gone.
#[test]
fn d19_an_object_is_held_from_before_its_port_until_after() {
    let lab = Lab::start(&["br-sfc"]);
    let server = serve();
    server.state().fixed.insert("serviceinterfaces".to_owned());
    put(&server, &[vf(1), vf(2)]);
    let first = agent(&lab, &server, &[]);
    // It cannot be held: there is no port.
    let told = || server.get("dpunodenetworkstatuses", "", "w")["status"]["problems"].to_string();
    lab.until("that is told", || {
        told().contains("may not write") && told().contains("finalizer of ServiceInterface ns/vf2")
    });
    assert_eq!(lab.ports("br-sfc"), [""; 0]);
    server.state().fixed.clear();
    // Killed at any point, no port is there without.
    drop(first);
    for round in 0..20 {
        let one = agent(&lab, &server, &[]);
        std::thread::sleep(Duration::from_millis(round * 4));
        drop(one);
        for number in [1, 2] {
            let there = lab.ports("br-sfc").contains(&format!("pf0vf{number}"));
            assert!(!there || is_held(&server, &format!("vf{number}")), "round {round}: pf0vf{number}");
        }
    }
    let last = agent(&lab, &server, &[]);
    lab.until("the ports are there", || lab.ports("br-sfc") == ["pf0vf1", "pf0vf2"]);
    assert!(is_held(&server, "vf1") && is_held(&server, "vf2"));
    // Deleted while nobody is there: it stays until the port is gone.
    drop(last);
    delete(&server, "vf1");
    let _agent = agent(&lab, &server, &[]);
    lab.until("it is let go", || !is_held(&server, "vf1"));
    assert_eq!(lab.ports("br-sfc"), ["pf0vf2"]);
    // Deleted while the port cannot be taken away.
    lab.switch.pause_database(true);
    delete(&server, "vf2");
    std::thread::sleep(Duration::from_secs(1));
    assert!(is_held(&server, "vf2"));
    lab.switch.pause_database(false);
    lab.until("it is let go", || !is_held(&server, "vf2"));
    assert_eq!(lab.ports("br-sfc"), [""; 0]);
}

/// D27: flows, everybody's, are wiped when there is no API server, and at the end of the program.
#[test]
fn d27_flows_stay_without_an_api_server_and_without_the_agent() {
    let lab = Lab::start(&["br-sfc"]);
    let server = serve();
    let foreign = "cookie=0x7,table=0,priority=5,in_port=9,actions=output:8";
    lab.switch.ofctl("add-flow", "br-sfc", &[foreign]);
    put(&server, &[physical("p0"), vf(1), chain("c", &[&["p0", "vf1"]])]);
    let mut first = agent(&lab, &server, &[]);
    lab.until("it is wired", || ready(&server, "servicechains", "c") == "True/Success");
    let (flows, ports) = (lab.flows(), lab.ports("br-sfc"));
    assert_eq!(flows.len(), 3);
    first.signal("TERM");
    assert_eq!(first.0.wait().unwrap().code(), Some(0));
    assert_eq!((lab.flows(), lab.ports("br-sfc")), (flows.clone(), ports.clone()));
    // An agent that knows of no object takes away nothing.
    server.away(true);
    let _second = agent(&lab, &server, &["--audit", "1"]);
    let log = || std::fs::read_to_string(lab.switch.path("agent.log")).unwrap();
    lab.until("it has looked", || !log().is_empty());
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!((lab.flows(), lab.ports("br-sfc")), (flows.clone(), ports.clone()));
    server.away(false);
    let mut other = server.get("servicechains", "ns", "c");
    other["metadata"]["generation"] = json!(2);
    server.put("servicechains", other);
    lab.until("it is in charge", || server.get("servicechains", "ns", "c")["status"]["observedGeneration"] == 2);
    assert_eq!((lab.flows(), lab.ports("br-sfc")), (flows, ports));
}
