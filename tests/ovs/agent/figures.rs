//! How long things take, printed.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{Lab, chain, metrics, vf};
use dpu_render::agent::openflow::FlowFilter;

#[tokio::test]
async fn a_change_of_an_object_is_soon_in_the_flows() {
    let lab = Lab::start(&["br-sfc"]);
    lab.put("ports", &[vf(0), vf(1), vf(2)]);
    lab.put("chain", &[chain("c", &[&["vf0", "vf1"]])]);
    let agent = lab.agent();
    lab.until_condition("Ready", "True/Success");
    let (connection, _events) = lab.switch.connect("br-sfc").await;
    let mut times = Vec::new();
    for round in 0..100_u32 {
        let other = if round % 2 == 0 { "vf2" } else { "vf1" };
        let port: u32 = lab.ofport(&format!("pf0{other}")).parse().unwrap();
        let begin = Instant::now();
        lab.put("chain", &[chain("c", &[&["vf0", other]])]);
        loop {
            let flows = connection.flows(FlowFilter::default()).await.unwrap();
            if flows.len() == 2 && flows.iter().any(|entry| entry.flow.matches.in_port == Some(port)) {
                break;
            }
            assert!(begin.elapsed() < Duration::from_secs(10));
            tokio::time::sleep(Duration::from_micros(500)).await;
        }
        times.push(begin.elapsed());
    }
    times.sort();
    println!("object changed → flows changed: median {:?}, p99 {:?}, most {:?}", times[50], times[98], times[99]);
    std::thread::sleep(Duration::from_millis(500));
    let ticks = agent.ticks();
    std::thread::sleep(Duration::from_secs(5));
    println!(
        "at rest for 5 s: {} clock ticks of 10 ms; {} KiB resident, {} KiB at most",
        agent.ticks() - ticks,
        agent.memory("VmRSS"),
        agent.memory("VmHWM")
    );
}

#[test]
fn many_interfaces_and_chains_from_nothing() {
    let lab = Lab::start(&["br-sfc"]);
    let ports: Vec<Value> = (0..256).map(vf).collect();
    let name = |number: usize| format!("vf{number}");
    let chains = (0..50).map(|number| {
        let names: Vec<String> =
            (0..if number % 10 == 0 { 5 } else { 2 }).map(|port| name(number * 5 + port)).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        chain(&format!("c{number}"), &[&names])
    });
    let objects: Vec<Value> = ports.into_iter().chain(chains).collect();
    lab.put("all", &objects);
    let begin = Instant::now();
    let agent = lab.agent();
    let node = || lab.node()["status"]["summary"].clone();
    lab.until("all is ready", || node() == json!({"interfaces": "256/256", "chains": "50/50"}));
    println!(
        "256 interfaces and 50 chains from nothing: {:?} from the start of the program to the status; {} KiB resident, {} KiB at most",
        begin.elapsed(),
        agent.memory("VmRSS"),
        agent.memory("VmHWM")
    );
    assert_eq!(lab.flows().len(), 45 * 2 + 5 * 15);
    let address = metrics::address(&lab);
    let begin = Instant::now();
    let page = metrics::get(address, "/metrics");
    println!(
        "their metrics: {} bytes after {:?}; {} KiB resident, {} KiB at most",
        page.body.len(),
        begin.elapsed(),
        agent.memory("VmRSS"),
        agent.memory("VmHWM")
    );
    assert_eq!(page.status, 200);
}
