//! Runs a node for a home: takes the home's lock, opens its chain and outbox, starts the
//! threads and the actors, and keeps `resident.json` fresh. `mvb miner`, `mvb wallet sync`
//! and whoever else needs a node in their process call [`start`] inside a LocalSet.

use crate::{
    config::Config,
    handle::{NodeHandle, Own, Ports},
    home::{self, Found, Home, HomeError, HomeLock},
    resident::ResidentWriter,
    snapshot::{Facts, NodeSnapshot, Publisher, SearchFacts},
    system::{SystemClock, ThreadWorkers, WorkersError, fresh_node_id, fresh_seed},
    transport::{NetTransport, TransportConfig},
    wallet::{KeyStore, Outbox, OutboxError, Wallet},
    wiring::{Node, NodeConfig, Role, StartError, start_node},
};
use mvb_actors::{
    block_server::BlockServerConfig,
    env::{Env, NoSearcher, RandomStream, Searcher},
    fork_resolver::ResolverConfig,
    gossip_broadcaster::GossipConfig,
    miner::MinerConfig,
    search::PoolSearcher,
    transaction_intake::IntakeConfig,
    verified_cache::VerifiedCache,
    view::View,
};
use mvb_kernels::Kernel;
use mvb_protocol::{
    address::Address,
    chain::{ChainStore, StoreError},
};
use mvb_storage::LmdbStore;
use std::{io, rc::Rc, sync::Arc, time::Duration};
use tokio::{sync::watch, task::JoinHandle};

/// The least time between two rounds of housekeeping: a chain that catches up changes its
/// tip hundreds of times a second.
const PAUSE: Duration = Duration::from_millis(200);

/// What a node is started for.
#[derive(Clone, Copy, Debug)]
pub enum Work {
    /// Following the chain.
    Follow,
    /// Mining as well.
    Mine {
        /// How many threads search.
        threads: usize,
        /// How they search.
        kernel: &'static Kernel,
        /// Who gets the rewards.
        reward_to: Address,
    },
}

/// A node that runs. Dropping it ends the node, once its LocalSet is dropped too.
pub struct Running {
    /// What it shows.
    pub view: Rc<View>,
    /// Whether its chain was there before.
    pub chain: Found,
    /// Its block server's port; one that only follows has none.
    pub port: Option<u16>,
    /// The chain it keeps, for reading.
    pub store: Arc<LmdbStore>,
    /// The same and more as plain data, for other threads.
    pub snapshots: watch::Receiver<Arc<NodeSnapshot>>,
    /// What other threads may use of it.
    pub handle: NodeHandle,
    tasks: [JoinHandle<()>; 2],
    _node: Node,
    // Declared last, so that the home is let go of after everything else.
    _lock: HomeLock,
}

