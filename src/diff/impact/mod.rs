//! What a change does to cards, nodes, traffic and pods. PURE.
//!
//! In: an [`Occurrence`], a change with both sides of its site. Out: [`Impact`], or nothing where no rule speaks of it.

use super::change::Occurrence;
use crate::source::Origin;

/// What a change does.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Impact {
    /// How much harm it does.
    pub class: Class,
    /// Name of the rule that decided.
    pub rule: &'static str,
    /// One sentence: why.
    pub why: String,
    /// Names of the DPUs that it touches, sorted; empty where none is or where they are not known.
    pub dpus: Vec<String>,
    /// How many of them at a time, as the object says it.
    pub at_a_time: Option<String>,
    /// The line that caused it, where it is another one than that of the edit.
    pub source: Option<Origin>,
}

/// How much harm a change does, the worst first.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Class {
    /// Nothing happens.
    Nothing,
}

impl Class {
    /// A few words for people.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
        }
    }
}

/// What the change does, where a rule says so.
#[must_use]
pub fn decide(_occurrence: &Occurrence<'_>) -> Option<Impact> {
    None
}
