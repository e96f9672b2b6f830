//! Whatever a database server sends is read or refused, the same in any portions; what is kept of it survives being written and read, and a
//! conversation can always go on from it.
//!
//! In: a byte for the size of portions, then what comes from the beginning. How to run it: `tests/README.md`.
#![no_main]

use dpu_render::agent::observed::{MONITORED, Observed};
use dpu_render::agent::ovsdb::session::{Event, Fatal, Interest, Memory, Session};
use dpu_render::agent::ovsdb::{Condition, Framing, Mutation, Mutator, Operation, Transaction, Value};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let [step, bytes @ ..] = bytes else { return };
    let (events, mut session) = hear(bytes, bytes.len().max(1));
    let (same_events, mut same) = hear(bytes, usize::from(*step) + 1);
    assert_eq!(events, same_events, "portions do not matter");
    assert_eq!(session.cache(), same.cache());
    let sent = session.take_outgoing();
    assert_eq!(sent, same.take_outgoing());
    is_objects(&sent);
    for table in MONITORED {
        for value in session.cache().rows(table.name).flat_map(|(_, row)| row.values()) {
            assert_eq!(Value::from_json(&value.to_json()).as_ref(), Ok(value));
        }
    }
    let observed = Observed::of(session.cache(), [].into());
    let json = serde_json::to_string(&observed).expect("it has JSON");
    assert_eq!(serde_json::from_str::<Observed>(&json).expect("it is what was observed"), observed, "{json}");
    let memory = session.into_memory();
    let known = memory.cache.clone();
    let mut next = Session::new(interest(), memory);
    is_objects(&next.take_outgoing());
    assert_eq!(next.cache(), &known);
});

fn interest() -> Interest {
    Interest { tables: MONITORED, lock: Some("lock".to_owned()) }
}

/// What comes of bytes in portions to a session that has asked everything that can be asked.
fn hear(bytes: &[u8], portion: usize) -> (Result<Vec<Event>, Fatal>, Session) {
    let mut session = Session::new(interest(), Memory::default());
    let mut transaction = Transaction::new();
    transaction.push(Operation::Select { table: "Port", conditions: vec![], columns: vec!["name"] });
    let mutation = Mutation { column: "external_ids", mutator: Mutator::Insert, value: Value::map([("a", "1")]) };
    let conditions = vec![Condition::equal("name", "br-sfc")];
    transaction.push_exactly(1, Operation::Mutate { table: "Bridge", conditions, mutations: vec![mutation] });
    session.transact(transaction);
    session.echo();
    session.steal();
    let mut events = Vec::new();
    for bytes in bytes.chunks(portion) {
        match session.receive(bytes) {
            Ok(more) => events.extend(more),
            Err(error) => return (Err(error), session),
        }
    }
    (Ok(events), session)
}

/// What is sent is whole messages that this side could read, too.
fn is_objects(sent: &[u8]) {
    let mut framing = Framing::new();
    framing.push(sent);
    while framing.next_message().expect("it is JSON").is_some() {}
    framing.push(b"{}");
    assert!(framing.next_message().expect("the last one is whole").is_some());
}
