//! Whatever a switch sends is read or refused. Run: `cargo +nightly fuzz run openflow`.
#![no_main]

use dpu_render::agent::openflow::session::{Request, Session};
use dpu_render::agent::openflow::{FlowFilter, Frame, Message};
use libfuzzer_sys::fuzz_target;

/// A hello, and the end of the set-up.
const HELLO: [u8; 8] = [6, 0, 0, 8, 0, 0, 0, 1];
const BARRIER: [u8; 8] = [5, 21, 0, 8, 0, 0, 0, 5];

fuzz_target!(|bytes: &[u8]| {
    if let [kind, body @ ..] = bytes {
        let _ = Message::decode(&Frame { version: 5, kind: *kind, xid: 1, body: body.to_vec() });
    }
    let mut session = Session::new();
    let _ = session.receive(&HELLO).and_then(|_| session.receive(&BARRIER));
    let _ = session.ask(Request::Flows(FlowFilter::default()));
    let (one, other) = bytes.split_at(bytes.len() / 2);
    let _ = session.receive(one).and_then(|_| session.receive(other));
});
