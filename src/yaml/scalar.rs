//! What plain scalars mean to the readers of this world. PURE.
//!
//! Kubernetes reads YAML through a fork of go-yaml 2 (sigs.k8s.io/yaml v1.4, `goyaml.v2/resolve.go`): YAML 1.1 booleans and
//! octals, underscores in numbers, no base 60, timestamps as strings. [`resolve`] does the same and [`disagreement`] says
//! where a YAML 1.1 or 1.2 reader would see something else.

use serde_json::Number;

use crate::node::Value;

/// What a plain scalar means to Kubernetes. Infinity and NaN, which JSON cannot hold, stay strings.
#[must_use]
pub fn resolve(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        _ => {}
    }
    if let Some(value) = boolean(text) {
        return Value::Bool(value);
    }
    number(text).map_or_else(|| Value::Str(text.into()), Value::Number)
}

/// The booleans of YAML 1.1 as go-yaml 2 knows them.
fn boolean(text: &str) -> Option<bool> {
    match text {
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => Some(true),
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => Some(false),
        _ => None,
    }
}

/// A number by the rules of go-yaml 2: `strconv.ParseInt(text, base 0)` without underscores, then its float pattern.
fn number(text: &str) -> Option<Number> {
    let first = text.bytes().next()?;
    if !(first.is_ascii_digit() || matches!(first, b'+' | b'-' | b'.')) {
        return None;
    }
    let bare: std::borrow::Cow<'_, str> = if text.contains('_') { text.replace('_', "").into() } else { text.into() };
    if let Some(integer) = integer(&bare) {
        return Some(integer);
    }
    if !is_float(&bare) {
        return None;
    }
    let value: f64 = bare.parse().ok()?;
    // Go writes a whole float as an integer; see dpf-v24.10's values, `1.0` becomes `1`.
    #[expect(clippy::cast_possible_truncation, reason = "whole and within 2^53")]
    if value.fract() == 0.0 && value.abs() < 9_007_199_254_740_992.0 {
        return Some((value as i64).into());
    }
    Number::from_f64(value)
}

fn integer(text: &str) -> Option<Number> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (radix, digits) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &digits[2..]),
        [b'0', b'o' | b'O', ..] => (8, &digits[2..]),
        [b'0', b'b' | b'B', ..] => (2, &digits[2..]),
        [b'0', _, ..] => (8, &digits[1..]),
        _ => (10, digits),
    };
    if digits.starts_with(['+', '-']) {
        return None;
    }
    let magnitude = u64::from_str_radix(digits, radix).ok()?;
    if negative { i64::try_from(-i128::from(magnitude)).ok().map(Number::from) } else { Some(magnitude.into()) }
}

/// `^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$`
fn is_float(text: &str) -> bool {
    let text = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    };
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let mantissa_ok = digits(whole) && digits(fraction) && !(whole.is_empty() && fraction.is_empty());
    let exponent_ok = exponent.is_none_or(|exponent| {
        let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        !exponent.is_empty() && digits(exponent)
    });
    mantissa_ok && exponent_ok
}

/// How YAML 1.1 and 1.2 readers see a plain scalar, where they disagree: `("true", "the string `on`")`.
#[must_use]
pub fn disagreement(text: &str) -> Option<(String, String)> {
    let first = text.bytes().next()?;
    if first.is_ascii_alphabetic() {
        let value = boolean(text)?;
        let both = matches!(text, "true" | "True" | "TRUE" | "false" | "False" | "FALSE");
        return (!both).then(|| (value.to_string(), format!("the string `{text}`")));
    }
    if !(first.is_ascii_digit() || matches!(first, b'+' | b'-' | b'.')) {
        return None;
    }
    let string = || format!("the string `{text}`");
    if text.contains('_') && number(text).is_some() {
        return Some((number(text).map(|n| n.to_string())?, string()));
    }
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if unsigned.len() > 1 && unsigned.starts_with('0') && unsigned.bytes().all(|byte| byte.is_ascii_digit()) {
        let octal = integer(text).map_or_else(string, |n| n.to_string());
        return Some((octal, format!("{}", unsigned.trim_start_matches('0').parse::<u64>().unwrap_or(0))));
    }
    if unsigned.starts_with("0o") && integer(text).is_some() {
        return Some((string(), integer(text)?.to_string()));
    }
    if unsigned.starts_with("0b") && integer(text).is_some() {
        return Some((integer(text)?.to_string(), string()));
    }
    if is_sexagesimal(unsigned) {
        return Some(("a number of base 60".to_owned(), string()));
    }
    if is_timestamp(text) {
        return Some(("a date".to_owned(), string()));
    }
    None
}

/// `12:30`, `190:20:30`, `12:30:45.5`: numbers of base 60 in YAML 1.1.
#[must_use]
pub fn is_sexagesimal(text: &str) -> bool {
    let mut parts = text.split(':');
    let head = parts.next().unwrap_or_default();
    let tail: Vec<&str> = parts.collect();
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_');
    !tail.is_empty()
        && digits(head)
        && tail.iter().enumerate().all(|(index, part)| {
            let part = if index + 1 == tail.len() { part.split('.').next().unwrap_or_default() } else { part };
            digits(part) && part.len() <= 2 && part.parse::<u8>().is_ok_and(|n| n < 60)
        })
}

/// `2001-01-01` and longer forms: dates in YAML 1.1.
#[must_use]
pub fn is_timestamp(text: &str) -> bool {
    let bytes = text.as_bytes();
    let digits =
        |range: std::ops::Range<usize>| bytes.get(range).is_some_and(|part| part.iter().all(u8::is_ascii_digit));
    if !(digits(0..4) && bytes.get(4) == Some(&b'-')) {
        return false;
    }
    let mut parts = text.splitn(3, '-');
    let (_, month, rest) = (parts.next(), parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let day = rest.split(['T', 't', ' ', '\t']).next().unwrap_or_default();
    let short = |part: &str| (1..=2).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
    short(month) && short(day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> String {
        crate::node::Node::new(resolve(text), crate::source::Origin::NONE).to_json().to_string()
    }

    #[test]
    fn plain_scalars_mean_what_kubernetes_takes_them_for() {
        for (text, expected) in [
            ("on", "true"),
            ("n", "false"),
            ("0777", "511"),
            ("0o17", "15"),
            ("1_000", "1000"),
            ("0x1F", "31"),
            ("1e3", "1000"),
            ("1.0", "1"),
            ("1.5", "1.5"),
            ("18446744073709551615", "18446744073709551615"),
            ("-9223372036854775808", "-9223372036854775808"),
            ("2001-01-01", "\"2001-01-01\""),
            ("12:30:45", "\"12:30:45\""),
            ("0000-90-00", "\"0000-90-00\""),
            ("089", "89"),
            (".inf", "\".inf\""),
            ("-", "\"-\""),
            (".", "\".\""),
            ("~", "null"),
            ("1.2.3", "\"1.2.3\""),
        ] {
            assert_eq!(json(text), expected, "{text}");
        }
    }

    #[test]
    fn disagreements_of_yaml_versions_are_known() {
        for text in ["on", "Off", "y", "N", "0777", "1_000", "2001-01-01", "12:30:45", "0o17", "0b1"] {
            assert!(disagreement(text).is_some(), "{text}");
        }
        for text in ["true", "1.0", "v1", "10.0.0.1", "0", "0x1F", "a:b", "10Gi", "-1", "0000:90:00.0x"] {
            assert!(disagreement(text).is_none(), "{text}");
        }
    }
}
