//! Waits for what other processes do: polls until a deadline, and then says what it saw last. EDGE of the tests: it sleeps.

use std::time::{Duration, Instant};

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(250);

/// What `look` finds in the end, `look` saying each time why not yet. Panics at the deadline, with that and what `about` adds.
pub(crate) fn until<T>(
    what: &str,
    seconds: u64,
    about: impl Fn() -> String,
    mut look: impl FnMut() -> Result<T, String>,
) -> T {
    let deadline = Instant::now() + Duration::from_secs(seconds);
    loop {
        match look() {
            Ok(found) => return found,
            Err(seen) if Instant::now() > deadline => {
                panic!("waited {seconds} s for: {what}\n\nseen last: {seen}\n\n{}", about())
            }
            Err(_) => std::thread::sleep(PAUSE),
        }
    }
}

/// Sees that `look` finds the same for so long: that something does not happen.
pub(crate) fn stays(what: &str, seconds: u64, look: impl Fn() -> Result<(), String>) {
    let deadline = Instant::now() + Duration::from_secs(seconds);
    while Instant::now() < deadline {
        if let Err(seen) = look() {
            panic!("should have stayed: {what}\n\nseen: {seen}");
        }
        std::thread::sleep(PAUSE);
    }
}
