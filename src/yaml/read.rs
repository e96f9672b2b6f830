//! Text to [`Node`]s over parser events. PURE.
//!
//! In: the text of a file. Out: one node per document, empty documents left out; every scalar and key keeps its place. JSON
//! is YAML here. Anchors and merge keys work within a bound on what they may grow to; duplicate keys are errors; plain
//! scalars on which readers of YAML 1.1 and 1.2 disagree are read as Kubernetes reads them and reported.

use std::borrow::Cow;
use std::collections::BTreeMap;

use granit_parser::{ErrorKind, Event, Parser, ScalarStyle, Span, Tag, options};

use crate::diagnostic::{Diagnostic, MOST_ALIKE};
use crate::node::{Entry, Key, Map, Name, Node, Value};
use crate::source::{FileId, Origin, Source};
use crate::yaml::scalar;

/// Deeper nesting is refused.
pub const MAX_DEPTH: usize = 64;
/// More nodes in one file, those that aliases repeat counted each time, are refused.
pub const MAX_NODES: usize = 1_000_000;
/// More text in one file, that which aliases repeat counted each time, is refused.
pub const MAX_BYTES: usize = 64 << 20;
/// A longer scalar is refused: no API server takes an object of this size.
pub const MAX_SCALAR_BYTES: usize = 2 << 20;

/// The documents of a file. Faults are added to `diagnostics`; after a syntax error the documents before it are returned.
#[must_use]
pub fn documents(source: &Source, file: FileId, diagnostics: &mut Vec<Diagnostic>) -> Vec<Node> {
    let known = diagnostics.len();
    let mut padding = Padding::default();
    loop {
        let mut reader = Reader {
            text: &source.text,
            padding: &padding,
            file,
            diagnostics,
            anchors: BTreeMap::new(),
            open: Vec::new(),
            documents: Vec::new(),
            size: Size::default(),
            empty: true,
            disagreements: 0,
        };
        match reader.stream() {
            Ok(()) => return reader.documents,
            Err(Fault::Final(fault)) => {
                reader.diagnostics.push(*fault);
                return reader.documents;
            }
            Err(Fault::QuotedLine { at, fault }) => {
                let documents = reader.documents;
                if !padding.add(&source.text, at) {
                    diagnostics.push(*fault);
                    return documents;
                }
                diagnostics.truncate(known);
            }
        }
    }
}

/// Spaces put before lines of quoted scalars that stand no deeper than the key: `config: '{`, its JSON, and `}'` below `config`.
/// Kubernetes takes them, YAML forbids them and so does the parser; such spaces do not count in a quoted scalar.
#[derive(Default)]
struct Padding {
    /// Starts of the lines, in order.
    lines: Vec<usize>,
}

impl Padding {
    /// Before one line.
    const WIDTH: usize = 256;
    /// Each line is one more reading of the file.
    const MAX_LINES: usize = 200;

    /// Pads the line that holds the byte `at`, unless that is no help.
    fn add(&mut self, text: &str, at: usize) -> bool {
        let start = text.as_bytes()[..at.min(text.len())].iter().rposition(|byte| matches!(byte, b'\n' | b'\r'));
        match self.lines.binary_search(&start.map_or(0, |newline| newline + 1)) {
            Err(index) if self.lines.len() < Self::MAX_LINES => {
                self.lines.insert(index, start.map_or(0, |newline| newline + 1));
                true
            }
            _ => false,
        }
    }

    fn padded<'t>(&self, text: &'t str) -> Cow<'t, str> {
        if self.lines.is_empty() {
            return text.into();
        }
        let mut padded = String::with_capacity(text.len() + self.lines.len() * Self::WIDTH);
        let mut done = 0;
        for &line in &self.lines {
            padded.push_str(&text[done..line]);
            padded.extend(std::iter::repeat_n(' ', Self::WIDTH));
            done = line;
        }
        padded.push_str(&text[done..]);
        padded.into()
    }

    /// The offset in the text as written of one in the padded text.
    fn original(&self, offset: usize) -> usize {
        let before = self.lines.iter().enumerate().take_while(|(index, line)| **line + index * Self::WIDTH < offset);
        match before.last() {
            None => offset,
            Some((index, line)) => offset.saturating_sub((index + 1) * Self::WIDTH).max(*line),
        }
    }
}

