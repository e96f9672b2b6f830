//! Chains, interfaces and addresses as users write them. PURE.
//!
//! Sources: DPF v24.10.0-rc.6, `internal/dpuservice/controllers/{dpuservicechain,dpuserviceinterface,dpuserviceipam}_controller.go`
//! and the webhook of DPUServiceIPAM.

use super::super::cards::{every, of_destination, of_template_labels};
use super::super::class::Class::{Interrupted, LeftBehind, NewPods, Nothing};
use super::super::fleet::SVC;
use super::super::table::{Kind, Row, Rule, row, rule, whole};
use super::super::{ipam, selection};

pub(super) const CHAIN_CREATED: Rule =
    rule(Interrupted, "chain-created", "Flows are programmed on the cards: traffic of their ports takes this way.");
pub(super) const CHAIN_GONE: Rule =
    rule(Interrupted, "chain-gone", "The flows of the chain are deleted from the cards.");
pub(super) const CHAIN: Rule = rule(Interrupted, "chain", "Flows are programmed anew on every card of the chain.");
pub(super) const CHAIN_IPAM: Rule =
    rule(NewPods, "chain-ipam", "A pod gets its address when it starts: those that run keep theirs.");
pub(super) const CHAIN_NODES: Rule = rule(
    Interrupted,
    "chain-nodes",
    "Cards that it no longer selects lose it, those that it selects get it: ports and flows come and go with it.",
);
pub(super) const INTERFACE_CREATED: Rule =
    rule(Nothing, "interface-created", "A port is made on the cards; traffic flows through it when a chain names it.");
pub(super) const INTERFACE_GONE: Rule = rule(
    Interrupted,
    "interface-gone",
    "Its port is removed from the cards. With a physical port the uplink goes, and with OVS-DOCA every representor of that \
     switch may go with it.",
);
pub(super) const INTERFACE: Rule = rule(
    Interrupted,
    "interface",
    "The port is another one: the chain that names it is without it until both are made again.",
);
pub(super) const INTERFACE_LABELS: Rule = rule(
    Interrupted,
    "interface-labels",
    "Chains find interfaces by these labels; a port that resolves to none or to two blocks its whole chain.",
);
pub(super) const CLUSTER_SELECTOR: Rule = rule(
    Nothing,
    "cluster-selector",
    "DPF reads this selector from v26.4 on; before, the object goes to every cluster.",
);
const NOT_COPIED: Rule = rule(Nothing, "not-copied", "DPF does not copy these annotations to the cards.");
const CARRIED: Rule = rule(Nothing, "carried", "It only labels what is made in the DPU clusters.");
pub(super) const POOL_CREATED: Rule = rule(NewPods, "pool-created", "New pods get addresses from it.");
pub(super) const POOL_GONE: Rule = rule(
    LeftBehind,
    "pool-gone",
    "Pods that run keep addresses of a pool that is gone; new ones that ask for it do not start.",
);
pub(super) const POOL: Rule =
    rule(NewPods, "pool", "A pod gets its address when it starts: those that run keep theirs.");
pub(super) const POOL_LABELS: Rule =
    rule(NewPods, "pool-labels", "Chains find the pool by these labels when a pod starts.");

static CHAIN_FIELDS: &[Row] = &[
    row("spec clusterSelector", CLUSTER_SELECTOR),
    row("spec template spec nodeSelector", CHAIN_NODES).on(of_template_labels).closer(selection::of_template_labels),
    row("spec template metadata", CARRIED),
    row("spec template spec template metadata annotations", NOT_COPIED),
    row("spec template spec template spec switches ports serviceInterface ipam", CHAIN_IPAM).on(of_template_labels),
];

static INTERFACE_FIELDS: &[Row] = &[
    row("spec clusterSelector", CLUSTER_SELECTOR),
    row("spec template spec nodeSelector", CHAIN_NODES).on(of_template_labels).closer(selection::of_template_labels),
    row("spec template metadata", CARRIED),
    row("spec template spec template metadata annotations", NOT_COPIED),
    row("spec template spec template metadata labels", INTERFACE_LABELS).on(of_template_labels),
];

static IPAM_FIELDS: &[Row] = &[
    row("spec clusterSelector", CLUSTER_SELECTOR),
    row("spec metadata labels", POOL_LABELS).on(of_destination),
    row("spec ipv4Network", POOL).on(of_destination).closer(ipam::source),
    row("spec ipv4Subnet", POOL).on(of_destination).closer(ipam::source),
];

pub(super) static KINDS: &[Kind] = &[
    Kind {
        group: SVC,
        kind: "DPUServiceChain",
        created: whole(CHAIN_CREATED).on(of_template_labels),
        deleted: whole(CHAIN_GONE).on(of_template_labels),
        otherwise: whole(CHAIN).on(of_template_labels),
        fields: CHAIN_FIELDS,
    },
    Kind {
        group: SVC,
        kind: "DPUServiceInterface",
        created: whole(INTERFACE_CREATED).on(of_template_labels),
        deleted: whole(INTERFACE_GONE).on(of_template_labels),
        otherwise: whole(INTERFACE).on(of_template_labels),
        fields: INTERFACE_FIELDS,
    },
    Kind {
        group: SVC,
        kind: "DPUServiceIPAM",
        created: whole(POOL_CREATED).on(every),
        deleted: whole(POOL_GONE).on(every),
        otherwise: whole(POOL).on(every),
        fields: IPAM_FIELDS,
    },
];
