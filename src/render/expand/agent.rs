//! What brings `dpu-agent` to the cards of a DPU cluster. PURE.
//!
//! In: `spec.agent` of a site. Out: the objects of each DPU cluster: the agent's DaemonSet, what it may do, and the kinds that it
//! writes status of. The kinds come from `src/agent/crds`, which are made of the agent's own types; the rights are what
//! `src/agent/sources` and `src/agent/writer` ask of the API server, and no more.

use std::sync::LazyLock;

use serde_json::{Value, json};

use crate::diagnostic::Diagnostic;
use crate::node::Node;
use crate::site::Agent;
use crate::source::SourceTree;
use crate::yaml::read;

/// Name of everything that is the agent's.
const NAME: &str = "dpu-agent";
/// Where Open vSwitch has its sockets on a card.
const RUN: &str = "/var/run/openvswitch";

/// Where the agent answers probes: on the loopback of the card, which kubelet and the pod share. Beside the ports of DPF's own
/// controller (61180 and 61181 in later releases), above those that Linux and Kubernetes hand out.
const HOST: &str = "127.0.0.1";
const PORT: u16 = 61182;

/// Of our own, always.
const STATUS: &str = include_str!("../../agent/crds/dpunodenetworkstatuses.dpu-render.dev.yaml");
/// DPF's kinds, where no chart of DPF's brings them; status is kept, as v24.10's own do not.
const CHAINS: [&str; 2] = [
    include_str!("../../agent/crds/servicechains.svc.dpu.nvidia.com.yaml"),
    include_str!("../../agent/crds/serviceinterfaces.svc.dpu.nvidia.com.yaml"),
];

static STATUS_KIND: LazyLock<Vec<Value>> = LazyLock::new(|| parsed(STATUS));
static CHAIN_KINDS: LazyLock<Vec<Value>> = LazyLock::new(|| CHAINS.iter().flat_map(|text| parsed(text)).collect());

fn parsed(text: &str) -> Vec<Value> {
    let none = std::collections::BTreeMap::<String, String>::new();
    let tree = SourceTree::new(&none);
    let (id, source) = tree.add("crd.yaml", text.to_owned());
    let mut faults: Vec<Diagnostic> = Vec::new();
    read::documents(&source, id, &mut faults).iter().map(Node::to_json).collect()
}

/// The objects of a DPU cluster. `charts_bring_kinds`: a chart of DPF's installs the kinds of chains there.
#[must_use]
pub fn objects(agent: &Agent, charts_bring_kinds: bool) -> Vec<Node> {
    let chains: &[Value] = if charts_bring_kinds { &[] } else { &CHAIN_KINDS };
    let own = [service_account(agent), role(), binding(agent), daemon_set(agent)];
    STATUS_KIND.iter().chain(chains).chain(&own).map(|object| Node::from_json(object, agent.origin)).collect()
}

fn labels() -> Value {
    json!({"app.kubernetes.io/name": NAME})
}

fn service_account(agent: &Agent) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ServiceAccount",
        "metadata": {"name": NAME, "namespace": agent.namespace, "labels": labels()},
    })
}

/// What the agent may do: it reads what it serves, and writes nothing but finalizers, status and events.
fn role() -> Value {
    let rule = |group: &str, resources: &[&str], verbs: &[&str]| json!({"apiGroups": [group], "resources": resources, "verbs": verbs});
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
        "metadata": {"name": NAME, "labels": labels()},
        "rules": [
            rule("svc.dpu.nvidia.com", &["nodeserviceinterfaces"], &["list", "watch"]),
            rule("svc.dpu.nvidia.com", &["servicechains", "serviceinterfaces"], &["get", "list", "patch", "watch"]),
            rule(
                "svc.dpu.nvidia.com",
                &["nodeserviceinterfaces/status", "servicechains/status", "serviceinterfaces/status"],
                &["patch"],
            ),
            rule("", &["pods"], &["list", "watch"]),
            rule("", &["nodes"], &["get"]),
            rule("dpu-render.dev", &["dpunodenetworkstatuses"], &["create", "get", "patch"]),
            rule("dpu-render.dev", &["dpunodenetworkstatuses/status"], &["patch"]),
            rule("events.k8s.io", &["events"], &["create", "patch"]),
        ],
    })
}

fn binding(agent: &Agent) -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
        "metadata": {"name": NAME, "labels": labels()},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": NAME},
        "subjects": [{"kind": "ServiceAccount", "name": NAME, "namespace": agent.namespace}],
    })
}

/// On every node: all of them are cards. In the network of the host, as the pods' network may depend on it; as root without a
/// single capability, which opens the sockets of Open vSwitch and nothing else.
fn daemon_set(agent: &Agent) -> Value {
    let node = json!({"name": "DPU_AGENT_NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}});
    let listen = json!({"name": "DPU_AGENT_LISTEN", "value": format!("{HOST}:{PORT}")});
    let container = json!({
        "name": NAME,
        "image": agent.image,
        "args": ["run"],
        "env": [node, listen],
        // Begun: it answers. Alive: its main loop turns. Ready: it has programmed this card, so that the update may go on.
        "startupProbe": probe("/healthz", 1, 60),
        "livenessProbe": probe("/healthz", 10, 3),
        "readinessProbe": probe("/readyz", 5, 2),
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "64Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": true,
            "runAsUser": 0,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumeMounts": [{"name": "openvswitch", "mountPath": RUN}],
    });
    json!({
        "apiVersion": "apps/v1", "kind": "DaemonSet",
        "metadata": {"name": NAME, "namespace": agent.namespace, "labels": labels()},
        "spec": {
            "selector": {"matchLabels": labels()},
            // Flows stay while nobody is there, and one agent waits for the other.
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "10%"}},
            "template": {
                "metadata": {"labels": labels()},
                "spec": {
                    "serviceAccountName": NAME,
                    "hostNetwork": true,
                    "dnsPolicy": "ClusterFirstWithHostNet",
                    "priorityClassName": "system-node-critical",
                    "tolerations": [{"operator": "Exists"}],
                    "containers": [container],
                    "volumes": [{"name": "openvswitch", "hostPath": {"path": RUN, "type": "DirectoryOrCreate"}}],
                },
            },
        },
    })
}

/// Asked every so many seconds; so often in a row it may fail.
fn probe(path: &str, period: u32, failures: u32) -> Value {
    json!({
        "httpGet": {"host": HOST, "port": PORT, "path": path, "scheme": "HTTP"},
        "periodSeconds": period, "timeoutSeconds": 5, "failureThreshold": failures,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Origin;

    fn names(charts: bool) -> Vec<String> {
        let agent = Agent { image: "i:1".to_owned(), namespace: "ns".to_owned(), origin: Origin::NONE };
        let objects = objects(&agent, charts);
        objects.iter().map(|node| crate::render::object::ObjectId::of(node).to_string()).collect()
    }

    #[test]
    fn kinds_of_chains_come_from_one_place() {
        let kinds = |names: &[String]| names.iter().filter(|name| name.starts_with("CustomResource")).count();
        assert_eq!((kinds(&names(true)), kinds(&names(false))), (1, 3));
        assert_eq!(names(true).len(), 5);
    }
}
