//! Flows and ports of a real bridge.

use std::time::{Duration, Instant};

use dpu_render::agent::flow::{
    Action, EthMatch, Flow, Learn, LearnLoad, LearnMatch, LearnOutput, Mac, Match, VlanMatch, port,
};
use dpu_render::agent::openflow::connection::{Connection, Error};
use dpu_render::agent::openflow::{FlowFilter, FlowMod, PortReason};

use crate::switch::{Switch, until};

const COOKIE: u64 = 0x6209_6e3f_0185_953b;

fn flow(table: u8, priority: u16, matches: Match, actions: Vec<Action>) -> Flow {
    Flow { table, priority, cookie: COOKIE, matches, actions, ..Flow::default() }
}

fn learn(table: u8, limit: u32) -> Learn {
    Learn {
        table,
        priority: 30,
        idle_timeout: 10,
        cookie: COOKIE,
        limit,
        matches: vec![LearnMatch::InPort(2), LearnMatch::EthDstFromEthSrc],
        output: Some(LearnOutput::InPort),
        ..Learn::default()
    }
}

/// Every shape of flow that we make.
fn shapes() -> Vec<Flow> {
    let registers = Match { registers: [(0, 7), (15, u32::MAX)].into(), ..Match::default() };
    let group = Match { eth_dst: Some(EthMatch::GROUP), ..Match::in_port(2) };
    let address = EthMatch::exact(Mac([1, 0x80, 0xc2, 0, 0, 0x0e]));
    let everything = Match {
        vlan: Some(VlanMatch::Tagged(7)),
        eth_dst: Some(address),
        registers: [(3, 9)].into(),
        ..Match::in_port(1)
    };
    let tag = |vlan| Match { vlan: Some(vlan), ..Match::in_port(1) };
    let full = Learn {
        matches: vec![
            LearnMatch::Register(1, 7),
            LearnMatch::RegisterCopy(2),
            LearnMatch::EthDstFromEthSrc,
            LearnMatch::Vlan(VlanMatch::Tagged(100)),
        ],
        loads: vec![LearnLoad::VlanTci(0x1064), LearnLoad::Register(3, 5), LearnLoad::RegisterFrom(4, 2)],
        output: Some(LearnOutput::Register(5)),
        hard_timeout: 60,
        ..learn(2, 64)
    };
    let untagged = Learn {
        matches: vec![LearnMatch::Vlan(VlanMatch::Untagged), LearnMatch::EthDstFromEthSrc],
        loads: vec![LearnLoad::VlanTci(0)],
        output: None,
        ..learn(3, 0)
    };
    vec![
        flow(0, 20, Match::in_port(1), vec![Action::Output(2)]),
        flow(0, 20, Match::in_port(2), vec![Action::Learn(learn(0, 0)), Action::Output(1)]),
        flow(0, 21, Match::in_port(2), vec![Action::Learn(learn(1, 64)), Action::Resubmit { table: 1 }]),
        flow(1, 1, Match::default(), vec![Action::Learn(full), Action::Learn(untagged), Action::Output(1)]),
        flow(1, 2, group, vec![Action::Output(1), Action::InPort]),
        flow(1, 3, tag(VlanMatch::Untagged), vec![Action::PushVlan, Action::SetVlan(100), Action::Output(2)]),
        flow(1, 3, tag(VlanMatch::Tagged(100)), vec![Action::PopVlan, Action::SetRegister(2, 5), Action::Output(2)]),
        flow(1, 4, tag(VlanMatch::Tagged(0)), vec![Action::SetVlan(4095), Action::Output(2)]),
        flow(1, 5, everything, vec![Action::Output(port::LOCAL)]),
        flow(2, 1, registers, vec![Action::SetRegister(15, 0), Action::Output(port::NORMAL)]),
        flow(2, 2, Match::default(), vec![]),
        flow(253, u16::MAX, Match::default(), vec![Action::SetVlanTci(0x1064), Action::Output(2)]),
        Flow {
            idle_timeout: 300,
            hard_timeout: 600,
            flags: 1,
            ..flow(4, 1, Match::in_port(1), vec![Action::Output(2)])
        },
    ]
}

async fn read(connection: &Connection) -> Vec<Flow> {
    let entries = connection.flows(FlowFilter::default()).await.unwrap();
    entries.into_iter().map(|entry| entry.flow).collect()
}

fn adds(flows: &[Flow]) -> Vec<FlowMod> {
    flows.iter().cloned().map(FlowMod::Add).collect()
}

fn two_ports() -> Switch {
    let switch = Switch::start(&["br-sfc"]);
    switch.add_ports("br-sfc", &["p0", "pf0hpf"]);
    switch
}

