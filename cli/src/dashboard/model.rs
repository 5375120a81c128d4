//! What the dashboard shows: the newest snapshot and a little history, all of it bounded.
//! It is plain data; `draw` turns it into a picture.

use super::Identity;
use crate::narrator::Seen;
use mvb_actors::view::MiningState;
use mvb_protocol::{
    address::Address,
    chain::{ChainSnapshot, ChainStore, StoreError},
    hash::BlockId,
    numbers::{Height, Timestamp},
};
use std::{collections::VecDeque, time::Duration};

/// How many seconds of hash rate are kept; a wide screen shows some 200.
const RATES: usize = 512;

/// How many of the newest blocks are shown.
const BLOCKS: usize = 32;

/// Everything on the screen.
#[derive(Clone, Debug)]
pub struct Model {
    /// What does not change.
    pub identity: Identity,
    /// What the node shows now.
    pub seen: Seen,
    /// Hashes a second, one value a second, the newest last.
    pub rates: VecDeque<f64>,
    /// The newest blocks, the newest first.
    pub blocks: Vec<BlockLine>,
    /// The newest lines of the log, the newest last.
    pub log: Vec<String>,
    /// How long it has been running.
    pub up: Duration,
    /// This machine's time.
    pub now: Timestamp,
}

/// A block as one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockLine {
    /// Its height.
    pub height: Height,
    /// Its id.
    pub id: BlockId,
    /// When it was found, by its miner's clock.
    pub timestamp: Timestamp,
    /// Its payments.
    pub payments: usize,
    /// Who mined it.
    pub miner: Address,
}

impl Model {
    /// Of a node that shows `seen` at the start.
    pub fn new(identity: Identity, seen: Seen) -> Self {
        Self {
            identity,
            seen,
            rates: VecDeque::new(),
            blocks: Vec::new(),
            log: Vec::new(),
            up: Duration::ZERO,
            now: Timestamp(0),
        }
    }

    /// Takes in what the node shows, `up` after the start.
    pub fn observe(&mut self, seen: Seen, up: Duration, now: Timestamp) {
        let due = up.as_secs() > self.up.as_secs() || self.rates.is_empty();
        if due {
            // What is not searched is no rate, whatever the last one was.
            let searching = matches!(seen.mining.state, MiningState::Searching { .. });
            let rate = if searching {
                seen.mining.hashes_per_second
            } else {
                0.0
            };
            self.rates.push_back(rate);
            while self.rates.len() > RATES {
                self.rates.pop_front();
            }
        }
        self.seen = seen;
        self.up = up;
        self.now = now;
    }

    /// Who mined a block, as people of this home call them.
    pub fn miner_of(&self, block: &BlockLine) -> String {
        if block.miner == self.identity.reward_to {
            return "this miner".to_owned();
        }
        match self.identity.names.get(&block.miner) {
            Some(name) => name.clone(),
            None => format!("{:.12}…", block.miner.to_string()),
        }
    }

    /// How many of the shown blocks are this miner's.
    pub fn own_blocks(&self) -> usize {
        let own = |block: &&BlockLine| block.miner == self.identity.reward_to;
        self.blocks.iter().filter(own).count()
    }
}

/// Reads the newest blocks when the tip has changed, and only those not read before.
#[derive(Default)]
pub struct Recent {
    tip: Option<BlockId>,
}

impl Recent {
    /// Brings the model's blocks up to the chain's tip.
    pub fn refresh(&mut self, model: &mut Model, store: &dyn ChainStore) {
        let tip = model.seen.chain.tip.id;
        if self.tip == Some(tip) {
            return;
        }
        // A store that cannot be read ends the node, which says why.
        if let Ok(blocks) = newest(&model.blocks, store) {
            model.blocks = blocks;
            self.tip = Some(tip);
        }
    }
}

fn newest(known: &[BlockLine], store: &dyn ChainStore) -> Result<Vec<BlockLine>, StoreError> {
    let chain = store.snapshot()?;
    let tip = chain.tip()?;
    let mut lines = Vec::with_capacity(BLOCKS);
    for height in (1..=tip.height.0).rev().take(BLOCKS) {
        let Some(id) = chain.active_id(Height(height))? else {
            break;
        };
        let line = match known.iter().find(|line| line.id == id) {
            Some(line) => Some(line.clone()),
            None => read(&*chain, Height(height), id)?,
        };
        lines.extend(line);
    }
    Ok(lines)
}

fn read(
    chain: &dyn ChainSnapshot,
    height: Height,
    id: BlockId,
) -> Result<Option<BlockLine>, StoreError> {
    Ok(chain.block(&id)?.map(|block| BlockLine {
        height,
        id,
        timestamp: block.header.timestamp,
        payments: block.transactions.len(),
        miner: block.reward.to,
    }))
}
