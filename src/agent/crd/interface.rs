//! `ServiceInterface`: a type with the fields of every DPF release, and with a status that is kept. PURE.
//!
//! In: nothing. Out: the schema. The fields are those of `api/svc/v1alpha1` from v24.10 to v26.8; where releases differ, what
//! any of them takes is taken. What the agent reads is read by `api`, which is as patient.

use std::collections::BTreeMap;

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::details::{Condition, InterfaceDetails};

/// An interface of one node that chains can use.
#[derive(Clone, CustomResource, Debug, Deserialize, JsonSchema, Serialize)]
#[kube(
    group = "svc.dpu.nvidia.com",
    version = "v1alpha1",
    kind = "ServiceInterface",
    namespaced,
    status = "InterfaceStatus",
    doc = "An interface of one node that chains can use",
    printcolumn = r#"{"name": "IfType", "type": "string", "jsonPath": ".spec.interfaceType"}"#,
    printcolumn = r#"{"name": "Node", "type": "string", "jsonPath": ".spec.node"}"#,
    printcolumn = r#"{"name": "Port", "type": "string", "jsonPath": ".status.port.name"}"#,
    printcolumn = r#"{"name": "Ready", "type": "string", "jsonPath": ".status.conditions[?(@.type=='Ready')].status"}"#,
    printcolumn = r#"{"name": "Reason", "type": "string", "jsonPath": ".status.conditions[?(@.type=='Ready')].reason"}"#,
    printcolumn = r#"{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "self.interfaceType == 'ovn' || (self.interfaceType == 'vlan' && has(self.vlan)) || (self.interfaceType == 'physical' && has(self.physical)) || (self.interfaceType == 'pf' && has(self.pf)) || (self.interfaceType == 'vf' && has(self.vf)) || (self.interfaceType == 'service' && has(self.service)) || (self.interfaceType == 'patch' && has(self.patch))",
    "message": "the block named like interfaceType must be set",
}]))]
pub struct InterfaceSpec {
    /// What it is; the block of that name says which.
    pub interface_type: InterfaceType,
    /// The node it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// A port of the card.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub physical: Option<Physical>,
    /// A physical function of the host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pf: Option<Pf>,
    /// A virtual function of the host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vf: Option<Vf>,
    /// A VLAN of another interface.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vlan: Option<Vlan>,
    /// A patch to the bridge of OVN-Kubernetes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ovn: Option<Ovn>,
    /// An interface of a service's pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<Service>,
    /// A patch to another bridge.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patch: Option<Patch>,
}

/// What an interface is.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the fields of the spec say it")]
pub enum InterfaceType {
    Vlan,
    Physical,
    Pf,
    Vf,
    Ovn,
    Patch,
    Service,
}

/// A port of the card.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Physical {
    /// Its name in the system.
    pub interface_name: String,
}

/// A physical function of the host.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [network_rule()]))]
pub struct Pf {
    /// Number of the port of the card.
    #[serde(rename = "pfID")]
    #[schemars(range(min = 0, max = 255))]
    pub pf_id: i64,
    /// The virtual network that it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub virtual_network: Option<String>,
    /// The card it is of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nic_selector: Option<NicSelector>,
}

/// A virtual function of the host.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [network_rule()]))]
pub struct Vf {
    /// Number of the port of the card.
    #[serde(rename = "pfID")]
    #[schemars(range(min = 0, max = 255))]
    pub pf_id: i64,
    /// Number of the function.
    #[serde(rename = "vfID")]
    #[schemars(range(min = 0, max = 4095))]
    pub vf_id: i64,
    /// Nobody reads it; v24.10 asks for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent_interface_ref: Option<String>,
    /// The virtual network that it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub virtual_network: Option<String>,
    /// The card it is of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nic_selector: Option<NicSelector>,
}

/// A card.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "self.type != 'pci' || has(self.pci)", "message": "type pci needs the block pci",
}]))]
pub struct NicSelector {
    /// How it is found.
    #[serde(rename = "type")]
    pub kind: NicSelectorType,
    /// Its address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pci: Option<Pci>,
    /// Number of the controller.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 255))]
    pub controller_number: Option<i64>,
}

/// How a card is found.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "they say it")]
pub enum NicSelectorType {
    Dpu,
    Pci,
}

/// An address on the PCI bus.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
pub struct Pci {
    /// Domain, bus, device and function.
    #[schemars(regex(pattern = r"^[0-9a-f]{4}:[0-9a-f]{2}:[0-1][0-9a-f]\.[0-7]{1}$"))]
    pub address: String,
}

/// A VLAN of another interface.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Vlan {
    /// Its number.
    #[serde(rename = "vlanID")]
    #[schemars(range(min = 0, max = 4095))]
    pub vlan_id: i64,
    /// Name of the interface, in the same namespace.
    pub parent_interface_ref: String,
}

/// A patch to the bridge of OVN-Kubernetes.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Ovn {
    /// The bridge; `br-ovn` unless given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_bridge: Option<String>,
}

/// An interface of a service's pod.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [network_rule()]))]
pub struct Service {
    /// Identifier of the service.
    #[serde(rename = "serviceID")]
    pub service_id: String,
    /// The network attachment definition, `<name>` or `<namespace>/<name>`.
    pub network: String,
    /// Its name in the pod.
    #[schemars(length(min = 1, max = 15))]
    pub interface_name: String,
    /// The virtual network that it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub virtual_network: Option<String>,
}

/// A patch to another bridge.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Patch {
    /// The bridge at the other end.
    pub peer_bridge: String,
    /// Name of the port there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer_patch_name: Option<String>,
    /// `external_ids` of the interface there.
    #[serde(default, rename = "peerExternalIDs", skip_serializing_if = "BTreeMap::is_empty")]
    pub peer_external_ids: BTreeMap<String, String>,
}

/// A virtual network is chosen once.
fn network_rule() -> serde_json::Value {
    serde_json::json!({
        "rule": "has(self.virtualNetwork) == has(oldSelf.virtualNetwork) && (!has(self.virtualNetwork) || self.virtualNetwork == oldSelf.virtualNetwork)",
        "message": "virtualNetwork cannot be changed",
    })
}

/// How it stands with an interface.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InterfaceStatus {
    /// What is on the switch.
    #[serde(flatten)]
    pub details: InterfaceDetails,
    /// The generation that this is said of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready`, `ServiceInterfaceReconciled`, `PortUp`, and `MTUApplied` where one is asked for.
    #[serde(default)]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}
