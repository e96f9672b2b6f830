//! A double of Argo CD's repo-server and cmp-server, as far as a plugin can tell: which plugin is chosen, what it is handed
//! over, how it is called, what becomes of its output, and in which words a failure is shown.
//!
//! In: a `plugin.yaml`, a folder that stands for the checked-out repository, and an [`Application`]. Out: objects and
//! conditions, or the error that the Application shows. Touches: a work folder of its own, and processes.
//! Left out: git, gRPC and gzip, caches, the cluster; and YAML on stdout, which is refused, as our plugin must print JSON.
#![expect(clippy::unwrap_used, reason = "a double of tests")]

mod pack;
mod run;
mod split;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use dpu_render::argocd::paths::common_root;
use dpu_render::source::SourceTree;
use dpu_render::yaml::read;
use serde_json::Value;
use tempfile::TempDir;

pub(crate) use run::Call;

const UNKNOWN: &str = "rpc error: code = Unknown desc = ";

/// Which Argo CD.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Release {
    V2_12,
    V3_2,
}

/// An Application, as far as its manifests are concerned.
#[derive(Clone, Debug)]
pub(crate) struct Application {
    pub(crate) name: String,
    /// `source.path`.
    pub(crate) path: String,
    /// `argocd.argoproj.io/manifest-generate-paths`.
    pub(crate) paths: Option<String>,
    /// `source.plugin`.
    pub(crate) plugin: Value,
}

/// What an Application is made of.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Manifests {
    pub(crate) objects: Vec<Value>,
    /// Messages of `RepeatedResourceWarning`.
    pub(crate) repeated: Vec<String>,
}

/// One repo-server with one sidecar.
pub(crate) struct ArgoCd {
    pub(crate) release: Release,
    /// `reposerver.plugin.use.manifest.generate.paths`.
    pub(crate) narrow: bool,
    /// `reposerver.plugin.tar.exclusions`.
    pub(crate) exclusions: Vec<String>,
    /// What is left for the sidecar when it is called.
    pub(crate) deadline: Duration,
    /// Of the destination; empty under the Source Hydrator.
    pub(crate) kube_version: &'static str,
    plugin: Value,
    /// What the sidecar's container has in its environment.
    container: Vec<(String, String)>,
    work: TempDir,
    calls: RefCell<Vec<Call>>,
}

impl ArgoCd {
    /// The sidecar of this `plugin.yaml`, with programs found in `path`.
    pub(crate) fn new(plugin_yaml: &str, path: &Path) -> Self {
        let none = BTreeMap::new();
        let sources = SourceTree::new(&none);
        let (id, source) = sources.add("plugin.yaml", plugin_yaml.to_owned());
        let plugin = read::documents(&source, id, &mut Vec::new())[0].to_json();
        assert_eq!(plugin["kind"], "ConfigManagementPlugin");
        assert!(plugin["spec"].get("init").is_none() && plugin["spec"].get("discover").is_none());
        let system = std::env::var("PATH").unwrap();
        let container = vec![("PATH".to_owned(), format!("{}:{system}", path.display()))];
        Self {
            release: Release::V3_2,
            narrow: true,
            exclusions: Vec::new(),
            deadline: Duration::from_secs(60),
            kube_version: "1.33.1",
            plugin,
            container,
            work: TempDir::new().unwrap(),
            calls: RefCell::default(),
        }
    }

    /// What Applications have to name: that of the socket.
    pub(crate) fn plugin_name(&self) -> String {
        let name = self.plugin["metadata"]["name"].as_str().unwrap();
        match self.plugin["spec"]["version"].as_str() {
            Some(version) => format!("{name}-{version}"),
            None => name.to_owned(),
        }
    }

    /// The commands that were run, in order.
    pub(crate) fn calls(&self) -> Vec<Call> {
        self.calls.borrow().clone()
    }

    /// The folder that everything is unpacked below.
    pub(crate) fn work(&self) -> PathBuf {
        self.work.path().join("_cmp_server")
    }

