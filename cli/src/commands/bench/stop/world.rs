//! What stands around the ChainManager and the Miner while their stopping is measured: blocks
//! made beforehand, an observer between the two, an empty mempool, no network.

#![allow(
    clippy::disallowed_methods,
    reason = "a benchmark reads the monotonic clock"
)]

use actix::prelude::*;
use futures::future::LocalBoxFuture;
use mvb_actors::{
    env::{BoxStream, Channel, Datagrams, Env, Listener, OnFound, SearchJob, Searcher, Transport},
    messages::{BestChanged, SelectTransactions, Selection},
    miner::template::{Ingredients, Template},
    search::PoolSearcher,
};
use mvb_protocol::{
    address::Address,
    block::Block,
    chain::{ChainSnapshot, Tip},
    numbers::Timestamp,
    params::ChainParams,
    target::Target,
    validate::HeaderChain,
};
use std::{io, net::SocketAddr, rc::Rc, sync::Arc, time::Instant};
use tokio::sync::mpsc::UnboundedSender;

/// Why reading the store cannot fail here.
pub const MEMORY: &str = "a memory store can be read";

/// The pool, given jobs it will not solve, so that every announcement finds it searching.
pub struct Unsolvable(pub PoolSearcher);

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

/// A chain of valid blocks, made beforehand.
pub fn blocks(params: &ChainParams, count: u32) -> Vec<Arc<Block>> {
    let mut chain = HeaderChain::genesis(params);
    (0..count)
        .map(|i| {
            let template = Template::build(&Ingredients {
                params,
                parent: &chain,
                payments: &[],
                reward_to: Address([1; 32]),
                extra_nonce: 0,
                roots: 1,
                now: Timestamp(i.into()),
            })
            .expect("an empty block is enough with block_size 1");
            let mut header = template.header;
            while !template.target.is_met_by(&header.id()) {
                header.nonce += 1;
            }
            chain.push(params, &header, None).expect("it is valid");
            let block = template.solved(header, params);
            let block = block.expect("its own root").expect("it is valid");
            block.block().clone()
        })
        .collect()
}

/// Stands between the ChainManager and the Miner, notes when it is told, and passes it on.
pub struct Probe(pub UnboundedSender<Instant>, pub Recipient<BestChanged>);

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
pub struct EmptyMempool {
    /// Its store knows the tip once nothing waits to be written.
    pub env: Env,
}

impl Actor for EmptyMempool {
    type Context = Context<Self>;
}

impl Handler<SelectTransactions> for EmptyMempool {
    type Result = Selection;

    fn handle(&mut self, message: SelectTransactions, _: &mut Self::Context) -> Selection {
        let snapshot = self.env.store.snapshot().expect(MEMORY);
        let synced: Tip = ChainSnapshot::tip(&*snapshot).expect(MEMORY);
        Selection {
            tip: message.ahead.tip().unwrap_or(synced).id,
            payments: Vec::new(),
        }
    }
}

/// Nobody else.
pub struct NoNetwork;

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
