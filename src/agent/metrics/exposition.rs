//! A strict reader of the text format of Prometheus 0.0.4, for tests.
//!
//! In: a page. Out: its samples by name and labels, or a panic that says what the format forbids.

use std::collections::{BTreeMap, BTreeSet};

/// By `name{label="value",…}`, the labels sorted and unescaped.
pub(crate) type Samples = BTreeMap<String, f64>;

fn is_name(text: &str) -> bool {
    let mut letters = text.chars();
    letters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && letters.all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
}

/// The labels at the front, and what follows them.
fn labels(mut text: &str) -> (BTreeMap<String, String>, &str) {
    let mut labels = BTreeMap::new();
    loop {
        let (name, rest) = text.split_once("=\"").unwrap_or_else(|| panic!("no label: {text}"));
        assert!(is_name(name), "a label is called `{name}`");
        let (mut value, mut letters) = (String::new(), rest.char_indices());
        let end = loop {
            match letters.next().unwrap_or_else(|| panic!("no end: {text}")) {
                (at, '"') => break at,
                (_, '\\') => value.push(match letters.next() {
                    Some((_, 'n')) => '\n',
                    Some((_, letter @ ('\\' | '"'))) => letter,
                    other => panic!("escaped {other:?}: {text}"),
                }),
                (_, letter) => value.push(letter),
            }
        };
        assert!(labels.insert(name.to_owned(), value).is_none(), "`{name}` twice: {text}");
        match rest[end + 1..].split_at_checked(1) {
            Some((",", more)) => text = more,
            Some(("}", after)) => return (labels, after),
            other => panic!("after a label: {other:?}"),
        }
    }
}

/// Reads a page.
pub(crate) fn read(page: &str) -> Samples {
    assert!(page.is_empty() || page.ends_with('\n'));
    let (mut samples, mut families) = (Samples::new(), BTreeSet::new());
    let (mut helped, mut family) = (String::new(), (String::new(), String::new()));
    for line in page.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            helped = help.split_once(' ').expect("a help has a text").0.to_owned();
            continue;
        }
        if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').expect("a type has a name");
            assert_eq!(name, helped, "HELP comes before TYPE");
            assert!(is_name(name) && ["counter", "gauge", "histogram"].contains(&kind), "{line}");
            assert!(families.insert(name.to_owned()), "`{name}` is in two places");
            assert_eq!(name.ends_with("_total"), kind == "counter", "{line}");
            family = (name.to_owned(), kind.to_owned());
            continue;
        }
        let at = line.find(['{', ' ']).unwrap_or_else(|| panic!("no sample: {line}"));
        let (name, rest) = line.split_at(at);
        let part = name.strip_prefix(&family.0).unwrap_or_else(|| panic!("`{name}` among {}", family.0));
        let parts: &[&str] = if family.1 == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
        assert!(parts.contains(&part), "`{name}` of a {}", family.1);
        let (labels, value) = rest.strip_prefix('{').map_or_else(|| (BTreeMap::new(), rest), labels);
        let value: f64 = value.strip_prefix(' ').expect("a blank before the value").parse().expect("a number");
        assert!(family.1 == "gauge" || value >= 0.0, "{line}");
        let labels: Vec<String> = labels.iter().map(|(label, value)| format!("{label}={value:?}")).collect();
        let series = if labels.is_empty() { name.to_owned() } else { format!("{name}{{{}}}", labels.join(",")) };
        assert!(samples.insert(series, value).is_none(), "twice: {line}");
    }
    samples
}
