//! The objects that the agent reads, typed. PURE.
//!
//! In: objects as JSON, as an API server or a folder gives them. Out: [`Interface`]s, [`Chain`]s and [`Pod`]s of one node. An
//! object that cannot be read is not lost: it keeps its name, and says what is wrong with it, so that its status can.
//!
//! Mirrors `api/svc/v1alpha1` of DPF v24.10 up to v26.8; the fields of every release are read, and what a release does not have
//! is absent there.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::Value;

/// API group of DPF's services.
pub const GROUP: &str = "svc.dpu.nvidia.com";
/// Label with the identifier of a service, on its pods.
pub const SERVICE_LABEL: &str = "svc.dpu.nvidia.com/service";
/// Label of pods whose service needs flows of its own, and its value where the service keeps the time (DPF's `firefly`).
pub const CUSTOM_FLOWS_LABEL: &str = "svc.dpu.nvidia.com/custom-flows";
/// See [`CUSTOM_FLOWS_LABEL`].
pub const CUSTOM_FLOWS_OF_TIME: &str = "firefly";
/// The bridge an `ovn` interface leads to unless it names one.
const OVN_BRIDGE: &str = "br-ovn";
/// The controller number of the host of a card that has one.
const FIRST_HOST: u8 = 1;
/// Most members of a list that are read: a card has tens of interfaces, and 46 VFs a port.
const MOST: usize = 4096;

/// Namespace and name.
#[derive(Clone, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Key {
    /// `metadata.namespace`.
    pub namespace: String,
    /// `metadata.name`.
    pub name: String,
}

impl Key {
    /// Of these two.
    #[must_use]
    pub fn new(namespace: &str, name: &str) -> Self {
        Self { namespace: namespace.to_owned(), name: name.to_owned() }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// What every object has.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Meta {
    /// Namespace and name.
    pub key: Key,
    /// `metadata.uid`; empty for objects out of a folder.
    pub uid: String,
    /// `metadata.generation`, which status answers to.
    pub generation: i64,
    /// `metadata.creationTimestamp`, RFC 3339; of two that claim the same, the older one has it.
    pub created: String,
    /// `metadata.labels`.
    pub labels: BTreeMap<String, String>,
    /// Whether it is being deleted.
    pub deleting: bool,
    /// `metadata.finalizers`: what has to be done before it is gone.
    pub finalizers: BTreeSet<String>,
}

/// A `ServiceInterface`, or an entry of a `NodeServiceInterfaces`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Interface {
    /// Name, labels, generation. An entry of a `NodeServiceInterfaces` has its own name and labels.
    pub meta: Meta,
    /// The namespace of the chains that may use it, and of the pods of its service.
    pub scope: String,
    /// What the switch knows it by (`dpf-id`): `<namespace>/<name>`, or the name of the entry.
    pub id: String,
    /// Whether it is an entry of a `NodeServiceInterfaces`: chains take it before a `ServiceInterface`.
    pub entry: bool,
    /// Name of the object that it was read from; that of an entry is the `NodeServiceInterfaces`.
    pub object: String,
    /// The node it is for.
    pub node: Option<String>,
    /// What it is, by the last spec that could be read; why none could.
    pub kind: Result<InterfaceKind, Invalid>,
    /// Why the newest spec cannot be read, where an older one is in force.
    pub fault: Option<Invalid>,
    /// Belongs to another controller: that of virtual networks.
    pub virtual_network: bool,
}

/// `spec.interfaceType` with what belongs to it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum InterfaceKind {
    /// A port of the card, by the name it has in the system.
    Physical {
        /// `physical.interfaceName`.
        name: String,
    },
    /// The host's physical function.
    Pf {
        /// Number of the port of the card.
        pf: u8,
        /// Which card, where that is said; else the one whose ports have the names of a card that is alone.
        nic: Option<Nic>,
    },
    /// A virtual function of the host.
    Vf {
        /// Number of the port of the card.
        pf: u8,
        /// Number of the function.
        vf: u16,
        /// As of `Pf`.
        nic: Option<Nic>,
    },
    /// A VLAN of another interface.
    Vlan {
        /// Name of a `ServiceInterface` of the same namespace.
        parent: String,
        /// 1 to 4094.
        id: u16,
    },
    /// A patch to the bridge of OVN-Kubernetes.
    Ovn {
        /// The bridge at the other end.
        bridge: String,
        /// Whether the bridge was named: names of ports follow from that, as in the releases that have the field.
        named: bool,
    },
    /// The interface of a service's pod; its port is made by the CNI.
    Service {
        /// `service.serviceID`.
        id: String,
        /// `service.interfaceName`, its name in the pod.
        interface: String,
    },
    /// A patch to another bridge.
    Patch {
        /// The bridge at the other end.
        bridge: String,
        /// Name of the port there, if it is given.
        peer: Option<String>,
        /// `external_ids` of the interface there.
        external_ids: BTreeMap<String, String>,
    },
}

