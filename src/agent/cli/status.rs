//! `dpu-agent status`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use serde::Serialize;

use super::look::{self, Look};
use super::{Failure, SwitchArgs, deliver};
use crate::agent::desired::{self, Desired, Problem};
use crate::agent::observed::Interface;
use crate::agent::plan::{self, FlowChange, Found, Plan};

/// Show the bridges, interfaces and chains of this card, what went through them, and what is wrong
///
/// Exit code 1: something that the objects ask for is not there.
#[derive(Debug, clap::Args)]
pub(super) struct StatusArgs {
    #[command(flatten)]
    switch: SwitchArgs,
    /// Folder of YAML and JSON files to take objects from, in the place of an API server
    #[arg(long, env = "DPU_AGENT_FROM", value_name = "DIR")]
    objects: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// As conditions have it.
const LINK_DOWN: &str = "LinkDown";

/// Everything that is shown.
#[derive(Serialize)]
struct Shown {
    bridges: Vec<Bridge>,
    interfaces: Vec<Port>,
    chains: Vec<Chain>,
    /// What is wrong: of what, and why.
    wrong: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Bridge {
    name: String,
    datapath: String,
    fail_mode: String,
    ports: usize,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Port {
    interface: String,
    port: Option<String>,
    vlan: Option<u16>,
    ofport: Option<u32>,
    link: Option<String>,
    mtu: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rx_packets: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tx_packets: Option<u64>,
    dropped: Option<u64>,
    /// `ok`, or one word that says what is wrong.
    state: String,
}

#[derive(Serialize)]
struct Chain {
    chain: String,
    /// The ports of each switch, as far as they are there.
    switches: Vec<Vec<String>>,
    /// Flows there are.
    flows: usize,
    /// Of these, those that the switch learned.
    learned: usize,
    packets: u64,
    bytes: u64,
    /// `ok`, or one word that says what is wrong.
    state: String,
}

pub(super) fn run(args: &StatusArgs) -> Result<u8, Failure> {
    let (given, look) = look::both(&args.switch, args.objects.as_deref())?;
    let settings = args.switch.settings();
    let desired = desired::desired(&given.snapshot, &settings);
    let plan = plan::plan(&desired, &look.observed, &settings);
    let shown = shown(&desired, &plan, &look);
    match args.json {
        true => deliver(&format!("{:#}\n", serde_json::to_value(&shown)?))?,
        false => deliver(&text(&shown))?,
    }
    Ok(u8::from(!shown.wrong.is_empty()))
}

fn shown(desired: &Desired, plan: &Plan, look: &Look) -> Shown {
    let mut wrong = Vec::new();
    let bridges = look.observed.bridges.iter().map(|(name, bridge)| Bridge {
        name: name.clone(),
        datapath: if bridge.datapath_type.is_empty() { "system".to_owned() } else { bridge.datapath_type.clone() },
        fail_mode: bridge.fail_mode.clone().unwrap_or_default(),
        ports: bridge.ports.len(),
    });
    let interfaces = desired.interfaces.iter().filter_map(|placed| {
        let id = &placed.interface.id;
        let found = plan.interfaces.get(id)?;
        if let Err(problem) = found {
            wrong.push(complaint(&format!("interface {id}"), problem));
        }
        let shown = port(id, found, look);
        if shown.state == LINK_DOWN {
            wrong.push(format!("interface {id}: {LINK_DOWN}: the link of its port is down"));
        }
        Some(shown)
    });
    let interfaces = interfaces.collect();
    let chains = desired.chains.iter().map(|chain| chain_shown(chain, plan, look, &mut wrong)).collect();
    wrong.extend(plan.conflicts.values().map(|flow| format!("a flow that is not ours is in the way: {flow}")));
    Shown { bridges: bridges.collect(), interfaces, chains, wrong }
}

fn complaint(of: &str, problem: &Problem) -> String {
    format!("{of}: {}: {}", problem.reason, problem.message)
}

fn port(id: &str, found: &Result<Found, Problem>, look: &Look) -> Port {
    let name = found.as_ref().ok().map(|found| found.port.clone());
    let interface: Option<&Interface> = name.as_ref().and_then(|name| look.observed.interfaces.get(name));
    let member = found.as_ref().ok().map(|found| found.member);
    let counters = member.and_then(|member| look.ports.iter().find(|port| port.ofport == member.ofport));
    let link = interface.and_then(|interface| interface.link_state.clone());
    let state = match (found, link.as_deref()) {
        (Err(problem), _) => problem.reason.to_owned(),
        (Ok(_), Some("down")) => LINK_DOWN.to_owned(),
        (Ok(_), _) => "ok".to_owned(),
    };
    Port {
        interface: id.to_owned(),
        port: name,
        vlan: member.and_then(|member| member.vlan),
        ofport: member.map(|member| member.ofport),
        link,
        mtu: interface.and_then(|interface| interface.mtu),
        rx_packets: counters.and_then(|counters| counted(counters.rx_packets)),
        tx_packets: counters.and_then(|counters| counted(counters.tx_packets)),
        dropped: counters.and_then(|counters| counted(counters.rx_dropped)?.checked_add(counted(counters.tx_dropped)?)),
        state,
    }
}

/// A counter that the port keeps: all ones are OpenFlow's word for none.
fn counted(counter: u64) -> Option<u64> {
    (counter != u64::MAX).then_some(counter)
}

fn chain_shown(chain: &desired::DesiredChain, plan: &Plan, look: &Look, wrong: &mut Vec<String>) -> Chain {
    let key = chain.meta.key.to_string();
    let own = look.flows.iter().filter(|entry| entry.flow.cookie == chain.cookie);
    let (mut flows, mut learned, mut packets, mut bytes) = (0, 0, 0_u64, 0_u64);
    for entry in own {
        flows += 1;
        learned += usize::from(entry.flow.idle_timeout != 0);
        packets = packets.saturating_add(entry.counters.packets);
        bytes = bytes.saturating_add(entry.counters.bytes);
    }
    let before = wrong.len();
    if let Some(problem) = chain.switches.as_ref().err().or(chain.fault.as_ref()) {
        wrong.push(complaint(&format!("chain {key}"), problem));
    }
    let found = plan.chains.get(&chain.meta.key).map_or(&[][..], Vec::as_slice);
    for (switch, ports) in found.iter().enumerate() {
        for (port, problem) in ports.iter().enumerate().filter_map(|(port, one)| Some((port, one.as_ref().err()?))) {
            wrong.push(complaint(&format!("chain {key}, switch {switch}, port {port}"), problem));
        }
    }
    let changes = plan.flows.iter().filter(|change| match change {
        FlowChange::Add(flow) | FlowChange::Remove(flow) => flow.cookie == chain.cookie,
        FlowChange::RemoveCookie(_) => false,
    });
    let missing = changes.count();
    if missing > 0 {
        wrong.push(format!("chain {key}: FlowsMissing: {missing} flows are not as they must be"));
    }
    let name = |found: &Found| match found.member.vlan {
        Some(id) => format!("{}@{id}", found.port),
        None => found.port.clone(),
    };
    let state = match (wrong.len() > before, missing > 0) {
        (false, _) => "ok",
        (true, true) => "FlowsMissing",
        (true, false) => "PortsMissing",
    };
    Chain {
        chain: key,
        switches: found.iter().map(|ports| ports.iter().flatten().map(name).collect()).collect(),
        flows,
        learned,
        packets,
        bytes,
        state: state.to_owned(),
    }
}

fn text(shown: &Shown) -> String {
    let or_dash = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
    let number = |value: Option<u64>| or_dash(value.map(|value| value.to_string()));
    let mut out = table(
        &["BRIDGE", "DATAPATH", "FAIL-MODE", "PORTS"],
        shown
            .bridges
            .iter()
            .map(|one| vec![one.name.clone(), one.datapath.clone(), one.fail_mode.clone(), one.ports.to_string()]),
    );
    out.push('\n');
    let interfaces = shown.interfaces.iter().map(|one| {
        let port = one.port.clone().map(|port| match one.vlan {
            Some(id) => format!("{port}@{id}"),
            None => port,
        });
        vec![
            one.interface.clone(),
            or_dash(port),
            or_dash(one.ofport.map(|ofport| ofport.to_string())),
            or_dash(one.link.clone()),
            or_dash(one.mtu.map(|mtu| mtu.to_string())),
            number(one.rx_packets),
            number(one.tx_packets),
            number(one.dropped),
            one.state.clone(),
        ]
    });
    out += &table(&["INTERFACE", "PORT", "OFPORT", "LINK", "MTU", "RX", "TX", "DROPPED", "STATE"], interfaces);
    out.push('\n');
    let chains = shown.chains.iter().map(|one| {
        let switches: Vec<String> = one.switches.iter().map(|ports| ports.join("-")).collect();
        let flows =
            if one.learned > 0 { format!("{} ({} learned)", one.flows, one.learned) } else { one.flows.to_string() };
        let switches = switches.join(" ");
        vec![one.chain.clone(), switches, flows, one.packets.to_string(), one.bytes.to_string(), one.state.clone()]
    });
    out += &table(&["CHAIN", "SWITCHES", "FLOWS", "PACKETS", "BYTES", "STATE"], chains);
    for line in &shown.wrong {
        let _ = write!(out, "\n{line}");
    }
    if !shown.wrong.is_empty() {
        out.push('\n');
    }
    out
}

/// Columns as wide as what is in them.
fn table(head: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let head: Vec<String> = head.iter().map(|title| (*title).to_owned()).collect();
    let rows: Vec<Vec<String>> = [head].into_iter().chain(rows).collect();
    let mut widths: BTreeMap<usize, usize> = BTreeMap::new();
    for (column, cell) in rows.iter().flat_map(|row| row.iter().enumerate()) {
        let width = widths.entry(column).or_default();
        *width = (*width).max(cell.chars().count());
    }
    let mut out = String::new();
    for row in &rows {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let width = widths.get(&column).copied().unwrap_or_default();
            let _ = write!(line, "{cell:width$}   ");
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}
