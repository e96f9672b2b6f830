//! The files of `plugin/` that say the same thing in several forms, out of their sources. PURE.
//!
//! In: the texts of `plugin/sidecar.yaml`, `plugin/ignore-differences.yaml`, `plugin/health/kinds.yaml` and
//! `plugin/health/shapes/*.lua`, and the program's version. Out: path to text of one Lua script per kind, the kustomize
//! component, the Helm values, and the layer `base/argocd-plugin`.

mod health;

use std::collections::BTreeMap;

use dpu_render::diagnostic::{self, Severity};
use dpu_render::node::Node;
use dpu_render::source::{Origin, SourceTree};
use dpu_render::yaml::{read, write};
use serde_json::{Map, Value, json};

/// Texts of files, by path from the repository's root.
pub(crate) type Texts = BTreeMap<String, String>;

/// Where the image comes from in what a person edits; `registry.example.net` is nobody's.
const IMAGE: &str = "registry.example.net/dpu/dpu-render";
/// Name of the image between the files of the component.
const IMAGE_NAME: &str = "dpu-render";
/// First line of every file that is made here.
const MADE: &str = "Made by `cargo run --example plugin-files`";

/// Every file that is made, by path. An error is what is wrong with a source.
pub(crate) fn forms(sources: &Texts, version: &str) -> Result<Texts, String> {
    let mut files = health::scripts(sources)?;
    let mut settings: Map<String, Value> = Map::new();
    for (path, text) in &files {
        let name = path.rsplit('/').next().and_then(|name| name.strip_suffix(".lua")).unwrap_or(path);
        settings.insert(format!("resource.customizations.health.{name}"), json!(text));
    }
    settings.extend(ignored(sources)?);
    let sidecar = |image: &str| Sidecar::of(sources, version, image);
    files.extend(kustomize(&sidecar(IMAGE_NAME)?, &settings, version));
    let own = sidecar(&format!("{IMAGE}:{version}"))?;
    let head =
        "Values for the chart argo-cd of argo-helm. Set the image: repoServer.extraContainers[0].image, this one line.";
    files.insert("plugin/values.yaml".to_owned(), document(&[MADE, head], &values(&own, &settings)));
    let of_site = sidecar("${{ vars.pluginImage }}")?;
    let head = "The plugin in the Argo CD that the DPF operator's chart brings along.";
    let patch = json!({
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Application",
        "metadata": {"name": "dpf-operator", "namespace": "${{ site.argocd.namespace }}"},
        // Argo CD keeps the whole source with each entry of its history, and etcd refuses objects beyond 1.5 MiB.
        "spec": {"revisionHistoryLimit": 1, "source": {"helm": {"valuesObject": {"argo-cd": values(&of_site, &settings)}}}},
    });
    files.insert("base/argocd-plugin/dpf-operator.yaml".to_owned(), document(&[MADE, head], &patch));
    Ok(files)
}

/// What is added to the pod of argocd-repo-server, and the parameters of that program.
struct Sidecar {
    container: Value,
    volumes: Value,
    env: Value,
    params: Value,
}

impl Sidecar {
    fn of(sources: &Texts, version: &str, image: &str) -> Result<Self, String> {
        let path = "plugin/sidecar.yaml";
        let text = sources.get(path).ok_or_else(|| format!("{path} is missing"))?;
        let name = format!("dpu-render-v{}", version.replace('.', "-"));
        let text = text.replace("@NAME@", &name).replace("@IMAGE@", image);
        let source = yaml(path, &text)?;
        let part = |key: &str| source.get(key).map(Node::to_json).ok_or_else(|| format!("{path} has no `{key}`"));
        Ok(Self {
            container: part("container")?,
            volumes: part("volumes")?,
            env: part("repoServerEnv")?,
            params: part("params")?,
        })
    }
}

