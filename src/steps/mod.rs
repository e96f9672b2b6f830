//! What a person has to do beside syncing a site, in order, with the commands. PURE.
//!
//! In: a rendered site, with the objects in between ([`Options::intermediate`](crate::render::Options::intermediate)), so that
//! requests for credentials are among them. Out: [`Phase`]s. Follows the phases of DPF's guide for OVN-Kubernetes, as far as
//! the site has what they are about: each row of `ROWS` looks at the objects and decides.

mod access;
mod before;
mod cleanup;
mod clusters;
mod install;
mod objects;
pub mod print;
mod secrets;
mod shell;
mod system;
mod workers;

use crate::render::RenderedSite;

/// Steps that belong together.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Phase {
    /// What they are about.
    pub title: &'static str,
    /// In order.
    pub steps: Vec<Step>,
}

/// One thing to do.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Step {
    /// What, and why.
    pub text: String,
    /// How, for a shell at the repository's root; no commands where it is done elsewhere.
    pub commands: Vec<String>,
}

impl Step {
    fn new(text: impl Into<String>, commands: impl IntoIterator<Item = String>) -> Self {
        Self { text: text.into(), commands: commands.into_iter().collect() }
    }

    /// Something to see to that no command here does.
    fn note(text: impl Into<String>) -> Self {
        Self::new(text, [])
    }
}

const BEFORE: &str = "Before you start";
const NODES: &str = "Control plane nodes";
const SECRETS: &str = "Namespaces and Secrets";
const CNI: &str = "CNI";
const ARGO_CD: &str = "Argo CD and what it needs";
const SYSTEM: &str = "DPF system";
const CLUSTERS: &str = "DPU clusters";
const ACCELERATED: &str = "Accelerated CNI";
const SERVICES: &str = "Provisioning and services";
const WORKERS: &str = "Worker nodes";
const TRAFFIC: &str = "Test traffic";
const CLEANUP: &str = "Deletion and clean-up";

