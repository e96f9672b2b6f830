//! EDGE: Events, for people who look at an object.
//!
//! In: [`Happening`]s. Out: Events (`events.k8s.io/v1`) beside the objects. Touches the network. The same again within
//! [`QUIET`] is not sent; what has the same object and reason counts up the Event that is there.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use tokio::time::Instant;

use super::documents::Target;
use crate::agent::api::{GROUP, Key};
use crate::agent::crd::node;
use crate::agent::sources::cluster::causes;
use crate::agent::sources::store::KINDS;
use crate::agent::status::conditions::shortened;

/// How long the same is not said again.
pub const QUIET: Duration = Duration::from_secs(60);
/// What is remembered of what was said.
const MOST: usize = 1024;

/// Something that a person may want to know of.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Happening {
    /// The object.
    pub target: Target,
    /// Its name.
    pub key: Key,
    /// Its `metadata.uid`, where it is known.
    pub uid: String,
    /// One word in camel case: `DriftRepaired`, `Conflict` …
    pub reason: &'static str,
    /// What happened, for people.
    pub note: String,
    /// Whether something is wrong.
    pub warning: bool,
}

/// Sends Events.
pub struct Events {
    recorder: Recorder,
    said: BTreeMap<(Key, &'static str, String), Instant>,
}

impl Events {
    /// From the agent of this node.
    #[must_use]
    pub fn new(client: Client, node: &str) -> Self {
        let reporter = Reporter { controller: "dpu-render.dev/dpu-agent".to_owned(), instance: Some(node.to_owned()) };
        Self { recorder: Recorder::new(client, reporter), said: BTreeMap::new() }
    }

    /// Sends what was not said lately; says whether it did.
    ///
    /// # Errors
    /// What the API server has against it, for people; it is not tried again.
    pub async fn say(&mut self, happening: &Happening) -> Result<bool, String> {
        let now = Instant::now();
        self.said.retain(|_, at| now.duration_since(*at) < QUIET);
        let key = (happening.key.clone(), happening.reason, happening.note.clone());
        if self.said.contains_key(&key) || self.said.len() >= MOST {
            return Ok(false);
        }
        self.said.insert(key, now);
        let event = Event {
            type_: if happening.warning { EventType::Warning } else { EventType::Normal },
            reason: happening.reason.to_owned(),
            note: Some(shortened(&happening.note)),
            action: "Reconcile".to_owned(),
            secondary: None,
        };
        self.recorder.publish(&event, &reference(happening)).await.map_err(|error| causes(&error))?;
        Ok(true)
    }
}

fn reference(happening: &Happening) -> ObjectReference {
    let (version, kind) = match happening.target {
        Target::Node => (format!("{}/{}", node::GROUP, node::VERSION), node::KIND),
        Target::Object(kind) => {
            let name = KINDS.iter().find(|name| name.kind == kind).map_or("", |name| name.name);
            (format!("{GROUP}/v1alpha1"), name)
        }
    };
    let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    ObjectReference {
        api_version: Some(version),
        kind: some(kind),
        name: some(&happening.key.name),
        namespace: some(&happening.key.namespace),
        uid: some(&happening.uid),
        ..ObjectReference::default()
    }
}
