//! The bodies of blocks to come, shared by all sessions: which of them are here, and who
//! fetches which. An id commits to its body, so it does not matter who sends it. A plain
//! table that decides; the sessions fetch, and the one whose turn it is connects.
//!
//! The lowest blocks matter most: they are asked for first, and when memory is full the highest
//! make way for them. What the chain has reached is let go and not kept when it comes late. So
//! there is always room for the next block, and nobody waits for room. The
//! very lowest are what the chain waits for: whoever has shown that it delivers takes those over
//! soon, and however many keep one back, it is asked of the next at once.

use crate::branch_block::BranchBlock;
use mvb_protocol::{block::Block, hash::BlockId, numbers::Height};
use std::{cell::Cell, collections::BTreeMap, net::SocketAddr, rc::Rc, time::Duration};
use tokio::time::Instant;

/// The most memory for bodies.
const MOST_BYTES: usize = 32 << 20;

/// Above this none is asked for that lies beyond what is here; the rest is for what is on
/// its way.
const ENOUGH_BYTES: usize = MOST_BYTES / 2;

/// How long a peer may have a request alone when another has nothing else to ask for.
pub const PATIENCE: Duration = Duration::from_secs(1);

/// How long a peer may have one of the lowest bodies alone, once another has shown that it
/// delivers.
const HURRY: Duration = Duration::from_millis(250);

/// How many of the lowest bodies that are not here yet are hurried with.
const LOWEST: usize = 16;

/// How long bodies are kept after the last session that wanted any.
const KEEP: Duration = Duration::from_secs(60);

/// A session that delivers bodies.
#[derive(Debug)]
pub struct Giver {
    /// The peer.
    pub endpoint: SocketAddr,
    /// Whether any body it delivered was adopted.
    pub adopted: Cell<bool>,
    /// Whether it has delivered any body.
    delivers: Cell<bool>,
    number: u64,
}

/// The table.
#[derive(Debug)]
pub struct Bodies {
    held: BTreeMap<(Height, BlockId), Body>,
    bytes: usize,
    /// The height of this node's chain; all that is held is above it.
    reached: Height,
    taken: BTreeMap<BlockId, Taken>,
    givers: u64,
    wanted_at: Instant,
}

/// A body and who delivered it.
#[derive(Clone, Debug)]
pub struct Body {
    /// The block.
    pub block: BranchBlock,
    /// Its giver.
    pub giver: Rc<Giver>,
}

#[derive(Debug)]
struct Taken {
    /// The sessions that fetch it, by number.
    by: Vec<u64>,
    /// When the first of them took it.
    since: Instant,
}

impl Taken {
    /// Whether another than a giver has had it for so long.
    fn is_late(&self, giver: &Giver, patience: Duration, now: Instant) -> bool {
        !self.by.contains(&giver.number) && patience <= now.saturating_duration_since(self.since)
    }
}

impl Bodies {
    /// An empty table.
    pub fn new(now: Instant) -> Self {
        Self {
            held: BTreeMap::new(),
            bytes: 0,
            reached: Height(0),
            taken: BTreeMap::new(),
            givers: 0,
            wanted_at: now,
        }
    }

    /// A new session.
    pub fn giver(&mut self, endpoint: SocketAddr) -> Rc<Giver> {
        self.givers += 1;
        Rc::new(Giver {
            endpoint,
            adopted: Cell::new(false),
            delivers: Cell::new(false),
            number: self.givers,
        })
    }

    /// Takes up to `most` of the bodies wanted, the lowest first: those that the chain waits for
    /// because of somebody else, those nobody fetches, or else those that somebody has been
    /// fetching for too long.
    pub fn take(
        &mut self,
        giver: &Giver,
        wanted: &[(Height, BlockId)],
        most: usize,
        now: Instant,
    ) -> Vec<(Height, BlockId)> {
        self.wanted_at = now;
        let others = &self.taken;
        let is_free = |(_, id): &(Height, BlockId)| !others.contains_key(id);
        let is_late = |patience| {
            move |(_, id): &(Height, BlockId)| {
                let taken = others.get(id);
                taken.is_some_and(|taken| taken.is_late(giver, patience, now))
            }
        };
        let mut batch = Vec::new();
        if giver.delivers.get() {
            let lowest = self.missing(wanted).take(LOWEST);
            batch.extend(lowest.filter(is_late(HURRY)).take(most));
        }
        if batch.is_empty() {
            batch.extend(self.missing(wanted).filter(is_free).take(most));
        }
        if batch.is_empty() {
            let late = self.missing(wanted).filter(is_late(PATIENCE));
            batch.extend(late.take(most));
        }
        for (_, id) in &batch {
            let taken = self.taken.entry(*id).or_insert_with(|| Taken {
                by: Vec::new(),
                since: now,
            });
            taken.by.push(giver.number);
        }
        batch
    }

