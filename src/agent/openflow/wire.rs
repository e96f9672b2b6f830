//! Big-endian numbers out of bytes and into them.
//!
//! In: bytes of any length. Out: numbers and slices, or [`Malformed`]; nothing here panics. PURE.

/// Bytes that are no OpenFlow.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Malformed {
    /// Something is longer than what holds it.
    #[error("{what} ends early")]
    Short {
        /// What was read.
        what: &'static str,
    },
    /// A length that what it belongs to cannot have.
    #[error("{what} has length {length}")]
    Length {
        /// Whose length it is.
        what: &'static str,
        /// The length.
        length: usize,
    },
    /// Another version after the version was agreed.
    #[error("a message of OpenFlow {} after OpenFlow 1.4 was agreed", super::version_name(*version))]
    Version {
        /// The version byte.
        version: u8,
    },
    /// More than this reader keeps.
    #[error("an answer with more than {limit} entries")]
    TooMany {
        /// What it keeps.
        limit: usize,
    },
}

/// Bytes that are read from the front.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'a> {
    rest: &'a [u8],
    what: &'static str,
}

impl<'a> Cursor<'a> {
    /// `what` names these bytes in an error.
    pub(super) fn new(bytes: &'a [u8], what: &'static str) -> Self {
        Self { rest: bytes, what }
    }

    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(Malformed::Short { what: self.what })?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(Malformed::Short { what: self.what })?;
        self.rest = rest;
        Ok(*taken)
    }

    pub(super) fn u8(&mut self) -> Result<u8, Malformed> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(super) fn u16(&mut self) -> Result<u16, Malformed> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_be_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, Malformed> {
        self.array().map(u64::from_be_bytes)
    }

    pub(super) fn mac(&mut self) -> Result<[u8; 6], Malformed> {
        self.array()
    }

    /// A structure with its own length, of at least `least` bytes, at `offset` of its first bytes: the whole of it.
    pub(super) fn sized(&mut self, what: &'static str, offset: usize, least: usize) -> Result<Cursor<'a>, Malformed> {
        let mut ahead = Cursor::new(self.rest, what);
        ahead.take(offset)?;
        let length = usize::from(ahead.u16()?);
        if length < least {
            return Err(Malformed::Length { what, length });
        }
        let whole = self.rest.get(..length).ok_or(Malformed::Length { what, length })?;
        self.take(length)?;
        Ok(Cursor::new(whole, what))
    }
}

/// Bytes that grow at the end.
pub(super) trait Put {
    fn put_u8(&mut self, number: u8);
    fn put_u16(&mut self, number: u16);
    fn put_u32(&mut self, number: u32);
    fn put_u64(&mut self, number: u64);
    fn put_zeros(&mut self, count: usize);
    /// Zeros until the length since `start` is a multiple of 8.
    fn pad_to_8(&mut self, start: usize);
    /// Writes the length since `start` over the two bytes at `at`. A length that does not fit stays at its most: what holds it all is
    /// longer still, and is refused by [`super::TooLong`].
    fn set_length(&mut self, start: usize, at: usize);
}

impl Put for Vec<u8> {
    fn put_u8(&mut self, number: u8) {
        self.push(number);
    }

    fn put_u16(&mut self, number: u16) {
        self.extend_from_slice(&number.to_be_bytes());
    }

    fn put_u32(&mut self, number: u32) {
        self.extend_from_slice(&number.to_be_bytes());
    }

    fn put_u64(&mut self, number: u64) {
        self.extend_from_slice(&number.to_be_bytes());
    }

    fn put_zeros(&mut self, count: usize) {
        self.resize(self.len() + count, 0);
    }

    fn pad_to_8(&mut self, start: usize) {
        self.put_zeros((self.len() - start).next_multiple_of(8) - (self.len() - start));
    }

    fn set_length(&mut self, start: usize, at: usize) {
        let length = u16::try_from(self.len() - start).unwrap_or(u16::MAX);
        self[at..at + 2].copy_from_slice(&length.to_be_bytes());
    }
}
