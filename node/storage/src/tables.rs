//! Ordered tables of bytes, the little that both stores have in common. Everything above
//! this file (schema, indices, the chain) is written once and runs on either store.
//!
//! A store hands out consistent [`Read`] views and applies one [`Batch`] at a time, whole or
//! not at all. Nothing here knows what the bytes mean.

use mvb_protocol::{chain::StoreError, codec};
use serde::Serialize;
use std::ops::{ControlFlow, Range};

/// The longest key a table takes; LMDB's limit, which the in-memory twin enforces too.
pub(crate) const MAX_KEY_BYTES: usize = 511;

/// The tables, in the order in which a batch writes them. What is kept by height is appended
/// and fills its pages; what is kept by id or address stands anywhere, and nearly every entry
/// costs a page of its own, so there is as little of it as look-ups permit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Table {
    /// Schema version, parameters, tip.
    Meta,
    /// Accounts by address, each with the end of its history; an absent one is the default.
    Accounts,
    /// The heights of the active chain's blocks, by the end of their id.
    Heights,
    /// The same of those that were connected last.
    RecentHeights,
    /// The active chain's ids by height.
    Active,
    /// The active chain's headers with their chain's work, by height.
    Headers,
    /// The active chain's blocks by height.
    Blocks,
    /// For each line that a block of the active chain adds to somebody's history the line
    /// before it, by height.
    History,
    /// Every 64th line of an address, by address.
    Marks,
    /// The ids of a block's payments on the active chain, one after the other, by height.
    TransactionIds,
    /// Where payments stand on the active chain, by the end of their id.
    Transactions,
    /// The same of those that were connected last.
    RecentTransactions,
    /// Blocks that have left the active chain, by id.
    Orphans,
}

impl Table {
    /// Every table, in the order of their numbers.
    pub(crate) const ALL: [Table; 13] = [
        Table::Meta,
        Table::Accounts,
        Table::Heights,
        Table::RecentHeights,
        Table::Active,
        Table::Headers,
        Table::Blocks,
        Table::History,
        Table::Marks,
        Table::TransactionIds,
        Table::Transactions,
        Table::RecentTransactions,
        Table::Orphans,
    ];

    /// Its name inside the store.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Table::Meta => "meta",
            Table::Accounts => "accounts",
            Table::Heights => "heights",
            Table::RecentHeights => "recent_heights",
            Table::Active => "active",
            Table::Headers => "headers",
            Table::Blocks => "blocks",
            Table::History => "history",
            Table::Marks => "marks",
            Table::TransactionIds => "transaction_ids",
            Table::Transactions => "transactions",
            Table::RecentTransactions => "recent_transactions",
            Table::Orphans => "orphans",
        }
    }
}

/// What is done with each entry of a scan; breaking ends it.
pub(crate) type Visit<'v> = &'v mut dyn FnMut(&[u8], &[u8]) -> Result<ControlFlow<()>, StoreError>;

/// A view of all tables at one moment.
pub(crate) trait Read {
    /// The value of a key.
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<&[u8]>, StoreError>;

    /// Visits the entries in key order from the first that is not below `from`; an empty
    /// `from` is the beginning.
    fn scan(&self, table: Table, from: &[u8], visit: Visit<'_>) -> Result<(), StoreError>;

    /// How many entries a table has, without visiting them.
    fn entries(&self, table: Table) -> Result<u64, StoreError>;
}

/// Changes to be made together. The last word on a key counts, and the changes come out in
/// key order, which is the order in which a B-tree takes them fastest.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// Keys and values, one after the other: a batch has tens of thousands, and an allocation
    /// for each would take longer than the rest.
    bytes: Vec<u8>,
    changes: Vec<Change>,
}

#[derive(Debug)]
struct Change {
    table: Table,
    /// The key's beginning as a number, by which nearly all keys are told apart.
    prefix: u64,
    key: Range<usize>,
    value: Option<Range<usize>>,
}

impl Batch {
    /// Sets a key's value.
    pub(crate) fn put(&mut self, table: Table, key: impl AsRef<[u8]>, value: &[u8]) {
        let key = self.keep(key.as_ref());
        let value = self.keep(value);
        self.push(table, key, Some(value));
    }

    /// Sets a key's value to a record's encoding.
    pub(crate) fn put_record<T: Serialize>(
        &mut self,
        table: Table,
        key: impl AsRef<[u8]>,
        record: &T,
    ) {
        let key = self.keep(key.as_ref());
        let from = self.bytes.len();
        codec::encode_into(record, &mut self.bytes);
        self.push(table, key, Some(from..self.bytes.len()));
    }

    /// Removes a key, whether it is there or not.
    pub(crate) fn delete(&mut self, table: Table, key: impl AsRef<[u8]>) {
        let key = self.keep(key.as_ref());
        self.push(table, key, None);
    }

