//! `dpu-render diff [SITE…]`.

mod gates;
mod git;
mod revision;
mod sides;

use std::io::{self, IsTerminal as _};
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::path::PathBuf;

use crate::diagnostic::{Diagnostic, Severity};
use crate::diff::collapse::Collapse;
use crate::diff::impact::gate::Gated;
use crate::diff::report::{Report, Side, Unanswered, json, markdown, text};
use crate::diff::rollout::{self, Rollout};
use crate::diff::{self, Memo, SiteDiff};
use crate::render::{Options, RenderedSite, Repository, Texts};

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
#[command(verbatim_doc_comment)]
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
    /// Folder that the layers are named from [default: the nearest above the sites that holds every layer they name]
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// Form of the report
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Most characters of the Markdown; what is left out is named
    #[arg(long, value_name = "N", default_value_t = 60_000)]
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

/// What became of a site.
struct Compared {
    diff: Option<(SiteDiff, Aftermath)>,
    /// A site that one side lacks: perhaps it is another's under another name.
    alone: Option<(Side, Box<RenderedSite>)>,
    /// Errors of either side, where it was refused.
    base: Option<Vec<Diagnostic>>,
    head: Option<Vec<Diagnostic>>,
}

/// What a site's changes ask for.
struct Aftermath {
    gated: Gated,
    rollouts: Vec<Rollout>,
}

impl Aftermath {
    fn of(diff: &SiteDiff, base: Option<&RenderedSite>, head: Option<&RenderedSite>, guard: &Guard) -> Self {
        Self { gated: guard.ask(diff, base, head), rollouts: rollout::of(diff, head) }
    }
}

pub(super) fn run(args: &DiffArgs) -> Result<Status, Failure> {
    let sides = Sides::find(args)?;
    let (base, head) = Repository::pair(&sides.base, &sides.head);
    let sites = if args.all { sides.sites.clone() } else { sides.affected(&base, &head) };
    let folders: Vec<&String> = sites.iter().collect();
    let repositories = [base, head];
    let options = Options { set: args.set.clone(), texts: Texts::Unwritten, ..Options::default() };
    let memo = Memo::default();
    let guard = Guard::new(&args.fail_on);
    let compare = |index: usize| {
        let folder = folders[index].as_str();
        let render = |side: usize, there: bool| there.then(|| repositories[side].render(folder, &options));
        let before = render(0, is_site(&sides.base, folder));
        let after = render(1, is_site(&sides.head, folder));
        compare(before, after, &memo, &guard)
    };
    let mut findings = Findings::new(&repositories[1..], true);
    let mut collapse = Collapse::new(repositories[1].tree());
    let mut without_answer = Vec::new();
    let mut alone = (Vec::new(), Vec::new());
    let mut aftermaths = Vec::new();
    let mut progress = Progress::of(folders.len(), args.quiet, true);
    let take = |index: usize, compared: Compared| {
        let folder = folders[index];
        let errors = |found: &[Diagnostic]| found.iter().filter(|fault| fault.severity == Severity::Error).count();
        if let Some(found) = &compared.base
            && compared.head.is_none()
        {
            without_answer.push(Unanswered { site: folder.clone(), side: Side::Base, errors: errors(found) });
        }
        if let Some(found) = compared.head {
            without_answer.push(Unanswered { site: folder.clone(), side: Side::Head, errors: errors(&found) });
            let site = SiteRef { repository: 0, folder: folder.clone(), name: None, layers: Vec::new() };
            findings.add(&site, found, true);
        }
        match compared.alone {
            Some((Side::Base, site)) => alone.0.push(site),
            Some((Side::Head, site)) => alone.1.push(site),
            None => {}
        }
        if let Some((diff, aftermath)) = compared.diff {
            aftermaths.push((diff.site.to_string(), aftermath));
            collapse.add(diff);
        }
        progress.at(index + 1);
        ControlFlow::Continue(())
    };
    in_order(folders.len(), args.threads, compare, take).map_err(Failure::Threads)?;
    drop(progress);
    for (before, after) in diff::pair::sites(alone.0, alone.1) {
        let diff = diff::site(before.as_deref(), after.as_deref(), &memo);
        let aftermath = Aftermath::of(&diff, before.as_deref(), after.as_deref(), &guard);
        aftermaths.push((diff.site.to_string(), aftermath));
        collapse.add(diff);
    }
    let mut guard = guard;
    let mut rollouts = Vec::new();
    for (site, mut aftermath) in aftermaths {
        guard.keep(&site, aftermath.gated);
        rollouts.append(&mut aftermath.rollouts);
    }
    let [base, head] = sides.names.clone();
    let unaffected = sides.sites.len() - sites.len();
    let report = Report { base, head, sites: sites.len(), unaffected, without_answer, ..collapse.report() };
    let report = Report { rollouts: rollout::told(&rollouts), held: guard.held().to_vec(), ..report };
    print(args, &report, &mut findings, &guard)
}

fn compare(
    before: Option<crate::render::Outcome>,
    after: Option<crate::render::Outcome>,
    memo: &Memo,
    guard: &Guard,
) -> Compared {
    let mut compared = Compared { diff: None, alone: None, base: None, head: None };
    let refused = |outcome: &Option<crate::render::Outcome>| outcome.as_ref().is_some_and(|one| one.site.is_none());
    if refused(&before) || refused(&after) {
        let faults = |outcome: Option<crate::render::Outcome>| {
            outcome.filter(|one| one.site.is_none()).map(|one| one.diagnostics)
        };
        (compared.base, compared.head) = (faults(before), faults(after));
        return compared;
    }
    let site = |outcome: Option<crate::render::Outcome>| outcome.and_then(|one| one.site);
    match (site(before), site(after)) {
        (Some(before), None) => compared.alone = Some((Side::Base, Box::new(before))),
        (None, Some(after)) => compared.alone = Some((Side::Head, Box::new(after))),
        (before, after) => {
            let diff = diff::site(before.as_ref(), after.as_ref(), memo);
            let aftermath = Aftermath::of(&diff, before.as_ref(), after.as_ref(), guard);
            compared.diff = Some((diff, aftermath));
        }
    }
    compared
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

/// How wide the terminal is, where that is known.
fn width() -> Option<usize> {
    None
}
