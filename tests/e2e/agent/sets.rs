//! Sets in a cluster without a set controller: the agent makes the members of its node itself.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::audit::{Request, granted, requests, used};
use super::card::{Card, Chains, NAMESPACE, NODE, chain, condition, physical, vf};
use crate::shared::shared;
use crate::wait;

/// The kinds of Sets of a release.
fn crds_of_sets(release: &str) -> Option<Vec<PathBuf>> {
    let folder = shared(&format!("crds/{release}"))?;
    Some(
        ["servicechainsets", "serviceinterfacesets"]
            .map(|kind| folder.join(format!("svc.dpu.nvidia.com_{kind}.yaml")))
            .into(),
    )
}

/// What `--sets` needs beside the role that the renderer brings, which has no right that a cluster with a set controller has no
/// use for. A `ClusterRole` cannot say "its own node" of each card.
fn right() -> [Value; 2] {
    let rule = |group: &str, resources: &[&str]| json!({"apiGroups": [group], "resources": resources, "verbs": ["list", "watch"]});
    let meta = json!({"name": "dpu-agent-sets"});
    let group = "rbac.authorization.k8s.io";
    let rules =
        json!([rule("svc.dpu.nvidia.com", &["servicechainsets", "serviceinterfacesets"]), rule("", &["nodes"])]);
    let role = json!({"apiVersion": format!("{group}/v1"), "kind": "ClusterRole", "metadata": meta, "rules": rules});
    let binding = json!({
        "apiVersion": format!("{group}/v1"), "kind": "ClusterRoleBinding", "metadata": meta,
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "dpu-agent-sets"},
        "subjects": [{"kind": "ServiceAccount", "name": "dpu-agent", "namespace": NAMESPACE}],
    });
    [role, binding]
}

/// A Set whose members are like this object, on nodes that are selected.
fn set_on(mut object: Value, selector: Value) -> Value {
    object["kind"] = json!(format!("{}Set", object["kind"].as_str().unwrap()));
    let labels = object["metadata"]["labels"].take();
    let mut spec = object["spec"].take();
    spec.as_object_mut().unwrap().remove("node");
    object["metadata"].as_object_mut().unwrap().remove("labels");
    object["spec"] = json!({"nodeSelector": selector, "template": {"metadata": {"labels": labels}, "spec": spec}});
    object
}

fn set(object: Value) -> Value {
    set_on(object, json!({"matchLabels": {"rack": "r1"}}))
}

/// Puts the node into a rack.
fn rack(card: &Card, name: Option<&str>) {
    card.kubectl().patch("nodes", "default", NODE, &json!({"metadata": {"labels": {"rack": name}}}));
}

/// What the object of the node says of its interfaces or chains: name and condition.
fn told(card: &Card, list: &str) -> Vec<String> {
    let node = card.node();
    let text = |one: &Value, key: &str| one[key].as_str().unwrap_or_default().to_owned();
    let line = |one: &Value| {
        format!("{}/{} {}", text(one, "namespace"), text(one, "name"), condition(&one["conditions"], "Ready"))
    };
    node[list].as_array().into_iter().flatten().map(line).collect()
}

fn until_told(card: &Card, list: &str, expected: &[&str]) {
    let expected: Vec<String> = expected.iter().map(|line| (*line).to_owned()).collect();
    card.until_is(&format!("what is told of {list}"), &expected, || told(card, list));
}

/// The flows that are there when this many are.
fn until_named(card: &Card, count: usize) -> BTreeSet<String> {
    card.until_flows(count);
    card.named_flows()
}

fn until_line(card: &Card, line: &str) {
    card.until(&format!("`{line}`"), || match card.said() {
        said if said.lines().any(|one| one.starts_with(line)) => Ok(()),
        said => Err(said),
    });
}

fn until_readiness(card: &Card, part: &str) {
    card.until(&format!("readiness has `{part}`"), || match card.asked("/readyz") {
        Ok(said) if said.contains(part) => Ok(()),
        Ok(said) | Err(said) => Err(said),
    });
}

