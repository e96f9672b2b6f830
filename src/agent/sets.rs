//! What `ServiceInterfaceSet`s and `ServiceChainSet`s make for one node, where no set controller runs. PURE.
//!
//! In: a Set as JSON, the name and the labels of the node. Out: whether the Set selects the node; the per-node object as JSON. Mirrors
//! `internal/servicechainset/controllers` of DPF v24.10.0-rc.6: names, labels (those of the template win), annotations of the Set
//! itself, parents with the name of the node. Nothing has a `uid`, as no such object is in the cluster.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// The kinds of Set: the kind, that of its members, and the label with the name and the namespace of the Set.
const KINDS: [(&str, &str, &str); 2] = [
    ("ServiceChainSet", "ServiceChain", "svc.dpu.nvidia.com/servicechainset"),
    ("ServiceInterfaceSet", "ServiceInterface", "svc.dpu.nvidia.com/serviceinterfaceset"),
];

/// The member of the Set on the node, if it selects it; `None` where it is going, or is no Set.
#[must_use]
pub fn member(set: &Value, kind: &str, node: &str) -> Option<Value> {
    let (_, member, label) = KINDS.iter().find(|(set, ..)| *set == kind)?;
    let meta = set.get("metadata")?;
    if meta.get("deletionTimestamp").is_some_and(Value::is_string) {
        return None;
    }
    let text = |name: &str| meta.get(name).and_then(Value::as_str).unwrap_or_default();
    let mut spec = set.pointer("/spec/template/spec").and_then(Value::as_object).cloned().unwrap_or_default();
    let own = [
        (format!("{label}-name"), text("name").to_owned()),
        (format!("{label}-namespace"), text("namespace").to_owned()),
        ("svc.dpu.nvidia.com/nodeName".to_owned(), node.to_owned()),
    ];
    let mut all: Map<String, Value> = own.into_iter().map(|(key, value)| (key, json!(value))).collect();
    if let Some(id) = spec.get("service").and_then(|service| service.get("serviceID")) {
        all.insert("svc.dpu.nvidia.com/service-id".to_owned(), id.clone());
    }
    let template = set.pointer("/spec/template/metadata/labels").and_then(Value::as_object);
    all.extend(template.cloned().unwrap_or_default());
    for block in ["vlan", "vf"] {
        if let Some(block) = spec.get_mut(block).and_then(Value::as_object_mut) {
            let parent = block.get("parentInterfaceRef").and_then(Value::as_str).unwrap_or_default();
            let parent = format!("{parent}-{node}");
            block.insert("parentInterfaceRef".to_owned(), json!(parent));
        }
    }
    spec.insert("node".to_owned(), json!(node));
    let mut metadata = json!({
        "namespace": text("namespace"), "name": format!("{}-{node}", text("name")), "labels": all,
        "creationTimestamp": text("creationTimestamp"), "generation": meta.get("generation"),
    });
    if let Some(annotations) = meta.get("annotations") {
        metadata["annotations"] = annotations.clone();
    }
    Some(json!({"apiVersion": "svc.dpu.nvidia.com/v1alpha1", "kind": member, "metadata": metadata, "spec": spec}))
}

/// Whether a selector takes these labels; none takes everything, one that cannot be read nothing.
#[must_use]
pub fn selects(selector: Option<&Value>, labels: &BTreeMap<String, String>) -> bool {
    let Some(selector) = selector.filter(|selector| !selector.is_null()) else { return true };
    let entries = selector.get("matchLabels").and_then(Value::as_object);
    let expressions = selector.get("matchExpressions").and_then(Value::as_array);
    entries.into_iter().flatten().all(|(key, value)| value.as_str() == labels.get(key).map(String::as_str))
        && expressions.into_iter().flatten().all(|expression| holds(expression, labels).unwrap_or(false))
}

/// Whether a selector can be read. CRDs let any operator through, and values where none belong.
#[must_use]
pub fn is_selector(selector: Option<&Value>) -> bool {
    let expressions = selector.and_then(|selector| selector.get("matchExpressions")).and_then(Value::as_array);
    expressions.into_iter().flatten().all(|expression| holds(expression, &BTreeMap::new()).is_some())
}

