//! Messages of the switch.
//!
//! In: frames. Out: values. What is well-formed but not modelled is [`Message::Other`]. PURE.

use super::request::{kind, multipart};
use super::wire::{Cursor, Malformed};
use super::{Frame, SwitchError, VERSION};
use super::{action, oxm};
use crate::agent::flow::{Flow, FlowCounters, Mac};

/// A message of the switch.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Message {
    /// Which versions it speaks.
    Hello(Hello),
    /// It refuses something.
    Error(SwitchError),
    /// It wants its bytes back.
    EchoRequest(Vec<u8>),
    /// It is there.
    EchoReply,
    /// What it is.
    Features(Features),
    /// A port came, went or changed.
    PortStatus(PortReason, PortDescription),
    /// Everything before has happened.
    Barrier,
    /// It did with a bundle what was asked, by `OFPBCT_*`.
    Bundle {
        /// Number of the bundle.
        bundle: u32,
        /// Opened 1, closed 3, committed 5, discarded 7.
        kind: u16,
    },
    /// Flows, and whether more follow.
    Flows(Vec<FlowEntry>, bool),
    /// Ports, and whether more follow.
    Ports(Vec<PortDescription>, bool),
    /// Counters of ports, and whether more follow.
    PortStatistics(Vec<PortStatistics>, bool),
    /// Flows that changed, and whether more follow.
    FlowUpdates(Vec<FlowUpdate>, bool),
    /// Anything else, by its type.
    Other(u8),
}

/// Which versions a switch speaks.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Hello {
    /// The version byte of the message: the highest it speaks.
    pub version: u8,
    /// Bit n: version byte n; absent: every version up to `version`.
    pub bitmap: Option<u32>,
}

/// What a switch is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Features {
    /// Identity of the bridge.
    pub datapath_id: u64,
    /// How many tables there are.
    pub tables: u8,
}

/// A flow of the switch.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FlowEntry {
    /// The flow.
    pub flow: Flow,
    /// What went through it.
    pub counters: FlowCounters,
}

/// What became of a flow, or of being told.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FlowUpdate {
    /// It came, or changed.
    Put {
        /// Seconds without a packet after which it goes; 0: never.
        idle_timeout: u16,
    },
    /// It went.
    Removed {
        /// Because its time had come.
        timed_out: bool,
    },
    /// There was more to tell than could be sent; from here on it is told again.
    Resumed,
    /// What this connection did itself, and the rest.
    Other,
}

impl FlowUpdate {
    /// Whether somebody has changed the flows. What goes without packets is learned from packets, and goes like that.
    #[must_use]
    pub fn is_a_change(self) -> bool {
        match self {
            Self::Put { idle_timeout } => idle_timeout == 0,
            Self::Removed { timed_out } => !timed_out,
            Self::Resumed => true,
            Self::Other => false,
        }
    }
}

/// What happened to a port.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PortReason {
    /// It came.
    Added,
    /// It went.
    Deleted,
    /// It changed.
    Modified,
}

/// A port as OpenFlow knows it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PortDescription {
    /// Its number.
    pub ofport: u32,
    /// Its address.
    pub address: Mac,
    /// Its name; the first 15 bytes, so not more than a hint.
    pub name: String,
    /// Somebody took it down.
    pub admin_down: bool,
    /// There is no link.
    pub link_down: bool,
}

/// Counters of a port; `u64::MAX` where the switch does not count.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct PortStatistics {
    pub ofport: u32,
    pub rx_packets: u64,
    pub tx_packets: u64,
    pub rx_bytes: u64,
    pub tx_bytes: u64,
    pub rx_dropped: u64,
    pub tx_dropped: u64,
    pub rx_errors: u64,
    pub tx_errors: u64,
}

impl Hello {
    /// Whether the two sides can speak 1.4, when this side offers nothing else.
    #[must_use]
    pub fn allows_1_4(&self) -> bool {
        self.bitmap.map_or(self.version >= VERSION, |bitmap| bitmap & 1 << VERSION != 0)
    }

    /// The versions as people write them.
    #[must_use]
    pub fn offered(&self) -> String {
        match self.bitmap {
            None => format!("up to {}", super::version_name(self.version)),
            Some(bitmap) => {
                let offered: Vec<String> =
                    (1..=6).filter(|version| bitmap & 1 << version != 0).map(super::version_name).collect();
                if offered.is_empty() { "no version".to_owned() } else { offered.join(", ") }
            }
        }
    }
}

impl Message {
    /// Reads a whole message.
    ///
    /// # Errors
    /// Where a length in it goes past what holds it, or its version is another than 1.4 (hello and error aside, which come first).
    pub fn decode(frame: &Frame) -> Result<Self, Malformed> {
        if frame.version != VERSION && !matches!(frame.kind, kind::HELLO | kind::ERROR) {
            return Err(Malformed::Version { version: frame.version });
        }
        let mut body = Cursor::new(&frame.body, "message");
        Ok(match frame.kind {
            kind::HELLO => Self::Hello(Hello { version: frame.version, bitmap: bitmap(body)? }),
            kind::ERROR => {
                Self::Error(SwitchError { kind: body.u16()?, code: body.u16()?, data: body.rest().to_vec() })
            }
            kind::ECHO_REQUEST => Self::EchoRequest(frame.body.clone()),
            kind::ECHO_REPLY => Self::EchoReply,
            kind::FEATURES_REPLY => {
                let datapath_id = body.u64()?;
                body.take(4)?;
                Self::Features(Features { datapath_id, tables: body.u8()? })
            }
            kind::PORT_STATUS => {
                let reason = body.u8()?;
                body.take(7)?;
                let port = port_description(&mut body)?;
                match reason {
                    0 => Self::PortStatus(PortReason::Added, port),
                    1 => Self::PortStatus(PortReason::Deleted, port),
                    _ => Self::PortStatus(PortReason::Modified, port),
                }
            }
            kind::BARRIER_REPLY => Self::Barrier,
            kind::BUNDLE_CONTROL => Self::Bundle { bundle: body.u32()?, kind: body.u16()? },
            kind::MULTIPART_REPLY => multipart_reply(body)?,
            other => Self::Other(other),
        })
    }
}

