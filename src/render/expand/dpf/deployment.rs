//! `DPUDeployment` → `DPUService`s, `DPUServiceInterface`s, one `DPUServiceChain` and `DPUSet`s. PURE.
//!
//! In: deployments and what they refer to. Out: their children, among the parts that are expanded further. Mirrors
//! `internal/dpuservice/controllers/dpudeployment_controller.go`, release v24.10.0-rc.6. On purpose different: every fault
//! is reported, in order of keys; versions (see `names`); interfaces of a service that runs in the management cluster are
//! refused (P-12); ownerReferences need UIDs and are left out.

use super::context::{Context, Object, filled, given, name, namespace, tidy};
use super::names::{
    CHAIN_VERSION, INTERFACE, OWNER, PROVISIONING, SERVICE, SVC, SVC_V1, service_id, version, version_key,
};
use super::parts::{Parts, add};
use super::{dpuset, resources, values};
use crate::diagnostic::Diagnostic;
use crate::node::Node;
use crate::render::object::ObjectId;
use crate::source::Origin;

/// A deployment, read.
pub(super) struct Deployment<'a> {
    pub(super) node: &'a Node,
    pub(super) namespace: &'a str,
    pub(super) name: &'a str,
    /// Value of the owner label.
    pub(super) owner: String,
    pub(super) parity: bool,
    maker: String,
}

impl Deployment<'_> {
    /// The version of a service, or of the chain.
    pub(super) fn version(&self, service: &str) -> String {
        version(self.parity, self.namespace, self.name, service)
    }

    /// Requirements on Node labels: of the version in `key`, and of the owner.
    fn requirements(&self, key: &str, version: &str, origin: Origin) -> Node {
        let requirement = |key: &str, value: &str| {
            let values = Node::list(vec![Node::str(value, origin)], origin);
            let members = [
                ("key", Some(Node::str(key, origin))),
                ("operator", Some(Node::str("In", origin))),
                ("values", Some(values)),
            ];
            Node::map(members, origin)
        };
        let list = Node::list(vec![requirement(key, version), requirement(OWNER, &self.owner)], origin);
        Node::map([("matchExpressions", Some(list))], origin)
    }
}

/// A service of a deployment whose template and configuration were found.
struct Service<'a> {
    key: &'a str,
    origin: Origin,
    template: &'a Node,
    configuration: &'a Node,
    in_management: bool,
}

/// Adds the children of every deployment to `parts`.
pub(super) fn expand(cx: &mut Context<'_>, parts: &mut Parts) {
    let deployments: Vec<_> = cx.of_kind(SVC, "DPUDeployment").collect();
    for (id, node) in deployments {
        cx.out.consumed.push(id.clone());
        let deployment = Deployment {
            node,
            namespace: &id.namespace,
            name: &id.name,
            owner: format!("{}_{}", id.namespace, id.name),
            parity: cx.parity,
            maker: id.to_string(),
        };
        let services = find_services(cx, &deployment);
        let flavor = find_images(cx, &deployment);
        if let Some(flavor) = flavor {
            let requests: Vec<resources::Request<'_>> = services
                .iter()
                .map(|service| resources::Request {
                    service: service.key,
                    template: service.template,
                    in_management: service.in_management,
                })
                .collect();
            resources::check(cx, node, flavor, &requests);
        }
        for service in &services {
            let interfaces = add_interfaces(cx, parts, &deployment, service);
            add_service(cx, parts, &deployment, service, interfaces);
        }
        add_chain(cx, parts, &deployment);
        // Upstream labels the Nodes for every key that is written, whether or not the service could be made.
        let on_cards: Vec<&str> = node
            .fields(&["spec", "services"])
            .iter()
            .map(|entry| &*entry.key.text)
            .filter(|key| !services.iter().any(|service| service.key == *key && service.in_management))
            .collect();
        for child in dpuset::of_deployment(cx, &deployment, &on_cards) {
            // The last of one name wins, as upstream; that there are two is told by `add`.
            if parts.dpu_sets.contains_key(&(namespace(&child).to_owned(), name(&child).to_owned())) {
                let id = ObjectId::of(&child);
                if let Some(made) = cx.out.management.iter_mut().find(|made| ObjectId::of(made) == id) {
                    *made = child.clone();
                }
            } else {
                cx.out.management.push(child.clone());
            }
            add(cx, &mut parts.dpu_sets, child, Vec::new(), &deployment.maker);
        }
    }
}

