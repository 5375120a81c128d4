//! `mvb bench miner`: what the whole miner makes of its kernel. Three figures: the rate it reports
//! while it searches for what it will not find, against that of its search threads alone; blocks
//! a second where they come faster than the disk, against what the rate allows; and how soon it
//! answers others while it mines on all cores.

#![allow(
    clippy::disallowed_methods,
    reason = "a benchmark reads the monotonic clock"
)]

use super::{
    client::Client,
    clock::pinned,
    funds::Funds,
    processes::{self, Bed, PATIENCE},
    share::Share,
    stop,
    turns::{Contestant, Pool, median},
};
use crate::{
    args,
    context::Context,
    exit::{Exit, UsageError},
    output,
};
use anyhow::{Context as _, Result, ensure};
use mvb_actors::search::PoolSearcher;
use mvb_kernels::Kernel;
use mvb_protocol::{
    params::ChainParams,
    target::Target,
    wire::{GetBlocks, GetHeaders, Request, Response},
};
use serde::Serialize;
use std::{
    fmt,
    time::{Duration, Instant},
};

/// Turns of the rate that the miner reports, and of its search threads alone.
const TURNS: usize = 7;

/// The length of a turn: after a second the miner reports for the first time.
const TURN: Duration = Duration::from_secs(1);

/// The difficulty at which one thread of a fast kernel finds hundreds of blocks a second.
const FAST: u8 = 18;

/// The difficulty at which others are answered: several blocks a second on all cores.
const BUSY: u8 = 26;

/// Payments in the block that others ask for.
const PAYMENTS: usize = 1_000;

/// Connections, and as many requests on one.
const REQUESTS: usize = 1_000;

