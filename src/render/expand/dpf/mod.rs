//! DPF v24.10: what its controllers make of the user's objects. PURE.
//!
//! In: the user's objects of one site. Out: [`Expanded`]. One file per upstream controller, each naming the file it mirrors;
//! this one holds their order. With `spec.parity` the result equals what release v24.10.0-rc.6 (commit `1f6a80c0b087`) makes,
//! which `tests/it/oracle.rs` compares; so it does in operator mode, where it is a preview of what DPF will do. Elsewhere
//! its known bugs are left out, as each file says.

mod application;
mod chain;
mod cluster;
mod cni_args;
mod context;
mod credential;
mod deployment;
mod dpuset;
mod interface;
mod ipam;
mod names;
mod network;
mod operator_config;
mod parts;
mod resources;
mod secrets;
pub mod selector;
mod service;
mod sets;
#[cfg(test)]
mod testing;
mod values;

use std::collections::BTreeMap;

pub use application::{CONTENT_DIGEST, redigest};
pub use dpuset::{node_labels, selects};
pub use operator_config::{RELEASE, ReleaseDefaults, WITHOUT};

use super::{Expanded, Input};
use crate::node::Node;
use crate::source::Origin;
use context::{Context, Object, namespace, of_kind};
use names::SVC;
use parts::{Part, Parts};
use sets::Card;

/// Expands a standalone site.
#[must_use]
pub fn expand(input: &Input<'_>) -> Expanded {
    expand_with(input, None)
}

/// As [`expand`], with the images and charts of a certain build in place of the published release's.
#[must_use]
pub fn expand_with(input: &Input<'_>, defaults: Option<&ReleaseDefaults>) -> Expanded {
    let cx = &mut Context::new(input, defaults);
    cluster::check_choice(cx);

    let mut parts = Parts::written(cx);
    deployment::expand(cx, &mut parts);
    let config = operator_config::find(cx, first_service(&parts));
    if let Some(config) = config.filter(|_| operator_config::rendered(cx)) {
        operator_config::expand(cx, config, &mut parts);
    }

    let ipams: Vec<&Node> = cx.of_kind(SVC, "DPUServiceIPAM").map(|(_, node)| node).collect();
    let pools = each_cluster(cx, ipams.iter().copied(), ipam::pool);
    let mut namespaces = namespaces(&parts, &ipams);
    if let Some(agent) = cx.input.site.agent.as_ref().filter(|_| !cx.parity) {
        namespaces.entry(agent.namespace.clone()).or_insert(agent.origin);
        namespaces.retain(|name, _| !FROM_THE_START.contains(&name.as_str()));
    }

    let mirrored = secrets::Mirrored::find(cx, config);
    cluster::secrets(cx);
    mirrored.needs(cx, config, &parts);
    credential::expand(cx);
    if let Some(config) = config {
        mirrored.check_operator(cx, config);
        let argo = application::Argo::of(cx, config);
        let around = service::Surroundings {
            parts: &parts,
            argo: &argo,
            pools: &pools,
            uniform: cni_args::uniform(cx, &parts, &ipams),
            mirrored: &mirrored,
            namespaces: &namespaces,
        };
        let before = cx.out.management.len();
        if service::expand(cx, &around) {
            let wave = application::early_wave(cx, &cx.out.management[before..]);
            let projects = application::projects(cx, &argo, config, wave);
            cx.out.management.extend(projects);
        }
    }

    cx.out.charts_bring_chain_kinds = !operator_config::rendered(cx) || operator_config::bring_chain_kinds(&parts);
    for (cluster, pools) in pools.into_iter().enumerate() {
        cx.out.clusters[cluster].extend(pools);
    }
    expand_sets(cx, &parts);
    add_namespaces(cx, &parts, &namespaces);
    keep(cx, parts);
    std::mem::take(&mut cx.out)
}

/// The first service, which needs the operator's configuration: it says where DPF lives.
fn first_service(parts: &Parts) -> Option<(String, Origin)> {
    let part = parts.services.values().next()?;
    Some((format!("DPUService `{}/{}`", namespace(&part.node), context::name(&part.node)), context::place(&part.node)))
}

