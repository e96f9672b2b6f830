//! What is next. PURE.
//!
//! In: the state. Out: [`Effect`]s: one question to the switch at a time, and a status when there is none.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{ACTS_WITHIN, Bridge, Control, Effect, FLOWS_AFTER, GRACE, RELINKS, Settled, cookie_of, port_of};
use crate::agent::crd::node::Conflict;
use crate::agent::observed::System;
use crate::agent::openflow::FlowMod;
use crate::agent::ops;
use crate::agent::plan::{self, FlowChange, PortChange};
use crate::agent::writer::finalizers::{self, Step};

impl Control {
    /// Decides what is next.
    pub(super) fn act(&mut self, now: Duration, effects: &mut Vec<Effect>) {
        self.wake = None;
        let wanted = self.database.connected && self.observed.bridges.contains_key(&self.settings.bridge);
        // A database that is away says nothing about the bridge.
        if self.connect != wanted && (wanted || self.database.connected) {
            self.connect = wanted;
            effects.push(Effect::Connect(wanted));
        }
        if self.busy {
            return;
        }
        let audit = now >= self.audited + self.audit;
        // What others change says nothing of what the switch refuses, which an audit asks for again however often they do.
        let of_ours = self.stale || audit;
        if self.changed_by_others && self.bridge == Bridge::Open {
            match self.read.since + FLOWS_AFTER {
                soon if now < soon => self.wake_at(soon),
                _ => self.stale = true,
            }
        }
        if self.bridge == Bridge::Open && (self.stale || audit) {
            if audit {
                self.relinks.forget();
            }
            if audit && !(self.refused_ports.is_empty() && self.refused_flows.is_empty()) {
                // Nobody says when the switch would take it: when a table has room again, for one.
                self.forget_refusals();
                self.settled = None;
            }
            if of_ours {
                self.audited = now;
            }
            self.busy = true;
            self.changed_by_others = false;
            effects.push(Effect::ReadFlows);
            return;
        }
        self.plan = plan::plan(&self.desired, &self.observed, &self.settings);
        if !self.given.complete || self.away_since.is_some() {
            self.report_after_grace(now, effects);
            return;
        }
        self.finalizers(effects);
        // Where ports only have to go, the flows need nothing of that: they do not wait for the last of many.
        let flows_first = self.plan.ports.iter().all(|change| matches!(change, PortChange::Remove { .. }));
        let asked = self.wait_for_acting(now)
            || self.relink(now, effects)
            || flows_first && self.change_flows(now, effects)
            || self.change_ports(now, effects)
            || !flows_first && self.change_flows(now, effects);
        if !asked {
            self.settle(now, effects);
        }
    }

    fn wake_at(&mut self, at: Duration) {
        self.wake = Some(self.wake.map_or(at, |wake| wake.min(at)));
    }

    /// Says how things are, but not that something is away that may be back in a moment.
    fn report_after_grace(&mut self, now: Duration, effects: &mut Vec<Effect>) {
        let since = match (&self.bridge, self.away_since) {
            (_, Some(_)) if self.is_locked_out() => None,
            (_, Some(since)) => Some(since),
            (Bridge::Closed { since, .. }, None) if self.connect => Some(*since),
            // The objects are being read.
            _ if !self.given.complete => Some(Duration::ZERO),
            _ => None,
        };
        match since.map(|since| since + GRACE).filter(|until| now < *until) {
            Some(until) => self.wake_at(until),
            None => effects.push(Effect::Report),
        }
    }

    /// Objects that have to be held, or can go.
    fn finalizers(&mut self, effects: &mut Vec<Effect>) {
        let owner = |port: &String| plan::owner(&self.observed, port);
        let kept: BTreeSet<&String> = self.plan.kept.iter().filter_map(owner).collect();
        let is_kept = |id: &str| kept.iter().any(|one| *one == id);
        let steps = finalizers::due(&self.given.snapshot, &self.observed, &self.settings.bridge, &is_kept);
        if steps != self.steps {
            self.steps.clone_from(&steps);
            effects.push(Effect::Finalizers(steps));
        }
    }

    fn change_ports(&mut self, now: Duration, effects: &mut Vec<Effect>) -> bool {
        // Their ports wait until they are held.
        let unheld: BTreeSet<String> = self.steps.iter().filter_map(held_by).collect();
        let may = |change: &&PortChange| {
            let held = !matches!(change, PortChange::Create { port, .. } if unheld.contains(&port.owner));
            held && !self.refused_ports.contains_key(port_of(change))
        };
        let mut changes: Vec<PortChange> = self.plan.ports.iter().filter(may).cloned().collect();
        if self.singly {
            changes.truncate(1);
        }
        if changes.is_empty() {
            return false;
        }
        // A port that goes has to be gone before one of its name is made on another bridge: where ovs-vswitchd (3.1) sees both at
        // once, it leads a patch nowhere. However long that takes, it makes nothing meanwhile.
        if self.acts.is_some() {
            return false;
        }
        if let Err(at) = self.port_attempts.ask(&changes, now) {
            self.wake_at(at);
            return false;
        }
        let asked = ops::transaction(&changes, &self.observed);
        self.asked_owners.clone_from(&asked.ports);
        self.asked_ports = changes;
        self.busy = true;
        effects.push(Effect::Transact(asked));
        true
    }

