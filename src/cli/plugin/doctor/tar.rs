//! How much Argo CD packs for one call, and what makes it less. PURE.
//!
//! In: sizes. Out: checks. Nothing limits the size of the archive itself, which travels in pieces; its time is taken from that
//! of the render. What the plugin prints travels in one message.

use super::check::{Check, size};
use crate::argocd::version::Version;

/// More makes itself felt in every render.
const MUCH: u64 = 8 << 20;
/// Bytes of one piece, unless `ARGOCD_CMP_CHUNK_SIZE` says more.
const PIECE: u64 = 1024;
/// More pieces make themselves felt.
const MANY: u64 = 4096;
/// What one message may hold, unless `ARGOCD_GRPC_MAX_SIZE_MB` says more.
const MESSAGE: u64 = 100 << 20;

/// Packed sizes of a checkout.
pub(super) struct Sizes {
    /// With what is excluded left out.
    pub(super) whole: u64,
    /// The same without what git keeps; absent where there is nothing of git in it.
    pub(super) without_git: Option<u64>,
    /// Here `.git` is a file that names another folder; a clone of Argo CD's has the history in it.
    pub(super) history_elsewhere: bool,
    /// The same without `foreign`.
    pub(super) without_foreign: u64,
    /// Entries at the root in which no site reads anything, the largest first.
    pub(super) foreign: Vec<String>,
    /// What narrowing leaves of it: folder, the sites that need it, size.
    pub(super) narrowed: Vec<(String, Vec<String>, u64)>,
    /// Patterns that were said to be set.
    pub(super) excluded: Vec<String>,
}

/// The size of the whole, and of what is left of it for each site.
pub(super) fn checks(sizes: &Sizes, version: Version) -> Vec<Check> {
    let mut checks = vec![whole(sizes, version)];
    for (root, sites, bytes) in sizes.narrowed.iter().filter(|_| version.narrows()) {
        let about = match &sites[..] {
            [site] => site.clone(),
            sites => format!("{} sites", sites.len()),
        };
        checks.push(narrowed(sizes, root, &about, *bytes));
    }
    let most = match version.narrows() {
        true => sizes.narrowed.iter().map(|(.., bytes)| *bytes).max().unwrap_or(sizes.whole),
        false => sizes.without_git.unwrap_or(sizes.whole),
    };
    if most.div_ceil(PIECE) > MANY {
        let message = format!("{} travel in {} pieces of {PIECE} bytes", size(most), most.div_ceil(PIECE));
        checks.push(
            Check::warning("pieces", "", message)
                .fix("ARGOCD_CMP_CHUNK_SIZE: \"65536\" in the environment of the repo-server"),
        );
    }
    checks
}

fn whole(sizes: &Sizes, version: Version) -> Check {
    const NAME: &str = "tar";
    let times = if version.copies() > 1 { ", twice" } else { "" };
    let when = if version.narrows() {
        "for the form of the parameters, and where it does not narrow"
    } else {
        "for each render"
    };
    let mut message = format!("Argo CD {version} packs {} {when}{times}", size(sizes.whole));
    let Some(without_git) = sizes.without_git else {
        if sizes.whole <= MUCH {
            return Check::ok(NAME, "", message);
        }
        return foreign(Check::warning(NAME, "", message), sizes, &sizes.excluded);
    };
    message.push_str(&match sizes.history_elsewhere {
        true => "; beside that `.git`, which is elsewhere here, and in Argo CD's clone holds the history".to_owned(),
        false => format!("; without `.git` {}", size(without_git)),
    });
    let mut patterns = sizes.excluded.clone();
    patterns.push(".git".to_owned());
    let check = Check::warning(NAME, "", message).fix(setting(&patterns));
    if without_git <= MUCH { check } else { foreign(check, sizes, &patterns) }
}

/// Adds what else could be left out.
fn foreign(check: Check, sizes: &Sizes, patterns: &[String]) -> Check {
    if sizes.foreign.is_empty() || sizes.without_foreign >= sizes.without_git.unwrap_or(sizes.whole) {
        return check;
    }
    let patterns: Vec<String> = patterns.iter().chain(&sizes.foreign).cloned().collect();
    check.fix(format!("{} leaves {}, if no other plugin needs them", setting(&patterns), size(sizes.without_foreign)))
}

