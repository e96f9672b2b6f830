//! Two nodes to one: the later over the earlier. PURE.
//!
//! Maps merge deeply, the later scalar wins and remembers what it replaced, `null` removes, lists are replaced unless they
//! have a merge key; `$patch: delete | replace` works as in a strategic merge patch. Below `values` and `valuesObject`
//! Helm's rules hold instead: explicit nulls are kept, lists are atomic. Unchanged subtrees are shared.

use crate::diagnostic::Diagnostic;
use crate::node::{Entry, Map, Node, Value};

/// Lists whose items are told apart by a key: group, kind (`*` for any), the path's end, the key.
///
/// Kubernetes' own are `patchMergeKey` in `k8s.io/api` v0.34; DPF's are lists whose items have a name of their own.
const MERGE_KEYS: &[(&str, &str, &[&str], &str)] = &[
    ("svc.dpu.nvidia.com", "DPUDeployment", &["dpus", "dpuSets"], "nameSuffix"),
    ("svc.dpu.nvidia.com", "DPUServiceConfiguration", &["spec", "interfaces"], "name"),
    ("provisioning.dpu.nvidia.com", "DPUFlavor", &["spec", "nvconfig"], "device"),
    ("provisioning.dpu.nvidia.com", "DPUFlavor", &["spec", "configFiles"], "path"),
    ("svc.dpu.nvidia.com", "NodeServiceInterfaces", &["spec", "interfaces"], "name"),
    ("nv-ipam.nvidia.com", "CIDRPool", &["spec", "staticAllocations"], "nodeName"),
    ("", "*", &["containers"], "name"),
    ("", "*", &["initContainers"], "name"),
    ("", "*", &["env"], "name"),
    ("", "*", &["volumes"], "name"),
    ("", "*", &["volumeMounts"], "mountPath"),
    ("", "*", &["volumeDevices"], "devicePath"),
    ("", "*", &["imagePullSecrets"], "name"),
    ("", "*", &["hostAliases"], "ip"),
    ("", "*", &["topologySpreadConstraints"], "topologyKey"),
    ("", "Service", &["spec", "ports"], "port"),
    ("", "*", &["containers", "ports"], "containerPort"),
    ("", "*", &["initContainers", "ports"], "containerPort"),
    ("", "*", &["ephemeralContainers"], "name"),
    ("", "*", &["resourceClaims"], "name"),
    ("admissionregistration.k8s.io", "*", &["webhooks"], "name"),
    ("", "ServiceAccount", &["secrets"], "name"),
    ("", "*", &["metadata", "ownerReferences"], "uid"),
];

/// Groups of Kubernetes' own kinds, which share their merge keys.
const KUBERNETES_GROUPS: [&str; 4] = ["", "apps", "batch", "autoscaling"];

/// Where a merge stands.
struct Merge<'a> {
    group: &'a str,
    kind: &'a str,
    path: Vec<&'a str>,
    faults: &'a mut Vec<Diagnostic>,
}

/// `above` over `below`, two objects of one group and kind.
#[must_use]
pub fn merge(below: &Node, above: &Node, group: &str, kind: &str, faults: &mut Vec<Diagnostic>) -> Node {
    Merge { group, kind, path: Vec::new(), faults }.node(below, above).unwrap_or_else(|| above.clone())
}

/// Helm's coalescing of two values trees: `above` wins, maps merge, lists are atomic, explicit nulls stay.
///
/// `clash` hears of each map that met something else, so that one of the two is lost: its path, what is kept, what is not.
/// Mirrors `chartutil.CoalesceTables` as DPF v24.10 calls it (`internal/dpuservice/utils`).
pub fn helm<'n>(
    below: &Node,
    above: &'n Node,
    path: &mut Vec<&'n str>,
    clash: &mut dyn FnMut(&[&str], &Node, &Node),
) -> Node {
    let (Some(old), Some(new)) = (below.as_map(), above.as_map()) else {
        // An explicit null is Helm's way to delete a default.
        if above.as_map().is_some() != below.as_map().is_some() && !above.is_null() && !below.is_null() {
            clash(path, above, below);
        }
        return above.over(below);
    };
    if new.is_empty() {
        return below.clone();
    }
    merge_entries(below, old, new, |earlier, entry| {
        let Some(earlier) = earlier else { return Some(entry.value.clone()) };
        path.push(&entry.key.text);
        let merged = helm(earlier, &entry.value, path, clash);
        path.pop();
        Some(merged)
    })
}

