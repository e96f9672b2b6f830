//! Flavors and DPUSets: what the provisioning webhooks refuse, and which cards a set takes. PURE.
//!
//! Mirrors `internal/provisioning/webhooks` and the DPUSet controller of DPF v24.10 (2.8, 5.6 of the fact sheet).

use std::collections::{BTreeMap, BTreeSet};

use super::Context;
use super::quantity::Quantity;
use super::selector::{Selector, Verdict, known};
use super::view::{PROVISIONING, did_you_mean, listed, place};
use crate::diagnostic::Diagnostic;
use crate::node::{Entry, Node, Value};
use crate::site::{Host, Release};
use crate::source::Origin;

const NFD: &str = "feature.node.kubernetes.io/dpu-";
const POWER_CYCLE: &str = "provisioning.dpu.nvidia.com/host-power-cycle-required";

fn quantity(node: &Node) -> Option<Quantity> {
    match node.value() {
        Value::Number(number) => Quantity::parse(&number.to_string()),
        _ => Quantity::parse(known(node)?),
    }
}

/// Reserved resources without a total, or over it.
pub(super) fn flavor_resources(context: &Context<'_>, faults: &mut Vec<Diagnostic>) {
    const CODE: &str = "flavor-resources";
    for (id, node) in context.objects(PROVISIONING, "DPUFlavor") {
        let Some(spec) = node.get("spec") else { continue };
        let Some(reserved) = spec.get("systemReservedResources").filter(|node| !node.is_null()) else { continue };
        let Some(total) = spec.get("dpuResources").filter(|node| !node.is_null()) else {
            faults.push(
                Diagnostic::error(
                    CODE,
                    spec.key_origin("systemReservedResources"),
                    format!("{id} has `systemReservedResources` and no `dpuResources` to take them from"),
                )
                .help("write `dpuResources` with what the card has in all"),
            );
            continue;
        };
        for entry in reserved.fields(&[]) {
            let Some(wanted) = quantity(&entry.value) else { continue };
            let given = total.get(&entry.key.text);
            let Some(has) = given.map_or(Some(Quantity::default()), quantity) else { continue };
            if let Some(over) = wanted.over(has) {
                let fault = Diagnostic::error(
                    CODE,
                    entry.value.origin(),
                    format!("{id} reserves {wanted} of `{}` and has {has}: {over} too much", entry.key.text),
                );
                faults.push(match given {
                    Some(given) => fault
                        .note_at("`dpuResources` is here", given.origin())
                        .help(format!("reserve less than {has}: the rest is for services")),
                    None => fault
                        .note_at("`dpuResources` does not name it", spec.key_origin("dpuResources"))
                        .help(format!("write in `dpuResources` how much `{}` the card has", entry.key.text)),
                });
            }
        }
    }
}

/// One nvconfig for all devices, until v26.4 could tell them apart.
pub(super) fn flavor_nvconfig(context: &Context<'_>, faults: &mut Vec<Diagnostic>) {
    const CODE: &str = "flavor-nvconfig";
    if context.site.dpf >= Release::V26_4 {
        return;
    }
    for (id, node) in context.objects(PROVISIONING, "DPUFlavor") {
        let items = node.items(&["spec", "nvconfig"]);
        if let [first, second, ..] = items {
            faults.push(
                Diagnostic::error(
                    CODE,
                    second.origin(),
                    format!("{id} has {} `nvconfig` entries, and one is allowed", items.len()),
                )
                .note_at("the first", first.origin())
                .help("the entry is for all devices: put its parameters together"),
            );
        }
        for item in items {
            let Some((device, node)) = item.get("device").and_then(|node| Some((known(node)?, node))) else { continue };
            // Merging made one entry per device, but the webhook trims before it compares.
            if !device.is_empty() && device.trim() != "*" {
                faults.push(
                    Diagnostic::error(
                        CODE,
                        node.origin(),
                        format!("`nvconfig` of {id} is for device `{device}`, and only `*` is allowed"),
                    )
                    .help("write `device: \"*\"`"),
                );
            }
        }
    }
}

