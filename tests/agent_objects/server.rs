//! As much of an API server as the agent needs: lists in pages, watches, server-side apply of status, merge patches, and the
//! faults that a test wants.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

use kube::{Client, Config};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What the CRD of a kind does with a status.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Schema {
    Keeps,
    KeepsConditions,
    PrunesAll,
    Refuses,
}

#[derive(Default)]
pub(crate) struct Objects {
    version: u64,
    /// By kind in the plural, namespace and name.
    pub(crate) objects: BTreeMap<(String, String, String), Value>,
    events: Vec<(u64, String, &'static str, Value)>,
    /// Watches from before this are too old.
    oldest: u64,
    /// Kinds that are not served.
    pub(crate) unserved: BTreeSet<String>,
    /// Kinds that are answered with this status.
    pub(crate) refused: BTreeMap<String, u16>,
    /// Kinds whose objects are not to be changed, but for their status.
    pub(crate) fixed: BTreeSet<String>,
    pub(crate) schemas: BTreeMap<String, Schema>,
    /// What the index of the API has for DPF's group; without it there is no index.
    pub(crate) index: Option<String>,
    /// Method and path of each request.
    pub(crate) requests: Vec<String>,
    away: bool,
}

#[derive(Clone)]
pub(crate) struct Server {
    state: Arc<Mutex<Objects>>,
    /// Something changed; counts up.
    changes: watch::Sender<u64>,
    /// Every connection ends when this counts up.
    cuts: watch::Sender<u64>,
    port: u16,
}

impl Server {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = Self { state: Arc::default(), changes: watch::channel(0).0, cuts: watch::channel(0).0, port };
        let serving = server.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let server = serving.clone();
                tokio::spawn(async move {
                    let mut cut = server.cuts.subscribe();
                    tokio::select! { _ = server.connection(stream) => {}, _ = cut.changed() => {} }
                });
            }
        });
        server
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(crate) fn client(&self) -> Client {
        Client::try_from(Config::new(self.url().parse().unwrap())).unwrap()
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, Objects> {
        self.state.lock().unwrap()
    }

    /// An object comes or changes.
    pub(crate) fn put(&self, plural: &str, mut object: Value) {
        let mut state = self.state();
        state.version += 1;
        let version = state.version;
        object["metadata"]["resourceVersion"] = json!(version.to_string());
        let text = |name: &str| object["metadata"][name].as_str().unwrap_or_default().to_owned();
        let key = (plural.to_owned(), text("namespace"), text("name"));
        let what = if state.objects.insert(key, object.clone()).is_some() { "MODIFIED" } else { "ADDED" };
        state.events.push((version, plural.to_owned(), what, object));
        drop(state);
        self.changes.send_modify(|count| *count += 1);
    }

    pub(crate) fn remove(&self, plural: &str, namespace: &str, name: &str) {
        let mut state = self.state();
        state.version += 1;
        let version = state.version;
        let object = state.objects.remove(&(plural.to_owned(), namespace.to_owned(), name.to_owned())).unwrap();
        state.events.push((version, plural.to_owned(), "DELETED", object));
        drop(state);
        self.changes.send_modify(|count| *count += 1);
    }

    pub(crate) fn get(&self, plural: &str, namespace: &str, name: &str) -> Value {
        let key = (plural.to_owned(), namespace.to_owned(), name.to_owned());
        self.state().objects.get(&key).cloned().unwrap_or_default()
    }

    /// Watches end, and what happened before is forgotten.
    pub(crate) fn compact(&self) {
        let mut state = self.state();
        state.oldest = state.version + 1;
        state.version += 1;
        state.events.clear();
        drop(state);
        self.cut();
    }

    /// Every connection ends.
    pub(crate) fn cut(&self) {
        self.cuts.send_modify(|count| *count += 1);
    }

    /// Nobody answers, or somebody does again.
    pub(crate) fn away(&self, away: bool) {
        self.state().away = away;
        self.cut();
    }

    pub(crate) fn asked(&self, what: &str) -> usize {
        self.state().requests.iter().filter(|request| request.contains(what)).count()
    }

    async fn connection(&self, mut stream: TcpStream) -> Option<()> {
        let (head, body) = request(&mut stream).await?;
        let mut words = head.split_whitespace();
        let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
        if self.state().away {
            return None;
        }
        self.state().requests.push(format!("{method} {target}"));
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        if path == "/openapi/v3" {
            let index = self.state().index.clone();
            let paths = |hash| json!({"paths": {"apis/svc.dpu.nvidia.com/v1alpha1": {"serverRelativeURL": hash}}});
            let (code, said) = index.map_or_else(|| (404, failure(404, "not found")), |hash| (200, paths(hash)));
            return answer(&mut stream, code, &said).await;
        }
        let place = Place::of(path)?;
        let refused = {
            let state = self.state();
            let unserved = state.unserved.contains(&place.plural).then_some(404);
            state.refused.get(&place.plural).copied().or(unserved)
        };
        if let Some(code) = refused {
            if code == 404 {
                // As the real one says it of a kind that it does not know.
                return answer_text(&mut stream, code, "404 page not found\n").await;
            }
            return answer(&mut stream, code, &failure(code, "refused by the test")).await;
        }
        if method == "GET" && place.name.is_none() && query.contains("watch=true") {
            return self.watch(&mut stream, &place, query).await;
        }
        let (code, object) = match (&*method, &place.name) {
            ("GET", None) => (200, self.list(&place, query)),
            ("GET", Some(_)) => self.read(&place),
            ("PATCH", Some(_)) if !place.status && self.state().fixed.contains(&place.plural) => {
                (403, failure(403, "fixed by the test"))
            }
            ("PATCH", Some(_)) => self.patch(&place, &serde_json::from_slice(&body).ok()?),
            ("POST", None) => {
                let object: Value = serde_json::from_slice(&body).ok()?;
                self.put(&place.plural, object.clone());
                (201, object)
            }
            _ => (405, failure(405, "not here")),
        };
        answer(&mut stream, code, &object).await
    }

    fn list(&self, place: &Place, query: &str) -> Value {
        let state = self.state();
        let all: Vec<&Value> = state
            .objects
            .iter()
            .filter(|(key, one)| key.0 == place.plural && selected(one, query))
            .map(|(_, one)| one)
            .collect();
        let number = |name: &str| parameter(query, name).and_then(|text| text.parse::<usize>().ok());
        let (from, limit) = (number("continue").unwrap_or(0), number("limit").unwrap_or(usize::MAX));
        let page: Vec<&Value> = all.iter().skip(from).take(limit).copied().collect();
        let more = if from + page.len() < all.len() { (from + page.len()).to_string() } else { String::new() };
        json!({
            "apiVersion": "v1", "kind": "List", "items": page,
            "metadata": {"resourceVersion": state.version.to_string(), "continue": more},
        })
    }

    fn read(&self, place: &Place) -> (u16, Value) {
        match self.get(&place.plural, &place.namespace, place.name.as_deref().unwrap_or_default()) {
            Value::Null => (404, failure(404, "not found")),
            object => (200, object),
        }
    }

    /// Apply and merge: both put what is sent over what is there.
    fn patch(&self, place: &Place, sent: &Value) -> (u16, Value) {
        let name = place.name.clone().unwrap_or_default();
        let mut object = self.get(&place.plural, &place.namespace, &name);
        let schema = self.state().schemas.get(&place.plural).copied().unwrap_or(Schema::Keeps);
        if object.is_null() {
            let of_ours = place.plural == "dpunodenetworkstatuses";
            if !of_ours || place.status {
                return (404, failure(404, "not found"));
            }
            object = json!({"metadata": {"name": name}});
        }
        if !place.status {
            let wanted = sent.pointer("/metadata/resourceVersion").filter(|version| !version.is_null());
            if wanted.is_some_and(|version| *version != object["metadata"]["resourceVersion"]) {
                return (409, failure(409, "changed meanwhile"));
            }
            for (key, value) in sent["metadata"].as_object().into_iter().flatten() {
                object["metadata"][key] = value.clone();
            }
            for key in ["apiVersion", "kind"] {
                if let Some(value) = sent.get(key) {
                    object[key] = value.clone();
                }
            }
        } else {
            let members = sent["status"].as_object().cloned().unwrap_or_default();
            let known = |key: &String| matches!(key.as_str(), "conditions" | "observedGeneration");
            if schema == Schema::Refuses && members.keys().any(|key| !known(key)) {
                return (
                    500,
                    failure(500, "failed to create typed patch object: .status.x: field not declared in schema"),
                );
            }
            let kept = |key: &String| match schema {
                Schema::Keeps => true,
                Schema::PrunesAll => false,
                Schema::KeepsConditions | Schema::Refuses => known(key),
            };
            object["status"] = members.into_iter().filter(|(key, _)| kept(key)).collect();
        }
        self.put(&place.plural, object.clone());
        (200, object)
    }

    async fn watch(&self, stream: &mut TcpStream, place: &Place, query: &str) -> Option<()> {
        let mut from: u64 = parameter(query, "resourceVersion")?.parse().ok()?;
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
        stream.write_all(head.as_bytes()).await.ok()?;
        let mut changes = self.changes.subscribe();
        loop {
            let (version, lines) = {
                let state = self.state();
                if from < state.oldest {
                    (from, vec![json!({"type": "ERROR", "object": failure(410, "too old resource version")})])
                } else {
                    let news = state
                        .events
                        .iter()
                        .filter(|(at, plural, _, one)| *at > from && *plural == place.plural && selected(one, query));
                    (state.version, news.map(|(_, _, what, object)| json!({"type": what, "object": object})).collect())
                }
            };
            for line in &lines {
                let line = format!("{line}\n");
                stream.write_all(format!("{:x}\r\n{line}\r\n", line.len()).as_bytes()).await.ok()?;
            }
            if lines.first().is_some_and(|line| line["type"] == "ERROR") {
                return stream.write_all(b"0\r\n\r\n").await.ok();
            }
            from = version;
            changes.changed().await.ok()?;
        }
    }
}

