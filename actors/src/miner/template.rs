//! What a miner works on: the next block without its nonce, built from the tip's header
//! chain and the mempool's selection. Pure; the Miner actor supplies all of it.

use mvb_protocol::{
    address::Address,
    amount::Amount,
    block::{Block, Header, Reward},
    ledger::LedgerError,
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
    /// Makes this miner's content root differ from any other's, also of one that mines for
    /// the same address.
    pub extra_nonce: u64,
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
    /// The block; the header's nonce is where the search begins.
    pub block: Block,
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
        block.header.content_root = block.content_root(from.params.genesis_id(), &block.wids());
        Ok(Self { block, target })
    }
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
            extra_nonce: 5,
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
            now: Timestamp(10),
        })
        .unwrap();
        assert_eq!(second.block.header.timestamp, Timestamp(1_001));
    }
}
