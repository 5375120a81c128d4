//! `mvb bench stop`: how long mining goes on after the ChainManager found a better chain
//! valid, until the last search thread has left its job, and until the first nonce of the next
//! job is tried; through the real ChainManager, Miner and search pool, with jobs that will not
//! be solved.

#![allow(
    clippy::disallowed_methods,
    reason = "a benchmark reads the monotonic clock"
)]

mod world;

use super::share::Share;
use crate::{args, context::Context as Command, exit::Exit, output};
use actix::prelude::*;
use anyhow::{Context as _, Result};
use mvb_actors::{
    chain_manager::{ChainManager, ChainPorts},
    env::{Env, NoOutbox, RandomStream},
    messages::SubmitBlock,
    miner::{Miner, MinerConfig, MinerPorts},
    search::{Moment, PoolSearcher},
    verified_cache::VerifiedCache,
    view::View,
};
use mvb_kernels::Kernel;
use mvb_node::system::{SystemClock, ThreadWorkers};
use mvb_protocol::{address::Address, chain::Tip, params::ChainParams, wire::NodeId};
use mvb_storage::MemoryStore;
use serde::Serialize;
use std::{
    fmt,
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use world::{EmptyMempool, NoNetwork, Probe, Unsolvable, blocks};

/// How long threads are waited for that the machine has no core for.
const PATIENCE: Duration = Duration::from_secs(5);

/// Measures and reports.
pub fn run(command: &Command, stop: &args::BenchStop) -> Result<Exit> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut threads = vec![1, cores, 2 * cores];
    threads.dedup();
    let lines = threads.into_iter().map(|threads| {
        command.output.hint(format_args!(
            "announcing {} to {}",
            output::count(stop.announcements, "block"),
            output::count(threads as u64, "search thread"),
        ));
        let samples = actix_rt::System::new().block_on(measure(threads, stop.announcements))?;
        Ok(ThreadsLine {
            threads,
            stopped: Share::micros(samples.iter().map(|sample| sample.stopped)),
            next: Share::micros(samples.iter().map(|sample| sample.next)),
        })
    });
    let threads = lines.collect::<Result<_>>()?;
    command.output.report(&Report {
        kernel: Kernel::best().name(),
        cores,
        announcements: stop.announcements,
        threads,
    })?;
    Ok(Exit::Done)
}

/// One announcement.
struct Sample {
    stopped: Duration,
    next: Duration,
}

/// Announces one block after the other to a miner with so many search threads.
async fn measure(threads: usize, announcements: u32) -> Result<Vec<Sample>> {
    let params = ChainParams {
        difficulty: 1,
        block_size: 1,
        ..ChainParams::default()
    };
    let (observed, moments) = unbounded_channel();
    let observer = move |moment| {
        // Nobody listens any more once the measurement is over.
        let _ = observed.send((moment, Instant::now()));
    };
    let pool = PoolSearcher::observed(threads, Kernel::best(), Box::new(observer))
        .context("cannot start the search threads")?;
    let mut moments = Moments { moments, threads };
    let (announced, mut announcements_made) = unbounded_channel();
    let (chain, _) = cast(&params, pool, announced)?;

    // The threads must be in a job before it is taken from them.
    moments.all_begun().await?;
    let mut samples = Vec::new();
    for block in blocks(&params, announcements) {
        chain
            .send(SubmitBlock {
                block: block.into(),
            })
            .await??;
        let announced = announcements_made.recv().await;
        let announced = announced.context("a valid block was not announced")?;
        let (stopped, next) = moments.all_begun().await?;
        let stopped = stopped.context("the search was not stopped")?;
        samples.push(Sample {
            stopped: stopped.saturating_duration_since(announced),
            next: next.saturating_duration_since(announced),
        });
    }
    Ok(samples)
}

/// What the search threads say.
struct Moments {
    moments: UnboundedReceiver<(Moment, Instant)>,
    threads: usize,
}

