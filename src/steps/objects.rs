//! What the steps ask the rendered objects. PURE.

use crate::node::Node;
use crate::render::object::{Destination, ObjectId};
use crate::render::{RenderedObject, RenderedSite};
use crate::site::{Mode, Release, SystemComponents};

pub(super) const ARGO: &str = "argoproj.io";
pub(super) const OPERATOR: &str = "operator.dpu.nvidia.com";
pub(super) const PROVISIONING: &str = "provisioning.dpu.nvidia.com";
pub(super) const SVC: &str = "svc.dpu.nvidia.com";

/// Chart of OVN-Kubernetes as NVIDIA publishes it: CNI of the hosts, and service on the cards.
const OVN_CHART: &str = "ovn-kubernetes-chart";
/// Charts that bring Argo CD; DPF's own only in the first API.
const ARGO_CHART: &str = "argo-cd";
const DPF_CHART: &str = "dpf-operator";
/// The values of [`OVN_CHART`] that the injector hangs on.
pub(super) const INJECTOR: &str = "ovn-kubernetes-resource-injector";

/// Where the tree is written, from the repository's root.
pub(super) fn out(site: &RenderedSite) -> String {
    format!("rendered/{}", site.name)
}

/// Objects of the management cluster, in order.
pub(super) fn management(site: &RenderedSite) -> &[RenderedObject] {
    destination(site, &Destination::Management)
}

/// Objects of a DPU cluster, in order, without those in between: where the cards are known, sets are not written.
pub(super) fn cluster<'s>(site: &'s RenderedSite, name: &str) -> impl Iterator<Item = &'s RenderedObject> {
    let per_card = site.site.mode == Mode::Standalone && site.inventory.present;
    let between = move |id: &ObjectId| per_card && (id.is(SVC, "ServiceChainSet") || id.is(SVC, "ServiceInterfaceSet"));
    destination(site, &Destination::Cluster(name.into())).iter().filter(move |object| !between(&object.id))
}

fn destination<'s>(site: &'s RenderedSite, destination: &Destination) -> &'s [RenderedObject] {
    let found = site.destinations.iter().find(|found| found.destination == *destination);
    found.map(|found| found.objects.as_slice()).unwrap_or_default()
}

/// Objects of the management cluster of a kind.
pub(super) fn of_kind<'s>(
    site: &'s RenderedSite,
    group: &'s str,
    kind: &'s str,
) -> impl Iterator<Item = &'s RenderedObject> {
    management(site).iter().filter(move |object| object.id.is(group, kind))
}

/// The names of objects of a namespace.
pub(super) fn names_in<'s>(objects: &[&'s RenderedObject], namespace: &str) -> Vec<&'s str> {
    objects.iter().filter(|object| &*object.id.namespace == namespace).map(|object| &*object.id.name).collect()
}

/// The namespaces of objects, each once, in order.
pub(super) fn namespaces_of<'s>(objects: &[&'s RenderedObject]) -> Vec<&'s str> {
    let mut found: Vec<&str> = objects.iter().map(|object| &*object.id.namespace).collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// Whether DPF's own controllers of services run, so that they make what is theirs to make.
pub(super) fn operator_makes_secrets(site: &RenderedSite) -> bool {
    site.site.mode == Mode::Operator || site.site.system_components == SystemComponents::Operator
}

/// Whether the DPF release is of the first API, whose names of objects are known here.
pub(super) fn first_api(site: &RenderedSite) -> bool {
    site.site.dpf <= Release::V25_1
}

/// An Argo CD Application of the management output.
#[derive(Clone, Copy)]
pub(super) struct Application<'s> {
    pub(super) id: &'s ObjectId,
    pub(super) node: &'s Node,
}

/// Where a chart comes from.
pub(super) enum Chart<'s> {
    /// `oci://…` and the chart's name in one.
    Oci(String),
    /// A repository over HTTP, and the chart in it.
    Http { repository: &'s str, chart: &'s str },
    /// A folder of a Git repository.
    Git { repository: &'s str, path: &'s str },
}