#[test]
#[ignore = "needs the programs and the network of the lab: make e2e"]
fn members_of_sets_follow_their_set_and_their_node() {
    let Some(crds) = crds_of_sets("dpf-v24.10") else { return };
    let card = Card::start("sets", 9150, Chains::Ours);
    card.kubectl().apply_crds(&crds);
    card.kubectl().apply(&right());
    let all = json!({"matchExpressions": [{"key": "rack", "operator": "In", "values": ["r0", "r1"]}]});
    card.kubectl().apply(&[
        set_on(physical("p0"), all),
        set(vf(1)),
        set(vf(2)),
        set(chain("c", &["p0", "vf1"])),
        // Of another rack.
        set_on(vf(7), json!({"matchLabels": {"rack": "r7"}})),
    ]);
    // An object and a chain that nobody needs a Set for.
    card.kubectl().apply(&[vf(8), vf(9), chain("plain", &["vf8", "vf9"])]);
    card.start_agent(&["--sets", "--audit=1"]);
    card.until_ready();
    until_told(&card, "chains", &["agents/plain True/Success"]);
    let plain = until_named(&card, 2);
    assert_eq!(card.ports(), ["pf0vf8", "pf0vf9"], "the node has no label yet");

    // As the set controller names them.
    rack(&card, Some("r1"));
    let whole = until_named(&card, 4);
    assert!(plain.is_subset(&whole), "{whole:?}");
    until_told(&card, "chains", &["agents/c-card1 True/Success", "agents/plain True/Success"]);
    let interfaces =
        ["p0-card1", "vf1-card1", "vf2-card1", "vf8", "vf9"].map(|name| format!("agents/{name} True/Success"));
    until_told(&card, "interfaces", &interfaces.each_ref().map(String::as_str));
    card.until_ready();
    let ids = card.switch.vsctl(&["get", "interface", "pf0vf1", "external_ids"]);
    assert_eq!(ids.trim(), "{dpf-id=\"agents/vf1-card1\", dpu-agent=\"agents/vf1-card1\"}");

    follows_the_node(&card, &plain, &whole);
    follows_the_sets(&card, &whole);

    // Of Sets, nothing but the uplink is left, which carries the others of a card.
    for (plural, name) in [("servicechainsets", "c"), ("serviceinterfacesets", "vf1"), ("serviceinterfacesets", "p0")] {
        card.delete(plural, name);
    }
    card.until_is("the flows without Sets", &plain, || card.named_flows());
    card.delete("serviceinterfacesets", "vf2");
    card.until_is("the ports without Sets", &["p0", "pf0vf8", "pf0vf9"].map(str::to_owned).into(), || card.ports());
    until_told(&card, "chains", &["agents/plain True/Success"]);
    until_told(&card, "interfaces", &["agents/vf8 True/Success", "agents/vf9 True/Success"]);
    card.until_ready();
    has_no_more_than_it_needs(&card);
}

