//! What the agent says of its node, its interfaces and its chains. PURE.
//!
//! In: [`Facts`] (what the objects ask for, what the switch has, what was found and applied), the status of before, the time.
//! Out: [`NodeStatus`]; [`of_interface`] and [`of_chain`] take out of it what the objects' own status says.
//!
//! Conditions after DPF (`Ready`, `ServiceInterfaceReconciled`, `ServiceChainReconciled`), with reasons of ours, and one for each
//! thing that can be wrong on its own. What another controller looks after is listed and not judged.

pub mod chains;
pub mod conditions;
pub mod interfaces;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use super::api::Key;
use super::crd::details::{Condition, MOST, Truth};
use super::crd::interface::InterfaceStatus;
use super::crd::node::{
    Agent, ChainEntry, ChainSample, Conflict, InterfaceEntry, NodeStatus, Omitted, Sample, Summary, SwitchStatus,
    Trouble,
};
use super::desired::{Desired, Problem};
use super::observed::Observed;
use super::plan::Found;
use crate::agent::crd::chain::ChainStatus;
use conditions::Aspect;

/// `reason` of what holds, as DPF writes it.
pub const SUCCESS: &str = "Success";
/// The condition that sums up.
pub const READY: &str = "Ready";
/// Of the node: both connections to the switch are there.
pub const SWITCH_CONNECTED: &str = "SwitchConnected";
/// Of the node: every interface is ready.
pub const INTERFACES_READY: &str = "InterfacesReady";
/// Of the node: every chain is ready.
pub const CHAINS_READY: &str = "ChainsReady";
/// `reason` of an interface that another controller looks after.
pub const MANAGED_BY_OTHER: &str = "ManagedByOther";

/// What became of the flows of a chain.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct FlowFacts {
    /// How many there must be.
    pub desired: usize,
    /// How many of these were there when the switch was read; `None`: it was not read since.
    pub installed: Option<usize>,
    /// How many the switch has made of what it saw.
    pub learned: Option<usize>,
    /// Why they are not there.
    pub problem: Option<Problem>,
    /// When they were read back.
    pub verified: Option<String>,
    /// Packets and bytes that they took.
    pub counted: Option<(u64, u64)>,
}

/// All that a status is made of.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'f> {
    /// Version of the program.
    pub version: &'f str,
    /// The bridge of the chains.
    pub bridge: &'f str,
    /// What the objects ask for.
    pub desired: &'f Desired,
    /// The `next_cfg` of the latest change of the database that was asked for.
    pub asked_cfg: i64,
    /// The switch; why it cannot be reached.
    pub observed: Result<&'f Observed, &'f Problem>,
    /// What was found of each interface, by its identifier (`Plan::interfaces`).
    pub interfaces: &'f BTreeMap<String, Result<Found, Problem>>,
    /// What was found of each port of each switch of each chain (`Plan::chains`).
    pub chains: &'f BTreeMap<Key, Vec<Vec<Result<Found, Problem>>>>,
    /// What became of the flows of each chain.
    pub flows: &'f BTreeMap<Key, FlowFacts>,
    /// What of others is in the way.
    pub conflicts: &'f [Conflict],
    /// What could not be read.
    pub problems: &'f [Trouble],
    /// Why not all objects are known, so that nobody can say that everything is there.
    pub unread: Option<&'f Problem>,
}

