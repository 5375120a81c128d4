//! The histories of addresses, as chains of lines. A block's record holds for each line that
//! it adds to somebody's history the line before it of the same address; an account holds the
//! newest. So a new line is appended with its block, wherever its address's other lines are,
//! and a page of a history is a walk back from its newest line. Every 64th line is marked under
//! its address, from where a page in the middle of a long history is found.

use crate::{
    schema,
    tables::{Batch, Read, Table},
};
use mvb_protocol::{
    address::Address,
    amount::Amount,
    chain::{Account, HistoryEntry, HistoryKind, StoreError, TxLocation},
    hash::HASH_BYTES,
    numbers::{Height, Sequence},
};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, btree_map::Entry},
    ops::ControlFlow,
};

/// After how many lines of an address one is marked. A page is looked for from the mark after
/// it, over half of that on average.
const MARK_EVERY: u64 = 64;

/// How a line is packed: its height, its index in the block, and its kind in the lowest bits.
const INDEX_BITS: u32 = 22;
const KIND_BITS: u32 = 2;
const HEIGHT_BITS: u32 = 64 - INDEX_BITS - KIND_BITS;

/// Bytes of a packed line.
const LINE_BYTES: usize = 8;

/// A line of somebody's history: where it stands, and how. Lines stand in the order of their
/// numbers, and 0 is none, for genesis pays nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Line(u64);

impl Line {
    /// # Errors
    /// When a height or an index has no room in it, which no chain reaches: that would be a
    /// trillion blocks, or four million payments in one.
    fn pack(entry: HistoryEntry) -> Result<Self, StoreError> {
        let TxLocation { height, index } = entry.location;
        if height.0 >> HEIGHT_BITS != 0 || index >> INDEX_BITS != 0 {
            return Err(StoreError::Io {
                reason: format!("no room for a history at height {height}, index {index}"),
            });
        }
        Ok(Self(Self::at(height.0, index).0 | kind_number(entry.kind)))
    }

    fn at(height: u64, index: u32) -> Self {
        Self(height << (INDEX_BITS + KIND_BITS) | u64::from(index) << KIND_BITS)
    }

    /// The least line that is not before a place.
    fn not_before(place: TxLocation) -> Self {
        let most = |bits: u32| (1_u64 << bits) - 1;
        let height = place.height.0.min(most(HEIGHT_BITS));
        Self::at(height, place.index.min(most(INDEX_BITS) as u32))
    }

    fn is_before(self, place: TxLocation) -> bool {
        self.entry().location < place
    }

    /// The line in words of the protocol.
    fn entry(self) -> HistoryEntry {
        let index = self.0 >> KIND_BITS & ((1 << INDEX_BITS) - 1);
        HistoryEntry {
            location: TxLocation {
                height: Height(self.0 >> (INDEX_BITS + KIND_BITS)),
                index: index as u32,
            },
            kind: match self.0 % (1 << KIND_BITS) {
                0 => HistoryKind::Sent,
                1 => HistoryKind::Received,
                2 => HistoryKind::SentToSelf,
                _ => HistoryKind::Reward,
            },
        }
    }

    /// Where its block's record has the line before it: a payment has two places, its sender's
    /// and its recipient's, and the reward comes after the last.
    fn slot(self) -> usize {
        let HistoryEntry { location, kind } = self.entry();
        2 * location.index as usize + usize::from(kind == HistoryKind::Received)
    }
}

fn kind_number(kind: HistoryKind) -> u64 {
    match kind {
        HistoryKind::Sent => 0,
        HistoryKind::Received => 1,
        HistoryKind::SentToSelf => 2,
        HistoryKind::Reward => 3,
    }
}

/// An account as it is stored, with the end of its history.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AccountRecord {
    balance: Amount,
    sequence: Sequence,
    /// How many lines its history has.
    pub(crate) lines: u64,
    newest: Option<Line>,
}

impl AccountRecord {
    /// What the ledger knows of it.
    pub(crate) fn account(&self) -> Account {
        Account {
            balance: self.balance,
            sequence: self.sequence,
        }
    }

    /// Sets what the ledger knows of it.
    pub(crate) fn set(&mut self, account: Account) {
        (self.balance, self.sequence) = (account.balance, account.sequence);
    }

    /// The newest line of its history.
    pub(crate) fn newest(&self) -> Option<HistoryEntry> {
        self.newest.map(Line::entry)
    }

