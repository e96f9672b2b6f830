//! The objects of one node, kept up to date. PURE.
//!
//! In: objects as JSON as they come, change and go, by [`Kind`]. Out: a [`Snapshot`], and whether it became another. Objects of
//! other nodes are not kept. A spec that cannot be read leaves the last one that could be in force: a typing error takes no
//! traffic away. Between [`Store::restart`] and [`Store::finish`] a kind is listed anew: what was there stays until
//! the list is whole.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::agent::api::{Chain, Interface, Key, Meta, Pod};
use crate::agent::desired::Snapshot;

use super::members::{Member, Set};

/// A kind of object that is read.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Kind {
    /// `ServiceInterface`.
    Interface,
    /// `ServiceChain`.
    Chain,
    /// `NodeServiceInterfaces`.
    Entries,
    /// `Pod`.
    Pod,
    /// `ServiceInterfaceSet`.
    InterfaceSet,
    /// `ServiceChainSet`.
    ChainSet,
    /// `Node`: its labels say which Sets select it.
    Node,
}

/// Where a kind is found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct KindName {
    /// Which.
    pub kind: Kind,
    /// API group; empty for the core.
    pub group: &'static str,
    /// Version.
    pub version: &'static str,
    /// The kind.
    pub name: &'static str,
    /// Its name in paths.
    pub plural: &'static str,
}

const fn named(
    kind: Kind,
    group: &'static str,
    version: &'static str,
    name: &'static str,
    plural: &'static str,
) -> KindName {
    KindName { kind, group, version, name, plural }
}

const SVC: &str = crate::agent::api::GROUP;
/// Every kind.
pub const KINDS: [KindName; 7] = [
    named(Kind::Interface, SVC, "v1alpha1", "ServiceInterface", "serviceinterfaces"),
    named(Kind::Chain, SVC, "v1alpha1", "ServiceChain", "servicechains"),
    named(Kind::Entries, SVC, "v1alpha1", "NodeServiceInterfaces", "nodeserviceinterfaces"),
    named(Kind::Pod, "", "v1", "Pod", "pods"),
    named(Kind::InterfaceSet, SVC, "v1alpha1", "ServiceInterfaceSet", "serviceinterfacesets"),
    named(Kind::ChainSet, SVC, "v1alpha1", "ServiceChainSet", "servicechainsets"),
    named(Kind::Node, "", "v1", "Node", "nodes"),
];

/// An object as far as it is kept.
#[derive(Clone, Debug, PartialEq)]
enum Kept {
    Interface(Interface),
    Chain(Chain),
    Entries(Vec<Interface>),
    Pod(Pod),
    Set(Set),
    Labels(BTreeMap<String, String>),
}

impl Kept {
    /// The same object as it is now, after `before`.
    fn after(self, before: Option<&Self>) -> Self {
        match (self, before) {
            (Self::Interface(now), Some(Self::Interface(before))) => Self::Interface(now.after(before)),
            (Self::Chain(now), Some(Self::Chain(before))) => Self::Chain(now.after(before)),
            (Self::Entries(now), Some(Self::Entries(before))) => {
                let after = |one: Interface| match before.iter().find(|was| was.id == one.id) {
                    Some(was) => one.after(was),
                    None => one,
                };
                Self::Entries(now.into_iter().map(after).collect())
            }
            (Self::Set(now), Some(Self::Set(before))) => Self::Set(now.after(before)),
            (now, _) => now,
        }
    }
}

/// What is kept of one object; nothing of one of another node.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) kind: Kind,
    pub(super) key: Key,
    kept: Option<Kept>,
}

/// The objects of one node.
#[derive(Clone, Debug)]
pub struct Store {
    node: String,
    kept: BTreeMap<Kind, BTreeMap<Key, Kept>>,
    /// Lists that are not whole yet.
    listing: BTreeMap<Kind, BTreeMap<Key, Kept>>,
}

impl Store {
    /// Of this node; empty.
    #[must_use]
    pub fn new(node: &str) -> Self {
        Self { node: node.to_owned(), kept: BTreeMap::new(), listing: BTreeMap::new() }
    }

