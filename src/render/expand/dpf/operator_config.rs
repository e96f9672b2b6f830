//! `DPFOperatorConfig` → a `DPUService` per system component that runs on cards. PURE.
//!
//! In: the operator's configuration and the release's images and chart. Out: eight DPUServices at most, among the parts that
//! are expanded further. Mirrors `internal/operator/inventory` and `internal/operator/controllers`, release v24.10.0-rc.6. On
//! purpose different outside parity: `disable: true` is what keeps the operator's hands off a component, so it does not keep
//! us from rendering it; the annotation `dpu-render.dev/without` does, and `sfc-controller` gives way to our agent.
//! ApplySets are Argo CD's matter (only their label is written, and only with parity).

use sha2::{Digest as _, Sha256};

use super::application::early_wave;
use super::context::{Context, Object, given, list, name, namespace, place};
use super::deployment::nested;
use super::names::{COMPONENT, OPERATOR, SVC_V1};
use super::parts::{Parts, add};
use super::service::in_management;
use crate::diagnostic::{Diagnostic, nearest};
use crate::node::{EXPRESSION, Node};
use crate::site::SystemComponents;
use crate::source::Origin;

/// Names of components that are not rendered, separated by commas; on the `DPFOperatorConfig`.
pub const WITHOUT: &str = "dpu-render.dev/without";
/// Tag of the DPF release whose images and charts are the default; on the `DPFOperatorConfig`.
pub const RELEASE: &str = "dpu-render.dev/release";
/// The one name that the operator reads.
const NAME: &str = "dpfoperatorconfig";
/// The release where [`RELEASE`] does not say.
const DEFAULT_RELEASE: &str = "v24.10.0";

/// Images and chart that a build of the operator carries.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ReleaseDefaults {
    /// Controllers of sets, of the service function chain, and the OVS helper.
    pub dpf_system: String,
    /// OVS CNI.
    pub ovs_cni: String,
    /// Multus.
    pub multus: String,
    /// SR-IOV device plugin.
    pub sriov_device_plugin: String,
    /// NVIDIA IPAM.
    pub nv_ipam: String,
    /// The umbrella chart of all components.
    pub dpu_networking: String,
}

impl ReleaseDefaults {
    /// Of a build of DPF that was pushed to `registry` (images) and `charts` (with its scheme) under `tag`.
    #[must_use]
    pub fn of_build(registry: &str, charts: &str, tag: &str) -> Self {
        Self {
            dpf_system: format!("{registry}/dpf-system:{tag}"),
            ovs_cni: format!("{registry}/ovs-cni-plugin:{tag}"),
            multus: "ghcr.io/k8snetworkplumbingwg/multus-cni:v3.9.3".to_owned(),
            sriov_device_plugin: "ghcr.io/k8snetworkplumbingwg/sriov-network-device-plugin:v3.6.2".to_owned(),
            nv_ipam: "ghcr.io/mellanox/nvidia-k8s-ipam:v0.3.5".to_owned(),
            dpu_networking: format!("{charts}/dpu-networking:{tag}"),
        }
    }

    /// Of a published release.
    #[must_use]
    pub fn published(tag: &str) -> Self {
        Self::of_build("ghcr.io/nvidia", "oci://ghcr.io/nvidia", tag)
    }
}

