//! The tests that need more than the pure functions: other programs, files, the binary.
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "tests set files up, run programs, and say what they found"
)]

mod cli;
mod disk;
mod examples;
mod golden;
mod hostile;
mod impact;
mod mutations;
mod oracle;
mod parity;
mod plugin;
mod program;
mod readers;
mod rejected;
mod schema;
mod shared;
mod sites;
mod steps;
mod tree;
