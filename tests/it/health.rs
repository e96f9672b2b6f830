//! The health scripts of `plugin/health`, in Lua 5.1 with the libraries that Argo CD loads: the base, and `table`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::OnceLock;

use dpu_render::node::Node;
use dpu_render::schema;
use dpu_render::site::Release;
use mlua::{Lua, LuaOptions, StdLib, Table, Value as LuaValue};
use serde_json::{Value as Json, json};

use crate::health_cases::{self, Case, document};
use crate::shared::shared;

/// What Argo CD takes; anything else becomes `Unknown`, and nothing at all holds up a sync wave for ever.
const WORDS: [&str; 4] = ["Healthy", "Progressing", "Degraded", "Suspended"];

/// Status and message, or what went wrong.
fn health(script: &str, object: &Json) -> Result<(String, String), String> {
    let lua = Lua::new_with(StdLib::TABLE, LuaOptions::default()).unwrap();
    let run = || -> mlua::Result<(String, String)> {
        assert!(lua.globals().get::<Option<Table>>("string")?.is_none(), "Argo CD does not load `string`");
        lua.globals().set("obj", value(&lua, object)?)?;
        let answer: Table = lua.load(script).eval()?;
        Ok((answer.get("status")?, answer.get::<Option<String>>("message")?.unwrap_or_default()))
    };
    let answer = run().map_err(|error| error.to_string())?;
    if WORDS.contains(&&*answer.0) { Ok(answer) } else { Err(format!("Argo CD does not know the word `{}`", answer.0)) }
}

/// JSON as Argo CD hands it over: null is nil, every number a double.
fn value(lua: &Lua, json: &Json) -> mlua::Result<LuaValue> {
    Ok(match json {
        Json::Null => LuaValue::Nil,
        Json::Bool(flag) => LuaValue::Boolean(*flag),
        Json::Number(number) => LuaValue::Number(number.as_f64().unwrap()),
        Json::String(text) => LuaValue::String(lua.create_string(text)?),
        Json::Array(items) => {
            let items: Vec<LuaValue> = items.iter().map(|item| value(lua, item)).collect::<mlua::Result<_>>()?;
            LuaValue::Table(lua.create_sequence_from(items)?)
        }
        Json::Object(fields) => {
            let table = lua.create_table()?;
            for (key, field) in fields {
                table.set(&**key, value(lua, field)?)?;
            }
            LuaValue::Table(table)
        }
    })
}

#[test]
fn each_object_has_the_health_that_is_expected() {
    let cases = health_cases::all();
    let mut wrong = Vec::new();
    for case in &cases {
        let answer = health(&case.script, &case.object.to_json());
        if answer.as_ref() != Ok(&(case.status.clone(), case.message.clone())) {
            wrong.push(format!("{}: expected {} {:?}, got {answer:?}", case.path, case.status, case.message));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(cases.len() > 150, "only {} cases", cases.len());
}

#[test]
fn each_kind_has_cases_that_pass_a_wave_and_that_hold_it_up() {
    let mut seen: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for case in health_cases::all() {
        seen.entry(format!("{}_{}", case.group, case.kind)).or_default().insert(case.status);
    }
    for (kind, _) in scripts() {
        let words = seen.get(&kind).unwrap_or_else(|| panic!("{kind} has no cases in plugin/health/tests"));
        assert!(words.contains("Healthy") && words.contains("Progressing"), "{kind} has only cases that are {words:?}");
    }
}

/// `<group>_<Kind>` to script.
fn scripts() -> BTreeMap<String, String> {
    let mut scripts = BTreeMap::new();
    for entry in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("plugin/health")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "lua") {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            scripts.insert(name, std::fs::read_to_string(&path).unwrap());
        }
    }
    assert!(scripts.len() > 30);
    scripts
}

/// A script that fails makes the health Unknown; one that answers nothing holds up a wave for ever.
#[test]
fn no_status_makes_a_script_fail_or_say_nothing() {
    let condition = |fields: Json| json!({"conditions": [fields]});
    let statuses = [
        Json::Null,
        json!({}),
        json!({"phase": "Some Later Word", "state": "later", "conditions": []}),
        condition(json!({"type": "Ready", "status": "Unknown"})),
        condition(json!({"type": "Ready", "status": "False", "reason": "Failure"})),
        condition(json!({"type": "Else", "status": "True", "reason": "Success", "message": ""})),
        json!({"phase": "Error", "conditions": [{"type": "Downloaded", "status": "False", "reason": "Error"}]}),
        json!({"dpuStatistics": {}, "observedGeneration": 0}),
        json!({"sync": {"status": "Unknown"}, "conditions": [{"type": "ComparisonError", "message": "x"}]}),
        json!({"sync": {"status": "OutOfSync", "revisions": []}, "operationState": {"phase": "Failed"}}),
        json!({"sync": {"status": "Synced", "comparedTo": {"source": {"repoURL": "x"}}}, "health": {}}),
        json!({"kubernetesResources": {}}),
        json!({"kubernetesResources": {"version": {}}}),
    ];
    for (kind, script) in scripts() {
        for status in &statuses {
            let spec = json!({"source": {"repoURL": "x"}});
            let object = json!({"metadata": {"name": "x", "generation": 1}, "spec": spec, "status": status});
            if let Err(fault) = health(&script, &object) {
                panic!("{kind} with status {status}: {fault}");
            }
        }
    }
}

