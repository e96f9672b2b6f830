//! The side of `dpu-agent` that faces objects: watches, folders, status, CRDs. An API server of a few lines stands in for the
//! real one, which `tests/e2e` has.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests use files and the environment, and end where they fail"
)]

mod cluster;
mod crds;
mod folder;
mod server;
mod writer;

use std::time::Duration;

use dpu_render::agent::sources::Given;
use tokio::sync::watch;

/// Waits until what is given is as it must be; says what it is where it never is.
async fn until(given: &mut watch::Receiver<Given>, what: &str, is: impl Fn(&Given) -> bool) {
    let waited = tokio::time::timeout(Duration::from_secs(10), given.wait_for(|given| is(given))).await;
    let timely = waited.is_ok();
    drop(waited);
    assert!(timely, "{what}: {:#?}", given.borrow());
}

/// Names of the interfaces.
fn names(given: &Given) -> Vec<&str> {
    given.snapshot.interfaces.iter().map(|one| one.meta.key.name.as_str()).collect()
}
