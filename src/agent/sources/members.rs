//! A Set as it is kept, and its member on a node. PURE.
//!
//! In: a Set as JSON as it changes, the name and the labels of the node. Out: the [`Interface`] or [`Chain`] that it makes there. As
//! with an object of its own, an edit that cannot be read takes no traffic away: the last one that could be stays in force, and
//! the member says what is wrong. CRDs let more through than a switch can have, and any operator of a selector.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::agent::api::{Chain, Interface, Invalid};
use crate::agent::sets;

/// What a Set makes.
pub(super) trait Member: Sized {
    /// The kind of the Set.
    const SET: &str;
    /// Of the JSON of the member.
    fn of(object: &Value) -> Option<Self>;
    /// Whether its spec could be read.
    fn is_sound(&self) -> bool;
    /// The same as it is now, after `before`.
    fn after(self, before: &Self) -> Self;
    /// What is wrong with its newest spec.
    fn fault(&mut self) -> &mut Option<Invalid>;
}

impl Member for Interface {
    const SET: &str = "ServiceInterfaceSet";

    fn of(object: &Value) -> Option<Self> {
        Self::of(object)
    }

    fn is_sound(&self) -> bool {
        self.kind.is_ok()
    }

    fn after(self, before: &Self) -> Self {
        self.after(before)
    }

    fn fault(&mut self) -> &mut Option<Invalid> {
        &mut self.fault
    }
}

impl Member for Chain {
    const SET: &str = "ServiceChainSet";

    fn of(object: &Value) -> Option<Self> {
        Self::of(object)
    }

    fn is_sound(&self) -> bool {
        self.switches.is_ok()
    }

    fn after(self, before: &Self) -> Self {
        self.after(before)
    }

    fn fault(&mut self) -> &mut Option<Invalid> {
        &mut self.fault
    }
}

/// A Set.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Set {
    now: Value,
    /// Whether it can be read; one that goes has no member, and nothing to read.
    sound: bool,
    /// The last one that could be read, where this one cannot.
    last: Option<Value>,
}

impl Set {
    /// Without what changes and is not read: status, managed fields.
    pub(super) fn of<T: Member>(object: &Value) -> Self {
        let names = ["name", "namespace", "uid", "generation", "annotations", "creationTimestamp", "deletionTimestamp"];
        let meta = |name: &str| Some((name.to_owned(), object.pointer(&format!("/metadata/{name}"))?.clone()));
        let metadata: serde_json::Map<String, Value> = names.into_iter().filter_map(meta).collect();
        let now = json!({"metadata": metadata, "spec": object.get("spec")});
        let sound = sets::is_selector(selector(&now)) && made::<T>(&now, "").is_none_or(|member| member.is_sound());
        Self { now, sound, last: None }
    }

    /// The same Set as it is now, after `before`.
    pub(super) fn after(mut self, before: &Self) -> Self {
        let uid = |set: &Value| set.pointer("/metadata/uid").cloned();
        if !self.sound && uid(&self.now) == uid(&before.now) {
            self.last = if before.sound { Some(before.now.clone()) } else { before.last.clone() };
        }
        self
    }

    /// Its member on the node, if it selects it.
    pub(super) fn member<T: Member>(&self, node: &str, labels: &BTreeMap<String, String>) -> Option<T> {
        let readable = sets::is_selector(selector(&self.now));
        let selecting = if readable { &self.now } else { self.last.as_ref()? };
        if !sets::selects(selector(selecting), labels) {
            return None;
        }
        let mut member = made::<T>(&self.now, node)?;
        if let Some(last) = self.last.as_ref().and_then(|last| made::<T>(last, node)) {
            member = member.after(&last);
        }
        if !readable {
            let reason = "cannot be read: the one before it counts".to_owned();
            member.fault().get_or_insert(Invalid { path: "spec.nodeSelector".to_owned(), reason });
        }
        Some(member)
    }
}

fn selector(set: &Value) -> Option<&Value> {
    set.pointer("/spec/nodeSelector")
}

fn made<T: Member>(set: &Value, node: &str) -> Option<T> {
    T::of(&sets::member(set, T::SET, node)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::api::InterfaceKind;

    fn labels(rack: &str) -> BTreeMap<String, String> {
        [("rack".to_owned(), rack.to_owned())].into()
    }

    fn set(uid: &str, operator: &str, number: i64) -> Set {
        Set::of::<Interface>(&json!({
            "metadata": {"namespace": "ns", "name": "s", "uid": uid, "managedFields": [], "resourceVersion": "1"},
            "spec": {
                "nodeSelector": {"matchExpressions": [{"key": "rack", "operator": operator, "values": ["r1"]}]},
                "template": {"spec": {"interfaceType": "vf", "vf": {"pfID": 0, "vfID": number}}},
            },
        }))
    }

    /// The VF that is in force, and where a fault is.
    fn said(set: &Set) -> Option<(Option<u16>, Option<String>)> {
        let member = set.member::<Interface>("w", &labels("r1"))?;
        let vf = match member.kind {
            Ok(InterfaceKind::Vf { vf, .. }) => Some(vf),
            _ => None,
        };
        Some((vf, member.fault.map(|fault| fault.path)))
    }

    #[test]
    fn the_last_set_that_could_be_read_counts() {
        let fault = |path: &str| Some(path.to_owned());
        let sound = set("1", "In", 2);
        assert_eq!(said(&sound), Some((Some(2), None)));
        let wrong = set("1", "In", 99_999).after(&sound);
        assert_eq!(said(&wrong), Some((Some(2), fault("spec.vf.vfID"))));
        // However often it is wrong, and whatever is wrong with it.
        let selector = set("1", "Is", 3).after(&wrong);
        assert_eq!(said(&selector), Some((Some(3), fault("spec.nodeSelector"))));
        let both = set("1", "Is", -1).after(&selector);
        assert_eq!(said(&both), Some((Some(2), fault("spec.vf.vfID"))));
        assert_eq!(said(&set("1", "In", 4).after(&both)), Some((Some(4), None)));
        // It is the selector before that counts, too.
        assert!(selector.member::<Interface>("w", &labels("r2")).is_none());
        assert!(set("1", "NotIn", 99_999).after(&sound).member::<Interface>("w", &labels("r2")).is_some());
    }

    #[test]
    fn a_set_that_never_could_be_read_has_nothing_before_it() {
        assert_eq!(said(&set("1", "Is", 2)), None);
        assert_eq!(said(&set("1", "In", 99_999)), Some((None, None)));
        // Another of the same name is another.
        assert_eq!(said(&set("2", "In", 99_999).after(&set("1", "In", 2))), Some((None, None)));
    }

    #[test]
    fn one_that_goes_has_no_member_whatever_was_before() {
        let mut gone = set("1", "In", 99_999);
        gone.now["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        let gone = Set::of::<Interface>(&gone.now).after(&set("1", "In", 2));
        assert_eq!(said(&gone), None);
    }
}