/// The `kubectl wait` steps of the guides: what they wait for is enough, and needed.
#[test]
fn what_the_guides_wait_for_is_healthy() {
    let Some(guides) = shared("seeds") else { return };
    let plurals = [
        ("dpuservices", "svc.dpu.nvidia.com_DPUService"),
        ("dpuserviceipam", "svc.dpu.nvidia.com_DPUServiceIPAM"),
        ("dpuserviceinterface", "svc.dpu.nvidia.com_DPUServiceInterface"),
        ("dpuservicechain", "svc.dpu.nvidia.com_DPUServiceChain"),
        ("dpucluster", "provisioning.dpu.nvidia.com_DPUCluster"),
    ];
    let scripts = scripts();
    let mut waits = BTreeSet::new();
    for entry in std::fs::read_dir(guides).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        for line in text.lines().filter(|line| line.starts_with("kubectl wait --for=condition=")) {
            let words: Vec<&str> = line.split_whitespace().collect();
            let condition = words[2].trim_start_matches("--for=condition=");
            // kubectl does not mind the case.
            let condition = if condition == "ready" { "Ready" } else { condition };
            let kind = plurals.iter().find(|(plural, _)| words.contains(plural));
            match kind {
                Some((_, kind)) => _ = waits.insert((kind.to_string(), condition.to_owned())),
                None => assert!(words.contains(&"pods") || words.contains(&"nodes"), "nobody reads this wait: {line}"),
            }
        }
    }
    assert_eq!(waits.len(), plurals.len(), "{waits:?}");
    for (kind, condition) in waits {
        let with = |status: &str| {
            let conditions = json!([{"type": condition, "status": status, "reason": "Pending", "message": ""}]);
            let object = json!({"metadata": {"generation": 1}, "status": {"conditions": conditions}});
            health(&scripts[&kind], &object).unwrap().0
        };
        assert_eq!((&*with("True"), &*with("False")), ("Healthy", "Progressing"), "{kind} by {condition}");
    }
}

/// A CRD. Kamaji's has quoted descriptions whose lines are not indented as YAML 1.2 wants it: they get four blanks more.
fn crd(path: &Path) -> Node {
    let mut text = String::new();
    let mut quoted = false;
    for line in std::fs::read_to_string(path).unwrap().lines() {
        let odd = line.matches('\'').count() % 2 == 1;
        let indent = if quoted { "    " } else { "" };
        text.push_str(&format!("{indent}{line}\n"));
        quoted = if quoted { !odd } else { odd && line.contains("description: '") };
    }
    health_cases::parse(&path.display().to_string(), text)
}

/// CRDs by `<group>_<Kind>` and whose API it is.
type Crds = BTreeMap<(String, String), Vec<Node>>;

/// Every CRD of the facts, read once.
fn crds() -> Option<&'static Crds> {
    static READ: OnceLock<Option<Crds>> = OnceLock::new();
    READ.get_or_init(|| shared("crds").map(|folder| read_crds(&folder))).as_ref()
}

fn read_crds(folder: &Path) -> Crds {
    let mut found = Crds::new();
    for entry in walkdir::WalkDir::new(folder).into_iter().map(Result::unwrap) {
        let path = entry.path().to_str().unwrap();
        let concerns = ["/dpf-v", "/kamaji/", "/nv-ipam/", "/application-crd"].iter().any(|part| path.contains(part));
        if concerns && path.ends_with(".yaml") {
            let of = entry.path().parent().unwrap().file_name().unwrap().to_str().unwrap();
            let of = of.trim_start_matches("dpf-").trim_end_matches("-nightly").trim_end_matches("-dev").to_owned();
            let crd = crd(entry.path());
            if let (Some(group), Some(kind)) = (crd.text(&["spec", "group"]), crd.text(&["spec", "names", "kind"])) {
                found.entry((format!("{group}_{kind}"), of)).or_default().push(crd.clone());
            }
        }
    }
    found
}

