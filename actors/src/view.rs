//! What people want to see of a running node. Each actor publishes its part; viewers
//! (status lines, `why`, later pages and a dashboard) read the newest value and never
//! slow an actor down.

use crate::seen_blocks::SeenBlocks;
use mvb_protocol::{
    chain::Tip,
    hash::BlockId,
    numbers::{Height, Timestamp},
    target::Work,
    wire::NodeId,
};
use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    net::SocketAddr,
};
use tokio::sync::watch;

/// The publishing ends, one for each actor that has something to show.
pub struct View {
    /// ChainManager's.
    pub chain: watch::Sender<ChainView>,
    /// TransactionIntake's.
    pub mempool: watch::Sender<MempoolView>,
    /// ForkResolver's.
    pub peers: watch::Sender<PeersView>,
    /// Miner's.
    pub mining: watch::Sender<MiningView>,
    /// ChainManager's: the blocks that lately joined, left or missed the active chain.
    pub blocks: watch::Sender<SeenBlocks>,
    /// Why the node cannot go on, in words. Whoever runs it ends it then.
    pub fatal: watch::Sender<Option<String>>,
    /// What was dropped or refused, by everybody.
    pub counters: Counters,
}

/// The active chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainView {
    /// Its tip.
    pub tip: Tip,
    /// The tip's timestamp; 0 at genesis.
    pub timestamp: Timestamp,
    /// The payments in the tip's block.
    pub payments: usize,
    /// How many reorgs this run has made, and the deepest in blocks disconnected.
    pub reorgs: u64,
    /// The deepest reorg of this run, in blocks disconnected.
    pub deepest_reorg: u64,
    /// The blocks that this run has found and had adopted.
    pub blocks_found: u64,
}

/// The mempool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MempoolView {
    /// Payments waiting.
    pub waiting: usize,
    /// Of these, how many could be in the next block.
    pub ready: usize,
    /// Their size over the fixed layouts, in bytes.
    pub bytes: usize,
}

/// A peer that was heard lately.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerView {
    /// Its block server.
    pub address: SocketAddr,
    /// Its name for itself.
    pub node: NodeId,
    /// The tip it claims.
    pub tip: Tip,
    /// When it was last heard, by this node's clock.
    pub heard: Timestamp,
    /// Whether its claims were ever proven over TCP.
    pub proven: bool,
    /// Whether it is configured by its address.
    pub pinned: bool,
    /// Whether a session with it is open that this node began.
    pub session: bool,
}

/// The peers, and the synchronisation at work.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeersView {
    /// The peers heard lately.
    pub peers: Vec<PeerView>,
    /// When any miner was last heard, by this node's clock.
    pub last_heard: Option<Timestamp>,
    /// The synchronisation at work.
    pub sync: Option<SyncView>,
    /// Why the last peer of another network was ignored, in words.
    pub other_network: Option<String>,
}

/// A synchronisation at work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SyncView {
    /// Whom it downloads from.
    pub peer: SocketAddr,
    /// The height connected so far.
    pub height: Height,
    /// The height the peer claims.
    pub claimed: Height,
}

/// What the miner does.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MiningView {
    /// What it does or waits for.
    pub state: MiningState,
    /// Headers a second, over the last few seconds.
    pub hashes_per_second: f64,
    /// The expected work of the block it searches.
    pub block_work: Work,
}

/// What the miner does or waits for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum MiningState {
    /// This node does not mine.
    #[default]
    Off,
    /// It listens for peers before it begins.
    Listening,
    /// It downloads a better chain first.
    CatchingUp,
    /// A block needs more payments.
    WaitingForPayments {
        /// How many more.
        missing: usize,
    },
    /// It searches.
    Searching {
        /// The block's height.
        height: Height,
        /// Its parent.
        parent: BlockId,
        /// Its payments.
        payments: usize,
    },
}

/// Counts of what was dropped or refused. Actors share one thread, so plain cells do.
#[derive(Debug, Default)]
pub struct Counters {
    /// Datagrams that were no message.
    pub bad_datagrams: Cell<u64>,
    /// Datagrams dropped because a mailbox was full.
    pub dropped_datagrams: Cell<u64>,
    /// Status datagrams of other networks.
    pub other_network: Cell<u64>,
    /// Payments taken into the mempool, those that a reorg returned not counted.
    pub accepted_payments: Cell<u64>,
    /// Payments that came once more.
    pub duplicate_payments: Cell<u64>,
    /// Payments refused, by a short word for the reason.
    pub refusals: RefCell<BTreeMap<&'static str, u64>>,
    /// Payments refused.
    pub refused_payments: Cell<u64>,
    /// Connections turned away because of a limit.
    pub refused_connections: Cell<u64>,
    /// Sessions ended because the peer broke the protocol or a deadline.
    pub failed_sessions: Cell<u64>,
    /// No count of what went wrong: the sessions of the block server that are open now.
    pub open_sessions: Cell<u64>,
}

impl Counters {
    /// Adds one to a counter.
    pub fn count(counter: &Cell<u64>) {
        counter.set(counter.get().saturating_add(1));
    }
}

impl View {
    /// The view of a node whose chain ends at `tip`.
    pub fn new(tip: Tip) -> Self {
        let chain = ChainView {
            tip,
            timestamp: Timestamp(0),
            payments: 0,
            reorgs: 0,
            deepest_reorg: 0,
            blocks_found: 0,
        };
        Self {
            chain: watch::Sender::new(chain),
            mempool: watch::Sender::new(MempoolView::default()),
            peers: watch::Sender::new(PeersView::default()),
            mining: watch::Sender::new(MiningView::default()),
            blocks: watch::Sender::new(SeenBlocks::default()),
            fatal: watch::Sender::new(None),
            counters: Counters::default(),
        }
    }
}