fn setting(patterns: &[String]) -> String {
    format!("argocd-cmd-params-cm: reposerver.plugin.tar.exclusions: {}", patterns.join(";"))
}

fn narrowed(sizes: &Sizes, root: &str, about: &str, bytes: u64) -> Check {
    const NAME: &str = "narrowed";
    let on = "reposerver.plugin.use.manifest.generate.paths: \"true\"";
    if root.is_empty() {
        let message = "the site and its layers have no folder in common, and narrowing changes nothing";
        if sizes.without_git.unwrap_or(sizes.whole) <= MUCH {
            return Check::ok(NAME, about, message);
        }
        let fix = "move the sites and their layers below one folder, for example `dpu/`";
        return Check::warning(NAME, about, message).fix(fix);
    }
    let message = format!("`{root}` is packed as {}, with {on}", size(bytes));
    if bytes <= MUCH { Check::ok(NAME, about, message) } else { Check::warning(NAME, about, message) }
}

/// What the plugin prints for the largest of `destinations`, beside what one message may hold.
pub(super) fn output(site: &str, destinations: &[(String, u64)]) -> Option<Check> {
    const NAME: &str = "output";
    let (name, bytes) = destinations.iter().max_by_key(|(_, bytes)| *bytes)?;
    let message = format!("`{name}` is the largest of its {} destinations: {}", destinations.len(), size(*bytes));
    if *bytes <= MESSAGE / 2 {
        return Some(Check::ok(NAME, site, message));
    }
    let message = format!("{message}, where one message of Argo CD holds {}", size(MESSAGE));
    let fix =
        "ARGOCD_GRPC_MAX_SIZE_MB in the environment of the sidecar, the repo-server, the controller and the API server";
    let check = if *bytes <= MESSAGE { Check::warning } else { Check::error };
    Some(check(NAME, site, message).fix(fix))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::plugin::doctor::check::Level;

    #[test]
    fn what_one_message_does_not_hold_is_an_error() {
        let level = |bytes| output("s", &[("a".into(), 1), ("b".into(), bytes)]).map(|check| check.level);
        assert_eq!(level(50 << 20), Some(Level::Ok));
        assert_eq!(level((50 << 20) + 1), Some(Level::Warning));
        assert_eq!(level((100 << 20) + 1), Some(Level::Error));
        assert_eq!(output("s", &[]), None);
    }

    #[test]
    fn what_is_large_comes_with_what_to_leave_out() {
        let version = |text: &str| Version::parse(text).unwrap();
        let mut sizes = Sizes {
            whole: 90 << 20,
            without_git: Some(40 << 20),
            history_elsewhere: false,
            without_foreign: 1 << 20,
            foreign: vec!["docs".into(), "images".into()],
            narrowed: vec![("dpu".into(), vec!["dpu/sites/a".into()], 2 << 20)],
            excluded: Vec::new(),
        };
        let told = checks(&sizes, version("v2.12"));
        assert_eq!(told.len(), 2);
        assert_eq!(told[0].message, "Argo CD v2.12 packs 90.0 MiB for each render, twice; without `.git` 40.0 MiB");
        assert_eq!(told[0].fixes.len(), 2);
        assert!(told[0].fixes[1].contains(".git;docs;images leaves 1.0 MiB"), "{:?}", told[0].fixes);
        assert_eq!(told[1].message, "40.0 MiB travel in 40960 pieces of 1024 bytes");
        // Where it narrows, what is foreign stays behind.
        let told = checks(&sizes, version("v3.2"));
        assert_eq!(told.iter().map(|check| check.level).collect::<Vec<_>>(), [Level::Warning, Level::Ok]);
        (sizes.excluded, sizes.without_git, sizes.whole) = (vec![".git".into()], None, 1 << 20);
        assert!(checks(&sizes, version("v2.13")).iter().all(|check| check.level == Level::Ok));
        sizes.narrowed = vec![(String::new(), vec!["a".into(), "b".into()], 40 << 20)];
        sizes.whole = 40 << 20;
        let told = checks(&sizes, version("v3.2"));
        assert!(told[1].fixes[0].contains("below one folder") && told[1].about == "2 sites", "{told:?}");
    }
}
