//! Runs the simulator over many seeds: `simulate --seeds N [--from S] [--threads T] [--twice]
//! [--aloud]`. It prints the figures of the whole, and each failure with the command that
//! replays just its seed; the exit code is 1 when there was one.

use mvb_tests::simulation::{Failure, Report, run_many};
use std::{
    process::ExitCode,
    sync::atomic::{AtomicU64, Ordering},
};

const USAGE: &str = "usage: simulate --seeds N [--from S] [--threads T] [--twice] [--aloud]";

struct Options {
    seeds: u64,
    from: u64,
    threads: usize,
    twice: bool,
    aloud: bool,
}

fn main() -> ExitCode {
    let options = match options() {
        Ok(options) => options,
        Err(error) => {
            eprintln!("{error}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    if options.aloud {
        tracing_subscriber::fmt()
            .with_env_filter("mvb_actors=debug")
            .without_time()
            .with_writer(std::io::stderr)
            .init();
    }
    let started = tokio::time::Instant::now();
    let seeds = options.from..options.from.saturating_add(options.seeds);
    let threads = if options.aloud { 1 } else { options.threads };
    let failed = AtomicU64::new(0);
    let tell = |failure: &Failure| {
        failed.fetch_add(1, Ordering::Relaxed);
        println!("{failure}");
    };
    let reports = run_many(seeds.clone(), threads, options.aloud, &tell);
    if options.twice {
        let again = run_many(seeds, threads, false, &tell);
        for (first, second) in reports.iter().zip(&again) {
            if first != second {
                failed.fetch_add(1, Ordering::Relaxed);
                println!("seed {} is not repeatable", first.seed);
            }
        }
    }
    let failed = failed.into_inner();
    summarise(&reports, failed, started.elapsed().as_secs_f64());
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn options() -> Result<Options, String> {
    let mut options = Options {
        seeds: 1,
        from: 0,
        threads: std::thread::available_parallelism().map_or(1, usize::from),
        twice: false,
        aloud: false,
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut number = || {
            let value = arguments.next().unwrap_or_default();
            value
                .parse::<u64>()
                .map_err(|_| format!("{argument} is {value:?}, expected a number"))
        };
        match argument.as_str() {
            "--seeds" => options.seeds = number()?,
            "--from" => options.from = number()?,
            "--threads" => options.threads = usize::try_from(number()?.clamp(1, 256)).unwrap_or(1),
            "--twice" => options.twice = true,
            "--aloud" => options.aloud = true,
            _ => return Err(format!("unknown argument {argument:?}")),
        }
    }
    Ok(options)
}

fn summarise(reports: &[Report], failed: u64, seconds: f64) {
    let sum = |of: fn(&Report) -> u64| reports.iter().map(of).sum::<u64>();
    let most = |of: fn(&Report) -> f64| reports.iter().map(of).fold(0.0, f64::max);
    println!(
        "{} seeds in {seconds:.1} s ({:.1}/s), {failed} failed",
        reports.len(),
        reports.len() as f64 / seconds
    );
    println!(
        "blocks {}, payments {} of which {} confirmed, reorgs {} (deepest {})",
        sum(|r| r.height),
        sum(|r| r.payments as u64),
        sum(|r| r.confirmed as u64),
        sum(|r| r.reorgs),
        most(|r| r.deepest_reorg as f64),
    );
    println!(
        "partitions {}, crashes {}, clock jumps {}, datagrams lost or doubled {}, events {}",
        sum(|r| r.partitions),
        sum(|r| r.crashes),
        sum(|r| r.clock_jumps),
        sum(|r| r.disturbed),
        sum(|r| r.events),
    );
    println!(
        "worst healing {:.2} s, worst settling {:.2} s (simulated)",
        most(|r| r.healed_after.as_secs_f64()),
        most(|r| r.settled_after.as_secs_f64()),
    );
    if let [only] = reports {
        println!("{only:#?}");
    }
}
