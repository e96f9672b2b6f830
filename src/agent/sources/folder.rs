//! EDGE: the objects of the node in a folder, in the place of an API server.
//!
//! In: a folder of YAML and JSON files. Out: [`Given`] in a channel, whenever something became another. Touches the folder, to
//! read it. The system says when a file changes; what cannot be read is read again soon after, since it may be half written.

use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::{RecursiveMode, Watcher as _};
use tokio::sync::{mpsc, watch};
use tokio::time::sleep;

use super::Given;
use super::files::Shelf;
use crate::cli::fs::Disk;

/// What is written in one go is read in one go.
const TOGETHER: Duration = Duration::from_millis(2);
/// The first wait before what could not be read is read again.
const FIRST_WAIT: Duration = Duration::from_millis(100);
/// The longest such wait.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// Watches until nobody listens.
///
/// # Errors
/// Where the system does not tell of changes at all.
pub async fn run(folder: PathBuf, node: &str, sets: bool, given: watch::Sender<Given>) -> Result<(), notify::Error> {
    let (changed, mut changes) = mpsc::unbounded_channel();
    // Reading a file is no change.
    let tell = move |event: notify::Result<notify::Event>| {
        if !event.is_ok_and(|event| event.kind.is_access() && !is_written(event.kind)) {
            let _ = changed.send(());
        }
    };
    let mut watcher = notify::recommended_watcher(tell)?;
    let mut watched = false;
    let mut shelf = Shelf::new(node, sets);
    let mut wait = FIRST_WAIT;
    loop {
        if !watched {
            watched = watcher.watch(&folder, RecursiveMode::Recursive).is_ok();
        }
        let fresh = read(&mut shelf, &folder);
        let well = fresh.problems.is_empty() && watched;
        // A folder that comes back is another one.
        if fresh.problems.contains_key(".") {
            let _ = watcher.unwatch(&folder);
            watched = false;
        }
        given.send_if_modified(|known| {
            let same = known.snapshot == fresh.snapshot
                && (known.complete, &known.problems) == (fresh.complete, &fresh.problems);
            if !same {
                *known = fresh;
            }
            !same
        });
        tokio::select! {
            _ = changes.recv() => {
                sleep(TOGETHER).await;
                while changes.try_recv().is_ok() {}
                wait = FIRST_WAIT;
            }
            () = sleep(wait), if !well => wait = (wait * 2).min(LONGEST_WAIT),
            () = given.closed() => return Ok(()),
        }
    }
}

fn is_written(kind: notify::EventKind) -> bool {
    use notify::event::{AccessKind, AccessMode};
    kind == notify::EventKind::Access(AccessKind::Close(AccessMode::Write))
}

fn read(shelf: &mut Shelf, folder: &Path) -> Given {
    match Disk::open(folder) {
        Ok(disk) => shelf.read(&disk),
        Err(_) => shelf.read(&std::collections::BTreeMap::new()),
    }
}