/// Its label goes, becomes another, and comes back; the agent is the same all the time.
fn follows_the_node(card: &Card, plain: &BTreeSet<String>, whole: &BTreeSet<String>) {
    for other in [None, Some("r7"), Some("r0")] {
        rack(card, other);
        card.until_is("the flows without the chain", plain, || card.named_flows());
        // The uplink stays where it is.
        let mut ports = vec!["p0".to_owned(), "pf0vf8".to_owned(), "pf0vf9".to_owned()];
        if other == Some("r7") {
            ports.insert(1, "pf0vf7".to_owned());
        }
        card.until_is("the ports of the rack", &ports, || card.ports());
        until_told(card, "chains", &["agents/plain True/Success"]);
        card.until_ready();
        rack(card, Some("r1"));
        card.until_is("the flows of the chain", whole, || card.named_flows());
        until_told(card, "chains", &["agents/c-card1 True/Success", "agents/plain True/Success"]);
        card.until_ready();
    }
    // What a kubelet says of its node all the time is none of this.
    let before = (card.versions(), card.flows());
    let conditions = json!([{"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "m"}]);
    card.kubectl().set_status("nodes", "default", NODE, &json!({"conditions": conditions}));
    wait::stays("as it was", 3, || match (card.versions(), card.flows()) {
        now if now == before => Ok(()),
        now => Err(format!("{before:?} became {now:?}")),
    });
}

/// A template becomes another, and one that cannot be read.
fn follows_the_sets(card: &Card, whole: &BTreeSet<String>) {
    card.kubectl().apply(&[set(chain("c", &["p0", "vf2"]))]);
    let moved: BTreeSet<String> = whole.iter().map(|flow| flow.replace("pf0vf1", "pf0vf2")).collect();
    card.until_is("the flows of the edited chain", &moved, || card.named_flows());
    let mut other = vf(2);
    other["spec"]["vf"]["vfID"] = json!(12);
    card.kubectl().apply(&[set(other)]);
    let moved: BTreeSet<String> = whole.iter().map(|flow| flow.replace("pf0vf1", "pf0vf12")).collect();
    card.until_is("the flows of the edited interface", &moved, || card.named_flows());
    card.until_is(
        "the port is another",
        &["p0", "pf0vf1", "pf0vf12", "pf0vf8", "pf0vf9"].map(str::to_owned).into(),
        || card.ports(),
    );
    card.until_ready();

    // What the CRD lets through and no switch can have: it is told, and takes no traffic away.
    let mut wrong = vf(2);
    wrong["spec"]["vf"]["vfID"] = json!(99_999);
    card.kubectl().apply(&[
        set(wrong),
        set_on(chain("c", &["p0", "vf2"]), json!({"matchExpressions": [{"key": "rack", "operator": "Is"}]})),
    ]);
    card.until("the fault is told", || match told(card, "interfaces") {
        lines if lines.iter().any(|line| line.starts_with("agents/vf2-card1 False/")) => Ok(()),
        lines => Err(lines.join("\n")),
    });
    wait::stays("the flows", 3, || match card.named_flows() {
        now if now == moved => Ok(()),
        now => Err(format!("{now:?}")),
    });
    card.kubectl().apply(&[set(vf(2)), set(chain("c", &["p0", "vf1"]))]);
    card.until_is("the flows of the first chain", whole, || card.named_flows());
    card.until_ready();
}

/// Each right of the agent's with Sets was of use, none was missing, and nobody wrote to an object that is not there.
fn has_no_more_than_it_needs(card: &Card) {
    let requests = requests(card);
    let refused: Vec<_> = requests.iter().filter(|one| matches!(one.code, 401 | 403)).collect();
    assert!(refused.is_empty(), "{refused:#?}");
    let of_members: Vec<_> = requests.iter().filter(|one| one.uri.contains("-card1")).collect();
    assert!(of_members.is_empty(), "{of_members:#?}");
    let used = used(&requests);
    let right = |resource: &str, verb: &str| {
        let group = if resource == "nodes" { "" } else { "svc.dpu.nvidia.com" };
        (group.to_owned(), resource.to_owned(), verb.to_owned())
    };
    let more: BTreeSet<_> = ["servicechainsets", "serviceinterfacesets", "nodes"]
        .into_iter()
        .flat_map(|resource| ["list", "watch"].map(|verb| right(resource, verb)))
        .collect();
    assert!(granted(card).is_disjoint(&more), "the renderer's role has them already");
    let beyond: BTreeSet<_> = used.difference(&granted(card)).cloned().collect();
    assert_eq!(beyond, more, "beside the renderer's role");
}

#[test]
#[ignore = "needs the programs and the network of the lab: make e2e"]
fn sets_that_cannot_be_read_take_nothing_away() {
    let Some(crds) = crds_of_sets("dpf-v26.8-nightly") else { return };
    let card = Card::start("setless", 9160, Chains::Ours);
    card.kubectl().apply(&right());
    rack(&card, Some("r1"));
    card.kubectl().apply(&[vf(8), vf(9), chain("plain", &["vf8", "vf9"])]);

    // A cluster without these kinds has no Set: the agent says so, and does the rest.
    card.start_agent(&["--sets"]);
    for kind in ["ServiceChainSet", "ServiceInterfaceSet"] {
        until_line(&card, &format!("problem: {kind}: the cluster has no {kind}: is its CRD installed?"));
        until_readiness(&card, &format!("{kind}: the cluster has no {kind}"));
    }
    card.until_flows(2);
    card.until_ready();
    until_readiness(&card, "readyz check passed");
    card.kubectl().apply_crds(&crds);
    card.kubectl().apply(&[set(physical("p0")), set(vf(1)), set(chain("c", &["p0", "vf1"]))]);
    let whole = until_named(&card, 4);
    until_readiness(&card, "[+]objects ok\n");
    card.until_ready();

    // An API server that begins says that it is not ready, and not that it has no such kind: an agent that begins at the same time
    // would take every flow of a Set for one of none.
    let missing = || {
        let unserved = |one: &&Request| one.code == 404 && one.uri.contains("sets?");
        requests(&card).iter().filter(unserved).count()
    };
    let before = missing();
    assert!(before > 0, "it asked while there were none");
    for _ in 0..3 {
        card.stop_server();
        card.restart_agent(&["--sets"]);
        until_readiness(&card, "readyz check failed");
        card.start_server();
        until_readiness(&card, "readyz check passed");
        assert_eq!((missing(), card.named_flows()), (before, whole.clone()));
    }

    // The right goes while it works: what it read still counts, and plain objects go on.
    card.kubectl().run(&["delete", "clusterrolebindings", "dpu-agent-sets"]);
    card.stop_server();
    card.start_server();
    let refused = |plural: &str| format!("the agent may not read {plural}: its ClusterRole lacks list and watch");
    until_line(&card, &format!("problem: ServiceChainSet: {}", refused("servicechainsets")));
    until_line(&card, &format!("problem: Node: {}", refused("nodes")));
    card.kubectl().apply(&[vf(5), vf(6), chain("more", &["vf5", "vf6"])]);
    card.until_flows(6);
    card.until_is("the younger chain", &"True/Success".to_owned(), || card.condition("servicechains", "more", "Ready"));
    let more = card.named_flows();
    assert!(whole.is_subset(&more), "{more:?}");
    until_readiness(&card, "readyz check passed");

    // One that begins without the right knows of no Set, and cannot tell its flows from those of a Set that is gone: it touches
    // nothing, says so, and is not ready, so that no further agent is replaced by one like it.
    card.restart_agent(&["--sets"]);
    until_readiness(&card, &refused("serviceinterfacesets"));
    until_readiness(&card, "readyz check failed");
    card.delete("servicechains", "more");
    wait::stays("the flows", 3, || match card.named_flows() {
        now if now == more => Ok(()),
        now => Err(format!("{now:?}")),
    });
    card.kubectl().apply(&right());
    card.until_is("the flows of what is there now", &whole, || card.named_flows());
    until_readiness(&card, "readyz check passed");
    card.until_ready();
}
