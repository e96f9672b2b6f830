//! `dpu-render plugin doctor` on checkouts and sidecars with one thing wrong each.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::plugin_cases::cases;
use crate::program::{Said, folder, pipe, program, run};

const PATHS: &str = "argocd.argoproj.io/manifest-generate-paths";

/// The repository of the plugin's cases with its sound site alone, and these files.
fn checkout(files: &[(&str, &str)]) -> TempDir {
    let there = folder(&[(".git/HEAD", "ref: refs/heads/main\n")]);
    cases().iter().find(|case| case.changes.is_empty()).unwrap().write_repository(there.path());
    for site in ["bad", "bare", "far", "list"] {
        fs::remove_dir_all(there.path().join("dpu/sites").join(site)).unwrap();
    }
    add(there.path(), files);
    there
}

fn add(there: &Path, files: &[(&str, &str)]) {
    for (path, text) in files {
        let path = there.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        match text.strip_prefix("-> ") {
            Some(target) => std::os::unix::fs::symlink(target, path).unwrap(),
            None => fs::write(path, text).unwrap(),
        }
    }
}

/// An Application in the management cluster, with this annotation and these lines of `source`.
fn application(annotation: &str, source: &str) -> String {
    let annotation =
        if annotation.is_empty() { String::new() } else { format!("annotations: {{{PATHS}: '{annotation}'}}, ") };
    format!(
        "apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata: {{{annotation}name: blue, namespace: argocd}}\n\
         spec: {{project: default, destination: {{name: blue}}, source: {{repoURL: https://git.example.net/a.git, {source}}}}}\n"
    )
}

fn source(plugin: &str) -> String {
    format!("path: dpu/sites/lab1, plugin: {{{plugin}, parameters: [{{name: destination, string: blue}}]}}")
}

fn plugin_name() -> String {
    format!("dpu-render-v{}", env!("CARGO_PKG_VERSION"))
}

/// What is found beside `ok`, and the exit code.
fn found(there: &Path, arguments: &[&str]) -> (String, Option<i32>) {
    let said = run(there, &[&["plugin", "doctor", "--quiet"], arguments].concat());
    assert_eq!(said.err, "");
    (said.out, said.code)
}

#[test]
fn a_sound_checkout() {
    let there = checkout(&[(
        "dpu/sites/lab1/app.yaml",
        &application("/dpu/base;.", &source(&format!("name: {}", plugin_name()))),
    )]);
    let said = run(there.path(), &["plugin", "doctor", "--argocd", "v3.2", "--exclude", ".git"]);
    let lines: Vec<&str> = said.out.lines().collect();
    assert_eq!((said.code, said.err.as_str()), (Some(0), "dpu-render: nothing to change in 7 checks\n"));
    let [site, output, paths, application, links, tar, narrowed] = lines[..] else { panic!("{said:?}") };
    assert_eq!(site, "ok       site dpu/sites/lab1: rendered of 5 files in 2 folders");
    assert!(output.starts_with("ok       output dpu/sites/lab1: `management` is the largest of its 3 destinations: "));
    assert_eq!(paths, "ok       paths dpu/sites/lab1: argocd.argoproj.io/manifest-generate-paths: /dpu/base;.");
    assert_eq!(
        application,
        "ok       application dpu/sites/lab1 management/blue: `/dpu/base;.` names what is read, and no more"
    );
    assert_eq!(links, "ok       links: there are none");
    assert!(
        tar.starts_with("ok       tar: Argo CD v3.2 packs ")
            && tar.ends_with(" bytes for the form of the parameters, and where it does not narrow"),
        "{tar}"
    );
    assert!(narrowed.starts_with("ok       narrowed dpu/sites/lab1: `dpu` is packed as "), "{narrowed}");
    assert!(narrowed.ends_with("with reposerver.plugin.use.manifest.generate.paths: \"true\""), "{narrowed}");

    let lines = run(there.path(), &["plugin", "doctor", "dpu/sites/lab1", "--format", "json"]).out;
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let warning = lines.iter().find(|line| line["level"] != "ok").unwrap();
    assert_eq!((warning["check"].as_str(), &warning["level"]), (Some("tar"), &Value::from("warning")));
    assert_eq!(warning["fixes"][0], "argocd-cmd-params-cm: reposerver.plugin.tar.exclusions: .git");
    assert!(warning["message"].as_str().unwrap().starts_with("Argo CD v2.12 packs "));
    assert!(warning["message"].as_str().unwrap().contains(" for each render, twice; without `.git` "));
}

