//! `mvb chain block`: one block in full.

use super::{OpenChain, explain::Explanation};
use crate::{
    args::BlockRef,
    context::Context,
    exit::Exit,
    output::{count, utc},
};
use anyhow::{Result, anyhow, bail};
use mvb_protocol::{
    block::Block,
    chain::{ChainSnapshot, StoredHeader},
    hash::BlockId,
};
use serde::Serialize;
use std::fmt;

/// Prints a block, and with `explain` how its id comes about.
pub fn run(context: &Context, block: BlockRef, explain: bool) -> Result<Exit> {
    let open = OpenChain::new(context)?;
    let store = open.store();
    let chain = store.snapshot()?;
    let id = find(&*chain, block)?;
    let genesis = open.config.chain_params().genesis_id();
    if id == genesis.into() {
        bail!(
            "genesis is no block: it is what the network's parameters hash to, {genesis}; \
             `mvb chain info` shows them"
        );
    }
    let missing = || anyhow!("no block {id} on this home");
    let stored = chain.header(&id)?.ok_or_else(missing)?;
    let block = chain.block(&id)?.ok_or_else(missing)?;
    let active = chain.is_active(&id)?;
    let mut report = BlockReport::new(&stored, &block, active);
    report.explanation = explain.then(|| Explanation::new(&block, genesis));
    context.output.report(&report)?;
    Ok(Exit::Done)
}

fn find(chain: &dyn ChainSnapshot, block: BlockRef) -> Result<BlockId> {
    match block {
        BlockRef::Id(id) => Ok(id),
        BlockRef::Height(height) => chain.active_id(height)?.ok_or_else(|| {
            let tip = chain
                .tip()
                .map_or_else(|_| "unknown".to_owned(), |tip| tip.height.to_string());
            anyhow!("no block at height {height}: this home's chain ends at height {tip}")
        }),
    }
}

#[derive(Serialize)]
struct BlockReport {
    id: String,
    height: u64,
    previous: String,
    active: bool,
    time: u64,
    target: String,
    nonce: u64,
    work: String,
    content_root: String,
    size: usize,
    reward: Reward,
    payments: Vec<Payment>,
    #[serde(flatten)]
    explanation: Option<Explanation>,
}

#[derive(Serialize)]
struct Reward {
    to: String,
    amount: String,
    #[serde(skip)]
    shown_to: String,
}

#[derive(Serialize)]
struct Payment {
    id: String,
    from: String,
    to: String,
    amount: String,
    fee: String,
    sequence: u64,
    #[serde(skip)]
    shown: [String; 2],
}

impl BlockReport {
    fn new(stored: &StoredHeader, block: &Block, active: bool) -> Self {
        let header = &stored.header;
        Self {
            id: header.id().to_string(),
            height: header.height.0,
            previous: header.previous.to_string(),
            active,
            time: header.timestamp.0,
            target: format!("{:08x}", header.target.0),
            nonce: header.nonce,
            work: stored.work.to_string(),
            content_root: header.content_root.to_string(),
            size: block.size(),
            reward: Reward {
                to: block.reward.to.to_lower_hex(),
                amount: block.reward.amount.to_string(),
                shown_to: block.reward.to.to_string(),
            },
            payments: block
                .transactions
                .iter()
                .map(|transaction| Payment {
                    id: transaction.id().to_string(),
                    from: transaction.from().to_lower_hex(),
                    to: transaction.to.to_lower_hex(),
                    amount: transaction.amount.to_string(),
                    fee: transaction.fee.to_string(),
                    sequence: transaction.sequence.0,
                    shown: [transaction.from(), transaction.to].map(|a| a.to_string()),
                })
                .collect(),
            explanation: None,
        }
    }
}

impl fmt::Display for BlockReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let active = if self.active {
            ""
        } else {
            "   (not on the active chain)"
        };
        writeln!(f, "block         {}{active}", self.height)?;
        writeln!(f, "id            {}", self.id)?;
        writeln!(f, "previous      {}", self.previous)?;
        writeln!(f, "time          {} UTC", utc(self.time))?;
        writeln!(f, "target        {}", self.target)?;
        writeln!(f, "nonce         {}", self.nonce)?;
        writeln!(f, "work so far   {}", self.work)?;
        writeln!(f, "content root  {}", self.content_root)?;
        writeln!(f, "size          {} bytes", self.size)?;
        let Reward {
            amount, shown_to, ..
        } = &self.reward;
        writeln!(f, "reward        {amount} to {shown_to}")?;
        writeln!(f, "holds         {}", count(self.payments.len(), "payment"))?;
        for payment in &self.payments {
            let [from, to] = &payment.shown;
            writeln!(f, "\npayment       {}", payment.id)?;
            writeln!(f, "  amount      {} (fee {})", payment.amount, payment.fee)?;
            writeln!(f, "  from        {from} (sequence {})", payment.sequence)?;
            writeln!(f, "  to          {to}")?;
        }
        match &self.explanation {
            Some(explanation) => write!(f, "\n{explanation}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mvb_protocol::{
        address::Address,
        amount::Amount,
        block::{self, Header},
        hash::{ContentRoot, GenesisId},
        keys::{Curve, SecretKey},
        numbers::{Height, Sequence, Timestamp},
        target::{CompactTarget, Work},
        transaction,
    };

    #[test]
    fn a_block_reads_top_to_bottom() {
        let key = SecretKey::from_bytes(Curve::P256, &[7; 32]).unwrap();
        let payment = transaction::Payment {
            genesis: GenesisId([9; 32]),
            to: Address([2; 32]),
            amount: Amount::from_units(2_500_000),
            fee: Amount::ZERO,
            sequence: Sequence(0),
            timestamp: Timestamp(0),
        }
        .sign(&key);
        let header = Header {
            previous: BlockId([9; 32]),
            content_root: ContentRoot([8; 32]),
            version: 1,
            target: CompactTarget(0x1d40_0000),
            height: Height(2),
            timestamp: Timestamp(1_795_369_881_000),
            nonce: 77,
        };
        let block = Block {
            header,
            transactions: vec![payment.clone()],
            reward: block::Reward {
                to: Address([3; 32]),
                amount: Amount::from_units(10_000_000),
                extra_nonce: 0,
            },
        };
        let stored = StoredHeader {
            header,
            work: Work::ZERO,
        };
        let report = BlockReport::new(&stored, &block, false);
        let expected = format!(
            "block         2   (not on the active chain)\n\
             id            {}\nprevious      {}\ntime          2026-11-22 17:51:21 UTC\n\
             target        1d400000\nnonce         77\nwork so far   0\ncontent root  {}\n\
             size          {} bytes\nreward        10 to {}\nholds         1 payment\n\n\
             payment       {}\n  amount      2.5 (fee 0)\n  from        {} (sequence 0)\n  \
             to          {}\n",
            header.id(),
            "09".repeat(32),
            "08".repeat(32),
            block.size(),
            Address([3; 32]),
            payment.id(),
            payment.from(),
            Address([2; 32]),
        );
        assert_eq!(report.to_string(), expected);
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["payments"][0]["amount"], "2.5");
        assert_eq!(json["active"], false);
    }
}
