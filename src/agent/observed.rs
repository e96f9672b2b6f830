//! What is there: the switch's database and flows at one moment, as one value.
//!
//! In: rows of [`MONITORED`], flows per bridge. Out: [`Observed`], to and from JSON (`dpu-agent plan --observed FILE`). PURE.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::flow::Flow;
use super::ovsdb::column;
use super::ovsdb::{Cache, Row, Uuid};

/// Keys and values that anybody may add to a row.
pub type ExternalIds = BTreeMap<String, String>;

/// One moment of one Open vSwitch.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Observed {
    /// The one row of `Open_vSwitch`.
    pub system: System,
    /// By name.
    pub bridges: BTreeMap<String, Bridge>,
    /// By name, which is unique over all bridges.
    pub ports: BTreeMap<String, Port>,
    /// By name, which is unique over all bridges.
    pub interfaces: BTreeMap<String, Interface>,
    /// By bridge; `None` where the switch could not be asked. Sorted.
    pub flows: BTreeMap<String, Option<Vec<Flow>>>,
    /// By bridge, the name of each port by its number, as the switch itself has them; nothing where it was not asked.
    pub numbers: BTreeMap<String, Numbers>,
}

/// Names of ports by number, cut to the 15 bytes that OpenFlow 1.4 has for them.
pub type Numbers = BTreeMap<u32, String>;

/// Whether a name as OpenFlow has it can be this one.
#[must_use]
pub fn is_cut_of(cut: &str, name: &str) -> bool {
    const MOST: usize = 15;
    // What is cut inside of a character is no text any more.
    cut == name || name.len() > MOST && (!name.is_ascii() || cut == &name[..MOST])
}

/// The switch as a whole.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct System {
    /// UUID of the row; empty where the database is not initialised.
    pub uuid: String,
    /// As `3.1.0`; often not set.
    pub ovs_version: Option<String>,
    /// Counts changes asked for.
    pub next_cfg: i64,
    /// The last `next_cfg` that ovs-vswitchd has acted on.
    pub cur_cfg: i64,
    /// Anybody's.
    pub external_ids: ExternalIds,
}

/// A bridge.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Bridge {
    /// UUID of the row.
    pub uuid: String,
    /// Names of its ports.
    pub ports: BTreeSet<String>,
    /// `netdev`, `system` or `dummy`; empty means `system`.
    pub datapath_type: String,
    /// `secure` or `standalone`.
    pub fail_mode: Option<String>,
    /// Anybody's.
    pub external_ids: ExternalIds,
}

/// A port of a bridge.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Port {
    /// UUID of the row.
    pub uuid: String,
    /// Name of the bridge.
    pub bridge: String,
    /// Names of its interfaces; more than one only where it is a bond.
    pub interfaces: BTreeSet<String>,
    /// Anybody's.
    pub external_ids: ExternalIds,
    /// VLAN of an access port.
    pub tag: Option<u16>,
    /// VLANs of a trunk; none: all.
    pub trunks: BTreeSet<u16>,
    /// `access`, `trunk`, `native-tagged`, `native-untagged` or `dot1q-tunnel`.
    pub vlan_mode: Option<String>,
}

/// An interface of a port.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Interface {
    /// UUID of the row.
    pub uuid: String,
    /// Name of the port.
    pub port: String,
    /// `dpdk`, `patch`, `internal` …; empty means `system`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Anybody's.
    pub external_ids: ExternalIds,
    /// What its type takes, as `peer`.
    pub options: BTreeMap<String, String>,
    /// OpenFlow port number; -1: the device cannot be opened; `None`: ovs-vswitchd has not looked yet.
    pub ofport: Option<i32>,
    /// The number it should have.
    pub ofport_request: Option<i32>,
    /// What ovs-vswitchd has against it, verbatim.
    pub error: Option<String>,
    /// `up` or `down`.
    pub admin_state: Option<String>,
    /// `up` or `down`.
    pub link_state: Option<String>,
    /// Bits a second.
    pub link_speed: Option<i64>,
    /// How often the link changed.
    pub link_resets: Option<i64>,
    /// Address in use.
    pub mac_in_use: Option<String>,
    /// Index in the kernel.
    pub ifindex: Option<i64>,
    /// Bytes, as it is.
    pub mtu: Option<i64>,
    /// Bytes, as it should be.
    pub mtu_request: Option<i64>,
}

/// How many values a column holds; tells what a `modify` of a monitor means.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum ColumnKind {
    /// One, or none: a change carries the value.
    Single,
    /// Any number: a change carries what was added or removed.
    Set,
    /// Keys and values: a change carries the keys that differ.
    Map,
}

/// A table, and the columns of it that are read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct MonitoredTable {
    /// Name in the schema.
    pub name: &'static str,
    /// Name and kind of each column.
    pub columns: &'static [(&'static str, ColumnKind)],
}

use ColumnKind::{Map, Set, Single};

