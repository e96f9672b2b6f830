//! What chains give to the networks of a service's pods: pools to take addresses from. PURE.
//!
//! In: chains, interfaces and pools as they are in a DPU cluster. Out: `cni-args` per interface of a service. Mirrors
//! `internal/podipaminjector/controllers/podipam_controller.go`, release v24.10.0-rc.6, which patches pods at run time; here
//! the arguments are in the annotation from the start, so no injector is needed. On purpose different: no pool, or several
//! that match, are faults, where upstream waits or takes the first.

use serde_json::{Value as Json, json};

use super::context::{Context, given, name, of_kind, place};
use super::names::{NV_IPAM, SVC};
use super::network::CniArgs;
use super::parts::Parts;
use super::selector::{Labels, match_labels};
use crate::diagnostic::{Diagnostic, nearest};
use crate::node::Node;
use crate::source::Origin;

/// The pools that are generated for each cluster.
pub(super) type Pools = [Vec<Node>];

/// Whether every cluster has the same chains, interfaces and pools, so that one answer serves all.
pub(super) fn uniform(cx: &Context<'_>, parts: &Parts, ipams: &[&Node]) -> bool {
    let user = |group: &str, kind: &str| {
        cx.input.clusters.iter().any(|objects| of_kind(objects, group, kind).next().is_some())
    };
    !parts.chains.values().chain(parts.interfaces.values()).any(|part| part.node.has_expression())
        && !ipams.iter().any(|ipam| ipam.has_expression())
        && !user(SVC, "ServiceChainSet")
        && !user(SVC, "ServiceInterfaceSet")
        && !user(NV_IPAM, "IPPool")
        && !user(NV_IPAM, "CIDRPool")
}

/// The arguments of the interfaces of the service with `id` in a namespace.
pub(super) fn of_service(
    cx: &mut Context<'_>,
    parts: &Parts,
    pools: &Pools,
    (namespace, id): (&str, &str),
    cluster: usize,
) -> CniArgs {
    let ports = ports(cx, parts, namespace, cluster);
    let mut found: std::collections::BTreeMap<String, (Json, Origin)> = std::collections::BTreeMap::new();
    if ports.is_empty() {
        return CniArgs::new();
    }
    for (set, template) in templates(cx, parts, namespace, cluster, "interfaces") {
        // Member by member: what waits for a card in the others must not be evaluated here.
        let member = |cx: &Context<'_>, key: &str| template.at(&["spec", key]).map(|node| cx.in_cluster(node, cluster));
        let (kind, block) = (member(cx, "interfaceType"), member(cx, "service"));
        let block = block.filter(|block| block.text(&["serviceID"]) == Some(id));
        let Some(block) = block.filter(|_| kind.as_ref().and_then(Node::as_str) == Some("service")) else { continue };
        let Some(interface) = block.text(&["interfaceName"]) else { continue };
        let labels = labels(cx, &set, namespace, id, &template, cluster);
        for port in ports.iter().filter(|port| match_labels(port.get("matchLabels"), &labels)) {
            let Some(ipam) = given(port, &["ipam"]) else { continue };
            let Some(args) = resolve(cx, pools, ipam, cluster) else { continue };
            match found.get(interface) {
                Some((other, origin)) if *other != args => {
                    cx.report(
                        Diagnostic::error(
                            "ipam-conflict",
                            ipam.origin(),
                            format!("interface `{interface}` of service `{id}` gets addresses from two chain ports that differ"),
                        )
                        .note_at("the other port", *origin)
                        .help("all pods of a service share one annotation: give both ports the same `ipam`"),
                    );
                }
                _ => {
                    found.insert(interface.to_owned(), (args, ipam.origin()));
                }
            }
        }
    }
    found.into_iter().map(|(interface, (args, _))| (interface, args)).collect()
}

/// The ports with `ipam` of the chains of a namespace.
fn ports(cx: &Context<'_>, parts: &Parts, namespace: &str, cluster: usize) -> Vec<Node> {
    let mut ports = Vec::new();
    for (_, template) in templates(cx, parts, namespace, cluster, "chains") {
        for switch in template.items(&["spec", "switches"]) {
            for port in switch.items(&["ports"]) {
                let Some(interface) = given(port, &["serviceInterface"]) else { continue };
                if given(interface, &["ipam"]).is_some() && !interface.fields(&["matchLabels"]).is_empty() {
                    ports.push(cx.in_cluster(interface, cluster));
                }
            }
        }
    }
    ports
}

/// Name of each Set of a namespace, and the template of what it makes per node: generated, then those of the user.
fn templates(cx: &Context<'_>, parts: &Parts, namespace: &str, cluster: usize, what: &str) -> Vec<(String, Node)> {
    let (parts, kind) =
        if what == "chains" { (&parts.chains, "ServiceChainSet") } else { (&parts.interfaces, "ServiceInterfaceSet") };
    let generated = parts.iter().filter(|((own, _), _)| own == namespace).filter_map(|((_, name), part)| {
        Some((name.clone(), part.node.at(&["spec", "template", "spec", "template"])?.clone()))
    });
    let written = cx.input.clusters.get(cluster).into_iter().flat_map(|objects| {
        of_kind(objects, SVC, kind)
            .filter(|(id, _)| &*id.namespace == namespace)
            .filter_map(|(id, set)| Some((id.name.to_string(), set.at(&["spec", "template"])?.clone())))
    });
    generated.chain(written).collect()
}

