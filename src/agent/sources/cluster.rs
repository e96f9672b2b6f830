//! EDGE: the objects of the node, watched in an API server.
//!
//! In: a client, [`Watched`]. Out: [`Given`] in a channel, whenever something of this node became another. Touches the network.
//!
//! Lists, bookmarks, `410 Gone` and connections that end are the business of kube's watcher. What an API server that is away said
//! before still counts. A kind that is not served (yet) is asked for again, less and less often; it is no problem where only some
//! releases have it. Where it is a Set's it is one that stops nothing else: there is no such Set. A kind that may not be read is
//! something else: what is on the switch may be a Set's. Objects of other nodes are dropped as they come: no selector of these
//! releases leaves them out.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, Stream, StreamExt};
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind};
use kube::core::Status;
use kube::runtime::utils::Backoff;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Client, Error};
use serde_json::Value;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::Given;
use super::store::{KINDS, Kind, KindName, Store};
use crate::agent::hash;

/// Objects of a page: those of other nodes are held as long as it is read.
const PAGE: u32 = 32;
/// The first wait after a failure.
const FIRST_WAIT: Duration = Duration::from_millis(200);
/// The longest wait after a failure.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// Without a failure for so long, waits begin again with the first.
const WELL_AFTER: Duration = Duration::from_secs(60);

/// What is watched.
#[derive(Clone, Debug)]
pub struct Watched {
    /// The node.
    pub node: String,
    /// Read Sets, too, and the labels of the node.
    pub sets: bool,
    /// The first wait after a failure; doubled each time, up to 30 s.
    pub first_wait: Duration,
}

impl Watched {
    /// Of this node.
    #[must_use]
    pub fn new(node: &str, sets: bool) -> Self {
        Self { node: node.to_owned(), sets, first_wait: FIRST_WAIT }
    }

    fn kinds(&self) -> impl Iterator<Item = KindName> + '_ {
        let of_sets = |kind| matches!(kind, Kind::InterfaceSet | Kind::ChainSet | Kind::Node);
        KINDS.into_iter().filter(move |name| self.sets || !of_sets(name.kind))
    }
}

/// What a stream of a kind says.
type Said = (KindName, Result<watcher::Event<DynamicObject>, watcher::Error>);

/// Watches until nobody listens.
pub async fn run(client: Client, watched: Watched, given: watch::Sender<Given>) {
    let (answered, mut answers) = mpsc::unbounded_channel();
    let mut events = stream::select_all(watched.kinds().map(|kind| events(&client, &watched, kind, answered.clone())));
    let mut state = State::new(&watched);
    loop {
        let mut changed = tokio::select! {
            said = events.next() => match said {
                Some(said) => state.take(said),
                None => return,
            },
            Some(kind) = answers.recv() => state.answered(kind),
            () = given.closed() => return,
        };
        // What is there already goes into the same snapshot.
        while let Some(Some(said)) = futures_util::FutureExt::now_or_never(events.next()) {
            changed |= state.take(said);
        }
        if changed {
            given.send_replace(state.given());
        }
    }
}

type Events = Pin<Box<dyn Stream<Item = Said> + Send>>;

fn events(client: &Client, watched: &Watched, name: KindName, answered: mpsc::UnboundedSender<Kind>) -> Events {
    let resource = resource(name);
    let api: Api<DynamicObject> = Api::all_with(noting(client, name.kind, answered), &resource);
    let config = watcher::Config::default().page_size(PAGE);
    let config = match name.kind {
        Kind::Pod => config.fields(&format!("spec.nodeName={}", watched.node)),
        Kind::Node => config.fields(&format!("metadata.name={}", watched.node)),
        _ => config,
    };
    let patience = Patience::new(&watched.node, watched.first_wait);
    Box::pin(watcher(api, config).backoff(patience).map(move |said| (name, said)))
}

/// The kind as kube has it.
pub(crate) fn resource(name: KindName) -> ApiResource {
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(name.group, name.version, name.name), name.plural)
}

/// The client, with a word for every request that went well: a watch that goes on says nothing of itself.
fn noting(client: &Client, kind: Kind, answered: mpsc::UnboundedSender<Kind>) -> Client {
    let namespace = client.default_namespace().to_owned();
    let client = client.clone();
    let service = tower::service_fn(move |request| {
        let (client, answered) = (client.clone(), answered.clone());
        async move {
            let answer = client.send(request).await?;
            if answer.status().is_success() {
                let _ = answered.send(kind);
            }
            Ok::<_, Error>(answer)
        }
    });
    Client::new(service, namespace)
}

/// Waits that double; those of each node begin a little different, so that a fleet does not come back as one. They begin again
/// after a while without failure, and not when something went well: kube's watcher says that it begins a list before it asks.
#[derive(Debug)]
struct Patience {
    first: Duration,
    next: Duration,
    /// When the last wait is over.
    over: Option<Instant>,
}

impl Patience {
    fn new(node: &str, first: Duration) -> Self {
        let share = hash::fnv32(node.as_bytes()) % 100;
        let first = first + first * share / 100;
        Self { first, next: first, over: None }
    }

