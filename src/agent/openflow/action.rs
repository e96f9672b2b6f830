//! Actions and instructions.
//!
//! In: [`Action`]s, or bytes. Out: bytes, or [`Action`]s in which two ways to say the same are one. PURE.

use super::learn;
use super::oxm::{self, NXM_VLAN_TCI, VLAN_PRESENT, VLAN_VID};
use super::wire::{Cursor, Malformed, Put};
use crate::agent::flow::{Action, Raw, port};

/// `OFPIT_APPLY_ACTIONS`.
const APPLY_ACTIONS: u16 = 4;

/// `OFPAT_*`.
const OUTPUT: u16 = 0;
const PUSH_VLAN: u16 = 17;
const POP_VLAN: u16 = 18;
const SET_FIELD: u16 = 25;
const EXPERIMENTER: u16 = 0xffff;

/// Open vSwitch's number as an experimenter, and the actions it has under it.
const NICIRA: u32 = 0x2320;
const REG_LOAD: u16 = 7;
const RESUBMIT_TABLE: u16 = 14;
pub(super) const LEARN: u16 = 16;
pub(super) const LEARN2: u16 = 45;

const ETHERTYPE_VLAN: u16 = 0x8100;
/// The port a packet came in by, in 16 bits.
const IN_PORT_16: u16 = 0xfff8;

/// Appends the instructions of a flow with these actions.
pub(super) fn put_instructions(out: &mut Vec<u8>, actions: &[Action]) {
    let start = out.len();
    out.put_u16(APPLY_ACTIONS);
    out.put_u16(0);
    out.put_zeros(4);
    let first = out.len();
    actions.iter().for_each(|action| put_action(out, action));
    if out.len() == first {
        out.truncate(start);
    } else {
        out.set_length(start, start + 2);
    }
    for action in actions {
        if let Action::Instruction(Raw(whole)) = action {
            out.extend_from_slice(whole);
        }
    }
}

/// Reads instructions to the end.
pub(super) fn take_instructions(cursor: &mut Cursor<'_>) -> Result<Vec<Action>, Malformed> {
    let (mut actions, mut others) = (Vec::new(), Vec::new());
    let mut applied = false;
    while !cursor.is_empty() {
        let mut whole = cursor.sized("instruction", 2, 4)?;
        let bytes = whole.rest();
        if whole.u16()? != APPLY_ACTIONS || std::mem::replace(&mut applied, true) {
            others.push(Action::Instruction(Raw(bytes.to_vec())));
            continue;
        }
        whole.take(6)?;
        while !whole.is_empty() {
            let action = whole.sized("action", 2, 4)?.rest();
            actions.push(known(action)?.unwrap_or_else(|| Action::Other(Raw(action.to_vec()))));
        }
    }
    actions.append(&mut others);
    Ok(actions)
}

fn put_action(out: &mut Vec<u8>, action: &Action) {
    match action {
        Action::Output(ofport) => put_output(out, *ofport),
        Action::InPort => put_output(out, port::IN_PORT),
        Action::PushVlan => {
            put_head(out, PUSH_VLAN, 8);
            out.put_u16(ETHERTYPE_VLAN);
            out.put_zeros(2);
        }
        Action::PopVlan => {
            put_head(out, POP_VLAN, 8);
            out.put_zeros(4);
        }
        Action::SetVlan(vid) => {
            put_head(out, SET_FIELD, 16);
            out.put_u32(VLAN_VID);
            out.put_u16(VLAN_PRESENT | vid & 0x0fff);
            out.put_zeros(6);
        }
        Action::SetRegister(number, value) => {
            put_head(out, SET_FIELD, 16);
            out.put_u32(oxm::register(*number));
            out.put_u32(*value);
            out.put_zeros(4);
        }
        Action::SetVlanTci(tci) => {
            put_nicira(out, REG_LOAD, 24);
            out.put_u16(whole_field(16));
            out.put_u32(NXM_VLAN_TCI);
            out.put_u64(u64::from(*tci));
        }
        Action::Resubmit { table } => {
            put_nicira(out, RESUBMIT_TABLE, 16);
            out.put_u16(IN_PORT_16);
            out.put_u8(*table);
            out.put_zeros(3);
        }
        Action::Learn(what) => {
            let start = out.len();
            put_nicira(out, if what.limit == 0 { LEARN } else { LEARN2 }, 0);
            learn::put_learn(out, what);
            out.pad_to_8(start);
            out.set_length(start, start + 2);
        }
        Action::Other(Raw(whole)) => out.extend_from_slice(whole),
        Action::Instruction(_) => {}
    }
}

