//! Locators: a few ids of a chain, dense near its tip and sparse below, from which
//! another node finds the last block the two have in common in one message.

use crate::{
    chain::{ChainSnapshot, StoreError},
    hash::BlockId,
    numbers::Height,
};

/// The most ids a locator may hold; enough for 2^53 blocks.
pub const MAX_LOCATOR: usize = 64;

/// How many ids are dense before the steps double.
const DENSE: usize = 10;

/// The locator of the active chain: its tip, the nine before it, then steps that double,
/// and genesis last.
///
/// # Errors
/// When the store cannot be read.
pub fn locator(chain: &dyn ChainSnapshot) -> Result<Vec<BlockId>, StoreError> {
    let mut ids = Vec::new();
    let (mut height, mut step) = (chain.tip()?.height.0, 1);
    loop {
        if let Some(id) = chain.active_id(Height(height))? {
            ids.push(id);
        }
        if height == 0 || ids.len() == MAX_LOCATOR || crate::mutant!(LocatorOfOne) {
            return Ok(ids);
        }
        if ids.len() >= DENSE {
            step *= 2;
        }
        // With one place left it is genesis', which every member of the network knows.
        height = if ids.len() == MAX_LOCATOR - 1 {
            0
        } else {
            height.saturating_sub(step)
        };
    }
}

/// The height of the first id of a locator that is on the active chain. Without any,
/// 0: both begin at genesis.
///
/// # Errors
/// When the store cannot be read.
pub fn fork_point(chain: &dyn ChainSnapshot, locator: &[BlockId]) -> Result<Height, StoreError> {
    for id in locator.iter().take(MAX_LOCATOR) {
        if let Some(stored) = chain.header(id)?
            && (chain.active_id(stored.header.height)? == Some(*id)
                || crate::mutant!(ForkPointOffChain))
        {
            return Ok(stored.header.height);
        }
    }
    Ok(Height(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        address::Address,
        block::Block,
        chain::{Account, HistoryEntry, StoredHeader, Tip, TxLocation},
        hash::TxId,
        target::Work,
    };

    /// A chain of so many blocks, whose ids are their heights.
    struct Numbered(u64);

    fn id_at(height: u64) -> BlockId {
        let mut id = BlockId::default();
        id.0[24..].copy_from_slice(&height.to_be_bytes());
        id
    }

    impl ChainSnapshot for Numbered {
        fn tip(&self) -> Result<Tip, StoreError> {
            Ok(Tip {
                id: id_at(self.0),
                height: Height(self.0),
                work: Work::ZERO,
            })
        }

        fn active_id(&self, height: Height) -> Result<Option<BlockId>, StoreError> {
            Ok((height.0 <= self.0).then(|| id_at(height.0)))
        }

        fn account(&self, _: &Address) -> Result<Account, StoreError> {
            unreachable!("a locator is made of ids")
        }

        fn header(&self, _: &BlockId) -> Result<Option<StoredHeader>, StoreError> {
            unreachable!("a locator is made of ids")
        }

        fn block(&self, _: &BlockId) -> Result<Option<Block>, StoreError> {
            unreachable!("a locator is made of ids")
        }

        fn transaction(&self, _: &TxId) -> Result<Option<TxLocation>, StoreError> {
            unreachable!("a locator is made of ids")
        }

        fn history(
            &self,
            _: &Address,
            _: Option<TxLocation>,
            _: usize,
        ) -> Result<Vec<HistoryEntry>, StoreError> {
            unreachable!("a locator is made of ids")
        }
    }

    fn locator_of(blocks: u64) -> Vec<BlockId> {
        locator(&Numbered(blocks)).unwrap()
    }

    #[test]
    fn ten_ids_are_dense_and_then_each_step_is_twice_the_one_before() {
        let heights = [
            300, 299, 298, 297, 296, 295, 294, 293, 292, 291, 289, 285, 277, 261, 229, 165, 37, 0,
        ];
        assert_eq!(locator_of(300), heights.map(id_at));
        assert_eq!(locator_of(9), [9, 8, 7, 6, 5, 4, 3, 2, 1, 0].map(id_at));
        assert_eq!(locator_of(0), [id_at(0)]);
    }

    #[test]
    fn the_longest_locator_ends_with_genesis_too() {
        let ids = locator_of(u64::MAX);
        assert_eq!(ids.len(), MAX_LOCATOR);
        assert_eq!(ids.last(), Some(&id_at(0)));
    }
}
