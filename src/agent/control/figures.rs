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

impl Control {
    /// What is known at the moment.
    #[must_use]
    pub fn figures(&self) -> Figures {
        let (reached, (interfaces, chains)) =
            self.with_facts(&[], |facts| (facts.observed.is_ok(), status::entries(facts)));
        let judged = interfaces.iter().filter(|entry| !status::is_of_other(&entry.conditions));
        Figures {
            interfaces: judged
                .map(|entry| (key(&entry.namespace, &entry.name), self.interface(entry, reached)))
                .collect(),
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

    fn interface(&self, entry: &InterfaceEntry, reached: bool) -> Interface {
        let known = entry.details.port.as_ref();
        let id = |key: &Key| key.namespace == entry.namespace && key.name == entry.name;
        let placed = self.desired.interfaces.iter().find(|placed| id(&placed.interface.meta.key));
        // The port that will be its port, where it has none yet.
        let meant = placed.and_then(|placed| {
            let own = self.desired.ports.iter().filter(|(_, port)| port.owner == placed.interface.id);
            own.max_by_key(|(_, port)| port.bridge == self.settings.bridge)
        });
        let found = placed.and_then(|placed| self.plan.interfaces.get(&placed.interface.id)?.as_ref().ok());
        let whole = found.filter(|found| found.member.vlan.is_none() && self.bridge == Bridge::Open);
        let port = known.map(|port| port.name.clone()).or(meant.map(|(name, _)| name.clone()));
        let bridge = known.and_then(|port| port.bridge.clone()).or(meant.map(|(_, port)| port.bridge.clone()));
        Interface {
            port: port.unwrap_or_default(),
            bridge: bridge.unwrap_or_default(),
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
            let key = key(&entry.namespace, &entry.name);
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

fn key(namespace: &str, name: &str) -> Key {
    Key::new(namespace, name)
}

/// What a condition says; nothing where there is none.
fn of(all: &[Condition], kind: &str) -> Truth {
    conditions::get(all, kind).map_or(Truth::Unknown, |condition| condition.status)
}
