//! The worked examples of the fact sheet on DPF v24.10: the guides' own manifests in, the objects that the sheet computes out.
//!
//! In: `../shared/examples/dpf-v24.10/usecases`, its `$VARIABLES` replaced as the sheet says, and chapter 7 of
//! `../shared/reference/dpf-render.md` (or both in `$DPU_RENDER_SHARED`), read in place. Compared is every object of the
//! sheet but those that need a running cluster: Secrets, DPUs, what a chart makes; and that there is nothing beside them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use dpu_render::diagnostic;
use dpu_render::node::Node;
use dpu_render::render::{Options, Repository};
use dpu_render::source::SourceTree;
use dpu_render::yaml::read::documents;
use serde_json::{Value as Json, json};

use crate::oracle::{Id, difference, id};

/// What the guides leave to `envsubst`; the last two are none of the sheet's, and no object that is compared has them.
const VARIABLES: [(&str, &str); 9] = [
    ("DPF_VERSION", "v24.10.0-rc.5"),
    ("TARGETCLUSTER_API_SERVER_HOST", "10.10.10.10"),
    ("TARGETCLUSTER_API_SERVER_PORT", "6443"),
    ("POD_CIDR", "10.233.64.0/18"),
    ("SERVICE_CIDR", "10.233.0.0/18"),
    ("TARGETCLUSTER_NODE_CIDR", "10.10.10.0/24"),
    (
        "BLUEFIELD_BITSTREAM",
        "https://content.mellanox.com/BlueField/BFBs/Ubuntu22.04/bf-bundle-2.9.1-30_24.11_ubuntu-22.04_prod.bfb",
    ),
    ("DPUCLUSTER_INTERFACE", "eno1"),
    ("DPUCLUSTER_VIP", "10.10.10.200"),
];

/// What the sheet shows of kinds that nobody can render.
const LEFT_OUT: [&str; 3] = ["DPU", "NetworkAttachmentDefinition", "Secret"];

/// The kinds of which a DPU cluster has nothing that the sheet does not show.
const IN_CLUSTERS: [&str; 6] =
    ["CIDRPool", "IPPool", "ServiceChain", "ServiceChainSet", "ServiceInterface", "ServiceInterfaceSet"];

/// Of the system components the sheet shows one and names the others.
const COMPONENTS: [&str; 8] = [
    "flannel",
    "multus",
    "nvidia-k8s-ipam",
    "ovs-cni",
    "ovs-helper",
    "servicechainset-controller",
    "sfc-controller",
    "sriov-device-plugin",
];

const SAME_STRING: &str = "<<same string as in input, byte for byte>>";

/// An example: its guide, what the site adds, and where the objects of each section of the sheet are.
struct Example {
    guide: &'static str,
    steps: [&'static str; 2],
    site: &'static str,
    objects: &'static str,
    inventory: &'static str,
    sections: &'static [(&'static str, &'static [&'static str])],
    /// How many objects the sections have.
    objects_of_sheet: usize,
}

