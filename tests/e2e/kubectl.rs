//! An API server, asked with kubectl. EDGE of the tests.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::process::{answer, command, try_answer};
use crate::wait;

/// How one API server is reached.
pub(crate) struct Kubectl {
    pub(crate) program: PathBuf,
    pub(crate) kubeconfig: PathBuf,
    /// Holds kubectl's own cache.
    pub(crate) home: PathBuf,
}

impl Kubectl {
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = command(&self.program, &self.home);
        command.env("KUBECONFIG", &self.kubeconfig).args(arguments);
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> String {
        answer(&mut self.command(arguments))
    }

    /// Nothing where the object, or its kind, is not there.
    pub(crate) fn get(&self, kind: &str, namespace: &str, name: &str) -> Option<Value> {
        let mut command =
            self.command(&["get", kind, name, "--namespace", namespace, "--output=json", "--ignore-not-found"]);
        match try_answer(&mut command) {
            Ok(said) => serde_json::from_str(&said).ok(),
            Err(said) if said.contains("the server doesn't have a resource type") => None,
            Err(said) => panic!("{command:?}: {said}"),
        }
    }

    /// Every object of a kind in a namespace.
    pub(crate) fn list(&self, kind: &str, namespace: &str) -> Vec<Value> {
        let said = self.run(&["get", kind, "--namespace", namespace, "--output=json"]);
        let list: Value = serde_json::from_str(&said).unwrap();
        list["items"].as_array().unwrap().clone()
    }

    /// Applies objects on the server's side, as somebody else than Argo CD.
    pub(crate) fn apply(&self, objects: &[Value]) {
        let text: Vec<String> = objects.iter().map(ToString::to_string).collect();
        self.apply_text(&text.join("\n"));
    }

    /// The same, of a stream of YAML or JSON.
    pub(crate) fn apply_text(&self, text: &str) {
        let arguments = ["apply", "--server-side", "--force-conflicts", "--field-manager=e2e", "--filename=-"];
        let mut command = self.command(&arguments);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        let said = child.wait_with_output().unwrap();
        assert!(said.status.success(), "kubectl apply: {}", String::from_utf8_lossy(&said.stderr));
    }

    /// Applies the files of folders, and waits until each CRD in them is served.
    pub(crate) fn apply_crds(&self, folders: &[PathBuf]) {
        let files: Vec<String> = folders.iter().map(|folder| format!("--filename={}", folder.display())).collect();
        let mut arguments = vec!["apply", "--server-side", "--force-conflicts", "--field-manager=e2e"];
        arguments.extend(files.iter().map(String::as_str));
        self.run(&arguments);
        self.wait_for_crds();
    }

    /// Waits until each CRD is served.
    pub(crate) fn wait_for_crds(&self) {
        wait::until("the CRDs to be established", 60, String::new, || {
            try_answer(&mut self.command(&["wait", "--for=condition=Established", "crds", "--all", "--timeout=10s"]))
        });
    }

    /// Writes a status as the object's controller does.
    pub(crate) fn set_status(&self, kind: &str, namespace: &str, name: &str, status: &Value) {
        let patch = json!({ "status": status }).to_string();
        let object = ["--namespace", namespace, kind, name];
        self.run(&[&["patch", "--subresource=status", "--type=merge", "--patch", &patch], &object[..]].concat());
    }

    /// Writes a status in the place of the present one.
    pub(crate) fn replace_status(&self, kind: &str, namespace: &str, name: &str, status: &Value) {
        let patch = json!([{"op": "add", "path": "/status", "value": status}]).to_string();
        let object = ["--namespace", namespace, kind, name];
        self.run(&[&["patch", "--subresource=status", "--type=json", "--patch", &patch], &object[..]].concat());
    }

    /// Merges into an object.
    pub(crate) fn patch(&self, kind: &str, namespace: &str, name: &str, patch: &Value) {
        self.run(&["patch", "--namespace", namespace, kind, name, "--type=merge", "--patch", &patch.to_string()]);
    }
}
