//! What a chain store offers and what it is told to do. The store itself lives
//! elsewhere; these are the words in which the rules speak to it.

use crate::{
    address::Address,
    amount::Amount,
    block::{Block, Header},
    codec,
    hash::{BlockId, GenesisId, TxId},
    mutant,
    numbers::{Height, Sequence},
    target::Work,
};
use serde::{Deserialize, Serialize};
use std::{cmp::Reverse, collections::BTreeMap, sync::Arc};

/// The newest block of a chain: where it ends and how much work it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tip {
    /// The block's id; genesis' at height 0.
    pub id: BlockId,
    /// Its height.
    pub height: Height,
    /// The work of all blocks up to it.
    pub work: Work,
}

impl Tip {
    /// The tip of a chain without blocks.
    pub fn genesis(genesis: GenesisId) -> Self {
        Self {
            id: genesis.into(),
            height: Height(0),
            work: Work::ZERO,
        }
    }

    /// Fork choice: more work wins; at equal work the numerically smaller id, whenever
    /// it was heard, so that two halves of a network agree without another block.
    pub fn is_better_than(&self, other: &Tip) -> bool {
        if mutant!(TieKeepsFirst) {
            return self.work > other.work;
        }
        if mutant!(HeightWins) {
            return (self.height, Reverse(self.id)) > (other.height, Reverse(other.id));
        }
        self.rank() > other.rank()
    }

    fn rank(&self) -> (Work, Reverse<BlockId>) {
        (self.work, Reverse(self.id))
    }
}

/// What the ledger knows of an address. One never heard of is the default: balance 0,
/// sequence 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// What it may spend.
    pub balance: Amount,
    /// The sequence its next payment must carry.
    pub sequence: Sequence,
}

/// A header in the store, with the work of its chain up to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredHeader {
    /// The header.
    pub header: Header,
    /// The work of all blocks up to and with this one.
    pub work: Work,
}

/// Where a payment stands on the active chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TxLocation {
    /// The height of its block.
    pub height: Height,
    /// Its index among the block's payments; a reward stands after the last.
    pub index: u32,
}

/// How an address took part in a transaction of the active chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum HistoryKind {
    /// It paid.
    Sent,
    /// It was paid.
    Received,
    /// It paid itself.
    SentToSelf,
    /// It got a block's reward.
    Reward,
}

/// One line of an address's history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryEntry {
    /// Where on the active chain.
    pub location: TxLocation,
    /// How the address took part.
    pub kind: HistoryKind,
}

/// Every line a block, whose payments have these senders, adds to somebody's history.
pub fn history(block: &Block, senders: &[Address]) -> Vec<(Address, HistoryEntry)> {
    let height = block.header.height;
    let mut entries = Vec::with_capacity(2 * block.transactions.len() + 1);
    let mut add = |address, index, kind| {
        let location = TxLocation { height, index };
        entries.push((address, HistoryEntry { location, kind }));
    };
    let mut index = 0;
    for (transaction, from) in block.transactions.iter().zip(senders) {
        let (from, to) = (*from, transaction.to);
        if from == to {
            add(from, index, HistoryKind::SentToSelf);
        } else {
            add(from, index, HistoryKind::Sent);
            add(to, index, HistoryKind::Received);
        }
        index += 1;
    }
    add(block.reward.to, index, HistoryKind::Reward);
    entries
}

/// The store could not read or write.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The disk or the database failed.
    #[error("chain store: {reason}")]
    Io {
        /// What it said.
        reason: String,
    },
    /// The disk is full.
    #[error("chain store: no space left on the disk")]
    Full,
    /// The stored bytes make no sense.
    #[error(
        "chain store is damaged: {what}; remove chains and chain.toml from the home to fetch it anew, keys and payments are kept"
    )]
    Damaged {
        /// Which record.
        what: String,
    },
    /// A change set was computed from another state than the stored one.
    #[error("change set begins at {expected:.8}, but the store is at {found:.8}")]
    Stale {
        /// The tip it was computed from.
        expected: BlockId,
        /// The stored tip.
        found: BlockId,
    },
}

/// A consistent view of the chain at one moment. Every method is a look-up, none scans.
pub trait ChainSnapshot {
    /// The tip of the active chain.
    fn tip(&self) -> Result<Tip, StoreError>;

    /// An address's balance and sequence; the default for one never heard of.
    fn account(&self, address: &Address) -> Result<Account, StoreError>;

    /// The header of any stored block, on the active chain or not. Genesis has none.
    fn header(&self, id: &BlockId) -> Result<Option<StoredHeader>, StoreError>;

    /// Any stored block, on the active chain or not.
    fn block(&self, id: &BlockId) -> Result<Option<Block>, StoreError>;

