//! The vector of architectures that have none of their own here: an array, with plain loops
//! over it. The tests compare it with those that have.

use crate::vector::{MAX_LANES, Vector};

/// `N` words.
#[derive(Clone, Copy)]
pub(crate) struct Plain<const N: usize>([u32; N]);

impl<const N: usize> Plain<N> {
    /// Applies a word's operation to each lane of three vectors.
    #[inline(always)]
    fn each(self, b: Self, c: Self, apply: impl Fn(u32, u32, u32) -> u32) -> Self {
        let mut result = [0; N];
        for i in 0..N {
            result[i] = apply(self.0[i], b.0[i], c.0[i]);
        }
        Self(result)
    }
}

impl<const N: usize> Vector for Plain<N> {
    const LANES: usize = N;

    #[inline(always)]
    fn splat(word: u32) -> Self {
        Self([word; N])
    }

    #[inline(always)]
    fn counting() -> Self {
        let mut lanes = [0; N];
        for i in 0..N {
            lanes[i] = i as u32;
        }
        Self(lanes)
    }

    #[inline(always)]
    fn load(words: &[u32; MAX_LANES]) -> Self {
        let mut lanes = [0; N];
        lanes.copy_from_slice(&words[..N]);
        Self(lanes)
    }

    #[inline(always)]
    fn interleave(self, other: Self, pairs: &mut [u64; MAX_LANES]) {
        for i in 0..N {
            pairs[i] = u64::from(self.0[i]) | u64::from(other.0[i]) << 32;
        }
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        self.each(other, other, |a, b, _| a.wrapping_add(b))
    }

    #[inline(always)]
    fn rotations<const A: i32, const B: i32, const C: i32>(self) -> Self {
        self.each(self, self, |x, _, _| {
            x.rotate_right(A as u32) ^ x.rotate_right(B as u32) ^ x.rotate_right(C as u32)
        })
    }

    #[inline(always)]
    fn rotations_and_shift<const A: i32, const B: i32, const C: u32>(self) -> Self {
        self.each(self, self, |x, _, _| {
            x.rotate_right(A as u32) ^ x.rotate_right(B as u32) ^ (x >> C)
        })
    }

    #[inline(always)]
    fn choose(self, f: Self, g: Self) -> Self {
        self.each(f, g, |e, f, g| g ^ (e & (f ^ g)))
    }

    #[inline(always)]
    fn majority(self, b: Self, c: Self) -> Self {
        self.each(b, c, |a, b, c| (a & b) | (c & (a | b)))
    }

    #[inline(always)]
    fn at_most(self, limit: Self) -> u32 {
        let mut bits = 0;
        for i in 0..N {
            bits |= u32::from(self.0[i] <= limit.0[i]) << i;
        }
        bits
    }
}
