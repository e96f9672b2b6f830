//! Chains: every port finds exactly one interface on each of its nodes. PURE.
//!
//! DPF accepts a chain whatever its ports say; the per-node controller then waits for ever, with every condition True in
//! the management cluster (D11 to D18, P-03, P-24 of the fact sheet).

use std::collections::{BTreeMap, BTreeSet};

use super::Context;
use super::resolution::{Ask, Candidate, Chain, Meet, Port};
use super::selector::{Operator, Selector, is_set_elsewhere, known};
use super::view::{OWNER_LABEL, PROVISIONING, SVC, did_you_mean, listed, place};
use crate::diagnostic::{Diagnostic, Severity, nearest};
use crate::node::Node;
use crate::site::Release;
use crate::source::Origin;

/// More interfaces than this are not compared with each other for one port.
const COMPARED: usize = 64;
/// More interfaces than this are not searched for what may have been meant.
const EXPLAINED: usize = 4_000;

/// D11, D12, D17: a port that no interface answers.
pub(super) fn chain_port_unmatched(context: &Context<'_>, faults: &mut Vec<Diagnostic>) {
    const CODE: &str = "chain-port-unmatched";
    let resolution = context.resolution();
    for port in resolution.ports.iter().filter(|port| port.matches.is_empty() && !port.open) {
        let chain = &resolution.chains[port.chain];
        let deployment = chain.deployment.and_then(|at| context.deployments.get(at));
        if let (Ask::Service(name, interface), Some(deployment)) = (&port.ask, deployment) {
            let Some(service) = deployment.service(name) else {
                let keys = || deployment.services.iter().map(|service| &*service.key);
                faults.push(
                    Diagnostic::error(
                        CODE,
                        port.node.at(&["service", "name"]).map_or(port.origin, Node::origin),
                        format!("{} has a port of service `{name}`, which is not in its `spec.services`", chain.name),
                    )
                    .note(format!("its services are {}", listed(keys())))
                    .help_if(did_you_mean(name, keys())),
                );
                continue;
            };
            // Without a configuration expansion has said so; in the management cluster another rule speaks.
            let Some(configuration) = service.configuration else { continue };
            if service.in_cluster() != Some(false) {
                continue;
            }
            let names: Vec<&str> =
                service.interfaces().iter().filter_map(|entry| entry.get("name").and_then(known)).collect();
            let note = if names.is_empty() {
                "its configuration defines no interfaces".to_owned()
            } else {
                format!("its configuration defines {}", listed(names.iter().copied()))
            };
            faults.push(
                Diagnostic::error(
                    CODE,
                    port.node.at(&["service", "interface"]).map_or(port.origin, Node::origin),
                    format!(
                        "{} has a port of interface `{interface}`, which service `{name}` does not have",
                        chain.name
                    ),
                )
                .note_at(note, place(configuration))
                .help_if(did_you_mean(interface, names)),
            );
            continue;
        }
        let Ask::Labels(asked) = &port.ask else { continue };
        let asked: Vec<String> = asked.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let fault = Diagnostic::error(
            CODE,
            port.origin,
            format!("{} has a port that no interface in namespace `{}` matches", chain.name, chain.namespace),
        );
        faults.push(explain_unmatched(fault, chain, port, &asked, &resolution.interfaces));
    }
    unmatched_on_cards(context, faults);
}

/// Ports that only the cards decide, by labels that wait for them: as they are in what was made for each card.
fn unmatched_on_cards(context: &Context<'_>, faults: &mut Vec<Diagnostic>) {
    let resolution = context.resolution();
    let labels = ["serviceInterface", "matchLabels"];
    let open = resolution.ports.iter().filter(|port| port.open);
    let mut open: BTreeMap<Origin, &Port<'_>> =
        open.filter_map(|port| Some((port.node.at(&labels)?.origin(), port))).collect();
    if !context.input.inventory.present || open.is_empty() {
        return;
    }
    for objects in &context.expanded.clusters {
        let of = |kind| objects.iter().filter(move |node| node.text(&["kind"]) == Some(kind));
        let place = |node: &'_ Node| (node.text(&["metadata", "namespace"]).map(str::to_owned), card(node).to_owned());
        let mut interfaces: BTreeMap<_, Vec<&Node>> = BTreeMap::new();
        for interface in of("ServiceInterface") {
            interfaces.entry(place(interface)).or_default().push(interface);
        }
        for chain in of("ServiceChain") {
            let here = interfaces.get(&place(chain)).map(Vec::as_slice).unwrap_or_default();
            for port in chain.items(&["spec", "switches"]).iter().flat_map(|switch| switch.items(&["ports"])) {
                let Some(wanted) = port.at(&labels) else { continue };
                let carries = |interface: &&Node| {
                    let entries = wanted.fields(&[]).iter();
                    let value = |key: &str| interface.text(&["metadata", "labels", key]);
                    entries.map(|entry| (&*entry.key.text, &entry.value)).all(|(key, node)| value(key) == node.as_str())
                };
                if !open.contains_key(&wanted.origin()) || here.iter().any(carries) {
                    continue;
                }
                // Once for all cards.
                let Some(port) = open.remove(&wanted.origin()) else { continue };
                let chain_of = &resolution.chains[port.chain];
                faults.push(
                    Diagnostic::error(
                        "chain-port-unmatched",
                        port.origin,
                        format!("{} has a port that no interface of card `{}` matches", chain_of.name, card(chain)),
                    )
                    .note("labels that wait for the card are another on each")
                    .help("give the port the same expression as the interface, or a label that all cards have"),
                );
            }
        }
    }
}

