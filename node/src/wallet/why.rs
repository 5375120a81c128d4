//! Why a payment is not confirmed yet, in reasons that a person can act on.

use super::{PaymentState, Wallet, WalletError};
use crate::resident::Resident;
use mvb_protocol::{
    amount::Amount,
    hash::TxId,
    numbers::{Height, Sequence, Timestamp},
};
use std::fmt;

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
    /// An earlier payment of its sender must be confirmed first.
    Behind {
        /// The earliest such payment.
        id: TxId,
    },
    /// The chain does not cover it now.
    Uncovered {
        /// The confirmed balance.
        balance: Amount,
        /// Amount and fee.
        needed: Amount,
    },
    /// Nobody on this home announces it.
    NobodyAnnounces,
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
            Self::Behind { id } => write!(f, "waits for its sender's earlier payment {id:.8}"),
            Self::Uncovered { balance, needed } => {
                write!(f, "balance {balance} does not cover {needed}")
            }
            Self::NobodyAnnounces => f.write_str(
                "nobody announces it: start `mvb wallet sync` or `mvb miner` on this home",
            ),
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
        unimplemented!()
    }
}
