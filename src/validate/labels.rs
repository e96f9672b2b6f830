//! Labels, annotations and selectors, wherever the kinds we know hold them. PURE.
//!
//! The API server checks the labels of an object, not those that a template or selector carries to a later object: these are
//! refused when DPF creates that object, or match nothing for ever.

use std::collections::BTreeSet;

use super::Context;
use super::syntax::{LABEL, label_key_fault, label_value_fault};
use super::view::{PROVISIONING, SVC};
use crate::diagnostic::Diagnostic;
use crate::node::{EXPRESSION, Entry, Name, Node};
use crate::render::object::ObjectId;
use crate::source::Origin;

/// What a map of strings is for.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Use {
    /// Labels of an object, or of one that is made from it.
    Labels,
    /// What labels must be.
    Match,
    Annotations,
}
use Use::{Annotations, Labels, Match};

type Field = (&'static str, &'static str, &'static [&'static str], Use);

/// Where the kinds hold such maps, beside `metadata`; sorted by group and kind.
const FIELDS: &[Field] = &[
    ("", "Pod", &["spec", "nodeSelector"], Match),
    ("", "Service", &["spec", "selector"], Match),
    ("apps", "DaemonSet", &["spec", "selector", "matchLabels"], Match),
    ("apps", "DaemonSet", &["spec", "template", "metadata", "labels"], Labels),
    ("apps", "DaemonSet", &["spec", "template", "spec", "nodeSelector"], Match),
    ("apps", "Deployment", &["spec", "selector", "matchLabels"], Match),
    ("apps", "Deployment", &["spec", "template", "metadata", "labels"], Labels),
    ("apps", "Deployment", &["spec", "template", "spec", "nodeSelector"], Match),
    ("apps", "StatefulSet", &["spec", "selector", "matchLabels"], Match),
    ("apps", "StatefulSet", &["spec", "template", "metadata", "labels"], Labels),
    (PROVISIONING, "DPUSet", &["spec", "nodeSelector", "matchLabels"], Match),
    (PROVISIONING, "DPUSet", &["spec", "dpuNodeSelector", "matchLabels"], Match),
    (PROVISIONING, "DPUSet", &["spec", "dpuTemplate", "annotations"], Annotations),
    (PROVISIONING, "DPUSet", &["spec", "dpuTemplate", "spec", "cluster", "nodeLabels"], Labels),
    (PROVISIONING, "DPUSet", &["spec", "dpuTemplate", "spec", "nodeEffect", "customLabel"], Labels),
    (SVC, "DPUService", &["spec", "serviceDaemonSet", "annotations"], Annotations),
    (SVC, "DPUService", &["spec", "serviceDaemonSet", "labels"], Labels),
    (SVC, "DPUServiceChain", &["spec", "template", "metadata", "annotations"], Annotations),
    (SVC, "DPUServiceChain", &["spec", "template", "metadata", "labels"], Labels),
    (SVC, "DPUServiceChain", &["spec", "template", "spec", "nodeSelector", "matchLabels"], Match),
    (SVC, "DPUServiceChain", &["spec", "template", "spec", "template", "metadata", "labels"], Labels),
    (SVC, "DPUServiceConfiguration", &["spec", "serviceConfiguration", "serviceDaemonSet", "annotations"], Annotations),
    (SVC, "DPUServiceConfiguration", &["spec", "serviceConfiguration", "serviceDaemonSet", "labels"], Labels),
    (SVC, "DPUServiceCredentialRequest", &["spec", "metadata", "annotations"], Annotations),
    (SVC, "DPUServiceCredentialRequest", &["spec", "metadata", "labels"], Labels),
    (SVC, "DPUServiceIPAM", &["spec", "metadata", "annotations"], Annotations),
    (SVC, "DPUServiceIPAM", &["spec", "metadata", "labels"], Labels),
    (SVC, "DPUServiceInterface", &["spec", "template", "metadata", "annotations"], Annotations),
    (SVC, "DPUServiceInterface", &["spec", "template", "metadata", "labels"], Labels),
    (SVC, "DPUServiceInterface", &["spec", "template", "spec", "nodeSelector", "matchLabels"], Match),
    (SVC, "DPUServiceInterface", &["spec", "template", "spec", "template", "metadata", "labels"], Labels),
    (SVC, "ServiceChainSet", &["spec", "nodeSelector", "matchLabels"], Match),
    (SVC, "ServiceChainSet", &["spec", "template", "metadata", "labels"], Labels),
    (SVC, "ServiceInterfaceSet", &["spec", "nodeSelector", "matchLabels"], Match),
    (SVC, "ServiceInterfaceSet", &["spec", "template", "metadata", "labels"], Labels),
];

