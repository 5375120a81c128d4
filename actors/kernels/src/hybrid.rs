//! The kernel for processors that run the SHA instructions beside the vectors, on execution
//! units that the vectors leave idle (AMD's since Zen 4): half of the roots are searched with
//! AVX-512, half with SHA-NI, instruction by instruction in turns, over one schedule.

use crate::{
    avx512::Avx512Half as V,
    rounds::{Expanded, Group, begin, round},
    sha::{Abreast, Pairs, STREAMS, Streams, Tops},
    vector::{MAX_LANES, Vector},
    work::{Hit, Root, Work},
};

/// Roots that the vectors take while the SHA instructions take [`STREAMS`].
const VECTORS: usize = 4;

/// Roots of a block. Those of a work that do not make a whole one are left to the vectors.
pub(crate) const BLOCK: usize = VECTORS + STREAMS;

/// Searches in blocks of roots. Half registers, because measured on Zen 4 the SHA unit loses
/// more of its turns to whole ones, with which the same work takes no fewer cycles.
#[target_feature(enable = "avx512f,avx512vl,sha,sse2,ssse3,sse4.1")]
pub(crate) fn search(work: &Work, first: u32, count: u32, hits: &mut Vec<Hit>) {
    let mut expanded = Expanded::<V>::new(work);
    let mut pairs = [[0; MAX_LANES]; 28];
    let mut tops = [[0; MAX_LANES]; STREAMS];
    let mut offset = 0;
    while offset < count {
        let group = Group::new(work, first, count, offset);
        expanded.expand(work, group.nonces);
        expanded.pair(&mut pairs);
        let mut root = 0;
        while root + BLOCK <= work.roots.len() {
            let sha = Abreast::of(&work.roots[root + VECTORS..]);
            for v in 0..VECTORS / 2 {
                let at = root + 2 * v;
                let found = unit(
                    &work.roots[at..],
                    &expanded,
                    &group,
                    &sha,
                    &pairs,
                    4 * v,
                    &mut tops,
                );
                group.inspect(work, at, found[0], hits);
                group.inspect(work, at + 1, found[1], hits);
            }
            for i in 0..STREAMS {
                group.inspect(work, root + VECTORS + i, V::load(&tops[i]), hits);
            }
            root += BLOCK;
        }
        group.search::<2>(work, root, &expanded, hits);
        offset = offset.saturating_add(V::LANES as u32);
    }
}

/// Two roots with vectors, eight nonces each, and meanwhile four with SHA instructions, four
/// nonces each from `lane` on. Gives the highest words of the first; the others' go to `tops`.
#[inline]
#[target_feature(enable = "avx512f,avx512vl,sha,sse2,ssse3,sse4.1")]
fn unit(
    roots: &[Root],
    expanded: &Expanded<V>,
    group: &Group<V>,
    sha: &Abreast,
    pairs: &Pairs,
    lane: usize,
    tops: &mut Tops,
) -> [V; 2] {
    let mut one = begin(&roots[0], group.nonces);
    let mut two = begin(&roots[1], group.nonces);
    // A quarter of the vectors' 56 rounds take as long as all of one nonce's in the SHA unit.
    for set in 0..4 {
        let lane = lane + set;
        let t = 8 + 14 * set;
        let mut streams = Streams::begin(sha, group.base.wrapping_add(lane as u32));
        macro_rules! both {
            ($($k:literal)*) => {$(
                one = round(one, one[7].add(expanded.summed[t + $k]));
                two = round(two, two[7].add(expanded.summed[t + $k]));
                streams.rounds4(pairs, $k, lane);
            )*};
        }
        both!(0 1 2 3 4 5 6 7 8 9 10 11 12 13);
        streams.end(lane, tops);
    }
    [one[0], two[0]]
}
