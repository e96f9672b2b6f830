//! Input that is meant to do harm, or that Git would not keep: each ends soon, in a diagnostic, and reads nothing outside.
#![expect(clippy::disallowed_methods, reason = "tests set files up and run the program")]

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::program::{Said, folder, pipe, run};

/// What the secret file beside the repository holds.
const SECRET: &str = "hunter2";
/// A debug build on a busy machine; a release build takes a tenth.
const LIMIT: Duration = Duration::from_secs(20);
const SITE: &str =
    "apiVersion: dpu-render.dev/v1alpha1\nkind: Site\nmetadata: {name: lab}\nspec:\n  dpf: v24.10\n  mode: operator\n";
const OBJECT: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings, namespace: apps}\n";

/// A repository `repo` with a site, and a secret beside it.
fn repository(files: &[(&str, &str)]) -> TempDir {
    let secret = format!("{OBJECT}data: {{password: {SECRET}}}\n");
    let mut all =
        vec![("secret.yaml", secret.as_str()), ("secrets/a.yaml", &secret), ("repo/sites/lab/site.yaml", SITE)];
    all.extend(files);
    folder(&all)
}

/// What is said of the site, soon and without the secret.
fn said(outer: &TempDir) -> Said {
    let start = Instant::now();
    let said = run(&outer.path().join("repo"), &["sites/lab", "--root", "."]);
    assert!(start.elapsed() < LIMIT, "it takes {:?}", start.elapsed());
    for text in [&said.out, &said.err] {
        assert!(!text.contains(SECRET), "{text}");
        assert!(!text.contains("panicked"), "{text}");
    }
    assert!(said.err.len() < 500_000, "{} bytes of findings", said.err.len());
    said
}

/// The site is refused for `code`, and only for that.
fn refused(files: &[(&str, &str)], code: &str) -> String {
    let said = said(&repository(files));
    assert_eq!((said.code, said.out.as_str()), (Some(1), ""), "{code}: {}", said.err);
    assert!(said.err.contains(&format!("error[{code}]")), "{code}: {}", said.err);
    assert!(said.err.ends_with("dpu-render: 1 error; nothing was rendered\n"), "{}", said.err);
    said.err
}

/// One file of the site is refused.
fn file(name: &str, text: &str, code: &str) -> String {
    refused(&[(&format!("repo/sites/lab/{name}"), text)], code)
}

fn object(data: &str) -> String {
    format!("{OBJECT}data:\n{data}")
}

fn expression(code: &str) -> String {
    object(&format!("  a: >-\n    ${{{{ {code} }}}}\n"))
}

fn site(more: &str) -> String {
    format!("{SITE}{more}")
}

#[test]
fn yaml_that_grows_or_nests_without_end() {
    let block: String = (0..100).map(|depth| format!("{}- a:\n", "  ".repeat(depth))).collect();
    file("a.yaml", &object(&block), "yaml-too-deep");
    file("a.json", &"[".repeat(100_000), "yaml-too-deep");
    file("a.yaml", &"{a: ".repeat(100_000), "yaml-too-deep");
    let bomb: String = (1..30).map(|at| format!("  a{at}: &a{at} [*a{0}, *a{0}]\n", at - 1)).collect();
    file("a.yaml", &object(&format!("  a0: &a0 [x, x]\n{bomb}")), "yaml-too-large");
    let texts: String = (1..40).map(|at| format!("  a{at}: *a\n")).collect();
    let text = "x".repeat(2_000_000);
    file("a.yaml", &object(&format!("  a: &a {text}\n{texts}")), "yaml-too-large");
    let maps: String = (0..500)
        .map(|map| {
            let keys: Vec<String> = (0..200).map(|key| format!("k{map}_{key}: 1")).collect();
            format!("x{map}: &x{map} {{{}}}\n", keys.join(", "))
        })
        .collect();
    let names: Vec<String> = (0..500).map(|map| format!("*x{map}")).collect();
    let merged = format!("{maps}m: {{<<: [{}]}}\nz: &z {{<<: *z}}\n", names.join(", "));
    file("a.yaml", &format!("{OBJECT}{merged}"), "yaml-alias");
}

#[test]
fn files_that_are_too_large_or_no_text() {
    file("a.yaml", &object(&format!("  a: {}\n", "x".repeat(10_000_000))), "yaml-too-large");
    file("a.yaml", &object(&"  # nothing\n".repeat(1_500_000)), "file-unreadable");
    file("a.yaml", "a: \0\n", "yaml-syntax");
    file("a.yaml", "a: \u{1b}[31m\n", "yaml-syntax");
    let outer = repository(&[]);
    fs::write(outer.path().join("repo/sites/lab/a.yaml"), [0x7f, b'E', b'L', b'F', 0xff, 0xfe, 0]).unwrap();
    assert!(said(&outer).err.contains("`sites/lab/a.yaml` is not UTF-8 text"));
    let long = "x".repeat(2_000_000);
    let kind = format!("apiVersion: svc.dpu.nvidia.com/v1alpha1\nkind: {long}\nmetadata: {{name: a, namespace: b}}\n");
    assert!(file("a.yaml", &kind, "unknown-kind").len() < 5000);
}

