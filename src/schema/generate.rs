//! The field table out of CRD files. PURE.
//!
//! In: `CustomResourceDefinition`s with the releases that have them. Out: lines of JSON, one per kind and distinct schema,
//! and one per subschema that several of them share, named by its digest. Descriptions, status and what says nothing about
//! validity are left out; what the table cannot say is returned as `ignored`. `schema::table` reads the lines.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value as Json, json};
use sha2::{Digest, Sha256};

use crate::node::{Node, Value};

/// Releases of an API that does not follow DPF's.
pub const EVERY_RELEASE: &str = "all";

/// One file of the table and the CRD folders it is made of, oldest release first.
pub struct Api {
    /// Name of the file in `src/schema/table`, without `.jsonl`.
    pub name: &'static str,
    /// Folder of CRD files, and the release that has them.
    pub folders: &'static [(&'static str, &'static str)],
    /// Kinds that nobody here writes and that would make the table large.
    pub without: &'static [&'static str],
}

/// Every file of the table.
pub const APIS: &[Api] = &[
    Api {
        name: "dpf",
        folders: &[
            ("dpf-v24.10", "v24.10"),
            ("dpf-v25.1", "v25.1"),
            ("dpf-v25.4-dev", "v25.4"),
            ("dpf-v25.7", "v25.7"),
            ("dpf-v25.10", "v25.10"),
            ("dpf-v26.4", "v26.4"),
            ("dpf-v26.8-nightly", "v26.8"),
        ],
        without: &[],
    },
    Api { name: "argo-cd", folders: &[("argo-cd", EVERY_RELEASE)], without: &["ApplicationSet"] },
    Api {
        name: "others",
        folders: &[
            ("cert-manager", EVERY_RELEASE),
            ("dpf-hcp-provisioner-operator", EVERY_RELEASE),
            ("multus", EVERY_RELEASE),
            ("nv-ipam", EVERY_RELEASE),
            ("openshift-dpu-network-operator", EVERY_RELEASE),
            ("openshift-dpu-operator", EVERY_RELEASE),
        ],
        without: &[],
    },
];

/// What [`table`] makes.
#[derive(Debug, Default)]
pub struct Generated {
    /// The lines.
    pub text: String,
    /// Keywords of schemas that the table does not keep although they say something about validity.
    pub ignored: BTreeSet<String>,
}

/// The table of CRDs, each set with the name of its release, oldest first.
#[must_use]
pub fn table<'a>(sets: impl IntoIterator<Item = (&'a str, &'a [Node])>, without: &[&str]) -> Generated {
    let mut ignored = BTreeSet::new();
    // By kind, then in order of release; an equal schema adds its release to the line.
    let mut lines: BTreeMap<String, Vec<(String, String, Json)>> = BTreeMap::new();
    for (release, crds) in sets {
        for crd in crds {
            let (Some(group), Some(kind)) = (crd.text(&["spec", "group"]), crd.text(&["spec", "names", "kind"])) else {
                continue;
            };
            if without.contains(&kind) {
                continue;
            }
            let scope = crd.text(&["spec", "scope"]).unwrap_or("Namespaced");
            for version in crd.items(&["spec", "versions"]) {
                if version.get("served").and_then(Node::as_bool) == Some(false) {
                    continue;
                }
                let name = version.text(&["name"]).unwrap_or_default();
                let schema = root(version.at(&["schema", "openAPIV3Schema"]), &mut ignored);
                let of_kind = lines.entry(format!("{group}/{name}/{kind}")).or_default();
                match of_kind.iter_mut().find(|(_, known, old)| known == scope && *old == schema) {
                    Some((releases, _, _)) if releases.split(' ').any(|known| known == release) => {}
                    Some((releases, _, _)) => *releases += &format!(" {release}"),
                    None => of_kind.push((release.to_owned(), scope.to_owned(), schema)),
                }
            }
        }
    }
    let mut sharing = Sharing::default();
    for (_, _, schema) in lines.values().flatten() {
        sharing.count(schema);
    }
    let mut text = String::new();
    for (kind, schemas) in &lines {
        for (releases, scope, schema) in schemas {
            let schema = sharing.rewrite_children(schema);
            text += &format!(
                "{{\"kind\":\"{kind}\",\"releases\":\"{releases}\",\"scope\":\"{scope}\",\"schema\":{schema}}}\n"
            );
        }
    }
    for (id, schema) in &sharing.shared {
        text += &format!("{{\"id\":\"{id}\",\"schema\":{schema}}}\n");
    }
    Generated { text, ignored }
}

/// The schema of a whole object: what every object has is checked elsewhere, status is not written by people.
fn root(schema: Option<&Node>, ignored: &mut BTreeSet<String>) -> Json {
    let Some(schema) = schema else { return json!({"t": "o", "u": true}) };
    let mut properties = schema.get("properties").cloned();
    for name in ["apiVersion", "kind", "metadata", "status"] {
        properties = properties.map(|properties| properties.without(name));
    }
    let schema = match properties {
        Some(properties) => schema.with("properties", properties),
        None => schema.clone(),
    };
    compact(&schema, ignored)
}

