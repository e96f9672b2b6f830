//! Virtual networks of tenants and storage, since v25.4 and v25.7. PURE.
//!
//! Their controllers are not public: what may not change is known from their CRDs, what a change does is not. The rows say
//! so, and rank by what stands on the object.

use super::super::cards::every;
use super::super::class::Class::{Interrupted, NewPods, Unknown};
use super::super::table::{Kind, Rule, rule, whole};

const VPC: &str = "vpc.dpu.nvidia.com";
const STORAGE: &str = "storage.dpu.nvidia.com";
const NETWORK_CREATED: Rule = rule(NewPods, "network-created", "Interfaces that name it may join it.");
const NETWORK_GONE: Rule = rule(Interrupted, "network-gone", "Interfaces that are in it have no network any more.");
const NETWORK: Rule = rule(Unknown, "network", "Unknown: its controller decides what interfaces that are in it see.");
const STORE_CREATED: Rule = rule(NewPods, "store-created", "Volumes may be made of it or attached.");
const STORE_GONE: Rule = rule(Interrupted, "store-gone", "A host that has the volume loses it.");
const STORE: Rule = rule(Unknown, "store", "Unknown: its controller decides what hosts that have the volume see.");

const fn network(kind: &'static str) -> Kind {
    of(VPC, kind, NETWORK_CREATED, NETWORK_GONE, NETWORK)
}

const fn store(kind: &'static str) -> Kind {
    of(STORAGE, kind, STORE_CREATED, STORE_GONE, STORE)
}

const fn of(group: &'static str, kind: &'static str, created: Rule, deleted: Rule, otherwise: Rule) -> Kind {
    let (deleted, otherwise) = (whole(deleted).on(every), whole(otherwise).on(every));
    Kind { group, kind, created: whole(created), deleted, otherwise, fields: &[] }
}

pub(super) static KINDS: &[Kind] = &[
    network("DPUVPC"),
    network("DPUVirtualNetwork"),
    network("IsolationClass"),
    // The group of v25.4.
    of("svc.dpu.nvidia.com", "DPUVPC", NETWORK_CREATED, NETWORK_GONE, NETWORK),
    of("svc.dpu.nvidia.com", "DPUVirtualNetwork", NETWORK_CREATED, NETWORK_GONE, NETWORK),
    of("svc.dpu.nvidia.com", "IsolationClass", NETWORK_CREATED, NETWORK_GONE, NETWORK),
    store("DPUStorageVendor"),
    store("DPUStoragePolicy"),
    store("DPUVolume"),
    store("DPUVolumeAttachment"),
    // The names of v25.7 between the controllers.
    store("SVVolumeAttachment"),
    store("Volume"),
    store("VolumeAttachment"),
];
