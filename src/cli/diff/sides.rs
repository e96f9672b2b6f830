//! EDGE: the two sides of a comparison: where their files are, what they are called, and which sites they have.
#![expect(clippy::disallowed_methods, reason = "arguments are paths from the working folder")]

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::path::{Component, Path, PathBuf};

use super::DiffArgs;
use super::git::Git;
use super::revision::Revision;
use crate::cli::Failure;
use crate::cli::fs::Disk;
use crate::cli::sites::{SITE_FILE, locate};
use crate::render::Repository;
use crate::source::{FileError, Files};

/// The word that stands for the files as they are on disk.
const WORKTREE: &str = "worktree";

/// Files of one side.
pub(super) enum Side {
    /// A folder.
    Disk(Disk),
    /// A commit.
    Revision(Revision),
}

impl Files for Side {
    fn list(&self, folder: &str) -> Result<Vec<String>, FileError> {
        match self {
            Self::Disk(disk) => disk.list(folder),
            Self::Revision(revision) => revision.list(folder),
        }
    }

    fn read(&self, path: &str) -> Result<Vec<u8>, FileError> {
        match self {
            Self::Disk(disk) => disk.read(path),
            Self::Revision(revision) => revision.read(path),
        }
    }
}

/// Both sides.
pub(super) struct Sides {
    pub(super) base: Side,
    pub(super) head: Side,
    /// What they are called in the report.
    pub(super) names: [String; 2],
    /// Folders of the sites that the command line names, from the root; all there are where it names none.
    pub(super) sites: BTreeSet<String>,
}

impl Sides {
    /// Finds both sides.
    pub(super) fn find(args: &DiffArgs) -> Result<Self, Failure> {
        let (base, head, names, named) = match (&args.base_dir, &args.head_dir) {
            (Some(base), Some(head)) => {
                let names = [base.display().to_string(), head.display().to_string()];
                let named = args.sites.iter().map(|site| below(site)).collect::<Result<_, _>>()?;
                (Side::Disk(open(base)?), Side::Disk(open(head)?), names, named)
            }
            _ => match &args.base_tree {
                Some(tree) => of_tree(args, tree)?,
                None => of_git(args)?,
            },
        };
        let sites = if named.is_empty() {
            let mut found = sites(&head)?;
            if args.base_tree.is_none() {
                found.append(&mut sites(&base)?);
            }
            found
        } else {
            named
        };
        let sides = Self { base, head, names, sites };
        match sides.sites.iter().find(|site| !is_site(&sides.base, site) && !is_site(&sides.head, site)) {
            Some(site) => Err(Failure::Usage(format!("`{site}` holds no `{SITE_FILE}` on either side"))),
            None if sides.sites.is_empty() => {
                Err(Failure::Usage("neither side has a site: no folder holds a `site.yaml`".to_owned()))
            }
            None => Ok(sides),
        }
    }

    /// Whether both sides have the same bytes there.
    fn same(&self, path: &str) -> bool {
        if let (Side::Revision(base), Side::Revision(head)) = (&self.base, &self.head)
            && let (Some(base), Some(head)) = (base.id(path), head.id(path))
        {
            return base == head;
        }
        self.base.read(path) == self.head.read(path)
    }

    /// The sites of which a file differs that decides what comes out, on either side.
    pub(super) fn affected(&self, base: &Repository<'_>, head: &Repository<'_>) -> BTreeSet<String> {
        let mut folders: BTreeMap<String, bool> = BTreeMap::new();
        let mut differs = |folder: &String| {
            if let Some(known) = folders.get(folder) {
                return *known;
            }
            let differs = match (base.tree().list(folder), head.tree().list(folder)) {
                (Ok(before), Ok(after)) => before != after || before.iter().any(|path| !self.same(path)),
                (before, after) => before != after,
            };
            folders.insert(folder.clone(), differs);
            differs
        };
        let mut affected = |site: &&String| match (base.reads(site), head.reads(site)) {
            (Some(before), Some(after)) => {
                before != after
                    || before.folders.iter().any(&mut differs)
                    || before.files.iter().any(|path| !self.same(path))
            }
            // What is read by a site that cannot be read is not known.
            _ => true,
        };
        self.sites.iter().filter(|site| affected(site)).cloned().collect()
    }
}

/// Whether a side has the site.
pub(super) fn is_site(side: &Side, folder: &str) -> bool {
    // A link, or a file that cannot be read, is the renderer's to refuse.
    !matches!(side.read(&format!("{folder}/{SITE_FILE}")), Err(FileError::NotFound))
}

fn open(folder: &Path) -> Result<Disk, Failure> {
    Disk::open(folder).map_err(|source| Failure::File { action: "open", path: folder.to_owned(), source })
}

/// The sites of a side: below `sites` where it has such a folder, else anywhere.
fn sites(side: &Side) -> Result<BTreeSet<String>, Failure> {
    let listed = match side.list("sites") {
        Err(FileError::NotFound) => side.list(""),
        listed => listed,
    };
    let paths = match listed {
        Err(FileError::NotFound) => Vec::new(),
        listed => listed.map_err(|error| Failure::Usage(format!("cannot look for sites: `sites` {error}")))?,
    };
    let folder = |path: &String| path.strip_suffix(SITE_FILE)?.strip_suffix('/').map(str::to_owned);
    Ok(paths.iter().filter_map(folder).collect())
}

