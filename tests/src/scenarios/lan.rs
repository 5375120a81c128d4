//! Hosts on a bridge: mining and paying over `lan`, the bridge cut into two halves that
//! both go on, and healed. Blocks here need a payment (block_size 2), so that mining stops
//! by itself when nobody pays.

use super::{
    ChainSeen, Lab, balance, chain, confirmed, follow, is_tip, mine, new_address, reaches, send,
    verify,
};
use crate::{
    namespaces::{Bridge, Half},
    process::{Mvb, Running, Stopwatch, until},
};
use serde_json::Value;
use std::{fs, path::Path, time::Duration};

/// The status interval of these networks, long enough that a busy machine keeps to it.
const INTERVAL_SECONDS: u32 = 3;

/// Three hosts: a miner and a wallet in the west, a miner in the east.
struct Room {
    lab: Lab,
    bridge: Bridge,
}

impl Room {
    fn new(program: &Path) -> Self {
        Self {
            lab: Lab::new(program),
            bridge: Bridge::build(&[Half::West, Half::West, Half::East]),
        }
    }

    /// A home on a host, in a network named for this room.
    fn home(&self, host: usize, name: &str) -> Mvb {
        self.lab
            .home(name)
            .set("network_name", "the-room")
            .set("status_broadcast_interval_seconds", INTERVAL_SECONDS)
            .with(["--network", "lan"])
            .inside(self.bridge.host(host).entry())
    }
}

/// A miner in the west mines, pays a wallet on another host, and that one pays into the
/// east; everybody ends with the same chain.
pub fn three_hosts(program: &Path) {
    let room = Room::new(program);
    let (west, wallets, east) = (
        room.home(0, "west"),
        room.home(1, "wallet"),
        room.home(2, "east"),
    );
    let alice = new_address(&wallets, "alice");
    let carol = new_address(&east, "carol");
    let mut west_miner = mine(&west);
    reaches(&mut west_miner, 1);
    let mut east_miner = mine(&east);
    reaches(&mut east_miner, 1);
    let mut wallet = follow(&wallets);
    send(&west, "mining_rewards", "4", &alice);
    reaches(&mut wallet, 2);
    send(&wallets, "alice", "1.5", &carol);
    let tips = [&mut west_miner, &mut east_miner, &mut wallet].map(|node| reaches(node, 3));
    assert_eq!(tips[0], tips[1]);
    assert_eq!(tips[1], tips[2]);
    assert_eq!(balance(&wallets, "alice"), "2.5");
    assert_eq!(balance(&east, "carol"), "1.5");
    [&west, &wallets, &east].into_iter().for_each(verify);
}

/// What the two halves are paid while the bridge is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payments {
    /// Each half by a wallet of its own: what the losing half confirmed is still covered.
    Covered,
    /// Both halves by copies of one wallet, under the same sequences: what the losing half
    /// confirmed can never return, and nothing is mined after the healing.
    Conflicting,
}

/// How a healing went.
#[derive(Clone, Copy, Debug)]
pub struct Healed {
    /// From the healing until every node had the winning tip.
    pub agreed_after: Duration,
    /// From the healing until the losing half's payments were confirmed again.
    pub confirmed_after: Duration,
}

