//! The order in which Argo CD brings a change to the clusters, and where it waits. PURE.
//!
//! In: what differs in a site, and the head. Out: [`Rollout`]s, what happens in which wave of which destination. As Argo CD
//! syncs: objects of one Application go wave by wave, and a wave ends when everything in it is healthy, also what did not
//! change. Each DPU cluster has an Application of its own, which does not wait for the others. What is removed is pruned in
//! the same sync, the highest wave first.

use std::collections::{BTreeMap, BTreeSet};

use super::SiteDiff;
use super::change::ChangeKind;
use super::impact::Class;
use super::ranges;
use crate::node::Node;
use crate::render::object::{Destination, ObjectId};
use crate::render::{RenderedDestination, RenderedSite};

/// How destinations that have the same to do are brought to the head.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Rollout {
    /// Name of the site.
    pub site: String,
    /// `management`, or DPU clusters, sorted.
    pub destinations: Vec<String>,
    /// What happens, in order.
    pub stages: Vec<Stage>,
}

/// A wave in which something changes, or the waves between two of those.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Stage {
    /// Objects are applied.
    Apply {
        /// The wave.
        wave: i64,
        /// What is applied, `Kind` and names.
        objects: BTreeMap<String, BTreeSet<String>>,
        /// What the wave waits for: kinds, and what is awaited of each.
        until: BTreeSet<(String, &'static str)>,
    },
    /// Nothing changes here; what is there must be healthy all the same.
    Pass {
        /// The first wave.
        from: i64,
        /// The last.
        to: i64,
        /// How many objects have a health.
        healthy: usize,
    },
    /// The API server refuses an object, and what comes after is not applied.
    Stop {
        /// The wave.
        wave: i64,
        /// The object.
        object: String,
    },
    /// Objects are deleted, in this order of waves.
    Prune {
        /// The wave.
        wave: i64,
        /// What goes, `Kind` and names.
        objects: BTreeMap<String, BTreeSet<String>>,
    },
}

/// Kinds whose health Argo CD knows, by itself or by the scripts that come with the plugin, and what they wait for.
const WAITS: [(&str, &str, &str); 24] = [
    ("", "PersistentVolumeClaim", "is bound"),
    ("", "Pod", "runs"),
    ("apps", "DaemonSet", "has its pods replaced"),
    ("apps", "Deployment", "has its pods replaced"),
    ("apps", "StatefulSet", "has its pods replaced"),
    ("batch", "Job", "is done"),
    ("argoproj.io", "Application", "has all that it installs in sync and healthy"),
    ("cert-manager.io", "Certificate", "is issued"),
    ("external-secrets.io", "ExternalSecret", "has made its Secret"),
    ("bitnami.com", "SealedSecret", "has made its Secret"),
    ("mellanox.com", "NicClusterPolicy", "has its DaemonSets ready"),
    ("kamaji.clastix.io", "TenantControlPlane", "has its control plane ready"),
    ("operator.dpu.nvidia.com", "DPFOperatorConfig", "has the system components reconciled"),
    ("provisioning.dpu.nvidia.com", "BFB", "is downloaded"),
    ("provisioning.dpu.nvidia.com", "DPUCluster", "has its control plane ready"),
    ("provisioning.dpu.nvidia.com", "DPUSet", "has every card ready"),
    ("provisioning.dpu.nvidia.com", "DPU", "has its card ready"),
    ("svc.dpu.nvidia.com", "DPUDeployment", "has its sets, services and chains ready"),
    ("svc.dpu.nvidia.com", "DPUService", "has its Applications"),
    ("svc.dpu.nvidia.com", "DPUServiceChain", "has its Sets in every DPU cluster"),
    ("svc.dpu.nvidia.com", "DPUServiceInterface", "has its Sets in every DPU cluster"),
    ("svc.dpu.nvidia.com", "DPUServiceIPAM", "has its pools in every DPU cluster"),
    ("svc.dpu.nvidia.com", "DPUServiceCredentialRequest", "has made its Secret"),
    ("svc.dpu.nvidia.com", "DPUServiceNAD", "is in every DPU cluster"),
];

