//! What the API server says to a change of an object: the rules of its CRD that name the object as it was. PURE.
//!
//! In: the object before and after, a [`Release`]. Out: each rule that is broken, and where. As the API server does it, a rule
//! counts only where its place is there before and after, defaults filled in; items of lists have a past only where the list
//! has keys.

use crate::node::{Node, Value};
use crate::schema::table::{ListKey, Schema};
use crate::schema::{Schemas, cel};
use crate::site::Release;

/// A rule that a change breaks.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Refusal {
    /// Keys to the place of the rule; items of lists are passed through.
    pub path: Vec<String>,
    /// What the API server says; the rule itself where its CRD has no words.
    pub message: String,
}

impl Schemas {
    /// The rules that the change of an object from `before` to `after` breaks.
    #[must_use]
    pub fn transitions(&self, before: &Node, after: &Node, release: Release) -> Vec<Refusal> {
        let api = after.text(&["apiVersion"]).unwrap_or_default();
        let (group, version) = api.split_once('/').unwrap_or(("", api));
        let kind = after.text(&["kind"]).unwrap_or_default();
        let mut out = Vec::new();
        if let Some(line) = self.find(group, version, kind, release) {
            walk(self.schema(line), before, after, &mut Vec::new(), &mut out);
        }
        out
    }
}

/// [`Schemas::transitions`] of the table of this program.
#[must_use]
pub fn transitions(before: &Node, after: &Node, release: Release) -> Vec<Refusal> {
    Schemas::built_in().transitions(before, after, release)
}

fn walk(schema: &Schema, before: &Node, after: &Node, path: &mut Vec<String>, out: &mut Vec<Refusal>) {
    if !schema.has_rules || before.same(after) {
        return;
    }
    for rule in schema.rules.iter().filter(|rule| rule.text.contains("oldSelf")) {
        let holds = rule.expression().and_then(|parsed| cel::holds_after(parsed, before, after, schema));
        if holds == Some(false) {
            let message = if rule.message.is_empty() { &rule.text } else { &rule.message };
            out.push(Refusal { path: path.clone(), message: message.to_string() });
        }
    }
    match (before.value(), after.value()) {
        (Value::Map(_), Value::Map(_)) => {
            for (name, field) in &schema.properties {
                step(field, [before, after].map(|node| value(node, name, field)), name, path, out);
            }
            if let Some(field) = &schema.additional {
                for entry in after.fields(&[]).iter().filter(|entry| schema.property(&entry.key.text).is_none()) {
                    let name = &*entry.key.text;
                    step(field, [before.get(name), Some(&entry.value)], name, path, out);
                }
            }
        }
        (Value::List(old), Value::List(new)) => {
            let (Some(items), Some(ListKey::Fields(keys))) = (&schema.items, &schema.list_key) else { return };
            for item in new {
                let same = |other: &&Node| keys.iter().all(|key| other.get(key) == item.get(key));
                if let Some(past) = old.iter().find(same) {
                    walk(items, past, item, path, out);
                }
            }
        }
        _ => {}
    }
}

fn step(
    schema: &Schema,
    [before, after]: [Option<&Node>; 2],
    name: &str,
    path: &mut Vec<String>,
    out: &mut Vec<Refusal>,
) {
    if let (Some(before), Some(after)) = (before, after) {
        path.push(name.to_owned());
        walk(schema, before, after, path, out);
        path.pop();
    }
}

/// What is written, or its default.
fn value<'a>(node: &'a Node, name: &str, schema: &'a Schema) -> Option<&'a Node> {
    node.get(name).filter(|value| !value.is_null() || schema.nullable).or(schema.default.as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Origin;
    use serde_json::{Value as Json, json};

    fn refused(api: &str, kind: &str, release: Release, specs: [Json; 2]) -> Vec<String> {
        let [before, after] = specs.map(|spec| {
            let object = json!({"apiVersion": api, "kind": kind, "metadata": {"name": "x"}, "spec": spec});
            Node::from_json(&object, Origin::NONE)
        });
        transitions(&before, &after, release).into_iter().map(|one| one.path.join(".")).collect()
    }

    const PROVISIONING: &str = "provisioning.dpu.nvidia.com/v1alpha1";
    const SVC: &str = "svc.dpu.nvidia.com/v1alpha1";

    #[test]
    fn what_may_not_change_differs_between_releases() {
        let specs = || {
            [
                json!({"url": "http://a/x.bfb", "fileName": "a.bfb"}),
                json!({"url": "http://a/x.bfb", "fileName": "b.bfb"}),
            ]
        };
        assert_eq!(refused(PROVISIONING, "BFB", Release::V24_10, specs()), ["spec"]);
        assert!(refused(PROVISIONING, "BFB", Release::V25_1, specs()).is_empty());
        assert_eq!(refused(PROVISIONING, "BFB", Release::V25_4, specs()), ["spec.fileName"]);
    }

    #[test]
    fn a_place_without_a_past_may_be_set() {
        let of = |before: Json, after: Json| refused(PROVISIONING, "DPUCluster", Release::V24_10, [before, after]);
        assert!(of(json!({"type": "static"}), json!({"type": "static", "kubeconfig": "a"})).is_empty());
        assert!(of(json!({"kubeconfig": ""}), json!({"kubeconfig": "a"})).is_empty());
        assert_eq!(of(json!({"kubeconfig": "a"}), json!({"kubeconfig": "b"})), ["spec.kubeconfig"]);
        assert!(of(json!({"kubeconfig": "a", "maxNodes": 1}), json!({"kubeconfig": "a", "maxNodes": 2})).is_empty());
    }

    #[test]
    fn rules_deep_inside_and_defaults_count() {
        let interface = |spec: Json| json!({"template": {"spec": {"template": {"spec": spec}}}});
        let service = |network: Option<&str>| {
            let mut service = json!({"serviceID": "s", "network": "n", "interfaceName": "i"});
            if let Some(network) = network {
                service["virtualNetwork"] = json!(network);
            }
            interface(json!({"interfaceType": "service", "service": service}))
        };
        let specs = [service(None), service(Some("red"))];
        let found = refused(SVC, "DPUServiceInterface", Release::V25_7, specs.clone());
        assert_eq!(found, ["spec.template.spec.template.spec.service"]);
        // The default of v25.7 is one.
        let devices = |number: Option<i64>| match number {
            Some(number) => json!({"serialNumber": "s", "numberOfPFs": number}),
            None => json!({"serialNumber": "s"}),
        };
        assert_eq!(
            refused(PROVISIONING, "DPUDevice", Release::V25_7, [devices(None), devices(Some(2))]),
            ["spec.numberOfPFs"]
        );
        assert!(refused(PROVISIONING, "DPUDevice", Release::V25_7, [devices(None), devices(Some(1))]).is_empty());
    }
}
