//! `mvb wallet …`: which command does what.

mod addresses;
mod history;
mod pay;
mod sync;
mod wait;
mod why;

use crate::{args::Wallet, context::Context, exit::Exit};
use anyhow::Result;

/// Runs a wallet's command.
pub fn run(context: &Context, command: Wallet) -> Result<Exit> {
    match command {
        Wallet::NewAddress {
            name,
            key_size,
            encrypt,
        } => addresses::new_address(context, &name, key_size, encrypt),
        Wallet::ListAddresses => addresses::list_addresses(context),
        Wallet::Send(send) => pay::send(context, send),
        Wallet::Cancel { id } => pay::cancel(context, id),
        Wallet::Sync(sync) => sync::run(context, sync),
        Wallet::History { of, limit } => history::run(context, &of, limit),
        Wallet::Why { id } => why::run(context, id),
    }
}