/// A component that runs on cards.
struct Component {
    name: &'static str,
    /// Its stanza in the configuration.
    stanza: &'static str,
    image: fn(&ReleaseDefaults) -> Option<&str>,
    /// Where repository and tag of the image go, below the component's values.
    image_paths: &'static [&'static [&'static str]],
    /// Where an MTU goes, and which.
    mtu: Option<(&'static [&'static str], &'static str)>,
}

const MANAGER: &[&[&str]] = &[&["controllerManager", "manager", "image"]];

const COMPONENTS: [Component; 8] = [
    Component {
        name: "servicechainset-controller",
        stanza: "serviceSetController",
        image: |defaults| Some(&defaults.dpf_system),
        image_paths: MANAGER,
        mtu: None,
    },
    Component {
        name: "multus",
        stanza: "multus",
        image: |defaults| Some(&defaults.multus),
        image_paths: &[&["kubeMultusDs", "installMultusBinary", "image"], &["kubeMultusDs", "kubeMultus", "image"]],
        mtu: Some((&["mtu"], "highSpeedMTU")),
    },
    Component {
        name: "sriov-device-plugin",
        stanza: "sriovDevicePlugin",
        image: |defaults| Some(&defaults.sriov_device_plugin),
        image_paths: &[&["kubeSriovDevicePlugin", "kubeSriovdp", "image"]],
        mtu: None,
    },
    Component {
        name: "flannel",
        stanza: "flannel",
        image: |_| None,
        image_paths: &[],
        mtu: Some((&["flannel", "mtu"], "controlPlaneMTU")),
    },
    Component {
        name: "nvidia-k8s-ipam",
        stanza: "nvipam",
        image: |defaults| Some(&defaults.nv_ipam),
        image_paths: &[&["nvIpam", "image"]],
        mtu: None,
    },
    Component {
        name: "ovs-cni",
        stanza: "ovsCNI",
        image: |defaults| Some(&defaults.ovs_cni),
        image_paths: &[&["arm64", "ovsCniMarker", "image"], &["arm64", "ovsCniPlugin", "image"]],
        mtu: None,
    },
    Component {
        name: "sfc-controller",
        stanza: "sfcController",
        image: |defaults| Some(&defaults.dpf_system),
        image_paths: MANAGER,
        mtu: None,
    },
    Component {
        name: "ovs-helper",
        stanza: "ovsHelper",
        image: |defaults| Some(&defaults.dpf_system),
        image_paths: &[&["ovsHelper", "image"]],
        mtu: None,
    },
];

/// The site's configuration of the operator; more than one is a fault. `needed` says who cannot do without.
pub(super) fn find<'a>(cx: &mut Context<'a>, needed: Option<(String, Origin)>) -> Option<&'a Node> {
    let mut found: Vec<_> = cx.of_kind(OPERATOR, "DPFOperatorConfig").collect();
    // The operator ignores those of another name, and a rule says so.
    if found.iter().any(|(id, _)| &*id.name == NAME) {
        found.retain(|(id, _)| &*id.name == NAME);
    }
    let external = &cx.input.site.external;
    let external = external.iter().any(|entry| entry.group == OPERATOR && entry.kind == "DPFOperatorConfig");
    match (found.as_slice(), needed) {
        ([(_, one)], _) => return Some(one),
        ([], None) => {}
        // Nothing is made of it here.
        ([], Some(_)) if external && !cx.standalone() => {}
        ([], Some((who, origin))) => {
            cx.report(
                Diagnostic::error(
                    "operator-config-count",
                    origin,
                    format!("{who} needs exactly one DPFOperatorConfig, and the site has none"),
                )
                .help("its namespace says where DPF lives: add one, usually `dpf-operator-system/dpfoperatorconfig`"),
            );
        }
        ([(_, first), rest @ ..], _) => {
            let names: Vec<String> = found.iter().map(|(id, _)| format!("{}/{}", id.namespace, id.name)).collect();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let mut diagnostic = Diagnostic::error(
                "operator-config-count",
                first.origin(),
                format!(
                    "the site has {} DPFOperatorConfigs, and exactly one is allowed: {}",
                    found.len(),
                    list(&names)
                ),
            )
            .help("leave one of them");
            for (id, other) in rest {
                diagnostic = diagnostic.note_at(id.to_string(), place(other));
            }
            cx.report(diagnostic);
            return Some(first);
        }
    }
    None
}

/// Whether the site's system components are made here.
pub(super) fn rendered(cx: &Context<'_>) -> bool {
    cx.input.site.system_components == SystemComponents::Rendered
}

/// Whether one of the components brings the kinds of chains and interfaces: both of these charts do.
pub(super) fn bring_chain_kinds(parts: &Parts) -> bool {
    let brings =
        |part: &super::parts::Part| matches!(name(&part.node), "servicechainset-controller" | "sfc-controller");
    parts.services.values().any(brings)
}