/// Makes an object of one that is as it is in a cluster or on a card.
type Make = fn(&Context<'_>, &Node) -> Node;

/// What `make` makes of each object in each cluster; once where nothing in the object waits.
fn each_cluster<'n>(cx: &Context<'_>, objects: impl Iterator<Item = &'n Node>, make: Make) -> Vec<Vec<Node>> {
    let mut made = vec![Vec::new(); cx.clusters().len()];
    for object in objects {
        let shared = (!object.has_expression()).then(|| make(cx, object));
        for (cluster, made) in made.iter_mut().enumerate() {
            made.push(shared.clone().unwrap_or_else(|| make(cx, &cx.in_cluster(object, cluster))));
        }
    }
    made
}

/// Sets of interfaces and chains in each cluster; with an inventory, what they make on each card.
fn expand_sets(cx: &mut Context<'_>, parts: &Parts) {
    let makers: [(&BTreeMap<_, Part>, Make); 2] = [(&parts.interfaces, interface::set), (&parts.chains, chain::set)];
    let inventory = cx.input.inventory;
    let mut cards: Vec<Vec<Card<'_>>> = cx.clusters().map(|_| Vec::new()).collect();
    for (h, host) in inventory.hosts.iter().enumerate() {
        for (d, dpu) in host.dpus.iter().enumerate() {
            if let Some(cluster) = cx.input.site.clusters.iter().position(|cluster| cluster.name == dpu.cluster) {
                let labels = dpuset::card_labels(cx, parts, host, dpu);
                cards[cluster].push(Card { host: h, dpu: d, node: &dpu.node_name, labels });
            }
        }
    }
    for (parts, make) in makers {
        for part in parts.values() {
            let waits = part.node.has_expression();
            let shared = make(cx, &part.node);
            for cluster in cx.clusters() {
                if inventory.present {
                    for card in &cards[cluster] {
                        let set =
                            if waits { make(cx, &cx.on_card(&part.node, card.host, card.dpu)) } else { shared.clone() };
                        let child = sets::child(cx, &set, card);
                        cx.out.clusters[cluster].extend(child);
                    }
                    cx.out.cluster_intermediate[cluster].push(shared.clone());
                } else {
                    let set = if waits { make(cx, &cx.in_cluster(&part.node, cluster)) } else { shared.clone() };
                    cx.out.clusters[cluster].push(set);
                }
            }
        }
    }
    if inventory.present {
        expand_written_sets(cx, &cards);
    }
}

/// Sets that the user wrote for a DPU cluster, on each card.
fn expand_written_sets(cx: &mut Context<'_>, cards: &[Vec<Card<'_>>]) {
    let input = cx.input;
    for (cluster, objects) in input.clusters.iter().enumerate() {
        for kind in ["ServiceChainSet", "ServiceInterfaceSet"] {
            for (id, set) in of_kind(objects, SVC, kind) {
                for card in cards.get(cluster).into_iter().flatten() {
                    let set = cx.on_card(set, card.host, card.dpu);
                    let child = sets::child(cx, &set, card);
                    cx.out.clusters[cluster].extend(child);
                }
                cx.out.cluster_intermediate[cluster].push(set.clone());
                cx.out.consumed.push(id.clone());
            }
        }
    }
}

/// Namespaces that every cluster has.
const FROM_THE_START: [&str; 5] = ["", "default", "kube-system", "kube-public", "kube-node-lease"];

/// The namespaces that the DPU clusters need, and what needs them.
fn namespaces(parts: &Parts, ipams: &[&Node]) -> BTreeMap<String, Origin> {
    let on_cards = parts.services.values().filter(|part| !service::in_management(&part.node));
    let objects = on_cards.chain(parts.interfaces.values()).chain(parts.chains.values()).map(|part: &Part| &part.node);
    let mut namespaces = BTreeMap::new();
    for node in objects.chain(ipams.iter().copied()) {
        namespaces.entry(namespace(node).to_owned()).or_insert_with(|| node.origin());
    }
    for name in FROM_THE_START {
        namespaces.remove(name);
    }
    namespaces
}