fn waits(id: &ObjectId) -> Option<&'static str> {
    WAITS.iter().find(|(group, kind, _)| id.is(group, kind)).map(|(.., until)| *until)
}

fn wave(node: Option<&Node>) -> i64 {
    let wave = node.and_then(|node| node.text(&["metadata", "annotations", "argocd.argoproj.io/sync-wave"]));
    wave.and_then(|wave| wave.parse().ok()).unwrap_or_default()
}

/// How the head of a site comes to its clusters; nothing for a site that goes.
#[must_use]
pub fn of(diff: &SiteDiff, head: Option<&RenderedSite>) -> Vec<Rollout> {
    let mut rollouts: Vec<Rollout> = Vec::new();
    for destination in head.iter().flat_map(|site| &site.destinations) {
        let stages = stages(diff, destination);
        if stages.is_empty() {
            continue;
        }
        let name = destination.destination.to_string();
        let is_cluster = destination.destination != Destination::Management;
        let same = |other: &&mut Rollout| is_cluster && other.stages == stages && other.destinations != ["management"];
        match rollouts.iter_mut().find(same) {
            Some(other) => other.destinations.push(name),
            None => rollouts.push(Rollout { site: diff.site.to_string(), destinations: vec![name], stages }),
        }
    }
    rollouts
}

fn stages(diff: &SiteDiff, destination: &RenderedDestination) -> Vec<Stage> {
    let own = || diff.changes.iter().filter(|one| one.destination == destination.destination);
    let (mut changed, mut gone) = (BTreeMap::new(), BTreeMap::new());
    for one in own() {
        let change = &one.change;
        if change.kind != ChangeKind::Removed {
            changed.insert(&*change.id, one);
        }
        let stays = one.impact.as_ref().is_some_and(|impact| {
            impact.class == Class::Refused || ["prune-false", "prune-confirm"].contains(&impact.rule)
        });
        if matches!(change.kind, ChangeKind::Removed | ChangeKind::Renamed) && !stays {
            let id = change.was.as_ref().unwrap_or(&change.id);
            add(gone.entry(wave(change.before.as_ref())).or_default(), id);
        }
    }
    let mut waves: BTreeMap<i64, Vec<&crate::render::RenderedObject>> = BTreeMap::new();
    for object in &destination.objects {
        waves.entry(wave(Some(&object.node))).or_default().push(object);
    }
    let mut stages = Vec::new();
    for (wave, objects) in waves {
        let applied: Vec<_> = objects.iter().filter(|object| changed.contains_key(&*object.id)).collect();
        if applied.is_empty() {
            pass(&mut stages, wave, objects.iter().filter(|object| waits(&object.id).is_some()).count());
            continue;
        }
        let refused = applied.iter().find(|object| {
            let impact = changed.get(&*object.id).and_then(|one| one.impact.as_ref());
            impact.is_some_and(|impact| impact.class == Class::Refused)
        });
        if let Some(object) = refused {
            stages.push(Stage::Stop { wave, object: object.id.to_string() });
            return stages;
        }
        let mut named = BTreeMap::new();
        let mut until = BTreeSet::new();
        for object in applied {
            add(&mut named, &object.id);
            until.extend(waits(&object.id).map(|reason| (object.id.kind.to_string(), reason)));
        }
        stages.push(Stage::Apply { wave, objects: named, until });
    }
    // After the last change nothing is waited for that matters here.
    if matches!(stages.last(), Some(Stage::Pass { .. })) {
        stages.pop();
    }
    stages.extend(gone.into_iter().rev().map(|(wave, objects)| Stage::Prune { wave, objects }));
    stages
}

/// Waves without a change follow one another as one.
fn pass(stages: &mut Vec<Stage>, wave: i64, objects: usize) {
    match stages.last_mut() {
        Some(Stage::Pass { to, healthy, .. }) => {
            *to = wave;
            *healthy += objects;
        }
        _ => stages.push(Stage::Pass { from: wave, to: wave, healthy: objects }),
    }
}

fn add(objects: &mut BTreeMap<String, BTreeSet<String>>, id: &ObjectId) {
    let name = if id.namespace.is_empty() { id.name.to_string() } else { format!("{}/{}", id.namespace, id.name) };
    objects.entry(id.kind.to_string()).or_default().insert(name);
}

