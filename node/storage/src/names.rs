//! From ids to places. An id is random, so an entry under it costs a page of its own in nearly
//! every batch; the fewer bytes an entry has, the fewer pages there are. So its key is the end of
//! the id and the place, and the whole id stands at that place, where it is compared. Two ids with
//! the same end are two entries, and whoever makes such ids makes his own look-ups slower.
//!
//! The entries made last are kept apart, in a table that stays small, whose pages a batch fills
//! well. Where they are too many those settle that are next in the order of keys, from where the
//! last ones ended: neighbours, so that many of them go to each page of the large table. Nothing
//! else is written there. A look-up looks in both.

use crate::{
    schema,
    tables::{Batch, Read, Table},
};
use mvb_protocol::{
    chain::{StoreError, TxLocation},
    hash::HASH_BYTES,
    mutant,
    numbers::Height,
};
use std::ops::ControlFlow;

/// How many bytes of an id are kept. The last: a block's first are zeros.
const NAME_BYTES: usize = 8;

/// Bytes of a key: the end of an id, and a place.
const KEY_BYTES: usize = NAME_BYTES + 8;

/// The bits of an index in the place of a payment.
const INDEX_BITS: u32 = 24;

/// The part of the recent entries that settles at once, where there are too many.
const SETTLING: u64 = 16;

/// Of which ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Index {
    /// Of the active chain's blocks.
    Blocks,
    /// Of its payments.
    Payments,
}

impl Index {
    /// Both.
    pub(crate) const ALL: [Self; 2] = [Self::Blocks, Self::Payments];

    /// Its tables, the one of its recent entries first.
    pub(crate) fn tables(self) -> [Table; 2] {
        [self.recent(), self.settled()]
    }

    fn recent(self) -> Table {
        match self {
            Self::Blocks => Table::RecentHeights,
            Self::Payments => Table::RecentTransactions,
        }
    }

    fn settled(self) -> Table {
        match self {
            Self::Blocks => Table::Heights,
            Self::Payments => Table::Transactions,
        }
    }
}

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
pub(crate) fn put(batch: &mut Batch, index: Index, id: &[u8; HASH_BYTES], place: impl Into<Place>) {
    batch.put(index.recent(), key(id, place.into()), &[]);
}

/// Forgets that an id stands there.
pub(crate) fn delete(
    batch: &mut Batch,
    index: Index,
    id: &[u8; HASH_BYTES],
    place: impl Into<Place>,
) {
    let key = key(id, place.into());
    batch.delete(index.recent(), key);
    if !mutant!(SettledStays) {
        batch.delete(index.settled(), key);
    }
}

/// Has recent entries settle, where there are more than `most`; no more than `most` at once, for
/// they are held in memory until they are written.
pub(crate) fn settle(
    batch: &mut Batch,
    stored: &dyn Read,
    index: Index,
    most: u64,
) -> Result<(), StoreError> {
    let recent = stored.entries(index.recent())?;
    if recent <= most {
        return Ok(());
    }
    let mut left = (recent - (most - most / SETTLING)).min(most);
    // At the end of the table the next ones are its first.
    let mut next = 0;
    let from = next_to_settle(stored, index)?.to_be_bytes();
    stored.scan(index.recent(), &from, &mut |key, value| {
        if left == 0 {
            next = read(key).map_or(0, |(name, _)| u64::from_be_bytes(name));
            return Ok(ControlFlow::Break(()));
        }
        left -= 1;
        if !mutant!(SettlingLoses) {
            batch.put(index.settled(), key, value);
        }
        batch.delete(index.recent(), key);
        Ok(ControlFlow::Continue(()))
    })?;
    batch.put_record(Table::Meta, next_key(index), &next);
    Ok(())
}

/// The end of an id from which on recent entries settle next.
pub(crate) fn next_to_settle(stored: &dyn Read, index: Index) -> Result<u64, StoreError> {
    let key = next_key(index);
    let next = schema::get(stored, Table::Meta, key, String::from_utf8_lossy(key))?;
    Ok(next.unwrap_or(0))
}

/// The key in [`Table::Meta`] of what settles next.
fn next_key(index: Index) -> &'static [u8] {
    match index {
        Index::Blocks => b"next height to settle",
        Index::Payments => b"next transaction to settle",
    }
}

