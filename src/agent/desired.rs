//! What the switch must have for the objects of one node. PURE.
//!
//! In: a [`Snapshot`] of the objects and the [`Settings`]. Out: [`Desired`]: the ports that are ours to make, what each
//! interface is on the switch, and the switches of each chain with the interfaces at their ports. What cannot be had is a
//! [`Problem`] where it stands, and nothing beside it suffers.
//!
//! Names of ports and identifiers are those of DPF's own controller (`internal/sfccontroller`, v24.10.0-rc.6; patches of
//! v25.7 to v26.8), so that either can take over from the other.

use std::collections::{BTreeMap, BTreeSet};

use super::api::{
    CUSTOM_FLOWS_LABEL, CUSTOM_FLOWS_OF_TIME, Chain, Interface, InterfaceKind, Invalid, Key, Meta, Nic, Pod,
    SERVICE_LABEL,
};
use super::devices::{self, Device, Function};
use super::hash;

/// Key of `external_ids` that marks a port as ours; its value is the interface it is for. What lacks it is never changed.
pub const OWNER: &str = "dpu-agent";
/// Key of `external_ids` by which DPF's programs find an interface.
pub const DPF_ID: &str = "dpf-id";
/// Key of `external_ids` by which DPF's programs know ports of the card, and what they leave alone.
pub const DPF_TYPE: &str = "dpf-type";
/// What is at [`DPF_TYPE`] of a port of the card.
pub const UPLINK: &str = "physical";

/// What a person set.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Settings {
    /// The node.
    pub node: String,
    /// The bridge of the chains.
    pub bridge: String,
    /// `type` of the interfaces made for devices: `dpdk` on a card.
    pub port_type: String,
    /// MTU asked for on ports of ours; the switch's own unless given.
    pub mtu: Option<u16>,
    /// Take uplinks away when their interface goes. On a card the uplink carries every representor.
    pub remove_uplinks: bool,
}

/// The objects, at one moment.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Snapshot {
    /// `ServiceInterface`s and entries of `NodeServiceInterfaces`.
    pub interfaces: Vec<Interface>,
    /// `ServiceChain`s.
    pub chains: Vec<Chain>,
    /// Pods.
    pub pods: Vec<Pod>,
    /// Network devices of the system, where an interface is found by its card.
    pub devices: Vec<Device>,
}

/// Why something is not there: a reason as conditions have it, and a sentence.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Problem {
    /// One word in camel case.
    pub reason: &'static str,
    /// For people.
    pub message: String,
}

impl Problem {
    /// Of both.
    #[must_use]
    pub fn new(reason: &'static str, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }
}

/// A port that is ours to make.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Port {
    /// The interface it is for, as in `dpf-id`.
    pub owner: String,
    /// The bridge it belongs to.
    pub bridge: String,
    /// What kind of port.
    pub kind: PortKind,
    /// `external_ids` of the interface, beside the mark.
    pub external_ids: BTreeMap<String, String>,
    /// `mtu_request`.
    pub mtu: Option<u16>,
}

impl Port {
    /// `external_ids` of the port, and of its interface: a program that makes a port anew keeps those of the one or of the other.
    #[must_use]
    pub fn marks(&self) -> BTreeMap<String, String> {
        let uplink = matches!(self.kind, PortKind::Device { uplink: true, .. });
        let marks = [(OWNER, Some(&*self.owner)), (DPF_TYPE, uplink.then_some(UPLINK))];
        marks.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?.to_owned()))).collect()
    }

    /// `external_ids` of the interface, all of them.
    #[must_use]
    pub fn interface_ids(&self) -> BTreeMap<String, String> {
        let mut ids = self.external_ids.clone();
        ids.append(&mut self.marks());
        ids
    }
}

