//! The DPU clusters of a site: where DPF puts cards, and how Argo CD reaches the clusters. PURE.
//!
//! In: `spec.clusters` of the site, DPUClusters, the inventory. Out: warnings, and the Secret by which Argo CD reaches each
//! cluster, as a need. Mirrors, for the choice of a cluster, `internal/provisioning/controllers/allocator`, and for the
//! Secret `internal/dpuservice/controllers/dpuservice_controller.go`, release v24.10.0-rc.6.

use std::collections::BTreeMap;

use super::context::{Context, list};
use super::names::PROVISIONING;
use crate::diagnostic::Diagnostic;
use crate::render::expand::SecretNeed;
use crate::site::Dpu;

/// Warns where the inventory expects a card on a cluster that v24.10 would not choose: it takes the first by name (P-44).
pub(super) fn check_choice(cx: &mut Context<'_>) {
    let mut names: Vec<_> = cx.of_kind(PROVISIONING, "DPUCluster").map(|(id, _)| (&*id.name, &*id.namespace)).collect();
    names.sort_unstable();
    let Some((first, _)) = names.first().copied() else { return };
    let mut elsewhere: BTreeMap<&str, Vec<&Dpu>> = BTreeMap::new();
    for dpu in cx.input.inventory.hosts.iter().flat_map(|host| &host.dpus) {
        // A card without a PCI address is not provisioned by DPF.
        if dpu.cluster != first && dpu.pci.is_some() {
            elsewhere.entry(&dpu.cluster).or_default().push(dpu);
        }
    }
    for (cluster, dpus) in elsewhere {
        let names: Vec<&str> = dpus.iter().map(|dpu| dpu.node_name.as_str()).collect();
        let message = format!(
            "the inventory puts {} on DPU cluster `{cluster}`, but DPF v24.10 gives every new DPU to `{first}`",
            list(&names)
        );
        let origin = dpus.first().map_or(cx.input.site.node.origin(), |dpu| dpu.origin);
        cx.report(
            Diagnostic::warning("cluster-choice", origin, message)
                .note("its allocator takes the first DPUCluster by name, and waits where that one is full or not ready")
                .help("set `spec.cluster` of the DPU objects by hand, or let this site have one DPU cluster"),
        );
    }
}

/// Argo CD reaches a DPU cluster through a Secret that must be there.
pub(super) fn secrets(cx: &mut Context<'_>) {
    let site = cx.input.site;
    if !cx.standalone() {
        return;
    }
    for cluster in &site.clusters {
        cx.out.secrets.push(SecretNeed {
            cluster: None,
            namespace: site.argocd.namespace.clone(),
            name: format!("{}-{}", cluster.namespace, cluster.name),
            reason: format!("Argo CD deploys to DPU cluster `{}` with this cluster Secret", cluster.name),
            origin: cluster.origin,
        });
    }
}

#[cfg(test)]
mod tests {
    use crate::node::Node;
    use crate::render::expand::dpf::testing::{codes, run_with, standalone};
    use crate::site::{Dpu, Host, Inventory};
    use crate::source::Origin;
    use std::collections::BTreeMap;

    #[test]
    fn a_card_on_another_cluster_than_the_first_is_a_warning() {
        let (objects, site) = standalone(&[]);
        let dpu = |cluster: &str, pci: Option<&str>| Dpu {
            node_name: format!("w1-{cluster}"),
            pci: pci.map(str::to_owned),
            cluster: cluster.to_owned(),
            serial: None,
            labels: BTreeMap::new(),
            vars: Node::map([], Origin::NONE),
            origin: Origin::NONE,
            cluster_origin: Origin::NONE,
        };
        let dpus = vec![dpu("c0", Some("0000:90:00")), dpu("c1", Some("0000:91:00")), dpu("c1", None)];
        let host = Host {
            name: "w1".to_owned(),
            labels: BTreeMap::new(),
            vars: Node::map([], Origin::NONE),
            dpus,
            origin: Origin::NONE,
        };
        let expanded = run_with(&objects, &site, &Inventory { hosts: vec![host], present: true });
        assert_eq!(codes(&expanded), ["cluster-choice"]);
        assert!(expanded.diagnostics[0].message.contains("puts `w1-c1` on DPU cluster `c1`"));
    }
}
