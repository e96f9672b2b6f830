//! Cards, what they are installed with, and their clusters. PURE.
//!
//! Sources: DPF v24.10.0-rc.6, `internal/provisioning/controllers/{dpuset,dpu,bfb,dpucluster}` and `webhooks`; rules of later
//! releases from their CRDs. What may not change is not here: `refused` reads it from the CRDs of the site's release.

use super::super::cards::{every, of_dpu_cluster, of_image, of_set};
use super::super::class::Class::{
    Drained, Interrupted, LeftBehind, Metadata, NewPods, Nothing, Reprovisioned, Restarted, Unknown,
};
use super::super::fleet::PROVISIONING;
use super::super::table::{Kind, Row, Rule, When, row, rule, whole};
use super::super::{refused, selection};

const IMAGE_CREATED: Rule = rule(Nothing, "image-created", "Nothing happens until a DPUSet or DPUDeployment names it.");
const IMAGE_GONE: Rule =
    rule(Nothing, "image-gone", "Nothing is installed with it any more; cards that run keep what they have.");
const IMAGE_CHANGED: Rule =
    rule(NewPods, "image-changed", "Cards that run keep what they have; only the next installation sees it.");
const FLAVOR_TEMPLATE: Rule = rule(
    Unknown,
    "flavor-template",
    "Unknown: the flavor of each card is made from it, and a card with another flavor may be installed anew.",
);
pub(in super::super) const SET_BFB: Rule =
    rule(Reprovisioned, "dpuset-bfb", "DPF deletes the DPUs of the set and installs their cards from nothing.");
pub(in super::super) const SET_FLAVOR: Rule =
    rule(Reprovisioned, "dpuset-flavor", "DPF deletes the DPUs of the set and installs their cards from nothing.");
const SET_SECURE_BOOT: Rule =
    rule(Reprovisioned, "dpuset-secure-boot", "Secure boot of a DPU cannot be changed: its card is installed anew.");
pub(in super::super) const SET_CREATED: Rule = rule(
    Reprovisioned,
    "dpuset-created",
    "DPF installs the cards that it selects from nothing; what runs on them is lost.",
);
const SET_GONE: Rule = rule(
    Reprovisioned,
    "dpuset-gone",
    "DPF deletes the DPUs of the set: its cards leave their cluster, and are installed from nothing when another set \
     selects them.",
);
const SET_OTHER: Rule = rule(Metadata, "dpuset-other", "Only the next installation of a card sees it.");
pub(super) const SET_TEMPLATE: Rule = rule(
    NewPods,
    "dpuset-template",
    "DPUs that are there keep it as it was; only the next installation of a card sees it.",
);
pub(super) const SET_STRATEGY: Rule =
    rule(Nothing, "dpuset-strategy", "It bounds the next replacement of cards; none is replaced now.");
pub(super) const CARDS_SELECTED: Rule = rule(
    Reprovisioned,
    "cards-selected",
    "Cards that it no longer selects leave their cluster; those that it selects are installed from nothing.",
);
const CARDS_CLUSTER: Rule = rule(
    Reprovisioned,
    "cards-cluster",
    "The cluster of a DPU cannot be changed: a card that must join another is installed anew.",
);
const NODE_LABELS: Rule = rule(
    NewPods,
    "node-labels",
    "The labels come to the Nodes of the cards; services that select by them find them there.",
);
// The DPU controller merges labels and never takes one away (P-34).
const NODE_LABEL_STAYS: Rule = rule(
    LeftBehind,
    "node-label-stays",
    "The label stays on the Nodes of the cards, for DPF only adds labels. Remove it there with kubectl.",
);
const DPU: Rule = rule(Reprovisioned, "dpu", "What the card is installed with changes, or whether it is installed.");
const CLUSTER_CREATED: Rule = rule(
    NewPods,
    "cluster-created",
    "A control plane is made. DPF v24.10 lets new cards join the first DPUCluster by name, and no other.",
);
const CLUSTER_GONE: Rule = rule(
    Reprovisioned,
    "cluster-gone",
    "The control plane goes and its cards have no cluster. Where DPF's own service controller runs, its Applications and \
     its cluster Secret stay behind.",
);
const CLUSTER_CHANGED: Rule =
    rule(Unknown, "cluster-changed", "Unknown: the cluster manager decides what it does with it.");
const CLUSTER_TYPE: Rule = rule(
    Unknown,
    "cluster-type",
    "Unknown: another cluster manager takes over, and the one before leaves its control plane behind.",
);
const CLUSTER_VERSION: Rule = rule(
    Restarted,
    "cluster-version",
    "The control plane rolls to another version; the kubelets of the cards keep theirs.",
);
const CLUSTER_SIZE: Rule = rule(Nothing, "cluster-size", "It only bounds how many cards may join from now on.");
const CLUSTER_ENDPOINT: Rule = rule(
    Interrupted,
    "cluster-endpoint",
    "The kubelets of the cards keep the address that they were installed with, and lose the API server if it goes.",
);
const CLUSTER_KUBECONFIG: Rule = rule(
    Interrupted,
    "cluster-kubeconfig",
    "DPF reaches the cluster with other credentials; what it does there stops if they are wrong.",
);
const HOST_KNOWN: Rule = rule(Nothing, "host-known", "DPF knows the host; the DPUSet that selects it decides.");
const HOST_GONE: Rule = rule(Reprovisioned, "host-gone", "The DPUs of the host are deleted with it.");
const HOST_CHANGED: Rule = rule(NewPods, "host-changed", "Only the next installation of its cards sees it.");
const CARD_KNOWN: Rule = rule(Nothing, "card-known", "DPF knows the card; the DPUSet that selects it decides.");
const CARD_GONE: Rule = rule(Reprovisioned, "card-gone", "The DPU of the card is deleted with it.");
const CARD_CHANGED: Rule = rule(NewPods, "card-changed", "Only the next installation of the card sees it.");
const SELECTED_LABELS: Rule = rule(
    Reprovisioned,
    "selected-labels",
    "DPUSets select by these labels: cards may leave their cluster or join one.",
);
const DISCOVERY: Rule =
    rule(Nothing, "discovery", "Hosts and cards are looked for; the DPUSet that selects them decides.");
