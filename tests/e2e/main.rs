//! End-to-end tests: `dpu-render` as the plugin of the real Argo CD, on real API servers. `make e2e` builds and runs them.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests set files up, run programs, and wait for what they do"
)]

#[cfg(feature = "agent")]
mod agent;
mod application;
mod argo;
mod cases;
mod charts;
mod cluster;
mod controllers;
mod dyff;
mod git;
mod health;
#[path = "../health_cases/mod.rs"]
mod health_cases;
mod kubectl;
mod lab;
mod plugin;
#[path = "../plugin_cases/mod.rs"]
mod plugin_cases;
mod process;
mod safety;
mod sets;
#[path = "../it/shared.rs"]
mod shared;
#[cfg(feature = "agent")]
#[allow(dead_code, reason = "the agent's own tests need more of it")]
#[path = "../ovs/switch.rs"]
mod switch;
mod wait;
mod whole;
mod yaml;
