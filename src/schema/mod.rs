//! The fields of every kind and release, and the check of one object against them. PURE.
//!
//! In: objects as [`Node`]s and a [`Release`]. Out: diagnostics, scopes and merge keys. The table is data, made from CRDs
//! by `cargo run --example crd-table -- ../shared/crds` and kept in `table/`; only the schemas that are asked for are parsed.
//!
//! ```text
//! CRDs ─ generate ─▶ table/*.jsonl ─ table (find the line, parse it once) ─▶ Schema
//!   ─ check (fields, types, limits; metadata of every kind) ─ cel (rules over several fields) ─▶ diagnostics
//!   ─ transition (rules that name the object as it was) ─▶ what the API server refuses of a change
//! ```

pub mod cel;
mod check;
pub mod generate;
mod metadata;
pub mod table;
mod transition;

use std::borrow::Cow;
use std::sync::OnceLock;

use crate::diagnostic::Diagnostic;
use crate::node::Node;
use crate::site::Release;
pub use transition::{Refusal, transitions};

use table::{Line, ListKey, Schema, Scope, Table};

/// The table as checked in, in the order of [`generate::APIS`].
const TABLES: [&str; 3] =
    [include_str!("table/dpf.jsonl"), include_str!("table/argo-cd.jsonl"), include_str!("table/others.jsonl")];

/// Kinds by API group, version and release.
#[derive(Debug)]
pub struct Schemas {
    tables: Vec<Table>,
}

impl Schemas {
    /// The table of this program.
    #[must_use]
    pub fn built_in() -> &'static Self {
        static BUILT_IN: OnceLock<Schemas> = OnceLock::new();
        BUILT_IN.get_or_init(|| Self::new(TABLES.map(Cow::Borrowed).into()))
    }

    /// Of CRDs of the user's own, which count in every release and come before the table of this program.
    #[must_use]
    pub fn with_crds(crds: &[Node]) -> Self {
        let own = generate::table([(generate::EVERY_RELEASE, crds)], &[]).text;
        let texts = std::iter::once(Cow::Owned(own)).chain(TABLES.map(Cow::Borrowed));
        Self::new(texts.collect())
    }

    fn new(texts: Vec<Cow<'static, str>>) -> Self {
        Self { tables: texts.into_iter().enumerate().map(|(index, text)| Table::new(text, index)).collect() }
    }

    /// Every line of the table.
    pub fn lines(&self) -> impl Iterator<Item = &Line> {
        self.tables.iter().flat_map(|table| &table.lines)
    }

    /// The schema of a line of this table.
    #[must_use]
    pub fn schema<'s>(&'s self, line: &'s Line) -> &'s Schema {
        self.tables[line.table].schema(line)
    }

    /// The line of a kind.
    #[must_use]
    pub fn find(&self, group: &str, version: &str, kind: &str, release: Release) -> Option<&Line> {
        self.of_kind(group, kind).find(|line| &*line.version == version && line.is_of(release))
    }

    fn of_kind(&self, group: &str, kind: &str) -> impl Iterator<Item = &Line> {
        self.lines().filter(move |line| &*line.kind == kind && &*line.group == group)
    }

    /// Whether objects of a kind live in namespaces; nothing for kinds that neither the table nor Kubernetes has.
    #[must_use]
    pub fn scope(&self, group: &str, kind: &str, release: Release) -> Option<Scope> {
        let line = self.of_kind(group, kind).find(|line| line.is_of(release));
        line.map(|line| line.scope).or_else(|| metadata::scope(group, kind))
    }

    /// The fields that tell the items of the list at `path` apart, where the API server merges it as a map. Lists on the
    /// way are passed through: `["spec", "dpus", "dpuSets"]`, `["spec", "switches", "ports"]`.
    #[must_use]
    pub fn merge_key(&self, group: &str, kind: &str, release: Release, path: &[&str]) -> Option<Vec<String>> {
        let line = self.of_kind(group, kind).find(|line| line.is_of(release))?;
        match &self.schema(line).at(path)?.list_key {
            Some(ListKey::Fields(fields)) => Some(fields.clone()),
            _ => None,
        }
    }

    /// Checks one object. A string that still holds an expression passes. With `parity`, what the API server would drop
    /// without a word (unknown fields, nulls) is a warning.
    pub fn check(&self, object: &Node, release: Release, parity: bool, out: &mut Vec<Diagnostic>) {
        check::object(self, object, release, parity, out);
    }
}

