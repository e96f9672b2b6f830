//! Identity of Kubernetes objects and where they go. PURE.

use std::fmt;
use std::sync::Arc;

use crate::node::{Name, Node};

/// What makes an object that object, within one cluster.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct ObjectId {
    /// API group, empty for the core.
    pub group: Name,
    /// Kind.
    pub kind: Name,
    /// Namespace, empty where there is none.
    pub namespace: Arc<str>,
    /// Name.
    pub name: Arc<str>,
}

impl ObjectId {
    /// An identity of plain strings.
    #[must_use]
    pub fn new(group: &str, kind: &str, namespace: &str, name: &str) -> Self {
        Self { group: well_known(group), kind: well_known(kind), namespace: namespace.into(), name: name.into() }
    }

    /// The identity of an object; missing parts are empty.
    #[must_use]
    pub fn of(node: &Node) -> Self {
        let version = node.text(&["apiVersion"]).unwrap_or_default();
        Self::new(
            version.split_once('/').map_or("", |(group, _)| group),
            node.text(&["kind"]).unwrap_or_default(),
            node.text(&["metadata", "namespace"]).unwrap_or_default(),
            node.text(&["metadata", "name"]).unwrap_or_default(),
        )
    }

    /// Whether it is of this group and kind.
    #[must_use]
    pub fn is(&self, group: &str, kind: &str) -> bool {
        &*self.kind == kind && &*self.group == group
    }
}

/// Groups and kinds of which a site has thousands of objects; they need no memory of their own.
const WELL_KNOWN: [&str; 14] = [
    "",
    "apps",
    "argoproj.io",
    "nv-ipam.nvidia.com",
    "svc.dpu.nvidia.com",
    "Application",
    "CIDRPool",
    "ConfigMap",
    "DPUService",
    "Namespace",
    "ServiceChain",
    "ServiceChainSet",
    "ServiceInterface",
    "ServiceInterfaceSet",
];

fn well_known(text: &str) -> Name {
    WELL_KNOWN.iter().find(|known| **known == text).map_or_else(|| text.into(), |known| Name::Constant(known))
}

/// `Kind namespace/name`, as kubectl users write it.
impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() {
            write!(f, "{} {}", self.kind, self.name)
        } else {
            write!(f, "{} {}/{}", self.kind, self.namespace, self.name)
        }
    }
}

/// Where an object goes.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Destination {
    /// The management cluster.
    Management,
    /// The DPU cluster of this name.
    Cluster(Arc<str>),
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Management => f.write_str("management"),
            Self::Cluster(name) => f.write_str(name),
        }
    }
}
