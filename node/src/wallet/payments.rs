//! What the chain says of the saved payments: which are pending, what is confirmed, and
//! what each address may still spend.

use super::{
    KeyName, Outbox, OutboxError, Wallet, WalletError,
    key_store::{KeyFile, KeyWarning},
    outbox::SavedPayment,
};
use mvb_protocol::{
    address::Address,
    amount::{Amount, UNITS_PER_COIN},
    chain::{Account, ChainSnapshot, StoreError},
    hash::TxId,
    keys::Curve,
    numbers::{Height, Sequence},
};
use std::{fmt, path::PathBuf};

/// A payment's place between being saved and being settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PaymentState {
    /// It is not in a block yet.
    Pending,
    /// It was in a block that left the active chain, and is pending again.
    Orphaned {
        /// The height of that block.
        height: Height,
    },
    /// It is on the active chain.
    Confirmed {
        /// Its block's height.
        height: Height,
        /// The blocks from its own to the tip; 1 in the tip itself.
        depth: u64,
    },
    /// Another payment with its sequence takes or took its place.
    Superseded {
        /// That payment, where this home knows it.
        by: Option<TxId>,
    },
}

/// What an address is about to give and get by payments of this home.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pending {
    /// Amounts and fees it gives.
    pub outgoing: Amount,
    /// Amounts it gets.
    pub incoming: Amount,
}

/// A line of `list-addresses`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressLine {
    /// The key's name.
    pub name: KeyName,
    /// Its address.
    pub address: Address,
    /// Its curve.
    pub curve: Curve,
    /// Whether a passphrase protects it.
    pub encrypted: bool,
    /// What the chain says it has.
    pub balance: Amount,
    /// What is about to change.
    pub pending: Pending,
    /// What its owner should know of its file.
    pub warnings: Vec<KeyWarning>,
}

/// Everything in the key store.
#[derive(Debug, Default)]
pub struct AddressList {
    /// The keys that can be used, by name.
    pub addresses: Vec<AddressLine>,
    /// The `.pem` files that are no usable keys, and why.
    pub problems: Vec<(PathBuf, super::key_store::KeyFileError)>,
}

impl Wallet {
    /// Every address of the key store with its balance, and the files that are no keys.
    ///
    /// # Errors
    /// When the folder, the outbox or the chain cannot be read; a bad file is no error.
    pub fn addresses(&self) -> Result<AddressList, WalletError> {
        unimplemented!()
    }

    /// An address's confirmed balance and next sequence.
    ///
    /// # Errors
    /// When the chain cannot be read.
    pub fn account(&self, address: &Address) -> Result<Account, WalletError> {
        Ok(self.snapshot()?.account(address)?)
    }

    /// What an address is about to give and get.
    ///
    /// # Errors
    /// When the outbox or the chain cannot be read.
    pub fn pending(&self, address: &Address) -> Result<Pending, WalletError> {
        unimplemented!()
    }

    /// Where a payment stands, whether it was made here or only seen on the chain.
    ///
    /// # Errors
    /// When neither knows it, or either cannot be read.
    pub fn state(&self, id: &TxId) -> Result<PaymentState, WalletError> {
        unimplemented!()
    }
}
