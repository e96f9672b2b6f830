//! What has to be held until the switch is rid of it, and what can be let go. PURE.
//!
//! In: the objects, the switch. Out: [`Step`]s, which `writer::cluster` takes. The finalizers are DPF's: an object that its
//! controller left behind can go, and either program can take over from the other.
//!
//! An interface whose port is ours gets its finalizer before the port is made. It is let go once no port carries its mark.

use std::fmt;

use crate::agent::api::{Interface, InterfaceKind, Key, Meta};
use crate::agent::desired::Snapshot;
use crate::agent::hash;
use crate::agent::observed::Observed;
use crate::agent::plan;
use crate::agent::sources::store::{KINDS, Kind};

/// DPF's finalizer of interfaces (`api/svc/v1alpha1`, v24.10).
pub const INTERFACE: &str = "svc.dpu.nvidia.com/ServiceInterface-finalizer";
/// DPF's finalizer of chains, of its later releases. Never set here: flows that are marked are found without their chain.
pub const CHAIN: &str = "svc.dpu.nvidia.com/ServiceChain-finalizer";

/// One thing to do.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Step {
    /// Set the finalizer, before the port is made.
    Hold(Key),
    /// Take the finalizer away: nothing is left on the switch.
    LetGo(Kind, Key),
    /// Say that the port of an entry that goes is gone.
    Release(Key),
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hold(key) => write!(f, "finalizer of ServiceInterface {key}"),
            Self::LetGo(kind, key) => write!(f, "finalizer of {} {key}", name_of(*kind)),
            Self::Release(key) => write!(f, "release of {key}"),
        }
    }
}

fn name_of(kind: Kind) -> &'static str {
    KINDS.iter().find(|name| name.kind == kind).map_or("", |name| name.name)
}

/// What is due. `kept` are identifiers of interfaces whose uplinks stay on purpose, and hold nobody up.
#[must_use]
pub fn due(snapshot: &Snapshot, observed: &Observed, bridge: &str, kept: &dyn Fn(&str) -> bool) -> Vec<Step> {
    let mut steps = Vec::new();
    for one in &snapshot.interfaces {
        let in_cluster = !one.meta.uid.is_empty();
        let gone = || !has_port(&one.id, observed) || kept(&one.id);
        let held = one.meta.finalizers.contains(INTERFACE);
        match (one.entry, one.meta.deleting) {
            (true, true) if gone() => steps.push(Step::Release(one.meta.key.clone())),
            (false, true) if held && !one.virtual_network && gone() => {
                steps.push(Step::LetGo(Kind::Interface, one.meta.key.clone()));
            }
            (false, false) if in_cluster && !held && makes_port(one) => steps.push(Step::Hold(one.meta.key.clone())),
            _ => {}
        }
    }
    let going = |meta: &&Meta| meta.deleting && meta.finalizers.contains(CHAIN);
    for meta in snapshot.chains.iter().map(|chain| &chain.meta).filter(going) {
        if !has_flows(&meta.key, observed, bridge) {
            steps.push(Step::LetGo(Kind::Chain, meta.key.clone()));
        }
    }
    steps
}

/// Whether the agent makes ports for it.
fn makes_port(one: &Interface) -> bool {
    let port = |kind: &InterfaceKind| !matches!(kind, InterfaceKind::Service { .. } | InterfaceKind::Vlan { .. });
    !one.virtual_network && one.kind.as_ref().is_ok_and(port)
}

fn has_port(id: &str, observed: &Observed) -> bool {
    observed.ports.keys().any(|port| plan::owner(observed, port).is_some_and(|owner| owner == id))
}

