//! The table of consequences: which rule speaks of a place in an object of a kind. PURE.
//!
//! In: group, kind, and the keys on the way to what differs. Out: the [`Row`]s that may speak. The rows themselves are in
//! `rows/`, a file per family of kinds; each says in its sentence what happens, and above it where that is known from.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use super::cards::{Reach, nobody};
use super::case::{Case, Verdict};
use super::class::Class;
use super::rows;
use crate::diff::change::ChangeKind;
use crate::node::Node;

/// A kind and everything that can happen to an object of it.
pub(super) struct Kind {
    /// API group, empty for the core.
    pub(super) group: &'static str,
    /// Kind.
    pub(super) kind: &'static str,
    /// Where it is there for the first time.
    pub(super) created: Row,
    /// Where it is there no more.
    pub(super) deleted: Row,
    /// What no row of `fields` speaks of.
    pub(super) otherwise: Row,
    /// Its fields.
    pub(super) fields: &'static [Row],
}

/// What happens when something changes.
pub(super) struct Row {
    /// Keys from the object's top, separated by blanks because keys hold dots and slashes; `*` is any one key. Items of
    /// lists are passed through.
    pub(super) path: &'static str,
    /// Which changes it speaks of.
    pub(super) when: When,
    /// What happens.
    pub(super) rule: Rule,
    /// To which cards.
    pub(super) reach: Reach,
    /// What looks closer; where it says nothing, the members above count.
    pub(super) closer: Option<fn(&Case<'_>) -> Option<Verdict>>,
}

/// What happens, by name.
#[derive(Clone, Copy)]
pub(super) struct Rule {
    /// How much harm it is.
    pub(super) class: Class,
    /// Name of the rule.
    pub(super) name: &'static str,
    /// One sentence or two: what happens, and why.
    pub(super) why: &'static str,
}

/// A rule.
pub(super) const fn rule(class: Class, name: &'static str, why: &'static str) -> Rule {
    Rule { class, name, why }
}

/// Which changes a row speaks of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum When {
    /// Any.
    Any,
    /// Where there was nothing.
    Added,
    /// Where there is nothing now.
    Removed,
}

/// A row of a field, without cards.
pub(super) const fn row(path: &'static str, rule: Rule) -> Row {
    Row { path, when: When::Any, rule, reach: nobody, closer: None }
}

/// A row of the object as a whole, without cards.
pub(super) const fn whole(rule: Rule) -> Row {
    row("", rule)
}

impl Row {
    /// The cards that it touches.
    pub(super) const fn on(mut self, reach: Reach) -> Self {
        self.reach = reach;
        self
    }

    /// Which changes it speaks of.
    pub(super) const fn when(mut self, when: When) -> Self {
        self.when = when;
        self
    }

    /// What looks closer.
    pub(super) const fn closer(mut self, closer: fn(&Case<'_>) -> Option<Verdict>) -> Self {
        self.closer = Some(closer);
        self
    }

    fn keys(&self) -> impl Iterator<Item = &'static str> {
        self.path.split_ascii_whitespace()
    }

    fn speaks_of(&self, kind: ChangeKind) -> bool {
        match self.when {
            When::Any => true,
            When::Added => kind == ChangeKind::Added,
            When::Removed => kind == ChangeKind::Removed,
        }
    }

    /// Whether `keys` lead to its place or below it: how close, by the keys of its place and how exactly it says when. What
    /// came or went below its place did not come or go at its place.
    fn covers(&self, keys: &[&str]) -> Option<(usize, bool)> {
        let own: Vec<&str> = self.keys().collect();
        let exact = self.when != When::Any;
        let fits = own.len() <= keys.len() && own.iter().zip(keys).all(|(own, key)| *own == "*" || own == key);
        (fits && (own.len() == keys.len() || !exact)).then_some((own.len(), exact))
    }

    /// Whether its place is below `keys` and there in one of the values that came or went.
    fn is_below(&self, keys: &[&str], values: &[&Node]) -> bool {
        let own: Vec<&str> = self.keys().collect();
        own.len() > keys.len()
            && own.iter().zip(keys).all(|(own, key)| *own == "*" || own == key)
            && values.iter().any(|value| reaches(value, &own[keys.len()..]))
    }
}

/// Whether keys lead to something in a value; items of lists are passed through.
fn reaches(value: &Node, keys: &[&str]) -> bool {
    if let Some(items) = value.as_list() {
        return items.iter().any(|item| reaches(item, keys));
    }
    match keys {
        [] => true,
        ["*", rest @ ..] => value.fields(&[]).iter().any(|entry| reaches(&entry.value, rest)),
        [key, rest @ ..] => value.get(key).is_some_and(|value| reaches(value, rest)),
    }
}

