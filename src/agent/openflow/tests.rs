//! The codec against bytes that Open vSwitch's own tools send and its daemon answers (3.1.0), and against hostile bytes.

use proptest::prelude::*;

use super::request::{self, BundleControl};
use super::session::{Event, Fatal, Reply, Request, Session};
use super::*;
use crate::agent::flow::{
    Action, EthMatch, Flow, Learn, LearnLoad, LearnMatch, LearnOutput, Mac, Match, Raw, VlanMatch, port,
};

/// Bytes of hexadecimal text; spaces are for the reader.
fn hex(text: &str) -> Vec<u8> {
    text.split_whitespace().collect::<String>().parse::<Raw>().unwrap().0
}

const COOKIE: u64 = 0x6209_6e3f_0185_953b;

/// The first flow of chain `default/chain1`, as DPF v24.10 makes it.
fn learning_flow() -> Flow {
    Flow {
        priority: 20,
        cookie: COOKIE,
        matches: Match::in_port(1),
        actions: vec![
            Action::Learn(Learn {
                priority: 30,
                idle_timeout: 10,
                cookie: COOKIE,
                matches: vec![LearnMatch::InPort(2), LearnMatch::EthDstFromEthSrc],
                output: Some(LearnOutput::InPort),
                ..Learn::default()
            }),
            Action::Output(2),
        ],
        ..Flow::default()
    }
}

fn limited_learn() -> Learn {
    Learn {
        table: 2,
        priority: 3,
        idle_timeout: 10,
        cookie: 1,
        limit: 64,
        matches: vec![
            LearnMatch::Register(1, 7),
            LearnMatch::RegisterCopy(2),
            LearnMatch::EthDstFromEthSrc,
            LearnMatch::Vlan(VlanMatch::Tagged(100)),
        ],
        loads: vec![LearnLoad::VlanTci(0x1064), LearnLoad::Register(3, 5), LearnLoad::RegisterFrom(4, 2)],
        output: Some(LearnOutput::InPort),
        ..Learn::default()
    }
}