/// What kind of port.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum PortKind {
    /// A device of the system.
    Device {
        /// `type` of the interface.
        port_type: String,
        /// A port of the card: it stays when its interface goes, unless it is to be removed.
        uplink: bool,
    },
    /// One end of a patch.
    Patch {
        /// The other end.
        peer: String,
    },
}

/// Where an interface is on the switch.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Place {
    /// The port of this name.
    Port(String),
    /// A VLAN of the port of this name.
    Vlan(String, u16),
    /// The port that the CNI made for a pod's interface, by its `dpf-id`.
    Pod(String),
}

/// An interface of this node.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Placed {
    /// The object.
    pub interface: Interface,
    /// Where it is.
    pub place: Result<Place, Problem>,
    /// What it is to the clocks of the network.
    pub clock: Clock,
}

/// What a port is to the clocks of the network (PTP, IEEE 1588), whose messages are for one address of every Ethernet.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Clock {
    /// Nothing in particular.
    #[default]
    None,
    /// A port of the card, by which they come.
    Uplink,
    /// A service that keeps the time, by the label of its pod.
    Service,
}

/// A chain of this node.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DesiredChain {
    /// The object.
    pub meta: Meta,
    /// Marks its flows.
    pub cookie: u64,
    /// Its switches; why there are none.
    pub switches: Result<Vec<DesiredSwitch>, Problem>,
    /// Why its newest spec is not in force.
    pub fault: Option<Problem>,
}

/// A switch of a chain.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DesiredSwitch {
    /// Its ports, in the order of the object.
    pub ports: Vec<DesiredPort>,
}

/// A port of a switch.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DesiredPort {
    /// The one interface that its labels select.
    pub interface: Option<Key>,
    /// Where that is; why it is not.
    pub place: Result<Place, Problem>,
    /// What it is to the clocks of the network.
    pub clock: Clock,
}

/// All of it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Desired {
    /// By name of the port.
    pub ports: BTreeMap<String, Port>,
    /// In order of age.
    pub interfaces: Vec<Placed>,
    /// In order of age.
    pub chains: Vec<DesiredChain>,
}

impl Desired {
    /// Whether nobody knows what the interface with this identifier is: its spec was never readable.
    #[must_use]
    pub fn is_unread_interface(&self, id: &str) -> bool {
        self.interfaces.iter().any(|one| one.interface.id == id && one.interface.kind.is_err())
    }

    /// Whether nobody knows what the chain with this cookie is: its spec was never readable.
    #[must_use]
    pub fn is_unread_chain(&self, cookie: u64) -> bool {
        self.chains.iter().any(|chain| chain.cookie == cookie && chain.switches.is_err())
    }
}

/// What is wrong with a spec.
#[must_use]
pub fn invalid(invalid: &Invalid) -> Problem {
    Problem::new("InvalidSpec", invalid.to_string())
}

/// What is wrong with a spec, where the one before it is in force.
#[must_use]
pub fn outdated(invalid: &Invalid) -> Problem {
    Problem::new("InvalidSpec", format!("{invalid}; what was asked for before it stays in force"))
}

/// What the objects of the node ask for.
#[must_use]
pub fn desired(snapshot: &Snapshot, settings: &Settings) -> Desired {
    let ours = |node: &Option<String>| node.as_deref() == Some(&*settings.node);
    let mut interfaces: Vec<&Interface> =
        snapshot.interfaces.iter().filter(|one| ours(&one.node) && !one.meta.deleting).collect();
    interfaces.sort_by_key(|one| age(&one.meta));
    let pods: Vec<&Pod> =
        snapshot.pods.iter().filter(|pod| ours(&pod.node) && !pod.ended && !pod.meta.deleting).collect();
    let mut made = Made { settings, pods: &pods, devices: &snapshot.devices, ports: BTreeMap::new() };
    let mut placed: Vec<Placed> = interfaces
        .iter()
        .map(|one| Placed { interface: (*one).clone(), place: made.place(one), clock: made.clock(one) })
        .collect();
    place_vlans(&mut placed);
    let mut chains: Vec<&Chain> = snapshot.chains.iter().filter(|one| ours(&one.node) && !one.meta.deleting).collect();
    chains.sort_by_key(|one| age(&one.meta));
    let mut taken = BTreeMap::new();
    let chains = chains.into_iter().map(|chain| desired_chain(chain, &placed, &mut taken)).collect();
    Desired { ports: made.ports, interfaces: placed, chains }
}

