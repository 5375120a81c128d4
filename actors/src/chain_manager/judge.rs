//! Decides what a branch of blocks changes. Called by the chain manager on a worker
//! thread; it reads a snapshot, and what is still to be written above it, and never writes.
//!
//! The order is that of cost: links and proof of work of the whole branch, then whether
//! its work is enough to matter, then bodies, then signatures across all blocks at once,
//! and the ledger last. Whoever sends worthless blocks makes nobody verify a signature.

use crate::{branch_block::BranchBlock, env::Env, recent::Recent, verified_cache::VerifiedCache};
use mvb_protocol::{
    ahead::Ahead,
    chain::{ChainSnapshot, ChainStore, ChangeSet, StoreError, Tip},
    connect::connect,
    hash::{BlockId, Wid},
    mutant,
    numbers::Timestamp,
    params::ChainParams,
    transaction::Verified,
    validate::{
        BlockError, CheckedBlock, HeaderChain, Parallel, ValidationError, Verdict,
        verify_signatures,
    },
};
use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
};

/// How many invalid blocks are remembered.
const INVALID_CAPACITY: usize = 4_096;

/// The blocks known to be invalid, each with the ancestor that broke a rule (itself, if it
/// did so).
#[derive(Clone, Debug)]
pub struct InvalidBlocks(Recent<BlockId, BlockId>);

impl Default for InvalidBlocks {
    fn default() -> Self {
        Self(Recent::new(INVALID_CAPACITY))
    }
}

impl InvalidBlocks {
    /// The invalid block that `id` is or descends from, if that is known.
    pub fn ancestor(&self, id: &BlockId) -> Option<BlockId> {
        self.0.get(id).copied()
    }

    /// Remembers what a judgement has found out. Of a block that is merely too early, or
    /// whose body is another's, nothing was found out.
    pub fn learn(&mut self, judgement: &Judgement) {
        let Some((id, error)) = &judgement.rejected else {
            return;
        };
        // A wrong link says that the branch is no chain, which is not the block's fault.
        if error.verdict() != Verdict::Invalid || matches!(error, BlockError::Link { .. }) {
            return;
        }
        let ancestor = match error {
            BlockError::InvalidAncestor { ancestor } => *ancestor,
            _ => *id,
        };
        self.0.insert(*id, ancestor);
        for descendant in &judgement.descendants {
            self.0.insert(*descendant, ancestor);
        }
    }
}

/// What has been found out about a branch.
#[derive(Clone, Debug)]
pub struct Judgement {
    /// The tip the branch was compared with.
    pub tip: Tip,
    /// The step to the best valid prefix, if that is better than the tip.
    pub changes: Option<Arc<ChangeSet>>,
    /// The first block that broke a rule.
    pub rejected: Option<(BlockId, BlockError)>,
    /// The blocks after the rejected one that link to it and have their work.
    descendants: Vec<BlockId>,
}

/// Everything a judgement needs, so that it can be made on another thread.
pub struct Judge {
    store: Arc<dyn ChainStore>,
    params: Arc<ChainParams>,
    verified: Arc<VerifiedCache>,
    parallel: Arc<dyn Parallel + Send + Sync>,
    invalid: Arc<InvalidBlocks>,
    ahead: Ahead,
    now: Timestamp,
}

/// The part of a branch that is still in the running, and the first block that is not.
struct Running<T> {
    blocks: Vec<T>,
    rejected: Option<(BlockId, BlockError)>,
}

impl<T> Running<T> {
    /// Keeps the results up to the first failure, which is nearer to the root than any
    /// failure before it in time.
    fn narrow<U>(self, results: Vec<Result<U, (BlockId, BlockError)>>) -> Running<U> {
        let mut blocks = Vec::with_capacity(results.len());
        for result in results {
            match result {
                Ok(block) => blocks.push(block),
                Err(rejected) => {
                    return Running {
                        blocks,
                        rejected: Some(rejected),
                    };
                }
            }
        }
        Running {
            blocks,
            rejected: self.rejected,
        }
    }
}

impl Judge {
    /// A judge with this moment's clock and memory, for the chain as it will be once what is
    /// `ahead` of the store is written.
    pub fn new(env: &Env, invalid: Arc<InvalidBlocks>, ahead: Ahead) -> Self {
        Self {
            store: env.store.clone(),
            params: env.params.clone(),
            verified: env.verified.clone(),
            parallel: env.workers.parallel(),
            invalid,
            ahead,
            now: env.clock.now(),
        }
    }

    /// Judges a branch whose first block's parent should be on the active chain.
    ///
    /// # Errors
    /// Only when the store cannot be read; what is wrong with a block is in the judgement.
    pub fn judge(&self, branch: Vec<BranchBlock>) -> Result<Judgement, StoreError> {
        let stored = self.store.snapshot()?;
        let snapshot = self.ahead.above(&*stored)?;
        let tip = snapshot.tip()?;
        let ids: Vec<BlockId> = branch.iter().map(|block| block.header().id()).collect();
        let (headers, end) = self.check_headers(&snapshot, branch, &ids)?;
        let proven: Vec<BlockId> = ids[..headers.blocks.len()].to_vec();
        let unchanged = |rejected| Judgement {
            tip,
            changes: None,
            rejected,
            descendants: Vec::new(),
        };
        if !end.is_better_than(&tip) {
            return Ok(unchanged(headers.rejected));
        }
        let verified = self.verify(headers);
        let connection = connect(&snapshot, &self.params, &verified.blocks, self.now)?;
        let rejected = connection.rejected.or(verified.rejected);
        let descendants = match &rejected {
            Some((id, _)) => proven
                .into_iter()
                .skip_while(|proven| proven != id)
                .skip(1)
                .collect(),
            None => Vec::new(),
        };
        Ok(Judgement {
            changes: connection.changes.map(Arc::new),
            descendants,
            ..unchanged(rejected)
        })
    }

