//! Why a payment is not confirmed yet, in reasons that a person can act on.

use super::{PaymentState, Wallet, WalletError, outbox::SavedPayment, payments::waiting};
use crate::resident::{Resident, ResidentStatus};
use mvb_protocol::{
    address::Address,
    amount::Amount,
    chain::ChainSnapshot,
    hash::TxId,
    numbers::{Height, Sequence, Timestamp},
};
use std::{collections::BTreeMap, fmt};

/// Where a payment stands, and every reason that is known for its waiting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Why {
    /// The payment.
    pub id: TxId,
    /// Where it stands.
    pub state: PaymentState,
    /// Why, the most telling first; one at least.
    pub reasons: Vec<Reason>,
}

/// Why a payment stands where it stands. Each prints as one phrase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It does not wait.
    Confirmed {
        /// Its block's height.
        height: Height,
        /// The blocks from its own to the tip.
        depth: u64,
    },
    /// It waits in vain.
    Superseded {
        /// The payment in its place, where this home knows it.
        by: Option<TxId>,
    },
    /// A reorganisation took its block away.
    Orphaned {
        /// That block's height.
        height: Height,
    },
    /// A payment before it was never made or is not known here.
    SequenceMissing {
        /// The first that is missing.
        sequence: Sequence,
    },
    /// The chain does not cover it now.
    Uncovered {
        /// The confirmed balance.
        balance: Amount,
        /// What it and the sender's payments before it need.
        needed: Amount,
    },
    /// Nobody on this home announces it.
    NobodyAnnounces,
    /// The resident process has just started.
    ResidentStarting,
    /// The resident process has not written for long.
    ResidentSilent {
        /// For how many seconds.
        seconds: u64,
    },
    /// The resident process downloads the chain first.
    CatchingUp {
        /// The height it has.
        height: Height,
        /// The height a peer claims.
        claimed: Height,
    },
    /// No miner was heard for a while.
    NoMinerFor {
        /// For how many seconds.
        seconds: u64,
    },
    /// No miner was heard since the resident process started.
    NoMinerYet,
    /// A block needs more transactions than wait.
    MoreTransactions {
        /// How many more.
        missing: u64,
    },
    /// Nothing is missing: a miner works on a block that can hold it.
    NextBlock,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Confirmed { height, depth } => {
                write!(f, "confirmed in block {height}, {depth} deep")
            }
            Self::Superseded { by: Some(by) } => write!(f, "superseded by payment {by:.8}"),
            Self::Superseded { by: None } => {
                f.write_str("superseded by another payment with its sequence")
            }
            Self::Orphaned { height } => {
                write!(f, "its block {height} was orphaned, waiting again")
            }
            Self::SequenceMissing { sequence } => write!(f, "sequence {sequence} is missing"),
            Self::Uncovered { balance, needed } => {
                write!(f, "balance {balance} does not cover {needed}")
            }
            Self::NobodyAnnounces => f.write_str(
                "nobody announces it: start `mvb wallet sync` or `mvb miner` on this home",
            ),
            Self::ResidentStarting => f.write_str("the mvb process of this home is starting"),
            Self::ResidentSilent { seconds } => {
                write!(
                    f,
                    "the mvb process of this home has been silent for {seconds} s"
                )
            }
            Self::CatchingUp { height, claimed } => {
                write!(f, "this home is catching up, block {height} of {claimed}")
            }
            Self::NoMinerFor { seconds } => write!(f, "no miner heard for {seconds} s"),
            Self::NoMinerYet => f.write_str("no miner heard yet"),
            Self::MoreTransactions { missing: 1 } => f.write_str("waits for 1 more transaction"),
            Self::MoreTransactions { missing } => {
                write!(f, "waits for {missing} more transactions")
            }
            Self::NextBlock => f.write_str("waits for the next block"),
        }
    }
}

impl Wallet {
    /// Why a payment is not confirmed yet. `resident` is what the resident process of this
    /// home last wrote, see [`crate::resident::read`].
    ///
    /// # Errors
    /// When the payment is not known here, or the outbox or the chain cannot be read.
    pub fn why(&self, id: &TxId, resident: &Resident, now: Timestamp) -> Result<Why, WalletError> {
        let state = self.state(id)?;
        let mut reasons = Vec::new();
        match state {
            PaymentState::Confirmed { height, depth } => {
                reasons.push(Reason::Confirmed { height, depth });
            }
            PaymentState::Superseded { by } => reasons.push(Reason::Superseded { by }),
            PaymentState::Orphaned { height } => {
                reasons.push(Reason::Orphaned { height });
                self.add_waiting_reasons(id, resident, now, &mut reasons)?;
            }
            PaymentState::Pending => self.add_waiting_reasons(id, resident, now, &mut reasons)?,
        }
        Ok(Why {
            id: *id,
            state,
            reasons,
        })
    }

