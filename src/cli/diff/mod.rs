//! `dpu-render diff [SITE…]`.

mod committed;
mod gates;
mod git;
mod revision;
mod sides;

use std::collections::BTreeSet;
use std::io::{self, IsTerminal as _};
use std::mem;
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use crate::diagnostic::{Diagnostic, Severity};
use crate::diff::collapse::Collapse;
use crate::diff::impact::gate::Gated;
use crate::diff::report::{Report, Side, Unanswered, json, markdown, text};
use crate::diff::rollout::{self, Rollout};
use crate::diff::{self, Memo, SiteDiff};
use crate::render::{Options, Outcome, RenderedSite, Repository, Texts};

use super::findings::Findings;
use super::fleet::{Progress, in_order};
use super::sites::{Color, SiteRef, assignment};
use super::{Failure, Status, deliver, say};
use gates::Guard;
use sides::{Sides, is_site};

/// Tell what a change does: what differs between two sides, in which clusters
///
/// As `git diff` does, compares the files on disk with the last commit; `--base` and `--head` name other revisions, and
/// `--base origin/main --merge-base` tells what a pull request changes. Both sides are rendered, nothing is checked out.
/// Equal changes in many clusters are one entry. Secrets are hidden.
///
/// Exit codes: 0 no difference; 1 the sides differ; 2 no answer, which the head that does not render is too. With `--fail-on`,
/// 0 what differs may pass; 1 it must be acknowledged first.
#[derive(Debug, clap::Args)]
pub(super) struct DiffArgs {
    /// Folders of the sites, or their `site.yaml` [default: all below `sites`]
    #[arg(value_name = "SITE")]
    sites: Vec<PathBuf>,
    /// Revision to compare with [default: HEAD]
    #[arg(long, value_name = "REV")]
    base: Option<String>,
    /// Revision to compare, or `worktree`, the files on disk [default: worktree]
    #[arg(long, value_name = "REV")]
    head: Option<String>,
    /// Compare with the commit where the head parted from the base, as a pull request does
    #[arg(long)]
    merge_base: bool,
    /// Folder to compare with, instead of a revision; sites are then named from there
    #[arg(long, value_name = "DIR", requires = "head_dir", conflicts_with_all = ["base", "head", "merge_base", "root"])]
    base_dir: Option<PathBuf>,
    /// Folder to compare, instead of a revision
    #[arg(long, value_name = "DIR", requires = "base_dir")]
    head_dir: Option<PathBuf>,
    /// Tree that an earlier `-o` wrote, to compare with instead of a revision
    #[arg(long, value_name = "DIR", conflicts_with_all = ["base", "head", "merge_base", "base_dir"])]
    base_tree: Option<PathBuf>,
    /// Folder that the layers are named from [default: the nearest above the sites that holds every layer they name]
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// Form of the report
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Most characters of the Markdown; what is left out is named
    #[arg(long, value_name = "N", default_value_t = 60_000, value_parser = budget)]
    max_chars: usize,
    /// Fail only where a change is as harmful as WORD and nobody acknowledges it in the site; may be repeated.
    ///
    /// A class, for it and every worse one: refused, reprovision, reboot, drain, interrupt, restart, unknown, left-behind,
    /// new-pods, metadata. Or `lost`, objects that are there no more; `emptied`, clusters and sites that are; `destructive`,
    /// both of them and reprovision. The message says what to write into the site's annotation `dpu-render.dev/acknowledge`; a
    /// line counts for this change only, and once it is in the base no more.
    #[arg(long, value_name = "WORD", value_parser = gates::gates)]
    fail_on: Vec<gates::Gates>,
    /// Also render the sites that read no file that differs
    #[arg(long)]
    all: bool,
    /// Set a variable over all scopes, on both sides; may be repeated
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = assignment)]
    set: Vec<(String, String)>,
    /// Sites that are worked on at the same time [default: the number of processors]
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
    /// Colour of messages
    #[arg(long, value_name = "WHEN", value_enum, default_value_t)]
    color: Color,
    /// No report: the exit code alone tells
    #[arg(short, long)]
    quiet: bool,
}

