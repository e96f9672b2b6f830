//! The CRDs that are ours to bring: of `DPUNodeNetworkStatus`, and of DPF's kinds where no chart installs them. PURE.
//!
//! In: the types of this folder. Out: a CRD for each as YAML. The files in `src/agent/crds` are these, checked in, so that the
//! renderer has them without this feature; a test compares.

pub mod chain;
pub mod details;
pub mod interface;
pub mod node;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{CustomResource, CustomResourceExt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::node::Node;
use crate::source::Origin;
use crate::yaml;

/// The derive of a kind needs a `spec`; this one has none.
#[derive(Clone, CustomResource, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[kube(
    group = "dpu-render.dev",
    version = "v1alpha1",
    kind = "DPUNodeNetworkStatus",
    plural = "dpunodenetworkstatuses",
    shortname = "dpunns",
    status = "node::NodeStatus",
    doc = "The network of a DPU as its agent finds it; the name is that of the node",
    printcolumn = r#"{"name": "Ready", "type": "string", "jsonPath": ".status.conditions[?(@.type=='Ready')].status"}"#,
    printcolumn = r#"{"name": "Reason", "type": "string", "jsonPath": ".status.conditions[?(@.type=='Ready')].reason"}"#,
    printcolumn = r#"{"name": "Interfaces", "type": "string", "jsonPath": ".status.summary.interfaces"}"#,
    printcolumn = r#"{"name": "Chains", "type": "string", "jsonPath": ".status.summary.chains"}"#,
    printcolumn = r#"{"name": "Bridge", "type": "string", "jsonPath": ".status.switch.bridge"}"#,
    printcolumn = r#"{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#
)]
struct NoSpec {}

/// A CRD of ours.
#[derive(Clone, Debug, PartialEq)]
pub struct Crd {
    /// Its name, `<plural>.<group>`; that of its file with `.yaml` after it.
    pub name: String,
    /// The object.
    pub object: Value,
    /// The object as YAML.
    pub yaml: String,
}

/// Every CRD: that of the node's status, then those of DPF's kinds.
///
/// # Errors
/// Where a type has no JSON form, which a test excludes.
pub fn all() -> Result<Vec<Crd>, serde_json::Error> {
    let crds: [(CustomResourceDefinition, bool); 3] = [
        (DPUNodeNetworkStatus::crd(), false),
        (chain::ServiceChain::crd(), true),
        (interface::ServiceInterface::crd(), true),
    ];
    crds.into_iter().map(|(crd, has_spec)| written(&crd, has_spec)).collect()
}

fn written(crd: &CustomResourceDefinition, has_spec: bool) -> Result<Crd, serde_json::Error> {
    let mut object = serde_json::to_value(crd)?;
    tidy(&mut object);
    for version in object.pointer_mut("/spec/versions").and_then(Value::as_array_mut).into_iter().flatten() {
        let Some(schema) = version.pointer_mut("/schema/openAPIV3Schema").and_then(Value::as_object_mut) else {
            continue;
        };
        if !has_spec {
            if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
                properties.remove("spec");
            }
            schema.remove("required");
        }
    }
    schemas(&mut object);
    // What the API server would say of the kind without a status of the definition itself.
    if let Some(map) = object.as_object_mut() {
        map.remove("status");
    }
    let mut yaml = String::new();
    yaml::write::yaml(&Node::from_json(&object, Origin::NONE), &mut yaml);
    Ok(Crd { name: crd.metadata.name.clone().unwrap_or_default(), object, yaml })
}

/// Takes away what says nothing: nulls and empty lists of names.
fn tidy(value: &mut Value) {
    match value {
        Value::Object(map) => {
            let empty = |key: &str, value: &Value| matches!(key, "shortNames" | "categories") && *value == json!([]);
            map.retain(|key, value| !value.is_null() && !empty(key, value));
            map.values_mut().for_each(tidy);
        }
        Value::Array(list) => list.iter_mut().for_each(tidy),
        _ => {}
    }
}

/// Makes the schemas those of Kubernetes: a status has no defaults, nothing is null, and numbers have the formats it knows.
fn schemas(value: &mut Value) {
    match value {
        Value::Object(map) => {
            if map.get("type").is_some_and(Value::is_string) {
                for key in ["default", "nullable", "title"] {
                    map.remove(key);
                }
                let known = |format: &Value| matches!(format.as_str(), Some("int32" | "int64" | "date-time"));
                if map.get("format").is_some_and(|format| !known(format)) {
                    map.remove("format");
                }
            }
            map.values_mut().for_each(schemas);
        }
        Value::Array(list) => list.iter_mut().for_each(schemas),
        _ => {}
    }
}
