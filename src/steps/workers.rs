//! Worker nodes, their cards, and traffic between pods. PURE.

use std::collections::BTreeMap;

use super::Step;
use super::objects::{PROVISIONING, applications, cluster, list, management, names_in, namespaces_of, of_kind, ovn};
use super::shell::{Line, kubectl, kubectl_in, kubectl_on};
use super::system;
use crate::node::Node;
use crate::render::{RenderedObject, RenderedSite};
use crate::site::{Dpu, Host, Release};

/// Labels with these prefixes come by themselves: node feature discovery and kubelet set them.
const FOUND: [&str; 4] =
    ["feature.node.kubernetes.io/", "kubernetes.io/", "beta.kubernetes.io/", "node.kubernetes.io/"];
const CHANGED: &str = "k8s.ovn.org/remote-zone-migrated";

/// What a person sets on a Node: labels and annotations.
fn marks(site: &RenderedSite, host: &Host) -> (BTreeMap<String, String>, BTreeMap<String, String>) {
    let set = |(key, _): &(&String, &String)| !FOUND.iter().any(|prefix| key.starts_with(prefix));
    let mut labels: BTreeMap<String, String> =
        host.labels.iter().filter(set).map(|(key, value)| (key.clone(), value.clone())).collect();
    let mut annotations = BTreeMap::new();
    if ovn(site).is_some() && !host.dpus.is_empty() {
        labels.insert("k8s.ovn.org/dpu-host".to_owned(), String::new());
        labels.insert("k8s.ovn.org/zone-name".to_owned(), host.name.clone());
        annotations.insert(CHANGED.to_owned(), host.name.clone());
    }
    (labels, annotations)
}

pub(super) fn join(site: &RenderedSite) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut hosts: Vec<&Host> = site.inventory.hosts.iter().collect();
    if let Some(choice) = Choice::of(site) {
        steps.push(choice.order());
        hosts.sort_by_key(|host| host.dpus.iter().all(|dpu| dpu.cluster != choice.first));
    }
    for host in hosts {
        let (labels, annotations) = marks(site, host);
        let mut commands = vec![until(kubectl().raw("get node").word(&host.name))];
        for (verb, marks) in [("label", labels), ("annotate", annotations)] {
            if !marks.is_empty() {
                let pairs: Vec<String> = marks.iter().map(|(key, value)| format!("{key}={value}")).collect();
                let line = kubectl().raw(verb).raw("--overwrite node").word(&host.name);
                commands.push(line.words(pairs.iter().map(String::as_str)).end());
            }
        }
        let text = format!(
            "Join {}, as kubeadm token create --print-join-command says or by your own means, and mark its Node.",
            host.name
        );
        steps.push(Step::new(text, commands));
    }
    if !site.inventory.present && ovn(site).is_some() {
        let node = |verb: &str, marks: &str| format!("kubectl {verb} --overwrite node '<node>' {marks}");
        steps.push(Step::new(
            "Join each worker, then mark its Node, with its name for <node>.",
            [
                node("label", "k8s.ovn.org/dpu-host= k8s.ovn.org/zone-name='<node>' node-role.kubernetes.io/worker="),
                node("annotate", &format!("{CHANGED}='<node>'")),
            ],
        ));
    }
    steps
}

/// Asks for an object until it is there.
fn until(get: Line) -> String {
    format!("until {} > /dev/null; do sleep 5; done", get.end())
}

/// The cards of each DPU cluster.
fn cards(site: &RenderedSite) -> BTreeMap<&str, Vec<&Dpu>> {
    let mut cards: BTreeMap<&str, Vec<&Dpu>> = BTreeMap::new();
    for dpu in site.inventory.hosts.iter().flat_map(|host| &host.dpus) {
        cards.entry(&dpu.cluster).or_default().push(dpu);
    }
    cards
}

/// Where DPF makes the objects of cards: beside their set, if all sets are in one namespace.
fn dpu_namespace(site: &RenderedSite) -> Option<&str> {
    let sets: Vec<&RenderedObject> = of_kind(site, PROVISIONING, "DPUSet").collect();
    let deployments = of_kind(site, super::objects::SVC, "DPUDeployment");
    let both: Vec<&RenderedObject> = sets.into_iter().chain(deployments).collect();
    let namespaces = namespaces_of(&both);
    if let [one] = namespaces.as_slice() { Some(one) } else { None }
}

