//! What the real controllers refuse or cannot work with (`oracle/rejected`), and what we say to it.
//!
//! Each case is checked as a site whose clusters are its `DPUCluster`s and whose inventory is its Nodes, with `parity`: what
//! upstream refuses stays an error, what it accepts becomes a warning.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use dpu_render::argocd::version::Version;
use dpu_render::diagnostic::{Diagnostic, Severity};
use dpu_render::node::Node;
use dpu_render::render::expand::{Evaluate, Expanded, Input, Scope, dpf};
use dpu_render::render::object::ObjectId;
use dpu_render::schema;
use dpu_render::site::{ArgoCd, Cluster, Dpu, External, Host, Inventory, Mode, Release, Site, SystemComponents};
use dpu_render::source::{Origin, SourceTree};
use dpu_render::validate;
use dpu_render::yaml::read;

type Check = fn(&Input<'_>, &Expanded) -> Vec<Diagnostic>;

/// Who checks an input; the field table joins when it is there.
const CHECKERS: &[(Checker, Check)] = &[
    (Checker::Rules, validate::check),
    (Checker::Expansion, |_, expanded| expanded.diagnostics.clone()),
    (Checker::Fields, |input, _| {
        let mut faults = Vec::new();
        for node in input.management.values() {
            schema::check(node, input.site.dpf, input.site.parity, &mut faults);
        }
        faults
    }),
];

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Checker {
    /// `validate::check`.
    Rules,
    /// The faults of `expand::dpf::expand`.
    Expansion,
    /// The field table.
    Fields,
    /// Nobody: it shows only in a cluster, or in a change.
    Nobody,
}
use Checker::{Expansion, Fields, Nobody, Rules};

/// What we say to an input.
struct Case {
    name: &'static str,
    /// Who says it.
    by: Checker,
    /// Codes that must be among those reported; any error of `by`, where none is named.
    codes: &'static [&'static str],
    /// Whether each of them stays an error under `parity`, because upstream refuses it too.
    error: bool,
}

