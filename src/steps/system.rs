//! Whether what Argo CD applied to the management cluster is there. PURE.

use super::Step;
use super::objects::{
    Application, INJECTOR, OPERATOR, PROVISIONING, SVC, applications, first_api, has_injector, names_in, namespaces_of,
    of_kind, on_management, ovn,
};
use super::shell::kubectl_in;
use crate::node::Node;
use crate::render::{RenderedObject, RenderedSite};
use crate::site::Mode;

/// Deployments that DPF's operator makes, and the stanza that switches each off. Static clusters' is on only if named.
const CONTROLLERS: [(&str, &str); 4] = [
    ("provisioningController", "dpf-provisioning-controller-manager"),
    ("dpuServiceController", "dpuservice-controller-manager"),
    ("kamajiClusterManager", "kamaji-cm-controller-manager"),
    ("staticClusterManager", "static-cm-controller-manager"),
];

pub(super) fn operator(site: &RenderedSite) -> Vec<Step> {
    let mut steps = Vec::new();
    for config in of_kind(site, OPERATOR, "DPFOperatorConfig") {
        let namespace = &*config.id.namespace;
        let until = |line: super::shell::Line| format!("until {}; do sleep 10; done", line.end());
        let mut commands = vec![until(
            kubectl_in(namespace)
                .raw("wait --for=condition=Ready")
                .word(&format!("dpfoperatorconfig/{}", config.id.name))
                .raw("--timeout=5m"),
        )];
        if first_api(site) {
            for (stanza, deployment) in CONTROLLERS {
                let stanza_node = config.node.at(&["spec", stanza]);
                let off = stanza_node.and_then(|node| node.get("disable")).and_then(Node::as_bool) == Some(true);
                if off || (stanza == "staticClusterManager" && stanza_node.is_none()) {
                    continue;
                }
                let rollout = kubectl_in(namespace).raw("rollout status").word(&format!("deployment/{deployment}"));
                commands.push(rollout.raw("--timeout=10m").end());
            }
        }
        commands
            .push(kubectl_in(namespace).raw("wait --for=condition=Available deployments --all --timeout=15m").end());
        steps.push(Step::new("DPF's operator has read its configuration, and its controllers run.", commands));
    }
    steps
}

/// What the site needs and somebody else makes, Secrets aside.
pub(super) fn external(site: &RenderedSite) -> Vec<Step> {
    let here = |external: &&crate::site::External| {
        let secret = external.group.is_empty() && external.kind == "Secret";
        !secret && external.destination.as_deref().is_none_or(|destination| destination == "management")
    };
    let commands: Vec<String> = (site.site.external.iter().filter(here))
        .map(|external| {
            let dot = if external.group.is_empty() { "" } else { "." };
            let kind = external.kind.to_ascii_lowercase();
            let name = format!("{kind}{dot}{}/{}", external.group, external.name);
            kubectl_in(&external.namespace).raw("get").word(&name).end()
        })
        .collect();
    if commands.is_empty() { Vec::new() } else { vec![Step::new("What this site only refers to is there.", commands)] }
}

pub(super) fn network_operator(site: &RenderedSite) -> Vec<Step> {
    let policies: Vec<&RenderedObject> = of_kind(site, "mellanox.com", "NicClusterPolicy").collect();
    let virtual_functions: Vec<&RenderedObject> =
        of_kind(site, "sriovnetwork.openshift.io", "SriovNetworkNodePolicy").collect();
    let Some(application) = network_operator_of(site) else { return Vec::new() };
    let namespace = application.namespace();
    let mut commands: Vec<String> = policies
        .iter()
        .map(|policy| {
            kubectl_in(namespace_of(policy))
                .raw("wait --for=jsonpath='{.status.state}'=ready")
                .word(&format!("nicclusterpolicy/{}", policy.id.name))
                .raw("--timeout=15m")
                .end()
        })
        .collect();
    commands.push(kubectl_in(namespace).raw("wait --for=condition=Ready pods --all --timeout=10m").end());
    let mut rollout = |daemon_set: &str| {
        commands.push(
            kubectl_in(namespace)
                .raw("rollout status")
                .word(&format!("daemonset/{daemon_set}"))
                .raw("--timeout=10m")
                .end(),
        );
    };
    if policies.iter().any(|policy| policy.node.at(&["spec", "secondaryNetwork", "multus"]).is_some()) {
        rollout("kube-multus-ds");
    }
    if application.value(&["sriovNetworkOperator", "enabled"]).and_then(Node::as_bool) == Some(true) {
        rollout("sriov-network-config-daemon");
        if !virtual_functions.is_empty() {
            rollout("sriov-device-plugin");
        }
    }
    vec![Step::new("NVIDIA's network operator has made what its policies ask for.", commands)]
}

/// The Application of NVIDIA's network operator.
fn network_operator_of(site: &RenderedSite) -> Option<Application<'_>> {
    on_management(site)
        .find(|one| one.value(&["sriovNetworkOperator"]).is_some() || &*one.id.name == "network-operator")
}

