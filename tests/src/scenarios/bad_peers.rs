//! A synchronisation with four peers, of which one stalls, one trickles and one lies, against
//! the same with the good one alone: real processes, in turns. What is asserted is the chain
//! that comes of it; how long things took is returned.

use super::{Lab, follow, mine};
use crate::{
    attackers::{Asked, BadPeers, Wrong},
    process::{Mvb, PATIENCE, Running, Stopwatch},
};
use mvb_protocol::{
    chain::{ChainStore, Tip},
    numbers::Height,
    params::ChainParams,
};
use mvb_storage::{LmdbStore, stored_params};
use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::Duration,
};

/// The good peer's block server.
const GOOD: u16 = 3001;

/// The bad peers, and by how much each one's port lies below or above the good one's.
const BAD: [(Wrong, u16); 3] = [(Wrong::Stalls, 1), (Wrong::Trickles, 2), (Wrong::Lies, 3)];

/// Payments in a block.
const PAYMENTS: &str = "5";

/// How long making the chain may take, and how long the bad peers stay.
const LONGEST: Duration = Duration::from_secs(1_200);

/// How often a synchronising node's store is looked at.
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

/// How a synchronisation went.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Synced {
    /// From the start of the process to the tip.
    pub took: Duration,
    /// The longest that its chain stood still meanwhile.
    pub stood_still: Duration,
    /// The processor time that it took, in seconds.
    pub processor_seconds: f64,
}

/// Both, one after the other.
#[derive(Clone, Debug, PartialEq)]
pub struct Round {
    /// How many of the bad peers were asked before the good one.
    pub good_after: usize,
    /// With the good peer alone.
    pub alone: Synced,
    /// Beside the bad ones.
    pub beside: Synced,
    /// How often each bad one was asked.
    pub asked: Vec<(Wrong, Asked)>,
}

impl Round {
    /// How many times as long it took beside them.
    pub fn ratio(&self) -> f64 {
        self.beside.took.as_secs_f64() / self.alone.took.as_secs_f64()
    }
}

/// The medians of some rounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cost {
    /// With the good peer alone.
    pub alone: Duration,
    /// Beside the bad ones.
    pub beside: Duration,
    /// How many times as long it took beside them.
    pub ratio: f64,
    /// The same in the worst round.
    pub worst_ratio: f64,
}

/// Synchronises a chain of so many blocks once in each way, `rounds` times; the good peer is
/// asked first, second, third and last in turns. `tell` hears of each round.
pub fn cost(program: &Path, blocks: u64, rounds: usize, tell: impl Fn(&Round)) -> Cost {
    let place = Place::make(program, blocks);
    let home = place.home("chain/serving");
    let mut server = mine(&home.set("block_server_port", GOOD));
    server.wait_for_event("the server", |event| event["event"] == "started");
    let rounds: Vec<Round> = (0..rounds.max(1))
        .map(|number| {
            let round = place.round(BAD.len() - number % (BAD.len() + 1));
            tell(&round);
            round
        })
        .collect();
    server.kill();
    // Two synchronisations of one round are alike in what else the machine did meanwhile.
    let ratios = sorted(rounds.iter().map(Round::ratio));
    Cost {
        alone: median(sorted(rounds.iter().map(|round| round.alone.took))),
        beside: median(sorted(rounds.iter().map(|round| round.beside.took))),
        worst_ratio: ratios[ratios.len() - 1],
        ratio: median(ratios),
    }
}

fn sorted<T: PartialOrd>(values: impl Iterator<Item = T>) -> Vec<T> {
    let mut values: Vec<T> = values.collect();
    values.sort_by(|a, b| {
        a.partial_cmp(b)
            .expect("times and their ratios are numbers")
    });
    values
}

fn median<T: Copy>(sorted: Vec<T>) -> T {
    sorted[sorted.len() / 2]
}

/// Where it happens: a lab with a long chain in one of its homes.
struct Place {
    lab: Lab,
    params: ChainParams,
    chain: Arc<LmdbStore>,
    tip: Tip,
}

impl Place {
    /// Has the program make a chain, which it does for a benchmark of its own.
    fn make(program: &Path, blocks: u64) -> Self {
        let lab = Lab::new(program);
        let folder = lab.folder().join("chain");
        let (dir, blocks) = (folder.display().to_string(), blocks.to_string());
        let arguments = ["bench", "sync", "--dir", &dir, "--blocks", &blocks];
        let made = lab
            .bare_home("maker")
            .with(["--transactions-per-block", PAYMENTS])
            .start(&arguments)
            .finish(LONGEST);
        assert!(made.status.success(), "no chain: {made}");
        let chains = fs::read_dir(folder.join("serving/chains"));
        let first = chains.expect("the chain's folder").next();
        let first = first.expect("a chain").expect("its name").path();
        let params = stored_params(&first).expect("readable");
        let params = params.expect("a chain in its folder");
        let chain = LmdbStore::open_existing(&first, &params).expect("a chain");
        let tip = chain.snapshot().and_then(|chain| chain.tip());
        Self {
            lab,
            params,
            chain: Arc::new(chain),
            tip: tip.expect("a readable chain"),
        }
    }

