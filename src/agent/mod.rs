//! The companion on the card: what Open vSwitch is and says, as values, and the two connections to it.
//!
//! ```text
//! ovsdb::connection ─▶ ovsdb::cache ─┐
//! openflow::connection ─▶ flow::Flow ┴▶ observed::Observed
//! ```
//!
//! In: bytes of ovsdb-server and ovs-vswitchd. Out: typed values, and requests as bytes. PURE but for the modules named `connection`.

pub mod backoff;
pub mod flow;
pub mod observed;
pub mod openflow;
mod outbox;
pub mod ovsdb;
