//! The files of a layer or site folder: which there are, and the objects, patches and templates in them. PURE.
//!
//! In: a folder's files. Out: [`Head`], its `layer.yaml`, and [`Body`], everything else, `List`s taken apart and our
//! annotations taken off; what is no object, or was left for a substitution that nobody makes, is a fault.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::object::ObjectId;
use super::placement::{Placement, place_of};
use crate::diagnostic::Diagnostic;
use crate::node::{EXPRESSION, Node, Value};
use crate::site::parse;
use crate::site::{ApiKind, Layer, Patch};
use crate::source::{FileError, FileId, Origin, Source, SourceTree};
use crate::yaml::read;

/// The documents of files that both sides of a comparison have, so that what is equal is the same node.
#[derive(Default)]
pub(super) struct SharedDocuments(Mutex<BTreeMap<FileId, Read>>);

/// Documents and faults of a file.
type Read = (Vec<Node>, Vec<Diagnostic>);

/// The documents of a file, read once where they are shared.
fn documents(
    shared: Option<&SharedDocuments>,
    source: &Source,
    file: FileId,
    faults: &mut Vec<Diagnostic>,
) -> Vec<Node> {
    let Some(shared) = shared else { return read::documents(source, file, faults) };
    let mut shared = shared.0.lock().unwrap_or_else(PoisonError::into_inner);
    let (documents, found) = shared.entry(file).or_insert_with(|| {
        let mut found = Vec::new();
        (read::documents(source, file, &mut found), found)
    });
    faults.extend(found.iter().cloned());
    documents.clone()
}

/// The `layer.yaml` of a folder.
pub(super) struct Head {
    pub(super) layer: Option<Layer>,
    /// The documents of the file beside the `Layer`, so that it is parsed once.
    pub(super) documents: Vec<Node>,
    pub(super) faults: Vec<Diagnostic>,
}

/// The objects of a folder.
#[derive(Default)]
pub(super) struct Body {
    pub(super) objects: Vec<RawObject>,
    pub(super) patches: Vec<Patch>,
    pub(super) templates: Vec<Arc<Source>>,
    /// A name is made of variables: what merges with what depends on the site.
    pub(super) named_by_variables: bool,
    pub(super) faults: Vec<Diagnostic>,
}

/// An object as written, its annotations of ours taken off.
#[derive(Clone)]
pub(super) struct RawObject {
    pub(super) id: ObjectId,
    pub(super) placement: Placement,
    pub(super) node: Node,
}

/// The `layer.yaml` of a folder, if it has one.
pub(super) fn head(tree: &SourceTree<'_>, shared: Option<&SharedDocuments>, folder: &str) -> Head {
    let mut head = Head { layer: None, documents: Vec::new(), faults: Vec::new() };
    let path = format!("{folder}/layer.yaml");
    let (file, source) = match tree.load(&path) {
        Ok(loaded) => loaded,
        Err(FileError::NotFound) => return head,
        Err(error) => {
            head.faults.push(unreadable(tree, &path, &error));
            return head;
        }
    };
    for document in documents(shared, &source, file, &mut head.faults) {
        if document.text(&["kind"]) == Some("Layer") && parse::kind(&document, &mut Vec::new()) == Some(ApiKind::Layer)
        {
            if let Some(first) = &head.layer {
                let fault = Diagnostic::error("duplicate-object", document.origin(), "a second Layer in one file");
                head.faults.push(fault.note_at("the first is here", first.origin));
                continue;
            }
            head.layer = Some(parse::layer(&document, folder, &mut head.faults));
        } else {
            head.documents.push(document);
        }
    }
    head
}

/// A file that cannot be read, placed at its first byte.
pub(super) fn unreadable(tree: &SourceTree<'_>, path: &str, error: &FileError) -> Diagnostic {
    let (file, _) = tree.add(path, String::new());
    let fault = Diagnostic::error("file-unreadable", Origin::new(file, 0), format!("`{path}` {error}"));
    // There is no text to show.
    let fault = fault.without_excerpt();
    match error {
        FileError::Outside => fault.help("links may only point to files of the repository"),
        FileError::NotText => fault.help("save it as UTF-8, or give it a name that does not end in `.yaml`"),
        _ => fault,
    }
}

/// A layer or site folder being read.
#[derive(Default)]
pub(super) struct Reading {
    pub(super) body: Body,
}

