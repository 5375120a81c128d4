//! Targets, work, retargeting and Merkle roots against twins that do it the slow way.

use crate::Random;
use mvb_protocol::{
    hash::{BlockId, Wid, sha256},
    merkle::merkle_root,
    numbers::Timestamp,
    params::ChainParams,
    retarget::{RetargetPoint, next_target},
    target::{CompactTarget, Target},
};
use std::cmp::Ordering;

/// An unbounded number: base-256 digits, the least first, without leading zeros.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Big(Vec<u8>);

impl Big {
    pub fn new(mut digits: Vec<u8>) -> Self {
        while digits.last() == Some(&0) {
            digits.pop();
        }
        Self(digits)
    }

    pub fn from_u128(value: u128) -> Self {
        Self::new(value.to_le_bytes().to_vec())
    }

    pub fn from_be(bytes: &[u8]) -> Self {
        Self::new(bytes.iter().rev().copied().collect())
    }

    pub fn two_to(power: usize) -> Self {
        let mut digits = vec![0; power / 8 + 1];
        digits[power / 8] = 1 << (power % 8);
        Self(digits)
    }

    pub fn add(&self, other: &Self) -> Self {
        let mut carry = 0;
        let digits = (0..=self.0.len().max(other.0.len())).map(|i| {
            let digit = |number: &Self| u16::from(number.0.get(i).copied().unwrap_or(0));
            let sum = digit(self) + digit(other) + carry;
            carry = sum >> 8;
            sum as u8
        });
        Self::new(digits.collect())
    }

    pub fn multiply(&self, other: &Self) -> Self {
        let mut sum = Self(Vec::new());
        for (i, a) in self.0.iter().enumerate() {
            let mut carry = 0u16;
            let mut row = vec![0; i];
            for b in &other.0 {
                let product = u16::from(*a) * u16::from(*b) + carry;
                row.push(product as u8);
                carry = product >> 8;
            }
            row.push(carry as u8);
            sum = sum.add(&Self::new(row));
        }
        sum
    }

    pub fn compare(&self, other: &Self) -> Ordering {
        let length = self.0.len().cmp(&other.0.len());
        length.then_with(|| self.0.iter().rev().cmp(other.0.iter().rev()))
    }

    pub fn subtract(&self, other: &Self) -> Self {
        let mut borrow = 0;
        let digits = self.0.iter().enumerate().map(|(i, a)| {
            let digit = i16::from(*a) - i16::from(other.0.get(i).copied().unwrap_or(0)) - borrow;
            borrow = i16::from(digit < 0);
            digit.rem_euclid(256) as u8
        });
        Self::new(digits.collect())
    }

    /// The floor of the quotient, digit by digit.
    pub fn divide(&self, divisor: &Self) -> Self {
        let (mut rest, mut quotient) = (Self(Vec::new()), vec![0; self.0.len()]);
        for i in (0..self.0.len()).rev() {
            rest.0.insert(0, self.0[i]);
            rest = Self::new(rest.0);
            while rest.compare(divisor) != Ordering::Less {
                rest = rest.subtract(divisor);
                quotient[i] += 1;
            }
        }
        Self::new(quotient)
    }

    pub fn decimal(&self) -> String {
        let (ten, mut rest, mut digits) = (Self(vec![10]), self.clone(), String::new());
        while !rest.0.is_empty() {
            let next = rest.divide(&ten);
            let digit = rest.subtract(&next.multiply(&ten));
            digits.insert(0, char::from(b'0' + digit.0.first().copied().unwrap_or(0)));
            rest = next;
        }
        digits
    }

    /// The number that a compact form stands for, whether it may be written so or not.
    pub fn from_compact(compact: u32) -> Self {
        let mut digits = vec![0; (compact >> 24) as usize];
        digits.extend((compact & 0x00ff_ffff).to_le_bytes());
        Self::new(digits.split_off(3))
    }

    /// The compact form, read off the digits.
    pub fn compact(&self) -> u32 {
        let mut size = self.0.len() as u32;
        let digit = |from_top: usize| {
            let index = self.0.len().checked_sub(from_top + 1);
            u32::from(index.map_or(0, |index| self.0[index]))
        };
        let mut digits = digit(0) << 16 | digit(1) << 8 | digit(2);
        if digit(0) >= 0x80 {
            digits >>= 8;
            size += 1;
        }
        size << 24 | digits
    }
}

fn random_compact(random: &mut Random) -> CompactTarget {
    loop {
        let size = 1 + random.below(33) as u32;
        let compact = CompactTarget(size << 24 | random.below(1 << 23) as u32);
        if compact.expand().is_some() {
            return compact;
        }
    }
}

/// Expanding and compacting are inverse where they are defined; the comparison with an id and
/// the work are those of unbounded numbers.
pub fn targets_are_those_of_unbounded_numbers(seed: u64) {
    let mut random = Random::new(seed);
    let any = CompactTarget(random.next() as u32);
    if let Some(target) = any.expand() {
        assert_eq!(target.to_compact(), any);
    }
    let compact = random_compact(&mut random);
    let target = compact.expand().expect("chosen so");
    let bytes = target.to_be_bytes();
    let big = Big::from_be(&bytes);
    assert_eq!(big.compact(), compact.0);
    assert_eq!(Big::from_compact(compact.0), big);

    let mut id = BlockId(sha256(&[&seed.to_be_bytes()]));
    let same = random.below(33) as usize;
    id.0[..same].copy_from_slice(&bytes[..same]);
    let below = Big::from_be(&id.0).compare(&big) == Ordering::Less;
    assert_eq!(target.is_met_by(&id), below);
    assert_eq!(id.0 < bytes, below, "a search may compare bytes");

    let most = Big::two_to(256).subtract(&Big(vec![1]));
    let mut work = Big::two_to(256).divide(&big);
    if work.compare(&most) == Ordering::Greater {
        work = most;
    }
    assert_eq!(target.work().to_string(), work.decimal());
}