/// A schema under short names; see `schema::table` for what they mean.
fn compact(schema: &Node, ignored: &mut BTreeSet<String>) -> Json {
    let mut out = Map::new();
    let mut put = |key: &str, value: Json| out.insert(key.to_owned(), value);
    let int_or_string = schema.get("x-kubernetes-int-or-string").and_then(Node::as_bool) == Some(true);
    if int_or_string {
        put("t", "x".into());
    }
    for (key, value) in schema.fields(&[]).iter().map(|entry| (&*entry.key.text, &entry.value)) {
        match key {
            "description"
            | "title"
            | "example"
            | "externalDocs"
            | "x-kubernetes-map-type"
            | "x-kubernetes-int-or-string" => {}
            // Says no more than x-kubernetes-int-or-string beside it.
            "anyOf" if int_or_string => {}
            "type" => {
                let short = match value.as_str() {
                    Some("object") => "o",
                    Some("array") => "a",
                    Some("string") => "s",
                    Some("integer") => "i",
                    Some("number") => "n",
                    Some("boolean") => "b",
                    _ => continue,
                };
                put("t", short.into());
            }
            "properties" => {
                let fields = value.fields(&[]).iter();
                let fields: Map<String, Json> =
                    fields.map(|entry| (entry.key.text.to_string(), compact(&entry.value, ignored))).collect();
                if !fields.is_empty() {
                    put("p", fields.into());
                }
            }
            "required" => {
                put("r", value.to_json());
            }
            "items" => {
                put("i", compact(value, ignored));
            }
            "additionalProperties" => match value.value() {
                Value::Bool(false) => {}
                Value::Bool(true) => {
                    put("u", true.into());
                }
                _ => {
                    put("v", compact(value, ignored));
                }
            },
            "allOf" => {
                let enums: Option<Vec<&[Node]>> = value
                    .items(&[])
                    .iter()
                    .map(|part| part.get("enum").filter(|_| part.fields(&[]).len() == 1).and_then(Node::as_list))
                    .collect();
                match enums.as_deref() {
                    // Twice the same list in another order is all that is found.
                    Some([first, rest @ ..]) => {
                        let common = first.iter().filter(|item| rest.iter().all(|other| other.contains(item)));
                        put("e", common.map(Node::to_json).collect());
                    }
                    _ => {
                        ignored.insert(key.to_owned());
                    }
                }
            }
            "enum" => {
                put("e", value.to_json());
            }
            "x-kubernetes-list-type" => match value.as_str() {
                Some("set") => {
                    put("k", "set".into());
                }
                Some("map") => {
                    put("k", schema.get("x-kubernetes-list-map-keys").map_or(Json::Null, Node::to_json));
                }
                _ => {}
            },
            "x-kubernetes-list-map-keys" => {}
            "x-kubernetes-preserve-unknown-fields" | "x-kubernetes-embedded-resource" | "nullable" => {
                if value.as_bool() == Some(true) {
                    put(if key == "nullable" { "z" } else { "u" }, true.into());
                }
            }
            "x-kubernetes-validations" => {
                put("c", value.items(&[]).iter().map(rule).collect());
            }
            "pattern" => {
                put("m", value.to_json());
            }
            "default" => {
                put("d", value.to_json());
            }
            "format" => {
                put("f", value.to_json());
            }
            "minimum" => {
                put("lo", value.to_json());
            }
            "maximum" => {
                put("hi", value.to_json());
            }
            "minLength" | "minItems" | "minProperties" => {
                put("min", value.to_json());
            }
            "maxLength" | "maxItems" | "maxProperties" => {
                put("max", value.to_json());
            }
            _ => {
                ignored.insert(key.to_owned());
            }
        }
    }
    // A type alone is written as its letter.
    match (out.len(), out.get("t")) {
        (1, Some(letter)) => letter.clone(),
        _ => Json::Object(out),
    }
}

/// `[rule, message]`; a third member where the rule also holds for new objects although it names the old one.
fn rule(rule: &Node) -> Json {
    let line = |key: &str| rule.text(&[key]).unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ");
    let mut out: Vec<Json> = vec![line("rule").into(), line("message").into()];
    if rule.get("optionalOldSelf").and_then(Node::as_bool) == Some(true) {
        out.push(true.into());
    }
    out.into()
}

/// Finds subschemas that occur more than once and gives each a line of its own.
#[derive(Default)]
struct Sharing {
    /// Text of a subschema, and how many distinct places refer to it.
    seen: BTreeMap<String, usize>,
    /// Digest, and text with references.
    shared: BTreeMap<String, String>,
}

impl Sharing {
    /// A shorter text is not worth a reference.
    const WORTH: usize = 60;

    fn count(&mut self, schema: &Json) {
        let text = schema.to_string();
        if text.len() < Self::WORTH {
            return;
        }
        let seen = self.seen.entry(text).or_default();
        *seen += 1;
        if *seen == 1 {
            for child in children(schema) {
                self.count(child);
            }
        }
    }

    fn rewrite(&mut self, schema: &Json) -> Json {
        let text = schema.to_string();
        if self.seen.get(&text).is_none_or(|&count| count < 2) {
            return self.rewrite_children(schema);
        }
        let digest: String = Sha256::digest(&text).iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        let id = format!("#{digest}");
        if !self.shared.contains_key(&id) {
            let rewritten = self.rewrite_children(schema).to_string();
            self.shared.insert(id.clone(), rewritten);
        }
        id.into()
    }

    fn rewrite_children(&mut self, schema: &Json) -> Json {
        let Json::Object(map) = schema else { return schema.clone() };
        let members = map.iter().map(|(key, value)| {
            let value = match (key.as_str(), value) {
                ("p", Json::Object(fields)) => {
                    fields.iter().map(|(name, field)| (name.clone(), self.rewrite(field))).collect()
                }
                ("i" | "v", value) => self.rewrite(value),
                (_, value) => value.clone(),
            };
            (key.clone(), value)
        });
        members.collect()
    }
}

fn children(schema: &Json) -> impl Iterator<Item = &Json> {
    let fields = schema.get("p").and_then(Json::as_object).into_iter().flat_map(Map::values);
    fields.chain(["i", "v"].into_iter().filter_map(|key| schema.get(key)))
}