/// Keys of `argocd-cm` for what Argo CD does not compare.
fn ignored(sources: &Texts) -> Result<Map<String, Value>, String> {
    let path = "plugin/ignore-differences.yaml";
    let text = sources.get(path).ok_or_else(|| format!("{path} is missing"))?;
    let mut keys = Map::new();
    for item in yaml(path, text)?.as_list().unwrap_or_default() {
        let field = |key: &str| item.text(&[key]).ok_or_else(|| format!("{path}: an entry has no `{key}`"));
        let fields = item.without("group").without("kind");
        let key = format!("resource.customizations.ignoreDifferences.{}_{}", field("group")?, field("kind")?);
        if keys.insert(key.clone(), json!(printed(&fields.to_json()))).is_some() {
            return Err(format!("{path}: {key} is there twice"));
        }
    }
    Ok(keys)
}

/// A component that people name in the kustomization of their Argo CD.
fn kustomize(sidecar: &Sidecar, settings: &Map<String, Value>, version: &str) -> Texts {
    let patch = |path: &str, kind: &str, name: &str| json!({"path": path, "target": {"kind": kind, "name": name}});
    let component = json!({
        "apiVersion": "kustomize.config.k8s.io/v1alpha1",
        "kind": "Component",
        "images": [{"name": IMAGE_NAME, "newName": IMAGE, "newTag": version}],
        "patches": [
            patch("repo-server.yaml", "Deployment", "argocd-repo-server"),
            patch("argocd-cm.yaml", "ConfigMap", "argocd-cm"),
            patch("argocd-cmd-params-cm.yaml", "ConfigMap", "argocd-cmd-params-cm"),
        ],
    });
    let repo_server = json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "argocd-repo-server"},
        "spec": {"template": {"spec": {
            "containers": [sidecar.container, {"name": "argocd-repo-server", "env": sidecar.env}],
            "volumes": sidecar.volumes,
        }}},
    });
    let config = |name: &str, data: Value| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data});
    let cm = config("argocd-cm", Value::Object(settings.clone()));
    let params = config("argocd-cmd-params-cm", sidecar.params.clone());
    let image = "A component for the kustomization of an Argo CD. Set the image here, in `images`.";
    [
        ("kustomization.yaml", vec![MADE, image], component),
        ("repo-server.yaml", vec![MADE, "The sidecar; why it is as it is: ../sidecar.yaml."], repo_server),
        ("argocd-cm.yaml", vec![MADE, "Health and differences; why: ../health, ../ignore-differences.yaml."], cm),
        ("argocd-cmd-params-cm.yaml", vec![MADE, "How the repository is packed."], params),
    ]
    .into_iter()
    .map(|(name, head, object)| (format!("plugin/kustomize/{name}"), document(&head, &object)))
    .collect()
}

/// Values of the chart argo-cd.
fn values(sidecar: &Sidecar, settings: &Map<String, Value>) -> Value {
    json!({
        "configs": {"cm": settings, "params": sidecar.params},
        "repoServer": {"env": sidecar.env, "extraContainers": [sidecar.container], "volumes": sidecar.volumes},
    })
}

fn document(head: &[&str], object: &Value) -> String {
    let head: String = head.iter().map(|line| format!("# {line}\n")).collect();
    head + &printed(object)
}

fn printed(object: &Value) -> String {
    let mut text = String::new();
    write::yaml(&Node::from_json(object, Origin::NONE), &mut text);
    text
}

/// The one document of a source.
fn yaml(path: &str, text: &str) -> Result<Node, String> {
    let files = BTreeMap::from([(path.to_owned(), text.to_owned())]);
    let tree = SourceTree::new(&files);
    let (id, source) = tree.load(path).map_err(|error| format!("{path}: {error}"))?;
    let mut faults = Vec::new();
    let documents = read::documents(&source, id, &mut faults);
    if let Some(fault) = faults.iter().find(|fault| fault.severity == Severity::Error) {
        return Err(diagnostic::render(fault, &tree, false));
    }
    documents.into_iter().next().ok_or_else(|| format!("{path} is empty"))
}
