//! Interfaces and the networks they attach to. PURE.

use std::collections::{BTreeMap, BTreeSet};

use super::Context;
use super::selector::known;
use super::syntax::interface_fault;
use super::view::{SVC, did_you_mean, listed};
use crate::diagnostic::Diagnostic;
use crate::node::Node;
use crate::source::Origin;

const SPEC: &[&str] = &["spec", "template", "spec", "template", "spec"];

/// P-63: names that the kernel does not take.
pub(super) fn interface_name_invalid(context: &Context<'_>, faults: &mut Vec<Diagnostic>) {
    let mut one = |owner: &dyn std::fmt::Display, node: Option<&Node>| {
        let Some((name, node)) = node.and_then(|node| Some((known(node)?, node))) else { return };
        if let Some(why) = interface_fault(name) {
            faults.push(
                Diagnostic::error(
                    "interface-name-invalid",
                    node.origin(),
                    format!("`{name}` of {owner} cannot be the name of a network interface"),
                )
                .label(why),
            );
        }
    };
    for (id, node) in context.objects(SVC, "DPUServiceInterface") {
        // A block of another type than the interface's is read by nobody.
        let Some((spec, kind)) = node.at(SPEC).and_then(|spec| Some((spec, spec.text(&["interfaceType"])?))) else {
            continue;
        };
        if kind == "service" || kind == "physical" {
            one(id, spec.at(&[kind, "interfaceName"]));
        }
    }
    for (id, node) in context.objects(SVC, "DPUServiceConfiguration") {
        for interface in node.items(&["spec", "interfaces"]) {
            one(id, interface.get("name"));
        }
    }
}

/// D16, P-09, S14: two interfaces of one service that end up as one.
pub(super) fn interface_name_twice(context: &Context<'_>, faults: &mut Vec<Diagnostic>) {
    const CODE: &str = "interface-name-twice";
    for (id, node) in context.objects(SVC, "DPUServiceConfiguration") {
        let mut seen: BTreeMap<String, (&str, Origin)> = BTreeMap::new();
        for interface in node.items(&["spec", "interfaces"]) {
            let Some((name, node)) = interface.get("name").and_then(|node| Some((known(node)?, node))) else {
                continue;
            };
            if let Some((first, origin)) = seen.insert(name.replace('_', "-"), (name, node.origin()))
                && !context.is_told(interface.origin())
            {
                let message = if first == name {
                    format!("{id} has two interfaces named `{name}`")
                } else {
                    format!("interfaces `{first}` and `{name}` of {id} get one name: `_` becomes `-`")
                };
                faults.push(
                    Diagnostic::error(CODE, node.origin(), message)
                        .note_at("the first", origin)
                        .help("one of them would be lost; give it another name"),
                );
            }
        }
    }
    for (id, node) in context.objects(SVC, "DPUService") {
        let mut seen: BTreeMap<&str, (&str, Origin)> = BTreeMap::new();
        for item in node.items(&["spec", "interfaces"]) {
            let Some(name) = known(item) else { continue };
            let found = context
                .object(SVC, "DPUServiceInterface", &id.namespace, name)
                .and_then(|interface| interface.at(SPEC)?.at(&["service", "interfaceName"]))
                .and_then(known);
            let Some(interface) = found else { continue };
            if let Some((first, origin)) = seen.insert(interface, (name, item.origin())) {
                faults.push(
                    Diagnostic::error(
                        CODE,
                        item.origin(),
                        format!("{id} has interface `{interface}` twice: from `{first}` and `{name}`"),
                    )
                    .note_at("the first", origin)
                    .help("one of them would be lost; change `service.interfaceName` of the other"),
                );
            }
        }
    }
}

/// P-17: the reference gets the node's name appended, whatever it is.
pub(super) fn interface_parent_empty(context: &Context<'_>, faults: &mut Vec<Diagnostic>) {
    for (id, node) in context.objects(SVC, "DPUServiceInterface") {
        for kind in ["vlan", "vf"] {
            let Some(parent) = node.at(SPEC).and_then(|spec| spec.at(&[kind, "parentInterfaceRef"])) else { continue };
            if parent.as_str().is_some_and(|text| text.trim().is_empty()) {
                faults.push(
                    Diagnostic::error(
                        "interface-parent-empty",
                        parent.origin(),
                        format!("`{kind}.parentInterfaceRef` of {id} is empty"),
                    )
                    .note("it would become `-<node>` on each card")
                    .help("name the DPUServiceInterface of the port it belongs to"),
                );
            }
        }
    }
}

