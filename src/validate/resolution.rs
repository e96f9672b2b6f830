//! Which interfaces and pools the ports of chains find, worked out once for the rules about them. PURE.
//!
//! Mirrors the per-node controllers (`servicechainset` and `podipam` of DPF v24.10): a port finds the ServiceInterfaces of its
//! chain's namespace that carry all its labels; a pool is found by label in the whole DPU cluster.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::Context;
use super::selector::{Selector, Verdict, known, node_labels};
use super::view::{INTERFACE_LABEL, NV_IPAM, SERVICE_LABEL, SVC, place};
use crate::node::{Entry, Node};
use crate::source::Origin;

type Text<'a> = Cow<'a, str>;
type Labels<'a> = Vec<(Text<'a>, Text<'a>)>;

/// What a port may find.
pub(super) struct Candidate<'a> {
    /// As messages name it.
    pub(super) name: String,
    pub(super) namespace: &'a str,
    pub(super) origin: Origin,
    /// Nothing where it goes to every DPU cluster.
    pub(super) cluster: Option<usize>,
    pub(super) labels: Labels<'a>,
    pub(super) selector: Selector<'a>,
    /// `physical`, `vf`, `service` …; for pools, their kind.
    pub(super) kind: &'a str,
}

/// A chain that the user wrote, as a `DPUDeployment`, a `DPUServiceChain` or a set in a DPU cluster.
pub(super) struct Chain<'a> {
    pub(super) name: String,
    pub(super) namespace: &'a str,
    pub(super) origin: Origin,
    pub(super) cluster: Option<usize>,
    pub(super) selector: Selector<'a>,
    pub(super) switches: &'a [Node],
    /// Index in `Context::deployments`.
    pub(super) deployment: Option<usize>,
}

/// A port and what it finds.
pub(super) struct Port<'a> {
    /// Index in `Resolution::chains`.
    pub(super) chain: usize,
    pub(super) node: &'a Node,
    pub(super) ask: Ask<'a>,
    /// Interfaces with these labels that can be on a node of the chain.
    pub(super) matches: Vec<usize>,
    /// Interfaces with these labels that cannot.
    pub(super) elsewhere: Vec<usize>,
    /// What cannot be decided here.
    pub(super) open: bool,
    /// Where `matchLabels`, or the service, is written.
    pub(super) origin: Origin,
    /// `ipam` of the port.
    pub(super) ipam: Option<&'a Node>,
    /// Pools that `ipam` finds.
    pub(super) pools: Vec<usize>,
    /// The cluster in which `ipam` finds none.
    pub(super) no_pool_in: Option<Option<usize>>,
}

/// How a port says what it wants.
pub(super) enum Ask<'a> {
    /// By labels.
    Labels(Labels<'a>),
    /// By service key and interface name, in a `DPUDeployment`.
    Service(&'a str, &'a str),
    /// It cannot be read: the field table says why.
    Unread,
}

/// Every chain, port, interface and pool.
#[derive(Default)]
pub(super) struct Resolution<'a> {
    pub(super) chains: Vec<Chain<'a>>,
    pub(super) ports: Vec<Port<'a>>,
    pub(super) interfaces: Vec<Candidate<'a>>,
    pub(super) pools: Vec<Candidate<'a>>,
    /// Interfaces by cluster, namespace, label.
    by_label: BTreeMap<Key<'a>, Vec<usize>>,
    /// Pools by cluster and label; the namespace is empty.
    pool_by_label: BTreeMap<Key<'a>, Vec<usize>>,
    /// Namespaces with an interface whose labels wait.
    open: BTreeMap<String, ()>,
    pools_open: bool,
}

type Key<'a> = (Option<usize>, Text<'a>, Text<'a>, Text<'a>);

/// Whether two interfaces meet on a node.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Meet {
    Never,
    Perhaps,
    Always,
}

