//! The tests that need more than the pure functions: other programs, files, the binary.

mod cli;
mod common;
mod disk;
mod readers;
mod schema;
mod tree;
