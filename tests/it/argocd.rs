//! `dpu-render argocd`: what it prints for this repository's own sites, and what Argo CD would make of that.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::Mutex;

use dpu_render::argocd::guard::GUARDED;
use dpu_render::argocd::paths::{ANNOTATION, common_root};
use dpu_render::render::{Options, Repository};
use dpu_render::source::{FileError, Files};
use serde_json::{Value as Json, json};
use tempfile::TempDir;

use crate::golden::{blessing, tree};
use crate::program::{Said, folder, run};
use crate::sites::{SITES, conforms, crds, files, render};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Every form that is compared with `tests/argocd/<name>.yaml`.
const CASES: [(&str, &[&str]); 6] = [
    ("lab1", &["sites/lab1"]),
    ("lab2", &["sites/lab2"]),
    ("sites", &["sites/lab1", "sites/lab1-dpuset", "sites/lab2"]),
    ("applicationset", &["sites/lab1", "sites/lab2", "--applicationset"]),
    ("values-ref", &["sites/lab1", "--values-ref", "rendered/lab1/"]),
    ("values-ref-sites", &["sites/lab1", "sites/lab2", "--values-ref", "rendered"]),
];

fn argocd(root: &Path, arguments: &[&str]) -> Said {
    run(root, &[&["argocd", "--quiet"], arguments].concat())
}

fn objects(arguments: &[&str]) -> Vec<Json> {
    let said = argocd(Path::new(ROOT), &[arguments, &["--format", "json"]].concat());
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{arguments:?}");
    said.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn named<'o>(objects: &'o [Json], kind: &str, name: &str) -> &'o Json {
    let found = objects.iter().find(|one| one["kind"] == kind && one["metadata"]["name"] == name);
    found.unwrap_or_else(|| panic!("no {kind} {name}"))
}

#[test]
fn each_form_prints_what_is_expected() {
    for (name, arguments) in CASES {
        let said = argocd(Path::new(ROOT), arguments);
        assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{name}");
        let path = Path::new(ROOT).join(format!("tests/argocd/{name}.yaml"));
        if blessing() {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, &said.out).unwrap();
        }
        let expected = fs::read_to_string(&path).unwrap_or_default();
        assert!(said.out == expected, "{} differs; `make bless` writes it:\n{}", path.display(), said.out);
    }
}

#[test]
fn every_object_conforms_to_the_schema_of_its_kind() {
    let schemas = crds(&["argo-cd"]);
    if schemas.is_empty() {
        return; // said loudly by `shared`, and a panic in CI
    }
    let mut checked = BTreeSet::new();
    for (name, arguments) in CASES {
        for object in objects(arguments) {
            let kind = object["kind"].as_str().unwrap().to_owned();
            let schema = &schemas[&("argoproj.io/v1alpha1".to_owned(), kind.clone())];
            let mut wrong = Vec::new();
            conforms(&object, schema, "", &mut wrong);
            assert!(wrong.is_empty(), "{name} {}: {wrong:?}", object["metadata"]["name"]);
            checked.insert(kind);
        }
    }
    assert_eq!(checked.into_iter().collect::<Vec<_>>(), ["AppProject", "Application", "ApplicationSet"]);
}

/// As `IsGroupKindPermitted` of Argo CD reads an AppProject.
fn permitted(project: &Json, object: &Json) -> bool {
    let namespaced = object["metadata"]["namespace"].is_string();
    let list = if namespaced { "namespaceResourceWhitelist" } else { "clusterResourceWhitelist" };
    let group = object["apiVersion"].as_str().unwrap().split_once('/').map_or("", |(group, _)| group);
    let allowed = project["spec"][list].as_array().unwrap();
    allowed.iter().any(|one| one["group"] == group && (one["kind"] == "*" || one["kind"] == object["kind"]))
}