fn report(context: &Context<'_>, code: &str, faults: &mut Vec<Diagnostic>) {
    let all = context.label_faults.get_or_init(|| collect(context));
    faults.extend(all.iter().filter(|fault| fault.code == code).cloned());
}

/// Keys that Kubernetes does not take.
pub(super) fn label_key_invalid(context: &Context<'_>, faults: &mut Vec<Diagnostic>) {
    report(context, "label-key-invalid", faults);
}

/// Values that Kubernetes does not take.
pub(super) fn label_value_invalid(context: &Context<'_>, faults: &mut Vec<Diagnostic>) {
    report(context, "label-value-invalid", faults);
}

/// Values over 63 characters.
pub(super) fn label_value_too_long(context: &Context<'_>, faults: &mut Vec<Diagnostic>) {
    report(context, "label-value-too-long", faults);
}

/// Keys of annotations follow the rules of label keys.
pub(super) fn annotation_key_invalid(context: &Context<'_>, faults: &mut Vec<Diagnostic>) {
    report(context, "annotation-key-invalid", faults);
}

/// All faults of labels, worked out in one walk.
fn collect(context: &Context<'_>) -> Vec<Diagnostic> {
    let mut check = Check { context, faults: Vec::new(), seen: BTreeSet::new(), made: false };
    for (id, node) in context.written() {
        check.metadata(id, node);
        let fields = FIELDS.partition_point(|field| (field.0, field.1) < (&*id.group, &*id.kind));
        for (_, _, path, usage) in
            FIELDS[fields..].iter().take_while(|field| field.0 == &*id.group && field.1 == &*id.kind)
        {
            // A selector that matches nothing, unlike a label, is accepted by everybody.
            check.map(id, node.at(path), *usage, *usage != Match);
        }
    }
    for (id, node) in context.objects(SVC, "DPUService") {
        if let Some(value) = node.at(&["spec", "serviceID"]) {
            check.value(id, "svc.dpu.nvidia.com/service", value, value.origin(), false);
        }
    }
    for (id, node) in context.objects(SVC, "DPUServiceInterface") {
        if let Some(value) = node.at(&["spec", "template", "spec", "template", "spec", "service", "serviceID"]) {
            check.value(id, "svc.dpu.nvidia.com/service-id", value, value.origin(), true);
        }
    }
    for chain in &context.resolution().chains {
        let (kind, name) = chain.name.split_once(' ').unwrap_or(("", &chain.name));
        let id = ObjectId::new(SVC, kind, "", name);
        for port in chain.switches.iter().flat_map(|switch| switch.items(&["ports"])) {
            check.map(&id, port.at(&["serviceInterface", "matchLabels"]), Match, false);
            for holder in ["serviceInterface", "service"] {
                check.map(&id, port.at(&[holder, "ipam", "matchLabels"]), Match, false);
            }
        }
    }
    for deployment in &context.deployments {
        for set in deployment.dpu_sets() {
            check.map(deployment.id, set.at(&["nodeSelector", "matchLabels"]), Match, false);
            check.map(deployment.id, set.at(&["dpuNodeSelector", "matchLabels"]), Match, false);
            check.map(deployment.id, set.get("dpuAnnotations"), Annotations, true);
        }
        for interface in deployment.services.iter().flat_map(super::view::Service::interfaces) {
            if let Some(value) = interface.get("name") {
                check.value(deployment.id, "svc.dpu.nvidia.com/interface", value, value.origin(), true);
            }
        }
    }
    for host in &context.input.inventory.hosts {
        let node = ObjectId::new("", "Node", "", &host.name);
        let dpus = host.dpus.iter().map(|dpu| (ObjectId::new("", "Node", "", &dpu.node_name), &dpu.labels, dpu.origin));
        for (id, labels, origin) in std::iter::once((node, &host.labels, host.origin)).chain(dpus) {
            for (key, value) in labels {
                check.key(&id, key, origin, Labels, true);
                check.value(&id, key, &Node::str(value.as_str(), origin), origin, true);
            }
        }
    }
    // What was made of the user's objects has the user's places; only what is new is worth saying.
    check.made = true;
    let made = context.expanded.management.iter().chain(context.expanded.clusters.iter().flatten());
    for node in made.filter(|node| !is_plain(node)) {
        check.metadata(&ObjectId::of(node), node);
    }
    check.faults
}