/// Looks for BFB and flavor; returns the flavor if its resources are known.
fn find_images<'a>(cx: &mut Context<'a>, deployment: &Deployment<'_>) -> Option<&'a Node> {
    for (field, kind, code) in [("bfb", "BFB", "bfb-missing"), ("flavor", "DPUFlavor", "flavor-missing")] {
        let Some(reference) = deployment.node.at(&["spec", "dpus", field]) else { continue };
        let Some(wanted) = reference.as_str() else { continue };
        if let Some(found) = cx.object(PROVISIONING, kind, deployment.namespace, wanted) {
            if kind == "DPUFlavor" {
                return Some(found);
            }
            continue;
        }
        let external = cx.input.site.external.iter().any(|external| {
            external.kind == kind
                && external.group == PROVISIONING
                && external.namespace == deployment.namespace
                && external.name == wanted
        });
        // The operator brings this one; with parity it is there.
        let shipped = kind == "DPUFlavor" && wanted == "dpf-provisioning-hbn-ovn";
        if external || shipped && cx.parity {
            continue;
        }
        let mut diagnostic = Diagnostic::error(
            code,
            reference.origin(),
            format!("DPUDeployment `{}` refers to {kind} `{wanted}`, which does not exist", deployment.name),
        )
        .label(format!("no {kind} of this name in namespace `{}`", deployment.namespace))
        .help_if(cx.near_miss(PROVISIONING, kind, deployment.namespace, wanted));
        if shipped {
            diagnostic = diagnostic.help(format!(
                "the DPF operator brings it to its own namespace: add {{group: {PROVISIONING}, kind: DPUFlavor, namespace: \
                 {}, name: {wanted}}} to `spec.external` of the site",
                deployment.namespace
            ));
        }
        cx.report(diagnostic);
    }
    None
}

/// The services whose template and configuration are there and written for them.
fn find_services<'a>(cx: &mut Context<'a>, deployment: &Deployment<'a>) -> Vec<Service<'a>> {
    let mut services = Vec::new();
    for entry in deployment.node.fields(&["spec", "services"]) {
        let (key, origin) = (&*entry.key.text, entry.key.origin);
        let template = find(cx, deployment, entry, ("serviceTemplate", "DPUServiceTemplate", "template-missing"));
        let configuration =
            find(cx, deployment, entry, ("serviceConfiguration", "DPUServiceConfiguration", "configuration-missing"));
        if let (Some(template), Some(configuration)) = (template, configuration) {
            let in_management = configuration.at(&["spec", "serviceConfiguration", "deployInCluster"]);
            let in_management = in_management.and_then(Node::as_bool).unwrap_or_default();
            services.push(Service { key, origin, template, configuration, in_management });
        }
    }
    services
}

fn find<'a>(
    cx: &mut Context<'a>,
    deployment: &Deployment<'_>,
    entry: &crate::node::Entry,
    (field, kind, code): (&str, &str, &'static str),
) -> Option<&'a Node> {
    let (service, reference) = (&*entry.key.text, entry.value.get(field)?);
    let wanted = reference.as_str()?;
    let Some(found) = cx.object(SVC, kind, deployment.namespace, wanted) else {
        cx.report(
            Diagnostic::error(
                code,
                reference.origin(),
                format!(
                    "service `{service}` of DPUDeployment `{}` refers to {kind} `{wanted}`, which does not exist",
                    deployment.name
                ),
            )
            .label(format!("no {kind} of this name in namespace `{}`", deployment.namespace))
            .help_if(cx.near_miss(SVC, kind, deployment.namespace, wanted)),
        );
        return None;
    };
    let written_for = found.at(&["spec", "deploymentServiceName"]);
    let written_for_name = written_for.and_then(Node::as_str).unwrap_or_default();
    if written_for_name != service {
        cx.report(
            Diagnostic::error(
                "service-name-mismatch",
                entry.key.origin,
                format!("{kind} `{wanted}` is written for service `{written_for_name}`, but used by `{service}`"),
            )
            .label(format!("key of `services` in DPUDeployment `{}`", deployment.name))
            .note_at("its `deploymentServiceName`", written_for.map_or(found.origin(), Node::origin))
            .help("the key under `services` and `deploymentServiceName` must be the same"),
        );
        return None;
    }
    Some(found)
}