#[test]
fn a_project_allows_its_site_and_not_another() {
    let of = |site: &str| -> Vec<(String, Json)> {
        let rendered = render(&files(), site);
        let all = rendered.destinations.iter().flat_map(|one| one.objects.iter().map(move |object| (one, object)));
        all.map(|(one, object)| (one.destination.to_string(), object.node.to_json())).collect()
    };
    for site in ["lab1", "lab2"] {
        let printed = objects(&[&format!("sites/{site}")]);
        let project = named(&printed, "AppProject", site);
        let clusters: Vec<&str> = project["spec"]["destinations"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["name"].as_str().unwrap())
            .collect();
        for (destination, object) in of(&format!("sites/{site}")) {
            let cluster = if destination == "management" { "in-cluster" } else { &destination };
            assert!(clusters.contains(&cluster), "{site}: {cluster}");
            assert!(permitted(project, &object), "{site}: {} {}", object["kind"], object["metadata"]["name"]);
        }
        assert!(!clusters.contains(&"dpu-cplane-tenant3") || site == "lab2");
        let foreign = |api: &str, kind: &str, namespace: Option<&str>| json!({"apiVersion": api, "kind": kind, "metadata": {"namespace": namespace}});
        let binding = foreign("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", None);
        assert_eq!(permitted(project, &binding), site == "lab2", "only the agent's account has one");
        for other in [
            foreign("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration", None),
            foreign("v1", "Node", None),
            foreign("rbac.authorization.k8s.io/v1", "RoleBinding", Some("kube-system")),
            foreign("argoproj.io/v1alpha1", "ApplicationSet", Some("dpf-operator-system")),
        ] {
            assert!(!permitted(project, &other), "{site}: {}", other["kind"]);
        }
        assert_eq!(project["spec"]["sourceRepos"], json!(["https://git.example.net/dpu/sites.git"]));
    }
}

/// The files of the repository, and which were read.
struct Recorded(BTreeMap<String, String>, Mutex<BTreeSet<String>>);

impl Files for Recorded {
    fn list(&self, folder: &str) -> Result<Vec<String>, FileError> {
        Files::list(&self.0, folder)
    }

    fn read(&self, path: &str) -> Result<Vec<u8>, FileError> {
        self.1.lock().unwrap().insert(path.to_owned());
        Files::read(&self.0, path)
    }
}

#[test]
fn the_paths_hold_everything_that_is_read() {
    for site in SITES {
        let recorded = Recorded(files(), Mutex::default());
        let rendered = Repository::new(&recorded).render(site, &Options::default()).site.unwrap();
        let printed = objects(&[site]);
        let mut applications = vec![named(&printed, "Application", &rendered.name).clone()];
        for object in &rendered.destinations[0].objects {
            if object.node.at(&["spec", "source", "plugin"]).is_some() {
                applications.push(object.node.to_json());
            }
        }
        assert_eq!(applications.len(), 1 + rendered.site.clusters.len());
        for application in applications {
            let text = application["metadata"]["annotations"][ANNOTATION].as_str().unwrap();
            assert!(!text.contains(' '), "{text}");
            let root = common_root(site, text);
            let entries: Vec<String> = text
                .split(';')
                .map(|entry| if entry == "." { site.to_owned() } else { entry[1..].to_owned() })
                .collect();
            let read = recorded.1.lock().unwrap().clone();
            let below = |path: &str, folder: &str| {
                path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            };
            for path in &read {
                assert!(root.is_empty() || below(path, &root), "{site}: {path} is not in the tar of {root}");
                assert!(entries.iter().any(|entry| below(path, entry)), "{site}: a change of {path} goes unnoticed");
            }
            for entry in &entries {
                assert!(read.iter().any(|path| below(path, entry)), "{site}: nothing is read of {entry}");
            }
        }
    }
}

