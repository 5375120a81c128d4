//! The chain above the tables: every look-up, and what one commit writes. Both stores use
//! it, so they cannot disagree about an index.

use crate::{
    history::{self, AccountRecord, Accounts},
    names::{self, Index},
    schema,
    tables::{Batch, Plan, Read, Table, Tables},
};
use mvb_protocol::{
    address::Address,
    block::{Block, HEADER_BYTES},
    chain::{
        Account, ChainBlock, ChainSnapshot, ChangeSet, HistoryEntry, StoreError, StoredHeader, Tip,
        TxLocation,
    },
    codec,
    hash::{BlockId, HASH_BYTES, TxId},
    mutant,
    numbers::Height,
    target::Work,
};
use serde::{Deserialize, Serialize};

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
        records(stored, changes, tables.most_recent())
    };
    tables.write(plan)
}

/// Everything a change set writes. The last word on a key counts: what settles and is disconnected
/// is gone, and a payment of both branches is indexed where the new one has it.
fn records(stored: &dyn Read, changes: &ChangeSet, most_recent: u64) -> Result<Batch, StoreError> {
    let mut batch = Batch::default();
    for index in Index::ALL {
        names::settle(&mut batch, stored, index, most_recent)?;
    }
    let mut accounts = Accounts::above(stored);
    for block in &changes.disconnect {
        disconnect(&mut batch, &mut accounts, block)?;
    }
    for block in &changes.connect {
        connect(&mut batch, &mut accounts, block)?;
    }
    for (address, account) in &changes.accounts {
        accounts.touch(address)?.set(*account);
    }
    for (address, record) in accounts.iter() {
        if *record != AccountRecord::default() {
            batch.put_record(Table::Accounts, address.0, record);
        } else if !mutant!(EmptyAccountStays) {
            batch.delete(Table::Accounts, address.0);
        }
    }
    schema::put_tip(&mut batch, &changes.tip);
    Ok(batch)
}

fn disconnect(
    batch: &mut Batch,
    accounts: &mut Accounts<'_>,
    block: &ChainBlock,
) -> Result<(), StoreError> {
    let height = block.block.header.height;
    let key = schema::height_key(height);
    names::delete(batch, Index::Blocks, &block.id.0, height);
    batch.delete(Table::Active, key);
    batch.delete(Table::Headers, key);
    batch.delete(Table::Blocks, key);
    batch.delete(Table::TransactionIds, key);
    if !mutant!(OrphansForgotten) {
        let orphan = Orphan {
            work: block.work,
            block: &*block.block,
        };
        batch.put_record(Table::Orphans, block.id.0, &orphan);
    }
    for (id, location) in transactions(block) {
        if !mutant!(IndexKeepsOrphans) {
            names::delete(batch, Index::Payments, &id.0, location);
        }
    }
    accounts.disconnect(batch, height, &block.history())
}

fn connect(
    batch: &mut Batch,
    accounts: &mut Accounts<'_>,
    block: &ChainBlock,
) -> Result<(), StoreError> {
    let header = block.block.header;
    let stored = StoredHeader {
        header,
        work: block.work,
    };
    let key = schema::height_key(header.height);
    names::put(batch, Index::Blocks, &block.id.0, header.height);
    batch.put_record(Table::Active, key, &block.id);
    batch.put_record(Table::Headers, key, &stored);
    batch.put_record(Table::Blocks, key, &*block.block);
    batch.delete(Table::Orphans, block.id.0);
    let ids = block.transaction_ids.iter().map(|id| id.0);
    batch.put(
        Table::TransactionIds,
        key,
        &ids.collect::<Vec<_>>().concat(),
    );
    for (id, location) in transactions(block) {
        names::put(batch, Index::Payments, &id.0, location);
    }
    accounts.connect(batch, header.height, &block.history())
}

/// A block that has left the active chain, with the work of its chain up to it.
#[derive(Serialize, Deserialize)]
struct Orphan<B> {
    work: Work,
    block: B,
}

fn transactions(block: &ChainBlock) -> impl Iterator<Item = (&TxId, TxLocation)> {
    let height = block.block.header.height;
    block
        .transaction_ids
        .iter()
        .zip(0..)
        .map(move |(id, index)| (id, TxLocation { height, index }))
}

/// Where a block stands on the active chain; `None` when it does not.
pub(crate) fn height_of(tables: &dyn Read, id: &BlockId) -> Result<Option<Height>, StoreError> {
    names::find(tables, Index::Blocks, &id.0, |height| {
        Ok(active_id(tables, *height)? == Some(*id))
    })
}

/// The header of a block on or off the active chain.
pub(crate) fn header(tables: &dyn Read, id: &BlockId) -> Result<Option<StoredHeader>, StoreError> {
    match height_of(tables, id)? {
        Some(height) => header_at(tables, height),
        None => orphan_header(tables, id),
    }
}

/// The header of a block off the active chain. Only the beginning of its record is read: who asks
/// for headers must not make this node decode bodies, which weigh ten thousand times as much.
fn orphan_header(tables: &dyn Read, id: &BlockId) -> Result<Option<StoredHeader>, StoreError> {
    let Some(bytes) = tables.get(Table::Orphans, &id.0)? else {
        return Ok(None);
    };
    match beginning(bytes) {
        Some(header) => Ok(Some(header)),
        // What is wrong with it is told by decoding it.
        None => Ok(orphan(tables, id)?.map(|(header, _)| header)),
    }
}

