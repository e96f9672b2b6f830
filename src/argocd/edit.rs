//! `spec.expect` written into the text of a `site.yaml`, every other byte left as it is. PURE.
//!
//! In: the text, and what is expected. Out: the text with these lines replaced or added, or nothing where that cannot be done
//! safely: the result is read again and must differ in these lines alone.

use std::collections::BTreeMap;

use crate::diagnostic::Severity;
use crate::node::Node;
use crate::source::SourceTree;
use crate::yaml::{read, write};

const KEY: &str = "expect";

/// `text` with `expect` as `spec.expect` of its Site; nothing where `spec` is not written a key a line.
#[must_use]
pub fn with_expect(text: &str, expect: &Node) -> Option<String> {
    let before = documents(text)?;
    let site = before.iter().find(|document| document.text(&["kind"]) == Some("Site"))?;
    let spec = site.get("spec")?;
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let mut keys = Vec::new();
    for entry in spec.fields(&[]) {
        keys.push((line_of(&lines, entry.key.origin.offset() as usize)?, &*entry.key.text));
    }
    keys.sort_unstable();
    let column = keys.first()?.0.1;
    // A flow map has several keys on a line, or something before them.
    let blank_before = |(line, column): (usize, usize)| lines[line].bytes().take(column).all(|byte| byte == b' ');
    if column == 0 || keys.iter().any(|(place, _)| place.1 != column || !blank_before(*place)) {
        return None;
    }
    let old = keys.iter().find(|(_, key)| *key == KEY);
    let (start, keep) = match old {
        Some(((line, _), _)) => (*line, plain(lines[*line]).then_some(lines[*line])),
        None => (end_of(&lines, keys.last()?.0.0, column), None),
    };
    let end = if old.is_some() { end_of(&lines, start, column) } else { start };
    let newline = if lines.first()?.ends_with("\r\n") { "\r\n" } else { "\n" };
    let mut out: String = lines[..start].concat();
    if !out.is_empty() && !out.ends_with('\n') {
        out.push_str(newline);
    }
    out.push_str(&block(expect, column, keep.map(|line| line.trim_end_matches(['\r', '\n']))).replace('\n', newline));
    out.push_str(&lines[end..].concat());
    let after = documents(&out)?;
    only_expect_changed(&before, &after, expect).then_some(out)
}

/// The lines of `expect` as they stand below `spec`.
#[must_use]
pub fn lines_to_paste(expect: &Node) -> String {
    block(expect, 2, None)
}

fn block(expect: &Node, column: usize, first: Option<&str>) -> String {
    let key = format!("{}{KEY}:", " ".repeat(column));
    if expect.fields(&[]).is_empty() {
        return format!("{key} {{}}\n");
    }
    let mut text = first.map_or(key, str::to_owned);
    text.push('\n');
    write::yaml_at(expect, column + 2, &mut text);
    text
}

/// Whether a line holds the key and at most a comment.
fn plain(line: &str) -> bool {
    let rest = line.trim().strip_prefix(KEY).and_then(|rest| rest.strip_prefix(':'));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(' ') && rest.trim_start().starts_with('#'))
}

/// Line and column of a byte.
fn line_of(lines: &[&str], offset: usize) -> Option<(usize, usize)> {
    let mut start = 0;
    for (number, line) in lines.iter().enumerate() {
        if offset < start + line.len() {
            return Some((number, offset - start));
        }
        start += line.len();
    }
    None
}

/// The line after the value of the key in line `start`: comments that stand before what follows belong to that.
fn end_of(lines: &[&str], start: usize, column: usize) -> usize {
    let indent = |line: &str| line.bytes().take_while(|byte| *byte == b' ').count();
    let comment = |line: &str| line.trim_start().starts_with('#');
    let ends = |line: &&str| !line.trim().is_empty() && !comment(line) && indent(line) <= column;
    let mut end = lines[start + 1..].iter().position(ends).map_or(lines.len(), |more| start + 1 + more);
    while end > start + 1
        && (lines[end - 1].trim().is_empty() || comment(lines[end - 1]) && indent(lines[end - 1]) <= column)
    {
        end -= 1;
    }
    end
}

