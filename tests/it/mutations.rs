//! The sites of this repository, spoiled at random: whatever is written, the program answers, twice the same, and what it
//! renders is whole.

use std::collections::BTreeMap;
use std::path::Path;

use dpu_render::render::{Options, Repository};
use dpu_render::source::SourceTree;
use dpu_render::yaml::read;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use crate::golden::tree;

type Files = BTreeMap<String, String>;

fn files() -> Files {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let below = |folder: &str| {
        let files = tree(&root.join(folder)).into_iter();
        files.map(|(path, text)| (format!("{folder}/{path}"), text)).collect::<Vec<_>>()
    };
    ["base", "overlays", "sites/lab1", "sites/lab2"].into_iter().flat_map(below).collect()
}

/// What takes the place of a value.
const VALUES: [&str; 24] = [
    "",
    "null",
    "~",
    "[]",
    "{}",
    "[x]",
    "{a: b}",
    "on",
    "0777",
    "-1",
    "9223372036854775808",
    "1e400",
    "\"${{\"",
    "\"${{ vars.x }}\"",
    "\"${{ cluster.name }}\"",
    "\"${{ dpu.vars | to_yaml }}\"",
    "\"${{ 'a' * 9 }}\"",
    "$X_Y",
    "ü€🚀",
    "\"\\u202e\\0\"",
    "!!int x",
    "*a",
    "&a {<<: *a}",
    "::/0",
];

/// One way to spoil a line.
#[derive(Clone, Debug)]
enum Change {
    Delete,
    Repeat,
    Swap(Index),
    Value(&'static str),
    Key(&'static str),
    Insert(&'static str, Index),
    Indent(usize),
    Nest(usize),
}

fn changes() -> impl Strategy<Value = Change> {
    prop_oneof![
        Just(Change::Delete),
        Just(Change::Repeat),
        any::<Index>().prop_map(Change::Swap),
        select(&VALUES[..]).prop_map(Change::Value),
        select(&["${{ vars.k }}", "x", "\"\"", "ü", "<<", "$patch"][..]).prop_map(Change::Key),
        (select(&["${{", "}}", "🚀", "\u{85}", "\t", ": ", " #", "\"", "\r"][..]), any::<Index>())
            .prop_map(|(text, at)| Change::Insert(text, at)),
        (0..5_usize).prop_map(Change::Indent),
        (1..90_usize).prop_map(Change::Nest),
    ]
}

fn spoil(text: &str, line: &Index, change: &Change) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    if lines.is_empty() {
        return text.to_owned();
    }
    let at = line.index(lines.len());
    let key = lines[at].split_once(':').map(|(key, _)| key.to_owned());
    match change {
        Change::Delete => drop(lines.remove(at)),
        Change::Repeat => lines.insert(at, lines[at].clone()),
        Change::Swap(other) => {
            let other = other.index(lines.len());
            lines.swap(at, other);
        }
        Change::Value(value) => lines[at] = format!("{}: {value}", key.unwrap_or_else(|| lines[at].clone())),
        Change::Key(key) => {
            let indent = lines[at].len() - lines[at].trim_start().len();
            let rest = lines[at].split_once(':').map_or("", |(_, rest)| rest);
            lines[at] = format!("{}{key}:{rest}", " ".repeat(indent));
        }
        Change::Insert(text, place) => {
            let places: Vec<usize> = lines[at].char_indices().map(|(at, _)| at).chain([lines[at].len()]).collect();
            let place = places[place.index(places.len())];
            lines[at].insert_str(place, text);
        }
        Change::Indent(by) => lines[at].insert_str(0, &" ".repeat(*by)),
        Change::Nest(depth) => {
            lines[at] = format!("{}: {}x{}", key.unwrap_or_default(), "[".repeat(*depth), "]".repeat(*depth))
        }
    }
    lines.join("\n") + "\n"
}

/// What a site becomes: its texts by place, and its faults.
fn outcome(files: &Files, site: &str) -> (Option<Vec<(String, String)>>, Vec<String>) {
    let repository = Repository::new(files);
    let outcome = repository.render(site, &Options { values: true, ..Options::default() });
    let faults =
        outcome.diagnostics.iter().map(|fault| dpu_render::diagnostic::render(fault, repository.tree(), false));
    let faults = faults.collect();
    let texts = outcome.site.map(|site| {
        let mut texts = Vec::new();
        for destination in site.destinations {
            let objects = destination.objects.into_iter().map(|object| (object.id.to_string(), object.text));
            let values = destination.values.into_iter().map(|values| (values.name, values.text));
            texts.extend(objects.chain(values).map(|(name, text)| (name, text.to_string())));
        }
        texts
    });
    (texts, faults)
}

fn re_reads(text: &str) -> bool {
    let memory = Files::from([("f".to_owned(), text.to_owned())]);
    let tree = SourceTree::new(&memory);
    let (file, source) = tree.load("f").unwrap();
    let mut faults = Vec::new();
    read::documents(&source, file, &mut faults).len() == 1 && faults.is_empty()
}

proptest! {
    // Few: a case renders a whole site twice. More are run by hand, with PROPTEST_CASES.
    #![proptest_config(ProptestConfig { failure_persistence: None, max_shrink_iters: 200, ..ProptestConfig::with_cases(
        std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(40)) })]

    #[test]
    fn a_spoiled_site_is_answered_twice_the_same(
        second in any::<bool>(),
        spoilt in vec((any::<Index>(), any::<Index>(), changes()), 1..4),
    ) {
        let mut files = files();
        let site = if second { "sites/lab2" } else { "sites/lab1" };
        for (file, line, change) in &spoilt {
            let paths: Vec<String> = files.keys().cloned().collect();
            let path = &paths[file.index(paths.len())];
            let text = spoil(&files[path], line, change);
            files.insert(path.clone(), text);
        }
        let (texts, faults) = outcome(&files, site);
        prop_assert_eq!(&(texts.clone(), faults.clone()), &outcome(&files, site));
        prop_assert!(texts.is_some() || !faults.is_empty(), "refused without a word");
        for (name, text) in texts.into_iter().flatten() {
            prop_assert!(re_reads(&text), "{name} does not read back:\n{text}");
            for left in ["${{", "dpu-render.dev/destination", "dpu-render.dev/for-each", "dpu-render.dev/v1alpha1"] {
                prop_assert!(!text.contains(left), "{name} holds {left}:\n{text}");
            }
        }
    }
}
