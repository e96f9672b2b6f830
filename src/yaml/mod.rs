//! YAML and JSON text to [`crate::node::Node`] and back. PURE.

pub mod read;
pub mod scalar;
pub mod write;