/// The older first, so that what comes later does not take a port away.
fn age(meta: &Meta) -> (&str, &Key) {
    (&meta.created, &meta.key)
}

/// The ports so far.
struct Made<'m> {
    settings: &'m Settings,
    pods: &'m [&'m Pod],
    devices: &'m [Device],
    ports: BTreeMap<String, Port>,
}

impl Made<'_> {
    fn place(&mut self, one: &Interface) -> Result<Place, Problem> {
        if one.virtual_network {
            let message = "belongs to a virtual network, which another controller looks after";
            return Err(Problem::new("ManagedByOther", message));
        }
        let kind = one.kind.as_ref().map_err(invalid)?;
        match kind {
            InterfaceKind::Physical { name } => self.device(one, name.clone(), true),
            InterfaceKind::Pf { pf, nic: None } => self.device(one, format!("pf{pf}hpf"), false),
            InterfaceKind::Vf { pf, vf, nic: None } => self.device(one, format!("pf{pf}vf{vf}"), false),
            InterfaceKind::Pf { pf, nic: Some(nic) } => self.function(one, nic, Function { pf: *pf, vf: None }),
            InterfaceKind::Vf { pf, vf, nic: Some(nic) } => {
                self.function(one, nic, Function { pf: *pf, vf: Some(*vf) })
            }
            InterfaceKind::Ovn { bridge, named } => {
                let (here, there) = ovn_names(&self.settings.bridge, bridge, *named);
                self.patch(one, bridge, here, there, None)
            }
            InterfaceKind::Patch { bridge, peer, external_ids } => {
                let (here, there) = patch_names(&self.settings.bridge, bridge, peer.as_deref(), &one.id);
                self.patch(one, bridge, here, there, Some(external_ids))
            }
            InterfaceKind::Service { id, interface } => self.pod(one, id, interface),
            // When every port has its place.
            InterfaceKind::Vlan { parent, id } => Ok(Place::Vlan(parent.clone(), *id)),
        }
    }

    fn function(&mut self, one: &Interface, nic: &Nic, function: Function) -> Result<Place, Problem> {
        let name = devices::find(self.devices, nic, function)?.to_owned();
        self.device(one, name, false)
    }

    fn device(&mut self, one: &Interface, name: String, uplink: bool) -> Result<Place, Problem> {
        self.free(&name)?;
        let port = Port {
            owner: one.id.clone(),
            bridge: self.settings.bridge.clone(),
            kind: PortKind::Device { port_type: self.settings.port_type.clone(), uplink },
            external_ids: [(DPF_ID.to_owned(), one.id.clone())].into(),
            mtu: self.settings.mtu,
        };
        self.ports.insert(name.clone(), port);
        Ok(Place::Port(name))
    }

    /// Both ends of a patch; the end on the other bridge has `peer_ids`, and with them our `dpf-id`.
    fn patch(
        &mut self,
        one: &Interface,
        bridge: &str,
        here: String,
        there: String,
        peer_ids: Option<&BTreeMap<String, String>>,
    ) -> Result<Place, Problem> {
        if bridge == self.settings.bridge {
            return Err(Problem::new("InvalidSpec", format!("a patch from `{bridge}` to itself")));
        }
        self.free(&here)?;
        self.free(&there)?;
        let id: BTreeMap<String, String> = [(DPF_ID.to_owned(), one.id.clone())].into();
        let end = |bridge: &str, peer: &str, external_ids| Port {
            owner: one.id.clone(),
            bridge: bridge.to_owned(),
            kind: PortKind::Patch { peer: peer.to_owned() },
            external_ids,
            mtu: None,
        };
        let peer_ids =
            peer_ids.map(|own| own.iter().map(|(key, value)| (key.clone(), value.clone())).chain(id.clone()));
        let far = end(bridge, &here, peer_ids.map(Iterator::collect).unwrap_or_default());
        let near = end(&self.settings.bridge, &there, id);
        self.ports.insert(there, far);
        self.ports.insert(here.clone(), near);
        Ok(Place::Port(here))
    }

    /// The names of ports are unique in the whole switch.
    fn free(&self, name: &str) -> Result<(), Problem> {
        match self.ports.get(name) {
            None => Ok(()),
            Some(port) => {
                Err(Problem::new("NameConflict", format!("the port `{name}` is that of the interface {}", port.owner)))
            }
        }
    }

    fn clock(&self, one: &Interface) -> Clock {
        let keeps_time =
            |pod: &Pod| pod.meta.labels.get(CUSTOM_FLOWS_LABEL).is_some_and(|flows| flows == CUSTOM_FLOWS_OF_TIME);
        match &one.kind {
            Ok(InterfaceKind::Physical { .. }) => Clock::Uplink,
            Ok(InterfaceKind::Service { id, .. }) if self.serving(one, id).is_ok_and(keeps_time) => Clock::Service,
            _ => Clock::None,
        }
    }

    fn pod(&self, one: &Interface, service: &str, interface: &str) -> Result<Place, Problem> {
        self.serving(one, service).map(|pod| Place::Pod(format!("{}/{interface}", pod.meta.key)))
    }

    /// The pod of a service.
    fn serving(&self, one: &Interface, service: &str) -> Result<&Pod, Problem> {
        let of_service = |pod: &&&Pod| {
            pod.meta.key.namespace == one.scope && pod.meta.labels.get(SERVICE_LABEL).is_some_and(|id| id == service)
        };
        let pods: Vec<&&Pod> = self.pods.iter().filter(of_service).collect();
        let ready: Vec<&&Pod> = pods.iter().filter(|pod| pod.ready).copied().collect();
        // While a pod is replaced there are two: the one that serves counts.
        let counted = if ready.len() == 1 { &ready } else { &pods };
        let names = || counted.iter().map(|pod| pod.meta.key.name.as_str()).collect::<Vec<_>>().join(", ");
        match &counted[..] {
            [pod] => Ok(pod),
            [] => {
                let message = format!("no pod of the service `{service}` runs here, in the namespace {}", one.scope);
                Err(Problem::new("PodNotFound", message))
            }
            _ => {
                Err(Problem::new("PodAmbiguous", format!("the service `{service}` has several pods here: {}", names())))
            }
        }
    }
}

