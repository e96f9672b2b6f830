//! Values of columns.
//!
//! In: JSON. Out: values that compare equal when the database means the same, and JSON again. PURE.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use serde_json::{Value as Json, json};

/// The name of a row, `550e8400-e29b-41d4-a716-446655440000`.
#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
pub struct Uuid(u128);

impl fmt::Display for Uuid {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = format!("{:032x}", self.0);
        let (a, b, c, d, e) = (&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]);
        write!(out, "{a}-{b}-{c}-{d}-{e}")
    }
}

impl fmt::Debug for Uuid {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

impl FromStr for Uuid {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let hyphens = [8, 13, 18, 23];
        let shaped = text.len() == 36
            && text
                .bytes()
                .enumerate()
                .all(|(at, byte)| if hyphens.contains(&at) { byte == b'-' } else { byte.is_ascii_hexdigit() });
        let digits = text.replace('-', "");
        match u128::from_str_radix(&digits, 16) {
            Ok(number) if shaped => Ok(Self(number)),
            _ => Err(InvalidValue { json: Json::from(text).to_string(), wanted: "a UUID" }),
        }
    }
}

/// JSON that is no value of a column.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("`{json}` is not {wanted}")]
pub struct InvalidValue {
    /// As it came, cut after 200 bytes or so.
    pub json: String,
    /// What it should be.
    pub wanted: &'static str,
}

impl InvalidValue {
    pub(super) fn new(json: &Json, wanted: &'static str) -> Self {
        let mut text = json.to_string();
        if text.len() > 200 {
            let end = (0..=200).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
            text.replace_range(end.., " …");
        }
        Self { json: text, wanted }
    }
}

/// One indivisible value. Real numbers are left out: no column that is read has one.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Atom {
    /// A number.
    Integer(i64),
    /// True or false.
    Boolean(bool),
    /// Text.
    String(String),
    /// A row.
    Uuid(Uuid),
    /// A row that the same transaction inserts, by the name it is given there.
    NamedUuid(String),
}

/// Values without an order, each once. Sorted in memory of just their size: nearly every column of nearly every row is one of one.
#[derive(Clone, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Atoms(Box<[Atom]>);

impl Atoms {
    /// None of them.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// One after the other.
    pub fn iter(&self) -> std::slice::Iter<'_, Atom> {
        self.0.iter()
    }

    /// Those of one of both.
    #[must_use]
    pub fn symmetric_difference(&self, other: &Self) -> Self {
        let (own, others): (BTreeSet<&Atom>, BTreeSet<&Atom>) = (self.iter().collect(), other.iter().collect());
        own.symmetric_difference(&others).map(|atom| (*atom).clone()).collect()
    }
}

impl FromIterator<Atom> for Atoms {
    fn from_iter<T: IntoIterator<Item = Atom>>(atoms: T) -> Self {
        let mut atoms: Vec<Atom> = atoms.into_iter().collect();
        atoms.sort_unstable();
        atoms.dedup();
        Self(atoms.into_boxed_slice())
    }
}

/// What a column holds. One value is a set of one, no value the empty set.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Value {
    /// Values without an order.
    Set(Atoms),
    /// Keys and values.
    Map(BTreeMap<Atom, Atom>),
}

impl Atom {
    /// Reads an atom.
    ///
    /// # Errors
    /// Where it is none.
    pub fn from_json(json: &Json) -> Result<Self, InvalidValue> {
        let invalid = || InvalidValue::new(json, "an integer, a boolean, a string or a uuid");
        match json {
            Json::Bool(value) => Ok(Self::Boolean(*value)),
            Json::String(text) => Ok(Self::String(text.clone())),
            Json::Number(number) => number.as_i64().map(Self::Integer).ok_or_else(invalid),
            Json::Array(pair) => match pair.as_slice() {
                [Json::String(tag), Json::String(text)] if tag == "uuid" => text.parse().map(Self::Uuid),
                [Json::String(tag), Json::String(text)] if tag == "named-uuid" => Ok(Self::NamedUuid(text.clone())),
                _ => Err(invalid()),
            },
            _ => Err(invalid()),
        }
    }

    /// As JSON.
    #[must_use]
    pub fn to_json(&self) -> Json {
        match self {
            Self::Integer(number) => json!(number),
            Self::Boolean(value) => json!(value),
            Self::String(text) => json!(text),
            Self::Uuid(uuid) => json!(["uuid", uuid.to_string()]),
            Self::NamedUuid(name) => json!(["named-uuid", name]),
        }
    }
}

impl Default for Value {
    fn default() -> Self {
        Self::none()
    }
}

impl Value {
    /// No value.
    #[must_use]
    pub fn none() -> Self {
        Self::Set(Atoms::new())
    }

    /// A set of rows, numbers or texts.
    pub fn set<T: Into<Atom>>(values: impl IntoIterator<Item = T>) -> Self {
        Self::Set(values.into_iter().map(Into::into).collect())
    }

    /// A map.
    pub fn map<K: Into<Atom>, V: Into<Atom>>(pairs: impl IntoIterator<Item = (K, V)>) -> Self {
        Self::Map(pairs.into_iter().map(|(key, value)| (key.into(), value.into())).collect())
    }

