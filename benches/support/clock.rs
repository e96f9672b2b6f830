//! Wall and CPU time of a stretch of this thread, and the peak memory of this process.
//! In: the clock, `/proc/self`. Out: one line of JSON. Touches nothing.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// A running measurement of the calling thread.
pub(crate) struct Clock {
    wall: Instant,
    cpu: Duration,
}

impl Clock {
    /// Starts to measure.
    pub(crate) fn start() -> Self {
        Self { cpu: thread_cpu(), wall: Instant::now() }
    }

    /// Returns wall and CPU milliseconds since the start.
    pub(crate) fn stop(&self) -> Stretch {
        let wall = self.wall.elapsed();
        Stretch { wall, cpu: thread_cpu().saturating_sub(self.cpu) }
    }
}

/// What a measurement found.
pub(crate) struct Stretch {
    pub(crate) wall: Duration,
    pub(crate) cpu: Duration,
}

impl Stretch {
    /// Returns the line that every program of the bench reports, with its own members added.
    pub(crate) fn report(&self, extra: &[(&str, Value)]) -> Value {
        let mut line = json!({
            "wall_ms": self.wall.as_secs_f64() * 1e3,
            "cpu_ms": self.cpu.as_secs_f64() * 1e3,
            "rss_kib": peak_rss_kib(),
        });
        for (name, value) in extra {
            line[*name] = value.clone();
        }
        line
    }
}

/// Time that this thread was on a core; zero where the kernel does not tell.
fn thread_cpu() -> Duration {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = text.split_ascii_whitespace().next().and_then(|field| field.parse().ok());
    Duration::from_nanos(nanos.unwrap_or(0))
}

fn peak_rss_kib() -> u64 {
    let text = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let field = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    field.and_then(|rest| rest.split_ascii_whitespace().next()?.parse().ok()).unwrap_or(0)
}
