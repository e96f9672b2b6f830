//! Objects of an API server.

use std::fs;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::{Agent, Lab, chain, condition, physical, vf};
use crate::server::Server;

pub(super) const FINALIZER: &str = "svc.dpu.nvidia.com/ServiceInterface-finalizer";

/// Serves on a thread of its own, so that a test may wait.
pub(super) fn serve() -> Server {
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            sender.send(Server::start().await).unwrap();
            std::future::pending::<()>().await;
        });
    });
    receiver.recv().unwrap()
}

pub(super) fn agent(lab: &Lab, server: &Server, arguments: &[&str]) -> Agent {
    let config = lab.switch.path("kubeconfig");
    let text = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": server.url()}}],
        "users": [{"name": "u", "user": {}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
    });
    fs::write(&config, text.to_string()).unwrap();
    let mut command = Command::new("setpriv");
    command.args([
        "--pdeathsig",
        "KILL",
        env!("CARGO_BIN_EXE_dpu-agent"),
        "run",
        "--node",
        "w",
        "--port-type",
        "dummy",
    ]);
    command.args(["--ovsdb", &lab.switch.endpoint()]).arg("--ovs-rundir").arg(lab.switch.path(""));
    let log = fs::File::create(lab.switch.path("agent.log")).unwrap();
    command.args(arguments).env("KUBECONFIG", config).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    Agent(command.spawn().unwrap())
}

pub(super) fn with_uid(mut object: Value) -> Value {
    object["metadata"]["uid"] = json!(format!("uid-{}", object["metadata"]["name"].as_str().unwrap()));
    object["metadata"]["generation"] = json!(1);
    object
}

pub(super) fn finalizers(server: &Server, name: &str) -> Value {
    server.get("serviceinterfaces", "ns", name)["metadata"]["finalizers"].clone()
}

#[test]
fn objects_of_an_api_server_are_wired_held_and_told() {
    let lab = Lab::start(&["br-sfc"]);
    let server = serve();
    for one in [physical("p0"), vf(1), vf(2)] {
        server.put("serviceinterfaces", with_uid(one));
    }
    server.put("servicechains", with_uid(chain("c", &[&["p0", "vf1"]])));
    let _agent = agent(&lab, &server, &[]);
    lab.until_flows(2);
    let status = |plural: &str, namespace: &str, name: &str| {
        condition(&server.get(plural, namespace, name)["status"]["conditions"], "Ready")
    };
    lab.until("the chain says so", || status("servicechains", "ns", "c") == "True/Success");
    lab.until("the node says so", || status("dpunodenetworkstatuses", "", "w") == "True/Success");
    for name in ["p0", "vf1", "vf2"] {
        assert_eq!(finalizers(&server, name), json!([FINALIZER]), "{name}");
    }
    let flows = lab.flows();
    lab.switch.vsctl(&["del-port", "br-sfc", "pf0vf1"]);
    lab.until("the port is back", || lab.ports("br-sfc").len() == 3);
    lab.until("the drift is told", || server.asked("/events") > 0);
    // An API server that is away changes nothing, and the switch is looked after.
    server.away(true);
    lab.switch.vsctl(&["del-port", "br-sfc", "p0"]);
    lab.until("the port is back", || lab.ports("br-sfc").len() == 3);
    lab.until("the flows are right", || lab.flows() == flows);
    server.away(false);
    // What is deleted is let go when the switch is rid of it.
    let mut going = server.get("serviceinterfaces", "ns", "vf2");
    going["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    server.put("serviceinterfaces", going);
    lab.until("it is let go", || {
        let left = finalizers(&server, "vf2");
        left.is_null() || left == json!([])
    });
    assert!(!lab.ports("br-sfc").contains(&"pf0vf2".to_owned()));
    server.remove("servicechains", "ns", "c");
    lab.until_flows(0);
}
