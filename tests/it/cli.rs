//! The command line: arguments, roots, exit codes, streams.
#![expect(clippy::disallowed_methods, clippy::unwrap_used, reason = "tests set files up and run the program")]

use std::fs;

use tempfile::TempDir;

use crate::program::{Said, folder, pipe, program, run, shell};

const SITE: &str = "\
apiVersion: dpu-render.dev/v1alpha1
kind: Site
metadata: {name: lab1}
spec:
  dpf: v24.10
  mode: operator
  layers: [base/a, ./own]
";
const OBJECT: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x, namespace: ns}\ndata: {a: b}\n";

fn repository() -> TempDir {
    folder(&[("base/a/x.yaml", OBJECT), ("sites/lab1/site.yaml", SITE), ("sites/lab1/own/_", "")])
}

fn refused(said: &Said, text: &str) {
    assert_eq!((said.code, said.out.as_str()), (Some(2), ""), "{said:?}");
    assert!(said.err.contains(text), "{}", said.err);
}

#[test]
fn the_verb_can_be_left_out_and_flags_may_come_first() {
    let repository = repository();
    let expected = run(repository.path(), &["render", "sites/lab1"]);
    assert_eq!(expected.code, Some(0), "{}", expected.err);
    for arguments in [
        &["sites/lab1"][..],
        &["--format", "yaml", "sites/lab1"],
        &["sites/lab1", "--format=yaml"],
        &["sites/lab1/site.yaml"],
        &["sites/../sites/lab1/", "sites/lab1"],
        &["--threads", "1", "sites/lab1"],
        &["--root", ".", "sites/lab1"],
    ] {
        assert_eq!(run(repository.path(), arguments), expected, "{arguments:?}");
    }
    let inside = repository.path().join("sites/lab1");
    assert_eq!(run(&inside, &["."]), expected);
    assert_eq!(run(&inside, &["site.yaml"]), expected);
}

#[test]
fn usage_errors_are_no_answer() {
    let repository = repository();
    let run = |arguments: &[&str]| run(repository.path(), arguments);
    let nothing = run(&[]);
    refused(&nothing, "Usage: dpu-render");
    refused(&run(&["--nonsense", "sites/lab1"]), "--nonsense");
    refused(&run(&["render"]), "<SITE>");
    refused(&run(&["sites/lab1", "--set", "mtu"]), "a variable is set as `name=value`");
    refused(&run(&["sites/lab1", "--set", "=1"]), "a variable is set as `name=value`");
    refused(&run(&["sites/lab1", "--layout", "bundle"]), "--output");
    refused(&run(&["sites/lab1", "-o", "out", "--format", "json"]), "cannot be used with");
    refused(&run(&["sites/lab1", "--threads", "0"]), "--threads");
    refused(&run(&["sites/lab2"]), "no such site: `sites/lab2`");
    refused(&run(&["valdate", "sites/lab1"]), "did you mean the verb `validate`?");
    refused(&run(&["sites"]), "`sites` holds no `site.yaml`; there is one in `sites/lab1`");
    refused(&run(&["base/a/x.yaml"]), "`base/a/x.yaml` is neither a folder nor a `site.yaml`");
    refused(&run(&["--root", "base", "sites/lab1"]), "is not below the root");
    refused(&run(&["--root", "sites/lab1", "sites/lab1"]), "is not below the root");
    refused(&run(&["--root", "nowhere", "sites/lab1"]), "cannot open `nowhere`");
}

#[test]
fn help_is_a_product() {
    let here = TempDir::new().unwrap();
    for arguments in [&["--help"][..], &["-h"], &["help", "render"], &["validate", "--help"], &["--version"]] {
        let said = run(here.path(), arguments);
        assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{arguments:?}");
        assert!(!said.out.is_empty());
    }
}

