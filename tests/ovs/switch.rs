//! An Open vSwitch of one test, in a folder of its own.

use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use dpu_render::agent::openflow::connection::{Connection, PortEvents, Times};
use dpu_render::agent::unixctl;
use tempfile::TempDir;

/// Both daemons. They end with this value, and with the test's thread whatever happens to it.
pub(crate) struct Switch {
    folder: TempDir,
    kind: Kind,
    /// Further arguments of ovsdb-server.
    arguments: Vec<String>,
    database: Child,
    vswitchd: Child,
}

/// What its devices are.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    /// Made up by Open vSwitch; nobody has to be root.
    MadeUp,
    /// Those of the network namespace of this process.
    Of(u32),
}

impl Kind {
    fn datapath(self) -> &'static str {
        match self {
            Self::MadeUp => "dummy",
            Self::Of(_) => "netdev",
        }
    }

    /// As `dpu-agent` and the database call its devices.
    pub(crate) fn port_type(self) -> &'static str {
        match self {
            Self::MadeUp => "dummy",
            Self::Of(_) => "system",
        }
    }

    /// Runs ovs-vswitchd where its devices are.
    fn vswitchd(self, database: &str) -> (Vec<String>, Vec<String>) {
        let own = |list: &[&str]| list.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>();
        match self {
            Self::MadeUp => (Vec::new(), own(&[database, "--enable-dummy=override", "--disable-system"])),
            Self::Of(process) => (
                own(&["nsenter", &format!("--net=/proc/{process}/ns/net")]),
                own(&[database, "--disable-system", "--disable-system-route"]),
            ),
        }
    }
}

/// Runs a program of Open vSwitch to its end.
fn said(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| missing(command, &error));
    let text = |bytes| String::from_utf8(bytes).unwrap();
    assert!(output.status.success(), "{command:?}: {}", text(output.stderr));
    text(output.stdout)
}

fn missing(command: &Command, error: &std::io::Error) -> ! {
    panic!("{command:?}: {error}; run: apt-get install openvswitch-switch")
}

pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < Duration::from_secs(10), "{what}: not within 10 s");
        std::thread::sleep(Duration::from_millis(2));
    }
}

impl Switch {
    /// Starts both, and makes these bridges.
    pub(crate) fn start(bridges: &[&str]) -> Self {
        Self::start_of(Kind::MadeUp, bridges)
    }

    /// The same with devices of this kind.
    pub(crate) fn start_of(kind: Kind, bridges: &[&str]) -> Self {
        Self::start_with(kind, bridges, vec!["--remote=ptcp:0:127.0.0.1".to_owned()])
    }

    /// The same, with other remotes of ovsdb-server.
    pub(crate) fn start_with(kind: Kind, bridges: &[&str], arguments: Vec<String>) -> Self {
        let folder = TempDir::new().unwrap();
        let at = |name: &str| folder.path().join(name);
        let schema = "/usr/share/openvswitch/vswitch.ovsschema";
        said(Command::new("ovsdb-tool").arg("create").arg(at("conf.db")).arg(schema));
        let database = spawn_database(&folder, &arguments);
        // The socket is there a moment before anybody listens.
        until("ovsdb-server listens", || UnixStream::connect(at("db.sock")).is_ok());
        said(vsctl(&folder).args(["--no-wait", "init"]));
        let vswitchd = spawn_vswitchd(&folder, kind);
        let switch = Self { folder, kind, arguments, database, vswitchd };
        for bridge in bridges {
            switch.add_bridge(bridge);
        }
        switch
    }

    pub(crate) fn add_bridge(&self, bridge: &str) {
        let datapath = format!("datapath_type={}", self.kind.datapath());
        self.vsctl(&["add-br", bridge, "--", "set", "bridge", bridge, &datapath, "fail_mode=secure"]);
    }

    /// Adds made-up devices to a bridge.
    pub(crate) fn add_ports(&self, bridge: &str, ports: &[&str]) {
        for port in ports {
            self.vsctl(&["add-port", bridge, port, "--", "set", "interface", port, "type=dummy"]);
        }
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("unix:{}", self.path("db.sock").display())
    }

    pub(crate) fn vsctl(&self, arguments: &[&str]) -> String {
        said(vsctl(&self.folder).args(arguments))
    }

    /// `ovs-appctl` to ovs-vswitchd.
    pub(crate) fn appctl(&self, arguments: &[&str]) -> String {
        said(Command::new("ovs-appctl").arg("-t").arg(self.path("v.ctl")).args(arguments))
    }

    /// Frames that come in at a made-up device, without a process for each call.
    pub(crate) fn receive(&self, port: &str, frames: &[String]) {
        let arguments: Vec<&str> = std::iter::once(port).chain(frames.iter().map(String::as_str)).collect();
        unixctl::call(&self.path("v.ctl"), "netdev-dummy/receive", &arguments).unwrap();
    }

