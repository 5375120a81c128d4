//! A long chain made for a measurement: valid by every rule, at a difficulty that costs nothing,
//! written through the real store into a home of its own. What is in it follows from its numbers
//! alone, so that a chain that is there already is used again, and one cut short is gone on with.

#![allow(
    clippy::disallowed_methods,
    reason = "a benchmark reads the monotonic clock"
)]

mod people;

use super::interrupt::Interrupt;
use crate::{output, progress::Progress};
use anyhow::{Context as _, Result, bail};
use mvb_actors::env::Workers;
use mvb_node::{home::Home, home::Role, system::ThreadWorkers};
use mvb_protocol::{
    address::Address,
    amount::Amount,
    block::{Block, Header, Reward},
    chain::{ChainStore, ChangeSet, Tip},
    connect::connect,
    hash::ContentRoot,
    numbers::{Height, Timestamp},
    params::{BLOCK_VERSION, ChainParams},
    transaction::Transaction,
    validate::{
        CheckedBlock, HeaderChain, Parallel, Sequential, expected_reward, verify_signatures,
    },
};
use mvb_storage::LmdbStore;
use people::People;
use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

/// How many payments are made and written at a time.
const BATCH_PAYMENTS: u64 = 20_000;

/// The most blocks written at a time.
const BATCH_BLOCKS: u64 = 10_000;

/// When its first block was made, 2026-01-01. A block a second follows.
const BEGINNING: Timestamp = Timestamp(1_767_225_600_000);

/// What a chain is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Its blocks.
    pub blocks: u64,
    /// The payments in each of them but the first, which has none.
    pub payments: u32,
}

impl Size {
    /// How many payments there are in all.
    pub fn all_payments(self) -> u64 {
        self.blocks.saturating_sub(1) * u64::from(self.payments)
    }

    /// The rules of its chain. A miner of it never mines while nobody pays.
    pub fn params(self) -> ChainParams {
        let Self { blocks, payments } = self;
        ChainParams {
            network_name: format!("bench-{blocks}x{payments}"),
            difficulty: 1,
            block_size: payments + 1,
            block_reward: Amount::from_units(10_000_000_000_000),
            ..ChainParams::default()
        }
    }
}

/// A home with a generated chain.
pub struct Generated {
    /// The home.
    pub home: Home,
    /// Its chain's parameters.
    pub params: ChainParams,
    /// Where the chain ends.
    pub tip: Tip,
    people: People,
}

impl Generated {
    /// The chain of a size in a folder, made there as far as it is missing.
    pub fn find_or_make(
        folder: &Path,
        size: Size,
        threads: &ThreadWorkers,
        progress: &mut Progress,
        interrupt: &Interrupt,
    ) -> Result<Self> {
        let count = Self::usual_people(size);
        Self::find_or_make_of(folder, size, count, threads, progress, interrupt)
    }

    /// How many people a chain of a size has.
    pub fn usual_people(size: Size) -> u64 {
        People::usual(size.all_payments())
    }

    /// The same with another number of people than usual, who have longer histories the fewer
    /// they are.
    pub fn find_or_make_of(
        folder: &Path,
        size: Size,
        count: u64,
        threads: &ThreadWorkers,
        progress: &mut Progress,
        interrupt: &Interrupt,
    ) -> Result<Self> {
        let mut params = size.params();
        if count != Self::usual_people(size) {
            params.network_name += &format!("-{count}");
        }
        params.validate()?;
        let (home, _) = Home::open_or_create(folder)?;
        let lock = home.lock(Role::Wallet)?;
        let store = home.open_chain(&params, &lock)?.store;
        let people = People::new(&params, count);
        let maker = Maker {
            params: &params,
            people: &people,
            store: &store,
            parallel: &*threads.parallel(),
        };
        let mut tip = store.snapshot()?.tip()?;
        while tip.height.0 < size.blocks {
            interrupt.check()?;
            let most = (BATCH_PAYMENTS / u64::from(size.payments.max(1))).clamp(1, BATCH_BLOCKS);
            let count = most.min(size.blocks - tip.height.0);
            tip = maker.batch(tip, count, size.payments)?;
            progress.set(tip.height.0, size.blocks, "making blocks");
        }
        progress.clear();
        if tip.height.0 > size.blocks {
            bail!(
                "the chain in {} has {}, expected {}",
                folder.display(),
                output::count(tip.height.0, "block"),
                size.blocks
            );
        }
        Ok(Self {
            home,
            params,
            tip,
            people,
        })
    }

    /// Its store, for reading.
    pub fn store(&self) -> Result<LmdbStore> {
        let store = self.home.read_chain(&self.params)?;
        store.context("the chain that was just made is gone")
    }

    /// Commits the blocks that would come next one by one, and takes them back again, so that
    /// the chain is what it was. Says how long each commit took.
    pub fn commit_one_by_one(
        &self,
        size: Size,
        count: u64,
        threads: &ThreadWorkers,
    ) -> Result<Vec<Duration>> {
        let lock = self.home.lock(Role::Wallet)?;
        let store = self.home.open_chain(&self.params, &lock)?.store;
        let maker = Maker {
            params: &self.params,
            people: &self.people,
            store: &store,
            parallel: &*threads.parallel(),
        };
        let mut made = Vec::new();
        let mut took = Vec::new();
        let mut before = BTreeMap::new();
        let mut tip = self.tip;
        for _ in 0..count {
            let changes = maker.next(tip, 1, size.payments)?;
            let snapshot = store.snapshot()?;
            for address in changes.accounts.keys() {
                let account = snapshot.account(address)?;
                before.entry(*address).or_insert(account);
            }
            drop(snapshot);
            let began = Instant::now();
            store.commit(&changes)?;
            took.push(began.elapsed());
            tip = changes.tip;
            made.extend(changes.connect);
        }
        made.reverse();
        store.commit(&ChangeSet {
            previous: tip,
            disconnect: made,
            connect: Vec::new(),
            accounts: before,
            tip: self.tip,
        })?;
        Ok(took)
    }

