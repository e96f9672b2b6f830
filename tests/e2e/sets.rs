//! Sites by an ApplicationSet, and what their AppProjects do not let them do.

use serde_json::{Value, json};

use crate::application::{Application, synced};
use crate::argo::NAMESPACE;
use crate::git::Repository;
use crate::lab::{Lab, lab, root};
use crate::plugin::program;

/// Two sites of one repository, each with a namespace of its own.
fn repository(lab: &Lab) -> Repository {
    let repository = lab.repository("sets");
    repository.copy(&root().join("tests/plugin/repository/dpu/base"), "dpu/base");
    repository.edit("dpu/base/fabric.yaml", "namespace: ns", "namespace: '${{ site.name }}'");
    for site in ["east", "west"] {
        repository.copy(&root().join("tests/plugin/repository/dpu/sites/lab1"), &format!("dpu/sites/{site}"));
        let file = format!("dpu/sites/{site}/site.yaml");
        repository.edit(&file, "name: lab1", &format!("name: {site}"));
        let argocd =
            json!({"namespace": NAMESPACE, "repoURL": repository.url(), "targetRevision": "main", "version": "v3.2"});
        repository.edit(&file, "  layers:", &format!("  argocd: {argocd}\n  layers:"));
        lab.management.kubectl.apply(&[json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": site}})]);
    }
    repository
}

fn mtu(lab: &Lab, site: &str) -> Option<String> {
    let fabric = lab.management.kubectl.get("configmaps", site, "fabric")?;
    Some(fabric["data"]["mtu"].as_str()?.to_owned())
}

#[test]
#[ignore = "needs the programs and the network of the lab: make e2e"]
fn one_set_for_two_sites_each_in_its_fence() {
    let lab = lab();
    let repository = repository(lab);
    let first = repository.commit("two sites");
    let sites = ["dpu/sites/east", "dpu/sites/west"];
    lab.management.kubectl.apply_text(&program(repository.path(), &["argocd", "--applicationset", sites[0], sites[1]]));
    let roots = ["east", "west"].map(|name| Application::named(lab, name));
    let there =
        |status: &Value, commit: &str| status["sync"]["revision"] == commit && status["sync"]["status"] == "Synced";
    for root in &roots {
        root.wait(&format!("Synced at {first}"), 90, |status| there(status, &first));
    }
    assert_eq!(["east", "west"].map(|site| mtu(lab, site)), [Some("1500".to_owned()), Some("1500".to_owned())]);
    // The Applications of the DPU clusters came out of the repository.
    let of_cluster = lab.management.kubectl.get("applications.argoproj.io", NAMESPACE, "east-green").unwrap();
    assert_eq!(of_cluster["spec"]["project"], "east");

    // A group that the site had not when a person applied its AppProject is refused, and told.
    let role = "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {name: intruder, namespace: east}\nrules: []\n";
    repository.write("dpu/sites/east/intruder.yaml", role);
    repository.edit("dpu/base/layer.yaml", "mtu: 1500", "mtu: 9000");
    let second = repository.commit("a group beyond the fence, in one of the sites");
    roots.iter().for_each(|root| root.refresh("normal"));
    let fenced = roots[0].wait("the Role refused", 90, |status| {
        status["operationState"]["syncResult"]["revision"] == second.as_str()
            && status["operationState"]["syncResult"]["resources"]
                .to_string()
                .contains("is not permitted in project east")
    });
    assert!(!synced(&fenced, &second, "Healthy"));
    assert_eq!(lab.management.kubectl.get("roles.rbac.authorization.k8s.io", "east", "intruder"), None);
    roots[1].wait(&format!("Synced at {second}"), 90, |status| there(status, &second));
    assert_eq!(mtu(lab, "west").as_deref(), Some("9000"));
}
