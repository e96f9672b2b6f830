//! Secrets: everyone that is needed is made by somebody, and none is in Git. PURE.
//!
//! In: the needs that expansion found and those in Helm values. A need is met by an `external` entry of the site, by an object
//! that makes the Secret where it is needed, or by DPF where its controllers run.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use super::Context;
use super::selector::known;
use super::view::{OPERATOR, PROVISIONING, SVC, place};
use crate::diagnostic::{Diagnostic, nearest};
use crate::node::{EXPRESSION, Node};
use crate::render::object::ObjectId;
use crate::site::{Mode, SystemComponents};
use crate::source::Origin;

/// Namespace and name.
type Name = (String, String);
/// A cluster, or the management cluster.
type Where = Option<usize>;

/// Who needs a Secret, told once for all clusters.
struct Need {
    reason: String,
    origin: Origin,
    clusters: BTreeSet<Where>,
}

/// A Secret that is needed and that nothing makes.
pub(super) fn secret_missing(context: &Context<'_>, faults: &mut Vec<Diagnostic>) {
    let made = Made::of(context);
    let mut needs: BTreeMap<Name, Need> = BTreeMap::new();
    for (cluster, name, reason, origin) in needs_of(context) {
        if made.has(context, cluster, &name) {
            continue;
        }
        // Where DPF copies it, it is the original that is missing.
        let cluster = cluster.filter(|_| !is_mirrored(context, &name.0));
        let need =
            needs.entry(name).or_insert_with(|| Need { reason: reason.to_string(), origin, clusters: BTreeSet::new() });
        need.clusters.insert(cluster);
    }
    for ((namespace, name), need) in needs {
        let names: Vec<&str> =
            need.clusters.iter().map(|at| at.map_or("management", |index| context.cluster_name(index))).collect();
        let in_management = need.clusters.contains(&None);
        let own: Vec<&str> = need.clusters.iter().flatten().map(|index| context.cluster_name(*index)).collect();
        let all = own.len() > 1 && own.len() == context.site.clusters.len();
        let in_all = all && !in_management;
        let own = match own.as_slice() {
            [] => None,
            _ if all => Some("every DPU cluster".to_owned()),
            [one] => Some(format!("DPU cluster `{one}`")),
            some => Some(format!("DPU clusters {}", super::view::listed(some.iter().copied()))),
        };
        let management = in_management.then(|| "the management cluster".to_owned());
        let place = management.into_iter().chain(own).collect::<Vec<_>>().join(" and in ");
        let entry = |destination: Option<&str>| {
            let destination = destination.map(|name| format!(", destination: {name}")).unwrap_or_default();
            format!("- {{kind: Secret, namespace: {namespace}, name: {name}{destination}}}")
        };
        let lines: Vec<String> = if in_all || names.len() > 4 {
            vec![entry(None)]
        } else {
            names.iter().map(|name| entry(Some(name))).collect()
        };
        // One of the same name is made too, but somewhere else.
        let near = made.names().filter(|(other, near)| *other == namespace && *near != name);
        let near = near.map(|(_, name)| name).take(200);
        faults.push(
            Diagnostic::error(
                "secret-missing",
                need.origin,
                format!("Secret {namespace}/{name} is needed in {place}, and nothing makes it"),
            )
            .note(need.reason)
            .help_if(nearest(&name, near).map(|near| format!("did you mean `{near}`?")))
            .help(format!(
                "write an ExternalSecret or SealedSecret that makes it, or say in site.yaml that somebody else does:\nspec:\n  external:\n{}",
                lines.iter().map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n")
            )),
        );
    }
}

/// The Secrets that something makes.
#[derive(Default)]
struct Made {
    by: BTreeMap<Where, BTreeSet<Name>>,
    /// Where an external entry or a ClusterExternalSecret says no more.
    everywhere: BTreeSet<Name>,
    any_namespace: BTreeSet<(Where, String)>,
}