    /// Any stored block as it was encoded, for whoever passes it on and leaves it to the
    /// receiver, who cannot do without, to see what it is.
    fn encoded_block(&self, id: &BlockId) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.block(id)?.map(|block| codec::encode(&block)))
    }

    /// The id at a height of the active chain; at 0 it is genesis'.
    fn active_id(&self, height: Height) -> Result<Option<BlockId>, StoreError>;

    /// Where a payment stands on the active chain.
    fn transaction(&self, id: &TxId) -> Result<Option<TxLocation>, StoreError>;

    /// An address's history on the active chain, the newest first: at most `limit` entries
    /// that stand before `before`.
    fn history(
        &self,
        address: &Address,
        before: Option<TxLocation>,
        limit: usize,
    ) -> Result<Vec<HistoryEntry>, StoreError>;

    /// Whether a block is on the active chain.
    fn is_active(&self, id: &BlockId) -> Result<bool, StoreError> {
        if self.active_id(Height(0))? == Some(*id) {
            return Ok(true);
        }
        match self.header(id)? {
            Some(stored) => Ok(self.active_id(stored.header.height)? == Some(*id)),
            None => Ok(false),
        }
    }
}

/// The store of one chain.
pub trait ChainStore: Send + Sync {
    /// The state as of the last commit.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn snapshot(&self) -> Result<Box<dyn ChainSnapshot + Send + '_>, StoreError>;

    /// Applies a change set: all of it or nothing, and synced to the disk when this
    /// returns `Ok`.
    ///
    /// # Errors
    /// When the change set does not begin at the stored tip, or the store cannot write.
    fn commit(&self, changes: &ChangeSet) -> Result<(), StoreError>;
}

/// A block with the ids and addresses that the indices need, so that they are hashed once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainBlock {
    /// Its id.
    pub id: BlockId,
    /// The block.
    pub block: Arc<Block>,
    /// The ids of its payments in order.
    pub transaction_ids: Arc<[TxId]>,
    /// The senders of its payments in order.
    pub senders: Arc<[Address]>,
    /// The work of its chain up to and with it.
    pub work: Work,
}

impl ChainBlock {
    /// Hashes a block of which only the work up to it is known.
    pub fn new(block: Arc<Block>, work: Work) -> Self {
        Self {
            id: block.id(),
            transaction_ids: block.transaction_ids().into(),
            senders: block.senders().into(),
            block,
            work,
        }
    }

    /// Every line it adds to somebody's history.
    pub fn history(&self) -> Vec<(Address, HistoryEntry)> {
        history(&self.block, &self.senders)
    }
}

/// One step of the active chain: an extension, or a reorganisation, with everything the
/// store has to write for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeSet {
    /// The tip it begins at.
    pub previous: Tip,
    /// The blocks that leave the active chain, the highest first. They stay stored.
    pub disconnect: Vec<Arc<ChainBlock>>,
    /// The blocks that join it, the lowest first.
    pub connect: Vec<Arc<ChainBlock>>,
    /// Every account that changes, with its final state. The default means: remove it.
    pub accounts: BTreeMap<Address, Account>,
    /// The tip it ends at.
    pub tip: Tip,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        block::Reward,
        hash::ContentRoot,
        keys::{Curve, SecretKey},
        numbers::Timestamp,
        target::CompactTarget,
        transaction::Payment,
    };

    #[test]
    fn a_block_adds_a_line_to_the_history_of_each_who_takes_part() {
        let secret = SecretKey::from_bytes(Curve::P256, &[1; 32]).unwrap();
        let me = Address::of_key(secret.public_key().as_bytes());
        let [other, miner] = [Address([2; 32]), Address([3; 32])];
        let pay = |to| {
            let payment = Payment {
                genesis: GenesisId::default(),
                to,
                amount: Amount::from_units(1),
                fee: Amount::ZERO,
                sequence: Sequence(0),
                timestamp: Timestamp(0),
            };
            payment.sign(&secret)
        };
        let block = Block {
            header: Header {
                previous: BlockId::default(),
                content_root: ContentRoot::default(),
                version: 1,
                target: CompactTarget(0),
                height: Height(7),
                timestamp: Timestamp(0),
                nonce: 0,
            },
            transactions: vec![pay(other), pay(me), pay(miner)],
            reward: Reward {
                to: miner,
                amount: Amount::ZERO,
                extra_nonce: 0,
            },
        };
        let lines = history(&block, &block.senders());
        let lines = lines.into_iter().map(|(address, entry)| {
            assert_eq!(entry.location.height, block.header.height);
            (address, entry.location.index, entry.kind)
        });
        let expected = [
            (me, 0, HistoryKind::Sent),
            (other, 0, HistoryKind::Received),
            (me, 1, HistoryKind::SentToSelf),
            (me, 2, HistoryKind::Sent),
            (miner, 2, HistoryKind::Received),
            (miner, 3, HistoryKind::Reward),
        ];
        assert_eq!(lines.collect::<Vec<_>>(), expected);
    }
}
