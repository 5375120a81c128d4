//! The ForkResolver: hears what peers claim, and brings this node to the best chain that
//! one of them can prove. It owns the table of peers and the sessions with their block
//! servers; each session is a task of this actor and ends with it.
//!
//! It hands blocks to the ChainManager and never judges one by itself; it never answers a
//! datagram, and never takes one for evidence.

mod attempt;
mod bodies;
mod download;
mod error;
mod memory;
mod pace;
mod peers;
mod pipeline;
mod plan;
mod session;
#[cfg(test)]
mod tests;
mod upcoming;

use crate::{
    env::Env,
    messages::{ConnectBranch, PeerStatus, SyncChanged, TipChanged},
    recent::Recent,
    view::{Counters, PeersView, SyncView},
};
use actix::prelude::*;
use attempt::{Attempt, Ending, listen};
use bodies::Bodies;
use download::{Report, Shared};
use error::{Conclusion, SessionError};
use mvb_protocol::{
    chain::Tip,
    mutant,
    numbers::{Height, Timestamp},
    wire::{NodeId, Status},
};
use pace::Meter;
use peers::{Ended, Heard, Order, Peers, PeersConfig};
use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    rc::Rc,
    time::Duration,
};
use tokio::time::Instant;

pub use pace::Deadlines;

/// How often peers are looked at again though nothing was heard.
const TICK: Duration = Duration::from_millis(250);

/// How many statuses may wait; more are dropped and counted by whoever sends them.
const MAILBOX: usize = 256;

/// How many branches that broke a rule are remembered.
const REFUSED_CAPACITY: usize = 4_096;

/// How many addresses of other networks are remembered, so that each is told of once.
const STRANGERS_CAPACITY: usize = 256;

/// How long the miner waits for downloads that bring nothing.
const PATIENCE: Duration = Duration::from_secs(3);

/// How long a session may be silent while its peer is heard otherwise.
const SILENCE: Duration = Duration::from_millis(1_500);

/// How long an unproven peer may do nothing with its slot while others wait for one.
const TURN: Duration = Duration::from_secs(3);

/// How long nothing is fetched after this node's store failed.
const STORE_PAUSE: Duration = Duration::from_secs(5);

/// The shortest time for which a silent peer is remembered.
const FORGET_LEAST: Duration = Duration::from_secs(30);

/// What the resolver is told at its start.
#[derive(Clone, Debug)]
pub struct ResolverConfig {
    /// How often peers announce themselves; pinned ones are asked as often.
    pub status_interval: Duration,
    /// The most peers fetched from at once.
    pub max_fetches: usize,
    /// Block servers to ask whether or not a datagram of theirs was heard.
    pub pinned: Vec<SocketAddr>,
    /// How long peers may take.
    pub deadlines: Deadlines,
}

impl Default for ResolverConfig {
    fn default() -> Self {
        Self {
            status_interval: Duration::from_secs(5),
            max_fetches: 8,
            pinned: Vec::new(),
            deadlines: Deadlines::default(),
        }
    }
}

/// Whom the resolver talks to.
#[derive(Clone)]
pub struct ResolverPorts {
    /// The ChainManager.
    pub chain: Recipient<ConnectBranch>,
    /// The Miner, where there is one.
    pub miner: Option<Recipient<SyncChanged>>,
}

/// The actor.
pub struct ForkResolver {
    shared: Shared,
    config: ResolverConfig,
    miner: Option<Recipient<SyncChanged>>,
    peers: Peers,
    /// The downloads at work, with what each peer claims.
    downloads: BTreeMap<SocketAddr, Height>,
    /// The sessions at work, each with what it receives.
    attempts: BTreeMap<SocketAddr, (SpawnHandle, Rc<Meter>)>,
    /// The connections to pinned peers that are kept open to hear their announcements.
    kept: BTreeMap<SocketAddr, SpawnHandle>,
    catching_up: bool,
    /// Since when downloads have brought nothing.
    fruitless_since: Option<Instant>,
    not_before: Instant,
    last_heard: Option<Timestamp>,
    strangers: Recent<IpAddr, ()>,
    other_network: Option<String>,
    is_view_due: bool,
}

