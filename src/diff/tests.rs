//! What a comparison must keep: equal sides have no edits, edits applied to the one side give the other, secrets stay.

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::change::{Edit, Step, item_value};
use super::{embedded, secret, walk};
use crate::node::Node;
use crate::render::object::ObjectId;
use crate::source::Origin;

fn node(json: &Json) -> Node {
    Node::from_json(json, Origin::NONE)
}

fn id() -> ObjectId {
    ObjectId::new("apps", "Deployment", "n", "x")
}

fn edits(before: &Json, after: &Json) -> Vec<Edit> {
    walk::edits(&node(before), &node(after), &id())
}

/// The value with the edits made; `depth` steps of each path lead to it.
fn apply(value: &Json, edits: &[&Edit], depth: usize) -> Json {
    if let Some(whole) = edits.iter().find(|edit| edit.path.0.len() == depth && !edit.reordered) {
        assert_eq!(edits.len(), 1, "a place is edited twice: {}", whole.path);
        assert_eq!(whole.before.as_ref().unwrap().to_json(), *value, "before, at {}", whole.path);
        return whole.after.as_ref().unwrap().to_json();
    }
    match value {
        Json::Object(map) => {
            let mut map = map.clone();
            for (key, edits) in grouped(edits, depth) {
                let Step::Key(key) = key else { panic!("{key:?} in a map") };
                match whole(&edits, depth + 1) {
                    Some((None, after)) => assert!(map.insert(key.to_string(), after.unwrap()).is_none()),
                    Some((Some(before), None)) => assert_eq!(map.remove(&*key), Some(before)),
                    _ => {
                        let new = apply(&map[&*key], &edits, depth + 1);
                        map.insert(key.to_string(), new);
                    }
                }
            }
            Json::Object(map)
        }
        Json::Array(items) => {
            let order = edits.iter().find(|edit| edit.path.0.len() == depth).copied();
            let rest: Vec<&Edit> = edits.iter().copied().filter(|edit| edit.path.0.len() > depth).collect();
            let groups = grouped(&rest, depth);
            let items = if groups.iter().all(|(step, _)| matches!(step, Step::Index(_))) {
                by_index(items, &groups, depth)
            } else {
                by_key(items, &groups, depth)
            };
            Json::Array(match order {
                None => items,
                Some(order) => {
                    let wanted = order.after.as_ref().unwrap().to_json();
                    let wanted = wanted.as_array().unwrap().clone();
                    // The same items, in another order.
                    let sorted = |items: &[Json]| {
                        let mut texts: Vec<String> = items.iter().map(Json::to_string).collect();
                        texts.sort();
                        texts
                    };
                    assert_eq!(sorted(&items), sorted(&wanted));
                    assert_ne!(items, wanted);
                    wanted
                }
            })
        }
        _ => {
            assert!(edits.is_empty());
            value.clone()
        }
    }
}

/// Edits by their step at `depth`, in the order in which they come. What is removed is at its index in the base, apart from
/// what is at that index in the head.
fn grouped<'e>(edits: &[&'e Edit], depth: usize) -> Vec<(Step, Vec<&'e Edit>)> {
    let gone = |edit: &Edit| edit.path.0.len() == depth + 1 && edit.after.is_none();
    let mut groups: Vec<(Step, Vec<&Edit>)> = Vec::new();
    for edit in edits {
        let step = &edit.path.0[depth];
        match groups.iter_mut().find(|(known, group)| known == step && !gone(edit) && !gone(group[0])) {
            Some((_, group)) => group.push(edit),
            None => groups.push((step.clone(), vec![edit])),
        }
    }
    groups
}

/// Both halves where the edits are one of the place itself.
fn whole(edits: &[&Edit], depth: usize) -> Option<(Option<Json>, Option<Json>)> {
    let json = |side: &Option<Node>| side.as_ref().map(Node::to_json);
    let [edit] = edits else { return None };
    (edit.path.0.len() == depth).then(|| (json(&edit.before), json(&edit.after)))
}

fn by_index(items: &[Json], groups: &[(Step, Vec<&Edit>)], depth: usize) -> Vec<Json> {
    let at = |step: &Step| if let Step::Index(at) = step { *at } else { panic!("{step:?}") };
    let (mut gone, mut come) = (Vec::new(), Vec::new());
    for (step, edits) in groups {
        match whole(edits, depth + 1) {
            Some((Some(before), None)) => {
                assert_eq!(items[at(step)], before);
                gone.push(at(step));
            }
            Some((None, Some(after))) => come.push((at(step), after)),
            _ => {}
        }
    }
    let kept = items.iter().enumerate().filter(|(at, _)| !gone.contains(at)).map(|(_, item)| item.clone());
    let mut new: Vec<Json> = kept.collect();
    come.sort_by_key(|(at, _)| *at);
    for (at, item) in come {
        new.insert(at, item);
    }
    for (step, edits) in groups {
        if !matches!(whole(edits, depth + 1), Some((None, _) | (_, None))) {
            new[at(step)] = apply(&new[at(step)], edits, depth + 1);
        }
    }
    new
}

