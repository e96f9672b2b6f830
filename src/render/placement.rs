//! Where objects go: destinations and `for-each`, and what becomes of them per cluster, host and card. PURE.
//!
//! In: folded objects. Out: the objects of the management cluster and of each DPU cluster, evaluated as far as their
//! destination allows. What does not differ between clusters is one node in all of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use super::expand::Scope;
use super::layer::{Fold, Folded};
use super::merge::merge;
use super::object::ObjectId;
use super::reading::leftovers_of_variables;
use super::scope::{Level, Scopes, cluster_level};
use crate::diagnostic::{Diagnostic, nearest};
use crate::node::Node;
use crate::site::parse::FOR_EACH;
use crate::site::{ForEach, Inventory, Site};
use crate::source::Origin;

/// Our annotation for the destination.
pub(super) const DESTINATION: &str = "dpu-render.dev/destination";
/// Our annotation for one object per member.
pub(super) const FOR_EACH_KEY: &str = "dpu-render.dev/for-each";

/// A destination as written.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Dest {
    Management,
    Clusters,
    Cluster(Arc<str>),
}

impl fmt::Display for Dest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Management => "management",
            Self::Clusters => "clusters",
            Self::Cluster(name) => name,
        })
    }
}

/// What an object says of where it goes.
#[derive(Clone, Debug, Default)]
pub(super) struct Placement {
    pub(super) dest: Option<Dest>,
    pub(super) for_each: Option<ForEach>,
    /// Where the destination is written.
    pub(super) written: Option<Origin>,
}

impl fmt::Display for Placement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.dest.as_ref().unwrap_or(&Dest::Management))
    }
}

fn dest(text: &str) -> Dest {
    match text {
        "management" => Dest::Management,
        "clusters" => Dest::Clusters,
        name => Dest::Cluster(name.into()),
    }
}

/// The object without our two annotations, and what they say; `layer` is the layer's own destination.
pub(super) fn place_of(
    object: &Node,
    layer: Option<&(String, Origin)>,
    faults: &mut Vec<Diagnostic>,
) -> (Node, Placement) {
    let mut placement = Placement {
        dest: layer.map(|(text, _)| dest(text)),
        for_each: None,
        written: layer.map(|(_, origin)| *origin),
    };
    let Some(annotations) = object.at(&["metadata", "annotations"]) else { return (object.clone(), placement) };
    if annotations.get(DESTINATION).is_none() && annotations.get(FOR_EACH_KEY).is_none() {
        return (object.clone(), placement);
    }
    if let Some(value) = annotations.get(DESTINATION).filter(|value| !value.is_null()) {
        if let Some(text) = value.as_str() {
            placement.dest = Some(dest(text));
            placement.written = Some(value.origin());
        } else {
            let message = format!("`{DESTINATION}` must be a string, this is {}", value.kind());
            faults.push(Diagnostic::error("wrong-type", value.origin(), message));
        }
    }
    if let Some(value) = annotations.get(FOR_EACH_KEY).filter(|value| !value.is_null()) {
        let text = value.as_str().unwrap_or_default();
        placement.for_each = FOR_EACH.iter().find(|(name, _)| *name == text).map(|(_, each)| *each);
        if placement.for_each.is_none() {
            let message = format!("`{FOR_EACH_KEY}` cannot be `{text}`");
            let fault = Diagnostic::error("value-not-allowed", value.origin(), message);
            faults.push(fault.help(match nearest(text, FOR_EACH.map(|(name, _)| name)) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "allowed: `clusters`, `hosts`, `dpus`".to_owned(),
            }));
        }
    }
    let rest = annotations.without(DESTINATION).without(FOR_EACH_KEY);
    let metadata = object.get("metadata").unwrap_or(object);
    let metadata =
        if rest.fields(&[]).is_empty() { metadata.without("annotations") } else { metadata.with("annotations", rest) };
    (object.with("metadata", metadata), placement)
}

/// The objects of each destination.
#[derive(Default)]
pub(super) struct Placed {
    pub(super) management: BTreeMap<ObjectId, Node>,
    pub(super) clusters: Vec<BTreeMap<ObjectId, Node>>,
}