#[tokio::test]
async fn every_shape_of_flow_is_read_back_as_it_was_sent() {
    let switch = two_ports();
    let (connection, _events) = switch.connect("br-sfc").await;
    connection.replace(adds(&shapes())).await.unwrap();
    let mut expected = shapes();
    expected.sort();
    assert_eq!(read(&connection).await, expected);
    let lines = switch.ofctl("dump-flows", "br-sfc", &["--no-stats"]);
    for part in [
        "vlan_tci=0x0000/0x1fff actions=push_vlan:0x8100,set_field:4196->vlan_vid,output:2",
        "reg0=0x7,reg15=0xffffffff actions=set_field:0->reg15,NORMAL",
        "limit=64,in_port=pf0hpf,NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],output:NXM_OF_IN_PORT[]),resubmit(,1)",
        "NXM_OF_VLAN_TCI[0..12]=0x1064,load:0x1064->NXM_OF_VLAN_TCI[],load:0x5->NXM_NX_REG3[]",
    ] {
        let numbered = part.replace("in_port=pf0hpf", "in_port=2");
        assert!(lines.contains(part) || lines.contains(&numbered), "ovs-ofctl does not print {part}:\n{lines}");
    }
}

#[tokio::test]
async fn foreign_flows_are_read_and_can_be_put_back_as_they_are() {
    let switch = two_ports();
    for foreign in [
        "cookie=9,table=1,priority=3,tcp,nw_dst=10.0.0.0/8,tp_dst=80 actions=ct(table=2),controller",
        "cookie=9,priority=3,ip,reg1=1/0xff actions=write_actions(output:1),goto_table:4",
        "cookie=9,priority=4,vlan_tci=0x1000/0x1000 actions=learn(table=2,delete_learned,in_port=2,output:NXM_OF_IN_PORT[]),flood",
    ] {
        switch.ofctl("add-flow", "br-sfc", &[foreign]);
    }
    let (connection, _events) = switch.connect("br-sfc").await;
    let foreign = read(&connection).await;
    assert_eq!(foreign.len(), 3);
    let text = switch.ofctl("dump-flows", "br-sfc", &["--no-stats"]);
    connection.replace(vec![FlowMod::DeleteCookie { cookie: 9, mask: u64::MAX }]).await.unwrap();
    assert_eq!(read(&connection).await, []);
    connection.replace(adds(&foreign)).await.unwrap();
    assert_eq!(read(&connection).await, foreign);
    assert_eq!(switch.ofctl("dump-flows", "br-sfc", &["--no-stats"]), text);
}

#[tokio::test]
async fn one_change_that_is_refused_leaves_every_flow_as_it_was() {
    let switch = two_ports();
    let (connection, _events) = switch.connect("br-sfc").await;
    let before = [flow(0, 20, Match::in_port(1), vec![Action::Output(2)])];
    connection.replace(adds(&before)).await.unwrap();
    let bad = flow(0, 21, Match::default(), vec![Action::Output(0xffff_ff77)]);
    let changes = vec![
        FlowMod::DeleteCookie { cookie: COOKIE, mask: u64::MAX },
        FlowMod::Add(flow(0, 9, Match::in_port(2), vec![Action::Output(1)])),
        FlowMod::Add(bad.clone()),
    ];
    let Err(Error::Refused(refused)) = connection.replace(changes).await else { panic!("it is accepted") };
    assert_eq!(refused.errors.len(), 1);
    let (place, sent, error) = &refused.errors[0];
    assert_eq!((*place, sent, error.to_string().as_str()), (Some(2), &format!("add {bad}"), "BAD_ACTION BAD_OUT_PORT"));
    assert_eq!(read(&connection).await, before);
    connection.replace(adds(&shapes())).await.unwrap();
    assert_eq!(read(&connection).await.len(), shapes().len(), "the connection goes on");
}

#[tokio::test]
async fn strict_changes_meet_only_flows_with_our_cookie_and_keep_counters() {
    let switch = two_ports();
    let (connection, _events) = switch.connect("br-sfc").await;
    let ours = flow(0, 20, Match::in_port(1), vec![Action::Output(2)]);
    let theirs = Flow { cookie: 9, ..flow(0, 20, Match::in_port(2), vec![Action::Output(1)]) };
    connection.replace(adds(&[ours.clone(), theirs.clone()])).await.unwrap();
    let packet = "in_port(1),eth(src=02:00:00:00:00:01,dst=02:00:00:00:00:02),eth_type(0x1234)";
    switch.appctl(&["netdev-dummy/receive", "p0", packet]);
    let counted = |entries: Vec<dpu_render::agent::openflow::FlowEntry>| {
        entries.iter().map(|entry| entry.counters.packets).sum::<u64>()
    };
    until_async(async || counted(connection.flows(FlowFilter { cookie: COOKIE, mask: u64::MAX }).await.unwrap()) == 1)
        .await;
    let changed = Flow { actions: vec![Action::Output(2), Action::InPort], ..ours.clone() };
    let disguised = Flow { cookie: COOKIE, actions: vec![], ..theirs.clone() };
    let changes = vec![
        FlowMod::ModifyStrict(changed.clone()),
        FlowMod::ModifyStrict(disguised.clone()),
        FlowMod::DeleteStrict(disguised),
    ];
    connection.replace(changes).await.unwrap();
    let mut expected = vec![changed.clone(), theirs.clone()];
    expected.sort();
    assert_eq!(read(&connection).await, expected);
    assert_eq!(counted(connection.flows(FlowFilter { cookie: COOKIE, mask: u64::MAX }).await.unwrap()), 1);
    connection.replace(vec![FlowMod::DeleteStrict(changed)]).await.unwrap();
    assert_eq!(read(&connection).await, [theirs]);
}

