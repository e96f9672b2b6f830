//! The main path on small repositories in memory: what merges, what waits, what is refused.

use std::collections::BTreeMap;

use super::finish::add;
use super::*;
use crate::source::FileError;

const SITE: &str =
    "apiVersion: dpu-render.dev/v1alpha1\nkind: Site\nmetadata: {name: s}\nspec:\n  dpf: v24.10\n  mode: operator\n";

fn repository(site: &str, files: &[(&str, &str)]) -> BTreeMap<String, String> {
    let site = format!("{SITE}{site}");
    let own = [("sites/s/site.yaml", site.as_str())];
    files.iter().chain(&own).map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect()
}

fn outcome(files: &BTreeMap<String, String>, options: &Options) -> (Option<String>, Vec<String>) {
    let repository = Repository::new(files);
    let outcome = repository.render("sites/s", options);
    let faults = outcome.diagnostics.iter().map(|fault| {
        let place = repository.tree().place(fault.origin).unwrap_or_default();
        format!("{} {place}", fault.code)
    });
    let faults = faults.collect();
    let text = outcome.site.map(|site| {
        let mut out = String::new();
        for destination in &site.destinations {
            for object in &destination.objects {
                out += &format!("# {}\n{}", destination.destination, object.text);
            }
        }
        out
    });
    (text, faults)
}

fn rendered(site: &str, files: &[(&str, &str)]) -> String {
    let (text, faults) = outcome(&repository(site, files), &Options::default());
    text.unwrap_or_else(|| panic!("{faults:?}"))
}

fn refused(site: &str, files: &[(&str, &str)]) -> Vec<String> {
    let (text, faults) = outcome(&repository(site, files), &Options::default());
    assert!(text.is_none(), "{}", text.unwrap_or_default());
    faults
}

fn config_map(name: &str, rest: &str) -> String {
    format!("apiVersion: example.dev/v1\nkind: Thing\nmetadata: {{name: {name}}}\n{rest}")
}

#[test]
fn layers_merge_in_order_and_the_site_is_last() {
    let text = rendered(
        "  layers: [base, overlay]\n",
        &[
            ("base/a.yaml", &config_map("c", "data: {a: base, b: base, c: base, d: base}\n")),
            (
                "overlay/layer.yaml",
                "apiVersion: dpu-render.dev/v1alpha1\nkind: Layer\nmetadata: {name: o}\nspec: {layers: [base]}\n",
            ),
            ("overlay/a.yaml", &config_map("c", "data: {b: overlay, c: overlay, d: null}\n")),
            ("sites/s/a.yaml", &config_map("c", "data: {c: site}\n")),
        ],
    );
    assert_eq!(
        text,
        "# management\napiVersion: example.dev/v1\ndata:\n  a: base\n  b: overlay\n  c: site\nkind: Thing\nmetadata:\n  name: c\n"
    );
}

const CLUSTERS: &str = "  clusters:\n  - {name: a, vars: {num: 1}}\n  - {name: b, namespace: nb, vars: {num: 2}}\n  external:\n  - {group: provisioning.dpu.nvidia.com, kind: DPUCluster, namespace: a, name: a}\n  - {group: provisioning.dpu.nvidia.com, kind: DPUCluster, namespace: nb, name: b}\n";

#[test]
fn what_reads_a_cluster_waits_for_it_and_keeps_its_type() {
    let text = rendered(
        &format!("{CLUSTERS}  vars: {{m: '${{{{ vars.num + 10 }}}}'}}\n"),
        &[(
            "sites/s/a.yaml",
            &config_map("c", "data: {num: '${{ vars.num }}', m: 'x${{ vars.m }}', s: '${{ cluster.namespace }}'}\n")
                .replace(
                    "metadata: {name: c}",
                    "metadata: {name: c, annotations: {dpu-render.dev/destination: clusters}}",
                ),
        )],
    );
    assert_eq!(
        text,
        "# a\napiVersion: example.dev/v1\ndata:\n  m: x11\n  num: 1\n  s: a\nkind: Thing\nmetadata:\n  name: c\n\
         # b\napiVersion: example.dev/v1\ndata:\n  m: x12\n  num: 2\n  s: nb\nkind: Thing\nmetadata:\n  name: c\n"
    );
}

#[test]
fn an_expression_that_waits_for_nobody_is_refused_and_the_setter_named() {
    let files = [("sites/s/a.yaml", config_map("c", "data:\n  num: ${{ vars.num }}\n"))];
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
    assert_eq!(refused(CLUSTERS, &files), ["expression-waits sites/s/a.yaml:5:8"]);
}

