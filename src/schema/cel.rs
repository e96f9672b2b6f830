//! The part of CEL that the rules of CRDs are written in. PURE.
//!
//! In: the text of a rule, an object, and the schema for its defaults. Out: whether the rule holds, or nothing where it
//! cannot be said: an expression that waits, or CEL that is not read here. `&&` and `||` ignore a failing side as CEL does
//! if the other decides.

mod parse;

use regex_lite::Regex;

use crate::node::{EXPRESSION, Node, Value as Held};
use crate::schema::table::Schema;

pub use parse::parse;

/// A parsed rule.
#[derive(Debug)]
pub enum Expression {
    /// `null`, `true`, `1`, `'x'`.
    Literal(Literal),
    /// `[a, b]`.
    List(Vec<Self>),
    /// A variable.
    Name(String),
    /// `a.b`.
    Field(Box<Self>, String),
    /// `a[b]`.
    Index(Box<Self>, Box<Self>),
    /// `f(a)`, or `a.f(b)`.
    Call(Option<Box<Self>>, String, Vec<Self>),
    /// `!a`.
    Not(Box<Self>),
    /// `-a`.
    Minus(Box<Self>),
    /// `a && b`.
    Binary(Operator, Box<Self>, Box<Self>),
    /// `a ? b : c`.
    If(Box<Self>, Box<Self>, Box<Self>),
}

/// A constant.
#[derive(Clone, Debug)]
pub enum Literal {
    /// `null`.
    Null,
    /// A boolean.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A double.
    Double(f64),
    /// Text.
    Text(String),
}

/// An operator between two values.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Operator {
    /// `||`.
    Or,
    /// `&&`.
    And,
    /// `==`.
    Equal,
    /// `!=`.
    Unequal,
    /// `<`.
    Less,
    /// `<=`.
    LessOrEqual,
    /// `>`.
    Greater,
    /// `>=`.
    GreaterOrEqual,
    /// `in`.
    In,
    /// `+`.
    Plus,
    /// `-`.
    Minus,
}

/// Why there is no value.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Stop {
    /// A field that is not there, a value of the wrong type: the API server refuses the object.
    Failed,
    /// Nothing can be said: a value waits for a cluster, or a function is not known here.
    Unknown,
}

