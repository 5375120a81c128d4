//! The six actors of an mvb node, the messages they exchange and the [`env::Env`] they run
//! in. The same actors run for real and in simulation: nothing here opens a socket, reads
//! a clock or starts a thread except through the Env.

pub mod block_server;
pub mod branch_block;
pub mod chain_manager;
pub mod datagrams;
pub mod env;
pub mod fork_resolver;
pub mod frames;
pub mod gossip_broadcaster;
pub mod messages;
pub mod miner;
pub mod recent;
pub mod search;
pub mod seen_blocks;
pub mod shared_map;
#[cfg(test)]
mod testing;
pub mod transaction_intake;
pub mod verified_cache;
pub mod view;
