//! From files to the objects of each cluster. PURE.
//!
//! In: the files of a repository and the folder of a site. Out: [`RenderedSite`], its objects in order with their text, or
//! every fault.

mod check;
mod emit;
pub mod expand;
mod expression;
mod filters;
mod finish;
mod layer;
pub mod merge;
pub mod object;
mod outline;
mod patch;
mod placement;
mod reading;
mod scope;
mod template;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::argocd::expect;
use crate::diagnostic::{self, Diagnostic, Severity};
use crate::node::{Node, Value};
use crate::site::parse;
use crate::site::{ApiKind, Declaration, Inventory, Mode, Site, VariableType};
use crate::source::{FileError, Files, Origin, SourceTree};
use crate::validate;
use crate::yaml::scalar;
use check::{Checker, SharedChecks};
use emit::{Printer, SharedTexts};
use expand::{Expanded, Input};
use expression::Templates;
use finish::{Finished, Gathered};
use layer::{Layers, SiteFile};
use object::{Destination, ObjectId};
use outline::Beginning;
pub use outline::{Outline, Reads, Variable};
use reading::SharedDocuments;
use scope::{Level, Scopes};

/// What a caller may ask for.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// `--set name=value`: variables over all scopes.
    pub set: Vec<(String, String)>,
    /// Who set them, for messages.
    pub set_by: SetBy,
    /// Also the objects that have no reader where they would go.
    pub intermediate: bool,
    /// In operator mode: also what DPF's controllers would make, as a preview.
    pub expand: bool,
    /// Also the Helm values as files.
    pub values: bool,
    /// Whose objects are printed. Everything is made and checked all the same.
    pub texts: Texts,
    /// `spec.expect` is passed over: it is about to be written anew.
    pub any_count: bool,
}

/// Who sets variables over all scopes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum SetBy {
    /// `--set`.
    #[default]
    CommandLine,
    /// A parameter of the Argo CD plugin: the value is not shown.
    Parameter,
}

/// Which destinations come with their objects; the others come empty.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Texts {
    /// All of them.
    #[default]
    All,
    /// The destination of this name.
    Of(String),
    /// All of them, their text left empty: objects are wanted, not what is written of them.
    Unwritten,
    /// None: only faults are wanted.
    None,
}

impl Texts {
    fn wants(&self, destination: &str) -> bool {
        match self {
            Self::All | Self::Unwritten => true,
            Self::Of(name) => name == destination,
            Self::None => false,
        }
    }
}

/// A repository of sites. Layers are parsed once and shared by every site rendered from it, from any thread.
pub struct Repository<'f> {
    tree: SourceTree<'f>,
    layers: Layers,
    templates: Templates,
    texts: SharedTexts,
    checks: SharedChecks,
}

/// What a render says: the product unless a fault forbids it, and all faults and warnings, sorted by place.
#[derive(Debug)]
pub struct Outcome {
    /// Absent where an error was found.
    pub site: Option<RenderedSite>,
    /// Errors and warnings.
    pub diagnostics: Vec<Diagnostic>,
}

impl<'f> Repository<'f> {
    /// A repository over `files`; nothing is read yet.
    #[must_use]
    pub fn new(files: &'f dyn Files) -> Self {
        Self::beside(SourceTree::new(files), None)
    }

    /// Two repositories over the two sides of a comparison. A file of the same bytes on both is parsed once, so that what it
    /// makes is the same node on both; an [`Origin`] of one side is known to the tree of the other.
    #[must_use]
    pub fn pair<'b, 'h>(base: &'b dyn Files, head: &'h dyn Files) -> (Repository<'b>, Repository<'h>) {
        let documents = Some(Arc::default());
        let (base, head) = SourceTree::pair(base, head);
        (Repository::beside(base, documents.clone()), Repository::beside(head, documents))
    }

    fn beside(tree: SourceTree<'f>, documents: Option<Arc<SharedDocuments>>) -> Self {
        Self {
            tree,
            layers: Layers::sharing(documents),
            templates: Templates::default(),
            texts: SharedTexts::default(),
            checks: SharedChecks::default(),
        }
    }

