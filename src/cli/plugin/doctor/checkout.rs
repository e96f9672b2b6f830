//! EDGE: a checkout as Argo CD packs it: folders, files and links, `.git` like everything else, and what that is packed.
//!
//! Nothing outside the root is read, and no link is followed.
#![expect(clippy::disallowed_methods, reason = "this reads what Argo CD packs")]

use std::fs::{self, File};
use std::io::{self, Read as _, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::sites::is_below;

/// More entries are not walked.
const MAX_ENTRIES: usize = 1_000_000;
/// What is packed beyond this is counted as it is.
const MAX_PACKED: u64 = 256 << 20;
/// A header of an archive, and what a file is padded to.
const BLOCK: u64 = 512;

/// What an entry is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    Folder,
    /// Of so many bytes.
    File(u64),
    /// With its target, as it is written.
    Link(String),
    /// A socket, pipe or device.
    Other,
}

/// One entry, by its path from the root.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) path: String,
    pub(super) kind: Kind,
}

/// All entries of a checkout, in byte order of their paths.
pub(super) struct Checkout {
    root: PathBuf,
    pub(super) entries: Vec<Entry>,
    /// Entries whose name is no text, or which cannot be looked at.
    pub(super) unreadable: Vec<String>,
}

impl Checkout {
    /// Walks everything below `root`.
    pub(super) fn walk(root: &Path) -> io::Result<Self> {
        let mut checkout = Self { root: root.to_owned(), entries: Vec::new(), unreadable: Vec::new() };
        let mut folders = vec![String::new()];
        while let Some(folder) = folders.pop() {
            let listed = match fs::read_dir(root.join(&folder)) {
                Err(error) if folder.is_empty() => return Err(error),
                Err(_) => {
                    checkout.unreadable.push(folder);
                    continue;
                }
                Ok(listed) => listed,
            };
            for entry in listed {
                checkout.entry(&entry?, &folder, &mut folders)?;
            }
        }
        checkout.entries.sort_unstable_by(|one, other| one.path.cmp(&other.path));
        Ok(checkout)
    }

    fn entry(&mut self, entry: &fs::DirEntry, folder: &str, folders: &mut Vec<String>) -> io::Result<()> {
        let name = entry.file_name();
        let shown = name.to_string_lossy();
        let path = if folder.is_empty() { shown.into_owned() } else { format!("{folder}/{shown}") };
        if name.to_str().is_none() {
            self.unreadable.push(path);
            return Ok(());
        }
        if self.entries.len() == MAX_ENTRIES {
            return Err(io::Error::other(format!("it holds more than {MAX_ENTRIES} files and folders")));
        }
        let metadata = fs::symlink_metadata(entry.path())?;
        let kind = if metadata.is_dir() {
            folders.push(path.clone());
            Kind::Folder
        } else if metadata.is_file() {
            Kind::File(metadata.len())
        } else if metadata.is_symlink() {
            Kind::Link(fs::read_link(entry.path())?.to_string_lossy().into_owned())
        } else {
            Kind::Other
        };
        self.entries.push(Entry { path, kind });
        Ok(())
    }

    /// Where the link at `path` leads, from the root; nothing where that is nowhere or outside.
    pub(super) fn leads_to(&self, path: &str) -> Option<String> {
        let real = fs::canonicalize(self.root.join(path)).ok()?;
        real.strip_prefix(&self.root).ok()?.to_str().map(str::to_owned)
    }

    /// Bytes of the archive of `folder` as Argo CD sends it: packed, without what is excluded. Objects of git are packed
    /// already, and are counted as they are.
    pub(super) fn packed(&mut self, folder: &str, excluded: &[String]) -> io::Result<u64> {
        let mut packed = GzEncoder::new(Counted(0), Compression::default());
        let (mut plain, mut taken) = (0, 0);
        let mut unreadable = Vec::new();
        for entry in self.entries.iter().filter(|entry| is_below(&entry.path, folder)) {
            let inside = entry.path.strip_prefix(folder).unwrap_or_default().trim_start_matches('/');
            if excluded.iter().any(|pattern| excludes(pattern, inside)) {
                continue;
            }
            header(&entry.path, &mut packed)?;
            let Kind::File(size) = entry.kind else { continue };
            let padded = size.div_ceil(BLOCK) * BLOCK;
            if is_git(&entry.path) || taken + padded > MAX_PACKED {
                plain += size;
                continue;
            }
            taken += padded;
            let Ok(file) = File::open(self.root.join(&entry.path)) else {
                unreadable.push(entry.path.clone());
                continue;
            };
            let copied = io::copy(&mut file.take(size), &mut packed)?;
            packed.write_all(&vec![0; usize::try_from(copied.div_ceil(BLOCK) * BLOCK - copied).unwrap_or_default()])?;
        }
        unreadable.retain(|path| !self.unreadable.contains(path));
        self.unreadable.append(&mut unreadable);
        Ok(packed.finish()?.0 + plain)
    }
}

/// Whether a path is what git keeps.
pub(super) fn is_git(path: &str) -> bool {
    is_below(path, ".git")
}

/// Whether a pattern of `reposerver.plugin.tar.exclusions` leaves `path` out, by itself or with a folder above it. `*` and `?`
/// do not match `/`, as in Go's `filepath.Match`; classes of characters are not known here.
pub(super) fn excludes(pattern: &str, path: &str) -> bool {
    let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
    ends.into_iter().any(|end| matches(pattern.as_bytes(), &path.as_bytes()[..end]))
}

fn matches(pattern: &[u8], path: &[u8]) -> bool {
    match (pattern.split_first(), path.split_first()) {
        (None, first) => first.is_none(),
        (Some((b'*', rest)), _) => {
            let reach = path.iter().position(|byte| *byte == b'/').unwrap_or(path.len());
            (0..=reach).any(|end| matches(rest, &path[end..]))
        }
        (Some((wanted, rest)), Some((first, path))) => {
            (wanted == first || *wanted == b'?' && *first != b'/') && matches(rest, path)
        }
        (Some(_), None) => false,
    }
}

/// The block that stands before each entry, as far as it matters to its packed size.
fn header(path: &str, packed: &mut impl Write) -> io::Result<()> {
    const LENGTH: usize = BLOCK as usize;
    let mut block = [0; LENGTH];
    let name = path.as_bytes();
    let length = name.len().min(100);
    block[..length].copy_from_slice(&name[..length]);
    packed.write_all(&block)
}

/// Counts what is written.
struct Counted(u64);

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_left_out_with_all_that_it_holds() {
        for (pattern, path, is) in [
            (".git", ".git", true),
            (".git", ".git/objects/pack/a.pack", true),
            (".git/*", ".git/objects/pack/a.pack", true),
            (".git/*", ".git", false),
            (".git", "sub/.git/HEAD", false),
            ("docs*", "docs-old/a", true),
            ("*", "a/b", true),
            ("*/b", "a/b/c", true),
            ("a?c", "abc", true),
            ("a?c", "a/c", false),
        ] {
            assert_eq!(excludes(pattern, path), is, "{pattern} {path}");
        }
    }
}