/// A session says how far it is.
#[derive(Message)]
#[rtype(result = "()")]
struct SessionReport {
    endpoint: SocketAddr,
    event: SessionEvent,
}

enum SessionEvent {
    Greeted(NodeId, Tip),
    Download(Report),
    /// A peer whose connection is kept open has announced a tip.
    Announced(Tip),
}

impl ForkResolver {
    /// A resolver that begins once it is started as an actor.
    pub fn new(env: Env, config: ResolverConfig, ports: ResolverPorts) -> Self {
        let now = Instant::now();
        let table = PeersConfig {
            own: env.node,
            max_fetches: config.max_fetches.max(1),
            status_interval: config.status_interval,
            forget: FORGET_LEAST.max(config.status_interval * 6),
        };
        Self {
            peers: Peers::new(table, &config.pinned, now),
            shared: Shared {
                env,
                chain: ports.chain,
                refused: Rc::new(Recent::new(REFUSED_CAPACITY).into()),
                budget: Rc::default(),
                bodies: Rc::new(Bodies::new(now).into()),
                changed: Rc::default(),
                turn: Rc::default(),
            },
            config,
            miner: ports.miner,
            downloads: BTreeMap::new(),
            attempts: BTreeMap::new(),
            kept: BTreeMap::new(),
            catching_up: false,
            fruitless_since: None,
            not_before: now,
            last_heard: None,
            strangers: Recent::new(STRANGERS_CAPACITY),
            other_network: None,
            is_view_due: false,
        }
    }
}

impl Actor for ForkResolver {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX);
        ctx.run_interval(TICK, |resolver, ctx| {
            let now = Instant::now();
            resolver.peers.forget(now);
            resolver.shared.bodies.borrow_mut().forget(now);
            resolver.look(ctx);
            resolver.tell_miner();
            if std::mem::take(&mut resolver.is_view_due) {
                resolver.publish();
            }
        });
        self.look(ctx);
    }
}

impl Handler<PeerStatus> for ForkResolver {
    type Result = ();

    fn handle(&mut self, message: PeerStatus, ctx: &mut Self::Context) {
        let PeerStatus { status, source } = message;
        if self.is_other_network(&status, source.ip()) {
            return;
        }
        // Only ever the datagram's own source, so that nobody can point this node at others.
        let endpoint = SocketAddr::new(source.ip(), status.endpoint.port);
        let (node, claim) = (status.endpoint.node, status.announcement.tip);
        let wall = self.shared.env.clock.now();
        let now = Instant::now();
        match self.peers.hear(endpoint, node, claim, wall, now) {
            Heard::Echo => {}
            Heard::NoRoom => Counters::count(&self.shared.env.view.counters.dropped_datagrams),
            Heard::Noted => {
                self.last_heard = Some(wall);
                self.is_view_due = true;
                // The next tick looks at everybody; this one must not cost more than itself.
                if now < self.not_before {
                    return;
                }
                let order = match self.is_silent(&endpoint) {
                    false => self.peers.next_at(endpoint, self.tip(), now),
                    true => self.peers.renew(endpoint, self.tip(), now),
                };
                if let Some(order) = order {
                    self.ask(order, ctx);
                }
            }
        }
    }
}

impl Handler<TipChanged> for ForkResolver {
    type Result = ();

    fn handle(&mut self, _: TipChanged, ctx: &mut Self::Context) {
        self.is_view_due = true;
        let height = self.tip().height;
        self.shared.bodies.borrow_mut().reached(height);
        self.shared.changed.notify_waiters();
        self.look(ctx);
    }
}

impl Handler<SessionReport> for ForkResolver {
    type Result = ();

