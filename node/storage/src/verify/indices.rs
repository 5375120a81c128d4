//! Comparing the indices with the blocks. What a block must have is looked up; what no
//! block has is found by counting, and only then searched for.

use super::{Stop, differs, hex};
use crate::{
    chain, schema,
    tables::{Read, Table},
};
use mvb_protocol::{
    block::Block,
    chain::{HistoryKind, StoreError, StoredHeader, Tip, TxLocation, history},
    hash::{BlockId, TxId},
    numbers::Height,
};
use std::ops::ControlFlow;

/// How many entries the indices must have for the blocks seen so far.
#[derive(Default)]
pub(super) struct Indices {
    /// Payments.
    pub(super) payments: u64,
    history: u64,
}

impl Indices {
    /// Looks up every entry that a block of the active chain must have.
    pub(super) fn check_block(
        &mut self,
        tables: &dyn Read,
        block: &Block,
        ids: &[TxId],
    ) -> Result<(), Stop> {
        let height = block.header.height;
        for (id, index) in ids.iter().zip(0..) {
            let expected = TxLocation { height, index };
            let found = chain::transaction(tables, id)?;
            if found != Some(expected) {
                return differs(format!(
                    "payment {id} is indexed {}, expected {}",
                    found.map_or("nowhere".to_owned(), told),
                    told(expected)
                ));
            }
            self.payments += 1;
        }
        for (address, entry) in history(block) {
            let key = schema::history_key(&address, entry.location);
            let name = format_args!("history of {address} {}", told(entry.location));
            let found: Option<HistoryKind> = schema::get(tables, Table::History, &key, name)?;
            if found != Some(entry.kind) {
                let found = found.map_or("missing".to_owned(), |kind| format!("{kind:?}"));
                return differs(format!("{name} is {found}, expected {:?}", entry.kind));
            }
            self.history += 1;
        }
        Ok(())
    }

    /// Once every block was checked: nothing stands in an index that no block has.
    pub(super) fn compare(&self, tables: &dyn Read, tip: Tip) -> Result<(), Stop> {
        active_ends_at(tables, tip)?;
        if count(tables, Table::Transactions)? != self.payments {
            find(tables, Table::Transactions, |key, value| {
                let at: TxLocation = schema::decode(value, "location of a payment")?;
                Ok(payment_at(tables, at)?.is_none_or(|id| id.0 != key))
            })?;
        }
        if count(tables, Table::History)? != self.history {
            find(tables, Table::History, |key, _| {
                let Some((address, at)) = schema::history_of(key) else {
                    return Ok(true);
                };
                let Some(block) = active_block(tables, at.height)? else {
                    return Ok(true);
                };
                let mut entries = history(&block).into_iter();
                Ok(!entries.any(|(owner, entry)| owner == address && entry.location == at))
            })?;
        }
        stored_headers(tables)
    }
}

fn told(at: TxLocation) -> String {
    format!("at height {}, index {}", at.height, at.index)
}

/// No active id stands above the tip.
fn active_ends_at(tables: &dyn Read, tip: Tip) -> Result<(), Stop> {
    let above = schema::height_key(Height(tip.height.0.saturating_add(1)));
    let mut extra = None;
    tables.scan(Table::Active, &above, &mut |key, _| {
        extra = Some(schema::height_of(key));
        Ok(ControlFlow::Break(()))
    })?;
    match extra {
        None => Ok(()),
        Some(Some(height)) => differs(format!(
            "the active chain has an id at height {height}, above its tip at {}",
            tip.height
        )),
        Some(None) => differs("the active chain has a key that is no height"),
    }
}

fn count(tables: &dyn Read, table: Table) -> Result<u64, StoreError> {
    let mut entries = 0;
    tables.scan(table, &[], &mut |_, _| {
        entries += 1;
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(entries)
}

/// Names the first entry of a table that `is_extra` says no block has.
fn find(
    tables: &dyn Read,
    table: Table,
    is_extra: impl Fn(&[u8], &[u8]) -> Result<bool, StoreError>,
) -> Result<(), Stop> {
    let mut extra = None;
    tables.scan(table, &[], &mut |key, value| {
        if is_extra(key, value)? {
            extra = Some(key.to_vec());
            return Ok(ControlFlow::Break(()));
        }
        Ok(ControlFlow::Continue(()))
    })?;
    let name = table.name();
    match extra {
        Some(key) => differs(format!("{name} has {}, which no block gives", hex(&key))),
        None => differs(format!(
            "{name} has another number of entries than its blocks"
        )),
    }
}

fn active_block(tables: &dyn Read, height: Height) -> Result<Option<Block>, StoreError> {
    match chain::active_id(tables, height)? {
        Some(id) => chain::block(tables, &id),
        None => Ok(None),
    }
}

fn payment_at(tables: &dyn Read, at: TxLocation) -> Result<Option<TxId>, StoreError> {
    Ok(active_block(tables, at.height)?.and_then(|block| {
        let payment = block.transactions.get(at.index as usize)?;
        Some(payment.id())
    }))
}

/// Every stored header, on the active chain or not, is its block's, and no block is without.
fn stored_headers(tables: &dyn Read) -> Result<(), Stop> {
    let (mut headers, mut wrong) = (0, None);
    tables.scan(Table::Headers, &[], &mut |key, value| {
        headers += 1;
        let stored: StoredHeader = schema::decode(value, "a header")?;
        let id = stored.header.id();
        if id.0 != key {
            wrong = Some(format!("the header stored under another id is {id}'s"));
        } else if !is_active(tables, &stored, id)?
            && chain::block(tables, &id)?.is_none_or(|block| block.header != stored.header)
        {
            wrong = Some(format!("block {id}, off the active chain, is missing"));
        }
        Ok(match wrong {
            Some(_) => ControlFlow::Break(()),
            None => ControlFlow::Continue(()),
        })
    })?;
    if let Some(wrong) = wrong {
        return differs(wrong);
    }
    let blocks = count(tables, Table::Blocks)?;
    if blocks == headers {
        return Ok(());
    }
    differs(format!("{blocks} blocks are stored, but {headers} headers"))
}

/// Blocks of the active chain were compared with their headers during the replay.
fn is_active(tables: &dyn Read, stored: &StoredHeader, id: BlockId) -> Result<bool, StoreError> {
    Ok(chain::active_id(tables, stored.header.height)? == Some(id))
}
