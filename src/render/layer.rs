//! Layers: which there are, what is in them, and folding them into one set of objects. PURE.
//!
//! In: the files of a repository. Out: [`Stack`], the layers of a site in order, and [`Fold`], their objects merged, each
//! value remembering where it was written. Folders are parsed once per run and folds of the same layers are made once,
//! however many sites and clusters use them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::merge::{self, merge};
use super::object::ObjectId;
use super::patch;
use super::placement::{Dest, Placement};
use super::reading::{Body, Head, RawObject, Reading, SharedDocuments, body, head, unreadable};
use crate::diagnostic::Diagnostic;
use crate::node::{EXPRESSION, Node};
use crate::site::{Layer, Patch, Stage};
use crate::source::{FileError, Origin, Source, SourceTree};

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
    /// Documents that another repository shares; absent where there is one.
    pub(super) documents: Option<Arc<SharedDocuments>>,
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
    /// With documents that another repository has too, perhaps.
    pub(super) fn sharing(documents: Option<Arc<SharedDocuments>>) -> Self {
        Self { documents, ..Self::default() }
    }

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
        let head = keep(&self.heads, path, || head(tree, self.documents.as_deref(), path));
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
        let destination = stack.heads[index].layer.as_ref().and_then(|layer| layer.destination.as_ref());
        keep(&self.bodies, &body_name(path, &stack.paths), || {
            let own = format!("{path}/layer.yaml");
            let files = keep(&self.lists, path, || tree.list(path));
            let files = files.as_deref().unwrap_or_default();
            body(
                tree,
                self.documents.as_deref(),
                path,
                files,
                &excluded,
                destination,
                &own,
                &stack.heads[index].documents,
            )
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
        // What lies in a layer depends on the others: a folder that is named itself is left out.
        let names: Vec<String> = stack.paths[..shared].iter().map(|path| body_name(path, &stack.paths)).collect();
        let below = keep(&self.folds, &names.join("\0\0"), || {
            let mut fold = Fold { shared: true, ..Fold::default() };
            for (number, body) in bodies[..shared].iter().enumerate() {
                fold.faults.extend(body.faults.iter().cloned());
                fold.add(&body.objects, &body.patches, number);
            }
            fold
        });
        let excluded = nested(site.folder, &stack.paths);
        let files = tree.list(site.folder);
        let listed = files.as_deref().unwrap_or_default();
        let own =
            body(tree, self.documents.as_deref(), site.folder, listed, &excluded, None, site.path, site.documents);
        let mut fold = Fold::clone(&below);
        if let Err(error) = &files {
            fold.faults.push(unreadable(tree, site.folder, error));
        }
        fold.shared = false;
        for (number, body) in bodies.iter().map(|body| &**body).chain([&own]).enumerate().skip(shared) {
            let mut objects: Vec<RawObject> = body.objects.iter().map(|object| named(object, naming)).collect();
            let mut patches = body.patches.clone();
            let destination = stack.heads.get(number).and_then(|head| head.layer.as_ref());
            let destination = destination.and_then(|layer| layer.destination.as_ref());
            for source in &body.templates {
                let mut rendered = Reading::default();
                for document in templates(source, &mut fold.faults) {
                    rendered.document(&document, destination);
                }
                objects.extend(rendered.body.objects.iter().map(|object| named(object, naming)));
                patches.append(&mut rendered.body.patches);
                fold.faults.append(&mut rendered.body.faults);
            }
            fold.faults.extend(body.faults.iter().cloned());
            fold.add(&objects, &patches, number);
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

/// What tells apart the bodies of a layer among different others.
fn body_name(path: &str, paths: &[String]) -> String {
    format!("{path}\0{}", nested(path, paths).join("\0"))
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
    fn add(&mut self, objects: &[RawObject], patches: &[Patch], number: usize) {
        for object in objects {
            self.merge(object, number);
        }
        for patch in patches {
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
                node: merge::first(&object.node, &mut self.faults),
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
