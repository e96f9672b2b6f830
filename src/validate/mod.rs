//! Rules over the objects of a site. PURE.
//!
//! In: what the user wrote ([`Input`]) and what comes of it ([`Expanded`]). Out: every fault. The field table says what the
//! API server knows of one object; expansion says what stops it; rules say what nobody says upstream, or says too late.
//! Adding a rule is a function named like its code and one line in [`RULES`].
//!
//! The cost is proportional to the objects: rules look things up in the maps they are given, and what several rules share
//! is worked out once in `Context`.

mod addresses;
mod chains;
mod clusters;
mod interfaces;
mod ipam_ports;
mod labels;
mod names;
mod operator_config;
mod provisioning;
mod quantity;
mod references;
mod resolution;
mod secrets;
mod selector;
mod syntax;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod view;

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};

use crate::diagnostic::{Diagnostic, Severity};
use crate::node::Node;
use crate::render::expand::{Expanded, Input, Scope};
use crate::render::object::ObjectId;
use crate::site::{Cluster, Mode, Release, Site};
use crate::source::Origin;
use view::Deployment;

/// What DPF says to what the rule forbids. With `site.parity`, what upstream accepts is at most a warning.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Upstream {
    /// The API server, a webhook or a controller refuses it too.
    Refuses,
    /// It is accepted, and goes wrong later or never shows.
    Accepts,
    /// Some of it; the rule tells each case apart.
    Partly,
}

/// A line of [`RULES`].
pub struct Rule {
    /// Its name on screen.
    pub code: &'static str,
    /// Whether upstream refuses it too.
    pub upstream: Upstream,
    check: fn(&Context<'_>, &mut Vec<Diagnostic>),
}

const fn rule(code: &'static str, upstream: Upstream, check: fn(&Context<'_>, &mut Vec<Diagnostic>)) -> Rule {
    Rule { code, upstream, check }
}

use Upstream::{Accepts, Partly, Refuses};

