//! The ports of cards, as the system names its devices. PURE.
//!
//! In: the network devices of the system that stand for a function of a card, and which function is meant. Out: the name of the
//! one device; why there is none.
//!
//! The system says of such a device which function it is (`phys_port_name`, as the kernel's `devlink` makes it: `c1pf0vf3` is VF 3
//! of PF 0 of the controller 1, `pf0vf3` of the card's own), and below which PCI device it is.

use super::api::Nic;
use super::desired::Problem;

/// PCI device identifiers of the functions that DPF takes for those of a DPU (v26.8).
const DPUS: [u16; 3] = [0xa2d6, 0xa2dc, 0xa2df];

/// A network device that stands for a port or a function of a card.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Device {
    /// Its name.
    pub name: String,
    /// `phys_port_name`.
    pub function: String,
    /// Address of the PCI device it is of.
    pub address: String,
    /// Identifier of that PCI device.
    pub device: u16,
}

/// A function of a host.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Function {
    /// Number of the port of the card.
    pub pf: u8,
    /// Number of the virtual function; none is the physical one.
    pub vf: Option<u16>,
}

/// The device that stands for a function.
///
/// # Errors
/// There is none, or there are several.
pub fn find<'d>(devices: &'d [Device], nic: &Nic, function: Function) -> Result<&'d str, Problem> {
    let name = name(nic.controller, function);
    let of_card = |one: &&Device| match &nic.pci {
        Some(address) => card(&one.address) == card(address),
        None => DPUS.contains(&one.device),
    };
    let found: Vec<&Device> = devices.iter().filter(|one| one.function == name).filter(of_card).collect();
    let of = match &nic.pci {
        Some(address) => format!("the card with {address}"),
        None => "a DPU".to_owned(),
    };
    match &found[..] {
        [one] => Ok(&one.name),
        [] => Err(Problem::new("DeviceMissing", format!("no device stands for `{name}` of {of}"))),
        many => {
            let names: Vec<&str> = many.iter().map(|one| one.name.as_str()).collect();
            let message = format!(
                "several devices stand for `{name}` of {of}: {}; name one card by pci.address",
                names.join(", ")
            );
            Err(Problem::new("InterfaceAmbiguous", message))
        }
    }
}

fn name(controller: u8, Function { pf, vf }: Function) -> String {
    let controller = if controller == 0 { String::new() } else { format!("c{controller}") };
    let vf = vf.map_or_else(String::new, |vf| format!("vf{vf}"));
    format!("{controller}pf{pf}{vf}")
}

/// The ports of a card are functions of one PCI device.
fn card(address: &str) -> &str {
    address.rsplit_once('.').map_or(address, |(card, _)| card)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(name: &str, function: &str, address: &str, device: u16) -> Device {
        Device { name: name.to_owned(), function: function.to_owned(), address: address.to_owned(), device }
    }

    fn found(controller: u8, pci: Option<&str>, vf: Option<u16>) -> Result<String, &'static str> {
        let devices = [
            device("p0", "p0", "0000:03:00.0", 0xa2dc),
            device("pf0hpf", "c1pf0", "0000:03:00.0", 0xa2dc),
            device("pf0vf3", "c1pf0vf3", "0000:03:00.1", 0xa2dc),
            device("own3", "pf0vf3", "0000:03:00.0", 0xa2dc),
            device("second", "c2pf0", "0000:03:00.0", 0xa2dc),
            device("nic3", "c1pf0vf3", "0001:04:00.0", 0x1021),
            device("other0", "c1pf0vf0", "0002:03:00.0", 0xa2dc),
            device("one0", "c1pf0vf0", "0000:03:00.0", 0xa2dc),
        ];
        let nic = Nic { controller, pci: pci.map(str::to_owned) };
        find(&devices, &nic, Function { pf: 0, vf }).map(str::to_owned).map_err(|problem| problem.reason)
    }

    #[test]
    fn a_function_is_one_device() {
        let name = |name: &str| Ok(name.to_owned());
        assert_eq!(found(1, None, None), name("pf0hpf"));
        assert_eq!(found(2, None, None), name("second"));
        assert_eq!(found(0, None, Some(3)), name("own3"));
        assert_eq!(found(1, None, Some(3)), name("pf0vf3"), "the other card is no DPU");
        // Any port of the card names it.
        assert_eq!(found(1, Some("0000:03:00.0"), Some(3)), name("pf0vf3"));
        assert_eq!(found(1, Some("0001:04:00.1"), Some(3)), name("nic3"));
        assert_eq!(found(1, None, Some(0)), Err("InterfaceAmbiguous"));
        assert_eq!(found(1, Some("0002:03:00.0"), Some(0)), name("other0"));
        assert_eq!(found(3, None, None), Err("DeviceMissing"));
    }
}
