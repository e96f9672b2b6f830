//! Addresses, cookies and bytes that are not modelled, in the text forms that people and JSON use.
//!
//! In: bytes or text. Out: text or bytes. PURE.

use std::fmt;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An Ethernet address, `aa:bb:cc:dd:ee:ff`.
#[derive(Clone, Copy, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// All ones; as a mask, every bit.
    pub const BROADCAST: Self = Self([0xff; 6]);
}

/// Bytes as the wire has them; hexadecimal digits in text.
#[derive(Clone, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Raw(pub Vec<u8>);

/// A text that is not what it should be.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("`{text}` is not {wanted}")]
pub struct InvalidText {
    /// As it was written.
    pub text: String,
    /// What it should be, with an example.
    pub wanted: &'static str,
}

impl fmt::Display for Mac {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, f] = self.0;
        write!(out, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}")
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

impl FromStr for Mac {
    type Err = InvalidText;

    fn from_str(text: &str) -> Result<Self, InvalidText> {
        let invalid = || InvalidText { text: text.to_owned(), wanted: "an Ethernet address like 02:00:00:00:00:01" };
        let mut mac = [0; 6];
        let mut parts = text.split(':');
        for byte in &mut mac {
            let part = parts.next().filter(|part| part.len() == 2).ok_or_else(invalid)?;
            *byte = hex_byte(part.as_bytes()).ok_or_else(invalid)?;
        }
        if parts.next().is_some() { Err(invalid()) } else { Ok(Self(mac)) }
    }
}

impl fmt::Display for Raw {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(out, "{byte:02x}"))
    }
}

impl fmt::Debug for Raw {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

impl FromStr for Raw {
    type Err = InvalidText;

    fn from_str(text: &str) -> Result<Self, InvalidText> {
        let invalid = || InvalidText { text: text.to_owned(), wanted: "pairs of hexadecimal digits like 8000060e" };
        if !text.len().is_multiple_of(2) {
            return Err(invalid());
        }
        text.as_bytes().chunks(2).map(hex_byte).collect::<Option<Vec<u8>>>().map(Self).ok_or_else(invalid)
    }
}

fn hex_byte(digits: &[u8]) -> Option<u8> {
    let digit = |at: usize| digits.get(at).and_then(|&byte| char::from(byte).to_digit(16));
    u8::try_from(digit(0)? * 16 + digit(1)?).ok()
}

/// As strings, since that is how people know them.
macro_rules! serde_as_text {
    ($type:ty) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
            }
        }
    };
}

serde_as_text!(Mac);
serde_as_text!(Raw);

/// A cookie as `0x62096e3f0185953b`: many readers of JSON keep only 53 bits of a number.
pub(super) mod cookie {
    use super::{Deserialize as _, Deserializer, InvalidText, Serializer};
    use serde::de::Error as _;

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
    pub(in super::super) fn serialize<S: Serializer>(cookie: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{cookie:#x}"))
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        let text = String::deserialize(deserializer)?;
        let digits = text.strip_prefix("0x").filter(|digits| !digits.starts_with('+'));
        match digits.and_then(|digits| u64::from_str_radix(digits, 16).ok()) {
            Some(cookie) => Ok(cookie),
            None => Err(D::Error::custom(InvalidText { text, wanted: "a cookie like 0x62096e3f0185953b" })),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_bytes_are_read_as_they_are_written() {
        let mac = Mac([2, 0xab, 0, 0, 0, 0xff]);
        assert_eq!(mac.to_string(), "02:ab:00:00:00:ff");
        assert_eq!("02:AB:00:00:00:ff".parse(), Ok(mac));
        for wrong in
            ["", "02:ab:00:00:00", "02:ab:00:00:00:ff:01", "2:ab:00:00:00:ff", "02:ab:00:00:00:+f", "02-ab-00-00-00-ff"]
        {
            assert!(wrong.parse::<Mac>().is_err(), "{wrong}");
        }
        assert_eq!("80aF".parse(), Ok(Raw(vec![0x80, 0xaf])));
        assert_eq!(Raw(vec![0x80, 0x0f]).to_string(), "800f");
        assert!("8".parse::<Raw>().is_err() && "+1".parse::<Raw>().is_err() && "zz".parse::<Raw>().is_err());
    }
}