/// How much was read, with what aliases repeat.
#[derive(Clone, Copy, Default)]
struct Size {
    nodes: usize,
    bytes: usize,
}

struct Reader<'s, 'd> {
    text: &'s str,
    padding: &'s Padding,
    file: FileId,
    diagnostics: &'d mut Vec<Diagnostic>,
    /// Completed anchored nodes and their size.
    anchors: BTreeMap<usize, (Node, Size)>,
    open: Vec<Open>,
    documents: Vec<Node>,
    size: Size,
    /// Nothing but comments in the document so far.
    empty: bool,
    /// How many scalars readers disagree on.
    disagreements: usize,
}

/// A list or map under construction.
struct Open {
    origin: Origin,
    anchor: usize,
    before: Size,
    kind: OpenKind,
}

enum OpenKind {
    List(Vec<Node>),
    Map { entries: Vec<Entry>, key: Option<PendingKey>, merges: Vec<Node> },
}

enum PendingKey {
    Named(Key),
    Merge(Origin),
}

/// What ends the reading of a file; boxed because it is rare and large.
type Fatal = Box<Diagnostic>;

enum Fault {
    Final(Fatal),
    /// The line of a quoted scalar at this offset is not deeper than its key.
    QuotedLine {
        at: usize,
        fault: Fatal,
    },
}

impl From<Fatal> for Fault {
    fn from(fault: Fatal) -> Self {
        Self::Final(fault)
    }
}

impl Reader<'_, '_> {
    fn stream(&mut self) -> Result<(), Fault> {
        let text = self.padding.padded(self.text);
        let options = options! {
            emit_comments: false,
            flow_nesting_limit: MAX_DEPTH + 8,
            block_nesting_limit: MAX_DEPTH + 8,
        };
        if let Some(at) = self.text.bytes().position(|byte| byte == 0) {
            let origin = Origin::new(self.file, u32::try_from(at).unwrap_or(u32::MAX));
            return Err(
                Fatal::from(Diagnostic::error("yaml-syntax", origin, "the file holds a NUL byte: not YAML")).into()
            );
        }
        for event in Parser::new_from_str_with_options(&text, options) {
            let (event, span) = event.map_err(|error| {
                let origin = self.at(error.marker().byte_offset().unwrap_or_default());
                let fault = Box::new(self.syntax(origin, error.kind(), &error.info()));
                if matches!(error.kind(), ErrorKind::InvalidQuotedScalarIndent) {
                    Fault::QuotedLine { at: origin.offset() as usize, fault }
                } else {
                    Fault::Final(fault)
                }
            })?;
            self.event(event, &span)?;
        }
        Ok(())
    }

    fn at(&self, offset: usize) -> Origin {
        Origin::new(self.file, u32::try_from(self.padding.original(offset)).unwrap_or(u32::MAX))
    }

    fn syntax(&self, origin: Origin, kind: &ErrorKind, message: &str) -> Diagnostic {
        if matches!(kind, ErrorKind::RecursionLimitExceeded) {
            return Self::too_deep(origin);
        }
        let before = &self.text[..self.text.floor_char_boundary(origin.offset() as usize)];
        let line = &self.text[before.rfind('\n').map_or(0, |newline| newline + 1)..];
        let indent = &line[..line.len() - line.trim_start().len()];
        let diagnostic = Diagnostic::error("yaml-syntax", origin, message);
        if indent.lines().next().is_some_and(|indent| indent.contains('\t')) {
            diagnostic.help("indent with spaces: YAML allows no tab here")
        } else {
            diagnostic
        }
    }

    fn too_deep(origin: Origin) -> Diagnostic {
        Diagnostic::error("yaml-too-deep", origin, format!("nested more than {MAX_DEPTH} levels deep"))
    }

