//! How much memory the agent takes. Printed, not judged: the number of a debug build is no promise.

use std::io::Write as _;

use super::card::{Card, Chains, chain, physical, vf};

const INTERFACES: u32 = 256;
const CHAINS: u32 = 50;

#[test]
#[ignore = "needs the programs and the network of the lab: make e2e"]
fn memory_of_a_full_card() {
    let card = Card::start("figures", 9140, Chains::Ours);
    card.start_agent(&[]);
    card.until("the agent is up", || if card.node().is_null() { Err(card.said()) } else { Ok(()) });
    let empty = card.figure("VmRSS");
    let mut objects = vec![physical("p0")];
    objects.extend((0..INTERFACES - 1).map(vf));
    let names = |number: u32| [format!("vf{}", number * 2), format!("vf{}", number * 2 + 1)];
    objects.extend((0..CHAINS).map(|number| {
        let names = names(number);
        chain(&format!("c{number}"), &[&names[0], &names[1]])
    }));
    let begin = std::time::Instant::now();
    card.kubectl().apply(&objects);
    card.until_flows(2 * CHAINS as usize);
    card.until_ready();
    let node = card.node();
    assert_eq!(node["summary"], serde_json::json!({"interfaces": "256/256", "chains": "50/50"}));
    let build = if cfg!(debug_assertions) { "debug" } else { "release" };
    let line = format!(
        "dpu-agent, {build} build: {empty} without objects; {} with {INTERFACES} interfaces and {CHAINS} chains, {} at most; \
         ready {:.1} s after the first of them was applied; the node's object has {} KiB\n",
        card.figure("VmRSS"),
        card.figure("VmHWM"),
        begin.elapsed().as_secs_f64(),
        node.to_string().len() / 1024,
    );
    // Not `println`: the harness hides that where a test passes.
    std::io::stderr().write_all(line.as_bytes()).unwrap();
}
