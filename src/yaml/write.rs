//! Node to YAML and JSON text. PURE.

use crate::node::Node;

/// Appends `node` as a YAML document body, closed by a newline.
pub fn yaml(node: &Node, out: &mut String) {
    let _ = (node, out);
}

/// Appends `node` as compact JSON.
pub fn json(node: &Node, out: &mut String) {
    let _ = (node, out);
}