/// At most three names, and how many more.
fn listed(names: &BTreeSet<String>) -> String {
    let shown: Vec<&str> = names.iter().take(3).map(String::as_str).collect();
    let more =
        if names.len() > shown.len() { format!(" and {} more", names.len() - shown.len()) } else { String::new() };
    format!("{}{more}", shown.join(", "))
}

/// Rollouts in words: what they are of, and a line per stage. Those of many sites that have as much of each kind to do in the
/// same waves are told once, with counts in place of names.
#[must_use]
pub fn told(rollouts: &[Rollout]) -> Vec<(String, Vec<String>)> {
    let mut groups: BTreeMap<(bool, Vec<String>), Vec<&Rollout>> = BTreeMap::new();
    for one in rollouts {
        let is_cluster = one.destinations != ["management"];
        let shape = one.stages.iter().map(|stage| stage.words(Told::Counts)).collect();
        groups.entry((is_cluster, shape)).or_default().push(one);
    }
    groups
        .into_iter()
        .map(|((is_cluster, shape), members)| {
            let clusters: usize = members.iter().map(|one| one.destinations.len()).sum();
            let head = match (&members[..], is_cluster) {
                ([one], _) => one.place(),
                (_, false) => format!("management of {}", sites(&members)),
                (_, true) => format!("{clusters} DPU clusters of {}, each by its own Application", sites(&members)),
            };
            let lines = match &members[..] {
                [one] => one.stages.iter().map(|stage| stage.words(Told::Names)).collect(),
                _ => shape,
            };
            (head, lines)
        })
        .collect()
}

fn sites(members: &[&Rollout]) -> String {
    ranges::listed(&members.iter().map(|one| one.site.as_str()).collect(), 12)
}

impl Rollout {
    fn place(&self) -> String {
        let names: BTreeSet<&str> = self.destinations.iter().map(String::as_str).collect();
        match &self.destinations[..] {
            [one] if one == "management" => format!("{}, management", self.site),
            [one] => format!("{}, {one}, by its own Application", self.site),
            _ => format!("{}, {}, each by its own Application", self.site, ranges::listed(&names, 12)),
        }
    }
}

/// How objects are told.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Told {
    Names,
    Counts,
}

impl Stage {
    /// One line.
    fn words(&self, told: Told) -> String {
        match self {
            Self::Apply { wave, objects, until } if until.is_empty() => {
                format!("wave {wave}: {}", kinds(objects, told))
            }
            Self::Apply { wave, objects, until } => {
                format!("wave {wave}: {}; waits until {}", kinds(objects, told), waits_in_words(until))
            }
            Self::Pass { from, to, healthy } => {
                let waves = if from == to { format!("wave {from}") } else { format!("waves {from} to {to}") };
                match healthy {
                    0 => format!("{waves}: nothing changes"),
                    1 => format!("{waves}: nothing changes; 1 object there must be healthy"),
                    _ => format!("{waves}: nothing changes; {healthy} objects there must be healthy"),
                }
            }
            Self::Stop { wave, object } => match told {
                Told::Names => {
                    format!("wave {wave}: the sync stops here, {object} is refused; what follows is not applied")
                }
                Told::Counts => {
                    format!("wave {wave}: the sync stops here, an object is refused; what follows is not applied")
                }
            },
            Self::Prune { wave, objects } => format!("then pruned, of wave {wave}: {}", kinds(objects, told)),
        }
    }
}

fn kinds(objects: &BTreeMap<String, BTreeSet<String>>, told: Told) -> String {
    let kinds = objects.iter().map(|(kind, names)| match (names.len(), told) {
        (1, Told::Names) => format!("{kind} {}", listed(names)),
        (many, Told::Names) => format!("{many} {kind} ({})", listed(names)),
        (many, Told::Counts) => format!("{many} {kind}"),
    });
    kinds.collect::<Vec<_>>().join(", ")
}

/// `each Application has all that it installs in sync and healthy`.
fn waits_in_words(until: &BTreeSet<(String, &'static str)>) -> String {
    let parts = until.iter().map(|(kind, reason)| format!("each {kind} {reason}"));
    parts.collect::<Vec<_>>().join(", and ")
}