/// The range of `maxUnavailable`; an empty `rollingUpdate` makes the webhook panic (P-32).
pub(super) fn dpuset_max_unavailable(context: &Context<'_>, faults: &mut Vec<Diagnostic>) {
    const CODE: &str = "dpuset-max-unavailable";
    for (id, node) in context.objects(PROVISIONING, "DPUSet") {
        let Some(strategy) = node.at(&["spec", "strategy"]) else { continue };
        let Some(rolling) = strategy.get("rollingUpdate").filter(|rolling| !rolling.is_null()) else { continue };
        let Some(given) = rolling.get("maxUnavailable").filter(|given| !given.is_null()) else {
            if context.site.dpf < Release::V25_4 && rolling.as_map().is_some() {
                faults.push(
                    Diagnostic::error(
                        CODE,
                        strategy.key_origin("rollingUpdate"),
                        format!("{id} has a `rollingUpdate` without `maxUnavailable`"),
                    )
                    .note("the admission webhook panics on it")
                    .help("write `maxUnavailable: 1`, or leave `rollingUpdate` out"),
                );
            }
            continue;
        };
        let why = match given.value() {
            Value::Number(number) if number.as_i64().is_some_and(|count| count > 0) => continue,
            Value::Number(_) => "must be greater than 0".to_owned(),
            Value::Str(_) => {
                let Some(text) = known(given) else { continue };
                match text.strip_suffix('%').map(str::parse::<i64>) {
                    Some(Ok(1..=100)) => continue,
                    Some(Ok(_)) => "must be from 1% to 100%".to_owned(),
                    _ => "must be a number of cards or a percentage".to_owned(),
                }
            }
            // The field table says that it is of another type.
            _ => continue,
        };
        faults.push(
            Diagnostic::error(CODE, given.origin(), format!("`maxUnavailable` of {id} {why}"))
                .help("write a number such as `1`, or a percentage such as `10%`"),
        );
    }
}

/// At most one thing is done to a host while its card is provisioned.
pub(super) fn dpuset_node_effect(context: &Context<'_>, faults: &mut Vec<Diagnostic>) {
    const EFFECTS: [&str; 6] = ["taint", "noEffect", "customLabel", "drain", "hold", "customAction"];
    let mut one = |owner: &dyn std::fmt::Display, effect: Option<&Node>| {
        let Some(effect) = effect else { return };
        let set: Vec<&Entry> = effect
            .fields(&[])
            .iter()
            .filter(|entry| EFFECTS.contains(&&*entry.key.text))
            // `false` is as good as nothing.
            .filter(|entry| !entry.value.is_null() && entry.value.as_bool() != Some(false))
            .collect();
        if let [first, second, ..] = set[..] {
            faults.push(
                Diagnostic::error(
                    "dpuset-node-effect",
                    second.key.origin,
                    format!(
                        "`nodeEffect` of {owner} has `{}` and `{}`, and one is allowed",
                        first.key.text, second.key.text
                    ),
                )
                .note_at("the first", first.key.origin)
                .help("keep the one that is to be done to the host while its card is provisioned"),
            );
        }
    };
    for (id, node) in context.objects(PROVISIONING, "DPUSet") {
        one(id, node.at(&["spec", "dpuTemplate", "spec", "nodeEffect"]));
    }
    for (id, node) in context.objects(PROVISIONING, "DPU") {
        one(id, node.at(&["spec", "nodeEffect"]));
    }
    for deployment in &context.deployments {
        one(deployment.id, deployment.node.at(&["spec", "dpus", "nodeEffect"]));
    }
}

/// The power-cycle annotation is a boolean as Go reads it.
pub(super) fn dpuset_power_cycle(context: &Context<'_>, faults: &mut Vec<Diagnostic>) {
    const BOOLS: [&str; 12] = ["1", "t", "T", "TRUE", "true", "True", "0", "f", "F", "FALSE", "false", "False"];
    let mut one = |owner: &dyn std::fmt::Display, annotations: Option<&Node>| {
        let Some(value) = annotations.and_then(|annotations| annotations.get(POWER_CYCLE)) else { return };
        let Some(text) = known(value) else { return };
        if !BOOLS.contains(&text) {
            faults.push(
                Diagnostic::error(
                    "dpuset-power-cycle",
                    value.origin(),
                    format!("annotation `{POWER_CYCLE}` of {owner} is `{text}`, which is not a boolean"),
                )
                .help("write `\"true\"` or `\"false\"`"),
            );
        }
    };
    for (id, node) in context.objects(PROVISIONING, "DPUSet") {
        one(id, node.at(&["spec", "dpuTemplate", "annotations"]));
    }
    for (id, node) in context.objects(PROVISIONING, "DPU") {
        one(id, node.at(&["metadata", "annotations"]));
    }
    for deployment in &context.deployments {
        for set in deployment.dpu_sets() {
            one(deployment.id, set.get("dpuAnnotations"));
        }
    }
}

