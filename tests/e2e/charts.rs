//! Kinds of the site's objects whose CRDs come with a chart, as far as a test needs them. PURE.

use serde_json::{Value, json};

/// Of the chart of the NVIDIA network operator.
const NETWORK_OPERATOR: [(&str, &str, &str, &str); 2] = [
    ("mellanox.com", "v1alpha1", "NicClusterPolicy", "Cluster"),
    ("sriovnetwork.openshift.io", "v1", "SriovNetworkNodePolicy", "Namespaced"),
];

/// The CRDs, open to every field.
pub(crate) fn crds() -> Vec<Value> {
    NETWORK_OPERATOR.iter().map(|(group, version, kind, scope)| crd(group, version, kind, scope)).collect()
}

fn crd(group: &str, version: &str, kind: &str, scope: &str) -> Value {
    let singular = kind.to_lowercase();
    let plural = singular.strip_suffix('y').map_or(format!("{singular}s"), |stem| format!("{stem}ies"));
    let schema = json!({"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}});
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.{group}")},
        "spec": {"group": group, "scope": scope, "names": {"kind": kind, "plural": plural, "singular": singular},
            "versions": [{"name": version, "served": true, "storage": true, "schema": schema, "subresources": {"status": {}}}]},
    })
}
