//! The switch, the objects and the agent between them.
//! Touches: temporary folders, a port of the loopback interface.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::server::Server;
use crate::switch::Switch;
use crate::{CHAINS, INTERFACES, LOOKS, WITHIN};

/// Where objects come from, and status goes.
pub(crate) enum Objects {
    Folder { from: TempDir, status: TempDir },
    Cluster(Server),
}

impl Objects {
    pub(crate) fn folder() -> Self {
        Self::Folder { from: TempDir::new().unwrap(), status: TempDir::new().unwrap() }
    }

    /// An API server with a thread of its own, so that looking at the switch does not hold it up.
    pub(crate) fn cluster() -> Self {
        let (sender, receiver) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                sender.send(Server::start().await).unwrap();
                std::future::pending::<()>().await;
            });
        });
        Self::Cluster(receiver.recv().unwrap())
    }
}

pub(crate) struct Lab {
    pub(crate) switch: Switch,
    objects: Objects,
}

/// The program. It ends with this value, and with this process whatever happens to it.
pub(crate) struct Agent(Child);

impl Drop for Agent {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

impl Agent {
    fn of_proc(&self, file: &str) -> String {
        fs::read_to_string(format!("/proc/{}/{file}", self.0.id())).unwrap()
    }

    fn number(&self, line: &str) -> u64 {
        let status = self.of_proc("status");
        let rest = status.lines().find_map(|text| text.strip_prefix(line)).unwrap();
        rest.trim_start_matches(':').split_whitespace().next().unwrap().parse().unwrap()
    }

    /// `VmRSS` or `VmHWM`, in KiB.
    pub(crate) fn memory(&self, line: &str) -> u64 {
        self.number(line)
    }

    pub(crate) fn threads(&self) -> u64 {
        self.number("Threads")
    }

    /// Processor time so far, in clock ticks.
    pub(crate) fn ticks(&self) -> u64 {
        let stat = self.of_proc("stat");
        let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    }
}

/// The interface that a chain begins with.
pub(crate) fn first_interface(chain: usize) -> usize {
    chain * 5
}

/// The interfaces of a chain.
pub(crate) fn interfaces(chain: usize) -> Vec<usize> {
    let count = if chain.is_multiple_of(10) { 5 } else { 2 };
    (0..count).map(|port| first_interface(chain) + port).collect()
}

impl Lab {
    pub(crate) fn start(objects: Objects) -> Self {
        Self { switch: Switch::start(&["br-sfc"]), objects }
    }

    /// Puts every object: the interfaces, and a chain each.
    pub(crate) fn put_all(&self) {
        for interface in 0..INTERFACES {
            let vf = json!({"pfID": 0, "vfID": interface});
            self.put(
                "serviceinterfaces",
                "ServiceInterface",
                &name(interface),
                json!({"interfaceType": "vf", "vf": vf}),
            );
        }
        for chain in 0..CHAINS {
            self.put_chain(chain, &interfaces(chain));
        }
    }

    pub(crate) fn put_chain(&self, chain: usize, interfaces: &[usize]) {
        let port = |number: &usize| json!({"serviceInterface": {"matchLabels": {"port": name(*number)}}});
        let ports: Vec<Value> = interfaces.iter().map(port).collect();
        self.put("servicechains", "ServiceChain", &format!("c{chain}"), json!({"switches": [{"ports": ports}]}));
    }

    fn put(&self, plural: &str, kind: &str, name: &str, mut spec: Value) {
        spec["node"] = json!("w");
        let managed = json!({
            "manager": "servicechainset", "operation": "Update", "apiVersion": "svc.dpu.nvidia.com/v1alpha1", "fieldsType": "FieldsV1",
            "time": "2026-01-01T00:00:00Z", "fieldsV1": {"f:metadata": {"f:labels": {"f:port": {}}}, "f:spec": {"f:node": {}}},
        });
        let metadata = json!({
            "namespace": "ns", "name": name, "labels": {"port": name}, "uid": format!("uid-{kind}-{name}"), "generation": 1,
            "creationTimestamp": "2026-01-01T00:00:00Z", "managedFields": [managed],
        });
        let object =
            json!({"apiVersion": "svc.dpu.nvidia.com/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec});
        match &self.objects {
            Objects::Cluster(server) => server.put(plural, object),
            Objects::Folder { from, .. } => {
                let half = from.path().join(format!(".{kind}-{name}"));
                fs::write(&half, object.to_string()).unwrap();
                fs::rename(half, from.path().join(format!("{kind}-{name}.json"))).unwrap();
            }
        }
    }

    pub(crate) fn agent(&self, program: &Path) -> Agent {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]).arg(program).args(["run", "--node", "w", "--port-type", "dummy"]);
        command.args(["--ovsdb", &self.switch.endpoint()]).arg("--ovs-rundir").arg(self.switch.path(""));
        match &self.objects {
            Objects::Folder { from, status } => {
                command.arg("--from").arg(from.path()).arg("--status").arg(status.path());
            }
            Objects::Cluster(server) => {
                let config = self.switch.path("kubeconfig");
                let text = json!({
                    "apiVersion": "v1", "kind": "Config", "current-context": "c",
                    "clusters": [{"name": "c", "cluster": {"server": server.url()}}],
                    "users": [{"name": "u", "user": {}}],
                    "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
                });
                fs::write(&config, text.to_string()).unwrap();
                command.env("KUBECONFIG", config);
            }
        }
        let log = fs::File::create(self.switch.path("agent.log")).unwrap();
        Agent(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap())
    }

    fn node(&self) -> Value {
        match &self.objects {
            Objects::Cluster(server) => server.get("dpunodenetworkstatuses", "", "w"),
            Objects::Folder { status, .. } => {
                let text = fs::read_to_string(status.path().join("node-w.json")).unwrap_or_default();
                serde_json::from_str(&text).unwrap_or_default()
            }
        }
    }

    /// Waits until the status says that all is well.
    pub(crate) fn until_ready(&self) {
        let ready = json!({"interfaces": format!("{INTERFACES}/{INTERFACES}"), "chains": format!("{CHAINS}/{CHAINS}")});
        let begin = Instant::now();
        while self.node()["status"]["summary"] != ready {
            assert!(begin.elapsed() < WITHIN, "the node is not ready: {}", self.node()["status"]["conditions"]);
            std::thread::sleep(LOOKS * 10);
        }
    }

    pub(crate) fn ofport(&self, interface: usize) -> u32 {
        self.switch.vsctl(&["get", "interface", &format!("pf0vf{interface}"), "ofport"]).trim().parse().unwrap()
    }
}

fn name(interface: usize) -> String {
    format!("vf{interface}")
}