/// The card that an object is for.
fn card(node: &Node) -> &str {
    node.text(&["spec", "node"]).unwrap_or_default()
}

/// Says what the labels in use are, or why those that match do not count.
fn explain_unmatched(
    fault: Diagnostic,
    chain: &Chain<'_>,
    port: &Port<'_>,
    asked: &[String],
    interfaces: &[Candidate<'_>],
) -> Diagnostic {
    if !port.elsewhere.is_empty() {
        let mut fault = fault.label(format!("{} is on other nodes only", listed(asked.iter().map(String::as_str))));
        for &at in port.elsewhere.iter().take(3) {
            let candidate = &interfaces[at];
            fault = fault.note_at(
                format!("{} has these labels, but no node that the chain selects", candidate.name),
                candidate.origin,
            );
        }
        return fault;
    }
    let near = |candidate: &&Candidate<'_>| {
        candidate.namespace == chain.namespace && (candidate.cluster.is_none() || candidate.cluster == chain.cluster)
    };
    let here: Vec<&Candidate<'_>> = interfaces.iter().take(EXPLAINED).filter(near).take(200).collect();
    let mut in_use: BTreeMap<String, &Candidate<'_>> = BTreeMap::new();
    for candidate in &here {
        for (key, value) in &candidate.labels {
            in_use.entry(format!("{key}={value}")).or_insert(candidate);
        }
    }
    let mut fault = fault.label(match here.len() {
        0 => "there is no interface here".to_owned(),
        1 => "does not match the only interface here".to_owned(),
        count => format!("matches none of the {count} interfaces here"),
    });
    if let Some(near) = asked.iter().find_map(|word| nearest(word, in_use.keys().map(String::as_str))) {
        fault = fault.note_at(format!("`{near}` is on {}", in_use[near].name), in_use[near].origin);
        return fault.help(format!("did you mean `{}`?", near.replacen('=', ": ", 1)));
    }
    let elsewhere = interfaces.iter().take(EXPLAINED).find(|candidate| match &port.ask {
        Ask::Labels(labels) => {
            candidate.namespace != chain.namespace && labels.iter().all(|label| candidate.labels.contains(label))
        }
        _ => false,
    });
    if let Some(other) = elsewhere {
        return fault
            .note_at(format!("{} has these labels, in another namespace", other.name), other.origin)
            .help("a chain finds interfaces of its own namespace only");
    }
    if in_use.is_empty() {
        fault.help("write a DPUServiceInterface whose `spec.template.spec.template.metadata.labels` has these labels")
    } else {
        fault.help(format!("labels in use: {}", listed(in_use.keys().map(String::as_str))))
    }
}

/// D17, P-24: a port that two interfaces of one node answer.
pub(super) fn chain_port_ambiguous(context: &Context<'_>, faults: &mut Vec<Diagnostic>) {
    let resolution = context.resolution();
    for port in resolution.ports.iter().filter(|port| port.matches.len() > 1) {
        let chain = &resolution.chains[port.chain];
        let matches = &port.matches[..port.matches.len().min(COMPARED)];
        let mut worst: Option<(Meet, &Candidate<'_>, &Candidate<'_>)> = None;
        'pairs: for (at, &first) in matches.iter().enumerate() {
            for &second in &matches[at + 1..] {
                let (a, b) = (&resolution.interfaces[first], &resolution.interfaces[second]);
                if a.cluster.is_some() && b.cluster.is_some() && a.cluster != b.cluster {
                    continue;
                }
                let meet = context
                    .meet(chain.cluster.or(a.cluster).or(b.cluster), [&chain.selector, &a.selector, &b.selector]);
                if meet > worst.map_or(Meet::Never, |(meet, _, _)| meet) {
                    worst = Some((meet, a, b));
                }
                if meet == Meet::Always {
                    break 'pairs;
                }
            }
        }
        let Some((meet, a, b)) = worst else { continue };
        let (severity, verb) = match meet {
            Meet::Always => (Severity::Error, "match"),
            _ => (Severity::Warning, "may match"),
        };
        let mut fault = Diagnostic::error(
            "chain-port-ambiguous",
            port.origin,
            format!("{} has a port that two interfaces of one node {verb}", chain.name),
        )
        .note_at(format!("one is {}", a.name), a.origin)
        .note_at(format!("the other is {}", b.name), b.origin)
        .help("name a label that only one of them has, or give them `nodeSelector`s that exclude each other");
        fault.severity = severity;
        faults.push(fault);
    }
}

