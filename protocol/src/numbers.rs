//! Counted quantities of the protocol as types of their own, so that a height is
//! never passed where a sequence is meant. All are u64 on the wire, big-endian in
//! the fixed layouts.

use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(pub u64);

        impl $name {
            /// The eight big-endian bytes of the fixed layouts.
            pub fn to_be_bytes(self) -> [u8; 8] {
                self.0.to_be_bytes()
            }

            /// The next value, or `None` at 2^64 − 1.
            pub fn next(self) -> Option<Self> {
                self.0.checked_add(1).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number! {
    /// The distance of a block from genesis, which has height 0.
    Height
}
number! {
    /// The position of a payment among all payments of one sender, from 0. An
    /// account's sequence is the one its next payment must carry.
    Sequence
}
number! {
    /// Milliseconds since 1970-01-01T00:00:00Z.
    Timestamp
}

impl Timestamp {
    /// This moment moved forward by `milliseconds`, held at the largest value.
    pub fn saturating_add(self, milliseconds: u64) -> Self {
        Self(self.0.saturating_add(milliseconds))
    }
}
