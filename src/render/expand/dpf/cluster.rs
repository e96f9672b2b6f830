//! The DPU clusters of a site: what the site says against the `DPUCluster` objects, and where DPF puts cards. PURE.
//!
//! In: `spec.clusters` of the site, DPUClusters, the inventory. Out: faults, and the Secret by which Argo CD reaches each
//! cluster, as a need. Mirrors, for the choice of a cluster, `internal/provisioning/controllers/allocator`, and for the
//! Secret `internal/dpuservice/controllers/dpuservice_controller.go`, release v24.10.0-rc.6.

use std::collections::BTreeMap;

use super::context::{Context, list};
use super::names::PROVISIONING;
use crate::diagnostic::{Diagnostic, nearest};
use crate::render::expand::SecretNeed;
use crate::site::Dpu;

/// Compares the site's clusters with the objects, both ways.
pub(super) fn check(cx: &mut Context<'_>) {
    let site = cx.input.site;
    let objects: Vec<_> = cx.of_kind(PROVISIONING, "DPUCluster").collect();
    for cluster in &site.clusters {
        let same_name: Vec<_> = objects.iter().filter(|(id, _)| *id.name == *cluster.name).collect();
        if same_name.iter().any(|(id, _)| *id.namespace == *cluster.namespace) {
            continue;
        }
        let external = site.external.iter().any(|external| {
            external.kind == "DPUCluster" && external.name == cluster.name && external.namespace == cluster.namespace
        });
        if external {
            continue;
        }
        let message = format!(
            "the site lists DPU cluster `{}/{}`, but no such DPUCluster exists",
            cluster.namespace, cluster.name
        );
        let mut diagnostic = Diagnostic::error("cluster-mismatch", cluster.origin, message);
        if let Some((id, node)) = same_name.first() {
            diagnostic = diagnostic
                .note_at(format!("there is DPUCluster `{}/{}`", id.namespace, id.name), node.key_origin("metadata"))
                .help(format!("set its namespace to `{}`", id.namespace));
        } else {
            let names: Vec<&str> = objects.iter().map(|(id, _)| &*id.name).collect();
            diagnostic = match nearest(&cluster.name, names.iter().copied()) {
                Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
                None if names.is_empty() => diagnostic.help("add the DPUCluster, or an entry of `spec.external`"),
                None => diagnostic.help(format!("the site has {}", list(&names))),
            };
        }
        cx.report(diagnostic);
    }
    for (id, node) in &objects {
        if !site.clusters.iter().any(|cluster| *cluster.name == *id.name && *cluster.namespace == *id.namespace) {
            cx.report(
                Diagnostic::error(
                    "cluster-mismatch",
                    node.key_origin("metadata"),
                    format!(
                        "DPUCluster `{}/{}` is not among the clusters of site `{}`",
                        id.namespace, id.name, site.name
                    ),
                )
                .note_at("the site is written here", site.node.origin())
                .help(format!("add {{name: {}, namespace: {}}} to `spec.clusters`", id.name, id.namespace)),
            );
        }
    }
}

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
    use crate::render::expand::dpf::testing::{cluster, codes, run, run_with, standalone};
    use crate::site::{Dpu, Host, Inventory};
    use crate::source::Origin;
    use std::collections::BTreeMap;

    #[test]
    fn site_and_objects_must_agree_both_ways() {
        let (objects, mut site) = standalone(&[]);
        site.clusters[1] = cluster("c2");
        let expanded = run(&objects, &site);
        assert_eq!(codes(&expanded), ["cluster-mismatch"; 2]);
        assert_eq!(expanded.diagnostics[0].help, ["did you mean `c0`?"]);
    }

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
