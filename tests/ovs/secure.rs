//! The database of a real switch over TLS.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use dpu_render::agent::observed::MONITORED;
use dpu_render::agent::ovsdb::connection::{Client, Error, Server, Times, View};
use dpu_render::agent::ovsdb::secure::{Files, Own};
use dpu_render::agent::ovsdb::session::{Interest, Lock};
use dpu_render::agent::ovsdb::{Endpoint, Operation, Outcome, Transaction};
use tempfile::TempDir;

use crate::database::{observed, seen};
use crate::switch::{Kind, Switch};

/// Certificate authorities of one test, with what they signed.
pub(crate) struct Authorities(TempDir);

impl Authorities {
    pub(crate) fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        let output = Command::new(program).args(arguments).current_dir(self.0.path()).output().unwrap();
        assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn request(&self, name: &str, arguments: &[&str]) {
        let (key, certificate) = (format!("{name}.key"), format!("{name}.pem"));
        let mut all = vec!["req", "-x509", "-days", "3", "-nodes", "-newkey", "ec"];
        all.extend(["-pkeyopt", "ec_paramgen_curve:prime256v1"]);
        let subject = format!("/CN={name}");
        all.extend(["-subj", &subject, "-keyout", &key, "-out", &certificate]);
        all.extend(arguments);
        self.run("openssl", &all);
    }

    /// Makes `NAME.pem` and `NAME.key` of an authority.
    pub(crate) fn authority(&self, name: &str) {
        self.request(name, &[]);
    }

    /// Makes `NAME.pem` and `NAME.key`, signed by an authority.
    pub(crate) fn signed(&self, by: &str, name: &str, more: &[&str]) {
        let (certificate, key) = (format!("{by}.pem"), format!("{by}.key"));
        let extension = format!("subjectAltName={}", more.first().unwrap_or(&""));
        let mut arguments = vec!["-CA", &certificate, "-CAkey", &key, "-addext", "basicConstraints=critical,CA:FALSE"];
        if !more.is_empty() {
            arguments.extend(["-addext", &extension]);
        }
        self.request(name, &arguments);
    }

    /// What ovsdb-server is started with.
    pub(crate) fn server(&self, certificate: &str, trusted: &str, address: &str) -> Vec<String> {
        let file = |name: String| self.path(&name).display().to_string();
        vec![
            format!("--private-key={}", file(format!("{certificate}.key"))),
            format!("--certificate={}", file(format!("{certificate}.pem"))),
            format!("--ca-cert={}", file(format!("{trusted}.pem"))),
            format!("--remote=pssl:0:{address}"),
        ]
    }

    fn files(&self, trusted: &str, own: Option<&str>) -> Files {
        let own = own
            .map(|name| Own { certificate: self.path(&format!("{name}.pem")), key: self.path(&format!("{name}.key")) });
        Files { ca: self.path(&format!("{trusted}.pem")), own }
    }
}

/// An authority `ca`, and a server and an agent that it signed.
fn usual() -> Authorities {
    let authorities = Authorities::new();
    authorities.authority("ca");
    authorities.signed("ca", "server", &[]);
    authorities.signed("ca", "agent", &[]);
    authorities
}

fn client(endpoint: &str, files: Option<Files>, lock: Option<&str>) -> Client {
    let endpoint: Endpoint = endpoint.parse().unwrap();
    let times = Times::suited_to(&endpoint);
    let interest = Interest { tables: MONITORED, lock: lock.map(str::to_owned) };
    Client::start(Server { endpoint, files }, interest, times)
}

async fn error(client: &Client) -> String {
    let view = seen(client, "an error", |view: &View| view.error.is_some()).await;
    assert_eq!((view.connected, view.connections), (false, 0));
    view.error.unwrap()
}

async fn works(client: &Client) {
    let view = seen(client, "rows are known", |view| view.connected).await;
    assert!(observed(&view).bridges.contains_key("br-sfc"));
}

fn comment(text: String) -> Transaction {
    let mut transaction = Transaction::new();
    transaction.push(Operation::Comment(text));
    transaction
}

