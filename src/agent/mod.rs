//! What runs on each card.
//!
//! ```text
//! objects ─ api ─▶ desired ──────────────────────────┐
//!                                                    ├─ plan ─▶ one transaction, one bundle ─ read back ─▶ status
//! ovsdb::connection ─▶ ovsdb::cache ─┐               │
//! openflow::connection ─▶ flow::Flow ┴▶ observed ────┘
//! ```
//!
//! In: the objects of a node, and the bytes of ovsdb-server and ovs-vswitchd. Out: typed values, and requests as bytes. PURE but
//! for the modules named `connection`: the same objects and the same switch give the same plan.

pub mod api;
pub mod backoff;
pub mod desired;
pub mod flow;
pub mod flows;
pub mod hash;
pub mod observed;
pub mod openflow;
mod outbox;
pub mod ovsdb;
pub mod plan;