/// Adds the interfaces of a service; returns their names in the order of the configuration.
fn add_interfaces(
    cx: &mut Context<'_>,
    parts: &mut Parts,
    deployment: &Deployment<'_>,
    service: &Service<'_>,
) -> Vec<Node> {
    let interfaces = service.configuration.items(&["spec", "interfaces"]);
    if service.in_management && !interfaces.is_empty() {
        cx.refuse(
            Diagnostic::error(
                "interfaces-in-management",
                service.configuration.at(&["spec"]).map_or(service.origin, |spec| spec.key_origin("interfaces")),
                format!(
                    "service `{}` of DPUDeployment `{}` runs in the management cluster, but has interfaces on cards",
                    service.key, deployment.name
                ),
            )
            .note_at("`deployInCluster: true`", in_cluster_origin(service))
            .help("remove the interfaces, or `deployInCluster`: no card carries the label that they select"),
        );
    }
    let id = service_id(deployment.name, service.key);
    let version = deployment.version(service.key);
    let mut names = Vec::with_capacity(interfaces.len());
    for interface in interfaces {
        let (Some(label), Some(network)) = (interface.get("name"), interface.get("network")) else { continue };
        let origin = interface.origin();
        let text = label.as_str().unwrap_or_default();
        let child = format!("{}-{}-{}", deployment.name, service.key, text.replace('_', "-"));
        let labels =
            Node::map([(SERVICE, Some(Node::str(id.as_str(), origin))), (INTERFACE, Some(label.clone()))], origin);
        let details = Node::map(
            [
                ("serviceID", Some(Node::str(id.as_str(), origin))),
                ("network", Some(network.clone())),
                ("interfaceName", Some(label.clone())),
            ],
            origin,
        );
        let spec =
            Node::map([("interfaceType", Some(Node::str("service", origin))), ("service", Some(details))], origin);
        let metadata = Node::map([("labels", Some(labels))], origin);
        let template = Node::map([("metadata", Some(metadata)), ("spec", Some(spec))], origin);
        let selector = deployment.requirements(&version_key(service.key), &version, origin);
        let set = Node::map([("nodeSelector", Some(selector)), ("template", Some(template))], origin);
        let node = Object::new(SVC_V1, "DPUServiceInterface", deployment.namespace, &child, origin)
            .label(OWNER, deployment.owner.as_str())
            .wave(cx.wave(deployment.node))
            .with([("spec", Some(nested(&["template", "spec"], set)))]);
        names.push(Node::str(child.as_str(), origin));
        add(cx, &mut parts.interfaces, node, Vec::new(), &deployment.maker);
    }
    names
}

fn in_cluster_origin(service: &Service<'_>) -> Origin {
    let configuration = service.configuration.at(&["spec", "serviceConfiguration"]);
    configuration.map_or(service.origin, |node| node.key_origin("deployInCluster"))
}

