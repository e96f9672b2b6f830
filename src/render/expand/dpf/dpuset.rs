//! `DPUDeployment` → `DPUSet`, and which cards a `DPUSet` selects. PURE.
//!
//! In: deployments; DPUSets, hosts and cards. Out: DPUSets; the labels that a card's Node has in its DPU cluster. Mirrors
//! `dpudeployment_controller.go` and, for the selection, `internal/provisioning/controllers/dpuset/dpuset_controller.go` and
//! `controllers/util/dpu_util.go`, release v24.10.0-rc.6. What its mutating webhook adds is written out, because a DPUSet
//! without `rollingUpdate` brings the controller down (P-02). DPU objects stay DPF's matter.

use super::context::{Context, Object, filled, given, strings};
use super::deployment::Deployment;
use super::names::{CHAIN_VERSION, OWNER, PROVISIONING, PROVISIONING_V1, version_key};
use super::parts::Parts;
use super::selector::{Labels, label_selector};
use crate::node::{Name, Node};
use crate::site::{Dpu, Host};

/// The DPUSets of a deployment whose cards carry `services`.
pub(super) fn of_deployment(cx: &Context<'_>, deployment: &Deployment<'_>, services: &[&str]) -> Vec<Node> {
    let entries = deployment.node.items(&["spec", "dpus", "dpuSets"]);
    entries.iter().map(|entry| of_entry(cx, deployment, services, entry)).collect()
}

fn of_entry(cx: &Context<'_>, deployment: &Deployment<'_>, services: &[&str], entry: &Node) -> Node {
    let origin = entry.origin();
    let yes = |key: &'static str| Node::map([(key, Some(Node::bool(true, origin)))], origin);
    let mut labels = vec![
        (Name::Constant(OWNER), Node::str(deployment.owner.as_str(), origin)),
        (Name::Constant(CHAIN_VERSION), Node::str(deployment.version(""), origin)),
    ];
    let version = |service: &str| Node::str(deployment.version(service), origin);
    labels.extend(services.iter().map(|service| (Name::from(version_key(service)), version(service))));
    let image = |key: &str| given(deployment.node, &["spec", "dpus", key]).cloned();
    let spec = Node::map(
        [
            ("bfb", Some(Node::map([("name", image("bfb"))], origin))),
            ("dpuFlavor", image("flavor")),
            ("cluster", Some(Node::map([("nodeLabels", strings(labels, origin))], origin))),
            ("nodeEffect", Some(Node::map([("drain", Some(yes("automaticNodeReboot")))], origin))),
            ("automaticNodeReboot", Some(Node::bool(true, origin))),
        ],
        origin,
    );
    let template =
        Node::map([("annotations", filled(entry, &["dpuAnnotations"], cx.parity)), ("spec", Some(spec))], origin);
    let rolling = Node::map([("maxUnavailable", Some(Node::int(1, origin)))], origin);
    let strategy =
        Node::map([("type", Some(Node::str("RollingUpdate", origin))), ("rollingUpdate", Some(rolling))], origin);
    let name = format!("{}-{}", deployment.name, entry.text(&["nameSuffix"]).unwrap_or_default());
    // `nodeSelector: {}` means the same as none; upstream keeps it.
    let selector = if cx.parity {
        given(entry, &["nodeSelector"]).map(|node| super::context::tidy(node, true))
    } else {
        filled(entry, &["nodeSelector"], false)
    };
    let members = Node::map(
        [
            ("strategy", Some(strategy)),
            ("nodeSelector", selector),
            ("dpuSelector", filled(entry, &["dpuSelector"], cx.parity)),
            ("dpuTemplate", Some(template)),
        ],
        origin,
    );
    Object::new(PROVISIONING_V1, "DPUSet", deployment.namespace, &name, origin)
        .label(OWNER, deployment.owner.as_str())
        .wave(cx.wave(deployment.node))
        .with([("spec", Some(members))])
}

const FEATURE: &str = "feature.node.kubernetes.io/dpu-";