/// The ends of the patch of an `ovn` interface, on the bridge of the chains and on the other. OVN-Kubernetes is told the
/// second name (`--gateway-uplink-port`).
fn ovn_names(bridge: &str, other: &str, named: bool) -> (String, String) {
    let (bridge, other) = (plain(bridge), plain(other));
    match named {
        true => (format!("puplink{bridge}to{other}"), format!("puplink{other}to{bridge}")),
        false => (format!("puplink{bridge}"), format!("puplink{other}")),
    }
}

/// The ends of the patch of a `patch` interface.
fn patch_names(bridge: &str, other: &str, peer: Option<&str>, id: &str) -> (String, String) {
    let (bridge, other) = (plain(bridge), plain(other));
    match peer {
        Some(peer) => (format!("p_{bridge}_to_{peer}"), peer.to_owned()),
        None => {
            let hash = hash::fnv32(id.as_bytes());
            (format!("p_{bridge}_to_{other}_{hash:08x}"), format!("p_{other}_to_{bridge}_{hash:08x}"))
        }
    }
}

/// A bridge's name as names of ports have it.
fn plain(bridge: &str) -> String {
    bridge.replace('-', "")
}

/// VLANs are on the ports of their parents, named by object.
fn place_vlans(placed: &mut [Placed]) {
    let by_key: BTreeMap<Key, Option<String>> = placed
        .iter()
        .filter(|one| !matches!(one.interface.kind, Ok(InterfaceKind::Vlan { .. })))
        .map(|one| {
            let port = match &one.place {
                Ok(Place::Port(port)) => Some(port.clone()),
                _ => None,
            };
            (one.interface.meta.key.clone(), port)
        })
        .collect();
    let mut taken: BTreeSet<Place> = BTreeSet::new();
    for one in placed {
        let Ok(Place::Vlan(parent, id)) = &one.place else { continue };
        let key = Key::new(&one.interface.meta.key.namespace, parent);
        one.place = match by_key.get(&key) {
            Some(Some(port)) => match Place::Vlan(port.clone(), *id) {
                place if taken.insert(place.clone()) => Ok(place),
                _ => Err(Problem::new("NameConflict", format!("VLAN {id} of {key} is that of an older interface"))),
            },
            Some(None) => Err(Problem::new("ParentNotFound", format!("the parent {key} has no port of its own"))),
            None => Err(Problem::new("ParentNotFound", format!("no interface {key} on this node"))),
        };
    }
}

