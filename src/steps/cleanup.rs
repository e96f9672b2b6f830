//! Taking a site down, in the order that its controllers survive. PURE.
//!
//! The guide's order: what uses the network, the accelerated CNI, DPF, then what DPF stands on. Each step leaves those
//! controllers alive that must answer the deletions of the next.

use super::Step;
use super::objects::{
    Application, INJECTOR, OPERATOR, PROVISIONING, SVC, applications, argo_cd, by_helm, dpf, has_injector, list,
    names_in, namespaces_of, of_kind, on_management, ovn,
};
use super::secrets::{self, reference, requests};
use super::shell::{Line, kubectl, kubectl_in};
use super::{install, system, workers};
use crate::node::Node;
use crate::render::{RenderedObject, RenderedSite};
use crate::site::Mode;

const NO_FINALIZERS: &str = r#"--type=merge --patch='{"metadata":{"finalizers":null}}'"#;
const CASCADE: &str = r#"--type=merge --patch='{"metadata":{"finalizers":["resources-finalizer.argocd.argoproj.io"]},"spec":{"syncPolicy":{"automated":null}}}'"#;

pub(super) fn stop(site: &RenderedSite) -> Vec<Step> {
    let argocd = &site.site.argocd;
    let clusters = site.site.clusters.iter().map(|cluster| cluster.name.as_str());
    // Those of a standalone site's clusters go with what they synced, below.
    let below = argocd.repo_url.is_some() && site.site.mode == Mode::Standalone && !site.site.parity;
    let there = |name: &&str| argocd.repo_url.is_none() || site.holds(name);
    let trees = clusters.filter(there).filter(|_| !below).map(|name| install::tree_name(site, name));
    let names: Vec<String> = [install::root_name(site)].into_iter().chain(trees).collect();
    let delete = kubectl_in(&argocd.namespace)
        .raw("delete applications.argoproj.io")
        .words(names.iter().map(String::as_str))
        .raw("--wait");
    vec![Step::new(
        match &*names {
            [_] => {
                "Only to take the site down. Delete the Application that syncs the site, or Argo CD makes again what you \
                 delete; what it synced stays."
            }
            _ => {
                "Only to take the site down. Delete the Applications that sync the site, or Argo CD makes again what you \
                 delete; what they synced stays."
            }
        },
        [delete.end()],
    )]
}

pub(super) fn traffic(site: &RenderedSite) -> Vec<Step> {
    let (deployments, services) = workers::listeners(site);
    let mut commands = Vec::new();
    for (kind, objects) in [("deployment", deployments), ("service", services)] {
        for namespace in namespaces_of(&objects) {
            let names = names_in(&objects, namespace);
            commands.push(kubectl_in(namespace).raw("delete").raw(kind).words(names).raw("--wait").end());
        }
    }
    if commands.is_empty() { Vec::new() } else { vec![Step::new("Delete the test pods.", commands)] }
}

pub(super) fn injector(site: &RenderedSite) -> Vec<Step> {
    let Some(cni) = ovn(site).filter(|cni| has_injector(*cni)) else { return Vec::new() };
    let off = serde_json::json!({"spec": {"source": {"helm": {"valuesObject": {INJECTOR: {"enabled": false}}}}}});
    let patch = kubectl_in(&cni.id.namespace).raw("patch").word(&format!("applications.argoproj.io/{}", cni.id.name));
    let gone = kubectl_in(cni.namespace()).raw("wait --for=delete").word(&system::injector_deployment(cni));
    vec![Step::new(
        "Have Argo CD take OVN-Kubernetes' injector away, before what it injects: its webhook would hold up every new pod on \
         the workers. OVN-Kubernetes itself stays: the primary CNI cannot be deleted safely from a running cluster.",
        [patch.raw("--type=merge").option("patch", &off.to_string()).end(), gone.raw("--timeout=10m").end()],
    )]
}

/// Whether DPF stands on it, or it is DPF: it goes last.
fn is_foundation(site: &RenderedSite, application: Application<'_>) -> bool {
    let last = [argo_cd(site), dpf(site)].into_iter().flatten().map(Application::wave).max();
    by_helm(site, application) || last.is_some_and(|last| application.wave() <= last)
}

/// Deletes an Application with everything that it installed.
fn cascade(application: Application<'_>) -> [String; 2] {
    let (namespace, name) = (&*application.id.namespace, format!("applications.argoproj.io/{}", application.id.name));
    [
        kubectl_in(namespace).raw("patch").word(&name).raw(CASCADE).end(),
        kubectl_in(namespace).raw("delete").word(&name).raw("--wait --timeout=15m").end(),
    ]
}