#[test]
fn faults_without_number_are_cut_short() {
    let outer = repository(&[("repo/sites/lab/a.yaml", &object(&format!("  a: [{}on]\n", "on, ".repeat(200_000))))]);
    let said_so = said(&outer);
    assert!(said_so.err.contains("the file has more of this kind, which are not shown"));
    assert!(said_so.err.contains(" 200 warnings"), "{}", said_so.err.lines().last().unwrap());
    let fields: String = (0..50_000).map(|field| format!("  k{field}: 1\n")).collect();
    let bfb = format!(
        "apiVersion: provisioning.dpu.nvidia.com/v1alpha1\nkind: BFB\nmetadata: {{name: a, namespace: b}}\nspec:\n  url: http://a/b.bfb\n{fields}"
    );
    let said_so = said(&repository(&[("repo/sites/lab/a.yaml", &bfb)]));
    assert!(said_so.err.ends_with("dpu-render: 200 errors; nothing was rendered\n"));
}

#[test]
fn links_and_paths_that_lead_out() {
    let unreadable = "file-unreadable";
    let error = refused(&[("repo/sites/lab/a.yaml", "-> ../../../secret.yaml")], unreadable);
    assert!(error.contains("leads out of the repository"), "{error}");
    refused(&[("repo/sites/lab/a.yaml", "-> /etc/passwd")], unreadable);
    refused(&[("repo/sites/lab/more", "-> ../../../secrets")], unreadable);
    refused(&[("repo/sites/lab/a.yaml", "-> a.yaml")], unreadable);
    refused(&[("repo/sites/lab/inner/up", "-> ..")], unreadable);
    let layer = site("  layers: [base]\n");
    refused(&[("repo/sites/lab/site.yaml", &layer), ("repo/base", "-> ../secrets")], "layer-missing");
    refused(
        &[
            ("repo/sites/lab/site.yaml", &layer),
            ("repo/base/a.yaml", ""),
            ("repo/base/layer.yaml", "-> ../../secret.yaml"),
        ],
        unreadable,
    );
    for path in ["../secrets", "base/../../secrets", "/etc", "./../../../secrets"] {
        refused(&[("repo/sites/lab/site.yaml", &site(&format!("  layers: [{path}]\n")))], "layer-path");
    }
    for path in ["../../../secret.yaml", "./../../../secret.yaml", "/etc/passwd"] {
        refused(&[("repo/sites/lab/site.yaml", &site(&format!("  inventory: {path}\n")))], "layer-path");
    }
    let inventory = site("  inventory: inventory.yaml\n");
    refused(
        &[("repo/sites/lab/site.yaml", &inventory), ("repo/sites/lab/inventory.yaml", "-> ../../../secret.yaml")],
        "inventory-missing",
    );
    for code in ["${% include '../../../secret.yaml' %}", "${% import '/etc/passwd' as x %}${{ x }}"] {
        file("a.j2", code, "template-error");
    }
    let outer = folder(&[("secret.yaml", SECRET), ("repo/sites/lab/site.yaml", "-> ../../../secret.yaml")]);
    assert_eq!(said(&outer).code, Some(1));
}

#[test]
fn folders_and_pipes_that_do_not_end() {
    let deep = format!("repo/sites/lab{}/a.yaml", "/d".repeat(40));
    assert!(refused(&[(&deep, OBJECT)], "file-unreadable").contains("holds folders more than 32 deep"));
    let outer = repository(&[]);
    pipe(&outer.path().join("repo/sites/lab/a.yaml"));
    assert!(said(&outer).err.contains("is not a regular file"));
    let outer = repository(&[]);
    for number in 0..10_000 {
        let text = OBJECT.replace("settings", &format!("settings-{number}"));
        fs::write(Path::new(outer.path()).join(format!("repo/sites/lab/f{number}.yaml")), text).unwrap();
    }
    let said = said(&outer);
    assert_eq!((said.code, said.out.matches("name: settings-").count()), (Some(0), 10_000), "{}", said.err);
}

