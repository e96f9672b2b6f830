//! One transaction of the database for the port changes of a plan. PURE.
//!
//! In: [`PortChange`]s, and the switch as it was observed when they were planned. Out: [`Asked`]: the operations of one transaction,
//! and which of them stand for which port. It happens as a whole or not at all, and not at all where the rows that it was planned
//! for are not as they were, or another agent holds the lock.
//!
//! A key of a map that is there keeps its value when it is inserted (RFC 7047, 5.1): keys are taken away and then inserted. Rows of
//! ports go when no bridge refers to them.

use std::collections::BTreeMap;

use super::desired::{Port, PortKind};
use super::observed::Observed;
use super::ovsdb::{Atom, Condition, Mutation, Mutator, Operation, Row, Transaction, Uuid, Value};
use super::plan::{Columns, PortChange};

/// The lock in the database that one agent of a switch holds.
pub const LOCK: &str = "dpu_agent";

/// A transaction, and what its operations are for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Asked {
    /// The operations.
    pub transaction: Transaction,
    /// For each operation, the port it is for; those that are for many ports, or for none, have no name.
    pub ports: Vec<Option<String>>,
}

impl Asked {
    fn push(&mut self, port: Option<&str>, operation: Operation) {
        self.transaction.push(operation);
        self.ports.push(port.map(str::to_owned));
    }

    fn push_one(&mut self, port: Option<&str>, operation: Operation) {
        self.transaction.push_exactly(1, operation);
        self.ports.push(port.map(str::to_owned));
    }
}

/// The ports that come to a bridge and those that leave it.
#[derive(Default)]
struct Members {
    come: Vec<Atom>,
    leave: Vec<Uuid>,
}

/// The transaction; empty where there is no change.
#[must_use]
pub fn transaction(changes: &[PortChange], observed: &Observed) -> Asked {
    let mut asked = Asked::default();
    if changes.is_empty() {
        return asked;
    }
    asked.push(None, Operation::Assert { lock: LOCK.to_owned() });
    let mut bridges: BTreeMap<&str, Members> = BTreeMap::new();
    for (index, change) in changes.iter().enumerate() {
        match change {
            PortChange::Create { name, port, number } => {
                let row = create(&mut asked, index, name, port, *number);
                bridges.entry(&port.bridge).or_default().come.push(row);
            }
            PortChange::Update { name, columns } => update(&mut asked, name, columns, observed),
            PortChange::Remove { name, bridge } => {
                if let Some(row) = guard_port(&mut asked, name, observed) {
                    bridges.entry(bridge).or_default().leave.push(row);
                }
            }
        }
    }
    for (bridge, members) in bridges {
        change_members(&mut asked, bridge, members);
    }
    asked.push(None, Operation::Comment(format!("dpu-agent: {} changes of ports", changes.len())));
    // Tells ovs-vswitchd apart that has acted on this from one that has not.
    let next = Mutation { column: "next_cfg", mutator: Mutator::Add, value: Value::from(1) };
    asked.push_one(None, Operation::Mutate { table: "Open_vSwitch", conditions: vec![], mutations: vec![next] });
    asked
}

fn row<const N: usize>(columns: [(&str, Value); N]) -> Row {
    columns.map(|(column, value)| (column.to_owned(), value)).into()
}

fn pairs(map: &BTreeMap<String, String>) -> Value {
    Value::map(map.iter().map(|(key, value)| (key.as_str(), value.as_str())))
}

fn by_name(name: &str) -> Vec<Condition> {
    vec![Condition::equal("name", name)]
}

/// The rows of a new port; gives the name of its row in this transaction.
fn create(asked: &mut Asked, index: usize, name: &str, port: &Port, number: u32) -> Atom {
    let is_not_there = Operation::Wait {
        table: "Port",
        conditions: by_name(name),
        columns: vec!["name"],
        equal: true,
        rows: Vec::new(),
    };
    asked.push(Some(name), is_not_there);
    let (kind, peer) = match &port.kind {
        PortKind::Device { port_type, .. } => (port_type.as_str(), None),
        PortKind::Patch { peer } => ("patch", Some(peer.as_str())),
    };
    let mut interface = row([
        ("name", Value::from(name)),
        ("type", Value::from(kind)),
        ("external_ids", pairs(&port.interface_ids())),
        ("ofport_request", Value::from(i64::from(number))),
    ]);
    if let Some(peer) = peer {
        interface.insert("options".to_owned(), Value::map([("peer", peer)]));
    }
    if let Some(mtu) = port.mtu {
        interface.insert("mtu_request".to_owned(), Value::from(i64::from(mtu)));
    }
    let (interface_row, port_row) = (format!("interface{index}"), format!("port{index}"));
    asked.push(Some(name), Operation::Insert { table: "Interface", row: interface, name: Some(interface_row.clone()) });
    let port_columns = row([
        ("name", Value::from(name)),
        ("interfaces", Value::from(Atom::NamedUuid(interface_row))),
        ("external_ids", pairs(&port.marks())),
    ]);
    asked.push(Some(name), Operation::Insert { table: "Port", row: port_columns, name: Some(port_row.clone()) });
    Atom::NamedUuid(port_row)
}

