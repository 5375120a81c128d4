//! What is computed once a job: midstates, the rounds before the nonce, the constant part of
//! the message schedule. Also SHA-256 in its plain form, which prepares all that and checks
//! what a kernel suspects. Kernels read it; it never searches.

use std::{error, fmt};

/// The length of a header.
pub const HEADER_BYTES: usize = 96;

/// Rounds that do not depend on the low half of the nonce, which is message word 7.
pub(crate) const BEGUN: usize = 7;

/// The first schedule word that depends on the low half of the nonce.
pub(crate) const FIRST_EXPANDED: usize = 22;

/// SHA-256's initial state (FIPS 180-4, section 5.3.3).
const INITIAL_STATE: [u32; 8] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// SHA-256's round constants (FIPS 180-4, section 4.2.2).
#[rustfmt::skip]
pub(crate) const K: [u32; 64] = [
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
];

/// One job, prepared: headers that differ in their first 64 bytes only, and the number their
/// ids must be below. The high half of the nonce is that of the headers; a kernel varies the
/// low half.
#[derive(Clone, Debug)]
pub struct Work {
    pub(crate) roots: Vec<Root>,
    pub(crate) schedule: Schedule,
    /// The target's eight words, the highest first.
    target: [u32; 8],
}

/// What a [`Work`] knows of one header's first 64 bytes.
#[derive(Clone, Debug)]
pub(crate) struct Root {
    /// The first block, compressed.
    pub midstate: [u32; 8],
    /// The state after round 7 but for the low nonce half, still to be added to words 0 and 4.
    pub begun: [u32; 8],
    /// The same in the order in which the SHA instructions want it, lowest word first:
    /// `f e b a` and `h g d c`.
    pub packed: [[u32; 4]; 2],
    /// For rounds 8 to 10 the sum of `h` and the round's schedule word and constant: neither
    /// depends on the low nonce half yet.
    pub summed: [u32; 3],
}

/// The message schedule of the second block as far as it does not depend on the low half of
/// the nonce.
#[derive(Clone, Debug)]
pub(crate) struct Schedule {
    /// Words 0 to 21 whole (7, the nonce, as 0); of 22 to 37 the sum of the constant terms.
    pub words: [u32; 38],
    /// The high half of the nonce.
    pub nonce_high: u32,
}

/// A nonce whose header meets the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hit {
    /// Which of the work's headers, counted from 0.
    pub root: usize,
    /// The whole nonce: the high half of the headers', the low half that was found.
    pub nonce: u64,
}

/// Why headers do not make a work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkError {
    /// There was none.
    NoHeader,
    /// This header's last 32 bytes are not those of the first.
    Differs {
        /// Which one, counted from 0.
        header: usize,
    },
}

impl Work {
    /// Prepares a search for all `headers` at once; ids, read as big-endian numbers, must be
    /// below the big-endian `target`. The low half of the headers' nonce (their last four
    /// bytes) says nothing here: each search says where it begins.
    ///
    /// # Errors
    /// When there is no header, or two differ after their first 64 bytes.
    pub fn new(headers: &[[u8; HEADER_BYTES]], target: &[u8; 32]) -> Result<Self, WorkError> {
        let first = headers.first().ok_or(WorkError::NoHeader)?;
        if let Some(header) = headers.iter().position(|other| other[64..] != first[64..]) {
            return Err(WorkError::Differs { header });
        }
        let mut block: [u32; 16] = words(&first[64..]);
        block[BEGUN] = 0;
        // The padding of FIPS 180-4: a one bit, zeros, the length in bits.
        block[8] = 0x8000_0000;
        block[15] = 8 * HEADER_BYTES as u32;
        let roots = headers.iter().map(|header| Root::new(header, &block));
        Ok(Self {
            roots: roots.collect(),
            schedule: Schedule::new(&block),
            target: words(target),
        })
    }

    /// How many headers are searched at once.
    pub fn roots(&self) -> usize {
        self.roots.len()
    }

    /// The highest word of the target: an id whose highest word is above it is none.
    pub(crate) fn target_top(&self) -> u32 {
        self.target[0]
    }

    /// Keeps a suspect if its id really is below the target.
    #[cold]
    #[inline(never)]
    pub(crate) fn check(&self, root: usize, nonce: u32, hits: &mut Vec<Hit>) {
        let mut block = [0; 16];
        block.copy_from_slice(&self.schedule.words[..16]);
        block[BEGUN] = nonce;
        let mut id = self.roots[root].midstate;
        compress(&mut id, &block);
        if id < self.target {
            let nonce = u64::from(self.schedule.nonce_high) << 32 | u64::from(nonce);
            hits.push(Hit { root, nonce });
        }
    }
}

