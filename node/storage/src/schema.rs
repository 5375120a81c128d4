//! How the chain is laid out in tables: keys by height, the records of `meta`, and the version of
//! it all. `names` and `history` know the keys and records that are packed tighter.
//!
//! All other records are canonical MessagePack. Whatever does not decode is
//! [`StoreError::Damaged`] under the record's name, never a panic.

use crate::tables::{Batch, Read, Table};
use mvb_protocol::{
    chain::{StoreError, Tip},
    codec,
    hash::BlockId,
    numbers::Height,
    params::ChainParams,
};
use serde::{Deserialize, Serialize};
use std::fmt::Display;

/// The version of this layout. Another one is refused at open, never guessed at.
pub const SCHEMA_VERSION: u32 = 3;

/// The key of the schema version in [`Table::Meta`].
pub(crate) const SCHEMA: &[u8] = b"schema";

const PARAMS: &[u8] = b"params";
const TIP: &[u8] = b"tip";

/// What a new store begins with: the version, the parameters, and genesis as the tip.
pub(crate) fn genesis_records(params: &ChainParams) -> Batch {
    let genesis = params.genesis_id();
    let mut batch = Batch::default();
    batch.put_record(Table::Meta, SCHEMA, &SCHEMA_VERSION);
    batch.put_record(Table::Meta, PARAMS, params);
    put_tip(&mut batch, &Tip::genesis(genesis));
    let genesis_id = BlockId::from(genesis);
    batch.put_record(Table::Active, height_key(Height(0)), &genesis_id);
    batch
}

/// The layout's version, or `None` for a store that was never filled. Its place and form
/// are the same in every version.
pub(crate) fn stored_version(tables: &dyn Read) -> Result<Option<u32>, StoreError> {
    tables.get(Table::Meta, SCHEMA)?.map(version).transpose()
}

/// The layout's version, from its record.
pub(crate) fn version(record: &[u8]) -> Result<u32, StoreError> {
    decode(record, "schema version")
}

/// The parameters of the chain in the store.
pub(crate) fn stored_params(tables: &dyn Read) -> Result<ChainParams, StoreError> {
    let params: ChainParams =
        get(tables, Table::Meta, PARAMS, "parameters")?.ok_or_else(|| missing("parameters"))?;
    params.validate().map_err(|error| StoreError::Damaged {
        what: format!("parameters: {error}"),
    })?;
    Ok(params)
}

/// The tip of the active chain.
pub(crate) fn tip(tables: &dyn Read) -> Result<Tip, StoreError> {
    get(tables, Table::Meta, TIP, "tip")?.ok_or_else(|| missing("tip"))
}

/// Sets the tip of the active chain.
pub(crate) fn put_tip(batch: &mut Batch, tip: &Tip) {
    batch.put_record(Table::Meta, TIP, tip);
}

/// Reads and decodes the record of a key; `name` says in an error what it is.
pub(crate) fn get<T: Serialize + for<'de> Deserialize<'de>>(
    tables: &dyn Read,
    table: Table,
    key: &[u8],
    name: impl Display,
) -> Result<Option<T>, StoreError> {
    tables
        .get(table, key)?
        .map(|bytes| decode(bytes, name))
        .transpose()
}

/// Decodes a record.
pub(crate) fn decode<T: Serialize + for<'de> Deserialize<'de>>(
    bytes: &[u8],
    name: impl Display,
) -> Result<T, StoreError> {
    codec::decode(bytes).map_err(|error| StoreError::Damaged {
        what: format!("{name}: {error}"),
    })
}

/// A record that must be there and is not.
pub(crate) fn missing(name: impl Display) -> StoreError {
    StoreError::Damaged {
        what: format!("{name} is missing"),
    }
}

/// The key of a height.
pub(crate) fn height_key(height: Height) -> [u8; 8] {
    height.to_be_bytes()
}

/// The height of a key.
pub(crate) fn height_of(key: &[u8]) -> Option<Height> {
    Some(Height(u64::from_be_bytes(key.try_into().ok()?)))
}