async fn until_async(mut holds: impl AsyncFnMut() -> bool) {
    let begin = Instant::now();
    while !holds().await {
        assert!(begin.elapsed() < Duration::from_secs(10), "not within 10 s");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn what_others_do_to_flows_is_told_and_nothing_else() {
    let switch = two_ports();
    let (connection, _events) = switch.connect("br-sfc").await;
    let mut changes = connection.watch_flows().await.unwrap();
    let ours = flow(0, 20, Match::in_port(1), vec![Action::Output(2)]);
    let learns = Learn { idle_timeout: 1, ..learn(1, 64) };
    let learner = flow(0, 20, Match::in_port(2), vec![Action::Learn(learns), Action::Output(1)]);
    connection.replace(adds(&[ours.clone(), learner])).await.unwrap();
    connection.replace(vec![FlowMod::ModifyStrict(Flow { actions: vec![], ..ours.clone() })]).await.unwrap();
    connection.replace(vec![FlowMod::DeleteStrict(ours)]).await.unwrap();
    let packet = "in_port(2),eth(src=02:00:00:00:00:01,dst=02:00:00:00:00:02),eth_type(0x1234)";
    switch.appctl(&["netdev-dummy/receive", "pf0hpf", packet]);
    until_async(async || read(&connection).await.len() == 2).await;
    // Learned, and forgotten.
    until_async(async || read(&connection).await.len() == 1).await;
    let quiet = tokio::time::timeout(Duration::from_millis(100), changes.next()).await;
    assert!(quiet.is_err(), "that is the switch's own doing, or ours");
    let theirs = "cookie=9,priority=1,in_port=1,actions=drop";
    for (verb, what) in [
        ("add-flow", theirs),
        ("mod-flows", "in_port=1,actions=output:2"),
        ("add-flow", "cookie=9,priority=1,in_port=1,actions=in_port"),
        ("--strict del-flows", "priority=1,in_port=1"),
        ("del-flows", ""),
    ] {
        let arguments: Vec<&str> = verb.split(' ').chain([what]).filter(|part| !part.is_empty()).collect();
        let (options, verb): (Vec<&str>, Vec<&str>) = arguments.iter().partition(|part| part.starts_with("--"));
        switch.ofctl(verb[0], "br-sfc", &[&verb[1..], &options].concat());
        let told = tokio::time::timeout(Duration::from_secs(10), changes.next()).await;
        assert_eq!(told, Ok(Some(())), "{verb:?}");
    }
    assert_eq!(read(&connection).await, []);
    drop(connection);
    assert_eq!(changes.next().await, None);
}

#[tokio::test]
async fn a_delete_by_cookie_takes_what_was_learned_along() {
    let switch = two_ports();
    let (connection, _events) = switch.connect("br-sfc").await;
    let learns = Learn { loads: vec![LearnLoad::VlanTci(0x1064)], ..learn(0, 64) };
    let foreign = Flow { cookie: 9, ..flow(0, 1, Match::default(), vec![]) };
    let flows = [flow(0, 20, Match::in_port(1), vec![Action::Learn(learns), Action::Output(2)]), foreign.clone()];
    connection.replace(adds(&flows)).await.unwrap();
    let packet = "in_port(1),eth(src=02:00:00:00:00:01,dst=02:00:00:00:00:02),eth_type(0x1234)";
    switch.appctl(&["netdev-dummy/receive", "p0", packet]);
    until("a flow is learned", || switch.ofctl("dump-flows", "br-sfc", &[]).contains("02:00:00:00:00:01"));
    let source = EthMatch::exact(Mac([2, 0, 0, 0, 0, 1]));
    let matches = Match { eth_dst: Some(source), ..Match::in_port(2) };
    let learned =
        Flow { idle_timeout: 10, ..flow(0, 30, matches, vec![Action::SetVlanTci(0x1064), Action::Output(1)]) };
    let found = read(&connection).await;
    assert!(found.contains(&learned), "{learned} is not in {found:#?}");
    connection.replace(vec![FlowMod::DeleteCookie { cookie: COOKIE, mask: u64::MAX }]).await.unwrap();
    assert_eq!(read(&connection).await, [foreign]);
}

#[tokio::test]
async fn ten_thousand_flows_are_written_and_read_whole() {
    let switch = two_ports();
    let (connection, _events) = switch.connect("br-sfc").await;
    let mut flows: Vec<Flow> = (0..10_000_u32)
        .map(|number| {
            let matches = Match { registers: [(0, number)].into(), ..Match::in_port(1) };
            flow(0, 20, matches, vec![Action::Learn(learn(1, 64)), Action::Output(2)])
        })
        .collect();
    let begin = Instant::now();
    connection.replace(adds(&flows)).await.unwrap();
    let written = begin.elapsed();
    let begin = Instant::now();
    let found = read(&connection).await;
    println!("10,000 flows: written in {written:?}, read in {:?}", begin.elapsed());
    flows.sort();
    assert!(found == flows, "{} flows are read, or others", found.len());
}

#[tokio::test]
async fn ports_are_known_and_their_changes_told() {
    let switch = two_ports();
    let (connection, mut events) = switch.connect("br-sfc").await;
    let mut names: Vec<(u32, String)> =
        connection.ports().await.unwrap().into_iter().map(|port| (port.ofport, port.name)).collect();
    names.sort();
    let expected = [(1, "p0"), (2, "pf0hpf"), (port::LOCAL, "br-sfc")].map(|(ofport, name)| (ofport, name.to_owned()));
    assert_eq!(names, expected);
    let packet = "in_port(1),eth(src=02:00:00:00:00:01,dst=02:00:00:00:00:02),eth_type(0x1234)";
    switch.appctl(&["netdev-dummy/receive", "p0", packet]);
    until_async(async || connection.port_statistics(Some(1)).await.unwrap()[0].rx_packets == 1).await;
    assert_eq!(connection.port_statistics(None).await.unwrap().len(), 3);
    assert_eq!(connection.port_statistics(Some(77)).await.unwrap(), [], "a port that is not there");
    let begin = Instant::now();
    switch.appctl(&["netdev-dummy/set-admin-state", "p0", "down"]);
    // Earlier changes of the port may still be on their way.
    let event = loop {
        let event = events.next().await.unwrap();
        if event.port.admin_down {
            break event;
        }
    };
    println!("a port-status tells that a port is down {:?} after the command began", begin.elapsed());
    assert_eq!((event.reason, event.port.name.as_str(), event.port.ofport), (PortReason::Modified, "p0", 1));
    assert!(event.port.link_down);
    switch.vsctl(&["--no-wait", "del-port", "pf0hpf"]);
    loop {
        let event = events.next().await.unwrap();
        if event.reason == PortReason::Deleted {
            assert_eq!((event.port.name.as_str(), event.port.ofport), ("pf0hpf", 2));
            break;
        }
    }
    connection.echo().await.unwrap();
    connection.barrier().await.unwrap();
}

#[tokio::test]
async fn the_end_of_vswitchd_is_the_end_of_the_connection() {
    let mut switch = two_ports();
    let (connection, mut events) = switch.connect("br-sfc").await;
    switch.kill_vswitchd();
    let begin = Instant::now();
    assert_eq!(events.next().await, None);
    connection.closed().await;
    println!("the end is known {:?} after it", begin.elapsed());
    assert!(matches!(connection.barrier().await, Err(Error::Closed)));
    let again =
        Connection::open(&switch.path("br-sfc.mgmt"), dpu_render::agent::openflow::connection::Times::default()).await;
    assert!(matches!(again, Err(Error::Connect { .. })));
}

#[tokio::test]
async fn a_switch_that_stands_still_is_given_up() {
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("silent.mgmt");
    let _listener = tokio::net::UnixListener::bind(&path).unwrap();
    let times =
        dpu_render::agent::openflow::connection::Times { handshake: Duration::from_millis(50), ..Default::default() };
    assert!(matches!(Connection::open(&path, times).await, Err(Error::TimedOut(_))));
}

#[tokio::test]
async fn a_bridge_without_1_4_is_named() {
    let switch = two_ports();
    switch.vsctl(&["set", "bridge", "br-sfc", "protocols=OpenFlow10,OpenFlow13"]);
    let path = switch.path("br-sfc.mgmt");
    let error = Connection::open(&path, dpu_render::agent::openflow::connection::Times::default()).await.unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with("the bridge speaks OpenFlow 1.0, 1.3, and not 1.4"), "{text}");
}
