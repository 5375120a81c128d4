//! Replaying a whole store from genesis: every rule is checked again on every stored block,
//! and everything else in the store is compared with what follows from the blocks. Called
//! by `mvb chain verify` and by the simulator after every run.
//!
//! Memory holds the accounts and a few blocks, however long the chain is. Old states of the
//! store are let go of every few thousand blocks, because pages that a reader may still look at
//! cannot be used again, and the file of a store that is written meanwhile would grow. It never
//! writes and never repairs.

mod indices;

use crate::{
    chain,
    history::{AccountRecord, Accounts},
    schema,
    tables::{Read, Table, Tables},
};
use indices::Indices;
use mvb_protocol::{
    address::Address,
    block::Block,
    chain::{Account, ChainSnapshot, HistoryEntry, StoreError, StoredHeader, Tip, TxLocation},
    hash::{BlockId, TxId},
    ledger::Ledger,
    numbers::Height,
    params::ChainParams,
    validate::{CheckedBlock, HeaderChain, Parallel, ValidationError, verify_signatures},
};
use std::{cmp::Ordering, ops::ControlFlow, sync::Arc};

/// The most blocks whose signatures are verified together.
const BATCH_BLOCKS: usize = 64;

/// The most bytes of blocks held at once, but for the last one.
const BATCH_BYTES: usize = 8 << 20;

/// After how many blocks, or bytes of them, a replay looks at the store afresh.
const SPAN_BLOCKS: u64 = 4_096;
const SPAN_BYTES: usize = 64 << 20;

/// So many blocks at the chain's end are replayed in one look, for they may yet be replaced.
const UNSETTLED: u64 = 1_000;

/// What a replay found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifyReport {
    /// The height up to which every block is valid and indexed as it should be.
    pub height: Height,
    /// The tip that follows from these blocks.
    pub tip: Tip,
    /// The accounts that follow from them.
    pub accounts: u64,
    /// The payments in them.
    pub payments: u64,
    /// The first thing that is not as it should be, in words.
    pub difference: Option<String>,
}

impl VerifyReport {
    /// Of a store that cannot be read at all.
    pub(crate) fn unreadable(params: &ChainParams, what: String) -> Self {
        Self {
            height: Height(0),
            tip: Tip::genesis(params.genesis_id()),
            accounts: 0,
            payments: 0,
            difference: Some(what),
        }
    }

    /// Whether everything is as it should be.
    pub fn is_sound(&self) -> bool {
        self.difference.is_none()
    }
}

/// Why a replay ends early.
enum Stop {
    Difference(String),
    Store(StoreError),
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Damaged { what } => Stop::Difference(what),
            error => Stop::Store(error),
        }
    }
}

/// A rule or a comparison that does not hold.
fn differs<T>(what: impl Into<String>) -> Result<T, Stop> {
    Err(Stop::Difference(what.into()))
}

/// Replays a store; `progress` hears the height reached and the tip's.
pub(crate) fn verify(
    tables: &dyn Tables,
    params: &ChainParams,
    parallel: &dyn Parallel,
    progress: &mut dyn FnMut(Height, Height),
) -> Result<VerifyReport, StoreError> {
    let mut replay = Replay {
        store: tables,
        tables: tables.read()?,
        params,
        headers: HeaderChain::genesis(params),
        accounts: Accounts::default(),
        indices: Indices::default(),
    };
    let difference = match replay.run(parallel, progress) {
        Ok(()) => None,
        Err(Stop::Difference(what)) => Some(what),
        Err(Stop::Store(error)) => return Err(error),
    };
    let tip = replay.headers.tip();
    Ok(VerifyReport {
        height: tip.height,
        tip,
        accounts: replay.accounts().count() as u64,
        payments: replay.indices.payments,
        difference,
    })
}

struct Replay<'a> {
    store: &'a dyn Tables,
    /// The store as it was at the last look.
    tables: Box<dyn Read + Send + 'a>,
    params: &'a ChainParams,
    headers: HeaderChain,
    /// What follows from the blocks so far, above no store.
    accounts: Accounts<'static>,
    indices: Indices,
}