/// Measures and reports.
pub fn run(context: &Context, miner: &args::BenchMiner) -> Result<Exit> {
    let kernel = match miner.kernel.as_deref() {
        Some(name) => Kernel::by_name(name).map_err(|error| UsageError(error.to_string()))?,
        None => Kernel::best(),
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    context.output.hint(format_args!(
        "about {} s: the rate reported, blocks at difficulty {FAST}, answers while {} mine",
        2 * TURNS + usize::from(miner.seconds) + 15,
        output::count(cores as u64, "thread"),
    ));
    let rate = rate(kernel)?;
    let length = Duration::from_secs(miner.seconds.into());
    let (blocks, answers) = processes::run(async {
        Ok((blocks(kernel, length).await?, answers(kernel, cores).await?))
    })?;
    context.output.report(&Report {
        kernel: kernel.name(),
        rate,
        blocks,
        answers,
    })?;
    Ok(Exit::Done)
}

/// What a miner with one thread says of its rate, and what the thread does without a miner.
fn rate(kernel: &'static Kernel) -> Result<Rate> {
    let mut alone = Pool::new(kernel, 1)?;
    let mut turns = Vec::new();
    for _ in 0..TURNS {
        let searching = alone.turn(TURN).mhs_wall();
        turns.push((reported(kernel)? / 1e6, searching));
    }
    Ok(Rate {
        reported_mhs: median(turns.iter().map(|(reported, _)| *reported)),
        kernel_mhs: median(turns.iter().map(|(_, searching)| *searching)),
        ratio: median(
            turns
                .iter()
                .map(|(reported, searching)| reported / searching),
        ),
    })
}

/// The first rate that a new miner reports, with jobs it will not solve.
fn reported(kernel: &'static Kernel) -> Result<f64> {
    let params = ChainParams {
        block_size: 1,
        ..ChainParams::default()
    };
    actix_rt::System::new().block_on(async {
        let pool = pinned(|| PoolSearcher::new(1, kernel));
        let pool = pool.context("cannot start the search threads")?;
        let (observer, _) = tokio::sync::mpsc::unbounded_channel();
        let (_chain, view) = stop::cast(&params, pool, observer)?;
        let mut mining = view.mining.subscribe();
        let shown = mining.wait_for(|mining| mining.hashes_per_second > 0.0);
        let shown = tokio::time::timeout(PATIENCE, shown).await;
        let shown = shown.context("the miner reports no rate")??;
        Ok(shown.hashes_per_second)
    })
}

/// How many blocks a miner with one thread finds, and how many its rate allows.
async fn blocks(kernel: &'static Kernel, length: Duration) -> Result<Blocks> {
    let params = ChainParams {
        network_name: "blocks".to_owned(),
        difficulty: FAST,
        block_size: 1,
        ..ChainParams::default()
    };
    let mut alone = Pool::new(kernel, 1)?;
    let before = alone.turn(TURN).mhs_wall();
    let bed = Bed::new(params)?;
    let settings = [("kernel", kernel.name().to_owned())];
    let mut node = bed.start("miner", 1, &settings).await?;
    node.wait_for("mining", |event| event["state"] == "searching")
        .await?;
    let first = Client::connect(node.port, &bed.params)
        .await?
        .greeted
        .height;
    let began = Instant::now();
    tokio::time::sleep(length).await;
    let last = Client::connect(node.port, &bed.params)
        .await?
        .greeted
        .height;
    let passed = began.elapsed().as_secs_f64();
    node.check_alive()?;
    drop(node);
    let after = alone.turn(TURN).mhs_wall();
    let count = last.0.saturating_sub(first.0);
    let per_second = count as f64 / passed;
    let work = Target::from_difficulty(FAST).work().as_f64();
    let allowed_per_second = (before + after) / 2.0 * 1e6 / work;
    Ok(Blocks {
        difficulty: FAST,
        count,
        per_second,
        allowed_per_second,
        ratio: per_second / allowed_per_second,
    })
}

/// How long others wait for a miner that searches with a thread for each core.
async fn answers(kernel: &'static Kernel, threads: usize) -> Result<Answers> {
    let params = ChainParams {
        network_name: "answers".to_owned(),
        difficulty: BUSY,
        block_size: 1,
        block_reward: mvb_protocol::amount::Amount::from_units(1_000_000_000_000),
        ..ChainParams::default()
    };
    let funds = Funds::new(&params, 1, PAYMENTS)?;
    let block = funds.blocks.last().context("there are two blocks")?.id();
    let bed = Bed::new(params)?;
    bed.make_chain("miner", |store| funds.write(store))?;
    let settings = [("kernel", kernel.name().to_owned())];
    let mut node = bed.start("miner", threads, &settings).await?;
    node.wait_for("mining", |event| event["state"] == "searching")
        .await?;
    let mut connected = Vec::new();
    for _ in 0..REQUESTS {
        let began = Instant::now();
        Client::connect(node.port, &bed.params).await?;
        connected.push(began.elapsed());
    }
    let headers = Request::GetHeaders(GetHeaders {
        locator: vec![funds.blocks[0].header.previous],
        limit: 2_000,
    });
    let blocks = Request::GetBlocks(GetBlocks { ids: vec![block] });
    let mut answered = Vec::new();
    let mut client = Client::connect(node.port, &bed.params).await?;
    for number in 0..REQUESTS {
        let request = if number % 2 == 0 { &headers } else { &blocks };
        let began = Instant::now();
        let response = client.ask(request).await?;
        answered.push(began.elapsed());
        let is_answer = matches!(response, Response::Headers(_) | Response::Block(_));
        ensure!(is_answer, "got {response:?} for a request");
    }
    node.check_alive()?;
    Ok(Answers {
        threads,
        difficulty: BUSY,
        connections: Share::millis(connected),
        requests: Share::millis(answered),
    })
}

/// What was measured.
#[derive(Serialize)]
struct Report {
    kernel: &'static str,
    rate: Rate,
    blocks: Blocks,
    answers: Answers,
}

/// Of one thread, in millions of hashes a second.
#[derive(Serialize)]
struct Rate {
    reported_mhs: f64,
    kernel_mhs: f64,
    ratio: f64,
}

/// Of one thread.
#[derive(Serialize)]
struct Blocks {
    difficulty: u8,
    count: u64,
    per_second: f64,
    allowed_per_second: f64,
    ratio: f64,
}

/// In milliseconds.
#[derive(Serialize)]
struct Answers {
    threads: usize,
    difficulty: u8,
    connections: Share,
    requests: Share,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            kernel,
            rate,
            blocks,
            answers,
        } = self;
        writeln!(
            f,
            "the miner reports {:.1} MH/s with one thread of {kernel}; the thread alone does {:.1}: ratio {:.3}",
            rate.reported_mhs, rate.kernel_mhs, rate.ratio
        )?;
        writeln!(
            f,
            "at difficulty {} it finds {:.1} blocks a second of the {:.1} that its rate allows: ratio {:.3}",
            blocks.difficulty, blocks.per_second, blocks.allowed_per_second, blocks.ratio
        )?;
        writeln!(
            f,
            "\nmilliseconds while {} mine at difficulty {}, {REQUESTS} each\n",
            output::count(answers.threads as u64, "thread"),
            answers.difficulty
        )?;
        writeln!(f, "{:<52}{:>9}{:>9}{:>9}", "", "p50", "p99", "max")?;
        for (what, Share { p50, p99, max }) in [
            ("a connection and its Hello", &answers.connections),
            ("headers, or a block of 1,000 payments", &answers.requests),
        ] {
            writeln!(f, "{what:<52}{p50:>9.2}{p99:>9.2}{max:>9.2}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_miner_reports_a_rate() {
        let kernel = Kernel::by_name("portable").unwrap();
        assert!(reported(kernel).unwrap() > 0.0);
    }
}