#[derive(Clone, Debug)]
enum Value<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Double(f64),
    Text(std::borrow::Cow<'a, str>),
    List(Vec<Value<'a>>),
    /// A list or map of the object, with its schema.
    Tree(&'a Node, Option<&'a Schema>),
    /// An optional that holds nothing: the old object.
    Nothing,
}

type Result<'a> = std::result::Result<Value<'a>, Stop>;

/// Compiles a pattern as Go does, as far as the syntaxes agree.
#[must_use]
pub fn regex(text: &str) -> Option<Regex> {
    // Go takes a class before a dash in brackets, regex-lite takes it for a range.
    Regex::new(&text.replace("[\\w-.]", "[\\w.-]")).ok()
}

/// Whether `rule` holds for `node`; nothing where it cannot be said.
#[must_use]
pub fn holds(rule: &Expression, node: &Node, schema: &Schema) -> Option<bool> {
    decide(rule, Scope { names: Vec::new(), node, old: None, schema })
}

/// Whether `rule` holds for `node` where `old` was before; nothing where it cannot be said.
#[must_use]
pub fn holds_after(rule: &Expression, old: &Node, node: &Node, schema: &Schema) -> Option<bool> {
    decide(rule, Scope { names: Vec::new(), node, old: Some(old), schema })
}

fn decide(rule: &Expression, scope: Scope<'_, '_>) -> Option<bool> {
    match scope.evaluate(rule) {
        Ok(Value::Bool(holds)) => Some(holds),
        Err(Stop::Failed) => Some(false),
        _ => None,
    }
}

#[derive(Clone)]
struct Scope<'a, 'e> {
    names: Vec<(&'e str, Value<'a>)>,
    node: &'a Node,
    /// The object before the change, where there is one.
    old: Option<&'a Node>,
    schema: &'a Schema,
}

impl<'a, 'e> Scope<'a, 'e> {
    fn evaluate(&self, expression: &'e Expression) -> Result<'a> {
        match expression {
            Expression::Literal(literal) => Ok(match literal {
                Literal::Null => Value::Null,
                Literal::Bool(value) => Value::Bool(*value),
                Literal::Int(value) => Value::Int(*value),
                Literal::Double(value) => Value::Double(*value),
                Literal::Text(text) => Value::Text(text.clone().into()),
            }),
            Expression::List(items) => {
                Ok(Value::List(items.iter().map(|item| self.evaluate(item)).collect::<std::result::Result<_, _>>()?))
            }
            Expression::Name(name) => match self.names.iter().rev().find(|(own, _)| own == name) {
                Some((_, value)) => Ok(value.clone()),
                None if name == "self" => value(self.node, Some(self.schema)),
                None if name == "oldSelf" => self.old.map_or(Ok(Value::Nothing), |old| value(old, Some(self.schema))),
                None => Err(Stop::Unknown),
            },
            Expression::Field(base, name) => field(&self.evaluate(base)?, name)?.ok_or(Stop::Failed),
            Expression::Index(base, index) => match (self.evaluate(base)?, self.evaluate(index)?) {
                (Value::List(items), Value::Int(index)) => {
                    usize::try_from(index).ok().and_then(|index| items.get(index).cloned()).ok_or(Stop::Failed)
                }
                (base @ Value::Tree(..), Value::Text(name)) => field(&base, &name)?.ok_or(Stop::Failed),
                (base @ Value::Tree(..), Value::Int(index)) => {
                    let items = items(&base)?;
                    usize::try_from(index).ok().and_then(|index| items.get(index).cloned()).ok_or(Stop::Failed)
                }
                _ => Err(Stop::Failed),
            },
            Expression::Not(inner) => Ok(Value::Bool(!truth(self.evaluate(inner)?)?)),
            Expression::Minus(inner) => match self.evaluate(inner)? {
                Value::Int(value) => value.checked_neg().map(Value::Int).ok_or(Stop::Failed),
                Value::Double(value) => Ok(Value::Double(-value)),
                _ => Err(Stop::Failed),
            },
            Expression::If(condition, yes, no) => {
                if truth(self.evaluate(condition)?)? {
                    self.evaluate(yes)
                } else {
                    self.evaluate(no)
                }
            }
            Expression::Binary(operator, left, right) => self.binary(*operator, left, right),
            Expression::Call(base, name, arguments) => self.call(base.as_deref(), name, arguments),
        }
    }

    fn binary(&self, operator: Operator, left: &'e Expression, right: &'e Expression) -> Result<'a> {
        if let Operator::And | Operator::Or = operator {
            let decisive = operator == Operator::Or;
            let left = self.evaluate(left).and_then(truth);
            if left == Ok(decisive) {
                return Ok(Value::Bool(decisive));
            }
            let right = self.evaluate(right).and_then(truth);
            return match (left, right) {
                (_, Ok(right)) if right == decisive => Ok(Value::Bool(decisive)),
                (Err(Stop::Unknown), _) | (_, Err(Stop::Unknown)) => Err(Stop::Unknown),
                (Err(stop), _) | (_, Err(stop)) => Err(stop),
                _ => Ok(Value::Bool(!decisive)),
            };
        }
        let (left, right) = (self.evaluate(left)?, self.evaluate(right)?);
        match operator {
            Operator::Equal => Ok(Value::Bool(equal(&left, &right)?)),
            Operator::Unequal => Ok(Value::Bool(!equal(&left, &right)?)),
            Operator::In => match &right {
                Value::Tree(node, _) if node.as_map().is_some() => match &left {
                    Value::Text(key) => Ok(Value::Bool(node.get(key).is_some())),
                    _ => Err(Stop::Failed),
                },
                _ => any(items(&right)?.iter().map(|item| equal(&left, item))),
            },
            Operator::Plus | Operator::Minus => match (left, right) {
                (Value::Int(a), Value::Int(b)) => {
                    let sum = if operator == Operator::Plus { a.checked_add(b) } else { a.checked_sub(b) };
                    sum.map(Value::Int).ok_or(Stop::Failed)
                }
                (Value::Text(a), Value::Text(b)) if operator == Operator::Plus => {
                    Ok(Value::Text(format!("{a}{b}").into()))
                }
                _ => Err(Stop::Unknown),
            },
            _ => {
                let order = match (&left, &right) {
                    (Value::Text(a), Value::Text(b)) => Some(a.cmp(b)),
                    (Value::Int(a), Value::Int(b)) => Some(a.cmp(b)),
                    _ => number(&left)?.partial_cmp(&number(&right)?),
                };
                let order = order.ok_or(Stop::Failed)?;
                Ok(Value::Bool(match operator {
                    Operator::Less => order.is_lt(),
                    Operator::LessOrEqual => order.is_le(),
                    Operator::Greater => order.is_gt(),
                    _ => order.is_ge(),
                }))
            }
        }
    }

    fn call(&self, base: Option<&'e Expression>, name: &str, arguments: &'e [Expression]) -> Result<'a> {
        match (base, name, arguments) {
            (None, "has", [Expression::Field(base, name)]) => {
                Ok(Value::Bool(field(&self.evaluate(base)?, name)?.is_some()))
            }
            (Some(base), "size", []) | (None, "size", [base]) => match self.evaluate(base)? {
                // CEL counts code points.
                Value::Text(text) => Ok(count(text.chars().count())),
                Value::Tree(node, schema) if node.as_map().is_some() => Ok(count(keys(node, schema).count())),
                base => Ok(count(items(&base)?.len())),
            },
            (None, "int", [value]) => match self.evaluate(value)? {
                Value::Int(value) => Ok(Value::Int(value)),
                Value::Text(text) => text.parse().map(Value::Int).map_err(|_| Stop::Failed),
                _ => Err(Stop::Unknown),
            },
            (None, "string", [value]) => match self.evaluate(value)? {
                Value::Int(value) => Ok(Value::Text(value.to_string().into())),
                text @ Value::Text(_) => Ok(text),
                _ => Err(Stop::Unknown),
            },
            (Some(base), "exists" | "all" | "exists_one", [Expression::Name(variable), body]) => {
                let base = self.evaluate(base)?;
                let items = match &base {
                    Value::Tree(node, schema) if node.as_map().is_some() => {
                        keys(node, *schema).map(|key| Value::Text(key.into())).collect()
                    }
                    base => items(base)?,
                };
                let mut results = items.into_iter().map(|item| {
                    let mut inner = self.clone();
                    inner.names.push((variable, item));
                    inner.evaluate(body).and_then(truth)
                });
                match name {
                    "exists" => any(results),
                    "all" => match any(results.map(|result| result.map(|holds| !holds)))? {
                        Value::Bool(broken) => Ok(Value::Bool(!broken)),
                        _ => Err(Stop::Unknown),
                    },
                    _ => {
                        let found = results.try_fold(0, |found, result| result.map(|holds| found + usize::from(holds)));
                        Ok(Value::Bool(found? == 1))
                    }
                }
            }
            (Some(base), "hasValue", []) => match self.evaluate(base)? {
                Value::Nothing => Ok(Value::Bool(false)),
                _ => Ok(Value::Bool(true)),
            },
            // Of an optional; a rule that is not about one does not call it.
            (Some(base), "value", []) => match self.evaluate(base)? {
                Value::Nothing => Err(Stop::Failed),
                held => Ok(held),
            },
            (Some(base), _, arguments) => {
                let Value::Text(text) = self.evaluate(base)? else { return Err(Stop::Unknown) };
                let first = match arguments {
                    [] => None,
                    [argument] => match self.evaluate(argument)? {
                        Value::Text(argument) => Some(argument),
                        _ => return Err(Stop::Unknown),
                    },
                    _ => return Err(Stop::Unknown),
                };
                match (name, first.as_deref()) {
                    ("contains", Some(part)) => Ok(Value::Bool(text.contains(part))),
                    ("startsWith", Some(part)) => Ok(Value::Bool(text.starts_with(part))),
                    ("endsWith", Some(part)) => Ok(Value::Bool(text.ends_with(part))),
                    ("matches", Some(pattern)) => Ok(Value::Bool(regex(pattern).ok_or(Stop::Unknown)?.is_match(&text))),
                    ("split", Some(separator)) => {
                        Ok(Value::List(text.split(separator).map(|part| Value::Text(part.to_owned().into())).collect()))
                    }
                    ("lowerAscii", None) => Ok(Value::Text(text.to_ascii_lowercase().into())),
                    ("upperAscii", None) => Ok(Value::Text(text.to_ascii_uppercase().into())),
                    ("trim", None) => Ok(Value::Text(text.trim().to_owned().into())),
                    _ => Err(Stop::Unknown),
                }
            }
            _ => Err(Stop::Unknown),
        }
    }
}