/// Walks two sorted maps once; `member` makes the value of each key of `new`, `None` to leave it out.
fn merge_entries<'n>(
    below: &Node,
    old: &Map,
    new: &'n Map,
    mut member: impl FnMut(Option<&Node>, &'n Entry) -> Option<Node>,
) -> Node {
    let mut entries: Vec<Entry> = Vec::with_capacity(old.len() + new.len());
    let mut rest = old.entries().iter().peekable();
    for entry in new.entries() {
        while let Some(earlier) = rest.next_if(|earlier| earlier.key.text < entry.key.text) {
            entries.push(earlier.clone());
        }
        let earlier = rest.next_if(|earlier| earlier.key.text == entry.key.text).map(|earlier| &earlier.value);
        if let Some(value) = member(earlier, entry) {
            entries.push(Entry { key: entry.key.clone(), value });
        }
    }
    entries.extend(rest.cloned());
    below.with_value(Value::Map(Map::new(entries)))
}

impl<'a> Merge<'a> {
    /// `None` where the result is that nothing is there.
    fn node(&mut self, below: &Node, above: &'a Node) -> Option<Node> {
        match (below.value(), above.value()) {
            (Value::Map(old), Value::Map(new)) => self.maps(below, old, above, new),
            (Value::List(old), Value::List(new)) => Some(self.lists(below, old, above, new)),
            _ => Some(above.over(below)),
        }
    }

    fn maps(&mut self, below: &Node, old: &Map, above: &'a Node, new: &'a Map) -> Option<Node> {
        match self.directive(new) {
            Some("delete") => return None,
            Some(_) => return Some(self.fresh(&above.without("$patch")).over(below)),
            None => {}
        }
        Some(merge_entries(below, old, new, |earlier, entry| self.member(earlier, entry)))
    }

    fn member(&mut self, earlier: Option<&Node>, entry: &'a Entry) -> Option<Node> {
        let free = is_free_form(&entry.key.text);
        if entry.value.is_null() {
            return None;
        }
        match earlier {
            None if free => Some(entry.value.clone()),
            None if deletes(&entry.value) => None,
            None => Some(self.fresh(&entry.value)),
            Some(earlier) if free => Some(helm(earlier, &entry.value, &mut Vec::new(), &mut |_, _, _| {})),
            Some(earlier) => {
                self.path.push(&entry.key.text);
                let merged = self.node(earlier, &entry.value);
                self.path.pop();
                merged
            }
        }
    }

    /// The value of `$patch`, if it is one that exists.
    fn directive(&mut self, map: &'a Map) -> Option<&'a str> {
        let entry = map.entry("$patch")?;
        let text = entry.value.as_str().unwrap_or_default();
        if !matches!(text, "delete" | "replace") {
            self.faults.push(unknown_directive(&entry.value));
            return Some("replace");
        }
        Some(text)
    }

    /// What nothing stands below.
    fn fresh(&mut self, node: &Node) -> Node {
        unknown_directives(node, self.faults);
        clean(node)
    }

    fn merge_key(&self) -> Option<&'static str> {
        list_key(self.group, self.kind, &self.path)
    }

    fn lists(&mut self, below: &Node, old: &[Node], above: &'a Node, new: &'a [Node]) -> Node {
        let replaced = new.iter().any(|item| item.text(&["$patch"]) == Some("replace") && item.fields(&[]).len() == 1);
        if replaced {
            let kept = new.iter().filter(|item| item.get("$patch").is_none());
            let items = kept.map(|item| self.fresh(item)).collect();
            return above.with_value(Value::List(items)).over(below);
        }
        let key = self.merge_key().filter(|key| new.iter().all(|item| item.get(key).is_some()));
        let Some(key) = key else {
            if let Some(directive) = new.iter().find_map(|item| item.get("$patch")) {
                let fault = Diagnostic::error(
                    "patch-directive",
                    directive.origin(),
                    "`$patch` stands in a list whose items are not told apart",
                );
                self.faults.push(match self.merge_key() {
                    Some(key) => fault.help(format!("give every item of the list its `{key}`")),
                    None => fault.help("a list without a merge key is replaced: write it whole, or use a Patch"),
                });
            }
            return above.over(below);
        };
        let mut items: Vec<Node> = old.to_vec();
        for item in new {
            let at = items.iter().position(|existing| existing.get(key) == item.get(key));
            match at {
                Some(index) => {
                    let existing = items[index].clone();
                    match self.node(&existing, item) {
                        Some(merged) => items[index] = merged,
                        None => {
                            items.remove(index);
                        }
                    }
                }
                None if item.text(&["$patch"]) == Some("delete") => {
                    let what = item.get(key).map(|value| value.to_json().to_string()).unwrap_or_default();
                    let message = format!("`$patch: delete` finds no item with `{key}: {what}`");
                    self.faults.push(Diagnostic::error("patch-no-match", item.origin(), message));
                }
                None => items.push(self.fresh(item)),
            }
        }
        below.with_value(Value::List(items))
    }
}

