//! What the API server does not take. PURE.
//!
//! In: a [`Case`]. Out: a [`Verdict`] of class `refused`, with what to do instead. The rules of the release's CRDs decide; the
//! webhooks of DPF v24.10 add that a BFB and a DPUFlavor stay while a DPUSet names them.

use super::cards::{Cards, of_image, users_of};
use super::case::{Case, Verdict};
use super::class::Class;
use super::fleet::Fleet;
use crate::diff::change::Path;
use crate::node::Node;
use crate::render::object::ObjectId;
use crate::schema::{Refusal, transitions};
use crate::site::Release;

/// The rules of the kind that a change breaks. DPF's webhook fills in the file name of a BFB, so that writing it down is no
/// change.
pub(super) fn refusals(id: &ObjectId, before: &Node, after: &Node, release: Release) -> Vec<Refusal> {
    if &*id.kind != "BFB" {
        return transitions(before, after, release);
    }
    let name = Node::str(format!("{}-{}.bfb", id.namespace, id.name), before.origin());
    let filled = |node: &Node| match node.at(&["spec", "fileName"]) {
        None => node.with_at(&["spec", "fileName"], name.clone()),
        Some(_) => node.clone(),
    };
    transitions(&filled(before), &filled(after), release)
}

/// Whether a rule speaks of a place.
pub(super) fn speaks_of(refusal: &Refusal, path: &Path) -> bool {
    let keys: Vec<&str> = path.keys().collect();
    refusal.path.iter().zip(&keys).all(|(own, key)| own == key)
}

/// What is said of a place that may not change.
pub(super) fn verdict(case: &Case<'_>, refusal: &Refusal) -> Verdict {
    let place = if refusal.path.is_empty() { "the object".to_owned() } else { format!("`{}`", refusal.path.join(".")) };
    let why = format!("{place} may not change: \"{}\". {}", refusal.message.trim_end_matches('.'), instead(case.id));
    Verdict::new(Class::Refused, "immutable", why, Cards::default())
}

/// What to do instead.
fn instead(id: &ObjectId) -> String {
    match &*id.kind {
        "BFB" => "Make a BFB of another name, and name it in the DPUSet or DPUDeployment.".to_owned(),
        "DPUFlavor" => "Make a DPUFlavor of another name, and name it in the DPUSet or DPUDeployment.".to_owned(),
        _ => format!("Give {id} another name, or delete it before the sync."),
    }
}

/// A BFB or DPUFlavor that goes while something names it: a DPUSet, of a BFB in any namespace; of a flavor also a DPU, which
/// keeps the one that it was installed with until its card is installed anew.
pub(super) fn image_in_use(case: &Case<'_>) -> Option<Verdict> {
    let is_bfb = &*case.id.kind == "BFB";
    if !is_bfb && &*case.id.kind != "DPUFlavor" {
        return None;
    }
    let users = |fleet: Option<&Fleet<'_>>| fleet.map(|fleet| users_of(fleet, case.id));
    if let Some(first) = users(case.head).unwrap_or_default().first() {
        let why = format!("The webhook keeps it while {first} names it. Take it out of that first.");
        return Some(Verdict::new(Class::Refused, "image-in-use", why, Cards::default()));
    }
    let before = users(case.base).unwrap_or_default();
    let first = before.first().filter(|_| !is_bfb && case.head.is_some())?;
    let why = format!(
        "The webhook keeps it while a DPU of {first} was installed with it. Remove it in a later change, when the cards are \
         installed anew."
    );
    Some(Verdict::new(Class::Refused, "flavor-of-cards", why, of_image(case)))
}

/// A kubeconfig that comes: Kamaji's cluster manager has set it before, to a Secret of its own.
pub(super) fn kubeconfig(case: &Case<'_>) -> Option<Verdict> {
    let (before, after) = case.both(&["spec", "kubeconfig"]);
    let kamaji = case.after?.text(&["spec", "type"]) == Some("kamaji");
    let own = format!("{}-admin-kubeconfig", case.id.name);
    if before.is_some() || !kamaji || after?.as_str() == Some(&own) {
        return None;
    }
    let why = format!("The cluster manager has set it to `{own}`, and it may not change. Leave it out, or write that.");
    Some(Verdict::new(Class::Refused, "kubeconfig-set", why, Cards::default()))
}
