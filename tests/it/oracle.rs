//! What DPF v24.10's own controllers made of given inputs, against what the expansion makes of them with parity.
//!
//! In: the cases of `../shared/oracle` (or `$DPU_RENDER_SHARED/oracle`), see its README. Compared are the kinds of [`KINDS`],
//! object by object and field by field, missing and surplus alike. The recorded objects are freed of what the README allows
//! to differ and of ownerReferences, which need UIDs of a running cluster; ours are compared as they are.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use dpu_render::argocd::version::Version;
use dpu_render::diagnostic::{self, Severity};
use dpu_render::node::Node;
use dpu_render::render::expand::dpf::{ReleaseDefaults, expand_with};
use dpu_render::render::expand::{Evaluate, Expanded, Input, Scope};
use dpu_render::render::object::ObjectId;
use dpu_render::site::{ArgoCd, Cluster, Dpu, Host, Inventory, Mode, Release, Site, SystemComponents};
use dpu_render::source::{Origin, SourceTree};
use dpu_render::yaml::read::documents;
use serde_json::{Value as Json, json};

/// What is compared, by destination.
const KINDS: [(&str, &[&str]); 2] = [
    (
        "management",
        &[
            "AppProject",
            "Application",
            "DPUService",
            "DPUServiceChain",
            "DPUServiceInterface",
            "DPUSet",
            "ServiceAccount",
        ],
    ),
    (
        "clusters",
        &[
            "CIDRPool",
            "IPPool",
            "Namespace",
            "ServiceAccount",
            "ServiceChain",
            "ServiceChainSet",
            "ServiceInterface",
            "ServiceInterfaceSet",
        ],
    ),
];

/// Cases that one expansion of one input cannot answer: a label that two controllers fight over, the choice of one of three
/// DPUs; cases with a second round are left out by their files.
const EXCLUDED: [&str; 3] = ["deployment-shared-template", "dpu-allocation", "rejected"];

/// Kind, namespace, name.
pub(crate) type Id = (String, String, String);

#[test]
fn every_case_agrees() {
    let Some(folder) = crate::shared::shared("oracle") else { return };
    let mut cases: Vec<PathBuf> =
        std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect();
    cases.sort();
    let (mut agreed, mut failures) = (0, String::new());
    for case in cases {
        let name = case.file_name().unwrap().to_str().unwrap();
        if EXCLUDED.contains(&name) || case.join("input.then1.yaml").exists() {
            continue;
        }
        let differences = compare(&case, name);
        if differences.is_empty() {
            agreed += 1;
        } else {
            let _ = writeln!(failures, "== {name}");
            differences.iter().for_each(|difference| {
                let _ = writeln!(failures, "  {difference}");
            });
        }
    }
    println!("oracle: {agreed} cases agree");
    assert!(failures.is_empty(), "\n{failures}");
    assert!(agreed >= 30, "only {agreed} cases found in {}", folder.display());
}

/// Whatever the input, with and without parity, an inventory and rendered system components: no panic, and twice the same.
#[test]
fn every_input_is_expanded_twice_the_same() {
    let Some(folder) = crate::shared::shared("oracle") else { return };
    let folders = [folder.clone(), folder.join("rejected")];
    let cases = folders.iter().flat_map(|folder| std::fs::read_dir(folder).unwrap()).map(|entry| entry.unwrap().path());
    for path in cases.filter(|path| path.join("input.yaml").exists()) {
        let files = BTreeMap::new();
        let tree = SourceTree::new(&files);
        for choice in 0..8 {
            let mut case = load(&tree, &path, choice & 1 == 0);
            case.site.parity = choice & 2 == 0;
            case.inventory.present = choice & 4 == 0;
            let summary = |expanded: Expanded| {
                let cluster = expanded.clusters.iter().chain(&expanded.cluster_intermediate).flatten();
                let nodes: Vec<Json> = expanded
                    .management
                    .iter()
                    .chain(&expanded.intermediate)
                    .chain(cluster)
                    .map(Node::to_json)
                    .collect();
                (nodes, expanded.diagnostics, expanded.consumed)
            };
            assert_eq!(summary(case.expand()), summary(case.expand()), "{}", path.display());
        }
    }
}