#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
enum Format {
    /// For people
    #[default]
    Text,
    /// For a comment on a pull request
    Markdown,
    /// One object
    Json,
}

/// What a site's changes ask for.
struct Aftermath {
    site: String,
    gated: Gated,
    rollouts: Vec<Rollout>,
}

pub(super) fn run(args: &DiffArgs) -> Result<Status, Failure> {
    let sides = Sides::find(args)?;
    let (base, head) = Repository::pair(&sides.base, &sides.head);
    let sites = if args.all || args.base_tree.is_some() { sides.sites.clone() } else { sides.affected(&base, &head) };
    let folders: Vec<&String> = sites.iter().collect();
    let repositories = [base, head];
    let work = Work {
        options: Options { set: args.set.clone(), texts: Texts::Unwritten, ..Options::default() },
        repositories: &repositories,
        sides: &sides,
        from_tree: args.base_tree.is_some(),
        memo: Memo::default(),
        guard: Guard::new(&args.fail_on),
        names: Mutex::default(),
    };
    let mut told = Told {
        findings: Findings::new(&repositories[1..], true),
        collapse: Collapse::new(repositories[1].tree()),
        without_answer: Vec::new(),
        aftermaths: Vec::new(),
        gone: Vec::new(),
        come: Vec::new(),
    };
    let mut progress = Progress::of(folders.len(), args.quiet, true);
    let take = |index: usize, compared| {
        told.take(folders[index], compared);
        progress.at(index + 1);
        ControlFlow::Continue(())
    };
    in_order(folders.len(), args.threads, |index| work.site(folders[index]), take).map_err(Failure::Threads)?;
    drop(progress);
    if work.from_tree && args.sites.is_empty() {
        let known = work.names.lock().unwrap_or_else(PoisonError::into_inner);
        told.gone.extend(committed::others(repositories[0].tree(), &known));
    }
    for (before, after) in diff::pair::sites(mem::take(&mut told.gone), mem::take(&mut told.come)) {
        let (diff, aftermath) = work.compare(before.as_ref(), after.as_ref());
        told.keep(diff, aftermath);
    }
    let Told { mut findings, collapse, without_answer, aftermaths, .. } = told;
    let mut guard = work.guard;
    let mut rollouts = Vec::new();
    for aftermath in aftermaths {
        guard.keep(&aftermath.site, aftermath.gated);
        rollouts.extend(aftermath.rollouts);
    }
    let [base, head] = sides.names.clone();
    let unaffected = sides.sites.len() - sites.len();
    let report = Report { base, head, sites: sites.len(), unaffected, without_answer, ..collapse.report() };
    let report = Report { rollouts: rollout::told(&rollouts), held: guard.held().to_vec(), ..report };
    print(args, &report, &mut findings, &guard)
}

/// What every site is compared with.
struct Work<'w> {
    repositories: &'w [Repository<'w>; 2],
    sides: &'w Sides,
    options: Options,
    /// The base is a tree that was written.
    from_tree: bool,
    memo: Memo,
    guard: Guard,
    /// Names of the sites that there are, for a tree that may hold more.
    names: Mutex<BTreeSet<String>>,
}

/// What became of a site.
enum Compared {
    /// Both sides have it.
    Both(Box<SiteDiff>, Aftermath),
    /// One side lacks it: perhaps it is another's under another name.
    One(Side, Box<RenderedSite>),
    /// A side refuses it, with these faults.
    Refused(Side, Vec<Diagnostic>),
}

