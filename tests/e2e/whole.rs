//! The whole: `sites/lab1` from a git repository into a management cluster and a DPU cluster, by Argo CD and the plugin.
//!
//! What is not here is stood in for, and nothing else: charts (nothing is fetched) by folders of plain objects in the test's
//! repository (their CRDs are there from the start, `charts.rs`), and controllers by the status that they write
//! (`controllers.rs`).

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};

use crate::application::{Application, error, shown, synced};
use crate::argo::NAMESPACE;
use crate::controllers::{answer_lab1, holds};
use crate::git::Repository;
use crate::kubectl::Kubectl;
use crate::lab::{DPU_CLUSTER, Lab, lab, root};
use crate::plugin::{program, rendered};
use crate::shared::shared;
use crate::wait;

const SITE: &str = "sites/lab1";
const SITE_FILE: &str = "sites/lab1/site.yaml";

/// `sites/lab1` and its layers, with charts out of the same repository.
fn repository(lab: &Lab) -> Repository {
    let repository = lab.repository("whole");
    for folder in ["base", "overlays", SITE] {
        repository.copy(&root().join(folder), folder);
    }
    repository.edit(SITE_FILE, "https://git.example.net/dpu/sites.git", &repository.url());
    let mut patches = String::new();
    for application in charts(repository.path()) {
        let source = json!({"repoURL": repository.url(), "targetRevision": "refs/heads/main",
            "path": format!("charts/{application}")});
        let patch = json!({
            "apiVersion": "dpu-render.dev/v1alpha1", "kind": "Patch", "metadata": {"name": application},
            "spec": {"stage": "output", "target": {"group": "argoproj.io", "kind": "Application", "name": application},
                "operations": [{"op": "replace", "path": "/spec/source", "value": source}]},
        });
        patches += &format!("---\n{patch}\n");
        let stand_in =
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": format!("chart-{application}")}});
        repository.write(&format!("charts/{application}/config.yaml"), &stand_in.to_string());
    }
    repository.write("sites/lab1/charts.yaml", &patches);
    // Something of the site that reaches the DPU cluster, and a variable that it reads.
    repository.write("sites/lab1/rack.yaml", &uplink("interfaceName: p0", "rack: ${{ vars.rack }}"));
    repository.edit(SITE_FILE, "    testReplicas:", "    rack: r12\n    testReplicas:");
    repository
}

/// The uplink of the site, merged over that of the layers.
fn uplink(physical: &str, label: &str) -> String {
    format!(
        "apiVersion: svc.dpu.nvidia.com/v1alpha1
kind: DPUServiceInterface
metadata: {{name: p0, namespace: {NAMESPACE}}}
spec:
  template:
    spec:
      template:
        metadata:
          labels:
            {label}
        spec:
          physical:
            {physical}
"
    )
}

/// The names of the Applications that install a chart.
fn charts(checkout: &Path) -> Vec<String> {
    let objects = rendered(checkout, SITE, "management");
    let objects = objects.iter().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let charts =
        objects.filter(|object| object["kind"] == "Application" && object["spec"]["source"]["plugin"].is_null());
    charts.map(|object| object["metadata"]["name"].as_str().unwrap().to_owned()).collect()
}

/// The site's two plugin Applications.
struct Site {
    lab: &'static Lab,
    repository: Repository,
    root: Application,
    dpu: Application,
    /// Names of those that install a chart.
    charts: Vec<String>,
}

impl Site {
    /// Commits, has both look, and waits until they are there, the controllers answering meanwhile.
    fn commit(&self, message: &str) -> String {
        let commit = self.repository.commit(message);
        for name in &self.charts {
            Application::named(self.lab, name).refresh("normal");
        }
        self.root.refresh("normal");
        self.dpu.refresh("normal");
        commit
    }

    fn wait_synced(&self, commit: &str) {
        wait::until(
            &format!("all Applications of the site at {commit}"),
            120,
            || self.lab.argo.tails(),
            || {
                answer_lab1(&self.lab.management.kubectl);
                let wrong = self.applications(commit);
                if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n\n")) }
            },
        );
    }

    /// What is wrong with each of the site's Applications: these two, and those that the first one made.
    fn applications(&self, commit: &str) -> Vec<String> {
        let mut names = self.charts.clone();
        names.extend([self.root.name.clone(), self.dpu.name.clone()]);
        let all = self.lab.management.kubectl.list("applications.argoproj.io", NAMESPACE);
        let status = |name: &String| {
            let application = all.iter().find(|one| one["metadata"]["name"] == name.as_str());
            application.map_or(&Value::Null, |application| &application["status"])
        };
        let wrong = names.iter().filter(|name| !synced(status(name), commit, "Healthy"));
        wrong.map(|name| format!("{name}: {}", shown(status(name)))).collect()
    }

