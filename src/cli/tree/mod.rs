//! EDGE: writes a rendered site as a tree of files; removes what an earlier run wrote and this one does not.
//!
//! Files that are not ours are never changed: ours are those that `.dpu-render` names (`list`). Each file is replaced
//! whole, by renaming, and a file whose bytes would not change is not touched. Before anything changes, the list names the
//! old and the new files, so a run that is cut off leaves whole files and the next one knows them. (Whole after Ctrl-C, that
//! is; nothing is synced to disk for the case that the power fails.) Links inside the tree are not followed.
#![expect(clippy::disallowed_methods, reason = "this is the edge that writes files")]

mod list;
mod names;

pub(in crate::cli) use names::escape;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, FileType, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use crate::render::object::{Destination, ObjectId};
use crate::render::{RenderedDestination, RenderedSite};

/// Where a file is written before it gets its name; one per folder, we hold the tree's lock.
const TEMPORARY: &str = ".dpu-render.tmp";

/// A longer list is not ours: it would name half a million files of one site.
const MAX_LIST_BYTES: u64 = 64 << 20;

/// How a site becomes files.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, clap::ValueEnum)]
pub enum Layout {
    /// One file per object
    #[default]
    Tree,
    /// One file per destination
    Bundle,
}

/// What a write did.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Summary {
    /// Files that are new or have new bytes.
    pub written: usize,
    /// Files of an earlier run that are gone.
    pub removed: usize,
    /// Files that were left alone.
    pub unchanged: usize,
}

impl std::ops::AddAssign for Summary {
    fn add_assign(&mut self, other: Self) {
        self.written += other.written;
        self.removed += other.removed;
        self.unchanged += other.unchanged;
    }
}

/// `3 files written, 1 removed, 40 unchanged`.
impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { written, removed, unchanged } = self;
        write!(
            f,
            "{written} file{} written, {removed} removed, {unchanged} unchanged",
            if *written == 1 { "" } else { "s" }
        )
    }
}

/// Why a tree was not written, or not to its end.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// Something that is not ours stands where a file of ours would go. Nothing was written.
    #[error("`{path}` was not written by dpu-render and is not overwritten{}", and_more(.others))]
    Foreign {
        /// The first of them.
        path: PathBuf,
        /// How many more there are.
        others: usize,
    },
    /// A link or a file where a folder should be. Nothing was written.
    #[error("`{0}` is not a folder, and links are not followed here")]
    NotAFolder(PathBuf),
    /// The list was changed by somebody. Nothing was written.
    #[error("`{path}`, line {line}: not a line that dpu-render writes; nothing was written or removed")]
    List {
        /// The list.
        path: PathBuf,
        /// 1-based.
        line: usize,
    },
    /// A tree of one site where folders of several would go. Nothing was written.
    #[error("`{0}` holds the tree of a single site; several sites need a folder of their own")]
    Single(PathBuf),
    /// Another process writes this tree.
    #[error("another dpu-render is writing to `{0}`")]
    Busy(PathBuf),
    /// Two objects of one identity: they would be one file.
    #[error("two objects would be written to `{0}`")]
    Twice(String),
    /// The system said no.
    #[error("cannot {action} `{path}`: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

fn and_more(count: &usize) -> String {
    if *count == 0 { String::new() } else { format!(" (and {count} more)") }
}

fn cannot(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> TreeError {
    move |source| TreeError::Io { action, path: path.to_owned(), source }
}

/// The name of the list of files that are ours, at the top of the tree of one site.
pub const LIST: &str = list::FILE;

/// The name of the folder of one site of several.
#[must_use]
pub fn folder_name(site: &str) -> String {
    names::escape(site)
}

/// The folder of one site of several below `dir`; both are made where missing.
///
/// # Errors
/// Where they cannot be made, or the folder is a link, or `dir` itself holds the tree of a single site.
pub fn site_folder(dir: &Path, site: &str) -> Result<PathBuf, TreeError> {
    if fs::symlink_metadata(dir.join(list::FILE)).is_ok() {
        return Err(TreeError::Single(dir.to_owned()));
    }
    fs::create_dir_all(dir).map_err(cannot("make", dir))?;
    let folder = dir.join(folder_name(site));
    make_folder(&folder)?;
    Ok(folder)
}

/// Makes `dir` hold exactly this site, beside the files that are not ours.
///
/// # Errors
/// As [`TreeError`] says.
pub fn write(site: &RenderedSite, dir: &Path, layout: Layout) -> Result<Summary, TreeError> {
    fs::create_dir_all(dir).map_err(cannot("make", dir))?;
    let lock = File::open(dir).map_err(cannot("open", dir))?;
    // A file system without locks is written without.
    if matches!(lock.try_lock(), Err(TryLockError::WouldBlock)) {
        return Err(TreeError::Busy(dir.to_owned()));
    }
    let written = write_alone(&plan(site, layout), dir);
    // Closing the folder is not enough: a process that is being started by another thread has it open as well.
    let _ = lock.unlock();
    written
}

/// Writes a tree that nobody else writes.
fn write_alone(planned: &Plan<'_>, dir: &Path) -> Result<Summary, TreeError> {
    let old_text = read_list(dir)?;
    let old = list::paths(&old_text).map_err(|line| TreeError::List { path: dir.join(list::FILE), line })?;
    let paths: Vec<String> =
        planned.iter().flat_map(|(folder, files)| files.iter().map(|file| below(folder, &file.name))).collect();
    let new: BTreeSet<&str> = paths.iter().map(String::as_str).collect();
    let new_text = list::text(&new);
    if new.len() < paths.len() {
        let twice = (1..paths.len()).find(|&at| paths[..at].contains(&paths[at])).unwrap_or_default();
        return Err(TreeError::Twice(paths[twice].clone()));
    }

    let mut tree = Tree { dir, folders: BTreeMap::new(), buffer: Vec::new() };
    let changed = tree.changed(planned, &old)?;
    let stale: Vec<&str> = old.difference(&new).copied().collect();
    let mut summary = Summary { written: changed.len(), removed: 0, unchanged: paths.len() - changed.len() };
    if changed.is_empty() && stale.is_empty() && old_text == new_text {
        return Ok(summary);
    }

    let both = list::text(&old.union(&new).copied().collect());
    if both != old_text {
        replace(dir, list::FILE, &both)?;
    }
    for (folder, file) in changed {
        tree.make(folder)?;
        replace(&dir.join(folder), &file.name, &file.text)?;
    }
    summary.removed = tree.remove(&stale)?;
    if both != new_text {
        replace(dir, list::FILE, &new_text)?;
    }
    Ok(summary)
}

/// Every file, by the folder it goes to, from the top of the tree.
type Plan<'s> = BTreeMap<String, Vec<Planned<'s>>>;

struct Planned<'s> {
    name: String,
    text: Cow<'s, str>,
}

