//! A client of a database that stays connected.
//!
//! In: a server, what to monitor, and transactions. Out: a [`View`] that is always the last known, and answers. Touches that one socket and
//! the timer. EDGE.
//! After a break it connects again, waits longer after each failure, and reads on from the last transaction it knows.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until, timeout};

use super::secure::{Files, explain, secure};
use super::session::{Event, Fatal, Interest, Lock, Memory, Refused, RequestId, Session};
use super::{Cache, Endpoint, Outcome, Transaction};
use crate::agent::backoff::Backoff;
use crate::agent::outbox::Outbox;

/// How long to wait for what.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Times {
    /// For a connection to be made.
    pub connect: Duration,
    /// For the answer to a transaction.
    pub answer: Duration,
    /// Of silence until the server is asked for a sign of life; the same again, and the connection is given up.
    pub probe: Duration,
    /// Between tries to connect.
    pub backoff: Backoff,
}

impl Times {
    /// Such as suit where the server is.
    #[must_use]
    pub fn suited_to(endpoint: &Endpoint) -> Self {
        let backoff = if matches!(endpoint, Endpoint::Unix(_)) { Backoff::LOCAL } else { Backoff::REMOTE };
        let second = Duration::from_secs(1);
        Self { connect: 5 * second, answer: 30 * second, probe: 15 * second, backoff }
    }
}

/// Why there is no answer, or no connection.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server cannot be reached.
    #[error("{endpoint}: {source}; is ovsdb-server running?")]
    Connect {
        /// Where it should be.
        endpoint: Endpoint,
        /// What the system says.
        source: io::Error,
    },
    /// The endpoint wants TLS, and nobody says whom to trust.
    #[error("{0}: whom to trust is not said; give the file with the certificate of the server's CA as --ovsdb-ca")]
    NoCa(Endpoint),
    /// There is no secure connection, or no more.
    #[error("{endpoint}: {why}")]
    Tls {
        /// Where it should be.
        endpoint: Endpoint,
        /// Why not.
        why: String,
    },
    /// The server says nothing for too long. The connection is given up.
    #[error("the database server does not answer within {} ms", .0.as_millis())]
    TimedOut(Duration),
    /// The conversation cannot go on.
    #[error(transparent)]
    Fatal(#[from] Fatal),
    /// There is no connection at the moment; nothing was sent.
    #[error("there is no connection to the database server")]
    Disconnected,
    /// The connection ended before the answer. Whether it was done is seen in the next view.
    #[error("the connection to the database server has ended")]
    Closed,
    /// The database does not do what was asked.
    #[error(transparent)]
    Refused(#[from] Refused),
}

/// Who is asked.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Server {
    /// Where it listens.
    pub endpoint: Endpoint,
    /// Whom to trust and who to be, where it is `ssl:`.
    pub files: Option<Files>,
}

impl From<Endpoint> for Server {
    fn from(endpoint: Endpoint) -> Self {
        Self { endpoint, files: None }
    }
}

/// What is known at the moment.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// Whether `cache` is up to date; if not, it is what was known last.
    pub connected: bool,
    /// Every monitored row.
    pub cache: Cache,
    /// Whether the lock is ours.
    pub lock: Lock,
    /// How often the rows became known after a break, the beginning included.
    pub connections: u64,
    /// Why there is no connection.
    pub error: Option<String>,
}

type Answer = Result<Vec<Outcome>, Error>;

enum Command {
    Transact { transaction: Transaction, deadline: Instant, answer: oneshot::Sender<Answer> },
    Steal,
}

/// Asks a database. Clones share the connection, which ends with the last of them.
#[derive(Clone, Debug)]
pub struct Client {
    commands: mpsc::Sender<Command>,
    view: watch::Receiver<View>,
    answer_within: Duration,
}

