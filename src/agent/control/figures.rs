//! How things are, for monitoring. PURE.
//!
//! In: the state of [`Control`]. Out: [`Figures`], which say the same as the status.

use std::collections::BTreeMap;

use super::{Bridge, Control};
use crate::agent::api::Key;
use crate::agent::crd::details::{Condition, Truth};
use crate::agent::crd::node::{ChainEntry, InterfaceEntry};
use crate::agent::metrics::{Chain, Figures, Interface};
use crate::agent::ovsdb::session::Lock;
use crate::agent::status::{self, READY, conditions, interfaces::PORT_UP};

/// Name and bridge of a port, by the interface it is for.
type Meant<'m> = BTreeMap<&'m str, (&'m str, &'m str)>;

impl Control {
    /// What is known at the moment.
    #[must_use]
    pub fn figures(&self) -> Figures {
        let (reached, (interfaces, chains)) =
            self.with_facts(&[], |facts| (facts.observed.is_ok(), status::entries(facts)));
        Figures {
            interfaces: self.interface_figures(&interfaces, reached),
            chains: self.chain_figures(&chains),
            wanted: self.plan.wanted.clone(),
            database: self.database.connected,
            bridge: self.bridge == Bridge::Open,
            lock: self.database.connected && self.database.lock == Lock::Held,
            synced: self.given.complete,
            problems: self.given.problems.len(),
            conflicts: self.conflicts().len(),
            tallies: self.tallies.clone(),
        }
    }

    fn interface_figures(&self, entries: &[InterfaceEntry], reached: bool) -> BTreeMap<Key, Interface> {
        let ids: BTreeMap<&Key, &str> =
            self.desired.interfaces.iter().map(|one| (&one.interface.meta.key, &*one.interface.id)).collect();
        // The port that will be its port, where it has none yet; of a patch the end on our bridge.
        let ports = self.desired.ports.iter().map(|(name, port)| (&*port.owner, (&**name, &*port.bridge)));
        let (ours, others): (Vec<_>, Vec<_>) = ports.partition(|(_, (_, bridge))| *bridge == self.settings.bridge);
        let meant: Meant<'_> = others.into_iter().chain(ours).collect();
        let judged = entries.iter().filter(|entry| !status::is_of_other(&entry.conditions));
        let figures = |entry: &InterfaceEntry| {
            let key = Key::new(&entry.namespace, &entry.name);
            let id = ids.get(&key).copied().unwrap_or_default();
            let interface = self.interface(entry, id, &meant, reached);
            (key, interface)
        };
        judged.map(figures).collect()
    }

    fn interface(&self, entry: &InterfaceEntry, id: &str, meant: &Meant<'_>, reached: bool) -> Interface {
        let known = entry.details.port.as_ref();
        let meant = meant.get(id);
        let found = self.plan.interfaces.get(id).and_then(|found| found.as_ref().ok());
        let whole = found.filter(|found| found.member.vlan.is_none() && self.bridge == Bridge::Open);
        let port = known.map(|port| &*port.name).or(meant.map(|(name, _)| *name));
        let bridge = known.and_then(|port| port.bridge.as_deref()).or(meant.map(|(_, bridge)| *bridge));
        Interface {
            port: port.unwrap_or_default().to_owned(),
            bridge: bridge.unwrap_or_default().to_owned(),
            ofport: whole.map(|found| found.member.ofport),
            up: match of(&entry.conditions, PORT_UP) {
                // There is no port to look at: it carries nothing.
                Truth::Unknown if reached => Truth::False,
                other => other,
            },
            ready: of(&entry.conditions, READY),
        }
    }

    fn chain_figures(&self, entries: &[ChainEntry]) -> BTreeMap<Key, Chain> {
        let cookies: BTreeMap<&Key, u64> =
            self.desired.chains.iter().map(|chain| (&chain.meta.key, chain.cookie)).collect();
        let count = |number: i64| usize::try_from(number).unwrap_or_default();
        let chain = |entry: &ChainEntry| {
            let key = Key::new(&entry.namespace, &entry.name);
            let flows = entry.details.flows.as_ref();
            let chain = Chain {
                cookie: *cookies.get(&key)?,
                ready: of(&entry.conditions, READY),
                desired: flows.map_or(0, |flows| count(flows.desired)),
                installed: flows.and_then(|flows| flows.installed).map(count),
                learned: flows.and_then(|flows| flows.learned).map(count),
            };
            Some((key, chain))
        };
        entries.iter().filter_map(chain).collect()
    }
}

/// What a condition says; nothing where there is none.
fn of(all: &[Condition], kind: &str) -> Truth {
    conditions::get(all, kind).map_or(Truth::Unknown, |condition| condition.status)
}