/// The indexes of the cards that a DPUSet selects on a host.
fn indexes(set: &Node, labels: &Labels) -> Vec<u32> {
    if !label_selector(given(set, &["spec", "nodeSelector"]), labels) {
        return Vec::new();
    }
    let selector = set.fields(&["spec", "dpuSelector"]);
    if selector.is_empty() {
        let first = labels.keys().any(|key| key.ends_with("dpu-0-pci-address"));
        return if first { vec![0] } else { Vec::new() };
    }
    // Entries are alternatives, unlike those of any other selector (P-27).
    let matching =
        selector.iter().filter(|entry| labels.get(&*entry.key.text).map(String::as_str) == entry.value.as_str());
    let mut found: Vec<u32> =
        matching.filter_map(|entry| entry.key.text.strip_prefix(FEATURE)?.split_once('-')?.0.parse().ok()).collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// The index of a card on its host: its PCI address is the value of the label that counts it.
fn index_of(host: &Host, dpu: &Dpu) -> Option<u32> {
    let pci = dpu.pci.as_deref()?.replace(':', "-");
    host.labels.iter().find_map(|(key, value)| {
        let (_, number) = key.strip_suffix("-pci-address")?.rsplit_once("dpu-")?;
        if *value == pci { number.parse().ok() } else { None }
    })
}

/// Whether a DPUSet selects a card of a host. A card that is given by its Node only did not come from a DPUSet.
#[must_use]
pub fn selects(set: &Node, host: &Host, dpu: &Dpu) -> bool {
    index_of(host, dpu).is_some_and(|index| indexes(set, &host.labels).contains(&index))
}

/// The labels of a card's Node in its DPU cluster: kubelet's, DPF's, and over them those of the inventory.
pub(super) fn card_labels(cx: &Context<'_>, parts: &Parts, host: &Host, dpu: &Dpu) -> Labels {
    let sets = parts.dpu_sets.values().map(|part| &part.node).filter(|set| selects(set, host, dpu));
    node_labels(sets, |set| bfb_version(cx, set).map(str::to_owned), host, dpu)
}

/// The labels of a card's Node: `sets` are the DPUSets that select it, `version` says what their BFB labels it with.
#[must_use]
pub fn node_labels<'a>(
    sets: impl Iterator<Item = &'a Node>,
    version: impl Fn(&'a Node) -> Option<String>,
    host: &Host,
    dpu: &Dpu,
) -> Labels {
    let mut labels = Labels::new();
    let mut set = |key: &str, value: &str| {
        labels.insert(key.to_owned(), value.to_owned());
    };
    set("kubernetes.io/hostname", &dpu.node_name);
    set("kubernetes.io/os", "linux");
    set("kubernetes.io/arch", "arm64");
    for owner in sets {
        for label in owner.fields(&["spec", "dpuTemplate", "spec", "cluster", "nodeLabels"]) {
            set(&label.key.text, label.value.as_str().unwrap_or_default());
        }
        set("provisioning.dpu.nvidia.com/host", &host.name);
        if let Some(version) = version(owner) {
            set("provisioning.dpu.nvidia.com/DOCA-BFB-version", &version);
        }
    }
    labels.extend(dpu.labels.clone());
    labels
}

/// What the DPU controller labels a Node with after the installation: the file name of the BFB's URL without its extension.
fn bfb_version<'a>(cx: &Context<'a>, set: &Node) -> Option<&'a str> {
    let name = set.text(&["spec", "dpuTemplate", "spec", "bfb", "name"])?;
    let bfb = cx.object(PROVISIONING, "BFB", super::context::namespace(set), name)?;
    let file = bfb.text(&["spec", "url"])?.rsplit('/').next()?;
    Some(file.rsplit_once('.').map_or(file, |(stem, _)| stem))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Origin;
    use serde_json::{Value as Json, json};

    fn selected(labels: &[(&str, &str)], selector: Json) -> Vec<u32> {
        let set = Node::from_json(&json!({"spec": {"dpuSelector": selector}}), Origin::NONE);
        let labels = labels
            .iter()
            .map(|(key, value)| (format!("feature.node.kubernetes.io/{key}"), (*value).to_owned()))
            .collect();
        indexes(&set, &labels)
    }

    #[test]
    fn cards_are_selected_by_index() {
        let (zero, one) = (("dpu-0-pci-address", "0000-90-00"), ("dpu-1-pci-address", "0000-c1-00"));
        assert_eq!(selected(&[zero], Json::Null), [0]);
        assert_eq!(selected(&[one], Json::Null), [0_u32; 0]);
        let first = "feature.node.kubernetes.io/dpu-0-pci-address";
        let second = "feature.node.kubernetes.io/dpu-1-pci-address";
        assert_eq!(selected(&[zero, one], json!({second: "0000-c1-00"})), [1]);
        assert_eq!(selected(&[zero, one], json!({first: "0000-90-00", second: "0000-c1-00"})), [0, 1]);
        assert_eq!(selected(&[zero, one], json!({first: "wrong", second: "0000-c1-00"})), [1]);
        assert_eq!(selected(&[zero], json!({"pciAddr": "0000:0e:00.0"})), [0_u32; 0]);
    }
}
