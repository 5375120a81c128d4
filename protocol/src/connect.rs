//! Joining blocks to the active chain: given a verified branch, what the store has to
//! change, if the branch is the better chain.

use crate::{
    chain::{ChainBlock, ChainSnapshot, ChangeSet, StoreError, Tip},
    hash::BlockId,
    ledger::Ledger,
    mutant,
    numbers::{Height, Timestamp},
    params::ChainParams,
    transaction::Verified,
    validate::{BlockError, CheckedBlock, HeaderChain, ValidationError},
};
use std::sync::Arc;

/// What became of a branch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// The step to the best valid prefix of the branch, if that is better than the tip.
    pub changes: Option<ChangeSet>,
    /// The first block that broke a rule, and the rule. Blocks after it were not judged.
    pub rejected: Option<(BlockId, BlockError)>,
}

/// Judges a branch whose first block's parent is on the active chain. Blocks are taken in
/// order until one breaks a rule; the valid ones before it are adopted if they alone are
/// better than the active chain, and otherwise nothing changes. Blocks at its beginning that
/// are on the active chain already are passed over.
///
/// # Errors
/// Only when the store fails; what is wrong with a block is part of the result.
pub fn connect(
    chain: &dyn ChainSnapshot,
    params: &ChainParams,
    branch: &[Verified<CheckedBlock>],
    now: Timestamp,
) -> Result<Connection, StoreError> {
    let previous = chain.tip()?;
    let mut branch = branch;
    while let Some((first, rest)) = branch.split_first() {
        if !chain.is_active(&first.id())? {
            break;
        }
        branch = rest;
    }
    let Some(first) = branch.first() else {
        return Ok(Connection {
            changes: None,
            rejected: None,
        });
    };
    let parent = first.block().header.previous;
    let unknown = || Connection {
        changes: None,
        rejected: Some((first.id(), BlockError::UnknownParent { previous: parent })),
    };
    if !chain.is_active(&parent)? && !mutant!(ParentUnchecked) {
        return Ok(unknown());
    }
    let mut headers = match HeaderChain::ending_at(chain, params, parent) {
        Ok(headers) => headers,
        Err(ValidationError::Store(error)) => return Err(error),
        Err(ValidationError::Rule(_)) => return Ok(unknown()),
    };
    let mut ledger = Ledger::new(chain);
    let disconnect = disconnect_down_to(chain, &mut ledger, previous, headers.tip().height)?;

    if mutant!(ReorgWithoutUndo) {
        ledger = Ledger::new(chain);
    }
    let mut connect = Vec::new();
    let mut rejected = None;
    for block in branch {
        // A stored block was connected before, and is never judged against the clock again.
        let now = chain.header(&block.id())?.is_none().then_some(now);
        match judge(&mut headers, &mut ledger, params, block, now) {
            Ok(tip) => connect.push(Arc::new(ChainBlock {
                id: block.id(),
                block: block.block().clone(),
                transaction_ids: block.transaction_ids().clone(),
                senders: block.senders().clone(),
                work: tip.work,
            })),
            Err(ValidationError::Store(error)) => return Err(error),
            Err(ValidationError::Rule(error)) => {
                rejected = Some((block.id(), error));
                break;
            }
        }
    }
    let tip = headers.tip();
    let is_better = tip.is_better_than(&previous) || mutant!(WorsePrefixAdopted);
    let changes = (!connect.is_empty() && is_better).then(|| ChangeSet {
        previous,
        disconnect,
        connect,
        accounts: ledger.into_accounts(),
        tip,
    });
    Ok(Connection { changes, rejected })
}

/// Judges one block; the header chain and the ledger move on only if it is valid.
fn judge(
    headers: &mut HeaderChain,
    ledger: &mut Ledger<'_>,
    params: &ChainParams,
    block: &Verified<CheckedBlock>,
    now: Option<Timestamp>,
) -> Result<Tip, ValidationError> {
    let mut next = headers.clone();
    let tip = next.push(params, &block.block().header, now)?;
    ledger.apply_block(block, params)?;
    *headers = next;
    Ok(tip)
}

/// Takes back the blocks of the active chain above `height`, the highest first.
fn disconnect_down_to(
    chain: &dyn ChainSnapshot,
    ledger: &mut Ledger<'_>,
    tip: Tip,
    height: Height,
) -> Result<Vec<Arc<ChainBlock>>, StoreError> {
    let damaged = |id: BlockId| StoreError::Damaged {
        what: format!("block {id} is missing"),
    };
    let mut taken = Vec::new();
    let mut id = tip.id;
    for _ in height.0..tip.height.0 {
        let stored = chain.header(&id)?.ok_or_else(|| damaged(id))?;
        let block = chain.block(&id)?.ok_or_else(|| damaged(id))?;
        ledger.undo_block(&block)?;
        let previous = block.header.previous;
        taken.push(Arc::new(ChainBlock::new(Arc::new(block), stored.work)));
        id = previous;
    }
    Ok(taken)
}