fn by_key(items: &[Json], groups: &[(Step, Vec<&Edit>)], depth: usize) -> Vec<Json> {
    let mut items = items.to_vec();
    for (step, edits) in groups {
        let Step::Item { key, value } = step else { panic!("{step:?} in a list of keys") };
        let at = items.iter().position(|item| item_value(&node(&item[*key])) == *value);
        match (whole(edits, depth + 1), at) {
            (Some((None, Some(after))), None) => items.push(after),
            (Some((Some(before), None)), Some(at)) => assert_eq!(items.remove(at), before),
            (_, Some(at)) => items[at] = apply(&items[at], edits, depth + 1),
            (whole, None) => panic!("no item {value}: {whole:?}"),
        }
    }
    items
}

fn applied(before: &Json, edits: &[Edit]) -> Json {
    apply(before, &edits.iter().collect::<Vec<_>>(), 0)
}

/// Whether every opened text, edited inside, holds what the other holds.
fn insides_apply(edits: &[Edit]) {
    for edit in edits {
        let Some(inside) = &edit.inside else { continue };
        let (before, after) = (edit.before.as_ref().unwrap(), edit.after.as_ref().unwrap());
        let opened = embedded::open(before, after, before.as_str().unwrap(), after.as_str().unwrap());
        let (form, old, new) = opened.unwrap();
        assert_eq!(form, inside.form);
        assert_eq!(applied(&old.to_json(), &inside.edits), new.to_json());
        insides_apply(&inside.edits);
    }
}

fn scalars() -> impl Strategy<Value = Json> {
    prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        (-3i64..4).prop_map(Json::from),
        Just(json!(1.0)),
        Just(json!(2.5)),
        "[ab]{0,2}".prop_map(Json::from),
        Just(json!("a: 1\nb: [x, y]\n")),
        Just(json!("a: 1\nb: [x]\nc: {{ d }}\n")),
        Just(json!("{\"a\": [1, 2]}")),
        Just(json!("{\"a\": [2]}")),
        Just(json!("#!/bin/sh\nif: [\n  one\n  two\n")),
        Just(json!("#!/bin/sh\nif: [\n  two\n  three\n  password=x\n")),
    ]
}

fn trees() -> impl Strategy<Value = Json> {
    let key = prop_oneof!["[abc]", Just("name".to_owned()), Just("password".to_owned()), Just("env".to_owned())];
    scalars().prop_recursive(4, 40, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Json::from),
            prop::collection::vec(("[abcde]", inner.clone()), 0..5).prop_map(|items| {
                items.into_iter().map(|(name, value)| json!({"name": name, "value": value})).collect::<Json>()
            }),
            prop::collection::btree_map(key.clone(), inner, 0..5)
                .prop_map(|map| Json::Object(map.into_iter().collect())),
        ]
    })
}

/// Two trees that have much in common: the second is the first with some places taken from another.
fn pairs() -> impl Strategy<Value = (Json, Json)> {
    (trees(), trees(), any::<u64>()).prop_map(|(first, other, seed)| {
        let mut state = seed;
        let second = mixed(&first, &other, &mut state);
        (json!({"spec": first}), json!({"spec": second}))
    })
}

fn mixed(first: &Json, other: &Json, state: &mut u64) -> Json {
    let mut draw = |of: u64| {
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (*state >> 33) % of
    };
    if draw(8) == 0 {
        return other.clone();
    }
    match first {
        Json::Object(map) => {
            let kept: Vec<(&String, &Json)> = map.iter().filter(|_| draw(6) > 0).collect();
            kept.into_iter().map(|(key, value)| (key.clone(), mixed(value, other, state))).collect()
        }
        Json::Array(items) => {
            let mut new: Vec<Json> = Vec::new();
            for item in items {
                let mut draw = |of: u64| {
                    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    (*state >> 33) % of
                };
                match draw(6) {
                    0 => {}
                    1 => new.insert(0, item.clone()),
                    2 => new.extend([other.clone(), item.clone()]),
                    _ => new.push(mixed(item, other, state)),
                }
            }
            Json::Array(new)
        }
        scalar => scalar.clone(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1500) })]

    #[test]
    fn equal_sides_have_no_edits(tree in trees()) {
        prop_assert_eq!(edits(&tree, &tree.clone()).len(), 0);
    }

    #[test]
    fn edits_applied_to_the_base_give_the_head((before, after) in pairs()) {
        let edits = edits(&before, &after);
        prop_assert_eq!(applied(&before, &edits), after.clone());
        prop_assert_eq!(edits.is_empty(), before == after);
        insides_apply(&edits);
    }
}

