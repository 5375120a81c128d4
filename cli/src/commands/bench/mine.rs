//! `mvb bench mine`: every kernel that this CPU can run, and what it is compared with, in turns
//! through the search threads of `mvb miner`.

use super::{
    report::{Compared, KernelLine, NotRun, Report, expected},
    turns::{Contestant, Pool, Reference, Turn, median},
};
use crate::{
    args,
    context::Context,
    exit::{Exit, UsageError},
    output,
};
use anyhow::Result;
use mvb_kernels::Kernel;
use std::time::Duration;

/// Turns of each contestant: enough for a median that a bad moment does not move.
const TURNS: usize = 9;

/// A kernel's two pools and what they did.
struct Measured {
    kernel: &'static Kernel,
    one: Pool,
    all: Option<Pool>,
    one_turns: Vec<Turn>,
    all_turns: Vec<Turn>,
}

/// Measures and reports.
pub fn run(context: &Context, mine: &args::BenchMine) -> Result<Exit> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = mine.threads.unwrap_or(cores);
    let (mut kernels, not_run) = contestants(mine.kernel.as_deref(), threads)?;
    let pools = kernels.len() * if threads > 1 { 2 } else { 1 };
    let length = Duration::from_secs(mine.seconds.into()) / (TURNS * (pools + 2)) as u32;
    context.output.hint(format_args!(
        "measuring {} for about {} s",
        output::count(kernels.len() as u64, "kernel"),
        mine.seconds
    ));
    let mut digests = Vec::new();
    let mut midstates = Vec::new();
    for _ in 0..TURNS {
        digests.push(Reference::Digest.turn(length));
        for measured in &mut kernels {
            measured.one_turns.push(measured.one.turn(length));
        }
        midstates.push(Reference::Midstate.turn(length));
        for measured in &mut kernels {
            if let Some(all) = &mut measured.all {
                measured.all_turns.push(all.turn(length));
            }
        }
    }
    let lines: Vec<KernelLine> = kernels
        .iter()
        .map(|measured| measured.line(&digests, &midstates))
        .collect();
    let rate = lines.iter().map(|line| line.mhs_all).fold(0.0, f64::max);
    context.output.report(&Report {
        threads,
        turns: TURNS,
        best: Kernel::best().name(),
        kernels: lines,
        not_run,
        references: vec![
            Compared::new("Sha256::digest", &digests),
            Compared::new("midstate + compress256", &midstates),
        ],
        expected: expected(rate * 1e6),
    })?;
    Ok(Exit::Done)
}

/// The kernels to measure, ready to run, and those that cannot be.
fn contestants(only: Option<&str>, threads: usize) -> Result<(Vec<Measured>, Vec<NotRun>)> {
    let mut not_run = Vec::new();
    let kernels = match only {
        Some(name) => {
            vec![Kernel::by_name(name).map_err(|error| UsageError(error.to_string()))?]
        }
        None => {
            let all = Kernel::all();
            let (can, cannot): (Vec<_>, Vec<_>) = all.partition(Result::is_ok);
            not_run.extend(cannot.into_iter().filter_map(Result::err).map(NotRun::from));
            can.into_iter().flatten().collect()
        }
    };
    let measured = kernels.into_iter().map(|kernel| {
        Ok(Measured {
            kernel,
            one: Pool::new(kernel, 1)?,
            all: match threads {
                1 => None,
                _ => Some(Pool::new(kernel, threads)?),
            },
            one_turns: Vec::new(),
            all_turns: Vec::new(),
        })
    });
    Ok((measured.collect::<Result<_>>()?, not_run))
}

impl Measured {
    fn line(&self, digests: &[Turn], midstates: &[Turn]) -> KernelLine {
        let one: Vec<f64> = self.one_turns.iter().map(Turn::mhs_cpu).collect();
        let ratio_to = |reference: &[Turn]| {
            median(
                one.iter()
                    .zip(reference)
                    .map(|(mhs, turn)| mhs / turn.mhs_cpu()),
            )
        };
        let wall = median(self.one_turns.iter().map(Turn::mhs_wall));
        let all = match self.all {
            Some(_) => median(self.all_turns.iter().map(Turn::mhs_wall)),
            None => wall,
        };
        KernelLine {
            kernel: self.kernel.name(),
            roots: self.kernel.roots(),
            mhs_per_thread: median(one.iter().copied()),
            slowest: one.iter().copied().fold(f64::INFINITY, f64::min),
            fastest: one.iter().copied().fold(0.0, f64::max),
            mhs_wall: wall,
            mhs_all: all,
            mhs_all_per_cpu: match self.all {
                Some(_) => median(self.all_turns.iter().map(Turn::mhs_cpu)),
                None => median(one.iter().copied()),
            },
            ratio_to_digest: ratio_to(digests),
            ratio_to_midstate: ratio_to(midstates),
        }
    }
}
