//! What a chain lets through, and what not.

use serde_json::json;

use super::super::{chain, object, pf, physical, vf, vlan};
use super::Real;

#[test]
fn a_chain_of_two_is_a_cable_and_without_it_there_is_none() {
    let Some(lab) = Real::start(&["br-sfc"]) else { return };
    let (far, near) = (lab.host("p0", "10.0.0.1"), lab.host("pf0hpf", "10.0.0.2"));
    lab.put("ports", &[physical("p0"), pf(0)]);
    let _agent = lab.agent();
    lab.until_ready();
    assert!(far.reaches_none(&[&near]), "the bridge forwards nothing by itself");
    lab.put("chain", &[chain("c", &[&["p0", "pf0"]])]);
    lab.until_flows(2);
    assert!(far.reaches(&near) && near.reaches(&far));
    far.sends_by_tcp(&near, 20 << 20);
    lab.remove("chain");
    lab.until_flows(0);
    assert!(far.reaches_none(&[&near]));
}

#[test]
fn a_chain_of_three_learns_and_the_third_hears_nothing_of_two_that_talk() {
    let Some(lab) = Real::start(&["br-sfc"]) else { return };
    let (a, b) = (lab.host("p0", "10.0.0.1"), lab.host("pf0hpf", "10.0.0.2"));
    let third = lab.host("pf0vf3", "10.0.0.3");
    lab.put("all", &[physical("p0"), pf(0), vf(3), chain("c", &[&["p0", "pf0", "vf3"]])]);
    let _agent = lab.agent();
    lab.until_ready();
    assert!(a.reaches(&b) && b.reaches(&a));
    let heard = third.received();
    assert!(a.pinging(&["-i", "0.005", "-c", "300"], &b.address).answered().len() > 290);
    a.sends_by_tcp(&b, 1 << 20);
    assert_eq!(third.received(), heard, "packets between the others");
    // What is for all is for the third, too; and it is a member like any other.
    let heard = [b.received(), third.received()];
    assert!(a.pinging(&["-c", "1", "-w", "1"], "10.0.0.99").answered().is_empty());
    assert!(b.received() > heard[0] && third.received() > heard[1], "nobody knows 10.0.0.99: all are asked");
    assert!(third.reaches(&a) && b.reaches(&third));
}

#[test]
fn an_address_that_moves_to_another_port_is_found_there() {
    let Some(lab) = Real::start(&["br-sfc"]) else { return };
    let (a, b) = (lab.host("p0", "10.0.0.1"), lab.host("pf0hpf", "10.0.0.2"));
    let third = lab.host("pf0vf3", "10.0.0.3");
    lab.put("all", &[physical("p0"), pf(0), vf(3), chain("c", &[&["p0", "pf0", "vf3"]])]);
    let _agent = lab.agent();
    lab.until_ready();
    assert!(a.reaches(&b));
    // The machine behind `pf0` moves behind `vf3`, with its addresses.
    b.room.ip(&["link", "set", "eth0", "down"]);
    third.room.ip(&["link", "set", "eth0", "address", &b.mac()]);
    third.room.ip(&["address", "add", "10.0.0.2/24", "dev", "eth0"]);
    assert!(third.reaches(&a), "it says where it is");
    assert!(a.reaches(&b), "and is found there");
}