/// Cards for other DPU clusters than the first: before v26.4 DPF gives every new DPU to the first one by name, until that is
/// full, and then lets DPUs wait.
struct Choice<'s> {
    site: &'s RenderedSite,
    first: &'s str,
    /// How many cards are the first one's.
    own: usize,
    others: Vec<&'s Dpu>,
    namespace: &'s str,
}

impl<'s> Choice<'s> {
    fn of(site: &'s RenderedSite) -> Option<Self> {
        if site.site.dpf >= Release::V26_4 {
            return None;
        }
        let first = site.site.clusters.iter().map(|cluster| cluster.name.as_str()).min()?;
        let cards = site.inventory.hosts.iter().flat_map(|host| &host.dpus);
        let (own, others): (Vec<&Dpu>, Vec<&Dpu>) = cards.partition(|dpu| dpu.cluster == first);
        let namespace = dpu_namespace(site).filter(|_| !others.is_empty())?;
        Some(Self { site, first, own: own.len(), others, namespace })
    }

    /// What must be so before hosts join.
    fn order(&self) -> Step {
        let Self { site, first, own, .. } = self;
        let cluster = of_kind(site, PROVISIONING, "DPUCluster").find(|cluster| *cluster.id.name == **first);
        let most = cluster.and_then(|cluster| cluster.node.at(&["spec", "maxNodes"])).and_then(Node::as_i64);
        let most = most.unwrap_or(1000);
        let release = site.site.dpf;
        let text = if *own == 0 {
            format!(
                "DPF {release} gives every new DPU to {first}, where the inventory has none: have that cluster sort last."
            )
        } else if i64::try_from(*own) == Ok(most) {
            format!(
                "DPF {release} gives every new DPU to {first} until that is full ({most}). So its hosts join first; go on when \
                 their DPUs name it."
            )
        } else {
            format!(
                "DPF {release} gives every new DPU to {first} until that is full. So have Git say maxNodes: {own} for it (now \
                 {most}), and its hosts join first; go on when their DPUs name it."
            )
        };
        let columns = "--output=custom-columns=NAME:.metadata.name,CLUSTER:.spec.cluster.name";
        Step::new(text, [kubectl_in(self.namespace).raw("get dpus").raw(columns).end()])
    }
}

pub(super) fn choose_cluster(site: &RenderedSite) -> Vec<Step> {
    let Some(choice) = Choice::of(site) else { return Vec::new() };
    let mut commands = Vec::new();
    for dpu in &choice.others {
        let Some(cluster) = site.site.clusters.iter().find(|cluster| cluster.name == dpu.cluster) else { continue };
        let patch = serde_json::json!({"spec": {"cluster": {"name": cluster.name, "namespace": cluster.namespace}}});
        let name = format!("dpu/{}", dpu.node_name);
        commands.push(until(kubectl_in(choice.namespace).raw("get").word(&name)));
        let line = kubectl_in(choice.namespace).raw("patch").word(&name).raw("--type=merge");
        commands.push(line.option("patch", &patch.to_string()).end());
    }
    vec![Step::new(
        "Put the cards that wait where the inventory has them. The choice is for good: another one means to delete the DPU.",
        commands,
    )]
}

