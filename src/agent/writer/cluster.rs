//! EDGE: status, and finalizers, in an API server.
//!
//! In: a client, [`Document`]s, [`Step`]s. Out: server-side apply of each status that became another, as `dpu-agent`, forced; what
//! is refused, for people. Touches the network.
//!
//! An installed CRD may keep less than we say: v24.10 keeps nothing of a chain's status, later releases its conditions. That is
//! noticed by the answer and remembered for the kind: what is not kept is not sent again. When CRDs of the group become others,
//! it is found out anew. The agent may not read CRDs; that they changed is in the index of the API that everybody may read.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::io;
use kube::api::{Api, ApiResource, DynamicObject, GetParams, Patch, PatchParams};
use kube::core::{GroupVersionKind, Request};
use kube::{Client, Error, Resource as _};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use super::documents::{Document, Target, reduced};
use super::finalizers::{CHAIN, INTERFACE, Step};
use crate::agent::api::{GROUP, Key};
use crate::agent::crd::node;
use crate::agent::hash;
use crate::agent::sources::cluster::{answered, causes, resource};
use crate::agent::sources::store::{KINDS, Kind};

/// Field manager of everything that is written here.
pub const MANAGER: &str = "dpu-agent";
/// Least time between two rounds of writing: what flaps is written now and then.
const ROUND: Duration = Duration::from_millis(500);
/// The first wait after a failure.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// The longest wait after a failure.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// How much of a status the CRD of a kind keeps.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Keeps {
    Nothing,
    Conditions,
    All,
}

/// Writes status into an API server.
pub struct Writer {
    client: Client,
    node: String,
    /// Hash of what each says, which is much smaller.
    written: BTreeMap<(Target, Key), u64>,
    keeps: BTreeMap<Target, Keeps>,
    /// Kinds that may keep more than they did.
    doubted: BTreeSet<Target>,
    /// What the index says of the group of the objects, and whether that was news.
    index: (Option<String>, bool),
}

/// What is sent. As text it is not turned into a tree and back.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Applied<'a> {
    api_version: &'a str,
    kind: &'a str,
    metadata: Named<'a>,
    status: &'a RawValue,
}

#[derive(Serialize)]
struct Named<'a> {
    name: &'a str,
}

/// Members of a status, whatever they say.
type Members = BTreeMap<String, IgnoredAny>;

/// As much of an answer as is read.
#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    status: Members,
}

/// As much of the object of the node as is read at the beginning.
#[derive(Deserialize)]
struct Before {
    status: Option<Box<RawValue>>,
}

/// The documents of a round, and what came of it.
type Problems = BTreeMap<String, String>;

/// Writes the latest documents until nobody sends any; `problems` says what is refused now. Every `audit` it looks whether the
/// API server keeps something else than before.
pub async fn run(
    mut writer: Writer,
    mut documents: watch::Receiver<Arc<Vec<Document>>>,
    problems: watch::Sender<Problems>,
    audit: Duration,
) {
    let mut wait = FIRST_WAIT;
    let mut look = Instant::now() + audit;
    loop {
        tokio::select! {
            changed = documents.changed() => if changed.is_err() { return },
            () = sleep_until(look) => {
                writer.look_again().await;
                look = Instant::now() + audit;
            }
        }
        loop {
            let latest = Arc::clone(&documents.borrow_and_update());
            let refused = writer.write(&latest).await;
            let well = refused.is_empty();
            problems.send_if_modified(|known| {
                let changed = *known != refused;
                *known = refused;
                changed
            });
            if well {
                wait = FIRST_WAIT;
                break;
            }
            // Whatever is said meanwhile is in the next try.
            sleep(wait).await;
            wait = (wait * 2).min(LONGEST_WAIT);
            if documents.has_changed().is_err() {
                return;
            }
        }
        sleep(ROUND).await;
    }
}

