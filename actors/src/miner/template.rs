//! What a miner works on: the next block without its nonce, built from the tip's header
//! chain and the mempool's selection. Pure; the Miner actor supplies all of it.

use crate::env::SearchJob;
use mvb_protocol::{
    address::Address,
    amount::Amount,
    block::{Block, Header, Reward, content_root},
    hash::ContentRoot,
    ledger::LedgerError,
    merkle::merkle_root,
    numbers::Timestamp,
    params::{BLOCK_VERSION, ChainParams},
    target::Target,
    transaction::{Transaction, Verified},
    validate::{HeaderChain, expected_reward},
};
use std::sync::Arc;

/// What a block is made from.
pub struct Ingredients<'a> {
    /// The chain's parameters.
    pub params: &'a ChainParams,
    /// The chain the block extends.
    pub parent: &'a HeaderChain,
    /// The payments, in an order that applies.
    pub transactions: &'a [Arc<Verified<Transaction>>],
    /// Who gets the reward.
    pub reward_to: Address,
    /// The numbers from here on make this miner's content roots differ from each other and
    /// from any other's, also of one that mines for the same address.
    pub extra_nonce: u64,
    /// How many content roots to give.
    pub roots: usize,
    /// The miner's clock.
    pub now: Timestamp,
}

/// Why there is nothing to search.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoTemplate {
    /// A block needs more payments.
    #[error("waits for {missing} more {}", if *missing == 1 { "transaction" } else { "transactions" })]
    TooFewPayments {
        /// How many more.
        missing: usize,
    },
    /// The chain cannot go on: its fees, heights or targets are used up.
    #[error("no block can follow: {reason}")]
    Exhausted {
        /// What is used up.
        reason: String,
    },
}

/// A block without its nonce, and the target its id must be below.
#[derive(Clone, Debug)]
pub struct Template {
    /// The block with the first of its content roots.
    pub block: Block,
    /// Its content roots: the first is the block's, and each one's `extra_nonce` is one more
    /// than that of the one before.
    pub roots: Arc<[ContentRoot]>,
    /// The target.
    pub target: Target,
}

impl Template {
    /// Builds the next block.
    ///
    /// # Errors
    /// When payments are missing, or nothing can follow the tip.
    pub fn build(from: &Ingredients<'_>) -> Result<Self, NoTemplate> {
        let exhausted = |reason: &dyn ToString| NoTemplate::Exhausted {
            reason: reason.to_string(),
        };
        let parent = from.parent.tip();
        let height = parent
            .height
            .next()
            .ok_or_else(|| exhausted(&"heights end here"))?;
        let least = from.params.least_payments(height) as usize;
        if from.transactions.len() < least {
            return Err(NoTemplate::TooFewPayments {
                missing: least - from.transactions.len(),
            });
        }
        let transactions: Vec<Transaction> = from
            .transactions
            .iter()
            .map(|tx| Transaction::clone(tx))
            .collect();
        let amount: Amount = expected_reward(from.params, height, &transactions)
            .map_err(|error: LedgerError| exhausted(&error))?;
        let compact = from.parent.next_target(from.params);
        let target = compact
            .expand()
            .ok_or_else(|| exhausted(&"the target has no full form"))?;
        let mut block = Block {
            header: Header {
                previous: parent.id,
                content_root: Default::default(),
                version: BLOCK_VERSION,
                target: compact,
                height,
                timestamp: from.now.max(from.parent.least_timestamp()),
                nonce: 0,
            },
            transactions,
            reward: Reward {
                to: from.reward_to,
                amount,
                extra_nonce: from.extra_nonce,
            },
        };
        let roots = roots(from, &block);
        block.header.content_root = roots[0];
        Ok(Self {
            block,
            roots,
            target,
        })
    }

    /// What the search threads are to look for.
    pub fn job(&self) -> SearchJob {
        SearchJob {
            header: self.block.header,
            roots: self.roots.clone(),
            target: self.target,
        }
    }

    /// The block that a solved header belongs to; `None` if its root is none of these.
    pub fn solved(mut self, header: Header) -> Option<Block> {
        let root = self
            .roots
            .iter()
            .position(|root| *root == header.content_root)?;
        let reward = &mut self.block.reward;
        reward.extra_nonce = reward.extra_nonce.wrapping_add(root as u64);
        self.block.header = header;
        Some(self.block)
    }
}

