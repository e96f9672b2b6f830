//! What the agent counts of its own work. PURE.
//!
//! In: answers of the switch, and how long things took. Out: numbers that only grow, from the start of the program.

use std::time::Duration;

use crate::agent::control::Refusal;

/// Upper bounds of [`Histogram`], in seconds: a change is in the switch within some milliseconds, or waits for something.
pub const BOUNDS: [f64; 12] = [0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 15.0, 60.0];

/// All of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tallies {
    /// Transactions of the database.
    pub transactions: Outcomes,
    /// Bundles of flows.
    pub bundles: Outcomes,
    /// Ports that somebody else had changed.
    pub ports_repaired: u64,
    /// Flows that somebody else had changed.
    pub flows_repaired: u64,
    /// From an object's change to the switch as it must be, read back.
    pub reconciled: Histogram,
}

/// What became of what was asked.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Outcomes {
    /// It is in effect.
    pub done: u64,
    /// The switch has something against it.
    pub refused: u64,
    /// There was no answer, or the rows were no longer as they were seen.
    pub failed: u64,
}

impl Outcomes {
    /// Takes an answer.
    pub fn count(&mut self, answer: &Result<(), Refusal>) {
        let which = match answer {
            Ok(()) => &mut self.done,
            Err(refusal) if refusal.as_a_whole || !refusal.parts.is_empty() => &mut self.refused,
            Err(_) => &mut self.failed,
        };
        *which += 1;
    }

    /// With their names.
    #[must_use]
    pub fn named(&self) -> [(&'static str, u64); 3] {
        [("done", self.done), ("refused", self.refused), ("failed", self.failed)]
    }
}

/// How many took how long.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Histogram {
    /// By the first of [`BOUNDS`] that is not exceeded.
    counts: [u64; BOUNDS.len()],
    /// All, those that exceed every bound too.
    count: u64,
    sum: Duration,
}

impl Histogram {
    /// Takes one.
    pub fn observe(&mut self, took: Duration) {
        if let Some(at) = BOUNDS.iter().position(|bound| took.as_secs_f64() <= *bound) {
            self.counts[at] += 1;
        }
        self.count += 1;
        self.sum = self.sum.saturating_add(took);
    }

    /// How many took no longer, for each bound.
    pub fn cumulated(&self) -> impl Iterator<Item = (f64, u64)> + '_ {
        let sums = self.counts.iter().scan(0, |sum, count| {
            *sum += count;
            Some(*sum)
        });
        BOUNDS.into_iter().zip(sums)
    }

    /// How many there were.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// All times together.
    #[must_use]
    pub fn sum(&self) -> Duration {
        self.sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_hold_what_is_not_longer() {
        let mut histogram = Histogram::default();
        for millis in [5, 6, 90_000] {
            histogram.observe(Duration::from_millis(millis));
        }
        let cumulated: Vec<(f64, u64)> = histogram.cumulated().collect();
        assert_eq!(cumulated[..3], [(0.005, 1), (0.01, 2), (0.02, 2)]);
        assert_eq!(cumulated.last(), Some(&(60.0, 2)));
        assert_eq!((histogram.count(), histogram.sum()), (3, Duration::from_millis(90_011)));
    }

    #[test]
    fn answers_are_told_apart() {
        let refusal = |parts, as_a_whole| Err(Refusal { parts, as_a_whole, message: String::new() });
        let mut outcomes = Outcomes::default();
        let part = vec![(0, String::new())];
        for answer in [Ok(()), refusal(part, false), refusal(Vec::new(), true), refusal(Vec::new(), false)] {
            outcomes.count(&answer);
        }
        assert_eq!(outcomes, Outcomes { done: 1, refused: 2, failed: 1 });
    }
}