#[test]
fn for_each_makes_one_object_per_member_and_one_of_them_can_be_changed() {
    let template = config_map("'c-${{ cluster.name }}'", "data: {k: template}\n")
        .replace("}'}", "}', annotations: {dpu-render.dev/for-each: clusters, keep: me}}");
    let text = rendered(
        CLUSTERS,
        &[("sites/s/a.yaml", &template), ("sites/s/b.yaml", &config_map("c-b", "data: {k: changed}\n"))],
    );
    assert_eq!(
        text,
        "# management\napiVersion: example.dev/v1\ndata:\n  k: template\nkind: Thing\nmetadata:\n  annotations:\n    keep: me\n  name: c-a\n\
         # management\napiVersion: example.dev/v1\ndata:\n  k: changed\nkind: Thing\nmetadata:\n  annotations:\n    keep: me\n  name: c-b\n"
    );
    let template = template.replace("c-${{ cluster.name }}", "c");
    assert_eq!(refused(CLUSTERS, &[("sites/s/a.yaml", &template)]), ["duplicate-object sites/s/a.yaml:1:1"]);
}

#[test]
fn an_object_with_the_name_of_a_member_goes_where_the_member_goes() {
    let template = |name: &str| {
        config_map(&format!("'{name}'"), "data: {k: template}\n")
            .replace("'}", "', annotations: {dpu-render.dev/destination: clusters}}")
    };
    let over = |name: &str| config_map(name, "data: {k: changed, num: '${{ vars.num }}'}\n");
    let text =
        rendered(CLUSTERS, &[("sites/s/a.yaml", &template("c-${{ cluster.name }}")), ("sites/s/b.yaml", &over("c-b"))]);
    let objects: Vec<&str> = text.split("# ").skip(1).collect();
    assert_eq!(objects.len(), 2, "{text}");
    assert!(objects[1].starts_with("b\n") && objects[1].contains("  k: changed\n  num: 2\n"), "{text}");
    // Of the same name in every cluster by another way than its text: which is meant must be said.
    let all = template("${{ cluster.name | length }}-c");
    assert_eq!(
        refused(CLUSTERS, &[("sites/s/a.yaml", &all), ("sites/s/b.yaml", &over("1-c"))]),
        ["ambiguous-destination sites/s/b.yaml:1:1"]
    );
}

const INVENTORY: &str = "apiVersion: dpu-render.dev/v1alpha1\nkind: Inventory\nmetadata: {name: s}\nspec:\n  hosts:\n  - name: w1\n    vars: {rack: r1, asn: 1}\n    dpus:\n    - {pci: \"0000:90:00\", cluster: b, vars: {asn: 2}}\n";

#[test]
fn cards_see_the_nearest_variables_and_templates_loop_over_them() {
    let text = rendered(
        &format!("{CLUSTERS}  inventory: inventory.yaml\n"),
        &[
            ("sites/s/inventory.yaml", INVENTORY),
            (
                "sites/s/a.yaml",
                &config_map(
                    "'${{ dpu.nodeName }}'",
                    "data: {asn: '${{ vars.asn }}', rack: '${{ vars.rack }}', num: '${{ vars.num }}'}\n",
                )
                .replacen(
                    "}'}",
                    "}', annotations: {dpu-render.dev/for-each: dpus, dpu-render.dev/destination: clusters}}",
                    1,
                ),
            ),
            (
                "sites/s/b.yaml.j2",
                "apiVersion: example.dev/v1\nkind: Thing\nmetadata: {name: t}\ndata:\n${% for dpu in dpus %}\n  ${{ dpu.nodeName }}: '${{ dpu.vars.asn }} ${{ dpu.vars.rack }}'\n${% endfor %}\n",
            ),
        ],
    );
    assert_eq!(
        text,
        "# management\napiVersion: example.dev/v1\ndata:\n  w1-0000-90-00: 2 r1\nkind: Thing\nmetadata:\n  name: t\n\
         # b\napiVersion: example.dev/v1\ndata:\n  asn: 2\n  num: 2\n  rack: r1\nkind: Thing\nmetadata:\n  name: w1-0000-90-00\n"
    );
}

