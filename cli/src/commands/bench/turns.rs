//! Contestants measured in turns, A B C A B C, so that what disturbs the machine for a while
//! disturbs all of them, and each turn's ratios are of neighbours.

use super::clock::{Clocks, Passed, pinned};
use anyhow::{Context as _, Result};
use mvb_actors::{
    env::{SearchJob, Searcher},
    search::{Moment, PoolSearcher},
};
use mvb_kernels::Kernel;
use mvb_protocol::{
    block::Header,
    hash::{BlockId, ContentRoot},
    numbers::{Height, Timestamp},
    params::BLOCK_VERSION,
    target::Target,
};
use sha2::{Digest, Sha256, block_api::compress256};
use std::{hint::black_box, sync::mpsc, time::Duration};

/// How many hashes a turn made, and what it took.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Turn {
    hashes: u64,
    passed: Passed,
}

impl Turn {
    /// Millions of hashes in a second of processor time.
    pub fn mhs_cpu(&self) -> f64 {
        self.hashes as f64 / self.passed.cpu.as_secs_f64().max(1e-9) / 1e6
    }

    /// Millions of hashes in a second of the wall clock.
    pub fn mhs_wall(&self) -> f64 {
        self.hashes as f64 / self.passed.wall.as_secs_f64().max(1e-9) / 1e6
    }
}

/// Somebody who hashes.
pub trait Contestant {
    /// Hashes until so much processor time has passed for each of its threads.
    fn turn(&mut self, length: Duration) -> Turn;
}

/// A kernel in the search threads that `mvb miner` runs.
pub struct Pool {
    searcher: PoolSearcher,
    idle: mpsc::Receiver<()>,
    job: SearchJob,
}

impl Pool {
    /// With so many threads, a single one held on one core.
    pub fn new(kernel: &'static Kernel, threads: usize) -> Result<Self> {
        let (sender, idle) = mpsc::channel();
        let start = || {
            let tell = move |moment| {
                if moment == Moment::Idle {
                    let _ = sender.send(());
                }
            };
            PoolSearcher::observed(threads, kernel, Box::new(tell))
        };
        let searcher = if threads == 1 { pinned(start) } else { start() };
        let searcher = searcher.context("cannot start the search threads")?;
        let roots = (0..searcher.roots()).map(|root| ContentRoot([root as u8; 32]));
        let job = SearchJob {
            header: header(),
            roots: roots.collect(),
            target: Target::from_difficulty(64),
        };
        Ok(Self {
            searcher,
            idle,
            job,
        })
    }
}

impl Contestant for Pool {
    fn turn(&mut self, length: Duration) -> Turn {
        let length = length * self.searcher.threads() as u32;
        let before = self.searcher.hashes();
        while self.idle.try_recv().is_ok() {}
        let clocks = Clocks::now();
        self.searcher.start(self.job.clone(), Box::new(|_| ()));
        // Each turn searches nonces of its own, as each job of a miner does.
        self.job.header.timestamp.0 += 1;
        loop {
            std::thread::sleep(Duration::from_millis(2));
            let passed = clocks.passed();
            // A machine that leaves us no time must not hold us for ever.
            if passed.cpu >= length || passed.wall >= 20 * length {
                break;
            }
        }
        self.searcher.stop();
        // A job that no thread has begun ends without a word.
        let _ = self.idle.recv_timeout(Duration::from_secs(1));
        Turn {
            passed: clocks.passed(),
            hashes: self.searcher.hashes() - before,
        }
    }
}

/// What the kernels are compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reference {
    /// The whole header, hashed as anybody would.
    Digest,
    /// The first block compressed once, the second for each nonce.
    Midstate,
}

impl Contestant for Reference {
    fn turn(&mut self, length: Duration) -> Turn {
        /// Between two looks at the clock.
        const BATCH: u64 = 10_000;
        pinned(|| {
            let clocks = Clocks::now();
            let mut hashes = 0;
            loop {
                match self {
                    Self::Digest => digests(hashes, BATCH),
                    Self::Midstate => compressions(hashes, BATCH),
                }
                hashes += BATCH;
                let passed = clocks.passed();
                if passed.cpu >= length {
                    return Turn { hashes, passed };
                }
            }
        })
    }
}

fn digests(first: u64, count: u64) {
    let mut header = header().to_bytes();
    for nonce in first..first + count {
        header[88..].copy_from_slice(&nonce.to_be_bytes());
        black_box(Sha256::digest(black_box(&header)));
    }
}

fn compressions(first: u64, count: u64) {
    let header = header().to_bytes();
    let mut block = [0; 64];
    block[..32].copy_from_slice(&header[64..]);
    block[32] = 0x80;
    block[62] = 3;
    for nonce in first..first + count {
        block[24..32].copy_from_slice(&nonce.to_be_bytes());
        let mut state = black_box([1; 8]);
        compress256(&mut state, &[block]);
        black_box(state);
    }
}

fn header() -> Header {
    Header {
        previous: BlockId::default(),
        content_root: ContentRoot::default(),
        version: BLOCK_VERSION,
        target: Target::from_difficulty(64).to_compact(),
        height: Height(1),
        timestamp: Timestamp(0),
        nonce: 0,
    }
}

/// The middle one; of an even number the higher.
pub fn median(numbers: impl IntoIterator<Item = f64>) -> f64 {
    let mut numbers: Vec<f64> = numbers.into_iter().collect();
    numbers.sort_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_one() {
        assert_eq!(median([3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median([]), 0.0);
    }

    #[test]
    fn every_contestant_hashes_and_its_time_passes() {
        let length = Duration::from_millis(1);
        let pool = Pool::new(Kernel::best(), 2).unwrap();
        let contestants: [Box<dyn Contestant>; 3] = [
            Box::new(Reference::Digest),
            Box::new(Reference::Midstate),
            Box::new(pool),
        ];
        for mut contestant in contestants {
            // On a busy machine the time of so short a turn may pass before a thread begins.
            let mut turns = (0..1_000).map(|_| contestant.turn(length));
            let turn = turns.find(|turn| turn.hashes > 0).unwrap();
            assert!(!turn.passed.cpu.is_zero(), "{turn:?}");
            assert!(turn.mhs_cpu() > 0.0 && turn.mhs_wall() > 0.0);
        }
    }
}
