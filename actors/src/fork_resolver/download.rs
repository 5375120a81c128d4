//! Brings this node's chain up to a peer's, in one session: plan by headers, fetch bodies,
//! hand them to the chain manager, plan again. Each step starts from the chain as it then
//! is, so that a tip that moves meanwhile, or a session that ends half-way, loses nothing.
//!
//! An extension goes through the pipeline, together with other sessions. A fork is fetched up
//! to the block that makes it the better chain and connected in one step.

use crate::{
    branch_block::BranchBlock,
    env::Env,
    fork_resolver::{
        bodies::{Bodies, Giver},
        error::SessionError,
        memory::{Budget, Share},
        pipeline::{Extended, Pipeline},
        plan::{Candidate, Page, Start},
        session::{Session, expect_block},
    },
    messages::{BranchConnected, ChainError, ConnectBranch},
    recent::Recent,
};
use actix::{Recipient, dev::RecipientRequest};
use mvb_protocol::{
    block::Block,
    chain::Tip,
    hash::BlockId,
    numbers::Height,
    validate::{BlockError, Verdict},
    wire::MAX_BLOCKS_REQUEST,
};
use std::{
    cell::RefCell, collections::BTreeMap, net::SocketAddr, rc::Rc, sync::Arc, time::Duration,
};
use tokio::{
    sync::{Mutex, Notify},
    time::timeout,
};

/// How many bytes of blocks are gathered before they are handed on. Enough that their
/// signatures keep all cores at work, and less than a second of it.
pub const CHUNK_BYTES: usize = 1 << 20;

/// How many plans in a row may come to nothing because this node's chain moved.
const MAX_FRUITLESS: u32 = 8;

/// How long a plan that came to nothing waits for this node's chain to be seen to move.
const MOVE_TIME: Duration = Duration::from_millis(250);

/// What a session reports while it works.
#[derive(Clone, Copy, Debug)]
pub enum Report {
    /// The peer has proven a better chain by its headers; its blocks are being fetched.
    Downloading {
        /// The height the peer claims.
        claimed: Height,
    },
    /// The peer has announced a new tip.
    Announced(Tip),
    /// Blocks of the peer were adopted.
    Adopted {
        /// How many.
        blocks: usize,
    },
}

/// The branches that broke a rule, shared by all sessions.
pub type RefusedBlocks = Rc<RefCell<Recent<BlockId, ()>>>;

/// What all sessions share.
#[derive(Clone)]
pub struct Shared {
    /// The node's Env.
    pub env: Env,
    /// The ChainManager.
    pub chain: Recipient<ConnectBranch>,
    /// The branches that broke a rule.
    pub refused: RefusedBlocks,
    /// The memory for bodies of side branches.
    pub budget: Rc<Budget>,
    /// The bodies of this chain's blocks to come.
    pub bodies: Rc<RefCell<Bodies>>,
    /// Notified when these or this node's chain have changed.
    pub changed: Rc<Notify>,
    /// Held by the session that connects what has come.
    pub turn: Rc<Mutex<()>>,
}

impl Shared {
    /// A branch that broke a rule is not fetched again, from whomever.
    ///
    /// # Errors
    /// When one of the ids did.
    pub fn check_refused(&self, ids: &[BlockId]) -> Result<(), SessionError> {
        let refused = self.refused.borrow();
        match ids.iter().find(|id| refused.get(id).is_some()) {
            Some(id) => Err(SessionError::BadBlock {
                id: *id,
                error: BlockError::InvalidAncestor { ancestor: *id },
            }),
            None => Ok(()),
        }
    }
}

/// One session's download.
pub struct Download<'a> {
    shared: Shared,
    session: &'a mut Session,
    giver: &'a Rc<Giver>,
    /// The best tip the peer has claimed in this session.
    claimed: Tip,
    report: &'a dyn Fn(SocketAddr, Report),
    /// Bodies of a fork that is not complete yet, kept from plan to plan.
    held: BTreeMap<BlockId, BranchBlock>,
    share: Share,
    reported: bool,
}

/// What one plan came to.
enum Step {
    /// Blocks were adopted.
    Adopted,
    /// The same, and the peer has no more.
    AdoptedLast,
    /// The peer has nothing better.
    Nothing,
    /// This node's chain moved.
    Moved,
}

