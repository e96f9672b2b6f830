//! How much harm a change does, as one scale. PURE.
//!
//! In: nothing, or the word of a class. Out: [`Class`] and the words for it.

/// How much harm a change does, the worst first. What may be harmful ranks with what is: an unknown kind is never `nothing`.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Class {
    /// The API server does not take the object, and the sync stops there.
    Refused,
    /// Cards leave their cluster, and are installed from nothing when they join one.
    Reprovisioned,
    /// Cards or their hosts restart.
    Rebooted,
    /// Nodes are drained, cordoned or tainted.
    Drained,
    /// Flows, ports or what a service answers with are gone for a while, or for good.
    Interrupted,
    /// Pods that run are replaced.
    Restarted,
    /// No rule speaks of it.
    Unknown,
    /// Something stays that nobody will remove or bring up to date.
    LeftBehind,
    /// Only what starts later sees it.
    NewPods,
    /// Labels, annotations and what only controllers read.
    Metadata,
    /// Nothing happens.
    Nothing,
}

/// Every class with its word for `--fail-on` and JSON, and a few words for people.
const WORDS: [(Class, &str, &str); 11] = [
    (Class::Refused, "refused", "refused by the API server"),
    (Class::Reprovisioned, "reprovision", "card reprovisioned"),
    (Class::Rebooted, "reboot", "card rebooted"),
    (Class::Drained, "drain", "node drained or tainted"),
    (Class::Interrupted, "interrupt", "traffic interrupted"),
    (Class::Restarted, "restart", "service pods restarted"),
    (Class::Unknown, "unknown", "unknown"),
    (Class::LeftBehind, "left-behind", "left behind"),
    (Class::NewPods, "new-pods", "new pods only"),
    (Class::Metadata, "metadata", "metadata"),
    (Class::Nothing, "nothing", "nothing"),
];

impl Class {
    /// Every class, the worst first.
    pub const ALL: [Self; 11] = {
        let mut all = [Self::Nothing; 11];
        let mut index = 0;
        while index < all.len() {
            all[index] = WORDS[index].0;
            index += 1;
        }
        all
    };

    /// A few words for people.
    #[must_use]
    pub fn words(self) -> &'static str {
        WORDS[self as usize].2
    }

    /// One word, for command lines and JSON.
    #[must_use]
    pub fn word(self) -> &'static str {
        WORDS[self as usize].1
    }

    /// The class of a word.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        WORDS.iter().find(|(_, own, _)| *own == word).map(|(class, ..)| *class)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_stand_in_the_order_of_the_scale() {
        for class in Class::ALL {
            assert_eq!(Class::of_word(class.word()), Some(class));
            assert_eq!(WORDS[class as usize].0, class);
        }
        assert!(Class::ALL.is_sorted());
        assert_eq!(Class::of_word("reflash"), None);
    }
}
