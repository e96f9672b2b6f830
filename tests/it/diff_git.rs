//! `dpu-render diff` on the histories of real git repositories.

use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::program::{Said, program};

const SITE: &str = "apiVersion: dpu-render.dev/v1alpha1\nkind: Site\nmetadata: {name: NAME}\nspec:\n  dpf: v24.10\n  mode: operator\n  layers: [base]\n  external: [{group: operator.dpu.nvidia.com, kind: DPFOperatorConfig, namespace: dpf-operator-system, name: dpfoperatorconfig}]\n";

fn map(name: &str, value: &str) -> String {
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}, namespace: ns}}\ndata: {{a: {value}, b: b, c: c, d: d}}\n"
    )
}

fn git(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .args(["-c", "user.name=t", "-c", "user.email=t@example.net", "-c", "protocol.file.allow=always"])
        .args(arguments)
        .current_dir(folder)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_SYSTEM", "/dev/null")
        .output()
        .expect("these tests need `git`: apt-get install git");
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn diff(folder: &Path, arguments: &[&str]) -> Said {
    let path = std::env::var_os("PATH").unwrap();
    Said::of(program(folder).env("PATH", path).arg("diff").args(arguments).output().unwrap())
}

fn write(folder: &Path, path: &str, text: &str) {
    let path = folder.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn commit(folder: &Path, message: &str) -> String {
    git(folder, &["add", "-A"]);
    git(folder, &["commit", "-q", "-m", message]);
    git(folder, &["rev-parse", "HEAD"])
}

/// Two sites on one layer, committed.
fn repository() -> TempDir {
    let folder = TempDir::new().unwrap();
    git(folder.path(), &["init", "-q", "-b", "main"]);
    write(folder.path(), "base/map.yaml", &map("map", "one"));
    for site in ["lab1", "lab2"] {
        write(folder.path(), &format!("sites/{site}/site.yaml"), &SITE.replace("NAME", site));
    }
    commit(folder.path(), "first");
    folder
}

#[test]
fn the_work_tree_is_compared_with_the_last_commit_and_nothing_is_touched() {
    let repository = repository();
    let here = repository.path();
    assert_eq!(diff(here, &[]).code, Some(0));
    write(here, "base/map.yaml", &map("map", "two"));
    write(here, "base/untracked.yaml", &map("untracked", "x"));
    let index = fs::read(here.join(".git/index")).unwrap();
    let said = diff(here, &[]);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(
        said.out.contains("data.a: one → two") && said.out.contains("added ConfigMap ns/untracked"),
        "{}",
        said.out
    );
    assert!(said.out.contains("lab1: management") || said.out.contains("lab1, lab2: management"), "{}", said.out);
    assert_eq!(fs::read(here.join(".git/index")).unwrap(), index);
    assert_eq!(git(here, &["status", "--porcelain"]), "M base/map.yaml\n?? base/untracked.yaml");
    // From a folder inside, one site, by its file; and from outside by its path.
    let inside = diff(&here.join("sites/lab1"), &["site.yaml", "--head", "worktree"]);
    assert!(
        inside.out.contains("2 objects") || inside.out.contains("1 object changed, 1 object added in 1 destination"),
        "{}",
        inside.out
    );
    let outside = diff(here.parent().unwrap(), &[here.join("sites/lab1").to_str().unwrap()]);
    assert_eq!(outside.code, Some(2), "git knows no repository there: {outside:?}");
}

#[test]
fn revisions_are_compared_and_the_merge_base_leaves_out_what_others_did() {
    let repository = repository();
    let here = repository.path();
    git(here, &["checkout", "-q", "-b", "feature"]);
    write(here, "base/map.yaml", &map("map", "feature"));
    commit(here, "feature");
    git(here, &["checkout", "-q", "main"]);
    write(here, "base/other.yaml", &map("other", "main"));
    commit(here, "main moves on");
    let plain = diff(here, &["--base", "main", "--head", "feature"]);
    assert!(plain.out.contains("removed ConfigMap ns/other"), "{}", plain.out);
    let parted = diff(here, &["--base", "main", "--head", "feature", "--merge-base"]);
    assert_eq!(parted.code, Some(1));
    assert!(!parted.out.contains("ns/other") && parted.out.contains("one → feature"), "{}", parted.out);
    assert_eq!(diff(here, &["--base", "main", "--head", "main"]).code, Some(0));
}

#[test]
fn what_is_deleted_moved_and_only_on_one_side_is_told() {
    let repository = repository();
    let here = repository.path();
    git(here, &["mv", "sites/lab2", "sites/lab3"]);
    fs::remove_dir_all(here.join("sites/lab1")).unwrap();
    write(here, "sites/lab9/site.yaml", &SITE.replace("NAME", "lab9").replace("[base]", "[base, extra]"));
    write(here, "extra/x.yaml", "apiVersion: example.net/v1\nkind: Widget\nmetadata: {name: w}\nspec: {a: 1}\n");
    let said = diff(here, &["--format", "json"]);
    let report: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    let told: Vec<(&str, &str, Vec<&str>)> = report["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| {
            let places = entry["variants"][0]["places"].as_object().unwrap();
            (
                entry["change"].as_str().unwrap(),
                entry["whole"].as_str().unwrap(),
                places.keys().map(String::as_str).collect(),
            )
        })
        .collect();
    // lab2 kept its name, so the move changes nothing; lab9 has half of lab1 in it.
    assert_eq!(told.len(), 1, "{}", said.out);
    assert_eq!(report["renamed"][0]["was"], "lab1", "{}", said.out);
    let one = diff(here, &["sites/lab1", "--format", "json"]);
    assert!(one.out.contains(r#""whole":"site""#) && one.out.contains(r#""change":"removed""#), "{}", one.out);
}

#[test]
fn a_bare_repository_needs_a_head() {
    let repository = repository();
    let here = repository.path();
    write(here, "base/map.yaml", &map("map", "two"));
    commit(here, "second");
    let bare = TempDir::new().unwrap();
    git(here, &["clone", "-q", "--bare", ".", bare.path().to_str().unwrap()]);
    let without = diff(bare.path(), &["--base", "main~1"]);
    assert_eq!(without.code, Some(2));
    assert!(without.err.contains("no work tree"), "{}", without.err);
    let said = diff(bare.path(), &["--base", "main~1", "--head", "main", "sites/lab1"]);
    assert!(said.out.contains("one → two") && said.code == Some(1), "{said:?}");
}

#[test]
fn a_second_work_tree_and_a_folder_inside_are_found() {
    let repository = repository();
    let here = repository.path();
    let second = TempDir::new().unwrap();
    let path = second.path().join("tree");
    git(here, &["worktree", "add", "-q", path.to_str().unwrap(), "-b", "other"]);
    write(&path, "base/map.yaml", &map("map", "two"));
    assert!(diff(&path, &[]).out.contains("one → two"));
    assert_eq!(diff(here, &[]).code, Some(0));
    // A repository of sites in a folder of a larger one.
    let larger = TempDir::new().unwrap();
    git(larger.path(), &["init", "-q", "-b", "main"]);
    write(larger.path(), "fleet/base/map.yaml", &map("map", "one"));
    write(larger.path(), "fleet/sites/lab1/site.yaml", &SITE.replace("NAME", "lab1"));
    commit(larger.path(), "first");
    write(larger.path(), "fleet/base/map.yaml", &map("map", "two"));
    for (folder, arguments) in [("fleet", &[][..]), ("", &["fleet/sites/lab1"]), ("", &["--root", "fleet"])] {
        let said = diff(&larger.path().join(folder), arguments);
        assert!(said.out.contains("one → two") && said.out.contains("at base/map.yaml"), "{said:?}");
    }
}

#[test]
fn a_shallow_clone_says_how_to_get_what_is_missing() {
    let repository = repository();
    let here = repository.path();
    write(here, "base/map.yaml", &map("map", "two"));
    commit(here, "second");
    git(here, &["checkout", "-q", "-b", "feature"]);
    let clone = TempDir::new().unwrap();
    let url = format!("file://{}", here.display());
    git(here, &["clone", "-q", "--depth", "1", &url, clone.path().to_str().unwrap()]);
    let said = diff(clone.path(), &["--base", "HEAD~1"]);
    assert_eq!(said.code, Some(2));
    assert!(said.err.contains("shallow") && said.err.contains("git fetch"), "{}", said.err);
    let unknown = diff(here, &["--base", "nowhere"]);
    assert!(unknown.err.contains("`nowhere`") && !unknown.err.contains("shallow"), "{}", unknown.err);
    assert_eq!(diff(here, &["--base", "--output=x"]).code, Some(2));
}

#[test]
fn links_in_a_commit_are_those_of_a_folder() {
    let repository = repository();
    let here = repository.path();
    std::os::unix::fs::symlink("../shared/more.yaml", here.join("base/more.yaml")).unwrap();
    write(here, "shared/more.yaml", &map("more", "one"));
    write(here, "shared/folder/f.yaml", &map("f", "one"));
    std::os::unix::fs::symlink("../shared/folder", here.join("base/linked")).unwrap();
    let linked = commit(here, "links");
    assert_eq!(diff(here, &["--base", &linked]).code, Some(0), "a commit and its work tree are the same");
    write(here, "shared/folder/f.yaml", &map("f", "two"));
    let said = diff(here, &[]);
    assert!(said.out.contains("ConfigMap ns/f") && said.out.contains("one → two"), "{said:?}");
    write(here, "shared/folder/f.yaml", &map("f", "one"));
    std::os::unix::fs::symlink("/etc/hostname", here.join("base/out.yaml")).unwrap();
    let out = commit(here, "a link that leads out");
    let said = diff(here, &["--base", &linked, "--head", &out]);
    assert_eq!(said.code, Some(2));
    assert!(said.err.contains("leads out of the repository"), "{}", said.err);
}

#[test]
fn a_submodule_in_a_layer_is_refused_by_name() {
    let repository = repository();
    let here = repository.path();
    let other = TempDir::new().unwrap();
    git(other.path(), &["init", "-q", "-b", "main"]);
    write(other.path(), "x.yaml", &map("x", "one"));
    commit(other.path(), "other");
    git(here, &["submodule", "add", "-q", other.path().to_str().unwrap(), "base/module"]);
    let with = commit(here, "submodule");
    let said = diff(here, &["--base", "HEAD~1", "--head", &with]);
    assert_eq!(said.code, Some(2));
    assert!(said.err.contains("submodule `base/module`"), "{}", said.err);
}

#[test]
fn without_git_it_is_named() {
    let repository = repository();
    let said = Said::of(program(repository.path()).env("PATH", "/nonexistent").arg("diff").output().unwrap());
    assert_eq!(said.code, Some(2));
    assert!(said.err.contains("`git` is not installed") && said.err.contains("--base-dir"), "{}", said.err);
}
