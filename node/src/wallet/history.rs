//! The history of an address: what waits, then what the chain holds, the newest first.

use super::{PaymentState, Wallet, WalletError};
use mvb_protocol::{
    address::Address,
    amount::Amount,
    chain::{HistoryKind, TxLocation},
    hash::TxId,
    numbers::{Sequence, Timestamp},
};

/// Which part of a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// Only what stands before this on the chain; `None` for the newest, with what waits.
    pub before: Option<TxLocation>,
    /// At most so many lines of the chain.
    pub limit: usize,
}

/// A line of a history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryLine {
    /// How the address took part.
    pub kind: HistoryKind,
    /// Where it stands.
    pub state: PaymentState,
    /// Where on the chain, for the next page; `None` while it waits.
    pub location: Option<TxLocation>,
    /// The payment; `None` for a reward.
    pub id: Option<TxId>,
    /// Who paid; `None` for a reward.
    pub from: Option<Address>,
    /// Who was paid.
    pub to: Address,
    /// The amount; of a reward with the block's fees.
    pub amount: Amount,
    /// The fee the sender gave.
    pub fee: Amount,
    /// The sender's sequence; `None` for a reward.
    pub sequence: Option<Sequence>,
    /// When it was made, by its sender's or its block's clock.
    pub timestamp: Timestamp,
}

impl Wallet {
    /// A page of an address's history, which need not be of this home.
    ///
    /// # Errors
    /// When the outbox or the chain cannot be read.
    pub fn history(&self, address: &Address, page: Page) -> Result<Vec<HistoryLine>, WalletError> {
        unimplemented!()
    }
}
