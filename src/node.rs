//! [`Node`]: scalar, list or map; immutable, shared, knows where it was written and what it overrode.
//!
//! The only currency of the renderer. Changing a node makes a new one that grafts the unchanged children, so a thousand
//! clusters share what they have in common and equal subtrees are often the same pointer. PURE.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use serde_json::Number;

use crate::source::Origin;

/// Opens an expression in a scalar; see `render::expression`.
pub const EXPRESSION: &str = "${{";

/// A scalar, list or map.
#[derive(Clone)]
pub struct Node(Arc<Inner>);

struct Inner {
    value: Value,
    origin: Origin,
    overrode: Option<Node>,
    has_expression: bool,
    has_null: bool,
}

/// What a node holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `null`, `~` or nothing.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// 64-bit integers keep every digit; the rest is a double.
    Number(Number),
    /// Any text.
    Str(Box<str>),
    /// A sequence.
    List(Vec<Node>),
    /// A mapping.
    Map(Map),
}

/// Entries sorted by key, each key once.
#[derive(Clone, Default, PartialEq)]
pub struct Map(Vec<Entry>);

/// A key and its value.
#[derive(Clone)]
pub struct Entry {
    /// The key and where it was written.
    pub key: Key,
    /// Its value.
    pub value: Node,
}

/// A key of a map; cloning shares the text.
#[derive(Clone)]
pub struct Key {
    /// The key itself.
    pub text: Name,
    /// Where it was written.
    pub origin: Origin,
}

/// The text of a key: most keys of generated objects are constants and cost no memory.
#[derive(Clone)]
pub enum Name {
    /// A constant of the program.
    Constant(&'static str),
    /// Read from a file or computed.
    Shared(Arc<str>),
}

impl Deref for Name {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Self::Constant(text) => text,
            Self::Shared(text) => text,
        }
    }
}

impl From<&str> for Name {
    fn from(text: &str) -> Self {
        Self::Shared(text.into())
    }
}

impl From<String> for Name {
    fn from(text: String) -> Self {
        Self::Shared(text.into())
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Name {}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Name {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (**self).cmp(&**other)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.key.text == other.key.text && self.value == other.value
    }
}

/// Structural; origins do not count.
impl PartialEq for Node {
    fn eq(&self, other: &Self) -> bool {
        self.same(other) || self.0.value == other.0.value
    }
}

impl fmt::Debug for Map {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.value.fmt(f)
    }
}

impl Map {
    /// Of entries in any order; of two with one key the later stays.
    #[must_use]
    pub fn new(mut entries: Vec<Entry>) -> Self {
        if !entries.is_sorted_by(|a, b| a.key.text < b.key.text) {
            entries.sort_by(|a, b| a.key.text.cmp(&b.key.text));
            entries.reverse();
            entries.dedup_by(|a, b| a.key.text == b.key.text);
            entries.reverse();
        }
        Self(entries)
    }

    /// The value of `key`.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|entry| &entry.value)
    }

    /// The entry of `key`, for the place of the key itself.
    #[must_use]
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        // Comparing lengths touches no key's text; in the small maps of Kubernetes objects that beats halving.
        if self.0.len() <= 24 {
            return self.0.iter().find(|entry| entry.key.text.len() == key.len() && *entry.key.text == *key);
        }
        self.0.binary_search_by(|entry| (*entry.key.text).cmp(key)).ok().map(|index| &self.0[index])
    }

    /// Entries in key order.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.0
    }

    /// Keys and values in key order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Node)> {
        self.0.iter().map(|entry| (&*entry.key.text, &entry.value))
    }

    /// Number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A copy in which `key` has `value`; the place of an existing key stays.
    #[must_use]
    pub fn with(&self, key: &str, value: Node) -> Self {
        let mut entries = self.0.clone();
        match entries.binary_search_by(|entry| (*entry.key.text).cmp(key)) {
            Ok(index) => entries[index].value = value,
            Err(index) => {
                let origin = value.origin();
                entries.insert(index, Entry { key: Key { text: key.into(), origin }, value });
            }
        }
        Self(entries)
    }

    /// A copy without `key`.
    #[must_use]
    pub fn without(&self, key: &str) -> Self {
        Self(self.0.iter().filter(|entry| &*entry.key.text != key).cloned().collect())
    }
}

impl Node {
    /// A node written at `origin`.
    #[must_use]
    pub fn new(value: Value, origin: Origin) -> Self {
        let has_expression = match &value {
            Value::Str(text) => text.contains(EXPRESSION),
            Value::List(items) => items.iter().any(Self::has_expression),
            Value::Map(map) => {
                map.0.iter().any(|entry| entry.value.has_expression() || entry.key.text.contains(EXPRESSION))
            }
            _ => false,
        };
        let has_null = match &value {
            Value::Null => true,
            Value::List(items) => items.iter().any(Self::has_null),
            Value::Map(map) => map.0.iter().any(|entry| entry.value.has_null()),
            _ => false,
        };
        Self(Arc::new(Inner { value, origin, overrode: None, has_expression, has_null }))
    }