#[test]
fn expressions_that_grow_or_nest_without_end() {
    for code in [
        "range(10 ** 9) | list",
        "'x' * 10 ** 10",
        "[0] * 10 ** 10",
        "10 ** 10 ** 10",
        "('x' * 100000) | replace('x', 'y' * 100000)",
        "range(100000) | join('x' * 100000)",
        "'x' | indent(10 ** 9, true)",
        "[1] | batch(10 ** 9, 1) | list",
        "[1] | slice(10 ** 9) | list",
        "'%1000000000d' | format(1)",
        "'10.0.0.0/8' | cidrhost(10 ** 18)",
        "'::/0' | cidrsubnet(200, 10 ** 18)",
    ] {
        file("a.yaml", &expression(code), "expression-error");
    }
    for (one, more) in [("1", " + 1"), ("1", " | abs"), ("1", " if 1 else 1"), ("vars['a']", ".a"), ("'a'", " ~ 'a'")] {
        file("a.yaml", &expression(&format!("{one}{}", more.repeat(50_000))), "expression-syntax");
    }
    for (before, after) in [("not ", ""), ("(", ")"), ("-", ""), ("[", "]")] {
        let code = format!("{}1{}", before.repeat(50_000), after.repeat(50_000));
        file("a.yaml", &expression(&code), "expression-syntax");
    }
}

#[test]
fn variables_that_grow_or_read_one_another_without_end() {
    let vars = |first: &str, count: usize, next: &dyn Fn(usize) -> String| {
        let rest: String = (1..count).map(|at| format!("    a{at}: {}\n", next(at - 1))).collect();
        let read = object(&format!("  a: ${{{{ vars.a{} }}}}\n", count - 1));
        (site(&format!("  vars:\n    a0: {first}\n{rest}")), read)
    };
    let check = |(site, object): (String, String), code| {
        refused(&[("repo/sites/lab/site.yaml", &site), ("repo/sites/lab/a.yaml", &object)], code);
    };
    check(
        vars("[x, x]", 40, &|at| format!("[\"${{{{ vars.a{at} }}}}\", \"${{{{ vars.a{at} }}}}\"]")),
        "expression-too-large",
    );
    check(vars("x", 40, &|at| format!("${{{{ vars.a{at} }}}}${{{{ vars.a{at} }}}}")), "expression-too-large");
    check(vars("x", 20_000, &|at| format!("${{{{ vars.a{at} }}}}")), "variable-cycle");
    let many: String = (0..10_000).map(|at| format!("  a{at}: ${{{{ vars.a }}}}\n")).collect();
    check((site(&format!("  vars: {{a: {}}}\n", "x".repeat(1_000_000))), object(&many)), "expression-too-large");
}

#[test]
fn templates_that_grow_or_nest_without_end() {
    let nest = "${% set ns = namespace(x=[1]) %}${% for i in range(99999) %}${% set ns.x = [ns.x] %}${% endfor %}${{ ns.x | to_yaml }}";
    for text in [
        "${% for i in range(10 ** 9) %}x${% endfor %}",
        "${% for i in range(99999) %}${% for j in range(99999) %}x${% endfor %}${% endfor %}",
        "${% for i in range(20000) %}${{ 'x' * 10000 }}\n${% endfor %}",
        "${% macro f() %}${{ f() }}${% endmacro %}${{ f() }}",
        "${% macro f() %}${{ f() }}${{ f() }}${% endmacro %}${{ f() }}",
        "${% for i in [1, 2] recursive %}${{ loop([1, 2]) }}${% endfor %}",
        "${% set ns = namespace(x=[1]) %}${% for i in range(60) %}${% set ns.x = [ns.x, ns.x] %}${% endfor %}${{ ns.x | to_yaml }}",
        nest,
        &format!("${{{{ {}1 }}}}", "not ".repeat(50_000)),
        &format!("{}{}", "${% if 1 %}".repeat(10_000), "${% endif %}".repeat(10_000)),
        &"x".repeat(300_000),
    ] {
        file("a.j2", text, "template-error");
    }
    // Deep, and nothing wrong with it.
    let elif = format!("${{% if 0 %}}{}${{% endif %}}", "${% elif 0 %}".repeat(19_000));
    assert_eq!(said(&repository(&[("repo/sites/lab/a.j2", &elif)])).code, Some(0));
}

#[test]
fn patches_that_grow_without_end() {
    let copies: String = (0..40).map(|at| format!("    - {{op: copy, from: /data, path: /data/a{at}}}\n")).collect();
    let patch = format!(
        "apiVersion: dpu-render.dev/v1alpha1\nkind: Patch\nmetadata: {{name: grow}}\nspec:\n  target: {{kind: ConfigMap}}\n  operations:\n{copies}"
    );
    refused(&[("repo/sites/lab/a.yaml", &object("  a: b\n")), ("repo/sites/lab/patch.yaml", &patch)], "patch-failed");
}
