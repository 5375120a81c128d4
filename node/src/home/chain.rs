//! Opening the chain of a home, for its one writer or for readers beside it. The record is
//! written after the chain's store was made, so that a remembered chain without a store
//! is a loss that is told, not a first start.

use super::{Found, Home, HomeError, HomeLock, create_private, remembered_params};
use mvb_protocol::{hash::GenesisId, params::ChainParams};
use mvb_storage::{LmdbStore, OpenError};
use std::{fs, io};

/// What LMDB calls the file with everything in it.
const DATA_FILE: &str = "data.mdb";

/// A chain opened for writing.
pub struct OpenChain {
    /// Its store.
    pub store: LmdbStore,
    /// Whether it was there before; a new one is told to the user.
    pub found: Found,
}

impl Home {
    /// Opens the chain for writing, which the lock allows; makes it where there is none.
    ///
    /// # Errors
    /// When the home remembers a chain that is gone, or the store refuses.
    pub fn open_chain(
        &self,
        params: &ChainParams,
        _lock: &HomeLock,
    ) -> Result<OpenChain, HomeError> {
        let folder = self.chain_folder(params.genesis_id());
        let recorded = self.chain_record().exists();
        let existed = folder.join(DATA_FILE).is_file();
        if recorded && !existed {
            return Err(self.chain_missing(params));
        }
        create_private(&folder)?;
        let store = LmdbStore::open(&folder, params)?;
        if !recorded {
            self.remember(params)?;
        }
        let found = if existed {
            Found::Existing
        } else {
            Found::Created
        };
        Ok(OpenChain { store, found })
    }

    /// Opens the chain for reading beside whoever writes it; `None` where there is none yet.
    ///
    /// # Errors
    /// When the home remembers a chain that is gone, or the store refuses.
    pub fn read_chain(&self, params: &ChainParams) -> Result<Option<LmdbStore>, HomeError> {
        let folder = self.chain_folder(params.genesis_id());
        if folder.join(DATA_FILE).is_file() {
            return match LmdbStore::open_existing(&folder, params) {
                // Its writer is making it just now.
                Err(OpenError::Missing { .. }) => Ok(None),
                opened => Ok(Some(opened?)),
            };
        }
        if self.chain_record().exists() {
            return Err(self.chain_missing(params));
        }
        Ok(None)
    }

    /// Forgets the chain and begins one with new parameters, under a new name. Keys and
    /// outboxes stay.
    ///
    /// # Errors
    /// When the name is the old one, or the system refuses.
    pub fn reset_chain(
        &self,
        params: &ChainParams,
        lock: &HomeLock,
    ) -> Result<OpenChain, HomeError> {
        let old = remembered_params(&self.path)?;
        if old
            .as_ref()
            .is_some_and(|old| old.network_name == params.network_name)
        {
            return Err(HomeError::SameName {
                name: params.network_name.clone(),
            });
        }
        // The new chain is made and remembered before the old one is removed, so that a
        // crash leaves a home that is part of one of the two.
        let folder = self.chain_folder(params.genesis_id());
        create_private(&folder)?;
        drop(LmdbStore::open(&folder, params)?);
        self.remember(params)?;
        if let Some(old) = old {
            self.remove_chain(old.genesis_id())?;
        }
        self.open_chain(params, lock)
    }

    fn remove_chain(&self, genesis: GenesisId) -> Result<(), HomeError> {
        let folder = self.chain_folder(genesis);
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(HomeError::Io {
                path: folder,
                source: error,
            }),
            _ => Ok(()),
        }
    }

    fn chain_missing(&self, params: &ChainParams) -> HomeError {
        HomeError::ChainMissing {
            network: params.network_name.clone(),
            folder: self.chain_folder(params.genesis_id()),
            record: self.chain_record(),
        }
    }
}
