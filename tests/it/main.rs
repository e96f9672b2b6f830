//! The tests that need more than the pure functions: other programs, files, the binary.
#![expect(
    clippy::disallowed_methods,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "tests set files up, run programs, and say what they skip"
)]

mod cli;
mod common;
mod disk;
mod oracle;
mod readers;
mod schema;
mod tree;
