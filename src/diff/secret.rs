//! What may be a secret, by kind of object, by name of field and by look. PURE.
//!
//! In: a place, or a text. Out: whether it is hidden, and [`masked`], a node as it may be shown. Of what is hidden neither
//! value nor length nor digest is told, a digest of content around it neither: only that it is there, or that it changed.

use super::change::Step;
use super::embedded;
use crate::node::{Entry, Map, Node, Value};
use crate::render::expand::dpf::CONTENT_DIGEST;
use crate::render::object::ObjectId;

/// What stands where a secret was.
pub const HIDDEN: &str = "‹hidden›";

/// Words of a name whose value is a secret.
const SECRET_WORDS: [&str; 21] = [
    "password",
    "passwords",
    "passwd",
    "passphrase",
    "passcode",
    "pwd",
    "secret",
    "secrets",
    "token",
    "tokens",
    "credential",
    "credentials",
    "bearer",
    "psk",
    "htpasswd",
    "kubeconfig",
    "dockerconfigjson",
    "dockercfg",
    "apikey",
    "privatekey",
    "community",
];
/// What makes a `key` one that opens something.
const KEY_OF: [&str; 14] = [
    "api",
    "private",
    "access",
    "secret",
    "signing",
    "encryption",
    "auth",
    "ssh",
    "tls",
    "shared",
    "client",
    "license",
    "master",
    "ca",
];
/// Last words of names that only speak about a secret.
const ABOUT: [&str; 32] = [
    "name",
    "names",
    "ref",
    "refs",
    "reference",
    "namespace",
    "namespaces",
    "file",
    "path",
    "dir",
    "class",
    "type",
    "kind",
    "store",
    "seconds",
    "expiration",
    "duration",
    "policy",
    "mode",
    "issuer",
    "audience",
    "audiences",
    "enabled",
    "version",
    "algorithm",
    "optional",
    "items",
    "pullsecrets",
    "create",
    "apiversion",
    "group",
    "cluster",
];
/// Where a text has one of these, it is a secret as it stands.
const LOOKS: [&str; 12] = [
    "PRIVATE KEY-----",
    "ghp_",
    "github_pat_",
    "glpat-",
    "xoxb-",
    "xoxp-",
    "AKIA",
    "nvapi-",
    "AGE-SECRET-KEY-",
    "hvs.",
    "dop_v1_",
    "npm_",
];
/// Beginning of the annotations by which charts have pods replaced when what they mount differs.
const CHECKSUM: &str = "checksum/";
/// Annotation that holds the object once more.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Whether an annotation is a digest of content, which tells of the secrets in it.
pub(super) fn is_digest(annotation: &str) -> bool {
    annotation == CONTENT_DIGEST || annotation.starts_with(CHECKSUM)
}

/// Whether the value of `key` is hidden, in a map below `steps` that is `maps` on the two sides.
pub(super) fn field(id: &ObjectId, steps: &[Step], key: &str, maps: &[&Map]) -> bool {
    if matches!(steps.last(), Some(Step::Key(map)) if map.ends_with("nnotations")) && is_digest(key) {
        return true;
    }
    if id.is("", "Secret") && (key == LAST_APPLIED || (steps.is_empty() && matches!(key, "data" | "stringData"))) {
        // The keys of a Secret are no secret: their values are looked at one by one.
        return key == LAST_APPLIED;
    }
    let [first, rest @ ..] = steps else { return names_secret(key) && !id.is("", "Secret") };
    if id.is("", "Secret") && matches!(first, Step::Key(first) if matches!(&**first, "data" | "stringData")) {
        return true;
    }
    if id.is("external-secrets.io", "ExternalSecret") {
        return false;
    }
    if matches!(key, "value" | "default") && maps.iter().any(|map| named_secret(map)) {
        return true;
    }
    // Below a field that names a secret: a map of such, in which what only speaks about it is shown.
    let below = [first].into_iter().chain(rest).any(|step| matches!(step, Step::Key(key) if names_secret(key)));
    let leaf = |map: &&Map| map.get(key).is_some_and(|value| !matches!(value.value(), Value::Map(_) | Value::List(_)));
    if below && maps.iter().any(leaf) {
        return !speaks_about(key);
    }
    names_secret(key) && maps.iter().any(|map| map.get(key).is_some_and(is_value))
}

/// Whether the item `at` of a list is hidden: what follows `--password` is.
pub(super) fn item(list: &[Node], at: usize) -> bool {
    let before = at.checked_sub(1).and_then(|at| list[at].as_str());
    before.is_some_and(|flag| flag.starts_with('-') && !flag.contains(['=', ' ', ':']) && names_secret(flag))
}

/// Whether a text is a secret by its looks, wherever it stands.
pub(super) fn looks(text: &str) -> bool {
    LOOKS.iter().any(|look| text.contains(look)) || has_userinfo(text) || is_web_token(text)
}

/// Whether a text that is no document is hidden: for its looks, or as the one line of it sets a secret.
pub(super) fn text(text: &str) -> bool {
    looks(text) || !text.trim_end_matches('\n').contains('\n') && assigns_secret(text)
}

