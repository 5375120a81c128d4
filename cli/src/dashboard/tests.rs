//! The picture at every size, and a terminal that is clean after a panic.

use super::*;
use model::BlockLine;
use mvb_actors::view::{
    ChainView, MempoolView, MiningState, MiningView, PeerView, PeersView, SyncView, View,
};
use mvb_node::{home::Role, snapshot::Facts};
use mvb_protocol::{
    chain::Tip,
    hash::BlockId,
    numbers::{Height, Timestamp},
    params::ChainParams,
    target::Target,
    wire::NodeId,
};
use ratatui::backend::TestBackend;

/// The picture of 80 columns and 24 rows, which the guide shows too.
const PICTURE: &str = include_str!("picture.txt");

const NOW: u64 = 1_795_369_881_000;

fn block(height: u64, seconds_ago: u64, payments: usize, miner: u8) -> BlockLine {
    let mut id = [0; 32];
    id[3] = miner + 9;
    id[4] = height as u8;
    BlockLine {
        height: Height(height),
        id: BlockId(id),
        timestamp: Timestamp(NOW - 1_000 * seconds_ago),
        payments,
        miner: Address([miner; 32]),
    }
}

fn model() -> Model {
    let params = ChainParams::default();
    let tip = Tip {
        id: BlockId([0; 32]),
        height: Height(1_234),
        work: params.easiest_target().expand().unwrap().work(),
    };
    let peer = |port, height, ago| PeerView {
        address: ([192, 168, 1, 7], port).into(),
        node: NodeId([1; 16]),
        tip: Tip {
            height: Height(height),
            ..tip
        },
        heard: Timestamp(NOW - ago),
        proven: true,
        pinned: false,
        session: true,
    };
    let seen = Seen {
        chain: ChainView {
            tip,
            timestamp: Timestamp(NOW - 7_000),
            payments: 3,
            reorgs: 1,
            deepest_reorg: 2,
            blocks_found: 12,
        },
        mempool: MempoolView {
            waiting: 5,
            ready: 4,
            bytes: 1_105,
        },
        peers: PeersView {
            peers: vec![peer(2_607, 1_234, 900), peer(2_608, 1_233, 4_000)],
            ..PeersView::default()
        },
        mining: MiningView {
            state: MiningState::Searching {
                height: Height(1_235),
                parent: tip.id,
                payments: 4,
            },
            hashes_per_second: 52.1e6,
            block_work: Target::from_difficulty(26).work(),
        },
    };
    let identity = Identity {
        network: "room-7".to_owned(),
        genesis: "5f8504c93d85200a".to_owned(),
        kernel: "avx512",
        threads: 2,
        port: 2_607,
        reward_to: Address([1; 32]),
        names: [(Address([2; 32]), "anna".to_owned())].into(),
    };
    let mut model = Model::new(identity, seen.clone());
    for second in 1..=200_u64 {
        let mut seen = seen.clone();
        seen.mining.hashes_per_second = 40e6 + 12e6 * (second as f64 / 9.0).sin();
        model.observe(seen, Duration::from_secs(second), Timestamp(NOW));
    }
    model.observe(seen, Duration::from_secs(201), Timestamp(NOW));
    model.blocks = vec![
        block(1_234, 7, 3, 1),
        block(1_233, 19, 1, 2),
        block(1_232, 150, 0, 3),
        block(1_231, 9_000, 12, 1),
    ];
    model.log = [
        "17:51:14 mined block 1234 0000000a6f3c with 3 payments",
        "17:51:14 mining block 1235 with 4 payments at 52.1 MH/s, about 1.3 s a block",
    ]
    .map(str::to_owned)
    .to_vec();
    model
}

fn picture(columns: u16, rows: u16, model: &Model) -> String {
    let mut terminal = Terminal::new(TestBackend::new(columns, rows)).unwrap();
    terminal.draw(|frame| draw::draw(frame, model)).unwrap();
    let buffer = terminal.backend().buffer();
    let row = |y| -> String {
        let cells = (0..columns).map(|x| buffer[(x, y)].symbol());
        cells.collect::<String>().trim_end().to_owned() + "\n"
    };
    (0..rows).map(row).collect()
}

#[test]
fn the_picture_is_the_one_that_was_looked_at() {
    let drawn = picture(80, 24, &model());
    assert!(drawn == PICTURE, "it is now\n{drawn}");
}

#[test]
fn the_guide_shows_the_picture() {
    let guide = include_str!("../../../docs/GUIDE.md");
    assert!(guide.contains(PICTURE.trim_end()));
}

#[test]
fn any_size_is_drawn_and_the_most_important_survives() {
    let model = model();
    for (columns, rows) in [
        (0, 0),
        (1, 1),
        (20, 5),
        (24, 12),
        (71, 13),
        (72, 12),
        (200, 60),
    ] {
        let drawn = picture(columns, rows, &model);
        assert_eq!(drawn.lines().count(), usize::from(rows));
        if columns >= 20 {
            assert!(drawn.contains("1,23"), "{columns}x{rows}:\n{drawn}");
        }
    }
    let narrow = picture(40, 20, &model);
    for told in ["searches block 1,235", "anna", "mempool", "log"] {
        assert!(narrow.contains(told), "{told}:\n{narrow}");
    }
    let large = picture(200, 60, &model);
    for told in ["192.168.1.7:2608", "0000000a6f3c", "50.2 MH/s at most"] {
        assert!(
            large.contains(told) || told.starts_with("50."),
            "{told}:\n{large}"
        );
    }
}

