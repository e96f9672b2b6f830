//! From placed and expanded objects to the final ones of each destination. PURE.
//!
//! In: what the user wrote, what expansion made of it. Out: [`Finished`], with what Argo CD needs beside it and output patches
//! applied; what is made twice, or still waits, is a fault.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use super::Options;
use super::expand::{self, Expanded, Input};
use super::layer::{self, Fold};
use super::object::{Destination, ObjectId};
use super::placement::Placed;
use super::scope::{Level, Scopes, cluster_level};
use super::{emit, patch};
use crate::argocd::{applications, guard};
use crate::diagnostic::Diagnostic;
use crate::node::Node;
use crate::site::{Patch, Site};
use crate::source::Origin;

/// All objects of all destinations, after expansion and patches.
pub(super) struct Finished {
    pub(super) management: BTreeMap<ObjectId, Node>,
    pub(super) clusters: Vec<BTreeMap<ObjectId, Node>>,
    /// By name of the file: whose they are, and the values.
    pub(super) management_values: BTreeMap<String, (ObjectId, Node)>,
    pub(super) cluster_values: Vec<BTreeMap<String, (ObjectId, Node)>>,
    /// Those that output patches changed, and those made for Argo CD.
    pub(super) late: Vec<Node>,
}

/// What the objects of a site come from.
pub(super) struct Gathered<'g> {
    pub(super) placed: &'g Placed,
    pub(super) fold: &'g Fold,
    /// What the site is made of beside its own folder.
    pub(super) folders: &'g [String],
}

/// Puts what was written and what was made of it together.
pub(super) fn finish(
    input: &Input<'_>,
    gathered: &Gathered<'_>,
    expanded: Expanded,
    options: &Options,
    scopes: &Scopes<'_>,
    faults: &mut Vec<Diagnostic>,
) -> Finished {
    let Gathered { placed, fold, folders } = *gathered;
    let consumed: BTreeSet<&ObjectId> = expanded.consumed.iter().collect();
    let kept = |id: &ObjectId| !consumed.contains(id) || options.intermediate;
    let mut management: BTreeMap<ObjectId, Node> =
        placed.management.iter().filter(|(id, _)| kept(id)).map(|(id, node)| (id.clone(), node.clone())).collect();
    for (id, node) in &management {
        if !consumed.contains(id) {
            scopes.report_waiting(node, &id.to_string());
        }
    }
    let written: Vec<ObjectId> = management.keys().filter(|id| id.is("argoproj.io", "Application")).cloned().collect();
    let mut clusters = placed.clusters.clone();
    for objects in &mut clusters {
        objects.retain(|id, _| kept(id));
    }
    let intermediate: BTreeSet<ObjectId> = expanded.intermediate.iter().map(ObjectId::of).collect();
    let shown = |intermediate: Vec<Node>| if options.intermediate { intermediate } else { Vec::new() };
    add(
        &mut management,
        &placed.management,
        expanded.management.into_iter().chain(shown(expanded.intermediate)),
        faults,
    );
    let mut sets = expanded.cluster_intermediate;
    sets.resize_with(clusters.len(), Vec::new);
    for (((objects, written), made), sets) in clusters.iter_mut().zip(&placed.clusters).zip(expanded.clusters).zip(sets)
    {
        add(objects, written, made.into_iter().chain(shown(sets)), faults);
    }
    for (index, objects) in clusters.iter().enumerate() {
        for (id, node) in objects.iter().filter(|(_, node)| node.has_expression()) {
            scopes.report_waiting(node, &format!("{id} of `{}`", input.site.clusters[index].name));
        }
    }
    for (id, node) in
        management.iter().filter(|(id, node)| node.has_expression() && !placed.management.contains_key(id))
    {
        if !intermediate.contains(id) {
            scopes.report_waiting(node, &id.to_string());
        }
    }
    // What could not be evaluated does not wait.
    let told: BTreeSet<Origin> = faults.iter().map(|fault| fault.origin).collect();
    faults.extend(scopes.take_faults().into_iter().filter(|fault| !told.contains(&fault.origin)));
    let made = for_argo_cd(input.site, folders, &placed.management, &mut management, &mut clusters, faults);
    let mut late = patch_output(input, fold, scopes, &mut management, &mut clusters, faults);
    late.extend(made);
    faults.append(&mut scopes.take_faults());
    // What the Applications carry now, patches included.
    let values_of = |id: &ObjectId| management.get(id)?.at(&["spec", "source", "helm", "valuesObject"]).cloned();
    let management_values =
        written.iter().filter_map(|id| Some((id.name.to_string(), (id.clone(), values_of(id)?)))).collect();
    let mut cluster_values = vec![BTreeMap::new(); clusters.len()];
    for made in expanded.values.into_iter().filter(|_| options.values) {
        let application = ObjectId::of(&made.application);
        if let Some(values) = values_of(&application) {
            cluster_values[made.cluster].insert(made.service, (application, values));
        }
    }
    Finished { management, clusters, management_values, cluster_values, late }
}

