//! The SHA-NI kernel: one instruction does two rounds of one nonce. It takes four cycles, but
//! a new one can begin each cycle or two, so several roots run abreast; they share the nonce
//! and with it the instruction's third operand, the schedule.

use crate::{
    rounds::{Expanded, Group},
    vector::{MAX_LANES, Vector},
    work::{Hit, Root, Work},
    x86::Sse2,
};
use std::arch::{asm, x86_64::*};

/// Nonces whose schedule is expanded together.
pub(crate) const LANES: usize = Sse2::LANES;

/// Roots abreast: each takes two of sixteen registers, and one is the schedule's.
pub(crate) const STREAMS: usize = 4;

/// The schedule of a group of nonces from round 8 on, two rounds together: by pair of rounds,
/// then by nonce.
pub(crate) type Pairs = [[u64; MAX_LANES]; 28];

/// Of each stream, the highest word of the state at the end, by nonce.
pub(crate) type Tops = [[u32; MAX_LANES]; STREAMS];

/// Searches with SHA-NI alone.
#[target_feature(enable = "sha,sse2,ssse3,sse4.1")]
pub(crate) fn search(work: &Work, first: u32, count: u32, hits: &mut Vec<Hit>) {
    let mut expanded = Expanded::<Sse2>::new(work);
    let mut pairs = [[0; MAX_LANES]; 28];
    let mut tops = [[0; MAX_LANES]; STREAMS];
    let mut offset = 0;
    while offset < count {
        let group = Group::new(work, first, count, offset);
        expanded.expand(work, group.nonces);
        expanded.pair(&mut pairs);
        let mut root = 0;
        while root < work.roots.len() {
            // The last roots may be fewer than the streams, which then take some twice.
            let roots = Abreast::of(&work.roots[root..]);
            for lane in 0..LANES {
                let mut streams = Streams::begin(&roots, group.base.wrapping_add(lane as u32));
                for step in 0..14 {
                    streams.rounds4(&pairs, step, lane);
                }
                streams.end(lane, &mut tops);
            }
            for i in 0..STREAMS.min(work.roots.len() - root) {
                group.inspect(work, root + i, Sse2::load(&tops[i]), hits);
            }
            root += STREAMS;
        }
        offset = offset.saturating_add(LANES as u32);
    }
}

/// The roots of the streams.
pub(crate) struct Abreast<'a>([&'a Root; STREAMS]);

impl<'a> Abreast<'a> {
    /// The first abreast, or fewer over and over.
    #[inline(always)]
    pub fn of(roots: &'a [Root]) -> Self {
        let mut abreast = [&roots[0]; STREAMS];
        for i in 0..STREAMS {
            abreast[i] = &roots[i % roots.len()];
        }
        Self(abreast)
    }
}

/// As many roots at one nonce: the two halves of each state.
pub(crate) struct Streams {
    abef: [__m128i; STREAMS],
    cdgh: [__m128i; STREAMS],
}

impl Streams {
    /// The states after round 7.
    #[inline]
    #[target_feature(enable = "sse2")]
    pub fn begin(roots: &Abreast, nonce: u32) -> Self {
        let nonces = _mm_set_epi32(nonce as i32, 0, nonce as i32, 0);
        let mut abef = [nonces; STREAMS];
        let mut cdgh = [nonces; STREAMS];
        for i in 0..STREAMS {
            let [low, high] = &roots.0[i].packed;
            // SAFETY: each is four words, and the loads ask for no alignment.
            #[allow(unsafe_code, reason = "loads are from pointers")]
            unsafe {
                abef[i] = _mm_add_epi32(_mm_loadu_si128(low.as_ptr().cast()), nonces);
                cdgh[i] = _mm_loadu_si128(high.as_ptr().cast());
            }
        }
        Self { abef, cdgh }
    }

    /// Four rounds, which bring both halves of the states back to their places. In assembly,
    /// because the compiler would run one stream after the other.
    #[inline]
    #[target_feature(enable = "sha,sse2")]
    pub fn rounds4(&mut self, pairs: &Pairs, step: usize, lane: usize) {
        let first = &pairs[2 * step][lane];
        let second = &pairs[2 * step + 1][lane];
        let [a, b, c, d] = &mut self.abef;
        let [g, h, i, j] = &mut self.cdgh;
        // SAFETY: the instructions are of the target features, read two words that are
        // borrowed here, and write the registers they are given.
        #[allow(unsafe_code, reason = "only assembly keeps the order")]
        unsafe {
            asm!(
                "movq xmm0, qword ptr [{first}]",
                "sha256rnds2 {g}, {a}",
                "sha256rnds2 {h}, {b}",
                "sha256rnds2 {i}, {c}",
                "sha256rnds2 {j}, {d}",
                "movq xmm0, qword ptr [{second}]",
                "sha256rnds2 {a}, {g}",
                "sha256rnds2 {b}, {h}",
                "sha256rnds2 {c}, {i}",
                "sha256rnds2 {d}, {j}",
                first = in(reg) first,
                second = in(reg) second,
                a = inout(xmm_reg) *a,
                b = inout(xmm_reg) *b,
                c = inout(xmm_reg) *c,
                d = inout(xmm_reg) *d,
                g = inout(xmm_reg) *g,
                h = inout(xmm_reg) *h,
                i = inout(xmm_reg) *i,
                j = inout(xmm_reg) *j,
                out("xmm0") _,
                options(pure, readonly, nostack, preserves_flags),
            );
        }
    }

    /// Keeps the highest words.
    #[inline]
    #[target_feature(enable = "sse4.1")]
    pub fn end(self, lane: usize, tops: &mut Tops) {
        for i in 0..STREAMS {
            tops[i][lane] = _mm_extract_epi32::<3>(self.abef[i]) as u32;
        }
    }
}
