//! The proof-of-work search for real: a rayon pool whose threads live as long as the
//! searcher and take jobs by epoch, so that no thread starts for a block and stopping is
//! one atomic addition. The Miner calls it; it knows nothing of chains. How headers are
//! hashed is a kernel's affair (`mvb_kernels`); what a kernel finds is checked again here
//! with the protocol's own hash.
//!
//! All threads of a job share its content roots and take disjoint *lots* of nonces from one
//! counter. A lot never crosses a multiple of 2^32, because kernels vary the low half of the
//! nonce alone; when a job has spent a low half, its lots go on with the next high half, for
//! which a thread prepares its kernel anew. So a job cannot run out: the Miner renews it,
//! with new roots and a later timestamp, long before its 2^64 nonces are used.

use crate::env::{OnFound, SearchJob, Searcher};
use mvb_kernels::{Hit, Kernel, Work};
use mvb_protocol::block::Header;
use rayon::{ThreadPool, ThreadPoolBuildError, ThreadPoolBuilder};
use std::sync::{
    Arc, Condvar, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
};

/// Headers between two looks at the epoch: 40 µs of work for the fastest kernel on one core,
/// which bounds how late a thread stops, while the look costs nothing measurable.
const HEADERS_A_LOOK: u32 = 4_096;

/// The nonces of a lot are two to this power: about a millisecond of work, so that threads
/// rarely meet at the counters they share.
const LOT_BITS: u32 = 14;

/// How much the search threads step back, as `nice` counts it: all it has.
#[cfg(target_os = "linux")]
const LEAST_PRIORITY: i32 = 19;

/// Searches on all threads of a pool of its own.
pub struct PoolSearcher {
    shared: Arc<Shared>,
    pool: ThreadPool,
}

/// What the searcher and its threads share.
struct Shared {
    kernel: &'static Kernel,
    /// The number of the job that counts; every start and stop adds one.
    epoch: AtomicU64,
    slot: Mutex<Option<Arc<ActiveJob>>>,
    wake: Condvar,
    shutdown: AtomicBool,
    hashes: AtomicU64,
    observer: Option<Observer>,
}

/// Told by the search threads of what they do: how long stopping and beginning take is
/// measured with it.
pub type Observer = Box<dyn Fn(Moment) + Send + Sync>;

/// A moment in the life of a search thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// It tries the first nonces of a job now.
    Begun,
    /// It has left a job that no other thread is in.
    Idle,
}

struct ActiveJob {
    epoch: u64,
    job: SearchJob,
    /// How many lots are handed out.
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
    pub fn new(threads: usize, kernel: &'static Kernel) -> Result<Self, ThreadPoolBuildError> {
        Self::build(threads, kernel, None, step_back)
    }

    /// The same, with an observer.
    ///
    /// # Errors
    /// When the system gives no more threads.
    pub fn observed(
        threads: usize,
        kernel: &'static Kernel,
        observer: Observer,
    ) -> Result<Self, ThreadPoolBuildError> {
        Self::build(threads, kernel, Some(observer), step_back)
    }

