//! What makes the flows that are there those that must be. PURE.
//!
//! In: flows that must be there, flows that are. Out: [`FlowChange`]s, and flows of others that are in the way.

use std::cell::LazyCell;
use std::collections::{BTreeMap, BTreeSet};

use super::{FlowChange, Found, Plan};
use crate::agent::api::Key;
use crate::agent::desired::{Desired, DesiredChain, Problem, Settings};
use crate::agent::flow::Flow;
use crate::agent::flows;
use crate::agent::hash::{self, COOKIE, COOKIE_MASK};
use crate::agent::observed::{self, Observed};

/// What makes the flows there those that must be, and the cookies of chains that somebody else's flow stands in the way of.
pub(super) fn flow_changes(
    plan: &Plan,
    there: &[Flow],
    desired: &Desired,
    numbers: &dyn Fn() -> BTreeSet<u32>,
) -> (Vec<FlowChange>, BTreeMap<u64, Flow>) {
    let place = |flow: &Flow| (flow.table, flow.priority, flow.matches.clone());
    let wanted = &*plan.wanted;
    let mut changes = takeover(there, desired, &plan.chains);
    let replaced: BTreeSet<u64> = desired.chains.iter().map(|chain| hash::dpf_cookie(&chain.meta.key)).collect();
    let (ours, foreign): (Vec<&Flow>, Vec<&Flow>) =
        there.iter().filter(|flow| !replaced.contains(&flow.cookie)).partition(|flow| is_ours_flow(flow));
    let foreign: BTreeMap<_, &Flow> = foreign.into_iter().map(|flow| (place(flow), flow)).collect();
    let wanted_at: BTreeMap<_, &Flow> = wanted.iter().map(|flow| (place(flow), flow)).collect();
    let learners = flows::learners(wanted);
    // Only a chain that nobody can read asks for them.
    let numbers = LazyCell::new(numbers);
    let mut kept = BTreeSet::new();
    for flow in ours {
        match wanted_at.get(&place(flow)) {
            Some(wanted) if *wanted == flow => drop(kept.insert(place(flow))),
            // Another is put in its place below.
            Some(_) => {}
            None if flows::is_learned(flow, &learners) => {}
            // A chain that nobody can read any more keeps what it has, as far as its ports are there.
            None if desired.is_unread_chain(flow.cookie) && flow.ports().all(|port| numbers.contains(&port)) => {}
            None => changes.push(FlowChange::Remove(flow.clone())),
        }
    }
    let mut conflicts = BTreeMap::new();
    for flow in wanted.iter().filter(|flow| !kept.contains(&place(flow))) {
        match foreign.get(&place(flow)) {
            Some(other) => drop(conflicts.insert(flow.cookie, (*other).clone())),
            None => changes.push(FlowChange::Add(flow.clone())),
        }
    }
    (changes, conflicts)
}

/// The numbers of the ports of the bridge.
pub(super) fn numbers(observed: &Observed, settings: &Settings) -> BTreeSet<u32> {
    let here = |interface: &&observed::Interface| {
        observed.ports.get(&interface.port).is_some_and(|port| port.bridge == settings.bridge)
    };
    let number = |interface: &observed::Interface| u32::try_from(interface.ofport?).ok();
    observed.interfaces.values().filter(here).filter_map(number).collect()
}

/// Whether a flow carries our mark.
#[must_use]
pub fn is_ours_flow(flow: &Flow) -> bool {
    flow.cookie & COOKIE_MASK == COOKIE
}

/// DPF's own flows of chains that are ours now. They stay until every port of the chain is found: until then they may carry what
/// ours cannot yet, and where both match ours come first.
fn takeover(
    there: &[Flow],
    desired: &Desired,
    found: &BTreeMap<Key, Vec<Vec<Result<Found, Problem>>>>,
) -> Vec<FlowChange> {
    let cookies: BTreeSet<u64> = there.iter().map(|flow| flow.cookie).collect();
    let of = |chain: &DesiredChain| hash::dpf_cookie(&chain.meta.key);
    let whole = |chain: &&DesiredChain| {
        let ports = found.get(&chain.meta.key).map(|switches| switches.iter().flatten());
        ports.is_some_and(|mut ports| ports.all(Result::is_ok))
    };
    let cookies = desired.chains.iter().filter(whole).map(of).filter(|cookie| cookies.contains(cookie));
    cookies.map(FlowChange::RemoveCookie).collect()
}
