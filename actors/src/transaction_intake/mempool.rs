//! The mempool: verified payments that wait for a block. A plain struct that decides what
//! is kept, replaced, evicted and offered; TransactionIntake owns the only one. It never
//! reads the chain: accounts are handed in.
//!
//! Payments lie by sender in sequence order. At most a window of sequences from the
//! account's on is held for each sender, gaps included, and all together are bounded in
//! bytes: beyond that the lowest fee per byte leaves, tails of a sender first.

use super::{
    queue::{Entry, FeeRate, HeadKey, Rank, SenderQueue, Standing, TailKey, saturated, total},
    select::Candidates,
};
use crate::{messages::Refusal, shared_map::SharedMap, view::MempoolView};
use mvb_protocol::{
    address::Address,
    ahead::Ahead,
    amount::Amount,
    chain::Account,
    hash::{GenesisId, TxId},
    mutant,
    numbers::Sequence,
    transaction::{Name, Named, Transaction},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// The limits of a mempool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most bytes over the fixed layouts.
    pub max_bytes: usize,
    /// The most payments of one sender, and how far ahead of its account they may be.
    pub per_sender: u64,
}

/// Whether the confirmed balance must cover a payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coverage {
    /// It must: the payment is new.
    Required,
    /// It need not: a reorg took the payment's block back, and perhaps the coins it spends
    /// as well. It is held until they are there again.
    Hold,
}

/// What other parts of the node may know of a waiting payment.
#[derive(Clone, Debug)]
pub struct Waiting {
    /// The payment.
    pub payment: Named,
    /// Where it stands.
    pub standing: Standing,
}

/// The waiting payments by id, readable by other parts of the node from any thread.
pub type MempoolIndex = SharedMap<TxId, Waiting>;

/// The mempool.
#[derive(Debug)]
pub struct Mempool {
    genesis: GenesisId,
    limits: Limits,
    senders: BTreeMap<Address, SenderQueue>,
    /// The senders whose next payment can be in a block, the best last.
    heads: BTreeSet<HeadKey>,
    /// Every sender's last payment, the first to be evicted first.
    tails: BTreeSet<TailKey>,
    index: Arc<MempoolIndex>,
    totals: MempoolView,
    arrivals: u64,
    /// Held payments that are covered now, until somebody takes note.
    covered: Vec<Named>,
}

impl Mempool {
    /// An empty mempool of a network.
    pub fn new(genesis: GenesisId, mut limits: Limits) -> Self {
        if mutant!(SenderUnbounded) {
            limits.per_sender = u64::MAX;
        }
        Self {
            genesis,
            limits,
            senders: BTreeMap::new(),
            heads: BTreeSet::new(),
            tails: BTreeSet::new(),
            index: Arc::default(),
            totals: MempoolView::default(),
            arrivals: 0,
            covered: Vec::new(),
        }
    }

    /// The waiting payments by id.
    pub fn index(&self) -> &Arc<MempoolIndex> {
        &self.index
    }

    /// Its limits.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// How much waits.
    pub fn totals(&self) -> MempoolView {
        self.totals
    }

    /// Everything that can be said against a payment without verifying its signature.
    ///
    /// # Errors
    /// Says why it would not be taken in.
    pub fn check(
        &self,
        transaction: &Transaction,
        name: &Name,
        account: &Account,
        coverage: Coverage,
    ) -> Result<(), Refusal> {
        let held = self.index.get(&name.id);
        if held.is_some_and(|waiting| waiting.payment.name().wid == name.wid) {
            return Err(Refusal::Duplicate { id: name.id });
        }
        transaction.check(self.genesis)?;
        self.check_sequence(transaction.sequence, account.sequence)?;
        let queue = self.senders.get(&name.from);
        let rival = queue.and_then(|queue| queue.payments.get(&transaction.sequence));
        match rival {
            Some(rival) => check_replacement(rival, transaction.fee)?,
            None => self.check_room(transaction)?,
        }
        let before = queue.map_or(0, |q| q.needed_before(account, transaction.sequence));
        let needed = before + total(transaction);
        if coverage == Coverage::Required && needed > u128::from(account.balance.units()) {
            return Err(Refusal::Uncovered {
                balance: account.balance,
                needed: saturated(needed),
            });
        }
        Ok(())
    }

    /// Takes a payment in, after checking it once more: what was true before its
    /// signature was verified may not be so now.
    ///
    /// # Errors
    /// Says why it was not taken in; [`Refusal::Full`] also when it was the first to go.
    pub fn insert(
        &mut self,
        payment: Named,
        account: Account,
        coverage: Coverage,
    ) -> Result<(), Refusal> {
        let (transaction, name) = (payment.transaction(), *payment.name());
        self.check(transaction, &name, &account, coverage)?;
        self.set_account(name.from, account);
        let sequence = transaction.sequence;
        let entry = Entry {
            rate: FeeRate::of(transaction),
            arrival: self.arrivals,
            // Another standing is found when the queue is filed.
            standing: Standing::Ready,
            is_held: coverage == Coverage::Hold,
            payment,
        };
        self.arrivals += 1;
        self.totals.waiting += 1;
        self.totals.bytes += entry.payment.transaction().size();
        self.index.insert(name.id, waiting(&entry));
        let queue = self.senders.entry(name.from).or_default();
        queue.account = account;
        if let Some(replaced) = queue.payments.insert(sequence, entry) {
            self.forget(&replaced);
        }
        self.file(name.from);
        self.evict();
        if self.index.contains(&name.id) {
            Ok(())
        } else {
            Err(Refusal::Full)
        }
    }

