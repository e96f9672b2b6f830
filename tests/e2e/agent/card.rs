//! A card of one test: a DPU cluster of its own with what the renderer brings to it, a switch, and `dpu-agent` in between. All of
//! it ends with this value. EDGE of the tests.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::cluster::{Cluster, Places, etcd};
use crate::git::Repository;
use crate::kubectl::Kubectl;
use crate::plugin::rendered;
use crate::process::{Running, answer, command, tails, try_answer};
use crate::shared::shared;
use crate::switch::Switch;
use crate::wait;

pub(crate) const NODE: &str = "card1";
pub(crate) const NAMESPACE: &str = "agents";
/// The name of the cluster that the site of these tests has.
const CLUSTER: &str = "dpu-a";
/// What the API server writes down of every request.
const POLICY: &str = r#"{"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"], "rules": [{"level": "Metadata"}]}"#;

/// Where the kinds of chains come from.
#[derive(Clone, Copy)]
pub(crate) enum Chains {
    /// The renderer.
    Ours,
    /// The CRDs of a release of DPF.
    Of(&'static str),
}

/// An object of a test, of this node.
pub(crate) fn object(kind: &str, name: &str, spec: &Value) -> Value {
    let mut spec = spec.clone();
    spec["node"] = json!(NODE);
    let metadata = json!({"namespace": NAMESPACE, "name": name, "labels": {"port": name}});
    json!({"apiVersion": "svc.dpu.nvidia.com/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec})
}

pub(crate) fn physical(name: &str) -> Value {
    object("ServiceInterface", name, &json!({"interfaceType": "physical", "physical": {"interfaceName": name}}))
}

/// Named `vf<number>`; its port is `pf0vf<number>`.
pub(crate) fn vf(number: u32) -> Value {
    let spec = json!({"interfaceType": "vf", "vf": {"pfID": 0, "vfID": number, "parentInterfaceRef": "p0"}});
    object("ServiceInterface", &format!("vf{number}"), &spec)
}

/// A chain of one switch.
pub(crate) fn chain(name: &str, ports: &[&str]) -> Value {
    let port = |name: &&str| json!({"serviceInterface": {"matchLabels": {"port": name}}});
    object("ServiceChain", name, &json!({"switches": [{"ports": ports.iter().map(port).collect::<Vec<_>>()}]}))
}

/// `<status>/<reason>` of a condition.
pub(crate) fn condition(conditions: &Value, kind: &str) -> String {
    let found = conditions.as_array().into_iter().flatten().find(|one| one["type"] == kind);
    let text = |one: &Value, key: &str| one[key].as_str().unwrap_or_default().to_owned();
    found.map_or_else(String::new, |one| format!("{}/{}", text(one, "status"), text(one, "reason")))
}

/// What the renderer brings to a DPU cluster for the agent.
fn brought(places: &Places) -> Vec<Value> {
    let repository = Repository::new(places.scratch.join("repositories").join("agent"));
    let site = json!({
        "apiVersion": "dpu-render.dev/v1alpha1", "kind": "Site", "metadata": {"name": "lab"},
        "spec": {
            "dpf": "v24.10", "mode": "standalone", "clusters": [{"name": CLUSTER, "namespace": CLUSTER}],
            "external": [
                {"group": "provisioning.dpu.nvidia.com", "kind": "DPUCluster", "namespace": CLUSTER, "name": CLUSTER},
                {"kind": "Secret", "namespace": "dpf-operator-system", "name": "dpu-a-dpu-a", "destination": "management"},
            ],
            "agent": {"image": "registry.example.net/dpu/dpu-agent:v0.1.0", "namespace": NAMESPACE},
        },
    });
    repository.write("sites/lab/site.yaml", &site.to_string());
    let objects = rendered(repository.path(), "sites/lab", CLUSTER);
    objects.iter().map(|line| serde_json::from_str::<Value>(line).unwrap()).collect()
}

fn is_crd(object: &Value) -> bool {
    object["kind"] == "CustomResourceDefinition"
}

pub(crate) fn is_of_chains(crd: &Value) -> bool {
    is_crd(crd) && crd["spec"]["group"] == "svc.dpu.nvidia.com"
}

/// The part of a release's CRDs that the agent reads.
pub(crate) fn crds_of(release: &str) -> Option<Vec<PathBuf>> {
    let folder = shared(&format!("crds/{release}"))?;
    let kinds = ["servicechains", "serviceinterfaces", "nodeserviceinterfaces"];
    let files = kinds.map(|kind| folder.join(format!("svc.dpu.nvidia.com_{kind}.yaml")));
    Some(files.into_iter().filter(|file| file.is_file()).collect())
}

pub(crate) struct Card {
    pub(crate) places: Places,
    pub(crate) cluster: Cluster,
    pub(crate) switch: Switch,
    /// Everything that the renderer brings.
    pub(crate) brought: Vec<Value>,
    etcd_port: u16,
    server: RefCell<Running>,
    agent: RefCell<Option<Running>>,
    _etcd: Running,
    _lock: File,
}

impl Card {
    /// Starts all of it but the agent; the ports from this one on are free.
    pub(crate) fn start(name: &str, port: u16, chains: Chains) -> Self {
        let (places, lock) = Places::new(&format!("e2e-agent-{name}"));
        let etcd_port = port + 1;
        let etcd = Running::start(&mut etcd(&places, etcd_port), &places.log("etcd"));
        let cluster = Cluster::new(&places, CLUSTER, port, "default");
        let server = Self::serve(&places, &cluster, etcd_port);
        let brought = brought(&places);
        let switch = Switch::start(&["br-sfc"]);
        let (server, agent) = (RefCell::new(server), RefCell::new(None));
        let card = Self { places, cluster, switch, brought, etcd_port, server, agent, _etcd: etcd, _lock: lock };
        card.cluster.wait_until_ready(&card.places);
        let of_chains: Vec<Value> = card.brought.iter().filter(|one| is_of_chains(one)).cloned().collect();
        let (crds, rest): (Vec<Value>, Vec<Value>) =
            card.brought.iter().filter(|one| !is_of_chains(one)).cloned().partition(is_crd);
        card.kubectl().apply(&crds);
        match chains {
            Chains::Ours => card.kubectl().apply(&of_chains),
            Chains::Of(release) => card.kubectl().apply_crds(&crds_of(release).unwrap()),
        }
        card.kubectl().wait_for_crds();
        // A namespace comes before what is in it.
        let (namespaces, rest): (Vec<Value>, Vec<Value>) = rest.into_iter().partition(|one| one["kind"] == "Namespace");
        card.kubectl().apply(&namespaces);
        card.kubectl().apply(&rest);
        card.kubectl().apply(&[json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE}})]);
        card
    }

