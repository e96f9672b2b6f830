//! Bytes that wait for a socket to take them.
//!
//! In: bytes to send. Out: the part that is not sent yet. Reading goes on while it is not empty: a peer that waits for its reader would
//! otherwise wait for ever. PURE.

/// Bytes, and how many of them are sent.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    bytes: Vec<u8>,
    sent: usize,
}

impl Outbox {
    /// Adds bytes at the end.
    pub(super) fn push(&mut self, mut bytes: Vec<u8>) {
        if self.sent == self.bytes.len() {
            self.bytes = bytes;
            self.sent = 0;
        } else {
            self.bytes.append(&mut bytes);
        }
    }

    /// What is not sent.
    pub(super) fn waiting(&self) -> &[u8] {
        &self.bytes[self.sent..]
    }

    /// So many more bytes are sent.
    pub(super) fn sent(&mut self, count: usize) {
        self.sent += count;
        if self.sent >= self.bytes.len() {
            *self = Self::default();
        }
    }
}
