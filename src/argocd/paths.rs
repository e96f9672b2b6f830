//! `argocd.argoproj.io/manifest-generate-paths`: what is written there, and what Argo CD makes of it. PURE.
//!
//! In: the path of an Application's source and folders of the repository. Out: the text of the annotation; and, for any
//! text, the folder that Argo CD packs for a plugin. Mirrors `reposerver/repository/utils.go` of Argo CD 3.2, mistakes
//! included: an entry that is only an ancestor counts for nothing once another entry has led elsewhere, and a blank before
//! a slash makes an entry a path below the Application's.

/// The annotation.
pub const ANNOTATION: &str = "argocd.argoproj.io/manifest-generate-paths";

/// The folder, from the repository's root, that Argo CD packs for the plugin of an Application whose source has the path
/// `app_path` and whose annotation is `annotation`; empty for the whole repository.
///
/// Argo CD also follows links inside the repository on the way; here every component is a plain folder.
#[must_use]
pub fn common_root(app_path: &str, annotation: &str) -> String {
    let app = joined(&[], app_path);
    let mut entries = annotation.split(';').filter(|entry| !entry.is_empty()).peekable();
    if entries.peek().is_none() {
        return String::new();
    }
    let mut common = app.clone();
    let mut disjoint = false;
    for entry in entries {
        let path = joined(if entry.starts_with('/') { &[] } else { &app }, entry);
        let shared = common.iter().zip(&path).take_while(|(one, other)| one == other).count();
        if shared < common.len().min(path.len()) {
            common.truncate(shared);
            disjoint = true;
        } else if !disjoint {
            common.truncate(path.len());
        }
    }
    common.join("/")
}

/// `path` from `base`, cleaned; `..` stops at the repository's root.
fn joined<'p>(base: &[&'p str], path: &'p str) -> Vec<&'p str> {
    let mut parts = base.to_vec();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            _ => parts.push(part),
        }
    }
    parts
}

/// The text of the annotation for an Application whose source has the path `app_path` and that is made of the files in
/// `folders`, paths from the repository's root.
///
/// Shallowest first and without blanks. A folder inside another one is left out. One whose name the annotation cannot hold
/// (`;`, or a blank at an end) is named by the nearest folder above it.
#[must_use]
pub fn annotation<'p>(app_path: &str, folders: impl IntoIterator<Item = &'p str>) -> String {
    let app = joined(&[], app_path);
    let mut folders: Vec<Vec<&str>> = folders.into_iter().map(|folder| sayable(joined(&[], folder))).collect();
    folders.sort_by(|one, other| (one.len(), one).cmp(&(other.len(), other)));
    let mut kept: Vec<Vec<&str>> = Vec::new();
    for folder in folders {
        if !folder.starts_with(&app) && !kept.iter().any(|above| folder.starts_with(above)) {
            kept.push(folder);
        }
    }
    let mut text: String = kept.iter().map(|folder| format!("/{};", folder.join("/"))).collect();
    text.push('.');
    text
}

fn sayable(mut folder: Vec<&str>) -> Vec<&str> {
    if let Some(end) = folder.iter().position(|part| part.contains(';') || part.trim() != *part) {
        folder.truncate(end);
    }
    folder
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_is_what_argo_cd_packs() {
        const APP: &str = "sites/site1/cl-a";
        for (annotation, root) in [
            ("", ""),
            (";", ""),
            (".", APP),
            (".;../_shared", "sites/site1"),
            ("../../profiles;.", "sites"),
            (".;/profiles", ""),
            ("/;../x", ""),
            // Mistakes of Argo CD: the ancestor comes too late, the blank makes a path below the Application's.
            ("../x;/", "sites/site1"),
            (".; /profiles", APP),
            // Of Argo CD's own tests.
            ("../../;..;.", "sites"),
            ("./manifests", APP),
            ("/sites/shared/*-secret.yaml", "sites"),
            ("../*", "sites/site1"),
            ("//sites/shared", "sites"),
            ("../../../../../etc", ""),
            ("/sites/site1/./cl-a/../cl-b;.", "sites/site1"),
        ] {
            assert_eq!(common_root(APP, annotation), root, "{annotation}");
        }
        assert_eq!(common_root("./sites//lab/", "/sites"), "sites");
    }

    #[test]
    fn what_is_written_gives_the_deepest_folder_that_holds_everything() {
        let cases: [(&str, &[&str], &str, &str); 8] = [
            ("sites/lab1", &[], ".", "sites/lab1"),
            ("sites/lab1", &["overlays/x/deep", "base/y", "base"], "/base;/overlays/x/deep;.", ""),
            ("dpu/sites/lab1", &["dpu/base/b", "dpu/base/a"], "/dpu/base/a;/dpu/base/b;.", "dpu"),
            ("dpu/sites/lab1", &["dpu/sites/lab1/own", "dpu/sites/lab1"], ".", "dpu/sites/lab1"),
            // An ancestor beside one that leads elsewhere, in either order.
            ("a/b/c/d", &["a/b", "a/x/y"], "/a/b;/a/x/y;.", "a"),
            ("a/b/c/d", &["a/b/c/e", "a/b"], "/a/b;.", "a/b"),
            ("sites/a", &["base/x;y/z", "base/k"], "/base;.", ""),
            ("sites/a", &["sites/ b/c"], "/sites;.", "sites"),
        ];
        for (app, folders, text, root) in cases {
            let written = annotation(app, folders.iter().copied());
            assert_eq!((written.as_str(), common_root(app, &written).as_str()), (text, root));
        }
    }
}
