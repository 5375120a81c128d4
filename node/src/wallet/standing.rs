//! Where the payments from and to this home's keys stand, for whoever follows the chain and
//! tells what a reorg did to them. Unlike the outbox's states these are also of payments
//! that others made to this home.

use super::{KeyName, Page, Wallet, WalletError};
use mvb_protocol::{
    address::Address,
    amount::Amount,
    chain::HistoryKind,
    hash::TxId,
    numbers::{Height, Sequence},
};

/// A payment in which a key of this home takes part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnPayment {
    /// Its id.
    pub id: TxId,
    /// This home's key that it is from or to; the sender's where both are.
    pub key: KeyName,
    /// How that key takes part.
    pub kind: HistoryKind,
    /// The amount.
    pub amount: Amount,
    from: Address,
    sequence: Sequence,
}

/// Where a payment that was on the chain stands now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// In that block of the active chain.
    Confirmed(Height),
    /// In no block, and it can be again.
    Waiting,
    /// In no block, and another payment with its sequence is.
    Superseded,
}

impl Wallet {
    /// The newest payments on the chain from and to each of this home's keys, at most
    /// `each` a key.
    ///
    /// # Errors
    /// When the keys or the chain cannot be read.
    pub fn own_payments(&self, each: usize) -> Result<Vec<OwnPayment>, WalletError> {
        let mut own: Vec<OwnPayment> = Vec::new();
        for key in self.keys.list()?.keys {
            let page = Page {
                before: None,
                limit: each,
            };
            for line in self.history(&key.address(), page)? {
                // What waits has never been on the chain, or is known from before.
                let (Some(_), Some(id), Some(from), Some(sequence)) =
                    (line.location, line.id, line.from, line.sequence)
                else {
                    continue;
                };
                own.push(OwnPayment {
                    id,
                    key: key.name.clone(),
                    kind: line.kind,
                    amount: line.amount,
                    from,
                    sequence,
                });
            }
        }
        Ok(own)
    }

    /// Where a payment stands that was on the chain once.
    ///
    /// # Errors
    /// When the chain cannot be read.
    pub fn standing(&self, payment: &OwnPayment) -> Result<Standing, WalletError> {
        let chain = self.snapshot()?;
        if let Some(location) = chain.transaction(&payment.id)? {
            return Ok(Standing::Confirmed(location.height));
        }
        let next = chain.account(&payment.from)?.sequence;
        Ok(if next > payment.sequence {
            Standing::Superseded
        } else {
            Standing::Waiting
        })
    }
}
