//! One test per rule: what it finds, where, and what it leaves alone.

mod addresses;
mod chains;
mod fleet;
mod interfaces;
mod names;
mod operator;
mod provisioning;
mod secrets;

use super::RULES;

#[test]
fn codes_are_unique_and_kebab_case() {
    let mut codes: Vec<&str> = RULES.iter().map(|rule| rule.code).collect();
    assert!(codes.iter().all(|code| code.chars().all(|c| c.is_ascii_lowercase() || c == '-')));
    codes.sort_unstable();
    codes.dedup();
    assert_eq!(codes.len(), RULES.len());
}