impl Work<'_> {
    fn site(&self, folder: &str) -> Compared {
        let [base, head] = self.repositories;
        let after = is_site(&self.sides.head, folder).then(|| head.render(folder, &self.options));
        let before = if self.from_tree {
            let site = after.as_ref().and_then(|one| one.site.as_ref());
            let name = site.map_or_else(|| folder.rsplit('/').next().unwrap_or(folder), |site| &site.name);
            self.names.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned());
            Some(committed::outcome(base.tree(), site))
        } else {
            is_site(&self.sides.base, folder).then(|| base.render(folder, &self.options))
        };
        match (before, after) {
            (_, Some(Outcome { site: None, diagnostics })) => Compared::Refused(Side::Head, diagnostics),
            (Some(Outcome { site: None, diagnostics }), _) => Compared::Refused(Side::Base, diagnostics),
            (Some(Outcome { site: Some(before), .. }), None) => Compared::One(Side::Base, Box::new(before)),
            (None, Some(Outcome { site: Some(after), .. })) => Compared::One(Side::Head, Box::new(after)),
            (before, after) => {
                let site = |outcome: Option<Outcome>| outcome.and_then(|one| one.site);
                let (diff, aftermath) = self.compare(site(before).as_ref(), site(after).as_ref());
                Compared::Both(Box::new(diff), aftermath)
            }
        }
    }

    fn compare(&self, before: Option<&RenderedSite>, after: Option<&RenderedSite>) -> (SiteDiff, Aftermath) {
        let diff = diff::site(before, after, &self.memo);
        let gated = self.guard.ask(&diff, before, after);
        let aftermath = Aftermath { site: diff.site.to_string(), gated, rollouts: rollout::of(&diff, after) };
        (diff, aftermath)
    }
}

/// What was found so far.
struct Told<'t> {
    findings: Findings<'t, 't>,
    collapse: Collapse<'t, 't>,
    without_answer: Vec<Unanswered>,
    aftermaths: Vec<Aftermath>,
    /// Sites of the base that the head lacks.
    gone: Vec<RenderedSite>,
    /// Sites of the head that the base lacks.
    come: Vec<RenderedSite>,
}

impl Told<'_> {
    fn keep(&mut self, diff: SiteDiff, aftermath: Aftermath) {
        self.aftermaths.push(aftermath);
        self.collapse.add(diff);
    }

    fn take(&mut self, folder: &str, compared: Compared) {
        match compared {
            Compared::Both(diff, aftermath) => self.keep(*diff, aftermath),
            Compared::One(Side::Base, site) => self.gone.push(*site),
            Compared::One(Side::Head, site) => self.come.push(*site),
            Compared::Refused(side, faults) => {
                let errors = faults.iter().filter(|fault| fault.severity == Severity::Error).count();
                self.without_answer.push(Unanswered { site: folder.to_owned(), side, errors });
                // What is wrong with the base is not what the reviewer can mend.
                if side == Side::Head {
                    let site = SiteRef { repository: 0, folder: folder.to_owned(), name: None, layers: Vec::new() };
                    self.findings.add(&site, faults, true);
                }
            }
        }
    }
}

/// Tells what was found, and what it amounts to.
fn print(args: &DiffArgs, report: &Report, findings: &mut Findings<'_, '_>, guard: &Guard) -> Result<Status, Failure> {
    if !args.quiet {
        let colour = args.color.on(io::stdout().is_terminal());
        let product = match args.format {
            Format::Text => text::text(report, colour, width()),
            Format::Markdown => markdown::markdown(report, args.max_chars),
            Format::Json => json::json(report),
        };
        deliver(product.as_bytes())?;
    }
    let (faults, _) = findings.text(args.color.on(io::stderr().is_terminal()));
    say(&faults);
    guard.tell();
    let answered = !findings.any_refused() && report.without_answer.is_empty();
    if let Some(status) = guard.status(answered) {
        return Ok(status);
    }
    Ok(if findings.any_refused() {
        Status::NoAnswer
    } else if report.is_empty() && report.without_answer.is_empty() {
        Status::Done
    } else {
        Status::No
    })
}

/// How wide the terminal is, where the report goes to one.
fn width() -> Option<usize> {
    terminal_size::terminal_size_of(io::stdout()).map(|(width, _)| usize::from(width.0))
}

fn budget(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(most) if most >= markdown::LEAST => Ok(most),
        _ => Err(format!("a number from {} on", markdown::LEAST)),
    }
}
