//! What Argo CD's repo-server and cmp-server do with our plugin: which one is called, with what, and what is shown of it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::application::{Application, Spec, destination, source};
use crate::argo::DEADLINE;
use crate::git::Repository;
use crate::lab::{Lab, lab, plugin, root};
use crate::process::answer;
use crate::wait;

/// What comes before our own words in what an Application shows.
const BEFORE: &str =
    "Failed to load target state: failed to generate manifest for source 1 of 1: rpc error: code = Unknown desc = ";

/// A git repository with the small repository of the plugin's cases.
fn small(lab: &Lab, name: &str) -> Repository {
    let repository = lab.repository(name);
    repository.copy(&root().join("tests/plugin/repository"), ".");
    repository.commit("the repository");
    repository
}

/// What the program answers in a checkout.
pub(crate) fn program(checkout: &Path, arguments: &[&str]) -> String {
    let mut program = std::process::Command::new(env!("CARGO_BIN_EXE_dpu-render"));
    answer(program.current_dir(checkout).env_clear().args(arguments))
}

/// The objects that it prints for a destination.
pub(crate) fn rendered(checkout: &Path, site: &str, destination: &str) -> BTreeSet<String> {
    let lines = program(checkout, &["--quiet", "--format=json", "--destination", destination, site]);
    lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap().to_string()).collect()
}

fn as_set(objects: &[Value]) -> BTreeSet<String> {
    objects.iter().map(ToString::to_string).collect()
}

#[test]
#[ignore = "needs the programs and the network of the lab: make e2e"]
fn argo_cd_has_the_objects_that_the_program_prints() {
    let lab = lab();
    let repository = lab.repository("own-sites");
    for folder in ["base", "overlays", "sites"] {
        repository.copy(&root().join(folder), folder);
    }
    repository.commit("the sites of this repository");
    for (site, destinations) in [
        ("lab1", &["management", "dpu-cplane-tenant1"][..]),
        ("lab2", &["management", "dpu-cplane-tenant1", "dpu-cplane-tenant2", "dpu-cplane-tenant3"]),
    ] {
        for name in destinations {
            let path = format!("sites/{site}");
            let expected = rendered(repository.path(), &path, name);
            let spec = Spec::new(
                &format!("own-{site}-{name}"),
                source(&repository.url(), &path, &plugin(), &destination(name)),
            );
            let found = Application::create(lab, &spec).wait_compared().unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(as_set(&found), expected, "{site} {name}");
            assert!(!expected.is_empty());
        }
    }
}

#[test]
#[ignore = "needs the programs and the network of the lab: make e2e"]
fn the_plugin_is_chosen_by_its_whole_name() {
    let lab = lab();
    let repository = small(lab, "by-name");
    for (name, wrong) in
        [("no-version", "dpu-render"), ("other-version", "dpu-render-v0.0.9"), ("no-plugin", "dpu-rendr")]
    {
        let spec = Spec::new(name, source(&repository.url(), "dpu/sites/lab1", wrong, &destination("green")));
        let error = Application::create(lab, &spec).wait_error();
        let expected =
            format!("could not find cmp-server plugin with name \"{wrong}\" supporting the given repository");
        assert!(error.starts_with(BEFORE) && error.contains(&expected), "{error}");
    }
    let spec = Spec::new("by-name", source(&repository.url(), "dpu/sites/lab1", &plugin(), &destination("green")));
    let found = Application::create(lab, &spec).wait_compared().unwrap();
    assert_eq!(as_set(&found), rendered(repository.path(), "dpu/sites/lab1", "green"));
}

