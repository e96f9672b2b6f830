//! A flow as a line, close to what `ovs-ofctl dump-flows` prints.
//!
//! In: a flow. Out: text for people; nothing reads it back. PURE.

use std::fmt::{self, Display, Formatter};

use super::{Action, EthMatch, Flow, Learn, LearnLoad, LearnMatch, LearnOutput, Mac, Match, VlanMatch, port};

/// Text between things, not after the last.
struct Separated<'a, 'b> {
    out: &'a mut Formatter<'b>,
    first: bool,
}

impl Separated<'_, '_> {
    fn put(&mut self, thing: fmt::Arguments<'_>) -> fmt::Result {
        if !std::mem::take(&mut self.first) {
            self.out.write_str(",")?;
        }
        self.out.write_fmt(thing)
    }

    fn put_unless_zero(&mut self, name: &str, number: u32) -> fmt::Result {
        if number == 0 { Ok(()) } else { self.put(format_args!("{name}={number}")) }
    }
}

impl Display for Flow {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let mut list = Separated { out, first: true };
        list.put(format_args!("cookie={:#x}", self.cookie))?;
        list.put(format_args!("table={}", self.table))?;
        list.put_unless_zero("idle_timeout", self.idle_timeout.into())?;
        list.put_unless_zero("hard_timeout", self.hard_timeout.into())?;
        if self.flags != 0 {
            list.put(format_args!("flags={:#x}", self.flags))?;
        }
        list.put(format_args!("priority={}", self.priority))?;
        if self.matches != Match::default() {
            list.put(format_args!("{}", self.matches))?;
        }
        out.write_str(" actions=")?;
        if self.actions.is_empty() {
            return out.write_str("drop");
        }
        let mut list = Separated { out, first: true };
        self.actions.iter().try_for_each(|action| list.put(format_args!("{action}")))
    }
}

impl Display for Match {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let mut list = Separated { out, first: true };
        for (register, value) in &self.registers {
            list.put(format_args!("reg{register}={value:#x}"))?;
        }
        if let Some(ofport) = self.in_port {
            list.put(format_args!("in_port={}", PortName(ofport)))?;
        }
        if let Some(vlan) = self.vlan {
            list.put(format_args!("{vlan}"))?;
        }
        if let Some(address) = self.eth_dst {
            list.put(format_args!("dl_dst={address}"))?;
        }
        self.other.iter().try_for_each(|field| list.put(format_args!("oxm({field})")))
    }
}

impl Display for VlanMatch {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Untagged => out.write_str("vlan_tci=0x0000/0x1fff"),
            Self::Tagged(vid) => write!(out, "dl_vlan={vid}"),
        }
    }
}

impl Display for EthMatch {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        if self.mask() == Mac::BROADCAST {
            write!(out, "{}", self.address())
        } else {
            write!(out, "{}/{}", self.address(), self.mask())
        }
    }
}

/// A port number, or the name of a reserved one.
struct PortName(u32);

impl Display for PortName {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            port::NORMAL => out.write_str("NORMAL"),
            port::ALL => out.write_str("ALL"),
            port::LOCAL => out.write_str("LOCAL"),
            number => write!(out, "{number}"),
        }
    }
}

impl Display for Action {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Output(number @ (port::NORMAL | port::ALL | port::LOCAL)) => write!(out, "{}", PortName(*number)),
            Self::Output(ofport) => write!(out, "output:{ofport}"),
            Self::InPort => out.write_str("IN_PORT"),
            Self::PushVlan => out.write_str("push_vlan:0x8100"),
            Self::SetVlan(vid) => write!(out, "set_field:{}->vlan_vid", vid | 0x1000),
            Self::SetVlanTci(tci) => write!(out, "load:{tci:#x}->NXM_OF_VLAN_TCI[]"),
            Self::PopVlan => out.write_str("pop_vlan"),
            Self::SetRegister(register, value) => write!(out, "load:{value:#x}->NXM_NX_REG{register}[]"),
            Self::Resubmit { table } => write!(out, "resubmit(,{table})"),
            Self::Learn(learn) => write!(out, "learn({learn})"),
            Self::Other(raw) => write!(out, "raw({raw})"),
            Self::Instruction(raw) => write!(out, "instruction({raw})"),
        }
    }
}

