//! The agent at work.
//!
//! In: [`Options`]. Out: a switch as the objects ask for, and status. Touches the database and the bridge of the switch, the folder
//! or API server of the objects, the timer and the time of day. EDGE; what is done next is `control`'s to say, which is pure.

mod bridge;
mod outlet;

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout};

use self::bridge::{BridgeEvent, keep};
use self::outlet::Outlet;
use super::control::{Control, Database, Effect, Input, Refusal};
use super::crd::node::{NodeStatus, Trouble};
use super::desired::Settings;
use super::health::{BEAT, Pulse};
use super::listen::{self, Desk, Question};
use super::observed::{MONITORED, Observed};
use super::openflow::FlowFilter;
use super::openflow::connection::{Connection, Error as FlowError};
use super::ops::{Asked, LOCK};
use super::ovsdb::TransactError;
use super::ovsdb::connection::{Client, Error as DatabaseError, Server, Times, View};
use super::ovsdb::session::{Interest, Refused};
use super::sources::{Given, cluster, devices, folder};

/// How long a change that is under way may take when the agent is told to end.
const ENDS_WITHIN: Duration = Duration::from_secs(10);

/// Where objects come from, and status goes.
#[derive(Clone, Debug)]
pub enum Place {
    /// A folder of objects, and one of status.
    Folder {
        /// Of objects.
        from: PathBuf,
        /// Of status; nowhere without it.
        status: Option<PathBuf>,
    },
    /// The API server that `kubectl` would talk to, or that of the cluster the agent runs in.
    Cluster,
}

/// What a person set.
#[derive(Clone, Debug)]
pub struct Options {
    /// What the switch must have.
    pub settings: Settings,
    /// Objects and status.
    pub place: Place,
    /// Read Sets, too.
    pub sets: bool,
    /// The database of the switch.
    pub server: Server,
    /// The folder with the sockets of bridges.
    pub rundir: PathBuf,
    /// What the system says of its devices.
    pub sysfs: PathBuf,
    /// How often the flows are read without a reason, and the API server is asked what it keeps.
    pub audit: Duration,
    /// Where metrics and health are asked for.
    pub listen: listen::Options,
}

/// Why the agent cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// No API server is configured.
    #[error("no API server: {0}; run in a pod, set KUBECONFIG, or take objects from a folder with --from")]
    Config(String),
    /// The folder of status cannot be made.
    #[error("cannot make the folder `{path}`: {source}", path = path.display())]
    Status {
        /// The folder.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// Nobody can be listened to.
    #[error(transparent)]
    Listen(#[from] listen::Failure),
    /// Signals cannot be received.
    #[error("cannot wait for signals: {0}")]
    Signals(std::io::Error),
}

/// Words for people who look at the log.
pub type Say = fn(&str);

/// Runs until it is told to end. Flows and ports stay.
///
/// # Errors
/// Where it cannot begin; whatever goes wrong later is in the status.
pub async fn run(options: Options, say: Say) -> Result<(), Failure> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut ended = signal(SignalKind::terminate()).map_err(Failure::Signals)?;
    let mut interrupted = signal(SignalKind::interrupt()).map_err(Failure::Signals)?;
    let listeners = listen::open(&options.listen).await?;
    let mut runner = Runner::start(options, say).await?;
    listen::serve(listeners, runner.desk(), say);
    tokio::select! {
        () = runner.serve() => {}
        _ = ended.recv() => {}
        _ = interrupted.recv() => {}
    }
    // A change that is under way comes to its end, so that nobody has to guess.
    if let Some(under_way) = runner.under_way.take() {
        let _ = timeout(ENDS_WITHIN, under_way).await;
    }
    Ok(())
}

/// What the main loop wakes up for.
enum Turn {
    /// Something happened.
    Input(Box<Input>),
    /// Somebody asks how things are.
    Asked(Question),
    /// Nothing happened.
    Beat,
}

type UnderWay = Pin<Box<dyn Future<Output = Input>>>;

struct Runner {
    control: Control,
    begin: Instant,
    given: watch::Receiver<Given>,
    database: Client,
    views: watch::Receiver<View>,
    connection: Option<Connection>,
    bridge_wanted: watch::Sender<bool>,
    bridge_events: mpsc::Receiver<BridgeEvent>,
    under_way: Option<UnderWay>,
    pulse: watch::Sender<Pulse>,
    questions: (mpsc::Sender<Question>, mpsc::Receiver<Question>),
    outlet: Outlet,
    before: Option<NodeStatus>,
    say: Say,
    said: String,
}

