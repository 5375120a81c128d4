//! The proof-of-work search for real: a rayon pool whose threads live as long as the
//! searcher and take jobs by epoch, so that no thread starts for a block and stopping is
//! one atomic addition. The Miner calls it; it knows nothing of chains.
//!
//! A header is 96 bytes: its first 64 are one SHA-256 block that the nonce is not part
//! of, compressed once a job (the midstate); each nonce then costs one compression.

use crate::env::{OnFound, SearchJob, Searcher};
use mvb_protocol::block::{HEADER_BYTES, Header, NONCE_OFFSET};
use rayon::{ThreadPool, ThreadPoolBuildError, ThreadPoolBuilder};
use sha2::block_api::compress256;
use std::sync::{
    Arc, Condvar, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
};

/// Nonces between two looks at the epoch: about 0.2 ms of work, which bounds how late a
/// thread stops, while the look costs nothing measurable.
const BATCH: u64 = 4_096;

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

/// Searches on all threads of a pool of its own.
pub struct PoolSearcher {
    shared: Arc<Shared>,
    pool: ThreadPool,
}

/// What the searcher and its threads share.
struct Shared {
    /// The number of the job that counts; every start and stop adds one.
    epoch: AtomicU64,
    slot: Mutex<Option<Arc<ActiveJob>>>,
    wake: Condvar,
    shutdown: AtomicBool,
    hashes: AtomicU64,
    on_idle: Option<OnIdle>,
}

/// Called by each thread that leaves a job no other thread is in: how long stopping takes
/// is measured with it.
pub type OnIdle = Box<dyn Fn() + Send + Sync>;

struct ActiveJob {
    epoch: u64,
    midstate: Midstate,
    header: Header,
    /// How many nonces of this job are handed out.
    taken: AtomicU64,
    /// How many threads are in it.
    searching: AtomicUsize,
    on_found: Mutex<Option<OnFound>>,
}

impl PoolSearcher {
    /// Starts `threads` search threads, which wait for the first job.
    ///
    /// # Errors
    /// When the system gives no more threads.
    pub fn new(threads: usize) -> Result<Self, ThreadPoolBuildError> {
        Self::build(threads, None)
    }

    /// The same, with an observer of the moments at which no thread is left in a job.
    ///
    /// # Errors
    /// When the system gives no more threads.
    pub fn observed(threads: usize, on_idle: OnIdle) -> Result<Self, ThreadPoolBuildError> {
        Self::build(threads, Some(on_idle))
    }

    fn build(threads: usize, on_idle: Option<OnIdle>) -> Result<Self, ThreadPoolBuildError> {
        let pool = ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|i| format!("search-{i}"))
            .build()?;
        let shared = Arc::new(Shared {
            epoch: AtomicU64::new(0),
            slot: Mutex::new(None),
            wake: Condvar::new(),
            shutdown: AtomicBool::new(false),
            hashes: AtomicU64::new(0),
            on_idle,
        });
        let of_threads = shared.clone();
        pool.spawn_broadcast(move |_| of_threads.serve());
        Ok(Self { shared, pool })
    }
}

impl Searcher for PoolSearcher {
    fn start(&self, job: SearchJob, on_found: OnFound) {
        let shared = &self.shared;
        let mut slot = shared.slot();
        let epoch = shared.epoch.fetch_add(1, Ordering::SeqCst) + 1;
        *slot = Some(Arc::new(ActiveJob {
            epoch,
            midstate: Midstate::new(&job),
            header: job.header,
            taken: AtomicU64::new(0),
            searching: AtomicUsize::new(0),
            on_found: Mutex::new(Some(on_found)),
        }));
        shared.wake.notify_all();
    }

    fn stop(&self) {
        self.shared.epoch.fetch_add(1, Ordering::SeqCst);
    }

    fn hashes(&self) -> u64 {
        self.shared.hashes.load(Ordering::Relaxed)
    }

    fn threads(&self) -> usize {
        self.pool.current_num_threads()
    }
}