/// Every rule, by subject.
pub const RULES: &[Rule] = &[
    rule("name-invalid", Refuses, names::name_invalid),
    rule("name-too-long", Partly, names::name_too_long),
    rule("release-name-too-long", Accepts, names::release_name_too_long),
    rule("name-suffix-twice", Accepts, names::name_suffix_twice),
    rule("namespace-missing", Accepts, names::namespace_missing),
    rule("label-key-invalid", Partly, labels::label_key_invalid),
    rule("label-value-invalid", Partly, labels::label_value_invalid),
    rule("label-value-too-long", Partly, labels::label_value_too_long),
    rule("annotation-key-invalid", Refuses, labels::annotation_key_invalid),
    rule("selector-invalid", Refuses, labels::selector_invalid),
    rule("chain-port-unmatched", Accepts, chains::chain_port_unmatched),
    rule("chain-port-ambiguous", Accepts, chains::chain_port_ambiguous),
    rule("chain-port-in-cluster", Accepts, chains::chain_port_in_cluster),
    rule("chain-interface-twice", Accepts, chains::chain_interface_twice),
    rule("chain-single-port", Accepts, chains::chain_single_port),
    rule("chain-vlan", Accepts, chains::chain_vlan),
    rule("cluster-selector-ignored", Accepts, chains::cluster_selector_ignored),
    rule("node-selector-unsatisfied", Accepts, chains::node_selector_unsatisfied),
    rule("ipam-pool-unmatched", Accepts, ipam_ports::ipam_pool_unmatched),
    rule("ipam-pool-ambiguous", Accepts, ipam_ports::ipam_pool_ambiguous),
    rule("ipam-default-route-unread", Accepts, ipam_ports::ipam_default_route_unread),
    rule("ipam-interface-type", Accepts, ipam_ports::ipam_interface_type),
    rule("interface-name-invalid", Accepts, interfaces::interface_name_invalid),
    rule("interface-name-twice", Accepts, interfaces::interface_name_twice),
    rule("interface-parent-empty", Accepts, interfaces::interface_parent_empty),
    rule("reserved-label", Accepts, interfaces::reserved_label),
    rule("annotations-dropped", Accepts, interfaces::annotations_dropped),
    rule("network-unknown", Accepts, interfaces::network_unknown),
    rule("sf-count", Accepts, interfaces::sf_count),
    rule("ipam-namespace", Refuses, addresses::ipam_namespace),
    rule("ipam-mode", Refuses, addresses::ipam_mode),
    rule("ipam-cidr", Partly, addresses::ipam_cidr),
    rule("ipam-prefix", Partly, addresses::ipam_prefix),
    rule("ipam-exclusion", Refuses, addresses::ipam_exclusion),
    rule("ipam-allocation", Partly, addresses::ipam_allocation),
    rule("ipam-gateway", Partly, addresses::ipam_gateway),
    rule("ipam-route", Refuses, addresses::ipam_route),
    rule("ipam-default-route", Refuses, addresses::ipam_default_route),
    rule("ipam-block", Accepts, addresses::ipam_block),
    rule("ipam-too-small", Accepts, addresses::ipam_too_small),
    rule("ipam-overlap", Accepts, addresses::ipam_overlap),
    rule("ipam-same-range", Accepts, addresses::ipam_same_range),
    rule("bfb-missing", Partly, references::bfb_missing),
    rule("flavor-missing", Partly, references::flavor_missing),
    rule("template-missing", Refuses, references::template_missing),
    rule("configuration-missing", Refuses, references::configuration_missing),
    rule("service-name-mismatch", Refuses, references::service_name_mismatch),
    rule("service-without-chart", Accepts, references::service_without_chart),
    rule("values-node-selector", Accepts, references::values_node_selector),
    rule("deployment-without-dpusets", Accepts, references::deployment_without_dpusets),
    rule("credential-namespace", Accepts, references::credential_namespace),
    rule("credential-duration", Refuses, references::credential_duration),
    rule("credential-cluster-missing", Refuses, references::credential_cluster_missing),
    rule("secret-missing", Accepts, secrets::secret_missing),
    rule("literal-secret", Accepts, secrets::literal_secret),
    rule("operator-config-name", Refuses, operator_config::operator_config_name),
    rule("operator-runs-replaced", Accepts, operator_config::operator_runs_replaced),
    rule("operator-image", Refuses, operator_config::operator_image),
    rule("operator-chart", Accepts, operator_config::operator_chart),
    rule("operator-pvc-blank", Refuses, operator_config::operator_pvc_blank),
    rule("static-cluster-manager", Accepts, operator_config::static_cluster_manager),
    rule("flavor-resources", Refuses, provisioning::flavor_resources),
    rule("flavor-nvconfig", Refuses, provisioning::flavor_nvconfig),
    rule("dpuset-max-unavailable", Refuses, provisioning::dpuset_max_unavailable),
    rule("dpuset-node-effect", Refuses, provisioning::dpuset_node_effect),
    rule("dpuset-power-cycle", Refuses, provisioning::dpuset_power_cycle),
    rule("dpuset-reboot-lost", Accepts, provisioning::dpuset_reboot_lost),
    rule("dpuset-template-missing", Accepts, provisioning::dpuset_template_missing),
    rule("dpu-selector-key", Accepts, provisioning::dpu_selector_key),
    rule("dpuset-same-card", Partly, provisioning::dpuset_same_card),
    rule("dpuset-selects-nothing", Accepts, provisioning::dpuset_selects_nothing),
    rule("cluster-type", Accepts, clusters::cluster_type),
    rule("cluster-name-twice", Accepts, clusters::cluster_name_twice),
    rule("cluster-name-reserved", Accepts, clusters::cluster_name_reserved),
    rule("cluster-object-missing", Refuses, clusters::cluster_object_missing),
    rule("cluster-unlisted", Refuses, clusters::cluster_unlisted),
    rule("cluster-kubeconfig-missing", Accepts, clusters::cluster_kubeconfig_missing),
    rule("inventory-cluster-unknown", Refuses, clusters::inventory_cluster_unknown),
];

/// Runs every rule; the faults come in the order of the table.
#[must_use]
pub fn check(input: &Input<'_>, expanded: &Expanded) -> Vec<Diagnostic> {
    let context = Context::new(input, expanded);
    let mut faults = Vec::new();
    for rule in RULES {
        let from = faults.len();
        (rule.check)(&context, &mut faults);
        for fault in &mut faults[from..] {
            debug_assert_eq!(fault.code, rule.code, "a rule reports under its own code");
            if rule.upstream == Accepts && input.site.parity {
                fault.severity = Severity::Warning;
            }
        }
    }
    faults
}

