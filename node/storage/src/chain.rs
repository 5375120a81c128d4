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
        Account, ChainBlock, ChainSnapshot, ChangeSet, HistoryEntry, StoreError, StoredHeader, Tip,
        TxLocation, history,
    },
    hash::{BlockId, TxId},
    mutant,
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
        if mutant!(OrphansForgotten) {
            batch.delete(Table::Blocks, block.id.0);
        }
        for (id, _) in transactions(block) {
            if !mutant!(IndexKeepsOrphans) {
                batch.delete(Table::Transactions, id.0);
            }
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
            if mutant!(EmptyAccountStays) {
                continue;
            }
            batch.delete(Table::Accounts, address.0);
        } else {
            batch.put_record(Table::Accounts, address.0, account);
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
    batch.put_record(Table::Headers, block.id.0, &stored);
    batch.put_record(Table::Blocks, block.id.0, &*block.block);
    batch.put_record(Table::Active, schema::height_key(header.height), &block.id);
    for (id, location) in transactions(block) {
        batch.put_record(Table::Transactions, id.0, &location);
    }
    for (address, entry) in history(&block.block) {
        let key = schema::history_key(&address, entry.location);
        batch.put_record(Table::History, key, &entry.kind);
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

    fn encoded_block(&self, id: &BlockId) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.0.get(Table::Blocks, &id.0)?.map(<[u8]>::to_vec))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{MemoryStore, tables::Visit};
    use mvb_protocol::{
        amount::Amount,
        block::{Header, Reward},
        hash::ContentRoot,
        numbers::Timestamp,
        params::ChainParams,
        target::Target,
    };
    use std::sync::{Arc, Mutex};

    /// Counts the records that a look-up touches.
    struct Counting<'a> {
        tables: Box<dyn Read + Send + 'a>,
        touched: Arc<Mutex<usize>>,
    }

    impl Read for Counting<'_> {
        fn get(&self, table: Table, key: &[u8]) -> Result<Option<&[u8]>, StoreError> {
            *self.touched.lock().unwrap() += 1;
            self.tables.get(table, key)
        }

        fn scan(&self, table: Table, from: &[u8], visit: Visit<'_>) -> Result<(), StoreError> {
            self.tables.scan(table, from, &mut |key, value| {
                *self.touched.lock().unwrap() += 1;
                visit(key, value)
            })
        }
    }

    const MINER: Address = Address([7; 32]);

    /// A chain of blocks that nobody judged, for the store does not.
    fn chain_of(blocks: u64) -> MemoryStore {
        let params = ChainParams::default();
        let store = MemoryStore::new(params.clone());
        let previous = Tip::genesis(params.genesis_id());
        let mut tip = previous;
        let mut connect = Vec::new();
        for height in 1..=blocks {
            let header = Header {
                previous: tip.id,
                content_root: ContentRoot([0; 32]),
                version: 1,
                target: Target::from_difficulty(1).to_compact(),
                height: Height(height),
                timestamp: Timestamp(height),
                nonce: 0,
            };
            let reward = Reward {
                to: MINER,
                amount: Amount::from_units(1),
                extra_nonce: 0,
            };
            tip.id = header.id();
            tip.height = header.height;
            let (transactions, work) = (Vec::new(), tip.work);
            connect.push(Arc::new(ChainBlock {
                id: tip.id,
                block: Arc::new(Block {
                    header,
                    transactions,
                    reward,
                }),
                transaction_ids: Vec::new(),
                work,
            }));
        }
        let account = Account {
            balance: Amount::from_units(blocks),
            ..Account::default()
        };
        let changes = ChangeSet {
            previous,
            disconnect: Vec::new(),
            connect,
            accounts: [(MINER, account)].into(),
            tip,
        };
        commit(&store, &changes).unwrap();
        store
    }

    /// How many records each look-up touches on a chain of that many blocks.
    fn costs(blocks: u64) -> Vec<usize> {
        let store = chain_of(blocks);
        let touched = Arc::<Mutex<usize>>::default();
        let chain = Snapshot(Box::new(Counting {
            tables: Tables::read(&store).unwrap(),
            touched: touched.clone(),
        }));
        let cost = || std::mem::take(&mut *touched.lock().unwrap());
        let tip = chain.tip().unwrap();
        let mut costs = vec![cost()];
        assert_eq!(chain.account(&MINER).unwrap().balance.units(), blocks);
        costs.push(cost());
        assert!(chain.header(&tip.id).unwrap().is_some());
        costs.push(cost());
        assert!(chain.block(&tip.id).unwrap().is_some());
        costs.push(cost());
        assert_eq!(chain.active_id(tip.height).unwrap(), Some(tip.id));
        costs.push(cost());
        assert_eq!(chain.transaction(&TxId([1; 32])).unwrap(), None);
        costs.push(cost());
        assert_eq!(chain.history(&MINER, None, 5).unwrap().len(), 5);
        costs.push(cost());
        costs
    }

    /// Hole 43 of the original, which read its whole chain for each.
    #[test]
    fn a_look_up_touches_no_more_of_a_long_chain_than_of_a_short_one() {
        assert_eq!(costs(5), [1, 1, 1, 1, 1, 1, 5]);
        assert_eq!(costs(2_000), costs(5));
    }
}