impl Drop for PoolSearcher {
    fn drop(&mut self) {
        let slot = self.shared.slot();
        self.shared.shutdown.store(true, Ordering::SeqCst);
        self.stop();
        self.shared.wake.notify_all();
        drop(slot);
    }
}

impl Shared {
    /// The slot holds plain data, which a panicking thread cannot leave half written.
    fn slot(&self) -> MutexGuard<'_, Option<Arc<ActiveJob>>> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One thread's life: wait for a job, search it, and again.
    fn serve(&self) {
        while let Some(job) = self.next_job() {
            job.searching.fetch_add(1, Ordering::SeqCst);
            self.search(&job);
            if job.searching.fetch_sub(1, Ordering::SeqCst) == 1
                && let Some(on_idle) = &self.on_idle
            {
                on_idle();
            }
        }
    }

    /// Waits for a job that counts. `None` when the searcher is dropped.
    fn next_job(&self) -> Option<Arc<ActiveJob>> {
        let mut slot = self.slot();
        loop {
            if self.shutdown.load(Ordering::SeqCst) {
                return None;
            }
            match &*slot {
                Some(job) if self.counts(job) => return Some(job.clone()),
                // A job given up is dropped here, so that waiting threads do not spin on it.
                _ => *slot = None,
            }
            slot = self.wake.wait(slot).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn counts(&self, job: &ActiveJob) -> bool {
        self.epoch.load(Ordering::SeqCst) == job.epoch
    }

    fn search(&self, job: &ActiveJob) {
        while self.counts(job) {
            let offset = job.taken.fetch_add(BATCH, Ordering::Relaxed);
            let first = job.header.nonce.wrapping_add(offset);
            let found = job.midstate.search(first, BATCH);
            let tried = found.map_or(BATCH, |nonce| nonce.wrapping_sub(first) + 1);
            self.hashes.fetch_add(tried, Ordering::Relaxed);
            if let Some(nonce) = found {
                self.report(job, nonce);
                return;
            }
        }
    }

    /// Ends the job for all threads and hands the solved header over, unless the job was
    /// given up or solved by another thread at the same moment.
    fn report(&self, job: &ActiveJob, nonce: u64) {
        let won = self.epoch.compare_exchange(
            job.epoch,
            job.epoch + 1,
            Ordering::SeqCst,
            Ordering::SeqCst,
        );
        if won.is_err() {
            return;
        }
        let on_found = job
            .on_found
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(on_found) = on_found {
            on_found(Header {
                nonce,
                ..job.header
            });
        }
    }
}

/// A header with its first 64 bytes already compressed.
struct Midstate {
    state: [u32; 8],
    tail: [u8; 64],
    target: [u32; 8],
}

/// Where the nonce stands in the second SHA-256 block.
const TAIL_NONCE: usize = NONCE_OFFSET - 64;

impl Midstate {
    fn new(job: &SearchJob) -> Self {
        let bytes = job.header.to_bytes();
        let (head, rest) = bytes.split_at(64);
        let mut state = INITIAL_STATE;
        let mut block = [0; 64];
        block.copy_from_slice(head);
        compress256(&mut state, &[block]);
        // The padding of FIPS 180-4: a one bit, zeros, the length in bits.
        let mut tail = [0; 64];
        tail[..rest.len()].copy_from_slice(rest);
        tail[rest.len()] = 0x80;
        tail[56..].copy_from_slice(&(8 * HEADER_BYTES as u64).to_be_bytes());
        let target = job.target.to_be_bytes();
        let target = std::array::from_fn(|i| {
            u32::from_be_bytes([
                target[4 * i],
                target[4 * i + 1],
                target[4 * i + 2],
                target[4 * i + 3],
            ])
        });
        Self {
            state,
            tail,
            target,
        }
    }

    /// The first nonce from `first` on, wrapping, within `count`, whose id is below the target.
    fn search(&self, first: u64, count: u64) -> Option<u64> {
        let mut tail = self.tail;
        for offset in 0..count {
            let nonce = first.wrapping_add(offset);
            tail[TAIL_NONCE..TAIL_NONCE + 8].copy_from_slice(&nonce.to_be_bytes());
            let mut state = self.state;
            compress256(&mut state, &[tail]);
            if state < self.target {
                return Some(nonce);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mvb_protocol::{
        hash::{BlockId, ContentRoot},
        numbers::{Height, Timestamp},
        target::Target,
    };
    use std::sync::mpsc;

    fn job(difficulty: u8, nonce: u64) -> SearchJob {
        let target = Target::from_difficulty(difficulty);
        let header = Header {
            previous: BlockId([7; 32]),
            content_root: ContentRoot([9; 32]),
            version: 1,
            target: target.to_compact(),
            height: Height(3),
            timestamp: Timestamp(1_700_000_000_000),
            nonce,
        };
        SearchJob { header, target }
    }

    /// The search loop against its naive twin: hash the whole header.
    #[test]
    fn the_midstate_search_finds_what_hashing_whole_headers_finds() {
        for difficulty in [1, 2, 5, 8, 11] {
            for first in [0, 12_345, u64::from(u32::MAX) - 100, u64::MAX - 100] {
                let job = job(difficulty, first);
                let naive = (0..5_000).map(|i| first.wrapping_add(i)).find(|nonce| {
                    job.target.is_met_by(
                        &Header {
                            nonce: *nonce,
                            ..job.header
                        }
                        .id(),
                    )
                });
                assert_eq!(Midstate::new(&job).search(first, 5_000), naive);
            }
        }
    }

    #[test]
    fn a_solved_header_meets_its_target_and_is_reported_once() {
        for threads in [1, 3] {
            let searcher = PoolSearcher::new(threads).unwrap();
            let (sender, receiver) = mpsc::channel();
            let job = job(12, 1);
            searcher.start(job, Box::new(move |header| sender.send(header).unwrap()));
            let header = receiver.recv().unwrap();
            assert!(job.target.is_met_by(&header.id()));
            assert!(
                receiver.recv().is_err(),
                "the callback is dropped after its one call"
            );
            assert!(searcher.hashes() > 0);
        }
    }

    #[test]
    fn a_job_given_up_is_never_reported_and_its_threads_stop() {
        let searcher = PoolSearcher::new(2).unwrap();
        let (sender, receiver) = mpsc::channel();
        searcher.start(
            job(64, 1),
            Box::new(move |header| sender.send(header).unwrap()),
        );
        searcher.stop();
        // The callback lives in the job, which the last thread drops when it stops.
        searcher.start(job(64, 2), Box::new(|_| ()));
        assert!(receiver.recv().is_err());
    }

    /// Hole 36 of the original, whose flag could be cleared just after it was set.
    #[test]
    fn a_stop_is_never_lost_whether_or_not_the_search_has_begun() {
        let searcher = PoolSearcher::new(2).unwrap();
        for has_begun in [false, true].repeat(20) {
            let (sender, receiver) = mpsc::channel();
            let before = searcher.hashes();
            searcher.start(
                job(64, 1),
                Box::new(move |header| sender.send(header).unwrap()),
            );
            while has_begun && searcher.hashes() == before {
                std::thread::yield_now();
            }
            searcher.stop();
            // The callback goes with its job, once no thread is in it.
            let ended = receiver.recv_timeout(std::time::Duration::from_secs(60));
            assert_eq!(ended.err(), Some(mpsc::RecvTimeoutError::Disconnected));
        }
    }

    #[test]
    fn a_new_job_replaces_the_one_at_hand() {
        let searcher = PoolSearcher::new(2).unwrap();
        searcher.start(
            job(64, 1),
            Box::new(|_| panic!("the first job was given up")),
        );
        let (sender, receiver) = mpsc::channel();
        searcher.start(
            job(8, 1),
            Box::new(move |header| sender.send(header).unwrap()),
        );
        assert_eq!(
            receiver.recv().unwrap().content_root,
            job(8, 1).header.content_root
        );
    }
}
