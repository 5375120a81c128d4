//! Attacks on running nodes, and what they still do meanwhile: hear of honest blocks, serve
//! honest peers, stay small. What a scenario asserts does not depend on time, except that
//! it ends; how long things took is returned.

use super::{Lab, STATUS_INTERVAL, chain, follow, mine, reaches, send, verify};
use crate::{
    attackers::{
        ConnectionFlood, Flood, Liars, SlowClients, attacker, forged_payments, invented_statuses,
        premade,
    },
    process::{Mvb, Running, Stopwatch},
};
use mvb_actors::env::RandomStream;
use mvb_protocol::{
    chain::ChainStore,
    hash::BlockId,
    keys::PublicKey,
    numbers::{Height, Sequence},
    params::ChainParams,
};
use mvb_storage::LmdbStore;
use std::{
    fs,
    io::Read,
    net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket},
    path::Path,
    thread,
    time::Duration,
};

/// How much memory of its own a node may take under attack beside what it had at rest.
const SPARE_KIB: u64 = 64 << 10;

/// The shared ports of every node here.
const STATUS_PORT: u16 = 2606;
const TRANSACTION_PORT: u16 = 2608;

/// The honest miner's block server.
const SERVER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 3001);

/// The parameters of [`Lab::home`]'s network.
pub fn params() -> ChainParams {
    ChainParams {
        network_name: "scenario".to_owned(),
        difficulty: 12,
        ..ChainParams::default()
    }
}

/// What a process has of its own, in KiB: memory that no file stands behind.
pub fn own_memory(process: &Running) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", process.id()));
    let status = status.unwrap_or_else(|error| panic!("a node's memory: {error}"));
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    kib.and_then(|kib| kib.parse().ok())
        .unwrap_or_else(|| panic!("no RssAnon in {status}"))
}

/// How many descriptors a process has open.
pub fn descriptors(process: &Running) -> usize {
    let open = fs::read_dir(format!("/proc/{}/fd", process.id()));
    open.map_or(0, Iterator::count)
}

/// What a node still did under an attack.
#[derive(Clone, Copy, Debug, Default)]
pub struct Endured {
    /// Datagrams, connections or visits of the attack.
    pub attacks: u64,
    /// Honest blocks made meanwhile.
    pub blocks: u64,
    /// The longest from the miner's word of a block to the other node's.
    pub slowest_block: Duration,
    /// A node's own memory at rest, in KiB; the larger one.
    pub rest_kib: u64,
    /// By how much a node grew beyond it at most, in KiB.
    pub grown_kib: u64,
}

/// An honest miner, and a wallet that follows it.
struct Pair {
    _lab: Lab,
    home: Mvb,
    miner: Running,
    wallet: Running,
    rest: [u64; 2],
    endured: Endured,
}

impl Pair {
    fn start(lab: Lab, home: Mvb, wallet: &Mvb) -> Self {
        let mut miner = mine(&home);
        reaches(&mut miner, 1);
        let mut wallet = follow(wallet);
        reaches(&mut wallet, 1);
        // Memory at rest is that of a pair that has made and passed on a block before.
        let mut pair = Self {
            _lab: lab,
            home,
            miner,
            wallet,
            rest: [0; 2],
            endured: Endured::default(),
        };
        pair.honest_block();
        pair.rest = pair.memory();
        pair.endured = Endured {
            rest_kib: pair.rest[0].max(pair.rest[1]),
            ..Endured::default()
        };
        pair
    }

    fn plain(program: &Path) -> Self {
        let lab = Lab::new(program);
        let home = lab.home("honest").set("block_server_port", SERVER.port());
        assert_eq!(
            chain_params(&home),
            params().genesis_id().to_string(),
            "the scenarios' network is what is attacked"
        );
        let wallet = lab.home("wallet");
        Self::start(lab, home, &wallet)
    }

    fn memory(&self) -> [u64; 2] {
        [own_memory(&self.miner), own_memory(&self.wallet)]
    }

    /// Somebody pays, the miner mines, the wallet hears of it.
    fn honest_block(&mut self) {
        let height = chain(&self.home).height + 1;
        send(&self.home, "mining_rewards", "0.000001", "mining_rewards");
        reaches(&mut self.miner, height);
        let told = Stopwatch::start();
        reaches(&mut self.wallet, height);
        self.endured.blocks += 1;
        self.endured.slowest_block = self.endured.slowest_block.max(told.elapsed());
        self.look();
    }

    fn look(&mut self) {
        for (now, rest) in self.memory().into_iter().zip(self.rest) {
            self.endured.grown_kib = self.endured.grown_kib.max(now.saturating_sub(rest));
        }
    }