#[test]
fn variables_have_types_limits_and_no_cycles() {
    let layer =
        |rest: &str| format!("apiVersion: dpu-render.dev/v1alpha1\nkind: Layer\nmetadata: {{name: l}}\nspec:\n{rest}");
    let declared = layer("  declare:\n    mtu: {type: integer, minimum: 1000}\n    name: {type: string}\n");
    let faults = |vars: &str| refused(&format!("  layers: [l]\n  vars: {vars}\n"), &[("l/layer.yaml", &declared)]);
    assert_eq!(faults("{mtu: 900, name: x}"), ["variable-range sites/s/site.yaml:8:15"]);
    assert_eq!(faults("{mtu: \"9\", name: x}"), ["variable-type sites/s/site.yaml:8:15"]);
    assert_eq!(faults("{mtu: 1500}"), ["variable-missing sites/s/site.yaml:8:3"]);
    let cycle = refused(
        "  vars:\n    a: ${{ vars.b }}\n    b: ${{ vars.a }}\n",
        &[("sites/s/a.yaml", &config_map("c", "data:\n  k: ${{ vars.a }}\n"))],
    );
    assert_eq!(cycle, ["variable-cycle sites/s/site.yaml:8:8"]);
    let undefined = refused(
        "  vars: {podCIDR: x}\n",
        &[("sites/s/a.yaml", &config_map("c", "data:\n  k: a ${{ vars.podCDIR }}\n"))],
    );
    assert_eq!(undefined, ["undefined-variable sites/s/a.yaml:5:8"]);
}

#[test]
fn set_wins_over_every_scope_and_takes_the_declared_type() {
    let options = Options { set: vec![("num".into(), "7".into()), ("t".into(), "8".into())], ..Options::default() };
    let layer = "apiVersion: dpu-render.dev/v1alpha1\nkind: Layer\nmetadata: {name: l}\nspec:\n  declare: {t: {type: string}}\n";
    let object = config_map("c", "data: {num: '${{ vars.num }}', t: '${{ vars.t }}'}\n")
        .replace("{name: c}", "{name: c, annotations: {dpu-render.dev/destination: b}}");
    let files =
        repository(&format!("{CLUSTERS}  layers: [l]\n"), &[("l/layer.yaml", layer), ("sites/s/a.yaml", &object)]);
    let (text, _) = outcome(&files, &options);
    assert_eq!(
        text.unwrap(),
        "# b\napiVersion: example.dev/v1\ndata:\n  num: 7\n  t: \"8\"\nkind: Thing\nmetadata:\n  name: c\n"
    );
}

#[test]
fn patches_apply_in_their_turn_or_at_the_end_and_must_hit() {
    let patch = |stage: &str, name: &str, value: &str| {
        format!(
            "apiVersion: dpu-render.dev/v1alpha1\nkind: Patch\nmetadata: {{name: p}}\nspec:\n  stage: {stage}\n  target: {{kind: Thing, name: {name}}}\n  operations:\n  - {{op: add, path: /data/k, value: {value}}}\n"
        )
    };
    let object = config_map("c", "data: {k: base}\n");
    let over = config_map("c", "data: {k: site}\n");
    let with = |stage: &str| {
        rendered(
            "  layers: [l]\n",
            &[("l/a.yaml", &object), ("l/p.yaml", &patch(stage, "'*'", "patched")), ("sites/s/a.yaml", &over)],
        )
    };
    assert!(with("input").contains("k: site"));
    assert!(with("output").contains("k: patched"));
    let text = [("sites/s/a.yaml", object.as_str()), ("sites/s/p.yaml.j2", &patch("input", "c", "patched"))];
    assert!(rendered("", &text).contains("k: patched"));
    assert_eq!(
        refused("", &[("sites/s/a.yaml", &object), ("sites/s/p.yaml", &patch("output", "x", "v"))]),
        ["patch-no-match sites/s/p.yaml:6:11"]
    );
    assert_eq!(
        refused("", &[("sites/s/a.yaml", &object), ("sites/s/p.yaml", &patch("input", "x", "v"))]),
        ["patch-no-match sites/s/p.yaml:6:11"]
    );
}

#[test]
fn faults_of_layers_are_found_together() {
    let object = config_map("c", "data: {k: \"$POD_CIDR\"}\n");
    let cycle = "apiVersion: dpu-render.dev/v1alpha1\nkind: Layer\nmetadata: {name: l}\nspec:\n  layers: [l]\n";
    let faults = refused(
        "  layers: [l, missing, ../out]\n",
        &[
            ("l/layer.yaml", cycle),
            ("sites/s/a.yaml", &format!("{object}---\n{object}")),
            ("sites/s/b.yaml", "apiVersion: dpu-render.dev/v1alpha1\nkind: Pathc\nmetadata: {name: x}\n"),
            ("sites/s/c.yaml", "just text\n"),
            ("sites/s/d.yaml", "a: [\n"),
            ("sites/s/e.yaml", "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {node: $NODE}\n"),
        ],
    );
    assert_eq!(
        faults,
        [
            "layer-cycle l/layer.yaml:5:12",
            "duplicate-object sites/s/a.yaml:6:1",
            "unknown-kind sites/s/b.yaml:2:7",
            "not-an-object sites/s/c.yaml:1:1",
            "yaml-syntax sites/s/d.yaml:1:4",
            "unresolved-variable sites/s/e.yaml:4:14",
            "layer-missing sites/s/site.yaml:7:15",
            "layer-path sites/s/site.yaml:7:24",
            "unresolved-variable sites/s/a.yaml:4:11",
            "unresolved-variable sites/s/a.yaml:9:11",
        ]
    );
}

