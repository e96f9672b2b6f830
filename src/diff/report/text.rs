//! A report for a terminal. PURE.
//!
//! In: a report, whether colour is wanted and how wide the terminal is. Out: text; control characters of what was compared
//! do not reach the terminal.

use std::fmt::Write as _;

use super::words::{cards, count, hidden, inline, kinds, places, remarks, subject, told, totals, yaml};
use super::{Entry, Report, Shown, ShownEdit, Variant};
use crate::diff::change::{ChangeKind, Whole};

/// Lines of a value that are shown.
const MOST_LINES: usize = 40;
/// Variants of an entry that are shown.
const MOST_VARIANTS: usize = 5;

/// The report as text, closed by a newline.
#[must_use]
pub fn text(report: &Report, colour: bool, width: Option<usize>) -> String {
    let mut out = Text { out: String::new(), colour, width };
    for entry in report.entries.iter().filter(|entry| !entry.is_noise()) {
        out.entry(entry);
    }
    out.rollouts(report);
    for remark in remarks(report) {
        out.line(0, "1", &remark);
    }
    out.line(0, "1", &format!("{} → {}: {}", report.base, report.head, totals(report)));
    if let Some(hidden) = hidden(report) {
        out.line(0, "2", &hidden);
    }
    if report.unaffected > 0 {
        out.line(0, "2", &format!("{} read nothing that differs", count(report.unaffected, "site")));
    }
    out.out
}

struct Text {
    out: String,
    colour: bool,
    width: Option<usize>,
}

impl Text {
    fn entry(&mut self, entry: &Entry) {
        let hue = hue(entry.kind);
        if let Some(impact) = &entry.impact {
            self.line(0, "1;35", &format!("{} — {} [{}]", impact.class.words(), impact.why, impact.rule));
        }
        for (at, variant) in entry.variants.iter().enumerate() {
            if at == MOST_VARIANTS {
                let rest: usize = entry.variants[at..].iter().map(|variant| variant.objects).sum();
                self.line(2, "2", &format!("{} more in the same places, with other values", count(rest, "object")));
                break;
            }
            self.line(0, hue, &format!("{} {}", entry.kind.word(), subject(entry, variant)));
            self.variant(entry, variant);
        }
        if let Some(impact) = &entry.impact {
            self.cards(impact);
        }
        self.out.push('\n');
    }

    /// In which waves the head comes to the clusters.
    fn rollouts(&mut self, report: &Report) {
        for (place, stages) in &report.rollouts {
            self.line(0, "1", &format!("rollout of {place}:"));
            for stage in stages {
                self.line(2, "", stage);
            }
        }
        if !report.rollouts.is_empty() {
            self.out.push('\n');
        }
    }

    fn cards(&mut self, impact: &super::ShownImpact) {
        for words in impact.of.iter().take(MOST_VARIANTS) {
            self.line(2, "", words);
        }
        if let Some((cards, names)) = cards(impact) {
            self.line(2, "", &format!("{cards}: {names}"));
        }
    }

    fn variant(&mut self, entry: &Entry, variant: &Variant) {
        for place in places(variant) {
            self.line(4, "2", &format!("in {place}"));
        }
        if entry.whole != Whole::Object {
            self.line(4, "", &kinds(entry));
        }
        for edit in told(variant) {
            self.edit(edit);
        }
        if let Some(yaml) = &variant.yaml {
            let (sign, hue) = if entry.kind == ChangeKind::Removed { ("-", "31") } else { ("+", "32") };
            self.block(6, sign, hue, yaml);
        }
        if !variant.at.is_empty() {
            let more = if variant.more_at > 0 { format!(" and {} more", variant.more_at) } else { String::new() };
            self.line(4, "2", &format!("at {}{more}", variant.at.join(", ")));
        }
    }

    fn edit(&mut self, edit: &ShownEdit) {
        let order = if edit.reordered { " (order)" } else { "" };
        let one_line = |side: &Option<Shown>| side.as_ref().map(inline);
        match (one_line(&edit.before), one_line(&edit.after)) {
            (Some(Some(before)), Some(Some(after))) if edit.before == edit.after => {
                // Both are hidden.
                let _ = before;
                self.line(4, "33", &format!("~ {}: {after}, changed", edit.path));
            }
            (Some(Some(before)), Some(Some(after))) => {
                self.line(4, "33", &format!("~ {}{order}: {before} → {after}", edit.path));
            }
            (None, Some(Some(after))) => self.line(4, "32", &format!("+ {}: {after}", edit.path)),
            (Some(Some(before)), None) => self.line(4, "31", &format!("- {}: {before}", edit.path)),
            _ => {
                self.line(4, "33", &format!("~ {}{order}:", edit.path));
                for (side, sign, hue) in [(&edit.before, "-", "31"), (&edit.after, "+", "32")] {
                    if let Some(side) = side {
                        self.block(6, sign, hue, &yaml(side));
                    }
                }
            }
        }
    }

    fn block(&mut self, indent: usize, sign: &str, hue: &str, text: &str) {
        let lines = text.lines().count();
        for line in text.lines().take(MOST_LINES) {
            self.line(indent, hue, &format!("{sign} {line}"));
        }
        if lines > MOST_LINES {
            self.line(indent, "2", &format!("{} more; `--format json` has all", count(lines - MOST_LINES, "line")));
        }
    }

    /// A line, broken between words where the terminal ends.
    fn line(&mut self, indent: usize, hue: &str, text: &str) {
        let safe: String = text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
        let (on, off) =
            if self.colour && !hue.is_empty() { (format!("\x1b[{hue}m"), "\x1b[0m") } else { (String::new(), "") };
        let width = self.width.map(|width| width.saturating_sub(indent + 1).max(20));
        for (at, part) in broken(&safe, width).into_iter().enumerate() {
            let indent = if at == 0 { indent } else { indent + 2 };
            let _ = writeln!(self.out, "{:indent$}{on}{part}{off}", "");
        }
    }
}

fn hue(kind: ChangeKind) -> &'static str {
    match kind {
        ChangeKind::Removed => "1;31",
        ChangeKind::Renamed => "1;36",
        ChangeKind::Changed => "1;33",
        ChangeKind::Added => "1;32",
    }
}

/// A text in parts of at most `width` characters.
fn broken(text: &str, width: Option<usize>) -> Vec<&str> {
    let Some(width) = width else { return vec![text] };
    let (mut parts, mut rest) = (Vec::new(), text);
    while let Some((end, _)) = rest.char_indices().nth(width) {
        let space = rest[..end].rfind(' ').filter(|space| *space > end / 2);
        let (part, left) = rest.split_at(space.unwrap_or(end));
        parts.push(part);
        rest = left.trim_start();
    }
    parts.push(rest);
    parts
}