/// Labels that DPF finds its objects by; a template may override them.
const RESERVED: &[&str] = &[
    "svc.dpu.nvidia.com/nodeName",
    "svc.dpu.nvidia.com/service-chain",
    "svc.dpu.nvidia.com/service-id",
    "svc.dpu.nvidia.com/servicechainset-name",
    "svc.dpu.nvidia.com/servicechainset-namespace",
    "svc.dpu.nvidia.com/serviceinterfaceset-name",
    "svc.dpu.nvidia.com/serviceinterfaceset-namespace",
];

/// P-16: labels that hide an object from its controller.
pub(super) fn reserved_label(context: &Context<'_>, faults: &mut Vec<Diagnostic>) {
    let mut one = |owner: &dyn std::fmt::Display, labels: &[crate::node::Entry], reserved: &[&str]| {
        for entry in labels.iter().filter(|entry| reserved.contains(&&*entry.key.text)) {
            faults.push(
                Diagnostic::error(
                    "reserved-label",
                    entry.key.origin,
                    format!("{owner} sets the label `{}`, which DPF finds its objects by", entry.key.text),
                )
                .help("take it away: DPF's own value would be lost, and the object with it"),
            );
        }
    };
    for kind in ["DPUServiceChain", "DPUServiceInterface"] {
        for (id, node) in context.objects(SVC, kind) {
            one(id, node.fields(&["spec", "template", "spec", "template", "metadata", "labels"]), RESERVED);
        }
    }
    for cluster in 0..context.input.clusters.len() {
        for kind in ["ServiceChainSet", "ServiceInterfaceSet"] {
            for (id, node) in context.in_cluster(cluster, SVC, kind) {
                one(id, node.fields(&["spec", "template", "metadata", "labels"]), RESERVED);
            }
        }
    }
    for (id, node) in context.objects(super::view::PROVISIONING, "DPUSet") {
        let own = ["provisioning.dpu.nvidia.com/dpuset-name", "provisioning.dpu.nvidia.com/dpuset-namespace"];
        one(id, node.fields(&["metadata", "labels"]), &own);
    }
}

/// P-16: annotations that no object gets.
pub(super) fn annotations_dropped(context: &Context<'_>, faults: &mut Vec<Diagnostic>) {
    for kind in ["DPUServiceChain", "DPUServiceInterface"] {
        for (id, node) in context.objects(SVC, kind) {
            let metadata = node.at(&["spec", "template", "spec", "template", "metadata"]);
            let Some(metadata) = metadata.filter(|metadata| !metadata.fields(&["annotations"]).is_empty()) else {
                continue;
            };
            faults.push(
                Diagnostic::warning(
                    "annotations-dropped",
                    metadata.key_origin("annotations"),
                    format!("{id} has annotations in its inner template, which DPF drops"),
                )
                .help(
                    "annotations of `spec.template.metadata` go to the set, and from there to the object on each card",
                ),
            );
        }
    }
}

/// C.3.6: networks that no NetworkAttachmentDefinition defines.
pub(super) fn network_unknown(context: &Context<'_>, faults: &mut Vec<Diagnostic>) {
    let home = context.operator_namespace();
    let mut nads: BTreeSet<(&str, &str)> = ["mybrsfc", "mybrhbn", "iprequest"].map(|name| (home, name)).into();
    let made = context.input.clusters.iter().chain([context.input.management]);
    for objects in made {
        for (id, _) in super::of_kind(objects, "k8s.cni.cncf.io", "NetworkAttachmentDefinition") {
            nads.insert((&id.namespace, &id.name));
        }
    }
    for (id, _) in context.objects(SVC, "DPUServiceNAD") {
        nads.insert((&id.namespace, &id.name));
    }
    for external in context.site.external.iter().filter(|entry| entry.kind == "NetworkAttachmentDefinition") {
        nads.insert((&external.namespace, &external.name));
    }
    let mut one = |owner: &dyn std::fmt::Display, namespace: &str, network: Option<&Node>| {
        let Some((text, node)) = network.and_then(|node| Some((known(node)?, node))) else { return };
        let (within, name) = text.split_once('/').unwrap_or((namespace, text));
        // Malformed ones stop the expansion.
        if name.is_empty() || within.is_empty() || name.contains('/') || nads.contains(&(within, name)) {
            return;
        }
        let elsewhere = nads.iter().find(|(_, other)| *other == name);
        let fault = Diagnostic::warning(
            "network-unknown",
            node.origin(),
            format!("{owner} attaches to network `{text}`, which is not known in namespace `{within}`"),
        );
        faults.push(match elsewhere {
            Some((namespace, _)) => fault.help(format!("write `{namespace}/{name}`: that is where it is")),
            None => fault
                .note(format!("known networks: {}", listed(nads.iter().map(|(_, name)| *name))))
                .help_if(did_you_mean(name, nads.iter().map(|(_, name)| *name)))
                .help("one that a chart brings along can be named under `external` in site.yaml"),
        });
    };
    for (id, node) in context.objects(SVC, "DPUServiceInterface") {
        let spec = node.at(SPEC).filter(|spec| spec.text(&["interfaceType"]) == Some("service"));
        one(id, &id.namespace, spec.and_then(|spec| spec.at(&["service", "network"])));
    }
    for (id, node) in context.objects(SVC, "DPUServiceConfiguration") {
        for interface in node.items(&["spec", "interfaces"]) {
            one(id, &id.namespace, interface.get("network"));
        }
    }
}

