//! Brings an extension of this chain in: headers are asked for ahead of bodies, bodies ahead of
//! their connection, and several peers' sessions fetch side by side what their branches have in
//! common. Each session follows its own peer's headers and shares only the bodies; one session
//! at a time connects what has come, in order, in batches sized by bytes and time. While one
//! batch is written and synced, the next is judged on top of it.
//!
//! A peer that stalls or trickles delays nobody for long: what it was asked for is asked of
//! another. A session reads its answers to the end whatever others do, so that what is on its
//! way is never taken for the next answer.

mod coming;
mod gathering;
mod in_flight;

use super::{
    bodies::{Bodies, Body, Giver, PATIENCE},
    download::{CHUNK_BYTES, Report, Shared, connect, decode, hand_on, load},
    error::SessionError,
    plan::{Candidate, Start},
    session::Session,
    upcoming::{Position, Upcoming},
};
use coming::{Came, Coming};
use gathering::Gathering;
use in_flight::InFlight;
use mvb_protocol::{
    hash::BlockId,
    numbers::Height,
    wire::{MAX_BLOCKS_REQUEST, MAX_HEADERS},
};
use std::{
    cell::{Cell, RefCell},
    net::SocketAddr,
    rc::Rc,
    time::Duration,
};
use tokio::time::{Instant, timeout, timeout_at};

/// How many bytes of blocks are connected in one step. The larger, the less often a page of
/// the store is written; the pages of a step are held in memory until they are, many times as
/// many bytes on a long chain of small blocks.
const BATCH_BYTES: usize = 4 << 20;

/// How long what has come waits for more before it is connected.
const BATCH_TIME: Duration = Duration::from_millis(500);

/// How many headers a session judges ahead when it has no more bodies to ask for, because two
/// batches are still on their way to the disk.
const AHEAD: usize = 4 * MAX_HEADERS;

/// How long one request to a peer should take. A slower peer is asked for less at a time.
const REQUEST_TIME: Duration = Duration::from_millis(500);

/// The least asked for at a time, so that a request is worth its way.
const LEAST_REQUEST: usize = 4;

/// What a session asks for first, before it has shown how fast it is, or that it answers.
const FIRST_REQUEST: usize = 16;

/// How much of an answer is gathered before it is decoded.
const DECODE_BYTES: usize = 256 << 10;

/// What became of an extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extended {
    /// All of it was adopted.
    Whole,
    /// Part of it was adopted, then this node's chain moved elsewhere.
    Partly,
    /// This node's chain had moved elsewhere.
    NotAtAll,
}

/// One session's part in an extension.
pub struct Pipeline<'a> {
    /// What all sessions share.
    pub shared: &'a Shared,
    /// This session as a giver of bodies.
    pub giver: &'a Rc<Giver>,
    /// Hears of every adopted block, with the peer that delivered it.
    pub report: &'a dyn Fn(SocketAddr, Report),
    /// Where the branch was asked for.
    pub start: &'a Start,
}

