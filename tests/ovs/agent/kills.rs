//! Killed at any point, it ends in the switch of a fresh start.

use std::collections::BTreeSet;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{Lab, chain, object, pf, physical, pod, service, vf, vlan};

const KILLS: u32 = 80;

/// Numbers that look random and are the same for the same seed (splitmix64).
struct Dice(u64);

impl Dice {
    /// Below `sides`.
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % sides
    }
}

/// Objects that have little in common but the uplink, which stays in any case.
fn worlds() -> Vec<Vec<Value>> {
    let ovn = || object("ServiceInterface", "ovn", json!({"interfaceType": "ovn"}));
    let patch = |bridge: &str| {
        let patch = json!({"peerBridge": bridge, "peerPatchName": "out"});
        object("ServiceInterface", "patch", json!({"interfaceType": "patch", "patch": patch}))
    };
    let names: Vec<String> = (0..12).map(|number| format!("vf{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let vfs = |range: std::ops::Range<u16>| range.map(vf).collect::<Vec<_>>();
    let (long, longer) = ([&names[..6], &names[6..8]], [&names[2..9]]);
    let with = |mut objects: Vec<Value>, more: Vec<Value>| {
        objects.push(physical("p0"));
        objects.extend(more);
        objects
    };
    vec![
        with(vec![], vec![]),
        with(vfs(0..4), vec![chain("c", &[&["vf0", "vf1", "vf2"]])]),
        with(vfs(0..12), vec![chain("c", &long), chain("d", &[&names[8..10]])]),
        with(vfs(2..9), vec![chain("d", &longer), patch("br-ex")]),
        with(vfs(0..2), vec![ovn(), patch("br-ovn"), chain("c", &[&["p0", "ovn"], &["vf0", "patch", "vf1"]])]),
        with(vec![pf(0)], vec![vlan("v7", "p0", 7), vlan("v8", "p0", 8), chain("c", &[&["v7", "pf0"], &["v8", "p0"]])]),
        with(
            vec![pf(0)],
            vec![service("app", "app", "net1"), pod("app-1", "app", true), chain("e", &[&["pf0", "app", "p0"]])],
        ),
    ]
}

/// A switch that others use, too.
fn used() -> Lab {
    let lab = Lab::start(&["br-sfc", "br-ovn", "br-ex"]);
    lab.switch.add_ports("br-sfc", &["foreign0"]);
    lab.cni_adds("br-sfc", "en3f0pf0sf1", "ns/app-1/net1");
    lab.switch.ofctl("add-flow", "br-sfc", &["cookie=0x7,table=0,priority=5,in_port=1,actions=drop"]);
    lab
}

type Held = (BTreeSet<String>, BTreeSet<String>);

fn held(lab: &Lab) -> Held {
    (lab.rows(), lab.named_flows())
}

/// The switch of a fresh start, and how long that takes.
fn fresh(world: &[Value]) -> (Held, Duration) {
    let lab = used();
    lab.put("all", world);
    let begin = Instant::now();
    let _agent = lab.agent();
    lab.until_condition("Ready", "True/Success");
    (held(&lab), begin.elapsed())
}

#[test]
fn killed_at_any_point_it_ends_in_the_switch_of_a_fresh_start() {
    let seed = std::env::var("DPU_AGENT_SEED").map_or(20_261_121, |seed| seed.parse().unwrap());
    let mut dice = Dice(seed);
    let worlds = worlds();
    let fresh: Vec<(Held, Duration)> = worlds.iter().map(|world| fresh(world)).collect();
    let long = fresh.iter().map(|(_, took)| *took).max().unwrap();
    let lab = used();
    // How far it had come when it was killed. The aim follows that, as the time between nothing and all is short.
    let (mut nothing, mut some, mut all) = (0, 0, 0);
    let mut aim = long / 2;
    let mut before = held(&lab);
    for _ in 0..KILLS {
        let around = |dice: &mut Dice, aim: Duration| aim.mul_f64(0.5 + dice.roll(1000) as f64 / 1000.0);
        let mut world = usize::try_from(dice.roll(worlds.len() as u64)).unwrap();
        lab.put("all", &worlds[world]);
        let agent = lab.agent();
        sleep(around(&mut dice, aim));
        // The objects change while it is at work.
        if dice.roll(2) == 0 {
            world = usize::try_from(dice.roll(worlds.len() as u64)).unwrap();
            lab.put("all", &worlds[world]);
            sleep(around(&mut dice, aim / 4));
        }
        drop(agent);
        let after = held(&lab);
        let (count, factor) = match () {
            () if after == fresh[world].0 => (&mut all, 0.8),
            () if after == before => (&mut nothing, 1.25),
            () => (&mut some, 1.0),
        };
        *count += 1;
        aim = aim.mul_f64(factor).clamp(long / 20, long);
        before = after;
    }
    println!(
        "seed {seed}: killed {KILLS} times, a start takes {long:?} at most: {nothing} times nothing was changed, {some} times some, {all} times all"
    );
    assert!(nothing > 0 && some > 0 && all > 0, "the kills are not where they tell anything");
    for (world, (fresh, _)) in worlds.iter().zip(&fresh) {
        lab.put("all", world);
        let agent = lab.agent();
        lab.until(&format!("seed {seed}: the switch is that of a fresh start"), || held(&lab) == *fresh);
        lab.until_condition("Ready", "True/Success");
        drop(agent);
    }
}