#[test]
fn values_of_charts_are_files_of_the_tree() {
    let out = TempDir::new().unwrap();
    let said =
        run(Path::new(ROOT), &["sites/lab1", "--quiet", "-o", out.path().join("rendered/lab1").to_str().unwrap()]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    let tree = tree(out.path());
    let printed = objects(&["sites/lab1", "--values-ref", "rendered/lab1"]);
    let (mut charts, mut covered) = (0, BTreeSet::new());
    for application in printed.iter().filter(|one| one["kind"] == "Application") {
        let name = application["metadata"]["name"].as_str().unwrap();
        let spec = &application["spec"];
        if let Some(path) = spec["source"]["path"].as_str().filter(|path| path.starts_with("rendered/")) {
            let inside = tree.keys().filter(|file| file.rsplit_once('/').is_some_and(|(parent, _)| parent == path));
            covered.extend(inside.filter(|file| {
                let left_out = !spec["source"]["directory"]["exclude"].is_null();
                !(left_out
                    && ["application-", "application."]
                        .iter()
                        .any(|start| file.rsplit('/').next().unwrap().starts_with(start)))
            }));
            continue;
        }
        charts += 1;
        assert!(spec["source"].is_null() && spec["sources"][0]["helm"]["valuesObject"].is_null(), "{name}");
        assert_eq!(spec["sources"][1]["ref"], "values", "{name}");
        assert!(spec["sources"][1].get("path").is_none(), "with a path it would render too");
        let file = spec["sources"][0]["helm"]["valueFiles"][0].as_str().unwrap();
        let file = file.strip_prefix("$values/").unwrap();
        assert!(tree.contains_key(file), "{name}: no {file}");
        covered.insert(tree.get_key_value(file).unwrap().0);
    }
    assert_eq!(charts, 16);
    // What no Application covers are the Applications that are printed, and our own list.
    let left: Vec<&String> = tree.keys().filter(|file| !covered.contains(file)).collect();
    assert_eq!(left.iter().filter(|file| file.contains("/application-")).count(), charts + 1, "{left:?}");
    assert_eq!(left.len(), charts + 2, "{left:?}");
}

const SITE: &str = "# A site.
apiVersion: dpu-render.dev/v1alpha1
kind: Site
metadata: {name: NAME}
spec:
  dpf: v24.10          # the release
  mode: operator
  argocd: {repoURL: \"https://git.example.net/a.git\"}
";

const OBJECT: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: NAME, namespace: x}\n";

fn two_sites() -> TempDir {
    folder(&[
        ("sites/a/site.yaml", &SITE.replace("NAME", "a")),
        ("sites/a/one.yaml", &OBJECT.replace("NAME", "one")),
        ("sites/a/two.yaml", &OBJECT.replace("NAME", "two")),
        ("sites/b/site.yaml", &SITE.replace("NAME", "b")),
    ])
}

#[test]
fn what_is_expected_is_written_and_holds() {
    let there = two_sites();
    let (root, path) = (there.path(), there.path().join("sites/a/site.yaml"));
    let text = || fs::read_to_string(&path).unwrap();
    let said = run(root, &["argocd", "--expect", "sites/a"]);
    assert_eq!((said.code, said.out.as_str()), (Some(0), ""), "{}", said.err);
    assert_eq!(said.err, "dpu-render: sites/a/site.yaml says what there is now\n");
    let block = "  expect:\n    management:\n      ConfigMap: 2\n";
    assert_eq!(text(), format!("{}{block}", SITE.replace("NAME", "a")));
    assert_eq!(run(root, &["--quiet", "sites/a"]).code, Some(0));
    // One is lost: whatever part is asked for, nothing is printed.
    fs::remove_file(root.join("sites/a/two.yaml")).unwrap();
    for arguments in [&["sites/a"][..], &["validate", "sites/a"], &["argocd", "sites/a"]] {
        let said = run(root, arguments);
        assert_eq!(said.code, Some(1), "{arguments:?}");
        let all = said.out.clone() + &said.err;
        assert!(all.contains("error[expect]: `management` has 1 ConfigMap, the site expects at least 2"), "{all}");
        assert!(
            all.contains("sites/a/site.yaml:11:18") && all.contains("`dpu-render argocd --expect sites/a`"),
            "{all}"
        );
        assert!(!said.out.contains("kind: ConfigMap"), "{}", said.out);
    }
    // It is meant.
    assert_eq!(run(root, &["argocd", "--expect", "sites/a", "sites/b", "--quiet"]).code, Some(0));
    assert_eq!(text(), format!("{}{}", SITE.replace("NAME", "a"), block.replace('2', "1")));
    assert!(fs::read_to_string(root.join("sites/b/site.yaml")).unwrap().ends_with("  expect: {}\n"));
    assert_eq!(fs::read_dir(root.join("sites/a")).unwrap().count(), 2, "no temporary file is left");
    assert_eq!(run(root, &["--quiet", "sites/a", "sites/b"]).code, Some(0));
}

#[test]
fn expectations_that_mean_nothing_are_refused_and_can_be_written_anew() {
    for (expect, message) in [
        (
            "{management: {ConfigMap: 0}}",
            "error[value-range]: the least number of `ConfigMap` in `management` must be 1 or more",
        ),
        ("{management: {ConfigMap: -1}}", "must be 1 or more"),
        ("{management: {ConfigMap: 1.5}}", "must be 1 or more"),
        (
            "{management: {ConfigMap: \"1\"}}",
            "error[wrong-type]: the least number of `ConfigMap` in `management` must be a number",
        ),
        ("{management: 1}", "error[wrong-type]: what `expect` says of `management` must be a map of kinds"),
        ("[management]", "error[wrong-type]: `expect` must be a map of destinations"),
        ("{managment: {ConfigMap: 1}}", "help: did you mean `management`?"),
        ("{dpu-a: {}}", "error[unknown-destination]: `expect` names the destination `dpu-a`"),
    ] {
        let there = two_sites();
        let path = there.path().join("sites/a/site.yaml");
        fs::write(&path, format!("{}  expect: {expect}\n", SITE.replace("NAME", "a"))).unwrap();
        let said = run(there.path(), &["sites/a"]);
        assert_eq!(said.code, Some(1), "{expect}: {}", said.err);
        assert!(said.err.contains(message), "{expect}: {}", said.err);
        assert_eq!(run(there.path(), &["argocd", "--expect", "sites/a", "--quiet"]).code, Some(0), "{expect}");
        assert_eq!(run(there.path(), &["sites/a", "--quiet"]).code, Some(0), "{expect}");
    }
}

#[test]
fn a_site_that_is_not_written_a_key_a_line_gets_lines_to_paste() {
    let there = two_sites();
    let path = there.path().join("sites/a/site.yaml");
    let flow =
        "{apiVersion: dpu-render.dev/v1alpha1, kind: Site, metadata: {name: a}, spec: {dpf: v24.10, mode: operator}}\n";
    fs::write(&path, flow).unwrap();
    let said = run(there.path(), &["argocd", "--expect", "sites/a"]);
    assert_eq!((said.code, said.out.as_str()), (Some(1), "  expect:\n    management:\n      ConfigMap: 2\n"));
    assert!(said.err.contains("paste these lines"), "{}", said.err);
    assert_eq!(fs::read_to_string(&path).unwrap(), flow);
}

#[test]
fn a_site_without_a_repository_or_with_an_error_prints_nothing() {
    let there = two_sites();
    let path = there.path().join("sites/b/site.yaml");
    let text = SITE.replace("NAME", "b");
    for (from, to, message) in [
        ("repoURL: \"https://git.example.net/a.git\"", "", "write `argocd: {repoURL: https://…"),
        ("mode:", "modes:", "did you mean `mode`?"),
        ("  argocd: {", "  argocd: {version: 2.12, ", "`version` of `argocd` must be a string"),
        ("  argocd: {", "  argocd: {version: \"2.12\", ", "write Argo CD's version as `v2.12`"),
    ] {
        fs::write(&path, text.replace(from, to)).unwrap();
        for more in [&[][..], &["--applicationset"], &["--values-ref", "out"]] {
            let said = run(there.path(), &[&["argocd", "sites/a", "sites/b"], more].concat());
            assert_eq!((said.code, said.out.as_str()), (Some(1), ""), "{message} {more:?}");
            assert!(said.err.contains(message), "{more:?}: {}", said.err);
        }
    }
}

#[test]
fn one_set_needs_one_argo_cd() {
    for (text, field) in [
        ("namespace: other, ", "argocd.namespace"),
        ("managementCluster: other, ", "argocd.managementCluster"),
        ("targetRevision: main, ", "argocd.targetRevision"),
        ("version: v3.2, ", "argocd.version"),
    ] {
        let there = two_sites();
        let path = there.path().join("sites/b/site.yaml");
        fs::write(&path, SITE.replace("NAME", "b").replace("argocd: {", &format!("argocd: {{{text}"))).unwrap();
        let said = argocd(there.path(), &["sites/a", "sites/b", "--applicationset"]);
        assert_eq!((said.code, said.out.as_str()), (Some(2), ""));
        assert!(
            said.err.contains(field) && said.err.contains("that of a is") && said.err.contains("that of b is"),
            "{}",
            said.err
        );
        assert_eq!(argocd(there.path(), &["sites/a", "sites/b"]).code, Some(0));
    }
}

#[test]
fn nothing_has_the_name_of_the_sites_own_application() {
    let there = two_sites();
    let application = "apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata: {name: a, namespace: dpf-operator-system}\n\
        spec: {project: default, source: {repoURL: \"https://x.example.net\", path: y}, destination: {name: in-cluster}}\n";
    fs::write(there.path().join("sites/a/one.yaml"), application).unwrap();
    let said = argocd(there.path(), &["sites/a"]);
    assert_eq!((said.code, said.out.as_str()), (Some(1), ""));
    assert!(
        said.err.contains("error[name-collision]: Application dpf-operator-system/a has the name of"),
        "{}",
        said.err
    );
}

#[test]
fn with_parity_the_applications_of_clusters_are_applied_by_hand() {
    let site = SITE.replace("NAME", "a").replace(
        "  mode: operator\n",
        "  mode: operator\n  parity: true\n  clusters: [{name: dpu-a}, {name: dpu-b}]\n  external:\n    \
         - {group: provisioning.dpu.nvidia.com, kind: DPUCluster, namespace: dpu-a, name: dpu-a}\n    \
         - {group: provisioning.dpu.nvidia.com, kind: DPUCluster, namespace: dpu-b, name: dpu-b}\n",
    );
    let object = OBJECT.replace("namespace: x", "namespace: x, annotations: {dpu-render.dev/destination: dpu-a}");
    let there = folder(&[("sites/a/site.yaml", &site), ("sites/a/object.yaml", &object.replace("NAME", "one"))]);
    let rendered = run(there.path(), &["sites/a", "--quiet"]);
    assert!(!rendered.out.contains("kind: Application"), "{}", rendered.out);
    let said = argocd(there.path(), &["sites/a", "--format", "json"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    let names: Vec<String> = said
        .out
        .lines()
        .map(|line| serde_json::from_str::<Json>(line).unwrap()["metadata"]["name"].to_string())
        .collect();
    assert_eq!(names, ["\"a\"", "\"a\"", "\"a-dpu-a\""]);
}

#[test]
fn people_are_told_of_every_guard() {
    let text = fs::read_to_string(Path::new(ROOT).join("plugin/README.md")).unwrap();
    let start = text.find("* **Guards.**").unwrap();
    let words: BTreeSet<&str> = text[start..].split(|c: char| !c.is_alphanumeric()).collect();
    let missing: Vec<&str> = GUARDED.iter().map(|row| row.kind).filter(|kind| !words.contains(kind)).collect();
    assert!(missing.is_empty(), "plugin/README.md does not name {missing:?}");
}

#[test]
fn an_inventory_that_lies_elsewhere_is_watched_too() {
    let site = SITE
        .replace("NAME", "a")
        .replace("  mode:", "  layers: [base/x, base]\n  inventory: shared/lab/all.yaml\n  mode:");
    let there = folder(&[
        ("sites/a/site.yaml", &site),
        ("base/x/object.yaml", &OBJECT.replace("NAME", "one")),
        (
            "shared/lab/all.yaml",
            "apiVersion: dpu-render.dev/v1alpha1\nkind: Inventory\nmetadata: {name: a}\nspec: {hosts: []}\n",
        ),
    ]);
    let said = argocd(there.path(), &["sites/a"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(said.out.contains("manifest-generate-paths: /base;/shared/lab/all.yaml;.\n"), "{}", said.out);
}