#[test]
fn an_application_beside_what_is_read() {
    let ours = source(&format!("name: {}", plugin_name()));
    let wrong = format!("         = {PATHS}: /dpu/base;.\n");
    for (release, annotation, source, told) in [
        (
            "v2.12",
            "",
            &*ours,
            "warning  it has no paths annotation: every commit renders it anew, and the whole repository is packed",
        ),
        ("v2.12", ".", &ours, "error    its paths do not name `dpu/base`: a change there does not render it anew"),
        ("v3.2", ".", &ours, "error    of its paths Argo CD makes `dpu/sites/lab1`, and does not hand over `dpu/base`"),
        ("v2.12", "/dpu/base; .", &ours, "error    ` .` in its paths begins or ends with a blank"),
        // Once two entries have parted, Argo CD passes an ancestor over.
        ("v3.2", "../x;/", &ours, "error    of its paths Argo CD makes `dpu/sites`, and does not hand over `dpu/base`"),
        (
            "v2.12",
            "/dpu/base;.;/apps",
            &ours,
            "warning  its paths name `apps`, where nothing is read: it is rendered anew for nothing",
        ),
        ("v3.2", "/", &ours, "warning  of its paths Argo CD makes the whole repository, where `dpu` would do"),
    ] {
        let there = checkout(&[("dpu/sites/lab1/app.yaml", &application(annotation, source))]);
        let (told_of, code) = found(there.path(), &["--argocd", release, "--exclude", ".git"]);
        let shown = told_of.replace("application dpu/sites/lab1 management/blue: ", "");
        assert!(shown.contains(told) && shown.ends_with(&wrong), "{annotation}: {told_of}");
        assert_eq!(code, Some(i32::from(told.starts_with("error"))), "{told_of}");
    }
}

#[test]
fn an_application_and_its_plugin() {
    let here = plugin_name();
    let call = |parameters: &str| format!("path: dpu/sites/lab1, plugin: {{name: {here}, parameters: [{parameters}]}}");
    let known = "`blue`, `green`, `management`";
    for (source, told) in [
        (
            source("name: dpu-render-v0.0.1"),
            format!("warning  it is rendered by `dpu-render-v0.0.1`, and this is `{here}`"),
        ),
        (
            source("name: dpu-render"),
            "error    it names the plugin `dpu-render`, but the name of ours has its version".to_owned(),
        ),
        (
            source("env: []"),
            "error    its plugin has no name, and one without discovery is then never found".to_owned(),
        ),
        (call(""), format!("error    it gives no parameter `destination`; there are {known}")),
        (
            call("{name: destination, string: blu}"),
            format!("error    its site has no destination `blu`; there are {known}\n         = destination: blue"),
        ),
        (
            call("{name: destnation, string: blue}"),
            "error    no parameter `destnation`; there are `destination`, `site`, `vars`".to_owned(),
        ),
        (
            call("{name: destination, string: blue}, {name: site, string: dpu/sites/none}"),
            "error    `dpu/sites/none` cannot be rendered: ".to_owned(),
        ),
        (format!("path: dpu/sites/lab1, plugin: {{name: {here}, env: [{{name: SITE, value: $name}}]}}"), String::new()),
        ("path: charts/x, plugin: {name: helmfile}".to_owned(), String::new()),
    ] {
        let there = checkout(&[("dpu/sites/lab1/app.yaml", &application("/dpu/base;.", &source))]);
        let (told_of, code) = found(there.path(), &["dpu", "--exclude", ".git"]);
        let shown = told_of.replace("application dpu/sites/lab1 management/blue: ", "");
        assert!(shown.starts_with(&told) && shown.is_empty() == told.is_empty(), "{source}: {told_of}");
        assert_eq!(code, Some(i32::from(told.starts_with("error"))), "{told_of}");
    }
}

