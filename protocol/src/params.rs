//! The parameters of a chain, the limits that bound them, and the genesis id that
//! commits to them all. Every consensus constant of the project stands in this file.

use crate::{
    amount::{Amount, MAX_SUPPLY},
    block::{HEADER_BYTES, REWARD_BYTES},
    hash::{GenesisId, sha256},
    keys::Curve,
    numbers::Height,
    target::{CompactTarget, Target},
    transaction::SMALLEST_TRANSACTION_BYTES,
};
use serde::{Deserialize, Serialize};

/// The version of these rules, part of the genesis id.
pub const RULES_VERSION: u32 = 1;

/// The version a header must carry.
pub const BLOCK_VERSION: u32 = 1;

/// The difficulties a chain can have, in leading zero bits.
pub const DIFFICULTY_RANGE: std::ops::RangeInclusive<u8> = 1..=64;

/// The lengths a network's name can have, in bytes.
pub const NETWORK_NAME_BYTES: std::ops::RangeInclusive<usize> = 1..=32;

/// The largest `max_block_bytes`: 8 MiB.
pub const MAX_BLOCK_BYTES_LIMIT: u32 = 8 << 20;

/// The smallest `max_block_bytes`.
pub const MAX_BLOCK_BYTES_LEAST: u32 = 1 << 10;

/// The most a block's signatures may weigh (see [`Curve::weight`]).
pub const MAX_BLOCK_WEIGHT: u32 = 6_144;

/// How far a block's timestamp may run ahead of the clock on a chain of fixed difficulty.
pub const MAX_FUTURE_MS: u64 = 7_200_000;

/// How far it may run ahead on a chain that retargets, in target intervals.
pub const MAX_FUTURE_INTERVALS: u64 = 3;

/// The blocks LWMA looks back over.
pub const RETARGET_WINDOW: u64 = 60;

/// The shortest and longest target interval of a chain that retargets.
pub const TARGET_BLOCK_SECONDS_RANGE: std::ops::RangeInclusive<u32> = 5..=86_400;

/// What every member of a network must agree on. The genesis id commits to each field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainParams {
    /// The version of the rules, [`RULES_VERSION`].
    pub rules_version: u32,
    /// The network's name, 1 to 32 bytes. Starting over means a new name.
    pub network_name: String,
    /// Leading zero bits a block id needs; of a chain that retargets, the least work allowed.
    pub difficulty: u8,
    /// The least number of transactions in a block, its reward counted.
    pub block_size: u32,
    /// What a block may create, before fees.
    pub block_reward: Amount,
    /// The interval LWMA aims at in seconds, or 0 for a difficulty that never changes.
    pub target_block_seconds: u32,
    /// The largest size of a block over the fixed layouts.
    pub max_block_bytes: u32,
}

impl Default for ChainParams {
    fn default() -> Self {
        Self {
            rules_version: RULES_VERSION,
            network_name: "mvb".to_owned(),
            difficulty: 26,
            block_size: 2,
            block_reward: Amount::from_units(10_000_000),
            target_block_seconds: 0,
            max_block_bytes: 1 << 20,
        }
    }
}

/// A parameter outside what a chain can have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name} is {value}, expected {expected}")]
pub struct ParamsError {
    /// The parameter's name, as the configuration spells it.
    pub name: &'static str,
    /// Its value.
    pub value: String,
    /// What it allows.
    pub expected: String,
}

impl ChainParams {
    /// Checks every range, and that some block can satisfy the parameters at all.
    ///
    /// # Errors
    /// Names the first parameter out of range, its value and what it allows.
    pub fn validate(&self) -> Result<(), ParamsError> {
        let check = |ok: bool, name, value: String, expected: String| {
            if ok {
                Ok(())
            } else {
                Err(ParamsError {
                    name,
                    value,
                    expected,
                })
            }
        };
        check(
            self.rules_version == RULES_VERSION,
            "rules_version",
            self.rules_version.to_string(),
            RULES_VERSION.to_string(),
        )?;
        check(
            NETWORK_NAME_BYTES.contains(&self.network_name.len())
                && !self.network_name.chars().any(char::is_control),
            "network_name",
            format!("{:?}", self.network_name),
            "1 to 32 bytes without control characters".to_owned(),
        )?;
        check(
            DIFFICULTY_RANGE.contains(&self.difficulty),
            "difficulty",
            self.difficulty.to_string(),
            "1 to 64 bits".to_owned(),
        )?;
        check(
            self.block_reward > Amount::ZERO && self.block_reward <= MAX_SUPPLY,
            "block_reward",
            self.block_reward.to_string(),
            format!("0.000001 to {MAX_SUPPLY} coins"),
        )?;
        check(
            self.target_block_seconds == 0
                || TARGET_BLOCK_SECONDS_RANGE.contains(&self.target_block_seconds),
            "target_block_seconds",
            self.target_block_seconds.to_string(),
            "0 (fixed difficulty) or 5 to 86400 seconds".to_owned(),
        )?;
        check(
            (MAX_BLOCK_BYTES_LEAST..=MAX_BLOCK_BYTES_LIMIT).contains(&self.max_block_bytes),
            "max_block_bytes",
            self.max_block_bytes.to_string(),
            format!("{MAX_BLOCK_BYTES_LEAST} to {MAX_BLOCK_BYTES_LIMIT} bytes"),
        )?;
        let most = self.most_block_transactions();
        check(
            self.block_size >= 1 && u64::from(self.block_size) <= most,
            "block_size",
            self.block_size.to_string(),
            format!(
                "1 to {most}, the reward counted, at max_block_bytes {}",
                self.max_block_bytes
            ),
        )
    }

