//! Ports that must be there, and those that must not. PURE.
//!
//! In: what is desired, what is there. Out: [`PortChange`]s, and what cannot be made.

use std::collections::{BTreeMap, BTreeSet};

use super::{Columns, Plan, PortChange};
use crate::agent::desired::{DPF_TYPE, Desired, OWNER, Port, PortKind, Problem, Settings, UPLINK};
use crate::agent::hash;
use crate::agent::observed::{self, Observed};

/// Ports that one transaction takes away: taking away a device holds the switch up for some 17 ms.
const MOST_REMOVED: usize = 20;
/// Numbers of ports of ours: above those that DPF's CNI hashes to (up to 255), below those of its later releases.
const FIRST_NUMBER: u32 = 0x4000;
const NUMBERS: u32 = 0x4000;

/// Key of `external_ids` of an interface of ours: the number of the device that its port was opened for.
pub(super) const DEVICE: &str = "dpu-agent-device";

/// Ports that are, and that must be.
pub(super) struct Ports<'p> {
    pub(super) desired: &'p Desired,
    pub(super) observed: &'p Observed,
    pub(super) settings: &'p Settings,
}

impl Ports<'_> {
    /// Plans what must be there; what cannot be made is a problem of that port.
    pub(super) fn make(&self, plan: &mut Plan) -> BTreeMap<String, Problem> {
        let mut problems = BTreeMap::new();
        let mut numbers = Numbers::of(self.observed);
        for (name, port) in &self.desired.ports {
            match self.observed.ports.get(name) {
                None => match self.missing_bridge(port) {
                    Some(problem) => drop(problems.insert(name.clone(), problem)),
                    None => {
                        let number = numbers.free(&port.bridge, name);
                        plan.ports.push(PortChange::Create { name: name.clone(), port: port.clone(), number });
                    }
                },
                Some(there) if there.bridge != port.bridge => {
                    let (on, bridge) = (&there.bridge, &port.bridge);
                    let message = format!("the port `{name}` is on the bridge `{on}`, not on `{bridge}`");
                    problems.insert(name.clone(), Problem::new("PortOnOtherBridge", message));
                }
                Some(there) => match self.observed.interfaces.get(name) {
                    Some(interface) if owner(self.observed, name).is_some() => {
                        let mut columns = columns(port, there, interface);
                        if interface.external_ids.contains_key(DEVICE) && columns.external_ids.contains_key(DEVICE) {
                            columns.number = Some(numbers.free(&port.bridge, name));
                        }
                        if columns != Columns::default() {
                            plan.ports.push(PortChange::Update { name: name.clone(), columns });
                        }
                    }
                    Some(interface) => {
                        if let Some(problem) = unlike(name, port, interface) {
                            problems.insert(name.clone(), problem);
                        }
                    }
                    None => {
                        let message = format!("the port `{name}` is made of several interfaces");
                        problems.insert(name.clone(), Problem::new("NameConflict", message));
                    }
                },
            }
        }
        // An end of a patch whose other end cannot be made would never carry anything.
        let half = |change: &PortChange| match change {
            PortChange::Create { port: Port { kind: PortKind::Patch { peer }, .. }, .. } => problems.contains_key(peer),
            _ => false,
        };
        let halves: Vec<PortChange> = plan.ports.iter().filter(|change| half(change)).cloned().collect();
        plan.ports.retain(|change| !half(change));
        for change in halves {
            if let PortChange::Create { name, port: Port { kind: PortKind::Patch { peer }, .. }, .. } = change
                && let Some(problem) = problems.get(&peer).cloned()
            {
                let reason = if problem.reason == "BridgeMissing" { "PeerBridgeMissing" } else { problem.reason };
                problems.insert(name, Problem::new(reason, problem.message));
            }
        }
        problems
    }

    fn missing_bridge(&self, port: &Port) -> Option<Problem> {
        let missing = !self.observed.bridges.contains_key(&port.bridge);
        missing.then(|| Problem::new("BridgeMissing", format!("there is no bridge `{}`", port.bridge)))
    }

    /// Plans that marked ports go that nothing asks for.
    pub(super) fn take_away(&self, plan: &mut Plan) {
        let mut removed = 0;
        for (name, port) in &self.observed.ports {
            let wanted = self.desired.ports.get(name).is_some_and(|wanted| wanted.bridge == port.bridge);
            let Some(owner) = owner(self.observed, name) else { continue };
            // What an interface asked for that nobody can read any more is not known to be gone.
            if wanted || self.desired.is_unread_interface(owner) {
                continue;
            }
            if is_uplink(self.observed, name) && !self.settings.remove_uplinks {
                plan.kept.insert(name.clone());
            } else if removed < MOST_REMOVED {
                removed += 1;
                plan.ports.push(PortChange::Remove { name: name.clone(), bridge: port.bridge.clone() });
            }
        }
    }
}