pub(super) fn verify(site: &RenderedSite) -> Vec<Step> {
    let mut steps = Vec::new();
    let cards = cards(site);
    let named = |kind: &str, dpus: &[&Dpu]| -> Vec<String> {
        dpus.iter().map(|dpu| format!("{kind}/{}", dpu.node_name)).collect()
    };
    let ready = |line: Line, names: &[String], timeout: &str| {
        let line = line.raw("wait --for=condition=Ready").words(names.iter().map(String::as_str));
        line.raw(&format!("--timeout={timeout}")).end()
    };
    if let Some(namespace) = dpu_namespace(site) {
        let mut commands = vec![kubectl_in(namespace).raw("get dpus").end()];
        let all: Vec<&Dpu> = cards.values().flatten().copied().collect();
        if all.is_empty() {
            commands.push(kubectl_in(namespace).raw("wait --for=condition=Ready dpus --all --timeout=2h").end());
        } else {
            commands.push(ready(kubectl_in(namespace), &named("dpu", &all), "2h"));
        }
        steps.push(Step::new(
            "The cards are flashed and their hosts rebooted: this takes its time. A DPU that stays in Initializing misses the \
             label feature.node.kubernetes.io/dpu-oob-bridge-configured on its host, or a DPU cluster that is ready.",
            commands,
        ));
    }
    for one in &site.site.clusters {
        let mut commands = Vec::new();
        match cards.get(one.name.as_str()) {
            Some(dpus) => commands.push(ready(kubectl_on(&one.name), &named("node", dpus), "15m")),
            None if site.inventory.present => continue,
            None => {
                commands.push(kubectl_on(&one.name).raw("wait --for=condition=Ready nodes --all --timeout=15m").end())
            }
        }
        let there: Vec<_> = applications(site).filter(|application| application.on_cluster(&one.name)).collect();
        if !there.is_empty() {
            commands.push(system::wait(&there, "jsonpath='{.status.health.status}'=Healthy", "30m"));
        }
        let objects: Vec<&RenderedObject> = cluster(site, &one.name).collect();
        for object in
            objects.iter().filter(|object| object.id.is("apps", "DaemonSet") || object.id.is("apps", "Deployment"))
        {
            let name = format!("{}/{}", object.id.kind.to_ascii_lowercase(), object.id.name);
            let line = super::shell::namespaced(kubectl_on(&one.name), &object.id.namespace);
            commands.push(line.raw("rollout status").word(&name).raw("--timeout=10m").end());
        }
        let network: Vec<&RenderedObject> =
            objects.iter().copied().filter(|object| &*object.id.group == super::objects::SVC).collect();
        for namespace in namespaces_of(&network) {
            let of_namespace = |object: &&&RenderedObject| &*object.id.namespace == namespace;
            let mut kinds: Vec<String> = network
                .iter()
                .filter(of_namespace)
                .map(|object| format!("{}s", object.id.kind.to_ascii_lowercase()))
                .collect();
            kinds.sort();
            kinds.dedup();
            let line = super::shell::namespaced(kubectl_on(&one.name), namespace);
            commands.push(line.raw("get").word(&kinds.join(",")).end());
        }
        commands.push(kubectl_on(&one.name).raw("get pods --all-namespaces --output=wide").end());
        steps.push(Step::new(
            format!(
                "DPU cluster {}: its cards have joined, and the services, chains and interfaces are on them.",
                one.name
            ),
            commands,
        ));
    }
    steps
}

/// Deployments of the management cluster whose pods listen with `nc`, and the Services in front of them.
pub(super) fn listeners(site: &RenderedSite) -> (Vec<&RenderedObject>, Vec<&RenderedObject>) {
    let listens = |object: &&RenderedObject| {
        let containers = object.node.items(&["spec", "template", "spec", "containers"]);
        containers.iter().any(|one| one.items(&["command"]).first().and_then(Node::as_str) == Some("nc"))
    };
    let deployments: Vec<&RenderedObject> = of_kind(site, "apps", "Deployment").filter(listens).collect();
    let services = management(site).iter().filter(|service| {
        let selector = service.node.fields(&["spec", "selector"]);
        let selects = |deployment: &&RenderedObject| {
            deployment.id.namespace == service.id.namespace
                && selector.iter().all(|label| {
                    let path = ["spec", "template", "metadata", "labels", &*label.key.text];
                    deployment.node.text(&path) == label.value.as_str()
                })
        };
        service.id.is("", "Service") && !selector.is_empty() && deployments.iter().any(selects)
    });
    let services = services.collect();
    (deployments, services)
}

pub(super) fn traffic(site: &RenderedSite) -> Vec<Step> {
    let (deployments, services) = listeners(site);
    if deployments.is_empty() {
        return Vec::new();
    }
    let rollouts = deployments.iter().map(|one| {
        let name = format!("deployment/{}", one.id.name);
        kubectl_in(&one.id.namespace).raw("rollout status").word(&name).raw("--timeout=15m").end()
    });
    let mut steps = vec![Step::new("The test pods run.", rollouts)];
    let mut commands = Vec::new();
    for from in &deployments {
        for to in &services {
            let host = format!("{}.{}", to.id.name, to.id.namespace);
            for port in to.node.items(&["spec", "ports"]) {
                if let Some(port) = port.get("port").and_then(Node::as_i64) {
                    let line = kubectl_in(&from.id.namespace).raw("exec").word(&format!("deployment/{}", from.id.name));
                    commands.push(line.raw("-- nc -zv -w 5").word(&host).word(&port.to_string()).end());
                }
            }
        }
    }
    if !commands.is_empty() {
        let names: Vec<&str> =
            namespaces_of(&deployments).into_iter().flat_map(|one| names_in(&deployments, one)).collect();
        steps.push(Step::new(format!("Every one of {} reaches every Service.", list(&names)), commands));
    }
    steps
}
