//! The list of the files that are ours, `.dpu-render` at the top of a tree. PURE.
//!
//! What it names may be overwritten and removed, so it is believed only where it names what we could have written: paths of
//! the shapes below, of the characters that [`super::names::escape`] leaves. Anything else is an error, not a skip: a list
//! that somebody changed is not ours to interpret.

use std::collections::BTreeSet;

/// Name of the file that holds it.
pub(super) const FILE: &str = ".dpu-render";
const HEADING: &str = "# dpu-render 1: these files are written, and removed, by dpu-render\n";

/// The text of the list of `paths`.
pub(super) fn text(paths: &BTreeSet<&str>) -> String {
    let mut text = String::with_capacity(HEADING.len() + paths.iter().map(|path| path.len() + 1).sum::<usize>());
    text.push_str(HEADING);
    for path in paths {
        text.push_str(path);
        text.push('\n');
    }
    text
}

/// The paths of a list, or the number of the first line that cannot be ours.
pub(super) fn paths(text: &str) -> Result<BTreeSet<&str>, usize> {
    let lines = text.strip_prefix(HEADING).ok_or(1_usize)?;
    lines.lines().enumerate().map(|(at, line)| if is_ours(line) { Ok(line) } else { Err(at + 2) }).collect()
}

/// Whether we could have written a file of this path.
fn is_ours(path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').collect();
    let shape = matches!(
        *parts,
        ["management.yaml"]
            | ["management" | "clusters", _]
            | ["clusters", _, _]
            | ["management", "values", _]
            | ["clusters", _, "values", _]
    );
    let safe = |part: &&str| {
        !part.is_empty()
            && !part.starts_with('.')
            && part.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-'))
    };
    shape && path.ends_with(".yaml") && parts.iter().all(safe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_reads_back() {
        let written = BTreeSet::from(["clusters/a/x.yaml", "management.yaml", "management/values/b.yaml"]);
        assert_eq!(paths(&text(&written)), Ok(written));
    }

    #[test]
    fn what_we_could_not_have_written_is_refused() {
        for hostile in
            ["../x.yaml", "/etc/x.yaml", "management/../x.yaml", "README.md", "clusters//x.yaml", "", "x.yaml"]
        {
            assert_eq!(paths(&format!("{HEADING}management.yaml\n{hostile}\n")), Err(3), "{hostile}");
        }
        assert_eq!(paths("management.yaml\n"), Err(1));
    }
}