#[test]
fn a_layer_inside_another_is_not_part_of_it() {
    let text = rendered(
        "  layers: [l]\n",
        &[
            ("l/a.yaml", &config_map("a", "")),
            ("l/inner/layer.yaml", "apiVersion: dpu-render.dev/v1alpha1\nkind: Layer\nmetadata: {name: i}\nspec: {}\n"),
            ("l/inner/b.yaml", &config_map("b", "")),
            ("l/_hidden/c.yaml", &config_map("c", "")),
            (
                "l/deep/list.yaml",
                "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: example.dev/v1, kind: Thing, metadata: {name: d}}\n",
            ),
        ],
    );
    let names: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("  name: ")).collect();
    assert_eq!(names, ["a", "d"]);
}

/// Lists files in another order each time.
struct Shuffled<'a>(&'a BTreeMap<String, String>, usize);

impl Files for Shuffled<'_> {
    fn list(&self, folder: &str) -> Result<Vec<String>, FileError> {
        let mut paths = Files::list(self.0, folder)?;
        let by = self.1 % paths.len().max(1);
        paths.rotate_left(by);
        if self.1 % 2 == 1 {
            paths.reverse();
        }
        Ok(paths)
    }

    fn read(&self, path: &str) -> Result<Vec<u8>, FileError> {
        Files::read(self.0, path)
    }
}

#[test]
fn the_order_of_files_does_not_matter() {
    let objects: Vec<(String, String)> = (0..9)
        .map(|index| (format!("l/{index}.yaml"), config_map(&format!("c{index}"), "data: {num: '${{ vars.num }}'}\n")))
        .collect();
    let files: Vec<(&str, &str)> = objects.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let files = repository("  layers: [l]\n  vars: {num: 1}\n", &files);
    let texts: Vec<String> = (0..10)
        .map(|seed| {
            let shuffled = Shuffled(&files, seed);
            let repository = Repository::new(&shuffled);
            let site = repository.render("sites/s", &Options::default()).site.unwrap();
            site.destinations.iter().flat_map(|d| &d.objects).map(|object| &*object.text).collect()
        })
        .collect();
    assert!(texts.windows(2).all(|pair| pair[0] == pair[1]));
}

#[test]
fn a_member_that_cannot_be_evaluated_is_not_called_a_twin_of_the_next() {
    let things = format!(
        "{}metadata:\n  name: x-${{{{ cluster.name }}}}\n  annotations: {{dpu-render.dev/for-each: clusters}}\ndata: {{a: \"${{{{ cluster.nothing.at }}}}\"}}\n",
        "apiVersion: example.dev/v1\nkind: Thing\n"
    );
    let faults = refused("  layers: [base]\n  clusters: [{name: a}, {name: b}]\n", &[("base/a.yaml", &things)]);
    assert!(faults.iter().all(|fault| !fault.starts_with("duplicate-object")), "{faults:?}");
    assert!(faults.iter().any(|fault| fault.starts_with("undefined-variable")), "{faults:?}");
}

#[test]
fn one_member_that_is_set_leaves_what_clusters_say_beside_it() {
    let site = "  layers: [base]\n  vars: {m: {a: 1, b: 1}}\n  clusters: [{name: one, vars: {m: {a: 2, b: 2}}}]\n";
    let thing = "apiVersion: example.dev/v1\nkind: Thing\nmetadata: {name: x, annotations: {dpu-render.dev/destination: clusters}}\n";
    let thing = format!("{thing}data: {{m: \"${{{{ vars.m }}}}\"}}\n");
    let options = Options { set: vec![("m.a".to_owned(), "3".to_owned())], ..Options::default() };
    let external = "  external: [{group: provisioning.dpu.nvidia.com, kind: DPUCluster, namespace: one, name: one}]\n";
    let (text, faults) = outcome(&repository(&format!("{site}{external}"), &[("base/a.yaml", &thing)]), &options);
    let text = text.unwrap_or_else(|| panic!("{faults:?}"));
    assert!(text.contains("a: 3\n    b: 2\n"), "{text}");
}