    /// Adds a line at the end of the history; returns what was the newest before.
    fn append(&mut self, line: Line) -> Option<Line> {
        self.lines += 1;
        self.newest.replace(line)
    }

    /// Whether the newest line is marked.
    fn is_marked(&self) -> bool {
        self.lines.is_multiple_of(MARK_EVERY)
    }
}

/// The accounts that blocks touch, as they become above a store, or above none.
#[derive(Default)]
pub(crate) struct Accounts<'a> {
    stored: Option<&'a dyn Read>,
    touched: BTreeMap<Address, AccountRecord>,
}

impl<'a> Accounts<'a> {
    /// As they are stored.
    pub(crate) fn above(stored: &'a dyn Read) -> Self {
        Self {
            stored: Some(stored),
            touched: BTreeMap::new(),
        }
    }

    /// One of those that were touched.
    pub(crate) fn touched(&self, address: &Address) -> Option<&AccountRecord> {
        self.touched.get(address)
    }

    /// All that were touched, in the order of their addresses.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Address, &AccountRecord)> {
        self.touched.iter()
    }

    /// One of them.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) fn touch(&mut self, address: &Address) -> Result<&mut AccountRecord, StoreError> {
        match self.touched.entry(*address) {
            Entry::Occupied(entry) => Ok(entry.into_mut()),
            Entry::Vacant(entry) => {
                let stored = self.stored.map(|stored| account(stored, address));
                Ok(entry.insert(stored.transpose()?.unwrap_or_default()))
            }
        }
    }

    /// Adds a block's lines, which are given in their order.
    ///
    /// # Errors
    /// When an account cannot be read.
    pub(crate) fn connect(
        &mut self,
        batch: &mut Batch,
        height: Height,
        lines: &[(Address, HistoryEntry)],
    ) -> Result<(), StoreError> {
        let mut links = Links::default();
        for (address, entry) in lines {
            let line = Line::pack(*entry)?;
            let record = self.touch(address)?;
            links.set(line, record.append(line));
            if record.is_marked() {
                batch.put(Table::Marks, mark_key(address, line), &[]);
            }
        }
        batch.put(Table::History, schema::height_key(height), &links.0);
        Ok(())
    }

    /// Takes back the lines of the highest block, given in their order.
    ///
    /// # Errors
    /// When an account or the block's record cannot be read or makes no sense.
    pub(crate) fn disconnect(
        &mut self,
        batch: &mut Batch,
        height: Height,
        lines: &[(Address, HistoryEntry)],
    ) -> Result<(), StoreError> {
        for (address, entry) in lines.iter().rev() {
            let line = Line::pack(*entry)?;
            let before = self.stored.map(|stored| before(stored, line));
            let record = self.touch(address)?;
            if record.newest != Some(line) || record.lines == 0 {
                return Err(StoreError::Damaged {
                    what: format!("history of {address}: it does not end in its last block"),
                });
            }
            if record.is_marked() {
                batch.delete(Table::Marks, mark_key(address, line));
            }
            record.lines -= 1;
            record.newest = before.transpose()?.flatten();
        }
        batch.delete(Table::History, schema::height_key(height));
        Ok(())
    }
}

/// An account, the default where none is stored.
pub(crate) fn account(tables: &dyn Read, address: &Address) -> Result<AccountRecord, StoreError> {
    let name = format_args!("account {address}");
    Ok(schema::get(tables, Table::Accounts, &address.0, name)?.unwrap_or_default())
}

/// A block's record: for each of its lines the one before it, packed, at the line's place.
#[derive(Default)]
struct Links(Vec<u8>);

impl Links {
    fn set(&mut self, line: Line, before: Option<Line>) {
        let at = line.slot() * LINE_BYTES;
        let end = at + LINE_BYTES;
        if self.0.len() < end {
            self.0.resize(end, 0);
        }
        let number = before.map_or(0, |line| line.0);
        self.0[at..end].copy_from_slice(&number.to_be_bytes());
    }
}