/// The labels that a ServiceInterface will have, its node's name aside.
fn labels(cx: &Context<'_>, set: &str, namespace: &str, id: &str, template: &Node, cluster: usize) -> Labels {
    let mut labels = Labels::from([
        ("svc.dpu.nvidia.com/serviceinterfaceset-name".to_owned(), set.to_owned()),
        ("svc.dpu.nvidia.com/serviceinterfaceset-namespace".to_owned(), namespace.to_owned()),
        ("svc.dpu.nvidia.com/service-id".to_owned(), id.to_owned()),
    ]);
    if let Some(written) = template.at(&["metadata", "labels"]) {
        let written = cx.in_cluster(written, cluster);
        for label in written.fields(&[]) {
            labels.insert(label.key.text.to_string(), label.value.as_str().unwrap_or_default().to_owned());
        }
    }
    labels
}

/// The pool that an `ipam` means: IPPools first, then CIDRPools, by label.
fn resolve(cx: &mut Context<'_>, pools: &Pools, ipam: &Node, cluster: usize) -> Option<Json> {
    let wanted = ipam.get("matchLabels");
    let all: Vec<&Node> = {
        let generated = pools.get(cluster).map(Vec::as_slice).unwrap_or_default().iter();
        let written = cx.input.clusters.get(cluster).into_iter().flat_map(|objects| {
            ["IPPool", "CIDRPool"].into_iter().flat_map(|kind| of_kind(objects, NV_IPAM, kind).map(|(_, node)| node))
        });
        generated.chain(written).collect()
    };
    let labels_of = |pool: &Node| -> Labels {
        let labels = pool.fields(&["metadata", "labels"]).iter();
        labels.map(|label| (label.key.text.to_string(), label.value.as_str().unwrap_or_default().to_owned())).collect()
    };
    for (kind, word) in [("IPPool", "ippool"), ("CIDRPool", "cidrpool")] {
        let matching: Vec<&&Node> = all
            .iter()
            .filter(|pool| pool.text(&["kind"]) == Some(kind) && match_labels(wanted, &labels_of(pool)))
            .collect();
        match matching.as_slice() {
            [] => {}
            [pool] => {
                let gateway = given(ipam, &["defaultGateway"]).and_then(Node::as_bool).unwrap_or_default();
                return Some(json!({"allocateDefaultGateway": gateway, "poolNames": [name(pool)], "poolType": word}));
            }
            [first, second, ..] => {
                let message =
                    format!("the labels of this `ipam` select {kind}s `{}` and `{}`", name(first), name(second));
                let diagnostic = Diagnostic::error("ipam-pool-ambiguous", ipam.key_origin("matchLabels"), message)
                    .note_at(format!("`{}`", name(first)), place(first))
                    .note_at(format!("`{}`", name(second)), place(second))
                    .help("exactly one pool must match: give each pool a label of its own");
                cx.report(diagnostic);
                return None;
            }
        }
    }
    let show = |entries: &[crate::node::Entry]| {
        let pairs =
            entries.iter().map(|entry| format!("{}={}", entry.key.text, entry.value.as_str().unwrap_or_default()));
        pairs.collect::<Vec<_>>().join(",")
    };
    let asked = show(wanted.map(|wanted| wanted.fields(&[])).unwrap_or_default());
    let message = format!("no pool carries `{asked}`, so nothing gives this port addresses");
    let mut diagnostic = Diagnostic::error("ipam-pool-unmatched", ipam.key_origin("matchLabels"), message);
    // The labels of a pool that its owner chose; the controller's own say nothing new.
    let chosen = |pool: &Node| {
        let labels = pool.fields(&["metadata", "labels"]).iter();
        let own = labels.filter(|label| !label.key.text.starts_with("dpu.nvidia.com/dpuserviceipam-")).cloned();
        show(&own.collect::<Vec<_>>())
    };
    let carried: Vec<String> = all.iter().map(|pool| chosen(pool)).collect();
    if let Some(near) = nearest(&asked, carried.iter().map(String::as_str)) {
        diagnostic = diagnostic.help(format!("did you mean `{near}`?"));
    }
    for pool in all.iter().take(4) {
        diagnostic = diagnostic.note_at(format!("pool `{}` carries `{}`", name(pool), chosen(pool)), place(pool));
    }
    if all.is_empty() {
        diagnostic = diagnostic.help("add a DPUServiceIPAM whose `spec.metadata.labels` have these labels");
    }
    cx.report(diagnostic);
    None
}

#[cfg(test)]
mod tests {
    use crate::render::expand::dpf::testing::{codes, deployment, find, run, standalone, svc};
    use serde_json::{Value as Json, json};

