//! A flow of a bridge as a value: what is matched, what is done, and what is learned.
//!
//! In: fields. Out: values that compare equal when Open vSwitch would do the same, as text ([`std::fmt::Display`]) and as JSON.
//! What is not modelled keeps its bytes (`Other`), so every flow of a switch has a value. PURE.

mod bytes;
mod text;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use bytes::{InvalidText, Mac, Raw};

/// OpenFlow's reserved port numbers that an `output` may name.
pub mod port {
    /// Back out of the port the packet came in by.
    pub const IN_PORT: u32 = 0xffff_fff8;
    /// The switch decides as a learning switch.
    pub const NORMAL: u32 = 0xffff_fffa;
    /// Every port but the one the packet came in by.
    pub const ALL: u32 = 0xffff_fffc;
    /// The connections of the bridge.
    pub const CONTROLLER: u32 = 0xffff_fffd;
    /// The bridge's own interface.
    pub const LOCAL: u32 = 0xffff_fffe;
}

/// One flow. Table, priority and match identify it; the rest is what it does.
#[derive(Clone, Debug, Default, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Flow {
    /// Table, 0 to 254.
    pub table: u8,
    /// The higher is looked at first.
    pub priority: u16,
    /// Whose it is.
    #[serde(with = "bytes::cookie")]
    pub cookie: u64,
    /// Seconds without a packet until it goes; 0: stays.
    #[serde(skip_serializing_if = "is_zero")]
    pub idle_timeout: u16,
    /// Seconds until it goes; 0: stays.
    #[serde(skip_serializing_if = "is_zero")]
    pub hard_timeout: u16,
    /// `OFPFF_*` of OpenFlow 1.4.
    #[serde(skip_serializing_if = "is_zero")]
    pub flags: u16,
    /// Which packets.
    pub matches: Match,
    /// What is done with them, in order; nothing: dropped.
    pub actions: Vec<Action>,
}

/// What a packet must have; a field that is not set matches every packet.
#[derive(Clone, Debug, Default, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Match {
    /// The ofport it came in by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_port: Option<u32>,
    /// Its outermost VLAN tag.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vlan: Option<VlanMatch>,
    /// Its destination address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eth_dst: Option<EthMatch>,
    /// Whole registers, by number.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub registers: BTreeMap<u8, u32>,
    /// Every other field: header, value and mask as OXM (`ofpmatch`), in byte order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub other: Vec<Raw>,
}

/// A VLAN tag, or none.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum VlanMatch {
    /// No tag.
    Untagged,
    /// A tag with this id, 0 to 4095, and any priority.
    Tagged(u16),
}

/// The bits of an Ethernet address that are compared.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(deny_unknown_fields, from = "EthFields")]
pub struct EthMatch {
    address: Mac,
    mask: Mac,
}

/// As written; [`EthMatch::masked`] clears what the mask leaves out.
#[derive(Deserialize)]
struct EthFields {
    address: Mac,
    mask: Mac,
}

impl From<EthFields> for EthMatch {
    fn from(fields: EthFields) -> Self {
        Self::masked(fields.address, fields.mask)
    }
}

impl EthMatch {
    /// Group addresses: broadcast and multicast.
    pub const GROUP: Self = Self { address: Mac([1, 0, 0, 0, 0, 0]), mask: Mac([1, 0, 0, 0, 0, 0]) };

    /// Exactly this address.
    #[must_use]
    pub const fn exact(address: Mac) -> Self {
        Self { address, mask: Mac::BROADCAST }
    }

    /// The bits of `address` that are set in `mask`.
    #[must_use]
    pub fn masked(address: Mac, mask: Mac) -> Self {
        let mut bits = address.0;
        for (bit, keep) in bits.iter_mut().zip(mask.0) {
            *bit &= keep;
        }
        Self { address: Mac(bits), mask }
    }

    /// The address; bits outside the mask are 0.
    #[must_use]
    pub const fn address(&self) -> Mac {
        self.address
    }

