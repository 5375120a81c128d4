//! Which payments go into the next block, and in which order: greedy by fee per byte over
//! the senders' next payments, each tried against the ledger, so that the result always
//! applies. Coins received earlier in the block can be spent later in it.
//!
//! The candidates are gathered from the mempool on the actors' thread, which is cheap; they
//! are tried on a worker, because that reads the chain for each.

use super::queue::{FeeRate, HeadKey, SenderQueue};
use mvb_protocol::{
    address::Address,
    ahead::Ahead,
    chain::{ChainSnapshot, StoreError},
    ledger::{Ledger, LedgerError},
    mutant,
    numbers::Sequence,
    params::MAX_BLOCK_WEIGHT,
    transaction::{Named, SMALLEST_TRANSACTION_BYTES},
};
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, BinaryHeap},
};

/// How many blocks' worth of candidates are gathered: some will not fit the ledger.
const BLOCKS_GATHERED: usize = 2;

/// A payment that may go into the block.
#[derive(Clone, Debug)]
struct Candidate {
    payment: Named,
    rate: FeeRate,
    arrival: u64,
}

impl Candidate {
    fn find(
        queues: &BTreeMap<Address, SenderQueue>,
        from: &Address,
        sequence: Sequence,
    ) -> Option<Self> {
        let entry = queues.get(from)?.payments.get(&sequence)?;
        Some(Self {
            payment: entry.payment.clone(),
            rate: entry.rate,
            arrival: entry.arrival,
        })
    }
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
    /// Gathers the payments that would be chosen by their rates alone, and after them the
    /// queues of senders who can only pay once one of these has paid them. What blocks `ahead`
    /// of the store hold is passed over: right after a block of thousands of payments, all of
    /// them still wait here.
    pub(super) fn gather(
        heads: &BTreeSet<HeadKey>,
        queues: &BTreeMap<Address, SenderQueue>,
        max_bytes: usize,
        ahead: &Ahead,
    ) -> Self {
        let first_of = |from: &Address, queue: &SenderQueue| {
            let account = ahead.account(from).unwrap_or(&queue.account);
            account.sequence
        };
        let mut gathered = Self {
            max_bytes,
            ..Self::default()
        };
        let mut room = max_bytes.saturating_mul(BLOCKS_GATHERED);
        let mut heads = heads.iter().rev().peekable();
        let mut followers: BinaryHeap<Next> = BinaryHeap::new();
        let mut paid = BTreeSet::new();
        while room > 0 {
            let head = heads.peek().map(|(rate, age, _)| (*rate, *age));
            let follower = followers.peek().map(|(rate, age, ..)| (*rate, *age));
            let taken = if follower > head {
                followers.pop().map(|(.., from, sequence)| (from, sequence))
            } else {
                heads.next().and_then(|(.., from)| {
                    gathered.able.insert(*from);
                    Some((*from, first_of(from, queues.get(from)?)))
                })
            };
            let Some((from, sequence)) = taken else { break };
            let Some(candidate) = Candidate::find(queues, &from, sequence) else {
                continue;
            };
            let transaction = candidate.payment.transaction();
            room = room.saturating_sub(transaction.size());
            paid.insert(transaction.to);
            gathered.insert(from, candidate);
            followers.extend(sequence.next().and_then(|next| {
                let candidate = Candidate::find(queues, &from, next)?;
                Some((candidate.rate, Reverse(candidate.arrival), from, next))
            }));
        }
        let mut room = max_bytes;
        paid.retain(|from| !gathered.able.contains(from));
        for from in &paid {
            let first = queues.get(from).map(|queue| first_of(from, queue));
            let payments = std::iter::successors(first, |sequence| sequence.next())
                .map_while(|sequence| Candidate::find(queues, from, sequence));
            for candidate in payments {
                room = room.saturating_sub(candidate.payment.transaction().size());
                gathered.insert(*from, candidate);
            }
            if room == 0 {
                break;
            }
        }
        gathered
    }

    /// Whether there is nothing to choose from.
    pub fn is_empty(&self) -> bool {
        self.senders.is_empty()
    }

    fn insert(&mut self, from: Address, candidate: Candidate) {
        let sequence = candidate.payment.transaction().sequence;
        let payments = self.senders.entry(from).or_default();
        payments.insert(sequence, candidate);
    }

    /// Chooses payments for a block on top of `chain`. They apply to it in this order.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn choose(self, chain: &dyn ChainSnapshot) -> Result<Vec<Named>, StoreError> {
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
            let transaction = candidate.payment.transaction();
            let costs = (transaction.size(), transaction.key.curve().weight());
            if costs.0 > room || costs.1 > weight {
                continue;
            }
            let mut applied = ledger.apply_transaction((**transaction).borrowed())?;
            if mutant!(ChosenUntried) {
                applied = Ok(());
            }
            match applied {
                Ok(()) => {
                    (room, weight) = (room - costs.0, weight - costs.1);
                    chosen.push(candidate.payment.clone());
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
