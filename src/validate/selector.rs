//! Label selectors, and what can be said of two of them without knowing the nodes. PURE.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::node::{EXPRESSION, Node};
use crate::site::{Dpu, Host};

/// How a requirement compares.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Operator {
    /// One of the values.
    In,
    /// None of the values, or no such label.
    NotIn,
    /// Whatever value.
    Exists,
    /// No such label.
    DoesNotExist,
}

/// One requirement of a selector.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Requirement<'a> {
    pub(super) key: Cow<'a, str>,
    pub(super) operator: Operator,
    pub(super) values: Vec<Cow<'a, str>>,
}

/// A LabelSelector: all requirements hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Selector<'a> {
    pub(super) requirements: Vec<Requirement<'a>>,
    /// Part of it is not known here: an expression that waits, or what no selector may hold.
    pub(super) open: bool,
}

/// Whether labels match, as far as the labels are known.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Verdict {
    /// They do not.
    No,
    /// It depends on labels that are set elsewhere.
    Perhaps,
    /// They do.
    Yes,
}

/// Text that is known here: no expression waits in it.
pub(super) fn known(node: &Node) -> Option<&str> {
    node.as_str().filter(|text| !text.contains(EXPRESSION))
}

impl<'a> Selector<'a> {
    /// Of a LabelSelector; absent is everything.
    pub(super) fn of(node: Option<&'a Node>) -> Self {
        let mut selector = Self::default();
        let Some(node) = node else { return selector };
        for entry in node.fields(&["matchLabels"]) {
            match known(&entry.value) {
                Some(value) if !entry.key.text.contains(EXPRESSION) => selector.requirements.push(Requirement {
                    key: Cow::Borrowed(&entry.key.text),
                    operator: Operator::In,
                    values: vec![Cow::Borrowed(value)],
                }),
                _ => selector.open = true,
            }
        }
        for item in node.items(&["matchExpressions"]) {
            let operator = match item.text(&["operator"]) {
                Some("In") => Operator::In,
                Some("NotIn") => Operator::NotIn,
                Some("Exists") => Operator::Exists,
                Some("DoesNotExist") => Operator::DoesNotExist,
                _ => {
                    selector.open = true;
                    continue;
                }
            };
            let values: Option<Vec<_>> =
                item.items(&["values"]).iter().map(|value| known(value).map(Cow::Borrowed)).collect();
            match (item.get("key").and_then(known), values) {
                (Some(key), Some(values)) => {
                    selector.requirements.push(Requirement { key: Cow::Borrowed(key), operator, values });
                }
                _ => selector.open = true,
            }
        }
        selector
    }

    /// Of labels that must have these values.
    pub(super) fn labels(labels: impl IntoIterator<Item = (String, String)>) -> Self {
        let requirements = labels
            .into_iter()
            .map(|(key, value)| Requirement {
                key: Cow::Owned(key),
                operator: Operator::In,
                values: vec![Cow::Owned(value)],
            })
            .collect();
        Self { requirements, open: false }
    }

    /// Whether it takes every node.
    pub(super) fn is_everything(&self) -> bool {
        self.requirements.is_empty() && !self.open
    }

    /// Whether no node can match both.
    pub(super) fn excludes(&self, other: &Self) -> bool {
        use Operator::{DoesNotExist, Exists, In, NotIn};
        self.requirements.iter().any(|mine| {
            other.requirements.iter().filter(|theirs| theirs.key == mine.key).any(|theirs| {
                match (mine.operator, theirs.operator) {
                    (In, In) => !mine.values.iter().any(|value| theirs.values.contains(value)),
                    (In, NotIn) => mine.values.iter().all(|value| theirs.values.contains(value)),
                    (NotIn, In) => theirs.values.iter().all(|value| mine.values.contains(value)),
                    (In | Exists, DoesNotExist) | (DoesNotExist, In | Exists) => true,
                    _ => false,
                }
            })
        })
    }

    /// Whether a node matches. Labels that DPF and the kubelet set are not in any inventory.
    pub(super) fn verdict(&self, labels: &BTreeMap<&str, &str>) -> Verdict {
        let mut verdict = if self.open { Verdict::Perhaps } else { Verdict::Yes };
        for requirement in &self.requirements {
            let value = labels.get(&*requirement.key);
            let holds = match (value, requirement.operator) {
                (None, _) if is_set_elsewhere(&requirement.key) => {
                    verdict = verdict.min(Verdict::Perhaps);
                    continue;
                }
                (Some(value), Operator::In) => requirement.values.iter().any(|wanted| wanted == value),
                (Some(value), Operator::NotIn) => !requirement.values.iter().any(|wanted| wanted == value),
                (value, Operator::Exists) => value.is_some(),
                (value, Operator::DoesNotExist) => value.is_none(),
                (None, Operator::In) => false,
                (None, Operator::NotIn) => true,
            };
            if !holds {
                return Verdict::No;
            }
        }
        verdict
    }
}

/// Whether a Node label comes from the kubelet, Node Feature Discovery or DPF.
pub(super) fn is_set_elsewhere(key: &str) -> bool {
    let Some((domain, _)) = key.split_once('/') else { return false };
    ["kubernetes.io", "k8s.io", "dpu.nvidia.com", "openshift.io"]
        .iter()
        .any(|known| domain == *known || domain.strip_suffix(known).is_some_and(|rest| rest.ends_with('.')))
}

/// The labels of a card's Node as far as an inventory tells them.
pub(super) fn node_labels<'i>(host: &'i Host, dpu: &'i Dpu) -> BTreeMap<&'i str, &'i str> {
    let mut labels: BTreeMap<&str, &str> =
        dpu.labels.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    labels.entry("kubernetes.io/hostname").or_insert(&dpu.node_name);
    labels.entry("provisioning.dpu.nvidia.com/host").or_insert(&host.name);
    labels
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Origin;
    use serde_json::json;

    fn node(json: serde_json::Value) -> Node {
        Node::from_json(&json, Origin::NONE)
    }

    #[test]
    fn disjoint_selectors_are_told() {
        let a = node(json!({"matchLabels": {"rack": "r1"}}));
        let b = node(json!({"matchExpressions": [{"key": "rack", "operator": "In", "values": ["r2", "r3"]}]}));
        let c = node(json!({"matchExpressions": [{"key": "rack", "operator": "Exists"}]}));
        let d = node(json!({"matchExpressions": [{"key": "rack", "operator": "DoesNotExist"}]}));
        let of = |node| Selector::of(Some(node));
        assert!(of(&a).excludes(&of(&b)));
        assert!(!of(&a).excludes(&of(&c)));
        assert!(of(&c).excludes(&of(&d)));
        assert!(!of(&a).excludes(&Selector::default()));
    }

    #[test]
    fn labels_of_others_leave_it_open() {
        let labels = BTreeMap::from([("rack", "r1")]);
        let of = |json| {
            let node = node(json);
            Selector::of(Some(&node)).verdict(&labels)
        };
        assert_eq!(of(json!({"matchLabels": {"rack": "r1"}})), Verdict::Yes);
        assert_eq!(of(json!({"matchLabels": {"rack": "r2"}})), Verdict::No);
        assert_eq!(of(json!({"matchLabels": {"svc.dpu.nvidia.com/x": "1"}})), Verdict::Perhaps);
        assert_eq!(of(json!({"matchLabels": {"rack": "${{ x }}"}})), Verdict::Perhaps);
    }
}
