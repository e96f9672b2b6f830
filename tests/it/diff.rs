//! `dpu-render diff` of two folders: golden cases, the JSON schema, secrets, narrowing, budgets, hostile input.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::{Value as Json, json};
use tempfile::TempDir;

use crate::golden::blessing;
use crate::program::{folder, program, run};

const SIDES: [&str; 5] = ["diff", "--base-dir", "base", "--head-dir", "head"];

/// Those of a folder of `tests`.
fn cases(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(folder);
    let mut cases: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    cases
}

/// The arguments of a case, its own ones among them.
fn arguments<'a>(more: &'a str, format: &'a str) -> Vec<&'a str> {
    SIDES.into_iter().chain(more.lines()).chain(["--format", format]).collect()
}

/// Of `diff`, in every form. Of `impact`, a change per class, per rule of what is refused and of what stays behind: as text,
/// and in the other forms where the case has them.
#[test]
fn every_case_reads_as_expected() {
    let mut wrong = Vec::new();
    let (own, of_impact) = (cases("diff"), cases("impact"));
    assert!(own.len() > 6 && of_impact.len() > 25);
    for case in own.iter().chain(&of_impact) {
        let mut said: BTreeMap<&str, String> = BTreeMap::new();
        let more = fs::read_to_string(case.join("arguments")).unwrap_or_default();
        for (file, format) in [("expected.txt", "text"), ("expected.md", "markdown"), ("expected.json", "json")] {
            let answer = run(case, &arguments(&more, format));
            let mut text = match format {
                "json" => {
                    let value: Json = serde_json::from_str(&answer.out).unwrap();
                    valid(&value, &schema(), &schema(), "")
                        .unwrap_or_else(|fault| panic!("{}: {fault}", case.display()));
                    format!("{value:#}\n")
                }
                _ => answer.out,
            };
            if format == "text" {
                text.push_str(&format!("--- exit code {}\n{}", answer.code.unwrap(), answer.err));
            }
            if format == "text" || own.contains(case) || case.join(file).is_file() {
                said.insert(file, text);
            }
        }
        for (file, text) in said {
            let path = case.join(file);
            if blessing() {
                fs::write(&path, text).unwrap();
            } else if fs::read_to_string(&path).ok().as_ref() != Some(&text) {
                wrong.push(format!("{}:\n{text}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn schema() -> Json {
    serde_json::from_str(dpu_render::diff::report::json::SCHEMA).unwrap()
}

/// As much of JSON Schema as the schema of the report uses; a word that is not known is a fault.
fn valid(value: &Json, schema: &Json, root: &Json, at: &str) -> Result<(), String> {
    for (word, rule) in schema.as_object().unwrap() {
        let ok = match word.as_str() {
            "$schema" | "$defs" | "title" | "description" => true,
            "$ref" => {
                let name = rule.as_str().unwrap().strip_prefix("#/$defs/").unwrap();
                valid(value, &root["$defs"][name], root, at)?;
                true
            }
            "type" => {
                let kind = match value {
                    Json::Null => "null",
                    Json::Bool(_) => "boolean",
                    Json::Number(number) if number.is_f64() => "number",
                    Json::Number(_) => "integer",
                    Json::String(_) => "string",
                    Json::Array(_) => "array",
                    Json::Object(_) => "object",
                };
                rule == kind || rule.as_array().is_some_and(|kinds| kinds.contains(&json!(kind)))
            }
            "enum" => rule.as_array().unwrap().contains(value),
            "minimum" => value.as_i64() >= rule.as_i64(),
            "required" => value
                .as_object()
                .is_none_or(|map| rule.as_array().unwrap().iter().all(|key| map.contains_key(key.as_str().unwrap()))),
            "items" => {
                for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                    valid(item, rule, root, &format!("{at}/{index}"))?;
                }
                true
            }
            "properties" => {
                for (key, rule) in rule.as_object().unwrap() {
                    if let Some(value) = value.get(key) {
                        valid(value, rule, root, &format!("{at}/{key}"))?;
                    }
                }
                true
            }
            "additionalProperties" => {
                let none = json!({});
                let known = schema.get("properties").unwrap_or(&none);
                for (key, value) in value.as_object().into_iter().flatten().filter(|(key, _)| known.get(key).is_none())
                {
                    if rule == &json!(false) {
                        return Err(format!("{at}: `{key}` is not in the schema"));
                    }
                    valid(value, rule, root, &format!("{at}/{key}"))?;
                }
                true
            }
            other => return Err(format!("{at}: the word `{other}` of the schema is not known here")),
        };
        if !ok {
            return Err(format!("{at}: {value} is against `{word}`: {rule}"));
        }
    }
    Ok(())
}

#[test]
fn the_check_of_the_schema_can_fail() {
    let schema = schema();
    let good = run(&cases("diff")[0], &[&SIDES[..], &["--format", "json"]].concat()).out;
    let good: Json = serde_json::from_str(&good).unwrap();
    valid(&good, &schema, &schema, "").unwrap();
    for (path, bad) in [
        ("/version", json!(2)),
        ("/entries/0/change", json!("x")),
        ("/entries/0/more", json!(1)),
        ("/base", json!(null)),
    ] {
        let mut value = good.clone();
        let (parent, key) = path.rsplit_once('/').unwrap();
        value.pointer_mut(parent).unwrap()[key] = bad;
        assert!(valid(&value, &schema, &schema, "").is_err(), "{path}");
    }
}

#[test]
fn planted_secrets_are_in_no_output() {
    let case = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/diff/secrets");
    for format in ["text", "markdown", "json"] {
        let said = run(&case, &[&SIDES[..], &["--format", format]].concat());
        let all = said.out + &said.err;
        assert!(!all.contains("planted"), "{all}");
        assert!(all.contains("shown-new"), "{all}");
    }
    // Other secrets of other lengths: not a byte of the report is another.
    let other = copy(&case);
    for side in ["base", "head"] {
        let path = other.path().join(side).join("base/objects.yaml");
        let text = fs::read_to_string(&path).unwrap();
        fs::write(path, text.replace("planted-old", "o").replace("planted-new", "something-else-planted")).unwrap();
    }
    for format in ["text", "markdown", "json"] {
        // With gates, the digests that acknowledge it are of what is shown.
        for gate in [&[][..], &["--fail-on", "metadata", "--fail-on", "lost"]] {
            let arguments = [&SIDES[..], &["--format", format], gate].concat();
            let said = |folder: &Path| {
                let said = run(folder, &arguments);
                let readable = serde_json::from_str::<Json>(&said.out).map(|value| format!("{value:#}"));
                assert_eq!(said.err.contains("acknowledge"), !gate.is_empty());
                (readable.unwrap_or(said.out), said.err)
            };
            assert_eq!(said(&case), said(other.path()), "{format}");
        }
    }
}

fn copy(from: &Path) -> TempDir {
    let to = TempDir::new().unwrap();
    for entry in walkdir::WalkDir::new(from).into_iter().map(Result::unwrap).filter(|entry| entry.file_type().is_file())
    {
        let path = to.path().join(entry.path().strip_prefix(from).unwrap());
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::copy(entry.path(), path).unwrap();
    }
    to
}

/// A change of one file: its path and what it held.
type FileChange = fn(&Path, &str);

const FILE_CHANGES: [FileChange; 4] = [
    |path, text| {
        let other = text.replace("\"1\"", "\"2\"").replace("v: one", "v: two").replace("v: x", "v: y");
        fs::write(path, other).unwrap();
    },
    |path, _| fs::write(path, "").unwrap(),
    // Another change may have been here.
    |path, _| drop(fs::remove_file(path)),
    |path, _| fs::write(path.with_file_name("beside.yaml"), BESIDE).unwrap(),
];

const BESIDE: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: beside, namespace: ns}\ndata: {a: \"1\"}\n";

/// Every file of a repository of four sites is changed, emptied, removed and joined by another, and then some at a time, by
/// chance: what is found among the sites that read a file that differs is what is found among all.
#[test]
fn the_narrowed_answer_is_the_full_one() {
    let site = |name: &str, layers: &str, more: &str| {
        format!(
            "apiVersion: dpu-render.dev/v1alpha1\nkind: Site\nmetadata: {{name: {name}}}\nspec:\n  dpf: v24.10\n  mode: operator\n  layers: [{layers}]\n{more}  external: [{{group: operator.dpu.nvidia.com, kind: DPFOperatorConfig, namespace: dpf-operator-system, name: dpfoperatorconfig}}]\n"
        )
    };
    let object = |name: &str| {
        format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}, namespace: ns}}\ndata: {{a: \"1\"}}\n")
    };
    let layer = |layers: &str| {
        format!(
            "apiVersion: dpu-render.dev/v1alpha1\nkind: Layer\nmetadata: {{name: x}}\nspec: {{layers: [{layers}], vars: {{v: one}}}}\n"
        )
    };
    let files: Vec<(String, String)> = vec![
        ("base/a/a.yaml".into(), object("a")),
        ("base/a/t.yaml.j2".into(), object("t").replace("\"1\"", "${{ vars.v }}")),
        ("base/b/layer.yaml".into(), layer("base/a")),
        ("base/b/b.yaml".into(), object("b")),
        ("base/b/inner/layer.yaml".into(), layer("")),
        ("base/b/inner/i.yaml".into(), object("i")),
        ("base/unused/u.yaml".into(), object("u")),
        (
            "inventories/four.yaml".into(),
            "apiVersion: dpu-render.dev/v1alpha1\nkind: Inventory\nmetadata: {name: x}\nspec: {hosts: []}\n".into(),
        ),
        ("sites/one/site.yaml".into(), site("one", "base/a", "  vars: {v: x}\n")),
        ("sites/two/site.yaml".into(), site("two", "base/b", "")),
        ("sites/three/site.yaml".into(), site("three", "base/b/inner", "")),
        ("sites/three/own/own.yaml".into(), object("own")),
        ("sites/four/site.yaml".into(), site("four", "", "  inventory: inventories/four.yaml\n")),
    ];
    let write = |root: &Path| {
        for (path, text) in &files {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
    };
    let repository = TempDir::new().unwrap();
    write(&repository.path().join("base"));
    write(&repository.path().join("head"));
    let answer = |all: &[&str]| {
        let said = run(repository.path(), &[&SIDES[..], &["--format", "json"], all].concat());
        let mut value: Json = serde_json::from_str(&said.out).unwrap_or_else(|_| panic!("{said:?}"));
        let compared = value["sites"]["compared"].as_u64().unwrap();
        value.as_object_mut().unwrap().remove("sites");
        (value, said.code, compared)
    };
    assert_eq!(answer(&[]).1, Some(0));
    let (mut narrowed, mut differing) = (0, 0);
    let mut compare = |changes: &[(usize, usize)]| {
        for (file, change) in changes {
            let (path, text) = &files[*file];
            FILE_CHANGES[*change](&repository.path().join("head").join(path), text);
        }
        let (some, all) = (answer(&[]), answer(&["--all"]));
        assert_eq!((&some.0, some.1), (&all.0, all.1), "{changes:?}");
        narrowed += u32::from(some.2 < all.2);
        differing += u32::from(some.1 == Some(1));
        fs::remove_dir_all(repository.path().join("head")).unwrap();
        write(&repository.path().join("head"));
    };
    for file in 0..files.len() {
        (0..FILE_CHANGES.len()).for_each(|change| compare(&[(file, change)]));
    }
    let mut state = 1_u64;
    let mut chance = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % below
    };
    for _ in 0..60 {
        let several = 2 + chance(3);
        let changes: Vec<(usize, usize)> =
            (0..several).map(|_| (chance(files.len()), chance(FILE_CHANGES.len()))).collect();
        compare(&changes);
    }
    // Neither is trivial: most changes touch a part of the sites, and most make a difference.
    assert!(narrowed > 30 && differing > 20, "{narrowed} {differing}");
}

/// A repository of one site whose ConfigMaps are `maps` on each side.
fn one_site(base: &str, head: &str) -> TempDir {
    let site = "apiVersion: dpu-render.dev/v1alpha1\nkind: Site\nmetadata: {name: lab}\nspec:\n  dpf: v24.10\n  mode: operator\n  layers: []\n  external: [{group: operator.dpu.nvidia.com, kind: DPFOperatorConfig, namespace: dpf-operator-system, name: dpfoperatorconfig}]\n";
    folder(&[
        ("base/sites/lab/site.yaml", site),
        ("head/sites/lab/site.yaml", site),
        ("base/sites/lab/maps.yaml", base),
        ("head/sites/lab/maps.yaml", head),
    ])
}

fn maps(count: usize, value: &str) -> String {
    (0..count)
        .map(|at| {
            let name = format!("m{}", at * 7919 % 100_003);
            format!("---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}, namespace: ns}}\ndata:\n  k{at}: \"{value}{at}\"\n")
        })
        .collect()
}

#[test]
fn markdown_keeps_its_budget_is_whole_and_names_what_it_leaves_out() {
    let repository = one_site(&maps(600, "x"), &maps(600, "`````</details>@somebody|"));
    for most in [4000, 10_000, 60_000] {
        let budget = most.to_string();
        let arguments = [&SIDES[..], &["--format", "markdown", "--max-chars", &budget]].concat();
        let text = run(repository.path(), &arguments).out;
        let count = text.chars().count();
        assert!(count <= most && count > most / 3, "{count} of {most}");
        assert!(text.contains("left out for their size") && text.contains("The table leaves out"), "{text}");
        let mut fence: Option<usize> = None;
        let (mut opened, mut closed) = (0, 0);
        for line in text.lines() {
            let ticks = line.bytes().take_while(|byte| *byte == b'`').count();
            match fence {
                Some(long) if ticks >= long && line.len() == ticks => fence = None,
                None if ticks >= 3 => fence = Some(ticks),
                None => {
                    opened += usize::from(line.starts_with("<details>"));
                    closed += usize::from(line.starts_with("</details>"));
                    assert!(!line.contains("@somebody") || line.contains('`'), "{line}");
                }
                Some(_) => {}
            }
        }
        assert_eq!(fence, None);
        assert_eq!(opened, closed);
    }
    let too_small = run(repository.path(), &[&SIDES[..], &["--format", "markdown", "--max-chars", "10"]].concat());
    assert_eq!(too_small.code, Some(2));
}

#[test]
fn quiet_says_nothing_and_a_closed_pipe_is_no_error() {
    let repository = one_site(&maps(2000, "x"), &maps(2000, "y"));
    let quiet = run(repository.path(), &[&SIDES[..], &["--quiet"]].concat());
    assert_eq!((quiet.code, quiet.out.as_str(), quiet.err.as_str()), (Some(1), "", ""));
    let mut child =
        program(repository.path()).args(SIDES).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let said = child.wait_with_output().unwrap();
    assert_eq!((said.status.code(), said.stderr), (Some(1), Vec::new()));
}

#[test]
fn hostile_values_do_not_reach_the_terminal_and_deep_ones_are_compared() {
    let deep = |inner: &str| {
        let nested = (0..50).fold(inner.to_owned(), |inner, _| format!("{{a: {inner}}}"));
        format!("apiVersion: example.net/v1\nkind: Deep\nmetadata: {{name: d, namespace: ns}}\nspec: {nested}\n")
    };
    let repository = one_site(&deep("1"), &deep("\"\\e[31mred\\a\\u0085\""));
    let said = run(repository.path(), &SIDES);
    assert_eq!(said.code, Some(1));
    assert!(!said.out.contains('\x1b') && !said.out.contains('\x07'), "{:?}", said.out);
    let coloured = run(repository.path(), &[&SIDES[..], &["--color", "always"]].concat());
    assert!(coloured.out.contains('\x1b') && !coloured.out.contains("\x1b[31mred"), "{:?}", coloured.out);
}

#[test]
fn a_written_tree_is_a_base() {
    let repository = one_site(&maps(3, "x"), &maps(3, "y"));
    let here = repository.path();
    for layout in ["tree", "bundle"] {
        for several in [false, true] {
            let mut sites = vec!["sites/lab"];
            if several {
                fs::create_dir_all(here.join("base/sites/other")).unwrap();
                let site = fs::read_to_string(here.join("base/sites/lab/site.yaml")).unwrap();
                fs::write(here.join("base/sites/other/site.yaml"), site.replace("name: lab", "name: other")).unwrap();
                fs::write(here.join("base/sites/other/maps.yaml"), maps(1, "z")).unwrap();
                sites.push("sites/other");
            }
            let tree = here.join(format!("{layout}-{several}"));
            let tree = tree.to_str().unwrap();
            let written = run(&here.join("base"), &[&sites[..], &["-o", tree, "--layout", layout]].concat());
            assert_eq!(written.code, Some(0), "{}", written.err);
            let same = run(&here.join("base"), &["diff", "--base-tree", tree]);
            assert_eq!((same.code, same.err.as_str()), (Some(0), ""), "{}", same.out);
            let other = run(&here.join("head"), &["diff", "--base-tree", tree]);
            assert_eq!(other.code, Some(1));
            assert!(other.out.contains("3 objects changed"), "{}", other.out);
            assert_eq!(other.out.contains("removed whole site\n    in other: management"), several, "{}", other.out);
            let _ = fs::remove_dir_all(here.join("base/sites/other"));
        }
    }
}
