//! `dpu-render validate SITE…`.

use std::io::{self, IsTerminal as _};
use std::ops::ControlFlow;

use super::findings::Findings;
use super::fleet::{Progress, in_order};
use super::sites::{SiteArgs, Sites};
use super::{Failure, Status, deliver, say};
use crate::render::{Options, Texts};

/// Check every rule on whole sites and tell every finding
///
/// Findings go to stdout, the count to stderr. A site with errors is invalid (exit code 1); warnings count only with
/// `--strict`.
#[derive(Debug, clap::Args)]
pub(super) struct ValidateArgs {
    #[command(flatten)]
    sites: SiteArgs,
    /// Form of the findings
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Warnings make a site invalid too
    #[arg(long)]
    strict: bool,
}

#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
enum Format {
    /// For people, with the lines they are about
    #[default]
    Text,
    /// One JSON object per line
    Json,
}

pub(super) fn run(args: &ValidateArgs) -> Result<Status, Failure> {
    let sites = Sites::find(&args.sites)?;
    let repositories = sites.repositories();
    let options = Options { texts: Texts::None, ..args.sites.options() };
    let mut findings = Findings::new(&repositories, args.sites.quiet && !args.strict);
    let mut progress = Progress::of(sites.sites.len(), args.sites.quiet, false);
    let check = |index: usize| {
        let site = &sites.sites[index];
        let outcome = repositories[site.repository].render(&site.folder, &options);
        (outcome.diagnostics, outcome.site.is_none())
    };
    let take = |index: usize, (diagnostics, refused)| {
        findings.add(&sites.sites[index], diagnostics, refused);
        progress.at(index + 1);
        ControlFlow::Continue(())
    };
    in_order(sites.sites.len(), args.sites.threads, check, take).map_err(Failure::Threads)?;
    drop(progress);
    let (text, count) = match args.format {
        Format::Text => findings.text(args.sites.color.on(io::stdout().is_terminal())),
        Format::Json => findings.json(),
    };
    deliver(text.as_bytes())?;
    if !args.sites.quiet {
        say(&findings.validate_line(count));
    }
    let valid = !findings.any_refused() && count.errors == 0 && !(args.strict && count.warnings > 0);
    Ok(if valid { Status::Done } else { Status::No })
}
