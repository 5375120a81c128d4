//! `mvb bench`: how fast this machine mines and how soon it stops. `mine` measures the search
//! kernels through the real search threads, `stop` the way from a new tip to idle threads
//! through the real actors. Nothing is read from a home and nothing is written.

mod clock;
mod mine;
mod report;
mod stop;
mod turns;

use crate::{args, context::Context, exit::Exit};
use anyhow::Result;

/// Runs a benchmark.
pub fn run(context: &Context, bench: args::Bench) -> Result<Exit> {
    match bench {
        args::Bench::Mine(mine) => mine::run(context, &mine),
        args::Bench::Stop(stop) => stop::run(context, &stop),
    }
}
