//! What only time shows: a miner that leaves its peers no core, and one that runs for long.

use super::{
    Lab,
    attacks::{descriptors, own_memory},
    chain, follow, mine, new_address, reaches, send, verify,
};
use crate::process::{Running, Stopwatch};
use std::{
    io::{self, Read},
    net::{Ipv4Addr, TcpStream},
    path::Path,
    thread,
    time::Duration,
};

/// How a busy miner's block server answered: half of the askers were greeted within the
/// first time, all within the second.
pub fn greetings_of_a_busy_miner(program: &Path, askers: usize) -> [Duration; 2] {
    let lab = Lab::new(program);
    let port = 3001;
    let cores = thread::available_parallelism().map_or(2, usize::from);
    let home = lab
        .home("busy")
        .set("block_server_port", port)
        .set("difficulty", 60);
    let threads = cores.to_string();
    let mut miner = home
        .with(["--json"])
        .start(&["miner", "--threads", &threads]);
    miner.wait_for_event("the search", |event| event["state"] == "searching");
    let greeting = || -> io::Result<Duration> {
        let asked = Stopwatch::start();
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        let mut length = [0; 4];
        stream.read_exact(&mut length)?;
        let mut hello = vec![0; u32::from_be_bytes(length) as usize];
        stream.read_exact(&mut hello)?;
        Ok(asked.elapsed())
    };
    let mut times: Vec<_> = (0..askers.max(1))
        .map(|_| greeting().expect("a busy miner greets"))
        .collect();
    times.sort();
    [times[times.len() / 2], times[times.len() - 1]]
}

/// What a long run came to; each pair is the miner's and the wallet's.
#[derive(Clone, Copy, Debug)]
pub struct LongRun {
    /// Blocks mined.
    pub blocks: u64,
    /// Payments made.
    pub payments: u64,
    /// Their own memory after a quarter of the time, in KiB.
    pub memory_kib: [u64; 2],
    /// By how much it grew from then to the end, in KiB.
    pub grown_kib: [u64; 2],
    /// Their open descriptors after a quarter of the time.
    pub descriptors: [usize; 2],
    /// How many more there were at the end.
    pub more_descriptors: [usize; 2],
}

/// A miner mines and a wallet follows and pays, for a while: neither's memory nor its
/// descriptors grow with the chain.
pub fn run(program: &Path, seconds: u64) -> LongRun {
    /// Caches may still be filling after a quarter.
    const SPARE_KIB: u64 = 16 << 10;
    const SPARE_DESCRIPTORS: usize = 8;
    let lab = Lab::new(program);
    let restless = |name| lab.home(name).set("block_size", 1).set("difficulty", 16);
    let (home, wallets) = (restless("miner"), restless("wallet"));
    let alice = new_address(&wallets, "alice");
    let mut nodes = [mine(&home), follow(&wallets)];
    let height = reaches(&mut nodes[0], 1).height;
    reaches(&mut nodes[1], height);
    let mut payments = 0;
    let mut go_on = |nodes: &mut [Running; 2], limit: Duration| {
        let began = Stopwatch::start();
        while began.elapsed() < limit {
            send(&home, "mining_rewards", "0.000001", &alice);
            payments += 1;
            for node in nodes.iter_mut() {
                while node.line_within(Duration::from_millis(50)).is_some() {}
            }
        }
    };
    let seconds = Duration::from_secs(seconds);
    go_on(&mut nodes, seconds / 4);
    let memory_kib = nodes.each_ref().map(own_memory);
    let open = nodes.each_ref().map(descriptors);
    go_on(&mut nodes, seconds * 3 / 4);
    let grown_kib = [0, 1].map(|node| own_memory(&nodes[node]).saturating_sub(memory_kib[node]));
    let more = [0, 1].map(|node| descriptors(&nodes[node]).saturating_sub(open[node]));
    assert!(
        grown_kib.iter().all(|kib| *kib <= SPARE_KIB),
        "{grown_kib:?}"
    );
    assert!(
        more.iter().all(|more| *more <= SPARE_DESCRIPTORS),
        "{more:?}"
    );
    let blocks = chain(&home).height;
    for node in nodes {
        node.kill();
    }
    [&home, &wallets].into_iter().for_each(verify);
    LongRun {
        blocks,
        payments,
        memory_kib,
        grown_kib,
        descriptors: open,
        more_descriptors: more,
    }
}
