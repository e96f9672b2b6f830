//! The CRDs are files of the repository, and every file is what the types say.

use std::fs;
use std::path::Path;

use dpu_render::agent::crd;
use serde_json::Value;

#[test]
fn the_files_are_what_the_types_say() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/agent/crds");
    let crds = crd::all().unwrap();
    let bless = std::env::var_os("DPU_RENDER_BLESS").is_some();
    assert!(!bless || std::env::var_os("CI").is_none(), "CI never blesses");
    for crd in &crds {
        let path = folder.join(format!("{}.yaml", crd.name));
        if bless {
            fs::write(&path, &crd.yaml).unwrap();
        }
        assert!(
            fs::read_to_string(&path).unwrap_or_default() == crd.yaml,
            "{}: DPU_RENDER_BLESS=1 writes it",
            path.display()
        );
    }
    let files = fs::read_dir(&folder).unwrap().count();
    assert_eq!(files, crds.len(), "a file that no type says");
}

/// What the API server refuses of a schema that is not structural.
#[test]
fn schemas_are_structural() {
    for crd in crd::all().unwrap() {
        let schema = crd.object.pointer("/spec/versions/0/schema/openAPIV3Schema").unwrap();
        structural(schema, &crd.name);
    }
}

fn structural(schema: &Value, path: &str) {
    let map = schema.as_object().unwrap_or_else(|| panic!("{path} is no schema: {schema}"));
    assert!(map.get("type").is_some_and(Value::is_string), "{path} has no type: {schema}");
    for odd in [
        "$ref",
        "$schema",
        "definitions",
        "allOf",
        "anyOf",
        "oneOf",
        "unevaluatedProperties",
        "patternProperties",
        "const",
    ] {
        assert!(!map.contains_key(odd), "{path} has {odd}");
    }
    let properties = map.get("properties").and_then(Value::as_object);
    for (name, inner) in properties.into_iter().flatten() {
        structural(inner, &format!("{path}.{name}"));
    }
    for inner in ["items", "additionalProperties"] {
        if let Some(schema) = map.get(inner).filter(|inner| !inner.is_boolean()) {
            structural(schema, &format!("{path}.{inner}"));
        }
    }
    if map.get("x-kubernetes-list-type").and_then(Value::as_str) == Some("map") {
        let keys = map["x-kubernetes-list-map-keys"].as_array().unwrap();
        let required = map["items"]["required"].as_array().unwrap();
        assert!(keys.iter().all(|key| required.contains(key)), "{path}: keys of a list are required");
    }
}

#[test]
fn the_status_of_a_node_is_all_there_is() {
    let crds = crd::all().unwrap();
    let of_node = crds.iter().find(|crd| crd.name == "dpunodenetworkstatuses.dpu-render.dev").unwrap();
    let at = |path: &str| of_node.object.pointer(path).unwrap();
    assert_eq!(at("/spec/scope"), "Cluster");
    assert_eq!(at("/spec/names/shortNames/0"), "dpunns");
    let properties = at("/spec/versions/0/schema/openAPIV3Schema/properties").as_object().unwrap();
    assert_eq!(properties.keys().collect::<Vec<_>>(), ["status"]);
    let columns = at("/spec/versions/0/additionalPrinterColumns").as_array().unwrap();
    let names: Vec<&str> = columns.iter().map(|column| column["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["Ready", "Reason", "Interfaces", "Chains", "Bridge", "Age"]);
}
