//! The AppProject of a site: its repository, its clusters, the kinds that it has, and nothing else. PURE.
//!
//! In: rendered sites. Out: one AppProject per project. It is a person's to apply and not part of what a site renders: what
//! may be pushed to Git does not decide what Git may do.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::applications::{API, GROUP, SITE_LABEL};
use crate::render::RenderedSite;
use crate::render::object::ObjectId;
use crate::schema::{self, table::Scope};

/// The project that Argo CD comes with: everything is allowed there.
pub const DEFAULT: &str = "default";

/// What the sites of one project may touch.
#[derive(Debug, Default)]
struct Fence {
    sites: BTreeSet<String>,
    repositories: BTreeSet<String>,
    destinations: BTreeSet<String>,
    cluster_kinds: BTreeSet<(String, String)>,
    /// Group and kind; `*` for every kind of a group.
    namespaced_kinds: BTreeSet<(String, String)>,
}

/// The AppProjects of some sites, by namespace and name.
#[derive(Debug, Default)]
pub struct Projects(BTreeMap<(String, String), Fence>);

impl Projects {
    /// Allows what a site renders; objects that `left_out` names are applied by hand.
    pub fn add(&mut self, rendered: &RenderedSite, left_out: impl Fn(&ObjectId) -> bool) {
        let argocd = &rendered.site.argocd;
        let fence = self.0.entry((argocd.namespace.clone(), argocd.project.clone())).or_default();
        fence.sites.insert(rendered.name.clone());
        fence.repositories.extend(argocd.repo_url.clone());
        fence.destinations.insert(argocd.management_cluster.clone());
        fence.destinations.extend(rendered.site.clusters.iter().map(|cluster| cluster.name.clone()));
        for object in rendered.destinations.iter().flat_map(|destination| &destination.objects) {
            let id = &object.id;
            if left_out(id) {
                continue;
            }
            let (group, kind) = (id.group.to_string(), id.kind.to_string());
            let by_namespace = || if id.namespace.is_empty() { Scope::Cluster } else { Scope::Namespaced };
            match schema::scope(&group, &kind, rendered.site.dpf).unwrap_or_else(by_namespace) {
                Scope::Cluster => fence.cluster_kinds.insert((group, kind)),
                // Of Argo CD's own kinds, only those that there are.
                Scope::Namespaced if group == GROUP => fence.namespaced_kinds.insert((group, kind)),
                Scope::Namespaced => fence.namespaced_kinds.insert((group, "*".to_owned())),
            };
        }
    }

    /// Allows a site's project another repository.
    pub fn allow_repository(&mut self, rendered: &RenderedSite, url: &str) {
        let argocd = &rendered.site.argocd;
        if let Some(fence) = self.0.get_mut(&(argocd.namespace.clone(), argocd.project.clone())) {
            fence.repositories.insert(url.to_owned());
        }
    }

    /// The AppProjects; Argo CD's own is not ours to write.
    pub fn objects(&self) -> impl Iterator<Item = Value> {
        let ours = self.0.iter().filter(|((_, name), _)| name != DEFAULT);
        ours.map(|((namespace, name), fence)| fence.object(namespace, name))
    }
}

impl Fence {
    fn object(&self, namespace: &str, name: &str) -> Value {
        let kinds = |kinds: &BTreeSet<(String, String)>| -> Vec<Value> {
            kinds.iter().map(|(group, kind)| json!({"group": group, "kind": kind})).collect()
        };
        let destinations = self.destinations.iter().map(|name| json!({"name": name, "namespace": "*"}));
        let sites: Vec<&str> = self.sites.iter().map(String::as_str).collect();
        let mut metadata = json!({"name": name, "namespace": namespace});
        if let [site] = &*sites {
            metadata["labels"] = json!({SITE_LABEL: site});
        }
        let mut project = json!({
            "apiVersion": API,
            "kind": "AppProject",
            "metadata": metadata,
            "spec": {
                "description": format!("What dpu-render makes of {}", sites.join(", ")),
                "sourceRepos": self.repositories,
                "destinations": destinations.collect::<Vec<_>>(),
                "clusterResourceWhitelist": kinds(&self.cluster_kinds),
                "namespaceResourceWhitelist": kinds(&self.namespaced_kinds),
            },
        });
        if self.namespaced_kinds.is_empty() {
            // An empty list is lost on the way, and no list allows everything.
            project["spec"]["namespaceResourceBlacklist"] = json!([{"group": "*", "kind": "*"}]);
        }
        project
    }
}
