//! EDGE: `dpu-render plugin …`, which Argo CD calls as a config-management plugin.
//!
//! The application's folder is the working folder, in a copy of the repository or of a part of it; all else comes from the
//! environment, which nothing but this file reads. What is told says neither where the copy lies nor what a variable was set to.
//! Everything is in memory before the first byte is written, and signals are left alone: SIGTERM ends it.
#![expect(clippy::disallowed_methods, reason = "Argo CD calls with a working folder and an environment")]

mod announce;
mod call;
mod doctor;
mod packed;

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fmt::Write as _;

use crate::diagnostic::{self, Diagnostic, Severity, nearest};
use crate::render::{Options, RenderedDestination, Repository, SetBy, Texts};
use crate::source::{FileError, Files as _, SourceTree};

use super::render::{listed, no_destination};
use super::sites::SITE_FILE;
use super::stream::{self, Format};
use super::{Failure, Status, deliver, say};
use call::Call;
use packed::Packed;

/// What is told in all: Argo CD keeps it in the status of the Application, and cuts nothing off.
const MOST_BYTES: usize = 4 << 10;
/// What the first line may have of that.
const MOST_IN_A_LINE: usize = 1 << 10;

/// Render for Argo CD, as its config-management plugin
///
/// The working folder is the application's; what is asked for is in the environment, as Argo CD sets it:
/// `ARGOCD_APP_SOURCE_PATH` and `ARGOCD_APP_PARAMETERS`.
#[derive(Debug, clap::Args)]
pub(super) struct PluginArgs {
    #[command(subcommand)]
    verb: PluginVerb,
}

#[derive(Debug, clap::Subcommand)]
enum PluginVerb {
    /// Render one destination: JSON, one object a line
    ///
    /// Parameters: `destination` (`management`, or a DPU cluster's name), `site` (its folder, if it is not the application's
    /// path), `vars` (a map of variables, over all scopes).
    Generate,
    /// Announce the parameters of `generate`, as JSON
    Parameters,
    Doctor(doctor::DoctorArgs),
}

pub(super) fn run(args: &PluginArgs) -> Result<Status, Failure> {
    if let PluginVerb::Doctor(args) = &args.verb {
        return doctor::run(args);
    }
    let call = environment().and_then(|environment| Call::of(&environment)).map_err(Failure::Usage)?;
    // A folder that is gone has a path that must not be told.
    let packed = env::current_dir().and_then(|here| Packed::open(&here, &call.source_path));
    let packed = packed.map_err(|error| Failure::Usage(format!("cannot open the working folder: {error}")))?;
    let run = Run { repository: &Repository::new(&packed), packed: &packed, call: &call };
    if matches!(args.verb, PluginVerb::Parameters) { run.parameters() } else { run.generate() }
}

/// What Argo CD says, of what concerns us.
fn environment() -> Result<BTreeMap<String, String>, String> {
    let mut found = BTreeMap::new();
    for (name, value) in env::vars_os() {
        let Some(name) = name.to_str().filter(|name| call::concerns(name)) else { continue };
        let value = value.into_string().map_err(|_| format!("the value of `{name}` is no text"))?;
        found.insert(name.to_owned(), value);
    }
    Ok(found)
}

struct Run<'r> {
    repository: &'r Repository<'r>,
    packed: &'r Packed,
    call: &'r Call,
}