#[test]
fn messages_are_those_of_ovs_ofctl() {
    assert_eq!(request::hello(1), hex("05000010 00000001 0001000800000020"));
    assert_eq!(request::bundle_control(8, 0, BundleControl::Open), hex("05210010 00000008 00000000 0000 0003"));
    assert_eq!(request::bundle_control(10, 0, BundleControl::Commit), hex("05210010 0000000a 00000000 0004 0003"));
    assert_eq!(request::barrier(9), hex("05140008 00000009"));
    let cookie = FlowMod::DeleteCookie { cookie: COOKIE, mask: u64::MAX };
    assert_eq!(
        request::flow_mod(6, &cookie),
        hex("050e0038 00000006 62096e3f0185953b ffffffffffffffff ff 03 0000 0000 8000 ffffffff ffffffff ffffffff 0000 0000
             00010004 00000000")
    );
    assert_eq!(
        request::flows(2, FlowFilter::default()),
        hex(
            "05120038 00000002 0001 0000 00000000 ff000000 ffffffff ffffffff 00000000 0000000000000000 0000000000000000
             00010004 00000000"
        )
    );
    assert_eq!(request::ports(2), hex("05120010 00000002 000d 000000000000"));
}

#[test]
fn a_learning_flow_is_sent_as_ovs_ofctl_sends_it() {
    assert_eq!(
        request::bundle_add(6, 0, &FlowMod::Add(learning_flow())).unwrap(),
        hex("052200a8 00000006 00000000 0000 0003
             050e0098 00000006 62096e3f0185953b 0000000000000000 00 00 0000 0000 0014 ffffffff ffffffff ffffffff 0000 0000
             0001000c 80000004 00000001 00000000
             0004005800000000
             ffff0040 00002320 0010 000a 0000 001e 62096e3f0185953b 0000 00 00 0000 0000
             2010 0002 00000002 0000 0030 00000406 0000 00000206 0000 1010 00000002 0000
             0000 0010 00000002 0000 000000000000")
    );
}

#[test]
fn every_action_is_sent_as_ovs_ofctl_sends_it() {
    let sent = |actions: &[Action]| {
        let mut out = Vec::new();
        action::put_instructions(&mut out, actions);
        out
    };
    assert_eq!(
        sent(&[Action::PushVlan, Action::SetVlan(100), Action::Output(2)]),
        hex("0004003000000000 0011000881000000 0019001080000c021064000000000000 00000010000000020000000000000000")
    );
    assert_eq!(
        sent(&[Action::PopVlan, Action::SetRegister(1, 7), Action::Resubmit { table: 1 }]),
        hex("0004003000000000 0012000800000000 00190010000102040000000700000000 ffff001000002320000efff801000000")
    );
    assert_eq!(
        sent(&[Action::InPort, Action::Output(2)]),
        hex("0004002800000000 00000010fffffff80000000000000000 00000010000000020000000000000000")
    );
    assert_eq!(
        sent(&[Action::Learn(limited_learn())]),
        hex("0004009000000000 ffff0088 00002320 002d 000a 0000 0003 0000000000000001 0000 02 00 0000 0000 00000040 00000000
             2020 00000007 00010204 0000 0020 00010404 0000 00010404 0000 0030 00000406 0000 00000206 0000
             200d 1064 00000802 0000 2810 1064 00000802 0000 2820 00000005 00010604 0000
             0820 00010404 0000 00010804 0000 1010 00000002 0000 0000")
    );
    assert!(sent(&[]).is_empty(), "no instruction: dropped");
}

#[test]
fn every_match_is_sent_as_ovs_ofctl_sends_it() {
    let sent = |matches: &Match| {
        let mut out = Vec::new();
        oxm::put_match(&mut out, matches);
        out
    };
    let group = Match { eth_dst: Some(EthMatch::GROUP), ..Match::in_port(2) };
    assert_eq!(sent(&group), hex("0001001c 80000004 00000002 8000070c 010000000000 010000000000 00000000"));
    let untagged = Match { vlan: Some(VlanMatch::Untagged), ..Match::in_port(1) };
    assert_eq!(sent(&untagged), hex("00010012 80000004 00000001 80000c02 0000 000000000000"));
    let tagged = Match { vlan: Some(VlanMatch::Tagged(100)), ..Match::in_port(1) };
    assert_eq!(sent(&tagged), hex("00010012 80000004 00000001 80000c02 1064 000000000000"));
    let registers = Match { registers: [(1, 7), (2, 9)].into(), ..Match::default() };
    assert_eq!(sent(&registers), hex("00010014 00010204 00000007 00010404 00000009 00000000"));
}

/// Entries of flow stats as the daemon sends them, after the multipart head.
const DUMP: &str = "
    00780000000000001312d00000050000000000000000000000000000000000010000000000000003000000000000012c000100128000000400000001
    80000c020000000000000000000400300000000000110008810000000019001080000c02106400000000000000000010000000020000000000000000
    00900000000000001312d000000500000000000000000000000000000000000100000000000000000000000000000000000100128000000400000001
    80000c0210640000000000000004004800000000001200080000000000190010000102040000000700000000ffff0018000023200007001f00010404
    0000000000000005ffff001000002320000efff801000000
    00600300000000001312d0000003000000000000000000000000000000000001000000000000000000000000000000000001000c80000d0410001000
    000000000003001800000000000000100000000100000000000000000001000804000000
    00700300000000001312d000000400000000000000000000000000000000000100000000000000000000000000000000000100100001030800000004
    000000ff0004003000000000ffff0018000023200007000f00000802000000000000000300000010fffffffdffff000000000000
    00900100000000001312d000000300000000000000000000000000000000000100000000000000000000000000000000000100140001020400000007
    0001040400000009000000000004004800000000ffff0040000023200010000000000003000000000000000000000200000000002010000200000002
    0000200c106480000c020000102000010204000000000000";

fn frame(kind: u8, xid: u32, body: &[u8]) -> Vec<u8> {
    let mut out = vec![VERSION, kind];
    out.extend(u16::try_from(body.len() + 8).unwrap().to_be_bytes());
    out.extend(xid.to_be_bytes());
    out.extend(body);
    out
}

#[test]
fn what_the_daemon_dumps_is_what_was_meant_and_foreign_flows_keep_their_bytes() {
    let body = [hex("0001 0001 00000000"), hex(DUMP)].concat();
    let decoded = Message::decode(&Frame { version: 5, kind: 19, xid: 2, body }).unwrap();
    let Message::Flows(entries, true) = decoded else { panic!("{decoded:?}") };
    assert_eq!(entries[0].counters, crate::agent::flow::FlowCounters { packets: 3, bytes: 300, age_ms: 320 });
    let flow =
        |table, priority, matches, actions| Flow { table, priority, cookie: 1, matches, actions, ..Flow::default() };
    let untagged = Match { vlan: Some(VlanMatch::Untagged), ..Match::in_port(1) };
    let tagged = Match { vlan: Some(VlanMatch::Tagged(100)), ..Match::in_port(1) };
    let raw = |text| Raw(hex(text));
    let expected = [
        flow(0, 5, untagged, vec![Action::PushVlan, Action::SetVlan(100), Action::Output(2)]),
        flow(
            0,
            5,
            tagged,
            vec![Action::PopVlan, Action::SetRegister(1, 7), Action::SetRegister(2, 5), Action::Resubmit { table: 1 }],
        ),
        flow(
            3,
            3,
            Match { other: vec![raw("80000d0410001000")], ..Match::default() },
            vec![
                Action::Instruction(raw("0003001800000000 0000001000000001 0000000000000000")),
                Action::Instruction(raw("0001000804000000")),
            ],
        ),
        flow(
            3,
            4,
            Match { other: vec![raw("0001030800000004000000ff")], ..Match::default() },
            vec![Action::SetVlanTci(3), Action::Other(raw("00000010fffffffdffff000000000000"))],
        ),
        flow(
            1,
            3,
            Match { registers: [(1, 7), (2, 9)].into(), ..Match::default() },
            vec![Action::Other(raw(
                "ffff0040000023200010000000000003 0000000000000000 000002000000 0000 2010 0002 00000002 0000
             200c 1064 80000c02 0000 1020 00010204 0000 00000000",
            ))],
        ),
    ];
    let flows: Vec<Flow> = entries.into_iter().map(|entry| entry.flow).collect();
    assert_eq!(flows, expected);
}

/// A switch that has answered the hello and is set up.
fn ready() -> Session {
    let mut session = Session::new();
    assert_eq!(session.take_outgoing(), request::hello(1));
    assert_eq!(session.receive(&hex("0600000800000008")), Ok(vec![]));
    assert_eq!(
        session.take_outgoing(),
        [request::features(2), request::set_config(3), request::set_async(4), request::barrier(5)].concat()
    );
    let features = frame(6, 2, &hex("0000ca60b9adf44b 00000000 fe 00 0000 0000004f 00000000"));
    let events = session.receive(&[features, frame(21, 5, &[])].concat());
    assert_eq!(events, Ok(vec![Event::Ready(Features { datapath_id: 0xca60_b9ad_f44b, tables: 254 })]));
    session
}

#[test]
fn versions_are_agreed_or_named() {
    let meets = |hello: &str| Session::new().receive(&hex(hello));
    assert_eq!(meets("05000010 00000001 00010008 00000020"), Ok(vec![]));
    assert_eq!(meets("0600000800000008"), Ok(vec![]), "without a bitmap every version up to 1.5 is offered");
    let refused = meets("04000010 00000001 00010008 00000012").unwrap_err();
    assert_eq!(
        refused.to_string(),
        "the bridge speaks OpenFlow 1.0, 1.3, and not 1.4; add OpenFlow14 to its `protocols`, or clear that column"
    );
    assert_eq!(meets("0400000800000008"), Err(Fatal::Version { offered: "up to 1.3".to_owned() }));
    assert_eq!(meets("0515000800000009"), Err(Fatal::NoHello { kind: 21 }));
    let hello_failed = meets("0101000f 00000001 0000 0000 6e6f21").unwrap_err();
    assert!(hello_failed.to_string().ends_with("HELLO_FAILED INCOMPATIBLE (no!)"), "{hello_failed}");
    let mut session = ready();
    assert_eq!(session.receive(&hex("06140008 00000009")), Err(Fatal::Malformed(Malformed::Version { version: 6 })));
}

#[test]
fn a_bundle_is_committed_once_the_switch_has_taken_every_change() {
    let mut session = ready();
    let id = session.ask(Request::Bundle(vec![FlowMod::Add(learning_flow())])).unwrap();
    assert_eq!(
        session.take_outgoing(),
        [
            request::bundle_control(6, 6, BundleControl::Open),
            request::bundle_add(7, 6, &FlowMod::Add(learning_flow())).unwrap(),
            request::barrier(8),
        ]
        .concat()
    );
    assert_eq!(session.receive(&hex("05210010 00000006 00000006 0001 0000")), Ok(vec![]));
    assert_eq!(session.receive(&frame(21, 8, &[])), Ok(vec![]));
    assert_eq!(session.take_outgoing(), request::bundle_control(9, 6, BundleControl::Commit));
    let done = session.receive(&hex("05210010 00000009 00000006 0005 0000"));
    assert_eq!(done, Ok(vec![Event::Answered(id, Ok(Reply::Done))]));
}

#[test]
fn a_refused_change_discards_the_bundle_and_is_named() {
    let mut session = ready();
    let bad = FlowMod::DeleteCookie { cookie: 1, mask: 0xff };
    let id = session.ask(Request::Bundle(vec![FlowMod::Add(learning_flow()), bad])).unwrap();
    session.take_outgoing();
    let error = frame(1, 8, &hex("0002 0004 050e"));
    assert_eq!(session.receive(&[error, frame(21, 9, &[])].concat()), Ok(vec![]));
    assert_eq!(session.take_outgoing(), request::bundle_control(10, 6, BundleControl::Discard));
    let events = session.receive(&hex("05210010 0000000a 00000006 0007 0000")).unwrap();
    let [Event::Answered(answered, Err(refused))] = &events[..] else { panic!("{events:?}") };
    assert_eq!((answered, refused.errors[0].0), (&id, Some(1)));
    assert_eq!(
        refused.to_string(),
        "the switch refuses a bundle of 2 changes; BAD_ACTION BAD_OUT_PORT for `delete cookie=0x1/0xff`"
    );
}

#[test]
fn an_answer_in_parts_is_read_to_its_end_and_strangers_are_left_out() {
    let mut session = ready();
    let id = session.ask(Request::Flows(FlowFilter::default())).unwrap();
    let part = [hex("0001 0001 00000000"), hex(DUMP)].concat();
    assert_eq!(session.receive(&frame(19, 6, &part)), Ok(vec![]));
    assert_eq!(session.receive(&frame(19, 77, &part)), Ok(vec![]), "nobody asked with 77");
    let events = session.receive(&frame(19, 6, &hex("0001 0000 00000000"))).unwrap();
    let [Event::Answered(answered, Ok(Reply::Flows(flows)))] = &events[..] else { panic!("{events:?}") };
    assert_eq!((answered, flows.len()), (&id, 5));
}

#[test]
fn an_echo_is_answered_with_its_bytes() {
    let mut session = ready();
    assert_eq!(session.receive(&hex("0502000b 00000042 616263")), Ok(vec![]));
    assert_eq!(session.take_outgoing(), hex("0503000b 00000042 616263"));
}

#[test]
fn a_change_that_no_message_holds_is_refused_before_anything_is_sent() {
    let mut session = ready();
    let flow = Flow { actions: vec![Action::Output(1); 5000], ..Flow::default() };
    let error = session.ask(Request::Bundle(vec![FlowMod::Add(flow)])).unwrap_err();
    assert_eq!(error.length, 80_080);
    assert!(session.take_outgoing().is_empty());
}

/// Somebody adds a flow, adds one that goes without packets, changes the first; we add one; somebody deletes all.
#[test]
fn what_the_daemon_tells_of_flows_is_told_on_where_others_did_it() {
    let one =
        |fields: &str, port: u8| format!("{fields} 00000000 0000000000000000 0001000c 80000004 0000000{port} 00000000");
    let told = |update: &str| frame(19, 0, &hex(&format!("0010000000000000 {update}")));
    let (added, fades) = (one("0028 0001 0000 0000 0000 8000", 1), one("0028 0001 0000 0007 0000 8000", 2));
    let changed = one("0028 0003 0000 0000 0000 8000", 1);
    let gone = [
        one("0028 0002 0002 0007 0000 8000", 2),
        one("0028 0002 0002 0000 0000 8000", 1),
        "0020 0002 0002 0000 0000 0028 00000000 0000000000000007 0001000400000000".to_owned(),
    ];
    let updates = [&added, &fades, &changed, "0008000400000009", &gone.concat()];
    let mut session = ready();
    let events = updates.map(|update| session.receive(&told(update)).unwrap().len());
    assert_eq!(events, [1, 0, 1, 0, 1]);
}

/// Read by `ovs-ofctl ofp-print` as `id=1 flags=add,delete,modify`.
#[test]
fn who_asks_to_be_told_of_flows_hears_of_those_that_others_change() {
    let mut session = ready();
    let watching = session.ask(Request::Watch).unwrap();
    let sent = session.take_outgoing();
    let asked = "00100000 00000000 00000001 ffffffff ffffffff 000eff00 0001000400000000";
    assert_eq!((&sent[..4], &sent[8..]), (&hex("05120028")[..], &hex(asked)[..]));
    let xid = u32::from_be_bytes(sent[4..8].try_into().unwrap());
    let mut told =
        |xid: u32, updates: &str| session.receive(&frame(19, xid, &hex(&format!("0010000000000000{updates}"))));
    assert_eq!(told(xid, "").unwrap(), [Event::Answered(watching, Ok(Reply::Done))]);
    let of = |event: u16, reason: u8, idle: u16| {
        let fields = format!("{event:04x} 00 {reason:02x} {idle:04x} 0000 0028 00000000 0000000000000007");
        format!("0020 {fields} 0001000400000000")
    };
    // What happened, why, and how long the flow stays without packets.
    let changes = [of(1, 0, 0), of(3, 0, 0), of(2, 2, 10), of(2, 3, 0), "0008 0006 00000000".to_owned()];
    for change in &changes {
        assert_eq!(told(0, change).unwrap(), [Event::FlowsChanged], "{change}");
    }
    let nothing = [of(1, 0, 10), of(3, 0, 10), of(2, 0, 10), of(2, 1, 0), "0008 0004 00000009".to_owned()];
    for update in
        nothing.iter().chain(&["0008 0005 00000000".to_owned(), "0010 0063 00000000 0000000000000000".to_owned()])
    {
        assert_eq!(told(0, update).unwrap(), [], "{update}");
    }
    assert_eq!(told(0, &[&nothing[..], &changes[2..3]].concat().concat()).unwrap(), [Event::FlowsChanged]);
    assert_eq!(told(77, &changes[0]).unwrap(), [], "nobody asked");
    for cut in ["0008 0001 00000000", "0004 0001", "0028 0001 00 00 0000"] {
        let malformed = told(0, cut);
        assert_eq!(malformed.is_err(), cut != "0008 0001 00000000", "{cut}: {malformed:?}");
    }
}

fn any_vlan() -> impl Strategy<Value = VlanMatch> {
    prop_oneof![Just(VlanMatch::Untagged), (0_u16..4096).prop_map(VlanMatch::Tagged)]
}

fn any_match() -> impl Strategy<Value = Match> {
    let eth = prop::option::of(any::<([u8; 6], [u8; 6])>());
    let registers = prop::collection::btree_map(0_u8..16, any::<u32>(), 0..4);
    (prop::option::of(any::<u32>()), prop::option::of(any_vlan()), eth, registers).prop_map(
        |(in_port, vlan, eth, registers)| Match {
            in_port,
            vlan,
            eth_dst: eth.map(|(address, mask)| EthMatch::masked(Mac(address), Mac(mask))),
            registers,
            other: Vec::new(),
        },
    )
}

fn any_learn() -> impl Strategy<Value = Learn> {
    let matches = prop_oneof![
        (1_u16..0xff00).prop_map(LearnMatch::InPort),
        Just(LearnMatch::EthDstFromEthSrc),
        any_vlan().prop_map(LearnMatch::Vlan),
        (0_u8..16, any::<u32>()).prop_map(|(register, value)| LearnMatch::Register(register, value)),
        (0_u8..16).prop_map(LearnMatch::RegisterCopy),
    ];
    let loads = prop_oneof![
        any::<u16>().prop_map(LearnLoad::VlanTci),
        (0_u8..16, any::<u32>()).prop_map(|(register, value)| LearnLoad::Register(register, value)),
        (0_u8..16, 0_u8..16).prop_map(|(to, from)| LearnLoad::RegisterFrom(to, from)),
    ];
    let output = prop::option::of(prop_oneof![Just(LearnOutput::InPort), (0_u8..16).prop_map(LearnOutput::Register)]);
    let head = any::<(u8, u16, u16, u16, u64, u32)>();
    (head, prop::collection::vec(matches, 0..5), prop::collection::vec(loads, 0..4), output).prop_map(
        |((table, priority, idle_timeout, hard_timeout, cookie, limit), matches, loads, output)| Learn {
            table,
            priority,
            idle_timeout,
            hard_timeout,
            cookie,
            limit,
            matches,
            loads,
            output,
        },
    )
}

fn any_action() -> impl Strategy<Value = Action> {
    prop_oneof![
        (1_u32..0xff00).prop_map(Action::Output),
        Just(Action::Output(port::NORMAL)),
        Just(Action::InPort),
        Just(Action::PushVlan),
        (0_u16..4096).prop_map(Action::SetVlan),
        any::<u16>().prop_map(Action::SetVlanTci),
        Just(Action::PopVlan),
        (0_u8..16, any::<u32>()).prop_map(|(register, value)| Action::SetRegister(register, value)),
        any::<u8>().prop_map(|table| Action::Resubmit { table }),
        any_learn().prop_map(Action::Learn),
    ]
}

fn decode_all(bytes: &[u8]) {
    let mut framing = Framing::new();
    framing.push(bytes);
    while let Ok(Some(frame)) = framing.next_frame() {
        drop(Message::decode(&Frame { version: 5, ..frame }));
    }
}

proptest! {
    #[test]
    fn what_is_sent_is_read_back(matches in any_match(), actions in prop::collection::vec(any_action(), 0..5)) {
        let mut out = Vec::new();
        oxm::put_match(&mut out, &matches);
        prop_assert_eq!(out.len() % 8, 0);
        action::put_instructions(&mut out, &actions);
        prop_assert_eq!(out.len() % 8, 0);
        let mut cursor = wire::Cursor::new(&out, "test");
        prop_assert_eq!(oxm::take_match(&mut cursor), Ok(matches));
        prop_assert_eq!(action::take_instructions(&mut cursor), Ok(actions));
    }

    #[test]
    fn a_flow_is_the_same_after_json(matches in any_match(), actions in prop::collection::vec(any_action(), 0..5)) {
        let flow = Flow { matches, actions, cookie: u64::MAX, ..Flow::default() };
        let json = serde_json::to_string(&flow).unwrap();
        prop_assert_eq!(serde_json::from_str::<Flow>(&json).unwrap(), flow);
    }

    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..400), kind in 0_u8..40) {
        decode_all(&bytes);
        decode_all(&frame(kind, 1, &bytes));
        let _ = ready().receive(&frame(kind, 6, &bytes));
    }

    #[test]
    fn damaged_answers_are_survived(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6), cut in 0_usize..700) {
        let mut body = [hex("0001 0001 00000000"), hex(DUMP)].concat();
        for (at, byte) in changes {
            let at = at.index(body.len());
            body[at] = byte;
        }
        body.truncate(body.len().saturating_sub(cut));
        decode_all(&frame(19, 1, &body));
    }

    #[test]
    fn portions_do_not_matter(cuts in prop::collection::vec(1_usize..90, 0..40)) {
        let whole = [frame(21, 1, &[]), frame(19, 2, &hex(DUMP)), frame(3, 3, b"abc")].concat();
        let (mut framing, mut frames, mut at) = (Framing::new(), Vec::new(), 0);
        for cut in cuts.into_iter().chain([whole.len()]) {
            let end = (at + cut).min(whole.len());
            framing.push(&whole[at..end]);
            at = end;
            while let Some(frame) = framing.next_frame().unwrap() {
                frames.push((frame.xid, frame.body.len()));
            }
        }
        prop_assert_eq!(frames, [(1, 0), (2, hex(DUMP).len()), (3, 3)]);
    }
}
