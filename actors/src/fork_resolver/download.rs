//! Brings this node's chain up to a peer's, in one session: plan by headers, fetch bodies,
//! hand them to the chain manager, plan again. Each step starts from the chain as it then
//! is, so that a tip that moves meanwhile, or a session that ends half-way, loses nothing.
//!
//! An extension goes in small windows, each connected before the next is fetched. A fork
//! is fetched up to the block that makes it the better chain and connected in one step.

use crate::{
    env::Env,
    fork_resolver::{
        error::SessionError,
        memory::{Budget, Share},
        plan::{Candidate, Page, Start},
        session::{Session, expect_block},
    },
    messages::{BranchConnected, ChainError, ConnectBranch},
    recent::Recent,
};
use actix::Recipient;
use mvb_protocol::{
    block::Block,
    chain::Tip,
    hash::BlockId,
    numbers::Height,
    validate::{BlockError, Verdict},
    wire::MAX_BLOCKS_REQUEST,
};
use std::{cell::RefCell, collections::BTreeMap, rc::Rc, sync::Arc};

/// How many bytes of blocks are gathered before they are handed on.
const CHUNK_BYTES: usize = 4 << 20;

/// How many plans in a row may come to nothing because this node's chain moved.
const MAX_FRUITLESS: u32 = 8;

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
}

/// One session's download.
pub struct Download<'a> {
    shared: Shared,
    session: &'a mut Session,
    /// The best tip the peer has claimed in this session.
    claimed: Tip,
    report: &'a dyn Fn(Report),
    /// Bodies of a fork that is not complete yet, kept from plan to plan.
    held: BTreeMap<BlockId, Arc<Block>>,
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
    /// A branch.
    Candidate(Box<Candidate>),
}

/// Where fetched blocks go.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sink {
    Connect,
    Hold,
}

impl<'a> Download<'a> {
    /// A download that has not begun.
    pub fn new(
        shared: Shared,
        session: &'a mut Session,
        claimed: Tip,
        report: &'a dyn Fn(Report),
    ) -> Self {
        let share = Share::new(shared.budget.clone());
        Self {
            shared,
            session,
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
            let step = self.step().await?;
            let has_news = self.hear_news();
            match step {
                Step::Adopted => fruitless = 0,
                // What it has announced since it answered is asked for as well.
                Step::AdoptedLast | Step::Nothing if has_news => fruitless = 0,
                Step::AdoptedLast | Step::Nothing => return Ok(self.claimed),
                Step::Moved if fruitless == MAX_FRUITLESS => return Err(SessionError::Moved),
                Step::Moved => fruitless += 1,
            }
        }
    }

    /// Notes what the peer has announced meanwhile. Returns whether that is more than before.
    fn hear_news(&mut self) -> bool {
        let better = |tip: &Tip| tip.is_better_than(&self.claimed);
        let Some(tip) = self.session.take_announced().filter(better) else {
            return false;
        };
        self.claimed = tip;
        (self.report)(Report::Announced(tip));
        true
    }

