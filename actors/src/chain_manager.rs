//! The ChainManager: the only writer of chain state. The miner and the fork resolver hand
//! it blocks; everybody learns from it, and only from it, that the active chain changed.
//!
//! It judges one branch at a time, on a worker, and never waits for the disk to judge the
//! next: the Miner hears of a better chain at once, so that it searches the next block while
//! this one is written and synced on the store's thread. Everybody else hears of it after
//! that. It never touches the network, and never announces what is not on the disk.

mod judge;
mod pipeline;
#[cfg(test)]
mod tests;

use crate::{
    branch_block::BranchBlock,
    env::Env,
    messages::{BestChanged, BranchConnected, ChainError, ConnectBranch, SubmitBlock, TipChanged},
    seen_blocks::SeenBlocks,
    view::ChainView,
};
use actix::prelude::*;
use futures::future::LocalBoxFuture;
use judge::{InvalidBlocks, Judge, Judgement};
use mvb_protocol::{
    chain::{ChangeSet, StoreError, Tip},
    hash::BlockId,
    mutant,
};
use pipeline::{Origin, Pipeline, Request};
use std::sync::Arc;
use tokio::sync::oneshot;

/// Whom the manager tells of changes.
#[derive(Clone, Default)]
pub struct ChainPorts {
    /// The miner, where there is one, of each better chain before it is written.
    pub miner: Option<Recipient<BestChanged>>,
    /// Who hears of each change once it is synced, in this order: TransactionIntake,
    /// GossipBroadcaster, ForkResolver.
    pub listeners: Vec<Recipient<TipChanged>>,
}

/// The actor.
pub struct ChainManager {
    env: Env,
    ports: ChainPorts,
    pipeline: Pipeline,
    /// Copied on write, because a worker may still be reading it.
    invalid: Arc<InvalidBlocks>,
    view: ChainView,
}

impl ChainManager {
    /// A manager of the Env's store.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn new(env: Env, ports: ChainPorts) -> Result<Self, StoreError> {
        let snapshot = env.store.snapshot()?;
        let tip = snapshot.tip()?;
        let block = snapshot.block(&tip.id)?;
        env.view
            .blocks
            .send_replace(SeenBlocks::of_store(&*snapshot)?);
        drop(snapshot);
        let view = ChainView {
            tip,
            timestamp: block
                .as_ref()
                .map(|b| b.header.timestamp)
                .unwrap_or_default(),
            payments: block.map_or(0, |block| block.transactions.len()),
            reorgs: 0,
            deepest_reorg: 0,
            blocks_found: 0,
        };
        env.view.chain.send_replace(view.clone());
        Ok(Self {
            env,
            ports,
            pipeline: Pipeline::default(),
            invalid: Arc::default(),
            view,
        })
    }
}

impl Actor for ChainManager {
    type Context = Context<Self>;
}

impl Handler<SubmitBlock> for ChainManager {
    type Result = ResponseFuture<Result<Tip, ChainError>>;

    fn handle(&mut self, message: SubmitBlock, ctx: &mut Self::Context) -> Self::Result {
        let branch = vec![message.block];
        let connected = self.take_in(branch, Origin::Miner, ctx);
        Box::pin(async move { Ok(connected.await?.tip) })
    }
}

impl Handler<ConnectBranch> for ChainManager {
    type Result = ResponseFuture<Result<BranchConnected, ChainError>>;

    fn handle(&mut self, message: ConnectBranch, ctx: &mut Self::Context) -> Self::Result {
        self.take_in(message.blocks, Origin::Peers, ctx)
    }
}

