//! What a seed chooses before its run begins: who mines, the chain's parameters, how bad
//! the network is and how often something breaks.

use crate::cluster::ClusterConfig;
use mvb_actors::env::RandomStream;
use mvb_protocol::{amount::Amount, params::ChainParams};
use std::{sync::Arc, time::Duration};

/// How many machines a simulated network has.
pub const MACHINES: usize = 4;

/// The one profile of partitions and crashes, with what a seed chose in it.
#[derive(Clone, Debug)]
pub struct Profile {
    /// The cluster.
    pub cluster: ClusterConfig,
    /// How long things go wrong.
    pub chaos: Duration,
    /// The share of datagrams that are lost meanwhile.
    pub loss: f64,
    /// The share of datagrams that are doubled meanwhile.
    pub doubled: f64,
    /// How probable a new partition is in each quarter of a second.
    pub partitions: f64,
    /// How probable a crash is in each quarter of a second.
    pub crashes: f64,
    /// How probable a jump of a clock is in each quarter of a second.
    pub clock_jumps: f64,
    /// How probable a payment by a machine is in each quarter of a second.
    pub payments: f64,
    /// Whether the wallets' processes end with the chaos, so that only the nodes remember
    /// the payments that a reorganisation takes back.
    pub wallets_end: bool,
}

impl Profile {
    /// What `seed` chooses.
    pub fn new(seed: u64, random: &RandomStream, aloud: bool) -> Self {
        let difficulty = 3 + random.below(6) as u8;
        // Together the miners find a block every half to three seconds, often two at a time.
        let block_seconds = 0.5 + 2.5 * random.unit();
        let miners = 2 + random.below(3) as usize;
        let hashes_per_second = f64::from(1u32 << difficulty) / block_seconds / miners as f64;
        let params = ChainParams {
            network_name: "simulated".to_owned(),
            difficulty,
            block_size: 1 + random.below(3) as u32,
            block_reward: Amount::from_units(10_000_000),
            target_block_seconds: [0, 5][random.below(2) as usize],
            ..ChainParams::default()
        };
        Self {
            cluster: ClusterConfig {
                seed,
                params: Arc::new(params),
                machines: MACHINES,
                miners,
                hashes_per_second,
                latency: Duration::from_millis(20 + random.below(400)),
                slowest_work: Duration::from_millis(5 + random.below(200)),
                aloud,
            },
            chaos: Duration::from_secs(30 + random.below(30)),
            loss: [0.0, 0.02, 0.1, 0.3][random.below(4) as usize],
            doubled: [0.0, 0.1][random.below(2) as usize],
            partitions: 0.04 * random.unit(),
            crashes: 0.04 * random.unit(),
            clock_jumps: 0.01 * random.unit(),
            payments: 0.05 + 0.1 * random.unit(),
            wallets_end: random.below(2) == 0,
        }
    }
}
