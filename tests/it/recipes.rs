//! The recipes of `plugin/ci`: YAML that the two services read, and shell that runs on a change of a site.

use std::fs;
use std::path::Path;
use std::process::Command;

use dpu_render::node::Node;
use serde_json::{Value as Json, json};
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
        let forge = root().join("tests/forge").display().to_string();
        let path = format!("{forge}:{program}:{}", std::env::var("PATH").unwrap());
        let mut command = Command::new("bash");
        command.args(["-e", "-o", "pipefail", "-c", script]).current_dir(self.folder.path().join(folder)).env_clear();
        command.env("PATH", path).env("HOME", self.folder.path()).env("FORGE", self.folder.path());
        for name in ["AUTHOR", "COMMITTER"] {
            command
                .env(format!("GIT_{name}_NAME"), "somebody")
                .env(format!("GIT_{name}_EMAIL"), "somebody@example.net");
        }
        Said::of(command.envs(variables.iter().copied()).output().unwrap())
    }
}

/// What a service knows of a change, as `tests/forge` plays it.
struct Forge<'c> {
    change: &'c Change,
}

impl<'c> Forge<'c> {
    /// With comments of others: their `author`, and the mark of ours in the second of them.
    fn new(change: &'c Change, author: &Json) -> Self {
        assert!(Command::new("jq").arg("--version").output().is_ok(), "no jq: apt-get install jq");
        let others = (0..120).map(|at| {
            let body = if at == 1 { "<!-- dpu-render diff -->\nnot ours" } else { "well done" };
            let mut comment = json!({"id": at, "body": body});
            comment.as_object_mut().unwrap().extend(author.as_object().unwrap().clone());
            comment
        });
        fs::write(change.folder.path().join("comments.json"), Json::from_iter(others).to_string()).unwrap();
        Self { change }
    }

    /// The comments that are not of others; those are as they were.
    fn own(&self) -> Vec<String> {
        let text = fs::read_to_string(self.change.folder.path().join("comments.json")).unwrap();
        let all: Vec<Json> = serde_json::from_str(&text).unwrap();
        let body = |comment: &Json| comment["body"].as_str().unwrap().to_owned();
        assert!(body(&all[1]).ends_with("not ours") && body(&all[119]) == "well done");
        all[120..].iter().map(body).collect()
    }

    /// What was called since the last time.
    fn calls(&self) -> Vec<String> {
        let path = self.change.folder.path().join("calls");
        let calls = fs::read_to_string(&path).unwrap_or_default();
        let _ = fs::remove_file(path);
        calls.lines().map(str::to_owned).collect()
    }

    /// Nobody may write.
    fn refuses(&self) {
        fs::write(self.change.folder.path().join("refuses"), "").unwrap();
    }
}

/// Runs a recipe on one change after the other: the first comment is written, and then it is that one which is updated.
/// `read` and `write` are the calls that find and that write it; `report` is where the whole report is put.
fn tells_what_changes(forge: &Forge<'_>, run: &dyn Fn() -> Said, report: &Path, read: &[&str], write: [&str; 2]) {
    let calls = |write: Option<&str>| read.iter().copied().chain(write).map(str::to_owned).collect::<Vec<_>>();
    let edit = |script: &str| {
        let said = forge.change.shell("clone", &format!("{script} && git commit -qam more"), &[]);
        assert_eq!(said.code, Some(0), "{}", said.err);
    };
    // What differs in no object: nobody is told.
    edit("git revert -n HEAD");
    let said = run();
    assert_eq!((said.code, forge.own().len()), (Some(0), 0), "{}", said.err);
    assert_eq!(forge.calls(), calls(None));
    // A value of two Deployments.
    edit("git revert -n HEAD");
    let said = run();
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert_eq!(forge.calls(), calls(Some(write[0])));
    let [first] = &forge.own()[..] else { panic!("{:?}", forge.own()) };
    assert!(first.starts_with("<!-- dpu-render diff -->\n### dpu-render: 2 objects changed"), "{first}");
    assert!(first.contains("- spec.replicas: 1\n+ spec.replicas: 2\n") && !first.contains("lab2"), "{first}");
    let whole: Json = serde_json::from_str(&fs::read_to_string(report.join("report.json")).unwrap()).unwrap();
    assert_eq!(whole["objects"]["changed"], 2);
    // What is destructive fails until somebody acknowledges it.
    edit("sed -i 's/testReplicas: 2 /testReplicas: 3 /' sites/lab1/site.yaml && git rm -qr sites/lab2");
    let said = run();
    assert_eq!(said.code, Some(1), "{}", said.err);
    assert!(said.err.contains("nobody acknowledges `emptied`"), "{}", said.err);
    assert_eq!(forge.calls().last().map(String::as_str), Some(write[1]));
    let [second] = &forge.own()[..] else { panic!("{:?}", forge.own()) };
    assert!(second.contains("+ spec.replicas: 3\n") && second.contains("**Not acknowledged.**"), "{second}");
    // Where no comment can be written, the answer is the same.
    forge.refuses();
    let said = run();
    assert_eq!(said.code, Some(1), "{}", said.err);
    assert!(said.out.contains("could not be posted"), "{}", said.out);
    assert_eq!(&forge.own(), std::slice::from_ref(second));
}