/// P-29: Go leaves `false` out of the DPUs that a set makes, and the API server puts the default in its place.
pub(super) fn dpuset_reboot_lost(context: &Context<'_>, faults: &mut Vec<Diagnostic>) {
    const FIELD: &str = "automaticNodeReboot";
    if context.site.dpf >= Release::V25_4 {
        return;
    }
    for (id, node) in context.objects(PROVISIONING, "DPUSet") {
        let Some(template) = node.at(&["spec", "dpuTemplate", "spec"]) else { continue };
        for path in [&[FIELD][..], &["nodeEffect", "drain", FIELD]] {
            let Some(value) = template.at(path).filter(|value| value.as_bool() == Some(false)) else { continue };
            faults.push(
                Diagnostic::warning(
                    "dpuset-reboot-lost",
                    value.origin(),
                    format!("`{}: false` of {id} is lost: its DPUs have `true`", path.join(".")),
                )
                .note("DPF leaves `false` out when it writes a DPU, and the default is `true`: hosts are rebooted all the same")
                .help("write `true`, and let the cards be provisioned when their hosts may reboot"),
            );
        }
    }
}

/// Where `dpuTemplate.spec` begins.
fn template_key(set: &Node) -> Origin {
    set.at(&["spec", "dpuTemplate"]).map_or(place(set), |template| template.key_origin("spec"))
}

/// P-32: cards without an image.
pub(super) fn dpuset_template_missing(context: &Context<'_>, faults: &mut Vec<Diagnostic>) {
    for (id, node) in context.objects(PROVISIONING, "DPUSet") {
        let template = node.at(&["spec", "dpuTemplate", "spec"]).filter(|spec| !spec.is_null());
        let image = template.and_then(|spec| spec.at(&["bfb", "name"]).or_else(|| spec.get("blueFieldSoftware")));
        let (origin, message) = match (template, image) {
            (None, _) => (place(node), format!("{id} has no `dpuTemplate.spec`: its cards would get no image")),
            (Some(_), None) => (template_key(node), format!("{id} names no `bfb`: its cards would get no image")),
            (_, Some(image)) if image.as_str() == Some("") => {
                (image.origin(), format!("{id} names an empty `bfb`: its cards would get no image"))
            }
            _ => continue,
        };
        faults.push(
            Diagnostic::error("dpuset-template-missing", origin, message)
                .note("DPF accepts it and makes DPUs with an empty image name")
                .help("write `spec.dpuTemplate.spec.bfb.name` and `dpuFlavor`"),
        );
    }
}

/// A DPUSet, or what becomes one.
struct Set<'a> {
    name: String,
    origin: Origin,
    hosts: Option<&'a Node>,
    cards: Option<&'a Node>,
}

fn sets<'a>(context: &Context<'a>) -> Vec<Set<'a>> {
    let mut sets = Vec::new();
    for (id, node) in context.objects(PROVISIONING, "DPUSet") {
        sets.push(Set {
            name: id.to_string(),
            origin: place(node),
            hosts: node.at(&["spec", "nodeSelector"]),
            cards: node.at(&["spec", "dpuSelector"]),
        });
    }
    for deployment in &context.deployments {
        for set in deployment.dpu_sets() {
            let suffix = set.text(&["nameSuffix"]).unwrap_or_default();
            sets.push(Set {
                name: format!("`dpuSets` entry `{suffix}` of {}", deployment.id),
                origin: set.get("nameSuffix").unwrap_or(set).origin(),
                hosts: set.get("nodeSelector"),
                cards: set.get("dpuSelector"),
            });
        }
    }
    sets
}

/// The index in `feature.node.kubernetes.io/dpu-<n>-…`.
fn index(key: &str) -> Option<u32> {
    let (digits, _) = key.strip_prefix(NFD)?.split_once('-')?;
    digits.parse().ok()
}

/// P-26: keys that are ignored, so that the set selects nothing.
pub(super) fn dpu_selector_key(context: &Context<'_>, faults: &mut Vec<Diagnostic>) {
    // Later releases select by labels of the DPUDevice.
    if context.site.dpf >= Release::V25_4 {
        return;
    }
    for set in sets(context) {
        for entry in set.cards.map(|cards| cards.fields(&[])).unwrap_or_default() {
            if index(&entry.key.text).is_none() {
                faults.push(
                    Diagnostic::error(
                        "dpu-selector-key",
                        entry.key.origin,
                        format!("`dpuSelector` of {} has key `{}`, which DPF ignores", set.name, entry.key.text),
                    )
                    .note(format!("keys are `{NFD}<n>-…`; where none is, the set selects no card"))
                    .help(format!("write `{NFD}0-pci-address: \"0000-90-00\"`")),
                );
            }
        }
    }
}