/// Leaves everything as it is: no case has an expression.
struct Nothing;

impl Evaluate for Nothing {
    fn evaluate(&self, node: &Node, _: Scope) -> Node {
        node.clone()
    }
}

fn read(tree: &SourceTree<'_>, path: &Path) -> Vec<Node> {
    let Ok(text) = std::fs::read_to_string(path) else { return Vec::new() };
    let (file, source) = tree.add(path.to_str().unwrap(), text);
    let mut diagnostics = Vec::new();
    let nodes = documents(&source, file, &mut diagnostics);
    assert!(diagnostics.iter().all(|fault| fault.severity == Severity::Warning), "{}: {diagnostics:?}", path.display());
    nodes
}

fn labels(node: &Node) -> BTreeMap<String, String> {
    let labels = node.fields(&["metadata", "labels"]).iter();
    labels.map(|label| (label.key.text.to_string(), label.value.as_str().unwrap().to_owned())).collect()
}

/// What a case gives to the expansion.
struct Case {
    site: Site,
    inventory: Inventory,
    management: BTreeMap<ObjectId, Node>,
    clusters: Vec<BTreeMap<ObjectId, Node>>,
}

impl Case {
    fn expand(&self) -> Expanded {
        let input = Input {
            site: &self.site,
            inventory: &self.inventory,
            management: &self.management,
            clusters: &self.clusters,
            evaluate: &Nothing,
        };
        // The recorded operator was built from the source tree, not published.
        expand_with(&input, Some(&ReleaseDefaults::of_build("example.com", "oci://example.com", "v0.1.0")))
    }
}

/// Reads a case. Only in some the operator ran; elsewhere nobody acted on its configuration.
fn load(tree: &SourceTree<'_>, case: &Path, operator: bool) -> Case {
    let name = case.file_name().unwrap().to_str().unwrap();
    let empty = Node::map([], Origin::NONE);
    let mut management = BTreeMap::new();
    let mut inventory = Inventory { hosts: Vec::new(), present: true };
    let host = |name: &str, node: &Node, dpus| Host {
        name: name.to_owned(),
        labels: labels(node),
        vars: Node::map([], Origin::NONE),
        dpus,
        origin: node.origin(),
    };
    for node in read(tree, &case.join("input.yaml")) {
        let id = ObjectId::of(&node);
        if id.is("", "Node") {
            inventory.hosts.push(host(&id.name, &node, Vec::new()));
        } else {
            management.insert(id, node);
        }
    }
    let mut clusters: Vec<Cluster> = management
        .iter()
        .filter(|(id, _)| &*id.kind == "DPUCluster")
        .map(|(id, node)| Cluster {
            name: id.name.to_string(),
            namespace: id.namespace.to_string(),
            vars: empty.clone(),
            origin: node.origin(),
        })
        .collect();
    clusters.sort_by(|a, b| a.name.cmp(&b.name));
    let mut written = Vec::new();
    for cluster in &clusters {
        let mut objects = BTreeMap::new();
        let mut dpus = Vec::new();
        for node in read(tree, &case.join(format!("input.{}.yaml", cluster.name))) {
            let id = ObjectId::of(&node);
            if id.is("", "Node") {
                dpus.push(Dpu {
                    node_name: id.name.to_string(),
                    pci: None,
                    cluster: cluster.name.clone(),
                    serial: None,
                    labels: labels(&node),
                    vars: empty.clone(),
                    origin: node.origin(),
                    cluster_origin: node.origin(),
                });
            } else {
                objects.insert(id, node);
            }
        }
        inventory.hosts.push(host(&format!("cards of {}", cluster.name), &empty, dpus));
        written.push(objects);
    }
    let site = Site {
        name: name.to_owned(),
        folder: name.to_owned(),
        dpf: Release::V24_10,
        mode: Mode::Standalone,
        parity: true,
        system_components: if operator { SystemComponents::Rendered } else { SystemComponents::Operator },
        layers: Vec::new(),
        vars: empty.clone(),
        clusters,
        inventory: None,
        external: Vec::new(),
        argocd: ArgoCd {
            namespace: "dpf-operator-system".to_owned(),
            management_cluster: "in-cluster".to_owned(),
            project: "default".to_owned(),
            repo_url: None,
            target_revision: None,
            plugin: "dpu-render".to_owned(),
            version: Version::of_release(Release::V24_10),
            present: false,
            origin: Origin::NONE,
        },
        agent: None,
        node: empty,
    };
    Case { site, inventory, management, clusters: written }
}

