//! What the API server wrote down of the agent's requests, beside what the agent's account may do. EDGE of the tests.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use super::card::{Card, NAMESPACE};

/// A right: API group, resource, verb.
pub(crate) type Right = (String, String, String);

/// A request of the agent.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) verb: String,
    pub(crate) uri: String,
    pub(crate) code: u64,
    right: Option<Right>,
}

/// Every request of the agent that was answered, in order.
pub(crate) fn requests(card: &Card) -> Vec<Request> {
    let text = fs::read_to_string(card.places.scratch.join("audit.log")).unwrap();
    let user = format!("system:serviceaccount:{NAMESPACE}:dpu-agent");
    let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter(|line| line["user"]["username"] == *user).map(|line| request(&line)).collect()
}

fn request(line: &Value) -> Request {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (verb, code) = (text(&line["verb"]), line["responseStatus"]["code"].as_u64().unwrap_or_default());
    let object = &line["objectRef"];
    let resource = match object["subresource"].as_str() {
        Some(subresource) => format!("{}/{subresource}", text(&object["resource"])),
        None => text(&object["resource"]),
    };
    let right = object.is_object().then(|| (text(&object["apiGroup"]), resource, verb.clone()));
    Request { verb, uri: text(&line["requestURI"]), code, right }
}

/// The rights that requests made use of. Applying what is not there needs `create` beside `patch`.
pub(crate) fn used(requests: &[Request]) -> BTreeSet<Right> {
    let mut used = BTreeSet::new();
    for request in requests {
        let Some(right) = &request.right else { continue };
        used.insert(right.clone());
        if request.verb == "patch" && request.code == 201 {
            used.insert((right.0.clone(), right.1.clone(), "create".to_owned()));
        }
    }
    used
}

/// The rights that the renderer gives.
pub(crate) fn granted(card: &Card) -> BTreeSet<Right> {
    let role = card.brought.iter().find(|one| one["kind"] == "ClusterRole").unwrap();
    let strings = |value: &Value| -> Vec<String> {
        value.as_array().unwrap().iter().map(|one| one.as_str().unwrap().to_owned()).collect()
    };
    let mut granted = BTreeSet::new();
    for rule in role["rules"].as_array().unwrap() {
        for group in strings(&rule["apiGroups"]) {
            for resource in strings(&rule["resources"]) {
                let rights = strings(&rule["verbs"]).into_iter().map(|verb| (group.clone(), resource.clone(), verb));
                granted.extend(rights);
            }
        }
    }
    granted
}