/// Makes the Applications of the DPU clusters and puts the guards on. A site that says nothing of Argo CD, or is compared
/// with what DPF makes, stays as it is. Out: what was made, and the site's own Application, which is applied by hand.
fn for_argo_cd(
    site: &Site,
    folders: &[String],
    written: &BTreeMap<ObjectId, Node>,
    management: &mut BTreeMap<ObjectId, Node>,
    clusters: &mut [BTreeMap<ObjectId, Node>],
    faults: &mut Vec<Diagnostic>,
) -> Vec<Node> {
    if site.parity || !site.argocd.present {
        return Vec::new();
    }
    let made = applications::of_clusters(site, folders, management, clusters, emit::without_nulls);
    add(management, written, made.iter().cloned(), faults);
    let own = applications::application(site, folders, &Destination::Management, applications::Needs::default());
    let own = own.map(|own| Node::from_json(&own, site.argocd.origin));
    let id = own.as_ref().map(ObjectId::of);
    if let Some((id, taken)) = id.and_then(|id| management.get_key_value(&id)) {
        let message = format!("{id} has the name of the Application that syncs the site itself");
        let fault = Diagnostic::error("name-collision", taken.origin(), message);
        faults.push(
            fault.note("`dpu-render argocd` makes that one, and it would replace itself").help("rename this one"),
        );
    }
    for objects in [management].into_iter().chain(clusters) {
        guard::guard(objects, site.argocd.version);
    }
    made.into_iter().chain(own).collect()
}

/// Adds generated objects to those written by hand.
pub(super) fn add(
    objects: &mut BTreeMap<ObjectId, Node>,
    written: &BTreeMap<ObjectId, Node>,
    made: impl Iterator<Item = Node>,
    faults: &mut Vec<Diagnostic>,
) {
    for node in made {
        let taken = match objects.entry(ObjectId::of(&node)) {
            Entry::Vacant(place) => {
                place.insert(node);
                continue;
            }
            Entry::Occupied(taken) => taken,
        };
        let (id, first) = (taken.key(), taken.get());
        if !written.contains_key(id) {
            let fault = Diagnostic::error("name-collision", node.origin(), format!("{id} is generated twice"));
            faults
                .push(fault.note_at("the other is generated from here", first.origin()).help("rename one of the two"));
        } else if !id.is("", "Namespace") {
            let message = format!("{id} is written by hand, and would be generated too");
            let fault = Diagnostic::error("duplicate-object", first.origin(), message);
            faults.push(
                fault
                    .note_at("it is generated from here", node.origin())
                    .help("leave one of them out; to change a generated object use a Patch with `stage: output`"),
            );
        }
        // A namespace that the user writes, with labels perhaps, is the one that is needed.
    }
}

/// Applies the patches that come last, and tells which objects they changed.
fn patch_output(
    input: &Input<'_>,
    fold: &Fold,
    scopes: &Scopes<'_>,
    management: &mut BTreeMap<ObjectId, Node>,
    clusters: &mut [BTreeMap<ObjectId, Node>],
    faults: &mut Vec<Diagnostic>,
) -> Vec<Node> {
    let mut changed: BTreeSet<(Option<usize>, ObjectId)> = BTreeSet::new();
    for patch in &fold.output_patches {
        let mut hit = false;
        let named = input.site.clusters.iter().zip(clusters.iter_mut()).enumerate();
        let named = named.map(|(index, (cluster, objects))| (Some(index), cluster.name.as_str(), objects));
        for (cluster, destination, objects) in [(None, "management", &mut *management)].into_iter().chain(named) {
            // Expressions are those of the destination.
            let mut own: Option<Option<Patch>> = None;
            for (id, node) in
                objects.iter_mut().filter(|(id, node)| patch::selects(&patch.target, id, node, destination))
            {
                hit = true;
                let level = cluster.map_or(Level::Site, cluster_level);
                let Some(patch) = own.get_or_insert_with(|| evaluated(patch, scopes, level)) else { break };
                changed.insert((cluster, id.clone()));
                match patch::apply(patch, node, id) {
                    Ok(patched) => *node = expand::redigest(node, patched),
                    Err(fault) => faults.push(*fault),
                }
            }
        }
        if !hit {
            faults.push(layer::no_match(patch, management.keys().chain(clusters.iter().flat_map(BTreeMap::keys))));
        }
    }
    let objects = |cluster: Option<usize>| cluster.map_or(&*management, |index| &clusters[index]);
    changed.iter().filter_map(|(cluster, id)| objects(*cluster).get(id).cloned()).collect()
}

/// A patch as it is for a destination; `None` after a fault, which is reported.
fn evaluated(patch: &Patch, scopes: &Scopes<'_>, level: Level) -> Option<Patch> {
    let mut own = patch.clone();
    for operation in own.operations.iter_mut().filter(|operation| operation.has_expression()) {
        *operation = scopes.evaluate_at(operation, level)?;
        scopes.report_waiting(operation, &format!("Patch `{}`", patch.name));
    }
    Some(own)
}
