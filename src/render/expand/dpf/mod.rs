//! DPF v24.10: what its controllers make of the user's objects. PURE.

use super::{Expanded, Input};

/// Expands a standalone site.
#[must_use]
pub fn expand(_input: &Input<'_>) -> Expanded {
    Expanded::default()
}