/// What rules look at, and what several of them share.
struct Context<'a> {
    input: &'a Input<'a>,
    expanded: &'a Expanded,
    site: &'a Site,
    /// The user's `DPUDeployment`s with what they refer to.
    deployments: Vec<Deployment<'a>>,
    resolution: OnceCell<resolution::Resolution<'a>>,
    label_faults: OnceCell<Vec<Diagnostic>>,
    pools: OnceCell<Vec<addresses::Pool<'a>>>,
}

impl<'a> Context<'a> {
    fn new(input: &'a Input<'a>, expanded: &'a Expanded) -> Self {
        let mut context = Self {
            input,
            expanded,
            site: input.site,
            deployments: Vec::new(),
            resolution: OnceCell::new(),
            label_faults: OnceCell::new(),
            pools: OnceCell::new(),
        };
        context.deployments = view::deployments(&context);
        context
    }

    /// The user's objects of a kind in the management cluster.
    fn objects(&self, group: &str, kind: &'static str) -> impl Iterator<Item = (&'a ObjectId, &'a Node)> + use<'a> {
        of_kind(self.input.management, group, kind)
    }

    /// The user's object of the management cluster.
    fn object(&self, group: &str, kind: &str, namespace: &str, name: &str) -> Option<&'a Node> {
        self.input.management.get(&ObjectId::new(group, kind, namespace, name))
    }

    /// The user's objects of a kind in one DPU cluster.
    fn in_cluster(
        &self,
        cluster: usize,
        group: &str,
        kind: &'static str,
    ) -> impl Iterator<Item = (&'a ObjectId, &'a Node)> + use<'a> {
        self.input.clusters.get(cluster).into_iter().flat_map({
            let group = group.to_owned();
            move |objects| of_kind(objects, &group, kind)
        })
    }

    /// Every object that the user wrote, each once even where many clusters share it.
    fn written(&self) -> impl Iterator<Item = (&'a ObjectId, &'a Node)> {
        let mut seen = BTreeSet::new();
        let clusters = self.input.clusters.iter().flatten().filter(move |(_, node)| seen.insert(node.address()));
        self.input.management.iter().chain(clusters)
    }

    /// `node` for each DPU cluster, where it differs from cluster to cluster; else once, for all.
    fn per_cluster(&self, node: &Node) -> Vec<(Option<usize>, Node)> {
        if !node.has_expression() {
            return vec![(None, node.clone())];
        }
        (0..self.site.clusters.len())
            .map(|index| (Some(index), self.input.evaluate.evaluate(node, Scope::Cluster(index))))
            .collect()
    }

    /// Whether expansion stopped at this place: what is wrong there has been said.
    fn is_told(&self, origin: Origin) -> bool {
        self.expanded.diagnostics.iter().any(|fault| fault.origin == origin)
    }

    /// A fault that upstream does not see, of a rule whose other faults it does.
    fn accepted_upstream(&self, mut fault: Diagnostic) -> Diagnostic {
        if self.site.parity {
            fault.severity = Severity::Warning;
        }
        fault
    }

    /// Whether expansion knows the release, so that it tells of what it misses itself.
    fn is_expanded(&self) -> bool {
        self.site.dpf <= Release::V25_1
    }

    fn is_standalone(&self) -> bool {
        self.site.mode == Mode::Standalone
    }

    /// Namespace of the DPF operator.
    fn operator_namespace(&self) -> &'a str {
        self.objects(view::OPERATOR, "DPFOperatorConfig")
            .next()
            .map_or(&self.site.argocd.namespace, |(id, _)| &id.namespace)
    }

    /// Where the site's list gives a DPU cluster its `key`.
    fn cluster_origin(&self, cluster: &Cluster, key: &str) -> Origin {
        let entries = self.site.node.items(&["spec", "clusters"]);
        let entry = entries.iter().find(|entry| entry.origin() == cluster.origin);
        entry.and_then(|entry| entry.get(key)).map_or(cluster.origin, Node::origin)
    }

    /// Name of a DPU cluster, for messages.
    fn cluster_name(&self, cluster: usize) -> &'a str {
        self.site.clusters.get(cluster).map_or("?", |cluster| &cluster.name)
    }
}

/// The objects of one kind; a range of the map, not a scan of it.
fn of_kind<'m>(
    objects: &'m BTreeMap<ObjectId, Node>,
    group: &str,
    kind: &'static str,
) -> impl Iterator<Item = (&'m ObjectId, &'m Node)> + use<'m> {
    let from = ObjectId::new(group, kind, "", "");
    let group = from.group.clone();
    objects.range(from..).take_while(move |(id, _)| id.is(&group, kind))
}