    /// A home of the chain's network.
    fn home(&self, name: &str) -> Mvb {
        let params = &self.params;
        self.lab
            .bare_home(name)
            .set("network_name", &params.network_name)
            .set("difficulty", params.difficulty)
            .set("block_size", params.block_size)
            .set("block_reward", params.block_reward)
            .set("target_block_seconds", params.target_block_seconds)
            .set("max_block_bytes", params.max_block_bytes)
    }

    /// The chain's folder in a home.
    fn folder(&self, home: &Mvb) -> PathBuf {
        let genesis = self.params.genesis_id().to_string();
        home.home().join("chains").join(genesis)
    }

    fn round(&self, good_after: usize) -> Round {
        let good = SocketAddr::from((Ipv4Addr::LOCALHOST, GOOD));
        let alone = self.synchronise("alone", &[good]);
        // Peers of equal merit are asked in the order of their addresses.
        let bad: Vec<_> = (0..)
            .zip(BAD)
            .map(|(number, (wrong, apart))| {
                let port = match number < good_after {
                    true => GOOD - apart,
                    false => GOOD + apart,
                };
                (SocketAddr::from((Ipv4Addr::LOCALHOST, port)), wrong)
            })
            .collect();
        let peers = BadPeers::begin(&self.chain, &bad, LONGEST);
        let addresses = bad.iter().map(|(address, _)| *address);
        let addresses: Vec<_> = addresses.chain([good]).collect();
        let beside = self.synchronise("beside", &addresses);
        let asked = peers.end();
        Round {
            good_after,
            alone,
            beside,
            asked: BAD.iter().map(|(wrong, _)| *wrong).zip(asked).collect(),
        }
    }

    /// Lets a new node fetch the chain from some peers.
    fn synchronise(&self, name: &str, peers: &[SocketAddr]) -> Synced {
        let peers: Vec<_> = peers.iter().map(SocketAddr::to_string).collect();
        let home = self.home(name).set("peers", peers.join(","));
        let began = Stopwatch::start();
        let wallet = follow(&home);
        let synced = self.until_synced(&home, &wallet, began);
        wallet.kill();
        self.compare(&home);
        fs::remove_dir_all(home.home()).expect("a home of this test");
        synced
    }

    /// Looks at a node's store until the tip is there.
    fn until_synced(&self, home: &Mvb, wallet: &Running, began: Stopwatch) -> Synced {
        let folder = self.folder(home);
        let mut store = None;
        let mut synced = Synced::default();
        let (mut height, mut moved) = (0, Duration::ZERO);
        while height < self.tip.height.0 {
            thread::sleep(BETWEEN_LOOKS);
            if store.is_none() {
                store = LmdbStore::open_existing(&folder, &self.params).ok();
            }
            let seen = store.as_ref().map_or(0, |store| {
                let tip = store.snapshot().and_then(|chain| chain.tip());
                tip.expect("a readable chain").height.0
            });
            let now = began.elapsed();
            synced.stood_still = synced.stood_still.max(now - moved);
            if seen > height {
                (height, moved) = (seen, now);
            }
            let told = wallet.stderr();
            assert!(now < moved + PATIENCE, "stands still at {height}: {told}");
        }
        synced.took = moved;
        synced.processor_seconds = processor_seconds(wallet);
        synced
    }

    /// The node has the good peer's chain, body by body.
    fn compare(&self, home: &Mvb) {
        let fetched = LmdbStore::open_existing(&self.folder(home), &self.params);
        let fetched = fetched.expect("a chain");
        let (fetched, good) = (fetched.snapshot(), self.chain.snapshot());
        let (fetched, good) = (fetched.expect("readable"), good.expect("readable"));
        for height in (1..=self.tip.height.0).map(Height) {
            let id = good.active_id(height).expect("readable").expect("a block");
            let [theirs, ours] = [&good, &fetched].map(|chain| chain.encoded_block(&id));
            let (theirs, ours) = (theirs.expect("readable"), ours.expect("readable"));
            assert!(ours.is_some() && ours == theirs, "the block at {height}");
        }
    }
}

/// The processor time that a process has used, in seconds.
fn processor_seconds(process: &Running) -> f64 {
    /// Linux tells it in hundredths of a second.
    const TICKS: f64 = 100.0;
    let stat = fs::read_to_string(format!("/proc/{}/stat", process.id()));
    let stat = stat.unwrap_or_else(|error| panic!("a node's processor time: {error}"));
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let ticks = fields.split_whitespace().skip(11).take(2);
    ticks
        .filter_map(|ticks| ticks.parse::<f64>().ok())
        .sum::<f64>()
        / TICKS
}