impl Made {
    fn of(context: &Context<'_>) -> Self {
        let mut made = Self::default();
        let clusters = positions(context);
        for entry in context.site.external.iter().filter(|entry| entry.kind == "Secret" && entry.group.is_empty()) {
            let name = (entry.namespace.clone(), entry.name.clone());
            match entry.destination.as_deref() {
                None => {
                    made.everywhere.insert(name);
                }
                Some("management") => made.add(None, name),
                Some("clusters") => {
                    (0..context.site.clusters.len()).for_each(|index| made.add(Some(index), name.clone()))
                }
                Some(destination) => {
                    if let Some(index) = clusters.get(destination) {
                        made.add(Some(*index), name);
                    }
                }
            }
        }
        for (id, node) in context.input.management {
            made.object(None, id, node);
        }
        for (index, objects) in context.input.clusters.iter().enumerate() {
            for (id, node) in objects {
                made.object(Some(index), id, node);
            }
        }
        let clusters = context.expanded.clusters.iter().enumerate().map(|(index, objects)| (Some(index), objects));
        for (at, objects) in [(None, &context.expanded.management)].into_iter().chain(clusters) {
            for node in objects.iter().filter(|node| node.text(&["kind"]).is_some_and(|kind| kind.contains("Secret"))) {
                made.object(at, &ObjectId::of(node), node);
            }
        }
        // Kamaji writes the kubeconfig of the clusters that it makes.
        for (id, node) in context.objects(PROVISIONING, "DPUCluster") {
            if node.text(&["spec", "type"]) == Some("kamaji") {
                made.add(None, (id.namespace.to_string(), format!("{}-admin-kubeconfig", id.name)));
            }
        }
        if context.site.mode == Mode::Operator {
            for (_, node) in context.objects(SVC, "DPUServiceCredentialRequest") {
                let Some(name) = node.text(&["spec", "secret", "name"]) else { continue };
                let namespace = node.text(&["spec", "secret", "namespace"]).filter(|text| !text.is_empty());
                made.add(None, (namespace.unwrap_or("default").to_owned(), name.to_owned()));
            }
        }
        made
    }

    fn add(&mut self, at: Where, name: Name) {
        self.by.entry(at).or_default().insert(name);
    }

    fn object(&mut self, at: Where, id: &ObjectId, node: &Node) {
        let named = |path: &[&str]| node.text(path).filter(|text| !text.is_empty()).unwrap_or(&id.name).to_owned();
        let name = match (&*id.group, &*id.kind) {
            ("", "Secret") => id.name.to_string(),
            ("external-secrets.io", "ExternalSecret") => named(&["spec", "target", "name"]),
            ("external-secrets.io", "ClusterExternalSecret") => {
                let name = node.text(&["spec", "externalSecretSpec", "target", "name"]);
                let name = name.map_or_else(|| named(&["spec", "externalSecretName"]), str::to_owned);
                self.any_namespace.insert((at, name));
                return;
            }
            ("bitnami.com", "SealedSecret") => named(&["spec", "template", "metadata", "name"]),
            ("cert-manager.io", "Certificate") => match node.text(&["spec", "secretName"]) {
                Some(name) => name.to_owned(),
                None => return,
            },
            _ => return,
        };
        self.add(at, (id.namespace.to_string(), name));
    }

    fn has(&self, context: &Context<'_>, at: Where, name: &Name) -> bool {
        let here = |at: Where| {
            self.by.get(&at).is_some_and(|names| names.contains(name))
                || self.any_namespace.contains(&(at, name.1.clone()))
        };
        self.everywhere.contains(name) || here(at) || (is_mirrored(context, &name.0) && here(None))
    }

    fn names(&self) -> impl Iterator<Item = (&str, &str)> {
        self.by.values().flatten().chain(&self.everywhere).map(|(namespace, name)| (namespace.as_str(), name.as_str()))
    }
}

/// Index of each cluster by its name.
fn positions<'a>(context: &Context<'a>) -> BTreeMap<&'a str, usize> {
    context.site.clusters.iter().enumerate().map(|(index, cluster)| (cluster.name.as_str(), index)).collect()
}