/// Everything in a folder but what other layers have.
#[expect(clippy::too_many_arguments, reason = "what a folder is and what surrounds it")]
pub(super) fn body(
    tree: &SourceTree<'_>,
    shared: Option<&SharedDocuments>,
    folder: &str,
    paths: &[String],
    excluded: &[String],
    destination: Option<&(String, Origin)>,
    parsed: &str,
    parsed_documents: &[Node],
) -> Body {
    let mut reading = Reading::default();
    // A folder inside with a layer.yaml is a layer of its own.
    let layers: Vec<&str> = paths
        .iter()
        .filter_map(|path| path.strip_suffix("/layer.yaml"))
        .filter(|path| *path != folder)
        .chain(excluded.iter().map(String::as_str))
        .collect();
    let hidden = |path: &str| path[folder.len()..].split('/').any(|part| part.starts_with(['.', '_']));
    for path in paths {
        let elsewhere = layers.iter().any(|layer| path.strip_prefix(layer).is_some_and(|rest| rest.starts_with('/')));
        if elsewhere || hidden(path) {
            continue;
        }
        if path == parsed {
            for document in parsed_documents {
                reading.document(document, destination);
            }
            continue;
        }
        let is = |suffix: &str| path.ends_with(suffix);
        if !(is(".yaml") || is(".yml") || is(".json") || is(".j2")) {
            continue;
        }
        match tree.load(path) {
            Ok((_, source)) if is(".j2") => reading.body.templates.push(source),
            Ok((file, source)) => {
                for document in documents(shared, &source, file, &mut reading.body.faults) {
                    reading.document(&document, destination);
                }
            }
            Err(error) => reading.body.faults.push(unreadable(tree, path, &error)),
        }
    }
    reading.body
}

impl Reading {
    /// Takes a document in.
    pub(super) fn document(&mut self, document: &Node, destination: Option<&(String, Origin)>) {
        let kind = document.text(&["kind"]).unwrap_or_default();
        let is_list = kind == "List"
            || (kind.ends_with("List") && document.get("metadata").is_none_or(|meta| meta.get("name").is_none()));
        if is_list && let Some(items) = document.get("items").and_then(Node::as_list) {
            for item in items {
                self.document(item, destination);
            }
            return;
        }
        match parse::kind(document, &mut self.body.faults) {
            Some(ApiKind::Patch) => {
                let patch = parse::patch(document, &mut self.body.faults);
                for operation in &patch.operations {
                    let path = operation.text(&["path"]).unwrap_or_default();
                    let tolerant = path.split('/').any(is_contents);
                    if let Some(value) = operation.get("value") {
                        leftover_variables(value, tolerant, &mut self.body.faults);
                    }
                }
                self.body.patches.push(patch);
            }
            Some(ApiKind::Layer) => {
                let name = document.text(&["metadata", "name"]).unwrap_or_default();
                let message = format!("Layer `{name}` is written where no Layer is read");
                let origin = document.get("kind").map_or(document.origin(), Node::origin);
                let fault = Diagnostic::error("misplaced-kind", origin, message)
                    .help("write it in the `layer.yaml` of its folder; for a site's own folder, write what it says in `site.yaml`");
                self.body.faults.push(fault);
            }
            // A Site is read before its folder is; an inventory where the site names it.
            Some(ApiKind::Site | ApiKind::Inventory) => {}
            None if document
                .text(&["apiVersion"])
                .is_some_and(|version| version.starts_with("dpu-render.dev/") && kind != "DPUNodeNetworkStatus") => {}
            None => self.object(document, destination),
        }
    }

    fn object(&mut self, document: &Node, destination: Option<&(String, Origin)>) {
        let faults = &mut self.body.faults;
        let before = faults.len();
        if document.as_map().is_none() {
            let message = format!("a document must be a Kubernetes object, this is {}", document.kind());
            faults.push(Diagnostic::error("not-an-object", document.origin(), message));
            return;
        }
        let mut missing = Vec::new();
        for path in [&["apiVersion"][..], &["kind"], &["metadata", "name"]] {
            let name = path.join(".");
            match document.at(path).map(|node| (node, node.value())) {
                Some((_, Value::Str(text))) if !text.is_empty() => {}
                None | Some((_, Value::Null | Value::Str(_))) => missing.push(name),
                Some((node, _)) => {
                    let message = format!("`{name}` must be a string, this is {}", node.kind());
                    let fault = Diagnostic::error("wrong-type", node.origin(), message);
                    faults.push(match node.value() {
                        Value::List(_) | Value::Map(_) => fault,
                        _ => fault.help("put it in quotes"),
                    });
                }
            }
        }
        if !missing.is_empty() {
            let kind = document.text(&["kind"]).filter(|kind| !kind.is_empty());
            let name = document.text(&["metadata", "name"]).map(|name| format!(" `{name}`"));
            let what = format!("{}{}", kind.unwrap_or("the object"), name.unwrap_or_default());
            let named: Vec<String> = missing.iter().map(|name| format!("`{name}`")).collect();
            let message = match &*named {
                [one] => format!("{what} has no {one}"),
                [one, two] => format!("{what} has neither {one} nor {two}"),
                _ => format!("a document is no Kubernetes object: it has no {}", named.join(", ")),
            };
            let fault = Diagnostic::error("not-an-object", document.origin(), message);
            faults.push(if kind.is_some() || document.get("apiVersion").is_some() {
                fault.help(format!("add {}", named.join(" and ")))
            } else {
                fault.help("a file of something else must have a name that begins with `_`, or lie in another folder")
            });
        }
        if faults.len() > before {
            return;
        }
        leftover_variables(document, false, faults);
        let (node, placement) = place_of(document, destination, faults);
        let id = ObjectId::of(&node);
        let by_variables = |text: &str| text.contains(EXPRESSION) && (text.contains("vars") || text.contains("site"));
        self.body.named_by_variables |= by_variables(&id.name) || by_variables(&id.namespace);
        self.body.objects.push(RawObject { id, placement, node });
    }
}