#[test]
fn vlans_of_an_uplink_are_apart_from_each_other_and_from_what_has_no_tag() {
    let Some(lab) = Real::start(&["br-sfc"]) else { return };
    // The switch at the other end of the uplink: an access port for each VLAN, and one without a tag.
    lab.add_plain_bridge("br-rack");
    lab.room.ip(&["link", "add", "p0", "type", "veth", "peer", "name", "trunk"]);
    for device in ["p0", "trunk"] {
        lab.room.ip(&["link", "set", device, "up"]);
    }
    let outside = [("red", "10.0.0.1"), ("blue", "10.0.0.2"), ("plain", "10.0.0.3")];
    let [red, blue, plain] = outside.map(|(port, address)| lab.host(port, address));
    lab.add_devices("br-rack", &["trunk", "red", "blue", "plain"]);
    lab.switch.vsctl(&["set", "port", "red", "tag=100", "--", "set", "port", "blue", "tag=200"]);
    let inside = [1, 2, 3, 4].map(|number| lab.host(&format!("pf0vf{number}"), &format!("10.0.0.{}", 10 + number)));
    let [vf1, vf2, vf3, vf4] = &inside;
    let ports = [physical("p0"), vlan("v100", "p0", 100), vlan("v200", "p0", 200), vf(1), vf(2), vf(3), vf(4)];
    lab.put("ports", &ports);
    lab.put("red", &[chain("red", &[&["v100", "vf1", "vf4"]])]);
    lab.put("blue", &[chain("blue", &[&["v200", "vf2"]])]);
    lab.put("plain", &[chain("plain", &[&["p0", "vf3"]])]);
    let _agent = lab.agent();
    lab.until_ready();
    for (out, within) in [(&red, vf1), (&red, vf4), (&blue, vf2), (&plain, vf3)] {
        assert!(out.reaches(within), "{} reaches {}", out.port, within.port);
    }
    assert!(vf1.reaches(&red) && vf2.reaches(&blue) && vf3.reaches(&plain) && vf1.reaches(vf4));
    assert!(red.reaches_none(&[&blue, &plain, vf2, vf3]));
    assert!(blue.reaches_none(&[&red, &plain, vf1, vf3, vf4]));
    assert!(plain.reaches_none(&[&red, &blue, vf1, vf2, vf4]));
    // The switch that learns, with a tag on one side.
    assert!(vf1.reaches(&red) && red.reaches(vf1));
    let heard = vf4.received();
    assert!(vf1.pinging(&["-i", "0.005", "-c", "200"], &red.address).answered().len() > 190);
    // Those who ask for an address that nobody has go on for a while, and all hear that.
    assert!(vf4.received() < heard + 20, "packets between the others");
    red.sends_by_tcp(vf1, 1 << 20);
    vf2.sends_by_tcp(&blue, 1 << 20);
    // The VLANs of one port joined: what comes by one goes back out by the other.
    lab.remove("red");
    lab.put_chain("blue", chain("blue", &[&["v100", "v200"]]), 2);
    assert!(red.reaches(&blue) && blue.reaches(&red) && plain.reaches(vf3));
    assert!(red.reaches_none(&[vf1, vf2]));
    lab.put_chain("blue", chain("blue", &[&["v100", "v200", "vf1"]]), 3);
    // What the datapath decided by the flows of before it may keep for seconds where it has no processor time.
    lab.switch.appctl(&["revalidator/wait"]);
    for (one, other) in [(vf1, &red), (vf1, &blue), (&red, &blue), (&plain, vf3)] {
        let told = || {
            let neighbours = [one, other].map(|host| host.room.run("ip", &["neighbour"]));
            let datapath = lab.switch.appctl(&["dpctl/dump-flows"]);
            format!("{neighbours:?}\n{datapath}\n{}", lab.switch.appctl(&["fdb/show", "br-rack"]))
        };
        assert!(one.reaches(other), "{} reaches {}: {}", one.port, other.port, told());
    }
}

#[test]
fn ovn_and_patches_lead_to_other_bridges() {
    let Some(lab) = Real::start(&["br-sfc"]) else { return };
    let behind =
        [("br-ovn", "pf0hpf", "10.0.0.1"), ("br-ex", "pf1hpf", "10.0.0.2"), ("br-cloud", "pf2hpf", "10.0.0.3")];
    let [ovn, named, plain] = behind.map(|(bridge, port, address)| {
        lab.add_plain_bridge(bridge);
        let host = lab.host(port, address);
        lab.add_devices(bridge, &[port]);
        host
    });
    let [vf1, vf2, vf3] =
        [1, 2, 3].map(|number| lab.host(&format!("pf0vf{number}"), &format!("10.0.0.{}", 10 + number)));
    let patch = |name: &str, patch| object("ServiceInterface", name, json!({"interfaceType": "patch", "patch": patch}));
    let ports = [
        vf(1),
        vf(2),
        vf(3),
        object("ServiceInterface", "ovn", json!({"interfaceType": "ovn"})),
        patch("named", json!({"peerBridge": "br-ex", "peerPatchName": "to-chains"})),
        patch("plain", json!({"peerBridge": "br-cloud"})),
    ];
    lab.put("ports", &ports);
    lab.put("chain", &[chain("c", &[&["vf1", "ovn"], &["vf2", "named"], &["vf3", "plain"]])]);
    let _agent = lab.agent();
    lab.until_ready();
    for (one, other) in [(&vf1, &ovn), (&vf2, &named), (&vf3, &plain)] {
        assert!(one.reaches(other) && other.reaches(one), "{} and {}", one.port, other.port);
        one.sends_by_tcp(other, 1 << 20);
    }
    assert!(vf1.reaches_none(&[&named, &plain, &vf2]));
    // Three bridges in one switch.
    lab.put_chain("chain", chain("c", &[&["vf1", "ovn", "named", "plain"]]), 2);
    assert!(vf1.reaches(&ovn) && ovn.reaches(&named) && named.reaches(&plain) && plain.reaches(&vf1));
    lab.remove("chain");
    lab.until_flows(0);
    lab.remove("ports");
    lab.until("the patches are gone", || lab.ports("br-ovn") == ["pf0hpf"] && lab.ports("br-ex") == ["pf1hpf"]);
    assert!(ovn.reaches_none(&[&named, &vf1]));
}
