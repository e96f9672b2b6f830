//! The Open vSwitch database protocol (RFC 7047, with the extensions of ovsdb-server(7)), as far as a client of one database needs it.
//!
//! In: [`Operation`]s and JSON of a server. Out: JSON for the server, a [`Cache`] of what is monitored, and typed answers. PURE but for
//! [`connection`] and [`secure`].

mod cache;
pub mod connection;
mod endpoint;
mod framing;
mod operation;
pub mod secure;
pub mod session;
#[cfg(test)]
mod tests;
mod value;

pub(crate) use cache::column;
pub use cache::{Cache, Row};
pub use endpoint::{Endpoint, InvalidEndpoint};
pub use framing::{Framing, NotJson};
pub use operation::{Condition, Function, Mutation, Mutator, Operation, Outcome, TransactError, Transaction};
pub use value::{Atom, Atoms, InvalidValue, Uuid, Value};

/// The database of Open vSwitch.
pub const DATABASE: &str = "Open_vSwitch";