/// Asks that the port is still the row that was seen, with the same marks; gives that row.
fn guard_port(asked: &mut Asked, name: &str, observed: &Observed) -> Option<Uuid> {
    let there = observed.ports.get(name)?;
    let uuid: Uuid = there.uuid.parse().ok()?;
    let seen = row([("name", Value::from(name)), ("external_ids", pairs(&there.external_ids))]);
    let is_as_seen = Operation::Wait {
        table: "Port",
        conditions: vec![Condition::row(uuid)],
        columns: vec!["name", "external_ids"],
        equal: true,
        rows: vec![seen],
    };
    asked.push(Some(name), is_as_seen);
    Some(uuid)
}

fn update(asked: &mut Asked, name: &str, columns: &Columns, observed: &Observed) {
    let Some(port) = guard_port(asked, name, observed) else { return };
    let mut set = Row::new();
    if let Some(kind) = &columns.port_type {
        set.insert("type".to_owned(), Value::from(kind.as_str()));
    }
    if let Some(mtu) = columns.mtu {
        set.insert("mtu_request".to_owned(), mtu.map_or(Value::none(), |mtu| Value::from(i64::from(mtu))));
    }
    if let Some(number) = columns.number {
        set.insert("ofport_request".to_owned(), Value::from(i64::from(number)));
    }
    if !set.is_empty() {
        asked.push_one(Some(name), Operation::Update { table: "Interface", conditions: by_name(name), row: set });
    }
    let peer: BTreeMap<String, String> = columns.peer.iter().map(|peer| ("peer".to_owned(), peer.clone())).collect();
    let of_interface = || by_name(name);
    for (table, conditions, column, keys) in [
        ("Interface", of_interface(), "external_ids", &columns.external_ids),
        ("Interface", of_interface(), "options", &peer),
        ("Port", vec![Condition::row(port)], "external_ids", &columns.marks),
    ] {
        if !keys.is_empty() {
            let mutations = vec![
                Mutation { column, mutator: Mutator::Delete, value: Value::set(keys.keys().map(String::as_str)) },
                Mutation { column, mutator: Mutator::Insert, value: pairs(keys) },
            ];
            asked.push_one(Some(name), Operation::Mutate { table, conditions, mutations });
        }
    }
}

