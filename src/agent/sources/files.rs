//! Objects out of the files of a folder. PURE.
//!
//! In: a [`Files`]. Out: [`Given`]. A file that cannot be read keeps what it said before, and is named with what is wrong; one
//! that is gone takes its objects along. Of an object that is written twice the first counts, by the names of the files, and the
//! other is named. Kinds that the agent does not read are left out.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::Given;
use super::store::{Item, KINDS, Kind, KindName, Store};
use crate::agent::api::Key;
use crate::agent::hash;
use crate::diagnostic::Severity;
use crate::source::{Files, SourceTree};
use crate::yaml::read;

/// Name of the folder itself where it is wrong as a whole.
const FOLDER: &str = ".";
const ENDINGS: [&str; 3] = [".yaml", ".yml", ".json"];

/// The files of a folder as they were when they could be read.
#[derive(Debug)]
pub struct Shelf {
    sets: bool,
    /// Hash of their text, and as much of their objects as is kept.
    files: BTreeMap<String, (u64, Vec<Item>)>,
    store: Store,
}

impl Shelf {
    /// Nothing read yet.
    #[must_use]
    pub fn new(node: &str, sets: bool) -> Self {
        Self { sets, files: BTreeMap::new(), store: Store::new(node) }
    }

    /// Reads the folder. Complete as soon as the folder can be listed.
    pub fn read(&mut self, files: &dyn Files) -> Given {
        let mut problems = BTreeMap::new();
        let complete = match SourceTree::new(files).list("") {
            Ok(paths) => {
                let paths: Vec<String> =
                    paths.into_iter().filter(|path| ENDINGS.iter().any(|ending| path.ends_with(ending))).collect();
                self.files.retain(|path, _| paths.contains(path));
                for path in paths {
                    // A tree keeps what it has read: one for each file.
                    let tree = SourceTree::new(files);
                    let known = self.files.get(&path).map(|(digest, _)| *digest);
                    match objects(&tree, &path, known) {
                        Ok(None) => {}
                        Ok(Some((digest, objects))) => {
                            let items =
                                objects.iter().filter_map(|(kind, object)| self.store.item(*kind, object)).collect();
                            self.files.insert(path, (digest, items));
                        }
                        Err(problem) => drop(problems.insert(path, problem)),
                    }
                }
                true
            }
            Err(error) => {
                problems.insert(FOLDER.to_owned(), error.to_string());
                false
            }
        };
        self.put_in_store(&mut problems);
        Given { snapshot: Arc::new(self.store.snapshot()), complete, problems }
    }

    /// Lists every kind anew.
    fn put_in_store(&mut self, problems: &mut BTreeMap<String, String>) {
        let of_sets = |kind: Kind| matches!(kind, Kind::InterfaceSet | Kind::ChainSet | Kind::Node);
        for KindName { kind, .. } in KINDS.into_iter().filter(|name| self.sets || !of_sets(name.kind)) {
            self.store.restart(kind);
            let mut written: BTreeMap<&Key, &str> = BTreeMap::new();
            let items = self.files.iter().flat_map(|(path, (_, items))| items.iter().map(move |item| (path, item)));
            for (path, item) in items.filter(|(_, item)| item.kind == kind) {
                match written.get(&item.key) {
                    Some(first) => {
                        let problem = format!("{} is written twice; the one in {first} counts", item.key);
                        problems.entry(path.clone()).or_insert(problem);
                    }
                    None => {
                        self.store.list(item.clone());
                        written.insert(&item.key, path);
                    }
                }
            }
            self.store.finish(kind);
        }
    }
}

/// Objects of a file, and the hash of its text.
type Hashed = (u64, Vec<(Kind, Value)>);

/// The objects of a file that the agent reads, unless its text is `known`; why it cannot be read.
fn objects(tree: &SourceTree<'_>, path: &str, known: Option<u64>) -> Result<Option<Hashed>, String> {
    let (id, source) = tree.load(path).map_err(|error| error.to_string())?;
    let digest = hash::fnv64(source.text.as_bytes());
    if known == Some(digest) {
        return Ok(None);
    }
    let mut diagnostics = Vec::new();
    let documents = read::documents(&source, id, &mut diagnostics);
    if let Some(fault) = diagnostics.iter().find(|fault| fault.severity == Severity::Error) {
        let place = tree.place(fault.origin).unwrap_or_else(|| path.to_owned());
        return Err(format!("{place}: {}", fault.message));
    }
    let mut found = Vec::new();
    for document in documents {
        let object = document.to_json();
        match object.get("items").and_then(Value::as_array) {
            Some(items) => found.extend(items.iter().filter_map(of_interest)),
            None => found.extend(of_interest(&object)),
        }
    }
    Ok(Some((digest, found)))
}

