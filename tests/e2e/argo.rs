//! Argo CD as plain processes: Redis, the repo-server, a cmp-server per plugin, the controllers and the API server, with the
//! settings that `plugin/kustomize` gives it. EDGE of the tests.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::cluster::{Cluster, Places};
use crate::lab::root;
use crate::process::{command, start, tails, try_answer};
use crate::wait;
use crate::yaml::document;

/// Argo CD's namespace: the one that the sites of this repository name.
pub(crate) const NAMESPACE: &str = "dpf-operator-system";
/// How long Argo CD waits for manifests; everybody else needs a tenth of it.
pub(crate) const DEADLINE: u64 = 10;
/// Sockets must have short paths, wherever the repository is; the lab has this folder for itself.
const SOCKETS: &str = "/dev/shm/plugins";
const REDIS: &str = "127.0.0.1:6379";
const REPO_SERVER: &str = "127.0.0.1:8081";
const API: &str = "http://127.0.0.1:8080/api/v1";

/// A plugin beside ours: how Argo CD treats any plugin.
pub(crate) struct Plugin {
    pub(crate) name: &'static str,
    /// The script that answers `generate`; `$RECORD` is a folder to write to.
    pub(crate) script: &'static str,
}

/// Argo CD, running.
pub(crate) struct Argo {
    folder: PathBuf,
    program: PathBuf,
    kubeconfig: PathBuf,
    logs: Vec<PathBuf>,
}

