//! A sidecar of Argo CD's repo-server that is to run this program. PURE.
//!
//! In: what a process sees of its container. Out: checks. The rules are those of cmp-server: the file is decoded as JSON, keys
//! it does not know are passed over, the socket is named after the plugin.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::diagnostic::nearest;
use crate::node::Node;
use crate::source::SourceTree;
use crate::yaml::read;

use super::application::{PLUGIN, VERSION};
use super::check::Check;
use super::container::FILE;

/// A longer path cannot be that of a socket.
const MOST_OF_A_SOCKET: usize = 107;
/// The user of Argo CD's images; the repo-server connects to the socket as that one.
const USER: u32 = 999;
/// What we have no use for, and what it costs.
const UNWANTED: [(&str, &str); 4] = [
    ("init", "it runs before every render, and we need nothing prepared"),
    ("discover", "it has the whole repository packed once more, for every Application of this Argo CD"),
    ("preserveFileMode", "no mode of a file matters to us"),
    ("provideGitCreds", "we need no network, and it brings credentials into the container"),
];

/// What a command of the plugin finds.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Program {
    /// This program.
    Own,
    /// Another one.
    Other(String),
    /// Nothing.
    Missing,
}

/// What a process sees of its container.
pub(super) struct Facts {
    /// The text of `plugin.yaml`, or why not.
    pub(super) plugin: Result<String, String>,
    pub(super) programs: Box<dyn Fn(&str) -> Program>,
    /// Folder of the sockets.
    pub(super) sockets: PathBuf,
    /// What is in it, and whether it is a socket.
    pub(super) there: Result<BTreeMap<String, bool>, String>,
    /// Folder that repositories are unpacked in.
    pub(super) work: PathBuf,
    pub(super) writable: Result<(), String>,
    pub(super) user: Option<u32>,
    /// `/proc/self/status`.
    pub(super) status: BTreeMap<String, String>,
    /// `/proc/self/mountinfo`.
    pub(super) mounts: String,
    /// A file of the repo-server in the temporary folder.
    pub(super) of_repo_server: Option<PathBuf>,
}

/// Everything that can be told from inside.
pub(super) fn checks(facts: &Facts) -> Vec<Check> {
    let mut checks = Vec::new();
    match &facts.plugin {
        Err(error) => checks.push(Check::error("plugin", FILE, error.clone())),
        Ok(text) => plugin(text, facts, &mut checks),
    }
    checks.push(match &facts.writable {
        Ok(()) => Check::ok("work", "", format!("`{}` can be written to", facts.work.display())),
        Err(error) => {
            let message = format!("nothing can be unpacked in `{}`: {error}", facts.work.display());
            Check::error("work", "", message).fix("mount an emptyDir there; ARGOCD_CMP_WORKDIR names another folder")
        }
    });
    if let Some(file) = &facts.of_repo_server {
        let message = format!("`{}` is the repo-server's: its temporary folder is mounted here", file.display());
        checks.push(Check::error("work", "", message).fix("mount an emptyDir of the sidecar's own at /tmp"));
    }
    checks.push(user(facts.user));
    checks.push(privileges(facts));
    checks
}

fn plugin(text: &str, facts: &Facts, checks: &mut Vec<Check>) {
    let none = BTreeMap::new();
    let tree = SourceTree::new(&none);
    let (id, source) = tree.add(FILE, text.to_owned());
    let mut faults = Vec::new();
    let documents = read::documents(&source, id, &mut faults);
    if let Some(fault) = faults.first() {
        let place = tree.place(fault.origin).unwrap_or_default();
        checks.push(Check::error("plugin", FILE, format!("{} ({place})", fault.message)));
        return;
    }
    let Some(document) = documents.first().filter(|document| document.as_map().is_some()) else {
        checks.push(Check::error("plugin", FILE, "it holds no object"));
        return;
    };
    let before = checks.len();
    names(document, checks);
    fields(document, checks);
    command(&["spec", "generate"], "generate", document, facts, checks);
    command(&["spec", "parameters", "dynamic"], "parameters", document, facts, checks);
    if checks.len() == before {
        checks.push(Check::ok("plugin", FILE, format!("`{PLUGIN}-{VERSION}`, and its commands are this program")));
    }
    checks.push(socket(document, facts));
}

/// What the socket and the Applications call it.
fn names(document: &Node, checks: &mut Vec<Check>) {
    for (path, wanted, why) in [
        (&["kind"][..], "ConfigManagementPlugin", "cmp-server starts with nothing else"),
        (&["metadata", "name"], PLUGIN, "our Applications name it so"),
        (&["spec", "version"], VERSION, "it is the version of this program: with another, Argo CD keeps old renders"),
    ] {
        let field = path.join(".");
        match document.at(path) {
            Some(found) if found.as_str() == Some(wanted) => {}
            Some(found) => {
                let message = format!("`{field}` is {}, not `{wanted}`: {why}", found.to_json());
                checks.push(Check::error("plugin", FILE, message).fix(format!("{field}: {wanted}")));
            }
            None => {
                let message = format!("`{field}` is missing: {why}");
                checks.push(Check::error("plugin", FILE, message).fix(format!("{field}: {wanted}")));
            }
        }
    }
}

