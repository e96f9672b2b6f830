//! OpenFlow 1.4 with the extensions of Open vSwitch, as far as a bridge's `.mgmt` socket needs it.
//!
//! In: [`crate::agent::flow`] values and bytes of a switch. Out: bytes for the switch and [`Message`]s. PURE but for [`connection`].
//! The layouts are those of the OpenFlow 1.4.0 specification, and of `nicira-ext.h` for the extensions.

mod action;
pub mod connection;
mod error;
mod framing;
mod learn;
mod message;
mod oxm;
mod request;
pub mod session;
#[cfg(test)]
mod tests;
mod wire;

pub use error::SwitchError;
pub use framing::{Frame, Framing};
pub use message::{Features, FlowEntry, FlowUpdate, Hello, Message, PortDescription, PortReason, PortStatistics};
pub use request::{FlowFilter, FlowMod, TooLong};
pub use wire::Malformed;

/// The version byte of OpenFlow 1.4.
pub const VERSION: u8 = 5;

/// The name of a version byte.
#[must_use]
pub fn version_name(version: u8) -> String {
    match version {
        1 => "1.0".to_owned(),
        2..=6 => format!("1.{}", version - 1),
        other => format!("version byte {other}"),
    }
}