pub(super) fn accelerated(site: &RenderedSite) -> Vec<Step> {
    let mut commands = Vec::new();
    let policies = [("mellanox.com", "NicClusterPolicy"), ("sriovnetwork.openshift.io", "SriovNetworkNodePolicy")];
    for (group, kind) in policies {
        for policy in of_kind(site, group, kind) {
            let name = format!("{}/{}", kind.to_ascii_lowercase(), policy.id.name);
            commands.push(kubectl_in(&policy.id.namespace).raw("delete").word(&name).raw("--wait --timeout=15m").end());
        }
    }
    let mut steps = Vec::new();
    if !commands.is_empty() {
        steps.push(Step::new("Delete the policies of the accelerated CNI while their operators run.", commands));
    }
    for application in on_management(site).filter(|one| !is_foundation(site, *one)) {
        let [mark, delete] = cascade(application);
        let sriov = application.value(&["sriovNetworkOperator", "enabled"]).and_then(Node::as_bool) == Some(true);
        let before = sriov.then(|| {
            kubectl_in(application.namespace()).raw("delete sriovoperatorconfigs --all --wait --timeout=10m").end()
        });
        let why =
            if sriov { "; the SR-IOV operator's configuration first, which only that operator can let go" } else { "" };
        let text = format!("Delete the Application {} with all it installed{why}.", application.id.name);
        steps.push(Step::new(text, [mark].into_iter().chain(before).chain([delete])));
    }
    steps
}

pub(super) fn services(site: &RenderedSite) -> Vec<Step> {
    let mut steps = Vec::new();
    let interfaces: Vec<&RenderedObject> = of_kind(site, SVC, "DPUServiceInterface").collect();
    if site.site.mode == Mode::Operator {
        let delete = namespaces_of(&interfaces).into_iter().map(|namespace| {
            let names = names_in(&interfaces, namespace);
            kubectl_in(namespace).raw("delete dpuserviceinterface").words(names).raw("--wait --timeout=15m").end()
        });
        if !interfaces.is_empty() {
            steps.push(Step::new(
                "Delete the interfaces before DPF's configuration: DPF's own deletion may hang on them.",
                delete,
            ));
        }
        return steps;
    }
    for cluster in &site.site.clusters {
        let there = || applications(site).filter(|one| one.on_cluster(&cluster.name));
        // Chains, interfaces and pools go while the controllers run that let them go.
        let (charts, network): (Vec<_>, Vec<_>) = there().partition(|one| one.chart().is_some());
        let mut commands = Vec::new();
        for group in [network, charts] {
            commands.extend(group.iter().filter(|one| !one.cascades()).map(|one| cascade(*one)[0].clone()));
            let names: Vec<&str> = group.iter().map(|one| &*one.id.name).collect();
            if let Some(first) = group.first() {
                let line = kubectl_in(&first.id.namespace).raw("delete applications.argoproj.io").words(names);
                commands.push(line.raw("--wait --timeout=15m").end());
            }
        }
        if !commands.is_empty() {
            steps.push(Step::new(
                format!(
                    "Delete the Applications of {} while its control plane and Argo CD run. Pods on its workers lose their \
                     network.",
                    cluster.name
                ),
                commands,
            ));
        }
    }
    steps
}

pub(super) fn system(site: &RenderedSite) -> Vec<Step> {
    let configs: Vec<&RenderedObject> = of_kind(site, OPERATOR, "DPFOperatorConfig").collect();
    if configs.is_empty() {
        return Vec::new();
    }
    let delete = configs.iter().map(|config| {
        let name = format!("dpfoperatorconfig/{}", config.id.name);
        kubectl_in(&config.id.namespace).raw("delete").word(&name).raw("--wait --timeout=60m").end()
    });
    let mut steps = vec![Step::new(
        "Delete DPF's configuration: its operator then deletes every DPUSet, DPU, BFB, DPUFlavor and DPUCluster, and waits \
         for each. Nothing else of DPF may go before this is done.",
        delete,
    )];
    let kamaji = |cluster: &&RenderedObject| cluster.node.text(&["spec", "type"]) == Some("kamaji");
    let clusters: Vec<&RenderedObject> = of_kind(site, PROVISIONING, "DPUCluster").filter(kamaji).collect();
    if !clusters.is_empty() {
        let mut commands: Vec<String> = clusters
            .iter()
            .map(|cluster| {
                let name = format!("dpucluster/{}", cluster.id.name);
                kubectl_in(&cluster.id.namespace).raw("patch").word(&name).raw(NO_FINALIZERS).end()
            })
            .collect();
        commands.push(format!(
            "for store in $(kubectl get datastores.kamaji.clastix.io --output=name); do\n    kubectl patch \"$store\" \
             {NO_FINALIZERS}\ndone"
        ));
        steps.push(Step::new(
            "Only if that, or the removal of the DPF operator below, hangs on a DPUCluster or a Kamaji DataStore that is being \
             deleted: they race with Kamaji for each other. Take their finalizers off, from a second shell.",
            commands,
        ));
    }
    steps
}