impl Root {
    fn new(header: &[u8; HEADER_BYTES], block: &[u32; 16]) -> Self {
        let mut midstate = INITIAL_STATE;
        compress(&mut midstate, &words(&header[..64]));
        let mut begun = midstate;
        for t in 0..=BEGUN {
            begun = round(begun, block[t].wrapping_add(K[t]));
        }
        let summed = [(7, 8), (6, 9), (5, 10)]
            .map(|(h, t)| begun[h].wrapping_add(block[t]).wrapping_add(K[t]));
        let [a, b, c, d, e, f, g, h] = begun;
        Self {
            midstate,
            begun,
            packed: [[f, e, b, a], [h, g, d, c]],
            summed,
        }
    }
}

impl Schedule {
    fn new(block: &[u32; 16]) -> Self {
        let mut words = [0u32; 38];
        words[..16].copy_from_slice(block);
        // A term that depends on the nonce counts as 0, and so do the words 7 and 22 onwards.
        let known = |words: &[u32; 38], t: usize| {
            let is_known = t != BEGUN && t < FIRST_EXPANDED;
            is_known.then_some(words[t])
        };
        for t in 16..38 {
            let terms = [
                known(&words, t - 16),
                known(&words, t - 15).map(small_sigma0),
                known(&words, t - 7),
                known(&words, t - 2).map(small_sigma1),
            ];
            words[t] = terms.into_iter().flatten().fold(0, u32::wrapping_add);
        }
        Self {
            words,
            nonce_high: block[6],
        }
    }
}

/// Big-endian words.
fn words<const N: usize>(bytes: &[u8]) -> [u32; N] {
    let mut words = [0; N];
    for (word, bytes) in words.iter_mut().zip(bytes.chunks_exact(4)) {
        *word = u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    }
    words
}

fn small_sigma0(x: u32) -> u32 {
    x.rotate_right(7) ^ x.rotate_right(18) ^ (x >> 3)
}

fn small_sigma1(x: u32) -> u32 {
    x.rotate_right(17) ^ x.rotate_right(19) ^ (x >> 10)
}

/// One round, given the sum of schedule word and round constant.
fn round([a, b, c, d, e, f, g, h]: [u32; 8], wk: u32) -> [u32; 8] {
    let sigma1 = e.rotate_right(6) ^ e.rotate_right(11) ^ e.rotate_right(25);
    let t1 = h
        .wrapping_add(sigma1)
        .wrapping_add((e & f) ^ (!e & g))
        .wrapping_add(wk);
    let sigma0 = a.rotate_right(2) ^ a.rotate_right(13) ^ a.rotate_right(22);
    let t2 = sigma0.wrapping_add((a & b) ^ (a & c) ^ (b & c));
    [t1.wrapping_add(t2), a, b, c, d.wrapping_add(t1), e, f, g]
}

/// SHA-256's compression of one block.
fn compress(state: &mut [u32; 8], block: &[u32; 16]) {
    let mut w = [0; 64];
    w[..16].copy_from_slice(block);
    for t in 16..64 {
        w[t] = w[t - 16]
            .wrapping_add(small_sigma0(w[t - 15]))
            .wrapping_add(w[t - 7])
            .wrapping_add(small_sigma1(w[t - 2]));
    }
    let mut end = *state;
    for t in 0..64 {
        end = round(end, w[t].wrapping_add(K[t]));
    }
    for (word, end) in state.iter_mut().zip(end) {
        *word = word.wrapping_add(end);
    }
}

impl fmt::Display for WorkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoHeader => f.write_str("got no header, expected at least one"),
            Self::Differs { header } => write!(
                f,
                "got a header (number {header}) whose last 32 bytes are not those of the first, \
                 expected headers that differ in their first 64 bytes only"
            ),
        }
    }
}

impl error::Error for WorkError {}

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::{Digest, Sha256};

    #[test]
    fn the_plain_compression_is_sha_256s() {
        let header: [u8; HEADER_BYTES] = std::array::from_fn(|i| (i * i) as u8);
        let work = Work::new(&[header], &[0xff; 32]).unwrap();
        let mut id = work.roots[0].midstate;
        let mut block = [0; 16];
        block.copy_from_slice(&work.schedule.words[..16]);
        block[BEGUN] = u32::from_be_bytes([header[92], header[93], header[94], header[95]]);
        compress(&mut id, &block);
        let expected: [u8; 32] = Sha256::digest(header).into();
        assert_eq!(id, words(&expected));
    }

    #[test]
    fn headers_must_agree_in_their_last_32_bytes() {
        let target = [0xff; 32];
        assert_eq!(Work::new(&[], &target).err(), Some(WorkError::NoHeader));
        let mut headers = [[5; HEADER_BYTES]; 3];
        headers[1][63] = 6;
        assert_eq!(Work::new(&headers, &target).unwrap().roots(), 3);
        for at in 64..96 {
            let mut headers = headers;
            headers[2][at] = 6;
            let refused = Work::new(&headers, &target).err();
            assert_eq!(refused, Some(WorkError::Differs { header: 2 }));
        }
    }
}
