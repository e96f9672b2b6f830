//! EDGE: `dpu-render argocd SITE…`.

use std::fs;
use std::io::{self, IsTerminal as _};
use std::ops::ControlFlow;
use std::path::Path;

use serde_json::Value;

use crate::argocd::applications::node;
use crate::argocd::bootstrap::{self, Member};
use crate::argocd::project::Projects;
use crate::argocd::{edit, expect, values_ref};
use crate::diagnostic::Diagnostic;
use crate::render::object::ObjectId;
use crate::render::{Options, RenderedSite, Texts};
use crate::yaml::write;

use super::findings::Findings;
use super::fleet::in_order;
use super::sites::{SiteArgs, Sites, cannot};
use super::tree::escape;
use super::{Failure, Status, deliver, say};

/// Print what a person applies once so that Argo CD syncs sites: an AppProject and an Application each
///
/// Pipe it to `kubectl apply --server-side --filename=-`. Of the sites of one project, name all. Where a site has an error,
/// nothing is printed.
#[derive(Debug, clap::Args)]
pub(super) struct ArgocdArgs {
    #[command(flatten)]
    sites: SiteArgs,
    /// Form of the objects
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// One ApplicationSet in place of the sites' own Applications
    #[arg(long, conflicts_with = "values_ref")]
    applicationset: bool,
    /// Applications of the tree that `dpu-render SITE… -o DIR` writes, committed as DIR (from the repository's root), in place
    /// of the plugin's; charts take their values from it
    #[arg(long, value_name = "DIR", value_parser = folder)]
    values_ref: Option<String>,
    /// Write into each `site.yaml` that it expects as many objects of each kind as there are now; print nothing
    #[arg(long, conflicts_with_all = ["applicationset", "values_ref", "format", "set"])]
    expect: bool,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, clap::ValueEnum)]
enum Format {
    /// Documents, each opened by `---`
    #[default]
    Yaml,
    /// One object per line
    Json,
}

/// A folder of the repository.
fn folder(text: &str) -> Result<String, String> {
    let parts: Vec<&str> = text.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    if text.starts_with('/') || parts.is_empty() || parts.contains(&"..") {
        return Err("a folder below the repository's root is named from there, as `rendered/lab1`".to_owned());
    }
    Ok(parts.join("/"))
}

pub(super) fn run(args: &ArgocdArgs) -> Result<Status, Failure> {
    let sites = Sites::find(&args.sites)?;
    if args.expect { expectations(args, &sites) } else { objects(args, &sites) }
}

/// Renders the sites and hands each over; then tells what was found. The status is that of what was found.
fn each(
    args: &ArgocdArgs,
    sites: &Sites,
    options: &Options,
    check: impl Fn(&RenderedSite) -> Option<Diagnostic> + Sync,
    mut take: impl FnMut(usize, RenderedSite),
) -> Result<Status, Failure> {
    let repositories = sites.repositories();
    let mut findings = Findings::new(&repositories, args.sites.quiet);
    let render = |index: usize| {
        let site = &sites.sites[index];
        let mut outcome = repositories[site.repository].render(&site.folder, options);
        if let Some(fault) = outcome.site.as_ref().and_then(&check) {
            outcome.diagnostics.push(fault);
            outcome.site = None;
        }
        outcome
    };
    let taken = |index: usize, outcome: crate::render::Outcome| {
        findings.add(&sites.sites[index], outcome.diagnostics, outcome.site.is_none());
        if let Some(site) = outcome.site {
            take(index, site);
        }
        ControlFlow::Continue(())
    };
    in_order(sites.sites.len(), args.sites.threads, render, taken).map_err(Failure::Threads)?;
    let (text, count) = findings.text(args.sites.color.on(io::stderr().is_terminal()));
    say(&text);
    say(&findings.render_line(count));
    Ok(if findings.any_refused() { Status::No } else { Status::Done })
}