    /// Sees that the clusters have what the program prints.
    fn compare(&self) {
        for (destination, kubectl) in
            [("management", &self.lab.management.kubectl), (DPU_CLUSTER, &self.lab.dpu.kubectl)]
        {
            let objects = rendered(self.repository.path(), SITE, destination);
            assert!(objects.len() >= 4, "{destination}");
            for object in objects {
                let object: Value = serde_json::from_str(&object).unwrap();
                let there = live(kubectl, &object).unwrap_or_else(|| panic!("{destination} has no {object}"));
                assert!(holds(&there, &object), "{destination} has\n{there}\nand not\n{object}");
            }
        }
    }
}

/// The object of that name in a cluster.
fn live(kubectl: &Kubectl, object: &Value) -> Option<Value> {
    let kind = object["kind"].as_str().unwrap();
    let (group, _) = object["apiVersion"].as_str().unwrap().split_once('/').unwrap_or_default();
    let kind = if group.is_empty() { kind.to_owned() } else { format!("{kind}.{group}") };
    let namespace = object["metadata"]["namespace"].as_str().unwrap_or("default");
    kubectl.get(&kind, namespace, object["metadata"]["name"].as_str().unwrap())
}

fn rack(lab: &Lab) -> Option<String> {
    let interface = lab.dpu.kubectl.get("serviceinterfaces", NAMESPACE, "p0-worker1-0000-90-00")?;
    Some(interface["metadata"]["labels"]["rack"].as_str()?.to_owned())
}

/// What the DPU cluster has of the site.
fn of_dpu_cluster(lab: &Lab) -> BTreeSet<String> {
    let kinds = ["serviceinterfaces", "servicechains"];
    let objects = kinds.iter().flat_map(|kind| lab.dpu.kubectl.list(kind, NAMESPACE));
    objects.map(|object| format!("{} {}", object["kind"], object["metadata"]["name"])).collect()
}

#[test]
#[ignore = "needs the programs and the network of the lab: make e2e"]
fn a_site_from_git_to_both_clusters() {
    if shared("crds").is_none() {
        return;
    }
    let lab = lab();
    let repository = repository(lab);
    let first = repository.commit("the site");
    let charts = charts(repository.path());
    let site = Site {
        lab,
        repository,
        root: Application::named(lab, "lab1"),
        dpu: Application::named(lab, "lab1-dpu-cplane-tenant1"),
        charts,
    };
    lab.management.kubectl.apply_text(&program(site.repository.path(), &["argocd", SITE]));

    // From nothing: waves wait for Applications, those for charts, and these for what is installed before them.
    site.wait_synced(&first);
    site.compare();
    assert_eq!(rack(lab).as_deref(), Some("r12"));

    // A variable of the site changes an object of the DPU cluster.
    site.repository.edit(SITE_FILE, "rack: r12", "rack: r13");
    let second = site.commit("another rack");
    site.wait_synced(&second);
    assert_eq!(rack(lab).as_deref(), Some("r13"));
    site.compare();

    // A misspelt field: both Applications say where, and everything stays as it was.
    let before = of_dpu_cluster(lab);
    assert_eq!(before.len(), 3, "{before:?}");
    site.repository.write("sites/lab1/rack.yaml", &uplink("interfaceNam: p0", "rack: r14"));
    site.commit("a misspelt field");
    for application in [&site.root, &site.dpu] {
        let shown = application.wait_error();
        let expected = "failed exit status 1: error[unknown-field]: ";
        assert!(shown.contains(expected) && shown.contains("(sites/lab1/rack.yaml:13:13)"), "{shown}");
        assert!(shown.contains("did you mean `interfaceName`?"), "{shown}");
    }
    wait::stays("the objects of the DPU cluster", 3, || {
        let now = of_dpu_cluster(lab);
        if now == before && rack(lab).as_deref() == Some("r13") { Ok(()) } else { Err(format!("{now:?}")) }
    });

    // Repaired by the next commit.
    site.repository.write("sites/lab1/rack.yaml", &uplink("interfaceName: p0", "rack: r14"));
    let repaired = site.commit("the field repaired");
    site.wait_synced(&repaired);
    assert_eq!(rack(lab).as_deref(), Some("r14"));
    assert_eq!([&site.root, &site.dpu].map(|one| error(&one.status())), [None, None]);
    site.compare();
}
