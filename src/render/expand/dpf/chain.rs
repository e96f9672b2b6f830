//! `DPUServiceChain` → `ServiceChainSet`, in every DPU cluster. PURE.
//!
//! In: a chain as it is in a cluster. Out: its Set. Mirrors
//! `internal/dpuservicechain/controllers/dpuservicechain_controller.go`, release v24.10.0-rc.6.

use super::context::Context;
use super::interface::of_template;
use crate::node::Node;

/// The Set of a chain.
pub(super) fn set(cx: &Context<'_>, chain: &Node) -> Node {
    of_template(cx, chain, "ServiceChainSet")
}