    /// The most transactions, the reward counted, that a block can hold.
    fn most_block_transactions(&self) -> u64 {
        let room =
            u64::from(self.max_block_bytes).saturating_sub((HEADER_BYTES + REWARD_BYTES) as u64);
        let by_size = room / SMALLEST_TRANSACTION_BYTES as u64;
        let by_weight = u64::from(MAX_BLOCK_WEIGHT / Curve::P256.weight());
        by_size.min(by_weight) + 1
    }

    /// The id of genesis: SHA-256 over `"mvb/genesis"` ‖ rules_version u32 ‖ name length
    /// u8 ‖ name ‖ difficulty u8 ‖ block_size u32 ‖ block_reward u64 ‖
    /// target_block_seconds u32 ‖ max_block_bytes u32.
    pub fn genesis_id(&self) -> GenesisId {
        let name = self.network_name.as_bytes();
        GenesisId(sha256(&[
            b"mvb/genesis",
            &self.rules_version.to_be_bytes(),
            &[u8::try_from(name.len()).unwrap_or(u8::MAX)],
            name,
            &[self.difficulty],
            &self.block_size.to_be_bytes(),
            &self.block_reward.to_be_bytes(),
            &self.target_block_seconds.to_be_bytes(),
            &self.max_block_bytes.to_be_bytes(),
        ]))
    }

    /// The target that `difficulty` stands for, the easiest this chain allows.
    pub fn easiest_target(&self) -> CompactTarget {
        Target::from_difficulty(self.difficulty).to_compact()
    }

    /// How many milliseconds a block's timestamp may be ahead of the clock.
    pub fn max_future_ms(&self) -> u64 {
        match self.target_block_seconds {
            0 => MAX_FUTURE_MS,
            seconds => MAX_FUTURE_INTERVALS * 1_000 * u64::from(seconds),
        }
    }

    /// What the block at `height` creates before fees: `block_reward`, less once the
    /// supply runs out. Every block creates exactly this, so the sum of all before it
    /// follows from the height.
    pub fn subsidy(&self, height: Height) -> Amount {
        let blocks_before = height.0.saturating_sub(1);
        let issued = self.block_reward.units().saturating_mul(blocks_before);
        let left = MAX_SUPPLY.saturating_sub(Amount::from_units(issued));
        if crate::mutant!(SubsidyNeverEnds) {
            return self.block_reward;
        }
        self.block_reward.min(left)
    }

    /// The least number of payments a block at `height` needs beside its reward. The
    /// first block needs none, so that coins exist.
    pub fn least_payments(&self, height: Height) -> u32 {
        if height.0 <= 1 {
            0
        } else {
            self.block_size.saturating_sub(1)
        }
    }

    /// The parameters in which `other` differs, each as "name theirs, this network ours".
    pub fn differences(&self, other: &ChainParams) -> Vec<String> {
        let mut found = Vec::new();
        let mut compare = |name: &str, ours: String, theirs: String| {
            if ours != theirs {
                found.push(format!("{name} {theirs}, this network {ours}"));
            }
        };
        compare(
            "rules_version",
            self.rules_version.to_string(),
            other.rules_version.to_string(),
        );
        compare(
            "network_name",
            format!("{:?}", self.network_name),
            format!("{:?}", other.network_name),
        );
        compare(
            "difficulty",
            self.difficulty.to_string(),
            other.difficulty.to_string(),
        );
        compare(
            "block_size",
            self.block_size.to_string(),
            other.block_size.to_string(),
        );
        compare(
            "block_reward",
            self.block_reward.to_string(),
            other.block_reward.to_string(),
        );
        compare(
            "target_block_seconds",
            self.target_block_seconds.to_string(),
            other.target_block_seconds.to_string(),
        );
        compare(
            "max_block_bytes",
            self.max_block_bytes.to_string(),
            other.max_block_bytes.to_string(),
        );
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_parameter_that_differs_is_named_and_no_other() {
        let ours = ChainParams::default();
        assert_eq!(ours.differences(&ours), Vec::<String>::new());
        let theirs = ChainParams {
            rules_version: 2,
            network_name: "theirs".to_owned(),
            difficulty: 20,
            block_size: 3,
            block_reward: Amount::from_units(5_000_000),
            target_block_seconds: 5,
            max_block_bytes: 1_024,
        };
        let all = [
            "rules_version 2, this network 1",
            "network_name \"theirs\", this network \"mvb\"",
            "difficulty 20, this network 26",
            "block_size 3, this network 2",
            "block_reward 5, this network 10",
            "target_block_seconds 5, this network 0",
            "max_block_bytes 1024, this network 1048576",
        ];
        assert_eq!(ours.differences(&theirs), all);
        let one = ChainParams {
            difficulty: 20,
            ..ours.clone()
        };
        assert_eq!(ours.differences(&one), [all[2]]);
    }
}