#[tokio::test]
async fn rows_changes_transactions_and_the_lock_are_the_same_over_tls() {
    let authorities = usual();
    let mut switch = Switch::start_with(Kind::MadeUp, &["br-sfc"], authorities.server("server", "ca", "127.0.0.1"));
    let port = switch.database_port();
    let files = authorities.files("ca", Some("agent"));
    let client = client(&format!("ssl:127.0.0.1:{port}"), Some(files), Some("dpu_agent"));
    works(&client).await;
    seen(&client, "the lock", |view| view.lock == Lock::Held).await;
    switch.add_ports("br-sfc", &["p0"]);
    seen(&client, "the port", |view| observed(view).interfaces.contains_key("p0")).await;
    assert_eq!(client.transact(comment("said over TLS".to_owned())).await.unwrap(), [Outcome::Done]);

    // The authority and both certificates are others when the server returns: the files are read again.
    switch.kill_database();
    seen(&client, "the break", |view| !view.connected).await;
    for name in ["server", "agent"] {
        std::fs::remove_file(authorities.path(&format!("{name}.pem"))).unwrap();
    }
    authorities.authority("ca");
    authorities.signed("ca", "server", &[]);
    authorities.signed("ca", "agent", &[]);
    switch.start_database();
    seen(&client, "the server is back", |view| view.connected && view.connections == 2).await;
    seen(&client, "the lock", |view| view.lock == Lock::Held).await;
    assert!(observed(&client.views().borrow()).interfaces.contains_key("p0"));
}

