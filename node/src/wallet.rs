//! The wallet: keys, payments and what the chain says of them. The program calls it, beside
//! a running node or without one; it never prints and never announces: what it saves in
//! the outbox, any resident process on the same home announces.
//!
//! Nothing but signed payments is stored. What is pending, confirmed or superseded is
//! derived from the chain each time somebody asks.

mod history;
pub mod key_store;
mod names;
pub mod outbox;
mod payments;
mod send;
mod standing;
mod why;

pub use history::{HistoryLine, Page};
pub use key_store::{KeyStore, KeyStoreError, Passphrase};
pub use names::{KeyName, KeyNameError, Party, PartyError};
pub use outbox::{Outbox, OutboxError};
pub use payments::{AddressLine, AddressList, PaymentState, Pending};
pub use send::{CancelRequest, PaymentError, SendRequest, Sent, Unlock, least_replacement_fee};
pub use standing::{OwnPayment, Standing};
pub use why::{Reason, Why};

use crate::{
    config::Config,
    home::{Home, HomeError},
};
use mvb_protocol::{
    amount::AmountError,
    chain::{ChainSnapshot, ChainStore, StoreError},
    hash::{GenesisId, TxId},
    params::ChainParams,
};
use mvb_storage::MemoryStore;
use std::sync::Arc;

/// The wallet of a home on one network.
pub struct Wallet {
    keys: KeyStore,
    outbox: Arc<Outbox>,
    chain: Arc<dyn ChainStore>,
    params: ChainParams,
}

/// Why the wallet cannot answer.
#[derive(Debug, thiserror::Error)]
pub enum WalletError {
    /// Neither this home nor the chain knows the payment.
    #[error("payment {id} is neither in this home nor on the chain as it is known here")]
    UnknownPayment {
        /// Its id.
        id: TxId,
    },
    /// A key cannot be used.
    #[error(transparent)]
    Keys(#[from] KeyStoreError),
    /// The saved payments cannot be used.
    #[error(transparent)]
    Outbox(#[from] OutboxError),
    /// The chain cannot be read.
    #[error(transparent)]
    Chain(#[from] StoreError),
    /// A sum of payments does not fit an amount.
    #[error(transparent)]
    Amount(#[from] AmountError),
    /// The home cannot be used.
    #[error(transparent)]
    Home(#[from] HomeError),
}

impl Wallet {
    /// The wallet of a home, beside whatever process writes its chain. Where there is no
    /// chain yet, everything is pending and all balances are zero.
    ///
    /// # Errors
    /// When the outbox or the chain cannot be opened.
    pub fn open(home: &Home, config: &Config) -> Result<Self, WalletError> {
        let params = config.chain_params();
        let chain: Arc<dyn ChainStore> = match home.read_chain(params)? {
            Some(store) => Arc::new(store),
            None => Arc::new(MemoryStore::new(params.clone())),
        };
        let outbox = Outbox::open(&home.outbox_folder(params.genesis_id()))?;
        let keys = KeyStore::new(&config.key_store_dir);
        Ok(Self::new(keys, Arc::new(outbox), chain, params.clone()))
    }

    /// A wallet over its parts. Without a chain yet, an empty store of the same
    /// parameters will do: everything is then pending.
    pub fn new(
        keys: KeyStore,
        outbox: Arc<Outbox>,
        chain: Arc<dyn ChainStore>,
        params: ChainParams,
    ) -> Self {
        Self {
            keys,
            outbox,
            chain,
            params,
        }
    }

    /// The keys.
    pub fn keys(&self) -> &KeyStore {
        &self.keys
    }

    /// The saved payments.
    pub fn outbox(&self) -> &Arc<Outbox> {
        &self.outbox
    }

    fn genesis(&self) -> GenesisId {
        self.params.genesis_id()
    }

    fn snapshot(&self) -> Result<Box<dyn ChainSnapshot + Send + '_>, StoreError> {
        self.chain.snapshot()
    }
}

#[cfg(test)]
mod tests;
