//! EDGE: the devices of the system, beside the objects that name one by its card.
//!
//! In: [`Given`], a `sysfs`. Out: [`Given`] with the devices, as long as an interface has a `nicSelector`; else as it was. Touches
//! `class/net` of that `sysfs`. The kernel tells nobody of a change there: it is looked at now and then, and only then.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;

use super::Given;
use crate::agent::api::InterfaceKind;
use crate::agent::devices::Device;

/// How often it is looked at.
const EVERY: Duration = Duration::from_secs(2);
/// Devices that are looked at: a card has some hundreds.
const MOST: usize = 16_384;

/// Passes on what is given, with the devices; runs until nobody gives or listens.
pub async fn follow(sysfs: PathBuf, mut given: watch::Receiver<Given>, with_devices: watch::Sender<Given>) {
    loop {
        let now = given.borrow_and_update().clone();
        let looks = needs(&now);
        let now = with(now, &sysfs);
        with_devices.send_if_modified(|before| {
            let same = Arc::ptr_eq(&before.snapshot, &now.snapshot) || before.snapshot == now.snapshot;
            let differs = !same || before.complete != now.complete || before.problems != now.problems;
            *before = now;
            differs
        });
        tokio::select! {
            changed = given.changed() => if changed.is_err() { return },
            () = sleep(EVERY), if looks => {}
            () = with_devices.closed() => return,
        }
    }
}

/// The same with the devices, where they are needed.
#[must_use]
pub fn with(mut given: Given, sysfs: &Path) -> Given {
    if needs(&given) {
        Arc::make_mut(&mut given.snapshot).devices = read(sysfs);
    }
    given
}

fn needs(given: &Given) -> bool {
    let selects = |kind: &InterfaceKind| {
        matches!(kind, InterfaceKind::Pf { nic: Some(_), .. } | InterfaceKind::Vf { nic: Some(_), .. })
    };
    given.snapshot.interfaces.iter().any(|one| one.kind.as_ref().is_ok_and(selects))
}

/// Every device that says which function of a card it stands for, by name. What goes while it is read is not there.
#[expect(clippy::disallowed_methods, reason = "this is an edge that reads the system's devices")]
fn read(sysfs: &Path) -> Vec<Device> {
    let Ok(entries) = fs::read_dir(sysfs.join("class/net")) else { return Vec::new() };
    let device = |path: PathBuf| {
        let text = |name: &str| Some(fs::read_to_string(path.join(name)).ok()?.trim().to_owned());
        let parent = fs::canonicalize(path.join("device")).ok()?;
        Some(Device {
            name: path.file_name()?.to_str()?.to_owned(),
            function: text("phys_port_name").filter(|name| !name.is_empty())?,
            address: parent.file_name()?.to_str()?.to_owned(),
            device: u16::from_str_radix(text("device/device")?.trim_start_matches("0x"), 16).ok()?,
        })
    };
    let mut devices: Vec<Device> = entries.flatten().take(MOST).filter_map(|entry| device(entry.path())).collect();
    devices.sort_by(|one, other| one.name.cmp(&other.name));
    devices
}
