//! Plain YAML to [`Value`] and back, written by hand: what a renderer must at least pay, and the generator's own text.
//! It reads what this bench writes (block style, comments, quoted and literal scalars) and resolves `null`, booleans
//! and integers; it keeps no positions and checks nothing. PURE.

use std::fmt::Write as _;

use granit_parser::{Event, Parser, ScalarStyle};
use serde_json::{Map, Value};

/// Reads every document of `text`; an alias or a syntax error is an error.
pub(crate) fn parse(text: &str) -> Result<Vec<Value>, String> {
    enum Open {
        List(Vec<Value>),
        Map(Map<String, Value>, Option<String>),
    }
    let mut documents = Vec::new();
    let mut open: Vec<Open> = Vec::new();
    for event in Parser::new_from_str(text) {
        let (event, _) = event.map_err(|error| error.to_string())?;
        let mut done = match event {
            Event::Scalar(text, style, ..) => {
                if let Some(Open::Map(_, key @ None)) = open.last_mut() {
                    *key = Some(text.into_owned());
                    continue;
                }
                if style == ScalarStyle::Plain { plain(&text) } else { Value::String(text.into_owned()) }
            }
            Event::SequenceStart(..) => {
                open.push(Open::List(Vec::new()));
                continue;
            }
            Event::MappingStart(..) => {
                open.push(Open::Map(Map::new(), None));
                continue;
            }
            Event::SequenceEnd | Event::MappingEnd => match open.pop() {
                Some(Open::List(items)) => Value::Array(items),
                Some(Open::Map(map, _)) => Value::Object(map),
                None => return Err("an end without a start".to_owned()),
            },
            Event::Alias(..) => return Err("an alias".to_owned()),
            _ => continue,
        };
        match open.last_mut() {
            None => documents.push(std::mem::take(&mut done)),
            Some(Open::List(items)) => items.push(done),
            Some(Open::Map(map, key)) => {
                map.insert(key.take().ok_or("a map that is a key")?, done);
            }
        }
    }
    Ok(documents)
}

fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" => Value::Null,
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        _ if text.starts_with(['-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9']) => {
            text.parse::<i64>().map_or_else(|_| Value::String(text.to_owned()), Value::from)
        }
        _ => Value::String(text.to_owned()),
    }
}

/// Appends one document without its `---`.
pub(crate) fn emit(value: &Value, out: &mut String) {
    match value {
        Value::Object(map) if !map.is_empty() => members(map, 0, false, out),
        Value::Array(items) if !items.is_empty() => elements(items, 0, out),
        _ => {
            scalar(value, 0, out);
            out.push('\n');
        }
    }
}

fn members(map: &Map<String, Value>, indent: usize, mut inline: bool, out: &mut String) {
    for (key, value) in map {
        if !std::mem::take(&mut inline) {
            pad(indent, out);
        }
        string(key, out);
        out.push(':');
        match value {
            Value::Object(map) if !map.is_empty() => {
                out.push('\n');
                members(map, indent + 2, false, out);
            }
            Value::Array(items) if !items.is_empty() => {
                out.push('\n');
                elements(items, indent, out);
            }
            _ => {
                out.push(' ');
                scalar(value, indent + 2, out);
                out.push('\n');
            }
        }
    }
}

fn elements(items: &[Value], indent: usize, out: &mut String) {
    for item in items {
        pad(indent, out);
        out.push('-');
        out.push(' ');
        match item {
            Value::Object(map) if !map.is_empty() => members(map, indent + 2, true, out),
            Value::Array(inner) if !inner.is_empty() => {
                out.push('\n');
                elements(inner, indent + 2, out);
            }
            _ => {
                scalar(item, indent + 2, out);
                out.push('\n');
            }
        }
    }
}

fn scalar(value: &Value, indent: usize, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Number(number) => {
            let _ = write!(out, "{number}");
        }
        Value::String(text) if fits_literal(text) => literal(text, indent, out),
        Value::String(text) => string(text, out),
        Value::Array(_) => out.push_str("[]"),
        Value::Object(_) => out.push_str("{}"),
    }
}

/// Several lines that end in exactly one line feed and hold nothing that a literal block would lose.
fn fits_literal(text: &str) -> bool {
    let Some(body) = text.strip_suffix('\n') else { return false };
    !body.is_empty()
        && !body.ends_with('\n')
        && !body.starts_with([' ', '\t', '\n'])
        && !body.bytes().any(|byte| (byte < 0x20 && byte != b'\n') || byte >= 0x7f)
}

fn literal(text: &str, indent: usize, out: &mut String) {
    out.push('|');
    for line in text.lines() {
        out.push('\n');
        if !line.is_empty() {
            pad(indent, out);
            out.push_str(line);
        }
    }
}

fn string(text: &str, out: &mut String) {
    if plain_is_safe(text) {
        out.push_str(text);
        return;
    }
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            _ if (character as u32) < 0x20 || (0x7f..0xa0).contains(&(character as u32)) => {
                let _ = write!(out, "\\x{:02x}", character as u32);
            }
            '\u{2028}' | '\u{2029}' | '\u{feff}' => {
                let _ = write!(out, "\\u{:04x}", character as u32);
            }
            _ => out.push(character),
        }
    }
    out.push('"');
}

/// True if every YAML 1.1 and 1.2 reader takes `text`, unquoted, for this string.
fn plain_is_safe(text: &str) -> bool {
    let bytes = text.as_bytes();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else { return false };
    if !(first.is_ascii_alphabetic() || *first == b'/' || *first == b'_') || *last == b':' {
        return false;
    }
    let inside =
        |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'/' | b':' | b'+' | b'@');
    bytes.iter().all(inside) && !(bytes.len() <= 5 && is_word(text))
}

/// True for what some reader takes for a boolean or null.
fn is_word(text: &str) -> bool {
    const WORDS: [&str; 9] = ["y", "n", "yes", "no", "on", "off", "true", "false", "null"];
    WORDS.iter().any(|word| text.eq_ignore_ascii_case(word))
}

fn pad(indent: usize, out: &mut String) {
    const SPACES: &str = "                                ";
    let mut left = indent;
    while left > 0 {
        let part = left.min(SPACES.len());
        out.push_str(&SPACES[..part]);
        left -= part;
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    #[test]
    fn what_is_written_is_read_back() {
        let value = json!({
            "text": "a\nb\n", "odd": " x: #", "yes": "yes", "n": 5, "list": [{"a": [1, [2]], "b": {}}, "on", true, null],
            "tail": "no line feed\nat the end", "number": "0777", "empty": "", "uni": "é\u{2028}", "colon": "a: b",
        });
        let mut text = String::new();
        super::emit(&value, &mut text);
        assert_eq!(super::parse(&text), Ok(vec![value]), "{text}");
    }
}
