//! `mvb chain …`: which command does what.

mod block;
mod explain;
mod info;
mod reset;
mod verify;

use crate::{args::Chain, context::Context, exit::Exit};
use anyhow::Result;
use mvb_node::{config::Config, home::Home};
use mvb_protocol::chain::ChainStore;
use mvb_storage::{LmdbStore, MemoryStore};
use std::sync::Arc;

/// Runs a chain's command.
pub fn run(context: &Context, command: Chain) -> Result<Exit> {
    match command {
        Chain::Info => info::run(context),
        Chain::Block { block, explain } => block::run(context, block, explain),
        Chain::Verify => verify::run(context),
        Chain::Reset(reset) => reset::run(context, reset),
    }
}

/// A home's chain, for reading.
struct OpenChain {
    config: Config,
    home: Home,
    store: Option<LmdbStore>,
}

impl OpenChain {
    fn new(context: &Context) -> Result<Self> {
        let config = context.config()?;
        let home = Home::open(&config.home)?;
        let store = home.read_chain(config.chain_params())?;
        Ok(Self {
            config,
            home,
            store,
        })
    }

    /// The store; an empty one where the home has no chain yet.
    fn store(&self) -> Arc<dyn ChainStore> {
        match &self.store {
            Some(store) => Arc::new(store.clone()),
            None => Arc::new(MemoryStore::new(self.config.chain_params().clone())),
        }
    }
}
