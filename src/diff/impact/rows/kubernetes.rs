//! Kubernetes' own kinds, and those of operators that sites bring along. PURE.
//!
//! Sources: Kubernetes 1.30, `pkg/apis/*/validation` for what the API server refuses; the SR-IOV network operator and NVIDIA's
//! network operator for what their policies do to nodes.

use super::super::cards::{of_cluster_only, of_hosts};
use super::super::class::Class::{Drained, Interrupted, LeftBehind, Metadata, NewPods, Nothing, Refused, Restarted};
use super::super::table::{Kind, Row, Rule, When, row, rule, whole};

const STARTS: Rule = rule(NewPods, "workload-created", "Its pods start.");
const STOPS: Rule = rule(Interrupted, "workload-gone", "Its pods are deleted.");
const WORKLOAD: Rule = rule(NewPods, "workload", "Pods that run stay.");
const TEMPLATE: Rule = rule(Restarted, "pod-template", "The pod template changes: the pods are replaced.");
const SELECTOR: Rule = rule(
    Refused,
    "selector-immutable",
    "The selector cannot be changed: give the object another name, or delete it first.",
);
const IMMUTABLE: Rule =
    rule(Refused, "spec-immutable", "This cannot be changed: give the object another name, or delete it first.");
const READ: Rule = rule(
    NewPods,
    "file-changed",
    "Pods read it when they start. Those that mount it see it within a minute or two, and most read it once.",
);
const READ_CREATED: Rule = rule(Nothing, "file-created", "Nothing happens until a pod names it.");
const READ_GONE: Rule =
    rule(NewPods, "file-gone", "Pods that run keep what they read; new pods that need it do not start.");
const SERVICE: Rule = rule(Interrupted, "service-address", "Whoever uses the service reaches other pods, or none.");
const SERVICE_CREATED: Rule = rule(Nothing, "service-created", "It is there for whoever uses it.");
const NAMESPACE_CREATED: Rule = rule(Nothing, "namespace-created", "It is empty.");
const NAMESPACE_GONE: Rule =
    rule(Interrupted, "namespace-gone", "The API server deletes everything in it, also what Argo CD does not know.");
const NAMESPACE: Rule =
    rule(NewPods, "namespace", "What is admitted into it from now on may differ; what is there stays.");
const RIGHTS_CREATED: Rule = rule(Nothing, "rights-created", "Somebody may do more.");
const RIGHTS: Rule =
    rule(Nothing, "rights", "What runs goes on; a controller that may do less fails when it tries the next time.");
const LIMITS: Rule = rule(NewPods, "limits", "It counts when pods or objects are admitted the next time.");
const POLICY: Rule = rule(Interrupted, "network-policy", "Connections of the pods that it selects open or close.");
const BUDGET: Rule = rule(Nothing, "disruption-budget", "It counts when a node is drained the next time.");
const CLAIM_CREATED: Rule = rule(Nothing, "volume-created", "Nothing happens until a pod names it.");
const CLAIM_GONE: Rule = rule(
    Interrupted,
    "claim-gone",
    "It is deleted when no pod uses it any more, and what it holds as its volume's reclaim policy says.",
);
const VOLUME_GONE: Rule = rule(
    LeftBehind,
    "volume-gone",
    "It goes when no claim is bound to it; what it holds on the storage stays. Remove that there.",
);
const CLAIM_SIZE: Rule =
    rule(Nothing, "claim-size", "The volume grows where its storage class allows it; a smaller size is refused.");
const VOLUME: Rule = rule(Nothing, "volume", "It counts when it is bound or released the next time.");
const JOB: Rule = rule(NewPods, "job", "It counts for pods that it starts from now on.");
const DEFINITION_CREATED: Rule = rule(Nothing, "definition-created", "Objects of the kind can be made.");
const DEFINITION_GONE: Rule =
    rule(Interrupted, "definition-gone", "Every object of the kind is deleted with its definition.");
