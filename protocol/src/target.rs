//! Targets and work: 256-bit numbers. A block id must be below its target; the work of
//! a block is how many hashes that takes on average.

use crate::hash::{BlockId, HASH_BYTES};
use primitive_types::{U256, U512};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// The number an id must be below, at full precision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Target(U256);

/// A target in the 32-bit form of Bitcoin's nBits: one byte of length in bytes, three
/// bytes of leading digits, of which the highest bit is never set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CompactTarget(pub u32);

/// How many hashes were needed on average: floor(2^256 / target) a block, added up along a chain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Work(U256);

impl Target {
    /// 2^(256 − `difficulty`), for difficulties 1 to 64; others are held to that range.
    pub fn from_difficulty(difficulty: u8) -> Self {
        Self(U256::one() << (256 - usize::from(difficulty.clamp(1, 64))))
    }

    pub(crate) fn from_u256(value: U256) -> Self {
        Self(value)
    }

    pub(crate) fn to_u512(self) -> U512 {
        U512::from(self.0)
    }

    /// Whether an id, read as a big-endian number, is below this target.
    pub fn is_met_by(self, id: &BlockId) -> bool {
        U256::from_big_endian(&id.0) < self.0
    }

    /// The 32 big-endian bytes of the number, for a search loop to compare with.
    pub fn to_be_bytes(self) -> [u8; HASH_BYTES] {
        self.0.to_big_endian()
    }

    /// floor(2^256 / target), the hashes a block at this target needs on average.
    pub fn work(self) -> Work {
        if self.0.is_zero() {
            return Work(U256::MAX);
        }
        // 2^256 does not fit, and (2^256 − target) / target + 1 is the same number.
        Work(((!self.0 + U256::one()) / self.0).saturating_add(U256::one()))
    }

    /// The compact form, cut to the precision it has.
    pub fn to_compact(self) -> CompactTarget {
        let mut size = self.0.bits().div_ceil(8);
        let mut digits = if size <= 3 {
            self.0 << (8 * (3 - size))
        } else {
            self.0 >> (8 * (size - 3))
        };
        if digits.bit(23) {
            digits >>= 8;
            size += 1;
        }
        CompactTarget((size as u32) << 24 | digits.low_u32())
    }
}

impl CompactTarget {
    /// The full number, or `None` for an encoding that [`Target::to_compact`] never gives
    /// (negative, zero, too long, or not the shortest form).
    pub fn expand(self) -> Option<Target> {
        let (size, digits) = (self.0 >> 24, self.0 & 0x00ff_ffff);
        if digits == 0 || digits & 0x0080_0000 != 0 || size > 33 {
            return None;
        }
        let digits = U256::from(digits);
        let value = match size {
            0..=3 => digits >> (8 * (3 - size)),
            _ if digits.bits() as u32 + 8 * (size - 3) > 256 => return None,
            _ => digits << (8 * (size - 3)),
        };
        let target = Target(value);
        (!value.is_zero() && target.to_compact() == self).then_some(target)
    }

    /// The four big-endian bytes of the header layout.
    pub fn to_be_bytes(self) -> [u8; 4] {
        self.0.to_be_bytes()
    }
}

impl Work {
    /// No work, that of genesis.
    pub const ZERO: Work = Work(U256::zero());

    /// The sum, held at the largest value, which 2^192 hardest blocks would reach.
    pub fn saturating_add(self, other: Work) -> Work {
        Work(self.0.saturating_add(other.0))
    }

    /// The 32 big-endian bytes of the number.
    pub fn to_be_bytes(self) -> [u8; HASH_BYTES] {
        self.0.to_big_endian()
    }

    /// Reads the 32 big-endian bytes of the number.
    pub fn from_be_bytes(bytes: [u8; HASH_BYTES]) -> Self {
        Self(U256::from_big_endian(&bytes))
    }

    /// The number as a float, for rates and expected times only.
    pub fn as_f64(self) -> f64 {
        self.0
            .0
            .iter()
            .rev()
            .fold(0.0, |sum, limb| sum * 2f64.powi(64) + *limb as f64)
    }
}

impl fmt::Display for Work {
    /// The number in decimal digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl Serialize for Work {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.to_be_bytes())
    }
}

impl<'de> Deserialize<'de> for Work {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes: serde_bytes::ByteArray<HASH_BYTES> = Deserialize::deserialize(deserializer)?;
        Ok(Self::from_be_bytes(bytes.into_array()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_more_difficulty_halves_the_target_and_doubles_the_work() {
        for difficulty in 1..64 {
            let (easy, hard) = (
                Target::from_difficulty(difficulty),
                Target::from_difficulty(difficulty + 1),
            );
            assert_eq!(easy.0, hard.0 << 1);
            assert_eq!(hard.work().0, easy.work().0 << 1);
            assert_eq!(easy.work().0, U256::one() << usize::from(difficulty));
            assert_eq!(easy.to_compact().expand(), Some(easy));
        }
    }

    #[test]
    fn a_target_is_met_only_by_an_id_below_it() {
        let target = Target::from_difficulty(8);
        let mut id = BlockId([0; 32]);
        id.0[0] = 1;
        assert!(!target.is_met_by(&id));
        id = BlockId([0xff; 32]);
        id.0[0] = 0;
        assert!(target.is_met_by(&id));
    }

    #[test]
    fn each_target_has_one_compact_encoding() {
        assert_eq!(
            Target::from_difficulty(1).to_compact(),
            CompactTarget(0x2100_8000)
        );
        assert_eq!(
            Target::from_difficulty(26).to_compact(),
            CompactTarget(0x1d40_0000)
        );
        for refused in [
            0,
            0x0000_0001,
            0x0100_0000,
            0x0180_0000,
            0x2200_0001,
            0x2101_0000,
            0x2100_0001,
            0x1d00_4000,
            0x0300_0001,
            0xff12_3456,
            0x1dc0_0000,
        ] {
            assert_eq!(CompactTarget(refused).expand(), None, "{refused:#010x}");
        }
        assert_eq!(
            CompactTarget(0x0112_0000).expand(),
            Some(Target(U256::from(0x12)))
        );
    }

    #[test]
    fn work_is_the_floor_of_the_quotient() {
        assert_eq!(Target(U256::from(3)).work().0, U256::MAX / U256::from(3));
        assert_eq!(Target(U256::MAX).work().0, U256::one());
        assert_eq!(Target(U256::one()).work().0, U256::MAX);
    }

    #[test]
    fn work_beyond_64_bits_is_the_same_number_as_a_float() {
        for (number, float) in [
            (U256::from(3) << 63, 3.0 * 2f64.powi(63)),
            (U256::from(5) << 190, 5.0 * 2f64.powi(190)),
            (U256::MAX, 2f64.powi(256)),
        ] {
            assert_eq!(Work(number).as_f64(), float);
        }
    }
}
