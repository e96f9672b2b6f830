//! The database of a real switch.

use std::time::{Duration, Instant};

use dpu_render::agent::observed::{MONITORED, Observed};
use dpu_render::agent::ovsdb::connection::{Client, Error, Times, View};
use dpu_render::agent::ovsdb::session::{Interest, Lock, Refused};
use dpu_render::agent::ovsdb::{
    Atom, Condition, Endpoint, Mutation, Mutator, Operation, Outcome, Row, TransactError, Transaction, Value,
};

use crate::switch::Switch;

fn client(endpoint: &str, lock: Option<&str>) -> Client {
    let endpoint: Endpoint = endpoint.parse().unwrap();
    let times = Times::suited_to(&endpoint);
    Client::start(endpoint, Interest { tables: MONITORED, lock: lock.map(str::to_owned) }, times)
}

/// The first view for which it holds.
pub(crate) async fn seen(client: &Client, what: &str, holds: impl FnMut(&View) -> bool) -> View {
    let mut views = client.views();
    let waited = tokio::time::timeout(Duration::from_secs(10), views.wait_for(holds)).await;
    waited.unwrap_or_else(|_| panic!("{what}: not within 10 s")).unwrap().clone()
}

pub(crate) fn observed(view: &View) -> Observed {
    Observed::of(&view.cache, [].into())
}

fn row<const N: usize>(columns: [(&str, Value); N]) -> Row {
    columns.map(|(column, value)| (column.to_owned(), value)).into()
}

fn named(name: &str) -> Value {
    Value::from(Atom::NamedUuid(name.to_owned()))
}

/// Patch ports with their peers on a bridge; `guards` is how many bridges of that name must be there.
fn add_ports(transaction: &mut Transaction, bridge: &'static str, ports: &[(String, String)], guards: usize) {
    let rows = vec![row([("name", Value::from(bridge))]); guards];
    let conditions = vec![Condition::equal("name", bridge)];
    transaction.push(Operation::Wait { table: "Bridge", conditions, columns: vec!["name"], equal: true, rows });
    let mut inserted = Vec::new();
    for (port, peer) in ports {
        let id = port.replace('-', "_");
        let interface = row([
            ("name", Value::from(port.as_str())),
            ("type", Value::from("patch")),
            ("options", Value::map([("peer", peer.as_str())])),
            ("external_ids", Value::map([("dpf-id", "ns/one")])),
        ]);
        transaction.push(Operation::Insert { table: "Interface", row: interface, name: Some(format!("i_{id}")) });
        let row_of_port = row([("name", Value::from(port.as_str())), ("interfaces", named(&format!("i_{id}")))]);
        transaction.push(Operation::Insert { table: "Port", row: row_of_port, name: Some(format!("p_{id}")) });
        inserted.push(Atom::NamedUuid(format!("p_{id}")));
    }
    let mutation = Mutation { column: "ports", mutator: Mutator::Insert, value: Value::set(inserted) };
    let conditions = vec![Condition::equal("name", bridge)];
    transaction.push_exactly(1, Operation::Mutate { table: "Bridge", conditions, mutations: vec![mutation] });
}

fn pair(one: &str, other: &str) -> (String, String) {
    (one.to_owned(), other.to_owned())
}

#[tokio::test]
async fn a_patch_pair_is_one_guarded_transaction() {
    let switch = Switch::start(&["br-sfc", "br-ovn"]);
    let client = client(&switch.endpoint(), None);
    let first = seen(&client, "rows are known", |view| view.connected).await;
    let system = observed(&first).system;
    assert_eq!(observed(&first).bridges["br-sfc"].fail_mode.as_deref(), Some("secure"));
    let mut transaction = Transaction::new();
    add_ports(&mut transaction, "br-sfc", &[pair("puplink-a", "puplink-b")], 1);
    add_ports(&mut transaction, "br-ovn", &[pair("puplink-b", "puplink-a")], 1);
    transaction.push(Operation::Comment("one pair".to_owned()));
    let next = Mutation { column: "next_cfg", mutator: Mutator::Add, value: Value::from(1) };
    transaction.push_exactly(1, Operation::Mutate { table: "Open_vSwitch", conditions: vec![], mutations: vec![next] });
    let outcomes = client.transact(transaction).await.unwrap();
    assert!(matches!(outcomes[1], Outcome::Inserted(_)) && outcomes[3] == Outcome::Count(1));
    let now = observed(&client.views().borrow());
    assert_eq!(
        now.interfaces["puplink-a"].options["peer"], "puplink-b",
        "its own change is seen before it is answered"
    );
    let done = seen(&client, "ovs-vswitchd has acted", |view| {
        let now = observed(view);
        now.system.cur_cfg == system.next_cfg + 1
    })
    .await;
    let now = observed(&done);
    let interface = &now.interfaces["puplink-b"];
    assert_eq!((interface.kind.as_str(), interface.ofport, &interface.error), ("patch", Some(1), &None));
    assert_eq!(now.ports["puplink-b"].bridge, "br-ovn");
    assert!(now.bridges["br-sfc"].ports.contains("puplink-a"));
    let json = serde_json::to_string(&now).unwrap();
    assert_eq!(serde_json::from_str::<Observed>(&json).unwrap(), now);
    assert_eq!(switch.vsctl(&["port-to-br", "puplink-a"]), "br-sfc\n");
}

