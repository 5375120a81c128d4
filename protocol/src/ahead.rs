//! The chain as it will be: change sets that were judged but not written yet, seen above the
//! store. The chain manager keeps them, and whoever builds on a block before the disk has it
//! looks through them. Nothing here is written or synced, so nothing here may be announced.

use crate::{
    address::Address,
    block::Block,
    chain::{
        Account, ChainBlock, ChainSnapshot, ChangeSet, HistoryEntry, StoreError, StoredHeader, Tip,
        TxLocation,
    },
    hash::{BlockId, TxId},
    numbers::Height,
};
use std::{collections::BTreeMap, sync::Arc};

/// Change sets that wait for the disk, in their order: each begins where the one before it
/// ends. Cheap to clone while they are few.
#[derive(Clone, Debug, Default)]
pub struct Ahead(Vec<Arc<ChangeSet>>);

impl Ahead {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether the store has everything.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Where the chain will end; `None` if the store has everything.
    pub fn tip(&self) -> Option<Tip> {
        self.0.last().map(|changes| changes.tip)
    }

    /// An account as it will be, where it is changed before the chain ends.
    pub fn account(&self, address: &Address) -> Option<&Account> {
        last_account(&self.0, address)
    }

    /// Adds one that was judged on top of all the others.
    pub fn push(&mut self, changes: Arc<ChangeSet>) {
        self.0.push(changes);
    }

    /// Forgets the first `count`, which the store has now.
    pub fn written(&mut self, count: usize) {
        self.0.drain(..count.min(self.0.len()));
    }

    /// The first of them as one change set, and how many it stands for: one sync for all.
    /// It ends before the next reorganisation, which stays a step of its own.
    pub fn first_step(&self) -> Option<(usize, Arc<ChangeSet>)> {
        let (first, rest) = self.0.split_first()?;
        let more = rest
            .iter()
            .take_while(|changes| changes.disconnect.is_empty())
            .count();
        if more == 0 {
            return Some((1, first.clone()));
        }
        let mut step = ChangeSet::clone(first);
        for changes in &rest[..more] {
            step.connect.extend(changes.connect.iter().cloned());
            step.accounts.extend(&changes.accounts);
            step.tip = changes.tip;
        }
        Some((1 + more, Arc::new(step)))
    }

    /// The chain as it will be above a snapshot, which may have been taken after some of
    /// these change sets were written.
    ///
    /// # Errors
    /// When the snapshot belongs to another chain than they do, or cannot be read.
    pub fn above<'a>(&'a self, base: &'a dyn ChainSnapshot) -> Result<ChainAhead<'a>, StoreError> {
        let tip = base.tip()?;
        let waits = |changes: &Arc<ChangeSet>| changes.previous.id == tip.id;
        let changes = match self.0.iter().position(waits) {
            Some(first) => &self.0[first..],
            None => &[],
        };
        let end = self.tip().unwrap_or(tip);
        if changes.is_empty() && end.id != tip.id {
            return Err(StoreError::Stale {
                expected: end.id,
                found: tip.id,
            });
        }
        Ok(ChainAhead::new(base, changes, end))
    }
}

/// An account as the last of the change sets that change it leaves it.
fn last_account<'c>(changes: &'c [Arc<ChangeSet>], address: &Address) -> Option<&'c Account> {
    let mut newest_first = changes.iter().rev();
    newest_first.find_map(|changes| changes.accounts.get(address))
}

/// A snapshot with change sets above it, which answers as one taken after their commit.
pub struct ChainAhead<'a> {
    base: &'a dyn ChainSnapshot,
    changes: &'a [Arc<ChangeSet>],
    tip: Tip,
    /// The lowest height at which the base may no longer be asked what is active.
    fork: Height,
    active: BTreeMap<Height, &'a ChainBlock>,
    stored: BTreeMap<BlockId, &'a ChainBlock>,
}

impl<'a> ChainAhead<'a> {
    fn new(base: &'a dyn ChainSnapshot, changes: &'a [Arc<ChangeSet>], tip: Tip) -> Self {
        let mut ahead = Self {
            base,
            changes,
            tip,
            fork: Height(u64::MAX),
            active: BTreeMap::new(),
            stored: BTreeMap::new(),
        };
        for block in changes.iter().flat_map(|changes| &changes.connect) {
            let height = block.block.header.height;
            // What was active from here on has been replaced.
            drop(ahead.active.split_off(&height));
            ahead.active.insert(height, block);
            ahead.stored.insert(block.id, block);
            ahead.fork = ahead.fork.min(height);
        }
        ahead
    }
}

impl ChainSnapshot for ChainAhead<'_> {
    fn tip(&self) -> Result<Tip, StoreError> {
        Ok(self.tip)
    }

    fn account(&self, address: &Address) -> Result<Account, StoreError> {
        match last_account(self.changes, address) {
            Some(account) => Ok(*account),
            None => self.base.account(address),
        }
    }

    fn header(&self, id: &BlockId) -> Result<Option<StoredHeader>, StoreError> {
        match self.stored.get(id) {
            Some(ahead) => Ok(Some(StoredHeader {
                header: ahead.block.header,
                work: ahead.work,
            })),
            None => self.base.header(id),
        }
    }

    fn block(&self, id: &BlockId) -> Result<Option<Block>, StoreError> {
        match self.stored.get(id) {
            Some(ahead) => Ok(Some(Block::clone(&ahead.block))),
            None => self.base.block(id),
        }
    }

    fn active_id(&self, height: Height) -> Result<Option<BlockId>, StoreError> {
        if height < self.fork {
            return self.base.active_id(height);
        }
        Ok(self.active.get(&height).map(|block| block.id))
    }

    fn transaction(&self, id: &TxId) -> Result<Option<TxLocation>, StoreError> {
        for (height, block) in &self.active {
            let mut indices = (0..).zip(&*block.transaction_ids);
            if let Some((index, _)) = indices.find(|(_, other)| *other == id) {
                let height = *height;
                return Ok(Some(TxLocation { height, index }));
            }
        }
        let below = self.base.transaction(id)?;
        Ok(below.filter(|location| location.height < self.fork))
    }

    fn history(
        &self,
        address: &Address,
        before: Option<TxLocation>,
        limit: usize,
    ) -> Result<Vec<HistoryEntry>, StoreError> {
        let mut entries = Vec::new();
        for block in self.active.values().rev() {
            let lines = block.history().into_iter().rev();
            entries.extend(
                lines
                    .filter(|(owner, entry)| {
                        owner == address && before.is_none_or(|before| entry.location < before)
                    })
                    .map(|(_, entry)| entry),
            );
        }
        entries.truncate(limit);
        let fork = TxLocation {
            height: self.fork,
            index: 0,
        };
        let before = before.map_or(fork, |before| before.min(fork));
        let below = limit - entries.len();
        entries.extend(self.base.history(address, Some(before), below)?);
        Ok(entries)
    }
}
