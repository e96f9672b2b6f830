//! Label selectors and node selectors, as Kubernetes matches them. PURE.
//!
//! In: a selector as a node and the labels of a Node. Out: whether it selects. Mirrors `LabelSelectorAsSelector` of
//! apimachinery and `nodeaffinity.NewNodeSelector` of component-helpers.

use std::collections::BTreeMap;

use crate::node::Node;

/// Labels by key.
pub type Labels = BTreeMap<String, String>;

/// Whether a `LabelSelector` selects; absent, null or empty it selects everything. An operator that does not exist selects
/// nothing.
#[must_use]
pub fn label_selector(selector: Option<&Node>, labels: &Labels) -> bool {
    let Some(selector) = selector else { return true };
    match_labels(selector.get("matchLabels"), labels)
        && selector.items(&["matchExpressions"]).iter().all(|requirement| requirement_holds(requirement, labels))
}

/// Whether every entry of a map of labels is among `labels`.
#[must_use]
pub fn match_labels(wanted: Option<&Node>, labels: &Labels) -> bool {
    let entries = wanted.map(|map| map.fields(&[])).unwrap_or_default();
    entries.iter().all(|entry| labels.get(&*entry.key.text).map(String::as_str) == entry.value.as_str())
}

/// Whether a `NodeSelector` selects a Node: one of its terms must; a term without a requirement selects nothing.
#[must_use]
pub fn node_selector(selector: Option<&Node>, name: &str, labels: &Labels) -> bool {
    let Some(selector) = selector.filter(|selector| !selector.is_null()) else { return true };
    let fields = Labels::from([("metadata.name".to_owned(), name.to_owned())]);
    selector.items(&["nodeSelectorTerms"]).iter().any(|term| {
        let (expressions, names) = (term.items(&["matchExpressions"]), term.items(&["matchFields"]));
        !(expressions.is_empty() && names.is_empty())
            && expressions.iter().all(|requirement| requirement_holds(requirement, labels))
            && names.iter().all(|requirement| requirement_holds(requirement, &fields))
    })
}

fn requirement_holds(requirement: &Node, labels: &Labels) -> bool {
    let value = requirement.text(&["key"]).and_then(|key| labels.get(key));
    let values = requirement.items(&["values"]);
    let listed = || value.is_some_and(|value| values.iter().any(|item| item.as_str() == Some(value)));
    let compare = |holds: fn(i64, i64) -> bool| {
        let bound = values.first().and_then(Node::as_str).and_then(|text| text.parse().ok());
        value.and_then(|text| text.parse().ok()).zip(bound).is_some_and(|(value, bound)| holds(value, bound))
    };
    match requirement.text(&["operator"]) {
        Some("In") => listed(),
        Some("NotIn") => !listed(),
        Some("Exists") => value.is_some(),
        Some("DoesNotExist") => value.is_none(),
        Some("Gt") => compare(|value, bound| value > bound),
        Some("Lt") => compare(|value, bound| value < bound),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Origin;
    use serde_json::{Value as Json, json};

    fn labels() -> Labels {
        Labels::from([("rack".to_owned(), "r1".to_owned()), ("generation".to_owned(), "3".to_owned())])
    }

    fn by_label(selector: Json) -> bool {
        label_selector(Some(&Node::from_json(&selector, Origin::NONE)), &labels())
    }

    #[test]
    fn label_selectors_and_their_operators() {
        assert!(label_selector(None, &labels()));
        assert!(by_label(json!({})));
        assert!(by_label(json!({"matchLabels": {"rack": "r1"}})));
        assert!(!by_label(json!({"matchLabels": {"rack": "r2"}})));
        let expression = |operator, values: Json| {
            by_label(json!({"matchExpressions": [{"key": "rack", "operator": operator, "values": values}]}))
        };
        assert!(expression("In", json!(["r0", "r1"])) && !expression("In", json!([])));
        assert!(expression("NotIn", json!(["r0"])) && !expression("NotIn", json!(["r1"])));
        assert!(expression("Exists", Json::Null) && !expression("DoesNotExist", Json::Null));
        assert!(!expression("in", json!(["r1"])));
        assert!(by_label(json!({"matchExpressions": [{"key": "gone", "operator": "NotIn", "values": ["x"]}]})));
    }

    #[test]
    fn node_selectors_are_alternatives_of_terms() {
        let by_term = |terms: Json| {
            let selector = Node::from_json(&json!({"nodeSelectorTerms": terms}), Origin::NONE);
            node_selector(Some(&selector), "w1", &labels())
        };
        assert!(node_selector(None, "w1", &labels()));
        assert!(!by_term(json!([{}])));
        assert!(by_term(json!([{"matchExpressions": [{"key": "generation", "operator": "Gt", "values": ["2"]}]}])));
        assert!(!by_term(json!([{"matchExpressions": [{"key": "generation", "operator": "Lt", "values": ["3"]}]}])));
        assert!(by_term(json!([{}, {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["w1"]}]}])));
    }
}