    /// Reads a value.
    ///
    /// # Errors
    /// Where it is none.
    pub fn from_json(json: &Json) -> Result<Self, InvalidValue> {
        if let Some([Json::String(tag), Json::Array(items)]) = json.as_array().map(Vec::as_slice) {
            match tag.as_str() {
                "set" => return items.iter().map(Atom::from_json).collect::<Result<_, _>>().map(Self::Set),
                "map" => return items.iter().map(pair_from_json).collect::<Result<_, _>>().map(Self::Map),
                _ => {}
            }
        }
        Ok(Self::from(Atom::from_json(json)?))
    }

    /// As JSON.
    #[must_use]
    pub fn to_json(&self) -> Json {
        match self {
            Self::Set(atoms) => match &*atoms.0 {
                [atom] => atom.to_json(),
                atoms => json!(["set", atoms.iter().map(Atom::to_json).collect::<Vec<_>>()]),
            },
            Self::Map(pairs) => {
                json!(["map", pairs.iter().map(|(key, value)| [key.to_json(), value.to_json()]).collect::<Vec<_>>()])
            }
        }
    }

    /// The one value of a column that has at most one.
    #[must_use]
    pub fn single(&self) -> Option<&Atom> {
        match self {
            Self::Set(Atoms(atoms)) if atoms.len() == 1 => atoms.first(),
            _ => None,
        }
    }

    /// The values; nothing of a map.
    pub fn atoms(&self) -> impl Iterator<Item = &Atom> {
        match self {
            Self::Set(atoms) => Some(atoms.iter()),
            Self::Map(_) => None,
        }
        .into_iter()
        .flatten()
    }

    /// Keys and values; nothing of a set.
    pub fn pairs(&self) -> impl Iterator<Item = (&Atom, &Atom)> {
        match self {
            Self::Map(pairs) => Some(pairs.iter()),
            Self::Set(_) => None,
        }
        .into_iter()
        .flatten()
    }
}

fn pair_from_json(json: &Json) -> Result<(Atom, Atom), InvalidValue> {
    match json.as_array().map(Vec::as_slice) {
        Some([key, value]) => Ok((Atom::from_json(key)?, Atom::from_json(value)?)),
        _ => Err(InvalidValue::new(json, "a pair of a map")),
    }
}

/// Plain Rust values are atoms.
macro_rules! atom_from {
    ($($type:ty => |$value:ident| $atom:expr),* $(,)?) => {$(
        impl From<$type> for Atom {
            fn from($value: $type) -> Self {
                $atom
            }
        }
    )*};
}

atom_from! {
    i64 => |number| Self::Integer(number),
    bool => |value| Self::Boolean(value),
    String => |text| Self::String(text),
    &str => |text| Self::String(text.to_owned()),
    Uuid => |uuid| Self::Uuid(uuid),
}

impl<T: Into<Atom>> From<T> for Value {
    fn from(atom: T) -> Self {
        Self::Set(Atoms(Box::new([atom.into()])))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_value_is_a_set_of_one_and_none_is_the_empty_set() {
        assert_eq!(Value::from_json(&json!("p0")), Value::from_json(&json!(["set", ["p0"]])));
        assert_eq!(Value::from("p0").to_json(), json!("p0"));
        assert_eq!(Value::none().to_json(), json!(["set", []]));
        let uuid: Uuid = "550e8400-e29b-41d4-a716-446655440000".parse().unwrap();
        let json = json!(["uuid", "550e8400-e29b-41d4-a716-446655440000"]);
        assert_eq!(Value::from_json(&json), Ok(Value::from(uuid)));
        assert_eq!(Value::from(uuid).to_json(), json);
        let row = json!(["named-uuid", "row1"]);
        assert_eq!(Value::from_json(&row), Ok(Value::from(Atom::NamedUuid("row1".to_owned()))));
        let map = json!(["map", [["a", 1], ["b", true]]]);
        assert_eq!(Value::from_json(&map).unwrap().to_json(), map);
    }

    #[test]
    fn a_set_has_no_order_and_each_value_once() {
        let sets =
            [json!(["set", [3, 1, 2, 3]]), json!(["set", [1, 2, 3]])].map(|json| Value::from_json(&json).unwrap());
        assert_eq!(sets[0], sets[1]);
        assert_eq!(sets[0].to_json(), json!(["set", [1, 2, 3]]));
        assert_eq!(Value::set([7_i64, 7]), Value::from(7));
        let atoms = |numbers: &[i64]| numbers.iter().map(|number| Atom::Integer(*number)).collect::<Atoms>();
        assert_eq!(atoms(&[3, 1]).symmetric_difference(&atoms(&[2, 3])), atoms(&[1, 2]));
    }

    #[test]
    fn what_is_no_value_is_refused() {
        for wrong in
            [json!(1.5), json!(null), json!({}), json!(["set"]), json!(["map", [["a"]]]), json!(["uuid", "550e8400"])]
        {
            assert!(Value::from_json(&wrong).is_err(), "{wrong}");
        }
        assert!("550e8400-e29b-41d4-a716-44665544000+".parse::<Uuid>().is_err());
        let long = InvalidValue::new(&json!({"a": "ä".repeat(400)}), "an atom");
        assert!(long.json.len() < 210, "{long}");
    }
}