#[test]
fn links_and_what_is_no_file() {
    for (release, link, told) in [
        (
            "v2.12",
            ("docs/a", "-> /etc/hostname"),
            "error    links docs/a: -> `/etc/hostname` is absolute: Argo CD refuses the whole repository",
        ),
        (
            "v2.12",
            ("docs/a", "-> ../../x"),
            "error    links docs/a: -> `../../x` leads out of the repository: Argo CD refuses",
        ),
        (
            "v3.2",
            ("dpu/a", "-> ../shared/shared.yaml"),
            "error    links dpu/a: -> `../shared/shared.yaml` leaves `dpu`",
        ),
        ("v2.12", ("dpu/a", "-> ../shared/shared.yaml"), ""),
        (
            "v2.12",
            ("dpu/sites/lab1/a.yaml", "-> ../../../shared/shared.yaml"),
            "warning  links dpu/sites/lab1/a.yaml: -> `../../../shared/shared.yaml`: no path of the annotation names `shared/shared.yaml`",
        ),
        ("v3.2", (".git/link", "-> /etc/hostname"), ""),
        ("v3.2", ("docs/a", "-> nothing"), ""),
        (
            "v2.12",
            ("dpu/sites/lab1/.argocd-source-blue.yaml", "{}"),
            "warning  site dpu/sites/lab1: Argo CD merges `dpu/sites/lab1/.argocd-source-blue.yaml`",
        ),
    ] {
        let there = checkout(&[link]);
        let (told_of, code) = found(there.path(), &["--argocd", release, "--exclude", ".git"]);
        assert!(told_of.starts_with(told) && told_of.is_empty() == told.is_empty(), "{link:?}: {told_of}");
        assert_eq!(code, Some(i32::from(told.starts_with("error"))), "{told_of}");
    }
    let there = checkout(&[("docs/x", "")]);
    pipe(&there.path().join("docs/pipe"));
    let name = there.path().join("docs").join(std::ffi::OsStr::from_bytes(b"\xff"));
    fs::write(name, "x").unwrap();
    let told = found(there.path(), &["--exclude", ".git"]);
    let files = "warning  files: `docs/pipe` are sockets, pipes or devices: git keeps none of them, Argo CD packs none\n\
                 warning  files: `docs/\u{fffd}` cannot be read here, or have names that are no text: they are not counted\n";
    assert_eq!(told, (files.to_owned(), Some(0)));
    // In a layer it keeps the site from being rendered.
    pipe(&there.path().join("dpu/sites/lab1/pipe.yaml"));
    let (told, code) = found(there.path(), &["--exclude", ".git"]);
    assert!(told.starts_with("error    site dpu/sites/lab1: Argo CD cannot render it: file-unreadable: "), "{told}");
    assert_eq!(code, Some(1));
}

#[test]
fn what_is_no_site_for_argo_cd() {
    // The command line finds the layers from `dpu/`; Argo CD names them from the top.
    let there = checkout(&[]);
    let site = fs::read_to_string(there.path().join("dpu/sites/lab1/site.yaml")).unwrap();
    add(there.path(), &[("dpu/sites/lab1/site.yaml", &site.replace("[dpu/base]", "[base]"))]);
    assert_eq!(run(there.path(), &["validate", "dpu/sites/lab1"]).code, Some(0));
    let (told, code) = found(there.path(), &["--exclude", ".git"]);
    assert!(
        told.starts_with("error    site dpu/sites/lab1: Argo CD cannot render it: layer-missing: the layer `base`"),
        "{told}"
    );
    assert!(told.contains("layers are named from the top of the repository, for Argo CD too"), "{told}");
    assert_eq!(code, Some(1));

    let (told, code) = found(there.path(), &["apps", "--exclude", ".git"]);
    assert_eq!((told.as_str(), code), ("error    site apps: no folder here holds a `site.yaml`\n", Some(1)));
    fs::remove_dir_all(there.path().join(".git")).unwrap();
    let said = run(there.path(), &["plugin", "doctor", "dpu"]);
    assert_eq!((said.code, said.out.as_str()), (Some(2), ""));
    assert!(
        said.err.contains("`dpu` is no checkout: neither it nor a folder above it has a `.git`; `--root DIR`"),
        "{}",
        said.err
    );
    assert_eq!(run(there.path(), &["plugin", "doctor", "dpu", "--root", "."]).code, Some(1));
    assert_eq!(run(there.path(), &["plugin", "doctor", "--argocd", "2.4"]).code, Some(2));
    let help = run(there.path(), &["plugin", "doctor", "--help"]);
    assert!(help.code == Some(0) && help.out.contains("[default: what each site says"), "{}", help.out);
}

