//! Selectors that change: which cards come and which go. PURE.
//!
//! In: a [`Case`] whose edit is in a selector, or an object that comes or goes with the cards it selects. Out: a [`Verdict`].

use std::collections::BTreeSet;

use super::cards::{Cards, SERVICE_NODES, rate, target};
use super::case::{Case, Verdict};
use super::class::Class;
use super::fleet::{Fleet, deployment_sets};
use super::rows::provisioning::{SET_BFB, SET_CREATED, SET_FLAVOR};
use crate::node::Node;
use crate::render::object::Destination;

/// Whether every side that is there has an inventory.
fn are_known(case: &Case<'_>) -> bool {
    case.sides().iter().all(|(fleet, _)| fleet.is_none_or(Fleet::is_known))
}

/// Cards that only the base has, and those that only the head has.
struct Moved {
    leave: BTreeSet<String>,
    join: BTreeSet<String>,
}

impl Moved {
    /// By what each side finds; nothing where a side has no inventory.
    fn of<'a>(case: &Case<'a>, find: impl Fn(&Fleet<'a>, &'a Node) -> BTreeSet<&'a str>) -> Option<Self> {
        if !are_known(case) {
            return None;
        }
        let [base, head] = case.sides().map(|(fleet, node)| match (fleet, node) {
            (Some(fleet), Some(node)) => find(fleet, node),
            _ => BTreeSet::new(),
        });
        let only = |own: &BTreeSet<&str>, other| own.difference(other).map(|card| (*card).to_owned()).collect();
        Some(Self { leave: only(&base, &head), join: only(&head, &base) })
    }

    fn cards(&self) -> Cards {
        Cards::named(self.leave.union(&self.join).map(String::as_str))
    }

    /// Of cards that move between DPUSets.
    fn verdict(&self) -> Verdict {
        if self.is_empty() {
            return same_cards();
        }
        let words = self.words(["leaves", "leave"], ["joins", "join"]);
        let why = format!(
            "{words}: DPF deletes the DPU of a card that is no longer selected, and installs one that is from nothing."
        );
        Verdict::new(Class::Reprovisioned, "cards-move", why, self.cards())
    }

    fn is_empty(&self) -> bool {
        self.leave.is_empty() && self.join.is_empty()
    }

    /// `a, b leave; c joins`.
    fn words(&self, leaves: [&str; 2], joins: [&str; 2]) -> String {
        let one = |cards: &BTreeSet<String>, [one, many]: [&str; 2]| match cards.len() {
            0 => None,
            1 => Some(format!("{} {one}", named(cards))),
            _ => Some(format!("{} {many}", named(cards))),
        };
        let parts = [one(&self.leave, leaves), one(&self.join, joins)];
        parts.into_iter().flatten().collect::<Vec<_>>().join("; ")
    }
}

fn same_cards() -> Verdict {
    let why = "The selector selects the same cards of the inventory as before.";
    Verdict::new(Class::Nothing, "same-cards", why, Cards::default())
}

/// At most four names.
fn named(cards: &BTreeSet<String>) -> String {
    let shown: Vec<&str> = cards.iter().take(4).map(String::as_str).collect();
    let more =
        if cards.len() > shown.len() { format!(" and {} more", cards.len() - shown.len()) } else { String::new() };
    format!("{}{more}", shown.join(", "))
}

/// A selector of a DPUSet. The DPU of a host that is no longer selected is deleted, one that is selected is made
/// (`dpuset_controller.go`, v24.10).
pub(super) fn of_set(case: &Case<'_>) -> Option<Verdict> {
    Moved::of(case, Fleet::of_set).map(|moved| moved.verdict())
}

/// The entries of a DPUDeployment's `dpuSets`. Its DPUSets are found by name, which holds the suffix: a card that the same
/// selector gives to a set of another suffix leaves and joins (P-81).
pub(super) fn of_deployment(case: &Case<'_>) -> Option<Verdict> {
    if !are_known(case) {
        return None;
    }
    let [base, head] = case.sides().map(|(fleet, node)| by_suffix(fleet, node, case));
    let only = |own: &BTreeSet<(String, String)>, other: &BTreeSet<(String, String)>| -> BTreeSet<String> {
        own.difference(other).map(|(_, card)| card.clone()).collect()
    };
    let (leave, join) = (only(&base, &head), only(&head, &base));
    Some(Moved { leave, join }.verdict())
}

/// Suffix and card.
fn by_suffix(fleet: Option<&Fleet<'_>>, node: Option<&Node>, case: &Case<'_>) -> BTreeSet<(String, String)> {
    let (Some(fleet), Some(node)) = (fleet, node) else { return BTreeSet::new() };
    let entries = node.items(&["spec", "dpus", "dpuSets"]).iter();
    let suffixes = entries.map(|entry| entry.text(&["nameSuffix"]).unwrap_or_default());
    let sets = deployment_sets(case.id, node);
    let cards = suffixes
        .zip(&sets)
        .flat_map(|(suffix, set)| fleet.of_set(set).into_iter().map(|card| (suffix.to_owned(), card.to_owned())));
    cards.collect()
}

