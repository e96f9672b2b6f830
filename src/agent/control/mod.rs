//! What is done next. PURE.
//!
//! In: [`Input`]s, each with the time since the beginning: objects, the database's rows, the bridge's flows, answers. Out:
//! [`Effect`]s, of which one that waits for an answer is under way at a time, and on request a status. The order is: one
//! transaction for what the database lacks; until ovs-vswitchd has acted on it; one bundle for what the flows lack; the flows read
//! back; the same again until nothing is lacking. Nothing is changed before every kind of object is known, nor without the lock.
//!
//! What the switch refuses of one port or one chain is left out of what is asked for the others, until something changes.

mod attempts;
mod facts;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use self::attempts::Attempts;
use super::crd::node::Conflict;
use super::desired::{self, Desired, OWNER, Problem, Settings};
use super::flow::Flow;
use super::observed::Observed;
use super::openflow::{FlowEntry, FlowMod};
use super::ops::{self, Asked, LOCK};
use super::ovsdb::session::Lock;
use super::plan::{self, FlowChange, Plan, PortChange};
use super::sources::Given;
use super::writer::events::Happening;
use super::writer::finalizers::{self, Step};

/// How long ovs-vswitchd may take to act on the database before the flows go on without it.
const ACTS_WITHIN: Duration = Duration::from_secs(2);
/// How long a connection may be away before the status says so: a restart is shorter.
const GRACE: Duration = Duration::from_secs(1);

/// Something happened.
#[derive(Clone, Debug)]
pub enum Input {
    /// The objects became others.
    Given(Given),
    /// The database became another, or is away.
    Database(Database),
    /// The bridge can be asked; its flows are not known.
    BridgeOpened,
    /// The bridge cannot be asked, and its flows are gone, perhaps.
    BridgeClosed(String),
    /// The answer to [`Effect::Transact`]. What it changed is known already.
    Transacted(Result<(), Refusal>),
    /// The answer to [`Effect::Replace`].
    Replaced(Result<(), Refusal>),
    /// The answer to [`Effect::ReadFlows`], and the time of day.
    Flows(Result<Vec<FlowEntry>, String>, String),
    /// Time has passed.
    Tick,
}

/// The database as it is known.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Database {
    /// Whether the rows are up to date.
    pub connected: bool,
    /// Whether the lock is ours.
    pub lock: Lock,
    /// Why there is no connection.
    pub error: Option<String>,
    /// The rows, without flows.
    pub observed: Observed,
}

/// What the switch has against something.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Refusal {
    /// Which parts of what was asked: operations, or changes of flows. None: no part in particular.
    pub parts: Vec<(usize, String)>,
    /// Whether it was asked as a whole and nobody knows which part is to blame.
    pub as_a_whole: bool,
    /// In words.
    pub message: String,
}

/// Something to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Keep a connection to the bridge, or none.
    Connect(bool),
    /// Change the database; answered by [`Input::Transacted`].
    Transact(Asked),
    /// Change the flows; answered by [`Input::Replaced`].
    Replace(Vec<FlowMod>),
    /// Read the flows; answered by [`Input::Flows`].
    ReadFlows,
    /// Say how things are: [`Control::report`].
    Report,
    /// Take these steps, and no others any more.
    Finalizers(Vec<Step>),
    /// Tell people.
    Tell(Happening),
}

/// What goes on with the connection to the bridge.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Bridge {
    Open,
    Closed { since: Duration, error: String },
}

/// How flows were found when they were read.
#[derive(Clone, Debug, Default)]
struct Read {
    /// When, as the time of day.
    at: String,
    /// Packets and bytes, by cookie.
    counted: BTreeMap<u64, (u64, u64)>,
}

/// The state of everything.
#[derive(Debug)]
pub struct Control {
    settings: Settings,
    audit: Duration,
    given: Given,
    desired: Desired,
    database: Database,
    /// Since when there is no connection, or the lock is another's.
    away_since: Option<Duration>,
    bridge: Bridge,
    /// The database's rows, with the flows as they were read last.
    observed: Observed,
    read: Read,
    /// The flows have to be read before anything is said of them.
    stale: bool,
    plan: Plan,
    /// An answer is awaited.
    busy: bool,
    asked_ports: Vec<PortChange>,
    asked_owners: Vec<Option<String>>,
    asked_flows: Vec<FlowChange>,
    port_attempts: Attempts<Vec<PortChange>>,
    flow_attempts: Attempts<Vec<FlowChange>>,
    /// What the switch refuses, by port and by cookie.
    refused_ports: BTreeMap<String, Problem>,
    refused_flows: BTreeMap<u64, Problem>,
    /// Ask for ports one by one: together they were refused.
    singly: bool,
    /// The `next_cfg` that ovs-vswitchd has to reach, and until when that is waited for.
    acts: Option<(i64, Duration)>,
    /// Ports that were as they must be, since when nothing but the switch has changed.
    settled: Option<Settled>,
    audited: Duration,
    steps: Vec<Step>,
    /// Conflicts that people know of.
    told: BTreeSet<Conflict>,
    connect: bool,
    wake: Option<Duration>,
}