impl Argo {
    /// Makes the objects that Argo CD starts with.
    pub(crate) fn install(management: &Cluster) {
        let settings = &settings("argocd-cm.yaml")["data"];
        let labels = json!({"app.kubernetes.io/part-of": "argocd"});
        let metadata = |name: &str| json!({"name": name, "namespace": NAMESPACE, "labels": labels});
        let project = json!({"sourceRepos": ["*"], "destinations": [{"server": "*", "namespace": "*"}],
            "clusterResourceWhitelist": [{"group": "*", "kind": "*"}]});
        management.kubectl.apply(&[
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata("argocd-cm"), "data": settings}),
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata("argocd-secret")}),
            json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "AppProject",
                "metadata": {"name": "default", "namespace": NAMESPACE}, "spec": project}),
        ]);
    }

    /// Starts everything but the plugins.
    pub(crate) fn start(places: &Places, management: &Cluster) -> Self {
        let folder = places.folder("argocd");
        for name in ["tls", "ssh", "gpg", "gnupg", "tmp", "programs", "record"] {
            fs::create_dir_all(folder.join(name)).unwrap();
        }
        fs::create_dir_all(SOCKETS).unwrap();
        let mut argo = Self {
            program: places.program("argocd"),
            kubeconfig: management.kubectl.kubeconfig.clone(),
            logs: Vec::new(),
            folder,
        };
        let redis = places.log("redis");
        let mut command = command(Path::new("redis-server"), &places.home());
        command.args(["--port", "6379", "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir"]);
        start(command.arg(&argo.folder), &redis);
        let components: [(&str, &[&str]); 4] = [
            (
                "repo-server",
                &[
                    "--address=127.0.0.1",
                    "--port=8081",
                    "--metrics-address=127.0.0.1",
                    "--metrics-port=8084",
                    // A commit is seen at once, not when the answer of the last three minutes is forgotten.
                    "--redis",
                    REDIS,
                    "--revision-cache-expiration=1s",
                ],
            ),
            (
                "application-controller",
                &[
                    "--redis",
                    REDIS,
                    "--repo-server",
                    REPO_SERVER,
                    "--app-resync=180",
                    "--app-resync-jitter=0",
                    "--metrics-port=8082",
                    "--repo-server-timeout-seconds",
                    &DEADLINE.to_string(),
                ],
            ),
            (
                "applicationset-controller",
                &[
                    "--argocd-repo-server",
                    REPO_SERVER,
                    "--metrics-addr=127.0.0.1:12345",
                    "--probe-addr=127.0.0.1:12346",
                    "--webhook-addr=127.0.0.1:7001",
                    "--namespace",
                    NAMESPACE,
                ],
            ),
            (
                "server",
                &[
                    "--insecure",
                    "--disable-auth",
                    "--address=127.0.0.1",
                    "--port=8080",
                    "--metrics-port=8083",
                    "--redis",
                    REDIS,
                    "--repo-server",
                    REPO_SERVER,
                ],
            ),
        ];
        for (name, arguments) in components {
            let log = places.log(&format!("argocd-{name}"));
            let mut component = argo.component(name);
            if name == "repo-server" {
                component.envs(of_repo_server());
            }
            start(component.args(arguments).arg("--logformat=text"), &log);
            argo.logs.push(log);
        }
        for url in ["http://127.0.0.1:8084/healthz", "http://127.0.0.1:8082/healthz", "http://127.0.0.1:8080/healthz"] {
            wait::until(url, 60, || argo.tails(), || argo.curl(&[url]));
        }
        argo
    }

    /// Starts a cmp-server with this `plugin.yaml`; waits for the socket `name`.
    pub(crate) fn start_plugin(&mut self, places: &Places, name: &str, definition: &str, programs: &[(&str, &Path)]) {
        let config = places.folder(&format!("argocd/plugins/{name}"));
        fs::write(config.join("plugin.yaml"), definition).unwrap();
        // What PATH is in the image.
        let path = self.folder.join("programs");
        for (program, target) in programs {
            let _ = fs::remove_file(path.join(program));
            symlink(target, path.join(program)).unwrap();
        }
        let log = places.log(&format!("cmp-server-{name}"));
        let mut server = self.component("cmp-server");
        server.env("PATH", format!("{}:/usr/bin:/bin", path.display()));
        server.env("ARGOCD_CMP_WORKDIR", places.folder(&format!("argocd/cmp/{name}")));
        server.env("RECORD", self.record()).arg("--logformat=text").arg("--config-dir-path").arg(&config);
        start(&mut server, &log);
        self.logs.push(log.clone());
        let socket = Path::new(SOCKETS).join(format!("{name}.sock"));
        wait::until(
            &format!("the socket of {name}"),
            30,
            || tails(std::slice::from_ref(&log)),
            || socket.exists().then_some(()).ok_or_else(|| format!("no {}", socket.display())),
        );
    }

    /// Starts a plugin that is a script.
    pub(crate) fn start_script(&mut self, places: &Places, plugin: &Plugin) {
        let script = self.folder.join("programs").join(plugin.name);
        fs::write(&script, plugin.script).unwrap();
        let definition = json!({
            "apiVersion": "argoproj.io/v1alpha1", "kind": "ConfigManagementPlugin", "metadata": {"name": plugin.name},
            "spec": {"generate": {"command": ["sh", script]}},
        });
        self.start_plugin(places, plugin.name, &definition.to_string(), &[]);
    }

    /// Where plugins that are scripts leave what they saw.
    pub(crate) fn record(&self) -> PathBuf {
        self.folder.join("record")
    }

    /// The end of all logs.
    pub(crate) fn tails(&self) -> String {
        tails(&self.logs)
    }

    /// One answer of Argo CD's API, which the UI is made of.
    pub(crate) fn get(&self, path: &str) -> Result<Value, String> {
        self.api(&[&format!("{API}/{path}")])
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Result<Value, String> {
        let body = body.to_string();
        self.api(&["--header", "Content-Type: application/json", "--data", &body, &format!("{API}/{path}")])
    }

    /// What the plugin announces for a source, as the UI's form asks it.
    pub(crate) fn app_details(&self, source: &Value) -> Result<Value, String> {
        let url: String = source["repoURL"].as_str().unwrap().bytes().map(|byte| format!("%{byte:02X}")).collect();
        self.post(
            &format!("repositories/{url}/appdetails"),
            &json!({"source": source, "appName": "details", "appProject": "default"}),
        )
    }

    /// The command that reconciles the Applications with this label by itself, without the controller.
    pub(crate) fn reconcile(&self, label: &str, out: &Path) -> Command {
        let mut command = self.component("");
        command.env("ARGOCD_BINARY_NAME", "argocd").args(["admin", "app", "get-reconcile-results"]).arg(out);
        command.args(["--refresh", "--repo-server", REPO_SERVER, "--l", label, "--o=json"]);
        command
    }

    /// Health of an object by Argo CD's own Lua, with the settings of a file.
    pub(crate) fn health(&self, settings: &Path, object: &Path) -> Result<String, String> {
        let mut command = self.component("");
        command.env("ARGOCD_BINARY_NAME", "argocd").args(["admin", "settings", "resource-overrides", "health"]);
        try_answer(command.arg(object).arg("--argocd-cm-path").arg(settings))
    }

    fn api(&self, arguments: &[&str]) -> Result<Value, String> {
        let said = self.curl(arguments)?;
        serde_json::from_str(&said).map_err(|error| format!("{error}: {said}"))
    }

    /// Errors of the server are answers too.
    fn curl(&self, arguments: &[&str]) -> Result<String, String> {
        let mut curl = command(Path::new("curl"), &self.folder);
        try_answer(curl.args(["--silent", "--show-error", "--max-time", "60"]).args(arguments))
    }

    fn component(&self, name: &str) -> Command {
        let mut command = command(&self.program, &self.folder);
        command.current_dir(&self.folder).env("KUBECONFIG", &self.kubeconfig);
        command.env("ARGOCD_BINARY_NAME", format!("argocd-{name}")).env("ARGOCD_PLUGINSOCKFILEPATH", SOCKETS);
        // The number at its end is the controller's shard.
        command.env("HOSTNAME", "argocd-application-controller-0");
        let folders = [
            ("TMPDIR", "tmp"),
            ("ARGOCD_TLS_DATA_PATH", "tls"),
            ("ARGOCD_SSH_DATA_PATH", "ssh"),
            ("ARGOCD_GPG_DATA_PATH", "gpg"),
            ("ARGOCD_GNUPGHOME", "gnupg"),
        ];
        command.envs(folders.map(|(variable, folder)| (variable, self.folder.join(folder))));
        command.env("ARGOCD_ASK_PASS_SOCK", "/dev/shm/ask-pass.sock");
        command.envs([
            ("ARGOCD_GPG_ENABLED", "false"),
            ("ARGOCD_SYNC_WAVE_DELAY", "0"),
            ("ARGOCD_FAKE_IN_CLUSTER", "true"),
        ]);
        command
    }
}

/// A file of `plugin/kustomize`.
fn settings(file: &str) -> Value {
    document(&root().join("plugin/kustomize").join(file))
}

/// The settings of the repo-server, as its Deployment makes variables of them.
fn of_repo_server() -> BTreeMap<String, String> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let params = settings("argocd-cmd-params-cm.yaml");
    let params = params["data"].as_object().unwrap().iter().map(|(key, value)| {
        let key = key.strip_prefix("reposerver.").unwrap_or_else(|| panic!("{key} is not of the repo-server"));
        (format!("ARGOCD_REPO_SERVER_{}", key.replace('.', "_").to_uppercase()), text(value))
    });
    let deployment = settings("repo-server.yaml");
    let containers = deployment["spec"]["template"]["spec"]["containers"].as_array().unwrap();
    let server = containers.iter().find(|container| container["name"] == "argocd-repo-server").unwrap();
    let env = server["env"].as_array().unwrap().iter().map(|entry| (text(&entry["name"]), text(&entry["value"])));
    params.chain(env).collect()
}
