//! Why a store on disk is not opened, and the checks that decide it. A store of another
//! schema or another network is refused in words; nothing is ever guessed or overwritten.

use crate::{
    schema::{self, SCHEMA_VERSION},
    tables::{Batch, Read, Tables},
};
use mvb_protocol::{chain::StoreError, hash::GenesisId, params::ChainParams};
use std::path::{Path, PathBuf};

/// A store on disk cannot be opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// There is no store, and none was to be created.
    #[error("no chain store in {}", path.display())]
    Missing {
        /// The folder.
        path: PathBuf,
    },
    /// It was written by a version of this program with another layout.
    #[error(
        "chain store in {} has schema version {got}, expected {expected}; use the version of mvb that made it, or, if another node has the chain, move chains and chain.toml out of the home to fetch it from there (keys and payments are kept)",
        path.display()
    )]
    Schema {
        /// The folder.
        path: PathBuf,
        /// The stored version.
        got: u32,
        /// This program's.
        expected: u32,
    },
    /// It holds the chain of another network.
    #[error(
        "chain store in {} is of network {got:.8}, expected {expected:.8}: {differences}",
        path.display()
    )]
    Genesis {
        /// The folder.
        path: PathBuf,
        /// The stored genesis id.
        got: GenesisId,
        /// The genesis id asked for.
        expected: GenesisId,
        /// The parameters that differ, stored and asked for.
        differences: String,
    },
    /// This process is closing the same store on another thread and does not finish.
    #[error("chain store in {} is still being closed by this process", path.display())]
    Closing {
        /// The folder.
        path: PathBuf,
    },
    /// This process still has the store open that was removed from this place.
    #[error("the chain store in {} was removed while this process had it open", path.display())]
    Removed {
        /// The folder.
        path: PathBuf,
    },
    /// The folder or the database failed.
    #[error("cannot open the chain store in {}: {error}", path.display())]
    Store {
        /// The folder.
        path: PathBuf,
        /// What it said.
        error: StoreError,
    },
}

impl OpenError {
    /// There is nothing in a folder.
    pub(crate) fn missing(path: &Path) -> Self {
        Self::Missing {
            path: path.to_owned(),
        }
    }

    /// The failure of a folder.
    pub(crate) fn store(path: &Path) -> impl Fn(StoreError) -> Self + '_ {
        move |error| Self::Store {
            path: path.to_owned(),
            error,
        }
    }
}

/// Fills a store that was just created, or whose creation was interrupted before this was
/// committed, and leaves a filled one alone.
pub(crate) fn fill(tables: &impl Tables, params: &ChainParams) -> Result<(), StoreError> {
    if schema::stored_version(&*tables.read()?)?.is_some() {
        return Ok(());
    }
    // Asked again inside the write transaction: another process may have been faster.
    tables.write(&|stored| {
        Ok(match schema::stored_version(stored)? {
            Some(_) => Batch::default(),
            None => schema::genesis_records(params),
        })
    })
}

/// Refuses a store with another layout, before anything else in it is looked at.
pub(crate) fn check_version(path: &Path, got: u32) -> Result<(), OpenError> {
    if got == SCHEMA_VERSION {
        return Ok(());
    }
    Err(OpenError::Schema {
        path: path.to_owned(),
        got,
        expected: SCHEMA_VERSION,
    })
}

/// The parameters of the chain in a store, or `None` when it was never filled.
pub(crate) fn stored_params(tables: &dyn Read) -> Result<Option<ChainParams>, StoreError> {
    match schema::stored_version(tables)? {
        Some(_) => schema::stored_params(tables).map(Some),
        None => Ok(None),
    }
}

/// Refuses a store that is not of this network.
pub(crate) fn check_params(
    path: &Path,
    stored: &ChainParams,
    params: &ChainParams,
) -> Result<(), OpenError> {
    let (got, expected) = (stored.genesis_id(), params.genesis_id());
    if got == expected {
        return Ok(());
    }
    Err(OpenError::Genesis {
        path: path.to_owned(),
        got,
        expected,
        differences: params.differences(stored).join("; "),
    })
}
