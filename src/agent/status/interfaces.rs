//! Interfaces of the node, as their status says it. PURE.
//!
//! In: [`Facts`], the entries of before, the time. Out: an [`InterfaceEntry`] for each interface, by namespace and name.

use std::collections::{BTreeMap, BTreeSet};

use super::conditions::{self, Aspect};
use super::{Facts, MANAGED_BY_OTHER, READY};
use crate::agent::api::{InterfaceKind, Key};
use crate::agent::crd::details::{InterfaceDetails, Link, MOST, Mtu, PortStatus};
use crate::agent::crd::node::InterfaceEntry;
use crate::agent::desired::{self, Desired, Place, Placed, Problem};
use crate::agent::observed::{self, Observed};
use crate::agent::plan::{self, Found};

/// DPF's condition: what is asked for is in the switch's database.
pub const RECONCILED: &str = "ServiceInterfaceReconciled";
/// The port carries traffic.
pub const PORT_UP: &str = "PortUp";
/// The port has the MTU that was asked for.
pub const MTU_APPLIED: &str = "MTUApplied";
/// What is wrong with a device, not with what the agent wrote.
const OF_DEVICE: [&str; 3] = ["DeviceMissing", "DeviceError", "PeerMissing"];

/// One for each interface.
pub(super) fn entries(facts: &Facts<'_>, before: &[InterfaceEntry], now: &str) -> Vec<InterfaceEntry> {
    let users = users(facts.desired);
    let entry = |placed: &Placed| {
        let key = &placed.interface.meta.key;
        let was = before.iter().find(|entry| entry.namespace == key.namespace && entry.name == key.name);
        let generation = Some(placed.interface.meta.generation).filter(|generation| *generation > 0);
        let was_conditions = was.map_or(&[][..], |was| &was.conditions);
        InterfaceEntry {
            namespace: key.namespace.clone(),
            name: key.name.clone(),
            kind: placed.interface.kind.as_ref().ok().map(|kind| kind_name(kind).to_owned()),
            details: details(placed, facts, &users),
            observed_generation: generation,
            conditions: conditions::list(aspects(placed, facts), was_conditions, generation, now),
        }
    };
    let mut entries: Vec<InterfaceEntry> = facts.desired.interfaces.iter().map(entry).collect();
    entries.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
    entries
}

fn kind_name(kind: &InterfaceKind) -> &'static str {
    match kind {
        InterfaceKind::Physical { .. } => "physical",
        InterfaceKind::Pf { .. } => "pf",
        InterfaceKind::Vf { .. } => "vf",
        InterfaceKind::Vlan { .. } => "vlan",
        InterfaceKind::Ovn { .. } => "ovn",
        InterfaceKind::Service { .. } => "service",
        InterfaceKind::Patch { .. } => "patch",
    }
}

/// The row of the switch that an interface is, with its name, as far as one is known.
fn row<'f>(placed: &'f Placed, facts: &Facts<'f>) -> Option<(&'f str, &'f observed::Interface)> {
    let observed = facts.observed.ok()?;
    let name = match (facts.interfaces.get(&placed.interface.id), &placed.place) {
        (Some(Ok(seen)), _) => seen.port.as_str(),
        (_, Ok(Place::Port(name) | Place::Vlan(name, _))) => name.as_str(),
        _ => return None,
    };
    Some((name, observed.interfaces.get(name)?))
}

fn details(placed: &Placed, facts: &Facts<'_>, users: &Users<'_>) -> InterfaceDetails {
    let names = users.get(&placed.interface.meta.key).into_iter().flatten();
    let chains: Vec<String> = names.take(MOST).map(|name| (*name).to_owned()).collect();
    let Some((name, row)) = row(placed, facts) else {
        return InterfaceDetails { chains, ..InterfaceDetails::default() };
    };
    let bridge = facts.observed.ok().and_then(|observed| observed.ports.get(&row.port)).map(|port| port.bridge.clone());
    let vlan = match &placed.place {
        Ok(Place::Vlan(_, id)) => Some(*id),
        _ => None,
    };
    let mtu = Mtu { requested: row.mtu_request, actual: row.mtu };
    InterfaceDetails {
        port: Some(PortStatus {
            name: name.to_owned(),
            bridge,
            kind: Some(if row.kind.is_empty() { "system".to_owned() } else { row.kind.clone() }),
            ofport: row.ofport,
            vlan,
            ifindex: row.ifindex,
            mac: row.mac_in_use.clone(),
        }),
        link: Some(Link { admin: row.admin_state.clone(), state: row.link_state.clone(), speed: row.link_speed }),
        mtu: (mtu != Mtu::default()).then_some(mtu),
        error: row.error.as_deref().filter(|error| !error.is_empty()).map(conditions::shortened),
        chains,
    }
}

/// Names of the chains with a port that is this interface, by interface.
type Users<'d> = BTreeMap<&'d Key, BTreeSet<&'d str>>;

