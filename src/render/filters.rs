//! The environment of expressions and `.j2` files: syntax, strictness, filters. PURE: no clock, no files, no randomness.
//!
//! Addresses go by the names people know from Terraform (`cidrhost`, `cidrsubnet`, `cidrnetmask`), as filters and functions.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Value as Jinja, ValueKind};
use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior};
use serde_json::Number;

use crate::node::{Entry, Key, Map, Node, Value};
use crate::source::Origin;
use crate::yaml::write;

/// Instructions that one expression or template may run; a real one takes some hundreds.
const FUEL: u64 = 1_000_000;
/// A larger result is refused: no API server takes such an object.
pub(super) const MAX_BYTES: usize = 4 << 20;
/// Deeper lists and maps are refused.
const MAX_DEPTH: usize = 64;

/// The environment in which everything is evaluated.
///
/// # Errors
/// Never with the constant delimiters; the caller reports it all the same.
pub(super) fn environment() -> Result<Environment<'static>, Error> {
    let mut environment = Environment::new();
    let syntax = SyntaxConfig::builder()
        .variable_delimiters("${{", "}}")
        .block_delimiters("${%", "%}")
        .comment_delimiters("${#", "#}")
        .trim_blocks(true)
        .lstrip_blocks(true)
        .keep_trailing_newline(true)
        .build()?;
    environment.set_syntax(syntax);
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    environment.set_fuel(Some(FUEL));
    environment.set_formatter(|out, _, value| {
        let text = text_of(value).map_err(|what| {
            Error::new(ErrorKind::InvalidOperation, format!("{what} cannot stand in text; use `to_yaml` or `to_json`"))
        })?;
        out.write_str(&text).map_err(|_| Error::new(ErrorKind::WriteFailure, "the text cannot be written"))
    });
    // These reserve what a number asks for; the others of this kind are replaced by ones that have a limit.
    for filter in ["batch", "slice", "format"] {
        environment.remove_filter(filter);
    }
    environment.add_filter("indent", indent);
    environment.add_filter("join", join);
    environment.add_filter("replace", replace);
    environment.remove_global("debug");
    environment.add_filter("to_yaml", to_yaml);
    environment.add_filter("to_json", to_json);
    environment.add_filter("cidrhost", cidrhost);
    environment.add_filter("cidrsubnet", cidrsubnet);
    environment.add_filter("cidrnetmask", cidrnetmask);
    environment.add_function("cidrhost", cidrhost);
    environment.add_function("cidrsubnet", cidrsubnet);
    environment.add_function("cidrnetmask", cidrnetmask);
    Ok(environment)
}

fn fault(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, message.into())
}

fn small(bytes: Option<usize>) -> Result<(), Error> {
    if bytes.is_some_and(|bytes| bytes <= MAX_BYTES) { Ok(()) } else { Err(fault(too_large())) }
}

fn too_large() -> String {
    format!("the result is larger than {} MiB", MAX_BYTES >> 20)
}