/// `nicSelector` (v26.8), as far as it says more than `type: dpu`: the port is found by what the system says of its devices.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Nic {
    /// `controllerNumber`: 0 is the card's own, others are hosts.
    pub controller: u8,
    /// `pci.address` of any port of the card; without it, a DPU.
    pub pci: Option<String>,
}

/// A `ServiceChain`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Chain {
    /// Name, labels, generation.
    pub meta: Meta,
    /// The node it is for.
    pub node: Option<String>,
    /// Its switches, by the last spec that could be read; why none could.
    pub switches: Result<Vec<Switch>, Invalid>,
    /// Why the newest spec cannot be read, where an older one is in force.
    pub fault: Option<Invalid>,
}

/// A switch of a chain.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Switch {
    /// Labels of the one interface that each port is.
    pub ports: Vec<BTreeMap<String, String>>,
    /// `serviceMTU`.
    pub mtu: Option<u16>,
}

/// A pod of the node.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Pod {
    /// Name and labels.
    pub meta: Meta,
    /// `spec.nodeName`.
    pub node: Option<String>,
    /// Has ended, well or not: its interfaces are gone.
    pub ended: bool,
    /// Its condition `Ready`.
    pub ready: bool,
}

/// What is wrong with an object: the path below it, and why.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Invalid {
    /// `spec.vlan.vlanID`.
    pub path: String,
    /// For people.
    pub reason: String,
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.reason)
    }
}

impl Meta {
    /// Of an object; an object without a name is none.
    #[must_use]
    pub fn of(object: &Value) -> Option<Self> {
        let meta = object.get("metadata")?;
        let text = |name: &str| meta.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let name = text("name");
        if name.is_empty() {
            return None;
        }
        let finalizers = meta.get("finalizers").and_then(Value::as_array).into_iter().flatten();
        Some(Self {
            finalizers: finalizers.filter_map(Value::as_str).map(str::to_owned).collect(),
            key: Key { namespace: text("namespace"), name },
            uid: text("uid"),
            generation: meta.get("generation").and_then(Value::as_i64).unwrap_or_default(),
            created: text("creationTimestamp"),
            labels: texts(meta.get("labels")),
            deleting: meta.get("deletionTimestamp").is_some_and(Value::is_string),
        })
    }
}

impl Interface {
    /// Of a `ServiceInterface`.
    #[must_use]
    pub fn of(object: &Value) -> Option<Self> {
        let meta = Meta::of(object)?;
        let spec = Fields { at: object.get("spec").unwrap_or(&Value::Null), path: "spec".to_owned() };
        let (scope, id) = (meta.key.namespace.clone(), meta.key.to_string());
        Some(Self {
            object: meta.key.name.clone(),
            meta,
            scope,
            id,
            entry: false,
            node: node(object),
            kind: interface_kind(&spec),
            fault: None,
            virtual_network: virtual_network(&spec),
        })
    }

    /// The same interface as it is now, after `before`: a spec that cannot be read leaves the one before it in force.
    #[must_use]
    pub fn after(mut self, before: &Self) -> Self {
        if before.meta.uid == self.meta.uid {
            (self.kind, self.fault) = in_force(self.kind, &before.kind);
        }
        self
    }