/// `$NAME` and `${NAME}` that a substitution of text left over: an error, in scripts, file contents and values a warning.
pub(super) fn leftover_variables(node: &Node, tolerant: bool, faults: &mut Vec<Diagnostic>) {
    match node.value() {
        Value::Str(text) => {
            if let Some(name) = leftover(text) {
                let make = if tolerant { Diagnostic::warning } else { Diagnostic::error };
                let fault = make(
                    "unresolved-variable",
                    node.origin(),
                    format!("`{name}` was left for a substitution that nobody makes"),
                );
                faults.push(fault.help("declare a variable and write `${{ vars.name }}`"));
            }
        }
        Value::List(items) => items.iter().for_each(|item| leftover_variables(item, tolerant, faults)),
        Value::Map(map) => {
            for (key, value) in map.iter() {
                leftover_variables(value, tolerant || is_contents(key), faults);
            }
        }
        _ => {}
    }
}

/// Scripts, file contents and Helm values, in which `$NAME` may be meant.
fn is_contents(key: &str) -> bool {
    matches!(
        key,
        "values"
            | "valuesObject"
            | "rawConfigScript"
            | "raw"
            | "data"
            | "stringData"
            | "binaryData"
            | "args"
            | "command"
            | "script"
            | "config"
    )
}

/// The same for an object after evaluation, in what differs from the object as `written`: the rest was looked through.
pub(super) fn leftovers_of_variables(written: &Node, node: &Node, tolerant: bool, faults: &mut Vec<Diagnostic>) {
    if written.same(node) {
        return;
    }
    match (written.value(), node.value()) {
        (Value::Map(before), Value::Map(map)) => {
            for (index, entry) in map.entries().iter().enumerate() {
                let key = &*entry.key.text;
                // Evaluation keeps the keys in place, but for those that it makes.
                let before = before.entries().get(index).filter(|before| *before.key.text == *key);
                let tolerant = tolerant || is_contents(key);
                match before {
                    Some(before) => leftovers_of_variables(&before.value, &entry.value, tolerant, faults),
                    None => leftover_variables(&entry.value, tolerant, faults),
                }
            }
        }
        (Value::List(before), Value::List(items)) if before.len() == items.len() => {
            for (before, item) in before.iter().zip(items) {
                leftovers_of_variables(before, item, tolerant, faults);
            }
        }
        (Value::Str(before), Value::Str(_)) if leftover(before).is_some() => {}
        _ => leftover_variables(node, tolerant, faults),
    }
}

/// The first `$[A-Z][A-Z0-9_]+` or `${…}` of such a name.
fn leftover(text: &str) -> Option<&str> {
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        let braced = rest[at + 1..].starts_with('{');
        let name = &rest[at + 1 + usize::from(braced)..];
        let length =
            name.bytes().take_while(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || *byte == b'_').count();
        let closed = !braced || name[length..].starts_with('}');
        if length >= 2 && name.as_bytes()[0].is_ascii_uppercase() && closed {
            return Some(&rest[at..at + 1 + length + 2 * usize::from(braced)]);
        }
        rest = &rest[at + 1..];
    }
    None
}

/// The documents of one file.
pub(super) fn documents_of(
    tree: &SourceTree<'_>,
    shared: Option<&SharedDocuments>,
    path: &str,
    faults: &mut Vec<Diagnostic>,
) -> Result<Vec<Node>, FileError> {
    let (file, source) = tree.load(path)?;
    Ok(documents(shared, &source, file, faults))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leftover_variables_are_found() {
        for (text, expected) in [
            ("https://$HOST:$PORT", Some("$HOST")),
            ("a ${POD_CIDR}/24", Some("${POD_CIDR}")),
            ("$oauthtoken", None),
            ("${{ vars.X }}", None),
            ("price $5", None),
            ("$A", None),
            ("$$", None),
        ] {
            assert_eq!(leftover(text), expected, "{text}");
        }
    }
}