/// The bridge is cut, the halves confirm that many payments each, one a block, and it is
/// healed with all wallets' processes ended. All agree on the branch with more work, or
/// with equal work on the smaller tip, within two status intervals; and what the losing
/// half confirmed is confirmed again where it is covered.
pub fn divided(program: &Path, payments: Payments, west: u64, east: u64) -> Healed {
    let room = Room::new(program);
    let homes = [room.home(0, "west"), room.home(2, "east")];
    let mut miners = homes.each_ref().map(|home| {
        let mut miner = mine(home);
        // The east begins on the west's first block, so that they share it.
        reaches(&mut miner, 1);
        miner
    });
    let payers = fund(&room, payments, &homes, &mut miners);
    let common = chain(&homes[0]);

    room.bridge.cut();
    let mut halves = Vec::new();
    for (index, count) in [(0, west), (1, east)] {
        halves.push(pay(&payers[index], &mut miners[index], &common, count));
    }
    let winner = usize::from(halves[1].tip_beats(&halves[0]));
    let (won, lost) = (&halves[winner], &halves[1 - winner]);

    room.bridge.heal();
    let healed = Stopwatch::start();
    // A block with what the losing half had confirmed may follow before anything is said.
    let has_won = |event: &Value| {
        let higher = event["height"].as_u64() > Some(won.chain.height);
        is_tip(event) && (higher || event["tip"] == *won.chain.tip)
    };
    miners[1 - winner].wait_for_event("the winning tip", has_won);
    let agreed_after = healed.elapsed();
    let limit = Duration::from_secs(2 * u64::from(INTERVAL_SECONDS));
    assert!(
        agreed_after <= limit,
        "agreed after {agreed_after:?}, expected {limit:?}"
    );
    if payments == Payments::Covered {
        until("the losing half's payments in both chains", || {
            homes.iter().all(|home| {
                let ids = confirmed(home);
                lost.ids.iter().chain(&won.ids).all(|id| ids.contains(id))
            })
        });
    }
    let confirmed_after = healed.elapsed();
    until("one chain", || chain(&homes[0]) == chain(&homes[1]));
    if payments == Payments::Conflicting {
        assert_eq!(
            chain(&homes[0]),
            won.chain,
            "nothing is mined after the healing"
        );
    }
    homes.iter().for_each(verify);
    Healed {
        agreed_after,
        confirmed_after,
    }
}

/// A wallet for each half with coins that were confirmed before the cut.
fn fund(room: &Room, payments: Payments, homes: &[Mvb; 2], miners: &mut [Running; 2]) -> [Mvb; 2] {
    let west = room.home(1, "west-wallet");
    let east = room.home(2, "east-wallet");
    let mut addresses = vec![new_address(&west, "payer")];
    match payments {
        Payments::Covered => addresses.push(new_address(&east, "payer")),
        Payments::Conflicting => {
            fs::create_dir_all(east.home()).expect("a new home");
            let key = |wallet: &Mvb| wallet.home().join("payer.pem");
            fs::copy(key(&west), key(&east)).expect("the key's copy");
        }
    }
    for (index, address) in addresses.iter().enumerate() {
        send(&homes[0], "mining_rewards", "4", address);
        for miner in &mut *miners {
            reaches(miner, 2 + index as u64);
        }
    }
    for wallet in [&west, &east] {
        let synced = wallet.run(&["wallet", "sync", "--until-synced"]);
        assert!(synced.status.success(), "{synced}");
        assert_eq!(balance(wallet, "payer"), "4");
    }
    [west, east]
}

/// What one half did while the bridge was cut.
struct HalfSeen {
    chain: ChainSeen,
    ids: Vec<String>,
}

impl HalfSeen {
    /// More work wins; at equal work the numerically smaller id, whose hex is smaller too.
    fn tip_beats(&self, other: &Self) -> bool {
        let rank = |half: &Self| (std::cmp::Reverse(half.chain.work), half.chain.tip.clone());
        rank(self) < rank(other)
    }
}

/// Pays `count` times, each time once the last payment is in a block. No wallet process
/// stays behind.
fn pay(wallet: &Mvb, miner: &mut Running, common: &ChainSeen, count: u64) -> HalfSeen {
    let somebody = new_address(wallet, "somebody");
    let mut half = HalfSeen {
        chain: common.clone(),
        ids: Vec::new(),
    };
    for number in 1..=count {
        half.ids.push(send(wallet, "payer", "0.5", &somebody));
        half.chain = reaches(miner, common.height + number);
    }
    half
}

/// A miner whose cable is pulled goes on, and is heard again once it is plugged in.
pub fn a_pulled_cable(program: &Path) {
    let room = Room::new(program);
    let (west, east) = (room.home(0, "west"), room.home(2, "east"));
    let alice = new_address(&west, "alice");
    let mut west_miner = mine(&west);
    reaches(&mut west_miner, 1);
    let mut east_miner = mine(&east);
    reaches(&mut east_miner, 1);
    room.bridge.host(0).unplug();
    // The payment is saved and reaches the miner of its own host over loopback.
    send(&west, "mining_rewards", "1", &alice);
    let ahead = reaches(&mut west_miner, 2);
    room.bridge.host(0).plug();
    assert_eq!(reaches(&mut east_miner, 2), ahead);
}
