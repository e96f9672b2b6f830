//! `ServiceChain`: a type with the fields of every DPF release, and with a status that is kept. PURE.
//!
//! In: nothing. Out: the schema. The fields are those of `api/svc/v1alpha1` from v24.10 to v26.8.

use std::collections::BTreeMap;

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::details::{ChainDetails, Condition};

/// Switches of one node, and what is at their ports.
#[derive(Clone, CustomResource, Debug, Deserialize, JsonSchema, Serialize)]
#[kube(
    group = "svc.dpu.nvidia.com",
    version = "v1alpha1",
    kind = "ServiceChain",
    namespaced,
    status = "ChainStatus",
    doc = "Switches of one node, and what is at their ports",
    printcolumn = r#"{"name": "Node", "type": "string", "jsonPath": ".spec.node"}"#,
    printcolumn = r#"{"name": "Ready", "type": "string", "jsonPath": ".status.conditions[?(@.type=='Ready')].status"}"#,
    printcolumn = r#"{"name": "Reason", "type": "string", "jsonPath": ".status.conditions[?(@.type=='Ready')].reason"}"#,
    printcolumn = r#"{"name": "Flows", "type": "integer", "jsonPath": ".status.flows.installed", "priority": 1}"#,
    printcolumn = r#"{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#
)]
pub struct ChainSpec {
    /// The node it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Its switches, which are independent of each other.
    #[schemars(length(min = 1, max = 50))]
    pub switches: Vec<Switch>,
}

/// A switch.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
pub struct Switch {
    /// Its ports.
    #[schemars(length(min = 1, max = 50))]
    pub ports: Vec<Port>,
    /// MTU of the services at its ports.
    #[serde(rename = "serviceMTU", skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1280, max = 9216))]
    pub service_mtu: Option<i64>,
}

/// A port of a switch.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Port {
    /// What is at it.
    pub service_interface: Selected,
}

/// The one interface with these labels.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Selected {
    /// Labels of the interface.
    #[schemars(extend("minProperties" = 1, "maxProperties" = 50))]
    pub match_labels: BTreeMap<String, String>,
    /// Where a service's pod gets its address; the agent does not read it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ipam: Option<Ipam>,
}

/// Where an address comes from.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Ipam {
    /// Labels of the pool.
    #[schemars(extend("minProperties" = 1, "maxProperties" = 50))]
    pub match_labels: BTreeMap<String, String>,
    /// Whether the pool's gateway is the default gateway.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_gateway: Option<bool>,
    /// Whether a default route is added.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub set_default_route: Option<bool>,
}

/// How it stands with a chain.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ChainStatus {
    /// What is on the switch.
    #[serde(flatten)]
    pub details: ChainDetails,
    /// The generation that this is said of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready`, `PortsResolved`, `ServiceChainReconciled`, `PortsUp`.
    #[serde(default)]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}