/// Namespaces of a DPU cluster in which only the account of a credential request is. DPF itself fails until somebody makes them.
fn account_namespaces(cx: &Context<'_>, cluster: usize, others: &BTreeMap<String, Origin>) -> BTreeMap<String, Origin> {
    let accounts = cx.out.clusters[cluster].iter().filter(|node| node.text(&["kind"]) == Some("ServiceAccount"));
    accounts
        .map(|node| (namespace(node), node.origin()))
        .filter(|(name, _)| !cx.parity && !others.contains_key(*name) && !FROM_THE_START.contains(name))
        .map(|(name, origin)| (name.to_owned(), origin))
        .collect()
}

/// Adds the namespaces that nobody wrote: in DPU clusters before everything else that is generated there, in the management
/// cluster for its own services.
fn add_namespaces(cx: &mut Context<'_>, parts: &Parts, namespaces: &BTreeMap<String, Origin>) {
    let written =
        |objects: &BTreeMap<_, Node>, name: &str| of_kind(objects, "", "Namespace").any(|(id, _)| &*id.name == name);
    let external = &cx.input.site.external;
    let external = |name: &str, destination: &str| {
        external.iter().any(|entry| {
            let here = entry.destination.as_deref().is_none_or(|entry| entry == destination);
            here && entry.group.is_empty() && entry.kind == "Namespace" && entry.name == name
        })
    };
    let parity = cx.parity;
    // DPF never deletes a namespace, and with one goes all that others put into it: the cards' network, their services.
    let make = |name: &str, wave: Option<Node>, origin| {
        let object = Object::new("v1", "Namespace", "", name, origin).wave(wave);
        let object = if parity { object } else { object.annotation(names::SYNC_OPTIONS, "Prune=false,Delete=false") };
        object.with([])
    };
    let shared: Vec<Node> = namespaces.iter().map(|(name, origin)| make(name, None, *origin)).collect();
    for cluster in cx.clusters() {
        let wave = application::early_wave(cx, &cx.out.clusters[cluster]);
        let accounts = account_namespaces(cx, cluster, namespaces);
        let own: Vec<Node> = accounts.iter().map(|(name, origin)| make(name, None, *origin)).collect();
        for ((name, origin), shared) in namespaces.iter().zip(&shared).chain(accounts.iter().zip(&own)) {
            let theirs = cx.input.clusters.get(cluster).is_some_and(|objects| written(objects, name));
            if theirs || external(name, cx.cluster_name(cluster)) {
                continue;
            }
            let node = match wave {
                Some(wave) => make(name, Some(Node::str(wave.to_string(), *origin)), *origin),
                None => shared.clone(),
            };
            cx.out.clusters[cluster].push(node);
        }
    }
    let of_management: BTreeMap<&str, &Part> = parts
        .services
        .values()
        .filter(|part| service::in_management(&part.node))
        .map(|part| (namespace(&part.node), part))
        .collect();
    for (name, part) in of_management {
        // These were there before anything was installed.
        let early = cx.of_kind(names::OPERATOR, "DPFOperatorConfig").any(|(id, _)| &*id.namespace == name)
            || name == cx.input.site.argocd.namespace
            || name == "default";
        if !early && !written(cx.input.management, name) && !external(name, "management") {
            let wave = cx.wave(&part.node);
            cx.out.management.push(make(name, wave, part.node.origin()));
        }
    }
}

