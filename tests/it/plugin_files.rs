//! The files of `plugin/`: what is made is what its sources say, and everything fits the program.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use dpu_render::node::Node;

use crate::forms;
use crate::health_cases::document;
use crate::program::run;

const VERSION: &str = env!("CARGO_PKG_VERSION");

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// What is made, of the sources in the checkout.
fn made() -> forms::Texts {
    forms::forms(&sources(), VERSION).unwrap()
}

fn sources() -> forms::Texts {
    let mut sources = BTreeMap::new();
    for folder in ["plugin", "plugin/health", "plugin/health/shapes"] {
        for entry in fs::read_dir(root().join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "yaml" || extension == "lua") {
                let name = path.strip_prefix(root()).unwrap().display().to_string();
                sources.insert(name, fs::read_to_string(&path).unwrap());
            }
        }
    }
    sources
}

#[test]
fn what_is_made_is_what_the_sources_say() {
    let made = made();
    for (path, text) in &made {
        let kept = fs::read_to_string(root().join(path)).unwrap_or_default();
        assert!(kept == *text, "{path} is not what its sources say: cargo run --example plugin-files");
    }
    for folder in ["plugin/kustomize", "plugin/health", "base/argocd-plugin"] {
        for entry in fs::read_dir(root().join(folder)).unwrap().map(Result::unwrap) {
            let path = entry.path().strip_prefix(root()).unwrap().display().to_string();
            let by_hand = ["plugin/health/kinds.yaml", "base/argocd-plugin/layer.yaml"].contains(&&*path);
            assert!(entry.path().is_dir() || by_hand || made.contains_key(&path), "nobody makes {path}");
        }
    }
}

#[test]
fn sources_that_are_wrong_are_refused() {
    let with = |path: &str, from: &str, to: &str| {
        let mut sources = sources();
        let text = sources.get_mut(path).unwrap();
        assert!(text.contains(from), "{path} has no {from}");
        *text = text.replacen(from, to, 1);
        forms::forms(&sources, VERSION).unwrap_err()
    };
    let kinds = "plugin/health/kinds.yaml";
    for (path, from, to, expected) in [
        (kinds, "quiet: true", "quite: true", "no parameter `quite`"),
        (kinds, "shape: counts", "shape: numbers", "numbers.lua is missing"),
        (kinds, "gate: [ApplicationsReconciled]", "gate: Ready", "`gate` is no list"),
        (kinds, "kind: DPUServiceChain,", "kind: DPUService,", "DPUService is there twice"),
        ("plugin/ignore-differences.yaml", "kind: DPUFlavor", "kind: BFB", "is there twice"),
        ("plugin/sidecar.yaml", "volumes:\n  -", "disks:\n  -", "has no `volumes`"),
    ] {
        let fault = with(path, from, to);
        assert!(fault.contains(expected), "{path}: {to}: {fault}");
    }
}

#[test]
fn the_plugin_file_names_this_version_and_verbs_that_exist() {
    let file = document(&root().join("plugin/plugin.yaml"));
    assert_eq!(file.text(&["kind"]), Some("ConfigManagementPlugin"));
    assert_eq!(file.text(&["metadata", "name"]), Some("dpu-render"));
    assert_eq!(file.text(&["spec", "version"]), Some(&*format!("v{VERSION}")));
    // `init` and `discover` each cost another copy of the repository; a field that Argo CD does not know it ignores.
    let fields: Vec<&str> = file.fields(&["spec"]).iter().map(|entry| &*entry.key.text).collect();
    assert_eq!(fields, ["generate", "parameters", "version"]);
    for path in [&["spec", "generate"][..], &["spec", "parameters", "dynamic"]] {
        let block = file.at(path).unwrap();
        let words: Vec<&str> = block.items(&["command"]).iter().filter_map(Node::as_str).collect();
        assert_eq!(words[0], "dpu-render");
        let said = run(root(), &[&words[1..], &["--help"]].concat());
        assert_eq!(said.code, Some(0), "{words:?}: {}", said.err);
        assert!(said.out.contains(&words[1..].join(" ")), "{words:?}: {}", said.out);
    }
}

/// Every mount has its volume, here or in the pods that Argo CD's own manifests and chart make.
#[test]
fn the_sidecar_is_locked_in_and_mounts_what_exists() {
    let patch = document(&root().join("plugin/kustomize/repo-server.yaml"));
    let pod = patch.at(&["spec", "template", "spec"]).unwrap();
    let sidecar = &pod.items(&["containers"])[0];
    let name = sidecar.text(&["name"]).unwrap();
    assert_eq!(name, format!("dpu-render-v{}", VERSION.replace('.', "-")));
    let security = sidecar.get("securityContext").unwrap().to_json();
    let expected = serde_json::json!({
        "runAsNonRoot": true, "runAsUser": 999, "readOnlyRootFilesystem": true, "allowPrivilegeEscalation": false,
        "capabilities": {"drop": ["ALL"]}, "seccompProfile": {"type": "RuntimeDefault"},
    });
    assert_eq!(security, expected);
    let names = |items: &[Node]| items.iter().map(|item| item.text(&["name"]).unwrap().to_owned()).collect();
    let mut volumes: BTreeSet<String> = names(pod.items(&["volumes"]));
    assert!(volumes.iter().all(|volume| volume.starts_with(name)), "another version would share {volumes:?}");
    volumes.extend(["var-files", "plugins"].map(str::to_owned));
    let mounted: BTreeSet<String> = names(sidecar.items(&["volumeMounts"]));
    assert_eq!(mounted, volumes);
    assert!(name.len() <= 63, "{name}");
}

/// The container file copies what `make image` puts beside it, to where Argo CD and the plugin file look.
#[test]
fn the_image_holds_the_program_and_its_plugin_file() {
    let text = fs::read_to_string(root().join("plugin/Containerfile")).unwrap();
    for line in [
        "FROM scratch",
        "COPY dpu-render /usr/local/bin/dpu-render",
        "COPY plugin.yaml /home/argocd/cmp-server/config/plugin.yaml",
        "ENV PATH=/usr/local/bin",
        "USER 999:999",
    ] {
        assert!(text.lines().any(|one| one == line), "no line {line}");
    }
}
