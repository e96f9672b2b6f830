//! Names of objects, and names that DPF makes of them. PURE.
//!
//! DPF puts names together and into labels, and a name that is too long shows up as a condition of some other object, or
//! nowhere (5.9, P-08, P-58 of the fact sheet).

use super::Context;
use super::selector::known;
use super::syntax::{LABEL, NAME, NameForm, RELEASE, as_dns_name, dns_label_fault, subdomain_fault};
use super::view::{PROVISIONING, SVC, did_you_mean, place};
use crate::diagnostic::Diagnostic;
use crate::node::{EXPRESSION, Node};
use crate::render::object::ObjectId;
use crate::site::{Release, Site};
use crate::source::Origin;

/// The site's name becomes that of its Application, and a label.
fn site_name_fault(site: &Site) -> Option<Diagnostic> {
    site.argocd.repo_url.as_ref()?;
    let why = dns_label_fault(&site.name).or((site.name.len() > LABEL).then_some("it has more than 63 characters"))?;
    let origin = site.node.at(&["metadata", "name"]).map_or(site.node.origin(), Node::origin);
    let message = format!("`{}` cannot be the name of a site that Argo CD reads", site.name);
    let fault = Diagnostic::error("name-invalid", origin, message).label(why);
    Some(
        fault
            .note("its Application is named so")
            .help_if(as_dns_name(&site.name).map(|better| format!("write `{better}`"))),
    )
}

/// Characters that the API server refuses.
pub(super) fn name_invalid(context: &Context<'_>, faults: &mut Vec<Diagnostic>) {
    const CODE: &str = "name-invalid";
    let mut one = |id: &ObjectId, node: &Node| {
        if id.name.contains(EXPRESSION) || id.name.is_empty() {
            return;
        }
        if let Some(why) = NameForm::of(&id.group, &id.kind).fault(&id.name) {
            faults.push(
                Diagnostic::error(CODE, place(node), format!("`{}` cannot be the name of a {}", id.name, id.kind))
                    .label(why)
                    .help_if(as_dns_name(&id.name).map(|better| format!("write `{better}`"))),
            );
        }
        if !id.namespace.is_empty()
            && !id.namespace.contains(EXPRESSION)
            && let Some(why) = dns_label_fault(&id.namespace)
        {
            let origin = node.at(&["metadata", "namespace"]).map_or(node.origin(), Node::origin);
            faults.push(
                Diagnostic::error(CODE, origin, format!("{id} is in namespace `{}`, which cannot exist", id.namespace))
                    .label(why),
            );
        }
    };
    for (id, node) in context.written() {
        one(id, node);
    }
    faults.extend(site_name_fault(context.site));
    for deployment in &context.deployments {
        for service in &deployment.services {
            if let Some(why) = dns_label_fault(&service.key) {
                faults.push(
                    Diagnostic::error(
                        CODE,
                        service.origin,
                        format!("`{}` cannot be the key of a service of {}", service.key, deployment.id),
                    )
                    .label(why)
                    .note(format!("it becomes part of the name `{}-{}`", deployment.id.name, service.key))
                    .help_if(as_dns_name(&service.key).map(|better| format!("write `{better}`"))),
                );
            }
        }
        for set in deployment.dpu_sets() {
            let Some((suffix, node)) = set.get("nameSuffix").and_then(|node| Some((known(node)?, node))) else {
                continue;
            };
            let name = format!("{}-{suffix}", deployment.id.name);
            if subdomain_fault(&deployment.id.name).is_none()
                && let Some(why) = subdomain_fault(&name)
            {
                faults.push(
                    Diagnostic::error(CODE, node.origin(), format!("`{name}` cannot be the name of a DPUSet"))
                        .label(why)
                        .note(format!("it is made of {} and this `nameSuffix`", deployment.id)),
                );
            }
        }
    }
    for cluster in &context.site.clusters {
        for (what, key, text, fault) in [
            ("a DPU cluster", "name", &cluster.name, subdomain_fault(&cluster.name)),
            ("a namespace", "namespace", &cluster.namespace, dns_label_fault(&cluster.namespace)),
        ] {
            if let Some(why) = fault {
                let origin = context.cluster_origin(cluster, key);
                faults.push(
                    Diagnostic::error(CODE, origin, format!("`{text}` cannot be the name of {what}"))
                        .label(why)
                        .help_if(as_dns_name(text).map(|better| format!("write `{better}`"))),
                );
            }
        }
    }
    for host in &context.input.inventory.hosts {
        let dpus = host.dpus.iter().map(|dpu| (&dpu.node_name, dpu.origin));
        for (name, origin) in std::iter::once((&host.name, host.origin)).chain(dpus) {
            if let Some(why) = subdomain_fault(name) {
                faults
                    .push(Diagnostic::error(CODE, origin, format!("`{name}` cannot be the name of a Node")).label(why));
            }
        }
    }
}

