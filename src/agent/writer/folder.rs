//! EDGE: status in a folder, one file for each object.
//!
//! In: [`Document`]s. Out: files, `<kind>-<namespace>-<name>.json` and `node-<name>.json` (a hash stands for the end of a name that is
//! too long), that are there whole or not at all, and touched only on change. Touches the folder, to write it. Status of objects that are gone is removed; other files stay.
#![expect(clippy::disallowed_methods, reason = "this is an edge that writes files")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::json;

use super::documents::{Document, Target};
use crate::agent::api::Key;
use crate::agent::crd::node::{GROUP, KIND, NodeStatus, VERSION};
use crate::agent::hash;
use crate::agent::sources::store::{KINDS, Kind, KindName};
use crate::agent::status::is_of_other;

/// Longest name of a file, in bytes: file systems take 255, and a file that is not whole yet has a longer one.
const LONGEST: usize = 240;
/// Hash of nothing that was written.
const UNKNOWN: u64 = 0;

/// A folder with the status of each object.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    /// Hash of what was written, by name of the file.
    written: BTreeMap<String, u64>,
}

/// As much of the file of the node as is read at the beginning.
#[derive(Deserialize)]
struct Before {
    status: Option<NodeStatus>,
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
        let status = serde_json::from_slice::<Before>(&bytes).ok()?.status?;
        let ours = status.interfaces.iter().filter(|one| !is_of_other(&one.conditions));
        let interfaces = ours.map(|one| (Kind::Interface, &one.namespace, &one.name));
        let chains = status.chains.iter().map(|one| (Kind::Chain, &one.namespace, &one.name));
        for (kind, namespace, name) in interfaces.chain(chains) {
            let file = name_of(Target::Object(kind), &Key::new(namespace, name));
            if self.path.join(&file).exists() {
                self.written.insert(file, UNKNOWN);
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
        let wanted: BTreeSet<String> =
            documents.iter().map(|document| name_of(document.target, &document.key)).collect();
        // First: what the node's file tells of is found again, whenever the agent ends.
        let gone: Vec<String> = self.written.keys().filter(|name| !wanted.contains(*name)).cloned().collect();
        for name in gone {
            touched += usize::from(fs::remove_file(self.path.join(&name)).is_ok());
            self.written.remove(&name);
        }
        // One after the other: the text of the node alone may be a megabyte.
        for document in documents {
            let name = name_of(document.target, &document.key);
            let digest = hash::fnv64(document.status.as_bytes());
            if self.written.get(&name) != Some(&digest) {
                match self.put(&name, &text(document)) {
                    Ok(changed) => {
                        touched += usize::from(changed);
                        self.written.insert(name, digest);
                    }
                    Err(error) => result = result.and(Err(error)),
                }
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
    let namespace = match &*document.key.namespace {
        "" => String::new(),
        namespace => format!(",\n    \"namespace\": {}", json!(namespace)),
    };
    let (version, kind, name) = (json!(version), json!(kind), json!(document.key.name));
    let status = indented(&document.status, 1);
    format!(
        "{{\n  \"apiVersion\": {version},\n  \"kind\": {kind},\n  \"metadata\": {{\n    \"name\": {name}{namespace}\n  }},\n  \"status\": {status}\n}}\n"
    )
}

/// JSON without spaces, in lines for people. Text to text: the tree of a large status takes ten times as much memory.
fn indented(json: &str, mut depth: usize) -> String {
    let mut out = String::with_capacity(json.len() * 2);
    let line = |out: &mut String, depth: usize| {
        out.push('\n');
        out.extend(std::iter::repeat_n("  ", depth));
    };
    let (mut in_string, mut escaped) = (false, false);
    let mut characters = json.chars().peekable();
    while let Some(character) = characters.next() {
        out.push(character);
        if in_string {
            in_string = escaped || character != '"';
            escaped = character == '\\' && !escaped;
        } else {
            let is_empty = matches!(characters.peek(), Some('}' | ']'));
            match character {
                '"' => in_string = true,
                '{' | '[' if is_empty => continue,
                '{' | '[' => {
                    depth += 1;
                    line(&mut out, depth);
                }
                ',' => line(&mut out, depth),
                ':' => out.push(' '),
                _ => {}
            }
        }
        if !in_string && matches!(characters.peek(), Some('}' | ']')) {
            depth = depth.saturating_sub(1);
            line(&mut out, depth);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_for_people_is_what_a_tree_would_give() {
        for value in [
            json!({}),
            json!([]),
            json!({"a": {}, "b": [], "c": [{}, [[]]], "d": [1, -2.5, null, true]}),
            json!({"text": "a{b}[c],\"d\": \\", "\\": "\\\"", "": "\n ä"}),
            json!({"conditions": [{"type": "Ready", "status": "True"}, {"type": "x"}], "n": {"m": {"o": 1}}}),
        ] {
            assert_eq!(indented(&value.to_string(), 0), format!("{value:#}"));
        }
        let key = Key::new("ns", "a\"b");
        let document =
            Document { target: Target::Node, key, uid: String::new(), status: json!({"a": [1]}).to_string() };
        let object: serde_json::Value = serde_json::from_str(&text(&document)).unwrap();
        assert_eq!(format!("{object:#}\n"), text(&document));
    }
}
