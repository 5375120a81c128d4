//! What a miner works on: the next block without its nonce, built from the tip's header
//! chain and the mempool's selection. Pure; the Miner actor supplies all of it.

use crate::{branch_block::BranchBlock, env::SearchJob};
use mvb_protocol::{
    address::Address,
    amount::Amount,
    block::{Header, Reward},
    hash::ContentRoot,
    ledger::LedgerError,
    numbers::Timestamp,
    params::{BLOCK_VERSION, ChainParams},
    target::Target,
    transaction::Named,
    validate::{BlockError, CheckedBlock, HeaderChain, NamedBody, expected_reward},
};
use std::sync::Arc;

/// What a block is made from.
pub struct Ingredients<'a> {
    /// The chain's parameters.
    pub params: &'a ChainParams,
    /// The chain the block extends.
    pub parent: &'a HeaderChain,
    /// The payments, in an order that applies.
    pub payments: &'a [Named],
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
    /// The header with the first of the content roots.
    pub header: Header,
    /// The payments.
    pub body: NamedBody,
    /// The reward of the first of the content roots.
    pub reward: Reward,
    /// The content roots: the first is the header's, and each one's `extra_nonce` is one more
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
        if from.payments.len() < least {
            return Err(NoTemplate::TooFewPayments {
                missing: least - from.payments.len(),
            });
        }
        let body = NamedBody::new(from.payments);
        let amount: Amount = expected_reward(from.params, height, body.transactions())
            .map_err(|error: LedgerError| exhausted(&error))?;
        let compact = from.parent.next_target(from.params);
        let target = compact
            .expand()
            .ok_or_else(|| exhausted(&"the target has no full form"))?;
        let reward = Reward {
            to: from.reward_to,
            amount,
            extra_nonce: from.extra_nonce,
        };
        let root = |number: usize| {
            let reward = nth(reward, number);
            body.content_root(from.params.genesis_id(), height, &reward)
        };
        let roots: Arc<[ContentRoot]> = (0..from.roots.max(1)).map(root).collect();
        let header = Header {
            previous: parent.id,
            content_root: roots[0],
            version: BLOCK_VERSION,
            target: compact,
            height,
            timestamp: from.now.max(from.parent.least_timestamp()),
            nonce: 0,
        };
        Ok(Self {
            header,
            body,
            reward,
            roots,
            target,
        })
    }

    /// What the search threads are to look for.
    pub fn job(&self) -> SearchJob {
        SearchJob {
            header: self.header,
            roots: self.roots.clone(),
            target: self.target,
        }
    }

    /// The block that a solved header belongs to; `None` if its root is none of these.
    ///
    /// # Errors
    /// When it breaks a rule, which would be a fault in how it was put together.
    pub fn solved(
        self,
        header: Header,
        params: &ChainParams,
    ) -> Option<Result<BranchBlock, BlockError>> {
        let is_it = |root: &ContentRoot| *root == header.content_root;
        let reward = nth(self.reward, self.roots.iter().position(is_it)?);
        let block = CheckedBlock::of_body(header, self.body, reward, params);
        Some(block.map(BranchBlock::Verified))
    }
}

