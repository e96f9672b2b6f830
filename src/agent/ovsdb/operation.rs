//! Transactions: what is asked of the database, and what it answers.
//!
//! In: operations. Out: JSON of the `transact` request, and typed answers. PURE.

use std::fmt;

use serde_json::{Map as JsonMap, Value as Json, json};

use super::{InvalidValue, Row, Uuid, Value};

/// Which rows: those for which every condition holds. None: all rows.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Condition {
    /// Column.
    pub column: &'static str,
    /// How it is compared.
    pub function: Function,
    /// With what.
    pub value: Value,
}

/// How a condition compares.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Function {
    /// The same.
    Equal,
    /// Not the same.
    NotEqual,
    /// Holds every value, or key with its value.
    Includes,
    /// Holds none of them.
    Excludes,
}

/// A change of a column's value.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Mutation {
    /// Column.
    pub column: &'static str,
    /// How it is changed.
    pub mutator: Mutator,
    /// By what.
    pub value: Value,
}

/// How a mutation changes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mutator {
    /// Adds a number.
    Add,
    /// Adds values; keys that are there keep their value.
    Insert,
    /// Takes values off; of a map, keys (a set), or keys with exactly these values (a map).
    Delete,
}

/// One step of a transaction (RFC 7047, 5.2).
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(missing_docs, reason = "table, where, row … are the protocol's own words")]
pub enum Operation {
    /// Adds a row; other operations may name it by `name` (letters, digits, `_`).
    Insert { table: &'static str, row: Row, name: Option<String> },
    /// Reads rows.
    Select { table: &'static str, conditions: Vec<Condition>, columns: Vec<&'static str> },
    /// Overwrites columns of rows.
    Update { table: &'static str, conditions: Vec<Condition>, row: Row },
    /// Changes values of rows.
    Mutate { table: &'static str, conditions: Vec<Condition>, mutations: Vec<Mutation> },
    /// Removes rows.
    Delete { table: &'static str, conditions: Vec<Condition> },
    /// Fails unless the rows' columns are (or, not `equal`, are not) these, at once.
    Wait { table: &'static str, conditions: Vec<Condition>, columns: Vec<&'static str>, equal: bool, rows: Vec<Row> },
    /// A word for the log of the database.
    Comment(String),
    /// Fails unless this client holds the lock.
    Assert { lock: String },
}

/// What one operation did.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// The name of the inserted row.
    Inserted(Uuid),
    /// How many rows were changed or removed.
    Count(u64),
    /// The rows that were read.
    Rows(Vec<Row>),
    /// It held, or there is nothing to say.
    Done,
}

/// Operations that happen together or not at all, each with the number of rows it must meet.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Transaction {
    steps: Vec<(Operation, Option<u64>)>,
}

/// The database did not do what was asked. But for `Count`, nothing has happened.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum TransactError {
    /// An operation failed.
    #[error("the database refuses to {asked} (operation {index}): {error}{}", more(details))]
    Operation {
        /// Place in the transaction, from 0.
        index: usize,
        /// Its table, where it has one.
        table: Option<&'static str>,
        /// What was asked, in words.
        asked: String,
        /// The error's name: `timed out`, `constraint violation`, `referential integrity violation` …
        error: String,
        /// What the database says about it.
        details: String,
    },
    /// Every operation worked, but not all together.
    #[error("the database refuses the transaction as a whole: {error}{}", more(details))]
    Commit {
        /// The error's name.
        error: String,
        /// What the database says about it.
        details: String,
    },
    /// It has happened, but met other rows than it should have: a row that it is about is gone, say.
    #[error("asked to {asked} (operation {index}), the database met {found} rows, not {expected}")]
    Count {
        /// Place in the transaction, from 0.
        index: usize,
        /// Its table.
        table: Option<&'static str>,
        /// What was asked, in words.
        asked: String,
        /// How many it must meet.
        expected: u64,
        /// How many it met.
        found: u64,
    },
    /// The answer does not fit what was asked.
    #[error("the database's answer to {asked} cannot be read: {source}")]
    Answer {
        /// What was asked, in words.
        asked: String,
        /// What is wrong with it.
        source: InvalidValue,
    },
}

fn more(details: &str) -> String {
    if details.is_empty() { String::new() } else { format!(" ({details})") }
}

impl Condition {
    /// The row with this name in `column`.
    #[must_use]
    pub fn equal(column: &'static str, value: impl Into<Value>) -> Self {
        Self { column, function: Function::Equal, value: value.into() }
    }

    /// The row itself.
    #[must_use]
    pub fn row(uuid: Uuid) -> Self {
        Self::equal("_uuid", uuid)
    }