    fn serve(places: &Places, cluster: &Cluster, etcd_port: u16) -> Running {
        let mut server = cluster.server(places, etcd_port);
        let policy = places.scratch.join("policy.json");
        fs::write(&policy, POLICY).unwrap();
        server.arg("--audit-policy-file").arg(policy);
        server.arg("--audit-log-path").arg(places.scratch.join("audit.log"));
        Running::start(&mut server, &cluster.log(places))
    }

    pub(crate) fn kubectl(&self) -> &Kubectl {
        &self.cluster.kubectl
    }

    pub(crate) fn stop_server(&self) {
        self.server.borrow_mut().stop();
    }

    pub(crate) fn start_server(&self) {
        *self.server.borrow_mut() = Self::serve(&self.places, &self.cluster, self.etcd_port);
        self.cluster.wait_until_ready(&self.places);
    }

    /// Forgets what was before now: a watch that goes on from there cannot.
    pub(crate) fn compact(&self) {
        let ask = |what: &str, body: &Value| {
            let url = format!("http://127.0.0.1:{}/v3/kv/{what}", self.etcd_port);
            let mut curl = command(Path::new("curl"), &self.places.home());
            answer(curl.args(["--fail", "--silent", "--show-error", "--data", &body.to_string(), &url]))
        };
        let range: Value = serde_json::from_str(&ask("range", &json!({"key": "AA=="}))).unwrap();
        ask("compaction", &json!({"revision": range["header"]["revision"], "physical": true}));
    }

    /// A kubeconfig of the agent's account, and of nobody else; `user` is how it shows who it is.
    pub(crate) fn kubeconfig(&self, user: &Value) -> PathBuf {
        let mut config: Value = serde_json::from_slice(&fs::read(&self.kubectl().kubeconfig).unwrap()).unwrap();
        config["users"][0]["user"] = user.clone();
        let path = self.places.folder("agent").join("kubeconfig");
        fs::write(&path, config.to_string()).unwrap();
        path
    }

    /// A token of the agent's account.
    pub(crate) fn token(&self, more: &[&str]) -> String {
        let token = self.kubectl().run(&[&["create", "token", "dpu-agent", "--namespace", NAMESPACE], more].concat());
        token.trim().to_owned()
    }

    /// Starts the agent as its account.
    pub(crate) fn start_agent(&self, more: &[&str]) {
        let config = self.kubeconfig(&json!({"token": self.token(&[])}));
        self.start_agent_with(&config, more);
    }

    /// Kills the agent, and starts it again as who it was.
    pub(crate) fn restart_agent(&self, more: &[&str]) {
        *self.agent.borrow_mut() = None;
        self.start_agent_with(&self.places.folder("agent").join("kubeconfig"), more);
    }

    pub(crate) fn start_agent_with(&self, config: &Path, more: &[&str]) {
        let mut agent = command(Path::new(env!("CARGO_BIN_EXE_dpu-agent")), &self.places.home());
        agent
            .env("KUBECONFIG", config)
            .args(["run", "--node", NODE, "--port-type=dummy", "--listen=127.0.0.1:0"])
            .args(more);
        agent.args(["--ovsdb", &self.switch.endpoint()]).arg("--ovs-rundir").arg(self.switch.path(""));
        *self.agent.borrow_mut() = Some(Running::start(&mut agent, &self.log()));
    }

