//! The health scripts in Argo CD's own Lua: every case by its command line, and one kind of each shape by the controller.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::application::{Application, Spec};
use crate::health_cases::{Case, all};
use crate::lab::{Lab, lab, root};
use crate::shared::shared;

/// As many of Argo CD at once as a small machine has cores.
const AT_ONCE: usize = 2;

/// What is wrong with the answer of Argo CD's command line.
fn wrong(lab: &Lab, settings: &Path, case: &Case) -> Option<String> {
    let said = lab.argo.health(settings, &root().join(&case.path));
    let expected = format!("STATUS: {}\nMESSAGE: {}", case.status, case.message);
    match said {
        Ok(said) if said.trim() == expected.trim() => None,
        said => Some(format!("{}: {said:?}, not {expected:?}", case.path)),
    }
}

#[test]
#[ignore = "needs the programs and the network of the lab: make e2e"]
fn every_case_in_the_lua_of_argo_cd() {
    let lab = lab();
    let settings = root().join("plugin/kustomize/argocd-cm.yaml");
    let cases = all();
    assert!(cases.len() > 150, "{}", cases.len());
    let (next, found) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    found.lock().unwrap().extend(wrong(lab, &settings, case));
                }
            });
        }
    });
    let found = found.into_inner().unwrap();
    assert!(found.is_empty(), "{} of {}:\n{}", found.len(), cases.len(), found.join("\n"));
}

/// The object without what only a server writes.
fn as_applied(case: &Case) -> Value {
    let mut object = case.object.to_json();
    let metadata = json!({"name": format!("health-{}", case.kind.to_lowercase()), "namespace": "default"});
    object["metadata"] = metadata;
    object.as_object_mut().unwrap().remove("status");
    object
}

/// The status of a case, speaking of the generation that the object has here.
fn status(case: &Case, here: i64) -> Value {
    let mut object = case.object.to_json();
    let written = object["metadata"]["generation"].as_i64().unwrap_or(1);
    let mut status = object["status"].take();
    if let Some(observed) = status["observedGeneration"].as_i64() {
        status["observedGeneration"] = json!(observed + here - written);
    }
    status
}

/// An Application of one object goes through the states of its kind.
fn through_the_states(group: &str, kind: &str) {
    if shared("crds").is_none() {
        return;
    }
    let lab = lab();
    let cases: Vec<Case> =
        all().into_iter().filter(|case| (&*case.group, &*case.kind, &*case.of) == (group, kind, "v24.10")).collect();
    assert!(cases.len() >= 4, "{kind}: {}", cases.len());
    let repository = lab.repository(&format!("health-{}", kind.to_lowercase()));
    repository.write("objects/object.yaml", &as_applied(&cases[0]).to_string());
    let commit = repository.commit("an object");
    let name = format!("health-{}", kind.to_lowercase());
    let source = json!({"repoURL": repository.url(), "targetRevision": "main", "path": "objects"});
    let application = Application::create(lab, &Spec::new(&name, source).automated());
    application.wait("the object applied", 60, |status| status["sync"]["status"] == "Synced");
    let (kubectl, kind) = (&lab.management.kubectl, format!("{kind}.{group}"));
    for case in &cases {
        let here = kubectl.get(&kind, "default", &name).unwrap()["metadata"]["generation"].as_i64().unwrap();
        kubectl.replace_status(&kind, "default", &name, &status(case, here));
        application.wait_synced(&commit, &case.status);
    }
}

#[test]
#[ignore = "needs the programs and the network of the lab: make e2e"]
fn conditions_in_the_controller() {
    through_the_states("svc.dpu.nvidia.com", "DPUService");
}

#[test]
#[ignore = "needs the programs and the network of the lab: make e2e"]
fn one_word_in_the_controller() {
    through_the_states("provisioning.dpu.nvidia.com", "BFB");
}

#[test]
#[ignore = "needs the programs and the network of the lab: make e2e"]
fn counts_in_the_controller() {
    through_the_states("provisioning.dpu.nvidia.com", "DPUSet");
}
