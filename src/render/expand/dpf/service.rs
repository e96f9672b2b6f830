//! `DPUService` → Helm values and an `Application` on every DPU cluster, or one in the management cluster. PURE.
//!
//! In: services, the interfaces they list, what chains give those. Out: Applications, values. Mirrors
//! `internal/dpuservice/controllers/dpuservice_controller.go`, release v24.10.0-rc.6. On purpose different: a fault of one
//! service or cluster stops no other; nothing is written back (P-52); who consumes an interface follows from the services,
//! not from an annotation (P-80). What is equal on all clusters is made once.

use std::collections::{BTreeMap, BTreeSet};

use super::application::{Argo, Content, Frame, application};
use super::context::{Context, filled, given, list, place, tidy};
use super::names::{NETWORKS, SERVICE};
use super::network::{self, CniArgs, Element};
use super::parts::{Name, Part, Parts};
use super::secrets::Mirrored;
use super::{cni_args, values};
use crate::diagnostic::{Diagnostic, nearest};
use crate::node::{EXPRESSION, Node};
use crate::render::expand::ServiceValues;
use crate::source::Origin;

/// What the expansion of services reads beside the services.
pub(super) struct Surroundings<'s> {
    pub(super) parts: &'s Parts,
    pub(super) argo: &'s Argo,
    pub(super) pools: &'s [Vec<Node>],
    /// Chains, interfaces and pools are the same in every cluster.
    pub(super) uniform: bool,
    pub(super) mirrored: &'s Mirrored,
    /// Namespaces that exist in the DPU clusters.
    pub(super) namespaces: &'s BTreeMap<String, Origin>,
}

/// Whether a service runs in the management cluster.
pub(super) fn in_management(service: &Node) -> bool {
    given(service, &["spec", "deployInCluster"]).and_then(Node::as_bool).unwrap_or_default()
}

/// Expands every service; returns whether one got as far as wanting a project.
pub(super) fn expand(cx: &mut Context<'_>, around: &Surroundings<'_>) -> bool {
    check_consumers(cx, around.parts);
    let mut any = false;
    let mut applications: BTreeMap<String, (String, Origin, usize)> = BTreeMap::new();
    for ((namespace, name), part) in &around.parts.services {
        let before = cx.out.management.len();
        any |= expand_one(cx, around, namespace, name, part);
        for application in cx.out.management.split_off(before) {
            let made = super::context::name(&application).to_owned();
            let (who, origin) = (format!("DPUService `{namespace}/{name}`"), place(&part.node));
            if let Some((other, earlier, first)) = applications.get(&made) {
                let message = if *other == who {
                    format!("{who} makes Application `{made}` for two DPU clusters of one name")
                } else {
                    format!("{other} and {who} both make Application `{made}`")
                };
                cx.refuse(
                    Diagnostic::error("name-collision", origin, message)
                        .note_at("the other one", *earlier)
                        .help("its name is `<cluster>-<service>`, without any namespace: rename one"),
                );
                // As upstream: the later overwrites all but what says whose the Application is.
                if let Some(spec) = application.get("spec") {
                    cx.out.management[*first] = cx.out.management[*first].with("spec", spec.clone());
                }
                continue;
            }
            applications.insert(made, (who, origin, cx.out.management.len()));
            cx.out.management.push(application);
        }
    }
    any
}

/// An interface belongs to one service.
fn check_consumers(cx: &mut Context<'_>, parts: &Parts) {
    let mut consumers: BTreeMap<(&str, &str), (&str, Origin)> = BTreeMap::new();
    for ((namespace, name), part) in &parts.services {
        for interface in part.node.items(&["spec", "interfaces"]) {
            let Some(text) = interface.as_str() else { continue };
            match consumers.get(&(namespace.as_str(), text)) {
                Some((other, listed)) if other != name => {
                    cx.report(
                        Diagnostic::error(
                            "interface-consumed-twice",
                            interface.origin(),
                            format!("DPUServiceInterface `{text}` is consumed by DPUServices `{other}` and `{name}`"),
                        )
                        .note_at(format!("`{other}` lists it here"), *listed)
                        .help("an interface is one port of one pod: make another one"),
                    );
                }
                Some(_) => {}
                None => {
                    consumers.insert((namespace, text), (name, interface.origin()));
                }
            }
        }
    }
}

