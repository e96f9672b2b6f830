//! `DPUNodeNetworkStatus`: what the agent of one node says. PURE.
//!
//! In: nothing. Out: the type, and with it the schema. The object has no `spec`: nobody asks for it, it is what is there. Its
//! name is that of the node.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::details::{ChainDetails, Condition, InterfaceDetails};

/// Group of our own kinds.
pub const GROUP: &str = "dpu-render.dev";
/// Version of our own kinds.
pub const VERSION: &str = "v1alpha1";
/// The kind.
pub const KIND: &str = "DPUNodeNetworkStatus";
/// Its name in paths.
pub const PLURAL: &str = "dpunodenetworkstatuses";

/// The network of a DPU as its agent finds it.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeStatus {
    /// `Ready`, `SwitchConnected`, `InterfacesReady`, `ChainsReady`.
    #[serde(default)]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// The program that writes this.
    #[serde(default)]
    pub agent: Agent,
    /// The switch.
    #[serde(default)]
    pub switch: SwitchStatus,
    /// Counts, as people read them.
    #[serde(default)]
    pub summary: Summary,
    /// The interfaces of the node; those with something wrong first where not all fit.
    #[serde(default)]
    #[schemars(
        length(max = 512),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["namespace", "name"])
    )]
    pub interfaces: Vec<InterfaceEntry>,
    /// The chains of the node; those with something wrong first where not all fit.
    #[serde(default)]
    #[schemars(
        length(max = 512),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["namespace", "name"])
    )]
    pub chains: Vec<ChainEntry>,
    /// What is of others and in the way of ours: it is left alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 512))]
    pub conflicts: Vec<Conflict>,
    /// What the agent could not read, or reach.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 512))]
    pub problems: Vec<Trouble>,
    /// How many did not fit.
    #[serde(default, skip_serializing_if = "Omitted::is_none")]
    pub omitted: Omitted,
    /// Counters at one moment; written only along with something else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample: Option<Sample>,
}

/// The program that writes a status.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub struct Agent {
    /// Its version.
    #[serde(default)]
    pub version: String,
}

/// The switch.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SwitchStatus {
    /// The bridge of the chains.
    #[serde(default)]
    pub bridge: String,
    /// Version of Open vSwitch, where it says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ovs_version: Option<String>,
    /// The kind of datapath of the bridge: `netdev`, `system` …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub datapath: Option<String>,
}

/// Counts, as `<ready>/<all>`.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub struct Summary {
    /// Of interfaces.
    #[serde(default)]
    pub interfaces: String,
    /// Of chains.
    #[serde(default)]
    pub chains: String,
}

/// An interface of the node.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InterfaceEntry {
    /// Namespace of the object.
    pub namespace: String,
    /// Name of the object, or of the entry of a `NodeServiceInterfaces`.
    pub name: String,
    /// `spec.interfaceType`.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// What is on the switch.
    #[serde(flatten)]
    pub details: InterfaceDetails,
    /// The generation of the object that this is said of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready`, `ServiceInterfaceReconciled`, `PortUp`, and `MTUApplied` where one is asked for.
    #[serde(default)]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

/// A chain of the node.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ChainEntry {
    /// Namespace of the object.
    pub namespace: String,
    /// Name of the object.
    pub name: String,
    /// What is on the switch.
    #[serde(flatten)]
    pub details: ChainDetails,
    /// The generation of the object that this is said of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready`, `PortsResolved`, `ServiceChainReconciled`, `PortsUp`.
    #[serde(default)]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

/// Something of others that is in the way.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Conflict {
    /// What it is: `port` or `flow`.
    pub kind: String,
    /// Its name; of a flow, the flow as text.
    pub name: String,
    /// What is wrong, for people.
    pub message: String,
}

/// Something that could not be read, or reached.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Trouble {
    /// Where: a kind, a file.
    pub place: String,
    /// What is wrong, for people.
    pub message: String,
}

/// How many members of the lists did not fit.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub struct Omitted {
    /// Of `interfaces`.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub interfaces: i64,
    /// Of `chains`.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub chains: i64,
    /// Of `conflicts`.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub conflicts: i64,
    /// Of `problems`.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub problems: i64,
}

impl Omitted {
    fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_zero(count: &i64) -> bool {
    *count == 0
}

/// Counters at one moment.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub struct Sample {
    /// The moment.
    #[schemars(extend("format" = "date-time"))]
    pub time: String,
    /// Packets that the flows of each chain took, by `<namespace>/<name>`.
    #[serde(default)]
    #[schemars(length(max = 512))]
    pub chains: Vec<ChainSample>,
}

/// What went through a chain.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub struct ChainSample {
    /// Namespace of the chain.
    pub namespace: String,
    /// Name of the chain.
    pub name: String,
    /// Packets, since its flows are there.
    pub packets: i64,
    /// Bytes, since its flows are there.
    pub bytes: i64,
}
