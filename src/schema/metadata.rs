//! What every object has: `apiVersion`, `kind` and `metadata`, and the scopes of Kubernetes' own kinds. PURE.

use std::sync::{Arc, OnceLock};

use crate::schema::table::{Schema, Scope, Table};

/// `metadata`, as a line of the table. What only the API server sets may stand there: people export objects.
const OBJECT_META: &str = r##"{"t":"o","r":["name"],"p":{
  "name":{"t":"s","min":1},"generateName":"s","namespace":"s",
  "labels":{"t":"o","v":"s"},"annotations":{"t":"o","v":"s"},"finalizers":{"t":"a","i":"s","k":"set"},
  "ownerReferences":{"t":"a","i":{"t":"o","r":["apiVersion","kind","name","uid"],"p":{
    "apiVersion":"s","kind":"s","name":"s","uid":"s","controller":"b","blockOwnerDeletion":"b"}}},
  "creationTimestamp":{"t":"s","z":true},"deletionTimestamp":{"t":"s","z":true},"deletionGracePeriodSeconds":"i",
  "generation":"i","resourceVersion":"s","uid":"s","selfLink":"s","managedFields":{"t":"a","i":{"t":"o","u":true}}}}"##;

/// The schema of `metadata`.
pub(super) fn schema() -> &'static Schema {
    static SCHEMA: OnceLock<Arc<Schema>> = OnceLock::new();
    SCHEMA.get_or_init(|| Table::default().resolve(serde_json::from_str(OBJECT_META).unwrap_or_default()))
}

/// What is beside `metadata` in a ConfigMap and a Secret: expressions write into them, and a number there is refused.
const CONFIG_MAP: &str = r#"{"t":"o","p":{
  "data":{"t":"o","v":"s","z":true},"binaryData":{"t":"o","v":"s","z":true},"immutable":{"t":"b","z":true}}}"#;
const SECRET: &str = r#"{"t":"o","p":{"type":"s",
  "data":{"t":"o","v":"s","z":true},"stringData":{"t":"o","v":"s","z":true},"immutable":{"t":"b","z":true}}}"#;

/// The schema of those kinds of Kubernetes that are checked, `metadata` aside.
pub(super) fn of_kubernetes(group: &str, kind: &str) -> Option<&'static Schema> {
    static SCHEMAS: [OnceLock<Arc<Schema>>; 2] = [OnceLock::new(), OnceLock::new()];
    let (lock, text) = match (group, kind) {
        ("", "ConfigMap") => (&SCHEMAS[0], CONFIG_MAP),
        ("", "Secret") => (&SCHEMAS[1], SECRET),
        _ => return None,
    };
    Some(lock.get_or_init(|| Table::default().resolve(serde_json::from_str(text).unwrap_or_default())))
}

/// Kinds of Kubernetes that live in no namespace, by group.
const CLUSTER: [(&str, &[&str]); 10] = [
    ("", &["ComponentStatus", "Namespace", "Node", "PersistentVolume"]),
    (
        "admissionregistration.k8s.io",
        &[
            "MutatingAdmissionPolicy",
            "MutatingAdmissionPolicyBinding",
            "MutatingWebhookConfiguration",
            "ValidatingAdmissionPolicy",
            "ValidatingAdmissionPolicyBinding",
            "ValidatingWebhookConfiguration",
        ],
    ),
    ("apiextensions.k8s.io", &["CustomResourceDefinition"]),
    ("apiregistration.k8s.io", &["APIService"]),
    ("certificates.k8s.io", &["CertificateSigningRequest"]),
    ("networking.k8s.io", &["IPAddress", "IngressClass", "ServiceCIDR"]),
    ("node.k8s.io", &["RuntimeClass"]),
    ("rbac.authorization.k8s.io", &["ClusterRole", "ClusterRoleBinding"]),
    ("scheduling.k8s.io", &["PriorityClass"]),
    ("storage.k8s.io", &["CSIDriver", "CSINode", "StorageClass", "VolumeAttachment", "VolumeAttributesClass"]),
];

/// Groups of Kubernetes beside those whose name ends in `.k8s.io`; what is not in [`CLUSTER`] is namespaced.
const GROUPS: [&str; 5] = ["", "apps", "autoscaling", "batch", "policy"];

/// The scope of a kind of Kubernetes.
pub(super) fn scope(group: &str, kind: &str) -> Option<Scope> {
    let listed = CLUSTER.iter().find(|(own, _)| *own == group);
    match listed {
        Some((_, kinds)) if kinds.contains(&kind) => Some(Scope::Cluster),
        Some(_) => Some(Scope::Namespaced),
        None => GROUPS.contains(&group).then_some(Scope::Namespaced),
    }
}