    /// `ovs-ofctl VERB` on a bridge.
    pub(crate) fn ofctl(&self, verb: &str, bridge: &str, arguments: &[&str]) -> String {
        let socket = format!("unix:{}", self.path(&format!("{bridge}.mgmt")).display());
        said(Command::new("ovs-ofctl").args(["-O", "OpenFlow14", verb, &socket]).args(arguments))
    }

    /// A connection to a bridge, and what its ports do.
    pub(crate) async fn connect(&self, bridge: &str) -> (Connection, PortEvents) {
        Connection::open(&self.path(&format!("{bridge}.mgmt")), Times::default()).await.unwrap()
    }

    /// `STOP`, `CONT` …
    pub(crate) fn signal_vswitchd(&self, name: &str) {
        said(Command::new("kill").args([&format!("-{name}"), &self.vswitchd.id().to_string()]));
    }

    pub(crate) fn kill_vswitchd(&mut self) {
        self.vswitchd.kill().unwrap();
        self.vswitchd.wait().unwrap();
    }

    /// Lets it do nothing for a while, or go on.
    pub(crate) fn stop_vswitchd(&self, stop: bool) {
        let signal = if stop { "-STOP" } else { "-CONT" };
        said(Command::new("kill").args([signal, &self.vswitchd.id().to_string()]));
    }

    /// Starts it again.
    pub(crate) fn spawn_vswitchd(&mut self) {
        self.vswitchd = spawn_vswitchd(&self.folder, self.kind);
    }

    /// Starts it again, and waits until a bridge answers.
    pub(crate) fn start_vswitchd(&mut self, bridge: &str) {
        self.spawn_vswitchd();
        let socket = format!("unix:{}", self.path(&format!("{bridge}.mgmt")).display());
        until("the bridge answers", || {
            Command::new("ovs-ofctl").args(["show", &socket]).output().unwrap().status.success()
        });
    }

    /// The port of the database that the system chose for a remote; a server that is started again keeps it.
    pub(crate) fn database_port(&mut self) -> u16 {
        let log = std::fs::read_to_string(self.path("s.log")).unwrap();
        let port = log.rsplit("listening on port ").next().and_then(|rest| rest.split_whitespace().next()).unwrap();
        for argument in &mut self.arguments {
            *argument = argument.replace("ssl:0:", &format!("ssl:{port}:")).replace("tcp:0:", &format!("tcp:{port}:"));
        }
        port.parse().unwrap()
    }

    /// `kill -SIGNAL` to ovsdb-server.
    pub(crate) fn signal_database(&self, signal: &str) {
        said(Command::new("kill").args([&format!("-{signal}"), &self.database.id().to_string()]));
    }

    pub(crate) fn kill_database(&mut self) {
        self.database.kill().unwrap();
        self.database.wait().unwrap();
    }

    /// It hears what it is asked, and does nothing about it, until it is told to go on.
    pub(crate) fn pause_database(&self, pause: bool) {
        let signal = if pause { "-STOP" } else { "-CONT" };
        said(Command::new("kill").args([signal, &self.database.id().to_string()]));
    }

    pub(crate) fn start_database(&mut self) {
        self.database = spawn_database(&self.folder, &self.arguments);
        until("ovsdb-server answers", || {
            vsctl(&self.folder).args(["-t", "1", "show"]).output().unwrap().status.success()
        });
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        for daemon in [&mut self.vswitchd, &mut self.database] {
            drop(daemon.kill());
            drop(daemon.wait());
        }
    }
}

fn vsctl(folder: &TempDir) -> Command {
    let mut command = Command::new("ovs-vsctl");
    command.arg(format!("--db=unix:{}", folder.path().join("db.sock").display()));
    command
}

fn spawn_database(folder: &TempDir, more: &[String]) -> Child {
    let remote = format!("--remote=punix:{}", folder.path().join("db.sock").display());
    let mut arguments = vec!["conf.db".to_owned(), remote];
    arguments.extend_from_slice(more);
    spawn(folder, &[], "ovsdb-server", "s", &arguments)
}

fn spawn_vswitchd(folder: &TempDir, kind: Kind) -> Child {
    let (place, arguments) = kind.vswitchd(&format!("unix:{}", folder.path().join("db.sock").display()));
    spawn(folder, &place, "ovs-vswitchd", "v", &arguments)
}

fn spawn(folder: &TempDir, place: &[String], program: &str, short: &str, arguments: &[String]) -> Child {
    let at = |extension: &str| folder.path().join(format!("{short}.{extension}")).display().to_string();
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL"]).args(place).arg(program).args(arguments).current_dir(folder.path());
    command.arg(format!("--unixctl={}", at("ctl"))).arg(format!("--log-file={}", at("log")));
    command.env("OVS_RUNDIR", folder.path()).env("OVS_DBDIR", folder.path()).env("OVS_LOGDIR", folder.path());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap_or_else(|error| missing(&command, &error))
}
