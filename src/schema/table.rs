//! The field table as checked in: lines found by their beginning, a schema parsed when it is first asked for. PURE.
//!
//! In: the text that `schema::generate` makes. Out: [`Schema`]s. A line is `{"kind":"group/version/Kind","releases":"v24.10
//! v25.1","scope":"Namespaced","schema":…}`, or `{"id":"#digest","schema":…}` for a subschema that several lines share.
//! A schema is an object of these members, or its type's letter alone, or the `#digest` of a shared one:
//!
//! | member | says |
//! |---|---|
//! | `t` | type: `o`bject, `a`rray, `s`tring, `i`nteger, `n`umber, `b`oolean, `x` for integer or string |
//! | `p`, `r`, `v`, `u` | properties, required ones, schema of the other ones, whether unknown ones are kept |
//! | `i`, `k` | items; `set`, or the keys of a list that merges as a map |
//! | `e`, `m`, `f`, `d`, `z` | enum, pattern, format, default, whether null is a value |
//! | `lo`, `hi`, `min`, `max` | limits of a number; of a length or count |
//! | `c` | rules: text, message, and `true` where it holds for new objects although it names the old one |

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use regex_lite::Regex;
use serde_json::Value as Json;

use crate::node::Node;
use crate::schema::cel::{self, Expression};
use crate::schema::generate::EVERY_RELEASE;
use crate::site::Release;
use crate::source::Origin;

/// Whether objects of a kind live in namespaces.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Scope {
    /// They do.
    Namespaced,
    /// They do not.
    Cluster,
}

/// What a value may be.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Type {
    /// Nothing is said.
    #[default]
    Any,
    /// A map.
    Object,
    /// A list.
    Array,
    /// Text.
    String,
    /// A whole number.
    Integer,
    /// Any number.
    Number,
    /// `true` or `false`.
    Boolean,
    /// A whole number or text.
    IntOrString,
}

/// How the items of a list are told apart.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ListKey {
    /// By their value.
    Set,
    /// By these fields.
    Fields(Vec<String>),
}

/// What is said about a value.
#[derive(Debug)]
pub struct Schema {
    /// Its type.
    pub kind: Type,
    /// Whether null is a value.
    pub nullable: bool,
    /// Whether fields that are not named are kept.
    pub open: bool,
    /// Named fields, sorted.
    pub properties: Vec<(Box<str>, Arc<Schema>)>,
    /// Fields that must be there.
    pub required: Vec<Box<str>>,
    /// Schema of fields that are not named.
    pub additional: Option<Arc<Schema>>,
    /// Schema of the items of a list.
    pub items: Option<Arc<Schema>>,
    /// How the items are told apart.
    pub list_key: Option<ListKey>,
    /// What the value must be one of; empty for no limit.
    pub allowed: Vec<Node>,
    /// What a string must match.
    pub pattern: Option<Pattern>,
    /// Format of a string or number.
    pub format: Option<Box<str>>,
    /// What stands where nothing is written.
    pub default: Option<Node>,
    /// Least number.
    pub minimum: Option<f64>,
    /// Greatest number.
    pub maximum: Option<f64>,
    /// Least length of a string, least count of a list or map.
    pub min_len: Option<usize>,
    /// Greatest length or count.
    pub max_len: Option<usize>,
    /// Rules over the value.
    pub rules: Vec<Rule>,
    /// Whether it or what lies below it has a rule.
    pub has_rules: bool,
}

impl Schema {
    /// A schema that says nothing but the type.
    #[must_use]
    pub const fn of(kind: Type) -> Self {
        Self {
            kind,
            nullable: false,
            open: false,
            properties: Vec::new(),
            required: Vec::new(),
            additional: None,
            items: None,
            list_key: None,
            allowed: Vec::new(),
            pattern: None,
            format: None,
            default: None,
            minimum: None,
            maximum: None,
            min_len: None,
            max_len: None,
            rules: Vec::new(),
            has_rules: false,
        }
    }

    /// The schema of a named field.
    #[must_use]
    pub fn property(&self, name: &str) -> Option<&Arc<Self>> {
        let index = self.properties.binary_search_by(|(own, _)| (**own).cmp(name)).ok()?;
        Some(&self.properties[index].1)
    }

    /// The schema of the field `name`, named or not.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&Arc<Self>> {
        self.property(name).or(self.additional.as_ref())
    }

    /// Follows fields down; lists on the way stand for their items.
    #[must_use]
    pub fn at(&self, path: &[&str]) -> Option<&Self> {
        path.iter().try_fold(self, |schema, name| schema.item().field(name).map(|field| &**field))
    }

    fn item(&self) -> &Self {
        self.items.as_deref().map_or(self, Self::item)
    }
}