fn expand_one(cx: &mut Context<'_>, around: &Surroundings<'_>, namespace: &str, name: &str, part: &Part) -> bool {
    let host = in_management(&part.node);
    let paused = given(&part.node, &["spec", "paused"]).and_then(Node::as_bool).unwrap_or_default();
    if host && part.written && !part.node.items(&["spec", "interfaces"]).is_empty() {
        cx.refuse(
            Diagnostic::error(
                "interfaces-in-management",
                part.node.at(&["spec"]).map_or(place(&part.node), |spec| spec.key_origin("interfaces")),
                format!("DPUService `{name}` runs in the management cluster, but has interfaces on cards"),
            )
            .help("remove `interfaces` or `deployInCluster`: hosts have neither these networks nor chains"),
        );
    }
    let targets: Vec<Option<usize>> = if host { vec![None] } else { cx.clusters().map(Some).collect() };
    if cx.parity && !paused {
        let in_clusters = around.namespaces.contains_key(namespace);
        if let Some(why) = around.mirrored.stuck(cx, namespace, in_clusters) {
            let message = format!("upstream makes no Application of DPUService `{namespace}/{name}`");
            cx.refuse(
                Diagnostic::error("pull-secret-clusters", place(&part.node), message)
                    .note(format!("its namespace holds a Secret with the pull-secret label: {why}")),
            );
            return true;
        }
    }
    if targets.is_empty() {
        // Its interfaces are checked all the same.
        return elements(cx, around.parts, namespace, &part.node, None).is_some();
    }
    // What was made for the cluster before, and from which annotation: it serves again where nothing waits.
    let mut last: Option<(Option<String>, Content)> = None;
    let mut shared: Option<Option<Rewritten>> = None;
    let waits = part.waits();
    let frame = Frame::new(cx, around.argo, &part.bare, paused);
    let mut passed = false;
    for target in targets {
        let node = match target {
            Some(cluster) => cx.in_cluster(&part.bare, cluster),
            None => part.bare.clone(),
        };
        let again = around.uniform && !waits;
        let rewritten = match shared.clone().filter(|_| again) {
            Some(rewritten) => rewritten,
            None => {
                let rewritten = rewrite(cx, around, namespace, &node, target);
                shared = Some(rewritten.clone());
                rewritten
            }
        };
        let Some(annotation) = rewritten else { continue };
        passed = true;
        let content = match last.take().filter(|(before, _)| !waits && *before == annotation) {
            Some((_, content)) => content,
            None => content(cx, part, &node, annotation.as_deref(), target),
        };
        let application = application(cx, around.argo, &frame, &content, target);
        if let Some(cluster) = target {
            let (service, values) = (name.to_owned(), content.values.clone());
            cx.out.values.push(ServiceValues { cluster, service, application: application.clone(), values });
        }
        cx.out.management.push(application);
        last = Some((annotation, content));
    }
    passed
}

/// A network annotation that replaces the user's; nothing where his stays as it is.
type Rewritten = Option<String>;

/// The network annotation of a service on a cluster. Nothing at all where a fault keeps the service from being made.
fn rewrite(
    cx: &mut Context<'_>,
    around: &Surroundings<'_>,
    namespace: &str,
    service: &Node,
    cluster: Option<usize>,
) -> Option<Rewritten> {
    let generated = elements(cx, around.parts, namespace, service, cluster)?;
    let listed = !service.items(&["spec", "interfaces"]).is_empty();
    let written = given(service, &["spec", "serviceDaemonSet", "annotations", NETWORKS]);
    if !listed && written.is_none() {
        return Some(None);
    }
    let args = match (cluster, given(service, &["spec", "serviceID"]).and_then(Node::as_str)) {
        (Some(cluster), Some(id)) if !cx.parity => {
            cni_args::of_service(cx, around.parts, around.pools, (namespace, id), cluster)
        }
        _ => CniArgs::new(),
    };
    let existing = written.map(|written| network::parse(written.as_str().unwrap_or_default()));
    if !listed {
        // Byte for byte as written, unless a chain has something to add.
        let existing = existing.flatten().unwrap_or_default();
        let concerned = existing.iter().any(|element| args.contains_key(&element.interface));
        return Some(concerned.then(|| network::to_annotation(&network::merge(&existing, &[], &args))));
    }
    let existing = match (existing, written) {
        (Some(None), Some(written)) => {
            let message =
                format!("annotation `{NETWORKS}` of a service with interfaces must be a JSON list of objects");
            cx.report(
                Diagnostic::error("network-annotation", written.origin(), message)
                    .label("DPUService interfaces are merged into it")
                    .help("write `[{\"name\": \"mybrsfc\", \"interface\": \"net1\"}]`; the short form works only without interfaces"),
            );
            return None;
        }
        (existing, _) => existing.flatten().unwrap_or_default(),
    };
    Some(Some(network::to_annotation(&network::merge(&existing, &generated, &args))))
}

