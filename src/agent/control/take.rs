//! What becomes of the state by what happened. PURE.
//!
//! In: one [`super::Input`]. Out: the state after it, and what people are told.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Bridge, Control, Database, Effect, Read, Refusal, cookie_of, port_of};
use crate::agent::desired::{self, Problem};
use crate::agent::flow::Flow;
use crate::agent::observed::{Numbers, Observed};
use crate::agent::openflow::FlowEntry;
use crate::agent::ovsdb::session::Lock;
use crate::agent::plan;
use crate::agent::sources::Given;

impl Control {
    pub(super) fn take_given(&mut self, now: Duration, given: Given) {
        if self.given.snapshot != given.snapshot || self.given.complete != given.complete {
            self.settled = None;
            self.forget_refusals();
        }
        let first = given.complete && !self.given.complete;
        self.given = given;
        let desired = desired::desired(&self.given.snapshot, &self.settings);
        if self.given.complete && (first || self.desired != desired) {
            self.wanted_since.get_or_insert(now);
        }
        self.desired = desired;
    }

    pub(super) fn take_database(&mut self, now: Duration, database: Database) {
        let held = database.connected && database.lock == Lock::Held;
        match (held, self.away_since) {
            // The agent before may have asked for something.
            (true, Some(_)) => {
                self.away_since = None;
                self.acts = Some((database.observed.system.next_cfg, now));
            }
            (true, None) => {}
            (false, None) => {
                self.away_since = Some(now);
                self.settled = None;
            }
            (false, Some(_)) => {}
        }
        let Database { connected, lock, error, observed } = database;
        let flows = std::mem::take(&mut self.observed.flows);
        let numbers = std::mem::take(&mut self.observed.numbers);
        if self.observed != observed {
            self.rows_changed();
        }
        self.observed = Observed { flows, numbers, ..observed };
        if !self.observed.bridges.contains_key(&self.settings.bridge) {
            self.observed.flows.clear();
            self.observed.numbers.clear();
        }
        // The rows are kept once, beside the flows.
        self.database = Database { connected, lock, error, observed: Observed::default() };
        if self.is_locked_out() {
            // The other agent's work is not timed.
            self.wanted_since = None;
        }
    }

    pub(super) fn take_ports(&mut self, numbers: Numbers) {
        let before = self.observed.numbers.insert(self.settings.bridge.clone(), numbers);
        if before.as_ref() != self.observed.numbers.get(&self.settings.bridge) {
            self.rows_changed();
        }
    }

    /// Ports are not what they were: what was refused may do now, and flows that follow are nobody's drift.
    fn rows_changed(&mut self) {
        self.forget_refusals();
        if let Some(settled) = &mut self.settled {
            settled.rows_changed = true;
        }
    }

    pub(super) fn bridge_closed(&mut self, now: Duration, error: String) {
        let since = match &self.bridge {
            Bridge::Open => now,
            Bridge::Closed { since, .. } => *since,
        };
        self.bridge = Bridge::Closed { since, error };
        self.stale = true;
        self.settled = None;
        self.observed.flows.clear();
        self.observed.numbers.clear();
    }

    pub(super) fn forget_refusals(&mut self) {
        self.refused_ports.clear();
        self.refused_flows.clear();
        self.singly = false;
    }

    pub(super) fn transacted(&mut self, now: Duration, answer: Result<(), Refusal>, effects: &mut Vec<Effect>) {
        self.busy = false;
        self.tallies.transactions.count(&answer);
        match answer {
            Ok(()) => {
                self.asked_cfg = self.observed.system.next_cfg;
                self.acts = Some((self.asked_cfg, now));
                if let Some((count, note)) = self.port_drift() {
                    self.tallies.ports_repaired += count;
                    effects.push(Effect::Tell(self.happening("DriftRepaired", note)));
                }
            }
            Err(refusal) => {
                for (part, message) in &refusal.parts {
                    if let Some(Some(port)) = self.asked_owners.get(*part) {
                        self.refused_ports.insert(port.clone(), Problem::new("Error", message.clone()));
                    }
                }
                match (&self.asked_ports[..], refusal.as_a_whole) {
                    ([one], true) => {
                        let name = port_of(one).to_owned();
                        self.refused_ports.insert(name, Problem::new("Error", refusal.message));
                    }
                    ([], _) => {}
                    (_, true) => self.singly = true,
                    _ => {}
                }
            }
        }
    }

    pub(super) fn replaced(&mut self, answer: Result<(), Refusal>, effects: &mut Vec<Effect>) {
        self.busy = false;
        self.tallies.bundles.count(&answer);
        match answer {
            Ok(()) => {
                self.stale = true;
                if let Some((count, note)) = self.flow_drift() {
                    self.tallies.flows_repaired += count;
                    effects.push(Effect::Tell(self.happening("DriftRepaired", note)));
                }
            }
            Err(refusal) if refusal.parts.is_empty() => self.stale = true,
            Err(refusal) => {
                for (part, message) in refusal.parts {
                    if let Some(change) = self.asked_flows.get(part) {
                        self.refused_flows.insert(cookie_of(change), Problem::new("BundleRejected", message));
                    }
                }
            }
        }
    }

    pub(super) fn take_flows(&mut self, now: Duration, answer: Result<Vec<FlowEntry>, String>, at: String) {
        self.busy = false;
        // Without an answer the connection is closed, which is said next.
        let Ok(entries) = answer else { return };
        self.stale = false;
        let mut counted: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
        for entry in entries.iter().filter(|entry| plan::is_ours_flow(&entry.flow)) {
            let sums = counted.entry(entry.flow.cookie).or_default();
            sums.0 = sums.0.saturating_add(entry.counters.packets);
            sums.1 = sums.1.saturating_add(entry.counters.bytes);
        }
        self.read = Read { since: now, at, counted };
        let flows: Vec<Flow> = entries.into_iter().map(|entry| entry.flow).collect();
        self.observed.flows.insert(self.settings.bridge.clone(), Some(flows));
    }
}
