//! MAC addresses in any spelling a device uses.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A device's MAC address: the key of its topics.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Mac([u8; 6]);

/// The text is not a MAC address: not twelve hex digits, or a reserved address that stands for none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a MAC address (twelve hex digits, such as 98:ba:5f:8b:10:03)")]
pub struct NotAMac(pub String);

impl Mac {
    /// Twelve lower-case hex digits without separators, as topics spell it.
    #[must_use]
    pub fn hex(&self) -> String {
        let digits = self.0.iter().flat_map(|byte| [byte >> 4, byte & 15]);
        digits.filter_map(|digit| char::from_digit(digit.into(), 16)).collect()
    }
}

impl FromStr for Mac {
    type Err = NotAMac;

    /// Parses colons, dashes, dots, blanks or nothing between the digits, in either case.
    ///
    /// All zeros and all ones are refused, because devices without an address send them.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = || NotAMac(text.chars().take(40).collect());
        let mut nibbles = Vec::with_capacity(12);
        for character in text.trim().chars() {
            match character {
                ':' | '-' | '.' | ' ' => {}
                _ => nibbles.push(character.to_digit(16).ok_or_else(refuse)?),
            }
            if nibbles.len() > 12 {
                return Err(refuse());
            }
        }
        let mut bytes = [0_u8; 6];
        if nibbles.len() != 12 {
            return Err(refuse());
        }
        for (byte, pair) in bytes.iter_mut().zip(nibbles.chunks_exact(2)) {
            *byte = pair.iter().fold(0, |sum, nibble| sum << 4 | u8::try_from(*nibble).unwrap_or(0));
        }
        if bytes == [0; 6] || bytes == [0xff; 6] { Err(refuse()) } else { Ok(Self(bytes)) }
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl From<Mac> for String {
    fn from(mac: Mac) -> Self {
        mac.to_string()
    }
}

impl TryFrom<String> for Mac {
    type Error = NotAMac;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::Mac;

    #[test]
    fn every_spelling_is_one_address() {
        for text in
            ["98-ba-5f-8b-10-03", "98:BA:5F:8B:10:03", "98BA5F8B1003", "98ba.5f8b.1003", " 98ba5f8b1003 "]
        {
            assert_eq!(text.parse::<Mac>().map(|mac| mac.hex()), Ok("98ba5f8b1003".into()), "{text}");
        }
    }

    #[test]
    fn junk_is_no_address() {
        for text in [
            "",
            "00-00-00-00-00-00",
            "ff:ff:ff:ff:ff:ff",
            "98ba5f8b10",
            "98ba5f8b100342",
            "xx-xx-xx-xx-xx-xx",
        ] {
            assert!(text.parse::<Mac>().is_err(), "{text}");
        }
    }
}
