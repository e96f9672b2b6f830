//! EDGE: what the agent itself uses, as `/proc` says it.

use procfs::process::Process as Own;
use procfs::{ProcResult, boot_time_secs, page_size, ticks_per_second};

use super::metrics::Process;

/// What it uses; nothing where the system does not say.
pub(super) fn used() -> Option<Process> {
    read().ok()
}

#[expect(clippy::cast_precision_loss, reason = "seconds of a process are few")]
fn read() -> ProcResult<Process> {
    let stat = Own::myself()?.stat()?;
    let ticks = ticks_per_second() as f64;
    Ok(Process {
        resident: stat.rss.saturating_mul(page_size()),
        cpu: (stat.utime + stat.stime) as f64 / ticks,
        start: boot_time_secs()? as f64 + stat.starttime as f64 / ticks,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_uses_something() {
        let used = used().unwrap();
        assert!(used.resident > 1 << 20 && used.resident < 1 << 40, "{used:?}");
        let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs_f64();
        assert!(used.cpu >= 0.0 && used.start < now + 2.0 && used.start > now - 3600.0, "{used:?} at {now}");
    }
}
