//! Chains of the node, as their status says it. PURE.
//!
//! In: [`Facts`], the entries of before, the time. Out: a [`ChainEntry`] for each chain, by namespace and name.

use super::conditions::{self, Aspect};
use super::interfaces::down_by_name;
use super::{Facts, FlowFacts};
use crate::agent::crd::details::{ChainDetails, Flows, MOST, SwitchPort, SwitchPorts};
use crate::agent::crd::node::ChainEntry;
use crate::agent::desired::{DesiredChain, DesiredPort, Place, Problem};
use crate::agent::plan::Found;

/// Every port of every switch is one port of the bridge.
pub const RESOLVED: &str = "PortsResolved";
/// DPF's condition: the flows that must be there are there.
pub const RECONCILED: &str = "ServiceChainReconciled";
/// Every port that was found carries traffic.
pub const PORTS_UP: &str = "PortsUp";
/// Ports in the lists of all chains together.
const MOST_PORTS: usize = 1024;

/// One for each chain.
pub(super) fn entries(facts: &Facts<'_>, before: &[ChainEntry], now: &str) -> Vec<ChainEntry> {
    let entry = |chain: &DesiredChain| {
        let key = &chain.meta.key;
        let was = before.iter().find(|entry| entry.namespace == key.namespace && entry.name == key.name);
        let generation = Some(chain.meta.generation).filter(|generation| *generation > 0);
        let was_conditions = was.map_or(&[][..], |was| &was.conditions);
        let switches = switches(chain, facts);
        let conditions = conditions::list(aspects(chain, &switches, facts), was_conditions, generation, now);
        let entry = ChainEntry {
            namespace: key.namespace.clone(),
            name: key.name.clone(),
            details: ChainDetails { switches: bare(switches), flows: flows(chain, facts), omitted_ports: None },
            observed_generation: generation,
            conditions,
        };
        // Or each change of another object would be a write of this one, too.
        was.filter(|was| lasting(was) == lasting(&entry)).cloned().unwrap_or(entry)
    };
    let mut entries: Vec<ChainEntry> = facts.desired.chains.iter().map(entry).collect();
    entries.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
    entries
}

/// A chain without what comes and goes with the traffic, and with time.
pub(super) fn lasting(entry: &ChainEntry) -> ChainEntry {
    let mut entry = entry.clone();
    if let Some(flows) = entry.details.flows.as_mut() {
        flows.last_verified = None;
        flows.learned = None;
    }
    entry
}

/// Takes ports out of the lists so that all fit: chains that are ready say their ports last.
pub(super) fn bound(chains: &mut [ChainEntry]) {
    let mut left = MOST_PORTS;
    for ready in [false, true] {
        for chain in chains.iter_mut().filter(|chain| conditions::is_ready(&chain.conditions) == ready) {
            let mut omitted = 0;
            for switch in &mut chain.details.switches {
                let fit = switch.ports.len().min(left).min(MOST);
                omitted += switch.ports.len() - fit;
                left -= fit;
                switch.ports.truncate(fit);
            }
            chain.details.switches.truncate(MOST);
            chain.details.omitted_ports = (omitted > 0).then(|| i64::try_from(omitted).unwrap_or(i64::MAX));
        }
    }
}

/// A port, and why it was not found or carries nothing.
struct Port {
    shown: SwitchPort,
    unresolved: Option<Problem>,
    down: Option<Problem>,
}

fn switches(chain: &DesiredChain, facts: &Facts<'_>) -> Vec<Vec<Port>> {
    let found = facts.chains.get(&chain.meta.key);
    let switch = |(index, ports): (usize, &Vec<DesiredPort>)| {
        let found = found.and_then(|found| found.get(index));
        let one = |(at, wanted)| port(wanted, found.and_then(|found| found.get(at)), facts);
        ports.iter().enumerate().map(one).collect()
    };
    chain.switches.iter().flatten().map(|switch| &switch.ports).enumerate().map(switch).collect()
}

fn port(wanted: &DesiredPort, found: Option<&Result<Found, Problem>>, facts: &Facts<'_>) -> Port {
    let mut shown = SwitchPort {
        interface: wanted.interface.as_ref().map(|key| key.name.clone()),
        pod: match &wanted.place {
            // `<namespace>/<pod>/<interface>`.
            Ok(Place::Pod(id)) => id.rsplit_once('/').map(|(pod, _)| pod.to_owned()),
            _ => None,
        },
        ..SwitchPort::default()
    };
    let found = wanted.place.as_ref().err().map(|problem| Err(problem.clone())).or_else(|| found.cloned());
    let (unresolved, down) = match (facts.observed, found) {
        (_, Some(Err(problem))) => (Some(problem), None),
        (Err(problem), _) => (Some(problem.clone()), None),
        (Ok(_), None) => (Some(Problem::new("Pending", "the switch is being asked")), None),
        (Ok(observed), Some(Ok(seen))) => {
            shown.ofport = i32::try_from(seen.member.ofport).ok();
            shown.vlan = seen.member.vlan;
            let down = down_by_name(&seen.port, observed);
            shown.port = Some(seen.port);
            (None, down)
        }
    };
    let problem = unresolved.as_ref().or(down.as_ref());
    shown.ready = problem.is_none();
    shown.reason = problem.map(|problem| problem.reason.to_owned());
    shown.message = problem.map(|problem| conditions::shortened(&problem.message));
    Port { shown, unresolved, down }
}

