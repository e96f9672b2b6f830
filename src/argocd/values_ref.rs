//! For Argo CD without the plugin: Applications of a committed tree, charts with their values from it. PURE.
//!
//! In: a rendered site with its values files, and the folder that its tree is committed to. Out: an Application per destination
//! that applies the tree's files as they are, and the site's chart Applications with `$values` of that tree in place of
//! `valuesObject`.

use serde_json::{Value, json};

use super::applications::{API, GROUP, Needs, SITE_LABEL, name_of, node, sync_policy};
use super::paths;
use crate::node::Node;
use crate::render::object::{Destination, ObjectId};
use crate::render::{RenderedDestination, RenderedSite};

/// Whether an object of the tree is left to the Applications that are made here.
#[must_use]
pub fn left_out(id: &ObjectId) -> bool {
    id.is(GROUP, "Application")
}

/// The Applications of a site whose tree is in `folder`, from the repository's root; nothing where the site does not say its
/// repository. `escape` makes the names of files.
///
/// # Errors
/// A kind whose files would be left out with those of Argo CD's Applications.
pub fn applications(
    rendered: &RenderedSite,
    folder: &str,
    escape: impl Fn(&str) -> String,
) -> Result<Option<Vec<Value>>, String> {
    let Some(repository) = rendered.site.argocd.repo_url.as_deref() else { return Ok(None) };
    let mut made = Vec::new();
    for destination in &rendered.destinations {
        let below = format!("{folder}/{}", place(&destination.destination, &escape));
        made.extend(tree(rendered, destination, repository, &below)?);
    }
    let values: Vec<(&ObjectId, String)> =
        rendered.destinations.iter().flat_map(|destination| files(destination, folder, &escape)).collect();
    let management = rendered.destinations.iter().filter(|one| one.destination == Destination::Management);
    for object in management.flat_map(|one| &one.objects).filter(|object| left_out(&object.id)) {
        // Those of the DPU clusters' objects are the trees above.
        let ours = object.node.text(&["metadata", "labels", SITE_LABEL]) == Some(&rendered.name);
        if ours && object.node.at(&["spec", "source", "plugin"]).is_some() {
            continue;
        }
        let file = values.iter().find(|(id, _)| **id == *object.id).map(|(_, file)| file.as_str());
        made.push(chart(rendered, &object.node, file, repository).to_json());
    }
    Ok(Some(made))
}

fn place(destination: &Destination, escape: &impl Fn(&str) -> String) -> String {
    match destination {
        Destination::Management => "management".to_owned(),
        Destination::Cluster(name) => format!("clusters/{}", escape(name)),
    }
}

/// The Applications whose values have a file, and that file from the repository's root.
fn files<'s>(
    destination: &'s RenderedDestination,
    folder: &str,
    escape: &impl Fn(&str) -> String,
) -> Vec<(&'s ObjectId, String)> {
    let below = format!("{folder}/{}/values", place(&destination.destination, escape));
    destination.values.iter().map(|file| (&file.application, format!("{below}/{}.yaml", escape(&file.name)))).collect()
}

/// The Application that applies the files of a destination, which are in `folder`; none where it has none.
fn tree(
    rendered: &RenderedSite,
    destination: &RenderedDestination,
    repository: &str,
    folder: &str,
) -> Result<Option<Value>, String> {
    let site = &rendered.site;
    let objects = || destination.objects.iter().filter(|object| !left_out(&object.id));
    if objects().next().is_none() {
        return Ok(None);
    }
    let hidden = destination.objects.len() > objects().count();
    if let Some(other) = objects().find(|object| hidden && object.id.kind.eq_ignore_ascii_case("Application")) {
        return Err(format!(
            "{} of group `{}` would be left out of {} with Argo CD's Applications: their files have the same names",
            other.id, other.id.group, destination.destination
        ));
    }
    let (name, cluster) = match &destination.destination {
        Destination::Management => (rendered.name.clone(), site.argocd.management_cluster.clone()),
        Destination::Cluster(cluster) => (name_of(site, cluster), cluster.to_string()),
    };
    let mut source = json!({
        "repoURL": repository,
        "targetRevision": site.argocd.revision(),
        "path": folder,
    });
    if hidden {
        source["directory"] = json!({"exclude": "{application-*,application.*}"});
    }
    let needs = Needs::of(objects().map(|object| &object.node));
    Ok(Some(json!({
        "apiVersion": API,
        "kind": "Application",
        "metadata": {
            "name": name,
            "namespace": site.argocd.namespace,
            "labels": {SITE_LABEL: rendered.name},
            "annotations": {paths::ANNOTATION: "."},
        },
        "spec": {
            "project": site.argocd.project,
            "source": source,
            "destination": {"name": cluster},
            "syncPolicy": sync_policy(site, needs),
        },
    })))
}

/// A chart's Application with its values from the tree. One that has no file there stays as it is, as does one whose chart
/// lies in the tree's repository at another revision: Argo CD wants one revision of a repository in one Application.
fn chart(rendered: &RenderedSite, application: &Node, file: Option<&str>, repository: &str) -> Node {
    let argocd = &rendered.site.argocd;
    let (Some(file), Some(spec)) = (file, application.get("spec")) else { return application.clone() };
    let Some(source) = spec.get("source").filter(|_| spec.get("sources").is_none()) else { return application.clone() };
    let same = source.text(&["repoURL"]).is_some_and(|url| comparable(url) == comparable(repository));
    if same && source.text(&["targetRevision"]).unwrap_or("HEAD") != argocd.revision() {
        return application.clone();
    }
    let origin = source.origin();
    let empty = Node::map([], origin);
    let helm = source.get("helm").unwrap_or(&empty).without("valuesObject").without("values");
    let path = Node::str(format!("$values/{file}"), origin);
    // Later files win, and what the tree holds won over those that the chart brings.
    let files = helm.items(&["valueFiles"]).iter().cloned().chain([path]).collect();
    let chart = source.with("helm", helm.with("valueFiles", Node::list(files, origin)));
    let values = node(&json!({"repoURL": repository, "targetRevision": argocd.revision(), "ref": "values"}));
    let spec = spec.without("source").with("sources", Node::list(vec![chart, values], origin));
    application.with("spec", spec)
}

/// A URL of a repository as far as spellings of one repository differ.
fn comparable(url: &str) -> String {
    let url = url.trim_end_matches('/');
    url.strip_suffix(".git").unwrap_or(url).to_ascii_lowercase()
}

/// The repositories that Applications of the site's own project read.
#[must_use]
pub fn repositories(rendered: &RenderedSite, applications: &[Value]) -> Vec<String> {
    let own = applications.iter().filter(|one| one["spec"]["project"] == *rendered.site.argocd.project);
    let sources = own.flat_map(|one| {
        let many = one["spec"]["sources"].as_array().into_iter().flatten();
        many.chain([&one["spec"]["source"]]).filter_map(|source| source["repoURL"].as_str()).map(str::to_owned)
    });
    sources.collect()
}