/// The node as it may be shown, at `steps` of an object.
#[must_use]
pub fn masked(node: &Node, id: &ObjectId, steps: &mut Vec<Step>) -> Node {
    let hidden = |node: &Node| Node::str(HIDDEN, node.origin());
    match node.value() {
        Value::Map(map) => {
            let entries = map.entries().iter().map(|entry| {
                let value = if field(id, steps, &entry.key.text, &[map]) {
                    hidden(&entry.value)
                } else {
                    steps.push(Step::Key(entry.key.text.clone()));
                    let value = masked(&entry.value, id, steps);
                    steps.pop();
                    value
                };
                Entry { key: entry.key.clone(), value }
            });
            Node::new(Value::Map(Map::new(entries.collect())), node.origin())
        }
        Value::List(items) => {
            let masked =
                |(at, node): (usize, &Node)| if item(items, at) { hidden(node) } else { masked(node, id, steps) };
            Node::list(items.iter().enumerate().map(masked).collect(), node.origin())
        }
        Value::Str(string) if text(string) => hidden(node),
        Value::Str(string) if string.contains('\n') => match embedded::document(string) {
            // What it holds is shown as it is written, or not at all.
            Some(document) if masked(&document, id, steps) != document => hidden(node),
            Some(_) => node.clone(),
            None => Node::str(masked_lines(string), node.origin()),
        },
        Value::Str(string) if string.starts_with(['{', '[']) => match embedded::document(string) {
            Some(document) if masked(&document, id, steps) != document => hidden(node),
            _ => node.clone(),
        },
        _ => node.clone(),
    }
}

fn masked_lines(text: &str) -> String {
    let line = |line: &str| match line.strip_suffix('\n') {
        Some(bare) if assigns_secret(bare) => format!("{HIDDEN}\n"),
        None if assigns_secret(line) => HIDDEN.to_owned(),
        _ => line.to_owned(),
    };
    text.split_inclusive('\n').map(line).collect()
}

/// The words of a name: `imagePullSecretName`, `DB_PASSWORD` and `tls.key` are several.
fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut lower = false;
    for c in name.chars() {
        if !c.is_alphanumeric() {
            lower = false;
            words.push(String::new());
            continue;
        }
        if (c.is_uppercase() && lower) || words.is_empty() {
            words.push(String::new());
        }
        lower = c.is_lowercase() || c.is_numeric();
        if let Some(word) = words.last_mut() {
            word.extend(c.to_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// Whether the value of a field, variable or flag of this name is a secret.
fn names_secret(name: &str) -> bool {
    holds_secrets(name) && !speaks_about(name)
}

/// Whether a name is about secrets at all.
fn holds_secrets(name: &str) -> bool {
    let words = words(name);
    let word = |word: &String| SECRET_WORDS.contains(&word.as_str()) || word.ends_with("password");
    let pair = |pair: &[String]| {
        let [first, second] = pair else { return false };
        matches!(second.as_str(), "key" | "keys") && KEY_OF.contains(&first.as_str())
    };
    words.iter().any(word) || words.windows(2).any(pair)
}

/// Whether a name says something about a secret and not what it is.
fn speaks_about(name: &str) -> bool {
    let words = words(name);
    let last_two = words.len().checked_sub(2).map(|from| words[from..].concat());
    let about = |word: &str| ABOUT.contains(&word);
    words.last().is_some_and(|last| about(last))
        || last_two.is_some_and(|last| about(&last))
        || words.first().is_some_and(|first| matches!(first.as_str(), "automount" | "use" | "enable" | "has" | "allow"))
}

/// `{name: DB_PASSWORD, value: …}`.
fn named_secret(map: &Map) -> bool {
    ["name", "key"].iter().any(|key| map.get(key).and_then(Node::as_str).is_some_and(names_secret))
}

/// A text or number, or a list that has one of them: what a switch says is no secret.
fn is_value(node: &Node) -> bool {
    match node.value() {
        Value::Str(_) | Value::Number(_) => true,
        Value::List(items) => items.iter().any(|item| matches!(item.value(), Value::Str(_) | Value::Number(_))),
        _ => false,
    }
}

/// `PASSWORD=x`, `"token": "x"`, `--secret x`, `user:password` for `chpasswd`.
fn assigns_secret(line: &str) -> bool {
    let name_end = |from: usize| {
        line[from..].find(|c: char| !(c.is_alphanumeric() || "_-.".contains(c))).map_or(line.len(), |end| from + end)
    };
    let mut at = 0;
    while let Some(start) = line[at..].find(|c: char| c.is_alphanumeric() || "_-".contains(c)).map(|start| at + start) {
        let end = name_end(start);
        let name = &line[start..end];
        let rest = &line[end..];
        let behind = rest.trim_start_matches(['"', '\'', ' ']);
        let assigned = behind.starts_with(['=', ':']) && !behind[1..].trim_matches(['"', '\'', ' ']).is_empty();
        let flag = name.starts_with('-') && rest.starts_with(' ') && !rest.trim().is_empty();
        if (assigned || flag) && names_secret(name) || name == "chpasswd" {
            return true;
        }
        at = end;
    }
    false
}

/// `https://user:password@host`.
fn has_userinfo(text: &str) -> bool {
    text.match_indices("://").any(|(at, _)| {
        let rest = &text[at + 3..];
        let authority = &rest[..rest.find(['/', '?', '#', ' ', '\n', '"', '\'']).unwrap_or(rest.len())];
        authority.rsplit_once('@').is_some_and(|(user, _)| user.contains(':'))
    })
}

/// `eyJ….eyJ….…`.
fn is_web_token(text: &str) -> bool {
    text.match_indices("eyJ").any(|(at, _)| {
        text[at..].split(['"', ' ', '\n']).next().is_some_and(|word| word.matches('.').count() == 2 && word.len() > 40)
    })
}