#[test]
fn names_of_secrets_are_known_and_what_speaks_about_them_is_not_hidden() {
    let hidden = |name: &str| {
        let value = json!({"spec": {name: "planted"}});
        secret::masked(&node(&value), &id(), &mut Vec::new()).to_json() != value
    };
    for name in [
        "password",
        "DB_PASSWORD",
        "rootPassword",
        "adminpassword",
        "apiKey",
        "api_key",
        "secretKey",
        "clientSecret",
        "token",
        "authToken",
        "accessToken",
        "privateKey",
        "ssh-key",
        ".dockerconfigjson",
        "bgp_password",
        "kubeconfig",
        "tls.key",
    ] {
        assert!(hidden(name), "{name}");
    }
    for name in [
        "secretName",
        "imagePullSecretName",
        "tokenExpirationSeconds",
        "passwordFile",
        "keyName",
        "key",
        "serviceAccountName",
        "automountServiceAccountToken",
        "publicKey",
        "monkey",
        "tokenPolicy",
        "secretRef",
        "mtu",
        "keyboard",
    ] {
        assert!(!hidden(name), "{name}");
    }
}

#[test]
fn secrets_are_known_by_kind_by_neighbour_and_by_look() {
    let shown = |id: &ObjectId, value: Json| secret::masked(&node(&value), id, &mut Vec::new()).to_json().to_string();
    let secret_kind = ObjectId::new("", "Secret", "n", "x");
    let text = shown(
        &secret_kind,
        json!({"data": {"harmless": "cGxhbnRlZA=="}, "type": "Opaque", "stringData": {"name": "planted"}}),
    );
    assert!(
        !text.contains("cGxh") && !text.contains("planted") && text.contains("harmless") && text.contains("Opaque")
    );
    for hidden in [
        json!({"env": [{"name": "API_TOKEN", "value": "planted"}]}),
        json!({"metadata": {"annotations": {"dpu-render.dev/content-digest": "planted"}}}),
        json!({"values": {"podAnnotations": {"checksum/config": "planted"}}}),
        json!({"args": ["--password", "planted"]}),
        json!({"args": ["--auth-token=planted"]}),
        json!({"command": ["sh", "-c", "login --password planted"]}),
        json!({"a": "postgres://me:planted@db/x"}),
        json!({"a": "-----BEGIN RSA PRIVATE KEY-----\nplanted\n"}),
        json!({"a": "nvapi-planted"}),
        json!({"secrets": {"db": "planted"}}),
        json!({"credentials": [{"user": "planted"}]}),
        json!({"a": "{\"token\": \"planted\"}"}),
        json!({"a": "x: 1\npassword: planted\n"}),
        json!({"a": "users:\n- name: x\n  passwords:\n  - planted\n"}),
        json!({"a": "#!/bin/sh\nexport DB_PASSWORD=planted\nif true; then :\n"}),
        json!({"a": "echo 'ubuntu:planted' | chpasswd\nif [\n"}),
    ] {
        let text = shown(&id(), hidden.clone());
        assert!(!text.contains("planted"), "{hidden} → {text}");
    }
    for open in [
        json!({"volumes": [{"name": "v", "secret": {"secretName": "plain", "defaultMode": 420}}]}),
        json!({"imagePullSecrets": [{"name": "plain"}]}),
        json!({"env": [{"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "plain", "key": "plain"}}}]}),
        json!({"a": "https://plain.example.net/x@y"}),
        json!({"a": "#!/bin/sh\nif [ -f /run/plain ]; then :\n"}),
    ] {
        assert_eq!(shown(&id(), open.clone()), open.to_string());
    }
}

#[test]
fn a_list_of_a_hundred_thousand_lines_is_compared() {
    let text = |from: usize| (from..from + 100_000).map(|line| format!("{line} [\n")).collect::<String>();
    let (before, after) = (json!({"a": text(0)}), json!({"a": text(50_000)}));
    let edits = edits(&before, &after);
    assert_eq!(applied(&before, &edits), after);
}
