//! OpenShift's DPU operators and the machine configuration that they stand on. PURE.
//!
//! Sources: openshift/dpu-network-operator `controllers/` and openshift/dpu-operator `internal/controller/`, as the sheet of
//! their objects was read; the machine config operator drains and restarts every node of a pool, one at a time unless the
//! pool says otherwise.

use super::super::cards::every;
use super::super::class::Class::{
    Drained, Interrupted, LeftBehind, NewPods, Nothing, Rebooted, Reprovisioned, Unknown,
};
use super::super::table::{Kind, Row, Rule, When, row, rule, whole};

const MACHINES: Rule = rule(
    Rebooted,
    "machine-config",
    "The machine config operator drains and restarts every node of the pool, as many at a time as its `maxUnavailable` says.",
);
const POOL_CREATED: Rule =
    rule(Rebooted, "pool-nodes", "Nodes that the pool selects get its configuration and restart.");
const POOL_RATE: Rule = rule(
    Nothing,
    "pool-rate",
    "It says whether and how many nodes restart at a time, when something else asks for it.",
);
const DPU_NETWORK: Rule = rule(
    Rebooted,
    "dpu-cluster-nodes",
    "The whole spec of the machine config pool is replaced, `maxUnavailable` and `paused` too: nodes that come or go restart.",
);
const DPU_NETWORK_CREATED: Rule = rule(
    Rebooted,
    "dpu-cluster-created",
    "A machine config pool is made: the cards that it selects restart into switchdev mode.",
);
const DPU_NETWORK_GONE: Rule = rule(
    Interrupted,
    "dpu-cluster-gone",
    "OVN-Kubernetes leaves the cards; the machine config pool, its machine config and the drain blockers stay behind.",
);
const POOL_NAME: Rule = rule(
    LeftBehind,
    "pool-renamed",
    "Another machine config pool is made and the one before stays, with its machine config, which both then select. Delete \
     them by hand: nodes restart.",
);
const KUBECONFIG: Rule = rule(
    Nothing,
    "kubeconfig-kept",
    "The operator keeps the connection that it made first: restart it to use the other one.",
);
const DPU_OTHER: Rule = rule(Unknown, "dpu-cluster-other", "Unknown: the operator decides what it does with it.");
const OPERATOR_CREATED: Rule =
    rule(NewPods, "dpu-operator-created", "The daemon and the resources injector are installed on nodes with DPUs.");
const OPERATOR: Rule = rule(
    LeftBehind,
    "dpu-operator-keeps",
    "The operator only creates: what it made before stays as it is. Delete those objects, and it makes them anew.",
);
const OPERATOR_GONE: Rule = rule(
    Interrupted,
    "dpu-operator-gone",
    "The daemon, the injector and their rights go; network functions have no ports any more.",
);
const CHAIN_CREATED: Rule = rule(NewPods, "function-created", "A pod per network function starts.");
const CHAIN_GONE: Rule = rule(Interrupted, "function-chain-gone", "The pods of its network functions are deleted.");
const CHAIN: Rule = rule(
    LeftBehind,
    "function-kept",
    "The operator does not change a pod that is there: delete the pod, and it is made anew.",
);
const FUNCTION_GONE: Rule =
    rule(LeftBehind, "function-stays", "The pod of a function that is no longer named stays. Delete it by hand.");
const UNIT: Rule = rule(Nothing, "unit", "No controller reads it.");
const HCP_CREATED: Rule = rule(NewPods, "hosted-cluster-created", "A hosted control plane is made for the cards.");
const HCP_GONE: Rule =
    rule(Reprovisioned, "hosted-cluster-gone", "The hosted control plane goes and its cards have no cluster.");
const HCP_CHANGED: Rule =
    rule(Unknown, "hosted-cluster", "Unknown: the provisioner decides what it does with the hosted control plane.");
const MAINTENANCE: Rule = rule(Drained, "node-maintenance", "The node is cordoned and drained while it is there.");
const MAINTENANCE_OVER: Rule = rule(Nothing, "node-maintenance-over", "The node is given back to the scheduler.");

static POOL: &[Row] =
    &[row("spec maxUnavailable", POOL_RATE), row("spec paused", POOL_RATE), row("spec configuration", POOL_RATE)];

static DPU_CLUSTER: &[Row] = &[
    row("spec nodeSelector", DPU_NETWORK).on(every),
    row("spec poolName", POOL_NAME).on(every),
    row("spec kubeConfigFile", KUBECONFIG),
];

/// A kind of the DPU operator that nothing acts on.
const fn unread(kind: &'static str) -> Kind {
    Kind { group: CONFIG, kind, created: whole(UNIT), deleted: whole(UNIT), otherwise: whole(UNIT), fields: &[] }
}

const HCP: &str = "provisioning.dpu.hcp.io";
const MACHINE: &str = "machineconfiguration.openshift.io";
const CONFIG: &str = "config.openshift.io";

pub(super) static KINDS: &[Kind] = &[
    Kind {
        group: MACHINE,
        kind: "MachineConfig",
        created: whole(MACHINES).on(every),
        deleted: whole(MACHINES).on(every),
        otherwise: whole(MACHINES).on(every),
        fields: &[],
    },
    Kind {
        group: MACHINE,
        kind: "MachineConfigPool",
        created: whole(POOL_CREATED).on(every),
        deleted: whole(POOL_CREATED).on(every),
        otherwise: whole(MACHINES).on(every),
        fields: POOL,
    },
    Kind {
        group: "dpu.openshift.io",
        kind: "DpuClusterConfig",
        created: whole(DPU_NETWORK_CREATED).on(every),
        deleted: whole(DPU_NETWORK_GONE).on(every),
        otherwise: whole(DPU_OTHER).on(every),
        fields: DPU_CLUSTER,
    },
    Kind {
        group: CONFIG,
        kind: "DpuOperatorConfig",
        created: whole(OPERATOR_CREATED),
        deleted: whole(OPERATOR_GONE).on(every),
        otherwise: whole(OPERATOR),
        fields: &[],
    },
    Kind {
        group: CONFIG,
        kind: "ServiceFunctionChain",
        created: whole(CHAIN_CREATED),
        deleted: whole(CHAIN_GONE),
        otherwise: whole(CHAIN),
        fields: &[
            row("spec networkFunctions", CHAIN_CREATED).when(When::Added),
            row("spec networkFunctions", FUNCTION_GONE).when(When::Removed),
        ],
    },
    unread("DataProcessingUnit"),
    unread("DataProcessingUnitConfig"),
    Kind {
        group: HCP,
        kind: "DPFHCPProvisioner",
        created: whole(HCP_CREATED),
        deleted: whole(HCP_GONE).on(every),
        otherwise: whole(HCP_CHANGED).on(every),
        fields: &[],
    },
    Kind {
        group: HCP,
        kind: "DPFHCPProvisionerConfig",
        created: whole(HCP_CREATED),
        deleted: whole(HCP_CHANGED).on(every),
        otherwise: whole(HCP_CHANGED).on(every),
        fields: &[],
    },
    Kind {
        group: "nodemaintenance.medik8s.io",
        kind: "NodeMaintenance",
        created: whole(MAINTENANCE),
        deleted: whole(MAINTENANCE_OVER),
        otherwise: whole(MAINTENANCE),
        fields: &[],
    },
];
