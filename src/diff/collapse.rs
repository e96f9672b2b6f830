//! Many changes to few entries: what is equal in many clusters is told once. PURE.
//!
//! In: the changes of each site, in any order. Out: the entries of a report, the most harm first. Changes of the same places
//! in objects of one kind are one entry; within it, those of the same values are one variant. Values are compared as they
//! are shown, so that nothing is told of secrets by what falls together.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;

use serde_json::Value as Json;

use super::SiteDiff;
use super::cause::Variables;
use super::change::{Change, ChangeKind, Edit, Form, Judged, Noise, Path, Step, Whole};
use super::impact::Class;
use super::neutral::Names;
use super::report::{Entry, Renamed, Report, Shown, ShownEdit, ShownImpact, Variant};
use super::secret;
use crate::node::Node;
use crate::render::object::ObjectId;
use crate::source::{Origin, SourceTree};
use crate::yaml::write;

/// Lines of one variant that are told.
const MOST_LINES: usize = 3;

/// Collects the changes of many sites.
pub struct Collapse<'t, 'f> {
    tree: &'t SourceTree<'f>,
    entries: BTreeMap<EntryKey, Collected>,
    hidden: BTreeMap<Noise, usize>,
    renamed: BTreeSet<Renamed>,
    /// Keys of changes that many destinations share, by address; the change is held so that no address is used twice.
    known: BTreeMap<usize, (Arc<Change>, Arc<Seen>)>,
}

/// What makes changes one entry, in order of harm.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct EntryKey {
    /// Those of which no rule speaks come last.
    class: (bool, Option<Class>),
    rule: Option<&'static str>,
    kind: ChangeKind,
    whole: Whole,
    group: Box<str>,
    object: Box<str>,
    /// Places, or the name of what is added or removed.
    places: Box<str>,
}

/// A change as it is shown.
struct Seen {
    places: Box<str>,
    /// Values, without names that differ between clusters.
    values: String,
    /// Values as they are.
    edits: Vec<ShownEdit>,
    /// The same, without names that differ between clusters.
    neutral: Vec<ShownEdit>,
    yaml: Option<String>,
    /// Names, as they are and without what differs.
    name: String,
    neutral_name: String,
    was: Option<String>,
}

#[derive(Default)]
struct Collected {
    kinds: BTreeMap<String, usize>,
    impact: Option<ShownImpact>,
    variants: BTreeMap<String, Gathered>,
}

struct Gathered {
    variant: Variant,
    /// The first as it is; what follows may differ in names.
    alike: bool,
    names: BTreeSet<String>,
    neutral: BTreeSet<String>,
    origins: BTreeSet<Origin>,
}

impl<'t, 'f> Collapse<'t, 'f> {
    /// Nothing yet. `tree` tells the places of both sides.
    #[must_use]
    pub fn new(tree: &'t SourceTree<'f>) -> Self {
        Self {
            tree,
            entries: BTreeMap::new(),
            hidden: BTreeMap::new(),
            renamed: BTreeSet::new(),
            known: BTreeMap::new(),
        }
    }

    /// Adds what differs in a site.
    pub fn add(&mut self, diff: SiteDiff) {
        let site = diff.site.to_string();
        if let Some(was) = diff.was {
            self.renamed.insert(Renamed { site: site.clone(), was, cluster: None });
        }
        for (was, cluster) in diff.renamed {
            self.renamed.insert(Renamed { site: site.clone(), was, cluster: Some(cluster) });
        }
        for judged in diff.changes {
            self.change(judged, &diff.names, &diff.variables);
        }
    }

    fn change(&mut self, judged: Judged, names: &Names, variables: &Variables) {
        let seen = self.seen(&judged, names);
        let Judged { site, destination, change, whole, impact } = judged;
        for edit in seen.edits.iter() {
            if let Some(noise) = edit.noise {
                *self.hidden.entry(noise).or_default() += 1;
            }
        }
        let whole_of_many = whole != Whole::Object;
        let (group, object) = if whole_of_many { ("", "") } else { (&*change.id.group, &*change.id.kind) };
        let class = impact.as_ref().map(|impact| impact.class).filter(|_| !whole_of_many);
        let key = EntryKey {
            class: (class.is_none(), class),
            rule: impact.as_ref().map(|impact| impact.rule).filter(|_| !whole_of_many),
            kind: change.kind,
            whole,
            group: group.into(),
            object: object.into(),
            places: if whole_of_many { Box::default() } else { seen.places.clone() },
        };
        let collected = self.entries.entry(key).or_default();
        *collected.kinds.entry(change.id.kind.to_string()).or_default() += 1;
        if let Some(impact) = impact {
            let worst = collected.impact.get_or_insert_with(|| ShownImpact {
                class: impact.class,
                rule: impact.rule.to_owned(),
                why: impact.why.clone(),
                dpus: BTreeMap::new(),
                of: BTreeSet::new(),
                at_a_time: BTreeSet::new(),
            });
            if impact.class < worst.class {
                (worst.class, worst.rule, worst.why) = (impact.class, impact.rule.to_owned(), impact.why);
            }
            if !impact.dpus.is_empty() {
                worst.dpus.entry(site.to_string()).or_default().extend(impact.dpus);
            }
            worst.of.extend(impact.of);
            worst.at_a_time.extend(impact.at_a_time);
        }
        let values = if whole_of_many { String::new() } else { seen.values.clone() };
        let mut at = BTreeSet::new();
        if !whole_of_many {
            causes(&change).into_iter().for_each(|origin| variables.cause(origin, &destination, self.tree, &mut at));
        }
        let gathered = collected.variants.entry(values).or_insert_with(|| Gathered::new(&seen, whole_of_many));
        gathered.origins.extend(at);
        gathered.add(&seen, site.to_string(), destination.to_string(), whole_of_many);
    }