/// What tells the items of the list below `path` apart, keys only, in objects of this group and kind.
#[must_use]
pub fn list_key(group: &str, kind: &str, path: &[&str]) -> Option<&'static str> {
    let kubernetes = KUBERNETES_GROUPS.contains(&group);
    let found = MERGE_KEYS.iter().find(|(of, only, end, _)| {
        (*of == group || (of.is_empty() && kubernetes)) && (*only == "*" || *only == kind) && path.ends_with(end)
    });
    found.map(|(.., key)| *key)
}

/// Helm values, in which null has a meaning and keys are free.
#[must_use]
pub fn is_free_form(key: &str) -> bool {
    matches!(key, "values" | "valuesObject")
}

/// An object that is the first of its name: directives have nothing to work on. Its nulls are the check's matter.
pub(super) fn first(node: &Node, faults: &mut Vec<Diagnostic>) -> Node {
    if !has(node, &|key, _| key == "$patch") {
        return node.clone();
    }
    unknown_directives(node, faults);
    without(node, &|_| false)
}

/// Whether it says no more than that what is below must go.
fn deletes(node: &Node) -> bool {
    node.text(&["$patch"]) == Some("delete")
}

fn unknown_directive(value: &Node) -> Diagnostic {
    let message = match value.as_str() {
        Some(text) => format!("`$patch: {text}` is not known"),
        None => format!("`$patch` cannot be {}", value.kind()),
    };
    Diagnostic::error("patch-directive", value.origin(), message).help("write `$patch: delete` or `$patch: replace`")
}

fn unknown_directives(node: &Node, faults: &mut Vec<Diagnostic>) {
    match node.value() {
        Value::Map(map) => {
            for (key, value) in map.iter() {
                if key == "$patch" && !matches!(value.as_str(), Some("delete" | "replace")) {
                    faults.push(unknown_directive(value));
                } else if !is_free_form(key) {
                    unknown_directives(value, faults);
                }
            }
        }
        Value::List(items) => items.iter().for_each(|item| unknown_directives(item, faults)),
        _ => {}
    }
}

/// What nothing stands below: directives do their work on nothing and go, nulls too.
fn clean(node: &Node) -> Node {
    if has(node, &|key, value| value.is_null() || key == "$patch") {
        without(node, &Node::is_null)
    } else {
        node.clone()
    }
}

/// Whether it has such a member, Helm values aside.
fn has(node: &Node, such: &dyn Fn(&str, &Node) -> bool) -> bool {
    match node.value() {
        Value::Map(map) => map.iter().any(|(key, value)| such(key, value) || (!is_free_form(key) && has(value, such))),
        Value::List(items) => items.iter().any(|item| has(item, such)),
        _ => false,
    }
}

