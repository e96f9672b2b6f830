//! How a string is written so that every reader of YAML reads back those bytes. PURE.
//!
//! Readers meant: YAML 1.1 and 1.2, go-yaml 2 and 3, libyaml, PyYAML, ruamel.yaml, psych, js-yaml. A string is plain only where
//! none of them takes it for anything else or chokes on it; in doubt it is quoted. Quoted is double-quoted on one line with
//! JSON's escapes. Text of several lines is a literal block wherever that keeps it.

use crate::yaml::write::spaces;

/// In a literal, what tells the reader how deep the text is where its first line cannot.
const INDICATOR: &str = "2";

/// A space, `:` or `#`: plain or not is a matter of the neighbours.
const CONTEXT: u8 = 1;
/// A newline.
const NEWLINE: u8 = 1 << 1;
/// A tab.
const TAB: u8 = 1 << 2;
/// Part of a character beyond ASCII.
const WIDE: u8 = 1 << 3;
/// No reader has to take it unescaped.
const CONTROL: u8 = 1 << 4;
/// A quote or backslash: escaped between double quotes.
const ESCAPED: u8 = 1 << 5;
/// Cannot be part of a number, date or time of any reader.
const NO_NUMBER: u8 = 1 << 6;

const CLASS: [u8; 256] = {
    let mut class = [NO_NUMBER; 256];
    let mut byte = 0;
    while byte < 256 {
        #[expect(clippy::cast_possible_truncation, reason = "below 256")]
        let of = match byte as u8 {
            b'\n' => NEWLINE | NO_NUMBER,
            b'\t' => TAB | NO_NUMBER,
            0..0x20 | 0x7f => CONTROL | NO_NUMBER,
            0x80.. => WIDE | NO_NUMBER,
            b' ' | b':' => CONTEXT,
            b'#' => CONTEXT | NO_NUMBER,
            b'"' | b'\\' => ESCAPED | NO_NUMBER,
            // Digits of base 16, signs, separators of thousands and of base 60, `0x 0o 0b`, `T` and `Z` of times, `.inf`, `.nan`.
            b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F' | b'+' | b'-' | b'.' | b',' | b'_' => 0,
            b'x' | b'X' | b'o' | b'O' | b't' | b'T' | b'z' | b'Z' | b'i' | b'I' | b'n' | b'N' => 0,
            _ => NO_NUMBER,
        };
        class[byte] = of;
        byte += 1;
    }
    class
};

/// What the first byte of a plain scalar may lead a reader to think of.
#[derive(Clone, Copy, PartialEq)]
enum First {
    /// Nothing.
    Safe,
    /// One of the words of [`is_word`].
    Word,
    /// A number, date or time.
    Number,
    /// A number without digits before its exponent.
    Exponent,
    /// Syntax; or psych's symbols, the merge key `<<`, the value key `=`, null's `~`.
    Never,
}

const FIRST: [First; 256] = {
    let mut first = [First::Safe; 256];
    let mut byte = 0;
    while byte < 256 {
        #[expect(clippy::cast_possible_truncation, reason = "below 256")]
        let of = match byte as u8 {
            b'n' | b'N' | b't' | b'T' | b'f' | b'F' | b'y' | b'Y' | b'o' | b'O' => First::Word,
            b'e' | b'E' => First::Exponent,
            b'0'..=b'9' | b'+' | b'-' | b'.' => First::Number,
            0..=b' ' | 0x7f | b'?' | b':' | b',' | b'[' | b']' | b'{' | b'}' | b'#' | b'&' | b'*' | b'!' | b'|' => {
                First::Never
            }
            b'>' | b'\'' | b'"' | b'%' | b'@' | b'`' | b'=' | b'<' | b'~' => First::Never,
            _ => First::Safe,
        };
        first[byte] = of;
        byte += 1;
    }
    first
};

/// Appends a string that stands behind a key or dash; `indent` is the column of what is below it.
pub(super) fn behind(text: &str, indent: usize, out: &mut String) {
    let class = class(text);
    if class & NEWLINE != 0 && keeps_as_literal(text, class) {
        literal(text, indent, out);
    } else {
        on_one_line(text, class, out);
    }
}

/// Appends a string that is a document: there readers disagree on what an indentation indicator counts from.
pub(super) fn alone(text: &str, indent: usize, out: &mut String) {
    if text.starts_with([' ', '\t', '\n']) { line(text, out) } else { behind(text, indent + 2, out) }
}

/// Appends a string without a line break: keys.
pub(super) fn line(text: &str, out: &mut String) {
    on_one_line(text, class(text), out);
}

/// Appends a string as JSON; with the escapes of YAML, so that JSON is YAML.
pub(super) fn json(text: &str, out: &mut String) {
    quoted(text, class(text), out);
}

/// All that occurs in the text.
fn class(text: &str) -> u8 {
    text.bytes().fold(0, |all, byte| all | CLASS[usize::from(byte)])
}

