//! Credentials of services on the cards, and the Secrets that DPU clusters need. PURE.

use super::Step;
use super::objects::applications;
use super::secrets::{self, reference, requests};
use super::shell::{self, Line, kubectl_in, kubectl_on, namespaced, quote};
use crate::node::Node;
use crate::render::{RenderedObject, RenderedSite};

pub(super) fn credentials(site: &RenderedSite) -> Vec<Step> {
    requests(site).into_iter().map(|request| credential(site, request)).collect()
}

/// What DPF's controller would do for a request: a token of its account, in a Secret of the management cluster.
fn credential(site: &RenderedSite, request: &RenderedObject) -> Step {
    let request = &request.node;
    let (account_namespace, account) = reference(request, "serviceAccount");
    let (namespace, name) = reference(request, "secret");
    let target = request.at(&["spec", "targetCluster"]).map(|_| reference(request, "targetCluster").1);
    let of_target = |namespace: &str| namespaced(target.map_or_else(shell::kubectl, kubectl_on), namespace);
    let duration = request.text(&["spec", "duration"]);

    let there = of_target(account_namespace).raw("get serviceaccount").word(account).end();
    let mut token = of_target(account_namespace).raw("create token").word(account);
    if let Some(duration) = duration {
        token = token.option("duration", duration);
    }
    let ca = of_target(account_namespace).raw(r"get configmap kube-root-ca.crt --output=jsonpath='{.data.ca\.crt}'");
    let Server { url, host, port, before } = server(site, target);
    let mut commands = vec![format!("until {there} > /dev/null; do sleep 10; done"), format!("CA=\"$({})\"", ca.end())];
    commands.extend(before);
    let secret = kubectl_in(namespace).raw("create secret generic").word(name);
    let apply = shell::apply(shell::kubectl());
    let yaml = "--dry-run=client --output=yaml";
    if request.text(&["spec", "type"]) == Some("kubeconfig") {
        let cluster = target.unwrap_or("incluster");
        let config = Line::of(&format!("TOKEN=\"$({})\" CA=\"$CA\" jq --null-input", token.end()))
            .raw(&format!("--arg server {url}"))
            .raw("--arg cluster")
            .word(cluster)
            .raw("--arg account")
            .word(account)
            .raw("--arg namespace")
            .word(account_namespace)
            .raw(
                "'{apiVersion: \"v1\", kind: \"Config\", \"current-context\": $account, clusters: [{name: $cluster, cluster: \
                 {server: $server, \"certificate-authority-data\": ($ENV.CA | @base64)}}], contexts: [{name: $account, \
                 context: {cluster: $cluster, user: $account, namespace: $namespace}}], users: [{name: $account, user: \
                 {token: $ENV.TOKEN}}]}'",
            );
        let secret = secret.raw("--from-file=kubeconfig=/dev/stdin").raw(yaml);
        commands.push(config.pipe(&secret).pipe(&apply).end());
    } else {
        let secret = secret
            .raw(&format!("--from-literal=KUBERNETES_SERVICE_HOST={host}"))
            .raw(&format!("--from-literal=KUBERNETES_SERVICE_PORT={port}"))
            .raw("--from-literal=KUBERNETES_CA_DATA=\"$CA\"")
            .raw("--from-file=TOKEN_FILE=/dev/stdin")
            .raw(yaml);
        commands.push(format!(
            "TOKEN=\"$({})\" &&\n    printf %s \"$TOKEN\" |\n    {} |\n    {}",
            token.end(),
            secret.end(),
            apply.end()
        ));
    }
    for (verb, path) in [("label", "labels"), ("annotate", "annotations")] {
        let pairs = pairs(request, &["spec", "metadata", path]);
        if !pairs.is_empty() {
            let line = kubectl_in(namespace).raw(verb).raw("--overwrite secret").word(name);
            commands.push(line.words(pairs.iter().map(String::as_str)).end());
        }
    }
    let ends = match duration {
        Some(duration) => format!(
            "The API server may grant less than {duration}, and nobody refreshes the token: repeat this and the copies below \
             before it ends"
        ),
        None => "Nobody refreshes the token: repeat this and the copies below before it ends".to_owned(),
    };
    Step::new(
        format!(
            "Secret {namespace}/{name}: a token of ServiceAccount {account_namespace}/{account}. {ends}, with a timer of your own."
        ),
        commands,
    )
}

