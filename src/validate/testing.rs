//! A site in a few lines of YAML, for the tests of the rules.

use std::collections::BTreeMap;

use super::check;
use crate::argocd::version::Version;
use crate::diagnostic::{Diagnostic, Severity};
use crate::node::{Map, Node, Value};
use crate::render::expand::{Evaluate, Expanded, Input, Scope, SecretNeed};
use crate::render::object::ObjectId;
use crate::site::{Agent, ArgoCd, Cluster, Dpu, External, Host, Inventory, Mode, Release, Site, SystemComponents};
use crate::source::{Origin, SourceTree};
use crate::yaml::read;

/// A site under test.
pub(super) struct Case {
    pub(super) site: Site,
    pub(super) inventory: Inventory,
    pub(super) expanded: Expanded,
    management: BTreeMap<ObjectId, Node>,
    clusters: Vec<BTreeMap<ObjectId, Node>>,
    files: &'static BTreeMap<String, String>,
    tree: SourceTree<'static>,
}

/// Replaces `${{ cluster.name }}` and nothing else.
struct Names<'s>(&'s Site);

impl Evaluate for Names<'_> {
    fn evaluate(&self, node: &Node, scope: Scope) -> Node {
        let Scope::Cluster(index) = scope else { return node.clone() };
        match node.value() {
            Value::Str(text) => {
                let number = (index + 1).to_string();
                let text =
                    text.replace("${{ cluster.name }}", &self.0.clusters[index].name).replace("${{ n }}", &number);
                Node::str(text, node.origin())
            }
            Value::Map(map) => {
                let entries = map.entries().iter().cloned().map(|mut entry| {
                    entry.value = self.evaluate(&entry.value, scope);
                    entry
                });
                node.with_value(Value::Map(Map::new(entries.collect())))
            }
            Value::List(items) => {
                node.with_value(Value::List(items.iter().map(|item| self.evaluate(item, scope)).collect()))
            }
            _ => node.clone(),
        }
    }
}

