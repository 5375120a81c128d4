//! The typed values of all parameters. The table beside this file reads and shows them;
//! the wiring and the wallet use them.

use crate::{
    transport::Network,
    wallet::{KeyName, Party},
};
use mvb_kernels::{Kernel, KernelError};
use mvb_protocol::{keys::Curve, params::ChainParams};
use std::{
    net::SocketAddr,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

/// The key that gets the rewards unless another is named.
pub const MINING_REWARDS: &str = "mining_rewards";

/// The value of every parameter, under the parameter's name; units are in the type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The home all of this belongs to. No parameter: it is where the others are found.
    pub home: PathBuf,
    /// The parameters that every member of the network shares.
    pub chain: ChainParams,
    /// The curve of new keys.
    pub key_size: Curve,
    /// How often a miner announces its chain.
    pub status_broadcast_interval_seconds: Duration,
    /// How often a pending payment is announced.
    pub transaction_broadcast_interval_seconds: Duration,
    /// The UDP port of status datagrams.
    pub status_broadcast_port: u16,
    /// The TCP port of the block server.
    pub block_server_port: u16,
    /// The UDP port of payment datagrams.
    pub transaction_port: u16,
    /// Where the keys are.
    pub key_store_dir: PathBuf,
    /// How far the network reaches.
    pub network: Network,
    /// The interfaces to use on a LAN, by name or address; empty means all.
    pub interfaces: Vec<String>,
    /// Nodes that are asked whether they announce themselves or not.
    pub peers: Vec<SocketAddr>,
    /// Search threads; `None` means one for each core.
    pub threads: Option<NonZeroUsize>,
    /// The search kernel by name; `None` means the fastest that this CPU can run.
    pub kernel: Option<String>,
    /// Who gets the rewards.
    pub reward_to: Party,
    /// The most bytes of payments that wait.
    pub mempool_bytes: usize,
    /// The most payments a second from one source.
    pub mempool_per_source_per_second: u32,
    /// Where the explorer is served; `None` for nowhere.
    pub http: Option<SocketAddr>,
}

impl Settings {
    /// The defaults in a home.
    pub fn new(home: &Path) -> Self {
        let reward_key = KeyName::from_str(MINING_REWARDS).expect("it has 14 allowed characters");
        Self {
            home: home.to_owned(),
            chain: ChainParams::default(),
            key_size: Curve::P256,
            status_broadcast_interval_seconds: Duration::from_secs(5),
            transaction_broadcast_interval_seconds: Duration::from_secs(5),
            status_broadcast_port: 2606,
            block_server_port: 2607,
            transaction_port: 2608,
            key_store_dir: home.to_owned(),
            network: Network::Local,
            interfaces: Vec::new(),
            peers: Vec::new(),
            threads: None,
            kernel: None,
            reward_to: Party::Name(reward_key),
            mempool_bytes: 64 << 20,
            mempool_per_source_per_second: 1_000,
            http: Some(SocketAddr::from(([127, 0, 0, 1], 8600))),
        }
    }

    /// How many threads search: those asked for, or one for each core.
    pub fn search_threads(&self) -> usize {
        self.threads
            .or_else(|| std::thread::available_parallelism().ok())
            .map_or(1, NonZeroUsize::get)
    }

    /// How they search: the kernel asked for, or the fastest that this CPU can run.
    ///
    /// # Errors
    /// When no kernel is called so, or this CPU cannot run it.
    pub fn search_kernel(&self) -> Result<&'static Kernel, KernelError> {
        match &self.kernel {
            Some(name) => Kernel::by_name(name),
            None => Ok(Kernel::best()),
        }
    }
}