impl Run<'_> {
    fn generate(&self) -> Result<Status, Failure> {
        let Some(name) = &self.call.destination else {
            return match self.repository.outline(&self.call.site) {
                Ok(outline) => {
                    let known = outline.destinations.iter().map(ToString::to_string).collect();
                    Err(Failure::Usage(format!("the parameter `destination` is missing; there are {}", listed(&known))))
                }
                Err(faults) => self.refuse(faults),
            };
        };
        let options = Options {
            set: self.call.vars.clone(),
            set_by: SetBy::Parameter,
            texts: Texts::Of(name.clone()),
            ..Options::default()
        };
        let outcome = self.repository.render(&self.call.site, &options);
        let Some(site) = outcome.site else { return self.refuse(outcome.diagnostics) };
        let Some(destination) = site.destinations.iter().find(|one| one.destination.to_string() == *name) else {
            let known: BTreeSet<String> = site.destinations.iter().map(|one| one.destination.to_string()).collect();
            return Err(no_destination(name, &known));
        };
        self.lists(destination)?;
        let mut text = String::new();
        stream::append(&site, Format::Json, Some(name), &mut text);
        if destination.objects.is_empty() {
            say(&format!("dpu-render: the destination `{name}` of the site `{}` is empty\n", site.name));
        }
        say(&told(&outcome.diagnostics, self.repository.tree(), MOST_BYTES));
        deliver(text.as_bytes()).map(|_| Status::Done)
    }

    /// What Argo CD would take for something else.
    fn lists(&self, destination: &RenderedDestination) -> Result<(), Failure> {
        let list = |node: &crate::node::Node| node.get("items").is_some_and(|items| items.as_list().is_some());
        let Some(object) = destination.objects.iter().find(|object| list(&object.node)) else { return Ok(()) };
        let place = self.repository.tree().place(object.node.origin()).unwrap_or_default();
        Err(Failure::Usage(format!(
            "{} has a list `items` at its top level ({place}): Argo CD would take it for a List and apply only what is in it",
            object.id
        )))
    }

    fn parameters(&self) -> Result<Status, Failure> {
        match self.repository.outline(&self.call.site) {
            Ok(outline) => deliver(announce::parameters(&outline, &self.call.site).as_bytes()).map(|_| Status::Done),
            Err(faults) => self.refuse(faults),
        }
    }

    /// Tells why not: the first line says it all, as it is what people see first; the places follow.
    fn refuse(&self, mut faults: Vec<Diagnostic>) -> Result<Status, Failure> {
        let site = &self.call.site;
        if self.packed.read(&format!("{site}/{SITE_FILE}")) == Err(FileError::NotFound) {
            return Err(self.no_site());
        }
        faults.retain(|fault| fault.severity == Severity::Error);
        let tree = self.repository.tree();
        let Some((first, others)) = faults.split_first() else {
            return Err(Failure::Usage(format!("`{site}` cannot be rendered")));
        };
        let block = shown(first, tree);
        let lines = first.message.matches('\n').count() + 1;
        let (heading, rest): (Vec<&str>, Vec<&str>) =
            (block.lines().take(lines).collect(), block.lines().skip(lines).collect());
        let mut line = heading.join(" ");
        if let Some(place) = tree.place(first.origin) {
            let _ = write!(line, " ({place})");
        }
        if let Some(help) = first.help.first() {
            let _ = write!(line, "; {help}");
        }
        let more = match others.len() {
            0 => String::new(),
            1 => "; and 1 more error".to_owned(),
            more => format!("; and {more} more errors"),
        };
        let mut text = format!("{}{more}\n", one_line(&line));
        for line in rest {
            let _ = writeln!(text, "{line}");
        }
        if !others.is_empty() {
            text.push('\n');
        }
        let room = MOST_BYTES.saturating_sub(text.len());
        text.push_str(&told(others, tree, room));
        say(&text);
        Ok(Status::No)
    }

    fn no_site(&self) -> Failure {
        let site = &self.call.site;
        let parent = site.rsplit_once('/').map_or("", |(parent, _)| parent);
        let below = |folder: &str| {
            let files = self.packed.list(folder).unwrap_or_default();
            files.iter().filter_map(|file| Some(file.strip_suffix(SITE_FILE)?.strip_suffix('/')?.to_owned())).collect()
        };
        let inside: BTreeSet<String> = below(site);
        let beside: BTreeSet<String> = below(parent);
        let help = match (inside.first(), nearest(site, beside.iter().map(String::as_str))) {
            (Some(inside), _) => format!("; there is one in `{inside}`: the parameter `site` names it"),
            (None, Some(near)) => format!("; did you mean `{near}`?"),
            (None, None) => String::new(),
        };
        Failure::Usage(format!("`{site}` holds no `{SITE_FILE}`{help}"))
    }
}

/// A fault as people read it, without what a parameter holds.
fn shown(fault: &Diagnostic, tree: &SourceTree<'_>) -> String {
    let source = fault.origin.file().and_then(|file| tree.source(file));
    match source {
        Some(source) if source.text.is_empty() => diagnostic::render(&fault.clone().without_excerpt(), tree, false),
        _ => diagnostic::render(fault, tree, false),
    }
}

/// As many faults as there is room for, and how many there are beside them.
fn told(faults: &[Diagnostic], tree: &SourceTree<'_>, room: usize) -> String {
    const CLOSING: usize = 100;
    let mut text = String::new();
    for (index, fault) in faults.iter().enumerate() {
        let next = shown(fault, tree);
        if text.len() + next.len() + CLOSING > room {
            let _ = writeln!(text, "{} more are not shown; `dpu-render validate` tells all", faults.len() - index);
            break;
        }
        let _ = writeln!(text, "{next}");
    }
    text
}

fn one_line(text: &str) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    match line.char_indices().find(|(at, _)| *at >= MOST_IN_A_LINE) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}
