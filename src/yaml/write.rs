//! [`Node`] to YAML and JSON text. PURE.
//!
//! Out: block style as kubectl writes it (keys in order, two spaces, lists not indented below their key), in the subset of
//! YAML on which all readers agree; how strings keep their bytes is in `text.rs`. The same node gives the same bytes.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::Number;

use crate::node::{Entry, Node, Value};
use crate::yaml::text;

/// A map with so many owners is in so many documents that remembering its text pays.
const MANY: usize = 5;
/// What a level adds to the indentation.
const STEP: usize = 2;
/// Readers look for the `:` of a key within 1024 characters; a longer one is announced by `? `.
const LONGEST_SIMPLE_KEY: usize = 1000;
/// Beyond this a double does not hold every integer.
const WHOLE: f64 = 9_007_199_254_740_992.0;

/// Appends `node` as the body of a YAML document, closed by a newline.
pub fn yaml(node: &Node, out: &mut String) {
    yaml_at(node, 0, out);
}

/// Texts of maps that several documents have, by address and indentation. The nodes are held: no address is used twice.
#[derive(Default)]
pub struct Texts(BTreeMap<(usize, usize), (Node, Box<str>)>);

/// As [`yaml`], but maps grafted from elsewhere into the two upper levels are printed once for all documents.
pub fn yaml_grafted(node: &Node, out: &mut String, texts: &mut Texts) {
    match node.as_map() {
        Some(map) if !map.is_empty() => grafted_map(map.entries(), 0, out, texts),
        _ => yaml(node, out),
    }
}

fn grafted_map(entries: &[Entry], indent: usize, out: &mut String, texts: &mut Texts) {
    for entry in entries {
        match entry.value.as_map() {
            Some(map) if !map.is_empty() && indent <= STEP => {
                spaces(indent, out);
                key(&entry.key.text, indent, out);
                out.push('\n');
                if entry.value.owners() < MANY {
                    grafted_map(map.entries(), indent + STEP, out, texts);
                    continue;
                }
                let known = texts.0.entry((entry.value.address(), indent)).or_insert_with(|| {
                    let mut text = String::new();
                    yaml_at(&entry.value, indent + STEP, &mut text);
                    (entry.value.clone(), text.into())
                });
                out.push_str(&known.1);
            }
            _ => {
                spaces(indent, out);
                block_map(std::slice::from_ref(entry), indent, out);
            }
        }
    }
}

/// Appends `node` as [`yaml`] does, every line moved right by `indent` spaces: what can stand below a key.
pub fn yaml_at(node: &Node, indent: usize, out: &mut String) {
    match node.value() {
        Value::Map(map) if !map.is_empty() => {
            spaces(indent, out);
            block_map(map.entries(), indent, out);
        }
        Value::List(items) if !items.is_empty() => {
            spaces(indent, out);
            block_list(items, indent, out);
        }
        Value::Str(string) => {
            spaces(indent, out);
            text::alone(string, indent, out);
            out.push('\n');
        }
        _ => {
            spaces(indent, out);
            scalar(node, indent, out);
            out.push('\n');
        }
    }
}

/// Appends `node` as compact JSON, which is YAML as well.
pub fn json(node: &Node, out: &mut String) {
    match node.value() {
        Value::Str(string) => text::json(string, out),
        Value::List(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                json(item, out);
            }
            out.push(']');
        }
        Value::Map(map) => {
            out.push('{');
            for (index, entry) in map.entries().iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                text::json(&entry.key.text, out);
                out.push(':');
                json(&entry.value, out);
            }
            out.push('}');
        }
        Value::Null => out.push_str("null"),
        Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Value::Number(value) => number(value, out),
    }
}

/// The entries of a map whose first key stands where `out` ends, at column `indent`.
fn block_map(entries: &[Entry], indent: usize, out: &mut String) {
    for (index, entry) in entries.iter().enumerate() {
        if index > 0 {
            spaces(indent, out);
        }
        key(&entry.key.text, indent, out);
        match entry.value.value() {
            Value::Map(map) if !map.is_empty() => {
                out.push('\n');
                spaces(indent + STEP, out);
                block_map(map.entries(), indent + STEP, out);
            }
            Value::List(items) if !items.is_empty() => {
                out.push('\n');
                spaces(indent, out);
                block_list(items, indent, out);
            }
            _ => {
                out.push(' ');
                scalar(&entry.value, indent, out);
                out.push('\n');
            }
        }
    }
}

/// The items of a list whose first dash stands where `out` ends, at column `indent`.
fn block_list(items: &[Node], indent: usize, out: &mut String) {
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            spaces(indent, out);
        }
        out.push_str("- ");
        match item.value() {
            Value::Map(map) if !map.is_empty() => block_map(map.entries(), indent + STEP, out),
            Value::List(items) if !items.is_empty() => block_list(items, indent + STEP, out),
            _ => {
                scalar(item, indent, out);
                out.push('\n');
            }
        }
    }
}

/// A key and its colon.
fn key(key: &str, indent: usize, out: &mut String) {
    let start = out.len();
    text::line(key, out);
    if out.len() - start > LONGEST_SIMPLE_KEY {
        out.insert_str(start, "? ");
        out.push('\n');
        spaces(indent, out);
    }
    out.push(':');
}