#[test]
fn the_root_is_the_nearest_folder_above_that_holds_every_layer() {
    // `sites/base/a` is nearer, but `base/b` is only further up; the `base/a` of the site itself does not count.
    let site = SITE.replace("[base/a, ./own]", "[base/a, base/b]");
    let repository = folder(&[
        ("base/a/x.yaml", OBJECT),
        ("base/b/y.yaml", ""),
        ("sites/base/a/x.yaml", "not: read"),
        ("sites/lab1/base/a/x.yaml", OBJECT),
        ("sites/lab1/site.yaml", &site),
    ]);
    let found = run(repository.path(), &["sites/lab1"]);
    assert_eq!(found, run(repository.path(), &["--root", ".", "sites/lab1"]));

    fs::remove_dir_all(repository.path().join("base/b")).unwrap();
    let said = run(repository.path(), &["sites/lab1"]);
    refused(&said, "no folder above `sites/lab1` holds every layer that it names");
    refused(&said, "`base/b` (sites/lab1/site.yaml:7:20) is not in `");
    refused(&said, "/sites`, which holds 1 of 2");
    refused(&said, "help: did you mean `base/a`?");
}

#[test]
fn a_layer_that_is_nowhere_is_named_with_its_place() {
    let site = SITE.replace("base/a", "overlays/nowhere");
    let repository = folder(&[("sites/lab1/site.yaml", &site)]);
    let said = run(repository.path(), &["sites/lab1"]);
    refused(&said, "`overlays/nowhere` (sites/lab1/site.yaml:7:12) is neither in `");
    refused(&said, "`--root DIR` names the folder");
}

#[test]
fn a_site_file_that_cannot_be_read_does_not_hang() {
    let repository = TempDir::new().unwrap();
    pipe(&repository.path().join("site.yaml"));
    let said = run(repository.path(), &["."]);
    assert_ne!(said.code, None, "{said:?}");
}

#[test]
fn a_tree_is_not_written_into_what_is_read() {
    let repository = repository();
    for out in ["sites/lab1/out", "base/a", "sites/lab1/own/../new/folder"] {
        refused(&run(repository.path(), &["sites/lab1", "-o", out]), "which is input");
    }
    for out in ["out", "sites/out", "sites/lab1/.out", "sites/lab1/_out/x"] {
        assert_eq!(run(repository.path(), &["sites/lab1", "-o", out]).code, Some(0), "{out}");
    }
}

#[test]
fn two_sites_of_one_name_are_no_tree() {
    let repository = repository();
    fs::create_dir_all(repository.path().join("sites/lab2")).unwrap();
    fs::write(repository.path().join("sites/lab2/site.yaml"), SITE.replace(", ./own", "")).unwrap();
    let said = run(repository.path(), &["sites/lab1", "sites/lab2", "-o", "out"]);
    refused(&said, "two sites are named `lab1`");
    assert!(!repository.path().join("out").exists());
}

#[test]
fn a_full_disk_is_told_and_a_closed_pipe_is_not() {
    let here = TempDir::new().unwrap();
    let full = shell(here.path(), "$P completions bash > /dev/full");
    assert_eq!(full.code, Some(2));
    assert!(full.err.starts_with("error: cannot write to stdout: No space left on device"), "{}", full.err);
    let closed =
        shell(here.path(), "{ $P completions bash; echo code $? >&2; } | true; $P completions zsh | head -c 9");
    assert_eq!((closed.code, closed.out.len()), (Some(0), 9));
    assert_eq!(closed.err, "code 0\n");
}

#[test]
fn completions_know_the_verbs() {
    let here = TempDir::new().unwrap();
    let said = run(here.path(), &["completions", "bash"]);
    assert_eq!(said.code, Some(0));
    assert!(said.out.contains("validate") && said.out.contains("--intermediate"));
}

#[test]
fn colour_follows_the_flag_and_not_the_environment_alone() {
    let repository = folder(&[("sites/lab1/site.yaml", "kind: Site\nspec: {layers: [nowhere]}\n")]);
    let output = program(repository.path()).arg("sites/lab1").env("CLICOLOR_FORCE", "1").output().unwrap();
    assert!(!output.stderr.contains(&0x1b));
}

