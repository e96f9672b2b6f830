//! Compiles the Git configuration of DPU sites into the objects and Helm values of each cluster.
//!
//! ```text
//! files ─ source::SourceTree ─ yaml::read ─▶ node::Node
//! base, overlays, site ─ render::layer (merge, provenance, ${{ }}) ─▶ one set of objects
//!   ─ schema (fields of the release) ─ render::expand (what the operators would create) ─▶ objects per cluster
//!   ─ argocd (Applications, guards, least numbers) ─ validate (rules) ─ render::emit (order, text)
//!   ─▶ stream, tree or JSON, written by cli
//! ```
//!
//! Everything but `cli` and the agent's connections is pure: no clock, no environment, no file system, no randomness.

#[cfg(feature = "agent")]
pub mod agent;
pub mod argocd;
pub mod cli;
pub mod diagnostic;
pub mod diff;
pub mod node;
pub mod render;
pub mod schema;
pub mod site;
pub mod source;
pub mod steps;
pub mod validate;
pub mod yaml;
