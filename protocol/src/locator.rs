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