fn compare(path: &Path, name: &str) -> Vec<String> {
    let files = BTreeMap::new();
    let tree = SourceTree::new(&files);
    let operator = name.starts_with("operator-") || name.starts_with("demo-");
    let case = load(&tree, path, operator);
    let expanded = case.expand();

    let mut differences: Vec<String> = expanded
        .diagnostics
        .iter()
        .filter(|fault| fault.severity == Severity::Error)
        .map(|fault| format!("refused: {}", diagnostic::render(fault, &tree, false).trim_end().replace('\n', "\n    ")))
        .collect();
    let ours = expanded.management.iter().chain(&expanded.intermediate);
    differences.extend(destination(&tree, path, "management", KINDS[0].1, ours, operator));
    for (index, cluster) in case.site.clusters.iter().enumerate() {
        let ours = expanded.clusters[index].iter().chain(&expanded.cluster_intermediate[index]);
        differences.extend(destination(&tree, path, &cluster.name, KINDS[1].1, ours, operator));
    }
    differences
}

fn destination<'n>(
    tree: &SourceTree<'_>,
    case: &Path,
    name: &str,
    kinds: &[&str],
    ours: impl Iterator<Item = &'n Node>,
    operator: bool,
) -> Vec<String> {
    let wanted = |json: &Json| {
        let kind = json["kind"].as_str().unwrap();
        // The operator's own manifests bring ServiceAccounts; the README leaves them out.
        kinds.contains(&kind) && !(operator && kind == "ServiceAccount")
    };
    let mut differences = Vec::new();
    let recorded = read(tree, &case.join(format!("output/{name}.yaml")));
    let recorded: BTreeMap<Id, Json> =
        recorded.iter().map(Node::to_json).filter(wanted).map(|json| (id(&json), allowed(json))).collect();
    let mut made: BTreeMap<Id, Json> = BTreeMap::new();
    for json in ours.map(Node::to_json).filter(wanted) {
        let id = id(&json);
        if made.insert(id.clone(), ordered(json)).is_some() {
            differences.push(format!("{name}: {} {}/{}: made twice", id.0, id.1, id.2));
        }
    }
    let ids: BTreeSet<&Id> = recorded.keys().chain(made.keys()).collect();
    for id in ids {
        let title = format!("{name}: {} {}/{}", id.0, id.1, id.2);
        match (recorded.get(id), made.get(id)) {
            (Some(recorded), Some(made)) => difference(recorded, made, &title, &mut differences),
            (Some(_), None) => differences.push(format!("{title}: missing")),
            (None, _) => differences.push(format!("{title}: surplus")),
        }
    }
    differences
}

pub(crate) fn id(json: &Json) -> Id {
    let text = |json: &Json| json.as_str().unwrap_or_default().to_owned();
    (text(&json["kind"]), text(&json["metadata"]["namespace"]), text(&json["metadata"]["name"]))
}