/// What the node says now. Equal to `before` where nothing changed but times and counters.
#[must_use]
pub fn report(facts: &Facts<'_>, before: Option<&NodeStatus>, now: &str) -> NodeStatus {
    let empty = NodeStatus::default();
    let was = before.unwrap_or(&empty);
    let interfaces = interfaces::entries(facts, &was.interfaces, now);
    let chains = chains::entries(facts, &was.chains, now);
    let judged = interfaces.iter().filter(|entry| !is_of_other(&entry.conditions));
    let interface_states: Vec<State<'_>> =
        judged.map(|entry| State::of(&entry.namespace, &entry.name, &entry.conditions)).collect();
    let chain_states: Vec<State<'_>> =
        chains.iter().map(|entry| State::of(&entry.namespace, &entry.name, &entry.conditions)).collect();
    let mut aspects = vec![
        switch(facts),
        all_ready(INTERFACES_READY, "interface", &interface_states),
        all_ready(CHAINS_READY, "chain", &chain_states),
    ];
    if let Some(unread) = facts.unread {
        for aspect in
            aspects.iter_mut().filter(|aspect| aspect.kind != SWITCH_CONNECTED && aspect.status == Truth::True)
        {
            *aspect = Aspect::unknown(aspect.kind, unread.clone());
        }
    }
    aspects.insert(0, conditions::summary(&aspects, "everything that is asked for is there"));
    let summary = Summary { interfaces: counted(&interface_states), chains: counted(&chain_states) };
    let (interfaces, left_interfaces) = bounded(interfaces, |entry| !conditions::is_ready(&entry.conditions));
    let (mut chains, left_chains) = bounded(chains, |entry| !conditions::is_ready(&entry.conditions));
    chains::bound(&mut chains);
    let (conflicts, left_conflicts) = bounded(facts.conflicts.to_vec(), |_| true);
    let (problems, left_problems) = bounded(facts.problems.to_vec(), |_| true);
    let status = NodeStatus {
        conditions: conditions::list(aspects, &was.conditions, None, now),
        agent: Agent { version: facts.version.to_owned() },
        switch: switch_status(facts),
        summary,
        interfaces,
        chains,
        conflicts,
        problems,
        omitted: Omitted {
            interfaces: left_interfaces,
            chains: left_chains,
            conflicts: left_conflicts,
            problems: left_problems,
        },
        sample: sample(facts, now),
    };
    match before {
        Some(before) if !differs(before, &status) => before.clone(),
        _ => status,
    }
}

/// Every interface and every chain as it is at the moment, without times of transition and however many there are.
#[must_use]
pub fn entries(facts: &Facts<'_>) -> (Vec<InterfaceEntry>, Vec<ChainEntry>) {
    (interfaces::entries(facts, &[], ""), chains::entries(facts, &[], ""))
}

/// Whether there is something to write: times of reading back and counters alone are not.
#[must_use]
pub fn differs(one: &NodeStatus, other: &NodeStatus) -> bool {
    lasting(one) != lasting(other)
}

/// Whatever a status gets is compared, or left out here.
fn lasting(status: &NodeStatus) -> impl PartialEq {
    let NodeStatus { conditions, agent, switch, summary, interfaces, chains, conflicts, problems, omitted, sample: _ } =
        status;
    let chains: Vec<ChainEntry> = chains.iter().map(chains::lasting).collect();
    ((conditions, agent, switch, summary), (interfaces, chains, conflicts, problems, omitted))
}

/// What the interface's own status says.
#[must_use]
pub fn of_interface(entry: &InterfaceEntry) -> InterfaceStatus {
    InterfaceStatus {
        details: entry.details.clone(),
        observed_generation: entry.observed_generation,
        conditions: entry.conditions.clone(),
    }
}

/// What the chain's own status says; without the time of reading back, which would be a write each time.
#[must_use]
pub fn of_chain(entry: &ChainEntry) -> ChainStatus {
    ChainStatus {
        details: entry.details.clone(),
        observed_generation: entry.observed_generation,
        conditions: entry.conditions.clone(),
    }
}

/// Whether another controller looks after it, so that its status is that one's to write.
#[must_use]
pub fn is_of_other(conditions: &[Condition]) -> bool {
    conditions::get(conditions, READY).is_some_and(|ready| ready.reason == MANAGED_BY_OTHER)
}

/// The status as JSON, without what is not there. As text it takes a tenth of the memory of a tree.
#[must_use]
pub fn json<S: serde::Serialize>(status: &S) -> String {
    serde_json::to_string(status).unwrap_or_default()
}