/// The interface that a port of ours is for. A port is ours where it carries our mark, or its interface does.
#[must_use]
pub fn owner<'o>(observed: &'o Observed, port: &str) -> Option<&'o String> {
    mark(observed, port, OWNER)
}

/// As DPF marks ports of the card, and we do.
fn is_uplink(observed: &Observed, port: &str) -> bool {
    mark(observed, port, DPF_TYPE).is_some_and(|kind| kind == UPLINK)
}

fn mark<'o>(observed: &'o Observed, name: &str, key: &str) -> Option<&'o String> {
    let of_port = observed.ports.get(name)?.external_ids.get(key);
    let interface = || observed.interfaces.get(name).filter(|interface| interface.port == name);
    of_port.or_else(|| interface()?.external_ids.get(key))
}

/// What is not as it must be on a port of ours.
fn columns(port: &Port, there: &observed::Port, interface: &observed::Interface) -> Columns {
    let (port_type, peer) = match &port.kind {
        PortKind::Device { port_type, .. } => (port_type.as_str(), None),
        PortKind::Patch { peer } => ("patch", Some(peer)),
    };
    let lacking = |mut wanted: BTreeMap<String, String>, there: &BTreeMap<String, String>| {
        wanted.retain(|key, value| there.get(key) != Some(value));
        wanted
    };
    let mut ids = port.interface_ids();
    ids.extend(device(port, interface).map(|index| (DEVICE.to_owned(), index)));
    let peer = peer.filter(|peer| interface.options.get("peer") != Some(*peer));
    Columns {
        port_type: (interface.kind != port_type).then(|| port_type.to_owned()),
        peer: peer.cloned(),
        external_ids: lacking(ids, &interface.external_ids),
        marks: lacking(port.marks(), &there.external_ids),
        mtu: (interface.mtu_request != port.mtu.map(i64::from)).then_some(port.mtu),
        // A number that is asked for is not taken away by another port that asks for it.
        number: match (interface.ofport_request, interface.ofport) {
            (None, Some(number)) => u32::try_from(number).ok().filter(|number| *number > 0),
            _ => None,
        },
    }
}

/// The number of the device that the switch has opened for a port. A device that was taken away and made again has the same name
/// and another number: the switch says that its link is up, and goes on reading from the one that is gone (`netdev` datapath, OVS
/// 3.1) until the port gets another number. Devices of DPDK are numbered by name.
fn device(port: &Port, interface: &observed::Interface) -> Option<String> {
    let PortKind::Device { port_type, .. } = &port.kind else { return None };
    let open = port_type.is_empty() && interface.ofport.is_some_and(|number| number > 0);
    interface.ifindex.filter(|index| open && *index > 0).map(|index| index.to_string())
}

/// Why a port that somebody else made cannot serve.
fn unlike(name: &str, port: &Port, interface: &observed::Interface) -> Option<Problem> {
    let PortKind::Patch { peer } = &port.kind else { return None };
    let there = interface.options.get("peer");
    (interface.kind != "patch" || there != Some(peer)).then(|| {
        let message = format!("there is a port `{name}` that is no patch to `{peer}`, and it is not ours to change");
        Problem::new("NameConflict", message)
    })
}

/// Numbers of ports that are in use or asked for.
pub(super) struct Numbers {
    taken: BTreeMap<String, BTreeSet<u32>>,
}

impl Numbers {
    pub(super) fn of(observed: &Observed) -> Self {
        let mut taken: BTreeMap<String, BTreeSet<u32>> = BTreeMap::new();
        for (name, interface) in &observed.interfaces {
            let Some(port) = observed.ports.get(name) else { continue };
            let numbers = [interface.ofport, interface.ofport_request].into_iter().flatten();
            taken
                .entry(port.bridge.clone())
                .or_default()
                .extend(numbers.filter_map(|number| u32::try_from(number).ok()));
        }
        Self { taken }
    }

    /// The same for the same name, as far as it is free.
    pub(super) fn free(&mut self, bridge: &str, name: &str) -> u32 {
        let taken = self.taken.entry(bridge.to_owned()).or_default();
        let start = hash::fnv32(name.as_bytes()) % NUMBERS;
        let candidates = (0..NUMBERS).map(|step| FIRST_NUMBER + (start + step) % NUMBERS);
        let number = candidates.into_iter().find(|number| !taken.contains(number)).unwrap_or(FIRST_NUMBER);
        taken.insert(number);
        number
    }
}
