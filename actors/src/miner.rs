//! The Miner: builds the next block, has the searcher look for its nonce, and submits what
//! is found. It owns the job at hand; the search threads are the Env's.
//!
//! "Mining stops immediately": the first thing its BestChanged handler does is
//! `searcher.stop()`, one atomic addition that every search thread reads between batches.
//! It builds on the best chain as soon as that is found valid, while the disk still writes
//! it. It never blocks, never reads a mempool by itself and never writes to the chain.

pub mod template;

use crate::{
    env::Env,
    messages::{
        BestChanged, ChainError, PaymentsWaiting, SelectTransactions, Selection, SubmitBlock,
        SyncChanged,
    },
    view::{MiningState, MiningView},
};
use actix::prelude::*;
use mvb_protocol::{
    address::Address,
    ahead::Ahead,
    block::{HEADER_BYTES, Header, REWARD_BYTES},
    chain::{ChainSnapshot, StoreError, Tip},
    mutant,
    validate::{HeaderChain, ValidationError},
};
use std::time::Duration;
use template::{Ingredients, NoTemplate, Template};
use tokio::time::Instant;

/// How often the hash rate is published and an old job is renewed.
const TICK: Duration = Duration::from_secs(1);

/// How long a job may run before it is renewed, so that its timestamp and payments keep up.
const JOB_TICKS: u32 = 10;

/// How long newly accepted payments are gathered before a running job takes them up, or
/// before it is seen anew how many a block still needs.
const GATHER: Duration = Duration::from_millis(250);

/// And how many times as long as the last template took at least: choosing among hundreds of
/// thousands of payments must not take the time in which more are verified.
const GATHER_TIMES: u32 = 10;

/// How long the miner pauses after the chain could not take its block.
const PAUSE: Duration = Duration::from_secs(1);

/// What a miner is told at its start.
#[derive(Clone, Debug)]
pub struct MinerConfig {
    /// Who gets the rewards.
    pub reward_to: Address,
    /// How long to listen for peers before mining, so that a newcomer does not fork the
    /// chain at height 1: one status interval.
    pub listen: Duration,
}

impl Default for MinerConfig {
    fn default() -> Self {
        Self {
            reward_to: Address::default(),
            listen: Duration::from_secs(5),
        }
    }
}

/// Whom the miner talks to.
#[derive(Clone)]
pub struct MinerPorts {
    /// The TransactionIntake.
    pub intake: Recipient<SelectTransactions>,
    /// The ChainManager.
    pub chain: Recipient<SubmitBlock>,
}

/// The actor.
pub struct Miner {
    env: Env,
    config: MinerConfig,
    ports: MinerPorts,
    /// The block to build on, and what the store has yet to write up to it.
    tip: Tip,
    ahead: Ahead,
    /// Number of the newest request for a template; an answer to an older one is late.
    request: u64,
    /// Since when it is under way, if it is.
    requested: Option<Instant>,
    /// How long the last one took.
    template_took: Duration,
    /// Number of the newest search; what an older one found is late.
    search: u64,
    searching: Option<Template>,
    /// The next job's first `extra_nonce`. No number is used twice in a run, so that no
    /// header is.
    extra_nonce: u64,
    job_ticks: u32,
    listened: bool,
    catching_up: bool,
    /// The timer after which payments gathered meanwhile are taken up.
    refresh: Option<SpawnHandle>,
    view: MiningView,
    rate: Rate,
}

/// The hash rate while there is something to search, smoothed over some seconds. Waiting for
/// payments says nothing of it, so only the time inside a search counts.
#[derive(Default)]
struct Rate {
    hashes: u64,
    /// Hashes, and the seconds inside searches that they took: the latest fully, older ones the
    /// less the older they are. Each second counts by itself, so a short first one, in which the
    /// threads only woke up, does not stand for the next ten.
    lately: (f64, f64),
    /// When the search at hand began, or was last counted.
    since: Option<Instant>,
    /// Time inside searches that has not been counted yet.
    searched: Duration,
}

