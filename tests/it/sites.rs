//! The sites of this repository, as a user renders them: complete, valid, the same every time, read the same by everybody.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use dpu_render::node::Node;
use dpu_render::render::{Options, RenderedSite, Repository};
use dpu_render::source::{FileError, Files, SourceTree};
use dpu_render::yaml::read;
use tempfile::TempDir;

use crate::golden::tree;
use crate::program::run;

pub(crate) const SITES: [&str; 3] = ["sites/lab1", "sites/lab1-dpuset", "sites/lab2"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub(crate) fn files() -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    for folder in ["base", "overlays", "sites"] {
        files.extend(tree(&root().join(folder)).into_iter().map(|(path, text)| (format!("{folder}/{path}"), text)));
    }
    files
}

/// Lists files in another order for each seed.
struct Shuffled<'f>(&'f BTreeMap<String, String>, usize);

impl Files for Shuffled<'_> {
    fn list(&self, folder: &str) -> Result<Vec<String>, FileError> {
        let mut paths = Files::list(self.0, folder)?;
        let by = self.1 % paths.len().max(1);
        paths.rotate_left(by);
        if self.1 % 2 == 1 {
            paths.reverse();
        }
        Ok(paths)
    }

    fn read(&self, path: &str) -> Result<Vec<u8>, FileError> {
        Files::read(self.0, path)
    }
}

pub(crate) fn render(files: &dyn Files, site: &str) -> RenderedSite {
    let repository = Repository::new(files);
    let outcome = repository.render(site, &Options { values: true, ..Options::default() });
    let faults: Vec<String> = outcome.diagnostics.iter().map(|fault| fault.message.clone()).collect();
    outcome.site.unwrap_or_else(|| panic!("{site}: {faults:?}"))
}

fn text(site: &RenderedSite) -> String {
    let objects =
        site.destinations.iter().flat_map(|d| d.objects.iter().map(move |object| (&d.destination, &object.text)));
    objects.map(|(destination, text)| format!("---\n# {}/{destination}\n{text}", site.name)).collect()
}

#[test]
fn the_order_of_files_does_not_matter() {
    let files = files();
    for site in SITES {
        let texts: Vec<String> = (0..10).map(|seed| text(&render(&Shuffled(&files, seed), site))).collect();
        assert!(texts.windows(2).all(|pair| pair[0] == pair[1]), "{site}");
        assert!(!texts[0].is_empty());
    }
}

#[test]
fn the_number_of_threads_does_not_matter() {
    let with = |threads: &str| {
        let said = run(root(), &[&["--threads", threads], &SITES[..]].concat());
        assert_eq!(said.code, Some(0), "{}", said.err);
        said.out
    };
    let one = with("1");
    assert_eq!(one, with("2"));
    assert!(one.len() > 10_000);
}

#[test]
fn nothing_is_left_to_evaluate_and_nothing_of_ours_stays() {
    let files = files();
    for site in SITES {
        let text = text(&render(&files, site));
        for left in ["${{", "dpu-render.dev/destination", "dpu-render.dev/for-each", "dpu-render.dev/v1alpha1"] {
            assert!(!text.contains(left), "{site} holds {left}");
        }
    }
}

/// Schemas straight from the CRDs, not from the table of the program.
pub(crate) fn crds(folders: &[&str]) -> BTreeMap<(String, String), serde_json::Value> {
    let mut schemas = BTreeMap::new();
    for folder in folders {
        let Some(folder) = crate::shared::shared(&format!("crds/{folder}")) else { continue };
        for (path, text) in tree(&folder) {
            let memory = BTreeMap::from([(path.clone(), text)]);
            let tree = SourceTree::new(&memory);
            let (file, source) = tree.load(&path).unwrap();
            for crd in read::documents(&source, file, &mut Vec::new()) {
                let group = crd.text(&["spec", "group"]).unwrap_or_default().to_owned();
                let kind = crd.text(&["spec", "names", "kind"]).unwrap_or_default().to_owned();
                for version in crd.items(&["spec", "versions"]) {
                    let Some(schema) = version.at(&["schema", "openAPIV3Schema"]) else { continue };
                    let api = format!("{group}/{}", version.text(&["name"]).unwrap_or_default());
                    schemas.insert((api, kind.clone()), schema.to_json());
                }
            }
        }
    }
    schemas
}