/// D13: a port of a service that has no interface on a card.
pub(super) fn chain_port_in_cluster(context: &Context<'_>, faults: &mut Vec<Diagnostic>) {
    let resolution = context.resolution();
    for port in &resolution.ports {
        let chain = &resolution.chains[port.chain];
        let Some(deployment) = chain.deployment.and_then(|at| context.deployments.get(at)) else { continue };
        let Ask::Service(name, _) = &port.ask else { continue };
        let Some(service) = deployment.service(name).filter(|service| service.in_cluster() == Some(true)) else {
            continue;
        };
        // Its interfaces are what is wrong then: expansion has said so.
        if !service.interfaces().is_empty()
            && service
                .configuration
                .and_then(|node| node.get("spec"))
                .is_some_and(|spec| context.is_told(spec.key_origin("interfaces")))
        {
            continue;
        }
        let fault = Diagnostic::error(
            "chain-port-in-cluster",
            port.node.at(&["service", "name"]).map_or(port.origin, Node::origin),
            format!("{} has a port of service `{name}`, which runs in the management cluster", chain.name),
        )
        .help("such a service has no interface on a card; take the port away, or `deployInCluster`");
        faults.push(
            match service.configuration.and_then(|node| node.at(&["spec", "serviceConfiguration", "deployInCluster"])) {
                Some(node) => fault.note_at("`deployInCluster` is set here", node.origin()),
                None => fault,
            },
        );
    }
}

/// D18, P-24: an interface in two ports. The flows of the later take it from the earlier.
pub(super) fn chain_interface_twice(context: &Context<'_>, faults: &mut Vec<Diagnostic>) {
    let resolution = context.resolution();
    let mut users: BTreeMap<usize, Vec<&Port<'_>>> = BTreeMap::new();
    for port in &resolution.ports {
        for &at in &port.matches {
            users.entry(at).or_default().push(port);
        }
    }
    for (at, ports) in users {
        let candidate = &resolution.interfaces[at];
        for (later, port) in ports.iter().enumerate().skip(1) {
            let chain = &resolution.chains[port.chain];
            let found = ports[later.saturating_sub(COMPARED)..later].iter().find_map(|other| {
                let before = &resolution.chains[other.chain];
                if before.cluster.is_some() && chain.cluster.is_some() && before.cluster != chain.cluster {
                    return None;
                }
                let cluster = chain.cluster.or(before.cluster).or(candidate.cluster);
                match context.meet(cluster, [&chain.selector, &before.selector, &candidate.selector]) {
                    Meet::Never => None,
                    meet => Some((meet, *other, before)),
                }
            });
            let Some((meet, other, before)) = found else { continue };
            let same = other.chain == port.chain;
            let message = if same {
                format!("{} uses one interface in two ports: {}", chain.name, candidate.name)
            } else {
                format!("{} and {} both use {}", before.name, chain.name, candidate.name)
            };
            let mut fault = Diagnostic::error("chain-interface-twice", port.origin, message)
                .label("the second use")
                .note_at("the first use", other.origin)
                .note_at("the interface", candidate.origin)
                .help("an interface can be in one port of one chain on each node");
            if meet == Meet::Perhaps && !same {
                fault.severity = Severity::Warning;
            }
            faults.push(fault);
        }
    }
}

/// A switch that connects nothing.
pub(super) fn chain_single_port(context: &Context<'_>, faults: &mut Vec<Diagnostic>) {
    for chain in &context.resolution().chains {
        for (index, switch) in chain.switches.iter().enumerate() {
            if switch.items(&["ports"]).len() == 1 {
                faults.push(
                    Diagnostic::warning(
                        "chain-single-port",
                        switch.key_origin("ports"),
                        format!("switch {} of {} has one port: no traffic can pass", index + 1, chain.name),
                    )
                    .note_at("the chain", chain.origin)
                    .help("add the port that it is to be connected to, or take the switch away"),
                );
            }
        }
    }
}

/// P-17: nothing on the card makes a port for a vlan interface.
pub(super) fn chain_vlan(context: &Context<'_>, faults: &mut Vec<Diagnostic>) {
    let resolution = context.resolution();
    for port in &resolution.ports {
        let Some(vlan) = port.matches.iter().map(|&at| &resolution.interfaces[at]).find(|found| found.kind == "vlan")
        else {
            continue;
        };
        faults.push(
            Diagnostic::warning(
                "chain-vlan",
                port.origin,
                format!("{} has a port on {}, of type `vlan`", resolution.chains[port.chain].name, vlan.name),
            )
            .note_at("the interface", vlan.origin)
            .note("DPF's per-node controller makes no port for a vlan interface: the whole chain waits")
            .help("take the port away, or let the service tag its packets"),
        );
    }
}

