//! Layers: which there are, what is in them, and folding them into one set of objects. PURE.
//!
//! In: the files of a repository. Out: [`Stack`], the layers of a site in order, and [`Fold`], their objects merged, each
//! value remembering where it was written. Folders are parsed once per run and folds of the same layers are made once,
//! however many sites and clusters use them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::merge::merge;
use super::object::ObjectId;
use super::patch;
use super::placement::{Dest, Placement, place_of};
use crate::diagnostic::Diagnostic;
use crate::node::{EXPRESSION, Node, Value};
use crate::site::parse;
use crate::site::{ApiKind, Layer, Patch, Stage};
use crate::source::{FileError, Origin, Source, SourceTree};
use crate::yaml::read;

/// More layers than this are refused.
const MAX_LAYERS: usize = 256;

/// Something made once and kept, by name.
type Kept<T> = Mutex<BTreeMap<String, Arc<OnceLock<Arc<T>>>>>;

/// What is parsed and folded once per run.
#[derive(Default)]
pub(super) struct Layers {
    heads: Kept<Head>,
    bodies: Kept<Body>,
    folds: Kept<Fold>,
    lists: Kept<Result<Vec<String>, FileError>>,
}

/// The `layer.yaml` of a folder.
struct Head {
    layer: Option<Layer>,
    /// The documents of the file beside the `Layer`, so that it is parsed once.
    documents: Vec<Node>,
    faults: Vec<Diagnostic>,
}

/// The objects of a folder.
pub(super) struct Body {
    objects: Vec<RawObject>,
    patches: Vec<Patch>,
    templates: Vec<Arc<Source>>,
    /// A name is made of variables: what merges with what depends on the site.
    named_by_variables: bool,
    faults: Vec<Diagnostic>,
}

/// An object as written, its annotations of ours taken off.
#[derive(Clone)]
pub(super) struct RawObject {
    pub(super) id: ObjectId,
    pub(super) placement: Placement,
    pub(super) node: Node,
}

/// The layers of a site, in order, without the site's own folder.
pub(super) struct Stack {
    pub(super) paths: Vec<String>,
    heads: Vec<Arc<Head>>,
}

impl Stack {
    /// The `Layer` documents in order.
    pub(super) fn layers(&self) -> impl Iterator<Item = &Layer> {
        self.heads.iter().filter_map(|head| head.layer.as_ref())
    }
}

/// The objects of several layers, merged.
#[derive(Clone, Default)]
pub(super) struct Fold {
    pub(super) objects: BTreeMap<(ObjectId, Dest), Arc<Folded>>,
    pub(super) output_patches: Vec<Patch>,
    pub(super) faults: Vec<Diagnostic>,
    /// Merging so far was the same for every site.
    shared: bool,
}

/// An object of a [`Fold`].
#[derive(Clone)]
pub(super) struct Folded {
    pub(super) raw: RawObject,
    /// Number of the layer that wrote it last.
    layer: usize,
    /// It is in every site of these layers and lives as long as the run.
    pub(super) lasting: bool,
}

fn keep<T>(kept: &Kept<T>, name: &str, make: impl FnOnce() -> T) -> Arc<T> {
    let cell = {
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        match kept.get(name) {
            Some(cell) => Arc::clone(cell),
            None => Arc::clone(kept.entry(name.to_owned()).or_default()),
        }
    };
    Arc::clone(cell.get_or_init(|| Arc::new(make())))
}

/// The parsed `site.yaml` and its folder.
pub(super) struct SiteFile<'s> {
    pub(super) folder: &'s str,
    pub(super) path: &'s str,
    pub(super) documents: &'s [Node],
}

/// How the names in a fold are made final: evaluates what the site alone decides.
pub(super) type Naming<'n> = &'n dyn Fn(&Node) -> Node;

impl Layers {
    /// The layers that `named` and what they are built on, each once, what is built upon first.
    pub(super) fn stack(
        &self,
        tree: &SourceTree<'_>,
        named: &[(String, Origin)],
        site_folder: &str,
        faults: &mut Vec<Diagnostic>,
    ) -> Stack {
        let mut stack = Stack { paths: Vec::new(), heads: Vec::new() };
        let mut chain = Vec::new();
        for (path, origin) in few(named, faults) {
            if path == site_folder {
                let message = format!("the site's own folder `{path}` is always the last layer");
                faults.push(Diagnostic::error("layer-path", *origin, message).help("leave it out of `layers`"));
            } else {
                self.visit(tree, path, *origin, &mut chain, &mut stack, faults);
            }
        }
        stack
    }

