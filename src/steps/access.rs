//! How people and Argo CD reach the DPU clusters. PURE.
//!
//! Address, certificate and key of a DPU cluster are made when its control plane starts: nothing in Git can hold them.

use super::Step;
use super::objects::{PROVISIONING, list, of_kind, operator_makes_secrets};
use super::secrets;
use super::shell::{self, Line, kubeconfig, kubectl, kubectl_in, kubectl_on};
use crate::render::RenderedSite;
use crate::site::Cluster;

pub(super) fn kubeconfigs(site: &RenderedSite) -> Vec<Step> {
    let mut steps: Vec<Step> = site.site.clusters.iter().map(|cluster| kubeconfig_of(site, cluster)).collect();
    if !steps.is_empty() {
        let names: Vec<&str> = site.site.clusters.iter().map(|cluster| cluster.name.as_str()).collect();
        let ask = names.iter().map(|name| kubectl_on(name).raw("get namespaces").end());
        steps.push(Step::new(format!("You reach {} from here.", list(&names)), ask));
    }
    steps
}

fn kubeconfig_of(site: &RenderedSite, cluster: &Cluster) -> Step {
    let object = of_kind(site, PROVISIONING, "DPUCluster")
        .find(|object| *object.id.name == *cluster.name && *object.id.namespace == *cluster.namespace);
    let given = object.and_then(|object| object.node.text(&["spec", "kubeconfig"])).filter(|name| !name.is_empty());
    // Kamaji's name for it; DPF enters it in `spec.kubeconfig`.
    let secret = given.map_or_else(|| format!("{}-admin-kubeconfig", cluster.name), str::to_owned);
    let wait = kubectl_in(&cluster.namespace)
        .raw("wait --for=condition=Ready")
        .word(&format!("dpucluster/{}", cluster.name))
        .raw("--timeout=10m");
    let get = kubectl_in(&cluster.namespace)
        .raw("get secret")
        .word(&secret)
        .raw(r"--output=jsonpath='{.data.admin\.conf}'")
        .pipe(&Line::of(&format!("base64 --decode > {}", kubeconfig(&cluster.name))));
    Step::new(
        format!(
            "DPU cluster {}: wait until its control plane is ready, then keep its admin kubeconfig (Secret {}/{secret}).",
            cluster.name, cluster.namespace
        ),
        [format!("until {}; do sleep 10; done", wait.end()), format!("(umask 077; {})", get.end())],
    )
}

pub(super) fn argo_cd(site: &RenderedSite) -> Vec<Step> {
    let namespace = &site.site.argocd.namespace;
    let mut steps = Vec::new();
    for cluster in &site.site.clusters {
        let name = format!("{}-{}", cluster.namespace, cluster.name);
        let listed = secrets::of(site, None).any(|external| external.name == name && external.namespace == *namespace);
        if operator_makes_secrets(site) && !listed {
            continue;
        }
        let view = kubectl_on(&cluster.name).raw("config view --raw");
        let server = view.clone().raw("--output=jsonpath='{.clusters[0].cluster.server}'").end();
        let config = "'{tlsClientConfig: {caData: .clusters[0].cluster[\"certificate-authority-data\"], \
                      certData: .users[0].user[\"client-certificate-data\"], \
                      keyData: .users[0].user[\"client-key-data\"]}}'";
        let create = kubectl_in(namespace)
            .raw("create secret generic")
            .word(&name)
            .option("from-literal", &format!("name={}", cluster.name))
            .raw("--from-literal=server=\"$SERVER\" --from-file=config=/dev/stdin")
            .raw("--dry-run=client --output=yaml");
        let made = view
            .raw("--output=json")
            .pipe(&Line::of("jq --compact-output").raw(config))
            .pipe(&create)
            .pipe(&shell::apply(kubectl()))
            .end();
        let label = kubectl_in(namespace)
            .raw("label --overwrite secret")
            .word(&name)
            .raw("argocd.argoproj.io/secret-type=cluster");
        steps.push(Step::new(
            format!(
                "Tell Argo CD how to reach {}: it knows it by the name in this Secret. Again whenever the cluster's \
                 certificates are renewed.",
                cluster.name
            ),
            [format!("SERVER=\"$({server})\""), made, label.end()],
        ));
    }
    steps
}
