//! Services: their ports are made by the CNI, and are its own.

use serde_json::{Value, json};

use super::{Lab, chain, physical, pod, service};

/// Two objects and a chain between them.
fn lab(bridges: &[&str]) -> Lab {
    let lab = Lab::start(bridges);
    lab.put("all", &[physical("p0"), service("app", "app", "net1"), chain("c", &[&["p0", "app"]])]);
    lab
}

impl Lab {
    fn until_wired_to(&self, port: &str) {
        let way = |from: &str, to: &str| format!("priority=40,in_port={from} actions=output:{to}");
        let wanted = [way("p0", port), way(port, "p0")].into();
        self.until(&format!("the chain leads to {port}"), || self.named_flows() == wanted);
        self.until_condition("Ready", "True/Success");
        let ports = self.node()["status"]["chains"][0]["switches"][0]["ports"].clone();
        assert_eq!(ports[1]["port"], port);
    }

    fn until_unresolved(&self, reason: &str) {
        self.until_condition_of("chains", "c", "PortsResolved", &format!("False/{reason}"));
        self.until_condition_of("interfaces", "app", "Ready", &format!("False/{reason}"));
        self.until_flows(0);
    }
}

#[test]
fn a_pod_comes_is_replaced_and_goes() {
    let lab = lab(&["br-sfc"]);
    let _agent = lab.agent();
    lab.until_unresolved("PodNotFound");
    lab.put("pods", &[pod("app-1", "app", false)]);
    lab.until_unresolved("PortNotReady");
    lab.cni_adds("br-sfc", "en3f0pf0sf1", "ns/app-1/net1");
    let mut rows = lab.rows();
    lab.until_wired_to("en3f0pf0sf1");
    assert_eq!(lab.node()["status"]["chains"][0]["switches"][0]["ports"][1]["pod"], "ns/app-1");
    // The next one: while neither serves, nobody can say which.
    lab.put("pods", &[pod("app-1", "app", false), pod("app-2", "app", false)]);
    lab.until_unresolved("PodAmbiguous");
    lab.put("pods", &[pod("app-1", "app", true), pod("app-2", "app", false)]);
    lab.until_wired_to("en3f0pf0sf1");
    lab.cni_adds("br-sfc", "en3f0pf0sf2", "ns/app-2/net1");
    lab.until_wired_to("en3f0pf0sf1");
    lab.put("pods", &[pod("app-1", "app", true), pod("app-2", "app", true)]);
    lab.until_unresolved("PodAmbiguous");
    let names = lab.node()["status"]["chains"][0]["conditions"].to_string();
    assert!(names.contains("app-1, app-2"), "{names}");
    let going = |phase: &str, key: &str, value: Value| {
        let mut one = pod("app-1", "app", true);
        one["status"]["phase"] = json!(phase);
        one["metadata"][key] = value;
        [one, pod("app-2", "app", true)]
    };
    lab.put("pods", &going("Running", "deletionTimestamp", json!("2026-01-01T00:00:00Z")));
    lab.until_wired_to("en3f0pf0sf2");
    lab.put("pods", &going("Succeeded", "uid", json!("u")));
    lab.put("touched", &[chain("empty", &[])]);
    lab.until_condition_of("chains", "empty", "Ready", "True/Success");
    lab.until_wired_to("en3f0pf0sf2");
    // The CNI takes the old port away; then the pod is gone, and so is the service.
    lab.switch.vsctl(&["del-port", "br-sfc", "en3f0pf0sf1"]);
    lab.put("pods", &[pod("app-2", "app", true)]);
    lab.until_wired_to("en3f0pf0sf2");
    lab.put("pods", &[]);
    lab.until_unresolved("PodNotFound");
    rows.retain(|row| !row.contains("en3f0pf0sf1"));
    rows.insert(lab.rows().into_iter().find(|row| row.contains("en3f0pf0sf2")).unwrap());
    assert_eq!(lab.rows(), rows, "the rows of the CNI are its own");
    assert!(rows.iter().all(|row| row.contains("dpu-agent") != row.contains("owner=ovs-cni")), "{rows:?}");
}

#[test]
fn numbers_of_the_cnis_ports_may_change() {
    let lab = lab(&["br-sfc"]);
    lab.put("pods", &[pod("app-1", "app", true)]);
    lab.cni_adds("br-sfc", "en3f0pf0sf1", "ns/app-1/net1");
    let _agent = lab.agent();
    lab.until_wired_to("en3f0pf0sf1");
    let (uplink, number) = (lab.ofport("p0"), lab.ofport("en3f0pf0sf1"));
    // Another port of the CNI asks for the number that this one was given without asking, and gets it.
    lab.cni_adds("br-sfc", "en3f0pf0sf2", "ns/other-1/net1");
    lab.switch.vsctl(&["set", "interface", "en3f0pf0sf2", &format!("ofport_request={number}")]);
    lab.until("the number is taken", || lab.ofport("en3f0pf0sf2") == number);
    lab.until_wired_to("en3f0pf0sf1");
    assert_ne!(lab.ofport("en3f0pf0sf1"), number);
    // One that asks for the uplink's does not: the agent asked first.
    lab.switch.vsctl(&["set", "interface", "en3f0pf0sf2", &format!("ofport_request={uplink}")]);
    lab.until_wired_to("en3f0pf0sf1");
    assert_eq!(lab.ofport("p0"), uplink);
    // A port that is taken away and made again, as DPF's helper does.
    lab.switch.vsctl(&["del-port", "br-sfc", "en3f0pf0sf1"]);
    lab.until_unresolved("PortNotReady");
    lab.cni_adds("br-sfc", "en3f0pf0sf1", "ns/app-1/net1");
    lab.until_wired_to("en3f0pf0sf1");
}

#[test]
fn a_pods_port_on_its_own_bridge_is_met_at_its_patch() {
    let lab = lab(&["br-sfc", "br-hbn"]);
    lab.put("pods", &[pod("app-1", "app", true)]);
    let _agent = lab.agent();
    lab.until_unresolved("PortNotReady");
    lab.cni_adds("br-hbn", "en3f0pf0sf1", "ns/app-1/net1");
    lab.until("its patch is missed", || lab.node()["status"].to_string().contains("the CNI has not joined"));
    lab.until_unresolved("PortNotReady");
    lab.cni_joins("en3f0pf0sf1", "net1");
    let rows = lab.rows();
    lab.until_wired_to("pen3f0pf0sf1brsfc");
    // A second port with the same mark: nobody can say which.
    lab.cni_adds("br-sfc", "en3f0pf0sf2", "ns/app-1/net1");
    lab.until_unresolved("InterfaceAmbiguous");
    lab.switch.vsctl(&["del-port", "br-sfc", "en3f0pf0sf2"]);
    lab.until_wired_to("pen3f0pf0sf1brsfc");
    lab.remove("all");
    lab.until_flows(0);
    assert_eq!(lab.rows(), rows);
}