/// Every table and column that is read, after `ovs-vswitchd.conf.db(5)`. Statistics are left out: they change every five seconds.
pub const MONITORED: &[MonitoredTable] = &[
    MonitoredTable {
        name: "Open_vSwitch",
        columns: &[
            ("bridges", Set),
            ("cur_cfg", Single),
            ("external_ids", Map),
            ("next_cfg", Single),
            ("ovs_version", Single),
        ],
    },
    MonitoredTable {
        name: "Bridge",
        columns: &[
            ("datapath_type", Single),
            ("external_ids", Map),
            ("fail_mode", Single),
            ("name", Single),
            ("ports", Set),
        ],
    },
    MonitoredTable {
        name: "Port",
        columns: &[
            ("external_ids", Map),
            ("interfaces", Set),
            ("name", Single),
            ("tag", Single),
            ("trunks", Set),
            ("vlan_mode", Single),
        ],
    },
    MonitoredTable {
        name: "Interface",
        columns: &[
            ("admin_state", Single),
            ("error", Single),
            ("external_ids", Map),
            ("ifindex", Single),
            ("link_resets", Single),
            ("link_speed", Single),
            ("link_state", Single),
            ("mac_in_use", Single),
            ("mtu", Single),
            ("mtu_request", Single),
            ("name", Single),
            ("ofport", Single),
            ("ofport_request", Single),
            ("options", Map),
            ("type", Single),
        ],
    },
];

impl Observed {
    /// What the database says; `flows` are of the bridges that were asked. A row that nothing refers to (a port of no bridge) is on its way
    /// out of the database, and left out.
    #[must_use]
    pub fn of(cache: &Cache, flows: BTreeMap<String, Option<Vec<Flow>>>) -> Self {
        let mut observed = Self { flows, ..Self::default() };
        if let Some((uuid, row)) = cache.rows("Open_vSwitch").next() {
            observed.system = system(uuid, row);
        }
        for (uuid, row) in cache.rows("Bridge") {
            let name = column::text(row, "name").unwrap_or_default();
            let mut bridge = bridge(uuid, row);
            for (uuid, row) in referred(cache, "Port", row, "ports") {
                let port_name = column::text(row, "name").unwrap_or_default();
                let mut port = port(uuid, &name, row);
                for (uuid, row) in referred(cache, "Interface", row, "interfaces") {
                    let interface_name = column::text(row, "name").unwrap_or_default();
                    observed.interfaces.insert(interface_name.clone(), interface(uuid, &port_name, row));
                    port.interfaces.insert(interface_name);
                }
                observed.ports.insert(port_name.clone(), port);
                bridge.ports.insert(port_name);
            }
            observed.bridges.insert(name, bridge);
        }
        observed
    }
}

/// The rows of `table` that a column names.
fn referred<'a>(
    cache: &'a Cache,
    table: &'static str,
    row: &'a Row,
    column: &'static str,
) -> impl Iterator<Item = (Uuid, &'a Row)> {
    column::uuids(row, column).filter_map(move |uuid| Some((uuid, cache.row(table, uuid)?)))
}

fn system(uuid: Uuid, row: &Row) -> System {
    System {
        uuid: uuid.to_string(),
        ovs_version: column::text(row, "ovs_version"),
        next_cfg: column::integer(row, "next_cfg").unwrap_or_default(),
        cur_cfg: column::integer(row, "cur_cfg").unwrap_or_default(),
        external_ids: column::texts(row, "external_ids"),
    }
}

fn bridge(uuid: Uuid, row: &Row) -> Bridge {
    Bridge {
        uuid: uuid.to_string(),
        ports: BTreeSet::new(),
        datapath_type: column::text(row, "datapath_type").unwrap_or_default(),
        fail_mode: column::text(row, "fail_mode"),
        external_ids: column::texts(row, "external_ids"),
    }
}

fn port(uuid: Uuid, bridge: &str, row: &Row) -> Port {
    Port {
        uuid: uuid.to_string(),
        bridge: bridge.to_owned(),
        interfaces: BTreeSet::new(),
        external_ids: column::texts(row, "external_ids"),
        tag: column::integer(row, "tag").and_then(|tag| tag.try_into().ok()),
        trunks: column::integers(row, "trunks").filter_map(|vlan| vlan.try_into().ok()).collect(),
        vlan_mode: column::text(row, "vlan_mode"),
    }
}

fn interface(uuid: Uuid, port: &str, row: &Row) -> Interface {
    let number = |column| column::integer(row, column).and_then(|number| number.try_into().ok());
    Interface {
        uuid: uuid.to_string(),
        port: port.to_owned(),
        kind: column::text(row, "type").unwrap_or_default(),
        external_ids: column::texts(row, "external_ids"),
        options: column::texts(row, "options"),
        ofport: number("ofport"),
        ofport_request: number("ofport_request"),
        error: column::text(row, "error"),
        admin_state: column::text(row, "admin_state"),
        link_state: column::text(row, "link_state"),
        link_speed: column::integer(row, "link_speed"),
        link_resets: column::integer(row, "link_resets"),
        mac_in_use: column::text(row, "mac_in_use"),
        ifindex: column::integer(row, "ifindex"),
        mtu: column::integer(row, "mtu"),
        mtu_request: column::integer(row, "mtu_request"),
    }
}