/// A value of the object; what waits for a cluster is not known yet.
fn value<'a>(node: &'a Node, schema: Option<&'a Schema>) -> Result<'a> {
    Ok(match node.value() {
        Held::Null => Value::Null,
        Held::Bool(value) => Value::Bool(*value),
        Held::Number(number) => match number.as_i64() {
            Some(value) => Value::Int(value),
            None => Value::Double(number.as_f64().ok_or(Stop::Unknown)?),
        },
        Held::Str(text) if text.contains(EXPRESSION) => return Err(Stop::Unknown),
        Held::Str(text) => Value::Text((&**text).into()),
        Held::List(_) | Held::Map(_) => Value::Tree(node, schema),
    })
}

/// The field of a map, or its default. The API server takes away nulls and fills in defaults before it asks.
fn field<'a>(base: &Value<'a>, name: &str) -> std::result::Result<Option<Value<'a>>, Stop> {
    let Value::Tree(node, schema) = base else { return Err(Stop::Failed) };
    let Some(map) = node.as_map() else { return Err(Stop::Failed) };
    let of_field = schema.and_then(|schema| schema.field(name)).map(|schema| &**schema);
    let written = map.get(name).filter(|value| !value.is_null() || of_field.is_none_or(|schema| schema.nullable));
    match written.or_else(|| of_field.and_then(|schema| schema.default.as_ref())) {
        Some(node) => value(node, of_field).map(Some),
        None if map.iter().any(|(key, _)| key.contains(EXPRESSION)) => Err(Stop::Unknown),
        None => Ok(None),
    }
}

