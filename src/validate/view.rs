//! What rules read of DPF's kinds: groups, and a `DPUDeployment` with what it refers to. PURE.

use super::Context;
use super::selector::{Operator, Requirement, Selector, known};
use crate::node::{Name, Node};
use crate::render::object::ObjectId;
use crate::source::Origin;

/// Services, chains, interfaces, IPAM.
pub(super) const SVC: &str = "svc.dpu.nvidia.com";
/// Cards, images, clusters.
pub(super) const PROVISIONING: &str = "provisioning.dpu.nvidia.com";
/// The operator's own.
pub(super) const OPERATOR: &str = "operator.dpu.nvidia.com";
/// Address pools in a DPU cluster.
pub(super) const NV_IPAM: &str = "nv-ipam.nvidia.com";
/// The only namespace of `DPUServiceIPAM`, whatever the operator's.
pub(super) const IPAM_NAMESPACE: &str = "dpf-operator-system";
/// Label with the id of a service.
pub(super) const SERVICE_LABEL: &str = "svc.dpu.nvidia.com/service";
/// Label with the name of a service's interface.
pub(super) const INTERFACE_LABEL: &str = "svc.dpu.nvidia.com/interface";
/// Label of everything that a `DPUDeployment` makes.
pub(super) const OWNER_LABEL: &str = "svc.dpu.nvidia.com/owned-by-dpudeployment";

/// A `DPUDeployment`.
pub(super) struct Deployment<'a> {
    pub(super) id: &'a ObjectId,
    pub(super) node: &'a Node,
    pub(super) services: Vec<Service<'a>>,
}

/// An entry of `spec.services`.
pub(super) struct Service<'a> {
    pub(super) key: Name,
    pub(super) origin: Origin,
    pub(super) template: Option<&'a Node>,
    pub(super) configuration: Option<&'a Node>,
}

impl<'a> Service<'a> {
    /// Whether it runs in the management cluster; nothing where that waits for an expression.
    pub(super) fn in_cluster(&self) -> Option<bool> {
        let value = self.configuration.and_then(|node| node.at(&["spec", "serviceConfiguration", "deployInCluster"]));
        value.map_or(Some(false), Node::as_bool)
    }

    /// The entries of its configuration's `interfaces`.
    pub(super) fn interfaces(&self) -> &'a [Node] {
        self.configuration.map(|node| node.items(&["spec", "interfaces"])).unwrap_or_default()
    }
}

impl<'a> Deployment<'a> {
    /// The entry of `spec.services` under `key`.
    pub(super) fn service(&self, key: &str) -> Option<&Service<'a>> {
        let index = self.services.binary_search_by(|service| (*service.key).cmp(key)).ok()?;
        self.services.get(index)
    }

    /// The switches of its chain: a list in the first API, a map with a list since v25.4.
    pub(super) fn switches(&self) -> &'a [Node] {
        let chains = self.node.at(&["spec", "serviceChains"]);
        match chains {
            Some(node) if node.as_list().is_some() => node.items(&[]),
            Some(node) => node.items(&["switches"]),
            None => &[],
        }
    }

    /// The entries of `spec.dpus.dpuSets`.
    pub(super) fn dpu_sets(&self) -> &'a [Node] {
        self.node.items(&["spec", "dpus", "dpuSets"])
    }

    /// `<namespace>_<name>`, the value of the owner label.
    pub(super) fn owner(&self) -> String {
        format!("{}_{}", self.id.namespace, self.id.name)
    }

    /// The id of a service, a label value too.
    pub(super) fn service_id(&self, key: &str) -> String {
        format!("dpudeployment_{}_{key}", self.id.name)
    }

    /// The nodes that its chain and interfaces select, but for the version labels.
    pub(super) fn selector(&self) -> Selector<'a> {
        Selector::labels([(OWNER_LABEL.to_owned(), self.owner())])
    }

    /// The nodes of one service's interfaces.
    pub(super) fn service_selector(&self, key: &str) -> Selector<'a> {
        let mut selector = self.selector();
        selector.requirements.push(Requirement {
            key: format!("svc.dpu.nvidia.com/dpuservice-{key}-version").into(),
            operator: Operator::Exists,
            values: Vec::new(),
        });
        selector
    }
}

/// The user's `DPUDeployment`s.
pub(super) fn deployments<'a>(context: &Context<'a>) -> Vec<Deployment<'a>> {
    context
        .objects(SVC, "DPUDeployment")
        .map(|(id, node)| {
            let find = |entry: &'a Node, field: &str, kind: &str| {
                context.object(SVC, kind, &id.namespace, entry.get(field).and_then(known)?)
            };
            let services = node
                .fields(&["spec", "services"])
                .iter()
                .map(|entry| Service {
                    key: entry.key.text.clone(),
                    origin: entry.key.origin,
                    template: find(&entry.value, "serviceTemplate", "DPUServiceTemplate"),
                    configuration: find(&entry.value, "serviceConfiguration", "DPUServiceConfiguration"),
                })
                .collect();
            Deployment { id, node, services }
        })
        .collect()
}

/// Where an object is named, for messages about the object as a whole.
pub(super) fn place(node: &Node) -> Origin {
    node.at(&["metadata", "name"]).map_or(node.origin(), Node::origin)
}

/// `a`, `b` and 3 more: at most six of them, for messages.
pub(super) fn listed<'s>(items: impl IntoIterator<Item = &'s str>) -> String {
    const SHOWN: usize = 6;
    let items: Vec<&str> = items.into_iter().collect();
    let mut text = items.iter().take(SHOWN).map(|item| format!("`{item}`")).collect::<Vec<_>>().join(", ");
    if items.len() > SHOWN {
        text.push_str(&format!(" and {} more", items.len() - SHOWN));
    }
    text
}

/// `did you mean …?` for what is near `word`.
pub(super) fn did_you_mean<'s>(word: &str, candidates: impl IntoIterator<Item = &'s str>) -> Option<String> {
    crate::diagnostic::nearest(word, candidates).map(|near| format!("did you mean `{near}`?"))
}
