//! Look-ups in the chain and the mempool, for pages and API alike. Each costs a number of
//! reads that its limit bounds, however long the chain is.

use crate::{ask::BlockRef, problem::Problem};
use mvb_actors::{seen_blocks::SeenBlocks, transaction_intake::mempool::Waiting};
use mvb_node::{handle::NodeHandle, wallet::Why};
use mvb_protocol::{
    address::Address,
    amount::Amount,
    block::{Block, Header},
    chain::{
        Account, ChainSnapshot, HistoryEntry, HistoryKind, StoreError, StoredHeader, TxLocation,
    },
    hash::{BlockId, TxId},
    numbers::{Height, Timestamp},
    target::Work,
    transaction::Transaction,
};
use std::sync::Arc;

/// A stored block.
pub struct FoundBlock {
    /// Its id.
    pub id: BlockId,
    /// The block.
    pub block: Block,
    /// The work of the chain up to it.
    pub work: Work,
    /// How many blocks from it to the tip, itself counted; `None` off the active chain.
    pub depth: Option<u64>,
    /// The block after it on the active chain.
    pub next: Option<BlockId>,
}

/// A line of a list of blocks.
#[derive(Clone, Copy, Debug)]
pub struct BlockLine {
    /// Its id.
    pub id: BlockId,
    /// Its header.
    pub header: Header,
    /// Its payments.
    pub payments: usize,
    /// Its bytes over the fixed layouts.
    pub bytes: usize,
    /// Who was rewarded.
    pub reward_to: Address,
}

/// Where a payment was found.
pub enum FoundPayment {
    /// In a block.
    Confirmed {
        /// The payment.
        transaction: Box<Transaction>,
        /// The block and the place in it.
        location: TxLocation,
        /// The block's id.
        block: BlockId,
        /// How many blocks from its own to the tip.
        depth: u64,
    },
    /// In no block.
    Unconfirmed {
        /// The payment.
        transaction: Arc<Transaction>,
        /// What the mempool says of it, if it is there.
        waiting: Option<Waiting>,
        /// What the wallet says of it, if it was made on this home.
        why: Option<Why>,
    },
}

/// An entry of an address's history with what it is about.
pub struct HistoryItem {
    /// How the address took part.
    pub kind: HistoryKind,
    /// Where it stands.
    pub location: TxLocation,
    /// The block's time.
    pub time: Timestamp,
    /// The payment; `None` for a reward.
    pub payment: Option<Payment>,
    /// The amount, of a reward with the fees.
    pub amount: Amount,
}

/// A payment in a history.
pub struct Payment {
    /// Its id.
    pub id: TxId,
    /// Who paid.
    pub from: Address,
    /// Who was paid.
    pub to: Address,
    /// What the miner got.
    pub fee: Amount,
}

/// A page of an address's history.
pub struct History {
    /// The newest first.
    pub items: Vec<HistoryItem>,
    /// Where the next page begins.
    pub next: Option<TxLocation>,
}

/// An active block that must be there.
fn missing(height: Height) -> StoreError {
    StoreError::Damaged {
        what: format!("the active chain has no block at height {height}"),
    }
}

/// A stored block by height or id.
///
/// # Errors
/// When there is none, or the store cannot be read.
pub fn block(chain: &dyn ChainSnapshot, which: BlockRef) -> Result<FoundBlock, Problem> {
    let tip = chain.tip()?;
    let id = match which {
        BlockRef::Id(id) => Some(id),
        BlockRef::Height(height) => chain.active_id(height)?,
    };
    let unknown = || match which {
        BlockRef::Height(Height(0)) => Problem::not_found(
            "block 0 is genesis: the hash of the network's parameters, which has no header",
        ),
        BlockRef::Id(id) if chain.active_id(Height(0)).ok().flatten() == Some(id) => {
            Problem::not_found(
                "this is genesis: the hash of the network's parameters, which has no header",
            )
        }
        BlockRef::Height(height) => Problem::not_found(format!(
            "there is no block {height}, the chain ends at height {}",
            tip.height
        )),
        BlockRef::Id(id) => Problem::not_found(format!(
            "block {id:.12} is not stored here: ids are 64 hex digits of a block that this node has had on its chain"
        )),
    };
    let Some(id) = id else {
        return Err(unknown());
    };
    let (Some(block), Some(stored)) = (chain.block(&id)?, chain.header(&id)?) else {
        return Err(unknown());
    };
    let height = block.header.height;
    let is_active = chain.active_id(height)? == Some(id);
    let next = match height.next() {
        Some(next) if is_active => chain.active_id(next)?,
        _ => None,
    };
    Ok(FoundBlock {
        id,
        block,
        work: stored.work,
        depth: is_active.then(|| tip.height.0.saturating_sub(height.0) + 1),
        next,
    })
}