/// P-45: a selector that is accepted and read by nobody.
pub(super) fn cluster_selector_ignored(context: &Context<'_>, faults: &mut Vec<Diagnostic>) {
    if context.site.dpf >= Release::V26_4 {
        return;
    }
    for kind in ["DPUServiceChain", "DPUServiceInterface", "DPUServiceIPAM"] {
        for (id, node) in context.objects(SVC, kind) {
            let Some(spec) = node.get("spec") else { continue };
            if spec.get("clusterSelector").is_some_and(|selector| !selector.is_null()) {
                let fault = Diagnostic::warning(
                    "cluster-selector-ignored",
                    spec.key_origin("clusterSelector"),
                    format!("{id} has a `clusterSelector`, which DPF {} does not read", context.site.dpf),
                )
                .note("the object goes to every DPU cluster");
                faults.push(if context.is_standalone() {
                    fault.help(format!(
                        "to choose a cluster, write its {} in a layer for that cluster (`dpu-render.dev/destination`)",
                        match kind {
                            "DPUServiceChain" => "ServiceChainSet",
                            "DPUServiceInterface" => "ServiceInterfaceSet",
                            _ => "IPPool or CIDRPool",
                        }
                    ))
                } else {
                    fault
                });
            }
        }
    }
}

/// C.3.8: a chain or interface for nodes that no DPUSet makes.
pub(super) fn node_selector_unsatisfied(context: &Context<'_>, faults: &mut Vec<Diagnostic>) {
    let mut given: BTreeSet<(&str, &str)> = BTreeSet::new();
    let mut keys: BTreeSet<&str> = BTreeSet::new();
    let mut open = false;
    for (_, node) in context.objects(PROVISIONING, "DPUSet") {
        for entry in node.fields(&["spec", "dpuTemplate", "spec", "cluster", "nodeLabels"]) {
            keys.insert(&entry.key.text);
            match known(&entry.value) {
                Some(value) => {
                    given.insert((&entry.key.text, value));
                }
                None => open = true,
            }
        }
    }
    for dpu in context.input.inventory.hosts.iter().flat_map(|host| &host.dpus) {
        for (key, value) in &dpu.labels {
            keys.insert(key);
            given.insert((key, value));
        }
    }
    let owners: BTreeSet<String> = context.deployments.iter().map(super::view::Deployment::owner).collect();
    for (kind, path) in [
        ("DPUServiceChain", &["spec", "template", "spec", "nodeSelector"][..]),
        ("DPUServiceInterface", &["spec", "template", "spec", "nodeSelector"]),
    ] {
        for (id, node) in context.objects(SVC, kind) {
            let Some(written) = node.at(path) else { continue };
            for requirement in Selector::of(Some(written)).requirements {
                let key = &*requirement.key;
                let satisfied = match requirement.operator {
                    Operator::NotIn | Operator::DoesNotExist => true,
                    _ if key == OWNER_LABEL => {
                        requirement.values.iter().any(|value| owners.contains(&**value))
                            || keys.contains(key)
                            || requirement.operator == Operator::Exists
                    }
                    _ if is_set_elsewhere(key) || open => true,
                    Operator::Exists => keys.contains(key),
                    Operator::In => requirement.values.iter().any(|value| given.contains(&(key, value))),
                };
                if satisfied {
                    continue;
                }
                let values: Vec<&str> =
                    given.iter().filter(|(name, _)| *name == key).map(|(_, value)| *value).collect();
                let asked = match requirement.values.as_slice() {
                    [value] => format!("`{key}={value}`"),
                    _ => format!("`{key}`"),
                };
                let given = if values.is_empty() { "" } else { " with this value" };
                let labels = written.fields(&["matchLabels"]);
                let origin = labels.iter().find(|entry| &*entry.key.text == key).map_or(written.origin(), |entry| {
                    if values.is_empty() { entry.key.origin } else { entry.value.origin() }
                });
                let fault = Diagnostic::warning(
                    "node-selector-unsatisfied",
                    origin,
                    format!(
                        "{id} selects nodes by {asked}, a label that no DPUSet and no card of the inventory has{given}"
                    ),
                );
                faults.push(if values.is_empty() {
                    fault
                        .help_if(did_you_mean(key, keys.iter().copied()))
                        .help("set it in `spec.dpuTemplate.spec.cluster.nodeLabels` of the DPUSet")
                } else {
                    fault.note(format!("values in use: {}", listed(values)))
                });
            }
        }
    }
}
