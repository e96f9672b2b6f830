//! The kustomize component of `plugin/kustomize`, built with kustomize over Argo CD's own manifests.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use dpu_render::node::Node;
use dpu_render::source::SourceTree;
use dpu_render::yaml::read;
use serde_json::Value as Json;
use tempfile::TempDir;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// What `make kustomize` sets up: the program, and the manifests of the Argo CD that `tests/e2e` runs.
fn parts() -> (PathBuf, PathBuf) {
    let folder = std::env::var_os("DPU_RENDER_KUSTOMIZE").map_or_else(|| root().join("target"), PathBuf::from);
    let stack = fs::read_to_string(root().join("tests/e2e/stack/go.mod")).unwrap();
    let version = stack.lines().find_map(|line| line.trim().strip_prefix("github.com/argoproj/argo-cd/v3 ")).unwrap();
    let version = version.split(' ').next().unwrap();
    let parts = (folder.join("kustomize"), folder.join(format!("argo-cd-{version}.yaml")));
    for part in [&parts.0, &parts.1] {
        assert!(part.exists(), "{} is missing: run `make kustomize`, or set DPU_RENDER_KUSTOMIZE", part.display());
    }
    parts
}

/// Objects by kind and name, of a kustomization in `folder`.
fn build(program: &Path, folder: &Path) -> BTreeMap<String, Node> {
    let said = Command::new(program).arg("build").arg(folder).output().unwrap();
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    let files = BTreeMap::from([("out.yaml".to_owned(), String::from_utf8(said.stdout).unwrap())]);
    let tree = SourceTree::new(&files);
    let (id, source) = tree.load("out.yaml").unwrap();
    let name =
        |object: &Node| format!("{}/{}", object.text(&["kind"]).unwrap(), object.text(&["metadata", "name"]).unwrap());
    read::documents(&source, id, &mut Vec::new()).into_iter().map(|object| (name(&object), object)).collect()
}

#[test]
fn the_component_adds_the_sidecar_and_takes_nothing_away() {
    let (program, manifests) = parts();
    let folder = TempDir::new().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write("core-install.yaml", &fs::read_to_string(manifests).unwrap());
    for entry in fs::read_dir(root().join("plugin/kustomize")).unwrap().map(Result::unwrap) {
        let name = format!("plugin/{}", entry.file_name().to_str().unwrap());
        write(&name, &fs::read_to_string(entry.path()).unwrap());
    }
    // An Argo CD in the namespace of DPF, and an image set where a person sets it.
    let plain = "namespace: dpf-operator-system\nresources: [core-install.yaml]\n";
    let set = "images: [{name: registry.example.net/dpu/dpu-render, newName: registry.example.net/site/renderer}]\n";
    write("kustomization.yaml", plain);
    let before = build(&program, folder.path());
    write("kustomization.yaml", &format!("{plain}components: [plugin]\n{set}"));
    let after = build(&program, folder.path());

    let changed: BTreeSet<&str> =
        after.iter().filter(|(name, object)| before.get(*name) != Some(object)).map(|(name, _)| &**name).collect();
    let expected = ["ConfigMap/argocd-cm", "ConfigMap/argocd-cmd-params-cm", "Deployment/argocd-repo-server"];
    assert_eq!(changed, BTreeSet::from(expected));
    assert_eq!(before.len(), after.len());
    for name in expected {
        let mut lost = Vec::new();
        contains(&after[name].to_json(), &before[name].to_json(), name, &mut lost);
        assert!(lost.is_empty(), "{lost:?}");
    }
    let pod = after["Deployment/argocd-repo-server"].at(&["spec", "template", "spec"]).unwrap();
    let containers = pod.items(&["containers"]);
    let sidecar = containers.iter().find(|one| one.text(&["name"]).unwrap().starts_with("dpu-render-v")).unwrap();
    let image = format!("registry.example.net/site/renderer:{}", env!("CARGO_PKG_VERSION"));
    assert_eq!((containers.len(), sidecar.text(&["image"])), (2, Some(&*image)));
    let volumes: BTreeSet<&str> = pod.items(&["volumes"]).iter().filter_map(|one| one.text(&["name"])).collect();
    for mount in sidecar.items(&["volumeMounts"]) {
        assert!(volumes.contains(mount.text(&["name"]).unwrap()), "{volumes:?}");
    }
    let server = containers.iter().find(|one| one.text(&["name"]) == Some("argocd-repo-server")).unwrap();
    let reads = |variable: &str| server.items(&["env"]).iter().any(|one| one.text(&["name"]) == Some(variable));
    assert!(reads("ARGOCD_CMP_CHUNK_SIZE"));
    // The keys that are set are keys that the Deployment reads.
    let read: BTreeSet<&str> =
        server.items(&["env"]).iter().filter_map(|one| one.text(&["valueFrom", "configMapKeyRef", "key"])).collect();
    for entry in after["ConfigMap/argocd-cmd-params-cm"].fields(&["data"]) {
        assert!(read.contains(&*entry.key.text), "nobody reads {}", entry.key.text);
    }
}

/// Where `whole` lacks something that `part` has; items of a list may have moved.
fn contains(whole: &Json, part: &Json, path: &str, lost: &mut Vec<String>) {
    match (whole, part) {
        (Json::Object(whole), Json::Object(part)) => {
            for (key, part) in part {
                match whole.get(key) {
                    Some(whole) => contains(whole, part, &format!("{path}.{key}"), lost),
                    None => lost.push(format!("{path}.{key}")),
                }
            }
        }
        (Json::Array(whole), Json::Array(part)) => {
            for (index, part) in part.iter().enumerate() {
                let same = |one: &&Json| part.get("name").is_some() && one.get("name") == part.get("name");
                match whole.iter().find(same).or_else(|| whole.iter().find(|one| *one == part)) {
                    Some(whole) => contains(whole, part, &format!("{path}[{index}]"), lost),
                    None => lost.push(format!("{path}[{index}]")),
                }
            }
        }
        _ if whole == part => {}
        _ => lost.push(path.to_owned()),
    }
}
