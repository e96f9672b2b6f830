//! Where the ports of chains are on the switch. PURE.
//!
//! In: places of interfaces, what is there. Out: [`Found`] or a problem for each, and the switches that they make.

use std::collections::BTreeMap;

use super::ports::owner;
use super::{Found, Plan};
use crate::agent::api::Key;
use crate::agent::desired::{Clock, DPF_ID, Desired, Place, Problem, Settings};
use crate::agent::flows::{Member, Switch};
use crate::agent::observed::{self, Observed};

/// The switch, seen from places.
pub(super) struct View<'v> {
    pub(super) observed: &'v Observed,
    pub(super) settings: &'v Settings,
    pub(super) problems: &'v BTreeMap<String, Problem>,
}

impl View<'_> {
    pub(super) fn find(&self, place: &Place) -> Result<Found, Problem> {
        match place {
            Place::Port(name) => self.port(name, None),
            Place::Vlan(name, id) => self.port(name, Some(*id)),
            Place::Pod(id) => self.port(&self.of_pod(id)?, None),
        }
    }

    /// The port of a pod's interface: its own, or the near end of its patch where it is on another bridge.
    fn of_pod(&self, id: &str) -> Result<String, Problem> {
        let has = |interface: &observed::Interface| interface.external_ids.get(DPF_ID).is_some_and(|there| there == id);
        let found: Vec<&String> =
            self.observed.interfaces.iter().filter(|(_, one)| has(one)).map(|(name, _)| name).collect();
        match found[..] {
            [name] => {
                let bridge = &self.settings.bridge;
                if self.observed.ports.get(name).is_some_and(|port| port.bridge == *bridge) {
                    return Ok(name.clone());
                }
                let patch = format!("p{name}{}", bridge.replace('-', ""));
                match self.observed.ports.contains_key(&patch) {
                    true => Ok(patch),
                    false => {
                        let message =
                            format!("the CNI has not joined `{name}` to `{bridge}`: there is no port `{patch}`");
                        Err(Problem::new("PortNotReady", message))
                    }
                }
            }
            [] => Err(Problem::new("PortNotReady", format!("the CNI has made no port for {id}"))),
            _ => {
                let names: Vec<&str> = found.iter().map(|name| name.as_str()).collect();
                Err(Problem::new(
                    "InterfaceAmbiguous",
                    format!("several ports are marked as {id}: {}", names.join(", ")),
                ))
            }
        }
    }

    fn port(&self, name: &str, vlan: Option<u16>) -> Result<Found, Problem> {
        if let Some(problem) = self.problems.get(name) {
            return Err(problem.clone());
        }
        let bridge = &*self.settings.bridge;
        let Some(port) = self.observed.ports.get(name) else {
            return Err(Problem::new("PortNotReady", format!("the port `{name}` is being made")));
        };
        if port.bridge != bridge {
            let on = &port.bridge;
            let message = format!("the port `{name}` is on the bridge `{on}`, not on `{bridge}`");
            return Err(Problem::new("PortOnOtherBridge", message));
        }
        let interface = self.observed.interfaces.get(name);
        let number = interface.and_then(|interface| interface.ofport);
        if let Some(ofport) = number.and_then(|number| u32::try_from(number).ok()).filter(|number| *number > 0) {
            self.has_number(name, ofport)?;
            let ours = owner(self.observed, name).is_some();
            return Ok(Found { port: name.to_owned(), member: Member { ofport, vlan }, ours });
        }
        let error = interface.and_then(|interface| interface.error.as_deref()).filter(|text| !text.is_empty());
        Err(match error {
            Some(error) if error.contains("No such device") => {
                Problem::new("DeviceMissing", format!("there is no device `{name}`: {error}"))
            }
            Some(error) => Problem::new("DeviceError", format!("the port `{name}`: {error}")),
            None => Problem::new("PortNotReady", format!("the switch has given the port `{name}` no number")),
        })
    }

    /// The database says which number a port has, the switch says which port has a number: while they differ, one of them is late,
    /// and frames for the number might go to another port.
    fn has_number(&self, name: &str, ofport: u32) -> Result<(), Problem> {
        let Some(numbers) = self.observed.numbers.get(&self.settings.bridge) else { return Ok(()) };
        match numbers.get(&ofport) {
            Some(there) if observed::is_cut_of(there, name) => Ok(()),
            Some(there) => {
                let message = format!("the number {ofport} of the port `{name}` is that of `{there}` in the switch");
                Err(Problem::new("PortNotReady", message))
            }
            None => {
                let message = format!("the switch has no port with the number {ofport} of `{name}` yet");
                Err(Problem::new("PortNotReady", message))
            }
        }
    }
}

/// Finds the ports of every chain; what is found makes its switches.
pub(super) fn chains(desired: &Desired, view: &View<'_>, plan: &mut Plan) -> Vec<Switch> {
    let mut switches = Vec::new();
    let mut taken: BTreeMap<Member, &Key> = BTreeMap::new();
    for chain in &desired.chains {
        let Ok(wanted) = &chain.switches else { continue };
        let mut found = Vec::new();
        for (index, switch) in wanted.iter().enumerate() {
            let ports: Vec<Result<Found, Problem>> = switch
                .ports
                .iter()
                .map(|port| {
                    let found = view.find(port.place.as_ref().map_err(Clone::clone)?)?;
                    match taken.get(&found.member) {
                        Some(other) => {
                            let message = format!("the port `{}` is a port of the chain {other} already", found.port);
                            Err(Problem::new("PortInTwoSwitches", message))
                        }
                        None => {
                            taken.insert(found.member, &chain.meta.key);
                            Ok(found)
                        }
                    }
                })
                .collect();
            let members = ports.iter().flatten().map(|found| found.member).collect();
            let are = |clock: Clock| {
                let wanted = switch.ports.iter().zip(&ports).filter(move |(port, _)| port.clock == clock);
                wanted.filter_map(|(_, found)| Some(found.as_ref().ok()?.member)).collect()
            };
            let clocks = (are(Clock::Uplink), are(Clock::Service));
            switches.push(Switch { chain: chain.meta.key.clone(), index, cookie: chain.cookie, members, clocks });
            found.push(ports);
        }
        plan.chains.insert(chain.meta.key.clone(), found);
    }
    switches
}