/// What we have no use for, and keys that cmp-server passes over without a word.
fn fields(document: &Node, checks: &mut Vec<Check>) {
    const KNOWN: [&str; 7] =
        ["version", "init", "generate", "discover", "parameters", "preserveFileMode", "provideGitCreds"];
    for (field, why) in UNWANTED {
        let set = document.at(&["spec", field]).filter(|value| value.as_bool() != Some(false) && !value.is_null());
        if set.is_some() {
            let message = format!("`spec.{field}` is set: {why}");
            checks.push(Check::warning("plugin", FILE, message).fix(format!("take `spec.{field}` out")));
        }
    }
    for field in document.fields(&["spec"]) {
        let name = &*field.key.text;
        if !KNOWN.iter().any(|known| known.eq_ignore_ascii_case(name)) {
            let near = nearest(name, KNOWN).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
            let message = format!("`spec.{name}` is passed over by Argo CD without a word{near}");
            checks.push(Check::warning("plugin", FILE, message));
        }
    }
}

fn command(path: &[&str], verb: &str, document: &Node, facts: &Facts, checks: &mut Vec<Check>) {
    let (node, field) = (document.at(path), path.join("."));
    let wanted = format!("command: [{PLUGIN}, plugin, {verb}]");
    let words = |key: &str| node.map(|node| node.items(&[key])).unwrap_or_default().iter();
    let words: Vec<String> =
        words("command").chain(words("args")).map(|word| word.as_str().unwrap_or_default().to_owned()).collect();
    let Some((program, arguments)) = words.split_first() else {
        let message = format!("`{field}` has no command");
        let check = if verb == "generate" { Check::error } else { Check::warning };
        checks.push(check("plugin", FILE, message).fix(wanted));
        return;
    };
    let found = (facts.programs)(program);
    match found {
        Program::Own if arguments == ["plugin", verb] => {}
        Program::Own => {
            let message = format!("`{field}` calls `{}`", words.join(" "));
            checks.push(Check::error("plugin", FILE, message).fix(wanted));
        }
        Program::Other(path) => {
            let message = format!("`{field}` calls `{path}`, which is not this program");
            checks.push(Check::warning("plugin", FILE, message).fix(wanted));
        }
        Program::Missing => {
            let message = format!("`{field}` calls `{program}`, and there is no such program");
            checks.push(
                Check::error("plugin", FILE, message).fix("put it on the PATH of the container, or name it from `/`"),
            );
        }
    }
}

fn socket(document: &Node, facts: &Facts) -> Check {
    let name = document.text(&["metadata", "name"]).unwrap_or_default();
    let name = match document.text(&["spec", "version"]).filter(|version| !version.is_empty()) {
        Some(version) => format!("{name}-{version}.sock"),
        None => format!("{name}.sock"),
    };
    let path = facts.sockets.join(&name);
    let shown = path.display();
    let bytes = path.as_os_str().len();
    if bytes > MOST_OF_A_SOCKET {
        let message = format!("`{shown}` has {bytes} bytes, where the path of a socket has at most {MOST_OF_A_SOCKET}");
        return Check::error("socket", "", message)
            .fix("ARGOCD_PLUGINSOCKFILEPATH names a shorter folder, for both containers");
    }
    match &facts.there {
        Err(error) => {
            let message = format!("the folder of the sockets `{}` cannot be read: {error}", facts.sockets.display());
            Check::error("socket", "", message).fix("mount the volume `plugins` there, in both containers")
        }
        Ok(there) if there.get(&name) == Some(&true) => Check::ok("socket", "", format!("`{shown}` is there")),
        Ok(there) if there.contains_key(&name) => Check::error("socket", "", format!("`{shown}` is no socket")),
        Ok(there) => {
            let beside: Vec<&str> = there.keys().map(String::as_str).collect();
            let beside =
                if beside.is_empty() { String::new() } else { format!("; there is {}", super::check::few(beside)) };
            let message = format!("`{shown}` is not there{beside}");
            Check::error("socket", "", message)
                .fix("cmp-server makes it when it starts: look at its log; a changed plugin.yaml needs a new start")
        }
    }
}

fn user(user: Option<u32>) -> Check {
    let fix = format!("securityContext: {{runAsNonRoot: true, runAsUser: {USER}}}");
    match user {
        Some(USER) => Check::ok("user", "", format!("it runs as {USER}")),
        Some(0) => Check::error("user", "", "it runs as root").fix(fix),
        Some(user) => {
            let message =
                format!("it runs as {user}: the repo-server, {USER}, may not be allowed to connect to its socket");
            Check::warning("user", "", message).fix(fix)
        }
        None => Check::warning("user", "", "whom it runs as cannot be told").fix(fix),
    }
}

/// What the container may do beside reading and answering.
fn privileges(facts: &Facts) -> Check {
    let status = |name: &str| facts.status.get(name).map(String::as_str);
    let root_read_only = facts.mounts.lines().any(|line| {
        let mut fields = line.split(' ').skip(4);
        fields.next() == Some("/")
            && fields.next().is_some_and(|options| options.split(',').any(|option| option == "ro"))
    });
    let mut open = Vec::new();
    if !root_read_only {
        open.push("readOnlyRootFilesystem: true");
    }
    if status("NoNewPrivs") != Some("1") {
        open.push("allowPrivilegeEscalation: false");
    }
    if status("CapEff").is_none_or(|capabilities| capabilities.bytes().any(|digit| digit != b'0')) {
        open.push("capabilities: {drop: [ALL]}");
    }
    if status("Seccomp") != Some("2") {
        open.push("seccompProfile: {type: RuntimeDefault}");
    }
    if open.is_empty() {
        return Check::ok("privileges", "", "none: read-only, no capabilities, seccomp");
    }
    let message = "the container may do more than the plugin needs";
    Check::warning("privileges", "", message).fix(format!("securityContext: {{{}}}", open.join(", ")))
}

#[cfg(test)]
#[path = "sidecar_tests.rs"]
mod tests;