impl Moments {
    /// Waits until all threads are in a new job. Says when the last had left the one before,
    /// and when the first tried the new one.
    async fn all_begun(&mut self) -> Result<(Option<Instant>, Instant)> {
        let (mut idle, mut first, mut begun) = (None, None, 0);
        loop {
            let moment = tokio::time::timeout(PATIENCE, self.moments.recv()).await;
            let moment = moment.context("the search threads get no processor time")?;
            match moment.context("the search has ended")? {
                (Moment::Idle, at) => idle = Some(at),
                (Moment::Begun, at) => {
                    begun += 1;
                    let first = *first.get_or_insert(at);
                    if begun == self.threads {
                        return Ok((idle, first));
                    }
                }
            }
        }
    }
}

/// A ChainManager and a Miner, each told and observed as in a node, and what they show. Jobs
/// are never solved.
pub(super) fn cast(
    params: &ChainParams,
    pool: PoolSearcher,
    announced: UnboundedSender<Instant>,
) -> Result<(Addr<ChainManager>, Rc<View>)> {
    let env = Env {
        params: Arc::new(params.clone()),
        node: NodeId([0; 16]),
        net: Rc::new(NoNetwork),
        clock: Rc::new(SystemClock),
        random: Rc::new(RandomStream::new(1, 1)),
        store: Arc::new(MemoryStore::new(params.clone())),
        outbox: Arc::new(NoOutbox),
        verified: Arc::new(VerifiedCache::default()),
        workers: Rc::new(ThreadWorkers::new()?),
        searcher: Rc::new(Unsolvable(pool)),
        view: Rc::new(View::new(Tip::genesis(params.genesis_id()))),
    };
    let intake = EmptyMempool { env: env.clone() }.start();
    let miner_context = Context::<Miner>::new();
    let probe = Probe(announced, miner_context.address().recipient()).start();
    let chain_ports = ChainPorts {
        miner: Some(probe.recipient()),
        listeners: Vec::new(),
    };
    let chain = ChainManager::new(env.clone(), chain_ports)?.start();
    let ports = MinerPorts {
        intake: intake.recipient(),
        chain: chain.clone().recipient(),
    };
    let config = MinerConfig {
        reward_to: Address([2; 32]),
        listen: Duration::ZERO,
    };
    let view = env.view.clone();
    miner_context.run(Miner::new(env, config, ports)?);
    Ok((chain, view))
}

/// What was measured.
#[derive(Serialize)]
struct Report {
    kernel: &'static str,
    cores: usize,
    announcements: u32,
    threads: Vec<ThreadsLine>,
}

#[derive(Serialize)]
struct ThreadsLine {
    threads: usize,
    stopped: Share,
    next: Share,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "microseconds from the announcement of a better chain, kernel {}, {}, {} each\n",
            self.kernel,
            output::count(self.cores as u64, "core"),
            output::count(self.announcements, "announcement"),
        )?;
        writeln!(
            f,
            "{:<8}{:>36}{:>36}",
            "", "to the last thread stopped", "to the next job's first nonce"
        )?;
        writeln!(
            f,
            "{:<8}{:>12}{:>12}{:>12}{:>12}{:>12}{:>12}",
            "threads", "p50", "p99", "max", "p50", "p99", "max"
        )?;
        for ThreadsLine {
            threads,
            stopped,
            next,
        } in &self.threads
        {
            write!(f, "{threads:<8}")?;
            for value in [
                stopped.p50,
                stopped.p99,
                stopped.max,
                next.p50,
                next.p99,
                next.max,
            ] {
                write!(f, "{value:>12.1}")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_announcement_stops_the_search_and_begins_the_next() {
        let samples = actix_rt::System::new().block_on(measure(1, 5)).unwrap();
        assert_eq!(samples.len(), 5);
        assert!(samples.iter().all(|sample| sample.next > Duration::ZERO));
    }
}
