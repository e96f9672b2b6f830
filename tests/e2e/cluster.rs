//! Control planes: one etcd, an API server per cluster, and per cluster the two controllers without which nothing is ever
//! deleted. There is no kubelet: pods never run, and a status is what a test writes. EDGE of the tests.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::kubectl::Kubectl;
use crate::process::{answer, command, start, tails, try_answer};
use crate::wait;

/// Who every component and every test is.
pub(crate) const TOKEN: &str = "admin-token";
const ETCD: u16 = 6444;

/// Where things are: the programs, and the folder of this run.
pub(crate) struct Places {
    pub(crate) programs: PathBuf,
    pub(crate) scratch: PathBuf,
}

impl Places {
    /// A folder of this name for one run, empty; another run in the same folder ends first.
    pub(crate) fn new(name: &str) -> (Self, fs::File) {
        let programs = std::env::var_os("DPU_E2E_BIN").expect("DPU_E2E_BIN is not set: run `make e2e`");
        let scratch = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let lock = fs::File::create(scratch.with_extension("lock")).unwrap();
        lock.lock().unwrap();
        let _ = fs::remove_dir_all(&scratch);
        let places = Self { programs: PathBuf::from(programs), scratch };
        for folder in ["logs", "home", "repositories"] {
            places.folder(folder);
        }
        (places, lock)
    }

    pub(crate) fn program(&self, name: &str) -> PathBuf {
        let program = self.programs.join(name);
        assert!(program.is_file(), "{} is missing: run `make e2e`", program.display());
        program
    }

    pub(crate) fn log(&self, name: &str) -> PathBuf {
        self.scratch.join("logs").join(format!("{name}.log"))
    }

    /// A folder of the scratch folder, made.
    pub(crate) fn folder(&self, name: &str) -> PathBuf {
        let folder = self.scratch.join(name);
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.scratch.join("home")
    }
}

/// The database of clusters, at this port and the next.
pub(crate) fn etcd(places: &Places, port: u16) -> Command {
    let (client, peer) = (url(port), url(port + 1));
    let mut etcd = command(&places.program("etcd"), &places.home());
    etcd.args(["--name=test", "--unsafe-no-fsync", "--logger=zap", "--log-level=warn"]);
    etcd.arg("--data-dir").arg(places.scratch.join("etcd"));
    etcd.args(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
    etcd.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
    etcd.arg(format!("--initial-cluster=test={peer}"));
    etcd
}

/// Starts the database that the clusters of Argo CD share.
pub(crate) fn start_etcd(places: &Places) {
    start(&mut etcd(places, ETCD), &places.log("etcd"));
}

fn url(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

/// One cluster.
pub(crate) struct Cluster {
    name: &'static str,
    port: u16,
    pub(crate) kubectl: Kubectl,
}

impl Cluster {
    /// Starts the API server; `namespace` is that of the kubeconfig's context.
    pub(crate) fn start(places: &Places, name: &'static str, port: u16, namespace: &str) -> Self {
        let cluster = Self::new(places, name, port, namespace);
        start(&mut cluster.server(places, ETCD), &cluster.log(places));
        cluster
    }

    pub(crate) fn log(&self, places: &Places) -> PathBuf {
        places.log(&format!("{}-kube-apiserver", self.name))
    }

    /// The API server.
    pub(crate) fn server(&self, places: &Places, etcd: u16) -> Command {
        let folder = places.folder(self.name);
        let (tokens, key) = (folder.join("tokens.csv"), folder.join("sa.key"));
        let mut server = command(&places.program("kube-apiserver"), &places.home());
        server.args(["--etcd-servers", &url(etcd)]).arg(format!("--etcd-prefix=/{}", self.name));
        server.args(["--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", "--endpoint-reconciler-type=none"]);
        server.arg(format!("--secure-port={}", self.port)).arg("--cert-dir").arg(folder.join("certs"));
        server.arg("--token-auth-file").arg(&tokens).arg("--authorization-mode=RBAC");
        server.arg("--service-account-issuer=https://127.0.0.1").arg("--service-account-key-file").arg(&key);
        server.arg("--service-account-signing-key-file").arg(&key).arg("--service-cluster-ip-range=10.0.0.0/24");
        server.args(["--disable-admission-plugins=ServiceAccount", "--allow-privileged=true", "--profiling=false"]);
        server
    }

    /// What one needs; nothing runs yet.
    pub(crate) fn new(places: &Places, name: &'static str, port: u16, namespace: &str) -> Self {
        let folder = places.folder(name);
        let (certificates, tokens, key) = (folder.join("certs"), folder.join("tokens.csv"), folder.join("sa.key"));
        fs::write(&tokens, format!("{TOKEN},admin,admin,\"system:masters\"\n")).unwrap();
        answer(command(Path::new("openssl"), &places.home()).args(["genrsa", "-out"]).arg(&key).arg("2048"));
        let kubeconfig = folder.join("kubeconfig");
        let text = serde_json::json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "lab",
            "clusters": [{"name": "lab", "cluster": {"server": format!("https://127.0.0.1:{port}"),
                "certificate-authority": certificates.join("apiserver.crt")}}],
            "users": [{"name": "lab", "user": {"token": TOKEN}}],
            "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": "lab", "namespace": namespace}}],
        });
        fs::write(&kubeconfig, text.to_string()).unwrap();
        let kubectl =
            Kubectl { program: places.program("kubectl"), kubeconfig, home: places.folder(&format!("{name}/home")) };
        Self { name, port, kubectl }
    }

    /// Waits until it answers, and has its first namespace.
    pub(crate) fn wait_until_ready(&self, places: &Places) {
        let logs = [places.log("etcd"), self.log(places)];
        wait::until(
            &format!("the API server of {}", self.name),
            60,
            || tails(&logs),
            || {
                try_answer(&mut self.kubectl.command(&["get", "--raw=/readyz"]))?;
                try_answer(&mut self.kubectl.command(&["get", "--raw=/api/v1/namespaces/default"]))
            },
        );
    }

    /// Starts the garbage collector and what ends namespaces. It looks for kinds every 30 s: start it after the CRDs.
    pub(crate) fn start_controllers(&self, places: &Places) {
        let mut manager = command(&places.program("kube-controller-manager"), &places.home());
        manager.arg("--kubeconfig").arg(&self.kubectl.kubeconfig).args(["--leader-elect=false", "--secure-port=0"]);
        manager.arg("--controllers=garbage-collector-controller,namespace-controller");
        start(&mut manager, &places.log(&format!("{}-kube-controller-manager", self.name)));
    }

    /// The Secret that tells Argo CD of this cluster.
    pub(crate) fn argo_secret(&self, namespace: &str, secret: &str) -> Value {
        let config = serde_json::json!({"bearerToken": TOKEN, "tlsClientConfig": {"insecure": true}});
        serde_json::json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": secret, "namespace": namespace, "labels": {"argocd.argoproj.io/secret-type": "cluster"}},
            "stringData": {"name": self.name, "server": format!("https://127.0.0.1:{}", self.port), "config": config.to_string()},
        })
    }
}
