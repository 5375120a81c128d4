//! `mvb bench store`: what a look-up, a commit and a start cost on a short chain and on a long
//! one. The chains are generated and written through the real store; what a whole program takes
//! is measured on real processes.

#![allow(
    clippy::disallowed_methods,
    reason = "a benchmark reads the monotonic clock"
)]

mod report;

use super::{
    generated::{Generated, Size},
    interrupt::Interrupt,
    programs::{Ports, Program, command},
};
use crate::{args, context::Context, exit::Exit, output, progress::Progress};
use anyhow::{Context as _, Result, bail};
use mvb_node::{
    home::{Home, Role},
    system::ThreadWorkers,
    wallet::KeyStore,
};
use mvb_protocol::{
    address::Address,
    chain::{ChainSnapshot, ChainStore, StoreError},
    hash::{BlockId, TxId, sha256},
    keys::Curve,
    numbers::Height,
};
use mvb_storage::LmdbStore;
use report::{ChainLine, Lookups, Report, median};
use std::{
    fs,
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

/// The short chain.
const SHORT: u64 = 10_000;

/// How often each look-up is made, in rounds of which the median counts; the chains take turns.
const ROUNDS: usize = 31;
const PER_ROUND: u64 = 2_000;

/// The entries of a page of an address's history.
const PAGE: usize = 25;

/// How many blocks are committed one by one, and taken back.
const COMMITS: u64 = 100;

/// How many keys the listed wallet has.
const KEYS: usize = 10;

/// How often a program is run.
const RUNS: usize = 15;

/// Measures and reports.
pub fn run(context: &Context, store: &args::BenchStore, interrupt: &Interrupt) -> Result<Exit> {
    let place = super::Place::new(store.dir.as_deref())?;
    let threads = ThreadWorkers::new()?;
    let mut progress = Progress::new(&context.output);
    let size = |blocks| Size {
        blocks,
        payments: store.transactions_per_block,
    };
    let sizes = [("short", size(SHORT)), ("serving", size(store.blocks))];
    // As many accounts in both, so that what differs is the length.
    let people = Generated::usual_people(size(store.blocks)).min(size(SHORT).all_payments());
    let mut chains = Vec::new();
    for (name, size) in sizes {
        context.output.hint(format_args!(
            "making a chain of {}",
            output::count(size.blocks, "block")
        ));
        let folder = place.path().join(name);
        let chain =
            Generated::find_or_make_of(&folder, size, people, &threads, &mut progress, interrupt)?;
        chains.push((size, chain));
    }
    context.output.hint("looking things up");
    let samples: Vec<_> = chains
        .iter()
        .map(|(size, chain)| Sample::of(*size, chain))
        .collect::<Result<_>>()?;
    let lookups = lookups(&samples, interrupt)?;
    drop(samples);
    let mut lines = Vec::new();
    for ((size, chain), lookups) in chains.iter().zip(lookups) {
        interrupt.check()?;
        let file = chain.home.chain_folder(chain.params.genesis_id());
        let file_bytes = fs::metadata(file.join("data.mdb"))?.len();
        let commits = chain.commit_one_by_one(*size, COMMITS, &threads)?;
        lines.push(ChainLine::new(*size, lookups, &commits, file_bytes));
    }
    context.output.hint("starting programs");
    let empty = place.path().join("empty");
    let mut homes = vec![empty_home(&empty, &chains[1].1)?];
    for (_, chain) in &chains {
        make_keys(chain.home.path())?;
    }
    homes.extend(chains.iter().map(|(_, chain)| chain.home.clone()));
    let params = [1, 0, 1].map(|at| &chains[at].1.params);
    let mut listing: [Vec<Duration>; 3] = Default::default();
    let mut starting: [Vec<Duration>; 3] = Default::default();
    // In turns, as machines change their speed.
    for _ in 0..RUNS {
        for at in 0..homes.len() {
            interrupt.check()?;
            listing[at].push(list_addresses(&homes[at], params[at])?);
            starting[at].push(start(&homes[at], params[at])?);
        }
    }
    let [empty, short, long] = [0, 1, 2].map(|at| {
        let seconds = |runs: &[Duration]| median(runs.iter().map(Duration::as_secs_f64));
        (seconds(&listing[at]), seconds(&starting[at]))
    });
    for (line, (listing, starting)) in lines.iter_mut().zip([short, long]) {
        (line.list_addresses_seconds, line.start_seconds) = (listing, starting);
    }
    context
        .output
        .report(&Report::new(store.transactions_per_block, empty, lines))?;
    Ok(Exit::Done)
}

/// What is looked up in a chain, spread over all of it.
struct Sample<'a> {
    chain: &'a Generated,
    store: LmdbStore,
    blocks: Vec<(Height, BlockId, TxId)>,
}

