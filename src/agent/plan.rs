//! What has to be done so that the switch has what it must have. PURE.
//!
//! In: [`Desired`], and the switch as it was [`Observed`]. Out: a [`Plan`]: changes of the database, which go into one
//! transaction, changes of flows, which go into one bundle, and for each port of each chain where it was found. A plan of a
//! switch that has everything is empty. Whatever carries no mark of ours, neither [`OWNER`](super::desired::OWNER) nor a cookie of ours, is used
//! where it fits and never changed.
//!
//! Ports that were asked for have numbers only once the switch has made them: what waits for one is in the next plan.

mod changes;
mod found;
mod patches;
mod ports;

use std::collections::{BTreeMap, BTreeSet};

pub use self::changes::is_ours_flow;
pub use self::patches::broken;
pub use self::ports::owner;

use self::changes::{flow_changes, numbers};
use self::found::{View, chains};
use self::ports::Ports;
use super::api::Key;
use super::desired::{Desired, Port, Problem, Settings};
use super::flow::Flow;
use super::flows::{self, Member};
use super::observed::Observed;

/// What has to be done.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// Changes of ports, in order.
    pub ports: Vec<PortChange>,
    /// Changes of flows, in order.
    pub flows: Vec<FlowChange>,
    /// What was found of each interface, by its identifier.
    pub interfaces: BTreeMap<String, Result<Found, Problem>>,
    /// What was found of each port of each switch of each chain, by the chain's key.
    pub chains: BTreeMap<Key, Vec<Vec<Result<Found, Problem>>>>,
    /// Flows of others that stand in the place of ours, by the cookie of ours: they stay, ours are not there.
    pub conflicts: BTreeMap<u64, Flow>,
    /// Marked ports that stay although nothing asks for them: uplinks.
    pub kept: BTreeSet<String>,
    /// What links patches of ours anew of which the switch says that they lead nowhere, although all is there.
    pub relink: Vec<PortChange>,
    /// The flows that must be there in the end, those that are there already too. Sorted.
    pub wanted: Vec<Flow>,
}

/// A port of the switch that an interface is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Found {
    /// Name of the port.
    pub port: String,
    /// Its number, where it carries traffic.
    pub member: Member,
    /// Whether it carries our mark.
    pub ours: bool,
}

/// One change of the database.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum PortChange {
    /// Make a port with its interface.
    Create {
        /// Its name.
        name: String,
        /// What it must be.
        port: Port,
        /// `ofport_request`.
        number: u32,
    },
    /// Change columns of the interface of a port of ours.
    Update {
        /// Its name.
        name: String,
        /// What to set.
        columns: Columns,
    },
    /// Take a port of ours away.
    Remove {
        /// Its name.
        name: String,
        /// The bridge that it is on.
        bridge: String,
    },
}

/// Columns of an interface of ours, as far as they are not what they must be.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Columns {
    /// `type`.
    pub port_type: Option<String>,
    /// `options:peer`.
    pub peer: Option<String>,
    /// `external_ids` of the interface that are set; others stay.
    pub external_ids: BTreeMap<String, String>,
    /// `external_ids` of the port that are set; others stay.
    pub marks: BTreeMap<String, String>,
    /// `mtu_request`.
    pub mtu: Option<Option<u16>>,
    /// `ofport_request`.
    pub number: Option<u32>,
}

impl Columns {
    /// Whether this only notes which device a port was opened for.
    #[must_use]
    pub fn is_note(&self) -> bool {
        let rest = Self { external_ids: BTreeMap::new(), ..self.clone() };
        rest == Self::default() && self.external_ids.keys().all(|key| key == ports::DEVICE)
    }
}

/// One change of flows.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum FlowChange {
    /// Add this flow, or put it in the place of that with the same table, priority and match.
    Add(Flow),
    /// Take away the flow with this table, priority, match and cookie.
    Remove(Flow),
    /// Take away every flow with this cookie: DPF's flows of a chain that is ours now.
    RemoveCookie(u64),
}

impl Plan {
    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ports.is_empty() && self.flows.is_empty() && self.relink.is_empty()
    }
}

/// What has to be done.
#[must_use]
pub fn plan(desired: &Desired, observed: &Observed, settings: &Settings) -> Plan {
    let mut plan = Plan::default();
    let ports = Ports { desired, observed, settings };
    let problems = ports.make(&mut plan);
    ports.take_away(&mut plan);
    let view = View { observed, settings, problems: &problems };
    for one in &desired.interfaces {
        let found = one.place.clone().and_then(|place| view.find(&place));
        plan.interfaces.insert(one.interface.id.clone(), found);
    }
    let switches = chains(desired, &view, &mut plan);
    plan.relink = patches::relink(desired, observed, settings);
    plan.wanted = flows::flows(&switches);
    if let Some(Some(there)) = observed.flows.get(&settings.bridge) {
        (plan.flows, plan.conflicts) = flow_changes(&plan, there, desired, &|| numbers(observed, settings));
    }
    plan
}

#[cfg(test)]
mod tests;