struct Place {
    plural: String,
    namespace: String,
    name: Option<String>,
    status: bool,
}

impl Place {
    fn of(path: &str) -> Option<Self> {
        let mut parts = path.trim_start_matches('/').split('/');
        let skipped = if parts.next()? == "api" { 1 } else { 2 };
        let parts: Vec<&str> = parts.skip(skipped).collect();
        let (namespace, parts) = match parts[..] {
            ["namespaces", namespace, ref rest @ ..] if !rest.is_empty() => (namespace, rest.to_vec()),
            _ => ("", parts),
        };
        Some(Self {
            plural: (*parts.first()?).to_owned(),
            namespace: namespace.to_owned(),
            name: parts.get(1).map(|name| (*name).to_owned()),
            status: parts.get(2) == Some(&"status"),
        })
    }
}

fn parameter<'q>(query: &'q str, name: &str) -> Option<&'q str> {
    query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
}

/// Selectors of pods and nodes.
fn selected(object: &Value, query: &str) -> bool {
    let Some(selector) = parameter(query, "fieldSelector") else { return true };
    let selector = selector.replace("%3D", "=");
    let (path, value) = selector.split_once('=').unwrap();
    object.pointer(&format!("/{}", path.replace('.', "/"))).and_then(Value::as_str) == Some(value)
}

fn failure(code: u16, message: &str) -> Value {
    let reasons = [(404, "NotFound"), (409, "Conflict"), (410, "Expired")];
    let reason = reasons.iter().find(|(known, _)| *known == code).map_or("Failed", |(_, reason)| reason);
    json!({"apiVersion": "v1", "kind": "Status", "status": "Failure", "code": code, "message": message, "reason": reason})
}

async fn request(stream: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    let end = loop {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
    };
    let head = String::from_utf8(bytes[..end].to_vec()).ok()?;
    let length =
        head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse().ok());
    let mut body = bytes.split_off(end + 4);
    while body.len() < length.unwrap_or(0) {
        if stream.read_buf(&mut body).await.ok()? == 0 {
            return None;
        }
    }
    Some((head, body))
}

async fn answer(stream: &mut TcpStream, code: u16, object: &Value) -> Option<()> {
    answer_text(stream, code, &object.to_string()).await
}

async fn answer_text(stream: &mut TcpStream, code: u16, body: &str) -> Option<()> {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {code} X\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.ok()?;
    stream.write_all(body.as_bytes()).await.ok()
}
