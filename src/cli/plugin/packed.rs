//! EDGE: the part of a repository that Argo CD packs for a plugin: all of it, or the folder that holds everything that the
//! annotation `argocd.argoproj.io/manifest-generate-paths` names.
//!
//! The working folder is that of the application. As far as its end is the end of the application's path it lies in what was
//! packed; what is left of the path is what was not.

use std::fs;
use std::io;
use std::path::Path;

use crate::cli::fs::Disk;
use crate::source::{FileError, Files};

/// A [`Disk`] that holds a folder of the repository; paths are those of the whole repository all the same.
pub(super) struct Packed {
    disk: Disk,
    /// The folder that it is; empty where it is all.
    folder: String,
}

impl Packed {
    /// What was packed, seen from the folder of the application, `here`, without links, whose path in the repository is `source_path`.
    pub(super) fn open(here: &Path, source_path: &str) -> io::Result<Self> {
        let names: Vec<&str> = source_path.split('/').filter(|name| !name.is_empty()).collect();
        for (outside, _) in names.iter().enumerate() {
            // A link on the way is followed before we are called.
            let leads_here = |root: &&Path| {
                fs::canonicalize(root.join(names[outside..].join("/"))).is_ok_and(|folder| folder == here)
            };
            if let Some(root) = here.ancestors().find(leads_here) {
                return Ok(Self { disk: Disk::open(root)?, folder: names[..outside].join("/") });
            }
        }
        Ok(Self { disk: Disk::open(here)?, folder: names.join("/") })
    }

    /// A path of the repository from the root of what was packed; `needed` is the folder that would have to be packed, too.
    fn inside<'p>(&self, path: &'p str, needed: &str) -> Result<&'p str, FileError> {
        if self.folder.is_empty() {
            return Ok(path);
        }
        match path.strip_prefix(&*self.folder) {
            Some("") => Ok(""),
            Some(rest) if rest.starts_with('/') => Ok(&rest[1..]),
            _ => Err(FileError::Io(format!(
                "is not below `{}`, and that is all that Argo CD handed over: name `/{needed}` in the annotation \
                 argocd.argoproj.io/manifest-generate-paths",
                self.folder
            ))),
        }
    }
}

impl Files for Packed {
    fn list(&self, folder: &str) -> Result<Vec<String>, FileError> {
        let mut files = self.disk.list(self.inside(folder, folder)?)?;
        if !self.folder.is_empty() {
            files.iter_mut().for_each(|file| file.insert_str(0, &format!("{}/", self.folder)));
        }
        Ok(files)
    }

    fn read(&self, path: &str) -> Result<Vec<u8>, FileError> {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        match self.inside(path, folder) {
            Ok(path) => self.disk.read(path),
            // A layer need not have one; that the layer itself is not there is told when it is listed.
            Err(_) if name == "layer.yaml" => Err(FileError::NotFound),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_packed_is_where_the_working_folder_and_the_path_part() {
        let tmp = tempfile::tempdir().unwrap();
        let top = fs::canonicalize(tmp.path()).unwrap();
        for (here, path, folder) in [
            ("x/sites/lab1", "sites/lab1", ""),
            ("x/sites/lab1", "dpu/sites/lab1", "dpu"),
            ("x/lab1", "dpu/sites/lab1", "dpu/sites"),
            ("x", "dpu/sites/lab1", "dpu/sites/lab1"),
            ("x/a", "a/a", "a"),
            ("x", "", ""),
        ] {
            let here = top.join(here);
            fs::create_dir_all(&here).unwrap();
            let packed = Packed::open(&here, path).unwrap();
            assert_eq!(packed.folder, folder, "{path}");
        }
    }

    #[test]
    fn the_path_may_be_a_link() {
        let tmp = tempfile::tempdir().unwrap();
        let top = fs::canonicalize(tmp.path()).unwrap();
        let here = top.join("sites/lab1");
        fs::create_dir_all(&here).unwrap();
        std::os::unix::fs::symlink("lab1", top.join("sites/current")).unwrap();
        for (path, folder) in [("sites/current", ""), ("dpu/sites/current", "dpu")] {
            let packed = Packed::open(&here, path).unwrap();
            assert_eq!((&*packed.folder, packed.disk.root()), (folder, &*top));
        }
    }

    #[test]
    fn what_is_above_or_beside_is_not_there() {
        let tmp = tempfile::tempdir().unwrap();
        let packed = Packed::open(tmp.path(), "a/b").unwrap();
        for path in ["a", "a/bc", "b", ""] {
            assert!(matches!(packed.inside(path, path), Err(FileError::Io(_))), "{path}");
        }
        assert_eq!((packed.inside("a/b", ""), packed.inside("a/b/c", "")), (Ok(""), Ok("c")));
    }
}
