//! A fault in what someone wrote, as a value, and the one place that makes text of it.
//!
//! In: codes, messages and [`Origin`]s. Out: the text that people read, with the line it is about. PURE.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use crate::source::{FileId, Origin, Source, SourceTree};

/// Whether it stops the render.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Severity {
    /// Nothing is rendered.
    Error,
    /// The render goes on.
    Warning,
}

/// One fault: what, where, why, and what to write instead.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Diagnostic {
    /// Whether it stops the render.
    pub severity: Severity,
    /// Name of the rule, as `chain-port-unmatched`.
    pub code: &'static str,
    /// Names the object and the two facts in conflict; lower case, no full stop.
    pub message: String,
    /// Where it is.
    pub origin: Origin,
    /// What the marked text is, beside the carets.
    pub label: Option<String>,
    /// Facts that explain it, each perhaps with its place.
    pub notes: Vec<(String, Option<Origin>)>,
    /// What to write instead.
    pub help: Vec<String>,
    /// Whether the line must not be shown: it may hold a secret.
    pub secret: bool,
}

impl Diagnostic {
    /// An error.
    #[must_use]
    pub fn error(code: &'static str, origin: Origin, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            code,
            message: message.into(),
            origin,
            label: None,
            notes: Vec::new(),
            help: Vec::new(),
            secret: false,
        }
    }

    /// A warning.
    #[must_use]
    pub fn warning(code: &'static str, origin: Origin, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, origin, message) }
    }

    /// Says what the marked text is.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// Keeps the line itself, and the label beside it, out of the text.
    #[must_use]
    pub fn without_excerpt(mut self) -> Self {
        self.secret = true;
        self
    }

    /// Adds a fact.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push((note.into(), None));
        self
    }

    /// Adds a fact with its place: `note_at("first set here", origin)`.
    #[must_use]
    pub fn note_at(mut self, note: impl Into<String>, origin: Origin) -> Self {
        self.notes.push((note.into(), Some(origin)));
        self
    }

    /// Says what to write instead.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help.push(help.into());
        self
    }

    /// Says what to write instead where there is something to say.
    #[must_use]
    pub fn help_if(self, help: Option<String>) -> Self {
        match help {
            Some(help) => self.help(help),
            None => self,
        }
    }
}

/// Sorts by place and removes what is said twice.
pub fn sort(diagnostics: &mut Vec<Diagnostic>, tree: &SourceTree<'_>) {
    let mut paths: BTreeMap<FileId, Option<Arc<Source>>> = BTreeMap::new();
    for file in diagnostics.iter().filter_map(|diagnostic| diagnostic.origin.file()) {
        paths.entry(file).or_insert_with(|| tree.source(file));
    }
    let path = |origin: Origin| Some(paths.get(&origin.file()?)?.as_ref()?.path.as_str());
    let key = |diagnostic: &Diagnostic| (diagnostic.severity, path(diagnostic.origin), diagnostic.origin.offset());
    diagnostics
        .sort_by(|a, b| key(a).cmp(&key(b)).then_with(|| a.code.cmp(b.code)).then_with(|| a.message.cmp(&b.message)));
    diagnostics.dedup();
    shorten(diagnostics);
}

/// Of one kind in one file this many are told.
pub const MOST_ALIKE: usize = 200;

/// Leaves out what would only repeat itself, and says so in the last one that is told.
fn shorten(diagnostics: &mut Vec<Diagnostic>) {
    let mut counts: BTreeMap<(Severity, &str, Option<FileId>), usize> = BTreeMap::new();
    if diagnostics.len() <= MOST_ALIKE {
        return;
    }
    for diagnostic in &*diagnostics {
        *counts.entry((diagnostic.severity, diagnostic.code, diagnostic.origin.file())).or_default() += 1;
    }
    counts.retain(|_, count| *count > MOST_ALIKE);
    let mut told: BTreeMap<(Severity, &str, Option<FileId>), usize> = BTreeMap::new();
    diagnostics.retain_mut(|diagnostic| {
        let key = (diagnostic.severity, diagnostic.code, diagnostic.origin.file());
        if !counts.contains_key(&key) {
            return true;
        }
        let told = told.entry(key).or_default();
        *told += 1;
        if *told == MOST_ALIKE {
            diagnostic.notes.push(("the file has more of this kind, which are not shown".to_owned(), None));
        }
        *told <= MOST_ALIKE
    });
}

