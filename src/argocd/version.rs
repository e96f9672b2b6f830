//! Which Argo CD a site has, and what it can do. PURE.
//!
//! In: `v2.12` as written, or the DPF release. Out: a [`Version`] that is asked for abilities, never compared elsewhere.

use std::fmt;

use serde_json::{Value, json};

use crate::site::Release;

/// A minor version of Argo CD.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Version {
    major: u16,
    minor: u16,
}

impl Version {
    /// Reads `v2.12` or `v2.12.4`; nothing for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.strip_prefix('v')?.split('.').map(|part| {
            let digits = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
            if digits { part.parse::<u16>().ok() } else { None }
        });
        let (major, minor) = (parts.next()??, parts.next()??);
        let patch = parts.next();
        (patch != Some(None) && parts.next().is_none()).then_some(Self { major, minor })
    }

    /// What comes with a DPF release: chart argo-cd 7.6.8 in v24.10.0-rc.6, Argo CD v3 from v26.4 on (release notes). Of the
    /// releases between nothing is known, and what the older one understands the newer one does too.
    #[must_use]
    pub fn of_release(release: Release) -> Self {
        if release < Release::V26_4 { Self { major: 2, minor: 12 } } else { Self { major: 3, minor: 0 } }
    }

    fn since(self, major: u16, minor: u16) -> bool {
        self >= Self { major, minor }
    }

    /// Whether `Prune=confirm` and `Delete=confirm` are known; before they are passed over without a word.
    #[must_use]
    pub fn confirms(self) -> bool {
        self.since(2, 14)
    }

    /// `syncPolicy.retry` of Applications of ours. Without one, Argo CD gives up after five tries in under three minutes, for
    /// good: it tries the same commit no second time.
    ///
    /// Before 3.2 a retry stays with the commit that it began with, so it must end, or a commit that mends things waits for
    /// ever: ten tries are half an hour.
    #[must_use]
    pub fn retry(self) -> Value {
        let backoff = json!({"duration": "10s", "factor": 2, "maxDuration": "5m"});
        if self.since(3, 2) {
            json!({"limit": -1, "refresh": true, "backoff": backoff})
        } else {
            json!({"limit": 10, "backoff": backoff})
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{}.{}", self.major, self.minor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_argo_cd_writes_them() {
        for (text, version) in
            [("v2.12", Some("v2.12")), ("v3.2.11", Some("v3.2")), ("2.12", None), ("v2", None), ("v2.x", None)]
        {
            assert_eq!(Version::parse(text).map(|version| version.to_string()).as_deref(), version, "{text}");
        }
        for bad in ["v", "v2.", "v2.12.", "v2.12.1.1", "v2.12-rc1", "v+2.1", "v2.99999"] {
            assert_eq!(Version::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn ten_is_more_than_nine() {
        let can = |text: &str| {
            let version = Version::parse(text).unwrap();
            (version.confirms(), version.retry()["refresh"] == true)
        };
        assert_eq!(can("v2.9"), (false, false));
        assert_eq!(can("v2.13"), (false, false));
        assert_eq!(can("v2.14"), (true, false));
        assert_eq!(can("v3.1"), (true, false));
        assert_eq!(can("v3.2"), (true, true));
        assert_eq!(can("v3.10"), (true, true));
    }
}
