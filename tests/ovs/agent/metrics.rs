//! What the agent says of itself, over HTTP.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rcgen::{CertifiedKey, generate_simple_self_signed};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::{Agent, Lab, chain, cluster, physical, vf};
use crate::exposition::{self, Samples};

/// Status, head and body.
pub(super) struct Answer {
    pub(super) status: u16,
    head: String,
    pub(super) body: String,
}

/// Where the agent that was started last answers.
pub(super) fn address(lab: &Lab) -> SocketAddr {
    address_of(lab, "http")
}

fn address_of(lab: &Lab, scheme: &str) -> SocketAddr {
    let log = || fs::read_to_string(lab.switch.path("agent.log")).unwrap();
    let start = format!("metrics and health at {scheme}://");
    let found = || log().lines().find_map(|line| line.strip_prefix(&start)?.parse().ok());
    lab.until("it listens", || found().is_some());
    found().unwrap()
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream
}

fn answer(mut stream: impl std::io::Read + std::io::Write, request: &str) -> Answer {
    stream.write_all(request.as_bytes()).unwrap();
    let mut text = Vec::new();
    // TLS has an end of its own, which not everybody says.
    drop(stream.read_to_end(&mut text));
    let text = String::from_utf8(text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head: head.to_lowercase(), body: body.to_owned() }
}

fn ask(address: SocketAddr, method: &str, path: &str) -> Answer {
    answer(connect(address), &format!("{method} {path} HTTP/1.1\r\nHost: x\r\n\r\n"))
}

pub(super) fn get(address: SocketAddr, path: &str) -> Answer {
    ask(address, "GET", path)
}

fn figures(address: SocketAddr) -> Samples {
    let mut answer = get(address, "/metrics");
    // A machine that has a lot to do.
    for _ in 0..10 {
        if answer.status == 503 {
            answer = get(address, "/metrics");
        }
    }
    let Answer { status, head, body } = answer;
    assert!(status == 200 && head.contains("content-type: text/plain; version=0.0.4"), "{head}\n{body}");
    exposition::read(&body)
}

/// A page says the same for a second.
fn until_figure(lab: &Lab, address: SocketAddr, series: &str, wanted: f64) {
    lab.until(&format!("{series} is {wanted}"), || figures(address).get(series) == Some(&wanted));
}

fn until_ready(lab: &Lab, address: SocketAddr, status: u16, line: &str) {
    lab.until(&format!("readyz says {status} and {line}"), || {
        let ready = get(address, "/readyz");
        ready.status == status && ready.body.contains(line)
    });
}

