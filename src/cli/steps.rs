//! `dpu-render steps SITE…`.

use std::io::{self, IsTerminal as _};
use std::ops::ControlFlow;

use crate::render::Options;
use crate::steps::{self, print};

use super::findings::Findings;
use super::fleet::in_order;
use super::sites::{SiteArgs, Sites};
use super::{Failure, Status, deliver, say};

/// List what a person has to do beside syncing, in order, with the commands
///
/// From the first label to the clean-up. The commands are for a shell at the repository's root; secrets are asked for, never
/// shown.
#[derive(Debug, clap::Args)]
pub(super) struct StepsArgs {
    #[command(flatten)]
    sites: SiteArgs,
    /// Form of the list
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
enum Format {
    /// Numbered, commands indented
    #[default]
    Text,
    /// One JSON object per site and line
    Json,
    /// A check list
    Markdown,
}

pub(super) fn run(args: &StepsArgs) -> Result<Status, Failure> {
    let sites = Sites::find(&args.sites)?;
    let repositories = sites.repositories();
    // Requests for credentials are in between, where a person answers them.
    let options = Options { intermediate: true, ..args.sites.options() };
    let mut findings = Findings::new(&repositories, args.sites.quiet);
    let mut delivered = Ok(true);
    let mut first = true;
    let list = |index: usize| {
        let site = &sites.sites[index];
        let outcome = repositories[site.repository].render(&site.folder, &options);
        let text = outcome.site.as_ref().map(|site| {
            let phases = steps::steps(site);
            match args.format {
                Format::Text => print::text(&site.name, &phases),
                Format::Json => print::json(&site.name, &phases),
                Format::Markdown => print::markdown(&site.name, &phases),
            }
        });
        (text, outcome.diagnostics)
    };
    let take = |index: usize, (text, diagnostics): (Option<String>, _)| {
        findings.add(&sites.sites[index], diagnostics, text.is_none());
        if let Some(mut text) = text {
            if !first && !matches!(args.format, Format::Json) {
                text.insert(0, '\n');
            }
            first = false;
            delivered = deliver(text.as_bytes());
        }
        if matches!(delivered, Ok(true)) { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    };
    in_order(sites.sites.len(), args.sites.threads, list, take).map_err(Failure::Threads)?;
    let (text, _) = findings.text(args.sites.color.on(io::stderr().is_terminal()));
    say(&text);
    delivered?;
    Ok(if findings.any_refused() { Status::No } else { Status::Done })
}
