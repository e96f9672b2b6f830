//! What would be done, without doing it.

use serde_json::{Value, json};

use super::{Lab, chain, object, physical, vf};

/// Exit code, what was printed, what was complained about.
fn said(lab: &Lab, arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = lab.plan(arguments);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

fn ovn() -> Value {
    object("ServiceInterface", "ovn", json!({"interfaceType": "ovn"}))
}

#[test]
fn a_plan_is_printed_as_text_and_as_json() {
    let lab = Lab::start(&["br-sfc", "br-ovn"]);
    lab.put("all", &[physical("p0"), ovn(), vf(1), chain("c", &[&["p0", "vf1"]])]);
    let (code, text, _) = said(&lab, &[]);
    assert_eq!(code, Some(1));
    assert!(text.contains("create port puplinkbrovn on br-ovn as number"), "{text}");
    let (code, text, _) = said(&lab, &["--format", "json"]);
    let plan: Value = serde_json::from_str(&text).unwrap();
    let find = |name: &str| plan["ports"].as_array().unwrap().iter().find(|port| port["port"] == name).unwrap().clone();
    let p0 = find("p0");
    assert_eq!(
        (code, &p0["action"], &p0["type"], &p0["for"]),
        (Some(1), &json!("create"), &json!("dummy"), &json!("ns/p0"))
    );
    assert_eq!(p0["externalIds"], json!({"dpf-id": "ns/p0"}));
    assert_eq!(
        (&find("puplinkbrsfc")["type"], &find("puplinkbrsfc")["peer"]),
        (&json!("patch"), &json!("puplinkbrovn"))
    );
    // Ports have no numbers before they are made.
    assert_eq!(plan["flows"], json!([]));
    assert!(plan["problems"].to_string().contains("PortNotReady"));

    let agent = lab.agent();
    lab.until_condition("Ready", "True/Success");
    drop(agent);
    lab.switch.vsctl(&["set", "interface", "puplinkbrsfc", "options:peer=elsewhere", "mtu_request=1400"]);
    lab.put("all", &[physical("p0"), ovn(), vf(1)]);
    let (_, text, _) = said(&lab, &[]);
    let update = "update port puplinkbrsfc: interface mtu_request=, interface options:peer=puplinkbrovn";
    assert!(text.lines().any(|line| line == update), "{text}");
    let (_, text, _) = said(&lab, &["--format", "json"]);
    let plan: Value = serde_json::from_str(&text).unwrap();
    let set = json!({"interface mtu_request": "", "interface options:peer": "puplinkbrovn"});
    assert_eq!(plan["ports"], json!([{"action": "update", "port": "puplinkbrsfc", "set": set}]));
    let flows = plan["flows"].as_array().unwrap();
    assert_eq!(flows.len(), 2);
    assert!(flows.iter().all(|flow| flow["action"] == "remove" && flow["flow"]["table"] == 0), "{text}");
}

#[test]
fn a_switch_that_was_saved_stands_in_for_itself() {
    let lab = Lab::start(&["br-sfc"]);
    lab.put("all", &[physical("p0"), vf(1), chain("c", &[&["p0", "vf1"]])]);
    let agent = lab.agent();
    lab.until_condition("Ready", "True/Success");
    drop(agent);
    let saved = lab.switch.path("observed.json").display().to_string();
    assert_eq!(said(&lab, &["--save-observed", &saved]), (Some(0), "nothing to change\n".to_owned(), String::new()));
    lab.put("all", &[physical("p0"), vf(1), vf(2), chain("c", &[&["p0", "vf1", "vf2"]])]);
    let live = said(&lab, &[]);
    assert!(live.1.contains("create port pf0vf2"), "{}", live.1);
    let elsewhere = Lab { switch: crate::switch::Switch::start(&["br-sfc"]), ..lab };
    assert_eq!(said(&elsewhere, &["--observed", &saved]), live, "the other switch was not asked");
    let (code, _, complaint) = said(&elsewhere, &["--observed", "/nowhere/observed.json"]);
    assert_eq!(
        (code, complaint.starts_with("error: cannot read `/nowhere/observed.json`: ")),
        (Some(2), true),
        "{complaint}"
    );
    std::fs::write(&saved, "{\"bridgs\": {}}").unwrap();
    let (code, _, complaint) = said(&elsewhere, &["--observed", &saved]);
    assert_eq!((code, complaint.contains("unknown field `bridgs`")), (Some(2), true), "{complaint}");
    let (code, _, complaint) = said(&elsewhere, &["--save-observed", "/nowhere/observed.json"]);
    assert_eq!(
        (code, complaint.starts_with("error: cannot write `/nowhere/observed.json`: ")),
        (Some(2), true),
        "{complaint}"
    );
}