/// Where an id stands; `is_there` says whether it is the id at a place.
pub(crate) fn find<P: From<Place>>(
    tables: &dyn Read,
    index: Index,
    id: &[u8; HASH_BYTES],
    is_there: impl Fn(&P) -> Result<bool, StoreError>,
) -> Result<Option<P>, StoreError> {
    for table in index.tables() {
        let found = find_in(tables, table, id, &is_there)?;
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

fn find_in<P: From<Place>>(
    tables: &dyn Read,
    table: Table,
    id: &[u8; HASH_BYTES],
    is_there: &impl Fn(&P) -> Result<bool, StoreError>,
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
    Ok(id.is_some_and(|id| id.ends_with(&name)))
}

fn key(id: &[u8; HASH_BYTES], place: Place) -> [u8; KEY_BYTES] {
    let mut key = [0; KEY_BYTES];
    key[..NAME_BYTES].copy_from_slice(&id[HASH_BYTES - NAME_BYTES..]);
    key[NAME_BYTES..].copy_from_slice(&place.0.to_be_bytes());
    key
}

fn read(key: &[u8]) -> Option<([u8; NAME_BYTES], Place)> {
    let (name, place) = key.split_at_checked(NAME_BYTES)?;
    let place = u64::from_be_bytes(place.try_into().ok()?);
    Some((name.try_into().ok()?, Place(place)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{LmdbStore, MemoryStore, tables::Tables};
    use mvb_protocol::params::ChainParams;

    /// An id whose end is that number.
    fn id(end: u64) -> [u8; HASH_BYTES] {
        let mut id = [7; HASH_BYTES];
        id[HASH_BYTES - NAME_BYTES..].copy_from_slice(&end.to_be_bytes());
        id
    }

    fn commit(tables: &dyn Tables, change: impl Fn(&mut Batch)) {
        let plan = |stored: &dyn Read| {
            let mut batch = Batch::default();
            settle(&mut batch, stored, Index::Blocks, 32)?;
            change(&mut batch);
            Ok(batch)
        };
        tables.write(&plan).unwrap();
    }

    /// The heights noted in a table, in the order of the ids' ends.
    fn heights(tables: &dyn Tables, table: Table) -> Vec<u64> {
        let mut heights = Vec::new();
        let mut visit = |entry: &[u8], _: &[u8]| {
            heights.extend(read(entry).map(|(_, place)| place.0));
            Ok(ControlFlow::Continue(()))
        };
        tables.read().unwrap().scan(table, &[], &mut visit).unwrap();
        heights
    }

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
                    put(&mut batch, Index::Payments, &id(first), place);
                }
                put(&mut batch, Index::Payments, &[8; HASH_BYTES], at(2, 0));
                Ok(batch)
            })
            .unwrap();
        let read = store.read().unwrap();
        let id_at = |place: &TxLocation| places.iter().position(|p| p == place);
        for (first, place) in (0..4).zip(places.map(Some).into_iter().chain([None])) {
            let is_there = |at: &TxLocation| Ok(id_at(at) == Some(first));
            let found = find(&*read, Index::Payments, &id(first as u8), is_there);
            assert_eq!(found, Ok(place), "id {first}");
        }
    }

    #[test]
    fn where_recent_names_are_too_many_the_next_in_order_settle() {
        let params = ChainParams::default();
        let folder = tempfile::tempdir().unwrap();
        let lmdb = LmdbStore::open(folder.path(), &params).unwrap();
        for store in [&MemoryStore::new(params) as &dyn Tables, &lmdb] {
            let ends = |from: u64, count| (from..).step_by(1_000).take(count);
            let note = |from: u64, count| {
                commit(store, |batch| {
                    for end in ends(from, count) {
                        put(batch, Index::Blocks, &id(end), Height(end));
                    }
                });
            };
            note(0, 32);
            note(1, 1);
            // As many as may stay, so that none has settled yet.
            assert!(heights(store, Table::Heights).is_empty());
            note(2, 2);
            // Of 33 three settle, and the two of the same commit do not.
            assert_eq!(heights(store, Table::Heights), [0, 1, 1_000]);
            commit(store, |_| {});
            assert_eq!(heights(store, Table::Heights), [0, 1, 1_000]);
            note(3, 2);
            // Those before the last ones that settled wait until it is their turn.
            note(4, 0);
            let settled = [0, 1, 1_000, 2_000, 3_000, 4_000, 5_000];
            assert_eq!(heights(store, Table::Heights), settled);
            let read = store.read().unwrap();
            for end in ends(0, 32).chain([1, 2, 1_002, 3, 1_003]) {
                let found = find(&*read, Index::Blocks, &id(end), |_| Ok(true));
                assert_eq!(found, Ok(Some(Height(end))), "id {end}");
            }
        }
    }

    /// Such as a reorg of many full blocks adds.
    #[test]
    fn however_many_names_are_added_no_more_than_may_be_recent_settle_at_once() {
        let store = MemoryStore::new(ChainParams::default());
        commit(&store, |batch| {
            for height in 0..100 {
                put(batch, Index::Blocks, &id(height), Height(height));
            }
        });
        for settled in [32, 64, 70, 70] {
            commit(&store, |_| {});
            assert_eq!(heights(&store, Table::Heights).len(), settled);
        }
    }

    #[test]
    fn every_name_settles_in_its_turn_and_can_be_forgotten_wherever_it_is() {
        let store = MemoryStore::new(ChainParams::default());
        let all = 0..400_u64;
        for height in all.clone() {
            // All over the ids, and never twice the same.
            let end = height.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            commit(&store, |batch| {
                put(batch, Index::Blocks, &id(end), Height(height));
            });
            assert!(heights(&store, Table::RecentHeights).len() <= 33);
        }
        let mut both = heights(&store, Table::Heights);
        let recent = heights(&store, Table::RecentHeights);
        // Round after round: none is left behind.
        assert!(recent.iter().all(|height| *height >= 300), "{recent:?}");
        both.extend(recent);
        both.sort();
        assert!(both.into_iter().eq(all.clone()));
        for height in all.rev() {
            let end = height.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            commit(&store, |batch| {
                delete(batch, Index::Blocks, &id(end), Height(height));
            });
            let left = heights(&store, Table::Heights).len() as u64;
            assert_eq!(
                left + heights(&store, Table::RecentHeights).len() as u64,
                height
            );
        }
    }
}