impl<'a> Sample<'a> {
    fn of(size: Size, chain: &'a Generated) -> Result<Self> {
        let store = chain.store()?;
        let blocks = (0..PER_ROUND).map(|number| {
            let height = Height(2 + draw(number) % (size.blocks - 1));
            let snapshot = store.snapshot()?;
            let id = snapshot.active_id(height)?.context("a block is missing")?;
            let block = snapshot.block(&id)?.context("a block is missing")?;
            let ids = block.transaction_ids();
            let payment = ids.first().context("a block has no payment")?;
            Ok((height, id, *payment))
        });
        let blocks = blocks.collect::<Result<_>>()?;
        Ok(Self {
            chain,
            store,
            blocks,
        })
    }

    fn address(&self, number: usize) -> Address {
        self.chain.address(draw(number as u64))
    }
}

/// A number that says nothing of the next.
fn draw(number: u64) -> u64 {
    let bytes = sha256(&[&number.to_be_bytes()]);
    u64::from_be_bytes(bytes[..8].try_into().expect("a hash has more than 8 bytes"))
}

/// Looks one thing up, by its number in the sample, and says whether it was there.
type Look<'l> = &'l dyn Fn(&Sample, &dyn ChainSnapshot, usize) -> Result<bool, StoreError>;

/// Each look-up in a snapshot of its own, as a program makes it.
fn lookups(samples: &[Sample], interrupt: &Interrupt) -> Result<Vec<Lookups>> {
    let time = |look: Look<'_>| -> Result<Vec<f64>> {
        let mut rounds = vec![Vec::new(); samples.len()];
        for _ in 0..ROUNDS {
            interrupt.check()?;
            for (sample, rounds) in samples.iter().zip(&mut rounds) {
                let began = Instant::now();
                for number in 0..sample.blocks.len() {
                    if !look(sample, &*sample.store.snapshot()?, number)? {
                        bail!("a look-up found nothing");
                    }
                }
                rounds.push(began.elapsed().as_secs_f64() * 1e6 / sample.blocks.len() as f64);
            }
        }
        Ok(rounds
            .into_iter()
            .map(|rounds| median(rounds.into_iter()))
            .collect())
    };
    let balance = time(&|sample, chain, at| {
        let account = chain.account(&sample.address(at))?;
        Ok(account.balance.units() > 0)
    })?;
    let block_by_height = time(&|sample, chain, at| {
        let id = chain.active_id(sample.blocks[at].0)?;
        Ok(id.map(|id| chain.block(&id)).transpose()?.is_some())
    })?;
    let block_by_id = time(&|sample, chain, at| Ok(chain.block(&sample.blocks[at].1)?.is_some()))?;
    let transaction = time(&|sample, chain, at| {
        let location = chain.transaction(&sample.blocks[at].2)?;
        Ok(location.is_some())
    })?;
    let history_page = time(&|sample, chain, at| {
        let page = chain.history(&sample.address(at), None, PAGE)?;
        Ok(!page.is_empty())
    })?;
    let of = |at: usize| Lookups {
        balance: balance[at],
        block_by_height: block_by_height[at],
        block_by_id: block_by_id[at],
        transaction: transaction[at],
        history_page: history_page[at],
    };
    Ok((0..samples.len()).map(of).collect())
}

/// A home of the same network whose chain is empty.
fn empty_home(folder: &Path, like: &Generated) -> Result<Home> {
    let (home, _) = Home::open_or_create(folder)?;
    let lock = home.lock(Role::Wallet)?;
    drop(home.open_chain(&like.params, &lock)?);
    make_keys(folder)?;
    Ok(home)
}

fn make_keys(home: &Path) -> Result<()> {
    let keys = KeyStore::new(home);
    for number in 0..KEYS {
        keys.find_or_create(&format!("key_{number}").parse()?, Curve::P256)?;
    }
    Ok(())
}

/// How long the whole program takes.
fn list_addresses(home: &Home, params: &mvb_protocol::params::ChainParams) -> Result<Duration> {
    let ports = Ports::free()?;
    let mut command = command(home.path(), params, &ports)?;
    command.args(["wallet", "list-addresses"]);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let began = Instant::now();
    let status = command.stderr(Stdio::null()).status()?;
    let took = began.elapsed();
    if !status.success() {
        bail!("mvb wallet list-addresses ended with {status}");
    }
    Ok(took)
}

/// How long a node takes until others can connect to it.
fn start(home: &Home, params: &mvb_protocol::params::ChainParams) -> Result<Duration> {
    let ports = Ports::free()?;
    let port = format!("block_server_port={}", ports.blocks);
    let arguments = ["--set", &port, "miner", "--threads", "1"];
    let began = Instant::now();
    let mut node = Program::start("node", home.path(), params, &ports, &arguments)?;
    node.until_serving(ports.blocks)?;
    Ok(began.elapsed())
}
