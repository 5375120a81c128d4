//! Ordered tables of bytes, the little that both stores have in common. Everything above
//! this file (schema, indices, the chain) is written once and runs on either store.
//!
//! A store hands out consistent [`Read`] views and applies one [`Batch`] at a time, whole or
//! not at all. Nothing here knows what the bytes mean.

use mvb_protocol::chain::StoreError;
use std::{collections::BTreeMap, ops::ControlFlow};

/// The longest key a table takes; LMDB's limit, which the in-memory twin enforces too.
pub(crate) const MAX_KEY_BYTES: usize = 511;

/// The tables, in the order in which a batch writes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Table {
    /// Schema version, parameters, tip.
    Meta,
    /// Accounts by address; an absent one is the default.
    Accounts,
    /// Headers with their chain's work, by block id, on the active chain or not.
    Headers,
    /// Whole blocks by id, on the active chain or not.
    Blocks,
    /// The active chain's ids by height.
    Active,
    /// Where payments stand on the active chain, by id.
    Transactions,
    /// Who took part in what on the active chain, by address, the newest first.
    History,
}

impl Table {
    /// Every table, in the order of their numbers.
    pub(crate) const ALL: [Table; 7] = [
        Table::Meta,
        Table::Accounts,
        Table::Headers,
        Table::Blocks,
        Table::Active,
        Table::Transactions,
        Table::History,
    ];

    /// Its name inside the store.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Table::Meta => "meta",
            Table::Accounts => "accounts",
            Table::Headers => "headers",
            Table::Blocks => "blocks",
            Table::Active => "active",
            Table::Transactions => "transactions",
            Table::History => "history",
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
}

/// Changes to be made together. The last word on a key counts, and the changes come out in
/// key order, which is the order in which a B-tree takes them fastest.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    changes: BTreeMap<(Table, Vec<u8>), Option<Vec<u8>>>,
}

impl Batch {
    /// Sets a key's value.
    pub(crate) fn put(&mut self, table: Table, key: impl Into<Vec<u8>>, value: Vec<u8>) {
        self.changes.insert((table, key.into()), Some(value));
    }

    /// Removes a key, whether it is there or not.
    pub(crate) fn delete(&mut self, table: Table, key: impl Into<Vec<u8>>) {
        self.changes.insert((table, key.into()), None);
    }

    /// The changes in key order; no value means: remove the key.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Table, &[u8], Option<&[u8]>)> {
        self.changes
            .iter()
            .map(|((table, key), value)| (*table, key.as_slice(), value.as_deref()))
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
}
