//! `ServiceChainSet` → `ServiceChain`s, `ServiceInterfaceSet` → `ServiceInterface`s: one for every card of the inventory
//! that the Set selects. PURE.
//!
//! In: a Set and the cards. Out: objects per node. Mirrors `internal/servicechainset/controllers` (both controllers and
//! their shared helpers), release v24.10.0-rc.6, quirks included: the annotations of the Set itself go to its children and
//! those of the template nowhere, labels of the template win over the controller's own (P-16), parents get the node's name
//! appended (P-17). ownerReferences need UIDs and are left out.

use super::context::{Context, Object, given, name, namespace, place};
use super::names::SVC_V1;
use super::selector::{Labels, label_selector};
use crate::diagnostic::Diagnostic;
use crate::node::Node;
use crate::render::object::ObjectId;

/// A card of a DPU cluster.
pub(super) struct Card<'a> {
    pub(super) host: usize,
    pub(super) dpu: usize,
    pub(super) node: &'a str,
    pub(super) labels: Labels,
}

/// The longest label value.
const LABEL: usize = 63;

/// What the Set makes for the card, if it selects it. `set` is as it is on the card.
pub(super) fn child(cx: &mut Context<'_>, set: &Node, card: &Card<'_>) -> Option<Node> {
    if !label_selector(given(set, &["spec", "nodeSelector"]), &card.labels) {
        return None;
    }
    let chains = set.text(&["kind"]) == Some("ServiceChainSet");
    let origin = set.origin();
    let child = format!("{}-{}", name(set), card.node);
    let spec = given(set, &["spec", "template", "spec"]).cloned().unwrap_or_else(|| Node::map([], origin));
    let node = Some(Node::str(card.node, origin));
    let (kind, own, spec) = if chains {
        let own = ["svc.dpu.nvidia.com/servicechainset-name", "svc.dpu.nvidia.com/servicechainset-namespace"];
        let spec = Node::map([("node", node), ("switches", spec.get("switches").cloned())], spec.origin());
        ("ServiceChain", own, spec)
    } else {
        let own = ["svc.dpu.nvidia.com/serviceinterfaceset-name", "svc.dpu.nvidia.com/serviceinterfaceset-namespace"];
        let members = ["interfaceType", "physical", "vlan", "vf", "pf", "service"];
        let members = members.map(|key| {
            let member = given(&spec, &[key]).cloned();
            (
                key,
                if matches!(key, "vlan" | "vf") {
                    member.map(|member| with_parent(&member, card.node))
                } else {
                    member
                },
            )
        });
        ("ServiceInterface", own, Node::map(members.into_iter().chain([("node", node)]), spec.origin()))
    };
    let service_id = spec.text(&["service", "serviceID"]).map(str::to_owned);
    let mut object = Object::new(SVC_V1, kind, namespace(set), &child, origin)
        .label(own[0], name(set))
        .label(own[1], namespace(set))
        .label("svc.dpu.nvidia.com/nodeName", card.node);
    if let Some(id) = &service_id {
        object = object.label("svc.dpu.nvidia.com/service-id", id.as_str());
    }
    let template = given(set, &["spec", "template", "metadata"]);
    let labels = template.map(|node| Node::map([("labels", node.get("labels").cloned())], node.origin()));
    let annotations = Node::map([("annotations", set.at(&["metadata", "annotations"]).cloned())], origin);
    let child = object.template(labels.as_ref()).template(Some(&annotations)).of_chart(cx).with([("spec", Some(spec))]);
    if cx.parity {
        // The API server of the DPU cluster refuses it and nobody in the management cluster says so (5.9).
        let long = child
            .fields(&["metadata", "labels"])
            .iter()
            .find(|entry| entry.value.as_str().is_some_and(|value| value.len() > LABEL));
        if let Some(label) = long {
            let message = format!(
                "every {kind} of {} `{}` would carry label `{}` with {} characters: the API server refuses it",
                set.text(&["kind"]).unwrap_or_default(),
                name(set),
                label.key.text,
                label.value.as_str().unwrap_or_default().len()
            );
            // What a rule says of what the user wrote: `name-too-long` of these two.
            let by_rule = &*label.key.text == "svc.dpu.nvidia.com/nodeName"
                || &*label.key.text == own[0]
                    && !cx.input.clusters.iter().any(|objects| objects.contains_key(&ObjectId::of(set)));
            let fault = Diagnostic::warning("label-too-long", place(set), message);
            let fault = fault.help(format!("at most {LABEL} are allowed"));
            if !by_rule && !cx.out.diagnostics.contains(&fault) {
                cx.report(fault);
            }
            return None;
        }
    }
    Some(child)
}

/// `<parent>-<node>`: parents are per node too. Even an empty one gets the suffix.
fn with_parent(member: &Node, node: &str) -> Node {
    let (parent, origin) = match member.get("parentInterfaceRef") {
        Some(parent) => (parent.as_str().unwrap_or_default(), parent.origin()),
        None => ("", member.origin()),
    };
    member.with("parentInterfaceRef", Node::str(format!("{parent}-{node}"), origin))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::expand::Input;
    use crate::render::expand::dpf::testing::{Indexes, management};
    use crate::source::Origin;
    use serde_json::json;

    #[test]
    fn children_are_named_after_set_and_node_and_so_are_their_parents() {
        let (objects, site) = management(&[]);
        let inventory = crate::site::Inventory::default();
        let input =
            Input { site: &site, inventory: &inventory, management: &objects, clusters: &[], evaluate: &Indexes };
        let mut cx = Context::new(&input, None);
        let card = Card { host: 0, dpu: 0, node: "node-1", labels: Labels::new() };
        let set = json!({"kind": "ServiceInterfaceSet", "metadata": {"name": "my-set", "namespace": "n", "annotations": {"a": "b"}},
            "spec": {"template": {"metadata": {"labels": {"svc.dpu.nvidia.com/nodeName": "foo"}, "annotations": {"lost": "yes"}},
                "spec": {"interfaceType": "vf", "vf": {"vfID": 1, "pfID": 0, "parentInterfaceRef": "p0"}}}}});
        let child = child(&mut cx, &Node::from_json(&set, Origin::NONE), &card).unwrap();
        assert_eq!(name(&child), "my-set-node-1");
        assert_eq!(child.text(&["spec", "vf", "parentInterfaceRef"]), Some("p0-node-1"));
        assert_eq!(child.text(&["metadata", "labels", "svc.dpu.nvidia.com/nodeName"]), Some("foo"));
        assert_eq!(child.at(&["metadata", "annotations"]).unwrap().to_json(), json!({"a": "b"}));
    }
}
