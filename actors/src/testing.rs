//! What the actors' tests share: a fake world behind an [`Env`], probes that stand for the
//! other actors, and chains mined on the spot. Compiled for tests only; everything runs on
//! one thread under tokio's paused clock, so no test waits in real time.

use crate::{
    env::{
        BoxStream, Channel, Datagrams, Env, Job, Listener, NoOutbox, NoSearcher, RandomStream,
        Transport, WallClock, Workers,
    },
    view::View,
};
use actix::{dev::ToEnvelope, prelude::*};
use futures::{FutureExt, future::LocalBoxFuture};
use mvb_protocol::{
    address::Address,
    block::{Block, Header, Reward},
    chain::{ChainStore, ChangeSet, Tip},
    connect::connect,
    hash::{BlockId, ContentRoot},
    numbers::Timestamp,
    params::{BLOCK_VERSION, ChainParams},
    transaction::{Transaction, Verified},
    validate::{HeaderChain, Parallel, Sequential, expected_reward, verify_block},
    wire::NodeId,
};
use mvb_storage::MemoryStore;
use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, VecDeque},
    future::Future,
    io,
    net::SocketAddr,
    rc::Rc,
    sync::Arc,
    time::Duration,
};
use tokio::{io::DuplexStream, sync::Notify, task::LocalSet};

/// The fake clock's first moment.
pub const NOW: Timestamp = Timestamp(1_700_000_000_000);

/// Who the node under test is.
pub const NODE: NodeId = NodeId([1; 16]);

/// Bytes a fake connection holds in each direction.
const PIPE_BYTES: usize = 64 << 10;

/// A world and its Env.
pub struct World {
    /// For the actor under test.
    pub env: Env,
    /// The store behind it, whose faults can be switched.
    pub store: MemoryStore,
    /// The network behind it.
    pub net: Rc<FakeNet>,
    /// The clock behind it.
    pub clock: Rc<FakeClock>,
}

impl World {
    /// A world with an empty chain.
    pub fn new(params: &ChainParams) -> Self {
        let store = MemoryStore::new(params.clone());
        let net = Rc::<FakeNet>::default();
        let clock = Rc::new(FakeClock(Cell::new(NOW)));
        let env = Env {
            params: Arc::new(params.clone()),
            node: NODE,
            net: net.clone(),
            clock: clock.clone(),
            random: Rc::new(RandomStream::new(1, 0)),
            store: Arc::new(store.clone()),
            outbox: Arc::new(NoOutbox),
            verified: Arc::default(),
            workers: Rc::new(InlineWorkers::default()),
            searcher: Rc::new(NoSearcher),
            view: Rc::new(View::new(Tip::genesis(params.genesis_id()))),
        };
        Self {
            env,
            store,
            net,
            clock,
        }
    }

    /// A world whose store holds a chain already.
    pub fn with_chain(chain: &TestChain) -> Self {
        let world = Self::new(&chain.params);
        chain.commit_to(&world.store);
        world
            .env
            .view
            .chain
            .send_modify(|view| view.tip = chain.tip());
        world
    }

    /// The tip in the store.
    pub fn tip(&self) -> Tip {
        self.store.snapshot().unwrap().tip().unwrap()
    }
}

/// Runs a test's future where actors can be started.
pub async fn local<T>(test: impl Future<Output = T>) -> T {
    LocalSet::new().run_until(test).await
}

/// Waits, in simulated time, until something holds; fails the test after ten minutes.
pub async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..60_000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("still not so: {what}");
}

/// Parameters under which blocks are found at once and need no payments.
pub fn easy_params() -> ChainParams {
    ChainParams {
        difficulty: 2,
        block_size: 1,
        network_name: "test".to_owned(),
        ..ChainParams::default()
    }
}

/// An address that nobody owns.
pub fn address(byte: u8) -> Address {
    Address([byte; 32])
}

/// A chain mined for a test.
#[derive(Clone)]
pub struct TestChain {
    /// Its parameters.
    pub params: ChainParams,
    /// Its blocks, the lowest first.
    pub blocks: Vec<Arc<Block>>,
    headers: HeaderChain,
}

impl TestChain {
    /// A chain without blocks.
    pub fn new(params: &ChainParams) -> Self {
        Self {
            params: params.clone(),
            blocks: Vec::new(),
            headers: HeaderChain::genesis(params),
        }
    }

    /// Its tip.
    pub fn tip(&self) -> Tip {
        self.headers.tip()
    }

    /// A copy cut off above a height.
    pub fn fork_at(&self, height: usize) -> Self {
        let mut fork = Self::new(&self.params);
        for block in &self.blocks[..height] {
            fork.push(block.clone());
        }
        fork
    }

    /// This chain and so many blocks more without payments. Chains of different `to` differ.
    pub fn and(mut self, blocks: usize, to: u8) -> Self {
        for _ in 0..blocks {
            let block = self.mine(Vec::new(), address(to));
            self.push(block);
        }
        self
    }

