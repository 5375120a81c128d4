//! The search itself, written once for all vectors: a group of nonces, one a lane, has its
//! message schedule expanded, and each root then runs its rounds over it, several roots
//! abreast so that one's additions fill the other's latencies. Only the highest word of an id
//! is computed; what passes the comparison with the target's is handed to [`Work::check`].

use crate::{
    vector::Vector,
    work::{FIRST_EXPANDED, Hit, K, Root, Work},
};

/// A group's schedule, with and without the round constants.
struct Expanded<V> {
    words: [V; 64],
    summed: [V; 64],
}

/// Searches `count` nonces from `first` on, wrapping, `ABREAST` roots at a time.
#[inline(always)]
pub(crate) fn search<V: Vector, const ABREAST: usize>(
    work: &Work,
    first: u32,
    count: u32,
    hits: &mut Vec<Hit>,
) {
    let mut expanded = Expanded::<V>::new(work);
    let limit = V::splat(work.target_top());
    let mut offset = 0;
    while offset < count {
        let base = first.wrapping_add(offset);
        let nonces = V::splat(base).add(V::counting());
        expanded.expand(work, nonces);
        let lanes = (count - offset).min(V::LANES as u32);
        let asked = u32::MAX >> (32 - lanes);
        let mut root = 0;
        while root + ABREAST <= work.roots.len() {
            let tops = rounds::<V, ABREAST>(&work.roots[root..], &expanded, nonces);
            for i in 0..ABREAST {
                let suspects = tops[i].at_most(limit) & asked;
                if suspects != 0 {
                    check(work, root + i, base, suspects, hits);
                }
            }
            root += ABREAST;
        }
        while root < work.roots.len() {
            let [top] = rounds::<V, 1>(&work.roots[root..], &expanded, nonces);
            let suspects = top.at_most(limit) & asked;
            if suspects != 0 {
                check(work, root, base, suspects, hits);
            }
            root += 1;
        }
        // The last group may reach past `count`, and `count` may be the largest number.
        offset = offset.saturating_add(V::LANES as u32);
    }
}

#[cold]
#[inline(never)]
fn check(work: &Work, root: usize, base: u32, mut suspects: u32, hits: &mut Vec<Hit>) {
    while suspects != 0 {
        let lane = suspects.trailing_zeros();
        work.check(root, base.wrapping_add(lane), hits);
        suspects &= suspects - 1;
    }
}

impl<V: Vector> Expanded<V> {
    #[inline(always)]
    fn new(work: &Work) -> Self {
        let mut words = [V::splat(0); 64];
        let mut summed = words;
        for t in 0..38 {
            words[t] = V::splat(work.schedule.words[t]);
        }
        for t in 8..FIRST_EXPANDED {
            summed[t] = words[t].add(V::splat(K[t]));
        }
        Self { words, summed }
    }

    /// Expands the schedule for these nonces. Words below 22 are constant; up to 37 some of
    /// the four terms are, and stand summed in the work.
    #[inline(always)]
    fn expand(&mut self, work: &Work, nonces: V) {
        let w = &mut self.words;
        let constant = &work.schedule.words;
        w[22] = V::splat(constant[22]).add(small_sigma0(nonces));
        w[23] = V::splat(constant[23]).add(nonces);
        for t in 24..29 {
            w[t] = V::splat(constant[t]).add(small_sigma1(w[t - 2]));
        }
        for t in 29..37 {
            w[t] = V::splat(constant[t])
                .add(w[t - 7])
                .add(small_sigma1(w[t - 2]));
        }
        w[37] = V::splat(constant[37])
            .add(small_sigma0(w[22]))
            .add(w[30])
            .add(small_sigma1(w[35]));
        for t in 38..64 {
            w[t] = w[t - 16]
                .add(small_sigma0(w[t - 15]))
                .add(w[t - 7])
                .add(small_sigma1(w[t - 2]));
        }
        for t in FIRST_EXPANDED..64 {
            self.summed[t] = w[t].add(V::splat(K[t]));
        }
    }
}

#[inline(always)]
fn small_sigma0<V: Vector>(x: V) -> V {
    x.rotate::<7>().xor3(x.rotate::<18>(), x.shift::<3>())
}

#[inline(always)]
fn small_sigma1<V: Vector>(x: V) -> V {
    x.rotate::<17>().xor3(x.rotate::<19>(), x.shift::<10>())
}

/// The highest words of the ids of `N` roots. Plain loops: a closure would be a function of
/// its own, without the kernel's instructions.
#[inline(always)]
fn rounds<V: Vector, const N: usize>(roots: &[Root], expanded: &Expanded<V>, nonces: V) -> [V; N] {
    let zero = V::splat(0);
    let mut states = [[zero; 8]; N];
    for i in 0..N {
        for j in 0..8 {
            states[i][j] = V::splat(roots[i].begun[j]);
        }
        states[i][0] = states[i][0].add(nonces);
        states[i][4] = states[i][4].add(nonces);
        // `h` holds its sum with the schedule word already; as `g` and `f` it is needed bare.
        for t in 0..3 {
            states[i] = round(states[i], V::splat(roots[i].summed[t]));
        }
        for t in 11..16 {
            let summed = states[i][7].add(expanded.summed[t]);
            states[i] = round(states[i], summed);
        }
    }
    let mut t = 16;
    while t < 64 {
        // Eight rounds bring every word back to its place, so that none is moved.
        for k in 0..8 {
            for i in 0..N {
                let summed = states[i][7].add(expanded.summed[t + k]);
                states[i] = round(states[i], summed);
            }
        }
        t += 8;
    }
    let mut tops = [zero; N];
    for i in 0..N {
        tops[i] = states[i][0].add(V::splat(roots[i].midstate[0]));
    }
    tops
}

/// One round, given the sum of `h`, schedule word and round constant.
#[inline(always)]
fn round<V: Vector>([a, b, c, d, e, f, g, _]: [V; 8], summed: V) -> [V; 8] {
    let sigma1 = e.rotate::<6>().xor3(e.rotate::<11>(), e.rotate::<25>());
    let t1 = summed.add(e.choose(f, g)).add(sigma1);
    let sigma0 = a.rotate::<2>().xor3(a.rotate::<13>(), a.rotate::<22>());
    let t2 = sigma0.add(a.majority(b, c));
    [t1.add(t2), a, b, c, d.add(t1), e, f, g]
}
