//! The target that a block must carry, computed anew from the description of the rule, so
//! that the real computation can be held against it.

use mvb_protocol::{params::ChainParams, target::Target};
use primitive_types::U512;

/// The target after `recent` blocks, each with its time in milliseconds and its target.
pub(super) fn naive_target(params: &ChainParams, recent: &[(u64, Target)]) -> Target {
    let easiest = Target::from_difficulty(params.difficulty);
    let seconds = u64::from(params.target_block_seconds);
    if seconds == 0 || recent.len() < 61 {
        return easiest;
    }
    let last = &recent[recent.len() - 61..];
    let (mut weighted, mut targets) = (0, U512::zero());
    for number in 1..=60 {
        let took = last[number].0 - last[number - 1].0;
        weighted += number as u64 * took.min(6_000 * seconds);
        targets += U512::from_big_endian(&last[number].1.to_be_bytes());
    }
    let weighted = weighted.max(60 * 60 * 1_000 * seconds / 20);
    let next = targets * U512::from(weighted) / U512::from(60 * 1_000 * seconds * (60 * 61 / 2));
    if next >= U512::from_big_endian(&easiest.to_be_bytes()) {
        return easiest;
    }
    leading_digits(next)
}

/// The target with the three leading digits, in base 256, of a number below 2^255.
fn leading_digits(number: U512) -> Target {
    let mut length = number.bits().div_ceil(8);
    let shift = 8 * length.saturating_sub(3);
    let mut digits = (number >> shift).low_u32() << (8 * 3usize.saturating_sub(length));
    if digits & 0x80_0000 != 0 {
        digits >>= 8;
        length += 1;
    }
    let compact = mvb_protocol::target::CompactTarget(((length as u32) << 24) | digits);
    compact
        .expand()
        .expect("a length and three digits below 2^23 are some target")
}
