//! Links of a checkout, and what else Argo CD does not hand over. PURE.
//!
//! In: entries, and the folders that are packed and read. Out: checks. Argo CD refuses a repository with a link that is absolute or
//! steps above its root (`CheckOutOfBoundsSymlinks` in `util/app/path`), and a sidecar one that leaves what was packed
//! (`untar` in `util/io/files`).

use crate::argocd::version::Version;
use std::collections::BTreeSet;

use super::check::{Check, few};
use super::checkout::{Checkout, Kind, is_git};
use super::sites::is_below;

const NAME: &str = "links";

/// `roots`: the folders that narrowing leaves; `read`: the folders that sites are made of.
pub(super) fn checks(
    checkout: &Checkout,
    roots: &BTreeSet<String>,
    read: &BTreeSet<String>,
    version: Version,
) -> Vec<Check> {
    let mut checks = Vec::new();
    let links: Vec<(&str, &str)> = checkout
        .entries
        .iter()
        .filter_map(|entry| match &entry.kind {
            Kind::Link(target) => Some((entry.path.as_str(), target.as_str())),
            _ => None,
        })
        .collect();
    for (path, target) in links.iter().filter(|(path, target)| !is_git(path) && leaves(path, target)) {
        let way = if target.starts_with('/') { "is absolute" } else { "leads out of the repository" };
        let message = format!("-> `{target}` {way}: Argo CD refuses the whole repository");
        checks.push(Check::error(NAME, path, message).fix("put the file itself there, or take the link away"));
    }
    for (path, target) in links.iter().filter(|(path, target)| !is_git(path) && !leaves(path, target)) {
        let Some(real) = checkout.leads_to(path) else { continue };
        let cut = roots.iter().find(|root| is_below(path, root) && !is_below(&real, root));
        if let Some(root) = cut.filter(|_| version.narrows()) {
            let message =
                format!("-> `{target}` leaves `{root}`, and where Argo CD packs no more than that, the render fails");
            checks.push(
                Check::error(NAME, path, message)
                    .fix(format!("move `{real}` below `{root}`, or put the file itself there")),
            );
        } else if read.iter().any(|folder| is_below(path, folder)) && !read.iter().any(|folder| is_below(&real, folder))
        {
            let message = format!(
                "-> `{target}`: no path of the annotation names `{real}`, so a change there does not render anew"
            );
            checks.push(
                Check::warning(NAME, path, message).fix("put the file itself there, or name a layer that holds it"),
            );
        }
    }
    if checks.is_empty() {
        let message = match links.iter().filter(|(path, _)| !is_git(path)).count() {
            0 => "there are none".to_owned(),
            count => format!("{count}, and all of them stay inside"),
        };
        checks.push(Check::ok(NAME, "", message));
    }
    checks.extend(special(checkout));
    checks
}

fn special(checkout: &Checkout) -> Vec<Check> {
    let mut checks = Vec::new();
    let other = checkout.entries.iter().filter(|entry| entry.kind == Kind::Other && !is_git(&entry.path));
    let other: Vec<&str> = other.map(|entry| entry.path.as_str()).collect();
    if !other.is_empty() {
        let message =
            format!("{} are sockets, pipes or devices: git keeps none of them, Argo CD packs none", few(other));
        checks.push(Check::warning("files", "", message));
    }
    if !checkout.unreadable.is_empty() {
        let files = few(checkout.unreadable.iter().map(String::as_str));
        let message = format!("{files} cannot be read here, or have names that are no text: they are not counted");
        checks.push(Check::warning("files", "", message));
    }
    checks
}

/// Whether the link at `path` is absolute, or above the root at any step of its way.
fn leaves(path: &str, target: &str) -> bool {
    let mut depth = path.matches('/').count();
    target.starts_with('/')
        || target.split('/').any(|part| {
            match part {
                "" | "." => {}
                ".." if depth == 0 => return true,
                ".." => depth -= 1,
                _ => depth += 1,
            }
            false
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_may_not_be_above_the_root_on_its_way() {
        for (path, target, is) in [
            ("a/link", "b", false),
            ("a/link", "../b/./c", false),
            ("a/link", "../../repository/b", true),
            ("link", "..", true),
            ("a/b/link", "../../../x", true),
            ("a/link", "/etc/hostname", true),
            ("a/link", "x/../..//y", false),
        ] {
            assert_eq!(leaves(path, target), is, "{path} -> {target}");
        }
    }
}