const DEFINITION: Rule = rule(
    Nothing,
    "definition",
    "What is stored stays; fields that are no longer known go with the next write of an object.",
);
const WEBHOOK: Rule =
    rule(NewPods, "webhook", "It is asked about what is created from now on; one that does not answer may block that.");
const SECRET_STORE: Rule =
    rule(Nothing, "secret-store", "Secrets are read from there the next time that they are refreshed.");
const SECRET_MADE: Rule = rule(NewPods, "secret-made", "The Secret is made anew; pods see it when they read it again.");
const SECRET_GONE: Rule =
    rule(NewPods, "secret-gone", "The Secret goes with it, as its owner; new pods that need it do not start.");
const CERTIFICATE: Rule = rule(NewPods, "certificate", "A certificate is issued; pods see it when they read it again.");
const SRIOV: Rule = rule(
    Drained,
    "sriov-policy",
    "The SR-IOV operator drains each host that it selects, and restarts it where the firmware must change.",
);
const NIC_POLICY: Rule =
    rule(Restarted, "nic-policy", "NVIDIA's network operator rolls the DaemonSets that the policy asks for.");
const NIC_DRIVER: Rule =
    rule(Drained, "nic-driver", "The driver is loaded anew on each host; its upgrade policy drains the host before.");
const NIC_GONE: Rule = rule(
    Interrupted,
    "nic-policy-gone",
    "The DaemonSets of the policy go, and with them devices and networks of pods.",
);

static WORKLOAD_FIELDS: &[Row] = &[
    row("spec template", TEMPLATE).on(of_cluster_only),
    row("spec selector", SELECTOR),
    row("spec serviceName", IMMUTABLE),
];

static JOB_FIELDS: &[Row] =
    &[row("spec template", IMMUTABLE), row("spec selector", SELECTOR), row("spec completionMode", IMMUTABLE)];

static CLAIM_FIELDS: &[Row] = &[row("spec", IMMUTABLE), row("spec resources", CLAIM_SIZE)];

static VOLUME_FIELDS: &[Row] = &[
    row("spec nfs", IMMUTABLE),
    row("spec csi", IMMUTABLE),
    row("spec local", IMMUTABLE),
    row("spec hostPath", IMMUTABLE),
    row("spec volumeMode", IMMUTABLE),
];

static FILE_FIELDS: &[Row] = &[
    row("immutable", READ),
    row("immutable", rule(Refused, "file-immutable", "An immutable object stays immutable: give it another name."))
        .when(When::Removed),
];

/// A kind whose rows stand in three rules.
const fn kind(
    group: &'static str,
    kind: &'static str,
    [created, deleted, otherwise]: [Rule; 3],
    fields: &'static [Row],
) -> Kind {
    Kind { group, kind, created: whole(created), deleted: whole(deleted), otherwise: whole(otherwise), fields }
}

/// A workload: in a DPU cluster its pods run on cards.
const fn workload(group: &'static str, kind: &'static str, fields: &'static [Row]) -> Kind {
    Kind {
        group,
        kind,
        created: whole(STARTS).on(of_cluster_only),
        deleted: whole(STOPS).on(of_cluster_only),
        otherwise: whole(WORKLOAD),
        fields,
    }
}

const RBAC: &str = "rbac.authorization.k8s.io";
const RIGHTS_OF: [Rule; 3] = [RIGHTS_CREATED, RIGHTS, RIGHTS];
const FILE: [Rule; 3] = [READ_CREATED, READ_GONE, READ];
static BINDING: &[Row] = &[row("roleRef", IMMUTABLE)];
static NONE: &[Row] = &[];

