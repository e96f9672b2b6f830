//! The field table against the CRDs it is made of, the published examples, and what a real API server said.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "tests read files and say what is missing"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use dpu_render::diagnostic::{Diagnostic, Severity};
use dpu_render::node::Node;
use dpu_render::schema::table::{ListKey, Schema, Type};
use dpu_render::schema::{Schemas, generate};
use dpu_render::site::Release;
use dpu_render::source::SourceTree;
use dpu_render::yaml::read;

use crate::shared::shared;

/// The folder of facts, if its schemas are there.
fn facts() -> Option<PathBuf> {
    shared("crds")?.parent().map(Path::to_path_buf)
}

/// The documents of every YAML file below `folder`, by path from it.
fn documents(folder: &Path) -> BTreeMap<String, Vec<Node>> {
    let mut files = BTreeMap::new();
    for entry in walkdir::WalkDir::new(folder) {
        let entry = entry.unwrap();
        if entry.path().extension().is_some_and(|extension| extension == "yaml" || extension == "yml") {
            let path = entry.path().strip_prefix(folder).unwrap().display().to_string();
            files.insert(path, std::fs::read_to_string(entry.path()).unwrap());
        }
    }
    let tree = SourceTree::new(&files);
    let read = |path: &String| {
        let (id, source) = tree.load(path).unwrap();
        let mut faults = Vec::new();
        let documents = read::documents(&source, id, &mut faults);
        faults.retain(|fault| fault.severity == Severity::Error);
        assert!(faults.is_empty(), "{path}: {faults:#?}");
        documents
    };
    files.keys().map(|path| (path.clone(), read(path))).collect()
}

fn crds(folder: &Path) -> Vec<Node> {
    documents(folder).into_values().flatten().collect()
}

fn check(object: &Node, parity: bool) -> Vec<Diagnostic> {
    let mut out = Vec::new();
    dpu_render::schema::check(object, Release::V24_10, parity, &mut out);
    out
}

fn name(object: &Node) -> String {
    format!("{}/{}", object.text(&["kind"]).unwrap(), object.text(&["metadata", "name"]).unwrap_or_default())
}

#[test]
fn the_table_is_what_the_crds_say() {
    let Some(shared) = facts() else { return };
    // Nobody writes a TenantControlPlane: Kamaji's cluster manager does.
    let mut used = BTreeSet::from(["kamaji".to_owned()]);
    for api in generate::APIS {
        let sets: Vec<(&str, Vec<Node>)> =
            api.folders.iter().map(|(folder, release)| (*release, crds(&shared.join("crds").join(folder)))).collect();
        used.extend(api.folders.iter().map(|(folder, _)| (*folder).to_owned()));
        let fresh = generate::table(sets.iter().map(|(release, crds)| (*release, &crds[..])), api.without);
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("src/schema/table/{}.jsonl", api.name));
        let kept = std::fs::read_to_string(file).unwrap();
        assert!(kept == fresh.text, "{}.jsonl is not up to date: run the example crd-table", api.name);
        assert_eq!(fresh.ignored, BTreeSet::new(), "keywords that the table does not keep");
    }
    let folders =
        std::fs::read_dir(shared.join("crds")).unwrap().map(Result::unwrap).filter(|entry| entry.path().is_dir());
    let folders: BTreeSet<String> = folders.map(|entry| entry.file_name().into_string().unwrap()).collect();
    assert_eq!(folders, used, "folders of CRDs that no file of the table is made of");
}

/// Walks every CRD beside the table, without the generator.
#[test]
fn every_field_of_every_release_is_in_the_table() {
    let Some(shared) = facts() else { return };
    let schemas = Schemas::built_in();
    let (mut fields, mut kinds) = (0, 0);
    for api in generate::APIS {
        for (folder, release) in api.folders {
            let release = Release::ALL.into_iter().find(|known| known.name() == *release).unwrap_or(Release::V24_10);
            for crd in crds(&shared.join("crds").join(folder)) {
                let (group, kind) =
                    (crd.text(&["spec", "group"]).unwrap(), crd.text(&["spec", "names", "kind"]).unwrap());
                if api.without.contains(&kind) {
                    continue;
                }
                for version in crd.items(&["spec", "versions"]) {
                    let version_name = version.text(&["name"]).unwrap();
                    let path = format!("{folder} {group}/{version_name} {kind}");
                    let line = schemas.find(group, version_name, kind, release);
                    let line = line.unwrap_or_else(|| panic!("{path} is not in the table"));
                    assert_eq!(format!("{:?}", line.scope), crd.text(&["spec", "scope"]).unwrap(), "{path}");
                    compare(
                        version.at(&["schema", "openAPIV3Schema"]).unwrap(),
                        schemas.schema(line),
                        &path,
                        true,
                        &mut fields,
                    );
                    kinds += 1;
                }
            }
        }
    }
    assert!(kinds > 200 && fields > 7_000, "only {kinds} kinds and {fields} fields were compared");
}

