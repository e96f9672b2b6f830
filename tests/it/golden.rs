//! Golden cases: `tests/render/<case>` with its whole output, `tests/invalid/<rule>` with its whole complaint.
//!
//! A case is a small repository with `sites/`; a file `arguments` in it holds further arguments, one a line.
//! `DPU_RENDER_BLESS=1` writes what is expected anew; a bless is read before it is committed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::program::run;

fn cases(kind: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(kind);
    let mut cases: Vec<PathBuf> =
        fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect();
    cases.sort();
    assert!(!cases.is_empty(), "no cases in {}", folder.display());
    cases
}

pub(crate) fn blessing() -> bool {
    assert!(std::env::var_os("CI").is_none() || std::env::var_os("DPU_RENDER_BLESS").is_none(), "CI never blesses");
    std::env::var_os("DPU_RENDER_BLESS").is_some()
}

/// The sites of a case, and its further arguments.
pub(crate) fn arguments(case: &Path) -> Vec<String> {
    let mut sites: Vec<String> = fs::read_dir(case.join("sites"))
        .unwrap_or_else(|error| panic!("{}: sites/: {error}", case.display()))
        .map(|entry| format!("sites/{}", entry.unwrap().file_name().into_string().unwrap()))
        .collect();
    sites.sort();
    let more = fs::read_to_string(case.join("arguments")).unwrap_or_default();
    sites.into_iter().chain(more.lines().map(str::to_owned)).collect()
}

/// Every file below a folder, path to text.
pub(crate) fn tree(folder: &Path) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    for entry in
        walkdir::WalkDir::new(folder).into_iter().map(Result::unwrap).filter(|entry| entry.file_type().is_file())
    {
        let path = entry.path().strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
        files.insert(path, fs::read_to_string(entry.path()).unwrap());
    }
    files
}

fn replace(folder: &Path, files: &BTreeMap<String, String>) {
    if folder.exists() {
        fs::remove_dir_all(folder).unwrap();
    }
    for (path, text) in files {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
}

#[test]
fn each_case_renders_to_what_is_expected() {
    let mut wrong = Vec::new();
    for case in cases("render") {
        let out = TempDir::new().unwrap();
        let folder = out.path().join("out");
        let mut arguments = arguments(&case);
        arguments.extend(["-o".to_owned(), folder.to_str().unwrap().to_owned()]);
        let said = run(&case, &arguments.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(said.code, Some(0), "{}:\n{}", case.display(), said.err);
        let mut files = tree(&folder);
        // The last line counts the files, and names the folder, which is another one in each run.
        let (warnings, summary) = said.err.trim_end().rsplit_once('\n').unwrap_or(("", said.err.trim_end()));
        assert!(summary.ends_with(folder.to_str().unwrap()), "{}:\n{}", case.display(), said.err);
        if !warnings.is_empty() {
            files.insert("stderr".to_owned(), format!("{warnings}\n"));
        }
        let expected = case.join("expected");
        if blessing() {
            replace(&expected, &files);
            continue;
        }
        let expected = if expected.exists() { tree(&expected) } else { BTreeMap::new() };
        let paths: BTreeSet<&String> = files.keys().chain(expected.keys()).collect();
        for path in paths.into_iter().filter(|path| files.get(*path) != expected.get(*path)) {
            let text = |files: &BTreeMap<String, String>| {
                files.get(path).cloned().unwrap_or_else(|| "(no such file)\n".into())
            };
            wrong.push(format!(
                "{}: {path}\n--- expected\n{}--- got\n{}",
                case.display(),
                text(&expected),
                text(&files)
            ));
        }
    }
    assert!(wrong.is_empty(), "{}\n`make bless` writes what is expected anew", wrong.join("\n"));
}

#[test]
fn each_invalid_case_is_refused_with_what_is_expected() {
    let mut wrong = Vec::new();
    for case in cases("invalid") {
        let arguments = arguments(&case);
        let said = run(&case, &arguments.iter().map(String::as_str).collect::<Vec<_>>());
        let rule = case.file_name().unwrap().to_str().unwrap();
        assert!(said.err.contains(&format!("[{rule}]")), "{rule} does not complain of its rule:\n{}", said.err);
        if said.err.contains("error[") {
            assert_eq!((said.code, said.out.as_str()), (Some(1), ""), "{rule}: {}", said.err);
        } else {
            assert_eq!(said.code, Some(0), "{rule}: {}", said.err);
        }
        let path = case.join("expected.stderr");
        if blessing() {
            fs::write(&path, &said.err).unwrap();
            continue;
        }
        let expected = fs::read_to_string(&path).unwrap_or_default();
        if said.err != expected {
            wrong.push(format!("{rule}\n--- expected\n{expected}--- got\n{}", said.err));
        }
    }
    assert!(wrong.is_empty(), "{}\n`make bless` writes what is expected anew", wrong.join("\n"));
}

/// Every rule has a case that shows what it says.
#[test]
fn each_rule_has_a_case() {
    let folders: BTreeSet<String> =
        cases("invalid").iter().map(|case| case.file_name().unwrap().to_str().unwrap().to_owned()).collect();
    let mut codes: BTreeSet<String> = dpu_render::validate::RULES.iter().map(|rule| rule.code.to_owned()).collect();
    for (path, text) in tree(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src")) {
        if path.contains("tests") || path.ends_with("testing.rs") {
            continue;
        }
        let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        for marker in ["Diagnostic::error(", "Diagnostic::warning(", "const CODE: &str = "] {
            for rest in text.split(marker).skip(1) {
                codes.extend(
                    rest.trim_start().strip_prefix('"').and_then(|rest| rest.split('"').next()).map(str::to_owned),
                );
            }
        }
    }
    let missing: Vec<&String> = codes.difference(&folders).collect();
    assert!(missing.is_empty(), "no case in tests/invalid for: {missing:?}");
}