    /// Mines the next block without adding it.
    pub fn mine(&self, transactions: Vec<Transaction>, to: Address) -> Arc<Block> {
        let height = self.tip().height.next().unwrap();
        let amount = expected_reward(&self.params, height, &transactions).unwrap();
        self.mine_with(
            transactions,
            Reward {
                to,
                amount,
                extra_nonce: 0,
            },
        )
    }

    /// Mines the next block with any reward, right or wrong.
    pub fn mine_with(&self, transactions: Vec<Transaction>, reward: Reward) -> Arc<Block> {
        let mut block = Block {
            header: Header {
                previous: self.tip().id,
                content_root: ContentRoot::default(),
                version: BLOCK_VERSION,
                target: self.headers.next_target(&self.params),
                height: self.tip().height.next().unwrap(),
                timestamp: self.headers.least_timestamp().max(Timestamp(1_000)),
                nonce: 0,
            },
            transactions,
            reward,
        };
        block.header.content_root = block.content_root(self.params.genesis_id(), &block.wids());
        let target = block.header.target.expand().unwrap();
        while !target.is_met_by(&block.header.id()) {
            block.header.nonce += 1;
        }
        Arc::new(block)
    }

    /// Adds a block whose header fits.
    pub fn push(&mut self, block: Arc<Block>) {
        self.headers
            .push(&self.params, &block.header, None)
            .unwrap();
        self.blocks.push(block);
    }

    /// The id at a height from 1.
    pub fn id(&self, height: usize) -> BlockId {
        self.blocks[height - 1].id()
    }

    /// Makes it the active chain of a store.
    pub fn commit_to(&self, store: &MemoryStore) {
        if let Some(changes) = self.changes(store) {
            store.commit(&changes).unwrap();
        }
    }

    /// What a store has to write to make it the active chain.
    pub fn changes(&self, store: &MemoryStore) -> Option<ChangeSet> {
        let branch: Vec<_> = self
            .blocks
            .iter()
            .map(|block| verify_block(block.clone(), &self.params).unwrap())
            .collect();
        connect(&*store.snapshot().unwrap(), &self.params, &branch, NOW)
            .unwrap()
            .changes
    }
}

/// A payment as if its signature had been checked.
pub fn assume_verified(transaction: Transaction) -> Arc<Verified<Transaction>> {
    Arc::new(Verified::for_tests(transaction))
}

/// The messages a probe has got so far.
pub type Seen<M> = Rc<RefCell<Vec<M>>>;

type Answer<M> = Box<dyn Fn(&M) -> <M as Message>::Result>;

/// Stands for another actor: remembers what it was sent and answers by a rule.
pub struct Probe<M: Message> {
    seen: Seen<M>,
    answer: Answer<M>,
}

impl<M: Message + Unpin + 'static> Actor for Probe<M> {
    type Context = Context<Self>;
}

impl<M> Handler<M> for Probe<M>
where
    M: Message + Unpin + 'static,
    M::Result: actix::dev::MessageResponse<Self, M>,
{
    type Result = M::Result;

    fn handle(&mut self, message: M, _: &mut Self::Context) -> Self::Result {
        let answer = (self.answer)(&message);
        self.seen.borrow_mut().push(message);
        answer
    }
}

/// A probe for events, which have no answer.
pub fn probe<M>() -> (Recipient<M>, Seen<M>)
where
    M: Message<Result = ()> + Send + Unpin + 'static,
{
    answering(|_| ())
}

