//! What must not cost a packet.

use std::collections::BTreeMap;
use std::time::Instant;

use dpu_render::agent::api::Key;
use dpu_render::agent::hash;
use serde_json::Value;

use super::super::{Agent, chain, physical, vf};
use super::{Host, Real};

/// What flows have counted.
struct Counted {
    begin: Instant,
    end: Instant,
    /// Packets, and seconds since the flow came.
    flows: BTreeMap<String, (u64, f64)>,
}

fn counted(lab: &Real) -> Counted {
    let begin = Instant::now();
    let text = lab.switch.ofctl("dump-flows", "br-sfc", &["--no-names"]);
    let number = |line: &str, name: &str| -> f64 {
        let rest = line.split(name).nth(1).unwrap_or_else(|| panic!("{line}"));
        rest.split([',', 's', ' ']).next().unwrap().parse().unwrap()
    };
    let is_learned = |line: &&str| !line.contains("actions=") || line.contains("idle_timeout");
    let told = |line: &str| {
        let what = line.rsplit_once("n_bytes=").unwrap().1.split_once(", ").unwrap().1.to_owned();
        let table = line.split("table=").nth(1).unwrap().split(',').next().unwrap();
        (format!("{table} {what}"), (number(line, "n_packets=") as u64, number(line, "duration=")))
    };
    let flows = text.lines().filter(|line| !is_learned(line)).map(told).collect();
    Counted { begin, end: Instant::now(), flows }
}

/// That every flow is still there, and was not put there again: it would be younger.
fn assert_went_on(before: &Counted, after: &Counted) {
    let between = (after.begin - before.end).as_secs_f64();
    for (flow, (packets, since)) in &before.flows {
        let (more, later) = after.flows.get(flow).unwrap_or_else(|| panic!("{flow} is gone"));
        // The switch says milliseconds.
        let went_on = more >= packets && later + 0.005 >= since + between;
        assert!(went_on, "{flow}: {packets} packets in {since} s, {between} s later {more} in {later} s");
    }
}

/// What two hosts ping each other through: two ports, and `others` that have nothing behind them.
fn lab(others: u16) -> Option<(Real, Host, Host)> {
    let lab = Real::start(&["br-sfc"])?;
    let (far, near) = (lab.host("p0", "10.0.0.1"), lab.host("pf0vf1", "10.0.0.2"));
    for number in 2..2 + others {
        lab.room.ip(&["link", "add", &format!("pf0vf{number}"), "type", "veth", "peer", "name", &format!("x{number}")]);
        for device in [format!("pf0vf{number}"), format!("x{number}")] {
            lab.room.ip(&["link", "set", &device, "up"]);
        }
    }
    let ports: Vec<Value> = [physical("p0")].into_iter().chain((1..2 + others).map(vf)).collect();
    lab.put("ports", &ports);
    Some((lab, far, near))
}

/// Does something again and again while one pings the other every 5 ms. Of the first 600 no packet is lost; for the last ones ping
/// does not wait long.
fn while_they_ping(from: &Host, to: &Host, mut act: impl FnMut(i64)) {
    assert!(from.reaches(to));
    let mut pings = from.pinging(&["-i", "0.005", "-c", "620"], &to.address);
    let mut rounds = 0;
    while pings.goes_on() {
        rounds += 1;
        act(rounds);
    }
    println!("{rounds} times while they pinged");
    assert!(rounds > 2, "{rounds}");
    let answered = pings.answered();
    let lost: Vec<u32> = (1..=600).filter(|number| !answered.contains(number)).collect();
    assert_eq!(lost, [0; 0], "of 600");
}

#[test]
fn the_same_chain_again() {
    let Some((lab, far, near)) = lab(1) else { return };
    for members in [&["p0", "vf1"][..], &["p0", "vf1", "vf2"]] {
        lab.put("chain", &[chain("c", &[members])]);
        let agent = lab.agent();
        lab.put_chain("chain", chain("c", &[members]), 1);
        let before = counted(&lab);
        while_they_ping(&far, &near, |round| lab.put_chain("chain", chain("c", &[members]), 1 + round));
        assert_went_on(&before, &counted(&lab));
        drop(agent);
    }
}

#[test]
fn another_chain_comes_changes_and_goes() {
    let Some((lab, far, near)) = lab(4) else { return };
    lab.put("chain", &[chain("c", &[&["p0", "vf1"]])]);
    let _agent = lab.agent();
    lab.until_ready();
    let before = counted(&lab);
    let others: [&[&str]; 3] = [&["vf2", "vf3"], &["vf2", "vf3", "vf4"], &["vf3", "vf4"]];
    while_they_ping(&far, &near, |round| {
        for (generation, members) in others.iter().enumerate() {
            lab.put_chain("other", chain("other", &[members]), 10 * round + i64::try_from(generation).unwrap());
        }
        lab.remove("other");
        lab.until_flows(2);
    });
    assert_went_on(&before, &counted(&lab));
}