/// The networks of the interfaces that a service lists. Nothing at all where one cannot be had.
fn elements(
    cx: &mut Context<'_>,
    parts: &Parts,
    namespace: &str,
    service: &Node,
    cluster: Option<usize>,
) -> Option<Vec<Element>> {
    let name = super::context::name(service).to_owned();
    let service_id = given(service, &["spec", "serviceID"]).and_then(Node::as_str);
    let mut found: Vec<(Element, Origin)> = Vec::new();
    let (mut whole, mut seen) = (true, BTreeSet::new());
    for reference in service.items(&["spec", "interfaces"]) {
        let Some(wanted) = reference.as_str() else { continue };
        if !seen.insert(wanted) {
            // The same interface again is the same network again.
            continue;
        }
        let Some(part) = parts.interfaces.get(&(namespace.to_owned(), wanted.to_owned())) else {
            cx.report(missing(parts, namespace, &name, wanted, reference.origin()));
            whole = false;
            continue;
        };
        let spec = part.node.at(&["spec", "template", "spec", "template", "spec"]).unwrap_or(&part.node);
        let spec = match cluster {
            Some(cluster) => cx.in_cluster(spec, cluster),
            None => spec.clone(),
        };
        let kind = spec.text(&["interfaceType"]).unwrap_or_default();
        let Some(block) = given(&spec, &["service"]).filter(|_| kind == "service") else {
            cx.report(
                Diagnostic::error(
                    "interface-type",
                    reference.origin(),
                    format!("DPUService `{name}` lists interface `{wanted}`, which is of type `{kind}`"),
                )
                .note_at("its type", spec.at(&["interfaceType"]).map_or(spec.origin(), Node::origin))
                .help("only interfaces of type `service` are consumed by a DPUService"),
            );
            whole = false;
            continue;
        };
        let id = block.get("serviceID");
        if let (Some(own), Some(id)) = (service_id, id)
            && id.as_str() != Some(own)
            && !(own.contains(EXPRESSION) || id.has_expression())
        {
            let theirs = id.as_str().unwrap_or_default();
            cx.report(
                Diagnostic::error(
                    "interface-service-id",
                    reference.origin(),
                    format!("DPUService `{name}` has id `{own}`, but its interface `{wanted}` is for id `{theirs}`"),
                )
                .note_at("the interface's `serviceID`", id.origin())
                .help(format!("set both to `{own}`")),
            );
            whole = false;
            continue;
        }
        let network = block.get("network");
        let text = network.and_then(Node::as_str).unwrap_or_default();
        let origin = network.map_or(block.origin(), Node::origin);
        // What still waits belongs to no cluster: whoever evaluates it will say so.
        if network::split(text).is_none() && !text.contains(EXPRESSION) {
            cx.refuse(
                Diagnostic::error(
                    "network-malformed",
                    origin,
                    format!("network `{text}` of interface `{wanted}` is neither `name` nor `namespace/name`"),
                )
                .label("the pod would ask for a network without a name"),
            );
        }
        let interface = block.text(&["interfaceName"]).unwrap_or_default();
        found.push((Element::of_interface(text, interface), origin));
    }
    whole.then(|| found.into_iter().map(|(element, _)| element).collect())
}

fn missing(parts: &Parts, namespace: &str, service: &str, wanted: &str, origin: Origin) -> Diagnostic {
    let of = |(own, name): &Name| (own == namespace).then(|| name.clone());
    let names: Vec<String> = parts.interfaces.keys().filter_map(of).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let elsewhere = parts.interfaces.keys().find(|(_, name)| name == wanted);
    let help = match (nearest(wanted, names.iter().copied()), elsewhere) {
        (Some(near), _) => format!("did you mean `{near}`?"),
        (None, Some((other, _))) => format!("there is one in namespace `{other}`, but it must be in `{namespace}`"),
        (None, None) if names.is_empty() => format!("namespace `{namespace}` has no DPUServiceInterface"),
        (None, None) => format!("namespace `{namespace}` has {}", list(&names)),
    };
    let message = format!("DPUService `{service}` lists interface `{wanted}`, which does not exist");
    Diagnostic::error("interface-missing", origin, message)
        .label(format!("no DPUServiceInterface of this name in namespace `{namespace}`"))
        .help(help)
}