fn users(desired: &Desired) -> Users<'_> {
    let mut users = Users::new();
    for chain in &desired.chains {
        for port in chain.switches.iter().flatten().flat_map(|switch| &switch.ports).filter(|port| port.place.is_ok()) {
            if let Some(key) = &port.interface {
                users.entry(key).or_default().insert(&chain.meta.key.name);
            }
        }
    }
    users
}

fn aspects(placed: &Placed, facts: &Facts<'_>) -> Vec<Aspect> {
    if let Err(problem) = &placed.place
        && problem.reason == MANAGED_BY_OTHER
    {
        return vec![Aspect::unknown(READY, problem.clone())];
    }
    let found = facts.interfaces.get(&placed.interface.id);
    let mut aspects = vec![reconciled(placed, found, facts), port_up(placed, found, facts)];
    aspects.extend(mtu_applied(placed, facts));
    aspects.insert(0, conditions::summary(&aspects, "the port is there and up"));
    aspects
}

fn reconciled(placed: &Placed, found: Option<&Result<Found, Problem>>, facts: &Facts<'_>) -> Aspect {
    if let Err(problem) = &placed.place {
        return Aspect::fails(RECONCILED, problem.clone());
    }
    if let Some(fault) = &placed.interface.fault {
        return Aspect::fails(RECONCILED, desired::outdated(fault));
    }
    match (facts.observed, found) {
        (Err(problem), _) => Aspect::unknown(RECONCILED, problem.clone()),
        (Ok(_), None) => Aspect::unknown(RECONCILED, Problem::new("Pending", "the switch is being asked")),
        (Ok(_), Some(Err(problem))) if !OF_DEVICE.contains(&problem.reason) => {
            Aspect::fails(RECONCILED, problem.clone())
        }
        // A change of somebody else says nothing about this one. A database that began anew counts from the beginning.
        (Ok(observed), _) if observed.system.cur_cfg < facts.asked_cfg.min(observed.system.next_cfg) => {
            let message = "the switch has not acted on the latest change yet";
            Aspect::unknown(RECONCILED, Problem::new("Pending", message))
        }
        _ => Aspect::holds(RECONCILED, "the switch has the port as it was asked for"),
    }
}

fn port_up(placed: &Placed, found: Option<&Result<Found, Problem>>, facts: &Facts<'_>) -> Aspect {
    if let Err(problem) = facts.observed {
        return Aspect::unknown(PORT_UP, problem.clone());
    }
    if let Some(Err(problem)) = found
        && OF_DEVICE.contains(&problem.reason)
    {
        return Aspect::fails(PORT_UP, problem.clone());
    }
    let Some((name, row)) = row(placed, facts) else {
        return Aspect::unknown(PORT_UP, Problem::new("NoPort", "there is no port to look at"));
    };
    match facts.observed.ok().and_then(|observed| down(name, row, observed)) {
        Some(problem) => Aspect::fails(PORT_UP, problem),
        None => Aspect::holds(PORT_UP, format!("the link of `{name}` is up")),
    }
}

/// Why a port carries nothing.
fn down(name: &str, row: &observed::Interface, observed: &Observed) -> Option<Problem> {
    if let Some(why) = plan::broken(observed, name) {
        return Some(Problem::new("PeerMissing", format!("the port `{name}`: {why}")));
    }
    if let Some(error) = row.error.as_deref().filter(|error| !error.is_empty()) {
        let reason = match error.contains("No such device") {
            _ if row.kind == "patch" => "PeerMissing",
            true => "DeviceMissing",
            false => "DeviceError",
        };
        return Some(Problem::new(reason, format!("the port `{name}`: {error}")));
    }
    match row.ofport {
        Some(number) if number > 0 => {}
        Some(_) => return Some(Problem::new("DeviceError", format!("the switch cannot open the port `{name}`"))),
        None => return Some(Problem::new("PortNotReady", format!("the switch has given the port `{name}` no number"))),
    }
    for (what, state) in [("admin state", &row.admin_state), ("link", &row.link_state)] {
        // A patch has none in some versions.
        if let Some(state) = state.as_deref().filter(|state| *state != "up") {
            return Some(Problem::new("LinkDown", format!("the {what} of `{name}` is {state}")));
        }
    }
    None
}

/// Why the port of this name carries nothing.
pub(super) fn down_by_name(name: &str, observed: &Observed) -> Option<Problem> {
    observed.interfaces.get(name).and_then(|row| down(name, row, observed))
}

fn mtu_applied(placed: &Placed, facts: &Facts<'_>) -> Option<Aspect> {
    let (name, row) = row(placed, facts)?;
    let asked = row.mtu_request?;
    Some(match row.mtu {
        Some(actual) if actual == asked => Aspect::holds(MTU_APPLIED, format!("the MTU of `{name}` is {actual}")),
        Some(actual) => {
            let message = format!("the MTU of `{name}` is {actual}, {asked} was asked for");
            Aspect::fails(MTU_APPLIED, Problem::new("MTURefused", message))
        }
        None => Aspect::unknown(
            MTU_APPLIED,
            Problem::new("Pending", format!("the switch does not say the MTU of `{name}`")),
        ),
    })
}
