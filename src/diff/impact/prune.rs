//! Objects that nobody removes. PURE.
//!
//! In: an object that the head no longer has. Out: a [`Verdict`] where Argo CD leaves it, or what it installed, behind. Sources:
//! `pruneObject` of gitops-engine's `pkg/sync/sync_context.go`, and Argo CD's finalizers of Applications.

use super::cards::{Cards, of_application};
use super::case::{Case, Verdict};
use super::class::Class;
use crate::node::Node;

const FINALIZER: &str = "resources-finalizer.argocd.argoproj.io";

/// What the object's own sync options say about pruning; Argo CD reads those of the object in the cluster, which is the base's.
pub(super) fn kept(case: &Case<'_>) -> Option<Verdict> {
    let before = case.before?;
    let options = before.text(&["metadata", "annotations", "argocd.argoproj.io/sync-options"])?;
    let says = |option: &str| options.split(',').any(|one| one.trim() == option);
    let verdict = |rule, why: String| Some(Verdict::new(Class::LeftBehind, rule, why, Cards::default()));
    if says("Prune=false") {
        let why = format!("Argo CD does not prune it (`Prune=false`): {} stays until somebody deletes it.", case.id);
        return verdict("prune-false", why);
    }
    if says("Prune=confirm") {
        let why = format!(
            "Argo CD asks before it prunes it (`Prune=confirm`): {} stays, and the sync waits, until somebody confirms.",
            case.id
        );
        return verdict("prune-confirm", why);
    }
    None
}

/// An Application that goes: without Argo CD's finalizer, what it installed stays.
pub(super) fn application(case: &Case<'_>) -> Option<Verdict> {
    let finalizers = case.before?.items(&["metadata", "finalizers"]);
    // There are variants for foreground and background deletion, told apart by what follows a slash.
    let cascades = finalizers
        .iter()
        .filter_map(Node::as_str)
        .any(|text| text == FINALIZER || text.strip_prefix(FINALIZER).is_some_and(|rest| rest.starts_with('/')));
    if cascades {
        return None;
    }
    let why = "It has no finalizer of Argo CD: only the Application goes, and all that it installed stays. Delete that by hand.";
    Some(Verdict::new(Class::LeftBehind, "application-without-finalizer", why, of_application(case)))
}
