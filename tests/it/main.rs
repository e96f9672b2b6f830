//! The tests that need more than the pure functions: other programs, files, the binary.
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "tests set files up, run programs, and say what they found"
)]

mod agent;
mod argocd;
mod cli;
mod diff;
mod diff_git;
mod disk;
mod doctor;
mod double;
mod examples;
#[path = "../../plugin/generator/mod.rs"]
mod forms;
mod golden;
mod health;
#[path = "../health_cases/mod.rs"]
mod health_cases;
mod hostile;
mod impact;
mod kustomize;
mod mutations;
mod oracle;
mod parity;
mod plugin;
#[path = "../plugin_cases/mod.rs"]
mod plugin_cases;
mod plugin_files;
mod program;
mod readers;
mod recipes;
mod rejected;
mod schema;
mod shared;
mod sites;
mod steps;
mod tree;
