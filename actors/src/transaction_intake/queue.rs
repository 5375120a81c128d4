//! One sender's waiting payments in sequence order, and the fee rates they are compared by.
//! The mempool owns the queues; nothing here knows of other senders.

use mvb_protocol::{
    address::Address,
    amount::Amount,
    chain::Account,
    numbers::Sequence,
    transaction::{Named, Transaction},
};
use std::{
    cmp::{Ordering, Reverse},
    collections::BTreeMap,
};

/// Fee per byte as an exact fraction.
#[derive(Clone, Copy, Debug)]
pub struct FeeRate {
    fee: u64,
    size: u64,
}

impl FeeRate {
    /// The rate of a payment.
    pub fn of(transaction: &Transaction) -> Self {
        Self {
            fee: transaction.fee.units(),
            size: transaction.size() as u64,
        }
    }
}

impl Ord for FeeRate {
    fn cmp(&self, other: &Self) -> Ordering {
        let cross = |a: &Self, b: &Self| u128::from(a.fee) * u128::from(b.size);
        cross(self, other).cmp(&cross(other, self))
    }
}

impl PartialOrd for FeeRate {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for FeeRate {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for FeeRate {}

/// Where a waiting payment stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It can be in the next block.
    Ready,
    /// It waits for a payment of the same sender that was not heard.
    Gap {
        /// The first sequence that is missing.
        missing: Sequence,
    },
    /// The confirmed balance does not cover it and the payments before it.
    Uncovered {
        /// The confirmed balance.
        balance: Amount,
        /// This payment and the ones before it.
        needed: Amount,
    },
}

/// A waiting payment.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The payment.
    pub payment: Named,
    /// Its own fee rate.
    pub rate: FeeRate,
    /// A number that grows with every payment taken in; at equal rates the first stays.
    pub arrival: u64,
    /// Where it stands.
    pub standing: Standing,
    /// A reorg returned it and the balance has not covered it since, so that nobody else would
    /// have taken it in.
    pub is_held: bool,
}

/// How the next payment of a sender competes for a place in a block: by rate, then age.
pub type HeadKey = (FeeRate, Reverse<u64>, Address);

/// How the last payment of a sender competes for its place in the mempool. A payment can
/// be mined no earlier than those before it, so it counts with the lowest rate up to it,
/// and one that cannot be mined counts below all that can. So the least of all is always
/// the tail of some sender, and at equal rates the one that came last.
pub type TailKey = (bool, FeeRate, Reverse<u64>, Address);

/// What the mempool knows of a queue from outside.
#[derive(Clone, Copy, Debug)]
pub struct Rank {
    /// The next payment, if it can be in a block now.
    pub head: Option<HeadKey>,
    /// The last payment.
    pub tail: TailKey,
    /// How many can be in the next block.
    pub ready: usize,
}

/// One sender's payments.
#[derive(Debug, Default)]
pub struct SenderQueue {
    /// The sender's account as last heard.
    pub account: Account,
    /// The payments. All sequences lie from the account's on, within the limit a sender.
    pub payments: BTreeMap<Sequence, Entry>,
    /// The rank under which the mempool has filed this queue.
    pub rank: Option<Rank>,
}

impl SenderQueue {
    /// What the payments from `account`'s sequence up to but not including `sequence` need.
    pub fn needed_before(&self, account: &Account, sequence: Sequence) -> u128 {
        if account.sequence >= sequence {
            return 0;
        }
        self.payments
            .range(account.sequence..sequence)
            .map(|(_, entry)| total(entry.payment.transaction()))
            .sum()
    }

    /// Takes note of the account and gives back the payments that no longer fit it: those
    /// whose sequence is used, and those too far ahead after a reorg took the account back.
    pub fn set_account(&mut self, account: Account, per_sender: u64) -> Vec<Entry> {
        self.account = account;
        let end = Sequence(account.sequence.0.saturating_add(per_sender));
        let mut dropped = self.payments.split_off(&end);
        let kept = self.payments.split_off(&account.sequence);
        dropped.append(&mut self.payments);
        self.payments = kept;
        dropped.into_values().collect()
    }

    /// Computes every payment's standing and the queue's rank; `changed` hears of each
    /// payment whose standing is another than before, `covered` of those that were held and
    /// need not be any longer. `None` for an empty queue.
    pub fn assess(
        &mut self,
        from: Address,
        mut changed: impl FnMut(&Entry),
        mut covered: impl FnMut(&Entry),
    ) -> Option<Rank> {
        let account = self.account;
        let mut next = account.sequence;
        let mut needed = 0;
        let mut least: Option<FeeRate> = None;
        let mut ready = 0;
        let mut gap = None;
        let mut last = None;
        for (sequence, entry) in &mut self.payments {
            needed += total(entry.payment.transaction());
            if gap.is_none() && *sequence != next {
                gap = Some(next);
            }
            next = Sequence(sequence.0.saturating_add(1));
            let is_covered = needed <= u128::from(account.balance.units());
            let standing = match gap {
                Some(missing) => Standing::Gap { missing },
                None if is_covered => Standing::Ready,
                None => Standing::Uncovered {
                    balance: account.balance,
                    needed: saturated(needed),
                },
            };
            ready += usize::from(standing == Standing::Ready);
            if std::mem::replace(&mut entry.standing, standing) != standing {
                changed(entry);
            }
            if entry.is_held && is_covered {
                entry.is_held = false;
                covered(entry);
            }
            let rate = least.map_or(entry.rate, |least| least.min(entry.rate));
            least = Some(rate);
            last = Some((
                standing == Standing::Ready,
                rate,
                Reverse(entry.arrival),
                from,
            ));
        }
        let head = self
            .payments
            .values()
            .next()
            .filter(|_| ready > 0)
            .map(|entry| (entry.rate, Reverse(entry.arrival), from));
        last.map(|tail| Rank { head, tail, ready })
    }
}

/// Amount and fee. Both together fit the supply: the stateless checks have refused others.
pub fn total(transaction: &Transaction) -> u128 {
    u128::from(transaction.amount.units()) + u128::from(transaction.fee.units())
}

/// A sum for people to read; one beyond any amount is shown as the largest.
pub fn saturated(sum: u128) -> Amount {
    Amount::from_units(u64::try_from(sum).unwrap_or(u64::MAX))
}
