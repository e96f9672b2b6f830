//! What is written of a status, object by object. PURE.
//!
//! In: the node's status, and the objects it was made of. Out: a [`Document`] for each object whose status is ours to write.
//! Objects out of a folder or of a Set are in no cluster, and have none.

use std::collections::BTreeMap;

use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::agent::api::{Interface, Key, Meta};
use crate::agent::crd::details::Condition;
use crate::agent::crd::node::{InterfaceEntry, NodeStatus};
use crate::agent::desired::Snapshot;
use crate::agent::sources::store::Kind;
use crate::agent::status;

/// The condition of an entry of a `NodeServiceInterfaces` whose port is gone, which its owner waits for.
pub const RELEASED: &str = "ResourceReleased";

/// Whose status it is.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Target {
    /// The `DPUNodeNetworkStatus` of the node.
    Node,
    /// An object of DPF.
    Object(Kind),
}

/// The status of one object.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// Whose.
    pub target: Target,
    /// Its name; that of the node has no namespace.
    pub key: Key,
    /// Its `metadata.uid`; empty for that of the node.
    pub uid: String,
    /// `status`, whole, as JSON.
    pub status: String,
}

/// Everything there is to write. `all` is for a folder: what is in no cluster, too. `released` says since when the ports of
/// entries that go are gone.
#[must_use]
pub fn documents(
    node: &str,
    status: &NodeStatus,
    snapshot: &Snapshot,
    released: &BTreeMap<Key, String>,
    all: bool,
) -> Vec<Document> {
    let of_node =
        Document { target: Target::Node, key: Key::new("", node), uid: String::new(), status: status::json(status) };
    let mut documents = vec![of_node];
    let of = |kind, meta: &Meta, status| Document {
        target: Target::Object(kind),
        key: meta.key.clone(),
        uid: meta.uid.clone(),
        status,
    };
    let find = |key: &Key| {
        let is = |entry: &&InterfaceEntry| entry.namespace == key.namespace && entry.name == key.name;
        status.interfaces.iter().find(is).filter(|entry| !status::is_of_other(&entry.conditions))
    };
    for one in snapshot.interfaces.iter().filter(|one| !one.entry && (all || !one.meta.uid.is_empty())) {
        if let Some(entry) = find(&one.meta.key) {
            let status = status::json(&status::of_interface(entry));
            documents.push(of(Kind::Interface, &one.meta, status));
        }
    }
    for chain in snapshot.chains.iter().filter(|one| all || !one.meta.uid.is_empty()) {
        let key = &chain.meta.key;
        let is =
            |entry: &&crate::agent::crd::node::ChainEntry| entry.namespace == key.namespace && entry.name == key.name;
        if let Some(entry) = status.chains.iter().find(is) {
            let status = status::json(&status::of_chain(entry));
            documents.push(of(Kind::Chain, &chain.meta, status));
        }
    }
    documents.extend(of_entries(snapshot, &find, released));
    documents
}

/// One for each `NodeServiceInterfaces`, with all its entries.
fn of_entries<'e>(
    snapshot: &Snapshot,
    find: &dyn Fn(&Key) -> Option<&'e InterfaceEntry>,
    released: &BTreeMap<Key, String>,
) -> Vec<Document> {
    let mut owners: BTreeMap<Key, Vec<&Interface>> = BTreeMap::new();
    for one in snapshot.interfaces.iter().filter(|one| one.entry) {
        owners.entry(Key::new(&one.meta.key.namespace, &one.object)).or_default().push(one);
    }
    let document = |(key, entries): (Key, Vec<&Interface>)| {
        let generation = entries.first().map(|one| one.meta.generation);
        let uid = entries.first().map_or_else(String::new, |one| one.meta.uid.clone());
        let statuses: Vec<Value> = entries.into_iter().filter_map(|one| entry_status(one, find, released)).collect();
        let status = json!({"observedGeneration": generation, "interfaceStatuses": statuses}).to_string();
        Document { target: Target::Object(Kind::Entries), key, uid, status }
    };
    owners.into_iter().map(document).collect()
}

fn entry_status<'e>(
    one: &Interface,
    find: &dyn Fn(&Key) -> Option<&'e InterfaceEntry>,
    released: &BTreeMap<Key, String>,
) -> Option<Value> {
    let conditions: Vec<Condition> = match (find(&one.meta.key), released.get(&one.meta.key)) {
        (_, Some(since)) if one.meta.deleting => {
            let aspect = status::conditions::Aspect::holds(RELEASED, "the port is gone");
            status::conditions::list(vec![aspect], &[], Some(one.meta.generation), since)
        }
        (Some(entry), _) => entry.conditions.clone(),
        _ => return None,
    };
    Some(json!({"name": one.meta.key.name, "conditions": conditions}))
}