impl Writer {
    /// Of the agent of this node.
    #[must_use]
    pub fn new(client: Client, node: &str) -> Self {
        let (written, keeps, doubted) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
        Self { client, node: node.to_owned(), written, keeps, doubted, index: (None, false) }
    }

    /// What the node's object says now: times of transition go on from there when the agent starts again.
    ///
    /// # Errors
    /// What the API server has against it, for people. An object that is not there is none.
    pub async fn before(&self) -> Result<Option<node::NodeStatus>, String> {
        let request = self.path(Target::Node, "").get(&self.node, &GetParams::default());
        let request = request.map_err(|error| error.to_string())?;
        match self.client.request::<Before>(request).await {
            // A status of another version of the program may not be readable; it is written anew then.
            Ok(object) => Ok(object.status.and_then(|status| serde_json::from_str(status.get()).ok())),
            // Neither the object nor its kind.
            Err(Error::Api(said)) if said.code == 404 => Ok(None),
            Err(error) => Err(causes(&error)),
        }
    }

    /// What was written is not taken for granted: the node's object is applied anew, as somebody may have taken it away, and where
    /// CRDs changed, each kind is asked once what it keeps now.
    pub async fn look_again(&mut self) {
        self.written.retain(|(target, _), _| *target != Target::Node);
        let index = self.index().await;
        // Where nobody tells, they may have changed. The index may be ahead of what is served: one more time is enough.
        let news = index.is_none() || index != self.index.0;
        if news || self.index.1 {
            self.doubted =
                self.keeps.iter().filter(|(_, keeps)| **keeps < Keeps::All).map(|(target, _)| *target).collect();
        }
        self.index = (index, news);
    }

    /// What the index of the API has for the group of the objects: a hash of its schemas.
    async fn index(&self) -> Option<String> {
        let request = Request::new("/openapi").get("v3", &GetParams::default()).ok()?;
        let index: Value = self.client.request(request).await.ok()?;
        let paths = index["paths"].as_object()?;
        let of_group =
            |(path, entry): (&String, &Value)| path.starts_with(&format!("apis/{GROUP}/")).then(|| entry.to_string());
        Some(paths.iter().filter_map(of_group).collect())
    }

    /// Writes what became another. What is refused comes back, by object, and is tried again the next time.
    pub async fn write(&mut self, documents: &[Document]) -> Problems {
        let mut problems = Problems::new();
        for document in documents {
            let place = (document.target, document.key.clone());
            let mut sent = self.cut(document);
            while let Some(status) = sent {
                let doubted = self.doubted.contains(&document.target);
                if !doubted && self.written.get(&place) == Some(&digest(&document.uid, &status)) {
                    break;
                }
                match self.apply(document, &status).await {
                    Ok(members) => {
                        self.learn(document.target, &status, &members);
                        // What is kept of it is what the next one is compared with.
                        let kept = self.cut(document).unwrap_or(status);
                        self.written.insert(place.clone(), digest(&document.uid, &kept));
                        break;
                    }
                    // Its CRD has no such field: say less.
                    Err(error) if document.target != Target::Node && is_of_schema(&error) => {
                        let less = reduced(&status).is_some();
                        self.keeps(document.target, if less { Keeps::Conditions } else { Keeps::Nothing });
                        sent = self.cut(document);
                    }
                    // It went meanwhile.
                    Err(Error::Api(said)) if said.code == 404 && document.target != Target::Node => break,
                    Err(error) => {
                        problems.insert(place_text(document), refusal(document.target, &error));
                        break;
                    }
                }
            }
        }
        let wanted: BTreeSet<(Target, Key)> =
            documents.iter().map(|document| (document.target, document.key.clone())).collect();
        self.written.retain(|place, _| wanted.contains(place));
        problems
    }