#[tokio::test]
async fn a_guard_that_does_not_hold_and_a_bridge_that_is_not_there_are_errors() {
    let switch = Switch::start(&["br-sfc"]);
    let client = client(&switch.endpoint(), None);
    seen(&client, "rows are known", |view| view.connected).await;
    let mut guarded = Transaction::new();
    add_ports(&mut guarded, "br-gone", &[pair("one", "two")], 1);
    let Err(Error::Refused(Refused::Transact(TransactError::Operation { index, table, error, .. }))) =
        client.transact(guarded).await
    else {
        panic!("it is accepted")
    };
    assert_eq!((index, table, error.as_str()), (0, Some("Bridge"), "timed out"));
    let mut bare = Transaction::new();
    add_ports(&mut bare, "br-gone", &[pair("one", "two")], 0);
    let Err(Error::Refused(Refused::Transact(count))) = client.transact(bare).await else { panic!("it is accepted") };
    assert_eq!(
        count.to_string(),
        r#"asked to mutate Bridge where name == "br-gone" (operation 3), the database met 0 rows, not 1"#
    );
    let mut wrong = Transaction::new();
    let refused = row([("name", Value::from("x")), ("interfaces", Value::none())]);
    wrong.push(Operation::Insert { table: "Port", row: refused, name: None });
    let error = client.transact(wrong).await.unwrap_err().to_string();
    assert!(
        error.starts_with(r#"the database refuses to insert into Port "x" (operation 0): syntax error ("#),
        "{error}"
    );
    let mut dangling = Transaction::new();
    dangling.push(Operation::Delete { table: "Port", conditions: vec![Condition::equal("name", "br-sfc")] });
    let error = client.transact(dangling).await.unwrap_err();
    let Error::Refused(Refused::Transact(TransactError::Commit { error, .. })) = error else { panic!("{error}") };
    assert_eq!(error, "referential integrity violation");
}

#[tokio::test]
async fn changes_of_others_are_seen_with_sets_maps_and_empty_columns() {
    let switch = Switch::start(&["br-sfc"]);
    let client = client(&switch.endpoint(), None);
    switch.add_ports("br-sfc", &["p0"]);
    switch.vsctl(&["set", "port", "p0", "tag=5", "trunks=1,2,3", "external_ids:a=1", "external_ids:b=2"]);
    let view =
        seen(&client, "the port", |view| observed(view).ports.get("p0").is_some_and(|port| port.tag == Some(5))).await;
    let port = observed(&view).ports["p0"].clone();
    assert_eq!((port.trunks.len(), port.external_ids.len(), port.vlan_mode), (3, 2, None));
    switch.vsctl(&[
        "remove",
        "port",
        "p0",
        "trunks",
        "2",
        "--",
        "clear",
        "port",
        "p0",
        "tag",
        "--",
        "set",
        "port",
        "p0",
        "external_ids:a=9",
        "vlan_mode=trunk",
        "--",
        "remove",
        "port",
        "p0",
        "external_ids",
        "b",
    ]);
    let view = seen(&client, "the change", |view| observed(view).ports["p0"].tag.is_none()).await;
    let port = observed(&view).ports["p0"].clone();
    assert_eq!(port.trunks, [1, 3].into());
    assert_eq!(port.external_ids, [("a".to_owned(), "9".to_owned())].into());
    assert_eq!(port.vlan_mode.as_deref(), Some("trunk"));
    let begin = Instant::now();
    switch.appctl(&["netdev-dummy/set-admin-state", "p0", "down"]);
    let down = |view: &View| observed(view).interfaces["p0"].link_state.as_deref() == Some("down");
    seen(&client, "the link is down", down).await;
    println!("the database tells that a link is down {:?} after the command began", begin.elapsed());
    switch.vsctl(&["del-port", "p0"]);
    seen(&client, "the port is gone", |view| !observed(view).ports.contains_key("p0")).await;
    let fresh = self::client(&switch.endpoint(), None);
    let whole = seen(&fresh, "rows are known", |view| view.connected).await;
    let kept = seen(&client, "settled", |view| view.cache == whole.cache).await;
    assert_eq!(observed(&kept), observed(&whole));
}

#[tokio::test]
async fn a_server_that_comes_back_is_met_again() {
    let mut switch = Switch::start(&["br-sfc"]);
    let client = client(&switch.endpoint(), None);
    seen(&client, "rows are known", |view| view.connected).await;
    switch.kill_database();
    let broken = seen(&client, "the break", |view| !view.connected).await;
    assert!(observed(&broken).bridges.contains_key("br-sfc"), "what was known stays");
    let mut comment = Transaction::new();
    comment.push(Operation::Comment("nobody hears it".to_owned()));
    assert!(matches!(client.transact(comment.clone()).await, Err(Error::Disconnected)));
    switch.start_database();
    let begin = Instant::now();
    seen(&client, "the server is back", |view| view.connected && view.connections == 2).await;
    println!("met again {:?} after the server answered", begin.elapsed());
    switch.add_bridge("br-new");
    seen(&client, "what came later", |view| observed(view).bridges.contains_key("br-new")).await;
    assert_eq!(client.transact(comment).await.unwrap(), [Outcome::Done]);
}

#[tokio::test]
async fn the_lock_has_one_holder() {
    let switch = Switch::start(&["br-sfc"]);
    let one = client(&switch.endpoint(), Some("dpu_agent"));
    seen(&one, "the first has it", |view| view.lock == Lock::Held).await;
    let two = client(&switch.endpoint(), Some("dpu_agent"));
    seen(&two, "the second waits", |view| view.connected && view.lock == Lock::Waiting).await;
    let mut asserting = Transaction::new();
    asserting.push(Operation::Assert { lock: "dpu_agent".to_owned() });
    assert_eq!(one.transact(asserting.clone()).await.unwrap(), [Outcome::Done]);
    let error = two.transact(asserting.clone()).await.unwrap_err().to_string();
    assert!(error.contains("assert the lock `dpu_agent` (operation 0): not owner"), "{error}");
    two.steal_lock().await.unwrap();
    seen(&one, "the first has lost it", |view| view.lock == Lock::Stolen).await;
    seen(&two, "the second has it", |view| view.lock == Lock::Held).await;
    assert!(one.transact(asserting).await.is_err());
    let three = client(&switch.endpoint(), Some("dpu_agent"));
    seen(&three, "the third waits", |view| view.lock == Lock::Waiting).await;
    drop((one, two));
    seen(&three, "it is passed on", |view| view.lock == Lock::Held).await;
}

#[tokio::test]
async fn tcp_works() {
    let mut switch = Switch::start(&["br-sfc"]);
    let port = switch.database_port();
    let over_tcp = client(&format!("tcp:127.0.0.1:{port}"), None);
    let view = seen(&over_tcp, "rows are known", |view| view.connected).await;
    assert!(observed(&view).bridges.contains_key("br-sfc"));
}

#[tokio::test]
async fn a_thousand_ports_are_one_transaction() {
    let switch = Switch::start(&["br-sfc", "br-ovn"]);
    let client = client(&switch.endpoint(), None);
    seen(&client, "rows are known", |view| view.connected).await;
    let mut transaction = Transaction::new();
    let ones: Vec<_> = (0..500).map(|number| pair(&format!("a{number}"), &format!("b{number}"))).collect();
    let others: Vec<_> = ones.iter().map(|(one, other)| pair(other, one)).collect();
    add_ports(&mut transaction, "br-sfc", &ones, 1);
    add_ports(&mut transaction, "br-ovn", &others, 1);
    let begin = Instant::now();
    client.transact(transaction).await.unwrap();
    let answered = begin.elapsed();
    let all =
        |view: &View| observed(view).interfaces.values().filter(|interface| interface.ofport.is_some()).count() == 1002;
    seen(&client, "every port has a number", all).await;
    println!("1,000 patch ports: answered in {answered:?}, numbered in {:?}", begin.elapsed());
}