/// Removes a key below a path.
fn remove(json: &mut Json, path: &str, key: &str) {
    if let Some(map) = json.pointer_mut(path).and_then(Json::as_object_mut) {
        map.remove(key);
    }
}

/// Removes a key below a path whose value is an empty map or an empty string.
fn remove_empty(json: &mut Json, path: &str, key: &str) {
    let empty = json
        .pointer(path)
        .and_then(|parent| parent.get(key))
        .is_some_and(|value| *value == json!("") || value.as_object().is_some_and(serde_json::Map::is_empty));
    if empty {
        remove(json, path, key);
    }
}

/// A recorded object without what a renderer rightly leaves out, as the README of the cases lists it.
fn allowed(mut json: Json) -> Json {
    // Needs UIDs.
    remove(&mut json, "/metadata", "ownerReferences");
    // Run-time state.
    if let Some(finalizers) = json.pointer_mut("/metadata/finalizers").and_then(Json::as_array_mut) {
        let own = ["dpu.nvidia.com/", "svc.dpu.nvidia.com/", "provisioning.dpu.nvidia.com/"];
        finalizers.retain(|finalizer| !own.iter().any(|prefix| finalizer.as_str().unwrap().starts_with(prefix)));
        if finalizers.is_empty() {
            remove(&mut json, "/metadata", "finalizers");
        }
    }
    match json["kind"].as_str().unwrap() {
        "DPUServiceInterface" => {
            remove(&mut json, "/metadata/annotations", "dpu.nvidia.com/consumed-by");
            remove_empty(&mut json, "/metadata", "annotations");
        }
        "DPUService" => {
            remove_empty(&mut json, "/spec/helmChart/source", "path");
            // Written back by the controller (P-52).
            if json.pointer("/spec/interfaces").is_none() {
                remove(&mut json, "/spec/serviceDaemonSet/labels", "svc.dpu.nvidia.com/service");
                remove_empty(&mut json, "/spec/serviceDaemonSet", "labels");
                remove_empty(&mut json, "/spec", "serviceDaemonSet");
            }
        }
        // The API server's.
        "Namespace" => {
            remove(&mut json, "/metadata", "labels");
            remove(&mut json, "", "spec");
        }
        _ => {}
    }
    // `metadata: {}` of templates is serialisation.
    for path in ["/spec/template", "/spec/template/spec/template"] {
        remove_empty(&mut json, path, "metadata");
    }
    ordered(json)
}

/// An object with the lists whose order is left to chance in order.
fn ordered(mut json: Json) -> Json {
    for path in ["/spec/destinations", "/spec/staticAllocations"] {
        if let Some(items) = json.pointer_mut(path).and_then(Json::as_array_mut) {
            items.sort_by_key(ToString::to_string);
        }
    }
    json
}

pub(crate) fn difference(recorded: &Json, made: &Json, path: &str, differences: &mut Vec<String>) {
    match (recorded, made) {
        (Json::Object(theirs), Json::Object(ours)) => {
            let keys: BTreeSet<&String> = theirs.keys().chain(ours.keys()).collect();
            for key in keys {
                let path = format!("{path}.{key}");
                match (theirs.get(key), ours.get(key)) {
                    (Some(theirs), Some(ours)) => difference(theirs, ours, &path, differences),
                    (Some(theirs), None) => differences.push(format!("{path}: missing {theirs}")),
                    (None, ours) => differences.push(format!("{path}: surplus {}", ours.unwrap_or(&Json::Null))),
                }
            }
        }
        (Json::Array(theirs), Json::Array(ours)) if theirs.len() == ours.len() => {
            for (index, (theirs, ours)) in theirs.iter().zip(ours).enumerate() {
                difference(theirs, ours, &format!("{path}[{index}]"), differences);
            }
        }
        _ if recorded == made => {}
        _ => differences.push(format!("{path}: recorded {recorded}, ours {made}")),
    }
}
