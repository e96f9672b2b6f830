//! Whatever a database server sends is read or refused. Run: `cargo +nightly fuzz run ovsdb`.
#![no_main]

use dpu_render::agent::observed::{MONITORED, Observed};
use dpu_render::agent::ovsdb::session::{Interest, Memory, Session};
use dpu_render::agent::ovsdb::{Operation, Transaction};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let interest = Interest { tables: MONITORED, lock: Some("lock".to_owned()) };
    let mut session = Session::new(interest, Memory::default());
    let mut transaction = Transaction::new();
    transaction.push(Operation::Select { table: "Port", conditions: vec![], columns: vec!["name"] });
    session.transact(transaction);
    let (one, other) = bytes.split_at(bytes.len() / 2);
    let _ = session.receive(one).and_then(|_| session.receive(other));
    let _ = Observed::of(session.cache(), [].into());
});