/// What a peer's headers say.
enum Plan {
    /// There are none.
    Nothing,
    /// The chains moved while they came; it is worth asking again.
    Moved,
    /// A branch, and where it was asked for.
    Candidate(Box<Candidate>, Start),
}

impl<'a> Download<'a> {
    /// A download that has not begun.
    pub fn new(
        shared: Shared,
        session: &'a mut Session,
        giver: &'a Rc<Giver>,
        claimed: Tip,
        report: &'a dyn Fn(SocketAddr, Report),
    ) -> Self {
        let share = Share::new(shared.budget.clone());
        Self {
            shared,
            session,
            giver,
            claimed,
            report,
            held: BTreeMap::new(),
            share,
            reported: false,
        }
    }

    /// Works until the peer has nothing better. Returns the best tip it has claimed.
    ///
    /// # Errors
    /// Says why it ended early; what was adopted until then stays.
    pub async fn run(mut self) -> Result<Tip, SessionError> {
        let mut fruitless = 0;
        loop {
            let before = self.tip();
            let step = self.step().await?;
            let has_news = self.hear_news();
            match step {
                Step::Adopted => fruitless = 0,
                // What it has announced since it answered is asked for as well.
                Step::AdoptedLast | Step::Nothing if has_news => fruitless = 0,
                Step::AdoptedLast | Step::Nothing => return Ok(self.claimed),
                Step::Moved if fruitless == MAX_FRUITLESS => return Err(SessionError::Moved),
                Step::Moved => {
                    fruitless += 1;
                    if self.tip() == before {
                        // A better block was found here and is on its way to the disk.
                        let moved = self.shared.changed.notified();
                        drop(timeout(MOVE_TIME, moved).await);
                    }
                }
            }
        }
    }

    fn tip(&self) -> Tip {
        self.shared.env.view.chain.borrow().tip
    }

    /// Notes what the peer has announced meanwhile. Returns whether that is more than before.
    fn hear_news(&mut self) -> bool {
        let better = |tip: &Tip| tip.is_better_than(&self.claimed);
        let Some(tip) = self.session.take_announced().filter(better) else {
            return false;
        };
        self.claimed = tip;
        self.report(Report::Announced(tip));
        true
    }

    async fn step(&mut self) -> Result<Step, SessionError> {
        let (candidate, start) = match self.plan().await? {
            Plan::Nothing => return Ok(Step::Nothing),
            Plan::Moved => return Ok(Step::Moved),
            Plan::Candidate(candidate, start) => (candidate, start),
        };
        if !candidate.is_better() {
            return match candidate.refused() {
                Some((id, error)) => Err(SessionError::BadBlock { id, error }),
                None => Ok(Step::Nothing),
            };
        }
        if !self.reported {
            self.reported = true;
            self.report(Report::Downloading {
                claimed: self.claimed.height.max(candidate.tip().height),
            });
        }
        if !candidate.is_extension() {
            // A fork was judged only up to where it wins; there may be more.
            return match self.fetch_fork(candidate.ids()).await? {
                true => Ok(Step::Adopted),
                false => Ok(Step::Moved),
            };
        }
        let pipeline = Pipeline {
            shared: &self.shared,
            giver: self.giver,
            report: self.report,
            start: &start,
        };
        let (extended, candidate) = pipeline.run(self.session, candidate).await?;
        match (extended, candidate.has_ended()) {
            (Extended::Whole, true) => match candidate.refused() {
                Some((id, error)) => Err(SessionError::BadBlock { id, error }),
                None => Ok(Step::AdoptedLast),
            },
            (Extended::Whole | Extended::Partly, _) => Ok(Step::Adopted),
            (Extended::NotAtAll, _) => Ok(Step::Moved),
        }
    }

    fn report(&self, report: Report) {
        (self.report)(self.giver.endpoint, report);
    }

