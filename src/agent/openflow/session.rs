//! One conversation with a switch, without the socket.
//!
//! In: bytes of the switch, and requests. Out: bytes for the switch, and [`Event`]s: the switch is ready, a request is answered or refused, a
//! port changed, somebody else changed flows. PURE; `connection` moves the bytes and keeps the time.

use std::collections::BTreeMap;
use std::fmt;

use super::request::{self, BundleControl};
use super::{
    Features, FlowEntry, FlowFilter, FlowMod, FlowUpdate, Frame, Framing, Malformed, Message, PortDescription,
    PortReason, PortStatistics, SwitchError, TooLong,
};

/// More entries of one answer are refused: a switch of a card holds far fewer flows.
const MOST_ENTRIES: usize = 1 << 21;

/// Names a request; the first xid it uses.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct RequestId(u32);

/// What is asked of a switch.
#[derive(Clone, Debug)]
pub enum Request {
    /// Its flows.
    Flows(FlowFilter),
    /// These changes, in order, all or none.
    Bundle(Vec<FlowMod>),
    /// That everything before has happened.
    Barrier,
    /// To be told when somebody else changes its flows.
    Watch,
    /// Its ports.
    Ports,
    /// Counters of one port, or of all.
    PortStatistics(Option<u32>),
    /// A sign of life.
    Echo,
}

/// The answer to a [`Request`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Reply {
    /// To `Flows`, every part of it.
    Flows(Vec<FlowEntry>),
    /// To `Ports`.
    Ports(Vec<PortDescription>),
    /// To `PortStatistics`.
    PortStatistics(Vec<PortStatistics>),
    /// To `Bundle`, `Watch`, `Barrier` and `Echo`.
    Done,
}

/// The switch does not do what was asked. Of a bundle, nothing has happened.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Refused {
    /// What was asked.
    pub asked: String,
    /// Each thing the switch has against it: place in the bundle, what was sent, error.
    pub errors: Vec<(Option<usize>, String, SwitchError)>,
}

impl fmt::Display for Refused {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "the switch refuses {}", self.asked)?;
        for (_, sent, error) in &self.errors {
            write!(out, "; {error}")?;
            if *sent != self.asked {
                write!(out, " for `{sent}`")?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for Refused {}

/// The conversation is over.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Fatal {
    /// What came is no OpenFlow.
    #[error("the switch sent something that is no OpenFlow 1.4: {0}")]
    Malformed(#[from] Malformed),
    /// No common version.
    #[error(
        "the bridge speaks OpenFlow {offered}, and not 1.4; add OpenFlow14 to its `protocols`, or clear that column"
    )]
    Version {
        /// What it speaks.
        offered: String,
    },
    /// It refuses to be set up.
    #[error("the switch refuses the beginning of the conversation: {0}")]
    Handshake(SwitchError),
    /// The first message is no hello.
    #[error("the switch sent message type {kind} before its hello")]
    NoHello {
        /// `OFPT_*`.
        kind: u8,
    },
}

/// What came of the bytes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Event {
    /// Requests are answered from here on.
    Ready(Features),
    /// A request is answered.
    Answered(RequestId, Result<Reply, Refused>),
    /// A port came, went or changed.
    Port(PortReason, PortDescription),
    /// Somebody else has changed flows.
    FlowsChanged,
}

