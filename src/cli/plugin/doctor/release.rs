//! What the releases of Argo CD do differently with a plugin. PURE.

use std::fmt;
use std::str::FromStr;

/// A release, by its first two numbers.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Release(u32, u32);

impl Release {
    /// What the operator's chart of DPF v24.10 brings.
    pub(super) const OF_DPF: Self = Self(2, 12);

    /// Whether the annotation can narrow what is handed over.
    pub(super) fn narrows(self) -> bool {
        self >= Self(2, 14)
    }

    /// How often the repository is packed for one render of a plugin that is named and has no discovery.
    pub(super) fn copies(self) -> u64 {
        if self >= Self(2, 13) { 1 } else { 2 }
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{}.{}", self.0, self.1)
    }
}

impl FromStr for Release {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.strip_prefix('v').unwrap_or(text).split('.').map(str::parse::<u32>);
        match (parts.next(), parts.next()) {
            (Some(Ok(major)), None) => Ok(Self(major, 0)),
            (Some(Ok(major)), Some(Ok(minor))) => Ok(Self(major, minor)),
            _ => Err("a release of Argo CD is written as `v2.12` or `v3.2.1`".to_owned()),
        }
        .and_then(|release| {
            if release < Self(2, 8) {
                return Err(format!("Argo CD {release} calls no plugins in sidecars as ours is; v2.8 does"));
            }
            Ok(release)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_differ() {
        let facts = |text: &str| text.parse::<Release>().map(|release| (release.narrows(), release.copies()));
        assert_eq!(facts("v2.12"), Ok((false, 2)));
        assert_eq!(facts("2.13.4"), Ok((false, 1)));
        assert_eq!(facts("v2.14"), Ok((true, 1)));
        assert_eq!(facts("3"), Ok((true, 1)));
        for wrong in ["", "latest", "v3.x", "2.7", "-1.2"] {
            assert!(facts(wrong).is_err(), "{wrong}");
        }
    }
}
