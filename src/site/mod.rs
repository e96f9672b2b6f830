//! Our own kinds, typed: `Site`, `Layer`, `Inventory`, `Patch` of `dpu-render.dev/v1alpha1`. They never reach a cluster.
//!
//! In: nodes. Out: checked structs; whatever is unknown, missing or of the wrong type is a diagnostic. PURE.

mod fields;
pub mod parse;

use std::collections::BTreeMap;
use std::fmt;

use crate::argocd::version::Version;
use crate::node::Node;
use crate::source::Origin;

/// `apiVersion` of our kinds.
pub const API_VERSION: &str = "dpu-render.dev/v1alpha1";
/// Prefix of our annotations.
pub const GROUP: &str = "dpu-render.dev";

/// A DPF release whose API the objects are written for, in order of time.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Release {
    /// v24.10, December 2024.
    V24_10,
    /// v25.1, the same API.
    V25_1,
    /// v25.4.
    V25_4,
    /// v25.7.
    V25_7,
    /// v25.10.
    V25_10,
    /// v26.4.
    V26_4,
    /// v26.8.
    V26_8,
}

impl Release {
    /// Every release, oldest first.
    pub const ALL: [Self; 7] =
        [Self::V24_10, Self::V25_1, Self::V25_4, Self::V25_7, Self::V25_10, Self::V26_4, Self::V26_8];

    /// As people write it: `v24.10`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::V24_10 => "v24.10",
            Self::V25_1 => "v25.1",
            Self::V25_4 => "v25.4",
            Self::V25_7 => "v25.7",
            Self::V25_10 => "v25.10",
            Self::V26_4 => "v26.4",
            Self::V26_8 => "v26.8",
        }
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Who expands the user's objects.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mode {
    /// We do.
    Standalone,
    /// DPF's controllers do; we render and check their input.
    Operator,
}

/// Who makes the system components of a standalone site.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SystemComponents {
    /// Rendered here.
    Rendered,
    /// The installed DPF operator.
    Operator,
}

/// `kind: Site`.
#[derive(Clone, Debug)]
pub struct Site {
    /// `metadata.name`.
    pub name: String,
    /// The folder that holds `site.yaml`, from the repository's root.
    pub folder: String,
    /// `spec.dpf`.
    pub dpf: Release,
    /// `spec.mode`.
    pub mode: Mode,
    /// `spec.parity`: DPF v24.10 to the letter.
    pub parity: bool,
    /// `spec.systemComponents`.
    pub system_components: SystemComponents,
    /// `spec.layers`, paths from the repository's root.
    pub layers: Vec<(String, Origin)>,
    /// `spec.vars`; a map.
    pub vars: Node,
    /// `spec.clusters`, by name.
    pub clusters: Vec<Cluster>,
    /// `spec.inventory`, path from the repository's root.
    pub inventory: Option<(String, Origin)>,
    /// `spec.external`.
    pub external: Vec<External>,
    /// `spec.argocd`.
    pub argocd: ArgoCd,
    /// `spec.agent`.
    pub agent: Option<Agent>,
    /// The document itself.
    pub node: Node,
}

/// An entry of `spec.clusters`.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// Name of the `DPUCluster`.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Variables of the cluster; a map.
    pub vars: Node,
    /// Where the entry begins.
    pub origin: Origin,
}

/// An entry of `spec.external`: needed, but made by somebody else.
#[derive(Clone, Debug)]
pub struct External {
    /// API group, empty for the core.
    pub group: String,
    /// Kind.
    pub kind: String,
    /// Namespace, empty where the kind has none.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// `management`, a cluster's name, or everywhere.
    pub destination: Option<String>,
    /// Keys that a Secret must have.
    pub keys: Vec<String>,
    /// Where the entry begins.
    pub origin: Origin,
}

/// `spec.argocd`.
#[derive(Clone, Debug)]
pub struct ArgoCd {
    /// Namespace of the Applications; `dpf-operator-system` unless given.
    pub namespace: String,
    /// Argo CD's name of the management cluster; `in-cluster` unless given.
    pub management_cluster: String,
    /// AppProject of the Applications of ours; the site's name unless given.
    pub project: String,
    /// The repository of the sites.
    pub repo_url: Option<String>,
    /// Its branch or tag.
    pub target_revision: Option<String>,
    /// Name of the plugin, its version included; that of this program unless given.
    pub plugin: String,
    /// Argo CD's version; that of the DPF release unless given.
    pub version: Version,
    /// Whether the site says anything of Argo CD.
    pub present: bool,
    /// Where it does, or the site.
    pub origin: Origin,
}

impl ArgoCd {
    /// The revision that Applications name.
    #[must_use]
    pub fn revision(&self) -> &str {
        self.target_revision.as_deref().unwrap_or("HEAD")
    }
}

/// `spec.agent`.
#[derive(Clone, Debug)]
pub struct Agent {
    /// Image reference.
    pub image: String,
    /// Namespace in the DPU clusters.
    pub namespace: String,
    /// Where it is given.
    pub origin: Origin,
}

