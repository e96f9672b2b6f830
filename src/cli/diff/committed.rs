//! A tree that an earlier `-o` wrote, read back as a side of a comparison. PURE.
//!
//! In: the files of the tree, and the site as it renders now, of which only name and clusters count. Out: the site as it was
//! written, its objects with their places in the tree. Helm values as files are left out: the Applications have them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::cli::tree;
use crate::diagnostic::{Diagnostic, Severity};
use crate::node::Node;
use crate::render::object::{Destination, ObjectId};
use crate::render::{Outcome, RenderedDestination, RenderedObject, RenderedSite};
use crate::site::{Inventory, parse};
use crate::source::{FileError, Origin, SourceTree};
use crate::yaml::read;

/// What the tree holds of the site that renders as `head`; refused where that is refused.
pub(super) fn outcome(tree: &SourceTree<'_>, head: Option<&RenderedSite>) -> Outcome {
    let mut diagnostics = Vec::new();
    let site = head.map(|head| RenderedSite {
        name: head.name.clone(),
        site: head.site.clone(),
        inventory: head.inventory.clone(),
        vars: head.vars.clone(),
        folders: head.folders.clone(),
        destinations: destinations(tree, &folder(tree, &head.name), &mut diagnostics),
    });
    let refused = diagnostics.iter().any(|fault| fault.severity == Severity::Error);
    Outcome { site: site.filter(|_| !refused), diagnostics }
}

/// Sites of the tree that are none of `known`.
pub(super) fn others(tree: &SourceTree<'_>, known: &BTreeSet<String>) -> Vec<RenderedSite> {
    if is_single(tree) {
        return Vec::new();
    }
    let known: BTreeSet<String> = known.iter().map(|name| tree::folder_name(name)).collect();
    let files = tree.list("").unwrap_or_default();
    let folders: BTreeSet<&str> =
        files.iter().filter_map(|path| Some(path.split_once('/')?.0)).filter(|name| !known.contains(*name)).collect();
    folders.into_iter().map(|name| of_nobody(tree, name)).filter(|site| !site.destinations.is_empty()).collect()
}

/// A site of which nothing is known but what was written of it.
fn of_nobody(tree: &SourceTree<'_>, name: &str) -> RenderedSite {
    let nothing = Node::map([], Origin::NONE);
    let mut site = parse::site(&nothing, name, &mut Vec::new());
    name.clone_into(&mut site.name);
    RenderedSite {
        name: name.to_owned(),
        site,
        inventory: Inventory::default(),
        vars: nothing,
        folders: Vec::new(),
        destinations: destinations(tree, name, &mut Vec::new()),
    }
}

/// Where the tree of a site is: in a folder of its own, unless the whole is of one site.
fn folder(tree: &SourceTree<'_>, site: &str) -> String {
    if is_single(tree) { String::new() } else { tree::folder_name(site) }
}

fn is_single(tree: &SourceTree<'_>) -> bool {
    tree.load(tree::LIST).is_ok()
}

fn destinations(tree: &SourceTree<'_>, folder: &str, faults: &mut Vec<Diagnostic>) -> Vec<RenderedDestination> {
    let files = match tree.list(folder) {
        Ok(files) => files,
        // A site that was not written yet.
        Err(FileError::NotFound) => Vec::new(),
        Err(error) => {
            let fault = format!("the tree `{folder}` {error}");
            faults.push(Diagnostic::error("file-unreadable", Origin::NONE, fault));
            Vec::new()
        }
    };
    let mut found: BTreeMap<Destination, Vec<RenderedObject>> = BTreeMap::new();
    for path in files {
        let below = path.strip_prefix(folder).unwrap_or(&path).trim_start_matches('/');
        let destination = match below.split('/').collect::<Vec<_>>()[..] {
            ["management", _] | ["management.yaml"] => Destination::Management,
            ["clusters", cluster, _] => Destination::Cluster(cluster.into()),
            ["clusters", bundle] => Destination::Cluster(bundle.trim_end_matches(".yaml").into()),
            // Values, and files that are not ours.
            _ => continue,
        };
        match tree.load(&path) {
            Ok((file, source)) => {
                let documents = read::documents(&source, file, faults);
                let object = |node: Node| RenderedObject { id: Arc::new(ObjectId::of(&node)), node, text: "".into() };
                found.entry(destination).or_default().extend(documents.into_iter().map(object));
            }
            Err(error) => {
                let fault = format!("`{path}` {error}");
                faults.push(Diagnostic::error("file-unreadable", Origin::NONE, fault).without_excerpt());
            }
        }
    }
    let destination = |(destination, objects)| RenderedDestination { destination, objects, values: Vec::new() };
    found.into_iter().map(destination).collect()
}