/// `value` below a path of maps.
pub(super) fn nested(path: &[&'static str], value: Node) -> Node {
    path.iter().rev().fold(value, |value, key| {
        let origin = value.origin();
        Node::map([(*key, Some(value))], origin)
    })
}

fn add_service(
    cx: &mut Context<'_>,
    parts: &mut Parts,
    deployment: &Deployment<'_>,
    service: &Service<'_>,
    interfaces: Vec<Node>,
) {
    let origin = service.origin;
    let child = format!("{}-{}", deployment.name, service.key);
    let configured = ["spec", "serviceConfiguration", "helmChart", "values"];
    let layers: Vec<Node> = [
        given(service.configuration, &configured).cloned(),
        given(service.template, &["spec", "helmChart", "values"]).cloned(),
    ]
    .into_iter()
    .flatten()
    .collect();
    let mut clashes = Vec::new();
    let merged = values::merge(layers.first(), layers.get(1), &mut clashes);
    for clash in clashes {
        // A scalar that waits may yet turn out to be a map.
        if clash.kept.has_expression() || clash.dropped.has_expression() {
            continue;
        }
        cx.report(
            Diagnostic::warning(
                "values-shape",
                clash.kept.origin(),
                format!(
                    "`{}` is {} in the configuration of service `{}`, and {} in its template",
                    clash.path.trim_start_matches('.'),
                    clash.kept.kind(),
                    service.key,
                    clash.dropped.kind()
                ),
            )
            .note_at("this is dropped whole", clash.dropped.origin())
            .help("write both as maps, or both as values that are no maps"),
        );
    }
    let source = given(service.template, &["spec", "helmChart", "source"]).map(|source| tidy(source, cx.parity));
    let version = deployment.version(service.key);
    let daemon_set = ["spec", "serviceConfiguration", "serviceDaemonSet"];
    let part = |key: &str| given(service.configuration, &daemon_set).and_then(|node| filled(node, &[key], cx.parity));
    let selector = (!service.in_management).then(|| {
        let term = deployment.requirements(&version_key(service.key), &version, origin);
        Node::map([("nodeSelectorTerms", Some(Node::list(vec![term], origin)))], origin)
    });
    let daemon_set = Node::map(
        [("labels", part("labels")), ("annotations", part("annotations")), ("nodeSelector", selector)],
        origin,
    );
    let deploy = given(service.configuration, &["spec", "serviceConfiguration", "deployInCluster"]).cloned();
    let chart = Node::map([("source", source), ("values", merged)], origin);
    let spec = Node::map(
        [
            ("helmChart", Some(chart)),
            ("serviceID", Some(Node::str(service_id(deployment.name, service.key), origin))),
            ("deployInCluster", deploy),
            ("interfaces", (!interfaces.is_empty()).then(|| Node::list(interfaces, origin))),
            ("serviceDaemonSet", (!daemon_set.fields(&[]).is_empty()).then_some(daemon_set)),
        ],
        origin,
    );
    let node = Object::new(SVC_V1, "DPUService", deployment.namespace, &child, origin)
        .label(OWNER, deployment.owner.as_str())
        .annotation("dpuservice.nvidia.com/version", version)
        .wave(cx.wave(deployment.node))
        .with([("spec", Some(spec))]);
    add(cx, &mut parts.services, node, layers, &deployment.maker);
}

/// Adds the chain: always one, with a switch per entry of `serviceChains` (P-13).
fn add_chain(cx: &mut Context<'_>, parts: &mut Parts, deployment: &Deployment<'_>) {
    let spec = deployment.node.at(&["spec"]).unwrap_or(deployment.node);
    let origin = spec.key_origin("serviceChains");
    let switches: Vec<Node> = deployment
        .node
        .items(&["spec", "serviceChains"])
        .iter()
        .map(|chain| {
            let ports = chain.items(&["ports"]).iter().map(|port| convert(deployment, port, cx.parity)).collect();
            Node::map([("ports", Some(Node::list(ports, chain.origin())))], chain.origin())
        })
        .collect();
    let version = deployment.version("");
    let template = nested(&["spec", "switches"], Node::list(switches, origin));
    let selector = deployment.requirements(CHAIN_VERSION, &version, origin);
    let set = Node::map([("nodeSelector", Some(selector)), ("template", Some(template))], origin);
    let node = Object::new(SVC_V1, "DPUServiceChain", deployment.namespace, deployment.name, origin)
        .label(OWNER, deployment.owner.as_str())
        .annotation("dpuservicechain.nvidia.com/version", version)
        .wave(cx.wave(deployment.node))
        .with([("spec", Some(nested(&["template", "spec"], set)))]);
    add(cx, &mut parts.chains, node, Vec::new(), &deployment.maker);
}

/// A port of a deployment as a port of a chain. Names are not looked up here: `validate` does that.
fn convert(deployment: &Deployment<'_>, port: &Node, parity: bool) -> Node {
    let origin = port.origin();
    let interface = if let Some(service) = given(port, &["service"]) {
        let id = service_id(deployment.name, service.text(&["name"]).unwrap_or_default());
        let id = Node::str(id, service.at(&["name"]).map_or(origin, Node::origin));
        let labels = Node::map([(SERVICE, Some(id)), (INTERFACE, service.get("interface").cloned())], origin);
        let ipam = given(service, &["ipam"]).map(|ipam| tidy(ipam, parity));
        Node::map([("matchLabels", Some(labels)), ("ipam", ipam)], origin)
    } else {
        given(port, &["serviceInterface"]).map_or_else(|| Node::map([], origin), |node| tidy(node, parity))
    };
    Node::map([("serviceInterface", Some(interface))], origin)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::expand::dpf::testing::{codes, deployment, find, run, standalone, svc};
    use serde_json::json;

    #[test]
    fn all_five_places_agree_on_the_version_and_it_is_stable() {
        let (objects, site) = standalone(&deployment());
        let expanded = run(&objects, &site);
        let (of_service, of_chain) = (version(false, "n", "d", "s"), version(false, "n", "d", ""));
        let set = find(&expanded.management, "DPUSet", "d-all").unwrap();
        let labels = set.at(&["spec", "dpuTemplate", "spec", "cluster", "nodeLabels"]).unwrap();
        assert_eq!(labels.text(&[&version_key("s")]), Some(&*of_service));
        assert_eq!(labels.text(&[CHAIN_VERSION]), Some(&*of_chain));
        let value = |node: &Node, path: &[&str]| node.items(path)[0].items(&["values"])[0].as_str().unwrap().to_owned();
        let expressions = ["spec", "nodeSelector", "matchExpressions"];
        assert_eq!(
            value(find(&expanded.clusters[0], "ServiceInterfaceSet", "d-s-up-0").unwrap(), &expressions),
            of_service
        );
        assert_eq!(value(find(&expanded.clusters[0], "ServiceChainSet", "d").unwrap(), &expressions), of_chain);
        let service = find(&expanded.intermediate, "DPUService", "d-s").unwrap();
        let term = &service.items(&["spec", "serviceDaemonSet", "nodeSelector", "nodeSelectorTerms"])[0];
        assert_eq!(value(term, &["matchExpressions"]), of_service);
        assert_eq!(service.text(&["metadata", "annotations", "dpuservice.nvidia.com/version"]), Some(&*of_service));
    }

    #[test]
    fn every_missing_thing_is_named_with_its_near_miss() {
        let mut objects = deployment();
        objects.retain(|object| object["kind"] != "BFB" && object["kind"] != "DPUServiceTemplate");
        objects.push(svc("DPUServiceTemplate", "t", json!({"deploymentServiceName": "s"})));
        let (objects, site) = standalone(&objects);
        let expanded = run(&objects, &site);
        assert_eq!(codes(&expanded), ["template-missing", "bfb-missing"]);
        assert_eq!(expanded.diagnostics[0].help, ["did you mean `t`?"]);
    }

    #[test]
    fn a_template_of_another_service_is_refused() {
        let mut objects = deployment();
        objects[2]["spec"]["deploymentServiceName"] = json!("other");
        let (objects, site) = standalone(&objects);
        assert_eq!(codes(&run(&objects, &site)), ["service-name-mismatch"]);
    }

    #[test]
    fn the_flavor_of_the_operator_must_be_declared() {
        let mut objects = deployment();
        objects.remove(1);
        objects.last_mut().unwrap()["spec"]["dpus"]["flavor"] = json!("dpf-provisioning-hbn-ovn");
        let (objects, mut site) = standalone(&objects);
        assert_eq!(codes(&run(&objects, &site)), ["flavor-missing"]);
        site.external.push(crate::site::External {
            group: PROVISIONING.to_owned(),
            kind: "DPUFlavor".to_owned(),
            namespace: "n".to_owned(),
            name: "dpf-provisioning-hbn-ovn".to_owned(),
            destination: None,
            keys: Vec::new(),
            origin: Origin::NONE,
        });
        assert_eq!(codes(&run(&objects, &site)), [""; 0]);
    }

    #[test]
    fn names_that_collide_and_interfaces_in_the_management_cluster_are_refused() {
        let mut objects = deployment();
        objects[3]["spec"]["interfaces"] =
            json!([{"name": "up_0", "network": "mybrsfc"}, {"name": "up-0", "network": "mybrsfc"}]);
        let (collide, site) = standalone(&objects);
        assert_eq!(codes(&run(&collide, &site)), ["name-collision"]);
        objects[3]["spec"] = json!({"deploymentServiceName": "s", "interfaces": [{"name": "up_0", "network": "mybrsfc"}],
            "serviceConfiguration": {"deployInCluster": true}});
        let (in_management, mut site) = standalone(&objects);
        assert_eq!(codes(&run(&in_management, &site)), ["interfaces-in-management"]);
        site.parity = true;
        let expanded = run(&in_management, &site);
        assert!(expanded.diagnostics.iter().all(|fault| fault.severity == crate::diagnostic::Severity::Warning));
    }
}
