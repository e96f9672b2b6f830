//! `dpu-agent run`.

use std::path::PathBuf;
use std::time::Duration;

use super::{Failure, SwitchArgs, event_loop, say};
use crate::agent::listen::{Address, Files, Options as Listen};
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
    /// Seconds between readings of all flows, and of what the API server keeps of status, that nothing else is the reason of
    #[arg(long, env = "DPU_AGENT_AUDIT", default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..))]
    audit: u64,
    /// Where to answer /metrics, /healthz and /readyz, with commas between, or off: plain HTTP on loopback, HTTPS elsewhere
    #[arg(
        long,
        env = "DPU_AGENT_LISTEN",
        value_name = "ADDRESS:PORT",
        value_delimiter = ',',
        default_value = "127.0.0.1:61182"
    )]
    listen: Vec<Address>,
    /// Certificate to answer with over HTTPS, PEM; read again when it is renewed
    #[arg(long, env = "DPU_AGENT_TLS_CERT", value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Key of that certificate, PEM
    #[arg(long, env = "DPU_AGENT_TLS_KEY", value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
}

pub(super) fn run(args: RunArgs) -> Result<u8, Failure> {
    let place = match args.from {
        Some(from) => Place::Folder { from, status: args.status },
        None => Place::Cluster,
    };
    let files = args.tls_cert.zip(args.tls_key).map(|(certificate, key)| Files { certificate, key });
    let options = Options {
        settings: args.switch.settings(),
        place,
        sets: args.switch.sets,
        server: args.switch.server()?,
        rundir: args.switch.ovs_rundir,
        sysfs: args.switch.sysfs,
        audit: Duration::from_secs(args.audit),
        listen: Listen { addresses: args.listen, files },
    };
    event_loop()?.block_on(run_agent(options, say))?;
    Ok(0)
}