/// Chart and values of a service, with its network annotation.
fn content(cx: &Context<'_>, part: &Part, service: &Node, annotation: Option<&str>, cluster: Option<usize>) -> Content {
    let origin = service.origin();
    let block = given(service, &["spec", "serviceDaemonSet"]);
    let block_origin = block.map_or(origin, Node::origin);
    let member = |key: &str| block.and_then(|block| given(block, &[key]));
    let filled = |key: &str| block.and_then(|block| filled(block, &[key], cx.parity));
    let mut labels = filled("labels");
    if let Some(id) = given(service, &["spec", "serviceID"]).filter(|id| id.as_str() != Some("")) {
        labels = Some(labels.unwrap_or_else(|| Node::map([], id.origin())).with(SERVICE, id.clone()));
    }
    let mut annotations = filled("annotations");
    if let Some(text) = annotation {
        let place = annotations.as_ref().and_then(|map| map.get(NETWORKS)).map_or(block_origin, Node::origin);
        let value = Node::str(text, place);
        annotations = Some(annotations.unwrap_or_else(|| Node::map([], place)).with(NETWORKS, value));
    }
    let typed = Node::map(
        [
            ("nodeSelector", member("nodeSelector").map(|node| tidy(node, true))),
            ("updateStrategy", member("updateStrategy").map(|node| tidy(node, true))),
            ("labels", labels),
            ("annotations", annotations),
        ],
        block_origin,
    );
    let typed = Node::map([("serviceDaemonSet", Some(typed))], block_origin);
    // A scalar that waits may turn out to be a table: evaluate first, merge then. Who clashes with whom was said before.
    let free: Vec<Node> = match cluster {
        Some(cluster) => part.values.iter().map(|values| cx.in_cluster(values, cluster)).collect(),
        None => part.values.clone(),
    };
    let free = values::merge(free.first(), free.get(1), &mut Vec::new());
    let merged = values::merge(Some(&typed), free.as_ref(), &mut Vec::new()).unwrap_or(typed);
    Content::new(cx, given(service, &["spec", "helmChart", "source"]), merged, origin)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::expand::dpf::testing::{codes, find, run, standalone, svc};
    use serde_json::{Value as Json, json};

    fn service(name: &str, more: Json) -> Json {
        let mut spec =
            json!({"helmChart": {"source": {"repoURL": "oci://example.com/charts", "chart": "c", "version": "1"}}});
        for (key, value) in more.as_object().unwrap() {
            spec[key] = value.clone();
        }
        svc("DPUService", name, spec)
    }

    fn interface(name: &str, spec: Json) -> Json {
        svc("DPUServiceInterface", name, json!({"template": {"spec": {"template": {"spec": spec}}}}))
    }

    fn of_service(id: &str, network: &str) -> Json {
        json!({"interfaceType": "service", "service": {"serviceID": id, "network": network, "interfaceName": "net1"}})
    }

    fn values(service: Json) -> Json {
        let (objects, site) = standalone(&[service]);
        let expanded = run(&objects, &site);
        let application = find(&expanded.management, "Application", "c0-s").unwrap();
        application.at(&["spec", "source", "helm", "valuesObject"]).unwrap().to_json()
    }

    #[test]
    fn the_typed_block_is_merged_over_the_values() {
        assert_eq!(values(service("s", json!({}))), json!({"serviceDaemonSet": {}}));
        let labelled = json!({"serviceDaemonSet": {"labels": {SERVICE: "someservice"}}});
        assert_eq!(values(service("s", json!({"serviceDaemonSet": {}, "serviceID": "someservice"}))), labelled);
        let mut both = service(
            "s",
            json!({"serviceID": "someservice", "serviceDaemonSet": {
                "annotations": {"some": "annotation"}, "labels": {"some": "label"}, "updateStrategy": {"type": "OnDelete"}}}),
        );
        both["spec"]["helmChart"]["values"] = json!({"serviceDaemonSet": {
            "annotations": {"diff": "annotation", "some": "other"}, "updateStrategy": {"type": "RollingUpdate"}}});
        assert_eq!(
            values(both),
            json!({"serviceDaemonSet": {"annotations": {"diff": "annotation", "some": "annotation"},
                "labels": {"some": "label", SERVICE: "someservice"}, "updateStrategy": {"type": "OnDelete"}}})
        );
        let overwritten = json!({"serviceDaemonSet": {"labels": {SERVICE: "x"}}, "serviceID": "y"});
        assert_eq!(values(service("s", overwritten)), json!({"serviceDaemonSet": {"labels": {SERVICE: "y"}}}));
    }

    #[test]
    fn values_that_wait_differ_per_cluster_and_others_are_shared() {
        let mut own = service("own", json!({}));
        own["spec"]["helmChart"]["values"] = json!({"asn": "6510${{ cluster }}"});
        let (objects, site) = standalone(&[own, service("same", json!({}))]);
        let expanded = run(&objects, &site);
        let source = |name| find(&expanded.management, "Application", name).unwrap().at(&["spec", "source"]).unwrap();
        assert_eq!(source("c1-own").text(&["helm", "valuesObject", "asn"]), Some("65101"));
        assert!(source("c0-same").same(source("c1-same")));
        let digest = |name| {
            let application = find(&expanded.management, "Application", name).unwrap();
            application.text(&["metadata", "annotations", super::super::application::CONTENT_DIGEST]).unwrap()
        };
        assert_eq!(digest("c0-same"), digest("c1-same"));
        assert_ne!(digest("c0-own"), digest("c1-own"));
        let values: Vec<_> = expanded.values.iter().map(|made| (made.cluster, made.service.as_str())).collect();
        assert_eq!(values, [(0, "own"), (1, "own"), (0, "same"), (1, "same")]);
    }

    #[test]
    fn interfaces_that_cannot_be_had_are_refused() {
        let faults = |interfaces: &[Json]| {
            let mut objects = vec![service("s", json!({"serviceID": "id", "interfaces": ["one"]}))];
            objects.extend_from_slice(interfaces);
            let (objects, site) = standalone(&objects);
            let expanded = run(&objects, &site);
            (codes(&expanded).first().copied(), find(&expanded.management, "Application", "c0-s").is_some())
        };
        assert_eq!(faults(&[]), (Some("interface-missing"), false));
        let physical = json!({"interfaceType": "physical", "physical": {"interfaceName": "p0"}});
        assert_eq!(faults(&[interface("one", physical)]), (Some("interface-type"), false));
        assert_eq!(faults(&[interface("one", of_service("other", "n"))]), (Some("interface-service-id"), false));
        assert_eq!(faults(&[interface("one", of_service("id", "a/b/c"))]).0, Some("network-malformed"));
        let second = service("t", json!({"serviceID": "id", "interfaces": ["one"]}));
        assert_eq!(faults(&[interface("one", of_service("id", "n")), second]).0, Some("interface-consumed-twice"));
        assert_eq!(faults(&[interface("one", of_service("id", "n"))]), (None, true));
    }

    #[test]
    fn the_short_form_of_the_annotation_is_refused_beside_interfaces_only() {
        let short = json!({"annotations": {NETWORKS: "mybrsfc@net5"}});
        let (alone, site) = standalone(&[service("s", json!({"serviceDaemonSet": short}))]);
        assert_eq!(codes(&run(&alone, &site)), [""; 0]);
        let listed = service("s", json!({"serviceDaemonSet": short, "serviceID": "id", "interfaces": ["one"]}));
        let (listed, site) = standalone(&[listed, interface("one", of_service("id", "n"))]);
        assert_eq!(codes(&run(&listed, &site)), ["network-annotation"], "said once for all clusters");
    }

    #[test]
    fn two_services_of_one_name_would_share_an_application() {
        let mut other = service("s", json!({}));
        other["metadata"]["namespace"] = json!("m");
        let (objects, mut site) = standalone(&[service("s", json!({})), other]);
        assert_eq!(codes(&run(&objects, &site)), ["name-collision"; 2]);
        site.parity = true;
        let expanded = run(&objects, &site);
        assert!(expanded.diagnostics.iter().all(|fault| fault.severity == crate::diagnostic::Severity::Warning));
        let applications = || expanded.management.iter().filter(|node| node.text(&["kind"]) == Some("Application"));
        assert_eq!(applications().count(), 2);
        for application in applications() {
            let label = application.text(&["metadata", "labels", "dpu.nvidia.com/dpuservice-namespace"]);
            assert_eq!((label, application.text(&["spec", "destination", "namespace"])), (Some("m"), Some("n")));
        }
    }

    #[test]
    fn a_paused_service_tells_argo_cd_to_stay_away() {
        let (objects, site) = standalone(&[service("s", json!({"paused": true}))]);
        let expanded = run(&objects, &site);
        let application = find(&expanded.management, "Application", "c0-s").unwrap();
        assert_eq!(application.text(&["metadata", "annotations", "argocd.argoproj.io/skip-reconcile"]), Some("true"));
    }
}
