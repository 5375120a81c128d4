//! `mvb bench`: how fast this machine does what nodes do. `mine` measures the search kernels
//! through the real search threads, `stop` the way from a new tip to idle threads through the
//! real actors; the others run real nodes as processes of their own, in a folder that is
//! removed at the end. No home of the user is read or written.

mod client;
mod clock;
mod explorer;
mod funds;
mod generated;
mod intake;
mod interrupt;
mod mine;
mod miner;
mod processes;
mod programs;
mod propagate;
mod report;
mod share;
mod stop;
mod store;
mod sync;
mod turns;

use crate::{args, context::Context, exit::Exit};
use anyhow::Result;
use interrupt::interruptible;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Runs a benchmark.
pub fn run(context: &Context, bench: args::Bench) -> Result<Exit> {
    match bench {
        args::Bench::Mine(mine) => mine::run(context, &mine),
        args::Bench::Stop(stop) => stop::run(context, &stop),
        args::Bench::Miner(miner) => miner::run(context, &miner),
        args::Bench::Propagate(propagate) => propagate::run(context, &propagate),
        args::Bench::Explorer(explorer) => {
            interruptible(|ended| explorer::run(context, &explorer, ended))
        }
        args::Bench::Store(store) => interruptible(|ended| store::run(context, &store, ended)),
        args::Bench::Sync(sync) => interruptible(|ended| sync::run(context, &sync, ended)),
        args::Bench::Intake(intake) => intake::run(context, &intake),
    }
}

/// Where a benchmark has its homes: a folder that is kept, or one that goes with it.
enum Place {
    Kept(PathBuf),
    Passing(TempDir),
}

impl Place {
    fn new(kept: Option<&Path>) -> Result<Self> {
        match kept {
            Some(folder) => {
                std::fs::create_dir_all(folder)?;
                Ok(Self::Kept(folder.to_owned()))
            }
            None => Ok(Self::Passing(tempfile::tempdir()?)),
        }
    }

    fn path(&self) -> &Path {
        match self {
            Self::Kept(folder) => folder,
            Self::Passing(folder) => folder.path(),
        }
    }
}