    /// The files read so far, for messages.
    #[must_use]
    pub fn tree(&self) -> &SourceTree<'f> {
        &self.tree
    }

    /// Renders the site whose folder, from the root, is `folder`. Validates the whole of it.
    #[must_use]
    pub fn render(&self, folder: &str, options: &Options) -> Outcome {
        let mut faults = Vec::new();
        let site = self.site(folder, options, &mut faults);
        // Where the value is refused as it was read, nobody asks how else it might be read.
        let odd: BTreeSet<_> = faults.iter().filter(|fault| fault.code == "wrong-type").map(|f| f.origin).collect();
        faults.retain(|fault| fault.code != "yaml-ambiguous" || !odd.contains(&fault.origin));
        let refused = faults.iter().any(|fault| fault.severity == Severity::Error);
        diagnostic::sort(&mut faults, &self.tree);
        Outcome { site: site.filter(|_| !refused), diagnostics: faults }
    }

    /// The main path; `None` where it cannot go on.
    fn site(&self, folder: &str, options: &Options, faults: &mut Vec<Diagnostic>) -> Option<RenderedSite> {
        let Beginning { path, documents, site, stack, inventory, vars, declared } = self.begin(folder, faults)?;
        let wanted = if options.any_count { Vec::new() } else { expect::wanted(&site, faults) };
        let outside = site.inventory.iter().map(|(path, _)| path);
        let folders: Vec<String> = stack.paths.iter().chain(outside).cloned().collect();
        let set = self.set(options, &declared, faults);
        let written = vars.clone();
        let scopes = Scopes::new(&self.tree, &self.templates, &site, &inventory, vars, set);
        scopes.check_declarations(&declared);
        let file = SiteFile { folder, path: &path, documents: &documents };
        let naming = |node: &Node| scopes.evaluate_at(node, Level::Site).unwrap_or_else(|| node.clone());
        let mut fold = self.layers.fold(&self.tree, &stack, &file, &naming, |source, faults| {
            template::documents(source, &self.tree, &scopes, faults)
        });
        // An inventory in the site's own folder is read as a file of that folder too.
        if let Some((inventory, _)) = site.inventory.as_ref().filter(|_| !inventory.present) {
            let path = |fault: &Diagnostic| Some(self.tree.source(fault.origin.file()?)?.path.clone());
            fold.faults.retain(|fault| fault.code != "file-unreadable" || path(fault).as_ref() != Some(inventory));
        }
        faults.append(&mut fold.faults);
        let placed = placement::place(&fold, &site, &inventory, &scopes, faults);
        faults.append(&mut scopes.take_faults());
        if faults.iter().any(|fault| fault.severity == Severity::Error) {
            // What was not read would be reported as missing by every rule.
            return None;
        }
        let input = Input {
            site: &site,
            inventory: &inventory,
            management: &placed.management,
            clusters: &placed.clusters,
            evaluate: &scopes,
        };
        let lasting: BTreeSet<usize> = fold
            .objects
            .values()
            .filter(|folded| folded.lasting && !folded.raw.node.has_expression())
            .map(|folded| folded.raw.node.address())
            .collect();
        let mut checker = Checker::new(&self.checks, &site);
        for node in placed.management.values().chain(placed.clusters.iter().flat_map(BTreeMap::values)) {
            checker.check(node, lasting.contains(&node.address()), faults);
        }
        let mut expanded = expand::expand(&input);
        let mut rules = validate::check(&input, &expanded);
        once(&mut rules, &mut expanded.diagnostics);
        faults.append(&mut rules);
        faults.append(&mut expanded.diagnostics);
        faults.append(&mut scopes.take_faults());
        // What an expression that waited became is known only now.
        for node in expanded.management.iter().chain(expanded.clusters.iter().flatten()) {
            checker.check_once_per(node.at(&["spec", "source"]).unwrap_or(node), node, faults);
        }
        if site.mode == Mode::Operator && !options.expand {
            expanded = Expanded::default();
        }
        let gathered = Gathered { placed: &placed, fold: &fold, folders: &folders };
        let finished = finish::finish(&input, &gathered, expanded, options, &scopes, faults);
        for node in &finished.late {
            checker.check(node, false, faults);
        }
        let objects: Vec<_> = [&finished.management].into_iter().chain(&finished.clusters).collect();
        faults.append(&mut expect::check(&site, &wanted, &objects));
        let destinations = self.print(&site, &finished, &lasting, options);
        Some(RenderedSite { name: site.name.clone(), destinations, site, inventory, vars: written, folders })
    }

    fn site_document(
        &self,
        documents: &[Node],
        folder: &str,
        path: &str,
        faults: &mut Vec<Diagnostic>,
    ) -> Option<Site> {
        let mut found: Option<Site> = None;
        for document in documents {
            if document.text(&["kind"]) != Some("Site") || parse::kind(document, faults) != Some(ApiKind::Site) {
                continue;
            }
            if let Some(first) = &found {
                let fault = Diagnostic::error("duplicate-object", document.origin(), "a second Site in one file");
                faults.push(fault.note_at("the first is here", first.node.origin()));
                continue;
            }
            found = Some(parse::site(document, folder, faults));
        }
        if found.is_none() && !faults.iter().any(|fault| fault.severity == Severity::Error) {
            let origin = documents.first().map_or_else(|| self.start_of(path), Node::origin);
            let fault = Diagnostic::error("site-missing", origin, format!("`{path}` holds no Site"));
            faults.push(
                fault.help(format!("it begins with `apiVersion: {}` and `kind: Site`", crate::site::API_VERSION)),
            );
        }
        found
    }

    fn start_of(&self, path: &str) -> Origin {
        let (file, _) = self.tree.add(path, String::new());
        Origin::new(file, 0)
    }

    fn inventory(&self, site: &Site, faults: &mut Vec<Diagnostic>) -> Inventory {
        let Some((path, origin)) = &site.inventory else { return Inventory::default() };
        let documents = match reading::documents_of(&self.tree, self.layers.documents.as_deref(), path, faults) {
            Ok(documents) => documents,
            Err(error) => {
                let message = format!("the inventory `{path}` cannot be read: {error}");
                let fault = Diagnostic::error("inventory-missing", *origin, message);
                faults.push(match error {
                    FileError::NotFound => {
                        fault.help("write its name in the site's folder, or its path from the repository's root")
                    }
                    _ => fault,
                });
                return Inventory::default();
            }
        };
        let found =
            documents.iter().find(|document| parse::kind(document, &mut Vec::new()) == Some(ApiKind::Inventory));
        let Some(document) = found else {
            faults.push(Diagnostic::error("inventory-missing", *origin, format!("`{path}` holds no Inventory")));
            return Inventory::default();
        };
        parse::inventory(document, faults)
    }

    /// The variables of `--set`, by declared type, else as Helm reads them.
    fn set(&self, options: &Options, declared: &BTreeMap<String, Declaration>, faults: &mut Vec<Diagnostic>) -> Node {
        let mut vars = Node::map([], Origin::NONE);
        for (name, text) in &options.set {
            let (file, offset) = match options.set_by {
                SetBy::CommandLine => (self.tree.add("--set", format!("{name}={text}")).0, name.len() + 1),
                SetBy::Parameter => (self.tree.add(&format!("parameter vars.{name}"), String::new()).0, 0),
            };
            let origin = Origin::new(file, u32::try_from(offset).unwrap_or_default());
            let path: Vec<&str> = name.split('.').collect();
            if path.iter().any(|part| part.is_empty()) {
                faults.push(Diagnostic::error(
                    "unknown-field",
                    Origin::new(file, 0),
                    format!("`{name}` is not the name of a variable"),
                ));
                continue;
            }
            let kind = declared.get(name).and_then(|declared| declared.kind);
            vars = vars.with_at(&path, Node::new(set_value(text, kind), origin));
        }
        vars
    }

    fn print(
        &self,
        site: &Site,
        finished: &Finished,
        lasting: &BTreeSet<usize>,
        options: &Options,
    ) -> Vec<RenderedDestination> {
        let mut printer = Printer::new(&self.texts, options.texts != Texts::Unwritten);
        let is_lasting = |node: &Node| lasting.contains(&node.address());
        let files = |values: &BTreeMap<String, (ObjectId, Node)>| {
            let wanted = values.iter().filter(|_| options.values);
            wanted.map(|(name, (application, values))| emit::values_file(name, application, values)).collect()
        };
        let clusters = site.clusters.iter().map(|cluster| Destination::Cluster(cluster.name.as_str().into()));
        let destinations = [Destination::Management].into_iter().chain(clusters);
        let objects = [(&finished.management, &finished.management_values)]
            .into_iter()
            .chain(finished.clusters.iter().zip(&finished.cluster_values));
        destinations
            .zip(objects)
            .map(|(destination, (objects, values))| {
                if options.texts.wants(&destination.to_string()) {
                    printer.destination(destination, objects, is_lasting, files(values))
                } else {
                    RenderedDestination { destination, objects: Vec::new(), values: Vec::new() }
                }
            })
            .collect()
    }
}