    /// Honest blocks, one after the other, for a while; one at least.
    fn go_on(&mut self, seconds: u64) {
        let began = Stopwatch::start();
        loop {
            self.honest_block();
            let left = began.left(Duration::from_secs(seconds));
            if left.is_zero() {
                return;
            }
            thread::sleep(left.min(Duration::from_millis(500)));
            self.look();
        }
    }

    fn end(self, attacks: u64) -> Endured {
        let Endured { grown_kib, .. } = self.endured;
        assert!(
            grown_kib <= SPARE_KIB,
            "grew by {grown_kib} KiB: {:?}",
            self.endured
        );
        self.miner.kill();
        self.wallet.kill();
        verify(&self.home);
        Endured {
            attacks,
            ..self.endured
        }
    }
}

fn chain_params(home: &Mvb) -> String {
    // The first command on a home tells the network it would be part of.
    let config = home.json(&["config"]);
    config["genesis"].as_str().unwrap_or_default().to_owned()
}

fn longest(seconds: u64) -> Duration {
    Duration::from_secs(seconds) + crate::process::PATIENCE
}

/// Statuses of chains that nobody has, a hundred thousand a second if the machine can.
pub fn status_flood(program: &Path, seconds: u64, per_second: u64) -> Endured {
    let mut pair = Pair::plain(program);
    let lies = invented_statuses(&params(), 8_192, None, &RandomStream::new(1, 4));
    let flood = Flood::begin(STATUS_PORT, lies, per_second, longest(seconds));
    pair.go_on(seconds);
    let sent = flood.end();
    pair.honest_block();
    pair.end(sent)
}

/// Payments that nobody made, and bytes that are none.
pub fn payment_flood(program: &Path, seconds: u64, per_second: u64) -> Endured {
    let mut pair = Pair::plain(program);
    let random = RandomStream::new(1, 5);
    let (victim, next) = a_payer(&pair.home);
    let forged = forged_payments(&params(), 4_096, &victim, next, &random);
    let noise = (0..256).map(|step| (0..24 * step).map(|_| random.next_u64() as u8).collect());
    let datagrams = forged.into_iter().chain(noise).collect();
    let flood = Flood::begin(TRANSACTION_PORT, datagrams, per_second, longest(seconds));
    pair.go_on(seconds);
    let sent = flood.end();
    pair.honest_block();
    pair.end(sent)
}

/// Whose payment stands in a home's second block, and that payer's next sequence.
fn a_payer(home: &Mvb) -> (PublicKey, Sequence) {
    let params = params();
    let folder = home
        .home()
        .join("chains")
        .join(params.genesis_id().to_string());
    let store = LmdbStore::open_existing(&folder, &params).expect("a miner's chain");
    let chain = store.snapshot().expect("a readable store");
    let id = chain
        .active_id(Height(2))
        .expect("readable")
        .expect("two blocks");
    let block = chain
        .block(&id)
        .expect("readable")
        .expect("an active block");
    let payment = block.transactions.first().expect("its payment");
    let account = chain.account(&payment.from()).expect("readable");
    (payment.key.clone(), account.sequence)
}

/// Many liars announce better chains; the wallet cannot hear the honest miner's statuses,
/// but one setting names its address.
pub fn eclipse(program: &Path, liars: usize, seconds: u64) -> Endured {
    let lab = Lab::new(program);
    let home = lab
        .home("honest")
        .set("block_server_port", SERVER.port())
        .set("status_broadcast_port", STATUS_PORT + 1_000);
    let wallet = lab.home("wallet").set("peers", SERVER);
    let mut pair = Pair::start(lab, home, &wallet);
    let liars = Liars::begin(STATUS_PORT, &params(), liars, longest(seconds));
    pair.go_on(seconds);
    let visits = liars.end();
    pair.end(visits)
}

/// What an attack on the block server cost an honest newcomer.
#[derive(Clone, Copy, Debug, Default)]
pub struct Served {
    /// Connections of the attack.
    pub attacks: u64,
    /// How long a newcomer took without it; the median.
    pub at_rest: Duration,
    /// How long a newcomer took under it; the median, and the longest.
    pub attacked: [Duration; 2],
    /// The server's own memory at rest, in KiB.
    pub rest_kib: u64,
    /// By how much it grew beyond that, in KiB.
    pub grown_kib: u64,
}

/// Slow clients hold on to every session they can get. So many newcomers come before, and
/// as many under the attack.
pub fn slow_clients(program: &Path, clients: usize, blocks: u64, newcomers: usize) -> Served {
    served(program, blocks, newcomers, |ids| {
        let slow = SlowClients::begin(SERVER, &params(), ids, clients, longest(600));
        move || slow.end()
    })
}

