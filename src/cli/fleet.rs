//! EDGE: many sites at once, their results in order.
//!
//! At most a few results wait to be taken, so memory does not grow with the number of sites; what is taken, and in which
//! order, does not depend on the number of threads.
#![expect(clippy::disallowed_methods, reason = "progress shows only after a while: the clock is read for nothing else")]

use std::collections::BTreeMap;
use std::io::{self, IsTerminal as _};
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use super::say;

/// Parsing and merging recurse to a bounded depth; the default of a thread is a quarter of the main thread's.
const STACK_BYTES: usize = 8 << 20;

/// Does `work` for `0..count` on several threads and hands each result to `take`, in order, until that breaks off.
pub(super) fn in_order<T: Send>(
    count: usize,
    threads: Option<NonZeroUsize>,
    work: impl Fn(usize) -> T + Sync,
    mut take: impl FnMut(usize, T) -> ControlFlow<()>,
) -> io::Result<()> {
    let threads =
        threads.map_or_else(|| thread::available_parallelism().map_or(1, NonZeroUsize::get), NonZeroUsize::get);
    let threads = threads.min(count);
    if threads <= 1 {
        let _ = (0..count).try_for_each(|index| take(index, work(index)));
        return Ok(());
    }
    let (give, jobs) = mpsc::channel::<usize>();
    let (done, results) = mpsc::channel();
    let jobs = Mutex::new(jobs);
    thread::scope(|scope| {
        for _ in 0..threads {
            let (done, jobs, work) = (done.clone(), &jobs, &work);
            let worker = move || {
                loop {
                    let Ok(index) = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv() else { return };
                    let result = catch_unwind(AssertUnwindSafe(|| work(index)));
                    if done.send((index, result)).is_err() {
                        return;
                    }
                }
            };
            thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, worker)?;
        }
        let mut queue = 0..count;
        for index in queue.by_ref().take(threads + 2) {
            let _ = give.send(index);
        }
        let mut waiting = BTreeMap::new();
        for index in 0..count {
            let result = loop {
                if let Some(result) = waiting.remove(&index) {
                    break result;
                }
                // Ends only with the workers, and they wait for jobs.
                let Ok((index, result)) = results.recv() else { return Ok(()) };
                waiting.insert(index, result);
            };
            let result = result.unwrap_or_else(|panic| resume_unwind(panic));
            if take(index, result).is_break() {
                break;
            }
            if let Some(next) = queue.next() {
                let _ = give.send(next);
            }
        }
        // Ends the workers, as leaving this closure in any other way does: it owns `give`.
        drop(give);
        Ok(())
    })
}

/// A line on the terminal that says how far it is, once it takes long.
pub(super) struct Progress {
    /// Absent where nobody watches, or where the product goes to the same terminal.
    next: Option<Instant>,
    shown: bool,
    total: usize,
}

impl Progress {
    pub(super) fn of(total: usize, quiet: bool, product_on_stdout: bool) -> Self {
        let watched = !quiet && io::stderr().is_terminal() && !(product_on_stdout && io::stdout().is_terminal());
        Self { next: watched.then(|| Instant::now() + Duration::from_secs(1)), shown: false, total }
    }

    /// After `done` sites.
    pub(super) fn at(&mut self, done: usize) {
        let now = self.next.map(|_| Instant::now());
        if now >= self.next && self.next.is_some() {
            self.next = now.map(|now| now + Duration::from_millis(100));
            self.shown = true;
            say(&format!("\r\x1b[K{done} of {} sites", self.total));
        }
    }
}

/// Leaves no trace.
impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown {
            say("\r\x1b[K");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn results_come_in_order_and_few_are_alive() {
        for threads in [1, 2, 7] {
            let (alive, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
            let mut taken = Vec::new();
            let work = |index: usize| {
                most.fetch_max(alive.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                // Early ones take longer, so later ones are done before them.
                thread::sleep(Duration::from_micros(if index.is_multiple_of(5) { 900 } else { 20 }));
                index * 10
            };
            let take = |index: usize, result| {
                alive.fetch_sub(1, Ordering::SeqCst);
                taken.push((index, result));
                ControlFlow::Continue(())
            };
            in_order(100, NonZeroUsize::new(threads), work, take).unwrap();
            assert_eq!(taken, (0..100).map(|index| (index, index * 10)).collect::<Vec<_>>());
            assert!(most.into_inner() <= threads + 2);
        }
    }

    #[test]
    fn breaking_off_ends_the_work() {
        let worked = AtomicUsize::new(0);
        let work = |_| worked.fetch_add(1, Ordering::SeqCst);
        in_order(1000, NonZeroUsize::new(3), work, |_, _| ControlFlow::Break(())).unwrap();
        assert!(worked.into_inner() <= 5);
    }

    #[test]
    #[should_panic(expected = "in a worker")]
    fn a_panic_is_passed_on() {
        let work = |index| assert!(index != 5, "in a worker");
        let _ = in_order(10, NonZeroUsize::new(2), work, |_, ()| ControlFlow::Continue(()));
    }
}