fn namespace_of(object: &RenderedObject) -> &str {
    &object.id.namespace
}

pub(super) fn injector(site: &RenderedSite) -> Vec<Step> {
    let Some(cni) = ovn(site).filter(|cni| has_injector(*cni)) else { return Vec::new() };
    let rollout =
        kubectl_in(cni.namespace()).raw("rollout status").word(&injector_deployment(cni)).raw("--timeout=10m");
    vec![Step::new("OVN-Kubernetes' injector runs: pods on workers get a VF from now on.", [rollout.end()])]
}

/// `deployment/<name>` of the injector.
pub(super) fn injector_deployment(cni: Application<'_>) -> String {
    format!("deployment/{}-{INJECTOR}", cni.release())
}

pub(super) fn bitstreams(site: &RenderedSite) -> Vec<Step> {
    let bitstreams: Vec<&RenderedObject> = of_kind(site, PROVISIONING, "BFB").collect();
    if bitstreams.is_empty() {
        return Vec::new();
    }
    let commands = bitstreams.iter().map(|bfb| {
        kubectl_in(namespace_of(bfb))
            .raw("wait --for=jsonpath='{.status.phase}'=Ready")
            .word(&format!("bfb/{}", bfb.id.name))
            .raw("--timeout=30m")
            .end()
    });
    vec![Step::new("The bitstream is downloaded.", commands)]
}

pub(super) fn services(site: &RenderedSite) -> Vec<Step> {
    let mut steps = vec![];
    let all: Vec<Application<'_>> = applications(site).collect();
    if !all.is_empty() {
        steps.push(Step::new(
            "Argo CD has applied every Application. Those of DPU clusters become healthy only once cards have joined.",
            [wait(&all, "jsonpath='{.status.sync.status}'=Synced", "30m")],
        ));
        let here: Vec<Application<'_>> = on_management(site).collect();
        if !here.is_empty() {
            steps.push(Step::new(
                "What they install in the management cluster is healthy.",
                [wait(&here, "jsonpath='{.status.health.status}'=Healthy", "15m")],
            ));
        }
    }
    if site.site.mode == Mode::Operator {
        steps.extend(reconciled(site));
    }
    let sets: Vec<&RenderedObject> = of_kind(site, PROVISIONING, "DPUSet").collect();
    let commands = namespaces_of(&sets).into_iter().map(|namespace| {
        let names = names_in(&sets, namespace);
        kubectl_in(namespace).raw("get dpuset").words(names).end()
    });
    if !sets.is_empty() {
        steps.push(Step::new("The sets of DPUs are there.", commands));
    }
    steps
}

/// `kubectl wait` on Applications, all in Argo CD's namespace.
pub(super) fn wait(applications: &[Application<'_>], condition: &str, timeout: &str) -> String {
    let namespace = applications.first().map(|one| &*one.id.namespace).unwrap_or_default();
    kubectl_in(namespace)
        .raw(&format!("wait --for={condition} applications.argoproj.io"))
        .words(applications.iter().map(|one| &*one.id.name))
        .raw(&format!("--timeout={timeout}"))
        .end()
}

/// DPF's controllers have made of the user's objects what they are asked for.
fn reconciled(site: &RenderedSite) -> Option<Step> {
    let mut commands = Vec::new();
    let deployments: Vec<&RenderedObject> = of_kind(site, SVC, "DPUDeployment").collect();
    let mut wait = |namespace: &str, condition: &str, names: &str| {
        let what = format!("wait --for=condition={condition}");
        commands.push(kubectl_in(namespace).raw(&what).raw(names).raw("--timeout=15m").end());
    };
    for deployment in &deployments {
        let name = super::shell::quote(&deployment.id.name);
        for condition in ["PrerequisitesReady", "DPUServicesReconciled", "DPUServiceChainsReconciled"] {
            wait(namespace_of(deployment), condition, &format!("dpudeployment/{name}"));
        }
    }
    for (kind, condition) in [
        ("DPUService", "ApplicationsReconciled"),
        ("DPUServiceIPAM", "DPUIPAMObjectReconciled"),
        ("DPUServiceInterface", "ServiceInterfaceSetReconciled"),
        ("DPUServiceChain", "ServiceChainSetReconciled"),
        ("DPUServiceCredentialRequest", "SecretReconciled"),
    ] {
        let mut written: Vec<&RenderedObject> = of_kind(site, SVC, kind).collect();
        if !matches!(kind, "DPUServiceIPAM" | "DPUServiceCredentialRequest") {
            // A DPUDeployment makes some of its own, beside it.
            written.extend(&deployments);
        }
        for namespace in namespaces_of(&written) {
            wait(namespace, condition, &format!("{} --all", kind.to_ascii_lowercase()));
        }
    }
    (!commands.is_empty())
        .then(|| Step::new("DPF's controllers have reconciled the services and their network.", commands))
}