/// The content roots that differ in the reward's `extra_nonce` alone, at least one. The
/// payments are hashed once for all of them.
fn roots(from: &Ingredients<'_>, block: &Block) -> Arc<[ContentRoot]> {
    let wids = block.wids();
    let payments = merkle_root(&wids);
    let count = u32::try_from(wids.len()).unwrap_or(u32::MAX);
    let root = |number: usize| {
        let extra_nonce = block.reward.extra_nonce.wrapping_add(number as u64);
        let reward = Reward {
            extra_nonce,
            ..block.reward
        };
        let hash = reward.hash(from.params.genesis_id(), block.header.height);
        content_root(&payments, count, &hash)
    };
    (0..from.roots.max(1)).map(root).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use mvb_protocol::validate::verify_block;

    fn params() -> ChainParams {
        ChainParams {
            difficulty: 4,
            ..ChainParams::default()
        }
    }

    fn build(parent: &HeaderChain, params: &ChainParams) -> Result<Template, NoTemplate> {
        Template::build(&Ingredients {
            params,
            parent,
            transactions: &[],
            reward_to: Address([1; 32]),
            extra_nonce: u64::MAX,
            roots: 3,
            now: Timestamp(1_000),
        })
    }

    fn solve(template: Template) -> Block {
        let mut block = template.block;
        while !template.target.is_met_by(&block.id()) {
            block.header.nonce += 1;
        }
        block
    }

    #[test]
    fn the_first_block_needs_no_payments_and_is_valid() {
        let params = params();
        let mut chain = HeaderChain::genesis(&params);
        let block = solve(build(&chain, &params).unwrap());
        assert_eq!(block.reward.amount, params.block_reward);
        chain
            .push(&params, &block.header, Some(Timestamp(1_000)))
            .unwrap();
        verify_block(Arc::new(block), &params).unwrap();
    }

    #[test]
    fn whichever_root_is_solved_the_block_with_it_is_valid() {
        let params = params();
        let mut chain = HeaderChain::genesis(&params);
        let template = build(&chain, &params).unwrap();
        assert_eq!(template.roots.len(), 3);
        for (number, root) in template.roots.iter().enumerate() {
            let mut header = template.block.header;
            header.content_root = *root;
            while !template.target.is_met_by(&header.id()) {
                header.nonce += 1;
            }
            let block = template.clone().solved(header).unwrap();
            assert_eq!(
                block.reward.extra_nonce,
                u64::MAX.wrapping_add(number as u64)
            );
            assert_eq!(block.id(), header.id());
            verify_block(Arc::new(block), &params).unwrap();
        }
        let foreign = Header {
            content_root: ContentRoot([9; 32]),
            ..template.block.header
        };
        assert_eq!(template.solved(foreign), None);
        assert!(chain.push(&params, &foreign, None).is_err());
    }

    #[test]
    fn a_later_block_waits_for_block_size_less_one_payments() {
        let params = ChainParams {
            block_size: 3,
            ..params()
        };
        let mut chain = HeaderChain::genesis(&params);
        let first = solve(build(&chain, &params).unwrap());
        chain.push(&params, &first.header, None).unwrap();
        let refused = build(&chain, &params).unwrap_err();
        assert_eq!(refused, NoTemplate::TooFewPayments { missing: 2 });
        assert_eq!(refused.to_string(), "waits for 2 more transactions");
    }

    #[test]
    fn a_clock_behind_the_parent_still_gives_a_later_timestamp() {
        let params = ChainParams {
            block_size: 1,
            ..params()
        };
        let mut chain = HeaderChain::genesis(&params);
        let first = solve(build(&chain, &params).unwrap());
        chain.push(&params, &first.header, None).unwrap();
        let second = Template::build(&Ingredients {
            params: &params,
            parent: &chain,
            transactions: &[],
            reward_to: Address([1; 32]),
            extra_nonce: 5,
            roots: 1,
            now: Timestamp(10),
        })
        .unwrap();
        assert_eq!(second.block.header.timestamp, Timestamp(1_001));
    }
}