    /// A string.
    #[must_use]
    pub fn str(text: impl Into<Box<str>>, origin: Origin) -> Self {
        Self::new(Value::Str(text.into()), origin)
    }

    /// A boolean.
    #[must_use]
    pub fn bool(value: bool, origin: Origin) -> Self {
        Self::new(Value::Bool(value), origin)
    }

    /// An integer.
    #[must_use]
    pub fn int(value: i64, origin: Origin) -> Self {
        Self::new(Value::Number(value.into()), origin)
    }

    /// A list.
    #[must_use]
    pub fn list(items: Vec<Self>, origin: Origin) -> Self {
        Self::new(Value::List(items), origin)
    }

    /// A map of generated entries, all placed at `origin`. Entries whose value is `None` are left out.
    #[must_use]
    pub fn map(entries: impl IntoIterator<Item = (&'static str, Option<Self>)>, origin: Origin) -> Self {
        Self::map_of(entries.into_iter().filter_map(|(key, value)| Some((Name::Constant(key), value?))), origin)
    }

    /// A map of generated entries whose keys are computed.
    #[must_use]
    pub fn map_of(entries: impl IntoIterator<Item = (Name, Self)>, origin: Origin) -> Self {
        let entries = entries.into_iter().map(|(text, value)| Entry { key: Key { text, origin }, value });
        Self::new(Value::Map(Map::new(entries.collect())), origin)
    }

    /// The same value, remembering that it replaced `old`.
    #[must_use]
    pub fn over(&self, old: &Self) -> Self {
        if self.same(old) {
            return self.clone();
        }
        Self(Arc::new(Inner {
            value: self.0.value.clone(),
            origin: self.0.origin,
            overrode: Some(old.clone()),
            has_expression: self.0.has_expression,
            has_null: self.0.has_null,
        }))
    }

    /// What this node holds.
    #[must_use]
    pub fn value(&self) -> &Value {
        &self.0.value
    }

    /// Where it was written.
    #[must_use]
    pub fn origin(&self) -> Origin {
        self.0.origin
    }

    /// What it replaced, if a layer before set the same place.
    #[must_use]
    pub fn overrode(&self) -> Option<&Self> {
        self.0.overrode.as_ref()
    }

    /// Whether `${{` occurs in it or below it; O(1).
    #[must_use]
    pub fn has_expression(&self) -> bool {
        self.0.has_expression
    }

    /// Whether a null is in it or below it; O(1).
    #[must_use]
    pub fn has_null(&self) -> bool {
        self.0.has_null
    }

    /// How many own it; a number above a few says that it is grafted into many trees.
    #[must_use]
    pub fn owners(&self) -> usize {
        Arc::strong_count(&self.0)
    }

    /// Whether both are the very same node.
    #[must_use]
    pub fn same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// A number that is the same for the same node while it lives; for memo tables.
    #[must_use]
    pub fn address(&self) -> usize {
        Arc::as_ptr(&self.0).addr()
    }

    /// The value of a key, if this is a map that has it.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.as_map()?.get(key)
    }

    /// Follows keys down: `at(&["spec", "template"])`.
    #[must_use]
    pub fn at(&self, path: &[&str]) -> Option<&Self> {
        path.iter().try_fold(self, |node, key| node.get(key))
    }