/// Whether an object has nothing that [`Check`] could find fault with: constant keys, short and ordinary values.
fn is_plain(node: &Node) -> bool {
    let labels = node.fields(&["metadata", "labels"]);
    let annotations = node.fields(&["metadata", "annotations"]);
    let constant = |entry: &Entry| matches!(entry.key.text, Name::Constant(_));
    let ordinary = |text: &str| text.len() <= LABEL && label_value_fault(text).is_none();
    labels.iter().chain(annotations).all(constant)
        && labels.iter().all(|entry| entry.value.as_str().is_some_and(ordinary))
}

/// Labels whose values DPF puts together of names: `name-too-long` tells of the names.
const OF_NAMES: &[&str] = &[
    "dpu.nvidia.com/cluster",
    "dpu.nvidia.com/dpuservice-name",
    "dpu.nvidia.com/dpuserviceipam-name",
    "provisioning.dpu.nvidia.com/dpuset-name",
    "svc.dpu.nvidia.com/nodeName",
    "svc.dpu.nvidia.com/owned-by-dpudeployment",
    "svc.dpu.nvidia.com/service",
    "svc.dpu.nvidia.com/service-chain",
    "svc.dpu.nvidia.com/service-id",
    "svc.dpu.nvidia.com/servicechainset-name",
    "svc.dpu.nvidia.com/serviceinterfaceset-name",
];

struct Check<'c, 'a> {
    context: &'c Context<'a>,
    faults: Vec<Diagnostic>,
    /// Places that were reported.
    seen: BTreeSet<(&'static str, Origin)>,
    /// Whether the objects are those that expansion made.
    made: bool,
}

impl Check<'_, '_> {
    fn metadata(&mut self, id: &ObjectId, node: &Node) {
        self.map(id, node.at(&["metadata", "labels"]), Labels, true);
        self.map(id, node.at(&["metadata", "annotations"]), Annotations, true);
    }

    fn map(&mut self, id: &ObjectId, map: Option<&Node>, usage: Use, upstream: bool) {
        for entry in map.map(|map| map.fields(&[])).unwrap_or_default() {
            // A constant key is the program's own.
            if let Name::Shared(key) = &entry.key.text {
                self.key(id, key, entry.key.origin, usage, upstream);
            }
            if usage != Annotations {
                self.value(id, &entry.key.text, &entry.value, entry.value.origin(), upstream);
            }
        }
    }

    fn key(&mut self, id: &ObjectId, key: &str, origin: Origin, usage: Use, upstream: bool) {
        let Some(why) = label_key_fault(key).filter(|_| !key.contains(EXPRESSION)) else { return };
        let (code, what) = if usage == Annotations {
            ("annotation-key-invalid", "an annotation")
        } else {
            ("label-key-invalid", "a label")
        };
        self.push(
            Diagnostic::error(code, origin, format!("`{key}` of {id} cannot be the key of {what}")).label(why),
            upstream,
        );
    }