impl Replay<'_> {
    fn run(
        &mut self,
        parallel: &dyn Parallel,
        progress: &mut dyn FnMut(Height, Height),
    ) -> Result<(), Stop> {
        let mut tip = schema::tip(&*self.tables)?;
        let genesis = BlockId::from(self.params.genesis_id());
        if chain::active_id(&*self.tables, Height(0))? != Some(genesis) {
            return differs("the active chain does not begin at genesis");
        }
        let (mut since, mut bytes) = (0, 0);
        while self.headers.tip().height < tip.height {
            let from = self.headers.tip().height.0;
            bytes += self.batch(tip.height, parallel)?;
            let reached = self.headers.tip().height;
            progress(reached, tip.height);
            since += reached.0 - from;
            let is_settled = reached.0.saturating_add(UNSETTLED) < tip.height.0;
            if is_settled && (since >= SPAN_BLOCKS || bytes >= SPAN_BYTES) {
                tip = self.look_afresh()?;
                (since, bytes) = (0, 0);
            }
        }
        let computed = self.headers.tip();
        if computed != tip {
            return differs(format!(
                "the tip is {:.16} with work {}, its blocks give {:.16} with work {}",
                tip.id, tip.work, computed.id, computed.work
            ));
        }
        self.compare_accounts()?;
        self.indices.compare(&*self.tables, tip, self.params)
    }

    /// Goes on with the store as it is now, and says where its chain ends.
    fn look_afresh(&mut self) -> Result<Tip, Stop> {
        self.tables = self.store.read()?;
        let reached = self.headers.tip();
        if chain::active_id(&*self.tables, reached.height)? != Some(reached.id) {
            let reason = format!(
                "the chain was replaced from below block {} on while it was replayed; try again",
                reached.height
            );
            return Err(Stop::Store(StoreError::Io { reason }));
        }
        Ok(schema::tip(&*self.tables)?)
    }

    /// Takes the next blocks, as many as are verified together, and says how many bytes of.
    fn batch(&mut self, last: Height, parallel: &dyn Parallel) -> Result<usize, Stop> {
        let mut headers = self.headers.clone();
        let (mut blocks, mut tips, mut bytes) = (Vec::new(), Vec::new(), 0);
        while headers.tip().height < last && blocks.len() < BATCH_BLOCKS && bytes < BATCH_BYTES {
            let checked = match self.next_block(&mut headers) {
                // What comes before the fault is judged first, so that the first one is told.
                Err(Stop::Difference(_)) if !blocks.is_empty() => break,
                checked => checked?,
            };
            bytes += checked.block().size();
            tips.push(headers.clone());
            blocks.push(checked);
        }
        let verified = verify_signatures(blocks, &|_| false, parallel);
        for (block, headers) in verified.into_iter().zip(tips) {
            let height = headers.tip().height;
            let block =
                block.or_else(|(id, error)| differs(format!("block {height}, {id}: {error}")))?;
            let balances = Balances(&self.accounts);
            let mut ledger = Ledger::new(&balances);
            ledger
                .apply_block(&block, self.params)
                .or_else(|error| match error {
                    ValidationError::Store(error) => Err(error.into()),
                    ValidationError::Rule(error) => {
                        differs(format!("block {height}, {}: {error}", block.id()))
                    }
                })?;
            for (address, account) in ledger.into_accounts() {
                self.accounts.touch(&address)?.set(account);
            }
            self.indices.check_payments(&*self.tables, &block)?;
            self.indices
                .check_history(&*self.tables, &mut self.accounts, &block)?;
            self.headers = headers;
        }
        Ok(bytes)
    }

    /// Reads the next block of the active chain and checks all of it that needs neither
    /// signatures nor the ledger.
    fn next_block(&self, headers: &mut HeaderChain) -> Result<CheckedBlock, Stop> {
        let height = Height(headers.tip().height.0 + 1);
        let Some(id) = chain::active_id(&*self.tables, height)? else {
            return differs(format!("the active chain has no block at height {height}"));
        };
        let Some(block) = chain::block_at(&*self.tables, height)? else {
            return differs(format!("block {height}, {id}, is missing"));
        };
        let rule = |error| differs(format!("block {height}, {id}: {error}"));
        let tip = match headers.push(self.params, &block.header, None) {
            Ok(tip) => tip,
            Err(error) => return rule(error),
        };
        if tip.id != id {
            return differs(format!(
                "the block stored as {id} at height {height} is {}",
                tip.id
            ));
        }
        let expected = StoredHeader {
            header: block.header,
            work: tip.work,
        };
        if chain::header_at(&*self.tables, height)? != Some(expected) {
            return differs(format!(
                "the stored header of block {height}, {id}, is not its block's"
            ));
        }
        match chain::height_of(&*self.tables, &id)? {
            Some(found) if found == height => {}
            Some(found) => {
                return differs(format!(
                    "block {id} is indexed at height {found}, expected at height {height}"
                ));
            }
            None => {
                return differs(format!(
                    "block {id} is indexed nowhere, expected at height {height}"
                ));
            }
        }
        CheckedBlock::check(Arc::new(block), self.params).or_else(rule)
    }

    /// The accounts that follow from the blocks. What they leave at the default is as if it had
    /// never been.
    fn accounts(&self) -> impl Iterator<Item = (&Address, &AccountRecord)> {
        let touched = self.accounts.iter();
        touched.filter(|(_, record)| **record != AccountRecord::default())
    }

    /// Both directions: every stored account follows from the blocks, and every account
    /// that follows is stored. Both stand in the order of their addresses.
    fn compare_accounts(&self) -> Result<(), Stop> {
        let mut expected = self.accounts();
        let mut wrong = None;
        self.tables.scan(Table::Accounts, &[], &mut |key, value| {
            let stored: AccountRecord = schema::decode(value, "an account")?;
            let next = expected.next();
            wrong = match next.map(|(address, account)| (address.0.as_slice().cmp(key), account)) {
                Some((Ordering::Equal, account)) if *account == stored => None,
                Some((Ordering::Equal, account)) => Some(format!(
                    "account {} has {}, its blocks give {}",
                    hex(key),
                    told(&stored),
                    told(account)
                )),
                Some((Ordering::Less, _)) => next.map(not_stored),
                _ => Some(format!(
                    "account {} has {}, no block gives it",
                    hex(key),
                    told(&stored)
                )),
            };
            Ok(match wrong {
                Some(_) => ControlFlow::Break(()),
                None => ControlFlow::Continue(()),
            })
        })?;
        match wrong.or_else(|| expected.next().map(not_stored)) {
            Some(wrong) => differs(wrong),
            None => Ok(()),
        }
    }
}