impl Runner {
    async fn start(options: Options, say: Say) -> Result<Self, Failure> {
        let Options { settings, place, sets, server, rundir, sysfs, audit, listen: _ } = options;
        let (sender, objects) = watch::channel(Given::default());
        let (with_devices, given) = watch::channel(Given::default());
        tokio::spawn(devices::follow(sysfs, objects, with_devices));
        let (outlet, before) = Outlet::open(&place, &settings.node, audit).await?;
        let node = settings.node.clone();
        match (place, outlet.client()) {
            (Place::Folder { from, .. }, _) => {
                tokio::spawn(async move {
                    if let Err(error) = folder::run(from, &node, sets, sender).await {
                        say(&format!("error: changes of the folder cannot be seen: {error}\n"));
                    }
                });
            }
            (Place::Cluster, Some(client)) => {
                tokio::spawn(cluster::run(client, cluster::Watched::new(&node, sets), sender));
            }
            (Place::Cluster, None) => {}
        }
        let times = Times::suited_to(&server.endpoint);
        let interest = Interest { tables: MONITORED, lock: Some(LOCK.to_owned()) };
        let database = Client::start(server, interest, times);
        let (bridge_wanted, wanted) = watch::channel(false);
        let (sender, bridge_events) = mpsc::channel(4);
        tokio::spawn(keep(rundir.join(format!("{}.mgmt", settings.bridge)), wanted, sender));
        Ok(Self {
            control: Control::new(settings, audit),
            begin: Instant::now(),
            given,
            views: database.views(),
            database,
            connection: None,
            bridge_wanted,
            bridge_events,
            under_way: None,
            pulse: watch::Sender::default(),
            questions: mpsc::channel(16),
            outlet,
            before,
            say,
            said: String::new(),
        })
    }

    /// Where others ask how things are.
    fn desk(&self) -> Desk {
        Desk { begin: self.begin, pulse: self.pulse.subscribe(), questions: self.questions.0.clone() }
    }

    async fn serve(&mut self) {
        // The rows may be known already.
        self.take(Input::Tick);
        loop {
            let turn = self.next().await;
            self.pulse.send_modify(|pulse| pulse.turned = self.begin.elapsed());
            let input = match turn {
                Turn::Input(input) => *input,
                Turn::Asked(question) => {
                    self.answer(question);
                    continue;
                }
                Turn::Beat => continue,
            };
            // What an answer tells of is in the view before it.
            if matches!(input, Input::Transacted(_)) {
                let view = self.views.borrow_and_update().clone();
                self.take(Input::Database(database_of(&view)));
            }
            self.take(input);
        }
    }

    async fn next(&mut self) -> Turn {
        let wake = self.control.wake().map(|at| self.begin + at);
        let under_way = async {
            match self.under_way.as_mut() {
                Some(answer) => answer.await,
                None => std::future::pending().await,
            }
        };
        let beat = self.begin + self.pulse.borrow().turned + BEAT;
        let input = tokio::select! {
            answer = under_way => {
                self.under_way = None;
                self.pulse.send_modify(|pulse| pulse.awaits = None);
                answer
            }
            // The senders live as long as this does, or say nothing any more.
            Ok(()) = self.given.changed() => Input::Given(self.given.borrow_and_update().clone()),
            Ok(()) = self.views.changed() => Input::Database(database_of(&self.views.borrow_and_update())),
            Some(event) = self.bridge_events.recv() => match event {
                BridgeEvent::Opened(connection) => {
                    self.connection = Some(connection);
                    Input::BridgeOpened
                }
                BridgeEvent::Ports(numbers) => Input::Ports(numbers),
                BridgeEvent::FlowsChanged => Input::FlowsChanged,
                BridgeEvent::Closed(error) => {
                    self.connection = None;
                    Input::BridgeClosed(error)
                }
            },
            () = sleep_until(wake.unwrap_or(self.begin)), if wake.is_some() => Input::Tick,
            () = self.outlet.changed() => Input::Tick,
            Some(question) = self.questions.1.recv() => return Turn::Asked(question),
            () = sleep_until(beat) => return Turn::Beat,
        };
        Turn::Input(Box::new(input))
    }

    /// Who asked may have gone.
    fn answer(&self, question: Question) {
        match question {
            Question::Figures(asker) => drop(asker.send((self.control.figures(), self.connection.clone()))),
            Question::Readiness(asker) => drop(asker.send(self.control.readiness(self.begin.elapsed()))),
        }
    }

    fn wait_for(&mut self, answer: impl Future<Output = Input> + 'static) {
        self.under_way = Some(Box::pin(answer));
        self.pulse.send_modify(|pulse| pulse.awaits = Some(self.begin.elapsed()));
    }