    fn visit(
        &self,
        tree: &SourceTree<'_>,
        path: &str,
        origin: Origin,
        chain: &mut Vec<String>,
        stack: &mut Stack,
        faults: &mut Vec<Diagnostic>,
    ) {
        if let Some(from) = chain.iter().position(|earlier| earlier == path) {
            let cycle = chain[from..].iter().map(|layer| format!("`{layer}`")).collect::<Vec<_>>().join(" → ");
            let message = format!("the layer `{path}` is built on itself: {cycle} → `{path}`");
            faults.push(Diagnostic::error("layer-cycle", origin, message));
            return;
        }
        if stack.paths.iter().any(|known| known == path) {
            return;
        }
        if stack.paths.len() + chain.len() >= MAX_LAYERS {
            if !faults.iter().any(|fault| fault.code == TOO_MANY_LAYERS) {
                faults.push(too_many_layers(origin, "with those that they are built on, there are".to_owned()));
            }
            return;
        }
        let head = keep(&self.heads, path, || head(tree, path));
        faults.extend(head.faults.iter().cloned());
        chain.push(path.to_owned());
        let below = head.layer.as_ref().map(|layer| layer.layers.as_slice()).unwrap_or_default();
        for (below, origin) in few(below, faults) {
            self.visit(tree, below, *origin, chain, stack, faults);
        }
        chain.pop();
        stack.paths.push(path.to_owned());
        stack.heads.push(head);
        if let Err(error) = &*keep(&self.lists, path, || tree.list(path)) {
            let mut fault =
                Diagnostic::error("layer-missing", origin, format!("the layer `{path}` cannot be read: {error}"));
            if *error == FileError::NotFound {
                let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
                let mut near: BTreeSet<String> = BTreeSet::new();
                for file in tree.list(parent).unwrap_or_default() {
                    let rest = file.strip_prefix(parent).unwrap_or(&file).trim_start_matches('/');
                    if let Some((folder, _)) = rest.split_once('/') {
                        near.insert(if parent.is_empty() { folder.to_owned() } else { format!("{parent}/{folder}") });
                    }
                }
                fault = fault.help_if(
                    crate::diagnostic::nearest(path, near.iter().map(String::as_str))
                        .map(|near| format!("did you mean `{near}`?"))
                        .or_else(|| Some("paths are from the repository's root, or `./…` from this folder".to_owned())),
                );
            }
            faults.push(fault);
        }
    }

    fn body(&self, tree: &SourceTree<'_>, stack: &Stack, index: usize) -> Arc<Body> {
        let path = &stack.paths[index];
        let excluded = nested(path, &stack.paths);
        let name = format!("{path}\0{}", excluded.join("\0"));
        let destination = stack.heads[index].layer.as_ref().and_then(|layer| layer.destination.as_ref());
        keep(&self.bodies, &name, || {
            let own = format!("{path}/layer.yaml");
            let files = keep(&self.lists, path, || tree.list(path));
            let files = files.as_deref().unwrap_or_default();
            body(tree, path, files, &excluded, destination, &own, &stack.heads[index].documents)
        })
    }

    /// Everything that the layers and the site's folder hold, merged.
    ///
    /// `templates` renders a `.j2` file to documents; `naming` evaluates names made of variables.
    pub(super) fn fold(
        &self,
        tree: &SourceTree<'_>,
        stack: &Stack,
        site: &SiteFile<'_>,
        naming: Naming<'_>,
        mut templates: impl FnMut(&Source, &mut Vec<Diagnostic>) -> Vec<Node>,
    ) -> Fold {
        let bodies: Vec<Arc<Body>> = (0..stack.paths.len()).map(|index| self.body(tree, stack, index)).collect();
        let of_site = |body: &Body| body.named_by_variables || !body.templates.is_empty();
        let shared = bodies.iter().take_while(|body| !of_site(body)).count();
        let name = stack.paths[..shared].join("\0");
        let below = keep(&self.folds, &name, || {
            let mut fold = Fold { shared: true, ..Fold::default() };
            for (number, body) in bodies[..shared].iter().enumerate() {
                fold.add(body, &body.objects, number);
            }
            fold
        });
        let excluded = nested(site.folder, &stack.paths);
        let files = tree.list(site.folder);
        let listed = files.as_deref().unwrap_or_default();
        let own = body(tree, site.folder, listed, &excluded, None, site.path, site.documents);
        let mut fold = Fold::clone(&below);
        if let Err(error) = &files {
            fold.faults.push(unreadable(tree, site.folder, error));
        }
        fold.shared = false;
        for (number, body) in bodies.iter().map(|body| &**body).chain([&own]).enumerate().skip(shared) {
            let mut objects: Vec<RawObject> = body.objects.iter().map(|object| named(object, naming)).collect();
            let destination = stack.heads.get(number).and_then(|head| head.layer.as_ref());
            let destination = destination.and_then(|layer| layer.destination.as_ref());
            for source in &body.templates {
                let mut rendered = Reading::default();
                for document in templates(source, &mut fold.faults) {
                    rendered.document(&document, destination);
                }
                objects.extend(rendered.body.objects.iter().map(|object| named(object, naming)));
                fold.faults.append(&mut rendered.body.faults);
            }
            fold.add(body, &objects, number);
        }
        fold
    }
}