/// Networks whose attachments each take a scalable function.
const SF_NETWORKS: &[&str] = &["mybrsfc", "mybrhbn"];
const SF: &str = "nvidia.com/bf_sf";

/// P-62: as many scalable functions as interfaces.
pub(super) fn sf_count(context: &Context<'_>, faults: &mut Vec<Diagnostic>) {
    let takes = |network: Option<&Node>| -> Option<bool> {
        let text = known(network?)?;
        Some(SF_NETWORKS.contains(&text.rsplit('/').next().unwrap_or_default()))
    };
    let mut one = |owner: String, interfaces: Vec<Option<bool>>, values: [Option<&Node>; 2]| {
        if interfaces.is_empty() || interfaces.iter().any(Option::is_none) {
            return;
        }
        let wanted = interfaces.iter().filter(|takes| **takes == Some(true)).count();
        let Some((given, origin)) = values.into_iter().flatten().find_map(|values| functions(values, 0)) else {
            return;
        };
        if i64::try_from(wanted) != Ok(given) {
            let has = match wanted {
                0 => "no interface that takes one".to_owned(),
                1 => "one interface that takes one".to_owned(),
                _ => format!("{wanted} interfaces that take one each"),
            };
            let why = if i64::try_from(wanted).is_ok_and(|wanted| wanted > given) {
                "the pod gets as many as its values ask for: the other interfaces stay away"
            } else {
                "each pod keeps what it asks for, and a card has few"
            };
            faults.push(
                Diagnostic::warning("sf-count", origin, format!("{owner} asks for {given} `{SF}`, and has {has}"))
                    .note(why)
                    .help(format!("write `{SF}: {wanted}`")),
            );
        }
    };
    for (id, node) in context.objects(SVC, "DPUService") {
        let interfaces = node.items(&["spec", "interfaces"]).iter().map(|item| {
            let interface = context.object(SVC, "DPUServiceInterface", &id.namespace, known(item)?)?;
            takes(interface.at(SPEC)?.at(&["service", "network"]))
        });
        one(id.to_string(), interfaces.collect(), [node.at(&["spec", "helmChart", "values"]), None]);
    }
    for deployment in &context.deployments {
        for service in &deployment.services {
            let interfaces = service.interfaces().iter().map(|interface| takes(interface.get("network")));
            let values = [
                service
                    .configuration
                    .and_then(|node| node.at(&["spec", "serviceConfiguration", "helmChart", "values"])),
                service.template.and_then(|node| node.at(&["spec", "helmChart", "values"])),
            ];
            one(format!("service `{}` of {}", service.key, deployment.id), interfaces.collect(), values);
        }
    }
}

/// The number under the resource's name, wherever a chart wants it.
fn functions(values: &Node, depth: usize) -> Option<(i64, Origin)> {
    if depth > 8 {
        return None;
    }
    values.fields(&[]).iter().find_map(|entry| {
        if &*entry.key.text == SF {
            let count = entry.value.as_i64().or_else(|| entry.value.as_str()?.parse().ok())?;
            return Some((count, entry.value.origin()));
        }
        functions(&entry.value, depth + 1)
    })
}
