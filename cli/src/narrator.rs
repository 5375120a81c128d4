//! What a running node tells its user. The [`Narrator`] compares what the node shows now
//! with what was told last and decides what is worth a line; it reads no clock and prints
//! nothing, `commands/watch.rs` does that for `mvb miner` and `mvb wallet sync`.

mod events;
mod returns;

pub use events::{Event, MiningEvent, TipEvent};
pub use returns::{PaymentEvent, Returns};

use crate::output::duration;
use mvb_actors::view::{ChainView, MempoolView, MiningState, MiningView, PeersView, SyncView};
use mvb_protocol::hash::BlockId;
use std::time::Duration;

/// A better tip is told at once, but not more often than this: at a low difficulty several
/// blocks a second are mined, and a line for each would hide everything else.
const BETWEEN_TIPS: Duration = Duration::from_secs(1);

/// While the same block is searched, the hash rate is told this often.
const BETWEEN_RATES: Duration = Duration::from_secs(10);

/// A download is told this often where no progress bar can be drawn.
const BETWEEN_DOWNLOADS: Duration = Duration::from_secs(2);

/// A download of fewer blocks than this is over before its line is read.
const SHORT_DOWNLOAD: u64 = 16;

/// How long a wallet hears nobody before that is told; each time the next takes twice as long.
const SILENCE: Duration = Duration::from_secs(12);

/// Everything a node shows, at one moment.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The active chain.
    pub chain: ChainView,
    /// The mempool.
    pub mempool: MempoolView,
    /// The peers.
    pub peers: PeersView,
    /// The miner.
    pub mining: MiningView,
}

/// Tells what changed.
pub struct Narrator {
    told: Told,
}

/// What was told last, and when, counted from the node's start.
struct Told {
    tip: BlockId,
    reorgs: u64,
    blocks_found: u64,
    tip_at: Option<Duration>,
    mining: MiningState,
    rate_at: Duration,
    peers: usize,
    download_at: Option<Duration>,
    heard_at: Duration,
    silence: Duration,
    other_network: Option<String>,
}

impl Narrator {
    /// Of a node that shows `seen` at its start.
    pub fn new(seen: &Seen) -> Self {
        Self {
            told: Told {
                tip: seen.chain.tip.id,
                reorgs: seen.chain.reorgs,
                blocks_found: seen.chain.blocks_found,
                tip_at: None,
                mining: MiningState::Off,
                rate_at: Duration::ZERO,
                peers: 0,
                download_at: None,
                heard_at: Duration::ZERO,
                silence: SILENCE,
                other_network: None,
            },
        }
    }

    /// What is worth telling now, `elapsed` after the node's start.
    pub fn observe(&mut self, seen: &Seen, elapsed: Duration) -> Vec<Event> {
        let mut events = Vec::new();
        events.extend(self.warning(&seen.peers));
        events.extend(self.peers(&seen.peers, elapsed));
        events.extend(self.silence(seen, elapsed));
        events.extend(self.download(seen.peers.sync.as_ref(), elapsed));
        events.extend(self.tip(seen, elapsed));
        events.extend(self.mining(seen, elapsed));
        events
    }

    fn warning(&mut self, peers: &PeersView) -> Option<Event> {
        if peers.other_network == self.told.other_network {
            return None;
        }
        self.told.other_network.clone_from(&peers.other_network);
        let text = peers.other_network.clone()?;
        Some(Event::Warning { text })
    }

    fn peers(&mut self, peers: &PeersView, elapsed: Duration) -> Option<Event> {
        let count = peers.peers.len();
        if count > 0 {
            self.told.heard_at = elapsed;
            self.told.silence = SILENCE;
        }
        if count == self.told.peers {
            return None;
        }
        self.told.peers = count;
        let best_height = peers.peers.iter().map(|peer| peer.tip.height).max();
        Some(Event::Peers {
            count,
            best_height: best_height.map(|height| height.0),
        })
    }

    /// A miner alone is a network; a wallet alone learns nothing.
    fn silence(&mut self, seen: &Seen, elapsed: Duration) -> Option<Event> {
        let quiet = elapsed.saturating_sub(self.told.heard_at);
        if seen.mining.state != MiningState::Off
            || !seen.peers.peers.is_empty()
            || quiet < self.told.silence
        {
            return None;
        }
        self.told.silence = self.told.silence.saturating_mul(2);
        Some(Event::Warning {
            text: format!(
                "no miner heard for {}: is `mvb miner` running, on the same network and ports?",
                duration(quiet.as_secs_f64())
            ),
        })
    }

    fn download(&mut self, sync: Option<&SyncView>, elapsed: Duration) -> Option<Event> {
        let Some(sync) = sync else {
            self.told.download_at = None;
            return None;
        };
        let due = match self.told.download_at {
            None => sync.claimed.0.saturating_sub(sync.height.0) >= SHORT_DOWNLOAD,
            Some(at) => elapsed >= at + BETWEEN_DOWNLOADS,
        };
        if !due {
            return None;
        }
        self.told.download_at = Some(elapsed);
        Some(Event::Download {
            from: sync.peer,
            height: sync.height.0,
            claimed: sync.claimed.0,
        })
    }

    fn tip(&mut self, seen: &Seen, elapsed: Duration) -> Option<Event> {
        let early = self
            .told
            .tip_at
            .is_some_and(|at| elapsed < at + BETWEEN_TIPS);
        // Blocks of a download are told as its progress.
        if seen.chain.tip.id == self.told.tip || early || seen.peers.sync.is_some() {
            return None;
        }
        let mined = seen.chain.blocks_found - self.told.blocks_found;
        let reorged = seen.chain.reorgs > self.told.reorgs;
        self.told.tip = seen.chain.tip.id;
        self.told.tip_at = Some(elapsed);
        self.told.reorgs = seen.chain.reorgs;
        self.told.blocks_found = seen.chain.blocks_found;
        let event = TipEvent {
            height: seen.chain.tip.height,
            tip: seen.chain.tip.id,
            work: seen.chain.tip.work,
            payments: seen.chain.payments,
            reorg: reorged,
        };
        Some(if mined > 0 && !reorged {
            Event::Mined(event)
        } else {
            Event::Tip(event)
        })
    }

    fn mining(&mut self, seen: &Seen, elapsed: Duration) -> Option<Event> {
        let state = &seen.mining.state;
        // A block whose line is held back comes before what follows from it.
        if seen.chain.tip.id != self.told.tip {
            return None;
        }
        let was = &self.told.mining;
        let searching = matches!(state, MiningState::Searching { .. });
        // The next block follows its tip's line; only a change of what is done is news.
        let changed = match (was, state) {
            (MiningState::Searching { .. }, MiningState::Searching { .. }) => false,
            (was, state) => was != state,
        };
        let rate_due = searching
            && seen.mining.hashes_per_second > 0.0
            && elapsed >= self.told.rate_at + BETWEEN_RATES;
        if *state == MiningState::Off || !(changed || rate_due) {
            return None;
        }
        self.told.mining = state.clone();
        self.told.rate_at = elapsed;
        Some(Event::Mining(MiningEvent::new(seen)))
    }
}

#[cfg(test)]
mod tests;
