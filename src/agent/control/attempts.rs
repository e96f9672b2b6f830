//! How soon the same may be asked of the switch again. PURE.
//!
//! In: what is about to be asked, the time. Out: whether now, or when. What was not asked last is asked at once; what was, and did
//! not last, waits longer each time: a switch that somebody else changes back is not fought over.

use std::time::Duration;

use crate::agent::backoff::Backoff;

/// What was asked last, and how often in a row.
#[derive(Clone, Debug)]
pub(super) struct Attempts<T> {
    last: Option<T>,
    count: u32,
    not_before: Duration,
}

impl<T> Default for Attempts<T> {
    fn default() -> Self {
        Self { last: None, count: 0, not_before: Duration::ZERO }
    }
}

impl<T: PartialEq + Clone> Attempts<T> {
    /// `Err` says when it may be asked.
    pub(super) fn ask(&mut self, what: &T, now: Duration) -> Result<(), Duration> {
        if self.last.as_ref() != Some(what) {
            self.last = Some(what.clone());
            self.count = 0;
        } else if now < self.not_before {
            return Err(self.not_before);
        }
        self.count += 1;
        self.not_before = now + Backoff::REMOTE.after(self.count);
        Ok(())
    }

    /// How often in a row this was asked.
    pub(super) fn count(&self, what: &T) -> u32 {
        if self.last.as_ref() == Some(what) { self.count } else { 0 }
    }

    /// What was asked is done, or the one who was asked is another.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_waits_and_another_does_not() {
        let mut attempts = Attempts::default();
        let at = Duration::from_millis;
        assert_eq!(attempts.ask(&1, at(0)), Ok(()));
        assert_eq!(attempts.ask(&1, at(1)), Err(at(100)));
        assert_eq!(attempts.ask(&1, at(100)), Ok(()));
        assert_eq!(attempts.ask(&1, at(200)), Err(at(300)));
        assert_eq!((attempts.count(&1), attempts.count(&2)), (2, 0));
        assert_eq!(attempts.ask(&2, at(201)), Ok(()));
        attempts.forget();
        assert_eq!(attempts.ask(&2, at(202)), Ok(()));
    }
}
