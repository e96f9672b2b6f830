//! The tests that need more than the pure functions: other programs, files, the binary.
#![expect(clippy::disallowed_methods, clippy::unwrap_used, reason = "tests set files up and run programs")]

mod cli;
mod common;
mod disk;
mod readers;
mod schema;
mod tree;