fn keys<'a>(node: &'a Node, schema: Option<&'a Schema>) -> impl Iterator<Item = &'a str> {
    let written = node.fields(&[]).iter().map(|entry| &*entry.key.text);
    let named = schema.map(|schema| &schema.properties[..]).unwrap_or_default().iter();
    written.chain(
        named.filter(|(name, field)| field.default.is_some() && node.get(name).is_none()).map(|(name, _)| &**name),
    )
}

fn items<'a>(list: &Value<'a>) -> std::result::Result<Vec<Value<'a>>, Stop> {
    match list {
        Value::List(items) => Ok(items.clone()),
        Value::Tree(node, schema) => {
            let of_items = schema.and_then(|schema| schema.items.as_deref());
            node.as_list().ok_or(Stop::Failed)?.iter().map(|item| value(item, of_items)).collect()
        }
        _ => Err(Stop::Failed),
    }
}

/// Whether one is true, by the rule of `||`.
fn any<'a>(results: impl Iterator<Item = std::result::Result<bool, Stop>>) -> Result<'a> {
    let mut stopped = None;
    for result in results {
        match result {
            Ok(true) => return Ok(Value::Bool(true)),
            Ok(false) => {}
            Err(stop) if stopped != Some(Stop::Unknown) => stopped = Some(stop),
            Err(_) => {}
        }
    }
    stopped.map_or(Ok(Value::Bool(false)), Err)
}

fn truth(value: Value<'_>) -> std::result::Result<bool, Stop> {
    match value {
        Value::Bool(value) => Ok(value),
        _ => Err(Stop::Failed),
    }
}

fn number(value: &Value<'_>) -> std::result::Result<f64, Stop> {
    match value {
        #[expect(clippy::cast_precision_loss, reason = "compared with a double")]
        Value::Int(value) => Ok(*value as f64),
        Value::Double(value) => Ok(*value),
        _ => Err(Stop::Failed),
    }
}

