//! What a running node shows, as plain data for other threads: the explorer, its metrics and
//! the dashboard draw from [`NodeSnapshot`]s and so never touch an actor. One task beside the
//! actors takes them whenever something changed, at most ten a second and at least one.
//!
//! Everything in it is a copy. Read the newest with `borrow().clone()` of
//! [`crate::running::Running::snapshots`]; wait for the next with `changed()`.

use crate::home::Role;
use mvb_actors::{
    env::WallClock,
    seen_blocks::SeenBlocks,
    view::{ChainView, MempoolView, MiningView, PeersView, View},
};
use mvb_protocol::{address::Address, numbers::Timestamp, wire::NodeId};
use std::{rc::Rc, sync::Arc, time::Duration};
use tokio::sync::watch;

/// The least time between two snapshots.
const PAUSE: Duration = Duration::from_millis(100);

/// The most time between two, so that ages and silences are seen to grow.
const AT_LEAST: Duration = Duration::from_secs(1);

/// Everything a node shows at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeSnapshot {
    /// What does not change while it runs.
    pub facts: Arc<Facts>,
    /// When this was taken, by the node's clock.
    pub taken: Timestamp,
    /// The active chain.
    pub chain: ChainView,
    /// The mempool.
    pub mempool: MempoolView,
    /// The peers, and the synchronisation at work.
    pub peers: PeersView,
    /// What the miner does.
    pub mining: MiningView,
    /// The blocks that lately joined, left or missed the active chain, side branches included.
    pub blocks: Arc<SeenBlocks>,
    /// What was dropped or refused.
    pub counters: CountersSeen,
    /// Sessions of the block server that are open.
    pub open_sessions: u64,
    /// Why the node cannot go on, in words.
    pub fatal: Option<String>,
}

/// What does not change while a node runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// This run's name for itself.
    pub node: NodeId,
    /// What it does.
    pub role: Role,
    /// When it started, by its clock.
    pub started: Timestamp,
    /// Its block server's port; one that only follows has none.
    pub port: Option<u16>,
    /// How it searches; `None` where it does not mine.
    pub search: Option<SearchFacts>,
}

/// How a miner searches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SearchFacts {
    /// Its threads.
    pub threads: usize,
    /// The name of its kernel.
    pub kernel: &'static str,
    /// Who gets the rewards.
    pub reward_to: Address,
}

/// What was dropped or refused since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CountersSeen {
    /// Datagrams that were no message.
    pub bad_datagrams: u64,
    /// Datagrams dropped because a mailbox was full.
    pub dropped_datagrams: u64,
    /// Status datagrams of other networks.
    pub other_network: u64,
    /// Payments refused.
    pub refused_payments: u64,
    /// Connections turned away because of a limit.
    pub refused_connections: u64,
    /// Sessions ended because the peer broke the protocol or a deadline.
    pub failed_sessions: u64,
}

impl NodeSnapshot {
    /// What a node shows now.
    pub fn take(view: &View, facts: &Arc<Facts>, blocks: &Arc<SeenBlocks>, now: Timestamp) -> Self {
        let counters = &view.counters;
        Self {
            facts: facts.clone(),
            taken: now,
            chain: view.chain.borrow().clone(),
            mempool: *view.mempool.borrow(),
            peers: view.peers.borrow().clone(),
            mining: view.mining.borrow().clone(),
            blocks: blocks.clone(),
            counters: CountersSeen {
                bad_datagrams: counters.bad_datagrams.get(),
                dropped_datagrams: counters.dropped_datagrams.get(),
                other_network: counters.other_network.get(),
                refused_payments: counters.refused_payments.get(),
                refused_connections: counters.refused_connections.get(),
                failed_sessions: counters.failed_sessions.get(),
            },
            open_sessions: counters.open_sessions.get(),
            fatal: view.fatal.borrow().clone(),
        }
    }
}

/// Takes snapshots for as long as anybody may read them.
pub(crate) struct Publisher {
    view: Rc<View>,
    clock: Rc<dyn WallClock>,
    facts: Arc<Facts>,
    sender: watch::Sender<Arc<NodeSnapshot>>,
}

