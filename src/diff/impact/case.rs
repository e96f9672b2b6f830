//! One place where an object differs, with what is around it. PURE.
//!
//! In: made by `judge`. Out: read by the rows that look closer.

use super::cards::Cards;
use super::class::Class;
use super::fleet::Fleet;
use super::table::Rule;
use crate::diff::change::Edit;
use crate::node::Node;
use crate::render::object::{Destination, ObjectId};
use crate::site::Release;

/// What a row looks at.
pub(super) struct Case<'a> {
    /// The cards of the base; absent where the site is added.
    pub(super) base: Option<&'a Fleet<'a>>,
    /// The cards of the head; absent where the site is removed.
    pub(super) head: Option<&'a Fleet<'a>>,
    /// Where the object goes.
    pub(super) destination: &'a Destination,
    /// The object's identity on the side that is looked at.
    pub(super) id: &'a ObjectId,
    /// The base's object.
    pub(super) before: Option<&'a Node>,
    /// The head's object.
    pub(super) after: Option<&'a Node>,
    /// The edit; absent where the object comes or goes as a whole.
    pub(super) edit: Option<&'a Edit>,
}

/// What is said after a closer look.
pub(super) struct Verdict {
    pub(super) class: Class,
    pub(super) rule: &'static str,
    pub(super) why: String,
    pub(super) cards: Cards,
    /// How many at a time.
    pub(super) at_a_time: Option<String>,
}

impl Verdict {
    /// Without a rate.
    pub(super) fn new(class: Class, rule: &'static str, why: impl Into<String>, cards: Cards) -> Self {
        Self { class, rule, why: why.into(), cards, at_a_time: None }
    }

    /// Of a rule of the table.
    pub(super) fn of(rule: Rule, cards: Cards) -> Self {
        Self::new(rule.class, rule.name, rule.why, cards)
    }

    /// So many at a time.
    pub(super) fn at_a_time(mut self, rate: Option<String>) -> Self {
        self.at_a_time = rate;
        self
    }
}

impl<'a> Case<'a> {
    /// The object as it will be, or as it was where it goes.
    pub(super) fn object(&self) -> Option<&'a Node> {
        self.after.or(self.before)
    }

    /// The cards of the side that [`Self::object`] is of.
    pub(super) fn fleet(&self) -> Option<&'a Fleet<'a>> {
        if self.after.is_some() { self.head.or(self.base) } else { self.base.or(self.head) }
    }

    /// Both sides, each with its object.
    pub(super) fn sides(&self) -> [(Option<&'a Fleet<'a>>, Option<&'a Node>); 2] {
        [(self.base, self.before), (self.head, self.after)]
    }

    /// The release of the head, or of the base where the site is removed.
    pub(super) fn release(&self) -> Release {
        self.head.or(self.base).map_or(Release::V24_10, |fleet| fleet.site.site.dpf)
    }

    /// What a path holds in the base and in the head.
    pub(super) fn both(&self, path: &[&str]) -> (Option<&'a Node>, Option<&'a Node>) {
        (self.before.and_then(|node| node.at(path)), self.after.and_then(|node| node.at(path)))
    }
}