    /// The headers alone: links, work, times, and the memory of invalid blocks.
    fn check_headers(
        &self,
        snapshot: &dyn ChainSnapshot,
        branch: Vec<BranchBlock>,
        ids: &[BlockId],
    ) -> Result<(Running<BranchBlock>, Tip), StoreError> {
        let stop = |at: usize, error| Some((ids[at], error));
        let mut running = Running {
            blocks: Vec::new(),
            rejected: None,
        };
        let genesis = Tip::genesis(self.params.genesis_id());
        let Some(parent) = branch.first().map(|block| block.header().previous) else {
            return Ok((running, genesis));
        };
        let unknown = BlockError::UnknownParent { previous: parent };
        if let Some(ancestor) = self.invalid.ancestor(&parent) {
            running.rejected = stop(0, BlockError::InvalidAncestor { ancestor });
            return Ok((running, genesis));
        }
        let mut headers = match HeaderChain::ending_at(snapshot, &self.params, parent) {
            Ok(headers) => headers,
            Err(ValidationError::Store(error)) => return Err(error),
            Err(ValidationError::Rule(error)) => {
                running.rejected = stop(0, error);
                return Ok((running, genesis));
            }
        };
        if !snapshot.is_active(&parent)? && !mutant!(ParentUnchecked) {
            running.rejected = stop(0, unknown);
            return Ok((running, genesis));
        }
        for (at, block) in branch.into_iter().enumerate() {
            if let Some(ancestor) = self.invalid.ancestor(&ids[at]) {
                running.rejected = stop(at, BlockError::InvalidAncestor { ancestor });
                break;
            }
            match headers.push(&self.params, block.header(), Some(self.now)) {
                Ok(_) => running.blocks.push(block),
                Err(error) => {
                    running.rejected = stop(at, error);
                    break;
                }
            }
        }
        Ok((running, headers.tip()))
    }

    /// The bodies side by side, then all signatures that are not known to be right.
    fn verify(&self, headers: Running<BranchBlock>) -> Running<Verified<CheckedBlock>> {
        let checked = self.check_bodies(&headers.blocks);
        let checked = headers.narrow(checked);
        let (mut verified, mut unverified) = (Vec::new(), Vec::new());
        for body in checked.blocks {
            match body {
                Body::Verified(block) => verified.push(Some(block)),
                Body::Checked(block) => {
                    verified.push(None);
                    unverified.push(block);
                }
            }
        }
        let unknown = Mutex::new(BTreeSet::new());
        let is_known = |wid: &Wid| {
            let is_known = self.verified.contains(wid);
            if !is_known {
                let mut unknown = unknown.lock().unwrap_or_else(PoisonError::into_inner);
                unknown.insert(*wid);
            }
            is_known
        };
        let results = verify_signatures(unverified, &is_known, &*self.parallel);
        let unknown = unknown.into_inner().unwrap_or_else(PoisonError::into_inner);
        if !unknown.is_empty() {
            // The other branch of a fork mostly holds the same payments.
            let wids = results.iter().flatten().flat_map(|block| block.wids());
            let right = wids.filter(|wid| unknown.contains(*wid));
            right.for_each(|wid| self.verified.insert(*wid));
        }
        let mut results = results.into_iter();
        let all = verified.into_iter();
        let all = all.filter_map(|block| block.map(Ok).or_else(|| results.next()));
        let running = Running::<()> {
            blocks: Vec::new(),
            rejected: checked.rejected,
        };
        running.narrow(all.collect())
    }

    /// Bodies that nobody has checked yet are, side by side.
    fn check_bodies(&self, blocks: &[BranchBlock]) -> Vec<Result<Body, (BlockId, BlockError)>> {
        type Slot = Mutex<Option<Result<Body, (BlockId, BlockError)>>>;
        let slots: Vec<Slot> = blocks.iter().map(|_| Mutex::new(None)).collect();
        self.parallel.for_each(blocks.len(), &|i| {
            let result = match blocks[i].clone() {
                BranchBlock::Verified(block) => Ok(Body::Verified(block)),
                BranchBlock::Checked(block) => Ok(Body::Checked(block)),
                BranchBlock::Unchecked(block) => {
                    let id = block.id();
                    let checked = CheckedBlock::check(block, &self.params);
                    checked.map(Body::Checked).map_err(|error| (id, error))
                }
            };
            *slots[i].lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
        });
        slots
            .into_iter()
            .filter_map(|slot| slot.into_inner().unwrap_or_else(PoisonError::into_inner))
            .collect()
    }
}

/// A checked body.
enum Body {
    Checked(CheckedBlock),
    Verified(Verified<CheckedBlock>),
}