impl<'s> Application<'s> {
    fn text(self, path: &[&str]) -> Option<&'s str> {
        self.node.text(path).filter(|text| !text.is_empty())
    }

    /// The source that Helm renders; the first of several.
    fn source(self) -> Option<&'s Node> {
        let helm = |source: &&Node| source.get("chart").is_some() || source.get("helm").is_some();
        let several = self.node.items(&["spec", "sources"]);
        if several.is_empty() { self.node.at(&["spec", "source"]).filter(helm) } else { several.iter().find(helm) }
    }

    /// Its chart, unless it is no Helm chart.
    pub(super) fn chart(self) -> Option<Chart<'s>> {
        let source = self.source()?;
        let repository = source.text(&["repoURL"])?.trim_end_matches('/');
        match (source.text(&["chart"]), source.text(&["path"])) {
            (Some(chart), _) if repository.starts_with("https://") || repository.starts_with("http://") => {
                Some(Chart::Http { repository, chart })
            }
            (Some(chart), _) => {
                let bare = repository.strip_prefix("oci://").unwrap_or(repository);
                Some(Chart::Oci(format!("oci://{bare}/{chart}")))
            }
            (None, Some(path)) => Some(Chart::Git { repository, path }),
            (None, None) => None,
        }
    }

    /// The last part of the chart's name.
    fn chart_name(self) -> Option<&'s str> {
        let chart = self.source()?.text(&["chart"])?;
        Some(chart.rsplit_once('/').map_or(chart, |(_, name)| name))
    }

    /// As Argo CD is told: an OCI registry has no scheme.
    pub(super) fn repository(self) -> Option<&'s str> {
        self.source()?.text(&["repoURL"])
    }

    pub(super) fn revision(self) -> Option<&'s str> {
        self.source()?.text(&["targetRevision"])
    }

    /// The Helm release: the Application's name where none is given.
    pub(super) fn release(self) -> &'s str {
        let given = self.source().and_then(|source| source.text(&["helm", "releaseName"]));
        given.filter(|name| !name.is_empty()).unwrap_or(&self.id.name)
    }

    /// Where the chart goes.
    pub(super) fn namespace(self) -> &'s str {
        self.text(&["spec", "destination", "namespace"]).unwrap_or("default")
    }

    /// A Helm value.
    pub(super) fn value(self, path: &[&str]) -> Option<&'s Node> {
        self.source()?.at(&["helm", "valuesObject"])?.at(path)
    }

    /// Whether the tree has a file with its values: only `spec.source` is looked at there.
    pub(super) fn has_values_file(self) -> bool {
        self.node.at(&["spec", "source", "helm", "valuesObject"]).is_some()
    }

    /// `spec.source.helm.parameters`: name, value, and whether it is text whatever it looks like.
    pub(super) fn parameters(self) -> impl Iterator<Item = (&'s str, String, bool)> {
        let parameters = self.source().map(|source| source.items(&["helm", "parameters"])).unwrap_or_default();
        parameters.iter().filter_map(|parameter| {
            let value = match parameter.get("value")? {
                value if value.as_str().is_some() => value.as_str()?.to_owned(),
                value => value.to_json().to_string(),
            };
            let forced = parameter.get("forceString").and_then(Node::as_bool) == Some(true);
            Some((parameter.text(&["name"])?, value, forced))
        })
    }

    /// Whether deleting it deletes what it installed.
    pub(super) fn cascades(self) -> bool {
        let finalizers = self.node.items(&["metadata", "finalizers"]);
        finalizers.iter().any(|one| one.as_str().is_some_and(|one| one.starts_with("resources-finalizer.argocd")))
    }

    pub(super) fn wave(self) -> i64 {
        let wave = self.text(&["metadata", "annotations", "argocd.argoproj.io/sync-wave"]);
        wave.and_then(|wave| wave.parse().ok()).unwrap_or(0)
    }

    /// Whether it goes to the management cluster.
    fn on_management(self, site: &RenderedSite) -> bool {
        self.text(&["spec", "destination", "name"]) == Some(&site.site.argocd.management_cluster)
            || self.text(&["spec", "destination", "server"]) == Some("https://kubernetes.default.svc")
    }

    /// Whether it goes to this DPU cluster.
    pub(super) fn on_cluster(self, name: &str) -> bool {
        self.text(&["spec", "destination", "name"]) == Some(name)
    }
}

/// Every Application, in order.
pub(super) fn applications(site: &RenderedSite) -> impl Iterator<Item = Application<'_>> {
    of_kind(site, ARGO, "Application").map(|object| Application { id: &object.id, node: &object.node })
}

/// Those of the management cluster.
pub(super) fn on_management(site: &RenderedSite) -> impl Iterator<Item = Application<'_>> {
    applications(site).filter(|application| application.on_management(site))
}

/// OVN-Kubernetes as CNI of the management cluster.
pub(super) fn ovn(site: &RenderedSite) -> Option<Application<'_>> {
    on_management(site).find(|application| application.chart_name() == Some(OVN_CHART))
}

/// Whether the injector is part of the CNI's values.
pub(super) fn has_injector(application: Application<'_>) -> bool {
    application.value(&[INJECTOR, "enabled"]).and_then(Node::as_bool) == Some(true)
}

/// The Application whose chart brings Argo CD.
pub(super) fn argo_cd(site: &RenderedSite) -> Option<Application<'_>> {
    on_management(site)
        .find(|one| one.chart_name() == Some(ARGO_CHART))
        .or_else(|| dpf(site).filter(|_| first_api(site)))
}

/// The Application of the DPF operator.
pub(super) fn dpf(site: &RenderedSite) -> Option<Application<'_>> {
    on_management(site).find(|application| application.chart_name() == Some(DPF_CHART))
}

/// What Helm installs before there is an Argo CD, and Argo CD itself, in order of waves: the charts that the waves put
/// before it. The CNI, which comes first of all, is not among them.
pub(super) fn before_argo_cd(site: &RenderedSite) -> Vec<Application<'_>> {
    let Some(argo) = argo_cd(site) else { return Vec::new() };
    let cni = ovn(site).map(|cni| cni.id);
    let early = |one: &Application<'_>| one.chart().is_some() && Some(one.id) != cni && one.wave() <= argo.wave();
    let mut found: Vec<_> = on_management(site).filter(early).collect();
    found.sort_by_key(|one| (one.wave(), one.id == argo.id));
    found
}

/// Whether Helm installs it, by these steps.
pub(super) fn by_helm(site: &RenderedSite, application: Application<'_>) -> bool {
    ovn(site).is_some_and(|cni| cni.id == application.id)
        || before_argo_cd(site).iter().any(|one| one.id == application.id)
}

/// A list for a sentence: `a`, `b` and `c`.
pub(super) fn list<T: AsRef<str>>(names: &[T]) -> String {
    match names {
        [] => String::new(),
        [one] => one.as_ref().to_owned(),
        [first @ .., last] => {
            let first: Vec<&str> = first.iter().map(AsRef::as_ref).collect();
            format!("{} and {}", first.join(", "), last.as_ref())
        }
    }
}
