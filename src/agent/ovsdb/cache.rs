//! The rows that are monitored, as the server last told.
//!
//! In: updates of a monitor, in any of the three forms that servers have. Out: rows by table and name. Cloning is cheap: rows are shared. PURE.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value as Json;

use super::{Atom, InvalidValue, Uuid, Value};
use crate::agent::observed::{ColumnKind, MonitoredTable};

/// Columns of a row; a column that is not there has its default: nothing, 0, false or no text.
pub type Row = BTreeMap<String, Value>;

type Table = BTreeMap<Uuid, Arc<Row>>;

/// Every monitored row.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Cache {
    tables: BTreeMap<&'static str, Arc<Table>>,
}

/// How an update is written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Form {
    /// `old` and `new` (RFC 7047, 4.1.6).
    Whole,
    /// `initial`, `insert`, `delete`, `modify` (ovsdb-server(7)).
    Changes,
}

impl Cache {
    /// The rows of a table.
    pub fn rows(&self, table: &str) -> impl Iterator<Item = (Uuid, &Row)> {
        self.tables.get(table).into_iter().flat_map(|rows| rows.iter().map(|(uuid, row)| (*uuid, &**row)))
    }

    /// One row.
    #[must_use]
    pub fn row(&self, table: &str, uuid: Uuid) -> Option<&Row> {
        self.tables.get(table)?.get(&uuid).map(|row| &**row)
    }

    /// Takes an update. Tables that are not in `monitored` are left out.
    pub(super) fn apply(
        &mut self,
        monitored: &'static [MonitoredTable],
        form: Form,
        updates: &Json,
    ) -> Result<(), InvalidValue> {
        let updates = updates.as_object().ok_or_else(|| InvalidValue::new(updates, "an object of tables"))?;
        for (name, rows) in updates {
            let Some(table) = monitored.iter().find(|table| table.name == name) else { continue };
            let rows = rows.as_object().ok_or_else(|| InvalidValue::new(rows, "an object of rows"))?;
            let kept = Arc::make_mut(self.tables.entry(table.name).or_default());
            for (uuid, change) in rows {
                match form {
                    Form::Changes => change_row(table, kept, uuid.parse()?, change)?,
                    Form::Whole => replace_row(kept, uuid.parse()?, change)?,
                }
            }
        }
        Ok(())
    }
}

/// A row of an answer.
pub(super) fn row_from_json(json: &Json) -> Result<Row, InvalidValue> {
    let columns = json.as_object().ok_or_else(|| InvalidValue::new(json, "a row"))?;
    columns.iter().map(|(column, value)| Ok((column.clone(), Value::from_json(value)?))).collect()
}

/// `new` is the whole row; without it the row is gone.
fn replace_row(rows: &mut Table, uuid: Uuid, change: &Json) -> Result<(), InvalidValue> {
    match change.get("new") {
        Some(row) => rows.insert(uuid, Arc::new(row_from_json(row)?)),
        None => rows.remove(&uuid),
    };
    Ok(())
}

fn change_row(table: &MonitoredTable, rows: &mut Table, uuid: Uuid, change: &Json) -> Result<(), InvalidValue> {
    if let Some(row) = change.get("initial").or_else(|| change.get("insert")) {
        rows.insert(uuid, Arc::new(row_from_json(row)?));
    } else if let Some(columns) = change.get("modify") {
        let row = Arc::make_mut(rows.entry(uuid).or_default());
        for (column, value) in row_from_json(columns)? {
            let kind =
                table.columns.iter().find(|(name, _)| *name == column).map_or(ColumnKind::Single, |(_, kind)| *kind);
            let kept = row.entry(column).or_default();
            *kept = modified(kind, std::mem::take(kept), value);
        }
    } else if change.get("delete").is_some() {
        rows.remove(&uuid);
    } else {
        return Err(InvalidValue::new(change, "a change of a row"));
    }
    Ok(())
}

/// A column after a `modify`: the value of a single one; of a set, what was added or removed; of a map, the pairs that were added or
/// removed, and those with another value.
fn modified(kind: ColumnKind, old: Value, change: Value) -> Value {
    match (kind, old, change) {
        (ColumnKind::Set, Value::Set(old), Value::Set(change)) => Value::Set(old.symmetric_difference(&change)),
        (ColumnKind::Map, old, Value::Map(change)) => {
            let mut pairs = match old {
                Value::Map(pairs) => pairs,
                Value::Set(_) => BTreeMap::new(),
            };
            for (key, value) in change {
                if pairs.get(&key) == Some(&value) {
                    pairs.remove(&key);
                } else {
                    pairs.insert(key, value);
                }
            }
            Value::Map(pairs)
        }
        (_, _, change) => change,
    }
}

