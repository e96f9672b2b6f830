//! From files to the objects of each cluster. PURE.
//!
//! In: the files of a repository and the folder of a site. Out: [`RenderedSite`], its objects in order with their text, or
//! every fault.

pub mod expand;
pub mod object;

use std::sync::Arc;

use crate::diagnostic::Diagnostic;
use crate::node::Node;
use crate::source::{Files, SourceTree};
use object::{Destination, ObjectId};

/// What a caller may ask for.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// `--set name=value`: variables over all scopes.
    pub set: Vec<(String, String)>,
    /// Also the objects that have no reader where they would go.
    pub intermediate: bool,
    /// In operator mode: also what DPF's controllers would make, as a preview.
    pub expand: bool,
}

/// A repository of sites. Layers are parsed once and shared by every site rendered from it, from any thread.
pub struct Repository<'f> {
    tree: SourceTree<'f>,
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
        Self { tree: SourceTree::new(files) }
    }

    /// The files read so far, for messages.
    #[must_use]
    pub fn tree(&self) -> &SourceTree<'f> {
        &self.tree
    }

    /// Renders the site whose folder, from the root, is `folder`. Validates the whole of it.
    #[must_use]
    pub fn render(&self, folder: &str, _options: &Options) -> Outcome {
        let site = RenderedSite { name: folder.to_owned(), destinations: Vec::new() };
        Outcome { site: Some(site), diagnostics: Vec::new() }
    }
}

/// Everything that comes out of one site.
#[derive(Debug)]
pub struct RenderedSite {
    /// Name of the site.
    pub name: String,
    /// `management` first, then the DPU clusters by name.
    pub destinations: Vec<RenderedDestination>,
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
    /// YAML, closed by a newline.
    pub text: Arc<str>,
}