    /// The change as it is shown; made once for a change that many destinations share.
    fn seen(&mut self, judged: &Judged, names: &Names) -> Arc<Seen> {
        let shared = Arc::strong_count(&judged.change) > 1;
        let address = Arc::as_ptr(&judged.change).addr();
        if let Some((_, seen)) = self.known.get(&address).filter(|_| shared) {
            return Arc::clone(seen);
        }
        let seen = Arc::new(Seen::of(&judged.change, names));
        if shared {
            self.known.insert(address, (Arc::clone(&judged.change), Arc::clone(&seen)));
        }
        seen
    }

    /// The report of everything so far.
    #[must_use]
    pub fn report(self) -> Report {
        let tree = self.tree;
        let entries = self.entries.into_iter().map(|(key, collected)| {
            let mut variants: Vec<Variant> =
                collected.variants.into_values().map(|gathered| gathered.finish(tree)).collect();
            variants.sort_by_key(|variant| std::cmp::Reverse(variant.objects));
            Entry {
                kind: key.kind,
                whole: key.whole,
                group: key.group.into(),
                object: key.object.into(),
                kinds: collected.kinds,
                impact: collected.impact,
                variants,
            }
        });
        let mut entries: Vec<Entry> = entries.collect();
        // The most harm first; of equal harm, what touches the most.
        entries.sort_by_key(|entry| {
            let class = entry.impact.as_ref().map(|impact| impact.class);
            (class.is_none(), class, entry.kind, entry.whole, std::cmp::Reverse(entry.objects()))
        });
        Report { entries, hidden: self.hidden, renamed: self.renamed.into_iter().collect(), ..Report::default() }
    }
}

impl Seen {
    fn of(change: &Change, names: &Names) -> Self {
        let name = title(&change.id);
        let neutral_name = names.text(&name);
        let was = change.was.as_deref().map(title);
        let mut edits: Vec<ShownEdit> = change.edits.iter().flat_map(|edit| shown(edit, &change.id)).collect();
        edits.sort_by_key(|edit| edit.noise.is_some());
        let side = |side: &Option<Shown>| match side {
            Some(Shown::Value(value)) => Some(Shown::Value(names.json(value))),
            other => other.clone(),
        };
        let without_names = |edit: &ShownEdit| ShownEdit {
            path: names.text(&edit.path),
            before: side(&edit.before),
            after: side(&edit.after),
            ..edit.clone()
        };
        let neutral: Vec<ShownEdit> = edits.iter().map(without_names).collect();
        let mut places = String::new();
        let mut values = String::new();
        for edit in &neutral {
            let _ = writeln!(places, "{} {}", edit.kind.word(), edit.path);
            for side in [&edit.before, &edit.after] {
                let _ = match side {
                    None => writeln!(values, "-"),
                    // What is noise differs everywhere.
                    Some(_) if edit.noise.is_some() => writeln!(values, "~"),
                    Some(Shown::Hidden) => writeln!(values, "*"),
                    Some(Shown::Value(value)) => writeln!(values, "{value}"),
                };
            }
        }
        let object = change.after.as_ref().or(change.before.as_ref()).filter(|_| edits.is_empty());
        let yaml = object.map(|node| {
            let mut text = String::new();
            write::yaml(&secret::masked(node, &change.id, &mut Vec::new()), &mut text);
            text
        });
        if change.kind != ChangeKind::Changed {
            // Objects of other names are other entries, unless a cluster's name is all that differs.
            let _ = writeln!(places, "{neutral_name}");
        }
        Self { places: places.into(), values, edits, neutral, yaml, name, neutral_name, was }
    }
}