/// What a text sets a variable to: by its declared type, else as Helm reads it.
fn set_value(text: &str, kind: Option<VariableType>) -> Value {
    match kind {
        Some(VariableType::String) => Value::Str(text.into()),
        Some(_) => scalar::resolve(text),
        None => as_helm(text),
    }
}

/// What `--set` means to Helm (`strvals`): booleans, null and integers are told apart, versions as 1.10 and 007 stay text.
fn as_helm(text: &str) -> Value {
    let integer = text == "0" || !text.starts_with('0') && text.parse::<i64>().is_ok();
    let word = ["true", "false", "null"].iter().any(|word| text.eq_ignore_ascii_case(word));
    match word {
        true => scalar::resolve(&text.to_ascii_lowercase()),
        false if integer => scalar::resolve(text),
        false => Value::Str(text.into()),
    }
}

/// What a rule and the expansion both say of one place is said once, by the one that takes it more seriously.
fn once(rules: &mut Vec<Diagnostic>, expansion: &mut Vec<Diagnostic>) {
    let place = |fault: &Diagnostic| (fault.code, fault.origin);
    let by_rule: BTreeMap<_, Severity> = rules.iter().map(|fault| (place(fault), fault.severity)).collect();
    expansion.retain(|fault| by_rule.get(&place(fault)).is_none_or(|rule| fault.severity < *rule));
    let kept: BTreeSet<_> = expansion.iter().map(place).collect();
    rules.retain(|fault| !kept.contains(&place(fault)));
}