    fn to_json(&self) -> Json {
        let function = match self.function {
            Function::Equal => "==",
            Function::NotEqual => "!=",
            Function::Includes => "includes",
            Function::Excludes => "excludes",
        };
        json!([self.column, function, self.value.to_json()])
    }
}

impl Mutation {
    fn to_json(&self) -> Json {
        let mutator = match self.mutator {
            Mutator::Add => "+=",
            Mutator::Insert => "insert",
            Mutator::Delete => "delete",
        };
        json!([self.column, mutator, self.value.to_json()])
    }
}

fn conditions_json(conditions: &[Condition]) -> Json {
    conditions.iter().map(Condition::to_json).collect()
}

fn row_json(row: &Row) -> Json {
    Json::Object(row.iter().map(|(column, value)| (column.clone(), value.to_json())).collect::<JsonMap<_, _>>())
}

impl Operation {
    fn to_json(&self) -> Json {
        match self {
            Self::Insert { table, row, name } => {
                let mut json = json!({"op": "insert", "table": table, "row": row_json(row)});
                if let Some(name) = name {
                    json["uuid-name"] = json!(name);
                }
                json
            }
            Self::Select { table, conditions, columns } => {
                json!({"op": "select", "table": table, "where": conditions_json(conditions), "columns": columns})
            }
            Self::Update { table, conditions, row } => {
                json!({"op": "update", "table": table, "where": conditions_json(conditions), "row": row_json(row)})
            }
            Self::Mutate { table, conditions, mutations } => {
                let mutations: Vec<Json> = mutations.iter().map(Mutation::to_json).collect();
                json!({"op": "mutate", "table": table, "where": conditions_json(conditions), "mutations": mutations})
            }
            Self::Delete { table, conditions } => {
                json!({"op": "delete", "table": table, "where": conditions_json(conditions)})
            }
            Self::Wait { table, conditions, columns, equal, rows } => json!({
                "op": "wait", "timeout": 0, "table": table, "where": conditions_json(conditions), "columns": columns,
                "until": if *equal { "==" } else { "!=" }, "rows": rows.iter().map(row_json).collect::<Vec<_>>(),
            }),
            Self::Comment(text) => json!({"op": "comment", "comment": text}),
            Self::Assert { lock } => json!({"op": "assert", "lock": lock}),
        }
    }

    fn table(&self) -> Option<&'static str> {
        match self {
            Self::Insert { table, .. }
            | Self::Select { table, .. }
            | Self::Update { table, .. }
            | Self::Mutate { table, .. }
            | Self::Delete { table, .. }
            | Self::Wait { table, .. } => Some(table),
            Self::Comment(_) | Self::Assert { .. } => None,
        }
    }

    fn outcome(&self, json: &Json) -> Result<Outcome, InvalidValue> {
        match self {
            Self::Insert { .. } => match Value::from_json(&json["uuid"])?.single() {
                Some(super::Atom::Uuid(uuid)) => Ok(Outcome::Inserted(*uuid)),
                _ => Err(InvalidValue::new(json, "the uuid of an inserted row")),
            },
            Self::Select { .. } => {
                let rows = json["rows"].as_array().ok_or_else(|| InvalidValue::new(json, "a list of rows"))?;
                rows.iter().map(super::cache::row_from_json).collect::<Result<_, _>>().map(Outcome::Rows)
            }
            Self::Update { .. } | Self::Mutate { .. } | Self::Delete { .. } => {
                json["count"].as_u64().map(Outcome::Count).ok_or_else(|| InvalidValue::new(json, "a count"))
            }
            Self::Wait { .. } | Self::Comment(_) | Self::Assert { .. } => Ok(Outcome::Done),
        }
    }
}

/// What is asked, in words.
impl fmt::Display for Operation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (verb, conditions): (_, &[Condition]) = match self {
            Self::Insert { table, row, .. } => {
                write!(out, "insert into {table}")?;
                return match row.get("name") {
                    Some(name) => write!(out, " {}", name.to_json()),
                    None => Ok(()),
                };
            }
            Self::Comment(_) => return out.write_str("take a comment"),
            Self::Assert { lock } => return write!(out, "assert the lock `{lock}`"),
            Self::Select { conditions, .. } => ("read", conditions),
            Self::Update { conditions, .. } => ("update", conditions),
            Self::Mutate { conditions, .. } => ("mutate", conditions),
            Self::Delete { conditions, .. } => ("delete from", conditions),
            Self::Wait { conditions, .. } => ("find as it was", conditions),
        };
        write!(out, "{verb} {}", self.table().unwrap_or_default())?;
        for (index, condition) in conditions.iter().enumerate() {
            let word = if index == 0 { "where" } else { "and" };
            let json = condition.to_json();
            write!(out, " {word} {} {} {}", condition.column, json[1].as_str().unwrap_or_default(), json[2])?;
        }
        Ok(())
    }
}

impl Transaction {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Adds an operation.
    pub fn push(&mut self, operation: Operation) {
        self.steps.push((operation, None));
    }

