//! The AVX-512 kernel: sixteen nonces in a register, rotations and three-input logic in one
//! instruction each. Also the same instructions on half registers, for the kernel that mixes
//! them with others.

use crate::{
    rounds,
    vector::{MAX_LANES, Vector},
    work::{Hit, Work},
};
use std::arch::x86_64::*;

/// Searches two roots abreast, which is as many as 32 registers hold.
#[target_feature(enable = "avx512f")]
pub(crate) fn search(work: &Work, first: u32, count: u32, hits: &mut Vec<Hit>) {
    rounds::search::<Avx512, 2>(work, first, count, hits);
}

/// Sixteen words. Values are made in functions with `avx512f` only.
#[derive(Clone, Copy)]
pub(crate) struct Avx512(__m512i);

/// Eight words. Values are made in functions with `avx512f` and `avx512vl` only.
#[derive(Clone, Copy)]
pub(crate) struct Avx512Half(__m256i);

/// An intrinsic that needs AVX-512.
macro_rules! avx512 {
    ($call:expr) => {{
        // SAFETY: the methods of these vectors are called, through `rounds`, by functions with
        // the target features they name only, into which they are inlined. Pointers are to as
        // many words as are loaded or stored, which asks for no alignment.
        #[allow(unsafe_code, reason = "a trait's method cannot have target features")]
        unsafe {
            $call
        }
    }};
}

/// The vector of one width.
macro_rules! vector {
    (
        $vector:ident, $lanes:literal, $register:ident, $set1:ident, $loadu:ident, $storeu:ident,
        $permutex2:ident, $add:ident, $ror:ident, $srli:ident, $ternary:ident, $cmple:ident
    ) => {
        impl Vector for $vector {
            const LANES: usize = $lanes;

            #[inline(always)]
            fn splat(word: u32) -> Self {
                Self(avx512!($set1(word as i32)))
            }

            #[inline(always)]
            fn counting() -> Self {
                Self::load(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15])
            }

            #[inline(always)]
            fn load(words: &[u32; MAX_LANES]) -> Self {
                Self(avx512!($loadu(words.as_ptr().cast())))
            }

            #[inline(always)]
            fn interleave(self, other: Self, pairs: &mut [u64; MAX_LANES]) {
                const N: i32 = $lanes;
                let mut low = [0; MAX_LANES];
                for i in 0..MAX_LANES {
                    low[i] = i as u32 / 2 + if i % 2 == 1 { N as u32 } else { 0 };
                }
                let low = Self::load(&low);
                let high = low.add(Self::splat(N as u32 / 2));
                avx512!({
                    let at: *mut $register = pairs.as_mut_ptr().cast();
                    $storeu(at.cast(), $permutex2(self.0, low.0, other.0));
                    $storeu(at.add(1).cast(), $permutex2(self.0, high.0, other.0));
                });
            }

            #[inline(always)]
            fn add(self, other: Self) -> Self {
                Self(avx512!($add(self.0, other.0)))
            }

            #[inline(always)]
            fn rotations<const A: i32, const B: i32, const C: i32>(self) -> Self {
                Self(avx512!($ternary::<0x96>(
                    $ror::<A>(self.0),
                    $ror::<B>(self.0),
                    $ror::<C>(self.0)
                )))
            }

            #[inline(always)]
            fn rotations_and_shift<const A: i32, const B: i32, const C: u32>(self) -> Self {
                Self(avx512!($ternary::<0x96>(
                    $ror::<A>(self.0),
                    $ror::<B>(self.0),
                    $srli::<C>(self.0)
                )))
            }

            #[inline(always)]
            fn choose(self, f: Self, g: Self) -> Self {
                Self(avx512!($ternary::<0xca>(self.0, f.0, g.0)))
            }

            #[inline(always)]
            fn majority(self, b: Self, c: Self) -> Self {
                Self(avx512!($ternary::<0xe8>(self.0, b.0, c.0)))
            }

            #[inline(always)]
            fn at_most(self, limit: Self) -> u32 {
                u32::from(avx512!($cmple(self.0, limit.0)))
            }
        }
    };
}

vector!(
    Avx512,
    16,
    __m512i,
    _mm512_set1_epi32,
    _mm512_loadu_si512,
    _mm512_storeu_si512,
    _mm512_permutex2var_epi32,
    _mm512_add_epi32,
    _mm512_ror_epi32,
    _mm512_srli_epi32,
    _mm512_ternarylogic_epi32,
    _mm512_cmple_epu32_mask
);

vector!(
    Avx512Half,
    8,
    __m256i,
    _mm256_set1_epi32,
    _mm256_loadu_si256,
    _mm256_storeu_si256,
    _mm256_permutex2var_epi32,
    _mm256_add_epi32,
    _mm256_ror_epi32,
    srli256,
    _mm256_ternarylogic_epi32,
    _mm256_cmple_epu32_mask
);

/// The shift of half registers counts in another type than that of whole ones.
#[inline]
#[target_feature(enable = "avx2")]
fn srli256<const BITS: u32>(words: __m256i) -> __m256i {
    _mm256_srl_epi32(words, _mm_cvtsi32_si128(BITS as i32))
}
