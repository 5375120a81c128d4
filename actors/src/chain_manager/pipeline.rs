//! What the chain manager has in hand: branches that wait to be judged, the one that is being
//! judged, and those that were found better and are on their way to the disk. Pure; the actor
//! runs the jobs it is given and tells how they ended.
//!
//! Judging does not wait for the disk: a block is judged on top of everything that is still
//! to be written. A disk that falls behind is caught up with in one sync for all that waits;
//! one that falls far behind makes the next branch wait.

use crate::{
    branch_block::BranchBlock,
    messages::{BranchConnected, ChainError},
};
use mvb_protocol::{ahead::Ahead, chain::ChangeSet, hash::BlockId};
use std::{collections::VecDeque, sync::Arc};
use tokio::sync::oneshot;

/// How many steps may wait for the disk, one being a block found here or a whole branch. At
/// half a millisecond a block, faster than they are found, it is more than a slow sync takes.
pub const MOST_STEPS: usize = 64;

/// How many bytes of blocks may wait for the disk before the next branch waits to be judged.
const MOST_BYTES: usize = 32 << 20;

/// Who waits to hear what became of a branch.
pub type Asker = oneshot::Sender<Result<BranchConnected, ChainError>>;

/// Where a branch comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// This node's miner.
    Miner,
    /// The network.
    Peers,
}

/// A branch and who handed it in.
pub struct Request {
    /// Its blocks, the lowest first.
    pub branch: Vec<BranchBlock>,
    /// Where it comes from.
    pub origin: Origin,
    /// Who waits for the outcome.
    pub asker: Asker,
}

/// Everything in hand.
#[derive(Default)]
pub struct Pipeline {
    waiting: VecDeque<Request>,
    judging: Option<Judging>,
    /// The steps that were found better, in the order in which they are written.
    steps: VecDeque<Step>,
    ahead: Ahead,
    /// How many of the steps are being written.
    writing: usize,
}

struct Judging {
    request: Request,
    /// Whether what it is judged on top of was taken back meanwhile.
    is_void: bool,
}

struct Step {
    origin: Origin,
    asker: Asker,
    connected: BranchConnected,
    bytes: usize,
}

/// What the store has synced.
#[derive(Default)]
pub struct Written {
    /// Those of its blocks that this node's miner has found.
    pub found_here: Vec<BlockId>,
    /// Who waits to hear of it.
    pub waiting: Vec<(Asker, BranchConnected)>,
}

impl Pipeline {
    /// Takes a branch in.
    pub fn push(&mut self, request: Request) {
        self.waiting.push_back(request);
    }

    /// The branch to judge now, on top of [`Self::ahead`]; the caller tells
    /// [`Self::judged`] when that is done.
    pub fn next_to_judge(&mut self) -> Option<Vec<BranchBlock>> {
        let bytes: usize = self.steps.iter().map(|step| step.bytes).sum();
        if self.judging.is_some() || self.steps.len() >= MOST_STEPS || bytes >= MOST_BYTES {
            return None;
        }
        let request = self.waiting.pop_front()?;
        let branch = request.branch.clone();
        self.judging = Some(Judging {
            request,
            is_void: false,
        });
        Some(branch)
    }

    /// What the store has yet to write.
    pub fn ahead(&self) -> &Ahead {
        &self.ahead
    }

    /// Gives back the branch that was being judged; `None` if it must be judged anew.
    pub fn judged(&mut self) -> Option<Request> {
        let Judging { request, is_void } = self.judging.take()?;
        if is_void {
            self.waiting.push_front(request);
            return None;
        }
        Some(request)
    }

    /// A branch was found better: it is to be written, and who waits for it is told then.
    pub fn adopt(&mut self, changes: Arc<ChangeSet>, connected: BranchConnected, from: Request) {
        let blocks = changes.connect.iter();
        self.steps.push_back(Step {
            origin: from.origin,
            asker: from.asker,
            connected,
            bytes: blocks.map(|block| block.block.size()).sum(),
        });
        self.ahead.push(changes);
    }

    /// What to write now, all that waits if that is possible; the caller tells
    /// [`Self::written`] or [`Self::retract`] how it ended.
    pub fn next_to_write(&mut self) -> Option<Arc<ChangeSet>> {
        if self.writing > 0 {
            return None;
        }
        let (count, changes) = self.ahead.first_step()?;
        self.writing = count;
        Some(changes)
    }

    /// The store has written and synced what it was given: says who waits for it.
    pub fn written(&mut self) -> Written {
        let count = std::mem::take(&mut self.writing);
        self.ahead.written(count);
        let mut written = Written::default();
        for step in self.steps.drain(..count) {
            // What the miner hands in is one block.
            if step.origin == Origin::Miner {
                written.found_here.push(step.connected.tip.id);
            }
            written.waiting.push((step.asker, step.connected));
        }
        written
    }

    /// The store could not write: takes back every step, for each stands on the one before
    /// it, and gives back who waits.
    pub fn retract(&mut self) -> Vec<Asker> {
        self.writing = 0;
        self.ahead = Ahead::default();
        if let Some(judging) = &mut self.judging {
            judging.is_void = true;
        }
        self.steps.drain(..).map(|step| step.asker).collect()
    }
}