impl Client {
    /// Begins to connect. Needs a tokio runtime with I/O and time.
    #[must_use]
    pub fn start(server: impl Into<Server>, interest: Interest, times: Times) -> Self {
        let (commands, receiver) = mpsc::channel(64);
        let (sender, view) = watch::channel(View::default());
        let server = server.into();
        tokio::spawn(Runner { server, interest, times, commands: receiver, view: sender }.run());
        Self { commands, view, answer_within: times.answer }
    }

    /// What is known, and whether that has changed.
    #[must_use]
    pub fn views(&self) -> watch::Receiver<View> {
        self.view.clone()
    }

    /// Does all of it or nothing. What it changed is in the view when this returns.
    ///
    /// # Errors
    /// [`Error::Refused`] names the operation that failed; else as [`Error`] says.
    pub async fn transact(&self, transaction: Transaction) -> Answer {
        let (answer, answered) = oneshot::channel();
        let deadline = Instant::now() + self.answer_within;
        let command = Command::Transact { transaction, deadline, answer };
        self.commands.send(command).await.map_err(|_| Error::Closed)?;
        answered.await.unwrap_or(Err(Error::Closed))
    }

    /// Takes the lock from whoever has it; the view tells when it is ours.
    ///
    /// # Errors
    /// [`Error::Closed`] where the client has ended.
    pub async fn steal_lock(&self) -> Result<(), Error> {
        self.commands.send(Command::Steal).await.map_err(|_| Error::Closed)
    }
}

trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// Connects, and makes it secure where it has to be.
async fn connect(server: &Server, within: Duration) -> Result<Box<dyn Duplex>, Error> {
    let Server { endpoint, files } = server;
    let failure = |source| Error::Connect { endpoint: endpoint.clone(), source };
    let connecting = async {
        let (host, port) = match endpoint {
            Endpoint::Unix(path) => {
                return Ok(Box::new(UnixStream::connect(path).await.map_err(failure)?) as Box<dyn Duplex>);
            }
            Endpoint::Tcp(host, port) | Endpoint::Ssl(host, port) => (host.as_str(), *port),
        };
        let stream = TcpStream::connect((host, port)).await.map_err(failure)?;
        stream.set_nodelay(true).map_err(failure)?;
        match (endpoint, files) {
            (Endpoint::Ssl(..), Some(files)) => {
                let secured = secure(files, host, stream).await;
                Ok(Box::new(secured.map_err(|why| Error::Tls { endpoint: endpoint.clone(), why })?) as _)
            }
            (Endpoint::Ssl(..), None) => Err(Error::NoCa(endpoint.clone())),
            _ => Ok(Box::new(stream) as _),
        }
    };
    timeout(within, connecting).await.unwrap_or(Err(Error::TimedOut(within)))
}

/// The socket and the conversation on it.
struct Wire {
    reader: ReadHalf<Box<dyn Duplex>>,
    writer: WriteHalf<Box<dyn Duplex>>,
    buffer: Box<[u8]>,
    session: Session,
    outbox: Outbox,
    /// Whether a layer below the outbox may still hold bytes.
    unflushed: bool,
}

/// How long what a server said before it hung up may take to be read.
const LAST_WORDS_WITHIN: Duration = Duration::from_millis(100);

/// Why there are no more turns.
enum Broken {
    /// The server hung up.
    Ended,
    /// The system or TLS says why.
    Socket(io::Error),
    /// What came cannot be gone on with.
    Fatal(Fatal),
}

impl From<Fatal> for Broken {
    fn from(fatal: Fatal) -> Self {
        Self::Fatal(fatal)
    }
}

/// What one turn did.
enum Turn {
    Sent,
    Heard(Vec<Event>),
}

impl Wire {
    fn new(stream: Box<dyn Duplex>, session: Session) -> Self {
        let (reader, writer) = tokio::io::split(stream);
        let buffer = vec![0; 1 << 16].into_boxed_slice();
        Self { reader, writer, buffer, session, outbox: Outbox::default(), unflushed: false }
    }

