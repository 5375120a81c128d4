//! The difficulty adjustment: LWMA, a linearly weighted moving average of the last 60
//! solve times (zawy12's formula), computed in 512-bit integers with one division.
//!
//! With a block_size above 1 it also measures how often people pay: a chain that waits
//! for payments looks slow, so it falls back towards `difficulty` in quiet times.

use crate::{
    numbers::Timestamp,
    params::{ChainParams, RETARGET_WINDOW},
    target::{CompactTarget, Target},
};
use primitive_types::{U256, U512};

/// What LWMA reads of one block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetargetPoint {
    /// The header's timestamp.
    pub timestamp: Timestamp,
    /// The header's target.
    pub target: CompactTarget,
}

/// The target of the block after `recent`, which holds the last blocks of its chain, the
/// oldest first, genesis left out. With fewer than 61 blocks, or a target interval of 0,
/// it is the target of `difficulty`.
///
/// With T the interval in milliseconds, N = 60 and tᵢ the timestamps:
/// L = max(Σ i·min(6T, tᵢ − tᵢ₋₁), N²T/20), the oldest i being 1, and the next target is
/// floor(Σ targetsᵢ · L / (N·T·N(N+1)/2)), at most that of `difficulty`.
pub fn next_target(params: &ChainParams, recent: &[RetargetPoint]) -> CompactTarget {
    let easiest = params.easiest_target();
    let window = RETARGET_WINDOW as usize;
    if params.target_block_seconds == 0 || recent.len() <= window || crate::mutant!(RetargetOff) {
        return easiest;
    }
    let n = RETARGET_WINDOW;
    let interval = 1_000 * u64::from(params.target_block_seconds);
    let points = &recent[recent.len() - window - 1..];
    let weighted: u64 = points
        .windows(2)
        .zip(1u64..)
        .map(|(pair, i)| {
            let solve = pair[1].timestamp.0.saturating_sub(pair[0].timestamp.0);
            i * solve.min(6 * interval)
        })
        .sum();
    let weighted = weighted.max(n * n * interval / 20);
    let sum = points[1..]
        .iter()
        .filter_map(|point| point.target.expand())
        .fold(U512::zero(), |sum, target| sum + target.to_u512());
    let divisor = U512::from(n * interval) * U512::from(n * (n + 1) / 2);
    let next = sum * U512::from(weighted) / divisor;
    let cap = Target::from_difficulty(params.difficulty);
    match U256::try_from(next) {
        Ok(next) => Target::from_u256(next.max(U256::one()))
            .min(cap)
            .to_compact(),
        Err(_) => cap.to_compact(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params() -> ChainParams {
        ChainParams {
            target_block_seconds: 10,
            difficulty: 20,
            ..ChainParams::default()
        }
    }

    fn chain(blocks: u64, interval_ms: u64, difficulty: u8) -> Vec<RetargetPoint> {
        let target = Target::from_difficulty(difficulty).to_compact();
        (1..=blocks)
            .map(|i| RetargetPoint {
                timestamp: Timestamp(i * interval_ms),
                target,
            })
            .collect()
    }

    #[test]
    fn up_to_height_61_the_target_is_that_of_the_difficulty() {
        assert_eq!(
            next_target(&params(), &chain(60, 1, 30)),
            params().easiest_target()
        );
        assert_ne!(
            next_target(&params(), &chain(61, 1, 30)),
            params().easiest_target()
        );
    }

    #[test]
    fn blocks_on_time_keep_the_target() {
        let recent = chain(61, 10_000, 30);
        assert_eq!(next_target(&params(), &recent), recent[0].target);
    }

    #[test]
    fn fast_blocks_make_it_harder_by_at_most_ten_times() {
        let recent = chain(61, 1, 30);
        let ratio = next_target(&params(), &recent)
            .expand()
            .unwrap()
            .work()
            .as_f64()
            / recent[0].target.expand().unwrap().work().as_f64();
        assert!((10.0..10.3).contains(&ratio), "{ratio}");
    }

    #[test]
    fn slow_blocks_make_it_easier_but_never_below_the_difficulty() {
        let recent = chain(61, 20_000, 30);
        let work = |t: CompactTarget| t.expand().unwrap().work().as_f64();
        let ratio = work(recent[0].target) / work(next_target(&params(), &recent));
        assert!((1.99..2.01).contains(&ratio), "{ratio}");
        assert_eq!(
            next_target(&params(), &chain(61, 20_000, 20)),
            params().easiest_target()
        );
    }

    #[test]
    fn an_interval_of_zero_never_retargets() {
        let params = ChainParams {
            target_block_seconds: 0,
            ..params()
        };
        assert_eq!(
            next_target(&params, &chain(100, 1, 30)),
            params.easiest_target()
        );
    }
}