/// One change of the bridge for all its ports.
fn change_members(asked: &mut Asked, bridge: &str, members: Members) {
    let is_there = Operation::Wait {
        table: "Bridge",
        conditions: by_name(bridge),
        columns: vec!["name"],
        equal: true,
        rows: vec![row([("name", Value::from(bridge))])],
    };
    asked.push(None, is_there);
    let mut mutations = Vec::new();
    if !members.leave.is_empty() {
        mutations.push(Mutation { column: "ports", mutator: Mutator::Delete, value: Value::set(members.leave) });
    }
    if !members.come.is_empty() {
        mutations.push(Mutation {
            column: "ports",
            mutator: Mutator::Insert,
            value: Value::Set(members.come.into_iter().collect()),
        });
    }
    asked.push_one(None, Operation::Mutate { table: "Bridge", conditions: by_name(bridge), mutations });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::desired::OWNER;
    use crate::agent::observed;

    const PORT: &str = "550e8400-e29b-41d4-a716-446655440001";

    fn observed(name: &str) -> Observed {
        let port = observed::Port {
            uuid: PORT.to_owned(),
            bridge: "br-sfc".to_owned(),
            external_ids: [(OWNER.to_owned(), "ns/a".to_owned())].into(),
            ..Default::default()
        };
        Observed { ports: [(name.to_owned(), port)].into(), ..Observed::default() }
    }

    fn create_of(name: &str, kind: PortKind) -> PortChange {
        let port = Port {
            owner: "ns/a".to_owned(),
            bridge: "br-sfc".to_owned(),
            kind,
            external_ids: [("dpf-id".to_owned(), "ns/a".to_owned())].into(),
            mtu: Some(9216),
        };
        PortChange::Create { name: name.to_owned(), port, number: 16400 }
    }

    fn said(asked: &Asked) -> Vec<String> {
        asked.transaction.operations().map(ToString::to_string).collect()
    }

    #[test]
    fn nothing_asks_for_nothing() {
        assert_eq!(transaction(&[], &Observed::default()), Asked::default());
    }

    #[test]
    fn many_ports_of_a_bridge_are_one_change_of_it() {
        let device = |uplink| PortKind::Device { port_type: "dpdk".to_owned(), uplink };
        let changes = [
            create_of("p0", device(true)),
            create_of("p-1", PortKind::Patch { peer: "p-2".to_owned() }),
            PortChange::Remove { name: "old".to_owned(), bridge: "br-sfc".to_owned() },
        ];
        let asked = transaction(&changes, &observed("old"));
        assert_eq!(
            said(&asked),
            [
                "assert the lock `dpu_agent`",
                "find as it was Port where name == \"p0\"",
                "insert into Interface \"p0\"",
                "insert into Port \"p0\"",
                "find as it was Port where name == \"p-1\"",
                "insert into Interface \"p-1\"",
                "insert into Port \"p-1\"",
                &format!("find as it was Port where _uuid == [\"uuid\",\"{PORT}\"]"),
                "find as it was Bridge where name == \"br-sfc\"",
                "mutate Bridge where name == \"br-sfc\"",
                "take a comment",
                "mutate Open_vSwitch",
            ]
        );
        assert_eq!(
            asked.ports.iter().flatten().map(String::as_str).collect::<Vec<_>>(),
            ["p0", "p0", "p0", "p-1", "p-1", "p-1", "old"]
        );
        let operations: Vec<&Operation> = asked.transaction.operations().collect();
        let Operation::Insert { row: interface, .. } = operations[2] else { panic!() };
        assert_eq!((&interface["type"], &interface["mtu_request"]), (&Value::from("dpdk"), &Value::from(9216)));
        assert_eq!(interface["ofport_request"], Value::from(16400));
        let Operation::Insert { row: port, .. } = operations[3] else { panic!() };
        assert_eq!(port["external_ids"], Value::map([("dpf-type", "physical"), (OWNER, "ns/a")]));
        let Operation::Insert { row: patch, .. } = operations[5] else { panic!() };
        assert_eq!((&patch["type"], &patch["options"]), (&Value::from("patch"), &Value::map([("peer", "p-2")])));
        let Operation::Mutate { mutations, .. } = operations[9] else { panic!() };
        assert_eq!(mutations.iter().map(|one| one.mutator).collect::<Vec<_>>(), [Mutator::Delete, Mutator::Insert]);
    }

    #[test]
    fn a_key_is_taken_away_before_it_is_inserted() {
        let columns = Columns {
            external_ids: [("dpf-id".to_owned(), "ns/b".to_owned())].into(),
            marks: [(OWNER.to_owned(), "ns/b".to_owned())].into(),
            mtu: Some(None),
            ..Columns::default()
        };
        let asked = transaction(&[PortChange::Update { name: "p0".to_owned(), columns }], &observed("p0"));
        let operations: Vec<&Operation> = asked.transaction.operations().collect();
        let Operation::Wait { rows, .. } = operations[1] else { panic!() };
        assert_eq!(rows[0]["external_ids"], Value::map([(OWNER, "ns/a")]));
        let Operation::Update { row, .. } = operations[2] else { panic!() };
        assert_eq!(row["mtu_request"], Value::none());
        for (at, key, value) in [(3, "dpf-id", "ns/b"), (4, OWNER, "ns/b")] {
            let Operation::Mutate { mutations, .. } = operations[at] else { panic!() };
            assert_eq!((mutations[0].mutator, &mutations[0].value), (Mutator::Delete, &Value::set([key])));
            assert_eq!((mutations[1].mutator, &mutations[1].value), (Mutator::Insert, &Value::map([(key, value)])));
        }
    }

    #[test]
    fn a_port_that_was_not_seen_is_left_alone() {
        let changes = [PortChange::Remove { name: "p0".to_owned(), bridge: "br-sfc".to_owned() }];
        let asked = transaction(&changes, &Observed::default());
        assert!(asked.ports.iter().flatten().next().is_none());
        assert!(!said(&asked).iter().any(|one| one.contains("Bridge")));
    }
}
