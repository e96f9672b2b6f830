//! `cli::tree`: what is written, and what is left alone.
#![expect(clippy::disallowed_methods, clippy::unwrap_used, reason = "tests set files up and run the program")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;

use dpu_render::cli::tree::{Layout, Summary, TreeError, site_folder, write};
use dpu_render::node::Node;
use dpu_render::render::object::{Destination, ObjectId};
use dpu_render::render::{Options, RenderedDestination, RenderedObject, RenderedSite, Repository, ValuesFile};
use dpu_render::source::Origin;
use tempfile::TempDir;

use crate::program::folder;

const HEADING: &str = "# dpu-render 1: these files are written, and removed, by dpu-render\n";

fn object(kind: &str, name: &str, text: &str) -> RenderedObject {
    RenderedObject {
        id: ObjectId::new("", kind, "ns", name).into(),
        node: Node::map([], Origin::NONE),
        text: format!("{text}\n").into(),
    }
}

fn destination(destination: Destination, objects: Vec<RenderedObject>) -> RenderedDestination {
    let values = vec![ValuesFile {
        name: "ovn".into(),
        application: ObjectId::new("argoproj.io", "Application", "a", "dpu-a-ovn"),
        text: "mtu: 1500\n".into(),
    }];
    RenderedDestination { destination, objects, values }
}

/// A management cluster with `management` and two DPU clusters with `cluster`.
fn site(management: &[(&str, &str)], cluster: &[(&str, &str)]) -> RenderedSite {
    let objects = |of: &[(&str, &str)]| of.iter().map(|(name, text)| object("ConfigMap", name, text)).collect();
    let mut first = destination(Destination::Management, objects(management));
    first.values.clear();
    let names = ["blue", "green"];
    let clusters = names.map(|name| destination(Destination::Cluster(name.into()), objects(cluster)));
    RenderedSite { destinations: [first].into_iter().chain(clusters).collect(), ..empty() }
}

/// A site that has no objects.
fn empty() -> RenderedSite {
    let text = "apiVersion: dpu-render.dev/v1alpha1\nkind: Site\nmetadata: {name: lab1}\nspec: {dpf: v24.10, mode: operator}\n";
    let files = BTreeMap::from([("lab1/site.yaml".to_owned(), text.to_owned())]);
    let outcome = Repository::new(&files).render("lab1", &Options::default());
    outcome.site.unwrap_or_else(|| panic!("{:?}", outcome.diagnostics))
}

/// Every file below a folder and its text; links as `-> target`, empty folders with a `/`.
fn files(dir: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut open = vec![dir.to_owned()];
    while let Some(folder) = open.pop() {
        let entries: Vec<_> = fs::read_dir(&folder).unwrap().map(Result::unwrap).collect();
        let name = |path: &Path| path.strip_prefix(dir).unwrap().to_str().unwrap().to_owned();
        if entries.is_empty() && folder != dir {
            found.insert(format!("{}/", name(&folder)), String::new());
        }
        for entry in entries {
            let (path, kind) = (entry.path(), entry.file_type().unwrap());
            if kind.is_dir() {
                open.push(path);
            } else if kind.is_symlink() {
                found.insert(name(&path), format!("-> {}", fs::read_link(&path).unwrap().display()));
            } else {
                found.insert(name(&path), fs::read_to_string(&path).unwrap());
            }
        }
    }
    found
}

fn names(dir: &Path) -> Vec<String> {
    files(dir).into_keys().collect()
}

fn identities(dir: &Path) -> Vec<(String, u64, i64, i64)> {
    let identity = |name: String| {
        let metadata = fs::metadata(dir.join(&name)).unwrap();
        (name, metadata.ino(), metadata.mtime(), metadata.mtime_nsec())
    };
    names(dir).into_iter().map(identity).collect()
}

#[test]
fn a_tree_has_a_file_per_object_and_a_list() {
    let dir = TempDir::new().unwrap();
    let done = write(&site(&[("m", "m: 1")], &[("a", "a: 1")]), dir.path(), Layout::Tree).unwrap();
    assert_eq!(done, Summary { written: 5, removed: 0, unchanged: 0 });
    let files = files(dir.path());
    let list = "clusters/blue/configmap-ns-a.yaml\nclusters/blue/values/ovn.yaml\nclusters/green/configmap-ns-a.yaml\n\
                clusters/green/values/ovn.yaml\nmanagement/configmap-ns-m.yaml\n";
    assert_eq!(files[".dpu-render"], format!("{HEADING}{list}"));
    assert_eq!(files["management/configmap-ns-m.yaml"], "m: 1\n");
    assert_eq!(files["clusters/green/values/ovn.yaml"], "mtu: 1500\n");
    assert_eq!(files.len(), 6, "{files:?}");
}