/// Sites that share a layer; one object each for the management cluster and the DPU cluster `blue`. `bad` lacks a variable.
fn fleet(good: &[&str]) -> TempDir {
    let fleet = folder(&[
        (
            "base/m.yaml",
            "kind: ConfigMap\napiVersion: v1\nmetadata: {name: m, namespace: ns}\ndata: {mtu: \"${{ vars.mtu }}\"}\n",
        ),
        (
            "base/c.yaml",
            "kind: ConfigMap\napiVersion: v1\nmetadata: {name: c, namespace: ns, annotations: {dpu-render.dev/destination: clusters}}\n",
        ),
        ("sites/bad/site.yaml", &site("bad", "mtuu")),
    ]);
    for name in good {
        fs::create_dir_all(fleet.path().join("sites").join(name)).unwrap();
        fs::write(fleet.path().join("sites").join(name).join("site.yaml"), site(name, "mtu")).unwrap();
    }
    fleet
}

fn site(name: &str, variable: &str) -> String {
    format!(
        "apiVersion: dpu-render.dev/v1alpha1\nkind: Site\nmetadata: {{name: {name}}}\nspec:\n  dpf: v24.10\n  \
         mode: operator\n  layers: [base]\n  vars: {{{variable}: a}}\n  \
         clusters: [{{name: blue, namespace: blue}}]\n  external: [{{kind: DPUCluster, group: provisioning.dpu.nvidia.com, namespace: blue, name: blue}}]\n"
    )
}

#[test]
fn a_stream_says_where_each_object_goes() {
    let fleet = fleet(&["lab1"]);
    let run = |arguments: &[&str]| run(fleet.path(), arguments);
    let c = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: c\n  namespace: ns\n";
    let m = "apiVersion: v1\ndata:\n  mtu: a\nkind: ConfigMap\nmetadata:\n  name: m\n  namespace: ns\n";
    assert_eq!(run(&["sites/lab1"]).out, format!("---\n# lab1/management\n{m}---\n# lab1/blue\n{c}"));
    assert_eq!(run(&["sites/lab1", "--destination", "blue"]).out, format!("---\n# lab1/blue\n{c}"));
    let c = r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c","namespace":"ns"}}"#;
    let m = r#"{"apiVersion":"v1","data":{"mtu":"z"},"kind":"ConfigMap","metadata":{"name":"m","namespace":"ns"}}"#;
    assert_eq!(
        run(&["--format", "json", "sites/lab1", "--set", "mtu=z"]).out,
        format!(
            "{{\"site\":\"lab1\",\"destination\":\"management\",\"object\":{m}}}\n\
             {{\"site\":\"lab1\",\"destination\":\"blue\",\"object\":{c}}}\n"
        )
    );
    assert_eq!(run(&["--format", "json", "sites/lab1", "--destination", "blue"]).out, format!("{c}\n"));
    let unknown = "error: no destination `bleu`; there are `blue`, `management`; did you mean `blue`?\n";
    refused(&run(&["sites/lab1", "--destination", "bleu"]), unknown);
}