#[test]
#[ignore = "needs the programs and the network of the lab: make e2e"]
fn the_form_shows_the_parameters() {
    let lab = lab();
    let repository = small(lab, "parameters");
    let details = lab.argo.app_details(&source(&repository.url(), "dpu/sites/lab1", &plugin(), &json!([]))).unwrap();
    let announced = details["plugin"]["parametersAnnouncement"].as_array().unwrap_or_else(|| panic!("{details}"));
    let names: Vec<&Value> = announced.iter().map(|one| &one["name"]).collect();
    assert_eq!(names, ["destination", "site", "vars"]);
    assert_eq!(announced[0]["required"], true);
    assert_eq!(announced[1]["string"], "dpu/sites/lab1");
    assert_eq!(announced[2]["map"], json!({"mode": "slow", "mtu": "1500", "tag": "007"}));

    // What cannot be announced says why, in the words of the program.
    let details = lab.argo.app_details(&source(&repository.url(), "dpu/sites/bad", &plugin(), &json!([])));
    assert!(details.is_ok(), "a site with errors in its objects has parameters all the same: {details:?}");
    let said = lab.argo.app_details(&source(&repository.url(), "dpu", &plugin(), &json!([]))).unwrap().to_string();
    assert!(said.contains("`dpu` holds no `site.yaml`"), "{said}");
}

#[test]
#[ignore = "needs the programs and the network of the lab: make e2e"]
fn the_annotation_narrows_what_is_handed_over() {
    const PATHS: &str = "argocd.argoproj.io/manifest-generate-paths";
    let lab = lab();
    let repository = small(lab, "narrowed");
    let handed = |name: &str, paths: Option<&str>| {
        let mut spec = Spec::new(name, source(&repository.url(), "dpu/sites/lab1", "observed", &destination("green")));
        spec.annotations.extend(paths.map(|paths| (PATHS, paths.to_owned())));
        let answer = Application::create(lab, &spec).wait_compared();
        let files = fs::read_to_string(lab.argo.record().join(format!("{name}.files"))).unwrap();
        let files: BTreeSet<String> = files.lines().map(str::to_owned).collect();
        (answer, files)
    };

    let (whole, files) = handed("handed-everything", None);
    assert_eq!(as_set(&whole.unwrap()), rendered(repository.path(), "dpu/sites/lab1", "green"));
    assert!(files.contains("./shared/shared.yaml") && files.contains("./apps/lab1/about.txt"), "{files:?}");
    assert!(!files.iter().any(|file| file.starts_with("./.git/")), "{files:?}");

    let (narrowed, files) = handed("handed-common", Some("/dpu/base;."));
    assert_eq!(as_set(&narrowed.unwrap()), rendered(repository.path(), "dpu/sites/lab1", "green"));
    assert!(files.contains("./base/fabric.yaml") && files.contains("./sites/lab1/site.yaml"), "{files:?}");
    assert!(!files.iter().any(|file| file.contains("shared")), "{files:?}");

    // Argo CD takes the blank for the beginning of a path below the site.
    let (too_little, files) = handed("handed-blank", Some(".; /dpu/base"));
    let expected = "error[layer-missing]: the layer `dpu/base` cannot be read: is not below `dpu/sites/lab1`";
    assert!(too_little.as_ref().is_err_and(|error| error.contains(expected)), "{too_little:?}");
    assert_eq!(files, BTreeSet::from(["./site.yaml".to_owned()]));
}

#[test]
#[ignore = "needs the programs and the network of the lab: make e2e"]
fn an_error_is_shown_as_the_program_says_it() {
    let lab = lab();
    let repository = small(lab, "errors");
    let spec = Spec::new("errors", source(&repository.url(), "dpu/sites/bad", &plugin(), &destination("blue")));
    let application = Application::create(lab, &spec);
    let error = application.wait_error();
    let expected = format!(
        "{BEFORE}CMP processing failed for application \"errors\": error generating manifests in cmp: rpc error: \
         code = Unknown desc = error generating manifests: `dpu-render plugin generate` failed exit status 1: \
         error[undefined-variable]: the variable `mtuu` is not set (dpu/sites/bad/own/typo.yaml:5:8); \
         did you mean `mtu`?; and 1 more error\n --> dpu/sites/bad/own/typo.yaml:5:8\n"
    );
    assert!(error.starts_with(&expected), "{error}\n\nexpected:\n{expected}");
    assert_eq!(application.status()["sync"]["status"], "Unknown");

    // The commit that repairs it is enough.
    repository.edit("dpu/sites/bad/own/typo.yaml", "mtu: ${{ vars.mtuu }}", "mtu: is ${{ vars.mtu }}");
    repository.edit("dpu/sites/bad/site.yaml", "dpf: v24.10", "dpf: v24.10\n  vars: {vip: 192.0.2.7}");
    repository.commit("repair");
    application.refresh("normal");
    application.wait("no error", 30, |status| crate::application::error(status).is_none());
    assert_eq!(as_set(&application.manifests()), rendered(repository.path(), "dpu/sites/bad", "blue"));
}

