//! `dpu-agent run`.

use std::path::PathBuf;
use std::time::Duration;

use super::{Failure, SwitchArgs, event_loop, say};
use crate::agent::run::{Options, Place, run as run_agent};

/// Keep the switch as the objects of the node ask for, and write their status
///
/// Objects come from the API server that KUBECONFIG names or that of the cluster the agent runs in, or with --from out of a
/// folder. On SIGTERM it ends; ports and flows stay.
#[derive(Debug, clap::Args)]
pub(super) struct RunArgs {
    #[command(flatten)]
    switch: SwitchArgs,
    /// Folder of YAML and JSON files to take objects from, in the place of an API server
    #[arg(long, env = "DPU_AGENT_FROM")]
    from: Option<PathBuf>,
    /// Folder to write status into, a file for each object
    #[arg(long, env = "DPU_AGENT_STATUS", requires = "from")]
    status: Option<PathBuf>,
    /// Seconds between readings of all flows that nothing else is the reason of
    #[arg(long, env = "DPU_AGENT_AUDIT", default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..))]
    audit: u64,
}

pub(super) fn run(args: RunArgs) -> Result<u8, Failure> {
    let place = match args.from {
        Some(from) => Place::Folder { from, status: args.status },
        None => Place::Cluster,
    };
    let options = Options {
        settings: args.switch.settings(),
        place,
        sets: args.switch.sets,
        server: args.switch.server()?,
        rundir: args.switch.ovs_rundir,
        audit: Duration::from_secs(args.audit),
    };
    event_loop()?.block_on(run_agent(options, say))?;
    Ok(0)
}