const fn refused(name: &'static str, by: Checker, codes: &'static [&'static str]) -> Case {
    Case { name, by, codes, error: true }
}

const fn accepted(name: &'static str, by: Checker, codes: &'static [&'static str]) -> Case {
    Case { name, by, codes, error: false }
}

/// Every folder has a line, or several where several say something.
const CASES: &[Case] = &[
    refused("chain-schema", Fields, &[]),
    refused("chain-schema", Rules, &["selector-invalid"]),
    accepted("cluster-broken-kubeconfig", Rules, &["secret-missing"]),
    refused("cluster-long-name", Rules, &["name-too-long"]),
    accepted("cluster-no-kubeconfig", Nobody, &[]),
    refused("cluster-schema", Fields, &[]),
    accepted("cluster-schema", Rules, &["cluster-type"]),
    accepted("cluster-two-users", Nobody, &[]),
    accepted("conflict-same-cluster-two-namespaces", Rules, &["cluster-name-twice"]),
    accepted("conflict-same-service-two-namespaces", Expansion, &[]),
    accepted("conflict-two-interfaces-one-name", Expansion, &["name-collision"]),
    refused("credential-requests", Fields, &[]),
    refused("credential-requests", Expansion, &["credential-cluster-missing"]),
    refused("credential-requests", Rules, &["credential-duration"]),
    refused("demo-operator-config-2024-05", Fields, &[]),
    refused("deployment-bad-service-key", Rules, &["name-invalid"]),
    accepted("deployment-bad-service-key", Rules, &["name-too-long"]),
    refused("deployment-long-name", Rules, &["name-too-long"]),
    refused("deployment-missing-bfb", Expansion, &[]),
    refused("deployment-missing-configuration", Expansion, &[]),
    refused("deployment-missing-flavor", Expansion, &[]),
    refused("deployment-missing-template", Expansion, &[]),
    refused("deployment-port-both", Fields, &[]),
    refused("deployment-resources", Expansion, &[]),
    refused("deployment-schema", Fields, &[]),
    accepted("deployment-unknown-field", Fields, &["unknown-field"]),
    refused("deployment-wrong-service-name", Expansion, &[]),
    // What Node Feature Discovery will write is not in Git.
    accepted("dpuset-host-labels", Nobody, &[]),
    refused("dpuset-same-host-twice", Rules, &["dpuset-same-card"]),
    refused("interface-schema", Fields, &[]),
    refused(
        "ipam-invalid",
        Rules,
        &[
            "ipam-allocation",
            "ipam-cidr",
            "ipam-default-route",
            "ipam-exclusion",
            "ipam-gateway",
            "ipam-mode",
            "ipam-namespace",
            "ipam-prefix",
            "ipam-route",
        ],
    ),
    // A change: `diff` says it.
    accepted("ipam-update", Nobody, &[]),
    refused("operator-bad-references", Rules, &["operator-pvc-blank"]),
    refused("operator-bad-references", Expansion, &["operator-image"]),
    refused("operator-config-none", Expansion, &[]),
    refused("operator-config-schema", Fields, &[]),
    refused("operator-config-twice", Rules, &["operator-config-name"]),
    accepted("operator-missing-pull-secret", Rules, &["secret-missing"]),
    refused("operator-wrong-name", Rules, &["operator-config-name"]),
    refused("provisioning-admission", Fields, &[]),
    refused(
        "provisioning-admission",
        Rules,
        &["dpuset-max-unavailable", "dpuset-node-effect", "dpuset-power-cycle", "flavor-nvconfig", "flavor-resources"],
    ),
    refused("service-annotation-shorthand", Expansion, &[]),
    accepted("service-id-not-a-label", Rules, &["label-value-invalid"]),
    refused("service-interface-in-use", Expansion, &[]),
    refused("service-interface-missing", Expansion, &[]),
    refused("service-interface-wrong-id", Expansion, &[]),
    refused("service-interface-wrong-type", Expansion, &[]),
    refused("service-long-name", Rules, &["name-too-long"]),
    refused("service-schema", Fields, &[]),
    accepted("service-schema", Rules, &["service-without-chart"]),
];

/// Evaluates nothing: the cases hold no expressions.
struct Plain;

impl Evaluate for Plain {
    fn evaluate(&self, node: &Node, _: Scope) -> Node {
        node.clone()
    }
}

/// Objects of one case; what comes in a second round replaces what came in the first.
fn objects(folder: &Path) -> BTreeMap<ObjectId, Node> {
    let files = BTreeMap::new();
    let tree = SourceTree::new(&files);
    let mut objects = BTreeMap::new();
    for name in ["input.yaml", "input.then1.yaml"] {
        let Ok(text) = std::fs::read_to_string(folder.join(name)) else { continue };
        let (file, source) = tree.add(name, text);
        let mut faults = Vec::new();
        for node in read::documents(&source, file, &mut faults) {
            objects.insert(ObjectId::of(&node), node);
        }
        assert!(faults.iter().all(|fault| fault.severity == Severity::Warning), "{folder:?}: {faults:?}");
    }
    objects
}

/// The Nodes of a case as an inventory.
fn inventory(objects: &mut BTreeMap<ObjectId, Node>, cluster: &str) -> Inventory {
    let mut hosts = Vec::new();
    let nodes: Vec<_> = objects.keys().filter(|id| id.is("", "Node")).cloned().collect();
    for id in nodes {
        let Some(node) = objects.remove(&id) else { continue };
        let labels: BTreeMap<String, String> = node
            .fields(&["metadata", "labels"])
            .iter()
            .map(|entry| (entry.key.text.to_string(), entry.value.as_str().unwrap_or_default().to_owned()))
            .collect();
        let dpu = Dpu {
            node_name: format!("{}-0000-90-00", id.name),
            pci: Some("0000:90:00".into()),
            cluster: cluster.to_owned(),
            serial: None,
            labels: BTreeMap::new(),
            vars: Node::map([], Origin::NONE),
            origin: node.origin(),
            cluster_origin: node.origin(),
        };
        let vars = Node::map([], Origin::NONE);
        hosts.push(Host { name: id.name.to_string(), labels, vars, dpus: vec![dpu], origin: node.origin() });
    }
    Inventory { present: !hosts.is_empty(), hosts }
}

fn check(folder: &Path) -> Vec<(Checker, Diagnostic)> {
    let mut management = objects(folder);
    let mut clusters: Vec<Cluster> = management
        .iter()
        .filter(|(id, _)| id.is("provisioning.dpu.nvidia.com", "DPUCluster"))
        .map(|(id, node)| Cluster {
            name: id.name.to_string(),
            namespace: id.namespace.to_string(),
            vars: Node::map([], Origin::NONE),
            origin: node.origin(),
        })
        .collect();
    clusters.sort_by(|a, b| a.name.cmp(&b.name));
    // Cards have to join something, also where the case is about hosts only.
    let nowhere = Cluster {
        name: "nowhere".into(),
        namespace: "nowhere".into(),
        vars: Node::map([], Origin::NONE),
        origin: Origin::NONE,
    };
    let first = clusters.first().unwrap_or(&nowhere).name.clone();
    let inventory = inventory(&mut management, &first);
    let mut external = Vec::new();
    if clusters.is_empty() && inventory.present {
        external.push(External {
            group: "provisioning.dpu.nvidia.com".into(),
            kind: "DPUCluster".into(),
            namespace: nowhere.namespace.clone(),
            name: nowhere.name.clone(),
            destination: None,
            keys: Vec::new(),
            origin: Origin::NONE,
        });
        clusters.push(nowhere);
    }
    let site = Site {
        name: "case".into(),
        folder: "sites/case".into(),
        dpf: Release::V24_10,
        mode: Mode::Standalone,
        parity: true,
        system_components: SystemComponents::Rendered,
        layers: Vec::new(),
        vars: Node::map([], Origin::NONE),
        clusters,
        inventory: None,
        external,
        argocd: ArgoCd {
            namespace: "dpf-operator-system".into(),
            management_cluster: "in-cluster".into(),
            project: "default".into(),
            repo_url: None,
            target_revision: None,
            plugin: "dpu-render".to_owned(),
            version: Version::of_release(Release::V24_10),
            present: false,
            origin: Origin::NONE,
        },
        agent: None,
        node: Node::map([], Origin::NONE),
    };
    let own: Vec<_> = site.clusters.iter().map(|_| BTreeMap::new()).collect();
    let input = Input { site: &site, inventory: &inventory, management: &management, clusters: &own, evaluate: &Plain };
    let expanded = dpf::expand(&input);
    CHECKERS.iter().flat_map(|(who, check)| check(&input, &expanded).into_iter().map(|fault| (*who, fault))).collect()
}

#[test]
fn what_upstream_refuses_we_report() {
    let Some(oracle) = crate::shared::shared("oracle") else { return };
    let mut folders = BTreeSet::new();
    for entry in std::fs::read_dir(oracle.join("rejected")).unwrap() {
        folders.insert(entry.unwrap().file_name().into_string().unwrap());
    }
    let named: BTreeSet<String> = CASES.iter().map(|case| case.name.to_owned()).collect();
    assert_eq!(named, folders, "every case has a line in CASES, and every line a case");
    let mut wrong = Vec::new();
    for case in CASES.iter().filter(|case| case.by != Nobody) {
        let found = check(&oracle.join("rejected").join(case.name));
        let said = |code: Option<&&str>| {
            found.iter().any(|(who, fault)| {
                *who == case.by
                    && code.is_none_or(|code| fault.code == *code)
                    && (fault.severity == Severity::Error || !case.error)
            })
        };
        let silent: Vec<_> = case.codes.iter().filter(|code| !said(Some(code))).collect();
        if !silent.is_empty() || !said(None) {
            let codes: BTreeSet<_> = found.iter().map(|(who, fault)| (format!("{who:?}"), fault.code)).collect();
            wrong.push(format!("{}: {:?} does not say {silent:?}, but {codes:?}", case.name, case.by));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_upstream_takes_is_no_error_under_parity() {
    let Some(oracle) = crate::shared::shared("oracle") else { return };
    let mut wrong = Vec::new();
    for entry in std::fs::read_dir(oracle).unwrap() {
        let folder = entry.unwrap().path();
        if !folder.join("input.yaml").is_file() {
            continue;
        }
        for (who, fault) in check(&folder) {
            if fault.severity == Severity::Error {
                wrong.push(format!("{}: {who:?} {} {}", folder.display(), fault.code, fault.message));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
