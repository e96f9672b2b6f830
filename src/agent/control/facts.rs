//! How things are, for the status and for people. PURE.
//!
//! In: the state of [`Control`], the status of before, the time of day. Out: the node's status, and what was put right.

use std::collections::BTreeMap;

use super::{Bridge, Control, locked};
use crate::agent::api::Key;
use crate::agent::crd::node::{Conflict, NodeStatus, Trouble};
use crate::agent::desired::{DesiredChain, Problem};
use crate::agent::observed::Observed;
use crate::agent::plan::{Found, PortChange};
use crate::agent::status::{self, Facts, FlowFacts};
use crate::agent::writer::documents::Target;
use crate::agent::writer::events::Happening;

/// Key of `external_ids` by which DPF's CNI finds the ports of a pod's interface on the bridge of HBN.
const HBN_NETDEV: &str = "hbn_netdev";

impl Control {
    /// What the node says now.
    #[must_use]
    pub fn report(&self, before: Option<&NodeStatus>, troubles: &[Trouble], now: &str) -> NodeStatus {
        self.with_facts(troubles, |facts| status::report(facts, before, now))
    }

    /// Gives all that is known to whoever says it in his own way.
    pub(super) fn with_facts<T>(&self, troubles: &[Trouble], say: impl FnOnce(&Facts<'_>) -> T) -> T {
        let away = self.away();
        let problems: Vec<Trouble> = self
            .given
            .problems
            .iter()
            .map(|(place, message)| trouble(place, message))
            .chain(troubles.iter().cloned())
            .collect();
        let unread = self.unread(&problems);
        say(&Facts {
            version: env!("CARGO_PKG_VERSION"),
            bridge: &self.settings.bridge,
            desired: &self.desired,
            asked_cfg: self.asked_cfg,
            observed: away.as_ref().map_or(Ok(&self.observed), Err),
            interfaces: &self.interfaces(),
            chains: &self.plan.chains,
            flows: &self.desired.chains.iter().map(|chain| (chain.meta.key.clone(), self.flows(chain))).collect(),
            conflicts: &self.conflicts(),
            problems: &problems,
            unread: unread.as_ref(),
        })
    }

    /// Why nobody knows all that is asked for.
    fn unread(&self, problems: &[Trouble]) -> Option<Problem> {
        let first = problems.first().map(|one| format!(": {}: {}", one.place, one.message)).unwrap_or_default();
        let message = || format!("not every object of the node could be read yet{first}");
        (!self.given.complete).then(|| Problem::new("ObjectsUnread", message()))
    }

    /// Why nothing is known of the switch, or nothing is done to it.
    fn away(&self) -> Option<Problem> {
        if self.is_locked_out() {
            return Some(locked());
        }
        if self.away_since.is_some() {
            let error = self.database.error.as_deref().unwrap_or("there is no connection to the database yet");
            return Some(Problem::new("SwitchAway", error));
        }
        match &self.bridge {
            Bridge::Closed { error, .. } if self.connect => Some(Problem::new("SwitchAway", error.clone())),
            _ => None,
        }
    }

    fn interfaces(&self) -> BTreeMap<String, Result<Found, Problem>> {
        let mut found = self.plan.interfaces.clone();
        for (name, problem) in &self.refused_ports {
            let owner = self.desired.ports.get(name).map(|port| &port.owner);
            if let Some(one) = owner.and_then(|owner| found.get_mut(owner)) {
                *one = Err(problem.clone());
            }
        }
        found
    }

    fn flows(&self, chain: &DesiredChain) -> FlowFacts {
        let there = self.observed.flows.get(&self.settings.bridge).and_then(Option::as_ref);
        let wanted = || self.plan.wanted.iter().filter(|flow| flow.cookie == chain.cookie);
        // Sorted, as they are read.
        let installed = there.map(|there| wanted().filter(|flow| there.binary_search(flow).is_ok()).count());
        let is_learned = |flow: &&crate::agent::flow::Flow| flow.cookie == chain.cookie && flow.idle_timeout != 0;
        FlowFacts {
            desired: wanted().count(),
            installed: installed.filter(|_| !self.stale),
            learned: there.map(|there| there.iter().filter(is_learned).count()),
            problem: self.flow_problem(chain),
            verified: there.map(|_| self.read.at.clone()),
            counted: there.map(|_| self.read.counted.get(&chain.cookie).copied().unwrap_or_default()),
        }
    }

    fn flow_problem(&self, chain: &DesiredChain) -> Option<Problem> {
        if let Some(problem) = chain.switches.as_ref().err().or(chain.fault.as_ref()) {
            return Some(problem.clone());
        }
        if !self.observed.bridges.contains_key(&self.settings.bridge) {
            return Some(Problem::new("BridgeMissing", format!("there is no bridge `{}`", self.settings.bridge)));
        }
        let conflict = || {
            let other = self.plan.conflicts.get(&chain.cookie)?;
            Some(Problem::new("FlowsMissing", format!("a flow that is not ours stands in the place of one: {other}")))
        };
        self.refused_flows.get(&chain.cookie).cloned().or_else(conflict)
    }

    pub(super) fn conflicts(&self) -> Vec<Conflict> {
        let flow = |(cookie, flow): (&u64, &crate::agent::flow::Flow)| {
            let chain = self.desired.chains.iter().find(|chain| chain.cookie == *cookie);
            let of = chain.map_or_else(String::new, |chain| format!(" of the chain {}", chain.meta.key));
            let message = format!("stands in the place of a flow{of}, and is not ours to change");
            Conflict { kind: "flow".to_owned(), name: flow.to_string(), message }
        };
        let mut conflicts: Vec<Conflict> = self.plan.conflicts.iter().map(flow).collect();
        let in_the_way = ["PortOnOtherBridge", "NameConflict"];
        for one in &self.desired.interfaces {
            let found = self.plan.interfaces.get(&one.interface.id);
            if let Some(Err(problem)) =
                found.filter(|found| in_the_way.contains(&found.as_ref().err().map_or("", |problem| problem.reason)))
            {
                let name = one.interface.meta.key.to_string();
                conflicts.push(Conflict { kind: "port".to_owned(), name, message: problem.message.clone() });
            }
        }
        conflicts.extend(taken_for_one(&self.observed));
        conflicts
    }

    /// How many ports were put right in the database that somebody else had changed, and in words.
    pub(super) fn port_drift(&self) -> Option<(u64, String)> {
        let settled = self.settled.as_ref()?;
        let drifted = |change: &&PortChange| match change {
            PortChange::Create { name, .. } => settled.ports.contains(name),
            PortChange::Update { columns, .. } => !columns.is_note(),
            PortChange::Remove { .. } => true,
        };
        let names: Vec<&str> = self.asked_ports.iter().filter(drifted).map(super::port_of).collect();
        let what = |names: Vec<&str>| {
            format!("ports that somebody else had changed are as they must be again: {}", names.join(", "))
        };
        (!names.is_empty()).then(|| (names.len() as u64, what(names)))
    }

    /// How many flows were put right that somebody else had changed, and in words.
    pub(super) fn flow_drift(&self) -> Option<(u64, String)> {
        self.settled.as_ref().filter(|settled| !settled.rows_changed)?;
        let count = self.asked_flows.len();
        Some((count as u64, format!("{count} flows that somebody else had changed are as they must be again")))
    }

    /// Something to tell of the node.
    pub(super) fn happening(&self, reason: &'static str, note: String) -> Happening {
        Happening {
            target: Target::Node,
            key: Key::new("", &self.settings.node),
            uid: String::new(),
            reason,
            note,
            warning: true,
        }
    }
}

/// Ports of the CNI that it takes for one: on the way to HBN it knows them by the name of the pod's interface alone, and when
/// the next pod comes it takes all of them away.
fn taken_for_one(observed: &Observed) -> impl Iterator<Item = Conflict> {
    let mut by_name: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (port, interface) in &observed.interfaces {
        if let Some(name) = interface.external_ids.get(HBN_NETDEV).filter(|name| !name.is_empty()) {
            by_name.entry(name).or_default().push(port);
        }
    }
    by_name.into_iter().filter(|(_, ports)| ports.len() > 1).map(|(name, ports)| {
        let message = format!(
            "are of interfaces called `{name}` of several pods; the CNI will take all of them away for the next"
        );
        Conflict { kind: "port".to_owned(), name: ports.join(", "), message }
    })
}

fn trouble(place: &str, message: &str) -> Trouble {
    Trouble { place: place.to_owned(), message: message.to_owned() }
}