    /// The kind is listed anew.
    pub fn restart(&mut self, kind: Kind) {
        self.listing.insert(kind, BTreeMap::new());
    }

    /// One object of the list.
    pub fn listed(&mut self, kind: Kind, object: &Value) {
        if let Some(item) = self.item(kind, object) {
            self.list(item);
        }
    }

    /// The same as the object of the list that it was read of.
    pub(super) fn list(&mut self, Item { kind, key, kept }: Item) {
        if let Some(kept) = kept {
            let kept = kept.after(self.before(kind, &key));
            self.listing.entry(kind).or_default().insert(key, kept);
        }
    }

    /// The list is whole: what is not in it is gone. Says whether anything became another.
    pub fn finish(&mut self, kind: Kind) -> bool {
        let list = self.listing.remove(&kind).unwrap_or_default();
        let before = self.kept.insert(kind, list);
        before.unwrap_or_default() != self.kept[&kind]
    }

    /// An object came or changed. Says whether anything became another.
    pub fn apply(&mut self, kind: Kind, object: &Value) -> bool {
        self.item(kind, object).is_some_and(|item| self.put(item))
    }

    /// What would be kept of an object.
    pub(super) fn item(&self, kind: Kind, object: &Value) -> Option<Item> {
        let key = Meta::of(object)?.key;
        Some(Item { kind, key, kept: self.read(kind, object).map(|(_, kept)| kept) })
    }

    /// The same as the object that it was read of.
    fn put(&mut self, Item { kind, key, kept }: Item) -> bool {
        match kept {
            Some(kept) => {
                let kept = kept.after(self.before(kind, &key));
                let objects = self.kept.entry(kind).or_default();
                let same = objects.get(&key) == Some(&kept);
                objects.insert(key, kept);
                !same
            }
            // It is of another node now, perhaps.
            None => self.kept.get_mut(&kind).is_some_and(|objects| objects.remove(&key).is_some()),
        }
    }

    /// An object went. Says whether it was there.
    pub fn delete(&mut self, kind: Kind, object: &Value) -> bool {
        let Some(meta) = Meta::of(object) else { return false };
        self.kept.get_mut(&kind).is_some_and(|objects| objects.remove(&meta.key).is_some())
    }

    fn before(&self, kind: Kind, key: &Key) -> Option<&Kept> {
        self.kept.get(&kind)?.get(key)
    }

    /// What is kept of an object; `None` for one of another node.
    fn read(&self, kind: Kind, object: &Value) -> Option<(Key, Kept)> {
        let ours = |node: &Option<String>| node.as_deref() == Some(&*self.node);
        let key = Meta::of(object)?.key;
        let kept = match kind {
            Kind::Interface => Kept::Interface(Interface::of(object).filter(|one| ours(&one.node))?),
            Kind::Chain => Kept::Chain(Chain::of(object).filter(|one| ours(&one.node))?),
            Kind::Entries => Kept::Entries(Some(Interface::of_node(object)).filter(|_| self.is_for_us(object))?),
            Kind::Pod => Kept::Pod(Pod::of(object).filter(|one| ours(&one.node))?),
            Kind::InterfaceSet => Kept::Set(Set::of::<Interface>(object)),
            Kind::ChainSet => Kept::Set(Set::of::<Chain>(object)),
            Kind::Node => Kept::Labels(Meta::of(object).filter(|meta| meta.key.name == self.node)?.labels),
        };
        Some((key, kept))
    }

    /// Whether an object, whatever else it holds, is for this node.
    #[must_use]
    pub fn is_for_us(&self, object: &Value) -> bool {
        object.pointer("/spec/node").and_then(Value::as_str) == Some(&*self.node)
    }

    /// Whether this object is kept: it may have become one of another node.
    #[must_use]
    pub fn knows(&self, kind: Kind, namespace: Option<&str>, name: Option<&str>) -> bool {
        let key = Key::new(namespace.unwrap_or_default(), name.unwrap_or_default());
        self.kept.get(&kind).is_some_and(|objects| objects.contains_key(&key))
    }