    fn value(&mut self, id: &ObjectId, key: &str, value: &Node, origin: Origin, upstream: bool) {
        let Some(text) = value.as_str().filter(|text| !text.contains(EXPRESSION)) else { return };
        if text.len() > LABEL {
            if self.made && OF_NAMES.contains(&key) {
                return;
            }
            let message =
                format!("label `{key}` of {id} has a value of {} characters, and Kubernetes takes {LABEL}", text.len());
            let help = format!("shorten it by {} characters", text.len() - LABEL);
            self.push(Diagnostic::error("label-value-too-long", origin, message).help(help), upstream);
        } else if let Some(why) = label_value_fault(text) {
            let message = format!("`{text}` cannot be the value of label `{key}` of {id}");
            self.push(Diagnostic::error("label-value-invalid", origin, message).label(why), upstream);
        }
    }

    fn push(&mut self, fault: Diagnostic, upstream: bool) {
        if fault.origin == Origin::NONE || self.seen.insert((fault.code, fault.origin)) {
            self.faults.push(if upstream { fault } else { self.context.accepted_upstream(fault) });
        }
    }
}

/// Selectors that the controllers refuse to read: the CRDs do not check operators.
pub(super) fn selector_invalid(context: &Context<'_>, faults: &mut Vec<Diagnostic>) {
    let mut one = |id: &ObjectId, selector: Option<&Node>, node_terms: bool| {
        let Some(selector) = selector else { return };
        let lists: Vec<&[Node]> = if node_terms {
            let terms = selector.items(&["nodeSelectorTerms"]);
            terms.iter().flat_map(|term| [term.items(&["matchExpressions"]), term.items(&["matchFields"])]).collect()
        } else {
            vec![selector.items(&["matchExpressions"])]
        };
        for item in lists.into_iter().flatten() {
            let Some((operator, node)) = item.get("operator").and_then(|node| Some((node.as_str()?, node))) else {
                continue;
            };
            if operator.contains(EXPRESSION) {
                continue;
            }
            let allowed: &[&str] = if node_terms {
                &["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"]
            } else {
                &["In", "NotIn", "Exists", "DoesNotExist"]
            };
            let values = item.items(&["values"]).len();
            let why = match operator {
                "In" | "NotIn" if values == 0 => "needs `values`".to_owned(),
                "Exists" | "DoesNotExist" if values > 0 => "takes no `values`".to_owned(),
                "Gt" | "Lt" if node_terms && values != 1 => "needs one value".to_owned(),
                operator if allowed.contains(&operator) => continue,
                _ => format!("is not one of {}", super::view::listed(allowed.iter().copied())),
            };
            faults.push(
                Diagnostic::error(
                    "selector-invalid",
                    node.origin(),
                    format!("{id} selects with operator `{operator}`, which {why}"),
                )
                .help_if(super::view::did_you_mean(operator, allowed.iter().copied())),
            );
        }
    };
    for kind in ["DPUServiceChain", "DPUServiceInterface"] {
        for (id, node) in context.objects(SVC, kind) {
            one(id, node.at(&["spec", "template", "spec", "nodeSelector"]), false);
        }
    }
    for (id, node) in context.objects(PROVISIONING, "DPUSet") {
        one(id, node.at(&["spec", "nodeSelector"]), false);
        one(id, node.at(&["spec", "dpuNodeSelector"]), false);
    }
    for deployment in &context.deployments {
        for set in deployment.dpu_sets() {
            one(deployment.id, set.get("nodeSelector"), false);
            one(deployment.id, set.get("dpuNodeSelector"), false);
        }
    }
    for (id, node) in context.objects(SVC, "DPUService") {
        one(id, node.at(&["spec", "serviceDaemonSet", "nodeSelector"]), true);
    }
    for (id, node) in context.objects(SVC, "DPUServiceIPAM") {
        one(id, node.at(&["spec", "nodeSelector"]), true);
    }
}