/// Whether DPF's controller copies labelled Secrets of a namespace to every DPU cluster (2.16 of the fact sheet).
fn is_mirrored(context: &Context<'_>, namespace: &str) -> bool {
    match context.site.mode {
        Mode::Operator => true,
        Mode::Standalone => {
            context.site.system_components == SystemComponents::Operator && namespace == context.operator_namespace()
        }
    }
}

type Found<'a> = (Where, Name, Reason<'a>, Origin);

/// Why a Secret is needed; text is made of it only where nothing makes the Secret.
enum Reason<'a> {
    Text(String),
    /// A key in the values of an Application.
    Application(&'static str, &'a str),
    /// A key in the values of a service.
    Service(&'static str, &'a str),
}

impl fmt::Display for Reason<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Application(key, name) => write!(f, "`{key}` in the Helm values of Application {name} names it"),
            Self::Service(key, name) => write!(f, "`{key}` in the Helm values of service {name} names it"),
        }
    }
}

/// Every Secret that somebody needs.
fn needs_of<'a>(context: &Context<'a>) -> Vec<Found<'a>> {
    let mut found: Vec<Found<'a>> = Vec::new();
    for (id, node) in context.objects(OPERATOR, "DPFOperatorConfig") {
        for item in node.items(&["spec", "imagePullSecrets"]) {
            let Some(name) = known(item) else { continue };
            let reason = format!("{id} names it in `imagePullSecrets`; without it the operator does nothing at all");
            found.push((None, (id.namespace.to_string(), name.to_owned()), Reason::Text(reason), item.origin()));
        }
    }
    for (id, node) in context.objects(PROVISIONING, "DPUCluster") {
        let Some((name, at)) = node.at(&["spec", "kubeconfig"]).and_then(|node| Some((known(node)?, node))) else {
            continue;
        };
        if !name.is_empty() && !id.namespace.contains(EXPRESSION) {
            let reason = format!("{id} names it as its `kubeconfig`");
            found.push((None, (id.namespace.to_string(), name.to_owned()), Reason::Text(reason), at.origin()));
        }
    }
    // Of two reasons the first is told: those above say what happens without.
    found.extend(context.expanded.secrets.iter().map(|need| {
        (need.cluster, (need.namespace.clone(), need.name.clone()), Reason::Text(need.reason.clone()), need.origin)
    }));
    let mut values = Values::default();
    let written = context.objects("argoproj.io", "Application").map(|(_, node)| node);
    let made = context.expanded.management.iter().filter(|node| node.text(&["kind"]) == Some("Application"));
    let clusters = positions(context);
    for node in written.chain(made) {
        let Some(namespace) = node.text(&["spec", "destination", "namespace"]) else { continue };
        let at = match node.text(&["spec", "destination", "name"]) {
            Some(name) => match clusters.get(name) {
                Some(index) => Some(*index),
                None if name == "in-cluster" || name == context.site.argocd.management_cluster => None,
                // Some cluster that is not of this site.
                None => continue,
            },
            None if node.text(&["spec", "destination", "server"]) == Some("https://kubernetes.default.svc") => None,
            None => continue,
        };
        let application = node.text(&["metadata", "name"]).unwrap_or_default();
        let sources = node.at(&["spec", "source"]).into_iter().chain(node.items(&["spec", "sources"]));
        for source in sources.filter_map(|source| source.at(&["helm", "valuesObject"])) {
            for secret in values.needs(source).iter() {
                let reason = Reason::Application(secret.key, application);
                found.push((at, (namespace.to_owned(), secret.name.clone()), reason, secret.origin));
            }
        }
    }
    // Without Applications (operator mode) only the values say it.
    if context.site.mode == Mode::Operator {
        let namespaces = service_namespaces(context);
        for made in &context.expanded.values {
            let Some(namespace) = namespaces.get(made.service.as_str()) else { continue };
            for secret in values.needs(&made.values).iter() {
                let reason = Reason::Service(secret.key, &made.service);
                found.push((Some(made.cluster), ((*namespace).to_owned(), secret.name.clone()), reason, secret.origin));
            }
        }
    }
    found
}

