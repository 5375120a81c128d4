//! The vector that needs no particular CPU: an array with plain loops over it, which the
//! compiler turns into SIMD under every instruction set that has any (SSE2, NEON, AVX2). The
//! portable kernel is the search over it; other kernels use it with more lanes.

use crate::{
    rounds,
    vector::Vector,
    work::{Hit, Work},
};

/// As many lanes as SSE2 and NEON have.
pub(crate) const LANES: usize = 4;

/// The portable kernel's search.
pub(crate) fn search(work: &Work, first: u32, count: u32, hits: &mut Vec<Hit>) {
    rounds::search::<Plain<LANES>, 1>(work, first, count, hits);
}

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
    fn add(self, other: Self) -> Self {
        self.each(other, other, |a, b, _| a.wrapping_add(b))
    }

    #[inline(always)]
    fn rotate<const BITS: i32>(self) -> Self {
        self.each(self, self, |a, _, _| a.rotate_right(BITS as u32))
    }

    #[inline(always)]
    fn shift<const BITS: i32>(self) -> Self {
        self.each(self, self, |a, _, _| a >> BITS)
    }

    #[inline(always)]
    fn xor3(self, second: Self, third: Self) -> Self {
        self.each(second, third, |a, b, c| a ^ b ^ c)
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