/// Jinja's own: every line but the first, and none that is blank.
fn indent(
    text: &str,
    width: Option<usize>,
    first: Option<bool>,
    blank: Option<bool>,
    kwargs: Kwargs,
) -> Result<String, Error> {
    let width = width.map_or_else(|| kwargs.get::<Option<usize>>("width"), |width| Ok(Some(width)))?.unwrap_or(4);
    let first = first.map_or_else(|| kwargs.get::<Option<bool>>("first"), |first| Ok(Some(first)))?;
    let blank = blank.map_or_else(|| kwargs.get::<Option<bool>>("blank"), |blank| Ok(Some(blank)))?;
    kwargs.assert_all_used()?;
    let text = text.strip_suffix('\n').unwrap_or(text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    small(text.lines().count().checked_mul(width).and_then(|more| more.checked_add(text.len())))?;
    let margin = " ".repeat(width);
    let mut out = String::with_capacity(text.len());
    for (index, line) in text.split('\n').enumerate() {
        if index > 0 {
            out.push('\n');
        }
        let wanted = if index == 0 {
            first == Some(true)
        } else {
            blank == Some(true) || !line.trim_end_matches('\r').is_empty()
        };
        if wanted {
            out.push_str(&margin);
        }
        out.push_str(line);
    }
    Ok(out)
}

/// Jinja's own.
fn join(items: &Jinja, between: Option<&str>, attribute: Option<&str>, kwargs: Kwargs) -> Result<String, Error> {
    let attribute = attribute.map_or_else(|| kwargs.get::<Option<&str>>("attribute"), |name| Ok(Some(name)))?;
    kwargs.assert_all_used()?;
    let between = between.unwrap_or_default();
    let mut out = String::new();
    for (index, item) in items.try_iter()?.enumerate() {
        let item = match attribute {
            Some(name) => name.split('.').try_fold(item, |item, name| item.get_attr(name))?,
            None => item,
        };
        let text = text_of(&item).map_err(|what| fault(format!("{what} cannot be joined")))?;
        if index > 0 {
            out.push_str(between);
        }
        out.push_str(&text);
        small(Some(out.len()))?;
    }
    Ok(out)
}

/// Jinja's own.
fn replace(text: &str, from: &str, to: &str) -> Result<String, Error> {
    let more = text.matches(from).count().checked_mul(to.len());
    small(more.and_then(|more| more.checked_add(text.len())))?;
    Ok(text.replace(from, to))
}

fn to_yaml(value: &Jinja) -> Result<String, Error> {
    let node = to_node(value, Origin::NONE).map_err(fault)?;
    let mut text = String::new();
    write::yaml(&node, &mut text);
    text.truncate(text.trim_end_matches('\n').len());
    Ok(text)
}

fn to_json(value: &Jinja) -> Result<String, Error> {
    let node = to_node(value, Origin::NONE).map_err(fault)?;
    let mut text = String::new();
    write::json(&node, &mut text);
    Ok(text)
}

fn network(text: &str) -> Result<IpNet, Error> {
    text.parse().map_err(|_| fault(format!("`{text}` is not an address range such as 10.0.0.0/24")))
}

fn from_bits(bits: u128, like: IpNet) -> Result<IpAddr, Error> {
    match like {
        IpNet::V4(_) => {
            let bits = u32::try_from(bits).map_err(|_| fault("the address lies beyond 255.255.255.255"))?;
            Ok(Ipv4Addr::from(bits).into())
        }
        IpNet::V6(_) => Ok(Ipv6Addr::from(bits).into()),
    }
}

fn to_bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u32::from(address).into(),
        IpAddr::V6(address) => address.into(),
    }
}

/// The `number`th address of a range; negative numbers count from its end.
fn cidrhost(range: &str, number: i64) -> Result<String, Error> {
    let net = network(range)?;
    let free = u32::from(net.max_prefix_len() - net.prefix_len());
    let size = 1u128.checked_shl(free).unwrap_or(u128::MAX);
    let magnitude = u128::from(number.unsigned_abs());
    let outside = || fault(format!("{range} has no address number {number}: it holds {size}"));
    if (number >= 0 && magnitude >= size) || (number < 0 && magnitude > size) {
        return Err(outside());
    }
    let offset = if number >= 0 { magnitude } else { size - magnitude };
    let bits = to_bits(net.network()).checked_add(offset).ok_or_else(outside)?;
    from_bits(bits, net).map(|address| address.to_string())
}

/// The `number`th subnet of a range whose prefix is `bits` longer.
fn cidrsubnet(range: &str, bits: u8, number: u64) -> Result<String, Error> {
    let net = network(range)?;
    let prefix = net.prefix_len().saturating_add(bits);
    if prefix > net.max_prefix_len() {
        return Err(fault(format!("{range} cannot be split by {bits} bits: /{prefix} is longer than an address")));
    }
    if bits < 64 && number >= 1 << bits {
        return Err(fault(format!(
            "{range} split by {bits} bits has {} subnets, there is no number {number}",
            1u64 << bits
        )));
    }
    let step = u32::from(net.max_prefix_len() - prefix);
    let offset = u128::from(number).checked_shl(step).unwrap_or_default();
    Ok(format!("{}/{prefix}", from_bits(to_bits(net.network()) + offset, net)?))
}

/// The netmask of an IPv4 range.
fn cidrnetmask(range: &str) -> Result<String, Error> {
    match network(range)? {
        IpNet::V4(net) => Ok(net.netmask().to_string()),
        IpNet::V6(_) => Err(fault(format!("{range}: netmasks are for IPv4"))),
    }
}

/// A scalar as text; lists, maps, null and undefined are none.
pub(super) fn text_of(value: &Jinja) -> Result<String, &'static str> {
    match value.kind() {
        ValueKind::Undefined => Err("an undefined value"),
        ValueKind::None => Err("null"),
        ValueKind::Bool | ValueKind::Number | ValueKind::String => Ok(value.to_string()),
        ValueKind::Map => Err("a map"),
        _ => Err("a list"),
    }
}

