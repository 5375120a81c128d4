//! What a node needs of the world, handed to it at its start: network, clock, randomness,
//! store, threads and a proof-of-work searcher. The same actors run for real and in
//! simulation; only what is behind these traits differs. Timers go through tokio, which
//! the simulator controls as well.

use crate::{verified_cache::VerifiedCache, view::View};
use futures::future::LocalBoxFuture;
use mvb_protocol::{
    ahead::Ahead,
    block::Header,
    chain::{ChainSnapshot, ChainStore, ChangeSet, StoreError},
    hash::ContentRoot,
    numbers::Timestamp,
    params::ChainParams,
    target::Target,
    transaction::Transaction,
    validate::Parallel,
    wire::NodeId,
};
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};
use std::{cell::RefCell, future::Future, io, net::SocketAddr, rc::Rc, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::oneshot,
};

/// Everything an actor may use of the world. Cheap to clone; clones share all of it.
#[derive(Clone)]
pub struct Env {
    /// The chain's parameters.
    pub params: Arc<ChainParams>,
    /// This run's name for itself, told to peers so that its own echo is known.
    pub node: NodeId,
    /// The network.
    pub net: Rc<dyn Transport>,
    /// The wall clock.
    pub clock: Rc<dyn WallClock>,
    /// The random stream.
    pub random: Rc<RandomStream>,
    /// The chain.
    pub store: Arc<dyn ChainStore>,
    /// The payments made on this home that are not settled yet.
    pub outbox: Arc<dyn Outbox>,
    /// The payments whose signatures were verified lately; `Arc::default()` at the start.
    pub verified: Arc<VerifiedCache>,
    /// Threads for computing and for writing.
    pub workers: Rc<dyn Workers>,
    /// The proof-of-work search.
    pub searcher: Rc<dyn Searcher>,
    /// Where actors publish what people want to see.
    pub view: Rc<View>,
}

/// Which of the two shared UDP ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Channel {
    /// Miners' status datagrams, `status_broadcast_port`.
    Status,
    /// Wallets' payment datagrams, `transaction_port`.
    Transactions,
}

/// A TCP stream of either world.
pub trait Stream: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Stream for T {}

/// An owned stream.
pub type BoxStream = Box<dyn Stream>;

/// The network: tokio's for real, turmoil's in simulation.
pub trait Transport {
    /// Binds the shared port of a channel for receiving.
    fn open(&self, channel: Channel) -> LocalBoxFuture<'_, io::Result<Rc<dyn Datagrams>>>;

    /// Sends a datagram to everybody who listens on a channel.
    fn broadcast<'a>(
        &'a self,
        channel: Channel,
        bytes: &'a [u8],
    ) -> LocalBoxFuture<'a, io::Result<()>>;

    /// Binds the block server's port, or the next free one if that is allowed.
    fn listen(&self) -> LocalBoxFuture<'_, io::Result<Rc<dyn Listener>>>;

    /// Connects to a peer's block server. The caller sets the deadline.
    fn connect(&self, peer: SocketAddr) -> LocalBoxFuture<'_, io::Result<BoxStream>>;
}

/// A bound UDP port.
pub trait Datagrams {
    /// Waits for the next datagram, cut to the buffer, and its sender.
    fn receive<'a>(
        &'a self,
        buffer: &'a mut [u8],
    ) -> LocalBoxFuture<'a, io::Result<(usize, SocketAddr)>>;
}

/// A bound TCP port.
pub trait Listener {
    /// The port it is bound to.
    fn port(&self) -> u16;

    /// Waits for the next connection.
    fn accept(&self) -> LocalBoxFuture<'_, io::Result<(BoxStream, SocketAddr)>>;
}

/// The wall clock, which may jump either way.
pub trait WallClock {
    /// Milliseconds since 1970 by this machine's clock.
    fn now(&self) -> Timestamp;
}

/// The unsettled payments of this home, which any resident node announces.
pub trait Outbox: Send + Sync {
    /// Every payment that is not 100 blocks deep yet, the oldest first. Whether one is on
    /// the active chain is for the caller to look up.
    ///
    /// # Errors
    /// When the outbox cannot be read.
    fn unsettled(&self) -> Result<Vec<Arc<Transaction>>, StoreError>;
}

/// An outbox of a node that makes no payments.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoOutbox;

impl Outbox for NoOutbox {
    fn unsettled(&self) -> Result<Vec<Arc<Transaction>>, StoreError> {
        Ok(Vec::new())
    }
}

/// A piece of work for another thread.
pub type Job = Box<dyn FnOnce() + Send>;

/// Threads apart from the actors' and from the search pool's. In simulation jobs run
/// inline and their results arrive after a seeded delay.
pub trait Workers {
    /// Runs a computation on the CPU pool.
    fn compute(&self, job: Job);

    /// Runs a job on the one thread that writes to the chain store. A write transaction
    /// begins and ends inside one such job.
    fn write(&self, job: Job);