    fn add_waiting_reasons(
        &self,
        id: &TxId,
        resident: &Resident,
        now: Timestamp,
        reasons: &mut Vec<Reason>,
    ) -> Result<(), WalletError> {
        let saved = self.outbox.unsettled()?;
        let chain = self.snapshot()?;
        let waiting = waiting(&saved, &*chain)?;
        let held_back = held_back(&waiting, &*chain)?;
        let Some(held) = held_back.get(id) else {
            // Settled between two look-ups.
            return Ok(());
        };
        reasons.extend(*held);
        let Some(status) = announced(resident, &self.genesis().to_string(), reasons) else {
            return Ok(());
        };
        reasons.extend(no_miner(status, now));
        if held.is_some() {
            return Ok(());
        }
        // The resident process may not have taken up yet what was saved just now.
        let own = held_back.values().filter(|held| held.is_none()).count();
        let ready = status.ready.max(own) as u64;
        let height = chain.tip()?.height;
        let needed = self.params.least_payments(height.next().unwrap_or(height));
        match u64::from(needed).saturating_sub(ready) {
            0 if reasons.is_empty() => reasons.push(Reason::NextBlock),
            0 => {}
            missing => reasons.push(Reason::MoreTransactions { missing }),
        }
        Ok(())
    }
}

/// What keeps each waiting payment out of the next block, whoever mines it.
fn held_back(
    waiting: &[&SavedPayment],
    chain: &dyn ChainSnapshot,
) -> Result<BTreeMap<TxId, Option<Reason>>, WalletError> {
    let mut senders: BTreeMap<Address, BTreeMap<Sequence, &SavedPayment>> = BTreeMap::new();
    for payment in waiting {
        let (sender, sequence) = (payment.transaction.from(), payment.transaction.sequence);
        senders.entry(sender).or_default().insert(sequence, payment);
    }
    let mut held_back = BTreeMap::new();
    for (sender, payments) in senders {
        let account = chain.account(&sender)?;
        let mut next = account.sequence;
        let mut spent = Amount::ZERO;
        for (sequence, payment) in payments {
            let total = payment.transaction.total()?;
            let needed = spent.checked_add(total)?;
            let reason = if sequence != next {
                Some(Reason::SequenceMissing { sequence: next })
            } else if needed > account.balance {
                Some(Reason::Uncovered {
                    balance: account.balance,
                    needed,
                })
            } else {
                // Several payments of a sender fit one block, so those before it hold nothing up.
                None
            };
            held_back.insert(payment.id, reason);
            if sequence == next {
                next = Sequence(next.0.saturating_add(1));
                // What somebody pays themselves comes back in the same block.
                spent = match payment.transaction.to == sender {
                    true => spent.checked_add(payment.transaction.fee)?,
                    false => needed,
                };
            }
        }
    }
    Ok(held_back)
}

/// What the resident process says, if there is one that announces payments of this network.
fn announced<'r>(
    resident: &'r Resident,
    genesis: &str,
    reasons: &mut Vec<Reason>,
) -> Option<&'r ResidentStatus> {
    match resident {
        Resident::Alive(status) if status.genesis == genesis => {
            if let Some((height, claimed)) = status.catching_up {
                reasons.push(Reason::CatchingUp {
                    height: Height(height),
                    claimed: Height(claimed),
                });
            }
            return Some(status);
        }
        Resident::Silent { since } if since.is_zero() => reasons.push(Reason::ResidentStarting),
        Resident::Silent { since } => reasons.push(Reason::ResidentSilent {
            seconds: since.as_secs(),
        }),
        Resident::None | Resident::Alive(_) => reasons.push(Reason::NobodyAnnounces),
    }
    None
}

/// A miner is heard every interval; two without are a silence.
fn no_miner(status: &ResidentStatus, now: Timestamp) -> Option<Reason> {
    let Some(heard) = status.miner_heard else {
        return Some(Reason::NoMinerYet);
    };
    let silence = now.0.saturating_sub(heard);
    (silence > status.interval.saturating_mul(2)).then_some(Reason::NoMinerFor {
        seconds: silence / 1_000,
    })
}