    /// As much as is kept; all of it where that is to be found out.
    fn cut<'d>(&self, document: &'d Document) -> Option<Cow<'d, str>> {
        if self.doubted.contains(&document.target) {
            return Some(Cow::Borrowed(&document.status));
        }
        match self.keeps.get(&document.target).copied().unwrap_or(Keeps::All) {
            Keeps::All => Some(Cow::Borrowed(&document.status)),
            Keeps::Conditions => reduced(&document.status).map(Cow::Owned),
            Keeps::Nothing => None,
        }
    }

    /// What the answer lacks is not kept.
    fn learn(&mut self, target: Target, sent: &str, kept: &Members) {
        if target == Target::Node {
            return;
        }
        let sent: Members = serde_json::from_str(sent).unwrap_or_default();
        let missing: Vec<&String> = sent.keys().filter(|key| !kept.contains_key(*key)).collect();
        let nothing = missing.iter().any(|key| matches!(key.as_str(), "conditions" | "interfaceStatuses"));
        // Of what was cut before, nothing is learned.
        if missing.is_empty() && !self.doubted.contains(&target) {
            return;
        }
        let keeps = if nothing { Keeps::Nothing } else { Keeps::Conditions };
        self.keeps(target, if missing.is_empty() { Keeps::All } else { keeps });
    }

    /// Remembers it. Where that is news, objects of the kind say something else.
    fn keeps(&mut self, target: Target, keeps: Keeps) {
        self.doubted.remove(&target);
        let before = self.keeps.insert(target, keeps);
        if before.is_some_and(|before| before < keeps) {
            self.written.retain(|(written, _), _| *written != target);
        }
    }

    /// Applies a status, and says which members of it are kept.
    async fn apply(&self, document: &Document, status: &str) -> Result<Members, Error> {
        let status = serde_json::from_str(status).map_err(Error::SerdeError)?;
        match self.apply_status(document, status).await {
            Err(Error::Api(said)) if said.code == 404 && document.target == Target::Node => {
                let resource = target_resource(document.target);
                let object = json!({
                    "apiVersion": resource.api_version, "kind": resource.kind, "metadata": {"name": document.key.name},
                });
                let parameters = PatchParams::apply(MANAGER).force();
                let api = self.api(document.target, &document.key.namespace);
                api.patch(&document.key.name, &parameters, &Patch::Apply(&self.owned(object).await)).await?;
                self.apply_status(document, status).await
            }
            answer => answer,
        }
    }

    async fn apply_status(&self, document: &Document, status: &RawValue) -> Result<Members, Error> {
        let resource = target_resource(document.target);
        let name = &*document.key.name;
        let applied =
            Applied { api_version: &resource.api_version, kind: &resource.kind, metadata: Named { name }, status };
        let parameters = PatchParams::apply(MANAGER).force();
        let request = self.path(document.target, &document.key.namespace);
        let request = request.patch_subresource("status", name, &parameters, &Patch::Apply(&applied));
        let request = request.map_err(Error::BuildRequest)?;
        if document.target == Target::Node {
            // The answer is several times as long as what was sent, and says nothing that is not known.
            let answer = self.client.request_stream(request).await?;
            io::copy(answer, &mut io::sink()).await.map_err(Error::ReadEvents)?;
            return Ok(Members::new());
        }
        Ok(self.client.request::<Answer>(request).await?.status)
    }

    /// The node owns its status, so that both go together. A node that cannot be read owns nothing.
    async fn owned(&self, mut object: Value) -> Value {
        let nodes = Api::<DynamicObject>::all_with(self.client.clone(), &target_resource(Target::Object(Kind::Node)));
        if let Ok(node) = nodes.get(&self.node).await
            && let Some(uid) = node.metadata.uid
        {
            let owner = json!({"apiVersion": "v1", "kind": "Node", "name": self.node, "uid": uid});
            object["metadata"]["ownerReferences"] = json!([owner]);
        }
        object
    }

    fn path(&self, target: Target, namespace: &str) -> Request {
        let namespace = Some(namespace).filter(|namespace| !namespace.is_empty());
        Request::new(DynamicObject::url_path(&target_resource(target), namespace))
    }

    fn api(&self, target: Target, namespace: &str) -> Api<DynamicObject> {
        let resource = target_resource(target);
        match namespace {
            "" => Api::all_with(self.client.clone(), &resource),
            namespace => Api::namespaced_with(self.client.clone(), namespace, &resource),
        }
    }

    /// Takes a step; [`Step::Release`] is said by the status and needs nothing here.
    ///
    /// # Errors
    /// What the API server has against it, for people. An object that is not there needs nothing.
    pub async fn take(&self, step: &Step) -> Result<(), String> {
        let (kind, key, finalizer, hold) = match step {
            Step::Hold(key) => (Kind::Interface, key, INTERFACE, true),
            Step::LetGo(Kind::Chain, key) => (Kind::Chain, key, CHAIN, false),
            Step::LetGo(kind, key) => (*kind, key, INTERFACE, false),
            Step::Release(_) => return Ok(()),
        };
        let api = self.api(Target::Object(kind), &key.namespace);
        // Somebody else may write between reading and writing.
        for _ in 0..4 {
            let object = match api.get_opt(&key.name).await {
                Ok(Some(object)) => object,
                Ok(None) => return Ok(()),
                Err(Error::Api(said)) if said.code == 404 => return Ok(()),
                Err(Error::Api(said)) => return Err(answered(&said)),
                Err(error) => return Err(causes(&error)),
            };
            let mut finalizers = object.metadata.finalizers.unwrap_or_default();
            let there = finalizers.iter().any(|one| one == finalizer);
            let going = object.metadata.deletion_timestamp.is_some();
            match hold {
                true if going && !there => return Err(format!("{key} is being deleted")),
                true if !there => finalizers.push(finalizer.to_owned()),
                false if there => finalizers.retain(|one| one != finalizer),
                _ => return Ok(()),
            }
            let metadata = json!({"resourceVersion": object.metadata.resource_version, "finalizers": finalizers});
            let patch = Patch::Merge(json!({"metadata": metadata}));
            match api
                .patch(
                    &key.name,
                    &PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() },
                    &patch,
                )
                .await
            {
                Err(Error::Api(said)) if said.code == 409 => {}
                Err(Error::Api(said)) if said.code == 404 => return Ok(()),
                answer => return answer.map(drop).map_err(|error| refusal(Target::Object(kind), &error)),
            }
        }
        Err(format!("{key} is changed by somebody else all the time"))
    }
}

