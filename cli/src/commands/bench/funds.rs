//! Coins for the payments of a benchmark: a chain of two blocks, made without a node, whose
//! reward is spread over as many payers as are wanted.

use anyhow::{Context as _, Result};
use mvb_actors::{
    env::Searcher,
    miner::template::{Ingredients, Template},
    search::PoolSearcher,
};
use mvb_kernels::Kernel;
use mvb_protocol::{
    address::Address,
    amount::Amount,
    block::Block,
    chain::ChainStore,
    connect::connect,
    keys::{Curve, SecretKey},
    numbers::{Sequence, Timestamp},
    params::ChainParams,
    transaction::{Named, Payment, Transaction, TransactionError},
    validate::{HeaderChain, verify_block},
};
use rayon::prelude::*;
use std::sync::{Arc, mpsc};

/// Who has coins, and the blocks in which it got them.
pub struct Funds {
    /// The chain so far.
    pub blocks: Vec<Arc<Block>>,
    /// The key that got the first reward, with its next sequence.
    pub treasury: Payer,
    /// The keys it has paid.
    pub payers: Vec<Payer>,
    params: ChainParams,
}

/// A key, and how many payments it has made.
pub struct Payer {
    key: SecretKey,
    next: u64,
}

impl Funds {
    /// A first block whose reward the treasury gets and, if there are to be payers, a second
    /// one in which it makes `payments` payments of a coin to them in turn.
    ///
    /// # Errors
    /// When the search threads cannot be started, or the rules do not allow such a chain.
    pub fn new(params: &ChainParams, payers: usize, payments: usize) -> Result<Self> {
        let mut funds = Self {
            blocks: Vec::new(),
            treasury: Payer::new(0),
            payers: (1..=payers).map(Payer::new).collect(),
            params: params.clone(),
        };
        let mut headers = HeaderChain::genesis(params);
        let searcher = PoolSearcher::new(1, Kernel::best());
        let searcher = searcher.context("cannot start the search threads")?;
        let first = funds.block(&mut headers, &searcher, &[])?;
        funds.blocks.push(first);
        if payers > 0 {
            let coin = Amount::from_units(1_000_000);
            let to: Vec<Address> = funds.payers.iter().map(Payer::address).collect();
            let paid: Vec<Transaction> = (0..payments)
                .map(|number| funds.treasury.pay(params, to[number % to.len()], coin))
                .collect();
            let paid: Vec<_> = paid
                .into_par_iter()
                .map(|payment| {
                    let verified = payment.verify(params.genesis_id())?;
                    Ok::<_, TransactionError>(Named::new(Arc::new(verified)))
                })
                .collect::<Result<_, _>>()?;
            let second = funds.block(&mut headers, &searcher, &paid)?;
            funds.blocks.push(second);
        }
        Ok(funds)
    }

    /// Writes the chain into an empty store.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn write(&self, store: &dyn ChainStore) -> Result<()> {
        for block in &self.blocks {
            let verified = verify_block(block.clone(), &self.params)?;
            let now = block.header.timestamp;
            let connected = connect(&*store.snapshot()?, &self.params, &[verified], now)?;
            let changes = connected.changes.context("the chain is a better one")?;
            store.commit(&changes)?;
        }
        Ok(())
    }

    /// The next `count` payments of a unit, by the payers in turn: first one of each, then
    /// the second of each, and so on. Signed on all cores.
    pub fn payments(&mut self, count: usize) -> Vec<Transaction> {
        let payers = self.payers.len().max(1);
        let params = &self.params;
        let to = self.treasury.address();
        let mut by_payer: Vec<Vec<Transaction>> = self
            .payers
            .par_iter_mut()
            .enumerate()
            .map(|(number, payer)| {
                let own = (count + payers - 1 - number) / payers;
                let mut own: Vec<_> = (0..own)
                    .map(|_| payer.pay(params, to, Amount::from_units(1)))
                    .collect();
                own.reverse();
                own
            })
            .collect();
        (0..count)
            .filter_map(|number| by_payer[number % payers].pop())
            .collect()
    }

    fn block(
        &self,
        headers: &mut HeaderChain,
        searcher: &PoolSearcher,
        payments: &[Named],
    ) -> Result<Arc<Block>> {
        let template = Template::build(&Ingredients {
            params: &self.params,
            parent: headers,
            payments,
            reward_to: self.treasury.address(),
            extra_nonce: 0,
            roots: searcher.roots(),
            now: Timestamp(1),
        })?;
        let (found, solved) = mpsc::channel();
        searcher.start(
            template.job(),
            Box::new(move |header| {
                // Whoever waits for it is below.
                let _ = found.send(header);
            }),
        );
        let header = solved.recv().context("the search has ended")?;
        let block = template.solved(header, &self.params);
        let block = block.context("a root of the template")??;
        headers.push(&self.params, block.header(), None)?;
        Ok(block.block().clone())
    }
}

impl Payer {
    /// The same key for the same number in every run.
    fn new(number: usize) -> Self {
        let mut bytes = [7; 32];
        bytes[24..].copy_from_slice(&(number as u64).to_be_bytes());
        Self {
            key: SecretKey::from_bytes(Curve::P256, &bytes).expect("a number below the order"),
            next: 0,
        }
    }

    /// Its address.
    pub fn address(&self) -> Address {
        Address::of_key(self.key.public_key().as_bytes())
    }

    /// Its next payment.
    pub fn pay(&mut self, params: &ChainParams, to: Address, amount: Amount) -> Transaction {
        let sequence = Sequence(self.next);
        self.next += 1;
        Payment {
            genesis: params.genesis_id(),
            to,
            amount,
            fee: Amount::ZERO,
            sequence,
            timestamp: Timestamp(1),
        }
        .sign(&self.key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mvb_storage::MemoryStore;

    #[test]
    fn payers_are_paid_and_their_payments_come_in_turn() {
        let params = ChainParams {
            difficulty: 1,
            block_size: 7,
            ..ChainParams::default()
        };
        let mut funds = Funds::new(&params, 3, 6).unwrap();
        let store = MemoryStore::new(params.clone());
        funds.write(&store).unwrap();
        let snapshot = store.snapshot().unwrap();
        for payer in &funds.payers {
            let account = snapshot.account(&payer.address()).unwrap();
            assert_eq!(account.balance, Amount::from_units(2_000_000));
        }
        let payments = funds.payments(7);
        let sequences: Vec<u64> = payments.iter().map(|p| p.sequence.0).collect();
        assert_eq!(sequences, [0, 0, 0, 1, 1, 1, 2]);
        assert_eq!(funds.payments(1)[0].sequence, Sequence(3));
    }
}