/// A switch that had everything.
#[derive(Clone, Debug)]
struct Settled {
    ports: BTreeSet<String>,
    /// The rows have changed since.
    rows_changed: bool,
}

impl Control {
    /// Nothing is known yet. `audit` is how often the flows are read without a reason.
    #[must_use]
    pub fn new(settings: Settings, audit: Duration) -> Self {
        Self {
            settings,
            audit,
            given: Given::default(),
            desired: Desired::default(),
            database: Database::default(),
            away_since: Some(Duration::ZERO),
            bridge: Bridge::Closed { since: Duration::ZERO, error: "not connected yet".to_owned() },
            observed: Observed::default(),
            read: Read::default(),
            stale: true,
            plan: Plan::default(),
            busy: false,
            asked_ports: Vec::new(),
            asked_owners: Vec::new(),
            asked_flows: Vec::new(),
            port_attempts: Attempts::default(),
            flow_attempts: Attempts::default(),
            refused_ports: BTreeMap::new(),
            refused_flows: BTreeMap::new(),
            singly: false,
            acts: None,
            settled: None,
            audited: Duration::ZERO,
            steps: Vec::new(),
            told: BTreeSet::new(),
            connect: false,
            wake: None,
        }
    }

    /// When [`Input::Tick`] is due, unless something happens before.
    #[must_use]
    pub fn wake(&self) -> Option<Duration> {
        self.wake
    }