    /// How long the result of a job is held back; `None` for real.
    fn delay(&self) -> Option<Duration> {
        None
    }

    /// How independent checks inside a job are spread over cores.
    fn parallel(&self) -> Arc<dyn Parallel + Send + Sync>;
}

/// What the search threads look for: a header with one of some content roots, and a nonce,
/// so that its id meets the target. Headers that differ in their roots are cheaper to search
/// together than one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SearchJob {
    /// The header, but for root and nonce; the search begins near its nonce.
    pub header: Header,
    /// The content roots it may have.
    pub roots: Arc<[ContentRoot]>,
    /// The number its id must be below.
    pub target: Target,
}

impl SearchJob {
    /// The search for one header's nonce.
    pub fn single(header: Header, target: Target) -> Self {
        Self {
            header,
            roots: Arc::new([header.content_root]),
            target,
        }
    }
}

/// Called on some thread with the solved header, at most once a job.
pub type OnFound = Box<dyn FnOnce(Header) + Send>;

/// The proof-of-work search over all its threads.
pub trait Searcher {
    /// Gives up the job at hand, if any, and begins this one. Never blocks.
    fn start(&self, job: SearchJob, on_found: OnFound);

    /// Gives up the job at hand: one atomic store, which the threads read between batches.
    fn stop(&self);

    /// Headers tried since the node started.
    fn hashes(&self) -> u64;

    /// How many threads search.
    fn threads(&self) -> usize;

    /// How many content roots a job should have for full speed.
    fn roots(&self) -> usize;
}

/// A searcher for nodes that do not mine.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoSearcher;

impl Searcher for NoSearcher {
    fn start(&self, _: SearchJob, _: OnFound) {}
    fn stop(&self) {}
    fn hashes(&self) -> u64 {
        0
    }
    fn threads(&self) -> usize {
        0
    }
    fn roots(&self) -> usize {
        1
    }
}

/// A seeded stream of random numbers.
pub struct RandomStream(RefCell<ChaCha8Rng>);

impl RandomStream {
    /// Stream number `stream` of a seed. Streams of one seed are independent.
    pub fn new(seed: u64, stream: u64) -> Self {
        let mut generator = ChaCha8Rng::seed_from_u64(seed);
        generator.set_stream(stream);
        Self(RefCell::new(generator))
    }

    /// 64 random bits.
    pub fn next_u64(&self) -> u64 {
        self.0.borrow_mut().next_u64()
    }

    /// A number below `bound`, or 0 where `bound` is 0.
    pub fn below(&self, bound: u64) -> u64 {
        // The bias of the multiply-shift is at most bound / 2^64.
        ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u64
    }

    /// A number from 0 up to but not including 1.
    pub fn unit(&self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }
}

impl Env {
    /// Runs a computation on the CPU pool and waits for its result.
    pub fn compute<T, F>(&self, job: F) -> impl Future<Output = T> + 'static
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        // The receiver is gone when the actor that asked has stopped: nobody waits.
        self.workers
            .compute(Box::new(move || drop(sender.send(job()))));
        delivered(self.workers.delay(), receiver)
    }

    /// Commits a change set on the writer thread and waits until it is synced.
    pub fn commit(
        &self,
        changes: Arc<ChangeSet>,
    ) -> impl Future<Output = Result<(), StoreError>> + 'static {
        let (sender, receiver) = oneshot::channel();
        let store = self.store.clone();
        self.workers
            .write(Box::new(move || drop(sender.send(store.commit(&changes)))));
        delivered(self.workers.delay(), receiver)
    }

    /// Reads the chain on the CPU pool and waits for the result. For a look-up of a few
    /// records a snapshot taken in place is enough.
    pub fn read<T, F>(&self, job: F) -> impl Future<Output = Result<T, StoreError>> + 'static
    where
        T: Send + 'static,
        F: FnOnce(&dyn ChainSnapshot) -> Result<T, StoreError> + Send + 'static,
    {
        let store = self.store.clone();
        self.compute(move || job(&*store.snapshot()?))
    }

    /// The same for the chain as it will be once what is `ahead` of the store is written.
    pub fn read_ahead<T, F>(
        &self,
        ahead: Ahead,
        job: F,
    ) -> impl Future<Output = Result<T, StoreError>> + 'static
    where
        T: Send + 'static,
        F: FnOnce(&dyn ChainSnapshot) -> Result<T, StoreError> + Send + 'static,
    {
        self.read(move |chain| job(&ahead.above(chain)?))
    }
}

/// Waits for a job's result, held back by `delay`. A worker that drops its job is shutting
/// down with the process; its caller waits for ever rather than seeing half a result.
async fn delivered<T>(delay: Option<Duration>, receiver: oneshot::Receiver<T>) -> T {
    let result = match receiver.await {
        Ok(result) => result,
        Err(_) => std::future::pending().await,
    };
    if let Some(delay) = delay {
        tokio::time::sleep(delay).await;
    }
    result
}
