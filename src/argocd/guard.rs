//! Objects that Argo CD must not prune or delete unasked. PURE.
//!
//! In: the objects of a destination. Out: those whose loss reprovisions cards or takes a cluster down, with sync options
//! that hold Argo CD back. What an object says of itself stays.

use std::collections::BTreeMap;

use super::version::Version;
use crate::node::Node;
use crate::render::object::ObjectId;

/// Annotation with what Argo CD must know of one object.
const SYNC_OPTIONS: &str = "argocd.argoproj.io/sync-options";

/// A kind that is guarded.
#[derive(Clone, Copy, Debug)]
pub struct Guarded {
    /// API group, empty for the core.
    pub group: &'static str,
    /// Kind.
    pub kind: &'static str,
    /// What its loss does.
    pub loss: &'static str,
}

const fn guarded(group: &'static str, kind: &'static str, loss: &'static str) -> Guarded {
    Guarded { group, kind, loss }
}

const OPERATOR: &str = "operator.dpu.nvidia.com";
const PROVISIONING: &str = "provisioning.dpu.nvidia.com";
const SVC: &str = "svc.dpu.nvidia.com";

/// Every kind that is guarded. For DPF as v24.10's controllers behave: finalizers, owner references and the stages of the
/// operator's own removal.
pub const GUARDED: &[Guarded] = &[
    guarded(
        OPERATOR,
        "DPFOperatorConfig",
        "DPF's operator deletes every object of DPF in the cluster, cards and clusters",
    ),
    guarded(PROVISIONING, "DPUCluster", "the control plane that the cards have joined goes, with its etcd"),
    guarded(PROVISIONING, "DPUSet", "its DPUs go; a set that comes back flashes the cards anew"),
    guarded(PROVISIONING, "DPU", "the card leaves its cluster, and is flashed anew"),
    guarded(PROVISIONING, "DPUNode", "the DPUs of the host go"),
    guarded(PROVISIONING, "DPUDevice", "the DPU of the card goes"),
    guarded(PROVISIONING, "BFB", "the bitstream is deleted: no card can be flashed"),
    guarded(PROVISIONING, "BlueFieldSoftware", "the bitstream is deleted: no card can be flashed"),
    guarded(
        PROVISIONING,
        "DPUFlavor",
        "cards can no longer be flashed; it is immutable, so another one means flashing",
    ),
    guarded(SVC, "DPUDeployment", "its DPUSets, services and chains go with it"),
    guarded("kamaji.clastix.io", "TenantControlPlane", "the control plane of a DPU cluster goes"),
    guarded("kamaji.clastix.io", "DataStore", "control planes of DPU clusters lose what they know"),
    guarded("provisioning.dpu.hcp.io", "DPFHCPProvisioner", "the control plane of a DPU cluster goes"),
    guarded("", "PersistentVolume", "what is stored there may be deleted: bitstreams, etcd"),
    guarded("", "PersistentVolumeClaim", "what is stored there may be deleted: bitstreams, etcd"),
    guarded("", "Namespace", "everything in it goes, guarded or not"),
    guarded("apiextensions.k8s.io", "CustomResourceDefinition", "every object of that kind goes"),
];

/// Puts the guards on; objects of other kinds stay the nodes they are.
pub fn guard(objects: &mut BTreeMap<ObjectId, Node>, version: Version) {
    for (id, node) in objects {
        if GUARDED.iter().any(|one| id.is(one.group, one.kind)) {
            *node = held(node, version);
        }
    }
}

fn held(node: &Node, version: Version) -> Node {
    let path = ["metadata", "annotations", SYNC_OPTIONS];
    let written = node.text(&path).unwrap_or_default();
    let mut options: Vec<&str> = written.split(',').map(str::trim).filter(|option| !option.is_empty()).collect();
    let says = |name: &str| options.iter().any(|option| option.split('=').next() == Some(name));
    let guards = if version.confirms() { ["Prune=confirm", "Delete=confirm"] } else { ["Prune=false", "Delete=false"] };
    let missing: Vec<&str> =
        guards.into_iter().filter(|guard| guard.split('=').next().is_some_and(|name| !says(name))).collect();
    if missing.is_empty() {
        return node.clone();
    }
    options.extend(missing);
    let origin = node.at(&path).map_or(node.origin(), Node::origin);
    node.with_at(&path, Node::str(options.join(","), origin))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{Schemas, scope};
    use crate::site::Release;
    use crate::source::Origin;

    fn options(kind: &str, written: Option<&str>, version: &str) -> Option<String> {
        let mut object = serde_json::json!({
            "apiVersion": "provisioning.dpu.nvidia.com/v1alpha1", "kind": kind, "metadata": {"name": "a"},
        });
        if let Some(written) = written {
            object["metadata"]["annotations"][SYNC_OPTIONS] = written.into();
        }
        let node = Node::from_json(&object, Origin::NONE);
        let mut objects = BTreeMap::from([(ObjectId::of(&node), node)]);
        guard(&mut objects, Version::parse(version).unwrap());
        let node = objects.into_values().next().unwrap();
        node.text(&["metadata", "annotations", SYNC_OPTIONS]).map(str::to_owned)
    }

    #[test]
    fn guards_are_added_to_what_is_said() {
        for (written, version, expected) in [
            (None, "v2.12", "Prune=false,Delete=false"),
            (None, "v2.14", "Prune=confirm,Delete=confirm"),
            (Some(""), "v3.0", "Prune=confirm,Delete=confirm"),
            (
                Some("SkipDryRunOnMissingResource=true"),
                "v2.12",
                "SkipDryRunOnMissingResource=true,Prune=false,Delete=false",
            ),
            (Some("Prune=true"), "v3.0", "Prune=true,Delete=confirm"),
            (Some(" Delete=false , PruneLast=true"), "v3.0", "Delete=false,PruneLast=true,Prune=confirm"),
        ] {
            assert_eq!(options("BFB", written, version).as_deref(), Some(expected), "{written:?} {version}");
        }
        assert_eq!(
            options("BFB", Some("Prune=false, Delete=false"), "v3.0").as_deref(),
            Some("Prune=false, Delete=false")
        );
        assert_eq!(options("Other", None, "v3.0"), None);
    }

    /// A misspelt row would guard nothing.
    #[test]
    fn every_row_is_a_kind_that_there_is() {
        let known = |group: &str, kind: &str| {
            Schemas::built_in().lines().any(|line| &*line.group == group && &*line.kind == kind)
                || (!group.contains("nvidia") && scope(group, kind, Release::V24_10).is_some())
        };
        let unknown: Vec<_> = GUARDED.iter().filter(|row| !known(row.group, row.kind)).map(|row| row.kind).collect();
        // Of charts that no table here knows.
        assert_eq!(unknown, ["TenantControlPlane", "DataStore"]);
    }
}
