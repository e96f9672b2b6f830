//! What Argo CD is told about a site. PURE.
//!
//! ```text
//! site, folders, objects ─ applications (one per destination) ─ part of the management cluster's objects
//! objects ─ guard (not pruned unasked) ─ expect (not too few) ─▶ what is rendered
//! rendered sites ─ project (what the site may touch) ─ bootstrap (root) or values_ref (a committed tree) ─▶ what a person applies once
//! ```

pub mod applications;
pub mod bootstrap;
pub mod edit;
pub mod expect;
pub mod guard;
pub mod paths;
pub mod project;
pub mod values_ref;
pub mod version;