/// Everything that comes out of one site.
#[derive(Debug)]
pub struct RenderedSite {
    /// Name of the site.
    pub name: String,
    /// The site itself.
    pub site: Site,
    /// Its inventory.
    pub inventory: Inventory,
    /// Variables of its layers and of the site, merged, as they are written; a map.
    pub vars: Node,
    /// `management` first, then the DPU clusters by name.
    pub destinations: Vec<RenderedDestination>,
    /// What it is made of beside its own folder, from the repository's root: the folders of its layers, the file of its
    /// inventory.
    pub folders: Vec<String>,
}

impl RenderedSite {
    /// Whether the DPU cluster of this name gets objects.
    #[must_use]
    pub fn holds(&self, cluster: &str) -> bool {
        let own =
            |one: &&RenderedDestination| matches!(&one.destination, Destination::Cluster(name) if **name == *cluster);
        self.destinations.iter().find(own).is_some_and(|one| !one.objects.is_empty())
    }
}

/// The objects of one destination, in order of sync wave, kind, namespace, name.
#[derive(Debug)]
pub struct RenderedDestination {
    /// Where they go.
    pub destination: Destination,
    /// The objects.
    pub objects: Vec<RenderedObject>,
    /// Helm values by service (DPU clusters) or application (management).
    pub values: Vec<ValuesFile>,
}

/// An object and its text; equal objects of many destinations share both.
#[derive(Clone, Debug)]
pub struct RenderedObject {
    /// What it is.
    pub id: Arc<ObjectId>,
    /// The object.
    pub node: Node,
    /// Its YAML, one document without `---`, closed by a newline.
    pub text: Arc<str>,
}

/// Helm values as a file.
#[derive(Clone, Debug)]
pub struct ValuesFile {
    /// Name of the service: the file is `values/<name>.yaml`.
    pub name: String,
    /// The Application that carries them.
    pub application: ObjectId,
    /// YAML, closed by a newline.
    pub text: Arc<str>,
}
