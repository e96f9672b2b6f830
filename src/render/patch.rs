//! `Patch`: RFC 6902 operations where a merge cannot say it. PURE.
//!
//! In: an object and operations. Out: the object changed, unchanged subtrees shared, new values with the place where the
//! patch has them. Operations are read by `json-patch`; applying them to our nodes, which remember where they come from, is ours.

use json_patch::jsonptr::Pointer;
use json_patch::{PatchOperation, jsonptr};

use super::object::ObjectId;
use super::scope::weight;
use crate::diagnostic::Diagnostic;
use crate::node::{Map, Node, Value};
use crate::site::{Patch, Target};

/// Whether a target selects an object that goes to `destination`.
#[must_use]
pub(super) fn selects(target: &Target, id: &ObjectId, node: &Node, destination: &str) -> bool {
    let fits = |wanted: &Option<String>, found: &str| wanted.as_deref().is_none_or(|wanted| glob(wanted, found));
    fits(&target.group, &id.group)
        && fits(&target.kind, &id.kind)
        && fits(&target.namespace, &id.namespace)
        && fits(&target.name, &id.name)
        && fits(&target.destination, destination)
        && target.labels.iter().all(|(key, value)| node.text(&["metadata", "labels", key]) == Some(value))
}

/// `*` stands for any text.
fn glob(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let tail: Vec<&str> = parts.collect();
    let Some((last, middle)) = tail.split_last() else { return rest.is_empty() };
    for part in middle {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// The object after all operations of a patch; the first one that fails is a fault.
///
/// # Errors
/// The operation that cannot be read or applied, and why.
pub(super) fn apply(patch: &Patch, node: &Node, id: &ObjectId) -> Result<Node, Box<Diagnostic>> {
    const MOST: usize = 64 << 20;
    let own = ObjectId::of(node);
    patch.operations.iter().try_fold(node.clone(), |node, operation| {
        let copies = operation.text(&["op"]) == Some("copy");
        let changed = operate(operation, &node).and_then(|changed| {
            if copies && weight(&changed, MOST) > MOST {
                return Err("the object becomes too large".to_owned());
            }
            // Layers, file names and the objects that refer to it know it by these.
            if ObjectId::of(&changed) == own {
                Ok(changed)
            } else {
                Err("group, kind, namespace and name of an object stay as they are".to_owned())
            }
        });
        changed.map_err(|message| {
            let message = format!("Patch `{}` cannot be applied to {id}: {message}", patch.name);
            let origin = operation.get("path").map_or(operation.origin(), Node::origin);
            Box::new(Diagnostic::error("patch-failed", origin, message))
        })
    })
}

fn operate(operation: &Node, node: &Node) -> Result<Node, String> {
    let parsed: PatchOperation = serde_json::from_value(operation.to_json())
        .map_err(|error| format!("not an operation of RFC 6902: {error}"))?;
    // The value as written, not its copy in JSON: it knows its place.
    let value = || operation.get("value").cloned().unwrap_or_else(|| Node::new(Value::Null, operation.origin()));
    match parsed {
        PatchOperation::Add(add) => set(node, &add.path, &add.path, &mut |_| Ok(value()), true),
        PatchOperation::Replace(replace) => {
            set(node, &replace.path, &replace.path, &mut |old| Ok(value().over(old)), false)
        }
        PatchOperation::Remove(remove) => self::remove(node, &remove.path, &remove.path),
        PatchOperation::Copy(copy) => {
            let found = find(node, &copy.from)?;
            set(node, &copy.path, &copy.path, &mut |_| Ok(found.clone()), true)
        }
        PatchOperation::Move(moved) => {
            let found = find(node, &moved.from)?;
            set(&remove(node, &moved.from, &moved.from)?, &moved.path, &moved.path, &mut |_| Ok(found.clone()), true)
        }
        PatchOperation::Test(test) => {
            let (found, wanted) = (find(node, &test.path)?, value());
            if found == wanted {
                Ok(node.clone())
            } else {
                Err(format!("`{}` is {}, the test wants {}", test.path, found.to_json(), wanted.to_json()))
            }
        }
    }
}

fn index(token: &jsonptr::Token<'_>, length: usize, path: &Pointer) -> Result<usize, String> {
    let text = token.decoded();
    let index: usize = text.parse().map_err(|_| format!("`{path}`: `{text}` is not a position in a list"))?;
    if index < length { Ok(index) } else { Err(format!("`{path}`: the list has {length} items, there is no {index}")) }
}

fn find(node: &Node, path: &Pointer) -> Result<Node, String> {
    path.tokens().try_fold(node.clone(), |node, token| match node.value() {
        Value::List(items) => Ok(items[index(&token, items.len(), path)?].clone()),
        _ => node.get(&token.decoded()).cloned().ok_or_else(|| missing(path, &token.decoded(), &node)),
    })
}

fn missing(path: &Pointer, key: &str, node: &Node) -> String {
    let names: Vec<&str> = node.fields(&[]).iter().map(|entry| &*entry.key.text).take(12).collect();
    if names.is_empty() {
        format!("`{path}`: there is no `{key}`, it is {}", node.kind())
    } else {
        format!(
            "`{path}`: there is no `{key}`; there are {}",
            names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
        )
    }
}

/// Sets what `path`, the rest of `whole`, points to. With `add`, it may be new, and in a list it is inserted before what is there.
fn set(
    node: &Node,
    path: &Pointer,
    whole: &Pointer,
    value: &mut dyn FnMut(&Node) -> Result<Node, String>,
    add: bool,
) -> Result<Node, String> {
    let Some((token, rest)) = path.split_front() else { return value(node) };
    let key = token.decoded();
    match node.value() {
        Value::List(items) => {
            let mut items = items.clone();
            if rest.is_root() && add {
                let at = if key == "-" { items.len() } else { index(&token, items.len() + 1, whole)? };
                items.insert(at, value(node)?);
            } else {
                let at = index(&token, items.len(), whole)?;
                items[at] = set(&items[at], rest, whole, value, add)?;
            }
            Ok(node.with_value(Value::List(items)))
        }
        Value::Map(map) => match map.get(&key) {
            Some(child) => Ok(node.with(&key, set(child, rest, whole, value, add)?)),
            None if rest.is_root() && add => Ok(node.with(&key, value(node)?)),
            // Annotations and labels are the usual targets, and are missing as often as not.
            None if add && matches!(&*key, "annotations" | "labels") => {
                let empty = Node::new(Value::Map(Map::default()), node.origin());
                Ok(node.with(&key, set(&empty, rest, whole, value, add)?))
            }
            None => Err(missing(whole, &key, node)),
        },
        _ => Err(missing(whole, &key, node)),
    }
}

fn remove(node: &Node, path: &Pointer, whole: &Pointer) -> Result<Node, String> {
    let Some((token, rest)) = path.split_front() else { return Err("the whole object cannot be removed".to_owned()) };
    let key = token.decoded();
    match node.value() {
        Value::List(items) => {
            let at = index(&token, items.len(), whole)?;
            let mut items = items.clone();
            if rest.is_root() {
                items.remove(at);
            } else {
                items[at] = remove(&items[at], rest, whole)?;
            }
            Ok(node.with_value(Value::List(items)))
        }
        _ => {
            let child = node.get(&key).ok_or_else(|| missing(whole, &key, node))?;
            if rest.is_root() { Ok(node.without(&key)) } else { Ok(node.with(&key, remove(child, rest, whole)?)) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Origin;
    use serde_json::{Value as Json, json};

    fn operated(node: Json, operation: Json) -> Result<Json, String> {
        let [node, operation] = [node, operation].map(|json| Node::from_json(&json, Origin::NONE));
        operate(&operation, &node).map(|node| node.to_json())
    }

    #[test]
    fn operations_do_what_rfc_6902_says() {
        let object = || json!({"a": {"l": [1, 2]}, "metadata": {"name": "x"}});
        for (operation, expected) in [
            (json!({"op": "add", "path": "/a/l/1", "value": 9}), json!({"l": [1, 9, 2]})),
            (json!({"op": "add", "path": "/a/l/-", "value": 9}), json!({"l": [1, 2, 9]})),
            (json!({"op": "replace", "path": "/a/l", "value": {}}), json!({"l": {}})),
            (json!({"op": "remove", "path": "/a/l/0"}), json!({"l": [2]})),
            (json!({"op": "move", "from": "/a/l", "path": "/a/m~1n"}), json!({"m/n": [1, 2]})),
            (json!({"op": "copy", "from": "/a/l/0", "path": "/a/k"}), json!({"l": [1, 2], "k": 1})),
            (json!({"op": "test", "path": "/a/l/0", "value": 1}), json!({"l": [1, 2]})),
        ] {
            assert_eq!(operated(object(), operation).unwrap()["a"], expected);
        }
        let annotated = operated(object(), json!({"op": "add", "path": "/metadata/annotations/k~1v", "value": "x"}));
        assert_eq!(annotated.unwrap()["metadata"]["annotations"], json!({"k/v": "x"}));
        for operation in [
            json!({"op": "replace", "path": "/a/x", "value": 1}),
            json!({"op": "remove", "path": "/a/l/2"}),
            json!({"op": "add", "path": "/b/c/d", "value": 1}),
            json!({"op": "test", "path": "/a/l/0", "value": 2}),
            json!({"op": "remove", "path": ""}),
            json!({"op": "nothing", "path": "/a"}),
        ] {
            assert!(operated(object(), operation).is_err());
        }
        let deep = operated(object(), json!({"op": "replace", "path": "/a/l/7", "value": 1}));
        assert_eq!(deep.unwrap_err(), "`/a/l/7`: the list has 2 items, there is no 7");
    }

    #[test]
    fn names_may_hold_stars() {
        for (pattern, text, expected) in [
            ("*-ovn", "a-ovn", true),
            ("*-ovn", "ovn", false),
            ("a*b*c", "axxbyc", true),
            ("a", "a", true),
            ("a", "ab", false),
        ] {
            assert_eq!(glob(pattern, text), expected, "{pattern} {text}");
        }
    }
}
