//! `dpu-render plugin`, called as Argo CD's cmp-server calls it: in a fresh folder with a part of the repository, with its
//! variables and nothing else, and no right to write.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Permissions};
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use dpu_render::node::Node;
use dpu_render::render::{Options, Repository};
use dpu_render::source::SourceTree;
use dpu_render::yaml::read;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::golden::tree;
use crate::program::{Said, folder, program, run};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// A part of a repository, as Argo CD unpacks it.
struct Packed {
    /// Holds it; its name must not be told.
    tmp: TempDir,
    root: PathBuf,
    /// Which folder of the repository it is.
    folder: String,
}

impl Packed {
    fn of(files: &BTreeMap<String, String>, folder: &str) -> Self {
        let tmp = TempDir::new().unwrap();
        let root = tmp.path().join("_cmp_server/4ff2fd3c-5d6b-4e5e-9c77-d1f4b1e58b3b");
        fs::create_dir_all(&root).unwrap();
        for (path, text) in files {
            let Some(path) = Path::new(path).strip_prefix(folder).ok() else { continue };
            fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
            fs::write(root.join(path), text).unwrap();
        }
        let packed = Self { tmp, root, folder: folder.to_owned() };
        packed.permit(false);
        packed
    }

    fn permit(&self, writing: bool) {
        for entry in walkdir::WalkDir::new(&self.root).contents_first(!writing).into_iter().map(Result::unwrap) {
            let mode = match (entry.file_type().is_dir(), writing) {
                (true, true) => 0o755,
                (true, false) => 0o555,
                (false, _) => 0o444,
            };
            fs::set_permissions(entry.path(), Permissions::from_mode(mode)).unwrap();
        }
    }

    /// The command as Argo CD runs it for the Application at `path`.
    fn command(&self, verb: &str, path: &str, parameters: Option<&str>, env: &[(String, String)]) -> Command {
        let inside = Path::new(path).strip_prefix(&self.folder).unwrap_or(Path::new(path));
        let mut command = program(&self.root.join(inside));
        command.args(["plugin", verb]).stdin(Stdio::null());
        command.envs([
            ("ARGOCD_APP_NAME", "argocd_lab1"),
            ("ARGOCD_APP_NAMESPACE", "dpf-operator-system"),
            ("ARGOCD_APP_PROJECT_NAME", "default"),
            ("ARGOCD_APP_REVISION", "0123456789abcdef0123456789abcdef01234567"),
            ("ARGOCD_APP_REVISION_SHORT", "0123456"),
            ("ARGOCD_APP_REVISION_SHORT_8", "01234567"),
            ("ARGOCD_APP_SOURCE_REPO_URL", "https://git.example.net/dpu/sites.git"),
            ("ARGOCD_APP_SOURCE_PATH", path),
            ("ARGOCD_APP_SOURCE_TARGET_REVISION", "refs/heads/main"),
            ("KUBE_VERSION", ""),
            ("KUBE_API_VERSIONS", ""),
            // Repeats a parameter, or another one whose name collides: not read.
            ("PARAM_DESTINATION", "blue"),
        ]);
        command.envs(env.iter().map(|(name, value)| (format!("ARGOCD_ENV_{name}"), value)));
        if let Some(parameters) = parameters {
            command.env("ARGOCD_APP_PARAMETERS", parameters);
        }
        command
    }
}

impl Drop for Packed {
    fn drop(&mut self) {
        self.permit(true);
    }
}

fn repository() -> BTreeMap<String, String> {
    tree(&Path::new(ROOT).join("tests/plugin/repository"))
}

fn destination(name: &str) -> String {
    json!([{"name": "destination", "string": name}]).to_string()
}

/// The cases of `tests/plugin/cases.yaml`.
fn cases() -> Vec<Node> {
    let text = fs::read_to_string(Path::new(ROOT).join("tests/plugin/cases.yaml")).unwrap();
    let none = BTreeMap::new();
    let sources = SourceTree::new(&none);
    let (id, source) = sources.add("cases.yaml", text);
    let mut faults = Vec::new();
    let documents = read::documents(&source, id, &mut faults);
    assert!(faults.is_empty(), "{faults:?}");
    documents[0].as_list().unwrap().to_vec()
}

fn parameters(case: &Node) -> Option<String> {
    let parameters = case.get("parameters")?;
    Some(parameters.as_str().map_or_else(|| parameters.to_json().to_string(), str::to_owned))
}

