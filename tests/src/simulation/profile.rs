//! What a seed chooses before its run begins: who mines and who lies, the chain's parameters,
//! how bad the network is and how often something breaks. A [`Kind`] leans the choice towards
//! one sort of fault.

use super::liar::Trick;
use crate::{cluster::ClusterConfig, sim_node::NodesConfig};
use mvb_actors::env::RandomStream;
use mvb_protocol::{
    amount::{Amount, MAX_SUPPLY},
    params::ChainParams,
};
use std::{sync::Arc, time::Duration};

/// How wrong a clock may be, in milliseconds. Two of them lie within the 15 seconds that a
/// block may be ahead of the clock.
const SKEW_MS: u64 = 6_000;

/// The same where clocks are what goes wrong.
const WILD_SKEW_MS: u64 = 60_000;

/// All machines must have one tip so long after the network has healed.
const HEALING: Duration = Duration::from_secs(10);

/// The same among liars who hold the slots when no machine has proven another: two turns and what is
/// fetched in them.
const HEALING_AMONG_STRANGERS: Duration = Duration::from_secs(20);

/// The same where liars that look like anybody else go on holding peers up.
const HEALING_AMONG_LIARS: Duration = Duration::from_secs(30);

/// The same where blocks may be too far ahead of a clock to be taken at once: by a minute and what
/// is permitted, less what is permitted and the error that clocks keep.
const HEALING_OF_CLOCKS: Duration = Duration::from_secs(90);

/// How many blocks everybody has in an archive: more than one page of headers.
const ARCHIVE: u64 = 2_050;

/// The sort of faults a run leans to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Whatever the seed says.
    Mixture,
    /// Four machines, and a little of everything that can happen without malice.
    Storm,
    /// Three to seven machines, cut apart again and again, also in one direction.
    Partitions,
    /// Datagrams lost, doubled, late and out of order.
    Weather,
    /// Power cuts.
    Crashes,
    /// Clocks that are a minute wrong, and jump forward and back.
    Clocks,
    /// Commits that fail, for want of space or because the disk is broken.
    Disks,
    /// Many payments, sequences used twice, a shared key, a small mempool, small blocks, the
    /// end of the supply.
    Payments,
    /// A long history, a moving target, long partitions: deep reorganisations.
    Deep,
    /// One or two hosts that lie in every way.
    Liars,
    /// Three hosts of many identities that hold everybody up; honest peers are pinned.
    Eclipse,
    /// The same hosts, all at once and as slow as they can be; nobody is pinned.
    Siege,
    /// A thief who fills the mempool in somebody's name.
    Hoards,
    /// Nobody mines but one, whose clock is a minute ahead, or jumps.
    Lone,
    /// A history longer than a page of headers, and partitions.
    Archive,
}

impl Kind {
    /// All of them, with the names by which they are asked for.
    pub const ALL: [(Kind, &str); 15] = [
        (Self::Mixture, "mixture"),
        (Self::Storm, "storm"),
        (Self::Partitions, "partitions"),
        (Self::Weather, "weather"),
        (Self::Crashes, "crashes"),
        (Self::Clocks, "clocks"),
        (Self::Disks, "disks"),
        (Self::Payments, "payments"),
        (Self::Deep, "deep"),
        (Self::Liars, "liars"),
        (Self::Eclipse, "eclipse"),
        (Self::Siege, "siege"),
        (Self::Hoards, "hoards"),
        (Self::Lone, "lone"),
        (Self::Archive, "archive"),
    ];

    /// The kind of this name.
    pub fn named(name: &str) -> Option<Self> {
        let found = Self::ALL.iter().find(|(_, known)| *known == name);
        found.map(|(kind, _)| *kind)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        let found = Self::ALL.iter().find(|(kind, _)| *kind == self);
        found.map_or("?", |(_, name)| name)
    }

    /// Of a mixture the part that falls to this seed. Liars come twice as often: they have
    /// the most to try.
    fn of(self, seed: u64) -> Self {
        const PARTS: [Kind; 16] = [
            Kind::Storm,
            Kind::Liars,
            Kind::Partitions,
            Kind::Deep,
            Kind::Payments,
            Kind::Crashes,
            Kind::Eclipse,
            Kind::Liars,
            Kind::Disks,
            Kind::Clocks,
            Kind::Weather,
            Kind::Deep,
            Kind::Siege,
            Kind::Hoards,
            Kind::Lone,
            Kind::Archive,
        ];
        match self {
            Self::Mixture => PARTS[(seed % PARTS.len() as u64) as usize],
            kind => kind,
        }
    }
}

