//! The AVX-512 kernel: sixteen nonces in a register, rotations and three-input logic in one
//! instruction each. Also the same instructions on half registers, for the kernel that mixes
//! them with others.

use crate::{
    rounds::{Expanded, Group, begin},
    vector::{MAX_LANES, Vector},
    work::{Hit, Work},
};
use std::arch::{asm, x86_64::*};

/// Searches two roots abreast, which is as many as 32 registers hold.
#[target_feature(enable = "avx512f")]
pub(crate) fn search(work: &Work, first: u32, count: u32, hits: &mut Vec<Hit>) {
    let mut expanded = Expanded::<Avx512>::new(work);
    let mut offset = 0;
    while offset < count {
        let group = Group::new(work, first, count, offset);
        expanded.expand(work, group.nonces);
        let mut root = 0;
        while root + 2 <= work.roots.len() {
            let states = [root, root + 1].map(|root| begin(&work.roots[root], group.nonces));
            let tops = rounds(states, &expanded);
            group.inspect(work, root, tops[0], hits);
            group.inspect(work, root + 1, tops[1], hits);
            root += 2;
        }
        group.search::<1>(work, root, &expanded, hits);
        // The last group may reach past `count`, and `count` may be the largest number.
        offset = offset.saturating_add(Avx512::LANES as u32);
    }
}

/// A root's state, with its last word `h` summed with the round's schedule word already.
type State = [Avx512; 8];

/// Rounds 8 to 63 of two roots, given their states before; their highest words after.
#[inline]
#[target_feature(enable = "avx512f")]
fn rounds([mut one, mut two]: [State; 2], expanded: &Expanded<Avx512>) -> [Avx512; 2] {
    let summed = &expanded.summed;
    one[7] = one[7].add(summed[8]);
    two[7] = two[7].add(summed[8]);
    macro_rules! rounds {
        ($t:expr; $($k:literal)*) => {$(
            // The last round needs no sum for a next one.
            (one, two) = round(one, two, &summed[($t + $k + 1).min(63)]);
        )*};
    }
    // Nine rounds bring every word back to its register: eight, and one that is being made.
    for set in 0..6 {
        rounds!(8 + 9 * set; 0 1 2 3 4 5 6 7 8);
    }
    rounds!(62; 0 1);
    [one[0], two[0]]
}

/// One round of two roots, instruction by instruction in turns, given the sum for the next. In
/// assembly, because the order decides how the processor shares its four vector pipes out:
/// rotations run in two of them only, and in the compiler's order wait for each other there. This
/// order is the best of several hundred that were tried on Zen 4.
#[inline]
#[target_feature(enable = "avx512f")]
fn round(one: State, two: State, next: &Avx512) -> (State, State) {
    let [a, b, c, mut d, e, f, g, mut h] = one.map(|word| word.0);
    let [i, j, k, mut l, m, n, o, mut p] = two.map(|word| word.0);
    let (y, z): (__m512i, __m512i);
    // SAFETY: the instructions are of the target feature, read the vector that is borrowed here,
    // and write the registers they are given.
    #[allow(unsafe_code, reason = "only assembly keeps the order")]
    unsafe {
        asm!(
            // Sigma 1 of `e`, and the first rotation of `a`.
            "vprord {e25}, {e}, 25", "vprord {m25}, {m}, 25",
            "vprord {e11}, {e}, 11", "vprord {m11}, {m}, 11",
            "vprord {e6}, {e}, 6", "vprord {m6}, {m}, 6",
            "vprord {a22}, {a}, 22", "vprord {i22}, {i}, 22",
            "vmovdqa64 {c2}, {c}", "vmovdqa64 {k2}, {k}",
            // `g` is the next round's `h`; then Ch takes its place.
            "vpaddd {y}, {g}, [{next}]", "vpaddd {z}, {o}, [{next}]",
            "vpternlogd {g}, {e}, {f}, 0xb8", "vpternlogd {o}, {m}, {n}, 0xb8",
            "vpternlogd {e6}, {e11}, {e25}, 0x96", "vpternlogd {m6}, {m11}, {m25}, 0x96",
            "vpaddd {h}, {h}, {g}", "vpaddd {p}, {p}, {o}",
            "vprord {a13}, {a}, 13", "vprord {i13}, {i}, 13",
            "vpaddd {h}, {h}, {e6}", "vpaddd {p}, {p}, {m6}",
            "vprord {a2}, {a}, 2", "vprord {i2}, {i}, 2",
            "vpaddd {d}, {d}, {h}", "vpaddd {l}, {l}, {p}",
            // Maj, and sigma 0 of `a`.
            "vpternlogd {c2}, {a}, {b}, 0xe8", "vpternlogd {k2}, {i}, {j}, 0xe8",
            "vpternlogd {a2}, {a13}, {a22}, 0x96", "vpternlogd {i2}, {i13}, {i22}, 0x96",
            "vpaddd {a2}, {a2}, {c2}", "vpaddd {i2}, {i2}, {k2}",
            "vpaddd {h}, {h}, {a2}", "vpaddd {p}, {p}, {i2}",
            next = in(reg) next,
            a = in(zmm_reg) a, b = in(zmm_reg) b, c = in(zmm_reg) c, d = inout(zmm_reg) d,
            e = in(zmm_reg) e, f = in(zmm_reg) f, g = inout(zmm_reg) g => _,
            h = inout(zmm_reg) h, y = out(zmm_reg) y,
            e6 = out(zmm_reg) _, e11 = out(zmm_reg) _, e25 = out(zmm_reg) _,
            a2 = out(zmm_reg) _, a13 = out(zmm_reg) _, a22 = out(zmm_reg) _, c2 = out(zmm_reg) _,
            i = in(zmm_reg) i, j = in(zmm_reg) j, k = in(zmm_reg) k, l = inout(zmm_reg) l,
            m = in(zmm_reg) m, n = in(zmm_reg) n, o = inout(zmm_reg) o => _,
            p = inout(zmm_reg) p, z = out(zmm_reg) z,
            m6 = out(zmm_reg) _, m11 = out(zmm_reg) _, m25 = out(zmm_reg) _,
            i2 = out(zmm_reg) _, i13 = out(zmm_reg) _, i22 = out(zmm_reg) _, k2 = out(zmm_reg) _,
            options(pure, readonly, nostack, preserves_flags),
        );
    }
    let one = [h, a, b, c, d, e, f, y];
    let two = [p, i, j, k, l, m, n, z];
    (one.map(Avx512), two.map(Avx512))
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