/// Sorts out what is written only on request, and which of the user's objects are replaced.
fn keep(cx: &mut Context<'_>, parts: Parts) {
    for kind in ["DPUServiceTemplate", "DPUServiceConfiguration", "DPUServiceIPAM"] {
        cx.out.consumed.extend(cx.of_kind(SVC, kind).map(|(id, _)| id.clone()));
    }
    for parts in [parts.services, parts.interfaces, parts.chains] {
        for part in parts.into_values() {
            if part.written {
                cx.out.consumed.push(crate::render::object::ObjectId::of(&part.node));
            } else {
                cx.out.intermediate.push(part.node);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::testing::{codes, deployment, find, run, run_with, standalone, svc};
    use super::*;
    use crate::site::{Dpu, Host, Inventory};
    use serde_json::json;

    fn wave(node: &Node) -> Option<&str> {
        node.text(&["metadata", "annotations", names::SYNC_WAVE])
    }

    #[test]
    fn waves_are_inherited_and_namespaces_come_first() {
        let (objects, site) = standalone(&deployment());
        let expanded = run(&objects, &site);
        assert_eq!(codes(&expanded), [""; 0]);
        let set = find(&expanded.clusters[1], "ServiceInterfaceSet", "d-s-up-0").unwrap();
        assert_eq!(wave(set), Some("-3"));
        assert_eq!(wave(find(&expanded.management, "DPUSet", "d-all").unwrap()), Some("-3"));
        assert_eq!(wave(find(&expanded.management, "Application", "c0-d-s").unwrap()), Some("-3"));
        assert_eq!(wave(find(&expanded.management, "AppProject", "lab-dpu").unwrap()), Some("-3"));
        assert_eq!(wave(find(&expanded.clusters[0], "CIDRPool", "pool-a").unwrap()), None);
        assert_eq!(wave(find(&expanded.clusters[0], "Namespace", "n").unwrap()), Some("-3"));
    }

    #[test]
    fn components_are_there_with_the_first_service_that_needs_them() {
        let (objects, mut site) = standalone(&deployment());
        site.system_components = crate::site::SystemComponents::Rendered;
        let of = |expanded: Expanded| {
            wave(find(&expanded.management, "Application", "c0-multus").unwrap()).map(str::to_owned)
        };
        assert_eq!(of(run(&objects, &site)).as_deref(), Some("-3"));
        let (objects, mut site) = standalone(&[]);
        site.system_components = crate::site::SystemComponents::Rendered;
        assert_eq!(of(run(&objects, &site)), None);
    }

    #[test]
    fn argo_cd_need_not_wait_for_the_crds_that_charts_bring_and_deletes_no_namespace() {
        let (objects, mut site) = standalone(&deployment());
        let option = |expanded: &Expanded, kind, name| {
            let node = find(&expanded.clusters[0], kind, name).unwrap();
            node.text(&["metadata", "annotations", names::SYNC_OPTIONS]).map(str::to_owned)
        };
        let expanded = run(&objects, &site);
        for (kind, name) in [("ServiceInterfaceSet", "d-s-up-0"), ("ServiceChainSet", "d"), ("CIDRPool", "pool-a")] {
            assert_eq!(option(&expanded, kind, name).as_deref(), Some("SkipDryRunOnMissingResource=true"));
        }
        assert_eq!(option(&expanded, "Namespace", "n").as_deref(), Some("Prune=false,Delete=false"));
        site.parity = true;
        assert_eq!(option(&run(&objects, &site), "CIDRPool", "pool-a"), None);
    }

    #[test]
    fn what_waits_differs_per_cluster_and_the_rest_is_shared() {
        let interface = |name: &str, port: &str| {
            let spec = json!({"interfaceType": "physical", "physical": {"interfaceName": port}});
            svc("DPUServiceInterface", name, json!({"template": {"spec": {"template": {"spec": spec}}}}))
        };
        let (objects, site) = standalone(&[interface("same", "p0"), interface("own", "p${{ cluster }}")]);
        let expanded = run(&objects, &site);
        let [first, second] = expanded.clusters.as_slice() else { panic!("two clusters") };
        let port = |nodes, name| {
            let set = find(nodes, "ServiceInterfaceSet", name).unwrap();
            (set.clone(), set.text(&["spec", "template", "spec", "physical", "interfaceName"]).unwrap().to_owned())
        };
        assert!(port(first, "same").0.same(&port(second, "same").0));
        assert_eq!((port(first, "own").1, port(second, "own").1), ("p0".to_owned(), "p1".to_owned()));
    }

    #[test]
    fn with_an_inventory_sets_become_objects_per_card() {
        let (objects, mut site) = standalone(&deployment());
        site.clusters.truncate(1);
        let dpu = |node: &str, pci: Option<&str>| Dpu {
            node_name: node.to_owned(),
            pci: pci.map(str::to_owned),
            cluster: "c0".to_owned(),
            serial: None,
            labels: BTreeMap::new(),
            vars: Node::map([], Origin::NONE),
            origin: Origin::NONE,
            cluster_origin: Origin::NONE,
        };
        let host = Host {
            name: "w1".to_owned(),
            labels: [("feature.node.kubernetes.io/dpu-0-pci-address".to_owned(), "0000-90-00".to_owned())].into(),
            vars: Node::map([], Origin::NONE),
            dpus: vec![dpu("w1-0000-90-00", Some("0000:90:00")), dpu("foreign", None)],
            origin: Origin::NONE,
        };
        let expanded = run_with(&objects, &site, &Inventory { hosts: vec![host], present: true });
        let made = &expanded.clusters[0];
        assert!(find(made, "ServiceInterface", "d-s-up-0-w1-0000-90-00").is_some());
        // It carries none of the labels that DPF stamps on what it provisions.
        assert!(find(made, "ServiceInterface", "d-s-up-0-foreign").is_none());
        assert!(find(made, "ServiceInterfaceSet", "d-s-up-0").is_none());
        assert!(find(&expanded.cluster_intermediate[0], "ServiceInterfaceSet", "d-s-up-0").is_some());
    }

    #[test]
    fn what_is_replaced_is_consumed() {
        let (objects, site) = standalone(&deployment());
        let expanded = run(&objects, &site);
        let kinds: Vec<&str> = expanded.consumed.iter().map(|id| &*id.kind).collect();
        assert_eq!(kinds, ["DPUDeployment", "DPUServiceTemplate", "DPUServiceConfiguration", "DPUServiceIPAM"]);
        let kinds: Vec<_> = expanded.intermediate.iter().map(|node| node.text(&["kind"]).unwrap()).collect();
        assert_eq!(kinds, ["DPUService", "DPUServiceInterface", "DPUServiceChain"]);
    }

    #[test]
    fn in_operator_mode_the_preview_is_what_dpf_makes() {
        let (objects, mut site) = standalone(&deployment());
        site.mode = crate::site::Mode::Operator;
        let expanded = run(&objects, &site);
        let application = find(&expanded.management, "Application", "c0-d-s").unwrap();
        assert_eq!(namespace(application), "opns");
        assert_eq!(application.at(&["metadata", "annotations"]), None);
        assert_eq!(expanded.secrets.len(), 0, "DPF makes them");
    }

    #[test]
    fn namespaces_that_somebody_else_makes_are_left_to_him() {
        let (objects, mut site) = standalone(&deployment());
        site.external.push(crate::site::External {
            group: String::new(),
            kind: "Namespace".to_owned(),
            namespace: String::new(),
            name: "n".to_owned(),
            destination: Some("c1".to_owned()),
            keys: Vec::new(),
            origin: Origin::NONE,
        });
        let expanded = run(&objects, &site);
        assert!(find(&expanded.clusters[0], "Namespace", "n").is_some());
        assert!(find(&expanded.clusters[1], "Namespace", "n").is_none());
    }

    #[test]
    fn sets_that_the_user_wrote_are_expanded_per_card_too() {
        let (objects, site) = standalone(&[]);
        let set = svc(
            "ServiceInterfaceSet",
            "own",
            json!({"template": {"spec": {"interfaceType": "physical", "physical": {"interfaceName": "p${{ dpu }}"}}}}),
        );
        let set = Node::from_json(&set, Origin::NONE);
        let id = crate::render::object::ObjectId::of(&set);
        let clusters = [BTreeMap::from([(id.clone(), set)]), BTreeMap::new()];
        let dpu = Dpu {
            node_name: "w".to_owned(),
            pci: None,
            cluster: "c0".to_owned(),
            serial: None,
            labels: BTreeMap::new(),
            vars: Node::map([], Origin::NONE),
            origin: Origin::NONE,
            cluster_origin: Origin::NONE,
        };
        let host = Host {
            name: "h".to_owned(),
            labels: BTreeMap::new(),
            vars: dpu.vars.clone(),
            dpus: vec![dpu],
            origin: Origin::NONE,
        };
        let inventory = Inventory { hosts: vec![host], present: true };
        let evaluate = &testing::Indexes;
        let expanded =
            expand(&Input { site: &site, inventory: &inventory, management: &objects, clusters: &clusters, evaluate });
        let made = find(&expanded.clusters[0], "ServiceInterface", "own-w").unwrap();
        assert_eq!(made.text(&["spec", "physical", "interfaceName"]), Some("p0-0"));
        assert!(expanded.consumed.contains(&id));
    }
}