fn objects(args: &ArgocdArgs, sites: &Sites) -> Result<Status, Failure> {
    let several = sites.sites.len() > 1;
    let (mut projects, mut members, mut made, mut refused) = (Projects::default(), Vec::new(), Vec::new(), Ok(()));
    let options = Options { values: args.values_ref.is_some(), texts: Texts::All, ..args.sites.options() };
    let check = |rendered: &RenderedSite| {
        rendered.site.argocd.repo_url.is_none().then(|| bootstrap::without_repository(&rendered.site))
    };
    let status = each(args, sites, &options, check, |_, rendered| {
        let Some(dir) = &args.values_ref else {
            projects.add(&rendered, |_| false);
            return members.push(Member::of(rendered));
        };
        let below = if several { format!("{dir}/{}", escape(&rendered.name)) } else { dir.clone() };
        projects.add(&rendered, values_ref::left_out);
        match values_ref::applications(&rendered, &below, escape) {
            Ok(applications) => {
                let applications = applications.unwrap_or_default();
                for url in values_ref::repositories(&rendered, &applications) {
                    projects.allow_repository(&rendered, &url);
                }
                made.extend(applications);
            }
            Err(message) => refused = Err(Failure::Usage(message)),
        }
    })?;
    refused?;
    if status != Status::Done {
        if several {
            say("dpu-render: no site is printed: the objects of some would take away what others have\n");
        }
        return Ok(status);
    }
    if args.applicationset {
        if let Some(name) = sites.shared_name() {
            return Err(Failure::Usage(format!("two sites are named `{name}`, as their Applications would be")));
        }
        made.extend(bootstrap::application_set(&members).map_err(Failure::Usage)?);
    } else {
        made.extend(members.iter().filter_map(Member::root));
    }
    made.extend(members.iter().flat_map(Member::beside).cloned());
    let objects: Vec<Value> = projects.objects().chain(made).collect();
    deliver(text(&objects, args.format).as_bytes())?;
    Ok(Status::Done)
}

fn text(objects: &[Value], format: Format) -> String {
    let mut out = String::new();
    for object in objects {
        let node = node(object);
        match format {
            Format::Yaml => {
                out.push_str("---\n");
                write::yaml(&node, &mut out);
            }
            Format::Json => {
                write::json(&node, &mut out);
                out.push('\n');
            }
        }
    }
    out
}

fn expectations(args: &ArgocdArgs, sites: &Sites) -> Result<Status, Failure> {
    let options = Options { any_count: true, ..args.sites.options() };
    let mut counts = Vec::new();
    let status = each(
        args,
        sites,
        &options,
        |_| None,
        |index, rendered| {
            let destinations = rendered.destinations.iter().map(|one| {
                let ids: Vec<&ObjectId> = one.objects.iter().map(|object| &*object.id).collect();
                (one.destination.to_string(), ids)
            });
            counts.push((index, expect::counted(destinations)));
        },
    )?;
    let mut printed = false;
    for (index, count) in counts {
        let site = &sites.sites[index];
        let path = sites.file(site)?;
        let old = read(&path)?;
        let shown = format!("{}/{}", site.folder, super::sites::SITE_FILE);
        match edit::with_expect(&old, &count) {
            Some(new) if new == old => tell(args, &format!("{shown} says what there is")),
            Some(new) => {
                replace(&path, &new)?;
                tell(args, &format!("{shown} says what there is now"));
            }
            None => {
                say(&format!("error: `spec` of {shown} is not written a key a line: paste these lines there\n"));
                deliver(edit::lines_to_paste(&count).as_bytes())?;
                printed = true;
            }
        }
    }
    Ok(if printed { Status::No } else { status })
}

fn tell(args: &ArgocdArgs, text: &str) {
    if !args.sites.quiet {
        say(&format!("dpu-render: {text}\n"));
    }
}

#[expect(clippy::disallowed_methods, reason = "the file that is edited")]
fn read(path: &Path) -> Result<String, Failure> {
    fs::read_to_string(path).map_err(cannot("read", path))
}

/// Replaces a file whole, its permissions kept: nobody ever sees half of it.
#[expect(clippy::disallowed_methods, reason = "the file that is edited")]
fn replace(path: &Path, text: &str) -> Result<(), Failure> {
    let temporary = path.with_file_name(".site.yaml.dpu-render");
    let written = fs::metadata(path).and_then(|metadata| {
        fs::write(&temporary, text)?;
        fs::set_permissions(&temporary, metadata.permissions())?;
        fs::rename(&temporary, path)
    });
    written.map_err(|error| {
        let _ = fs::remove_file(&temporary);
        cannot("write", path)(error)
    })
}