#[test]
fn output_patches_are_evaluated_and_what_they_make_is_checked() {
    let patch = |operations: &str| {
        format!(
            "apiVersion: dpu-render.dev/v1alpha1\nkind: Patch\nmetadata: {{name: p}}\nspec:\n  stage: output\n  target: {{kind: Thing}}\n  operations:\n{operations}"
        )
    };
    let add = |path: &str, value: &str| patch(&format!("  - {{op: add, path: {path}, value: {value}}}\n"));
    let site = "  layers: [base]\n  vars: {a: 1}\n";
    let render = |patch: &str| {
        let files = [("base/a.yaml", config_map("x", "data: {}\n")), ("base/p.yaml", patch.to_owned())];
        let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
        outcome(&repository(site, &files), &Options::default())
    };
    let (text, faults) = render(&add("/data/b", "\"${{ vars.a }}\""));
    assert!(text.is_some_and(|text| text.contains("b: 1\n")), "{faults:?}");
    for (path, value, code) in [
        ("/data/b", "\"${{ vars.none }}\"", "undefined-variable"),
        ("/data/b", "\"${{ cluster.name }}\"", "expression-waits"),
        ("/metadata/name", "z", "patch-failed"),
        ("/metadata/labels/a", "1", "wrong-type"),
        ("/metadata/annotations/dpu-render.dev~1destination", "clusters", "unknown-field"),
    ] {
        let (text, faults) = render(&add(path, value));
        assert!(text.is_none() && faults.len() == 1 && faults[0].starts_with(code), "{path} {value}: {faults:?}");
    }
    let misspelt = config_map("x", "").replace("{name: x}", "{name: x, annotations: {dpu-render.dev/for-eech: dpus}}");
    assert_eq!(refused("  layers: [base]\n", &[("base/a.yaml", &misspelt)]), ["unknown-field base/a.yaml:3:35"]);
}

#[test]
fn what_is_set_is_read_as_helm_reads_it() {
    for (text, expected) in [
        ("1.10", "\"1.10\""),
        ("on", "\"on\""),
        ("007", "\"007\""),
        ("1e3", "\"1e3\""),
        ("7", "7"),
        ("-7", "-7"),
        ("0", "0"),
        ("True", "true"),
        ("v1", "v1"),
    ] {
        let options = Options { set: vec![("a".to_owned(), text.to_owned())], ..Options::default() };
        let thing = config_map("x", "data: {a: \"${{ vars.a }}\"}\n");
        let (made, faults) = outcome(&repository("  layers: [base]\n", &[("base/a.yaml", &thing)]), &options);
        assert!(made.is_some_and(|made| made.contains(&format!("a: {expected}\n"))), "{text}: {faults:?}");
    }
}

#[test]
fn what_expansion_makes_of_an_expression_is_checked_too() {
    let site = |rest: &str| format!("  mode: standalone\n{}{rest}", CLUSTERS.replace("{num: 1}", "{num: 1, net: 10}"));
    let interface = "apiVersion: svc.dpu.nvidia.com/v1alpha1\nkind: DPUServiceInterface\nmetadata: {name: p0, namespace: dpf-operator-system}\nspec:\n  template:\n    spec:\n      template:\n        spec:\n          interfaceType: physical\n          physical:\n            interfaceName: ${{ dpu.nodeName }}\n";
    let pool = "apiVersion: svc.dpu.nvidia.com/v1alpha1\nkind: DPUServiceIPAM\nmetadata: {name: p, namespace: dpf-operator-system}\nspec:\n  ipv4Network: {prefixSize: 29, network: \"${{ vars.net }}\"}\n";
    let secrets = "  - {kind: Secret, namespace: dpf-operator-system, name: a-a}\n  - {kind: Secret, namespace: dpf-operator-system, name: nb-b}\n";
    let faults = |objects: &str| {
        let text = format!("{}{}", SITE.replace("  mode: operator\n", ""), site(secrets));
        let mut files = repository("", &[("sites/s/a.yaml", objects)]);
        files.insert("sites/s/site.yaml".to_owned(), text);
        outcome(&files, &Options::default()).1
    };
    assert_eq!(faults(interface), ["expression-waits sites/s/a.yaml:11:28"]);
    let found = faults(pool);
    assert_eq!(found, ["undefined-variable sites/s/a.yaml:5:43", "wrong-type sites/s/site.yaml:8:35"]);
}

#[test]
fn what_a_layer_holds_does_not_depend_on_the_sites_rendered_before() {
    let site = |layers: &str| format!("{SITE}  layers: {layers}\n");
    let files: BTreeMap<String, String> = [
        ("sites/s/site.yaml", site("[base, text, base/inner]")),
        ("sites/t/site.yaml", site("[base]")),
        ("base/a.yaml", config_map("a", "")),
        ("base/inner/b.yaml", config_map("b", "")),
        ("text/c.yaml.j2", config_map("c", "")),
    ]
    .map(|(path, text)| (path.to_owned(), text))
    .into();
    let names = |repository: &Repository<'_>, folder: &str| -> Vec<String> {
        let site = repository.render(folder, &Options::default()).site.unwrap();
        site.destinations.iter().flat_map(|d| &d.objects).map(|object| object.id.name.to_string()).collect()
    };
    for order in [["sites/s", "sites/t"], ["sites/t", "sites/s"]] {
        let repository = Repository::new(&files);
        for folder in order {
            let expected = if folder == "sites/s" { &["a", "b", "c"][..] } else { &["a", "b"] };
            assert_eq!(names(&repository, folder), expected, "{folder} of {order:?}");
        }
    }
    // The clean case: no fault of one site is told of another.
    let twice = [("base/inner/a.yaml".to_owned(), config_map("a", "data: {k: v}\n"))];
    let files: BTreeMap<String, String> = files.into_iter().chain(twice).collect();
    let repository = Repository::new(&files);
    assert!(repository.render("sites/s", &Options::default()).site.is_some());
    assert!(repository.render("sites/t", &Options::default()).site.is_none());
}

