//! `dpu-render plugin`, called as Argo CD calls it: by a double of Argo CD, and with variables that no Application can give.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Permissions};
use std::io::Read as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use dpu_render::render::{Options, Repository};
use dpu_render::source::{FileError, Files};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::double::{Application, ArgoCd, Release};
use crate::golden::tree;
use crate::plugin_cases::{Case, Expected, Parameters, Verb, cases};
use crate::program::{Said, folder, program, run};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const GENERATE: &str = "dpu-render plugin generate";

/// Argo CD with our plugin, as its image has it.
fn argo_cd() -> ArgoCd {
    let plugin = fs::read_to_string(Path::new(ROOT).join("plugin/plugin.yaml")).unwrap();
    ArgoCd::new(&plugin, Path::new(env!("CARGO_BIN_EXE_dpu-render")).parent().unwrap())
}

fn application(path: &str, paths: Option<&str>, parameters: Value) -> Application {
    Application {
        name: "lab1".to_owned(),
        path: path.to_owned(),
        paths: paths.map(str::to_owned),
        plugin: json!({"name": argo_cd().plugin_name(), "parameters": parameters}),
    }
}

fn destination(name: &str) -> Value {
    json!([{"name": "destination", "string": name}])
}

/// The repository of the cases, and what git keeps beside it.
fn checkout(case: &Case) -> TempDir {
    let repository = folder(&[(".git/HEAD", "ref: refs/heads/main\n"), (".git/objects/pack/p.pack", "packed")]);
    case.write_repository(repository.path());
    repository
}

/// The repository of the cases as it is.
fn repository() -> TempDir {
    checkout(cases().iter().find(|case| case.changes.is_empty()).unwrap())
}

/// The program in a folder of that repository, with these variables and nothing else.
fn by_hand(repository: &Path, verb: &str, path: &str, env: &[(&str, &str)]) -> Command {
    let mut command = program(&repository.join(path));
    command.args(["plugin", verb]).stdin(Stdio::null()).env("ARGOCD_APP_SOURCE_PATH", path);
    command.envs(env.iter().copied());
    command
}

/// What a case is answered: the objects, or the error that the Application shows.
fn ask(argo: &ArgoCd, case: &Case, repository: &Path) -> Result<Vec<Value>, String> {
    let application = Application {
        name: case.application(),
        path: case.path.clone(),
        paths: case.paths.clone(),
        plugin: case.source_plugin(&argo.plugin_name()),
    };
    match case.verb {
        Verb::Generate => argo.manifests(repository, &application).map(|manifests| {
            assert_eq!(manifests.repeated, Vec::<String>::new());
            manifests.objects
        }),
        Verb::Parameters => argo.parameters(repository, &application),
    }
}

