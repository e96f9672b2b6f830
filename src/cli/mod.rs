//! EDGE: the command line of `dpu-render`: arguments, files, terminal, exit codes.
//!
//! stdout carries the product, stderr what people read. A reader that closes its pipe has had enough: we stop, say nothing
//! about it, and the exit code is that of what was found so far.

mod argocd;
mod completions;
mod diff;
mod findings;
mod fleet;
pub mod fs;
mod plugin;
mod render;
mod sites;
mod steps;
pub mod stream;
pub mod tree;
mod validate;

use std::io::{self, ErrorKind, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

/// The exit codes of every verb.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Status {
    /// Done.
    Done = 0,
    /// The answer is no. `render`: a site was refused; `validate`: a site is invalid; `diff`: the sides differ.
    No = 1,
    /// No answer: usage, files that cannot be read or written.
    NoAnswer = 2,
}

impl From<Status> for ExitCode {
    fn from(status: Status) -> Self {
        Self::from(status as u8)
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// Arguments that cannot be followed.
    #[error("{0}")]
    Usage(String),
    /// A file or folder that the command line names.
    #[error("cannot {action} `{path}`: {source}")]
    File {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// No thread could be started.
    #[error("cannot start a thread: {0}")]
    Threads(io::Error),
    /// The product could not be written.
    #[error("cannot write to stdout: {0}")]
    Stdout(io::Error),
}

/// Compile the configuration of DPU sites from Git into the objects and Helm values of each cluster
///
/// Without a verb, `dpu-render SITE…` renders.
///
/// Exit codes: 0 done; 1 the answer is no (a site was refused, is invalid, or differs); 2 no answer (usage, files that cannot be read
/// or written).
#[derive(Debug, Parser)]
#[command(
    version,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    arg_required_else_help = true
)]
struct Cli {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    render: render::RenderArgs,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    Render(Box<render::RenderArgs>),
    Validate(Box<validate::ValidateArgs>),
    Diff(Box<diff::DiffArgs>),
    Steps(Box<steps::StepsArgs>),
    Argocd(Box<argocd::ArgocdArgs>),
    Plugin(plugin::PluginArgs),
    Completions(completions::CompletionsArgs),
}

/// Runs the program.
#[must_use]
pub fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(message) => {
            let printed = message.print();
            // Help that was asked for is a product; a closed pipe took what it wanted of it.
            let done = !message.use_stderr() && printed.or_else(unless_closed).is_ok();
            return if done { Status::Done } else { Status::NoAnswer }.into();
        }
    };
    let status = match cli.verb {
        Some(Verb::Render(args)) => render::run(&args),
        Some(Verb::Validate(args)) => validate::run(&args),
        Some(Verb::Diff(args)) => diff::run(&args),
        Some(Verb::Steps(args)) => steps::run(&args),
        Some(Verb::Argocd(args)) => argocd::run(&args),
        Some(Verb::Plugin(args)) => plugin::run(&args),
        Some(Verb::Completions(args)) => completions::run(&args),
        None => render::run(&cli.render),
    };
    let status = status.unwrap_or_else(|failure| {
        say(&format!("error: {failure}\n"));
        Status::NoAnswer
    });
    status.into()
}

/// Writes for people. There is nobody to tell if that fails.
fn say(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// Writes a part of the product; says whether anybody reads on.
fn deliver(product: &[u8]) -> Result<bool, Failure> {
    let mut stdout = io::stdout().lock();
    let written = stdout.write_all(product).and_then(|()| stdout.flush());
    match written {
        Ok(()) => Ok(true),
        Err(error) => unless_closed(error).map(|()| false).map_err(Failure::Stdout),
    }
}

/// A closed pipe is no error.
fn unless_closed(error: io::Error) -> io::Result<()> {
    if error.kind() == ErrorKind::BrokenPipe { Ok(()) } else { Err(error) }
}