impl Kind {
    /// The rows that speak of an edit: that of the longest path, and where something came or went as a whole those below it
    /// too.
    pub(super) fn of_edit(&self, keys: &[&str], kind: ChangeKind, values: &[&Node]) -> Vec<&Row> {
        let rows = || self.fields.iter().chain(rows::OF_EVERY_KIND).filter(|row| row.speaks_of(kind));
        let mut nearest: Option<((usize, bool), &Row)> = None;
        for row in rows() {
            if let Some(close) = row.covers(keys)
                && nearest.is_none_or(|(closest, _)| close > closest)
            {
                nearest = Some((close, row));
            }
        }
        let below = rows().filter(|row| row.is_below(keys, values));
        let mut found: Vec<&Row> = nearest.map(|(_, row)| row).into_iter().chain(below).collect();
        if found.is_empty() {
            found.push(&self.otherwise);
        }
        found
    }
}

/// The rows of a kind; nothing for kinds that the table does not have.
pub(super) fn of_kind(group: &str, kind: &str) -> Option<&'static Kind> {
    static TABLE: OnceLock<BTreeMap<(&str, &str), &Kind>> = OnceLock::new();
    let table = TABLE.get_or_init(|| rows::all().map(|kind| ((kind.group, kind.kind), kind)).collect());
    table.get(&(group, kind)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Origin;
    use serde_json::json;
    use std::collections::BTreeSet;

    fn rules(
        group: &str,
        kind: &str,
        keys: &[&str],
        change: ChangeKind,
        value: serde_json::Value,
    ) -> Vec<&'static str> {
        let value = Node::from_json(&value, Origin::NONE);
        let kind = of_kind(group, kind).expect("a kind of the table");
        kind.of_edit(keys, change, &[&value]).iter().map(|row| row.rule.name).collect()
    }

    #[test]
    fn the_longest_path_speaks() {
        let set = |keys: &[&str]| rules("provisioning.dpu.nvidia.com", "DPUSet", keys, ChangeKind::Changed, json!("x"));
        assert_eq!(set(&["spec", "dpuTemplate", "spec", "bfb", "name"]), ["dpuset-bfb"]);
        assert_eq!(set(&["spec", "dpuTemplate", "spec", "nodeEffect", "drain"]), ["dpuset-template"]);
        assert_eq!(set(&["metadata", "labels", "a"]), ["metadata"]);
        assert_eq!(set(&["metadata", "annotations", "argocd.argoproj.io/sync-wave"]), ["sync-wave"]);
        assert_eq!(set(&["spec", "other"]), ["dpuset-other"]);
    }

    #[test]
    fn what_came_below_a_place_did_not_come_at_it() {
        let service = |keys: &[&str]| rules("svc.dpu.nvidia.com", "DPUDeployment", keys, ChangeKind::Added, json!("x"));
        assert_eq!(service(&["spec", "services", "hbn"]), ["service-added"]);
        assert_eq!(service(&["spec", "services", "hbn", "dependsOn"]), ["deployment-service"]);
    }

    #[test]
    fn what_came_as_a_whole_is_looked_into() {
        let template = json!({"spec": {"bfb": {"name": "x"}}});
        let found =
            rules("provisioning.dpu.nvidia.com", "DPUSet", &["spec", "dpuTemplate"], ChangeKind::Added, template);
        assert!(found.contains(&"dpuset-bfb") && found.contains(&"dpuset-template"), "{found:?}");
    }

    #[test]
    fn each_kind_is_there_once_and_each_rule_has_one_meaning() {
        let mut kinds = BTreeSet::new();
        let mut meanings: std::collections::BTreeMap<&str, BTreeSet<&str>> = std::collections::BTreeMap::new();
        for kind in rows::all() {
            assert!(kinds.insert((kind.group, kind.kind)), "{} {} twice", kind.group, kind.kind);
            let rows = [&kind.created, &kind.deleted, &kind.otherwise].into_iter().chain(kind.fields);
            for row in rows.chain(rows::OF_EVERY_KIND) {
                let Rule { name, why, .. } = row.rule;
                meanings.entry(name).or_default().insert(why);
                assert!(
                    why.ends_with('.') && name.chars().all(|c| c.is_ascii_lowercase() || c == '-'),
                    "{name}: {why}"
                );
            }
        }
        for (rule, meanings) in meanings {
            assert_eq!(meanings.len(), 1, "{rule}: {meanings:?}");
        }
    }
}
