//! YAML files of this repository as JSON. PURE but for the reading of the file.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use dpu_render::source::SourceTree;
use dpu_render::yaml::read;
use serde_json::Value;

/// The documents of a file.
pub(crate) fn documents(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let none = BTreeMap::new();
    let sources = SourceTree::new(&none);
    let (id, source) = sources.add("a file", text);
    let mut faults = Vec::new();
    let documents = read::documents(&source, id, &mut faults);
    assert!(faults.is_empty(), "{}: {faults:?}", path.display());
    documents.iter().map(dpu_render::node::Node::to_json).collect()
}

/// The one document of a file.
pub(crate) fn document(path: &Path) -> Value {
    let mut documents = documents(path);
    assert_eq!(documents.len(), 1, "{}", path.display());
    documents.remove(0)
}
