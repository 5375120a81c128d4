//! Money. An amount is a whole number of units, 1 coin is 1,000,000 units; people
//! type and read coins, everything else counts units. Arithmetic is checked.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// Units in one coin.
pub const UNITS_PER_COIN: u64 = 1_000_000;

/// The most units that can ever be issued: 2^63 − 1, so that a sum of two amounts fits a u64.
pub const MAX_SUPPLY: Amount = Amount(i64::MAX as u64);

const DECIMALS: usize = 6;

/// An amount of money in units.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Amount(u64);

/// Why an amount could not be read or computed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AmountError {
    /// A sum or difference left the range of an amount.
    #[error("amount out of range: {left} {operator} {right}")]
    Overflow {
        /// The left operand, in coins.
        left: Amount,
        /// `+` or `-`.
        operator: char,
        /// The right operand, in coins.
        right: Amount,
    },
    /// The text is not a decimal number of coins.
    #[error("got amount {text:?}, expected coins such as 10 or 0.5 with at most 6 decimals")]
    Syntax {
        /// What was typed.
        text: String,
    },
    /// More coins than can exist.
    #[error("got amount {text:?}, expected at most {} coins", MAX_SUPPLY)]
    TooLarge {
        /// What was typed.
        text: String,
    },
}

impl Amount {
    /// No money.
    pub const ZERO: Amount = Amount(0);

    /// An amount of `units`.
    pub const fn from_units(units: u64) -> Self {
        Self(units)
    }

    /// The number of units.
    pub const fn units(self) -> u64 {
        self.0
    }

    /// The sum, or an error where it does not fit.
    pub fn checked_add(self, other: Self) -> Result<Self, AmountError> {
        self.0
            .checked_add(other.0)
            .map(Self)
            .ok_or(AmountError::Overflow {
                left: self,
                operator: '+',
                right: other,
            })
    }

    /// The difference, or an error where it would be negative.
    pub fn checked_sub(self, other: Self) -> Result<Self, AmountError> {
        self.0
            .checked_sub(other.0)
            .map(Self)
            .ok_or(AmountError::Overflow {
                left: self,
                operator: '-',
                right: other,
            })
    }

    /// The difference, or zero where it would be negative.
    pub fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// The eight big-endian bytes of the fixed layouts.
    pub fn to_be_bytes(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }
}

impl fmt::Display for Amount {
    /// Coins, without trailing zeros; `{:.6}` prints all six decimals.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (coins, units) = (self.0 / UNITS_PER_COIN, self.0 % UNITS_PER_COIN);
        let full = format!("{coins}.{units:06}");
        let shown = match f.precision() {
            Some(_) => full.as_str(),
            None => full.trim_end_matches('0').trim_end_matches('.'),
        };
        f.pad_integral(true, "", shown)
    }
}

impl FromStr for Amount {
    type Err = AmountError;

    /// Reads coins: digits, optionally a point and one to six digits. Signs,
    /// exponents, spaces and thousands marks are refused.
    fn from_str(text: &str) -> Result<Self, AmountError> {
        let syntax = || AmountError::Syntax {
            text: text.to_owned(),
        };
        let too_large = || AmountError::TooLarge {
            text: text.to_owned(),
        };
        let (coins, decimals) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
        if !digits(coins) || !digits(decimals) || decimals.len() > DECIMALS {
            return Err(syntax());
        }
        let coins: u64 = coins.parse().map_err(|_| too_large())?;
        let decimals: u64 = format!("{decimals:0<DECIMALS$}")
            .parse()
            .map_err(|_| syntax())?;
        let units = coins
            .checked_mul(UNITS_PER_COIN)
            .and_then(|units| units.checked_add(decimals))
            .filter(|units| *units <= MAX_SUPPLY.0)
            .ok_or_else(too_large)?;
        Ok(Self(units))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coins_are_read_and_shown_exactly() {
        for (text, units, shown) in [
            ("10", 10_000_000, "10"),
            ("0.5", 500_000, "0.5"),
            ("0.000001", 1, "0.000001"),
            ("007.10", 7_100_000, "7.1"),
            (
                "9223372036854.775807",
                i64::MAX as u64,
                "9223372036854.775807",
            ),
        ] {
            let amount: Amount = text.parse().unwrap();
            assert_eq!(amount.units(), units, "{text}");
            assert_eq!(amount.to_string(), shown);
        }
        assert_eq!(format!("{:.6}", Amount::from_units(500_000)), "0.500000");
        assert_eq!(format!("{:>5}", Amount::from_units(500_000)), "  0.5");
    }

    #[test]
    fn what_is_not_a_plain_decimal_number_is_refused() {
        for text in [
            "",
            ".",
            "1.",
            ".5",
            "-1",
            "+1",
            "1e3",
            "NaN",
            "inf",
            "1,000",
            " 1",
            "1 ",
            "0x10",
            "1.0000001",
            "true",
            "٣",
            "1.2.3",
            "9223372036854.775808",
            "99999999999999999999",
        ] {
            assert!(text.parse::<Amount>().is_err(), "{text:?} was accepted");
        }
    }

    #[test]
    fn arithmetic_never_wraps() {
        let max = Amount::from_units(u64::MAX);
        assert!(max.checked_add(Amount::from_units(1)).is_err());
        assert!(Amount::ZERO.checked_sub(Amount::from_units(1)).is_err());
        assert_eq!(Amount::ZERO.saturating_sub(max), Amount::ZERO);
    }
}
