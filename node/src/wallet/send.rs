//! Making payments: checked against the confirmed balance less what is pending, signed, and
//! saved before anybody else hears of them.

use super::{KeyName, KeyStoreError, OutboxError, Party, Passphrase, Wallet, WalletError};
use mvb_protocol::{
    address::Address,
    amount::{Amount, AmountError},
    chain::StoreError,
    hash::TxId,
    numbers::{Height, Sequence, Timestamp},
    transaction::{Transaction, TransactionError},
};

/// Asks for the passphrase of an encrypted key; `None` gives up. Called only for encrypted
/// keys, and before anything is saved.
pub type Unlock<'a> = &'a dyn Fn(&KeyName) -> Option<Passphrase>;

/// A payment to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SendRequest {
    /// Who pays: a key of this home, by its name or address.
    pub from: Party,
    /// What the recipient gets.
    pub amount: Amount,
    /// Who is paid.
    pub to: Party,
    /// What the miner gets on top.
    pub fee: Amount,
    /// Now, by this machine's clock.
    pub now: Timestamp,
}

/// A payment to be replaced by one to oneself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CancelRequest {
    /// The payment.
    pub id: TxId,
    /// The replacement's fee; `None` for the least that replaces.
    pub fee: Option<Amount>,
    /// Now, by this machine's clock.
    pub now: Timestamp,
}

/// A payment that was made and saved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Its id.
    pub id: TxId,
    /// The key that pays.
    pub name: KeyName,
    /// The key's address.
    pub from: Address,
    /// The payment.
    pub transaction: Transaction,
}

/// Why no payment was made. Nothing was saved.
#[derive(Debug, thiserror::Error)]
pub enum PaymentError {
    /// The sender's money does not suffice.
    #[error(
        "{needed} needed (amount {amount} and fee {fee}), but only {spendable} can be spent: balance {balance} less {pending} pending"
    )]
    Uncovered {
        /// The amount.
        amount: Amount,
        /// The fee.
        fee: Amount,
        /// Both together.
        needed: Amount,
        /// What is left to spend.
        spendable: Amount,
        /// The confirmed balance.
        balance: Amount,
        /// What pending payments take of it.
        pending: Amount,
    },
    /// No key of this home has the address that should pay.
    #[error(
        "no key here has the address {address}; `mvb wallet list-addresses` shows those there are"
    )]
    ForeignSender {
        /// The address.
        address: Address,
    },
    /// The payment to cancel is in a block already.
    #[error("payment {id:.8} is already in block {height}, it cannot be cancelled")]
    AlreadyConfirmed {
        /// The payment.
        id: TxId,
        /// Its block's height.
        height: Height,
    },
    /// The payment to cancel has been replaced already.
    #[error("payment {id:.8} has been superseded already")]
    AlreadySuperseded {
        /// The payment.
        id: TxId,
    },
    /// The replacement would not be preferred to the payment.
    #[error("fee {fee} is too low to replace payment {id:.8}, expected at least {least}")]
    FeeTooLow {
        /// The payment.
        id: TxId,
        /// The fee given.
        fee: Amount,
        /// The least that replaces it.
        least: Amount,
    },
    /// The payment breaks a rule of its own.
    #[error(transparent)]
    Transaction(#[from] TransactionError),
    /// A sum does not fit an amount.
    #[error(transparent)]
    Amount(#[from] AmountError),
    /// The key cannot be used.
    #[error(transparent)]
    Key(#[from] KeyStoreError),
    /// The wallet cannot answer.
    #[error(transparent)]
    Wallet(#[from] WalletError),
}

impl Wallet {
    /// Makes a payment and saves it; a resident process announces it.
    ///
    /// # Errors
    /// When the sender has no key here or too little money, or the payment cannot be saved.
    pub fn send(&self, request: &SendRequest, unlock: Unlock<'_>) -> Result<Sent, PaymentError> {
        unimplemented!()
    }

    /// Replaces a pending payment by one to oneself with the same sequence.
    ///
    /// # Errors
    /// When the payment was not made here, is confirmed or superseded, or the fee is too
    /// low or not covered.
    pub fn cancel(
        &self,
        request: &CancelRequest,
        unlock: Unlock<'_>,
    ) -> Result<Sent, PaymentError> {
        unimplemented!()
    }

    /// The address that a name or address stands for.
    ///
    /// # Errors
    /// When no key has the name.
    pub fn resolve(&self, party: &Party) -> Result<Address, WalletError> {
        unimplemented!()
    }
}
