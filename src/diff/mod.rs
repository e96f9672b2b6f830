//! What a change of the configuration does: two rendered sides to a report. PURE.
//!
//! In: the two sides of each site. Out: every [`change::Change`] of their objects, and where it happened.

pub mod change;
pub mod impact;