    /// Sends what can be sent, or waits for what comes and says what came of it. Nothing is lost when this is given up halfway.
    async fn turn(&mut self) -> Result<Turn, Broken> {
        self.outbox.push(self.session.take_outgoing());
        let waiting = self.outbox.waiting();
        let due = !waiting.is_empty() || self.unflushed;
        let sending = async {
            if waiting.is_empty() { self.writer.flush().await.map(|()| 0) } else { self.writer.write(waiting).await }
        };
        tokio::select! {
            read = self.reader.read(&mut self.buffer) => match read {
                Ok(0) => Err(Broken::Ended),
                Ok(count) => Ok(Turn::Heard(self.session.receive(&self.buffer[..count])?)),
                Err(error) => Err(Broken::Socket(error)),
            },
            sent = sending, if due => match sent {
                Ok(0) if !waiting.is_empty() => Err(Broken::Ended),
                Ok(count) => {
                    self.unflushed = count > 0;
                    self.outbox.sent(count);
                    Ok(Turn::Sent)
                }
                Err(_) => Err(self.last_words().await),
            },
        }
    }

    /// Why nothing can be sent any more: a server that hangs up says so before, and it may wait to be read.
    async fn last_words(&mut self) -> Broken {
        loop {
            match timeout(LAST_WORDS_WITHIN, self.reader.read(&mut self.buffer)).await {
                Ok(Ok(count)) if count > 0 => {}
                Ok(Err(error)) => return Broken::Socket(error),
                Ok(Ok(_)) | Err(_) => return Broken::Ended,
            }
        }
    }
}

type Waiting = BTreeMap<RequestId, (Instant, oneshot::Sender<Answer>)>;

struct Runner {
    server: Server,
    interest: Interest,
    times: Times,
    commands: mpsc::Receiver<Command>,
    view: watch::Sender<View>,
}

/// Everybody who asks is gone.
struct Abandoned;

impl Runner {
    async fn run(mut self) {
        let mut memory = Memory::default();
        let mut failures = 0;
        loop {
            let error = match connect(&self.server, self.times.connect).await {
                Err(error) => error,
                Ok(stream) => {
                    let known = std::mem::take(&mut memory);
                    let mut wire = Wire::new(stream, Session::new(self.interest.clone(), known));
                    let Err(error) = self.converse(&mut wire).await else { return };
                    // Rows that could not be followed to the end are read anew.
                    if !matches!(error, Error::Fatal(_)) {
                        memory = wire.session.into_memory();
                    }
                    error
                }
            };
            failures = if self.view.borrow().connected { 1 } else { failures + 1 };
            self.view.send_modify(|view| {
                view.connected = false;
                view.lock = Lock::Unknown;
                view.error = Some(error.to_string());
            });
            if self.pause(self.times.backoff.after(failures)).await.is_err() {
                return;
            }
        }
    }

    /// Waits, and refuses what is asked meanwhile.
    async fn pause(&mut self, wait: Duration) -> Result<(), Abandoned> {
        let until = Instant::now() + wait;
        loop {
            tokio::select! {
                () = sleep_until(until) => return Ok(()),
                command = self.commands.recv() => match command {
                    Some(Command::Transact { answer, .. }) => drop(answer.send(Err(Error::Disconnected))),
                    Some(Command::Steal) => {}
                    None => return Err(Abandoned),
                },
            }
        }
    }

    /// Runs until the connection breaks; returns without an error when everybody who asks is gone. Who still waits is answered.
    async fn converse(&mut self, wire: &mut Wire) -> Result<Abandoned, Error> {
        let mut waiting = Waiting::new();
        let ended = self.serve(wire, &mut waiting).await;
        for (_, (_, asker)) in waiting {
            drop(asker.send(Err(match &ended {
                Err(Error::TimedOut(within)) => Error::TimedOut(*within),
                Err(Error::Fatal(fatal)) => Error::Fatal(fatal.clone()),
                _ => Error::Closed,
            })));
        }
        ended
    }