fn told(record: &AccountRecord) -> String {
    let Account { balance, sequence } = record.account();
    let (lines, last) = (record.lines, record.newest());
    let last = last.map_or("none".to_owned(), |entry| {
        let (at, kind) = (entry.location, entry.kind);
        format!("{kind:?} at height {}, index {}", at.height, at.index)
    });
    format!("balance {balance}, sequence {sequence}, {lines} lines of history, the last {last}")
}

fn not_stored((address, record): (&Address, &AccountRecord)) -> String {
    format!(
        "account {} is missing, its blocks give {}",
        hex(&address.0),
        told(record)
    )
}

/// A key in words, whatever its length.
fn hex(key: &[u8]) -> String {
    key.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The accounts of a replay, as a chain of which the ledger asks nothing else.
struct Balances<'a>(&'a Accounts<'static>);

/// The answer to what a replay cannot tell.
fn accounts_only<T>() -> Result<T, StoreError> {
    Err(StoreError::Io {
        reason: "a replay holds accounts only".to_owned(),
    })
}

impl ChainSnapshot for Balances<'_> {
    fn tip(&self) -> Result<Tip, StoreError> {
        accounts_only()
    }

    fn account(&self, address: &Address) -> Result<Account, StoreError> {
        let record = self.0.touched(address);
        Ok(record.map(AccountRecord::account).unwrap_or_default())
    }

    fn header(&self, _: &BlockId) -> Result<Option<StoredHeader>, StoreError> {
        accounts_only()
    }

    fn block(&self, _: &BlockId) -> Result<Option<Block>, StoreError> {
        accounts_only()
    }

    fn active_id(&self, _: Height) -> Result<Option<BlockId>, StoreError> {
        accounts_only()
    }

    fn transaction(&self, _: &TxId) -> Result<Option<TxLocation>, StoreError> {
        accounts_only()
    }

    fn history(
        &self,
        _: &Address,
        _: Option<TxLocation>,
        _: usize,
    ) -> Result<Vec<HistoryEntry>, StoreError> {
        accounts_only()
    }
}