fn on_one_line(text: &str, class: u8, out: &mut String) {
    if keeps_plain(text, class) { out.push_str(text) } else { quoted(text, class, out) }
}

fn quoted(text: &str, class: u8, out: &mut String) {
    out.push('"');
    if class & (ESCAPED | CONTROL | NEWLINE | TAB | WIDE) == 0 {
        out.push_str(text)
    } else {
        escaped(text, out)
    }
    out.push('"');
}

fn keeps_plain(text: &str, class: u8) -> bool {
    let bytes = text.as_bytes();
    let Some(&first) = bytes.first() else { return false };
    if class & (NEWLINE | TAB | CONTROL) != 0 {
        return false;
    }
    let first_ok = match FIRST[usize::from(first)] {
        First::Safe => true,
        First::Word => !is_word(text),
        First::Number => {
            !matches!(bytes, [b'-', b' ', ..] | [b'-', b'-', b'-', ..] | [b'.', b'.', b'.', ..])
                && (class & NO_NUMBER != 0 || is_address(bytes))
        }
        // `e3` is not a number to one of the readers in JavaScript.
        First::Exponent => !bytes[1..].iter().all(|byte| byte.is_ascii_digit() || matches!(byte, b'+' | b'-')),
        First::Never => false,
    };
    first_ok
        && (class & CONTEXT == 0 || context_keeps_plain(bytes))
        && (class & WIDE == 0 || !text.chars().any(|c| is_hidden(c) || !c.is_ascii() && c.is_whitespace()))
}

/// No `: `, no ` #`, no space or colon at the end.
fn context_keeps_plain(bytes: &[u8]) -> bool {
    !matches!(bytes.last(), Some(b' ' | b':'))
        && !bytes.windows(2).any(|pair| matches!(pair, [b':', b' '] | [b' ', b'#']))
}

/// `10.0.0.1`, `1.2.3`: digits and two points or more, no number to anybody.
fn is_address(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.')
        && bytes.iter().filter(|byte| **byte == b'.').count() > 1
        && bytes[0] != b'.'
}

/// The booleans and nulls of all readers, psych's in any case of letters.
fn is_word(text: &str) -> bool {
    const WORDS: [&str; 9] = ["null", "true", "false", "yes", "no", "on", "off", "y", "n"];
    text.len() <= 5 && WORDS.iter().any(|word| word.eq_ignore_ascii_case(text))
}

/// What a reader may refuse, drop or take for a line break if it is not escaped, and what nobody sees.
fn is_hidden(c: char) -> bool {
    matches!(c,
        '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fdd0}'..='\u{fdef}' | '\u{fff9}'..='\u{fffb}' | '\u{fffe}' | '\u{ffff}'
        // No width, or a change of direction: what a person reviews must be what is there.
        | '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}')
}

/// Whether a literal block keeps these bytes in every reader, and in the hands of people.
fn keeps_as_literal(text: &str, class: u8) -> bool {
    let last_line = text.trim_end_matches('\n');
    class & CONTROL == 0
        && !last_line.is_empty()
        && !last_line.ends_with([' ', '\t'])
        && (class & WIDE == 0 || !text.chars().any(is_hidden))
}

fn literal(text: &str, indent: usize, out: &mut String) {
    out.push('|');
    if text.starts_with([' ', '\t', '\n']) {
        out.push_str(INDICATOR);
    }
    let body = match text.strip_suffix('\n') {
        None => {
            out.push('-');
            text
        }
        Some(body) => {
            if body.ends_with('\n') {
                out.push('+');
            }
            body
        }
    };
    for line in body.split('\n') {
        out.push('\n');
        if !line.is_empty() {
            spaces(indent, out);
            out.push_str(line);
        }
    }
}

