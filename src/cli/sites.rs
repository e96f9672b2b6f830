//! EDGE: the sites that a command line names, and the root of the repository of each.
//!
//! The root is `--root`, else the nearest folder above the site that holds every layer it names. The working folder decides
//! nothing but how relative arguments are read.
#![expect(clippy::disallowed_methods, reason = "arguments are paths from the working folder")]

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use crate::diagnostic::nearest;
use crate::node::Node;
use crate::render::{Options, Repository};
use crate::source::{FileError, SourceTree};
use crate::yaml::read;

use super::Failure;
use super::fs::Disk;

/// The file that makes a folder a site.
pub(super) const SITE_FILE: &str = "site.yaml";

/// Which sites, and how to read them; the same for every verb.
#[derive(Debug, clap::Args)]
pub(super) struct SiteArgs {
    /// Folders of the sites, or their `site.yaml`
    #[arg(required = true, value_name = "SITE")]
    pub(super) sites: Vec<PathBuf>,
    /// Folder that the layers are named from [default: the nearest above the site that holds every layer it names]
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// Set a variable over all scopes; may be repeated
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = assignment)]
    set: Vec<(String, String)>,
    /// Sites that are worked on at the same time [default: the number of processors]
    #[arg(long, value_name = "N")]
    pub(super) threads: Option<NonZeroUsize>,
    /// Colour of messages
    #[arg(long, value_name = "WHEN", value_enum, default_value_t)]
    pub(super) color: Color,
    /// Say nothing but errors
    #[arg(short, long)]
    pub(super) quiet: bool,
}

/// When messages have colour.
#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
pub(super) enum Color {
    /// On a terminal, unless `NO_COLOR` is set
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

impl Color {
    /// Whether a stream has colour that is a terminal or is not.
    pub(super) fn on(self, terminal: bool) -> bool {
        match self {
            Self::Auto => terminal && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
            Self::Always => true,
            Self::Never => false,
        }
    }
}

impl SiteArgs {
    /// What goes to [`Repository::render`].
    pub(super) fn options(&self) -> Options {
        Options { set: self.set.clone(), ..Options::default() }
    }
}

pub(super) fn assignment(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("a variable is set as `name=value`".to_owned()),
    }
}

/// The sites of a command line.
pub(super) struct Sites {
    /// One per root.
    disks: Vec<Disk>,
    /// By root and folder; each once.
    pub(super) sites: Vec<SiteRef>,
}

/// A site by its place.
pub(super) struct SiteRef {
    /// Index of its repository.
    pub(super) repository: usize,
    /// Its folder from the root.
    pub(super) folder: String,
    /// `metadata.name` as far as it can be read without rendering.
    pub(super) name: Option<String>,
    /// Folders that it is made of.
    pub(super) layers: Vec<PathBuf>,
}

impl Sites {
    /// Finds every site and its root.
    pub(super) fn find(args: &SiteArgs) -> Result<Self, Failure> {
        let root = args.root.as_deref().map(|root| Disk::open(root).map_err(cannot("open", root))).transpose()?;
        let mut found: BTreeMap<PathBuf, BTreeMap<String, Found>> = BTreeMap::new();
        for argument in &args.sites {
            let folder = site_folder(argument)?;
            let site = Found::read(argument, &folder);
            let root = match &root {
                Some(root) => root.root().to_owned(),
                None => site.root(&folder, argument)?,
            };
            let below = folder.strip_prefix(&root).ok().and_then(Path::to_str);
            let Some(below) = below.filter(|below| !below.is_empty()) else {
                let (site, root) = (argument.display(), root.display());
                return Err(Failure::Usage(format!("`{site}` is not below the root `{root}`, or its path is no text")));
            };
            found.entry(root).or_default().insert(below.to_owned(), site);
        }
        let mut sites = Self { disks: Vec::new(), sites: Vec::new() };
        for (root, folders) in found {
            for (folder, site) in folders {
                let mut layers: Vec<PathBuf> = site.layers.iter().map(|(layer, _)| root.join(layer)).collect();
                layers.push(root.join(&folder));
                let repository = sites.disks.len();
                sites.sites.push(SiteRef { repository, folder, name: site.name, layers });
            }
            sites.disks.push(Disk::open(&root).map_err(cannot("open", &root))?);
        }
        Ok(sites)
    }