/// [`Schemas::check`] of the table of this program.
pub fn check(object: &Node, release: Release, parity: bool, out: &mut Vec<Diagnostic>) {
    Schemas::built_in().check(object, release, parity, out);
}

/// [`Schemas::scope`] of the table of this program.
#[must_use]
pub fn scope(group: &str, kind: &str, release: Release) -> Option<Scope> {
    Schemas::built_in().scope(group, kind, release)
}

/// [`Schemas::merge_key`] of the table of this program.
#[must_use]
pub fn merge_key(group: &str, kind: &str, release: Release, path: &[&str]) -> Option<Vec<String>> {
    Schemas::built_in().merge_key(group, kind, release, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_and_merge_keys() {
        assert_eq!(scope("svc.dpu.nvidia.com", "DPUService", Release::V24_10), Some(Scope::Namespaced));
        assert_eq!(scope("vpc.dpu.nvidia.com", "IsolationClass", Release::V25_10), Some(Scope::Cluster));
        assert_eq!(scope("vpc.dpu.nvidia.com", "IsolationClass", Release::V24_10), None);
        assert_eq!(scope("", "PersistentVolume", Release::V24_10), Some(Scope::Cluster));
        assert_eq!(scope("apps", "DaemonSet", Release::V24_10), Some(Scope::Namespaced));
        assert_eq!(scope("example.com", "Thing", Release::V24_10), None);
        let key = |release, path: &[&str]| merge_key("svc.dpu.nvidia.com", "NodeServiceInterfaces", release, path);
        assert_eq!(key(Release::V26_8, &["spec", "interfaces"]), Some(vec!["name".to_owned()]));
        assert_eq!(key(Release::V26_8, &["spec"]), None);
        assert_eq!(key(Release::V26_4, &["spec", "interfaces"]), None);
    }

    #[test]
    fn every_line_can_be_read() {
        let schemas = Schemas::built_in();
        for line in schemas.lines() {
            assert_ne!(schemas.schema(line).kind, table::Type::Any, "{}/{}", line.group, line.kind);
        }
        assert_eq!(TABLES.len(), generate::APIS.len());
    }

    #[test]
    fn crds_of_the_user_come_first() {
        let crd = serde_json::json!({"spec": {
            "group": "svc.dpu.nvidia.com", "names": {"kind": "DPUService"}, "scope": "Cluster",
            "versions": [{"name": "v1alpha1", "schema": {"openAPIV3Schema": {"type": "object", "properties": {
                "apiVersion": {"type": "string"},
                "spec": {"type": "object", "required": ["mine"], "properties": {"mine": {"type": "integer"}}},
            }}}}],
        }});
        let schemas = Schemas::with_crds(&[Node::from_json(&crd, crate::source::Origin::NONE)]);
        assert_eq!(schemas.scope("svc.dpu.nvidia.com", "DPUService", Release::V25_7), Some(Scope::Cluster));
        assert!(schemas.find("svc.dpu.nvidia.com", "v1alpha1", "DPUSet", Release::V25_7).is_none());
        assert!(schemas.find("provisioning.dpu.nvidia.com", "v1alpha1", "DPUSet", Release::V25_7).is_some());
        let line = schemas.find("svc.dpu.nvidia.com", "v1alpha1", "DPUService", Release::V25_7).unwrap();
        assert_eq!(schemas.schema(line).at(&["spec", "mine"]).unwrap().kind, table::Type::Integer);
    }
}