/// Adds the DPUServices of the components.
pub(super) fn expand(cx: &mut Context<'_>, config: &Node, parts: &mut Parts) {
    let annotation = |key: &str| config.at(&["metadata", "annotations", key]);
    let published;
    let defaults = match cx.defaults {
        Some(defaults) => defaults,
        None => {
            published = ReleaseDefaults::published(release(cx, config, annotation(RELEASE)));
            &published
        }
    };
    let without = excluded(cx, config);
    // No wave of the configuration's: what runs on cards cannot be healthy before there are DPU clusters and cards, which
    // come in later waves; Argo CD would wait for it for ever. But no later than the services, which need it on their cards.
    let on_cards = parts.services.values().filter(|part| !in_management(&part.node)).map(|part| &part.node);
    let wave = early_wave(cx, on_cards);
    for component in &COMPONENTS {
        let skipped = if cx.parity {
            given(config, &["spec", component.stanza, "disable"]).and_then(Node::as_bool).unwrap_or_default()
        } else {
            without.contains(&component.name) || component.name == "sfc-controller" && cx.input.site.agent.is_some()
        };
        if !skipped && let Some(service) = service(cx, config, component, defaults, wave) {
            let values = given(&service, &["spec", "helmChart", "values"]).cloned().into_iter().collect();
            add(
                cx,
                &mut parts.services,
                service,
                values,
                &format!("DPFOperatorConfig {}/{}", namespace(config), name(config)),
            );
        }
    }
}

/// The release whose images and charts are the default.
fn release<'n>(cx: &mut Context<'_>, config: &Node, annotation: Option<&'n Node>) -> &'n str {
    if let Some(release) = annotation.and_then(Node::as_str).filter(|release| !release.trim().is_empty()) {
        return release;
    }
    if !DEFAULT_RELEASE.starts_with(cx.input.site.dpf.name()) {
        let message = format!(
            "the site is of DPF {}, and its system components are taken from {DEFAULT_RELEASE}",
            cx.input.site.dpf.name()
        );
        cx.report(
            Diagnostic::warning("components-release", place(config), message)
                .help(format!("annotate the DPFOperatorConfig with `{RELEASE}: <tag of the release you install>`")),
        );
    }
    DEFAULT_RELEASE
}

/// The components that the annotation leaves out.
fn excluded(cx: &mut Context<'_>, config: &Node) -> Vec<&'static str> {
    let Some(annotation) = config.at(&["metadata", "annotations", WITHOUT]) else { return Vec::new() };
    let names = COMPONENTS.each_ref().map(|component| component.name);
    let mut excluded = Vec::new();
    for word in annotation.as_str().unwrap_or_default().split(',').map(str::trim).filter(|word| !word.is_empty()) {
        match names.iter().find(|name| **name == word) {
            Some(name) => excluded.push(*name),
            None => cx.report(
                Diagnostic::error(
                    "component-unknown",
                    annotation.origin(),
                    format!("`{WITHOUT}` names `{word}`, which is no system component that is rendered"),
                )
                .help(match nearest(word, names) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("the components are {}", list(&names)),
                }),
            ),
        }
    }
    excluded
}

