//! The table of consequences speaks of every kind that a site may hold.

use std::collections::BTreeSet;
use std::path::Path;

use dpu_render::diff::impact::is_known;
use dpu_render::schema::Schemas;

use crate::golden::tree;
use crate::program::run;
use crate::shared::shared;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// `group/Kind` of each document of a text; templates are texts too.
fn kinds(text: &str) -> BTreeSet<(String, String)> {
    let documents = text.split("\n---");
    let field = |document: &str, name: &str| {
        let line = document.lines().find_map(|line| line.strip_prefix(name))?;
        Some(line.split('#').next().unwrap_or_default().trim().trim_matches('"').to_owned())
    };
    let named = documents.filter_map(|document| {
        let version = field(document, "apiVersion:")?;
        let group = version.split_once('/').map_or(String::new(), |(group, _)| group.to_owned());
        Some((group, field(document, "kind:")?))
    });
    named.filter(|(_, kind)| !kind.contains(['{', '$'])).collect()
}

fn unknown(kinds: &BTreeSet<(String, String)>) -> Vec<&(String, String)> {
    kinds.iter().filter(|(group, kind)| !is_known(group, kind)).collect()
}

#[test]
fn every_kind_that_is_rendered_has_a_row() {
    let mut found = BTreeSet::new();
    for site in ["sites/lab1", "sites/lab1-dpuset", "sites/lab2"] {
        let said = run(root(), &[site, "--intermediate"]);
        assert_eq!(said.code, Some(0), "{}", said.err);
        found.extend(kinds(&said.out));
    }
    assert!(found.len() > 20, "{found:?}");
    assert_eq!(unknown(&found), Vec::<&(String, String)>::new());
}

/// Kinds of tests and fleets that are made up, or that never reach a cluster.
const MADE_UP: [&str; 2] = ["dpu-render.dev", "example.com"];
/// Wrappers of objects, and what configures programs.
const NO_OBJECTS: [&str; 5] = ["List", "ConfigMapList", "Kustomization", "ClusterConfiguration", "Component"];

#[test]
fn every_kind_of_fleets_and_golden_cases_has_a_row() {
    let mut found = BTreeSet::new();
    for folder in ["benches/fleet", "tests/render", "base", "overlays", "sites"] {
        found.extend(tree(&root().join(folder)).values().flat_map(|text| kinds(text)));
    }
    found.retain(|(group, kind)| {
        !MADE_UP.iter().any(|made_up| group.ends_with(made_up)) && !NO_OBJECTS.contains(&&**kind)
    });
    assert_eq!(unknown(&found), Vec::<&(String, String)>::new());
}

#[test]
fn every_kind_whose_fields_are_known_has_a_row() {
    let lines = Schemas::built_in().lines();
    let found: BTreeSet<(String, String)> = lines.map(|line| (line.group.to_string(), line.kind.to_string())).collect();
    assert!(found.len() > 40);
    assert_eq!(unknown(&found), Vec::<&(String, String)>::new());
}

#[test]
fn every_kind_of_the_public_examples_has_a_row() {
    let Some(examples) = shared("examples") else { return };
    let mut found = BTreeSet::new();
    for file in walkdir::WalkDir::new(examples).into_iter().map(Result::unwrap) {
        if file.path().extension().is_some_and(|extension| extension == "yaml" || extension == "yml")
            && file.file_type().is_file()
        {
            found.extend(kinds(&std::fs::read_to_string(file.path()).unwrap()));
        }
    }
    found.retain(|(_, kind)| !NO_OBJECTS.contains(&&**kind));
    assert!(found.len() > 20, "{found:?}");
    assert_eq!(unknown(&found), Vec::<&(String, String)>::new());
}