impl<'a> Context<'a> {
    /// What the ports of all chains find.
    pub(super) fn resolution(&self) -> &Resolution<'a> {
        self.resolution.get_or_init(|| resolve(self))
    }

    /// Whether the nodes of three selectors have one in common; the cluster is `None` for every one.
    pub(super) fn meet(&self, cluster: Option<usize>, selectors: [&Selector<'a>; 3]) -> Meet {
        let [a, b, c] = selectors;
        if a.excludes(b) || a.excludes(c) || b.excludes(c) {
            return Meet::Never;
        }
        let mut narrow: Vec<&Selector<'_>> =
            selectors.into_iter().filter(|selector| !selector.is_everything()).collect();
        narrow.dedup();
        if narrow.len() < 2 && narrow.iter().all(|selector| !selector.open) {
            return Meet::Always;
        }
        if !self.input.inventory.present {
            return Meet::Perhaps;
        }
        let cluster = cluster.map(|index| self.cluster_name(index));
        let mut best = Verdict::No;
        for host in &self.input.inventory.hosts {
            for dpu in host.dpus.iter().filter(|dpu| cluster.is_none_or(|cluster| dpu.cluster == cluster)) {
                let labels = node_labels(host, dpu);
                let verdict = selectors.iter().map(|selector| selector.verdict(&labels)).min();
                best = best.max(verdict.unwrap_or(Verdict::Yes));
            }
        }
        match best {
            Verdict::No => Meet::Never,
            Verdict::Perhaps => Meet::Perhaps,
            Verdict::Yes => Meet::Always,
        }
    }
}

fn resolve<'a>(context: &Context<'a>) -> Resolution<'a> {
    let mut resolution = Resolution::default();
    resolution.collect_interfaces(context);
    resolution.collect_pools(context);
    resolution.collect_chains(context);
    let mut ports = Vec::new();
    for (index, chain) in resolution.chains.iter().enumerate() {
        for node in chain.switches.iter().flat_map(|switch| switch.items(&["ports"])) {
            ports.push(resolution.port(context, index, chain, node));
        }
    }
    resolution.ports = ports;
    resolution
}

/// Labels that are known; nothing where one of them waits.
fn labels_of<'a>(entries: &'a [Entry]) -> Option<Labels<'a>> {
    entries.iter().map(|entry| Some((Cow::Borrowed(&*entry.key.text), Cow::Borrowed(known(&entry.value)?)))).collect()
}

impl<'a> Resolution<'a> {
    fn add_interface(&mut self, candidate: Candidate<'a>) {
        let index = self.interfaces.len();
        for (key, value) in &candidate.labels {
            let key = (candidate.cluster, Cow::Borrowed(candidate.namespace), key.clone(), value.clone());
            self.by_label.entry(key).or_default().push(index);
        }
        self.interfaces.push(candidate);
    }

    fn collect_interfaces(&mut self, context: &Context<'a>) {
        for (id, node) in context.objects(SVC, "DPUServiceInterface") {
            let Some(set) = node.at(&["spec", "template", "spec"]) else { continue };
            let Some(labels) = labels_of(set.fields(&["template", "metadata", "labels"])) else {
                self.open.insert(id.namespace.to_string(), ());
                continue;
            };
            let candidate = Candidate {
                name: id.to_string(),
                namespace: &id.namespace,
                origin: place(node),
                cluster: None,
                labels,
                selector: Selector::of(set.get("nodeSelector")),
                kind: set.text(&["template", "spec", "interfaceType"]).unwrap_or_default(),
            };
            self.add_interface(candidate);
        }
        for deployment in &context.deployments {
            for service in deployment.services.iter().filter(|service| service.in_cluster() != Some(true)) {
                for interface in service.interfaces() {
                    let Some(name) = interface.get("name").and_then(known) else {
                        self.open.insert(deployment.id.namespace.to_string(), ());
                        continue;
                    };
                    let candidate = Candidate {
                        name: format!("interface `{name}` of service `{}` of {}", service.key, deployment.id),
                        namespace: &deployment.id.namespace,
                        origin: interface.origin(),
                        cluster: None,
                        labels: service_labels(&deployment.service_id(&service.key), name),
                        selector: deployment.service_selector(&service.key),
                        kind: "service",
                    };
                    self.add_interface(candidate);
                }
            }
        }
        for cluster in 0..context.input.clusters.len() {
            for (kind, labels, selector, spec) in [
                (
                    "ServiceInterfaceSet",
                    &["spec", "template", "metadata", "labels"][..],
                    true,
                    &["spec", "template", "spec"][..],
                ),
                ("ServiceInterface", &["metadata", "labels"], false, &["spec"]),
            ] {
                for (id, node) in context.in_cluster(cluster, SVC, kind) {
                    let Some(labels) = labels_of(node.fields(labels)) else {
                        self.open.insert(id.namespace.to_string(), ());
                        continue;
                    };
                    let selector = if selector {
                        Selector::of(node.at(&["spec", "nodeSelector"]))
                    } else {
                        on_node(node.text(&["spec", "node"]))
                    };
                    let kind = node.at(spec).and_then(|spec| spec.text(&["interfaceType"])).unwrap_or_default();
                    let candidate = Candidate {
                        name: id.to_string(),
                        namespace: &id.namespace,
                        origin: place(node),
                        cluster: Some(cluster),
                        labels,
                        selector,
                        kind,
                    };
                    self.add_interface(candidate);
                }
            }
        }
    }