#[test]
fn what_a_substitution_left_over_is_found_where_variables_and_patches_bring_it() {
    let thing = config_map("c", "spec: {a: \"${{ vars.cidr }}\", script: \"${{ vars.home }}\"}\n");
    let patch = "apiVersion: dpu-render.dev/v1alpha1\nkind: Patch\nmetadata: {name: p}\nspec:\n  target: {kind: Thing}\n  operations:\n  - {op: add, path: /spec/b, value: $NAME}\n  - {op: add, path: /spec/values, value: {c: $NAME}}\n";
    assert_eq!(
        refused(
            "  vars: {cidr: 'x ${POD_CIDR}', home: $HOME}\n",
            &[("sites/s/a.yaml", &thing), ("sites/s/p.yaml", patch)]
        ),
        [
            "unresolved-variable sites/s/p.yaml:7:37",
            "unresolved-variable sites/s/site.yaml:7:16",
            "unresolved-variable sites/s/p.yaml:8:46",
            "unresolved-variable sites/s/site.yaml:7:39",
        ]
    );
}

#[test]
fn a_destination_that_is_no_string_is_refused() {
    let annotated = |value: &str| {
        config_map("c", "")
            .replace("{name: c}", &format!("{{name: c, annotations: {{dpu-render.dev/destination: {value}}}}}"))
    };
    for value in ["5", "[clusters]", "true"] {
        assert_eq!(
            refused("", &[("sites/s/a.yaml", &annotated(value))]),
            ["wrong-type sites/s/a.yaml:3:63"],
            "{value}"
        );
    }
    assert!(rendered("", &[("sites/s/a.yaml", &annotated("null"))]).starts_with("# management\n"));
}

#[test]
fn a_layer_that_is_named_is_one_of_its_own_though_it_lies_inside_another() {
    let text = rendered(
        "  layers: [l, l/inner]\n",
        &[
            ("l/a.yaml", &config_map("c", "data: {k: outer}\n")),
            ("l/inner/a.yaml", &config_map("c", "data: {k: inner}\n")),
        ],
    );
    assert!(text.contains("k: inner"), "{text}");
}

#[test]
fn hosts_in_a_cluster_are_those_with_a_card_of_it() {
    let host = "  - name: w2\n    dpus: [{pci: \"0000:90:00\", cluster: a}]\n";
    let object = config_map("'${{ host.name }}'", "")
        .replace("}'}", "}', annotations: {dpu-render.dev/for-each: hosts, dpu-render.dev/destination: clusters}}");
    let text = rendered(
        &format!("{CLUSTERS}  inventory: inventory.yaml\n"),
        &[("sites/s/inventory.yaml", &format!("{INVENTORY}{host}")), ("sites/s/a.yaml", &object)],
    );
    let lines = text.lines().filter(|line| line.starts_with("# ") || line.starts_with("  name: "));
    assert_eq!(lines.collect::<Vec<_>>(), ["# a", "  name: w2", "# b", "  name: w1"]);
}

#[test]
fn what_reads_a_host_or_a_card_waits_for_it_wherever_it_stands() {
    let object = config_map("c", "data: {k: '${{ host.name }}'}\n");
    assert_eq!(refused(CLUSTERS, &[("sites/s/a.yaml", &object)]), ["expression-waits sites/s/a.yaml:4:12"]);
    let object = config_map("c", "data: {k: '${{ dpu.pci }}'}\n")
        .replace("{name: c}", "{name: c, annotations: {dpu-render.dev/destination: a}}");
    assert_eq!(refused(CLUSTERS, &[("sites/s/a.yaml", &object)]), ["expression-waits sites/s/a.yaml:4:12"]);
}

#[test]
fn a_variable_that_is_set_waits_for_nobody() {
    let object = config_map("c", "data: {num: '${{ vars.num }}'}\n");
    let options = Options { set: vec![("num".into(), "7".into())], ..Options::default() };
    let (text, faults) = outcome(&repository(CLUSTERS, &[("sites/s/a.yaml", &object)]), &options);
    assert!(text.is_some_and(|text| text.contains("num: 7")), "{faults:?}");
}