    /// Asks for headers until they prove a better chain or end.
    async fn plan(&mut self) -> Result<Plan, SessionError> {
        let env = self.shared.env.clone();
        let start = env.read(Start::read).await?;
        let headers = self.session.headers(start.locator.clone()).await?;
        if headers.is_empty() {
            return Ok(Plan::Nothing);
        }
        let (store, params, now) = (env.store.clone(), env.params.clone(), env.clock.now());
        let begun = env
            .compute(move || Candidate::begin(&store, &params, &headers, now))
            .await;
        let mut candidate = match begun {
            Ok(Page::Candidate(candidate)) => candidate,
            Ok(Page::Known) => return Ok(Plan::Moved),
            // The chain these headers follow was this node's when it asked.
            Err(SessionError::Unlinked { .. }) if self.has_moved(start.tip).await? => {
                return Ok(Plan::Moved);
            }
            Err(error) => return Err(error),
        };
        self.shared.check_refused(candidate.ids())?;
        while !candidate.is_better() && !candidate.has_ended() {
            let headers = self.session.headers(candidate.locator(&start)).await?;
            let judged = candidate.ids().len();
            match headers.first() {
                None => break,
                Some(first) if first.previous != candidate.tip().id => return Ok(Plan::Moved),
                Some(_) => {}
            }
            let (params, now) = (env.params.clone(), env.clock.now());
            candidate = env
                .compute(move || {
                    candidate.extend(&params, &headers, now)?;
                    Ok::<_, SessionError>(candidate)
                })
                .await?;
            self.shared.check_refused(&candidate.ids()[judged..])?;
        }
        Ok(Plan::Candidate(candidate, start))
    }

    async fn has_moved(&self, from: Tip) -> Result<bool, SessionError> {
        let tip = self.shared.env.read(|chain| chain.tip()).await?;
        Ok(tip != from)
    }

    /// Fetches a fork whole and connects it. Returns whether it was adopted.
    async fn fetch_fork(&mut self, ids: &[BlockId]) -> Result<bool, SessionError> {
        self.keep_held(ids)?;
        let missing: Vec<BlockId> = ids
            .iter()
            .filter(|id| !self.held.contains_key(id))
            .copied()
            .collect();
        self.fetch(&missing).await?;
        let blocks: Vec<_> = ids
            .iter()
            .filter_map(|id| self.held.get(id).cloned())
            .collect();
        let credit = |blocks| {
            self.giver.adopted.set(true);
            self.report(Report::Adopted { blocks });
        };
        let adopted = connect(&self.shared, blocks, &credit).await?;
        if adopted {
            self.held.clear();
            self.share.release();
        }
        Ok(adopted)
    }

    /// Keeps what a changed plan still needs of the bodies held.
    fn keep_held(&mut self, ids: &[BlockId]) -> Result<(), SessionError> {
        let mut before = std::mem::take(&mut self.held);
        self.share.release();
        for id in ids {
            if let Some(block) = before.remove(id) {
                self.hold(*id, block)?;
            }
        }
        Ok(())
    }

    fn hold(&mut self, id: BlockId, block: BranchBlock) -> Result<(), SessionError> {
        if !self.share.take(block.block()) {
            let blocks = self.held.len();
            return Err(SessionError::TooLarge { blocks });
        }
        self.held.insert(id, block);
        Ok(())
    }

    /// Fetches blocks to hold, from the store where a reorg left them there and from the peer
    /// otherwise.
    async fn fetch(&mut self, ids: &[BlockId]) -> Result<(), SessionError> {
        for window in ids.chunks(MAX_BLOCKS_REQUEST) {
            let (env, asked) = (&self.shared.env, window.to_vec());
            let stored: Vec<bool> = env
                .read(move |chain| {
                    asked
                        .iter()
                        .map(|id| Ok(chain.header(id)?.is_some()))
                        .collect()
                })
                .await?;
            let mut rest = window;
            let mut known = stored.as_slice();
            while let Some(&is_stored) = known.first() {
                let run = known.iter().take_while(|k| **k == is_stored).count();
                let (now, later) = rest.split_at(run);
                if is_stored {
                    let most = self.shared.env.params.max_block_bytes as usize;
                    for ids in now.chunks((CHUNK_BYTES / most).max(1)) {
                        let blocks = load(&self.shared, ids).await?;
                        self.hold_all(ids, blocks)?;
                    }
                } else {
                    self.request(now).await?;
                }
                (rest, known) = (later, &known[run..]);
            }
        }
        Ok(())
    }

