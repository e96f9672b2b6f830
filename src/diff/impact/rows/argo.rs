//! Argo CD's own objects. PURE.
//!
//! An Application of a DPU cluster installs a service there; one of the management cluster installs whatever its chart has.
//! Sources: what DPF's controllers write (`internal/dpuservice/controllers/dpuservice_controller.go`, v24.10) and Argo CD 2.12 to
//! 3.x: `controller/appcontroller.go` for what a deletion takes along, `gitops-engine/pkg/sync` for what is pruned.

use super::super::cards::of_application;
use super::super::class::Class::{Interrupted, LeftBehind, Metadata, NewPods, Nothing, Restarted};
use super::super::table::{Kind, Row, Rule, row, rule, whole};
use super::super::{prune, selection};

const ARGO: &str = "argoproj.io";

const CREATED: Rule = rule(NewPods, "application-created", "Its chart is installed: pods start.");
const GONE: Rule =
    rule(Interrupted, "application-gone", "Everything that it installed is deleted with it, by its finalizer.");
const OTHER: Rule = rule(Nothing, "application-other", "Argo CD reads it; what is installed stays the same.");
const VALUES: Rule = rule(
    Restarted,
    "values",
    "A chart may put any value into its pods: they are replaced as its update strategy says.",
);
const CHART: Rule = rule(Restarted, "chart-version", "Another chart: its pods are replaced.");
const RELEASE: Rule = rule(
    Interrupted,
    "release-name",
    "Names made of the release name change: the objects before are deleted and others are made.",
);
const DESTINATION: Rule = rule(
    LeftBehind,
    "application-destination",
    "Argo CD installs it there from now on, and what it installed at the place before stays: delete that by hand.",
);
const PROJECT: Rule = rule(
    Nothing,
    "application-project",
    "What is installed stays; the next sync fails where the project does not allow what the Application needs.",
);
const SYNC_POLICY: Rule =
    rule(Nothing, "sync-policy", "Argo CD syncs otherwise from now on; what is installed stays the same.");
const SKIP: Rule = rule(
    Nothing,
    "skip-reconcile",
    "Argo CD stops or starts to look at the Application: while it is skipped, changes do not arrive.",
);
const FINALIZER: Rule = rule(
    Metadata,
    "application-finalizer",
    "It decides whether a later deletion of the Application takes along what it installed.",
);
const SERVICE_METADATA: Rule = rule(
    Restarted,
    "pod-metadata",
    "Labels and annotations of the service are part of its pod template: its pods restart.",
);
const NETWORKS: Rule = rule(
    Restarted,
    "pod-networks",
    "The network annotation of the pods changes: they restart with other interfaces, and chains follow.",
);
const NODES: Rule = rule(
    Interrupted,
    "service-nodes",
    "Pods leave the cards that are no longer selected; those that stay restart, for the selector is part of their template.",
);
const UPDATE_STRATEGY: Rule = rule(Nothing, "update-strategy", "It bounds how pods are replaced the next time.");
const MTU: Rule =
    rule(NewPods, "operator-mtu", "Interfaces of pods that run keep their MTU; those of new pods get the other one.");
const PROJECT_CREATED: Rule = rule(Nothing, "project-created", "Applications may use it.");
const PROJECT_GONE: Rule = rule(
    Nothing,
    "project-gone",
    "What is installed stays; Applications of the project are not synced and cannot be deleted any more.",
);
const PROJECT_CHANGED: Rule = rule(
    Nothing,
    "project-changed",
    "What is installed stays; what the project no longer allows is not synced any more.",
);
const SET_CHANGED: Rule =
    rule(Restarted, "application-set", "The Applications that it makes change: what they install may be replaced.");
const SET_GONE: Rule = rule(
    Interrupted,
    "application-set-gone",
    "The Applications that it made go, and with them what they installed, unless it says to preserve them.",
);

static FIELDS: &[Row] = &[
    row("metadata annotations argocd.argoproj.io/skip-reconcile", SKIP).on(of_application),
    row("metadata finalizers", FINALIZER),
    row("spec project", PROJECT),
    row("spec destination", DESTINATION).on(of_application),
    row("spec syncPolicy", SYNC_POLICY),
    row("spec source", CHART).on(of_application),
    row("spec sources", CHART).on(of_application),
    row("spec source plugin", OTHER),
    row("spec source helm", VALUES).on(of_application),
    row("spec source helm releaseName", RELEASE).on(of_application),
    row("spec source helm valuesObject serviceDaemonSet", VALUES).on(of_application),
    row("spec source helm valuesObject serviceDaemonSet labels", SERVICE_METADATA).on(of_application),
    row("spec source helm valuesObject serviceDaemonSet annotations", SERVICE_METADATA).on(of_application),
    row("spec source helm valuesObject serviceDaemonSet annotations k8s.v1.cni.cncf.io/networks", NETWORKS)
        .on(of_application),
    row("spec source helm valuesObject serviceDaemonSet nodeSelector", NODES)
        .on(of_application)
        .closer(selection::of_application),
    row("spec source helm valuesObject serviceDaemonSet updateStrategy", UPDATE_STRATEGY),
    // The MTUs of DPF's Multus and Flannel charts, which end in NADs and in Flannel's configuration.
    row("spec source helm valuesObject multus mtu", MTU).on(of_application),
    row("spec source helm valuesObject flannel flannel mtu", MTU).on(of_application),
];

pub(super) static KINDS: &[Kind] = &[
    Kind {
        group: ARGO,
        kind: "Application",
        created: whole(CREATED).on(of_application),
        deleted: whole(GONE).on(of_application).closer(prune::application),
        otherwise: whole(OTHER),
        fields: FIELDS,
    },
    Kind {
        group: ARGO,
        kind: "AppProject",
        created: whole(PROJECT_CREATED),
        deleted: whole(PROJECT_GONE),
        otherwise: whole(PROJECT_CHANGED),
        fields: &[],
    },
    Kind {
        group: ARGO,
        kind: "ApplicationSet",
        created: whole(CREATED),
        deleted: whole(SET_GONE),
        otherwise: whole(SET_CHANGED),
        fields: &[],
    },
];