    /// Ports have their numbers once ovs-vswitchd has acted; then the flows are planned.
    fn wait_for_acting(&mut self, now: Duration) -> bool {
        let Some((next, since)) = self.acts else { return false };
        // A database that began anew counts from the beginning.
        let System { next_cfg, cur_cfg, .. } = self.observed.system;
        if cur_cfg >= next.min(next_cfg) {
            self.acts = None;
            return false;
        }
        let waits = now < since + ACTS_WITHIN;
        if waits {
            self.wake_at(since + ACTS_WITHIN);
        }
        waits
    }

    fn change_flows(&mut self, now: Duration, effects: &mut Vec<Effect>) -> bool {
        if self.bridge != Bridge::Open {
            return false;
        }
        let may = |change: &&FlowChange| !self.refused_flows.contains_key(&cookie_of(change));
        let changes: Vec<FlowChange> = self.plan.flows.iter().filter(may).cloned().collect();
        if changes.is_empty() {
            return false;
        }
        if let Err(at) = self.flow_attempts.ask(&changes, now) {
            self.wake_at(at);
            return false;
        }
        let mods = changes.iter().map(flow_mod).collect();
        self.asked_flows = changes;
        self.busy = true;
        effects.push(Effect::Replace(mods));
        true
    }

    /// What the switch says of a patch is not said on before the patch was linked anew. First of all: the next thing that it acts on
    /// makes it forget what it said.
    fn relink(&mut self, now: Duration, effects: &mut Vec<Effect>) -> bool {
        let changes = &self.plan.relink;
        let System { next_cfg, cur_cfg, .. } = self.observed.system;
        if changes.is_empty() {
            self.relinks.forget();
            return false;
        }
        let ports = changes.iter().map(|change| port_of(change).to_owned()).collect();
        if cur_cfg < next_cfg || self.relinks.count(&ports) >= RELINKS {
            return false;
        }
        if let Err(at) = self.relinks.ask(&ports, now) {
            self.wake_at(at);
            return false;
        }
        let asked = ops::transaction(changes, &self.observed);
        // They are the switch's own fault, and nobody's drift.
        self.asked_ports.clear();
        self.asked_owners.clone_from(&asked.ports);
        self.busy = true;
        effects.push(Effect::Transact(asked));
        true
    }

    fn settle(&mut self, now: Duration, effects: &mut Vec<Effect>) {
        if self.wake.is_none() && self.acts.is_none() {
            self.port_attempts.forget();
            self.flow_attempts.forget();
            let there = |name: &&String| self.observed.ports.contains_key(*name);
            let ports = self.desired.ports.keys().filter(there).cloned().collect();
            self.settled = Some(Settled { ports, rows_changed: false });
            self.note_as_wanted(now);
        }
        if self.bridge == Bridge::Open {
            self.wake_at(self.audited + self.audit);
        }
        self.tell_conflicts(effects);
        self.report_after_grace(now, effects);
    }

    /// Without a bridge nothing was read back; ports that ovs-vswitchd has not acted on have no flows yet, and an object that has
    /// to be held has no port.
    fn note_as_wanted(&mut self, now: Duration) {
        let System { next_cfg, cur_cfg, .. } = self.observed.system;
        if self.bridge != Bridge::Open || cur_cfg < next_cfg {
            return;
        }
        self.synced = true;
        if !self.steps.iter().any(|step| matches!(step, Step::Hold(_)))
            && let Some(since) = self.wanted_since.take()
        {
            self.tallies.reconciled.observe(now.saturating_sub(since));
        }
    }

    fn tell_conflicts(&mut self, effects: &mut Vec<Effect>) {
        let conflicts: BTreeSet<Conflict> = self.conflicts().into_iter().collect();
        for one in conflicts.difference(&self.told) {
            let note = format!("{} {}: {}", one.kind, one.name, one.message);
            effects.push(Effect::Tell(self.happening("Conflict", note)));
        }
        self.told = conflicts;
    }
}

/// The owner of ports whose object has to be held first.
fn held_by(step: &Step) -> Option<String> {
    match step {
        Step::Hold(key) => Some(key.to_string()),
        Step::LetGo(..) | Step::Release(_) => None,
    }
}

fn flow_mod(change: &FlowChange) -> FlowMod {
    match change {
        FlowChange::Add(flow) => FlowMod::Add(flow.clone()),
        FlowChange::Remove(flow) => FlowMod::DeleteStrict(flow.clone()),
        FlowChange::RemoveCookie(cookie) => FlowMod::DeleteCookie { cookie: *cookie, mask: u64::MAX },
    }
}