impl Rate {
    /// The least time inside searches from which a rate follows.
    const LEAST: Duration = Duration::from_millis(100);

    /// What a second weighs after another one.
    const KEPT: f64 = 0.7;

    /// A search has begun, or goes on with another job.
    fn search_began(&mut self, now: Instant) {
        self.since.get_or_insert(now);
    }

    /// No search is at work any more.
    fn search_ended(&mut self, now: Instant) {
        if let Some(since) = self.since.take() {
            self.searched += now - since;
        }
    }

    /// The rate, after `hashes` headers were tried since the start.
    fn tick(&mut self, hashes: u64, now: Instant) -> f64 {
        if let Some(since) = &mut self.since {
            self.searched += now - *since;
            *since = now;
        }
        if self.searched >= Self::LEAST {
            let seconds = std::mem::take(&mut self.searched).as_secs_f64();
            let last = hashes.saturating_sub(self.hashes) as f64;
            self.hashes = hashes;
            let kept = Self::KEPT.powf(seconds);
            self.lately = (self.lately.0 * kept + last, self.lately.1 * kept + seconds);
        }
        let (hashes, seconds) = self.lately;
        if seconds > 0.0 { hashes / seconds } else { 0.0 }
    }
}

/// A search thread has solved a job's header.
#[derive(Message)]
#[rtype(result = "()")]
struct NonceFound {
    search: u64,
    header: Header,
}

impl Miner {
    /// A miner that begins once it is started as an actor.
    ///
    /// # Errors
    /// When the chain store cannot be read.
    pub fn new(env: Env, config: MinerConfig, ports: MinerPorts) -> Result<Self, StoreError> {
        let tip = env.store.snapshot()?.tip()?;
        Ok(Self {
            extra_nonce: env.random.next_u64(),
            env,
            config,
            ports,
            tip,
            ahead: Ahead::default(),
            request: 0,
            requested: None,
            template_took: Duration::ZERO,
            search: 0,
            searching: None,
            job_ticks: 0,
            listened: false,
            catching_up: false,
            refresh: None,
            view: MiningView {
                state: MiningState::Listening,
                ..MiningView::default()
            },
            rate: Rate::default(),
        })
    }
}

impl Actor for Miner {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.publish(MiningState::Listening);
        ctx.run_later(self.config.listen, |miner, ctx| {
            miner.listened = true;
            miner.next_job(ctx);
        });
        ctx.run_interval(TICK, Self::tick);
    }

    fn stopped(&mut self, _: &mut Self::Context) {
        self.env.searcher.stop();
    }
}

impl Handler<BestChanged> for Miner {
    type Result = ();

    fn handle(&mut self, message: BestChanged, ctx: &mut Self::Context) {
        // Nothing may stand before this line: it is what stops the search threads.
        self.env.searcher.stop();
        self.rate.search_ended(Instant::now());
        match message {
            BestChanged::Validated { tip, ahead } => {
                (self.tip, self.ahead) = (tip, ahead);
                if !mutant!(MinerKeepsJob) {
                    self.next_job(ctx);
                }
            }
            BestChanged::Retracted { tip } => {
                (self.tip, self.ahead) = (tip, Ahead::default());
                // Whatever was asked for is for a block that will not be.
                self.request += 1;
                self.requested = None;
                self.searching = None;
                self.retry_later(ctx);
            }
        }
    }
}

impl Handler<PaymentsWaiting> for Miner {
    type Result = ();

    fn handle(&mut self, message: PaymentsWaiting, ctx: &mut Self::Context) {
        let height = self.tip.height.next().unwrap_or(self.tip.height);
        let least = self.env.params.least_payments(height) as usize;
        // With fewer there is no block, and asking after each of thousands costs seconds.
        let is_enough = message.waiting >= least;
        // An answer that is under way must not become late by every payment that comes.
        if self.searching.is_none() && self.requested.is_none() && is_enough {
            self.next_job(ctx);
        } else if self.refresh.is_none() {
            self.gather(ctx);
        }
    }
}

