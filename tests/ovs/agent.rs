//! The program itself, between a folder of objects and a real switch.

mod cluster;
mod defects;
mod faults;
mod figures;
mod kills;
mod kinds;
mod look;
mod members;
mod metrics;
mod objects;
mod ownership;
mod packets;
mod plan;
mod pods;
mod secure;

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::switch::Switch;

/// A switch, a folder of objects and one of status.
struct Lab {
    switch: Switch,
    /// How the program finds the database of the switch.
    database: Vec<String>,
    from: TempDir,
    status: TempDir,
}

/// The program. It ends with this value, and with the test's thread whatever happens to it.
struct Agent(Child);

impl Drop for Agent {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

impl Agent {
    fn signal(&self, name: &str) {
        assert!(Command::new("kill").args([&format!("-{name}"), &self.0.id().to_string()]).status().unwrap().success());
    }

    /// A line of `/proc/<pid>/status`, in KiB.
    fn memory(&self, line: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap();
        let line = status.lines().find_map(|text| text.strip_prefix(line)).unwrap();
        line.trim_start_matches(':').split_whitespace().next().unwrap().parse().unwrap()
    }

    /// Processor time so far, in clock ticks.
    fn ticks(&self) -> u64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0.id())).unwrap();
        let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    }
}

impl Lab {
    fn start(bridges: &[&str]) -> Self {
        let switch = Switch::start(bridges);
        Self::on(switch)
    }

    fn on(switch: Switch) -> Self {
        let database = vec!["--ovsdb".to_owned(), switch.endpoint()];
        Self::with(switch, database)
    }

    /// Whose agent finds the database by these arguments.
    fn with(switch: Switch, database: Vec<String>) -> Self {
        Self { switch, database, from: TempDir::new().unwrap(), status: TempDir::new().unwrap() }
    }

    fn command(&self, verb: &str, status: Option<&Path>) -> Command {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", env!("CARGO_BIN_EXE_dpu-agent"), verb]);
        // Agents of other tests listen at the same time.
        command.env("DPU_AGENT_PORT_TYPE", self.switch.kind().port_type()).env("DPU_AGENT_LISTEN", "127.0.0.1:0");
        command.args(["--node", "w"]).args(&self.database);
        let objects = if matches!(verb, "status" | "trace") { "--objects" } else { "--from" };
        command.arg("--ovs-rundir").arg(self.switch.path("")).arg(objects).arg(self.from.path());
        if let Some(status) = status {
            command.arg("--status").arg(status);
        }
        command
    }

    fn agent_with(&self, arguments: &[&str]) -> Agent {
        let mut command = self.command("run", Some(self.status.path()));
        let log = fs::File::create(self.switch.path("agent.log")).unwrap();
        Agent(command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap())
    }

    fn agent(&self) -> Agent {
        self.agent_with(&[])
    }

    fn plan(&self, arguments: &[&str]) -> Output {
        self.command("plan", None).args(arguments).output().unwrap()
    }

    /// Writes objects into a file, in one step.
    fn put(&self, name: &str, objects: &[Value]) {
        let text = json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string();
        self.put_text(name, &text);
    }

    fn put_text(&self, name: &str, text: &str) {
        let half = self.from.path().join(format!(".{name}"));
        fs::write(&half, text).unwrap();
        fs::rename(half, self.from.path().join(format!("{name}.json"))).unwrap();
    }

    fn remove(&self, name: &str) {
        fs::remove_file(self.from.path().join(format!("{name}.json"))).unwrap();
    }

    fn node(&self) -> Value {
        let text = fs::read_to_string(self.status.path().join("node-w.json")).unwrap_or_default();
        serde_json::from_str(&text).unwrap_or_default()
    }

    /// `<status>/<reason>` of a condition of the node.
    fn condition(&self, kind: &str) -> String {
        condition(&self.node()["status"]["conditions"], kind)
    }

    /// The same of a chain or an interface in the node's status.
    fn condition_of(&self, list: &str, name: &str, kind: &str) -> String {
        let node = self.node();
        let entries = node["status"][list].as_array().cloned().unwrap_or_default();
        let entry = entries.into_iter().find(|entry| entry["name"] == name).unwrap_or_default();
        condition(&entry["conditions"], kind)
    }

    fn until_condition(&self, kind: &str, wanted: &str) {
        self.until(&format!("{kind} is {wanted}"), || self.condition(kind) == wanted);
    }

    fn until_condition_of(&self, list: &str, name: &str, kind: &str, wanted: &str) {
        self.until(&format!("{kind} of {name} is {wanted}"), || self.condition_of(list, name, kind) == wanted);
    }

