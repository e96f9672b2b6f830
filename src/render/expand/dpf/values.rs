//! Helm's coalescing of value tables. PURE.
//!
//! In: two tables, the left the stronger. Out: one. Mirrors `mergeHelmValues` of
//! `internal/dpuservice/controllers` and Helm's `chartutil.MergeTables`, release v24.10.0-rc.6.

use crate::node::{Entry, Map, Node, Value};

/// A place where a table met something else and one of the two was dropped whole: path, kept, dropped.
pub(super) struct Clash {
    pub(super) path: String,
    pub(super) kept: Node,
    pub(super) dropped: Node,
}

/// `strong` over `weak`; a side that is absent or null does not count. Nothing where both are.
pub(super) fn merge(strong: Option<&Node>, weak: Option<&Node>, clashes: &mut Vec<Clash>) -> Option<Node> {
    let side = |node: Option<&Node>| node.filter(|node| !node.is_null()).cloned();
    match (side(strong), side(weak)) {
        (Some(strong), Some(weak)) => Some(coalesce(&strong, &weak, &mut String::new(), clashes)),
        (strong, weak) => strong.or(weak),
    }
}

fn coalesce(strong: &Node, weak: &Node, path: &mut String, clashes: &mut Vec<Clash>) -> Node {
    let (Value::Map(over), Value::Map(under)) = (strong.value(), weak.value()) else {
        // An explicit null is Helm's way to delete a default: no clash.
        if strong.as_map().is_some() != weak.as_map().is_some() && !strong.is_null() && !weak.is_null() {
            clashes.push(Clash { path: path.clone(), kept: strong.clone(), dropped: weak.clone() });
        }
        return strong.over(weak);
    };
    if over.is_empty() {
        return weak.clone();
    }
    let (mut left, mut right) = (over.entries().iter().peekable(), under.entries().iter().peekable());
    let mut entries = Vec::with_capacity(over.len().max(under.len()));
    loop {
        let order = match (left.peek(), right.peek()) {
            (Some(a), Some(b)) => a.key.text.cmp(&b.key.text),
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (None, None) => break,
        };
        match order {
            std::cmp::Ordering::Less => entries.extend(left.next().cloned()),
            std::cmp::Ordering::Greater => entries.extend(right.next().cloned()),
            std::cmp::Ordering::Equal => {
                if let (Some(a), Some(b)) = (left.next(), right.next()) {
                    let length = path.len();
                    path.push('.');
                    path.push_str(&a.key.text);
                    let value = coalesce(&a.value, &b.value, path, clashes);
                    path.truncate(length);
                    entries.push(Entry { key: a.key.clone(), value });
                }
            }
        }
    }
    strong.with_value(Value::Map(Map::new(entries)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Origin;
    use serde_json::{Value as Json, json};

    fn merged(strong: Json, weak: Json) -> (Json, usize) {
        let node = |json: Json| Node::from_json(&json, Origin::NONE);
        let mut clashes = Vec::new();
        let both = merge(Some(&node(strong)), Some(&node(weak)), &mut clashes);
        (both.map_or(Json::Null, |node| node.to_json()), clashes.len())
    }

    #[test]
    fn every_pairing_of_table_and_scalar() {
        assert_eq!(merged(Json::Null, json!({"a": 1})), (json!({"a": 1}), 0));
        assert_eq!(merged(json!({}), Json::Null), (json!({}), 0));
        assert_eq!(merged(Json::Null, Json::Null), (Json::Null, 0));
        assert_eq!(merged(json!({"a": 1}), json!({"a": 2, "b": 3})), (json!({"a": 1, "b": 3}), 0));
        assert_eq!(merged(json!({"m": {"x": 1}}), json!({"m": {"x": 2, "y": 3}})), (json!({"m": {"x": 1, "y": 3}}), 0));
        assert_eq!(merged(json!({"l": [1]}), json!({"l": [2, 3]})), (json!({"l": [1]}), 0));
        assert_eq!(merged(json!({"m": null}), json!({"m": {"x": 1}})), (json!({"m": null}), 0));
        assert_eq!(merged(json!({"m": 5}), json!({"m": {"x": 1}})), (json!({"m": 5}), 1));
        assert_eq!(merged(json!({"m": {"x": 1}}), json!({"m": 5})), (json!({"m": {"x": 1}}), 1));
        assert_eq!(merged(json!({"m": {"x": 1}}), json!({"m": null})), (json!({"m": {"x": 1}}), 0));
        assert_eq!(merged(json!({"m": {}}), json!({"m": {"x": 1}})), (json!({"m": {"x": 1}}), 0));
    }
}
