//! `dpu-agent plan`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use super::{Failure, SwitchArgs, deliver, event_loop, say};
use crate::agent::desired;
use crate::agent::observed::{MONITORED, Observed};
use crate::agent::openflow::FlowFilter;
use crate::agent::openflow::connection::{Connection, Times as FlowTimes};
use crate::agent::ovsdb::connection::{Client, Times};
use crate::agent::ovsdb::session::Interest;
use crate::agent::plan::{self, FlowChange, Plan, PortChange};
use crate::agent::sources::files::Shelf;
use crate::cli::fs::Disk;

/// How long the database may take to tell its rows.
const WITHIN: Duration = Duration::from_secs(5);

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
    /// File with the switch as JSON, in the place of the switch itself
    #[arg(long)]
    observed: Option<PathBuf>,
    /// How it is printed
    #[arg(long, default_value = "text", value_parser = ["text", "json"])]
    format: String,
}

pub(super) fn run(args: &PlanArgs) -> Result<u8, Failure> {
    let file = |path: &Path, why: String| Failure::File { path: path.to_owned(), why };
    let disk = Disk::open(&args.from).map_err(|error| file(&args.from, error.to_string()))?;
    let given = Shelf::new(&args.switch.node, args.switch.sets).read(&disk);
    for (place, problem) in &given.problems {
        say(&format!("warning: {place}: {problem}\n"));
    }
    if !given.complete {
        return Err(Failure::Usage(format!("the folder `{}` cannot be listed", args.from.display())));
    }
    let observed = match &args.observed {
        Some(path) => read_observed(path)?,
        None => event_loop()?.block_on(read_switch(&args.switch))?.0,
    };
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

/// The switch as it is, with packets and bytes of each flow of the bridge; nothing is asked of it but to tell.
pub(super) async fn read_switch(args: &SwitchArgs) -> Result<(Observed, Vec<(u64, u64)>), Failure> {
    let interest = Interest { tables: MONITORED, lock: None };
    let client = Client::start(args.ovsdb.clone(), interest, Times::suited_to(&args.ovsdb));
    let mut views = client.views();
    let known = tokio::time::timeout(WITHIN, views.wait_for(|view| view.connected)).await;
    let cache = match known {
        Ok(Ok(view)) => view.cache.clone(),
        _ => {
            let error = client.views().borrow().error.clone();
            return Err(Failure::Switch(error.unwrap_or_else(|| "the database does not answer".to_owned())));
        }
    };
    let mut observed = Observed::of(&cache, [].into());
    let mut counters = Vec::new();
    if observed.bridges.contains_key(&args.bridge) {
        let path = args.ovs_rundir.join(format!("{}.mgmt", args.bridge));
        let failure = |error: crate::agent::openflow::connection::Error| Failure::Switch(error.to_string());
        let (connection, _ports) = Connection::open(&path, FlowTimes::default()).await.map_err(failure)?;
        let entries = connection.flows(FlowFilter::default()).await.map_err(failure)?;
        counters = entries.iter().map(|entry| (entry.counters.packets, entry.counters.bytes)).collect();
        let flows = entries.into_iter().map(|entry| entry.flow).collect();
        observed.flows.insert(args.bridge.clone(), Some(flows));
    }
    Ok((observed, counters))
}

fn port_line(change: &PortChange) -> String {
    match change {
        PortChange::Create { name, port, number } => {
            format!("create port {name} on {} as number {number}, for {}", port.bridge, port.owner)
        }
        PortChange::Update { name, columns } => format!("update port {name}: {columns:?}"),
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
    let mut lines: Vec<String> = plan.ports.iter().map(port_line).collect();
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
        "ports": plan.ports.iter().map(port_line).collect::<Vec<_>>(),
        "flows": plan.flows.iter().map(flow_line).collect::<Vec<_>>(),
        "kept": plan.kept,
        "conflicts": plan.conflicts.values().map(ToString::to_string).collect::<Vec<_>>(),
        "problems": problems(plan).into_iter().map(problem).collect::<Vec<_>>(),
    })
}