/// The text of one diagnostic, closed by a newline.
#[must_use]
pub fn render(diagnostic: &Diagnostic, tree: &SourceTree<'_>, colour: bool) -> String {
    let paint = |code: &'static str| if colour { code } else { "" };
    let (bold, reset, blue) = (paint("\x1b[1m"), paint("\x1b[0m"), paint("\x1b[1;34m"));
    let (word, hue) = match diagnostic.severity {
        Severity::Error => ("error", paint("\x1b[1;31m")),
        Severity::Warning => ("warning", paint("\x1b[1;33m")),
    };
    let mut out = format!("{hue}{word}[{}]{reset}{bold}: {}{reset}\n", diagnostic.code, visible(&diagnostic.message));
    let mut gutter = String::from(" ");
    if let Some(source) = diagnostic.origin.file().and_then(|file| tree.source(file)) {
        let position = source.position(diagnostic.origin.offset());
        let number = position.line.to_string();
        gutter = " ".repeat(number.len());
        let _ = writeln!(out, "{gutter}{blue}-->{reset} {}:{}:{}", position.path, position.line, position.column);
        if !diagnostic.secret {
            // A place that is a line as a whole: its text, not what it is indented by.
            let before = position.text.chars().take(position.column - 1);
            let blank = if before.clone().all(char::is_whitespace) {
                position.text.chars().skip(position.column - 1).take_while(|c| c.is_whitespace()).count()
            } else {
                0
            };
            let (text, skipped) = excerpt(position.text, position.column - 1 + blank);
            let width = token_width(&text.chars().skip(skipped).collect::<String>());
            let _ = writeln!(out, "{gutter} {blue}|{reset}");
            let _ = writeln!(out, "{blue}{number} |{reset} {text}");
            let carets = format!("{}{hue}{}", " ".repeat(skipped), "^".repeat(width));
            let label = diagnostic.label.as_deref().map(|label| format!(" {}", visible(label))).unwrap_or_default();
            let _ = writeln!(out, "{gutter} {blue}|{reset} {carets}{label}{reset}");
        }
    } else if let Some(label) = &diagnostic.label {
        let _ = writeln!(out, "  {blue}={reset} note: {}", visible(label));
    }
    // Further lines stand below the first.
    let indented = |text: &str| visible(text).replace('\n', &format!("\n{gutter}         "));
    for (note, origin) in &diagnostic.notes {
        let place = origin.and_then(|origin| tree.place(origin)).map(|place| format!(" ({place})")).unwrap_or_default();
        let _ = writeln!(out, "{gutter} {blue}={reset} note: {}{place}", indented(note));
    }
    for help in &diagnostic.help {
        let _ = writeln!(out, "{gutter} {blue}={reset} help: {}", indented(help));
    }
    out
}

/// The part of a long line around column `at` (0-based), tabs as spaces, and where `at` is in it.
fn excerpt(line: &str, at: usize) -> (String, usize) {
    const BEFORE: usize = 80;
    const WIDTH: usize = 160;
    let start = if at > WIDTH - 40 { at - BEFORE } else { 0 };
    let text: String = line.chars().skip(start).take(WIDTH).map(|c| if c.is_control() { ' ' } else { c }).collect();
    (text, at - start)
}

/// How many characters of `text` belong to the token it begins with.
fn token_width(text: &str) -> usize {
    let mut characters = text.chars();
    let closing = match characters.next() {
        Some(quote @ ('"' | '\'')) => quote,
        Some('[' | '{') if !text.starts_with("{{") => return flow_width(text),
        Some(_) => {
            let end = text.find(": ").into_iter().chain(text.find(" #")).chain(text.find([',', '}', ']'])).min();
            let token = text[..end.unwrap_or(text.len())].trim_end();
            return token.strip_suffix(':').unwrap_or(token).chars().count().max(1);
        }
        None => return 1,
    };
    characters.position(|c| c == closing).map_or(text.chars().count(), |inside| inside + 2)
}

/// How many characters of `text` the list or map in flow style takes that it begins with; one where its end is not here.
fn flow_width(text: &str) -> usize {
    let (mut depth, mut quote) = (0usize, None);
    for (at, c) in text.chars().enumerate() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(c),
            (None, '[' | '{') => depth += 1,
            (None, ']' | '}') if depth == 1 => return at + 1,
            (None, ']' | '}') => depth -= 1,
            _ => {}
        }
    }
    1
}

/// Control characters of hostile input must not reach a terminal, nor a text of megabytes a person.
fn visible(text: &str) -> std::borrow::Cow<'_, str> {
    const MOST: usize = 2000;
    let (text, cut) = match text.char_indices().nth(MOST) {
        Some((end, _)) => (&text[..end], true),
        None => (text, false),
    };
    if cut || text.chars().any(|c| c.is_control() && c != '\n') {
        let safe = text.chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c });
        safe.chain(cut.then_some('…')).collect::<String>().into()
    } else {
        text.into()
    }
}

/// The nearest of `candidates` to a misspelt `word`, if one is near enough to be meant.
#[must_use]
pub fn nearest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let limit = (word.chars().count() / 3).clamp(1, 3);
    candidates
        .into_iter()
        .map(|candidate| (distance(&word.to_lowercase(), &candidate.to_lowercase()), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, candidate)| candidate)
}

/// Edit distance with transpositions (optimal string alignment); words are short.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(64).collect(), b.chars().take(64).collect());
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let substitution = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = substitution.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(before[j - 2] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_has_place_line_carets_notes_and_help() {
        let files = BTreeMap::from([("a.yaml".to_owned(), "spec:\n  mtu: x # why\n".to_owned())]);
        let tree = SourceTree::new(&files);
        let (id, _) = tree.load("a.yaml").unwrap();
        let diagnostic = Diagnostic::error("variable-type", Origin::new(id, 13), "`mtu` must be an integer")
            .label("a string")
            .note_at("declared here", Origin::new(id, 0))
            .help("write a number\nor nothing");
        assert_eq!(
            render(&diagnostic, &tree, false),
            "error[variable-type]: `mtu` must be an integer\n --> a.yaml:2:8\n  |\n2 |   mtu: x # why\n  |        ^ a string\n  = note: declared here (a.yaml:1:1)\n  = help: write a number\n          or nothing\n"
        );
    }

    #[test]
    fn near_misses_are_found_and_far_ones_are_not() {
        assert_eq!(nearest("nodeSelectro", ["nodeSelector", "template"]), Some("nodeSelector"));
        assert_eq!(nearest("p2", ["p1", "ovn"]), Some("p1"));
        assert_eq!(nearest("abc", ["xyz"]), None);
    }
}