fn switch(facts: &Facts<'_>) -> Aspect {
    match facts.observed {
        Err(problem) => Aspect::fails(SWITCH_CONNECTED, problem.clone()),
        Ok(observed) if !observed.bridges.contains_key(facts.bridge) => {
            let message = format!("there is no bridge `{}`", facts.bridge);
            Aspect::fails(SWITCH_CONNECTED, Problem::new("BridgeMissing", message))
        }
        Ok(_) => Aspect::holds(SWITCH_CONNECTED, "the database and the flows of the switch can be reached"),
    }
}

fn switch_status(facts: &Facts<'_>) -> SwitchStatus {
    let observed = facts.observed.ok();
    let bridge = observed.and_then(|observed| observed.bridges.get(facts.bridge));
    SwitchStatus {
        bridge: facts.bridge.to_owned(),
        ovs_version: observed.and_then(|observed| observed.system.ovs_version.clone()),
        datapath: bridge.map(|bridge| match &*bridge.datapath_type {
            "" => "system".to_owned(),
            other => other.to_owned(),
        }),
    }
}

/// An entry and its `Ready`.
struct State<'s> {
    name: String,
    ready: Option<&'s Condition>,
}

impl<'s> State<'s> {
    fn of(namespace: &str, name: &str, conditions: &'s [Condition]) -> Self {
        Self { name: format!("{namespace}/{name}"), ready: conditions::get(conditions, READY) }
    }

    fn is(&self, status: Truth) -> bool {
        self.ready.is_some_and(|ready| ready.status == status)
    }
}

fn counted(states: &[State<'_>]) -> String {
    let ready = states.iter().filter(|state| state.is(Truth::True)).count();
    format!("{ready}/{}", states.len())
}

fn all_ready(kind: &'static str, what: &str, states: &[State<'_>]) -> Aspect {
    let bad: Vec<&State<'_>> = states.iter().filter(|state| !state.is(Truth::True)).collect();
    let Some(first) = bad.iter().find(|state| state.is(Truth::False)).or(bad.first()) else {
        let message = match states.len() {
            0 => format!("no {what} is meant for this node"),
            many => format!("{many} of {many} are ready"),
        };
        return Aspect::holds(kind, message);
    };
    let of = first.ready.map(|ready| format!("{}: {}", ready.reason, ready.message)).unwrap_or_default();
    let more = if bad.len() > 1 { format!("; {} more", bad.len() - 1) } else { String::new() };
    let message = format!("{} are ready; {} is not: {of}{more}", counted(states), first.name);
    let problem = Problem::new(if what == "chain" { "ChainNotReady" } else { "InterfaceNotReady" }, message);
    match first.is(Truth::False) {
        true => Aspect::fails(kind, problem),
        false => Aspect::unknown(kind, problem),
    }
}

/// At most [`MOST`], the urgent ones before the others; in the order they had. And how many are left out.
fn bounded<T>(list: Vec<T>, urgent: impl Fn(&T) -> bool) -> (Vec<T>, i64) {
    let left = list.len().saturating_sub(MOST);
    let others_fit = MOST.saturating_sub(list.iter().filter(|one| urgent(one)).count());
    let mut others = 0;
    let fits = |one: &T| {
        others += usize::from(!urgent(one));
        urgent(one) || others <= others_fit
    };
    let list = if left == 0 { list } else { list.into_iter().filter(fits).take(MOST).collect() };
    (list, i64::try_from(left).unwrap_or(i64::MAX))
}

fn sample(facts: &Facts<'_>, now: &str) -> Option<Sample> {
    let of = |(key, flows): (&Key, &FlowFacts)| {
        let (packets, bytes) = flows.counted?;
        let count = |number| i64::try_from(number).unwrap_or(i64::MAX);
        let (namespace, name) = (key.namespace.clone(), key.name.clone());
        Some(ChainSample { namespace, name, packets: count(packets), bytes: count(bytes) })
    };
    let chains: Vec<ChainSample> = facts.flows.iter().filter_map(of).take(MOST).collect();
    (!chains.is_empty()).then(|| Sample { time: now.to_owned(), chains })
}