/// Bytes that do not shrink.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let byte = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..length).map(byte).collect()
}

#[test]
fn a_large_checkout_comes_with_what_to_leave_out() {
    let there = checkout(&[]);
    for (path, mib) in
        [(".git/objects/pack/p.pack", 3), ("images/a.bin", 9), ("docs/b.bin", 1), ("dpu/sites/lab1/c.txt", 5)]
    {
        let path = there.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        // Farther back than gzip looks.
        fs::write(path, noise(1 << 20).repeat(mib)).unwrap();
    }
    let (told, code) = found(there.path(), &[]);
    assert_eq!(code, Some(0));
    let lines: Vec<&str> = told.lines().collect();
    let expected = [
        "warning  tar: Argo CD v2.12 packs 18.0 MiB for each render, twice; without `.git` 15.0 MiB",
        "         = argocd-cmd-params-cm: reposerver.plugin.tar.exclusions: .git",
        "         = argocd-cmd-params-cm: reposerver.plugin.tar.exclusions: .git;images;docs leaves 5.0 MiB, if no other plugin needs them",
        "warning  pieces: 15.0 MiB travel in 15",
        "         = ARGOCD_CMP_CHUNK_SIZE: \"65536\" in the environment of the repo-server",
    ];
    assert_eq!(lines.len(), expected.len(), "{told}");
    for (line, expected) in lines.iter().zip(expected) {
        assert!(line.starts_with(expected), "{told}");
    }
    // What is said to be set is believed, and looked at.
    let set = ["--exclude", ".git", "--exclude", "images", "--exclude", "docs"];
    assert_eq!(found(there.path(), &set).0.lines().count(), 2);
    let (told, code) = found(there.path(), &["--exclude", ".git", "--exclude", "dpu/base/*", "--argocd", "v3.2"]);
    let lost = "error    exclusions dpu/base/*: it leaves out `dpu/base/fabric.yaml`, `dpu/base/layer.yaml`, `dpu/base/vip.yaml`";
    assert!(told.starts_with(lost) && code == Some(1), "{told}");
    // Narrowed, `base` is at the top of what is packed.
    let (told, code) = found(there.path(), &["--exclude", ".git", "--exclude", "base", "--argocd", "v3.2"]);
    assert!(told.starts_with("error    exclusions base: it leaves out") && code == Some(1), "{told}");
    let (told, _) = found(there.path(), &["--exclude", ".git", "--exclude", "base"]);
    assert!(!told.contains("error "), "{told}");
    // A layer far away makes narrowing useless.
    let site = fs::read_to_string(there.path().join("dpu/sites/lab1/site.yaml")).unwrap();
    add(there.path(), &[("dpu/sites/lab1/site.yaml", &site.replace("[dpu/base]", "[dpu/base, shared]"))]);
    let (told, _) = found(there.path(), &["--argocd", "v3.2"]);
    assert!(
        told.contains("warning  narrowed dpu/sites/lab1: the site and its layers have no folder in common"),
        "{told}"
    );
    assert!(told.contains("= move the sites and their layers below one folder"), "{told}");
}