impl Pipeline<'_> {
    /// Fetches and connects until the peer has no more or this node's chain moves elsewhere.
    /// The candidate goes on from the headers it has judged, and is given back at its end.
    ///
    /// # Errors
    /// When the peer fails, a block breaks a rule, or the store fails.
    pub async fn run(
        &self,
        session: &mut Session,
        mut candidate: Box<Candidate>,
    ) -> Result<(Extended, Box<Candidate>), SessionError> {
        let upcoming = RefCell::new(Upcoming::after(candidate.base()));
        self.append(&mut candidate, &upcoming).await?;
        let progressed = Cell::new(false);
        let result = futures::try_join!(
            self.fetch(session, candidate, &upcoming, &progressed),
            self.apply(&upcoming, &progressed),
        );
        self.shared.bodies.borrow_mut().release(self.giver);
        let (candidate, is_whole) = result?;
        let extended = match (is_whole, progressed.get()) {
            (true, _) => Extended::Whole,
            (false, true) => Extended::Partly,
            (false, false) => Extended::NotAtAll,
        };
        Ok((extended, candidate))
    }

    /// Fetches headers and bodies ahead until the branch is done with.
    async fn fetch(
        &self,
        session: &mut Session,
        mut candidate: Box<Candidate>,
        upcoming: &RefCell<Upcoming>,
        progressed: &Cell<bool>,
    ) -> Result<Box<Candidate>, SessionError> {
        let mut most = FIRST_REQUEST;
        let mut coming = Coming::default();
        loop {
            // Others may connect for long, and what they have connected is not to be fetched.
            self.advance(upcoming, progressed);
            let (wanted, ahead) = {
                let upcoming = upcoming.borrow();
                if upcoming.is_over {
                    return Ok(candidate);
                }
                let ahead = if upcoming.is_complete {
                    AHEAD
                } else {
                    upcoming.len()
                };
                (upcoming.to_fetch(), ahead)
            };
            let batch = match ahead < MAX_HEADERS {
                true => Vec::new(),
                false => {
                    self.bodies(|bodies| bodies.take(self.giver, &wanted, most, Instant::now()))
                }
            };
            if batch.is_empty() && ahead < AHEAD {
                let fetched = self.fetch_headers(session, candidate, upcoming);
                candidate = coming.beside(|came| self.put(came), fetched).await?;
                continue;
            }
            if batch.is_empty() {
                if let Some(came) = coming.next().await {
                    self.put(came);
                    continue;
                }
                // Woken by what others do, or to take over what somebody is late with.
                drop(timeout(PATIENCE / 4, self.shared.changed.notified()).await);
                continue;
            }
            let began = Instant::now();
            self.fetch_bodies(session, &batch, &mut coming).await?;
            most = next_request(batch.len(), began.elapsed());
        }
    }

    /// The next page of headers of the branch.
    async fn fetch_headers(
        &self,
        session: &mut Session,
        mut candidate: Box<Candidate>,
        upcoming: &RefCell<Upcoming>,
    ) -> Result<Box<Candidate>, SessionError> {
        let headers = session.headers(candidate.locator(self.start)).await?;
        let end = candidate.tip().id;
        if headers.first().is_none_or(|first| first.previous != end) {
            // There is no more of this branch. Should the peer have left it, the next plan
            // shows where to.
            upcoming.borrow_mut().is_complete = true;
            self.shared.changed.notify_waiters();
            return Ok(candidate);
        }
        let env = &self.shared.env;
        let (params, now) = (env.params.clone(), env.clock.now());
        candidate = env
            .compute(move || {
                candidate.extend(&params, &headers, now)?;
                Ok::<_, SessionError>(candidate)
            })
            .await?;
        self.append(&mut candidate, upcoming).await?;
        Ok(candidate)
    }

    /// Moves judged ids over, after a look at what the store has of them.
    async fn append(
        &self,
        candidate: &mut Candidate,
        upcoming: &RefCell<Upcoming>,
    ) -> Result<(), SessionError> {
        let ids = candidate.take_ids();
        self.shared.check_refused(&ids)?;
        let asked = ids.clone();
        let stored: Vec<BlockId> = self
            .shared
            .env
            .read(move |chain| {
                let mut stored = Vec::new();
                for id in asked {
                    if chain.header(&id)?.is_some() {
                        stored.push(id);
                    }
                }
                Ok(stored)
            })
            .await?;
        let mut upcoming = upcoming.borrow_mut();
        upcoming.extend(ids, stored);
        upcoming.is_complete = candidate.has_ended();
        self.shared.changed.notify_waiters();
        Ok(())
    }

    /// Asks the peer for bodies and shares them as they come. The last of them may still be
    /// verified when this returns; until they are shared they count as fetched by this session.
    async fn fetch_bodies(
        &self,
        session: &mut Session,
        batch: &[(Height, BlockId)],
        coming: &mut Coming,
    ) -> Result<(), SessionError> {
        let ids = batch.iter().map(|(_, id)| *id).collect();
        session.ask_blocks(ids).await?;
        let pace = session.pace();
        let mut rest = batch;
        while !rest.is_empty() {
            let mut frames = Vec::new();
            let mut bytes = 0;
            let began = Instant::now();
            while frames.len() < rest.len() && bytes < DECODE_BYTES {
                let frame = session.block_frame(&pace);
                let frame = coming.beside(|came| self.put(came), frame).await?;
                bytes += frame.len();
                frames.push(frame);
                if began.elapsed() >= BATCH_TIME {
                    break;
                }
            }
            let (now, later) = rest.split_at(frames.len());
            rest = later;
            let asked = now.iter().map(|(_, id)| *id).collect();
            let decoded = decode(self.shared, frames, asked);
            let blocks = coming.beside(|came| self.put(came), decoded).await?;
            if batch.len() == 1 {
                // A lone body is judged at once instead.
                self.put(now.iter().copied().zip(blocks).collect());
            } else {
                while !coming.has_room()
                    && let Some(came) = coming.next().await
                {
                    self.put(came);
                }
                coming.begin(&self.shared.env, now, blocks);
            }
        }
        Ok(())
    }

    /// Shares bodies.
    fn put(&self, came: Came) {
        self.bodies(|bodies| {
            for ((height, id), block) in came {
                let giver = self.giver.clone();
                bodies.put(height, id, Body { block, giver });
            }
        });
        self.shared.changed.notify_waiters();
    }

    /// Connects what has come, in order. Returns whether the whole branch was adopted.
    async fn apply(
        &self,
        upcoming: &RefCell<Upcoming>,
        progressed: &Cell<bool>,
    ) -> Result<bool, SessionError> {
        let mut gathering = Gathering::default();
        let mut turn = None;
        let mut in_flight = InFlight::default();
        let is_whole = loop {
            // While one session connects, the others wait; then they look where that has led.
            if turn.is_none() {
                turn = Some(self.shared.turn.lock().await);
            }
            let position = self.advance(upcoming, progressed);
            let is_done = upcoming.borrow().is_done();
            if position != Position::On || is_done {
                // The view may tell of a batch before its outcome does.
                while let Some(outcome) = in_flight.next().await {
                    outcome?;
                }
                break position == Position::On;
            }
            let outcome = if in_flight.is_empty() && upcoming.borrow().is_next_stored() {
                Some(self.connect_stored(upcoming).await?)
            } else if self.hand_on(upcoming, &mut in_flight, &mut gathering) {
                continue;
            } else if in_flight.is_empty() {
                turn = None;
                self.until_changed(gathering.due).await;
                None
            } else {
                // With all hands full, it does not matter for how long anything has waited.
                let due = gathering.due.filter(|_| in_flight.has_room());
                tokio::select! {
                    biased;
                    outcome = in_flight.next() => outcome.transpose()?,
                    () = self.until_changed(due) => None,
                }
            };
            match outcome {
                Some(true) => progressed.set(true),
                Some(false) => break false,
                None => {}
            }
        };
        upcoming.borrow_mut().is_over = true;
        self.shared.changed.notify_waiters();
        Ok(is_whole)
    }

    /// Drops what this node's chain has reached.
    fn advance(&self, upcoming: &RefCell<Upcoming>, progressed: &Cell<bool>) -> Position {
        let tip = self.shared.env.view.chain.borrow().tip;
        let mut upcoming = upcoming.borrow_mut();
        let before = upcoming.len();
        let position = upcoming.advance(tip);
        if upcoming.len() < before || position == Position::Beyond {
            progressed.set(true);
        }
        position
    }

    async fn until_changed(&self, due: Option<Instant>) {
        let changed = self.shared.changed.notified();
        match due {
            Some(due) => drop(timeout_at(due, changed).await),
            None => changed.await,
        }
    }

    /// Hands the next bodies at hand to the chain manager if they are enough, or have waited
    /// for more long enough. Returns whether any were handed on.
    fn hand_on<'f>(
        &'f self,
        upcoming: &RefCell<Upcoming>,
        in_flight: &mut InFlight<'f>,
        gathering: &mut Gathering,
    ) -> bool {
        if !in_flight.has_room() {
            return false;
        }
        let run = {
            let (bodies, upcoming) = (self.shared.bodies.borrow(), upcoming.borrow());
            let (skipped, rest) = in_flight.rest_of(&upcoming);
            gathering.count(&bodies, rest.clone());
            let is_last = skipped + gathering.blocks == upcoming.len() && upcoming.is_complete;
            if !gathering.is_ready(is_last, Instant::now()) {
                return false;
            }
            bodies.run(rest, BATCH_BYTES)
        };
        *gathering = Gathering::default();
        if run.is_empty() {
            return false;
        }
        let last = run.last().map(|body| body.block.header().height);
        let blocks = run.iter().map(|body| body.block.clone()).collect();
        let handed_on = hand_on(self.shared, blocks);
        let outcome = async move {
            let credit = |adopted: usize| self.credit(&run[..adopted.min(run.len())]);
            handed_on.conclude(self.shared, &credit).await
        };
        in_flight.push(last.unwrap_or_default(), Box::pin(outcome));
        true
    }

    /// Reports adopted bodies to whoever delivered them.
    fn credit(&self, adopted: &[Body]) {
        for part in adopted.chunk_by(|a, b| Rc::ptr_eq(&a.giver, &b.giver)) {
            let blocks = part.len();
            part[0].giver.adopted.set(true);
            (self.report)(part[0].giver.endpoint, Report::Adopted { blocks });
        }
    }

    /// Connects blocks that this node has already, from a branch it left.
    async fn connect_stored(&self, upcoming: &RefCell<Upcoming>) -> Result<bool, SessionError> {
        let most = self.shared.env.params.max_block_bytes as usize;
        let ids = upcoming.borrow().stored_run((CHUNK_BYTES / most).max(1));
        let blocks = load(self.shared, &ids).await?;
        let credit = |blocks: usize| {
            self.giver.adopted.set(true);
            (self.report)(self.giver.endpoint, Report::Adopted { blocks });
        };
        connect(self.shared, blocks, &credit).await
    }

    fn bodies<T>(&self, work: impl FnOnce(&mut Bodies) -> T) -> T {
        work(&mut self.shared.bodies.borrow_mut())
    }
}

/// How many bodies to ask for next, after so many took so long.
fn next_request(bodies: usize, took: Duration) -> usize {
    let each = took / u32::try_from(bodies.max(1)).unwrap_or(u32::MAX);
    let fitting = match each.is_zero() {
        true => MAX_BLOCKS_REQUEST,
        false => (REQUEST_TIME.as_nanos() / each.as_nanos().max(1)) as usize,
    };
    fitting.clamp(LEAST_REQUEST, MAX_BLOCKS_REQUEST)
}
