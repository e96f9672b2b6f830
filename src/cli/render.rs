//! `dpu-render [render] SITE…`.

use std::collections::BTreeSet;
use std::io::{self, IsTerminal as _};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::diagnostic::nearest;
use crate::render::{Options, Repository, Texts};

use super::findings::Findings;
use super::fleet::{Progress, in_order};
use super::sites::{SiteArgs, Sites};
use super::stream::{self, Format};
use super::tree::{self, Layout, Summary, TreeError};
use super::{Failure, Status, deliver, say};

/// Render sites: every object of every destination, to stdout or as a tree of files
///
/// A site that has an error renders nothing, the other sites are rendered. Sites come in the order of their folders.
#[derive(Debug, clap::Args)]
pub(super) struct RenderArgs {
    #[command(flatten)]
    sites: SiteArgs,
    /// Write a tree of files there instead; with several sites, a folder each
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Files of the tree [default: tree]
    #[arg(long, value_enum, requires = "output")]
    layout: Option<Layout>,
    /// Form of the stream [default: yaml]
    #[arg(long, value_enum, conflicts_with = "output")]
    format: Option<Format>,
    /// Only what goes to this destination: `management`, or a DPU cluster's name
    #[arg(long, value_name = "NAME", conflicts_with = "output")]
    destination: Option<String>,
    /// Also the objects in between, that nothing reads where they would go
    #[arg(long)]
    intermediate: bool,
    /// In operator mode, also what DPF's controllers would make
    #[arg(long)]
    expand: bool,
}

pub(super) fn run(args: &RenderArgs) -> Result<Status, Failure> {
    let sites = Sites::find(&args.sites)?;
    let run = Run {
        repositories: &sites.repositories(),
        options: Options {
            intermediate: args.intermediate,
            expand: args.expand,
            values: args.output.is_some(),
            texts: args.destination.clone().map_or_else(Texts::default, Texts::Of),
            ..args.sites.options()
        },
        sites: &sites,
        args: &args.sites,
    };
    match &args.output {
        Some(dir) => run.tree(dir, args.layout.unwrap_or_default()),
        None => run.stream(args.format.unwrap_or_default(), args.destination.as_deref()),
    }
}

struct Run<'r> {
    repositories: &'r [Repository<'r>],
    options: Options,
    sites: &'r Sites,
    args: &'r SiteArgs,
}

impl Run<'_> {
    fn stream(&self, format: Format, only: Option<&str>) -> Result<Status, Failure> {
        // Texts that were written, to be filled again.
        let spare: Mutex<Vec<String>> = Mutex::default();
        let spare = || spare.lock().unwrap_or_else(PoisonError::into_inner);
        let render = |index: usize| {
            let site = &self.sites.sites[index];
            let outcome = self.repositories[site.repository].render(&site.folder, &self.options);
            let mut text = spare().pop().unwrap_or_default();
            let mut destinations = BTreeSet::new();
            if let Some(site) = &outcome.site {
                stream::append(site, format, only, &mut text);
                if only.is_some() {
                    destinations.extend(site.destinations.iter().map(|one| one.destination.to_string()));
                }
            }
            (text, destinations, outcome.diagnostics, outcome.site.is_none())
        };
        let mut findings = Findings::new(self.repositories, self.args.quiet);
        let mut progress = Progress::of(self.sites.sites.len(), self.args.quiet, true);
        let mut delivered = Ok(true);
        let mut known = BTreeSet::new();
        let take = |index: usize, (mut text, destinations, diagnostics, refused): (String, _, _, _)| {
            findings.add(&self.sites.sites[index], diagnostics, refused);
            known.extend(destinations);
            delivered = deliver(text.as_bytes());
            text.clear();
            spare().push(text);
            progress.at(index + 1);
            if matches!(delivered, Ok(true)) { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        };
        in_order(self.sites.sites.len(), self.args.threads, render, take).map_err(Failure::Threads)?;
        drop(progress);
        let status = self.tell(&mut findings);
        delivered?;
        match only {
            Some(only) if status == Status::Done && !known.contains(only) => Err(no_destination(only, &known)),
            _ => Ok(status),
        }
    }

    fn tree(&self, dir: &Path, layout: Layout) -> Result<Status, Failure> {
        let several = self.sites.sites.len() > 1;
        if let Some(name) = self.sites.shared_name().filter(|_| several) {
            return Err(Failure::Usage(format!("two sites are named `{name}`: they would be one folder of the tree")));
        }
        if let Some(layer) = self.sites.layer_around(dir) {
            let (dir, layer) = (dir.display(), layer.display());
            return Err(Failure::Usage(format!("`{dir}` is in `{layer}`, which is input: the next run would read it")));
        }
        let render = |index: usize| {
            let site = &self.sites.sites[index];
            let outcome = self.repositories[site.repository].render(&site.folder, &self.options);
            let written = outcome.site.as_ref().map(|site| {
                if several {
                    tree::site_folder(dir, &site.name).and_then(|folder| tree::write(site, &folder, layout))
                } else {
                    tree::write(site, dir, layout)
                }
            });
            (written, outcome.diagnostics)
        };
        let mut findings = Findings::new(self.repositories, self.args.quiet);
        let mut progress = Progress::of(self.sites.sites.len(), self.args.quiet, false);
        let (mut sum, mut failures) = (Summary::default(), Vec::new());
        let take = |index: usize, (written, diagnostics): (Option<Result<Summary, TreeError>>, _)| {
            findings.add(&self.sites.sites[index], diagnostics, written.is_none());
            match written {
                Some(Ok(summary)) => sum += summary,
                Some(Err(failure)) => failures.push(format!("error: {failure}\n")),
                None => {}
            }
            progress.at(index + 1);
            ControlFlow::Continue(())
        };
        in_order(self.sites.sites.len(), self.args.threads, render, take).map_err(Failure::Threads)?;
        drop(progress);
        let status = self.tell(&mut findings);
        // What is wrong with `dir` itself is the same for every site.
        failures.dedup();
        for failure in &failures {
            say(failure);
        }
        if !self.args.quiet && sum != Summary::default() {
            say(&format!("dpu-render: {sum} in {}\n", dir.display()));
        }
        Ok(if failures.is_empty() { status } else { Status::NoAnswer })
    }

    /// Tells what was found.
    fn tell(&self, findings: &mut Findings<'_, '_>) -> Status {
        let (mut text, count) = findings.text(self.args.color.on(io::stderr().is_terminal()));
        text.push_str(&findings.render_line(count));
        say(&text);
        if findings.any_refused() { Status::No } else { Status::Done }
    }
}

/// Names those there are, and the one that was meant.
pub(super) fn no_destination(only: &str, known: &BTreeSet<String>) -> Failure {
    let help = nearest(only, known.iter().map(String::as_str)).map(|name| format!("; did you mean `{name}`?"));
    let help = help.unwrap_or_default();
    Failure::Usage(format!("no destination `{only}`; there are {}{help}", listed(known)))
}

/// The names in quotes; of very many, some.
pub(super) fn listed(names: &BTreeSet<String>) -> String {
    const SHOWN: usize = 20;
    let mut there: Vec<String> = names.iter().take(SHOWN).map(|name| format!("`{name}`")).collect();
    if names.len() > SHOWN {
        there.push(format!("{} more", names.len() - SHOWN));
    }
    there.join(", ")
}