#[derive(Debug)]
enum Pending {
    Collecting { asked: &'static str, so_far: Reply },
    Simple { asked: &'static str },
    Bundle(Bundle),
}

/// A bundle uses the xids from its `RequestId`: open, one per change, barrier, and the end (commit or discard).
#[derive(Debug)]
struct Bundle {
    changes: Vec<FlowMod>,
    errors: Vec<(Option<usize>, String, SwitchError)>,
    discarding: bool,
}

#[derive(Debug)]
enum Stage {
    Hello,
    /// Until the barrier with this xid.
    SettingUp(u32, Option<Features>),
    Ready,
}

/// One conversation.
#[derive(Debug)]
pub struct Session {
    framing: Framing,
    outgoing: Vec<u8>,
    next_xid: u32,
    stage: Stage,
    pending: BTreeMap<u32, Pending>,
}

impl Default for Session {
    fn default() -> Self {
        Self::new()
    }
}

impl Session {
    /// Begins with a hello.
    #[must_use]
    pub fn new() -> Self {
        Self {
            framing: Framing::new(),
            outgoing: request::hello(1),
            next_xid: 2,
            stage: Stage::Hello,
            pending: BTreeMap::new(),
        }
    }

    /// The bytes for the switch since the last call.
    pub fn take_outgoing(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.outgoing)
    }

    /// Asks something; [`Event::Answered`] with the same id answers it.
    ///
    /// # Errors
    /// A change of a bundle that no message can hold; then nothing of it is sent.
    pub fn ask(&mut self, request: Request) -> Result<RequestId, TooLong> {
        if self.next_xid > u32::MAX / 2 && self.pending.is_empty() {
            self.next_xid = 2;
        }
        let first = self.next_xid;
        let mut used = 1;
        let (bytes, pending) = match request {
            Request::Flows(filter) => (
                request::flows(first, filter),
                Pending::Collecting { asked: "to read its flows", so_far: Reply::Flows(Vec::new()) },
            ),
            Request::Ports => (
                request::ports(first),
                Pending::Collecting { asked: "to read its ports", so_far: Reply::Ports(Vec::new()) },
            ),
            Request::PortStatistics(ofport) => (
                request::port_statistics(first, ofport),
                Pending::Collecting { asked: "to read counters", so_far: Reply::PortStatistics(Vec::new()) },
            ),
            Request::Watch => (request::flow_monitor(first), Pending::Simple { asked: "to be told of its flows" }),
            Request::Barrier => (request::barrier(first), Pending::Simple { asked: "a barrier" }),
            Request::Echo => (request::echo_request(first), Pending::Simple { asked: "an echo" }),
            Request::Bundle(changes) => {
                used = u32::try_from(changes.len()).unwrap_or(u32::MAX).saturating_add(3);
                let mut bytes = request::bundle_control(first, first, BundleControl::Open);
                for (xid, change) in (first + 1..).zip(&changes) {
                    bytes.extend(request::bundle_add(xid, first, change)?);
                }
                bytes.extend(request::barrier(first + used - 2));
                (bytes, Pending::Bundle(Bundle { changes, errors: Vec::new(), discarding: false }))
            }
        };
        self.next_xid = first.saturating_add(used);
        self.outgoing.extend(bytes);
        self.pending.insert(first, pending);
        Ok(RequestId(first))
    }

    /// Takes bytes of the switch, and says what came of them.
    ///
    /// # Errors
    /// When the conversation cannot go on.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<Vec<Event>, Fatal> {
        self.framing.push(bytes);
        let mut events = Vec::new();
        while let Some(frame) = self.framing.next_frame()? {
            events.extend(self.message(&frame)?);
        }
        Ok(events)
    }

    fn message(&mut self, frame: &Frame) -> Result<Option<Event>, Fatal> {
        let (xid, message) = (frame.xid, Message::decode(frame)?);
        if let Message::EchoRequest(data) = &message {
            self.outgoing.extend(request::echo_reply(xid, data));
            return Ok(None);
        }
        match (&mut self.stage, message) {
            (Stage::Hello, Message::Hello(hello)) if hello.allows_1_4() => {
                self.set_up();
                Ok(None)
            }
            (Stage::Hello, Message::Hello(hello)) => Err(Fatal::Version { offered: hello.offered() }),
            (Stage::Hello | Stage::SettingUp(..), Message::Error(error)) => Err(Fatal::Handshake(error)),
            (Stage::Hello, _) => Err(Fatal::NoHello { kind: frame.kind }),
            (Stage::SettingUp(_, features), Message::Features(found)) => {
                *features = Some(found);
                Ok(None)
            }
            (Stage::SettingUp(barrier, features), Message::Barrier) if *barrier == xid => {
                let ready = features.take().map(Event::Ready);
                self.stage = Stage::Ready;
                Ok(ready)
            }
            (_, Message::PortStatus(reason, port)) => Ok(Some(Event::Port(reason, port))),
            // What is told unasked has no number.
            (_, Message::FlowUpdates(updates, _)) if xid == 0 => {
                let changed = updates.into_iter().any(FlowUpdate::is_a_change);
                Ok(changed.then_some(Event::FlowsChanged))
            }
            (_, message) => self.answer(xid, message),
        }
    }