struct Placing<'p> {
    site: &'p Site,
    inventory: &'p Inventory,
    scopes: &'p Scopes<'p>,
    placed: Placed,
    /// Objects that no template made, and in which cluster. All others are members: an object of their name merges over them.
    singles: BTreeSet<(ObjectId, Option<usize>)>,
    faults: Vec<Diagnostic>,
}

/// Puts every object of a fold where it goes.
pub(super) fn place(
    fold: &Fold,
    site: &Site,
    inventory: &Inventory,
    scopes: &Scopes<'_>,
    faults: &mut Vec<Diagnostic>,
) -> Placed {
    let mut placing = Placing {
        site,
        inventory,
        scopes,
        placed: Placed { management: BTreeMap::new(), clusters: vec![BTreeMap::new(); site.clusters.len()] },
        singles: BTreeSet::new(),
        faults: Vec::new(),
    };
    let is_template =
        |folded: &Folded| folded.raw.placement.for_each.is_some() || folded.raw.placement.dest == Some(Dest::Clusters);
    // Members first, so that an object for one of them merges over it.
    for folded in fold.objects.values().filter(|folded| is_template(folded)) {
        placing.template(folded);
    }
    for ((_, dest), folded) in fold.objects.iter().filter(|(_, folded)| !is_template(folded)) {
        placing.single(dest, folded);
    }
    faults.append(&mut placing.faults);
    placing.placed
}

