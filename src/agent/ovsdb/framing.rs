//! Cuts what a socket gives into JSON objects, which follow each other without anything between.
//!
//! In: bytes in any portions. Out: JSON values. Each byte is looked at once before its object is whole; size and depth are bounded. PURE.

use serde_json::Value as Json;

/// A larger message is refused: the whole database of a card is far smaller.
const MOST_BYTES: usize = 64 << 20;
/// Deeper nesting is refused; the protocol needs less than 16.
const MOST_DEPTH: usize = 64;

/// Bytes that are no message.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NotJson {
    /// A message begins with `{`.
    #[error("a message begins with byte {0:#04x}, not with an object")]
    Start(u8),
    /// Larger than this reader keeps.
    #[error("a message of more than {} MiB", MOST_BYTES >> 20)]
    TooLarge,
    /// Deeper than this reader goes.
    #[error("a message that nests more than {MOST_DEPTH} deep")]
    TooDeep,
    /// The brackets close, but it is no JSON.
    #[error("a message that is no JSON: {0}")]
    Invalid(String),
}

/// The bytes that are no whole message yet, and how far they are looked at.
#[derive(Debug, Default)]
pub struct Framing {
    buffer: Vec<u8>,
    /// Where the message begins.
    start: usize,
    /// What comes before is looked at.
    seen: usize,
    depth: usize,
    in_string: bool,
    escaped: bool,
}

impl Framing {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes what came.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.start);
        self.seen -= self.start;
        self.start = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole message; `None`: more bytes are needed.
    ///
    /// # Errors
    /// As [`NotJson`] says. Nothing after it can be read.
    pub fn next_message(&mut self) -> Result<Option<Json>, NotJson> {
        while let Some(&byte) = self.buffer.get(self.seen) {
            if self.depth == 0 {
                match byte {
                    b' ' | b'\t' | b'\r' | b'\n' => {
                        self.seen += 1;
                        self.start = self.seen;
                        continue;
                    }
                    b'{' => {}
                    other => return Err(NotJson::Start(other)),
                }
            }
            self.seen += 1;
            self.look_at(byte);
            if self.depth > MOST_DEPTH {
                return Err(NotJson::TooDeep);
            }
            if self.depth == 0 {
                let message = serde_json::from_slice(&self.buffer[self.start..self.seen]);
                self.start = self.seen;
                return message.map(Some).map_err(|error| NotJson::Invalid(error.to_string()));
            }
        }
        if self.seen - self.start > MOST_BYTES { Err(NotJson::TooLarge) } else { Ok(None) }
    }

    fn look_at(&mut self, byte: u8) {
        match byte {
            _ if self.escaped => self.escaped = false,
            b'\\' if self.in_string => self.escaped = true,
            b'"' => self.in_string = !self.in_string,
            b'{' | b'[' if !self.in_string => self.depth += 1,
            b'}' | b']' if !self.in_string => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn all(bytes: &[u8]) -> Result<Vec<Json>, NotJson> {
        let mut framing = Framing::new();
        framing.push(bytes);
        std::iter::from_fn(|| framing.next_message().transpose()).collect()
    }

    #[test]
    fn messages_follow_each_other_without_anything_between() {
        let text = r#"{"a":"}\"{\\"}{"b":[{}]}  {"c":null}"#;
        assert_eq!(all(text.as_bytes()), Ok(vec![json!({"a": "}\"{\\"}), json!({"b": [{}]}), json!({"c": null})]));
    }

    #[test]
    fn what_is_no_message_is_refused() {
        assert_eq!(all(b"[1]"), Err(NotJson::Start(b'[')));
        assert_eq!(all(b"{\"a\":1}x"), Err(NotJson::Start(b'x')));
        assert_eq!(all(format!("{{\"a\":{}", "[".repeat(64)).as_bytes()), Err(NotJson::TooDeep));
        assert!(matches!(all(b"{]"), Err(NotJson::Invalid(_))));
        assert!(matches!(all(b"{\"a\":\xff}"), Err(NotJson::Invalid(_))));
        let large = [b"{\"".to_vec(), vec![b'a'; MOST_BYTES]].concat();
        assert_eq!(all(&large), Err(NotJson::TooLarge));
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..200), text in "[{}\\[\\]\",:a0\\\\ ]{0,60}") {
            let _ = all(&bytes);
            let _ = all(text.as_bytes());
        }

        #[test]
        fn portions_do_not_matter(cuts in prop::collection::vec(1_usize..9, 0..30)) {
            let text = br#"{"id":1,"x":["a\\\"}",{"y":2}]}{"id":2}{"id":3}"#;
            let (mut framing, mut ids, mut at) = (Framing::new(), Vec::new(), 0);
            for cut in cuts.into_iter().chain([text.len()]) {
                let end = (at + cut).min(text.len());
                framing.push(&text[at..end]);
                at = end;
                while let Some(message) = framing.next_message().unwrap() {
                    ids.push(message["id"].clone());
                }
            }
            prop_assert_eq!(ids, [json!(1), json!(2), json!(3)]);
        }
    }
}
