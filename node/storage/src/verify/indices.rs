//! Comparing the indices with the blocks. What a block must have is looked up; what no
//! block has is found by counting, and only then searched for.

use super::{Stop, differs, hex};
use crate::{
    chain,
    history::Accounts,
    names::{self, Index},
    schema,
    tables::{Batch, Read, Table},
};
use mvb_protocol::{
    chain::{StoreError, StoredHeader, Tip, TxLocation, history},
    hash::BlockId,
    numbers::Height,
    params::ChainParams,
    target::{Target, Work},
    validate::CheckedBlock,
};
use std::{ops::ControlFlow, sync::Arc};

/// How many entries the indices must have for the blocks seen so far.
#[derive(Default)]
pub(super) struct Indices {
    /// Payments.
    pub(super) payments: u64,
    marks: u64,
}

impl Indices {
    /// Looks up where each payment of a block of the active chain stands.
    pub(super) fn check_payments(
        &mut self,
        tables: &dyn Read,
        block: &CheckedBlock,
    ) -> Result<(), Stop> {
        let height = block.block().header.height;
        let ids = block.transaction_ids();
        let own: Vec<_> = ids.iter().map(|id| id.0).collect();
        let stored = tables.get(Table::TransactionIds, &schema::height_key(height))?;
        if stored != Some(&own.concat()[..]) {
            return differs(format!(
                "the ids stored for block {height} are not its payments'"
            ));
        }
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
        Ok(())
    }

    /// Compares what a block of the active chain adds to histories with what is stored.
    pub(super) fn check_history(
        &mut self,
        tables: &dyn Read,
        accounts: &mut Accounts<'_>,
        block: &CheckedBlock,
    ) -> Result<(), Stop> {
        let height = block.block().header.height;
        let mut expected = Batch::default();
        let lines = history(block.block(), block.senders());
        accounts.connect(&mut expected, height, &lines)?;
        for (table, key, value) in expected.iter() {
            if tables.get(table, key)? != value {
                return differs(format!(
                    "{} has not what block {height} gives it at {}",
                    table.name(),
                    hex(key)
                ));
            }
            self.marks += u64::from(table == Table::Marks);
        }
        Ok(())
    }

    /// Once every block was checked: nothing stands in an index that no block has.
    pub(super) fn compare(
        &self,
        tables: &dyn Read,
        tip: Tip,
        params: &ChainParams,
    ) -> Result<(), Stop> {
        active_ends_at(tables, tip)?;
        let by_height = [
            Table::Headers,
            Table::Blocks,
            Table::TransactionIds,
            Table::History,
        ];
        for table in by_height {
            find(tables, &[table], tip.height.0, |key, _| {
                let height = schema::height_of(key);
                Ok(height.is_none_or(|height| height.0 == 0 || tip.height < height))
            })?;
        }
        find(tables, &Index::Blocks.tables(), tip.height.0, |key, _| {
            let id_at = |at| Ok(chain::active_id(tables, at)?.map(|id| id.0));
            Ok(!names::is_right(key, id_at)?)
        })?;
        find(
            tables,
            &Index::Payments.tables(),
            self.payments,
            |key, _| {
                let id_at = |at| Ok(chain::payment_at(tables, at)?.map(|id| id.0));
                Ok(!names::is_right(key, id_at)?)
            },
        )?;
        for index in Index::ALL {
            names::next_to_settle(tables, index)?;
        }
        // Those that blocks give were all found, but not which they are.
        find(tables, &[Table::Marks], self.marks, |_, _| Ok(false))?;
        orphans(tables, params)
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

/// Where tables together have not as many entries as their blocks give them, names the first that
/// `is_extra` says no block has.
fn find(
    tables: &dyn Read,
    among: &[Table],
    expected: u64,
    is_extra: impl Fn(&[u8], &[u8]) -> Result<bool, StoreError>,
) -> Result<(), Stop> {
    let mut entries = 0;
    for table in among {
        entries += count(tables, *table)?;
    }
    if entries == expected {
        return Ok(());
    }
    for table in among {
        let mut extra = None;
        tables.scan(*table, &[], &mut |key, value| {
            if is_extra(key, value)? {
                extra = Some(key.to_vec());
                return Ok(ControlFlow::Break(()));
            }
            Ok(ControlFlow::Continue(()))
        })?;
        if let Some(key) = extra {
            let name = table.name();
            return differs(format!("{name} has {}, which no block gives", hex(&key)));
        }
    }
    let names: Vec<_> = among.iter().map(|table| table.name()).collect();
    let names = names.join(" and ");
    differs(format!(
        "{names} have {entries} entries, the blocks give {expected}"
    ))
}

/// Every block off the active chain stands under its own id, is off it, and would be taken for
/// what it is if a reorg came back to it: its body is the one that its header commits to, and its
/// work that of its chain.
fn orphans(tables: &dyn Read, params: &ChainParams) -> Result<(), Stop> {
    let mut wrong = None;
    tables.scan(Table::Orphans, &[], &mut |key, _| {
        wrong = match key.try_into().map(BlockId) {
            Ok(id) => wrong_with_orphan(tables, params, id)?,
            Err(_) => Some(format!("orphans has {}, which is no id", hex(key))),
        };
        Ok(match wrong {
            Some(_) => ControlFlow::Break(()),
            None => ControlFlow::Continue(()),
        })
    })?;
    wrong.map_or(Ok(()), differs)
}

fn wrong_with_orphan(
    tables: &dyn Read,
    params: &ChainParams,
    id: BlockId,
) -> Result<Option<String>, StoreError> {
    let Some((StoredHeader { header, work }, block)) = chain::orphan(tables, &id)? else {
        return Ok(None);
    };
    let found = header.id();
    if found != id {
        return Ok(Some(format!(
            "the block stored off the active chain as {id} is {found}"
        )));
    }
    if let Some(height) = chain::height_of(tables, &id)? {
        return Ok(Some(format!(
            "block {id} stands at height {height} and off the active chain"
        )));
    }
    if let Err(error) = CheckedBlock::check(Arc::new(block), params) {
        return Ok(Some(format!("block {id}, off the active chain: {error}")));
    }
    let before = match header.previous == params.genesis_id().into() {
        true => Some(Work::ZERO),
        false => chain::header(tables, &header.previous)?.map(|stored| stored.work),
    };
    let own = header.target.expand().map_or(Work::ZERO, Target::work);
    Ok(match before.map(|before| before.saturating_add(own)) {
        Some(expected) if expected == work => None,
        Some(expected) => Some(format!(
            "block {id}, off the active chain, is stored with work {work}, its chain has {expected}"
        )),
        None => Some(format!(
            "block {id}, off the active chain, follows {}, which is not stored",
            header.previous
        )),
    })
}