    fn take(&mut self, input: Input) {
        let effects = self.control.step(self.begin.elapsed(), input);
        for effect in effects {
            match effect {
                Effect::Connect(wanted) => drop(self.bridge_wanted.send(wanted)),
                Effect::Transact(asked) => self.wait_for(transact(self.database.clone(), asked)),
                Effect::Replace(changes) => {
                    let connection = self.connection.clone();
                    self.wait_for(async move {
                        Input::Replaced(match connection {
                            Some(connection) => {
                                connection.replace(changes).await.map_err(|error| flows_refused(&error))
                            }
                            None => Err(whole("there is no connection to the bridge".to_owned())),
                        })
                    });
                }
                Effect::ReadFlows => {
                    let connection = self.connection.clone();
                    self.wait_for(async move {
                        let flows = match connection {
                            Some(connection) => {
                                connection.flows(FlowFilter::default()).await.map_err(|error| error.to_string())
                            }
                            None => Err("there is no connection to the bridge".to_owned()),
                        };
                        Input::Flows(flows, time_of_day())
                    });
                }
                Effect::Report => self.report(),
                Effect::Finalizers(steps) => self.outlet.take_steps(steps),
                Effect::Tell(happening) => {
                    (self.say)(&format!("{}: {}\n", happening.reason, happening.note));
                    self.outlet.tell(happening);
                }
            }
        }
    }

    fn report(&mut self) {
        let now = time_of_day();
        let status = self.control.report(self.before.as_ref(), &self.outlet.troubles(), &now);
        self.say_ready(&status);
        self.say_problems(&status);
        // In a cluster the agent that has the lock says how the node is.
        if !(self.control.is_locked_out() && self.outlet.client().is_some()) {
            let snapshot = self.given.borrow().snapshot.clone();
            self.outlet.write(&status, &snapshot, &now);
        }
        self.before = Some(status);
    }

    fn say_ready(&mut self, status: &NodeStatus) {
        let ready = super::status::conditions::get(&status.conditions, super::status::READY);
        let line = ready.map_or_else(String::new, |ready| format!("{}: {}", ready.reason, ready.message));
        if line != self.said {
            (self.say)(&format!("{line}\n"));
            self.said = line;
        }
    }

    /// What the API server has against the agent is in no status there: it has to be in the log.
    fn say_problems(&self, status: &NodeStatus) {
        let before = self.before.as_ref().map_or(&[][..], |before| &before.problems);
        for Trouble { place, message } in status.problems.iter().filter(|one| !before.contains(one)) {
            (self.say)(&format!("problem: {place}: {message}\n"));
        }
        let over = |one: &&Trouble| status.problems.iter().all(|other| other.place != one.place);
        for Trouble { place, .. } in before.iter().filter(over) {
            (self.say)(&format!("no problem any more: {place}\n"));
        }
    }
}

fn database_of(view: &View) -> Database {
    let observed = Observed::of(&view.cache, [].into());
    Database { connected: view.connected, lock: view.lock, error: view.error.clone(), observed }
}

/// RFC 3339, to the second.
fn time_of_day() -> String {
    k8s_openapi::jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

async fn transact(database: Client, asked: Asked) -> Input {
    let answer = database.transact(asked.transaction).await;
    Input::Transacted(answer.map(drop).map_err(|error| database_refused(&error)))
}

fn whole(message: String) -> Refusal {
    Refusal { parts: Vec::new(), as_a_whole: false, message }
}

/// Errors that say that the rows, or the lock, are not as they were seen: the next view tells.
const OUTDATED: [&str; 2] = ["timed out", "not owner"];

fn database_refused(error: &DatabaseError) -> Refusal {
    let message = error.to_string();
    let DatabaseError::Refused(Refused::Transact(refused)) = error else { return whole(message) };
    match refused {
        TransactError::Operation { error, .. } if OUTDATED.contains(&error.as_str()) => whole(message),
        TransactError::Operation { index, .. } => {
            Refusal { parts: vec![(*index, message.clone())], as_a_whole: false, message }
        }
        TransactError::Commit { .. } => Refusal { parts: Vec::new(), as_a_whole: true, message },
        TransactError::Count { .. } | TransactError::Answer { .. } => whole(message),
    }
}

fn flows_refused(error: &FlowError) -> Refusal {
    let parts = match error {
        FlowError::Refused(refused) => {
            let part = |(place, sent, error): &(Option<usize>, String, _)| {
                place.map(|place| (place, format!("the switch refuses `{sent}`: {error}")))
            };
            refused.errors.iter().filter_map(part).collect()
        }
        _ => Vec::new(),
    };
    Refusal { parts, as_a_whole: false, message: error.to_string() }
}
