//! What monitoring reads: one page of figures. PURE.
//!
//! In: [`Figures`] (how things are, of `control`), [`Live`] (the switch's counters, as far as it answered), what the process uses.
//! Out: the text of the page. `FAMILIES` is all that it can say, a row for each.
//!
//! What nobody can tell at the moment has no sample rather than an old one: a gap is seen, and a counter never jumps back.

#[cfg(test)]
mod exposition;
mod live;
mod tallies;
#[cfg(test)]
mod tests;
mod text;

use std::collections::BTreeMap;

use self::text::{Kind, Samples};
use super::api::Key;
use super::crd::details::Truth;
use super::flow::Flow;
use super::openflow::PortStatistics;

pub use self::live::{Live, LiveChain, Traffic};
pub use self::tallies::{BOUNDS, Histogram, Outcomes, Tallies};
pub use self::text::CONTENT_TYPE;

/// Interfaces, and chains, that have series; what is beyond is counted only.
pub const MOST: usize = 512;

/// How things are.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Figures {
    /// Of this node that the agent looks after.
    pub interfaces: BTreeMap<Key, Interface>,
    /// Of this node.
    pub chains: BTreeMap<Key, Chain>,
    /// The flows that must be there, sorted.
    pub wanted: Vec<Flow>,
    /// There is a connection to the database.
    pub database: bool,
    /// There is a connection to the bridge.
    pub bridge: bool,
    /// The lock of the database is ours.
    pub lock: bool,
    /// Every kind of object is known.
    pub synced: bool,
    /// What cannot be read at the source of the objects.
    pub problems: usize,
    /// What of others stands in the way.
    pub conflicts: usize,
    /// What was counted.
    pub tallies: Tallies,
}

/// An interface.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Interface {
    /// Its port; empty where none is known.
    pub port: String,
    /// The bridge of that.
    pub bridge: String,
    /// The number of the port, where its counters are those of the interface.
    pub ofport: Option<u32>,
    /// Its port carries traffic.
    pub up: Truth,
    /// Everything of it is as it must be.
    pub ready: Truth,
}

/// A chain.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Chain {
    /// Marks its flows.
    pub cookie: u64,
    /// Everything of it is as it must be.
    pub ready: Truth,
    /// Flows that must be there.
    pub desired: usize,
    /// Those that were there when the agent looked last.
    pub installed: Option<usize>,
    /// Those that the switch had learned by then.
    pub learned: Option<usize>,
}

/// What the process uses.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Process {
    /// Bytes of memory.
    pub resident: u64,
    /// Seconds of processor time.
    pub cpu: f64,
    /// Seconds from 1970 to its start.
    pub start: f64,
}

/// All that a page is made of.
#[derive(Clone, Copy, Debug)]
pub struct Page<'p> {
    /// Version of the program.
    pub version: &'p str,
    /// How things are.
    pub figures: &'p Figures,
    /// The switch's counters, where it answered.
    pub live: Option<&'p Live>,
    /// What the process uses, where the system says so.
    pub process: Option<Process>,
}

