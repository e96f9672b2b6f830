//! What runs on each card.
//!
//! ```text
//! objects ─ sources ─ api ─▶ desired ────────────────┐
//!                                                    ├─ plan ─▶ one transaction (ops), one bundle ─ read back ─▶ status ─ writer ─▶ objects
//! ovsdb::connection ─▶ ovsdb::cache ─┐               │
//! openflow::connection ─▶ flow::Flow ┴▶ observed ────┘
//! ```
//!
//! Beside it `listen` answers who asks for `metrics` and `health`.
//!
//! In: the objects of a node, and the bytes of ovsdb-server and ovs-vswitchd. Out: typed values, requests as bytes, status. The same
//! objects and the same switch give the same plan. PURE but for the modules named `connection`, `secure`, `tls`, `sources`, `writer`,
//! `listen`, `process`, `run` and `cli`.

pub mod api;
pub mod backoff;
pub mod cli;
pub mod control;
pub mod crd;
pub mod desired;
pub mod devices;
pub mod flow;
pub mod flows;
pub mod hash;
pub mod health;
pub mod listen;
pub mod metrics;
pub mod observed;
pub mod openflow;
pub mod ops;
mod outbox;
pub mod ovsdb;
pub mod plan;
mod process;
pub mod run;
pub mod sets;
pub mod sources;
pub mod status;
pub mod tls;
pub mod trace;
pub mod unixctl;
pub mod writer;
