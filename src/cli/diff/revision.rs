//! EDGE: a revision of a git repository as the [`Files`] of a repository of sites.
//!
//! Links and limits are those of a folder on disk (`cli::fs`): nothing outside the root is read. The files of a submodule are
//! not in this repository and are refused where they are needed.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use super::git::{EntryKind, Git, Objects};
use crate::cli::Failure;
use crate::cli::fs::{ENDINGS, MAX_ENTRIES};
use crate::source::{FileError, Files};

/// Links that lead to links are followed so often.
const MOST_LINKS: usize = 40;

/// The files of a revision below a folder.
#[derive(Debug)]
pub(super) struct Revision {
    objects: Mutex<Objects>,
    /// By path from the root.
    entries: BTreeMap<String, (EntryKind, String)>,
    /// A path that is no text, if there is one.
    odd: Option<String>,
}

/// What a path leads to.
enum Found<'r> {
    File(&'r str),
    /// A folder, by its path without links.
    Folder(String),
}

impl Revision {
    /// What `commit` holds below `folder`, a path from the top of the work tree.
    pub(super) fn open(git: &Git, commit: &str, folder: &str) -> Result<Self, Failure> {
        let (mut entries, mut odd) = (BTreeMap::new(), None);
        for entry in git.tree(commit, folder)? {
            match String::from_utf8(entry.path) {
                Ok(path) if !path.contains(char::is_control) => {
                    entries.insert(path, (entry.kind, entry.id));
                }
                Ok(path) => odd = Some(path.replace(char::is_control, "\u{fffd}")),
                Err(error) => odd = Some(String::from_utf8_lossy(error.as_bytes()).into_owned()),
            }
        }
        Ok(Self { objects: Mutex::new(git.objects()?), entries, odd })
    }

    /// What tells the bytes of a file apart from others, unless a link is on its way.
    pub(super) fn id(&self, path: &str) -> Option<&str> {
        self.entries.get(path).filter(|(kind, _)| *kind == EntryKind::File).map(|(_, id)| id.as_str())
    }

    fn below(&self, folder: &str) -> impl Iterator<Item = (&str, &(EntryKind, String))> {
        let prefix = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        let range = self.entries.range(prefix.clone()..);
        range.take_while(move |(path, _)| path.starts_with(&prefix)).map(|(path, entry)| (path.as_str(), entry))
    }

    fn blob(&self, id: &str) -> Result<Vec<u8>, FileError> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner).blob(id)
    }

    fn resolve(&self, path: &str) -> Result<Found<'_>, FileError> {
        if path.split('/').any(|name| matches!(name, "." | "..")) || path.contains('\0') {
            return Err(FileError::Outside);
        }
        let mut wanted: Vec<String> =
            path.split('/').filter(|part| !part.is_empty()).rev().map(str::to_owned).collect();
        let (mut at, mut links): (Vec<String>, usize) = (Vec::new(), 0);
        while let Some(part) = wanted.pop() {
            match part.as_str() {
                "" | "." => continue,
                ".." => {
                    at.pop().ok_or(FileError::Outside)?;
                    continue;
                }
                _ => at.push(part),
            }
            let here = at.join("/");
            match self.entries.get(&here) {
                Some((EntryKind::File, id)) if wanted.is_empty() => return Ok(Found::File(id)),
                Some((EntryKind::File, _)) => return Err(FileError::NotFound),
                Some((EntryKind::Submodule, _)) => {
                    return Err(FileError::Io(format!(
                        "lies in the submodule `{here}`, whose files are not in this repository; check it out, and compare folders with `--base-dir`"
                    )));
                }
                Some((EntryKind::Link, id)) => {
                    links += 1;
                    if links > MOST_LINKS {
                        return Err(FileError::Io("is a link that leads round in circles".to_owned()));
                    }
                    let target = String::from_utf8(self.blob(id)?).map_err(|_| FileError::NotText)?;
                    if target.starts_with('/') {
                        return Err(FileError::Outside);
                    }
                    at.pop();
                    wanted.extend(target.split('/').rev().map(str::to_owned));
                }
                None if self.below(&here).next().is_none() => return Err(FileError::NotFound),
                None => {}
            }
        }
        Ok(Found::Folder(at.join("/")))
    }

    /// Lists `real`, which is shown as `shown`; `above` are the folders on the way.
    fn walk(&self, real: &str, shown: &str, above: &mut Vec<String>, files: &mut Vec<String>) -> Result<(), FileError> {
        above.push(real.to_owned());
        for (path, (kind, _)) in self.below(real) {
            let rest = path[real.len()..].trim_start_matches('/');
            if rest.split('/').any(|name| name.starts_with(['.', '_'])) {
                continue;
            }
            let shown = if shown.is_empty() { rest.to_owned() } else { format!("{shown}/{rest}") };
            let listed = ENDINGS.iter().any(|ending| rest.ends_with(ending));
            match kind {
                EntryKind::File => {}
                EntryKind::Submodule => {
                    return Err(FileError::Io(format!(
                        "holds the submodule `{shown}`, whose files are not in this repository; check it out, and compare folders with `--base-dir`"
                    )));
                }
                EntryKind::Link => {
                    if let Ok(Found::Folder(target)) = self.resolve(path) {
                        if above.iter().any(|folder| *folder == target || folder.starts_with(&format!("{target}/")))
                            || target.is_empty()
                        {
                            return Err(FileError::Io(format!("holds `{shown}`, a link to a folder it is in")));
                        }
                        self.walk(&target, &shown, above, files)?;
                        continue;
                    }
                }
            }
            if listed {
                files.push(shown);
            }
            if files.len() > MAX_ENTRIES {
                return Err(FileError::Io(format!("holds more than {MAX_ENTRIES} files and folders")));
            }
        }
        above.pop();
        Ok(())
    }
}

impl Files for Revision {
    fn list(&self, folder: &str) -> Result<Vec<String>, FileError> {
        if let Some(odd) = &self.odd {
            return Err(FileError::Io(format!("holds a name that is no text: `{odd}`")));
        }
        let Found::Folder(real) = self.resolve(folder)? else { return Err(FileError::NotFound) };
        let mut files = Vec::new();
        self.walk(&real, folder, &mut Vec::new(), &mut files)?;
        Ok(files)
    }

    fn read(&self, path: &str) -> Result<Vec<u8>, FileError> {
        match self.resolve(path)? {
            Found::File(id) => self.blob(id),
            Found::Folder(_) => Err(FileError::NotRegular),
        }
    }
}
