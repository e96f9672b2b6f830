//! What keeps a bad commit, and Argo CD itself, from taking away what somebody still needs.

use serde_json::{Value, json};

use crate::application::{Application, Spec, destination, error, source};
use crate::git::Repository;
use crate::lab::{Lab, lab, plugin, root};
use crate::shared::shared;
use crate::wait;

/// The place of the guarded object in the repository.
const FLAVOR: &str = "dpu/sites/lab1/flavor.yaml";
const SITE_FILE: &str = "dpu/sites/lab1/site.yaml";

/// Kept by the controller of the DPUDeployment that uses a BFB.
const USED_BY: &str = "dpu.nvidia.com/consumed-by-dpudeployment-name";

/// The small repository of the plugin's cases, for namespaces of its own.
fn repository(lab: &Lab, name: &str, spec: &str) -> Repository {
    let repository = lab.repository(name);
    repository.copy(&root().join("tests/plugin/repository"), ".");
    for file in ["vip", "fabric"] {
        repository.edit(&format!("dpu/base/{file}.yaml"), "namespace: ns", &format!("namespace: {name}"));
    }
    repository.edit(SITE_FILE, "  layers:", &format!("{spec}  layers:"));
    lab.management.kubectl.apply(&[json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})]);
    repository
}

fn application(lab: &'static Lab, name: &str, repository: &Repository, to: &str) -> Application {
    let source = source(&repository.url(), "dpu/sites/lab1", &plugin(), &destination(to));
    Application::create(lab, &Spec::new(name, source).automated())
}

#[test]
#[ignore = "needs the programs and the network of the lab: make e2e"]
fn an_emptied_destination_is_refused_and_nothing_pruned() {
    let lab = lab();
    let repository = repository(lab, "expected", "  expect: {green: {ConfigMap: 1}}\n");
    let first = repository.commit("one object, and one expected");
    let application = application(lab, "expected", &repository, "green");
    application.wait_synced(&first, "Healthy");

    repository.remove("dpu/base/vip.yaml");
    repository.commit("the object is gone");
    application.refresh("normal");
    let shown = application.wait_error();
    assert!(shown.contains("failed exit status 1: error[expect]: "), "{shown}");
    wait::stays("the ConfigMap", 3, || {
        lab.management.kubectl.get("configmaps", "expected", "vip").map(drop).ok_or_else(|| "it is gone".to_owned())
    });

    // Meant: the same commit without the expectation prunes it, so that nothing but the expectation held it.
    repository.edit(SITE_FILE, "  expect: {green: {ConfigMap: 1}}\n", "");
    repository.write("dpu/base/other.yaml", &other("expected"));
    let meant = repository.commit("nothing is expected");
    application.refresh("normal");
    application.wait_synced(&meant, "Healthy");
    assert_eq!(lab.management.kubectl.get("configmaps", "expected", "vip"), None);
}

/// Another object, since Argo CD by itself does not take away the last one.
fn other(namespace: &str) -> String {
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: other, namespace: {namespace}, \
         annotations: {{dpu-render.dev/destination: clusters}}}}\n"
    )
}

fn flavor(lab: &Lab, namespace: &str) -> Option<Value> {
    lab.management.kubectl.get("dpuflavors", namespace, "unused")
}

/// A site with a flavor that nobody uses, rendered for this Argo CD; the flavor is then taken out of Git.
fn without_its_flavor(lab: &'static Lab, name: &str, version: &str) -> (Application, String) {
    let repository = repository(lab, name, &format!("  argocd: {{version: {version}}}\n"));
    let text = format!(
        "apiVersion: provisioning.dpu.nvidia.com/v1alpha1\nkind: DPUFlavor\nmetadata: {{name: unused, namespace: {name}}}\nspec: {{}}\n"
    );
    repository.write(FLAVOR, &text);
    let first = repository.commit("a flavor");
    let application = application(lab, name, &repository, "management");
    application.wait("the flavor applied", 60, |status| {
        status["sync"]["revision"] == first.as_str() && status["operationState"]["phase"] == "Succeeded"
    });
    assert!(flavor(lab, name).is_some());
    repository.remove(FLAVOR);
    let second = repository.commit("the flavor is gone");
    application.refresh("normal");
    (application, second)
}