    /// Adds an update, mutation or removal that must meet exactly so many rows. The database itself does not mind none: guard with a
    /// [`Operation::Wait`] what must not happen in that case.
    pub fn push_exactly(&mut self, rows: u64, operation: Operation) {
        self.steps.push((operation, Some(rows)));
    }

    /// The operations, in order.
    pub fn operations(&self) -> impl Iterator<Item = &Operation> {
        self.steps.iter().map(|(operation, _)| operation)
    }

    /// Parameters of `transact`.
    pub(super) fn to_json(&self, database: &str) -> Json {
        let mut parameters = vec![json!(database)];
        parameters.extend(self.operations().map(Operation::to_json));
        Json::Array(parameters)
    }

    /// Reads the answer.
    ///
    /// # Errors
    /// The first operation that failed.
    pub(super) fn outcomes(&self, answer: &Json) -> Result<Vec<Outcome>, TransactError> {
        let answers = answer.as_array().map_or(&[][..], Vec::as_slice);
        let text = |json: &Json, key: &str| json[key].as_str().unwrap_or_default().to_owned();
        let mut outcomes = Vec::with_capacity(self.steps.len());
        if let Some(failed) = answers.iter().position(|answer| answer["error"].is_string()) {
            let answer = &answers[failed];
            let (error, details) = (text(answer, "error"), text(answer, "details"));
            return Err(match self.steps.get(failed) {
                None => TransactError::Commit { error, details },
                Some((asked, _)) => TransactError::Operation {
                    index: failed,
                    table: asked.table(),
                    asked: asked.to_string(),
                    error,
                    details,
                },
            });
        }
        for (index, (operation, expected)) in self.steps.iter().enumerate() {
            let answer = answers.get(index).unwrap_or(&Json::Null);
            let outcome = operation
                .outcome(answer)
                .map_err(|source| TransactError::Answer { asked: operation.to_string(), source })?;
            if let (Some(expected), Outcome::Count(found)) = (*expected, &outcome)
                && *found != expected
            {
                let (table, asked, found) = (operation.table(), operation.to_string(), *found);
                return Err(TransactError::Count { index, table, asked, expected, found });
            }
            outcomes.push(outcome);
        }
        Ok(outcomes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transaction() -> Transaction {
        let mut transaction = Transaction::new();
        let row: Row = [("name".to_owned(), Value::from("p0"))].into();
        transaction.push(Operation::Insert { table: "Port", row, name: Some("port0".to_owned()) });
        let ports = Value::from(super::super::Atom::NamedUuid("port0".to_owned()));
        transaction.push_exactly(
            1,
            Operation::Mutate {
                table: "Bridge",
                conditions: vec![Condition::equal("name", "br-sfc")],
                mutations: vec![Mutation { column: "ports", mutator: Mutator::Insert, value: ports }],
            },
        );
        transaction.push(Operation::Assert { lock: "agent".to_owned() });
        transaction
    }

    #[test]
    fn operations_are_those_of_the_protocol() {
        assert_eq!(
            transaction().to_json("Open_vSwitch"),
            json!([
                "Open_vSwitch",
                {"op": "insert", "table": "Port", "row": {"name": "p0"}, "uuid-name": "port0"},
                {"op": "mutate", "table": "Bridge", "where": [["name", "==", "br-sfc"]],
                 "mutations": [["ports", "insert", ["named-uuid", "port0"]]]},
                {"op": "assert", "lock": "agent"},
            ])
        );
    }

    #[test]
    fn answers_are_read_and_failures_named() {
        let uuid = json!({"uuid": ["uuid", "550e8400-e29b-41d4-a716-446655440000"]});
        let answer = |answers: Json| transaction().outcomes(&answers);
        let outcomes = answer(json!([uuid, {"count": 1}, {}])).unwrap();
        assert_eq!(outcomes[1..], [Outcome::Count(1), Outcome::Done]);
        let say = |answers| answer(answers).unwrap_err().to_string();
        assert_eq!(
            say(json!([uuid, {"count": 0}, {}])),
            r#"asked to mutate Bridge where name == "br-sfc" (operation 1), the database met 0 rows, not 1"#
        );
        assert_eq!(
            say(json!([uuid, {"count": 1}, {"error": "not owner", "details": "nobody"}])),
            "the database refuses to assert the lock `agent` (operation 2): not owner (nobody)"
        );
        assert_eq!(
            say(json!([uuid, {"count": 1}, {}, {"error": "referential integrity violation"}])),
            "the database refuses the transaction as a whole: referential integrity violation"
        );
        assert!(matches!(answer(json!([uuid])), Err(TransactError::Answer { .. })), "an answer that is too short");
        assert!(matches!(answer(json!(null)), Err(TransactError::Answer { .. })));
    }
}
