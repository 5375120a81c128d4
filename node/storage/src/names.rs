//! From ids to places. An id is random, so an entry under it costs a page of its own in nearly
//! every batch; the fewer bytes an entry has, the fewer pages there are. So its key is the end of
//! the id and the place, and the whole id stands at that place, where it is compared. Two ids with
//! the same end are two entries, and whoever makes such ids makes his own look-ups slower.

use crate::tables::{Batch, Read, Table};
use mvb_protocol::{
    chain::{StoreError, TxLocation},
    hash::HASH_BYTES,
    numbers::Height,
};
use std::ops::ControlFlow;

/// How many bytes of an id are kept. The last: a block's first are zeros.
const NAME_BYTES: usize = 8;

/// Bytes of a key: the end of an id, and a place.
const KEY_BYTES: usize = NAME_BYTES + 8;

/// The bits of an index in the place of a payment.
const INDEX_BITS: u32 = 24;

/// Where something stands, as a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place(u64);

impl From<Height> for Place {
    fn from(height: Height) -> Self {
        Self(height.0)
    }
}

impl From<Place> for Height {
    fn from(place: Place) -> Self {
        Self(place.0)
    }
}

/// Heights and indices that have no room in it have none in a history either, so that no commit
/// has any.
impl From<TxLocation> for Place {
    fn from(location: TxLocation) -> Self {
        Self(location.height.0 << INDEX_BITS | u64::from(location.index))
    }
}

impl From<Place> for TxLocation {
    fn from(place: Place) -> Self {
        Self {
            height: Height(place.0 >> INDEX_BITS),
            index: (place.0 & ((1 << INDEX_BITS) - 1)) as u32,
        }
    }
}

/// Notes where an id stands.
pub(crate) fn put(batch: &mut Batch, table: Table, id: &[u8; HASH_BYTES], place: impl Into<Place>) {
    batch.put(table, key(id, place.into()), &[]);
}

/// Forgets that an id stands there.
pub(crate) fn delete(
    batch: &mut Batch,
    table: Table,
    id: &[u8; HASH_BYTES],
    place: impl Into<Place>,
) {
    batch.delete(table, key(id, place.into()));
}

/// Where an id stands; `is_there` says whether it is the id at a place.
pub(crate) fn find<P: From<Place>>(
    tables: &dyn Read,
    table: Table,
    id: &[u8; HASH_BYTES],
    is_there: impl Fn(&P) -> Result<bool, StoreError>,
) -> Result<Option<P>, StoreError> {
    let from = key(id, Place(0));
    let mut found = None;
    tables.scan(table, &from, &mut |key, value| {
        let place = read(key).filter(|(name, _)| from.starts_with(name));
        let Some((_, place)) = place else {
            return Ok(ControlFlow::Break(()));
        };
        let place = P::from(place);
        if !value.is_empty() {
            return Err(StoreError::Damaged {
                what: format!("{}: an entry says more than its key", table.name()),
            });
        }
        if is_there(&place)? {
            found = Some(place);
            return Ok(ControlFlow::Break(()));
        }
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(found)
}

/// Whether an entry is that of an id which `id_at` says stands at its place.
pub(crate) fn is_right<P: From<Place>>(
    entry: &[u8],
    id_at: impl FnOnce(P) -> Result<Option<[u8; HASH_BYTES]>, StoreError>,
) -> Result<bool, StoreError> {
    let Some((name, place)) = read(entry) else {
        return Ok(false);
    };
    let id = id_at(P::from(place))?;
    Ok(id.is_some_and(|id| id.ends_with(name)))
}

fn key(id: &[u8; HASH_BYTES], place: Place) -> [u8; KEY_BYTES] {
    let mut key = [0; KEY_BYTES];
    key[..NAME_BYTES].copy_from_slice(&id[HASH_BYTES - NAME_BYTES..]);
    key[NAME_BYTES..].copy_from_slice(&place.0.to_be_bytes());
    key
}

fn read(key: &[u8]) -> Option<(&[u8], Place)> {
    let (name, place) = key.split_at_checked(NAME_BYTES)?;
    Some((name, Place(u64::from_be_bytes(place.try_into().ok()?))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{MemoryStore, tables::Tables};
    use mvb_protocol::params::ChainParams;

    #[test]
    fn ids_with_the_same_end_are_told_apart() {
        let store = MemoryStore::new(ChainParams::default());
        let id = |first: u8| {
            let mut id = [7; HASH_BYTES];
            id[0] = first;
            id
        };
        let at = |height, index| TxLocation {
            height: Height(height),
            index,
        };
        let places = [at(1, 0), at(1, (1 << INDEX_BITS) - 1), at((1 << 40) - 1, 3)];
        store
            .write(&|_| {
                let mut batch = Batch::default();
                for (first, place) in (0..).zip(places) {
                    put(&mut batch, Table::Transactions, &id(first), place);
                }
                put(&mut batch, Table::Transactions, &[8; HASH_BYTES], at(2, 0));
                Ok(batch)
            })
            .unwrap();
        let read = store.read().unwrap();
        let id_at = |place: &TxLocation| places.iter().position(|p| p == place);
        for (first, place) in (0..4).zip(places.map(Some).into_iter().chain([None])) {
            let is_there = |at: &TxLocation| Ok(id_at(at) == Some(first));
            let found = find(&*read, Table::Transactions, &id(first as u8), is_there);
            assert_eq!(found, Ok(place), "id {first}");
        }
    }
}
