//! The flows of chains. PURE.
//!
//! In: switches whose ports have numbers. Out: [`Flow`]s, the whole set of a bridge.
//!
//! A port of a switch is a port of the bridge, or one VLAN of it: on the way in its tag is taken off, on the way out it is put
//! on; what comes untagged, or with another tag, belongs to the port itself. Two ports are a plain cross-connect: one flow each
//! way, keyed on the port (and VLAN) alone, which hardware takes best. More than two are a switch that learns: table 0 notes
//! where a source address was seen and goes on with table 1, which knows the address or floods. Every frame is learned from, so
//! that no third port sees what is not for it; how many addresses a chain learns is limited, and what is sent to many always
//! floods, whatever somebody claims to be the source of. A switch with two VLANs of one port floods everything: the bridge does
//! not send what it learned back to the port that it came from. Messages of clocks (PTP) go between uplinks and the services that
//! keep the time alone, as in DPF from v25.10 on.
//!
//! The registers and priorities are ours: DPF's flows (priority 20 and 30 in v24.10, tables 0 and 1 later) are never matched by
//! accident, as what we plan is compared by cookie.

use std::collections::{BTreeMap, BTreeSet};

use super::api::Key;
use super::flow::{Action, EthMatch, Flow, Learn, LearnLoad, LearnMatch, LearnOutput, Mac, Match, VlanMatch};
use super::hash;

/// Table that ports come in by.
pub const IN: u8 = 0;
/// Table of addresses.
pub const ADDRESSES: u8 = 1;
/// Of flows that match a port; with a VLAN they come first.
const PORT: u16 = 40;
const PORT_VLAN: u16 = 41;
/// In the table of addresses: what is for many, what was learned, and what is not known.
const MANY: u16 = 3;
const LEARNED: u16 = 2;
const UNKNOWN: u16 = 1;
/// Above what comes in by a port otherwise.
const CLOCK: u16 = 10;
/// The address of the messages of clocks that stay on their link (IEEE 1588, annex F).
const CLOCKS: Mac = Mac([0x01, 0x80, 0xc2, 0x00, 0x00, 0x0e]);
/// `vlan_tci` with a tag.
const TAG: u16 = 0x1000;
/// Seconds that an address is known without being seen, as in DPF.
const FORGET: u16 = 10;
/// Addresses that are known of a chain: the switch counts the flows of the cookie (`limit`, OVS 2.8).
const ADDRESSES_PER_CHAIN: u32 = 4096;
/// Register with the number of the switch, and with the number of the port that a frame came in by.
const SWITCH: u8 = 0;
const CAME_BY: u8 = 1;

/// A port of a switch that has a number.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Member {
    /// `ofport`.
    pub ofport: u32,
    /// The VLAN that it is of that port.
    pub vlan: Option<u16>,
}

/// A switch as far as its ports have numbers.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Switch {
    /// The chain it is of.
    pub chain: Key,
    /// Its index in the chain.
    pub index: usize,
    /// Marks its flows.
    pub cookie: u64,
    /// Its ports; none twice, here or in another switch.
    pub members: Vec<Member>,
    /// Those by which the messages of clocks come, and those of services that keep the time: the messages go between these, and
    /// nowhere else.
    pub clocks: (Vec<Member>, Vec<Member>),
}

/// The flows of all switches of a bridge, in order.
#[must_use]
pub fn flows(switches: &[Switch]) -> Vec<Flow> {
    let mut numbers = BTreeSet::new();
    let mut flows = Vec::new();
    for switch in switches {
        match &switch.members[..] {
            [] | [_] => {}
            [one, other] => {
                flows.push(connect(switch.cookie, *one, *other));
                flows.push(connect(switch.cookie, *other, *one));
            }
            members => {
                flows.extend(between_clocks(switch));
                let number = number(switch, &mut numbers);
                let ports: BTreeSet<u32> = members.iter().map(|member| member.ofport).collect();
                let learns = ports.len() == members.len();
                for (member, came_by) in members.iter().zip(0..) {
                    let port = Port { cookie: switch.cookie, member: *member, number, came_by };
                    flows.push(port.take_in(learns));
                    let to_many = Some(EthMatch::GROUP);
                    flows.extend(
                        [(MANY, to_many), (UNKNOWN, None)].map(|(priority, to)| port.flood(members, priority, to)),
                    );
                }
            }
        }
    }
    flows.sort();
    flows
}

/// A flow that learns: by which port, and what.
pub type Learner<'f> = (u32, &'f Learn);

/// How flows learn.
#[must_use]
pub fn learners(flows: &[Flow]) -> Vec<Learner<'_>> {
    let mut found = Vec::new();
    for flow in flows {
        for action in &flow.actions {
            if let (Action::Learn(learn), Some(port)) = (action, flow.matches.in_port) {
                found.push((port, learn));
            }
        }
    }
    found
}

