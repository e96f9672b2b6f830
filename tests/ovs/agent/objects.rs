//! Objects come, change and go.

use serde_json::json;

use super::{Lab, chain, object, physical, vf};

#[test]
fn a_chain_is_wired_and_says_so() {
    let lab = Lab::start(&["br-sfc"]);
    lab.put("all", &[physical("p0"), vf(3), chain("c", &[&["p0", "vf3"]])]);
    let _agent = lab.agent();
    lab.until_condition("Ready", "True/Success");
    let (p0, vf3) = (lab.ofport("p0"), lab.ofport("pf0vf3"));
    let flows = lab.flows();
    assert_eq!(flows.len(), 2, "{flows:?}");
    for (from, to) in [(&p0, &vf3), (&vf3, &p0)] {
        let way = (format!("in_port={from} "), format!("actions=output:{to}"));
        assert!(flows.iter().any(|flow| flow.contains(&way.0) && flow.ends_with(&way.1)), "{way:?} in {flows:?}");
    }
    let get = |table: &str, column: &str| lab.switch.vsctl(&["get", table, "p0", column]).trim().to_owned();
    assert_eq!(get("port", "external_ids"), "{dpf-type=physical, dpu-agent=\"ns/p0\"}");
    assert_eq!(get("interface", "external_ids"), "{dpf-id=\"ns/p0\", dpf-type=physical, dpu-agent=\"ns/p0\"}");
    let node = lab.node();
    assert_eq!(node["status"]["chains"][0]["flows"]["installed"], 2);
    assert_eq!(node["status"]["chains"][0]["switches"][0]["ports"][1]["port"], "pf0vf3");
    let own = std::fs::read_to_string(lab.status.path().join("servicechain-ns-c.json")).unwrap();
    assert!(own.contains("ServiceChainReconciled"));
}

#[test]
fn what_is_there_is_left_alone_and_the_plan_of_it_is_empty() {
    let lab = Lab::start(&["br-sfc"]);
    lab.put("all", &[physical("p0"), vf(1), chain("c", &[&["p0", "vf1"]])]);
    let plan = lab.plan(&[]);
    assert_eq!(plan.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&plan.stdout).contains("create port p0 on br-sfc"));
    assert_eq!(lab.ports("br-sfc"), [""; 0], "a plan changes nothing");
    let agent = lab.agent();
    lab.until_condition("Ready", "True/Success");
    let plan = lab.plan(&[]);
    assert_eq!((plan.status.code(), &*String::from_utf8_lossy(&plan.stdout)), (Some(0), "nothing to change\n"));
    let packet = "in_port(1),eth(src=00:00:00:00:00:01,dst=00:00:00:00:00:02),eth_type(0x1234)";
    for _ in 0..3 {
        lab.switch.appctl(&["netdev-dummy/receive", "p0", packet]);
    }
    let packets = || {
        let text = lab.switch.ofctl("dump-flows", "br-sfc", &[]);
        let of_line = |line: &str| line.split("n_packets=").nth(1)?.split(',').next()?.parse::<u64>().ok();
        text.lines().filter_map(of_line).sum::<u64>()
    };
    lab.until("packets are counted", || packets() == 3);
    // Another generation of the same, a file that is touched, an agent that starts again.
    let mut again = chain("c", &[&["p0", "vf1"]]);
    again["metadata"]["generation"] = json!(7);
    lab.put("all", &[physical("p0"), vf(1), again]);
    lab.until("the generation is seen", || lab.node()["status"]["chains"][0]["observedGeneration"] == 7);
    drop(agent);
    let cfg = lab.switch.vsctl(&["get", "open_vswitch", ".", "next_cfg"]);
    let _agent = lab.agent();
    let mut third = chain("c", &[&["p0", "vf1"]]);
    third["metadata"]["generation"] = json!(8);
    lab.put("all", &[physical("p0"), vf(1), third]);
    lab.until("the generation is seen", || lab.node()["status"]["chains"][0]["observedGeneration"] == 8);
    assert_eq!(packets(), 3, "counters are kept");
    assert_eq!(lab.switch.vsctl(&["get", "open_vswitch", ".", "next_cfg"]), cfg, "the database is not written to");
}