    fn add_pool(&mut self, candidate: Candidate<'a>) {
        let index = self.pools.len();
        for (key, value) in &candidate.labels {
            let key = (candidate.cluster, Cow::Borrowed(""), key.clone(), value.clone());
            self.pool_by_label.entry(key).or_default().push(index);
        }
        self.pools.push(candidate);
    }

    fn collect_pools(&mut self, context: &Context<'a>) {
        for (id, node) in context.objects(SVC, "DPUServiceIPAM") {
            let Some(mut labels) = labels_of(node.fields(&["spec", "metadata", "labels"])) else {
                self.pools_open = true;
                continue;
            };
            labels.push(("dpu.nvidia.com/dpuserviceipam-name".into(), Cow::Borrowed(&id.name)));
            labels.push(("dpu.nvidia.com/dpuserviceipam-namespace".into(), Cow::Borrowed(&id.namespace)));
            let kind = if node.at(&["spec", "ipv4Subnet"]).is_some() { "IPPool" } else { "CIDRPool" };
            self.add_pool(Candidate {
                name: id.to_string(),
                namespace: &id.namespace,
                origin: place(node),
                cluster: None,
                labels,
                selector: Selector::default(),
                kind,
            });
        }
        for cluster in 0..context.input.clusters.len() {
            for kind in ["IPPool", "CIDRPool"] {
                for (id, node) in context.in_cluster(cluster, NV_IPAM, kind) {
                    let Some(labels) = labels_of(node.fields(&["metadata", "labels"])) else {
                        self.pools_open = true;
                        continue;
                    };
                    self.add_pool(Candidate {
                        name: id.to_string(),
                        namespace: &id.namespace,
                        origin: place(node),
                        cluster: Some(cluster),
                        labels,
                        selector: Selector::default(),
                        kind,
                    });
                }
            }
        }
    }

    fn collect_chains(&mut self, context: &Context<'a>) {
        for (index, deployment) in context.deployments.iter().enumerate() {
            self.chains.push(Chain {
                name: deployment.id.to_string(),
                namespace: &deployment.id.namespace,
                origin: place(deployment.node),
                cluster: None,
                selector: deployment.selector(),
                switches: deployment.switches(),
                deployment: Some(index),
            });
        }
        for (id, node) in context.objects(SVC, "DPUServiceChain") {
            let set = node.at(&["spec", "template", "spec"]);
            self.chains.push(Chain {
                name: id.to_string(),
                namespace: &id.namespace,
                origin: place(node),
                cluster: None,
                selector: Selector::of(set.and_then(|set| set.get("nodeSelector"))),
                switches: set.map(|set| set.items(&["template", "spec", "switches"])).unwrap_or_default(),
                deployment: None,
            });
        }
        for cluster in 0..context.input.clusters.len() {
            for (id, node) in context.in_cluster(cluster, SVC, "ServiceChainSet") {
                self.chains.push(Chain {
                    name: id.to_string(),
                    namespace: &id.namespace,
                    origin: place(node),
                    cluster: Some(cluster),
                    selector: Selector::of(node.at(&["spec", "nodeSelector"])),
                    switches: node.items(&["spec", "template", "spec", "switches"]),
                    deployment: None,
                });
            }
            for (id, node) in context.in_cluster(cluster, SVC, "ServiceChain") {
                self.chains.push(Chain {
                    name: id.to_string(),
                    namespace: &id.namespace,
                    origin: place(node),
                    cluster: Some(cluster),
                    selector: on_node(node.text(&["spec", "node"])),
                    switches: node.items(&["spec", "switches"]),
                    deployment: None,
                });
            }
        }
    }