    /// All of it. Where an object and a member of a Set have the same name, the object counts.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let mut snapshot = Snapshot::default();
        for kept in self.kept.values().flat_map(BTreeMap::values) {
            match kept {
                Kept::Interface(one) => snapshot.interfaces.push(one.clone()),
                Kept::Entries(list) => snapshot.interfaces.extend(list.iter().cloned()),
                Kept::Chain(one) => snapshot.chains.push(one.clone()),
                Kept::Pod(one) => snapshot.pods.push(one.clone()),
                Kept::Set(_) | Kept::Labels(_) => {}
            }
        }
        let members: Vec<Interface> = self.members(Kind::InterfaceSet);
        let known = |snapshot: &Snapshot, key: &Key| snapshot.interfaces.iter().any(|one| one.meta.key == *key);
        let fresh: Vec<Interface> = members.into_iter().filter(|one| !known(&snapshot, &one.meta.key)).collect();
        snapshot.interfaces.extend(fresh);
        let members: Vec<Chain> = self.members(Kind::ChainSet);
        let known = |snapshot: &Snapshot, key: &Key| snapshot.chains.iter().any(|one| one.meta.key == *key);
        let fresh: Vec<Chain> = members.into_iter().filter(|one| !known(&snapshot, &one.meta.key)).collect();
        snapshot.chains.extend(fresh);
        snapshot
    }

    fn members<T: Member>(&self, kind: Kind) -> Vec<T> {
        let none = BTreeMap::new();
        let labels = self.kept.get(&Kind::Node).and_then(|nodes| nodes.values().next());
        let labels = match labels {
            Some(Kept::Labels(labels)) => labels,
            // Which Sets select the node is not known.
            _ if kind != Kind::Node && !self.kept.contains_key(&Kind::Node) => return Vec::new(),
            _ => &none,
        };
        let member = |kept: &Kept| match kept {
            Kept::Set(set) => set.member(&self.node, labels),
            _ => None,
        };
        self.kept.get(&kind).into_iter().flat_map(BTreeMap::values).filter_map(member).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn interface(name: &str, node: &str, port: &str) -> Value {
        json!({
            "metadata": {"namespace": "ns", "name": name},
            "spec": {"node": node, "interfaceType": "physical", "physical": {"interfaceName": port}},
        })
    }

    fn names(store: &Store) -> Vec<String> {
        store.snapshot().interfaces.iter().map(|one| one.meta.key.name.clone()).collect()
    }

    #[test]
    fn only_what_is_ours_is_kept_and_only_changes_count() {
        let mut store = Store::new("w");
        assert!(store.apply(Kind::Interface, &interface("a", "w", "p0")));
        let mut again = interface("a", "w", "p0");
        again["status"] = json!({"conditions": []});
        again["metadata"]["resourceVersion"] = json!("7");
        assert!(!store.apply(Kind::Interface, &again), "a status is no change");
        assert!(!store.apply(Kind::Interface, &interface("b", "other", "p0")));
        assert_eq!(names(&store), ["a"]);
        assert!(store.apply(Kind::Interface, &interface("a", "other", "p0")), "it moved");
        assert_eq!(names(&store), [""; 0]);
        assert!(!store.delete(Kind::Interface, &interface("a", "w", "p0")));
    }

    #[test]
    fn a_list_replaces_when_it_is_whole() {
        let mut store = Store::new("w");
        store.apply(Kind::Interface, &interface("a", "w", "p0"));
        store.restart(Kind::Interface);
        store.listed(Kind::Interface, &interface("b", "w", "p1"));
        assert_eq!(names(&store), ["a"]);
        assert!(store.finish(Kind::Interface));
        assert_eq!(names(&store), ["b"]);
        store.restart(Kind::Interface);
        store.listed(Kind::Interface, &interface("b", "w", "p1"));
        assert!(!store.finish(Kind::Interface));
    }

    #[test]
    fn members_of_sets_come_with_the_labels_of_the_node() {
        let mut store = Store::new("w");
        let set = json!({
            "metadata": {"namespace": "ns", "name": "s"},
            "spec": {
                "nodeSelector": {"matchLabels": {"rack": "r1"}},
                "template": {"spec": {"interfaceType": "physical", "physical": {"interfaceName": "p0"}}},
            },
        });
        assert!(store.apply(Kind::InterfaceSet, &set));
        assert_eq!(names(&store), [""; 0]);
        let node = |rack: &str| json!({"metadata": {"name": "w", "labels": {"rack": rack}}});
        assert!(store.apply(Kind::Node, &node("r1")));
        assert_eq!(names(&store), ["s-w"]);
        assert!(store.apply(Kind::Interface, &interface("s-w", "w", "p1")));
        assert_eq!(names(&store), ["s-w"], "the object counts");
        assert!(store.apply(Kind::Node, &node("r2")));
        store.delete(Kind::Interface, &interface("s-w", "w", "p1"));
        assert_eq!(names(&store), [""; 0]);
    }

    #[test]
    fn a_spec_that_cannot_be_read_leaves_the_one_before_in_force() {
        let mut store = Store::new("w");
        let chain = |uid: &str, switches: Value| json!({"metadata": {"namespace": "ns", "name": "c", "uid": uid}, "spec": {"node": "w", "switches": switches}});
        let ports = |label: &str| json!([{"ports": [{"serviceInterface": {"matchLabels": {"port": label}}}]}]);
        let said = |store: &Store| {
            let chain = &store.snapshot().chains[0];
            let label = chain.switches.as_ref().ok().map(|switches| switches[0].ports[0]["port"].clone());
            (label, chain.fault.is_some())
        };
        let some = |label: &str| Some(label.to_owned());
        store.apply(Kind::Chain, &chain("1", ports("a")));
        assert!(store.apply(Kind::Chain, &chain("1", json!([{}]))));
        assert_eq!(said(&store), (some("a"), true));
        // Listed anew, and once more.
        for _ in 0..2 {
            store.restart(Kind::Chain);
            store.listed(Kind::Chain, &chain("1", json!([{}])));
            store.finish(Kind::Chain);
            assert_eq!(said(&store), (some("a"), true));
        }
        store.apply(Kind::Chain, &chain("1", ports("b")));
        assert_eq!(said(&store), (some("b"), false));
        // Another of the same name has nothing to do with it.
        store.apply(Kind::Chain, &chain("2", json!([{}])));
        assert_eq!(said(&store), (None, false));
    }

    #[test]
    fn the_entries_of_a_node_each_keep_what_was_in_force() {
        let mut store = Store::new("w");
        let node = |first: Value| {
            json!({"metadata": {"namespace": "c", "name": "w-sfc"}, "spec": {"node": "w", "interfaces": [
                {"name": "ns_a", "interfaceType": "physical", "physical": first},
                {"name": "ns_b", "interfaceType": "physical", "physical": {"interfaceName": "p1"}},
            ]}})
        };
        store.apply(Kind::Entries, &node(json!({"interfaceName": "p0"})));
        store.apply(Kind::Entries, &node(json!({})));
        let states: Vec<(bool, bool)> =
            store.snapshot().interfaces.iter().map(|one| (one.kind.is_ok(), one.fault.is_some())).collect();
        assert_eq!(states, [(true, true), (true, false)]);
    }

    #[test]
    fn whatever_is_no_object_is_left_out() {
        let mut store = Store::new("w");
        for odd in [json!(null), json!([]), json!({"metadata": 1}), json!({"metadata": {"name": 3}}), json!("x")] {
            for KindName { kind, .. } in KINDS {
                assert!(!store.apply(kind, &odd));
                assert!(!store.delete(kind, &odd));
            }
        }
        assert!(
            store.apply(
                Kind::Interface,
                &json!({"metadata": {"name": "x"}, "spec": {"node": "w", "interfaceType": []}})
            )
        );
        assert!(store.snapshot().interfaces[0].kind.is_err(), "kept, so that its status can say so");
    }
}
