//! A report as Markdown for a comment on a pull request. PURE.
//!
//! In: a report and how many characters it may have. Out: a summary with a row per entry, then each entry's detail. What does
//! not fit is left out at the border of an entry and named at the end; whatever is left out, every fence and every `<details>`
//! is closed. What was compared stands in code only, so that it can neither mention people nor draw a page of its own.

use super::words::{cards, count, hidden, inline, kinds, places, remarks, subject, told, totals, yaml};
use super::{Entry, Report, Shown, ShownEdit, Variant};
use crate::diff::change::{ChangeKind, Whole};
use crate::diff::impact::gate::ANNOTATION;
use crate::diff::ranges;

/// Kept for what is said of what was left out.
const END: usize = 1_500;
/// Least characters that a report can be told in.
pub const LEAST: usize = 4_000;
/// Lines of one entry's code.
const MOST_LINES: usize = 60;
/// Variants of an entry that are shown.
const MOST_VARIANTS: usize = 3;
/// Characters of one cell, name or line.
const MOST_CHARS: usize = 200;

/// The report as Markdown of at most `most` characters, which are no fewer than [`LEAST`].
#[must_use]
pub fn markdown(report: &Report, most: usize) -> String {
    let most = most.max(LEAST);
    let entries: Vec<&Entry> = report.entries.iter().filter(|entry| !entry.is_noise()).collect();
    let mut out = Budget { text: String::new(), left: most - END };
    out.take(&heading(report));
    if !out.take(&held(report)) {
        let kinds = count(report.held.len(), "kind");
        out.take(&format!("**Not acknowledged**: objects of {kinds}; standard error has the lines to write.\n\n"));
    }
    let half = out.left / 2;
    let rows: Vec<String> = entries.iter().map(|entry| row(entry)).collect();
    let mut shown_rows = 0;
    if !rows.is_empty() {
        out.take("| change | what | where |\n| --- | --- | --- |\n");
        shown_rows = rows.iter().take_while(|row| out.left > half && out.take(row)).count();
        out.take("\n");
    }
    let order = rollouts(report);
    let order_is_cut = order.chars().count() > out.left / 2 || !out.take(&order);
    let mut cut: Vec<&Entry> = Vec::new();
    for entry in &entries {
        if !out.take(&detail(entry)) {
            cut.push(entry);
        }
    }
    out.left += END;
    if order_is_cut {
        out.take("The order of the rollout is left out for its size.\n\n");
    }
    if shown_rows < rows.len() {
        let rest: usize = entries[shown_rows..].iter().map(|entry| entry.objects()).sum();
        let rows = count(rows.len() - shown_rows, "row");
        out.take(&format!("The table leaves out {rows} of {}.\n\n", count(rest, "object")));
    }
    if !cut.is_empty() {
        const NAMED: usize = 10;
        let mut names: Vec<String> = cut.iter().take(NAMED).map(|entry| code(&short(&title(entry), 80))).collect();
        if cut.len() > NAMED {
            names.push(format!("{} more", cut.len() - NAMED));
        }
        let what = if cut.len() == 1 { "The detail of one entry is" } else { "The details of these entries are" };
        out.take(&format!(
            "{what} left out for their size: {}. The whole report: `--format json`.\n",
            names.join(", ")
        ));
    }
    if let Some(hidden) = hidden(report) {
        out.take(&format!("\n<sub>{hidden}</sub>\n"));
    }
    out.text
}

/// A text that grows to a limit.
struct Budget {
    text: String,
    left: usize,
}

impl Budget {
    /// Takes a part whole, or not at all.
    fn take(&mut self, part: &str) -> bool {
        let size = part.chars().count();
        let fits = size <= self.left;
        if fits {
            self.left -= size;
            self.text.push_str(part);
        }
        fits
    }
}

fn heading(report: &Report) -> String {
    let mut text = format!("### dpu-render: {}\n\n", totals(report));
    let mut compared = count(report.sites, "site");
    if report.unaffected > 0 {
        compared.push_str(&format!(", {} more read nothing that differs", report.unaffected));
    }
    text.push_str(&format!(
        "{} → {} · {compared}\n\n",
        code(&short(&report.base, MOST_CHARS)),
        code(&short(&report.head, MOST_CHARS))
    ));
    let remarks = remarks(report);
    const MOST: usize = 5;
    for remark in remarks.iter().take(MOST) {
        text.push_str(&format!("> {}\n", escaped(&short(remark, MOST_CHARS))));
    }
    if remarks.len() > MOST {
        text.push_str(&format!("> {} more remarks of this kind\n", remarks.len() - MOST));
    }
    if !remarks.is_empty() {
        text.push('\n');
    }
    text
}