    /// Those of some bodies, in order, that are not here and that there is room for.
    fn missing(&self, wanted: &[(Height, BlockId)]) -> impl Iterator<Item = (Height, BlockId)> {
        // Heights, not ids: blocks beside the next one must not be in its way.
        let highest = self.held.last_key_value().map(|((height, _), _)| *height);
        let has_room = move |(height, _): &(Height, BlockId)| {
            self.bytes < ENOUGH_BYTES || highest.is_some_and(|highest| *height <= highest)
        };
        // Both stand in the same order, so thousands that are here are passed by in one walk.
        let mut held = self.held.keys().peekable();
        let mut is_held = move |key: &(Height, BlockId)| {
            while held.next_if(|next| *next < key).is_some() {}
            held.next_if(|next| *next == key).is_some()
        };
        let wanted = wanted.iter().copied();
        wanted.filter(move |key| !is_held(key)).filter(has_room)
    }

    /// Keeps a body, unless it is here already, the chain has reached it, or lower ones fill the
    /// memory.
    pub fn put(&mut self, height: Height, id: BlockId, body: Body) {
        self.taken.remove(&id);
        body.giver.delivers.set(true);
        let key = (height, id);
        if height <= self.reached || self.held.contains_key(&key) {
            return;
        }
        let bytes = memory_of(body.block.block());
        while self.bytes + bytes > MOST_BYTES {
            match self.held.last_key_value().map(|(last, _)| *last) {
                Some(last) if height <= last.0 => self.remove(&last),
                Some(_) => return,
                None => break,
            }
        }
        self.bytes += bytes;
        self.held.insert(key, body);
    }

    /// The session fetches none of what it took any more.
    pub fn release(&mut self, giver: &Giver) {
        self.taken.retain(|_, taken| {
            taken.by.retain(|number| *number != giver.number);
            !taken.by.is_empty()
        });
    }

    /// The bytes of a body that is here.
    pub fn bytes_of(&self, key: &(Height, BlockId)) -> Option<usize> {
        Some(self.held.get(key)?.block.block().size())
    }

    /// The bodies that are here of those wanted, from the first one on without a gap, up to
    /// about so many bytes.
    pub fn run(&self, wanted: impl Iterator<Item = (Height, BlockId)>, bytes: usize) -> Vec<Body> {
        let mut run = Vec::new();
        let mut so_far = 0;
        for key in wanted {
            match self.held.get(&key) {
                Some(body) if so_far < bytes => {
                    so_far += body.block.block().size();
                    run.push(body.clone());
                }
                _ => break,
            }
        }
        run
    }

    /// This node's chain is at this height: what is not above it is of no use.
    pub fn reached(&mut self, height: Height) {
        self.reached = height;
        let above = (Height(height.0.saturating_add(1)), BlockId([0; 32]));
        let kept = self.held.split_off(&above);
        for body in self.held.values() {
            self.bytes -= memory_of(body.block.block());
        }
        self.held = kept;
    }

    /// Drops everything when nobody has wanted any of it for a while.
    pub fn forget(&mut self, now: Instant) {
        if KEEP < now.saturating_duration_since(self.wanted_at) {
            self.held.clear();
            self.bytes = 0;
        }
    }

    fn remove(&mut self, key: &(Height, BlockId)) {
        if let Some(body) = self.held.remove(key) {
            self.bytes -= memory_of(body.block.block());
        }
    }
}

/// A decoded payment takes about twice its bytes.
pub fn memory_of(block: &Block) -> usize {
    512 + 2 * block.size()
}

#[cfg(test)]
mod tests;
