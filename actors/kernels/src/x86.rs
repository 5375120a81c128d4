//! The vectors of x86 without AVX-512: sixteen registers, logic of two inputs, and no
//! rotation, which takes two shifts and an exclusive or. SSE2, which every 64-bit x86 has, and
//! AVX2 with twice the lanes.

use crate::{
    rounds,
    vector::{MAX_LANES, Vector},
    work::{Hit, Work},
};
use std::arch::x86_64::*;

/// Searches one root at a time, which is as many as sixteen registers hold.
#[target_feature(enable = "avx2")]
pub(crate) fn search_avx2(work: &Work, first: u32, count: u32, hits: &mut Vec<Hit>) {
    rounds::search::<Avx2, 1>(work, first, count, hits);
}

/// Four words.
#[derive(Clone, Copy)]
pub(crate) struct Sse2(__m128i);

/// Eight words. Values are made in functions with `avx2` only.
#[derive(Clone, Copy)]
pub(crate) struct Avx2(__m256i);

/// Intrinsics of either.
macro_rules! simd {
    ($call:expr) => {{
        // SAFETY: SSE2 is part of the architecture; the methods of the AVX2 vector are called,
        // through `rounds`, by functions with that target feature only, into which they are
        // inlined. Pointers are to as many words as are loaded or stored, which asks for no
        // alignment.
        #[allow(
            unsafe_code,
            unused_unsafe,
            reason = "a trait's method cannot have target features"
        )]
        unsafe {
            $call
        }
    }};
}

/// The vector of one width.
macro_rules! vector {
    (
        $vector:ident, $lanes:literal, $set1:ident, $loadu:ident, $storeu:ident, $interleave:ident,
        $add:ident, $srl:ident, $sll:ident, $xor:ident, $and:ident, $cmpgt:ident,
        $movemask:ident, $as_floats:ident
    ) => {
        impl Vector for $vector {
            const LANES: usize = $lanes;

            #[inline(always)]
            fn splat(word: u32) -> Self {
                Self(simd!($set1(word as i32)))
            }

            #[inline(always)]
            fn counting() -> Self {
                Self::load(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15])
            }

            #[inline(always)]
            fn load(words: &[u32; MAX_LANES]) -> Self {
                Self(simd!($loadu(words.as_ptr().cast())))
            }

            #[inline(always)]
            fn interleave(self, other: Self, pairs: &mut [u64; MAX_LANES]) {
                simd!({
                    let (low, high) = $interleave(self.0, other.0);
                    $storeu(pairs.as_mut_ptr().cast(), low);
                    $storeu(pairs.as_mut_ptr().add($lanes / 2).cast(), high);
                });
            }

            #[inline(always)]
            fn add(self, other: Self) -> Self {
                Self(simd!($add(self.0, other.0)))
            }

            #[inline(always)]
            fn rotations<const A: i32, const B: i32, const C: i32>(self) -> Self {
                let ab = self.rotate::<A>().xor(self.rotate::<B>());
                ab.xor(self.rotate::<C>())
            }

            #[inline(always)]
            fn rotations_and_shift<const A: i32, const B: i32, const C: u32>(self) -> Self {
                let ab = self.rotate::<A>().xor(self.rotate::<B>());
                ab.xor(Self(simd!($srl(self.0, _mm_cvtsi32_si128(C as i32)))))
            }

            #[inline(always)]
            fn choose(self, f: Self, g: Self) -> Self {
                g.xor(self.and(f.xor(g)))
            }

            #[inline(always)]
            fn majority(self, b: Self, c: Self) -> Self {
                // The optimiser sees that this is the next round's first term, and computes
                // it once.
                let b_or_c_differs = b.xor(c);
                b.xor(self.xor(b).and(b_or_c_differs))
            }

            #[inline(always)]
            fn at_most(self, limit: Self) -> u32 {
                // There is but a signed comparison: flip the highest bits.
                let sign = Self::splat(0x8000_0000);
                let (words, limit) = (self.xor(sign), limit.xor(sign));
                let above = simd!($movemask($as_floats($cmpgt(words.0, limit.0)))) as u32;
                !above & (u32::MAX >> (32 - $lanes))
            }
        }

        impl $vector {
            /// A rotation as two shifts; their sum is their exclusive or.
            #[inline(always)]
            fn rotate<const BITS: i32>(self) -> Self {
                simd!({
                    let right = $srl(self.0, _mm_cvtsi32_si128(BITS));
                    let left = $sll(self.0, _mm_cvtsi32_si128(32 - BITS));
                    Self($xor(right, left))
                })
            }

            #[inline(always)]
            fn xor(self, other: Self) -> Self {
                Self(simd!($xor(self.0, other.0)))
            }

            #[inline(always)]
            fn and(self, other: Self) -> Self {
                Self(simd!($and(self.0, other.0)))
            }
        }
    };
}

vector!(
    Sse2,
    4,
    _mm_set1_epi32,
    _mm_loadu_si128,
    _mm_storeu_si128,
    interleave128,
    _mm_add_epi32,
    _mm_srl_epi32,
    _mm_sll_epi32,
    _mm_xor_si128,
    _mm_and_si128,
    _mm_cmpgt_epi32,
    _mm_movemask_ps,
    _mm_castsi128_ps
);

vector!(
    Avx2,
    8,
    _mm256_set1_epi32,
    _mm256_loadu_si256,
    _mm256_storeu_si256,
    interleave256,
    _mm256_add_epi32,
    _mm256_srl_epi32,
    _mm256_sll_epi32,
    _mm256_xor_si256,
    _mm256_and_si256,
    _mm256_cmpgt_epi32,
    _mm256_movemask_ps,
    _mm256_castsi256_ps
);

/// Each word of `low` with that of `high` above it, in order, in two halves.
#[inline(always)]
fn interleave128(low: __m128i, high: __m128i) -> (__m128i, __m128i) {
    simd!((_mm_unpacklo_epi32(low, high), _mm_unpackhi_epi32(low, high)))
}

/// The same for twice as many, which AVX2 interleaves by halves of a register.
#[inline]
#[target_feature(enable = "avx2")]
fn interleave256(low: __m256i, high: __m256i) -> (__m256i, __m256i) {
    let even = _mm256_unpacklo_epi32(low, high);
    let odd = _mm256_unpackhi_epi32(low, high);
    (
        _mm256_permute2x128_si256::<0x20>(even, odd),
        _mm256_permute2x128_si256::<0x31>(even, odd),
    )
}