/// What stands behind the key or dash of a block at column `indent`.
fn scalar(node: &Node, indent: usize, out: &mut String) {
    match node.value() {
        Value::Str(string) => text::behind(string, indent + STEP, out),
        Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Value::Number(value) => number(value, out),
        Value::Null => out.push_str("null"),
        Value::Map(_) => out.push_str("{}"),
        Value::List(_) => out.push_str("[]"),
    }
}

/// A number all readers take for the same: whole doubles as integers, as Go writes them; exponents with a point and a sign,
/// without which YAML 1.1 sees a string.
fn number(number: &Number, out: &mut String) {
    // Writing to a string cannot fail.
    let _ = match (number.as_u64(), number.as_i64(), number.as_f64()) {
        (Some(value), ..) => write!(out, "{value}"),
        (_, Some(value), _) => write!(out, "{value}"),
        #[expect(clippy::cast_possible_truncation, reason = "whole and within 2^53")]
        (.., Some(value)) if value.fract() == 0.0 && value.abs() < WHOLE => write!(out, "{}", value as i64),
        _ => {
            let digits = number.to_string();
            match digits.split_once('e') {
                None => out.write_str(&digits),
                Some((mantissa, exponent)) => {
                    let point = if mantissa.contains('.') { "" } else { ".0" };
                    let sign = if exponent.starts_with(['+', '-']) { "" } else { "+" };
                    write!(out, "{mantissa}{point}e{sign}{exponent}")
                }
            }
        }
    };
}