#[test]
fn a_bundle_has_a_file_per_destination_and_replaces_a_tree() {
    let dir = TempDir::new().unwrap();
    let site = site(&[("m", "m: 1"), ("n", "n: 1")], &[("a", "a: 1")]);
    write(&site, dir.path(), Layout::Tree).unwrap();
    let done = write(&site, dir.path(), Layout::Bundle).unwrap();
    assert_eq!(done, Summary { written: 3, removed: 4, unchanged: 2 });
    let files = files(dir.path());
    assert_eq!(files["management.yaml"], "---\nm: 1\n---\nn: 1\n");
    assert_eq!(
        files.keys().collect::<Vec<_>>(),
        [
            ".dpu-render",
            "clusters/blue.yaml",
            "clusters/blue/values/ovn.yaml",
            "clusters/green.yaml",
            "clusters/green/values/ovn.yaml",
            "management.yaml"
        ]
    );
}

#[test]
fn what_would_not_change_is_not_touched() {
    let dir = TempDir::new().unwrap();
    write(&site(&[("m", "m: 1"), ("n", "n: 1")], &[]), dir.path(), Layout::Tree).unwrap();
    let before = identities(dir.path());
    let done = write(&site(&[("m", "m: 1"), ("n", "n: 1")], &[]), dir.path(), Layout::Tree).unwrap();
    assert_eq!(done, Summary { written: 0, removed: 0, unchanged: 4 });
    assert_eq!(identities(dir.path()), before);

    let done = write(&site(&[("m", "m: 1"), ("n", "n: 2")], &[]), dir.path(), Layout::Tree).unwrap();
    assert_eq!(done, Summary { written: 1, removed: 0, unchanged: 3 });
    let after = identities(dir.path());
    let touched: Vec<&str> = before.iter().zip(&after).filter(|(a, b)| a != b).map(|(a, _)| a.0.as_str()).collect();
    assert_eq!(touched, ["management/configmap-ns-n.yaml"], "of the same length, so the bytes were compared");
}

#[test]
fn stale_files_and_emptied_folders_go_and_foreign_ones_stay() {
    let dir = TempDir::new().unwrap();
    write(&site(&[("m", "m: 1")], &[("a", "a: 1")]), dir.path(), Layout::Tree).unwrap();
    fs::write(dir.path().join("clusters/green/NOTES.md"), "mine").unwrap();
    fs::write(dir.path().join("management/configmap-ns-mine.yaml"), "mine").unwrap();
    let mut less = site(&[("m", "m: 1")], &[]);
    less.destinations.truncate(1);
    let done = write(&less, dir.path(), Layout::Tree).unwrap();
    assert_eq!(done, Summary { written: 0, removed: 4, unchanged: 1 });
    assert_eq!(
        names(dir.path()),
        [
            ".dpu-render",
            "clusters/green/NOTES.md",
            "management/configmap-ns-m.yaml",
            "management/configmap-ns-mine.yaml"
        ]
    );
}

#[test]
fn a_foreign_file_is_not_overwritten_unless_it_is_the_same() {
    let dir = folder(&[
        ("management/configmap-ns-m.yaml", "m: 1\n"),
        ("clusters/blue/configmap-ns-a.yaml", "hand-made"),
        ("clusters/green/configmap-ns-a.yaml", "hand-made"),
    ]);
    let before = files(dir.path());
    let error = write(&site(&[("m", "m: 1")], &[("a", "a: 1")]), dir.path(), Layout::Tree).unwrap_err();
    let path = dir.path().join("clusters/blue/configmap-ns-a.yaml");
    let text = format!("`{}` was not written by dpu-render and is not overwritten (and 1 more)", path.display());
    assert_eq!(error.to_string(), text);
    assert_eq!(files(dir.path()), before);

    write(&site(&[("m", "m: 1")], &[]), dir.path(), Layout::Tree).unwrap();
    assert!(files(dir.path())[".dpu-render"].contains("management/configmap-ns-m.yaml"));
}

#[test]
fn a_hostile_list_removes_nothing() {
    for line in ["../victim.yaml", "/victim.yaml", "management/../../victim.yaml", "victim.yaml", "management//x.yaml"]
    {
        let outer = folder(&[("victim.yaml", "x"), ("out/victim.yaml", "x")]);
        let dir = outer.path().join("out");
        fs::write(dir.join(".dpu-render"), format!("{HEADING}{line}\n")).unwrap();
        let before = files(outer.path());
        let error = write(&site(&[], &[]), &dir, Layout::Tree).unwrap_err();
        assert!(matches!(error, TreeError::List { line: 2, .. }), "{error}");
        assert_eq!(files(outer.path()), before, "{line}");
    }
    let dir = folder(&[(".dpu-render", "something else\n")]);
    assert!(matches!(write(&site(&[], &[]), dir.path(), Layout::Tree), Err(TreeError::List { line: 1, .. })));
}