pub(crate) fn conforms(value: &serde_json::Value, schema: &serde_json::Value, path: &str, wrong: &mut Vec<String>) {
    use serde_json::Value as Json;
    if schema["x-kubernetes-int-or-string"] == true {
        if !(value.is_i64() || value.is_string()) {
            wrong.push(format!("{path}: neither integer nor string"));
        }
        return;
    }
    let kind = schema["type"].as_str().unwrap_or_default();
    let fits = match (kind, value) {
        ("object", Json::Object(_))
        | ("array", Json::Array(_))
        | ("string", Json::String(_))
        | ("boolean", Json::Bool(_)) => true,
        ("integer", Json::Number(number)) => !number.is_f64(),
        ("number", Json::Number(_)) | ("", _) => true,
        (_, Json::Null) => schema["nullable"] == true,
        _ => false,
    };
    if !fits {
        wrong.push(format!("{path}: {value} is no {kind}"));
        return;
    }
    let open = schema["x-kubernetes-preserve-unknown-fields"] == true;
    match value {
        Json::Object(map) => {
            for required in schema["required"].as_array().into_iter().flatten().filter_map(Json::as_str) {
                if !map.contains_key(required) {
                    wrong.push(format!("{path}: no {required}"));
                }
            }
            for (key, value) in map {
                let below = format!("{path}.{key}");
                // The API server knows ObjectMeta by itself.
                if path.ends_with("metadata") && !path.contains("template") {
                    continue;
                }
                match (schema["properties"].get(key), schema.get("additionalProperties")) {
                    (Some(schema), _) => conforms(value, schema, &below, wrong),
                    (None, Some(schema)) if schema.is_object() => conforms(value, schema, &below, wrong),
                    (None, _) if open => {}
                    (None, _) => wrong.push(format!("{below}: no such field")),
                }
            }
        }
        Json::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                conforms(item, &schema["items"], &format!("{path}[{index}]"), wrong);
            }
        }
        _ => {}
    }
    if let Some(allowed) = schema["enum"].as_array()
        && !allowed.contains(value)
    {
        wrong.push(format!("{path}: {value} is not allowed"));
    }
}

/// Server-side apply refuses a key without a value; Helm values may hold nulls.
fn empty_keys(node: &Node, path: &str, found: &mut Vec<String>) {
    for entry in node.fields(&[]) {
        let below = format!("{path}.{}", entry.key.text);
        if entry.value.is_null() {
            found.push(below);
        } else if !matches!(&*entry.key.text, "values" | "valuesObject") {
            empty_keys(&entry.value, &below, found);
        }
    }
    for (index, item) in node.as_list().unwrap_or_default().iter().enumerate() {
        empty_keys(item, &format!("{path}[{index}]"), found);
    }
}

#[test]
fn every_object_conforms_to_the_schemas_of_its_kind() {
    let schemas = crds(&["dpf-v24.10", "argo-cd", "nv-ipam"]);
    if schemas.is_empty() {
        return; // said loudly by `shared`, and a panic in CI
    }
    let (files, mut checked, mut wrong) = (files(), BTreeSet::new(), Vec::new());
    for site in SITES {
        for destination in render(&files, site).destinations {
            for object in destination.objects {
                let name = format!("{site} {}: {}", destination.destination, object.id);
                let mut empty = Vec::new();
                empty_keys(&object.node, "", &mut empty);
                wrong.extend(empty.into_iter().map(|path| format!("{name}{path}: empty")));
                let api = object.node.text(&["apiVersion"]).unwrap_or_default().to_owned();
                if let Some(schema) = schemas.get(&(api, object.id.kind.to_string())) {
                    checked.insert(object.id.kind.to_string());
                    let mut faults = Vec::new();
                    conforms(&object.node.to_json(), schema, "", &mut faults);
                    wrong.extend(faults.into_iter().map(|fault| format!("{name} {fault}")));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let kinds = [
        "AppProject",
        "Application",
        "BFB",
        "CIDRPool",
        "DPFOperatorConfig",
        "DPUCluster",
        "DPUSet",
        "ServiceChain",
        "ServiceInterface",
    ];
    let missing: Vec<&&str> = kinds.iter().filter(|kind| !checked.contains(**kind)).collect();
    assert!(missing.is_empty(), "never met: {missing:?}");
}

#[test]
fn every_file_is_read_the_same_by_every_reader() {
    let out = TempDir::new().unwrap();
    let folder = out.path().to_str().unwrap();
    let said = run(root(), &[&SITES[..], &["-o", folder]].concat());
    assert_eq!(said.code, Some(0), "{}", said.err);
    let files: Vec<(String, String)> =
        tree(out.path()).into_iter().filter(|(path, _)| path.ends_with(".yaml")).collect();
    assert!(files.iter().filter(|(path, _)| path.contains("/values/")).count() > 5);
    crate::readers::agree(&files);
}
