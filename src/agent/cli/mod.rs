//! EDGE: the command line of `dpu-agent`: arguments, environment, terminal, exit codes.
//!
//! stdout carries the product, stderr what people read.

mod look;
mod plan;
mod run;
mod status;
mod trace;

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use super::desired::Settings;
use super::ovsdb::Endpoint;
use super::ovsdb::connection::Server;
use super::ovsdb::secure::{Files, Own};

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// The agent cannot begin.
    #[error(transparent)]
    Run(#[from] super::run::Failure),
    /// Arguments that cannot be followed.
    #[error("{0}")]
    Usage(String),
    /// A file that the command line names.
    #[error("cannot read `{path}`: {why}", path = path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// A file that the command line names, to be written.
    #[error("cannot write `{path}`: {source}", path = path.display())]
    Written {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The switch cannot be read.
    #[error("the switch cannot be read: {0}")]
    Switch(String),
    /// The system gives no event loop, or stdout is gone.
    #[error("{0}")]
    System(#[from] io::Error),
    /// What has no JSON form.
    #[error("{0}")]
    Json(#[from] serde_json::Error),
}

/// Wire the Open vSwitch of a DPU as its ServiceInterfaces and ServiceChains ask for, and say in their status whether it is
///
/// Exit codes: 0 done; 1 the answer is no (`plan`: something is to do; `status`:
/// something is wrong; `trace`: the packet goes elsewhere than meant); 2 no answer (usage, files, a switch that cannot be read).
#[derive(Debug, Parser)]
#[command(name = "dpu-agent", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    Run(run::RunArgs),
    Plan(plan::PlanArgs),
    Status(status::StatusArgs),
    Trace(trace::TraceArgs),
    /// Print the CustomResourceDefinitions that the agent writes status of, as YAML
    Crds,
}

/// The switch, and what it must have.
#[derive(Clone, Debug, clap::Args)]
struct SwitchArgs {
    /// Name of the node whose objects are taken
    #[arg(long, env = "DPU_AGENT_NODE")]
    node: String,
    /// Database of Open vSwitch: unix:PATH, ssl:HOST:PORT or tcp:HOST:PORT
    #[arg(long, env = "DPU_AGENT_OVSDB", default_value = "unix:/var/run/openvswitch/db.sock")]
    ovsdb: Endpoint,
    #[command(flatten)]
    certificates: CertificateArgs,
    /// Folder with the management sockets of bridges
    #[arg(long, env = "DPU_AGENT_OVS_RUNDIR", default_value = "/var/run/openvswitch")]
    ovs_rundir: PathBuf,
    /// Bridge of the chains
    #[arg(long, env = "DPU_AGENT_BRIDGE", default_value = "br-sfc")]
    bridge: String,
    /// Type of the interfaces that are made for devices
    #[arg(long, env = "DPU_AGENT_PORT_TYPE", default_value = "dpdk", value_parser = ["dpdk", "system", "dummy"])]
    port_type: String,
    /// MTU that is asked for on ports of the agent; the switch's own without it
    #[arg(long, env = "DPU_AGENT_MTU", value_parser = clap::value_parser!(u16).range(68..=9216))]
    mtu: Option<u16>,
    /// Take uplinks off the bridge when their interface goes; on a card the uplink carries every representor
    #[arg(long, env = "DPU_AGENT_REMOVE_UPLINKS")]
    remove_uplinks: bool,
    /// What the system says of its devices: how ports with a nicSelector are found
    #[arg(long, env = "DPU_AGENT_SYSFS", value_name = "DIR", default_value = "/sys")]
    sysfs: PathBuf,
    /// Take ServiceInterfaceSets and ServiceChainSets that select the node, where no set controller runs
    #[arg(long, env = "DPU_AGENT_SETS")]
    sets: bool,
}

/// PEM files for `ssl:`.
///
/// They are read anew for each connection.
#[derive(Clone, Debug, clap::Args)]
struct CertificateArgs {
    /// PEM file with the CA that signed the certificate of the database's server, as ovs-vsctl's --ca-cert
    ///
    /// A certificate that names hosts is good for these; one that names none, as those of ovs-pki, for any.
    #[arg(long, env = "DPU_AGENT_OVSDB_CA", value_name = "FILE")]
    ovsdb_ca: Option<PathBuf>,
    /// PEM file with the certificate that the server wants to see of the agent, as --certificate
    #[arg(long, env = "DPU_AGENT_OVSDB_CERT", value_name = "FILE", requires = "ovsdb_key", requires = "ovsdb_ca")]
    ovsdb_cert: Option<PathBuf>,
    /// PEM file with the key of that certificate, as --private-key
    #[arg(long, env = "DPU_AGENT_OVSDB_KEY", value_name = "FILE", requires = "ovsdb_cert")]
    ovsdb_key: Option<PathBuf>,
}

impl SwitchArgs {
    /// Whose database it is. Who gives certificates means to be secure, so that they are not left unused.
    fn server(&self) -> Result<Server, Failure> {
        let CertificateArgs { ovsdb_ca, ovsdb_cert, ovsdb_key } = self.certificates.clone();
        let own = ovsdb_cert.zip(ovsdb_key).map(|(certificate, key)| Own { certificate, key });
        let files = ovsdb_ca.map(|ca| Files { ca, own });
        match (&self.ovsdb, &files) {
            (Endpoint::Ssl(..), None) => {
                Err(Failure::Usage(super::ovsdb::connection::Error::NoCa(self.ovsdb.clone()).to_string()))
            }
            (Endpoint::Unix(_) | Endpoint::Tcp(..), Some(_)) => Err(Failure::Usage(format!(
                "--ovsdb-ca is for ssl:HOST:PORT, and nothing on `{}` is encrypted; leave out one of them",
                self.ovsdb
            ))),
            _ => Ok(Server { endpoint: self.ovsdb.clone(), files }),
        }
    }

    fn settings(&self) -> Settings {
        Settings {
            node: self.node.clone(),
            bridge: self.bridge.clone(),
            // The database calls the system's own type nothing.
            port_type: if self.port_type == "system" { String::new() } else { self.port_type.clone() },
            mtu: self.mtu,
            remove_uplinks: self.remove_uplinks,
        }
    }
}

/// Runs the program.
#[must_use]
pub fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(message) => {
            let _ = message.print();
            return ExitCode::from(if message.use_stderr() { 2 } else { 0 });
        }
    };
    let status = match cli.verb {
        Verb::Run(args) => run::run(args),
        Verb::Plan(args) => plan::run(&args),
        Verb::Status(args) => status::run(&args),
        Verb::Trace(args) => trace::run(&args),
        Verb::Crds => crds(),
    };
    ExitCode::from(status.unwrap_or_else(|failure| {
        say(&format!("error: {failure}\n"));
        2
    }))
}

/// One thread: the agent waits, mostly.
fn event_loop() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

fn crds() -> Result<u8, Failure> {
    for crd in super::crd::all()? {
        deliver(&format!("---\n{}", crd.yaml))?;
    }
    Ok(0)
}

/// Writes for people. There is nobody to tell if that fails.
fn say(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// Writes a part of the product. A reader that closes its pipe has had enough.
fn deliver(product: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(product.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}