    /// Takes note of accounts that changed: used sequences leave, and what the balances
    /// cover is found again.
    pub fn set_accounts(&mut self, accounts: &BTreeMap<Address, Account>) {
        for (address, account) in accounts {
            self.set_account(*address, *account);
        }
    }

    /// The payments that a reorg returned and that wait, each once, as soon as it is covered.
    pub fn take_covered(&mut self) -> Vec<Named> {
        let mut covered = std::mem::take(&mut self.covered);
        covered.retain(|payment| self.index.contains(&payment.name().id));
        covered
    }

    /// Payments for a block of `max_bytes`, to be tried against the ledger as it will be once
    /// what is `ahead` of the store is written.
    pub fn candidates(&self, max_bytes: usize, ahead: &Ahead) -> Candidates {
        Candidates::gather(&self.heads, &self.senders, max_bytes, ahead)
    }

    /// Some of the payments that wait, by sender and sequence, those after `after` only.
    pub fn page(&self, after: Option<(Address, Sequence)>, limit: usize) -> Vec<Waiting> {
        let first = after.map_or(Address::default(), |(sender, _)| sender);
        self.senders
            .range(first..)
            .flat_map(|(sender, queue)| {
                let told = after.filter(|(told, _)| told == sender);
                let from = told.map_or(Some(Sequence(0)), |(_, sequence)| sequence.next());
                let entries = from.map(|from| queue.payments.range(from..));
                entries.into_iter().flatten().map(|(_, entry)| entry)
            })
            .take(limit)
            .map(waiting)
            .collect()
    }

    fn set_account(&mut self, address: Address, account: Account) {
        let Some(queue) = self.senders.get_mut(&address) else {
            return;
        };
        for dropped in queue.set_account(account, self.limits.per_sender) {
            self.forget(&dropped);
        }
        self.file(address);
    }

    fn check_sequence(&self, got: Sequence, next: Sequence) -> Result<(), Refusal> {
        if got < next {
            return Err(Refusal::SequenceUsed { got, next });
        }
        let most = self.limits.per_sender;
        if got.0 - next.0 >= most {
            return Err(Refusal::SequenceTooFar { got, next, most });
        }
        Ok(())
    }

    /// Whether a payment that replaces none would stay: when the mempool is full, it must
    /// pay more than the first to be evicted.
    fn check_room(&self, transaction: &Transaction) -> Result<(), Refusal> {
        if self.totals.bytes + transaction.size() <= self.limits.max_bytes
            || mutant!(MempoolUnbounded)
        {
            return Ok(());
        }
        match self.tails.first() {
            Some((ready, least, ..)) if !ready || *least < FeeRate::of(transaction) => Ok(()),
            _ => Err(Refusal::Full),
        }
    }

    /// Files a sender's queue anew after it changed.
    fn file(&mut self, address: Address) {
        let Some(queue) = self.senders.get_mut(&address) else {
            return;
        };
        if let Some(Rank { head, tail, ready }) = queue.rank.take() {
            if let Some(head) = head {
                self.heads.remove(&head);
            }
            self.tails.remove(&tail);
            self.totals.ready -= ready;
        }
        let (index, covered) = (&self.index, &mut self.covered);
        queue.rank = queue.assess(
            address,
            |entry| drop(index.insert(entry.payment.name().id, waiting(entry))),
            |entry| covered.push(entry.payment.clone()),
        );
        match queue.rank {
            Some(Rank { head, tail, ready }) => {
                self.heads.extend(head);
                self.tails.insert(tail);
                self.totals.ready += ready;
            }
            None => drop(self.senders.remove(&address)),
        }
    }

    fn evict(&mut self) {
        while self.totals.bytes > self.limits.max_bytes && !mutant!(MempoolUnbounded) {
            let Some((.., address)) = self.tails.first().copied() else {
                return;
            };
            let tail = self
                .senders
                .get_mut(&address)
                .and_then(|queue| queue.payments.pop_last());
            if let Some((_, evicted)) = tail {
                self.forget(&evicted);
            }
            self.file(address);
        }
    }

    /// Takes a payment that left its queue out of the index and the totals. The index may
    /// hold another of the same id already, which then stays.
    fn forget(&mut self, entry: &Entry) {
        self.totals.waiting -= 1;
        self.totals.bytes -= entry.payment.transaction().size();
        let Name { id, wid, .. } = entry.payment.name();
        let is_it = |waiting: &Waiting| waiting.payment.name().wid == *wid;
        self.index.remove_if(id, is_it);
    }
}

/// The replacement rule: at least the old fee and 10 % of it, or one unit where that is
/// less.
fn check_replacement(rival: &Entry, fee: Amount) -> Result<(), Refusal> {
    let old = rival.payment.transaction().fee.units();
    let least = Amount::from_units(old.saturating_add(old.div_ceil(10).max(1)));
    if fee < least {
        return Err(Refusal::FeeTooLowToReplace {
            other: rival.payment.name().id,
            least,
        });
    }
    Ok(())
}

fn waiting(entry: &Entry) -> Waiting {
    Waiting {
        payment: entry.payment.clone(),
        standing: entry.standing,
    }
}

#[cfg(test)]
mod tests;
