//! What need not be read: it follows from what is shown anyway. PURE.
//!
//! In: the edits of an object. Out: the same, marked where one is noise. What is marked is counted with its place, never dropped; its
//! values are in no report.

use super::change::{Edit, Noise, Step};
use super::secret;
use crate::render::object::ObjectId;

/// Labels and annotations that name the version of what is installed.
const VERSIONS: [&str; 5] = [
    "app.kubernetes.io/version",
    "helm.sh/chart",
    "dpuservice.nvidia.com/version",
    "dpuservicechain.nvidia.com/version",
    "argocd.argoproj.io/tracking-id",
];

/// Marks the noise among the edits of an object.
pub(super) fn mark(edits: &mut [Edit], id: &ObjectId) {
    for edit in edits.iter_mut().filter(|edit| is_digest(edit)) {
        edit.noise = Some(Noise::Digest);
    }
    // A version alone is what changed.
    let told = edits.iter().any(|edit| edit.noise.is_none() && !is_version(edit, id));
    if told {
        for edit in edits.iter_mut().filter(|edit| is_version(edit, id)) {
            edit.noise = Some(Noise::Version);
        }
    }
}

/// The key of a label or annotation, of the object or of the pods it makes, and which of the two it is.
fn metadata(edit: &Edit) -> Option<(&str, &str)> {
    match &*edit.path.0 {
        [.., Step::Key(metadata), Step::Key(map), Step::Key(key)] if &**metadata == "metadata" => Some((map, key)),
        _ => None,
    }
}

/// A digest of something that is compared itself.
fn is_digest(edit: &Edit) -> bool {
    let both = edit.before.is_some() && edit.after.is_some();
    both && metadata(edit).is_some_and(|(map, key)| map == "annotations" && secret::is_digest(key))
}

/// A version that is told beside what it is the version of.
fn is_version(edit: &Edit, id: &ObjectId) -> bool {
    let both = edit.before.is_some() && edit.after.is_some();
    // The labels of an Application's pods are in its values.
    both && !id.is("provisioning.dpu.nvidia.com", "DPUSet")
        && metadata(edit).is_some_and(|(_, key)| VERSIONS.contains(&key))
}
