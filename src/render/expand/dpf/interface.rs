//! `DPUServiceInterface` → `ServiceInterfaceSet`, in every DPU cluster. PURE.
//!
//! In: an interface as it is in a cluster. Out: its Set. Mirrors
//! `internal/dpuservicechain/controllers/dpuserviceinterface_controller.go`, release v24.10.0-rc.6: the parent's own metadata
//! is not copied, `clusterSelector` is ignored (P-45).

use super::context::{Context, Object, given, name, namespace, tidy};
use super::names::SVC_V1;
use crate::node::Node;

/// The Set of an interface.
pub(super) fn set(cx: &Context<'_>, interface: &Node) -> Node {
    of_template(cx, interface, "ServiceInterfaceSet")
}

/// The Set that carries `spec.template` of its parent.
pub(super) fn of_template(cx: &Context<'_>, parent: &Node, kind: &str) -> Node {
    let origin = parent.origin();
    let spec = given(parent, &["spec", "template", "spec"]).map(|spec| tidy(spec, cx.parity));
    Object::new(SVC_V1, kind, namespace(parent), name(parent), origin)
        .template(given(parent, &["spec", "template", "metadata"]))
        .wave(cx.wave(parent))
        .of_chart(cx)
        .with([("spec", spec)])
}