#[test]
fn links_in_a_tree_are_not_followed() {
    let list = format!("{HEADING}clusters/old/x.yaml\n");
    let outer = folder(&[
        ("victim/x.yaml", "x"),
        ("out/.dpu-render", &list),
        ("out/clusters/old", "-> ../../victim"),
        ("out/management", "-> ../victim"),
    ]);
    let dir = outer.path().join("out");
    let error = write(&site(&[("m", "m: 1")], &[]), &dir, Layout::Tree).unwrap_err();
    assert!(matches!(&error, TreeError::NotAFolder(path) if path.ends_with("out/management")), "{error}");

    fs::remove_file(dir.join("management")).unwrap();
    write(&site(&[("m", "m: 1")], &[]), &dir, Layout::Tree).unwrap();
    assert_eq!(fs::read_to_string(outer.path().join("victim/x.yaml")).unwrap(), "x", "a stale file behind a link");

    let file = dir.join("management/configmap-ns-m.yaml");
    fs::remove_file(&file).unwrap();
    symlink("../../victim/x.yaml", &file).unwrap();
    assert!(matches!(
        write(&site(&[("m", "m: 2")], &[]), &dir, Layout::Tree),
        Err(TreeError::Foreign { path, .. }) if path == file
    ));
    assert_eq!(fs::read_to_string(outer.path().join("victim/x.yaml")).unwrap(), "x");
    fs::remove_file(dir.join(".dpu-render")).unwrap();
    symlink("../victim/x.yaml", dir.join(".dpu-render")).unwrap();
    assert!(matches!(write(&site(&[], &[]), &dir, Layout::Tree), Err(TreeError::Foreign { .. })));
}

#[test]
fn several_sites_have_a_folder_each() {
    let dir = TempDir::new().unwrap();
    let out = dir.path().join("made/on/demand");
    let folder = site_folder(&out, "lab1").unwrap();
    write(&site(&[("m", "m: 1")], &[]), &folder, Layout::Bundle).unwrap();
    assert!(out.join("lab1/management.yaml").is_file());
    assert_eq!(site_folder(&out, "../x").unwrap(), out.join("_2e._2fx"));
    symlink("lab1", out.join("lab2")).unwrap();
    assert!(matches!(site_folder(&out, "lab2"), Err(TreeError::NotAFolder(_))));
    assert!(matches!(site_folder(&folder, "lab3"), Err(TreeError::Single(_))));
}

#[test]
fn what_a_run_that_was_cut_off_left_is_mended() {
    let dir = TempDir::new().unwrap();
    let new = site(&[("m", "m: 1")], &[("a", "a: 1")]);
    write(&new, dir.path(), Layout::Tree).unwrap();
    // As if the run had ended after the list and some of the files: one is missing, one is old, a temporary one lies there.
    let list = format!("{}management/configmap-ns-old.yaml\n", files(dir.path())[".dpu-render"]);
    fs::write(dir.path().join(".dpu-render"), list).unwrap();
    fs::write(dir.path().join("management/configmap-ns-old.yaml"), "old").unwrap();
    fs::write(dir.path().join("clusters/blue/configmap-ns-a.yaml"), "old").unwrap();
    fs::write(dir.path().join("clusters/blue/.dpu-render.tmp"), "ha").unwrap();
    fs::write(dir.path().join(".dpu-render.tmp"), "ha").unwrap();
    fs::remove_file(dir.path().join("clusters/green/configmap-ns-a.yaml")).unwrap();
    let done = write(&new, dir.path(), Layout::Tree).unwrap();
    assert_eq!(done, Summary { written: 2, removed: 1, unchanged: 3 });
    let fresh = TempDir::new().unwrap();
    write(&new, fresh.path(), Layout::Tree).unwrap();
    assert_eq!(files(dir.path()), files(fresh.path()));
}

#[test]
fn two_writers_do_not_mix() {
    let dir = TempDir::new().unwrap();
    let lock = fs::File::open(dir.path()).unwrap();
    lock.lock().unwrap();
    assert!(matches!(write(&site(&[], &[]), dir.path(), Layout::Tree), Err(TreeError::Busy(_))));
    lock.unlock().unwrap();
    write(&site(&[], &[]), dir.path(), Layout::Tree).unwrap();
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let dir = Path::new("/proc/self/nothing-can-be-made-here");
    let error = write(&site(&[("m", "m: 1")], &[]), dir, Layout::Tree).unwrap_err();
    assert!(error.to_string().starts_with("cannot make `/proc/self/nothing-can-be-made-here`: "), "{error}");
    let file = folder(&[("out", "a file")]);
    assert!(matches!(write(&site(&[], &[]), &file.path().join("out"), Layout::Tree), Err(TreeError::Io { .. })));
}

#[test]
fn two_objects_of_one_identity_are_not_written_over_each_other() {
    let dir = TempDir::new().unwrap();
    let error = write(&site(&[("m", "m: 1"), ("m", "m: 2")], &[]), dir.path(), Layout::Tree).unwrap_err();
    assert!(matches!(error, TreeError::Twice(_)), "{error}");
    assert!(names(dir.path()).is_empty());
}