/// The reward of the content root at a position: they differ in the `extra_nonce` alone.
fn nth(first: Reward, number: usize) -> Reward {
    Reward {
        extra_nonce: first.extra_nonce.wrapping_add(number as u64),
        ..first
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mvb_protocol::{
        block::Block,
        keys::{Curve, SecretKey},
        numbers::Sequence,
        transaction::Payment,
        validate::verify_block,
    };

    fn params() -> ChainParams {
        ChainParams {
            difficulty: 4,
            ..ChainParams::default()
        }
    }

    fn build(parent: &HeaderChain, params: &ChainParams) -> Result<Template, NoTemplate> {
        build_of(parent, params, &[])
    }

    fn build_of(
        parent: &HeaderChain,
        params: &ChainParams,
        payments: &[Named],
    ) -> Result<Template, NoTemplate> {
        Template::build(&Ingredients {
            params,
            parent,
            payments,
            reward_to: Address([1; 32]),
            extra_nonce: u64::MAX,
            roots: 3,
            now: Timestamp(1_000),
        })
    }

    fn solve(template: Template, params: &ChainParams) -> Arc<Block> {
        let mut header = template.header;
        while !template.target.is_met_by(&header.id()) {
            header.nonce += 1;
        }
        let block = template.solved(header, params).unwrap().unwrap();
        block.block().clone()
    }

    #[test]
    fn the_first_block_needs_no_payments_and_is_valid() {
        let params = params();
        let mut chain = HeaderChain::genesis(&params);
        let block = solve(build(&chain, &params).unwrap(), &params);
        assert_eq!(block.reward.amount, params.block_reward);
        chain
            .push(&params, &block.header, Some(Timestamp(1_000)))
            .unwrap();
        verify_block(block, &params).unwrap();
    }

    #[test]
    fn whichever_root_is_solved_the_block_with_it_is_valid() {
        let params = params();
        let mut chain = HeaderChain::genesis(&params);
        let template = build(&chain, &params).unwrap();
        assert_eq!(template.roots.len(), 3);
        for (number, root) in template.roots.iter().enumerate() {
            let mut header = template.header;
            header.content_root = *root;
            while !template.target.is_met_by(&header.id()) {
                header.nonce += 1;
            }
            let block = template.clone().solved(header, &params).unwrap().unwrap();
            let block = block.block().clone();
            assert_eq!(
                block.reward.extra_nonce,
                u64::MAX.wrapping_add(number as u64)
            );
            assert_eq!(block.id(), header.id());
            verify_block(block, &params).unwrap();
        }
        let mut unsolved = template.header;
        while template.target.is_met_by(&unsolved.id()) {
            unsolved.nonce += 1;
        }
        let refused = template.clone().solved(unsolved, &params);
        assert!(refused.is_some_and(|block| block.is_err()));
        let foreign = Header {
            content_root: ContentRoot([9; 32]),
            ..template.header
        };
        assert!(template.solved(foreign, &params).is_none());
        assert!(chain.push(&params, &foreign, None).is_err());
    }

    /// What its payments are called is known beforehand, and must be what the rules find.
    #[test]
    fn a_block_of_payments_is_what_it_is_for_whoever_gets_it() {
        let params = params();
        let secret = SecretKey::from_bytes(Curve::P256, &[3; 32]).unwrap();
        let payment = |sequence| Payment {
            genesis: params.genesis_id(),
            to: Address([2; 32]),
            amount: Amount::from_units(1),
            fee: Amount::from_units(5),
            sequence: Sequence(sequence),
            timestamp: Timestamp(0),
        };
        let payments = [0, 1, 2].map(|sequence| {
            let verified = payment(sequence).sign(&secret).verify(params.genesis_id());
            Named::new(Arc::new(verified.unwrap()))
        });
        let template = build_of(&HeaderChain::genesis(&params), &params, &payments).unwrap();
        let mut header = template.header;
        while !template.target.is_met_by(&header.id()) {
            header.nonce += 1;
        }
        let BranchBlock::Verified(found) = template.solved(header, &params).unwrap().unwrap()
        else {
            panic!("its payments were verified before");
        };
        let received = verify_block(found.block().clone(), &params).unwrap();
        assert_eq!(found, received);
        let fees = params.block_reward.units() + 15;
        assert_eq!(found.block().reward.amount.units(), fees);
        assert_eq!(found.wids(), payments.map(|payment| payment.name().wid));
    }

    #[test]
    fn a_later_block_waits_for_block_size_less_one_payments() {
        let params = ChainParams {
            block_size: 3,
            ..params()
        };
        let mut chain = HeaderChain::genesis(&params);
        let first = solve(build(&chain, &params).unwrap(), &params);
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
        let first = solve(build(&chain, &params).unwrap(), &params);
        chain.push(&params, &first.header, None).unwrap();
        let second = Template::build(&Ingredients {
            params: &params,
            parent: &chain,
            payments: &[],
            reward_to: Address([1; 32]),
            extra_nonce: 5,
            roots: 1,
            now: Timestamp(10),
        })
        .unwrap();
        assert_eq!(second.header.timestamp, Timestamp(1_001));
    }
}