/// A name that is put together, and what refuses it.
struct Derived<'n> {
    origin: Origin,
    name: String,
    limit: usize,
    /// `is the label … of …`
    becomes: &'n str,
    /// How it is made: `<namespace>_<name>` in backticks, or nothing where it is written so.
    made: &'n str,
    upstream: bool,
}

/// `1 character`, `2 characters`.
fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// Names and what is made of them over their limits.
pub(super) fn name_too_long(context: &Context<'_>, faults: &mut Vec<Diagnostic>) {
    const CODE: &str = "name-too-long";
    for (id, node) in context.written() {
        let limit = NameForm::of(&id.group, &id.kind).limit();
        if id.name.len() > limit && !id.name.contains(EXPRESSION) {
            faults.push(Diagnostic::error(
                CODE,
                place(node),
                format!("the name of a {} has at most {limit} characters, this one has {}", id.kind, id.name.len()),
            ));
        }
    }
    let mut check = |derived: Derived<'_>| {
        let Derived { origin, name, limit, becomes, made, upstream } = derived;
        if name.len() <= limit || name.contains(EXPRESSION) {
            return;
        }
        let fault = Diagnostic::error(
            CODE,
            origin,
            format!("`{name}` has {} characters, and {becomes} takes {limit}", name.len()),
        )
        .help(format!(
            "shorten {} by {}",
            if made.is_empty() { "it" } else { "one of its parts" },
            count(name.len() - limit, "character")
        ));
        let fault = if made.is_empty() { fault } else { fault.note(format!("it is made as {made}")) };
        faults.push(if upstream { fault } else { context.accepted_upstream(fault) });
    };
    let nodes = context.input.inventory.hosts.iter().flat_map(|host| &host.dpus);
    let longest_node = nodes.clone().map(|dpu| dpu.node_name.as_str()).max_by_key(|name| name.len());
    for dpu in nodes {
        check(Derived {
            origin: dpu.origin,
            name: dpu.node_name.clone(),
            limit: LABEL,
            becomes: "the label `svc.dpu.nvidia.com/nodeName`",
            made: "`<host>-<pci>`, unless `nodeName` is given",
            upstream: true,
        });
    }
    // Sets are refused in the DPU cluster only, and the management cluster goes on.
    for (kind, becomes, upstream) in [
        ("DPUService", "the label `dpu.nvidia.com/dpuservice-name`", true),
        ("DPUServiceInterface", "the label `svc.dpu.nvidia.com/serviceinterfaceset-name`", false),
        ("DPUServiceChain", "the label `svc.dpu.nvidia.com/servicechainset-name`", false),
        ("DPUServiceIPAM", "the label `dpu.nvidia.com/dpuserviceipam-name`", true),
    ] {
        for (id, node) in context.objects(SVC, kind) {
            let name = id.name.to_string();
            check(Derived { origin: place(node), name, limit: LABEL, becomes, made: "", upstream });
        }
    }
    for (id, node) in context.objects(PROVISIONING, "DPUSet") {
        check(Derived {
            origin: place(node),
            name: id.name.to_string(),
            limit: LABEL,
            becomes: "the label `provisioning.dpu.nvidia.com/dpuset-name`",
            made: "",
            upstream: true,
        });
    }
    for (id, node) in context.objects(PROVISIONING, "DPUCluster") {
        check(Derived {
            origin: place(node),
            name: format!("{}-{}", id.namespace, id.name),
            limit: LABEL,
            becomes: "the label `dpu.nvidia.com/cluster` of its Argo CD Secret",
            made: "`<namespace>-<name>`",
            upstream: true,
        });
    }
    // The per-node controller writes the ServiceChain's name into a label of its interfaces.
    if let Some(node_name) = longest_node {
        for chain in &context.resolution().chains {
            let name = chain.name.rsplit('/').next().unwrap_or_default();
            if name.len() <= LABEL {
                check(Derived {
                    origin: chain.origin,
                    name: format!("{name}-{node_name}"),
                    limit: LABEL,
                    becomes: "the label `svc.dpu.nvidia.com/service-chain`",
                    made: "`<chain>-<node>`",
                    upstream: false,
                });
            }
        }
    }
    for deployment in &context.deployments {
        let (dd, own_place) = (&deployment.id.name, place(deployment.node));
        check(Derived {
            origin: own_place,
            name: deployment.owner(),
            limit: LABEL,
            becomes: "the label `svc.dpu.nvidia.com/owned-by-dpudeployment`",
            made: "`<namespace>_<name>`",
            upstream: true,
        });
        for service in &deployment.services {
            let key = &service.key;
            let derived = |name, becomes, made, upstream| Derived {
                origin: service.origin,
                name,
                limit: LABEL,
                becomes,
                made,
                upstream,
            };
            let made = [
                derived(
                    format!("{dd}-{key}"),
                    "the label `dpu.nvidia.com/dpuservice-name`",
                    "`<deployment>-<service>`",
                    true,
                ),
                derived(
                    format!("dpuservice-{key}-version"),
                    "the key of a Node label",
                    "`dpuservice-<service>-version`",
                    false,
                ),
                derived(
                    deployment.service_id(key),
                    "the label `svc.dpu.nvidia.com/service`",
                    "`dpudeployment_<deployment>_<service>`",
                    false,
                ),
            ];
            // One mistake, told once: of what upstream refuses first, if that is what counts, else of the longest.
            let longest = made
                .into_iter()
                .filter(|derived| derived.name.len() > LABEL)
                .max_by_key(|derived| (derived.upstream && context.site.parity, derived.name.len()));
            if let Some(longest) = longest {
                check(longest);
                continue;
            }
            for interface in service.interfaces() {
                let Some((name, node)) = interface.get("name").and_then(|node| Some((known(node)?, node))) else {
                    continue;
                };
                check(Derived {
                    origin: node.origin(),
                    name: format!("{dd}-{key}-{}", name.replace('_', "-")),
                    limit: LABEL,
                    becomes: "the label `svc.dpu.nvidia.com/serviceinterfaceset-name`",
                    made: "`<deployment>-<service>-<interface>`",
                    upstream: false,
                });
            }
        }
        for set in deployment.dpu_sets() {
            let Some((suffix, node)) = set.get("nameSuffix").and_then(|node| Some((known(node)?, node))) else {
                continue;
            };
            check(Derived {
                origin: node.origin(),
                name: format!("{dd}-{suffix}"),
                limit: LABEL,
                becomes: "the label `provisioning.dpu.nvidia.com/dpuset-name`",
                made: "`<deployment>-<nameSuffix>`",
                upstream: true,
            });
        }
    }
}

