//! A connection to a bridge that is opened again and again. EDGE.
//!
//! In: the socket, and whether a connection is wanted. Out: [`BridgeEvent`]s in a channel. Touches the socket and the timer.

use std::path::PathBuf;

use futures_util::FutureExt as _;
use tokio::sync::{mpsc, watch};
use tokio::time::sleep;

use crate::agent::backoff::Backoff;
use crate::agent::observed::Numbers;
use crate::agent::openflow::PortReason;
use crate::agent::openflow::connection::{Connection, Error, PortEvent, PortEvents, Times};

/// What became of the connection.
pub(super) enum BridgeEvent {
    /// It is there.
    Opened(Connection),
    /// These are its ports.
    Ports(Numbers),
    /// Somebody else has changed its flows.
    FlowsChanged,
    /// It is not; why.
    Closed(String),
}

/// Nobody listens.
struct Unheard;

/// Runs until nobody listens. The end of a connection is how a restart of ovs-vswitchd is noticed: it is opened again at once.
pub(super) async fn keep(path: PathBuf, mut wanted: watch::Receiver<bool>, events: mpsc::Sender<BridgeEvent>) {
    let mut failures = 0;
    loop {
        if wanted.wait_for(|wanted| *wanted).await.is_err() {
            return;
        }
        let error = match Connection::open(&path, Times::default()).await {
            Ok((connection, ports)) => {
                failures = 0;
                let served = tokio::select! {
                    served = serve(connection, ports, &events) => served,
                    unwanted = wanted.wait_for(|wanted| !*wanted) => unwanted.map(drop).map_err(|_| Unheard),
                };
                if served.is_err() {
                    return;
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

/// Tells of the ports of a connection until it ends.
async fn serve(
    connection: Connection,
    mut ports: PortEvents,
    events: &mpsc::Sender<BridgeEvent>,
) -> Result<(), Unheard> {
    // Both are asked at once: a switch that begins takes its time for each answer. One that cannot tell of flows is asked for them
    // now and then.
    let (numbers, flows) = tokio::join!(numbers(&connection), connection.watch_flows());
    let (Ok(mut numbers), mut flows) = (numbers, flows.ok()) else { return Ok(()) };
    let tell = async |event| events.send(event).await.map_err(|_| Unheard);
    // The ports first: what they are is known whenever flows are planned.
    tell(BridgeEvent::Ports(numbers.clone())).await?;
    tell(BridgeEvent::Opened(connection)).await?;
    loop {
        let changed = async {
            match &mut flows {
                Some(flows) => flows.next().await,
                None => std::future::pending().await,
            }
        };
        let event = tokio::select! {
            event = ports.next() => event,
            changed = changed => match changed {
                Some(()) => {
                    tell(BridgeEvent::FlowsChanged).await?;
                    continue;
                }
                None => None,
            },
        };
        let Some(event) = event else { return Ok(()) };
        let mut changed = take(&mut numbers, event);
        while let Some(Some(event)) = ports.next().now_or_never() {
            changed |= take(&mut numbers, event);
        }
        if changed {
            tell(BridgeEvent::Ports(numbers.clone())).await?;
        }
    }
}

async fn numbers(connection: &Connection) -> Result<Numbers, Error> {
    let ports = connection.ports().await?;
    Ok(ports.into_iter().map(|port| (port.ofport, port.name)).collect())
}

/// What was told of a port before the list of all was read is in that list, and told again here: the last word is the same.
fn take(numbers: &mut Numbers, PortEvent { reason, port }: PortEvent) -> bool {
    match reason {
        PortReason::Deleted => numbers.remove(&port.ofport).is_some(),
        PortReason::Added | PortReason::Modified => {
            let before = numbers.insert(port.ofport, port.name.clone());
            before.as_ref() != Some(&port.name)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::flow::Mac;
    use crate::agent::openflow::PortDescription;

    #[test]
    fn what_was_told_before_the_list_changes_nothing_in_the_end() {
        let event = |reason, ofport, name: &str| {
            let name = name.to_owned();
            PortEvent {
                reason,
                port: PortDescription { ofport, address: Mac([0; 6]), name, admin_down: false, link_down: false },
            }
        };
        // 2 came, 1 went and came back as another; then the list was read, and 3 came.
        let mut numbers: Numbers = [(1, "other".to_owned()), (2, "two".to_owned())].into();
        let told = [
            event(PortReason::Added, 2, "two"),
            event(PortReason::Deleted, 1, "one"),
            event(PortReason::Added, 1, "other"),
            event(PortReason::Added, 3, "three"),
            event(PortReason::Modified, 3, "three"),
        ];
        let changed: Vec<bool> = told.into_iter().map(|event| take(&mut numbers, event)).collect();
        assert_eq!(changed, [false, true, true, true, false]);
        assert_eq!(numbers, [(1, "other".to_owned()), (2, "two".to_owned()), (3, "three".to_owned())].into());
    }
}