    /// The manifests of an Application, or what its condition `ComparisonError` says.
    pub(crate) fn manifests(&self, repository: &Path, application: &Application) -> Result<Manifests, String> {
        let made = self.generate(repository, application);
        made.map_err(|error| {
            format!("Failed to load target state: failed to generate manifest for source 1 of 1: {UNKNOWN}{error}")
        })
    }

    fn generate(&self, repository: &Path, application: &Application) -> Result<Manifests, String> {
        let app_path = checked_out(repository, &application.path)?;
        let in_cmp = |error: String| format!("CMP processing failed for application \"{}\": {error}", application.name);
        self.choose(application).map_err(in_cmp)?;
        let narrow = self.narrow && self.release >= Release::V3_2;
        let root = match &application.paths {
            Some(paths) if narrow => common_root(&application.path, paths),
            _ => String::new(),
        };
        let root = repository.join(root);
        let generated = self.in_sidecar(&root, &app_path, "generate manifest error receiving stream", |here| {
            let command = words(&self.plugin["spec"]["generate"]);
            let out = self.run(&command, here, &self.environment(application, true));
            let out = out.and_then(|out| split::documents(&out));
            out.map_err(|error| format!("error generating manifests: {error}"))
        });
        let documents =
            generated.map_err(|error| in_cmp(format!("error generating manifests in cmp: {UNKNOWN}{error}")))?;
        let objects = split::objects(documents)
            .map_err(|error| in_cmp(format!("failed to convert CMP manifests to unstructured objects: {error}")))?;
        let (objects, repeated) = split::last_of_each(objects);
        Ok(Manifests { objects, repeated })
    }

    /// The announcements that the form of the parameters shows, or the error in their place. Never narrowed.
    pub(crate) fn parameters(&self, repository: &Path, application: &Application) -> Result<Vec<Value>, String> {
        let app_path = checked_out(repository, &application.path).map_err(|error| format!("{UNKNOWN}{error}"))?;
        let detected = self.choose(application);
        detected.map_err(|error| format!("{UNKNOWN}failed to detect CMP for app: {error}"))?;
        let receiving = "parameters announcement error receiving stream";
        let announced = self.in_sidecar(repository, &app_path, receiving, |here| {
            let command = words(&self.plugin["spec"]["parameters"]["dynamic"]);
            let out = self.run(&command, here, &self.environment(application, false));
            let out = out.map_err(|error| format!("error executing dynamic parameter output command: {error}"));
            let list = out.and_then(|out| {
                serde_json::from_str::<Vec<Value>>(&out).map_err(|error| format!("error unmarshaling: {error}"))
            });
            list.map_err(|error| format!("get parameters announcement error: {error}"))
        });
        announced.map_err(|error| {
            format!("failed to populate plugin app details: failed to get parameter announcement: {UNKNOWN}{error}")
        })
    }

    /// By the name of the socket, to the letter.
    fn choose(&self, application: &Application) -> Result<(), String> {
        let name = application.plugin["name"].as_str().unwrap_or_default();
        if name == self.plugin_name() {
            return Ok(());
        }
        // Without a name every plugin is asked whether it fits, and one without `discover` says no.
        Err(match name {
            "" => "could not find plugin supporting the given repository".to_owned(),
            _ => format!("could not find cmp-server plugin with name \"{name}\" supporting the given repository"),
        })
    }

    /// Packs `root`, unpacks it in a fresh folder, works there, and removes it.
    fn in_sidecar<T>(
        &self,
        root: &Path,
        app_path: &Path,
        receiving: &str,
        work: impl FnOnce(&Path) -> Result<T, String>,
    ) -> Result<T, String> {
        let entries = pack::pack(root, &self.exclusions);
        if !entries.iter().any(pack::Entry::is_file) {
            return Err(format!("error sending file to cmp-server: no files to send({})", root.display()));
        }
        fs::create_dir_all(self.work()).unwrap();
        let fresh = tempfile::Builder::new().prefix("").rand_bytes(32).tempdir_in(self.work()).unwrap();
        pack::unpack(&entries, fresh.path())
            .map_err(|error| format!("{receiving}: error decompressing tgz file: {error}"))?;
        work(&fresh.path().join(app_path.strip_prefix(root).unwrap()))
    }

