//! EDGE: files, terminal, exit codes.

pub mod fs;
pub mod tree;

use std::process::ExitCode;

/// Runs the program.
#[must_use]
pub fn run() -> ExitCode {
    ExitCode::SUCCESS
}