/// The layers that a list names; none, and a fault, where there are too many.
fn few<'l>(named: &'l [(String, Origin)], faults: &mut Vec<Diagnostic>) -> &'l [(String, Origin)] {
    match named.get(MAX_LAYERS) {
        None => named,
        Some((_, origin)) => {
            faults.push(too_many_layers(*origin, format!("this list has {}", named.len())));
            &[]
        }
    }
}

/// Its name on screen.
const TOO_MANY_LAYERS: &str = "too-many-layers";

fn too_many_layers(origin: Origin, what: String) -> Diagnostic {
    Diagnostic::error("too-many-layers", origin, format!("more than {MAX_LAYERS} layers"))
        .note(what)
        .help("put what is always used together into one layer")
}

/// The layers that lie inside `path` and are therefore not part of it.
fn nested(path: &str, paths: &[String]) -> Vec<String> {
    let inside = |other: &&String| other.strip_prefix(path).is_some_and(|rest| rest.starts_with('/'));
    paths.iter().filter(inside).cloned().collect()
}

fn named(object: &RawObject, naming: Naming<'_>) -> RawObject {
    let computed = |text: &str| text.contains(EXPRESSION);
    if !computed(&object.id.name) && !computed(&object.id.namespace) {
        return object.clone();
    }
    let Some(metadata) = object.node.get("metadata") else { return object.clone() };
    let mut changed = metadata.clone();
    for key in ["name", "namespace"] {
        if let Some(value) = metadata.get(key) {
            changed = changed.with(key, naming(value));
        }
    }
    let node = object.node.with("metadata", changed);
    RawObject { id: ObjectId::of(&node), placement: object.placement.clone(), node }
}

impl Fold {
    fn add(&mut self, body: &Body, objects: &[RawObject], number: usize) {
        self.faults.extend(body.faults.iter().cloned());
        for object in objects {
            self.merge(object, number);
        }
        for patch in &body.patches {
            match patch.stage {
                Stage::Output => self.output_patches.push(patch.clone()),
                Stage::Input => self.patch(patch),
            }
        }
    }

    /// The key under which an object without a destination is found, or the two that it could be.
    fn key(&self, object: &RawObject) -> Result<(ObjectId, Dest), Vec<Arc<Folded>>> {
        if let Some(dest) = &object.placement.dest {
            return Ok((object.id.clone(), dest.clone()));
        }
        let first = (object.id.clone(), Dest::Management);
        let mut candidates = self.objects.range(first.clone()..).take_while(|((id, _), _)| *id == object.id);
        match (candidates.next(), candidates.next()) {
            (None, _) => Ok(first),
            (Some((key, _)), None) => Ok(key.clone()),
            (Some((_, one)), Some((_, two))) => Err(vec![Arc::clone(one), Arc::clone(two)]),
        }
    }

    fn merge(&mut self, object: &RawObject, number: usize) {
        let key = match self.key(object) {
            Ok(key) => key,
            Err(candidates) => {
                let message = format!("{} could merge with an object of two destinations", object.id);
                let mut fault = Diagnostic::error("ambiguous-destination", object.node.origin(), message);
                for candidate in candidates {
                    fault =
                        fault.note_at(format!("one goes to {}", candidate.raw.placement), candidate.raw.node.origin());
                }
                self.faults.push(fault.help("say which with the annotation `dpu-render.dev/destination`"));
                return;
            }
        };
        let folded = match self.objects.get(&key) {
            Some(below) if below.layer == number => {
                let message = format!("{} is written twice in one layer", object.id);
                let fault = Diagnostic::error("duplicate-object", object.node.origin(), message)
                    .note_at("first written here", below.raw.node.origin())
                    .help("write it once, or move what differs into a layer of its own");
                self.faults.push(if object.placement.dest.is_none() && key.1 != Dest::Management {
                    fault.help(format!(
                        "it names no destination and takes the first one's, {}: for another annotate it with `dpu-render.dev/destination`",
                        below.raw.placement
                    ))
                } else {
                    fault
                });
                return;
            }
            Some(below) => {
                let node = merge(&below.raw.node, &object.node, &object.id.group, &object.id.kind, &mut self.faults);
                let placement = Placement {
                    dest: Some(key.1.clone()),
                    for_each: object.placement.for_each.or(below.raw.placement.for_each),
                    written: object.placement.written.or(below.raw.placement.written),
                };
                if node.is_null() || node.text(&["$patch"]) == Some("delete") {
                    self.objects.remove(&key);
                    return;
                }
                RawObject { id: object.id.clone(), placement, node }
            }
            None if object.node.text(&["$patch"]) == Some("delete") => {
                let message = format!("`$patch: delete` finds no {} in the layers below", object.id);
                self.faults.push(Diagnostic::error("patch-no-match", object.node.origin(), message));
                return;
            }
            None => RawObject {
                id: object.id.clone(),
                placement: Placement { dest: Some(key.1.clone()), ..object.placement.clone() },
                node: object.node.clone(),
            },
        };
        self.objects.insert(key, Arc::new(Folded { raw: folded, layer: number, lasting: self.shared }));
    }