/// `kind: Inventory`; empty where a site has none.
#[derive(Clone, Debug, Default)]
pub struct Inventory {
    /// Hosts in the order of the file.
    pub hosts: Vec<Host>,
    /// Whether the site names an inventory: without one, nothing is expanded per node.
    pub present: bool,
}

/// A Node of the management cluster.
#[derive(Clone, Debug)]
pub struct Host {
    /// Name of the Node.
    pub name: String,
    /// Labels of the Node, the `dpu-<n>-pci-address` ones included.
    pub labels: BTreeMap<String, String>,
    /// Variables; a map.
    pub vars: Node,
    /// Its cards.
    pub dpus: Vec<Dpu>,
    /// Where the entry begins.
    pub origin: Origin,
}

/// A card.
#[derive(Clone, Debug)]
pub struct Dpu {
    /// Name of its Node in the DPU cluster.
    pub node_name: String,
    /// `0000:90:00`; absent where `nodeName` is given.
    pub pci: Option<String>,
    /// Name of the DPU cluster it joins.
    pub cluster: String,
    /// Serial number.
    pub serial: Option<String>,
    /// Labels of its Node as written; those that kubelet and DPF add are `render::expand`'s matter.
    pub labels: BTreeMap<String, String>,
    /// Variables; a map.
    pub vars: Node,
    /// Where the entry begins.
    pub origin: Origin,
    /// Where its cluster is named.
    pub cluster_origin: Origin,
}

/// Our kinds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ApiKind {
    /// [`Site`].
    Site,
    /// [`Layer`].
    Layer,
    /// [`Patch`].
    Patch,
    /// [`Inventory`].
    Inventory,
}

impl ApiKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Site, Self::Layer, Self::Patch, Self::Inventory];

    /// As written in `kind`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Site => "Site",
            Self::Layer => "Layer",
            Self::Patch => "Patch",
            Self::Inventory => "Inventory",
        }
    }
}

/// `kind: Layer`.
#[derive(Clone, Debug)]
pub struct Layer {
    /// `spec.layers`: what it is built on, paths from the repository's root.
    pub layers: Vec<(String, Origin)>,
    /// `spec.destination` of its objects.
    pub destination: Option<(String, Origin)>,
    /// `spec.vars`; a map.
    pub vars: Node,
    /// `spec.declare`.
    pub declare: Vec<Declaration>,
    /// Where the document begins.
    pub origin: Origin,
}

/// An entry of `spec.declare`: a variable that somebody must set, and what it may be.
#[derive(Clone, Debug)]
pub struct Declaration {
    /// Name of the variable.
    pub name: String,
    /// Its type; any where absent.
    pub kind: Option<VariableType>,
    /// Least number, or least length of a string or list.
    pub minimum: Option<f64>,
    /// Greatest number, or greatest length of a string or list.
    pub maximum: Option<f64>,
    /// What it is for, in the words of its layer.
    pub description: Option<String>,
    /// Values allowed; any where empty.
    pub choices: Vec<Node>,
    /// Where it is declared.
    pub origin: Origin,
}

/// Types of variables, by the names of JSON Schema.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum VariableType {
    /// Text.
    String,
    /// A number without fraction.
    Integer,
    /// Any number.
    Number,
    /// True or false.
    Boolean,
    /// A list.
    Array,
    /// A map.
    Object,
}

impl VariableType {
    /// As written in `type`.
    pub const NAMES: [(&'static str, Self); 6] = [
        ("string", Self::String),
        ("integer", Self::Integer),
        ("number", Self::Number),
        ("boolean", Self::Boolean),
        ("array", Self::Array),
        ("object", Self::Object),
    ];
}

/// `kind: Patch`.
#[derive(Clone, Debug)]
pub struct Patch {
    /// `metadata.name`.
    pub name: String,
    /// When it is applied.
    pub stage: Stage,
    /// To what.
    pub target: Target,
    /// RFC 6902 operations, in order.
    pub operations: Vec<Node>,
    /// Where the document begins.
    pub origin: Origin,
}

/// When a patch is applied.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Stage {
    /// In its layer's turn.
    Input,
    /// After expansion, generated objects too.
    Output,
}

/// What a patch selects; every member that is given must match. Names may hold `*`.
#[derive(Clone, Debug)]
pub struct Target {
    /// API group.
    pub group: Option<String>,
    /// Kind.
    pub kind: Option<String>,
    /// Namespace.
    pub namespace: Option<String>,
    /// Name.
    pub name: Option<String>,
    /// Labels that the object must have.
    pub labels: BTreeMap<String, String>,
    /// `management`, or a cluster's name.
    pub destination: Option<String>,
    /// Where it is written.
    pub origin: Origin,
}

/// `dpu-render.dev/for-each`.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum ForEach {
    /// One object per DPU cluster.
    Clusters,
    /// One per host.
    Hosts,
    /// One per card.
    Dpus,
}
