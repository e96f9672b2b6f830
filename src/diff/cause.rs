//! The line that caused a change: where a value is an expression, the variable behind it. PURE.
//!
//! In: the variables of both sides, and the place of a value. Out: where the variables that differ and that the value reads
//! are set; the value's own place where it reads none.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::node::{EXPRESSION, Node};
use crate::render::RenderedSite;
use crate::render::object::Destination;
use crate::source::{Origin, Source, SourceTree};

/// Variables that differ, and where each is set: the head's line, the base's where it is gone.
type Changed = BTreeMap<String, BTreeSet<Origin>>;

/// The variables of a site that differ between its sides.
#[derive(Debug, Default)]
pub(super) struct Variables {
    site: Changed,
    /// Beside those of the site, by cluster: those of the cluster, its hosts and cards.
    clusters: BTreeMap<String, Changed>,
}

impl Variables {
    /// What differs between two sides.
    pub(super) fn of(base: &RenderedSite, head: &RenderedSite) -> Self {
        let mut changed = Self::default();
        compare(&base.vars, &head.vars, &mut changed.site);
        for cluster in &head.site.clusters {
            if let Some(before) = base.site.clusters.iter().find(|before| before.name == cluster.name) {
                compare(&before.vars, &cluster.vars, changed.clusters.entry(cluster.name.clone()).or_default());
            }
        }
        for host in &head.inventory.hosts {
            let Some(before) = base.inventory.hosts.iter().find(|before| before.name == host.name) else { continue };
            for dpu in &host.dpus {
                let of_cluster = changed.clusters.entry(dpu.cluster.clone()).or_default();
                compare(&before.vars, &host.vars, of_cluster);
                if let Some(before) = before.dpus.iter().find(|before| before.node_name == dpu.node_name) {
                    compare(&before.vars, &dpu.vars, of_cluster);
                }
            }
        }
        changed.clusters.retain(|_, changed| !changed.is_empty());
        changed.follow([&base.vars, &head.vars]);
        changed
    }

    /// A variable that reads one that differs, differs for the same reason.
    fn follow(&mut self, vars: [&Node; 2]) {
        if self.site.is_empty() && self.clusters.is_empty() {
            return;
        }
        // Each round takes one step along the expressions.
        for _ in 0..8 {
            let mut more = false;
            for entry in vars.iter().flat_map(|vars| vars.fields(&[])).filter(|entry| entry.value.has_expression()) {
                let text = entry.value.to_json().to_string();
                for changed in [&mut self.site].into_iter().chain(self.clusters.values_mut()) {
                    let causes: BTreeSet<Origin> =
                        reads(&text).filter_map(|name| changed.get(name)).flatten().copied().collect();
                    let known = changed.get(&*entry.key.text).map_or(0, BTreeSet::len);
                    if !causes.is_empty() && known == 0 {
                        changed.insert(entry.key.text.to_string(), causes);
                        more = true;
                    }
                }
            }
            if !more {
                return;
            }
        }
    }

    /// What caused the value at `origin`, in an object that goes to `destination`.
    pub(super) fn cause(
        &self,
        origin: Origin,
        destination: &Destination,
        tree: &SourceTree<'_>,
        into: &mut BTreeSet<Origin>,
    ) {
        let of_cluster: Vec<&Changed> = match destination {
            Destination::Cluster(name) => self.clusters.get(&**name).into_iter().collect(),
            Destination::Management => self.clusters.values().collect(),
        };
        let mut found = false;
        if (!self.site.is_empty() || !of_cluster.is_empty())
            && let Some(source) = origin.file().and_then(|file| tree.source(file))
        {
            for name in reads(written(&source, origin)) {
                for changed in [&self.site].into_iter().chain(of_cluster.iter().copied()) {
                    let causes = changed.get(name);
                    found |= causes.is_some();
                    into.extend(causes.into_iter().flatten());
                }
            }
        }
        if !found {
            into.insert(origin);
        }
    }
}

/// Adds the variables that differ between two maps of them.
fn compare(before: &Node, after: &Node, changed: &mut Changed) {
    if before.same(after) {
        return;
    }
    let names: BTreeSet<&str> =
        before.fields(&[]).iter().chain(after.fields(&[])).map(|entry| &*entry.key.text).collect();
    for name in names {
        let (old, new) = (before.get(name), after.get(name));
        if old != new {
            let mut at = BTreeSet::new();
            places(old, new, &mut at);
            changed.entry(name.to_owned()).or_default().extend(at);
        }
    }
}

/// Where two values differ.
fn places(before: Option<&Node>, after: Option<&Node>, at: &mut BTreeSet<Origin>) {
    match (before, after) {
        (Some(before), Some(after)) if before == after => {}
        (Some(before), Some(after)) if before.as_map().is_some() && after.as_map().is_some() => {
            let keys: BTreeSet<&str> =
                before.fields(&[]).iter().chain(after.fields(&[])).map(|entry| &*entry.key.text).collect();
            keys.into_iter().for_each(|key| places(before.get(key), after.get(key), at));
        }
        (before, after) => {
            let origin = after.or(before).map(Node::origin);
            at.extend(origin.filter(|origin| origin.file().is_some()));
        }
    }
}

/// The scalar as it is written at `origin`: the rest of its line, and the lines below it that are indented deeper; of a block
/// scalar, whose origin is its first line, those that are not indented less.
fn written(source: &Arc<Source>, origin: Origin) -> &str {
    let text = &source.text;
    let mut at = (origin.offset() as usize).min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    let start = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
    let indent = |line: &str| line.len() - line.trim_start_matches([' ', '-']).len();
    let spaces = |line: &str| line.len() - line.trim_start_matches(' ').len();
    let block = text[start..at].bytes().all(|byte| byte == b' ');
    let depth = indent(&text[start..]);
    let ends = |line: &str| if block { spaces(line) < at - start } else { indent(line) <= depth };
    let mut end = at;
    for (number, line) in text[at..].split_inclusive('\n').enumerate() {
        if number > 0 && !line.trim().is_empty() && ends(line) {
            break;
        }
        end += line.len();
    }
    &text[at..end]
}

/// The variables that the expressions of a text read: `vars.mtu`.
fn reads(text: &str) -> impl Iterator<Item = &str> {
    let expressions = text.split(EXPRESSION).skip(1).map(|rest| rest.split("}}").next().unwrap_or(rest));
    expressions.flat_map(|expression| {
        expression.match_indices("vars.").map(|(at, _)| {
            let name = &expression[at + "vars.".len()..];
            &name[..name.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(name.len())]
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The variables that are read by the scalar that begins with `first`.
    fn read(text: &str, first: &str) -> Vec<String> {
        let none = BTreeMap::<String, String>::new();
        let tree = SourceTree::new(&none);
        let (file, source) = tree.add("a.yaml", text.to_owned());
        let at = u32::try_from(text.find(first).unwrap()).unwrap();
        reads(written(&source, Origin::new(file, at))).map(str::to_owned).collect()
    }

    #[test]
    fn a_scalar_is_read_to_its_end() {
        let text = "a:\n  b: |\n    - x: ${{ vars.one }}\n\n    - y:\n        z: ${{ vars.two }}\n  c: ${{ vars.three }}\n  d:\n  - ${{ vars.four }}\n  - ${{ vars.five }}\n";
        assert_eq!(read(text, "- x"), ["one", "two"]);
        assert_eq!(read(text, "${{ vars.three"), ["three"]);
        assert_eq!(read(text, "${{ vars.four"), ["four"]);
    }
}
