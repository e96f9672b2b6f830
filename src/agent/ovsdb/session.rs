//! One conversation with a database server, without the socket.
//!
//! In: bytes of the server, and requests. Out: bytes for the server, and [`Event`]s. What outlives a conversation (rows, and how far they are
//! known) is [`Memory`], which the next one takes up. PURE; `connection` moves the bytes and keeps the time.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use super::cache::Form;
use super::{Cache, DATABASE, Framing, InvalidValue, NotJson, Outcome, TransactError, Transaction};
use crate::agent::observed::MonitoredTable;

/// What is known of the database.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    /// Every monitored row.
    pub cache: Cache,
    /// The transaction up to which it is known; a server that still has it tells only what came after.
    pub last_transaction: Option<String>,
}

/// What is asked for from the beginning.
#[derive(Clone, Debug)]
pub struct Interest {
    /// Tables and columns.
    pub tables: &'static [MonitoredTable],
    /// A lock to hold: a name of letters, digits and `_`. One client of the server has it at a time.
    pub lock: Option<String>,
}

/// Names a request.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct RequestId(u64);

/// Whether this client holds the lock.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Lock {
    /// Nobody asked for it, or the server has not answered.
    #[default]
    Unknown,
    /// It is ours.
    Held,
    /// Another client has it; it is ours once that one lets it go.
    Waiting,
    /// Another client took it.
    Stolen,
}

/// The conversation is over.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Fatal {
    /// What came is no JSON.
    #[error("the database server sent {0}")]
    NotJson(#[from] NotJson),
    /// What came is no update.
    #[error("the database server sent an update that cannot be read: {0}")]
    Update(#[from] InvalidValue),
    /// It refuses to tell.
    #[error("the database server refuses to monitor: {0}")]
    Monitor(String),
    /// It has stopped telling: the database is gone, or another one.
    #[error("the database server has cancelled the monitor")]
    Cancelled,
}

/// What came of the bytes.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Rows changed; the first of a conversation says that they are known.
    Changed,
    /// The lock changed hands.
    Lock(Lock),
    /// A transaction is answered. What it changed is in the cache already.
    Transacted(RequestId, Result<Vec<Outcome>, Refused>),
    /// An echo came back.
    Alive,
}

/// Why a transaction did not happen as it should.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Refused {
    /// The database says no, or met other rows.
    #[error(transparent)]
    Transact(#[from] TransactError),
    /// The server did not understand the request.
    #[error("the database server refuses the request: {0}")]
    Request(String),
}

#[derive(Debug)]
enum Pending {
    Monitor(usize),
    Lock,
    Unlock,
    Steal,
    Echo,
    Transact(Transaction),
}

/// The ways to monitor, the best first; a server that does not know one says `unknown method`.
const MONITOR_METHODS: &[(&str, Form)] =
    &[("monitor_cond_since", Form::Changes), ("monitor_cond", Form::Changes), ("monitor", Form::Whole)];

/// Our name of the monitor.
const MONITOR: &str = "dpu-agent";

/// One conversation.
#[derive(Debug)]
pub struct Session {
    framing: Framing,
    outgoing: Vec<u8>,
    next_id: u64,
    pending: BTreeMap<u64, Pending>,
    interest: Interest,
    memory: Memory,
}

impl Session {
    /// Begins with the lock and the monitor.
    #[must_use]
    pub fn new(interest: Interest, memory: Memory) -> Self {
        let mut session = Self {
            framing: Framing::new(),
            outgoing: Vec::new(),
            next_id: 1,
            pending: BTreeMap::new(),
            interest,
            memory,
        };
        if let Some(lock) = session.interest.lock.clone() {
            session.send("lock", &json!([lock]), Pending::Lock);
        }
        session.monitor(0);
        session
    }

    /// What is known.
    #[must_use]
    pub fn cache(&self) -> &Cache {
        &self.memory.cache
    }

    /// What the next conversation takes up.
    #[must_use]
    pub fn into_memory(self) -> Memory {
        self.memory
    }