    fn handle(&mut self, message: SessionReport, ctx: &mut Self::Context) {
        let SessionReport { endpoint, event } = message;
        let wall = self.shared.env.clock.now();
        match event {
            SessionEvent::Greeted(node, tip) => {
                self.last_heard = Some(wall);
                self.peers.greeted(endpoint, node, tip, wall);
            }
            SessionEvent::Download(Report::Announced(tip)) => {
                self.last_heard = Some(wall);
                self.peers.announced(endpoint, tip, wall);
            }
            SessionEvent::Announced(tip) => {
                self.last_heard = Some(wall);
                self.peers.announced(endpoint, tip, wall);
                self.look(ctx);
            }
            SessionEvent::Download(Report::Downloading { claimed }) => {
                self.peers.downloading(endpoint, claimed);
                self.downloads.insert(endpoint, claimed);
                self.fruitless_since.get_or_insert_with(Instant::now);
                self.tell_miner();
                self.look(ctx);
            }
            SessionEvent::Download(Report::Adopted { blocks }) => {
                self.peers.adopted(endpoint, blocks, Instant::now());
                self.fruitless_since = Some(Instant::now());
                self.tell_miner();
            }
        }
        self.is_view_due = true;
    }
}

impl ForkResolver {
    /// This node's tip. The ChainManager publishes it before it says that it changed.
    fn tip(&self) -> Tip {
        self.shared.env.view.chain.borrow().tip
    }

    /// Whether there is a session with this peer that has heard nothing for a while.
    fn is_silent(&self, endpoint: &SocketAddr) -> bool {
        let attempt = self.attempts.get(endpoint);
        attempt.is_some_and(|(_, meter)| meter.silence() >= SILENCE)
    }

    /// Starts every session that should be at work now.
    fn look(&mut self, ctx: &mut Context<Self>) {
        let now = Instant::now();
        if now < self.not_before {
            return;
        }
        while let Some(order) = self.peers.next(self.tip(), now) {
            self.ask(order, ctx);
        }
        while let Some(order) = self.replace_one(now, ctx) {
            self.ask(order, ctx);
        }
    }

    /// Ends the session of an unproven peer that keeps others waiting and brings nothing.
    fn replace_one(&mut self, now: Instant, ctx: &mut Context<Self>) -> Option<Order> {
        let tip = self.tip();
        let (attempts, deadlines) = (&self.attempts, &self.config.deadlines);
        let replacement = self.peers.next_instead(tip, now, |endpoint| {
            let attempt = attempts.get(endpoint);
            attempt.is_some_and(|(_, meter)| meter.trickles(deadlines, TURN))
        })?;
        tracing::debug!(endpoint = %replacement.dropped, "peer trickles and others wait");
        self.drop_session(&replacement.dropped, ctx);
        self.tell_miner();
        self.is_view_due = true;
        self.peers.replaced(replacement, tip, now)
    }

    fn drop_session(&mut self, endpoint: &SocketAddr, ctx: &mut Context<Self>) {
        if let Some((attempt, _)) = self.attempts.remove(endpoint) {
            ctx.cancel_future(attempt);
            self.downloads.remove(endpoint);
        }
    }

    fn ask(&mut self, order: Order, ctx: &mut Context<Self>) {
        let Order { endpoint, claim } = order;
        tracing::debug!(%endpoint, claim = claim.map(|tip| tip.height.0), "asking a peer");
        if let Some(kept) = self.kept.remove(&endpoint) {
            ctx.cancel_future(kept);
        }
        self.drop_session(&endpoint, ctx);
        let meter = Rc::<Meter>::default();
        let attempt = Attempt {
            shared: self.shared.clone(),
            deadlines: self.config.deadlines.clone(),
            endpoint,
            is_kept: self.config.pinned.contains(&endpoint),
            meter: meter.clone(),
            resolver: ctx.address(),
        };
        let attempt = ctx.spawn(
            attempt
                .run()
                .into_actor(self)
                .map(move |end, resolver, ctx| {
                    resolver.session_ended(endpoint, end, ctx);
                    resolver.look(ctx);
                }),
        );
        self.attempts.insert(endpoint, (attempt, meter));
    }