#[test]
fn a_template_that_a_later_layer_changes_stays_one() {
    let template =
        config_map("c", "data: {k: '${{ cluster.name }}'}\n").replace("{name: c}", "{name: 'c-${{ cluster.name }}'}");
    let annotated = template.replace("}'}\n", "}', annotations: {dpu-render.dev/for-each: clusters}}\n").replacen(
        "data: {k: '${{ cluster.name }}', annotations: {dpu-render.dev/for-each: clusters}}",
        "data: {k: base}",
        1,
    );
    let text =
        rendered(&format!("{CLUSTERS}  layers: [l]\n"), &[("l/a.yaml", &annotated), ("sites/s/a.yaml", &template)]);
    assert!(text.contains("k: a\n") && text.contains("k: b\n"), "{text}");
}

#[test]
fn a_patch_hits_the_namespace_that_it_names() {
    let object = |namespace: &str| config_map(&format!("c, namespace: {namespace}"), "data: {k: old}\n");
    let patch = "apiVersion: dpu-render.dev/v1alpha1\nkind: Patch\nmetadata: {name: p}\nspec:\n  target: {kind: Thing, namespace: one}\n  operations:\n  - {op: add, path: /data/k, value: new}\n";
    let text = rendered(
        "",
        &[("sites/s/a.yaml", &object("one")), ("sites/s/b.yaml", &object("two")), ("sites/s/p.yaml", patch)],
    );
    let values: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("  k: ")).collect();
    assert_eq!(values, ["new", "old"]);
}

#[test]
fn the_limits_themselves_are_allowed() {
    let layer = |declared: &str| {
        format!(
            "apiVersion: dpu-render.dev/v1alpha1\nkind: Layer\nmetadata: {{name: l}}\nspec:\n  declare: {{t: {declared}}}\n"
        )
    };
    let with = |value: &str, declared: &str| {
        let site = format!("  layers: [l]\n  vars: {{t: {value}}}\n");
        outcome(&repository(&site, &[("l/layer.yaml", &layer(declared))]), &Options::default()).1
    };
    assert_eq!(with("9", "{type: integer, minimum: 9, maximum: 9}"), [""; 0]);
    assert_eq!(with("10", "{type: integer, maximum: 9}").len(), 1);
    assert_eq!(with("8", "{type: integer, minimum: 9}").len(), 1);
    assert_eq!(with("abc", "{type: string, minimum: 3, maximum: 3}"), [""; 0]);

    // Built on one another as deep as may be, and one more.
    let layers = |count: usize| {
        let head = |at: usize| {
            let below = if at + 1 < count { format!("layers: [l{}]", at + 1) } else { "layers: []".to_owned() };
            format!("apiVersion: dpu-render.dev/v1alpha1\nkind: Layer\nmetadata: {{name: l{at}}}\nspec: {{{below}}}\n")
        };
        let heads: Vec<(String, String)> = (0..count).map(|at| (format!("l{at}/layer.yaml"), head(at))).collect();
        let heads: Vec<(&str, &str)> = heads.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
        outcome(&repository("  layers: [l0]\n", &heads), &Options::default()).1
    };
    assert_eq!(layers(256), [""; 0]);
    assert!(layers(257).iter().any(|fault| fault.starts_with("too-many-layers")));
}

#[test]
fn what_is_checked_once_per_run_is_checked_for_each_release() {
    let object = "apiVersion: svc.dpu.nvidia.com/v1alpha1\nkind: DPUServiceNAD\nmetadata: {name: nad, namespace: apps}\nspec: {resourceType: sf}\n";
    let mut files = repository("  layers: [l]\n", &[("l/a.yaml", object)]);
    files.insert("sites/t/site.yaml".into(), files["sites/s/site.yaml"].replace("v24.10", "v26.4"));
    let repository = Repository::new(&files);
    let unknown = |site: &str| {
        let faults = repository.render(site, &Options::default()).diagnostics;
        faults.iter().map(|fault| fault.code).collect::<Vec<_>>()
    };
    assert_eq!([unknown("sites/t"), unknown("sites/s"), unknown("sites/t")], [vec![], vec!["unknown-kind"], vec![]]);
}

