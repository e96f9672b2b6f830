//! Whether a patch leads to its other end. PURE.
//!
//! In: what is desired, what is there. Out: what is wrong with a patch, as its rows have it, and [`PortChange`]s that link those of
//! ours anew that need it.
//!
//! The switch's own word is not enough (ovs-vswitchd 3.1, `vswitchd/bridge.c`). It clears the error of every interface when it acts
//! on the database, and says that of a patch again only when a port has changed: an error may be missing. It clears only what it
//! knows of: an error that it is writing at that moment stays, on a patch that is whole. And where an end went from one bridge and
//! came to another before it looked, it leads a patch to the old one, and then nowhere. A patch with an error and rows that are
//! whole is one of the last two; under a new number it is linked anew, which heals either.

use super::ports::{Numbers, owner};
use super::{Columns, PortChange};
use crate::agent::desired::{Desired, Settings};
use crate::agent::observed::{self, Observed};

/// Why a patch cannot lead anywhere, in words. Nothing for interfaces that are none.
#[must_use]
pub fn broken(observed: &Observed, name: &str) -> Option<String> {
    let near = observed.interfaces.get(name).filter(|one| one.kind == "patch")?;
    let Some(peer) = near.options.get("peer") else {
        return Some("it is said nowhere what its other end is".to_owned());
    };
    let Some(far) = observed.interfaces.get(peer) else {
        return Some(format!("there is no port `{peer}`, which is its other end"));
    };
    match far.options.get("peer").filter(|_| far.kind == "patch") {
        None => return Some(format!("`{peer}`, which is its other end, is no patch")),
        Some(back) if back != name => return Some(format!("`{peer}`, which is its other end, leads to `{back}`")),
        Some(_) => {}
    }
    if far.ofport.is_some_and(|number| number < 0) {
        return Some(format!("the switch cannot make `{peer}`, which is its other end"));
    }
    let ((here, of_here), (there, of_there)) = (place(observed, near)?, place(observed, far)?);
    (of_here != of_there).then(|| {
        format!("`{peer}`, which is its other end, is on `{there}` of the datapath `{of_there}`, and `{here}` is of `{of_here}`")
    })
}

/// What links those patches of ours anew that the switch has something against although their rows are whole.
pub(super) fn relink(desired: &Desired, observed: &Observed, settings: &Settings) -> Vec<PortChange> {
    let is_doubted = |name: &&String| {
        let here = observed.ports.get(*name).is_some_and(|port| port.bridge == settings.bridge);
        let is = |one: &observed::Interface| {
            let said = one.error.as_ref().is_some_and(|error| !error.is_empty());
            one.kind == "patch" && said && one.ofport.is_some_and(|number| number > 0)
        };
        here && observed.interfaces.get(*name).is_some_and(is)
            && owner(observed, name).is_some()
            && broken(observed, name).is_none()
    };
    let doubted: Vec<&String> = desired.ports.keys().filter(is_doubted).collect();
    if doubted.is_empty() {
        return Vec::new();
    }
    let mut numbers = Numbers::of(observed);
    let renumber = |name: &String| {
        let columns = Columns { number: Some(numbers.free(&settings.bridge, name)), ..Columns::default() };
        PortChange::Update { name: name.clone(), columns }
    };
    doubted.into_iter().map(renumber).collect()
}

/// The bridge of an interface and the kind of its datapath: a patch leads from a bridge to another of its kind.
fn place<'o>(observed: &'o Observed, interface: &observed::Interface) -> Option<(&'o str, &'o str)> {
    let bridge = &observed.ports.get(&interface.port)?.bridge;
    let kind = &*observed.bridges.get(bridge)?.datapath_type;
    Some((bridge, if kind.is_empty() { "system" } else { kind }))
}