/// The status with what every release of DPF that keeps one has: conditions and the generation. `None` where there is nothing less.
#[must_use]
pub fn reduced(status: &str) -> Option<String> {
    let members: BTreeMap<String, &RawValue> = serde_json::from_str(status).ok()?;
    let reduced: BTreeMap<&str, &RawValue> =
        ["conditions", "observedGeneration"].into_iter().filter_map(|key| Some((key, *members.get(key)?))).collect();
    let is_less = reduced.len() < members.len() && reduced.contains_key("conditions");
    is_less.then(|| serde_json::to_string(&reduced).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::crd::details::{InterfaceDetails, Truth};
    use crate::agent::desired::Problem;
    use crate::agent::status::conditions::{Aspect, list};

    fn entry(namespace: &str, name: &str, reason: &'static str) -> InterfaceEntry {
        let aspect = Aspect { kind: status::READY, status: Truth::Unknown, problem: Problem::new(reason, "") };
        InterfaceEntry {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            kind: None,
            details: InterfaceDetails::default(),
            observed_generation: Some(2),
            conditions: list(vec![aspect], &[], Some(2), "t0"),
        }
    }

    fn interface(name: &str, uid: &str) -> Interface {
        Interface::of(&json!({"metadata": {"namespace": "ns", "name": name, "uid": uid}})).unwrap()
    }

    fn targets(documents: &[Document]) -> Vec<(Target, String)> {
        documents.iter().map(|one| (one.target, one.key.to_string())).collect()
    }

    #[test]
    fn only_what_is_in_the_cluster_and_ours_to_say_is_written() {
        let interfaces = vec![interface("mine", "u"), interface("other", "u"), interface("of-a-set", "")];
        let snapshot = Snapshot { interfaces, ..Snapshot::default() };
        let entries = [("mine", "Pending"), ("of-a-set", "Pending"), ("other", status::MANAGED_BY_OTHER)];
        let entries = entries.map(|(name, reason)| entry("ns", name, reason)).to_vec();
        let status = NodeStatus { interfaces: entries, ..NodeStatus::default() };
        let of = |all| targets(&documents("w", &status, &snapshot, &BTreeMap::new(), all));
        let node = (Target::Node, "/w".to_owned());
        let named = |name: &str| (Target::Object(Kind::Interface), name.to_owned());
        assert_eq!(of(false), [node.clone(), named("ns/mine")]);
        assert_eq!(of(true), [node, named("ns/mine"), named("ns/of-a-set")]);
    }

    #[test]
    fn entries_of_one_object_are_one_status_and_say_when_they_are_released() {
        let object = json!({
            "metadata": {"namespace": "c", "name": "w-sfc", "uid": "u", "generation": 2},
            "spec": {"node": "w", "interfaces": [{"name": "ns_a"}, {"name": "ns_b", "terminating": true}, {"name": "ns_c", "terminating": true}]},
        });
        let snapshot = Snapshot { interfaces: Interface::of_node(&object), ..Snapshot::default() };
        let status = NodeStatus { interfaces: vec![entry("c", "ns_a", "Pending")], ..NodeStatus::default() };
        let released = [(Key::new("c", "ns_b"), "t1".to_owned())].into();
        let documents = documents("w", &status, &snapshot, &released, false);
        assert_eq!(targets(&documents)[1..], [(Target::Object(Kind::Entries), "c/w-sfc".to_owned())]);
        let expected = json!({"observedGeneration": 2, "interfaceStatuses": [
            {"name": "ns_a", "conditions": [{
                "type": "Ready", "status": "Unknown", "reason": "Pending", "message": "", "lastTransitionTime": "t0", "observedGeneration": 2,
            }]},
            {"name": "ns_b", "conditions": [{
                "type": RELEASED, "status": "True", "reason": "Success", "message": "the port is gone", "lastTransitionTime": "t1",
                "observedGeneration": 2,
            }]},
        ]});
        assert_eq!(serde_json::from_str::<Value>(&documents[1].status).unwrap(), expected);
    }

    #[test]
    fn what_older_releases_keep_is_less() {
        let less = r#"{"conditions":[{"type":"Ready"}],"observedGeneration":1}"#;
        let status = r#"{"port":{"conditions":1},"observedGeneration":1,"conditions":[{"type":"Ready"}]}"#;
        assert_eq!(reduced(status).as_deref(), Some(less));
        assert_eq!(reduced(less), None);
        assert_eq!(reduced(r#"{"interfaceStatuses": [], "observedGeneration": 1}"#), None);
    }
}
