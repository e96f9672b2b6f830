//! `dpu-render steps` on this repository's own sites.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::golden::blessing;
use crate::program::{Said, folder, run};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn steps(arguments: &[&str]) -> Said {
    run(Path::new(ROOT), &[&["steps", "--quiet"], arguments].concat())
}

/// Compares with `tests/steps/<site>.txt`; with `DPU_RENDER_BLESS=1` writes it.
fn golden(site: &str) {
    let said = steps(&[&format!("sites/{site}")]);
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""));
    let path = Path::new(ROOT).join(format!("tests/steps/{site}.txt"));
    if blessing() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, &said.out).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert!(said.out == expected, "{} differs; DPU_RENDER_BLESS=1 writes it:\n{}", path.display(), said.out);
}

#[test]
fn lab1() {
    golden("lab1");
}

#[test]
fn lab1_dpuset() {
    golden("lab1-dpuset");
}

#[test]
fn lab2() {
    golden("lab2");
}

#[test]
fn every_command_is_shell() {
    for site in ["lab1", "lab1-dpuset", "lab2"] {
        let said = steps(&["--format", "json", &format!("sites/{site}")]);
        let parsed: serde_json::Value = serde_json::from_str(&said.out).unwrap();
        assert_eq!(parsed["site"], site);
        let steps = parsed["phases"].as_array().unwrap().iter().flat_map(|phase| phase["steps"].as_array().unwrap());
        let commands: Vec<&str> =
            steps.flat_map(|step| step["commands"].as_array().unwrap()).map(|one| one.as_str().unwrap()).collect();
        assert!(commands.len() > 40, "{site}");
        for command in commands {
            let checked = Command::new("bash").args(["-n", "-c", command]).output().unwrap();
            assert!(checked.status.success(), "{command}: {}", String::from_utf8_lossy(&checked.stderr));
        }
    }
}

#[test]
fn several_sites_and_a_refused_one() {
    let site = "apiVersion: dpu-render.dev/v1alpha1\nkind: Site\nmetadata: {name: NAME}\nspec: {dpf: v24.10, mode: standalone}\n";
    let there = folder(&[
        ("sites/a/site.yaml", &site.replace("NAME", "a")),
        ("sites/b/site.yaml", &site.replace("NAME", "b").replace("mode:", "mood:")),
    ]);
    let said = run(there.path(), &["steps", "sites/a", "sites/b", "--format", "markdown"]);
    assert_eq!(said.code, Some(1), "{}", said.err);
    assert!(said.out.starts_with("# Steps for a, beside syncing\n"), "{}", said.out);
    assert!(!said.out.contains("Steps for b") && said.err.contains("mood"), "{}", said.err);
}
