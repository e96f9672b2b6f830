//! An API server that forgets, goes away, or does not know the agent any more: the switch stays as it is, and is looked after.

use std::fs;

use serde_json::json;

use super::audit::requests;
use super::card::{Card, Chains, NAMESPACE, chain, physical, vf};

/// How long a flow is there, and how many packets it took.
fn age(card: &Card, port: &str) -> (f64, u64) {
    let number = card.switch.vsctl(&["get", "interface", port, "ofport"]);
    let text = card.switch.ofctl("dump-flows", "br-sfc", &["--no-names"]);
    let flow = text.lines().find(|line| line.contains(&format!("in_port={} ", number.trim()))).unwrap();
    let part = |name: &str| flow.split(", ").find_map(|part| part.trim().strip_prefix(name)).unwrap().to_owned();
    (part("duration=").trim_end_matches('s').parse().unwrap(), part("n_packets=").parse().unwrap())
}

fn send(card: &Card, port: &str) {
    card.switch.appctl(&["netdev-dummy/receive", port, "in_port(1),eth(src=50:54:00:00:00:09,dst=50:54:00:00:00:0a),eth_type(0x0800),ipv4(src=10.0.0.1,dst=10.0.0.2,proto=1,tos=0,ttl=64,frag=no),icmp(type=8,code=0)"]);
}

fn start(name: &str, port: u16) -> Card {
    let card = Card::start(name, port, Chains::Ours);
    card.kubectl().apply(&[
        physical("p0"),
        vf(1),
        vf(2),
        vf(3),
        chain("stays", &["p0", "vf1"]),
        chain("goes", &["vf2", "vf3"]),
    ]);
    card
}

/// Somebody takes a port away, which comes back although nobody can be asked.
fn repairs(port: &str, card: &Card) {
    let flows = card.flows().len();
    card.switch.vsctl(&["del-port", port]);
    card.until_is("the port and its flows are back", &(true, flows), || {
        (card.ports().contains(&port.to_owned()), card.flows().len())
    });
}

#[test]
#[ignore = "needs the programs and the network of the lab: make e2e"]
fn an_api_server_that_forgets_or_is_away_costs_no_flow() {
    let card = start("away", 9120);
    card.start_agent(&[]);
    card.until_flows(4);
    card.until_ready();
    send(&card, "p0");
    card.until("the packet is counted", || if age(&card, "p0").1 == 1 { Ok(()) } else { Err("no packet".to_owned()) });
    let kept = |before: f64| {
        let (now, packets) = age(&card, "p0");
        assert!(now > before && packets == 1, "the flow was made anew: {now} s, {packets} packets");
        now
    };
    let mut alive = age(&card, "p0").0;

    // It sleeps; meanwhile things happen of which there is no history when it wakes up.
    card.signal_agent("STOP");
    // Nothing of it may wait in a socket.
    card.stop_server();
    card.start_server();
    card.delete("servicechains", "goes");
    card.kubectl().apply(&[vf(4), chain("comes", &["vf2", "vf4"])]);
    card.compact();
    card.stop_server();
    card.start_server();
    let asked = requests(&card).len();
    card.signal_agent("CONT");
    card.until("the chains are what is asked for now", || {
        let flows = card.flows();
        let number = card.switch.vsctl(&["--if-exists", "get", "interface", "pf0vf4", "ofport"]);
        let has = |port: &str| flows.iter().any(|flow| flow.contains(&format!("in_port={port} ")));
        if flows.len() == 4 && has(number.trim()) { Ok(()) } else { Err(flows.join("\n")) }
    });
    alive = kept(alive);
    card.until_ready();
    let news = requests(&card).split_off(asked);
    let of_kind: Vec<_> = news.iter().filter(|one| one.uri.contains("/servicechains?")).collect();
    let verbs: Vec<&str> = of_kind.iter().map(|one| one.verb.as_str()).collect();
    let watched = verbs.iter().position(|verb| *verb == "watch").unwrap();
    assert!(verbs[watched..].contains(&"list"), "it went on from where it was, and had to list anew: {of_kind:#?}");

    // A kind that only some releases have is asked for less and less often.
    let of_none = requests(&card).iter().filter(|one| one.uri.contains("/nodeserviceinterfaces?")).count();
    assert!((2..12).contains(&of_none), "{of_none} times");

    // Nobody there: the switch is looked after, and what is asked for meanwhile is done afterwards.
    card.stop_server();
    repairs("pf0vf4", &card);
    alive = kept(alive);
    // One that begins meanwhile knows of no object: it says so, and touches nothing.
    let flows = card.flows();
    card.restart_agent(&[]);
    card.until("it says that it knows nothing", || match card.said() {
        said if said.contains("ObjectsUnread: ") => Ok(()),
        said => Err(said),
    });
    assert_eq!(card.flows(), flows);
    alive = kept(alive);
    card.start_server();
    card.kubectl().apply(&[chain("more", &["vf3", "vf4"])]);
    // vf4 has a chain: the younger one is refused its port.
    card.until("the edit arrives", || {
        let said = card.condition("servicechains", "more", "Ready");
        if said.starts_with("False/") { Ok(()) } else { Err(said) }
    });
    card.delete("servicechains", "comes");
    card.until_is("the younger one has it", &"True/Success".to_owned(), || {
        card.condition("servicechains", "more", "Ready")
    });
    kept(alive);
    card.until_ready();
}

#[test]
#[ignore = "needs the programs and the network of the lab: make e2e"]
fn a_token_that_is_replaced_on_disk_is_used() {
    let card = start("token", 9130);
    // What a token is bound to ends it when it goes.
    let bound = |name: &str| {
        card.kubectl().apply(&[
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"namespace": NAMESPACE, "name": name}}),
        ]);
        card.token(&["--bound-object-kind=Secret", &format!("--bound-object-name={name}")])
    };
    let file = card.places.folder("agent").join("token");
    let put = |token: &str| {
        let new = file.with_extension("new");
        fs::write(&new, token).unwrap();
        fs::rename(new, &file).unwrap();
    };
    put(&bound("first"));
    card.start_agent_with(&card.kubeconfig(&json!({"tokenFile": file})), &[]);
    card.until_flows(4);
    card.until_ready();
    // It ends before there is another one, which is worse than what kubelet does.
    card.kubectl().run(&["delete", "secrets", "first", "--namespace", NAMESPACE]);
    card.stop_server();
    card.start_server();
    card.kubectl().apply(&[vf(4)]);
    card.until("it says that it is not let in", || {
        let said = card.said();
        if said.contains("problem: ServiceInterface: the API server does not let the agent in") {
            Ok(())
        } else {
            Err(said)
        }
    });
    repairs("pf0vf3", &card);
    put(&bound("second"));
    // The file is read about once a minute, and the agent asks twice a minute.
    card.within(150, "the edit arrives", || {
        let ports = card.ports();
        if ports.contains(&"pf0vf4".to_owned()) { Ok(()) } else { Err(ports.join(" ")) }
    });
    card.until_ready();
    assert!(card.said().contains("no problem any more: ServiceInterface\n"), "{}", card.said());
}