fn compare(crd: &Node, table: &Schema, path: &str, top: bool, count: &mut usize) {
    *count += 1;
    let elsewhere = ["apiVersion", "kind", "metadata", "status"];
    let flag = |key: &str| crd.get(key).and_then(Node::as_bool).unwrap_or_default();
    let kind = match crd.text(&["type"]) {
        _ if flag("x-kubernetes-int-or-string") => Type::IntOrString,
        None => Type::Any,
        Some("object") => Type::Object,
        Some("array") => Type::Array,
        Some("string") => Type::String,
        Some("integer") => Type::Integer,
        Some("number") => Type::Number,
        Some("boolean") => Type::Boolean,
        other => panic!("{path}: {other:?}"),
    };
    assert_eq!(table.kind, kind, "type of {path}");
    assert_eq!(table.nullable, flag("nullable"), "nullable of {path}");
    assert_eq!(table.open, flag("x-kubernetes-preserve-unknown-fields"), "unknown fields of {path}");
    let texts = |key: &str| crd.items(&[key]).iter().map(|item| item.as_str().unwrap()).collect::<BTreeSet<_>>();
    assert_eq!(
        table.required.iter().map(|name| &**name).collect::<BTreeSet<_>>(),
        texts("required"),
        "required of {path}"
    );
    let both = crd.items(&["allOf"]).first().unwrap_or(crd);
    let allowed: BTreeSet<String> = table.allowed.iter().map(|item| item.to_json().to_string()).collect();
    let expected = both.items(&["enum"]).iter().map(|item| item.to_json().to_string()).collect();
    assert_eq!(allowed, expected, "enum of {path}");
    assert_eq!(table.pattern.as_ref().map(|pattern| &*pattern.text), crd.text(&["pattern"]), "pattern of {path}");
    assert_eq!(table.format.as_deref(), crd.text(&["format"]), "format of {path}");
    assert_eq!(table.default.as_ref(), crd.get("default"), "default of {path}");
    let number = |key: &str| crd.get(key).map(|value| value.to_json().as_f64().unwrap());
    assert_eq!((table.minimum, table.maximum), (number("minimum"), number("maximum")), "limits of {path}");
    let length = |keys: [&str; 3]| {
        let value = keys.into_iter().find_map(|key| crd.get(key).and_then(Node::as_i64));
        value.map(|value| usize::try_from(value).unwrap())
    };
    assert_eq!(table.min_len, length(["minLength", "minItems", "minProperties"]), "least length of {path}");
    assert_eq!(table.max_len, length(["maxLength", "maxItems", "maxProperties"]), "greatest length of {path}");
    let list_key = match crd.text(&["x-kubernetes-list-type"]) {
        Some("set") => Some(ListKey::Set),
        Some("map") => {
            let keys = crd.items(&["x-kubernetes-list-map-keys"]).iter();
            Some(ListKey::Fields(keys.map(|key| key.as_str().unwrap().to_owned()).collect()))
        }
        _ => None,
    };
    assert_eq!(table.list_key, list_key, "list type of {path}");
    let rules: Vec<String> = table.rules.iter().map(|rule| rule.text.to_string()).collect();
    let expected = crd.items(&["x-kubernetes-validations"]).iter().map(|rule| rule.text(&["rule"]).unwrap());
    let expected: Vec<String> = expected.map(|rule| rule.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(rules, expected, "rules of {path}");

    let names = crd.fields(&["properties"]).iter().map(|entry| &*entry.key.text);
    let names: Vec<&str> = names.filter(|name| !(top && elsewhere.contains(name))).collect();
    assert_eq!(table.properties.iter().map(|(name, _)| &**name).collect::<Vec<_>>(), names, "fields of {path}");
    for name in names {
        compare(
            crd.at(&["properties", name]).unwrap(),
            table.property(name).unwrap(),
            &format!("{path}.{name}"),
            false,
            count,
        );
    }
    for (key, child) in [("items", &table.items), ("additionalProperties", &table.additional)] {
        assert_eq!(crd.get(key).is_some(), child.is_some(), "{key} of {path}");
        if let (Some(crd), Some(table)) = (crd.get(key), child) {
            compare(crd, table, &format!("{path}.{key}"), false, count);
        }
    }
}

#[test]
fn patterns_and_rules_can_be_evaluated() {
    let schemas = Schemas::built_in();
    let mut rules = BTreeMap::new();
    let mut patterns = BTreeSet::new();
    for line in schemas.lines() {
        visit(schemas.schema(line), &mut |schema| {
            if let Some(pattern) = schema.pattern.as_ref().filter(|pattern| pattern.regex().is_none()) {
                patterns.insert(pattern.text.to_string());
            }
            for rule in schema.rules.iter().filter(|rule| rule.is_static()) {
                *rules.entry(rule.text.to_string()).or_insert(true) &= rule.expression().is_some();
            }
        });
    }
    assert_eq!(patterns, BTreeSet::new(), "patterns that cannot be compiled");
    let unread: Vec<&String> = rules.iter().filter(|(_, read)| !**read).map(|(text, _)| text).collect();
    assert!(unread.is_empty() && rules.len() > 80, "of {} rules these are not read: {unread:#?}", rules.len());
}

fn visit(schema: &Schema, see: &mut dyn FnMut(&Schema)) {
    see(schema);
    let children = schema.properties.iter().map(|(_, field)| field);
    for child in children.chain(&schema.items).chain(&schema.additional) {
        visit(child, see);
    }
}

#[test]
fn what_the_controllers_took_passes() {
    let Some(shared) = facts() else { return };
    let mut count = 0;
    for (path, objects) in documents(&shared.join("oracle")) {
        if path.starts_with("rejected/") {
            continue;
        }
        for object in objects {
            let faults = check(&object, true);
            let errors: Vec<&Diagnostic> = faults.iter().filter(|fault| fault.severity == Severity::Error).collect();
            assert!(errors.is_empty(), "{path} {}: {errors:#?}", name(&object));
            count += 1;
        }
    }
    assert!(count > 500, "only {count} objects");
}

/// What the API server's schema check said in `verdict.txt`, against ours: object by object.
#[test]
fn what_the_api_server_refused_is_refused() {
    let Some(shared) = facts() else { return };
    let mut count = 0;
    for (path, objects) in documents(&shared.join("oracle/rejected")) {
        let Some((case, "input.yaml")) = path.split_once('/') else { continue };
        let verdict = std::fs::read_to_string(shared.join("oracle/rejected").join(case).join("verdict.txt")).unwrap();
        for object in objects {
            let names = [object.text(&["metadata", "namespace"]), object.text(&["metadata", "name"])];
            let prefix = format!(
                "{} {}:",
                object.text(&["kind"]).unwrap(),
                names.into_iter().flatten().collect::<Vec<_>>().join("/")
            );
            let said: Vec<&str> = verdict.lines().filter(|line| line.trim_start().starts_with(&prefix)).collect();
            let of_schema = said.iter().any(|line| {
                let by_schema = line.contains("\" is invalid: ") || line.contains("strict decoding error");
                by_schema
                    && !line.contains("admission webhook")
                    && !line.contains("immutable")
                    && !line.contains("Value is")
            });
            let codes: Vec<&str> = check(&object, false).iter().map(|fault| fault.code).collect();
            assert_eq!(of_schema, !codes.is_empty(), "{path} {prefix} {codes:?}, the API server: {said:#?}");
            for line in said.iter().filter(|_| of_schema) {
                for (words, code) in [
                    ("Required value", "missing-field"),
                    ("unknown field", "unknown-field"),
                    ("should match", "value-pattern"),
                    ("Unsupported value", "value-not-allowed"),
                    ("must be of type", "wrong-type"),
                    ("than or equal to", "value-range"),
                    ("Too many", "too-many-items"),
                    ("should have at least", "too-few-items"),
                    ("Too long", "value-length"),
                    ("chars long", "value-length"),
                    ("must be set", "schema-rule"),
                ] {
                    assert!(!line.contains(words) || codes.contains(&code), "{path} {line}: {codes:?}");
                }
            }
            count += 1;
        }
    }
    assert!(count > 100, "only {count} objects");
}

#[test]
fn published_examples_have_the_known_faults_and_no_others() {
    let Some(shared) = facts() else { return };
    let mut faults = BTreeMap::new();
    let mut count = 0;
    for (path, objects) in documents(&shared.join("examples/dpf-v24.10")) {
        if path.contains("helm-values") {
            continue;
        }
        for object in objects {
            for fault in check(&object, false) {
                *faults.entry(format!("{}: {}", fault.code, fault.message)).or_insert(0) += 1;
            }
            count += 1;
        }
    }
    let expected = [
        "null-value: `spec.serviceDaemonSet.labels` of DPUService `dpf-operator-system/doca-hbn` is null, it must be a map",
        "null-value: `spec.template.spec.nodeSelector` of DPUServiceChain `dpf-operator-system/hbn-to-fabric` is null, it must be a map",
        "null-value: `spec.template.spec.nodeSelector` of DPUServiceChain `dpf-operator-system/host-to-hbn` is null, it must be a map",
        "value-pattern: `spec.url` of BFB `dpf-operator-system/bf-bundle` is `$BLUEFIELD_BITSTREAM`, which is not of the form required",
    ];
    assert_eq!(faults.keys().collect::<Vec<_>>(), expected);
    assert!(count > 50, "only {count} objects");
}
