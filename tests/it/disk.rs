//! `cli::fs`: what is read from disk, and what is not.
#![expect(clippy::disallowed_methods, clippy::unwrap_used, reason = "tests set files up and run the program")]

use std::fs::{self, File};

use dpu_render::cli::fs::Disk;
use dpu_render::source::{FileError, Files, MAX_FILE_BYTES};

use crate::program::{folder, pipe};

fn list(disk: &Disk, folder: &str) -> Vec<String> {
    let mut files = disk.list(folder).unwrap();
    files.sort();
    files
}

fn fault(result: Result<Vec<String>, FileError>) -> String {
    result.unwrap_err().to_string()
}

#[test]
fn a_walk_lists_what_holds_objects_and_skips_what_is_hidden() {
    let repository = folder(&[
        ("base/a.yaml", ""),
        ("base/deep/b.yml", ""),
        ("base/deep/c.json", ""),
        ("base/d.j2", ""),
        ("base/README.md", ""),
        ("base/.git/e.yaml", ""),
        ("base/_drafts/f.yaml", ""),
        ("base/_g.yaml", ""),
        ("other/h.yaml", ""),
    ]);
    let disk = Disk::open(repository.path()).unwrap();
    assert_eq!(list(&disk, "base"), ["base/a.yaml", "base/d.j2", "base/deep/b.yml", "base/deep/c.json"]);
    assert_eq!(list(&disk, "base/deep"), ["base/deep/b.yml", "base/deep/c.json"]);
    assert_eq!(list(&disk, "").len(), 5);
    assert_eq!(disk.list("nowhere"), Err(FileError::NotFound));
    assert_eq!(disk.list("base/a.yaml"), Err(FileError::NotFound));
    assert_eq!(disk.read("base/a.yaml/b"), Err(FileError::NotFound));
}

#[test]
fn nothing_outside_the_root_is_read() {
    let outer = folder(&[
        ("secret.yaml", "secret"),
        ("secrets/x.yaml", "secret"),
        ("repo/base/a.yaml", "-> ../../secret.yaml"),
        ("repo/base/plain.yaml", "inside"),
        ("repo/folder", "-> ../secrets"),
        ("repo/layer/x", "-> ../../secrets"),
        ("repo/layer/ok.yaml", ""),
    ]);
    let disk = Disk::open(&outer.path().join("repo")).unwrap();
    for path in
        ["base/a.yaml", "../secret.yaml", "base/../../secret.yaml", "/etc/passwd", "folder/x.yaml", "base/./x", "a\0b"]
    {
        assert_eq!(disk.read(path), Err(FileError::Outside), "{path}");
    }
    for path in ["..", "folder", "/", "base/.."] {
        assert_eq!(disk.list(path), Err(FileError::Outside), "{path}");
    }
    assert_eq!(list(&disk, "base"), ["base/a.yaml", "base/plain.yaml"], "reading tells");
    assert_eq!(fault(disk.list("layer")), "holds `layer/x`, a link that leads out of the repository");
    assert_eq!(disk.read("base/plain.yaml").unwrap(), b"inside");
}

#[test]
fn links_inside_the_root_are_followed_but_not_in_circles() {
    let repository = folder(&[
        ("shared/a.yaml", "text"),
        ("site/link.yaml", "-> ../shared/a.yaml"),
        ("site/folder", "-> ../shared"),
        ("site/dangling.yaml", "-> nowhere.yaml"),
        ("site/README", "-> nowhere"),
        ("loop/inner/up", "-> .."),
        ("self/me.yaml", "-> me.yaml"),
    ]);
    let disk = Disk::open(repository.path()).unwrap();
    assert_eq!(list(&disk, "site"), ["site/dangling.yaml", "site/folder/a.yaml", "site/link.yaml"]);
    assert_eq!(disk.read("site/link.yaml").unwrap(), b"text");
    assert_eq!(disk.read("site/folder/a.yaml").unwrap(), b"text");
    assert_eq!(disk.read("site/dangling.yaml"), Err(FileError::NotFound));
    assert_eq!(fault(disk.list("loop")), "holds `loop/inner/up`, a link to a folder it is in");
    assert!(matches!(disk.read("self/me.yaml"), Err(FileError::Io(_))));
}

#[test]
fn only_regular_files_of_a_sane_size_are_opened() {
    let repository = folder(&[("base/a.yaml", ""), ("base/x.yaml/y.yaml", "")]);
    let base = repository.path().join("base");
    pipe(&base.join("pipe.yaml"));
    File::create(base.join("huge.yaml")).unwrap().set_len(MAX_FILE_BYTES + 1).unwrap();
    File::create(base.join("large.yaml")).unwrap().set_len(MAX_FILE_BYTES).unwrap();
    let disk = Disk::open(repository.path()).unwrap();
    assert_eq!(disk.read("base/pipe.yaml"), Err(FileError::NotRegular));
    assert_eq!(disk.read("base/x.yaml"), Err(FileError::NotRegular));
    assert_eq!(disk.read("base/huge.yaml"), Err(FileError::TooLarge));
    assert_eq!(disk.read("base/large.yaml").unwrap().len() as u64, MAX_FILE_BYTES);
}

#[test]
fn walks_are_bounded() {
    let repository = folder(&[("wide/a.yaml", "")]);
    fs::create_dir_all(repository.path().join(format!("deep{}", "/d".repeat(40)))).unwrap();
    let disk = Disk::open(repository.path()).unwrap();
    assert_eq!(fault(disk.list("deep")), "holds folders more than 32 deep");
    fs::write(repository.path().join("wide/new\nline.yaml"), "").unwrap();
    assert!(fault(disk.list("wide")).starts_with("holds a name that is no text"));
}
