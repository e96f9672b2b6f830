//! Secrets that the site needs and nobody renders: how to make each, never what is in it. PURE.
//!
//! What a Secret is for shows in its keys. Every command may be run again, to change a value.

use super::Step;
use super::objects::{SVC, applications, list, of_kind, operator_makes_secrets};
use super::shell::{self, Line, kubectl_in, kubectl_on, variable};
use crate::node::Node;
use crate::render::{RenderedObject, RenderedSite};
use crate::site::External;

/// The label that DPF copies Secrets by.
pub(super) const PULL_LABEL: &str = "dpu.nvidia.com/image-pull-secret";
const DOCKER: &str = ".dockerconfigjson";

/// The Secrets of `spec.external` that a destination needs: `None` for the management cluster.
pub(super) fn of<'s>(site: &'s RenderedSite, cluster: Option<&'s str>) -> impl Iterator<Item = &'s External> {
    // What is about the control plane of a DPU cluster is read in the management cluster only.
    let control_plane = |external: &External| {
        is_cluster_secret(site, external) || site.site.clusters.iter().any(|one| one.namespace == external.namespace)
    };
    let here = move |external: &&External| match external.destination.as_deref() {
        None => cluster.is_none() || !control_plane(external),
        Some(destination) => destination == cluster.unwrap_or("management"),
    };
    site.site.external.iter().filter(|external| external.group.is_empty() && external.kind == "Secret").filter(here)
}

/// Requests for credentials that nobody answers but a person: DPF's controller, where it runs, reads those it is given.
pub(super) fn requests(site: &RenderedSite) -> Vec<&RenderedObject> {
    let ours = site.site.mode == crate::site::Mode::Standalone;
    of_kind(site, SVC, "DPUServiceCredentialRequest").filter(|_| ours).collect()
}

/// Namespace and name that a request gives below `spec`; DPF takes `default` where it gives no namespace.
pub(super) fn reference<'n>(request: &'n Node, what: &str) -> (&'n str, &'n str) {
    let text = |key| request.text(&["spec", what, key]).filter(|text| !text.is_empty());
    (text("namespace").unwrap_or("default"), text("name").unwrap_or_default())
}

/// The DPU cluster whose Argo CD Secret this is.
fn is_cluster_secret(site: &RenderedSite, external: &External) -> bool {
    external.namespace == site.site.argocd.namespace
        && site.site.clusters.iter().any(|one| format!("{}-{}", one.namespace, one.name) == external.name)
}

/// Whether a later step makes it, of what is not there yet.
fn is_later(site: &RenderedSite, external: &External) -> bool {
    let asked = |request: &&RenderedObject| {
        reference(&request.node, "secret") == (external.namespace.as_str(), external.name.as_str())
    };
    is_cluster_secret(site, external) || requests(site).iter().any(asked)
}

/// Those to be made first.
fn early(site: &RenderedSite) -> Vec<&External> {
    of(site, None).filter(|external| !is_later(site, external)).collect()
}

fn has(external: &External, keys: &[&str]) -> bool {
    keys.iter().all(|key| external.keys.iter().any(|own| own == key))
}

fn is_repository(external: &External) -> bool {
    has(external, &["url"]) && (has(external, &["type"]) || has(external, &["password"]))
}

