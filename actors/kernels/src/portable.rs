//! The kernel that every processor can run: the search over the vectors that its architecture
//! always has (SSE2, NEON), and elsewhere over plain arrays, from whose loops the compiler
//! makes what there is. It is not left to make SSE2 of them: measured, whether it does changes
//! with every line of the rounds, and it rather rotates words one by one.

use crate::{
    rounds,
    vector::Vector,
    work::{Hit, Work},
};

/// What every processor of this architecture has.
#[cfg(target_arch = "x86_64")]
type Any = crate::x86::Sse2;
#[cfg(target_arch = "aarch64")]
type Any = crate::neon::Neon;
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
type Any = crate::plain::Plain<4>;

/// How many nonces it tries at once.
pub(crate) const LANES: usize = Any::LANES;

/// The portable kernel's search.
pub(crate) fn search(work: &Work, first: u32, count: u32, hits: &mut Vec<Hit>) {
    rounds::search::<Any, 1>(work, first, count, hits);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plain::Plain;

    #[test]
    fn plain_arrays_find_what_the_vectors_find() {
        let headers = [1, 2, 3].map(|byte| [byte; 96]);
        let work = Work::new(
            &headers.map(|mut header| {
                header[64..].fill(9);
                header
            }),
            &[8; 32],
        )
        .unwrap();
        for first in [0, 1_000, u32::MAX - 50] {
            let (mut plain, mut vectors) = (Vec::new(), Vec::new());
            rounds::search::<Plain<4>, 1>(&work, first, 300, &mut plain);
            search(&work, first, 300, &mut vectors);
            plain.sort();
            vectors.sort();
            assert!(!plain.is_empty());
            assert_eq!(plain, vectors);
        }
    }
}
