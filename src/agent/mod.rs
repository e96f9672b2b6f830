//! What runs on each card.
//!
//! ```text
//! objects ─ sources ─ api ─▶ desired ┐
//!                                    ├─ plan ─▶ one transaction, one bundle ─ read back ─▶ status ─ writer ─▶ objects
//! switch ─ ovsdb, openflow ─ observed ┘
//! ```
//!
//! `api`, `sets`, `desired`, `flows`, `plan`, `crd` and `status` are pure: the same objects and the same switch give the same
//! plan. Out of the process reach only the modules named `connection`, `sources` and `writer`.

pub mod api;
pub mod crd;
pub mod desired;
pub mod flow;
pub mod hash;
pub mod observed;
pub mod sets;
pub mod sources;
pub mod status;
pub mod writer;