/// What the gates hold, with the line that lets it pass.
fn held(report: &Report) -> String {
    const MOST: usize = 5;
    if report.held.is_empty() {
        return String::new();
    }
    let mut text = format!(
        "**Not acknowledged.** Where it is meant, write the line into `metadata.annotations` of the site's `site.yaml`, below \
         `{ANNOTATION}`:\n\n"
    );
    for one in report.held.iter().take(MOST) {
        let cards = if one.dpus.is_empty() { String::new() } else { format!(" ({})", count(one.dpus.len(), "card")) };
        let place = if one.in_base { ", in a change of its own that comes before this one" } else { "" };
        let objects: Vec<&str> = one.objects.iter().take(MOST).map(String::as_str).collect();
        let more = one.objects.len() - objects.len();
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        text.push_str(&format!(
            "- {}: {}{more}{cards} → {}{place}\n",
            code(&short(&one.site, MOST_CHARS)),
            code(&short(&objects.join(", "), MOST_CHARS)),
            code(&short(&one.line, MOST_CHARS))
        ));
    }
    if report.held.len() > MOST {
        text.push_str(&format!("- {}\n", count(report.held.len() - MOST, "more line")));
    }
    text.push('\n');
    text
}

/// In which waves the head comes to the clusters.
fn rollouts(report: &Report) -> String {
    const MOST: usize = 12;
    const MOST_STAGES: usize = 24;
    if report.rollouts.is_empty() {
        return String::new();
    }
    let mut text = "<details><summary>order of the rollout</summary>\n\n".to_owned();
    for (place, stages) in report.rollouts.iter().take(MOST) {
        text.push_str(&format!("{}:\n\n", escaped(&short(place, MOST_CHARS))));
        for stage in stages.iter().take(MOST_STAGES) {
            text.push_str(&format!("- {}\n", escaped(&short(stage, 2 * MOST_CHARS))));
        }
        if stages.len() > MOST_STAGES {
            text.push_str(&format!("- {}\n", count(stages.len() - MOST_STAGES, "more stage")));
        }
        text.push('\n');
    }
    if report.rollouts.len() > MOST {
        text.push_str(&format!("{} like these.\n\n", count(report.rollouts.len() - MOST, "more rollout")));
    }
    text.push_str("</details>\n\n");
    text
}

fn row(entry: &Entry) -> String {
    let what = match &entry.impact {
        Some(impact) => format!("**{}** {}", impact.class.words(), entry.kind.word()),
        None => entry.kind.word().to_owned(),
    };
    let cell = |text: &str| code(&short(text, MOST_CHARS)).replace('|', "\\|");
    format!("| {what} | {} | {} |\n", cell(&title(entry)), escaped(&wheres(entry)))
}

/// What an entry is about: the objects of its variants together.
fn title(entry: &Entry) -> String {
    let Some(first) = entry.variants.first() else { return entry.object.clone() };
    if entry.whole != Whole::Object {
        return format!("{}: {}", subject(entry, first), kinds(entry));
    }
    let mut all = first.clone();
    for variant in &entry.variants[1..] {
        all.names.extend(variant.names.iter().cloned());
        all.was.extend(variant.was.iter().cloned());
    }
    subject(entry, &all)
}

fn wheres(entry: &Entry) -> String {
    let sites: std::collections::BTreeSet<&str> =
        entry.variants.iter().flat_map(|variant| variant.places.keys()).map(String::as_str).collect();
    let destinations: std::collections::BTreeSet<(&str, &str)> = entry
        .variants
        .iter()
        .flat_map(|variant| &variant.places)
        .flat_map(|(site, destinations)| destinations.iter().map(move |one| (site.as_str(), one.as_str())))
        .collect();
    match &*destinations.iter().collect::<Vec<_>>() {
        [(site, destination)] => format!("{site}: {destination}"),
        many => format!("{} of {}", count(many.len(), "destination"), ranges::listed(&sites, 4)),
    }
}

