//! A report as Markdown. PURE.
use super::Report;
/// x
#[must_use]
pub fn markdown(_report: &Report, _most: usize) -> String {
    String::new()
}