fn documents(text: &str) -> Option<Vec<Node>> {
    let path = "site.yaml";
    let files = BTreeMap::from([(path.to_owned(), text.to_owned())]);
    let tree = SourceTree::new(&files);
    let (file, source) = tree.load(path).ok()?;
    let mut faults = Vec::new();
    let documents = read::documents(&source, file, &mut faults);
    faults.iter().all(|fault| fault.severity != Severity::Error).then_some(documents)
}

fn only_expect_changed(before: &[Node], after: &[Node], expect: &Node) -> bool {
    let rest = |document: &Node| {
        let is_site = document.text(&["kind"]) == Some("Site");
        let spec = document.get("spec").filter(|_| is_site);
        spec.map_or_else(|| document.clone(), |spec| document.with("spec", spec.without(KEY))).to_json()
    };
    let site = after.iter().find(|document| document.text(&["kind"]) == Some("Site"));
    let written = site.and_then(|site| site.at(&["spec", KEY])).map(Node::to_json);
    written == Some(expect.to_json()) && before.iter().map(rest).eq(after.iter().map(rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::argocd::applications::node;

    fn expect() -> Node {
        node(&serde_json::json!({"management": {"DPUSet": 2}}))
    }

    const LINES: &str = "  expect:\n    management:\n      DPUSet: 2\n";

    #[test]
    fn the_block_is_added_at_the_end_of_spec() {
        let head = "# top\nkind: Site\nspec:\n  vars: {a: 1}   # one\n  text: |\n    # no comment\n    x\n";
        for tail in ["", "\n# about status\nstatus: {}\n", "  # about nothing\n---\nkind: Other\n"] {
            assert_eq!(
                with_expect(&format!("{head}{tail}"), &expect()),
                Some(format!("{head}{LINES}{tail}")),
                "{tail}"
            );
        }
        let crlf = head.replace('\n', "\r\n");
        assert_eq!(with_expect(&crlf, &expect()), Some(format!("{crlf}{}", LINES.replace('\n', "\r\n"))));
        let open = "kind: Site\nspec:\n  dpf: v24.10";
        assert_eq!(with_expect(open, &expect()), Some(format!("{open}\n{LINES}")));
    }

    #[test]
    fn the_block_is_replaced_where_it_stands() {
        let around = |block: &str| format!("kind: Site\nspec:\n  dpf: v24.10\n{block}\n  # the layers\n  layers: []\n");
        let commented = LINES.replacen("expect:", "expect:   # at least", 1);
        for (old, new) in [
            ("  expect:\n    management: {DPUSet: 1}\n\n    # gone\n    old:\n      BFB: 1\n", LINES),
            ("  expect: {management: {DPUSet: 1}}\n", LINES),
            ("  expect: {\n    management: {}}   # here\n", LINES),
            ("  expect:\n", LINES),
            ("  expect:   # at least\n    management: {DPUSet: -1}\n", &commented),
        ] {
            assert_eq!(with_expect(&around(old), &expect()), Some(around(new)), "{old}");
            assert_eq!(with_expect(&around(new), &expect()), Some(around(new)), "again: {old}");
        }
        let none = with_expect(&around(LINES), &node(&serde_json::json!({})));
        assert_eq!(none, Some(around("  expect: {}\n")));
    }

    #[test]
    fn what_cannot_be_edited_safely_is_left_alone() {
        for text in [
            "kind: Site\nspec: {dpf: v24.10}\n",
            "{kind: Site, spec: {dpf: v24.10}}\n",
            "kind: Site\nspec:\n  {dpf: v24.10,\n  mode: operator}\n",
            "kind: Site\nspec:\n  text: |+\n    kept\n\n",
            "kind: Site\nspec: {}\n",
            "kind: Other\n",
            "kind: [\n",
        ] {
            assert_eq!(with_expect(text, &expect()), None, "{text}");
        }
    }
}
