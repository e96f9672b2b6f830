//! An Application that names our plugin: what it asks for, and whether its annotation names what that reads. PURE.
//!
//! In: the `Application` and what its site reads. Out: checks. The rules for paths are those of Argo CD: see
//! [`crate::argocd::paths`] for what is packed; what is rendered anew after a commit is what lies below an entry.

use std::collections::{BTreeMap, BTreeSet};

use crate::argocd::paths::{ANNOTATION, annotation, common_root};
use crate::argocd::version::Version;
use crate::cli::plugin::call::Call;
use crate::cli::render::listed;
use crate::diagnostic::nearest;
use crate::node::Node;

use super::check::{Check, few};
use super::sites::{Examined, is_below};

const NAME: &str = "application";
/// What all versions of our plugin are called, and this one.
pub(super) const PLUGIN: &str = "dpu-render";
pub(super) const VERSION: &str = concat!("v", env!("CARGO_PKG_VERSION"));

/// A source of an Application that a plugin of ours renders.
pub(super) struct Asked {
    /// `management/lab1-blue`, for messages.
    pub(super) about: String,
    plugin: String,
    path: String,
    repo_url: Option<String>,
    annotation: Option<String>,
    /// Absent where Argo CD puts values in that are not known here.
    call: Option<Result<Call, String>>,
}

impl Asked {
    /// Every source of `application`, which goes to `destination`, with a plugin that is ours, or has no name.
    pub(super) fn of(site: &str, destination: &str, application: &Node) -> Vec<Self> {
        let name = application.text(&["metadata", "name"]).unwrap_or_default();
        let single = application.at(&["spec", "source"]).into_iter();
        let sources = single.chain(application.items(&["spec", "sources"]));
        let ours = sources.filter_map(|source| {
            let plugin = source.get("plugin")?;
            let plugin_name = plugin.text(&["name"]).unwrap_or_default();
            let ours = plugin_name.is_empty() || plugin_name == PLUGIN || plugin_name.starts_with("dpu-render-");
            ours.then(|| Self {
                about: format!("{site} {destination}/{name}"),
                plugin: plugin_name.to_owned(),
                path: source.text(&["path"]).unwrap_or_default().to_owned(),
                repo_url: source.text(&["repoURL"]).map(str::to_owned),
                annotation: application.text(&["metadata", "annotations", ANNOTATION]).map(str::to_owned),
                call: call(source, plugin),
            })
        });
        ours.collect()
    }

    /// Whether it is of the repository that is looked at, as far as that is known.
    pub(super) fn is_here(&self, repo_url: Option<&str>) -> bool {
        repo_url.is_none_or(|here| self.repo_url.as_deref().is_none_or(|there| there == here))
    }

    /// The folder of the site that it renders.
    pub(super) fn site(&self) -> Option<&str> {
        self.call.as_ref()?.as_ref().ok().map(|call| &*call.site)
    }

    /// Everything that can be said without its site.
    pub(super) fn alone(&self) -> Vec<Check> {
        let mut checks = Vec::new();
        let here = format!("{PLUGIN}-{VERSION}");
        if self.plugin.is_empty() {
            let message = "its plugin has no name, and one without discovery is then never found";
            checks.push(Check::error(NAME, &self.about, message).fix(format!("plugin.name: {here}")));
        } else if self.plugin == PLUGIN {
            let message = format!("it names the plugin `{PLUGIN}`, but the name of ours has its version");
            checks.push(Check::error(NAME, &self.about, message).fix(format!("plugin.name: {here}")));
        } else if self.plugin != here {
            let message = format!("it is rendered by `{}`, and this is `{here}`", self.plugin);
            let fix = format!("plugin.name: {here}, unless the other version runs beside it on purpose");
            checks.push(Check::warning(NAME, &self.about, message).fix(fix));
        }
        if let Some(Err(error)) = &self.call {
            checks.push(Check::error(NAME, &self.about, error.clone()));
        }
        checks
    }

    /// What it asks for, beside what its site has and reads.
    pub(super) fn with_site(&self, site: &Examined, version: Version) -> Vec<Check> {
        let mut checks = self.alone();
        if let Some(Ok(call)) = &self.call {
            checks.extend(destination(&self.about, call.destination.as_deref(), site));
        }
        checks.extend(self.paths(site, version));
        if checks.is_empty() {
            let annotation = self.annotation.as_deref().unwrap_or_default();
            checks.push(Check::ok(NAME, &self.about, format!("`{annotation}` names what is read, and no more")));
        }
        checks
    }

