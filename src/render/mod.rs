//! From files to the objects of each cluster. PURE.
//!
//! In: a [`crate::source::SourceTree`] and the folders of sites. Out: per site, objects in order with their text, or every fault.

pub mod expand;
pub mod object;
