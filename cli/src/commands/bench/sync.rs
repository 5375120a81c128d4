//! `mvb bench sync`: how fast a node brings in a long chain. A real node process fetches a
//! generated chain from another over the loopback network, verifies and stores all of it;
//! compared with nothing but the verification of the same signatures on all cores, in turns.

#![allow(
    clippy::disallowed_methods,
    reason = "a benchmark reads the monotonic clock"
)]

mod report;

use super::{
    generated::{Generated, Size},
    interrupt::Interrupt,
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
    validate::Parallel,
};
use mvb_storage::LmdbStore;
use report::{Report, Sample};
use std::{
    fs,
    path::Path,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

/// How often the syncing process is looked at.
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

/// How long its chain may stand still.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long is fetched before what came is verified alone. That takes less, so that both nodes
/// are held for less than their peers may be silent.
const TURN: Duration = Duration::from_secs(3);

/// Measures and reports.
pub fn run(context: &Context, sync: &args::BenchSync, interrupt: &Interrupt) -> Result<Exit> {
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
    let folder = place.path().join("serving");
    let chain = Generated::find_or_make(&folder, size, &threads, &mut progress, interrupt)?;
    context
        .output
        .hint("synchronising, and in turns with it verifying the same signatures alone");
    let mut alone = Alone::new(&chain, &threads)?;
    let synced = synchronise(&chain, place.path(), &mut alone, &mut progress, interrupt)?;
    context.output.report(&Report::new(size, &synced, &alone))?;
    Ok(Exit::Done)
}

/// Nothing but the verification of the chain's signatures, on all cores. What machines do to
/// their speed from one minute to the next must not be taken for a difference, so that a part
/// is verified as soon as it was fetched, while the nodes are held.
struct Alone {
    store: LmdbStore,
    parallel: Arc<dyn Parallel + Send + Sync>,
    /// When the last turn was, by the clock of what is fetched.
    last: Duration,
    /// After each turn up to which height all are verified, and what that took; reading what is
    /// verified is not counted.
    samples: Vec<Sample>,
}

impl Alone {
    fn new(chain: &Generated, threads: &ThreadWorkers) -> Result<Self> {
        Ok(Self {
            store: chain.store()?,
            parallel: threads.parallel(),
            last: Duration::ZERO,
            samples: vec![Sample::default()],
        })
    }

    fn reached(&self) -> Sample {
        self.samples.last().copied().unwrap_or_default()
    }

    /// Verifies what was fetched since the last turn.
    fn turn(&mut self, height: u64) -> Result<()> {
        let before = self.reached();
        let mut payments: Vec<Transaction> = Vec::new();
        for height in before.height + 1..=height {
            payments.extend(block_payments(&*self.store.snapshot()?, Height(height))?);
        }
        let began = Instant::now();
        self.parallel.for_each(payments.len(), &|i| {
            let payment = std::hint::black_box(&payments[i]);
            let verified = payment
                .key
                .verify_afresh(&payment.signed_bytes(), &payment.signature);
            verified.expect("the generated payments are signed");
        });
        let at = before.at + began.elapsed();
        self.samples.push(Sample { at, height });
        Ok(())
    }
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
fn synchronise(
    chain: &Generated,
    folder: &Path,
    alone: &mut Alone,
    progress: &mut Progress,
    interrupt: &Interrupt,
) -> Result<Synced> {
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
    let mut held = Duration::ZERO;
    loop {
        thread::sleep(BETWEEN_LOOKS);
        interrupt.check()?;
        if store.is_none() {
            store = home.read_chain(params)?;
        }
        let height = match &store {
            Some(store) => store.snapshot()?.tip()?.height.0,
            None => 0,
        };
        let (at, last) = (began.elapsed() - held, samples[samples.len() - 1]);
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
        if at >= alone.last + TURN {
            // Both stand still before the clock does.
            syncing.hold()?;
            serving.hold()?;
            let holding = Instant::now();
            alone.turn(height)?;
            serving.go_on()?;
            syncing.go_on()?;
            held += holding.elapsed();
            alone.last = at;
        }
    }
    alone.turn(tip.height.0)?;
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