    fn build(
        threads: usize,
        kernel: &'static Kernel,
        observer: Option<Observer>,
        on_start: fn(),
    ) -> Result<Self, ThreadPoolBuildError> {
        let pool = ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|i| format!("search-{i}"))
            .start_handler(move |_| on_start())
            .build()?;
        let shared = Arc::new(Shared {
            kernel,
            epoch: AtomicU64::new(0),
            slot: Mutex::new(None),
            wake: Condvar::new(),
            shutdown: AtomicBool::new(false),
            hashes: AtomicU64::new(0),
            observer,
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
            job,
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

    fn roots(&self) -> usize {
        self.shared.kernel.roots()
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
            if let Some(solved) = self.search(&job) {
                self.report(&job, solved);
            }
            if job.searching.fetch_sub(1, Ordering::SeqCst) == 1 {
                self.tell(Moment::Idle);
            }
        }
    }

    fn tell(&self, moment: Moment) {
        if let Some(observer) = &self.observer {
            observer(moment);
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

    /// Searches lots until a header is solved or the job no longer counts.
    fn search(&self, job: &ActiveJob) -> Option<Header> {
        let mut prepared: Option<Prepared> = None;
        while self.counts(job) {
            let first = job.next_lot();
            let high = (first >> 32) as u32;
            let is_first = prepared.is_none();
            let prepared = match &mut prepared {
                Some(prepared) if prepared.high == high => prepared,
                stale => stale.insert(Prepared::new(&job.job, high, self.kernel)?),
            };
            if is_first {
                self.tell(Moment::Begun);
            }
            let (tried, solved) = self.search_lot(job, prepared, first as u32);
            self.hashes.fetch_add(tried, Ordering::Relaxed);
            if solved.is_some() {
                return solved;
            }
        }
        None
    }

    /// How many headers of a lot were tried, and the first that is solved.
    fn search_lot(
        &self,
        job: &ActiveJob,
        prepared: &mut Prepared,
        first: u32,
    ) -> (u64, Option<Header>) {
        let Prepared { work, nonces, .. } = prepared;
        let mut offset = 0;
        let mut solved = None;
        while offset < 1 << LOT_BITS && solved.is_none() && self.counts(job) {
            let count = (*nonces).min((1 << LOT_BITS) - offset);
            let hits = &mut prepared.hits;
            self.kernel.search(work, first + offset, count, hits);
            offset += count;
            solved = hits.drain(..).find_map(|hit| job.solved_by(hit));
        }
        (u64::from(offset) * work.roots() as u64, solved)
    }

    /// Ends the job for all threads and hands the solved header over, unless the job was
    /// given up or solved by another thread at the same moment.
    fn report(&self, job: &ActiveJob, solved: Header) {
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
            on_found(solved);
        }
    }
}

/// A job as a kernel takes it, for one high half of the nonce.
struct Prepared {
    high: u32,
    work: Work,
    /// How many nonces to try between two looks at the epoch.
    nonces: u32,
    hits: Vec<Hit>,
}

impl Prepared {
    /// `None` for a job without roots, of which nothing can be searched.
    fn new(job: &SearchJob, high: u32, kernel: &Kernel) -> Option<Self> {
        let headers: Vec<_> = job
            .roots
            .iter()
            .map(|root| {
                let header = Header {
                    content_root: *root,
                    nonce: u64::from(high) << 32,
                    ..job.header
                };
                header.to_bytes()
            })
            .collect();
        let work = Work::new(&headers, &job.target.to_be_bytes()).ok()?;
        let lanes = kernel.lanes() as u32;
        let nonces = HEADERS_A_LOOK / work.roots() as u32;
        Some(Self {
            high,
            work,
            nonces: nonces.next_multiple_of(lanes).max(lanes),
            hits: Vec::new(),
        })
    }
}

impl ActiveJob {
    /// The first nonce of a lot that nobody has searched.
    fn next_lot(&self) -> u64 {
        let begin = self.job.header.nonce >> LOT_BITS;
        let taken = self.taken.fetch_add(1, Ordering::Relaxed);
        begin.wrapping_add(taken) << LOT_BITS
    }

    /// The header that a kernel's hit stands for, if the protocol's own hash agrees.
    fn solved_by(&self, hit: Hit) -> Option<Header> {
        let header = Header {
            content_root: *self.job.roots.get(hit.root)?,
            nonce: hit.nonce,
            ..self.job.header
        };
        let is_solved = self.job.target.is_met_by(&header.id());
        if !is_solved {
            tracing::error!(?hit, "the search kernel is wrong: its hit is none");
        }
        is_solved.then_some(header)
    }
}

/// Lets every other thread of the machine go first: a node that mines on all cores must
/// still serve its peers at once. Where the system has no such thing, all are equal.
fn step_back() {
    // On Linux the priority is a thread's own; elsewhere it would be that of the process.
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::nice(LEAST_PRIORITY) {
        tracing::debug!(%error, "the search threads keep their priority");
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
        let roots = (0..7).map(|i| ContentRoot([i; 32])).collect();
        SearchJob {
            header,
            roots,
            target,
        }
    }

    /// A searcher with the kernel that everybody has.
    fn searcher(threads: usize) -> PoolSearcher {
        let kernel = Kernel::by_name("portable").unwrap();
        // Among tests that use every core, threads that step back would hardly run.
        PoolSearcher::build(threads, kernel, None, || ()).unwrap()
    }

    /// The search against its naive twin: hash every header with every root.
    #[test]
    fn a_lot_is_searched_whole_and_its_solutions_are_those_of_hashing_each_header() {
        for kernel in Kernel::available() {
            let pool = PoolSearcher::build(1, kernel, None, || ()).unwrap();
            for high in [0, 1, 0x1234_5678, u32::MAX] {
                let mut job = job(18, u64::from(high) << 32 | 3 << LOT_BITS);
                job.roots = job.roots[..2].into();
                let active = ActiveJob {
                    epoch: pool.shared.epoch.load(Ordering::SeqCst),
                    job: job.clone(),
                    taken: AtomicU64::new(0),
                    searching: AtomicUsize::new(0),
                    on_found: Mutex::new(None),
                };
                let first = active.next_lot();
                assert_eq!(first, job.header.nonce);
                let mut prepared = Prepared::new(&job, high, kernel).unwrap();
                let (tried, solved) = pool.shared.search_lot(&active, &mut prepared, first as u32);
                let solutions: Vec<Header> = (first..first + (1 << LOT_BITS))
                    .flat_map(|nonce| {
                        job.roots.iter().map(move |root| Header {
                            content_root: *root,
                            nonce,
                            ..job.header
                        })
                    })
                    .filter(|header| job.target.is_met_by(&header.id()))
                    .collect();
                match solved {
                    Some(solved) => assert!(solutions.contains(&solved)),
                    None => assert_eq!((tried, solutions.len()), (2 << LOT_BITS, 0)),
                }
            }
        }
    }

    #[test]
    fn lots_are_disjoint_and_none_crosses_the_low_half_of_the_nonce() {
        let begin = (7 << 32) - (2 << LOT_BITS) + 5;
        let active = ActiveJob {
            epoch: 0,
            job: job(1, begin),
            taken: AtomicU64::new(0),
            searching: AtomicUsize::new(0),
            on_found: Mutex::new(None),
        };
        let lots: Vec<u64> = (0..4).map(|_| active.next_lot()).collect();
        let spent = 7 << 32;
        let lot = 1 << LOT_BITS;
        assert_eq!(lots, [spent - 2 * lot, spent - lot, spent, spent + lot]);
    }

    #[test]
    fn a_search_goes_on_where_the_low_half_of_the_nonce_is_spent() {
        let searcher = searcher(2);
        let (sender, receiver) = mpsc::channel();
        let last_lot = (6 << 32) - (1 << LOT_BITS);
        let job = job(22, last_lot);
        searcher.start(
            job.clone(),
            Box::new(move |header| sender.send(header).unwrap()),
        );
        let header = receiver.recv().unwrap();
        assert!(job.target.is_met_by(&header.id()));
        assert!(header.nonce >= last_lot, "{}", header.nonce);
    }

    #[test]
    fn a_solved_header_meets_its_target_and_is_reported_once() {
        for threads in [1, 3] {
            let searcher = searcher(threads);
            let (sender, receiver) = mpsc::channel();
            let job = job(12, 1);
            searcher.start(
                job.clone(),
                Box::new(move |header| sender.send(header).unwrap()),
            );
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
        let searcher = searcher(2);
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
        let searcher = searcher(2);
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
        let searcher = searcher(2);
        searcher.start(
            job(64, 1),
            Box::new(|_| panic!("the first job was given up")),
        );
        let (sender, receiver) = mpsc::channel();
        searcher.start(
            job(8, 1),
            Box::new(move |header| sender.send(header).unwrap()),
        );
        let solved = receiver.recv().unwrap();
        assert!(job(8, 1).target.is_met_by(&solved.id()));
    }
}
