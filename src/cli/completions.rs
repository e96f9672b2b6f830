//! `dpu-render completions SHELL`.

use clap::CommandFactory as _;

use super::{Cli, Failure, Status, deliver};

/// Print the completion script of a shell
///
/// For bash: `source <(dpu-render completions bash)`.
#[derive(Debug, clap::Args)]
pub(super) struct CompletionsArgs {
    /// Shell to complete in
    shell: clap_complete::Shell,
}

pub(super) fn run(args: &CompletionsArgs) -> Result<Status, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "dpu-render", &mut script);
    deliver(&script)?;
    Ok(Status::Done)
}
