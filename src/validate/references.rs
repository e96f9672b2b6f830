//! Services and credential requests: what they refer to, and what they leave out. PURE.

use super::Context;
use super::selector::known;
use super::view::{PROVISIONING, SVC, listed, place};
use crate::diagnostic::Diagnostic;
use crate::node::{EXPRESSION, Node};

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
                faults.push(
                    Diagnostic::warning(
                        "credential-namespace",
                        part.get("name").map_or(part.origin(), Node::origin),
                        format!("`{field}` of {id} names no namespace, which is `default`"),
                    )
                    .help(format!("write `namespace: {}`, or `default` if that is meant", id.namespace)),
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
                .help_if(super::view::did_you_mean(&asked, clusters.iter().map(String::as_str)))
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