#[test]
fn edits_and_deletions_leave_nothing_behind() {
    let lab = Lab::start(&["br-sfc", "br-ovn"]);
    let ovn = object("ServiceInterface", "ovn", json!({"interfaceType": "ovn"}));
    lab.put("ports", &[physical("p0"), vf(1), vf(2), ovn]);
    lab.put("chain", &[chain("c", &[&["p0", "vf1", "vf2"], &["ovn"]])]);
    let _agent = lab.agent();
    lab.until_condition("Ready", "True/Success");
    assert!(lab.flows().len() > 2);
    assert_eq!(lab.ports("br-ovn"), ["puplinkbrovn"]);
    // Addresses that were learned go with what learned them.
    let packet = "in_port(1),eth(src=00:00:00:00:00:01,dst=00:00:00:00:00:02),eth_type(0x1234)";
    lab.switch.appctl(&["netdev-dummy/receive", "p0", packet]);
    lab.until("an address is learned", || lab.flows().iter().any(|flow| flow.contains(", idle_timeout=")));
    lab.put("chain", &[chain("c", &[&["vf1", "vf2"]])]);
    lab.until_flows(2);
    lab.put("chain", &[chain("c", &[&["vf1", "ovn"]])]);
    let ovn = || lab.ofport("puplinkbrsfc");
    lab.until("the flows lead to OVN", || lab.flows().iter().any(|flow| flow.ends_with(&format!("output:{}", ovn()))));
    lab.until_flows(2);
    lab.remove("chain");
    lab.until_flows(0);
    lab.remove("ports");
    // An uplink stays.
    lab.until("the ports are gone", || lab.ports("br-sfc") == ["p0"] && lab.ports("br-ovn").is_empty());
    lab.until_condition("Ready", "True/Success");
}

#[test]
fn an_uplink_goes_only_where_that_is_wished_and_its_mark_can_change() {
    let lab = Lab::start(&["br-sfc"]);
    lab.put("all", &[physical("p0")]);
    let agent = lab.agent();
    lab.until_condition("Ready", "True/Success");
    let other =
        object("ServiceInterface", "other", json!({"interfaceType": "physical", "physical": {"interfaceName": "p0"}}));
    lab.put("all", &[other]);
    lab.until("the mark is the successor's", || {
        lab.switch.vsctl(&["get", "interface", "p0", "external_ids:dpf-id"]).trim() == "\"ns/other\""
    });
    drop(agent);
    lab.remove("all");
    let _agent = lab.agent_with(&["--remove-uplinks"]);
    lab.until("the uplink is gone", || lab.ports("br-sfc").is_empty());
}

#[test]
fn objects_that_are_wrong_are_named_and_the_others_are_wired() {
    let lab = Lab::start(&["br-sfc"]);
    let odd = object("ServiceInterface", "odd", json!({"interfaceType": "tunnel"}));
    let broken = object("ServiceChain", "broken", json!({"switches": [{"ports": [{}]}]}));
    lab.put("all", &[physical("p0"), vf(1), odd, broken, chain("c", &[&["p0", "vf1"]])]);
    lab.put_text("half", "{\"kind\": ");
    let _agent = lab.agent();
    lab.until_condition_of("chains", "c", "Ready", "True/Success");
    lab.until_condition_of("interfaces", "odd", "Ready", "False/InvalidSpec");
    lab.until_condition_of("chains", "broken", "Ready", "False/InvalidSpec");
    lab.until_condition("Ready", "False/InterfaceNotReady");
    let problems = lab.node()["status"]["problems"].to_string();
    assert!(problems.contains("half.json"), "{problems}");
}