/// P-58: without `releaseName` the Helm release is named after cluster and service.
pub(super) fn release_name_too_long(context: &Context<'_>, faults: &mut Vec<Diagnostic>) {
    let longest = context.site.clusters.iter().map(|cluster| cluster.name.as_str()).max_by_key(|name| name.len());
    let mut one = |service: String, in_cluster: bool, source: Option<&Node>, origin: Origin| {
        let given = source.and_then(|source| source.get("releaseName"));
        let (release, origin) = match given.and_then(known).filter(|name| !name.is_empty()) {
            Some(name) => (name.to_owned(), given.map_or(origin, Node::origin)),
            None if given.is_some_and(Node::has_expression) => return,
            None => {
                let Some(cluster) = (if in_cluster { Some("in-cluster") } else { longest }) else { return };
                (format!("{cluster}-{service}"), origin)
            }
        };
        // One whose name is too long itself has been told of.
        if release.len() > RELEASE && release.len() <= NAME && service.len() <= LABEL {
            faults.push(
                Diagnostic::warning(
                    "release-name-too-long",
                    origin,
                    format!("the Helm release `{release}` has {} characters, and Helm takes {RELEASE}", release.len()),
                )
                .help("set `helmChart.source.releaseName`; what the chart names after its release is then the same in each cluster"),
            );
        }
    };
    for (id, node) in context.objects(SVC, "DPUService") {
        let in_cluster = node.at(&["spec", "deployInCluster"]).and_then(Node::as_bool).unwrap_or(false);
        one(id.name.to_string(), in_cluster, node.at(&["spec", "helmChart", "source"]), place(node));
    }
    for deployment in &context.deployments {
        for service in &deployment.services {
            // A service whose name is too long for DPF has been told of.
            if deployment.service_id(&service.key).len() > LABEL {
                continue;
            }
            let source = service.template.and_then(|node| node.at(&["spec", "helmChart", "source"]));
            let name = format!("{}-{}", deployment.id.name, service.key);
            one(name, service.in_cluster() == Some(true), source, service.origin);
        }
    }
}