/// Without directives and such members, Helm values aside.
fn without(node: &Node, such: &dyn Fn(&Node) -> bool) -> Node {
    match node.value() {
        Value::Map(map) => {
            let kept = map.entries().iter();
            let kept =
                kept.filter(|entry| !such(&entry.value) && &*entry.key.text != "$patch" && !deletes(&entry.value));
            let entries = kept
                .map(|entry| Entry {
                    key: entry.key.clone(),
                    value: if is_free_form(&entry.key.text) {
                        entry.value.clone()
                    } else {
                        without(&entry.value, such)
                    },
                })
                .collect();
            node.with_value(Value::Map(Map::new(entries)))
        }
        Value::List(items) => {
            let marker = |item: &Node| item.get("$patch").is_some() && (deletes(item) || item.fields(&[]).len() == 1);
            let kept = items.iter().filter(|item| !marker(item)).map(|item| without(item, such)).collect();
            node.with_value(Value::List(kept))
        }
        _ => node.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Origin;
    use serde_json::{Value as Json, json};

    fn merged(group: &str, kind: &str, below: Json, above: Json) -> Json {
        let node = |json: &Json| Node::from_json(json, Origin::NONE);
        let mut faults = Vec::new();
        let merged = merge(&node(&below), &node(&above), group, kind, &mut faults).to_json();
        assert!(faults.is_empty(), "{faults:?}");
        merged
    }

    #[test]
    fn maps_merge_null_removes_and_lists_are_replaced() {
        assert_eq!(
            merged("x", "Y", json!({"a": {"b": 1, "c": 2}, "l": [1]}), json!({"a": {"b": null, "d": 3}, "l": [2]})),
            json!({"a": {"c": 2, "d": 3}, "l": [2]})
        );
        assert_eq!(
            merged("x", "Y", json!({"a": {"b": 1}}), json!({"a": {"$patch": "replace", "c": 1}})),
            json!({"a": {"c": 1}})
        );
        assert_eq!(
            merged("x", "Y", json!({"a": {"b": 1}, "c": 1}), json!({"a": {"$patch": "delete"}})),
            json!({"c": 1})
        );
        assert_eq!(merged("x", "Y", json!({}), json!({"a": {"b": null}})), json!({"a": {}}));
    }

    #[test]
    fn helm_values_keep_nulls() {
        assert_eq!(
            merged("x", "Y", json!({"values": {"a": {"x": 1}, "l": [1, 2]}}), json!({"values": {"a": null, "l": [3]}})),
            json!({"values": {"a": null, "l": [3]}})
        );
        assert_eq!(
            merged("x", "Y", json!({}), json!({"valuesObject": {"a": null}})),
            json!({"valuesObject": {"a": null}})
        );
    }

    #[test]
    fn lists_with_a_merge_key_merge_by_it() {
        let suffixes = |sets: Json| json!({"spec": {"dpus": {"dpuSets": sets}}});
        assert_eq!(
            merged(
                "svc.dpu.nvidia.com",
                "DPUDeployment",
                suffixes(json!([{"nameSuffix": "a", "x": 1}, {"nameSuffix": "b"}])),
                suffixes(
                    json!([{"nameSuffix": "c"}, {"nameSuffix": "a", "y": 2}, {"nameSuffix": "b", "$patch": "delete"}])
                ),
            ),
            suffixes(json!([{"nameSuffix": "a", "x": 1, "y": 2}, {"nameSuffix": "c"}]))
        );
        let pod = |env: Json| json!({"spec": {"containers": [{"name": "m", "env": env}]}});
        assert_eq!(
            merged("", "Pod", pod(json!([{"name": "A", "value": "1"}])), pod(json!([{"name": "B", "value": "2"}]))),
            pod(json!([{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]))
        );
    }

    #[test]
    fn directives_never_stay() {
        let put = |below: Json, above: Json| merged("apps", "Deployment", below, above);
        assert_eq!(put(json!({}), json!({"a": {"$patch": "delete"}, "b": 1})), json!({"b": 1}));
        assert_eq!(
            put(json!({"a": {"b": 1}}), json!({"a": {"$patch": "replace", "c": null, "d": {"$patch": "replace"}}})),
            json!({"a": {"d": {}}})
        );
        let node = |json: Json| Node::from_json(&json, Origin::NONE);
        let of_first = |json: Json| {
            let mut faults = Vec::new();
            (first(&node(json), &mut faults).to_json(), faults.iter().map(|fault| fault.code).collect::<Vec<_>>())
        };
        let values = json!({"values": {"$patch": "kept"}, "n": null});
        assert_eq!(of_first(values.clone()), (values, vec![]));
        assert_eq!(
            of_first(
                json!({"$patch": "replace", "a": {"$patch": "replace", "n": null}, "b": [{"$patch": "replace"}, {"c": 1}], "d": {"$patch": "delete"}})
            ),
            (json!({"a": {"n": null}, "b": [{"c": 1}]}), vec![])
        );
        assert_eq!(of_first(json!({"a": {"$patch": "replce"}})), (json!({"a": {}}), vec!["patch-directive"]));
        let mut faults = Vec::new();
        let (below, above) = (node(json!({"l": [{"k": 1}]})), node(json!({"l": [{"k": 1, "$patch": "delete"}]})));
        let _ = merge(&below, &above, "", "", &mut faults);
        assert_eq!(faults.iter().map(|fault| fault.code).collect::<Vec<_>>(), ["patch-directive"]);
    }

    #[test]
    fn what_does_not_change_is_shared_and_what_does_remembers() {
        let node = |json: &Json| Node::from_json(json, Origin::NONE);
        let below = node(&json!({"a": {"x": 1}, "b": 1}));
        let result = merge(&below, &node(&json!({"b": 2})), "", "", &mut Vec::new());
        assert!(result.get("a").unwrap().same(below.get("a").unwrap()));
        assert_eq!(result.get("b").unwrap().overrode().unwrap().as_i64(), Some(1));
    }
}
