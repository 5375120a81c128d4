//! Runs the simulator over many seeds and prints the figures of the whole, and each failure
//! with the command that replays just its seed. `--mutants` runs it against seeded faults
//! instead, which it must find. The exit code is 1 when there was a failure, 2 when it was
//! asked for something it cannot do.

use mvb_tests::simulation::{Failure, Kind, Report, run_many};
use std::{
    collections::{BTreeMap, BTreeSet},
    process::ExitCode,
    sync::{Mutex, PoisonError},
};
use tokio::time::Instant;

const USAGE: &str =
    "usage: simulate --seeds N [--from S] [--profile P] [--threads T] [--twice] [--aloud]
       simulate --mutants [NAME] [--seeds N]";

/// How many seconds lie between two lines of progress.
const PROGRESS_SECONDS: f64 = 10.0;

/// How many seeds a mutant is given to be found.
const SEEDS_PER_MUTANT: u64 = 48;

struct Options {
    seeds: Option<u64>,
    from: u64,
    kind: Kind,
    threads: usize,
    twice: bool,
    aloud: bool,
    /// All mutants, or those whose name begins so.
    mutants: Option<String>,
}

fn main() -> ExitCode {
    if !cfg!(tokio_unstable) {
        eprintln!(
            "the simulator would not repeat by seed: it was built without `--cfg tokio_unstable`, which
.cargo/config.toml sets and a RUSTFLAGS variable replaces; unset RUSTFLAGS or add it there"
        );
        return ExitCode::from(2);
    }
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
    if let Some(name) = &options.mutants {
        return hunt(name, options.seeds.unwrap_or(SEEDS_PER_MUTANT), &options);
    }
    let started = Instant::now();
    let seeds = options.from..options.from.saturating_add(options.seeds.unwrap_or(1));
    let threads = if options.aloud { 1 } else { options.threads };
    let progress = Progress::new(seeds.clone(), &options);
    let tell = |end: &Result<Report, Failure>| progress.ended(end);
    let reports = run_many(seeds.clone(), options.kind, threads, options.aloud, &tell);
    let mut failed = progress.failed();
    if options.twice {
        let again = run_many(seeds, options.kind, threads, false, &|_| {});
        for (first, second) in reports.iter().zip(&again) {
            if first != second {
                failed += 1;
                println!("seed {} is not repeatable", first.seed);
            }
        }
    }
    summarise(&reports, failed, started.elapsed().as_secs_f64());
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn options() -> Result<Options, String> {
    let mut options = Options {
        seeds: None,
        from: 0,
        kind: Kind::Mixture,
        threads: std::thread::available_parallelism().map_or(1, usize::from),
        twice: false,
        aloud: false,
        mutants: None,
    };
    let mut arguments = std::env::args().skip(1).peekable();
    while let Some(argument) = arguments.next() {
        let mut number = || {
            let value = arguments.next().unwrap_or_default();
            value
                .parse::<u64>()
                .map_err(|_| format!("{argument} is {value:?}, expected a number"))
        };
        match argument.as_str() {
            "--seeds" => options.seeds = Some(number()?),
            "--from" => options.from = number()?,
            "--threads" => options.threads = usize::try_from(number()?.clamp(1, 256)).unwrap_or(1),
            "--profile" => {
                let name = arguments.next().unwrap_or_default();
                let names = Kind::ALL.map(|(_, name)| name).join(", ");
                options.kind = Kind::named(&name)
                    .ok_or(format!("profile {name:?} is unknown, there are: {names}"))?;
            }
            "--twice" => options.twice = true,
            "--aloud" => options.aloud = true,
            "--mutants" => {
                let name = arguments.next_if(|next| !next.starts_with("--"));
                options.mutants = Some(name.unwrap_or_default());
            }
            _ => return Err(format!("unknown argument {argument:?}")),
        }
    }
    Ok(options)
}

/// How far a long run has come.
struct Progress {
    started: Instant,
    state: Mutex<State>,
    seeds: u64,
    profile: &'static str,
}

struct State {
    failed: u64,
    ended: u64,
    /// The least seed that has not ended, and those above it that have.
    next: u64,
    beyond: BTreeSet<u64>,
    told: f64,
}

impl Progress {
    fn new(seeds: std::ops::Range<u64>, options: &Options) -> Self {
        Self {
            started: Instant::now(),
            state: Mutex::new(State {
                failed: 0,
                ended: 0,
                next: seeds.start,
                beyond: BTreeSet::new(),
                told: 0.0,
            }),
            seeds: seeds.end - seeds.start,
            profile: options.kind.name(),
        }
    }

    /// Tells of a failure at once, and now and then how to go on from here.
    fn ended(&self, end: &Result<Report, Failure>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let seed = match end {
            Ok(report) => report.seed,
            Err(failure) => {
                println!("{failure}");
                state.failed += 1;
                failure.seed
            }
        };
        state.ended += 1;
        state.beyond.insert(seed);
        while let next = state.next
            && state.beyond.remove(&next)
        {
            state.next += 1;
        }
        let seconds = self.started.elapsed().as_secs_f64();
        if seconds - state.told >= PROGRESS_SECONDS {
            state.told = seconds;
            let State {
                ended,
                failed,
                next,
                ..
            } = *state;
            eprintln!(
                "{ended} of {} seeds, {:.1} a second, {failed} failed; all below --from {next} --profile {} are done",
                self.seeds,
                ended as f64 / seconds,
                self.profile
            );
        }
    }

    fn failed(&self) -> u64 {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.failed
    }
}

fn summarise(reports: &[Report], failed: u64, seconds: f64) {
    let sum = |of: fn(&Report) -> u64| reports.iter().map(of).sum::<u64>();
    let most = |of: fn(&Report) -> f64| reports.iter().map(of).fold(0.0, f64::max);
    println!(
        "{} seeds in {seconds:.1} s ({:.1}/s), {failed} failed",
        reports.len() as u64 + failed,
        reports.len() as f64 / seconds
    );
    println!(
        "blocks {}, payments {} of which {} confirmed, reorgs {} (deepest {}), events {}",
        sum(|r| r.height),
        sum(|r| r.payments as u64),
        sum(|r| r.confirmed as u64),
        sum(|r| r.reorgs),
        most(|r| r.deepest_reorg as f64),
        sum(|r| r.events),
    );
    let mut faults: BTreeMap<&str, u64> = BTreeMap::new();
    let mut healing: BTreeMap<&str, (u64, f64)> = BTreeMap::new();
    for report in reports {
        for (fault, times) in &report.faults {
            *faults.entry(fault).or_default() += times;
        }
        let (runs, worst) = healing.entry(report.kind).or_default();
        *runs += 1;
        *worst = worst.max(report.healed_after.as_secs_f64());
    }
    let faults: Vec<String> = faults
        .iter()
        .map(|(fault, times)| format!("{fault} {times}"))
        .collect();
    println!("injected: {}", faults.join(", "));
    let healing: Vec<String> = healing
        .iter()
        .map(|(kind, (runs, worst))| format!("{kind} {worst:.2} s ({runs} runs)"))
        .collect();
    println!("worst healing (simulated): {}", healing.join(", "));
    println!(
        "worst settling {:.2} s (simulated)",
        most(|r| r.settled_after.as_secs_f64()),
    );
}

#[cfg(not(mvb_mutants))]
fn hunt(_: &str, _: u64, _: &Options) -> ExitCode {
    eprintln!(
        "this build has no mutants: RUSTFLAGS=\"--cfg tokio_unstable --cfg mvb_mutants\" cargo run --profile mutants --target-dir target/mutants -p mvb-tests --bin simulate -- --mutants"
    );
    ExitCode::from(2)
}

#[cfg(mvb_mutants)]
fn hunt(name: &str, seeds: u64, options: &Options) -> ExitCode {
    use mvb_tests::simulation::mutants::{hunt_all, why_not};
    let started = Instant::now();
    let hunted = hunt_all(name, seeds, options.kind, options.threads);
    let caught = hunted.iter().filter(|hunted| hunted.caught.is_some());
    println!(
        "{} of {} mutants caught in {:.1} s",
        caught.count(),
        hunted.len(),
        started.elapsed().as_secs_f64()
    );
    let escaped = |hunted: &&_| matches!(hunted, mvb_tests::simulation::mutants::Hunted { caught: None, mutant, .. } if why_not(*mutant).is_none());
    match hunted.iter().find(escaped) {
        None => ExitCode::SUCCESS,
        Some(hunted) => {
            println!(
                "{:?} escaped, and nobody has said why it may",
                hunted.mutant
            );
            ExitCode::FAILURE
        }
    }
}