/// Clients connect and leave as fast as they can.
pub fn connection_flood(program: &Path, blocks: u64, newcomers: usize) -> Served {
    served(program, blocks, newcomers, |_| {
        let flood = ConnectionFlood::begin(SERVER, longest(600));
        move || flood.end()
    })
}

/// A miner with a chain that newcomers synchronise, at first in peace, then under attack.
fn served<E: FnOnce() -> u64>(
    program: &Path,
    blocks: u64,
    newcomers: usize,
    attack: impl FnOnce(Vec<BlockId>) -> E,
) -> Served {
    let lab = Lab::new(program);
    let home = lab.home("server").set("block_server_port", SERVER.port());
    fs::create_dir_all(home.home()).expect("a new home");
    let ids = premade::write_chain(home.home(), &params(), blocks);
    let mut server = mine(&home);
    server.wait_for_event("the server", |event| event["event"] == "started");
    let newcomer = |name: String| {
        // A pinned peer is asked at once, so that what is measured is the synchronisation.
        let home = lab.home(&name).set("peers", SERVER);
        let mut wallet = home.with(["--json", "-v"]).start(&["wallet", "sync"]);
        wallet.wait_for_event("the start", |event| event["event"] == "listening");
        let began = Stopwatch::start();
        // Its events come up to a second later.
        wallet.wait_for_log(&format!("new tip height={blocks} "));
        began.elapsed()
    };
    let several = |when: &str| {
        let numbers = 1..=newcomers.max(1);
        let mut times: Vec<_> = numbers
            .map(|number| newcomer(format!("{when}-{number}")))
            .collect();
        times.sort();
        [times[times.len() / 2], times[times.len() - 1]]
    };
    let [at_rest, _] = several("rest");
    let rest_kib = own_memory(&server);
    let end = attack(ids);
    // Until the attackers have what they can get.
    thread::sleep(2 * STATUS_INTERVAL);
    let attacked = several("attacked");
    let grown_kib = own_memory(&server).saturating_sub(rest_kib);
    let attacks = end();
    assert!(grown_kib <= SPARE_KIB, "grew by {grown_kib} KiB");
    newcomer("afterwards".to_owned());
    server.kill();
    Served {
        attacks,
        at_rest,
        attacked,
        rest_kib,
        grown_kib,
    }
}

/// A datagram makes a node send nothing back and connect nowhere but to its own source, and
/// there it says nothing before it is greeted. Returns how often it was made to connect
/// in two seconds of a thousand statuses a second.
pub fn reflection(program: &Path) -> u64 {
    const PORT: u16 = 5_000;
    let pair = Pair::plain(program);
    let random = RandomStream::new(1, 6);
    let statuses = invented_statuses(&params(), 2_000, Some(PORT), &random);
    let third_party = listener(Ipv4Addr::new(127, 99, 0, 1), PORT);
    // The attacker's own address, to which the node may connect.
    let source = listener(attacker(0), PORT);
    let (victim, next) = a_payer(&pair.home);
    let payments = forged_payments(&params(), 64, &victim, next, &random);
    let mouth = UdpSocket::bind((attacker(0), 0)).expect("loopback has room");
    mouth.set_broadcast(true).expect("a socket option");
    mouth.set_nonblocking(true).expect("a socket option");
    let everybody = Ipv4Addr::new(127, 255, 255, 255);
    let mut connections = 0;
    let look = |connections: &mut u64| {
        while let Ok((mut stream, from)) = source.accept() {
            assert!(from.ip().is_loopback());
            *connections += 1;
            let mut first = [0; 64];
            stream.set_nonblocking(true).expect("a socket option");
            let said = stream.read(&mut first);
            assert!(!matches!(said, Ok(1..)), "it spoke before it was greeted");
        }
    };
    for (index, status) in statuses.iter().enumerate() {
        let sent = mouth.send_to(status, (everybody, STATUS_PORT));
        sent.expect("a datagram leaves");
        if let Some(payment) = payments.get(index) {
            let sent = mouth.send_to(payment, (everybody, TRANSACTION_PORT));
            sent.expect("a datagram leaves");
        }
        thread::sleep(Duration::from_millis(1));
        look(&mut connections);
    }
    thread::sleep(STATUS_INTERVAL);
    look(&mut connections);
    let answered = mouth.recv(&mut [0; 2_048]).map_err(|error| error.kind());
    assert_eq!(
        answered,
        Err(std::io::ErrorKind::WouldBlock),
        "a datagram was answered"
    );
    let met = third_party.accept().map(|(_, from)| from);
    assert!(met.is_err(), "a third party was connected to: {met:?}");
    pair.end(connections).attacks
}

fn listener(address: Ipv4Addr, port: u16) -> TcpListener {
    let listener = TcpListener::bind((address, port)).expect("a free port");
    listener.set_nonblocking(true).expect("a socket option");
    listener
}