impl Publisher {
    /// A publisher that has taken its first one.
    pub(crate) fn new(view: Rc<View>, clock: Rc<dyn WallClock>, facts: Facts) -> Self {
        let facts = Arc::new(facts);
        let blocks = Arc::new(view.blocks.borrow().clone());
        let first = NodeSnapshot::take(&view, &facts, &blocks, clock.now());
        Self {
            view,
            clock,
            facts,
            sender: watch::Sender::new(Arc::new(first)),
        }
    }

    /// Where the newest is read.
    pub(crate) fn subscribe(&self) -> watch::Receiver<Arc<NodeSnapshot>> {
        self.sender.subscribe()
    }

    /// Runs on the actors' thread until it is dropped.
    pub(crate) async fn run(self) {
        let view = &self.view;
        let mut seen = view.blocks.subscribe();
        let mut blocks = Arc::new(seen.borrow_and_update().clone());
        let mut chain = view.chain.subscribe();
        let mut mempool = view.mempool.subscribe();
        let mut peers = view.peers.subscribe();
        let mut mining = view.mining.subscribe();
        loop {
            // The view lives as long as this, so none of these ends.
            tokio::select! {
                biased;
                _ = chain.changed() => {}
                _ = mempool.changed() => {}
                _ = peers.changed() => {}
                _ = mining.changed() => {}
                () = tokio::time::sleep(AT_LEAST) => {}
            }
            if seen.has_changed().unwrap_or(true) {
                blocks = Arc::new(seen.borrow_and_update().clone());
            }
            let now = self.clock.now();
            let taken = NodeSnapshot::take(view, &self.facts, &blocks, now);
            self.sender.send_replace(Arc::new(taken));
            tokio::time::sleep(PAUSE).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::SystemClock;
    use mvb_protocol::{chain::Tip, numbers::Height, params::ChainParams};
    use tokio::{task::LocalSet, time::Instant};

    fn facts() -> Facts {
        Facts {
            node: NodeId([1; 16]),
            role: Role::Wallet,
            started: Timestamp(0),
            port: None,
            search: None,
        }
    }

    /// Actors change their views thousands of times a second; whoever looks costs them nothing
    /// but the ten copies a second that are taken beside them.
    #[tokio::test(start_paused = true)]
    async fn what_changes_a_thousand_times_a_second_is_copied_ten_times() {
        let tip = Tip::genesis(ChainParams::default().genesis_id());
        let view = Rc::new(View::new(tip));
        let publisher = Publisher::new(view.clone(), Rc::new(SystemClock), facts());
        let mut snapshots = publisher.subscribe();
        LocalSet::new()
            .run_until(async {
                tokio::task::spawn_local(publisher.run());
                let changing = async {
                    for height in 1..=1_000 {
                        view.chain
                            .send_modify(|view| view.tip.height = Height(height));
                        tokio::time::sleep(Duration::from_millis(1)).await;
                    }
                };
                let counting = async {
                    let mut taken = 0;
                    while snapshots.borrow_and_update().chain.tip.height < Height(1_000) {
                        snapshots.changed().await.expect("it is published on");
                        taken += 1;
                    }
                    taken
                };
                let ((), taken) = tokio::join!(changing, counting);
                assert!((9..=13).contains(&taken), "{taken}");
            })
            .await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_node_at_rest_is_copied_once_a_second() {
        let tip = Tip::genesis(ChainParams::default().genesis_id());
        let view = Rc::new(View::new(tip));
        let publisher = Publisher::new(view, Rc::new(SystemClock), facts());
        let mut snapshots = publisher.subscribe();
        LocalSet::new()
            .run_until(async {
                tokio::task::spawn_local(publisher.run());
                let began = Instant::now();
                for _ in 0..5 {
                    snapshots.changed().await.expect("it is published on");
                }
                assert!((5..=7).contains(&began.elapsed().as_secs()));
            })
            .await;
    }
}