    /// One repository per root.
    pub(super) fn repositories(&self) -> Vec<Repository<'_>> {
        self.disks.iter().map(|disk| Repository::new(disk)).collect()
    }

    /// The `site.yaml` of a site, links on the way followed.
    pub(super) fn file(&self, site: &SiteRef) -> Result<PathBuf, Failure> {
        let path = self.disks[site.repository].root().join(&site.folder).join(SITE_FILE);
        fs::canonicalize(&path).map_err(cannot("open", &path))
    }

    /// The name that two of the sites share, if any do.
    pub(super) fn shared_name(&self) -> Option<&str> {
        let mut names = BTreeSet::new();
        self.sites.iter().filter_map(|site| site.name.as_deref()).find(|name| !names.insert(*name))
    }

    /// The folder that is input and that `dir`, which may not be there yet, lies in.
    pub(super) fn layer_around(&self, dir: &Path) -> Option<&Path> {
        let absolute = std::path::absolute(dir).ok()?;
        let real = absolute.ancestors().find_map(|there| {
            let below = absolute.strip_prefix(there).ok()?;
            Some(fs::canonicalize(there).ok()?.join(below))
        })?;
        // What is hidden is not read.
        let reads = |layer: &Path| {
            let hidden = |part: &std::ffi::OsStr| matches!(part.as_encoded_bytes().first(), Some(b'.' | b'_'));
            real.strip_prefix(layer).is_ok_and(|below| !below.iter().any(hidden))
        };
        self.sites.iter().flat_map(|site| &site.layers).map(PathBuf::as_path).find(|layer| reads(layer))
    }
}

pub(super) fn cannot<'p>(action: &'static str, path: &'p Path) -> impl FnOnce(std::io::Error) -> Failure + use<'p> {
    move |source| Failure::File { action, path: path.to_owned(), source }
}

/// The root of the repository of the site that `argument` names, and the site's folder from there.
pub(super) fn locate(argument: &Path, root: Option<&Path>) -> Result<(PathBuf, String), Failure> {
    let folder = site_folder(argument)?;
    let root = match root {
        Some(root) => fs::canonicalize(root).map_err(cannot("open", root))?,
        None => Found::read(argument, &folder).root(&folder, argument)?,
    };
    match folder.strip_prefix(&root).ok().and_then(Path::to_str).filter(|below| !below.is_empty()) {
        Some(below) => Ok((root.clone(), below.to_owned())),
        None => {
            let (site, root) = (argument.display(), root.display());
            Err(Failure::Usage(format!("`{site}` is not below the root `{root}`, or its path is no text")))
        }
    }
}

/// The folder that an argument names, without links.
fn site_folder(argument: &Path) -> Result<PathBuf, Failure> {
    let shown = argument.display();
    let Ok(real) = fs::canonicalize(argument) else {
        let verbs = ["render", "validate", "diff", "steps", "argocd", "plugin", "completions"];
        let meant = argument.to_str().and_then(|word| nearest(word, verbs));
        let help = meant.map(|verb| format!("; did you mean the verb `{verb}`?")).unwrap_or_default();
        return Err(Failure::Usage(format!("no such site: `{shown}`{help}")));
    };
    if real.is_dir() {
        if fs::symlink_metadata(real.join(SITE_FILE)).is_ok() {
            return Ok(real);
        }
        let held = |entry: std::io::Result<fs::DirEntry>| {
            let entry = entry.ok()?;
            entry.path().join(SITE_FILE).is_file().then(|| entry.file_name().display().to_string())
        };
        let below: BTreeSet<String> = fs::read_dir(&real).into_iter().flatten().filter_map(held).collect();
        let help = below.first().map(|first| format!("; there is one in `{}`", argument.join(first).display()));
        return Err(Failure::Usage(format!("`{shown}` holds no `{SITE_FILE}`{}", help.unwrap_or_default())));
    }
    if argument.file_name().is_none_or(|name| name != SITE_FILE) {
        return Err(Failure::Usage(format!("`{shown}` is neither a folder nor a `{SITE_FILE}`")));
    }
    // Of the argument, not of what it may link to.
    let folder = Path::new(".").join(argument.parent().unwrap_or(argument));
    fs::canonicalize(&folder).map_err(cannot("open", &folder))
}

/// What a `site.yaml` says before anything is rendered. Faults in it are the renderer's to tell.
#[derive(Default)]
struct Found {
    name: Option<String>,
    /// Layers from the root, and where each is written.
    layers: Vec<(String, String)>,
    /// The most `..` that a relative layer begins with.
    above: usize,
    /// Whether there is a `Site` in it.
    read: bool,
}

impl Found {
    fn read(argument: &Path, folder: &Path) -> Self {
        Self::try_read(argument, folder).unwrap_or_default()
    }

