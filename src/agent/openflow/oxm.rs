//! Matches: `ofp_match` with OpenFlow extensible match fields.
//!
//! In: a [`Match`], or bytes. Out: bytes, or a [`Match`] in which the order of the fields no longer shows. PURE.

use super::wire::{Cursor, Malformed, Put};
use crate::agent::flow::{EthMatch, Mac, Match, Raw, VlanMatch};

/// Headers: class, field, whether a mask follows, length.
pub(super) const IN_PORT: u32 = 0x8000_0004;
pub(super) const ETH_DST: u32 = 0x8000_0606;
pub(super) const ETH_DST_MASKED: u32 = 0x8000_070c;
pub(super) const VLAN_VID: u32 = 0x8000_0c02;
/// Open vSwitch's own forms, which `learn` and loads use.
pub(super) const NXM_IN_PORT: u32 = 0x0000_0002;
pub(super) const NXM_ETH_DST: u32 = 0x0000_0206;
pub(super) const NXM_ETH_SRC: u32 = 0x0000_0406;
pub(super) const NXM_VLAN_TCI: u32 = 0x0000_0802;

/// In `vlan_tci` and `vlan_vid`: there is a tag.
pub(super) const VLAN_PRESENT: u16 = 0x1000;

/// Header of a whole register; there are 16.
pub(super) fn register(number: u8) -> u32 {
    0x0001_0004 | u32::from(number & 0x0f) << 9
}

/// The register that a header is of.
pub(super) fn register_number(header: u32) -> Option<u8> {
    let number = u8::try_from(header >> 9 & 0x7f).ok().filter(|number| *number < 16)?;
    (header == register(number)).then_some(number)
}

/// A tag as `vlan_vid`.
pub(super) fn vlan_bits(vlan: VlanMatch) -> u16 {
    match vlan {
        VlanMatch::Untagged => 0,
        VlanMatch::Tagged(vid) => VLAN_PRESENT | vid & 0x0fff,
    }
}

/// The tag that a `vlan_vid` means.
pub(super) fn vlan_of(bits: u16) -> Option<VlanMatch> {
    match bits {
        0 => Some(VlanMatch::Untagged),
        VLAN_PRESENT..=0x1fff => Some(VlanMatch::Tagged(bits & 0x0fff)),
        _ => None,
    }
}

/// Appends `matches` as `ofp_match`.
pub(super) fn put_match(out: &mut Vec<u8>, matches: &Match) {
    let start = out.len();
    out.put_u16(1);
    out.put_u16(0);
    if let Some(ofport) = matches.in_port {
        out.put_u32(IN_PORT);
        out.put_u32(ofport);
    }
    if let Some(address) = matches.eth_dst {
        let exact = address.mask() == Mac::BROADCAST;
        out.put_u32(if exact { ETH_DST } else { ETH_DST_MASKED });
        out.extend_from_slice(&address.address().0);
        if !exact {
            out.extend_from_slice(&address.mask().0);
        }
    }
    if let Some(vlan) = matches.vlan {
        out.put_u32(VLAN_VID);
        out.put_u16(vlan_bits(vlan));
    }
    for (&number, &value) in &matches.registers {
        out.put_u32(register(number));
        out.put_u32(value);
    }
    for Raw(field) in &matches.other {
        out.extend_from_slice(field);
    }
    out.set_length(start, start + 2);
    out.pad_to_8(start);
}

/// Reads an `ofp_match` and its padding.
pub(super) fn take_match(cursor: &mut Cursor<'_>) -> Result<Match, Malformed> {
    let mut whole = cursor.sized("match", 2, 4)?;
    let length = whole.rest().len();
    cursor.take(length.next_multiple_of(8) - length)?;
    whole.take(4)?;
    let mut matches = Match::default();
    while !whole.is_empty() {
        let field = take_field(&mut whole)?;
        if !set_known(&mut matches, field)? {
            matches.other.push(Raw(field.to_vec()));
        }
    }
    matches.other.sort();
    Ok(matches)
}

/// One field with its header.
pub(super) fn take_field<'a>(cursor: &mut Cursor<'a>) -> Result<&'a [u8], Malformed> {
    let length = Cursor::new(cursor.rest(), "match field").u32()? & 0xff;
    cursor.take(4 + usize::try_from(length).unwrap_or(usize::MAX))
}

/// Sets what `field` says, if it is modelled and not set already.
fn set_known(matches: &mut Match, field: &[u8]) -> Result<bool, Malformed> {
    let mut field = Cursor::new(field, "match field");
    match field.u32()? {
        IN_PORT if matches.in_port.is_none() => matches.in_port = Some(field.u32()?),
        ETH_DST if matches.eth_dst.is_none() => matches.eth_dst = Some(EthMatch::exact(Mac(field.mac()?))),
        ETH_DST_MASKED if matches.eth_dst.is_none() => {
            let address = Mac(field.mac()?);
            matches.eth_dst = Some(EthMatch::masked(address, Mac(field.mac()?)));
        }
        VLAN_VID if matches.vlan.is_none() => {
            matches.vlan = vlan_of(field.u16()?);
            return Ok(matches.vlan.is_some());
        }
        header => match register_number(header) {
            Some(number) if !matches.registers.contains_key(&number) => {
                matches.registers.insert(number, field.u32()?);
            }
            _ => return Ok(false),
        },
    }
    Ok(true)
}
