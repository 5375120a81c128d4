//! `mvb bench sync`: how fast a node brings in a long chain. A real node process fetches a
//! generated chain from another over the loopback network, verifies and stores all of it;
//! compared with nothing but the verification of the same signatures on all cores.

#![allow(
    clippy::disallowed_methods,
    reason = "a benchmark reads the monotonic clock"
)]

mod report;

use super::{
    generated::{Generated, Size},
    programs::{Ports, Program},
};
use crate::{args, context::Context, exit::Exit, output, progress::Progress};
use anyhow::{Context as _, Result, bail};
use mvb_actors::env::Workers;
use mvb_node::{home::Home, system::ThreadWorkers};
use mvb_protocol::{
    chain::{ChainSnapshot, ChainStore},
    numbers::Height,
    transaction::Transaction,
};
use mvb_storage::LmdbStore;
use report::{Report, Sample};
use std::{
    fs,
    path::Path,
    thread,
    time::{Duration, Instant},
};

/// How often the syncing process is looked at.
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

/// How long its chain may stand still.
const PATIENCE: Duration = Duration::from_secs(60);

/// How many payments are read before they are verified together.
const CHUNK_PAYMENTS: usize = 20_000;

/// Measures and reports.
pub fn run(context: &Context, sync: &args::BenchSync) -> Result<Exit> {
    let size = Size {
        blocks: sync.blocks,
        payments: sync.transactions_per_block,
    };
    let place = super::Place::new(sync.dir.as_deref())?;
    let threads = ThreadWorkers::new()?;
    let mut progress = Progress::new(&context.output);
    context.output.hint(format_args!(
        "making a chain of {} with {} in {}",
        output::count(size.blocks, "block"),
        output::count(size.all_payments(), "payment"),
        place.path().display()
    ));
    let chain =
        Generated::find_or_make(&place.path().join("serving"), size, &threads, &mut progress)?;
    let store = chain.store()?;

    // Half of the comparison before and half after, as machines change their speed.
    context
        .output
        .hint("verifying the first half of the signatures");
    let half = size.blocks / 2;
    let mut verification = verify(&store, &threads, 1..=half, size, &mut progress)?;
    context.output.hint("synchronising blocks");
    let synced = synchronise(&chain, place.path(), &mut progress)?;
    context
        .output
        .hint("verifying the second half of the signatures");
    verification += verify(
        &store,
        &threads,
        half + 1..=size.blocks,
        size,
        &mut progress,
    )?;

    let report = Report::new(size, &synced, verification);
    context.output.report(&report)?;
    Ok(Exit::Done)
}

/// How long the signatures of some blocks take on all cores; reading them is not counted.
fn verify(
    store: &LmdbStore,
    threads: &ThreadWorkers,
    heights: std::ops::RangeInclusive<u64>,
    size: Size,
    progress: &mut Progress,
) -> Result<Duration> {
    let parallel = threads.parallel();
    let mut took = Duration::ZERO;
    let mut waiting: Vec<Transaction> = Vec::new();
    let last = *heights.end();
    for height in heights {
        waiting.extend(block_payments(&*store.snapshot()?, Height(height))?);
        if waiting.len() < CHUNK_PAYMENTS && height < last {
            continue;
        }
        let began = Instant::now();
        parallel.for_each(waiting.len(), &|i| {
            let checked = std::hint::black_box(&waiting[i]).check_signature();
            checked.expect("the generated payments are signed");
        });
        took += began.elapsed();
        waiting.clear();
        progress.set(height, size.blocks, "verifying blocks");
    }
    progress.clear();
    Ok(took)
}

fn block_payments(chain: &dyn ChainSnapshot, height: Height) -> Result<Vec<Transaction>> {
    let id = chain.active_id(height)?;
    let block = id.map(|id| chain.block(&id)).transpose()?.flatten();
    Ok(block.context("a generated block is missing")?.transactions)
}

/// What was seen of a synchronisation.
struct Synced {
    samples: Vec<Sample>,
    most_memory: Option<u64>,
    processor_time: Option<f64>,
    serving_time: Option<f64>,
    file_bytes: u64,
}

/// Lets a new node fetch the chain from a node that serves it.
fn synchronise(chain: &Generated, folder: &Path, progress: &mut Progress) -> Result<Synced> {
    let home = folder.join("syncing");
    if home.exists() {
        fs::remove_dir_all(&home)?;
    }
    let (home, _) = Home::open_or_create(&home)?;
    let ports = Ports::free().context("no free port on the loopback network")?;
    let (params, tip) = (&chain.params, chain.tip);
    let port = format!("block_server_port={}", ports.blocks);
    let peer = format!("peers=127.0.0.1:{}", ports.blocks);
    let arguments = ["--set", &port, "miner", "--threads", "1"];
    let mut serving = Program::start("server", chain.home.path(), params, &ports, &arguments)?;
    serving.until_serving(ports.blocks)?;
    let served_before = serving.processor_time();

    let began = Instant::now();
    let arguments = ["--set", &peer, "wallet", "sync"];
    let mut syncing = Program::start("node", home.path(), params, &ports, &arguments)?;
    let mut store: Option<LmdbStore> = None;
    let mut samples = vec![Sample::default()];
    let mut most_memory = None;
    loop {
        thread::sleep(BETWEEN_LOOKS);
        if store.is_none() {
            store = home.read_chain(params)?;
        }
        let height = match &store {
            Some(store) => store.snapshot()?.tip()?.height.0,
            None => 0,
        };
        let (at, last) = (began.elapsed(), samples[samples.len() - 1]);
        most_memory = most_memory.max(syncing.anonymous_memory());
        if height > last.height {
            samples.push(Sample { at, height });
            progress.set(height, tip.height.0, "synchronising blocks");
        } else if at > last.at + PATIENCE {
            bail!("nothing was fetched for {} s", PATIENCE.as_secs());
        }
        if height == tip.height.0 {
            break;
        }
        serving.check_alive()?;
        syncing.check_alive()?;
    }
    progress.clear();
    let file = home.chain_folder(params.genesis_id()).join("data.mdb");
    let spent = serving.processor_time().zip(served_before);
    Ok(Synced {
        samples,
        most_memory,
        processor_time: syncing.processor_time(),
        serving_time: spent.map(|(now, before)| now - before),
        file_bytes: fs::metadata(file)?.len(),
    })
}
