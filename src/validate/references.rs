//! Services and credential requests: what they refer to, and what they leave out. PURE.

use super::Context;
use super::selector::known;
use super::view::{PROVISIONING, SVC, did_you_mean, listed, place};
use crate::diagnostic::Diagnostic;
use crate::node::{EXPRESSION, Node};
use crate::render::object::ObjectId;
use crate::source::Origin;

/// D1: an image that nobody writes.
pub(super) fn bfb_missing(context: &Context<'_>, faults: &mut Vec<Diagnostic>) {
    images_missing(context, "BFB", &["bfb", "name"], "bfb", "bfb-missing", faults);
}

/// D2: a flavor that nobody writes.
pub(super) fn flavor_missing(context: &Context<'_>, faults: &mut Vec<Diagnostic>) {
    images_missing(context, "DPUFlavor", &["dpuFlavor"], "flavor", "flavor-missing", faults);
}

/// What DPUSets name, and DPUDeployments where expansion does not look: a card waits for it for ever.
fn images_missing(
    context: &Context<'_>,
    kind: &'static str,
    in_set: &[&str],
    in_deployment: &str,
    code: &'static str,
    faults: &mut Vec<Diagnostic>,
) {
    let sets = context
        .objects(PROVISIONING, "DPUSet")
        .map(|(id, node)| (id, node.at(&["spec", "dpuTemplate", "spec"]).and_then(|spec| spec.at(in_set))));
    let deployments = context
        .deployments
        .iter()
        .filter(|_| !context.is_expanded())
        .map(|deployment| (deployment.id, deployment.node.at(&["spec", "dpus", in_deployment])));
    for (id, reference) in sets.chain(deployments) {
        let Some((wanted, node)) = reference.and_then(|node| Some((known(node)?, node))) else { continue };
        let external = || {
            context.site.external.iter().any(|entry| {
                entry.kind == kind
                    && entry.group == PROVISIONING
                    && entry.name == wanted
                    && *entry.namespace == *id.namespace
            })
        };
        // The operator brings this one, to its own namespace.
        let shipped = || wanted == SHIPPED && (context.site.parity || !context.is_standalone());
        if wanted.is_empty()
            || id.namespace.contains(EXPRESSION)
            || context.object(PROVISIONING, kind, &id.namespace, wanted).is_some()
            || external()
            || shipped()
        {
            continue;
        }
        let fault = missing(context, code, id, (PROVISIONING, kind), node, wanted).help(format!(
            "write it, or name it under `external`: {{group: {PROVISIONING}, kind: {kind}, namespace: {}, name: {wanted}}}",
            id.namespace
        ));
        // A DPUDeployment says in its conditions what it waits for; a DPUSet makes its DPUs.
        faults.push(if &*id.kind == "DPUSet" { context.accepted_upstream(fault) } else { fault });
    }
}

/// The flavor that the operator brings along.
const SHIPPED: &str = "dpf-provisioning-hbn-ovn";