pub(super) fn namespaces(site: &RenderedSite) -> Vec<Step> {
    let mut names: Vec<&str> = early(site).iter().map(|external| external.namespace.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    names.retain(|name| !matches!(*name, "default" | "kube-system" | "kube-public" | "kube-node-lease"));
    if names.is_empty() {
        return Vec::new();
    }
    let create = names.iter().map(|name| shell::kubectl().raw("create namespace").word(name).end());
    vec![Step::new("Make the namespaces that these Secrets go to; Argo CD takes them over later.", create)]
}

pub(super) fn registry_key(site: &RenderedSite) -> Vec<Step> {
    let key = |external: &&External| has(external, &[DOCKER]) || has(external, &["url", "password"]);
    if !early(site).iter().any(key) {
        return Vec::new();
    }
    vec![Step::new(
        "Put the API key of the private registry into NGC_API_KEY: type or paste it and press Enter, nothing is shown. The \
         commands below are for NVIDIA's registry nvcr.io; for another one change its name and the user's.",
        ["read -rs NGC_API_KEY && export NGC_API_KEY".to_owned()],
    )]
}

pub(super) fn management(site: &RenderedSite) -> Vec<Step> {
    let secrets = early(site);
    let mut steps = Vec::new();
    for external in &secrets {
        steps.push(create(site, external, None));
    }
    steps
}

/// The step that makes a Secret in the management cluster or in a DPU cluster.
pub(super) fn create(site: &RenderedSite, external: &External, cluster: Option<&str>) -> Step {
    let kubectl = || cluster.map_or_else(shell::kubectl, kubectl_on).option("namespace", &external.namespace);
    let secret = |kind: &str| {
        Line::of("kubectl").option("namespace", &external.namespace).raw("create secret").raw(kind).word(&external.name)
    };
    let made = |create: Line| create.raw("--dry-run=client --output=yaml").pipe(&shell::apply(kubectl())).end();
    let label = |label: &str| kubectl().raw("label --overwrite secret").word(&external.name).word(label).end();
    let name = format!("{}/{}", external.namespace, external.name);
    let place = cluster.map(|cluster| format!(" of DPU cluster {cluster}")).unwrap_or_default();
    if has(external, &[DOCKER]) {
        let line = secret("docker-registry")
            .raw("--docker-server=nvcr.io --docker-username='$oauthtoken'")
            .raw("--docker-password=\"${NGC_API_KEY:?}\"");
        let why = if operator_makes_secrets(site) && cluster.is_none() { ", and DPF copies by its label" } else { "" };
        return Step::new(
            format!("Secret {name}{place}: lets kubelet pull images{why}."),
            [made(line), label(&format!("{PULL_LABEL}="))],
        );
    }
    if is_repository(external) {
        let mut unset = Vec::new();
        let mut line = secret("generic");
        for key in &external.keys {
            line = match key.as_str() {
                "name" => line.option("from-literal", &format!("name={}", external.name)),
                "type" => line.raw("--from-literal=type=helm"),
                "username" => line.raw("--from-literal=username='$oauthtoken'"),
                "password" => line.raw("--from-literal=password=\"${NGC_API_KEY:?}\""),
                key => {
                    let variable = variable(&[&external.name, key]);
                    let line = line.raw(&format!("--from-literal={}=\"${{{variable}:?}}\"", shell::quote(key)));
                    unset.push(variable);
                    line
                }
            };
        }
        let mut charts: Vec<&str> = applications(site).filter_map(super::objects::Application::repository).collect();
        charts.sort_unstable();
        charts.dedup();
        return Step::new(
            format!(
                "Secret {name}{place}: lets Argo CD read a private chart repository. Set {} first, the URL as Argo CD is \
                 told it (an OCI registry has no scheme). This site's charts come from {}.",
                list(&unset),
                list(&charts)
            ),
            [made(line), label("argocd.argoproj.io/secret-type=repository")],
        );
    }
    let mut unset = Vec::new();
    let line = external.keys.iter().fold(secret("generic"), |line, key| {
        let variable = variable(&[&external.name, key, "file"]);
        let line = line.raw(&format!("--from-file={}=\"${{{variable}:?}}\"", shell::quote(key)));
        unset.push(variable);
        line
    });
    let how = match unset.as_slice() {
        [] => "; what is in it, its consumer knows".to_owned(),
        [one] => format!(". Set {one} first: the file that holds its value"),
        several => format!(". Set {} first: the files that hold its values", list(several)),
    };
    Step::new(format!("Secret {name}{place}{how}."), [made(line)])
}

/// Copies a Secret of the management cluster, labels and all, into a DPU cluster.
pub(super) fn copy(external: &External, cluster: &str) -> String {
    let fields = "'{apiVersion, kind, type, data, metadata: {name: .metadata.name, namespace: .metadata.namespace, \
                  labels: .metadata.labels}}'";
    let get = kubectl_in(&external.namespace).raw("get secret").word(&external.name).raw("--output=json");
    get.pipe(&Line::of("jq").raw(fields)).pipe(&shell::apply(kubectl_on(cluster))).end()
}
