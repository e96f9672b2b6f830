//! The field table over every distinct object of a site, once. PURE.
//!
//! Clusters share most of their objects, and sites share most of their layers: a node is checked once per site, and one
//! that lives as long as the run once per run.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use crate::diagnostic::Diagnostic;
use crate::node::Node;
use crate::schema;
use crate::site::{Release, Site};

/// A node's address, and what it was checked against.
type Checked = (usize, Release, bool);

/// What was found in nodes that live as long as the run, by address and what they were checked against.
#[derive(Default)]
pub(super) struct SharedChecks(Mutex<BTreeMap<Checked, Arc<Vec<Diagnostic>>>>);

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

    /// Checks an object unless it was checked; `node` must live as long as the checker.
    pub(super) fn check(&mut self, node: &Node, lasting: bool, faults: &mut Vec<Diagnostic>) {
        if !self.seen.insert(node.address()) {
            return;
        }
        if !lasting {
            schema::check(node, self.release, self.parity, faults);
            return;
        }
        let key = (node.address(), self.release, self.parity);
        let lock = || self.shared.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = lock().get(&key).cloned();
        let found = known.unwrap_or_else(|| {
            let mut found = Vec::new();
            schema::check(node, self.release, self.parity, &mut found);
            let found = Arc::new(found);
            lock().insert(key, Arc::clone(&found));
            found
        });
        faults.extend(found.iter().cloned());
    }
}