#[test]
fn an_agent_says_how_it_does_from_the_beginning() {
    let lab = Lab::start(&[]);
    let _agent = lab.agent();
    let address = address(&lab);
    until_ready(&lab, address, 503, "[-]bridge failed: BridgeMissing: there is no bridge `br-sfc`");
    let ready = get(address, "/readyz").body;
    assert!(ready.starts_with("[+]objects ok\n[+]database ok\n[+]lock ok\n"), "{ready}");
    assert!(ready.ends_with("readyz check failed\n"), "{ready}");
    let alive = get(address, "/healthz");
    assert_eq!((alive.status, &*alive.body), (200, "[+]loop ok\n[+]answers ok\nhealthz check passed\n"));
    let before = figures(address);
    assert_eq!(before[r#"dpu_agent_ovs_connected{endpoint="database"}"#], 1.0);
    assert_eq!(before[r#"dpu_agent_ovs_connected{endpoint="bridge"}"#], 0.0);
    assert_eq!(before[r#"dpu_agent_interfaces{ready="true"}"#], 0.0);
    assert!(before["process_resident_memory_bytes"] > 1e6 && before["process_start_time_seconds"] > 1e9);
    // A port that is not there yet has a name already.
    lab.put("all", &[physical("p0"), vf(1), chain("c", &[&["p0", "vf1"]])]);
    let up = r#"dpu_agent_port_up{bridge="br-sfc",interface="vf1",namespace="ns",port="pf0vf1"}"#;
    until_figure(&lab, address, up, 0.0);
    lab.switch.add_bridge("br-sfc");
    until_ready(&lab, address, 200, "[+]synced ok");
    until_figure(&lab, address, up, 1.0);
    let after = figures(address);
    for (series, value) in [
        (r#"dpu_agent_chain_ready{chain="c",namespace="ns"}"#, 1.0),
        (r#"dpu_agent_chain_flows{chain="c",namespace="ns",state="desired"}"#, 2.0),
        (r#"dpu_agent_chain_flows{chain="c",namespace="ns",state="installed"}"#, 2.0),
        (r#"dpu_agent_chain_flows{chain="c",namespace="ns",state="learned"}"#, 0.0),
        (r#"dpu_agent_ovs_connected{endpoint="bridge"}"#, 1.0),
        (r#"dpu_agent_interfaces{ready="true"}"#, 2.0),
        (r#"dpu_agent_interfaces{ready="false"}"#, 0.0),
        (r#"dpu_agent_bundles_total{result="refused"}"#, 0.0),
        ("dpu_agent_lock_held", 1.0),
        ("dpu_agent_api_synced", 1.0),
        ("dpu_agent_reconcile_seconds_count", 1.0),
    ] {
        assert_eq!(after.get(series), Some(&value), "{series}: {after:#?}");
    }
    assert!(after[r#"dpu_agent_bundles_total{result="done"}"#] >= 1.0, "{after:#?}");
    assert!(after[r#"dpu_agent_transactions_total{result="done"}"#] >= 1.0, "{after:#?}");
}

#[test]
fn packets_are_counted_at_once_and_never_fewer() {
    let lab = Lab::start(&["br-sfc"]);
    lab.put("ports", &[physical("p0"), vf(1), vf(2)]);
    lab.put("chain", &[chain("c", &[&["p0", "vf1", "vf2"]])]);
    let _agent = lab.agent();
    lab.until_condition("Ready", "True/Success");
    let address = address(&lab);
    let packet = "in_port(1),eth(src=02:00:00:00:00:01,dst=02:00:00:00:00:02),eth_type(0x1234)";
    let bytes = |direction: &str| {
        format!(
            r#"dpu_agent_port_bytes_total{{bridge="br-sfc",direction="{direction}",interface="p0",namespace="ns",port="p0"}}"#
        )
    };
    let packets = r#"dpu_agent_chain_packets_total{chain="c",namespace="ns"}"#;
    assert_eq!((figures(address)[&bytes("rx")], figures(address)[packets]), (0.0, 0.0));
    for _ in 0..3 {
        lab.switch.appctl(&["netdev-dummy/receive", "p0", packet]);
    }
    lab.until("three packets", || figures(address)[packets] == 3.0);
    let there = figures(address);
    assert_eq!(there[r#"dpu_agent_chain_flows{chain="c",namespace="ns",state="learned"}"#], 1.0);
    assert!(there[&bytes("rx")] >= 3.0 * 14.0 && there[&bytes("tx")] == 0.0, "{there:#?}");
    assert!(there[r#"dpu_agent_chain_bytes_total{chain="c",namespace="ns"}"#] >= 3.0 * 14.0, "{there:#?}");
    // The flows of the chain become others, which have seen nothing.
    lab.put("chain", &[chain("c", &[&["p0", "vf2"]])]);
    lab.until_flows(2);
    until_figure(&lab, address, r#"dpu_agent_chain_flows{chain="c",namespace="ns",state="installed"}"#, 2.0);
    assert_eq!(figures(address)[packets], 3.0);
    lab.switch.appctl(&["netdev-dummy/receive", "p0", packet]);
    lab.until("one more", || figures(address)[packets] == 4.0);
    // What somebody takes away is put back, and counts from nothing.
    lab.switch.ofctl("del-flows", "br-sfc", &[]);
    until_figure(&lab, address, r#"dpu_agent_drift_repaired_total{kind="flow"}"#, 2.0);
    until_figure(&lab, address, r#"dpu_agent_chain_flows{chain="c",namespace="ns",state="installed"}"#, 2.0);
    assert_eq!(figures(address)[packets], 4.0);
    lab.switch.appctl(&["netdev-dummy/receive", "p0", packet]);
    lab.until("one more", || figures(address)[packets] == 5.0);
}

#[test]
fn a_switch_that_is_away_is_said_and_comes_back() {
    let mut lab = Lab::start(&["br-sfc"]);
    lab.put("all", &[physical("p0"), vf(1), chain("c", &[&["p0", "vf1"]])]);
    let _agent = lab.agent();
    let address = address(&lab);
    until_ready(&lab, address, 200, "[+]synced ok");
    lab.switch.kill_vswitchd();
    until_ready(&lab, address, 503, "[-]bridge failed: SwitchAway: ");
    assert_eq!(get(address, "/healthz").status, 200, "a new agent would not help");
    until_figure(&lab, address, r#"dpu_agent_ovs_connected{endpoint="bridge"}"#, 0.0);
    let away = figures(address);
    for start in ["dpu_agent_port_bytes", "dpu_agent_chain_packets", "dpu_agent_port_up", "dpu_agent_chain_ready"] {
        assert!(!away.keys().any(|series| series.starts_with(start)), "{away:#?}");
    }
    lab.switch.start_vswitchd("br-sfc");
    until_ready(&lab, address, 200, "[+]bridge ok");
    until_figure(&lab, address, r#"dpu_agent_chain_flows{chain="c",namespace="ns",state="installed"}"#, 2.0);
    lab.switch.kill_database();
    until_ready(&lab, address, 503, "[-]database failed: SwitchAway: ");
    until_figure(&lab, address, r#"dpu_agent_ovs_connected{endpoint="database"}"#, 0.0);
    lab.switch.start_database();
    until_ready(&lab, address, 200, "[+]database ok");
}

#[test]
fn a_switch_that_says_nothing_holds_up_nobody() {
    let lab = Lab::start(&["br-sfc"]);
    lab.put("all", &[physical("p0"), vf(1), chain("c", &[&["p0", "vf1"]])]);
    let _agent = lab.agent();
    let address = address(&lab);
    until_ready(&lab, address, 200, "[+]synced ok");
    lab.switch.stop_vswitchd(true);
    let begin = Instant::now();
    let silent = figures(address);
    println!("figures while the switch says nothing: after {} ms", begin.elapsed().as_millis());
    assert!(!silent.keys().any(|series| series.starts_with("dpu_agent_port_bytes")), "{silent:#?}");
    assert_eq!(silent[r#"dpu_agent_chain_flows{chain="c",namespace="ns",state="installed"}"#], 2.0, "as it was");
    assert_eq!(get(address, "/readyz").status, 200);
    lab.put("more", &[vf(2)]);
    let known = r#"dpu_agent_port_up{bridge="br-sfc",interface="vf2",namespace="ns",port="pf0vf2"}"#;
    until_figure(&lab, address, known, 0.0);
    lab.switch.stop_vswitchd(false);
    until_figure(&lab, address, known, 1.0);
    lab.until("counters are back", || figures(address).keys().any(|series| series.starts_with("dpu_agent_port_bytes")));
}

#[test]
fn a_second_agent_is_not_ready() {
    let lab = Lab::start(&["br-sfc"]);
    lab.put("all", &[physical("p0"), vf(1), chain("c", &[&["p0", "vf1"]])]);
    let first = lab.agent();
    until_ready(&lab, address(&lab), 200, "[+]lock ok");
    let other = Lab::on(lab.switch);
    let _second = other.agent();
    let second = address(&other);
    until_ready(&other, second, 503, "[-]lock failed: Locked: another agent holds the lock");
    assert_eq!(get(second, "/healthz").status, 200);
    assert_eq!(figures(second)["dpu_agent_lock_held"], 0.0);
    drop(first);
    until_ready(&other, second, 200, "[+]lock ok");
    until_figure(&other, second, "dpu_agent_lock_held", 1.0);
}

#[test]
fn an_api_server_that_is_away_is_mentioned_and_no_more() {
    let lab = Lab::start(&["br-sfc"]);
    let server = cluster::serve();
    for one in [physical("p0"), vf(1)] {
        server.put("serviceinterfaces", cluster::with_uid(one));
    }
    server.away(true);
    let _agent = cluster::agent(&lab, &server, &[]);
    let address = address(&lab);
    until_ready(&lab, address, 503, "[-]objects failed: not every kind of object was read yet: ");
    assert_eq!(figures(address)["dpu_agent_api_synced"], 0.0);
    server.away(false);
    until_ready(&lab, address, 200, "[+]objects ok\n");
    until_figure(&lab, address, "dpu_agent_api_synced", 1.0);
    server.away(true);
    until_ready(&lab, address, 200, "[+]objects ok, but ");
    lab.until("the problem is counted", || figures(address)["dpu_agent_source_problems"] >= 1.0);
}

/// The main loop turns although nothing happens: asking for the health alone does not wake it.
#[test]
fn an_agent_with_nothing_to_do_is_alive() {
    let lab = Lab::start(&["br-sfc"]);
    let agent = lab.agent();
    let address = address(&lab);
    until_ready(&lab, address, 200, "[+]synced ok");
    let ticks = agent.ticks();
    std::thread::sleep(Duration::from_secs(33));
    println!("at rest for 33 s: {} clock ticks of 10 ms", agent.ticks() - ticks);
    let alive = get(address, "/healthz");
    assert_eq!(alive.status, 200, "{}", alive.body);
}

#[test]
fn only_what_there_is_can_be_asked_for() {
    let lab = Lab::start(&["br-sfc"]);
    let _agent = lab.agent();
    let address = address(&lab);
    let head = ask(address, "HEAD", "/metrics");
    assert!(head.status == 200 && head.body.is_empty() && head.head.contains("content-length: "), "{}", head.head);
    assert_eq!(get(address, "/healthz?verbose").status, 200);
    for path in ["/", "/metrics/", "/debug/pprof", "//healthz"] {
        assert_eq!(get(address, path).status, 404, "{path}");
    }
    for method in ["POST", "DELETE", "PUT", "OPTIONS"] {
        let refused = ask(address, method, "/metrics");
        assert!(refused.status == 405 && refused.head.contains("allow: get, head"), "{method}: {}", refused.head);
    }
    let long = format!("GET /metrics HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "x".repeat(20_000));
    assert_eq!(answer(connect(address), &long).status, 431);
    let many = format!("GET /metrics HTTP/1.1\r\nHost: x\r\n{}\r\n", "X: y\r\n".repeat(100));
    assert_eq!(answer(connect(address), &many).status, 431);
    assert_eq!(answer(connect(address), "hello\r\n\r\n").status, 400);
}

#[test]
fn who_is_slow_keeps_nobody_out_and_nobody_in() {
    let lab = Lab::start(&["br-sfc"]);
    let mut agent = lab.agent();
    let address = address(&lab);
    until_ready(&lab, address, 200, "[+]synced ok");
    // More than there may be, each with half a request.
    let slow: Vec<TcpStream> = (0..100)
        .map(|_| {
            let mut stream = connect(address);
            drop(stream.write_all(b"GET /metrics HTTP/1.1\r\nHo"));
            stream
        })
        .collect();
    let begin = Instant::now();
    assert_eq!((get(address, "/healthz").status, get(address, "/readyz").status), (200, 200));
    println!("an answer among 100 that are slow: after {} ms", begin.elapsed().as_millis());
    let open = || {
        let there = fs::read_dir(format!("/proc/{}/fd", agent.0.id())).unwrap();
        there
            .filter(|one| {
                one.as_ref().is_ok_and(|one| {
                    fs::read_link(one.path()).is_ok_and(|to| to.to_string_lossy().starts_with("socket:"))
                })
            })
            .count()
    };
    lab.until("few are open", || open() < 30);
    agent.signal("TERM");
    lab.until("it ends", || agent_ended(agent.0.id()));
    assert_eq!(agent.0.wait().unwrap().code(), Some(0));
    drop(slow);
}

/// Whether a child is a zombie, or gone.
fn agent_ended(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_none_or(|(_, rest)| rest.starts_with(" Z"))
}

#[test]
fn the_network_is_served_with_a_certificate_only() {
    let lab = Lab::start(&["br-sfc"]);
    let run = |arguments: &[&str]| {
        let output = lab.command("run", None).args(arguments).stdin(Stdio::null()).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, said) = run(&["--listen", "0.0.0.0:0"]);
    assert!(code == Some(2) && said.contains("--tls-cert FILE and --tls-key FILE"), "{said}");
    let (code, said) = run(&["--listen", "somewhere"]);
    assert!(code == Some(2) && said.contains("write ADDRESS:PORT"), "{said}");
    let (code, said) = run(&["--listen", "0.0.0.0:0", "--tls-cert", "/none"]);
    assert!(code == Some(2) && said.contains("--tls-key"), "{said}");
    let (code, said) = run(&["--listen", "0.0.0.0:0", "--tls-cert", "/none/a.crt", "--tls-key", "/none/a.key"]);
    assert!(code == Some(2) && said.contains("cannot read `/none/a.crt`: "), "{said}");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (code, said) = run(&["--listen", &taken.local_addr().unwrap().to_string()]);
    assert!(code == Some(2) && said.contains("--listen off"), "{said}");
}

/// Writes a certificate of its own for this name, and gives it.
fn certify(lab: &Lab, name: &str) -> CertificateDer<'static> {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed([name.to_owned()]).unwrap();
    fs::write(lab.switch.path("tls.key"), signing_key.serialize_pem()).unwrap();
    fs::write(lab.switch.path("tls.crt"), cert.pem()).unwrap();
    cert.der().clone()
}

/// Asks as who trusts this certificate.
fn secretly(address: SocketAddr, trusted: &CertificateDer<'static>, name: &'static str) -> std::io::Result<String> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config =
        config.with_safe_default_protocol_versions().unwrap().with_root_certificates(roots).with_no_client_auth();
    let session = ClientConnection::new(Arc::new(config), ServerName::try_from(name).unwrap()).unwrap();
    let mut stream = StreamOwned::new(session, connect(address));
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}

#[test]
fn certificates_are_shown_and_renewed() {
    let lab = Lab::start(&["br-sfc"]);
    let first = certify(&lab, "first.example");
    let file = |name: &str| lab.switch.path(name).display().to_string();
    let tls = ["--listen", "127.0.0.1:0,0.0.0.0:0", "--tls-cert", &file("tls.crt"), "--tls-key", &file("tls.key")];
    let _agent: Agent = lab.agent_with(&tls);
    assert_eq!(get(address(&lab), "/healthz").status, 200, "who probes needs no certificate");
    let address = SocketAddr::from(([127, 0, 0, 1], address_of(&lab, "https").port()));
    let healthy = |certificate, name| {
        secretly(address, certificate, name).is_ok_and(|said| said.contains("healthz check passed"))
    };
    assert!(healthy(&first, "first.example"), "{:?}", secretly(address, &first, "first.example"));
    // Plain words are no answer, and hold up nobody; nor does a handshake that never ends.
    let mut plain = connect(address);
    plain.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut said = Vec::new();
    drop(plain.read_to_end(&mut said));
    assert!(!said.windows(9).any(|part| part == b"dpu_agent"), "{said:?}");
    let _slow: Vec<TcpStream> = (0..20).map(|_| connect(address)).collect();
    assert!(healthy(&first, "first.example"));
    // Half a renewal is not used.
    let (key, certificate) = (fs::read(file("tls.key")).unwrap(), fs::read(file("tls.crt")).unwrap());
    let second = certify(&lab, "second.example");
    let renewed = fs::read(file("tls.crt")).unwrap();
    fs::write(file("tls.crt"), "no certificate").unwrap();
    assert!(healthy(&first, "first.example"), "that of before stays");
    let log = fs::read_to_string(lab.switch.path("agent.log")).unwrap();
    assert!(log.contains("the certificate of before stays in use") && !log.contains("PRIVATE"), "{log}");
    fs::write(file("tls.crt"), renewed).unwrap();
    lab.until("the new one is shown", || healthy(&second, "second.example"));
    assert!(!healthy(&first, "first.example"));
    fs::write(file("tls.crt"), certificate).unwrap();
    assert!(healthy(&second, "second.example"), "a certificate that does not fit the key");
    fs::write(file("tls.key"), key).unwrap();
    lab.until("the first one is shown", || healthy(&first, "first.example"));
}