    fn until(&self, what: &str, holds: impl Fn() -> bool) {
        let told = || {
            let log = fs::read_to_string(self.switch.path("agent.log")).unwrap_or_default();
            format!("{what}\nlog: {log}\nstatus: {:#}\nflows: {}", self.node()["status"], self.flows().join("\n"))
        };
        let begin = std::time::Instant::now();
        while !holds() {
            assert!(begin.elapsed() < std::time::Duration::from_secs(10), "not within 10 s: {}", told());
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
    }

    /// The flows of the bridge, without counters, sorted.
    fn flows(&self) -> Vec<String> {
        let text = self.switch.ofctl("dump-flows", "br-sfc", &["--no-stats", "--no-names"]);
        let mut flows: Vec<String> =
            text.lines().filter(|line| line.contains("actions=")).map(|line| line.trim().to_owned()).collect();
        flows.sort();
        flows
    }

    fn until_flows(&self, count: usize) {
        self.until(&format!("{count} flows"), || self.flows().len() == count);
    }

    /// `[]` where it has none, and nothing where there is no such port.
    fn ofport(&self, port: &str) -> String {
        self.switch.vsctl(&["--if-exists", "get", "interface", port, "ofport"]).trim().to_owned()
    }

    fn ports(&self, bridge: &str) -> Vec<String> {
        self.switch.vsctl(&["list-ports", bridge]).lines().map(str::to_owned).collect()
    }
}

/// What the CNI does for a pod.
impl Lab {
    /// Adds the port of a pod's interface. `id` is `<namespace>/<pod>/<interface>`.
    fn cni_adds(&self, bridge: &str, port: &str, id: &str) {
        let (kind, id) = (format!("type={}", self.switch.kind().port_type()), format!("external_ids:dpf-id={id}"));
        let of_port = ["set", "port", port, "vlan_mode=trunk", "external_ids:owner=ovs-cni.network.kubevirt.io"];
        let mut all = vec!["add-port", bridge, port, "--", "set", "interface", port, &kind, &id, "--"];
        all.extend(of_port);
        self.switch.vsctl(&all);
    }

    /// Joins the port of a pod on `br-hbn` to `br-sfc`.
    fn cni_joins(&self, port: &str, interface: &str) {
        let (there, here) = (format!("p{port}brhbn"), format!("p{port}brsfc"));
        let (to_here, to_there) = (format!("options:peer={here}"), format!("options:peer={there}"));
        let ids = [format!("external_ids:hbn_netdev={interface}"), format!("external_ids:dpf-id={interface}")];
        self.switch.vsctl(&[
            "add-port",
            "br-hbn",
            &there,
            "--",
            "set",
            "interface",
            &there,
            "type=patch",
            &to_here,
            &ids[0],
            "--",
            "add-port",
            "br-sfc",
            &here,
            "--",
            "set",
            "interface",
            &here,
            "type=patch",
            &to_there,
            &ids[1],
        ]);
    }
}

fn condition(conditions: &Value, kind: &str) -> String {
    let found = conditions.as_array().into_iter().flatten().find(|one| one["type"] == kind);
    found.map_or_else(String::new, |one| {
        format!("{}/{}", one["status"].as_str().unwrap_or_default(), one["reason"].as_str().unwrap_or_default())
    })
}

fn object(kind: &str, name: &str, spec: Value) -> Value {
    let mut spec = spec;
    spec["node"] = json!("w");
    json!({
        "apiVersion": "svc.dpu.nvidia.com/v1alpha1", "kind": kind,
        "metadata": {"namespace": "ns", "name": name, "labels": {"port": name}}, "spec": spec,
    })
}

fn physical(name: &str) -> Value {
    object("ServiceInterface", name, json!({"interfaceType": "physical", "physical": {"interfaceName": name}}))
}

fn pf(number: u8) -> Value {
    object("ServiceInterface", &format!("pf{number}"), json!({"interfaceType": "pf", "pf": {"pfID": number}}))
}

fn vf(number: u16) -> Value {
    object(
        "ServiceInterface",
        &format!("vf{number}"),
        json!({"interfaceType": "vf", "vf": {"pfID": 0, "vfID": number}}),
    )
}

fn vlan(name: &str, parent: &str, id: u16) -> Value {
    object(
        "ServiceInterface",
        name,
        json!({"interfaceType": "vlan", "vlan": {"parentInterfaceRef": parent, "vlanID": id}}),
    )
}

/// The interface of a service's pods, which is called `interface` in them.
fn service(name: &str, id: &str, interface: &str) -> Value {
    let service = json!({"serviceID": id, "network": "mybrsfc", "interfaceName": interface});
    object("ServiceInterface", name, json!({"interfaceType": "service", "service": service}))
}

fn pod(name: &str, service: &str, ready: bool) -> Value {
    let ready = if ready { "True" } else { "False" };
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"namespace": "ns", "name": name, "labels": {"svc.dpu.nvidia.com/service": service}},
        "spec": {"nodeName": "w"},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": ready}]},
    })
}

fn chain(name: &str, switches: &[&[&str]]) -> Value {
    let port = |name: &&str| json!({"serviceInterface": {"matchLabels": {"port": name}}});
    let switch = |ports: &&[&str]| json!({"ports": ports.iter().map(port).collect::<Vec<_>>()});
    object("ServiceChain", name, json!({"switches": switches.iter().map(switch).collect::<Vec<_>>()}))
}