#[test]
fn every_case() {
    let files = repository();
    let mut wrong = Vec::new();
    for case in cases() {
        let text = |key: &str, default: &'static str| case.text(&[key]).unwrap_or(default).to_owned();
        let env: Vec<(String, String)> = case
            .fields(&["env"])
            .iter()
            .map(|entry| (entry.key.text.to_string(), entry.value.as_str().unwrap().to_owned()))
            .collect();
        let (verb, path) = (text("verb", "generate"), text("path", "dpu/sites/lab1"));
        let call = || {
            let packed = Packed::of(&files, &text("packed", ""));
            let before = tree(&packed.root);
            let said = Said::of(packed.command(&verb, &path, parameters(&case).as_deref(), &env).output().unwrap());
            assert_eq!(tree(&packed.root), before);
            let name = packed.tmp.path().to_str().unwrap();
            assert!(!said.err.contains(name) && !said.out.contains(name), "{said:?}");
            said
        };
        let said = call();
        let err = text("err", "");
        let as_expected = match err.strip_suffix('…') {
            Some(beginning) => said.err.starts_with(beginning),
            // A block ends with an empty line, which a block of YAML does not show well.
            None => said.err.trim_end_matches('\n') == err.trim_end_matches('\n'),
        };
        let code = case.get("code").and_then(Node::as_i64).unwrap_or(0);
        let out = case.text(&["out"]).is_none_or(|out| out == said.out);
        if !(as_expected && out && said.code.map(i64::from) == Some(code)) {
            wrong.push(format!("{}: {}\n{}{}", text("name", ""), said.code.unwrap_or(-1), said.out, said.err));
        }
        assert_eq!(call(), said, "in a folder of another name");
        assert!(said.err.len() <= 4 << 10 && !said.err.starts_with('\n'));
        assert!(said.code == Some(0) || said.out.is_empty(), "{said:?}");
        assert!(said.code != Some(0) || !said.out.is_empty() || said.err.contains("is empty"), "{said:?}");
        if verb == "generate" {
            for line in said.out.lines() {
                assert!(serde_json::from_str::<Value>(line).unwrap()["kind"].is_string());
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn names_of_cases_are_their_own() {
    let cases = cases();
    let names: BTreeSet<&str> = cases.iter().map(|case| case.text(&["name"]).unwrap()).collect();
    assert_eq!(names.len(), cases.len());
}

/// The sites of this repository, with nothing there but the files that their render reads.
#[test]
fn own_sites_are_what_render_makes_of_them() {
    let root = Path::new(ROOT);
    let mut files = BTreeMap::new();
    for folder in ["base", "overlays", "sites"] {
        files.extend(tree(&root.join(folder)).into_iter().map(|(path, text)| (format!("{folder}/{path}"), text)));
    }
    for site in ["sites/lab1", "sites/lab1-dpuset", "sites/lab2"] {
        let repository = Repository::new(&files);
        let rendered = repository.render(site, &Options::default()).site.unwrap();
        let read = repository.tree().paths();
        let read = files.iter().filter(|(path, _)| read.contains(path));
        let packed = Packed::of(&read.map(|(path, text)| (path.clone(), text.clone())).collect(), "");
        for one in &rendered.destinations {
            let name = one.destination.to_string();
            let expected = run(root, &["--quiet", "--format", "json", "--destination", &name, site]);
            let said = Said::of(packed.command("generate", site, Some(&destination(&name)), &[]).output().unwrap());
            assert_eq!((said.code, said.out), (Some(0), expected.out), "{site} {name}: {}", said.err);
        }
    }
}

#[test]
fn parameters_are_announced_as_argo_cd_reads_them() {
    let packed = Packed::of(&repository(), "");
    let said = Said::of(packed.command("parameters", "dpu/sites/lab1", None, &[]).output().unwrap());
    assert_eq!((said.code, said.err.as_str(), said.out.lines().count()), (Some(0), "", 1));
    let announced: Value = serde_json::from_str(&said.out).unwrap();
    let announced = announced.as_array().unwrap();
    for one in announced {
        for (key, value) in one.as_object().unwrap() {
            let fits = match &**key {
                "name" | "title" | "tooltip" | "itemType" | "string" => value.is_string(),
                "required" => value.is_boolean(),
                "collectionType" => ["", "string", "array", "map"].map(Value::from).contains(value),
                "array" => value.as_array().unwrap().iter().all(Value::is_string),
                "map" => value.as_object().unwrap().values().all(Value::is_string),
                _ => false,
            };
            assert!(fits, "{key}: {value}");
        }
    }
    let names: Vec<&Value> = announced.iter().map(|one| &one["name"]).collect();
    assert_eq!(names, ["destination", "site", "vars"]);
    assert_eq!(announced[0]["required"], true);
    assert!(announced[0]["tooltip"].as_str().unwrap().ends_with("the site lab1 has `blue`, `green`, `management`"));
    assert_eq!(announced[1]["string"], "dpu/sites/lab1");
    // What a cluster sets has no value that is the same everywhere.
    assert_eq!(announced[2]["map"], json!({"mode": "slow", "mtu": "1500", "tag": "007"}));
    let declared = "mode (string, \"slow\" or \"fast\"); mtu (integer, 1280 to 9216): MTU of the fabric; tag (string); \
                    vip (string): Set per cluster";
    assert!(announced[2]["tooltip"].as_str().unwrap().ends_with(declared), "{}", announced[2]["tooltip"]);

    // To keep in the Application what the form shows changes nothing.
    for name in ["management", "blue", "green"] {
        let kept = json!([
            {"name": "destination", "string": name},
            {"name": "site", "string": announced[1]["string"]},
            {"name": "vars", "map": announced[2]["map"]},
        ]);
        let generate = |parameters: &str| {
            let mut command = packed.command("generate", "dpu/sites/lab1", Some(parameters), &[]);
            Said::of(command.output().unwrap())
        };
        assert_eq!(generate(&kept.to_string()), generate(&destination(name)));
    }
}

#[test]
fn many_errors_are_cut_short_after_a_complete_first_line() {
    let mut files = repository();
    let mut many = String::new();
    for index in 0..300 {
        many += &format!(
            "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: c{index}, namespace: ns}}\ndata: {{x: \"${{{{ vars.none{index} }}}}\"}}\n"
        );
    }
    files.insert("dpu/sites/lab1/many.yaml".to_owned(), many);
    let packed = Packed::of(&files, "dpu");
    let said =
        Said::of(packed.command("generate", "dpu/sites/lab1", Some(&destination("blue")), &[]).output().unwrap());
    assert_eq!((said.code, said.out.as_str()), (Some(1), ""));
    let first = said.err.lines().next().unwrap();
    assert!(
        first.starts_with("error[undefined-variable]: the variable `none0` is not set (dpu/sites/lab1/many.yaml:5:")
    );
    assert!(first.ends_with("more errors"), "{first}");
    assert!(said.err.ends_with("more are not shown; `dpu-render validate` tells all\n"), "{}", said.err);
    assert!(said.err.len() <= 4 << 10, "{}", said.err.len());
}

#[test]
fn a_link_out_of_the_repository_is_refused() {
    let there =
        folder(&[("secret.yaml", "kind: Secret\n"), ("repo/dpu/sites/lab1/link.yaml", "-> ../../../../secret.yaml")]);
    for (path, text) in repository() {
        let path = there.path().join("repo").join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let mut command = program(&there.path().join("repo/dpu/sites/lab1"));
    command.args(["plugin", "generate"]).env("ARGOCD_APP_SOURCE_PATH", "dpu/sites/lab1");
    let said = Said::of(command.env("ARGOCD_APP_PARAMETERS", destination("blue")).output().unwrap());
    assert_eq!(said.code, Some(1));
    assert!(
        said.err.starts_with("error[file-unreadable]: `dpu/sites/lab1/link.yaml` leads out of the repository"),
        "{}",
        said.err
    );
}

#[test]
fn by_hand_it_says_what_is_missing() {
    let here = TempDir::new().unwrap();
    let said = run(here.path(), &["plugin", "generate"]);
    let expected = "error: `ARGOCD_APP_SOURCE_PATH` is not set: Argo CD calls this, in the folder of an application\n";
    assert_eq!((said.code, said.out.as_str(), said.err.as_str()), (Some(2), "", expected));
}

#[test]
fn sigterm_ends_it_at_once() {
    let mut files = repository();
    let object = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: large, namespace: ns}\ndata: {x: ";
    files.insert("dpu/sites/lab1/large.yaml".to_owned(), format!("{object}{}}}\n", "x".repeat(1 << 20)));
    let packed = Packed::of(&files, "");
    let mut command = packed.command("generate", "dpu/sites/lab1", Some(&destination("management")), &[]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    // It is writing, and nobody reads on.
    let mut first = [0];
    child.stdout.as_mut().unwrap().read_exact(&mut first).unwrap();
    assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().signal(), Some(15));
}