/// The API server of the account, as cards reach it: what this site's services are told, else what kubectl uses.
fn server(site: &RenderedSite, target: Option<&str>) -> Server {
    let told = applications(site).find_map(|one| one.value(&["k8sAPIServer"])?.as_str());
    if let (None, Some(known)) = (target, told.and_then(Server::parse)) {
        return known;
    }
    let kubectl = target.map_or_else(shell::kubectl, kubectl_on);
    let view = kubectl.raw("config view --minify --output=jsonpath='{.clusters[0].cluster.server}'").end();
    Server {
        url: "\"$SERVER\"".to_owned(),
        host: "\"$HOST\"".to_owned(),
        port: "\"$PORT\"".to_owned(),
        before: vec![
            format!("SERVER=\"$({view})\""),
            "HOST=\"$(printf %s \"$SERVER\" | sed -E 's|^[a-z]+://||; s|/.*||; s|:[0-9]+$||; s|[][]||g')\"".to_owned(),
            "PORT=\"$(printf %s \"$SERVER\" | sed -En 's|/*$||; s|^.*:([0-9]+)$|\\1|p')\"; PORT=\"${PORT:-443}\""
                .to_owned(),
        ],
    }
}

/// An API server, its parts as shell.
struct Server {
    url: String,
    host: String,
    port: String,
    /// Commands that set what the parts need.
    before: Vec<String>,
}

impl Server {
    fn parse(url: &str) -> Option<Self> {
        let address = url.split_once("://")?.1.split('/').next()?;
        let (host, port) = match address.rsplit_once(':') {
            Some((host, port)) if port.parse::<u16>().is_ok() => (host, port),
            _ => (address, "443"),
        };
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        (!bare.is_empty()).then(|| Self {
            url: quote(url).into_owned(),
            host: quote(bare).into_owned(),
            port: port.to_owned(),
            before: Vec::new(),
        })
    }
}

/// `key=value` of a map of texts.
fn pairs(node: &Node, path: &[&str]) -> Vec<String> {
    let fields = node.fields(path).iter();
    fields.map(|entry| format!("{}={}", entry.key.text, entry.value.as_str().unwrap_or_default())).collect()
}

pub(super) fn secrets(site: &RenderedSite) -> Vec<Step> {
    let mut steps = Vec::new();
    for cluster in &site.site.clusters {
        let name = &cluster.name;
        let wanted: Vec<_> = secrets::of(site, Some(name)).collect();
        let mut namespaces: Vec<&str> = wanted.iter().map(|external| external.namespace.as_str()).collect();
        namespaces.sort_unstable();
        namespaces.dedup();
        let mut commands: Vec<String> = namespaces
            .into_iter()
            .map(|namespace| {
                let create =
                    shell::kubectl().raw("create namespace").word(namespace).raw("--dry-run=client --output=yaml");
                create.pipe(&shell::apply(kubectl_on(name))).end()
            })
            .collect();
        let here = |external: &&&crate::site::External| {
            secrets::of(site, None).any(|own| own.name == external.name && own.namespace == external.namespace)
        };
        commands.extend(wanted.iter().filter(here).map(|external| secrets::copy(external, name)));
        if !commands.is_empty() {
            steps.push(Step::new(format!("Copy the Secrets that pods on the cards of {name} need."), commands));
        }
        steps.extend(
            wanted
                .iter()
                .filter(|external| !here(external))
                .map(|external| secrets::create(site, external, Some(name))),
        );
    }
    steps
}
