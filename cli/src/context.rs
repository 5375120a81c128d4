//! What every command starts from: where the home is, what is configured, and where to
//! print. Opening things happens here, so that commands read as what they do.

use crate::{
    args::{Global, Setting},
    output::Output,
};
use anyhow::Result;
use mvb_actors::env::WallClock;
use mvb_node::{
    config::Config,
    home::{self, Home},
    system::SystemClock,
    wallet::{KeyStore, Outbox, Wallet},
};
use mvb_protocol::{chain::ChainStore, numbers::Timestamp};
use mvb_storage::MemoryStore;
use std::{path::PathBuf, sync::Arc};

/// The command line's common part, ready for use.
pub struct Context {
    /// Where to print.
    pub output: Output,
    global: Global,
}

/// A home with the wallet in it.
pub struct OpenWallet {
    /// What is configured.
    pub config: Config,
    /// The folder.
    pub home: Home,
    /// The wallet.
    pub wallet: Wallet,
}

impl Context {
    /// From the command line.
    pub fn new(global: Global, output: Output) -> Self {
        Self { output, global }
    }

    /// Where the home is, whether it exists or not.
    pub fn home_path(&self) -> Result<PathBuf> {
        let variable = std::env::var_os("MVB_HOME");
        Ok(home::locate(
            self.global.home.as_deref(),
            variable.as_deref(),
        )?)
    }

    /// The home that was typed, for a command that must not touch the usual one.
    pub fn explicit_home(&self) -> Option<PathBuf> {
        self.global.home.clone()
    }

    /// The command line's parameters in order, and `more` after them: flags that are short
    /// for a parameter.
    pub fn overrides(&self, more: &[(&str, Option<String>)]) -> Vec<(String, String)> {
        let network = ("network", self.global.network.clone());
        let set = self
            .global
            .set
            .iter()
            .map(|Setting { key, value }| (key.clone(), value.clone()));
        let flags = std::iter::once(&network)
            .chain(more)
            .filter_map(|(key, value)| Some(((*key).to_owned(), value.clone()?)));
        set.chain(flags).collect()
    }

    /// Everything configured.
    pub fn config(&self) -> Result<Config> {
        self.config_with(&[])
    }

    /// Everything configured, with a command's own flags.
    pub fn config_with(&self, flags: &[(&str, Option<String>)]) -> Result<Config> {
        let home = self.home_path()?;
        Ok(Config::load(&home, &self.overrides(flags), environment())?)
    }

    /// The wallet of a home that exists. A home without a chain yet has an empty one.
    pub fn wallet(&self) -> Result<OpenWallet> {
        let config = self.config()?;
        let home = Home::open(&config.home)?;
        let wallet = open_wallet(&config, &home)?;
        Ok(OpenWallet {
            config,
            home,
            wallet,
        })
    }

    /// Now, by this machine's clock.
    pub fn now(&self) -> Timestamp {
        SystemClock.now()
    }
}

/// The environment's variables. One that is not Unicode cannot be a parameter.
pub fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

/// The wallet of an open home.
pub fn open_wallet(config: &Config, home: &Home) -> Result<Wallet> {
    let params = config.chain_params();
    let keys = KeyStore::new(&config.key_store_dir);
    let outbox = Arc::new(Outbox::open(&home.outbox_folder(params.genesis_id()))?);
    let chain: Arc<dyn ChainStore> = match home.read_chain(params)? {
        Some(store) => Arc::new(store),
        None => Arc::new(MemoryStore::new(params.clone())),
    };
    Ok(Wallet::new(keys, outbox, chain, params.clone()))
}
