//! Addresses: SHA-256 of a public key's bytes, shown with a checksum in the case of
//! its letters, in the manner of EIP-55.

use crate::hash::{HASH_BYTES, HexError, parse_hex, sha256};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// Where money can be sent: the hash of a public key.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Address(#[serde(with = "serde_bytes")] pub [u8; HASH_BYTES]);

/// Why a text is not an address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Not 64 hex digits.
    #[error("not an address: {0}")]
    Hex(#[from] HexError),
    /// Letters of both cases that do not match the checksum.
    #[error(
        "mistyped address: the case of its letters is a checksum, and {text} does not match it"
    )]
    Checksum {
        /// What was typed.
        text: String,
    },
}

/// How far the case of an address's letters vouches for its digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checksum {
    /// The case matched.
    Verified,
    /// All letters had one case, so nothing vouches for the digits.
    Absent,
}

impl Address {
    /// The address of a public key, from the key's compressed SEC1 bytes.
    pub fn of_key(key: &[u8]) -> Self {
        Self(sha256(&[key]))
    }

    /// Reads an address and says whether its checksum was there to be verified.
    ///
    /// # Errors
    /// When the text is not 64 hex digits, or has letters of both cases that do not
    /// match the checksum.
    pub fn parse(text: &str) -> Result<(Self, Checksum), AddressError> {
        let address = Self(parse_hex(text)?);
        let has = |case: fn(&char) -> bool| text.chars().any(|c| case(&c));
        if !(has(char::is_ascii_lowercase) && has(char::is_ascii_uppercase)) {
            return Ok((address, Checksum::Absent));
        }
        if address.to_string() == text {
            return Ok((address, Checksum::Verified));
        }
        Err(AddressError::Checksum {
            text: text.to_owned(),
        })
    }

    /// The 64 digits in lower case, as the JSON output shows them.
    pub fn to_lower_hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl fmt::Display for Address {
    /// Digit i is upper case when bit 7 of nibble i of SHA-256 over the 64 lower-case
    /// ASCII digits is set, that is when that nibble is 8 or more.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lower = self.to_lower_hex();
        let check = sha256(&[lower.as_bytes()]);
        let shown: String = lower
            .chars()
            .enumerate()
            .map(|(i, digit)| {
                let nibble = (check[i / 2] >> (4 * (1 - i % 2))) & 0xf;
                if nibble >= 8 {
                    digit.to_ascii_uppercase()
                } else {
                    digit
                }
            })
            .collect();
        f.pad(&shown)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self:.8})")
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        Self::parse(text).map(|(address, _)| address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address() -> Address {
        Address::of_key(b"any bytes will do")
    }

    #[test]
    fn a_shown_address_reads_back_with_a_verified_checksum() {
        assert_eq!(
            Address::parse(&address().to_string()),
            Ok((address(), Checksum::Verified))
        );
    }

    #[test]
    fn one_changed_digit_or_case_of_a_checksummed_address_is_refused() {
        let shown = address().to_string();
        let mut refused = 0;
        for i in 0..shown.len() {
            let c = shown.as_bytes()[i] as char;
            let digit = c.to_digit(16).unwrap();
            let other = char::from_digit((digit + 1) % 16, 16).unwrap();
            let changed = format!("{}{other}{}", &shown[..i], &shown[i + 1..]);
            refused += usize::from(Address::parse(&changed).is_err());
            if c.is_ascii_alphabetic() {
                let swapped = if c.is_ascii_uppercase() {
                    c.to_ascii_lowercase()
                } else {
                    c.to_ascii_uppercase()
                };
                let changed = format!("{}{swapped}{}", &shown[..i], &shown[i + 1..]);
                assert!(Address::parse(&changed).is_err(), "{changed}");
            }
        }
        assert_eq!(refused, shown.len());
    }

    #[test]
    fn one_case_is_accepted_without_a_checksum() {
        let lower = address().to_lower_hex();
        assert_eq!(Address::parse(&lower), Ok((address(), Checksum::Absent)));
        assert_eq!(
            Address::parse(&lower.to_uppercase()),
            Ok((address(), Checksum::Absent))
        );
    }

    #[test]
    fn an_address_of_another_length_or_with_a_newline_is_refused() {
        let lower = address().to_lower_hex();
        for text in [
            format!("{lower}\n"),
            format!(" {lower}"),
            lower[1..].to_owned(),
            "x".repeat(64),
        ] {
            assert!(Address::parse(&text).is_err(), "{text:?}");
        }
    }
}
