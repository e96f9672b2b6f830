//! The tests that need more than the pure functions: other programs, files, the binary.
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "tests set files up, run programs, and say what they found"
)]

mod cli;
mod disk;
mod double;
mod examples;
mod golden;
mod hostile;
mod mutations;
mod oracle;
mod parity;
mod plugin;
#[path = "../plugin_cases/mod.rs"]
mod plugin_cases;
mod program;
mod readers;
mod rejected;
mod schema;
mod shared;
mod sites;
mod steps;
mod tree;
