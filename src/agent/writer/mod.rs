//! Where status goes, and what is kept from being deleted.
//!
//! In: a [`documents::Document`] for each object, [`finalizers::Step`]s. Out: what an API server ([`cluster`]) or a folder
//! ([`folder`]) then says. `documents` and `finalizers` are PURE, the others are the EDGE.

pub mod cluster;
pub mod documents;
pub mod events;
pub mod finalizers;
pub mod folder;
