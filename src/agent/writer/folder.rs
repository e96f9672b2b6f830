//! EDGE: status in a folder, one file for each object.
//!
//! In: [`Document`]s. Out: files, `<kind>-<namespace>-<name>.json` and `node-<name>.json`, that are there whole or not at all, and
//! touched only on change. Touches the folder, to write it. Status of objects that are gone is removed; other files stay.
#![expect(clippy::disallowed_methods, reason = "this is an edge that writes files")]

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::documents::{Document, Target};
use crate::agent::api::Key;
use crate::agent::crd::node::{GROUP, KIND, NodeStatus, VERSION};
use crate::agent::sources::store::{KINDS, KindName};

/// A folder with the status of each object.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    /// What was written, by name of the file.
    written: BTreeMap<String, String>,
}

impl Folder {
    /// This one, made if it is not there.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub fn open(path: &Path) -> io::Result<Self> {
        fs::create_dir_all(path)?;
        Ok(Self { path: path.to_owned(), written: BTreeMap::new() })
    }

    /// What the node's file says now: times of transition go on from there when the agent starts again.
    #[must_use]
    pub fn before(&self, node: &str) -> Option<NodeStatus> {
        let document =
            Document { target: Target::Node, key: Key::new("", node), uid: String::new(), status: json!(null) };
        let bytes = fs::read(self.path.join(name(&document))).ok()?;
        let mut object: serde_json::Value = serde_json::from_slice(&bytes).ok()?;
        serde_json::from_value(object.get_mut("status")?.take()).ok()
    }

    /// Writes what became another; says how many files were touched.
    ///
    /// # Errors
    /// The first that could not be written, after all were tried; it is tried again the next time.
    pub fn write(&mut self, documents: &[Document]) -> io::Result<usize> {
        let mut touched = 0;
        let mut result = Ok(());
        let wanted: BTreeMap<String, String> =
            documents.iter().map(|document| (name(document), text(document))).collect();
        for (name, text) in &wanted {
            if self.written.get(name) == Some(text) {
                continue;
            }
            match self.put(name, text) {
                Ok(changed) => {
                    touched += usize::from(changed);
                    self.written.insert(name.clone(), text.clone());
                }
                Err(error) => result = result.and(Err(error)),
            }
        }
        let gone: Vec<String> = self.written.keys().filter(|name| !wanted.contains_key(*name)).cloned().collect();
        for name in gone {
            touched += usize::from(fs::remove_file(self.path.join(&name)).is_ok());
            self.written.remove(&name);
        }
        result.map(|()| touched)
    }

    /// In one step, unless the file says that already.
    fn put(&self, name: &str, text: &str) -> io::Result<bool> {
        let path = self.path.join(name);
        if fs::read(&path).is_ok_and(|there| there == text.as_bytes()) {
            return Ok(false);
        }
        // Hidden, so that whoever reads the folder does not take it for one.
        let half = self.path.join(format!(".{name}.new"));
        fs::write(&half, text)?;
        fs::rename(&half, &path)?;
        Ok(true)
    }
}

fn kind(document: &Document) -> Option<KindName> {
    match document.target {
        Target::Node => None,
        Target::Object(kind) => KINDS.into_iter().find(|name| name.kind == kind),
    }
}

/// Names of objects are names of files: nothing in them leads elsewhere, whatever the object says.
fn name(document: &Document) -> String {
    let part = |text: &str| text.replace(['/', '\0'], "_");
    let (namespace, name) = (part(&document.key.namespace), part(&document.key.name));
    match kind(document) {
        None => format!("node-{name}.json"),
        Some(kind) => format!("{}-{namespace}-{name}.json", kind.name.to_lowercase()),
    }
}

fn text(document: &Document) -> String {
    let (version, kind) = match kind(document) {
        None => (format!("{GROUP}/{VERSION}"), KIND),
        Some(kind) => (format!("{}/{}", kind.group, kind.version), kind.name),
    };
    let mut metadata = json!({"name": document.key.name});
    if !document.key.namespace.is_empty() {
        metadata["namespace"] = json!(document.key.namespace);
    }
    let object = json!({"apiVersion": version, "kind": kind, "metadata": metadata, "status": document.status});
    format!("{object:#}\n")
}