#[test]
#[ignore = "needs the programs and the network of the lab: make e2e"]
fn a_guarded_object_waits_for_a_person() {
    if shared("crds").is_none() {
        return;
    }
    let lab = lab();
    let (application, _) = without_its_flavor(lab, "confirmed", "v3.2");
    let waiting = |status: &Value| {
        let message = status["operationState"]["message"].as_str().unwrap_or_default();
        status["operationState"]["phase"] == "Running" && message.contains("DPUFlavor/unused")
    };
    application.wait("the sync to wait for a confirmation", 60, waiting);
    wait::stays("the flavor", 3, || flavor(lab, "confirmed").map(drop).ok_or_else(|| "it is gone".to_owned()));

    // The person says yes.
    let now = crate::process::answer(std::process::Command::new("date").args(["--utc", "+%Y-%m-%dT%H:%M:%SZ"]));
    application.annotate("argocd.argoproj.io/deletion-approved", now.trim());
    application.wait("the sync to end", 60, |status| status["operationState"]["phase"] == "Succeeded");
    assert_eq!(flavor(lab, "confirmed"), None);
}

#[test]
#[ignore = "needs the programs and the network of the lab: make e2e"]
fn a_guarded_object_stays_with_an_older_argo_cd() {
    if shared("crds").is_none() {
        return;
    }
    let lab = lab();
    let (application, second) = without_its_flavor(lab, "kept", "v2.12");
    application.wait("the flavor out of sync, the sync done", 60, |status| {
        status["sync"]["revision"] == second.as_str()
            && status["sync"]["status"] == "OutOfSync"
            && status["operationState"]["phase"] == "Succeeded"
    });
    wait::stays("the flavor", 3, || flavor(lab, "kept").map(drop).ok_or_else(|| "it is gone".to_owned()));
    assert_eq!(error(&application.status()), None);
}

#[test]
#[ignore = "needs the programs and the network of the lab: make e2e"]
fn what_a_controller_writes_stays_and_is_no_difference() {
    if shared("crds").is_none() {
        return;
    }
    let lab = lab();
    let repository = lab.repository("ignored");
    let bfb = json!({"apiVersion": "provisioning.dpu.nvidia.com/v1alpha1", "kind": "BFB",
        "metadata": {"name": "ignored", "namespace": "default", "labels": {"of": "git", USED_BY: "git"}},
        "spec": {"url": "https://content.example.net/bf-bundle.bfb"}});
    repository.write("objects/bfb.yaml", &bfb.to_string());
    let commit = repository.commit("a BFB");
    let source = json!({"repoURL": repository.url(), "targetRevision": "main", "path": "objects"});
    let mut spec = Spec::new("ignored", source).automated();
    spec.sync_policy["syncOptions"] = json!(["RespectIgnoreDifferences=true"]);
    let application = Application::create(lab, &spec);
    application.wait_synced(&commit, "Progressing");

    // The label that a controller keeps is left alone; one beside it, changed in the same breath, is put back.
    let kubectl = &lab.management.kubectl;
    let written = json!({"metadata": {"labels": {"of": "somebody", USED_BY: "a-controller"}}});
    kubectl.patch("bfbs", "default", "ignored", &written);
    wait::until(
        "the label put back",
        60,
        || lab.argo.tails(),
        || {
            let live = kubectl.get("bfbs", "default", "ignored").unwrap();
            if live["metadata"]["labels"]["of"] == "git" { Ok(()) } else { Err(live["metadata"]["labels"].to_string()) }
        },
    );
    application.wait_synced(&commit, "Progressing");
    wait::stays("the controller's label", 3, || {
        let live = kubectl.get("bfbs", "default", "ignored").unwrap();
        let (label, sync) = (&live["metadata"]["labels"][USED_BY], &application.status()["sync"]["status"]);
        if label == "a-controller" && sync == "Synced" { Ok(()) } else { Err(format!("{label} {sync}")) }
    });
}