/// The work and the header that an encoded [`Orphan`] begins with, both of a fixed length.
fn beginning(bytes: &[u8]) -> Option<StoredHeader> {
    /// MessagePack's marker of an array of two elements, and of three.
    const TWO: u8 = 0x92;
    const THREE: u8 = 0x93;
    /// The bytes of a work and of a header, each after the marker and the length of a string.
    const WORK: usize = 2 + HASH_BYTES;
    const HEADER: usize = 2 + HEADER_BYTES;
    let (work, block) = bytes.strip_prefix(&[TWO])?.split_at_checked(WORK)?;
    let header = block.strip_prefix(&[THREE])?.get(..HEADER)?;
    Some(StoredHeader {
        header: codec::decode(header).ok()?,
        work: codec::decode(work).ok()?,
    })
}

/// The active chain's header at a height.
pub(crate) fn header_at(
    tables: &dyn Read,
    height: Height,
) -> Result<Option<StoredHeader>, StoreError> {
    let name = format_args!("header {height}");
    schema::get(tables, Table::Headers, &schema::height_key(height), name)
}

/// The active chain's block at a height.
pub(crate) fn block_at(tables: &dyn Read, height: Height) -> Result<Option<Block>, StoreError> {
    let name = format_args!("block {height}");
    schema::get(tables, Table::Blocks, &schema::height_key(height), name)
}

/// A block off the active chain, with its header.
pub(crate) fn orphan(
    tables: &dyn Read,
    id: &BlockId,
) -> Result<Option<(StoredHeader, Block)>, StoreError> {
    let name = format_args!("block {id}");
    let orphan: Option<Orphan<Block>> = schema::get(tables, Table::Orphans, &id.0, name)?;
    Ok(orphan.map(|Orphan { work, block }| {
        let header = block.header;
        (StoredHeader { header, work }, block)
    }))
}

/// The active chain's id at a height.
pub(crate) fn active_id(tables: &dyn Read, height: Height) -> Result<Option<BlockId>, StoreError> {
    let name = format_args!("id at height {height}");
    schema::get(tables, Table::Active, &schema::height_key(height), name)
}

/// Where a payment stands.
pub(crate) fn transaction(tables: &dyn Read, id: &TxId) -> Result<Option<TxLocation>, StoreError> {
    names::find(tables, Index::Payments, &id.0, |location| {
        Ok(payment_at(tables, *location)? == Some(*id))
    })
}

/// The payment at a place.
pub(crate) fn payment_at(
    tables: &dyn Read,
    location: TxLocation,
) -> Result<Option<TxId>, StoreError> {
    let key = schema::height_key(location.height);
    let ids = tables.get(Table::TransactionIds, &key)?.unwrap_or_default();
    let id = ids.chunks_exact(HASH_BYTES).nth(location.index as usize);
    Ok(id.and_then(|id| Some(TxId(id.try_into().ok()?))))
}

impl ChainSnapshot for Snapshot<'_> {
    fn tip(&self) -> Result<Tip, StoreError> {
        schema::tip(&*self.0)
    }

    fn account(&self, address: &Address) -> Result<Account, StoreError> {
        Ok(history::account(&*self.0, address)?.account())
    }

    fn header(&self, id: &BlockId) -> Result<Option<StoredHeader>, StoreError> {
        header(&*self.0, id)
    }

    fn block(&self, id: &BlockId) -> Result<Option<Block>, StoreError> {
        match height_of(&*self.0, id)? {
            Some(height) => block_at(&*self.0, height),
            None => Ok(orphan(&*self.0, id)?.map(|(_, block)| block)),
        }
    }

    fn encoded_block(&self, id: &BlockId) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(height) = height_of(&*self.0, id)? else {
            return Ok(orphan(&*self.0, id)?.map(|(_, block)| codec::encode(&block)));
        };
        let stored = self.0.get(Table::Blocks, &schema::height_key(height))?;
        Ok(stored.map(<[u8]>::to_vec))
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
        history::page(&*self.0, address, before, limit)
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

        fn entries(&self, table: Table) -> Result<u64, StoreError> {
            self.tables.entries(table)
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
            let block = Block {
                header,
                transactions: Vec::new(),
                reward,
            };
            connect.push(Arc::new(ChainBlock::new(Arc::new(block), tip.work)));
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
        let middle = TxLocation {
            height: Height(blocks / 2 + 1),
            index: 0,
        };
        chain.history(&MINER, Some(middle), 5).unwrap();
        costs.push(cost());
        costs
    }

    /// Hole 43 of the original, which read its whole chain for each.
    #[test]
    fn a_look_up_touches_no_more_of_a_long_chain_than_of_a_short_one() {
        let short = costs(5);
        assert_eq!(short[..7], [1, 1, 3, 3, 1, 0, 5]);
        let long = costs(2_000);
        assert_eq!(long[..7], short[..7]);
        // To the middle of a history at most 64 lines are passed over.
        assert!(long[7] <= 64 + 7, "{} records", long[7]);
    }
}