/// An object of the same name that came after another was told nothing yet.
fn digest(uid: &str, status: &str) -> u64 {
    hash::fnv64(format!("{uid} {status}").as_bytes())
}

fn target_resource(target: Target) -> ApiResource {
    match target {
        Target::Node => ApiResource::from_gvk_with_plural(
            &GroupVersionKind::gvk(node::GROUP, node::VERSION, node::KIND),
            node::PLURAL,
        ),
        Target::Object(kind) => resource(KINDS.into_iter().find(|name| name.kind == kind).unwrap_or(KINDS[0])),
    }
}

fn place_text(document: &Document) -> String {
    let kind = target_resource(document.target).kind;
    let name = if document.key.namespace.is_empty() { document.key.name.clone() } else { document.key.to_string() };
    format!("{kind} {name}")
}

/// Whether the schema of the CRD has something against a field.
fn is_of_schema(error: &Error) -> bool {
    let Error::Api(said) = error else { return false };
    said.message.contains("field not declared in schema")
}

fn refusal(target: Target, error: &Error) -> String {
    let resource = target_resource(target);
    match error {
        Error::Api(said) if said.code == 403 => {
            format!("the agent may not write {}: its ClusterRole lacks patch of {0} and {0}/status", resource.plural)
        }
        Error::Api(said) if said.code == 404 => format!("the cluster has no {}: is its CRD installed?", resource.kind),
        Error::Api(said) => answered(said),
        error => causes(error),
    }
}
