//! Services as users write them: deployments, templates, configurations, DPUServices. PURE.
//!
//! Sources: DPF v24.10.0-rc.6, `internal/dpuservice/controllers/{dpudeployment,dpuservice}_controller.go`; what later releases
//! do with the nodes is `revision`'s.

use super::super::cards::{every, of_deployment, of_service, of_users};
use super::super::class::Class::{Interrupted, LeftBehind, Metadata, NewPods, Nothing, Reprovisioned, Restarted};
use super::super::fleet::SVC;
use super::super::table::{Kind, Row, Rule, When, row, rule, whole};
use super::super::{revision, selection};
use super::provisioning::{CARDS_SELECTED, SET_STRATEGY, SET_TEMPLATE};

const CREATED: Rule = rule(
    Reprovisioned,
    "deployment-created",
    "DPF installs the cards that its sets select from nothing, and then its services.",
);
const GONE: Rule = rule(
    Reprovisioned,
    "deployment-gone",
    "Its DPUSets, services and chains are deleted: the cards leave their cluster.",
);
const OTHER: Rule = rule(Metadata, "deployment-other", "Only what is made from now on sees it.");
pub(in super::super) const BFB: Rule =
    rule(Reprovisioned, "deployment-bfb", "DPF installs the cards of its sets from nothing.");
pub(in super::super) const FLAVOR: Rule =
    rule(Reprovisioned, "deployment-flavor", "DPF installs the cards of its sets from nothing.");
const SECURE_BOOT: Rule = rule(
    Reprovisioned,
    "deployment-secure-boot",
    "Secure boot of a DPU cannot be changed: the cards of its sets are installed anew.",
);
const NODE_EFFECT: Rule = rule(
    Nothing,
    "node-effect",
    "It says what happens to nodes at the next installation of a card; none is installed now.",
);
const SERVICE: Rule = rule(Restarted, "deployment-service", "The service rolls to another template or configuration.");
const SERVICE_ADDED: Rule = rule(NewPods, "service-added", "The cards are labelled for it, and its pods start there.");
const SERVICE_REMOVED: Rule = rule(
    Interrupted,
    "service-removed",
    "Its pods and interfaces go; the label for it stays on the Nodes of the cards.",
);
const CHAIN: Rule = rule(Interrupted, "chain", "Flows are programmed anew on every card of the chain.");
const CHAIN_IPAM: Rule =
    rule(NewPods, "chain-ipam", "A pod gets its address when it starts: those that run keep theirs.");
const UPGRADE_POLICY: Rule = rule(Nothing, "upgrade-policy", "It says how the next change is rolled out.");
const REVISIONS: Rule = rule(Nothing, "revisions", "It says how many old revisions are kept.");
const PART_CREATED: Rule = rule(Nothing, "part-created", "Nothing happens until a DPUDeployment names it.");
const PART_GONE: Rule =
    rule(Nothing, "part-gone", "What runs goes on; a DPUDeployment that still names it is not reconciled any more.");
const PART_OTHER: Rule = rule(Metadata, "part-other", "Nothing that runs reads it.");
const CHART: Rule = rule(Restarted, "chart", "The service's pods restart with another chart or other values.");
const RESOURCE_FIT: Rule = rule(Nothing, "resource-fit", "It only counts for whether the services fit on a card.");
const PART_NAME: Rule = rule(
    Nothing,
    "part-name",
    "It must be the key of the service in the DPUDeployment, or that is not reconciled any more.",
);
const CONFIGURATION: Rule = rule(Restarted, "configuration", "The service's pods restart with other values.");
const IN_CLUSTER: Rule = rule(
    LeftBehind,
    "in-cluster",
    "The service is installed in the other cluster; its Application where it was stays, with all that it installed. Delete \
     that Application by hand.",
);
const INTERFACES: Rule = rule(
    Interrupted,
    "service-interfaces",
    "Ports come or go, and the pods restart because their network annotation changes.",
);
const SERVICE_GONE: Rule = rule(
    Interrupted,
    "dpuservice-gone",
    "Its Applications go with all that they installed; its namespace on the DPU clusters stays.",
);
const DAEMON_SET: Rule = rule(Restarted, "daemon-set", "The pod template changes, and the service's pods restart.");
const UPDATE_STRATEGY: Rule = rule(Nothing, "update-strategy", "It bounds how pods are replaced the next time.");
const SERVICE_NODES: Rule = rule(
    Interrupted,
    "service-nodes",
    "Pods leave the cards that are no longer selected; those that stay restart, for the selector is part of their template.",
);
const SERVICE_ID: Rule = rule(
    Interrupted,
    "service-id",
    "Chains find the pods by this id: ports resolve again when pods and interfaces carry it.",
);
const PAUSED: Rule =
    rule(Nothing, "service-paused", "The controller stops or starts to look at it; what runs goes on.");
const CREDENTIALS: Rule =
    rule(Nothing, "credentials", "A ServiceAccount and a Secret are made for whoever asks for them.");
