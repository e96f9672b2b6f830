//! Messages for the switch.
//!
//! In: what is asked, and the number that ties the answer to it (xid). Out: bytes of whole messages. PURE.

use std::fmt;

use super::VERSION;
use super::wire::Put;
use super::{action, oxm};
use crate::agent::flow::{Flow, Match};

/// `OFPT_*`.
pub(super) mod kind {
    pub(in super::super) const HELLO: u8 = 0;
    pub(in super::super) const ERROR: u8 = 1;
    pub(in super::super) const ECHO_REQUEST: u8 = 2;
    pub(in super::super) const ECHO_REPLY: u8 = 3;
    pub(in super::super) const FEATURES_REQUEST: u8 = 5;
    pub(in super::super) const FEATURES_REPLY: u8 = 6;
    pub(in super::super) const SET_CONFIG: u8 = 9;
    pub(in super::super) const PORT_STATUS: u8 = 12;
    pub(in super::super) const FLOW_MOD: u8 = 14;
    pub(in super::super) const MULTIPART_REQUEST: u8 = 18;
    pub(in super::super) const MULTIPART_REPLY: u8 = 19;
    pub(in super::super) const BARRIER_REQUEST: u8 = 20;
    pub(in super::super) const BARRIER_REPLY: u8 = 21;
    pub(in super::super) const SET_ASYNC: u8 = 28;
    pub(in super::super) const BUNDLE_CONTROL: u8 = 33;
    pub(in super::super) const BUNDLE_ADD: u8 = 34;
}

/// `OFPMP_*`.
pub(super) mod multipart {
    pub(in super::super) const FLOW: u16 = 1;
    pub(in super::super) const PORT_STATS: u16 = 4;
    pub(in super::super) const PORT_DESC: u16 = 13;
    pub(in super::super) const FLOW_MONITOR: u16 = 16;
}

/// `OFPBCT_*`: requests; the reply is one more.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum BundleControl {
    Open = 0,
    Commit = 4,
    Discard = 6,
}

/// Whole or not at all, and in the order of the messages.
const BUNDLE_ATOMIC_ORDERED: u16 = 3;
/// Any port, group, table and buffer.
const ANY: u32 = 0xffff_ffff;
const ANY_TABLE: u8 = 0xff;
/// What Open vSwitch's own tools send where no priority is meant.
const DEFAULT_PRIORITY: u16 = 0x8000;

/// One change of the flows.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum FlowMod {
    /// Adds it, over one with the same table, priority and match, whosever it is.
    Add(Flow),
    /// Gives the flow with this table, priority, match and cookie these actions; counters and time-outs stay. Nothing where there is none.
    ModifyStrict(Flow),
    /// Removes the flow with this table, priority, match and cookie. Nothing where there is none.
    DeleteStrict(Flow),
    /// Removes every flow, of any table, whose cookie has the bits of `mask` as in `cookie`; learned ones too.
    DeleteCookie {
        /// The bits.
        cookie: u64,
        /// Which bits.
        mask: u64,
    },
}

impl fmt::Display for FlowMod {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Add(flow) => write!(out, "add {flow}"),
            Self::ModifyStrict(flow) => write!(out, "modify {flow}"),
            Self::DeleteStrict(flow) => write!(out, "delete {flow}"),
            Self::DeleteCookie { cookie, mask } => write!(out, "delete cookie={cookie:#x}/{mask:#x}"),
        }
    }
}

/// Which flows are read: those whose cookie has the bits of `mask` as in `cookie`. The default is every flow.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct FlowFilter {
    /// The bits.
    pub cookie: u64,
    /// Which bits.
    pub mask: u64,
}

/// A message has 16 bits for its length.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a message of {length} bytes, of at most 65535: {what}")]
pub struct TooLong {
    /// Bytes it would have.
    pub length: usize,
    /// What it says.
    pub what: String,
}

/// A message: its body is what `body` appends.
fn message(kind: u8, xid: u32, body: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = vec![VERSION, kind, 0, 0];
    out.put_u32(xid);
    body(&mut out);
    out.set_length(0, 2);
    out
}

/// Offers 1.4 and nothing else.
pub(super) fn hello(xid: u32) -> Vec<u8> {
    message(kind::HELLO, xid, |out| {
        out.put_u16(1);
        out.put_u16(8);
        out.put_u32(1 << VERSION);
    })
}

pub(super) fn features(xid: u32) -> Vec<u8> {
    message(kind::FEATURES_REQUEST, xid, |_| {})
}

pub(super) fn barrier(xid: u32) -> Vec<u8> {
    message(kind::BARRIER_REQUEST, xid, |_| {})
}

pub(super) fn echo_request(xid: u32) -> Vec<u8> {
    message(kind::ECHO_REQUEST, xid, |_| {})
}

/// Gives back what was sent along.
pub(super) fn echo_reply(xid: u32, data: &[u8]) -> Vec<u8> {
    message(kind::ECHO_REPLY, xid, |out| out.extend_from_slice(data))
}