impl Handler<SyncChanged> for Miner {
    type Result = ();

    fn handle(&mut self, message: SyncChanged, ctx: &mut Self::Context) {
        self.catching_up = message.catching_up;
        if self.searching.is_none() {
            self.next_job(ctx);
        }
    }
}

impl Handler<NonceFound> for Miner {
    type Result = ();

    fn handle(&mut self, message: NonceFound, ctx: &mut Self::Context) {
        if message.search != self.search {
            return;
        }
        let template = self.searching.take();
        self.rate.search_ended(Instant::now());
        let params = &self.env.params;
        let block = match template.and_then(|template| template.solved(message.header, params)) {
            Some(Ok(block)) => block,
            Some(Err(error)) => {
                tracing::error!(%error, "the block found here breaks a rule");
                return self.retry_later(ctx);
            }
            None => return,
        };
        let submitted = self.ports.chain.send(SubmitBlock { block });
        ctx.spawn(
            submitted
                .into_actor(self)
                .map(|outcome, miner, ctx| match outcome {
                    Ok(Ok(tip)) => {
                        tracing::info!(height = %tip.height, id = %tip.id, "mined a block");
                    }
                    // The new job is on its way already if another block came first.
                    Ok(Err(error)) => {
                        // A failing store is told of by the one that writes to it.
                        if !matches!(error, ChainError::Store(_)) {
                            tracing::warn!(%error, "the block found here was not taken");
                        }
                        if !mutant!(MinerGivesUp) {
                            miner.retry_later(ctx);
                        }
                    }
                    // The chain manager is gone, so the node is going down.
                    Err(_) => ctx.stop(),
                }),
        );
    }
}

impl Miner {
    /// Asks for what the next block is made from, unless it is too early to mine. A search
    /// at work goes on until the new job is ready.
    fn next_job(&mut self, ctx: &mut Context<Self>) {
        self.request += 1;
        self.requested = None;
        if let Some(refresh) = self.refresh.take() {
            ctx.cancel_future(refresh);
        }
        self.job_ticks = 0;
        if self
            .searching
            .as_ref()
            .is_some_and(|template| template.header.previous != self.tip.id)
        {
            self.searching = None;
        }
        if self.searching.is_none() && !self.listened {
            return self.publish(MiningState::Listening);
        }
        if self.searching.is_none() && self.catching_up {
            return self.publish(MiningState::CatchingUp);
        }
        let request = self.request;
        self.requested = Some(Instant::now());
        let room = self.env.params.max_block_bytes as usize - HEADER_BYTES - REWARD_BYTES;
        let selection = self.ports.intake.send(SelectTransactions {
            max_bytes: room,
            ahead: self.ahead.clone(),
        });
        let (env, reward_to) = (self.env.clone(), self.config.reward_to);
        let (tip, ahead) = (self.tip, self.ahead.clone());
        let extra_nonce = self.extra_nonce;
        self.extra_nonce = extra_nonce.wrapping_add(env.searcher.roots() as u64);
        let template = async move {
            let selection = selection.await.ok()?;
            if selection.tip != tip.id {
                // The chain has moved on and BestChanged is on its way.
                return None;
            }
            Some(build(env, reward_to, extra_nonce, selection, ahead).await)
        };
        ctx.spawn(template.into_actor(self).map(move |built, miner, ctx| {
            if miner.request != request {
                // Another has been asked for since.
                return;
            }
            if let Some(since) = miner.requested.take() {
                miner.template_took = since.elapsed();
            }
            match built {
                Some(Ok(template)) => miner.template_ready(template, ctx),
                Some(Err(error)) => {
                    // A store that fails for good is told of by the chain manager.
                    tracing::warn!(%error, "cannot build a block, trying again");
                    miner.retry_later(ctx);
                }
                None => (),
            }
        }));
    }