#[test]
fn one_place_is_told_once_by_the_more_serious() {
    let fault = |make: fn(&'static str, Origin, String) -> Diagnostic, text: &str| {
        make("bfb-missing", Origin::NONE, text.to_owned())
    };
    let told = |mut rules: Vec<Diagnostic>, mut expansion: Vec<Diagnostic>| {
        once(&mut rules, &mut expansion);
        rules.into_iter().chain(expansion).map(|fault| fault.message).collect::<Vec<_>>()
    };
    let (error, warning) = (Diagnostic::error, Diagnostic::warning);
    assert_eq!(told(vec![fault(error, "rule")], vec![fault(error, "expansion")]), ["rule"]);
    assert_eq!(told(vec![fault(warning, "rule")], vec![fault(error, "expansion")]), ["expansion"]);
    assert_eq!(told(vec![fault(error, "rule")], vec![fault(warning, "expansion")]), ["rule"]);
}

#[test]
fn a_generated_object_does_not_take_the_place_of_another() {
    let object = |kind: &str| {
        let json = serde_json::json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": "x"}});
        Node::from_json(&json, Origin::NONE)
    };
    let added = |kind: &str, written: bool| {
        let mut objects = BTreeMap::from([(ObjectId::of(&object(kind)), object(kind))]);
        let by_hand = if written { objects.clone() } else { BTreeMap::new() };
        let mut faults = Vec::new();
        add(&mut objects, &by_hand, std::iter::once(object(kind)), &mut faults);
        faults.iter().map(|fault| fault.code).collect::<Vec<_>>()
    };
    assert_eq!(added("ConfigMap", false), ["name-collision"]);
    assert_eq!(added("ConfigMap", true), ["duplicate-object"]);
    assert_eq!(added("Namespace", true), [""; 0]);
}

#[test]
fn what_waits_for_a_card_in_what_is_made_for_a_cluster_is_refused() {
    let service = "apiVersion: svc.dpu.nvidia.com/v1alpha1\nkind: DPUServiceInterface\nmetadata: {name: web, namespace: apps}\nspec:\n  template:\n    spec:\n      template:\n        spec: {interfaceType: physical, physical: {interfaceName: '${{ dpu.pci }}'}}\n";
    let files: BTreeMap<String, String> = repository(CLUSTERS, &[("sites/s/a.yaml", service)])
        .into_iter()
        .map(|(path, text)| (path, text.replace("mode: operator", "mode: standalone")))
        .collect();
    let (text, faults) = outcome(&files, &Options::default());
    assert_eq!(text, None);
    let waiting: Vec<&String> = faults.iter().filter(|fault| fault.starts_with("expression-waits")).collect();
    assert_eq!(waiting, ["expression-waits sites/s/a.yaml:8:68"], "{faults:?}");
}

#[test]
fn labels_that_wait_for_a_card_are_matched_on_the_card() {
    let site = "  clusters: [{name: a}]\n  inventory: inventory.yaml\n  external: [{group: provisioning.dpu.nvidia.com, kind: DPUCluster, namespace: a, name: a}, {kind: Secret, namespace: argocd, name: a-a}]\n  argocd: {namespace: argocd}\n";
    let inventory = "apiVersion: dpu-render.dev/v1alpha1\nkind: Inventory\nmetadata: {name: s}\nspec:\n  hosts:\n  - name: h\n    dpus:\n    - {nodeName: one, cluster: a, vars: {port: p0}}\n    - {nodeName: two, cluster: a, vars: {port: p1}}\n";
    let interface = |name: &str, label: &str| {
        format!(
            "---\napiVersion: svc.dpu.nvidia.com/v1alpha1\nkind: DPUServiceInterface\nmetadata: {{name: {name}, namespace: net}}\nspec: {{template: {{spec: {{template: {{metadata: {{labels: {{uplink: \"{label}\"}}}}, spec: {{interfaceType: physical, physical: {{interfaceName: {name}}}}}}}}}}}}}\n"
        )
    };
    let chain = |label: &str| {
        format!(
            "---\napiVersion: svc.dpu.nvidia.com/v1alpha1\nkind: DPUServiceChain\nmetadata: {{name: c, namespace: net}}\nspec: {{template: {{spec: {{template: {{spec: {{switches: [{{ports: [{{serviceInterface: {{matchLabels: {{uplink: \"{label}\"}}}}}}, {{serviceInterface: {{matchLabels: {{uplink: other}}}}}}]}}]}}}}}}}}}}\n"
        )
    };
    let faults = |label: &str| {
        let objects = interface("p0", "${{ dpu.vars.port }}") + &interface("p1", "other") + &chain(label);
        let mut files = repository(site, &[("sites/s/inventory.yaml", inventory), ("sites/s/objects.yaml", &objects)]);
        let site = files["sites/s/site.yaml"].replace("mode: operator", "mode: standalone");
        files.insert("sites/s/site.yaml".to_owned(), site);
        outcome(&files, &Options::default()).1
    };
    assert_eq!(faults("${{ dpu.vars.port }}"), [""; 0]);
    assert_eq!(faults("p0"), ["chain-port-unmatched sites/s/objects.yaml:15:84"]);
}
