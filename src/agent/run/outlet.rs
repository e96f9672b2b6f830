//! Where status, Events and finalizers go. EDGE.
//!
//! In: status, [`Step`]s, [`Happening`]s. Out: files of a folder, or what an API server is told. Touches that folder or API server.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};
use kube::Client;
use tokio::sync::{mpsc, watch};
use tokio::time::sleep;

use super::{Failure, Place};
use crate::agent::api::Key;
use crate::agent::backoff::Backoff;
use crate::agent::crd::node::{NodeStatus, Trouble};
use crate::agent::desired::Snapshot;
use crate::agent::writer::cluster::{self, Writer};
use crate::agent::writer::documents::{Document, documents};
use crate::agent::writer::events::{Events, Happening};
use crate::agent::writer::finalizers::Step;
use crate::agent::writer::folder::Folder;

/// Problems of writing, by place.
type Problems = BTreeMap<String, String>;

/// How long the status of before is waited for at the beginning.
const BEFORE_WITHIN: Duration = Duration::from_secs(2);
/// Steps that are taken at a time: ports wait for those of their interfaces, and a card may begin with hundreds.
const AT_ONCE: usize = 8;
/// Between tries of a step that the API server refuses.
const STEPS: Backoff = Backoff { first: Duration::from_secs(1), most: Duration::from_secs(60) };

enum To {
    Nowhere,
    Folder(Folder),
    Cluster {
        client: Client,
        documents: watch::Sender<Arc<Vec<Document>>>,
        happenings: mpsc::Sender<Happening>,
        steps: watch::Sender<Vec<Step>>,
    },
}

/// Takes what is to be told.
pub(super) struct Outlet {
    node: String,
    to: To,
    problems: watch::Receiver<Problems>,
    step_problems: watch::Receiver<Problems>,
    own_problems: Problems,
    /// Entries whose port is gone, since when.
    released: BTreeMap<Key, String>,
    due: Vec<Step>,
}

impl Outlet {
    /// Opens it; what it said is looked at anew every `audit`. Gives the status of before, which times of transition go on from.
    pub(super) async fn open(
        place: &Place,
        node: &str,
        audit: Duration,
    ) -> Result<(Self, Option<NodeStatus>), Failure> {
        let (problems_sender, problems) = watch::channel(Problems::new());
        let (steps_sender, step_problems) = watch::channel(Problems::new());
        let (to, before) = match place {
            Place::Folder { status: None, .. } => (To::Nowhere, None),
            Place::Folder { status: Some(path), .. } => {
                let opened = Folder::open(path).map_err(|source| Failure::Status { path: path.clone(), source });
                let mut folder = opened?;
                let before = folder.before(node);
                (To::Folder(folder), before)
            }
            Place::Cluster => {
                let client = Client::try_default().await.map_err(|error| Failure::Config(error.to_string()))?;
                let writer = Writer::new(client.clone(), node);
                let before = tokio::time::timeout(BEFORE_WITHIN, writer.before()).await;
                let (documents, written) = watch::channel(Arc::default());
                tokio::spawn(cluster::run(writer, written, problems_sender, audit));
                let (happenings, told) = mpsc::channel(64);
                tokio::spawn(tell(Events::new(client.clone(), node), told));
                let (steps, due) = watch::channel(Vec::new());
                tokio::spawn(walk(Writer::new(client.clone(), node), due, steps_sender));
                (To::Cluster { client, documents, happenings, steps }, before.ok().and_then(Result::ok).flatten())
            }
        };
        let (own_problems, released) = (Problems::new(), BTreeMap::new());
        let node = node.to_owned();
        Ok((Self { node, to, problems, step_problems, own_problems, released, due: Vec::new() }, before))
    }

    /// The API server, where there is one.
    pub(super) fn client(&self) -> Option<Client> {
        match &self.to {
            To::Cluster { client, .. } => Some(client.clone()),
            _ => None,
        }
    }

    /// Waits until something else is refused.
    pub(super) async fn changed(&mut self) {
        tokio::select! {
            Ok(()) = self.problems.changed() => {}
            Ok(()) = self.step_problems.changed() => {}
            else => std::future::pending().await,
        }
    }

    /// What cannot be told.
    pub(super) fn troubles(&self) -> Vec<Trouble> {
        let all = [&*self.problems.borrow(), &*self.step_problems.borrow(), &self.own_problems];
        let trouble = |(place, message): (&String, &String)| Trouble { place: place.clone(), message: message.clone() };
        all.into_iter().flatten().map(trouble).collect()
    }

    /// Says how things are.
    pub(super) fn write(&mut self, status: &NodeStatus, snapshot: &Snapshot, now: &str) {
        let mut released = BTreeMap::new();
        for step in &self.due {
            if let Step::Release(key) = step {
                let since = self.released.get(key).map_or(now, String::as_str).to_owned();
                released.insert(key.clone(), since);
            }
        }
        self.released = released;
        let in_folder = matches!(self.to, To::Folder(_));
        let documents = documents(&self.node, status, snapshot, &self.released, in_folder);
        match &mut self.to {
            To::Nowhere => {}
            To::Folder(folder) => {
                self.own_problems = match folder.write(&documents) {
                    Ok(_) => Problems::new(),
                    Err(error) => [("status".to_owned(), error.to_string())].into(),
                };
            }
            To::Cluster { documents: sender, .. } => drop(sender.send(Arc::new(documents))),
        }
    }

    /// Takes these steps, and no others any more.
    pub(super) fn take_steps(&mut self, due: Vec<Step>) {
        if let To::Cluster { steps, .. } = &self.to {
            drop(steps.send(due.clone()));
        }
        self.due = due;
    }

    /// Tells people.
    pub(super) fn tell(&self, happening: Happening) {
        if let To::Cluster { happenings, .. } = &self.to {
            // Who does not listen fast enough has heard enough.
            let _ = happenings.try_send(happening);
        }
    }
}

async fn tell(mut events: Events, mut told: mpsc::Receiver<Happening>) {
    while let Some(happening) = told.recv().await {
        // An Event that is lost is no harm: the status says the same.
        let _ = events.say(&happening).await;
    }
}

/// Takes a step; what is refused, and why.
async fn taken(writer: &Writer, step: Step) -> Option<(String, String)> {
    let problem = writer.take(&step).await.err()?;
    Some((step.to_string(), problem))
}

/// Takes the latest steps until each is taken.
async fn walk(writer: Writer, mut due: watch::Receiver<Vec<Step>>, problems: watch::Sender<Problems>) {
    let mut failures = 0;
    while due.changed().await.is_ok() {
        loop {
            let steps = due.borrow_and_update().clone();
            let refused: Problems = stream::iter(steps)
                .map(|step| taken(&writer, step))
                .buffer_unordered(AT_ONCE)
                .filter_map(std::future::ready)
                .collect()
                .await;
            let well = refused.is_empty();
            problems.send_if_modified(|known| std::mem::replace(known, refused.clone()) != refused);
            if well {
                failures = 0;
                break;
            }
            failures += 1;
            tokio::select! {
                () = sleep(STEPS.after(failures)) => {}
                more = due.changed() => if more.is_err() { return },
            }
        }
    }
}
