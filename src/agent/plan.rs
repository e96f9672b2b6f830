//! What has to be done so that the switch has what it must have. PURE.
//!
//! In: [`Desired`], and the switch as it was [`Observed`]. Out: a [`Plan`]: changes of the database, which go into one
//! transaction, changes of flows, which go into one bundle, and for each port of each chain where it was found. A plan of a
//! switch that has everything is empty. Whatever carries no mark of ours, neither [`OWNER`] nor a cookie of ours, is used
//! where it fits and never changed.
//!
//! Ports that were asked for have numbers only once the switch has made them: what waits for one is in the next plan.

use std::collections::{BTreeMap, BTreeSet};

use super::api::Key;
use super::desired::{
    Clock, DPF_ID, DPF_TYPE, Desired, DesiredChain, OWNER, Place, Port, PortKind, Problem, Settings, UPLINK,
};
use super::flow::Flow;
use super::flows::{self, Member, Switch};
use super::hash::{self, COOKIE, COOKIE_MASK};
use super::observed::{self, Observed};

/// Ports that one transaction takes away: taking away a device holds the switch up for some 17 ms.
const MOST_REMOVED: usize = 20;
/// Numbers of ports of ours: above those that DPF's CNI hashes to (up to 255), below those of its later releases.
const FIRST_NUMBER: u32 = 0x4000;
const NUMBERS: u32 = 0x4000;

/// Key of `external_ids` of an interface of ours: the number of the device that its port was opened for.
const DEVICE: &str = "dpu-agent-device";

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
        rest == Self::default() && self.external_ids.keys().all(|key| key == DEVICE)
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
        self.ports.is_empty() && self.flows.is_empty()
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
    plan.wanted = flows::flows(&switches);
    if let Some(Some(there)) = observed.flows.get(&settings.bridge) {
        (plan.flows, plan.conflicts) = flow_changes(&plan, there, desired, &numbers(observed, settings));
    }
    plan
}

/// Ports that are, and that must be.
struct Ports<'p> {
    desired: &'p Desired,
    observed: &'p Observed,
    settings: &'p Settings,
}