/// Namespaces of the services that run in DPU clusters, by their names. Those that DPF makes itself are in the operator's.
fn service_namespaces<'a>(context: &Context<'a>) -> BTreeMap<String, &'a str> {
    let mut namespaces: BTreeMap<String, &str> =
        context.objects(SVC, "DPUService").map(|(id, _)| (id.name.to_string(), &*id.namespace)).collect();
    for deployment in &context.deployments {
        for service in &deployment.services {
            namespaces.insert(format!("{}-{}", deployment.id.name, service.key), &deployment.id.namespace);
        }
    }
    namespaces
}

/// A Secret that Helm values name.
struct InValues {
    key: &'static str,
    name: String,
    origin: Origin,
}

/// What was found in values, by the address of the node: clusters share most of theirs.
#[derive(Default)]
struct Values(BTreeMap<usize, Arc<Vec<InValues>>>);

impl Values {
    fn needs(&mut self, values: &Node) -> Arc<Vec<InValues>> {
        if let Some(known) = self.0.get(&values.address()) {
            return Arc::clone(known);
        }
        let mut found = Vec::new();
        collect(values, &mut found, 0);
        let found = Arc::new(found);
        self.0.insert(values.address(), Arc::clone(&found));
        found
    }
}

fn collect(node: &Node, found: &mut Vec<InValues>, depth: usize) {
    if depth > 32 {
        return;
    }
    for entry in node.fields(&[]) {
        let mut add = |key: &'static str, node: &Node| {
            if let Some(name) = known(node).filter(|name| !name.is_empty()) {
                found.push(InValues { key, name: name.to_owned(), origin: node.origin() });
            }
        };
        match &*entry.key.text {
            "imagePullSecrets" => {
                for item in entry.value.items(&[]) {
                    add("imagePullSecrets", item.get("name").unwrap_or(item));
                }
            }
            "imagePullSecretName" => add("imagePullSecretName", &entry.value),
            "kubernetesSecretName" => add("kubernetesSecretName", &entry.value),
            _ => collect(&entry.value, found, depth + 1),
        }
    }
    for item in node.items(&[]) {
        collect(item, found, depth + 1);
    }
}

/// Keys of Argo CD's own Secrets that say where, not who.
const HARMLESS: &[&str] =
    &["enableOCI", "insecure", "name", "namespaces", "noProxy", "project", "proxy", "server", "shard", "type", "url"];

/// A Secret whose data is in Git.
pub(super) fn literal_secret(context: &Context<'_>, faults: &mut Vec<Diagnostic>) {
    for (id, node) in context.written().filter(|(id, _)| id.is("", "Secret")) {
        if node.get("sops").is_some() {
            continue;
        }
        let is_argo = node.at(&["metadata", "labels", "argocd.argoproj.io/secret-type"]).is_some();
        let mut keys: Vec<&str> = Vec::new();
        let mut origin = None;
        for field in ["data", "stringData"] {
            for entry in node.fields(&[field]) {
                let text = entry.value.as_str().unwrap_or("?");
                let elsewhere = ["<path:", "ENC[", "ref+"].iter().any(|prefix| text.starts_with(prefix));
                if text.is_empty() || elsewhere || (is_argo && HARMLESS.contains(&&*entry.key.text)) {
                    continue;
                }
                keys.push(&entry.key.text);
                origin = origin.or_else(|| node.as_map()?.entry(field).map(|entry| entry.key.origin));
            }
        }
        let Some(at) = origin else { continue };
        // The line may hold the value: it is named, not shown.
        faults.push(
            Diagnostic::error("literal-secret", place(node), format!("{id} has its data in Git: {}", super::view::listed(keys)))
                .without_excerpt()
                .note_at("the data", at)
                .note("whoever reads the repository reads it, now and in its history")
                .help("write an ExternalSecret or SealedSecret, or name it under `external` in site.yaml; and change what was written"),
        );
    }
}