pub(super) static KINDS: &[Kind] = &[
    workload("apps", "Deployment", WORKLOAD_FIELDS),
    workload("apps", "DaemonSet", WORKLOAD_FIELDS),
    workload("apps", "StatefulSet", WORKLOAD_FIELDS),
    workload("batch", "CronJob", NONE),
    workload("batch", "Job", JOB_FIELDS),
    workload("", "Pod", &[row("spec", IMMUTABLE), row("spec containers image", TEMPLATE)]),
    kind("", "ConfigMap", FILE, FILE_FIELDS),
    kind("", "Secret", FILE, &[row("type", IMMUTABLE), row("immutable", READ)]),
    kind("", "Service", [SERVICE_CREATED, SERVICE, SERVICE], &[row("spec clusterIP", IMMUTABLE)]),
    kind("", "Namespace", [NAMESPACE_CREATED, NAMESPACE_GONE, NAMESPACE], &[row("metadata labels", NAMESPACE)]),
    kind("", "ServiceAccount", RIGHTS_OF, NONE),
    kind("", "LimitRange", [LIMITS; 3], NONE),
    kind("", "ResourceQuota", [LIMITS; 3], NONE),
    kind("", "PersistentVolumeClaim", [CLAIM_CREATED, CLAIM_GONE, VOLUME], CLAIM_FIELDS),
    kind("", "PersistentVolume", [CLAIM_CREATED, VOLUME_GONE, VOLUME], VOLUME_FIELDS),
    kind("storage.k8s.io", "StorageClass", [CLAIM_CREATED, VOLUME, IMMUTABLE], NONE),
    kind("scheduling.k8s.io", "PriorityClass", [LIMITS; 3], &[row("value", IMMUTABLE)]),
    kind("policy", "PodDisruptionBudget", [BUDGET; 3], NONE),
    kind("networking.k8s.io", "NetworkPolicy", [POLICY; 3], NONE),
    kind("networking.k8s.io", "Ingress", [SERVICE_CREATED, SERVICE, SERVICE], NONE),
    kind(RBAC, "Role", RIGHTS_OF, NONE),
    kind(RBAC, "ClusterRole", RIGHTS_OF, NONE),
    kind(RBAC, "RoleBinding", RIGHTS_OF, BINDING),
    kind(RBAC, "ClusterRoleBinding", RIGHTS_OF, BINDING),
    kind("apiextensions.k8s.io", "CustomResourceDefinition", [DEFINITION_CREATED, DEFINITION_GONE, DEFINITION], NONE),
    kind("admissionregistration.k8s.io", "MutatingWebhookConfiguration", [WEBHOOK; 3], NONE),
    kind("admissionregistration.k8s.io", "ValidatingWebhookConfiguration", [WEBHOOK; 3], NONE),
    kind("external-secrets.io", "ExternalSecret", [SECRET_MADE, SECRET_GONE, SECRET_MADE], NONE),
    kind("external-secrets.io", "SecretStore", [SECRET_STORE; 3], NONE),
    kind("external-secrets.io", "ClusterSecretStore", [SECRET_STORE; 3], NONE),
    kind("bitnami.com", "SealedSecret", [SECRET_MADE, SECRET_GONE, SECRET_MADE], NONE),
    kind("cert-manager.io", "Certificate", [CERTIFICATE, READ_GONE, CERTIFICATE], NONE),
    kind("cert-manager.io", "Issuer", [CERTIFICATE; 3], NONE),
    kind("cert-manager.io", "ClusterIssuer", [CERTIFICATE; 3], NONE),
    Kind {
        group: "sriovnetwork.openshift.io",
        kind: "SriovNetworkNodePolicy",
        created: whole(SRIOV).on(of_hosts),
        deleted: whole(SRIOV).on(of_hosts),
        otherwise: whole(SRIOV).on(of_hosts),
        fields: NONE,
    },
    kind("mellanox.com", "NicClusterPolicy", [STARTS, NIC_GONE, NIC_POLICY], &[row("spec ofedDriver", NIC_DRIVER)]),
    kind("kamaji.clastix.io", "TenantControlPlane", [STARTS, STOPS, JOB], NONE),
    kind("kamaji.clastix.io", "DataStore", [READ_CREATED, STOPS, METADATA], NONE),
];

const METADATA: Rule = rule(Metadata, "metadata", "Nothing that runs reads it.");