    /// The text of a string.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self.value() {
            Value::Str(text) => Some(text),
            _ => None,
        }
    }

    /// A boolean.
    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        match self.value() {
            Value::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// An integer.
    #[must_use]
    pub fn as_i64(&self) -> Option<i64> {
        match self.value() {
            Value::Number(number) => number.as_i64(),
            _ => None,
        }
    }

    /// The items of a list.
    #[must_use]
    pub fn as_list(&self) -> Option<&[Self]> {
        match self.value() {
            Value::List(items) => Some(items),
            _ => None,
        }
    }

    /// A map.
    #[must_use]
    pub fn as_map(&self) -> Option<&Map> {
        match self.value() {
            Value::Map(map) => Some(map),
            _ => None,
        }
    }

    /// Whether it is null.
    #[must_use]
    pub fn is_null(&self) -> bool {
        matches!(self.value(), Value::Null)
    }

    /// The items of the list below `path`; none where it is absent or no list.
    #[must_use]
    pub fn items(&self, path: &[&str]) -> &[Self] {
        self.at(path).and_then(Self::as_list).unwrap_or_default()
    }

    /// The string below `path`.
    #[must_use]
    pub fn text(&self, path: &[&str]) -> Option<&str> {
        self.at(path).and_then(Self::as_str)
    }

    /// The entries of the map below `path`; none where it is absent or no map.
    #[must_use]
    pub fn fields(&self, path: &[&str]) -> &[Entry] {
        self.at(path).and_then(Self::as_map).map(Map::entries).unwrap_or_default()
    }

    /// The place of a key of this map, or of the map itself.
    #[must_use]
    pub fn key_origin(&self, key: &str) -> Origin {
        self.as_map().and_then(|map| map.entry(key)).map_or(self.origin(), |entry| entry.key.origin)
    }

    /// The same map with `key` set; a node that is no map becomes one.
    #[must_use]
    pub fn with(&self, key: &str, value: Self) -> Self {
        let map =
            self.as_map().map_or_else(|| Map::default().with(key, value.clone()), |map| map.with(key, value.clone()));
        self.with_value(Value::Map(map))
    }

    /// The same tree with the value below `path` set; maps on the way are made where missing.
    #[must_use]
    pub fn with_at(&self, path: &[&str], value: Self) -> Self {
        match path {
            [] => value,
            [key, rest @ ..] => {
                let child = self.get(key).cloned().unwrap_or_else(|| Self::map([], value.origin()));
                self.with(key, child.with_at(rest, value))
            }
        }
    }

    /// The same map without `key`.
    #[must_use]
    pub fn without(&self, key: &str) -> Self {
        match self.as_map() {
            Some(map) if map.get(key).is_some() => self.with_value(Value::Map(map.without(key))),
            _ => self.clone(),
        }
    }

    /// Another value at the same place, with the same past.
    #[must_use]
    pub fn with_value(&self, value: Value) -> Self {
        let Self(inner) = Self::new(value, self.origin());
        let mut inner = Arc::into_inner(inner).unwrap_or_else(|| unreachable!("nobody else has it yet"));
        inner.overrode = self.0.overrode.clone();
        Self(Arc::new(inner))
    }

    /// `a map`, `a list`, `a string`, … for messages.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self.value() {
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Number(number) if number.is_f64() => "a number",
            Value::Number(_) => "an integer",
            Value::Str(_) => "a string",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
        }
    }

    /// As JSON.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        use serde_json::Value as Json;
        match self.value() {
            Value::Null => Json::Null,
            Value::Bool(value) => Json::Bool(*value),
            Value::Number(number) => Json::Number(number.clone()),
            Value::Str(text) => Json::String(text.to_string()),
            Value::List(items) => Json::Array(items.iter().map(Self::to_json).collect()),
            Value::Map(map) => map.iter().map(|(key, value)| (key.to_owned(), value.to_json())).collect(),
        }
    }

    /// Of JSON, every node placed at `origin`.
    #[must_use]
    pub fn from_json(json: &serde_json::Value, origin: Origin) -> Self {
        use serde_json::Value as Json;
        let value = match json {
            Json::Null => Value::Null,
            Json::Bool(value) => Value::Bool(*value),
            Json::Number(number) => Value::Number(number.clone()),
            Json::String(text) => Value::Str(text.as_str().into()),
            Json::Array(items) => Value::List(items.iter().map(|item| Self::from_json(item, origin)).collect()),
            Json::Object(map) => Value::Map(Map::new(
                map.iter()
                    .map(|(key, value)| Entry {
                        key: Key { text: key.as_str().into(), origin },
                        value: Self::from_json(value, origin),
                    })
                    .collect(),
            )),
        };
        Self::new(value, origin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn node(json: serde_json::Value) -> Node {
        Node::from_json(&json, Origin::NONE)
    }

    #[test]
    fn setting_a_field_shares_its_siblings() {
        let old = node(json!({"a": {"x": 1}, "b": {"y": 2}}));
        let new = old.with_at(&["a", "x"], node(json!(3)));
        assert_eq!(new, node(json!({"a": {"x": 3}, "b": {"y": 2}})));
        assert!(new.get("b").unwrap().same(old.get("b").unwrap()));
    }

    #[test]
    fn of_two_equal_keys_the_later_stays() {
        let entry = |key: &str, n: i64| Entry {
            key: Key { text: key.into(), origin: Origin::NONE },
            value: Node::int(n, Origin::NONE),
        };
        let map = Map::new(vec![entry("b", 1), entry("a", 2), entry("b", 3)]);
        assert_eq!(map.get("b").unwrap().as_i64(), Some(3));
        assert_eq!(map.len(), 2);
    }

    #[test]
    fn expressions_are_known_from_above() {
        assert!(node(json!({"a": [{"b": "x ${{ y }}"}]})).has_expression());
        assert!(!node(json!({"a": ["{{ y }}"]})).has_expression());
    }
}