type Row = (&'static str, fn(&RenderedSite) -> Vec<Step>);

/// Everything there may be to do, in order. Rows of one phase stand together.
const ROWS: &[Row] = &[
    (BEFORE, before::tools),
    (BEFORE, before::network),
    (BEFORE, before::storage),
    (NODES, before::control_plane),
    (SECRETS, secrets::namespaces),
    (SECRETS, secrets::registry_key),
    (SECRETS, secrets::management),
    (SECRETS, install::login),
    (CNI, install::cni),
    (ARGO_CD, install::argo_cd),
    (ARGO_CD, install::repository),
    (ARGO_CD, install::plugin),
    (SYSTEM, install::root),
    (SYSTEM, system::operator),
    (SYSTEM, system::external),
    (CLUSTERS, access::kubeconfigs),
    (CLUSTERS, access::argo_cd),
    (CLUSTERS, clusters::credentials),
    (CLUSTERS, clusters::secrets),
    (CLUSTERS, install::trees),
    (ACCELERATED, system::network_operator),
    (ACCELERATED, system::injector),
    (SERVICES, system::bitstreams),
    (SERVICES, system::services),
    (WORKERS, workers::join),
    (WORKERS, workers::choose_cluster),
    (WORKERS, workers::verify),
    (TRAFFIC, workers::traffic),
    (CLEANUP, cleanup::stop),
    (CLEANUP, cleanup::traffic),
    (CLEANUP, cleanup::injector),
    (CLEANUP, cleanup::accelerated),
    (CLEANUP, cleanup::services),
    (CLEANUP, cleanup::system),
    (CLEANUP, cleanup::releases),
    (CLEANUP, cleanup::rest),
];

/// What there is to do for a site, top to bottom; the last phase is for the day it goes.
#[must_use]
pub fn steps(site: &RenderedSite) -> Vec<Phase> {
    let mut phases: Vec<Phase> = Vec::new();
    for (title, row) in ROWS {
        let steps = row(site);
        match phases.last_mut().filter(|phase| phase.title == *title) {
            Some(phase) => phase.steps.extend(steps),
            None if steps.is_empty() => {}
            None => phases.push(Phase { title, steps }),
        }
    }
    phases
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::render::{Options, Repository};

    /// The steps of a site of these files, by phase.
    fn of(files: &[(&str, &str)]) -> BTreeMap<&'static str, Vec<Step>> {
        let files: BTreeMap<String, String> =
            files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
        let repository = Repository::new(&files);
        let outcome = repository.render("sites/s", &Options { intermediate: true, ..Options::default() });
        let site = outcome.site.unwrap_or_else(|| panic!("{:?}", outcome.diagnostics));
        steps(&site).into_iter().map(|phase| (phase.title, phase.steps)).collect()
    }

    /// Commands, one a line however long.
    fn commands(steps: &[Step]) -> String {
        let commands = steps.iter().flat_map(|step| &step.commands);
        commands.map(|command| format!("{command}\n").replace(" \\\n    ", " ")).collect()
    }

    const CLUSTER: &str = "
apiVersion: provisioning.dpu.nvidia.com/v1alpha1
kind: DPUCluster
metadata: {name: c1, namespace: n1}
spec: {type: static, version: v1.30.2, kubeconfig: mine}
";

    const MINE: &str = "    - {kind: Secret, namespace: n1, name: mine, keys: [admin.conf]}\n";
    const ARGO: &str =
        "    - {kind: Secret, namespace: dpf-operator-system, name: n1-c1, keys: [name, server, config]}\n";

    fn site(spec: &str) -> String {
        let head = "apiVersion: dpu-render.dev/v1alpha1\nkind: Site\nmetadata: {name: s}\nspec:\n  dpf: v24.10\n";
        format!("{head}  clusters: [{{name: c1, namespace: n1}}]\n{spec}")
    }

    #[test]
    fn operator_mode_waits_for_what_controllers_make() {
        let site = site(&format!("  mode: operator\n  external:\n{MINE}"));
        let interface = "
apiVersion: svc.dpu.nvidia.com/v1alpha1
kind: DPUServiceInterface
metadata: {name: p0, namespace: dpf-operator-system}
spec:
  template:
    spec:
      template:
        metadata: {labels: {uplink: p0}}
        spec: {interfaceType: physical, physical: {interfaceName: p0}}
";
        let phases = of(&[
            ("sites/s/site.yaml", &site),
            ("sites/s/cluster.yaml", CLUSTER),
            ("sites/s/interface.yaml", interface),
        ]);
        let services = commands(&phases[SERVICES]);
        assert!(services.contains("condition=ServiceInterfaceSetReconciled dpuserviceinterface --all"), "{services}");
        let clusters = commands(&phases[CLUSTERS]);
        assert!(clusters.contains("get secret mine"), "the kubeconfig that the DPUCluster names: {clusters}");
        assert!(!clusters.contains("create secret"), "DPF makes the cluster Secret: {clusters}");
        let cleanup = commands(&phases[CLEANUP]);
        assert!(cleanup.contains("delete dpuserviceinterface p0 --wait"), "{cleanup}");
        assert!(!cleanup.contains("finalizers\":null}}'\nfor"), "no Kamaji here: {cleanup}");
    }

    #[test]
    fn a_request_for_a_kubeconfig_is_answered() {
        let out = "    - {kind: Secret, namespace: apps, name: out, keys: [kubeconfig]}\n";
        let site = site(&format!("  mode: standalone\n  external:\n{MINE}{ARGO}{out}"));
        let request = "
apiVersion: svc.dpu.nvidia.com/v1alpha1
kind: DPUServiceCredentialRequest
metadata: {name: r, namespace: apps}
spec:
  type: kubeconfig
  serviceAccount: {name: sa, namespace: apps}
  secret: {name: out, namespace: apps}
  targetCluster: {name: c1, namespace: n1}
";
        let phases =
            of(&[("sites/s/site.yaml", &site), ("sites/s/cluster.yaml", CLUSTER), ("sites/s/request.yaml", request)]);
        let clusters = commands(&phases[CLUSTERS]);
        let on = "kubectl --kubeconfig=\"${DPU_KUBECONFIGS:?}\"/c1 --namespace=apps";
        assert!(clusters.contains(&format!("{on} create token sa")), "{clusters}");
        assert!(clusters.contains("kubectl --namespace=apps create secret generic out"), "{clusters}");
        assert!(clusters.contains("--from-file=kubeconfig=/dev/stdin"), "{clusters}");
        assert!(clusters.contains("create secret generic n1-c1"), "Argo CD's: {clusters}");
    }

    #[test]
    fn secrets_are_asked_for_by_their_keys() {
        let site = site(&format!(
            "  mode: standalone
  external:
{MINE}{ARGO}    - {{kind: Secret, namespace: apps, name: pull, destination: management, keys: [.dockerconfigjson]}}
    - {{kind: Secret, namespace: apps, name: bgp, destination: c1, keys: [\"pass word\", key]}}
    - {{kind: Secret, namespace: apps, name: pull, destination: c1, keys: [.dockerconfigjson]}}
"
        ));
        let phases = of(&[("sites/s/site.yaml", &site), ("sites/s/cluster.yaml", CLUSTER)]);
        let management = commands(&phases[SECRETS]);
        assert!(
            management.starts_with("kubectl create namespace apps\nkubectl create namespace n1\nread -rs NGC_API_KEY"),
            "{management}"
        );
        assert!(management.contains("--from-file=admin.conf=\"${MINE_ADMIN_CONF_FILE:?}\""), "{management}");
        assert!(management.contains("--docker-password=\"${NGC_API_KEY:?}\""), "{management}");
        let clusters = commands(&phases[CLUSTERS]);
        assert!(clusters.contains("get secret pull --output=json |\n    jq"), "a copy: {clusters}");
        let own = "--from-file='pass word'=\"${BGP_PASS_WORD_FILE:?}\" --from-file=key=\"${BGP_KEY_FILE:?}\"";
        assert!(clusters.contains(own), "{clusters}");
    }

    #[test]
    fn nothing_is_listed_that_the_site_has_not() {
        let site = site("  mode: standalone\n").replace("  clusters: [{name: c1, namespace: n1}]\n", "");
        let phases = of(&[("sites/s/site.yaml", &site)]);
        assert_eq!(phases.keys().copied().collect::<Vec<_>>(), [ARGO_CD, BEFORE, SYSTEM, CLEANUP]);
    }
}