const MAINTENANCE: Rule = rule(Drained, "maintenance", "The host is drained or tainted while it is there.");
const MAINTENANCE_OVER: Rule = rule(Nothing, "maintenance-over", "The host is given back to the scheduler.");

/// What cards are installed with: it may not change, and may not go while something names it.
const fn image(kind: &'static str, otherwise: Rule) -> Kind {
    Kind {
        group: PROVISIONING,
        kind,
        created: whole(IMAGE_CREATED),
        deleted: whole(IMAGE_GONE).closer(refused::image_in_use),
        otherwise: whole(otherwise).on(of_image),
        fields: &[],
    }
}

static SET: &[Row] = &[
    row("spec dpuTemplate spec bfb", SET_BFB).on(of_set).closer(selection::image),
    row("spec dpuTemplate spec blueFieldSoftware", SET_BFB).on(of_set).closer(selection::image),
    row("spec dpuTemplate spec dpuFlavor", SET_FLAVOR).on(of_set).closer(selection::image),
    row("spec dpuTemplate spec dpuFlavorTemplate", SET_FLAVOR).on(of_set).closer(selection::image),
    row("spec dpuTemplate spec secureBoot", SET_SECURE_BOOT).on(of_set).closer(selection::image),
    row("spec dpuTemplate spec cluster nodeLabels", NODE_LABELS).on(of_set),
    row("spec dpuTemplate spec cluster nodeLabels *", NODE_LABEL_STAYS).on(of_set).when(When::Removed),
    row("spec dpuTemplate", SET_TEMPLATE).on(of_set),
    row("spec strategy", SET_STRATEGY),
    row("spec nodeSelector", CARDS_SELECTED).on(of_set).closer(selection::of_set),
    row("spec dpuNodeSelector", CARDS_SELECTED).on(of_set).closer(selection::of_set),
    row("spec dpuSelector", CARDS_SELECTED).on(of_set).closer(selection::of_set),
    // It selects by labels of the card, which are not in Git.
    row("spec dpuDeviceSelector", CARDS_SELECTED).on(of_set),
    row("spec dpuClusterSelector", CARDS_CLUSTER).on(of_set),
];

static CLUSTER: &[Row] = &[
    row("spec type", CLUSTER_TYPE).on(of_dpu_cluster),
    row("spec version", CLUSTER_VERSION).on(of_dpu_cluster),
    row("spec maxNodes", CLUSTER_SIZE),
    row("spec clusterEndpoint", CLUSTER_ENDPOINT).on(of_dpu_cluster),
    row("spec kubeconfig", CLUSTER_KUBECONFIG).on(of_dpu_cluster).closer(refused::kubeconfig),
];

pub(super) static KINDS: &[Kind] = &[
    image("BFB", IMAGE_CHANGED),
    image("BlueFieldSoftware", IMAGE_CHANGED),
    image("DPUFlavor", IMAGE_CHANGED),
    image("DPUFlavorTemplate", FLAVOR_TEMPLATE),
    Kind {
        group: PROVISIONING,
        kind: "DPUSet",
        created: whole(SET_CREATED).on(of_set).closer(selection::set_created),
        deleted: whole(SET_GONE).on(of_set),
        otherwise: whole(SET_OTHER),
        fields: SET,
    },
    Kind {
        group: PROVISIONING,
        kind: "DPU",
        created: whole(DPU).on(every),
        deleted: whole(DPU).on(every),
        otherwise: whole(DPU).on(every),
        fields: &[],
    },
    Kind {
        group: PROVISIONING,
        kind: "DPUCluster",
        created: whole(CLUSTER_CREATED),
        deleted: whole(CLUSTER_GONE).on(of_dpu_cluster),
        otherwise: whole(CLUSTER_CHANGED).on(of_dpu_cluster),
        fields: CLUSTER,
    },
    Kind {
        group: PROVISIONING,
        kind: "DPUNode",
        created: whole(HOST_KNOWN),
        deleted: whole(HOST_GONE).on(every),
        otherwise: whole(HOST_CHANGED),
        fields: &[row("metadata labels", SELECTED_LABELS).on(every)],
    },
    Kind {
        group: PROVISIONING,
        kind: "DPUDevice",
        created: whole(CARD_KNOWN),
        deleted: whole(CARD_GONE).on(every),
        otherwise: whole(CARD_CHANGED),
        fields: &[row("metadata labels", SELECTED_LABELS).on(every)],
    },
    Kind {
        group: PROVISIONING,
        kind: "DPUDiscovery",
        created: whole(DISCOVERY),
        deleted: whole(DISCOVERY),
        otherwise: whole(DISCOVERY),
        fields: &[],
    },
    Kind {
        group: PROVISIONING,
        kind: "DPUNodeMaintenance",
        created: whole(MAINTENANCE).on(every),
        deleted: whole(MAINTENANCE_OVER),
        otherwise: whole(MAINTENANCE).on(every),
        fields: &[],
    },
];