fn service(
    cx: &mut Context<'_>,
    config: &Node,
    component: &Component,
    defaults: &ReleaseDefaults,
    wave: Option<i64>,
) -> Option<Node> {
    let stanza = given(config, &["spec", component.stanza]);
    let origin = stanza.map_or(config.key_origin("spec"), Node::origin);
    let own = |key: &str| stanza.and_then(|stanza| given(stanza, &[key])).filter(|node| node.as_str().is_some());
    let default = |text: &str| Node::str(text, origin);

    let chart = own("helmChart").cloned().unwrap_or_else(|| default(&defaults.dpu_networking));
    // A port is no version, though upstream takes it for one.
    let chart_parts =
        chart.as_str().and_then(parse_chart).filter(|(.., version)| cx.input.site.parity || !version.contains('/'));
    let image = (component.image)(defaults).map(|image| own("image").cloned().unwrap_or_else(|| default(image)));
    let image_parts = image.as_ref().map(|image| (image.origin(), image.as_str().and_then(parse_image)));
    if chart_parts.is_none() {
        cx.report(
            Diagnostic::error(
                "chart-reference",
                chart.origin(),
                format!("chart `{}` of `{}` has no version", chart.as_str().unwrap_or_default(), component.name),
            )
            .help("write it as `oci://registry.example.com/charts/dpu-networking:v24.10.0`"),
        );
    }
    if let (Some(image), Some((_, None))) = (&image, &image_parts) {
        cx.report(
            Diagnostic::error(
                "operator-image",
                image.origin(),
                format!("image `{}` of `{}` has no tag", image.as_str().unwrap_or_default(), component.name),
            )
            .help("write it as `registry.example.com/dpf-system:v24.10.0`"),
        );
    }
    let (repo, chart_name, version) = chart_parts?;

    let mut values = Node::map([("enabled", Some(Node::bool(true, origin)))], origin);
    if let Some(secrets) = given(config, &["spec", "imagePullSecrets"]) {
        let items: Vec<Node> =
            secrets.items(&[]).iter().map(|name| Node::map([("name", Some(name.clone()))], name.origin())).collect();
        values = values.with("imagePullSecrets", Node::list(items, secrets.origin()));
    }
    if let Some((origin, parts)) = image_parts {
        let (repository, tag) = parts?;
        let image = Node::map(
            [("repository", Some(Node::str(repository, origin))), ("tag", Some(Node::str(tag, origin)))],
            origin,
        );
        for path in component.image_paths {
            values = values.with_at(path, image.clone());
        }
    }
    if let Some((path, field)) = component.mtu {
        let mtu = given(config, &["spec", "networking", field]);
        let mtu_origin = mtu.map_or(origin, Node::origin);
        // The charts want a string.
        let text = match mtu.map(Node::value) {
            Some(crate::node::Value::Number(number)) => number.to_string(),
            Some(crate::node::Value::Str(text)) => as_string(text),
            _ => "1500".to_owned(),
        };
        values = values.with_at(path, Node::str(text, mtu_origin));
    }
    let source = Node::map(
        [
            ("repoURL", Some(Node::str(repo, chart.origin()))),
            ("chart", Some(Node::str(chart_name, chart.origin()))),
            ("version", Some(Node::str(version, chart.origin()))),
        ],
        chart.origin(),
    );
    let values = Node::map([(component.name, Some(values))], origin);
    let chart = Node::map([("source", Some(source)), ("values", Some(values))], origin);
    let opns = namespace(config);
    let mut object = Object::new(SVC_V1, "DPUService", opns, component.name, origin)
        .label(COMPONENT, component.name)
        .wave(wave.map(|wave| Node::str(wave.to_string(), origin)));
    if cx.parity {
        object = object.label("applyset.kubernetes.io/part-of", apply_set_id(component.name, opns));
    }
    Some(object.with([("spec", Some(nested(&["helmChart"], chart)))]))
}

/// An expression whose result is a string; any other text as it is.
fn as_string(text: &str) -> String {
    let inner = text.trim().strip_prefix(EXPRESSION).and_then(|text| text.strip_suffix("}}"));
    match inner.filter(|inner| !inner.contains(EXPRESSION)) {
        Some(inner) => format!("${{{{ ({}) | string }}}}", inner.trim()),
        None => text.to_owned(),
    }
}

/// Repository, chart and version of a chart reference. The version follows the last colon, the chart the last slash.
fn parse_chart(reference: &str) -> Option<(&str, &str, &str)> {
    let (rest, version) = reference.rsplit_once(':')?;
    let (repo, chart) = rest.rsplit_once('/')?;
    Some((repo, chart, version))
}

/// Repository and tag of an image. As upstream, the tag is all that follows the first colon: charts join the two again.
fn parse_image(reference: &str) -> Option<(&str, &str)> {
    reference.split_once(':')
}