impl Default for Schema {
    fn default() -> Self {
        Self::of(Type::Any)
    }
}

/// A regular expression, compiled when it is first needed.
#[derive(Debug)]
pub struct Pattern {
    /// As the CRD has it.
    pub text: Box<str>,
    regex: OnceLock<Option<Regex>>,
}

impl Pattern {
    /// Whether some part of `text` matches; a pattern that cannot be compiled matches everything.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        self.regex().is_none_or(|regex| regex.is_match(text))
    }

    /// The compiled pattern.
    #[must_use]
    pub fn regex(&self) -> Option<&Regex> {
        self.regex.get_or_init(|| cel::regex(&self.text)).as_ref()
    }
}

/// A CEL rule.
#[derive(Debug)]
pub struct Rule {
    /// The rule, on one line.
    pub text: Box<str>,
    /// What the CRD says where it is broken; may be empty.
    pub message: Box<str>,
    /// Whether it also holds for new objects although it names the old one.
    pub optional_old: bool,
    parsed: OnceLock<Option<Expression>>,
}

impl Rule {
    /// Whether it can be broken by an object that is not there yet.
    #[must_use]
    pub fn is_static(&self) -> bool {
        self.optional_old || !self.text.contains("oldSelf")
    }

    /// The parsed rule, unless it is written in more of CEL than `schema::cel` reads.
    #[must_use]
    pub fn expression(&self) -> Option<&Expression> {
        self.parsed.get_or_init(|| cel::parse(&self.text)).as_ref()
    }
}

/// A kind in one or several releases.
#[derive(Debug)]
pub struct Line {
    /// API group.
    pub group: Box<str>,
    /// API version.
    pub version: Box<str>,
    /// Kind.
    pub kind: Box<str>,
    /// Whether its objects live in namespaces.
    pub scope: Scope,
    /// A bit per release.
    releases: u32,
    /// Which table it is of.
    pub(super) table: usize,
    text: Lazy,
}

impl Line {
    /// Whether `release` has the kind with this schema.
    #[must_use]
    pub fn is_of(&self, release: Release) -> bool {
        self.releases & bit(release) != 0
    }

    /// Whether it is the same in every release of DPF.
    #[must_use]
    pub fn is_of_all(&self) -> bool {
        self.releases == u32::MAX
    }
}

/// Text of a schema, and the schema once it was needed.
#[derive(Debug)]
struct Lazy {
    text: Cow<'static, str>,
    schema: OnceLock<Arc<Schema>>,
}

/// One file of the table.
#[derive(Debug, Default)]
pub struct Table {
    pub(super) lines: Vec<Line>,
    shared: BTreeMap<Box<str>, Lazy>,
}

impl Table {
    /// Finds the lines; parses no schema. What is no line of a table is left out.
    #[must_use]
    pub fn new(text: Cow<'static, str>, index: usize) -> Self {
        let mut table = Self::default();
        match text {
            Cow::Borrowed(text) => text.lines().for_each(|line| table.add(line, Cow::Borrowed, index)),
            Cow::Owned(text) => {
                text.lines().for_each(|line| table.add(line, |part| Cow::Owned(part.to_owned()), index))
            }
        }
        table
    }

    fn add<'t>(&mut self, line: &'t str, own: impl Fn(&'t str) -> Cow<'static, str>, index: usize) {
        let Some((head, schema)) = line.split_once(",\"schema\":") else { return };
        let Some(schema) = schema.strip_suffix('}') else { return };
        let text = Lazy { text: own(schema), schema: OnceLock::new() };
        let mut words = head.split('"').skip(1).step_by(2);
        match (words.next(), words.next()) {
            (Some("id"), Some(id)) => {
                self.shared.insert(id.into(), text);
            }
            (Some("kind"), Some(name)) => {
                let mut parts = name.splitn(3, '/');
                let (Some(group), Some(version), Some(kind)) = (parts.next(), parts.next(), parts.next()) else {
                    return;
                };
                let releases = words.nth(1).unwrap_or_default().split(' ').map(bits).fold(0, |a, b| a | b);
                let scope = match words.nth(1) {
                    Some("Cluster") => Scope::Cluster,
                    _ => Scope::Namespaced,
                };
                let (group, version, kind) = (group.into(), version.into(), kind.into());
                self.lines.push(Line { group, version, kind, scope, releases, table: index, text });
            }
            _ => {}
        }
    }

