//! The recipes of `plugin/ci`: YAML that the two services read, and shell that runs on a change of a site.

use std::fs;
use std::path::Path;
use std::process::Command;

use dpu_render::node::Node;
use tempfile::TempDir;

use crate::golden::tree;
use crate::health_cases::document;
use crate::program::Said;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn recipe(name: &str) -> Node {
    document(&root().join("plugin/ci").join(name))
}

/// A clone of a repository of this checkout's sites, with a change of a variable on a branch.
struct Change {
    folder: TempDir,
}

impl Change {
    fn new() -> Self {
        let change = Self { folder: TempDir::new().unwrap() };
        let origin = change.folder.path().join("origin");
        for folder in ["base", "overlays", "sites"] {
            for (path, text) in tree(&root().join(folder)) {
                let path = origin.join(folder).join(path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, text).unwrap();
            }
        }
        let script =
            "git init -q -b main . && git add . && git commit -qm base && git clone -q \"$PWD\" ../clone && cd ../clone
            git checkout -q -b change && grep -q 'testReplicas: 1 ' sites/lab1/site.yaml
            sed -i 's/testReplicas: 1 /testReplicas: 2 /' sites/lab1/site.yaml && git commit -qam change";
        let said = change.shell("origin", script, &[]);
        assert_eq!(said.code, Some(0), "{}", said.err);
        change
    }

    /// What bash says in a folder, as the services call it: the first command that fails ends it.
    fn shell(&self, folder: &str, script: &str, variables: &[(&str, &str)]) -> Said {
        let program = Path::new(env!("CARGO_BIN_EXE_dpu-render")).parent().unwrap().display().to_string();
        let path = format!("{program}:{}", std::env::var("PATH").unwrap());
        let mut command = Command::new("bash");
        command.args(["-e", "-o", "pipefail", "-c", script]).current_dir(self.folder.path().join(folder)).env_clear();
        command.env("PATH", path).env("HOME", self.folder.path());
        for name in ["AUTHOR", "COMMITTER"] {
            command
                .env(format!("GIT_{name}_NAME"), "somebody")
                .env(format!("GIT_{name}_EMAIL"), "somebody@example.net");
        }
        Said::of(command.envs(variables.iter().copied()).output().unwrap())
    }
}

/// The one line that changed, of the two Deployments that hold it.
fn shows_the_change(said: &Said) {
    assert_eq!(said.code, Some(0), "{}", said.err);
    for line in ["-  replicas: 1", "+  replicas: 2"] {
        assert!(said.out.lines().any(|one| one.starts_with(line)), "no line {line}:\n{}", said.out);
    }
    assert!(said.out.contains("lab1/management/deployment-"), "{}", said.out);
    assert!(!said.out.contains("after/lab2"), "{}", said.out);
}

#[test]
fn github_shows_what_changes_and_refuses_what_is_wrong() {
    let workflow = recipe("github.yaml");
    let steps = workflow.items(&["jobs", "sites", "steps"]);
    let run = |name: &str| {
        let step = steps.iter().find(|step| step.text(&["name"]).is_some_and(|one| one.starts_with(name))).unwrap();
        step.text(&["run"]).unwrap()
    };
    let foreign: Vec<&str> = steps.iter().filter_map(|step| step.text(&["uses"])).collect();
    assert_eq!(foreign, ["actions/checkout@v4"]);
    let tag = format!("v{}", env!("CARGO_PKG_VERSION"));
    assert_eq!(workflow.text(&["env", "DPU_RENDER_TAG"]), Some(&*tag));
    let change = Change::new();
    let temp = change.folder.path().join("temp").display().to_string();
    fs::create_dir(&temp).unwrap();
    let summary = change.folder.path().join("summary").display().to_string();
    let variables = [("RUNNER_TEMP", &*temp), ("GITHUB_STEP_SUMMARY", &*summary), ("BASE", "main")];
    assert_eq!(change.shell("clone", run("Validate"), &variables).code, Some(0));
    shows_the_change(&change.shell("clone", run("Show"), &variables));
    assert!(fs::read_to_string(&summary).unwrap().contains("2 files changed"));
    spoil(&change);
    let said = change.shell("clone", run("Validate"), &variables);
    assert_eq!(said.code, Some(1), "{}", said.out);
    assert!(said.out.contains("sites/lab1/site.yaml:"), "{}", said.out);
}

#[test]
fn gitlab_shows_what_changes_and_refuses_what_is_wrong() {
    let job = recipe("gitlab.yaml");
    let script: Vec<&str> = job.items(&["sites", "script"]).iter().filter_map(Node::as_str).collect();
    let script = script.join("\n");
    let tag = format!("v{}", env!("CARGO_PKG_VERSION"));
    assert_eq!(job.text(&["sites", "variables", "DPU_RENDER_TAG"]), Some(&*tag));
    let change = Change::new();
    let project = change.folder.path().join("clone").display().to_string();
    let variables = [("CI_PROJECT_DIR", &*project), ("CI_MERGE_REQUEST_TARGET_BRANCH_NAME", "main")];
    shows_the_change(&change.shell("clone", &script, &variables));
    spoil(&change);
    let said = change.shell("clone", &script, &variables);
    assert_eq!(said.code, Some(1), "{}", said.out);
}

fn spoil(change: &Change) {
    let said = change.shell("clone", "sed -i 's/^  inventory:/  inventroy:/' sites/lab1/site.yaml", &[]);
    assert_eq!(said.code, Some(0), "{}", said.err);
}
