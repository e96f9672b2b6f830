//! The rows of the table, a file per family of kinds. PURE.
//!
//! In: nothing. Out: [`all`], every kind, and [`OF_EVERY_KIND`], what is the same in each.

mod argo;
mod cluster;
mod kubernetes;
mod network;
mod openshift;
mod operator;
pub(super) mod provisioning;
pub(super) mod service;
mod tenant;

use super::class::Class;
use super::table::{Kind, Row, row, rule};

/// Every kind of the table.
pub(super) fn all() -> impl Iterator<Item = &'static Kind> {
    [
        provisioning::KINDS,
        operator::KINDS,
        service::KINDS,
        network::KINDS,
        cluster::KINDS,
        tenant::KINDS,
        argo::KINDS,
        kubernetes::KINDS,
        openshift::KINDS,
    ]
    .into_iter()
    .flatten()
}

/// Places that mean the same in every kind, unless the kind says otherwise.
pub(super) static OF_EVERY_KIND: &[Row] = &[
    row("metadata", rule(Class::Metadata, "metadata", "Nothing that runs reads it.")),
    row(
        "metadata annotations argocd.argoproj.io/sync-wave",
        rule(Class::Metadata, "sync-wave", "Argo CD applies it in another wave of the next sync."),
    ),
    row(
        "metadata annotations argocd.argoproj.io/sync-options",
        rule(
            Class::Metadata,
            "sync-options",
            "Argo CD handles it otherwise from the next sync on; what it may prune and delete is in these options.",
        ),
    ),
    row("metadata finalizers", rule(Class::Metadata, "finalizers", "Finalizers count when the object is deleted.")),
];