/// The node that a result is, every part placed at `origin`.
///
/// # Errors
/// What it is, where no node can hold it.
pub(super) fn to_node(value: &Jinja, origin: Origin) -> Result<Node, String> {
    node_within(value, origin, 0, &mut 0)
}

/// As [`to_node`], at a depth and with what was made so far.
fn node_within(value: &Jinja, origin: Origin, depth: usize, bytes: &mut usize) -> Result<Node, String> {
    *bytes += 16 + value.as_str().map_or(0, str::len);
    if *bytes > 4 * MAX_BYTES {
        return Err(too_large());
    }
    if depth > MAX_DEPTH {
        return Err(format!("the result is nested more than {MAX_DEPTH} levels deep"));
    }
    let node = match value.kind() {
        ValueKind::Undefined => return Err("the value is undefined".to_owned()),
        ValueKind::None => Value::Null,
        ValueKind::Bool => Value::Bool(value.is_true()),
        ValueKind::Number => {
            let number = match (i64::try_from(value.clone()), u64::try_from(value.clone())) {
                (Ok(integer), _) if value.is_integer() => Some(Number::from(integer)),
                (_, Ok(integer)) if value.is_integer() => Some(Number::from(integer)),
                _ => f64::try_from(value.clone()).ok().and_then(Number::from_f64),
            };
            Value::Number(number.ok_or_else(|| format!("{value} is not a number that JSON can hold"))?)
        }
        ValueKind::String => Value::Str(value.as_str().unwrap_or_default().into()),
        ValueKind::Seq | ValueKind::Iterable => {
            let items = value.try_iter().map_err(|error| error.to_string())?;
            Value::List(items.map(|item| node_within(&item, origin, depth + 1, bytes)).collect::<Result<_, _>>()?)
        }
        ValueKind::Map => {
            let mut entries = Vec::new();
            for key in value.try_iter().map_err(|error| error.to_string())? {
                let item = value.get_item(&key).map_err(|error| error.to_string())?;
                let value = node_within(&item, origin, depth + 1, bytes)?;
                entries.push(Entry { key: Key { text: key.to_string().into(), origin }, value });
            }
            Value::Map(Map::new(entries))
        }
        other => return Err(format!("the value is a {other}")),
    };
    Ok(Node::new(node, origin))
}

/// What an expression sees of a node.
pub(super) fn from_node(node: &Node) -> Jinja {
    match node.value() {
        Value::Null => Jinja::from(()),
        Value::Bool(value) => Jinja::from(*value),
        Value::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(integer), _, _) => Jinja::from(integer),
            (_, Some(integer), _) => Jinja::from(integer),
            (_, _, float) => Jinja::from(float.unwrap_or_default()),
        },
        Value::Str(text) => Jinja::from(&**text),
        Value::List(items) => items.iter().map(from_node).collect::<Vec<_>>().into(),
        Value::Map(map) => Jinja::from_pairs(map.iter().map(|(key, value)| (key.to_owned(), from_node(value)))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_counted_as_terraform_counts_them() {
        assert_eq!(cidrhost("10.12.127.0/20", 16).unwrap(), "10.12.112.16");
        assert_eq!(cidrhost("10.12.127.0/20", 268).unwrap(), "10.12.113.12");
        assert_eq!(cidrhost("10.0.0.0/24", -1).unwrap(), "10.0.0.255");
        assert_eq!(cidrhost("fd00:fd12:3456:7890:00a2::/72", 34).unwrap(), "fd00:fd12:3456:7890::22");
        assert_eq!(cidrsubnet("172.16.0.0/12", 4, 2).unwrap(), "172.18.0.0/16");
        assert_eq!(cidrsubnet("10.1.2.0/24", 4, 15).unwrap(), "10.1.2.240/28");
        assert_eq!(cidrnetmask("172.16.0.0/12").unwrap(), "255.240.0.0");
        assert!(cidrhost("10.0.0.0/30", 4).is_err());
        assert!(cidrsubnet("10.0.0.0/30", 4, 0).is_err());
        assert!(cidrsubnet("10.0.0.0/24", 1, 2).is_err());
        assert!(cidrhost("10.0.0.0", 1).is_err());
    }
}