    async fn step(&mut self) -> Result<Step, SessionError> {
        let candidate = match self.plan().await? {
            Plan::Nothing => return Ok(Step::Nothing),
            Plan::Moved => return Ok(Step::Moved),
            Plan::Candidate(candidate) => candidate,
        };
        if !candidate.is_better() {
            return match candidate.refused() {
                Some((id, error)) => Err(SessionError::BadBlock { id, error }),
                None => Ok(Step::Nothing),
            };
        }
        if !self.reported {
            self.reported = true;
            (self.report)(Report::Downloading {
                claimed: self.claimed.height.max(candidate.tip().height),
            });
        }
        let connected = if candidate.is_extension() {
            self.fetch(candidate.ids(), Sink::Connect).await?
        } else {
            self.fetch_fork(candidate.ids()).await?
        };
        match (connected, candidate.has_ended()) {
            (false, _) => Ok(Step::Moved),
            // A fork was judged only up to where it wins; there may be more.
            (true, true) if candidate.is_extension() => match candidate.refused() {
                Some((id, error)) => Err(SessionError::BadBlock { id, error }),
                None => Ok(Step::AdoptedLast),
            },
            (true, _) => Ok(Step::Adopted),
        }
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
        self.check_refused(&candidate, 0)?;
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
            self.check_refused(&candidate, judged)?;
        }
        Ok(Plan::Candidate(candidate))
    }

    async fn has_moved(&self, from: Tip) -> Result<bool, SessionError> {
        let tip = self.shared.env.read(|chain| chain.tip()).await?;
        Ok(tip != from)
    }

    /// A branch that broke a rule is not fetched again, from whomever.
    fn check_refused(&self, candidate: &Candidate, from: usize) -> Result<(), SessionError> {
        let refused = self.shared.refused.borrow();
        match candidate.ids()[from..]
            .iter()
            .find(|id| refused.get(id).is_some())
        {
            Some(id) => Err(SessionError::BadBlock {
                id: *id,
                error: BlockError::InvalidAncestor { ancestor: *id },
            }),
            None => Ok(()),
        }
    }

    /// Fetches a fork whole and connects it. Returns whether it was adopted.
    async fn fetch_fork(&mut self, ids: &[BlockId]) -> Result<bool, SessionError> {
        self.keep_held(ids)?;
        let missing: Vec<BlockId> = ids
            .iter()
            .filter(|id| !self.held.contains_key(id))
            .copied()
            .collect();
        self.fetch(&missing, Sink::Hold).await?;
        let blocks: Vec<_> = ids
            .iter()
            .filter_map(|id| self.held.get(id).cloned())
            .collect();
        let adopted = self.connect(blocks).await?;
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

    fn hold(&mut self, id: BlockId, block: Arc<Block>) -> Result<(), SessionError> {
        if !self.share.take(&block) {
            let blocks = self.held.len();
            return Err(SessionError::TooLarge { blocks });
        }
        self.held.insert(id, block);
        Ok(())
    }

    /// Brings blocks in order to a sink, from the store where a reorg left them there and
    /// from the peer otherwise. Returns false when this node's chain moved.
    async fn fetch(&mut self, ids: &[BlockId], sink: Sink) -> Result<bool, SessionError> {
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
                let kept = if is_stored {
                    self.load(now, sink).await?
                } else {
                    self.request(now, sink).await?
                };
                if !kept {
                    return Ok(false);
                }
                (rest, known) = (later, &known[run..]);
            }
        }
        Ok(true)
    }

    /// Blocks that this node has already, from a branch it left.
    async fn load(&mut self, ids: &[BlockId], sink: Sink) -> Result<bool, SessionError> {
        let most = self.shared.env.params.max_block_bytes as usize;
        for ids in ids.chunks((CHUNK_BYTES / most).max(1)) {
            let asked = ids.to_vec();
            let blocks: Vec<Option<Block>> = self
                .shared
                .env
                .read(move |chain| asked.iter().map(|id| chain.block(id)).collect())
                .await?;
            let mut found = Vec::with_capacity(ids.len());
            for (id, block) in ids.iter().zip(blocks) {
                let block = block.ok_or(SessionError::NotFound { id: *id })?;
                found.push(Arc::new(block));
            }
            if !self.pour(ids, found, sink).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Blocks from the peer. However many are asked for, no more than a chunk is held here:
    /// the rest waits in the connection.
    async fn request(&mut self, ids: &[BlockId], sink: Sink) -> Result<bool, SessionError> {
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
            let (params, asked) = (self.shared.env.params.clone(), now.to_vec());
            let blocks = self
                .shared
                .env
                .compute(move || {
                    let answers = frames.iter().zip(asked);
                    answers
                        .map(|(frame, id)| expect_block(frame, id, &params))
                        .collect::<Result<Vec<_>, _>>()
                })
                .await?;
            rest = later;
            if !self.pour(now, blocks, sink).await? {
                // What is on its way must not be taken for the next answer.
                let pace = self.session.pace();
                for _ in rest {
                    self.session.block_frame(&pace).await?;
                }
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn pour(
        &mut self,
        ids: &[BlockId],
        blocks: Vec<Arc<Block>>,
        sink: Sink,
    ) -> Result<bool, SessionError> {
        if sink == Sink::Connect {
            return self.connect(blocks).await;
        }
        for (id, block) in ids.iter().zip(blocks) {
            self.hold(*id, block)?;
        }
        Ok(true)
    }

    /// Hands blocks to the chain manager. Returns false when this node's chain moved.
    async fn connect(&self, blocks: Vec<Arc<Block>>) -> Result<bool, SessionError> {
        let count = blocks.len();
        let answer = self.shared.chain.send(ConnectBranch { blocks }).await;
        let rejected = match answer.map_err(|_| SessionError::Stopping)? {
            Ok(BranchConnected { rejected, .. }) => {
                let blocks = count;
                (self.report)(Report::Adopted { blocks });
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
                    self.shared.refused.borrow_mut().insert(id, ());
                }
                Err(SessionError::BadBlock { id, error })
            }
        }
    }
}
