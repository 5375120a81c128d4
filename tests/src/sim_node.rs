//! The program of a simulated machine: a node, wired as it is for real, with intervals that
//! suit short runs.

use crate::cluster::Program;
use mvb_actors::{
    fork_resolver::ResolverConfig, gossip_broadcaster::GossipConfig, miner::MinerConfig,
    transaction_intake::IntakeConfig,
};
use mvb_node::wiring::{NodeConfig, Role, start_node};
use mvb_protocol::address::Address;
use std::{net::SocketAddr, rc::Rc, time::Duration};

use crate::sim_net::BLOCK_SERVER_PORT;

/// How often simulated nodes announce themselves and their payments.
const INTERVAL: Duration = Duration::from_secs(1);

/// What the nodes of a network are told.
#[derive(Clone, Debug)]
pub struct NodesConfig {
    /// How many machines, the first ones, mine; the rest are wallets.
    pub miners: usize,
    /// The most bytes of payments that wait on each.
    pub mempool_bytes: usize,
    /// The most payments of one sender that wait on each.
    pub per_sender: u64,
    /// Whether they pin honest block servers: the first machine the other miners, the others
    /// the first.
    pub pinned: bool,
}

/// A node on each machine; a miner's rewards go to the machine's address.
pub fn program(addresses: Vec<Address>, config: NodesConfig) -> Program {
    let addresses: Rc<[Address]> = addresses.into();
    Rc::new(move |machine, env| {
        let (addresses, nodes) = (addresses.clone(), config.clone());
        Box::pin(async move {
            let role = if machine < nodes.miners {
                Role::Miner(MinerConfig {
                    reward_to: addresses[machine],
                    listen: INTERVAL,
                })
            } else {
                Role::Wallet
            };
            let config = NodeConfig {
                intake: IntakeConfig {
                    max_bytes: nodes.mempool_bytes,
                    per_sender: nodes.per_sender,
                    ..IntakeConfig::default()
                },
                gossip: GossipConfig {
                    status_interval: INTERVAL,
                    transaction_interval: INTERVAL,
                },
                resolver: ResolverConfig {
                    status_interval: INTERVAL,
                    pinned: nodes.pinned_by(machine),
                    ..ResolverConfig::default()
                },
                ..NodeConfig::default()
            };
            let _node = start_node(env, config, role).await?;
            std::future::pending().await
        })
    })
}

impl NodesConfig {
    fn pinned_by(&self, machine: usize) -> Vec<SocketAddr> {
        let peers = match (self.pinned, machine) {
            (false, _) => 0..0,
            (true, 0) => 1..self.miners,
            (true, _) => 0..1,
        };
        peers
            .map(|peer| SocketAddr::new(turmoil::lookup(format!("n{peer}")), BLOCK_SERVER_PORT))
            .collect()
    }
}