#[tokio::test]
async fn what_a_slow_server_does_not_take_at_once_is_sent_to_the_end() {
    let authorities = usual();
    let mut switch = Switch::start_with(Kind::MadeUp, &["br-sfc"], authorities.server("server", "ca", "127.0.0.1"));
    let port = switch.database_port();
    let files = authorities.files("ca", Some("agent"));
    let client = client(&format!("ssl:127.0.0.1:{port}"), Some(files), None);
    works(&client).await;
    switch.signal_database("STOP");
    let asked = client.clone();
    // More than the sockets hold, in pieces that do not end where TLS's records do.
    let answer = tokio::spawn(async move { asked.transact(comment("long ".repeat(3_000_001))).await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!answer.is_finished());
    switch.signal_database("CONT");
    let answer = tokio::time::timeout(Duration::from_secs(20), answer).await.expect("an answer").unwrap();
    assert_eq!(answer.unwrap(), [Outcome::Done]);
}

#[tokio::test]
async fn versions_1_2_and_1_3_and_addresses_of_both_kinds_work() {
    let authorities = usual();
    authorities.signed("ca", "named", &["DNS:localhost,IP:::1"]);
    for (address, host, certificate, versions) in [
        ("127.0.0.1", "127.0.0.1", "server", Some("--ssl-protocols=TLSv1.2")),
        ("127.0.0.1", "127.0.0.1", "server", None),
        ("[::1]", "[::1]", "named", None),
    ] {
        let mut arguments = authorities.server(certificate, "ca", address);
        arguments.extend(versions.map(str::to_owned));
        let mut switch = Switch::start_with(Kind::MadeUp, &["br-sfc"], arguments);
        let port = switch.database_port();
        let files = authorities.files("ca", Some("agent"));
        let client = client(&format!("ssl:{host}:{port}"), Some(files), None);
        works(&client).await;
        drop(switch);
    }
}

#[tokio::test]
async fn a_certificate_that_names_hosts_is_good_for_these_alone() {
    let authorities = usual();
    for (name, names, host, good) in [
        ("none", None, "127.0.0.1", true),
        ("this", Some("IP:127.0.0.1"), "127.0.0.1", true),
        ("local", Some("DNS:localhost"), "localhost", true),
        ("other", Some("DNS:db.example.net,IP:192.0.2.1"), "127.0.0.1", false),
    ] {
        authorities.signed("ca", name, names.as_slice());
        let mut switch = Switch::start_with(Kind::MadeUp, &["br-sfc"], authorities.server(name, "ca", "127.0.0.1"));
        let port = switch.database_port();
        let client = client(&format!("ssl:{host}:{port}"), Some(authorities.files("ca", Some("agent"))), None);
        if good {
            works(&client).await;
        } else {
            let error = error(&client).await;
            assert!(error.starts_with(&format!("ssl:{host}:{port}: the server is another: ")), "{error}");
            assert!(error.contains("db.example.net") && error.contains("192.0.2.1"), "{error}");
        }
        drop(switch);
    }
}

#[tokio::test]
async fn certificates_as_ovs_pki_makes_them_work() {
    let authorities = Authorities::new();
    authorities.run("ovs-pki", &["--dir=pki", "--log=log", "init"]);
    for name in ["server", "agent"] {
        authorities.run("ovs-pki", &["--dir=pki", "--log=log", "req+sign", name, "switch"]);
        for (made, meant) in [("cert.pem", "pem"), ("privkey.pem", "key")] {
            let made = authorities.path(&format!("{name}-{made}"));
            std::fs::rename(made, authorities.path(&format!("{name}.{meant}"))).unwrap();
        }
    }
    std::fs::copy(authorities.path("pki/switchca/cacert.pem"), authorities.path("ca.pem")).unwrap();
    std::fs::copy(authorities.path("pki/controllerca/cacert.pem"), authorities.path("other.pem")).unwrap();
    let mut switch = Switch::start_with(Kind::MadeUp, &["br-sfc"], authorities.server("server", "ca", "127.0.0.1"));
    let port = switch.database_port();
    let endpoint = format!("ssl:127.0.0.1:{port}");
    works(&client(&endpoint, Some(authorities.files("ca", Some("agent"))), None)).await;
    let other = client(&endpoint, Some(authorities.files("other", Some("agent"))), None);
    assert!(error(&other).await.contains("is not signed by a CA of "));
}

#[tokio::test]
async fn whom_a_side_does_not_trust_it_refuses_and_says_so() {
    let authorities = usual();
    authorities.authority("stranger");
    authorities.signed("stranger", "strange-agent", &[]);
    let path = |name: &str| authorities.path(name).display().to_string();
    for version in ["TLSv1.2", "TLSv1.3"] {
        let mut arguments = authorities.server("server", "ca", "127.0.0.1");
        if version == "TLSv1.2" {
            arguments.push("--ssl-protocols=TLSv1.2".to_owned());
        }
        let mut switch = Switch::start_with(Kind::MadeUp, &["br-sfc"], arguments);
        let port = switch.database_port();
        let endpoint = format!("ssl:127.0.0.1:{port}");
        let said = async |trusted: &str, own: Option<&str>| {
            let error = error(&client(&endpoint, Some(authorities.files(trusted, own)), None)).await;
            error.strip_prefix(&format!("{endpoint}: ")).unwrap_or(&error).to_owned()
        };
        let wrong = said("stranger", Some("agent")).await;
        assert_eq!(wrong, format!("the server's certificate is not signed by a CA of `{}`", path("stranger.pem")));
        let without = said("ca", None).await;
        assert!(without.starts_with("the server wants a certificate (TLS alert "), "{version}: {without}");
        assert!(without.ends_with("); give --ovsdb-cert and --ovsdb-key"), "{without}");
        let strange = said("ca", Some("strange-agent")).await;
        let words = format!("the server refuses the certificate in `{}` (TLS alert ", path("strange-agent.pem"));
        assert!(strange.starts_with(&words), "{version}: {strange}");
        assert_eq!(
            said("gone", None).await,
            format!("cannot read `{}`: No such file or directory (os error 2)", path("gone.pem"))
        );
        std::fs::copy(authorities.path("stranger.key"), authorities.path("mixed.key")).unwrap();
        std::fs::copy(authorities.path("agent.pem"), authorities.path("mixed.pem")).unwrap();
        let mixed = said("ca", Some("mixed")).await;
        let words = format!("`{}` and `{}` are not a certificate and its key: ", path("mixed.pem"), path("mixed.key"));
        assert!(mixed.starts_with(&words), "{mixed}");
    }
}

#[tokio::test]
async fn a_server_without_tls_and_a_missing_authority_are_said() {
    let authorities = usual();
    let mut switch = Switch::start(&["br-sfc"]);
    let port = switch.database_port();
    let endpoint = format!("ssl:127.0.0.1:{port}");
    let plain = error(&client(&endpoint, Some(authorities.files("ca", None)), None)).await;
    assert_eq!(plain, format!("{endpoint}: the server hangs up where TLS begins; does it listen with pssl:?"));
    let without = client(&endpoint, None, None);
    let words = "whom to trust is not said; give the file with the certificate of the server's CA as --ovsdb-ca";
    assert_eq!(error(&without).await, format!("{endpoint}: {words}"));
    assert!(matches!(without.transact(comment(String::new())).await, Err(Error::Disconnected)));
}