impl ChainManager {
    /// Takes a branch in. The future is ready when it has been refused, or adopted and
    /// synced.
    fn take_in(
        &mut self,
        branch: Vec<BranchBlock>,
        origin: Origin,
        ctx: &mut Context<Self>,
    ) -> LocalBoxFuture<'static, Result<BranchConnected, ChainError>> {
        let (asker, outcome) = oneshot::channel();
        self.pipeline.push(Request {
            branch,
            origin,
            asker,
        });
        self.advance(ctx);
        Box::pin(async move {
            match outcome.await {
                Ok(outcome) => outcome,
                // The manager is gone, so the node is going down.
                Err(_) => std::future::pending().await,
            }
        })
    }

    /// Gives the worker and the writer something to do, if they are free and there is some.
    fn advance(&mut self, ctx: &mut Context<Self>) {
        if let Some(branch) = self.pipeline.next_to_judge() {
            let ahead = self.pipeline.ahead().clone();
            let judge = Judge::new(&self.env, self.invalid.clone(), ahead);
            let judged = self.env.compute(move || judge.judge(branch));
            ctx.spawn(
                judged
                    .into_actor(self)
                    .map(|judgement, manager, ctx| manager.judged(judgement, ctx)),
            );
        }
        if let Some(changes) = self.pipeline.next_to_write() {
            let commit = self.env.commit(changes.clone());
            let written = async move {
                match () {
                    () if mutant!(AnnouncedUnsynced) => drop(tokio::task::spawn_local(commit)),
                    () if mutant!(FailedCommitCounts) => drop(commit.await),
                    () => commit.await?,
                }
                Ok(())
            };
            ctx.spawn(
                written
                    .into_actor(self)
                    .map(move |result, manager, ctx| manager.written(&changes, result, ctx)),
            );
        }
    }

    /// A branch has been judged: a better chain is told to the miner and written, anything
    /// else is answered.
    fn judged(&mut self, judgement: Result<Judgement, StoreError>, ctx: &mut Context<Self>) {
        if let Some(request) = self.pipeline.judged() {
            match judgement {
                Ok(judgement) => self.conclude(request, judgement),
                Err(error) => {
                    self.report_failure(&error);
                    drop(request.asker.send(Err(error.into())));
                }
            }
        }
        self.advance(ctx);
    }

    fn conclude(&mut self, request: Request, judgement: Judgement) {
        if judgement.rejected.is_some() {
            Arc::make_mut(&mut self.invalid).learn(&judgement);
        }
        let Judgement {
            tip,
            changes,
            rejected,
            ..
        } = judgement;
        if let Some(changes) = changes {
            let tip = changes.tip;
            let connected = BranchConnected { tip, rejected };
            self.pipeline.adopt(changes, connected, request);
            self.tell_miner(BestChanged::Validated {
                tip,
                ahead: self.pipeline.ahead().clone(),
            });
            return;
        }
        let last = request.branch.last().map(|block| block.header().id());
        let outcome = match (rejected, last) {
            (Some((id, error)), _) => Err(ChainError::Rejected { id, error }),
            (None, Some(id)) => {
                self.note_outdone(&request);
                Err(ChainError::NotBetter { id, tip: tip.id })
            }
            (None, None) => Ok(BranchConnected {
                tip,
                rejected: None,
            }),
        };
        drop(request.asker.send(outcome));
    }

    /// Nobody builds on such a branch, but whoever looks at forks wants to see it.
    fn note_outdone(&self, request: &Request) {
        let now = self.env.clock.now();
        let is_ours = request.origin == Origin::Miner;
        let branch = request.branch.iter().map(|block| &**block.block());
        let seen = &self.env.view.blocks;
        seen.send_modify(|seen| seen.outdone(branch, is_ours, now));
    }

    /// The store has synced a step, which everybody may know now, or it has failed.
    fn written(
        &mut self,
        changes: &ChangeSet,
        result: Result<(), StoreError>,
        ctx: &mut Context<Self>,
    ) {
        match result {
            Ok(()) => {
                let written = self.pipeline.written();
                self.view.blocks_found += written.found_here.len() as u64;
                self.announce(changes, &written.found_here);
                for (asker, connected) in written.waiting {
                    drop(asker.send(Ok(connected)));
                }
            }
            Err(error) => {
                self.report_failure(&error);
                let waiting = self.pipeline.retract();
                self.tell_miner(BestChanged::Retracted { tip: self.view.tip });
                for asker in waiting {
                    drop(asker.send(Err(error.clone().into())));
                }
            }
        }
        self.advance(ctx);
    }

    fn tell_miner(&self, message: BestChanged) {
        if let Some(miner) = &self.ports.miner {
            miner.do_send(message);
        }
    }

    /// Nothing was announced and the old chain stands. A node that cannot keep what it hears
    /// is no node: whoever runs it is asked to end it, in words. Where nobody does, the next
    /// branch is tried afresh.
    fn report_failure(&self, error: &StoreError) {
        let height = self.view.tip.height;
        let reason = match error {
            // Somebody else changed the store meanwhile; the branch is judged again.
            StoreError::Stale { .. } => {
                tracing::error!(%error, "the block is not accepted");
                return;
            }
            StoreError::Full => format!(
                "the disk is full: make room and start again; the chain is stored up to block {height}"
            ),
            error @ (StoreError::Io { .. } | StoreError::Damaged { .. }) => format!(
                "{error}; no more blocks can be stored, the chain is stored up to block {height}"
            ),
        };
        // The first failure is the one to tell: LMDB calls all that follow it MDB_PANIC.
        self.env.view.fatal.send_if_modified(|fatal| {
            let is_first = fatal.is_none();
            fatal.get_or_insert(reason);
            is_first
        });
    }

    fn announce(&mut self, changes: &ChangeSet, found_here: &[BlockId]) {
        let depth = changes.disconnect.len() as u64;
        if let Some(last) = changes.connect.last() {
            self.view.timestamp = last.block.header.timestamp;
            self.view.payments = last.block.transactions.len();
        }
        self.view.tip = changes.tip;
        self.view.reorgs += u64::from(depth > 0);
        self.view.deepest_reorg = self.view.deepest_reorg.max(depth);
        let now = self.env.clock.now();
        let seen = &self.env.view.blocks;
        seen.send_modify(|seen| seen.changed(changes, found_here, now));
        self.env.view.chain.send_replace(self.view.clone());
        let changed = TipChanged {
            previous: changes.previous,
            tip: changes.tip,
            disconnected: changes.disconnect.as_slice().into(),
            connected: changes.connect.as_slice().into(),
            accounts: Arc::new(changes.accounts.clone()),
        };
        for listener in &self.ports.listeners {
            listener.do_send(changed.clone());
        }
        log_change(changes, self.view.payments);
    }
}

fn log_change(changes: &ChangeSet, payments: usize) {
    let Tip { id, height, .. } = changes.tip;
    let (joined, left) = (changes.connect.len(), changes.disconnect.len());
    if left == 0 {
        tracing::info!(%height, id = format_args!("{id:.8}"), payments, blocks = joined, "new tip");
    } else {
        tracing::info!(
            %height,
            id = format_args!("{id:.8}"),
            orphaned = left,
            connected = joined,
            "reorganised to a better chain"
        );
    }
}
