//! What runs on each card.
//!
//! ```text
//! objects ─ api ─▶ desired ┐
//!                          ├─ plan ─▶ one transaction, one bundle ─ read back ─▶ status
//! switch ─ observed ───────┘
//! ```
//!
//! `api`, `desired`, `flows`, `plan` and `status` are pure: the same objects and the same switch give the same plan.

pub mod api;
pub mod desired;
pub mod hash;
