//! Where the node's log goes: stderr, at the level the command line asks for. `RUST_LOG`
//! overrides it, for those who look for one actor's words.

use crate::args::Global;
use std::io::{self, IsTerminal};
use tracing_subscriber::EnvFilter;

/// Begins to log. Called once, before any thread is started.
pub fn begin(global: &Global) {
    let level = match (global.quiet, global.verbose) {
        (true, _) => "error",
        (false, 0) => "warn",
        (false, 1) => "info",
        (false, 2) => "debug",
        (false, _) => "trace",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    // A stderr that is gone must not end a node, so failures to log are not logged.
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .with_target(global.verbose > 1)
        .log_internal_errors(false)
        .init();
}
