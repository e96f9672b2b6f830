//! Lists of conditions. PURE.
//!
//! In: what holds now, what the list said before, the time. Out: the list as it must be: a condition keeps its time of
//! transition as long as its status stays.

use super::SUCCESS;
use crate::agent::crd::details::{Condition, Truth};
use crate::agent::desired::Problem;

/// Longest message, in bytes: a status with everything wrong must fit into an object.
const LONGEST: usize = 224;

/// One aspect as it is now.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Aspect {
    /// `type` of the condition.
    pub kind: &'static str,
    /// Whether it holds.
    pub status: Truth,
    /// Why.
    pub problem: Problem,
}

impl Aspect {
    /// It holds.
    #[must_use]
    pub fn holds(kind: &'static str, message: impl Into<String>) -> Self {
        Self { kind, status: Truth::True, problem: Problem::new(SUCCESS, message) }
    }

    /// It does not.
    #[must_use]
    pub fn fails(kind: &'static str, problem: Problem) -> Self {
        Self { kind, status: Truth::False, problem }
    }

    /// Nobody can tell now.
    #[must_use]
    pub fn unknown(kind: &'static str, problem: Problem) -> Self {
        Self { kind, status: Truth::Unknown, problem }
    }
}

/// `Ready` of these: the first that does not hold, a failure before what is unknown.
#[must_use]
pub fn summary(aspects: &[Aspect], message: &str) -> Aspect {
    let first = |status| aspects.iter().find(move |aspect| aspect.status == status);
    match first(Truth::False).or_else(|| first(Truth::Unknown)) {
        Some(aspect) => Aspect { kind: super::READY, ..aspect.clone() },
        None => Aspect::holds(super::READY, message),
    }
}

/// The list, in the order of the aspects.
#[must_use]
pub fn list(aspects: Vec<Aspect>, before: &[Condition], generation: Option<i64>, now: &str) -> Vec<Condition> {
    let condition = |aspect: Aspect| {
        let known = before.iter().find(|known| known.kind == aspect.kind && known.status == aspect.status);
        Condition {
            kind: aspect.kind.to_owned(),
            status: aspect.status,
            reason: aspect.problem.reason.to_owned(),
            message: shortened(&aspect.problem.message),
            last_transition_time: known.map_or(now, |known| &known.last_transition_time).to_owned(),
            observed_generation: generation,
        }
    };
    aspects.into_iter().map(condition).collect()
}

/// The condition of this type.
#[must_use]
pub fn get<'c>(conditions: &'c [Condition], kind: &str) -> Option<&'c Condition> {
    conditions.iter().find(|condition| condition.kind == kind)
}

/// Whether `Ready` is true.
#[must_use]
pub fn is_ready(conditions: &[Condition]) -> bool {
    get(conditions, super::READY).is_some_and(|ready| ready.status == Truth::True)
}

/// The text, without what is beyond the longest message.
#[must_use]
pub fn shortened(text: &str) -> String {
    if text.len() <= LONGEST {
        return text.to_owned();
    }
    let fits = text.char_indices().map(|(at, _)| at).take_while(|at| *at <= LONGEST - "…".len()).last();
    format!("{}…", &text[..fits.unwrap_or_default()])
}
