//! How a sidecar runs a command: its environment, its end, and the words for how it ended.
#![expect(clippy::disallowed_methods, clippy::unwrap_used, reason = "a double of tests runs programs by the clock")]

use std::collections::BTreeMap;
use std::io::Read;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

/// A command that was run.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Call {
    /// As an error shows it.
    pub(crate) argv: String,
    /// Everything that was unpacked, by path.
    pub(crate) files: Vec<String>,
    /// The exit code; absent where a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// What descendants have between SIGTERM and SIGKILL.
const GRACE: Duration = Duration::from_secs(5);

/// Runs a command; its stdout without the last newline, or the error.
pub(super) fn run(
    command: &[String],
    folder: &Path,
    env: &[(String, String)],
    deadline: Duration,
) -> (Call, Result<String, String>) {
    let start = Instant::now();
    let mut process = Command::new(&command[0]);
    process.args(&command[1..]).current_dir(folder).env_clear().envs(env.iter().cloned()).process_group(0);
    let mut child = process.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (stdout, stderr) = (reader(child.stdout.take().unwrap()), reader(child.stderr.take().unwrap()));
    let group = child.id();
    let mut ended = None;
    // The call lasts until everybody who holds a pipe is gone, or the deadline comes.
    while start.elapsed() < deadline {
        ended = ended.or(child.try_wait().unwrap());
        if ended.is_some() && stdout.is_finished() && stderr.is_finished() {
            break;
        }
        thread::sleep(Duration::from_millis(1));
    }
    if ended.is_none() {
        child.kill().unwrap();
    }
    let end = Instant::now();
    signal("-TERM", group);
    let status = ended.unwrap_or_else(|| child.wait().unwrap());
    while !(stdout.is_finished() && stderr.is_finished()) && end.elapsed() < GRACE {
        thread::sleep(Duration::from_millis(1));
    }
    signal("-KILL", group);
    let argv = shown(command);
    let (stdout, stderr) = (stdout.join().unwrap(), stderr.join().unwrap());
    let said = if status.success() {
        Ok(stdout.strip_suffix('\n').unwrap_or(&stdout).to_owned())
    } else {
        let why = match stderr.trim() {
            "" => String::new(),
            text => format!(": {text}"),
        };
        Err(format!("`{argv}` failed {}{why}", ending(status)))
    };
    (Call { argv, files: Vec::new(), code: status.code(), stdout, stderr }, said)
}

fn reader(mut stream: impl Read + Send + 'static) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    })
}

/// To every process of the group, of which none may be left.
fn signal(signal: &str, group: u32) {
    let mut kill = Command::new("kill");
    kill.args([signal, "--", &format!("-{group}")]).stderr(Stdio::null());
    assert!(kill.status().is_ok());
}

fn shown(command: &[String]) -> String {
    let word = |word: &String| match word {
        word if word.is_empty() || word.contains(char::is_whitespace) => format!("{word:?}"),
        word => word.clone(),
    };
    command.iter().map(word).collect::<Vec<String>>().join(" ")
}

fn ending(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(9)) => "signal: killed".to_owned(),
        (None, Some(15)) => "signal: terminated".to_owned(),
        (None, signal) => format!("signal: {signal:?}"),
    }
}

/// `ARGOCD_ENV_*`, `ARGOCD_APP_PARAMETERS` and `PARAM_*` of `source.plugin`.
pub(super) fn of_plugin(plugin: &Value, known: &BTreeMap<&str, &str>) -> Vec<(String, String)> {
    let mut env = Vec::new();
    for entry in plugin["env"].as_array().into_iter().flatten() {
        let [name, value] = ["name", "value"].map(|key| entry[key].as_str().unwrap());
        env.push((format!("ARGOCD_ENV_{name}"), expanded(value, known)));
    }
    let empty = Vec::new();
    let parameters = plugin["parameters"].as_array().unwrap_or(&empty);
    let mut written = Vec::new();
    for parameter in parameters {
        let mut fields: BTreeMap<&str, Value> = BTreeMap::from([("name", Value::from(""))]);
        fields.extend(parameter.as_object().unwrap().iter().map(|(key, value)| (key.as_str(), value.clone())));
        let name = escaped(fields["name"].as_str().unwrap());
        match (fields.get("string"), fields.get("array"), fields.get("map")) {
            (Some(Value::String(text)), ..) => env.push((format!("PARAM_{name}"), text.clone())),
            (_, Some(Value::Array(list)), _) => env.extend(
                list.iter()
                    .enumerate()
                    .map(|(index, item)| (format!("PARAM_{name}_{index}"), item.as_str().unwrap().to_owned())),
            ),
            (.., Some(Value::Object(map))) => env.extend(
                map.iter().map(|(key, item)| (format!("PARAM_{name}_{}", escaped(key)), item.as_str().unwrap().into())),
            ),
            _ => {}
        }
        written.push(serde_json::to_string(&fields).unwrap());
    }
    let written = if parameters.is_empty() { "null".to_owned() } else { format!("[{}]", written.join(",")) };
    // As Go's encoder writes what HTML would take for its own.
    let written = written.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026");
    env.push(("ARGOCD_APP_PARAMETERS".to_owned(), written));
    env
}

fn escaped(name: &str) -> String {
    let name = name.to_uppercase();
    name.chars().map(|c| if matches!(c, 'A'..='Z' | '0'..='9' | '_') { c } else { '_' }).collect()
}

/// `$NAME` and `${NAME}` of what Argo CD knows, nothing for other names, `$$` for a dollar sign.
fn expanded(text: &str, known: &BTreeMap<&str, &str>) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let name = if let Some(braced) = rest.strip_prefix('{') {
            let name = braced.split('}').next().unwrap();
            rest = braced[name.len()..].strip_prefix('}').unwrap_or_default();
            name
        } else if let Some(after) = rest.strip_prefix('$') {
            rest = after;
            "$"
        } else {
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
            let name = &rest[..end];
            rest = &rest[end..];
            name
        };
        // A dollar sign before nothing that is a name stays.
        out.push_str(if matches!(name, "" | "$") { "$" } else { known.get(name).copied().unwrap_or_default() });
    }
    out + rest
}

#[test]
fn variables_are_expanded_as_in_go() {
    let known = BTreeMap::from([("A", "1"), ("B_2", "2")]);
    for (text, expected) in
        [("$A", "1"), ("x${A}y", "x1y"), ("$B_2/$A", "2/1"), ("a$C-", "a-"), ("$$A", "$A"), ("5$", "5$"), ("", "")]
    {
        assert_eq!(expanded(text, &known), expected, "{text}");
    }
}
