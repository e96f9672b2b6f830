//! Whatever a switch sends is read or refused, the same in any portions; and a flow that was read is the same when it is sent and read again.
//!
//! In: a byte for the size of portions, then what comes after the hello. How to run it: `tests/README.md`.
#![no_main]

use dpu_render::agent::flow::Flow;
use dpu_render::agent::openflow::session::{Event, Fatal, Reply, Request, Session};
use dpu_render::agent::openflow::{FlowFilter, FlowMod, Frame, Framing, Message};
use libfuzzer_sys::fuzz_target;

/// A hello, and the end of the set-up.
const HELLO: [u8; 8] = [6, 0, 0, 8, 0, 0, 0, 1];
const BARRIER: [u8; 8] = [5, 21, 0, 8, 0, 0, 0, 5];

/// `OFPT_*`, and where a flow-mod has its match.
const MULTIPART_REPLY: u8 = 19;
const BUNDLE_ADD: u8 = 34;
const MATCH_OF_FLOW_MOD: usize = 48;

fuzz_target!(|bytes: &[u8]| {
    let [step, bytes @ ..] = bytes else { return };
    let (events, sent) = hear(bytes, bytes.len().max(1));
    assert_eq!(hear(bytes, usize::from(*step) + 1), (events.clone(), sent), "portions do not matter");
    for event in events.into_iter().flatten() {
        if let Event::Answered(_, Ok(Reply::Flows(flows))) = event {
            flows.into_iter().for_each(|entry| comes_back(&entry.flow));
        }
    }
    let mut framing = Framing::new();
    framing.push(bytes);
    while let Ok(Some(frame)) = framing.next_frame() {
        if let Ok(Message::Flows(flows, _)) = Message::decode(&frame) {
            flows.into_iter().for_each(|entry| comes_back(&entry.flow));
        }
    }
});

/// A session that waits for answers to everything that can be asked.
fn asking() -> Session {
    let mut session = Session::new();
    session.receive(&HELLO).and_then(|_| session.receive(&BARRIER)).expect("a switch may begin like this");
    let changes = vec![FlowMod::DeleteCookie { cookie: 1, mask: 1 }, FlowMod::Add(Flow::default())];
    let filter = FlowFilter::default();
    for request in [
        Request::Flows(filter),
        Request::Ports,
        Request::PortStatistics(None),
        Request::Bundle(changes),
        Request::Echo,
        Request::Watch,
    ] {
        session.ask(request).expect("it is short");
    }
    session
}

/// What comes of bytes in portions, and what is sent for them.
fn hear(bytes: &[u8], portion: usize) -> (Result<Vec<Event>, Fatal>, Vec<u8>) {
    let mut session = asking();
    let mut events = Vec::new();
    for bytes in bytes.chunks(portion) {
        match session.receive(bytes) {
            Ok(more) => events.extend(more),
            Err(error) => return (Err(error), session.take_outgoing()),
        }
    }
    (Ok(events), session.take_outgoing())
}

/// The flow is the same after JSON, and after the switch has read it and told of it.
fn comes_back(flow: &Flow) {
    let json = serde_json::to_string(flow).expect("a flow has JSON");
    assert_eq!(&serde_json::from_str::<Flow>(&json).expect("it is a flow's"), flow, "{json}");
    assert!(!flow.to_string().is_empty());
    let mut session = asking();
    session.take_outgoing();
    // A flow that fits into an answer may be too long for a change; then nothing is sent.
    if session.ask(Request::Bundle(vec![FlowMod::Add(flow.clone())])).is_err() {
        assert!(session.take_outgoing().is_empty());
        return;
    }
    let mut framing = Framing::new();
    framing.push(&session.take_outgoing());
    let added = loop {
        let frame = framing.next_frame().expect("it is well-formed").expect("it is sent");
        if frame.kind == BUNDLE_ADD {
            break frame.body[8..].to_vec();
        }
    };
    let told = Frame { version: 5, kind: MULTIPART_REPLY, xid: 1, body: as_told(flow, &added) };
    let Ok(Message::Flows(again, false)) = Message::decode(&told) else { panic!("{told:?}") };
    assert_eq!(&again[0].flow, flow);
}

/// An answer with the flow of a flow-mod.
fn as_told(flow: &Flow, change: &[u8]) -> Vec<u8> {
    let mut entry = vec![0, 0, change[24], 0, 0, 0, 0, 0, 0, 0, 0, 0];
    entry.extend_from_slice(&change[30..32]);
    entry.extend_from_slice(&change[26..30]);
    entry.extend_from_slice(&change[44..46]);
    entry.extend_from_slice(&[0; 4]);
    entry.extend_from_slice(&change[8..16]);
    entry.extend_from_slice(&[0; 16]);
    entry.extend_from_slice(&change[MATCH_OF_FLOW_MOD..]);
    let length = u16::try_from(entry.len()).unwrap_or_else(|_| panic!("it is too long: {flow}"));
    entry[..2].copy_from_slice(&length.to_be_bytes());
    [vec![0, 1, 0, 0, 0, 0, 0, 0], entry].concat()
}