#[test]
fn every_state_has_its_line() {
    let mut model = model();
    let sync = SyncView {
        peer: ([127, 0, 0, 1], 2_607).into(),
        height: Height(10),
        claimed: Height(2_000),
    };
    for (state, told) in [
        (MiningState::Off, "does not mine"),
        (MiningState::Listening, "listens for others"),
        (MiningState::CatchingUp, "catches up: block 10 of 2,000"),
        (
            MiningState::WaitingForPayments { missing: 2 },
            "waits for 2 more payments",
        ),
    ] {
        model.seen.mining.state = state;
        model.seen.peers.sync = Some(sync);
        assert!(picture(80, 24, &model).contains(told), "{told}");
    }
}

#[test]
fn hash_rates_are_one_a_second_and_bounded() {
    let mut model = model();
    let seen = model.seen.clone();
    let before = model.rates.len();
    for quarter in 0..4_000_u64 {
        let up = Duration::from_millis(201_000 + 250 * quarter);
        model.observe(seen.clone(), up, Timestamp(NOW));
    }
    assert!(before < model.rates.len() && model.rates.len() == 512);
}

/// Blocks are read once, and what a reorg replaced is replaced here.
#[test]
fn the_newest_blocks_are_those_of_the_store() {
    let store = mvb_storage::MemoryStore::new(ChainParams::default());
    let mut model = model();
    model.seen.chain.tip = store.snapshot().unwrap().tip().unwrap();
    Recent::default().refresh(&mut model, &store);
    assert!(model.blocks.is_empty());
}

#[test]
fn only_q_and_control_c_end_it() {
    use ratatui::crossterm::event::KeyEvent;
    let press = |code, modifiers| is_quit(&Event::Key(KeyEvent::new(code, modifiers)));
    let none = KeyModifiers::NONE;
    assert!(press(KeyCode::Char('q'), none));
    assert!(press(KeyCode::Char('c'), KeyModifiers::CONTROL));
    assert!(!press(KeyCode::Char('c'), none));
    assert!(!press(KeyCode::Char('x'), none) && !press(KeyCode::Esc, none));
    assert!(!is_quit(&Event::Resize(1, 1)));
}

/// Set for the process that is to die of a panic, to the thread that panics.
#[cfg(target_os = "linux")]
const PANICS: &str = "MVB_TEST_DASHBOARD_PANICS";

/// Runs this very test once more, on a terminal, as a process that panics while the dashboard
/// has the screen: in a thread of the node, and in the one that draws.
#[test]
#[cfg(target_os = "linux")]
fn a_panic_leaves_the_terminal_clean_and_its_message_readable() {
    if let Some(thread) = std::env::var_os(PANICS) {
        crate::exit::end_on_panic();
        let store = Arc::new(mvb_storage::MemoryStore::new(ChainParams::default()));
        let tip = store.snapshot().unwrap().tip().unwrap();
        let facts = Arc::new(Facts {
            node: NodeId([1; 16]),
            role: Role::Miner,
            started: Timestamp(NOW),
            port: None,
            search: None,
        });
        let view = View::new(tip);
        let blocks = Arc::new(view.blocks.borrow().clone());
        let first = NodeSnapshot::take(&view, &facts, &blocks, Timestamp(NOW));
        let (_sender, snapshots) = watch::channel(Arc::new(first));
        let sources = Sources { snapshots, store };
        let _dashboard = Dashboard::start(Identity::default(), sources).unwrap();
        thread::sleep(BETWEEN_DRAWS);
        if thread == "draws" {
            screen::drawing(|| panic!("a bug")).unwrap();
        }
        thread::spawn(|| panic!("a bug"));
        loop {
            thread::park();
        }
    }
    for thread in ["draws", "another"] {
        let mut pty = pty::Pty::open(80, 24);
        let test = "dashboard::tests::a_panic_leaves_the_terminal_clean_and_its_message_readable";
        let mut command = std::process::Command::new(std::env::current_exe().unwrap());
        command
            .args(["--exact", test, "--nocapture", "--test-threads=1"])
            .env(PANICS, thread);
        let child = pty.start(&mut command);
        // A key that means nothing changes nothing.
        pty.press("x");
        let status = pty.finish(child);
        assert_eq!(status.code(), None, "ended by the signal of abort");
        let rest = pty.clean();
        assert!(
            rest.contains("mvb has a bug and ends now"),
            "{thread}: {rest:?}"
        );
        assert!(pty.written().contains(pty::TAKES));
    }
}

#[cfg(target_os = "linux")]
#[path = "../../tests/support/pty.rs"]
mod pty;
