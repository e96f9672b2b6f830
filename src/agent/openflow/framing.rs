//! Cuts what a socket gives into messages.
//!
//! In: bytes in any portions. Out: whole messages, undecoded. A message is at most 65,535 bytes, so the buffer is bounded. PURE.

use super::wire::Malformed;

/// Every message begins with as many bytes.
pub(super) const HEADER: usize = 8;

/// One message as it came.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Frame {
    /// Version byte.
    pub version: u8,
    /// `OFPT_*`.
    pub kind: u8,
    /// Ties an answer to its request.
    pub xid: u32,
    /// What follows the header.
    pub body: Vec<u8>,
}

/// The bytes that are no whole message yet.
#[derive(Debug, Default)]
pub struct Framing {
    buffer: Vec<u8>,
    read: usize,
}

impl Framing {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes what came.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.read);
        self.read = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole message; `None`: more bytes are needed.
    ///
    /// # Errors
    /// A header whose length is less than the header. Nothing after it can be read.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, Malformed> {
        let rest = &self.buffer[self.read..];
        let Some((&[version, kind, high, low, a, b, c, d], _)) = rest.split_first_chunk::<HEADER>() else {
            return Ok(None);
        };
        let length = usize::from(u16::from_be_bytes([high, low]));
        if length < HEADER {
            return Err(Malformed::Length { what: "message", length });
        }
        let Some(body) = rest.get(HEADER..length) else { return Ok(None) };
        let frame = Frame { version, kind, xid: u32::from_be_bytes([a, b, c, d]), body: body.to_vec() };
        self.read += length;
        Ok(Some(frame))
    }
}