    fn session_ended(&mut self, endpoint: SocketAddr, end: Ending, ctx: &mut Context<Self>) {
        let now = Instant::now();
        self.attempts.remove(&endpoint);
        let conclusion = match &end.result {
            Ok(_) => Conclusion::Fine {
                adopted: end.adopted,
            },
            Err(error) => error.conclusion(),
        };
        if let Err(error) = &end.result {
            self.report_failure(endpoint, error, conclusion);
        }
        if conclusion == Conclusion::OwnFault {
            let times = if mutant!(StoreFailureForEver) { 99 } else { 1 };
            self.not_before = now + times * STORE_PAUSE;
        }
        let tip = self.tip();
        self.peers
            .finished(endpoint, Ended { conclusion, tip }, now);
        if let Ok(Some(session)) = end.result {
            let listening = listen(session, endpoint, ctx.address());
            self.kept
                .insert(endpoint, ctx.spawn(listening.into_actor(self)));
        }
        if !mutant!(DownloadNeverEnds) {
            self.downloads.remove(&endpoint);
        }
        self.tell_miner();
        self.is_view_due = true;
    }

    fn report_failure(
        &mut self,
        endpoint: SocketAddr,
        error: &SessionError,
        conclusion: Conclusion,
    ) {
        let counters = &self.shared.env.view.counters;
        match (error, conclusion) {
            (SessionError::Echo, _) => {}
            (SessionError::OtherNetwork { differences }, _) => {
                Counters::count(&counters.other_network);
                let differences = differences.clone();
                self.tell_of_stranger(endpoint.ip(), &differences);
            }
            (_, Conclusion::Misbehaved) => {
                Counters::count(&counters.failed_sessions);
                tracing::warn!(%endpoint, %error, "peer misbehaved, it is left alone for a while");
            }
            (SessionError::NoBeginning { .. } | SessionError::Timeout { .. }, _) => {
                Counters::count(&counters.failed_sessions);
                tracing::debug!(%endpoint, %error, "session failed");
            }
            _ => tracing::debug!(%endpoint, %error, "session failed"),
        }
    }

    fn is_other_network(&mut self, status: &Status, address: IpAddr) -> bool {
        let (ours, theirs) = (&self.shared.env.params, &status.announcement.params);
        if **ours == *theirs {
            return false;
        }
        Counters::count(&self.shared.env.view.counters.other_network);
        if self.strangers.get(&address).is_none() {
            let differences = ours.differences(theirs).join("; ");
            self.tell_of_stranger(address, &differences);
        }
        true
    }

    /// Says once a peer in what its network differs.
    fn tell_of_stranger(&mut self, address: IpAddr, differences: &str) {
        if !self.strangers.insert(address, ()) {
            return;
        }
        let text = format!("peer {address} runs {differences}");
        tracing::info!("{text}; it is ignored");
        self.other_network = Some(text);
        self.publish();
    }

    /// The miner waits for downloads that bring something. Peers that prove better headers
    /// and keep the bodies, one after the other, must not keep it from mining.
    fn tell_miner(&mut self) {
        let is_fruitful = self
            .fruitless_since
            .is_none_or(|since| since.elapsed() < PATIENCE);
        let catching_up = !self.downloads.is_empty() && is_fruitful;
        if catching_up != self.catching_up {
            self.catching_up = catching_up;
            if let Some(miner) = &self.miner {
                miner.do_send(SyncChanged { catching_up });
            }
        }
    }

    fn publish(&self) {
        let sync = self.downloads.iter().max_by_key(|(_, claimed)| **claimed);
        self.shared.env.view.peers.send_replace(PeersView {
            peers: self.peers.view(),
            last_heard: self.last_heard,
            sync: sync.map(|(peer, claimed)| SyncView {
                peer: *peer,
                height: self.tip().height,
                claimed: *claimed,
            }),
            other_network: self.other_network.clone(),
        });
    }
}
