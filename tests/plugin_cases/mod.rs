//! The cases of `tests/plugin/cases.yaml`: what Argo CD is asked, and what it answers. Shared by the double of Argo CD and by
//! the tests against Argo CD itself.
//!
//! In: that file and `tests/plugin/repository/`, read where they are. Out: [`Case`]s. Touches nothing else.
#![allow(dead_code, reason = "each of the test programs that hold this uses a part of it")]
#![expect(clippy::disallowed_methods, clippy::unwrap_used, reason = "tests read files")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use dpu_render::node::Node;
use dpu_render::source::SourceTree;
use dpu_render::yaml::read;
use serde_json::{Value, json};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/plugin");
/// What stands before every error that one source of an Application gives.
const PREFIX: &str =
    "Failed to load target state: failed to generate manifest for source 1 of 1: rpc error: code = Unknown desc = ";

/// One case; the fields are those of the file, described at its top.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) name: String,
    /// It cannot be said in an Application: for the program alone.
    pub(crate) only_program: bool,
    pub(crate) verb: Verb,
    /// `source.path`.
    pub(crate) path: String,
    /// The annotation `argocd.argoproj.io/manifest-generate-paths`.
    pub(crate) paths: Option<String>,
    /// `source.plugin.name`; absent: the plugin under test.
    pub(crate) plugin: Option<String>,
    pub(crate) parameters: Parameters,
    /// `source.plugin.env`.
    pub(crate) env: Vec<(String, String)>,
    /// What is otherwise in the repository, by path.
    pub(crate) changes: Vec<(String, Change)>,
    pub(crate) expected: Expected,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Verb {
    Generate,
    Parameters,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Parameters {
    /// The source has none.
    Absent,
    /// `source.plugin.parameters`, a list.
    List(Value),
    /// `ARGOCD_APP_PARAMETERS` to the letter.
    Raw(String),
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Change {
    Text(String),
    /// A link to that target.
    Link(String),
    Gone,
}

#[derive(Clone, Debug)]
pub(crate) enum Expected {
    /// Success: stdout, if it is told, and stderr.
    Said { stdout: Option<String>, stderr: Said },
    /// The command fails.
    Failed { code: i32, stderr: Said },
    /// Argo CD does not come as far as the command, or does not take what it says; `APPLICATION` stands for its name.
    Refused(Said),
}

/// A text that is expected, whole or as far as it is told.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Said {
    pub(crate) text: String,
    pub(crate) whole: bool,
}

impl Said {
    fn of(text: &str) -> Self {
        match text.strip_suffix('…') {
            Some(beginning) => Self { text: beginning.to_owned(), whole: false },
            None => Self { text: text.to_owned(), whole: true },
        }
    }

    /// Blank space at the ends aside, which neither YAML nor Argo CD keeps.
    pub(crate) fn fits(&self, actual: &str) -> bool {
        let (expected, actual) = (self.text.trim(), actual.trim());
        if self.whole { actual == expected } else { actual.starts_with(expected) }
    }
}

/// Every case, in the order of the file.
pub(crate) fn cases() -> Vec<Case> {
    let text = fs::read_to_string(Path::new(FOLDER).join("cases.yaml")).unwrap();
    let none = BTreeMap::new();
    let sources = SourceTree::new(&none);
    let (id, source) = sources.add("cases.yaml", text);
    let mut faults = Vec::new();
    let documents = read::documents(&source, id, &mut faults);
    assert!(faults.is_empty(), "{faults:?}");
    documents[0].as_list().unwrap().iter().map(case).collect()
}

const KEYS: [&str; 14] = [
    "name",
    "only",
    "verb",
    "path",
    "paths",
    "plugin",
    "parameters",
    "env",
    "changes",
    "objects",
    "says",
    "code",
    "err",
    "refused",
];

fn case(node: &Node) -> Case {
    let text = |key: &str| node.text(&[key]).map(str::to_owned);
    let name = text("name").unwrap();
    let unknown = node.fields(&[]).iter().find(|field| !KEYS.contains(&&*field.key.text));
    assert!(unknown.is_none(), "{name}: `{}` is no field of a case", unknown.unwrap().key.text);
    let parameters = match node.get("parameters") {
        None => Parameters::Absent,
        Some(given) => match given.as_str() {
            Some(text) => Parameters::Raw(text.to_owned()),
            None => Parameters::List(given.to_json()),
        },
    };
    let change = |value: &Node| match value.as_str() {
        None => Change::Gone,
        Some(text) => match text.strip_prefix("-> ") {
            Some(target) => Change::Link(target.to_owned()),
            None => Change::Text(text.to_owned()),
        },
    };
    let fields = |key: &str| node.fields(&[key]).to_vec();
    let expected = match (node.get("code").and_then(Node::as_i64), text("refused")) {
        (None, Some(text)) => Expected::Refused(Said::of(&text)),
        (Some(code), None) => {
            Expected::Failed { code: code.try_into().unwrap(), stderr: Said::of(&text("err").unwrap()) }
        }
        (None, None) => Expected::Said { stdout: text("objects"), stderr: Said::of(&text("says").unwrap_or_default()) },
        (Some(_), Some(_)) => panic!("{name}: `code` and `refused` exclude each other"),
    };
    Case {
        only_program: match text("only").as_deref() {
            None => false,
            Some("program") => true,
            Some(other) => panic!("{name}: only {other}"),
        },
        verb: match text("verb").as_deref() {
            None => Verb::Generate,
            Some("parameters") => Verb::Parameters,
            Some(other) => panic!("{name}: no verb {other}"),
        },
        path: text("path").unwrap_or_else(|| "dpu/sites/lab1".to_owned()),
        paths: text("paths"),
        plugin: text("plugin"),
        parameters,
        env: fields("env")
            .iter()
            .map(|entry| (entry.key.text.to_string(), entry.value.as_str().unwrap().to_owned()))
            .collect(),
        changes: fields("changes").iter().map(|entry| (entry.key.text.to_string(), change(&entry.value))).collect(),
        expected,
        name,
    }
}

impl Case {
    /// A name for its Application: its own, as Kubernetes allows it.
    pub(crate) fn application(&self) -> String {
        let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
        let words: String = self.name.chars().map(plain).collect();
        let words: Vec<&str> = words.split('-').filter(|word| !word.is_empty()).collect();
        words.join("-").chars().take(60).collect::<String>().trim_end_matches('-').to_owned()
    }

    /// `spec.source.plugin` of the Application, for the plugin of this name unless the case has another.
    pub(crate) fn source_plugin(&self, plugin: &str) -> Value {
        let mut block = json!({"name": self.plugin.as_deref().unwrap_or(plugin)});
        if let Parameters::List(list) = &self.parameters {
            block["parameters"] = list.clone();
        }
        if !self.env.is_empty() {
            block["env"] = self.env.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
        }
        block
    }

    /// Writes the repository of the case, without `.git`, into a folder that is there.
    pub(crate) fn write_repository(&self, folder: &Path) {
        for entry in walkdir::WalkDir::new(Path::new(FOLDER).join("repository")).sort_by_file_name() {
            let entry = entry.unwrap();
            let path = folder.join(entry.path().strip_prefix(Path::new(FOLDER).join("repository")).unwrap());
            if entry.file_type().is_dir() {
                fs::create_dir_all(path).unwrap();
            } else {
                fs::write(path, fs::read(entry.path()).unwrap()).unwrap();
            }
        }
        for (path, change) in &self.changes {
            let path = folder.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            match change {
                Change::Text(text) => fs::write(path, text).unwrap(),
                Change::Link(target) => symlink(target, path).unwrap(),
                Change::Gone if path.is_dir() => fs::remove_dir_all(path).unwrap(),
                Change::Gone => fs::remove_file(path).unwrap(),
            }
        }
    }

    /// The objects that are expected, where the case tells them.
    pub(crate) fn objects(&self) -> Option<Vec<Value>> {
        let Expected::Said { stdout: Some(lines), .. } = &self.expected else { return None };
        Some(lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
    }

    /// The error that the Application, of that name, shows; `argv` is what the plugin is called with, as words.
    pub(crate) fn error(&self, application: &str, argv: &str) -> Option<Said> {
        let (chain, said) = match &self.expected {
            Expected::Said { .. } => return None,
            Expected::Refused(said) => (said.text.replace("APPLICATION", application), said),
            Expected::Failed { code, stderr } => {
                let on_the_way = match self.verb {
                    Verb::Generate => format!(
                        "CMP processing failed for application \"{application}\": error generating manifests in cmp: \
                         rpc error: code = Unknown desc = error generating manifests: "
                    ),
                    Verb::Parameters => "failed to populate plugin app details: failed to get parameter announcement: rpc error: code = Unknown desc = \
                         get parameters announcement error: error executing dynamic parameter output command: "
                        .to_owned(),
                };
                let text = stderr.text.trim_end();
                (format!("{on_the_way}`{argv}` failed exit status {code}: {text}"), stderr)
            }
        };
        // The form of the parameters is asked by people and not by the controller: the API tells the error alone.
        let prefix = if self.verb == Verb::Generate { PREFIX } else { "" };
        Some(Said { text: format!("{prefix}{chain}"), whole: said.whole })
    }
}
