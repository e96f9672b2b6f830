//! What is done next. PURE.
//!
//! In: [`Input`]s, each with the time since the beginning: objects, the database's rows, the bridge's flows, answers. Out:
//! [`Effect`]s, of which one that waits for an answer is under way at a time, and on request a status, figures and readiness. The
//! order is: one transaction for what the database lacks; until ovs-vswitchd has acted on it; one bundle for what the flows lack;
//! the flows read back; the same again until nothing is lacking. Where ports only have to go, the flows come first. Nothing is
//! changed before every kind of object is known, nor without the lock.
//!
//! What the switch refuses of one port or one chain is left out of what is asked for the others, until something changes or an audit
//! is due.

mod act;
mod attempts;
mod facts;
mod figures;
mod readiness;
mod take;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use self::attempts::Attempts;
use super::crd::node::Conflict;
use super::desired::{Desired, Problem, Settings};
use super::metrics::Tallies;
use super::observed::{Numbers, Observed};
use super::openflow::{FlowEntry, FlowMod};
use super::ops::{Asked, LOCK};
use super::ovsdb::session::Lock;
use super::plan::{FlowChange, Plan, PortChange};
use super::sources::Given;
use super::writer::events::Happening;
use super::writer::finalizers::Step;

/// How long ovs-vswitchd may take to act on the database before the flows go on without it.
const ACTS_WITHIN: Duration = Duration::from_secs(2);
/// How soon after they were read the flows are read again because somebody else changes them: many do it over and over.
const FLOWS_AFTER: Duration = Duration::from_millis(200);
/// How often patches are linked anew of which the switch says that they lead nowhere, before that is believed.
const RELINKS: u32 = 4;
/// How long a connection may be away before the status says so: a restart is shorter.
const GRACE: Duration = Duration::from_secs(1);

/// Something happened.
#[derive(Clone, Debug)]
pub enum Input {
    /// The objects became others.
    Given(Given),
    /// The database became another, or is away.
    Database(Database),
    /// The bridge's ports, by number.
    Ports(Numbers),
    /// Somebody else has changed the bridge's flows.
    FlowsChanged,
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
    /// When, since the beginning.
    since: Duration,
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
    /// Somebody else has changed them since they were read.
    changed_by_others: bool,
    plan: Plan,
    /// An answer is awaited.
    busy: bool,
    asked_ports: Vec<PortChange>,
    asked_owners: Vec<Option<String>>,
    asked_flows: Vec<FlowChange>,
    port_attempts: Attempts<Vec<PortChange>>,
    flow_attempts: Attempts<Vec<FlowChange>>,
    relinks: Attempts<Vec<String>>,
    /// What the switch refuses, by port and by cookie.
    refused_ports: BTreeMap<String, Problem>,
    refused_flows: BTreeMap<u64, Problem>,
    /// Ask for ports one by one: together they were refused.
    singly: bool,
    /// The `next_cfg` that ovs-vswitchd has to reach, and since when that is waited for.
    acts: Option<(i64, Duration)>,
    /// The `next_cfg` of the latest transaction of ours.
    asked_cfg: i64,
    /// Ports that were as they must be, since when nothing but the switch has changed.
    settled: Option<Settled>,
    /// The switch was as it must be once, and was read back.
    synced: bool,
    /// Since when the objects ask for something that the switch may not have yet.
    wanted_since: Option<Duration>,
    tallies: Tallies,
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
            changed_by_others: false,
            plan: Plan::default(),
            busy: false,
            asked_ports: Vec::new(),
            asked_owners: Vec::new(),
            asked_flows: Vec::new(),
            port_attempts: Attempts::default(),
            flow_attempts: Attempts::default(),
            relinks: Attempts::default(),
            refused_ports: BTreeMap::new(),
            refused_flows: BTreeMap::new(),
            singly: false,
            acts: None,
            asked_cfg: 0,
            settled: None,
            synced: false,
            wanted_since: None,
            tallies: Tallies::default(),
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
            Input::Given(given) => self.take_given(now, given),
            Input::Database(database) => self.take_database(now, database),
            Input::FlowsChanged => self.changed_by_others = true,
            Input::Ports(numbers) => self.take_ports(numbers),
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

/// Why nothing is changed.
fn locked() -> Problem {
    Problem::new("Locked", format!("another agent holds the lock `{LOCK}` of the database; this one waits for it"))
}
