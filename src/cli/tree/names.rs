//! Names of the files of a tree. PURE.
//!
//! `<kind>-<namespace>-<name>.yaml`; where two objects would share a name each gains its group, and where even that is not
//! enough (`-` separates and is part of names) `__` separates. Which name an object has depends on the other objects of its
//! destination, never on their order.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use sha2::{Digest, Sha256};

use crate::render::object::ObjectId;

/// File systems take 255 bytes; the rest is for the ending and the digest.
const MAX_BYTES: usize = 200;

/// `text` as a part of a file name: what is not `a-z`, `0-9`, `.` or `-` becomes `_` and two hex digits per byte, as does
/// a dot in front. Different texts stay different, on file systems that ignore case too.
pub(in crate::cli) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'-' => out.push(byte.into()),
            b'.' if at > 0 => out.push('.'),
            _ => {
                let _ = write!(out, "_{byte:02x}");
            }
        }
    }
    if out.is_empty() {
        out.push('_');
    }
    shorten(out)
}

/// A file name for each object of a destination.
pub(super) fn of_objects(ids: &[&ObjectId]) -> Vec<String> {
    let mut names: Vec<String> = ids.iter().map(|id| plain(id)).collect();
    for longer in [with_group, separated, unambiguous] {
        let mut taken: BTreeMap<&str, usize> = BTreeMap::new();
        for name in &names {
            *taken.entry(name).or_default() += 1;
        }
        if taken.len() == names.len() {
            break;
        }
        let collides: Vec<bool> = names.iter().map(|name| taken[name.as_str()] > 1).collect();
        for (at, _) in collides.iter().enumerate().filter(|(_, collides)| **collides) {
            names[at] = longer(ids[at]);
        }
    }
    for name in &mut names {
        name.push_str(".yaml");
    }
    names
}

fn plain(id: &ObjectId) -> String {
    joined(escape(&id.kind.to_ascii_lowercase()), id)
}

fn with_group(id: &ObjectId) -> String {
    joined(kind_and_group(id), id)
}

fn kind_and_group(id: &ObjectId) -> String {
    let group = if id.group.is_empty() { "core" } else { &id.group };
    format!("{}.{}", escape(&id.kind.to_ascii_lowercase()), escape(group))
}

fn joined(mut out: String, id: &ObjectId) -> String {
    for part in [&id.namespace, &id.name].into_iter().filter(|part| !part.is_empty()) {
        out.push('-');
        out.push_str(&escape(part));
    }
    shorten(out)
}

/// `escape` never yields two underscores in a row.
fn separated(id: &ObjectId) -> String {
    let parts = [&id.namespace, &id.name].into_iter().filter(|part| !part.is_empty()).map(|part| escape(part));
    let kind = kind_and_group(id);
    shorten([kind].into_iter().chain(parts).collect::<Vec<_>>().join("__"))
}

/// For kinds that differ in case only.
fn unambiguous(id: &ObjectId) -> String {
    shorten([&*id.kind, &*id.group, &*id.namespace, &*id.name].map(escape).join("__"))
}

fn shorten(mut name: String) -> String {
    if name.len() > MAX_BYTES {
        let digest = Sha256::digest(&name);
        name.truncate(MAX_BYTES - 34);
        name.push_str("__");
        for byte in &digest[..16] {
            let _ = write!(name, "{byte:02x}");
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(ids: &[ObjectId]) -> Vec<String> {
        of_objects(&ids.iter().collect::<Vec<_>>())
    }

    #[test]
    fn colliding_names_gain_the_group_and_then_everything() {
        assert_eq!(
            names(&[
                ObjectId::new("", "Service", "a", "x"),
                ObjectId::new("serving.knative.dev", "Service", "a", "x"),
                ObjectId::new("", "ConfigMap", "a-b", "c"),
                ObjectId::new("", "ConfigMap", "a", "b-c"),
                ObjectId::new("", "Namespace", "", "a"),
                ObjectId::new("x.dev", "Thing", "a", "b"),
                ObjectId::new("x.dev", "THING", "a", "b"),
            ]),
            [
                "service.core-a-x.yaml",
                "service.serving.knative.dev-a-x.yaml",
                "configmap.core__a-b__c.yaml",
                "configmap.core__a__b-c.yaml",
                "namespace-a.yaml",
                "_54hing__x.dev__a__b.yaml",
                "_54_48_49_4e_47__x.dev__a__b.yaml",
            ]
        );
    }

    #[test]
    fn escapes_are_safe_and_do_not_collide() {
        assert_eq!(escape("system:node_x"), "system_3anode_5fx");
        assert_eq!(escape(".."), "_2e.");
        assert_eq!(escape("../etc"), "_2e._2fetc");
        assert_eq!(escape(""), "_");
        assert_ne!(escape("A"), escape("a"));
        let long = escape(&"x".repeat(300));
        assert!(long.len() <= MAX_BYTES);
        assert_ne!(long, escape(&"x".repeat(301)));
    }
}
