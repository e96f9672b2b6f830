//! Words that every form of a report has in common. PURE.

use std::collections::{BTreeMap, BTreeSet};

use super::{Entry, Report, Shown, ShownEdit, ShownImpact, Side, Variant};
use crate::diff::change::{ChangeKind, Whole};
use crate::diff::ranges;
use crate::diff::secret::HIDDEN;
use crate::node::Node;
use crate::source::Origin;
use crate::yaml::write;

/// `1 object`, `1,000 objects`.
pub(super) fn count(count: usize, noun: &str) -> String {
    let digits = count.to_string();
    let mut grouped = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    format!("{grouped} {noun}{}", if count == 1 { "" } else { "s" })
}

/// One line: how much of what.
pub(super) fn totals(report: &Report) -> String {
    let totals = report.totals();
    let kinds = [ChangeKind::Removed, ChangeKind::Renamed, ChangeKind::Changed, ChangeKind::Added];
    let of = kinds
        .iter()
        .filter(|kind| totals.objects[**kind as usize] > 0)
        .map(|kind| format!("{} {}", count(totals.objects[*kind as usize], "object"), kind.word()));
    let mut text = of.collect::<Vec<_>>().join(", ");
    if totals.sites > 0 {
        text.push_str(&format!(" in {} of {}", count(totals.destinations, "destination"), count(totals.sites, "site")));
    }
    if text.is_empty() {
        let all = report.without_answer.is_empty();
        text.push_str(if all { "no difference" } else { "no difference in what could be compared" });
    }
    text
}

/// What is not shown, and how often; nothing where all is.
pub(super) fn hidden(report: &Report) -> Option<String> {
    let words: Vec<String> =
        report.hidden.iter().map(|(noise, times)| format!("{} ({})", noise.words(), count(*times, "place"))).collect();
    (!words.is_empty()).then(|| format!("not shown: {}", words.join(", ")))
}

/// Sentences about names that changed, and about sites without an answer.
pub(super) fn remarks(report: &Report) -> Vec<String> {
    let renamed = report.renamed.iter().map(|renamed| match &renamed.cluster {
        Some(cluster) => {
            format!("in site `{}`, the DPU cluster `{}` is now called `{cluster}`", renamed.site, renamed.was)
        }
        None => format!("the site `{}` is now called `{}`", renamed.was, renamed.site),
    });
    let without = report.without_answer.iter().map(|one| {
        let errors = count(one.errors, "error");
        match one.side {
            Side::Head => format!("`{}` is not compared: the head has {errors}", one.site),
            Side::Base => format!(
                "`{}` is not compared: the base has {errors}, and what changes in its clusters is not known",
                one.site
            ),
        }
    });
    renamed.chain(without).collect()
}

/// What an entry is about: `ConfigMap kube-system/ovn-config`, `site lab1`.
pub(super) fn subject(entry: &Entry, variant: &Variant) -> String {
    let names: BTreeSet<&str> = variant.names.iter().map(String::as_str).collect();
    match entry.whole {
        Whole::Site => "whole site".to_owned(),
        Whole::Cluster => "whole DPU cluster".to_owned(),
        Whole::Object => {
            let was: BTreeSet<&str> = variant.was.iter().map(String::as_str).collect();
            let was = if was.is_empty() { String::new() } else { format!("{} → ", ranges::listed(&was, 4)) };
            format!("{} {was}{}", entry.object, ranges::listed(&names, 4))
        }
    }
}

/// How many cards an entry touches, how many at a time, and their names; nothing where none is named.
pub(super) fn cards(impact: &ShownImpact) -> Option<(String, String)> {
    const MOST_SITES: usize = 4;
    let listed = |names: &BTreeSet<String>| ranges::listed(&names.iter().map(String::as_str).collect(), 12);
    let names = match impact.dpus.len() {
        0 | 1 => impact.dpus.values().map(listed).collect(),
        sites => {
            let told = impact.dpus.iter().take(MOST_SITES).map(|(site, names)| format!("{site}: {}", listed(names)));
            let more = sites.saturating_sub(MOST_SITES);
            let more = (more > 0).then(|| count(more, "more site"));
            told.chain(more).collect::<Vec<_>>().join("; ")
        }
    };
    let cards: usize = impact.dpus.values().map(BTreeSet::len).sum();
    let at_a_time: Vec<&str> = impact.at_a_time.iter().map(String::as_str).collect();
    let pace = if at_a_time.is_empty() { String::new() } else { format!(", {} at a time", at_a_time.join(" or ")) };
    (cards > 0).then(|| (format!("{}{pace}", count(cards, "card")), names))
}

/// Kinds of an entry about many, and how many of each.
pub(super) fn kinds(entry: &Entry) -> String {
    let kinds: Vec<String> = entry.kinds.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    kinds.join(", ")
}

/// Where a variant happens; sites with the same destinations are told together, and many with others each in one line.
pub(super) fn places(variant: &Variant) -> Vec<String> {
    const MOST: usize = 6;
    let mut alike: BTreeMap<&BTreeSet<String>, BTreeSet<&str>> = BTreeMap::new();
    for (site, destinations) in &variant.places {
        alike.entry(destinations).or_default().insert(site);
    }
    if alike.len() > MOST {
        let sites: BTreeSet<&str> = variant.places.keys().map(String::as_str).collect();
        let all: usize = variant.places.values().map(BTreeSet::len).sum();
        return vec![format!("{}: {} in all", ranges::listed(&sites, 8), count(all, "destination"))];
    }
    let mut alike: Vec<_> = alike.into_iter().collect();
    alike.sort_by_key(|(destinations, sites)| (std::cmp::Reverse(destinations.len() * sites.len()), *destinations));
    let line = |(destinations, sites): (&BTreeSet<String>, BTreeSet<&str>)| {
        let names: BTreeSet<&str> = destinations.iter().map(String::as_str).collect();
        format!("{}: {}", ranges::listed(&sites, 8), ranges::listed(&names, 12))
    };
    alike.into_iter().map(line).collect()
}

/// A value on one line, or absent where it needs several.
pub(super) fn inline(shown: &Shown) -> Option<String> {
    const MOST: usize = 160;
    let text = match shown {
        Shown::Hidden => HIDDEN.to_owned(),
        Shown::Value(serde_json::Value::String(text)) if is_plain(text) => text.clone(),
        Shown::Value(serde_json::Value::String(text)) if text.trim_end_matches('\n').contains('\n') => return None,
        Shown::Value(value) => value.to_string(),
    };
    (text.chars().count() <= MOST).then_some(text)
}

/// A text that is told apart from everything else without quotes.
fn is_plain(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with(' ')
        && !text.ends_with(' ')
        && !text.chars().any(char::is_control)
        && !text.starts_with(['{', '[', '"'])
        && serde_json::from_str::<serde_json::Value>(text).is_err()
}

/// A value as YAML.
pub(super) fn yaml(shown: &Shown) -> String {
    let mut text = String::new();
    match shown {
        Shown::Hidden => text.push_str(HIDDEN),
        // What is written in lines is read in lines.
        Shown::Value(serde_json::Value::String(string)) => text.push_str(string),
        Shown::Value(value) => write::yaml(&Node::from_json(value, Origin::NONE), &mut text),
    }
    text
}

/// The edits of a variant that are to be read.
pub(super) fn told(variant: &Variant) -> impl Iterator<Item = &ShownEdit> {
    variant.edits.iter().filter(|edit| edit.noise.is_none())
}