/// A DPUDeployment that comes.
pub(super) fn deployment_created(case: &Case<'_>) -> Option<Verdict> {
    let cards = super::cards::of_deployment(case);
    let empty = case.head.is_some_and(Fleet::is_known) && cards.is_none();
    empty.then(|| Verdict::new(Class::Nothing, "no-cards", "It selects no card of the inventory.", cards))
}

/// A DPUSet that comes. Cards that another set had are installed again all the same.
pub(super) fn set_created(case: &Case<'_>) -> Option<Verdict> {
    let (fleet, node) = (case.head?, case.after?);
    if !fleet.is_known() {
        return None;
    }
    let cards = fleet.of_set(node);
    if cards.is_empty() {
        let why = "It selects no card of the inventory.";
        return Some(Verdict::new(Class::Nothing, "no-cards", why, Cards::default()));
    }
    let total = cards.len();
    Some(Verdict::of(SET_CREATED, Cards::named(cards)).at_a_time(all_at_once(total)))
}

/// `maxUnavailable` bounds replacement only: cards that join are installed at the same time.
fn all_at_once(total: usize) -> Option<String> {
    (total > 1).then(|| format!("all {total}"))
}

/// What a DPUSet installs. Only `RollingUpdate` replaces the cards that are there; the other strategy (`Recreate`, since v25.4
/// `OnDelete`) waits until somebody deletes their DPU.
pub(super) fn image(case: &Case<'_>) -> Option<Verdict> {
    let set = case.after?;
    let cards = super::cards::of_set(case);
    let rolling = set.text(&["spec", "strategy", "type"]) == Some("RollingUpdate");
    if case.head.is_some_and(Fleet::is_known) && cards.is_none() {
        let why = "It selects no card of the inventory.";
        return Some(Verdict::new(Class::Nothing, "no-cards", why, cards));
    }
    if !rolling {
        let why = "The set's strategy replaces no card by itself: one is installed anew when somebody deletes its DPU.";
        return Some(Verdict::new(Class::NewPods, "dpuset-on-delete", why, cards));
    }
    let rate = rate(set, cards.names.len());
    let flavor = case.edit.is_some_and(|edit| edit.path.keys().any(|key| key.starts_with("dpuFlavor")));
    Some(Verdict::of(if flavor { SET_FLAVOR } else { SET_BFB }, cards).at_a_time(rate))
}

/// The node selector of a Set in a DPU cluster: its children on cards that no longer match are deleted.
pub(super) fn of_labels(case: &Case<'_>) -> Option<Verdict> {
    by_labels(case, &["spec", "nodeSelector"])
}

/// The same of a DPUServiceChain or DPUServiceInterface, in every DPU cluster.
pub(super) fn of_template_labels(case: &Case<'_>) -> Option<Verdict> {
    by_labels(case, &["spec", "template", "spec", "nodeSelector"])
}

fn by_labels(case: &Case<'_>, path: &[&str]) -> Option<Verdict> {
    let cluster = match case.destination {
        Destination::Management => None,
        Destination::Cluster(name) => Some(&**name),
    };
    let moved = Moved::of(case, |fleet, node| fleet.by_labels(cluster, node.at(path).filter(|node| !node.is_null())))?;
    if moved.is_empty() {
        return Some(same_cards());
    }
    let words = moved.words(["loses it", "lose it"], ["gets it", "get it"]);
    Some(Verdict::new(
        Class::Interrupted,
        "chain-nodes",
        format!("{words}: ports and flows come and go with it."),
        moved.cards(),
    ))
}

/// The nodes of a service: pods leave cards and come to others, and those that stay restart, since the selector is part of the
/// pod template of its DaemonSet.
pub(super) fn of_application(case: &Case<'_>) -> Option<Verdict> {
    let moved = Moved::of(case, |fleet, node| match target(Some(fleet), node) {
        Some(cluster) => fleet.by_terms(Some(cluster), node.at(SERVICE_NODES)),
        None => BTreeSet::new(),
    })?;
    if moved.is_empty() {
        return None;
    }
    let words = moved.words(["loses the service", "lose the service"], ["gets it", "get it"]);
    let why = format!("{words}; its pods elsewhere restart, for the selector is part of their template.");
    Some(Verdict::new(Class::Interrupted, "service-nodes", why, super::cards::of_application(case).and(moved.cards())))
}

/// How many pods of an Application's service go at a time.
pub(super) fn pod_rate(case: &Case<'_>) -> Option<String> {
    const PATH: &[&str] = &[
        "spec",
        "source",
        "helm",
        "valuesObject",
        "serviceDaemonSet",
        "updateStrategy",
        "rollingUpdate",
        "maxUnavailable",
    ];
    let value = case.object()?.at(PATH)?;
    Some(value.as_str().map_or_else(|| value.to_json().to_string(), str::to_owned))
}