const CREDENTIALS_GONE: Rule =
    rule(NewPods, "credentials-gone", "The Secret is renewed no more: what uses it stops when its token ends.");
const CREDENTIALS_CHANGED: Rule =
    rule(NewPods, "credentials-changed", "The Secret is made anew; pods see it when they read it again.");
const NAD: Rule = rule(NewPods, "nad", "An interface is made when its pod starts: pods that run keep what they have.");

static DEPLOYMENT: &[Row] = &[
    row("spec dpus bfb", BFB).on(of_deployment).closer(revision::image),
    row("spec dpus blueFieldSoftware", BFB).on(of_deployment).closer(revision::image),
    row("spec dpus flavor", FLAVOR).on(of_deployment).closer(revision::image),
    row("spec dpus flavorTemplate", FLAVOR).on(of_deployment).closer(revision::image),
    row("spec dpus secureBoot", SECURE_BOOT).on(of_deployment).closer(revision::image),
    row("spec dpus nodeEffect", NODE_EFFECT),
    row("spec dpus dpuSetStrategy", SET_STRATEGY),
    // A set is found by its name, which holds the suffix (P-81): the closer look pairs cards with suffixes.
    row("spec dpus dpuSets", CARDS_SELECTED).on(of_deployment).closer(selection::of_deployment),
    row("spec dpus dpuSets dpuAnnotations", SET_TEMPLATE).on(of_deployment),
    row("spec services *", SERVICE).on(of_deployment),
    row("spec services *", SERVICE_ADDED).on(of_deployment).when(When::Added),
    row("spec services *", SERVICE_REMOVED).on(of_deployment).when(When::Removed),
    row("spec serviceChains", CHAIN).on(of_deployment).closer(revision::chain),
    row("spec serviceChains ports service ipam", CHAIN_IPAM).on(of_deployment),
    row("spec serviceChains switches ports service ipam", CHAIN_IPAM).on(of_deployment),
    row("spec serviceChains upgradePolicy", UPGRADE_POLICY),
    row("spec revisionHistoryLimit", REVISIONS),
];

static CONFIGURATION_FIELDS: &[Row] = &[
    row("spec serviceConfiguration", CONFIGURATION).on(of_users).closer(revision::configuration),
    row("spec serviceConfiguration deployInCluster", IN_CLUSTER).on(of_users),
    row("spec interfaces", INTERFACES).on(of_users).closer(revision::configuration),
    row("spec upgradePolicy", UPGRADE_POLICY),
    row("spec deploymentServiceName", PART_NAME).on(of_users),
];

static SERVICE_FIELDS: &[Row] = &[
    row("spec helmChart", CHART).on(of_service),
    row("spec serviceDaemonSet", DAEMON_SET).on(of_service),
    row("spec serviceDaemonSet updateStrategy", UPDATE_STRATEGY),
    row("spec serviceDaemonSet nodeSelector", SERVICE_NODES).on(of_service),
    row("spec serviceID", SERVICE_ID).on(of_service),
    row("spec interfaces", INTERFACES).on(of_service),
    row("spec deployInCluster", IN_CLUSTER).on(every),
    row("spec paused", PAUSED),
];

pub(super) static KINDS: &[Kind] = &[
    Kind {
        group: SVC,
        kind: "DPUDeployment",
        created: whole(CREATED).on(of_deployment).closer(selection::deployment_created),
        deleted: whole(GONE).on(of_deployment),
        otherwise: whole(OTHER),
        fields: DEPLOYMENT,
    },
    Kind {
        group: SVC,
        kind: "DPUServiceTemplate",
        created: whole(PART_CREATED),
        deleted: whole(PART_GONE).on(of_users),
        otherwise: whole(PART_OTHER),
        fields: &[
            row("spec helmChart", CHART).on(of_users),
            row("spec resourceRequirements", RESOURCE_FIT),
            row("spec deploymentServiceName", PART_NAME).on(of_users),
        ],
    },
    Kind {
        group: SVC,
        kind: "DPUServiceConfiguration",
        created: whole(PART_CREATED),
        deleted: whole(PART_GONE).on(of_users),
        otherwise: whole(PART_OTHER),
        fields: CONFIGURATION_FIELDS,
    },
    Kind {
        group: SVC,
        kind: "DPUService",
        created: whole(SERVICE_ADDED).on(of_service),
        deleted: whole(SERVICE_GONE).on(of_service),
        otherwise: whole(DAEMON_SET).on(of_service),
        fields: SERVICE_FIELDS,
    },
    Kind {
        group: SVC,
        kind: "DPUServiceCredentialRequest",
        created: whole(CREDENTIALS),
        deleted: whole(CREDENTIALS_GONE),
        otherwise: whole(CREDENTIALS_CHANGED),
        fields: &[],
    },
    Kind {
        group: SVC,
        kind: "DPUServiceNAD",
        created: whole(NAD),
        deleted: whole(NAD).on(every),
        otherwise: whole(NAD).on(every),
        fields: &[],
    },
];
