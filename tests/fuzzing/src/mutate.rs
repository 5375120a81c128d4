//! Changes inputs at random, repeatably by seed: the little that a fuzzer without coverage
//! can do. Lengths, marks and limits of the formats are likelier than other bytes.

use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};

/// No input grows beyond this by mutation.
const MOST_BYTES: usize = 1 << 12;

/// Bytes that decide something in MessagePack, DER, JSON or TOML.
const MARKS: [u8; 40] = [
    0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x30, 0x7f, 0x80, 0x81, 0x82, 0x84, 0x90, 0x92, 0x98,
    0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2, 0xc4, 0xc5, 0xc6, 0xca, 0xcb, 0xcc, 0xcd, 0xce, 0xcf, 0xd0,
    0xd9, 0xdc, 0xdd, 0xff, b'"', b'\n', b'=', b'[',
];

/// Numbers at which something overflows or ends.
const NUMBERS: [u64; 12] = [
    0,
    1,
    0x7f,
    0xff,
    0x7fff,
    0xffff,
    0x7fff_ffff,
    0xffff_ffff,
    i64::MAX as u64,
    1 << 63,
    u64::MAX - 1,
    u64::MAX,
];

/// Inputs from a seed.
pub struct Mutator {
    random: ChaCha8Rng,
}

impl Mutator {
    /// The same seed gives the same inputs.
    pub fn new(seed: u64) -> Self {
        Self {
            random: ChaCha8Rng::seed_from_u64(seed),
        }
    }

    /// The next input: one of the pool, changed in one place or several.
    pub fn next(&mut self, pool: &[Vec<u8>], tokens: &[&[u8]]) -> Vec<u8> {
        let mut input = match pool.len() {
            0 => Vec::new(),
            length => pool[self.below(length)].clone(),
        };
        let changes = 1 + self.below(4) * self.below(4);
        for _ in 0..changes {
            self.change(&mut input, pool, tokens);
        }
        input
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.random.next_u64() % bound.max(1) as u64) as usize
    }

    fn change(&mut self, input: &mut Vec<u8>, pool: &[Vec<u8>], tokens: &[&[u8]]) {
        let at = self.below(input.len() + 1);
        match self.below(12) {
            0 | 1 if at < input.len() => input[at] ^= 1 << self.below(8),
            2 if at < input.len() => input[at] = self.random.next_u64() as u8,
            3 if at < input.len() => input[at] = MARKS[self.below(MARKS.len())],
            4 if at < input.len() => {
                let change = self.below(9) as u8;
                input[at] = input[at].wrapping_add(change).wrapping_sub(4);
            }
            5 => self.overwrite_number(input, at),
            6 => {
                let end = (at + 1 + self.below(8)).min(input.len());
                input.drain(at..end.max(at));
            }
            7 => input.truncate(at),
            8 => {
                let byte = MARKS[self.below(MARKS.len())];
                let count = 1 + self.below(8);
                self.insert(input, at, &vec![byte; count]);
            }
            9 if !input.is_empty() => {
                // A piece of itself, once more.
                let from = self.below(input.len());
                let end = (from + 1 + self.below(40)).min(input.len());
                let piece = input[from..end].to_vec();
                self.insert(input, at, &piece);
            }
            10 if !pool.is_empty() => {
                // The end of another.
                let other = &pool[self.below(pool.len())];
                let from = self.below(other.len() + 1);
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
            _ if !tokens.is_empty() => {
                let token = tokens[self.below(tokens.len())];
                self.insert(input, at, token);
            }
            _ => {}
        }
    }

    fn insert(&mut self, input: &mut Vec<u8>, at: usize, piece: &[u8]) {
        if input.len() + piece.len() <= MOST_BYTES.max(input.len()) {
            input.splice(at..at, piece.iter().copied());
        }
    }

    fn overwrite_number(&mut self, input: &mut [u8], at: usize) {
        let number = NUMBERS[self.below(NUMBERS.len())].to_be_bytes();
        let width = [1, 2, 4, 8][self.below(4)];
        for (byte, new) in input[at..].iter_mut().zip(&number[8 - width..]) {
            *byte = *new;
        }
    }
}
