//! The whole agent with its database behind TLS.

use super::{Lab, chain, physical, vf};
use crate::secure::Authorities;
use crate::switch::{Kind, Switch};

#[test]
fn a_chain_is_wired_over_tls_and_after_a_restart_of_the_database() {
    let authorities = Authorities::new();
    authorities.authority("ca");
    authorities.signed("ca", "server", &[]);
    authorities.signed("ca", "agent", &[]);
    let mut switch = Switch::start_with(Kind::MadeUp, &["br-sfc"], authorities.server("server", "ca", "127.0.0.1"));
    let port = switch.database_port();
    let file = |name: &str| authorities.path(name).display().to_string();
    let database = [
        ("--ovsdb", format!("ssl:127.0.0.1:{port}")),
        ("--ovsdb-ca", file("ca.pem")),
        ("--ovsdb-cert", file("agent.pem")),
        ("--ovsdb-key", file("agent.key")),
    ];
    let database = database.into_iter().flat_map(|(flag, value)| [flag.to_owned(), value]).collect();
    let mut lab = Lab::with(switch, database);
    lab.put("ports", &[physical("p0"), vf(0), vf(1)]);
    lab.put("one", &[chain("one", &[&["p0", "vf0"]])]);
    let _agent = lab.agent();
    lab.until_condition("Ready", "True/Success");
    lab.until_flows(2);
    lab.switch.kill_database();
    lab.until("the break is said", || lab.condition("Ready").starts_with("False/"));
    lab.switch.start_database();
    lab.put("one", &[chain("one", &[&["p0", "vf1"]])]);
    lab.until_condition("Ready", "True/Success");
    let vf1 = lab.ofport("pf0vf1");
    lab.until("the new flow", || lab.flows().iter().any(|flow| flow.contains(&format!("in_port={vf1} "))));
    let plan = lab.plan(&[]);
    assert_eq!(plan.status.code(), Some(0), "{}", String::from_utf8_lossy(&plan.stdout));
}

#[test]
fn flags_that_leave_the_connection_open_or_say_half_are_refused() {
    let mut lab = Lab::start(&["br-sfc"]);
    let said = |lab: &Lab| {
        let output = lab.plan(&[]);
        assert_eq!(output.status.code(), Some(2));
        String::from_utf8(output.stderr).unwrap()
    };
    let arguments = |words: &str| words.split(' ').map(str::to_owned).collect::<Vec<_>>();
    lab.database = arguments("--ovsdb ssl:127.0.0.1:6640");
    assert_eq!(
        said(&lab),
        "error: ssl:127.0.0.1:6640: whom to trust is not said; \
         give the file with the certificate of the server's CA as --ovsdb-ca\n"
    );
    lab.database = arguments("--ovsdb tcp:127.0.0.1:6640 --ovsdb-ca ca.pem");
    assert_eq!(
        said(&lab),
        "error: --ovsdb-ca is for ssl:HOST:PORT, and nothing on `tcp:127.0.0.1:6640` is encrypted; leave out one of them\n"
    );
    lab.database = arguments("--ovsdb ssl:127.0.0.1:6640 --ovsdb-ca ca.pem --ovsdb-cert own.pem");
    assert!(said(&lab).contains("--ovsdb-key <FILE>"));
}