fn of_interest(object: &Value) -> Option<(Kind, Value)> {
    let text = |name: &str| object.get(name).and_then(Value::as_str).unwrap_or_default();
    let group = text("apiVersion").split_once('/').map_or("", |(group, _)| group);
    let name = KINDS.iter().find(|known| known.name == text("kind") && known.group == group)?;
    let mut object = object.clone();
    // Copied out of a cluster, it is still in none: nobody here could put a finalizer on it, which is waited for where there is a uid.
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("uid");
    }
    Some((name.kind, object))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::api::InterfaceKind;

    fn interface(name: &str, port: &str) -> String {
        format!(
            "apiVersion: svc.dpu.nvidia.com/v1alpha1\nkind: ServiceInterface\nmetadata: {{namespace: ns, name: {name}}}\n\
             spec: {{node: w, interfaceType: physical, physical: {{interfaceName: {port}}}}}\n"
        )
    }

    fn names(given: &Given) -> Vec<String> {
        given.snapshot.interfaces.iter().map(|one| one.meta.key.name.clone()).collect()
    }

    #[test]
    fn an_object_that_is_written_twice_counts_once_and_is_named() {
        let files =
            BTreeMap::from([("a.yaml".to_owned(), interface("a", "p0")), ("b.yaml".to_owned(), interface("a", "p1"))]);
        let given = Shelf::new("w", false).read(&files);
        assert_eq!(given.snapshot.interfaces[0].kind, Ok(InterfaceKind::Physical { name: "p0".to_owned() }));
        let named =
            BTreeMap::from([("b.yaml".to_owned(), "ns/a is written twice; the one in a.yaml counts".to_owned())]);
        assert_eq!(given.problems, named);
    }

    #[test]
    fn a_spec_that_cannot_be_read_leaves_the_one_before_in_force() {
        let mut shelf = Shelf::new("w", false);
        let mut files = BTreeMap::from([("a.yaml".to_owned(), interface("a", "p0"))]);
        shelf.read(&files);
        files.insert("a.yaml".to_owned(), interface("a", "[]"));
        let given = shelf.read(&files);
        let one = &given.snapshot.interfaces[0];
        assert_eq!(one.kind, Ok(InterfaceKind::Physical { name: "p0".to_owned() }));
        assert_eq!(one.fault.as_ref().unwrap().to_string(), "spec.physical.interfaceName: is missing");
        // What began with it has none before it.
        assert!(Shelf::new("w", false).read(&files).snapshot.interfaces[0].kind.is_err());
    }

    #[test]
    fn a_file_that_cannot_be_read_keeps_what_it_said() {
        let mut files = BTreeMap::from([
            ("a.yaml".to_owned(), interface("a", "p0")),
            ("b/b.yml".to_owned(), format!("kind: ConfigMap\napiVersion: v1\n---\n{}", interface("b", "p1"))),
            ("notes.txt".to_owned(), "{".to_owned()),
        ]);
        let mut shelf = Shelf::new("w", false);
        let given = shelf.read(&files);
        assert_eq!((names(&given), given.complete, given.problems.len()), (vec!["a".into(), "b".into()], true, 0));
        // Half written.
        files.insert("a.yaml".to_owned(), interface("a", "p0")[..100].to_owned() + "\n  - [");
        let given = shelf.read(&files);
        assert_eq!(names(&given), ["a", "b"]);
        assert_eq!(given.problems.keys().collect::<Vec<_>>(), ["a.yaml"]);
        assert!(given.problems["a.yaml"].starts_with("a.yaml:"), "{:?}", given.problems);
        files.remove("a.yaml");
        assert_eq!(names(&shelf.read(&files)), ["b"]);
        // Nothing there at all: the folder is away, its objects are not.
        let given = shelf.read(&BTreeMap::new());
        assert_eq!((names(&given), given.complete), (vec!["b".to_owned()], false));
        assert_eq!(given.problems["."], "no such file or folder");
    }

    #[test]
    fn an_object_copied_out_of_a_cluster_is_in_none() {
        let text = interface("a", "p0").replace("name: a}", "name: a, uid: 6c9a, generation: 3}");
        let given = Shelf::new("w", false).read(&BTreeMap::from([("a.yaml".to_owned(), text)]));
        let meta = &given.snapshot.interfaces[0].meta;
        assert_eq!((meta.uid.as_str(), meta.generation), ("", 3));
    }

    #[test]
    fn lists_are_taken_apart_and_sets_only_read_where_asked_for() {
        let list = r#"{"apiVersion": "v1", "kind": "List", "items": [
            {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "w"}},
            {"apiVersion": "svc.dpu.nvidia.com/v1alpha1", "kind": "ServiceChainSet", "metadata": {"name": "c", "namespace": "ns"},
             "spec": {"template": {"spec": {"switches": []}}}}]}"#;
        let files = BTreeMap::from([("l.json".to_owned(), list.to_owned())]);
        assert_eq!(Shelf::new("w", true).read(&files).snapshot.chains[0].meta.key.to_string(), "ns/c-w");
        assert_eq!(Shelf::new("w", false).read(&files).snapshot.chains, []);
    }
}