#[test]
fn another_interface_comes_and_goes() {
    let Some((lab, far, near)) = lab(1) else { return };
    lab.put("ports", &[physical("p0"), vf(1)]);
    lab.put("chain", &[chain("c", &[&["p0", "vf1"]])]);
    let _agent = lab.agent();
    lab.until_ready();
    let before = counted(&lab);
    while_they_ping(&far, &near, |_| {
        lab.put("more", &[vf(2)]);
        lab.until_condition_of("interfaces", "vf2", "Ready", "True/Success");
        lab.remove("more");
        lab.until("the port is gone", || lab.ports("br-sfc").len() == 2);
    });
    assert_went_on(&before, &counted(&lab));
}

#[test]
fn the_agent_is_killed_and_starts_again() {
    let Some((lab, far, near)) = lab(1) else { return };
    for members in [&["p0", "vf1"][..], &["p0", "vf1", "vf2"]] {
        lab.put("chain", &[chain("c", &[members])]);
        let mut agent: Option<Agent> = Some(lab.agent());
        lab.put_chain("chain", chain("c", &[members]), 1);
        let before = counted(&lab);
        while_they_ping(&far, &near, |round| {
            drop(agent.take());
            agent = Some(lab.agent());
            lab.put_chain("chain", chain("c", &[members]), 1 + round);
        });
        assert_went_on(&before, &counted(&lab));
    }
}

#[test]
fn a_third_port_comes_to_the_chain_and_leaves_it() {
    let Some((lab, far, near)) = lab(1) else { return };
    lab.put("chain", &[chain("c", &[&["p0", "vf1"]])]);
    let _agent = lab.agent();
    lab.until_ready();
    while_they_ping(&far, &near, |round| {
        lab.put_chain("chain", chain("c", &[&["p0", "vf1", "vf2"]]), 2 * round);
        lab.put_chain("chain", chain("c", &[&["p0", "vf1"]]), 2 * round + 1);
    });
    lab.until_flows(2);
}

#[test]
fn what_dpf_wired_is_taken_over() {
    let Some((lab, far, near)) = lab(0) else { return };
    lab.add_devices("br-sfc", &["p0", "pf0vf1"]);
    for (port, id) in [("p0", "ns/p0"), ("pf0vf1", "ns/vf1")] {
        lab.switch.vsctl(&["set", "interface", port, &format!("external_ids:dpf-id={id}")]);
    }
    let key = Key::new("ns", "c");
    let (theirs, ours) = (hash::dpf_cookie(&key), hash::cookie(&key));
    let ports = [lab.ofport("p0"), lab.ofport("pf0vf1")];
    let dpf = || {
        for (from, to) in [(&ports[0], &ports[1]), (&ports[1], &ports[0])] {
            let learn = format!(
                "learn(table=0,priority=30,idle_timeout=10,cookie={theirs},in_port={to},NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],output:NXM_OF_IN_PORT[])"
            );
            let flow = format!("cookie={theirs},table=0,priority=20,in_port={from},actions={learn},output:{to}");
            lab.switch.ofctl("add-flow", "br-sfc", &[&flow]);
        }
        lab.switch.ofctl("del-flows", "br-sfc", &[&format!("cookie={ours}/-1")]);
    };
    lab.put("chain", &[chain("c", &[&["p0", "vf1"]])]);
    let rows = lab.rows();
    dpf();
    while_they_ping(&far, &near, |_| {
        lab.until("an address is learned", || lab.flows().iter().any(|flow| flow.contains("priority=30")));
        let agent = lab.agent();
        lab.until("the flows are ours", || {
            let flows = lab.flows();
            flows.len() == 2 && flows.iter().all(|flow| flow.contains("priority=40"))
        });
        drop(agent);
        dpf();
    });
    assert_eq!(lab.rows(), rows, "the ports are theirs");
}

#[test]
fn a_third_port_is_made_for_the_chain_and_taken_away_with_it() {
    let Some((lab, far, near)) = lab(1) else { return };
    lab.put("ports", &[physical("p0"), vf(1)]);
    let two = || chain("c", &[&["p0", "vf1"]]);
    lab.put("chain", &[two()]);
    let _agent = lab.agent();
    lab.until_ready();
    while_they_ping(&far, &near, |round| {
        let three = chain("c", &[&["p0", "vf1", "vf2"]]);
        lab.put("more", &[vf(2)]);
        lab.put_chain("chain", three, 2 * round);
        lab.remove("more");
        lab.put_chain("chain", two(), 2 * round + 1);
        lab.until("the port is gone", || lab.ports("br-sfc").len() == 2);
    });
    lab.until_flows(2);
}
