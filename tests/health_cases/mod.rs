//! The cases of the health scripts, as files: `plugin/health/tests/<group>_<Kind>/health_test.yaml`, the format of Argo CD's own.
//!
//! In: the checkout. Out: one [`Case`] per object and expected health. Used by every test that runs the scripts, wherever.
#![allow(dead_code, reason = "each test uses its part")]
#![expect(clippy::disallowed_methods, clippy::unwrap_used, reason = "tests read files")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use dpu_render::diagnostic::Severity;
use dpu_render::node::Node;
use dpu_render::source::SourceTree;
use dpu_render::yaml::read;

/// One object and the health that it has.
pub(crate) struct Case {
    /// API group of the kind.
    pub(crate) group: String,
    /// The kind.
    pub(crate) kind: String,
    /// Whose API the object is of: the folder below `testdata`, a release of DPF (`v24.10`) or another project's name.
    pub(crate) of: String,
    /// Where the object is, from the checkout.
    pub(crate) path: String,
    /// The object, with its status.
    pub(crate) object: Node,
    /// The script, `plugin/health/<group>_<Kind>.lua`.
    pub(crate) script: String,
    /// One of Argo CD's words: `Healthy`, `Progressing`, `Degraded`, `Suspended`.
    pub(crate) status: String,
    /// What is shown beside it.
    pub(crate) message: String,
}

/// Every case, in the order of folders and files.
pub(crate) fn all() -> Vec<Case> {
    let health = root().join("plugin/health");
    let mut cases = Vec::new();
    for folder in folders(&health.join("tests")) {
        let name = folder.file_name().unwrap().to_str().unwrap();
        let (group, kind) = name.split_once('_').unwrap();
        let script = std::fs::read_to_string(health.join(format!("{name}.lua"))).unwrap();
        for test in document(&folder.join("health_test.yaml")).items(&["tests"]) {
            let input = test.text(&["inputPath"]).unwrap();
            let path = folder.join(input);
            cases.push(Case {
                group: group.to_owned(),
                kind: kind.to_owned(),
                of: input.split('/').nth(1).unwrap().to_owned(),
                object: document(&path),
                path: path.strip_prefix(root()).unwrap().display().to_string(),
                script: script.clone(),
                status: test.text(&["healthStatus", "status"]).unwrap().to_owned(),
                message: test.text(&["healthStatus", "message"]).unwrap_or_default().to_owned(),
            });
        }
    }
    cases
}

/// The one document of a file.
pub(crate) fn document(path: &Path) -> Node {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    parse(&path.display().to_string(), text)
}

/// The one document of a text that `name` stands for.
pub(crate) fn parse(name: &str, text: String) -> Node {
    let files = BTreeMap::from([(name.to_owned(), text)]);
    let tree = SourceTree::new(&files);
    let (id, source) = tree.load(name).unwrap();
    let mut faults = Vec::new();
    let mut documents = read::documents(&source, id, &mut faults);
    faults.retain(|fault| fault.severity == Severity::Error);
    assert!(faults.is_empty() && documents.len() == 1, "{name}: {} documents, {faults:#?}", documents.len());
    documents.remove(0)
}

fn folders(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.sort();
    found
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
