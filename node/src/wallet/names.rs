//! How people say who: by a key's name, or by an address.

use mvb_protocol::address::{Address, AddressError};
use std::{fmt, str::FromStr};

/// The longest name of a key.
pub const MOST_NAME_CHARACTERS: usize = 16;

/// The name of a key, which is also the name of its file. Nothing in it can lead out of
/// the key store's folder.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyName(String);

/// A text that is no name of a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("got key name {text:?}, expected 1 to 16 characters of A-Z a-z 0-9 _ -")]
pub struct KeyNameError {
    /// What was given.
    pub text: String,
}

/// Somebody who pays or is paid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Party {
    /// The owner of a key in this home.
    Name(KeyName),
    /// The owner of an address anywhere.
    Address(Address),
}

/// A text that names nobody.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PartyError {
    /// It has the length of an address and is none.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// It is neither.
    #[error(
        "got {text:?}, expected a key's name (1 to 16 characters of A-Z a-z 0-9 _ -) or an address (64 hex digits)"
    )]
    Neither {
        /// What was given.
        text: String,
    },
}

impl KeyName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for KeyName {
    type Err = KeyNameError;

    fn from_str(text: &str) -> Result<Self, KeyNameError> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
        if (1..=MOST_NAME_CHARACTERS).contains(&text.len()) && text.bytes().all(allowed) {
            return Ok(Self(text.to_owned()));
        }
        Err(KeyNameError {
            text: text.chars().take(80).collect(),
        })
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for Party {
    type Err = PartyError;

    /// An address has 64 digits and a name at most 16, so neither is taken for the other.
    fn from_str(text: &str) -> Result<Self, PartyError> {
        if let Ok(name) = text.parse() {
            return Ok(Self::Name(name));
        }
        match text.parse() {
            Ok(address) => Ok(Self::Address(address)),
            Err(AddressError::Hex(_)) if !text.bytes().all(|b| b.is_ascii_hexdigit()) => {
                Err(PartyError::Neither {
                    text: text.chars().take(80).collect(),
                })
            }
            Err(error) => Err(error.into()),
        }
    }
}

impl fmt::Display for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => name.fmt(f),
            Self::Address(address) => address.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_leaves_the_folder_or_is_empty_or_long_is_refused() {
        for text in [
            "",
            ".",
            "..",
            "../../x",
            "a/b",
            "a\\b",
            "a b",
            "a\n",
            "ä",
            "abcdefghijklmnopq",
            "x.pem",
        ] {
            assert!(text.parse::<KeyName>().is_err(), "{text:?}");
        }
        for text in ["a", "mining_rewards", "A-9_zabcdefghijk", "-"] {
            assert_eq!(text.parse::<KeyName>().unwrap().as_str(), text);
        }
    }

    #[test]
    fn an_address_that_ends_in_a_newline_is_refused() {
        let address = Address([0xab; 32]).to_lower_hex();
        assert!(matches!(address.parse(), Ok(Party::Address(_))));
        assert!(format!("{address}\n").parse::<Party>().is_err());
    }

    #[test]
    fn a_mistyped_address_is_told_from_a_text_that_is_none() {
        let shown = Address([0xab; 32]).to_string();
        let swapped: String = shown
            .chars()
            .map(|c| match c {
                c if c.is_lowercase() => c.to_ascii_uppercase(),
                c => c.to_ascii_lowercase(),
            })
            .collect();
        let refused = swapped.parse::<Party>().unwrap_err();
        assert!(
            refused.to_string().contains("mistyped address"),
            "{refused}"
        );
        let refused = "not-a-name-nor-an-address".parse::<Party>().unwrap_err();
        assert!(
            refused.to_string().contains("expected a key's name"),
            "{refused}"
        );
    }
}
