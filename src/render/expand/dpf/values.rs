//! The values of a service out of several layers of values. PURE.
//!
//! In: two tables, the left the stronger. Out: one, and what was lost on the way. Mirrors `mergeHelmValues` of
//! `internal/dpuservice/controllers` and Helm's `chartutil.MergeTables`, release v24.10.0-rc.6.

use crate::node::Node;
use crate::render::merge::helm;

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
        (Some(strong), Some(weak)) => Some(helm(&weak, &strong, &mut Vec::new(), &mut |path, kept, dropped| {
            clashes.push(Clash { path: path.join("."), kept: kept.clone(), dropped: dropped.clone() });
        })),
        (strong, weak) => strong.or(weak),
    }
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