/// Who has a place: a chain, and the index of its switch.
type Taken = BTreeMap<Place, (Key, usize)>;

fn desired_chain(chain: &Chain, placed: &[Placed], taken: &mut Taken) -> DesiredChain {
    let switches = chain.switches.as_ref().map_err(invalid);
    let switches = switches.map(|switches| {
        let switch = |(index, switch): (usize, &super::api::Switch)| {
            let port = |labels: &BTreeMap<String, String>| {
                let mut port = selected(labels, &chain.meta.key.namespace, placed);
                if let Ok(place) = &port.place {
                    match taken.get(place) {
                        Some((other, switch)) => {
                            let message = format!("is a port of switch {switch} of the chain {other} already");
                            port.place = Err(Problem::new("PortInTwoSwitches", message));
                        }
                        None => drop(taken.insert(place.clone(), (chain.meta.key.clone(), index))),
                    }
                }
                port
            };
            DesiredSwitch { ports: switch.ports.iter().map(port).collect() }
        };
        switches.iter().enumerate().map(switch).collect()
    });
    let fault = chain.fault.as_ref().map(outdated);
    DesiredChain { meta: chain.meta.clone(), cookie: hash::cookie(&chain.meta.key), switches, fault }
}

/// The one interface with these labels.
fn selected(labels: &BTreeMap<String, String>, namespace: &str, placed: &[Placed]) -> DesiredPort {
    let has = |one: &&Placed| {
        let own = &one.interface.meta.labels;
        one.interface.scope == namespace && labels.iter().all(|(key, value)| own.get(key) == Some(value))
    };
    let found: Vec<&Placed> = placed.iter().filter(has).collect();
    let entries: Vec<&Placed> = found.iter().filter(|one| one.interface.entry).copied().collect();
    let found = if entries.is_empty() { found } else { entries };
    let wanted = || labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",");
    let problem = |reason, message| DesiredPort {
        interface: None,
        place: Err(Problem::new(reason, message)),
        clock: Clock::None,
    };
    match &found[..] {
        [one] => {
            DesiredPort { interface: Some(one.interface.meta.key.clone()), place: one.place.clone(), clock: one.clock }
        }
        [] => problem("InterfaceNotFound", format!("no interface with {} on this node", wanted())),
        many => {
            let names: Vec<String> = many.iter().map(|one| one.interface.meta.key.to_string()).collect();
            problem("InterfaceAmbiguous", format!("several interfaces have {}: {}", wanted(), names.join(", ")))
        }
    }
}

#[cfg(test)]
mod tests;
