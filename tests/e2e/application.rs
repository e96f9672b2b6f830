//! An Application, and what Argo CD says of it. EDGE of the tests.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::argo::NAMESPACE;
use crate::lab::Lab;
use crate::wait;

/// What an Application is made of.
pub(crate) struct Spec {
    pub(crate) name: String,
    pub(crate) labels: BTreeMap<&'static str, &'static str>,
    pub(crate) annotations: BTreeMap<&'static str, String>,
    pub(crate) source: Value,
    pub(crate) namespace: &'static str,
    pub(crate) sync_policy: Value,
}

impl Spec {
    /// Compared, never synced; into the namespace `default`.
    pub(crate) fn new(name: &str, source: Value) -> Self {
        Self {
            name: name.to_owned(),
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            source,
            namespace: "default",
            sync_policy: json!({}),
        }
    }

    /// Synced by itself, with pruning. What fails is not tried again: a deletion would wait behind that.
    pub(crate) fn automated(mut self) -> Self {
        self.sync_policy = json!({"automated": {"prune": true, "selfHeal": true}, "retry": {"limit": 0}});
        self
    }

    pub(crate) fn object(&self) -> Value {
        json!({
            "apiVersion": "argoproj.io/v1alpha1", "kind": "Application",
            "metadata": {"name": self.name, "namespace": NAMESPACE, "labels": self.labels, "annotations": self.annotations},
            "spec": {"project": "default", "source": self.source, "syncPolicy": self.sync_policy,
                "destination": {"server": "https://kubernetes.default.svc", "namespace": self.namespace}},
        })
    }
}

/// The source of an Application that a plugin renders.
pub(crate) fn source(url: &str, path: &str, plugin: &str, parameters: &Value) -> Value {
    let plugin = json!({"name": plugin, "parameters": parameters});
    json!({"repoURL": url, "targetRevision": "main", "path": path, "plugin": plugin})
}

/// The parameters for one destination.
pub(crate) fn destination(name: &str) -> Value {
    json!([{"name": "destination", "string": name}])
}

/// An Application that is there.
pub(crate) struct Application {
    lab: &'static Lab,
    pub(crate) name: String,
}

impl Application {
    pub(crate) fn create(lab: &'static Lab, spec: &Spec) -> Self {
        lab.management.kubectl.apply(&[spec.object()]);
        Self { lab, name: spec.name.clone() }
    }

    /// One that somebody else made.
    pub(crate) fn named(lab: &'static Lab, name: &str) -> Self {
        Self { lab, name: name.to_owned() }
    }

    /// What Argo CD wrote; null where it has not looked yet.
    pub(crate) fn status(&self) -> Value {
        self.lab.management.kubectl.get("applications.argoproj.io", NAMESPACE, &self.name).unwrap_or_default()["status"]
            .take()
    }

    /// Waits until the status is as it should be, and returns it.
    pub(crate) fn wait(&self, what: &str, seconds: u64, is: impl Fn(&Value) -> bool) -> Value {
        let what = format!("Application {}: {what}", self.name);
        wait::until(
            &what,
            seconds,
            || self.lab.argo.tails(),
            || {
                let status = self.status();
                if is(&status) { Ok(status) } else { Err(shown(&status)) }
            },
        )
    }

    /// Waits for Synced and this health, at a commit.
    pub(crate) fn wait_synced(&self, commit: &str, health: &str) -> Value {
        self.wait(&format!("Synced at {commit}, {health}"), 60, |status| synced(status, commit, health))
    }

    /// Waits until the manifests were compared: what there is, or the error that came of it.
    pub(crate) fn wait_compared(&self) -> Result<Vec<Value>, String> {
        let status = self.wait("a comparison", 60, |status| {
            error(status).is_some() || ["Synced", "OutOfSync"].map(Value::from).contains(&status["sync"]["status"])
        });
        match error(&status) {
            Some(error) => Err(error),
            None => Ok(self.manifests()),
        }
    }

    /// Waits for an error of the manifests, and returns all that is shown of it.
    pub(crate) fn wait_error(&self) -> String {
        error(&self.wait("a ComparisonError", 60, |status| error(status).is_some())).unwrap()
    }

    /// The objects that Argo CD has of the plugin, without what Argo CD adds to say whose they are.
    pub(crate) fn manifests(&self) -> Vec<Value> {
        let said =
            self.lab.argo.get(&format!("applications/{}/manifests?appNamespace={NAMESPACE}", self.name)).unwrap();
        assert!(said["error"].is_null(), "{}: {said}", self.name);
        // An empty list is left out of the answer.
        let manifests = said["manifests"].as_array().cloned().unwrap_or_default();
        manifests.iter().map(|text| untracked(serde_json::from_str(text.as_str().unwrap()).unwrap())).collect()
    }

    /// Has Argo CD look again: `normal`, or `hard`, which also forgets what it has in its cache.
    pub(crate) fn refresh(&self, how: &str) {
        self.annotate("argocd.argoproj.io/refresh", how);
    }

    pub(crate) fn annotate(&self, key: &str, value: &str) {
        let annotations = json!({"metadata": {"annotations": {key: value}}});
        self.lab.management.kubectl.patch("applications.argoproj.io", NAMESPACE, &self.name, &annotations);
    }
}

/// Whether Argo CD has applied a commit, and finds the objects so.
pub(crate) fn synced(status: &Value, commit: &str, health: &str) -> bool {
    status["sync"]["status"] == "Synced" && status["sync"]["revision"] == commit && status["health"]["status"] == health
}

/// The text of the condition that a failed render leaves.
pub(crate) fn error(status: &Value) -> Option<String> {
    let conditions = status["conditions"].as_array()?;
    let condition = conditions.iter().find(|condition| condition["type"] == "ComparisonError")?;
    Some(condition["message"].as_str()?.to_owned())
}

/// The parts of a status that say why something is not as it should be.
pub(crate) fn shown(status: &Value) -> String {
    let parts = json!({
        "sync": {"status": status["sync"]["status"], "revision": status["sync"]["revision"]}, "health": status["health"],
        "conditions": status["conditions"], "operation": status["operationState"]["phase"],
        "message": status["operationState"]["message"],
    });
    let mut text = serde_json::to_string_pretty(&parts).unwrap();
    for resource in status["resources"].as_array().into_iter().flatten() {
        text += &format!(
            "\n{} {}/{}: {} {}",
            resource["kind"], resource["namespace"], resource["name"], resource["status"], resource["health"]
        );
    }
    for resource in status["operationState"]["syncResult"]["resources"].as_array().into_iter().flatten() {
        if resource["status"] != "Synced" {
            text += &format!("\nnot applied: {} {}: {}", resource["kind"], resource["name"], resource["message"]);
        }
    }
    text
}

fn untracked(mut object: Value) -> Value {
    if let Some(annotations) = object["metadata"]["annotations"].as_object_mut() {
        annotations.remove("argocd.argoproj.io/tracking-id");
        if annotations.is_empty() {
            object["metadata"].as_object_mut().unwrap().remove("annotations");
        }
    }
    object
}