    async fn serve(&mut self, wire: &mut Wire, waiting: &mut Waiting) -> Result<Abandoned, Error> {
        let probe = self.times.probe;
        let mut probed = false;
        let mut silent_at = Instant::now() + probe;
        loop {
            let deadline = waiting.values().map(|(deadline, _)| *deadline).next();
            let wake = deadline.map_or(silent_at, |deadline| deadline.min(silent_at));
            tokio::select! {
                turn = wire.turn() => if let Turn::Heard(events) = turn.map_err(|broken| self.explain(broken))? {
                    (probed, silent_at) = (false, Instant::now() + probe);
                    self.tell(events, wire.session.cache(), waiting);
                },
                command = self.commands.recv() => match command {
                    None => return Ok(Abandoned),
                    Some(Command::Steal) => wire.session.steal(),
                    Some(Command::Transact { answer, .. }) if !self.view.borrow().connected => {
                        drop(answer.send(Err(Error::Disconnected)));
                    }
                    Some(Command::Transact { transaction, deadline, answer }) => {
                        waiting.insert(wire.session.transact(transaction), (deadline, answer));
                    }
                },
                () = sleep_until(wake) => {
                    if deadline.is_some_and(|deadline| deadline <= wake) {
                        return Err(Error::TimedOut(self.times.answer));
                    }
                    if probed {
                        return Err(Error::TimedOut(probe));
                    }
                    wire.session.echo();
                    (probed, silent_at) = (true, Instant::now() + probe);
                }
            }
        }
    }

    /// TLS tells after the handshake, too, that a certificate is refused.
    fn explain(&self, broken: Broken) -> Error {
        match (broken, &self.server.files) {
            (Broken::Fatal(fatal), _) => Error::Fatal(fatal),
            (Broken::Socket(error), Some(files)) if error.kind() == io::ErrorKind::InvalidData => {
                Error::Tls { endpoint: self.server.endpoint.clone(), why: explain(files, &error) }
            }
            (Broken::Socket(_) | Broken::Ended, _) => Error::Closed,
        }
    }

    /// Publishes what changed, once for everything that came together, before those who asked for it are answered.
    fn tell(&self, events: Vec<Event>, cache: &Cache, waiting: &mut Waiting) {
        let mut answers = Vec::new();
        let mut lock = None;
        let mut changed = false;
        for event in events {
            match event {
                Event::Changed => changed = true,
                Event::Lock(now) => lock = Some(now),
                Event::Transacted(id, answer) => answers.push((id, answer)),
                Event::Alive => {}
            }
        }
        if changed || lock.is_some() {
            self.view.send_modify(|view| {
                if changed {
                    view.connections += u64::from(!view.connected);
                    view.connected = true;
                    view.cache = cache.clone();
                    view.error = None;
                }
                view.lock = lock.unwrap_or(view.lock);
            });
        }
        for (id, answer) in answers {
            if let Some((_, asker)) = waiting.remove(&id) {
                drop(asker.send(answer.map_err(Error::from)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_a_layer_below_holds_back_is_sent_at_last() {
        let (near, mut far) = tokio::io::duplex(1 << 16);
        // It passes nothing on until it is told to, as TLS does where its socket is full.
        let layer = tokio::io::BufStream::new(near);
        let interest = Interest { tables: &[], lock: None };
        let mut wire = Wire::new(Box::new(layer), Session::new(interest, Memory::default()));
        let turns = async {
            while let Ok(Turn::Sent) = wire.turn().await {}
            panic!("the conversation ends")
        };
        let mut first = [0];
        tokio::select! {
            () = turns => {}
            read = timeout(Duration::from_secs(5), far.read_exact(&mut first)) => {
                read.expect("it is sent").unwrap();
                assert_eq!(&first, b"{");
            }
        }
    }
}