fn count<'a>(count: usize) -> Value<'a> {
    Value::Int(i64::try_from(count).unwrap_or(i64::MAX))
}

fn equal(left: &Value<'_>, right: &Value<'_>) -> std::result::Result<bool, Stop> {
    Ok(match (left, right) {
        (Value::Null, Value::Null) => true,
        (Value::Bool(a), Value::Bool(b)) => a == b,
        (Value::Int(a), Value::Int(b)) => a == b,
        (Value::Text(a), Value::Text(b)) => a == b,
        (Value::Tree(a, _), Value::Tree(b, _)) => {
            if a.has_expression() || b.has_expression() {
                return Err(Stop::Unknown);
            }
            a == b
        }
        (Value::Int(_) | Value::Double(_), Value::Int(_) | Value::Double(_)) => number(left)? == number(right)?,
        (Value::List(_), _) | (_, Value::List(_)) => return Err(Stop::Unknown),
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Origin;
    use serde_json::json;

    fn check(rule: &str, object: serde_json::Value) -> Option<bool> {
        let node = Node::from_json(&object, Origin::NONE);
        holds(&parse(rule).expect("the rule is within the subset"), &node, &Schema::default())
    }

    #[test]
    fn the_forms_that_rules_are_written_in() {
        let object = json!({"a": {"n": 3, "s": "dpu.nvidia.com/x"}, "l": [{"d": "P0"}, {"d": "p0"}, {}], "no": false});
        for (rule, expected) in [
            ("has(self.a) && !has(self.b)", true),
            ("(has(self.a) ? 1 : 0) + (has(self.b) ? 1 : 0) == 1", true),
            ("self.a.n <= 3 && self.a.n > 2 && -self.a.n < 0", true),
            ("self.a.s.startsWith('dpu.') && self.a.s.size() == 16", true),
            ("self.a.exists(key, key.contains('n') || key.endsWith('zz'))", true),
            ("self.a.all(key, key.size() == 1)", true),
            ("self.l.exists_one(x, !has(x.d))", true),
            (
                "self.l.all(p, self.l.exists_one(q, (has(p.d) ? p.d.lowerAscii() : '*') == (has(q.d) ? q.d.lowerAscii() : '*')))",
                false,
            ),
            ("self.a.s in ['x', \"dpu.nvidia.com/x\"]", true),
            ("'n' in self.a", true),
            ("int('a:17'.split(':')[1]) >= 17", true),
            ("self.a.s.matches('^[a-z]+\\\\.')", true),
            ("oldSelf.hasValue() && oldSelf.value().x || self.no == false", true),
            ("self.a != self.l", true),
            ("self.missing == 1 || has(self.a)", true),
            ("self.missing == 1", false),
        ] {
            assert_eq!(check(rule, object.clone()), Some(expected), "{rule}");
        }
    }

    #[test]
    fn what_waits_is_not_decided() {
        let object = json!({"t": "${{ cluster.vars.t }}", "x": {}});
        assert_eq!(check("self.t == 'vlan'", object.clone()), None);
        assert_eq!(check("self.t == 'vlan' || has(self.x)", object.clone()), Some(true));
        assert_eq!(check("self.t == 'vlan' && !has(self.x)", object), Some(false));
    }

    #[test]
    fn what_is_not_read_is_no_rule() {
        for text in ["self.a.b(", "a ? b", "self.x[", "'open", "self.map(x, {x: 1})", "a b", "", "1 +"] {
            assert!(parse(text).is_none(), "{text}");
        }
        assert_eq!(check("isIP(self.a)", json!({"a": "1"})), None);
        assert!(parse(&"(".repeat(4000)).is_none());
        for chain in ["1+", "!", "a.", "a||", "a?b:", "[", "-"] {
            assert!(parse(&format!("{}a", chain.repeat(4000))).is_none(), "{chain}");
        }
        assert_eq!(check(&format!("{}1 == 50", "1+".repeat(49)), json!({})), Some(true));
    }
}
