//! What a site is made of, read without rendering it. PURE.
//!
//! In: the files of a repository and the folder of a site. Out: [`Beginning`], from which a render goes on, and [`Outline`],
//! what a form that asks for a destination and for variables has to know.

use std::collections::{BTreeMap, BTreeSet};

use super::layer::Stack;
use super::object::Destination;
use super::{Repository, reading, scope, set_value};
use crate::diagnostic::{self, Diagnostic, Severity};
use crate::node::{Node, Value};
use crate::site::{Declaration, Inventory, Site, VariableType};
use crate::source::Origin;

/// The site's own documents, its layers and its variables.
pub(super) struct Beginning {
    /// Of its `site.yaml`.
    pub(super) path: String,
    pub(super) documents: Vec<Node>,
    pub(super) site: Site,
    pub(super) stack: Stack,
    pub(super) inventory: Inventory,
    /// Variables of layers and site, merged.
    pub(super) vars: Node,
    /// What the layers declare, by name.
    pub(super) declared: BTreeMap<String, Declaration>,
}

/// What a site is made of. Whoever renders it opens nothing else.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Reads {
    /// Folders of which every file counts: the layers, and the site's own.
    pub folders: BTreeSet<String>,
    /// Files beside these.
    pub files: BTreeSet<String>,
}

/// What a site asks for.
#[derive(Debug)]
pub struct Outline {
    /// `metadata.name`.
    pub name: String,
    /// `management` first, then the DPU clusters.
    pub destinations: Vec<Destination>,
    /// What its layers declare, by name.
    pub variables: Vec<Variable>,
}

/// A variable that a layer declares.
#[derive(Debug)]
pub struct Variable {
    /// Its declaration.
    pub declaration: Declaration,
    /// The text that sets it to what it is anyhow; absent where there is none, or where it is not the same everywhere.
    pub text: Option<String>,
}

impl Repository<'_> {
    /// What the site whose folder is `folder` asks for, without its objects.
    ///
    /// # Errors
    /// Where the site or the `layer.yaml` of one of its layers has a fault.
    pub fn outline(&self, folder: &str) -> Result<Outline, Vec<Diagnostic>> {
        let mut faults = Vec::new();
        let beginning = self.begin(folder, &mut faults);
        faults.retain(|fault| fault.severity == Severity::Error);
        diagnostic::sort(&mut faults, self.tree());
        match beginning {
            Some(beginning) if faults.is_empty() => Ok(beginning.outline()),
            _ => Err(faults),
        }
    }

    /// The files and folders that decide what comes out of the site; nothing where that cannot be told.
    #[must_use]
    pub fn reads(&self, folder: &str) -> Option<Reads> {
        let mut faults = Vec::new();
        let beginning = self.begin(folder, &mut faults)?;
        if faults.iter().any(|fault| fault.severity == Severity::Error) {
            return None;
        }
        let folders = beginning.stack.paths.iter().cloned().chain([folder.to_owned()]).collect();
        let inventory = beginning.site.inventory.map(|(path, _)| path);
        Some(Reads { folders, files: inventory.into_iter().collect() })
    }

    /// Reads the site and the heads of its layers; `None` where there is no site to go on with.
    pub(super) fn begin(&self, folder: &str, faults: &mut Vec<Diagnostic>) -> Option<Beginning> {
        let path = format!("{folder}/site.yaml");
        let documents = match reading::documents_of(&self.tree, self.layers.documents.as_deref(), &path, faults) {
            Ok(documents) => documents,
            Err(error) => {
                faults.push(reading::unreadable(&self.tree, &path, &error));
                return None;
            }
        };
        let site = self.site_document(&documents, folder, &path, faults)?;
        let stack = self.layers.stack(&self.tree, &site.layers, folder, faults);
        let inventory = self.inventory(&site, faults);
        let below = stack.layers().map(|layer| &layer.vars).chain([&site.vars]);
        let vars = below.fold(Node::map([], Origin::NONE), |below, above| scope::merge_vars(&below, above));
        // The nearest declaration counts.
        let declared: BTreeMap<String, Declaration> =
            stack.layers().flat_map(|layer| &layer.declare).map(|one| (one.name.clone(), one.clone())).collect();
        Some(Beginning { path, documents, site, stack, inventory, vars, declared })
    }
}

impl Beginning {
    fn outline(self) -> Outline {
        let clusters = self.site.clusters.iter().map(|cluster| &cluster.vars);
        let hosts = self.inventory.hosts.iter();
        let inner = hosts.flat_map(|host| host.dpus.iter().map(|dpu| &dpu.vars).chain([&host.vars]));
        let differs: BTreeSet<&str> =
            clusters.chain(inner).flat_map(|vars| vars.fields(&[])).map(|entry| &*entry.key.text).collect();
        let text = |declaration: &Declaration| {
            let value = self.vars.get(&declaration.name).filter(|_| !differs.contains(&*declaration.name))?;
            text_of(value, declaration.kind)
        };
        let variables = self
            .declared
            .values()
            .map(|declaration| Variable { declaration: declaration.clone(), text: text(declaration) })
            .collect();
        let clusters = self.site.clusters.iter().map(|cluster| Destination::Cluster(cluster.name.as_str().into()));
        let destinations = [Destination::Management].into_iter().chain(clusters).collect();
        Outline { name: self.site.name, destinations, variables }
    }
}

/// The text that is read as `value` where it sets a variable of this type.
fn text_of(value: &Node, kind: Option<VariableType>) -> Option<String> {
    if value.has_expression() {
        return None;
    }
    let text = match value.value() {
        Value::Str(text) => text.to_string(),
        Value::Bool(_) | Value::Number(_) => value.to_json().to_string(),
        _ => return None,
    };
    let read = set_value(&text, kind);
    (read == *value.value()).then_some(text)
}
