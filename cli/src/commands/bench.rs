//! `mvb bench`: how fast this machine does what nodes do. `mine` measures the search kernels
//! through the real search threads, `stop` the way from a new tip to idle threads through the
//! real actors; the others run real nodes as processes of their own, in a folder that is
//! removed at the end. No home of the user is read or written.

mod client;
mod clock;
mod funds;
mod mine;
mod processes;
mod propagate;
mod report;
mod share;
mod stop;
mod turns;

use crate::{args, context::Context, exit::Exit};
use anyhow::Result;

/// Runs a benchmark.
pub fn run(context: &Context, bench: args::Bench) -> Result<Exit> {
    match bench {
        args::Bench::Mine(mine) => mine::run(context, &mine),
        args::Bench::Stop(stop) => stop::run(context, &stop),
        args::Bench::Propagate(propagate) => propagate::run(context, &propagate),
    }
}
