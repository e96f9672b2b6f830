//! Argo CD's `Application`s and `AppProject`s. PURE.
//!
//! In: what a service is on a cluster. Out: the objects that make Argo CD install it. Mirrors
//! `internal/dpuservice/controllers/dpuservice_controller.go` and `internal/argocd`, release v24.10.0-rc.6. On purpose
//! different outside parity: everything lives in the site's Argo CD namespace, a digest of the content is an annotation, a sync
//! is tried for longer, and beside an operator that keeps its own projects ours are named after the site.

use super::context::{Context, Object, name, namespace};
use super::names::{ARGO_V1, COMPONENT, SYNC_WAVE, digest};
use super::operator_config::rendered;
use crate::node::Node;
use crate::source::Origin;
use crate::yaml::write;

/// Annotation with 16 hex digits of SHA-256 over the source.
pub const CONTENT_DIGEST: &str = "dpu-render.dev/content-digest";
const MANAGER: &str = "dpuservice-manager";

/// Where Applications live and what they belong to.
pub(super) struct Argo {
    pub(super) namespace: String,
    /// Name of the management cluster.
    pub(super) management: String,
    /// Projects of services on DPU clusters and in the management cluster.
    projects: [String; 2],
}

impl Argo {
    pub(super) fn of(cx: &Context<'_>, config: &Node) -> Self {
        let site = cx.input.site;
        let projects = if cx.parity || rendered(cx) {
            ["doca-platform-project-dpu".to_owned(), "doca-platform-project-host".to_owned()]
        } else {
            [format!("{}-dpu", site.name), format!("{}-host", site.name)]
        };
        if cx.parity {
            Self { namespace: namespace(config).to_owned(), management: "in-cluster".to_owned(), projects }
        } else {
            let management = site.argocd.management_cluster.clone();
            Self { namespace: site.argocd.namespace.clone(), management, projects }
        }
    }
}

/// The part of an Application that is the same wherever source and values are.
#[derive(Clone)]
pub(super) struct Content {
    pub(super) source: Node,
    pub(super) values: Node,
    digest: Option<Node>,
}

fn source_digest(source: &Node) -> String {
    let mut text = String::new();
    write::json(source, &mut text);
    digest(&text)
}

/// The part of the Applications of a service that is the same on every cluster; made once and grafted.
pub(super) struct Frame {
    api: Node,
    kind: Node,
    argo_namespace: Node,
    finalizers: Node,
    name: Node,
    namespace: Node,
    component: Node,
    wave: Option<Node>,
    paused: Option<Node>,
    projects: [Node; 2],
    sync_policy: Node,
    origin: Origin,
}

impl Frame {
    /// The frame of `service`.
    pub(super) fn new(cx: &Context<'_>, argo: &Argo, service: &Node, paused: bool) -> Self {
        let origin = service.origin();
        let text = |value: &str| Node::str(value, origin);
        let yes = || Some(Node::bool(true, origin));
        let automated = Node::map([("prune", yes()), ("selfHeal", yes())], origin);
        // The namespace may come later than Argo CD tries by itself.
        let retry = (!cx.parity).then(|| Node::from_json(&cx.input.site.argocd.version.retry(), origin));
        Self {
            api: text(ARGO_V1),
            kind: text("Application"),
            argo_namespace: text(&argo.namespace),
            finalizers: Node::list(vec![text("resources-finalizer.argocd.argoproj.io")], origin),
            name: text(name(service)),
            namespace: text(namespace(service)),
            component: text(MANAGER),
            wave: cx.wave(service),
            paused: paused.then(|| text("true")),
            projects: [text(&argo.projects[0]), text(&argo.projects[1])],
            sync_policy: Node::map([("automated", Some(automated)), ("retry", retry)], origin),
            origin,
        }
    }
}

impl Content {
    /// The content of a service: `spec.helmChart.source`, with these values.
    pub(super) fn new(cx: &Context<'_>, chart: Option<&Node>, values: Node, origin: Origin) -> Self {
        let text = |key: &str| {
            chart
                .and_then(|chart| chart.get(key))
                .filter(|node| node.as_str().is_some_and(|text| !text.is_empty()))
                .cloned()
        };
        // Argo CD wants OCI registries without a scheme.
        let repo = text("repoURL").map(|node| match node.as_str().and_then(|url| url.strip_prefix("oci://")) {
            Some(bare) => Node::str(bare, node.origin()),
            None => node,
        });
        let helm = Node::map([("releaseName", text("releaseName")), ("valuesObject", Some(values.clone()))], origin);
        let source = Node::map(
            [
                ("repoURL", repo),
                ("chart", text("chart")),
                ("path", text("path")),
                ("targetRevision", text("version")),
                ("helm", Some(helm)),
            ],
            chart.map_or(origin, Node::origin),
        );
        let digest = (!cx.parity).then(|| Node::str(source_digest(&source), origin));
        Self { source, values, digest }
    }
}