    /// The schema of a line.
    #[must_use]
    pub fn schema<'t>(&'t self, line: &'t Line) -> &'t Arc<Schema> {
        self.get(&line.text)
    }

    fn get<'t>(&'t self, lazy: &'t Lazy) -> &'t Arc<Schema> {
        lazy.schema.get_or_init(|| {
            // What is no JSON says nothing; a test reads every line.
            let json = serde_json::from_str(&lazy.text).unwrap_or_default();
            self.resolve(json)
        })
    }

    pub(super) fn resolve(&self, json: Json) -> Arc<Schema> {
        match json {
            Json::String(name) if name.starts_with('#') => {
                // Shared schemas refer to smaller ones only, so this ends.
                self.shared.get(&*name).map(|lazy| Arc::clone(self.get(lazy))).unwrap_or_default()
            }
            Json::String(letter) => Arc::new(Schema::of(kind(&letter))),
            Json::Object(map) => Arc::new(self.parse(map)),
            _ => Arc::default(),
        }
    }

    fn parse(&self, map: serde_json::Map<String, Json>) -> Schema {
        let mut schema = Schema::default();
        for (key, value) in map {
            match (key.as_str(), value) {
                ("t", Json::String(letter)) => schema.kind = kind(&letter),
                ("p", Json::Object(fields)) => {
                    schema.properties =
                        fields.into_iter().map(|(name, field)| (name.into(), self.resolve(field))).collect();
                    // Sorted as generated, unless a dependency makes JSON maps keep their order.
                    schema.properties.sort_by(|a, b| a.0.cmp(&b.0));
                }
                ("r", value) => schema.required = strings(value),
                ("v", value) => schema.additional = Some(self.resolve(value)),
                ("u", Json::Bool(open)) => schema.open = open,
                ("i", value) => schema.items = Some(self.resolve(value)),
                ("k", Json::String(_)) => schema.list_key = Some(ListKey::Set),
                ("k", value @ Json::Array(_)) => schema.list_key = Some(ListKey::Fields(strings(value))),
                ("e", Json::Array(items)) => {
                    schema.allowed = items.iter().map(|item| Node::from_json(item, Origin::NONE)).collect();
                }
                ("m", Json::String(text)) => {
                    schema.pattern = Some(Pattern { text: text.into(), regex: OnceLock::new() });
                }
                ("f", Json::String(format)) => schema.format = Some(format.into()),
                ("d", value) => schema.default = Some(Node::from_json(&value, Origin::NONE)),
                ("z", Json::Bool(nullable)) => schema.nullable = nullable,
                ("lo", value) => schema.minimum = value.as_f64(),
                ("hi", value) => schema.maximum = value.as_f64(),
                ("min", value) => schema.min_len = value.as_u64().and_then(|len| len.try_into().ok()),
                ("max", value) => schema.max_len = value.as_u64().and_then(|len| len.try_into().ok()),
                ("c", Json::Array(rules)) => schema.rules = rules.iter().map(rule).collect(),
                _ => {}
            }
        }
        let mut children = schema.properties.iter().map(|(_, field)| field);
        schema.has_rules = !schema.rules.is_empty()
            || children.any(|child| child.has_rules)
            || schema.items.as_ref().is_some_and(|child| child.has_rules)
            || schema.additional.as_ref().is_some_and(|child| child.has_rules);
        schema
    }
}

fn kind(letter: &str) -> Type {
    match letter {
        "o" => Type::Object,
        "a" => Type::Array,
        "s" => Type::String,
        "i" => Type::Integer,
        "n" => Type::Number,
        "b" => Type::Boolean,
        "x" => Type::IntOrString,
        _ => Type::Any,
    }
}

fn strings<S: From<String>>(value: Json) -> Vec<S> {
    let Json::Array(items) = value else { return Vec::new() };
    let texts = items.into_iter().filter_map(|item| match item {
        Json::String(text) => Some(text.into()),
        _ => None,
    });
    texts.collect()
}

fn rule(rule: &Json) -> Rule {
    let text = |index: usize| rule[index].as_str().unwrap_or_default().into();
    Rule { text: text(0), message: text(1), optional_old: rule[2] == true, parsed: OnceLock::new() }
}

fn bits(name: &str) -> u32 {
    if name == EVERY_RELEASE {
        return u32::MAX;
    }
    Release::ALL.into_iter().filter(|release| release.name() == name).map(bit).fold(0, |a, b| a | b)
}

fn bit(release: Release) -> u32 {
    1 << release as u32
}