fn put_head(out: &mut Vec<u8>, kind: u16, length: u16) {
    out.put_u16(kind);
    out.put_u16(length);
}

fn put_nicira(out: &mut Vec<u8>, subtype: u16, length: u16) {
    put_head(out, EXPERIMENTER, length);
    out.put_u32(NICIRA);
    out.put_u16(subtype);
}

fn put_output(out: &mut Vec<u8>, ofport: u32) {
    put_head(out, OUTPUT, 16);
    out.put_u32(ofport);
    out.put_zeros(8);
}

/// Offset and width of a load into a field of so many bits.
fn whole_field(bits: u16) -> u16 {
    bits - 1
}

/// The value of a whole action, if it is modelled.
fn known(action: &[u8]) -> Result<Option<Action>, Malformed> {
    let mut cursor = Cursor::new(action, "action");
    let kind = cursor.u16()?;
    let length = cursor.u16()?;
    match (kind, length) {
        (OUTPUT, 16) => Ok(match cursor.u32()? {
            port::IN_PORT => Some(Action::InPort),
            port::CONTROLLER => None,
            ofport => Some(Action::Output(ofport)),
        }),
        (PUSH_VLAN, 8) => Ok((cursor.u16()? == ETHERTYPE_VLAN).then_some(Action::PushVlan)),
        (POP_VLAN, 8) => Ok(Some(Action::PopVlan)),
        (SET_FIELD, _) => set_field(cursor),
        (EXPERIMENTER, _) => nicira(cursor, action),
        _ => Ok(None),
    }
}

fn set_field(mut cursor: Cursor<'_>) -> Result<Option<Action>, Malformed> {
    let header = cursor.u32()?;
    if let Some(number) = oxm::register_number(header) {
        return Ok(Some(Action::SetRegister(number, cursor.u32()?)));
    }
    Ok(match header {
        VLAN_VID => {
            Some(cursor.u16()?).filter(|vid| vid & !0x0fff == VLAN_PRESENT).map(|vid| Action::SetVlan(vid & 0x0fff))
        }
        NXM_VLAN_TCI => Some(Action::SetVlanTci(cursor.u16()?)),
        _ => None,
    })
}

fn nicira(mut cursor: Cursor<'_>, whole: &[u8]) -> Result<Option<Action>, Malformed> {
    if cursor.u32()? != NICIRA {
        return Ok(None);
    }
    match cursor.u16()? {
        REG_LOAD => load(cursor),
        RESUBMIT_TABLE => {
            let in_port = cursor.u16()?;
            let table = cursor.u8()?;
            Ok((in_port == IN_PORT_16).then_some(Action::Resubmit { table }))
        }
        subtype @ (LEARN | LEARN2) => {
            let learned = learn::take_learn(cursor, subtype).map(Action::Learn);
            // Flags and fields that are not modelled: only what we would write ourselves is read as ours.
            Ok(learned.filter(|action| {
                let mut again = Vec::with_capacity(whole.len());
                put_action(&mut again, action);
                again == whole
            }))
        }
        _ => Ok(None),
    }
}

fn load(mut cursor: Cursor<'_>) -> Result<Option<Action>, Malformed> {
    let place = cursor.u16()?;
    let header = cursor.u32()?;
    let value = cursor.u64()?;
    Ok(match (header, u32::try_from(value), u16::try_from(value)) {
        (NXM_VLAN_TCI, _, Ok(tci)) if place == whole_field(16) => Some(Action::SetVlanTci(tci)),
        (_, Ok(value), _) if place == whole_field(32) => {
            oxm::register_number(header).map(|number| Action::SetRegister(number, value))
        }
        _ => None,
    })
}
