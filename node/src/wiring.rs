//! Starts a node: binds its ports, creates the actors and tells each whom it talks to. This
//! is the only place that knows all of them. It runs on the current LocalSet, touches no
//! `actix::System`, and so starts the same node for real and in simulation.

use actix::prelude::*;
use mvb_actors::{
    block_server::{BlockServer, BlockServerConfig},
    chain_manager::{ChainManager, ChainPorts},
    datagrams::{self, DatagramPorts},
    env::{Channel, Env},
    fork_resolver::{ForkResolver, ResolverConfig, ResolverPorts},
    gossip_broadcaster::{GossipBroadcaster, GossipConfig},
    messages::{ListWaiting, PaymentPending, SubmitBlock, SubmitTransaction},
    miner::{Miner, MinerConfig, MinerPorts},
    transaction_intake::{IntakeConfig, IntakePorts, TransactionIntake, mempool::MempoolIndex},
};
use mvb_protocol::{chain::StoreError, wire::Endpoint};
use std::{io, sync::Arc};
use tokio::task::JoinHandle;

/// What a node does beside following the chain.
#[derive(Clone, Debug)]
pub enum Role {
    /// It mines, serves blocks to everyone and announces its chain.
    Miner(MinerConfig),
    /// It follows the chain and announces its own payments.
    Wallet,
}

/// The limits and intervals of a node's actors.
#[derive(Clone, Debug, Default)]
pub struct NodeConfig {
    /// The mempool's.
    pub intake: IntakeConfig,
    /// The announcements'.
    pub gossip: GossipConfig,
    /// The block server's.
    pub block_server: BlockServerConfig,
    /// The synchronisation's.
    pub resolver: ResolverConfig,
}

/// Why a node could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A port could not be bound.
    #[error("cannot bind the {what}: {error}")]
    Bind {
        /// Which port.
        what: &'static str,
        /// What the system said.
        error: io::Error,
    },
    /// The chain store could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A running node. Dropping it ends its receivers; its actors end with their LocalSet.
pub struct Node {
    /// The block server's port; wallets have none.
    pub port: Option<u16>,
    /// Where payments are handed in.
    pub intake: Recipient<SubmitTransaction>,
    /// Where blocks are handed in.
    pub chain: Recipient<SubmitBlock>,
    /// Where payments are announced once.
    pub gossip: Recipient<PaymentPending>,
    /// Who lists the payments that wait.
    pub listing: Recipient<ListWaiting>,
    /// The payments that wait, by id.
    pub mempool: Arc<MempoolIndex>,
    receivers: [JoinHandle<()>; 2],
}

impl Drop for Node {
    fn drop(&mut self) {
        self.receivers.iter().for_each(JoinHandle::abort);
    }
}

/// Starts every actor of a node on the current LocalSet.
///
/// # Errors
/// When a port cannot be bound or the store cannot be read; nothing is left running then.
pub async fn start_node(env: Env, config: NodeConfig, role: Role) -> Result<Node, StartError> {
    let bind = |what| move |error| StartError::Bind { what, error };
    let statuses = env
        .net
        .open(Channel::Status)
        .await
        .map_err(bind("status port"))?;
    let payments = env
        .net
        .open(Channel::Transactions)
        .await
        .map_err(bind("transaction port"))?;
    let listener = match role {
        Role::Miner(_) => Some(env.net.listen().await.map_err(bind("block-server port"))?),
        Role::Wallet => None,
    };
    let port = listener.as_ref().map(|listener| listener.port());

    // A context has an address before its actor exists, so that the cast can be wired in
    // any order.
    let intake_context = Context::<TransactionIntake>::new();
    let chain_context = Context::<ChainManager>::new();
    let gossip_context = Context::<GossipBroadcaster>::new();
    let resolver_context = Context::<ForkResolver>::new();
    let miner_context = Context::<Miner>::new();
    let (intake, chain) = (intake_context.address(), chain_context.address());
    let (gossip, resolver) = (gossip_context.address(), resolver_context.address());
    let miner = matches!(role, Role::Miner(_)).then(|| miner_context.address());

    let ports = ChainPorts {
        miner: miner.clone().map(|miner| miner.recipient()),
        listeners: vec![
            intake.clone().recipient(),
            gossip.clone().recipient(),
            resolver.clone().recipient(),
        ],
    };
    let chain_manager = ChainManager::new(env.clone(), ports)?;

    if let Role::Miner(config) = role {
        let ports = MinerPorts {
            intake: intake.clone().recipient(),
            chain: chain.clone().recipient(),
        };
        miner_context.run(Miner::new(env.clone(), config, ports)?);
    }
    chain_context.run(chain_manager);
    let intake_actor = TransactionIntake::new(
        env.clone(),
        config.intake,
        IntakePorts {
            miner: miner.clone().map(|miner| miner.recipient()),
            gossip: gossip.clone().recipient(),
        },
    );
    let mempool = intake_actor.index();
    intake_context.run(intake_actor);
    gossip_context.run(GossipBroadcaster::new(
        env.clone(),
        config.gossip,
        port.map(|port| Endpoint {
            node: env.node,
            port,
        }),
        intake.clone().recipient(),
    ));
    resolver_context.run(ForkResolver::new(
        env.clone(),
        config.resolver,
        ResolverPorts {
            chain: chain.clone().recipient(),
            miner: miner.map(|miner| miner.recipient()),
        },
    ));
    if let Some(listener) = listener {
        BlockServer::new(
            env.clone(),
            config.block_server,
            listener,
            intake.clone().recipient(),
        )
        .start();
    }

    let ports = DatagramPorts {
        intake: intake.clone().recipient(),
        resolver: resolver.recipient(),
    };
    let receive = |channel, socket| {
        tokio::task::spawn_local(datagrams::receive(
            env.clone(),
            channel,
            socket,
            ports.clone(),
        ))
    };
    Ok(Node {
        port,
        receivers: [
            receive(Channel::Status, statuses),
            receive(Channel::Transactions, payments),
        ],
        listing: intake.clone().recipient(),
        intake: intake.recipient(),
        chain: chain.recipient(),
        gossip: gossip.recipient(),
        mempool,
    })
}
