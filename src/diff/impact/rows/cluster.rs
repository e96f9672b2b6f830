//! What lies in a DPU cluster: Sets, per-node objects, address pools. PURE.
//!
//! Sources: DPF v24.10.0-rc.6, `internal/servicechainset/controllers` and `internal/sfc-controller`; nv-ipam's controllers for
//! the pools. A per-node object names its card.

use super::super::cards::{of_cluster_only, of_destination, of_labels, of_node, of_terms};
use super::super::class::Class::{Metadata, NewPods, Nothing};
use super::super::fleet::SVC;
use super::super::table::{Kind, Row, Rule, row, rule, whole};
use super::super::{ipam, selection};
use super::network::{
    CHAIN, CHAIN_CREATED, CHAIN_GONE, CHAIN_IPAM, CHAIN_NODES, INTERFACE, INTERFACE_CREATED, INTERFACE_GONE,
    INTERFACE_LABELS, POOL, POOL_CREATED, POOL_GONE, POOL_LABELS,
};

const NV_IPAM: &str = "nv-ipam.nvidia.com";
const NAD: Rule = rule(NewPods, "nad", "An interface is made when its pod starts: pods that run keep what they have.");
const STATUS: Rule = rule(Metadata, "agent-status", "The agent reports here; nothing that runs reads it.");
const SF_CREATED: Rule = rule(NewPods, "device-plugin", "Pods that start from now on get these devices.");
const SERVICE_LABEL: Rule = rule(
    Nothing,
    "service-label",
    "DPF's controllers find the objects that they made by these labels, and no port changes.",
);

/// Labels that only say who made an object.
const MADE_BY: [Row; 6] = [
    row("metadata labels svc.dpu.nvidia.com/nodeName", SERVICE_LABEL),
    row("metadata labels svc.dpu.nvidia.com/servicechainset-name", SERVICE_LABEL),
    row("metadata labels svc.dpu.nvidia.com/servicechainset-namespace", SERVICE_LABEL),
    row("metadata labels svc.dpu.nvidia.com/serviceinterfaceset-name", SERVICE_LABEL),
    row("metadata labels svc.dpu.nvidia.com/serviceinterfaceset-namespace", SERVICE_LABEL),
    row("metadata labels svc.dpu.nvidia.com/owned-by-dpudeployment", SERVICE_LABEL),
];

static CHAIN_FIELDS: &[Row] = &[row("spec switches ports serviceInterface ipam", CHAIN_IPAM).on(of_node)];

static INTERFACE_FIELDS: &[Row] = &{
    let [a, b, c, d, e, f] = MADE_BY;
    [row("metadata labels", INTERFACE_LABELS).on(of_node), a, b, c, d, e, f]
};

static CHAIN_SET_FIELDS: &[Row] = &[
    row("spec nodeSelector", CHAIN_NODES).on(of_labels).closer(selection::of_labels),
    row("spec template spec switches ports serviceInterface ipam", CHAIN_IPAM).on(of_labels),
];

static INTERFACE_SET_FIELDS: &[Row] = &[
    row("spec nodeSelector", CHAIN_NODES).on(of_labels).closer(selection::of_labels),
    row("spec template metadata labels", INTERFACE_LABELS).on(of_labels),
    // The entries of one object take the place of an object per interface.
    row("metadata annotations svc.dpu.nvidia.com/interface-mode", INTERFACE).on(of_labels),
];

static POOL_FIELDS: &[Row] = &[row("metadata labels", POOL_LABELS).on(of_terms)];

const fn pool(kind: &'static str) -> Kind {
    Kind {
        group: NV_IPAM,
        kind,
        created: whole(POOL_CREATED).on(of_terms),
        deleted: whole(POOL_GONE).on(of_terms),
        otherwise: whole(POOL).on(of_terms).closer(ipam::pool),
        fields: POOL_FIELDS,
    }
}

pub(super) static KINDS: &[Kind] = &[
    Kind {
        group: SVC,
        kind: "ServiceChainSet",
        created: whole(CHAIN_CREATED).on(of_labels),
        deleted: whole(CHAIN_GONE).on(of_labels),
        otherwise: whole(CHAIN).on(of_labels),
        fields: CHAIN_SET_FIELDS,
    },
    Kind {
        group: SVC,
        kind: "ServiceChain",
        created: whole(CHAIN_CREATED).on(of_node),
        deleted: whole(CHAIN_GONE).on(of_node),
        otherwise: whole(CHAIN).on(of_node),
        fields: CHAIN_FIELDS,
    },
    Kind {
        group: SVC,
        kind: "ServiceInterfaceSet",
        created: whole(INTERFACE_CREATED).on(of_labels),
        deleted: whole(INTERFACE_GONE).on(of_labels),
        otherwise: whole(INTERFACE).on(of_labels),
        fields: INTERFACE_SET_FIELDS,
    },
    Kind {
        group: SVC,
        kind: "ServiceInterface",
        created: whole(INTERFACE_CREATED).on(of_node),
        deleted: whole(INTERFACE_GONE).on(of_node),
        otherwise: whole(INTERFACE).on(of_node),
        fields: INTERFACE_FIELDS,
    },
    Kind {
        group: SVC,
        kind: "NodeServiceInterfaces",
        created: whole(INTERFACE_CREATED).on(of_node),
        deleted: whole(INTERFACE_GONE).on(of_node),
        otherwise: whole(INTERFACE).on(of_node),
        fields: &[],
    },
    pool("IPPool"),
    pool("CIDRPool"),
    Kind {
        group: "k8s.cni.cncf.io",
        kind: "NetworkAttachmentDefinition",
        created: whole(NAD),
        deleted: whole(NAD).on(of_cluster_only),
        otherwise: whole(NAD).on(of_cluster_only),
        fields: &[],
    },
    Kind {
        group: "noderesources.dpu.nvidia.com",
        kind: "NodeSRIOVDevicePluginConfig",
        created: whole(SF_CREATED),
        deleted: whole(SF_CREATED).on(of_destination),
        otherwise: whole(SF_CREATED).on(of_destination),
        fields: &[],
    },
    Kind {
        group: "dpu-render.dev",
        kind: "DPUNodeNetworkStatus",
        created: whole(STATUS),
        deleted: whole(STATUS),
        otherwise: whole(STATUS),
        fields: &[],
    },
];
