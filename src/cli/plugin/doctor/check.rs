//! What was examined and what came of it. PURE.
//!
//! In: what the examinations say. Out: lines for people, one per check with what to do below it, or lines of JSON.

use std::fmt::Write as _;

use serde_json::json;

/// How it stands.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Level {
    /// As it has to be.
    Ok,
    /// It works, at a price or not for ever.
    Warning,
    /// It does not work, or not as people think.
    Error,
}

impl Level {
    fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// One thing that was examined.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Check {
    pub(super) level: Level,
    /// What kind of thing: `paths`, `tar`, `socket` …
    pub(super) name: &'static str,
    /// Which one; empty where there is one only.
    pub(super) about: String,
    pub(super) message: String,
    /// What to change, each a line.
    pub(super) fixes: Vec<String>,
}

impl Check {
    fn new(level: Level, name: &'static str, about: &str, message: String) -> Self {
        Self { level, name, about: about.to_owned(), message, fixes: Vec::new() }
    }

    pub(super) fn ok(name: &'static str, about: &str, message: impl Into<String>) -> Self {
        Self::new(Level::Ok, name, about, message.into())
    }

    pub(super) fn warning(name: &'static str, about: &str, message: impl Into<String>) -> Self {
        Self::new(Level::Warning, name, about, message.into())
    }

    pub(super) fn error(name: &'static str, about: &str, message: impl Into<String>) -> Self {
        Self::new(Level::Error, name, about, message.into())
    }

    pub(super) fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fixes.push(fix.into());
        self
    }
}

/// For people.
pub(super) fn text(checks: &[Check]) -> String {
    let mut text = String::new();
    for check in checks {
        let about = if check.about.is_empty() { String::new() } else { format!(" {}", check.about) };
        let _ = writeln!(text, "{:<8} {}{about}: {}", check.level.name(), check.name, one_line(&check.message));
        for fix in &check.fixes {
            let _ = writeln!(text, "         = {}", one_line(fix));
        }
    }
    text
}

/// For programs: a line per check.
pub(super) fn json(checks: &[Check]) -> String {
    let line = |check: &Check| {
        let Check { level, name, about, message, fixes } = check;
        format!(
            "{}\n",
            json!({"level": level.name(), "check": name, "about": about, "message": message, "fixes": fixes})
        )
    };
    checks.iter().map(line).collect()
}

/// `2 errors, 1 warning in 14 checks`.
pub(super) fn count(checks: &[Check]) -> String {
    let of = |level| checks.iter().filter(|check| check.level == level).count();
    let number = |count: usize, noun: &str| format!("{count} {noun}{}", if count == 1 { "" } else { "s" });
    let all = number(checks.len(), "check");
    match (of(Level::Error), of(Level::Warning)) {
        (0, 0) => format!("nothing to change in {all}"),
        (errors, 0) => format!("{} in {all}", number(errors, "error")),
        (0, warnings) => format!("{} in {all}", number(warnings, "warning")),
        (errors, warnings) => format!("{}, {} in {all}", number(errors, "error"), number(warnings, "warning")),
    }
}

/// `12.3 MiB`.
pub(super) fn size(bytes: u64) -> String {
    const UNITS: [&str; 3] = ["KiB", "MiB", "GiB"];
    if bytes < 1 << 10 {
        return format!("{bytes} bytes");
    }
    let unit = UNITS.iter().enumerate().rev().find(|(index, _)| bytes >> (10 * (index + 1)) > 0).unwrap_or((0, &"KiB"));
    let shift = 10 * (unit.0 + 1);
    format!("{}.{} {}", bytes >> shift, ((bytes >> (shift - 10)) % 1024) * 10 / 1024, unit.1)
}

/// The first few of a list, and how many there are beside them.
pub(super) fn few<'t>(all: impl IntoIterator<Item = &'t str>) -> String {
    const MOST: usize = 5;
    let all: Vec<String> = all.into_iter().map(|one| format!("`{one}`")).collect();
    match all.len().checked_sub(MOST) {
        None | Some(0) => all.join(", "),
        Some(more) => format!("{} and {more} more", all[..MOST].join(", ")),
    }
}

fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_told_in_their_unit() {
        for (bytes, text) in
            [(0, "0 bytes"), (1023, "1023 bytes"), (1536, "1.5 KiB"), (3 << 20, "3.0 MiB"), (5 << 40, "5120.0 GiB")]
        {
            assert_eq!(size(bytes), text);
        }
    }
}