    fn try_read(argument: &Path, folder: &Path) -> Result<Self, FileError> {
        let disk = Disk::open(folder).map_err(|error| FileError::Io(error.to_string()))?;
        let files = SourceTree::new(&disk);
        // A link to a file elsewhere is left to the renderer, which knows the root.
        let (id, source) = files.load(SITE_FILE)?;
        let documents = read::documents(&source, id, &mut Vec::new());
        let Some(site) = documents.iter().find(|document| document.text(&["kind"]) == Some("Site")) else {
            return Err(FileError::NotFound);
        };
        let mut found =
            Self { name: site.text(&["metadata", "name"]).map(str::to_owned), read: true, ..Self::default() };
        let shown = if argument.ends_with(SITE_FILE) { argument.to_owned() } else { argument.join(SITE_FILE) };
        for layer in site.items(&["spec", "layers"]) {
            let Some(path) = layer.as_str().filter(|path| !path.starts_with('/')) else { continue };
            let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
            if parts.first().is_some_and(|first| matches!(*first, "." | "..")) {
                found.above = found.above.max(parts.iter().filter(|part| **part == "..").count());
            } else if !parts.is_empty() && !parts.iter().any(|part| matches!(*part, "." | "..")) {
                found.layers.push((parts.join("/"), place(&files, layer, &shown)));
            }
        }
        Ok(found)
    }

    /// The nearest folder above the site that holds every layer it names. A site that names none lies in `sites/`.
    fn root(&self, folder: &Path, argument: &Path) -> Result<PathBuf, Failure> {
        let in_sites = folder.parent().is_some_and(|parent| parent.ends_with("sites"));
        let least = if self.layers.is_empty() && in_sites { 2 } else { 1 };
        let above = || folder.ancestors().skip(self.above.max(least));
        if !self.read {
            // The renderer will refuse it; its messages are best read from where the user is.
            let here = env::current_dir().and_then(fs::canonicalize).ok();
            let here = here.filter(|here| above().any(|folder| folder == here));
            return Ok(here.or_else(|| above().next().map(Path::to_owned)).unwrap_or_else(|| folder.to_owned()));
        }
        let held = |root: &Path| self.layers.iter().filter(|(layer, _)| root.join(layer).is_dir()).count();
        // The nearest of those that hold the most.
        let best =
            above().map(|root| (held(root), root)).reduce(|best, next| if next.0 > best.0 { next } else { best });
        let Some((count, root)) = best else {
            return Err(Failure::Usage(format!("no folder is above `{}`", argument.display())));
        };
        let Some((layer, place)) = self.layers.iter().find(|(layer, _)| !root.join(layer).is_dir()) else {
            return Ok(root.to_owned());
        };
        let (site, shown) = (argument.display(), root.display());
        let which = match count {
            0 => format!("`{layer}` ({place}) is neither in `{shown}` nor in a folder above that"),
            _ => format!("`{layer}` ({place}) is not in `{shown}`, which holds {count} of {}", self.layers.len()),
        };
        let help = similar(root, layer).map(|similar| format!("did you mean `{similar}`?"));
        let help = help.unwrap_or_else(|| "`--root DIR` names the folder that layers are named from".to_owned());
        Err(Failure::Usage(format!(
            "no folder above `{site}` holds every layer that it names\n  = note: {which}\n  = help: {help}"
        )))
    }
}

/// A layer that is there and nearly has this name.
fn similar(root: &Path, layer: &str) -> Option<String> {
    let missing = layer.match_indices('/').map(|(at, _)| at).chain([layer.len()]);
    let end = missing.into_iter().find(|end| !root.join(&layer[..*end]).is_dir())?;
    let start = layer[..end].rfind('/').map_or(0, |slash| slash + 1);
    let folder = |entry: std::io::Result<fs::DirEntry>| {
        let entry = entry.ok()?;
        if entry.path().is_dir() { entry.file_name().into_string().ok() } else { None }
    };
    let there: BTreeSet<String> = fs::read_dir(root.join(&layer[..start])).ok()?.filter_map(folder).collect();
    let name = nearest(&layer[start..end], there.iter().map(String::as_str))?;
    Some(format!("{}{name}{}", &layer[..start], &layer[end..]))
}

/// `sites/lab1/site.yaml:7:12`.
fn place(files: &SourceTree<'_>, node: &Node, shown: &Path) -> String {
    let place = files.place(node.origin()).unwrap_or_default();
    format!("{}{}", shown.display(), place.strip_prefix(SITE_FILE).unwrap_or_default())
}
