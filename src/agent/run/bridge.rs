//! A connection to a bridge that is opened again and again. EDGE.
//!
//! In: the socket, and whether a connection is wanted. Out: [`BridgeEvent`]s in a channel. Touches the socket and the timer.

use std::path::PathBuf;

use tokio::sync::{mpsc, watch};
use tokio::time::sleep;

use crate::agent::backoff::Backoff;
use crate::agent::openflow::connection::{Connection, Times};

/// What became of the connection.
pub(super) enum BridgeEvent {
    /// It is there.
    Opened(Connection),
    /// It is not; why.
    Closed(String),
}

/// Runs until nobody listens. The end of a connection is how a restart of ovs-vswitchd is noticed: it is opened again at once.
pub(super) async fn keep(path: PathBuf, mut wanted: watch::Receiver<bool>, events: mpsc::Sender<BridgeEvent>) {
    let mut failures = 0;
    loop {
        if wanted.wait_for(|wanted| *wanted).await.is_err() {
            return;
        }
        let error = match Connection::open(&path, Times::default()).await {
            Ok((connection, _ports)) => {
                failures = 0;
                if events.send(BridgeEvent::Opened(connection.clone())).await.is_err() {
                    return;
                }
                tokio::select! {
                    () = connection.closed() => {}
                    unwanted = wanted.wait_for(|wanted| !*wanted) => if unwanted.is_err() { return },
                }
                "the connection to the bridge has ended; is ovs-vswitchd running?".to_owned()
            }
            Err(error) => error.to_string(),
        };
        if events.send(BridgeEvent::Closed(error)).await.is_err() {
            return;
        }
        failures += 1;
        sleep(Backoff::LOCAL.after(failures)).await;
    }
}
