//! Every block of the last heights that some machine of the lab knows, those that were given up
//! included: what the fork tree on the lab's page is drawn from.

use super::{machine::Machine, tree::TreeBlock};
use mvb_protocol::{
    address::Address,
    chain::{ChainStore, StoreError, Tip},
    hash::BlockId,
    numbers::Height,
};
use std::collections::BTreeMap;

/// The blocks of the last heights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forest {
    /// The best of all tips.
    pub best: Tip,
    /// The least height in it.
    pub from: Height,
    /// The blocks, in no order that matters.
    pub blocks: Vec<ForestBlock>,
}

/// A block of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForestBlock {
    /// The block.
    pub block: TreeBlock,
    /// Its parent.
    pub previous: BlockId,
    /// Where it stands.
    pub stands: Stands,
    /// The machines whose chain ends with it.
    pub tip_of: Vec<String>,
}

/// Where a block stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stands {
    /// On the best of all chains.
    Best,
    /// On the chain of some machine that knows no better one.
    Elsewhere,
    /// On nobody's chain any more.
    Nowhere,
}

/// The forest of these machines now.
pub(super) fn forest(machines: &[Machine], heights: u64) -> Result<Forest, StoreError> {
    let names: BTreeMap<Address, String> = machines.iter().flat_map(Machine::names).collect();
    let miner = |address: &Address| names.get(address).cloned().unwrap_or_default();
    let mut chains = Vec::new();
    for machine in machines {
        let chain = machine.store().snapshot()?;
        chains.push((chain.tip()?, chain, machine));
    }
    // The best chain first: what the others have in common with it stands on it.
    chains.sort_by(|(one, ..), (other, ..)| {
        let best = other.work.cmp(&one.work);
        best.then_with(|| one.id.cmp(&other.id))
    });
    let best = chains
        .first()
        .map_or_else(|| Tip::genesis(Default::default()), |(tip, ..)| *tip);
    let from = Height(
        best.height
            .0
            .saturating_sub(heights.saturating_sub(1))
            .max(1),
    );
    let mut blocks: BTreeMap<BlockId, ForestBlock> = BTreeMap::new();
    for (rank, (tip, chain, machine)) in chains.iter().enumerate() {
        let stands = if rank == 0 {
            Stands::Best
        } else {
            Stands::Elsewhere
        };
        for height in (from.0..=tip.height.0).rev().map(Height) {
            let Some(id) = chain.active_id(height)? else {
                continue;
            };
            if blocks.contains_key(&id) {
                break;
            }
            let Some(block) = chain.block(&id)? else {
                continue;
            };
            let known = ForestBlock {
                block: TreeBlock {
                    height,
                    id,
                    miner: miner(&block.reward.to),
                    payments: block.transactions.len(),
                },
                previous: block.header.previous,
                stands,
                tip_of: Vec::new(),
            };
            blocks.insert(id, known);
        }
        if let Some(known) = blocks.get_mut(&tip.id) {
            known.tip_of.push(machine.name().to_owned());
        }
    }
    for machine in machines {
        for seen in machine.seen().iter() {
            if seen.header.height < from {
                continue;
            }
            blocks.entry(seen.id).or_insert_with(|| ForestBlock {
                block: TreeBlock {
                    height: seen.header.height,
                    id: seen.id,
                    miner: miner(&seen.reward_to),
                    payments: seen.payments,
                },
                previous: seen.header.previous,
                stands: Stands::Nowhere,
                tip_of: Vec::new(),
            });
        }
    }
    let mut blocks: Vec<ForestBlock> = blocks.into_values().collect();
    for known in &mut blocks {
        known.tip_of.sort();
    }
    Ok(Forest { best, from, blocks })
}
