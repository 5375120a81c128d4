//! The search itself, written once for all vectors: a group of nonces, one a lane, has its
//! message schedule expanded, and each root then runs its rounds over it, several roots
//! abreast so that one's additions fill the other's latencies. Only the highest word of an id
//! is computed; what passes the comparison with the target's is handed to [`Work::check`].

use crate::{
    vector::{MAX_LANES, Vector},
    work::{FIRST_EXPANDED, Hit, K, Root, Work},
};

/// A group's schedule, with and without the round constants.
pub(crate) struct Expanded<V> {
    words: [V; 64],
    pub summed: [V; 64],
}

/// Some nonces of a search, one a lane, and what is known of them.
pub(crate) struct Group<V> {
    /// The first lane's nonce.
    pub base: u32,
    /// Each lane's nonce.
    pub nonces: V,
    /// A bit for each lane that was asked for.
    asked: u32,
    /// The highest word of the target.
    limit: V,
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
    let mut offset = 0;
    while offset < count {
        let group = Group::new(work, first, count, offset);
        expanded.expand(work, group.nonces);
        group.search::<ABREAST>(work, 0, &expanded, hits);
        // The last group may reach past `count`, and `count` may be the largest number.
        offset = offset.saturating_add(V::LANES as u32);
    }
}

impl<V: Vector> Group<V> {
    /// The group at `offset` of `count` nonces from `first` on.
    #[inline(always)]
    pub fn new(work: &Work, first: u32, count: u32, offset: u32) -> Self {
        let base = first.wrapping_add(offset);
        let lanes = (count - offset).min(V::LANES as u32);
        Self {
            base,
            nonces: V::splat(base).add(V::counting()),
            asked: u32::MAX >> (32 - lanes),
            limit: V::splat(work.target_top()),
        }
    }

    /// Searches the work's roots from number `root` on.
    #[inline(always)]
    pub fn search<const ABREAST: usize>(
        &self,
        work: &Work,
        mut root: usize,
        expanded: &Expanded<V>,
        hits: &mut Vec<Hit>,
    ) {
        while root + ABREAST <= work.roots.len() {
            let tops = rounds::<V, ABREAST>(&work.roots[root..], expanded, self.nonces);
            for i in 0..ABREAST {
                self.inspect(work, root + i, tops[i], hits);
            }
            root += ABREAST;
        }
        while root < work.roots.len() {
            let [top] = rounds::<V, 1>(&work.roots[root..], expanded, self.nonces);
            self.inspect(work, root, top, hits);
            root += 1;
        }
    }

    /// Checks the nonces of a root whose highest words, still without the midstate's, do not
    /// rule them out.
    #[inline(always)]
    pub fn inspect(&self, work: &Work, root: usize, tops: V, hits: &mut Vec<Hit>) {
        let tops = tops.add(V::splat(work.roots[root].midstate[0]));
        let suspects = tops.at_most(self.limit) & self.asked;
        if suspects != 0 {
            check(work, root, self.base, suspects, hits);
        }
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
    pub fn new(work: &Work) -> Self {
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
    pub fn expand(&mut self, work: &Work, nonces: V) {
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

    /// The sums of rounds 8 to 63 by nonce, two together.
    #[inline(always)]
    pub fn pair(&self, pairs: &mut [[u64; MAX_LANES]; 28]) {
        for step in 0..28 {
            let t = 8 + 2 * step;
            self.summed[t].interleave(self.summed[t + 1], &mut pairs[step]);
        }
    }
}

#[inline(always)]
fn small_sigma0<V: Vector>(x: V) -> V {
    x.rotations_and_shift::<7, 18, 3>()
}

#[inline(always)]
fn small_sigma1<V: Vector>(x: V) -> V {
    x.rotations_and_shift::<17, 19, 10>()
}

/// The highest words of the states of `N` roots at the end. Plain loops: a closure would be a function of
/// its own, without the kernel's instructions.
#[inline(always)]
fn rounds<V: Vector, const N: usize>(roots: &[Root], expanded: &Expanded<V>, nonces: V) -> [V; N] {
    let zero = V::splat(0);
    let mut states = [[zero; 8]; N];
    for i in 0..N {
        states[i] = begin(&roots[i], nonces);
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
        tops[i] = states[i][0];
    }
    tops
}

/// The state after round 7.
#[inline(always)]
pub(crate) fn begin<V: Vector>(root: &Root, nonces: V) -> [V; 8] {
    let mut state = [nonces; 8];
    for j in 0..8 {
        state[j] = V::splat(root.begun[j]);
    }
    state[0] = state[0].add(nonces);
    state[4] = state[4].add(nonces);
    state
}

/// One round, given the sum of `h`, schedule word and round constant.
#[inline(always)]
pub(crate) fn round<V: Vector>([a, b, c, d, e, f, g, _]: [V; 8], summed: V) -> [V; 8] {
    let sigma1 = e.rotations::<6, 11, 25>();
    let t1 = summed.add(e.choose(f, g)).add(sigma1);
    let sigma0 = a.rotations::<2, 13, 22>();
    let t2 = sigma0.add(a.majority(b, c));
    [t1.add(t2), a, b, c, d.add(t1), e, f, g]
}