impl Gathered {
    fn new(seen: &Seen, whole_of_many: bool) -> Self {
        let (edits, yaml) = if whole_of_many { (Vec::new(), None) } else { (seen.edits.clone(), seen.yaml.clone()) };
        let variant = Variant {
            names: BTreeSet::new(),
            was: BTreeSet::new(),
            edits,
            yaml,
            places: BTreeMap::new(),
            objects: 0,
            at: Vec::new(),
            more_at: 0,
        };
        Self { variant, alike: true, names: BTreeSet::new(), neutral: BTreeSet::new(), origins: BTreeSet::new() }
    }

    fn add(&mut self, seen: &Seen, site: String, destination: String, whole_of_many: bool) {
        if !whole_of_many {
            if self.variant.edits != seen.edits && self.variant.edits != seen.neutral {
                self.variant.edits.clone_from(&seen.neutral);
            }
            self.alike &= self.variant.yaml == seen.yaml;
            self.names.insert(seen.name.clone());
            self.neutral.insert(seen.neutral_name.clone());
            self.variant.was.extend(seen.was.clone());
        }
        self.variant.objects += 1;
        self.variant.places.entry(site).or_default().insert(destination);
    }

    fn finish(mut self, tree: &SourceTree<'_>) -> Variant {
        // One object in each cluster, or a few by name: as they are.
        self.variant.names = if self.names.len() <= MOST_LINES { self.names } else { self.neutral };
        if !self.alike {
            self.variant.yaml = None;
        }
        // Lines only: a column tells how long what stands before it is, which may be a secret.
        let mut at: BTreeSet<(String, usize)> = BTreeSet::new();
        for origin in &self.origins {
            at.extend(line_of(*origin, tree));
        }
        self.variant.more_at = at.len().saturating_sub(MOST_LINES);
        let told = at.into_iter().take(MOST_LINES);
        self.variant.at = told.map(|(path, line)| format!("{path}:{line}")).collect();
        self.variant
    }
}

/// Path and line of a place.
fn line_of(origin: Origin, tree: &SourceTree<'_>) -> Option<(String, usize)> {
    let source = tree.source(origin.file()?)?;
    let position = source.position(origin.offset());
    Some((position.path.to_owned(), position.line))
}

/// Where what is shown of a change is written: the head's value, the base's where it is removed.
fn causes(change: &Change) -> BTreeSet<Origin> {
    let object = change.after.as_ref().or(change.before.as_ref()).filter(|_| change.edits.is_empty());
    let leaves = change.edits.iter().flat_map(Edit::leaves).filter(|(_, edit)| edit.noise.is_none());
    let values = leaves.filter_map(|(_, edit)| edit.after.as_ref().or(edit.before.as_ref()).map(Node::origin));
    values.chain(object.map(Node::origin)).filter(|origin| origin.file().is_some()).collect()
}

/// `namespace/name`.
fn title(id: &ObjectId) -> String {
    if id.namespace.is_empty() { id.name.to_string() } else { format!("{}/{}", id.namespace, id.name) }
}

/// An edit as it may be shown: itself, or what differs inside.
fn shown(edit: &Edit, id: &ObjectId) -> Vec<ShownEdit> {
    let leaves = edit.leaves();
    if leaves.is_empty() {
        return vec![one(&edit.path, edit, id)];
    }
    leaves.into_iter().map(|(path, leaf)| one(&path, leaf, id)).collect()
}

fn one(path: &Path, edit: &Edit, id: &ObjectId) -> ShownEdit {
    let value = |node: &Node| {
        // Of noise the place is told.
        if edit.secret || edit.noise.is_some() {
            return Shown::Hidden;
        }
        if edit.reordered {
            return Shown::Value(node.items(&[]).iter().map(name_of).collect());
        }
        Shown::Value(secret::masked(node, id, &mut path.0.clone()).to_json())
    };
    let form = path.0.iter().rev().find_map(|step| match step {
        Step::Inside(form) => Some(*form),
        _ => None,
    });
    // The line feed of a line is not told, unless it is what differs.
    let ended = |side: &Option<Node>| side.as_ref().and_then(Node::as_str).is_none_or(|text| text.ends_with('\n'));
    let whole_lines = form == Some(Form::Lines) && ended(&edit.before) && ended(&edit.after);
    let value = |node: &Node| match value(node) {
        Shown::Value(Json::String(line)) if whole_lines => Shown::Value(line.trim_end_matches('\n').into()),
        shown => shown,
    };
    ShownEdit {
        path: path.to_string(),
        kind: edit.kind(),
        before: edit.before.as_ref().map(value),
        after: edit.after.as_ref().map(value),
        reordered: edit.reordered,
        form,
        noise: edit.noise,
    }
}

/// What an item of a list is called where only the order is told.
fn name_of(item: &Node) -> Json {
    let name = ["name", "nameSuffix", "mountPath", "nodeName", "device", "path", "key", "port", "id", "containerPort"];
    name.iter().find_map(|key| item.get(key)).map_or(Json::Null, Node::to_json)
}
