//! Defects known of DPF v24.10's own controller, and of the programs that share the switch with it, by the number they go by
//! (D1 to D29; `tests/README.md` lists them).
//!
//! Each has a test here that shows that the agent does not have it or, where the defect is another program's, that the agent
//! holds its own, puts right what is its own, and says what is wrong. The sentence before a test is the defect; its name is
//! what the agent does instead.

mod api;
mod chains;
mod flows;
mod numbers;
mod ports;
mod traffic;

use std::collections::BTreeSet;
use std::fs;

use serde_json::{Value, json};

use super::{Lab, chain, condition, object, physical, vf};

/// A frame of no protocol, as `netdev-dummy/receive` takes it.
fn frame(from: &str, to: &str) -> String {
    format!("in_port(1),eth(src={from},dst={to}),eth_type(0x1234)")
}

impl Lab {
    /// A frame comes in by a port.
    fn receive(&self, port: &str, frame: &str) {
        self.switch.appctl(&["netdev-dummy/receive", port, frame]);
    }

    /// Notes from now on what goes out by these ports.
    fn note_frames(&self, ports: &[&str]) {
        for port in ports {
            let file = self.switch.path(&format!("{port}.pcap"));
            self.switch.vsctl(&["set", "interface", port, &format!("options:tx_pcap={}", file.display())]);
            self.until("the file of frames is open", || file.exists());
        }
    }

    /// What went out by a port.
    fn frames(&self, port: &str) -> Vec<Vec<u8>> {
        let bytes = fs::read(self.switch.path(&format!("{port}.pcap"))).unwrap();
        let mut left = bytes.get(24..).unwrap_or_default();
        let mut frames = Vec::new();
        while let Some(length) = left.get(8..12) {
            let end = 16 + usize::try_from(u32::from_le_bytes(length.try_into().unwrap())).unwrap();
            // The end of the file may be half written.
            let Some(frame) = left.get(16..end) else { break };
            frames.push(frame.to_vec());
            left = &left[end..];
        }
        frames
    }

    /// Every number of a port that a flow tells of.
    fn numbers_in_flows(&self) -> BTreeSet<String> {
        let flows = self.flows().join(" ");
        let words = flows.split([' ', ',', '(', ')']);
        let number = |word: &str| {
            let number =
                ["in_port=", "actions=output:", "output:"].iter().find_map(|start| word.strip_prefix(start))?;
            number.parse::<u32>().ok().map(|number| number.to_string())
        };
        words.filter_map(number).collect()
    }

    /// Waits until flows tell of these ports, and of no others.
    fn until_flows_are_of(&self, ports: &[&str]) {
        let wanted = || ports.iter().map(|port| self.ofport(port)).collect::<BTreeSet<_>>();
        self.until(&format!("flows of {ports:?} alone"), || self.numbers_in_flows() == wanted());
    }

    /// Whether two ports are connected, and only with each other.
    fn are_connected(&self, one: &str, other: &str) -> bool {
        let (one, other) = (self.ofport(one), self.ofport(other));
        let flows = self.flows();
        let way = |from: &str, to: &str| {
            let (from, to) = (format!("in_port={from} "), format!("actions=output:{to}"));
            let of: Vec<&String> = flows.iter().filter(|flow| flow.contains(&from)).collect();
            of.len() == 1 && of[0].ends_with(&to)
        };
        way(&one, &other) && way(&other, &one)
    }

    /// A port as the CNI makes it for a pod's interface.
    fn add_port_of_cni(&self, bridge: &str, port: &str, columns: &[&str]) {
        let mut arguments = vec!["add-port", bridge, port, "--", "set", "interface", port, "type=dummy"];
        arguments.extend(columns);
        arguments.extend(["--", "set", "port", port, "external_ids:owner=ovs-cni.network.kubevirt.io"]);
        self.switch.vsctl(&arguments);
    }

    /// A column of a row, as `ovs-vsctl` has it.
    fn get(&self, table: &str, row: &str, column: &str) -> String {
        self.switch.vsctl(&["get", table, row, column]).trim().to_owned()
    }

    /// Until the message of a condition of a chain or an interface has these parts: the reason may be the same for something else
    /// that was so for a moment.
    fn until_message_of(&self, list: &str, name: &str, kind: &str, parts: &[&str]) {
        let message = || self.message_of(list, name, kind);
        self.until(&format!("{kind} of {name} says {parts:?}"), || parts.iter().all(|part| message().contains(part)));
    }

    fn message_of(&self, list: &str, name: &str, kind: &str) -> String {
        let node = self.node();
        let entries = node["status"][list].as_array().cloned().unwrap_or_default();
        let entry = entries.into_iter().find(|entry| entry["name"] == name).unwrap_or_default();
        let conditions = entry["conditions"].as_array().cloned().unwrap_or_default();
        let found = conditions.into_iter().find(|one| one["type"] == kind).unwrap_or_default();
        found["message"].as_str().unwrap_or_default().to_owned()
    }
}

/// The interface `<name>` of the pods of a service.
fn service(name: &str) -> Value {
    let service = json!({"serviceID": name, "network": "n", "interfaceName": "app_sf"});
    object("ServiceInterface", name, json!({"interfaceType": "service", "service": service}))
}

fn pod(name: &str, service: &str, phase: &str, ready: bool) -> Value {
    let ready = if ready { "True" } else { "False" };
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"namespace": "ns", "name": name, "labels": {"svc.dpu.nvidia.com/service": service}},
        "spec": {"nodeName": "w"},
        "status": {"phase": phase, "conditions": [{"type": "Ready", "status": ready}]},
    })
}

fn created(mut object: Value, when: &str) -> Value {
    object["metadata"]["creationTimestamp"] = json!(when);
    object
}