    /// Of the entries of a `NodeServiceInterfaces`, whose names are `<namespace>_<name>`.
    #[must_use]
    pub fn of_node(object: &Value) -> Vec<Self> {
        let Some(owner) = Meta::of(object) else { return Vec::new() };
        let entries = object.pointer("/spec/interfaces").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let entry = |(index, entry): (usize, &Value)| {
            let name = entry.get("name").and_then(Value::as_str)?;
            let meta = Meta {
                key: Key::new(&owner.key.namespace, name),
                labels: texts(entry.get("labels")),
                deleting: owner.deleting || entry.get("terminating").and_then(Value::as_bool).unwrap_or_default(),
                ..owner.clone()
            };
            let spec = Fields { at: entry, path: format!("spec.interfaces[{index}]") };
            Some(Self {
                object: owner.key.name.clone(),
                meta,
                scope: name.split_once('_').map_or(&*owner.key.namespace, |(namespace, _)| namespace).to_owned(),
                id: name.to_owned(),
                entry: true,
                node: node(object),
                kind: interface_kind(&spec),
                fault: None,
                virtual_network: virtual_network(&spec),
            })
        };
        entries.iter().take(MOST).enumerate().filter_map(entry).collect()
    }
}

/// What is in force, and what is wrong with what should be.
fn in_force<T: Clone>(now: Result<T, Invalid>, before: &Result<T, Invalid>) -> (Result<T, Invalid>, Option<Invalid>) {
    match (now, before) {
        (Err(fault), Ok(before)) => (Ok(before.clone()), Some(fault)),
        (now, _) => (now, None),
    }
}

fn virtual_network(spec: &Fields<'_>) -> bool {
    ["pf", "vf", "service"].iter().any(|block| {
        let network = spec.at.get(block).and_then(|block| block.get("virtualNetwork"));
        network.and_then(Value::as_str).is_some_and(|name| !name.is_empty())
    })
}

/// How each type is read; the names are those of `spec.interfaceType`.
type Reader = fn(&Fields<'_>) -> Result<InterfaceKind, Invalid>;
const TYPES: [(&str, Reader); 7] = [
    ("physical", physical),
    ("pf", pf),
    ("vf", vf),
    ("vlan", vlan),
    ("ovn", ovn),
    ("service", service),
    ("patch", patch),
];

fn interface_kind(spec: &Fields<'_>) -> Result<InterfaceKind, Invalid> {
    let name = spec.text("interfaceType")?;
    match TYPES.iter().find(|(known, _)| *known == name) {
        Some((_, read)) => read(spec),
        None => {
            let known = TYPES.map(|(name, _)| name).join(", ");
            Err(spec.invalid("interfaceType", format!("`{name}` is none of {known}")))
        }
    }
}

fn physical(spec: &Fields<'_>) -> Result<InterfaceKind, Invalid> {
    Ok(InterfaceKind::Physical { name: spec.block("physical")?.device("interfaceName")? })
}

fn pf(spec: &Fields<'_>) -> Result<InterfaceKind, Invalid> {
    let pf = spec.block("pf")?;
    Ok(InterfaceKind::Pf { pf: pf.number("pfID", 0, 255)?, nic: pf.nic()? })
}

fn vf(spec: &Fields<'_>) -> Result<InterfaceKind, Invalid> {
    let vf = spec.block("vf")?;
    Ok(InterfaceKind::Vf { pf: vf.number("pfID", 0, 255)?, vf: vf.number("vfID", 0, 4095)?, nic: vf.nic()? })
}

fn vlan(spec: &Fields<'_>) -> Result<InterfaceKind, Invalid> {
    let vlan = spec.block("vlan")?;
    Ok(InterfaceKind::Vlan { parent: vlan.text("parentInterfaceRef")?, id: vlan.number("vlanID", 1, 4094)? })
}

fn ovn(spec: &Fields<'_>) -> Result<InterfaceKind, Invalid> {
    let named = spec.at.get("ovn").and_then(|ovn| ovn.get("externalBridge")).is_some_and(Value::is_string);
    let bridge = if named { spec.block("ovn")?.device("externalBridge")? } else { OVN_BRIDGE.to_owned() };
    Ok(InterfaceKind::Ovn { bridge, named })
}

fn service(spec: &Fields<'_>) -> Result<InterfaceKind, Invalid> {
    let service = spec.block("service")?;
    Ok(InterfaceKind::Service { id: service.text("serviceID")?, interface: service.text("interfaceName")? })
}

fn patch(spec: &Fields<'_>) -> Result<InterfaceKind, Invalid> {
    let patch = spec.block("patch")?;
    let peer = match patch.at.get("peerPatchName").and_then(Value::as_str).is_some_and(|name| !name.is_empty()) {
        true => Some(patch.text("peerPatchName")?),
        false => None,
    };
    let external_ids = texts(patch.at.get("peerExternalIDs"));
    // The keys that say whose a row is.
    if let Some(taken) = ["dpf-id", super::desired::OWNER].into_iter().find(|key| external_ids.contains_key(*key)) {
        return Err(patch.invalid("peerExternalIDs", format!("`{taken}` is not yours to set")));
    }
    Ok(InterfaceKind::Patch { bridge: patch.device("peerBridge")?, peer, external_ids })
}

impl Chain {
    /// Of a `ServiceChain`.
    #[must_use]
    pub fn of(object: &Value) -> Option<Self> {
        let spec = Fields { at: object.get("spec").unwrap_or(&Value::Null), path: "spec".to_owned() };
        let switches = spec.list("switches").and_then(switches);
        Some(Self { meta: Meta::of(object)?, node: node(object), switches, fault: None })
    }

    /// The same chain as it is now, after `before`: a spec that cannot be read leaves the one before it in force.
    #[must_use]
    pub fn after(mut self, before: &Self) -> Self {
        if before.meta.uid == self.meta.uid {
            (self.switches, self.fault) = in_force(self.switches, &before.switches);
        }
        self
    }
}

fn switches(list: Vec<Fields<'_>>) -> Result<Vec<Switch>, Invalid> {
    let read = |switch: Fields<'_>| {
        let ports = switch.list("ports")?.into_iter().map(|port| {
            let interface = port.block("serviceInterface")?;
            let labels = texts(interface.at.get("matchLabels"));
            match labels.is_empty() {
                true => Err(interface.invalid("matchLabels", "is missing: it says which interface the port is".into())),
                false => Ok(labels),
            }
        });
        let mtu = switch.at.get("serviceMTU").map(|_| switch.number("serviceMTU", 1280, 9216)).transpose()?;
        Ok(Switch { ports: ports.collect::<Result<_, _>>()?, mtu })
    };
    list.into_iter().map(read).collect()
}

