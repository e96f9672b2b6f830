//! The switch's own counters, at the moment of asking. PURE.
//!
//! In: the bridge's flows of ours and the counters of its ports, as they were read. Out: [`Live`].
//!
//! The switch counts by flow, and a flow takes its count along when it goes: with a change of its chain, with every address that
//! is forgotten. A sum over flows would fall then, and who computes rates would see the rest counted again. So [`Traffic`] adds
//! up what each flow has grown by since it was read last. Only flows that take a packet in are counted, by which every packet of
//! a chain goes once.

use std::collections::BTreeMap;

use crate::agent::flow::{Flow, Match};
use crate::agent::flows;
use crate::agent::openflow::{FlowEntry, PortStatistics};

/// One reading of the switch.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Live {
    /// By ofport.
    pub ports: BTreeMap<u32, PortStatistics>,
    /// By cookie.
    pub chains: BTreeMap<u64, LiveChain>,
}

/// The flows of one chain, and what went through it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct LiveChain {
    /// Of the flows that must be there, those that are.
    pub installed: usize,
    /// Flows that the switch has made of what it saw.
    pub learned: usize,
    /// Packets that came in by a port of the chain, from what its flows had counted when they were read first.
    pub packets: u64,
    /// Bytes of these.
    pub bytes: u64,
}

/// Which flow of a bridge: cookie, priority and match, in the table that ports come in by.
type Which = (u64, u16, Match);
/// Packets and bytes.
type Counted = (u64, u64);

/// What went through each chain, whatever becomes of its flows.
#[derive(Debug, Default)]
pub struct Traffic {
    last: BTreeMap<Which, Counted>,
    sums: BTreeMap<u64, Counted>,
}

impl Traffic {
    /// Takes a reading. `wanted`: the flows that must be there, sorted, of the chains with these cookies.
    pub fn read(
        &mut self,
        entries: Vec<FlowEntry>,
        ports: Vec<PortStatistics>,
        wanted: &[Flow],
        cookies: impl Iterator<Item = u64>,
    ) -> Live {
        let mut chains: BTreeMap<u64, LiveChain> = cookies.map(|cookie| (cookie, LiveChain::default())).collect();
        let mut now = BTreeMap::new();
        for FlowEntry { flow, counters } in entries {
            let Some(chain) = chains.get_mut(&flow.cookie) else { continue };
            chain.installed += usize::from(wanted.binary_search(&flow).is_ok());
            chain.learned += usize::from(flow.idle_timeout != 0);
            if flow.table == flows::IN {
                now.insert((flow.cookie, flow.priority, flow.matches), (counters.packets, counters.bytes));
            }
        }
        for (which, counted) in &now {
            let before = self.last.get(which).copied().unwrap_or_default();
            // One that counts fewer packets than it did is a new one in the same place.
            let before = if counted.0 < before.0 { (0, 0) } else { before };
            let sum = self.sums.entry(which.0).or_default();
            sum.0 = sum.0.saturating_add(counted.0 - before.0);
            sum.1 = sum.1.saturating_add(counted.1.saturating_sub(before.1));
        }
        self.last = now;
        self.sums.retain(|cookie, _| chains.contains_key(cookie));
        for (cookie, chain) in &mut chains {
            (chain.packets, chain.bytes) = self.sums.get(cookie).copied().unwrap_or_default();
        }
        Live { ports: ports.into_iter().map(|port| (port.ofport, port)).collect(), chains }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::flow::FlowCounters;

    fn flow(table: u8, port: u32, idle_timeout: u16) -> Flow {
        let matches = Match { in_port: Some(port), ..Match::default() };
        Flow { table, cookie: 7, idle_timeout, matches, ..Flow::default() }
    }

    fn entry(flow: Flow, packets: u64) -> FlowEntry {
        FlowEntry { flow, counters: FlowCounters { packets, bytes: packets * 100, age_ms: 0 } }
    }

    fn packets(traffic: &mut Traffic, entries: &[FlowEntry]) -> u64 {
        let live = traffic.read(entries.to_vec(), Vec::new(), &[], [7].into_iter());
        assert_eq!(live.chains[&7].bytes, live.chains[&7].packets * 100);
        live.chains[&7].packets
    }

    #[test]
    fn what_went_through_a_chain_never_gets_less() {
        let mut traffic = Traffic::default();
        let (one, two) = (flow(0, 1, 0), flow(0, 2, 0));
        assert_eq!(packets(&mut traffic, &[entry(one.clone(), 10), entry(two.clone(), 5)]), 15);
        // Flows that go, that come, and that are counted in the table of addresses a second time.
        assert_eq!(packets(&mut traffic, &[entry(one.clone(), 11)]), 16);
        assert_eq!(packets(&mut traffic, &[entry(one.clone(), 11), entry(two, 2), entry(flow(1, 1, 10), 50)]), 18);
        // The switch has begun anew.
        assert_eq!(packets(&mut traffic, &[]), 18);
        assert_eq!(packets(&mut traffic, &[entry(one.clone(), 1)]), 19);
        assert_eq!(packets(&mut traffic, &[entry(one.clone(), 4)]), 22);
        // The same flow was put there again.
        assert_eq!(packets(&mut traffic, &[entry(one, 1)]), 23);
    }

    #[test]
    fn flows_are_told_apart_and_chains_that_are_gone_forgotten() {
        let mut traffic = Traffic::default();
        let wanted = [flow(0, 1, 0), flow(0, 2, 0)];
        let there = vec![entry(flow(0, 1, 0), 1), entry(flow(0, 9, 0), 1), entry(flow(1, 1, 10), 1)];
        let port = PortStatistics { ofport: 4, rx_bytes: 8, ..PortStatistics::default() };
        let live = traffic.read(there.clone(), vec![port], &wanted, [7, 8].into_iter());
        assert_eq!((live.chains[&7].installed, live.chains[&7].learned), (1, 1));
        assert_eq!((live.chains[&8], live.ports[&4]), (LiveChain::default(), port));
        assert!(traffic.read(there, Vec::new(), &wanted, [8].into_iter()).chains.contains_key(&8));
        assert!(traffic.sums.is_empty() && traffic.last.is_empty(), "{traffic:?}");
    }
}
