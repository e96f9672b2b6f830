//! Where the objects of the node come from.
//!
//! In: an API server ([`cluster`]) or a folder ([`folder`]). Out: [`Given`] in a channel that holds the latest. [`devices`] adds what the
//! system says of its devices. `store`, `members` and `files` are PURE, the others are the EDGE.

pub mod cluster;
pub mod devices;
pub mod files;
pub mod folder;
mod members;
pub mod store;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::desired::Snapshot;

/// The objects, and how well they are known.
#[derive(Clone, Debug, Default)]
pub struct Given {
    /// The objects, at one moment.
    pub snapshot: Arc<Snapshot>,
    /// Every kind was read whole once: what is not there is not asked for.
    pub complete: bool,
    /// What cannot be read, by kind or file: what it said before still counts.
    pub problems: BTreeMap<String, String>,
}