/// The id of a component's ApplySet.
fn apply_set_id(component: &str, namespace: &str) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let hash = Sha256::digest(format!("{component}-applyset.{namespace}.Secret.").as_bytes());
    let mut encoded = String::with_capacity(43);
    for chunk in hash.chunks(3) {
        let bits = chunk.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for index in 0..=chunk.len() {
            encoded.push(char::from(ALPHABET[(bits >> (18 - 6 * index) & 63) as usize]));
        }
    }
    format!("applyset-{encoded}-v1")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::expand::dpf::testing::{management, run};
    use crate::site::Release;
    use serde_json::json;

    #[test]
    fn references_are_split_as_upstream_does() {
        assert_eq!(parse_chart("oci://example.com/ovs-cni:v0.1.0"), Some(("oci://example.com", "ovs-cni", "v0.1.0")));
        assert_eq!(parse_chart("oci://example.com/ovs-cni"), None);
        assert_eq!(parse_chart("ovs-cni:v0.1.0"), None);
        assert_eq!(parse_chart("oci://justone:1"), Some(("oci:/", "justone", "1")));
        assert_eq!(parse_image("docker.com/image:v1.0"), Some(("docker.com/image", "v1.0")));
        assert_eq!(parse_image("docker.com/image:v1.0@sha256:ff"), Some(("docker.com/image", "v1.0@sha256:ff")));
        assert_eq!(parse_image("docker.com/image@sha256:ff"), Some(("docker.com/image@sha256", "ff")));
        assert_eq!(parse_image("host:5000/img:v1"), Some(("host", "5000/img:v1")));
        assert_eq!(parse_image("docker.com/image"), None);
    }

    #[test]
    fn an_mtu_that_waits_stays_a_string() {
        assert_eq!(as_string("${{ cluster.mtu + 50 }}"), "${{ (cluster.mtu + 50) | string }}");
        assert_eq!(as_string("1500"), "1500");
    }

    #[test]
    fn apply_set_ids() {
        assert_eq!(apply_set_id("first", "namespace-one"), "applyset-k9u1AQY4bVGhETCxPxlJdlzUqIc5LeeQeBEzjAXSwKg-v1");
        assert_eq!(
            apply_set_id("flannel", "dpf-operator-system"),
            "applyset-etbIKuCscqPMgJqpBO5xuSfk6-CHIUdXylQ1tQVZ5KE-v1"
        );
    }

    #[test]
    fn components_are_left_out_by_name_and_not_by_disable() {
        let config = |annotations| {
            json!({"apiVersion": "operator.dpu.nvidia.com/v1alpha1", "kind": "DPFOperatorConfig",
                "metadata": {"name": "dpfoperatorconfig", "namespace": "o", "annotations": annotations},
                "spec": {"multus": {"disable": true}, "flannel": {"helmChart": "oci://example.com/flannel"}}})
        };
        let (objects, mut site) = management(&[config(json!({WITHOUT: "ovs-helper, ovs-cnj", RELEASE: "v24.10.1"}))]);
        site.parity = false;
        site.system_components = SystemComponents::Rendered;
        let expanded = run(&objects, &site);
        let names: Vec<&str> = expanded.intermediate.iter().map(name).collect();
        let all = [
            "multus",
            "nvidia-k8s-ipam",
            "ovs-cni",
            "servicechainset-controller",
            "sfc-controller",
            "sriov-device-plugin",
        ];
        assert_eq!(names, all);
        let version = expanded.intermediate[0].text(&["spec", "helmChart", "source", "version"]);
        assert_eq!(version, Some("v24.10.1"));
        let codes: Vec<&str> = expanded.diagnostics.iter().map(|diagnostic| diagnostic.code).collect();
        assert_eq!(codes, ["component-unknown", "chart-reference"]);
    }

    #[test]
    fn components_of_another_release_than_the_site_are_told() {
        let of = |release: &str, dpf| {
            let config = json!({"apiVersion": "operator.dpu.nvidia.com/v1alpha1", "kind": "DPFOperatorConfig",
                "metadata": {"name": "dpfoperatorconfig", "namespace": "o", "annotations": {RELEASE: release}}, "spec": {}});
            let (objects, mut site) = management(&[config]);
            (site.parity, site.system_components, site.dpf) = (false, SystemComponents::Rendered, dpf);
            let expanded = run(&objects, &site);
            let version = expanded.intermediate[0].text(&["spec", "helmChart", "source", "version"]).map(str::to_owned);
            (version.unwrap(), expanded.diagnostics.first().map(|diagnostic| diagnostic.code))
        };
        assert_eq!(of("", Release::V24_10), ("v24.10.0".to_owned(), None));
        assert_eq!(of("", Release::V25_1), ("v24.10.0".to_owned(), Some("components-release")));
        assert_eq!(of("v25.1.1", Release::V25_1), ("v25.1.1".to_owned(), None));
    }
}