    /// Whether the switch has everything that can be had.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.settled.is_some()
    }

    /// Whether another agent holds the lock.
    #[must_use]
    pub fn is_locked_out(&self) -> bool {
        self.database.connected && matches!(self.database.lock, Lock::Waiting | Lock::Stolen)
    }

    /// Takes what happened, and says what to do.
    pub fn step(&mut self, now: Duration, input: Input) -> Vec<Effect> {
        let mut effects = Vec::new();
        match input {
            Input::Given(given) => self.take_given(given),
            Input::Database(database) => self.take_database(now, database),
            Input::BridgeOpened => {
                self.bridge = Bridge::Open;
                self.stale = true;
                self.settled = None;
                self.flow_attempts.forget();
                self.refused_flows.clear();
            }
            Input::BridgeClosed(error) => self.bridge_closed(now, error),
            Input::Transacted(answer) => self.transacted(now, answer, &mut effects),
            Input::Replaced(answer) => self.replaced(answer, &mut effects),
            Input::Flows(answer, at) => self.take_flows(now, answer, at),
            Input::Tick => {}
        }
        self.act(now, &mut effects);
        effects
    }

    fn take_given(&mut self, given: Given) {
        if self.given.snapshot != given.snapshot || self.given.complete != given.complete {
            self.settled = None;
            self.forget_refusals();
        }
        self.given = given;
        self.desired = desired::desired(&self.given.snapshot, &self.settings);
    }

    fn take_database(&mut self, now: Duration, database: Database) {
        let held = database.connected && database.lock == Lock::Held;
        match (held, self.away_since) {
            (true, _) => self.away_since = None,
            (false, None) => {
                self.away_since = Some(now);
                self.settled = None;
            }
            (false, Some(_)) => {}
        }
        let Database { connected, lock, error, observed } = database;
        let flows = std::mem::take(&mut self.observed.flows);
        if self.observed != observed {
            self.forget_refusals();
            if let Some(settled) = &mut self.settled {
                settled.rows_changed = true;
            }
        }
        self.observed = Observed { flows, ..observed };
        if !self.observed.bridges.contains_key(&self.settings.bridge) {
            self.observed.flows.clear();
        }
        // The rows are kept once, beside the flows.
        self.database = Database { connected, lock, error, observed: Observed::default() };
    }

    fn bridge_closed(&mut self, now: Duration, error: String) {
        let since = match &self.bridge {
            Bridge::Open => now,
            Bridge::Closed { since, .. } => *since,
        };
        self.bridge = Bridge::Closed { since, error };
        self.stale = true;
        self.acts = None;
        self.settled = None;
        self.observed.flows.clear();
    }

    fn forget_refusals(&mut self) {
        self.refused_ports.clear();
        self.refused_flows.clear();
        self.singly = false;
    }

    fn transacted(&mut self, now: Duration, answer: Result<(), Refusal>, effects: &mut Vec<Effect>) {
        self.busy = false;
        match answer {
            Ok(()) => {
                self.acts = Some((self.observed.system.next_cfg, now + ACTS_WITHIN));
                if let Some(note) = self.port_drift() {
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
                    (_, true) => self.singly = true,
                    _ => {}
                }
            }
        }
    }

    fn replaced(&mut self, answer: Result<(), Refusal>, effects: &mut Vec<Effect>) {
        self.busy = false;
        match answer {
            Ok(()) => {
                self.stale = true;
                if let Some(note) = self.flow_drift() {
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

    fn take_flows(&mut self, now: Duration, answer: Result<Vec<FlowEntry>, String>, at: String) {
        self.busy = false;
        // Without an answer the connection is closed, which is said next.
        let Ok(entries) = answer else { return };
        self.audited = now;
        self.stale = false;
        let mut counted: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
        for entry in entries.iter().filter(|entry| plan::is_ours_flow(&entry.flow)) {
            let sums = counted.entry(entry.flow.cookie).or_default();
            sums.0 = sums.0.saturating_add(entry.counters.packets);
            sums.1 = sums.1.saturating_add(entry.counters.bytes);
        }
        self.read = Read { at, counted };
        let flows: Vec<Flow> = entries.into_iter().map(|entry| entry.flow).collect();
        self.observed.flows.insert(self.settings.bridge.clone(), Some(flows));
    }

    /// Decides what is next.
    fn act(&mut self, now: Duration, effects: &mut Vec<Effect>) {
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
        if self.bridge == Bridge::Open && (self.stale || now >= self.audited + self.audit) {
            self.busy = true;
            effects.push(Effect::ReadFlows);
            return;
        }
        self.plan = plan::plan(&self.desired, &self.observed, &self.settings);
        if !self.given.complete || self.away_since.is_some() {
            self.report_after_grace(now, effects);
            return;
        }
        self.finalizers(effects);
        if self.change_ports(now, effects) || self.wait_for_acting(now) || self.change_flows(now, effects) {
            return;
        }
        self.settle(now, effects);
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
        let owner = |port: &String| self.observed.ports.get(port)?.external_ids.get(OWNER);
        let kept: BTreeSet<&String> = self.plan.kept.iter().filter_map(owner).collect();
        let is_kept = |id: &str| kept.iter().any(|one| *one == id);
        let steps = finalizers::due(&self.given.snapshot, &self.observed, &self.settings.bridge, &is_kept);
        if steps != self.steps {
            self.steps.clone_from(&steps);
            effects.push(Effect::Finalizers(steps));
        }
    }

    /// Ports that wait until their object is held.
    fn is_unheld(&self, owner: &str) -> bool {
        let is = |step: &Step| matches!(step, Step::Hold(key) if key.to_string() == owner);
        self.steps.iter().any(is)
    }

    fn change_ports(&mut self, now: Duration, effects: &mut Vec<Effect>) -> bool {
        let may = |change: &&PortChange| {
            let held = !matches!(change, PortChange::Create { port, .. } if self.is_unheld(&port.owner));
            held && !self.refused_ports.contains_key(port_of(change))
        };
        let mut changes: Vec<PortChange> = self.plan.ports.iter().filter(may).cloned().collect();
        if self.singly {
            changes.truncate(1);
        }
        if changes.is_empty() {
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
        let Some((next, until)) = self.acts else { return false };
        if self.observed.system.cur_cfg >= next || now >= until || self.bridge != Bridge::Open {
            self.acts = None;
            return false;
        }
        self.wake_at(until);
        true
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

    fn settle(&mut self, now: Duration, effects: &mut Vec<Effect>) {
        if self.wake.is_none() {
            self.port_attempts.forget();
            self.flow_attempts.forget();
            let there = |name: &&String| self.observed.ports.contains_key(*name);
            let ports = self.desired.ports.keys().filter(there).cloned().collect();
            self.settled = Some(Settled { ports, rows_changed: false });
        }
        if self.bridge == Bridge::Open {
            self.wake_at(self.audited + self.audit);
        }
        self.tell_conflicts(effects);
        self.report_after_grace(now, effects);
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

/// The port that a change is of.
fn port_of(change: &PortChange) -> &str {
    match change {
        PortChange::Create { name, .. } | PortChange::Update { name, .. } | PortChange::Remove { name, .. } => name,
    }
}

fn cookie_of(change: &FlowChange) -> u64 {
    match change {
        FlowChange::Add(flow) | FlowChange::Remove(flow) => flow.cookie,
        FlowChange::RemoveCookie(cookie) => *cookie,
    }
}

fn flow_mod(change: &FlowChange) -> FlowMod {
    match change {
        FlowChange::Add(flow) => FlowMod::Add(flow.clone()),
        FlowChange::Remove(flow) => FlowMod::DeleteStrict(flow.clone()),
        FlowChange::RemoveCookie(cookie) => FlowMod::DeleteCookie { cookie: *cookie, mask: u64::MAX },
    }
}

/// Why nothing is changed.
fn locked() -> Problem {
    Problem::new("Locked", format!("another agent holds the lock `{LOCK}` of the database; this one waits for it"))
}
