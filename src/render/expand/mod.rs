//! What the operators would create out of the user's objects. PURE.
//!
//! In: the objects of one site after layers and site-level expressions ([`Input`]). Out: [`Expanded`], the objects that
//! come beside or instead of them. Expanders read through `Node` and graft; nothing is copied per cluster that is equal.

pub mod agent;
pub mod dpf;

use std::collections::BTreeMap;

use crate::diagnostic::Diagnostic;
use crate::node::Node;
use crate::render::object::ObjectId;
use crate::site::{Inventory, Mode, Release, Site};

/// Where an expression that waited is evaluated.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Scope {
    /// A cluster, by its index in [`Site::clusters`].
    Cluster(usize),
    /// A host, by its index in [`Inventory::hosts`].
    Host(usize),
    /// A card: host and card index. `cluster`, `host` and `dpu` are in scope.
    Dpu(usize, usize),
}

/// Evaluates what waits for a cluster, host or card. Faults are kept by the implementation.
pub trait Evaluate {
    /// `node` with every expression evaluated in `scope`; the same node if there is none.
    fn evaluate(&self, node: &Node, scope: Scope) -> Node;
}

/// The objects of one site.
pub struct Input<'a> {
    /// The site.
    pub site: &'a Site,
    /// Its inventory.
    pub inventory: &'a Inventory,
    /// Objects of the management cluster.
    pub management: &'a BTreeMap<ObjectId, Node>,
    /// Objects that the user wrote for DPU clusters, by index in [`Site::clusters`].
    pub clusters: &'a [BTreeMap<ObjectId, Node>],
    /// For expressions that wait.
    pub evaluate: &'a dyn Evaluate,
}

/// What expansion makes.
#[derive(Default)]
pub struct Expanded {
    /// New objects of the management cluster.
    pub management: Vec<Node>,
    /// New objects of each DPU cluster, by index in [`Site::clusters`].
    pub clusters: Vec<Vec<Node>>,
    /// Objects that have no reader where they would go (`DPUService`s in between, Sets whose nodes are known):
    /// written only on request. Management first, then by cluster index.
    pub intermediate: Vec<Node>,
    /// The same for each DPU cluster.
    pub cluster_intermediate: Vec<Vec<Node>>,
    /// Objects of the user that are replaced by what was made of them, and are therefore not written.
    pub consumed: Vec<ObjectId>,
    /// Whether charts of DPF's install the kinds of chains and interfaces in DPU clusters.
    pub charts_bring_chain_kinds: bool,
    /// Helm values of each service on each cluster.
    pub values: Vec<ServiceValues>,
    /// Secrets that the site needs.
    pub secrets: Vec<SecretNeed>,
    /// Faults.
    pub diagnostics: Vec<Diagnostic>,
}

/// Helm values of a service on a DPU cluster.
#[derive(Clone, Debug)]
pub struct ServiceValues {
    /// Index of the DPU cluster.
    pub cluster: usize,
    /// Name of the `DPUService`.
    pub service: String,
    /// The Application that carries them; an output patch may change them there.
    pub application: Node,
    /// The values.
    pub values: Node,
}

/// A Secret that must be there, and why.
#[derive(Clone, Debug)]
pub struct SecretNeed {
    /// `None` for the management cluster, else the index of the DPU cluster.
    pub cluster: Option<usize>,
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Who needs it and for what, for the message.
    pub reason: String,
    /// Where that is written.
    pub origin: crate::source::Origin,
}

/// What the site's operators would create. In operator mode it is made to be checked, and shown only as a preview.
#[must_use]
pub fn expand(input: &Input<'_>) -> Expanded {
    let mut expanded = if input.site.dpf <= Release::V25_1 { dpf::expand(input) } else { unknown_release(input) };
    expanded.clusters.resize_with(input.site.clusters.len(), Vec::new);
    if let Some(agent) = &input.site.agent
        && input.site.mode == Mode::Standalone
        && !input.site.parity
    {
        let objects = agent::objects(agent, expanded.charts_bring_chain_kinds);
        expanded.clusters.iter_mut().for_each(|cluster| cluster.extend(objects.iter().cloned()));
    }
    if input.site.mode == Mode::Operator {
        // DPF's controllers read the user's objects: they stay.
        expanded.consumed.clear();
    }
    expanded
}

/// An object after a patch, the digest of its content kept true.
#[must_use]
pub fn redigest(before: &Node, after: Node) -> Node {
    dpf::redigest(before, after)
}

/// From v25.4 on the API is another one, and so is what the controllers make of it.
fn unknown_release(input: &Input<'_>) -> Expanded {
    let mut expanded = Expanded::default();
    if input.site.mode == Mode::Standalone {
        let spec = input.site.node.get("spec").unwrap_or(&input.site.node);
        let origin = spec.get("dpf").map_or(spec.origin(), Node::origin);
        let message = format!("what DPF {} makes of these objects is not known here", input.site.dpf);
        let fault = Diagnostic::error("release-not-expanded", origin, message);
        expanded.diagnostics.push(fault.help("write `mode: operator`, or use a release up to v25.1"));
    }
    expanded
}