    fn set_up(&mut self) {
        let first = self.next_xid;
        self.outgoing.extend(request::features(first));
        self.outgoing.extend(request::set_config(first + 1));
        self.outgoing.extend(request::set_async(first + 2));
        self.outgoing.extend(request::barrier(first + 3));
        self.stage = Stage::SettingUp(first + 3, None);
        self.next_xid += 4;
    }

    /// Looks for the request whose xids hold this one. What nobody waits for is dropped.
    fn answer(&mut self, xid: u32, message: Message) -> Result<Option<Event>, Fatal> {
        let Some((&first, pending)) = self.pending.range_mut(..=xid).next_back() else { return Ok(None) };
        let id = RequestId(first);
        if let Pending::Bundle(bundle) = pending {
            let Some(answer) = bundle.answer(first, xid, message, &mut self.outgoing) else { return Ok(None) };
            self.pending.remove(&first);
            return Ok(Some(Event::Answered(id, answer)));
        }
        if first != xid {
            return Ok(None);
        }
        let answer = match (pending, message) {
            (Pending::Collecting { asked, .. } | Pending::Simple { asked }, Message::Error(error)) => {
                Err(Refused { asked: (*asked).to_owned(), errors: vec![(None, (*asked).to_owned(), error)] })
            }
            (Pending::Simple { .. }, Message::Barrier | Message::EchoReply | Message::FlowUpdates(_, false)) => {
                Ok(Reply::Done)
            }
            (Pending::Collecting { so_far, .. }, message) => match collect(so_far, message)? {
                true => return Ok(None),
                false => Ok(std::mem::replace(so_far, Reply::Done)),
            },
            _ => return Ok(None),
        };
        self.pending.remove(&first);
        Ok(Some(Event::Answered(id, answer)))
    }
}

impl Bundle {
    /// The answer to the whole bundle, once it is there. All changes are with the switch before it commits: a change it refuses would else be
    /// left out of a commit that works.
    fn answer(&mut self, first: u32, xid: u32, message: Message, out: &mut Vec<u8>) -> Option<Result<Reply, Refused>> {
        let changes = u32::try_from(self.changes.len()).unwrap_or(u32::MAX);
        let (barrier, end) = (first + changes + 1, first + changes + 2);
        match message {
            Message::Error(error) if xid <= end => {
                let index = xid.checked_sub(first + 1).and_then(|index| usize::try_from(index).ok());
                let change = index.and_then(|index| self.changes.get(index));
                let sent = change.map_or_else(|| self.asked(), ToString::to_string);
                self.errors.push((index.filter(|_| change.is_some()), sent, error));
                (xid == end).then(|| Err(self.refused()))
            }
            Message::Barrier if xid == barrier => {
                self.discarding = !self.errors.is_empty();
                let control = if self.discarding { BundleControl::Discard } else { BundleControl::Commit };
                out.extend(request::bundle_control(end, first, control));
                None
            }
            Message::Bundle { .. } if xid == end => {
                Some(if self.discarding { Err(self.refused()) } else { Ok(Reply::Done) })
            }
            _ => None,
        }
    }

    fn asked(&self) -> String {
        format!("a bundle of {} changes", self.changes.len())
    }

    fn refused(&mut self) -> Refused {
        Refused { asked: self.asked(), errors: std::mem::take(&mut self.errors) }
    }
}

/// Adds a part of an answer; whether more follow. Another message with the same xid changes nothing.
fn collect(so_far: &mut Reply, message: Message) -> Result<bool, Malformed> {
    let (length, more) = match (so_far, message) {
        (Reply::Flows(all), Message::Flows(part, more)) => (append(all, part), more),
        (Reply::Ports(all), Message::Ports(part, more)) => (append(all, part), more),
        (Reply::PortStatistics(all), Message::PortStatistics(part, more)) => (append(all, part), more),
        _ => (0, true),
    };
    if length > MOST_ENTRIES { Err(Malformed::TooMany { limit: MOST_ENTRIES }) } else { Ok(more) }
}

fn append<T>(all: &mut Vec<T>, mut part: Vec<T>) -> usize {
    all.append(&mut part);
    all.len()
}
