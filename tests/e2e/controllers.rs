//! What the controllers of a cluster would answer: there is no kubelet, no DPF operator and no volume here, so the tests write
//! the status that each of them writes when all is well. EDGE of the tests.

use serde_json::{Value, json};

use crate::kubectl::Kubectl;

/// An object, and the status that its controller gives it.
struct Answer {
    kind: &'static str,
    namespace: &'static str,
    name: &'static str,
    status: fn(&Value) -> Value,
}

const DPF: &str = "dpf-operator-system";

/// Of `sites/lab1`, in its management cluster.
const LAB1: [Answer; 8] = [
    Answer { kind: "persistentvolumeclaims", namespace: DPF, name: "bfb-pvc", status: |_| json!({"phase": "Bound"}) },
    Answer {
        kind: "dpfoperatorconfigs",
        namespace: DPF,
        name: "dpfoperatorconfig",
        status: |object| conditions(object, &["ImagePullSecretsReconciled", "SystemComponentsReconciled", "Ready"]),
    },
    Answer {
        kind: "dpuclusters",
        namespace: "dpu-cplane-tenant1",
        name: "dpu-cplane-tenant1",
        status: |object| {
            let mut status = conditions(object, &["Created", "Ready"]);
            status.as_object_mut().unwrap().remove("observedGeneration");
            status["phase"] = json!("Ready");
            status
        },
    },
    Answer {
        kind: "nicclusterpolicies",
        namespace: DPF,
        name: "nic-cluster-policy",
        status: |_| json!({"state": "ready"}),
    },
    Answer { kind: "bfbs", namespace: DPF, name: "bf-bundle", status: |_| json!({"phase": "Ready"}) },
    Answer { kind: "deployments", namespace: "default", name: "traffic-control-plane", status: replicas },
    Answer { kind: "deployments", namespace: "default", name: "traffic-worker", status: replicas },
    Answer { kind: "deployments", namespace: "default", name: "traffic-worker-hostnetwork", status: replicas },
];

/// Answers for what is there and has no such status yet.
pub(crate) fn answer_lab1(kubectl: &Kubectl) {
    for Answer { kind, namespace, name, status } in &LAB1 {
        let Some(object) = kubectl.get(kind, namespace, name) else { continue };
        let wanted = status(&object);
        if !holds(&object["status"], &wanted) {
            kubectl.set_status(kind, namespace, name, &wanted);
        }
    }
}

/// Whether `actual` has all that `wanted` has.
pub(crate) fn holds(actual: &Value, wanted: &Value) -> bool {
    match (actual, wanted) {
        (Value::Object(actual), Value::Object(wanted)) => {
            wanted.iter().all(|(key, wanted)| holds(actual.get(key).unwrap_or(&Value::Null), wanted))
        }
        (Value::Array(actual), Value::Array(wanted)) => {
            actual.len() == wanted.len() && actual.iter().zip(wanted).all(|(actual, wanted)| holds(actual, wanted))
        }
        // A quantity comes back as a text.
        (Value::String(actual), Value::Number(wanted)) => *actual == wanted.to_string(),
        _ => actual == wanted,
    }
}

fn conditions(object: &Value, types: &[&str]) -> Value {
    let condition = |name: &&str| {
        json!({"type": name, "status": "True", "reason": "Success", "message": "",
            "lastTransitionTime": "2024-11-01T00:00:00Z"})
    };
    let conditions: Vec<Value> = types.iter().map(condition).collect();
    json!({"observedGeneration": object["metadata"]["generation"], "conditions": conditions})
}

fn replicas(object: &Value) -> Value {
    let count = &object["spec"]["replicas"];
    json!({"observedGeneration": object["metadata"]["generation"], "replicas": count, "updatedReplicas": count,
        "readyReplicas": count, "availableReplicas": count})
}