    /// The bits that are compared.
    #[must_use]
    pub const fn mask(&self) -> Mac {
        self.mask
    }
}

/// One thing done with a packet.
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Action {
    /// Out of this ofport, or one of [`port`] but [`port::IN_PORT`] and [`port::CONTROLLER`]. Nothing happens where the packet came
    /// in by that very port.
    Output(u32),
    /// Back out of the port it came in by.
    InPort,
    /// A tag of 802.1Q in front, with id 0 until it is set.
    PushVlan,
    /// The id of the outermost tag, 0 to 4095.
    SetVlan(u16),
    /// Tag control information as Open vSwitch's `vlan_tci`: with bit 0x1000 a tag is set (pushed if there is none), 0 takes it off. Only
    /// learned flows have it.
    SetVlanTci(u16),
    /// The outermost tag off.
    PopVlan,
    /// A whole register.
    SetRegister(u8, u32),
    /// Looked up in another table, then on with the next action (`resubmit(,table)`).
    Resubmit {
        /// That table.
        table: u8,
    },
    /// Adds a flow made of this packet.
    Learn(Learn),
    /// Any other action, whole.
    Other(Raw),
    /// An instruction other than apply-actions, whole; after the actions.
    Instruction(Raw),
}

/// The flow that a packet adds (Open vSwitch's `learn`).
#[derive(Clone, Debug, Default, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Learn {
    /// Of the learned flow.
    pub table: u8,
    /// Of the learned flow.
    pub priority: u16,
    /// Of the learned flow, seconds.
    #[serde(skip_serializing_if = "is_zero")]
    pub idle_timeout: u16,
    /// Of the learned flow, seconds.
    #[serde(skip_serializing_if = "is_zero")]
    pub hard_timeout: u16,
    /// Of the learned flow.
    #[serde(with = "bytes::cookie")]
    pub cookie: u64,
    /// Most flows that `table` holds with `cookie`; 0: no limit. Open vSwitch 2.8 or later where it is not 0.
    #[serde(skip_serializing_if = "is_zero")]
    pub limit: u32,
    /// What the learned flow matches.
    pub matches: Vec<LearnMatch>,
    /// What the learned flow sets, in order, before it puts out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub loads: Vec<LearnLoad>,
    /// Where the learned flow puts out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<LearnOutput>,
}

/// A field that the learned flow matches.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum LearnMatch {
    /// This ofport, 1 to 65279 (Open vSwitch's 16-bit numbers).
    InPort(u16),
    /// Destination = the source address of this packet.
    EthDstFromEthSrc,
    /// This tag, or none.
    Vlan(VlanMatch),
    /// This register with this value.
    Register(u8, u32),
    /// This register with the value it has now.
    RegisterCopy(u8),
}

/// A field that the learned flow sets.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum LearnLoad {
    /// As [`Action::SetVlanTci`].
    VlanTci(u16),
    /// This register to this value.
    Register(u8, u32),
    /// The first register to the value that the second has now.
    RegisterFrom(u8, u8),
}

/// Where a learned flow puts out.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum LearnOutput {
    /// The port that this packet came in by.
    InPort,
    /// The ofport that this register holds now.
    Register(u8),
}

/// What went through a flow, and for how long it is there.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FlowCounters {
    /// Packets.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
    /// Milliseconds since it was added.
    pub age_ms: u64,
}

impl Flow {
    /// The ofports that it names: where a packet comes in by, and where it goes out.
    pub fn ports(&self) -> impl Iterator<Item = u32> {
        let outputs = self.actions.iter().filter_map(|action| match action {
            Action::Output(ofport) => Some(*ofport),
            _ => None,
        });
        self.matches.in_port.into_iter().chain(outputs)
    }
}

impl Match {
    /// Packets of this port.
    #[must_use]
    pub fn in_port(ofport: u32) -> Self {
        Self { in_port: Some(ofport), ..Self::default() }
    }
}

/// Whether JSON leaves it out.
fn is_zero<T: Default + PartialEq>(number: &T) -> bool {
    *number == T::default()
}