/// An Application after a patch: the digest of what was patched would say that nothing changed.
#[must_use]
pub fn redigest(before: &Node, after: Node) -> Node {
    let path = ["metadata", "annotations", CONTENT_DIGEST];
    let source = |node: &Node| node.at(&["spec", "source"]).cloned();
    match (after.at(&path), source(before), source(&after)) {
        (Some(carried), Some(old), Some(new)) if !old.same(&new) => {
            let digest = Node::str(digest(&new.to_json().to_string()), carried.origin());
            after.with_at(&path, digest)
        }
        _ => after,
    }
}

/// The Application of a service on a DPU cluster, or with `None` in the management cluster.
pub(super) fn application(
    cx: &Context<'_>,
    argo: &Argo,
    frame: &Frame,
    content: &Content,
    cluster: Option<usize>,
) -> Node {
    let origin = frame.origin;
    let (cluster_name, project) = match cluster {
        Some(index) => (cx.cluster_name(index), &frame.projects[0]),
        None => (argo.management.as_str(), &frame.projects[1]),
    };
    let cluster = Node::str(cluster_name, origin);
    let same = |node: &Node| Some(node.clone());
    let application = format!("{cluster_name}-{}", frame.name.as_str().unwrap_or_default());
    let labels = Node::map(
        [
            ("dpu.nvidia.com/cluster", same(&cluster)),
            (COMPONENT, same(&frame.component)),
            ("dpu.nvidia.com/dpuservice-name", same(&frame.name)),
            ("dpu.nvidia.com/dpuservice-namespace", same(&frame.namespace)),
        ],
        origin,
    );
    let annotations = [
        ("argocd.argoproj.io/skip-reconcile", frame.paused.clone()),
        (SYNC_WAVE, frame.wave.clone()),
        (CONTENT_DIGEST, content.digest.clone()),
    ];
    let annotated = annotations.iter().any(|(_, value)| value.is_some());
    let metadata = Node::map(
        [
            ("annotations", annotated.then(|| Node::map(annotations, origin))),
            ("finalizers", same(&frame.finalizers)),
            ("labels", Some(labels)),
            ("name", Some(Node::str(application, origin))),
            ("namespace", same(&frame.argo_namespace)),
        ],
        origin,
    );
    let destination = Node::map([("name", Some(cluster)), ("namespace", same(&frame.namespace))], origin);
    let spec = Node::map(
        [
            ("destination", Some(destination)),
            ("project", same(project)),
            ("source", same(&content.source)),
            ("syncPolicy", same(&frame.sync_policy)),
        ],
        origin,
    );
    let members = [
        ("apiVersion", same(&frame.api)),
        ("kind", same(&frame.kind)),
        ("metadata", Some(metadata)),
        ("spec", Some(spec)),
    ];
    Node::map(members, origin)
}

/// The two AppProjects; in the wave of the first Application.
pub(super) fn projects(cx: &Context<'_>, argo: &Argo, config: &Node, wave: Option<i64>) -> [Node; 2] {
    let mut clusters: Vec<_> =
        cx.input.site.clusters.iter().map(|cluster| (&cluster.namespace, &cluster.name)).collect();
    clusters.sort_unstable();
    let clusters: Vec<&str> = clusters.into_iter().map(|(_, name)| name.as_str()).collect();
    [
        project(&argo.projects[0], argo, &clusters, config, wave),
        project(&argo.projects[1], argo, &[&argo.management], config, wave),
    ]
}

fn project(project: &str, argo: &Argo, clusters: &[&str], config: &Node, wave: Option<i64>) -> Node {
    let origin = config.origin();
    let any = || Some(Node::str("*", origin));
    let destinations: Vec<Node> = clusters
        .iter()
        .map(|name| Node::map([("name", Some(Node::str(*name, origin))), ("namespace", any())], origin))
        .collect();
    let kinds = Node::map([("group", any()), ("kind", any())], origin);
    let spec = Node::map(
        [
            ("description", Some(Node::str("Installing DPU Services", origin))),
            ("sourceRepos", any().map(|any| Node::list(vec![any], origin))),
            ("destinations", (!destinations.is_empty()).then(|| Node::list(destinations, origin))),
            ("clusterResourceWhitelist", Some(Node::list(vec![kinds], origin))),
            ("orphanedResources", Some(Node::map([], origin))),
        ],
        origin,
    );
    Object::new(ARGO_V1, "AppProject", &argo.namespace, project, origin)
        .label(COMPONENT, MANAGER)
        .wave(wave.map(|wave| Node::str(wave.to_string(), origin)))
        .with([("spec", Some(spec))])
}

/// The smallest sync wave of some objects, where that is before the usual one.
pub(super) fn early_wave<'n>(cx: &Context<'_>, objects: impl IntoIterator<Item = &'n Node>) -> Option<i64> {
    let wave = |node: &Node| node.text(&["metadata", "annotations", SYNC_WAVE])?.trim().parse::<i64>().ok();
    objects.into_iter().filter_map(wave).min().filter(|wave| *wave < 0 && !cx.parity)
}
