//! This binary again, as a child process: on a home of its own, with given rules, on the
//! loopback network, and with nothing from this process's environment or settings. The demo and
//! the benchmarks start their nodes so. No such node outlives this process, however that ends.

use anyhow::{Context as _, Result};
use mvb_protocol::params::ChainParams;
use std::{
    io,
    path::Path,
    process::{Child, Command, Stdio},
};

/// The command, still without what it is to do. `settings` come after the rules.
///
/// # Errors
/// When the system does not tell this program's own file.
pub fn command(home: &Path, params: &ChainParams, settings: &[(&str, String)]) -> Result<Command> {
    let program = std::env::current_exe().context("cannot find this program's own file")?;
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("MVB_") {
            command.env_remove(name);
        }
    }
    command.env_remove("RUST_LOG");
    command.arg("--home").arg(home);
    let rules = [
        ("network", "local".to_owned()),
        ("network_name", params.network_name.clone()),
        ("difficulty", params.difficulty.to_string()),
        ("block_size", params.block_size.to_string()),
        ("block_reward", params.block_reward.to_string()),
        (
            "target_block_seconds",
            params.target_block_seconds.to_string(),
        ),
        ("max_block_bytes", params.max_block_bytes.to_string()),
    ];
    for (key, value) in rules.iter().chain(settings) {
        command.arg("--set").arg(format!("{key}={value}"));
    }
    Ok(command)
}

/// Starts a command that runs on, `miner` or `wallet sync`. It ends with its stdin, the other end
/// of which is in the child's handle and is closed by the system when this process is killed.
///
/// # Errors
/// When it cannot be started.
pub fn start(command: &mut Command) -> io::Result<Child> {
    command
        .arg("--until-stdin-ends")
        .stdin(Stdio::piped())
        .spawn()
}
