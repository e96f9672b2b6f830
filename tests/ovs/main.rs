//! The agent's connections against the real ovsdb-server and ovs-vswitchd, which run without privileges on made-up devices.
#![cfg_attr(
    test,
    expect(
        clippy::disallowed_methods,
        clippy::print_stdout,
        clippy::unwrap_used,
        reason = "tests run programs and say what they measured"
    )
)]

mod agent;
mod database;
#[path = "../../src/agent/metrics/exposition.rs"]
mod exposition;
mod openflow;
mod secure;
#[path = "../agent_objects/server.rs"]
#[allow(dead_code, reason = "other tests need more of it")]
mod server;
mod switch;