#[test]
fn each_object_is_one_that_the_api_server_keeps() {
    let Some(crds) = crds() else { return };
    let mut without = BTreeSet::new();
    let mut faults = Vec::new();
    for case in health_cases::all() {
        let kind = format!("{}_{}", case.group, case.kind);
        let Some(known) = crds.get(&(kind.clone(), case.of.clone())) else {
            without.insert((kind, case.of));
            continue;
        };
        let version = case.object.text(&["apiVersion"]).unwrap().rsplit('/').next().unwrap();
        let versions = known.iter().flat_map(|crd| crd.items(&["spec", "versions"]));
        let schema = versions.into_iter().find(|one| one.text(&["name"]) == Some(version)).unwrap();
        for part in ["spec", "status"] {
            let Some(value) = case.object.get(part) else { continue };
            match schema.at(&["schema", "openAPIV3Schema", "properties", part]) {
                Some(schema) => differences(value, schema, &format!("{}: {part}", case.path), &mut faults),
                None => faults.push(format!("{}: the kind has no `{part}`", case.path)),
            }
        }
        faults.extend(rules(&case));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    // The agent's own CRD is not published yet, and nobody saved that of the network operator.
    let expected = [("dpu-render.dev_DPUNodeNetworkStatus", "agent"), ("mellanox.com_NicClusterPolicy", "mellanox")];
    assert_eq!(without, expected.map(|(kind, of)| (kind.to_owned(), of.to_owned())).into());
}

/// Rules over several fields, which the program's own table knows.
fn rules(case: &Case) -> Vec<String> {
    let release = Release::ALL.into_iter().find(|release| release.name() == case.of).unwrap_or(Release::V24_10);
    let mut found = Vec::new();
    schema::check(&case.object.without("status"), release, false, &mut found);
    found.iter().map(|fault| format!("{}: {}", case.path, fault.message)).collect()
}

/// Where a value is not of its schema, or would lose a field.
fn differences(value: &Node, schema: &Node, path: &str, faults: &mut Vec<String>) {
    let open = schema.get("x-kubernetes-preserve-unknown-fields").and_then(Node::as_bool).unwrap_or_default();
    let fits = match schema.text(&["type"]) {
        Some("object") => value.as_map().is_some(),
        Some("array") => value.as_list().is_some(),
        Some("string") => value.as_str().is_some(),
        Some("boolean") => value.as_bool().is_some(),
        Some("integer") => value.as_i64().is_some(),
        _ => true,
    };
    if !fits {
        faults.push(format!("{path} is {}", value.kind()));
    }
    let allowed = schema.items(&["enum"]);
    if !allowed.is_empty() && !allowed.iter().any(|one| one.as_str() == value.as_str()) {
        faults.push(format!("{path} is none of its values"));
    }
    if let (Some(pattern), Some(text)) = (schema.text(&["pattern"]), value.as_str())
        && regex_lite::Regex::new(pattern).is_ok_and(|pattern| !pattern.is_match(text))
    {
        faults.push(format!("{path} does not match {pattern}"));
    }
    for name in schema.items(&["required"]).iter().filter_map(Node::as_str).filter(|name| value.get(name).is_none()) {
        faults.push(format!("{path} has no `{name}`"));
    }
    for entry in value.fields(&[]) {
        let (key, below) = (&*entry.key.text, format!("{path}.{}", entry.key.text));
        match schema.at(&["properties", key]).or_else(|| schema.get("additionalProperties")) {
            Some(schema) => differences(&entry.value, schema, &below, faults),
            None if open => {}
            None => faults.push(format!("{below} is not known")),
        }
    }
    for (index, item) in value.as_list().unwrap_or_default().iter().enumerate() {
        if let Some(schema) = schema.get("items") {
            differences(item, schema, &format!("{path}[{index}]"), faults);
        }
    }
}

#[test]
fn each_kind_that_reports_has_a_script_or_a_reason() {
    let Some(crds) = crds() else { return };
    let table = document(&Path::new(env!("CARGO_MANIFEST_DIR")).join("plugin/health/kinds.yaml"));
    let without: BTreeSet<&str> = table.items(&["without"]).iter().map(|row| row.text(&["kind"]).unwrap()).collect();
    let scripts = scripts();
    let mut reporting = BTreeSet::new();
    for ((kind, _), crds) in crds {
        let (group, name) = kind.split_once('_').unwrap();
        let ours = group.ends_with("dpu.nvidia.com") || ["kamaji.clastix.io", "nv-ipam.nvidia.com"].contains(&group);
        let status = |crd: &Node| {
            let versions = crd.items(&["spec", "versions"]).iter();
            versions.flat_map(|one| one.at(&["schema", "openAPIV3Schema", "properties", "status"])).next().is_some()
        };
        if ours && crds.iter().any(status) {
            reporting.insert(name.to_owned());
            assert!(
                scripts.contains_key(kind) != without.contains(name),
                "{kind}: a script, or a reason in kinds.yaml"
            );
        }
    }
    let unknown: Vec<&&str> = without.iter().filter(|kind| !reporting.contains(**kind)).collect();
    assert!(unknown.is_empty(), "kinds.yaml gives reasons for kinds that do not report: {unknown:?}");
}