/// The first element of a hello that is a bitmap of versions.
fn bitmap(mut body: Cursor<'_>) -> Result<Option<u32>, Malformed> {
    while !body.is_empty() {
        let mut element = body.sized("hello element", 2, 4)?;
        let length = element.rest().len();
        let padding = (length.next_multiple_of(8) - length).min(body.rest().len());
        body.take(padding)?;
        if element.u16()? == 1 && length >= 8 {
            element.u16()?;
            return element.u32().map(Some);
        }
    }
    Ok(None)
}

fn multipart_reply(mut body: Cursor<'_>) -> Result<Message, Malformed> {
    let kind = body.u16()?;
    let more = body.u16()? & 1 != 0;
    body.take(4)?;
    Ok(match kind {
        multipart::FLOW => Message::Flows(every(body, flow_entry)?, more),
        multipart::PORT_DESC => Message::Ports(every(body, port_description)?, more),
        multipart::FLOW_MONITOR => Message::FlowUpdates(every(body, flow_update)?, more),
        multipart::PORT_STATS => Message::PortStatistics(every(body, port_statistics)?, more),
        _ => Message::Other(kind::MULTIPART_REPLY),
    })
}

fn every<'a, T>(
    mut body: Cursor<'a>,
    one: impl Fn(&mut Cursor<'a>) -> Result<T, Malformed>,
) -> Result<Vec<T>, Malformed> {
    let mut all = Vec::new();
    while !body.is_empty() {
        all.push(one(&mut body)?);
    }
    Ok(all)
}

fn flow_entry(body: &mut Cursor<'_>) -> Result<FlowEntry, Malformed> {
    let mut entry = body.sized("flow entry", 0, 56)?;
    entry.take(2)?;
    let table = entry.u8()?;
    entry.take(1)?;
    let (seconds, nanoseconds) = (entry.u32()?, entry.u32()?);
    let (priority, idle_timeout, hard_timeout, flags) = (entry.u16()?, entry.u16()?, entry.u16()?, entry.u16()?);
    entry.take(4)?;
    let (cookie, packets, bytes) = (entry.u64()?, entry.u64()?, entry.u64()?);
    let matches = oxm::take_match(&mut entry)?;
    let actions = action::take_instructions(&mut entry)?;
    Ok(FlowEntry {
        flow: Flow { table, priority, cookie, idle_timeout, hard_timeout, flags, matches, actions },
        counters: FlowCounters {
            packets,
            bytes,
            age_ms: u64::from(seconds) * 1000 + u64::from(nanoseconds / 1_000_000),
        },
    })
}

fn flow_update(body: &mut Cursor<'_>) -> Result<FlowUpdate, Malformed> {
    let mut update = body.sized("flow update", 0, 8)?;
    update.take(2)?;
    let event = update.u16()?;
    if !(1..=3).contains(&event) {
        return Ok(if event == 6 { FlowUpdate::Resumed } else { FlowUpdate::Other });
    }
    update.take(1)?;
    let (reason, idle_timeout) = (update.u8()?, update.u16()?);
    // 0: no packet for too long; 1: too old.
    Ok(if event == 2 { FlowUpdate::Removed { timed_out: reason <= 1 } } else { FlowUpdate::Put { idle_timeout } })
}

fn port_description(body: &mut Cursor<'_>) -> Result<PortDescription, Malformed> {
    let mut port = body.sized("port", 4, 40)?;
    let ofport = port.u32()?;
    port.take(4)?;
    let address = Mac(port.mac()?);
    port.take(2)?;
    let name = port.take(16)?;
    let end = name.iter().position(|byte| *byte == 0).unwrap_or(name.len());
    let (config, state) = (port.u32()?, port.u32()?);
    Ok(PortDescription {
        ofport,
        address,
        name: String::from_utf8_lossy(&name[..end]).into_owned(),
        admin_down: config & 1 != 0,
        link_down: state & 1 != 0,
    })
}

fn port_statistics(body: &mut Cursor<'_>) -> Result<PortStatistics, Malformed> {
    let mut port = body.sized("port statistics", 0, 80)?;
    port.take(4)?;
    let ofport = port.u32()?;
    port.take(8)?;
    Ok(PortStatistics {
        ofport,
        rx_packets: port.u64()?,
        tx_packets: port.u64()?,
        rx_bytes: port.u64()?,
        tx_bytes: port.u64()?,
        rx_dropped: port.u64()?,
        tx_dropped: port.u64()?,
        rx_errors: port.u64()?,
        tx_errors: port.u64()?,
    })
}