    /// The annotation beside what is read.
    fn paths(&self, site: &Examined, version: Version) -> Vec<Check> {
        let about = &self.about;
        let best = annotation(&self.path, site.folders.iter().map(String::as_str));
        let write = format!("{ANNOTATION}: {best}");
        let Some(given) = self.annotation.as_deref().filter(|given| !given.is_empty()) else {
            let message =
                "it has no paths annotation: every commit renders it anew, and the whole repository is packed";
            return vec![Check::warning(NAME, about, message).fix(write)];
        };
        let mut checks = Vec::new();
        let entries: Vec<&str> = given.split(';').filter(|entry| !entry.is_empty()).collect();
        if let Some(blank) = entries.iter().find(|entry| entry.trim() != **entry) {
            let message = format!(
                "`{blank}` in its paths begins or ends with a blank, which Argo CD takes for a part of the path"
            );
            checks.push(Check::error(NAME, about, message).fix(write.clone()));
        }
        let named: Vec<String> = entries.iter().map(|entry| from_root(&self.path, entry)).collect();
        let unnamed = site.folders.iter().filter(|folder| !named.iter().any(|entry| is_below(folder, entry)));
        let unnamed: Vec<&str> = unnamed.map(String::as_str).collect();
        if !unnamed.is_empty() && !globs(&named) {
            let message = format!("its paths do not name {}: a change there does not render it anew", few(unnamed));
            checks.push(Check::error(NAME, about, message).fix(write.clone()));
        }
        let (root, deepest) = (common_root(&self.path, given), common_root(&self.path, &best));
        let lacking: Vec<&str> =
            site.folders.iter().filter(|folder| !is_below(folder, &root)).map(String::as_str).collect();
        if !lacking.is_empty() && version.narrows() {
            let message = format!("of its paths Argo CD makes `{root}`, and does not hand over {}", few(lacking));
            checks.push(Check::error(NAME, about, message).fix(write.clone()));
        }
        let read =
            |entry: &String| site.folders.iter().any(|folder| is_below(folder, entry) || is_below(entry, folder));
        let unread: Vec<&str> = named.iter().filter(|entry| !read(entry)).map(String::as_str).collect();
        if !unread.is_empty() && !globs(&named) {
            let message =
                format!("its paths name {}, where nothing is read: it is rendered anew for nothing", few(unread));
            checks.push(Check::warning(NAME, about, message).fix(write));
        } else if version.narrows() && root != deepest && is_below(&deepest, &root) {
            let shown = if root.is_empty() { "the whole repository".to_owned() } else { format!("`{root}`") };
            let message = format!("of its paths Argo CD makes {shown}, where `{deepest}` would do");
            checks.push(Check::warning(NAME, about, message).fix(write));
        }
        checks
    }
}

/// Patterns are matched with files: what they name cannot be told from here.
fn globs(entries: &[String]) -> bool {
    entries.iter().any(|entry| entry.contains(['*', '?', '[']))
}

/// An entry of the annotation as a path from the root.
fn from_root<'p>(app_path: &'p str, entry: &'p str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    let base = if entry.starts_with('/') { "" } else { app_path };
    for part in base.split('/').chain(entry.split('/')) {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

fn destination(about: &str, asked: Option<&str>, site: &Examined) -> Option<Check> {
    let known: BTreeSet<String> = site.destinations.iter().map(|(name, _)| name.clone()).collect();
    match asked {
        Some(name) if known.contains(name) => None,
        Some(name) => {
            let near = nearest(name, known.iter().map(String::as_str)).map(|near| format!("destination: {near}"));
            let message = format!("its site has no destination `{name}`; there are {}", listed(&known));
            let check = Check::error(NAME, about, message);
            Some(near.into_iter().fold(check, Check::fix))
        }
        None => {
            let message = format!("it gives no parameter `destination`; there are {}", listed(&known));
            Some(Check::error(NAME, about, message))
        }
    }
}

/// The call that Argo CD makes of a source.
fn call(source: &Node, plugin: &Node) -> Option<Result<Call, String>> {
    let mut environment = BTreeMap::new();
    let path = source.text(&["path"]).unwrap_or_default();
    environment.insert("ARGOCD_APP_SOURCE_PATH".to_owned(), path.to_owned());
    if let Some(parameters) = plugin.get("parameters") {
        environment.insert("ARGOCD_APP_PARAMETERS".to_owned(), parameters.to_json().to_string());
    }
    for entry in plugin.items(&["env"]) {
        let [name, value] = ["name", "value"].map(|key| entry.text(&[key]).unwrap_or_default());
        if value.contains('$') {
            return None;
        }
        environment.insert(format!("ARGOCD_ENV_{name}"), value.to_owned());
    }
    Some(Call::of(&environment))
}
