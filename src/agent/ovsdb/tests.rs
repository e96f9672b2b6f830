//! The conversation with servers that no package here has, and with hostile ones.

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::session::{Event, Fatal, Interest, Lock, Memory, Session};
use super::{Condition, Framing, Operation, Transaction};
use crate::agent::observed::MONITORED;

const ONE: &str = "550e8400-e29b-41d4-a716-446655440001";
const TWO: &str = "550e8400-e29b-41d4-a716-446655440002";

fn session(lock: Option<&str>, memory: Memory) -> Session {
    Session::new(Interest { tables: MONITORED, lock: lock.map(str::to_owned) }, memory)
}

fn sent(session: &mut Session) -> Vec<Json> {
    let mut framing = Framing::new();
    framing.push(&session.take_outgoing());
    std::iter::from_fn(|| framing.next_message().unwrap()).collect()
}

fn hear(session: &mut Session, message: &Json) -> Result<Vec<Event>, Fatal> {
    session.receive(message.to_string().as_bytes())
}

fn bridges(session: &Session) -> Vec<String> {
    session.cache().rows("Bridge").map(|(_, row)| super::column::text(row, "name").unwrap()).collect()
}

#[test]
fn an_older_server_is_asked_in_the_way_it_knows() {
    let mut session = session(None, Memory::default());
    let mut asked = Vec::new();
    for id in 1..=3 {
        let messages = sent(&mut session);
        asked.push(messages[0]["method"].clone());
        let columns = &messages[0]["params"][2]["Bridge"];
        let columns = if id == 3 { columns } else { &columns[0] };
        assert_eq!(columns["columns"][3], "name");
        if id < 3 {
            assert_eq!(hear(&mut session, &json!({"id": id, "result": null, "error": "unknown method"})), Ok(vec![]));
        }
    }
    assert_eq!(asked, ["monitor_cond_since", "monitor_cond", "monitor"]);
    let initial = json!({"Bridge": {ONE: {"new": {"name": "a"}}}});
    assert_eq!(hear(&mut session, &json!({"id": 3, "result": initial, "error": null})), Ok(vec![Event::Changed]));
    let update = json!({"Bridge": {ONE: {"old": {"name": "a"}, "new": {"name": "b"}}}});
    let message = json!({"id": null, "method": "update", "params": ["dpu-agent", update]});
    assert_eq!(hear(&mut session, &message), Ok(vec![Event::Changed]));
    assert_eq!(bridges(&session), ["b"]);
}

#[test]
fn a_server_that_refuses_to_monitor_is_the_end() {
    let mut session = session(None, Memory::default());
    let refused = hear(&mut session, &json!({"id": 1, "result": null, "error": {"error": "unknown database"}}));
    assert!(matches!(refused, Err(Fatal::Monitor(why)) if why.contains("unknown database")));
}

#[test]
fn a_resumed_conversation_hears_only_what_came_after_and_a_new_one_everything() {
    let mut first = session(None, Memory::default());
    assert_eq!(sent(&mut first)[0]["params"][3], "00000000-0000-0000-0000-000000000000");
    let initial = json!({"Bridge": {ONE: {"initial": {"name": "a"}}}});
    hear(&mut first, &json!({"id": 1, "result": [false, "t1", initial], "error": null})).unwrap();
    let update = json!({"Bridge": {ONE: {"modify": {"name": "b"}}}});
    hear(&mut first, &json!({"id": null, "method": "update3", "params": ["dpu-agent", "t2", update]})).unwrap();
    let memory = first.into_memory();
    let mut resumed = session(None, memory.clone());
    assert_eq!(sent(&mut resumed)[0]["params"][3], "t2");
    let missed = json!({"Bridge": {TWO: {"insert": {"name": "c"}}}});
    hear(&mut resumed, &json!({"id": 1, "result": [true, "t3", missed], "error": null})).unwrap();
    assert_eq!(bridges(&resumed), ["b", "c"]);
    let mut anew = session(None, memory);
    hear(&mut anew, &json!({"id": 1, "result": [false, "t9", missed_as_initial()], "error": null})).unwrap();
    assert_eq!(bridges(&anew), ["c"], "what is gone meanwhile is gone");
    assert_eq!(anew.into_memory().last_transaction.as_deref(), Some("t9"));
}

fn missed_as_initial() -> Json {
    json!({"Bridge": {TWO: {"initial": {"name": "c"}}}})
}

#[test]
fn an_echo_comes_back_and_strangers_change_nothing() {
    let mut session = session(Some("mine"), Memory::default());
    assert_eq!(sent(&mut session)[0], json!({"method": "lock", "params": ["mine"], "id": 1}));
    assert_eq!(hear(&mut session, &json!({"method": "echo", "params": ["x", 1], "id": "echo"})), Ok(vec![]));
    assert_eq!(sent(&mut session), [json!({"result": ["x", 1], "error": null, "id": "echo"})]);
    for stranger in [
        json!({"method": "stolen", "params": ["theirs"], "id": null}),
        json!({"method": "update3", "params": ["theirs", "t", {"Bridge": 1}], "id": null}),
        json!({"id": 77, "result": {}, "error": null}),
        json!({"what": 1}),
    ] {
        assert_eq!(hear(&mut session, &stranger), Ok(vec![]), "{stranger}");
    }
    let stolen = json!({"method": "stolen", "params": ["mine"], "id": null});
    assert_eq!(hear(&mut session, &stolen), Ok(vec![Event::Lock(Lock::Stolen)]));
    let cancelled = json!({"method": "monitor_canceled", "params": ["dpu-agent"], "id": null});
    assert_eq!(hear(&mut session, &cancelled), Err(Fatal::Cancelled));
}

proptest! {
    #[test]
    fn damaged_messages_are_survived(at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in 0_usize..40) {
        let update = json!({"Port": {ONE: {"modify": {"tag": ["set", []], "external_ids": ["map", [["a", "1"]]]}}}});
        let mut bytes = [
            json!({"id": 1, "result": [false, "t1", {"Port": {ONE: {"initial": {"name": "p", "interfaces": ["uuid", TWO]}}}}], "error": null}),
            json!({"id": null, "method": "update3", "params": ["dpu-agent", "t2", update]}),
            json!({"id": 2, "result": [{"count": 1}], "error": null}),
        ].map(|message| message.to_string()).concat().into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        bytes.truncate(bytes.len() - cut);
        let mut session = session(None, Memory::default());
        let mut transaction = Transaction::new();
        transaction.push_exactly(1, Operation::Delete { table: "Port", conditions: vec![Condition::equal("name", "p")] });
        session.transact(transaction);
        let _ = session.receive(&bytes);
    }
}