#[test]
fn a_site_with_an_error_renders_nothing_and_the_others_are_rendered() {
    let fleet = fleet(&["a", "z"]);
    let run = |arguments: &[&str]| run(fleet.path(), arguments);
    let (a, z) = (run(&["sites/a"]), run(&["sites/z"]));
    let all = run(&["sites/z", "sites/bad", "sites/a"]);
    assert_eq!((all.code, all.out), (Some(1), a.out + &z.out), "in the order of the folders");
    let error = "error[undefined-variable]: the variable `mtu` is not set\n --> base/m.yaml:4:14\n";
    assert!(all.err.starts_with(error), "{}", all.err);
    assert!(all.err.ends_with("\n\ndpu-render: 1 error; sites/bad was not rendered\n"), "{}", all.err);
    let bad = run(&["sites/bad"]);
    assert_eq!((bad.code, bad.out.as_str()), (Some(1), ""));
    assert!(bad.err.ends_with("\n\ndpu-render: 1 error; nothing was rendered\n"), "{}", bad.err);

    let valid = run(&["validate", "sites/a"]);
    assert_eq!(valid, Said { code: Some(0), out: String::new(), err: "dpu-render: no findings in 1 site\n".into() });
    let invalid = run(&["validate", "sites/a", "sites/bad"]);
    assert_eq!((invalid.code, invalid.err.as_str()), (Some(1), "dpu-render: 1 error in 2 sites\n"));
    assert!(invalid.out.starts_with(error));
    let json = run(&["validate", "--format", "json", "-q", "sites/bad"]);
    assert!(json.out.starts_with(r#"{"at":{"column":14,"line":4,"path":"base/m.yaml"},"code":"undefined-variable","#));
    assert_eq!((json.out.lines().count(), json.err.as_str()), (1, ""));
}

#[test]
fn a_tree_of_a_refused_site_stays_as_it_was() {
    let fleet = fleet(&["a"]);
    let run = |arguments: &[&str]| run(fleet.path(), arguments);
    let text = |path: &str| fs::read_to_string(fleet.path().join(path)).unwrap();
    let first = run(&["-o", "out", "sites/a"]);
    assert_eq!(first.err, "dpu-render: 2 files written, 0 removed, 0 unchanged in out\n");
    assert!(text("out/clusters/blue/configmap-ns-c.yaml").contains("name: c"));
    let before = text("out/management/configmap-ns-m.yaml");
    fs::write(fleet.path().join("sites/a/site.yaml"), site("a", "mtuu")).unwrap();
    assert_eq!(run(&["-o", "out", "sites/a"]).code, Some(1));
    assert_eq!(text("out/management/configmap-ns-m.yaml"), before);

    let several = run(&["-q", "-o", "fleet", "sites/bad", "sites/a"]);
    assert_eq!(several.code, Some(1));
    assert!(!fleet.path().join("fleet").exists(), "nothing to write");
    fs::write(fleet.path().join("sites/a/site.yaml"), site("a", "mtu")).unwrap();
    assert_eq!(run(&["-q", "-o", "fleet", "sites/bad", "sites/a"]).code, Some(1));
    assert_eq!(text("fleet/a/management/configmap-ns-m.yaml"), before);
    refused(&run(&["-o", "out", "sites/a", "sites/bad"]), "`out` holds the tree of a single site");
    fs::write(fleet.path().join("out/management/configmap-ns-m.yaml"), "edited").unwrap();
    assert_eq!(run(&["-o", "out", "sites/a"]).code, Some(0), "the list says that it is ours");
    assert_eq!(text("out/management/configmap-ns-m.yaml"), before);
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let names: Vec<String> = (10..60).map(|number| format!("site{number}")).collect();
    let fleet = fleet(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let out = |threads: &str| shell(fleet.path(), &format!("$P sites/* --threads {threads}"));
    let one = out("1");
    assert_eq!(one.out.matches("---\n").count(), 100);
    for threads in ["2", "3", "16"] {
        assert_eq!(out(threads), one);
    }
}

#[test]
fn a_render_to_a_full_disk_or_a_closed_pipe() {
    let names: Vec<String> = (100..400).map(|number| format!("site{number}")).collect();
    let fleet = fleet(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let full = shell(fleet.path(), "$P sites/site* > /dev/full");
    let text = "error: cannot write to stdout: No space left on device (os error 28)\n";
    assert_eq!((full.code, full.err.as_str()), (Some(2), text));
    let closed = shell(fleet.path(), "{ $P sites/site*; echo code $? >&2; } | head -1");
    assert_eq!((closed.out.as_str(), closed.err.as_str()), ("---\n", "code 0\n"));
    // What was found before the pipe closed still counts.
    let refused = shell(fleet.path(), "{ $P sites/*; echo code $? >&2; } | head -1");
    assert!(refused.err.ends_with("sites/bad was not rendered\ncode 1\n"), "{}", refused.err);
}

/// A site with so many objects that a run can be cut off in the middle; all say `word`.
fn big(folder: &std::path::Path, word: &str) {
    let object = |number: usize| {
        format!(
            "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: m{number}, namespace: ns}}\ndata: {{a: {word}, b: blob{}}}\n",
            "x".repeat(number)
        )
    };
    fs::write(folder.join("sites/a/objects.yaml"), (0..1500).map(object).collect::<String>()).unwrap();
}

/// Every object of a tree says one of `words` to its end, and the next run makes the tree what a fresh one is.
fn whole_and_healed(fleet: &std::path::Path, words: [&str; 2]) {
    let is_object = |path: &str| path.ends_with(".yaml");
    for (path, text) in crate::golden::tree(&fleet.join("out")).iter().filter(|(path, _)| is_object(path)) {
        let whole = text.ends_with('\n') && text.contains("kind: ConfigMap") && text.contains("\nmetadata:\n  name: ");
        assert!(
            whole
                && (path.ends_with("-m.yaml")
                    || path.ends_with("-c.yaml")
                    || words.iter().any(|word| text.contains(&format!("  a: {word}\n")))),
            "{path}: {text}"
        );
    }
    big(fleet, "third");
    for out in ["out", "fresh"] {
        let said = run(fleet, &["-q", "-o", out, "sites/a"]);
        assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{out}");
    }
    assert_eq!(crate::golden::tree(&fleet.join("out")), crate::golden::tree(&fleet.join("fresh")));
}

#[test]
fn a_run_that_is_interrupted_leaves_whole_files_and_the_next_one_heals() {
    let fleet = fleet(&["a"]);
    big(fleet.path(), "first");
    // Again and again, at another moment each time, over the same tree.
    for word in ["first", "second"] {
        big(fleet.path(), word);
        let mut child = program(fleet.path()).args(["-q", "-o", "out", "sites/a"]).spawn().unwrap();
        let written = || fs::read_dir(fleet.path().join("out/management")).map_or(0, Iterator::count);
        let said = |path: &str| fs::read_to_string(fleet.path().join(path)).unwrap_or_default();
        while child.try_wait().unwrap().is_none()
            && (written() < 100 || !said("out/management/configmap-ns-m1.yaml").contains(word))
        {
            std::thread::sleep(std::time::Duration::from_micros(200));
        }
        shell(fleet.path(), &format!("kill -INT {} 2>&1", child.id()));
        child.wait().unwrap();
    }
    whole_and_healed(fleet.path(), ["first", "second"]);
}

#[test]
fn a_disk_that_is_full_in_the_middle_leaves_whole_files_and_the_next_run_heals() {
    let fleet = fleet(&["a"]);
    big(fleet.path(), "first");
    assert_eq!(run(fleet.path(), &["-q", "-o", "out", "sites/a"]).code, Some(0));
    big(fleet.path(), "second");
    // Files may have 128 blocks of 512 bytes, or of 1024: the list does, most objects do, one does not.
    let object = format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: m700x, namespace: ns}}\ndata: {{a: second, b: {}}}\n",
        "x".repeat(200_000)
    );
    fs::write(fleet.path().join("sites/a/large.yaml"), object).unwrap();
    let full = shell(fleet.path(), "trap '' XFSZ; ulimit -f 128; $P -q -o out sites/a");
    assert_eq!(full.code, Some(2), "{}", full.err);
    assert!(
        full.err.contains("error: cannot write `out/management/configmap-ns-m700x.yaml`: File too large"),
        "{}",
        full.err
    );
    assert!(!fleet.path().join("out/management/.dpu-render.tmp").exists());
    let said = |number: usize| {
        fs::read_to_string(fleet.path().join(format!("out/management/configmap-ns-m{number}.yaml"))).unwrap()
    };
    assert!(said(1).contains("second") && said(999).contains("first"), "it stopped in the middle");
    fs::remove_file(fleet.path().join("sites/a/large.yaml")).unwrap();
    whole_and_healed(fleet.path(), ["first", "second"]);
}

#[test]
fn two_runs_into_one_tree_are_one_after_the_other_or_one_is_refused() {
    let fleet = fleet(&["a"]);
    big(fleet.path(), "first");
    let start = || {
        program(fleet.path()).args(["-q", "-o", "out", "sites/a"]).stderr(std::process::Stdio::piped()).spawn().unwrap()
    };
    let runs = [start(), start()].map(|child| child.wait_with_output().unwrap());
    assert!(runs.iter().any(|run| run.status.success()));
    for run in runs.iter().filter(|run| !run.status.success()) {
        assert_eq!(String::from_utf8_lossy(&run.stderr), "error: another dpu-render is writing to `out`\n");
    }
    whole_and_healed(fleet.path(), ["first", "first"]);
}
