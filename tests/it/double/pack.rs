//! The archive that a repo-server packs and a sidecar unpacks, without the bytes between: entries in the order of the walk.
#![expect(clippy::disallowed_methods, clippy::unwrap_used, reason = "a double of tests works on files")]

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Component, Path, PathBuf};

/// One entry, by its path from the root of the archive.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Entry {
    pub(super) path: String,
    held: Held,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Held {
    Folder,
    File(Vec<u8>),
    Link(PathBuf),
}

impl Entry {
    pub(super) fn is_file(&self) -> bool {
        matches!(self.held, Held::File(_))
    }
}

/// Packs `root`: folders, files and links, `.git` like everything else. What an exclusion matches is left out, a folder with all
/// that it holds.
pub(super) fn pack(root: &Path, exclusions: &[String]) -> Vec<Entry> {
    let mut entries = Vec::new();
    let relative = |path: &Path| path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
    let mut walk = walkdir::WalkDir::new(root).min_depth(1).sort_by_file_name().into_iter();
    while let Some(entry) = walk.next() {
        let entry = entry.unwrap();
        let path = relative(entry.path());
        let kind = entry.file_type();
        if exclusions.iter().any(|pattern| matches(pattern, &path)) {
            if kind.is_dir() {
                walk.skip_current_dir();
            }
            continue;
        }
        let held = if kind.is_dir() {
            Held::Folder
        } else if kind.is_symlink() {
            Held::Link(fs::read_link(entry.path()).unwrap())
        } else if kind.is_file() {
            Held::File(fs::read(entry.path()).unwrap())
        } else {
            continue;
        };
        entries.push(Entry { path, held });
    }
    entries
}

/// Unpacks into a folder that is there. Modes and times are not those of the repository.
pub(super) fn unpack(entries: &[Entry], folder: &Path) -> Result<(), String> {
    let folder = fs::canonicalize(folder).unwrap();
    for entry in entries {
        let path = folder.join(&entry.path);
        match &entry.held {
            Held::Folder => {
                fs::create_dir_all(&path).unwrap();
                fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
            }
            Held::File(bytes) => {
                fs::write(&path, bytes).unwrap();
                fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
            }
            Held::Link(target) => {
                let base = path.parent().unwrap();
                // Go joins paths: an absolute target begins at the link's own folder.
                let target = clean(&base.join(target.strip_prefix("/").unwrap_or(target)));
                let real = fs::canonicalize(&target).unwrap_or_else(|_| target.clone());
                if !real.starts_with(&folder) {
                    return Err(format!("illegal filepath in symlink: {}", target.display()));
                }
                symlink(from(base, &real), &path).unwrap();
            }
        }
    }
    Ok(())
}

/// The first link that is absolute, or whose path is above `root` at any of its steps.
pub(super) fn out_of_bounds(root: &Path) -> Option<PathBuf> {
    let walk = walkdir::WalkDir::new(root).sort_by_file_name().into_iter().map(Result::unwrap);
    for entry in walk.filter(walkdir::DirEntry::path_is_symlink) {
        let target = fs::read_link(entry.path()).unwrap();
        let mut here = entry.path().parent().unwrap().to_owned();
        let leaves = target.components().any(|part| {
            here = clean(&here.join(part));
            !here.starts_with(root)
        });
        if target.is_absolute() || leaves {
            return Some(entry.path().strip_prefix(root).unwrap().to_owned());
        }
    }
    None
}

/// Without `.` and `..`, by the letters of the path alone.
pub(super) fn clean(path: &Path) -> PathBuf {
    let mut cleaned = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => drop(cleaned.pop()),
            part => cleaned.push(part),
        }
    }
    cleaned
}

/// The way from the folder `base` to `target`.
fn from(base: &Path, target: &Path) -> PathBuf {
    let shared = base.ancestors().find(|above| target.starts_with(above)).unwrap();
    let up = base.strip_prefix(shared).unwrap().components().map(|_| Component::ParentDir);
    up.chain(target.strip_prefix(shared).unwrap().components()).collect()
}

/// Go's `filepath.Match`, without classes of characters.
fn matches(pattern: &str, path: &str) -> bool {
    let mut pattern_rest = pattern.chars();
    match (pattern_rest.next(), path.chars().next()) {
        (None, first) => first.is_none(),
        (Some('*'), _) => {
            let ends = path.char_indices().map(|(at, _)| at).chain([path.len()]);
            let reach = path.find('/').unwrap_or(path.len());
            ends.filter(|end| *end <= reach).any(|end| matches(pattern_rest.as_str(), &path[end..]))
        }
        (Some(wanted), Some(first)) => {
            (wanted == first || wanted == '?' && first != '/')
                && matches(pattern_rest.as_str(), &path[first.len_utf8()..])
        }
        (Some(_), None) => false,
    }
}

#[test]
fn exclusions_match_as_in_go() {
    for (pattern, path, is) in [
        (".git", ".git", true),
        (".git", "dpu/.git", false),
        (".git/*", ".git/HEAD", true),
        (".git/*", ".git/refs/heads", false),
        ("*", "a/b", false),
        ("docs*", "docs-old", true),
        ("a?c", "abc", true),
        ("a?c", "a/c", false),
    ] {
        assert_eq!(matches(pattern, path), is, "{pattern} {path}");
    }
}
