//! The main job: miners and wallets on one machine agree on a ledger and confirm payments.

use super::{Lab, balance, chain, follow, mine, new_address, reaches, send, verify};
use crate::process::{Mvb, Stopwatch, until};
use serde_json::Value;
use std::{path::Path, time::Duration};

/// Two miners and two wallets of one host, each with a home of its own: a payment from a
/// miner to a wallet and one between the wallets are confirmed everywhere.
pub fn two_miners_and_two_wallets(program: &Path) {
    let lab = Lab::new(program);
    let first = lab.home("first-miner").set("block_server_port", 3001);
    let second = lab.home("second-miner").set("block_server_port", 3002);
    let (alices, bobs) = (lab.home("alice"), lab.home("bob"));

    let mut first_miner = mine(&first);
    reaches(&mut first_miner, 1);
    let mut second_miner = mine(&second);
    reaches(&mut second_miner, 1);
    let alice = new_address(&alices, "alice");
    let bob = new_address(&bobs, "bob");
    let mut alices_sync = follow(&alices);
    let mut bobs_sync = follow(&bobs);

    let paid = wait_and_send(&first, "mining_rewards", "2.5", &alice);
    assert_eq!(paid["state"], "confirmed");
    reaches(&mut alices_sync, 2);
    assert_eq!(balance(&alices, "alice"), "2.5");
    wait_and_send(&alices, "alice", "1", &bob);
    for node in [
        &mut first_miner,
        &mut second_miner,
        &mut alices_sync,
        &mut bobs_sync,
    ] {
        reaches(node, 3);
    }
    assert_eq!(balance(&bobs, "bob"), "1");
    assert_eq!(balance(&alices, "alice"), "1.5");
    let homes = [&first, &second, &alices, &bobs];
    until("agreement", || {
        let chains: Vec<_> = homes.iter().map(|home| chain(home)).collect();
        chains
            .iter()
            .all(|seen| *seen == chains[0] && seen.height == 3)
    });
    homes.into_iter().for_each(verify);
}

fn wait_and_send(home: &Mvb, from: &str, amount: &str, to: &str) -> Value {
    home.json(&["wallet", "send", from, amount, to, "--wait"])
}

/// The commands a newcomer types, at most five, in two terminals: from nothing to a
/// confirmed payment. Returns how long that took.
pub fn five_commands(program: &Path) -> Duration {
    let lab = Lab::new(program);
    let home = lab.home("newcomer");
    let began = Stopwatch::start();
    let mut miner = mine(&home);
    let alice = new_address(&home, "alice");
    reaches(&mut miner, 1);
    let paid = home.text(&["wallet", "send", "mining_rewards", "2.5", "alice", "--wait"]);
    let listed = home.text(&["wallet", "list-addresses"]);
    let took = began.elapsed();
    assert!(paid.contains("Confirmed in block 2"), "{paid}");
    let line = listed.lines().find(|line| line.starts_with("alice"));
    assert!(line.is_some_and(|line| line.contains("2.5")), "{listed}");
    assert!(
        listed.contains(&alice) || listed.to_lowercase().contains(&alice),
        "{listed}"
    );
    took
}

/// A wallet that pays while nobody listens, and whose process has ended: the payment is
/// announced by whatever runs on that home later, and confirmed.
pub fn a_payment_made_offline(program: &Path) {
    let lab = Lab::new(program);
    let (miners, wallets) = (lab.home("miner"), lab.home("wallet"));
    let alice = new_address(&wallets, "alice");
    let mut miner = mine(&miners);
    reaches(&mut miner, 1);
    wait_and_send(&miners, "mining_rewards", "5", &alice);
    let synced = wallets.run(&["wallet", "sync", "--until-synced"]);
    assert!(synced.status.success(), "{synced}");
    assert_eq!(balance(&wallets, "alice"), "5");
    miner.kill();

    send(&wallets, "alice", "1", &alice);
    let mut miner = mine(&miners);
    let _sync = follow(&wallets);
    reaches(&mut miner, 3);
}

/// Two sends at once on one home reserve two sequences, and both are confirmed.
pub fn two_sends_at_once(program: &Path) {
    let lab = Lab::new(program);
    let home = lab.home("miner");
    let alice = new_address(&home, "alice");
    let mut miner = mine(&home);
    reaches(&mut miner, 1);
    let pay = [
        "wallet",
        "send",
        "mining_rewards",
        "1",
        alice.as_str(),
        "--wait",
    ];
    let both = [
        home.with(["--json"]).start(&pay),
        home.with(["--json"]).start(&pay),
    ];
    for one in both {
        let done = one.finish(crate::process::PATIENCE);
        assert!(done.status.success(), "{done}");
    }
    assert_eq!(balance(&home, "alice"), "2");
}

/// `mvb demo --once` builds a network, pays, and ends with 0 and nothing left behind: no
/// process, no file. Returns how long it took.
pub fn demo_once(program: &Path) -> Duration {
    let lab = Lab::new(program);
    let temporary = lab.folder().join("temporary");
    std::fs::create_dir(&temporary).expect("a new folder");
    let began = Stopwatch::start();
    let demo = lab.bare_home("unused").without_home().inside(vec![
        "env".into(),
        format!("TMPDIR={}", temporary.display()).into(),
    ]);
    let last = demo.json(&["demo", "--once"]);
    let took = began.elapsed();
    assert_eq!(last["event"], "done", "{last}");
    assert!(last["height"].as_u64() >= Some(2), "{last}");
    let left = std::fs::read_dir(&temporary).map(Iterator::count);
    assert_eq!(left.ok(), Some(0), "files of the demo are left");
    took
}
