//! What `mvb bench mine` found, as it is printed.

use super::turns::{Turn, median};
use crate::output;
use mvb_kernels::KernelError;
use mvb_protocol::target::Target;
use serde::Serialize;
use std::fmt;

/// All of it.
#[derive(Serialize)]
pub struct Report {
    /// How many threads "all" are.
    pub threads: usize,
    /// Over how many turns the medians are.
    pub turns: usize,
    /// What `mvb miner` would choose.
    pub best: &'static str,
    /// The kernels that ran.
    pub kernels: Vec<KernelLine>,
    /// Those that did not.
    pub not_run: Vec<NotRun>,
    /// What they are compared with.
    pub references: Vec<Compared>,
    /// How long a block takes with the fastest, on all threads.
    pub expected: Vec<Expected>,
}

/// One kernel, in millions of hashes a second.
#[derive(Serialize)]
pub struct KernelLine {
    /// Its name.
    pub kernel: &'static str,
    /// Headers that share a message schedule.
    pub roots: usize,
    /// Of one thread's processor time: median, least and most of the turns.
    pub mhs_per_thread: f64,
    /// The slowest turn.
    pub slowest: f64,
    /// The fastest turn.
    pub fastest: f64,
    /// One thread by the wall clock.
    pub mhs_wall: f64,
    /// All threads together, by the wall clock.
    pub mhs_all: f64,
    /// All threads together, for a second of one's processor time.
    pub mhs_all_per_cpu: f64,
    /// How many times `Sha256::digest` of the header.
    pub ratio_to_digest: f64,
    /// How many times a midstate and sha2's compression of the second block.
    pub ratio_to_midstate: f64,
}

/// A kernel that this CPU cannot run.
#[derive(Serialize)]
pub struct NotRun {
    /// Why.
    pub reason: String,
}

/// A reference.
#[derive(Serialize)]
pub struct Compared {
    /// What it is.
    pub reference: &'static str,
    /// Millions of hashes in a second of one thread's processor time.
    pub mhs_per_thread: f64,
}

/// A difficulty.
#[derive(Serialize)]
pub struct Expected {
    /// Leading zero bits.
    pub difficulty: u8,
    /// Seconds a block, on average.
    pub seconds: f64,
}

impl From<KernelError> for NotRun {
    fn from(error: KernelError) -> Self {
        Self {
            reason: error.to_string(),
        }
    }
}

impl Compared {
    /// From its turns.
    pub fn new(reference: &'static str, turns: &[Turn]) -> Self {
        Self {
            reference,
            mhs_per_thread: median(turns.iter().map(Turn::mhs_cpu)),
        }
    }
}

/// Some difficulties around the one at which a block takes a second.
pub fn expected(rate: f64) -> Vec<Expected> {
    let fit = rate.max(2.0).log2().round().clamp(1.0, 64.0) as i32;
    [-8, -4, -2, 0, 2, 4, 8]
        .into_iter()
        .map(|offset| fit + offset)
        .filter(|difficulty| (1..=64).contains(difficulty))
        .map(|difficulty| {
            let difficulty = difficulty as u8;
            let work = Target::from_difficulty(difficulty).work().as_f64();
            Expected {
                difficulty,
                seconds: work / rate.max(1e-9),
            }
        })
        .collect()
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let threads = output::count(self.threads as u64, "thread");
        writeln!(
            f,
            "MH/s, medians of {} turns; one thread by its processor time, all by the clock\n",
            self.turns
        )?;
        writeln!(
            f,
            "{:<10}{:>10}{:>17}{:>14}{:>14}{:>12}",
            "kernel", "1 thread", "least to most", threads, "x digest", "x midstate"
        )?;
        for line in &self.kernels {
            let spread = format!("{:.1} to {:.1}", line.slowest, line.fastest);
            writeln!(
                f,
                "{:<10}{:>10.1}{:>17}{:>14.1}{:>14.2}{:>12.2}",
                line.kernel,
                line.mhs_per_thread,
                spread,
                line.mhs_all,
                line.ratio_to_digest,
                line.ratio_to_midstate
            )?;
        }
        writeln!(f)?;
        for reference in &self.references {
            writeln!(
                f,
                "{:<26}{:>6.1} MH/s",
                reference.reference, reference.mhs_per_thread
            )?;
        }
        for not_run in &self.not_run {
            writeln!(f, "not run: {}", not_run.reason)?;
        }
        writeln!(
            f,
            "\nmvb miner takes {}. A block, with {threads}:",
            self.best
        )?;
        for expected in &self.expected {
            let time = if expected.seconds < 0.1 {
                format!("{:.1} ms", expected.seconds * 1e3)
            } else {
                output::duration(expected.seconds)
            };
            writeln!(f, "  difficulty {:>2}  {time}", expected.difficulty)?;
        }
        Ok(())
    }
}