    /// Runs a command of the plugin; what it left in its folder is compared with what was there.
    fn run(&self, command: &[String], here: &Path, env: &[(String, String)]) -> Result<String, String> {
        let root = here.ancestors().find(|folder| folder.parent() == Some(&self.work())).unwrap();
        let before = pack::pack(root, &[]);
        let env: Vec<(String, String)> = self.container.iter().chain(env).cloned().collect();
        let (call, said) = run::run(command, here, &env, self.deadline);
        assert_eq!(pack::pack(root, &[]), before, "the plugin wrote into the repository");
        self.calls.borrow_mut().push(Call { files: before.into_iter().map(|entry| entry.path).collect(), ..call });
        said
    }

    /// What a command finds beside the container's own environment.
    fn environment(&self, application: &Application, generate: bool) -> Vec<(String, String)> {
        const REVISION: &str = "0123456789abcdef0123456789abcdef01234567";
        let mut env: Vec<(&str, &str)> = vec![("ARGOCD_APP_NAME", &application.name)];
        if generate {
            env.extend([
                ("ARGOCD_APP_NAMESPACE", "dpf-operator-system"),
                ("ARGOCD_APP_REVISION", REVISION),
                ("ARGOCD_APP_REVISION_SHORT", &REVISION[..7]),
            ]);
            if self.release >= Release::V3_2 {
                env.extend([("ARGOCD_APP_PROJECT_NAME", "default"), ("ARGOCD_APP_REVISION_SHORT_8", &REVISION[..8])]);
            }
        }
        env.extend([
            ("ARGOCD_APP_SOURCE_REPO_URL", "https://git.example.net/dpu/sites.git"),
            ("ARGOCD_APP_SOURCE_PATH", &application.path),
            ("ARGOCD_APP_SOURCE_TARGET_REVISION", "refs/heads/main"),
        ]);
        if generate {
            let apis = if self.kube_version.is_empty() { "" } else { "v1,v1/ConfigMap,apps/v1" };
            env.extend([("KUBE_VERSION", self.kube_version), ("KUBE_API_VERSIONS", apis)]);
        }
        let known: BTreeMap<&str, &str> = env.iter().copied().collect();
        let mut all: Vec<(String, String)> =
            env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        all.extend(run::of_plugin(&application.plugin, &known));
        // Protocol buffers say nothing of an empty text, and what was not said was dropped.
        all.retain(|(_, value)| self.release >= Release::V3_2 || !value.is_empty());
        all
    }
}

/// The application's folder in the checked-out repository, after the scan for links.
fn checked_out(repository: &Path, path: &str) -> Result<PathBuf, String> {
    if let Some(file) = pack::out_of_bounds(repository) {
        return Err(format!("repository contains out-of-bounds symlinks. file: {}", file.display()));
    }
    let app_path = pack::clean(&repository.join(path));
    if !app_path.starts_with(repository) {
        return Err(format!("{path}: app path outside root"));
    }
    match fs::metadata(&app_path) {
        Err(_) => Err(format!("{path}: app path does not exist")),
        Ok(there) if !there.is_dir() => Err(format!("{path}: app path is not a directory")),
        Ok(_) => Ok(app_path),
    }
}

/// `command` and `args` of a command in a `plugin.yaml`.
fn words(command: &Value) -> Vec<String> {
    let list = |key: &str| command[key].as_array().cloned().unwrap_or_default();
    list("command").into_iter().chain(list("args")).map(|word| word.as_str().unwrap().to_owned()).collect()
}