    /// Blocks from the peer. However many are asked for, no more than a chunk is in frames:
    /// the rest waits in the connection.
    async fn request(&mut self, ids: &[BlockId]) -> Result<(), SessionError> {
        self.session.ask_blocks(ids.to_vec()).await?;
        let mut rest = ids;
        while !rest.is_empty() {
            // This node's own work between two chunks is not the peer's delay.
            let pace = self.session.pace();
            let mut frames = Vec::new();
            let mut bytes = 0;
            while frames.len() < rest.len() && bytes < CHUNK_BYTES {
                let frame = self.session.block_frame(&pace).await?;
                bytes += frame.len();
                frames.push(frame);
            }
            let (now, later) = rest.split_at(frames.len());
            let blocks = decode(&self.shared, frames, now.to_vec()).await?;
            rest = later;
            self.hold_all(now, blocks)?;
        }
        Ok(())
    }

    fn hold_all(&mut self, ids: &[BlockId], blocks: Vec<BranchBlock>) -> Result<(), SessionError> {
        for (id, block) in ids.iter().zip(blocks) {
            self.hold(*id, block)?;
        }
        Ok(())
    }
}

/// Reads the answers for some ids, in their order.
///
/// # Errors
/// When one is not the block that was asked for.
pub async fn decode(
    shared: &Shared,
    frames: Vec<Vec<u8>>,
    ids: Vec<BlockId>,
) -> Result<Vec<BranchBlock>, SessionError> {
    let params = shared.env.params.clone();
    let decoded = shared.env.compute(move || {
        let answers = frames.iter().zip(ids);
        answers
            .map(|(frame, id)| expect_block(frame, id, &params))
            .collect()
    });
    decoded.await
}

/// Blocks that this node has already, from a branch it left.
///
/// # Errors
/// When the store fails.
pub async fn load(shared: &Shared, ids: &[BlockId]) -> Result<Vec<BranchBlock>, SessionError> {
    let asked = ids.to_vec();
    let blocks: Vec<Option<Block>> = shared
        .env
        .read(move |chain| asked.iter().map(|id| chain.block(id)).collect())
        .await?;
    let found = ids.iter().zip(blocks).map(|(id, block)| {
        let block = block.ok_or(SessionError::NotFound { id: *id })?;
        Ok(Arc::new(block).into())
    });
    found.collect()
}

/// Hands blocks to the chain manager; `credit` hears how many it took. Returns false when this
/// node's chain moved.
///
/// # Errors
/// When a block breaks a rule, or the store fails.
pub async fn connect(
    shared: &Shared,
    blocks: Vec<BranchBlock>,
    credit: &dyn Fn(usize),
) -> Result<bool, SessionError> {
    hand_on(shared, blocks).conclude(shared, credit).await
}

/// Blocks that the chain manager has been given. It takes them in the order of the calls, so
/// that those of the next call may stand on these.
pub struct HandedOn {
    count: usize,
    answer: RecipientRequest<ConnectBranch>,
}

/// Hands blocks to the chain manager at once, before the result is waited for.
pub fn hand_on(shared: &Shared, blocks: Vec<BranchBlock>) -> HandedOn {
    HandedOn {
        count: blocks.len(),
        answer: shared.chain.send(ConnectBranch { blocks }),
    }
}

impl HandedOn {
    /// Waits for what became of them, as [`connect`] does.
    ///
    /// # Errors
    /// When a block breaks a rule, or the store fails.
    pub async fn conclude(
        self,
        shared: &Shared,
        credit: &dyn Fn(usize),
    ) -> Result<bool, SessionError> {
        let answer = self.answer.await.map_err(|_| SessionError::Stopping)?;
        let rejected = match answer {
            Ok(BranchConnected { rejected, .. }) => {
                credit(self.count);
                rejected
            }
            Err(ChainError::Rejected { id, error }) => Some((id, error)),
            Err(ChainError::NotBetter { .. }) => return Ok(false),
            Err(ChainError::Store(error)) => return Err(error.into()),
        };
        match rejected {
            None => Ok(true),
            Some((_, BlockError::UnknownParent { .. })) => Ok(false),
            Some((id, error)) => {
                if error.verdict() == Verdict::Invalid {
                    shared.refused.borrow_mut().insert(id, ());
                }
                Err(SessionError::BadBlock { id, error })
            }
        }
    }
}