/// Why no node runs.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The home or its chain cannot be used.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// The outbox cannot be used.
    #[error(transparent)]
    Outbox(#[from] OutboxError),
    /// The chain cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A thread could not be started.
    #[error(transparent)]
    Workers(#[from] WorkersError),
    /// The search threads could not be started.
    #[error("cannot start {threads} search threads: {reason}")]
    Search {
        /// How many were asked for.
        threads: usize,
        /// What the system said.
        reason: String,
    },
    /// The system gives no randomness.
    #[error("this system gives no randomness: {0}")]
    Random(#[from] getrandom::Error),
    /// A port cannot be bound.
    #[error(transparent)]
    Start(#[from] StartError),
}

/// Starts a node on the current LocalSet.
///
/// # Errors
/// When another process holds the home, a port is taken, or anything else it needs is
/// not to be had.
pub async fn start(home: &Home, config: &Config, work: Work) -> Result<Running, RunError> {
    let role = match work {
        Work::Follow => home::Role::Wallet,
        Work::Mine { .. } => home::Role::Miner,
    };
    let lock = home.lock(role)?;
    let params = config.chain_params();
    let opened = home.open_chain(params, &lock)?;
    let store = Arc::new(opened.store);
    let outbox = Arc::new(Outbox::open(&home.outbox_folder(params.genesis_id()))?);
    let searcher: Rc<dyn Searcher> = match work {
        Work::Follow => Rc::new(NoSearcher),
        Work::Mine {
            threads, kernel, ..
        } => Rc::new(
            PoolSearcher::new(threads, kernel).map_err(|error| RunError::Search {
                threads,
                reason: error.to_string(),
            })?,
        ),
    };
    let tip = store.snapshot()?.tip()?;
    let env = Env {
        params: Arc::new(params.clone()),
        node: fresh_node_id()?,
        net: Rc::new(NetTransport::new(transport(config))),
        clock: Rc::new(SystemClock),
        random: Rc::new(RandomStream::new(fresh_seed()?, 0)),
        store: store.clone(),
        outbox: outbox.clone(),
        verified: Arc::new(VerifiedCache::default()),
        workers: Rc::new(ThreadWorkers::new()?),
        searcher,
        view: Rc::new(View::new(tip)),
    };
    let node = start_node(env.clone(), limits(config), wiring_role(config, work)).await?;
    let writer = ResidentWriter::new(
        home.clone(),
        role,
        params.genesis_id(),
        env.clock.now(),
        config.status_broadcast_interval_seconds,
        node.port,
    );
    let publisher = Publisher::new(
        env.view.clone(),
        env.clock.clone(),
        facts(&env, role, node.port, work),
    );
    let keys = KeyStore::new(&config.key_store_dir);
    let wallet = Wallet::new(keys, outbox.clone(), store.clone(), params.clone());
    let own = Own {
        wallet: Arc::new(wallet),
        home: home.clone(),
    };
    let ports = Ports {
        submit: node.intake.clone(),
        waiting: node.listing.clone(),
        announce: node.gossip.clone(),
    };
    Ok(Running {
        view: env.view.clone(),
        chain: opened.found,
        port: node.port,
        store: store.clone(),
        snapshots: publisher.subscribe(),
        handle: NodeHandle::new(
            env.params.clone(),
            publisher.subscribe(),
            store.clone(),
            node.mempool.clone(),
            ports,
            Some(own),
        ),
        tasks: [
            tokio::task::spawn_local(publisher.run()),
            tokio::task::spawn_local(keep_house(env, writer, store, outbox)),
        ],
        _node: node,
        _lock: lock,
    })
}

impl Drop for Running {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

fn wiring_role(config: &Config, work: Work) -> Role {
    match work {
        Work::Follow => Role::Wallet,
        Work::Mine { reward_to, .. } => Role::Miner(MinerConfig {
            reward_to,
            listen: config.status_broadcast_interval_seconds,
        }),
    }
}

fn facts(env: &Env, role: home::Role, port: Option<u16>, work: Work) -> Facts {
    Facts {
        node: env.node,
        role,
        started: env.clock.now(),
        port,
        search: match work {
            Work::Follow => None,
            Work::Mine {
                threads,
                kernel,
                reward_to,
            } => Some(SearchFacts {
                threads,
                kernel: kernel.name(),
                reward_to,
            }),
        },
    }
}

/// The sockets that a configuration asks for.
pub fn transport(config: &Config) -> TransportConfig {
    TransportConfig {
        network: config.network,
        interfaces: config.interfaces.clone(),
        status_port: config.status_broadcast_port,
        transaction_port: config.transaction_port,
        block_server_port: config.block_server_port,
        block_server_port_is_explicit: config.is_explicit("block_server_port"),
    }
}

fn limits(config: &Config) -> NodeConfig {
    NodeConfig {
        intake: IntakeConfig {
            max_bytes: config.mempool_bytes,
            per_source_per_second: config.mempool_per_source_per_second,
            ..IntakeConfig::default()
        },
        gossip: GossipConfig {
            status_interval: config.status_broadcast_interval_seconds,
            transaction_interval: config.transaction_broadcast_interval_seconds,
        },
        block_server: BlockServerConfig::default(),
        resolver: ResolverConfig {
            status_interval: config.status_broadcast_interval_seconds,
            pinned: config.peers.clone(),
            ..ResolverConfig::default()
        },
    }
}

/// Every status interval, and whenever the tip changes: tells other processes what this
/// one sees, notes in which blocks the home's payments stand, frees what crashed readers
/// held, and vouches for the chain's file.
async fn keep_house(env: Env, writer: ResidentWriter, store: Arc<LmdbStore>, outbox: Arc<Outbox>) {
    let [mut no_note, mut no_file] = [Trouble::default(), Trouble::default()];
    let mut tip = env.view.chain.subscribe();
    let mut interval = tokio::time::interval(writer.interval());
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            changed = tip.changed() => if changed.is_err() { return },
            _ = interval.tick() => {
                if let Err(error) = store.clear_stale_readers() {
                    tracing::warn!(%error, "cannot clear stale readers");
                }
                store.seal();
            }
        }
        let outbox = outbox.clone();
        let observed = env.read(move |chain| {
            outbox.observe(chain).map_err(|error| StoreError::Io {
                reason: error.to_string(),
            })
        });
        no_note.tell("cannot note which payments are confirmed", observed.await);
        match writer.write(&env.view, env.clock.now()) {
            Err(HomeError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                // The chain's file is open but has no name any more: all of it would be lost.
                let home = writer.home().path().display().to_string();
                env.view.fatal.send_replace(Some(format!(
                    "the home {home} was removed while this process used it: restore it, or start anew"
                )));
                return;
            }
            written => no_file.tell("cannot write resident.json", written),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Something that is tried again and again, and whose failing is told once.
#[derive(Default)]
struct Trouble {
    is_told: bool,
}

impl Trouble {
    fn tell<E: std::fmt::Display>(&mut self, what: &str, result: Result<(), E>) {
        match result {
            Ok(()) => self.is_told = false,
            Err(_) if self.is_told => {}
            Err(error) => {
                self.is_told = true;
                tracing::warn!(%error, "{what}");
            }
        }
    }
}
