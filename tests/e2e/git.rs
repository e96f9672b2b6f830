//! Git repositories that Argo CD reads as `file://`. EDGE of the tests.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::process::{answer, command};

/// A repository with a branch `main`.
pub(crate) struct Repository {
    folder: PathBuf,
}

impl Repository {
    /// An empty one.
    pub(crate) fn new(folder: PathBuf) -> Self {
        fs::create_dir_all(&folder).unwrap();
        let repository = Self { folder };
        repository.git(&["init", "--quiet", "--initial-branch=main"]);
        repository
    }

    /// With what `from` holds, at `to`.
    pub(crate) fn copy(&self, from: &Path, to: &str) {
        for entry in walkdir::WalkDir::new(from).into_iter().map(Result::unwrap) {
            let to = self.folder.join(to).join(entry.path().strip_prefix(from).unwrap());
            if entry.file_type().is_dir() {
                fs::create_dir_all(&to).unwrap();
            } else {
                fs::copy(entry.path(), &to).unwrap();
            }
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn url(&self) -> String {
        format!("file://{}", self.folder.display())
    }

    /// Writes a file.
    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Makes a link.
    pub(crate) fn link(&self, path: &str, target: &str) {
        let path = self.folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink(target, path).unwrap();
    }

    /// Takes a file away.
    pub(crate) fn remove(&self, path: &str) {
        fs::remove_file(self.folder.join(path)).unwrap();
    }

    /// Replaces a text that a file must hold.
    pub(crate) fn edit(&self, path: &str, old: &str, new: &str) {
        let path = self.folder.join(path);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(old), "{} does not hold {old}:\n{text}", path.display());
        fs::write(path, text.replace(old, new)).unwrap();
    }

    /// Commits everything that changed, and returns the commit.
    pub(crate) fn commit(&self, message: &str) -> String {
        self.git(&["add", "--all", "."]);
        self.git(&["commit", "--quiet", "--message", message]);
        self.git(&["rev-parse", "HEAD"]).trim().to_owned()
    }

    fn git(&self, arguments: &[&str]) -> String {
        let mut git = command(Path::new("git"), &self.folder);
        git.current_dir(&self.folder).args(["-c", "user.name=e2e", "-c", "user.email=e2e@example.net"]);
        answer(git.args(arguments))
    }
}
