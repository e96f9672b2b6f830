//! What a site reads and what it makes that names our plugin. PURE, over the files it is given.
//!
//! In: the files of a repository and the folder of a site. Out: [`Examined`].

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::argocd::version::Version;
use crate::node::Node;
use crate::render::{Options, RenderedSite, Repository};
use crate::source::{FileError, Files};
use crate::yaml::write;

/// A site that was rendered whole.
pub(super) struct Examined {
    /// What it is made of: its folder, its layers, and further files.
    pub(super) folders: BTreeSet<String>,
    /// Files that were read.
    pub(super) files: BTreeSet<String>,
    /// Every destination and the bytes that the plugin prints for it.
    pub(super) destinations: Vec<(String, u64)>,
    /// Applications with a plugin, as they are, and where each goes.
    pub(super) applications: Vec<(String, Node)>,
    /// `spec.argocd.repoURL`.
    pub(super) repo_url: Option<String>,
    /// `spec.argocd.version`.
    pub(super) version: Version,
}

/// Renders the site in `folder`; else the first error, as one line.
pub(super) fn examine(files: &dyn Files, folder: &str) -> Result<Examined, String> {
    let recorded = Recorded { files, folders: Mutex::default(), read: Mutex::default() };
    let repository = Repository::new(&recorded);
    let outcome = repository.render(folder, &Options::default());
    let Some(site) = outcome.site else {
        let tree = repository.tree();
        let first = outcome.diagnostics.into_iter().find(|found| found.severity == crate::diagnostic::Severity::Error);
        return Err(first.map_or_else(
            || "it cannot be rendered".to_owned(),
            |fault| {
                let place = tree.place(fault.origin).map(|place| format!(" ({place})")).unwrap_or_default();
                format!("{}: {}{place}", fault.code, fault.message)
            },
        ));
    };
    let mut folders = recorded.folders();
    folders.insert(folder.to_owned());
    let read = held(&recorded.read).clone();
    for file in &read {
        if !folders.iter().any(|folder| is_below(file, folder)) {
            folders.insert(file.clone());
        }
    }
    Ok(Examined {
        folders,
        files: read,
        destinations: sizes(&site),
        applications: applications(&site),
        version: site.site.argocd.version,
        repo_url: site.site.argocd.repo_url,
    })
}

/// Whether `path` is `folder` or below it; everything is below the root.
pub(super) fn is_below(path: &str, folder: &str) -> bool {
    folder.is_empty() || path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn sizes(site: &RenderedSite) -> Vec<(String, u64)> {
    let mut text = String::new();
    let mut sizes = Vec::new();
    for destination in &site.destinations {
        let mut bytes = 0;
        for object in &destination.objects {
            text.clear();
            write::json(&object.node, &mut text);
            bytes += text.len() as u64 + 1;
        }
        sizes.push((destination.destination.to_string(), bytes));
    }
    sizes
}

fn applications(site: &RenderedSite) -> Vec<(String, Node)> {
    let mut found = Vec::new();
    for destination in &site.destinations {
        for object in destination.objects.iter().map(|object| &object.node) {
            let group = object.text(&["apiVersion"]).and_then(|version| version.split('/').next());
            if group == Some("argoproj.io") && object.text(&["kind"]) == Some("Application") {
                found.push((destination.destination.to_string(), object.clone()));
            }
        }
    }
    found
}

/// Files that remember what was asked for and was there.
struct Recorded<'f> {
    files: &'f dyn Files,
    folders: Mutex<BTreeSet<String>>,
    read: Mutex<BTreeSet<String>>,
}

impl Recorded<'_> {
    fn folders(&self) -> BTreeSet<String> {
        held(&self.folders).clone()
    }
}

fn held(names: &Mutex<BTreeSet<String>>) -> MutexGuard<'_, BTreeSet<String>> {
    names.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Files for Recorded<'_> {
    fn list(&self, folder: &str) -> Result<Vec<String>, FileError> {
        let listed = self.files.list(folder)?;
        held(&self.folders).insert(folder.to_owned());
        Ok(listed)
    }

    fn read(&self, path: &str) -> Result<Vec<u8>, FileError> {
        let bytes = self.files.read(path)?;
        held(&self.read).insert(path.to_owned());
        Ok(bytes)
    }
}