    /// The payments and the header chain for the next block have been gathered.
    fn template_ready(&mut self, template: Result<Template, NoTemplate>, ctx: &mut Context<Self>) {
        match template {
            Ok(template) => self.begin(template, ctx),
            Err(NoTemplate::TooFewPayments { missing }) => {
                self.give_up_job();
                self.publish(MiningState::WaitingForPayments { missing });
            }
            Err(error @ NoTemplate::Exhausted { .. }) => {
                self.give_up_job();
                tracing::error!(%error, "mining has ended");
            }
        }
    }

    /// Takes up the payments that come from now on in a while.
    fn gather(&mut self, ctx: &mut Context<Self>) {
        let gather = GATHER.max(GATHER_TIMES * self.template_took);
        let gather = gather.min(TICK * JOB_TICKS);
        self.refresh = Some(ctx.run_later(gather, |miner, ctx| {
            miner.refresh = None;
            match miner.requested {
                Some(_) => miner.gather(ctx),
                None => miner.next_job(ctx),
            }
        }));
    }

    fn begin(&mut self, template: Template, ctx: &mut Context<Self>) {
        self.search += 1;
        let (search, found) = (self.search, ctx.address());
        self.env.searcher.start(
            template.job(),
            Box::new(move |header| found.do_send(NonceFound { search, header })),
        );
        let header = template.header;
        self.view.block_work = template.target.work();
        let payments = template.body.transactions().len();
        self.searching = Some(template);
        self.rate.search_began(Instant::now());
        self.publish(MiningState::Searching {
            height: header.height,
            parent: header.previous,
            payments,
        });
    }

    fn give_up_job(&mut self) {
        self.env.searcher.stop();
        self.rate.search_ended(Instant::now());
        self.searching = None;
    }

    fn retry_later(&mut self, ctx: &mut Context<Self>) {
        let request = self.request;
        ctx.run_later(PAUSE, move |miner, ctx| {
            if miner.request == request && miner.searching.is_none() {
                miner.next_job(ctx);
            }
        });
    }

    fn tick(&mut self, ctx: &mut Context<Self>) {
        self.view.hashes_per_second = self.rate.tick(self.env.searcher.hashes(), Instant::now());
        self.publish(self.view.state.clone());
        self.job_ticks += 1;
        if self.job_ticks >= JOB_TICKS && self.searching.is_some() {
            self.next_job(ctx);
        }
    }

    fn publish(&mut self, state: MiningState) {
        self.view.state = state;
        self.env.view.mining.send_replace(self.view.clone());
    }
}

/// Reads the header chain at the selection's tip and builds the block: on a worker, or where
/// it stands if the block has no payments, for then it is a matter of some microseconds and
/// the search threads wait.
async fn build(
    env: Env,
    reward_to: Address,
    extra_nonce: u64,
    selection: Selection,
    ahead: Ahead,
) -> Result<Result<Template, NoTemplate>, StoreError> {
    let (params, roots, now) = (env.params.clone(), env.searcher.roots(), env.clock.now());
    let is_empty = selection.payments.is_empty();
    let job = move |chain: &dyn ChainSnapshot| {
        let parent =
            HeaderChain::ending_at(chain, &params, selection.tip).map_err(|error| match error {
                ValidationError::Store(error) => error,
                ValidationError::Rule(error) => StoreError::Damaged {
                    what: error.to_string(),
                },
            })?;
        Ok(Template::build(&Ingredients {
            params: &params,
            parent: &parent,
            payments: &selection.payments,
            reward_to,
            extra_nonce,
            roots,
            now,
        }))
    };
    if is_empty {
        return job(&ahead.above(&*env.store.snapshot()?)?);
    }
    env.read_ahead(ahead, job).await
}

#[cfg(test)]
mod tests;
