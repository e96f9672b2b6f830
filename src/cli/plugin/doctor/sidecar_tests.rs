//! Sidecars as they should be, and with one thing wrong each.

use super::*;
use crate::cli::plugin::doctor::check::{Level, text};

fn good() -> Facts {
    let sound = format!(
        "kind: ConfigManagementPlugin\nmetadata: {{name: {PLUGIN}}}\nspec:\n  version: {VERSION}\n  generate: {{command: \
         [dpu-render, plugin, generate]}}\n  parameters: {{dynamic: {{command: [dpu-render, plugin, parameters]}}}}\n"
    );
    let status = [("NoNewPrivs", "1"), ("CapEff", "0000000000000000"), ("Seccomp", "2")];
    Facts {
        plugin: Ok(sound),
        programs: Box::new(|name| match name {
            "dpu-render" => Program::Own,
            "sh" => Program::Other("/bin/sh".to_owned()),
            _ => Program::Missing,
        }),
        sockets: "/plugins".into(),
        there: Ok(BTreeMap::from([(format!("{PLUGIN}-{VERSION}.sock"), true)])),
        work: "/cmp-work".into(),
        writable: Ok(()),
        user: Some(USER),
        status: status.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        mounts: "1 2 0:1 / / ro,relatime - overlay overlay rw\n3 1 0:2 / /tmp rw - tmpfs tmpfs rw\n".to_owned(),
        of_repo_server: None,
    }
}

/// What is told beside `ok`, without its fixes.
fn told(facts: &Facts) -> Vec<String> {
    let checks = checks(facts).into_iter().filter(|check| check.level != Level::Ok);
    checks.map(|check| text(&[Check { fixes: Vec::new(), ..check }]).trim_end().to_owned()).collect()
}

#[test]
fn a_good_one_has_nothing_to_change() {
    assert_eq!(told(&good()), Vec::<String>::new());
    assert_eq!(checks(&good()).len(), 5);
}

#[test]
fn each_thing_that_is_wrong_is_told() {
    let with = |change: &dyn Fn(&mut Facts)| {
        let mut facts = good();
        change(&mut facts);
        told(&facts).join("\n")
    };
    let edit = |old: &str, new: &str| {
        let mut facts = good();
        let text = facts.plugin.clone().unwrap();
        assert!(text.contains(old), "{old}");
        facts.plugin = Ok(text.replace(old, new));
        told(&facts).join("\n")
    };
    let socket = format!("dpu-render-{VERSION}.sock");
    for (said, wanted) in [
        (edit(VERSION, "v0.0.9"), "error    plugin plugin.yaml: `spec.version` is \"v0.0.9\", not"),
        (edit(VERSION, "1.0"), "error    plugin plugin.yaml: `spec.version` is 1, not"),
        (edit("name: dpu-render", "name: other"), "error    plugin plugin.yaml: `metadata.name` is \"other\", not"),
        (edit("kind: Config", "kind: X"), "`kind` is \"XManagementPlugin\", not `ConfigManagementPlugin`"),
        (edit("spec:\n", "spec:\n  init: {command: [x]}\n"), "warning  plugin plugin.yaml: `spec.init` is set"),
        (
            edit("spec:\n", "spec:\n  discover: {fileName: x}\n"),
            "`spec.discover` is set: it has the whole repository packed",
        ),
        (
            edit("spec:\n", "spec:\n  generat: {}\n"),
            "`spec.generat` is passed over by Argo CD without a word; did you mean `generate`?",
        ),
        (edit("plugin, generate", "render"), "error    plugin plugin.yaml: `spec.generate` calls `dpu-render render`"),
        (
            edit("[dpu-render, plugin, generate]", "[sh, x]"),
            "warning  plugin plugin.yaml: `spec.generate` calls `/bin/sh`",
        ),
        (
            edit("[dpu-render, plugin, generate]", "[gone]"),
            "error    plugin plugin.yaml: `spec.generate` calls `gone`, and there is no such",
        ),
        (edit("[dpu-render, plugin, generate]", "[]"), "error    plugin plugin.yaml: `spec.generate` has no command"),
        (edit("dynamic: {", "dynamical: {"), "warning  plugin plugin.yaml: `spec.parameters.dynamic` has no command"),
        (edit("kind: C", "kind: [C"), "error    plugin plugin.yaml:"),
        (with(&|facts| facts.plugin = Err("gone".into())), "error    plugin plugin.yaml: gone"),
        (with(&|facts| facts.sockets = "/x".repeat(60).into()), "where the path of a socket has at most 107"),
        (
            with(&|facts| facts.there = Err("gone".into())),
            "error    socket: the folder of the sockets `/plugins` cannot be read: gone",
        ),
        (with(&|facts| facts.there = Ok(BTreeMap::from([(socket.clone(), false)]))), "is no socket"),
        (
            with(&|facts| facts.there = Ok(BTreeMap::from([("dpu-render-v9.sock".into(), true)]))),
            "is not there; there is `dpu-render-v9.sock`",
        ),
        (
            with(&|facts| facts.writable = Err("read-only".into())),
            "error    work: nothing can be unpacked in `/cmp-work`: read-only",
        ),
        (
            with(&|facts| facts.of_repo_server = Some("/tmp/_argocd-repo".into())),
            "error    work: `/tmp/_argocd-repo` is the repo-server's",
        ),
        (with(&|facts| facts.user = Some(0)), "error    user: it runs as root"),
        (with(&|facts| facts.user = Some(1000)), "warning  user: it runs as 1000"),
        (
            with(&|facts| facts.mounts = facts.mounts.replace("ro,", "rw,")),
            "warning  privileges: the container may do more",
        ),
        (with(&|facts| drop(facts.status.insert("CapEff".into(), "00000000a80425fb".into()))), "warning  privileges"),
        (with(&|facts| drop(facts.status.remove("Seccomp"))), "warning  privileges"),
    ] {
        assert!(said.contains(wanted), "{wanted}\n{said}");
    }
}