    /// The address of one of those who pay.
    pub fn address(&self, number: u64) -> Address {
        self.people.address(number)
    }
}

/// Makes blocks on top of what the store has.
struct Maker<'a> {
    params: &'a ChainParams,
    people: &'a People,
    store: &'a LmdbStore,
    parallel: &'a (dyn Parallel + Send + Sync),
}

impl Maker<'_> {
    /// Makes and writes the next `count` blocks.
    fn batch(&self, tip: Tip, count: u64, payments: u32) -> Result<Tip> {
        let changes = self.next(tip, count, payments)?;
        self.store.commit(&changes)?;
        Ok(changes.tip)
    }

    /// Makes the next `count` blocks.
    fn next(&self, tip: Tip, count: u64, payments: u32) -> Result<ChangeSet> {
        let bodies = self.bodies(tip.height.0 + 1, count, payments)?;
        let snapshot = self.store.snapshot()?;
        let mut headers = HeaderChain::ending_at(&*snapshot, self.params, tip.id)?;
        let mut checked = Vec::new();
        for body in bodies {
            let block = self.solve(&mut headers, body)?;
            checked.push(CheckedBlock::check(Arc::new(block), self.params)?);
        }
        // They were signed a moment ago.
        let verified = verify_signatures(checked, &|_| true, &Sequential);
        let verified: Result<Vec<_>, _> = verified.into_iter().collect();
        let verified = verified.map_err(|(_, error)| error)?;
        let last = timestamp(headers.tip().height.0);
        let connection = connect(&*snapshot, self.params, &verified, last)?;
        if let Some((id, error)) = connection.rejected {
            bail!("the generated block {id} is not valid: {error}");
        }
        drop(snapshot);
        connection.changes.context("a longer chain is better")
    }

    /// Blocks without their place in the chain, signed side by side.
    fn bodies(&self, first: u64, count: u64, payments: u32) -> Result<Vec<Block>> {
        let slots: Vec<OnceLock<Result<Block>>> = (0..count).map(|_| OnceLock::new()).collect();
        self.parallel.for_each(slots.len(), &|i| {
            let body = self.body(first + i as u64, payments);
            slots[i].set(body).ok();
        });
        let bodies = slots.into_iter().filter_map(OnceLock::into_inner);
        bodies.collect()
    }

    fn body(&self, height: u64, payments: u32) -> Result<Block> {
        let count = if height == 1 { 0 } else { u64::from(payments) };
        let first = height.saturating_sub(2) * u64::from(payments);
        let at = timestamp(height);
        let transactions: Vec<Transaction> = (first..first + count)
            .map(|number| self.people.payment(number, at))
            .collect();
        let amount = expected_reward(self.params, Height(height), &transactions)?;
        let mut block = Block {
            header: Header {
                previous: Default::default(),
                content_root: ContentRoot([0; 32]),
                version: BLOCK_VERSION,
                target: self.params.easiest_target(),
                height: Height(height),
                timestamp: at,
                nonce: 0,
            },
            transactions,
            reward: Reward {
                to: self.people.rewarded(height),
                amount,
                extra_nonce: 0,
            },
        };
        let wids = block.wids();
        block.header.content_root = block.content_root(self.params.genesis_id(), &wids);
        Ok(block)
    }

    /// Gives a block its place, and the nonce for it.
    fn solve(&self, headers: &mut HeaderChain, mut block: Block) -> Result<Block> {
        block.header.previous = headers.tip().id;
        let target = block.header.target.expand();
        let target = target.context("the easiest target has a full form")?;
        while !target.is_met_by(&block.id()) {
            block.header.nonce += 1;
        }
        headers.push(self.params, &block.header, None)?;
        Ok(block)
    }
}

fn timestamp(height: u64) -> Timestamp {
    BEGINNING.saturating_add(height * 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::{Format, Output, Talk};

    #[test]
    fn a_generated_chain_is_valid_by_every_rule_and_made_once() {
        let folder = tempfile::tempdir().unwrap();
        let size = Size {
            blocks: 60,
            payments: 3,
        };
        let threads = ThreadWorkers::new().unwrap();
        let mut progress = Progress::new(&Output::new(Format::Text, Talk::Quiet));
        let mut make = || {
            let interrupt = Interrupt::default();
            Generated::find_or_make(folder.path(), size, &threads, &mut progress, &interrupt)
        };
        let tip = make().unwrap().tip;
        let again = make().unwrap();
        assert_eq!((again.tip, tip.height), (tip, Height(60)));
        let commits = again.commit_one_by_one(size, 5, &threads).unwrap();
        assert_eq!(commits.len(), 5);
        let parallel = threads.parallel();
        let report = again.store().unwrap().verify(&*parallel, &mut |_, _| {});
        let report = report.unwrap();
        assert_eq!(report.difference, None);
        assert_eq!(report.payments, size.all_payments());
    }
}
