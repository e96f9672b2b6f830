//! `dpu-agent trace`.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::json;

use super::{Failure, SwitchArgs, deliver, look};
use crate::agent::desired::{self, Desired};
use crate::agent::flow::Mac;
use crate::agent::flows::Member;
use crate::agent::plan::{self, Found, Plan};
use crate::agent::{trace, unixctl};

/// Say where a packet goes that enters a chain by a port, and whether the chain means that
///
/// The switch is asked for its own trace; nothing is sent, and nothing is learned. The packet is for an address that nobody
/// has, so a switch of many ports floods it. Exit code 1: it goes elsewhere than the chain means.
#[derive(Debug, clap::Args)]
pub(super) struct TraceArgs {
    #[command(flatten)]
    switch: SwitchArgs,
    /// The chain, as NAME or NAMESPACE/NAME
    chain: String,
    /// The port that the packet comes in by: its name on the bridge, or that of its ServiceInterface
    #[arg(long, value_name = "PORT")]
    from: String,
    /// Address that it is for
    #[arg(long, value_name = "MAC", default_value_t = trace::DESTINATION)]
    to: Mac,
    /// Control socket of ovs-vswitchd [default: that of the process named in OVS_RUNDIR/ovs-vswitchd.pid]
    #[arg(long, env = "DPU_AGENT_CONTROL", value_name = "SOCKET")]
    control: Option<PathBuf>,
    /// Folder of YAML and JSON files to take objects from, in the place of an API server
    #[arg(long, env = "DPU_AGENT_FROM", value_name = "DIR")]
    objects: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// A switch of the chain, and where the packet enters it.
struct Entry {
    switch: usize,
    from: Found,
    /// Its ports that have a number.
    ports: Vec<Found>,
}

pub(super) fn run(args: &TraceArgs) -> Result<u8, Failure> {
    let (given, look) = look::both(&args.switch, args.objects.as_deref())?;
    let settings = args.switch.settings();
    let desired = desired::desired(&given.snapshot, &settings);
    let plan = plan::plan(&desired, &look.observed, &settings);
    let entry = entry(args, &desired, &plan)?;
    let control = match &args.control {
        Some(control) => control.clone(),
        None => unixctl::socket_in(&args.switch.ovs_rundir).map_err(switch)?,
    };
    let packet = trace::packet(entry.from.member, args.to);
    let said = unixctl::call(&control, "ofproto/trace", &[&args.switch.bridge, &packet]).map_err(switch)?;
    let goes = trace::leaves_by(entry.from.member, &said).map_err(Failure::Switch)?;
    let members: Vec<Member> = entry.ports.iter().map(|found| found.member).collect();
    let meant = trace::meant(entry.from.member, &members);
    if args.json {
        let names = |of: &BTreeSet<Member>| of.iter().map(|member| name(&entry, *member)).collect::<Vec<_>>();
        let report = json!({
            "chain": args.chain, "switch": entry.switch, "from": name(&entry, entry.from.member), "packet": packet,
            "goes": names(&goes), "meant": names(&meant), "asMeant": goes == meant, "trace": said,
        });
        deliver(&format!("{report:#}\n"))?;
    } else {
        deliver(&text(args, &entry, &goes, &meant))?;
    }
    Ok(u8::from(goes != meant))
}

fn switch(error: unixctl::Error) -> Failure {
    Failure::Switch(error.to_string())
}

/// The switch of the chain that has the port.
fn entry(args: &TraceArgs, desired: &Desired, plan: &Plan) -> Result<Entry, Failure> {
    let is_named = |key: &crate::agent::api::Key| key.name == args.chain || key.to_string() == args.chain;
    let chains: Vec<_> = desired.chains.iter().filter(|chain| is_named(&chain.meta.key)).collect();
    let chain = match &chains[..] {
        [chain] => chain,
        [] => {
            let known: Vec<String> = desired.chains.iter().map(|chain| chain.meta.key.to_string()).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            return Err(Failure::Usage(format!("no chain `{}` on this node; there are {known}", args.chain)));
        }
        _ => return Err(Failure::Usage(format!("`{}` is in several namespaces: write NAMESPACE/NAME", args.chain))),
    };
    let wanted = chain.switches.as_ref().map_err(|problem| Failure::Usage(problem.message.clone()))?;
    let found = plan.chains.get(&chain.meta.key).map_or(&[][..], Vec::as_slice);
    let mut known = Vec::new();
    for (switch, (ports, wanted)) in found.iter().zip(wanted).enumerate() {
        for (port, wanted) in ports.iter().zip(&wanted.ports) {
            let interface = wanted.interface.as_ref();
            let asked = |name: &str| name == args.from;
            let by_interface = interface.is_some_and(|key| asked(&key.name) || asked(&key.to_string()));
            match port {
                Ok(from) if by_interface || asked(&from.port) => {
                    let ports = ports.iter().flatten().cloned().collect();
                    return Ok(Entry { switch, from: from.clone(), ports });
                }
                Ok(other) => known.push(other.port.clone()),
                Err(problem) if by_interface => {
                    let message = format!("`{}` is not on the switch: {}", args.from, problem.message);
                    return Err(Failure::Usage(message));
                }
                Err(_) => {}
            }
        }
    }
    let message = format!("`{}` is no port of the chain {}; there are {}", args.from, chain.meta.key, known.join(", "));
    Err(Failure::Usage(message))
}

/// A port as people know it.
fn name(entry: &Entry, member: Member) -> String {
    let same = |found: &&Found| found.member == member;
    let port = entry.ports.iter().find(same).or_else(|| {
        let device = |found: &&Found| found.member.ofport == member.ofport;
        entry.ports.iter().find(device)
    });
    let port = port.map_or_else(|| format!("number {}", member.ofport), |found| found.port.clone());
    match member.vlan {
        Some(id) => format!("{port} VLAN {id}"),
        None => port,
    }
}

fn text(args: &TraceArgs, entry: &Entry, goes: &BTreeSet<Member>, meant: &BTreeSet<Member>) -> String {
    let from = name(entry, entry.from.member);
    let mut lines = vec![format!("{}, switch {}: in by {from}, for {}", args.chain, entry.switch, args.to)];
    for member in goes.union(meant) {
        let verdict = match (goes.contains(member), meant.contains(member)) {
            (true, true) => "out by",
            (true, false) => "OUT BY, against what the chain means,",
            (false, _) => "NOT OUT BY",
        };
        lines.push(format!("  {verdict} {}", name(entry, *member)));
    }
    if goes.is_empty() && meant.is_empty() {
        lines.push("  goes nowhere: its switch has no other port".to_owned());
    }
    lines.join("\n") + "\n"
}
