//! `mvb miner`: runs a mining node until a signal.

use super::watch::{self, Tell};
use crate::{
    args,
    context::Context,
    exit::{Exit, UsageError},
    narrator::Event,
};
use anyhow::Result;
use mvb_kernels::Kernel;
use mvb_node::{
    config::{Config, MINING_REWARDS},
    home::{Found, Home, Role},
    running::{self, Work},
    wallet::{KeyStore, Party},
};
use mvb_protocol::address::Address;

/// Mines.
pub fn run(context: &Context, miner: args::Miner) -> Result<Exit> {
    let config = context.config_with(&[
        ("threads", miner.threads.map(|threads| threads.to_string())),
        ("kernel", miner.kernel),
        ("reward_to", miner.reward_to),
    ])?;
    // Before anything is made: a kernel that cannot be had may be mistyped.
    let kernel = config
        .search_kernel()
        .map_err(|error| UsageError(error.to_string()))?;
    let (home, found) = Home::open_or_create(&config.home)?;
    if found == Found::Created {
        context
            .output
            .hint(format_args!("made a new home at {}", home.path().display()));
    }
    // Nothing is created in a home that another process holds; it says who that is.
    drop(home.lock(Role::Miner)?);
    let reward_to = reward_address(context, &config)?;
    watch::run(mine(context, &config, &home, kernel, reward_to))
}

async fn mine(
    context: &Context,
    config: &Config,
    home: &Home,
    kernel: &'static Kernel,
    reward_to: Address,
) -> Result<Exit> {
    let threads = config.search_threads();
    let work = Work::Mine {
        threads,
        kernel,
        reward_to,
    };
    let running = running::start(home, config, work).await?;
    let tip = running.view.chain.borrow().tip;
    let params = config.chain_params();
    context.output.event(&Event::Started {
        network: params.network_name.clone(),
        genesis: params.genesis_id().to_string(),
        height: tip.height.0,
        tip: tip.id.to_string(),
        reward_to: reward_to.to_lower_hex(),
        shown_reward_to: shown(&config.reward_to),
        threads,
        kernel: kernel.name().to_owned(),
        port: running.port.unwrap_or_default(),
    })?;
    watch::watch(context, &running.view, Tell::Everything, |_, _| {
        Ok(None::<()>)
    })
    .await?;
    Ok(Exit::Done)
}

fn shown(reward_to: &Party) -> String {
    match reward_to {
        Party::Name(name) => format!("key {name}"),
        Party::Address(address) => address.to_string(),
    }
}

/// Who gets the rewards. Only the key that rewards go to by default is made here: another
/// name that is missing is more likely mistyped.
fn reward_address(context: &Context, config: &Config) -> Result<Address> {
    let keys = KeyStore::new(&config.key_store_dir);
    let name = match &config.reward_to {
        Party::Address(address) => return Ok(*address),
        Party::Name(name) => name,
    };
    let key = if name.as_str() == MINING_REWARDS {
        keys.find_or_create(name, config.key_size)?
    } else {
        keys.find(name)?
    };
    for warning in &key.warnings {
        context.output.warn(warning);
    }
    Ok(key.address())
}
