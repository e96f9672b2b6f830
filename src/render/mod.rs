//! From files to the objects of each cluster. PURE.
//!
//! In: a [`SourceTree`](crate::source::SourceTree) and the folder of a site. Out: [`RenderedSite`], its objects in order
//! with their text, or every fault.

pub mod expand;
pub mod object;

use std::sync::Arc;

use crate::node::Node;
use object::{Destination, ObjectId};

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
