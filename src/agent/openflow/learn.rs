//! The body of Open vSwitch's `learn` action (`NXAST_LEARN`, `NXAST_LEARN2`), after its subtype.
//!
//! In: a [`Learn`], or bytes. Out: bytes, or the [`Learn`] they may be; `action` compares what it would write. PURE.

use super::action::LEARN2;
use super::oxm::{self, NXM_ETH_DST, NXM_ETH_SRC, NXM_IN_PORT, NXM_VLAN_TCI};
use super::wire::{Cursor, Put};
use crate::agent::flow::{Learn, LearnLoad, LearnMatch, LearnOutput};

/// In the head of a part: the source is a constant; what becomes of it; and how many bits it has.
const CONSTANT: u16 = 0x2000;
const INTO_MATCH: u16 = 0x0000;
const INTO_LOAD: u16 = 0x0800;
const INTO_OUTPUT: u16 = 0x1000;
const INTO: u16 = 0x1800;
const BITS: u16 = 0x07ff;

/// The bits of `vlan_tci` that a VLAN match compares: id, and whether there is a tag.
const VLAN_BITS: u16 = 13;

/// Appends the body.
pub(super) fn put_learn(out: &mut Vec<u8>, learn: &Learn) {
    out.put_u16(learn.idle_timeout);
    out.put_u16(learn.hard_timeout);
    out.put_u16(learn.priority);
    out.put_u64(learn.cookie);
    out.put_u16(0);
    out.put_u8(learn.table);
    out.put_zeros(5);
    if learn.limit != 0 {
        out.put_u32(learn.limit);
        out.put_zeros(4);
    }
    for field in &learn.matches {
        match *field {
            LearnMatch::InPort(ofport) => put_short(out, INTO_MATCH, 16, ofport, NXM_IN_PORT),
            LearnMatch::EthDstFromEthSrc => put_copy(out, INTO_MATCH, 48, NXM_ETH_SRC, NXM_ETH_DST),
            LearnMatch::Vlan(vlan) => put_short(out, INTO_MATCH, VLAN_BITS, oxm::vlan_bits(vlan), NXM_VLAN_TCI),
            LearnMatch::Register(number, value) => put_long(out, INTO_MATCH, value, oxm::register(number)),
            LearnMatch::RegisterCopy(number) => {
                put_copy(out, INTO_MATCH, 32, oxm::register(number), oxm::register(number));
            }
        }
    }
    for load in &learn.loads {
        match *load {
            LearnLoad::VlanTci(tci) => put_short(out, INTO_LOAD, 16, tci, NXM_VLAN_TCI),
            LearnLoad::Register(number, value) => put_long(out, INTO_LOAD, value, oxm::register(number)),
            LearnLoad::RegisterFrom(to, from) => put_copy(out, INTO_LOAD, 32, oxm::register(from), oxm::register(to)),
        }
    }
    let (bits, source) = match learn.output {
        None => return,
        Some(LearnOutput::InPort) => (16, NXM_IN_PORT),
        Some(LearnOutput::Register(number)) => (32, oxm::register(number)),
    };
    out.put_u16(INTO_OUTPUT | bits);
    put_place(out, source);
}

fn put_short(out: &mut Vec<u8>, into: u16, bits: u16, value: u16, target: u32) {
    out.put_u16(CONSTANT | into | bits);
    out.put_u16(value);
    put_place(out, target);
}

fn put_long(out: &mut Vec<u8>, into: u16, value: u32, target: u32) {
    out.put_u16(CONSTANT | into | 32);
    out.put_u32(value);
    put_place(out, target);
}

fn put_copy(out: &mut Vec<u8>, into: u16, bits: u16, source: u32, target: u32) {
    out.put_u16(into | bits);
    put_place(out, source);
    put_place(out, target);
}

/// A field from its first bit.
fn put_place(out: &mut Vec<u8>, field: u32) {
    out.put_u32(field);
    out.put_u16(0);
}

/// What the body may be; `None` where a part is not modelled.
pub(super) fn take_learn(mut cursor: Cursor<'_>, subtype: u16) -> Option<Learn> {
    let mut learn = Learn {
        idle_timeout: cursor.u16().ok()?,
        hard_timeout: cursor.u16().ok()?,
        priority: cursor.u16().ok()?,
        cookie: cursor.u64().ok()?,
        ..Learn::default()
    };
    cursor.take(2).ok()?;
    learn.table = cursor.u8().ok()?;
    cursor.take(5).ok()?;
    if subtype == LEARN2 {
        learn.limit = cursor.u32().ok()?;
        cursor.take(4).ok()?;
    }
    // A head of zero is the padding.
    while let Some(head) = cursor.u16().ok().filter(|head| *head != 0) {
        take_part(&mut learn, head, &mut cursor)?;
    }
    Some(learn)
}

fn take_part(learn: &mut Learn, head: u16, cursor: &mut Cursor<'_>) -> Option<()> {
    let (into, bits) = (head & INTO, head & BITS);
    if head & CONSTANT == 0 {
        let source = take_place(cursor)?;
        if into == INTO_OUTPUT {
            learn.output = Some(match oxm::register_number(source) {
                Some(number) => LearnOutput::Register(number),
                None => (source == NXM_IN_PORT).then_some(LearnOutput::InPort)?,
            });
            return Some(());
        }
        return take_copy(learn, into, source, take_place(cursor)?);
    }
    let value = if bits > 16 { cursor.u32().ok()? } else { cursor.u16().ok()?.into() };
    let target = take_place(cursor)?;
    let short = u16::try_from(value).ok();
    match (into, target) {
        (INTO_MATCH, NXM_IN_PORT) => learn.matches.push(LearnMatch::InPort(short?)),
        (INTO_MATCH, NXM_VLAN_TCI) => learn.matches.push(LearnMatch::Vlan(oxm::vlan_of(short?)?)),
        (INTO_MATCH, _) => learn.matches.push(LearnMatch::Register(oxm::register_number(target)?, value)),
        (INTO_LOAD, NXM_VLAN_TCI) => learn.loads.push(LearnLoad::VlanTci(short?)),
        (INTO_LOAD, _) => learn.loads.push(LearnLoad::Register(oxm::register_number(target)?, value)),
        _ => return None,
    }
    Some(())
}

fn take_copy(learn: &mut Learn, into: u16, source: u32, target: u32) -> Option<()> {
    match (into, source, target) {
        (INTO_MATCH, NXM_ETH_SRC, NXM_ETH_DST) => learn.matches.push(LearnMatch::EthDstFromEthSrc),
        (INTO_MATCH, _, _) if source == target => {
            learn.matches.push(LearnMatch::RegisterCopy(oxm::register_number(source)?));
        }
        (INTO_LOAD, _, _) => {
            let load = LearnLoad::RegisterFrom(oxm::register_number(target)?, oxm::register_number(source)?);
            learn.loads.push(load);
        }
        _ => return None,
    }
    Some(())
}

fn take_place(cursor: &mut Cursor<'_>) -> Option<u32> {
    let field = cursor.u32().ok()?;
    cursor.u16().ok()?;
    Some(field)
}