fn plan(site: &RenderedSite, layout: Layout) -> Plan<'_> {
    let mut plan = Plan::new();
    for destination in &site.destinations {
        let (parent, own) = match &destination.destination {
            Destination::Management => ("", "management".to_owned()),
            Destination::Cluster(name) => ("clusters", names::escape(name)),
        };
        let folder = below(parent, &own);
        if !destination.values.is_empty() {
            plan.entry(below(&folder, "values")).or_default().extend(values(destination));
        }
        match layout {
            _ if destination.objects.is_empty() => {}
            Layout::Tree => plan.entry(folder).or_default().extend(objects(destination)),
            Layout::Bundle => {
                let bundle = Planned { name: format!("{own}.yaml"), text: bundle(destination).into() };
                plan.entry(parent.to_owned()).or_default().push(bundle);
            }
        }
    }
    plan
}

fn below(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

/// The folder a path lies in; empty for the top.
fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

fn objects(destination: &RenderedDestination) -> impl Iterator<Item = Planned<'_>> {
    let ids: Vec<&ObjectId> = destination.objects.iter().map(|object| &*object.id).collect();
    let names = names::of_objects(&ids).into_iter();
    names.zip(&destination.objects).map(|(name, object)| Planned { name, text: (&*object.text).into() })
}

fn values(destination: &RenderedDestination) -> impl Iterator<Item = Planned<'_>> {
    let name = |name: &str| format!("{}.yaml", names::escape(name));
    destination.values.iter().map(move |values| Planned { name: name(&values.name), text: (&*values.text).into() })
}

fn bundle(destination: &RenderedDestination) -> String {
    let mut text = String::with_capacity(destination.objects.iter().map(|object| object.text.len() + 4).sum());
    for object in &destination.objects {
        text.push_str("---\n");
        text.push_str(&object.text);
    }
    text
}

/// The tree on disk.
struct Tree<'d> {
    dir: &'d Path,
    /// What was looked at: whether it is there, as a folder.
    folders: BTreeMap<String, bool>,
    buffer: Vec<u8>,
}