    fn patch(&mut self, patch: &Patch) {
        let mut hit = false;
        let lasting = self.shared;
        for ((id, dest), folded) in &mut self.objects {
            if !patch::selects(&patch.target, id, &folded.raw.node, &dest.to_string()) {
                continue;
            }
            hit = true;
            match patch::apply(patch, &folded.raw.node, id) {
                Ok(node) => {
                    let raw = RawObject { node, ..folded.raw.clone() };
                    *folded = Arc::new(Folded { raw, layer: folded.layer, lasting });
                }
                Err(fault) => self.faults.push(*fault),
            }
        }
        if !hit {
            let ids = self.objects.keys().map(|(id, _)| id);
            self.faults.push(no_match(patch, ids));
        }
    }
}

/// A patch that selects nothing.
pub(super) fn no_match<'i>(patch: &Patch, ids: impl Iterator<Item = &'i ObjectId>) -> Diagnostic {
    let message = format!("Patch `{}` selects no object", patch.name);
    let fault = Diagnostic::error("patch-no-match", patch.target.origin, message);
    let same_kind: BTreeSet<&str> = ids
        .filter(|id| patch.target.kind.as_deref().is_none_or(|kind| kind == &*id.kind))
        .map(|id| &*id.name)
        .collect();
    let wanted = patch.target.name.as_deref().unwrap_or_default();
    let kind = patch.target.kind.as_deref().unwrap_or("object");
    fault.help(match crate::diagnostic::nearest(wanted, same_kind.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if same_kind.is_empty() => {
            format!("there is no {kind} at all; group, kind, namespace and labels must match too")
        }
        None => {
            let names: Vec<&str> = same_kind.into_iter().take(8).collect();
            format!("of kind {kind} there are: {}", names.join(", "))
        }
    })
}

fn head(tree: &SourceTree<'_>, folder: &str) -> Head {
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
    for document in read::documents(&source, file, &mut head.faults) {
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
struct Reading {
    body: Body,
}

impl Default for Reading {
    fn default() -> Self {
        let body = Body {
            objects: Vec::new(),
            patches: Vec::new(),
            templates: Vec::new(),
            named_by_variables: false,
            faults: Vec::new(),
        };
        Self { body }
    }
}

fn body(
    tree: &SourceTree<'_>,
    folder: &str,
    paths: &[String],
    excluded: &[String],
    destination: Option<&(String, Origin)>,
    parsed: &str,
    documents: &[Node],
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
            for document in documents {
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
                for document in read::documents(&source, file, &mut reading.body.faults) {
                    reading.document(&document, destination);
                }
            }
            Err(error) => reading.body.faults.push(unreadable(tree, path, &error)),
        }
    }
    reading.body
}

impl Reading {
    fn document(&mut self, document: &Node, destination: Option<&(String, Origin)>) {
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
            Some(ApiKind::Patch) => self.body.patches.push(parse::patch(document, &mut self.body.faults)),
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
fn leftover_variables(node: &Node, tolerant: bool, faults: &mut Vec<Diagnostic>) {
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
                let contents = matches!(
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
                );
                leftover_variables(value, tolerant || contents, faults);
            }
        }
        _ => {}
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

/// The inventory's file, if the site names one.
pub(super) fn documents_of(
    tree: &SourceTree<'_>,
    path: &str,
    faults: &mut Vec<Diagnostic>,
) -> Result<Vec<Node>, FileError> {
    let (file, source) = tree.load(path)?;
    Ok(read::documents(&source, file, faults))
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