    fn annotation(objects: &[Json], application: &str) -> (String, Vec<&'static str>) {
        let (objects, site) = standalone(objects);
        let expanded = run(&objects, &site);
        let path = [
            "spec",
            "source",
            "helm",
            "valuesObject",
            "serviceDaemonSet",
            "annotations",
            "k8s.v1.cni.cncf.io/networks",
        ];
        let application = find(&expanded.management, "Application", application).unwrap();
        (application.text(&path).unwrap().to_owned(), codes(&expanded))
    }

    fn pool(name: &str, spec: Json) -> Json {
        let mut spec = spec;
        spec["metadata"] = json!({"labels": {"pool": "a"}});
        svc("DPUServiceIPAM", name, spec)
    }

    #[test]
    fn a_port_gives_its_pool_to_the_pods() {
        let expected = r#"[{"name":"mybrsfc","interface":"up_0","cni-args":{"allocateDefaultGateway":true,"poolNames":["pool-a"],"poolType":"cidrpool"}}]"#;
        assert_eq!(annotation(&deployment(), "c0-d-s"), (expected.to_owned(), Vec::new()));
    }

    #[test]
    fn pools_of_shared_subnets_come_first() {
        let mut objects = deployment();
        objects.push(pool(
            "shared",
            json!({"ipv4Subnet": {"subnet": "10.1.0.0/24", "gateway": "10.1.0.1", "perNodeIPCount": 8}}),
        ));
        let (annotation, faults) = annotation(&objects, "c0-d-s");
        assert!(annotation.contains(r#""poolNames":["shared"],"poolType":"ippool""#), "{annotation}");
        assert_eq!(faults, [""; 0]);
    }

    #[test]
    fn no_pool_and_several_pools_are_refused() {
        let mut objects = deployment();
        objects.push(pool("pool-b", json!({"ipv4Network": {"network": "10.2.0.0/16", "prefixSize": 24}})));
        assert_eq!(annotation(&objects, "c0-d-s").1, ["ipam-pool-ambiguous"]);
        objects.retain(|object| object["kind"] != "DPUServiceIPAM");
        assert_eq!(annotation(&objects, "c0-d-s").1, ["ipam-pool-unmatched"]);
    }

    #[test]
    fn labels_that_wait_choose_a_pool_per_cluster() {
        let mut objects = deployment();
        let last = objects.len() - 1;
        objects[last]["spec"]["serviceChains"][0]["ports"][1]["service"]["ipam"]["matchLabels"]["pool"] =
            json!("${{ cluster }}");
        for cluster in ["0", "1"] {
            let network = json!({"network": "10.3.0.0/16", "prefixSize": 24});
            let metadata = json!({"labels": {"pool": cluster}});
            objects.push(svc(
                "DPUServiceIPAM",
                &format!("pool-{cluster}"),
                json!({"metadata": metadata, "ipv4Network": network}),
            ));
        }
        assert!(annotation(&objects, "c0-d-s").0.contains(r#"["pool-0"]"#));
        assert!(annotation(&objects, "c1-d-s").0.contains(r#"["pool-1"]"#));
    }

    #[test]
    fn two_ports_that_differ_are_refused() {
        let mut objects = deployment();
        let last = objects.len() - 1;
        let mut port = objects[last]["spec"]["serviceChains"][0]["ports"][1].clone();
        port["service"]["ipam"]["defaultGateway"] = json!(false);
        objects[last]["spec"]["serviceChains"].as_array_mut().unwrap().push(json!({"ports": [port]}));
        assert_eq!(annotation(&objects, "c0-d-s").1, ["ipam-conflict"]);
    }

    #[test]
    fn an_annotation_without_interfaces_gets_pools_too() {
        let labels = json!({"pool": "a"});
        let service = json!({"serviceID": "id", "helmChart": {"source": {"repoURL": "oci://x/y", "chart": "c", "version": "1"}},
            "serviceDaemonSet": {"annotations": {"k8s.v1.cni.cncf.io/networks": r#"[{"name": "mybrsfc", "interface": "net1"}]"#}}});
        let interface = json!({"interfaceType": "service", "service": {"serviceID": "id", "network": "mybrsfc", "interfaceName": "net1"}});
        let port = json!({"serviceInterface": {"matchLabels": {"if": "1"}, "ipam": {"matchLabels": labels}}});
        let objects = [
            svc("DPUService", "s", service),
            svc(
                "DPUServiceInterface",
                "i",
                json!({"template": {"spec": {"template": {"metadata": {"labels": {"if": "1"}}, "spec": interface}}}}),
            ),
            svc(
                "DPUServiceChain",
                "c",
                json!({"template": {"spec": {"template": {"spec": {"switches": [{"ports": [port]}]}}}}}),
            ),
            pool(
                "shared",
                json!({"ipv4Subnet": {"subnet": "10.1.0.0/24", "gateway": "10.1.0.1", "perNodeIPCount": 8}}),
            ),
        ];
        assert!(
            annotation(&objects, "c0-s")
                .0
                .contains(r#""cni-args":{"allocateDefaultGateway":false,"poolNames":["shared"],"poolType":"ippool"}"#)
        );
    }
}