impl Tree<'_> {
    /// The files that are missing or have other bytes. Changes nothing but left-over temporary files.
    fn changed<'p, 's>(
        &mut self,
        planned: &'p Plan<'s>,
        old: &BTreeSet<&str>,
    ) -> Result<Vec<(&'p str, &'p Planned<'s>)>, TreeError> {
        let mut changed = Vec::new();
        let mut foreign: Vec<PathBuf> = Vec::new();
        for (folder, files) in planned {
            let present = self.entries(folder)?;
            let mut at = self.dir.join(folder);
            for file in files {
                let Some(kind) = present.get(OsStr::new(&file.name)) else {
                    changed.push((folder.as_str(), file));
                    continue;
                };
                at.push(&file.name);
                if !kind.is_file() {
                    foreign.push(at.clone());
                } else if !self.holds(&at, file.text.as_bytes()).map_err(cannot("read", &at))? {
                    if old.contains(below(folder, &file.name).as_str()) {
                        changed.push((folder, file));
                    } else {
                        foreign.push(at.clone());
                    }
                }
                at.pop();
            }
        }
        let others = foreign.len().saturating_sub(1);
        match foreign.into_iter().next() {
            Some(path) => Err(TreeError::Foreign { path, others }),
            None => Ok(changed),
        }
    }

    /// What a folder holds; nothing where there is none.
    fn entries(&mut self, folder: &str) -> Result<BTreeMap<OsString, FileType>, TreeError> {
        let mut entries = BTreeMap::new();
        if !self.is_there(folder)? {
            return Ok(entries);
        }
        let path = self.dir.join(folder);
        for entry in fs::read_dir(&path).map_err(cannot("list", &path))? {
            let entry = entry.map_err(cannot("list", &path))?;
            let kind = entry.file_type().map_err(cannot("list", &path))?;
            if entry.file_name() == TEMPORARY {
                fs::remove_file(entry.path()).map_err(cannot("remove", &entry.path()))?;
            } else {
                entries.insert(entry.file_name(), kind);
            }
        }
        Ok(entries)
    }

    /// Whether the folder is there, with no link on the way to it.
    fn is_there(&mut self, folder: &str) -> Result<bool, TreeError> {
        if folder.is_empty() {
            return Ok(true);
        }
        if let Some(there) = self.folders.get(folder) {
            return Ok(*there);
        }
        let there = self.is_there(parent(folder))? && {
            let path = self.dir.join(folder);
            match fs::symlink_metadata(&path) {
                Ok(metadata) if metadata.is_dir() => true,
                Ok(_) => return Err(TreeError::NotAFolder(path)),
                Err(error) if error.kind() == ErrorKind::NotFound => false,
                Err(error) => return Err(cannot("look at", &path)(error)),
            }
        };
        self.folders.insert(folder.to_owned(), there);
        Ok(there)
    }

    /// Makes the folder and those above it.
    fn make(&mut self, folder: &str) -> Result<(), TreeError> {
        if !self.is_there(folder)? {
            self.make(parent(folder))?;
            make_folder(&self.dir.join(folder))?;
            self.folders.insert(folder.to_owned(), true);
        }
        Ok(())
    }

    /// Whether the file holds exactly these bytes.
    fn holds(&mut self, path: &Path, bytes: &[u8]) -> io::Result<bool> {
        let mut file = File::open(path)?;
        if file.metadata()?.len() != bytes.len() as u64 {
            return Ok(false);
        }
        self.buffer.resize(bytes.len().max(self.buffer.len()), 0);
        let buffer = &mut self.buffer[..bytes.len()];
        match file.read_exact(buffer) {
            Ok(()) => Ok(buffer == bytes),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Removes files of an earlier run and the folders that this empties. What became something else since is not ours.
    fn remove(&mut self, stale: &[&str]) -> Result<usize, TreeError> {
        let mut removed = 0;
        let mut emptied: BTreeSet<&str> = BTreeSet::new();
        for path in stale {
            let folder = parent(path);
            let full = self.dir.join(path);
            let ours = matches!(self.is_there(folder), Ok(true))
                && fs::symlink_metadata(&full).is_ok_and(|metadata| metadata.is_file());
            if ours {
                fs::remove_file(&full).map_err(cannot("remove", &full))?;
                removed += 1;
            }
            emptied.extend(path.match_indices('/').map(|(at, _)| &path[..at]));
        }
        // The deepest first; a folder that holds anything stays.
        for folder in emptied.into_iter().rev() {
            if matches!(self.is_there(folder), Ok(true)) {
                let _ = fs::remove_dir(self.dir.join(folder));
            }
        }
        Ok(removed)
    }
}

/// A folder, not a link to one; made where nothing is.
fn make_folder(path: &Path) -> Result<(), TreeError> {
    match fs::create_dir(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            if fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir()) {
                Ok(())
            } else {
                Err(TreeError::NotAFolder(path.to_owned()))
            }
        }
        made => made.map_err(cannot("make", path)),
    }
}

/// The text of the list; that of an empty one where there is none.
fn read_list(dir: &Path) -> Result<String, TreeError> {
    let path = dir.join(list::FILE);
    match fs::symlink_metadata(&path) {
        Ok(metadata) if metadata.is_file() && metadata.len() <= MAX_LIST_BYTES => {}
        Ok(_) => return Err(TreeError::Foreign { path, others: 0 }),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(list::text(&BTreeSet::new())),
        Err(error) => return Err(cannot("read", &path)(error)),
    }
    let bytes = fs::read(&path).map_err(cannot("read", &path))?;
    String::from_utf8(bytes).map_err(|_| TreeError::List { path, line: 1 })
}

/// Replaces a file whole: nobody ever sees half of it.
fn replace(folder: &Path, name: &str, text: &str) -> Result<(), TreeError> {
    let temporary = folder.join(TEMPORARY);
    let create = || OpenOptions::new().write(true).create_new(true).open(&temporary);
    let file = match create() {
        // Of a run that was cut off: nobody else writes here while we hold the lock.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => fs::remove_file(&temporary).and_then(|()| create()),
        created => created,
    };
    let path = folder.join(name);
    let written = file.and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        drop(file);
        fs::rename(&temporary, &path)
    });
    written.map_err(|error| {
        let _ = fs::remove_file(&temporary);
        cannot("write", &path)(error)
    })
}
