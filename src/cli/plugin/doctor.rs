//! EDGE: `dpu-render plugin doctor [DIR]`: what is wrong, or slow, between Argo CD and a checkout of sites, or in a sidecar.
//!
//! It reads; what it writes is one file in the work folder of the sidecar, which it takes away.

mod application;
mod check;
mod checkout;
mod container;
mod links;
mod sidecar;
mod sites;
mod tar;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::argocd::paths::{ANNOTATION, annotation, common_root};
use crate::argocd::version::Version;
use crate::cli::fs::Disk;
use crate::cli::sites::SITE_FILE;
use crate::cli::{Failure, Status, deliver, say};
use crate::site::Release;
use application::Asked;
use check::{Check, Level, few};
use checkout::{Checkout, Kind, excludes, is_git};
use sites::{Examined, examine, is_below};

/// Where cmp-server finds its `plugin.yaml` unless told otherwise.
const CONFIG_DIR: &str = "/home/argocd/cmp-server/config";

/// Examine a sidecar or a checkout, and say what to change
///
/// A checkout: the sites below DIR, the Applications they make, the paths annotation beside what is really read, links, and
/// how much Argo CD packs. A sidecar: its plugin.yaml, socket, work folder and user, seen from inside its container. Without
/// DIR it is the sidecar where there is one, else the checkout around the working folder.
///
/// Exit codes: 0 no errors; 1 errors were found; 2 no answer.
#[derive(Debug, clap::Args)]
pub(super) struct DoctorArgs {
    /// Folder whose sites are examined
    #[arg(value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Top of the repository that Argo CD checks out [default: the nearest folder with `.git`, from DIR upwards]
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// Version of Argo CD, as `v2.12` [default: what each site says, `spec.argocd.version`]
    #[arg(long, value_name = "VERSION", value_parser = version)]
    argocd: Option<Version>,
    /// A pattern that `reposerver.plugin.tar.exclusions` holds; may be repeated
    #[arg(long, value_name = "PATTERN")]
    exclude: Vec<String>,
    /// Folder of the sidecar's plugin.yaml, as cmp-server is told it; examines the sidecar
    #[arg(long, value_name = "DIR")]
    config_dir_path: Option<PathBuf>,
    /// Say nothing of what is as it has to be
    #[arg(short, long)]
    quiet: bool,
    /// Form of the answer
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
enum Format {
    /// A line per check, what to change below it
    #[default]
    Text,
    /// A JSON object per check
    Json,
}

/// One that calls plugins as ours is.
fn version(text: &str) -> Result<Version, String> {
    let wrong = || "a version of Argo CD is written as `v2.12` or `v3.2.1`".to_owned();
    let version = Version::parse(text).ok_or_else(wrong)?;
    match version.has_sidecars() {
        true => Ok(version),
        false => Err(format!("Argo CD {version} calls no plugins in sidecars as ours is; v2.8 does")),
    }
}

pub(super) fn run(args: &DoctorArgs) -> Result<Status, Failure> {
    let config = args.config_dir_path.clone().unwrap_or_else(|| CONFIG_DIR.into());
    let in_sidecar = args.config_dir_path.is_some() || args.dir.is_none() && config.join(container::FILE).is_file();
    let mut checks = Vec::new();
    if in_sidecar {
        checks.extend(sidecar::checks(&container::look(&config)));
    }
    if args.dir.is_some() || !in_sidecar {
        checks.extend(checkout(args)?);
    }
    let count = check::count(&checks);
    if args.quiet {
        checks.retain(|check| check.level != Level::Ok);
    }
    let product = match args.format {
        Format::Text => check::text(&checks),
        Format::Json => check::json(&checks),
    };
    deliver(product.as_bytes())?;
    if !args.quiet {
        say(&format!("dpu-render: {count}\n"));
    }
    Ok(if checks.iter().any(|check| check.level == Level::Error) { Status::No } else { Status::Done })
}

fn checkout(args: &DoctorArgs) -> Result<Vec<Check>, Failure> {
    let dir = args.dir.clone().unwrap_or_else(|| ".".into());
    let failed = |action, path: &Path| {
        let path = path.to_owned();
        move |source| Failure::File { action, path, source }
    };
    let real = fs::canonicalize(&dir).map_err(failed("open", &dir))?;
    let root = match &args.root {
        Some(root) => root.clone(),
        None => match real.ancestors().find(|above| fs::symlink_metadata(above.join(".git")).is_ok()) {
            Some(root) => root.to_owned(),
            None => {
                let why = "neither it nor a folder above it has a `.git`; `--root DIR` names the top of the repository";
                return Err(Failure::Usage(format!("`{}` is no checkout: {why}", dir.display())));
            }
        },
    };
    let disk = Disk::open(&root).map_err(failed("open", &root))?;
    let Some(below) = real.strip_prefix(disk.root()).ok().and_then(Path::to_str) else {
        let (dir, root) = (dir.display(), root.display());
        return Err(Failure::Usage(format!("`{dir}` is not below the root `{root}`, or its path is no text")));
    };
    let checkout = Checkout::walk(disk.root()).map_err(failed("read", &root))?;
    let folders = site_folders(&checkout, below);
    let mut doctor = Doctor { args, disk: &disk, checkout, sites: BTreeMap::new(), checks: Vec::new() };
    if folders.is_empty() {
        let message = format!("no folder here holds a `{SITE_FILE}`");
        doctor.checks.push(Check::error("site", if below.is_empty() { "." } else { below }, message));
    }
    for folder in &folders {
        doctor.site(folder);
    }
    doctor.links();
    doctor.exclusions();
    doctor.sizes(&folders).map_err(failed("read", &root))?;
    Ok(doctor.checks)
}

/// Folders below `dir` with a `site.yaml`; what is hidden is no site.
fn site_folders(checkout: &Checkout, dir: &str) -> BTreeSet<String> {
    let hidden = |path: &str| path.split('/').any(|name| name.starts_with(['.', '_']));
    let sites = checkout.entries.iter().filter_map(|entry| {
        let folder = entry.path.strip_suffix(SITE_FILE)?.strip_suffix('/')?;
        let inside = folder.strip_prefix(dir).unwrap_or(folder);
        (is_below(folder, dir) && !hidden(inside) && entry.kind != Kind::Folder).then(|| folder.to_owned())
    });
    sites.collect()
}

struct Doctor<'d> {
    args: &'d DoctorArgs,
    disk: &'d Disk,
    checkout: Checkout,
    /// Sites that were rendered, by folder.
    sites: BTreeMap<String, Result<Examined, String>>,
    checks: Vec<Check>,
}

