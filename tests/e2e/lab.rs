//! The lab that all tests share: a management cluster with Argo CD and our plugin, and a DPU cluster. Tests have Applications,
//! repositories and namespaces of their own. Nothing is stopped: everything ends with the process table that `lab.sh` made.

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use serde_json::json;

use crate::argo::{Argo, NAMESPACE, Plugin};
use crate::charts;
use crate::cluster::{Cluster, Places, start_etcd};
use crate::git::Repository;
use crate::shared::shared;

/// The DPU cluster of `sites/lab1`.
pub(crate) const DPU_CLUSTER: &str = "dpu-cplane-tenant1";

/// Plugins that show how Argo CD treats any plugin.
const SCRIPTS: [Plugin; 2] = [
    // Says what it was handed, and then does as ours.
    Plugin {
        name: "observed",
        script: "set -e\nroot=$(cd \"$PWD\" && while [ \"$(basename \"$(dirname \"$PWD\")\")\" != _cmp_server ]; do cd ..; done; pwd)\n\
                 (cd \"$root\" && find . -type f | sort) > \"$RECORD/$ARGOCD_APP_NAME.files\"\n\
                 pwd > \"$RECORD/$ARGOCD_APP_NAME.folder\"\n\
                 env > \"$RECORD/$ARGOCD_APP_NAME.env\"\n\
                 exec dpu-render plugin generate\n",
    },
    // Never answers, nor does its child, which keeps stdout open.
    Plugin {
        name: "slow",
        script: "sleep 600 &\necho $$ $! > \"$RECORD/$ARGOCD_APP_NAME.pids.new\"\n\
                 mv \"$RECORD/$ARGOCD_APP_NAME.pids.new\" \"$RECORD/$ARGOCD_APP_NAME.pids\"\nwait\n",
    },
];

pub(crate) struct Lab {
    pub(crate) places: Places,
    pub(crate) management: Cluster,
    pub(crate) dpu: Cluster,
    pub(crate) argo: Argo,
    _lock: fs::File,
}

/// The lab; started by the first test that asks.
pub(crate) fn lab() -> &'static Lab {
    static LAB: LazyLock<Lab> = LazyLock::new(Lab::start);
    &LAB
}

/// This repository.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The plugin's name, as Applications write it.
pub(crate) fn plugin() -> String {
    format!("dpu-render-v{}", env!("CARGO_PKG_VERSION"))
}

impl Lab {
    fn start() -> Self {
        let (places, lock) = Places::new("e2e");
        start_etcd(&places);
        let management = Cluster::start(&places, "management", 6443, NAMESPACE);
        let dpu = Cluster::start(&places, DPU_CLUSTER, 7443, "default");
        let crds = |sets: &[&str]| sets.iter().filter_map(|set| shared(&format!("crds/{set}"))).collect::<Vec<_>>();
        let mut of_management = crds(&["dpf-v24.10", "kamaji"]);
        of_management.push(places.program("argocd").with_file_name("argocd-crds"));
        management.wait_until_ready(&places);
        management.kubectl.apply(&charts::crds());
        for (cluster, crds) in [(&management, of_management), (&dpu, crds(&["dpf-v24.10", "nv-ipam"]))] {
            cluster.wait_until_ready(&places);
            if !crds.is_empty() {
                cluster.kubectl.apply_crds(&crds);
            }
            cluster.start_controllers(&places);
        }
        management.kubectl.apply(&[json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})]);
        Argo::install(&management);
        management.kubectl.apply(&[dpu.argo_secret(NAMESPACE, "dpu-cplane-tenant1-dpu-cplane-tenant1")]);
        let mut argo = Argo::start(&places, &management);
        let program = Path::new(env!("CARGO_BIN_EXE_dpu-render"));
        let definition = fs::read_to_string(root().join("plugin/plugin.yaml")).unwrap();
        argo.start_plugin(&places, &plugin(), &definition, &[("dpu-render", program)]);
        for script in &SCRIPTS {
            argo.start_script(&places, script);
        }
        Self { places, management, dpu, argo, _lock: lock }
    }

    /// A git repository of a test.
    pub(crate) fn repository(&self, name: &str) -> Repository {
        Repository::new(self.places.scratch.join("repositories").join(name))
    }
}
