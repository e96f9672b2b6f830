//! When to try again.
//!
//! In: how often it failed. Out: how long to wait, the same every time: one agent meets one switch, so nothing is gained by chance. PURE.

use std::time::Duration;

/// Doubles from `first` up to `most`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Backoff {
    /// After the first failure.
    pub first: Duration,
    /// Never longer.
    pub most: Duration,
}

impl Backoff {
    /// For a socket on this machine, where a try costs microseconds and a switch that returns must be met within 100 ms.
    pub const LOCAL: Self = Self { first: Duration::from_millis(5), most: Duration::from_millis(40) };
    /// For a peer across a network.
    pub const REMOTE: Self = Self { first: Duration::from_millis(100), most: Duration::from_secs(8) };

    /// How long to wait after so many failures in a row, counted from 1.
    #[must_use]
    pub fn after(&self, failures: u32) -> Duration {
        let doubled = 1_u32.checked_shl(failures.saturating_sub(1)).and_then(|factor| self.first.checked_mul(factor));
        doubled.map_or(self.most, |wait| wait.min(self.most))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_most() {
        let waits: Vec<u128> = (1..=9).map(|failures| Backoff::REMOTE.after(failures).as_millis()).collect();
        assert_eq!(waits, [100, 200, 400, 800, 1600, 3200, 6400, 8000, 8000]);
        assert_eq!(Backoff::REMOTE.after(u32::MAX), Duration::from_secs(8));
        assert_eq!(Backoff::LOCAL.after(0), Duration::from_millis(5));
    }
}
