//! What a person applies once so that Argo CD calls this program: the root Application of each site, or an ApplicationSet that
//! makes them. PURE.
//!
//! In: rendered sites. Out: objects as JSON values. Their AppProjects are [`super::project`]'s.

use serde_json::{Value, json};

use super::applications::{API, Needs, SITE_LABEL, application, sync_policy};
use super::paths;
use crate::diagnostic::Diagnostic;
use crate::node::Node;
use crate::render::object::Destination;
use crate::render::{RenderedDestination, RenderedSite};
use crate::site::Site;

/// A site that Argo CD cannot read.
#[must_use]
pub fn without_repository(site: &Site) -> Diagnostic {
    let spec = site.node.get("spec").unwrap_or(&site.node);
    let origin = spec.get("argocd").map_or(spec.origin(), Node::origin);
    let message = format!("Site `{}` does not say which repository Argo CD reads it from", site.name);
    let fault = Diagnostic::error("missing-field", origin, message);
    fault.help("write `argocd: {repoURL: https://…, targetRevision: refs/heads/main}` below its `spec`")
}

/// What is kept of a rendered site.
#[derive(Debug)]
pub struct Member {
    site: Site,
    folders: Vec<String>,
    needs: Needs,
    /// With parity, nothing of ours is among the management cluster's objects.
    beside: Vec<Value>,
}

impl Member {
    /// Of a site with all its objects.
    #[must_use]
    pub fn of(rendered: RenderedSite) -> Self {
        let management = rendered.destinations.iter().filter(|one| one.destination == Destination::Management);
        let needs = Needs::of(management.flat_map(|one| &one.objects).map(|object| &object.node));
        let (site, folders) = (rendered.site, rendered.folders);
        let apart = |one: &RenderedDestination| {
            if !site.parity || one.destination == Destination::Management || one.objects.is_empty() {
                return None;
            }
            let needs = Needs::of(one.objects.iter().map(|object| &object.node));
            application(&site, &folders, &one.destination, needs)
        };
        let beside = rendered.destinations.iter().filter_map(apart).collect();
        Self { site, folders, needs, beside }
    }

    /// The Application of the management cluster; nothing where the site does not say its repository.
    #[must_use]
    pub fn root(&self) -> Option<Value> {
        application(&self.site, &self.folders, &Destination::Management, self.needs)
    }

    /// Applications of DPU clusters that the management cluster's objects do not hold.
    #[must_use]
    pub fn beside(&self) -> &[Value] {
        &self.beside
    }
}

/// Name of the ApplicationSet.
pub const SET: &str = "dpu-render-sites";

/// A field that the sites of one set share: its name and its value.
type Field = (&'static str, fn(&Site) -> String);

/// One ApplicationSet in place of the root Applications.
///
/// # Errors
/// Where two of the sites cannot have their Applications of one template: which, and what differs.
pub fn application_set(sites: &[Member]) -> Result<Option<Value>, String> {
    let Some(first) = sites.first() else { return Ok(None) };
    let same: [Field; 5] = [
        ("argocd.namespace", |site| site.argocd.namespace.clone()),
        ("argocd.managementCluster", |site| site.argocd.management_cluster.clone()),
        ("argocd.repoURL", |site| site.argocd.repo_url.clone().unwrap_or_default()),
        ("argocd.targetRevision", |site| site.argocd.revision().to_owned()),
        ("argocd.version", |site| site.argocd.version.to_string()),
    ];
    for (field, value) in same {
        let wanted = value(&first.site);
        if let Some(other) = sites.iter().find(|other| value(&other.site) != wanted) {
            return Err(format!(
                "one ApplicationSet has one `{field}`, but that of {} is `{wanted}` and that of {} is `{}`",
                first.site.name,
                other.site.name,
                value(&other.site)
            ));
        }
    }
    let site = &first.site;
    let element = |member: &Member| {
        let site = &member.site;
        json!({
            "name": site.name,
            "path": site.folder,
            "paths": paths::annotation(&site.folder, member.folders.iter().map(String::as_str)),
            "project": site.argocd.project,
            "plugin": site.argocd.plugin,
        })
    };
    let all = sites.iter().map(|member| member.needs).fold(Needs::default(), Needs::and);
    let destination = json!({"name": "destination", "string": Destination::Management.to_string()});
    Ok(Some(json!({
        "apiVersion": API,
        "kind": "ApplicationSet",
        "metadata": {"name": SET, "namespace": site.argocd.namespace},
        "spec": {
            "goTemplate": true,
            "goTemplateOptions": ["missingkey=error"],
            "generators": [{"list": {"elements": sites.iter().map(element).collect::<Vec<_>>()}}],
            // A site that is taken from the list keeps what it has.
            "syncPolicy": {"preserveResourcesOnDeletion": true},
            "template": {
                "metadata": {
                    "name": "{{.name}}",
                    "labels": {SITE_LABEL: "{{.name}}"},
                    "annotations": {paths::ANNOTATION: "{{.paths}}"},
                },
                "spec": {
                    "project": "{{.project}}",
                    "source": {
                        "repoURL": site.argocd.repo_url,
                        "targetRevision": site.argocd.revision(),
                        "path": "{{.path}}",
                        "plugin": {"name": "{{.plugin}}", "parameters": [destination]},
                    },
                    "destination": {"name": site.argocd.management_cluster},
                    "syncPolicy": sync_policy(site, all),
                },
            },
        },
    })))
}
