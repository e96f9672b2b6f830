//! Services, interfaces, chains and DPUSets of a site, whoever wrote them. PURE.
//!
//! In: the user's objects, then those that deployments and system components add. Out: one of each name; two of one name are
//! a fault, because the controllers would overwrite one with the other for ever.

use std::collections::BTreeMap;

use super::context::{Context, name, namespace, place};
use super::names::{PROVISIONING, SVC};
use crate::diagnostic::Diagnostic;
use crate::node::Node;

/// Namespace and name.
pub(super) type Name = (String, String);

/// An object by name, and where it comes from.
#[derive(Clone)]
pub(super) struct Part {
    /// The object.
    pub(super) node: Node,
    /// The object without its Helm values: what is evaluated per cluster beside them.
    pub(super) bare: Node,
    /// Helm values, the stronger first: kept apart where they may only be merged once they are evaluated.
    pub(super) values: Vec<Node>,
    /// The user wrote it, as opposed to: a deployment or the operator's configuration made it.
    pub(super) written: bool,
    /// What made it, for messages.
    pub(super) maker: String,
}

impl Part {
    /// Whether something in it waits for a cluster or card.
    pub(super) fn waits(&self) -> bool {
        self.bare.has_expression() || self.values.iter().any(Node::has_expression)
    }
}

/// Everything the later stages expand.
#[derive(Default)]
pub(super) struct Parts {
    pub(super) services: BTreeMap<Name, Part>,
    pub(super) interfaces: BTreeMap<Name, Part>,
    pub(super) chains: BTreeMap<Name, Part>,
    pub(super) dpu_sets: BTreeMap<Name, Part>,
}

impl Parts {
    /// What the user wrote.
    pub(super) fn written(cx: &Context<'_>) -> Self {
        let read = |group, kind| {
            cx.of_kind(group, kind)
                .map(|(id, node)| {
                    let values = node.at(&["spec", "helmChart", "values"]).cloned().into_iter().collect();
                    let part =
                        Part { node: node.clone(), bare: bare(node), values, written: true, maker: id.to_string() };
                    ((id.namespace.to_string(), id.name.to_string()), part)
                })
                .collect()
        };
        Self {
            services: read(SVC, "DPUService"),
            interfaces: read(SVC, "DPUServiceInterface"),
            chains: read(SVC, "DPUServiceChain"),
            dpu_sets: read(PROVISIONING, "DPUSet"),
        }
    }
}

fn bare(node: &Node) -> Node {
    match node.at(&["spec", "helmChart"]) {
        Some(chart) if node.has_expression() => node.with_at(&["spec", "helmChart"], chart.without("values")),
        _ => node.clone(),
    }
}

/// Adds a generated object. It replaces one of its name, as forced server-side apply would; that is reported.
pub(super) fn add(cx: &mut Context<'_>, parts: &mut BTreeMap<Name, Part>, node: Node, values: Vec<Node>, maker: &str) {
    let key = (namespace(&node).to_owned(), name(&node).to_owned());
    let part = Part { bare: bare(&node), node, values, written: false, maker: maker.to_owned() };
    if let Some(other) = parts.get(&key) {
        let kind = part.node.text(&["kind"]).unwrap_or_default();
        let (first, second) = (other.maker.clone(), maker);
        let pair = (first.clone(), second.to_owned());
        let said = kind == "DPUServiceInterface" && cx.collided.contains(&pair);
        if kind == "DPUService" {
            cx.collided.insert(pair);
        }
        let message = if other.written {
            format!("{second} makes {kind} `{}/{}`, which is written by hand too", key.0, key.1)
        } else if first == second {
            format!("{second} makes {kind} `{}/{}` twice", key.0, key.1)
        } else {
            format!("{first} and {second} both make {kind} `{}/{}`", key.0, key.1)
        };
        if !said {
            cx.refuse(
                Diagnostic::error("name-collision", part.node.origin(), message)
                    .note_at("the other one", place(&other.node))
                    .help("one would overwrite the other for ever: rename one; names are joined with `-`, and `_` becomes `-`"),
            );
        }
    }
    parts.insert(key, part);
}