impl Doctor<'_> {
    /// A site, the Applications that Argo CD needs for it, and those that it makes itself.
    fn site(&mut self, folder: &str) {
        let disk = self.disk;
        let applications = match self.sites.entry(folder.to_owned()).or_insert_with(|| examine(disk, folder)) {
            Err(error) => {
                let fix = format!(
                    "dpu-render validate {folder}; layers are named from the top of the repository, for Argo CD too"
                );
                self.checks.push(Check::error("site", folder, format!("Argo CD cannot render it: {error}")).fix(fix));
                return;
            }
            Ok(site) => {
                let (files, folders) = (site.files.len(), site.folders.len());
                let number = |count, noun| format!("{count} {noun}{}", if count == 1 { "" } else { "s" });
                let (files, folders) = (number(files, "file"), number(folders, "folder"));
                self.checks.push(Check::ok("site", folder, format!("rendered of {files} in {folders}")));
                self.checks.extend(tar::output(folder, &site.destinations));
                let value = annotation(folder, site.folders.iter().map(String::as_str));
                self.checks.push(Check::ok("paths", folder, format!("{ANNOTATION}: {value}")));
                let asked = site.applications.iter().flat_map(|(to, node)| Asked::of(folder, to, node));
                asked.map(|asked| (asked, site.repo_url.clone())).collect::<Vec<_>>()
            }
        };
        self.overrides(folder);
        for (asked, repo_url) in applications {
            let checks = self.application(&asked, repo_url.as_deref());
            self.checks.extend(checks);
        }
    }

    fn application(&mut self, asked: &Asked, repo_url: Option<&str>) -> Vec<Check> {
        const NAME: &str = "application";
        let mut checks = asked.alone();
        let disk = self.disk;
        match asked.site().filter(|_| asked.is_here(repo_url)) {
            None if checks.is_empty() => {
                checks.push(Check::ok(NAME, &asked.about, "what it renders cannot be told from here"));
            }
            None => {}
            Some(site) => match self.sites.entry(site.to_owned()).or_insert_with(|| examine(disk, site)) {
                Ok(examined) => return asked.with_site(examined, self.args.argocd.unwrap_or(examined.version)),
                Err(error) => {
                    checks.push(Check::error(NAME, &asked.about, format!("`{site}` cannot be rendered: {error}")))
                }
            },
        }
        checks
    }

    /// Files of Argo CD's own that change what an Application says.
    fn overrides(&mut self, folder: &str) {
        let is_override = |path: &str| {
            path.strip_prefix(folder)
                .and_then(|rest| rest.strip_prefix("/.argocd-source"))
                .is_some_and(|rest| !rest.contains('/') && rest.ends_with(".yaml"))
        };
        let files = self.checkout.entries.iter().filter(|entry| is_override(&entry.path));
        let files: Vec<&str> = files.map(|entry| entry.path.as_str()).collect();
        if !files.is_empty() {
            let message =
                format!("Argo CD merges {} over its Applications, parameters of the plugin included", few(files));
            self.checks.push(Check::warning("site", folder, message).fix("set parameters in the Application alone"));
        }
    }

    fn examined(&self) -> impl Iterator<Item = (&String, &Examined)> {
        self.sites.iter().filter_map(|(folder, site)| Some((folder, site.as_ref().ok()?)))
    }

    /// What was told, else the oldest that a site says.
    fn version(&self) -> Version {
        let said = self.examined().map(|(_, site)| site.version).min();
        self.args.argocd.or(said).unwrap_or(Version::of_release(Release::V24_10))
    }

    /// What narrowing leaves for each site, and the sites it leaves it for.
    fn roots(&self) -> BTreeMap<String, Vec<String>> {
        let mut roots: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (folder, site) in self.examined() {
            let root = common_root(folder, &annotation(folder, site.folders.iter().map(String::as_str)));
            roots.entry(root).or_default().push(folder.clone());
        }
        roots
    }

    fn links(&mut self) {
        let roots = self.roots().into_keys().collect();
        let read = self.examined().flat_map(|(_, site)| site.folders.iter().cloned()).collect();
        let checks = links::checks(&self.checkout, &roots, &read, self.version());
        self.checks.extend(checks);
    }

    /// Patterns that are said to be set, beside what is read: they are matched from the top of what is packed.
    fn exclusions(&mut self) {
        for pattern in &self.args.exclude {
            let lost = self.excluded_by(pattern);
            if !lost.is_empty() {
                let files = few(lost.iter().map(String::as_str));
                let message = format!("it leaves out {files}, which sites are made of");
                self.checks
                    .push(Check::error("exclusions", pattern, message).fix("name the folders that no site reads"));
            }
        }
    }

    fn excluded_by(&self, pattern: &str) -> BTreeSet<String> {
        let mut tops: BTreeSet<String> = self.roots().into_keys().filter(|_| self.version().narrows()).collect();
        tops.insert(String::new());
        let lost = |file: &str| {
            tops.iter().filter(|top| is_below(file, top)).any(|top| {
                let inside = file.strip_prefix(&**top).unwrap_or_default();
                excludes(pattern, inside.trim_start_matches('/'))
            })
        };
        let files = self.examined().flat_map(|(_, site)| &site.files);
        files.filter(|file| lost(file)).cloned().collect()
    }

    fn sizes(&mut self, folders: &BTreeSet<String>) -> std::io::Result<()> {
        let excluded = self.args.exclude.clone();
        let git = |path: &str| is_git(path) && !excluded.iter().any(|pattern| excludes(pattern, path));
        let has_git = self.checkout.entries.iter().any(|entry| git(&entry.path));
        let without = |more: &[String]| {
            let git = has_git.then(|| ".git".to_owned());
            excluded.iter().cloned().chain(git).chain(more.iter().cloned()).collect::<Vec<String>>()
        };
        let foreign = self.foreign();
        let whole = self.checkout.packed("", &excluded)?;
        let without_git = if has_git { Some(self.checkout.packed("", &without(&[]))?) } else { None };
        let mut narrowed = Vec::new();
        for (root, sites) in self.roots() {
            let bytes = match root.is_empty() {
                true => without_git.unwrap_or(whole),
                false => self.checkout.packed(&root, &excluded)?,
            };
            narrowed.push((root, sites.into_iter().filter(|site| folders.contains(site)).collect(), bytes));
        }
        let without_foreign = self.checkout.packed("", &without(&foreign))?;
        let is_file = |entry: &checkout::Entry| entry.path == ".git" && entry.kind != Kind::Folder;
        let history_elsewhere = self.checkout.entries.iter().any(is_file);
        let sizes = tar::Sizes { history_elsewhere, whole, without_git, without_foreign, foreign, narrowed, excluded };
        self.checks.extend(tar::checks(&sizes, self.version()));
        Ok(())
    }

    /// Names at the top that hold much and of which nothing is read, the largest first, as far as a pattern can say them.
    fn foreign(&self) -> Vec<String> {
        const LITTLE: u64 = 64 << 10;
        let mut held: BTreeMap<&str, u64> = BTreeMap::new();
        for entry in self.checkout.entries.iter().filter(|entry| !is_git(&entry.path)) {
            let top = entry.path.split('/').next().unwrap_or_default();
            if let Kind::File(size) = entry.kind {
                *held.entry(top).or_default() += size;
            }
        }
        let mut foreign: Vec<(u64, &str)> = held.into_iter().map(|(top, size)| (size, top)).collect();
        let left = |pattern: &str| self.args.exclude.iter().any(|excluded| excludes(excluded, pattern));
        foreign.retain(|(size, top)| {
            *size > LITTLE
                && !top.contains(['*', '?', '[', '\\', ';'])
                && !left(top)
                && self.excluded_by(top).is_empty()
        });
        foreign.sort_unstable_by(|one, other| other.cmp(one));
        foreign.into_iter().map(|(_, top)| top.to_owned()).collect()
    }
}
