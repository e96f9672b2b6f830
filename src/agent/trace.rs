//! Where a packet goes that enters a switch of a chain by one of its ports. PURE.
//!
//! In: what `ofproto/trace` of ovs-vswitchd says of it (3.1's words), and the ports of the switch. Out: the ports that it leaves
//! by, with their VLAN, beside those that the chain means.

use std::collections::BTreeSet;

use super::flow::Mac;
use super::flows::Member;

/// A packet to a port that nobody has learned of: locally administered addresses of documentation's kind.
pub const SOURCE: Mac = Mac([0x02, 0, 0, 0, 0, 0xfe]);
/// Where it is sent unless a person says otherwise.
pub const DESTINATION: Mac = Mac([0x02, 0, 0, 0, 0, 0xff]);

/// The packet, as `ofproto/trace` reads flows.
#[must_use]
pub fn packet(from: Member, destination: Mac) -> String {
    let vlan = match from.vlan {
        Some(id) => format!("dl_vlan={id}"),
        None => "vlan_tci=0".to_owned(),
    };
    format!("in_port={},{vlan},dl_src={SOURCE},dl_dst={destination}", from.ofport)
}

/// Who may get a packet that comes in by `from`.
#[must_use]
pub fn meant(from: Member, members: &[Member]) -> BTreeSet<Member> {
    members.iter().copied().filter(|member| *member != from).collect()
}

/// The ports that a packet leaves the first bridge by: of what a patch leads to, nothing.
///
/// # Errors
/// A line that is no part of a trace as Open vSwitch 3.1 writes it, where it may say where the packet goes.
pub fn leaves_by(from: Member, trace: &str) -> Result<BTreeSet<Member>, String> {
    let mut out = BTreeSet::new();
    let mut vlan = from.vlan;
    let mut bridges = 0;
    for line in trace.lines() {
        if line.starts_with("bridge(") {
            bridges += 1;
        } else if line.starts_with("Final flow:") {
            return Ok(out);
        }
        // Actions of the first bridge stand below its name, four deep; those of a patch's other end are further in.
        let action = line.strip_prefix("    ").filter(|action| bridges == 1 && !action.starts_with(' '));
        let Some(action) = action else { continue };
        let (verb, rest) = action.split_once([':', '(']).unwrap_or((action, ""));
        match verb {
            "output" => drop(out.insert(Member { ofport: number(rest)?, vlan })),
            "IN_PORT" | "in_port" => drop(out.insert(Member { ofport: from.ofport, vlan })),
            "pop_vlan" | "strip_vlan" => vlan = None,
            "push_vlan" => vlan = Some(0),
            "mod_vlan_vid" | "set_vlan_vid" => vlan = Some(tag(number(rest)?)),
            "set_field" | "load" => {
                let (value, field) = rest.split_once("->").ok_or_else(|| strange(line))?;
                let value = value.split('/').next().unwrap_or(value);
                match field.split('[').next() {
                    Some("vlan_vid" | "OXM_OF_VLAN_VID") => vlan = Some(tag(number(value)?)),
                    Some("vlan_tci" | "NXM_OF_VLAN_TCI") => {
                        vlan = Some(number(value)?).filter(|tci| tci & 0x1000 != 0).map(tag);
                    }
                    _ => {}
                }
            }
            _ => {}
        }
    }
    Err("the trace ends in its middle".to_owned())
}

/// The id of a tag, out of the field that also says that there is one.
fn tag(field: u32) -> u16 {
    u16::try_from(field & 0xfff).unwrap_or_default()
}

fn number(text: &str) -> Result<u32, String> {
    let text = text.trim_end_matches(')').trim();
    let parsed = match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16),
        None => text.parse(),
    };
    parsed.map_err(|_| strange(text))
}

fn strange(text: &str) -> String {
    format!("the trace says `{}`, which is not understood", text.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(ofport: u32, vlan: Option<u16>) -> Member {
        Member { ofport, vlan }
    }

    /// As Open vSwitch 3.1.0 says it.
    const LEARNS: &str = "Flow: in_port=1,dl_vlan=100,dl_vlan_pcp=0,vlan_tci1=0x0000,dl_src=02:00:00:00:00:01,dl_dst=02:00:00:00:00:02,dl_type=0x0000

bridge(\"br-sfc\")
----------------
 0. in_port=1,dl_vlan=100, priority 41
    pop_vlan
    set_field:0x5->reg0
    resubmit(,1)
 1. reg0=0x5, priority 32768
    output:2
    mod_vlan_vid:7
    output:3

Final flow: reg0=0x5,in_port=1,dl_vlan=7,dl_vlan_pcp=0,vlan_tci1=0x0000
Megaflow: recirc_id=0,eth,in_port=1,dl_vlan=100,dl_vlan_pcp=0,dl_type=0x0000
Datapath actions: pop_vlan,3,push_vlan(vid=7,pcp=0),4
";

    #[test]
    fn ports_and_tags_are_read() {
        let out = leaves_by(member(1, Some(100)), LEARNS).unwrap();
        assert_eq!(out, [member(2, None), member(3, Some(7))].into());
    }

    #[test]
    fn what_a_patch_leads_to_is_not_counted() {
        let patched = LEARNS.replace(
            "    output:2\n",
            "    output:2\n\n    bridge(\"br-x\")\n    --------------\n         0. priority 0\n            NORMAL\n",
        );
        assert_eq!(leaves_by(member(1, Some(100)), &patched).unwrap().len(), 2);
    }

    #[test]
    fn a_packet_that_nothing_matches_goes_nowhere() {
        let dropped = "Flow: in_port=2\n\nbridge(\"br-sfc\")\n----------------\n 0. No match.\n    drop\n\nFinal flow: unchanged\n";
        assert_eq!(leaves_by(member(2, None), dropped).unwrap(), BTreeSet::new());
        assert!(leaves_by(member(2, None), "Flow: in_port=2\n").is_err());
    }

    #[test]
    fn a_packet_is_written_with_its_tag() {
        assert_eq!(
            packet(member(1, Some(7)), DESTINATION),
            "in_port=1,dl_vlan=7,dl_src=02:00:00:00:00:fe,dl_dst=02:00:00:00:00:ff"
        );
        assert!(packet(member(1, None), DESTINATION).contains("vlan_tci=0,"));
    }
}