impl Ports<'_> {
    /// Plans what must be there; what cannot be made is a problem of that port.
    fn make(&self, plan: &mut Plan) -> BTreeMap<String, Problem> {
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
    fn take_away(&self, plan: &mut Plan) {
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
struct Numbers {
    taken: BTreeMap<String, BTreeSet<u32>>,
}

impl Numbers {
    fn of(observed: &Observed) -> Self {
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
    fn free(&mut self, bridge: &str, name: &str) -> u32 {
        let taken = self.taken.entry(bridge.to_owned()).or_default();
        let start = hash::fnv32(name.as_bytes()) % NUMBERS;
        let candidates = (0..NUMBERS).map(|step| FIRST_NUMBER + (start + step) % NUMBERS);
        let number = candidates.into_iter().find(|number| !taken.contains(number)).unwrap_or(FIRST_NUMBER);
        taken.insert(number);
        number
    }
}

/// The switch, seen from places.
struct View<'v> {
    observed: &'v Observed,
    settings: &'v Settings,
    problems: &'v BTreeMap<String, Problem>,
}

impl View<'_> {
    fn find(&self, place: &Place) -> Result<Found, Problem> {
        match place {
            Place::Port(name) => self.port(name, None),
            Place::Vlan(name, id) => self.port(name, Some(*id)),
            Place::Pod(id) => self.port(&self.of_pod(id)?, None),
        }
    }

    /// The port of a pod's interface: its own, or the near end of its patch where it is on another bridge.
    fn of_pod(&self, id: &str) -> Result<String, Problem> {
        let has = |interface: &observed::Interface| interface.external_ids.get(DPF_ID).is_some_and(|there| there == id);
        let found: Vec<&String> =
            self.observed.interfaces.iter().filter(|(_, one)| has(one)).map(|(name, _)| name).collect();
        match found[..] {
            [name] => {
                let bridge = &self.settings.bridge;
                if self.observed.ports.get(name).is_some_and(|port| port.bridge == *bridge) {
                    return Ok(name.clone());
                }
                let patch = format!("p{name}{}", bridge.replace('-', ""));
                match self.observed.ports.contains_key(&patch) {
                    true => Ok(patch),
                    false => {
                        let message =
                            format!("the CNI has not joined `{name}` to `{bridge}`: there is no port `{patch}`");
                        Err(Problem::new("PortNotReady", message))
                    }
                }
            }
            [] => Err(Problem::new("PortNotReady", format!("the CNI has made no port for {id}"))),
            _ => {
                let names: Vec<&str> = found.iter().map(|name| name.as_str()).collect();
                Err(Problem::new(
                    "InterfaceAmbiguous",
                    format!("several ports are marked as {id}: {}", names.join(", ")),
                ))
            }
        }
    }

    fn port(&self, name: &str, vlan: Option<u16>) -> Result<Found, Problem> {
        if let Some(problem) = self.problems.get(name) {
            return Err(problem.clone());
        }
        let bridge = &*self.settings.bridge;
        let Some(port) = self.observed.ports.get(name) else {
            return Err(Problem::new("PortNotReady", format!("the port `{name}` is being made")));
        };
        if port.bridge != bridge {
            let on = &port.bridge;
            let message = format!("the port `{name}` is on the bridge `{on}`, not on `{bridge}`");
            return Err(Problem::new("PortOnOtherBridge", message));
        }
        let interface = self.observed.interfaces.get(name);
        let number = interface.and_then(|interface| interface.ofport);
        if let Some(ofport) = number.and_then(|number| u32::try_from(number).ok()).filter(|number| *number > 0) {
            self.has_number(name, ofport)?;
            let ours = owner(self.observed, name).is_some();
            return Ok(Found { port: name.to_owned(), member: Member { ofport, vlan }, ours });
        }
        let error = interface.and_then(|interface| interface.error.as_deref()).filter(|text| !text.is_empty());
        Err(match error {
            Some(error) if error.contains("No such device") => {
                Problem::new("DeviceMissing", format!("there is no device `{name}`: {error}"))
            }
            Some(error) => Problem::new("DeviceError", format!("the port `{name}`: {error}")),
            None => Problem::new("PortNotReady", format!("the switch has given the port `{name}` no number")),
        })
    }

    /// The database says which number a port has, the switch says which port has a number: while they differ, one of them is late,
    /// and frames for the number might go to another port.
    fn has_number(&self, name: &str, ofport: u32) -> Result<(), Problem> {
        let Some(numbers) = self.observed.numbers.get(&self.settings.bridge) else { return Ok(()) };
        match numbers.get(&ofport) {
            Some(there) if observed::is_cut_of(there, name) => Ok(()),
            Some(there) => {
                let message = format!("the number {ofport} of the port `{name}` is that of `{there}` in the switch");
                Err(Problem::new("PortNotReady", message))
            }
            None => {
                let message = format!("the switch has no port with the number {ofport} of `{name}` yet");
                Err(Problem::new("PortNotReady", message))
            }
        }
    }
}

/// Finds the ports of every chain; what is found makes its switches.
fn chains(desired: &Desired, view: &View<'_>, plan: &mut Plan) -> Vec<Switch> {
    let mut switches = Vec::new();
    let mut taken: BTreeMap<Member, &Key> = BTreeMap::new();
    for chain in &desired.chains {
        let Ok(wanted) = &chain.switches else { continue };
        let mut found = Vec::new();
        for (index, switch) in wanted.iter().enumerate() {
            let ports: Vec<Result<Found, Problem>> = switch
                .ports
                .iter()
                .map(|port| {
                    let found = view.find(port.place.as_ref().map_err(Clone::clone)?)?;
                    match taken.get(&found.member) {
                        Some(other) => {
                            let message = format!("the port `{}` is a port of the chain {other} already", found.port);
                            Err(Problem::new("PortInTwoSwitches", message))
                        }
                        None => {
                            taken.insert(found.member, &chain.meta.key);
                            Ok(found)
                        }
                    }
                })
                .collect();
            let members = ports.iter().flatten().map(|found| found.member).collect();
            let are = |clock: Clock| {
                let wanted = switch.ports.iter().zip(&ports).filter(move |(port, _)| port.clock == clock);
                wanted.filter_map(|(_, found)| Some(found.as_ref().ok()?.member)).collect()
            };
            let clocks = (are(Clock::Uplink), are(Clock::Service));
            switches.push(Switch { chain: chain.meta.key.clone(), index, cookie: chain.cookie, members, clocks });
            found.push(ports);
        }
        plan.chains.insert(chain.meta.key.clone(), found);
    }
    switches
}

/// What makes the flows there those that must be, and the cookies of chains that somebody else's flow stands in the way of.
fn flow_changes(
    plan: &Plan,
    there: &[Flow],
    desired: &Desired,
    numbers: &BTreeSet<u32>,
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
fn numbers(observed: &Observed, settings: &Settings) -> BTreeSet<u32> {
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

#[cfg(test)]
mod tests;