/// The size that is told is that of an archive, within what another deflate makes of it.
#[test]
fn the_size_is_that_of_an_archive() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let there = folder(&[(".git", "gitdir: elsewhere\n")]);
    for part in ["base", "overlays", "sites", "src"] {
        for (path, text) in crate::golden::tree(&root.join(part)) {
            add(there.path(), &[(&format!("{part}/{path}"), &text)]);
        }
    }
    let archive =
        Command::new("tar").args(["-cz", "--exclude", ".git", "."]).current_dir(there.path()).output().unwrap();
    let said = run(there.path(), &["plugin", "doctor", "sites/lab1"]);
    let line = said.out.lines().find(|line| line.starts_with("warning  tar: ")).unwrap();
    assert!(
        line.ends_with("beside that `.git`, which is elsewhere here, and in Argo CD's clone holds the history"),
        "{line}"
    );
    let told: f64 = line.split(" packs ").nth(1).unwrap().split(" KiB").next().unwrap().parse().unwrap();
    let ratio = told * 1024.0 / archive.stdout.len() as f64;
    assert!((0.9..1.1).contains(&ratio), "{ratio} {line}");
}

#[test]
fn a_sidecar_from_inside() {
    let there = TempDir::new().unwrap();
    let [config, sockets, work] = ["config", "sockets", "work"].map(|name| there.path().join(name));
    for folder in [&config, &sockets, &work] {
        fs::create_dir(folder).unwrap();
    }
    let name = plugin_name();
    let version = name.strip_prefix("dpu-render-").unwrap();
    let command = env!("CARGO_BIN_EXE_dpu-render");
    let plugin = format!(
        "kind: ConfigManagementPlugin\nmetadata: {{name: dpu-render}}\nspec:\n  version: {version}\n  generate: {{command: [{command}, \
         plugin, generate]}}\n  parameters: {{dynamic: {{command: [dpu-render], args: [plugin, parameters]}}}}\n"
    );
    fs::write(config.join("plugin.yaml"), plugin).unwrap();
    let doctor = || {
        let mut command = program(there.path());
        command.args(["plugin", "doctor", "--config-dir-path"]).arg(&config).stdin(Stdio::null());
        command.env("ARGOCD_PLUGINSOCKFILEPATH", &sockets).env("ARGOCD_CMP_WORKDIR", &work).env("TMPDIR", &work);
        command.env("PATH", Path::new(env!("CARGO_BIN_EXE_dpu-render")).parent().unwrap());
        Said::of(command.output().unwrap())
    };
    let line = |said: &Said, name: &str| {
        let line = said.out.lines().find(|line| line[9..].starts_with(name));
        line.unwrap_or_else(|| panic!("{name}: {}", said.out)).to_owned()
    };
    let said = doctor();
    assert_eq!(said.code, Some(1));
    assert_eq!(
        line(&said, "plugin"),
        format!("ok       plugin plugin.yaml: `{name}`, and its commands are this program")
    );
    assert!(line(&said, "socket").starts_with("error    socket: `") && line(&said, "socket").ends_with("is not there"));
    let socket = sockets.join(format!("{name}.sock"));
    fs::write(&socket, "").unwrap();
    assert!(line(&doctor(), "socket").ends_with("is no socket"));
    fs::remove_file(&socket).unwrap();
    let _socket = UnixListener::bind(&socket).unwrap();
    let said = doctor();
    assert!(
        line(&said, "socket").starts_with("ok  ") && line(&said, "work").ends_with("can be written to"),
        "{}",
        said.out
    );
    assert!(line(&said, "user").contains("it runs as ") && line(&said, "privileges").contains("privileges"));
    assert_eq!(fs::read_dir(&work).unwrap().count(), 0);
    // The temporary folder is the repo-server's; the work folder is gone.
    fs::create_dir(work.join("_argocd-repo")).unwrap();
    assert!(doctor().out.contains("_argocd-repo` is the repo-server's: its temporary folder is mounted here\n"));
    fs::remove_dir_all(&work).unwrap();
    assert!(line(&doctor(), "work").ends_with("no such folder"));
    fs::remove_file(config.join("plugin.yaml")).unwrap();
    assert!(line(&doctor(), "plugin").contains("cannot read"));
}
