//! Whether the agent works, for who starts it and who replaces it. PURE.
//!
//! In: [`Pulse`] of the main loop and the time, or what `control` finds. Out: [`Check`]s, and a page with a line for each.
//!
//! **Alive** (`/healthz`): the main loop turns. It turns whenever something happens, and every [`BEAT`] if nothing does, so that
//! its being due is never in doubt; it is stuck when it has not for [`STUCK`], or when an answer that the switch owes it has not
//! come for [`OWED`], which is longer than any answer is waited for before the connection is given up. A new process is a cure
//! for that, and for nothing else: that the switch, the API server or another agent stands in the way does not make an agent
//! less alive, and to start it again would help nobody.
//!
//! **Ready** (`/readyz`): this agent can program this card, and has. Readiness holds up the rolling update of the agents of a
//! cluster, so it says no where going on would take the agents of more cards away, and yes where only an object is at fault:
//!
//! | check | holds when | why |
//! |---|---|---|
//! | `objects` | every kind was read whole once. An API server that is away later does not change that: what it said still counts, and the flows stay. It is said in the line | an agent that may not read what it must do is no replacement |
//! | `database` | there is a connection to the database, or was up to a second ago: a restart is shorter | |
//! | `lock` | the lock of the database is this agent's. A second agent waits, and is not ready (`Locked`): the card is programmed, but not by it | with an old agent that does not end, the update must not go on |
//! | `bridge` | the bridge is there, with a connection to it, or was up to a second ago | |
//! | `synced` | once since the start everything was as the objects ask, but for what is wrong with a single one (its chain is malformed, its device missing, the switch refuses its flow; its status says so), and the flows were read back. It stays: a later change that takes its time makes no pod unready | this is the agent's work, done once in full |

use std::fmt::Write as _;
use std::time::Duration;

/// The main loop turns at least as often.
pub const BEAT: Duration = Duration::from_secs(10);
/// A main loop that has not turned for so long is stuck.
pub const STUCK: Duration = Duration::from_secs(30);
/// An answer that is owed for so long does not come any more.
pub const OWED: Duration = Duration::from_secs(90);
/// Problems that are said in one line.
const MOST: usize = 8;

/// What the main loop leaves at each turn. Times are from the beginning.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Pulse {
    /// The last turn.
    pub turned: Duration,
    /// Since when an answer of the switch is awaited.
    pub awaits: Option<Duration>,
}

/// One thing that was looked at.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Check {
    /// One word.
    pub name: &'static str,
    /// What was found.
    pub verdict: Verdict,
}

/// What was found.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// It is well.
    Holds,
    /// It is well, and this is good to know.
    But(String),
    /// It is not; why.
    Fails(String),
}

impl Check {
    /// Well unless there is a reason why not.
    #[must_use]
    pub fn unless(name: &'static str, wrong: Option<String>) -> Self {
        Self { name, verdict: wrong.map_or(Verdict::Holds, Verdict::Fails) }
    }
}

/// Whether the main loop turns.
#[must_use]
pub fn alive(pulse: Pulse, now: Duration) -> Vec<Check> {
    let silent = now.saturating_sub(pulse.turned);
    let owed = now.saturating_sub(pulse.awaits.unwrap_or(now));
    vec![
        Check::unless(
            "loop",
            (silent > STUCK).then(|| format!("the main loop has not turned for {} s", silent.as_secs())),
        ),
        Check::unless("answers", (owed > OWED).then(|| format!("the switch owes an answer for {} s", owed.as_secs()))),
    ]
}

/// Problems in one line.
#[must_use]
pub fn listed<'p>(problems: impl ExactSizeIterator<Item = (&'p String, &'p String)>) -> String {
    let left = problems.len().saturating_sub(MOST);
    let mut listed: Vec<String> = problems.take(MOST).map(|(place, problem)| format!("{place}: {problem}")).collect();
    if left > 0 {
        listed.push(format!("{left} more"));
    }
    listed.join("; ")
}

/// Whether all is well, and a page that says so line by line.
#[must_use]
pub fn page(of: &str, checks: &[Check]) -> (bool, String) {
    let mut out = String::new();
    let mut well = true;
    for Check { name, verdict } in checks {
        // What others say may have lines of its own.
        let in_line = |text: &String| text.replace(['\n', '\r'], " ");
        // A String takes whatever is written to it.
        let _ = match verdict {
            Verdict::Holds => writeln!(out, "[+]{name} ok"),
            Verdict::But(what) => writeln!(out, "[+]{name} ok, but {}", in_line(what)),
            Verdict::Fails(why) => {
                well = false;
                writeln!(out, "[-]{name} failed: {}", in_line(why))
            }
        };
    }
    let _ = writeln!(out, "{of} check {}", if well { "passed" } else { "failed" });
    (well, out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn said(pulse: Pulse, now: u64) -> (bool, String) {
        page("healthz", &alive(pulse, at(now)))
    }

    #[test]
    fn a_loop_that_is_stuck_is_not_alive() {
        let pulse = Pulse { turned: at(100), awaits: None };
        assert_eq!(said(pulse, 100), (true, "[+]loop ok\n[+]answers ok\nhealthz check passed\n".to_owned()));
        assert!(said(pulse, 130).0);
        let stuck = "[-]loop failed: the main loop has not turned for 31 s\n[+]answers ok\nhealthz check failed\n";
        assert_eq!(said(pulse, 131), (false, stuck.to_owned()));
        assert!(BEAT * 2 < STUCK, "one beat that comes late is no reason");
        // The clock of who asks was read first.
        assert!(said(pulse, 99).0);
    }

    #[test]
    fn a_loop_that_waits_for_ever_is_not_alive() {
        let pulse = Pulse { turned: at(190), awaits: Some(at(100)) };
        assert!(said(pulse, 190).0);
        assert!(said(Pulse { turned: at(191), ..pulse }, 191).1.contains("the switch owes an answer for 91 s"));
    }

    #[test]
    fn what_others_say_stays_in_its_line() {
        let problems = [("a".to_owned(), "x\ny".to_owned())];
        let listed = listed(problems.iter().map(|(place, problem)| (place, problem)));
        let checks = [
            Check { name: "one", verdict: Verdict::But(listed) },
            Check { name: "two", verdict: Verdict::Fails("no".to_owned()) },
        ];
        let text = "[+]one ok, but a: x y\n[-]two failed: no\nreadyz check failed\n";
        assert_eq!(page("readyz", &checks), (false, text.to_owned()));
    }

    #[test]
    fn a_line_has_an_end() {
        let problems: Vec<(String, String)> = (0..10).map(|n| (n.to_string(), "no".to_owned())).collect();
        let listed = listed(problems.iter().map(|(place, problem)| (place, problem)));
        assert!(listed.ends_with("7: no; 2 more"), "{listed}");
    }
}
