//! `dpu-agent plan`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{Failure, SwitchArgs, deliver, event_loop, look};
use crate::agent::desired::{self, PortKind};
use crate::agent::observed::Observed;
use crate::agent::plan::{self, Columns, FlowChange, Plan, PortChange};

/// Print what the agent would change on the switch, and change nothing
///
/// Exit code 1: there is something to change, or something cannot be had.
#[derive(Debug, clap::Args)]
pub(super) struct PlanArgs {
    #[command(flatten)]
    switch: SwitchArgs,
    /// Folder of YAML and JSON files to take objects from
    #[arg(long, env = "DPU_AGENT_FROM")]
    from: PathBuf,
    /// File with the switch as JSON (--save-observed writes one), in the place of the switch itself
    #[arg(long, value_name = "FILE", conflicts_with = "save_observed")]
    observed: Option<PathBuf>,
    /// Write the switch as it was found to a file, for --observed on another machine
    #[arg(long, value_name = "FILE")]
    save_observed: Option<PathBuf>,
    /// How it is printed
    #[arg(long, default_value = "text", value_parser = ["text", "json"])]
    format: String,
}

pub(super) fn run(args: &PlanArgs) -> Result<u8, Failure> {
    let given = look::folder(&args.switch, &args.from)?;
    let observed = match &args.observed {
        Some(path) => read_observed(path)?,
        None => event_loop()?.block_on(look::switch(&args.switch))?.observed,
    };
    if let Some(path) = &args.save_observed {
        save_observed(path, &observed)?;
    }
    let settings = args.switch.settings();
    let desired = desired::desired(&given.snapshot, &settings);
    let plan = plan::plan(&desired, &observed, &settings);
    match &*args.format {
        "json" => deliver(&format!("{:#}\n", as_json(&plan)))?,
        _ => deliver(&as_text(&plan))?,
    }
    Ok(u8::from(!plan.is_empty() || !problems(&plan).is_empty() || !plan.conflicts.is_empty()))
}

#[expect(clippy::disallowed_methods, reason = "this is an edge that reads a file")]
fn read_observed(path: &Path) -> Result<Observed, Failure> {
    let why = |why: String| Failure::File { path: path.to_owned(), why };
    let bytes = std::fs::read(path).map_err(|error| why(error.to_string()))?;
    serde_json::from_slice(&bytes).map_err(|error| why(error.to_string()))
}

#[expect(clippy::disallowed_methods, reason = "this is an edge that writes a file")]
fn save_observed(path: &Path, observed: &Observed) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(observed)? + "\n";
    std::fs::write(path, text).map_err(|source| Failure::Written { path: path.to_owned(), source })
}

/// What is set, as `ovs-vsctl set` has it: column, and value; an empty value clears it.
fn settings(columns: &Columns) -> BTreeMap<String, String> {
    let Columns { port_type, peer, external_ids, marks, mtu, number } = columns;
    let text = |column: &str, value: &Option<String>| Some((column.to_owned(), value.clone()?));
    let mtu = mtu.map(|mtu| mtu.map_or_else(String::new, |mtu| mtu.to_string()));
    let single = [
        text("interface type", port_type),
        text("interface options:peer", peer),
        text("interface mtu_request", &mtu),
        text("interface ofport_request", &number.map(|number| number.to_string())),
    ];
    let ids = [("interface", external_ids), ("port", marks)].into_iter().flat_map(|(table, ids)| {
        ids.iter().map(move |(key, value)| (format!("{table} external_ids:{key}"), value.clone()))
    });
    single.into_iter().flatten().chain(ids).collect()
}

fn port_line(change: &PortChange) -> String {
    match change {
        PortChange::Create { name, port, number } => {
            format!("create port {name} on {} as number {number}, for {}", port.bridge, port.owner)
        }
        PortChange::Update { name, columns } => {
            let set = settings(columns).into_iter().map(|(column, value)| format!("{column}={value}"));
            format!("update port {name}: {}", set.collect::<Vec<_>>().join(", "))
        }
        PortChange::Remove { name, bridge } => format!("remove port {name} from {bridge}"),
    }
}

fn flow_line(change: &FlowChange) -> String {
    match change {
        FlowChange::Add(flow) => format!("add flow {flow}"),
        FlowChange::Remove(flow) => format!("remove flow {flow}"),
        FlowChange::RemoveCookie(cookie) => format!("remove flows cookie={cookie:#x}"),
    }
}

fn port_json(change: &PortChange) -> Value {
    match change {
        PortChange::Create { name, port, number } => {
            let (kind, peer) = match &port.kind {
                PortKind::Device { port_type, .. } => (port_type.as_str(), None),
                PortKind::Patch { peer } => ("patch", Some(peer)),
            };
            json!({
                "action": "create", "port": name, "bridge": port.bridge, "type": kind, "peer": peer, "for": port.owner,
                "externalIds": port.external_ids, "mtu": port.mtu, "ofport": number,
            })
        }
        PortChange::Update { name, columns } => json!({"action": "update", "port": name, "set": settings(columns)}),
        PortChange::Remove { name, bridge } => json!({"action": "remove", "port": name, "bridge": bridge}),
    }
}

fn flow_json(change: &FlowChange) -> Value {
    match change {
        FlowChange::Add(flow) => json!({"action": "add", "flow": flow, "text": flow.to_string()}),
        FlowChange::Remove(flow) => json!({"action": "remove", "flow": flow, "text": flow.to_string()}),
        FlowChange::RemoveCookie(cookie) => json!({"action": "removeCookie", "cookie": format!("{cookie:#x}")}),
    }
}

/// What cannot be had: where, and why.
fn problems(plan: &Plan) -> Vec<(String, String, String)> {
    let mut found = Vec::new();
    for (id, one) in &plan.interfaces {
        if let Err(problem) = one {
            found.push((format!("interface {id}"), problem.reason.to_owned(), problem.message.clone()));
        }
    }
    for (key, switches) in &plan.chains {
        for (switch, ports) in switches.iter().enumerate() {
            for (port, one) in ports.iter().enumerate() {
                if let Err(problem) = one {
                    let place = format!("chain {key}, switch {switch}, port {port}");
                    found.push((place, problem.reason.to_owned(), problem.message.clone()));
                }
            }
        }
    }
    found
}

fn as_text(plan: &Plan) -> String {
    let mut lines: Vec<String> = plan.ports.iter().chain(&plan.relink).map(port_line).collect();
    lines.extend(plan.flows.iter().map(flow_line));
    if plan.is_empty() {
        lines.push("nothing to change".to_owned());
    }
    lines.extend(plan.kept.iter().map(|port| format!("keep uplink {port}, which nothing asks for")));
    lines.extend(plan.conflicts.values().map(|flow| format!("in the way, and not ours: {flow}")));
    lines.extend(problems(plan).into_iter().map(|(place, reason, message)| format!("{place}: {reason}: {message}")));
    lines.join("\n") + "\n"
}

fn as_json(plan: &Plan) -> Value {
    let problem = |(place, reason, message): (String, String, String)| json!({"place": place, "reason": reason, "message": message});
    json!({
        "ports": plan.ports.iter().chain(&plan.relink).map(port_json).collect::<Vec<_>>(),
        "flows": plan.flows.iter().map(flow_json).collect::<Vec<_>>(),
        "kept": plan.kept,
        "conflicts": plan.conflicts.values().map(ToString::to_string).collect::<Vec<_>>(),
        "problems": problems(plan).into_iter().map(problem).collect::<Vec<_>>(),
    })
}