/// What a seed chose.
#[derive(Clone, Debug)]
pub struct Profile {
    /// The sort of faults; never a mixture.
    pub kind: Kind,
    /// The cluster, liars included.
    pub cluster: ClusterConfig,
    /// How many of its machines, the first ones, are honest.
    pub nodes: usize,
    /// What the honest ones are told.
    pub config: NodesConfig,
    /// How long things go wrong.
    pub chaos: Duration,
    /// How long the machines may take to agree afterwards.
    pub healing: Duration,
    /// The share of datagrams that are lost meanwhile.
    pub loss: f64,
    /// The share of datagrams that are doubled meanwhile.
    pub doubled: f64,
    /// How probable a new partition is in each quarter of a second.
    pub partitions: f64,
    /// The longest a partition lasts, in milliseconds.
    pub longest_partition_ms: u64,
    /// How probable a crash is in each quarter of a second.
    pub crashes: f64,
    /// How probable a jump of a clock is in each quarter of a second.
    pub clock_jumps: f64,
    /// How wrong a clock may be, in milliseconds.
    pub skew_ms: u64,
    /// How far the first machine's clock is ahead of that, in milliseconds.
    pub ahead_ms: u64,
    /// How probable a failing disk is in each quarter of a second.
    pub disk_faults: f64,
    /// How probable a payment by a machine is in each quarter of a second.
    pub payments: f64,
    /// The share of payments that reuse a sequence.
    pub reused: f64,
    /// Whether two people have one key.
    pub shared_key: bool,
    /// Whether the wallets' processes end with the chaos, so that only the nodes remember
    /// the payments that a reorganisation takes back.
    pub wallets_end: bool,
    /// How many blocks everybody has before the run begins.
    pub history: u64,
    /// What liars do, where there are any.
    pub tricks: Vec<Trick>,
    /// Whether the honest machines are cut apart as the chaos ends.
    pub ends_apart: bool,
    /// Whether they are started anew then, so that none has proven another.
    pub ends_among_strangers: bool,
}

impl Profile {
    /// What `seed` chooses in a run of this kind.
    pub fn new(seed: u64, kind: Kind, random: &RandomStream, aloud: bool) -> Self {
        let mut profile = Self::storm(seed, random, aloud);
        profile.kind = kind.of(seed);
        if profile.kind != Kind::Storm {
            // A stream of its own, so that a storm's seed keeps its meaning.
            let more = RandomStream::new(seed, u64::MAX - 1);
            profile.gather(&more);
            profile.lean(&more);
        }
        profile
    }