/// The cards of a host that a set takes.
fn indexes(set: &Set<'_>, host: &Host) -> Vec<u32> {
    let labels: BTreeMap<&str, &str> = host.labels.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    if Selector::of(set.hosts).verdict(&labels) == Verdict::No {
        return Vec::new();
    }
    let entries = set.cards.map(|cards| cards.fields(&[])).unwrap_or_default();
    if entries.is_empty() {
        return if labels.keys().any(|key| key.ends_with("dpu-0-pci-address")) { vec![0] } else { Vec::new() };
    }
    let mut found: Vec<u32> = entries
        .iter()
        .filter(|entry| labels.get(&*entry.key.text).copied() == entry.value.as_str())
        .filter_map(|entry| index(&entry.key.text))
        .collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// P-28, P-39: two sets that take one card.
pub(super) fn dpuset_same_card(context: &Context<'_>, faults: &mut Vec<Diagnostic>) {
    const CODE: &str = "dpuset-same-card";
    if context.site.dpf >= Release::V25_4 {
        return;
    }
    let sets = sets(context);
    let fault = |later: &Set<'_>, earlier: &Set<'_>, what: String| {
        Diagnostic::error(CODE, later.origin, format!("{} and {} both take {what}", earlier.name, later.name))
            .note_at("the other", earlier.origin)
            .note("DPF makes the DPU once; the second set fails for ever with `already exists`")
            .help("give them `nodeSelector`s or `dpuSelector`s that exclude each other")
    };
    if context.input.inventory.present {
        let mut pairs: BTreeMap<(usize, usize), (String, usize)> = BTreeMap::new();
        for host in &context.input.inventory.hosts {
            let mut taken: BTreeMap<u32, usize> = BTreeMap::new();
            for (at, set) in sets.iter().enumerate() {
                for card in indexes(set, host) {
                    if let Some(before) = taken.insert(card, at)
                        && before != at
                    {
                        let what = || (format!("card {card} of host `{}`", host.name), 0);
                        pairs.entry((before, at)).or_insert_with(what).1 += 1;
                    }
                }
            }
        }
        for ((earlier, later), (what, count)) in pairs {
            let what = if count > 1 { format!("{what} and {} more", count - 1) } else { what };
            faults.push(fault(&sets[later], &sets[earlier], what));
        }
        return;
    }
    // Without an inventory: sets that ask for the same, whatever the hosts are.
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for (at, set) in sets.iter().enumerate() {
        if set.hosts.is_some_and(Node::has_expression) || set.cards.is_some_and(Node::has_expression) {
            continue;
        }
        let text = |node: Option<&Node>| match node {
            Some(node) if !node.is_null() => node.to_json().to_string(),
            _ => "{}".to_owned(),
        };
        if let Some(before) = seen.insert(format!("{} {}", text(set.hosts), text(set.cards)), at) {
            // Where no host matches, nobody upstream notices.
            let fault = fault(set, &sets[before], "the same cards: their selectors are equal".to_owned());
            faults.push(context.accepted_upstream(fault));
        }
    }
}

/// A set for which the inventory has no card.
pub(super) fn dpuset_selects_nothing(context: &Context<'_>, faults: &mut Vec<Diagnostic>) {
    if !context.input.inventory.present || context.site.dpf >= Release::V25_4 {
        return;
    }
    for set in sets(context) {
        if set.hosts.is_some_and(Node::has_expression) || set.cards.is_some_and(Node::has_expression) {
            continue;
        }
        if context.input.inventory.hosts.iter().all(|host| indexes(&set, host).is_empty()) {
            let hosts = &context.input.inventory.hosts;
            // The label that no host has, if one of them alone is to blame.
            let lost = set.hosts.map(|hosts| hosts.fields(&["matchLabels"])).unwrap_or_default().iter().find(|entry| {
                let wanted = entry.value.as_str();
                hosts.iter().all(|host| host.labels.get(&*entry.key.text).map(String::as_str) != wanted)
            });
            let has_key = |key: &str| hosts.iter().any(|host| host.labels.contains_key(key));
            let wrong = |entry: &Entry| if has_key(&entry.key.text) { entry.value.origin() } else { entry.key.origin };
            let origin = lost.map(wrong).or_else(|| Some(set.hosts.or(set.cards)?.origin())).unwrap_or(set.origin);
            let message = format!("{} takes no card of the inventory", set.name);
            let mut fault = Diagnostic::warning("dpuset-selects-nothing", origin, message)
                .note(format!("the inventory's hosts are {}", listed(hosts.iter().map(|host| host.name.as_str()))));
            if let Some(entry) = lost {
                let key = &*entry.key.text;
                let values: BTreeSet<&str> =
                    hosts.iter().filter_map(|host| host.labels.get(key)).map(String::as_str).collect();
                let keys: BTreeSet<&str> =
                    hosts.iter().flat_map(|host| host.labels.keys()).map(String::as_str).collect();
                fault = if values.is_empty() {
                    fault.note(format!("none of them has the label `{key}`")).help_if(did_you_mean(key, keys))
                } else {
                    let wanted = entry.value.as_str().unwrap_or_default();
                    fault
                        .note(format!("their values of `{key}` are {}", listed(values.iter().copied())))
                        .help_if(did_you_mean(wanted, values))
                };
            }
            faults.push(fault);
        }
    }
}