#[test]
#[ignore = "needs the programs and the network of the lab: make e2e"]
fn links_out_of_the_repository_are_refused() {
    let lab = lab();
    let repository = small(lab, "links");
    let source = source(&repository.url(), "dpu/sites/lab1", &plugin(), &destination("green"));

    // Within the repository, but out of what is handed over.
    repository.link("dpu/sites/lab1/shared.yaml", "../../../shared/shared.yaml");
    repository.commit("a link out of the site's folder");
    let mut spec = Spec::new("link-narrowed", source.clone());
    spec.annotations.insert("argocd.argoproj.io/manifest-generate-paths", "/dpu/base;.".to_owned());
    let error = Application::create(lab, &spec).wait_error();
    assert!(error.contains("illegal filepath in symlink"), "{error}");

    // Argo CD comes before the plugin, and refuses the repository whatever is asked of it.
    repository.link("docs/passwd", "/etc/passwd");
    repository.commit("an absolute link");
    let error = Application::create(lab, &Spec::new("link-absolute", source)).wait_error();
    assert!(error.contains("repository contains out-of-bounds symlinks. file: docs/passwd"), "{error}");
}

/// The processes of the slow plugin, once they are there.
fn slow(lab: &'static Lab, application: &str) -> Vec<String> {
    let record = lab.argo.record().join(format!("{application}.pids"));
    let pids = wait::until(
        "the slow plugin to run",
        30,
        || lab.argo.tails(),
        || fs::read_to_string(&record).map_err(|error| error.to_string()),
    );
    pids.split_whitespace().map(str::to_owned).collect()
}

fn wait_dead(lab: &'static Lab, pids: &[String]) {
    wait::until(
        "the plugin's processes to end",
        20,
        || lab.argo.tails(),
        || {
            let alive: Vec<&String> =
                pids.iter().filter(|pid| Path::new("/proc").join(pid).join("exe").exists()).collect();
            if alive.is_empty() { Ok(()) } else { Err(format!("{alive:?} run")) }
        },
    );
}

#[test]
#[ignore = "needs the programs and the network of the lab: make e2e"]
fn a_plugin_that_takes_too_long_is_killed() {
    let lab = lab();
    let repository = small(lab, "deadline");
    let spec = Spec::new("deadline", source(&repository.url(), "dpu/sites/lab1", "slow", &json!([])));
    let application = Application::create(lab, &spec);
    let pids = slow(lab, "deadline");
    assert_eq!(pids.len(), 2);
    let error =
        application.wait("a ComparisonError", 3 * DEADLINE, |status| crate::application::error(status).is_some());
    let error = crate::application::error(&error).unwrap();
    assert!(error.contains("deadline"), "{error}");
    wait_dead(lab, &pids);
}

#[test]
#[ignore = "needs the programs and the network of the lab: make e2e"]
fn a_plugin_nobody_waits_for_is_killed() {
    let lab = lab();
    let repository = small(lab, "cancelled");
    let mut spec = Spec::new("cancelled", source(&repository.url(), "dpu/sites/lab1", "slow", &json!([])));
    // Only the client below asks for it.
    spec.annotations.insert("argocd.argoproj.io/skip-reconcile", "true".to_owned());
    spec.labels.insert("e2e", "cancelled");
    Application::create(lab, &spec);
    let out = lab.argo.record().join("cancelled.json");
    let mut client = lab.argo.reconcile("e2e=cancelled", &out);
    let mut client = client.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let pids = slow(lab, "cancelled");
    client.kill().unwrap();
    client.wait().unwrap();
    wait_dead(lab, &pids);
}
