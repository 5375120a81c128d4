//! What the narrator says of what it sees.

use super::*;
use mvb_actors::view::PeerView;
use mvb_protocol::{
    chain::Tip,
    numbers::{Height, Timestamp},
    params::ChainParams,
    target::{Target, Work},
    wire::NodeId,
};

fn seen() -> Seen {
    let tip = Tip::genesis(ChainParams::default().genesis_id());
    let chain = ChainView {
        tip,
        timestamp: Timestamp(0),
        payments: 0,
        reorgs: 0,
        deepest_reorg: 0,
        blocks_found: 0,
    };
    Seen {
        chain,
        mempool: MempoolView::default(),
        peers: PeersView::default(),
        mining: MiningView::default(),
    }
}

fn block(height: u64) -> Tip {
    Tip {
        id: BlockId([height as u8; 32]),
        height: Height(height),
        work: Work::ZERO,
    }
}

fn peer(height: u64) -> PeerView {
    PeerView {
        address: "127.0.0.1:2607".parse().unwrap(),
        node: NodeId([1; 16]),
        tip: block(height),
        heard: Timestamp(1),
        proven: true,
        pinned: false,
        session: false,
    }
}

fn lines(narrator: &mut Narrator, seen: &Seen, seconds: f64) -> Vec<String> {
    let events = narrator.observe(seen, Duration::from_secs_f64(seconds));
    events.iter().map(ToString::to_string).collect()
}

#[test]
fn a_miner_tells_what_it_waits_for_and_what_it_found() {
    let mut now = seen();
    let mut narrator = Narrator::new(&now);
    now.mining.state = MiningState::Listening;
    assert_eq!(
        lines(&mut narrator, &now, 0.0),
        ["listens for other miners before it begins"]
    );
    now.mining.state = MiningState::Searching {
        height: Height(1),
        parent: now.chain.tip.id,
        payments: 0,
    };
    now.mining.hashes_per_second = 18.4e6;
    now.mining.block_work = Target::from_difficulty(26).work();
    assert_eq!(
        lines(&mut narrator, &now, 5.0),
        ["mining block 1 with 0 payments at 18.4 MH/s, about 3.6 s a block (no other miner heard)"]
    );
    now.chain.tip = block(1);
    now.chain.blocks_found = 1;
    now.mining.state = MiningState::WaitingForPayments { missing: 1 };
    now.peers.peers.push(peer(1));
    assert_eq!(
        lines(&mut narrator, &now, 9.0),
        [
            "1 miner heard, the longest chain at height 1",
            "mined block 1 010101010101 with 0 payments",
            "waits for 1 more transaction to mine block 2 (1 other miner heard)",
        ]
    );
    assert!(lines(&mut narrator, &now, 20.0).is_empty());
}

#[test]
fn many_blocks_a_second_are_one_line_a_second() {
    let mut now = seen();
    let mut narrator = Narrator::new(&now);
    let mut told = 0;
    for step in 1..=100_u64 {
        now.chain.tip = block(step);
        told += lines(&mut narrator, &now, step as f64 / 10.0).len();
    }
    assert_eq!(told, 10);
}

#[test]
fn a_reorganisation_is_told_as_one() {
    let mut now = seen();
    let mut narrator = Narrator::new(&now);
    now.chain.tip = block(2);
    now.chain.payments = 3;
    now.chain.reorgs = 1;
    assert_eq!(
        lines(&mut narrator, &now, 0.0),
        [
            "new tip: block 2 020202020202 with 3 payments on a better branch; payments of the blocks it replaces wait again"
        ]
    );
}

#[test]
fn a_download_is_told_as_progress_and_not_block_by_block() {
    let mut now = seen();
    let mut narrator = Narrator::new(&now);
    for step in 0..8_u64 {
        now.chain.tip = block(step);
        now.peers.sync = Some(SyncView {
            peer: "127.0.0.1:2607".parse().unwrap(),
            height: Height(step * 10),
            claimed: Height(80),
        });
        let lines = lines(&mut narrator, &now, step as f64 / 2.0);
        if step % 4 == 0 {
            let (height, percent) = (step * 10, step * 100 / 8);
            let line =
                format!("downloading from 127.0.0.1:2607: block {height} of 80 ({percent} %)");
            assert_eq!(lines, [line]);
        } else {
            assert!(lines.is_empty(), "{lines:?}");
        }
    }
}

#[test]
fn a_wallet_that_hears_nobody_says_so_ever_less_often() {
    let now = seen();
    let mut narrator = Narrator::new(&now);
    let told: Vec<u64> = (0..200)
        .filter(|second| !lines(&mut narrator, &now, *second as f64).is_empty())
        .collect();
    assert_eq!(told, [12, 24, 48, 96, 192]);
}

#[test]
fn a_peer_of_another_network_is_told_once() {
    let mut now = seen();
    let mut narrator = Narrator::new(&now);
    now.peers.other_network = Some("peer 192.168.1.7 runs difficulty 20, this network 26".into());
    assert_eq!(
        lines(&mut narrator, &now, 1.0),
        ["warning: peer 192.168.1.7 runs difficulty 20, this network 26"]
    );
    assert!(lines(&mut narrator, &now, 2.0).is_empty());
}

#[test]
fn the_json_of_events_is_what_the_help_documents() {
    let mut now = seen();
    now.chain.tip = block(1);
    now.mining.state = MiningState::WaitingForPayments { missing: 1 };
    let events = [
        Event::Mining(MiningEvent::new(&now)),
        Event::Peers {
            count: 2,
            best_height: Some(7),
        },
        Event::Tip(TipEvent {
            height: Height(1),
            tip: block(1).id,
            work: Target::from_difficulty(26).work(),
            payments: 1,
            reorg: false,
        }),
    ];
    let json: Vec<String> = events
        .iter()
        .map(|event| serde_json::to_string(event).unwrap())
        .collect();
    assert_eq!(
        json,
        [
            r#"{"event":"mining","state":"waiting-for-payments","height":2,"missing":1,"hashes_per_second":0.0,"seconds_per_block":null,"blocks_found":0,"peers":0,"waiting_payments":0}"#.to_owned(),
            r#"{"event":"peers","count":2,"best_height":7}"#.to_owned(),
            format!(r#"{{"event":"tip","height":1,"tip":"{}","work":"67108864","payments":1,"reorg":false}}"#, "01".repeat(32)),
        ]
    );
}

#[test]
fn what_follows_from_a_block_is_never_told_before_it() {
    let mut now = seen();
    let mut narrator = Narrator::new(&now);
    now.mining.state = MiningState::WaitingForPayments { missing: 1 };
    now.chain.tip = block(1);
    assert_eq!(lines(&mut narrator, &now, 0.0).len(), 2);
    now.chain.tip = block(2);
    now.mining.state = MiningState::WaitingForPayments { missing: 2 };
    assert!(lines(&mut narrator, &now, 0.5).is_empty());
    assert_eq!(lines(&mut narrator, &now, 1.1).len(), 2);
}

#[test]
fn a_few_blocks_are_caught_up_with_in_silence() {
    let mut now = seen();
    let mut narrator = Narrator::new(&now);
    now.peers.sync = Some(SyncView {
        peer: "127.0.0.1:2607".parse().unwrap(),
        height: Height(99),
        claimed: Height(101),
    });
    assert!(lines(&mut narrator, &now, 1.0).is_empty());
}