    /// The bytes for the server since the last call.
    pub fn take_outgoing(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.outgoing)
    }

    /// Asks for a transaction; [`Event::Transacted`] with the same id answers it.
    pub fn transact(&mut self, transaction: Transaction) -> RequestId {
        let parameters = transaction.to_json(DATABASE);
        self.send("transact", &parameters, Pending::Transact(transaction))
    }

    /// Takes the lock from whoever has it.
    pub fn steal(&mut self) {
        if let Some(lock) = self.interest.lock.clone() {
            // Who waits for a lock must leave the queue before it may ask again.
            self.send("unlock", &json!([lock]), Pending::Unlock);
            self.send("steal", &json!([lock]), Pending::Steal);
        }
    }

    /// Asks for a sign of life.
    pub fn echo(&mut self) {
        self.send("echo", &json!([]), Pending::Echo);
    }

    fn send(&mut self, method: &str, parameters: &Json, pending: Pending) -> RequestId {
        let id = self.next_id;
        self.next_id += 1;
        self.put(&json!({"method": method, "params": parameters, "id": id}));
        self.pending.insert(id, pending);
        RequestId(id)
    }

    fn put(&mut self, message: &Json) {
        self.outgoing.extend(message.to_string().into_bytes());
    }

    fn monitor(&mut self, way: usize) {
        let (method, form) = MONITOR_METHODS[way];
        let tables: serde_json::Map<String, Json> = self
            .interest
            .tables
            .iter()
            .map(|table| {
                let columns: Vec<&str> = table.columns.iter().map(|(name, _)| *name).collect();
                (
                    table.name.to_owned(),
                    if form == Form::Whole { json!({"columns": columns}) } else { json!([{"columns": columns}]) },
                )
            })
            .collect();
        let mut parameters = vec![json!(DATABASE), json!(MONITOR), Json::Object(tables)];
        if way == 0 {
            let unknown = "00000000-0000-0000-0000-000000000000";
            parameters.push(json!(self.memory.last_transaction.as_deref().unwrap_or(unknown)));
        }
        self.send(method, &Json::Array(parameters), Pending::Monitor(way));
    }

    /// Takes bytes of the server, and says what came of them.
    ///
    /// # Errors
    /// When the conversation cannot go on.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<Vec<Event>, Fatal> {
        self.framing.push(bytes);
        let mut events = Vec::new();
        while let Some(message) = self.framing.next_message()? {
            let event = match message["method"].as_str() {
                Some(method) => self.notification(method, &message)?,
                None => self.answer(&message)?,
            };
            events.extend(event);
        }
        Ok(events)
    }

    fn notification(&mut self, method: &str, message: &Json) -> Result<Option<Event>, Fatal> {
        let parameters = &message["params"];
        let ours = parameters[0].as_str() == Some(MONITOR);
        match method {
            "echo" => {
                self.put(&json!({"result": parameters, "error": null, "id": message["id"]}));
                Ok(None)
            }
            "update3" if ours => {
                self.apply(Form::Changes, &parameters[2])?;
                self.memory.last_transaction = parameters[1].as_str().map(str::to_owned);
                Ok(Some(Event::Changed))
            }
            "update2" if ours => self.apply(Form::Changes, &parameters[1]).map(|()| Some(Event::Changed)),
            "update" if ours => self.apply(Form::Whole, &parameters[1]).map(|()| Some(Event::Changed)),
            "monitor_canceled" if ours => Err(Fatal::Cancelled),
            "locked" if self.is_lock(parameters) => Ok(Some(Event::Lock(Lock::Held))),
            "stolen" if self.is_lock(parameters) => Ok(Some(Event::Lock(Lock::Stolen))),
            _ => Ok(None),
        }
    }

    fn is_lock(&self, parameters: &Json) -> bool {
        self.interest.lock.as_deref().is_some_and(|lock| parameters[0].as_str() == Some(lock))
    }

    fn apply(&mut self, form: Form, updates: &Json) -> Result<(), Fatal> {
        Ok(self.memory.cache.apply(self.interest.tables, form, updates)?)
    }

    /// What nobody waits for is dropped.
    fn answer(&mut self, message: &Json) -> Result<Option<Event>, Fatal> {
        let Some((id, pending)) = message["id"].as_u64().and_then(|id| Some((id, self.pending.remove(&id)?))) else {
            return Ok(None);
        };
        let (result, error) = (&message["result"], &message["error"]);
        match pending {
            Pending::Monitor(way) => self.monitored(way, result, error),
            Pending::Lock if result["locked"] == json!(true) => Ok(Some(Event::Lock(Lock::Held))),
            Pending::Lock => Ok(Some(Event::Lock(Lock::Waiting))),
            Pending::Steal => Ok(error.is_null().then_some(Event::Lock(Lock::Held))),
            Pending::Unlock => Ok(None),
            Pending::Echo => Ok(Some(Event::Alive)),
            Pending::Transact(transaction) => {
                let outcomes = if error.is_null() {
                    transaction.outcomes(result).map_err(Refused::from)
                } else {
                    Err(Refused::Request(error.to_string()))
                };
                Ok(Some(Event::Transacted(RequestId(id), outcomes)))
            }
        }
    }

    fn monitored(&mut self, way: usize, result: &Json, error: &Json) -> Result<Option<Event>, Fatal> {
        if !error.is_null() {
            let unknown = error.to_string().contains("unknown method");
            if !unknown || way + 1 >= MONITOR_METHODS.len() {
                return Err(Fatal::Monitor(error.to_string()));
            }
            self.monitor(way + 1);
            return Ok(None);
        }
        let (since, updates) = if way == 0 { (&result[0], &result[2]) } else { (&Json::Null, result) };
        if since != &json!(true) {
            self.memory.cache = Cache::default();
        }
        self.memory.last_transaction = result[1].as_str().filter(|_| way == 0).map(str::to_owned);
        self.apply(MONITOR_METHODS[way].1, updates)?;
        Ok(Some(Event::Changed))
    }
}
