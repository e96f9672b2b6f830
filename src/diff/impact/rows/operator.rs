//! The operator's configuration. PURE.
//!
//! Source: DPF v24.10.0-rc.6, `internal/operator/controllers/dpfoperatorconfig_controller.go` and `inventory/`.

use super::super::cards::every;
use super::super::class::Class::{Interrupted, NewPods, Nothing, Reprovisioned, Restarted, Unknown};
use super::super::fleet::OPERATOR;
use super::super::table::{Kind, Row, Rule, row, rule, whole};

const CREATED: Rule = rule(NewPods, "operator-created", "The operator installs its components.");
const GONE: Rule = rule(
    Reprovisioned,
    "operator-gone",
    "The operator deletes every DPF object there is, in every namespace: services, chains, clusters and cards.",
);
const OTHER: Rule = rule(Unknown, "operator-other", "Unknown: the operator decides what it does with it.");
const PAUSED: Rule = rule(Nothing, "operator-paused", "The operator stops or starts to look; what runs goes on.");
const OVERRIDES: Rule = rule(
    Unknown,
    "operator-overrides",
    "Unknown: addresses and paths on the cards that components read when they start.",
);
const MTU: Rule =
    rule(NewPods, "operator-mtu", "Interfaces of pods that run keep their MTU; those of new pods get the other one.");
const PULL_SECRETS: Rule =
    rule(NewPods, "pull-secrets", "New pods pull with them. A Secret that is missing stops the operator.");
const CONTROLLER: Rule = rule(
    Restarted,
    "controller",
    "A controller of the management cluster restarts, or is switched on or off; what runs on cards goes on.",
);
const COMPONENT: Rule = rule(Restarted, "component", "The component's pods restart with another image or chart.");
const COMPONENT_OFF: Rule = rule(
    Interrupted,
    "component-switched",
    "A component that is switched off is deleted, and with it what it keeps up on the cards.",
);
const MODE: Rule =
    rule(Reprovisioned, "deployment-mode", "DPF reaches the cards in another way, for which they are installed anew.");

static FIELDS: &[Row] = &[
    row("spec overrides", OVERRIDES).on(every),
    row("spec overrides paused", PAUSED),
    row("spec networking", MTU).on(every),
    row("spec imagePullSecrets", PULL_SECRETS),
    row("spec deploymentMode", MODE).on(every),
    row("spec security", OTHER).on(every),
    row("spec cniInstaller", OTHER).on(every),
    row("spec *", COMPONENT).on(every),
    row("spec * disable", COMPONENT_OFF).on(every),
    row("spec provisioningController *", CONTROLLER),
    row("spec dpuServiceController *", CONTROLLER),
    row("spec dpuDetector *", CONTROLLER),
    row("spec kamajiClusterManager *", CONTROLLER),
    row("spec staticClusterManager *", CONTROLLER),
    row("spec nodeSRIOVDevicePluginController *", CONTROLLER),
    row("spec monitoring *", CONTROLLER),
];

pub(super) static KINDS: &[Kind] = &[Kind {
    group: OPERATOR,
    kind: "DPFOperatorConfig",
    created: whole(CREATED),
    deleted: whole(GONE).on(every),
    otherwise: whole(OTHER).on(every),
    fields: FIELDS,
}];