pub(super) fn releases(site: &RenderedSite) -> Vec<Step> {
    let mut foundation: Vec<Application<'_>> = on_management(site).filter(|one| is_foundation(site, *one)).collect();
    // The newest first: what comes later stands on what came before.
    foundation.sort_by_key(|one| std::cmp::Reverse(one.wave()));
    let (helm, others): (Vec<_>, Vec<_>) = foundation.into_iter().partition(|one| by_helm(site, *one));
    let mut steps = Vec::new();
    for application in &others {
        steps.push(Step::new(
            format!("Delete the Application {} with all it installed.", application.id.name),
            cascade(*application),
        ));
    }
    let Some(first) = helm.first() else { return steps };
    let mut commands: Vec<String> = helm
        .iter()
        .filter(|one| one.cascades())
        .map(|one| {
            let name = format!("applications.argoproj.io/{}", one.id.name);
            kubectl_in(&one.id.namespace).raw("patch").word(&name).raw(NO_FINALIZERS).end()
        })
        .collect();
    let names = helm.iter().map(|one| &*one.id.name);
    commands
        .push(kubectl_in(&first.id.namespace).raw("delete applications.argoproj.io").words(names).raw("--wait").end());
    steps.push(Step::new("Let Argo CD forget what Helm installed; nothing of it goes by this.", commands));
    let cni = ovn(site).map(|cni| cni.id);
    let uninstall = helm.iter().filter(|one| Some(one.id) != cni).map(|one| {
        Line::of("helm uninstall").word(one.release()).option("namespace", one.namespace()).raw("--wait").end()
    });
    let text = match cni {
        Some(cni) => format!("Uninstall Helm's releases, Argo CD's own among them. {} stays.", cni.name),
        None => "Uninstall Helm's releases, Argo CD's own among them.".to_owned(),
    };
    steps.push(Step::new(text, uninstall));
    steps
}

pub(super) fn rest(site: &RenderedSite) -> Vec<Step> {
    let kept = ovn(site).map(Application::namespace);
    let mut secrets: Vec<(&str, &str)> = secrets::of(site, None)
        .map(|external| (external.namespace.as_str(), external.name.as_str()))
        .chain(requests(site).into_iter().map(|request| reference(&request.node, "secret")))
        .filter(|(namespace, _)| Some(*namespace) != kept)
        .collect();
    secrets.sort_unstable();
    secrets.dedup();
    let mut commands = Vec::new();
    for group in secrets.chunk_by(|one, next| one.0 == next.0) {
        let names = group.iter().map(|(_, name)| *name);
        commands.push(kubectl_in(group[0].0).raw("delete secret").words(names).raw("--ignore-not-found").end());
    }
    for kind in ["PersistentVolumeClaim", "PersistentVolume"] {
        for object in of_kind(site, "", kind) {
            let name = format!("{}/{}", kind.to_ascii_lowercase(), object.id.name);
            commands.push(kubectl_in(&object.id.namespace).raw("delete").word(&name).raw("--wait").end());
        }
    }
    let namespaces: Vec<&str> =
        of_kind(site, "", "Namespace").map(|object| &*object.id.name).filter(|name| Some(*name) != kept).collect();
    if !namespaces.is_empty() {
        commands.push(kubectl().raw("delete namespace").words(namespaces).raw("--wait").end());
    }
    if !site.site.clusters.is_empty() {
        commands.push("rm -r -- \"${DPU_KUBECONFIGS:?}\"".to_owned());
    }
    let keeps: Vec<&str> = kept.into_iter().collect();
    let left = if keeps.is_empty() { String::new() } else { format!(" The CNI's namespace {} stays.", list(&keeps)) };
    let text = format!("Delete Secrets, volumes and namespaces. CRDs and the labels of Nodes stay.{left}");
    if commands.is_empty() { Vec::new() } else { vec![Step::new(text, commands)] }
}