    /// The changes in key order; no value means: remove the key.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Table, &[u8], Option<&[u8]>)> {
        let key = |change: &Change| &self.bytes[change.key.clone()];
        let mut sorted: Vec<&Change> = self.changes.iter().collect();
        // Stable, so that the last word on a key comes last.
        sorted.sort_by(|a, b| {
            let by_prefix = (a.table, a.prefix).cmp(&(b.table, b.prefix));
            by_prefix.then_with(|| key(a).cmp(key(b)))
        });
        let mut sorted = sorted.into_iter().peekable();
        std::iter::from_fn(move || {
            loop {
                let change = sorted.next()?;
                let is_overruled = sorted
                    .peek()
                    .is_some_and(|next| next.table == change.table && key(next) == key(change));
                if !is_overruled {
                    let value = change.value.clone().map(|value| &self.bytes[value]);
                    return Some((change.table, key(change), value));
                }
            }
        })
    }

    fn keep(&mut self, bytes: &[u8]) -> Range<usize> {
        let from = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        from..self.bytes.len()
    }

    fn push(&mut self, table: Table, key: Range<usize>, value: Option<Range<usize>>) {
        let mut prefix = [0; 8];
        let known = key.len().min(prefix.len());
        prefix[..known].copy_from_slice(&self.bytes[key.start..key.start + known]);
        self.changes.push(Change {
            table,
            prefix: u64::from_be_bytes(prefix),
            key,
            value,
        });
    }
}

/// Decides, from the state before, what a commit writes.
pub(crate) type Plan<'p> = &'p dyn Fn(&dyn Read) -> Result<Batch, StoreError>;

/// A set of tables that can be read while it is written.
pub(crate) trait Tables {
    /// The state as of the last commit.
    fn read(&self) -> Result<Box<dyn Read + Send + '_>, StoreError>;

    /// Plans and applies a batch in one transaction on the calling thread: all of it, synced
    /// when this returns `Ok`, or nothing.
    fn write(&self, plan: Plan<'_>) -> Result<(), StoreError>;

    /// How many names of an index stay among the recent ones; no look-up depends on it.
    fn most_recent(&self) -> u64;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{LmdbStore, MemoryStore};
    use mvb_protocol::params::ChainParams;

    fn on_both(test: impl Fn(&dyn Tables)) {
        let params = ChainParams::default();
        test(&MemoryStore::new(params.clone()));
        let folder = tempfile::tempdir().unwrap();
        test(&LmdbStore::open(folder.path(), &params).unwrap());
    }

    fn put(tables: &dyn Tables, entries: &[(&[u8], &str)]) -> Result<(), StoreError> {
        tables.write(&|_| {
            let mut batch = Batch::default();
            for (key, value) in entries {
                batch.put(Table::History, *key, value.as_bytes());
            }
            Ok(batch)
        })
    }

    fn keys(tables: &dyn Tables, from: &[u8]) -> Vec<Vec<u8>> {
        let mut keys = Vec::new();
        let mut visit = |key: &[u8], _: &[u8]| {
            keys.push(key.to_vec());
            Ok(ControlFlow::Continue(()))
        };
        let read = tables.read().unwrap();
        read.scan(Table::History, from, &mut visit).unwrap();
        keys
    }

    #[test]
    fn a_batch_with_a_key_outside_the_limits_changes_nothing() {
        on_both(|tables| {
            for length in [0, MAX_KEY_BYTES + 1, 2_000] {
                let refused = put(tables, &[(b"good", "1"), (&vec![7; length], "2")]);
                assert!(refused.is_err(), "a key of {length} bytes was taken");
            }
            assert!(keys(tables, b"").is_empty());
            let longest = [7; MAX_KEY_BYTES];
            put(tables, &[(&longest, "1"), (&[0], "2")]).unwrap();
            let read = tables.read().unwrap();
            let value = read.get(Table::History, &longest).unwrap();
            assert_eq!(value, Some(&b"1"[..]));
            assert!(read.get(Table::History, b"").is_err());
            assert_eq!(read.get(Table::History, &[7; 600]), Ok(None));
        });
    }

    #[test]
    fn a_scan_begins_at_the_first_key_that_is_not_below_and_ends_when_told() {
        on_both(|tables| {
            put(tables, &[(b"b", ""), (b"a", ""), (b"bb", ""), (b"c", "")]).unwrap();
            assert_eq!(keys(tables, b""), [&b"a"[..], b"b", b"bb", b"c"]);
            assert_eq!(keys(tables, b"b"), [&b"b"[..], b"bb", b"c"]);
            assert_eq!(keys(tables, b"b\0"), [&b"bb"[..], b"c"]);
            assert!(keys(tables, b"d").is_empty());
            assert!(keys(tables, &[0xff; 600]).is_empty());
            let mut seen = 0;
            let mut once = |_: &[u8], _: &[u8]| {
                seen += 1;
                Ok(ControlFlow::Break(()))
            };
            let read = tables.read().unwrap();
            read.scan(Table::History, b"", &mut once).unwrap();
            assert_eq!(seen, 1);
        });
    }

    #[test]
    fn the_last_word_on_a_key_counts_and_a_failed_plan_changes_nothing() {
        on_both(|tables| {
            let plan: Plan<'_> = &|_| {
                let mut batch = Batch::default();
                batch.put(Table::History, *b"x", &[1]);
                batch.delete(Table::History, *b"x");
                batch.delete(Table::History, *b"y");
                batch.delete(Table::History, [7; 600]);
                batch.put(Table::History, *b"y", &[2]);
                Ok(batch)
            };
            tables.write(plan).unwrap();
            assert_eq!(keys(tables, b""), [b"y"]);
            let failed = tables.write(&|before| {
                assert!(before.get(Table::History, b"y")?.is_some());
                Err(StoreError::Full)
            });
            assert_eq!(failed, Err(StoreError::Full));
            assert_eq!(keys(tables, b""), [b"y"]);
        });
    }
}