/// Whether one of these may have made the flow.
#[must_use]
pub fn is_learned(flow: &Flow, learners: &[Learner<'_>]) -> bool {
    learners.iter().any(|(port, learn)| {
        let loads = learn.loads.iter().filter_map(|load| match load {
            LearnLoad::VlanTci(tci) => Some(Action::SetVlanTci(*tci)),
            _ => None,
        });
        let registers = learn.matches.iter().filter_map(|one| match one {
            LearnMatch::Register(register, value) => Some((*register, *value)),
            _ => None,
        });
        let address = flow.matches.eth_dst.filter(|address| address.mask() == Mac::BROADCAST);
        let matches = Match { eth_dst: address, registers: registers.collect(), ..Match::default() };
        address.is_some()
            && (flow.table, flow.priority, flow.cookie) == (learn.table, learn.priority, learn.cookie)
            && flow.idle_timeout == learn.idle_timeout
            && flow.matches == matches
            && flow.actions == loads.chain([Action::Output(*port)]).collect::<Vec<_>>()
    })
}

/// A number that no other switch of the bridge has, and that stays while the chain is there.
fn number(switch: &Switch, taken: &mut BTreeSet<u32>) -> u32 {
    let name = format!("{}/{}", switch.chain, switch.index);
    let mut number = hash::fnv32(name.as_bytes());
    while number == 0 || !taken.insert(number) {
        number = number.wrapping_add(1);
    }
    number
}

fn at(cookie: u64, table: u8, priority: u16, matches: Match, actions: Vec<Action>) -> Flow {
    Flow { table, priority, cookie, matches, actions, ..Flow::default() }
}

/// What comes in by a member, and its tag taken off.
fn comes_by(member: Member) -> (u16, Match, Vec<Action>) {
    let matches = Match { in_port: Some(member.ofport), vlan: member.vlan.map(VlanMatch::Tagged), ..Match::default() };
    match member.vlan {
        None => (PORT, matches, Vec::new()),
        Some(_) => (PORT_VLAN, matches, vec![Action::PopVlan]),
    }
}

/// Sends out by a member, with its tag, what came in by the port `from`. A frame goes back where it came from only if told so.
fn goes_by(member: Member, from: u32) -> Vec<Action> {
    let out = if member.ofport == from { Action::InPort } else { Action::Output(member.ofport) };
    match member.vlan {
        None => vec![out],
        Some(id) => vec![Action::PushVlan, Action::SetVlan(id), out],
    }
}

fn connect(cookie: u64, from: Member, to: Member) -> Flow {
    let (priority, matches, mut actions) = comes_by(from);
    actions.extend(goes_by(to, from.ofport));
    at(cookie, IN, priority, matches, actions)
}

/// Messages of clocks, between uplinks and services that keep the time. Two ports alone need nothing of the kind.
fn between_clocks(switch: &Switch) -> impl Iterator<Item = Flow> {
    let (uplinks, services) = &switch.clocks;
    let way = |from: Member, to: &[Member]| {
        let (priority, mut matches, mut actions) = comes_by(from);
        matches.eth_dst = Some(EthMatch::exact(CLOCKS));
        for (index, member) in to.iter().enumerate() {
            if index > 0 && to[index - 1].vlan.is_some() {
                actions.push(Action::PopVlan);
            }
            actions.extend(goes_by(*member, from.ofport));
        }
        at(switch.cookie, IN, priority + CLOCK, matches, actions)
    };
    let ways = [(uplinks, services), (services, uplinks)].into_iter().filter(|(_, to)| !to.is_empty());
    ways.flat_map(move |(from, to)| from.iter().map(move |from| way(*from, to)))
}

/// A port of a switch that learns.
struct Port {
    cookie: u64,
    member: Member,
    /// Of the switch.
    number: u32,
    /// Of the port in it.
    came_by: u32,
}

impl Port {
    fn take_in(&self, learns: bool) -> Flow {
        let (priority, matches, mut actions) = comes_by(self.member);
        actions.push(Action::SetRegister(SWITCH, self.number));
        actions.push(Action::SetRegister(CAME_BY, self.came_by));
        if learns {
            actions.push(Action::Learn(Learn {
                table: ADDRESSES,
                priority: LEARNED,
                cookie: self.cookie,
                idle_timeout: FORGET,
                hard_timeout: 0,
                limit: ADDRESSES_PER_CHAIN,
                matches: vec![LearnMatch::Register(SWITCH, self.number), LearnMatch::EthDstFromEthSrc],
                loads: self.member.vlan.map(|id| LearnLoad::VlanTci(TAG | id)).into_iter().collect(),
                output: Some(LearnOutput::InPort),
            }));
        }
        actions.push(Action::Resubmit { table: ADDRESSES });
        at(self.cookie, IN, priority, matches, actions)
    }

    fn flood(&self, members: &[Member], priority: u16, eth_dst: Option<EthMatch>) -> Flow {
        // Those without a tag first: a tag that was put on has to be taken off again.
        let others = members.iter().filter(|other| **other != self.member);
        let (tagged, plain): (Vec<&Member>, Vec<&Member>) = others.partition(|member| member.vlan.is_some());
        let mut actions = Vec::new();
        for member in plain {
            actions.extend(goes_by(*member, self.member.ofport));
        }
        for (index, member) in tagged.into_iter().enumerate() {
            if index > 0 {
                actions.push(Action::PopVlan);
            }
            actions.extend(goes_by(*member, self.member.ofport));
        }
        let registers = BTreeMap::from([(SWITCH, self.number), (CAME_BY, self.came_by)]);
        at(self.cookie, ADDRESSES, priority, Match { registers, eth_dst, ..Match::default() }, actions)
    }
}