/// A standalone v24.10 site of one cluster `edge`, without an inventory, over objects of the management cluster; the BFB
/// `prov/b` is there.
pub(super) fn site(objects: &str) -> Case {
    let files: &'static BTreeMap<String, String> = Box::leak(Box::default());
    let site = Site {
        name: "test".into(),
        folder: "sites/test".into(),
        dpf: Release::V24_10,
        mode: Mode::Standalone,
        parity: false,
        system_components: SystemComponents::Rendered,
        layers: Vec::new(),
        vars: Node::map([], Origin::NONE),
        clusters: Vec::new(),
        inventory: None,
        external: Vec::new(),
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
    let case = Case {
        site,
        inventory: Inventory::default(),
        expanded: Expanded::default(),
        management: BTreeMap::new(),
        clusters: Vec::new(),
        files,
        tree: SourceTree::new(files),
    };
    let mut case = case.cluster("edge", "tenants");
    let objects = case.read(objects);
    case.management = objects;
    for (kind, namespace, name) in [("DPUCluster", "", "edge"), ("BFB", "prov", "b")] {
        case.site.external.push(External {
            group: "provisioning.dpu.nvidia.com".into(),
            kind: kind.into(),
            namespace: namespace.into(),
            name: name.into(),
            destination: None,
            keys: Vec::new(),
            origin: Origin::NONE,
        });
    }
    case
}

impl Case {
    fn read(&self, text: &str) -> BTreeMap<ObjectId, Node> {
        let _ = self.files;
        let (file, source) = self.tree.add("objects.yaml", text.to_owned());
        let mut faults = Vec::new();
        let documents = read::documents(&source, file, &mut faults);
        assert!(!faults.iter().any(|fault| fault.severity == Severity::Error), "{faults:?}");
        documents.into_iter().map(|node| (ObjectId::of(&node), node)).collect()
    }

    pub(super) fn cluster(mut self, name: &str, namespace: &str) -> Self {
        let (name, namespace) = (name.to_owned(), namespace.to_owned());
        self.site.clusters.push(Cluster { name, namespace, vars: Node::map([], Origin::NONE), origin: Origin::NONE });
        self.clusters.push(BTreeMap::new());
        self.expanded.clusters.push(Vec::new());
        self
    }

    /// Objects that the user wrote for one DPU cluster.
    pub(super) fn written(mut self, cluster: usize, objects: &str) -> Self {
        let objects = self.read(objects);
        self.clusters[cluster].extend(objects);
        self
    }

    pub(super) fn with(mut self, change: impl FnOnce(&mut Site)) -> Self {
        change(&mut self.site);
        self
    }

    pub(super) fn parity(self) -> Self {
        self.with(|site| site.parity = true)
    }

    pub(super) fn agent(self) -> Self {
        self.with(|site| {
            site.agent = Some(Agent { image: "a:1".into(), namespace: "x".into(), origin: Origin::NONE });
        })
    }

    pub(super) fn external(self, kind: &str, namespace: &str, name: &str, destination: Option<&str>) -> Self {
        let entry = External {
            group: String::new(),
            kind: kind.into(),
            namespace: namespace.into(),
            name: name.into(),
            destination: destination.map(str::to_owned),
            keys: Vec::new(),
            origin: Origin::NONE,
        };
        self.with(|site| site.external.push(entry))
    }

    pub(super) fn need(mut self, cluster: Option<usize>, namespace: &str, name: &str) -> Self {
        self.expanded.secrets.push(SecretNeed {
            cluster,
            namespace: namespace.into(),
            name: name.into(),
            reason: "a test needs it".into(),
            origin: Origin::NONE,
        });
        self
    }

    /// A host with one card in `edge`, with labels of its own and of the card's Node.
    pub(super) fn host(mut self, name: &str, labels: &[(&str, &str)], card: &[(&str, &str)]) -> Self {
        let own = |labels: &[(&str, &str)]| {
            labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect::<BTreeMap<_, _>>()
        };
        let mut labels = own(labels);
        labels.insert("feature.node.kubernetes.io/dpu-0-pci-address".into(), "0000-90-00".into());
        self.inventory.present = true;
        self.inventory.hosts.push(Host {
            name: name.to_owned(),
            labels,
            vars: Node::map([], Origin::NONE),
            dpus: vec![Dpu {
                node_name: format!("{name}-0000-90-00"),
                pci: Some("0000:90:00".into()),
                cluster: "edge".into(),
                serial: None,
                labels: own(card),
                vars: Node::map([], Origin::NONE),
                origin: Origin::NONE,
                cluster_origin: Origin::NONE,
            }],
            origin: Origin::NONE,
        });
        self
    }

    pub(super) fn faults(&self) -> Vec<Diagnostic> {
        let input = Input {
            site: &self.site,
            inventory: &self.inventory,
            management: &self.management,
            clusters: &self.clusters,
            evaluate: &Names(&self.site),
        };
        check(&input, &self.expanded)
    }

    /// `code line` of every fault, `code line?` for warnings, sorted.
    pub(super) fn found(&self) -> Vec<String> {
        let mut found: Vec<String> = self
            .faults()
            .iter()
            .map(|fault| {
                let place = self.tree.place(fault.origin).unwrap_or_default();
                let line = place.split(':').nth(1).unwrap_or("-").to_owned();
                let mark = if fault.severity == Severity::Warning { "?" } else { "" };
                format!("{} {line}{mark}", fault.code)
            })
            .collect();
        found.sort();
        found.dedup();
        found
    }

    /// Those of one rule.
    pub(super) fn of(&self, code: &str) -> Vec<String> {
        let prefix = format!("{code} ");
        self.found().into_iter().filter_map(|found| Some(found.strip_prefix(&prefix)?.to_owned())).collect()
    }

    /// The text of the first fault of one rule.
    pub(super) fn text(&self, code: &str) -> String {
        let fault = self.faults().into_iter().find(|fault| fault.code == code);
        fault.map(|fault| crate::diagnostic::render(&fault, &self.tree, false)).unwrap_or_default()
    }
}