#[test]
fn every_case_in_argo_cd() {
    let mut wrong = Vec::new();
    for case in cases().iter().filter(|case| !case.only_program) {
        let repository = checkout(case);
        let argo = argo_cd();
        let answer = ask(&argo, case, repository.path());
        let argv = if case.verb == Verb::Generate { GENERATE } else { "dpu-render plugin parameters" };
        let fits = match (case.error(&case.application(), argv), &answer) {
            (Some(error), Err(shown)) => error.fits(shown),
            (None, Ok(objects)) => case.objects().is_none_or(|expected| *objects == expected),
            _ => false,
        };
        let calls = argo.calls();
        let said = match (&case.expected, &calls[..]) {
            (Expected::Said { stdout, stderr }, [call]) => {
                stderr.fits(&call.stderr) && stdout.as_ref().is_none_or(|lines| *lines == call.stdout)
            }
            // What Argo CD refuses we are not asked.
            (Expected::Refused(_), []) | (Expected::Failed { .. }, [_]) => true,
            _ => false,
        };
        if !(fits && said) {
            wrong.push(format!("{}: {answer:?}\n{calls:?}", case.name));
        }
        for call in &calls {
            let told = format!("{}{}", call.stdout, call.stderr);
            assert!(!told.contains("_cmp_server"), "{call:?}");
            assert!(call.stderr.len() <= 4 << 10 && !call.stderr.starts_with('\n'));
            assert!(call.code == Some(0) || call.stdout.is_empty(), "{call:?}");
            assert!(call.code != Some(0) || !call.stdout.is_empty() || call.stderr.contains("is empty"), "{call:?}");
        }
        assert_eq!(ask(&argo, case, repository.path()).ok(), answer.ok(), "{}: in a folder of another name", case.name);
        assert_eq!(fs::read_dir(argo.work()).map_or(0, Iterator::count), 0, "{}: what was unpacked is left", case.name);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// The set of variables of an Argo CD before 2.9, no narrowing, and the Source Hydrator, which knows no cluster.
#[test]
fn every_case_without_narrowing_in_an_older_argo_cd() {
    for case in cases().iter().filter(|case| !case.only_program && case.paths.is_none()) {
        let repository = checkout(case);
        let mut older = argo_cd();
        (older.release, older.kube_version) = (Release::V2_12, "");
        older.exclusions = vec![".git".to_owned()];
        assert_eq!(
            ask(&older, case, repository.path()),
            ask(&argo_cd(), case, repository.path()),
            "{}: in an older Argo CD",
            case.name
        );
        assert!(!older.calls().iter().flat_map(|call| &call.files).any(|file| file.starts_with(".git")));
    }
}

#[test]
fn cases_of_the_program_alone() {
    for case in cases().iter().filter(|case| case.only_program) {
        let repository = checkout(case);
        let parameters = match &case.parameters {
            Parameters::Absent => None,
            Parameters::List(list) => Some(list.to_string()),
            Parameters::Raw(text) => Some(text.clone()),
        };
        let env: Vec<(&str, &str)> = parameters.iter().map(|text| ("ARGOCD_APP_PARAMETERS", text.as_str())).collect();
        let said = Said::of(by_hand(repository.path(), "generate", &case.path, &env).output().unwrap());
        let Expected::Failed { code, stderr } = &case.expected else { panic!("{}: fails", case.name) };
        assert!(said.code == Some(*code) && stderr.fits(&said.err) && said.out.is_empty(), "{}: {said:?}", case.name);
    }
}

#[test]
fn names_of_cases_are_their_own() {
    let cases = cases();
    let names: BTreeSet<&str> = cases.iter().map(|case| &*case.name).collect();
    let applications: BTreeSet<String> = cases.iter().map(Case::application).collect();
    assert_eq!((names.len(), applications.len()), (cases.len(), cases.len()));
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
        let read: Vec<(&str, &str)> =
            files.iter().filter(|(path, _)| read.contains(path)).map(|(path, text)| (&**path, &**text)).collect();
        let packed = folder(&read);
        for one in &rendered.destinations {
            let name = one.destination.to_string();
            let expected = run(root, &["--quiet", "--format", "json", "--destination", &name, site]);
            let argo = argo_cd();
            let manifests = argo.manifests(packed.path(), &application(site, None, destination(&name))).unwrap();
            assert_eq!(argo.calls()[0].stdout, expected.out, "{site} {name}");
            assert_eq!((manifests.objects.len(), manifests.repeated), (expected.out.lines().count(), vec![]));
        }
    }
}

/// Files that remember what they were asked for.
struct Asked {
    files: BTreeMap<String, String>,
    paths: Mutex<BTreeSet<String>>,
}

impl Files for Asked {
    fn list(&self, folder: &str) -> Result<Vec<String>, FileError> {
        self.paths.lock().unwrap().insert(folder.to_owned());
        self.files.list(folder)
    }

    fn read(&self, path: &str) -> Result<Vec<u8>, FileError> {
        self.paths.lock().unwrap().insert(path.to_owned());
        self.files.read(path)
    }
}

/// Nothing but a site and its layers is asked for, found or not.
#[test]
fn only_the_site_and_its_layers_are_looked_at() {
    let files = tree(&Path::new(ROOT).join("tests/plugin/repository"));
    for (site, layers) in [("dpu/sites/lab1", &["dpu/base"][..]), ("dpu/sites/far", &["dpu/base", "shared"])] {
        let asked = Asked { files: files.clone(), paths: Mutex::default() };
        assert!(Repository::new(&asked).render(site, &Options::default()).site.is_some());
        let paths = asked.paths.lock().unwrap();
        let allowed = |path: &String| layers.iter().chain([&site]).any(|folder| Path::new(path).starts_with(folder));
        let others: Vec<&String> = paths.iter().filter(|path| !allowed(path)).collect();
        assert!(others.is_empty() && paths.len() > layers.len(), "{site}: {others:?}");
    }
}

#[test]
fn parameters_are_announced_as_argo_cd_reads_them() {
    let repository = repository();
    let argo = argo_cd();
    let announced = argo.parameters(repository.path(), &application("dpu/sites/lab1", None, json!([]))).unwrap();
    let call = &argo.calls()[0];
    assert_eq!((call.stderr.as_str(), call.stdout.lines().count()), ("", 1));
    for one in &announced {
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
        let generate = |parameters: Value| {
            argo_cd().manifests(repository.path(), &application("dpu/sites/lab1", None, parameters)).unwrap()
        };
        assert_eq!(generate(kept), generate(destination(name)));
    }
}

#[test]
fn many_errors_are_cut_short_after_a_complete_first_line() {
    let repository = repository();
    let mut many = String::new();
    for index in 0..300 {
        many += &format!(
            "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: c{index}, namespace: ns}}\ndata: {{x: \"${{{{ vars.none{index} }}}}\"}}\n"
        );
    }
    fs::write(repository.path().join("dpu/sites/lab1/many.yaml"), many).unwrap();
    let argo = argo_cd();
    let application = application("dpu/sites/lab1", Some("/dpu;."), destination("blue"));
    assert!(argo.manifests(repository.path(), &application).is_err());
    let err = &argo.calls()[0].stderr;
    let first = err.lines().next().unwrap();
    assert!(
        first.starts_with("error[undefined-variable]: the variable `none0` is not set (dpu/sites/lab1/many.yaml:5:")
    );
    assert!(first.ends_with("more errors"), "{first}");
    assert!(err.ends_with("more are not shown; `dpu-render validate` tells all\n"), "{err}");
    assert!(err.len() <= 4 << 10, "{}", err.len());
}

/// Where Argo CD lets such links pass (`--allow-oob-symlinks`), we do not follow them.
#[test]
fn a_link_out_of_the_repository_is_refused() {
    let there = folder(&[("secret.yaml", "kind: Secret\n"), ("repo/x", "")]);
    let repository = there.path().join("repo");
    cases()[0].write_repository(&repository);
    std::os::unix::fs::symlink("../../../../secret.yaml", repository.join("dpu/sites/lab1/link.yaml")).unwrap();
    let parameters = destination("blue").to_string();
    let env = [("ARGOCD_APP_PARAMETERS", parameters.as_str())];
    let said = Said::of(by_hand(&repository, "generate", "dpu/sites/lab1", &env).output().unwrap());
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

/// More objects than are rendered in a moment, and one that no pipe holds.
fn large(repository: &Path) {
    let one = |name: &str, text: &str| {
        format!(
            "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}, namespace: ns}}\ndata: {{x: \"{text}\"}}\n"
        )
    };
    let many: String = (0..2000).map(|index| one(&format!("c{index}"), "y")).collect();
    fs::write(repository.join("dpu/sites/lab1/many.yaml"), many).unwrap();
    fs::write(repository.join("dpu/sites/lab1/large.yaml"), one("large", &"x".repeat(1 << 20))).unwrap();
}

#[test]
fn sigterm_ends_it_at_once() {
    let repository = repository();
    large(repository.path());
    let parameters = destination("management").to_string();
    let env = [("ARGOCD_APP_PARAMETERS", parameters.as_str())];
    let mut command = by_hand(repository.path(), "generate", "dpu/sites/lab1", &env);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    // It is writing, and nobody reads on.
    let mut first = [0];
    child.stdout.as_mut().unwrap().read_exact(&mut first).unwrap();
    assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().signal(), Some(15));
}

#[test]
fn at_the_deadline_it_is_gone_and_nothing_is_left() {
    let repository = repository();
    large(repository.path());
    let mut argo = argo_cd();
    let application = application("dpu/sites/lab1", None, destination("management"));
    argo.deadline = Duration::from_millis(20);
    let shown = argo.manifests(repository.path(), &application).unwrap_err();
    assert!(
        shown.ends_with("error generating manifests: `dpu-render plugin generate` failed signal: killed"),
        "{shown}"
    );
    assert_eq!((argo.calls()[0].code, argo.calls()[0].stdout.as_str()), (None, ""));
    assert_eq!(fs::read_dir(argo.work()).unwrap().count(), 0);
    argo.deadline = Duration::from_secs(60);
    assert_eq!(argo.manifests(repository.path(), &application).unwrap().objects.len(), 2002);
}

/// A plugin that is no good shows that the double is none that says yes to all.
#[test]
fn what_other_plugins_print_is_taken_as_argo_cd_takes_it() {
    let object = |name: &str, more: &str| {
        format!(r#"{{"apiVersion":"v1","kind":"ConfigMap","metadata":{{"name":"{name}"}}{more}}}"#)
    };
    let list = format!(r#"{{"apiVersion":"v1","kind":"Basket","items":[{},{}]}}"#, object("a", ""), object("b", ""));
    let repeated = format!("{}\n{}", object("a", ""), object("a", r#","data":{"x":"2"}"#));
    let killed = "exec >&2; sleep 30 & trap '' TERM; wait";
    let answer = |script: &str| {
        let command = json!(["sh", "-c", script]);
        let plugin = format!(
            "{{kind: ConfigManagementPlugin, metadata: {{name: x}}, spec: {{generate: {{command: {command}}}}}}}"
        );
        let mut argo = ArgoCd::new(&plugin, Path::new("/nowhere"));
        argo.deadline = Duration::from_millis(if script == killed { 50 } else { 60_000 });
        let application =
            Application { plugin: json!({"name": "x"}), ..application("apps/lab1", Some("."), json!([])) };
        let answer = argo.manifests(repository().path(), &application);
        (answer.map(|manifests| (manifests.objects.len(), manifests.repeated)), argo.calls()[0].files.clone())
    };
    let said = |text: &str| answer(&format!("cat <<'END'\n{text}\nEND")).0;
    assert_eq!(said(&list), Ok((2, vec![])));
    assert_eq!(
        said(&repeated),
        Ok((1, vec!["Resource /ConfigMap//a appeared 2 times among application resources.".to_owned()]))
    );
    assert_eq!(said(""), Ok((0, vec![])));
    assert!(said("{} trailing").unwrap_err().contains("failed to unmarshal manifest"));
    assert!(said("{\"a\": 1}").unwrap_err().contains("Object 'Kind' is missing"));
    assert!(said("kind: ConfigMap").unwrap_err().ends_with("a plugin of ours prints JSON"));
    let failed = answer("echo out; echo ' why ' >&2; exit 3").0.unwrap_err();
    assert!(failed.ends_with("`sh -c \"echo out; echo ' why ' >&2; exit 3\"` failed exit status 3: why"), "{failed}");
    // The shell does not heed SIGTERM, what it started does.
    assert!(answer(killed).0.unwrap_err().ends_with("failed signal: killed"));
    assert_eq!(answer("true").1, ["about.txt"]);
}

/// Whoever it runs as, whatever the mask of modes: Argo CD runs it as user 999.
#[test]
fn user_and_umask_change_nothing() {
    let root = TempDir::new().unwrap();
    fs::set_permissions(root.path(), Permissions::from_mode(0o755)).unwrap();
    cases()[0].write_repository(root.path());
    let copy = root.path().join("dpu-render");
    // By another process: what another test starts meanwhile would hold it open for writing, and then it cannot be run.
    assert!(Command::new("cp").arg(env!("CARGO_BIN_EXE_dpu-render")).arg(&copy).status().unwrap().success());
    let root_user = fs::metadata(root.path()).unwrap().uid() == 0;
    let mut answers = BTreeSet::new();
    for umask in ["000", "077"] {
        for user in [None, root_user.then_some(999)] {
            let mut command = Command::new("/bin/sh");
            let script = format!("umask {umask}; exec {} plugin generate", copy.display());
            command.args(["-c", &script]).env_clear().current_dir(root.path().join("dpu/sites/lab1"));
            command.env("ARGOCD_APP_SOURCE_PATH", "dpu/sites/lab1");
            command.env("ARGOCD_APP_PARAMETERS", destination("green").to_string());
            if let Some(user) = user {
                command.uid(user).gid(user);
            }
            let said = Said::of(command.output().unwrap());
            assert_eq!(said.code, Some(0), "{said:?}");
            answers.insert((said.out, said.err));
        }
    }
    assert_eq!(answers.len(), 1);
}