/// The active chain's headers below a height, the highest first.
///
/// # Errors
/// When the store cannot be read.
pub fn headers(
    chain: &dyn ChainSnapshot,
    before: Option<Height>,
    limit: usize,
) -> Result<Vec<(BlockId, StoredHeader)>, StoreError> {
    let tip = chain.tip()?.height.0;
    let top = before.map_or(tip, |before| tip.min(before.0.saturating_sub(1)));
    let mut found = Vec::new();
    for height in (1..=top).rev().take(limit).map(Height) {
        let id = chain.active_id(height)?.ok_or_else(|| missing(height))?;
        let stored = chain.header(&id)?.ok_or_else(|| missing(height))?;
        found.push((id, stored));
    }
    Ok(found)
}

/// Lines for a list of blocks. What is remembered of a body is told without reading it; what
/// is not is read, so keep the list short.
///
/// # Errors
/// When the store cannot be read.
pub fn lines(
    chain: &dyn ChainSnapshot,
    headers: Vec<(BlockId, StoredHeader)>,
    seen: &SeenBlocks,
) -> Result<Vec<BlockLine>, StoreError> {
    let mut lines = Vec::with_capacity(headers.len());
    for (id, stored) in headers {
        let height = stored.header.height;
        let line = match seen.iter().rev().find(|seen| seen.id == id) {
            Some(seen) => BlockLine {
                id,
                header: stored.header,
                payments: seen.payments,
                bytes: seen.bytes,
                reward_to: seen.reward_to,
            },
            None => {
                let block = chain.block(&id)?.ok_or_else(|| missing(height))?;
                BlockLine {
                    id,
                    header: stored.header,
                    payments: block.transactions.len(),
                    bytes: block.size(),
                    reward_to: block.reward.to,
                }
            }
        };
        lines.push(line);
    }
    Ok(lines)
}

/// A payment, wherever it is.
///
/// # Errors
/// When it is nowhere, or the store or the home cannot be read.
pub fn payment(node: &NodeHandle, id: TxId, now: Timestamp) -> Result<FoundPayment, Problem> {
    let chain = node.chain()?;
    if let Some(location) = chain.transaction(&id)? {
        let height = location.height;
        let block_id = chain.active_id(height)?.ok_or_else(|| missing(height))?;
        let block = chain.block(&block_id)?.ok_or_else(|| missing(height))?;
        let at = location.index as usize;
        let transaction = block.transactions.into_iter().nth(at);
        return Ok(FoundPayment::Confirmed {
            transaction: Box::new(transaction.ok_or_else(|| missing(height))?),
            location,
            block: block_id,
            depth: chain.tip()?.height.0.saturating_sub(height.0) + 1,
        });
    }
    drop(chain);
    let waiting = node.waiting(&id);
    let why = node.why(&id, now)?;
    let transaction = match &waiting {
        Some(waiting) => Some(Arc::new((***waiting.payment.transaction()).clone())),
        None => node.own_payment(&id)?,
    };
    match transaction {
        Some(transaction) => Ok(FoundPayment::Unconfirmed {
            transaction,
            waiting,
            why,
        }),
        None => Err(Problem::not_found(format!(
            "payment {id:.12} is in no block of the active chain, does not wait in this node's \
             mempool, and was not made on this home; was it sent on this network, and is somebody announcing it?"
        ))),
    }
}

/// An account, and whether the chain has ever seen it.
///
/// # Errors
/// When the store cannot be read.
pub fn account(
    chain: &dyn ChainSnapshot,
    address: &Address,
) -> Result<(Account, bool), StoreError> {
    let account = chain.account(address)?;
    let is_known = account != Account::default() || !chain.history(address, None, 1)?.is_empty();
    Ok((account, is_known))
}

/// A page of an address's history, the newest first.
///
/// # Errors
/// When the store cannot be read.
pub fn history(
    chain: &dyn ChainSnapshot,
    address: &Address,
    before: Option<TxLocation>,
    limit: usize,
) -> Result<History, StoreError> {
    let mut entries = chain.history(address, before, limit + 1)?;
    let more = entries.len() > limit;
    entries.truncate(limit);
    let next = entries.last().filter(|_| more).map(|last| last.location);
    let mut items = Vec::with_capacity(entries.len());
    let mut block: Option<(Height, Block)> = None;
    for entry in entries {
        let height = entry.location.height;
        if block.as_ref().is_none_or(|(at, _)| *at != height) {
            let id = chain.active_id(height)?.ok_or_else(|| missing(height))?;
            let found = chain.block(&id)?.ok_or_else(|| missing(height))?;
            block = Some((height, found));
        }
        if let Some((_, block)) = &block {
            items.push(item(block, &entry));
        }
    }
    Ok(History { items, next })
}

/// A reward stands after the last payment of its block.
fn item(block: &Block, entry: &HistoryEntry) -> HistoryItem {
    let transaction = block.transactions.get(entry.location.index as usize);
    HistoryItem {
        kind: entry.kind,
        location: entry.location,
        time: block.header.timestamp,
        amount: transaction.map_or(block.reward.amount, |transaction| transaction.amount),
        payment: transaction.map(|transaction| Payment {
            id: transaction.id(),
            from: transaction.from(),
            to: transaction.to,
            fee: transaction.fee,
        }),
    }
}
