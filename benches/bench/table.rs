//! The table of what was measured and what was to be reached. PURE.

use std::fmt::Write as _;

/// Lines in the order they were measured.
#[derive(Default)]
pub(crate) struct Table {
    lines: String,
    failed: bool,
}

impl Table {
    /// Adds a figure that has to stay at or below `most`.
    pub(crate) fn at_most(&mut self, what: &str, measured: f64, most: f64, unit: &str) {
        self.check(what, measured, "≤", most, unit, measured <= most);
    }

    /// Adds a figure that has to reach `least`.
    pub(crate) fn at_least(&mut self, what: &str, measured: f64, least: f64, unit: &str) {
        self.check(what, measured, "≥", least, unit, measured >= least);
    }

    /// Adds a figure that nothing is asked of.
    pub(crate) fn note(&mut self, what: &str, measured: &str) {
        let _ = writeln!(self.lines, "| {what} | {measured} | | |");
    }

    /// Adds a row that could not be measured.
    pub(crate) fn failed(&mut self, what: &str, why: &str) {
        self.failed = true;
        let _ = writeln!(self.lines, "| {what} | not measured: {} | | no |", why.replace('|', "/"));
    }

    /// Returns whether every row was measured.
    pub(crate) fn complete(&self) -> bool {
        !self.failed
    }

    /// Returns the table below a line that says how it was measured.
    pub(crate) fn text(&self, preamble: &str) -> String {
        format!("{preamble}\n| what | measured | target | reached |\n| --- | --- | --- | --- |\n{}", self.lines)
    }

    fn check(&mut self, what: &str, measured: f64, sign: &str, bound: f64, unit: &str, reached: bool) {
        let unit = if unit.is_empty() { String::new() } else { format!(" {unit}") };
        let verdict = if reached { "yes" } else { "**no**" };
        let _ = writeln!(self.lines, "| {what} | {}{unit} | {sign} {bound}{unit} | {verdict} |", figure(measured));
    }
}

/// Returns a figure with three digits that count.
pub(crate) fn figure(value: f64) -> String {
    let digits = if value >= 100.0 || value == 0.0 {
        0
    } else if value >= 10.0 {
        1
    } else if value >= 1.0 {
        2
    } else {
        3
    };
    format!("{value:.digits$}")
}

#[cfg(test)]
mod tests {
    use super::Table;

    #[test]
    fn a_missed_target_is_told_apart_from_a_row_that_failed() {
        let mut table = Table::default();
        table.at_most("wall", 0.25, 0.2, "s");
        assert!(table.complete());
        assert!(table.text("").ends_with("| wall | 0.250 s | ≤ 0.2 s | **no** |\n"));
        table.failed("row", "exit status: 2");
        assert!(!table.complete());
    }
}