/// `None` for what cannot be read.
fn holds(expression: &Value, labels: &BTreeMap<String, String>) -> Option<bool> {
    let there = labels.get(expression.get("key")?.as_str()?);
    let values = expression.get("values").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let among = there.is_some_and(|there| values.iter().any(|value| value.as_str() == Some(there)));
    match (expression.get("operator")?.as_str()?, values.is_empty()) {
        ("In", false) => Some(among),
        ("NotIn", false) => Some(!among),
        ("Exists", true) => Some(there.is_some()),
        ("DoesNotExist", true) => Some(there.is_none()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(list: &[(&str, &str)]) -> BTreeMap<String, String> {
        list.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_member_is_what_the_set_controller_makes() {
        let set = json!({
            "metadata": {"namespace": "ns", "name": "vf", "uid": "u", "generation": 3, "annotations": {"a": "b"}},
            "spec": {"nodeSelector": null, "template": {
                "metadata": {"labels": {"uplink": "p0", "svc.dpu.nvidia.com/nodeName": "mine"}, "annotations": {"lost": "x"}},
                "spec": {"interfaceType": "vf", "node": "no", "vf": {"pfID": 0, "vfID": 2, "parentInterfaceRef": "p0"}},
            }},
        });
        let expected = json!({
            "apiVersion": "svc.dpu.nvidia.com/v1alpha1", "kind": "ServiceInterface",
            "metadata": {
                "namespace": "ns", "name": "vf-w", "creationTimestamp": "", "generation": 3, "annotations": {"a": "b"},
                "labels": {
                    "svc.dpu.nvidia.com/serviceinterfaceset-name": "vf",
                    "svc.dpu.nvidia.com/serviceinterfaceset-namespace": "ns",
                    "svc.dpu.nvidia.com/nodeName": "mine", "uplink": "p0",
                },
            },
            "spec": {"interfaceType": "vf", "node": "w", "vf": {"pfID": 0, "vfID": 2, "parentInterfaceRef": "p0-w"}},
        });
        assert_eq!(member(&set, "ServiceInterfaceSet", "w"), Some(expected));
    }

    #[test]
    fn a_service_is_labelled_and_a_set_that_goes_has_no_member() {
        let mut set = json!({
            "metadata": {"namespace": "ns", "name": "s"},
            "spec": {"template": {"spec": {"interfaceType": "service", "service": {"serviceID": "hbn"}}}},
        });
        let made = member(&set, "ServiceInterfaceSet", "w").unwrap();
        assert_eq!(made.pointer("/metadata/labels/svc.dpu.nvidia.com~1service-id"), Some(&json!("hbn")));
        set["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        assert_eq!(member(&set, "ServiceInterfaceSet", "w"), None);
    }

    #[test]
    fn selectors_are_those_of_kubernetes() {
        let node = labels(&[("rack", "r1")]);
        let expression = |operator: &str, key: &str, values: &[&str]| json!({"matchExpressions": [{"key": key, "operator": operator, "values": values}]});
        for (selector, selected) in [
            (json!({}), true),
            (json!({"matchLabels": {"rack": "r1"}}), true),
            (json!({"matchLabels": {"rack": "r2"}}), false),
            (json!({"matchLabels": {"rack": 1}}), false),
            (expression("In", "rack", &["r0", "r1"]), true),
            (expression("In", "row", &["r1"]), false),
            (expression("NotIn", "rack", &["r1"]), false),
            (expression("NotIn", "row", &["r1"]), true),
            (expression("Exists", "rack", &[]), true),
            (expression("DoesNotExist", "rack", &[]), false),
        ] {
            assert_eq!(selects(Some(&selector), &node), selected, "{selector}");
            assert!(is_selector(Some(&selector)), "{selector}");
        }
        assert!(selects(None, &node) && is_selector(None));
        // The API server's own selectors have none of these.
        for selector in [
            expression("Gt", "rack", &["1"]),
            expression("In", "rack", &[]),
            expression("NotIn", "rack", &[]),
            expression("Exists", "rack", &["r1"]),
            json!({"matchExpressions": [{"operator": "Exists"}]}),
        ] {
            assert!(!selects(Some(&selector), &node) && !is_selector(Some(&selector)), "{selector}");
        }
    }
}