/// Whether flows of the chain are there; a bridge that could not be asked may have them.
fn has_flows(chain: &Key, observed: &Observed, bridge: &str) -> bool {
    let cookies = [hash::cookie(chain), hash::dpf_cookie(chain)];
    match observed.flows.get(bridge) {
        Some(Some(flows)) => flows.iter().any(|flow| cookies.contains(&flow.cookie)),
        Some(None) => true,
        None => observed.bridges.contains_key(bridge),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::{Value, json};

    use super::*;
    use crate::agent::api::Chain;
    use crate::agent::desired::OWNER;
    use crate::agent::flow::Flow;
    use crate::agent::observed::{Bridge, Port};

    fn interface(metadata: Value, spec: Value) -> Interface {
        Interface::of(&json!({"metadata": metadata, "spec": spec})).unwrap()
    }

    fn physical() -> Value {
        json!({"node": "w", "interfaceType": "physical", "physical": {"interfaceName": "p0"}})
    }

    fn with_port(owner: &str) -> Observed {
        let port = Port { external_ids: [(OWNER.to_owned(), owner.to_owned())].into(), ..Port::default() };
        Observed { ports: [("p0".to_owned(), port)].into(), ..Observed::default() }
    }

    fn steps(one: Interface, observed: &Observed) -> Vec<Step> {
        due(&Snapshot { interfaces: vec![one], ..Snapshot::default() }, observed, "br-sfc", &|_| false)
    }

    #[test]
    fn a_port_of_ours_is_held_from_before_it_is_made_until_it_is_gone() {
        let name = |more: Value| {
            let mut metadata = json!({"namespace": "ns", "name": "a", "uid": "u"});
            metadata.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            metadata
        };
        let key = Key::new("ns", "a");
        let nothing = Observed::default();
        assert_eq!(steps(interface(name(json!({})), physical()), &nothing), [Step::Hold(key.clone())]);
        let held = json!({"finalizers": [INTERFACE]});
        assert_eq!(steps(interface(name(held), physical()), &nothing), []);
        let going = name(json!({"finalizers": [INTERFACE, "x"], "deletionTimestamp": "2026-01-01T00:00:00Z"}));
        assert_eq!(steps(interface(going.clone(), physical()), &with_port("ns/a")), []);
        let let_go = [Step::LetGo(Kind::Interface, key)];
        assert_eq!(steps(interface(going.clone(), physical()), &with_port("ns/b")), let_go);
        // An uplink that stays on purpose holds nobody up.
        let snapshot = Snapshot { interfaces: vec![interface(going, physical())], ..Snapshot::default() };
        assert_eq!(due(&snapshot, &with_port("ns/a"), "br-sfc", &|id| id == "ns/a"), let_go);
    }

    #[test]
    fn what_has_no_port_of_ours_is_never_held() {
        let service = json!({"node": "w", "interfaceType": "service", "service": {"serviceID": "s", "network": "n", "interfaceName": "i"}});
        let network = json!({"node": "w", "interfaceType": "pf", "pf": {"pfID": 0, "virtualNetwork": "v"}});
        for spec in [service, network, json!({"node": "w"})] {
            let metadata = json!({"namespace": "ns", "name": "a", "uid": "u"});
            assert_eq!(steps(interface(metadata, spec), &Observed::default()), []);
        }
        // Out of a folder.
        assert_eq!(steps(interface(json!({"name": "a"}), physical()), &Observed::default()), []);
    }

    #[test]
    fn an_entry_is_released_when_its_port_is_gone() {
        let entries = Interface::of_node(&json!({
            "metadata": {"namespace": "c", "name": "w-sfc", "uid": "u"},
            "spec": {"node": "w", "interfaces": [{"name": "ns_p0", "terminating": true, "interfaceType": "physical", "physical": {"interfaceName": "p0"}}]},
        }));
        assert_eq!(steps(entries[0].clone(), &with_port("ns_p0")), []);
        assert_eq!(steps(entries[0].clone(), &Observed::default()), [Step::Release(Key::new("c", "ns_p0"))]);
    }

    #[test]
    fn a_chain_that_dpf_held_goes_when_its_flows_are_gone() {
        let chain = Chain::of(&json!({
            "metadata": {"namespace": "ns", "name": "c", "deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": [CHAIN]},
        }));
        let snapshot = Snapshot { chains: vec![chain.unwrap()], ..Snapshot::default() };
        let key = Key::new("ns", "c");
        let observed = |flows: Option<Vec<Flow>>| Observed {
            bridges: [("br-sfc".to_owned(), Bridge::default())].into(),
            flows: BTreeMap::from([("br-sfc".to_owned(), flows)]),
            ..Observed::default()
        };
        let due = |observed: &Observed| due(&snapshot, observed, "br-sfc", &|_| false);
        let flow = |cookie| Flow { cookie, ..Flow::default() };
        assert_eq!(due(&observed(Some(vec![flow(hash::cookie(&key))]))), []);
        assert_eq!(due(&observed(None)), [], "nobody knows");
        assert_eq!(due(&observed(Some(vec![flow(7)]))), [Step::LetGo(Kind::Chain, key)]);
    }
}