/// A probe that answers by a rule.
pub fn answering<M>(answer: impl Fn(&M) -> M::Result + 'static) -> (Recipient<M>, Seen<M>)
where
    M: Message + Send + Unpin + 'static,
    M::Result: actix::dev::MessageResponse<Probe<M>, M> + Send,
    Context<Probe<M>>: ToEnvelope<Probe<M>, M>,
{
    let seen = Seen::<M>::default();
    let probe = Probe {
        seen: seen.clone(),
        answer: Box::new(answer),
    };
    (probe.start().recipient(), seen)
}

/// A clock that a test sets.
pub struct FakeClock(pub Cell<Timestamp>);

impl WallClock for FakeClock {
    fn now(&self) -> Timestamp {
        self.0.get()
    }
}

/// Jobs run where they are handed in; their results may be held back.
#[derive(Default)]
pub struct InlineWorkers {
    /// How long.
    pub delay: Option<Duration>,
    /// How long the results of writes are held back, if that differs.
    pub write_delay: Option<Duration>,
    /// Whether the last job was a write.
    pub was_write: Cell<bool>,
}

impl Workers for InlineWorkers {
    fn compute(&self, job: Job) {
        self.was_write.set(false);
        job();
    }

    fn write(&self, job: Job) {
        self.was_write.set(true);
        job();
    }

    fn delay(&self) -> Option<Duration> {
        match self.was_write.get() {
            true => self.write_delay.or(self.delay),
            false => self.delay,
        }
    }

    fn parallel(&self) -> Arc<dyn Parallel + Send + Sync> {
        Arc::new(Sequential)
    }
}

/// What a listening peer does with a connection.
type Accept = Rc<dyn Fn(DuplexStream)>;

/// A datagram and its source.
type Arrived = (Vec<u8>, SocketAddr);

/// A connection and who made it.
type Accepted = (BoxStream, SocketAddr);

/// A network in memory.
#[derive(Default)]
pub struct FakeNet {
    /// Every datagram that was broadcast.
    pub sent: RefCell<Vec<(Channel, Vec<u8>)>>,
    /// How often each address was connected to, whether or not somebody listens there.
    pub connects: RefCell<BTreeMap<SocketAddr, usize>>,
    /// Whether no packet gets through: a connection is tried again each second, as TCP does.
    pub is_cut: Cell<bool>,
    peers: RefCell<BTreeMap<SocketAddr, Accept>>,
    sockets: RefCell<Vec<(Channel, Rc<Queue<Arrived>>)>>,
    listener: RefCell<Option<Rc<Queue<Accepted>>>>,
}

impl FakeNet {
    /// Has a peer listen at an address. `accept` gets its end of each connection.
    pub fn serve(&self, address: SocketAddr, accept: impl Fn(DuplexStream) + 'static) {
        self.peers.borrow_mut().insert(address, Rc::new(accept));
    }

    /// How often an address was connected to.
    pub fn connected(&self, address: SocketAddr) -> usize {
        self.connects.borrow().get(&address).copied().unwrap_or(0)
    }

    /// Delivers a datagram to whoever has opened the channel.
    pub fn deliver(&self, channel: Channel, bytes: &[u8], from: SocketAddr) {
        for (open, queue) in &*self.sockets.borrow() {
            if *open == channel {
                queue.push((bytes.to_vec(), from));
            }
        }
    }

    /// Connects to the node's own block server from outside.
    pub fn dial(&self, from: SocketAddr) -> DuplexStream {
        let (near, far) = tokio::io::duplex(PIPE_BYTES);
        let listener = self.listener.borrow();
        let listener = listener.as_ref().expect("the node listens");
        listener.push((Box::new(far), from));
        near
    }
}

impl Transport for FakeNet {
    fn open(&self, channel: Channel) -> LocalBoxFuture<'_, io::Result<Rc<dyn Datagrams>>> {
        let queue = Rc::<Queue<_>>::default();
        self.sockets.borrow_mut().push((channel, queue.clone()));
        async move { Ok(queue as Rc<dyn Datagrams>) }.boxed_local()
    }

    fn broadcast<'a>(
        &'a self,
        channel: Channel,
        bytes: &'a [u8],
    ) -> LocalBoxFuture<'a, io::Result<()>> {
        self.sent.borrow_mut().push((channel, bytes.to_vec()));
        async { Ok(()) }.boxed_local()
    }

    fn listen(&self) -> LocalBoxFuture<'_, io::Result<Rc<dyn Listener>>> {
        let queue = Rc::<Queue<_>>::default();
        *self.listener.borrow_mut() = Some(queue.clone());
        async move { Ok(queue as Rc<dyn Listener>) }.boxed_local()
    }

    fn connect(&self, peer: SocketAddr) -> LocalBoxFuture<'_, io::Result<BoxStream>> {
        *self.connects.borrow_mut().entry(peer).or_default() += 1;
        async move {
            while self.is_cut.get() {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            let accept = self.peers.borrow().get(&peer).cloned();
            let accept = accept.ok_or(io::ErrorKind::ConnectionRefused)?;
            let (near, far) = tokio::io::duplex(PIPE_BYTES);
            accept(far);
            Ok(Box::new(near) as BoxStream)
        }
        .boxed_local()
    }
}

/// What is waiting at a fake socket.
pub struct Queue<T> {
    items: RefCell<VecDeque<T>>,
    arrived: Notify,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self {
            items: RefCell::default(),
            arrived: Notify::new(),
        }
    }
}

impl<T> Queue<T> {
    fn push(&self, item: T) {
        self.items.borrow_mut().push_back(item);
        self.arrived.notify_one();
    }

    async fn pop(&self) -> T {
        loop {
            let item = self.items.borrow_mut().pop_front();
            match item {
                Some(item) => return item,
                None => self.arrived.notified().await,
            }
        }
    }
}

impl Datagrams for Queue<Arrived> {
    fn receive<'a>(
        &'a self,
        buffer: &'a mut [u8],
    ) -> LocalBoxFuture<'a, io::Result<(usize, SocketAddr)>> {
        async move {
            let (bytes, from) = self.pop().await;
            let length = bytes.len().min(buffer.len());
            buffer[..length].copy_from_slice(&bytes[..length]);
            Ok((length, from))
        }
        .boxed_local()
    }
}

impl Listener for Queue<Accepted> {
    fn port(&self) -> u16 {
        2607
    }

    fn accept(&self) -> LocalBoxFuture<'_, io::Result<(BoxStream, SocketAddr)>> {
        async move { Ok(self.pop().await) }.boxed_local()
    }
}
