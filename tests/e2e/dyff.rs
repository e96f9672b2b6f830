//! dyff as a second opinion: what it sees differ between two written sides is in the report of `dpu-render diff`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::lab::root;

/// What `tests/e2e/tools/build.sh` builds.
fn dyff() -> Command {
    let program = std::env::var_os("DPU_RENDER_DYFF").map_or_else(|| root().join("target/dyff"), PathBuf::from);
    assert!(program.exists(), "{} is missing: run `make e2e`, or set DPU_RENDER_DYFF", program.display());
    Command::new(program)
}

/// Two folders that hold a repository each.
struct Pair {
    name: String,
    base: PathBuf,
    head: PathBuf,
}

/// The golden cases of `diff`.
fn cases() -> Vec<Pair> {
    let of = |folder: &str| fs::read_dir(root().join("tests").join(folder)).unwrap();
    let pair =
        |case: PathBuf| Pair { name: case.display().to_string(), base: case.join("base"), head: case.join("head") };
    of("diff").chain(of("impact")).map(|entry| pair(entry.unwrap().path())).collect()
}

/// This repository's sites, changed in a copy: variables of one and of all sites, versions of charts, every label's value.
fn own(copy: &Path) -> Pair {
    for folder in ["base", "overlays", "sites"] {
        let from = root().join(folder);
        for file in walkdir::WalkDir::new(&from).into_iter().map(Result::unwrap).filter(|one| one.file_type().is_file())
        {
            let to = copy.join(folder).join(file.path().strip_prefix(&from).unwrap());
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            let text = fs::read_to_string(file.path()).unwrap();
            let changed = [
                ("testReplicas: 1 ", "testReplicas: 2 "),
                ("targetRevision: v", "targetRevision: v1"),
                ("podCIDR: 10.233.64.0/18", "podCIDR: 10.233.128.0/18"),
                ("dpfVersion: v24.10.0", "dpfVersion: v24.10.1"),
                ("Version: 1.", "Version: 2."),
            ];
            let text = changed.iter().fold(text, |text, (old, new)| text.replace(old, new));
            fs::write(to, text).unwrap();
        }
    }
    Pair { name: "the sites of this repository".to_owned(), base: root().to_owned(), head: copy.to_owned() }
}

/// The sites of a repository, by folder.
fn sites(repository: &Path) -> BTreeSet<String> {
    let folders = fs::read_dir(repository.join("sites")).unwrap().map(|entry| entry.unwrap());
    let sites = folders.filter(|folder| folder.path().join("site.yaml").is_file());
    sites.map(|folder| folder.file_name().into_string().unwrap()).collect()
}

/// A side of a site as a file per destination; nothing where it does not render.
fn written(repository: &Path, site: &str) -> Option<TempDir> {
    let out = TempDir::new().unwrap();
    let mut program = Command::new(env!("CARGO_BIN_EXE_dpu-render"));
    program.args(["--quiet", "--layout", "bundle", "-o"]).arg(out.path()).arg(format!("sites/{site}"));
    program.current_dir(repository).output().unwrap().status.success().then_some(out)
}

/// The destinations of a written site, with their files.
fn destinations(tree: &Path) -> Vec<(String, PathBuf)> {
    let clusters = fs::read_dir(tree.join("clusters")).into_iter().flatten().map(|entry| entry.unwrap().path());
    let files = clusters.chain([tree.join("management.yaml")]).filter(|file| file.is_file());
    files.map(|file| (file.file_stem().unwrap().to_string_lossy().into_owned(), file)).collect()
}

/// `Kind` and `namespace/name` of every object that dyff sees differ.
fn seen(before: &Path, after: &Path) -> BTreeSet<(String, String)> {
    let mut program = dyff();
    program.args(["between", "--omit-header", "--color", "off", "--detect-renames=false"]).args([before, after]);
    let said = program.output().unwrap();
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    let text = String::from_utf8(said.stdout).unwrap();
    // `spec.replicas  (apps/v1/Deployment/apps/web)`
    let named = text.lines().filter(|line| !line.starts_with(' ')).filter_map(|line| {
        let id = line.strip_suffix(')')?.rsplit_once("  (")?.1;
        let parts: Vec<&str> = id.split('/').collect();
        let kind = parts.iter().rposition(|part| part.starts_with(|c: char| c.is_ascii_uppercase()))?;
        Some((parts[kind].to_owned(), parts[kind + 1..].join("/")))
    });
    named.collect()
}

/// Whether `name` is what `pattern` says, in which `<cluster>` and the like stand for anything.
fn is_like(pattern: &str, name: &str) -> bool {
    match pattern.split_once('<').and_then(|(start, rest)| Some((start, rest.split_once('>')?.1))) {
        None => pattern == name,
        Some((start, rest)) => name
            .strip_prefix(start)
            .is_some_and(|left| left.char_indices().any(|(at, c)| is_like(rest, &left[at + c.len_utf8()..]))),
    }
}

/// Whether the report tells of an object of a destination.
fn tells(report: &Value, site: &str, destination: &str, kind: &str, name: &str) -> bool {
    report["entries"].as_array().unwrap().iter().any(|entry| {
        let variants = entry["variants"].as_array().unwrap();
        let there = |variant: &Value| {
            variant["places"][site].as_array().is_some_and(|all| all.iter().any(|one| one == destination))
        };
        let named = |variant: &Value| {
            let names = [&variant["names"], &variant["was"]].into_iter().flat_map(|names| names.as_array().unwrap());
            names.filter_map(Value::as_str).any(|pattern| is_like(pattern, name))
        };
        match entry["whole"].as_str().unwrap() {
            "object" => entry["kind"] == kind && variants.iter().any(|variant| there(variant) && named(variant)),
            _ => !entry["kinds"][kind].is_null() && variants.iter().any(there),
        }
    })
}

#[test]
#[ignore = "needs the programs and the network of the lab: make e2e"]
fn what_dyff_sees_differ_is_in_the_report() {
    let copy = TempDir::new().unwrap();
    let (mut compared, mut objects, mut missing) = (0, 0, Vec::new());
    for pair in cases().into_iter().chain([own(copy.path())]) {
        let mut program = Command::new(env!("CARGO_BIN_EXE_dpu-render"));
        program.args(["diff", "--format", "json", "--base-dir"]).arg(&pair.base).arg("--head-dir").arg(&pair.head);
        let said = program.current_dir(&pair.head).output().unwrap();
        let report: Value = serde_json::from_slice(&said.stdout)
            .unwrap_or_else(|_| panic!("{}: {}", pair.name, String::from_utf8_lossy(&said.stderr)));
        for site in sites(&pair.base).intersection(&sites(&pair.head)) {
            let (Some(before), Some(after)) = (written(&pair.base, site), written(&pair.head, site)) else { continue };
            for (destination, old) in destinations(before.path()) {
                let new = after.path().join(old.strip_prefix(before.path()).unwrap());
                // A cluster that goes is told as a whole.
                if !new.is_file() {
                    continue;
                }
                compared += 1;
                for (kind, name) in seen(&old, &new) {
                    objects += 1;
                    if !tells(&report, site, &destination, &kind, &name) {
                        missing.push(format!("{}: {kind} {name} of {site}/{destination}", pair.name));
                    }
                }
            }
        }
    }
    assert!(missing.is_empty(), "the report lacks:\n{}", missing.join("\n"));
    assert!(compared > 35 && objects > 50, "{objects} objects of {compared} files");
}