/// A relative path without `.`, of text.
fn below(path: &Path) -> Result<String, Failure> {
    let path = if path.ends_with(SITE_FILE) { path.parent().unwrap_or(path) } else { path };
    let parts: Option<Vec<&str>> = path
        .components()
        .filter(|part| *part != Component::CurDir)
        .map(|part| if let Component::Normal(name) = part { name.to_str() } else { None })
        .collect();
    match parts.filter(|parts| !parts.is_empty()) {
        Some(parts) => Ok(parts.join("/")),
        None => Err(Failure::Usage(format!("`{}` is not a folder below the root", path.display()))),
    }
}

type Found = (Side, Side, [String; 2], BTreeSet<String>);

fn here() -> Result<PathBuf, Failure> {
    let here = env::current_dir().and_then(std::fs::canonicalize);
    here.map_err(|source| Failure::File { action: "open", path: PathBuf::from("."), source })
}

/// A tree that was written, and the files on disk.
fn of_tree(args: &DiffArgs, tree: &Path) -> Result<Found, Failure> {
    let here = here()?;
    let (root, named) = root(args, Path::new("/"), &here, &here)?;
    let names = [tree.display().to_string(), "work tree".to_owned()];
    Ok((Side::Disk(open(tree)?), Side::Disk(open(&root)?), names, named))
}

fn of_git(args: &DiffArgs) -> Result<Found, Failure> {
    let here = here()?;
    let git = Git::open(args.root.as_deref().unwrap_or(&here))?;
    let (root, named) = match &git.top {
        Some(top) => {
            let (root, named) = root(args, top, top, &here)?;
            (Some(root), named)
        }
        None => (None, args.sites.iter().map(|site| below(site)).collect::<Result<_, _>>()?),
    };
    let folder = match (&git.top, &root) {
        (Some(top), Some(root)) => match root.strip_prefix(top).ok().and_then(Path::to_str) {
            Some(folder) => folder.to_owned(),
            None => {
                let (root, top) = (root.display(), top.display());
                return Err(Failure::Usage(format!("the root `{root}` is not below `{top}`, where the work tree is")));
            }
        },
        _ => String::new(),
    };
    let base = args.base.as_deref().unwrap_or("HEAD");
    let head = args.head.as_deref().filter(|head| *head != WORKTREE);
    let mut base_id = git.commit(base)?;
    let head_id = head.map(|head| git.commit(head)).transpose()?;
    let mut names = [base.to_owned(), head.unwrap_or("work tree").to_owned()];
    if args.merge_base {
        let other = head_id.clone().map_or_else(|| git.commit("HEAD"), Ok)?;
        base_id = git.merge_base(&base_id, &other)?;
        names[0] = format!("{base}, where it parted ({})", &base_id[..base_id.len().min(12)]);
    }
    let base = Side::Revision(Revision::open(&git, &base_id, &folder)?);
    let head = match (head_id, root) {
        (Some(id), _) => Side::Revision(Revision::open(&git, &id, &folder)?),
        (None, Some(root)) => Side::Disk(open(&root)?),
        (None, None) => {
            return Err(Failure::Usage("a bare repository has no work tree: name a revision with `--head`".to_owned()));
        }
    };
    Ok((base, head, names, named))
}

/// The root of the sites, and the folders that were named. Where none of them says, the root is the nearest folder above
/// `here` that holds `sites` and is in `top`, else `otherwise`.
fn root(args: &DiffArgs, top: &Path, otherwise: &Path, here: &Path) -> Result<(PathBuf, BTreeSet<String>), Failure> {
    let mut root = match &args.root {
        Some(root) => Some(open(root)?.root().to_owned()),
        None => None,
    };
    let mut named = BTreeSet::new();
    let there = |site: &&PathBuf| site.exists();
    for site in args.sites.iter().filter(there) {
        let (of_site, folder) = locate(site, args.root.as_deref())?;
        let root = root.get_or_insert_with(|| of_site.clone());
        if *root != of_site {
            let (one, two) = (root.display(), of_site.display());
            return Err(Failure::Usage(format!(
                "the sites are of two repositories, `{one}` and `{two}`\n  = help: compare them one by one, or name the root of both with `--root`"
            )));
        }
        named.insert(folder);
    }
    let root = root.unwrap_or_else(|| {
        let holds_sites = |folder: &&Path| folder.starts_with(top) && folder.join("sites").is_dir();
        here.ancestors().find(holds_sites).unwrap_or(otherwise).to_owned()
    });
    // Sites that are gone from the disk.
    for site in args.sites.iter().filter(|site| !there(site)) {
        let shown = site.display();
        let full = here.join(site);
        let folder = full.strip_prefix(&root).map_err(|_| Failure::Usage(format!("no such site: `{shown}`")))?;
        named.insert(below(folder)?);
    }
    Ok((root, named))
}
