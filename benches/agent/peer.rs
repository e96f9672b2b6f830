//! The same ports and flows by the tools of Open vSwitch, a process for each object.
//! Touches: a bridge of its own on the switch of the bench.

use std::fs;
use std::time::Instant;

use serde_json::{Value, json};

use crate::lab::{Lab, interfaces};
use crate::{CHAINS, INTERFACES, milliseconds, spread};

/// Adds each port by `ovs-vsctl`, which waits for the switch, and each chain by `ovs-ofctl --bundle`, as DPF does with its chains.
pub(crate) fn measure(lab: &Lab) -> Value {
    lab.switch.add_bridge("br-peer");
    let begin = Instant::now();
    for interface in 0..INTERFACES {
        lab.switch.add_ports("br-peer", &[&format!("peer{interface}")]);
    }
    let ports = milliseconds(begin);
    let numbers: Vec<u32> = (0..INTERFACES)
        .map(|interface| {
            let port = format!("peer{interface}");
            lab.switch.vsctl(&["get", "interface", &port, "ofport"]).trim().parse().unwrap()
        })
        .collect();
    let mut chains = Vec::new();
    for chain in 0..CHAINS {
        let ports: Vec<u32> = interfaces(chain).into_iter().map(|interface| numbers[interface]).collect();
        let flows: String = ports.iter().map(|port| flow(chain, *port, &ports)).collect();
        let file = lab.switch.path("peer.flows");
        fs::write(&file, flows).unwrap();
        let begin = Instant::now();
        lab.switch.ofctl("add-flows", "br-peer", &["--bundle", &file.to_string_lossy()]);
        chains.push(milliseconds(begin));
    }
    json!({"ports_ms": ports, "chains_ms": chains.iter().sum::<f64>(), "chain_ms": spread(chains)})
}

/// As DPF v24.10 makes it: learn for every other port, and output to it.
fn flow(chain: usize, port: u32, ports: &[u32]) -> String {
    let others: Vec<&u32> = ports.iter().filter(|other| **other != port).collect();
    let learn = |other: &&u32| {
        format!(
            "learn(table=0,priority=30,idle_timeout=10,cookie={chain},in_port={other},\
             NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],output:NXM_OF_IN_PORT[])"
        )
    };
    let outputs = others.iter().map(|other| format!("output:{other}"));
    let actions: Vec<String> = others.iter().map(learn).chain(outputs).collect();
    format!("cookie={chain},priority=20,in_port={port},actions={}\n", actions.join(","))
}