#[test]
fn a_spec_that_can_no_longer_be_read_takes_no_traffic_away() {
    let lab = Lab::start(&["br-sfc"]);
    let good = || vec![physical("p0"), vf(1), chain("c", &[&["p0", "vf1"]])];
    lab.put("all", &good());
    let agent = lab.agent();
    lab.until_condition_of("chains", "c", "Ready", "True/Success");
    let before = lab.flows();
    let spoiled = || {
        let mut objects = good();
        objects[1]["spec"]["vf"] = json!({"pfID": 0, "vfID": "one"});
        objects[2]["spec"]["switches"] = json!([{"ports": "p0"}]);
        objects
    };
    lab.put("all", &spoiled());
    lab.until_condition_of("chains", "c", "ServiceChainReconciled", "False/InvalidSpec");
    lab.until_condition_of("interfaces", "vf1", "ServiceInterfaceReconciled", "False/InvalidSpec");
    let said = lab.node()["status"]["chains"][0]["conditions"].to_string();
    assert!(said.contains("spec.switches[0].ports: is missing; what was asked for before it stays in force"), "{said}");
    assert_eq!(lab.flows(), before);
    // An agent that never read it does not know better, and leaves it.
    drop(agent);
    let agent = lab.agent();
    lab.until_condition_of("chains", "c", "PortsResolved", "False/InvalidSpec");
    assert_eq!((lab.flows(), lab.ports("br-sfc").len()), (before.clone(), 2));
    lab.put("all", &good());
    lab.until_condition("Ready", "True/Success");
    assert_eq!(lab.flows(), before);
    lab.remove("all");
    lab.until_flows(0);
    drop(agent);
}

#[test]
fn a_function_of_a_named_card_is_found_by_what_the_system_says_of_its_devices() {
    let lab = Lab::start(&["br-sfc"]);
    let sysfs = tempfile::TempDir::new().unwrap();
    let device = |name: &str, function: &str, address: &str| {
        let (parent, of_class) =
            (sysfs.path().join("devices").join(address), sysfs.path().join("class/net").join(name));
        std::fs::create_dir_all(&parent).unwrap();
        std::fs::create_dir_all(&of_class).unwrap();
        std::fs::write(parent.join("device"), "0xa2dc\n").unwrap();
        std::os::unix::fs::symlink(&parent, of_class.join("device")).unwrap();
        std::fs::write(of_class.join("phys_port_name"), format!("{function}\n")).unwrap();
    };
    device("pf0vf3", "c1pf0vf3", "0000:03:00.0");
    device("far3", "c1pf0vf3", "0001:03:00.0");
    let selected = |address: &str| {
        let selector = json!({"type": "pci", "pci": {"address": address}});
        object(
            "ServiceInterface",
            "vf",
            json!({"interfaceType": "vf", "vf": {"pfID": 0, "vfID": 3, "nicSelector": selector}}),
        )
    };
    lab.put("vf", &[selected("0001:03:00.1")]);
    let _agent = lab.agent_with(&["--sysfs", sysfs.path().to_str().unwrap()]);
    lab.until("the port is that of the card", || lab.ports("br-sfc") == ["far3"]);
    lab.put("vf", &[selected("0002:03:00.0")]);
    lab.until_condition_of("interfaces", "vf", "ServiceInterfaceReconciled", "False/DeviceMissing");
    lab.until("the port is gone", || lab.ports("br-sfc").is_empty());
    // The device comes later, without a word of anybody.
    device("late3", "c1pf0vf3", "0002:03:00.0");
    lab.until("the port is that of the new card", || lab.ports("br-sfc") == ["late3"]);
    lab.until_condition("Ready", "True/Success");
}

#[test]
fn what_went_while_no_agent_was_there_leaves_nothing_behind() {
    let lab = Lab::start(&["br-sfc"]);
    lab.put("all", &[physical("p0"), vf(1), vf(2), chain("c", &[&["p0", "vf1"]]), chain("d", &[&["vf2"]])]);
    let agent = lab.agent();
    lab.until_condition("Ready", "True/Success");
    drop(agent);
    lab.put("all", &[physical("p0"), vf(2), chain("d", &[&["vf2"]])]);
    let _agent = lab.agent();
    lab.until_flows(0);
    lab.until("the port is gone", || lab.ports("br-sfc") == ["p0", "pf0vf2"]);
    let files = || {
        let names =
            std::fs::read_dir(lab.status.path()).unwrap().map(|one| one.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.filter(|name| !name.starts_with('.')).collect();
        names.sort();
        names
    };
    let wanted =
        ["node-w.json", "servicechain-ns-d.json", "serviceinterface-ns-p0.json", "serviceinterface-ns-vf2.json"];
    lab.until("the status is that of what is there", || files() == wanted);
}
