//! A report as JSON, of the schema beside this file. PURE.
//!
//! In: a report. Out: one object on one line. No place is left out: those that the other forms count as noise are
//! here, without their values.

use serde_json::{Value, json};

use super::{Entry, Report, Shown, ShownEdit, Variant};
use crate::diff::change::{Form, Noise, Whole};
use crate::diff::impact::gate::Held;

/// The JSON Schema (draft 2020-12) that every report keeps to.
pub const SCHEMA: &str = include_str!("schema.json");

/// The report as one line of JSON.
#[must_use]
pub fn json(report: &Report) -> String {
    let totals = report.totals();
    let [removed, renamed, changed, added] = totals.objects;
    let hidden = report.hidden.iter().map(|(reason, places)| (word(*reason).to_owned(), Value::from(*places)));
    let names = report.renamed.iter().map(|one| json!({"site": one.site, "was": one.was, "cluster": one.cluster}));
    let without = report
        .without_answer
        .iter()
        .map(|one| json!({"site": one.site, "side": one.side.word(), "errors": one.errors}));
    let value = json!({
        "version": 1,
        "base": report.base,
        "head": report.head,
        "sites": {"compared": report.sites, "unaffected": report.unaffected, "differ": totals.sites},
        "destinations": totals.destinations,
        "objects": {"removed": removed, "renamed": renamed, "changed": changed, "added": added},
        "entries": report.entries.iter().map(entry).collect::<Vec<_>>(),
        "renamed": names.collect::<Vec<_>>(),
        "noise": hidden.collect::<serde_json::Map<_, _>>(),
        "withoutAnswer": without.collect::<Vec<_>>(),
        "rollouts": report.rollouts.iter().map(|(of, stages)| json!({"of": of, "stages": stages})).collect::<Vec<_>>(),
        "held": report.held.iter().map(held).collect::<Vec<_>>(),
    });
    format!("{value}\n")
}

fn entry(entry: &Entry) -> Value {
    let whole = match entry.whole {
        Whole::Site => "site",
        Whole::Cluster => "cluster",
        Whole::Object => "object",
    };
    let impact = entry.impact.as_ref().map(|impact| {
        json!({
            "class": impact.class.word(),
            "rule": impact.rule,
            "why": impact.why,
            "cards": impact.dpus,
            "of": impact.of,
            "atATime": impact.at_a_time,
        })
    });
    json!({
        "change": entry.kind.word(),
        "whole": whole,
        "group": entry.group,
        "kind": entry.object,
        "kinds": entry.kinds,
        "objects": entry.objects(),
        "impact": impact,
        "variants": entry.variants.iter().map(variant).collect::<Vec<_>>(),
    })
}

fn held(held: &Held) -> Value {
    json!({
        "site": held.site,
        "word": held.word,
        "kind": held.kind,
        "objects": held.objects,
        "cards": held.dpus,
        "line": held.line,
        "inBase": held.in_base,
    })
}

fn variant(variant: &Variant) -> Value {
    json!({
        "names": variant.names,
        "was": variant.was,
        "objects": variant.objects,
        "places": variant.places,
        "at": variant.at,
        "moreAt": variant.more_at,
        "yaml": variant.yaml,
        "edits": variant.edits.iter().map(edit).collect::<Vec<_>>(),
    })
}

fn edit(edit: &ShownEdit) -> Value {
    let side = |side: &Option<Shown>| match side {
        None => Value::Null,
        Some(Shown::Hidden) => json!({"hidden": true}),
        Some(Shown::Value(value)) => json!({"value": value}),
    };
    let form = edit.form.map(|form| match form {
        Form::Json => "json",
        Form::Yaml => "yaml",
        Form::Lines => "lines",
    });
    json!({
        "path": edit.path,
        "change": edit.kind.word(),
        "before": side(&edit.before),
        "after": side(&edit.after),
        "order": edit.reordered,
        "inside": form,
        "noise": edit.noise.map(word),
    })
}

fn word(noise: Noise) -> &'static str {
    match noise {
        Noise::Digest => "digest",
        Noise::Version => "version",
        Noise::NumberForm => "number-form",
        Noise::Layout => "layout",
        Noise::Position => "position",
    }
}