    fn after(&mut self, now: Instant) -> Duration {
        if self.over.is_some_and(|over| now > over + WELL_AFTER) {
            self.next = self.first;
        }
        let wait = self.next;
        self.next = (wait * 2).min(LONGEST_WAIT);
        self.over = Some(now + wait);
        wait
    }
}

impl Iterator for Patience {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        Some(self.after(Instant::now()))
    }
}

impl Backoff for Patience {
    fn reset(&mut self) {}
}

/// What is known, and what is wrong.
struct State {
    store: Store,
    /// Whether each kind was read whole, or is not served where it need not be.
    known: BTreeMap<Kind, bool>,
    problems: BTreeMap<Kind, String>,
}

impl State {
    fn new(watched: &Watched) -> Self {
        let known = watched.kinds().map(|name| (name.kind, false)).collect();
        Self { store: Store::new(&watched.node), known, problems: BTreeMap::new() }
    }

    /// Says whether there is something to tell.
    fn take(&mut self, (name, said): Said) -> bool {
        let kind = name.kind;
        match said {
            Ok(watcher::Event::Apply(object)) => {
                self.ours(kind, object).is_some_and(|one| self.store.apply(kind, &one))
            }
            Ok(watcher::Event::Delete(object)) => self.store.delete(kind, &plain(object)),
            Ok(watcher::Event::Init) => {
                self.store.restart(kind);
                false
            }
            Ok(watcher::Event::InitApply(object)) => {
                if let Some(one) = self.ours(kind, object) {
                    self.store.listed(kind, &one);
                }
                false
            }
            Ok(watcher::Event::InitDone) => {
                let first = self.known.insert(kind, true) == Some(false);
                let well = self.problems.remove(&kind).is_some();
                self.store.finish(kind) || first || well
            }
            Err(error) => self.failed(name, &error),
        }
    }

    /// The object as JSON; those of other nodes are not even turned into that while they are listed.
    fn ours(&self, kind: Kind, object: DynamicObject) -> Option<Value> {
        let listed_by_node = matches!(kind, Kind::Interface | Kind::Chain | Kind::Entries);
        let known = self.store.knows(kind, object.metadata.namespace.as_deref(), object.metadata.name.as_deref());
        (!listed_by_node || self.store.is_for_us(&object.data) || known).then(|| plain(object))
    }

    fn answered(&mut self, kind: Kind) -> bool {
        // A list that failed half way is only well when it is whole.
        self.known.get(&kind) == Some(&true) && self.problems.remove(&kind).is_some()
    }

    fn failed(&mut self, name: KindName, error: &watcher::Error) -> bool {
        let status = status_of(error);
        let mut first = false;
        let problem = match status.map_or(0, |status| status.code) {
            // Told by the list that follows.
            410 => return false,
            404 if name.kind == Kind::Entries => {
                return self.known.insert(name.kind, true) == Some(false);
            }
            404 => {
                // Without the kind there is no Set; everything else goes on.
                first = matches!(name.kind, Kind::InterfaceSet | Kind::ChainSet)
                    && self.known.insert(name.kind, true) == Some(false);
                format!("the cluster has no {}: is its CRD installed?", name.name)
            }
            403 => format!("the agent may not read {}: its ClusterRole lacks list and watch", name.plural),
            _ => status.map_or_else(|| causes(error), answered),
        };
        self.problems.insert(name.kind, problem.clone()) != Some(problem) || first
    }

    fn given(&self) -> Given {
        let name = |kind: &Kind| KINDS.iter().find(|name| name.kind == *kind).map_or("", |name| name.name).to_owned();
        Given {
            snapshot: Arc::new(self.store.snapshot()),
            complete: self.known.values().all(|known| *known),
            problems: self.problems.iter().map(|(kind, problem)| (name(kind), problem.clone())).collect(),
        }
    }
}

/// As JSON, without what is long and not read.
fn plain(mut object: DynamicObject) -> Value {
    object.metadata.managed_fields = None;
    serde_json::to_value(object).unwrap_or_default()
}

/// The answer that says no.
fn status_of(error: &watcher::Error) -> Option<&Status> {
    match error {
        watcher::Error::InitialListFailed(Error::Api(status))
        | watcher::Error::WatchStartFailed(Error::Api(status))
        | watcher::Error::WatchFailed(Error::Api(status))
        | watcher::Error::WatchError(status) => Some(status),
        _ => None,
    }
}

/// An answer that says no, for people.
pub(crate) fn answered(status: &Status) -> String {
    match status.code {
        401 => "the API server does not let the agent in: its token is not valid".to_owned(),
        code => format!("{} ({code})", status.message),
    }
}

/// An error with what caused it, each once.
pub(crate) fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_bound_and_begin_again() {
        let mut patience = Patience { first: FIRST_WAIT, next: FIRST_WAIT, over: None };
        let mut now = Instant::now();
        let mut waits = Vec::new();
        for _ in 0..9 {
            // What the watcher does before each list that fails.
            patience.reset();
            let wait = patience.after(now);
            waits.push(wait.as_millis());
            now += wait + Duration::from_secs(1);
        }
        assert_eq!(waits, [200, 400, 800, 1600, 3200, 6400, 12800, 25600, 30000]);
        assert_eq!(patience.after(now + WELL_AFTER), FIRST_WAIT);
    }
}