fn bare(switches: Vec<Vec<Port>>) -> Vec<SwitchPorts> {
    let switch = |ports: Vec<Port>| SwitchPorts { ports: ports.into_iter().map(|port| port.shown).collect() };
    switches.into_iter().map(switch).collect()
}

fn flows(chain: &DesiredChain, facts: &Facts<'_>) -> Option<Flows> {
    let flows = facts.flows.get(&chain.meta.key)?;
    let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
    Some(Flows {
        cookie: format!("{:#x}", chain.cookie),
        desired: count(flows.desired),
        installed: flows.installed.map(count),
        learned: flows.learned.map(count),
        last_verified: flows.verified.clone(),
    })
}

fn aspects(chain: &DesiredChain, switches: &[Vec<Port>], facts: &Facts<'_>) -> Vec<Aspect> {
    let mut aspects = match &chain.switches {
        Err(problem) => vec![Aspect::fails(RESOLVED, problem.clone())],
        Ok(_) => vec![resolved(switches, facts)],
    };
    aspects.push(reconciled(facts.flows.get(&chain.meta.key), facts));
    aspects.push(ports_up(switches, facts));
    aspects.insert(0, conditions::summary(&aspects, "every port is there and up, and the flows are read back"));
    aspects
}

/// The first port of which this is wrong, and how many there are.
fn first<'p>(switches: &'p [Vec<Port>], of: impl Fn(&'p Port) -> Option<&'p Problem>) -> Option<(Problem, usize)> {
    let numbered = switches
        .iter()
        .enumerate()
        .flat_map(|(switch, ports)| ports.iter().enumerate().map(move |(index, port)| (switch, index, port)));
    let mut wrong = numbered.filter_map(|(switch, index, port)| Some((switch, index, of(port)?)));
    let (switch, index, problem) = wrong.next()?;
    let more = wrong.count();
    let and = if more > 0 { format!("; {more} more") } else { String::new() };
    let message = format!("switch {switch}, port {index}: {}{and}", problem.message);
    Some((Problem::new(problem.reason, message), more + 1))
}

fn resolved(switches: &[Vec<Port>], facts: &Facts<'_>) -> Aspect {
    let count: usize = switches.iter().map(Vec::len).sum();
    match first(switches, |port| port.unresolved.as_ref()) {
        None => Aspect::holds(RESOLVED, format!("{count} of {count} ports are found")),
        // Not the chain's fault.
        Some((problem, wrong)) if facts.observed.is_err() && wrong == count => Aspect::unknown(RESOLVED, problem),
        Some((problem, wrong)) => {
            let message = format!("{} of {count} ports are found; {}", count - wrong, problem.message);
            Aspect::fails(RESOLVED, Problem::new(problem.reason, message))
        }
    }
}

fn reconciled(flows: Option<&FlowFacts>, facts: &Facts<'_>) -> Aspect {
    if let Err(problem) = facts.observed {
        return Aspect::unknown(RECONCILED, problem.clone());
    }
    let Some(flows) = flows else {
        return Aspect::unknown(RECONCILED, Problem::new("Pending", "no flows are planned yet"));
    };
    if let Some(problem) = &flows.problem {
        return Aspect::fails(RECONCILED, problem.clone());
    }
    match flows.installed {
        Some(installed) if installed >= flows.desired => {
            Aspect::holds(RECONCILED, format!("{} flows are there, read back", flows.desired))
        }
        Some(installed) => {
            let message = format!("{installed} of {} flows are there", flows.desired);
            Aspect::fails(RECONCILED, Problem::new("FlowsMissing", message))
        }
        None => Aspect::unknown(RECONCILED, Problem::new("Pending", "the flows have not been read back yet")),
    }
}

fn ports_up(switches: &[Vec<Port>], facts: &Facts<'_>) -> Aspect {
    if let Err(problem) = facts.observed {
        return Aspect::unknown(PORTS_UP, problem.clone());
    }
    match first(switches, |port| port.down.as_ref()) {
        None => Aspect::holds(PORTS_UP, "the links of the ports that are found are up"),
        Some((problem, _)) => Aspect::fails(PORTS_UP, problem),
    }
}
