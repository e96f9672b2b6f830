//! YAML and JSON text to [`crate::node::Node`] and back. PURE.

pub mod write;
