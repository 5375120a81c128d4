//! How processes end, and what must not stop them: signals, silent clients, busy ports, a
//! machine with no network.

use super::{Lab, follow, mine, new_address, reaches, send};
use crate::process::{Running, Signal, Stopwatch};
use std::{
    net::{Ipv4Addr, TcpStream},
    path::Path,
    time::Duration,
};

/// How long a program may take to end when it is asked to.
const ENDS_WITHIN: Duration = Duration::from_secs(2);

/// Asks a running command to end, and returns its exit code and how long it took.
fn ended(command: Running, signal: Signal) -> (Option<i32>, Duration) {
    let asked = Stopwatch::start();
    command.signal(signal);
    let done = command.finish(crate::process::PATIENCE);
    let took = asked.elapsed();
    assert!(
        took <= ENDS_WITHIN,
        "{signal:?}: ended after {took:?}: {done}"
    );
    (done.status.code(), took)
}

/// Ctrl-C and SIGTERM end a searching miner, a waiting miner and a wallet with 0, and a
/// `send --wait` with 130. Returns the longest it took.
pub fn signals_end_everything(program: &Path) -> Duration {
    let lab = Lab::new(program);
    let mut longest = Duration::ZERO;
    for (round, signal) in [Signal::Interrupt, Signal::Terminate]
        .into_iter()
        .enumerate()
    {
        let mut end = |command: Running, code: i32| {
            let (got, took) = ended(command, signal);
            assert_eq!(got, Some(code), "{signal:?}");
            longest = longest.max(took);
        };
        // Far too difficult to find anything, so that every thread is in the search.
        let searching = lab
            .home(&format!("searching-{round}"))
            .set("difficulty", 60);
        let mut miner = mine(&searching);
        miner.wait_for_event("the search", |event| event["state"] == "searching");
        end(miner, 0);

        let waiting = lab.home(&format!("waiting-{round}"));
        let mut miner = mine(&waiting);
        reaches(&mut miner, 1);
        let mut wallet = follow(&lab.home(&format!("wallet-{round}")));
        reaches(&mut wallet, 1);
        end(wallet, 0);
        end(miner, 0);

        let alice = new_address(&waiting, "alice");
        let pay = ["wallet", "send", "mining_rewards", "1", &alice, "--wait"];
        let mut payment = waiting.with(["--json"]).start(&pay);
        payment.wait_for_event("the payment", |event| event["id"].is_string());
        end(payment, 130);
    }
    longest
}

/// Clients that connect to the block server and say nothing keep nobody from its blocks.
pub fn silent_clients(program: &Path, clients: usize) {
    let lab = Lab::new(program);
    let port = 3001;
    let home = lab.home("miner").set("block_server_port", port);
    let mut miner = mine(&home);
    reaches(&mut miner, 1);
    let silent: Vec<_> = (0..clients)
        .map(|_| TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("the block server listens"))
        .collect();
    let newcomer = lab.home("newcomer");
    let mut wallet = follow(&newcomer);
    reaches(&mut wallet, 1);
    drop(silent);
}

/// Two miners of one host that ask for no port both serve: the second takes the next one.
pub fn the_second_miner_takes_the_next_port(program: &Path) {
    let lab = Lab::new(program);
    let mut first = mine(&lab.home("first"));
    reaches(&mut first, 1);
    let mut second = mine(&lab.home("second"));
    reaches(&mut second, 1);
    for port in [2607, 2608] {
        TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("each miner serves");
    }
}

/// `lan` on a machine with loopback alone: mining and paying work, and say no traceback.
pub fn no_network_at_all(program: &Path) {
    let lab = Lab::new(program);
    let home = lab.home("miner").with(["--network", "lan"]);
    let alice = new_address(&home, "alice");
    let mut miner = mine(&home);
    reaches(&mut miner, 1);
    send(&home, "mining_rewards", "1", &alice);
    reaches(&mut miner, 2);
    assert!(!miner.stderr().contains("panic"), "{}", miner.stderr());
}
