//! `mvb miner`: runs a mining node until a signal.

use super::{
    http,
    watch::{self, Tell, Until},
};
use crate::{
    args,
    context::Context,
    dashboard::{Dashboard, Identity, Sources, screen},
    exit::{Exit, UsageError},
    narrator::Event,
};
use anyhow::{Context as _, Result};
use mvb_explorer::Server;
use mvb_kernels::Kernel;
use mvb_node::{
    config::{Config, MINING_REWARDS},
    home::{Found, Home, Role},
    running::{self, Work},
    wallet::{KeyStore, Party},
};
use mvb_protocol::address::Address;
use std::collections::BTreeMap;

/// Mines.
pub fn run(context: &Context, miner: args::Miner) -> Result<Exit> {
    let config = context.config_with(&[
        ("threads", miner.threads.map(|threads| threads.to_string())),
        ("kernel", miner.kernel),
        ("reward_to", miner.reward_to),
        miner.http.parameter(),
    ])?;
    if miner.dashboard && !screen::is_terminal() {
        return Err(UsageError(
            "--dashboard needs a terminal for stdin and stdout: run it in one, or leave \
             --dashboard out"
                .to_owned(),
        )
        .into());
    }
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
    let screen = if miner.dashboard {
        Screen::Dashboard
    } else {
        Screen::Lines
    };
    watch::run_until(
        Until::stdin_ends(miner.until_stdin_ends),
        mine(context, &config, &home, kernel, reward_to, screen),
    )
}

/// How the miner is watched.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Screen {
    /// Line by line.
    Lines,
    /// On a screen of its own.
    Dashboard,
}

async fn mine(
    context: &Context,
    config: &Config,
    home: &Home,
    kernel: &'static Kernel,
    reward_to: Address,
    screen: Screen,
) -> Result<Exit> {
    let threads = config.search_threads();
    let work = Work::Mine {
        threads,
        kernel,
        reward_to,
    };
    let running = running::start(home, config, work).await?;
    let explorer = http::site(context, config, &running.handle)?;
    let tip = running.view.chain.borrow().tip;
    let params = config.chain_params();
    if screen == Screen::Dashboard {
        let identity = Identity {
            network: params.network_name.clone(),
            genesis: params.genesis_id().to_string(),
            kernel: kernel.name(),
            threads,
            port: running.port.unwrap_or_default(),
            reward_to,
            names: names(config)?,
        };
        let sources = Sources::new(&running);
        let dashboard =
            Dashboard::start(identity, sources).context("the terminal cannot show a dashboard")?;
        watch::watch(context, &running.view, Tell::Pane, |_, _| {
            Ok(dashboard.is_quit().then_some(()))
        })
        .await?;
        return Ok(Exit::Done);
    }
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
        explorer: explorer.as_ref().map(Server::url),
    })?;
    watch::watch(context, &running.view, Tell::Everything, |_, _| {
        Ok(None::<()>)
    })
    .await?;
    Ok(Exit::Done)
}

/// How the addresses of this home are called. Files that are no keys have no address.
fn names(config: &Config) -> Result<BTreeMap<Address, String>> {
    let listing = KeyStore::new(&config.key_store_dir).list()?;
    let named = listing.keys.iter();
    Ok(named
        .map(|key| (key.address(), key.name.to_string()))
        .collect())
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
