//! A connection to a bridge's management socket, `<rundir>/<bridge>.mgmt`.
//!
//! In: a path, and requests. Out: answers, port events, and word of flows that others change. Touches that socket and the timer. EDGE.
//! It does not reconnect: its end is how a restart of ovs-vswitchd is noticed, and then the flows are gone.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until, timeout};

use super::session::{Event, Fatal, Refused, Reply, Request, RequestId, Session};
use super::{Features, FlowEntry, FlowFilter, FlowMod, PortDescription, PortReason, PortStatistics, TooLong};
use crate::agent::outbox::Outbox;

/// How long to wait for what.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Times {
    /// From connecting until the switch is ready.
    pub handshake: Duration,
    /// For the answer to a request. Patient: a switch that removes many ports answers nobody meanwhile.
    pub answer: Duration,
    /// Of silence until the switch is asked for a sign of life; the same again, and the connection is given up.
    pub probe: Duration,
}

impl Default for Times {
    fn default() -> Self {
        Self { handshake: Duration::from_secs(5), answer: Duration::from_secs(30), probe: Duration::from_secs(15) }
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The socket cannot be reached.
    #[error("{path}: {source}; is ovs-vswitchd running, and is the bridge there?", path = path.display())]
    Connect {
        /// The socket.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The switch says nothing for too long. The connection is given up.
    #[error("the switch does not answer within {} ms", .0.as_millis())]
    TimedOut(Duration),
    /// The conversation cannot go on.
    #[error(transparent)]
    Fatal(#[from] Fatal),
    /// The connection has ended. Whether the last request was done is not known.
    #[error("the connection to the switch has ended")]
    Closed,
    /// The switch does not do what was asked.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// No message can hold what was asked.
    #[error(transparent)]
    TooLong(#[from] TooLong),
}

type Answer = Result<Reply, Error>;

struct Command {
    request: Request,
    deadline: Instant,
    answer: oneshot::Sender<Answer>,
}

/// Asks a switch. Clones share the connection, which ends with the last of them.
#[derive(Clone, Debug)]
pub struct Connection {
    commands: mpsc::Sender<Command>,
    flows_changed: watch::Receiver<u64>,
    times: Times,
    features: Features,
}

/// A port came, went or changed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PortEvent {
    /// What happened.
    pub reason: PortReason,
    /// The port as it is, or was.
    pub port: PortDescription,
}

/// What the switch says unasked.
#[derive(Debug)]
pub struct PortEvents {
    events: mpsc::UnboundedReceiver<PortEvent>,
}

impl PortEvents {
    /// The next event; `None` at once when the connection ends.
    pub async fn next(&mut self) -> Option<PortEvent> {
        self.events.recv().await
    }
}

/// Tells when somebody else has changed the flows.
#[derive(Debug)]
pub struct FlowsChanged {
    changes: watch::Receiver<u64>,
}

impl FlowsChanged {
    /// Waits for the next change; `None` at once when the connection ends.
    pub async fn next(&mut self) -> Option<()> {
        self.changes.changed().await.ok()
    }
}

impl Connection {
    /// Connects, and waits until the switch is ready. Needs a tokio runtime with I/O and time.
    ///
    /// # Errors
    /// [`Error::Connect`], [`Error::TimedOut`], [`Error::Fatal`] where it speaks no OpenFlow 1.4, [`Error::Closed`].
    pub async fn open(path: &Path, times: Times) -> Result<(Self, PortEvents), Error> {
        let opening = async {
            let connected = UnixStream::connect(path).await;
            let stream = connected.map_err(|source| Error::Connect { path: path.to_owned(), source })?;
            let mut wire = Wire::new(stream, times);
            loop {
                let Turn::Heard(events) = wire.turn().await? else { continue };
                if let Some(Event::Ready(features)) = events.into_iter().next() {
                    return Ok((wire, features));
                }
            }
        };
        let (wire, features) =
            timeout(times.handshake, opening).await.unwrap_or(Err(Error::TimedOut(times.handshake)))?;
        let (commands, receiver) = mpsc::channel(64);
        let (sender, events) = mpsc::unbounded_channel();
        let (changes, flows_changed) = watch::channel(0);
        tokio::spawn(serve(wire, receiver, sender, changes));
        Ok((Self { commands, flows_changed, times, features }, PortEvents { events }))
    }

    /// What the switch is.
    #[must_use]
    pub fn features(&self) -> &Features {
        &self.features
    }

    /// Waits for the end of the connection.
    pub async fn closed(&self) {
        self.commands.closed().await;
    }

    /// Reads the flows whose cookie the filter selects, every part of the answer, sorted by flow.
    ///
    /// # Errors
    /// As [`Error`] says.
    pub async fn flows(&self, filter: FlowFilter) -> Result<Vec<FlowEntry>, Error> {
        match self.ask(Request::Flows(filter)).await? {
            Reply::Flows(mut flows) => {
                flows.sort_by(|one, other| one.flow.cmp(&other.flow));
                Ok(flows)
            }
            _ => Err(Error::Closed),
        }
    }

    /// Asks to be told when somebody else changes the flows. What is told is not what changed, nor how often: many changes may be one
    /// word, and what the switch learns, and forgets by itself, is none.
    ///
    /// # Errors
    /// [`Error::Refused`] where the switch cannot do that. Else as [`Error`] says.
    pub async fn watch_flows(&self) -> Result<FlowsChanged, Error> {
        self.ask(Request::Watch).await?;
        Ok(FlowsChanged { changes: self.flows_changed.clone() })
    }

    /// Makes these changes in order, all or none, in one bundle. When it returns they are in effect.
    ///
    /// # Errors
    /// [`Error::Refused`] names each change that the switch refuses; nothing has changed then. Else as [`Error`] says.
    pub async fn replace(&self, changes: Vec<FlowMod>) -> Result<(), Error> {
        if changes.is_empty() {
            return Ok(());
        }
        self.ask(Request::Bundle(changes)).await.map(drop)
    }

    /// Waits until everything asked before has happened.
    ///
    /// # Errors
    /// As [`Error`] says.
    pub async fn barrier(&self) -> Result<(), Error> {
        self.ask(Request::Barrier).await.map(drop)
    }

    /// Asks for a sign of life.
    ///
    /// # Errors
    /// As [`Error`] says.
    pub async fn echo(&self) -> Result<(), Error> {
        self.ask(Request::Echo).await.map(drop)
    }

    /// Reads the ports.
    ///
    /// # Errors
    /// As [`Error`] says.
    pub async fn ports(&self) -> Result<Vec<PortDescription>, Error> {
        match self.ask(Request::Ports).await? {
            Reply::Ports(ports) => Ok(ports),
            _ => Err(Error::Closed),
        }
    }

    /// Reads the counters of one port, or of all; of a port that is not there, none.
    ///
    /// # Errors
    /// As [`Error`] says.
    pub async fn port_statistics(&self, ofport: Option<u32>) -> Result<Vec<PortStatistics>, Error> {
        match self.ask(Request::PortStatistics(ofport)).await? {
            Reply::PortStatistics(ports) => Ok(ports),
            _ => Err(Error::Closed),
        }
    }

    async fn ask(&self, request: Request) -> Answer {
        let (answer, answered) = oneshot::channel();
        let deadline = Instant::now() + self.times.answer;
        self.commands.send(Command { request, deadline, answer }).await.map_err(|_| Error::Closed)?;
        answered.await.unwrap_or(Err(Error::Closed))
    }
}

/// The socket and the conversation on it.
struct Wire {
    stream: UnixStream,
    buffer: Box<[u8]>,
    session: Session,
    outbox: Outbox,
    times: Times,
}

/// What one turn did.
enum Turn {
    Sent,
    Heard(Vec<Event>),
}

impl Wire {
    fn new(stream: UnixStream, times: Times) -> Self {
        let buffer = vec![0; 1 << 16].into_boxed_slice();
        Self { stream, buffer, session: Session::new(), outbox: Outbox::default(), times }
    }

    /// Sends what can be sent, or waits for what comes and says what came of it. Nothing is lost when this is given up halfway.
    async fn turn(&mut self) -> Result<Turn, Error> {
        self.outbox.push(self.session.take_outgoing());
        let (mut reader, mut writer) = self.stream.split();
        tokio::select! {
            read = reader.read(&mut self.buffer) => match read {
                Ok(count) if count > 0 => Ok(Turn::Heard(self.session.receive(&self.buffer[..count])?)),
                _ => Err(Error::Closed),
            },
            written = writer.write(self.outbox.waiting()), if !self.outbox.waiting().is_empty() => match written {
                Ok(count) if count > 0 => {
                    self.outbox.sent(count);
                    Ok(Turn::Sent)
                }
                _ => Err(Error::Closed),
            },
        }
    }
}

/// Who waits for answers, the oldest first.
#[derive(Default)]
struct Waiting(BTreeMap<RequestId, (Instant, oneshot::Sender<Answer>)>);

impl Waiting {
    fn answer(&mut self, id: RequestId, answer: Answer) {
        if let Some((_, asker)) = self.0.remove(&id) {
            drop(asker.send(answer));
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.0.values().map(|(deadline, _)| *deadline).next()
    }

    fn all_fail(self, why: impl Fn() -> Error) {
        for (_, asker) in self.0.into_values() {
            drop(asker.send(Err(why())));
        }
    }
}

/// Runs until the switch, or everybody who asks, is gone.
async fn serve(
    mut wire: Wire,
    mut commands: mpsc::Receiver<Command>,
    ports: mpsc::UnboundedSender<PortEvent>,
    flows: watch::Sender<u64>,
) {
    let times = wire.times;
    let mut waiting = Waiting::default();
    let mut probed = false;
    let mut silent_at = Instant::now() + times.probe;
    loop {
        let wake = waiting.deadline().map_or(silent_at, |deadline| deadline.min(silent_at));
        tokio::select! {
            turn = wire.turn() => match turn {
                Ok(Turn::Sent) => {}
                Ok(Turn::Heard(events)) => {
                    (probed, silent_at) = (false, Instant::now() + times.probe);
                    for event in events {
                        match event {
                            Event::Port(reason, port) => drop(ports.send(PortEvent { reason, port })),
                            Event::Answered(id, answer) => waiting.answer(id, answer.map_err(Error::from)),
                            Event::FlowsChanged => flows.send_modify(|count| *count = count.wrapping_add(1)),
                            Event::Ready(_) => {}
                        }
                    }
                }
                Err(Error::Fatal(fatal)) => return waiting.all_fail(|| Error::Fatal(fatal.clone())),
                Err(_) => return waiting.all_fail(|| Error::Closed),
            },
            command = commands.recv() => {
                let Some(Command { request, deadline, answer }) = command else { return };
                match wire.session.ask(request) {
                    Ok(id) => drop(waiting.0.insert(id, (deadline, answer))),
                    Err(error) => drop(answer.send(Err(error.into()))),
                }
            }
            () = sleep_until(wake) => {
                // Whether what was asked has happened is settled only by an end, after which the flows are read again.
                if waiting.deadline().is_some_and(|deadline| deadline <= wake) {
                    return waiting.all_fail(|| Error::TimedOut(times.answer));
                }
                if probed || wire.session.ask(Request::Echo).is_err() {
                    return waiting.all_fail(|| Error::Closed);
                }
                (probed, silent_at) = (true, Instant::now() + times.probe);
            }
        }
    }
}
