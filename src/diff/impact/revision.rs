//! How DPF rolls a change of a DPUDeployment out, which differs between releases. PURE.
//!
//! In: a [`Case`] of a deployment or of a part of one. Out: a [`Verdict`] where a release does more than the row says. Sources:
//! `dpudeployment_controller.go` of v24.10; CRDs of v25.7 (`upgradePolicy.applyNodeEffect`, true unless it says otherwise) and
//! v26.4 (`dpuSetStrategy`).

use super::cards::{Cards, of_deployment, of_users};
use super::case::{Case, Verdict};
use super::class::Class;
use super::fleet::Fleet;
use super::rows::service::{BFB, FLAVOR};
use crate::node::Node;
use crate::site::Release;

/// BFB and flavor: at the rate of the deployment's own strategy, which v24.10 fixes to one card.
pub(super) fn image(case: &Case<'_>) -> Option<Verdict> {
    let (cards, deployment) = (of_deployment(case), case.after?);
    if case.head.is_some_and(Fleet::is_known) && cards.is_none() {
        return Some(Verdict::new(Class::Nothing, "no-cards", "It selects no card of the inventory.", cards));
    }
    let strategy = deployment.at(&["spec", "dpus", "dpuSetStrategy"]);
    if strategy.and_then(|strategy| strategy.text(&["type"])) == Some("OnDelete") {
        let why = "The set's strategy replaces no card by itself: one is installed anew when somebody deletes its DPU.";
        return Some(Verdict::new(Class::NewPods, "dpuset-on-delete", why, cards));
    }
    let rate = strategy.and_then(|strategy| strategy.at(&["rollingUpdate", "maxUnavailable"]));
    let rate = match rate {
        Some(value) => Some(value.as_str().map_or_else(|| value.to_json().to_string(), str::to_owned)),
        None => (case.release() < Release::V25_4).then(|| "1".to_owned()),
    };
    let flavor = case.edit?.path.keys().any(|key| key.starts_with("flavor"));
    Some(Verdict::of(if flavor { FLAVOR } else { BFB }, cards).at_a_time(rate))
}

/// A chain: since v25.7 a revision, for which the nodes are drained unless it says otherwise.
pub(super) fn chain(case: &Case<'_>) -> Option<Verdict> {
    let policy = case.after?.at(&["spec", "serviceChains", "upgradePolicy"]);
    node_effect(case, policy, of_deployment(case))
}

/// A configuration: the same.
pub(super) fn configuration(case: &Case<'_>) -> Option<Verdict> {
    node_effect(case, case.after?.at(&["spec", "upgradePolicy"]), of_users(case))
}

fn node_effect(case: &Case<'_>, policy: Option<&Node>, cards: Cards) -> Option<Verdict> {
    let applied = policy.and_then(|policy| policy.get("applyNodeEffect")).and_then(Node::as_bool) != Some(false);
    if case.release() < Release::V25_7 || !applied {
        return None;
    }
    let why = "DPF makes a revision and applies the node effect to the hosts of the cards, because \
               `upgradePolicy.applyNodeEffect` does not say false.";
    Some(Verdict::new(Class::Drained, "node-effect-applied", why, cards))
}
