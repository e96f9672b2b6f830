//! YAML and JSON text to [`crate::node::Node`] and back. PURE.

pub mod read;
pub mod scalar;
mod text;
pub mod write;
