//! The vector of 64-bit Arm: NEON, which every such processor has.

use crate::vector::{MAX_LANES, Vector};
use std::arch::aarch64::*;

/// Four words.
#[derive(Clone, Copy)]
pub(crate) struct Neon(uint32x4_t);

/// NEON intrinsics.
macro_rules! neon {
    ($call:expr) => {{
        // SAFETY: NEON is part of the architecture. Pointers are to as many words as are loaded
        // or stored, which asks for no more than their own alignment.
        #[allow(
            unsafe_code,
            unused_unsafe,
            reason = "loads and stores are by pointers, and some intrinsics are marked unsafe"
        )]
        unsafe {
            $call
        }
    }};
}

/// A rotation: shifted left, and the bits that fell off inserted from the right.
macro_rules! rotated {
    ($words:expr, $bits:ident) => {
        match $bits {
            2 => neon!(vsriq_n_u32::<2>(vshlq_n_u32::<30>($words), $words)),
            6 => neon!(vsriq_n_u32::<6>(vshlq_n_u32::<26>($words), $words)),
            7 => neon!(vsriq_n_u32::<7>(vshlq_n_u32::<25>($words), $words)),
            11 => neon!(vsriq_n_u32::<11>(vshlq_n_u32::<21>($words), $words)),
            13 => neon!(vsriq_n_u32::<13>(vshlq_n_u32::<19>($words), $words)),
            17 => neon!(vsriq_n_u32::<17>(vshlq_n_u32::<15>($words), $words)),
            18 => neon!(vsriq_n_u32::<18>(vshlq_n_u32::<14>($words), $words)),
            19 => neon!(vsriq_n_u32::<19>(vshlq_n_u32::<13>($words), $words)),
            22 => neon!(vsriq_n_u32::<22>(vshlq_n_u32::<10>($words), $words)),
            25 => neon!(vsriq_n_u32::<25>(vshlq_n_u32::<7>($words), $words)),
            _ => unreachable!("SHA-256 rotates by these distances"),
        }
    };
}

impl Vector for Neon {
    const LANES: usize = 4;

    #[inline(always)]
    fn splat(word: u32) -> Self {
        Self(neon!(vdupq_n_u32(word)))
    }

    #[inline(always)]
    fn counting() -> Self {
        Self(neon!(vld1q_u32([0, 1, 2, 3].as_ptr())))
    }

    #[inline(always)]
    fn load(words: &[u32; MAX_LANES]) -> Self {
        Self(neon!(vld1q_u32(words.as_ptr())))
    }

    #[inline(always)]
    fn interleave(self, other: Self, pairs: &mut [u64; MAX_LANES]) {
        neon!({
            let low = vzip1q_u32(self.0, other.0);
            let high = vzip2q_u32(self.0, other.0);
            vst1q_u64(pairs.as_mut_ptr(), vreinterpretq_u64_u32(low));
            vst1q_u64(pairs.as_mut_ptr().add(2), vreinterpretq_u64_u32(high));
        });
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        Self(neon!(vaddq_u32(self.0, other.0)))
    }

    #[inline(always)]
    fn rotations<const A: i32, const B: i32, const C: i32>(self) -> Self {
        let (a, b, c) = (
            rotated!(self.0, A),
            rotated!(self.0, B),
            rotated!(self.0, C),
        );
        Self(neon!(veorq_u32(veorq_u32(a, b), c)))
    }

    #[inline(always)]
    fn rotations_and_shift<const A: i32, const B: i32, const C: u32>(self) -> Self {
        let (a, b) = (rotated!(self.0, A), rotated!(self.0, B));
        let right = neon!(vshlq_u32(self.0, vdupq_n_s32(-(C as i32))));
        Self(neon!(veorq_u32(veorq_u32(a, b), right)))
    }

    #[inline(always)]
    fn choose(self, f: Self, g: Self) -> Self {
        Self(neon!(vbslq_u32(self.0, f.0, g.0)))
    }

    #[inline(always)]
    fn majority(self, b: Self, c: Self) -> Self {
        // Where the first two differ the third decides.
        Self(neon!(vbslq_u32(veorq_u32(self.0, b.0), c.0, b.0)))
    }

    #[inline(always)]
    fn at_most(self, limit: Self) -> u32 {
        neon!({
            let bits = vld1q_u32([1, 2, 4, 8].as_ptr());
            vaddvq_u32(vandq_u32(vcleq_u32(self.0, limit.0), bits))
        })
    }
}