/// The text with JSON's escapes.
fn escaped(text: &str, out: &mut String) {
    let mut done = 0;
    for (at, c) in text.char_indices() {
        let stays = match CLASS[usize::from(text.as_bytes()[at])] {
            of if of & (ESCAPED | CONTROL | NEWLINE | TAB) != 0 => false,
            of if of & WIDE != 0 => !is_hidden(c) && !c.is_whitespace(),
            _ => true,
        };
        if stays {
            continue;
        }
        out.push_str(&text[done..at]);
        done = at + c.len_utf8();
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            _ => {
                out.push_str("\\u");
                for shift in [12, 8, 4, 0] {
                    out.push(char::from_digit(u32::from(c) >> shift & 0xf, 16).unwrap_or('0'));
                }
            }
        }
    }
    out.push_str(&text[done..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> String {
        let mut out = String::new();
        behind(text, 2, &mut out);
        out
    }

    #[test]
    fn what_all_readers_take_for_a_string_is_plain() {
        for text in [
            "a",
            "v1",
            "dpu.nvidia.com/x",
            "worker1-0000-90-00",
            "10.0.0.1",
            "1.2.3",
            "10.0.0.0/24",
            "10Gi",
            "100Mi",
            "9k",
            "aa:bb:cc:dd:ee:ff",
            "a#b",
            "a:b",
            "/a b",
            "--flag=1",
            "-key",
            "$HOME",
            "(x)",
            "nulls",
            "yesterday",
            "o",
            "t",
            "it's",
            "say \"hi\"",
            "a\\b",
            "x, y",
            "x{y}[z]",
            "ü",
            "日本",
            "e\u{301}",
            "🚀",
            "_",
            ";",
            "^a$",
            "${{ vars.mtu }}",
            "5s",
            "1h",
            "a - b",
            "registry:5000/x@sha256:0",
        ] {
            assert_eq!(written(text), text);
        }
    }

    #[test]
    fn what_any_reader_takes_for_something_else_is_quoted() {
        for text in [
            "",
            "~",
            "null",
            "Null",
            "NULL",
            "nULL",
            "true",
            "False",
            "yes",
            "No",
            "ON",
            "off",
            "y",
            "N",
            "tRUE",
            "0",
            "1",
            "-1",
            "+1",
            "007",
            "0777",
            "089",
            "0o17",
            "0b1",
            "0x1F",
            "1_000",
            "1,000",
            "1.5",
            "1.",
            ".5",
            "1e3",
            "1E3",
            "1e+3",
            "6.8523015e+5",
            ".inf",
            "-.INF",
            "+.Inf",
            ".nan",
            ".NaN",
            "12:30",
            "12:30:45",
            "190:20:30.15",
            "00:11:22:33:44:55",
            "0000:90:00",
            "0000-90-00",
            "2001-01-01",
            "2001-1-1",
            "2001-12-14t21:59:43.10-05:00",
            "2001-12-14 21:59:43.10 -5",
            "1e",
            "e3",
            "E-1",
            "123abc",
            "18446744073709551616",
            "-",
            "--",
            "---",
            "--- r",
            "...",
            "... r",
            "- a",
            ".",
            "..",
            "+",
            "=",
            "<<",
            "<a>",
            "?",
            "? a",
            "?a",
            ":",
            ":sym",
            ": a",
            ",",
            "[",
            "]",
            "{",
            "}",
            "{{ x }}",
            "#",
            "# a",
            "&a",
            "*a",
            "!a",
            "|",
            ">",
            "'a'",
            "%a",
            "@a",
            "`a`",
            " a",
            "a ",
            "a:",
            "a: b",
            "a #b",
            "a : b",
            " ",
        ] {
            assert_eq!(written(text), format!("\"{text}\""));
        }
    }

    #[test]
    fn what_readers_stumble_over_is_escaped() {
        for (text, expected) in [
            ("\"a\"", r#""\"a\"""#),
            ("a\tb", r#""a\tb""#),
            ("a\r\nb", r#""a\r\nb""#),
            ("\0\u{1}\u{7f}\u{85}\u{9f}", r#""\u0000\u0001\u007f\u0085\u009f""#),
            ("\u{feff}a", r#""\ufeffa""#),
            ("a\u{2028}b\u{2029}", r#""a\u2028b\u2029""#),
            ("a\u{a0}b\u{3000}", r#""a\u00a0b\u3000""#),
            ("\u{fffe}\u{ffff}", r#""\ufffe\uffff""#),
            ("ü: \\", r#""ü: \\""#),
        ] {
            assert_eq!(written(text), expected);
        }
    }

    #[test]
    fn lines_are_a_literal_where_that_keeps_them() {
        for (text, expected) in [
            ("a\n", "|\n  a"),
            ("a\nb", "|-\n  a\n  b"),
            ("a\n\n", "|+\n  a\n"),
            ("a\n\n\n b\n", "|\n  a\n\n\n   b"),
            (" a\nb\n", "|2\n   a\n  b"),
            ("\n a\n\n", "|2+\n\n   a\n"),
            ("\ta\nb", "|2-\n  \ta\n  b"),
            ("a \nb\n", "|\n  a \n  b"),
            ("a: b\n# c\n--- \n...\n", "|\n  a: b\n  # c\n  --- \n  ..."),
            ("a\n ", r#""a\n ""#),
            ("a \n", r#""a \n""#),
            ("\n", r#""\n""#),
            ("a\n\r\n", r#""a\n\r\n""#),
            ("a\n\u{85}b", r#""a\n\u0085b""#),
        ] {
            assert_eq!(written(text), expected);
        }
    }

    #[test]
    fn json_is_escaped_so_that_it_is_yaml() {
        let mut out = String::new();
        json("a\"\\\n\r\t\u{8}\u{1f}\u{7f}\u{85}\u{2028}ü🚀</>", &mut out);
        assert_eq!(out, r#""a\"\\\n\r\t\u0008\u001f\u007f\u0085\u2028ü🚀</>""#);
        assert_eq!(serde_json::from_str::<String>(&out).unwrap(), "a\"\\\n\r\t\u{8}\u{1f}\u{7f}\u{85}\u{2028}ü🚀</>");
    }
}
