//! The chain store: what is committed survives, and everything people ask of a chain is a
//! look-up.
//!
//! The schema and all indices are written once, above ordered tables (`tables`, `schema`,
//! `names`, `history`, `chain`). [`LmdbStore`] keeps them on disk, [`MemoryStore`] is its twin for simulations;
//! both pass one conformance suite. This crate decides no rule of the ledger and keeps no
//! payments that are not in a block.

mod chain;
pub mod environment;
mod file;
mod history;
mod lmdb;
mod memory;
mod names;
mod open;
mod schema;
mod tables;
mod verify;

pub use lmdb::LmdbStore;
pub use memory::MemoryStore;
pub use open::OpenError;
pub use schema::SCHEMA_VERSION;
pub use verify::VerifyReport;

use mvb_protocol::params::ChainParams;
use std::path::Path;

/// The parameters of the chain in a folder, or `None` when there is no chain in it. Creates
/// nothing.
///
/// # Errors
/// When the store is of another schema, damaged, or cannot be read.
pub fn stored_params(path: &Path) -> Result<Option<ChainParams>, OpenError> {
    LmdbStore::stored(path)
}

/// Follows every page of the LMDB file in a folder, as it is done before one is written.
///
/// # Errors
/// When it is damaged or cannot be read.
#[cfg(feature = "fuzzing")]
pub fn check_file(path: &Path) -> Result<(), mvb_protocol::chain::StoreError> {
    file::find(path)?;
    file::check(path, None, file::Depth::Pages).map(|_| ())
}
