//! What becomes of a plugin's stdout: documents in the sidecar, objects in the repo-server, one of each in the controller. PURE.

use std::collections::BTreeMap;

use serde_json::{Deserializer, Value};

/// The documents, each as JSON.
pub(super) fn documents(stdout: &str) -> Result<Vec<Value>, String> {
    let text = stdout.trim_start_matches([' ', '\t', '\r', '\n']);
    match text.chars().next() {
        None => Ok(Vec::new()),
        Some('{') => {
            let documents: Result<Vec<Value>, _> = Deserializer::from_str(text).into_iter().collect();
            documents.map_err(|error| format!("failed to unmarshal manifest: {error}"))
        }
        Some(_) => Err("the double of Argo CD reads no YAML: a plugin of ours prints JSON".to_owned()),
    }
}

/// The objects, with Lists taken apart: whatever has a list `items` at its top level is one.
pub(super) fn objects(documents: Vec<Value>) -> Result<Vec<Value>, String> {
    let mut objects = Vec::new();
    for document in documents {
        if !document["kind"].is_string() {
            return Err(format!("Object 'Kind' is missing in '{document}'"));
        }
        match document.get("items") {
            Some(Value::Array(items)) => objects.extend(items.iter().cloned()),
            Some(Value::Null) if document.get("spec").is_none() && document.get("status").is_none() => {}
            _ => objects.push(document),
        }
    }
    Ok(objects)
}

/// The last object of each identity, in order, and what is said of those that came more than once.
pub(super) fn last_of_each(objects: Vec<Value>) -> (Vec<Value>, Vec<String>) {
    let mut by_identity: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (index, object) in objects.iter().enumerate() {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let version = text(&object["apiVersion"]);
        let group = version.rsplit_once('/').map_or("", |(group, _)| group);
        let metadata = &object["metadata"];
        let identity =
            [group.to_owned(), text(&object["kind"]), text(&metadata["namespace"]), text(&metadata["name"])].join("/");
        by_identity.entry(identity).or_default().push(index);
    }
    let mut kept: Vec<usize> = by_identity.values().filter_map(|all| all.last().copied()).collect();
    kept.sort_unstable();
    let repeated = by_identity.iter().filter(|(_, all)| all.len() > 1);
    let repeated = repeated
        .map(|(identity, all)| format!("Resource {identity} appeared {} times among application resources.", all.len()))
        .collect();
    (kept.into_iter().map(|index| objects[index].clone()).collect(), repeated)
}
