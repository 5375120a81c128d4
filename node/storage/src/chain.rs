//! The chain above the tables: every look-up, and what one commit writes. Both stores use
//! it, so they cannot disagree about an index.

use crate::{
    schema,
    tables::{Batch, Plan, Read, Table, Tables},
};
use mvb_protocol::{
    address::Address,
    block::Block,
    chain::{
        Account, ChainBlock, ChainSnapshot, ChangeSet, HistoryEntry, HistoryKind, StoreError,
        StoredHeader, Tip, TxLocation,
    },
    codec,
    hash::{BlockId, TxId},
    numbers::Height,
};
use std::ops::ControlFlow;

/// A view of the chain at one moment.
pub(crate) struct Snapshot<'a>(Box<dyn Read + Send + 'a>);

/// The chain as of the last commit.
pub(crate) fn snapshot(
    tables: &impl Tables,
) -> Result<Box<dyn ChainSnapshot + Send + '_>, StoreError> {
    Ok(Box::new(Snapshot(tables.read()?)))
}

/// Applies a change set in one transaction.
pub(crate) fn commit(tables: &impl Tables, changes: &ChangeSet) -> Result<(), StoreError> {
    let plan: Plan<'_> = &|stored| {
        let found = schema::tip(stored)?;
        if found != changes.previous {
            return Err(StoreError::Stale {
                expected: changes.previous.id,
                found: found.id,
            });
        }
        Ok(records(changes))
    };
    tables.write(plan)
}

/// Everything a change set writes. What is disconnected goes first: a payment of both
/// branches is indexed where the new one has it, because the last word on a key counts.
fn records(changes: &ChangeSet) -> Batch {
    let mut batch = Batch::default();
    for block in &changes.disconnect {
        batch.delete(Table::Active, schema::height_key(block.block.header.height));
        for (id, _) in transactions(block) {
            batch.delete(Table::Transactions, id.0);
        }
        for (address, entry) in history(&block.block) {
            batch.delete(
                Table::History,
                schema::history_key(&address, entry.location),
            );
        }
    }
    for block in &changes.connect {
        connect(&mut batch, block);
    }
    for (address, account) in &changes.accounts {
        if *account == Account::default() {
            batch.delete(Table::Accounts, address.0);
        } else {
            batch.put(Table::Accounts, address.0, codec::encode(account));
        }
    }
    schema::put_tip(&mut batch, &changes.tip);
    batch
}

fn connect(batch: &mut Batch, block: &ChainBlock) {
    let header = block.block.header;
    let stored = StoredHeader {
        header,
        work: block.work,
    };
    batch.put(Table::Headers, block.id.0, codec::encode(&stored));
    batch.put(Table::Blocks, block.id.0, codec::encode(&*block.block));
    batch.put(
        Table::Active,
        schema::height_key(header.height),
        codec::encode(&block.id),
    );
    for (id, location) in transactions(block) {
        batch.put(Table::Transactions, id.0, codec::encode(&location));
    }
    for (address, entry) in history(&block.block) {
        batch.put(
            Table::History,
            schema::history_key(&address, entry.location),
            codec::encode(&entry.kind),
        );
    }
}

fn transactions(block: &ChainBlock) -> impl Iterator<Item = (&TxId, TxLocation)> {
    let height = block.block.header.height;
    block
        .transaction_ids
        .iter()
        .zip(0..)
        .map(move |(id, index)| (id, TxLocation { height, index }))
}

/// Every line a block adds to somebody's history.
pub(crate) fn history(block: &Block) -> Vec<(Address, HistoryEntry)> {
    let height = block.header.height;
    let mut entries = Vec::with_capacity(2 * block.transactions.len() + 1);
    let mut add = |address, index, kind| {
        let location = TxLocation { height, index };
        entries.push((address, HistoryEntry { location, kind }));
    };
    let mut index = 0;
    for transaction in &block.transactions {
        let (from, to) = (transaction.from(), transaction.to);
        if from == to {
            add(from, index, HistoryKind::SentToSelf);
        } else {
            add(from, index, HistoryKind::Sent);
            add(to, index, HistoryKind::Received);
        }
        index += 1;
    }
    add(block.reward.to, index, HistoryKind::Reward);
    entries
}

/// An account, the default where none is stored.
pub(crate) fn account(tables: &dyn Read, address: &Address) -> Result<Account, StoreError> {
    let name = format_args!("account {address}");
    Ok(schema::get(tables, Table::Accounts, &address.0, name)?.unwrap_or_default())
}

/// A stored header.
pub(crate) fn header(tables: &dyn Read, id: &BlockId) -> Result<Option<StoredHeader>, StoreError> {
    schema::get(tables, Table::Headers, &id.0, format_args!("header {id}"))
}

/// A stored block.
pub(crate) fn block(tables: &dyn Read, id: &BlockId) -> Result<Option<Block>, StoreError> {
    schema::get(tables, Table::Blocks, &id.0, format_args!("block {id}"))
}

/// The active chain's id at a height.
pub(crate) fn active_id(tables: &dyn Read, height: Height) -> Result<Option<BlockId>, StoreError> {
    let name = format_args!("id at height {height}");
    schema::get(tables, Table::Active, &schema::height_key(height), name)
}

/// Where a payment stands.
pub(crate) fn transaction(tables: &dyn Read, id: &TxId) -> Result<Option<TxLocation>, StoreError> {
    let name = format_args!("location of payment {id}");
    schema::get(tables, Table::Transactions, &id.0, name)
}

impl ChainSnapshot for Snapshot<'_> {
    fn tip(&self) -> Result<Tip, StoreError> {
        schema::tip(&*self.0)
    }

    fn account(&self, address: &Address) -> Result<Account, StoreError> {
        account(&*self.0, address)
    }

    fn header(&self, id: &BlockId) -> Result<Option<StoredHeader>, StoreError> {
        header(&*self.0, id)
    }

    fn block(&self, id: &BlockId) -> Result<Option<Block>, StoreError> {
        block(&*self.0, id)
    }

    fn active_id(&self, height: Height) -> Result<Option<BlockId>, StoreError> {
        active_id(&*self.0, height)
    }

    fn transaction(&self, id: &TxId) -> Result<Option<TxLocation>, StoreError> {
        transaction(&*self.0, id)
    }

    fn history(
        &self,
        address: &Address,
        before: Option<TxLocation>,
        limit: usize,
    ) -> Result<Vec<HistoryEntry>, StoreError> {
        let mut entries = Vec::new();
        if limit == 0 {
            return Ok(entries);
        }
        let start = schema::history_start(address, before);
        self.0.scan(Table::History, &start, &mut |key, value| {
            let (owner, location) = schema::history_of(key).ok_or_else(|| StoreError::Damaged {
                what: format!("history of {address}: a key of {} bytes", key.len()),
            })?;
            if owner != *address {
                return Ok(ControlFlow::Break(()));
            }
            let kind = schema::decode(value, format_args!("history of {address}"))?;
            entries.push(HistoryEntry { location, kind });
            Ok(if entries.len() == limit {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            })
        })?;
        Ok(entries)
    }
}
