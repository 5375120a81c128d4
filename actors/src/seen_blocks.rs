//! The blocks that joined or left the active chain lately, and those that were outdone: what
//! a person looks at to see a fork and how it was resolved. The ChainManager keeps it in the
//! view. Bounded, of headers and sums only, and nothing is decided by it.

use mvb_protocol::{
    address::Address,
    block::{Block, Header},
    chain::{ChainBlock, ChainSnapshot, ChangeSet, StoreError},
    hash::BlockId,
    numbers::{Height, Timestamp},
};
use std::collections::VecDeque;

/// The most blocks remembered; the one seen first is forgotten first.
pub const MOST_SEEN: usize = 256;

/// How many of these a node finds in its store when it starts.
const FROM_STORE: u64 = 32;

/// A block that was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeenBlock {
    /// Its id.
    pub id: BlockId,
    /// Its header.
    pub header: Header,
    /// Its payments.
    pub payments: usize,
    /// Its size over the fixed layouts, in bytes.
    pub bytes: usize,
    /// Who was rewarded.
    pub reward_to: Address,
    /// When it was seen, by this node's clock; `None` if it was stored before this run.
    pub seen: Option<Timestamp>,
    /// Whether this run's miner has found it.
    pub found_here: bool,
    /// What became of it.
    pub fate: Fate,
}

/// What became of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is on the active chain.
    Active,
    /// A reorg took it off the active chain.
    Orphaned,
    /// It never was on the active chain, because that was better already.
    Outdone,
}

/// The blocks, in the order in which they were seen first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SeenBlocks(VecDeque<SeenBlock>);

impl SeenBlocks {
    /// The end of a stored chain.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn of_store(chain: &dyn ChainSnapshot) -> Result<Self, StoreError> {
        let mut blocks = VecDeque::new();
        let tip = chain.tip()?.height.0;
        for height in tip.saturating_sub(FROM_STORE - 1).max(1)..=tip {
            let Some(id) = chain.active_id(Height(height))? else {
                continue;
            };
            if let Some(block) = chain.block(&id)? {
                blocks.push_back(SeenBlock::new(id, &block, None));
            }
        }
        Ok(Self(blocks))
    }

    /// The blocks, the one seen first first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &SeenBlock> {
        self.0.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The active chain has changed; `found` are the blocks of it that were found here.
    pub fn changed(&mut self, changes: &ChangeSet, found: &[BlockId], now: Timestamp) {
        for block in &changes.disconnect {
            self.note(of(block, now), Fate::Orphaned);
        }
        let skipped = changes.connect.len().saturating_sub(MOST_SEEN);
        for block in &changes.connect[skipped..] {
            let mut seen = of(block, now);
            seen.found_here = found.contains(&seen.id);
            self.note(seen, Fate::Active);
        }
    }

    /// A branch with work of its own was no better than the active chain.
    pub fn outdone<'a>(
        &mut self,
        branch: impl DoubleEndedIterator<Item = &'a Block> + ExactSizeIterator,
        found_here: bool,
        now: Timestamp,
    ) {
        let skipped = branch.len().saturating_sub(MOST_SEEN / 4);
        for block in branch.skip(skipped) {
            let mut seen = SeenBlock::new(block.id(), block, Some(now));
            seen.found_here = found_here;
            // What is known of it already says more.
            if !self.0.iter().any(|known| known.id == seen.id) {
                self.note(seen, Fate::Outdone);
            }
        }
    }

    fn note(&mut self, mut seen: SeenBlock, fate: Fate) {
        seen.fate = fate;
        // The newest are at the end, and most changes are about them.
        if let Some(known) = self.0.iter_mut().rev().find(|known| known.id == seen.id) {
            known.fate = fate;
            return;
        }
        if self.0.len() >= MOST_SEEN {
            self.0.pop_front();
        }
        self.0.push_back(seen);
    }
}

