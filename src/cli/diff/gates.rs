//! `--fail-on`: what must be acknowledged before it passes, and what to write.

use std::fmt::Write as _;

use super::super::{Status, say};
use crate::diff::SiteDiff;
use crate::diff::impact::gate::{self, ANNOTATION, Gate, Held};
use crate::render::RenderedSite;

/// Objects and cards that a message names.
const SHOWN: usize = 8;

/// The gates of a word of `--fail-on`.
pub(super) fn gates(word: &str) -> Result<Gates, String> {
    let known = || Gate::words().collect::<Vec<_>>().join(", ");
    Gate::of_word(word).map(Gates).ok_or_else(|| format!("one of: {}", known()))
}

/// The gates that one word sets.
#[derive(Clone, Debug)]
pub(super) struct Gates(Vec<Gate>);

/// What the gates of a run hold.
#[derive(Debug, Default)]
pub(super) struct Guard {
    gates: Vec<Gate>,
    held: Vec<Held>,
    /// Site, and a line that acknowledges nothing.
    idle: Vec<(String, String)>,
}

impl Guard {
    pub(super) fn new(words: &[Gates]) -> Self {
        Self { gates: words.iter().flat_map(|Gates(gates)| gates.clone()).collect(), ..Self::default() }
    }

    /// What it says of a site.
    pub(super) fn ask(&self, diff: &SiteDiff, base: Option<&RenderedSite>, head: Option<&RenderedSite>) -> gate::Gated {
        if self.gates.is_empty() { gate::Gated::default() } else { gate::site(diff, base, head, &self.gates) }
    }

    /// Keeps what was said of a site.
    pub(super) fn keep(&mut self, site: &str, gated: gate::Gated) {
        self.held.extend(gated.held);
        self.idle.extend(gated.idle.into_iter().map(|line| (site.to_owned(), line)));
    }

    /// What is held.
    pub(super) fn held(&self) -> &[Held] {
        &self.held
    }

    /// The exit code where gates are set: what passes them is no failure, differences or not.
    pub(super) fn status(&self, answered: bool) -> Option<Status> {
        (!self.gates.is_empty()).then_some(match (answered, self.held.is_empty()) {
            (false, _) => Status::NoAnswer,
            (true, false) => Status::No,
            (true, true) => Status::Done,
        })
    }

    /// Tells what is held, and what to write; and lines that acknowledge nothing.
    pub(super) fn tell(&self) {
        let mut out = String::new();
        for (site, line) in &self.idle {
            let _ = writeln!(out, "warning: `{line}` in `{ANNOTATION}` of {site} acknowledges nothing in this change");
        }
        for held in &self.held {
            let _ = write!(out, "{}", message(held));
        }
        if !out.is_empty() {
            say(&out);
        }
    }
}

fn message(held: &Held) -> String {
    let Held { site, word, kind, objects, dpus, line, in_base } = held;
    let mut out = format!("error: {site}: nobody acknowledges `{word}` of {}\n", counted(objects.len(), kind));
    let _ = writeln!(out, "  = objects: {}", listed(objects));
    if !dpus.is_empty() {
        let _ = writeln!(out, "  = cards: {}", listed(dpus));
    }
    let place = if *in_base {
        "in its `site.yaml`, in a change of its own that comes before this one"
    } else {
        "in its `site.yaml`"
    };
    let _ = writeln!(
        out,
        "  = help: where it is meant, write below `metadata` {place}:\n            annotations:\n              {ANNOTATION}: |\n                {line}"
    );
    out
}

fn counted(count: usize, kind: &str) -> String {
    if count == 1 { format!("1 {kind}") } else { format!("{count} objects of kind {kind}") }
}

fn listed(names: &[String]) -> String {
    let shown = names.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    if names.len() > SHOWN { format!("{shown} and {} more", names.len() - SHOWN) } else { shown }
}