/// Appends `count` spaces.
pub(super) fn spaces(count: usize, out: &mut String) {
    const SPACES: &str = "                                                                ";
    let mut left = count;
    while left > SPACES.len() {
        out.push_str(SPACES);
        left -= SPACES.len();
    }
    out.push_str(&SPACES[..left]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::{Origin, SourceTree};
    use crate::yaml::read;
    use proptest::collection::{btree_map, vec};
    use proptest::prelude::*;
    use proptest::sample;
    use serde_json::json;
    use std::collections::BTreeMap;

    fn node(json: serde_json::Value) -> Node {
        Node::from_json(&json, Origin::NONE)
    }

    fn yaml_of(json: serde_json::Value) -> String {
        let mut out = String::new();
        yaml(&node(json), &mut out);
        out
    }

    #[test]
    fn grafted_texts_are_the_same_as_printed_ones() {
        let node = |json: serde_json::Value| Node::from_json(&json, Origin::NONE);
        let shared = node(serde_json::json!({"m": {"l": [1, {"a": "b"}], "t": "x\ny\n"}, "e": {}}));
        let mut texts = Texts::default();
        let _owners: Vec<Node> = (0..MANY).map(|_| shared.clone()).collect();
        for name in ["a", "b"] {
            let spec = node(serde_json::json!({"name": name, "list": [1]})).with("source", shared.clone());
            let object = node(serde_json::json!({"kind": "K", "metadata": {"name": name}}))
                .with("spec", spec)
                .with("s", shared.clone());
            let (mut plain, mut grafted) = (String::new(), String::new());
            yaml(&object, &mut plain);
            yaml_grafted(&object, &mut grafted, &mut texts);
            assert_eq!(grafted, plain);
        }
    }

    #[test]
    fn blocks_are_laid_out_as_kubectl_does() {
        let object = json!({
            "kind": "DPUSet",
            "apiVersion": "v1",
            "spec": {
                "ports": ["p0", {"name": "p1", "vfs": [0, 1]}, ["a", ["b", "c"], {}], []],
                "empty": {}, "none": [], "null": null, "on": true, "mtu": 9216,
                "script": "#!/bin/sh\n\necho hi\n",
            },
        });
        assert_eq!(
            yaml_of(object),
            "\
apiVersion: v1
kind: DPUSet
spec:
  empty: {}
  mtu: 9216
  none: []
  \"null\": null
  \"on\": true
  ports:
  - p0
  - name: p1
    vfs:
    - 0
    - 1
  - - a
    - - b
      - c
    - {}
  - []
  script: |
    #!/bin/sh

    echo hi
"
        );
    }

    #[test]
    fn a_document_may_be_no_map() {
        assert_eq!(yaml_of(json!(["a"])), "- a\n");
        assert_eq!(yaml_of(json!({})), "{}\n");
        assert_eq!(yaml_of(json!(null)), "null\n");
        assert_eq!(yaml_of(json!("no")), "\"no\"\n");
        assert_eq!(yaml_of(json!("a\nb\n")), "|\n  a\n  b\n");
        assert_eq!(yaml_of(json!(" a\nb\n")), "\" a\\nb\\n\"\n");
    }

    #[test]
    fn a_subtree_can_be_put_below_a_key() {
        let mut out = "values:\n".to_owned();
        yaml_at(&node(json!({"a": {"b": "x\ny"}, "c": [1]})), 4, &mut out);
        assert_eq!(out, "values:\n    a:\n      b: |-\n        x\n        y\n    c:\n    - 1\n");
    }

    #[test]
    fn numbers_are_those_of_every_reader() {
        for (value, expected) in [
            (json!(0), "0"),
            (json!(-7), "-7"),
            (json!(u64::MAX), "18446744073709551615"),
            (json!(i64::MIN), "-9223372036854775808"),
            (json!(1.0), "1"),
            (json!(-0.0), "0"),
            (json!(0.5), "0.5"),
            (json!(1e22), "1.0e+22"),
            (json!(1.5e300), "1.5e+300"),
            (json!(5e-324), "5.0e-324"),
            (json!(-1.25e-7), "-1.25e-7"),
        ] {
            let mut compact = String::new();
            super::json(&node(value.clone()), &mut compact);
            assert_eq!(compact, expected);
            assert_eq!(yaml_of(value), format!("{expected}\n"));
        }
    }

    #[test]
    fn very_long_keys_are_announced() {
        let long = "k".repeat(1100);
        let text = yaml_of(json!({"a": {&long: {"b": [1]}}, "z": [{&long: ["c"]}]}));
        assert_eq!(text, format!("a:\n  ? {long}\n  :\n    b:\n    - 1\nz:\n- ? {long}\n  :\n  - c\n"));
    }

    #[test]
    fn json_is_compact_and_sorted() {
        let mut out = String::new();
        json(&node(json!({"b": [1, null, true, "<&>\u{2028}"], "a": {"x\"\n\u{1}": {}}})), &mut out);
        assert_eq!(out, "{\"a\":{\"x\\\"\\n\\u0001\":{}},\"b\":[1,null,true,\"<&>\\u2028\"]}");
    }

    /// What the reader makes of a text: one document and no fault.
    fn read_back(text: &str) -> Node {
        let files = BTreeMap::from([("f".to_owned(), text.to_owned())]);
        let tree = SourceTree::new(&files);
        let (id, source) = tree.load("f").unwrap();
        let mut diagnostics = Vec::new();
        let mut nodes = read::documents(&source, id, &mut diagnostics);
        assert!(diagnostics.is_empty(), "{text:?}: {diagnostics:?}");
        assert_eq!(nodes.len(), 1, "{text:?}");
        nodes.remove(0)
    }

    /// Any text; and the bits of syntax, words and blanks that make trouble, in any order.
    fn strings() -> impl Strategy<Value = String> {
        const BITS: [&str; 40] = [
            " ", "  ", "\t", "\n", "\n\n", "\r", "\r\n", ":", ": ", "#", " #", "-", "- ", "---", "...", "?", "? ", "|",
            ">", "&a", "*a", "!", "%", "@", "`", "'", "\"", "\\", "{", "}", "[", "]", ",", "<<", "~", "0", "1", "e",
            "\u{85}", "\u{2028}",
        ];
        prop_oneof![
            any::<String>(),
            vec(sample::select(&BITS[..]), 0..8).prop_map(|bits| bits.concat()),
            vec(any::<char>(), 0..6).prop_map(String::from_iter),
            "[a-c \n\t\u{a0}]{0,12}",
            "[0-9_.:eExob+Tz-]{1,8}",
            "(?i)(true|false|yes|no|on|off|y|n|null|~|\\.inf|\\.nan)",
        ]
    }

    fn trees() -> impl Strategy<Value = Node> {
        let leaf = prop_oneof![
            strings().prop_map(|text| Node::str(text, Origin::NONE)),
            any::<i64>().prop_map(|value| Node::int(value, Origin::NONE)),
            any::<u64>().prop_map(|value| node(json!(value))),
            any::<bool>().prop_map(|value| Node::bool(value, Origin::NONE)),
            // A whole double comes back as an integer.
            any::<f64>().prop_filter("a fraction", |value| value.fract() != 0.0).prop_map(|value| node(json!(value))),
            Just(node(json!(null))),
        ];
        leaf.prop_recursive(6, 60, 6, |inner| {
            prop_oneof![
                vec(inner.clone(), 0..6).prop_map(|items| Node::list(items, Origin::NONE)),
                btree_map(strings(), inner, 0..6)
                    .prop_map(|map| Node::map_of(map.into_iter().map(|(key, node)| (key.into(), node)), Origin::NONE)),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn every_string_comes_back(text in strings()) {
            let tree = node(json!({"a": [&text, {"b": &text, &text: 1}], "c": &text, "d": "end"}));
            let mut out = String::new();
            yaml(&tree, &mut out);
            prop_assert_eq!(read_back(&out), tree);
        }

        #[test]
        fn every_tree_comes_back(tree in trees()) {
            // Alone, a null is an empty document.
            prop_assume!(!tree.is_null());
            let mut out = String::new();
            yaml(&tree, &mut out);
            prop_assert_eq!(&read_back(&out), &tree, "{}", out);
            let mut out = "a:\n".to_owned();
            yaml_at(&tree, 3, &mut out);
            prop_assert_eq!(read_back(&out).get("a").cloned(), Some(tree.clone()), "{}", out);
            let mut out = String::new();
            super::json(&tree, &mut out);
            prop_assert_eq!(&read_back(&out), &tree, "{}", out);
        }
    }
}