/// D16: two entries of `dpuSets` that make one DPUSet.
pub(super) fn name_suffix_twice(context: &Context<'_>, faults: &mut Vec<Diagnostic>) {
    // Since v25.7 it is a rule of the CRD.
    if context.site.dpf >= Release::V25_7 {
        return;
    }
    for deployment in &context.deployments {
        let mut seen = std::collections::BTreeMap::new();
        for set in deployment.dpu_sets() {
            let Some((suffix, node)) = set.get("nameSuffix").and_then(|node| Some((known(node)?, node))) else {
                continue;
            };
            if let Some(first) = seen.insert(suffix, node.origin())
                && !context.is_told(set.origin())
            {
                faults.push(
                    Diagnostic::error(
                        "name-suffix-twice",
                        node.origin(),
                        format!("{} has two `dpuSets` with `nameSuffix` `{suffix}`", deployment.id),
                    )
                    .note_at("the first", first)
                    .help("each entry becomes the DPUSet of that name: the last one would win"),
                );
            }
        }
    }
}

/// An object of a namespaced kind that names no namespace.
pub(super) fn namespace_missing(context: &Context<'_>, faults: &mut Vec<Diagnostic>) {
    for (id, node) in context.written().filter(|(id, _)| id.namespace.is_empty()) {
        // One that is no string is told of by its type.
        if node.at(&["metadata", "namespace"]).is_some_and(|namespace| namespace.as_str().is_none()) {
            continue;
        }
        let ours = id.group.ends_with("dpu.nvidia.com") || &*id.group == NV_IPAM_GROUP;
        if !ours && !NAMESPACED.contains(&(&*id.group, &*id.kind)) {
            continue;
        }
        let message = format!("{id} names no namespace");
        let origin = place(node);
        let fault = if ours {
            Diagnostic::error("namespace-missing", origin, message)
        } else {
            Diagnostic::warning("namespace-missing", origin, message)
        };
        let fault = fault.help("write `metadata.namespace`: where it is missing, whoever applies the object chooses");
        faults.push(match node.get("metadata").and_then(crate::node::Node::as_map) {
            Some(metadata) => fault.help_if(
                metadata.iter().find_map(|(key, _)| (key != "name").then(|| did_you_mean(key, ["namespace"]))?),
            ),
            None => fault,
        });
    }
}

const NV_IPAM_GROUP: &str = super::view::NV_IPAM;

/// Kinds of others that people write and that live in a namespace.
const NAMESPACED: &[(&str, &str)] = &[
    ("", "ConfigMap"),
    ("", "Endpoints"),
    ("", "LimitRange"),
    ("", "PersistentVolumeClaim"),
    ("", "Pod"),
    ("", "ResourceQuota"),
    ("", "Secret"),
    ("", "Service"),
    ("", "ServiceAccount"),
    ("apps", "DaemonSet"),
    ("apps", "Deployment"),
    ("apps", "ReplicaSet"),
    ("apps", "StatefulSet"),
    ("argoproj.io", "AppProject"),
    ("argoproj.io", "Application"),
    ("argoproj.io", "ApplicationSet"),
    ("batch", "CronJob"),
    ("batch", "Job"),
    ("bitnami.com", "SealedSecret"),
    ("cert-manager.io", "Certificate"),
    ("cert-manager.io", "Issuer"),
    ("external-secrets.io", "ExternalSecret"),
    ("external-secrets.io", "SecretStore"),
    ("k8s.cni.cncf.io", "NetworkAttachmentDefinition"),
    ("networking.k8s.io", "Ingress"),
    ("networking.k8s.io", "NetworkPolicy"),
    ("policy", "PodDisruptionBudget"),
    ("rbac.authorization.k8s.io", "Role"),
    ("rbac.authorization.k8s.io", "RoleBinding"),
];