impl Display for Learn {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let mut list = Separated { out, first: true };
        list.put(format_args!("table={}", self.table))?;
        list.put_unless_zero("idle_timeout", self.idle_timeout.into())?;
        list.put_unless_zero("hard_timeout", self.hard_timeout.into())?;
        list.put(format_args!("priority={}", self.priority))?;
        list.put(format_args!("cookie={:#x}", self.cookie))?;
        list.put_unless_zero("limit", self.limit)?;
        for field in &self.matches {
            match field {
                LearnMatch::InPort(ofport) => list.put(format_args!("in_port={ofport}"))?,
                LearnMatch::EthDstFromEthSrc => list.put(format_args!("NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[]"))?,
                LearnMatch::Vlan(vlan) => list.put(format_args!("{vlan}"))?,
                LearnMatch::Register(register, value) => list.put(format_args!("reg{register}={value:#x}"))?,
                LearnMatch::RegisterCopy(register) => list.put(format_args!("NXM_NX_REG{register}[]"))?,
            }
        }
        for load in &self.loads {
            match load {
                LearnLoad::VlanTci(tci) => list.put(format_args!("load:{tci:#x}->NXM_OF_VLAN_TCI[]"))?,
                LearnLoad::Register(register, value) => {
                    list.put(format_args!("load:{value:#x}->NXM_NX_REG{register}[]"))?
                }
                LearnLoad::RegisterFrom(to, from) => {
                    list.put(format_args!("load:NXM_NX_REG{from}[]->NXM_NX_REG{to}[]"))?
                }
            }
        }
        match self.output {
            None => Ok(()),
            Some(LearnOutput::InPort) => list.put(format_args!("output:NXM_OF_IN_PORT[]")),
            Some(LearnOutput::Register(register)) => list.put(format_args!("output:NXM_NX_REG{register}[]")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flow_reads_as_ovs_ofctl_prints_it() {
        let flow = Flow {
            priority: 20,
            cookie: 0x6209_6e3f_0185_953b,
            matches: Match { vlan: Some(VlanMatch::Tagged(100)), registers: [(1, 5)].into(), ..Match::in_port(1) },
            actions: vec![
                Action::Learn(Learn {
                    idle_timeout: 10,
                    priority: 30,
                    cookie: 0x6209_6e3f_0185_953b,
                    limit: 64,
                    matches: vec![LearnMatch::InPort(2), LearnMatch::EthDstFromEthSrc],
                    loads: vec![LearnLoad::VlanTci(0x1064)],
                    output: Some(LearnOutput::InPort),
                    ..Learn::default()
                }),
                Action::PopVlan,
                Action::Output(2),
                Action::Output(port::NORMAL),
            ],
            ..Flow::default()
        };
        assert_eq!(
            flow.to_string(),
            "cookie=0x62096e3f0185953b,table=0,priority=20,reg1=0x5,in_port=1,dl_vlan=100 \
             actions=learn(table=0,idle_timeout=10,priority=30,cookie=0x62096e3f0185953b,limit=64,in_port=2,\
             NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],load:0x1064->NXM_OF_VLAN_TCI[],output:NXM_OF_IN_PORT[]),\
             pop_vlan,output:2,NORMAL"
        );
        let group = Flow { matches: Match { eth_dst: Some(EthMatch::GROUP), ..Match::default() }, ..Flow::default() };
        assert_eq!(
            group.to_string(),
            "cookie=0x0,table=0,priority=0,dl_dst=01:00:00:00:00:00/01:00:00:00:00:00 actions=drop"
        );
        assert_eq!(Flow::default().to_string(), "cookie=0x0,table=0,priority=0 actions=drop");
    }
}