    pub(crate) fn signal_agent(&self, name: &str) {
        self.agent.borrow().as_ref().unwrap().signal(name);
    }

    /// A line of `/proc/<agent>/status`.
    pub(crate) fn figure(&self, name: &str) -> String {
        let id = self.agent.borrow().as_ref().unwrap().id();
        let text = fs::read_to_string(format!("/proc/{id}/status")).unwrap();
        text.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim_start_matches(':').trim().to_owned()
    }

    fn log(&self) -> PathBuf {
        self.places.log("dpu-agent")
    }

    /// What the agent said so far.
    pub(crate) fn said(&self) -> String {
        fs::read_to_string(self.log()).unwrap()
    }

    /// What the agent that was started last answers over HTTP; why it does not yet.
    pub(crate) fn asked(&self, path: &str) -> Result<String, String> {
        let said = self.said();
        let address = said.lines().rev().find_map(|line| line.strip_prefix("metrics and health at "));
        let url = format!("{}{path}", address.ok_or("it does not listen")?);
        try_answer(command(Path::new("curl"), &self.places.home()).args(["--silent", "--show-error", &url]))
    }

    pub(crate) fn until(&self, what: &str, look: impl FnMut() -> Result<(), String>) {
        self.within(60, what, look);
    }

    pub(crate) fn within(&self, seconds: u64, what: &str, look: impl FnMut() -> Result<(), String>) {
        let logs = [self.log(), self.cluster.log(&self.places)];
        wait::until(what, seconds, || tails(&logs), look);
    }

    pub(crate) fn until_is<T: std::fmt::Debug + PartialEq>(&self, what: &str, wanted: &T, look: impl Fn() -> T) {
        self.until(what, || match look() {
            found if found == *wanted => Ok(()),
            found => Err(format!("{found:?}")),
        });
    }

    /// Flows of the bridge, without counters, sorted.
    pub(crate) fn flows(&self) -> Vec<String> {
        let text = self.switch.ofctl("dump-flows", "br-sfc", &["--no-stats", "--no-names"]);
        let mut flows: Vec<String> =
            text.lines().filter(|line| line.contains("actions=")).map(|line| line.trim().to_owned()).collect();
        flows.sort();
        flows
    }

    pub(crate) fn until_flows(&self, count: usize) {
        self.until_is(&format!("{count} flows"), &count, || self.flows().len());
    }

    /// The same with the names of ports, whatever their numbers are.
    pub(crate) fn named_flows(&self) -> BTreeSet<String> {
        let text = self.switch.ofctl("dump-flows", "br-sfc", &["--no-stats", "--names"]);
        text.lines().filter(|line| line.contains("actions=")).map(|line| line.trim().to_owned()).collect()
    }

    pub(crate) fn ports(&self) -> Vec<String> {
        self.switch.vsctl(&["list-ports", "br-sfc"]).lines().map(str::to_owned).collect()
    }

    /// `status` of the node's object.
    pub(crate) fn node(&self) -> Value {
        self.kubectl().get("dpunodenetworkstatuses", "default", NODE).unwrap_or_default()["status"].take()
    }

    /// An object of the tests' namespace.
    pub(crate) fn get(&self, plural: &str, name: &str) -> Value {
        self.kubectl().get(plural, NAMESPACE, name).unwrap_or_default()
    }

    /// `<status>/<reason>` of a condition of such an object.
    pub(crate) fn condition(&self, plural: &str, name: &str, kind: &str) -> String {
        condition(&self.get(plural, name)["status"]["conditions"], kind)
    }

    pub(crate) fn until_ready(&self) {
        self.until("the card is ready", || match condition(&self.node()["conditions"], "Ready").as_str() {
            "True/Success" => Ok(()),
            _ => Err(self.node().to_string()),
        });
    }

    pub(crate) fn delete(&self, plural: &str, name: &str) {
        self.kubectl().run(&["delete", plural, name, "--namespace", NAMESPACE, "--timeout=30s"]);
    }

    /// `metadata.resourceVersion` of everything that the agent writes.
    pub(crate) fn versions(&self) -> Vec<String> {
        let kinds = ["servicechains", "serviceinterfaces", "nodeserviceinterfaces"];
        let of = |object: &Value| {
            let text = |key: &str| object["metadata"][key].as_str().unwrap_or_default().to_owned();
            format!("{} {} {}", object["kind"], text("name"), text("resourceVersion"))
        };
        let served =
            |kind: &&str| self.kubectl().get("crds", "default", &format!("{kind}.svc.dpu.nvidia.com")).is_some();
        let kinds = kinds.into_iter().filter(served);
        let objects = kinds.flat_map(|kind| self.kubectl().list(kind, NAMESPACE));
        let node = self.kubectl().list("dpunodenetworkstatuses", "default");
        objects.chain(node).map(|object| of(&object)).collect()
    }
}
