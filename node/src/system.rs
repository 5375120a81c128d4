//! The Env's parts that are this machine: its clock, its randomness and its threads.

use mvb_actors::env::{Job, WallClock, Workers};
use mvb_protocol::{numbers::Timestamp, validate::Parallel, wire::NodeId};
use rayon::{ThreadPool, ThreadPoolBuildError, ThreadPoolBuilder, prelude::*};
use std::{
    io,
    sync::{Arc, mpsc},
    thread,
    time::UNIX_EPOCH,
};

/// The machine's wall clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl WallClock for SystemClock {
    #[allow(
        clippy::disallowed_methods,
        reason = "this is what Env's clock is for real"
    )]
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::now().duration_since(UNIX_EPOCH);
        // A clock set before 1970 reads as 1970, which every rule on timestamps survives.
        Timestamp(since.map_or(0, |since| {
            u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
        }))
    }
}

/// A name for this run that no other run has.
///
/// # Errors
/// When the system gives no randomness.
pub fn fresh_node_id() -> Result<NodeId, getrandom::Error> {
    let mut id = [0; 16];
    getrandom::fill(&mut id)?;
    Ok(NodeId(id))
}

/// A seed for this run's random stream.
///
/// # Errors
/// When the system gives no randomness.
pub fn fresh_seed() -> Result<u64, getrandom::Error> {
    getrandom::u64()
}

/// Two pools for computing, apart from the search pool's, and one thread that writes. Checks
/// have a pool of their own: a batch of signatures takes it for a good part of a second, and
/// what is decoded meanwhile for the next batch must not wait behind it.
pub struct ThreadWorkers {
    compute: ThreadPool,
    checks: Arc<ThreadPool>,
    writer: mpsc::Sender<Job>,
}

/// Why the threads could not be started.
#[derive(Debug, thiserror::Error)]
pub enum WorkersError {
    /// The CPU pool.
    #[error("cannot start the worker threads: {0}")]
    Pool(#[from] ThreadPoolBuildError),
    /// The writer.
    #[error("cannot start the writer thread: {0}")]
    Writer(#[from] io::Error),
}

impl ThreadWorkers {
    /// Starts the writer, and in either pool as many threads as there are cores.
    ///
    /// # Errors
    /// When the system gives no more threads.
    pub fn new() -> Result<Self, WorkersError> {
        let pool = |name: &'static str| {
            ThreadPoolBuilder::new()
                .thread_name(move |i| format!("{name}-{i}"))
                .build()
        };
        let (compute, checks) = (pool("worker")?, pool("checks")?);
        let (writer, jobs) = mpsc::channel::<Job>();
        thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || jobs.into_iter().for_each(|job| job()))?;
        Ok(Self {
            compute,
            checks: Arc::new(checks),
            writer,
        })
    }
}

impl Workers for ThreadWorkers {
    fn compute(&self, job: Job) {
        self.compute.spawn(job);
    }

    fn write(&self, job: Job) {
        self.writer
            .send(job)
            .expect("the writer thread ends only when this sender is dropped");
    }

    fn parallel(&self) -> Arc<dyn Parallel + Send + Sync> {
        Arc::new(PoolParallel(self.checks.clone()))
    }
}

/// Checks spread over a rayon pool.
struct PoolParallel(Arc<ThreadPool>);

impl Parallel for PoolParallel {
    fn for_each(&self, count: usize, job: &(dyn Fn(usize) + Sync)) {
        // A change of thread and back takes longer than one check of an empty block.
        if count < 2 {
            return (0..count).for_each(job);
        }
        self.0.install(|| (0..count).into_par_iter().for_each(job));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn every_index_is_checked_once() {
        let workers = ThreadWorkers::new().unwrap();
        let counts: Vec<AtomicUsize> = (0..1_000).map(|_| AtomicUsize::new(0)).collect();
        workers.parallel().for_each(counts.len(), &|i| {
            counts[i].fetch_add(1, Ordering::Relaxed);
        });
        assert!(
            counts
                .iter()
                .all(|count| count.load(Ordering::Relaxed) == 1)
        );
    }

    #[test]
    fn writes_happen_in_order_on_one_thread() {
        let workers = ThreadWorkers::new().unwrap();
        let (sender, receiver) = mpsc::channel();
        for i in 0..100 {
            let sender = sender.clone();
            workers.write(Box::new(move || {
                sender.send((i, thread::current().id())).unwrap();
            }));
        }
        drop(sender);
        let seen: Vec<_> = receiver.into_iter().collect();
        assert!(seen.iter().map(|(i, _)| *i).eq(0..100));
        assert!(seen.iter().all(|(_, id)| *id == seen[0].1));
    }

    #[test]
    fn the_clock_is_past_2026_and_node_ids_differ() {
        assert!(SystemClock.now() > Timestamp(1_767_225_600_000));
        assert_ne!(fresh_node_id().unwrap(), fresh_node_id().unwrap());
    }
}
