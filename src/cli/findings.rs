//! EDGE: what was found in all sites of a run, and how it is told: every fault once, sorted by place, then the count.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::diagnostic::{self, Diagnostic, Severity};
use crate::render::Repository;
use crate::source::{Origin, SourceTree};

use super::sites::SiteRef;

/// What was found so far.
pub(super) struct Findings<'r, 'f> {
    repositories: &'r [Repository<'f>],
    /// By repository.
    found: Vec<Vec<Diagnostic>>,
    /// Folders of the sites that are not rendered.
    refused: Vec<String>,
    sites: usize,
    quiet: bool,
}

/// How often each was found.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Count {
    pub(super) errors: usize,
    pub(super) warnings: usize,
}

impl<'r, 'f> Findings<'r, 'f> {
    /// `quiet`: warnings are left out.
    pub(super) fn new(repositories: &'r [Repository<'f>], quiet: bool) -> Self {
        let found = repositories.iter().map(|_| Vec::new()).collect();
        Self { repositories, found, refused: Vec::new(), sites: 0, quiet }
    }

    /// Adds those of one site.
    pub(super) fn add(&mut self, site: &SiteRef, diagnostics: Vec<Diagnostic>, refused: bool) {
        let quiet = self.quiet;
        let told = diagnostics.into_iter().filter(|found| !quiet || found.severity == Severity::Error);
        self.found[site.repository].extend(told);
        self.sites += 1;
        if refused {
            self.refused.push(site.folder.clone());
        }
    }

    /// Whether a site was refused.
    pub(super) fn any_refused(&self) -> bool {
        !self.refused.is_empty()
    }

    /// Every fault as text, errors first, and how many there are.
    pub(super) fn text(&mut self, colour: bool) -> (String, Count) {
        self.told(|diagnostic, tree| {
            let mut text = diagnostic::render(diagnostic, tree, colour);
            text.push('\n');
            text
        })
    }

    /// Every fault as a line of JSON.
    pub(super) fn json(&mut self) -> (String, Count) {
        self.told(|diagnostic, tree| format!("{}\n", as_json(diagnostic, tree)))
    }

    fn told(&mut self, tell: impl Fn(&Diagnostic, &SourceTree<'_>) -> String) -> (String, Count) {
        let (mut text, mut count) = (String::new(), Count::default());
        for (found, repository) in self.found.iter_mut().zip(self.repositories) {
            diagnostic::sort(found, repository.tree());
            // What a template yields is a text of its own per site: equal only once it is told.
            let mut told = BTreeSet::new();
            for diagnostic in &*found {
                let one = tell(diagnostic, repository.tree());
                if told.contains(&one) {
                    continue;
                }
                match diagnostic.severity {
                    Severity::Error => count.errors += 1,
                    Severity::Warning => count.warnings += 1,
                }
                text.push_str(&one);
                told.insert(one);
            }
        }
        (text, count)
    }

    /// The last line of a render; nothing if there is nothing to say.
    pub(super) fn render_line(&self, count: Count) -> String {
        let sites = match &*self.refused {
            [] => String::new(),
            refused if refused.len() == self.sites => "; nothing was rendered".to_owned(),
            [site] => format!("; {site} was not rendered"),
            [sites @ .., last] if sites.len() < 4 => format!("; {} and {last} were not rendered", sites.join(", ")),
            [a, b, c, rest @ ..] => format!("; {a}, {b}, {c} and {} more sites were not rendered", rest.len()),
            // Shorter lists are above.
            [_, _] => String::new(),
        };
        if count == Count::default() && sites.is_empty() { sites } else { format!("dpu-render: {count}{sites}\n") }
    }

    /// The last line of a validation.
    pub(super) fn validate_line(&self, count: Count) -> String {
        let count = if count == Count::default() { "no findings".to_owned() } else { count.to_string() };
        format!("dpu-render: {count} in {}\n", number(self.sites, "site"))
    }
}

/// `1 error, 2 warnings`.
impl std::fmt::Display for Count {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.errors, self.warnings) {
            (errors, 0) => f.write_str(&number(errors, "error")),
            (0, warnings) => f.write_str(&number(warnings, "warning")),
            (errors, warnings) => write!(f, "{}, {}", number(errors, "error"), number(warnings, "warning")),
        }
    }
}

fn number(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

fn as_json(diagnostic: &Diagnostic, tree: &SourceTree<'_>) -> Value {
    let severity = match diagnostic.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let notes: Vec<Value> = diagnostic
        .notes
        .iter()
        .map(|(note, origin)| json!({"message": note, "at": origin.and_then(|origin| place(origin, tree))}))
        .collect();
    json!({
        "severity": severity,
        "code": diagnostic.code,
        "message": diagnostic.message,
        "at": place(diagnostic.origin, tree),
        "label": diagnostic.label,
        "notes": notes,
        "help": diagnostic.help,
    })
}

fn place(origin: Origin, tree: &SourceTree<'_>) -> Option<Value> {
    let source = tree.source(origin.file()?)?;
    let position = source.position(origin.offset());
    Some(json!({"path": position.path, "line": position.line, "column": position.column}))
}