impl Placing<'_> {
    /// The object at a level, and its final identity; `None` for that after a fault.
    ///
    /// The object stays as written then, so that nothing that refers to it is reported as well.
    fn object(&mut self, folded: &Folded, level: Level) -> (Option<ObjectId>, Node) {
        let raw = &folded.raw;
        if !raw.node.has_expression() {
            return (Some(raw.id.clone()), raw.node.clone());
        }
        match self.scopes.evaluate_object(&raw.node, level) {
            Some(node) => {
                self.left_over(&raw.node, &node);
                (Some(ObjectId::of(&node)), node)
            }
            None => (None, raw.node.clone()),
        }
    }

    /// What variables brought in for a substitution that nobody makes; the object as written was looked through before.
    fn left_over(&mut self, written: &Node, node: &Node) {
        let mut found = Vec::new();
        leftovers_of_variables(written, node, false, &mut found);
        for fault in found {
            if !self.faults.iter().any(|known| known.code == fault.code && known.origin == fault.origin) {
                self.faults.push(fault);
            }
        }
    }

    fn template(&mut self, folded: &Folded) {
        let placement = &folded.raw.placement;
        let dest = placement.dest.clone().unwrap_or(Dest::Management);
        let clusters: Vec<Option<usize>> = match &dest {
            Dest::Management => vec![None],
            Dest::Clusters => (0..self.site.clusters.len()).map(Some).collect(),
            Dest::Cluster(name) => match self.cluster(name, folded) {
                Some(index) => vec![Some(index)],
                None => return,
            },
        };
        for cluster in clusters {
            for level in self.levels(placement.for_each, cluster) {
                let (id, node) = self.object(folded, level);
                let Some(id) = id else {
                    // Its name may wait for the same value, and would be that of every member.
                    self.objects(cluster).insert(folded.raw.id.clone(), node);
                    continue;
                };
                if let Some(first) = self.objects(cluster).insert(id, node) {
                    self.made_twice(folded, &first);
                    return;
                }
            }
        }
    }

    fn made_twice(&mut self, folded: &Folded, first: &Node) {
        let raw = &folded.raw;
        let fault = Diagnostic::error("duplicate-object", raw.node.origin(), format!("{} is made twice", raw.id));
        self.faults.push(if first.origin() == raw.node.origin() {
            fault.help("its name must differ for each member, as `name: x-${{ cluster.name }}`")
        } else {
            fault.note_at("the other is made here", first.origin())
        });
    }

    /// The levels at which the members of an object are evaluated.
    fn levels(&self, for_each: Option<ForEach>, cluster: Option<usize>) -> Vec<Level> {
        let own = |name: &str| cluster.is_none_or(|index| self.site.clusters[index].name == name);
        let hosts = self.inventory.hosts.iter().enumerate();
        match (for_each, cluster) {
            (None, None) => vec![Level::Site],
            (None, Some(index)) => vec![cluster_level(index)],
            (Some(ForEach::Clusters), _) => (0..self.site.clusters.len()).map(cluster_level).collect(),
            (Some(ForEach::Hosts), _) => hosts
                .filter(|(_, host)| cluster.is_none() || host.dpus.iter().any(|dpu| own(&dpu.cluster)))
                .map(|(index, _)| Level::In(Scope::Host(index)))
                .collect(),
            (Some(ForEach::Dpus), _) => hosts
                .flat_map(|(index, host)| host.dpus.iter().enumerate().map(move |(card, dpu)| (index, card, dpu)))
                .filter(|(_, _, dpu)| own(&dpu.cluster))
                .map(|(index, card, _)| Level::In(Scope::Dpu(index, card)))
                .collect(),
        }
    }

    fn single(&mut self, dest: &Dest, folded: &Folded) {
        let (cluster, level) = match dest {
            Dest::Cluster(name) => match self.cluster(name, folded) {
                Some(index) => (Some(index), cluster_level(index)),
                None => return,
            },
            _ if folded.raw.placement.written.is_some() => (None, Level::Site),
            // One that names no destination takes that of the member it merges with.
            _ => match self.only_member(folded) {
                Ok(cluster) => (cluster, cluster.map_or(Level::Site, cluster_level)),
                Err(fault) => return self.faults.push(*fault),
            },
        };
        let (id, node) = self.object(folded, level);
        let id = id.unwrap_or_else(|| folded.raw.id.clone());
        let member = cluster.is_some() || self.is_member(&id, None);
        let node = match self.objects(cluster).get(&id).cloned() {
            Some(below) if member => merge(&below, &node, &id.group, &id.kind, &mut self.faults),
            Some(below) => return self.made_twice(folded, &below),
            None => {
                self.singles.insert((id.clone(), cluster));
                node
            }
        };
        self.objects(cluster).insert(id, node);
    }

    fn is_member(&self, id: &ObjectId, cluster: Option<usize>) -> bool {
        let objects = match cluster {
            None => &self.placed.management,
            Some(index) => &self.placed.clusters[index],
        };
        objects.contains_key(id) && !self.singles.contains(&(id.clone(), cluster))
    }

    /// The cluster whose member an object without a destination is written over; `None` where that is in management or nowhere.
    fn only_member(&self, folded: &Folded) -> Result<Option<usize>, Box<Diagnostic>> {
        let id = &folded.raw.id;
        let all = std::iter::once(None).chain((0..self.placed.clusters.len()).map(Some));
        let mut members = all.filter(|cluster| self.is_member(id, *cluster));
        let (one, two) = (members.next().flatten(), members.next());
        let Some(two) = two else { return Ok(one) };
        let message = format!("{id} could merge with an object of two destinations");
        let mut fault = Diagnostic::error("ambiguous-destination", folded.raw.node.origin(), message);
        for cluster in [one, two] {
            let (objects, name) = match cluster {
                None => (&self.placed.management, "management"),
                Some(index) => (&self.placed.clusters[index], self.site.clusters[index].name.as_str()),
            };
            if let Some(node) = objects.get(id) {
                fault = fault.note_at(format!("one goes to `{name}`"), node.origin());
            }
        }
        Err(Box::new(fault.help("say which with the annotation `dpu-render.dev/destination`")))
    }

    fn objects(&mut self, cluster: Option<usize>) -> &mut BTreeMap<ObjectId, Node> {
        match cluster {
            None => &mut self.placed.management,
            Some(index) => &mut self.placed.clusters[index],
        }
    }

    fn cluster(&mut self, name: &str, folded: &Folded) -> Option<usize> {
        let found = self.site.clusters.iter().position(|cluster| cluster.name == name);
        if found.is_none() {
            let names: Vec<&str> = self.site.clusters.iter().map(|cluster| cluster.name.as_str()).collect();
            let message = format!("{} goes to `{name}`, which is no cluster of this site", folded.raw.id);
            let origin = folded.raw.placement.written.unwrap_or_else(|| folded.raw.node.origin());
            let fault = Diagnostic::error("unknown-destination", origin, message);
            let allowed: Vec<&str> = ["management", "clusters"].into_iter().chain(names).collect();
            self.faults.push(fault.help(match nearest(name, allowed.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("allowed: `{}`", allowed.join("`, `")),
            }));
        }
        found
    }
}
