//! EDGE: one look at the objects and at the switch; nothing is changed.

use std::path::Path;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use super::{Failure, SwitchArgs, event_loop, say};
use crate::agent::observed::{MONITORED, Observed};
use crate::agent::openflow::connection::{Connection, Error, Times as FlowTimes};
use crate::agent::openflow::{FlowEntry, FlowFilter, PortStatistics};
use crate::agent::ovsdb::connection::{Client, Times};
use crate::agent::ovsdb::session::Interest;
use crate::agent::sources::files::Shelf;
use crate::agent::sources::{Given, cluster, devices};
use crate::cli::fs::Disk;

/// How long the database and the API server may take to tell what they have.
const WITHIN: Duration = Duration::from_secs(5);

/// The switch at one moment, with its counters.
pub(super) struct Look {
    pub(super) observed: Observed,
    /// Flows of the bridge of the chains.
    pub(super) flows: Vec<FlowEntry>,
    /// Counters of its ports.
    pub(super) ports: Vec<PortStatistics>,
}

/// The objects, of a folder or of the API server, and the switch.
pub(super) fn both(args: &SwitchArgs, from: Option<&Path>) -> Result<(Given, Look), Failure> {
    event_loop()?.block_on(async { Ok((objects(args, from).await?, switch(args).await?)) })
}

/// The objects of a folder.
pub(super) fn folder(args: &SwitchArgs, from: &Path) -> Result<Given, Failure> {
    let disk = Disk::open(from).map_err(|error| Failure::File { path: from.to_owned(), why: error.to_string() })?;
    let given = Shelf::new(&args.node, args.sets).read(&disk);
    for (place, problem) in &given.problems {
        say(&format!("warning: {place}: {problem}\n"));
    }
    match given.complete {
        true => Ok(devices::with(given, &args.sysfs)),
        false => Err(Failure::Usage(format!("the folder `{}` cannot be listed", from.display()))),
    }
}

/// The objects of a folder, or without one of the API server.
async fn objects(args: &SwitchArgs, from: Option<&Path>) -> Result<Given, Failure> {
    if let Some(from) = from {
        return folder(args, from);
    }
    let none = |error| {
        Failure::Usage(format!("no API server: {error}; set KUBECONFIG, or take objects from a folder with --objects"))
    };
    let client = kube::Client::try_default().await.map_err(none)?;
    let (sender, mut given) = watch::channel(Given::default());
    let reading = tokio::spawn(cluster::run(client, cluster::Watched::new(&args.node, args.sets), sender));
    let complete = matches!(timeout(WITHIN, given.wait_for(|given| given.complete)).await, Ok(Ok(_)));
    let last = given.borrow().clone();
    let found = if complete {
        Ok(devices::with(last, &args.sysfs))
    } else {
        let problems: Vec<String> = last.problems.iter().map(|(kind, problem)| format!("{kind}: {problem}")).collect();
        Err(Failure::Usage(format!("the API server does not answer: {}", problems.join("; "))))
    };
    reading.abort();
    found
}

/// The switch as it is; nothing is asked of it but to tell.
pub(super) async fn switch(args: &SwitchArgs) -> Result<Look, Failure> {
    let interest = Interest { tables: MONITORED, lock: None };
    let client = Client::start(args.server()?, interest, Times::suited_to(&args.ovsdb));
    let mut views = client.views();
    let known = timeout(WITHIN, views.wait_for(|view| view.connected)).await;
    let cache = match known {
        Ok(Ok(view)) => view.cache.clone(),
        _ => {
            let error = client.views().borrow().error.clone();
            return Err(Failure::Switch(error.unwrap_or_else(|| "the database does not answer".to_owned())));
        }
    };
    let mut look = Look { observed: Observed::of(&cache, [].into()), flows: Vec::new(), ports: Vec::new() };
    if look.observed.bridges.contains_key(&args.bridge) {
        let path = args.ovs_rundir.join(format!("{}.mgmt", args.bridge));
        let failure = |error: Error| Failure::Switch(error.to_string());
        let (connection, _ports) = Connection::open(&path, FlowTimes::default()).await.map_err(failure)?;
        look.flows = connection.flows(FlowFilter::default()).await.map_err(failure)?;
        look.ports = connection.port_statistics(None).await.map_err(failure)?;
        let numbers =
            connection.ports().await.map_err(failure)?.into_iter().map(|port| (port.ofport, port.name)).collect();
        look.observed.numbers.insert(args.bridge.clone(), numbers);
        let mut flows: Vec<_> = look.flows.iter().map(|entry| entry.flow.clone()).collect();
        flows.sort();
        look.observed.flows.insert(args.bridge.clone(), Some(flows));
    }
    Ok(look)
}