    /// Four machines and a little of everything that needs no malice.
    fn storm(seed: u64, random: &RandomStream, aloud: bool) -> Self {
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
            kind: Kind::Storm,
            cluster: ClusterConfig {
                seed,
                params: Arc::new(params),
                machines: 4,
                miners,
                hashes_per_second,
                latency: Duration::from_millis(20 + random.below(400)),
                slowest_work: Duration::from_millis(5 + random.below(200)),
                aloud,
            },
            nodes: 4,
            config: NodesConfig {
                miners,
                mempool_bytes: 64 << 20,
                per_sender: 64,
                pinned: false,
            },
            chaos: Duration::from_secs(30 + random.below(30)),
            healing: HEALING,
            loss: [0.0, 0.02, 0.1, 0.3][random.below(4) as usize],
            doubled: [0.0, 0.1][random.below(2) as usize],
            partitions: 0.04 * random.unit(),
            longest_partition_ms: 15_000,
            crashes: 0.04 * random.unit(),
            clock_jumps: 0.01 * random.unit(),
            skew_ms: SKEW_MS,
            ahead_ms: 0,
            disk_faults: 0.0,
            payments: 0.05 + 0.1 * random.unit(),
            reused: 0.0,
            shared_key: false,
            wallets_end: random.below(2) == 0,
            history: 0,
            tricks: Vec::new(),
            ends_apart: false,
            ends_among_strangers: false,
        }
    }

    /// Three to seven machines, of which at least two mine, with milder faults of all sorts.
    fn gather(&mut self, random: &RandomStream) {
        let miners = 2 + random.below(3) as usize;
        self.nodes = (miners + random.below(4) as usize).clamp(3, 7);
        self.cluster.machines = self.nodes;
        let rate = self.cluster.hashes_per_second * self.cluster.miners as f64;
        self.cluster.hashes_per_second = rate / miners as f64;
        (self.cluster.miners, self.config.miners) = (miners, miners);
        self.loss = self.loss.min(0.05);
        self.partitions /= 2.0;
        self.crashes /= 2.0;
        self.clock_jumps /= 2.0;
    }

    fn lean(&mut self, random: &RandomStream) {
        let params = Arc::make_mut(&mut self.cluster.params);
        match self.kind {
            Kind::Mixture | Kind::Storm => {}
            Kind::Partitions => self.partitions = 0.05 + 0.05 * random.unit(),
            Kind::Weather => {
                self.loss = 0.1 + 0.4 * random.unit();
                self.doubled = 0.3 * random.unit();
                self.cluster.latency = Duration::from_millis(200 + random.below(1_300));
            }
            Kind::Crashes => self.crashes = 0.05 + 0.1 * random.unit(),
            Kind::Clocks => {
                params.target_block_seconds = 5;
                self.clock_jumps = 0.05;
                self.skew_ms = WILD_SKEW_MS;
                self.healing = HEALING_OF_CLOCKS;
            }
            Kind::Disks => self.disk_faults = 0.03 + 0.05 * random.unit(),
            Kind::Payments => {
                self.payments = 0.3;
                self.reused = [0.0, 0.1][random.below(2) as usize];
                self.shared_key = random.below(2) == 0;
                self.config.mempool_bytes = [1_500, 6_000][random.below(2) as usize];
                // So few bytes cannot hold what a reorg takes back; the wallets remember it.
                self.wallets_end = false;
                params.max_block_bytes = [1_024, 1 << 20][random.below(2) as usize];
                if random.below(3) == 0 {
                    params.block_reward = Amount::from_units(MAX_SUPPLY.units() / 20);
                }
                self.lie(1, &[Trick::Flood, Trick::Flaw]);
            }
            Kind::Deep => {
                params.target_block_seconds = 5;
                params.block_size = 1;
                self.history = 70 + random.below(20);
                self.partitions = 0.03;
                self.longest_partition_ms = 30_000;
                let tricks = [Trick::Reorg, Trick::Reorg, Trick::LowWork, Trick::Flaw];
                self.lie(random.below(2) as usize, &tricks);
            }
            Kind::Liars => {
                self.healing = HEALING_AMONG_LIARS;
                self.lie(1 + random.below(2) as usize, &Trick::ALL);
            }
            Kind::Eclipse => {
                self.config.pinned = true;
                self.lie(3, &Trick::STALLING);
            }
            Kind::Siege => self.besiege(random),
            Kind::Hoards => {
                self.payments = 0.05;
                self.config.per_sender = 8;
                // So few of a sender cannot hold what a reorg takes back either.
                self.wallets_end = false;
                self.lie(1, &[Trick::Flood]);
            }
            Kind::Lone => self.leave_one(random),
            Kind::Archive => {
                self.history = ARCHIVE + random.below(100);
                self.partitions = 0.05 + 0.05 * random.unit();
                self.make_blocks_easy();
            }
        }
    }

    /// Either the liars take every slot they can get shortly before the end, from machines that
    /// know each other or have all just been started and cut apart, or they offer the best tip
    /// themselves as soon as those who were cut apart could ask each other for it.
    fn besiege(&mut self, random: &RandomStream) {
        self.chaos += Duration::from_secs(20);
        (self.loss, self.crashes, self.partitions) = (0.0, 0.0, 0.0);
        let (trick, apart, strangers) = match random.below(3) {
            0 => (Trick::Mimic, true, false),
            1 => (Trick::Besiege, false, false),
            _ => (Trick::Besiege, true, true),
        };
        (self.ends_apart, self.ends_among_strangers) = (apart, strangers);
        if strangers {
            self.healing = HEALING_AMONG_STRANGERS;
        }
        self.lie(3, &[trick]);
    }

    /// One miner whom nothing wakes: nobody pays, and nobody else finds blocks.
    fn leave_one(&mut self, random: &RandomStream) {
        self.make_blocks_easy();
        // So few blocks that the target need not move, and nothing may be far ahead.
        Arc::make_mut(&mut self.cluster.params).target_block_seconds = 5;
        self.cluster.hashes_per_second = 8.0 / (3.0 + random.unit());
        (self.cluster.miners, self.config.miners) = (1, 1);
        self.nodes = self.nodes.min(4);
        self.cluster.machines = self.nodes;
        (self.payments, self.crashes) = (0.0, 0.0);
        self.chaos = Duration::from_secs(90 + random.below(30));
        if random.below(2) == 0 {
            (self.clock_jumps, self.partitions) = (0.0, 0.0);
            self.skew_ms = 2_000;
            self.ahead_ms = 45_000 + random.below(15_000);
        } else {
            self.clock_jumps = 0.1;
            self.skew_ms = WILD_SKEW_MS;
            self.disk_faults = 0.03;
        }
        self.healing = HEALING_OF_CLOCKS;
    }

    /// Blocks of 8 hashes without payments, as often as before.
    fn make_blocks_easy(&mut self) {
        let params = Arc::make_mut(&mut self.cluster.params);
        let easier = f64::from(1u32 << params.difficulty) / 8.0;
        (params.difficulty, params.block_size) = (3, 1);
        params.target_block_seconds = 0;
        self.cluster.hashes_per_second /= easier;
    }

    fn lie(&mut self, liars: usize, tricks: &[Trick]) {
        self.cluster.machines = self.nodes + liars;
        self.tricks = tricks.to_vec();
    }
}
