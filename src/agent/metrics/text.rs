//! The text format of Prometheus, version 0.0.4. PURE.
//!
//! In: families, each with its samples. Out: text. A family without a sample is left out; a value of a label may be any text.

use std::fmt::{Display, Write as _};

/// `Content-Type` of the text.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What a sample means.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// Labels of a sample, in the order in which they are written.
pub(super) type Labels<'l> = &'l [(&'static str, &'l str)];

/// The samples of one family.
pub(super) struct Samples {
    name: &'static str,
    text: String,
}

impl Samples {
    pub(super) fn put(&mut self, labels: Labels<'_>, value: impl Display) {
        self.put_part("", labels, value);
    }

    /// A part of a histogram: `_bucket`, `_sum` or `_count`.
    pub(super) fn put_part(&mut self, part: &str, labels: Labels<'_>, value: impl Display) {
        self.text.push_str(self.name);
        self.text.push_str(part);
        for (index, (label, value)) in labels.iter().enumerate() {
            self.text.push(if index == 0 { '{' } else { ',' });
            self.text.push_str(label);
            self.text.push_str("=\"");
            escape(&mut self.text, value);
            self.text.push('"');
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
        // A String takes whatever is written to it.
        let _ = writeln!(self.text, " {value}");
    }
}

fn escape(out: &mut String, value: &str) {
    for letter in value.chars() {
        match letter {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            other => out.push(other),
        }
    }
}

/// Adds a family: what it is, and then its samples.
pub(super) fn family(out: &mut String, name: &'static str, kind: Kind, help: &str, put: impl FnOnce(&mut Samples)) {
    let mut samples = Samples { name, text: String::new() };
    put(&mut samples);
    if !samples.text.is_empty() {
        let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {}", kind.name());
        out.push_str(&samples.text);
    }
}