/// A `.mgmt` connection is told of ports only once it has a `miss_send_len` (`ofproto.c`).
pub(super) fn set_config(xid: u32) -> Vec<u8> {
    message(kind::SET_CONFIG, xid, |out| {
        out.put_u16(0);
        out.put_u16(128);
    })
}

/// Every port-status (`OFPACPT_PORT_STATUS_MASTER`), and no packet, removed flow or anything else.
pub(super) fn set_async(xid: u32) -> Vec<u8> {
    const PACKET_IN: u16 = 1;
    const PORT_STATUS: u16 = 3;
    const FLOW_REMOVED: u16 = 5;
    message(kind::SET_ASYNC, xid, |out| {
        for (property, reasons) in [(PACKET_IN, 0), (PORT_STATUS, 0b111), (FLOW_REMOVED, 0)] {
            out.put_u16(property);
            out.put_u16(8);
            out.put_u32(reasons);
        }
    })
}

fn multipart(xid: u32, kind: u16, body: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    message(kind::MULTIPART_REQUEST, xid, |out| {
        out.put_u16(kind);
        out.put_zeros(6);
        body(out);
    })
}

pub(super) fn flows(xid: u32, filter: FlowFilter) -> Vec<u8> {
    multipart(xid, multipart::FLOW, |out| {
        out.put_u8(ANY_TABLE);
        out.put_zeros(3);
        out.put_u32(ANY);
        out.put_u32(ANY);
        out.put_zeros(4);
        out.put_u64(filter.cookie);
        out.put_u64(filter.mask);
        oxm::put_match(out, &Match::default());
    })
}

/// To be told of flows that come, go and change from now on, without their actions; of what this connection does, only that it did.
pub(super) fn flow_monitor(xid: u32) -> Vec<u8> {
    const ADDED: u16 = 1 << 1;
    const REMOVED: u16 = 1 << 2;
    const MODIFIED: u16 = 1 << 3;
    const ADD_MONITOR: u8 = 0;
    multipart(xid, multipart::FLOW_MONITOR, |out| {
        out.put_u32(1);
        out.put_u32(ANY);
        out.put_u32(ANY);
        out.put_u16(ADDED | REMOVED | MODIFIED);
        out.put_u8(ANY_TABLE);
        out.put_u8(ADD_MONITOR);
        oxm::put_match(out, &Match::default());
    })
}

pub(super) fn ports(xid: u32) -> Vec<u8> {
    multipart(xid, multipart::PORT_DESC, |_| {})
}

/// `None`: of every port.
pub(super) fn port_statistics(xid: u32, ofport: Option<u32>) -> Vec<u8> {
    multipart(xid, multipart::PORT_STATS, |out| {
        out.put_u32(ofport.unwrap_or(ANY));
        out.put_zeros(4);
    })
}

pub(super) fn bundle_control(xid: u32, bundle: u32, control: BundleControl) -> Vec<u8> {
    message(kind::BUNDLE_CONTROL, xid, |out| {
        out.put_u32(bundle);
        out.put_u16(control as u16);
        out.put_u16(BUNDLE_ATOMIC_ORDERED);
    })
}

/// The message within has the same xid, as Open vSwitch demands.
pub(super) fn bundle_add(xid: u32, bundle: u32, change: &FlowMod) -> Result<Vec<u8>, TooLong> {
    let out = message(kind::BUNDLE_ADD, xid, |out| {
        out.put_u32(bundle);
        out.put_u16(0);
        out.put_u16(BUNDLE_ATOMIC_ORDERED);
        out.extend(flow_mod(xid, change));
    });
    if out.len() > usize::from(u16::MAX) {
        return Err(TooLong { length: out.len(), what: change.to_string() });
    }
    Ok(out)
}

pub(super) fn flow_mod(xid: u32, change: &FlowMod) -> Vec<u8> {
    let all = Flow { table: ANY_TABLE, priority: DEFAULT_PRIORITY, ..Flow::default() };
    let (command, flow, cookie, mask) = match change {
        FlowMod::Add(flow) => (0, flow, flow.cookie, 0),
        FlowMod::ModifyStrict(flow) => (2, flow, flow.cookie, u64::MAX),
        FlowMod::DeleteStrict(flow) => (4, flow, flow.cookie, u64::MAX),
        FlowMod::DeleteCookie { cookie, mask } => (3, &all, *cookie, *mask),
    };
    let changes = matches!(change, FlowMod::Add(_) | FlowMod::ModifyStrict(_));
    message(kind::FLOW_MOD, xid, |out| {
        out.put_u64(cookie);
        out.put_u64(mask);
        out.put_u8(flow.table);
        out.put_u8(command);
        out.put_u16(flow.idle_timeout);
        out.put_u16(flow.hard_timeout);
        out.put_u16(flow.priority);
        out.put_u32(ANY);
        out.put_u32(ANY);
        out.put_u32(ANY);
        out.put_u16(if changes { flow.flags } else { 0 });
        out.put_zeros(2);
        oxm::put_match(out, &flow.matches);
        if changes {
            action::put_instructions(out, &flow.actions);
        }
    })
}