    fn port(&self, context: &Context<'a>, index: usize, chain: &Chain<'a>, node: &'a Node) -> Port<'a> {
        let by_labels = node.get("serviceInterface");
        let service = node.get("service");
        let ask = match (by_labels, service) {
            (Some(by_labels), None) => labels_of(by_labels.fields(&["matchLabels"]))
                .filter(|labels| !labels.is_empty())
                .map_or(Ask::Unread, Ask::Labels),
            (None, Some(service)) => {
                match (service.get("name").and_then(known), service.get("interface").and_then(known)) {
                    (Some(name), Some(interface)) => Ask::Service(name, interface),
                    _ => Ask::Unread,
                }
            }
            _ => Ask::Unread,
        };
        let said = by_labels.or(service).unwrap_or(node);
        let mut port = Port {
            chain: index,
            node,
            origin: said.get("matchLabels").map_or(said.origin(), |_| said.key_origin("matchLabels")),
            ipam: said.get("ipam"),
            ask,
            matches: Vec::new(),
            elsewhere: Vec::new(),
            open: false,
            pools: Vec::new(),
            no_pool_in: None,
        };
        let asked = match (&port.ask, chain.deployment.and_then(|at| context.deployments.get(at))) {
            (Ask::Labels(labels), _) => labels.clone(),
            (Ask::Service(name, interface), Some(deployment)) => {
                service_labels(&deployment.service_id(name), interface)
            }
            _ => Labels::new(),
        };
        if asked.is_empty() {
            port.open = true;
        } else {
            let (found, everywhere) =
                find(context, &self.by_label, &self.interfaces, chain.cluster, chain.namespace, &asked);
            for candidate in found {
                if self.interfaces[candidate].selector.excludes(&chain.selector) {
                    port.elsewhere.push(candidate);
                } else {
                    port.matches.push(candidate);
                }
            }
            if !everywhere {
                port.matches.clear();
            }
            port.open = port.matches.is_empty() && self.open.contains_key(chain.namespace);
        }
        if let Some(labels) = port.ipam.and_then(|ipam| labels_of(ipam.fields(&["matchLabels"])))
            && !labels.is_empty()
        {
            let (found, everywhere) = find(context, &self.pool_by_label, &self.pools, chain.cluster, "", &labels);
            port.pools = found;
            if !everywhere && !self.pools_open {
                port.no_pool_in = Some(self.first_without(context, chain.cluster, &port.pools));
            }
        }
        port
    }

    /// The cluster that has none of `found`.
    fn first_without(&self, context: &Context<'a>, cluster: Option<usize>, found: &[usize]) -> Option<usize> {
        if cluster.is_some() || found.is_empty() {
            return cluster;
        }
        (0..context.site.clusters.len())
            .find(|index| !found.iter().any(|&pool| self.pools[pool].cluster == Some(*index)))
    }
}

/// The labels that DPF gives to a service's interface.
fn service_labels<'a>(id: &str, interface: &str) -> Labels<'a> {
    vec![(SERVICE_LABEL.into(), Cow::Owned(id.to_owned())), (INTERFACE_LABEL.into(), Cow::Owned(interface.to_owned()))]
}

/// The selector of a per-node object.
fn on_node<'a>(node: Option<&str>) -> Selector<'a> {
    node.map_or_else(Selector::default, |node| {
        Selector::labels([("kubernetes.io/hostname".to_owned(), node.to_owned())])
    })
}

/// What carries all of `asked`, and whether there is something in every cluster that matters.
fn find<'a>(
    context: &Context<'a>,
    index: &BTreeMap<Key<'a>, Vec<usize>>,
    candidates: &[Candidate<'a>],
    cluster: Option<usize>,
    namespace: &'a str,
    asked: &Labels<'a>,
) -> (Vec<usize>, bool) {
    let within = |scope: Option<usize>| -> Vec<usize> {
        // The rarest label is looked through, the others are compared.
        let rarest = asked
            .iter()
            .map(|(key, value)| {
                index
                    .get(&(scope, Cow::Borrowed(namespace), key.clone(), value.clone()))
                    .map(Vec::as_slice)
                    .unwrap_or_default()
            })
            .min_by_key(|found| found.len())
            .unwrap_or_default();
        rarest.iter().copied().filter(|&at| asked.iter().all(|label| candidates[at].labels.contains(label))).collect()
    };
    let mut found = within(None);
    match cluster {
        Some(_) => {
            found.extend(within(cluster));
            let some = !found.is_empty();
            (found, some)
        }
        None => {
            let mut everywhere = !found.is_empty();
            if !everywhere && !context.site.clusters.is_empty() {
                everywhere = true;
                for index in 0..context.site.clusters.len() {
                    let own = within(Some(index));
                    everywhere &= !own.is_empty();
                    found.extend(own);
                }
            }
            (found, everywhere)
        }
    }
}