    fn event(&mut self, event: Event<'_>, span: &Span) -> Result<(), Fatal> {
        let origin = self.at(span.start.byte_offset().unwrap_or_default());
        match event {
            Event::DocumentStart(..) => {
                self.anchors.clear();
                self.empty = true;
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.grow(Size { nodes: 1, bytes: text.len() }, origin)?;
                if text.len() > MAX_SCALAR_BYTES {
                    let message = format!("a scalar of {} bytes; {MAX_SCALAR_BYTES} are allowed", text.len());
                    return Err(Box::new(Diagnostic::error("yaml-too-large", origin, message)));
                }
                if self.wants_key() {
                    return self.key(&text, style, origin);
                }
                // `key:` with nothing behind it: the span of the missing value is where the next token is.
                let node = Node::new(self.scalar(&text, style, tag.as_deref(), origin)?, origin);
                if anchor != 0 {
                    self.anchors.insert(anchor, (node.clone(), Size { nodes: 1, bytes: text.len() }));
                }
                self.empty &= span.is_empty() && style == ScalarStyle::Plain;
                self.finish(node);
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.open(OpenKind::List(Vec::new()), anchor, tag.as_deref(), origin)?
            }
            Event::MappingStart(_, anchor, tag) => {
                let kind = OpenKind::Map { entries: Vec::new(), key: None, merges: Vec::new() };
                self.open(kind, anchor, tag.as_deref(), origin)?;
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(),
            Event::Alias(id) => {
                let Some((node, size)) = self.anchors.get(&id).cloned() else {
                    let message = "an alias stands inside the list or map that it repeats";
                    let fault = Diagnostic::error("yaml-alias", origin, message);
                    return Err(Box::new(fault.help("write out what is meant: no object can hold itself")));
                };
                self.grow(size, origin)?;
                if self.wants_key() {
                    let Some(text) = node.as_str() else {
                        return Err(Box::new(Diagnostic::error("yaml-key", origin, "a key must be a scalar")));
                    };
                    return self.key(text, ScalarStyle::DoubleQuoted, origin);
                }
                self.finish(node);
            }
            _ => {}
        }
        Ok(())
    }

    /// Counts what was read, and refuses to read on beyond the limits.
    fn grow(&mut self, by: Size, origin: Origin) -> Result<(), Fatal> {
        self.size.nodes += by.nodes;
        self.size.bytes += by.bytes;
        let fault = |message: String| {
            let diagnostic = Diagnostic::error("yaml-too-large", origin, message);
            Err(Box::new(
                diagnostic.help("aliases count as often as they are used: split the file, or write it without them"),
            ))
        };
        if self.size.nodes > MAX_NODES {
            return fault(format!("more than {MAX_NODES} values in one file"));
        }
        if self.size.bytes > MAX_BYTES {
            return fault(format!("more than {} MiB of text in one file", MAX_BYTES >> 20));
        }
        Ok(())
    }

    fn wants_key(&self) -> bool {
        matches!(self.open.last(), Some(Open { kind: OpenKind::Map { key: None, .. }, .. }))
    }

    fn key(&mut self, text: &str, style: ScalarStyle, origin: Origin) -> Result<(), Fatal> {
        let pending = if style == ScalarStyle::Plain && text == "<<" {
            PendingKey::Merge(origin)
        } else {
            let text = if style == ScalarStyle::Plain { self.plain_key(text, origin)? } else { text.into() };
            PendingKey::Named(Key { text: Name::Shared(text), origin })
        };
        if let Some(Open { kind: OpenKind::Map { key, .. }, .. }) = self.open.last_mut() {
            *key = Some(pending);
        }
        Ok(())
    }

    /// Kubernetes makes strings of keys: `on:` is the key `true`, `0x1F:` the key `31`.
    fn plain_key(&mut self, text: &str, origin: Origin) -> Result<std::sync::Arc<str>, Fatal> {
        self.report_disagreement(text, origin, "key");
        match scalar::resolve(text) {
            Value::Bool(value) => Ok(if value { "true".into() } else { "false".into() }),
            Value::Number(number) => Ok(number.to_string().into()),
            Value::Null => Err(Box::new(
                Diagnostic::error("yaml-key", origin, "a key is missing, or is null")
                    .help("quote it if it is a string"),
            )),
            _ => Ok(text.into()),
        }
    }

    fn report_disagreement(&mut self, text: &str, origin: Origin, what: &str) {
        // More than are told need not be found.
        if self.disagreements <= MOST_ALIKE
            && let Some((old, new)) = scalar::disagreement(text)
        {
            self.disagreements += 1;
            let kubernetes = match scalar::resolve(text) {
                Value::Bool(value) => value.to_string(),
                Value::Number(number) => number.to_string(),
                _ => format!("the string `{text}`"),
            };
            self.diagnostics.push(
                Diagnostic::warning(
                    "yaml-ambiguous",
                    origin,
                    format!("readers of YAML disagree about the {what} `{text}`"),
                )
                .label(format!("Kubernetes reads {kubernetes}"))
                .note(format!("YAML 1.1: {old}; YAML 1.2: {new}"))
                .help(format!("write `\"{text}\"` for the string, or the value that is meant")),
            );
        }
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, tag: Option<&Tag>, origin: Origin) -> Result<Value, Fatal> {
        let plain = style == ScalarStyle::Plain;
        let Some(tag) = tag else {
            if !plain {
                return Ok(Value::Str(text.into()));
            }
            let value = scalar::resolve(text);
            if text
                .bytes()
                .next()
                .is_some_and(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
            {
                self.report_disagreement(text, origin, "value");
            }
            return Ok(value);
        };
        let resolved = scalar::resolve(text);
        let value = match (tag.core_suffix(), resolved) {
            (Some("str"), _) => Some(Value::Str(text.into())),
            (Some("null"), value @ Value::Null) | (Some("bool"), value @ Value::Bool(_)) => Some(value),
            (Some("int"), Value::Number(number)) if !number.is_f64() => Some(Value::Number(number)),
            (Some("float"), Value::Number(number)) => Some(Value::Number(number)),
            _ => None,
        };
        value.ok_or_else(|| Box::new(Self::unknown_tag(tag, text, origin)))
    }

    fn unknown_tag(tag: &Tag, text: &str, origin: Origin) -> Diagnostic {
        let text: String = text.chars().take(40).collect();
        Diagnostic::error("yaml-tag", origin, format!("the tag `{}` does not fit `{text}`", tag.original()))
            .help("allowed are `!!str`, `!!int`, `!!float`, `!!bool` and `!!null`, on values of that type")
    }

    fn open(&mut self, kind: OpenKind, anchor: usize, tag: Option<&Tag>, origin: Origin) -> Result<(), Fatal> {
        if let Some(tag) = tag
            && !matches!(
                (tag.core_suffix(), &kind),
                (Some("map"), OpenKind::Map { .. }) | (Some("seq"), OpenKind::List(_))
            )
        {
            return Err(Box::new(Self::unknown_tag(tag, "a list or map", origin)));
        }
        if self.wants_key() {
            return Err(Box::new(
                Diagnostic::error("yaml-key", origin, "a key must be a scalar, this is a list or map")
                    .help("a value that begins with `{{` or `{` must be quoted; an expression in flow style too"),
            ));
        }
        if self.open.len() == MAX_DEPTH {
            return Err(Box::new(Self::too_deep(origin)));
        }
        self.empty = false;
        let before = self.size;
        self.grow(Size { nodes: 1, bytes: 0 }, origin)?;
        self.open.push(Open { origin, anchor, before, kind });
        Ok(())
    }

    fn close(&mut self) {
        let Some(open) = self.open.pop() else { return };
        let value = match open.kind {
            OpenKind::List(items) => Value::List(items),
            OpenKind::Map { entries, merges, .. } => Value::Map(self.map(entries, &merges)),
        };
        let node = Node::new(value, open.origin);
        if open.anchor != 0 {
            let nodes = self.size.nodes - open.before.nodes;
            let size = Size { nodes, bytes: self.size.bytes - open.before.bytes };
            self.anchors.insert(open.anchor, (node.clone(), size));
        }
        self.finish(node);
    }

    /// Puts a finished node where it belongs.
    fn finish(&mut self, node: Node) {
        match self.open.last_mut().map(|open| &mut open.kind) {
            None if self.empty => {}
            None => self.documents.push(node),
            Some(OpenKind::List(items)) => items.push(node),
            Some(OpenKind::Map { entries, key, merges }) => match key.take() {
                Some(PendingKey::Named(key)) => entries.push(Entry { key, value: node }),
                Some(PendingKey::Merge(origin)) => {
                    let sources = match node.value() {
                        Value::List(items) => items.clone(),
                        _ => vec![node],
                    };
                    if sources.iter().all(|source| source.as_map().is_some()) {
                        merges.extend(sources);
                    } else {
                        let odd = sources.iter().find(|source| source.as_map().is_none());
                        let found = odd.map_or("something else", Node::kind);
                        let message = format!("`<<` takes a map or a list of maps, this is {found}");
                        let fault = Diagnostic::error("yaml-merge-key", origin, message);
                        self.diagnostics.push(fault.help("write `<<: *name`, where `&name` marks a map above"));
                    }
                }
                None => unreachable!("keys are read before values"),
            },
        }
    }

    fn map(&mut self, mut entries: Vec<Entry>, merges: &[Node]) -> Map {
        if !entries.is_sorted_by(|a, b| a.key.text < b.key.text) {
            entries.sort_by(|a, b| a.key.text.cmp(&b.key.text));
            for pair in entries.windows(2) {
                let [first, second] = pair else { continue };
                if first.key.text == second.key.text {
                    let message = format!("the key `{}` is written twice", first.key.text);
                    let fault = Diagnostic::error("duplicate-key", second.key.origin, message);
                    self.diagnostics.push(fault.note_at("first written here", first.key.origin));
                }
            }
        }
        // Own keys win over merged ones, an earlier merge over a later one.
        if !merges.is_empty() {
            let mut merged: BTreeMap<Name, Entry> = BTreeMap::new();
            for entry in entries.into_iter().rev().chain(merges.iter().flat_map(|source| source.fields(&[])).cloned()) {
                merged.entry(entry.key.text.clone()).or_insert(entry);
            }
            entries = merged.into_values().collect();
        }
        Map::new(entries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::SourceTree;
    use serde_json::{Value as Json, json};

    fn read(text: &str) -> (Vec<Json>, Vec<(&'static str, String)>) {
        let files = BTreeMap::from([("f".to_owned(), text.to_owned())]);
        let tree = SourceTree::new(&files);
        let (id, source) = tree.load("f").unwrap();
        let mut diagnostics = Vec::new();
        let nodes = documents(&source, id, &mut diagnostics);
        let faults = diagnostics.iter().map(|d| (d.code, tree.place(d.origin).unwrap())).collect();
        (nodes.iter().map(Node::to_json).collect(), faults)
    }

    #[test]
    fn documents_comments_and_empty_ones() {
        let (nodes, faults) = read("# only a comment\n---\na: 1\n---\n---\n# nothing\n---\nb:\n...\n");
        assert_eq!(nodes, [json!({"a": 1}), json!({"b": null})]);
        assert!(faults.is_empty());
    }

    #[test]
    fn block_scalars_keep_every_byte() {
        let (nodes, faults) =
            read("a: |\n  x\n\n  y \n\nb: |-\n  x\nc: |+\n  x\n\nd: >\n  x\n  y\n\n  z\ne: |2\n    x\n");
        assert_eq!(nodes, [json!({"a": "x\n\ny \n", "b": "x", "c": "x\n\n", "d": "x y\nz\n", "e": "  x\n"})]);
        assert!(faults.is_empty());
        let (nodes, _) = read("a: |\r\n  x\r\n  y\r\nb: 1\r\n");
        assert_eq!(nodes, [json!({"a": "x\ny\n", "b": 1})]);
    }

    #[test]
    fn anchors_and_merge_keys() {
        let (nodes, faults) =
            read("base: &b {x: 1, w: 2}\nother: &o {w: 3, z: 4}\nall:\n  <<: [*b, *o]\n  x: 9\nlist: [*b]\n");
        assert_eq!(nodes[0]["all"], json!({"x": 9, "w": 2, "z": 4}));
        assert_eq!(nodes[0]["list"], json!([{"x": 1, "w": 2}]));
        assert!(faults.is_empty());
    }

    #[test]
    fn duplicate_keys_are_found_wherever_they_stand() {
        let (_, faults) = read("a:\n  z: 1\n  b: 1\n  z: 2\n");
        assert_eq!(faults, [("duplicate-key", "f:4:3".to_owned())]);
        assert_eq!(read("{a: 1, \"a\": 2}").1[0].0, "duplicate-key");
    }

    #[test]
    fn ambiguous_scalars_are_read_as_kubernetes_reads_them() {
        let (nodes, faults) = read("a: on\nn: 0777\nb: \"on\"\nc: [1_000, 2001-01-01]\n");
        assert_eq!(nodes, [json!({"a": true, "false": 511, "b": "on", "c": [1000, "2001-01-01"]})]);
        assert_eq!(faults.len(), 5, "{faults:?}");
        assert!(faults.iter().all(|fault| fault.0 == "yaml-ambiguous"));
    }

    #[test]
    fn hostile_input_ends_in_a_diagnostic() {
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let alias = format!("*a{}, ", level - 1).repeat(9);
            bomb += &format!("a{level}: &a{level} [{alias}]\n");
        }
        assert_eq!(read(&bomb).1[0].0, "yaml-too-large");
        assert_eq!(read(&"[".repeat(100)).1[0].0, "yaml-too-deep");
        let deep: String = (0..100).map(|level| format!("{}a:\n", " ".repeat(level))).collect();
        assert_eq!(read(&deep).1[0].0, "yaml-too-deep");
        assert_eq!(read(&format!("a: {}", "x".repeat(10 << 20))).1[0].0, "yaml-too-large");
        assert_eq!(read("a: \0").1[0].0, "yaml-syntax");
        assert_eq!(read("a: &a [*a]").1[0].0, "yaml-alias");
        assert_eq!(read("a: !!binary aGk=").1[0].0, "yaml-tag");
        assert_eq!(read("a: [1").1[0].0, "yaml-syntax");
        assert_eq!(read("? [a]\n: b\n").1[0].0, "yaml-key");
        assert_eq!(read("a: {{ x }}\n").1[0].0, "yaml-key");
        assert_eq!(read("a:\n\tb: 1\n").1[0].0, "yaml-syntax");
    }

    #[test]
    fn quoted_lines_may_stand_no_deeper_than_their_key() {
        let text =
            "spec:\n  config: '{\n    \"a\": 1,\n  \"b\": [\n]\n  }'\n  n: on\n---\na: \"x\ny\n\nz\nü\"\nb: on\nb: 1\n";
        let (nodes, faults) = read(text);
        assert_eq!(
            nodes,
            [json!({"spec": {"config": "{ \"a\": 1, \"b\": [ ] }", "false": true}}), json!({"a": "x y\nz ü", "b": 1})]
        );
        // At their places, and once.
        let expected = [
            ("yaml-ambiguous", "f:7:3"),
            ("yaml-ambiguous", "f:7:6"),
            ("yaml-ambiguous", "f:14:4"),
            ("duplicate-key", "f:15:1"),
        ];
        assert_eq!(faults, expected.map(|(code, place)| (code, place.to_owned())));
        assert_eq!(read("a: 'x\ny'\nb: [\n").1, [("yaml-syntax", "f:3:4".to_owned())]);
        assert_eq!(read(&format!("a: '{}'", "x\n".repeat(300))).1[0].0, "yaml-syntax");
    }

    #[test]
    fn json_is_yaml() {
        let (nodes, faults) = read("{\n\t\"a\": [1, 2.5, \"\\u00fc\", null, true]\n}\n");
        assert_eq!(nodes, [json!({"a": [1, 2.5, "ü", null, true]})]);
        assert!(faults.is_empty());
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[-a:{}\\[\\]&*!|>'\"%#\n\t ,?0<x]{0,60}") {
            let _ = read(&text);
        }

        #[test]
        fn nor_does_any_other(text in proptest::prelude::any::<String>(), tail in "(: ?|- |[a'\"|>&*\u{85}\u{feff}é\r\n\t ]){0,40}") {
            let _ = read(&text);
            let _ = read(&tail);
        }
    }
}
