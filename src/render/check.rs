//! The field table over every distinct object of a site, once. PURE.
//!
//! Clusters share most of their objects, and sites share most of their layers: a node is checked once per site, and one
//! that lives as long as the run once per run.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use super::expand::dpf::{CONTENT_DIGEST, RELEASE, WITHOUT};
use super::placement::{DESTINATION, FOR_EACH_KEY};
use crate::diagnostic::{Diagnostic, nearest};
use crate::node::Node;
use crate::schema;
use crate::site::{Release, Site};

/// What annotations of ours begin with.
const OURS: &str = "dpu-render.dev/";

/// What was found in nodes that live as long as the run, by address and what they were checked against.
#[derive(Default)]
pub(super) struct SharedChecks(Mutex<BTreeMap<Checked, Found>>);

/// Address of a node, release, parity.
type Checked = (usize, Release, bool);
type Found = Arc<Vec<Diagnostic>>;

/// Checks the objects of one site.
pub(super) struct Checker<'s> {
    shared: &'s SharedChecks,
    release: Release,
    parity: bool,
    seen: BTreeSet<usize>,
}

impl<'s> Checker<'s> {
    pub(super) fn new(shared: &'s SharedChecks, site: &Site) -> Self {
        Self { shared, release: site.dpf, parity: site.parity, seen: BTreeSet::new() }
    }

    /// Checks an object unless another one with the same `part` was: what differs beside it is ours.
    pub(super) fn check_once_per(&mut self, part: &Node, node: &Node, faults: &mut Vec<Diagnostic>) {
        if self.seen.insert(part.address()) {
            schema::check(node, self.release, self.parity, faults);
        }
    }

    /// Checks an object unless it was checked; `node` must live as long as the checker.
    pub(super) fn check(&mut self, node: &Node, lasting: bool, faults: &mut Vec<Diagnostic>) {
        if !self.seen.insert(node.address()) {
            return;
        }
        if !lasting {
            check(node, self.release, self.parity, faults);
            return;
        }
        let key = (node.address(), self.release, self.parity);
        let lock = || self.shared.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = lock().get(&key).cloned();
        let found = known.unwrap_or_else(|| {
            let mut found = Vec::new();
            check(node, self.release, self.parity, &mut found);
            let found = Arc::new(found);
            lock().insert(key, Arc::clone(&found));
            found
        });
        faults.extend(found.iter().cloned());
    }
}

fn check(node: &Node, release: Release, parity: bool, faults: &mut Vec<Diagnostic>) {
    schema::check(node, release, parity, faults);
    for entry in node.fields(&["metadata", "annotations"]) {
        let key = &*entry.key.text;
        if !key.starts_with(OURS) || [WITHOUT, RELEASE, CONTENT_DIGEST].contains(&key) {
            continue;
        }
        let fault = |message: String| Diagnostic::error("unknown-field", entry.key.origin, message);
        // Those that say where an object goes were taken off when it was read.
        faults.push(if [DESTINATION, FOR_EACH_KEY].contains(&key) {
            fault(format!("`{key}` is read before patches")).help("write it in the object, or in a layer over it")
        } else {
            let known = [DESTINATION, FOR_EACH_KEY, WITHOUT, RELEASE];
            let fault = fault(format!("there is no annotation `{key}` of ours"));
            match nearest(key, known) {
                Some(near) => fault.help(format!("did you mean `{near}`?")),
                None => fault.help(format!("there are {}", known.map(|key| format!("`{key}`")).join(", "))),
            }
        });
    }
}