/// The line of the same address before a line.
fn before(tables: &dyn Read, line: Line) -> Result<Option<Line>, StoreError> {
    let TxLocation { height, index } = line.entry().location;
    let damaged = |what| StoreError::Damaged {
        what: format!("history at height {height}, index {index}: {what}"),
    };
    let links = tables
        .get(Table::History, &schema::height_key(height))?
        .ok_or_else(|| damaged("its block has none"))?;
    let at = line.slot() * LINE_BYTES;
    let number = links
        .get(at..)
        .and_then(|rest| rest.first_chunk::<LINE_BYTES>())
        .ok_or_else(|| damaged("its block has too few lines"))?;
    match u64::from_be_bytes(*number) {
        0 => Ok(None),
        // A walk back ends, whatever is stored.
        number if number < line.0 => Ok(Some(Line(number))),
        _ => Err(damaged("it leads forward")),
    }
}

/// An address's history, the newest first: at most `limit` entries that stand before `place`.
pub(crate) fn page(
    tables: &dyn Read,
    address: &Address,
    place: Option<TxLocation>,
    limit: usize,
) -> Result<Vec<HistoryEntry>, StoreError> {
    let mut next = match (account(tables, address)?.newest, place) {
        (Some(newest), Some(place)) => newest_before(tables, address, newest, place)?,
        (newest, _) => newest,
    };
    let mut entries = Vec::new();
    while entries.len() < limit
        && let Some(line) = next
    {
        entries.push(line.entry());
        if entries.len() < limit {
            next = before(tables, line)?;
        }
    }
    Ok(entries)
}

/// The newest line of an address that stands before a place.
fn newest_before(
    tables: &dyn Read,
    address: &Address,
    newest: Line,
    place: TxLocation,
) -> Result<Option<Line>, StoreError> {
    let mut next = Some(newest);
    if !newest.is_before(place) {
        let from = mark_key(address, Line::not_before(place));
        tables.scan(Table::Marks, &from, &mut |key, _| {
            if let Some((owner, line)) = mark_of(key)
                && owner == *address
                && line < newest
            {
                next = Some(line);
            }
            Ok(ControlFlow::Break(()))
        })?;
    }
    while let Some(line) = next
        && !line.is_before(place)
    {
        next = before(tables, line)?;
    }
    Ok(next)
}

/// The key of a mark, so that an address's marks stand together, the oldest first.
fn mark_key(address: &Address, line: Line) -> [u8; HASH_BYTES + LINE_BYTES] {
    let mut key = [0; HASH_BYTES + LINE_BYTES];
    key[..HASH_BYTES].copy_from_slice(&address.0);
    key[HASH_BYTES..].copy_from_slice(&line.0.to_be_bytes());
    key
}

fn mark_of(key: &[u8]) -> Option<(Address, Line)> {
    let (address, line) = key.split_first_chunk::<HASH_BYTES>()?;
    let line = Line(u64::from_be_bytes(line.try_into().ok()?));
    Some((Address(*address), line))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KINDS: [HistoryKind; 4] = [
        HistoryKind::Sent,
        HistoryKind::Received,
        HistoryKind::SentToSelf,
        HistoryKind::Reward,
    ];

    fn entry(height: u64, index: u32, kind: HistoryKind) -> HistoryEntry {
        HistoryEntry {
            location: TxLocation {
                height: Height(height),
                index,
            },
            kind,
        }
    }

    #[test]
    fn a_packed_line_reads_back_and_keeps_its_order() {
        let (high, many) = ((1 << HEIGHT_BITS) - 1, (1 << INDEX_BITS) - 1);
        let places = [(1, 0), (1, many), (2, 0), (300, 9), (high, many)];
        let mut lines = Vec::new();
        for (height, index) in places {
            for kind in KINDS {
                let entry = entry(height, index, kind);
                let line = Line::pack(entry).unwrap();
                assert_eq!(line.entry(), entry);
                let beyond = TxLocation {
                    height: Height(height),
                    index: index + 1,
                };
                assert!(line.is_before(beyond) && !line.is_before(entry.location));
                assert!(Line::not_before(entry.location) <= line);
                lines.push(line);
            }
        }
        assert!(lines.is_sorted());
    }

    #[test]
    fn a_line_that_has_no_room_is_refused() {
        for (height, index) in [(1 << HEIGHT_BITS, 0), (1, 1 << INDEX_BITS)] {
            let refused = Line::pack(entry(height, index, HistoryKind::Sent));
            assert!(refused.is_err(), "height {height}, index {index}");
        }
        let last = TxLocation {
            height: Height(u64::MAX),
            index: u32::MAX,
        };
        assert_eq!(Line::not_before(last).entry().kind, HistoryKind::Sent);
    }
}
