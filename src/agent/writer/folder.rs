//! EDGE: status in a folder, one file for each object.
//!
//! In: [`Document`]s. Out: files, `<kind>-<namespace>-<name>.json` and `node-<name>.json` (a hash stands for the end of a name that is
//! too long), that are there whole or not at all, and touched only on change. Touches the folder, to write it. Status of objects that are gone is removed; other files stay.
#![expect(clippy::disallowed_methods, reason = "this is an edge that writes files")]

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::documents::{Document, Target};
use crate::agent::api::Key;
use crate::agent::crd::node::{GROUP, KIND, NodeStatus, VERSION};
use crate::agent::hash;
use crate::agent::sources::store::{KINDS, Kind, KindName};
use crate::agent::status::is_of_other;

/// Longest name of a file, in bytes: file systems take 255, and a file that is not whole yet has a longer one.
const LONGEST: usize = 240;

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

    /// What the node's file says now: times of transition go on from there when the agent starts again, and files of the objects
    /// that it tells of were written by the agent before.
    pub fn before(&mut self, node: &str) -> Option<NodeStatus> {
        let bytes = fs::read(self.path.join(name_of(Target::Node, &Key::new("", node)))).ok()?;
        let mut object: serde_json::Value = serde_json::from_slice(&bytes).ok()?;
        let status: NodeStatus = serde_json::from_value(object.get_mut("status")?.take()).ok()?;
        let ours = status.interfaces.iter().filter(|one| !is_of_other(&one.conditions));
        let interfaces = ours.map(|one| (Kind::Interface, &one.namespace, &one.name));
        let chains = status.chains.iter().map(|one| (Kind::Chain, &one.namespace, &one.name));
        for (kind, namespace, name) in interfaces.chain(chains) {
            let file = name_of(Target::Object(kind), &Key::new(namespace, name));
            if let Ok(text) = fs::read_to_string(self.path.join(&file)) {
                self.written.insert(file, text);
            }
        }
        Some(status)
    }

    /// Writes what became another; says how many files were touched.
    ///
    /// # Errors
    /// The first that could not be written, after all were tried; it is tried again the next time.
    pub fn write(&mut self, documents: &[Document]) -> io::Result<usize> {
        let mut touched = 0;
        let mut result = Ok(());
        let wanted: BTreeMap<String, String> =
            documents.iter().map(|document| (name_of(document.target, &document.key), text(document))).collect();
        // First: what the node's file tells of is found again, whenever the agent ends.
        let gone: Vec<String> = self.written.keys().filter(|name| !wanted.contains_key(*name)).cloned().collect();
        for name in gone {
            touched += usize::from(fs::remove_file(self.path.join(&name)).is_ok());
            self.written.remove(&name);
        }
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

fn kind(target: Target) -> Option<KindName> {
    match target {
        Target::Node => None,
        Target::Object(kind) => KINDS.into_iter().find(|name| name.kind == kind),
    }
}

/// Names of objects are names of files: nothing in them leads elsewhere, whatever the object says.
fn name_of(target: Target, key: &Key) -> String {
    let part = |text: &str| text.replace(['/', '\0'], "_");
    let (namespace, name) = (part(&key.namespace), part(&key.name));
    let mut stem = match kind(target) {
        None => format!("node-{name}"),
        Some(kind) => format!("{}-{namespace}-{name}", kind.name.to_lowercase()),
    };
    // An object's name may fill a file's name alone.
    if stem.len() > LONGEST {
        let end = format!("-{:016x}", hash::fnv64(stem.as_bytes()));
        let fits = stem.floor_char_boundary(LONGEST - end.len());
        stem.truncate(fits);
        stem.push_str(&end);
    }
    format!("{stem}.json")
}

fn text(document: &Document) -> String {
    let (version, kind) = match kind(document.target) {
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
