//! How the chain is laid out in tables: the keys, the records, and the version of both.
//! `chain` reads and writes through these functions, and nobody else knows a key's form.
//!
//! Records are canonical MessagePack. Whatever does not decode is [`StoreError::Damaged`]
//! under the record's name, never a panic.

use crate::tables::{Batch, Read, Table};
use mvb_protocol::{
    address::Address,
    chain::{StoreError, Tip, TxLocation},
    codec,
    hash::{BlockId, HASH_BYTES},
    numbers::Height,
    params::ChainParams,
};
use serde::{Deserialize, Serialize};
use std::fmt::Display;

/// The version of this layout. Another one is refused at open, never guessed at.
pub const SCHEMA_VERSION: u32 = 1;

/// The key of the schema version in [`Table::Meta`].
pub(crate) const SCHEMA: &[u8] = b"schema";

const PARAMS: &[u8] = b"params";
const TIP: &[u8] = b"tip";

/// Bytes of a history key: address, height, index.
const HISTORY_KEY_BYTES: usize = HASH_BYTES + 8 + 4;

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

/// The key of a history entry. Height and index are complemented, so that an address's
/// entries stand together and the newest comes first.
pub(crate) fn history_key(address: &Address, location: TxLocation) -> [u8; HISTORY_KEY_BYTES] {
    let mut key = [0; HISTORY_KEY_BYTES];
    key[..HASH_BYTES].copy_from_slice(&address.0);
    key[HASH_BYTES..HASH_BYTES + 8].copy_from_slice(&(!location.height.0).to_be_bytes());
    key[HASH_BYTES + 8..].copy_from_slice(&(!location.index).to_be_bytes());
    key
}

/// Whose entry a history key names, and where it stands.
pub(crate) fn history_of(key: &[u8]) -> Option<(Address, TxLocation)> {
    let (address, location) = key.split_first_chunk::<HASH_BYTES>()?;
    let (height, index) = location.split_first_chunk::<8>()?;
    let location = TxLocation {
        height: Height(!u64::from_be_bytes(*height)),
        index: !u32::from_be_bytes(index.try_into().ok()?),
    };
    Some((Address(*address), location))
}

/// Where an address's history begins, or goes on after the entry at `before`.
pub(crate) fn history_start(address: &Address, before: Option<TxLocation>) -> Vec<u8> {
    match before {
        None => address.0.to_vec(),
        // One more byte makes the least key after the entry's own.
        Some(location) => {
            let mut key = history_key(address, location).to_vec();
            key.push(0);
            key
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(height: u64, index: u32) -> TxLocation {
        TxLocation {
            height: Height(height),
            index,
        }
    }

    #[test]
    fn history_keys_put_the_newest_first_and_read_back() {
        let address = Address([7; 32]);
        let order = [at(300, 0), at(2, 9), at(2, 0), at(1, u32::MAX), at(1, 0)];
        let keys: Vec<_> = order
            .iter()
            .map(|location| history_key(&address, *location))
            .collect();
        assert!(keys.is_sorted());
        for (key, location) in keys.iter().zip(order) {
            assert_eq!(history_of(key), Some((address, location)));
            assert!(history_start(&address, Some(location)) > key.to_vec());
        }
        assert!(history_start(&address, None) < keys[0].to_vec());
        assert_eq!(history_of(&keys[0][1..]), None);
    }
}
