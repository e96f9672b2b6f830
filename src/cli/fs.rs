//! EDGE: a folder on disk as the [`Files`] of a repository. The only reader of what users wrote.
//!
//! Nothing outside the root is read: `..` is refused, and a link is followed only where it resolves inside the root. What is
//! no regular file is not opened (a pipe would hang), what is too large is not read, and walks are bounded.
//!
//! The limit: std has no `openat`, so the check and the opening of a file are two steps. Whoever swaps a *folder* for a link
//! between them, while we run, is not noticed; a swapped file is.
#![expect(clippy::disallowed_methods, reason = "this is the edge that reads files")]

use std::collections::BTreeSet;
use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::source::{FileError, Files, MAX_FILE_BYTES};

/// Deeper folders are refused.
const MAX_DEPTH: usize = 32;
/// A layer with more entries is refused.
pub(super) const MAX_ENTRIES: usize = 200_000;
/// Only these are listed.
pub(super) const ENDINGS: [&str; 4] = [".yaml", ".yml", ".json", ".j2"];

/// A repository on disk.
#[derive(Debug)]
pub struct Disk {
    /// Without links.
    root: PathBuf,
    /// Folders, from the root, known to have no link on their way.
    plain: Mutex<BTreeSet<String>>,
}

impl Disk {
    /// The repository below `root`.
    ///
    /// # Errors
    /// Where `root` is not a folder.
    pub fn open(root: &Path) -> io::Result<Self> {
        let root = fs::canonicalize(root)?;
        if !fs::metadata(&root)?.is_dir() {
            return Err(ErrorKind::NotADirectory.into());
        }
        Ok(Self { root, plain: Mutex::default() })
    }

    /// The root, without links.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where `path` really is, inside the root, and what is there: never a link.
    fn resolve(&self, path: &str) -> Result<(PathBuf, Metadata), FileError> {
        if path.is_empty() {
            return Ok((self.root.clone(), fs::symlink_metadata(&self.root).map_err(file_error)?));
        }
        if path.contains('\0') || path.split('/').any(|name| matches!(name, "" | "." | "..")) {
            return Err(FileError::Outside);
        }
        let full = self.root.join(path);
        if self.is_plain(path.rsplit_once('/').map_or("", |(folder, _)| folder))? {
            let metadata = fs::symlink_metadata(&full).map_err(file_error)?;
            if !metadata.is_symlink() {
                return Ok((full, metadata));
            }
        }
        let real = fs::canonicalize(&full).map_err(file_error)?;
        if !real.starts_with(&self.root) {
            return Err(FileError::Outside);
        }
        let metadata = fs::symlink_metadata(&real).map_err(file_error)?;
        Ok((real, metadata))
    }

    /// Whether no component of `folder` is a link.
    fn is_plain(&self, folder: &str) -> Result<bool, FileError> {
        let known =
            |plain: &Mutex<BTreeSet<String>>| plain.lock().unwrap_or_else(PoisonError::into_inner).contains(folder);
        if folder.is_empty() || known(&self.plain) {
            return Ok(true);
        }
        let mut full = self.root.clone();
        for name in folder.split('/') {
            full.push(name);
            if fs::symlink_metadata(&full).map_err(file_error)?.is_symlink() {
                return Ok(false);
            }
        }
        self.plain.lock().unwrap_or_else(PoisonError::into_inner).insert(folder.to_owned());
        Ok(true)
    }
}

impl Files for Disk {
    fn list(&self, folder: &str) -> Result<Vec<String>, FileError> {
        let (real, metadata) = self.resolve(folder)?;
        if !metadata.is_dir() {
            return Err(FileError::NotFound);
        }
        let mut walk = Walk { disk: self, above: Vec::new(), entries: 0, files: Vec::new() };
        walk.folder(real, folder)?;
        Ok(walk.files)
    }

    fn read(&self, path: &str) -> Result<Vec<u8>, FileError> {
        let (real, seen) = self.resolve(path)?;
        if !seen.is_file() {
            return Err(FileError::NotRegular);
        }
        let file = File::open(&real).map_err(file_error)?;
        let opened = file.metadata().map_err(file_error)?;
        if (opened.dev(), opened.ino()) != (seen.dev(), seen.ino()) {
            return Err(FileError::Io("was replaced while it was read".into()));
        }
        if opened.len() > MAX_FILE_BYTES {
            return Err(FileError::TooLarge);
        }
        let mut bytes = Vec::with_capacity(usize::try_from(opened.len()).unwrap_or_default() + 1);
        file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(file_error)?;
        if bytes.len() as u64 > MAX_FILE_BYTES { Err(FileError::TooLarge) } else { Ok(bytes) }
    }
}

/// One walk below a folder.
struct Walk<'d> {
    disk: &'d Disk,
    /// Where the folders on the way really are.
    above: Vec<PathBuf>,
    entries: usize,
    files: Vec<String>,
}

impl Walk<'_> {
    fn folder(&mut self, real: PathBuf, shown: &str) -> Result<(), FileError> {
        if self.above.len() > MAX_DEPTH {
            return Err(FileError::Io(format!("holds folders more than {MAX_DEPTH} deep")));
        }
        let entries = fs::read_dir(&real).map_err(file_error)?;
        self.above.push(real);
        for entry in entries {
            let entry = entry.map_err(file_error)?;
            self.entries += 1;
            if self.entries > MAX_ENTRIES {
                return Err(FileError::Io(format!("holds more than {MAX_ENTRIES} files and folders")));
            }
            let name = entry.file_name();
            if matches!(name.as_encoded_bytes().first(), Some(b'.' | b'_')) {
                continue;
            }
            let Some(name) = name.to_str().filter(|name| !name.contains(char::is_control)) else {
                return Err(FileError::Io(format!("holds a name that is no text: `{}`", name.display())));
            };
            let path = if shown.is_empty() { name.to_owned() } else { format!("{shown}/{name}") };
            let listed = ENDINGS.iter().any(|ending| name.ends_with(ending));
            let kind = entry.file_type().map_err(file_error)?;
            if kind.is_dir() {
                self.folder(entry.path(), &path)?;
            } else if kind.is_symlink() {
                self.link(&entry.path(), path, listed)?;
            } else if listed {
                self.files.push(path);
            }
        }
        self.above.pop();
        Ok(())
    }

    /// A link to a folder is walked, any other is treated by its own name; [`Files::read`] then says what is wrong with it.
    fn link(&mut self, entry: &Path, path: String, listed: bool) -> Result<(), FileError> {
        match self.disk.resolve(&path) {
            Ok((real, metadata)) if metadata.is_dir() => {
                if self.above.iter().any(|folder| folder.starts_with(&real)) {
                    return Err(FileError::Io(format!("holds `{path}`, a link to a folder it is in")));
                }
                self.folder(real, &path)
            }
            Err(FileError::Outside) if fs::metadata(entry).is_ok_and(|metadata| metadata.is_dir()) => {
                Err(FileError::Io(format!("holds `{path}`, a link that leads out of the repository")))
            }
            _ => {
                if listed {
                    self.files.push(path);
                }
                Ok(())
            }
        }
    }
}

fn file_error(error: io::Error) -> FileError {
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => FileError::NotFound,
        _ => FileError::Io(error.to_string()),
    }
}
