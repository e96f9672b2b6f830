//! What status is made of, whatever object it is of. PURE.
//!
//! In: nothing. Out: types that become JSON, and the schemas of CRDs. After the Kubernetes API conventions
//! (`sig-architecture/api-conventions.md`, "Typical status properties").

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Members that a list in a status holds; what is beyond is counted.
pub const MOST: usize = 512;

/// Whether something holds.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, Ord, PartialEq, PartialOrd, Serialize)]
pub enum Truth {
    /// It holds.
    True,
    /// It does not.
    False,
    /// Nobody can tell now.
    Unknown,
}

/// One aspect of an object, of which a list has one for each type.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// The aspect, in camel case.
    #[serde(rename = "type")]
    #[schemars(length(max = 316))]
    pub kind: String,
    /// Whether it holds.
    pub status: Truth,
    /// One word in camel case that says why.
    #[schemars(length(min = 1, max = 1024), regex(pattern = r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$"))]
    pub reason: String,
    /// For people.
    #[schemars(length(max = 32768))]
    pub message: String,
    /// When `status` was another the last time.
    #[schemars(extend("format" = "date-time"))]
    pub last_transition_time: String,
    /// The generation of the object that this was said of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub observed_generation: Option<i64>,
}

/// The port of the switch that an interface is.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PortStatus {
    /// Its name.
    pub name: String,
    /// The bridge it is on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bridge: Option<String>,
    /// What the switch calls its kind: `dpdk`, `patch` …
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Its OpenFlow number; -1: the device cannot be opened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ofport: Option<i32>,
    /// The VLAN of the port that the interface is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 4094))]
    pub vlan: Option<u16>,
    /// Its index in the kernel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ifindex: Option<i64>,
    /// Its address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<String>,
}

/// The link of a port, as the switch says it.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub struct Link {
    /// `up` or `down`: what is wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admin: Option<String>,
    /// `up` or `down`: what is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// Bits a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub speed: Option<i64>,
}

/// The largest packet of a port.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub struct Mtu {
    /// Bytes that were asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested: Option<i64>,
    /// Bytes that it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actual: Option<i64>,
}

/// What is on the switch of an interface.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InterfaceDetails {
    /// Its port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<PortStatus>,
    /// The link of that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<Link>,
    /// The largest packet of that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtu: Option<Mtu>,
    /// What the switch has against it, in its own words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Names of the chains that it is a port of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 512))]
    pub chains: Vec<String>,
}

/// What is on the switch of a chain.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ChainDetails {
    /// Its switches, in the order of the object.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 512))]
    pub switches: Vec<SwitchPorts>,
    /// Its flows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flows: Option<Flows>,
    /// Ports that are left out of `switches`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub omitted_ports: Option<i64>,
}

/// A switch of a chain.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub struct SwitchPorts {
    /// Its ports, in the order of the object.
    #[serde(default)]
    #[schemars(length(max = 512))]
    pub ports: Vec<SwitchPort>,
}

/// A port of a switch of a chain.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub struct SwitchPort {
    /// Name of the interface that its labels select.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface: Option<String>,
    /// `<namespace>/<name>` of the pod whose interface it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<String>,
    /// Name of the port of the bridge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<String>,
    /// Its OpenFlow number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ofport: Option<i32>,
    /// The VLAN of that port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vlan: Option<u16>,
    /// Whether it carries traffic.
    pub ready: bool,
    /// Why not: one word in camel case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Why not, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// The flows of a chain, counted.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Flows {
    /// What marks them, as the switch writes it: `0x` and hexadecimal digits.
    pub cookie: String,
    /// How many there must be.
    pub desired: i64,
    /// How many of these there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub installed: Option<i64>,
    /// How many the switch has made of what it saw.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub learned: Option<i64>,
    /// When they were read back; goes along when something else is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"))]
    pub last_verified: Option<String>,
}
