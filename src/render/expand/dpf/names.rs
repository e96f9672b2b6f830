//! Groups, label keys and name formulas of DPF. PURE.
//!
//! Mirrors the constants of `api/` and of the controllers in `internal/`, release v24.10.0-rc.6, and the digest that
//! standalone sites have in place of upstream's version placeholder.

use sha2::{Digest as _, Sha256};

/// Group of the service kinds.
pub(super) const SVC: &str = "svc.dpu.nvidia.com";
/// Group of the provisioning kinds.
pub(super) const PROVISIONING: &str = "provisioning.dpu.nvidia.com";
/// Group of `DPFOperatorConfig`.
pub(super) const OPERATOR: &str = "operator.dpu.nvidia.com";
/// Group of the pools.
pub(super) const NV_IPAM: &str = "nv-ipam.nvidia.com";

/// `apiVersion` of the service kinds.
pub(super) const SVC_V1: &str = "svc.dpu.nvidia.com/v1alpha1";
/// `apiVersion` of the provisioning kinds.
pub(super) const PROVISIONING_V1: &str = "provisioning.dpu.nvidia.com/v1alpha1";
/// `apiVersion` of the pools.
pub(super) const NV_IPAM_V1: &str = "nv-ipam.nvidia.com/v1alpha1";
/// `apiVersion` of Argo CD's kinds.
pub(super) const ARGO_V1: &str = "argoproj.io/v1alpha1";

/// Label of what a `DPUDeployment` owns, and of the Nodes it provisions.
pub(super) const OWNER: &str = "svc.dpu.nvidia.com/owned-by-dpudeployment";
/// Node label that places a deployment's chain.
pub(super) const CHAIN_VERSION: &str = "svc.dpu.nvidia.com/dpuservicechain-version";
/// Label of pods and interfaces: the service's id.
pub(super) const SERVICE: &str = "svc.dpu.nvidia.com/service";
/// Label of a deployment's interfaces: the name inside the pod.
pub(super) const INTERFACE: &str = "svc.dpu.nvidia.com/interface";
/// Label of Secrets that are mirrored into the DPU clusters; any value counts.
pub(super) const PULL_SECRET: &str = "dpu.nvidia.com/image-pull-secret";
/// Label that names the component an object belongs to.
pub(super) const COMPONENT: &str = "dpu.nvidia.com/component";
/// Annotation with the pod's networks.
pub(super) const NETWORKS: &str = "k8s.v1.cni.cncf.io/networks";
/// Annotation with what Argo CD must know of one object.
pub(super) const SYNC_OPTIONS: &str = "argocd.argoproj.io/sync-options";
/// Annotation that orders a sync.
pub(super) const SYNC_WAVE: &str = "argocd.argoproj.io/sync-wave";
/// What upstream writes where a version was meant.
const PLACEHOLDER: &str = "placeholder-for-version";

/// The label key that places a service on Nodes.
pub(super) fn version_key(service: &str) -> String {
    format!("svc.dpu.nvidia.com/dpuservice-{service}-version")
}

/// The version of a service of a deployment, or of its chain where `service` is empty. Of owner and service only: a
/// selector that changed with the content would take the service off every card at once.
pub(super) fn version(parity: bool, namespace: &str, deployment: &str, service: &str) -> String {
    if parity { PLACEHOLDER.to_owned() } else { digest(&format!("{namespace}/{deployment}/{service}")) }
}

/// The id by which a deployment's service is known to its pods and interfaces; the namespace is not part of it.
pub(super) fn service_id(deployment: &str, service: &str) -> String {
    format!("dpudeployment_{deployment}_{service}")
}

/// 16 hex digits of SHA-256.
pub(super) fn digest(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_constant_in_parity_and_label_safe_elsewhere() {
        assert_eq!(version(true, "ns", "d", "s"), "placeholder-for-version");
        let version = version(false, "ns", "d", "s");
        assert_eq!(version.len(), 16);
        assert_eq!(version, digest("ns/d/s"));
        assert_eq!(digest("foo"), "2c26b46b68ffc68f");
    }
}