fn detail(entry: &Entry) -> String {
    let summary = format!("{} {} — {}", entry.kind.word(), title(entry), wheres(entry));
    let mut text = format!("<details><summary>{}</summary>\n\n", html(&short(&summary, 2 * MOST_CHARS)));
    if let Some(impact) = &entry.impact {
        text.push_str(&format!("**{}**: {} (rule `{}`)", impact.class.words(), escaped(&impact.why), impact.rule));
        for words in impact.of.iter().take(MOST_VARIANTS) {
            text.push_str(&format!("; {}", escaped(&short(words, MOST_CHARS))));
        }
        if let Some((cards, names)) = cards(impact) {
            text.push_str(&format!("; {cards}: {}", code(&names)));
        }
        text.push_str("\n\n");
    }
    for (at, variant) in entry.variants.iter().enumerate() {
        if at == MOST_VARIANTS {
            let rest: usize = entry.variants[at..].iter().map(|variant| variant.objects).sum();
            text.push_str(&format!("{} more differ in the same places, with other values.\n\n", count(rest, "object")));
            break;
        }
        text.push_str(&of_variant(entry, variant));
    }
    text.push_str("</details>\n\n");
    text
}

fn of_variant(entry: &Entry, variant: &Variant) -> String {
    let mut text = String::new();
    let places: Vec<String> = places(variant).iter().map(|place| code(&short(place, 2 * MOST_CHARS))).collect();
    let subject = code(&short(&subject(entry, variant), MOST_CHARS));
    text.push_str(&format!("{subject} in {}\n\n", places.join("; ")));
    let lines = lines(entry, variant);
    if !lines.is_empty() {
        let mut body: Vec<String> = lines.iter().take(MOST_LINES).map(|line| short(line, 2 * MOST_CHARS)).collect();
        if lines.len() > MOST_LINES {
            body.push(format!("  {} more", count(lines.len() - MOST_LINES, "line")));
        }
        let body = body.join("\n");
        let fence = "`".repeat(longest_run(&body).max(2) + 1);
        text.push_str(&format!("{fence}diff\n{body}\n{fence}\n\n"));
    }
    if !variant.at.is_empty() {
        let more = if variant.more_at > 0 { format!(" and {} more", variant.more_at) } else { String::new() };
        let at: Vec<String> = variant.at.iter().map(|at| code(at)).collect();
        text.push_str(&format!("at {}{more}\n\n", at.join(", ")));
    }
    text
}

/// The lines of a `diff` block.
fn lines(entry: &Entry, variant: &Variant) -> Vec<String> {
    let mut lines = Vec::new();
    for edit in told(variant) {
        lines_of(edit, &mut lines);
    }
    if let Some(yaml) = &variant.yaml {
        let sign = if entry.kind == ChangeKind::Removed { '-' } else { '+' };
        lines.extend(yaml.lines().map(|line| format!("{sign} {line}")));
    }
    lines.iter().map(|line| line.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()).collect()
}

fn lines_of(edit: &ShownEdit, lines: &mut Vec<String>) {
    let order = if edit.reordered { " (order)" } else { "" };
    if edit.before == edit.after && edit.before == Some(Shown::Hidden) {
        lines.push(format!("! {}: hidden, changed", edit.path));
        return;
    }
    for (side, sign) in [(&edit.before, '-'), (&edit.after, '+')] {
        let Some(side) = side else { continue };
        match inline(side) {
            Some(value) => lines.push(format!("{sign} {}{order}: {value}", edit.path)),
            None => {
                lines.push(format!("{sign} {}{order}:", edit.path));
                lines.extend(yaml(side).lines().map(|line| format!("{sign}     {line}")));
            }
        }
    }
}

/// At most `most` characters.
fn short(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// As code, whatever it holds.
fn code(text: &str) -> String {
    let text: String = text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    let fence = "`".repeat(longest_run(&text) + 1);
    let space = if text.starts_with('`') || text.ends_with('`') { " " } else { "" };
    format!("{fence}{space}{text}{space}{fence}")
}

fn longest_run(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or_default()
}

/// Text of ours with names in it: what Markdown or HTML would take for a sign is none.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '|' | '*' | '_' | '[' | ']' | '\\' | '~' | '#' => out.extend(['\\', c]),
            '<' => out.push_str("&lt;"),
            '&' => out.push_str("&amp;"),
            // Nobody is called by it.
            '@' => out.push_str("@\u{200b}"),
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

fn html(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('@', "@\u{200b}");
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
