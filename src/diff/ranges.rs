//! Many names as few words: `site-[000-099]`. PURE.

use std::collections::BTreeSet;

/// The names as ranges of those that differ in their last number only, in order; of more than `most` ranges, how many names
/// are left out.
#[must_use]
pub fn listed(names: &BTreeSet<&str>, most: usize) -> String {
    let mut ranges: Vec<(String, usize)> = Vec::new();
    let mut open: Vec<(&str, &str)> = Vec::new();
    let mut close = |open: &mut Vec<(&str, &str)>| {
        match &**open {
            [] => {}
            [(stem, first), .., (_, last)] if open.len() > 2 => {
                ranges.push((format!("{stem}[{first}-{last}]"), open.len()))
            }
            few => ranges.extend(few.iter().map(|(stem, number)| (format!("{stem}{number}"), 1))),
        }
        open.clear();
    };
    let mut split: Vec<(&str, &str)> = names.iter().map(|name| stem(name)).collect();
    split.sort_by_key(|(stem, number)| (*stem, number.len(), *number));
    for (stem, number) in split {
        let follows = open.last().is_some_and(|(before, last)| *before == stem && next(last, number));
        if !follows {
            close(&mut open);
        }
        open.push((stem, number));
    }
    close(&mut open);
    let left: usize = ranges.iter().skip(most).map(|(_, count)| count).sum();
    let mut words: Vec<String> = ranges.into_iter().take(most).map(|(range, _)| range).collect();
    if left > 0 {
        words.push(format!("{left} more"));
    }
    words.join(", ")
}

/// A name before its last number, and that number.
fn stem(name: &str) -> (&str, &str) {
    let digits = name.bytes().rev().take_while(u8::is_ascii_digit).count().min(9);
    name.split_at(name.len() - digits)
}

/// Whether `number` comes right after `last`, written as long or as counting goes on.
fn next(last: &str, number: &str) -> bool {
    match (last.parse::<u32>(), number.parse::<u32>()) {
        (Ok(one), Ok(two)) => two == one + 1 && (last.len() == number.len() || !number.starts_with('0')),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_count_are_ranges() {
        for (names, most, expected) in [
            (&["s-000", "s-001", "s-002", "s-004"][..], 9, "s-[000-002], s-004"),
            (&["a1", "a2"], 9, "a1, a2"),
            (&["a8", "a9", "a10", "b"], 9, "a[8-10], b"),
            (&["lab", "lab1", "z"], 2, "lab, lab1, 1 more"),
            (&["x-1", "x-2", "x-3", "y"], 1, "x-[1-3], 1 more"),
            (&[], 1, ""),
        ] {
            assert_eq!(listed(&names.iter().copied().collect(), most), expected);
        }
    }
}