impl Pod {
    /// Of a `Pod`.
    #[must_use]
    pub fn of(object: &Value) -> Option<Self> {
        let meta = Meta::of(object)?;
        let phase = object.pointer("/status/phase").and_then(Value::as_str).unwrap_or_default();
        let conditions = object.pointer("/status/conditions").and_then(Value::as_array);
        let ready = |condition: &Value| {
            let is = |name: &str, value: &str| condition.get(name).and_then(Value::as_str) == Some(value);
            is("type", "Ready") && is("status", "True")
        };
        Some(Self {
            meta,
            node: object.pointer("/spec/nodeName").and_then(Value::as_str).map(str::to_owned),
            ended: matches!(phase, "Succeeded" | "Failed"),
            ready: conditions.is_some_and(|list| list.iter().any(ready)),
        })
    }
}

fn node(object: &Value) -> Option<String> {
    object.pointer("/spec/node").and_then(Value::as_str).filter(|name| !name.is_empty()).map(str::to_owned)
}

/// The texts of a map; what is no text is not there.
fn texts(map: Option<&Value>) -> BTreeMap<String, String> {
    let entries = map.and_then(Value::as_object).into_iter().flatten();
    entries.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}

/// A map, and where it lies in its object.
struct Fields<'v> {
    at: &'v Value,
    path: String,
}

impl<'v> Fields<'v> {
    fn invalid(&self, name: &str, reason: String) -> Invalid {
        Invalid { path: format!("{}.{name}", self.path), reason }
    }

