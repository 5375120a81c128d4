//! Which payments go into the next block, and in which order: greedy by fee per byte over
//! the senders' next payments, each tried against the ledger, so that the result always
//! applies. Coins received earlier in the block can be spent later in it.
//!
//! The candidates are gathered from the mempool on the actors' thread, which is cheap; they
//! are tried on a worker, because that reads the chain for each.

use super::queue::{FeeRate, HeadKey, SenderQueue};
use mvb_protocol::{
    address::Address,
    chain::{ChainSnapshot, StoreError},
    ledger::{Ledger, LedgerError},
    numbers::Sequence,
    params::MAX_BLOCK_WEIGHT,
    transaction::{SMALLEST_TRANSACTION_BYTES, Transaction, Verified},
};
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, BinaryHeap},
    sync::Arc,
};

/// How many blocks' worth of candidates are gathered: some will not fit the ledger.
const BLOCKS_GATHERED: usize = 2;

/// A payment that may go into the block.
#[derive(Clone, Debug)]
struct Candidate {
    transaction: Arc<Verified<Transaction>>,
    rate: FeeRate,
    arrival: u64,
}

/// The payments worth trying.
#[derive(Debug, Default)]
pub struct Candidates {
    senders: BTreeMap<Address, BTreeMap<Sequence, Candidate>>,
    /// The senders who may pay from the start; the others must be paid in the block first.
    able: BTreeSet<Address>,
    max_bytes: usize,
}

/// What is tried next: the best rate, at equal rates the oldest.
type Next = (FeeRate, Reverse<u64>, Address, Sequence);

impl Candidates {
    /// Gathers the queues of the best heads, and of those they pay.
    pub(super) fn gather(
        heads: &BTreeSet<HeadKey>,
        queues: &BTreeMap<Address, SenderQueue>,
        max_bytes: usize,
    ) -> Self {
        let mut gathered = Self {
            max_bytes,
            ..Self::default()
        };
        let mut room = max_bytes.saturating_mul(BLOCKS_GATHERED);
        let mut paid = BTreeSet::new();
        for (.., address) in heads.iter().rev() {
            if room == 0 {
                break;
            }
            let payments = next_payments(queues, address);
            for candidate in payments.values() {
                room = room.saturating_sub(candidate.transaction.size());
                paid.insert(candidate.transaction.to);
            }
            gathered.able.insert(*address);
            gathered.senders.insert(*address, payments);
        }
        for address in paid {
            let queue = queues.get(&address);
            if queue.is_some_and(|q| q.rank.is_some_and(|rank| rank.head.is_none())) {
                let payments = next_payments(queues, &address);
                gathered.senders.insert(address, payments);
            }
        }
        gathered
    }

    /// Chooses payments for a block on top of `chain`. They apply to it in this order.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn choose(
        self,
        chain: &dyn ChainSnapshot,
    ) -> Result<Vec<Arc<Verified<Transaction>>>, StoreError> {
        let mut ledger = Ledger::new(chain);
        let mut room = self.max_bytes;
        let mut weight = MAX_BLOCK_WEIGHT;
        let mut chosen = Vec::new();
        let mut next: BinaryHeap<Next> = self
            .able
            .iter()
            .filter_map(|address| self.first_of(address))
            .collect();
        let mut idle: BTreeMap<Address, Next> = self
            .senders
            .keys()
            .filter(|address| !self.able.contains(*address))
            .filter_map(|address| Some((*address, self.first_of(address)?)))
            .collect();
        while room >= SMALLEST_TRANSACTION_BYTES && weight > 0 {
            let Some(tried) = next.pop() else { break };
            let (.., from, sequence) = tried;
            let Some(candidate) = self.get(&from, sequence) else {
                continue;
            };
            let transaction = &candidate.transaction;
            let costs = (transaction.size(), transaction.key.curve().weight());
            if costs.0 > room || costs.1 > weight {
                continue;
            }
            match ledger.apply_transaction((**transaction).borrowed())? {
                Ok(()) => {
                    (room, weight) = (room - costs.0, weight - costs.1);
                    chosen.push(transaction.clone());
                    next.extend(idle.remove(&transaction.to));
                    next.extend(sequence.next().and_then(|s| self.at(&from, s)));
                }
                // The chain has moved on since the candidates were gathered.
                Err(LedgerError::Sequence { expected, .. }) if expected > sequence => {
                    next.extend(self.at(&from, expected));
                }
                // It may be paid later in this block.
                Err(LedgerError::Balance { .. }) => drop(idle.insert(from, tried)),
                Err(_) => {}
            }
        }
        Ok(chosen)
    }

    fn get(&self, address: &Address, sequence: Sequence) -> Option<&Candidate> {
        self.senders.get(address)?.get(&sequence)
    }

    fn at(&self, address: &Address, sequence: Sequence) -> Option<Next> {
        let candidate = self.get(address, sequence)?;
        let age = Reverse(candidate.arrival);
        Some((candidate.rate, age, *address, sequence))
    }

    fn first_of(&self, address: &Address) -> Option<Next> {
        let sequence = *self.senders.get(address)?.keys().next()?;
        self.at(address, sequence)
    }
}

/// A sender's payments from the account's sequence up to the first gap.
fn next_payments(
    queues: &BTreeMap<Address, SenderQueue>,
    address: &Address,
) -> BTreeMap<Sequence, Candidate> {
    let Some(queue) = queues.get(address) else {
        return BTreeMap::new();
    };
    (queue.account.sequence.0..)
        .map_while(|sequence| queue.payments.get_key_value(&Sequence(sequence)))
        .map(|(sequence, entry)| {
            let candidate = Candidate {
                transaction: entry.transaction.clone(),
                rate: entry.rate,
                arrival: entry.arrival,
            };
            (*sequence, candidate)
        })
        .collect()
}
