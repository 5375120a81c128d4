//! The program of a simulated machine: a node, wired as it is for real, with intervals that
//! suit short runs.

use crate::cluster::Program;
use mvb_actors::{
    fork_resolver::ResolverConfig, gossip_broadcaster::GossipConfig, miner::MinerConfig,
};
use mvb_node::wiring::{NodeConfig, Role, start_node};
use mvb_protocol::address::Address;
use std::{rc::Rc, time::Duration};

/// How often simulated nodes announce themselves and their payments.
const INTERVAL: Duration = Duration::from_secs(1);

/// A node on each machine: miners on the first `miners`, whose rewards go to the machine's
/// address, and wallets on the rest.
pub fn program(addresses: Vec<Address>, miners: usize) -> Program {
    let addresses: Rc<[Address]> = addresses.into();
    Rc::new(move |machine, env| {
        let addresses = addresses.clone();
        Box::pin(async move {
            let role = if machine < miners {
                Role::Miner(MinerConfig {
                    reward_to: addresses[machine],
                    listen: INTERVAL,
                })
            } else {
                Role::Wallet
            };
            let config = NodeConfig {
                gossip: GossipConfig {
                    status_interval: INTERVAL,
                    transaction_interval: INTERVAL,
                },
                resolver: ResolverConfig {
                    status_interval: INTERVAL,
                    ..ResolverConfig::default()
                },
                ..NodeConfig::default()
            };
            let _node = start_node(env, config, role).await?;
            std::future::pending().await
        })
    })
}