/// Reads a column of a row as a plain value; the default where the row does not have it.
pub(crate) mod column {
    use super::{Atom, BTreeMap, Row, Uuid, Value};

    pub(crate) fn text(row: &Row, column: &str) -> Option<String> {
        match row.get(column)?.single()? {
            Atom::String(text) => Some(text.clone()),
            _ => None,
        }
    }

    pub(crate) fn integer(row: &Row, column: &str) -> Option<i64> {
        match row.get(column)?.single()? {
            Atom::Integer(number) => Some(*number),
            _ => None,
        }
    }

    pub(crate) fn integers(row: &Row, column: &str) -> impl Iterator<Item = i64> {
        atoms(row, column).filter_map(|atom| if let Atom::Integer(number) = atom { Some(*number) } else { None })
    }

    pub(crate) fn uuids(row: &Row, column: &str) -> impl Iterator<Item = Uuid> {
        atoms(row, column).filter_map(|atom| if let Atom::Uuid(uuid) = atom { Some(*uuid) } else { None })
    }

    fn atoms<'a>(row: &'a Row, column: &str) -> impl Iterator<Item = &'a Atom> {
        row.get(column).into_iter().flat_map(Value::atoms)
    }

    pub(crate) fn texts(row: &Row, column: &str) -> BTreeMap<String, String> {
        let text = |atom: &Atom| if let Atom::String(text) = atom { Some(text.clone()) } else { None };
        let pairs = row.get(column).into_iter().flat_map(Value::pairs);
        pairs.filter_map(|(key, value)| Some((text(key)?, text(value)?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::observed::MONITORED;
    use serde_json::json;

    const ONE: &str = "550e8400-e29b-41d4-a716-446655440001";
    const TWO: &str = "550e8400-e29b-41d4-a716-446655440002";

    fn after(form: Form, updates: &[Json]) -> Cache {
        let mut cache = Cache::default();
        for update in updates {
            cache.apply(MONITORED, form, update).unwrap();
        }
        cache
    }

    #[test]
    fn a_modify_carries_the_difference_of_sets_and_maps_and_the_value_of_single_columns() {
        let port = |change: Json| json!({"Port": {ONE: change}});
        let cache = after(
            Form::Changes,
            &[
                port(json!({"initial": {"name": "p0", "tag": 5, "trunks": ["set", [1, 2]],
                "external_ids": ["map", [["a", "1"], ["b", "2"]]]}})),
                port(json!({"modify": {"tag": 6, "trunks": ["set", [2, 3]],
                "external_ids": ["map", [["a", "1"], ["b", "3"], ["c", "4"]]]}})),
            ],
        );
        let expected = row_from_json(&json!({"name": "p0", "tag": 6, "trunks": ["set", [1, 3]],
            "external_ids": ["map", [["b", "3"], ["c", "4"]]]}));
        assert_eq!(cache.row("Port", ONE.parse().unwrap()), expected.as_ref().ok());
        let unset = after(
            Form::Changes,
            &[
                port(json!({"insert": {"name": "p0", "tag": 5, "trunks": 1}})),
                port(json!({"modify": {"tag": ["set", []], "trunks": 1, "external_ids": ["map", [["a", "1"]]]}})),
            ],
        );
        let (_, row) = unset.rows("Port").next().unwrap();
        assert_eq!((column::integer(row, "tag"), column::integers(row, "trunks").count()), (None, 0));
        assert_eq!(column::texts(row, "external_ids"), [("a".to_owned(), "1".to_owned())].into());
    }

    #[test]
    fn both_forms_end_in_the_same_rows() {
        let changes = after(
            Form::Changes,
            &[
                json!({"Bridge": {ONE: {"initial": {"name": "a"}}, TWO: {"insert": {"name": "b"}}}, "Other": {}}),
                json!({"Bridge": {ONE: {"delete": null}, TWO: {"modify": {"name": "c"}}}}),
            ],
        );
        let whole = after(
            Form::Whole,
            &[
                json!({"Bridge": {ONE: {"new": {"name": "a"}}, TWO: {"new": {"name": "b"}}}, "Other": {}}),
                json!({"Bridge": {ONE: {"old": {}}, TWO: {"old": {"name": "b"}, "new": {"name": "c"}}}}),
            ],
        );
        assert_eq!(changes, whole);
        assert_eq!(changes.rows("Bridge").count(), 1);
    }

    #[test]
    fn what_is_no_update_is_refused() {
        for wrong in [json!([]), json!({"Port": 1}), json!({"Port": {"x": {}}}), json!({"Port": {ONE: {}}})] {
            assert!(Cache::default().apply(MONITORED, Form::Changes, &wrong).is_err(), "{wrong}");
        }
    }
}
