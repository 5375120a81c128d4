//! SHA-256 digests, each use with a type of its own: a block id cannot be passed
//! where a transaction id is meant. All print as 64 lower-case hex digits.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{fmt, str::FromStr};

/// Bytes in every digest.
pub const HASH_BYTES: usize = 32;

/// SHA-256 over the parts in order, as if they were one string of bytes.
pub fn sha256(parts: &[&[u8]]) -> [u8; HASH_BYTES] {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().into()
}

/// A text that is not 64 hex digits.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("got {text:?}, expected 64 hex digits")]
pub struct HexError {
    /// What was given, cut to 80 characters.
    pub text: String,
}

/// Reads exactly 64 hex digits of either case.
pub(crate) fn parse_hex(text: &str) -> Result<[u8; HASH_BYTES], HexError> {
    let error = || HexError {
        text: text.chars().take(80).collect(),
    };
    let digits: Vec<u32> = text
        .chars()
        .map(|c| c.to_digit(16))
        .collect::<Option<_>>()
        .ok_or_else(error)?;
    if digits.len() != 2 * HASH_BYTES {
        return Err(error());
    }
    let mut bytes = [0; HASH_BYTES];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = (pair[0] * 16 + pair[1]) as u8;
    }
    Ok(bytes)
}

macro_rules! digest {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(#[serde(with = "serde_bytes")] pub [u8; HASH_BYTES]);

        impl $name {
            /// The 32 bytes.
            pub fn as_bytes(&self) -> &[u8; HASH_BYTES] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            /// 64 lower-case hex digits; `{:.8}` shortens to the first eight.
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let digits = f.precision().unwrap_or(2 * HASH_BYTES);
                let hex: String = self.0.iter().map(|byte| format!("{byte:02x}")).collect();
                f.write_str(hex.get(..digits).unwrap_or(&hex))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self:.8})", stringify!($name))
            }
        }

        impl FromStr for $name {
            type Err = HexError;

            fn from_str(text: &str) -> Result<Self, HexError> {
                parse_hex(text).map(Self)
            }
        }
    };
}

digest! {
    /// The hash of a block's header, and the number its proof of work is about.
    BlockId
}
digest! {
    /// The hash of the bytes a sender signs. It names a payment to people and finds
    /// conflicts; it never says that a signature was checked (see [`Wid`]).
    TxId
}
digest! {
    /// The witness id: the hash of a payment's signed bytes and signature together, and
    /// its leaf in the Merkle tree. Every cache of verified, seen or refused payments is
    /// keyed by it, so that a copy with another signature is another entry.
    Wid
}
digest! {
    /// The hash of the chain parameters, which names the network.
    GenesisId
}
digest! {
    /// What a header commits its body to.
    ContentRoot
}

impl From<GenesisId> for BlockId {
    /// Genesis is the parent of the block at height 1.
    fn from(genesis: GenesisId) -> Self {
        Self(genesis.0)
    }
}
