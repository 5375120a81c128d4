//! The ChainManager: the only writer of chain state. The miner and the fork resolver hand
//! it blocks; everybody learns from it, and only from it, that the active chain changed.
//!
//! It takes one branch at a time from start to end, so that no two changes interleave:
//! judged on a worker, written and synced on the store's thread, and only then announced.
//! It never touches the network, and never announces what is not on the disk.

mod judge;
#[cfg(test)]
mod tests;

use crate::{
    env::Env,
    messages::{BranchConnected, ChainError, ConnectBranch, SubmitBlock, TipChanged},
    view::ChainView,
};
use actix::prelude::*;
use judge::{InvalidBlocks, Judge, Judgement};
use mvb_protocol::{
    block::Block,
    chain::{ChangeSet, StoreError, Tip},
    hash::BlockId,
    mutant,
};
use std::{future::Future, sync::Arc};

/// The actor.
pub struct ChainManager {
    env: Env,
    listeners: Vec<Recipient<TipChanged>>,
    /// Copied on write, because a worker may still be reading it.
    invalid: Arc<InvalidBlocks>,
    view: ChainView,
}

impl ChainManager {
    /// A manager of the Env's store. `listeners` hear of each change in this order:
    /// TransactionIntake, Miner, GossipBroadcaster, ForkResolver.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn new(env: Env, listeners: Vec<Recipient<TipChanged>>) -> Result<Self, StoreError> {
        let snapshot = env.store.snapshot()?;
        let tip = snapshot.tip()?;
        let block = snapshot.block(&tip.id)?;
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
        };
        env.view.chain.send_replace(view.clone());
        Ok(Self {
            env,
            listeners,
            invalid: Arc::default(),
            view,
        })
    }
}

impl Actor for ChainManager {
    type Context = Context<Self>;
}

impl Handler<SubmitBlock> for ChainManager {
    type Result = AtomicResponse<Self, Result<Tip, ChainError>>;

    fn handle(&mut self, message: SubmitBlock, _: &mut Self::Context) -> Self::Result {
        let id = message.block.id();
        let adopted = self.adopt(vec![message.block]);
        AtomicResponse::new(Box::pin(
            adopted
                .into_actor(self)
                .map(move |adopted, manager, _| Ok(manager.finish(Some(id), adopted)?.tip)),
        ))
    }
}

impl Handler<ConnectBranch> for ChainManager {
    type Result = AtomicResponse<Self, Result<BranchConnected, ChainError>>;

    fn handle(&mut self, message: ConnectBranch, _: &mut Self::Context) -> Self::Result {
        let last = message.blocks.last().map(|block| block.id());
        let adopted = self.adopt(message.blocks);
        AtomicResponse::new(Box::pin(
            adopted
                .into_actor(self)
                .map(move |adopted, manager, _| manager.finish(last, adopted)),
        ))
    }
}

impl ChainManager {
    /// Judges a branch and writes what it changes. The store is synced when this is done.
    fn adopt(
        &self,
        branch: Vec<Arc<Block>>,
    ) -> impl Future<Output = Result<Judgement, StoreError>> + 'static {
        let env = self.env.clone();
        let judge = Judge::new(&env, self.invalid.clone());
        async move {
            let judgement = env.compute(move || judge.judge(branch)).await?;
            if let Some(changes) = &judgement.changes {
                let commit = env.commit(changes.clone());
                match () {
                    () if mutant!(AnnouncedUnsynced) => drop(tokio::task::spawn_local(commit)),
                    () if mutant!(FailedCommitCounts) => drop(commit.await),
                    () => commit.await?,
                }
            }
            Ok(judgement)
        }
    }

    /// Announces a change and says what became of the branch that ended in `last`.
    fn finish(
        &mut self,
        last: Option<BlockId>,
        adopted: Result<Judgement, StoreError>,
    ) -> Result<BranchConnected, ChainError> {
        let judgement = adopted.inspect_err(report_failure)?;
        if judgement.rejected.is_some() {
            Arc::make_mut(&mut self.invalid).learn(&judgement);
        }
        if let Some(changes) = judgement.changes {
            self.announce(&changes);
            return Ok(BranchConnected {
                tip: changes.tip,
                rejected: judgement.rejected,
            });
        }
        match (judgement.rejected, last) {
            (Some((id, error)), _) => Err(ChainError::Rejected { id, error }),
            (None, Some(id)) => Err(ChainError::NotBetter {
                id,
                tip: judgement.tip.id,
            }),
            (None, None) => Ok(BranchConnected {
                tip: judgement.tip,
                rejected: None,
            }),
        }
    }

    fn announce(&mut self, changes: &ChangeSet) {
        let depth = changes.disconnect.len() as u64;
        if let Some(last) = changes.connect.last() {
            self.view.timestamp = last.block.header.timestamp;
            self.view.payments = last.block.transactions.len();
        }
        self.view.tip = changes.tip;
        self.view.reorgs += u64::from(depth > 0);
        self.view.deepest_reorg = self.view.deepest_reorg.max(depth);
        self.env.view.chain.send_replace(self.view.clone());
        let changed = TipChanged {
            previous: changes.previous,
            tip: changes.tip,
            disconnected: changes.disconnect.as_slice().into(),
            connected: changes.connect.as_slice().into(),
            accounts: Arc::new(changes.accounts.clone()),
        };
        for listener in &self.listeners {
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

/// Nothing was announced; the old chain stands, and the next branch is tried afresh, so
/// that room made on the disk is enough to go on.
fn report_failure(error: &StoreError) {
    match error {
        StoreError::Full => {
            tracing::error!("the disk is full: no block is accepted until there is room again")
        }
        error => tracing::error!(%error, "the chain store failed: the block is not accepted"),
    }
}