/// Name, meaning, explanation, samples.
type Family = (&'static str, Kind, &'static str, fn(&Page<'_>, &mut Samples));

#[rustfmt::skip]
const FAMILIES: &[Family] = &[
    ("dpu_agent_build_info", Kind::Gauge, "Always 1; the version of the program.", build_info),
    ("dpu_agent_api_synced", Kind::Gauge, "Whether every kind of object was read whole.", api_synced),
    ("dpu_agent_source_problems", Kind::Gauge, "Kinds of objects, or files, that cannot be read at the moment; what they said before still counts.", source_problems),
    ("dpu_agent_ovs_connected", Kind::Gauge, "Whether there is a connection to this part of the switch.", ovs_connected),
    ("dpu_agent_lock_held", Kind::Gauge, "Whether this agent holds the lock of the switch; without it it changes nothing.", lock_held),
    ("dpu_agent_interfaces", Kind::Gauge, "Interfaces of this node, by their condition Ready.", interfaces),
    ("dpu_agent_chains", Kind::Gauge, "Chains of this node, by their condition Ready.", chains),
    ("dpu_agent_conflicts", Kind::Gauge, "Ports and flows of others that stand in the way.", conflicts),
    ("dpu_agent_port_up", Kind::Gauge, "Whether the port of an interface carries traffic; none while the switch cannot be asked.", port_up),
    ("dpu_agent_port_bytes_total", Kind::Counter, "Bytes that the port of an interface received and sent. An interface that is a VLAN of a port has no counters.", port_bytes),
    ("dpu_agent_port_packets_total", Kind::Counter, "Packets that the port of an interface received and sent.", port_packets),
    ("dpu_agent_port_dropped_total", Kind::Counter, "Packets that the port of an interface dropped.", port_dropped),
    ("dpu_agent_port_errors_total", Kind::Counter, "Packets that the port of an interface received or sent with errors.", port_errors),
    ("dpu_agent_chain_ready", Kind::Gauge, "The condition Ready of a chain; none while the switch cannot be asked.", chain_ready),
    ("dpu_agent_chain_flows", Kind::Gauge, "Flows of a chain: those that must be there, those of them that are, those that the switch learned.", chain_flows),
    ("dpu_agent_chain_packets_total", Kind::Counter, "Packets that came in by a port of a chain, as its flows count them; does not fall when they become others.", chain_packets),
    ("dpu_agent_chain_bytes_total", Kind::Counter, "Bytes that came in by a port of a chain, as its flows count them; does not fall when they become others.", chain_bytes),
    ("dpu_agent_reconcile_seconds", Kind::Histogram, "From a change of the objects to the switch as it must be, read back.", reconcile),
    ("dpu_agent_transactions_total", Kind::Counter, "Transactions of the database; failed: no answer, or the rows had changed meanwhile.", transactions),
    ("dpu_agent_bundles_total", Kind::Counter, "Bundles of flows; failed: no answer.", bundles),
    ("dpu_agent_drift_repaired_total", Kind::Counter, "Ports and flows that somebody else had changed and that were put right.", drift_repaired),
    ("process_cpu_seconds_total", Kind::Counter, "Processor time of the agent.", cpu_seconds),
    ("process_resident_memory_bytes", Kind::Gauge, "Memory of the agent.", resident_memory),
    ("process_start_time_seconds", Kind::Gauge, "Start of the agent, from 1970.", start_time),
];

/// The page.
#[must_use]
pub fn text(page: &Page<'_>) -> String {
    let mut out = String::new();
    for (name, kind, help, put) in FAMILIES {
        text::family(&mut out, name, *kind, help, |samples| put(page, samples));
    }
    out
}

fn build_info(page: &Page<'_>, out: &mut Samples) {
    out.put(&[("version", page.version)], 1);
}

fn api_synced(page: &Page<'_>, out: &mut Samples) {
    out.put(&[], u8::from(page.figures.synced));
}

fn source_problems(page: &Page<'_>, out: &mut Samples) {
    out.put(&[], page.figures.problems);
}

fn ovs_connected(page: &Page<'_>, out: &mut Samples) {
    out.put(&[("endpoint", "database")], u8::from(page.figures.database));
    out.put(&[("endpoint", "bridge")], u8::from(page.figures.bridge));
}

fn lock_held(page: &Page<'_>, out: &mut Samples) {
    out.put(&[], u8::from(page.figures.lock));
}

fn interfaces(page: &Page<'_>, out: &mut Samples) {
    counts(page.figures.interfaces.values().map(|interface| interface.ready), out);
}

fn chains(page: &Page<'_>, out: &mut Samples) {
    counts(page.figures.chains.values().map(|chain| chain.ready), out);
}

fn counts(all: impl Iterator<Item = Truth>, out: &mut Samples) {
    let mut counts = [(Truth::True, "true", 0_u64), (Truth::False, "false", 0), (Truth::Unknown, "unknown", 0)];
    for one in all {
        for (_, _, count) in counts.iter_mut().filter(|(truth, ..)| *truth == one) {
            *count += 1;
        }
    }
    for (_, name, count) in counts {
        out.put(&[("ready", name)], count);
    }
}

fn conflicts(page: &Page<'_>, out: &mut Samples) {
    out.put(&[], page.figures.conflicts);
}

/// 1 or 0, or nothing.
fn truth(truth: Truth) -> Option<u8> {
    match truth {
        Truth::True => Some(1),
        Truth::False => Some(0),
        Truth::Unknown => None,
    }
}

type PortLabels<'l> = [(&'static str, &'l str); 4];

fn port_labels<'l>(key: &'l Key, interface: &'l Interface) -> PortLabels<'l> {
    let Interface { port, bridge, .. } = interface;
    [("namespace", &key.namespace), ("interface", &key.name), ("port", port), ("bridge", bridge)]
}

fn port_up(page: &Page<'_>, out: &mut Samples) {
    for (key, interface) in page.figures.interfaces.iter().take(MOST) {
        if let Some(up) = truth(interface.up) {
            out.put(&port_labels(key, interface), up);
        }
    }
}

/// What was received, and what was sent.
fn port_counters(page: &Page<'_>, out: &mut Samples, counters: fn(&PortStatistics) -> [u64; 2]) {
    for (key, interface) in page.figures.interfaces.iter().take(MOST) {
        let found = interface.ofport.and_then(|ofport| page.live?.ports.get(&ofport));
        let Some(statistics) = found else { continue };
        let [one, two, three, four] = port_labels(key, interface);
        for (direction, count) in ["rx", "tx"].into_iter().zip(counters(statistics)) {
            // All ones: the switch does not count this.
            if count != u64::MAX {
                out.put(&[one, two, three, four, ("direction", direction)], count);
            }
        }
    }
}

fn port_bytes(page: &Page<'_>, out: &mut Samples) {
    port_counters(page, out, |port| [port.rx_bytes, port.tx_bytes]);
}

fn port_packets(page: &Page<'_>, out: &mut Samples) {
    port_counters(page, out, |port| [port.rx_packets, port.tx_packets]);
}

fn port_dropped(page: &Page<'_>, out: &mut Samples) {
    port_counters(page, out, |port| [port.rx_dropped, port.tx_dropped]);
}

fn port_errors(page: &Page<'_>, out: &mut Samples) {
    port_counters(page, out, |port| [port.rx_errors, port.tx_errors]);
}

fn chain_labels(key: &Key) -> [(&'static str, &str); 2] {
    [("namespace", &key.namespace), ("chain", &key.name)]
}

fn chain_ready(page: &Page<'_>, out: &mut Samples) {
    for (key, chain) in page.figures.chains.iter().take(MOST) {
        if let Some(ready) = truth(chain.ready) {
            out.put(&chain_labels(key), ready);
        }
    }
}

fn chain_flows(page: &Page<'_>, out: &mut Samples) {
    for (key, chain) in page.figures.chains.iter().take(MOST) {
        let live = page.live.and_then(|live| live.chains.get(&chain.cookie));
        let counts = [
            ("desired", Some(chain.desired)),
            ("installed", live.map(|live| live.installed).or(chain.installed)),
            ("learned", live.map(|live| live.learned).or(chain.learned)),
        ];
        let [namespace, name] = chain_labels(key);
        for (state, count) in counts {
            if let Some(count) = count {
                out.put(&[namespace, name, ("state", state)], count);
            }
        }
    }
}

fn chain_counters(page: &Page<'_>, out: &mut Samples, counter: fn(&LiveChain) -> u64) {
    for (key, chain) in page.figures.chains.iter().take(MOST) {
        if let Some(live) = page.live.and_then(|live| live.chains.get(&chain.cookie)) {
            out.put(&chain_labels(key), counter(live));
        }
    }
}

fn chain_packets(page: &Page<'_>, out: &mut Samples) {
    chain_counters(page, out, |chain| chain.packets);
}

fn chain_bytes(page: &Page<'_>, out: &mut Samples) {
    chain_counters(page, out, |chain| chain.bytes);
}

fn reconcile(page: &Page<'_>, out: &mut Samples) {
    let histogram = &page.figures.tallies.reconciled;
    for (bound, count) in histogram.cumulated() {
        out.put_part("_bucket", &[("le", &bound.to_string())], count);
    }
    out.put_part("_bucket", &[("le", "+Inf")], histogram.count());
    out.put_part("_sum", &[], histogram.sum().as_secs_f64());
    out.put_part("_count", &[], histogram.count());
}

fn outcomes(outcomes: &Outcomes, out: &mut Samples) {
    for (result, count) in outcomes.named() {
        out.put(&[("result", result)], count);
    }
}

fn transactions(page: &Page<'_>, out: &mut Samples) {
    outcomes(&page.figures.tallies.transactions, out);
}

fn bundles(page: &Page<'_>, out: &mut Samples) {
    outcomes(&page.figures.tallies.bundles, out);
}

fn drift_repaired(page: &Page<'_>, out: &mut Samples) {
    out.put(&[("kind", "port")], page.figures.tallies.ports_repaired);
    out.put(&[("kind", "flow")], page.figures.tallies.flows_repaired);
}

fn cpu_seconds(page: &Page<'_>, out: &mut Samples) {
    if let Some(process) = page.process {
        out.put(&[], process.cpu);
    }
}

fn resident_memory(page: &Page<'_>, out: &mut Samples) {
    if let Some(process) = page.process {
        out.put(&[], process.resident);
    }
}

fn start_time(page: &Page<'_>, out: &mut Samples) {
    if let Some(process) = page.process {
        out.put(&[], process.start);
    }
}
