//! How soon mining stops: from the ChainManager's announcement of a better tip to the
//! moment the last search thread has left its job, through the real ChainManager, Miner
//! and search pool. `cargo bench -p mvb-tests --bench stop`; figures only, no assertion.

#![allow(
    clippy::disallowed_methods,
    reason = "a benchmark reads the monotonic clock"
)]

use actix::prelude::*;
use futures::future::LocalBoxFuture;
use mvb_actors::{
    chain_manager::{ChainManager, ChainPorts},
    env::{
        BoxStream, Channel, Datagrams, Env, Listener, NoOutbox, OnFound, RandomStream, SearchJob,
        Searcher, Transport,
    },
    messages::{BestChanged, SelectTransactions, Selection, SubmitBlock},
    miner::{
        Miner, MinerConfig, MinerPorts,
        template::{Ingredients, Template},
    },
    search::PoolSearcher,
    verified_cache::VerifiedCache,
    view::{MiningState, View},
};
use mvb_kernels::Kernel;
use mvb_node::system::{SystemClock, ThreadWorkers};
use mvb_protocol::{
    address::Address,
    block::Block,
    chain::{ChainSnapshot, Tip},
    numbers::Timestamp,
    params::ChainParams,
    target::Target,
    validate::HeaderChain,
    wire::NodeId,
};
use mvb_storage::MemoryStore;
use std::{
    io,
    net::SocketAddr,
    rc::Rc,
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

const ANNOUNCEMENTS: usize = 1_000;

fn main() {
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
    println!(
        "{ANNOUNCEMENTS} announcements each, {cores} cores; microseconds from the announcement to the last thread stopped"
    );
    let mut counts = vec![1, cores.saturating_sub(1).max(1), cores, 2 * cores];
    counts.dedup();
    for threads in counts {
        let mut samples = actix_rt::System::new().block_on(measure(threads));
        samples.sort_unstable();
        let at =
            |share: f64| samples[(share * (samples.len() - 1) as f64) as usize].as_secs_f64() * 1e6;
        println!(
            "threads {threads:>3}: p50 {:>8.1}  p99 {:>8.1}  max {:>8.1}",
            at(0.5),
            at(0.99),
            at(1.0)
        );
    }
}

/// The pool, given jobs it will not solve, so that every announcement finds it searching.
struct Unsolvable(PoolSearcher);

impl Searcher for Unsolvable {
    fn start(&self, job: SearchJob, on_found: OnFound) {
        self.0.start(
            SearchJob {
                target: Target::from_difficulty(64),
                ..job
            },
            on_found,
        );
    }
    fn stop(&self) {
        self.0.stop();
    }
    fn hashes(&self) -> u64 {
        self.0.hashes()
    }
    fn threads(&self) -> usize {
        self.0.threads()
    }
    fn roots(&self) -> usize {
        self.0.roots()
    }
}

async fn measure(threads: usize) -> Vec<Duration> {
    let params = ChainParams {
        difficulty: 1,
        block_size: 1,
        ..ChainParams::default()
    };
    let (idle, idles) = mpsc::channel();
    let pool = PoolSearcher::observed(
        threads,
        Kernel::best(),
        Box::new(move || {
            let _ = idle.send(Instant::now());
        }),
    )
    .expect("the machine has threads");
    let env = Env {
        params: Arc::new(params.clone()),
        node: NodeId([0; 16]),
        net: Rc::new(NoNetwork),
        clock: Rc::new(SystemClock),
        random: Rc::new(RandomStream::new(1, 1)),
        store: Arc::new(MemoryStore::new(params.clone())),
        outbox: Arc::new(NoOutbox),
        verified: Arc::new(VerifiedCache::default()),
        workers: Rc::new(ThreadWorkers::new().expect("the machine has threads")),
        searcher: Rc::new(Unsolvable(pool)),
        view: Rc::new(View::new(Tip::genesis(params.genesis_id()))),
    };
    let (announced, announcements) = mpsc::channel();
    let intake = EmptyMempool { env: env.clone() }.start();
    let miner_context = Context::<Miner>::new();
    let miner = miner_context.address();
    let probe = Probe(announced, miner.recipient()).start();
    let chain_ports = ChainPorts {
        miner: Some(probe.recipient()),
        listeners: Vec::new(),
    };
    let chain = ChainManager::new(env.clone(), chain_ports)
        .expect("a memory store can be read")
        .start();
    let ports = MinerPorts {
        intake: intake.recipient(),
        chain: chain.clone().recipient(),
    };
    let config = MinerConfig {
        reward_to: Address([2; 32]),
        listen: Duration::ZERO,
    };
    miner_context.run(Miner::new(env.clone(), config, ports).expect("a memory store can be read"));

    let mut samples = Vec::new();
    let mut mining = env.view.mining.subscribe();
    for block in blocks(&params) {
        let parent = block.header.previous;
        mining
            .wait_for(|view| matches!(view.state, MiningState::Searching { parent: p, .. } if p == parent))
            .await
            .expect("the miner runs");
        // The threads must be in the job before it is taken from them.
        let before = env.searcher.hashes();
        while env.searcher.hashes() == before {
            tokio::time::sleep(Duration::from_micros(100)).await;
        }
        while idles.try_recv().is_ok() {}
        chain
            .send(SubmitBlock { block })
            .await
            .expect("it runs")
            .expect("the block is valid");
        mining
            .wait_for(|view| matches!(view.state, MiningState::Searching { parent: p, .. } if p != parent))
            .await
            .expect("the miner runs");
        let announced: Instant = announcements.recv().expect("each block is announced");
        let stopped = idles.recv().expect("the threads stopped");
        samples.push(stopped.saturating_duration_since(announced));
    }
    samples
}

/// A chain of valid blocks, made beforehand.
fn blocks(params: &ChainParams) -> Vec<Arc<Block>> {
    let mut chain = HeaderChain::genesis(params);
    (0..ANNOUNCEMENTS)
        .map(|i| {
            let template = Template::build(&Ingredients {
                params,
                parent: &chain,
                transactions: &[],
                reward_to: Address([1; 32]),
                extra_nonce: 0,
                roots: 1,
                now: Timestamp(i as u64),
            })
            .expect("an empty block is enough with block_size 1");
            let mut block = template.block;
            while !template.target.is_met_by(&block.id()) {
                block.header.nonce += 1;
            }
            chain
                .push(params, &block.header, None)
                .expect("it is valid");
            Arc::new(block)
        })
        .collect()
}

/// Stands between the ChainManager and the Miner, notes when it is told, and passes it on.
struct Probe(mpsc::Sender<Instant>, Recipient<BestChanged>);

impl Actor for Probe {
    type Context = Context<Self>;
}

impl Handler<BestChanged> for Probe {
    type Result = ();

    fn handle(&mut self, message: BestChanged, _: &mut Self::Context) {
        let _ = self.0.send(Instant::now());
        self.1.do_send(message);
    }
}

/// A mempool without payments.
struct EmptyMempool {
    env: Env,
}

impl Actor for EmptyMempool {
    type Context = Context<Self>;
}

impl Handler<SelectTransactions> for EmptyMempool {
    type Result = Selection;

    fn handle(&mut self, _: SelectTransactions, _: &mut Self::Context) -> Selection {
        let snapshot = self
            .env
            .store
            .snapshot()
            .expect("a memory store can be read");
        let tip: Tip = ChainSnapshot::tip(&*snapshot).expect("a memory store can be read");
        Selection {
            tip: tip.id,
            transactions: Vec::new(),
        }
    }
}

struct NoNetwork;

impl Transport for NoNetwork {
    fn open(&self, _: Channel) -> LocalBoxFuture<'_, io::Result<Rc<dyn Datagrams>>> {
        Box::pin(std::future::pending())
    }
    fn broadcast<'a>(&'a self, _: Channel, _: &'a [u8]) -> LocalBoxFuture<'a, io::Result<()>> {
        Box::pin(std::future::pending())
    }
    fn listen(&self) -> LocalBoxFuture<'_, io::Result<Rc<dyn Listener>>> {
        Box::pin(std::future::pending())
    }
    fn connect(&self, _: SocketAddr) -> LocalBoxFuture<'_, io::Result<BoxStream>> {
        Box::pin(std::future::pending())
    }
}