#[test]
fn github_tells_what_changes_and_refuses_what_is_wrong() {
    let workflow = recipe("github.yaml");
    let steps = workflow.items(&["jobs", "sites", "steps"]);
    let run = |name: &str| {
        let step = steps.iter().find(|step| step.text(&["name"]).is_some_and(|one| one.starts_with(name))).unwrap();
        step.text(&["run"]).unwrap()
    };
    let foreign: Vec<&str> = steps.iter().filter_map(|step| step.text(&["uses"])).collect();
    assert_eq!(foreign, ["actions/checkout@v4", "actions/upload-artifact@v4"]);
    let tag = format!("v{}", env!("CARGO_PKG_VERSION"));
    assert_eq!(workflow.text(&["env", "DPU_RENDER_TAG"]), Some(&*tag));
    let gate = workflow.text(&["env", "DPU_RENDER_FAIL_ON"]).unwrap();
    let change = Change::new();
    let forge = Forge::new(&change, &json!({"user": {"login": "somebody"}}));
    let temp = change.folder.path().join("temp");
    fs::create_dir(&temp).unwrap();
    let text = temp.display().to_string();
    let summary = change.folder.path().join("summary").display().to_string();
    let variables = [
        ("RUNNER_TEMP", &*text),
        ("GITHUB_STEP_SUMMARY", &*summary),
        ("GITHUB_REPOSITORY", "dpu/sites"),
        ("DPU_RENDER_FAIL_ON", gate),
        ("BASE", "main"),
        ("NUMBER", "5"),
        ("GH_TOKEN", "made-up"),
    ];
    assert_eq!(change.shell("clone", run("Validate"), &variables).code, Some(0));
    let tell = || change.shell("clone", run("Tell"), &variables);
    let read = ["GET repos/dpu/sites/issues/5/comments?per_page=100"];
    let write = ["POST repos/dpu/sites/issues/5/comments", "PATCH repos/dpu/sites/issues/comments/220"];
    tells_what_changes(&forge, &tell, &temp.join("report"), &read, write);
    assert!(fs::read_to_string(&summary).unwrap().contains("2 objects changed"));
    spoil(&change);
    let said = change.shell("clone", run("Validate"), &variables);
    assert_eq!(said.code, Some(1), "{}", said.out);
    assert!(said.out.contains("sites/lab1/site.yaml:"), "{}", said.out);
}

#[test]
fn gitlab_tells_what_changes_and_refuses_what_is_wrong() {
    let job = recipe("gitlab.yaml");
    let script: Vec<&str> = job.items(&["sites", "script"]).iter().filter_map(Node::as_str).collect();
    let script = script.join("\n");
    let tag = format!("v{}", env!("CARGO_PKG_VERSION"));
    assert_eq!(job.text(&["sites", "variables", "DPU_RENDER_TAG"]), Some(&*tag));
    let gate = job.text(&["sites", "variables", "DPU_RENDER_FAIL_ON"]).unwrap();
    let change = Change::new();
    let forge = Forge::new(&change, &json!({"author": {"id": 8}}));
    let project = change.folder.path().join("clone").display().to_string();
    let variables = [
        ("CI_PROJECT_DIR", &*project),
        ("CI_MERGE_REQUEST_TARGET_BRANCH_NAME", "main"),
        ("CI_API_V4_URL", "https://git.example.net/api/v4"),
        ("CI_MERGE_REQUEST_PROJECT_ID", "3"),
        ("CI_MERGE_REQUEST_IID", "5"),
        ("DPU_RENDER_FAIL_ON", gate),
        ("DPU_RENDER_TOKEN", "made-up"),
    ];
    let without: Vec<_> = variables.iter().copied().filter(|(name, _)| *name != "DPU_RENDER_TOKEN").collect();
    let said = change.shell("clone", &script, &without);
    assert_eq!((said.code, forge.calls().len()), (Some(0), 0), "{}", said.err);
    assert!(said.out.contains("DPU_RENDER_TOKEN is not set"), "{}", said.out);
    let notes = "https://git.example.net/api/v4/projects/3/merge_requests/5/notes";
    let page = |page: u32| format!("GET {notes}?sort=asc&order_by=created_at&per_page=100&page={page}");
    let read = ["GET https://git.example.net/api/v4/user".to_owned(), page(1), page(2)];
    let read: Vec<&str> = read.iter().map(String::as_str).collect();
    let write = [format!("POST {notes}"), format!("PUT {notes}/220")];
    let report = change.folder.path().join("clone/report");
    let tell = || change.shell("clone", &script, &variables);
    tells_what_changes(&forge, &tell, &report, &read, [&write[0], &write[1]]);
    spoil(&change);
    let said = change.shell("clone", &script, &variables);
    assert_eq!(said.code, Some(1), "{}", said.out);
}

fn spoil(change: &Change) {
    let said = change.shell("clone", "sed -i 's/^  inventory:/  inventroy:/' sites/lab1/site.yaml", &[]);
    assert_eq!(said.code, Some(0), "{}", said.err);
}