    fn block(&self, name: &str) -> Result<Fields<'v>, Invalid> {
        match self.at.get(name) {
            Some(at) if at.is_object() => Ok(Fields { at, path: format!("{}.{name}", self.path) }),
            _ => Err(self.invalid(name, "is missing".to_owned())),
        }
    }

    fn list(&self, name: &str) -> Result<Vec<Fields<'v>>, Invalid> {
        let Some(list) = self.at.get(name).and_then(Value::as_array) else {
            return Err(self.invalid(name, "is missing".to_owned()));
        };
        if list.len() > MOST {
            return Err(self.invalid(name, format!("has {} members, more than {MOST}", list.len())));
        }
        let item = |(index, at)| Fields { at, path: format!("{}.{name}[{index}]", self.path) };
        Ok(list.iter().enumerate().map(item).collect())
    }

    fn text(&self, name: &str) -> Result<String, Invalid> {
        match self.at.get(name).and_then(Value::as_str) {
            Some(text) if !text.is_empty() => Ok(text.to_owned()),
            _ => Err(self.invalid(name, "is missing".to_owned())),
        }
    }

    /// A name that the switch takes for a port or a bridge.
    fn device(&self, name: &str) -> Result<String, Invalid> {
        let text = self.text(name)?;
        let odd = |c: char| c == '/' || c.is_whitespace() || c.is_control();
        match text.len() > 63 || text.contains(odd) {
            true => Err(self.invalid(name, format!("`{}` is no name of a port", text.escape_debug()))),
            false => Ok(text),
        }
    }

    fn number<N: TryFrom<i64>>(&self, name: &str, least: i64, most: i64) -> Result<N, Invalid> {
        let number = self.at.get(name).and_then(Value::as_i64).filter(|number| (least..=most).contains(number));
        number
            .and_then(|number| N::try_from(number).ok())
            .ok_or_else(|| self.invalid(name, format!("must be a number from {least} to {most}")))
    }

    fn nic(&self) -> Result<Option<Nic>, Invalid> {
        if self.at.get("nicSelector").is_none_or(Value::is_null) {
            return Ok(None);
        }
        let nic = self.block("nicSelector")?;
        let pci = match &*nic.text("type")? {
            "dpu" => None,
            "pci" => Some(nic.block("pci")?.pci_address("address")?),
            other => return Err(nic.invalid("type", format!("`{other}` is none of dpu, pci"))),
        };
        let named = nic.at.get("controllerNumber").is_some_and(|number| !number.is_null());
        let controller = if named { nic.number("controllerNumber", 0, 255)? } else { FIRST_HOST };
        // The ports of the one card of a DPU and its one host have the names that they have without a selector.
        let says_more = pci.is_some() || controller != FIRST_HOST;
        Ok(says_more.then_some(Nic { controller, pci }))
    }

    /// `0000:03:00.0`.
    fn pci_address(&self, name: &str) -> Result<String, Invalid> {
        let text = self.text(name)?;
        let is_hex = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
        let lengths: Vec<usize> = text.split([':', '.']).map(str::len).collect();
        let separators: String = text.chars().filter(|c| matches!(c, ':' | '.')).collect();
        let fits = lengths == [4, 2, 2, 1] && separators == "::." && text.split([':', '.']).all(is_hex);
        match fits {
            true => Ok(text),
            false => Err(self.invalid(name, format!("`{}` is no address like 0000:03:00.0", text.escape_debug()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn interface(spec: &Value) -> Result<InterfaceKind, String> {
        let object = json!({"metadata": {"namespace": "ns", "name": "i"}, "spec": spec});
        Interface::of(&object).unwrap().kind.map_err(|invalid| invalid.to_string())
    }

    #[test]
    fn every_type_is_read() {
        let bridge = || "br-ovn".to_owned();
        for (spec, kind) in [
            (
                json!({"interfaceType": "physical", "physical": {"interfaceName": "p0"}}),
                InterfaceKind::Physical { name: "p0".into() },
            ),
            (json!({"interfaceType": "pf", "pf": {"pfID": 1}}), InterfaceKind::Pf { pf: 1, nic: None }),
            (
                json!({"interfaceType": "pf", "pf": {"pfID": 1, "nicSelector": {"type": "dpu", "controllerNumber": 2}}}),
                InterfaceKind::Pf { pf: 1, nic: Some(Nic { controller: 2, pci: None }) },
            ),
            (
                json!({"interfaceType": "pf", "pf": {"pfID": 1, "nicSelector": {"type": "pci", "pci": {"address": "0000:03:00.1"}}}}),
                InterfaceKind::Pf { pf: 1, nic: Some(Nic { controller: 1, pci: Some("0000:03:00.1".into()) }) },
            ),
            (
                json!({"interfaceType": "vf", "vf": {"pfID": 0, "vfID": 3, "parentInterfaceRef": "x"}}),
                InterfaceKind::Vf { pf: 0, vf: 3, nic: None },
            ),
            (
                json!({"interfaceType": "vlan", "vlan": {"vlanID": 100, "parentInterfaceRef": "p0-w"}}),
                InterfaceKind::Vlan { parent: "p0-w".into(), id: 100 },
            ),
            (json!({"interfaceType": "ovn"}), InterfaceKind::Ovn { bridge: bridge(), named: false }),
            (
                json!({"interfaceType": "ovn", "ovn": {"externalBridge": "br-ovn"}}),
                InterfaceKind::Ovn { bridge: bridge(), named: true },
            ),
            (
                json!({"interfaceType": "service", "service": {"serviceID": "s", "network": "mybrsfc", "interfaceName": "app_sf"}}),
                InterfaceKind::Service { id: "s".into(), interface: "app_sf".into() },
            ),
            (
                json!({"interfaceType": "patch", "patch": {"peerBridge": "br-x", "peerExternalIDs": {"a": "b"}}}),
                InterfaceKind::Patch {
                    bridge: "br-x".into(),
                    peer: None,
                    external_ids: [("a".into(), "b".into())].into(),
                },
            ),
        ] {
            assert_eq!(interface(&spec), Ok(kind), "{spec}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        for (spec, said) in [
            (json!({}), "spec.interfaceType: is missing"),
            (
                json!({"interfaceType": "tunnel"}),
                "spec.interfaceType: `tunnel` is none of physical, pf, vf, vlan, ovn, service, patch",
            ),
            (json!({"interfaceType": "pf"}), "spec.pf: is missing"),
            (json!({"interfaceType": "pf", "pf": {"pfID": "0"}}), "spec.pf.pfID: must be a number from 0 to 255"),
            (
                json!({"interfaceType": "vlan", "vlan": {"vlanID": 4095, "parentInterfaceRef": "p"}}),
                "spec.vlan.vlanID: must be a number from 1 to 4094",
            ),
            (
                json!({"interfaceType": "physical", "physical": {"interfaceName": "p0 \n"}}),
                "spec.physical.interfaceName: `p0 \\n` is no name of a port",
            ),
            (
                json!({"interfaceType": "patch", "patch": {"peerBridge": "b", "peerExternalIDs": {"dpf-id": "x"}}}),
                "spec.patch.peerExternalIDs: `dpf-id` is not yours to set",
            ),
            (
                json!({"interfaceType": "vf", "vf": {"pfID": 0, "vfID": 1, "nicSelector": {"type": "pci"}}}),
                "spec.vf.nicSelector.pci: is missing",
            ),
            (
                json!({"interfaceType": "vf", "vf": {"pfID": 0, "vfID": 1, "nicSelector": {"type": "nic"}}}),
                "spec.vf.nicSelector.type: `nic` is none of dpu, pci",
            ),
            (
                json!({"interfaceType": "pf", "pf": {"pfID": 0, "nicSelector": {"type": "pci", "pci": {"address": "03:00.0"}}}}),
                "spec.pf.nicSelector.pci.address: `03:00.0` is no address like 0000:03:00.0",
            ),
        ] {
            assert_eq!(interface(&spec), Err(said.to_owned()), "{spec}");
        }
    }

    #[test]
    fn a_chain_is_read_or_says_why_not() {
        let chain = |spec: &Value| Chain::of(&json!({"metadata": {"name": "c"}, "spec": spec})).unwrap().switches;
        let port = json!({"serviceInterface": {"matchLabels": {"uplink": "p0"}}});
        let read = chain(&json!({"switches": [{"ports": [port], "serviceMTU": 9000}]})).unwrap();
        assert_eq!(read, [Switch { ports: vec![[("uplink".to_owned(), "p0".to_owned())].into()], mtu: Some(9000) }]);
        let said = chain(&json!({"switches": [{"ports": [port, {"serviceInterface": {}}]}]})).unwrap_err().to_string();
        assert_eq!(
            said,
            "spec.switches[0].ports[1].serviceInterface.matchLabels: is missing: it says which interface the port is"
        );
        assert_eq!(chain(&json!({})).unwrap_err().to_string(), "spec.switches: is missing");
    }

    #[test]
    fn entries_of_a_node_are_interfaces() {
        let object = json!({"metadata": {"namespace": "ns", "name": "w"}, "spec": {"node": "w", "interfaces": [
            {"name": "ns_p0", "interfaceType": "physical", "physical": {"interfaceName": "p0"}, "labels": {"uplink": "p0"}},
            {"name": "ns_x", "interfaceType": "pf", "pf": {"pfID": 0}, "terminating": true},
        ]}});
        let found = Interface::of_node(&object);
        assert_eq!(found[0].meta.key.to_string(), "ns/ns_p0");
        assert_eq!(found[0].meta.labels["uplink"], "p0");
        assert_eq!((found[0].meta.deleting, found[1].meta.deleting), (false, true));
    }
}