#[test]
fn a_deployment_of_ovn_behind_hbn() {
    check(&Example {
        guide: "hbn_ovn",
        steps: ["03-dpf-system-installation", "05.2-dpudeployment-installation"],
        site: "
  clusters: [{name: dpu-cplane-tenant1, namespace: dpu-cplane-tenant1}]
",
        objects: "
apiVersion: operator.dpu.nvidia.com/v1alpha1
kind: DPFOperatorConfig
metadata:
  name: dpfoperatorconfig
  namespace: dpf-operator-system
  annotations: {dpu-render.dev/release: v24.10.0-rc.5}
",
        inventory: "
  - name: worker1
    labels: {feature.node.kubernetes.io/dpu-enabled: \"true\", feature.node.kubernetes.io/dpu-0-pf0-name: ens1f0np0}
    dpus: [{pci: \"0000:90:00\", cluster: dpu-cplane-tenant1}]
",
        sections: &[
            ("7.1.2", &["management"]),
            ("7.1.4", &["management"]),
            ("7.1.5", &["management"]),
            ("7.1.6", &["dpu-cplane-tenant1"]),
            ("7.1.7", &["dpu-cplane-tenant1"]),
            ("7.1.8", &["management"]),
            ("7.1.9", &["management"]),
        ],
        objects_of_sheet: 34,
    });
}

#[test]
fn services_without_a_deployment_on_two_clusters() {
    check(&Example {
        guide: "hbn_only",
        steps: ["02-dpf-system-installation", "04-dpuservice-installation"],
        site: "
  systemComponents: operator
  clusters:
    - {name: dpu-cplane-tenant1, namespace: dpu-cplane-tenant1}
    - {name: dpu-cplane-tenant2, namespace: dpu-cplane-tenant2}
",
        // With the guide's pull Secret and two clusters the real controllers never get as far as Applications (P-50).
        objects: "
apiVersion: operator.dpu.nvidia.com/v1alpha1
kind: DPFOperatorConfig
metadata: {name: dpfoperatorconfig, namespace: dpf-operator-system}
spec: {imagePullSecrets: null}
---
apiVersion: provisioning.dpu.nvidia.com/v1alpha1
kind: DPUCluster
metadata: {name: dpu-cplane-tenant2, namespace: dpu-cplane-tenant2}
spec: {type: kamaji, maxNodes: 10, version: v1.30.2}
",
        inventory: "
  - name: worker1
    labels: {feature.node.kubernetes.io/dpu-enabled: \"true\"}
    dpus: [{pci: \"0000:90:00\", cluster: dpu-cplane-tenant1}]
  - name: worker2
    labels: {feature.node.kubernetes.io/dpu-enabled: \"true\"}
    dpus: [{pci: \"0000:90:00\", cluster: dpu-cplane-tenant2}]
",
        sections: &[
            ("7.2.2", &["management"]),
            ("7.2.3", &["dpu-cplane-tenant1", "dpu-cplane-tenant2"]),
            ("7.2.4", &["dpu-cplane-tenant1"]),
            ("7.2.5", &["dpu-cplane-tenant2"]),
        ],
        objects_of_sheet: 48,
    });
}

fn check(example: &Example) {
    let (Some(guides), Some(reference)) =
        (crate::shared::shared("examples/dpf-v24.10/usecases"), crate::shared::shared("reference"))
    else {
        return;
    };
    let mut files = BTreeMap::new();
    for step in example.steps {
        add_guide(&guides.join(example.guide).join("manifests").join(step), step, &mut files);
    }
    let inputs: Vec<Json> = files.values().flat_map(|text| read(text)).collect();
    let layers = example.steps.map(|step| format!("guide/{step}")).join(", ");
    let head = "apiVersion: dpu-render.dev/v1alpha1\nkind: ";
    let site = format!(
        "{head}Site\nmetadata: {{name: lab}}\nspec:\n  dpf: v24.10\n  mode: standalone\n  parity: true\n  \
         inventory: inventory.yaml\n  layers: [{layers}]{}",
        example.site
    );
    let inventory = format!("{head}Inventory\nmetadata: {{name: lab}}\nspec:\n  hosts:{}", example.inventory);
    let own = [("site.yaml", site), ("inventory.yaml", inventory), ("objects.yaml", example.objects.to_owned())];
    files.extend(own.map(|(name, text)| (format!("sites/lab/{name}"), text)));

    let repository = Repository::new(&files);
    let outcome = repository.render("sites/lab", &Options { intermediate: true, ..Options::default() });
    let faults: String =
        outcome.diagnostics.iter().map(|fault| diagnostic::render(fault, repository.tree(), false)).collect();
    let rendered = outcome.site.unwrap_or_else(|| panic!("{faults}"));
    let made: BTreeMap<String, BTreeMap<Id, Json>> = rendered
        .destinations
        .iter()
        .map(|destination| {
            let objects = destination.objects.iter().map(|object| object.node.to_json());
            (destination.destination.to_string(), objects.map(|json| (id(&json), json)).collect())
        })
        .collect();

    let sheet = std::fs::read_to_string(reference.join("dpf-render.md")).unwrap();
    let (mut compared, mut expected, mut differences) = (0, BTreeSet::new(), Vec::new());
    for (section, destinations) in example.sections {
        // What the API server made of an object comes after it and is what we make.
        let objects: BTreeMap<Id, Json> = blocks(&sheet, section).map(|json| (id(&json), json)).collect();
        assert!(!objects.is_empty(), "section {section} of the sheet has no objects");
        for (id, mut object) in objects {
            if LEFT_OUT.contains(&id.0.as_str()) {
                continue;
            }
            object["metadata"].as_object_mut().unwrap().remove("ownerReferences");
            fill(&mut object, &inputs);
            for destination in *destinations {
                let title = format!("{destination}: {} {}", id.0, id.2);
                match made[*destination].get(&id) {
                    Some(made) => difference(&object, made, &title, &mut differences),
                    None => differences.push(format!("{title}: missing")),
                }
                expected.insert(((*destination).to_owned(), id.clone()));
                compared += 1;
            }
        }
    }
    for (destination, objects) in &made {
        for (id, _) in objects.iter().filter(|(id, _)| !expected.contains(&((*destination).clone(), (*id).clone()))) {
            let component = || COMPONENTS.iter().any(|name| id.2 == format!("dpu-cplane-tenant1-{name}"));
            let shown = match destination.as_str() {
                "management" => id.0 == "Application" && !component(),
                _ => IN_CLUSTERS.contains(&id.0.as_str()),
            };
            if shown || id.0 == "ServiceAccount" {
                differences.push(format!("{destination}: {} {}: surplus", id.0, id.2));
            }
        }
        if destination != "management" {
            let id = ("Namespace".to_owned(), String::new(), "dpf-operator-system".to_owned());
            assert_eq!(objects[&id]["metadata"], json!({"name": "dpf-operator-system"}));
        }
    }
    let mut text = String::new();
    differences.iter().for_each(|difference| {
        let _ = writeln!(text, "{difference}");
    });
    assert!(differences.is_empty(), "\n{text}\n{faults}");
    assert_eq!(compared, example.objects_of_sheet);
}

/// The manifests of a step of a guide, as a layer.
fn add_guide(folder: &Path, step: &str, files: &mut BTreeMap<String, String>) {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for path in entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_file()) {
        let mut text = std::fs::read_to_string(&path).unwrap();
        for (name, value) in VARIABLES {
            text = text.replace(&format!("${name}"), value);
        }
        files.insert(format!("guide/{step}/{}", path.file_name().unwrap().to_str().unwrap()), text);
    }
}

/// The documents of a YAML text.
fn read(text: &str) -> Vec<Json> {
    let files = BTreeMap::new();
    let (file, source) = SourceTree::new(&files).add("text.yaml", text.to_owned());
    let mut faults = Vec::new();
    let nodes = documents(&source, file, &mut faults);
    assert!(faults.is_empty(), "{faults:?}\n{text}");
    nodes.iter().map(Node::to_json).collect()
}

/// The objects in the YAML blocks of a section of the sheet.
fn blocks(sheet: &str, section: &str) -> impl Iterator<Item = Json> {
    let heading = format!("\n#### {section} ");
    let body = sheet.split_once(&heading).unwrap_or_else(|| panic!("the sheet has no section {section}")).1;
    let body = body.split_once("\n#").map_or(body, |(body, _)| body);
    let blocks = body.split("```yaml\n").skip(1).map(|rest| rest.split_once("\n```").unwrap().0);
    // A block without a kind is a part of an object that the prose speaks of.
    blocks.flat_map(read).filter(|json| json.get("kind").is_some())
}

/// Puts the strings that the sheet does not repeat in their places.
fn fill(json: &mut Json, inputs: &[Json]) {
    match json {
        Json::Object(map) => {
            for (key, value) in map {
                if value == SAME_STRING {
                    *value = inputs.iter().find_map(|input| string_of(input, key)).unwrap();
                }
                fill(value, inputs);
            }
        }
        Json::Array(items) => items.iter_mut().for_each(|item| fill(item, inputs)),
        _ => {}
    }
}

/// The value of the first key of this name, wherever it is.
fn string_of(json: &Json, key: &str) -> Option<Json> {
    match json {
        Json::Object(map) => map.get(key).cloned().or_else(|| map.values().find_map(|value| string_of(value, key))),
        Json::Array(items) => items.iter().find_map(|item| string_of(item, key)),
        _ => None,
    }
}