impl SeenBlock {
    fn new(id: BlockId, block: &Block, seen: Option<Timestamp>) -> Self {
        Self {
            id,
            header: block.header,
            payments: block.transactions.len(),
            bytes: block.size(),
            reward_to: block.reward.to,
            seen,
            found_here: false,
            fate: Fate::Active,
        }
    }
}

fn of(block: &ChainBlock, now: Timestamp) -> SeenBlock {
    SeenBlock::new(block.id, &block.block, Some(now))
}

#[cfg(test)]
mod tests {
    use super::*;
    use mvb_protocol::{
        amount::Amount,
        block::Reward,
        chain::Tip,
        hash::ContentRoot,
        params::ChainParams,
        target::{Target, Work},
    };
    use std::{collections::BTreeMap, slice, sync::Arc};

    const NOW: Timestamp = Timestamp(7);

    fn block(height: u64, nonce: u64) -> Arc<ChainBlock> {
        let header = Header {
            previous: BlockId([0; 32]),
            content_root: ContentRoot([0; 32]),
            version: 1,
            target: Target::from_difficulty(1).to_compact(),
            height: Height(height),
            timestamp: Timestamp(height),
            nonce,
        };
        let reward = Reward {
            to: Address([7; 32]),
            amount: Amount::from_units(1),
            extra_nonce: 0,
        };
        let block = Block {
            header,
            transactions: Vec::new(),
            reward,
        };
        Arc::new(ChainBlock::new(Arc::new(block), Work::ZERO))
    }

    fn change(disconnect: &[Arc<ChainBlock>], connect: &[Arc<ChainBlock>]) -> ChangeSet {
        let tip = Tip::genesis(ChainParams::default().genesis_id());
        ChangeSet {
            previous: tip,
            disconnect: disconnect.to_vec(),
            connect: connect.to_vec(),
            accounts: BTreeMap::new(),
            tip,
        }
    }

    fn fates(seen: &SeenBlocks) -> Vec<(u64, Fate)> {
        seen.iter()
            .map(|seen| (seen.header.nonce, seen.fate))
            .collect()
    }

    #[test]
    fn a_block_that_is_orphaned_and_comes_back_is_one_entry() {
        let (ours, theirs) = (block(1, 1), block(1, 2));
        let mut seen = SeenBlocks::default();
        seen.changed(&change(&[], slice::from_ref(&ours)), &[ours.id], NOW);
        seen.changed(
            &change(slice::from_ref(&ours), slice::from_ref(&theirs)),
            &[],
            NOW,
        );
        assert_eq!(fates(&seen), [(1, Fate::Orphaned), (2, Fate::Active)]);
        seen.changed(&change(&[theirs], &[ours]), &[], NOW);
        assert_eq!(fates(&seen), [(1, Fate::Active), (2, Fate::Orphaned)]);
        let found: Vec<bool> = seen.iter().map(|seen| seen.found_here).collect();
        assert_eq!(found, [true, false]);
    }

    #[test]
    fn a_block_that_was_outdone_is_kept_as_such_and_changes_no_other() {
        let (ours, late) = (block(1, 1), block(1, 2));
        let mut seen = SeenBlocks::default();
        seen.changed(&change(&[], slice::from_ref(&ours)), &[], NOW);
        let branch = [&*ours.block, &*late.block];
        seen.outdone(branch.into_iter(), true, NOW);
        assert_eq!(fates(&seen), [(1, Fate::Active), (2, Fate::Outdone)]);
    }

    #[test]
    fn however_many_blocks_come_the_newest_are_kept_and_no_more() {
        let blocks: Vec<_> = (1..=600).map(|nonce| block(nonce, nonce)).collect();
        let mut seen = SeenBlocks::default();
        seen.changed(&change(&[], &blocks), &[], NOW);
        assert_eq!(seen.len(), MOST_SEEN);
        seen.changed(&change(&[], &[block(601, 601)]), &[], NOW);
        assert_eq!(seen.len(), MOST_SEEN);
        let last = seen.iter().next_back().expect("there are some");
        assert_eq!(last.header.nonce, 601);
    }
}
