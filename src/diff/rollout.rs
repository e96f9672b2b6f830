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
        /// What the wave waits for, in words.
        until: Vec<String>,
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
    ("", "PersistentVolumeClaim", "it is bound"),
    ("", "Pod", "it runs"),
    ("apps", "DaemonSet", "its pods are replaced"),
    ("apps", "Deployment", "its pods are replaced"),
    ("apps", "StatefulSet", "its pods are replaced"),
    ("batch", "Job", "it is done"),
    ("argoproj.io", "Application", "all that it installs is in sync and healthy"),
    ("cert-manager.io", "Certificate", "it is issued"),
    ("external-secrets.io", "ExternalSecret", "its Secret is there"),
    ("bitnami.com", "SealedSecret", "its Secret is there"),
    ("mellanox.com", "NicClusterPolicy", "its DaemonSets are ready"),
    ("kamaji.clastix.io", "TenantControlPlane", "its control plane is ready"),
    ("operator.dpu.nvidia.com", "DPFOperatorConfig", "the system components are reconciled"),
    ("provisioning.dpu.nvidia.com", "BFB", "the bitstream is downloaded"),
    ("provisioning.dpu.nvidia.com", "DPUCluster", "its control plane is ready"),
    ("provisioning.dpu.nvidia.com", "DPUSet", "every card of it is ready"),
    ("provisioning.dpu.nvidia.com", "DPU", "the card is ready"),
    ("svc.dpu.nvidia.com", "DPUDeployment", "its sets, services and chains are ready"),
    ("svc.dpu.nvidia.com", "DPUService", "its Applications are made"),
    ("svc.dpu.nvidia.com", "DPUServiceChain", "its Sets are made"),
    ("svc.dpu.nvidia.com", "DPUServiceInterface", "its Sets are made"),
    ("svc.dpu.nvidia.com", "DPUServiceIPAM", "its pools are made"),
    ("svc.dpu.nvidia.com", "DPUServiceCredentialRequest", "its Secret is there"),
    ("svc.dpu.nvidia.com", "DPUServiceNAD", "it is made in every DPU cluster"),
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
        let stays = one.impact.as_ref().is_some_and(|impact| ["prune-false", "prune-confirm"].contains(&impact.rule));
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
        let mut until: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
        for object in applied {
            add(&mut named, &object.id);
            if let Some(reason) = waits(&object.id) {
                until.entry(reason).or_default().insert(object.id.to_string());
            }
        }
        let until = until.into_iter().map(|(reason, objects)| format!("{}: {reason}", listed(&objects))).collect();
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
    let more = if names.len() > shown.len() { format!(" and {} more", names.len() - shown.len()) } else { String::new() };
    format!("{}{more}", shown.join(", "))
}

impl Rollout {
    /// In words: where, then a line per stage.
    #[must_use]
    pub fn words(&self) -> (String, Vec<String>) {
        let names: BTreeSet<&str> = self.destinations.iter().map(String::as_str).collect();
        let head = match &self.destinations[..] {
            [one] if one == "management" => format!("{}, management:", self.site),
            [one] => format!("{}, {one}, by its own Application:", self.site),
            _ => format!("{}, {}, each by its own Application, at the same time:", self.site, ranges::listed(&names, 12)),
        };
        (head, self.stages.iter().map(Stage::words).collect())
    }
}

impl Stage {
    /// One line.
    #[must_use]
    pub fn words(&self) -> String {
        let kinds = |objects: &BTreeMap<String, BTreeSet<String>>| {
            let kinds = objects.iter().map(|(kind, names)| match names.len() {
                1 => format!("{kind} {}", listed(names)),
                many => format!("{many} {kind} ({})", listed(names)),
            });
            kinds.collect::<Vec<_>>().join(", ")
        };
        match self {
            Self::Apply { wave, objects, until } if until.is_empty() => format!("wave {wave}: {}", kinds(objects)),
            Self::Apply { wave, objects, until } => {
                format!("wave {wave}: {}; waits until {}", kinds(objects), until.join(", "))
            }
            Self::Pass { from, to, healthy } => {
                let waves = if from == to { format!("wave {from}") } else { format!("waves {from} to {to}") };
                match healthy {
                    0 => format!("{waves}: nothing changes"),
                    1 => format!("{waves}: nothing changes; 1 object there must be healthy"),
                    _ => format!("{waves}: nothing changes; {healthy} objects there must be healthy"),
                }
            }
            Self::Stop { wave, object } => {
                format!("wave {wave}: the sync stops here, {object} is refused; what follows is not applied")
            }
            Self::Prune { wave, objects } => format!("pruned, wave {wave}: {}", kinds(objects)),
        }
    }
}
