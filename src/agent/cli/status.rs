//! `dpu-agent status`.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Failure, SwitchArgs, deliver, event_loop, plan::read_switch};
use crate::agent::desired::{DPF_ID, OWNER};
use crate::agent::observed::{Interface, Observed};
use crate::agent::plan::is_ours_flow;

/// Print what the agent has made of the switch: its ports, its flows, and what is wrong with them
///
/// Reads the switch itself; no objects are needed. Exit code 1: something is wrong.
#[derive(Debug, clap::Args)]
pub(super) struct StatusArgs {
    #[command(flatten)]
    switch: SwitchArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// A port of ours.
struct Line {
    port: String,
    bridge: String,
    number: String,
    link: String,
    interface: String,
    wrong: String,
}

pub(super) fn run(args: &StatusArgs) -> Result<u8, Failure> {
    let (observed, counters) = event_loop()?.block_on(read_switch(&args.switch))?;
    let lines: Vec<Line> = observed.ports.keys().filter_map(|name| line(name, &observed)).collect();
    let mut chains: BTreeMap<u64, (usize, usize, u64, u64)> = BTreeMap::new();
    let flows = observed.flows.get(&args.switch.bridge).and_then(Option::as_ref);
    for (flow, (packets, bytes)) in flows.into_iter().flatten().zip(counters).filter(|(flow, _)| is_ours_flow(flow)) {
        let sums = chains.entry(flow.cookie).or_default();
        match flow.idle_timeout {
            0 => sums.0 += 1,
            _ => sums.1 += 1,
        }
        sums.2 = sums.2.saturating_add(packets);
        sums.3 = sums.3.saturating_add(bytes);
    }
    let bridge = observed.bridges.contains_key(&args.switch.bridge);
    let wrong = !bridge || lines.iter().any(|line| !line.wrong.is_empty());
    let text = match args.json {
        true => format!("{:#}\n", as_json(&args.switch.bridge, bridge, &lines, &chains)),
        false => as_text(&args.switch.bridge, bridge, &lines, &chains),
    };
    deliver(&text)?;
    Ok(u8::from(wrong))
}

fn line(name: &str, observed: &Observed) -> Option<Line> {
    let port = observed.ports.get(name)?;
    let interface = observed.interfaces.get(name);
    let of = |interface: &Interface| interface.external_ids.get(DPF_ID).cloned();
    let owner = port.external_ids.get(OWNER).cloned().or_else(|| interface.and_then(of))?;
    let number = interface.and_then(|one| one.ofport);
    let link = interface.and_then(|one| one.link_state.clone()).unwrap_or_default();
    let wrong = match interface {
        None => "the port is made of several interfaces".to_owned(),
        Some(one) => match (&one.error, number) {
            (Some(error), _) if !error.is_empty() => error.clone(),
            (_, Some(number)) if number > 0 => {
                if link == "down" {
                    "the link is down".to_owned()
                } else {
                    String::new()
                }
            }
            _ => "the switch has given it no number".to_owned(),
        },
    };
    let number = number.map_or_else(String::new, |number| number.to_string());
    Some(Line { port: name.to_owned(), bridge: port.bridge.clone(), number, link, interface: owner, wrong })
}

fn as_text(bridge: &str, there: bool, lines: &[Line], chains: &BTreeMap<u64, (usize, usize, u64, u64)>) -> String {
    let mut text = match there {
        true => format!("bridge {bridge}\n\n"),
        false => format!("bridge {bridge} is missing\n\n"),
    };
    let rows = lines.iter().map(|one| {
        let wrong = if one.wrong.is_empty() { "ok" } else { &one.wrong };
        [&*one.port, &one.bridge, &one.number, &one.link, &one.interface, wrong].map(str::to_owned)
    });
    text += &table(
        [["PORT", "BRIDGE", "NUMBER", "LINK", "INTERFACE", "STATE"].map(str::to_owned)]
            .into_iter()
            .chain(rows)
            .collect(),
    );
    text.push('\n');
    let rows = chains.iter().map(|(cookie, (flows, learned, packets, bytes))| {
        [format!("{cookie:#x}"), flows.to_string(), learned.to_string(), packets.to_string(), bytes.to_string()]
    });
    text + &table(
        [["COOKIE", "FLOWS", "LEARNED", "PACKETS", "BYTES"].map(str::to_owned)].into_iter().chain(rows).collect(),
    )
}

/// Columns as wide as what is in them.
fn table<const N: usize>(rows: Vec<[String; N]>) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..N).map(width).collect();
    let line = |row: &[String; N]| {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        format!("{}\n", cells.join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

fn as_json(bridge: &str, there: bool, lines: &[Line], chains: &BTreeMap<u64, (usize, usize, u64, u64)>) -> Value {
    let port = |one: &Line| {
        json!({
            "port": one.port, "bridge": one.bridge, "ofport": one.number.parse::<i64>().ok(), "link": one.link,
            "interface": one.interface, "wrong": one.wrong,
        })
    };
    let chain = |(cookie, (flows, learned, packets, bytes)): (&u64, &(usize, usize, u64, u64))| json!({"cookie": format!("{cookie:#x}"), "flows": flows, "learned": learned, "packets": packets, "bytes": bytes});
    json!({
        "bridge": {"name": bridge, "there": there}, "ports": lines.iter().map(port).collect::<Vec<_>>(),
        "chains": chains.iter().map(chain).collect::<Vec<_>>(),
    })
}