fn missing(
    context: &Context<'_>,
    code: &'static str,
    id: &ObjectId,
    (group, kind): (&str, &'static str),
    node: &Node,
    wanted: &str,
) -> Diagnostic {
    let here = || context.objects(group, kind).filter(|(other, _)| other.namespace == id.namespace);
    let elsewhere = context.objects(group, kind).find(|(other, _)| &*other.name == wanted);
    let fault =
        Diagnostic::error(code, node.origin(), format!("{id} refers to {kind} `{wanted}`, which does not exist"))
            .label(format!("no {kind} of this name in namespace `{}`", id.namespace))
            .help_if(did_you_mean(wanted, here().map(|(other, _)| &*other.name)));
    match elsewhere {
        Some((other, node)) => fault.note_at(
            format!("there is one in namespace `{}`, where it is not looked for", other.namespace),
            place(node),
        ),
        None => fault,
    }
}

/// D3: a service without a template.
pub(super) fn template_missing(context: &Context<'_>, faults: &mut Vec<Diagnostic>) {
    parts_missing(context, "serviceTemplate", "DPUServiceTemplate", "template-missing", faults);
}

/// D5: a service without a configuration.
pub(super) fn configuration_missing(context: &Context<'_>, faults: &mut Vec<Diagnostic>) {
    parts_missing(context, "serviceConfiguration", "DPUServiceConfiguration", "configuration-missing", faults);
}

/// Where expansion looks, it tells of this itself.
fn parts_missing(
    context: &Context<'_>,
    field: &str,
    kind: &'static str,
    code: &'static str,
    faults: &mut Vec<Diagnostic>,
) {
    for deployment in context.deployments.iter().filter(|_| !context.is_expanded()) {
        for entry in deployment.node.fields(&["spec", "services"]) {
            let Some((wanted, node)) = entry.value.get(field).and_then(|node| Some((known(node)?, node))) else {
                continue;
            };
            if context.object(SVC, kind, &deployment.id.namespace, wanted).is_none() {
                faults.push(missing(context, code, deployment.id, (SVC, kind), node, wanted));
            }
        }
    }
}

/// D4, D6: a template or configuration that was written for another service.
pub(super) fn service_name_mismatch(context: &Context<'_>, faults: &mut Vec<Diagnostic>) {
    for deployment in context.deployments.iter().filter(|_| !context.is_expanded()) {
        for service in &deployment.services {
            for part in [service.template, service.configuration].into_iter().flatten() {
                let Some((name, node)) =
                    part.at(&["spec", "deploymentServiceName"]).and_then(|node| Some((known(node)?, node)))
                else {
                    continue;
                };
                if name != &*service.key {
                    let id = ObjectId::of(part);
                    let message = format!("{id} is written for service `{name}`, but used by `{}`", service.key);
                    faults.push(
                        Diagnostic::error("service-name-mismatch", service.origin, message)
                            .label(format!("key of `services` in {}", deployment.id))
                            .note_at("its `deploymentServiceName`", node.origin())
                            .help("the key under `services` and `deploymentServiceName` must be the same"),
                    );
                }
            }
        }
    }
}

/// S12, P-60: a source in which Argo CD finds nothing.
pub(super) fn service_without_chart(context: &Context<'_>, faults: &mut Vec<Diagnostic>) {
    for kind in ["DPUService", "DPUServiceTemplate"] {
        for (id, node) in context.objects(SVC, kind) {
            let Some(helm) = node.at(&["spec", "helmChart"]) else { continue };
            let Some(source) = helm.get("source") else { continue };
            let set = |key: &str| source.text(&[key]).is_some_and(|text| !text.is_empty());
            let origin = helm.key_origin("source");
            let is_oci = source.text(&["repoURL"]).is_some_and(|url| url.starts_with("oci://"));
            if !set("chart") && !set("path") {
                faults.push(
                    Diagnostic::error(
                        "service-without-chart",
                        origin,
                        format!("{id} names neither a `chart` nor a `path`"),
                    )
                    .help("write `chart: <name>` for a Helm repository, `path: <folder>` for a Git repository"),
                );
            } else if is_oci && !set("chart") {
                faults.push(
                    Diagnostic::error(
                        "service-without-chart",
                        source.key_origin("path"),
                        format!("{id} names a `path` in an OCI registry, which has charts only"),
                    )
                    .note_at("the registry", source.get("repoURL").map_or(origin, Node::origin))
                    .help("write `chart: <name>`"),
                );
            }
        }
    }
}

/// P-11: what free-form values say of the nodes, where DPF says it too.
pub(super) fn values_node_selector(context: &Context<'_>, faults: &mut Vec<Diagnostic>) {
    let mut one = |owner: &dyn std::fmt::Display, values: Option<&Node>, why: &str, typed: Option<Origin>| {
        let Some(daemon_set) = values.and_then(|values| values.get("serviceDaemonSet")) else { return };
        if daemon_set.get("nodeSelector").is_none_or(Node::is_null) {
            return;
        }
        let fault = Diagnostic::warning(
            "values-node-selector",
            daemon_set.key_origin("nodeSelector"),
            format!("{owner} sets `serviceDaemonSet.nodeSelector` in its Helm values, which DPF overwrites"),
        );
        faults.push(match typed {
            Some(origin) => fault.note_at(why, origin).help("choose the nodes there, and take this away"),
            None => fault.note(why).help("choose the cards by the `nodeSelector` of `dpuSets`, and take this away"),
        });
    };
    for (id, node) in context.objects(SVC, "DPUService") {
        let typed = node.at(&["spec", "serviceDaemonSet"]).filter(|typed| typed.get("nodeSelector").is_some());
        if let Some(typed) = typed {
            let place = Some(typed.key_origin("nodeSelector"));
            one(id, node.at(&["spec", "helmChart", "values"]), "`spec.serviceDaemonSet.nodeSelector` wins", place);
        }
    }
    for deployment in &context.deployments {
        let why = format!("services of {} run where its version labels are", deployment.id);
        for service in deployment.services.iter().filter(|service| service.in_cluster() == Some(false)) {
            let template = service.template.map(|node| (node, &["spec", "helmChart", "values"][..]));
            let configuration =
                service.configuration.map(|node| (node, &["spec", "serviceConfiguration", "helmChart", "values"][..]));
            for (node, path) in [template, configuration].into_iter().flatten() {
                one(&ObjectId::of(node), node.at(path), &why, None);
            }
        }
    }
}

/// P-14: services and chains for cards that nobody provisions.
pub(super) fn deployment_without_dpusets(context: &Context<'_>, faults: &mut Vec<Diagnostic>) {
    for deployment in &context.deployments {
        if deployment.node.at(&["spec", "dpus"]).is_some() && deployment.dpu_sets().is_empty() {
            faults.push(
                Diagnostic::warning(
                    "deployment-without-dpusets",
                    deployment.node.get("spec").map_or(place(deployment.node), |spec| spec.key_origin("dpus")),
                    format!("{} has no `dpuSets`: no card runs its services", deployment.id),
                )
                .help("write `dpuSets` with a `nameSuffix` and the hosts' `nodeSelector`"),
            );
        }
    }
}

/// P-74: namespaces that are left out become `default`, not the request's own.
pub(super) fn credential_namespace(context: &Context<'_>, faults: &mut Vec<Diagnostic>) {
    for (id, node) in context.objects(SVC, "DPUServiceCredentialRequest") {
        for field in ["serviceAccount", "secret", "targetCluster"] {
            let Some(part) = node.at(&["spec", field]).filter(|part| part.as_map().is_some()) else { continue };
            let unknown = || context.site.clusters.iter().all(|cluster| cluster.namespace != "default");
            if field == "targetCluster" && unknown() {
                // `credential-cluster-missing` says it, and which namespace is meant.
                continue;
            }
            if part.text(&["namespace"]).is_none_or(str::is_empty) {
                // A DPU cluster that is not in `default` is missing, and that has been said.
                let own = if field != "targetCluster" {
                    &*id.namespace
                } else if context.site.clusters.iter().any(|cluster| {
                    cluster.namespace == "default" && Some(cluster.name.as_str()) == part.text(&["name"])
                }) {
                    "default"
                } else {
                    continue;
                };
                faults.push(
                    Diagnostic::warning(
                        "credential-namespace",
                        part.get("name").map_or(part.origin(), Node::origin),
                        format!("`{field}` of {id} names no namespace, which is `default`"),
                    )
                    .help(if own == "default" {
                        "write `namespace: default`".to_owned()
                    } else {
                        format!("write `namespace: {own}`, or `default` if that is meant")
                    }),
                );
            }
        }
    }
}

/// Seconds of a duration as Go writes it.
fn seconds(text: &str) -> Option<f64> {
    let mut rest = text;
    let mut sum = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let value: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let (factor, unit) = [("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3600.0)]
            .into_iter()
            .find(|(unit, _)| rest.starts_with(unit))
            .map(|(unit, factor)| (factor, unit.len()))?;
        sum += value * factor;
        rest = &rest[unit..];
    }
    (!text.is_empty()).then_some(sum)
}

/// The API server gives no token for less than ten minutes.
pub(super) fn credential_duration(context: &Context<'_>, faults: &mut Vec<Diagnostic>) {
    for (id, node) in context.objects(SVC, "DPUServiceCredentialRequest") {
        let Some((text, duration)) = node.at(&["spec", "duration"]).and_then(|node| Some((known(node)?, node))) else {
            continue;
        };
        if seconds(text).is_some_and(|seconds| seconds < 600.0) {
            faults.push(
                Diagnostic::error(
                    "credential-duration",
                    duration.origin(),
                    format!("`duration` of {id} is `{text}`, and a token lives ten minutes at least"),
                )
                .help("write `10m` or more; the token is renewed at 80 % of its life"),
            );
        }
    }
}

/// A DPU cluster that does not exist.
pub(super) fn credential_cluster_missing(context: &Context<'_>, faults: &mut Vec<Diagnostic>) {
    for (id, node) in context.objects(SVC, "DPUServiceCredentialRequest") {
        let Some(target) = node.at(&["spec", "targetCluster"]).filter(|target| target.as_map().is_some()) else {
            continue;
        };
        let Some(name) = target.get("name").and_then(known) else { continue };
        let namespace = target.text(&["namespace"]).filter(|text| !text.is_empty()).unwrap_or("default");
        let listed_here =
            context.site.clusters.iter().any(|cluster| cluster.name == name && cluster.namespace == namespace);
        if listed_here
            || namespace.contains(EXPRESSION)
            || [Some(target), target.get("name")].into_iter().flatten().any(|told| context.is_told(told.origin()))
            || context.object(PROVISIONING, "DPUCluster", namespace, name).is_some()
        {
            continue;
        }
        let fault = Diagnostic::error(
            "credential-cluster-missing",
            target.get("name").map_or(target.origin(), Node::origin),
            format!("{id} is for DPU cluster `{namespace}/{name}`, which does not exist"),
        );
        let clusters: Vec<String> =
            context.site.clusters.iter().map(|cluster| format!("{}/{}", cluster.namespace, cluster.name)).collect();
        let asked = format!("{namespace}/{name}");
        let other = context.site.clusters.iter().find(|cluster| cluster.name == name);
        faults.push(match other {
            Some(cluster) => fault.help(format!("write `namespace: {}`", cluster.namespace)),
            None => fault
                .help_if(did_you_mean(&asked, clusters.iter().map(String::as_str)))
                .note(format!("the DPU clusters are {}", listed(clusters.iter().map(String::as_str)))),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::seconds;

    #[test]
    fn durations_of_go() {
        assert_eq!(seconds("1h30m"), Some(5400.0));
        assert_eq!(seconds("0.5h"), Some(1800.0));
        assert_eq!(seconds("300s500ms"), Some(300.5));
        assert_eq!(seconds("1d"), None);
        assert_eq!(seconds(""), None);
    }
}