/// LWMA is the formula of unbounded numbers, is bounded by its inputs, and reads the last 61.
pub fn retargeting_is_that_of_unbounded_numbers(seed: u64) {
    let mut random = Random::new(seed);
    let longest = random.pick(&[5, 100, 86_396]);
    let seconds = 5 + random.below(longest) as u32;
    let params = ChainParams {
        difficulty: 1 + random.below(64) as u8,
        target_block_seconds: seconds,
        ..ChainParams::default()
    };
    let interval = 1_000 * u64::from(seconds);
    let easiest = Target::from_difficulty(params.difficulty);
    let mut time = random.below(2) * random.next() / 2;
    let recent: Vec<RetargetPoint> = (0..60 + random.below(4))
        .map(|_| {
            let most = random.pick(&[2, interval, 2 * interval, 20 * interval]);
            time = time.saturating_add(1 + random.below(most));
            let target = random_compact(&mut random)
                .expand()
                .expect("chosen so")
                .min(easiest);
            RetargetPoint {
                timestamp: Timestamp(time),
                target: target.to_compact(),
            }
        })
        .collect();
    let next = next_target(&params, &recent);
    if recent.len() <= 60 {
        assert_eq!(next, easiest.to_compact());
        return;
    }
    let points: Vec<(u64, u32)> = recent
        .iter()
        .map(|point| (point.timestamp.0, point.target.0))
        .collect();
    assert_eq!(next.0, next_target_of_unbounded_numbers(&params, &points));

    // Whatever the timestamps say, one step is at most six times easier than the window's mean
    // and at most 30.5 / 3 times harder.
    let mean_times_60 = recent[recent.len() - 60..]
        .iter()
        .fold(Big(Vec::new()), |sum, point| sum.add(&number_of(*point)));
    let next = Big::from_be(&next.expand().expect("canonical").to_be_bytes());
    let easier = next
        .multiply(&Big(vec![60]))
        .compare(&mean_times_60.multiply(&Big(vec![6])));
    assert!(
        easier != Ordering::Greater || next == Big(vec![1]),
        "more than six times easier"
    );
}

fn number_of(point: RetargetPoint) -> Big {
    Big::from_be(&point.target.expand().expect("chosen so").to_be_bytes())
}

/// The compact target after blocks of these timestamps and targets, the oldest first, by the
/// formula of PROTOCOL.md in numbers without limits.
pub fn next_target_of_unbounded_numbers(params: &ChainParams, chain: &[(u64, u32)]) -> u32 {
    let cap = Big::two_to(256 - usize::from(params.difficulty));
    if params.target_block_seconds == 0 || chain.len() <= 60 {
        return cap.compact();
    }
    let t = 1_000 * u128::from(params.target_block_seconds);
    let last = &chain[chain.len() - 61..];
    let mut weighted = 0u128;
    let mut sum = Big(Vec::new());
    for i in 1..=60 {
        let solve = u128::from(last[i].0) - u128::from(last[i - 1].0);
        weighted += i as u128 * solve.min(6 * t);
        sum = sum.add(&Big::from_compact(last[i].1));
    }
    let weighted = weighted.max(3_600 * t / 20);
    let product = sum.multiply(&Big::from_u128(weighted));
    let mut next = product.divide(&Big::from_u128(60 * t * 1_830));
    if next.compare(&cap) == Ordering::Greater {
        next = cap;
    }
    if next.0.is_empty() {
        next = Big(vec![1]);
    }
    next.compact()
}

/// The Merkle root is that of a twin which folds from the left instead of splitting.
pub fn merkle_roots_are_those_of_a_stack(seed: u64) {
    let mut random = Random::new(seed);
    let leaves: Vec<Wid> = (0..random.below(70))
        .map(|i| Wid(sha256(&[&seed.to_be_bytes(), &i.to_be_bytes()])))
        .collect();
    assert_eq!(merkle_root(&leaves), merkle_root_of_a_stack(&leaves));
}

/// The Merkle root, from perfect trees of falling size that are joined from the right, as
/// RFC 9162 appends.
pub fn merkle_root_of_a_stack(leaves: &[Wid]) -> [u8; 32] {
    let mut stack: Vec<(u32, [u8; 32])> = Vec::new();
    for leaf in leaves {
        let mut tree = (0, leaf.0);
        while stack.last().is_some_and(|(level, _)| *level == tree.0) {
            let (level, left) = stack.pop().expect("just seen");
            tree = (level + 1, sha256(&[&[1], &left, &tree.1]));
        }
        stack.push(tree);
    }
    stack
        .into_iter()
        .map(|(_, root)| root)
        .rev()
        .reduce(|right, left| sha256(&[&[1], &left, &right]))
        .unwrap_or_else(|| sha256(&[]))
}
